"""From the options of a painting, or the columns of a manifest, to what paints it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wctstyle.batch import Setup
from wctstyle.cli.options import from_options, sizes_from
from wctstyle.cli.specs import named_pictures
from wctstyle.looks import in_look
from wctstyle.settings import LARGEST_SIDE, Settings
from wctstyle.specs import PAINTING, SETTINGS, Named


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
