"""Texture for plain areas: faint noise that gives the decoder something to paint where a photo has no detail.

A map between statistics turns an even sky into one flat colour, or into bands. Noise gives the sky features that the
map turns into strokes. The field is fixed and tiles the plane: a pixel gets the same value in every picture.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from dataclasses import field as having

import numpy as np
from jaxtyping import Float
from PIL import Image as PillowImage

from wctstyle.color import luma

SIDE = 512
"""Side of the field in pixels; it repeats beyond that."""

SCALES = (1.0, 2.0, 4.0)
"""Standard deviations, in pixels, of the blurred noises that the field sums: from fine to as wide as a cell."""

DEVIATION = 0.06
"""Standard deviation of the noise at texture 1, in units of the range. Chosen by eye: half of it fills a blue sky."""

PLAIN = 0.02
"""Local standard deviation of luma at which the plainness of an area falls to 1/e."""

BLOCK = 4
WINDOW = 5
"""Plainness is measured in windows of 5 x 5 blocks of 4 x 4 pixels."""


@functools.cache
def field() -> Float[np.ndarray, "512 512"]:
    """Return the noise: mean 0, standard deviation 1, periodic, so that tiles meet without a seam.

    Example:
        >>> noise = field()
        >>> noise.shape, round(abs(float(noise.mean())), 3), round(float(noise.std()), 3)
        ((512, 512), 0.0, 1.0)
    """
    frequencies = np.fft.fftfreq(SIDE)
    squared = frequencies[:, None] ** 2 + frequencies[None, :] ** 2
    rng = np.random.default_rng(0)
    total = np.zeros((SIDE, SIDE))
    for scale in SCALES:
        spectrum = np.fft.fft2(rng.standard_normal((SIDE, SIDE))) * np.exp(-2 * (np.pi * scale) ** 2 * squared)
        layer = np.fft.ifft2(spectrum).real
        total += layer / layer.std()
    return ((total - total.mean()) / total.std()).astype(np.float32)


def _of_blocks(plane: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "r c"]:
    """Return the mean of each block. Rows are added first, which takes a third of the time of both at once."""
    height, width = plane.shape
    rows = plane.reshape(height // BLOCK, BLOCK, width).sum(axis=1)
    return rows.reshape(height // BLOCK, width // BLOCK, BLOCK).sum(axis=2) / np.float32(BLOCK**2)


def plainness(rgb: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
    """Return how plain the surroundings of each pixel are: 1 in an even area, 0 where there is detail.

    exp(-v / `PLAIN`^2), with the local variance v of luma.

    Example:
        >>> picture = np.full((64, 64, 3), 0.5, np.float32)
        >>> picture[:, 32:] = np.random.default_rng(0).uniform(size=(64, 32, 3))
        >>> found = plainness(picture)
        >>> found[32, [8, 56]].round(2).tolist()
        [1.0, 0.0]
    """
    from scipy.ndimage import uniform_filter

    height, width = rgb.shape[:2]
    grey = luma(rgb).astype(np.float32)
    grey = np.pad(grey, ((0, -height % BLOCK), (0, -width % BLOCK)), mode="edge")
    mean = uniform_filter(_of_blocks(grey), WINDOW, mode="nearest")
    square = uniform_filter(_of_blocks(grey**2), WINDOW, mode="nearest")
    share = np.exp(-np.maximum(square - mean**2, 0) / PLAIN**2).astype(np.float32)
    wide = PillowImage.fromarray(share).resize(grey.shape[::-1], PillowImage.Resampling.BILINEAR)
    return np.asarray(wide)[:height, :width]


@dataclass(frozen=True)
class Amounts:
    """An amount of texture for each pixel; the same ones are equal.

    Example:
        >>> left = np.repeat([[1.0, 0.0]], 2, axis=0).astype(np.float32)
        >>> Amounts(left) == Amounts(left.copy()), Amounts(left) == Amounts(0 * left)
        (True, False)
    """

    plane: Float[np.ndarray, "h w"] = having(compare=False)
    key: str = having(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", hashlib.sha256(np.ascontiguousarray(self.plane).data).hexdigest())


Amount = float | Amounts
"""One amount of texture for a whole picture, 0..1, or one per pixel."""


def textured(
    rgb: Float[np.ndarray, "h w 3"], amount: Amount, noise: Float[np.ndarray, "h w"] | None = None
) -> Float[np.ndarray, "h w 3"]:
    """Add `amount` of the field to the plain areas of a picture, equally in R, G and B; clip to [0, 1].

    `noise` takes the place of the field, as in a video, where it moves with what is seen.

    Example:
        >>> grey = np.full((512, 512, 3), 0.5, np.float32)
        >>> round(float(textured(grey, 1.0).std()), 2), textured(grey, 0.0) is grey
        (0.06, True)
    """
    if not amount:
        return rgb
    strength = amount.plane if isinstance(amount, Amounts) else amount
    height, width = rgb.shape[:2]
    if noise is None:
        noise = np.tile(field(), (-(-height // SIDE), -(-width // SIDE)))[:height, :width]
    return np.clip(rgb + (strength * DEVIATION * plainness(rgb) * noise)[..., None], 0, 1).astype(np.float32)
