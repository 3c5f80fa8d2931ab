"""The studio: reads pictures, stylizes them and saves the results, with their recipes in them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from wctstyle import images, samples
from wctstyle.cli.console import warn
from wctstyle.cli.outputs import check_format, make_folder
from wctstyle.cli.specs import StyleSpec
from wctstyle.errors import ConfigError, ImageError
from wctstyle.recipe import MaskSource, Recipe, Source, StyleSource, public_name
from wctstyle.regions import FACE, Region, mask_of, named_regions
from wctstyle.settings import DEFAULT_STROKE_SCALE, MAX_SIDE, Settings, style_long_side

if TYPE_CHECKING:
    from wctstyle.stylizer import Stylizer

_T = TypeVar("_T")

CONTENT_SIZE = 1024
"""Long side, in pixels, to which larger photos are shrunk unless --size says otherwise."""


@dataclass(frozen=True)
class Strokes:
    """How large strokes are: the long side of the style pictures in pixels, or as a multiple of the result's.

    Of the two exactly one is set once this is made.

    Raises:
        ConfigError: both are given, or the one that is given is out of range.
    """

    style_size: int | None = None
    stroke_scale: float | None = None

    def __post_init__(self) -> None:
        check_side("--style-size", self.style_size)
        if self.stroke_scale is not None:
            from_options(style_long_side, result_long_side=MAX_SIDE, stroke_scale=self.stroke_scale)
            if self.style_size is not None:
                raise ConfigError(
                    f"--style-size {self.style_size} and --stroke-scale {self.stroke_scale} contradict each other; "
                    "give one of them"
                )
        elif self.style_size is None:
            object.__setattr__(self, "stroke_scale", DEFAULT_STROKE_SCALE)

    @property
    def option(self) -> str:
        """Name the option that says it."""
        return "--style-size" if self.stroke_scale is None else "--stroke-scale"

    def long_side(self, result: int) -> int:
        """Return the long side of the style pictures for a result of that long side; 0: their own."""
        return self.style_size or 0 if self.stroke_scale is None else style_long_side(result, self.stroke_scale)


@dataclass(frozen=True)
class Options:
    """All options of `stylize` that say how a picture looks, checked without JAX; see `stylize` for each."""

    settings: Settings
    model: str
    size: int | None
    strokes: Strokes
    max_pixels: int
    quality: int

    def __post_init__(self) -> None:
        check_side("--size", self.size)
        check_format("--quality", "jpg", self.quality)
        if self.max_pixels < 0:
            raise ConfigError(f"--max-pixels is {self.max_pixels}, must be a whole number; 0 means no limit")


def check_side(name: str, value: int | None) -> None:
    """Refuse a size that is out of range.

    Raises:
        ConfigError: naming the option.
    """
    if value is not None and not 0 <= value <= MAX_SIDE:
        raise ConfigError(f"{name} is {value}, must be from 1 to {MAX_SIDE} pixels, or 0 for the picture's own size")


def from_options(settings: Callable[..., _T], **values: Any) -> _T:
    """Make `Settings` or `OptimizeSettings`; their errors begin with the name of a field, which here are options.

    Raises:
        ConfigError: a value out of range.
    """
    try:
        return settings(**values)
    except ConfigError as error:
        field, _, rest = str(error).partition(" ")
        raise ConfigError(f"--{field.replace('_', '-')} {rest}") from error


@dataclass(frozen=True)
class Mask:
    """A region's mask: where it came from, the hash of its picture, and what counts."""

    source: str
    hash: str
    plane: np.ndarray


def read_masks(files: Mapping[str, str], max_pixels: int) -> dict[str, Mask]:
    """Read masks by the names of their regions.

    Raises:
        ImageError: one cannot be read.
    """
    read_in = {name: read(file, max_pixels) for name, file in files.items()}
    return {name: Mask(files[name], picture.content_hash, mask_of(picture)) for name, picture in read_in.items()}


def style_sources(specs: Sequence[StyleSpec], pictures: Sequence[images.Picture]) -> tuple[StyleSource, ...]:
    """Describe styles for a recipe."""
    return tuple(
        StyleSource(public_name(spec.source), picture.content_hash, spec.weight, spec.region)
        for spec, picture in zip(specs, pictures, strict=True)
    )


def mask_sources(masks: Mapping[str, Mask]) -> tuple[MaskSource, ...]:
    """Describe masks for a recipe."""
    return tuple(MaskSource(public_name(mask.source), mask.hash, name) for name, mask in masks.items())


def regions_for(
    photo: images.Picture,
    styles: Sequence[tuple[np.ndarray, float]],
    specs: Sequence[StyleSpec],
    masks: Mapping[str, Mask],
) -> list[Region]:
    """Put a photo's styles into the regions that their specs name; says so where no face is found for them."""

    def faces() -> np.ndarray | None:
        from wctstyle.faces import face_map  # here, as most runs ask the stylizer

        found = face_map(photo.rgb)
        if found is None:
            warn(f"{photo.source}: no face was found, so the style of @{FACE} is not used")
        return found

    named = [(style, weight, spec.region) for (style, weight), spec in zip(styles, specs, strict=True)]
    return named_regions(named, {name: mask.plane for name, mask in masks.items()}, faces)


@dataclass(frozen=True)
class Job:
    """One picture to make: from which content, into which file."""

    content: str
    output: Path


def read(source: str, max_pixels: int) -> images.Picture:
    """Read a picture by its path or as `sample:NAME`."""
    if source.startswith(samples.PREFIX):
        return samples.picture(source.removeprefix(samples.PREFIX))
    return images.load(source, max_pixels=max_pixels)


