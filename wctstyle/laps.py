"""Seconds that the steps of a job take."""

from __future__ import annotations

import time
from collections.abc import Mapping


class Laps:
    """Adds up wall seconds by step; `steps` are listed with 0 until they end."""

    def __init__(self, *steps: str) -> None:
        self.began = self._since = time.perf_counter()
        self.seconds: dict[str, float] = dict.fromkeys(steps, 0.0)

    def end(self, step: str) -> None:
        """Count what has passed since the last call for this step."""
        now = time.perf_counter()
        self._add(step, now - self._since)
        self._since = now

    def include(self, seconds: Mapping[str, float]) -> None:
        """Take over what others have counted since the last call; the rest goes to the step that ends next."""
        for step, value in seconds.items():
            self._add(step, value)
            self._since += value

    def skip(self) -> None:
        """Count what has passed since the last call for no step."""
        self._since = time.perf_counter()

    def _add(self, step: str, value: float) -> None:
        self.seconds[step] = self.seconds.get(step, 0.0) + value
