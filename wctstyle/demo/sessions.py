"""Who is there and what they hold: pictures and results in memory, bounded per session and for all together."""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from wctstyle import images, samples
from wctstyle.demo.composition import Composition
from wctstyle.demo.limits import Limits
from wctstyle.demo.pictures import StoredPicture, hold, sample
from wctstyle.errors import ConfigError
from wctstyle.recipe import Recipe

ResultKind = Literal["styled", "optimised"]

Losses = tuple[tuple[int, float, int], ...]
"""Step, loss, and the scale (from 1) it was measured at."""

KEPT_FORMATS: dict[ResultKind, str] = {"styled": "jpeg", "optimised": "png"}


@dataclass(frozen=True)
class HistoryEntry:
    """A result in a session's history: the picture as bytes of a file, how it was made, and what was measured."""

    id: str
    kind: ResultKind
    composition: Composition
    recipe: Recipe
    data: bytes
    thumb: str
    width: int
    height: int
    seconds: float
    losses: Losses = ()

    @property
    def format(self) -> str:
        """Format of `data`: what cannot be made again at once is kept without loss."""
        return KEPT_FORMATS[self.kind]

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes."""
        return len(self.data) + len(self.thumb)


@dataclass
class Session:
    """What one open page holds. Safe to use from several threads.

    ticket: number of the click on Optimise that counts. seen: when the page last asked for anything (`time.monotonic`).
    refusal: why the latest action failed, until the page was told.
    """

    key: str
    limits: Limits
    stop: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)
    optimising: Literal["", "waiting", "running"] = ""
    before_shown: tuple[str, int] | None = None
    ticket: int = 0
    seen: float = field(default_factory=time.monotonic)
    moves: int = 0
    refusal: str = ""
    latest: tuple[Composition, np.ndarray, float] | None = None
    _pictures: OrderedDict[str, StoredPicture] = field(default_factory=OrderedDict)
    _history: OrderedDict[str, HistoryEntry] = field(default_factory=OrderedDict)
    _numbers: itertools.count = field(default_factory=lambda: itertools.count(1))
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that its pictures and results take."""
        with self._lock:
            held = sum(p.nbytes for p in self._pictures.values()) + sum(k.nbytes for k in self._history.values())
            return held + (0 if self.latest is None else self.latest[1].nbytes)

    @property
    def pictures(self) -> list[StoredPicture]:
        """The pictures that were uploaded, oldest first."""
        with self._lock:
            return list(self._pictures.values())

    @property
    def history(self) -> list[HistoryEntry]:
        """The results, oldest first."""
        with self._lock:
            return list(self._history.values())

    def add(self, picture: images.Picture, name: str) -> StoredPicture:
        """Hold an uploaded picture; the same one twice is held once."""
        id = "upload:" + hashlib.sha256(picture.content_hash.encode()).hexdigest()[:16]
        held = hold(picture, id, name, self.limits.max_size)
        with self._lock:
            self._pictures.pop(id, None)
            self._pictures[id] = held
            while len(self._pictures) > self.limits.uploads:
                self._pictures.popitem(last=False)
            self._shrink()
        return held

    def keep(self, **values: Any) -> HistoryEntry:
        """Add a result to the history; `values` are the fields of `HistoryEntry` without the id."""
        with self._lock:
            kept = HistoryEntry(id=f"r{next(self._numbers)}", **values)
            self._history[kept.id] = kept
            while len(self._history) > self.limits.history:
                self._history.popitem(last=False)
            self._shrink()
        return kept

    def _shrink(self) -> None:
        most = self.limits.held_bytes
        while self.nbytes > most and len(self._history) > 1:
            self._history.popitem(last=False)
        while self.nbytes > most and len(self._pictures) > 1:
            self._pictures.popitem(last=False)

    def picture(self, id: str) -> StoredPicture:
        """Return a picture by its id, of the gallery or of this session.

        Raises:
            ConfigError: it is not here (any more).
        """
        if id.startswith(samples.PREFIX):
            return sample(id)
        with self._lock:
            if id in self._pictures:
                self._pictures.move_to_end(id)
                return self._pictures[id]
        raise ConfigError("A picture of this blend is not kept here any more. Please add it once more.")

    def result(self, id: str) -> HistoryEntry:
        """Return a result of the history by its id.

        Raises:
            ConfigError: it is not here (any more).
        """
        with self._lock:
            if id in self._history:
                return self._history[id]
        raise ConfigError("This result is not kept any more. The history holds only the latest results.")

    def find(self, name: str, content_hash: str) -> str | None:
        """Return the id of a picture that a recipe names: a sample by name, an upload by its hash."""
        if name.startswith(samples.PREFIX):
            known = {*samples.names("content"), *samples.names("style")}
            return name if name.removeprefix(samples.PREFIX) in known else None
        return next((held.id for held in self.pictures if held.content_hash == content_hash), None)

    def close(self) -> None:
        """Stop what runs for this session and let go of what it holds."""
        self.stop.set()
        self.closed.set()
        with self._lock:
            self._pictures.clear()
            self._history.clear()
            self.latest = None


class Sessions:
    """All sessions by key: made on first use, forgotten when closed or, the least recently used, for want of room."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._items: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.RLock()

    def __len__(self) -> int:
        with self._lock:
            return len(self._items)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that all sessions take."""
        with self._lock:
            return sum(session.nbytes for session in self._items.values())

    def get(self, key: str) -> Session:
        """Return the session of a key, a new one if there is none."""
        with self._lock:
            session = self._items.get(key)
            if session is None:
                session = self._items[key] = Session(key, self.limits)
            session.seen = time.monotonic()
            self._items.move_to_end(key)
            while len(self._items) > self.limits.sessions:
                self._forget_one()
        return session

    def quiet_since(self, key: str, moment: float) -> bool:
        """Say whether a session asked for nothing since a moment of `time.monotonic()`, and none of its jobs runs."""
        with self._lock:
            session = self._items.get(key)
        return session is None or (session.seen <= moment and session.optimising != "running")

    def close(self, key: str) -> None:
        """Forget a session."""
        with self._lock:
            session = self._items.pop(key, None)
        if session is not None:
            session.close()

    def make_room(self) -> None:
        """Forget the least recently used sessions until all together hold no more than allowed; the latest stays."""
        with self._lock:
            while len(self._items) > 1 and self.nbytes > self.limits.total_bytes:
                self._forget_one()

    def _forget_one(self) -> None:
        """Forget the least recently used session but the latest; one that waits for an optimisation only if all do."""
        older = list(self._items)[:-1]
        key = next((key for key in older if not self._items[key].optimising), older[0])
        self._items.pop(key).close()
