"""The same look at every size: a large picture is composed small, enlarged, and painted once more.

A network sees a fixed number of pixels, so the larger a picture, the smaller the things it paints: at 2048 pixels the
strokes are a quarter as wide by the picture as at 512 pixels, and the colours fall otherwise. So the picture is made at
the long side `look` first. Enlarged, with the photo's finer light and dark on it, it is the photo of a second pass at
full size, which adds fine paint. What is broad in the result is then that of the small picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from wctstyle import color, images

Rgb = Float[np.ndarray, "h w 3"]

MARGIN = 1.25
"""Pictures up to so many times the look are painted at once: the difference is not seen, and it takes one pass."""

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


def scaled(planes: Float[np.ndarray, "h w c"], height: int, width: int) -> Float[np.ndarray, "H W c"]:
    """Scale planes in [0, 1] as pictures are scaled."""
    return images.resize_to(images.Picture(planes), height=height, width=width).rgb


def shrunk(style: Rgb, ratio: float) -> Rgb:
    """Scale a style picture as the photo was scaled, so that its strokes keep their size by the picture."""
    height, width = (max(1, round(ratio * side)) for side in style.shape[:2])
    return scaled(style, height, width)


def enlarged(small: Rgb, photo: Rgb, kept: float) -> Rgb:
    """Enlarge a painted picture to the photo's size, and add what light and dark the photo has that is finer.

    `kept`, 0..1, is how much of the photo's fine colours comes along: all of it where the photo is not painted over.
    """
    height, width = photo.shape[:2]
    fine = photo - scaled(scaled(photo, *small.shape[:2]), height, width)
    light = color.luma(fine)[..., None]
    fine = light + kept * (fine - light)
    return np.clip(scaled(small, height, width) + fine, 0, 1).astype(np.float32)


def with_broad(image: Rgb, small: Rgb) -> Rgb:
    """Give a picture the broad light and colour of a smaller one."""
    from scipy.ndimage import gaussian_filter

    height, width = small.shape[:2]
    radius = BROAD * max(height, width)
    apart = gaussian_filter(small - scaled(image, height, width), (radius, radius, 0), mode="nearest")
    wide = 2 * scaled((apart + 1) / 2, *image.shape[:2]) - 1
    return np.clip(image + wide, 0, 1).astype(np.float32)
