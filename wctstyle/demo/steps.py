"""The steps of one page, for undo and redo."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from wctstyle.demo.composition import DEFAULTS, Composition

MAX_STEPS = 100
"""Steps that can be undone; a composition takes about a kilobyte."""

DRAG_SECONDS = 1.0
"""Moves of the same slider with shorter pauses are one step."""

LATE_SECONDS = 2.0
"""How long after an undo a move that was made before it may still arrive."""

Repair = Callable[[Composition], Composition]


def changes(before: Composition, after: Composition) -> set[str]:
    """Name what differs: "content", "styles" (with the masks), "feather", each weight, and the dials by their names."""
    old, new = before.dials, after.dials
    named = {name for name in DEFAULTS if old[name] != new[name]}
    if before.content != after.content:
        named.add("content")
    if before.feather != after.feather:
        named.add("feather")
    if _fixed(before) != _fixed(after):
        return named | {"styles"}
    numbers = zip(_moving(before).items(), _moving(after).items(), strict=True)
    return named | {name for (name, old), (_, new) in numbers if old != new}


def _fixed(composition: Composition) -> list[Any]:
    """Return what no slider moves: the styles and masks of the rest and of every region."""
    blends = [(name, [(id, *part) for id, _, *part in blend]) for name, blend in composition.blends.items()]
    return [blends, [region.mask for region in composition.regions]]


def _moving(composition: Composition) -> dict[str, Any]:
    """Return the weights of all styles and the dials of regions, by names of their own."""
    weights = {
        f"weight {name}/{at}": weight
        for name, blend in composition.blends.items()
        for at, (_, weight, *_) in enumerate(blend)
    }
    dials = {
        f"dial {region.name}/{name}": value
        for region in composition.regions
        for name, value in dataclasses.asdict(region.dials).items()
    }
    return weights | dials


def _slides(name: str) -> bool:
    return name.startswith(("weight ", "dial ")) or name == "feather" or isinstance(DEFAULTS.get(name), int | float)


@dataclass
class Steps:
    """Compositions that were on a page: the one `now`, those before it, and those that were undone.

    Moves of the same sliders with short pauses are one step. Safe to use from several threads.
    """

    now: Composition | None = None
    past: list[Composition] = field(default_factory=list)
    future: list[Composition] = field(default_factory=list)
    _moving: set[str] = field(default_factory=set)
    _moved: float = -1e9
    _left: Composition | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def compositions(self) -> list[Composition]:
        """All that undo and redo can bring back, and what is on the page."""
        with self._lock:
            return [*self.past, *([] if self.now is None else [self.now]), *self.future]

    @property
    def offered(self) -> dict[str, bool]:
        """Whether there is something to undo and to redo."""
        with self._lock:
            return {"undo": bool(self.past), "redo": bool(self.future)}

    def record(self, composition: Composition) -> None:
        """Take in what is on the page now. What was undone meanwhile, and arrives late, is passed over."""
        with self._lock:
            pause = time.monotonic() - self._moved
            if composition == self.now or (composition == self._left and pause < LATE_SECONDS):
                return
            self._append(composition, pause)

    def rest(self) -> None:
        """Count a pause from here: the time that a picture takes belongs to the move."""
        with self._lock:
            self._moved = time.monotonic()

    def undo(self, shown: Composition, repair: Repair) -> Composition | None:
        """Go one step back from what the page shows; returns the composition, or None where there is none.

        `repair` makes a composition of what is still held of its pictures.
        """
        return self._go(shown, repair, self.past, self.future)

    def redo(self, shown: Composition, repair: Repair) -> Composition | None:
        """Go one step forth again; returns the composition, or None where there is none."""
        return self._go(shown, repair, self.future, self.past)

    def _append(self, composition: Composition, pause: float) -> None:
        moving = changes(self.now, composition) if self.now is not None else set()
        drag = moving == self._moving and pause < DRAG_SECONDS and all(map(_slides, moving))
        if self.now is not None and not drag:
            self.past.append(self.now)
            del self.past[:-MAX_STEPS]
        self.future.clear()
        self.now, self._moving, self._moved, self._left = composition, moving, time.monotonic(), None

    def _go(
        self, shown: Composition, repair: Repair, source: list[Composition], target: list[Composition]
    ) -> Composition | None:
        with self._lock:
            if shown != self.now:
                self._append(shown, time.monotonic() - self._moved)
            while source:
                step = repair(source.pop())
                if step != shown:
                    target.append(shown)
                    self.now, self._moving, self._moved, self._left = step, set(), time.monotonic(), shown
                    return step
            return None
