"""A cache of the most recently used values."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_V = TypeVar("_V")


class Recent(Generic[_V]):
    """An LRU cache bounded by total weight (by default, the number of values). Thread-safe.

    The newest value is kept whatever its weight.
    """

    def __init__(self, capacity: int, weigh: Callable[[_V], int] = lambda _: 1) -> None:
        self.capacity, self.weigh, self.total = capacity, weigh, 0
        self._items: OrderedDict[Hashable, tuple[_V, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], _V]) -> _V:
        """Return the value cached for a key, or make it; no lock is held during `make`."""
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
                return self._items[key][0]
        value = make()
        weight = self.weigh(value)
        with self._lock:
            if key in self._items:
                return self._items[key][0]
            self._items[key] = value, weight
            self.total += weight
            while self.total > self.capacity and len(self._items) > 1:
                self.total -= self._items.popitem(last=False)[1][1]
        return value

    def clear(self) -> None:
        """Forget all values."""
        with self._lock:
            self._items.clear()
            self.total = 0
