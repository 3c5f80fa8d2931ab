"""A composition: what a picture on the page is made of, from the controls, to a recipe and back."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from wctstyle import masks
from wctstyle.demo.limits import Limits
from wctstyle.demo.masking import is_mask
from wctstyle.errors import ConfigError
from wctstyle.inputs import RegionSpec, RegionSpecs, StyleSpec
from wctstyle.regions import FACE, NAME, NOT_IN_NAMES, REST
from wctstyle.settings import (
    DEFAULT_FEATHER,
    DEFAULT_MODEL,
    DEFAULT_STROKE_SCALE,
    MAX_SIDE,
    Settings,
    checked_model,
    style_long_side,
)

FIRST_CONTENT = "sample:astronaut"
FIRST_STYLES = (("sample:impasto-night", 0.6), ("sample:stained-glass", 0.4))
DEFAULT_SIZE = 512
LEAST_SIZE = 64
"""Least long side of a result that the page offers, in pixels."""
MAX_SCREEN_SIZE = 1024
"""Longest side on screen, pixels; files may be larger."""

QUALITIES: dict[str, str] = {"slim": "Fast", "medium": "Better", "vgg19": "Best"}
"""What the page calls the models."""

DEFAULTS: dict[str, Any] = {
    **{dial.name: dial.default for dial in dataclasses.fields(Settings) if dial.name != "refine"},
    "size": DEFAULT_SIZE,
    "stroke_scale": DEFAULT_STROKE_SCALE,
    "model": DEFAULT_MODEL,
}
"""The dials of the page and of the API, by name; `refine` is what Optimise is for."""

MAX_REGIONS = 8
MAX_NAME = 24
"""Most characters of a region's name."""

FACES = masks.PREFIX + FACE
"""The mask of the region `FACE`, which has no file in a command."""

KEPT_FACES = "faces kept"
"""What that region is called in a command where it has no style."""

BUILT_IN = {REST: "all that lies in no region", FACE: "the faces that are found"}

OUT_OF_DATE = "The page is out of date. Please load it again."


Blend = tuple[tuple[str, float, *tuple[str, ...]], ...]
"""Styles by id, each with its weight and, where only a part of it counts, the id of that part's mask."""


@dataclass(frozen=True)
class PageRegion:
    """A part of the photo: its name, the id of its mask, its styles and its dials."""

    name: str
    mask: str
    styles: Blend = ()
    dials: RegionSpec = RegionSpec()


@dataclass(frozen=True)
class Composition:
    """Content and styles by id, weights, settings, long side of the result in pixels, stroke scale, and model.

    styles: of all that lies in none of the regions. stroke_scale: long side of the style pictures by that of the
    result. feather: how far masks are softened (`RegionSpecs`).
    """

    content: str = FIRST_CONTENT
    styles: Blend = FIRST_STYLES
    settings: Settings = field(default_factory=Settings)
    size: int = DEFAULT_SIZE
    stroke_scale: float = DEFAULT_STROKE_SCALE
    model: str = DEFAULT_MODEL
    regions: tuple[PageRegion, ...] = ()
    feather: float = DEFAULT_FEATHER

    @property
    def blends(self) -> dict[str, Blend]:
        """The styles of the rest (`REST`) and of every region, by name."""
        return {REST: self.styles, **{region.name: region.styles for region in self.regions}}

    def with_blend(self, name: str, styles: Blend) -> Composition:
        """Return it with other styles of a region, or of the rest."""
        if name == REST:
            return dataclasses.replace(self, styles=styles)
        regions = (dataclasses.replace(own, styles=styles) if own.name == name else own for own in self.regions)
        return dataclasses.replace(self, regions=tuple(regions))

    @property
    def masks(self) -> set[str]:
        """The ids of all masks, of regions and of parts of styles."""
        parts = {mask for blend in self.blends.values() for _, _, *part in blend for mask in part}
        return parts | {region.mask for region in self.regions}

    @property
    def specs(self) -> list[StyleSpec]:
        """All styles, those of the rest first, as a command names them: source and mask are ids."""
        styles = [("", style) for style in self.styles]
        styles += [(_named(region), style) for region in self.regions for style in region.styles]
        return [StyleSpec(id, weight, region, *part) for region, (id, weight, *part) in styles]

    @property
    def region_masks(self) -> dict[str, str]:
        """The ids of the masks of regions, by their names in a command; not of `FACE`, which needs none there."""
        return {_named(region): region.mask for region in self.regions if _named(region) != FACE}

    @property
    def region_dials(self) -> dict[str, RegionSpec]:
        """The dials of regions that have a style, by their names in a command."""
        return {_named(region): region.dials for region in self.regions if region.styles}

    def check_styled(self) -> None:
        """Check that there is a style anywhere.

        Raises:
            ConfigError: there is none.
        """
        if not any(self.blends.values()):
            raise ConfigError("There is no style in the blend. Add one from the gallery or your own.")

    @property
    def dials(self) -> dict[str, Any]:
        """The value of every dial, by the names of `DEFAULTS`."""
        return {name: getattr(self if hasattr(self, name) else self.settings, name) for name in DEFAULTS}

    @property
    def palette(self) -> dict[str, Any]:
        """Content, styles and regions as the page keeps them."""
        return {
            "content": self.content,
            "styles": [list(style) for style in self.styles],
            "regions": [
                {
                    "name": region.name,
                    "mask": region.mask,
                    "styles": [list(style) for style in region.styles],
                    "dials": dataclasses.asdict(region.dials),
                }
                for region in self.regions
            ],
            "feather": self.feather,
        }


