"""Where pictures are: files, and addresses with `://`, which fsspec reads and writes (s3://, gs://, https://, ...)."""

from __future__ import annotations

import contextlib
import io
import os
import re
from pathlib import Path
from typing import Any

from wctstyle import images
from wctstyle.errors import ImageError
from wctstyle.files import temporary_name

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")

WHOLE = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory"}
"""Stores in which an object appears as a whole once it is written, so that a temporary name would only cost a copy."""


def is_address(place: str) -> bool:
    """Tell an address from the path of a file."""
    return _ADDRESS.match(place) is not None


def join(folder: str, name: str) -> str:
    """Name what lies in a folder; "" is the current one."""
    if is_address(folder):
        return f"{folder.rstrip('/')}/{name}"
    return name if is_address(name) else os.path.join(folder, name)


def absolute(place: str) -> str:
    """Name a file so that a process with another current folder finds it."""
    return place if is_address(place) else os.path.abspath(place)


def _store(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path in it.

    Raises:
        ImageError: fsspec is missing, or what it needs for such addresses.
    """
    try:
        import fsspec  # here, as it is an extra, and loads long

        return fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise ImageError(
            f"{address}: cannot be reached: {error}; install the extra `cluster`, and the package that fsspec names "
            "for such addresses, or give a file"
        ) from error


def read(address: str) -> io.BytesIO:
    """Read what is at an address, as a file in memory whose name is the address.

    Raises:
        ImageError: it cannot be read.
    """
    store, path = _store(address)
    try:
        found = io.BytesIO(store.cat_file(path))
    except FileNotFoundError as error:
        raise ImageError(f"{address}: there is no such file; check the address") from error
    except Exception as error:  # noqa: BLE001 (each store has errors of its own)
        raise ImageError(f"{address}: cannot be read: {error or type(error).__name__}") from error
    found.name = address
    return found


def exists(place: str) -> bool:
    """Say whether something is at a place.

    Raises:
        ImageError: a store cannot be asked.
    """
    if not is_address(place):
        return os.path.lexists(place)
    store, path = _store(place)
    try:
        return store.exists(path)
    except Exception as error:  # noqa: BLE001 (each store has errors of its own)
        raise ImageError(f"{place}: cannot be reached: {error or type(error).__name__}") from error


def write(place: str, data: bytes, temporary: str | None = None) -> None:
    """Write a file, all or nothing: under a temporary name, which becomes its own; makes the folder if missing.

    `temporary` is that name, one of its own where it is not given; see `discard`.

    Raises:
        ImageError: it cannot be written.
    """
    if is_address(place):
        _write_address(place, data, temporary)
        return
    images.make_folder(Path(place).parent)
    with images.replacing(Path(place), temporary) as file:
        file.write(data)


def _write_address(address: str, data: bytes, temporary: str | None) -> None:
    store, path = _store(address)
    kinds = {store.protocol} if isinstance(store.protocol, str) else set(store.protocol)
    folder = path.rpartition("/")[0]
    try:
        if kinds & WHOLE:
            store.pipe_file(path, data)
            return
        named = f"{folder}/{temporary or temporary_name()}"
        store.makedirs(folder, exist_ok=True)
        store.pipe_file(named, data)
        store.mv(named, path)
    except Exception as error:  # noqa: BLE001 (each store has errors of its own)
        raise ImageError(f"{address}: cannot be written: {error or type(error).__name__}") from error


def discard(place: str, temporary: str) -> None:
    """Remove what a process that died while writing a place left under a temporary name."""
    if not is_address(place):
        with contextlib.suppress(OSError):
            Path(os.path.realpath(place)).with_name(temporary).unlink(missing_ok=True)
        return
    with contextlib.suppress(Exception):  # as a rule nothing is there
        store, path = _store(place)
        store.rm_file(f"{path.rpartition('/')[0]}/{temporary}")
