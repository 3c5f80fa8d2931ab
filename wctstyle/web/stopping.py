"""A stop without loss: no new work is taken, what runs may end, and a second signal ends at once."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name))
"""What asks a server to stop: Ctrl-C, `kill` and a container's end, Ctrl-Break on Windows."""

LOOK_EVERY = 0.1
"""Seconds between looks whether work has ended."""


class Stopping:
    """Whether a stop is wanted. Safe to share between threads."""

    def __init__(self, told: Callable[[], None] | None = None) -> None:
        """`told` is called at the first signal."""
        self._wanted, self._told = threading.Event(), told

    @property
    def wanted(self) -> bool:
        """Whether the server takes no new work any more."""
        return self._wanted.is_set()

    def ask(self) -> None:
        """Ask for a stop."""
        self._wanted.set()

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take the first signal for a wish to stop; a second one raises KeyboardInterrupt. In the main thread only."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def note(number: int, frame: Any) -> None:
            if self.wanted:
                raise KeyboardInterrupt
            self.ask()
            if self._told is not None:
                self._told()

        before = {number: signal.getsignal(number) for number in SIGNALS}
        heard = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
        for number in heard:
            signal.signal(number, note)
        try:
            yield
        finally:
            for number in heard:
                signal.signal(number, before[number])

    def wait(self) -> None:
        """Wait until a stop is wanted."""
        while not self._wanted.wait(3600):  # not for ever: on Windows a signal would not be heard
            pass

    def finish(self, busy: Callable[[], bool], seconds: float) -> bool:
        """Wait until nothing is busy any more, at most so long; returns whether all has ended."""
        end = time.monotonic() + seconds
        while busy():
            if time.monotonic() >= end:
                return False
            time.sleep(LOOK_EVERY)
        return True
