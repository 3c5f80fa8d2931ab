"""Batches: many photos stylized with the same styles and saved, with their recipes in them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wctstyle import __version__, images, places
from wctstyle.cutout import visible_sides
from wctstyle.errors import ConfigError, ImageError
from wctstyle.inputs import (
    STDIN,
    RegionSpecs,
    Sizes,
    StyleSpec,
    fit_parts,
    photo_side,
    read,
    read_masks,
    read_parts,
    read_photo,
    read_style,
    regions_for,
    style_sides,
)
from wctstyle.laps import Laps
from wctstyle.recipe import Recipe
from wctstyle.regions import Style
from wctstyle.settings import DEFAULT_MODEL, Settings, checked_model
from wctstyle.sources import Source, mask_sources, public_name, style_sources

if TYPE_CHECKING:
    from wctstyle.stylizer import Stylizer

CONTENT_SIZE = 1024
"""Long side, in pixels, to which larger photos are shrunk unless a size is given."""


LAPS = ("load_model", "read", "encode", "blend", "render", "refine", "write")
"""The steps of a picture whose seconds are told."""


@dataclass(frozen=True)
class Setup:
    """All that makes a picture but its photo; names what is read, so that other processes can be told.

    Raises:
        ConfigError: there is no such model, or the quality is out of range.
    """

    styles: tuple[StyleSpec, ...]
    settings: Settings = Settings()
    model: str = DEFAULT_MODEL
    sizes: Sizes = Sizes()
    quality: int = images.DEFAULT_QUALITY
    regions: RegionSpecs = RegionSpecs()

    def __post_init__(self) -> None:
        checked_model(self.model)
        images.check_quality(self.quality)


def load_stylizer(model: str) -> Stylizer:
    """Load a model."""
    from wctstyle.stylizer import Stylizer  # here, as it imports JAX, and mistakes are told before

    return Stylizer(model)


class Batch:
    """Stylizes one photo after another with the same styles; the model is loaded for the first.

    The styles and all masks are read at once. `warn` is told what does not stop a picture; `load` returns the stylizer
    of a model, which several batches may share.

    Raises:
        ImageError: a style or mask cannot be read.
    """

    def __init__(
        self, setup: Setup, *, warn: Callable[[str], None], load: Callable[[str], Stylizer] = load_stylizer
    ) -> None:
        began = time.perf_counter()
        self.settings, self.model, self.sizes, self.quality = setup.settings, setup.model, setup.sizes, setup.quality
        self._specs, self._regions, self._warn, self._load = setup.styles, setup.regions, warn, load
        styles, regions, sizes = setup.styles, setup.regions, setup.sizes
        self._masks = read_masks(regions.masks, sizes.max_pixels)
        self._parts = read_parts(styles, sizes.max_pixels)
        full = self._read_styles()
        self._style_sources = style_sources(styles, full, self._parts)
        self._full: list[images.Picture] | None = full
        self._fitted: tuple[tuple[tuple[int, int], ...], list[tuple[Style, float]]] | None = None
        if sizes.strokes.style_size is not None:
            self._styles_for(CONTENT_SIZE)  # here, so that a size that cannot be is told at once
        self._stylizer: Stylizer | None = None
        self._reading = time.perf_counter() - began
        """Seconds that count for the first picture."""

    def _read_styles(self) -> list[images.Picture]:
        return [read_style(spec.source, self.sizes.max_pixels) for spec in self._specs]

    def _styles_for(self, result: int) -> list[tuple[Style, float]]:
        """Return styles and weights for a result of that long side, the last ones kept; else the files are read again.

        Their full sizes, kept for the whole of a batch, could take gigabytes.
        """
        sides = style_sides(self._specs, self._regions.dials, self.sizes.strokes, result)
        if self._fitted is None or self._fitted[0] != sides:
            full, self._full = self._full or self._read_styles(), None
            self._fitted = sides, fit_parts(full, self._specs, self._parts, sides)
        return self._fitted[1]

    def made(self, content: str, result: str) -> bool:
        """Say whether a file is the result of a photo as this batch makes it, by the recipe in it."""
        try:
            written = images.read_recipe(places.read(result) if places.is_address(result) else result)
            found = Recipe.from_json(written or {})
            if content == STDIN or found.content.name != public_name(content):
                return False
            return replace(found, version=__version__) == self._recipe_for(
                read(content, self.sizes.max_pixels), content
            )
        except (ConfigError, ImageError):
            return False

    def make(
        self,
        content: str,
        output: str,
        *,
        format: str | None = None,
        write: Callable[[bytes], object] | None = None,
        refining: Callable[[int, int], None] = lambda step, steps: None,
    ) -> dict[str, Any]:
        """Stylize a photo and save the result, in a folder that is made if missing; returns figures for JSON.

        `format`: of the file, by its suffix if not given. `write` takes the file's bytes, instead of saving.
        `refining`: see `Stylizer.stylize`.
        """
        laps = Laps(*LAPS)
        laps.began, laps.seconds["read"], self._reading = laps.began - self._reading, self._reading, 0.0
        full, picture = read_photo(content, self.sizes, usual=CONTENT_SIZE)
        styles = self._styles_for(max(visible_sides(picture)))
        recipe = self._recipe_for(full, content).to_json()
        laps.end("read")
        if self._stylizer is None:
            self._stylizer = self._load(self.model)
            laps.end("load_model")
        stylizer = self._stylizer
        traced = sum(stylizer.traces.values())
        regions = regions_for(picture, styles, self._specs, self._masks, self._regions, self._warn)
        result = stylizer.stylize(picture, regions, self.settings, refining=refining)
        stylizer.forget_photos()  # each is seen once
        laps.include(result.seconds)
        laps.skip()
        format = format or os.path.splitext(output)[1]
        data = images.encode(result.image, picture.alpha, format=format, quality=self.quality, recipe=recipe)
        if write is None:
            places.write(output, data)
        else:
            write(data)
        laps.end("write")
        total = time.perf_counter() - laps.began
        return {
            "content": content,
            "output": output,
            "width": picture.width,
            "height": picture.height,
            "seconds": {name: round(value, 4) for name, value in {**laps.seconds, "total": total}.items()},
            "model": stylizer.model,
            "device": _device(),
            "first_call": sum(stylizer.traces.values()) > traced,
        }

    def _recipe_for(self, full: images.Picture, source: str) -> Recipe:
        return Recipe(
            content=Source(public_name(source), full.content_hash),
            styles=self._style_sources,
            size=photo_side(full, self.sizes.size, CONTENT_SIZE),
            settings=self.settings,
            model=self.model,
            style_size=self.sizes.strokes.style_size,
            stroke_scale=self.sizes.strokes.stroke_scale,
            masks=mask_sources(self._masks),
            feather=self._regions.feather,
            dials=self._regions.dials,
        )


def _device() -> str:
    import jax

    return jax.devices()[0].device_kind
