"""Optimising a texture: the style's terms alone, from the painted texture (after Gatys et al. 2015).

Gram matrices say which features occur together, not where: what is long-ranged in a style, as a grid or a face, is not
in the result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from wctstyle.codes import Rgb
from wctstyle.optimizer.settings import SMALLEST_GIVEN, OptimizeSettings
from wctstyle.regions import Region
from wctstyle.textures.plane import at_level
from wctstyle.textures.settings import TextureSettings

if TYPE_CHECKING:
    from wctstyle.optimizer import Iterate, Optimizer

TV_WEIGHT = 0.01
"""Weight of smoothness: less than beside a photo, as grain belongs to a texture."""


def optimize_settings(settings: TextureSettings) -> OptimizeSettings:
    """Return the optimiser's settings: no content, and two scales at most."""
    return OptimizeSettings(
        steps=settings.optimize,
        content_weight=0.0,
        tv_weight=TV_WEIGHT,
        keep_faces=0.0,
        blend=settings.blend,
        init="image",
        smallest=max(SMALLEST_GIVEN, max(settings.shape) // 2),
    )


def iterates(
    optimizer: Optimizer, painted: Rgb, regions: Sequence[Region], settings: TextureSettings
) -> Iterator[Iterate]:
    """Optimise a painted texture; yields as `Optimizer.run` does.

    Borders are reflected or, of a tileable texture, wrap around.

    Raises:
        ImageError: the size does not fit into memory.
        NonFiniteError: the loss is not finite.
    """
    finest = settings.levels - 1
    fitted = [replace(region, styles=at_level(region.styles, settings, finest)) for region in regions]
    border = "wrap" if settings.tileable else "reflect"
    return optimizer.run(painted, fitted, optimize_settings(settings), init=painted, border=border)
