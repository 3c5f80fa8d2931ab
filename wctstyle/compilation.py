"""How JAX compiles here: its cache on disk, and how much the compiler is to try."""

from __future__ import annotations

import os
from pathlib import Path

import jax
import platformdirs

CACHE_BYTES = 2**30
"""What kept programs may take on disk; those longest unused go first. One picture's take about 3 MB."""


def enable_compilation_cache() -> None:
    """Keep compiled programs in the user's cache folder, bounded in size, unless a folder is already configured."""
    if getattr(jax.config, "jax_compilation_cache_dir") is None:  # noqa: B009 (unknown to type checkers)
        folder = Path(platformdirs.user_cache_dir("wctstyle")) / "programs"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return
        if os.access(folder, os.W_OK):  # what is bounded is locked, which writes
            jax.config.update("jax_compilation_cache_max_size", CACHE_BYTES)
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def on_cpu() -> bool:
    """Tell whether JAX computes on a CPU, for which some things are computed in other ways (`wctstyle.convolution`)."""
    return jax.default_backend() == "cpu"


def compiler_options() -> dict[str, int] | None:
    """Return how much the compiler is to try.

    On a CPU little: the work is in the convolutions, which come compiled. The two programs of a first picture compile
    in two thirds of the time and run as fast.
    """
    return {"xla_backend_optimization_level": 1} if on_cpu() else None
