"""What a stylizer keeps of pictures: a style's moments, a photo's code."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from wctstyle.faces import face_map
from wctstyle.moments import Moments
from wctstyle.plan import Plan
from wctstyle.sizes import counted_side
from wctstyle.types import Features

Rgb = Float[np.ndarray, "h w 3"]


@dataclass(frozen=True)
class StyleCode:
    """What is kept of a style picture: its moments, and its pixels for `refine`."""

    moments: Moments
    pixels: Rgb
    key: str


@dataclass(frozen=True)
class ContentCode:
    """A content picture's code and moments, its pixels padded to the size family, and its own size in pixels.

    The code is of the picture with `texture` added to its plain areas; the pixels are the picture's own. `original`
    is the photo that an enlarged painting was made from (`wctstyle.look`), whose faces are kept; None for a photo.
    """

    code: Features
    moments: Moments
    pixels: Float[np.ndarray, "1 H W 3"]
    height: int
    width: int
    texture: float
    key: str
    original: ContentCode | None = None

    @property
    def nbytes(self) -> int:
        """Memory it takes, in bytes; what the decoder loses of it, kept beside it, counted too."""
        return int(self.code.nbytes) + 2 * self.pixels.nbytes

    @property
    def photo(self) -> Rgb:
        """The picture itself, without padding."""
        return self.pixels[0, : self.height, : self.width]

    @property
    def _counted(self) -> tuple[slice, slice]:
        """Rows and columns that count in its moments."""
        return slice(counted_side(self.height)), slice(counted_side(self.width))

    @functools.cached_property
    def mean_color(self) -> Float[np.ndarray, "3"]:
        """Mean of the pixels that count in its moments."""
        return self.pixels[0][self._counted].mean(axis=(0, 1))

    def mean_color_of(self, share: Float[np.ndarray, "1 H W 1"]) -> Float[np.ndarray, "3"]:
        """Mean of the part of these pixels that `share` says."""
        weights = share[0][self._counted]
        return (weights * self.pixels[0][self._counted]).sum(axis=(0, 1)) / max(float(weights.sum()), 1e-6)

    @functools.cached_property
    def faces(self) -> Float[np.ndarray, "H W"] | None:
        """Where its faces are, 0..1, padded as it is (see `wctstyle.faces`); None without any."""
        if self.original is not None:
            return self.original.faces
        found = face_map(self.photo)
        return None if found is None else self.padded(found)

    def padded(self, plane: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "H W"]:
        """Pad a map of the photo as its pixels are, with the values at its edge."""
        padding = [
            (0, whole - own) for whole, own in zip(self.pixels.shape[1:3], (self.height, self.width), strict=True)
        ]
        return np.pad(plane, padding, mode="edge")


@dataclass(frozen=True)
class Part:
    """A region as it is painted: its plan, where it is (None: everywhere), and its strength by the settings'."""

    plan: Plan
    share: Float[np.ndarray, "1 H W 1"] | None = None
    strength: float = 1.0
