"""The pictures that a job names: read by path or as `sample:NAME`, brought to their sizes, put into regions."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from wctstyle import images, masks, places, samples
from wctstyle.cutout import visible_sides
from wctstyle.errors import ConfigError, ImageError
from wctstyle.fitting import fit_part, too_large
from wctstyle.regions import FACE, REST, Dials, Region, Style, fitted, mask_of, named_regions, softened
from wctstyle.settings import (
    DEFAULT_FEATHER,
    DEFAULT_STROKE_SCALE,
    FACES_SIDE,
    MAX_FEATHER,
    MAX_SIDE,
    STROKE_SCALES,
    checked_number,
    style_long_side,
)

STDIN = "-"
"""The path that means standard input. It can be read once."""

PLAIN = 2.5 / 255
"""A style whose channels vary by less has no texture, only a colour."""


@dataclass(frozen=True)
class StyleSpec:
    """A style by name: a path or `sample:NAME`, its weight in the blend, its region, and the file of its mask."""

    source: str
    weight: float = 1.0
    region: str = ""
    mask: str = ""


def _check_side(name: str, value: int | None, most: int = MAX_SIDE) -> None:
    if value is not None and not 0 <= value <= most:
        raise ConfigError(f"{name} is {value}, must be from 1 to {most} pixels, or 0 for the picture's own size")


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
        _check_side("style_size", self.style_size)
        if self.stroke_scale is not None:
            style_long_side(MAX_SIDE, self.stroke_scale)
            if self.style_size is not None:
                raise ConfigError(
                    f"style_size={self.style_size} and stroke_scale={self.stroke_scale} contradict each other; "
                    "give one of them"
                )
        elif self.style_size is None:
            object.__setattr__(self, "stroke_scale", DEFAULT_STROKE_SCALE)

    def long_side(self, result: int) -> int:
        """Return the long side of the style pictures for a result of that long side; 0: their own."""
        return self.style_size or 0 if self.stroke_scale is None else style_long_side(result, self.stroke_scale)


@dataclass(frozen=True, kw_only=True)
class RegionSpec(Dials):
    """What a region has of its own. stroke: its stroke scale; None: the strokes of the others.

    Raises:
        ConfigError: a value out of range, naming it.
    """

    stroke: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stroke is not None:
            checked_number("stroke of a region", self.stroke, *STROKE_SCALES)


@dataclass(frozen=True)
class RegionSpecs:
    """What a job says of regions. masks: by name, as `read_masks` takes them. dials: by name, `REST` for the rest.

    feather: how far masks are softened (`settings.DEFAULT_FEATHER`), 0 not at all.

    Raises:
        ConfigError: the feather is out of range.
    """

    masks: Mapping[str, str] = field(default_factory=dict)
    dials: Mapping[str, RegionSpec] = field(default_factory=dict)
    feather: float = DEFAULT_FEATHER

    def __post_init__(self) -> None:
        checked_number("feather", self.feather, 0, MAX_FEATHER)


def style_sides(
    specs: Sequence[StyleSpec], dials: Mapping[str, RegionSpec], strokes: Strokes, result: int
) -> tuple[tuple[int, int], ...]:
    """Return the long side of each style picture (0: its own) and that of the result, as `fit_part` takes them.

    Where strokes are given in pixels, the result's size plays no part, and `MAX_SIDE` stands for it.
    """

    def side(spec: StyleSpec) -> tuple[int, int]:
        own = dials.get(spec.region or REST, RegionSpec()).stroke
        chosen = strokes if own is None else Strokes(stroke_scale=own)
        return chosen.long_side(result), MAX_SIDE if chosen.stroke_scale is None else result

    return tuple(side(spec) for spec in specs)


@dataclass(frozen=True)
class Sizes:
    """How large pictures are made, and may be.

    size: long side of the result in pixels; None shrinks larger photos to what is usual, 0 is the photo's own.
    max_pixels: larger pictures are not read; 0 is no limit. most: longest side of the result.

    Raises:
        ConfigError: a value out of range, naming it.
    """

    size: int | None = None
    strokes: Strokes = Strokes()
    max_pixels: int = images.DEFAULT_MAX_PIXELS
    most: int = MAX_SIDE

    def __post_init__(self) -> None:
        _check_side("size", self.size, self.most)
        if self.max_pixels < 0:
            raise ConfigError(f"max_pixels is {self.max_pixels}, must be a whole number; 0 means no limit")


def opened(source: str) -> str | BinaryIO:
    """Return standard input for `-`, and any other path as it is.

    Raises:
        ImageError: standard input is a terminal.
    """
    if source != STDIN:
        return source
    if sys.stdin.isatty():
        raise ImageError(f"{STDIN}: is standard input, and nothing is piped into it; give a file")
    return sys.stdin.buffer


def read(source: str, max_pixels: int) -> images.Picture:
    """Read a picture by its path, its address (`places`), as `sample:NAME` or from standard input (`-`)."""
    if source.startswith(samples.PREFIX):
        return samples.picture(source.removeprefix(samples.PREFIX))
    return read_full(source, max_pixels).picture()


def read_photo(source: str, sizes: Sizes, *, usual: int) -> tuple[images.Raster, images.Picture]:
    """Read a photo; returns it as it is, and at the result's size."""
    full, photo = read_large(source, sizes, usual=usual)
    return full, photo.picture() if isinstance(photo, images.Raster) else photo


