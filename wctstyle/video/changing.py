"""Frames that are changed by a function of their pixels: a table of colours, or a filter learned from a pair."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from wctstyle import images
from wctstyle.settings import checked_number
from wctstyle.video.carrying import Past, carried, memory_of, steadied
from wctstyle.video.extras import opencv
from wctstyle.video.flow import flow
from wctstyle.video.frames import Frame
from wctstyle.video.shots import Change, change

Rgb = Float[np.ndarray, "h w 3"]


class Changer:
    """Changes the frames of one video in order.

    made_of: what becomes of a picture. calm: 0 changes each frame by itself, as suits what looks at pixels or their
    neighbourhoods. Paint flickers then, so above 0 a frame is blended with the one before, carried along by optical
    flow (`memory_of`), until the next cut.

    Raises:
        ConfigError: calm is out of 0..1, or OpenCV is missing.
    """

    def __init__(self, made_of: Callable[[Rgb], Rgb], calm: float = 0.0) -> None:
        self._made_of, self._memory = made_of, memory_of(checked_number("calm", calm, 0, 1))
        if self._memory:
            opencv()
        self._past: Past | None = None

    def frames(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """Change frames; each comes out with its place, time and opacity."""
        for frame in frames:
            yield replace(frame, rgb=self._changed(frame))

    def state(self) -> dict[str, np.ndarray]:
        """Return what the next frame needs of the one before, by name."""
        return {} if self._past is None else self._past.state()

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a state."""
        self._past = Past.of(state)

    def _changed(self, frame: Frame) -> Rgb:
        photo = frame.rgb
        if frame.alpha is not None:
            photo = images.fill_hidden(images.Picture(photo, frame.alpha)).rgb
        made = self._made_of(photo)
        if not self._memory:
            return made
        past = self._past
        if past is not None and past.photo.shape == photo.shape:
            moved = flow(past.photo, photo)
            if change(past.photo, photo, None, moved) is Change.GOES_ON:
                made = steadied(carried(past.made, moved), made, photo, moved.confidence, self._memory)
        self._past = Past(photo, made)
        return made
