"""Compilation settings of JAX: the cache on disk and the optimisation level."""

from __future__ import annotations

import contextlib
from pathlib import Path

import jax
import platformdirs

CACHE_BYTES = 2**30
"""Limit of the cache on disk. When a process starts, the least recently used programs beyond it are deleted."""


def enable_compilation_cache() -> None:
    """Cache compiled programs in the user's cache folder, bounded in size, unless a folder is already configured."""
    if getattr(jax.config, "jax_compilation_cache_dir") is None:  # noqa: B009 (unknown to type checkers)
        folder = Path(platformdirs.user_cache_dir("wctstyle")) / "programs"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return
        with contextlib.suppress(OSError):  # a folder that cannot be listed may still be read
            trim(folder, CACHE_BYTES)
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def trim(folder: Path, most: int) -> None:
    """Delete the least recently used files of a folder until at most `most` bytes are left.

    JAX's own size limit is not used: if a process is killed between writing the two files of an entry, the cache can no
    longer write.
    """
    found = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):  # another process may trim too
            status = path.stat()
            found.append((max(status.st_atime, status.st_mtime), status.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found, key=lambda entry: entry[0]):
        if total <= most:
            break
        with contextlib.suppress(OSError):
            path.unlink()
        total -= size


def on_cpu() -> bool:
    """Return whether JAX computes on a CPU, where `wctstyle.convolution` uses special implementations."""
    return jax.default_backend() == "cpu"


def compiler_options() -> dict[str, int] | None:
    """Return options that lower the compiler's optimisation level on a CPU.

    Most of the work is in precompiled convolutions. The two programs of a first picture compile in two thirds of the
    time and run equally fast.
    """
    return {"xla_backend_optimization_level": 1} if on_cpu() else None