def read_large(source: str, sizes: Sizes, *, usual: int) -> tuple[images.Raster, images.Picture | images.Raster]:
    """Do as `read_photo`; what cannot be rendered in one piece stays a raster."""
    full = read_full(source, sizes.max_pixels)
    return full, fit_photo(full, sizes, usual)


def read_full(source: str, max_pixels: int) -> images.Raster:
    """Read a photo as `read` does, at its own size and depth."""
    if source.startswith(samples.PREFIX):
        return images.Raster.of(samples.picture(source.removeprefix(samples.PREFIX)))
    if places.is_address(source):
        return images.load_raster(places.read(source), max_pixels=max_pixels)
    return images.load_raster(opened(source), max_pixels=max_pixels)


def fit_photo(full: images.Raster, sizes: Sizes, usual: int) -> images.Picture | images.Raster:
    """Scale a photo to the result's size; without one, larger photos are shrunk to what is usual."""
    side = photo_side(full, sizes.size, usual)
    if side > sizes.most:
        raise too_large(full, "size", sizes.most)
    height, width = images.scaled_sides(full, long_side=side)
    if side <= MAX_SIDE:
        return full.resized(height=height, width=width)
    return full if full.shape == (height, width) else full.scaled(height=height, width=width)


def read_style(source: str, max_pixels: int) -> images.Picture:
    """Read a style picture.

    Raises:
        ImageError: there is nothing on it.
    """
    picture = read(source, max_pixels)
    if picture.alpha is not None and not picture.alpha.any():
        raise ImageError(f"{picture.source}: is transparent all over; give a style that has something on it")
    return picture


@dataclass(frozen=True)
class Mask:
    """The mask of a region or a style: where it came from, the hash of its picture, and what counts.

    plane: None where it is found in each picture anew (`masks.ready`); there is no hash then.
    """

    source: str
    hash: str = ""
    plane: np.ndarray | None = None

    def on(self, picture: images.Picture) -> np.ndarray:
        """Return what counts of a picture.

        Raises:
            ImageError: it is to be found in the picture and is not there.
        """
        return masks.ready(self.source.removeprefix(masks.PREFIX), picture) if self.plane is None else self.plane


def read_masks(files: Mapping[str, str], max_pixels: int) -> dict[str, Mask]:
    """Read masks by the names of their regions: files, `FILE#COLOR` of a map, and `ready:KIND`, which is not read.

    Raises:
        ConfigError: there is no such ready mask here.
        ImageError: one cannot be read, or the map has no such colour.
    """
    return {name: _read_mask(file, max_pixels) for name, file in files.items()}


def read_parts(specs: Sequence[StyleSpec], max_pixels: int) -> list[Mask | None]:
    """Read the masks of styles; None for a style without.

    Raises:
        ImageError: one cannot be read, or is black all over.
    """
    files = dict.fromkeys(spec.mask for spec in specs if spec.mask)  # each once: one may be standard input
    found = {file: _read_mask(file, max_pixels) for file in files}
    for file, mask in found.items():
        if mask.plane is not None and not mask.plane.any():
            raise ImageError(f"{file}: is black all over, so nothing of the style counts; paint its part white")
    return [found.get(spec.mask) for spec in specs]


