"""Atomic file writes, and where the user's own files are."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import platformdirs


def temporary_name() -> str:
    """Return a name that no other file has."""
    return f".wctstyle-{secrets.token_hex(8)}.tmp"


@contextlib.contextmanager
def replacing(target: Path, temporary: str | None = None) -> Iterator[BinaryIO]:
    """Open a temporary file that is renamed to `target` at the end, so that no reader sees a partial file.

    Keeps the mode of the file it replaces. Leaves no temporary file behind if the body fails or is interrupted. A
    caller that may have to clean up after a killed process chooses its name (`temporary`).

    Raises:
        OSError: the write failed; `target` is unchanged.
    """
    written = target.parent / (temporary or temporary_name())
    try:
        with written.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            written.chmod(stat.S_IMODE(target.stat().st_mode))
        os.replace(written, target)
    finally:
        with contextlib.suppress(OSError):
            written.unlink(missing_ok=True)


def replace_file(target: Path, data: bytes, temporary: str | None = None) -> None:
    """Write a file as `replacing` does."""
    with replacing(target, temporary) as file:
        file.write(data)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name; copy it where the disk knows no links, or the name is on another disk."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def user_folder(name: str) -> Path:
    """Name a folder of the user's: in `WCTSTYLE_HOME` where that is set, else in the user's data folder.

    It need not exist yet.
    """
    home = os.environ.get("WCTSTYLE_HOME")
    base = Path(home).expanduser() if home else platformdirs.user_data_path("wctstyle", appauthor=False)
    return base / name
