"""Batches: many photos stylized with the same styles and saved, with their recipes in them."""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

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
    read_full,
    read_large,
    read_masks,
    read_parts,
    read_style,
    regions_for,
    style_sides,
    warn_of_plain,
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
    """Everything that makes a picture except its photo. Pictures are named, so that it can be sent to other processes.

    depth: bits per channel of results; None: 16 for photos that have more than 8, where the format holds them.
    keep_profile: results keep the ICC profile and the resolution of their photos; else they are sRGB.

    Raises:
        ConfigError: there is no such model, or the quality or depth is out of range.

    Example:
        >>> setup = Setup((StyleSpec("sample:marbling"),), Settings(strength=0.8))
        >>> setup.model, setup.quality, setup.sizes.size
        ('slim', 92, None)
        >>> Setup((), depth=12)
        Traceback (most recent call last):
        wctstyle.errors.ConfigError: depth is 12, must be 8 or 16 bits
    """

    styles: tuple[StyleSpec, ...]
    settings: Settings = Settings()
    model: str = DEFAULT_MODEL
    sizes: Sizes = Sizes()
    quality: int = images.DEFAULT_QUALITY
    depth: int | None = None
    keep_profile: bool = False
    regions: RegionSpecs = RegionSpecs()

    def __post_init__(self) -> None:
        checked_model(self.model)
        images.check_quality(self.quality)
        if self.depth not in (None, 8, 16):
            raise ConfigError(f"depth is {self.depth}, must be 8 or 16 bits")


def each_alone(blend: Setup) -> list[Setup]:
    """Return a setup for each style of a blend.

    Raises:
        ConfigError: a style belongs to a region.

    Example:
        >>> both = Setup((StyleSpec("sample:marbling", 2.0), StyleSpec("sample:tapestry")))
        >>> [[(style.source, style.weight) for style in setup.styles] for setup in each_alone(both)]
        [[('sample:marbling', 1.0)], [('sample:tapestry', 1.0)]]
    """
    if blend.regions.masks or blend.regions.dials or any(spec.region for spec in blend.styles):
        raise ConfigError("--each-style: paints whole photos; leave out --mask, --region and the @REGION of styles")
    alone = [replace(spec, weight=1.0) for spec in blend.styles]
    return [replace(blend, styles=(spec,)) for spec in dict.fromkeys(alone)]


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

    Example:
        >>> setup = Setup((StyleSpec("sample:marbling"),), Settings(keep_faces=0.0), sizes=Sizes(size=64))
        >>> batch = Batch(setup, warn=print)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     done = batch.make("sample:cat", f"{folder}/cat.png")
        ...     made = [batch.made(name, f"{folder}/cat.png") for name in ("sample:cat", "sample:coffee")]
        >>> done["width"], done["height"], made
        (64, 43, [True, False])
    """

    def __init__(
        self, setup: Setup, *, warn: Callable[[str], None], load: Callable[[str], Stylizer] = load_stylizer
    ) -> None:
        began = time.perf_counter()
        self.settings, self.model, self.sizes, self.quality = setup.settings, setup.model, setup.sizes, setup.quality
        self._depth, self._keep_profile = setup.depth, setup.keep_profile
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
            fitted = fit_parts(full, self._specs, self._parts, sides)
            if self._fitted is None:
                warn_of_plain(fitted, self._specs, self._warn)
            self._fitted = sides, fitted
        return self._fitted[1]

    def made(self, content: str, result: str) -> bool:
        """Say whether a file is the result of a photo as this batch makes it, by the recipe in it."""
        try:
            written = images.read_recipe(places.read(result) if places.is_address(result) else result)
            found = Recipe.from_json(written or {})
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
        output: str,
        *,
        format: str | None = None,
        write: Callable[[bytes], object] | None = None,
        refining: Callable[[int, int], None] = lambda step, steps: None,
        painting: Callable[[int, int], None] = lambda tile, tiles: None,
    ) -> dict[str, Any]:
        """Stylize a photo and save the result, in a folder that is made if missing; returns figures for JSON.

        `format`: of the file, by its suffix if not given. `write` takes the file's bytes, instead of saving.
        `refining`, `painting`: see `Stylizer.stylize` and `Stylizer.stylize_large`.

        Raises:
            ImageError: the photo cannot be read, is too large, or the result cannot be written.
            WeightsError: the model's weights are missing or damaged.
            NonFiniteError: the result is not finite.
        """
        laps = Laps(*LAPS)
        laps.began, laps.seconds["read"], self._reading = laps.began - self._reading, self._reading, 0.0
        full, picture = read_large(content, self.sizes, usual=CONTENT_SIZE)
        styles = self._styles_for(max(visible_sides(picture)))
        recipe = self._recipe_for(full, content).to_json()
        laps.end("read")
        if self._stylizer is None:
            self._stylizer = self._load(self.model)
            laps.end("load_model")
        stylizer = self._stylizer
        traced = sum(stylizer.traces.values())
        regions = regions_for(picture, styles, self._specs, self._masks, self._regions, self._warn)
        written = {"quality": self.quality, "recipe": recipe, "kept": self._kept(full)}
        kind = format or os.path.splitext(output)[1]
        if isinstance(picture, images.Raster):
            laps.skip()
            with _open_rows(output, kind, write, picture, written) as rows:
                result = stylizer.stylize_large(
                    picture, regions, self.settings, rows, painting=painting, refining=refining
                )
                laps.include(result.seconds)
                laps.skip()
        else:
            result = stylizer.stylize(picture, regions, self.settings, refining=refining)
            laps.include(result.seconds)
            laps.skip()
            data = images.encode(result.image, picture.alpha, format=kind, **written)
            (write or functools.partial(places.write, output))(data)
        stylizer.forget_photos()  # each is seen once
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
    output: str,
    kind: str,
    write: Callable[[bytes], object] | None,
    photo: images.Raster,
    written: Mapping[str, Any],
) -> Iterator[Callable[[np.ndarray], None]]:
    """Open a file for the rows of a result, to which the photo's opacity is added; `write` takes its bytes if given."""
    done, alpha = 0, photo.alpha is not None

    def add(rows: np.ndarray) -> None:
        nonlocal done
        writer.write(rows, photo.opacity((slice(done, done + len(rows)), slice(0, photo.width))))
        done += len(rows)

    if write is None and not places.is_address(output):
        images.make_folder(Path(output).parent)
        with images.saving(output, photo.shape, alpha=alpha, **written) as writer:
            yield add
        return
    with tempfile.TemporaryFile() as file:
        writer = images.RowWriter(file, photo.shape, format=kind, alpha=alpha, **written)
        yield add
        writer.end()
        file.seek(0)
        (write or functools.partial(places.write, output))(file.read())


def _device() -> str:
    import jax

    return jax.devices()[0].device_kind