def read_style(source: str, max_pixels: int) -> images.Picture:
    """Read a style picture.

    Raises:
        ImageError: there is nothing on it.
    """
    picture = read(source, max_pixels)
    if picture.alpha is not None and not picture.alpha.any():
        raise ImageError(f"{picture.source}: is transparent all over; give a style that has something on it")
    return picture


def fit(picture: images.Picture, side: int, option: str) -> images.Picture:
    """Scale to a long side; 0 is the picture's own, which `option` asked for."""
    if side == 0:
        longest = max(picture.height, picture.width)
        if longest > MAX_SIDE:
            raise ImageError(
                f"{picture.source}: is {picture.width} x {picture.height}, too large to render at its own size; "
                f"leave out {option} 0, or give {option} {MAX_SIDE} or less"
            )
        return picture
    return images.resize(picture, long_side=side, enlarge=True)


def fit_photo(picture: images.Picture, size: int | None, default: int) -> images.Picture:
    """Scale a photo to --size; without it larger ones are shrunk to `default`."""
    return images.resize(picture, long_side=default) if size is None else fit(picture, size, "--size")


def fit_style(picture: images.Picture, side: int) -> images.Picture:
    """Scale a style to a long side and lay it over white, as paper shows through."""
    return images.flatten(fit(picture, side, "--style-size"))


class _Laps:
    """Wall seconds since the last lap, added up by name."""

    def __init__(self) -> None:
        self.start = self.last = time.perf_counter()
        parts = ("load_model", "read", "encode", "blend", "render", "refine", "write")
        self.seconds: dict[str, float] = dict.fromkeys(parts, 0.0)

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] += now - self.last
        self.last = now

    def total(self) -> dict[str, float]:
        laps = self.seconds | {"total": time.perf_counter() - self.start}
        return {name: round(value, 4) for name, value in laps.items()}


class Studio:
    """Stylizes one content after another with the same styles; the model is loaded for the first."""

    def __init__(
        self, specs: Sequence[StyleSpec], options: Options, masks: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.options = options
        self._specs = specs
        self._first_laps: _Laps | None = _Laps()
        self._masks = read_masks(masks, options.max_pixels)
        full = self._read_styles()
        self._style_sources = style_sources(specs, full)
        self._full: list[images.Picture] | None = full
        self._fitted: tuple[int, list[tuple[np.ndarray, float]]] | None = None
        if options.strokes.style_size is not None:
            self._styles_at(options.strokes.style_size)  # here, so that a size that cannot be is told at once
        self._stylizer: Stylizer | None = None

    def _read_styles(self) -> list[images.Picture]:
        return [read_style(spec.source, self.options.max_pixels) for spec in self._specs]

    def _styles_at(self, side: int) -> list[tuple[np.ndarray, float]]:
        """Return styles and weights at a long side, the last one kept; for another the files are read again.

        Their full sizes, kept for the whole of a batch, could take gigabytes.
        """
        if self._fitted is None or self._fitted[0] != side:
            full, self._full = self._full or self._read_styles(), None
            fitted = [
                (fit_style(picture, side).rgb, spec.weight) for picture, spec in zip(full, self._specs, strict=True)
            ]
            self._fitted = side, fitted
        return self._fitted[1]

    def make(self, job: Job, *, refining: Callable[[int, int], None]) -> dict[str, Any]:
        """Stylize and save one picture; returns what --json prints. `refining`: see `Stylizer.stylize`."""
        laps, self._first_laps = self._first_laps or _Laps(), None
        full = read(job.content, self.options.max_pixels)
        picture = images.fill_hidden(fit_photo(full, self.options.size, CONTENT_SIZE))
        styles = self._styles_at(self.options.strokes.long_side(max(picture.height, picture.width)))
        recipe = self._recipe_for(full, picture, job.content)
        laps.lap("read")
        if self._stylizer is None:
            from wctstyle.stylizer import Stylizer

            self._stylizer = Stylizer(self.options.model)
            laps.lap("load_model")
        stylizer = self._stylizer
        traced = sum(stylizer.traces.values())
        regions = regions_for(picture, styles, self._specs, self._masks)
        result = stylizer.stylize(picture.rgb, regions, self.options.settings, refining=refining)
        for name, seconds in result.seconds.items():
            laps.seconds[name] += seconds
        laps.last = time.perf_counter()
        self._save(job.output, result.image, picture.alpha, recipe)
        laps.lap("write")
        return {
            "content": job.content,
            "output": str(job.output),
            "width": picture.width,
            "height": picture.height,
            "seconds": laps.total(),
            "model": stylizer.model,
            "device": _device(),
            "first_call": sum(stylizer.traces.values()) > traced,
        }

    def _recipe_for(self, full: images.Picture, picture: images.Picture, source: str) -> Recipe:
        return Recipe(
            content=Source(public_name(source), full.content_hash),
            styles=self._style_sources,
            size=max(picture.height, picture.width),
            settings=self.options.settings,
            model=self.options.model,
            style_size=self.options.strokes.style_size,
            stroke_scale=self.options.strokes.stroke_scale,
            masks=mask_sources(self._masks),
        )

    def _save(self, path: Path, rgb: np.ndarray, alpha: np.ndarray | None, recipe: Recipe) -> None:
        make_folder(path.parent)
        images.save(path, rgb, alpha, quality=self.options.quality, recipe=recipe.to_json())


def _device() -> str:
    import jax

    return jax.devices()[0].device_kind
