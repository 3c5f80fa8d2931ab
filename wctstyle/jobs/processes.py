"""A pool of processes on this machine, each with its own models."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Hashable, Iterator, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import Any

from wctstyle.jobs.scheduling import Lost
from wctstyle.jobs.work import Job, Painter, paint

PATIENCE = 10.0
"""Seconds that a process has to end by itself, most of it for the picture it paints, before it is killed."""


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_machine(threads: int) -> None:
    """Let this process use so many cores, and memory of a GPU only as it needs it; before JAX is imported."""
    os.environ.setdefault("NPROC", str(threads))  # XLA's own name for the threads that it starts on a CPU
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def jobs_worker() -> Callable[[Job, str], Any]:
    """Return what a process does with jobs."""
    painter = Painter()
    return lambda job, temporary: paint(painter, job, temporary)


class Processes:
    """A pool of processes (`scheduling.Pool`). They are spawned, as JAX hangs in a forked one.

    `worker` makes, in each process, the function that does a task.
    """

    def __init__(self, size: int, worker: Callable[[], Callable[[Any, str], Any]] = jobs_worker) -> None:
        self.size, self._worker = size, worker
        self._context = multiprocessing.get_context("spawn")
        self._running: dict[Hashable, tuple[Any, Any]] = {}
        self._busy: set[Hashable] = set()

    def start(self) -> Hashable:
        """Start a process; returns its id."""
        ours, theirs = self._context.Pipe()
        threads = max(1, cores() // self.size)
        process = self._context.Process(target=_serve, args=(theirs, self._worker, threads), daemon=True)
        with _without_interrupts():
            process.start()
        theirs.close()
        self._running[process.pid] = process, ours
        return process.pid

    def send(self, worker: Hashable, task: Any, temporary: str) -> None:
        """Give a task to a process; one that died meanwhile is told by `wait`."""
        self._busy.add(worker)
        with contextlib.suppress(OSError):
            self._running[worker][1].send((task, temporary))

    def wait(self) -> Sequence[tuple[Hashable, Any]]:
        """Wait for results, and for the ends of processes."""
        by_end = {connection: worker for worker, (_, connection) in self._running.items()}
        found = []
        for connection in wait(list(by_end)):
            worker = by_end[connection]  # pyright: ignore[reportArgumentType]
            process = self._running[worker][0]
            self._busy.discard(worker)
            try:
                found.append((worker, self._running[worker][1].recv()))
            except (EOFError, OSError):  # it closes its end of the pipe by dying
                process.join()
                del self._running[worker]
                found.append((worker, Lost(_ending(process.exitcode))))
        return found

    def stop(self) -> None:
        """End all processes: those with a task by a signal, others as their pipe closes, and all after `PATIENCE`."""
        for worker in self._busy:
            self._running[worker][0].terminate()
        for _, connection in self._running.values():
            connection.close()
        for process, _ in self._running.values():
            process.join(PATIENCE)
            if process.is_alive():
                process.kill()
                process.join()
        self._running.clear()
        self._busy.clear()


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was killed by signal {-code}{' (usually because memory ran out)' if code == -9 else ''}"
    return f"ended with code {code}"


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach: this one alone decides what it ends.

    Windows has no masks of signals; there the processes ignore it themselves, once they serve.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # which would let the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Any, worker: Callable[[], Callable[[Any, str], Any]], threads: int) -> None:
    """Do what comes through the pipe until it is closed; the signal to end removes what is half written."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    share_machine(threads)
    with contextlib.suppress(EOFError, OSError, _Ended):
        do = worker()
        while True:
            connection.send(do(*connection.recv()))


class _Ended(BaseException):
    """The pool ends this process."""


def _end(signum: int, frame: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Ended
