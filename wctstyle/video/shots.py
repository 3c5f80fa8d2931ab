"""Where a new shot begins: a frame that is another picture than the one before, also after motion is undone."""

from __future__ import annotations

from enum import Enum

import numpy as np
from jaxtyping import Float

from wctstyle.color import luma
from wctstyle.video.extras import opencv
from wctstyle.video.flow import Flow, warped

SEEN_SIDE = 32
"""Long side in pixels at which frames are compared."""

LEAST_ALIKE = 0.6
"""Correlation of two frames from which they are one shot. With the flow between them undone, 23 pairs of photos are all
below, and the lowest within a shot is 0.94 (docs/notes/video.md)."""

PLAIN = 0.01
"""Standard deviation of luma, in units of the range, below which a frame is one colour, as between two fades."""

Rgb = Float[np.ndarray, "h w 3"]


def _seen(rgb: Rgb) -> Float[np.ndarray, "h w"]:
    height, width = rgb.shape[:2]
    scale = SEEN_SIDE / max(height, width)
    sides = max(1, round(width * scale)), max(1, round(height * scale))
    small = opencv().resize(rgb, sides, interpolation=opencv().INTER_AREA)
    return luma(small).astype(np.float32)


def alike(one: Rgb, other: Rgb) -> float:
    """Return how far two pictures show the same, -1..1: the correlation of luma; brightness and contrast do not count.

    A picture of one colour is like every other, so that fades are no cuts.
    """
    first, second = (plane - plane.mean() for plane in (_seen(one), _seen(other)))
    spread = first.std() * second.std()
    return float((first * second).mean() / spread) if min(first.std(), second.std()) > PLAIN else 1.0


class Change(Enum):
    """What a frame is to its shot."""

    GOES_ON = "goes on"
    ODD = "odd"
    """A single frame of another picture, such as a flash: the next one goes on with the shot."""
    CUT = "cut"


def change(last: Rgb, new: Rgb, following: Rgb | None, flow: Flow) -> Change:
    """Tell what `new` is to the shot of `last`, by their `flow` and the frame that follows."""
    if max(alike(last, new), alike(warped(last, flow.vectors), new)) >= LEAST_ALIKE:
        return Change.GOES_ON
    if following is None or following.shape != last.shape or alike(last, following) < LEAST_ALIKE:
        return Change.CUT
    return Change.ODD
