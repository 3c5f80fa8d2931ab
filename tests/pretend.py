"""Workers that write files instead of painting, for tests of pools; another process imports this file."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wctstyle import places

HELD = "held"
"""The name of a task that waits, half written, until its worker is killed; the second try writes it."""

DEADLY = "deadly"
"""The name of a task that every worker dies of."""


def writer() -> Callable[[tuple[str, str], str], Any]:
    """Return what writes a file for a task, which is a folder and a name, and returns the id of the process."""
    replace = os.replace

    def write(task: tuple[str, str], temporary: str) -> int:
        folder, name = task
        if name == DEADLY:
            os.kill(os.getpid(), 9)

        def gated(source: Any, target: Any) -> None:
            if name == HELD and temporary.endswith("-1.tmp"):
                Path(folder, "holder").write_text(str(os.getpid()))
                time.sleep(120)
            replace(source, target)

        os.replace = gated
        places.write(os.path.join(folder, "out", name), name.encode(), temporary)
        time.sleep(0.02)  # so that no worker does all before the other has started
        return os.getpid()

    return write


def kill_holder(folder: Path) -> int:
    """Wait until a worker has a task half written and kill it; returns its id."""
    holder, until = folder / "holder", time.monotonic() + 60
    while not (holder.exists() and holder.read_text()):
        assert time.monotonic() < until
        time.sleep(0.02)
    pid = int(holder.read_text())
    assert list((folder / "out").glob(".*.tmp"))
    os.kill(pid, 9)
    return pid
