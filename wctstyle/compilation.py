"""How this process uses JAX: its device, the cache of compiled programs on disk, and the optimisation level."""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import os
import tempfile
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import jax
import platformdirs

from wctstyle.errors import ConfigError

CACHE_BYTES = 2**30
"""Limit of the cache on disk. When a process starts, the least recently used programs beyond it are deleted."""

_Program = TypeVar("_Program", bound=Callable[..., Any])


def check_device() -> None:
    """Refuse a device that JAX was told to use and does not find.

    Raises:
        ConfigError: there is none, naming the variable that asks for it.
    """
    try:
        jax.local_devices()
    except (RuntimeError, AssertionError) as error:  # the latter without CUDA's plugin, and without a message
        names = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME")
        asked = " and ".join(f"{name}={os.environ[name]}" for name in names if os.environ.get(name))
        why = f": {' '.join(str(error).split())}" if str(error) else ""
        raise ConfigError(
            f"{asked or 'jax_platforms'}: JAX cannot use this device here{why}; unset it or set it to cpu, or install "
            "JAX for that device"
        ) from error


def enable_compilation_cache() -> None:
    """Cache compiled programs in the user's cache folder, bounded in size, unless a folder is already configured.

    A folder that cannot be written is told once, in the log; what is in it is used.
    """
    if getattr(jax.config, "jax_compilation_cache_dir") is not None:  # noqa: B009 (unknown to type checkers)
        return
    folder = Path(platformdirs.user_cache_dir("wctstyle")) / "programs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trim(folder, CACHE_BYTES)
        _make_writable(folder)
        delete_damaged(folder)
    except OSError as error:
        _tell_unwritable(folder, error.strerror or str(error))
    if folder.is_dir():
        # JAX says so of each program and process. A damaged entry is gone at the next start.
        warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry")
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def _make_writable(folder: Path) -> None:
    """Try to write in a folder; the owner gives the permission back where only that is missing."""

    def write() -> None:
        with tempfile.TemporaryFile(dir=folder):
            pass

    try:
        write()
    except PermissionError:
        folder.chmod(folder.stat().st_mode | 0o700)
        write()


@functools.cache
def _tell_unwritable(folder: Path, why: str) -> None:
    logging.getLogger(__name__).warning(
        "%s: compiled programs cannot be kept there (%s), so each start takes longer; "
        "make it a folder that you can write in, or set JAX_COMPILATION_CACHE_DIR to one",
        folder, why,
    )  # fmt: skip


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


def delete_damaged(folder: Path) -> None:
    """Delete programs that cannot be unpacked, as a full disk or a killed process leaves them.

    JAX never replaces an entry: with a damaged one it would compile anew in every process. Only files that were written
    since the last time are read; a stamp beside the folder keeps when that was.
    """
    stamp = folder.with_suffix(".checked")
    before = stamp.stat().st_mtime if stamp.exists() else 0.0
    stamp.touch()
    for path in folder.glob("*-cache"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime >= before and not _unpacks(path):
                path.unlink()


def _unpacks(entry: Path) -> bool:
    try:
        data = entry.read_bytes()
        if data.startswith(b"\x28\xb5\x2f\xfd"):  # Zstandard, which JAX uses where it is installed
            _zstandard().decompress(data)
        else:
            zlib.decompress(data)
    except Exception:  # noqa: BLE001 (each library has errors of its own)
        return False
    return True


def _zstandard() -> Any:
    try:
        return importlib.import_module("compression.zstd")
    except ImportError:
        return importlib.import_module("zstandard")


def transferring(program: _Program) -> _Program:
    """Let a function move its arguments to the device, also where `JAX_TRANSFER_GUARD` forbids what is not explicit."""

    @functools.wraps(program)
    def run(*args: Any, **options: Any) -> Any:
        with jax.transfer_guard("allow"):
            return program(*args, **options)

    return run  # pyright: ignore[reportReturnType]


def forget_programs() -> None:
    """Let JAX drop its compiled programs; those that are needed again are read from the cache on disk."""
    jax.clear_caches()


def on_cpu() -> bool:
    """Return whether JAX computes on a CPU, where `wctstyle.convolution` uses special implementations."""
    return jax.default_backend() == "cpu"


def compiler_options() -> dict[str, int] | None:
    """Return options that lower the compiler's optimisation level on a CPU.

    Most of the work is in precompiled convolutions. The two programs of a first picture compile in two thirds of the
    time and run equally fast.
    """
    return {"xla_backend_optimization_level": 1} if on_cpu() else None
