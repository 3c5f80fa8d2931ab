"""Data that a stylizer keeps of its pictures: the moments of a style, the code of a photo."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from wctstyle.cutout import Cutout, pixels_of
from wctstyle.encoder import CELL
from wctstyle.faces import face_map
from wctstyle.moments import Moments
from wctstyle.plan import Plan
from wctstyle.recent import Recent
from wctstyle.regions import Dials
from wctstyle.settings import MAX_SIDE
from wctstyle.sizes import counted_side, of_cells
from wctstyle.texture import Amount
from wctstyle.types import Features

Rgb = Float[np.ndarray, "h w 3"]

CODES_BYTES = 256 * 2**20
"""Limit of the cache of encoded pictures. A photo of 512 x 512 with a face takes about 25 MiB with `slim`."""


def codes_cache(capacity: int = CODES_BYTES) -> Recent[Any]:
    """Make a cache of encoded photos and styles, and of what painting them needs; it may serve several models.

    Example:
        >>> from wctstyle import Stylizer
        >>> cache = codes_cache(64 * 2**20)  # 64 MiB
        >>> [Stylizer("slim", cache=cache).cache is cache for _ in range(2)]
        [True, True]
    """
    return Recent(capacity, lambda code: int(code.nbytes))


@dataclass(frozen=True)
class StyleCode:
    """A measured style picture: its moments, its pixels for `refine`, and the part of it that counts (None: all).

    Example:
        >>> from wctstyle import Stylizer, samples
        >>> code = Stylizer("slim").style(samples.picture("marbling").rgb[:64, :64])
        >>> code.pixels.shape, code.moments.mean.shape, code.nbytes
        ((64, 64, 3), (131,), 117796)
    """

    moments: Moments
    pixels: Rgb
    key: str
    mask: Float[np.ndarray, "h w"] | None = None

    @property
    def nbytes(self) -> int:
        """Memory use in bytes."""
        planes = self.pixels.nbytes + (0 if self.mask is None else self.mask.nbytes)
        return planes + int(self.moments.covariance.nbytes)


@dataclass(frozen=True)
class FaceCode:
    """The code of a photo in a target's colours, which its faces use, and what the decoder loses of it."""

    code: Features
    lost: Float[np.ndarray, "1 H W 3"]

    @property
    def nbytes(self) -> int:
        """Memory use in bytes."""
        return int(self.code.nbytes) + self.lost.nbytes


@dataclass(frozen=True)
class ContentCode:
    """An encoded content picture: code, moments, pixels padded to the size family, and its unpadded size in pixels.

    The code is computed with `texture` added to plain areas; the pixels are without it. `cutout` is set where the
    picture has transparency: all else here is of what is inside its box. `find_faces` gives the map of a photo's faces;
    in a video they are tracked.

    Example:
        >>> from wctstyle import Stylizer, samples
        >>> code = Stylizer("slim").content(samples.picture("cat").rgb[:64, :48])
        >>> code.photo.shape, code.pixels.shape, code.code.shape, code.nbytes
        ((64, 48, 3), (1, 64, 64, 3), (1, 8, 8, 131), 82688)
        >>> np.allclose(code.mean_color(None), code.photo.mean(axis=(0, 1)), atol=1e-5), code.faces
        (True, None)
        >>> code.padded(np.ones((64, 48))).shape, code.counted()  # nothing is transparent, so all pixels count
        ((64, 64), None)
    """

    code: Features
    moments: Moments
    pixels: Float[np.ndarray, "1 H W 3"]
    height: int
    width: int
    texture: Amount
    key: str
    cutout: Cutout | None = None
    find_faces: Callable[[Rgb], Float[np.ndarray, "h w"] | None] | None = None

    @property
    def nbytes(self) -> int:
        """Memory use in bytes."""
        return int(self.code.nbytes) + self.pixels.nbytes

    @property
    def photo(self) -> Rgb:
        """The picture without padding."""
        return self.pixels[0, : self.height, : self.width]

    def counted(self, share: Float[np.ndarray, "1 H W 1"] | None = None) -> Float[np.ndarray, "1 H W 1"] | None:
        """Return how much each pixel counts, 0..1: its `share` of a region times its opacity; None for all alike."""
        opacity = None if self.cutout is None else self.cutout.opacity
        if opacity is None:
            return share
        seen = self.padded(opacity)[None, :, :, None]
        return seen if share is None else share * seen

    @functools.cached_property
    def _cell_colors(self) -> Float[np.ndarray, "h w 3"]:
        return of_cells(self.pixels)[0]

    def mean_color(self, cells: Float[np.ndarray, "1 h w 1"] | None) -> Float[np.ndarray, "3"]:
        """Return the mean colour of the cells that count in the moments, weighted by `cells`; None for all alike."""
        colors, sides = self._cell_colors, (counted_side(self.height), counted_side(self.width))
        down, across = (  # as in `plan.counted`
            np.clip(side / CELL - np.arange(count), 0, 1) for side, count in zip(sides, colors.shape[:2], strict=True)
        )
        weights = np.outer(down, across).astype(np.float32)
        if cells is not None:
            weights = weights * cells[0, :, :, 0]
        return weights.ravel() @ colors.reshape(-1, 3) / max(float(weights.sum()), 1e-6)

    @functools.cached_property
    def faces(self) -> Float[np.ndarray, "H W"] | None:
        """Map of the faces, 0..1, padded like the pixels (see `wctstyle.faces`); None if there are none."""
        found = (self.find_faces or face_map)(self.photo)
        return None if found is None else self.padded(found)

    def padded(self, plane: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "H W"]:
        """Pad a map of the photo to the size of the padded pixels, repeating its edge values."""
        padding = [
            (0, whole - own) for whole, own in zip(self.pixels.shape[1:3], (self.height, self.width), strict=True)
        ]
        return np.pad(plane, padding, mode="edge")


@dataclass(frozen=True)
class Part:
    """A region ready to paint: plan, share of each pixel (None: everywhere), and its dials.

    Example:
        >>> from wctstyle import Settings, Stylizer, samples
        >>> photo, style = (samples.picture(name).rgb[:64, :64] for name in ("cat", "marbling"))
        >>> (part,) = Stylizer("slim").stylize(photo, style, Settings(keep_faces=0.0)).parts
        >>> part.plan.affine.matrix.shape, part.share, part.dials == Dials()
        ((131, 131), None, True)
    """

    plan: Plan
    share: Float[np.ndarray, "1 H W 1"] | None = None
    dials: Dials = Dials()


def shape_of(content: Any) -> tuple[int, int] | None:
    """Return the height and width of a photo or its code; None for what is no picture."""
    shape = np.shape(content.photo if isinstance(content, ContentCode) else pixels_of(content))
    return shape[:2] if len(shape) == 3 and 0 < min(shape) <= max(shape) <= MAX_SIDE else None


@dataclass(frozen=True)
class Result:
    """A stylised picture, its parts with their plans (none without a style) and the seconds each step took.

    first_of_size: whether programs had to be compiled, or read from the cache on disk, for its size.

    Example:
        >>> from wctstyle import Settings, Stylizer, samples
        >>> photo, style = (samples.picture(name).rgb[:64, :64] for name in ("cat", "marbling"))
        >>> made = Stylizer("slim").stylize(photo, style, Settings(keep_faces=0.0))
        >>> made.image.shape, made.image.dtype.name, len(made.parts), list(made.seconds)
        ((64, 64, 3), 'float32', 1, ['encode', 'blend', 'render'])
    """

    image: Rgb
    parts: Sequence[Part]
    seconds: Mapping[str, float]
    first_of_size: bool = False
