"""What one page holds: pictures, masks and results in memory, bounded."""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from wctstyle import images, samples
from wctstyle.demo.awaited import Awaited
from wctstyle.demo.composition import Composition
from wctstyle.demo.limits import Limits
from wctstyle.demo.masking import HELD, StoredMask, is_mask
from wctstyle.demo.pictures import PictureKind, StoredPicture, hold, sample
from wctstyle.demo.runs import Run
from wctstyle.demo.steps import Steps
from wctstyle.errors import ConfigError
from wctstyle.recipe import Recipe

FRESH_MASKS = 12
"""Masks that are kept though nothing uses them yet or any more, the latest."""

ResultKind = Literal["styled", "optimised"]

Losses = tuple[tuple[int, float, int], ...]
"""Step, loss, and the scale (from 1) it was measured at."""


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
    with the moments they last asked for anything (`time.monotonic`); seen: the last of these. run: the optimisation or
    video asked for last. live_until: when its live picture ends (`time.monotonic`) if no frame comes. clip: the video
    that was uploaded last. pair: the pictures "before" and "after" of an analogy. on_screen: id of the result on the
    stage, None for the blend. composition: the one last shown. mover: the page that moved last. planned: what it was
    last told that a file will be made of. trying: number of the contact sheet that the page asked for or closed last.
    shelf: own photos and styles by id, oldest first. files, written: for the store, its files by the id of what is in
    them, and the state that it has. refusal: why the latest action failed, until the page was told.
    """

    key: str
    limits: Limits
    lasting: bool = False
    closed: threading.Event = field(default_factory=threading.Event)
    run: Run | None = None
    live_until: float = 0.0
    clip: Path | None = None
    pair: dict[str, StoredPicture] = field(default_factory=dict)
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
    _masks: OrderedDict[str, StoredMask] = field(default_factory=OrderedDict)
    _history: OrderedDict[str, HistoryEntry] = field(default_factory=OrderedDict)
    _numbers: itertools.count = field(default_factory=lambda: itertools.count(1))
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that its pictures and results take."""
        with self._lock:
            kept = (*self._pictures.values(), *self._masks.values(), *self._history.values(), *self.pair.values())
            return sum(held.nbytes for held in kept) + (0 if self.latest is None else self.latest[1].nbytes)

    @property
    def at_work(self) -> bool:
        """Whether an optimisation or a video of this session waits or runs, or its camera is painted."""
        return (self.run is not None and self.run.state != "ended") or time.monotonic() < self.live_until

    @property
    def pictures(self) -> list[StoredPicture]:
        """The pictures that were uploaded, oldest first."""
        with self._lock:
            return list(self._pictures.values())

    @property
    def masks(self) -> list[StoredMask]:
        """The masks, those used last at the end."""
        with self._lock:
            return list(self._masks.values())

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
            masks = frozenset(mask.key for mask in self._masks.values())
            return self.composition, tuple(map(tuple, self.shelf.values())), pictures, masks, tuple(self._history)

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
        masks: Iterable[StoredMask] = (),
    ) -> Session:
        """Make a session of what a store kept, as far as today's limits allow."""
        session = cls(key, limits, lasting=True, moves=1, composition=composition, shelf=shelf)
        session._pictures.update((held.id, held) for held in list(pictures)[-limits.uploads :])
        session._masks.update((mask.id, mask) for mask in masks)
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

    def put_in_pair(self, place: str, held: StoredPicture) -> None:
        """Hold one of the pair of an analogy, "before" or "after"."""
        with self._lock:
            self.pair[place] = held
            self._shrink()

    def remove(self, id: str) -> None:
        """Let go of an uploaded picture; while a run may need it, it is held on."""
        with self._lock:
            if not self.at_work:
                self._pictures.pop(id, None)

    def holds(self, id: str) -> bool:
        """Say whether a picture is a sample or held here."""
        if id.startswith(samples.PREFIX):
            return id.removeprefix(samples.PREFIX) in {*samples.names("content"), *samples.names("style")}
        with self._lock:
            return id in self._pictures

    def add_mask(self, mask: StoredMask) -> StoredMask:
        """Hold a mask; the same one twice is held once. Those that nothing uses any more go, but for the latest."""
        known = [self.composition, *self.steps.compositions, *(kept.composition for kept in self.history)]
        used = {id for composition in known if composition is not None for id in composition.masks}
        with self._lock:
            self._masks.pop(mask.id, None)
            unused = [id for id in self._masks if id not in used]
            for id in unused[: max(0, len(unused) - FRESH_MASKS + 1)]:
                del self._masks[id]
            self._masks[mask.id] = mask
            self._shrink()
        return mask

    def holds_mask(self, id: str) -> bool:
        """Say whether a mask is ready-made or held here."""
        with self._lock:
            return id in self._masks or (is_mask(id) and not id.startswith(HELD))

    def mask(self, id: str) -> StoredMask:
        """Return a mask that is held here.

        Raises:
            ConfigError: it is not here (any more).
        """
        with self._lock:
            if id in self._masks:
                self._masks.move_to_end(id)
                return self._masks[id]
        raise ConfigError("A mask of this blend is not kept here any more. Please draw or add it once more.")

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
        for held in (self._masks, self._pictures):
            while self.nbytes > most and len(held) > 1:
                held.popitem(last=False)

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

    def find_mask(self, content_hash: str) -> str | None:
        """Return the id of a mask that a recipe names, by its hash."""
        return next((mask.id for mask in self.masks if mask.content_hash == content_hash), None)

    def close(self) -> None:
        """Stop what runs for this session and let go of what it holds."""
        self.closed.set()
        if self.run is not None:
            self.run.stop()
        with self._lock:
            self._pictures.clear()
            self._masks.clear()
            self._history.clear()
            self.pair.clear()
            self.latest = None
