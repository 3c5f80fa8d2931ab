"""The same look at every size: a large picture is composed small, enlarged, and painted once more.

Each position of the network sees a fixed number of pixels. So strokes have a fixed width in pixels: in a result of 2048
pixels they are a quarter as wide, as a share of the picture, as in one of 512, and colours land in other places. So the
picture is first painted at the long side `look`. It is enlarged, the photo's finer light and dark is added, and another
pass at full size adds fine paint. The broad light and colour of the result are those of the small picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from wctstyle import color, images

Rgb = Float[np.ndarray, "h w 3"]

MARGIN = 1.25
"""Pictures up to so many times the look are painted at once: the difference is not seen, and it takes one pass."""

LEAST_STYLE = 64
"""Smaller style pictures have too few cells to measure, in pixels of the long side."""

BROAD = 0.01
"""What is broader than this share of the long side is taken from the small picture: deviation of a Gaussian."""


def small_sides(shape: Sequence[int], look: int) -> tuple[int, int] | None:
    """Return height and width at which a picture of that shape is composed; None where it is painted at once.

    A `look` of 0 is none.
    """
    height, width, *_ = shape
    longest = max(height, width)
    if not look or longest <= MARGIN * look:
        return None
    return max(1, round(height * look / longest)), max(1, round(width * look / longest))


def shrunk(style: Rgb, ratio: float) -> Rgb:
    """Scale a style picture as the photo was scaled, so that its strokes keep their size by the picture.

    Not below `LEAST_STYLE` pixels, where it is larger than that.
    """
    ratio = max(ratio, min(1.0, LEAST_STYLE / max(style.shape[:2])))
    height, width = (max(1, round(ratio * side)) for side in style.shape[:2])
    return images.resize_planes(style, height=height, width=width)


def enlarged(small: Rgb, photo: Rgb, kept: Float[np.ndarray, "h w 1"] | float) -> Rgb:
    """Enlarge a painted picture to the photo's size, and add what light and dark the photo has that is finer.

    `kept`, 0..1, is how much of the photo's fine colours comes along: all of it where the photo is not painted over.
    """
    height, width = photo.shape[:2]
    shrunken = images.resize_planes(photo, height=small.shape[0], width=small.shape[1])
    fine = photo - images.resize_planes(shrunken, height=height, width=width)
    light = color.luma(fine)[..., None]
    fine = light + kept * (fine - light)
    return np.clip(images.resize_planes(small, height=height, width=width) + fine, 0, 1).astype(np.float32)


def with_broad(image: Rgb, small: Rgb, covered: Float[np.ndarray, "h w 1"] | float = 1.0) -> Rgb:
    """Give a picture the broad light and colour of a smaller one, as far as `covered` says, 0..1."""
    from scipy.ndimage import gaussian_filter

    height, width = small.shape[:2]
    radius = BROAD * max(height, width)
    apart = small - images.resize_planes(image, height=height, width=width)
    broad = (gaussian_filter(apart, (radius, radius, 0), mode="nearest") + 1) / 2
    wide = 2 * images.resize_planes(broad, height=image.shape[0], width=image.shape[1]) - 1
    return np.clip(image + covered * wide, 0, 1).astype(np.float32)
