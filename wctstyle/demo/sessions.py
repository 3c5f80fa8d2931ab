"""Who is there and what they hold: pictures and results in memory, bounded per session and for all together.

A page has a key of its own, which its browser makes and keeps as long as the tab is open. Its session is found by it
again when the page is loaded anew. A page without one has a session until it is closed.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from wctstyle import images, samples
from wctstyle.demo.awaited import Awaited
from wctstyle.demo.composition import Composition
from wctstyle.demo.limits import Limits
from wctstyle.demo.pictures import PictureKind, StoredPicture, hold, sample
from wctstyle.demo.runs import Run
from wctstyle.demo.steps import Steps
from wctstyle.errors import ConfigError
from wctstyle.recipe import Recipe

ResultKind = Literal["styled", "optimised"]

Losses = tuple[tuple[int, float, int], ...]
"""Step, loss, and the scale (from 1) it was measured at."""

KEY = re.compile(r"[0-9a-f]{32}")
"""The form of a page's own key. It comes from a browser, so everything else is taken for none."""

MOST_PAGES = 8
"""Pages that are remembered for one session: each load of a page is a new one to Gradio."""


def upload_id(content_hash: str) -> str:
    """Return the id of an own picture: the same wherever it is added."""
    return "upload:" + hashlib.sha256(content_hash.encode()).hexdigest()[:16]


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
        """Format of `data`: png or jpeg."""
        return "png" if self.data.startswith(b"\x89PNG") else "jpeg"

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes."""
        return len(self.data) + len(self.thumb)


@dataclass
class Session:
    """What one open page holds. Safe to use from several threads.

    lasting: it is found again by its key, which is the page's own. pages: Gradio's names for the page, one per load,
    with the moments they last asked for anything (`time.monotonic`); seen: the last of these. run: the optimisation
    asked for last. on_screen: id of the result on the stage, None for the blend. composition: the one last shown.
    mover: the page that moved last. planned: what it was last told that a file will be made of. trying: number of the
    contact sheet that the page asked for or closed last. shelf: own photos and styles by id, oldest first. files,
    written: for the store, its files by the id of what is in them, and the state that it has. refusal: why the latest
    action failed, until the page was told.
    """

    key: str
    limits: Limits
    lasting: bool = False
    closed: threading.Event = field(default_factory=threading.Event)
    run: Run | None = None
    on_screen: str | None = None
    before_shown: tuple[str, int] | None = None
    seen: float = field(default_factory=time.monotonic)
    moves: int = 0
    pages: OrderedDict[str, float] = field(default_factory=OrderedDict)
    composition: Composition | None = None
    mover: str | None = None
    shelf: dict[PictureKind, list[str]] = field(default_factory=lambda: {"content": [], "style": []})
    files: dict[str, str] = field(default_factory=dict)
    written: Hashable = None
    refusal: str = ""
    planned: Hashable = None
    trying: float = 0.0
    latest: tuple[Composition, np.ndarray, float] | None = None
    steps: Steps = field(default_factory=Steps)
    awaited: Awaited = field(default_factory=Awaited)
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
    def optimising(self) -> bool:
        """Whether an optimisation of this session waits or runs."""
        return self.run is not None and self.run.state != "ended"

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

    @property
    def state(self) -> Hashable:
        """What would be lost: equal as long as there is nothing new to write."""
        with self._lock:
            pictures = frozenset((held.id, held.name) for held in self._pictures.values())
            return self.composition, tuple(map(tuple, self.shelf.values())), pictures, tuple(self._history)

    @property
    def untouched(self) -> bool:
        """Whether there is nothing to lose: no more than the first picture that every page opens with."""
        with self._lock:
            return not self.moves and not self._pictures and len(self._history) <= 1

    @classmethod
    def remembered(
        cls,
        key: str,
        limits: Limits,
        *,
        composition: Composition | None,
        shelf: dict[PictureKind, list[str]],
        pictures: Iterable[StoredPicture],
        history: Iterable[HistoryEntry],
    ) -> Session:
        """Make a session of what a store kept, as far as today's limits allow."""
        session = cls(key, limits, lasting=True, moves=1, composition=composition, shelf=shelf)
        session._pictures.update((held.id, held) for held in list(pictures)[-limits.uploads :])
        session._history.update((kept.id, kept) for kept in list(history)[-limits.history :])
        session._numbers = itertools.count(1 + max((int(id.removeprefix("r")) for id in session._history), default=0))
        session._shrink()
        return session

    def put_on_shelf(self, id: str, kind: PictureKind) -> None:
        """Remember what an own picture is used as."""
        with self._lock:
            ids = [other for other in self.shelf[kind] if other != id and other in self._pictures]
            self.shelf[kind] = [*ids, id]

    def add(self, picture: images.Picture, name: str) -> StoredPicture:
        """Hold an uploaded picture; the same one twice is held once."""
        id = upload_id(picture.content_hash)
        held = hold(picture, id, name, self.limits.max_size)
        with self._lock:
            self._pictures.pop(id, None)
            self._pictures[id] = held
            while len(self._pictures) > self.limits.uploads:
                self._pictures.popitem(last=False)
            self._shrink()
        return held

    def remove(self, id: str) -> None:
        """Let go of an uploaded picture; while an optimisation needs it, it is held on."""
        with self._lock:
            if not self.optimising:
                self._pictures.pop(id, None)

    def holds(self, id: str) -> bool:
        """Say whether a picture is a sample or held here."""
        if id.startswith(samples.PREFIX):
            return id.removeprefix(samples.PREFIX) in {*samples.names("content"), *samples.names("style")}
        with self._lock:
            return id in self._pictures

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

    def styled(self, composition: Composition) -> HistoryEntry | None:
        """Return the latest fast result of a composition; None where there is none."""
        found = (kept for kept in reversed(self.history) if kept.kind == "styled" and kept.composition == composition)
        return next(found, None)

    def find(self, name: str, content_hash: str) -> str | None:
        """Return the id of a picture that a recipe names: a sample by name, an upload by its hash."""
        if name.startswith(samples.PREFIX):
            return name if self.holds(name) else None
        return next((held.id for held in self.pictures if held.content_hash == content_hash), None)

    def close(self) -> None:
        """Stop what runs for this session and let go of what it holds."""
        self.closed.set()
        if self.run is not None:
            self.run.stop()
        with self._lock:
            self._pictures.clear()
            self._history.clear()
            self.latest = None


