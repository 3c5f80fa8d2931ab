"""The same look at every size: a large picture is composed small, enlarged and painted once more.

The network's receptive field is fixed in pixels, and so is the width of strokes. Relative to the picture, strokes at
2048 pixels are a quarter as wide as at 512, and colours land in other places. So the picture is first painted at the
long side `look`. It is enlarged, the photo's finer light and dark are added, and a second pass at full size adds fine
paint. The broad light and colour of the result are taken from the small picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from wctstyle import color, images

Rgb = Float[np.ndarray, "h w 3"]

MARGIN = 1.25
"""Pictures up to this multiple of the look are painted in one pass: the difference is invisible."""

LEAST_STYLE = 64
"""Least long side of a style picture in pixels: smaller ones have too few cells to measure."""

BROAD = 0.01
"""Standard deviation of the Gaussian, as a share of the long side, that separates broad from fine."""


def small_sides(shape: Sequence[int], look: int) -> tuple[int, int] | None:
    """Return the height and width at which a picture of that shape is composed; None if it is painted in one pass.

    A `look` of 0 turns composing off.
    """
    height, width, *_ = shape
    longest = max(height, width)
    if not look or longest <= MARGIN * look:
        return None
    return max(1, round(height * look / longest)), max(1, round(width * look / longest))


def shrunk(style: Rgb, ratio: float) -> Rgb:
    """Scale a style picture by the photo's ratio, so that strokes keep their size relative to the picture.

    Never shrinks it below `LEAST_STYLE` pixels.
    """
    ratio = max(ratio, min(1.0, LEAST_STYLE / max(style.shape[:2])))
    height, width = (max(1, round(ratio * side)) for side in style.shape[:2])
    return images.resize_planes(style, height=height, width=width)


def enlarged(small: Rgb, photo: Rgb, kept: Float[np.ndarray, "h w 1"] | float) -> Rgb:
    """Enlarge a painted picture to the photo's size and add the photo's finer light and dark.

    `kept`, 0..1, is how much of the photo's fine colour is added too: all of it where the photo is not painted over.
    """
    height, width = photo.shape[:2]
    shrunken = images.resize_planes(photo, height=small.shape[0], width=small.shape[1])
    fine = photo - images.resize_planes(shrunken, height=height, width=width)
    light = color.luma(fine)[..., None]
    fine = light + kept * (fine - light)
    return np.clip(images.resize_planes(small, height=height, width=width) + fine, 0, 1).astype(np.float32)


def with_broad(image: Rgb, small: Rgb, covered: Float[np.ndarray, "h w 1"] | float = 1.0) -> Rgb:
    """Give a picture the broad light and colour of a smaller one, to the extent `covered`, 0..1."""
    from scipy.ndimage import gaussian_filter

    height, width = small.shape[:2]
    radius = BROAD * max(height, width)
    apart = small - images.resize_planes(image, height=height, width=width)
    broad = (gaussian_filter(apart, (radius, radius, 0), mode="nearest") + 1) / 2
    wide = 2 * images.resize_planes(broad, height=image.shape[0], width=image.shape[1]) - 1
    return np.clip(image + covered * wide, 0, 1).astype(np.float32)
