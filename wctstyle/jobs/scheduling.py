"""Giving tasks to workers: one each at a time, once more where a worker died, and never two results of one task."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from wctstyle.errors import WorkerError

TRIES = 2
"""How often a task is given to a worker that dies of it."""

_Task = TypeVar("_Task")
_TaskIn = TypeVar("_TaskIn", contravariant=True)


@dataclass(frozen=True)
class Lost:
    """What is known of a worker that died, instead of a result."""

    why: str


class Pool(Protocol[_TaskIn]):
    """Workers that do one task at a time."""

    size: int
    """How many workers there are to be."""

    def start(self) -> Hashable:
        """Start a worker; returns what it is called."""
        ...

    def send(self, worker: Hashable, task: _TaskIn, temporary: str) -> None:
        """Give a task to a worker that has none, and the temporary name for what it writes."""
        ...

    def wait(self) -> Sequence[tuple[Hashable, Any]]:
        """Wait until workers have results; returns both. `Lost` is the result of a worker that is no more."""
        ...

    def stop(self) -> None:
        """End all workers, also those that have a task; returns when they are gone."""
        ...


@dataclass
class _Try(Generic[_Task]):
    """A task that a worker has."""

    number: int
    task: _Task
    temporary: str
    count: int


def run(
    tasks: Iterable[_Task],
    pool: Pool[Any],
    *,
    sent: Callable[[_Task], Any] = lambda task: task,
    name: Callable[[int, int], str] = lambda number, count: "",
    discard: Callable[[_Task, str], None] = lambda task, temporary: None,
    lost: Callable[[_Task, str], None] = lambda task, why: None,
) -> Iterator[tuple[_Task, Any]]:
    """Do all tasks; yields each once, with its result, as they end; `Lost` where every try killed a worker.

    `sent` makes of a task what a worker is given, and `name` a temporary name of its number and try. `discard` removes
    what was written under such a name by a worker that is no more; `lost` is told of each. When the caller stops
    asking, the workers are ended.

    Raises:
        WorkerError: worker after worker dies before one has done anything.
    """
    waiting = enumerate(tasks)
    again: deque[_Try[_Task]] = deque()
    busy: dict[Hashable, _Try[_Task]] = {}
    idle: list[Hashable] = []
    deaths = 0

    def following() -> _Try[_Task] | None:
        if again:
            found = again.popleft()
            return _Try(found.number, found.task, name(found.number, found.count + 1), found.count + 1)
        number, task = next(waiting, (-1, None))
        return None if task is None else _Try(number, task, name(number, 1), 1)

    try:
        while True:
            while len(busy) < pool.size and (attempt := following()) is not None:
                worker = idle.pop() if idle else pool.start()
                busy[worker] = attempt
                pool.send(worker, sent(attempt.task), attempt.temporary)
            if not busy:
                return
            for worker, result in pool.wait():
                attempt = busy.pop(worker)
                if not isinstance(result, Lost):
                    idle.append(worker)
                    deaths = 0
                    yield attempt.task, result
                    continue
                discard(attempt.task, attempt.temporary)
                lost(attempt.task, result.why)
                deaths += 1
                if deaths > TRIES * pool.size:
                    raise WorkerError(f"{deaths} workers in a row ended without a result; the last one {result.why}")
                if attempt.count < TRIES:
                    again.append(attempt)
                else:
                    yield attempt.task, result
    finally:
        pool.stop()
        for attempt in busy.values():
            discard(attempt.task, attempt.temporary)
