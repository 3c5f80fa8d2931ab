"""Regions: parts of a photo, each with styles of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from wctstyle import images
from wctstyle.color import luma
from wctstyle.errors import ConfigError, ImageError


@dataclass(frozen=True)
class Region:
    """A part of a photo with styles of its own.

    mask: "h w", floats in [0, 1], booleans or 8 bit, of any size; it is brought to the photo's. Edges in between count
    in part. None: all that the other regions leave. styles: as `Stylizer.stylize` takes them; none, or all of weight 0,
    leaves the photo there. strength: times that of the settings.
    """

    mask: Any
    styles: Any
    strength: float = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.strength) and self.strength >= 0):
            raise ConfigError(f"strength of a region is {self.strength}, must be a number >= 0")


def regions_of(styles: Any) -> list[Region]:
    """Return the regions among what `Stylizer.stylize` takes as styles; styles alone are one region without a mask.

    Raises:
        ConfigError: no styles, styles and regions together, or more than one region without a mask.
    """
    listed = [styles] if isinstance(styles, Region) else styles
    listed = listed if isinstance(listed, Sequence) else [listed]
    found = [item for item in listed if isinstance(item, Region)]
    if found and len(found) < len(listed):
        raise ConfigError("styles and regions are mixed; put the styles into a Region(None, styles)")
    if sum(region.mask is None for region in found) > 1:
        raise ConfigError("several regions have no mask; only one can be what the others leave")
    regions = found or [Region(None, styles)]
    if not any(weighted_styles(region.styles) for region in regions):
        raise ConfigError("no style given: give at least one")
    return regions


def weighted_styles(styles: Any) -> list[tuple[Any, float]]:
    """List styles with their weights: one style, or several, each alone (weight 1) or as (style, weight)."""
    if not isinstance(styles, Sequence):
        return [(styles, 1.0)]
    return [item if isinstance(item, tuple) else (item, 1.0) for item in styles]


def blend_shares(weights: Sequence[float]) -> Float[np.ndarray, " n"] | None:
    """Check the weights of a blend, of any scale, and make them sum to 1; None where all are 0.

    Raises:
        ConfigError: a weight is negative or not finite.
    """
    for number, weight in enumerate(weights, start=1):
        if not np.isfinite(weight) or weight < 0:
            raise ConfigError(f"weight of style {number} is {weight}, must be a number >= 0")
    shares = np.asarray(weights, np.float64)
    if not shares.any():
        return None
    shares = shares / shares.max()  # first, so that huge weights do not overflow in the sum
    return shares / shares.sum()


FACE, REST = "face", "rest"
"""Names of regions that need no mask: the faces that are found, and what the other regions leave."""

NOWHERE = np.zeros((1, 1), np.float32)


def named_regions(
    styles: Sequence[tuple[Any, float, str]],
    masks: Mapping[str, Any],
    faces: Callable[[], Float[np.ndarray, "h w"] | None],
) -> list[Region]:
    """Group styles (style, weight, name of the region; "" is the rest) by their regions.

    `masks` has the mask of each name; `faces` looks for faces, where a style names them. A mask without a style leaves
    the photo there.
    """
    names = dict.fromkeys([name or REST for *_, name in styles] + list(masks))
    planes: dict[str, Any] = {**masks, REST: None}
    if FACE in names and FACE not in masks:
        found = faces()
        planes[FACE] = NOWHERE if found is None else found
    return [
        Region(planes[name], [(style, weight) for style, weight, own in styles if (own or REST) == name])
        for name in names
    ]


def mask_of(picture: images.Picture) -> Float[np.ndarray, "h w"]:
    """Read a picture as a mask: white counts, black and transparent do not."""
    plane = luma(picture.rgb).astype(np.float32)
    return np.clip(plane if picture.alpha is None else plane * picture.alpha, 0, 1)


def shares(regions: Sequence[Region], height: int, width: int) -> list[Float[np.ndarray, "h w"] | None]:
    """Say how far each pixel of a photo belongs to each region, 0..1; None: all of it everywhere.

    Where masks add up to more than one they are scaled down to one. Where they add up to less, the rest belongs to the
    region without a mask, and without such a region to the photo.

    Raises:
        ImageError: a mask of another shape, type or range.
    """
    if all(region.mask is None for region in regions):
        return [None] * len(regions)
    masks = [None if region.mask is None else _fitted(region.mask, height, width) for region in regions]
    total = np.sum([mask for mask in masks if mask is not None], axis=0)
    scale = np.maximum(total, 1)
    return [(np.maximum(1 - total, 0) if mask is None else mask / scale).astype(np.float32) for mask in masks]


def _fitted(mask: Any, height: int, width: int) -> Float[np.ndarray, "h w"]:
    array = np.asarray(mask)
    if array.dtype == np.bool_:
        array = array.astype(np.float32)
    if array.ndim != 2 or not array.size:
        raise ImageError(f"mask: has shape {array.shape}, wanted height x width")
    plane = images.checked_values(array, "mask")
    return images.resize_planes(plane[..., None], height=height, width=width)[..., 0]
