"""What is alike of all clips: the part that is read, frames that are damaged, and where reading went on."""

from __future__ import annotations

import abc
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from wctstyle import images
from wctstyle.errors import ConfigError, ImageError
from wctstyle.settings import MAX_SIDE, checked_number, checked_whole
from wctstyle.video.frames import Frame

USUAL_SIZE = 1024
"""Long side, in pixels, to which larger clips are shrunk unless a size is given: that of `wctstyle stylize`."""

LATEST = 1e7
"""Seconds, more than any clip has; files count in finer units, in 64 bits."""

DEFAULT_FPS = 24.0
"""Frames per second of a folder of pictures."""

Pixels = tuple[np.ndarray, np.ndarray | None]
"""sRGB, and opacity where there is any."""


def seconds_of(name: str, text: str | None) -> float | None:
    """Read seconds, or hours, minutes and seconds with colons.

    Raises:
        ConfigError: it is neither, or too large; the message begins with `name`.
    """
    if text is None:
        return None
    found = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?)", text.strip())
    if not found:
        raise ConfigError(f"{name} is {text!r}, must be seconds, as 12.5, or h:m:s, as 1:02:03")
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return checked_number(name, 3600 * hours + 60 * minutes + seconds, 0, LATEST)


@dataclass(frozen=True)
class Cut:
    """The part of a clip that is read: seconds from its start, `end` not included, and every which frame.

    Raises:
        ConfigError: it is empty, or `every` is not a whole number from 1.
    """

    start: float = 0.0
    end: float | None = None
    every: int = 1

    def __post_init__(self) -> None:
        checked_whole("every", self.every, 1)
        if self.end is not None and self.end <= self.start:
            raise ConfigError(f"end is {self.end:g} s, must be after the start, {self.start:g} s")


@dataclass(frozen=True)
class Place:
    """How far a clip has been read.

    given: frames so far. passed: frames of the cut, given or not. at: the last one's time from the clip's start. end:
    when it ends, from the cut's start. broken: damaged ones.
    """

    given: int = 0
    passed: int = 0
    at: float = -1.0
    end: float = 0.0
    broken: int = 0


@dataclass(frozen=True)
class Shown:
    """A frame of the file: when it is shown and how long, and what decodes its pixels (None: damaged)."""

    seconds: float
    length: float
    pixels: Callable[[], Pixels] | None


class Clip(abc.ABC):
    """An opened clip. Its sides are those of the frames it gives.

    rate: mean frames per second. tick: the unit of its times. total: frames to expect, if known. origin: the file's own
    time at the cut's start; None where there is no sound. notes: what the user is to be told.
    """

    def __init__(self, source: str, sides: tuple[int, int], size: int | None, cut: Cut) -> None:
        self.source, self.cut = source, cut
        self.height, self.width = _fitted(source, sides, size)
        self.rate, self.tick = Fraction(DEFAULT_FPS), Fraction(1, 1000)
        self.total: int | None = None
        self.has_alpha = False
        self.origin: float | None = None
        self.notes: list[str] = []

    @abc.abstractmethod
    def shown(self, after: float) -> Iterator[Shown]:
        """List the frames from the clip's start in order; those before the time `after` may be left out."""

    def frames(self, place: Place = Place()) -> Iterator[tuple[Frame, Place]]:  # noqa: B008
        """Give the frames of the cut after `place`, each with the place behind it.

        A damaged frame repeats the one before it.

        Raises:
            ImageError: there is no frame in the cut.
        """
        good: Shown | None = None
        for shown in self.shown(max(self.cut.start, place.at)):
            if self.cut.end is not None and shown.seconds >= self.cut.end:
                break
            if shown.pixels is not None:
                good = shown
            if good is None or good.pixels is None or shown.seconds < self.cut.start or shown.seconds <= place.at:
                continue
            wanted = place.passed % self.cut.every == 0
            broken = shown.pixels is None
            seconds = shown.seconds - self.cut.start
            ends = seconds + shown.length * self.cut.every
            if self.cut.end is not None:
                ends = min(ends, max(seconds + shown.length, self.cut.end - self.cut.start))
            place = Place(place.given + wanted, place.passed + 1, shown.seconds, ends, place.broken + broken)
            if wanted:
                yield Frame(place.given - 1, seconds, *good.pixels(), broken=broken), place
        if not place.given:
            raise ImageError(f"{self.source}: has no frame there; its last is before --start, choose an earlier one")

    def expect(self, total: float | None) -> None:
        """Say how many frames the whole clip has, so that `total` is that of the cut."""
        if total is not None:
            first, last = self.cut.start, min(total / float(self.rate), self.cut.end or float("inf"))
            self.total = max(1, round((last - first) * float(self.rate) / self.cut.every))


