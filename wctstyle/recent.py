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
        self._making: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable, make: Callable[[], _V]) -> _V:
        """Return the value cached for a key, or make it. Who asks for a key that is being made waits for that one."""
        with self._lock:
            if key in self._items:
                return self._found(key)
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._items:
                    return self._found(key)
            try:
                value = make()
                weight = self.weigh(value)
                with self._lock:
                    self._items[key] = value, weight
                    self.total += weight
                    while self.total > self.capacity and len(self._items) > 1:
                        self.total -= self._items.popitem(last=False)[1][1]
            finally:
                with self._lock:
                    self._making.pop(key, None)
        return value

    def clear(self, keep: Callable[[Hashable], bool] = lambda key: False) -> None:
        """Forget all values but those whose key is to be kept."""
        with self._lock:
            self._items = OrderedDict((key, item) for key, item in self._items.items() if keep(key))
            self.total = sum(weight for _, weight in self._items.values())

    def _found(self, key: Hashable) -> _V:
        self._items.move_to_end(key)
        return self._items[key][0]
