"""How a finished pass is refined: from settings and regions of the pass to those of the optimiser."""

from __future__ import annotations

from collections.abc import Sequence

from wctstyle.codes import Rgb, StyleCode
from wctstyle.measuring import checked
from wctstyle.optimizer.settings import LEAST_SIDE, OptimizeSettings
from wctstyle.regions import Region, shares, weighted_styles
from wctstyle.settings import Settings
from wctstyle.sizes import counted_side, padded

REFINE_CONTENT = 0.05
"""What the photo weighs while a picture is refined, and four times as much with detail 1."""


def style_pixels(style: Rgb | StyleCode) -> Rgb:
    """Return the pixels of a style picture, or of one that has been measured."""
    return style.pixels if isinstance(style, StyleCode) else checked(style, "style picture")


def refinement(shape: Sequence[int], settings: Settings) -> OptimizeSettings:
    """Return how a finished picture is refined, at one scale."""
    return OptimizeSettings(
        steps=settings.refine,
        blend=settings.blend,
        statistic="moments",
        content_weight=REFINE_CONTENT * 4**settings.detail,
        keep_faces=settings.keep_faces,
        smallest=max(16, *shape),
    )


def to_refine(shape: Sequence[int], regions: Sequence[Region], settings: Settings) -> list[Region]:
    """Return the regions as the optimiser takes them; none where there is nothing to refine, as in a single row."""
    wanted = [
        Region(
            share,
            [(padded(style_pixels(style), counted_side), weight) for style, weight in weighted_styles(region.styles)],
            min(settings.strength * region.strength, 1.0),
        )
        for region, share in zip(regions, shares(regions, *shape[:2]), strict=True)
        if region.strength and (share is None or share.any())
    ]
    styled = any(weight > 0 for region in wanted for _, weight in region.styles)
    return wanted if styled and min(shape[:2]) >= LEAST_SIDE else []
