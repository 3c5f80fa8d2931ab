"""Manifests: files that name a photo in each row, with its styles and options; CSV, or JSON line by line."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wctstyle import places
from wctstyle.batch import Setup
from wctstyle.cli.contents import why_unreadable
from wctstyle.cli.outputs import check_suffix
from wctstyle.cli.setups import setup_from
from wctstyle.errors import ConfigError, ImageError, WctStyleError
from wctstyle.inputs import STDIN
from wctstyle.samples import PREFIX
from wctstyle.sources import format_style
from wctstyle.specs import PAINTING, SETTINGS, parse_style

LISTS = ("styles", "weights", "mask", "style_mask", "region")
"""Columns with several values: a list in JSON, separated by semicolons in CSV."""

NUMBERS: dict[str, type] = {
    **{name: type(value) for name, value in SETTINGS.items() if not isinstance(value, str | bool)},
    **dict.fromkeys(("feather", "stroke_scale"), float),
    **dict.fromkeys(("size", "style_size", "max_pixels", "quality", "depth"), int),
}

SWITCHES = ("keep_profile", "photo")
"""Columns that are yes or no."""

COLUMNS = ("content", "styles", "weights", "output", *(name for name in PAINTING if name != "style"))
"""The columns that there may be; `content` has to be there."""

MOST_PROBLEMS = 20
"""Problems of a manifest that are listed."""


@dataclass(frozen=True)
class Row:
    """A line of a manifest: the photo, how it is painted, and what its result is called ("" for nothing said)."""

    line: int
    content: str
    setup: Setup
    output: str
    files: tuple[str, ...]


def read_manifest(path: str) -> list[Row]:
    """Read all rows of a manifest; everything is checked that can be without reading pictures.

    Raises:
        ConfigError: it cannot be read or has no rows, or rows have mistakes, each told with its line.
    """
    rows, problems = [], []
    setups: dict[str, Setup] = {}
    outputs: dict[str, int] = {}
    for line, written in _lines(path):
        try:
            row = _row(line, written if isinstance(written, Mapping) else _refuse(written), setups)
            if row.output and (first := outputs.setdefault(row.output, line)) != line:
                raise ConfigError(f"output {row.output} is that of line {first} too; give each row its own")
            rows.append(row)
        except WctStyleError as error:
            problems += [f"{path}, line {line}: {_by_columns(part)}" for part in str(error).splitlines()]
    if problems:
        more = len(problems) - MOST_PROBLEMS
        raise ConfigError("\n".join(problems[:MOST_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])))
    if not rows:
        raise ConfigError(f"{path}: has no rows; give a photo in each, in a column called content")
    return rows


def _lines(path: str) -> Iterator[tuple[int, Any]]:
    """Read rows as mappings of text or JSON's types, with their lines; what is no row as it is."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            if path.lower().endswith((".jsonl", ".ndjson")):
                for line, text in enumerate(file, start=1):
                    if text.strip():
                        yield line, _json(text)
                return
            reader = csv.DictReader(file, restkey="", strict=True)
            _check_header(path, reader.fieldnames or ())
            for written in reader:
                yield reader.line_num, {name: value for name, value in written.items() if value not in ("", None)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path}: cannot be read as a manifest: {why}; give a CSV or JSONL file in UTF-8") from error


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        return ConfigError(f"is no JSON: {error}")


def _refuse(written: Any) -> Mapping[str, Any]:
    if isinstance(written, ConfigError):
        raise written
    raise ConfigError(f"is {written!r}, wanted an object with a content")


def _check_header(path: str, names: Any) -> None:
    """Refuse the columns of a CSV once, instead of in every row."""
    plain = [_plain(name) for name in names]
    unknown = [name for name, own in zip(names, plain, strict=True) if own not in COLUMNS]
    twice = [name for name, own in zip(names, plain, strict=True) if plain.count(own) > 1]
    if unknown or twice or "content" not in plain:
        what = (
            f"there is no column {unknown[0]!r}" if unknown
            else f"column {twice[0]} is there twice" if twice
            else "column content is missing"
        )  # fmt: skip
        raise ConfigError(f"{path}, line 1: {what}; the columns are {', '.join(COLUMNS)}")


