"""The same look at every size: a large picture is composed small, enlarged and painted once more.

The network's receptive field is fixed in pixels, and so is the width of strokes. Relative to the picture, strokes at
2048 pixels are a quarter as wide as at 512, and colours land in other places. So the picture is first painted at the
long side `look`. It is enlarged, the photo's finer light and dark are added, and a second pass at full size adds fine
paint. The broad light and colour of the result are taken from the small picture.

Where the result is larger than twice the look, this is done twice: first to twice the look, then from there to the full
size, with all but the finest differences taken from the painting before. So all large results have the same strokes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from wctstyle import color, images
from wctstyle.settings import MAX_SIDE

Rgb = Float[np.ndarray, "h w 3"]

MARGIN = 1.25
"""Pictures up to this multiple of the look are painted in one pass: the difference is invisible."""

LEAST_STYLE = 64
"""Least long side of a style picture in pixels: smaller ones have too few cells to measure."""

BROAD = 0.01
"""Standard deviation of the Gaussian, as a share of the long side, that separates broad from fine."""

FINE = 10.5
"""Largest standard deviation of the Gaussian of `BROAD`, in pixels of the large picture.

Anything broader comes from the small painting, so that large results look alike from afar; finer strokes come from the
second pass."""

CLOSE = 0.5
"""Standard deviation in pixels of a painting at twice the look, of which the larger picture takes all that is as broad.

It falls to 0 in results that are hardly larger than that painting, which leave no room for finer paint. Thumbnails of
that size then differ by 4 levels of 255, and by 24 without all this (docs/notes/large.md)."""


def small_sides(shape: Sequence[int], look: int, *, margin: float = MARGIN) -> tuple[int, int] | None:
    """Return the height and width at which a picture of that shape is composed; None if it is painted in one pass.

    A `look` of 0 turns composing off; `margin` is as `MARGIN`. What is larger than twice the look is composed at twice
    the look, which in turn is composed at the look.
    """
    height, width, *_ = shape
    longest = max(height, width)
    if not look or longest <= margin * look:
        return None
    return sides_at(shape, 2 * look if 2 * look < longest and 2 * look <= MAX_SIDE else look)


def sides_at(shape: Sequence[int], longest: int) -> tuple[int, int]:
    """Return the height and width of a picture of that shape when its long side is `longest`."""
    height, width, *_ = (max(1, round(side * longest / max(shape[:2]))) for side in shape)
    return height, width


def shrunk(style: Rgb, ratio: float) -> Rgb:
    """Scale a style picture by the photo's ratio, so that strokes keep their size relative to the picture.

    Never shrinks it below `LEAST_STYLE` pixels.
    """
    ratio = max(ratio, min(1.0, LEAST_STYLE / max(style.shape[:2])))
    height, width = (max(1, round(ratio * side)) for side in style.shape[:2])
    return images.resize_planes(style, height=height, width=width)


class Lift:
    """Enlarges a painted picture to the photo's size, part by part, and adds the photo's finer light and dark.

    small, shrunken: painting and photo at the size of the composition. `kept`, 0..1, is how much of the photo's fine
    colour is added too: all of it where the photo is not painted over.
    """

    def __init__(
        self, small: Rgb, shrunken: Rgb, kept: Float[np.ndarray, "h w 1"] | float, shape: tuple[int, int]
    ) -> None:
        self._small, self._shrunken, self._kept, self._shape = small, shrunken, kept, shape

    def part(self, photo: Rgb, part: images.Part) -> Rgb:
        """Return a part of the enlarged picture; `photo` is this part of the photo."""

        def wide(planes: Float[np.ndarray, "h w c"]) -> Float[np.ndarray, "H W c"]:
            return images.resize_part(planes, self._shape, part)

        fine = photo - wide(self._shrunken)
        light = color.luma(fine)[..., None]
        kept = wide(self._kept) if isinstance(self._kept, np.ndarray) else self._kept
        fine = light + kept * (fine - light)
        return np.clip(wide(self._small) + fine, 0, 1).astype(np.float32)


class Broad:
    """Gives a picture the broad light and colour of a smaller one, while its rows come in from top to bottom.

    `feed` takes rows and returns how many rows are final so far: those whose surroundings, as far as the Gaussian and
    the scaling see, are all there. `part` gives them. `close`: the smaller one is at twice the look.
    """

    def __init__(self, small: Rgb, shape: tuple[int, int], *, close: bool = False) -> None:
        self._small, self._shape = small, shape
        radius = min(BROAD * max(small.shape[:2]), FINE * max(small.shape[:2]) / max(shape))
        self._radius = CLOSE * min(1.0, max(shape) / max(small.shape[:2]) - 1) if close else radius
        self._thin = np.empty((shape[0], small.shape[1], 3), np.float32)  # the rows so far, as narrow as the small one
        self._apart = np.zeros_like(small)
        self._fed = self._shrunk = 0

    def feed(self, rows: Rgb) -> int:
        """Take the next rows; returns how many of all rows are final now."""
        (height, _), (low, narrow) = self._shape, self._small.shape[:2]
        self._thin[self._fed : self._fed + len(rows)] = images.resample(rows, height=len(rows), width=narrow)
        self._fed += len(rows)
        scale, whole = height / low, self._fed == height
        known = low if whole else max(self._shrunk, int((self._fed - images.lanczos_reach(scale)) / scale))
        if known > self._shrunk:
            part = slice(self._shrunk, known), slice(0, narrow)
            self._apart[part] = self._small[part] - images.resize_part(self._thin, (low, narrow), part)
            self._shrunk = known
        return height if whole else max(0, int((known - int(4 * self._radius + 0.5) - 4) * scale))

    def wide(self) -> Float[np.ndarray, "h w 3"]:
        """Return what is to be added, at the size of the small picture, as 0..1 for -1..1."""
        from scipy.ndimage import gaussian_filter

        return (gaussian_filter(self._apart, (self._radius, self._radius, 0), mode="nearest") + 1) / 2

    def part(self, wide: Rgb, image: Rgb, part: images.Part, covered: Float[np.ndarray, "h w 1"] | float = 1.0) -> Rgb:
        """Return a final part of the result, to the extent `covered`, 0..1; `image` is this part, as it was fed."""
        added = 2 * images.resize_part(wide, self._shape, part) - 1
        return np.clip(image + covered * added, 0, 1).astype(np.float32)
