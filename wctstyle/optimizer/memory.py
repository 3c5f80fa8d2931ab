"""What a run needs of memory, against what there is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jax

from wctstyle.errors import ImageError

GROUP = Path("/sys/fs/cgroup")
"""Where Linux shows the limits of the group of processes that this one belongs to."""

SHARE = 0.9
"""Of the memory that is free, what a run may take."""


def available() -> int | None:
    """Return the bytes that can still be had where JAX computes; None if that cannot be told."""
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
    """What a container's limit leaves (cgroup v2), files in memory that can be dropped counted as free."""
    try:
        limit, used = (int((folder / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current"))
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
        return max(0, limit - used + int(statistics["inactive_file"]))
    except (OSError, KeyError, ValueError):  # no groups, or "max": no limit
        return None


def needed(compiled: Any, state: Any) -> int | None:
    """Return the bytes a run takes: its program, the `state` that the program changes in place, and a copy to save."""
    figures = compiled.memory_analysis()
    if figures is None:
        return None
    program = figures.temp_size_in_bytes + figures.output_size_in_bytes - figures.alias_size_in_bytes
    return int(program) + least(state)


def least(state: Any) -> int:
    """Return the bytes that a run takes whatever its program: the state, and a copy to save."""
    return 2 * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))


def fits(need: int | None, free: int | None) -> bool:
    """Say whether a program fits; what cannot be told counts as fitting."""
    return need is None or free is None or need <= SHARE * free


def refuse(size: tuple[int, int], need: int, free: int, *, whole: bool) -> ImageError:
    """Make the error of a size that does not fit, with the long side that would; not `whole`: `need` is but a part."""
    side = max(16, int(max(size) * (SHARE * free / need) ** 0.5) // 16 * 16)
    needs, give = ("needs", f"--size {side} or less") if whole else ("needs more than", f"a --size well below {side}")
    return ImageError(
        f"optimising {size[1]}x{size[0]} pixels {needs} {need / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free: "
        f"give {give}; the model slim, a shorter --history and `stylize --refine 0` need less too"
    )
