"""Videos: clips that were uploaded, and painting them, with what the page shows meanwhile."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from wctstyle import images
from wctstyle.demo.actions import Service
from wctstyle.demo.backend import part_of
from wctstyle.demo.composition import Composition
from wctstyle.demo.limits import MIB, Limits
from wctstyle.demo.optimising import GIVE_WAY_SECONDS, check_painted
from wctstyle.demo.pictures import address, public_name, thumbnail, uploaded
from wctstyle.demo.recipes import recipe_for
from wctstyle.demo.runs import Run, telling
from wctstyle.demo.sessions import Session
from wctstyle.demo.sheets import chooser, duration
from wctstyle.errors import ConfigError, ImageError
from wctstyle.files import link_or_copy
from wctstyle.inputs import Mask
from wctstyle.optimizer import OptimizeSettings
from wctstyle.optimizer.settings import MAX_STEPS
from wctstyle.recipe import Optimisation, slow_settings
from wctstyle.settings import checked_number, checked_whole, optimizer_model
from wctstyle.video import job
from wctstyle.video.clips import Clip, Cut
from wctstyle.video.forms import form_of
from wctstyle.video.making import Painting, content_of
from wctstyle.video.reading import open_clip
from wctstyle.video.work import work_folder

SIZES = (256, 512, 768, 1024)
"""Long sides in pixels that the page offers."""

USUAL_SIZE = 512

LEAST_SIZE = 32

SLACK = 0.5
"""Seconds over the limit that a clip may have: cameras cut where they can."""

GONE = "There is no clip here, or not any more. Please choose it once more."


@dataclass(frozen=True)
class Progress:
    """How far a video is; at the end with its file. fps: frames painted in a second; steps: frames to expect, or 0."""

    step: int
    steps: int
    fps: float
    text: str
    photo: np.ndarray | None = None
    painted: np.ndarray | None = None
    file: Path | None = None

    @cached_property
    def thumb(self) -> str:
        """The latest frame as a small address."""
        return "" if self.painted is None else thumbnail(self.painted)

    @cached_property
    def pair(self) -> list[str]:
        """The latest frame as it was and as it is, as addresses."""
        return [address(frame) for frame in (self.photo, self.painted) if frame is not None]


@contextlib.contextmanager
def _without(folder: Path) -> Iterator[None]:
    """Leave a folder of the server out of messages."""
    try:
        yield
    except (ConfigError, ImageError) as error:
        raise type(error)(_public(str(error), folder)) from error


def _public(text: str, folder: Path) -> str:
    return text.replace(f"{folder}{os.sep}", "")


def take_clip(
    path: object, name: object, upload_folder: str, export_folder: Path, limits: Limits, *, keep: bool = False
) -> Path:
    """Put an uploaded clip into a folder of its own and, without `keep`, delete the upload.

    Raises:
        ImageError: it is none of the uploads, is gone, or is too large.
    """
    file = uploaded(path, upload_folder)
    if file is None or not file.is_file():
        raise ImageError(GONE)
    if (size := file.stat().st_size) > limits.video_bytes:
        most = limits.video_bytes / MIB
        raise ImageError(f"This clip is too large, {size / MIB:.0f} MB. Clips may have up to {most:.0f} MB.")
    clip = Path(tempfile.mkdtemp(dir=export_folder)) / public_name(name or file.name)
    link_or_copy(file, clip)
    if not keep:
        file.unlink(missing_ok=True)
    return clip


def open_upload(limits: Limits, path: Path | None, size: int, cut: Cut = Cut()) -> Clip:  # noqa: B008
    """Open a clip that was uploaded, its frames at a long side of at most `size`.

    Raises:
        ConfigError: the size is out of range, or PyAV is not installed.
        ImageError: it cannot be read, is too long, or has too many pixels.
    """
    if not LEAST_SIZE <= size <= limits.video_size:
        raise ConfigError(f"size is {size:g}, must be from {LEAST_SIZE} to {limits.video_size} pixels")
    if path is None or not path.is_file():
        raise ImageError(GONE)
    with _without(path.parent):
        opened = partial(open_clip, str(path), cut=cut, max_pixels=limits.upload_pixels)
        clip = opened(size=None)  # which enlarges nothing
        if max(clip.height, clip.width) > size:
            clip = opened(size=size)
    seconds = None if clip.total is None else clip.total / float(clip.rate)
    if seconds is not None and seconds > limits.video_seconds + SLACK:
        raise ImageError(
            f"{path.name}: this clip is {duration(seconds)} long. Clips may have up to "
            f"{duration(limits.video_seconds)}. Please cut it first."
        )
    return clip


def describe(limits: Limits, path: Path) -> str:
    """Say in a line what a clip is.

    Raises:
        ImageError: it cannot be read, or is too long.
    """
    clip = open_upload(limits, path, limits.video_size)
    long = "" if clip.total is None else f", {duration(clip.total / float(clip.rate))}, {clip.total} frames"
    return f"{path.name}{long}"


def said(text: str, limits: Limits) -> dict[str, Any]:
    """Return what the page shows of the button that chooses a clip, and beside it."""
    return chooser("Choose a clip", "video/*,.mkv,.gif,.apng,.webp,.avif", limits.video_bytes, text)


def painting_of(session: Session, composition: Composition, clip: Clip, calm: float, steps: int = 0) -> Painting:
    """Put together how a clip is painted: with the blend of all that lies in no region, and all dials.

    steps: 0 paints each frame in one pass; with more, frames are optimised, those that follow another by so many.

    Raises:
        ConfigError: there is no style, a picture or mask is not kept any more, OpenCV is not installed, or the steps
            are no number from 0, or there are some and nothing is painted.
        ImageError: the ready-made mask of a style is not found in it.
    """
    whole = replace(composition, regions=())
    if not whole.styles:
        raise ConfigError("A video is painted without regions, and there is no style outside of them. Add one there.")
    checked_number("calm", calm, 0, 1)
    steps = checked_whole("steps", steps, 0, session.limits.optimise_steps)
    held = [session.picture(spec.source) for spec in whole.specs]
    parts = [
        Mask(spec.mask, plane=part_of(session, picture, spec.mask).plane()) if spec.mask else None
        for spec, picture in zip(whole.specs, held, strict=True)
    ]
    recipe = recipe_for(whole, session, size=max(clip.height, clip.width))
    with _without(Path(clip.source).parent):
        recipe = replace(recipe, content=content_of(clip.source))
    if steps:
        check_painted(recipe.settings)
        goal = Optimisation(OptimizeSettings(**slow_settings(recipe.settings)), optimizer_model(recipe.model))
        recipe = replace(recipe, settings=replace(recipe.settings, refine=0), optimisation=goal)
    return Painting(clip, recipe, [images.load(picture.pixels) for picture in held], parts, calm, steps=steps)


def estimate(service: Service, composition: Composition, clip: Clip, steps: int) -> str:
    """Say how long it takes to optimise a clip: about as long as a picture of its size with the steps of all frames.

    Raises:
        ConfigError: nothing is painted, so there is nothing to optimise.
    """
    check_painted(composition.settings)
    goal = OptimizeSettings(**slow_settings(composition.settings))
    count = steps if clip.total is None else goal.steps + steps * (clip.total - 1)
    whole = replace(goal, steps=min(count, MAX_STEPS), smallest=max(16, clip.height, clip.width))
    optimizer = service.backend.optimizer(optimizer_model(composition.model))
    seconds, most = optimizer.estimate((clip.height, clip.width), whole), service.limits.paint_seconds
    frames = "a frame" if clip.total is None else f"{clip.total} frames"
    text = f"About {duration(seconds)} for {frames} at {clip.width} × {clip.height} on this machine, alone"
    return text + (f"; it stops at {duration(most)}, with what is done." if seconds > most else ".")


def paint(
    service: Service,
    session: Session,
    asked: Callable[[], Painting],
    stop: threading.Event,
    tell: Callable[[Progress], None],
) -> Iterator[Progress]:
    """Paint a clip into a file beside it. Tells of every frame; yields the end, with the file.

    What is done is kept when `stop` is set, and when the time of `Limits.paint_seconds` is over; a frame that is being
    optimised then has fewer steps.

    Raises:
        ImageError: the clip cannot be read to its end, or nothing be written.
    """
    began, painting, notes = time.monotonic(), asked(), []
    source = Path(painting.clip.source)
    target = Path(tempfile.mkdtemp(dir=source.parent)) / f"{_plain(source.stem)}-painted.mp4"
    form, _ = form_of(str(target), codec=None, format=None, quality=None, alpha=False)

    def over() -> bool:
        late = time.monotonic() - began > service.limits.paint_seconds
        return late or stop.is_set() or session.closed.is_set()

    def told(now: job.Progress) -> None:
        tell(Progress(now.frames, now.total or 0, now.per_second, _course(now), now.photo, now.painted))
        service.backend.priority.give_way(GIVE_WAY_SECONDS)

    def between() -> bool:
        service.backend.priority.give_way(GIVE_WAY_SECONDS)
        return over()

    with _without(source.parent), _without(target.parent):
        painter = partial(painting.painter, service.backend.stylizer, service.backend.optimizer, between)
        made = painting.job(target, form).run(painter, stop=over, told=told, warn=notes.append)
    shutil.rmtree(work_folder(target), ignore_errors=True)  # nobody goes on with it
    if session.closed.is_set():
        shutil.rmtree(source.parent, ignore_errors=True)
        return
    ending = "Done" if not made.stopped else "Stopped, and kept" if stop.is_set() else "The time limit was reached"
    text = f"{ending}: {made.frames} frames, {duration(made.seconds)}, painted in {duration(time.monotonic() - began)}."
    remarks = " ".join(f"{_public(note, source.parent)}." for note in notes)
    speed = made.frames / (time.monotonic() - began)
    yield Progress(made.frames, made.frames, speed, f"{text} {remarks}".rstrip(), file=target)


def _plain(name: str) -> str:
    """Leave out what has a meaning in an address."""
    return re.sub(r"[^\w-]+", "-", name).strip("-") or "clip"


def _course(now: job.Progress) -> str:
    """Say how far a video is."""
    text = f"Frame {now.frames}" + (f" of {now.total}" if now.total else "")
    if now.per_second:
        text += f", {now.per_second:.1f} a second"
    return text if now.seconds_left is None else f"{text}, about {duration(now.seconds_left)} left"


def submit(
    service: Service, session: Session, composition: Composition, clip: Clip, calm: float, steps: int = 0
) -> Run:
    """Put a video in line; returns the one that is painted already where there is one (`Queue.submit`).

    Raises:
        WctStyleError: as `painting_of`, or too many are waiting.
    """
    asked = partial(painting_of, session, composition, clip, calm, steps)
    asked()  # checks it now; it is made again when its turn comes, so that its pictures are not held while it waits
    run = telling(session, "video", partial(paint, service, session, asked), folder=Path(clip.source).parent)
    return service.queue.submit(run, most=service.limits.queue_size)
