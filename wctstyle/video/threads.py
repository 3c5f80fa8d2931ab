"""Reading ahead and writing behind: threads with queues that hold a few frames."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

_T = TypeVar("_T")

QUEUED = 4
"""Frames that wait on either side of the painting: enough to even out keyframes, 30 MB each at 1920 x 1080."""

_TURN = 0.1
"""Seconds after which a thread that waits looks whether it is still wanted."""


class _Ended:
    """What follows the last item: the error that ended it, if one did."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def ahead(items: Iterator[_T]) -> Iterator[_T]:
    """Take from an iterator in a thread, `QUEUED` items before they are asked for."""
    waiting: queue.Queue[_T | _Ended] = queue.Queue(QUEUED)
    unwanted = threading.Event()

    def put(item: _T | _Ended) -> None:
        while not unwanted.is_set():
            try:
                return waiting.put(item, timeout=_TURN)
            except queue.Full:
                continue

    def run() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                put(item)
                if unwanted.is_set():
                    return
        except BaseException as raised:  # noqa: BLE001 (it is raised where the items are taken)
            error = raised
        put(_Ended(error))

    thread = threading.Thread(target=run, name="wctstyle-read", daemon=True)
    thread.start()
    try:
        while True:
            item = waiting.get()
            if isinstance(item, _Ended):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        unwanted.set()
        thread.join()


class Behind:
    """Makes calls in order in a thread, at most `QUEUED` of them waiting. What one raises, the next `put` raises."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[Callable[[], None] | None] = queue.Queue(QUEUED)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="wctstyle-write", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while (call := self._waiting.get()) is not None:
            if self._error is None:
                try:
                    call()
                except BaseException as error:  # noqa: BLE001 (it is raised where the calls come from)
                    self._error = error

    def put(self, call: Callable[[], None]) -> None:
        """Add a call."""
        self._waiting.put(call)
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Wait for all calls."""
        self._waiting.put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def drop(self) -> None:
        """Wait for the call that is being made, and make no more."""
        self._error = self._error or RuntimeError("dropped")
        self._waiting.put(None)
        self._thread.join()
