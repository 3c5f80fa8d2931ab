"""Jobs: a bounded queue, one painter, progress, cancelling, and results that are kept for a while."""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from wctstyle import heaps
from wctstyle.errors import ConfigError, WctStyleError
from wctstyle.service.limits import Limits
from wctstyle.service.refusals import FAULT, Refused

log = logging.getLogger("wctstyle.service")

State = Literal["waiting", "running", "done", "failed", "cancelled"]

SWEEP_EVERY = 15.0
"""Seconds between looks for results that are kept long enough."""

LONGEST_WAIT = 60
"""Most seconds after which clients of a full queue are asked to come back."""


class Cancelled(Exception):
    """The job is not wanted any more."""


@dataclass(frozen=True)
class Made:
    """A file that a job made, and what is told of it. error: why there is none, for one of several."""

    name: str
    path: Path | None
    type: str
    told: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class Work:
    """What a job does. quick: it is done between the steps of slow ones. several: its result is a list.

    do: makes the files; it is given a `Teller`. refuse: turns an error into what the client is told.
    """

    do: Callable[[Teller], Sequence[Made]]
    refuse: Callable[[WctStyleError], Refused]
    quick: bool = False
    several: bool = False


@dataclass(eq=False)
class Job:
    """Work that was asked for. `folder` holds its files. `listeners` are called, from any thread, when it changes."""

    kind: str
    work: Work
    folder: Path
    key: tuple[str, str] | None = None
    id: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    state: State = "waiting"
    progress: float = 0.0
    error: Refused | None = None
    warnings: list[str] = field(default_factory=list)
    made: Sequence[Made] = ()
    began: float | None = None
    ended: float | None = None
    paused: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)
    listeners: list[Callable[[], None]] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether it has ended, well or not."""
        return self.state not in ("waiting", "running")

    @property
    def seconds(self) -> float:
        """For how long it has been at work."""
        if self.began is None:
            return 0.0
        return (time.monotonic() if self.ended is None else self.ended) - self.began - self.paused

    def tell(self, **news: Any) -> None:
        """Change fields, and let listeners know."""
        for name, value in news.items():
            setattr(self, name, value)
        for listener in tuple(self.listeners):
            listener()


class Teller:
    """What work says of itself while it goes on."""

    def __init__(self, jobs: Jobs, job: Job) -> None:
        self._jobs, self.job = jobs, job

    def check(self) -> None:
        """Go on, unless the job is not wanted any more or takes too long.

        Raises:
            Cancelled: it is not wanted.
            ConfigError: it takes longer than is granted.
        """
        if self.job.stop.is_set():
            raise Cancelled
        most = self._jobs.limits.job_seconds
        if self.job.seconds > most:
            raise ConfigError(f"this took longer than {most:g} seconds; make it smaller or ask for fewer steps")

    def step(self, done: float, of: float) -> None:
        """Say how far it is. Raises as `check`."""
        self.job.tell(progress=round(min(1.0, done / of), 4) if of else 0.0)
        self.check()

    def pause(self) -> None:
        """Let quick jobs that wait go first. Raises as `check`."""
        self._jobs.do_quick(self.job)
        self.check()

    def warn(self, text: str) -> None:
        """Keep a warning for the client."""
        self.job.warnings.append(text)


class Jobs:
    """Does one job at a time, quick ones first, whether or not a client is there to see it.

    `folder` holds a folder for each job. `done` is told of each job that was begun and has ended.
    """

    def __init__(self, limits: Limits, folder: Path) -> None:
        self.limits, self.folder = limits, folder
        self.done: Callable[[Job], None] = lambda job: None
        self._quick: deque[Job] = deque()
        self._slow: deque[Job] = deque()
        self._running: list[Job] = []
        self._known: dict[str, Job] = {}
        self._keys: dict[str, Job] = {}
        self._news = threading.Condition()  # whose lock may be taken again by who has it
        self._closed = False
        self._mean_seconds = 1.0
        self._painter = threading.Thread(target=self._paint, name="painter", daemon=True)
        self._painter.start()

    # -------------------------------------------------------------------------------------------------- by the client

    def new_folder(self) -> Path:
        """Make the folder of a job."""
        folder = self.folder / secrets.token_hex(16)
        folder.mkdir()
        return folder

    def check_room(self) -> None:
        """Refuse a job that there is no room for.

        Raises:
            Refused: the queue is full, or the server stops.
        """
        with self._news:
            if self._closed:
                raise Refused(503, "this server stops; come back later", headers={"Retry-After": "10"})
            if len(self._quick) + len(self._slow) >= self.limits.queue_size:
                wait = str(round(min(LONGEST_WAIT, max(1.0, self._mean_seconds))))
                raise Refused(503, "too many jobs are waiting; come back later", headers={"Retry-After": wait})

    def keyed(self, key: tuple[str, str] | None) -> Job | None:
        """Return the job that was asked for by this key before; `key` has the fingerprint of the request as well.

        Raises:
            Refused: that was another request.
        """
        with self._news:
            before = None if key is None else self._keys.get(key[0])
        if before is not None and before.key != key:
            raise Refused(422, "Idempotency-Key was used for another request; take a new one", field="Idempotency-Key")
        return before

    def submit(self, job: Job) -> Job:
        """Put a job in line; returns the one that has its key already where there is one.

        Raises:
            Refused: as `check_room` and `keyed`.
        """
        with self._news:
            before = self.keyed(job.key)
            if before is not None:
                return before
            self.check_room()
            self._known[job.id] = job
            if job.key is not None:
                self._keys[job.key[0]] = job
            (self._quick if job.work.quick else self._slow).append(job)
            self._news.notify_all()
        return job

    def find(self, id: str) -> Job:
        """Return a job.

        Raises:
            Refused: there is none, or it ended too long ago.
        """
        self.sweep()
        with self._news:
            if id not in self._known:
                kept = round(self.limits.result_seconds / 60)
                raise Refused(404, f"there is no job of that id; results are kept for {kept} minutes", field="id")
            return self._known[id]

    def cancel(self, job: Job) -> None:
        """End a job: at once where it waits, at its next step where it runs. The result of one that is over goes."""
        with self._news:
            job.stop.set()
            if job.state == "waiting":
                (self._quick if job.work.quick else self._slow).remove(job)
                self._end(job, "cancelled")
            elif job.over:
                self._forget(job)

    def place(self, job: Job) -> int | None:
        """Count the jobs that come before one that waits; None for others."""
        with self._news:
            if job.state != "waiting":
                return None
            before = list(self._quick) if job.work.quick else [*self._quick, *self._slow]
            return before.index(job) + len(self._running)

    def sweep(self) -> None:
        """Delete results that are kept long enough, or are too many."""
        with self._news:
            over = sorted((job for job in self._known.values() if job.over), key=lambda job: -(job.ended or 0))
            held, now = 0, time.monotonic()
            for number, job in enumerate(over):
                held += sum(made.path.stat().st_size for made in job.made if made.path is not None)
                late = now - (job.ended or 0) > self.limits.result_seconds
                if late or number >= self.limits.results or (held > self.limits.result_bytes and number):
                    self._forget(job)

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        with self._news:
            return len(self._quick) + len(self._slow)

    @property
    def busy(self) -> bool:
        """Whether a job runs or waits."""
        with self._news:
            return bool(self._running or self._quick or self._slow)

    @property
    def held_bytes(self) -> int:
        """Bytes of the results that are kept."""
        with self._news:
            made = [one for job in self._known.values() for one in job.made]
            return sum(one.path.stat().st_size for one in made if one.path is not None)

    def drain(self) -> None:
        """Take no more jobs, and end those that wait."""
        with self._news:
            self._closed = True
            for job in [*self._quick, *self._slow]:
                self.cancel(job)
            self._news.notify_all()

    def close(self, seconds: float = 5.0) -> None:
        """Take no more jobs, end all that there are, and delete their files."""
        with self._news:
            self.drain()
            for job in tuple(self._running):
                self.cancel(job)
        self._painter.join(seconds)
        shutil.rmtree(self.folder, ignore_errors=True)

    # ------------------------------------------------------------------------------------------------- by the painter

    def do_quick(self, slow: Job) -> None:
        """Do all quick jobs that wait, between two steps of a slow one."""
        began = time.monotonic()
        while True:
            with self._news:
                if not self._quick or self._closed:
                    break
                job = self._begin(self._quick.popleft())
            self._run(job)
        slow.paused += time.monotonic() - began

    def _begin(self, job: Job) -> Job:
        self._running.append(job)
        job.tell(state="running", began=time.monotonic())
        for other in [*self._quick, *self._slow]:
            other.tell()  # it is nearer now
        return job

    def _paint(self) -> None:
        while True:
            with self._news:
                while not (self._quick or self._slow or self._closed):
                    if not self._news.wait(SWEEP_EVERY):
                        self.sweep()
                if self._closed:
                    return
                job = self._begin((self._quick or self._slow).popleft())
            self._run(job)
            del job
            heaps.trim()

    def _run(self, job: Job) -> None:
        state: State = "failed"
        try:
            job.made = job.work.do(Teller(self, job))
            state = "done"
        except Cancelled:
            state = "cancelled"
        except WctStyleError as error:
            job.error = job.work.refuse(error)
        except Exception:
            log.exception("a fault in a job of the kind %s", job.kind)
            job.error = Refused(500, FAULT)
        with self._news:
            self._running.remove(job)
            self._mean_seconds += 0.2 * (job.seconds - self._mean_seconds)
            self._end(job, "cancelled" if job.stop.is_set() else state)
        self.done(job)

    def _end(self, job: Job, state: State) -> None:
        """Keep of a job what is told of it, and its result."""
        keep = {made.path for made in job.made} if state == "done" else set()
        for path in sorted(job.folder.rglob("*"), reverse=True):
            if path.is_file() and path not in keep:
                path.unlink(missing_ok=True)
        job.work = Work(_nothing, job.work.refuse, job.work.quick, job.work.several)
        job.made = job.made if state == "done" else ()
        job.tell(state=state, ended=time.monotonic(), progress=1.0 if state == "done" else job.progress)

    def _forget(self, job: Job) -> None:
        self._known.pop(job.id, None)
        if job.key is not None and self._keys.get(job.key[0]) is job:
            del self._keys[job.key[0]]
        shutil.rmtree(job.folder, ignore_errors=True)


def _nothing(tell: Teller) -> Sequence[Made]:
    """Stand where the work was, so that its pictures are not held in memory."""
    raise RuntimeError("this work is done")
