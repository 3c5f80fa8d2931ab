"""What names of pictures, masks and regions mean, as commands and the service write them; pure but for `exists`."""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from wctstyle import images, regions, samples
from wctstyle.errors import ConfigError
from wctstyle.inputs import RegionSpec, RegionSpecs, StyleSpec
from wctstyle.masks import PREFIX, checked_kind, split_color
from wctstyle.regions import FACE, REST
from wctstyle.settings import DEFAULT_FEATHER, DEFAULT_MODEL, Settings

SETTINGS: dict[str, Any] = {field.name: field.default for field in dataclasses.fields(Settings)}

PAINTING: dict[str, Any] = {
    "style": None,
    "use_look": None,
    "mask": None,
    "mask_map": None,
    "style_mask": None,
    "region": None,
    "feather": DEFAULT_FEATHER,
    **SETTINGS,
    "model": DEFAULT_MODEL,
    "size": None,
    "stroke_scale": None,
    "style_size": None,
    "max_pixels": images.DEFAULT_MAX_PIXELS,
    "quality": images.DEFAULT_QUALITY,
    "depth": None,
    "keep_profile": False,
}
"""The options that make a picture, with their defaults."""


@dataclass(frozen=True)
class Named:
    """The pictures that a command names, none of them read yet, and its regions.

    folders: for each photo the folder that it lies in, below the one that was searched; "" where it was named itself.
    """

    contents: list[str]
    styles: list[StyleSpec]
    regions: RegionSpecs
    folders: list[str] = dataclasses.field(default_factory=list)

    @property
    def files(self) -> list[str]:
        """Every file that is read."""
        parts = dict.fromkeys(style.mask for style in self.styles if style.mask)
        files = [split_color(name)[0] for name in (*self.regions.masks.values(), *parts) if not name.startswith(PREFIX)]
        return [*self.contents, *(style.source for style in self.styles), *files]


def parse_styles(styles: Sequence[str] | None, *, command: str) -> list[StyleSpec]:
    """Split every style given on the command line of `command`.

    Raises:
        ConfigError: there is none, or one has a bad weight.
    """
    if not styles:
        raise ConfigError(
            "no style given; add one or more pictures to take the style from, for example\n"
            f"wctstyle {command} photo.jpg --style painting.jpg, or --style sample:woodcut-wave "
            "(`wctstyle samples` lists them)"
        )
    return [parse_style(text) for text in styles]


NAME = regions.NAME
"""What a region may be called."""


def parse_masks(
    masks: Sequence[str] | None, styles: Sequence[StyleSpec], mask_map: str | None = None
) -> dict[str, str]:
    """Split every `NAME=FILE`, and check that each region that a style names is there.

    Other regions that a style names are colours of `mask_map`, where it is given.

    Raises:
        ConfigError: no NAME=FILE, a name that is no word, is taken or given twice, no such ready mask, a region without
            a mask, or a map that no style uses.
    """
    found: dict[str, str] = {}
    for text in masks or ():
        name, equals, file = text.partition("=")
        if not (equals and file and NAME.fullmatch(name)):
            raise ConfigError(
                f"--mask {text}: wanted NAME=FILE, the name without any of {' '.join(regions.NOT_IN_NAMES)}"
            )
        if name in (FACE, REST):
            raise ConfigError(f"--mask {text}: {name} is built in; choose another name")
        if name in found:
            raise ConfigError(f"--mask {text}: {name} is given twice; give each name one mask")
        found[name] = _checked_mask(f"--mask {text}", file)
    if mask_map is not None:
        colors = {spec.region for spec in styles} - {"", FACE, REST, *found}
        if mask_map.startswith(PREFIX):
            raise ConfigError(f"--mask-map {mask_map}: is one mask, not a map of colors; give --mask NAME={mask_map}")
        if not colors:
            raise ConfigError(
                f"--mask-map {mask_map}: no style takes a color of it; write --style PATH@blue or another"
            )
        found |= {color: f"{mask_map}#{color}" for color in sorted(colors)}
    for spec in styles:
        if spec.region not in ("", FACE, REST, *found):
            raise ConfigError(
                f"--style {spec.source}@{spec.region}: there is no mask of that name; give --mask {spec.region}=FILE "
                f"(@{FACE} and @{REST} need none)"
            )
    return found


def _checked_mask(option: str, name: str) -> str:
    """Return what names a mask: a file, one with #COLOR, or ready:KIND.

    Raises:
        ConfigError: there is no such ready mask; it begins with `option`.
    """
    if name.startswith(PREFIX):
        try:
            checked_kind(name.removeprefix(PREFIX))
        except ConfigError as error:
            raise ConfigError(f"{option}: {error}") from error
    return name


PART = re.compile(rf"({NAME.pattern})(?:/([0-9]{{1,4}}))?")
"""What a mask of styles belongs to: a region, or one of its styles by number."""


