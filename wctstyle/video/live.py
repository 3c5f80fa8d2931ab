"""Painting the frames of a camera as they come, at the largest size that holds a number of frames per second."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from wctstyle import images
from wctstyle.codes import ContentCode
from wctstyle.errors import ConfigError
from wctstyle.faces import face_map
from wctstyle.fitting import fit_part
from wctstyle.look import sides_at
from wctstyle.measuring import texture_of
from wctstyle.regions import Region, Style, regions_of, weighted_styles
from wctstyle.settings import DEFAULT_CALM, Settings, checked_number, style_long_side
from wctstyle.sizes import padded_side
from wctstyle.video.carrying import carried, memory_of, steadied
from wctstyle.video.extras import opencv
from wctstyle.video.flow import Flow, flow, warped
from wctstyle.video.frames import Frame
from wctstyle.video.ladder import RATE, SIZES, Ladder, first
from wctstyle.video.painter import FACES_KEPT, Painter, Rgb, Shot, stays_photo
from wctstyle.video.shots import Change, change

if TYPE_CHECKING:
    from wctstyle.stylizer import Stylizer

log = logging.getLogger(__name__)

FACES_EVERY = 0.5
"""Seconds after which faces are sought again, beside the painting."""

AWAY = 2.0
"""Seconds without a frame after which the next one begins a shot."""

Blend = Callable[[int, int], Any]
"""Returns the styles of a frame of a height and a width in pixels, in a form that `Stylizer.stylize` takes."""


def fitting(styles: Any) -> Blend:
    """Return styles, pictures alone or with weights, scaled so that their strokes are as large as in the paintings.

    Raises:
        ConfigError: there is none, or one is a region: masks of a photo do not fit a camera's frames.

    Example:
        >>> blend = fitting([np.zeros((90, 120, 3), np.float32)])
        >>> [(style.picture.shape, weight) for style, weight in blend(48, 64)]
        [((48, 64, 3), 1.0)]
    """
    regions = regions_of(styles)
    if regions[0].styles is not styles:
        raise ConfigError("a live picture has no regions; give styles alone, or with weights")
    listed = weighted_styles(styles)

    def scaled(height: int, width: int) -> list[tuple[Style, float]]:
        longest = max(height, width)
        side = style_long_side(longest)
        return [(fit_part(images.load(own.picture), side, longest, own.mask), weight) for own, weight in listed]

    return scaled


@dataclass(frozen=True)
class _Wanted:
    """What is painted with. Equal ones give the same paint."""

    blend: Blend
    settings: Settings
    memory: float


class _Eyes:
    """Seeks the faces of the latest frame beside the painting; they are a moment old when they are found."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._began = clock, clock()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="wctstyle-faces")
        self._looking: Future[Any] | None = None

    def look(self, photo: Rgb) -> None:
        if self._looking is None and self._clock() - self._began >= FACES_EVERY:
            self._began = self._clock()
            self._looking = self._pool.submit(face_map, photo)

    def found(self) -> tuple[bool, Float[np.ndarray, "h w"] | None]:
        """Say whether a look has ended since the last time, and what it found."""
        if self._looking is None or not self._looking.done():
            return False, None
        looking, self._looking = self._looking, None
        return True, looking.result()

    def forget(self) -> None:
        """Leave out what is being sought: it is of another picture."""
        self._began, self._looking = self._clock(), None


class _LivePainter(Painter):
    """A `Painter` that waits for faces in its first frame only, and needs no OpenCV where nothing is carried along.

    Frames stay out of the caches of the stylizer, which others share for pictures that are seen again.
    """

    def __init__(self, stylizer: Stylizer, eyes: _Eyes) -> None:
        super().__init__(stylizer.apart())
        self._eyes, self.still = eyes, False

    def forget(self) -> None:
        """Let go of what was encoded of the last frame."""
        self._stylizer.forget_photos()

    def _encoded(
        self, shot: Shot, photo: Rgb, regions: Sequence[Region], settings: Settings, flow: Flow | None
    ) -> ContentCode:
        if self.still:
            height, width = photo.shape[:2]
            return self._stylizer.content(photo, texture=texture_of(regions, height, width, settings))
        return super()._encoded(shot, photo, regions, settings, flow)

    def _track(self, shot: Shot, photo: Rgb, flow: Flow | None) -> None:
        if not shot.count:
            self._eyes.forget()
            shot.faces = face_map(photo)
            return
        if flow is not None and shot.faces is not None and not self.still:
            shot.faces = warped(shot.faces, flow.vectors)
        self._eyes.look(photo)
        ended, found = self._eyes.found()
        if ended and (found is None or found.shape == photo.shape[:2]):
            nowhere = np.zeros(photo.shape[:2], np.float32)
            new, old = (nowhere if plane is None else plane for plane in (found, shot.faces))
            mixed = new + np.float32(FACES_KEPT) * (old - new) if shot.faces is not None else new
            shot.faces = mixed if mixed.max() > 1 / 255 else None


