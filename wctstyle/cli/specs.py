"""What the arguments mean, with looks at which files exist."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from wctstyle import places
from wctstyle.cli.contents import kind_of_several, photos_of, why_unreadable
from wctstyle.cli.options import from_options
from wctstyle.errors import ConfigError, ImageError
from wctstyle.inputs import STDIN, RegionSpecs
from wctstyle.settings import DEFAULT_FEATHER
from wctstyle.specs import Named, parse_dials, parse_masks, parse_style_masks, parse_styles

Format = Literal["png", "jpg", "webp"]
"""What files in an output folder can be."""

Preprocessing = Literal["caffe", "torchvision"]
"""The same as `weights.Preprocessing`, which takes long to import."""


def named_pictures(
    command: str,
    contents: Sequence[str],
    styles: Sequence[str] | None,
    masks: Sequence[str] | None,
    style_masks: Sequence[str] | None = None,
    dials: Sequence[str] | None = None,
    feather: float = DEFAULT_FEATHER,
    mask_map: str | None = None,
    *,
    recursive: bool = False,
    apart: str | None = None,
    addresses: bool = False,
) -> Named:
    """Find out which pictures the arguments of `command` name; see `photos_of` for the last three.

    Raises:
        ConfigError: there is no style, or a style, mask, region or sample makes no sense.
        ImageError: a photo does not exist.
    """
    specs = parse_styles(styles, command=command)
    parsed, own = parse_masks(masks, specs, mask_map), parse_dials(dials, specs)
    regions = from_options(RegionSpecs, masks=parsed, dials=own, feather=feather)
    photos = photos_of(contents, recursive=recursive, apart=apart, addresses=addresses)
    named = Named(list(photos), parse_style_masks(style_masks, specs), regions, list(photos.values()))
    if not addresses and (given := next(filter(places.is_address, named.files), None)):
        raise ImageError(why_unreadable(given))
    if named.files.count(STDIN) > 1:
        raise ConfigError(f"{STDIN}: is standard input, which can be read once; give a file for the other picture")
    return named


def named_photo(command: str, content: str, *others: Any) -> Named:
    """Do as `named_pictures` for one photo.

    Raises:
        ConfigError: it is a folder, all styles have weight 0, or as `named_pictures`.
        ImageError: it does not exist.
    """
    named = named_pictures(command, [content], *others)
    if named.contents != [content]:
        raise ConfigError(f"{content}: is {kind_of_several(content)}; `wctstyle {command}` takes one photo")
    if not any(style.weight for style in named.styles):
        raise ConfigError("--style: all weights are 0, so there is no style left; give one above 0")
    return named
