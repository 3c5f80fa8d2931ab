"""Pictures of any size: pixels as a file holds them, brought to floats part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from wctstyle.images.picture import (
    Part,
    Picture,
    as_floats,
    as_kind,
    frozen,
    hash_of,
    resample,
    seen_by,
    unweighted,
    weighted,
)

SLAB = 1 << 20
"""Pixels that are floats at once, where all of them could be gigabytes."""


@dataclass(frozen=True, eq=False)
class Raster:
    """A decoded picture whose pixels are 8 or 16 bits, or floats where the file has floats; upright, sRGB.

    Attributes:
        pixels: "h w 3", uint8, uint16 or float32 in [0, 1].
        alpha: opacity "h w" of the same kind, not premultiplied; None when every pixel is opaque.
        source: what messages call it, as `Picture.source`.
        profile: the ICC profile of the file's colours where they are RGB; None for sRGB.
        dpi: pixels per inch across and down, where the file says.

    Example:
        >>> pixels = np.zeros((4, 6, 3), np.uint8)
        >>> pixels[:, 3:] = 255
        >>> raster = Raster(pixels)
        >>> raster.shape, (raster.height, raster.width), raster.bits, list(raster.slabs())
        ((4, 6), (4, 6), 8, [slice(0, 4, None)])
        >>> right = (slice(0, 4), slice(3, 6))
        >>> raster.rgb(right).mean().item(), raster.opacity(right), raster.trimmed(right).shape  # all is opaque
        (1.0, None, (4, 3))
        >>> raster.picture().rgb.dtype.name, raster.thinned(3).shape, raster.scaled(height=2, width=3).pixels.dtype.name
        ('float32', (2, 3), 'uint8')
        >>> raster.resized(height=2, width=3).rgb.shape, raster.resized_planes(2, 3, slice(0, 1)).shape
        ((2, 3, 3), (1, 3, 3))
        >>> Raster.of(raster.picture()).content_hash == raster.content_hash
        True
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    source: str = "<array>"
    profile: bytes | None = None
    dpi: tuple[float, float] | None = None

    @classmethod
    def of(cls, picture: Picture) -> Raster:
        """Takes a picture's arrays as they are."""
        return cls(picture.rgb, picture.alpha, picture.source)

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.pixels.shape[1]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    @property
    def bits(self) -> int:
        """Bits per channel that a file of it needs: 8, or 16 for all that has more."""
        return 8 if self.pixels.dtype == np.uint8 else 16

    @cached_property
    def content_hash(self) -> str:
        """The same as `Picture.content_hash` of the same pixels."""
        return hash_of(self.pixels, self.alpha)

    def picture(self) -> Picture:
        """Converts all of it to floats."""
        alpha = None if self.alpha is None else as_floats(self.alpha)
        return frozen(as_floats(self.pixels), alpha, self.source)

    def rgb(self, part: Part) -> np.ndarray:
        """Converts a part to float32 "h w 3" in [0, 1]."""
        return as_floats(self.pixels[part])

    def opacity(self, part: Part) -> np.ndarray | None:
        """Converts the opacity of a part; None where all of the picture is opaque."""
        return None if self.alpha is None else as_floats(self.alpha[part])

    def slabs(self) -> Iterator[slice]:
        """Lists rows from top to bottom, about `SLAB` pixels at a time."""
        return slabs(self.height, self.width)

    def trimmed(self, box: Part) -> Raster:
        """Cuts out a box; copies nothing."""
        return replace(self, pixels=self.pixels[box], alpha=None if self.alpha is None else self.alpha[box])

    def thinned(self, long_side: int) -> Raster:
        """Keeps every n-th row and column, so that the longer side is at most `long_side`; averages nothing."""
        step = -(-max(self.shape) // long_side)
        return self.trimmed((slice(None, None, step), slice(None, None, step)))

    def resized(self, *, height: int, width: int) -> Picture:
        """Scales to a picture, as `resize_to` does."""
        if (height, width) == self.shape:
            return self.picture()
        return frozen(*unweighted(self.resized_planes(height, width)), self.source)

    def scaled(self, *, height: int, width: int) -> Raster:
        """Scales to pixels of the same kind."""
        pixels = np.empty((height, width, 3), self.pixels.dtype)
        alpha = None if self.alpha is None else np.empty((height, width), self.pixels.dtype)
        for rows in slabs(height, width):
            part = (rows, slice(0, width))
            rgb, opacity = unweighted(self.resized_planes(height, width, rows))
            pixels[part] = as_kind(rgb, pixels.dtype)
            if alpha is not None and opacity is not None:
                alpha[part] = as_kind(opacity, alpha.dtype)
        return replace(self, pixels=pixels, alpha=alpha)

    def resized_planes(
        self, height: int, width: int, rows: slice | None = None, *, read: Callable[[Part], np.ndarray] | None = None
    ) -> np.ndarray:
        """Scales what `picture.weighted` joins; returns so many rows. `read` gives the colours instead of `rgb`."""
        rows, read = rows or slice(0, height), read or self.rgb
        scale = self.height / height
        taken = seen_by(rows, scale, self.height)
        thin = []
        for slab in slabs(taken.stop - taken.start, self.width):
            own = (slice(taken.start + slab.start, taken.start + slab.stop), slice(0, self.width))
            rgb, opacity = read(own), self.opacity(own)
            thin.append(resample(weighted(rgb, opacity), height=len(rgb), width=width))  # across first, as Pillow does
        box = (0, rows.start * scale - taken.start, width, min(rows.stop * scale, self.height) - taken.start)
        return resample(np.concatenate(thin), height=rows.stop - rows.start, width=width, box=box)


def slabs(height: int, width: int) -> Iterator[slice]:
    """Lists the rows of a picture from top to bottom, about `SLAB` pixels at a time."""
    rows = max(1, SLAB // width)
    return (slice(top, min(top + rows, height)) for top in range(0, height, rows))