def parse_style_masks(style_masks: Sequence[str] | None, styles: Sequence[StyleSpec]) -> list[StyleSpec]:
    """Split every `REGION=FILE` or `REGION/NUMBER=FILE`, and give the styles their masks.

    Raises:
        ConfigError: it is none of these, there is no such style, or a style gets two masks.
    """
    by_region: dict[str, list[int]] = {}
    for at, spec in enumerate(styles):
        by_region.setdefault(spec.region or REST, []).append(at)
    files: dict[int, str] = {}
    for text in style_masks or ():
        part, equals, file = text.partition("=")
        found = PART.fullmatch(part)
        if not (equals and file and found):
            raise ConfigError(f"--style-mask {text}: wanted REGION=FILE, or REGION/NUMBER=FILE for one of its styles")
        region, number = found.groups()
        own = by_region.get(region, [])
        if not own or (number and not 1 <= int(number) <= len(own)):
            listed = ", ".join(f"{name} ({len(places)})" for name, places in by_region.items())
            raise ConfigError(
                f"--style-mask {text}: there is no such style; the regions with their styles are {listed}"
            )
        for at in [own[int(number) - 1]] if number else own:
            if at in files:
                raise ConfigError(f"--style-mask {text}: {styles[at].source} has a mask already; give each style one")
            files[at] = _checked_mask(f"--style-mask {text}", file)
    return [dataclasses.replace(spec, mask=files.get(at, "")) for at, spec in enumerate(styles)]


DIALS = tuple(field.name for field in dataclasses.fields(RegionSpec))


def parse_dials(dials: Sequence[str] | None, styles: Sequence[StyleSpec]) -> dict[str, RegionSpec]:
    """Split every `NAME:DIAL=VALUE,...`; a region whose dials are all at their defaults is left out.

    Raises:
        ConfigError: it is no such text, no style has that region, something is given twice, or a value is out of range.
    """
    regions = dict.fromkeys(spec.region or REST for spec in styles)
    found: dict[str, RegionSpec] = {}
    for text in dials or ():
        region, _, rest = text.partition(":")
        if region not in regions:
            raise ConfigError(f"--region {text}: no style has that region; the regions are {', '.join(regions)}")
        if region in found:
            raise ConfigError(f"--region {text}: {region} is given twice; give all its dials at once, with commas")
        values: dict[str, Any] = {}
        for item in rest.split(","):
            name, _, written = (part.strip() for part in item.partition("="))
            value = written if name == "colors" else _number(written)
            if name not in DIALS or value is None:
                raise ConfigError(f"--region {text}: wanted NAME:DIAL=VALUE,..., the dials being {', '.join(DIALS)}")
            if name in values:
                raise ConfigError(f"--region {text}: {name} is given twice; give each dial once")
            values[name] = value
        try:
            found[region] = RegionSpec(**values)
        except ConfigError as error:
            raise ConfigError(f"--region {text}: {error}") from error
    return {name: spec for name, spec in found.items() if spec != RegionSpec()}


def parse_style(text: str, *, exists: Callable[[str], bool] = os.path.exists) -> StyleSpec:
    r"""Split `PATH[:WEIGHT][@REGION]` or `sample:NAME[:WEIGHT][@REGION]`, from the right.

    A file that exists under the whole text wins. What follows the last colon is a weight only if it is a number, so
    that `C:\sea.jpg` stays a path; what follows the last @ is a region unless it ends as the names of pictures do.

    Raises:
        ConfigError: the weight is negative, not finite or no number, or there are two regions.
    """
    head, at, region = text.rpartition("@")
    if at and head and not exists(text):
        if _is_region(region):
            spec = parse_style(head, exists=exists)
            if spec.region:
                raise ConfigError(f"--style {text}: names two regions; give the style twice, once for each")
            return dataclasses.replace(spec, region=region)
        name, colon, weight = region.partition(":")
        if colon and _is_region(name) and _number(weight) is not None and not exists(f"{head}@{name}"):
            raise ConfigError(f"--style {text}: the region comes last; write {head}:{weight}@{name}")
    is_sample = text.startswith(samples.PREFIX)
    head, colon, tail = text.removeprefix(samples.PREFIX).rpartition(":")
    if not colon or (not is_sample and exists(text)):
        return StyleSpec(text)
    source = samples.PREFIX + head if is_sample else head
    weight = _number(tail)
    if weight is None:
        if is_sample or exists(source):
            raise ConfigError(f"--style {text}: weight is {tail!r}, must be a number >= 0")
        return StyleSpec(text)
    if not math.isfinite(weight):
        raise ConfigError(f"--style {text}: weight is {tail}, must be a finite number >= 0")
    if weight < 0:
        raise ConfigError(f"--style {text}: weight is {tail}, must be >= 0")
    return StyleSpec(source, weight)


def _is_region(text: str) -> bool:
    return bool(NAME.fullmatch(text)) and not text.lower().endswith(images.SUPPORTED_SUFFIXES)


def parse_layers(option: str, text: str) -> dict[str, float]:
    """Read `relu4_2` or `relu3_1=0.5,relu4_1=1`: layers by name, with weight 1 where none is given.

    Raises:
        ConfigError: a weight is no number, or a layer is given twice. Names and ranges are checked by the settings.
    """
    layers: dict[str, float] = {}
    for item in text.split(","):
        layer, equals, weight = (part.strip() for part in item.partition("="))
        value = _number(weight) if equals else 1.0
        if value is None:
            raise ConfigError(f"{option} {text}: weight of {layer} is {weight!r}, must be a number >= 0")
        if layer in layers:
            raise ConfigError(f"{option} {text}: {layer} is given twice; give each layer once")
        layers[layer] = value
    return layers


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
