"""What a run needs of memory, against what there is."""

from __future__ import annotations

import os
from typing import Any

import jax

from wctstyle.errors import ImageError

SHARE = 0.9
"""Of the memory that is free, what a run may take."""


def available() -> int | None:
    """Return the bytes that can still be had where JAX computes; None if that cannot be told."""
    figures = jax.local_devices()[0].memory_stats()
    if figures and "bytes_limit" in figures:
        return int(figures["bytes_limit"]) - int(figures.get("bytes_in_use", 0))
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


def needed(compiled: Any, state: Any) -> int | None:
    """Return the bytes a run takes: its program, the `state` that the program changes in place, and a copy to save."""
    figures = compiled.memory_analysis()
    if figures is None:
        return None
    program = figures.temp_size_in_bytes + figures.output_size_in_bytes - figures.alias_size_in_bytes
    return int(program) + 2 * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))


def fits(need: int | None, free: int | None) -> bool:
    """Say whether a program fits; what cannot be told counts as fitting."""
    return need is None or free is None or need <= SHARE * free


def refuse(size: tuple[int, int], need: int, free: int, side: int) -> ImageError:
    """Make the error of a size that does not fit, with the long side that would."""
    return ImageError(
        f"optimising {size[1]}x{size[0]} pixels needs {need / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free: give "
        f"--size {side} or less; the model slim, a shorter --history and `stylize --refine 0` need less too"
    )
