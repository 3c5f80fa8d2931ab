"""How a finished pass is refined: from settings and regions of the pass to those of the optimiser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from wctstyle import heaps
from wctstyle.cutout import Content, pixels_of
from wctstyle.encoder import CELL, MODELS, ModelConfig
from wctstyle.grading import Photo
from wctstyle.images import Part
from wctstyle.measuring import style_pixels
from wctstyle.optimizer.settings import LEAST_SIDE, OptimizeSettings
from wctstyle.regions import Region, Style, checked_mask, shares, weighted_styles
from wctstyle.settings import Settings
from wctstyle.sizes import SMALLEST_SIDE, counted_side, padded

if TYPE_CHECKING:
    from wctstyle.optimizer import Optimizer
    from wctstyle.optimizer.tiled import Pixels

REFINE_CONTENT = 0.05
"""What the photo weighs while a picture is refined; a region's detail raises that (`optimizer.job`)."""

TILE_AREA = 512 * 512 * 32
"""Pixels of a tile times channels of the network's first stage: to optimise one takes 0.5 GiB."""

WHOLE_AREA = 1280 * 1280
"""Most pixels of a picture that is refined in one piece: larger ones are refined tile by tile (`optimizer.tiled`)."""


def by_tiles(shape: Sequence[int]) -> bool:
    """Say whether a picture is refined tile by tile."""
    return shape[0] * shape[1] > WHOLE_AREA


def tile_side(config: ModelConfig) -> int:
    """Return the side in pixels of the tiles that a network refines."""
    return int((TILE_AREA / config.channels[0]) ** 0.5) // CELL * CELL


def refinement(shape: Sequence[int], settings: Settings) -> OptimizeSettings:
    """Return how a finished picture is refined, at one scale."""
    return OptimizeSettings(
        steps=settings.refine,
        blend=settings.blend,
        statistic="moments",
        content_weight=REFINE_CONTENT,
        keep_faces=settings.keep_faces,
        smallest=max(16, *shape),
    )


def _refinable(shape: Sequence[int], regions: Sequence[Region], settings: Settings) -> list[Region | None]:
    """Return the regions as the optimiser takes them; None for those of which there is nothing to refine."""

    def wanted(region: Region) -> Region | None:
        styles = weighted_styles(region.styles)
        nothing = not region.strength or region.colors_in(settings) == "only" or min(shape[:2]) < LEAST_SIDE
        if nothing or not any(weight > 0 for _, weight in styles):
            return None
        return Region(
            region.mask,
            [(_padded(style), weight) for style, weight in styles],
            strength=min(settings.strength * region.strength, 1.0),
            detail=settings.detail if region.detail is None else region.detail,
        )

    return [wanted(region) for region in regions]


def to_refine(shape: Sequence[int], regions: Sequence[Region], settings: Settings) -> list[Region]:
    """Return the regions with their shares as masks; none where there is nothing to refine, as in a single row."""
    return [
        replace(region, mask=share)
        for region, share in zip(_refinable(shape, regions, settings), shares(regions, *shape[:2]), strict=True)
        if region is not None and (share is None or share.any())
    ]


def check_memory(
    optimizer: Optimizer, content: Content | tuple[int, int], regions: Sequence[Region], settings: Settings
) -> None:
    """Tell before anything is painted if refining a photo, or one of that height and width, takes too much memory.

    Raises:
        ImageError: it does.
    """
    shape = content if isinstance(content, tuple) else pixels_of(content).shape[:2]
    if isinstance(content, tuple) or by_tiles(shape):
        side = tile_side(MODELS[optimizer.model])
        shape = min(shape[0], side), min(shape[1], side)
        content = np.zeros((*shape, 3), np.float32)
        regions = [region if region.mask is None else replace(region, mask=np.ones((1, 1))) for region in regions]
    if wanted := to_refine(shape, regions, settings):
        optimizer.check_memory(content, refinement(shape, settings), wanted)


def refine_tiles(
    optimizer: Optimizer,
    photo: Photo,
    painted: Pixels,
    out: Pixels,
    regions: Sequence[Region],
    settings: Settings,
    faces: Callable[[Part], Float[np.ndarray, "h w"] | None],
    refining: Callable[[int, int], None],
) -> None:
    """Refine `out`, a copy of the painted picture, tile by tile; `faces` gives a part of the map of the faces."""
    from wctstyle.optimizer.tiled import Source, descend  # here, as a first picture need not wait for optax

    masks = [None if region.mask is None else checked_mask(region.mask)[..., None] for region in regions]
    found = dict(enumerate(_refinable(photo.raster.shape, regions, settings)))
    wanted = {number: region for number, region in found.items() if region is not None}

    def shares(part: Part) -> list[Float[np.ndarray, "h w"] | None]:
        divided = photo.shares(masks, part)
        return [divided[number] for number in wanted]

    source = Source(
        photo.raster.shape, painted, photo.rgb, photo.raster.opacity, list(wanted.values()), shares, faces
    )  # fmt: skip
    side = tile_side(MODELS[optimizer.model])
    chosen = refinement([min(side, length) for length in source.shape], settings)
    heaps.trim()  # what the pass has freed
    descend(optimizer, source, chosen, out, refining, side=side)


def _padded(style: Style) -> Style:
    """Pad a style picture that is too small to be measured, and its mask."""
    own = style_pixels(style)
    if min(own.picture.shape[:2]) >= SMALLEST_SIDE:
        return own
    mask = None if own.mask is None else padded(own.mask[..., None], counted_side)[..., 0]
    return Style(padded(own.picture, counted_side), mask)
