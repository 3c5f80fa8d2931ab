"""Writing a file all or nothing."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path


def replace_file(target: Path, data: bytes) -> None:
    """Write `data` beside `target` and rename it over, so that no reader ever sees half a file.

    Keeps the mode of the file it replaces; leaves nothing behind when it fails or is interrupted.

    Raises:
        OSError: as the system says it; `target` is as it was.
    """
    temporary = target.parent / f".wctstyle-{secrets.token_hex(8)}.tmp"
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        os.replace(temporary, target)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
