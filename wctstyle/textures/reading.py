"""What a texture reads: its styles and masks, put into the parts that it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wctstyle.errors import ConfigError
from wctstyle.inputs import fit_parts, read_masks, read_parts, read_style
from wctstyle.settings import MAX_SIDE
from wctstyle.sources import mask_sources, style_sources
from wctstyle.specs import Named
from wctstyle.textures.recipe import TextureRecipe
from wctstyle.textures.settings import TextureSettings
from wctstyle.textures.transitions import named_parts, parts_of


def read_texture(
    named: Named, settings: TextureSettings, model: str, max_pixels: int
) -> tuple[TextureRecipe, Sequence[Any]]:
    """Read the pictures; returns the recipe and the regions.

    Raises:
        ConfigError: what `parts_of` refuses, or a mask that is found in photos.
        ImageError: one cannot be read.
    """
    masks, specs = read_masks(named.regions.masks, max_pixels), named.styles
    for name, mask in masks.items():
        if mask.plane is None:
            raise ConfigError(f"--mask {name}={mask.source}: is found in a photo, and here is none; give a file")
    own = read_parts(specs, max_pixels)
    pictures = [read_style(spec.source, max_pixels) for spec in specs]
    fitted = fit_parts(pictures, specs, own, [(settings.style_size, MAX_SIDE)] * len(specs))
    styles = [(style, weight, spec.region) for (style, weight), spec in zip(fitted, specs, strict=True)]
    regions = named_parts(styles, {name: mask.plane for name, mask in masks.items()}, settings, named.regions.feather)
    parts_of(regions, settings)  # here, so that what is wrong is told before JAX is imported
    sources = style_sources(specs, pictures, own)
    return TextureRecipe(sources, settings, model, mask_sources(masks), named.regions.feather), regions