def _read_mask(file: str, max_pixels: int) -> Mask:
    if file.startswith(masks.PREFIX):
        masks.checked_kind(file.removeprefix(masks.PREFIX))
        return Mask(file)
    path, color = masks.split_color(file)
    picture = read(path, max_pixels)
    return Mask(file, picture.content_hash, masks.of_color(picture, color) if color else mask_of(picture))


def photo_side(picture: images.Picture | images.Raster, size: int | None, usual: int) -> int:
    """Return the long side to which a photo is scaled."""
    longest = max(picture.height, picture.width)
    return min(longest, usual) if size is None else size or longest


def fit_parts(
    pictures: Sequence[images.Picture],
    specs: Sequence[StyleSpec],
    parts: Sequence[Mask | None],
    sides: Sequence[tuple[int, int]],
) -> list[tuple[Style, float]]:
    """Scale each style picture with its mask to its side (`style_sides`); returns them with their weights."""
    return [
        (fit_part(picture, *side, part and part.on(picture)), spec.weight)
        for picture, spec, part, side in zip(pictures, specs, parts, sides, strict=True)
    ]


def warn_of_plain(
    styles: Sequence[tuple[Style, float]], specs: Sequence[StyleSpec], warn: Callable[[str], None]
) -> None:
    """Warn of styles that have nothing to paint with. Photos share their styles, so call it once for all of them."""
    for (style, weight), spec in zip(styles, specs, strict=True):
        if weight and np.ptp(style.picture, axis=(0, 1)).max() < PLAIN:
            warn(f"{spec.source}: is one colour all over, so that colour is all it gives")


def feathered(mask: np.ndarray, photo: images.Picture | images.Raster, feather: float) -> np.ndarray:
    """Bring the mask of a region to the photo's size, up to `MAX_SIDE`, and soften it (`RegionSpecs.feather`).

    One that stays hard keeps its own size where the photo is larger.
    """
    scale = min(1.0, MAX_SIDE / max(photo.height, photo.width))
    if scale < 1 and not feather:
        return mask
    height, width = (max(1, round(scale * side)) for side in (photo.height, photo.width))
    return softened(fitted(mask, height, width), feather * scale * max(visible_sides(photo)))


def found_faces(photo: images.Picture | images.Raster, feather: float) -> np.ndarray | None:
    """Return the mask of the region `FACE`, softened as others are; None if no face is found."""
    found = masks.found(FACE, _looked_at(photo))
    return None if found is None else feathered(found, photo, feather)


def _looked_at(photo: images.Picture | images.Raster) -> images.Picture:
    """Return the picture in which faces, sky and others are looked for: a large photo is made smaller."""
    if isinstance(photo, images.Picture):
        return photo
    height, width = images.scaled_sides(photo, long_side=FACES_SIDE)
    return photo.resized(height=height, width=width)


def regions_for(
    photo: images.Picture | images.Raster,
    styles: Sequence[tuple[Style, float]],
    specs: Sequence[StyleSpec],
    read: Mapping[str, Mask],
    regions: RegionSpecs,
    warn: Callable[[str], None],
) -> list[Region]:
    """Put a photo's styles into the regions that their specs name; warns where no face is found for them.

    Raises:
        ImageError: a mask that is to be found in the photo is not there.
    """

    def faces() -> np.ndarray | None:
        found = found_faces(photo, regions.feather)
        if found is None:
            warn(f"{photo.source}: no face was found, so the style of @{FACE} is not used")
        return found

    named = [(style, weight, spec.region) for (style, weight), spec in zip(styles, specs, strict=True)]
    looked_at = functools.cache(lambda: _looked_at(photo))  # only where a mask is found in it
    planes = {
        name: feathered(mask.on(looked_at()) if mask.plane is None else mask.plane, photo, regions.feather)
        for name, mask in read.items()
    }
    return named_regions(named, planes, faces, regions.dials)