class LiveStylizer:
    """Paints the frames of a camera one by one, as they come.

    The caller drops frames that come faster than they are painted.

    styles: pictures, alone or with weights, or a `Blend`. calm: as in `VideoStylizer`; 0 needs no OpenCV. rate: frames
    per second to be held. most: longest side in pixels, also of what comes out; a frame is never enlarged. Sizes change
    between frames, after their programs are compiled beside the painting. For one thread at a time, but `change` may be
    called from another.

    Raises:
        ConfigError: calm or rate is out of range, there is no style, or OpenCV is missing.

    Example:
        >>> from wctstyle import Stylizer, samples
        >>> frame, style = (samples.picture(name).rgb[:64, :64] for name in ("cat", "marbling"))
        >>> live = LiveStylizer(Stylizer("slim"), style, Settings(keep_faces=0.0), calm=0.0, most=64)
        >>> live.size, live.frame(frame).shape
        (64, (64, 64, 3))
        >>> live.change(style, Settings(strength=0.0))
        >>> np.array_equal(live.frame(frame), frame)
        True
    """

    def __init__(
        self,
        stylizer: Stylizer,
        styles: Any,
        settings: Settings = Settings(),  # noqa: B008
        *,
        calm: float = DEFAULT_CALM,
        rate: float = RATE,
        most: int = SIZES[-1],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._rate, self._clock = checked_number("rate", rate, 0, open_low=True), clock
        self._sizes = tuple(size for size in SIZES if size <= most) or (most,)
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="wctstyle-live")
        self._eyes = _Eyes(clock)
        self._use(stylizer)
        self._ladder: Ladder | None = None
        self._shape = (1, 1)
        self._coming: tuple[int, Future[None]] | None = None
        self._ended = clock()
        self._count = 0
        self._wanted = _Wanted(lambda height, width: [], settings, 0.0), stylizer
        self.change(styles, settings, calm=calm)

    @property
    def size(self) -> int:
        """Long side in pixels at which the next frame is painted, unless the frame is smaller."""
        return first(self._sizes) if self._ladder is None else self._ladder.size

    def change(
        self,
        styles: Any,
        settings: Settings = Settings(),  # noqa: B008
        *,
        calm: float | None = None,
        stylizer: Stylizer | None = None,
    ) -> None:
        """Paint with other styles and settings from the next frame on; calm and model stay unless they are given.

        Raises:
            ConfigError: calm is out of range, there is no style, or OpenCV is missing.
        """
        now, same = self._wanted
        memory = now.memory if calm is None else memory_of(checked_number("calm", calm, 0, 1))
        if memory:
            opencv()
        if settings.refine:
            raise ConfigError(f"refine is {settings.refine}, and a live frame has no time for it; give 0 steps")
        blend = styles if callable(styles) else fitting(styles)
        self._wanted = _Wanted(blend, settings, memory), stylizer or same

    def frame(self, rgb: Rgb) -> Rgb:
        """Paint a frame, RGB in [0, 1], at the present size.

        Raises:
            ImageError: a picture of the wrong shape, type or range.
            NonFiniteError: the result is not finite.
        """
        began = self._clock()
        waited = began - self._ended
        photo = images.checked_rgb(rgb, "frame")
        ladder = self._ladder_for(*photo.shape[:2])
        height, width = sides_at(photo.shape, min(ladder.size, max(photo.shape)))
        if (height, width) != photo.shape[:2]:
            photo = images.resize_planes(photo, height=height, width=width)
        painted, usual = self._painted(photo, waited > AWAY)
        self._ended = self._clock()
        if usual:
            self._climb(ladder, self._ended - began, waited, max(height, width))
        return painted

    # ---------------------------------------------------------------------------------------------------- one frame

    def _use(self, stylizer: Stylizer) -> None:
        self._stylizer = stylizer
        self._painter = _LivePainter(stylizer, self._eyes)
        self._now: _Wanted | None = None
        self._regions: list[Region] = []
        self._last: tuple[Rgb, Rgb] | None = None

    def _painted(self, photo: Rgb, away: bool) -> tuple[Rgb, bool]:
        """Paint a frame, and blend it with the one before unless it shows something else or is painted otherwise.

        Returns also whether it took as long as those after it will.
        """
        wanted, stylizer = self._wanted
        if stylizer is not self._stylizer:
            self._use(stylizer)
        last, same = self._last, wanted == self._now
        if last is not None and (away or last[0].shape != photo.shape):
            last = None
        if not same or last is None:
            self._regions = measured(self._stylizer, wanted.blend(*photo.shape[:2]))
        self._painter.still = not wanted.memory
        self._painter.calm = DEFAULT_CALM if wanted.memory else 0.0
        moved = None if last is None else self._moved(last[0], photo, wanted.memory)
        frame = Frame(self._count, self._clock(), photo)
        painted = self._painter.paint(frame, self._regions, wanted.settings, moved)
        kept = stays_photo(frame, self._regions, wanted.settings)
        if same and wanted.memory and last is not None and moved is not None and not kept:
            painted = steadied(carried(last[1], moved), painted, photo, moved.confidence, wanted.memory)
        self._painter.forget()
        self._now, self._last, self._count = wanted, (photo, painted), self._count + 1
        return painted, same and last is not None

    def _moved(self, last: Rgb, photo: Rgb, memory: float) -> Flow | None:
        """Return the flow from the frame before, None after a cut; no motion at all where nothing is carried along."""
        if not memory:
            height, width = photo.shape[:2]
            return Flow(np.zeros((height, width, 2), np.float32), np.ones((height, width), np.float32))
        moved = flow(last, photo)
        return None if change(last, photo, None, moved) is Change.CUT else moved

    # -------------------------------------------------------------------------------------------------------- sizes

    def _ladder_for(self, height: int, width: int) -> Ladder:
        """Return the ladder of frames of this form; a camera that is turned has another.

        The form counts up to a pixel: frames that were made smaller have sides that are rounded.
        """
        last, self._shape = self._shape, (height, width)
        if self._ladder is None or abs(height * last[1] - width * last[0]) > max(height, width, *last):

            def cost(size: int) -> float:
                return math.prod(map(padded_side, sides_at((height, width), size)))

            self._ladder = Ladder(cost, self._sizes, rate=self._rate, clock=self._clock)
            self._coming = None
        return self._ladder

    def _climb(self, ladder: Ladder, seconds: float, waited: float, at: int) -> None:
        """Go to a better size once its programs are ready. What frames take while they are compiled does not count."""
        if self._coming is not None:
            size, ready = self._coming
            if not ready.done():
                return
            self._coming = None
            if (fault := ready.exception()) is None:
                ladder.go(size)
            else:  # the frame is painted all the same
                log.error("live frames of %d pixels cannot be prepared", size, exc_info=fault)
                ladder.rest(size)
            return
        size, own = ladder.note(seconds, waited, at), max(self._shape)
        if own > ladder.size:  # frames are not enlarged
            size = min(size, own)
        if size != ladder.size:
            self._coming = size, self._beside.submit(self._prepare, *sides_at(self._shape, size))

    def _prepare(self, height: int, width: int) -> None:
        """Compile what paints a size, and measure the styles for it."""
        wanted, stylizer = self._wanted
        noise = np.random.default_rng(0).uniform(size=(height, width, 3)).astype(np.float32)
        regions = measured(stylizer, wanted.blend(height, width))
        stylizer.apart().stylize(noise, regions, replace(wanted.settings, keep_faces=0))


def measured(stylizer: Stylizer, styles: Any) -> list[Region]:
    """Return regions whose styles are measured, given what `Stylizer.stylize` takes."""

    def code(style: Style) -> Style:
        return Style(stylizer.style(style.picture, style.mask)) if isinstance(style.picture, np.ndarray) else style

    found = []
    for region in regions_of(styles):
        own = [(code(style), weight) for style, weight in weighted_styles(region.styles)]
        found.append(replace(region, styles=own))
    return found
