"""The pictures that a request names, their sizes, and the file of a result."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from wctstyle import images, looks
from wctstyle.errors import ConfigError, WctStyleError
from wctstyle.inputs import RegionSpecs, Sizes, Strokes, StyleSpec
from wctstyle.regions import NOT_IN_NAMES, REST
from wctstyle.service.arguments import FORMATS
from wctstyle.service.forms import Form
from wctstyle.service.jobs import Made
from wctstyle.service.limits import Limits
from wctstyle.service.refusals import Refused, refused
from wctstyle.specs import Named, parse_dials, parse_masks, parse_style, parse_style_masks

SUFFIXES = {"png": "png", "jpeg": "jpg", "webp": "webp", "tiff": "tif", "mp4": "mp4", "webm": "webm", "gif": "gif"}
"""How files of a format end."""

Values = dict[str, Any]
"""The arguments of a request by name."""


def styles_of(form: Form, values: Values, limits: Limits) -> list[StyleSpec]:
    """Read the styles of a request, by the names of its files.

    Raises:
        ConfigError: one makes no sense, or there are too many.
    """
    specs = [parse_style(text, exists=form.uploads.__contains__) for text in values["style"]]
    if not specs:
        raise ConfigError("style is missing; give a file or sample:NAME")
    if len(specs) > limits.styles:
        raise ConfigError(f"style is given {len(specs)} times; a blend here has up to {limits.styles}")
    weights = values["weight"]
    if weights and len(weights) != len(specs):
        raise ConfigError(f"weight is given {len(weights)} times and style {len(specs)} times; give one for each style")
    return [replace(spec, weight=weight) for spec, weight in zip(specs, weights, strict=True)] if weights else specs


def named_of(form: Form, values: Values, limits: Limits) -> Named:
    """Read which pictures a request names, and its regions.

    Raises:
        ConfigError: something of it makes no sense.
    """
    styles = styles_of(form, values, limits)
    files = [f"{_region_of(text)}={text}" if text in form.uploads else text for text in values["mask"]]
    parts = [f"{REST}={text}" if text in form.uploads else text for text in values["style_mask"]]
    masks = parse_masks(files, styles, values.get("mask_map"))
    dials = parse_dials(values.get("region"), styles)
    masked = parse_style_masks(parts, styles)
    regions = RegionSpecs(
        {name: form.mask("mask", file) for name, file in masks.items()}, dials, values["feather"]
    )  # fmt: skip
    specs = [
        replace(
            spec, source=form.source("style", spec.source), mask=spec.mask and form.mask("style_mask", spec.mask)
        )
        for spec in masked
    ]  # fmt: skip
    given = values.get("content", [])
    given = given if isinstance(given, list) else [given]
    return Named([form.source("content", name) for name in given], specs, regions)


def _region_of(name: str) -> str:
    """Name a region as its file, without what names of regions do not have."""
    return re.sub(f"[{re.escape(NOT_IN_NAMES)}]", "-", os.path.splitext(name)[0])


def in_look(form: Form, values: Values, *, slow: bool = False) -> Values:
    """Return the arguments of a request, those not given as its look has them; `slow`: see `looks.in_look`."""
    return looks.in_look(values["use_look"], values, lambda name: any(form.values.get(name, ())), slow=slow)


def sizes_of(values: Values, limits: Limits, most: int) -> Sizes:
    """Read the sizes of a request.

    Raises:
        ConfigError: one is out of range, or two contradict each other.
    """
    strokes = Strokes(values["style_size"], values["stroke_scale"])
    return Sizes(values["size"], strokes, limits.upload_pixels, most)


def result_path(form: Form, name: str, format: str) -> Path:
    """Name the file of a result; its folder is made."""
    return result_folder(form) / f"{name}.{SUFFIXES[format]}"


def result_folder(form: Form) -> Path:
    """Make the folder of the results, if it is not there."""
    path = form.folder / "results"
    path.mkdir(exist_ok=True)
    return path


def saved(
    form: Form, image: np.ndarray, alpha: np.ndarray | None, format: str, quality: int, recipe: Any, **told: Any
) -> Made:
    """Write the picture that a job made, with its recipe; `told` is told of it as well."""
    path, written = result_path(form, "result", format), recipe.to_json()
    path.write_bytes(images.encode(image, alpha, format=format, quality=quality, recipe=written))
    height, width = image.shape[:2]
    told = {"width": width, "height": height, "model": recipe.model, **told, "recipe": written}
    return Made(path.name, path, FORMATS[format], told)


def unset(error: WctStyleError) -> Refused:
    """Stand for `Work.refuse` until the request is known."""
    return refused(error, ())