class Storage(Protocol):
    """Where sessions are kept beyond this process."""

    def save(self, session: Session) -> None:
        """Keep a session as it is now."""

    def load(self, key: str, limits: Limits) -> Session | None:
        """Return the session of a key, None where there is none."""

    def sweep(self) -> None:
        """Drop what is too old or too much."""


class Sessions:
    """All sessions: made on first use, forgotten when their pages are closed or, the least recently used, for room.

    With a store they are written to it first, by `write`, and come back from it when they are asked for.
    """

    def __init__(self, limits: Limits, store: Storage | None = None) -> None:
        self.limits, self.store = limits, store
        self._items: OrderedDict[str, Session] = OrderedDict()
        self._leaving: dict[str, Session] = {}
        self._homes: dict[str, str] = {}
        self._lock = threading.RLock()
        self._writing = threading.Lock()

    def __len__(self) -> int:
        with self._lock:
            return len(self._items)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that all sessions take."""
        with self._lock:
            return sum(session.nbytes for session in self._items.values())

    def get(self, page: str, key: str | None = None) -> Session:
        """Return the session of a page: that of the page's own key where it has one. A new one if there is none."""
        key = key if key is not None and KEY.fullmatch(key) else None
        name = key or page
        with self._lock:
            known = name in self._items or name in self._leaving
        stored = None
        if not known and key is not None and self.store is not None:
            stored = self.store.load(key, self.limits)  # reads pictures, so others do not wait for it
        with self._lock:
            session = self._items.get(name) or self._leaving.pop(name, None)
            if session is None and stored is not None:
                session, stored.written = stored, stored.state
            session = self._items[name] = session or Session(name, self.limits, lasting=key is not None)
            self._welcome(session, page)
            self._items.move_to_end(name)
            while len(self._items) > self.limits.sessions:
                self._forget_one()
        return session

    def _welcome(self, session: Session, page: str) -> None:
        """Note that a page asked for its session; one that it had before it told its key is let go."""
        if self._homes.get(page, session.key) != session.key:
            self.close(page)
        session.seen = session.pages[page] = time.monotonic()
        session.pages.move_to_end(page)
        self._homes[page] = session.key
        while len(session.pages) > MOST_PAGES:
            self._homes.pop(session.pages.popitem(last=False)[0], None)

    def quiet_since(self, page: str, moment: float) -> bool:
        """Say whether a page asked for nothing since a moment of `time.monotonic()`."""
        with self._lock:
            session = self._items.get(self._homes.get(page, page))
        return session is None or session.pages.get(page, 0.0) <= moment

    def optimising(self, page: str) -> bool:
        """Say whether an optimisation of a page's session waits or runs."""
        with self._lock:
            session = self._items.get(self._homes.get(page, page))
        return session is not None and session.optimising

    def close(self, page: str) -> None:
        """Forget a page, and its session unless that has other pages, such as the same one loaded anew."""
        with self._lock:
            name = self._homes.pop(page, page)
            session = self._items.get(name)
            if session is None:
                return
            session.pages.pop(page, None)
            if not session.pages:
                self._let_go(self._items.pop(name))

    def make_room(self) -> None:
        """Forget the least recently used sessions until all together hold no more than allowed; the latest stays."""
        with self._lock:
            while len(self._items) > 1 and self.nbytes > self.limits.total_bytes:
                self._forget_one()

    def write(self) -> None:
        """Write what changed to the store, and let go of what has left. Takes its time, and nobody waits for it."""
        if self.store is None:
            return
        with self._writing:
            with self._lock:
                left = list(self._leaving.values())
                sessions = [session for session in [*self._items.values(), *left] if session.lasting]
            for session in sessions:
                state = session.state
                if state != session.written and not (session.written is None and session.untouched):
                    self.store.save(session)
                    session.written = state
            with self._lock:
                for session in left:
                    if self._leaving.pop(session.key, None) is not None:  # else it was asked for meanwhile
                        session.close()

    def _forget_one(self) -> None:
        """Forget the least recently used session but the latest; one that waits for an optimisation only if all do."""
        older = list(self._items)[:-1]
        key = next((key for key in older if not self._items[key].optimising), older[0])
        self._let_go(self._items.pop(key))

    def _let_go(self, session: Session) -> None:
        for page in session.pages:
            self._homes.pop(page, None)
        session.pages.clear()
        if self.store is not None and session.lasting:
            if session.run is not None:
                session.run.stop()
            self._leaving[session.key] = session
        else:
            session.close()
