"""Where each style of a texture counts: along a gradient, or by masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float

from wctstyle.errors import ConfigError
from wctstyle.regions import FACE, Region, fitted, named_regions, regions_of, shares, softened, weighted_styles
from wctstyle.textures.settings import Gradient, TextureSettings

PLANE_SIDE = 1024
"""Long side in pixels at which masks are kept."""

COVERED = 0.5
"""Least share of every place that the styles together have to have."""

Plane = Float[np.ndarray, "h w"]


def ramp(kind: Gradient, height: int, width: int) -> Plane:
    """Return how far along a gradient each pixel is: 0 at its start, 1 at its end."""
    down, across = ((np.arange(side, dtype=np.float32) + 0.5) / side for side in (height, width))
    if kind == "horizontal":
        return np.broadcast_to(across[None, :], (height, width))
    if kind == "vertical":
        return np.broadcast_to(down[:, None], (height, width))
    return np.minimum(2 * np.hypot(down[:, None] - 0.5, across[None, :] - 0.5), 1)


def stops(kind: Gradient, count: int, shape: tuple[int, int]) -> list[Plane]:
    """Return the share of each of `count` styles along a gradient, which sum to 1.

    Between two stops the share goes from 1 to 0 as a smooth step, so that much of each texture is pure.
    """
    place = ramp(kind, *shape) * (count - 1)
    near = [np.clip(1 - np.abs(place - stop), 0, 1) for stop in range(count)]
    return [(share**2 * (3 - 2 * share)).astype(np.float32) for share in near]


def named_parts(
    styles: Sequence[tuple[Any, float, str]], masks: Mapping[str, Any], settings: TextureSettings, feather: float
) -> list[Region]:
    """Group styles, given as (style, weight, region name; "" is the rest), by the masks of the names, softened.

    Raises:
        ConfigError: a style is for faces, which no texture has.
        ImageError: a mask of the wrong shape, type or range.
    """
    if any(name == FACE and FACE not in masks for *_, name in styles):
        raise ConfigError(f"a style is for @{FACE}, and a texture has no faces; give the style another region")
    sides = _plane_sides(settings.shape)
    planes = {name: softened(fitted(mask, *sides), feather * max(sides)) for name, mask in masks.items()}
    return named_regions(styles, planes, lambda: None)


def parts_of(styles: Any, settings: TextureSettings) -> list[Region]:
    """Return the regions of a texture, at most one of them without a mask; those without a style are left out.

    Raises:
        ConfigError: no style, a gradient of one style or of regions, a weight where none counts, or places that have no
            style.
        ImageError: a mask of the wrong shape, type or range.
    """
    regions = regions_of(styles)
    if settings.gradient != "none":
        regions = _along(settings, regions)
    if not any(weight for region in regions for _, weight in weighted_styles(region.styles)):
        raise ConfigError("all weights of the styles are 0, so there is nothing to make a texture of")
    planes = shares(regions, *_plane_sides(settings.shape))
    found = [
        replace(region, mask=plane)
        for region, plane in zip(regions, planes, strict=True)
        if any(weight for _, weight in weighted_styles(region.styles)) and (plane is None or plane.any())
    ]
    masks = [region.mask for region in found]
    if all(mask is not None for mask in masks) and np.min(np.sum(masks, axis=0), initial=1) < COVERED:
        raise ConfigError(
            "the masks leave a part of the texture without a style; give one style without a region, for the rest"
        )
    return found


def _along(settings: TextureSettings, regions: Sequence[Region]) -> list[Region]:
    styles = weighted_styles(regions[0].styles)
    if len(regions) > 1 or len(styles) < 2:
        raise ConfigError(
            f"gradient is {settings.gradient!r}, which goes from one style to the next; give two styles or more, "
            "without regions"
        )
    if any(weight != 1 for _, weight in styles):
        raise ConfigError(f"gradient is {settings.gradient!r}, where every style has its place; leave out the weights")
    planes = stops(settings.gradient, len(styles), _plane_sides(settings.shape))
    return [Region(plane, [style]) for plane, style in zip(planes, styles, strict=True)]


def _plane_sides(shape: tuple[int, int]) -> tuple[int, int]:
    scale = min(1.0, PLANE_SIDE / max(shape))
    return max(1, round(scale * shape[0])), max(1, round(scale * shape[1]))
