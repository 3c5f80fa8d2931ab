"""How much a client has left: what it may have fills up again evenly."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

MOST_CLIENTS = 10_000
"""Clients that are remembered; those not seen for longest are forgotten, and start with all they may have."""


class Buckets:
    """A store for each client that holds `most` and fills from empty in `seconds`. For one thread."""

    def __init__(self, most: float, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.most, self._rate, self._clock = most, most / seconds, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def left(self, client: str) -> float:
        """Return what a client may take now."""
        left, seen = self._left.get(client, (self.most, 0.0))
        return min(self.most, left + (self._clock() - seen) * self._rate)

    def wait(self, client: str, amount: float = 1) -> float:
        """Return the seconds until a client may take so much: 0 where it may now."""
        return max(0.0, (min(amount, self.most) - self.left(client)) / self._rate)

    def take(self, client: str, amount: float = 1) -> bool:
        """Take so much, or nothing if there is less; returns whether it was taken."""
        left = self.left(client)
        if left < amount:
            return False
        self._left[client] = left - amount, self._clock()
        self._left.move_to_end(client)
        while len(self._left) > MOST_CLIENTS:
            self._left.popitem(last=False)
        return True
