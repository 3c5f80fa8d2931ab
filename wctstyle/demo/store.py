"""Sessions on disk, so that a page finds what it held when the server was restarted.

Each session is a folder, named by the hash of its key, with a record in JSON and a file for each picture and result.
Files are named by the hash of what is in them and never change; the record is written last. So a session that is half
written is the one from before, and one that is damaged is noticed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import logging
import re
import shutil
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from wctstyle.demo.composition import DEFAULTS, Composition, compose
from wctstyle.demo.limits import Limits
from wctstyle.demo.masking import StoredMask
from wctstyle.demo.pictures import StoredPicture
from wctstyle.demo.registry import KEY
from wctstyle.demo.sessions import HistoryEntry, Session
from wctstyle.errors import WctStyleError
from wctstyle.files import replace_file
from wctstyle.recipe import Recipe
from wctstyle.settings import MAX_SIDE

log = logging.getLogger("wctstyle.demo")

VERSION = 2
"""Of the record. Sessions of other versions are dropped."""

RECORD = "record"
"""Name of a session's record: the SHA-256 of what follows, a line end, JSON."""

PLACE, FILE = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{40}\.(npz|bin)")
"""What the folders of sessions and the files in them are called; nothing else is read or deleted."""

UNFINISHED_SECONDS = 3600
"""Age from which a folder without a record is taken for one whose server was killed."""

ANY = Limits(max_size=MAX_SIDE, styles=1000)
"""Limits of every server: what is kept was granted when it was made."""

