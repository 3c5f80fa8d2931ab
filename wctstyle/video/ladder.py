"""The size at which live frames are painted: the largest at which enough of them come in a second."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence

SIZES = (128, 192, 256, 320, 384, 448, 512, 640, 768, 896, 1024)
"""Long sides in pixels, of the family that compiled programs serve (`wctstyle.sizes`)."""

START = 256
"""Long side in pixels of the first frames: a machine of two cores holds it."""

RATE = 8.0
"""Frames per second that are held."""

SEEN = 6
"""Frames by which a size is judged, all painted at it. Faces are sought beside some of them, so it is their median."""

UP = 0.8
"""A larger size is tried if its frames are expected to take no more than this share of the time they may."""

MOST_WAITING = 0.5
"""Most of the time between frames that counts as spent on their way: no size makes a slow line fast."""

FIRST_REST, LONGEST_REST = 5.0, 80.0
"""Seconds for which a size that was too slow is not tried again: the first time, and at most. It doubles each time."""


def first(sizes: Sequence[int]) -> int:
    """Return the size of the first frames."""
    return max((size for size in sizes if size <= START), default=sizes[0])


class Ladder:
    """Chooses among sizes by the time that frames take. `cost`: what a frame of a size takes, in any unit."""

    def __init__(
        self,
        cost: Callable[[int], float],
        sizes: Sequence[int] = SIZES,
        *,
        rate: float = RATE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cost, self._sizes, self._rate, self._clock = cost, tuple(sizes), rate, clock
        self.size = self._at = first(self._sizes)
        self._frames: deque[tuple[float, float]] = deque(maxlen=SEEN)
        self._rests: dict[int, tuple[float, float]] = {}

    def note(self, seconds: float, waited: float, at: int) -> int:
        """Take in how long a frame was painted, and how long the painter waited for it; returns the size to go to.

        at: long side at which it was painted, less than `size` where the camera's frames are smaller.
        """
        if at != self._at:
            self._at = at
            self._frames.clear()
        self._frames.append((seconds, waited))
        if len(self._frames) < SEEN:
            return self.size
        took, away = (statistics.median(times) for times in zip(*self._frames, strict=True))
        may = 1 / self._rate - min(away, MOST_WAITING / self._rate)

        def expected(size: int) -> float:
            return took * self._cost(size) / self._cost(at)

        resting = [size for size, (until, _) in self._rests.items() if until > self._clock()]
        if took > may:
            smaller = [size for size in self._sizes if size < at and size not in resting]
            return max((size for size in smaller if expected(size) <= may), default=min(smaller, default=self.size))
        if at < self.size:
            return self.size
        larger = [size for size in self._sizes if size > at and not any(at < slow <= size for slow in resting)]
        return max((size for size in larger if expected(size) <= UP * may), default=self.size)

    def go(self, size: int) -> None:
        """Paint at another size from now on. One that is left for a smaller one is not tried again for a while."""
        if size < self._at:
            self.rest(self._at)
        self.size = self._at = size
        self._frames.clear()

    def rest(self, size: int) -> None:
        """Do not go to a size for a while."""
        _, last = self._rests.get(size, (0.0, FIRST_REST / 2))
        seconds = min(2 * last, LONGEST_REST)
        self._rests[size] = self._clock() + seconds, seconds
        self._frames.clear()