def _fitted(source: str, sides: tuple[int, int], size: int | None) -> tuple[int, int]:
    """Return height and width for a long side; None shrinks to what is usual, 0 keeps the clip's own."""
    height, width = sides
    longest = max(sides)
    wanted = min(longest, USUAL_SIZE) if size is None else size or longest
    if wanted > MAX_SIDE:
        raise ImageError(f"{source}: is {width} x {height}, too large for its own size; give size={MAX_SIDE} or less")
    return images.scaled_sides(images.Picture(np.broadcast_to(np.float32(0), (*sides, 3))), long_side=wanted)


class AnimatedClip(Clip):
    """A GIF, APNG, animated WebP or AVIF; a still picture of these formats is one frame."""

    def __init__(self, source: str, size: int | None, cut: Cut, max_pixels: int) -> None:
        self._opened = images.animation(source, max_pixels=max_pixels)
        super().__init__(source, (self._opened.height, self._opened.width), size, cut)
        self._max_pixels, first = max_pixels, next(self._opened.frames())
        self.rate = Fraction(1 / first[1]).limit_denominator(1000)
        self.has_alpha = first[0].alpha is not None
        self.expect(self._opened.count)

    def shown(self, after: float) -> Iterator[Shown]:
        """Decode every frame, as each may build on the one before."""
        seconds, length = 0.0, 0.0
        frames = images.animation(self.source, max_pixels=self._max_pixels).frames()
        for _ in range(self._opened.count):
            try:
                picture, length = next(frames)
            except (ImageError, StopIteration):  # the rest builds on what is damaged
                yield Shown(seconds, length, None)
                return
            yield Shown(seconds, length, lambda picture=picture: fitted_pixels(picture, self))
            seconds = round(seconds + length, 6)


def pictures_in(folder: Path) -> list[Path]:
    """List the pictures of a folder, in the order of the numbers in their names."""
    return sorted(filter(images.is_image_file, folder.iterdir()), key=natural)


class FolderClip(Clip):
    """A folder of pictures, in the order of the numbers in their names."""

    def __init__(self, source: str, size: int | None, cut: Cut, max_pixels: int, fps: float) -> None:
        self._files = pictures_in(Path(source))
        if not self._files:
            raise ImageError(f"{source}: has no pictures in it; give a folder of frames, or a video file")
        self._max_pixels = max_pixels
        first = images.load(self._files[0], max_pixels=max_pixels)
        super().__init__(source, (first.height, first.width), size, cut)
        self.rate = Fraction(fps).limit_denominator(1001)
        self.tick = Fraction(self.rate.denominator, self.rate.numerator)
        self.has_alpha = first.alpha is not None
        self.expect(len(self._files))

    def shown(self, after: float) -> Iterator[Shown]:
        """Read one file after another; one that cannot be read counts as damaged."""
        for index, file in enumerate(self._files):
            seconds = float(index / self.rate)
            if seconds + 2 / self.rate < after:
                continue
            try:
                picture = images.load(file, max_pixels=self._max_pixels)
            except ImageError:
                yield Shown(seconds, float(1 / self.rate), None)
                continue
            yield Shown(seconds, float(1 / self.rate), lambda picture=picture: fitted_pixels(picture, self))


def natural(path: Path) -> list[tuple[int, str]]:
    """Order names so that frame2 comes before frame10."""
    parts = re.split(r"(\d+)", path.name.casefold())
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def fitted_pixels(picture: images.Picture, clip: Clip) -> Pixels:
    """Scale a picture to a clip's sides."""
    fitted = images.resize_to(picture, height=clip.height, width=clip.width)
    return fitted.rgb, fitted.alpha