FAULTS = (
    ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError,
    WctStyleError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What reading a damaged session may raise."""


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:40]


class Store:
    """Sessions in a folder that only its user can read. Bounded in bytes and in age; the oldest go first.

    Safe to share between threads; nothing here raises for what happens on the disk, it is told in the log.
    """

    def __init__(self, folder: Path, max_bytes: int, max_age: float) -> None:
        self.folder, self.max_bytes, self.max_age = folder, max_bytes, max_age
        self._lock = threading.Lock()
        self._grown = 0

    @classmethod
    def of_user(cls, limits: Limits) -> Store:
        """Make the store in the user's cache folder."""
        folder = Path(platformdirs.user_cache_dir("wctstyle")) / "sessions"
        return cls(folder, limits.store_bytes, limits.store_seconds)

    def _place(self, key: str) -> Path:
        """Return the folder of a session. The key is a secret between the page and its session, so it is hashed."""
        return self.folder / _hash(b"wctstyle page " + key.encode("utf-8", "surrogatepass"))

    def save(self, session: Session) -> None:
        """Write what is new of a session, then its record, then delete what the record does not name."""
        with self._lock:
            try:
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                with contextlib.suppress(OSError):  # it may be of another user, who shares it
                    self.folder.chmod(0o700)
                self._write(self._place(session.key), session)
            except (OSError, TypeError, ValueError) as error:
                log.warning("a session could not be written to %s: %s", self.folder, error)
        if self._grown > self.max_bytes // 8:
            self.sweep()

    def _write(self, place: Path, session: Session) -> None:
        place.mkdir(mode=0o700, exist_ok=True)
        files: dict[str, str] = {}

        def put(id: str, ending: str, make: Callable[[], bytes]) -> str:
            name = session.files.get(id)
            if name is None or not (place / name).is_file():
                data = make()
                name = f"{_hash(data)}.{ending}"
                replace_file(place / name, data)
                self._grown += len(data)
            files[id] = name
            return name

        written = {
            "version": VERSION,
            "composition": None if session.composition is None else write_composition(session.composition),
            "shelf": session.shelf,
            "pictures": [_write_picture(held, put) for held in session.pictures],
            "masks": [_write_mask(mask, put) for mask in session.masks],
            "history": [_write_entry(kept, put) for kept in session.history],
        }
        body = json.dumps(written).encode()
        replace_file(place / RECORD, hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        session.files = files
        for path in list(place.iterdir()):
            if path.name != RECORD and path.name not in files.values():
                path.unlink(missing_ok=True)

    def load(self, key: str, limits: Limits) -> Session | None:
        """Return the session of a key; None where there is none, or a damaged one, which is dropped."""
        if not KEY.fullmatch(key):
            return None
        place = self._place(key)
        record = self._record(place)
        if record is None:
            return None
        try:
            session = _read_session(key, limits, place, record)
        except FAULTS as error:
            if self._record(place) != record:  # another server has written it meanwhile
                return self.load(key, limits)
            log.warning("the session in %s is damaged and is dropped: %s", place, error or type(error).__name__)
            self.forget(key)
            return None
        with contextlib.suppress(OSError):
            (place / RECORD).touch()
        return session

    @staticmethod
    def _record(place: Path) -> bytes | None:
        """Read a record; None where there is none."""
        try:
            return (place / RECORD).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("a session could not be read: %s", error)
            return None

    def forget(self, key: str) -> None:
        """Delete the session of a key, if there is one."""
        with self._lock:
            shutil.rmtree(self._place(key), ignore_errors=True)

    def sweep(self) -> None:
        """Delete sessions that are too old, then the oldest until all together are no more than allowed."""
        with self._lock:
            self._grown, now = 0, time.time()
            found = sorted(self._sessions())
            total = sum(size for _, size, _ in found)
            for moment, size, place in found:
                age = now - moment
                unfinished = age > UNFINISHED_SECONDS and not (place / RECORD).exists()
                if total > self.max_bytes or age > self.max_age or unfinished:
                    shutil.rmtree(place, ignore_errors=True)
                    total -= size

    def _sessions(self) -> Iterator[tuple[float, int, Path]]:
        """Give time of last use, bytes and folder of each session."""
        with contextlib.suppress(OSError):
            for place in self.folder.iterdir():
                if not PLACE.fullmatch(place.name):
                    continue
                with contextlib.suppress(OSError):  # another server may sweep too
                    stats = {path.name: path.stat() for path in place.iterdir()}
                    last = stats[RECORD] if RECORD in stats else place.stat()
                    yield last.st_mtime, sum(stat.st_size for stat in stats.values()), place


# -------------------------------------------------------------------------------------------------- in the record


def write_composition(composition: Composition) -> dict[str, Any]:
    """Write a composition in JSON's types."""
    return {"palette": composition.palette, "dials": composition.dials}


def read_composition(written: Mapping[str, Any]) -> Composition:
    """Read a composition, however large: servers grant different sizes.

    Raises:
        ConfigError: a value makes no sense.
        KeyError: one is missing.
    """
    return compose(ANY, written["palette"], **{name: written["dials"][name] for name in DEFAULTS})


def _write_picture(held: StoredPicture, put: Callable[..., str]) -> dict[str, Any]:
    """Write a picture: arrays into one file without loss, everything else into the record."""
    fields = {field.name: getattr(held, field.name) for field in dataclasses.fields(held)}
    arrays = {name: value for name, value in fields.items() if isinstance(value, np.ndarray)}

    def pack() -> bytes:
        file = io.BytesIO()
        np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]
        return file.getvalue()

    return {**{name: value for name, value in fields.items() if name not in arrays}, "file": put(held.id, "npz", pack)}


def _read_picture(written: dict[str, Any], place: Path) -> StoredPicture:
    with np.load(io.BytesIO(_read_file(place, written["file"])), allow_pickle=False) as arrays:
        held = StoredPicture(**_known(StoredPicture, {**written, **{name: arrays[name] for name in arrays.files}}))
    if held.pixels.dtype != np.uint8 or held.pixels.ndim != 3 or held.pixels.shape[2] not in (3, 4):
        raise ValueError(f"pixels are {held.pixels.dtype} {held.pixels.shape}, must be uint8 (height, width, 3 or 4)")
    return held


def _write_mask(mask: StoredMask, put: Callable[..., str]) -> dict[str, Any]:
    """Write a mask: its picture into a file, which another one follows where it was awaited."""
    about = {"id": mask.id, "name": mask.name, "content_hash": mask.content_hash}
    return {**about, "key": mask.key, "file": put(mask.key, "bin", lambda: mask.data)}


def _read_mask(written: dict[str, Any], place: Path) -> StoredMask:
    mask = StoredMask(**_known(StoredMask, written), data=_read_file(place, written["file"]))
    _ = mask.plane  # here, so that a damaged one is noticed
    return mask


def _write_entry(kept: HistoryEntry, put: Callable[..., str]) -> dict[str, Any]:
    """Write a result: the bytes of its picture into a file, everything else into the record."""
    fields = {field.name: getattr(kept, field.name) for field in dataclasses.fields(kept) if field.name != "data"}
    composition, recipe = write_composition(kept.composition), kept.recipe.to_json()
    return {**fields, "composition": composition, "recipe": recipe, "file": put(kept.id, "bin", lambda: kept.data)}


def _read_entry(written: dict[str, Any], place: Path) -> HistoryEntry:
    fields = {name: _tuples(value) for name, value in _known(HistoryEntry, written).items()}
    fields["composition"] = read_composition(written["composition"])
    fields["recipe"] = Recipe.from_json(written["recipe"])
    return HistoryEntry(**fields, data=_read_file(place, written["file"]))


def _read_session(key: str, limits: Limits, place: Path, record: bytes) -> Session:
    head, _, body = record.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != head:
        raise ValueError("the record is not what was written")
    written = json.loads(body)
    if written["version"] != VERSION:
        raise ValueError(f"it is of version {written['version']}")
    left = written["composition"]
    session = Session.remembered(
        key,
        limits,
        composition=None if left is None else read_composition(left),
        shelf={kind: list(written["shelf"][kind]) for kind in ("content", "style")},
        pictures=[_read_picture(entry, place) for entry in written["pictures"]],
        history=[_read_entry(entry, place) for entry in written["history"]],
        masks=[_read_mask(entry, place) for entry in written["masks"]],
    )
    session.files = {entry["id"]: entry["file"] for entry in [*written["pictures"], *written["history"]]}
    session.files |= {entry["key"]: entry["file"] for entry in written["masks"]}
    return session


def _read_file(place: Path, name: str) -> bytes:
    if not FILE.fullmatch(name):
        raise ValueError(f"{name!r} is no file of a session")
    data = (place / name).read_bytes()
    if _hash(data) != name.partition(".")[0]:
        raise ValueError(f"{name} is not what was written")
    return data


def _known(kind: Any, written: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what a class does not have as a field."""
    return {field.name: written[field.name] for field in dataclasses.fields(kind) if field.name in written}


def _tuples(value: Any) -> Any:
    """Turn lists from JSON back into tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
