"""Painting a video calmly: each frame is blended with the one before, carried along by optical flow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from wctstyle import images
from wctstyle.measuring import style_pixels
from wctstyle.regions import Region, Style, regions_of, weighted_styles
from wctstyle.settings import DEFAULT_CALM, Settings, checked_number
from wctstyle.video.carrying import Past, carried, memory_of, steadied
from wctstyle.video.extras import opencv
from wctstyle.video.flow import Flow, flow
from wctstyle.video.frames import Frame
from wctstyle.video.keyframes import Track, at
from wctstyle.video.painter import Painter, shot_of, stays_photo
from wctstyle.video.shots import Change, change

if TYPE_CHECKING:
    from wctstyle.stylizer import Stylizer

Rgb = Float[np.ndarray, "h w 3"]


class VideoStylizer:
    """Paints the frames of one video in order.

    styles: as in `Stylizer.stylize`, weighted by numbers or by `Track`s; the mask of a `Region` may also be a function
    of the frame that returns it. strength, texture: tracks that take the places of the settings'. calm: 0 paints each
    frame as a picture of its own, 1 is calmest (`memory_of`).

    Raises:
        ConfigError: calm is out of 0..1, the styles are none that `Stylizer.stylize` takes, or OpenCV is missing.

    Example:
        >>> from wctstyle import Stylizer, samples
        >>> photo, style = (samples.picture(name).rgb[:64, :64] for name in ("cat", "marbling"))
        >>> clip = [Frame(number, number / 25, photo) for number in range(3)]
        >>> model, settings = Stylizer("slim"), Settings(keep_faces=0.0)
        >>> painter, later = (VideoStylizer(model, style, settings) for _ in range(2))
        >>> before = list(painter.frames(clip[:2]))
        >>> [(frame.index, frame.rgb.shape) for frame in before]
        [(0, (64, 64, 3)), (1, (64, 64, 3))]
        >>> later.restore(painter.state())  # goes on where the other stopped
        >>> np.array_equal(next(later.frames(clip[2:])).rgb, next(painter.frames(clip[2:])).rgb)
        True
    """

    def __init__(
        self,
        stylizer: Stylizer,
        styles: Any,
        settings: Settings = Settings(),  # noqa: B008
        *,
        calm: float = DEFAULT_CALM,
        strength: Track | None = None,
        texture: Track | None = None,
    ) -> None:
        self._memory = memory_of(checked_number("calm", calm, 0, 1))
        if self._memory:
            opencv()
        self._stylizer, self._settings = stylizer, settings
        self._tracks = {"strength": strength, "texture": texture}
        self._settings_at(0.0)
        self._regions = self._measured(styles)
        self._painter = Painter(stylizer, calm)
        self._past: Past | None = None  # odd frames are left out

    def frames(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Paint frames; each comes out with its place, time and opacity. One frame is read ahead.

        The last result is carried along and the flow of the next frame is sought beside the painting of this one.
        """
        if not self._memory:
            for frame in frames:
                yield replace(frame, rgb=self._alone(frame))
            return
        waiting: Frame | None = None
        last, coming = None, None
        with ThreadPoolExecutor(2, thread_name_prefix="wctstyle-flow") as beside:
            for following in chain(frames, [None]):
                before, moved = last, coming
                if following is not None:
                    last = waiting.rgb if waiting else self._past.photo if self._past else None
                    coming = beside.submit(_flow, last, following.rgb)
                if waiting is not None:
                    assert moved is not None
                    if self._past is not None and before is not self._past.photo:  # the one before was an odd one
                        moved = beside.submit(_flow, self._past.photo, waiting.rgb)
                    yield self._next(waiting, following, moved.result(), beside)
                waiting = following

    def state(self) -> dict[str, np.ndarray]:
        """Return what the next frame needs of those before, after the last one that `frames` gave: arrays by name."""
        shot = self._painter.shot
        if self._past is None or shot is None:
            return {}
        return {**self._past.state(), **shot.arrays()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on where another `VideoStylizer` of the same styles and settings gave this `state`, to the same frames."""
        self._past = Past.of(state)
        self._painter.shot = shot_of(state) if state else None

    def _next(self, frame: Frame, following: Frame | None, moved: Flow | None, beside: Executor) -> Frame:
        """Paint a frame and blend it with the one before, unless it begins a shot."""
        past, ahead = self._past, None if following is None else following.rgb
        if past is not None and moved is not None:
            found = change(past.photo, frame.rgb, ahead, moved)
            if found is Change.ODD:
                return replace(frame, rgb=self._alone(frame))
            moved = None if found is Change.CUT else moved
        regions, settings = self._regions_at(frame), self._settings_at(frame.seconds)
        coming = None
        if past is not None and moved is not None and not stays_photo(frame, regions, settings):
            coming = beside.submit(carried, past.made, moved)
        painted = self._painter.paint(frame, regions, settings, moved)
        last = None if coming is None or moved is None else (coming.result(), moved)
        painted = self._finished(frame, painted, regions, settings, last)
        self._past = Past(frame.rgb, painted)
        return replace(frame, rgb=painted)

    def _finished(
        self, frame: Frame, painted: Rgb, regions: list[Region], settings: Settings, last: tuple[Rgb, Flow] | None
    ) -> Rgb:
        """Make of a frame that is painted by itself what is shown.

        last: the result before it, carried along, and the flow from it.
        """
        return painted if last is None else steadied(last[0], painted, frame.rgb, last[1].confidence, self._memory)

    def _alone(self, frame: Frame) -> Rgb:
        content = frame.rgb if frame.alpha is None else images.Picture(frame.rgb, frame.alpha)
        regions, settings = self._regions_at(frame), self._settings_at(frame.seconds)
        painted = self._stylizer.stylize(content, regions, settings).image
        return self._finished(frame, painted, regions, settings, None)

    def _settings_at(self, seconds: float) -> Settings:
        return replace(self._settings, **{name: track.at(seconds) for name, track in self._tracks.items() if track})

    def _measured(self, styles: Any) -> list[tuple[Region, list[tuple[Style, float | Track]]]]:
        """Measure the styles of all regions once; returns each region with its styles and their weights."""
        listed = styles if isinstance(styles, list | tuple) else [styles]
        if not any(isinstance(item, Region) for item in listed):
            listed = [Region(None, styles)]
        pairs = [_weighted(item.styles) if isinstance(item, Region) else [] for item in listed]
        regions = regions_of(
            [
                replace(item, styles=[(style, at(weight, 0.0)) for style, weight in own]) if own else item
                for item, own in zip(listed, pairs, strict=True)
            ]
        )
        return [
            (region, [(self._code(style), weight) for style, weight in own])
            for region, own in zip(regions, pairs, strict=True)
        ]

    def _code(self, style: Style) -> Style:
        own = style_pixels(style)
        return Style(self._stylizer.style(own.picture, own.mask))

    def _regions_at(self, frame: Frame) -> list[Region]:
        return [
            replace(
                region,
                mask=region.mask(frame) if callable(region.mask) else region.mask,
                styles=[(style, at(weight, frame.seconds)) for style, weight in styles],
            )
            for region, styles in self._regions
        ]


def _weighted(styles: Any) -> list[tuple[Style, float | Track]]:
    """Do as `regions.weighted_styles`, with weights that may be tracks."""
    listed = styles if isinstance(styles, list | tuple) else [] if styles is None else [styles]

    def changes(item: Any) -> bool:
        return isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], Track)

    fixed = weighted_styles([(item[0], item[1].at(0.0)) if changes(item) else item for item in listed])
    return [(style, item[1] if changes(item) else weight) for (style, weight), item in zip(fixed, listed, strict=True)]


def _flow(last: Rgb | None, new: Rgb) -> Flow | None:
    """Return the flow from the frame before; None where there is none, or it has another size."""
    return None if last is None or last.shape != new.shape else flow(last, new)
