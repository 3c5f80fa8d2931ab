"""Batches: many photos stylized with the same styles and saved, with their recipes in them."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wctstyle import __version__, images
from wctstyle.cutout import visible_sides
from wctstyle.errors import ConfigError, ImageError
from wctstyle.inputs import (
    STDIN,
    RegionSpecs,
    Sizes,
    StyleSpec,
    fit_parts,
    photo_side,
    read_full,
    read_large,
    read_masks,
    read_parts,
    read_style,
    regions_for,
    style_sides,
)
from wctstyle.laps import Laps
from wctstyle.recipe import Recipe
from wctstyle.regions import Style
from wctstyle.settings import Settings
from wctstyle.sources import Source, mask_sources, public_name, style_sources

if TYPE_CHECKING:
    from wctstyle.stylizer import Stylizer

CONTENT_SIZE = 1024
"""Long side, in pixels, to which larger photos are shrunk unless a size is given."""


LAPS = ("load_model", "read", "encode", "blend", "render", "refine", "write")
"""The steps of a picture whose seconds are told."""


class Batch:
    """Stylizes one photo after another with the same styles; the model is loaded for the first.

    The styles and all masks are read at once. `warn` is told what does not stop a picture. depth: bits per channel of
    results; None: 16 for photos that have more than 8, where the format holds them. keep_profile: results keep the ICC
    profile and the resolution of their photos; else they are sRGB.

    Raises:
        ConfigError: the quality is out of range.
        ImageError: a style or mask cannot be read.
    """

    def __init__(
        self,
        styles: Sequence[StyleSpec],
        settings: Settings,
        *,
        model: str,
        sizes: Sizes,
        quality: int = images.DEFAULT_QUALITY,
        depth: int | None = None,
        keep_profile: bool = False,
        regions: RegionSpecs = RegionSpecs(),  # noqa: B008
        warn: Callable[[str], None],
    ) -> None:
        images.check_quality(quality)
        self.settings, self.model, self.sizes, self.quality = settings, model, sizes, quality
        self._depth, self._keep_profile = depth, keep_profile
        self._specs, self._regions, self._warn = styles, regions, warn
        self._first_laps: Laps | None = Laps(*LAPS)
        self._masks = read_masks(regions.masks, sizes.max_pixels)
        self._parts = read_parts(styles, sizes.max_pixels)
        full = self._read_styles()
        self._style_sources = style_sources(styles, full, self._parts)
        self._full: list[images.Picture] | None = full
        self._fitted: tuple[tuple[tuple[int, int], ...], list[tuple[Style, float]]] | None = None
        if sizes.strokes.style_size is not None:
            self._styles_for(CONTENT_SIZE)  # here, so that a size that cannot be is told at once
        self._stylizer: Stylizer | None = None

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

    def made(self, content: str, result: Path) -> bool:
        """Say whether a file is the result of a photo as this batch makes it, by the recipe in it."""
        try:
            found = Recipe.from_json(images.read_recipe(result) or {})
            if content == STDIN or found.content.name != public_name(content):
                return False
            return replace(found, version=__version__) == self._recipe_for(
                read_full(content, self.sizes.max_pixels), content
            )
        except (ConfigError, ImageError):
            return False

    def make(
        self,
        content: str,
        output: Path,
        *,
        sink: tuple[str, Callable[[bytes], object]] | None = None,
        refining: Callable[[int, int], None] = lambda step, steps: None,
        painting: Callable[[int, int], None] = lambda tile, tiles: None,
    ) -> dict[str, Any]:
        """Stylize a photo and save the result, in a folder that is made if missing; returns figures for JSON.

        `sink`: a format and a function that takes the file's bytes, instead of saving. `refining`, `painting`: see
        `Stylizer.stylize` and `Stylizer.stylize_large`.
        """
        laps, self._first_laps = self._first_laps or Laps(*LAPS), None
        full, picture = read_large(content, self.sizes, usual=CONTENT_SIZE)
        styles = self._styles_for(max(visible_sides(picture)))
        recipe = self._recipe_for(full, content).to_json()
        laps.end("read")
        if self._stylizer is None:
            from wctstyle.stylizer import Stylizer  # here, as it imports JAX, and mistakes are told before

            self._stylizer = Stylizer(self.model)
            laps.end("load_model")
        stylizer = self._stylizer
        traced = sum(stylizer.traces.values())
        regions = regions_for(picture, styles, self._specs, self._masks, self._regions, self._warn)
        written = {"quality": self.quality, "recipe": recipe, "kept": self._kept(full)}
        if sink is None:
            images.make_folder(output.parent)
        if isinstance(picture, images.Raster):
            laps.skip()
            with _open_rows(output, sink, picture, written) as write:
                result = stylizer.stylize_large(picture, regions, self.settings, write, painting=painting)
                laps.include(result.seconds)
                laps.skip()
        else:
            result = stylizer.stylize(picture, regions, self.settings, refining=refining)
            laps.include(result.seconds)
            laps.skip()
            if sink is None:
                images.save(output, result.image, picture.alpha, **written)
            else:
                sink[1](images.encode(result.image, picture.alpha, format=sink[0], **written))
        stylizer.forget_photos()  # each is seen once
        laps.end("write")
        total = time.perf_counter() - laps.began
        return {
            "content": content,
            "output": str(output),
            "width": picture.width,
            "height": picture.height,
            "seconds": {name: round(value, 4) for name, value in {**laps.seconds, "total": total}.items()},
            "model": stylizer.model,
            "device": _device(),
            "first_call": sum(stylizer.traces.values()) > traced,
        }

    def _kept(self, full: images.Raster) -> images.Kept:
        bits = self._depth or full.bits
        return images.Kept(bits, full.profile, full.dpi) if self._keep_profile else images.Kept(bits)

    def _recipe_for(self, full: images.Raster, source: str) -> Recipe:
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


@contextlib.contextmanager
def _open_rows(
    output: Path, sink: tuple[str, Callable[[bytes], object]] | None, photo: images.Raster, written: Mapping[str, Any]
) -> Iterator[Callable[[np.ndarray], None]]:
    """Open a file or sink for the rows of a result, to which the photo's opacity is added."""
    done, alpha = 0, photo.alpha is not None

    def write(rows: np.ndarray) -> None:
        nonlocal done
        writer.write(rows, photo.opacity((slice(done, done + len(rows)), slice(0, photo.width))))
        done += len(rows)

    if sink is None:
        with images.saving(output, photo.shape, alpha=alpha, **written) as writer:
            yield write
        return
    with tempfile.TemporaryFile() as file:
        writer = images.RowWriter(file, photo.shape, format=sink[0], alpha=alpha, **written)
        yield write
        writer.end()
        file.seek(0)
        sink[1](file.read())


def _device() -> str:
    import jax

    return jax.devices()[0].device_kind