def _plain(name: str) -> str:
    return name.strip().removeprefix("--").replace("-", "_")


def _row(line: int, written: Mapping[str, Any], setups: dict[str, Setup]) -> Row:
    values: dict[str, Any] = {}
    for name, value in written.items():
        column = _plain(name)
        if column not in COLUMNS:
            what = f"there is no column {name!r}" if name else "has more fields than the first line"
            raise ConfigError(f"{what}; the columns are {', '.join(COLUMNS)}")
        if value is not None:
            values[column] = _value(column, value)
    content, output = values.pop("content", ""), values.pop("output", "")
    if not content:
        raise ConfigError("content is missing; name a photo")
    if output:
        check_suffix(f"output {output}", os.path.splitext(output)[1] or ".")
    if "styles" in values or "weights" in values:
        values["style"] = _weighted(values.pop("styles", []), values.pop("weights", None))
    named, setup = setup_from("batch MANIFEST", [content], values, chosen=values.__contains__, addresses=True)
    if named.contents != [content] or STDIN in named.files:
        raise ConfigError(f"content {content}: is no single file; name one photo in each row")
    for file in named.files:
        if not (file.startswith(PREFIX) or places.is_address(file) or os.path.isfile(file)):
            raise ImageError(why_unreadable(file))
    return Row(line, content, setups.setdefault(repr(setup), setup), output, tuple(named.files))


def _weighted(styles: list[str], weights: list[Any] | None) -> list[str]:
    """Write styles with the weights of their own column."""
    if weights is None:
        return styles
    if len(weights) != len(styles):
        raise ConfigError(f"weights has {len(weights)} numbers for {len(styles)} styles; give as many")
    found = []
    for text, weight in zip(styles, weights, strict=True):
        spec = parse_style(text)
        if spec.weight != 1:
            raise ConfigError(f"weights and styles both weigh {spec.source}; give its weight in one of them")
        found.append(format_style(spec.source, _number("weights", weight, float), spec.region))
    return found


def _value(column: str, value: Any) -> Any:
    """Read what stands in a column.

    Raises:
        ConfigError: it is of the wrong type.
    """
    if column in LISTS:
        parts = [part.strip() for part in value.split(";")] if isinstance(value, str) else value
        if not isinstance(parts, list) or not all(isinstance(part, str | int | float) for part in parts):
            raise ConfigError(f"{column} is {value!r}, wanted a list")
        return [part if column == "weights" else str(part) for part in parts if part != ""]
    if column in SWITCHES:
        chosen = {"yes": True, "true": True, "no": False, "false": False}.get(str(value).strip().lower())
        if chosen is None:
            raise ConfigError(f"{column} is {value!r}, wanted yes or no")
        return chosen
    if column in NUMBERS:
        return _number(column, value, NUMBERS[column])
    if not isinstance(value, str):
        raise ConfigError(f"{column} is {value!r}, wanted a text")
    return value.strip()


def _number(column: str, value: Any, kind: type) -> Any:
    whole = kind is int
    try:
        if isinstance(value, bool) or (whole and isinstance(value, float) and not value.is_integer()):
            raise ValueError
        return kind(value)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"{column} is {value!r}, wanted a {'whole ' if whole else ''}number") from None


def _by_columns(text: str) -> str:
    """Name columns where an error names options."""
    names = "|".join(name.replace("_", "-") for name in COLUMNS)
    text = re.sub(r"(?<!\S)--style(?!-)", "styles", text)
    return re.sub(rf"(?<!\S)--({names})(?![\w-])", lambda found: found[1].replace("-", "_"), text)
