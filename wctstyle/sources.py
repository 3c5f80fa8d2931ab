"""What a recipe says of the pictures that went in."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from wctstyle import samples
from wctstyle.errors import ConfigError
from wctstyle.images import Picture
from wctstyle.inputs import STDIN, Mask, StyleSpec
from wctstyle.regions import REST
from wctstyle.settings import checked_number


@contextlib.contextmanager
def reading_recipe(source: str, *, what: str = "its recipe", remedy: str = "see it with --json") -> Iterator[None]:
    """Tell what is wrong in a recipe that is read in this context; it may come from a stranger's picture.

    Raises:
        ConfigError: something is missing, has the wrong type or is out of range; it begins with `source` and ends with
            `remedy`.
    """
    try:
        yield
    except (AttributeError, ConfigError, KeyError, OverflowError, TypeError, ValueError) as error:
        why = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise ConfigError(f"{source}: {what} cannot be used: {why}; {remedy}") from error


def known(kind: Any, written: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a recipe has of the fields of a dataclass; all else in it is of another version."""
    names = {field.name for field in dataclasses.fields(kind)}
    return {name: value for name, value in written.items() if name in names}


def public_name(source: str) -> str:
    """Leave out the folders: they are private when the picture is passed on."""
    if source == STDIN:
        return "stdin"
    return source if source.startswith(samples.PREFIX) else os.path.basename(source)


def format_style(source: str, weight: float, region: str = "") -> str:
    """Write a style as --style takes it, with the weight only where it is needed."""
    plain = weight == 1 and ":" not in source.removeprefix(samples.PREFIX)
    return (source if plain else f"{source}:{weight!r}") + (f"@{region}" if region else "")


@dataclass(frozen=True)
class Source:
    """A picture that went in: its file name without folders, or `sample:NAME`, and the hash of its pixels."""

    name: str
    hash: str = ""

    def to_json(self) -> dict[str, Any]:
        """Write it in JSON's types; what is empty is left out."""
        found = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        written = {name: value.to_json() if isinstance(value, Source) else value for name, value in found.items()}
        return {name: value for name, value in written.items() if value not in ("", None)}

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote; it may come from a stranger's picture.

        Raises:
            ConfigError: something is no text, or out of range.
            KeyError: the name is missing.
        """
        return cls(**texts(written, "name", *(name for name in ("hash", "region") if hasattr(cls, name))))


@dataclass(frozen=True)
class StyleSource(Source):
    """A style: its weight in the blend, its region ("" for none), and the mask of its part (None for all of it)."""

    weight: float = 1.0
    region: str = ""
    mask: Source | None = None

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        mask = written.get("mask")
        return replace(
            super().from_json(written),
            weight=checked_number("weight of a style", written["weight"], 0),
            mask=None if mask is None else Source.from_json(mask),
        )


@dataclass(frozen=True)
class MaskSource(Source):
    """The mask of a region: its file, one colour of it (`map.png#blue`), or `ready:KIND`, which has no hash."""

    region: str = ""


def style_sources(
    specs: Sequence[StyleSpec], pictures: Sequence[Picture], parts: Sequence[Mask | None]
) -> tuple[StyleSource, ...]:
    """Describe styles for a recipe."""
    return tuple(
        StyleSource(
            public_name(spec.source),
            picture.content_hash,
            spec.weight,
            spec.region,
            None if part is None else Source(public_name(part.source), part.hash),
        )
        for spec, picture, part in zip(specs, pictures, parts, strict=True)
    )


def mask_sources(masks: Mapping[str, Mask]) -> tuple[MaskSource, ...]:
    """Describe masks for a recipe."""
    return tuple(MaskSource(public_name(mask.source), mask.hash, name) for name, mask in masks.items())


def style_masks(styles: Sequence[StyleSource]) -> dict[str, str]:
    """Name the files of styles' masks as --style-mask does: by region, with a number where that has several styles."""
    regions = [style.region or REST for style in styles]
    found = {}
    for at, (style, region) in enumerate(zip(styles, regions, strict=True)):
        if style.mask is not None:
            several = regions.count(region) > 1
            found[f"{region}/{regions[:at].count(region) + 1}" if several else region] = style.mask.name
    return found


def texts(entry: Mapping[str, Any], needed: str, *names: str) -> dict[str, str]:
    """Read the texts of an entry of a recipe by their names, of which one is needed.

    Raises:
        ConfigError: one is no text.
        KeyError: the needed one is missing.
    """
    found = {name: entry[name] for name in (needed, *names) if name in entry or name == needed}
    for name, value in found.items():
        if not isinstance(value, str):
            raise ConfigError(f"{name} is {value!r}, must be text")
    return found
