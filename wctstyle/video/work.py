"""Work in progress: a hidden folder beside the target with finished segments and what the next needs."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from wctstyle import images
from wctstyle.errors import ConfigError
from wctstyle.files import Held, Lock, replace_file
from wctstyle.video.clips import Place
from wctstyle.video.forms import Form
from wctstyle.video.joining import Piece
from wctstyle.video.writing import Segment

DAMAGE = (
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What JSON and NumPy raise on notes and states that are damaged."""


class Work:
    """The folder of one target. A segment counts once its note is there, which is written last.

    Args:
        target: the video or folder to be made.
        made_of: everything that determines the frames, as JSON; segments of a different job are never reused.
    """

    def __init__(self, target: Path, form: Form, made_of: Mapping[str, Any], *, rate: Fraction, tick: Fraction) -> None:
        self.folder = work_folder(target)
        self._job = self.folder / "job.json"
        self._lock: Lock | None = None
        self._form, self._rate, self._tick = form, rate, tick
        text = json.dumps({**made_of, "form": asdict(form)}, sort_keys=True)
        self._key = hashlib.sha256(text.encode()).hexdigest()
        self.pieces: list[Piece] = []
        self.place = Place()

    def begin(self, *, resume: bool, overwrite: bool) -> None:
        """Make the folder, or find what is done in it; it is this run's alone until `close` or `remove`.

        Raises:
            ConfigError: another run writes in it now, it is there and neither is asked for, or it is of another job.
            ImageError: it cannot be made.
        """
        self._take()
        try:
            self._begin(resume=resume, overwrite=overwrite)
        except BaseException:
            self.close() if self._job.is_file() else self.remove()
            raise

    def _take(self) -> None:
        """Make the folder and lock it.

        Raises:
            ConfigError: another run has it.
        """
        while self._lock is None:
            images.make_folder(self.folder)
            try:
                self._lock = Lock(self.folder / "lock")
            except Held as held:
                raise ConfigError(
                    f"{self.folder}: another run is writing this output now; wait for its end, or give another output"
                ) from held
            except FileNotFoundError:  # that other run has just ended, and took the folder away
                continue

    def _begin(self, *, resume: bool, overwrite: bool) -> None:
        job = self._job
        if job.is_file() and resume:
            with self._sound():
                key = json.loads(job.read_text(encoding="utf-8")).get("key")
            if key != self._key:
                raise ConfigError(
                    f"--resume: what is done in {self.folder} is of another video or other settings; give the same "
                    "command, or --overwrite without --resume to start again"
                )
            with self._sound():
                self._find()
            return
        if not overwrite and job.is_file():
            raise ConfigError(
                f"{self.folder}: is left from a run that did not end; give --resume to go on, or --overwrite to "
                "start again"
            )
        self._clear()
        _write(job, json.dumps({"key": self._key}).encode())

    def _find(self) -> None:
        for number in range(1_000_000):
            note = self.folder / f"{number:06d}.json"
            if not note.is_file():
                break
            found = json.loads(note.read_text(encoding="utf-8"))
            self.pieces.append(Piece(self._path(number), tuple(found["times"])))
            self.place = Place(**found["place"])
        if self.pieces and not self._state(len(self.pieces) - 1).is_file():
            raise LookupError(f"the state after segment {len(self.pieces)} is missing")

    @contextlib.contextmanager
    def _sound(self) -> Iterator[None]:
        """Tell of a file in the folder that is not as it was written.

        Raises:
            ConfigError: it is damaged.
        """
        try:
            yield
        except DAMAGE as error:
            raise ConfigError(
                f"--resume: {self.folder} is damaged ({error}); give --overwrite without --resume to start again"
            ) from error

    def state(self) -> dict[str, np.ndarray]:
        """Return the state kept after the last segment.

        Raises:
            ConfigError: it is damaged.
        """
        if not self.pieces:
            return {}
        kept = self._state(len(self.pieces) - 1)
        with self._sound(), kept.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)

    def segment(self, number: int) -> Segment:
        """Begin a segment; what a stopped run left of it is dropped."""
        path = self._path(number, "-part")
        _drop(path)
        _drop(self._path(number))
        return Segment(path, self._form, rate=self._rate, tick=self._tick)

    def finish(self, segment: Segment, place: Place, state: Mapping[str, np.ndarray]) -> None:
        """Close a segment and note it, with the state behind it."""
        segment.close()
        number = len(self.pieces)
        segment.path.rename(self._path(number))
        arrays = io.BytesIO()
        np.savez(arrays, **state)  # pyright: ignore[reportArgumentType] (no array is called allow_pickle)
        _write(self._state(number), arrays.getvalue())
        note = {"times": segment.times, "place": asdict(place)}
        _write(self.folder / f"{number:06d}.json", json.dumps(note).encode())
        self._state(number - 1).unlink(missing_ok=True)
        self.pieces.append(Piece(self._path(number), tuple(segment.times)))
        self.place = place

    def close(self) -> None:
        """Let other runs have the folder."""
        if self._lock is not None:
            self._lock.release()

    def remove(self) -> None:
        """Delete the folder."""
        with contextlib.suppress(OSError):
            self._clear()
        if self._lock is not None:
            self._lock.release(delete=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def _clear(self) -> None:
        """Delete all in the folder but the lock; what says that there is something to go on with first."""
        self._job.unlink(missing_ok=True)
        for path in self.folder.iterdir():
            if self._lock is None or path != self._lock.path:
                _drop(path)

    def _path(self, number: int, more: str = "") -> Path:
        return self.folder / f"{number:06d}{more}{self._form.suffix if self._form.is_video else ''}"

    def _state(self, number: int) -> Path:
        return self.folder / f"state-{number:06d}.npz"


def work_folder(target: Path) -> Path:
    """Name the folder of a target."""
    return target.parent / f".{target.name}.wctstyle"


def _write(path: Path, data: bytes) -> None:
    """Write a file, all or nothing.

    Raises:
        OSError: it cannot be written; it names the file, which the system does not where a disk is full.
    """
    try:
        replace_file(path, data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _drop(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
