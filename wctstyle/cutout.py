"""Cut-outs: the visible part of a picture with transparency, which alone is measured and painted.

A transparent border is cut off before and put back after, so a cut-out gives the same result on every canvas. Inside,
hidden pixels take the colour of the nearest visible one, and opacity weighs what is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Float

from wctstyle import images
from wctstyle.errors import ImageError
from wctstyle.regions import Region, fitted

Rgb = Float[np.ndarray, "h w 3"]


@dataclass(frozen=True, eq=False)
class Cutout:
    """The smallest box that holds all of a picture's visible pixels.

    rgb, opacity: inside the box; None where all of it is opaque. box: its rows and columns. canvas: height and width of
    the whole picture.

    Example:
        >>> alpha = np.zeros((6, 8), np.float32)
        >>> alpha[1:3, 2:7] = 1
        >>> cutout = cut_out(images.Picture(np.full((6, 8, 3), 0.5, np.float32), alpha))
        >>> cutout.sides, cutout.box, cutout.canvas
        ((2, 5), (slice(1, 3, None), slice(2, 7, None)), (6, 8))
        >>> cutout.inside(alpha, "map").min().item(), cutout.regions([Region(alpha, [])])[0].mask.shape
        (1.0, (2, 5))
        >>> cutout.pasted(cutout.rgb).mean(axis=-1)[1].tolist()  # white outside
        [1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 1.0]
        >>> cutout.picture().rgb.shape, cutout.alone().canvas, cutout.resized(4, 10).sides
        ((6, 8, 3), (2, 5), (4, 10))
    """

    rgb: Rgb
    opacity: Float[np.ndarray, "h w"] | None
    box: tuple[slice, slice]
    canvas: tuple[int, int]

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of the box."""
        return self.rgb.shape[:2]

    def inside(self, plane: Float[np.ndarray, "H W ..."], what: str) -> Float[np.ndarray, "h w ..."]:
        """Cut a map or picture of the canvas as this is cut.

        Raises:
            ImageError: it has another size than the canvas.
        """
        if np.shape(plane)[:2] != self.canvas:
            raise ImageError(f"{what}: has shape {np.shape(plane)}, the content {self.canvas}; resize it to that")
        return np.asarray(plane)[self.box]

    def regions(self, regions: Sequence[Region]) -> list[Region]:
        """Cut the masks of regions."""
        return [
            region if region.mask is None else replace(region, mask=fitted(region.mask, *self.canvas)[self.box])
            for region in regions
        ]

    def pasted(self, image: Float[np.ndarray, "h w ..."], outside: float = 1.0) -> Float[np.ndarray, "H W ..."]:
        """Put a result or map back into the canvas, by default white outside: what was cut away is not in a result."""
        if self.sides == self.canvas:
            return image
        whole = np.full((*self.canvas, *image.shape[2:]), outside, np.float32)
        whole[self.box] = image
        return whole

    def picture(self) -> images.Picture:
        """Return the canvas as a picture that is transparent outside the box."""
        opacity = np.ones(self.sides, np.float32) if self.opacity is None else self.opacity
        return images.Picture(self.pasted(self.rgb), self.pasted(opacity, outside=0.0))

    def alone(self) -> Cutout:
        """Return what is inside the box as a canvas of its own."""
        return replace(self, box=(slice(None), slice(None)), canvas=self.sides)

    def resized(self, height: int, width: int) -> Cutout:
        """Scale what is inside the box; the result is a canvas of its own."""
        small = images.resize_to(images.Picture(self.rgb, self.opacity), height=height, width=width)
        return Cutout(small.rgb, small.alpha, (slice(None), slice(None)), (height, width))


Content = Rgb | images.Picture | Cutout
"""A picture to work on: pixels in [0, 1], or what may have transparency."""


def cut_out(picture: Any) -> Cutout | None:
    """Cut out what is visible of a `Picture`; None for anything without transparency.

    Example:
        >>> alpha = np.zeros((6, 8), np.float32)
        >>> alpha[1:3, 2:7] = 0.5
        >>> cutout = cut_out(images.Picture(np.ones((6, 8, 3), np.float32), alpha))
        >>> cutout.rgb.shape, float(cutout.opacity.max()), cut_out(cutout.rgb)
        ((2, 5, 3), 0.5, None)
    """
    if isinstance(picture, Cutout):
        return picture
    if not isinstance(picture, images.Picture) or picture.alpha is None:
        return None
    if picture not in _cut:
        inside = images.fill_hidden(images.trimmed(picture))
        _cut[picture] = Cutout(inside.rgb, inside.alpha, images.visible_box(picture), (picture.height, picture.width))
    return _cut[picture]


_cut: WeakKeyDictionary[images.Picture, Cutout] = WeakKeyDictionary()
"""Cut-outs of the pictures that are in use: a slider asks for the same one again and again."""


def pixels_of(picture: Any) -> Any:
    """Return the array of a `Picture` or `Cutout`, and anything else as it is.

    Example:
        >>> rgb = np.zeros((2, 3, 3), np.float32)
        >>> pixels_of(images.Picture(rgb)) is rgb, pixels_of(rgb) is rgb
        (True, True)
    """
    return picture.rgb if isinstance(picture, images.Picture | Cutout) else picture


def visible_sides(picture: Content | images.Raster) -> tuple[int, int]:
    """Return height and width of the visible part of a picture, in pixels: what sizes of strokes are relative to.

    Example:
        >>> alpha = np.zeros((6, 8), np.float32)
        >>> alpha[1:3, 2:7] = 1
        >>> visible_sides(images.Picture(np.ones((6, 8, 3), np.float32), alpha))
        (2, 5)
    """
    if isinstance(picture, images.Picture | images.Raster):
        rows, columns = images.visible_box(picture)
        return rows.stop - rows.start, columns.stop - columns.start
    height, width, *_ = pixels_of(picture).shape
    return height, width
