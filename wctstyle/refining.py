"""How a finished pass is refined: from settings and regions of the pass to those of the optimiser."""

from __future__ import annotations

from collections.abc import Sequence

from wctstyle.measuring import style_pixels
from wctstyle.optimizer.settings import LEAST_SIDE, OptimizeSettings
from wctstyle.regions import Region, Style, shares, weighted_styles
from wctstyle.settings import Settings
from wctstyle.sizes import counted_side, padded

REFINE_CONTENT = 0.05
"""What the photo weighs while a picture is refined; a region's detail raises that (`optimizer.job`)."""


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


def to_refine(shape: Sequence[int], regions: Sequence[Region], settings: Settings) -> list[Region]:
    """Return the regions as the optimiser takes them; none where there is nothing to refine, as in a single row."""
    wanted = [
        Region(
            share,
            [(_padded(style), weight) for style, weight in weighted_styles(region.styles)],
            strength=min(settings.strength * region.strength, 1.0),
            detail=settings.detail if region.detail is None else region.detail,
        )
        for region, share in zip(regions, shares(regions, *shape[:2]), strict=True)
        if region.strength and region.colors_in(settings) != "only" and (share is None or share.any())
    ]
    styled = any(weight > 0 for region in wanted for _, weight in region.styles)
    return wanted if styled and min(shape[:2]) >= LEAST_SIDE else []


def _padded(style: Style) -> Style:
    """Pad a style picture that is too small to be measured, and its mask."""
    own = style_pixels(style)
    mask = None if own.mask is None else padded(own.mask[..., None], counted_side)[..., 0]
    return Style(padded(own.picture, counted_side), mask)
