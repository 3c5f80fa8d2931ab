"""The queue of optimisations, videos and extras: one runs at a time, and goes on when its page is reloaded."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from wctstyle.errors import ConfigError, WctStyleError

log = logging.getLogger("wctstyle.demo")

FAULT = "Something went wrong here. Please try once more, or load the page again."

CLOSED = "This server is being stopped. Please try again in a minute."

RunKind = Literal["optimise", "video", "texture", "dream", "analogy"]

KINDS: dict[RunKind, str] = {
    "optimise": "an optimisation",
    "video": "a video",
    "texture": "a texture",
    "dream": "a dream",
    "analogy": "an analogy",
}
"""What the page calls runs."""


class Owner(Protocol):
    """Who asks for runs: a session."""

    run: Run | None


@dataclass(eq=False)
class Run:
    """Slow work that was asked for. Pages follow it: `version` grows with everything that is new.

    work: makes the progress of the run, and ends early when the event it is given is set. moves: `Session.moves` when
    it was asked for; the stage is left to what was shown on it since. folder: files that it needs until it has ended.
    """

    session: Owner
    work: Callable[[threading.Event], Iterator[Any]]
    moves: int = 0
    kind: RunKind = "optimise"
    folder: Path | None = None
    state: Literal["waiting", "running", "ended"] = "waiting"
    progress: Any = None
    error: str = ""
    version: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)

    def tell(self, **news: Any) -> None:
        """Change fields, and let followers know."""
        for name, value in news.items():
            setattr(self, name, value)
        self.version += 1

    def stop(self) -> None:
        """Ask the run to end: at once where it waits, after its step where it runs."""
        self.stopped.set()
        self.tell(**({"state": "ended"} if self.state == "waiting" else {}))


def telling(
    session: Owner,
    kind: RunKind,
    make: Callable[[threading.Event, Callable[[Any], None]], Iterator[Any]],
    *,
    folder: Path | None = None,
) -> Run:
    """Return a run of work that tells of its progress between what it yields too, by what it is given after `stop`."""
    run = Run(session, work=lambda stop: make(stop, lambda now: run.tell(progress=now)), kind=kind, folder=folder)
    return run


class Queue:
    """Does one run at a time, in the order they were asked for, whether or not a page is there to see it."""

    def __init__(self) -> None:
        self._waiting: list[Run] = []
        self._running: Run | None = None
        self._lock = threading.Lock()
        self._worker: threading.Thread | None = None
        self._closed = False
        self.ended: Callable[[str, str], None] = lambda kind, end: None
        """Told of each run that ends: its kind, and one of done, stopped and failed."""

    def submit(self, run: Run, *, most: int) -> Run:
        """Put a run in line. One of its session that waits gives up its place; one that runs is returned instead.

        Raises:
            ConfigError: `most` runs are waiting, one of another kind of its session waits or runs, or the server stops.
        """
        session = run.session
        with self._lock:
            if self._closed:
                raise ConfigError(CLOSED)
            before = session.run
            if before is not None and before.kind != run.kind and before.state != "ended":
                raise ConfigError(f"This page is still at work on {KINDS[before.kind]}. Stop that first, or wait.")
            if before is not None and before.state == "running" and not before.stopped.is_set():
                return before
            if len([other for other in self._waiting if other.session is not session]) >= most:
                raise ConfigError("Too many jobs are waiting. Please try again later.")
            if before is not None and before.state == "waiting":
                before.stop()
            session.run = run
            self._waiting.append(run)
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name="queue", daemon=True)
                self._worker.start()
        return run

    @property
    def length(self) -> int:
        """How many runs wait or run."""
        with self._lock:
            return len([run for run in self._waiting if run.state == "waiting"]) + (self._running is not None)

    def close(self) -> None:
        """Take no more runs, and let go of those that wait; the one that runs goes on."""
        with self._lock:
            self._closed = True
            for run in self._waiting:
                run.error = CLOSED
                run.stop()

    def stop(self) -> None:
        """Ask the run in progress to end after its step."""
        with self._lock:
            if self._running is not None:
                self._running.stop()

    @property
    def empty(self) -> bool:
        """Whether no run is in progress or in line."""
        with self._lock:
            return self._worker is None

    @property
    def folders(self) -> list[Path]:
        """The folders of the runs in progress and in line."""
        with self._lock:
            live = [*self._waiting, *([self._running] if self._running else [])]
        return [run.folder for run in live if run.folder is not None and run.state != "ended"]

    def ahead(self, run: Run) -> int:
        """Count the runs that come before a waiting one, with the one that runs."""
        with self._lock:
            live = [other for other in self._waiting if other is run or not other.stopped.is_set()]
        return live.index(run) + 1 if run in live else 0

    def _next(self) -> Run | None:
        with self._lock:
            while self._waiting:
                run = self._waiting.pop(0)
                if run.state == "waiting":
                    run.tell(state="running")
                    self._running = run
                    for other in self._waiting:
                        other.tell()  # it is nearer now
                    return run
            self._worker = self._running = None
            return None

    def _work(self) -> None:
        while (run := self._next()) is not None:
            try:
                for progress in run.work(run.stopped):
                    run.tell(progress=progress)
            except WctStyleError as error:
                run.error = str(error)
            except Exception:
                log.exception("a fault in %s", KINDS[run.kind])
                run.error = FAULT
            self.ended(run.kind, "failed" if run.error else "stopped" if run.stopped.is_set() else "done")
            run.tell(state="ended")
