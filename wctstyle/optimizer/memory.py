"""The memory that a run needs, and the memory that is available."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jax

from wctstyle.errors import ImageError

GROUP = Path("/sys/fs/cgroup")
"""Folder in which Linux shows the limits of this process's cgroup."""

SHARE = 0.9
"""Share of the free memory that a run may use."""


def available() -> int | None:
    """Return the bytes available on the device that JAX uses; None if unknown."""
    figures = jax.local_devices()[0].memory_stats()
    if figures and "bytes_limit" in figures:
        return int(figures["bytes_limit"]) - int(figures.get("bytes_in_use", 0))
    known = [free for free in (_of_machine(), _of_group()) if free is not None]
    return min(known, default=None)


def _of_machine() -> int | None:
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _of_group(folder: Path = GROUP) -> int | None:
    """Return what a container's limit leaves (cgroup v2), counting droppable page cache as free."""
    try:
        limit, used = (int((folder / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current"))
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
        return max(0, limit - used + int(statistics["inactive_file"]))
    except (OSError, KeyError, ValueError):  # no cgroups, or "max": no limit
        return None


def needed(compiled: Any, state: Any) -> int | None:
    """Return the bytes a run needs: its program, the `state` that it updates in place, and a copy to save."""
    figures = compiled.memory_analysis()
    if figures is None:
        return None
    program = figures.temp_size_in_bytes + figures.output_size_in_bytes - figures.alias_size_in_bytes
    return int(program) + least(state)


def least(state: Any) -> int:
    """Return the bytes a run needs whatever its program: the state and a copy to save."""
    return 2 * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))


def fits(need: int | None, free: int | None) -> bool:
    """Return whether a program fits; unknown values count as fitting."""
    return need is None or free is None or need <= SHARE * free


def refuse(size: tuple[int, int], need: int, free: int, *, whole: bool) -> ImageError:
    """Build the error for a size that does not fit, suggesting one that does. Not `whole`: `need` is a lower bound."""
    side = max(16, int(max(size) * (SHARE * free / need) ** 0.5) // 16 * 16)
    needs, give = ("needs", f"--size {side} or less") if whole else ("needs more than", f"a --size well below {side}")
    return ImageError(
        f"optimising {size[1]}x{size[0]} pixels {needs} {need / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free: "
        f"give {give}; the model slim, a shorter --history and `stylize --refine 0` need less too"
    )
