"""A video from beginning to end: read ahead, painted, written behind in segments, joined."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from wctstyle.video.clips import Clip, Place
from wctstyle.video.forms import Form
from wctstyle.video.frames import Frame
from wctstyle.video.joining import Origin, Piece, join
from wctstyle.video.threads import Behind, ahead
from wctstyle.video.work import Work
from wctstyle.video.writing import fine_tick

SEGMENT_SECONDS = 2.0
"""How much of the clip a segment holds: what is painted again after a crash, and the distance of keyframes."""


class Paints(Protocol):
    """What paints frames and can be stopped and gone on with: `calm.VideoStylizer`."""

    def frames(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """Paint frames."""
        ...

    def state(self) -> dict[str, np.ndarray]:
        """Return what the next frame needs."""
        ...

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a state."""
        ...


@dataclass(frozen=True)
class Progress:
    """How far a run is: frames done, how many there will be (None: unknown), frames per second, seconds left.

    photo, painted: the latest frame as it was, and as it is.
    """

    frames: int
    total: int | None
    per_second: float
    seconds_left: float | None
    photo: np.ndarray
    painted: np.ndarray


@dataclass(frozen=True)
class Made:
    """What came of a run. stopped: it was asked to stop, and the target ends there."""

    frames: int
    seconds: float
    broken: int
    stopped: bool


@dataclass(frozen=True)
class VideoJob:
    """A clip and what is to be made of it.

    recipe: kept in the target, and what tells the job from others. sound: that of the clip goes along.
    """

    clip: Clip
    target: Path
    form: Form
    recipe: Mapping[str, Any]
    sound: bool = True

    def run(
        self,
        painter: Callable[[], Paints],
        *,
        resume: bool = False,
        overwrite: bool = False,
        stop: Callable[[], bool] = lambda: False,
        told: Callable[[Progress], None] = lambda progress: None,
        warn: Callable[[str], None],
    ) -> Made:
        """Paint the clip into the target.

        resume: go on where a run of the same job ended. overwrite: start again where one is left. stop: is asked after
        each frame; the target then holds those done, and `resume` goes on.

        Raises:
            ConfigError: work is left from another run, or one is writing this target now.
            ImageError: the clip cannot be read, or the target not be written.
        """
        sides = [self.clip.height, self.clip.width]
        tick = fine_tick(self.clip.tick)
        work = Work(self.target, self.form, {**self.recipe, "sides": sides}, rate=self.clip.rate, tick=tick)
        with closing(work):
            work.begin(resume=resume, overwrite=overwrite)
            notes = [*self.clip.notes]
            for note in notes:
                warn(f"{self.clip.source}: {note}")
            try:
                rest, place, stopped = self._painted(work, painter, stop, told, warn)
            except BaseException:
                if not work.pieces:  # there is nothing to go on with
                    work.remove()
                raise
            for note in self.clip.notes[len(notes) :]:  # what reading to the end has shown
                warn(f"{self.clip.source}: {note}")
            pieces = [*work.pieces, *rest]
            self._join(pieces, place, stopped, warn)
            if not stopped:
                work.remove()
        frames = sum(len(piece.times) for piece in pieces)
        return Made(frames, place.end, place.broken, stopped)

    def _join(self, pieces: list[Piece], place: Place, stopped: bool, warn: Callable[[str], None]) -> None:
        clip, sound = self.clip, None
        if self.sound and clip.origin is not None and self.form.is_video:
            cut = place.end if stopped else None if clip.cut.end is None else clip.cut.end - clip.cut.start
            end = None if cut is None else clip.origin + cut
            sound = Origin(clip.source, clip.origin, end, whole_start=not clip.cut.start)
        join(
            pieces, self.target, self.form, end=place.end, tick=fine_tick(clip.tick), sound=sound,
            recipe=dict(self.recipe), warn=warn,
        )  # fmt: skip

    def _painted(
        self,
        work: Work,
        painter: Callable[[], Paints],
        stop: Callable[[], bool],
        told: Callable[[Progress], None],
        warn: Callable[[str], None],
    ) -> tuple[list[Piece], Place, bool]:
        """Paint what is left to paint; returns the piece of a segment that was stopped, and how far all of it goes."""
        run = _Run(self.clip, work, told, warn)
        behind, segment = Behind(), None
        reader = ahead(self.clip.frames(work.place))
        try:
            stylizer: Paints | None = None
            groups = groupby(reader, key=lambda pair: pair[0].seconds // SEGMENT_SECONDS)
            for number, (_, group) in enumerate(groups, len(work.pieces)):
                if stylizer is None:
                    stylizer = painter()
                    stylizer.restore(work.state())
                segment = work.segment(number)
                painted = stylizer.frames(run.noted(group))
                for frame in painted:
                    behind.put(partial(segment.add, frame))
                    run.did(frame)
                    if stop():
                        painted.close()  # pyright: ignore[reportAttributeAccessIssue] (it is a generator)
                        behind.close()
                        segment.close()
                        return [Piece(segment.path, tuple(segment.times))], run.place, True
                behind.put(partial(work.finish, segment, run.place, stylizer.state()))
            behind.close()
        except BaseException:
            behind.drop()
            if segment is not None:
                segment.abandon()
            raise
        finally:
            reader.close()  # pyright: ignore[reportAttributeAccessIssue] (it is a generator)
        return [], work.place, False


class _Run:
    """Keeps count: where the painted frames end, how fast they come, and whether damage was told."""

    def __init__(self, clip: Clip, work: Work, told: Callable[[Progress], None], warn: Callable[[str], None]) -> None:
        self._clip, self._work, self._told, self._warn = clip, work, told, warn
        self.place = work.place
        self._read: dict[int, tuple[Place, np.ndarray]] = {}
        self._began: float | None = None
        self._before = work.place.given

    def noted(self, pairs: Iterator[tuple[Frame, Place]]) -> Iterator[Frame]:
        """Pass frames on, and keep each and where it ends."""
        for frame, place in pairs:
            self._read[frame.index] = place, frame.rgb
            if frame.broken and place.broken == 1:
                self._warn(f"{self._clip.source}: is damaged at {place.at:.2f} s; the frame before is repeated")
            yield frame

    def did(self, frame: Frame) -> None:
        """Note that a frame is painted. The first, which compiles, does not count for the speed."""
        self.place, photo = self._read.pop(frame.index)
        now = time.perf_counter()
        if self._began is None:
            self._began, self._before = now, frame.index + 1
        done, passed = frame.index + 1 - self._before, now - self._began
        speed = done / passed if done and passed else 0.0
        total = self._clip.total
        left = max(0, total - frame.index - 1) / speed if total and speed else None
        self._told(Progress(frame.index + 1, total, speed, left, photo, frame.rgb))
