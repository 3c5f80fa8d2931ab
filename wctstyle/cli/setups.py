"""From the options of a painting, or the columns of a manifest, to what paints it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wctstyle import images
from wctstyle.batch import Setup
from wctstyle.cli.looks_command import in_look
from wctstyle.cli.options import from_options, sizes_from
from wctstyle.cli.specs import Named, named_pictures
from wctstyle.errors import ConfigError
from wctstyle.settings import DEFAULT_FEATHER, DEFAULT_MODEL, LARGEST_SIDE, Settings

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


def setup_from(
    command: str, contents: Sequence[str], given: Mapping[str, Any], *, chosen: Callable[[str], bool], **how: Any
) -> tuple[Named, Setup]:
    """Find the pictures that options name, and what paints them.

    `given` has values by the names of `PAINTING`; those that were `chosen` by the user a look leaves as they are.
    `how`: see `named_pictures`.

    Raises:
        ConfigError: a value is out of range, or makes no sense.
        ImageError: a photo does not exist.
    """
    values = in_look(given.get("use_look"), {**PAINTING, **given}, chosen)
    settings = from_options(Settings, **{name: values[name] for name in SETTINGS})
    sides = (values[name] for name in ("size", "style_size", "stroke_scale", "max_pixels"))
    sizes = sizes_from(*sides, most=LARGEST_SIDE)
    pictures = (values[name] for name in ("style", "mask", "style_mask", "region", "feather", "mask_map"))
    named = named_pictures(command, contents, *pictures, **how)
    made = from_options(
        Setup, styles=tuple(named.styles), settings=settings, model=values["model"], sizes=sizes,
        quality=values["quality"], depth=values["depth"], keep_profile=values["keep_profile"], regions=named.regions,
    )  # fmt: skip
    return named, made


def each_alone(blend: Setup) -> list[Setup]:
    """Return a setup for each style of a blend.

    Raises:
        ConfigError: a style belongs to a region.
    """
    if blend.regions.masks or blend.regions.dials or any(spec.region for spec in blend.styles):
        raise ConfigError("--each-style: paints whole photos; leave out --mask, --region and the @REGION of styles")
    alone = [dataclasses.replace(spec, weight=1.0) for spec in blend.styles]
    return [dataclasses.replace(blend, styles=(spec,)) for spec in dict.fromkeys(alone)]