def _named(region: PageRegion) -> str:
    """Return the name of a region in a command; without a style, `FACE` is a region with a mask."""
    return KEPT_FACES if region.name == FACE and not region.styles else region.name


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{what} is {value!r}, must be a number")
    return float(value)


def _pixels(value: Any, what: str, least: int, most: int) -> int:
    number = _number(value, what)
    if not least <= number <= most:
        raise ConfigError(f"{what} is {number:g}, must be from {least} to {most} pixels")
    return int(number)


def fits_name(name: str) -> bool:
    """Say whether a text has the form of a region's name."""
    return bool(NAME.fullmatch(name)) and name.isprintable() and len(name) <= MAX_NAME


def check_name(name: Any, mask: str) -> str:
    """Return the name of a region that has this mask.

    Raises:
        ConfigError: it cannot be one.
    """
    if not isinstance(name, str):
        raise ConfigError(OUT_OF_DATE)
    if not fits_name(name):
        raise ConfigError(
            f"A region cannot be called {name[:40]!r}. Names have 1 to {MAX_NAME} characters, none of "
            f"{' '.join(NOT_IN_NAMES)}, and no space at an end."
        )
    if name == REST or (name == FACE and mask != FACES):
        raise ConfigError(f"A region cannot be called {name!r}: that is the name of {BUILT_IN[name]}.")
    return name


def read_palette(palette: Any, limits: Limits) -> Composition:
    """Check what the page sends of content, styles and regions, in the form of `Composition.palette`.

    Raises:
        ConfigError: it has another form, too many styles or regions, or a weight, name or dial that is none.
    """
    try:
        content, regions = palette["content"], palette.get("regions", [])
        feather = palette.get("feather", DEFAULT_FEATHER)
        if not isinstance(content, str):
            raise ConfigError(OUT_OF_DATE)
        if len(regions) > MAX_REGIONS:
            raise ConfigError(f"{len(regions)} regions are too many; a photo here takes up to {MAX_REGIONS}.")
        blend = _read_blend(palette["styles"], limits)
        found = tuple(_read_region(region, limits) for region in regions)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(OUT_OF_DATE) from error
    names = [region.name for region in found]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"Two regions are called {name!r}. Give each its own name.")
    feather = RegionSpecs(feather=_number(feather, "feather")).feather
    return Composition(content, blend, regions=found, feather=feather)


def _read_blend(written: Any, limits: Limits) -> Blend:
    if len(written) > limits.styles:
        raise ConfigError(f"{len(written)} styles are too many; a blend here takes up to {limits.styles}.")
    styles = []
    for id, weight, *part in written:
        if not isinstance(id, str) or len(part) > 1 or not all(map(is_mask, part)):
            raise ConfigError(OUT_OF_DATE)
        weight = _number(weight, "weight of a style")
        if not 0 <= weight < float("inf"):
            raise ConfigError(f"weight of a style is {weight:g}, must be a number >= 0")
        styles.append((id, weight, *part))
    return tuple(styles)


def _read_region(written: Any, limits: Limits) -> PageRegion:
    name, mask, dials = written["name"], written["mask"], written.get("dials", {})
    known = {field.name for field in dataclasses.fields(RegionSpec)}
    if not is_mask(mask) or not known >= set(dials):
        raise ConfigError(OUT_OF_DATE)
    check_name(name, mask)
    try:
        own = RegionSpec(**dials)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error
    return PageRegion(name, mask, _read_blend(written["styles"], limits), own)


def compose(limits: Limits, palette: Any, **dials: Any) -> Composition:
    """Make a composition of the palette and the values of the dials, by the names of `DEFAULTS`.

    Raises:
        ConfigError: a value that is out of range.
    """
    read = read_palette(palette, limits)
    values = {**DEFAULTS, **dials}
    size = _pixels(values.pop("size"), "size", 32, limits.max_size)
    scale = _number(values.pop("stroke_scale"), "stroke_scale")
    style_long_side(size, scale)  # checks it
    model = checked_model(values.pop("model"))
    look = _pixels(values.pop("look"), "look", 0, MAX_SIDE)
    numbers = {name: _number(value, name) for name, value in values.items() if isinstance(DEFAULTS[name], float)}
    settings = Settings(**{**values, **numbers, "look": look})
    return dataclasses.replace(read, settings=settings, size=size, stroke_scale=scale, model=model)
