"""The kinds of jobs: what each takes, and how its work is made of a request."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from wctstyle import images
from wctstyle.batch import Batch, Setup, each_alone
from wctstyle.errors import ConfigError, ImageError, NonFiniteError, WctStyleError
from wctstyle.inputs import RegionSpecs, Sizes, Strokes, StyleSpec
from wctstyle.optimization import STARTS, Wanted, ended_recipe, read_request
from wctstyle.optimizer.settings import OptimizeSettings
from wctstyle.service.arguments import (
    FORMATS,
    Argument,
    Models,
    batching,
    optimizing,
    read_values,
    stylizing,
)
from wctstyle.service.forms import Form
from wctstyle.service.jobs import Made, Teller, Work
from wctstyle.service.limits import Limits
from wctstyle.service.refusals import Refused, field_names, refused
from wctstyle.service.studio import Studio
from wctstyle.settings import Settings
from wctstyle.specs import (
    SETTINGS,
    Named,
    parse_dials,
    parse_layers,
    parse_masks,
    parse_style,
    parse_style_masks,
)

LAYERS = ("content_layers", "style_layers", "dream")
"""The settings of an optimisation that name layers with weights."""

ALL = "all.zip"
"""The file with all results of a batch."""

Values = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """A kind of jobs: its arguments, which depend on what the server grants, and what makes its work."""

    about: str
    arguments: Callable[[Limits, Models], list[Argument]]
    prepare: Callable[[Studio, Limits, Form, Values, str], Work]


def prepared(kind: str, studio: Studio, limits: Limits, form: Form, accept: str = "") -> Work:
    """Check a request, and make its work. `accept` is the header of that name.

    Raises:
        Refused: something of it makes no sense.
    """
    if kind not in KINDS:
        raise Refused(422, f"kind is {kind[:80]!r}, must be one of {', '.join(KINDS)}", field="kind")
    arguments = KINDS[kind].arguments(limits, studio)
    names = [argument.name for argument in arguments]
    values = read_values(arguments, form.values)

    def refuse(error: WctStyleError) -> Refused:
        found = refused(error, names, values.get("model"))
        text = form.public(found.what)
        return Refused(found.status, text, field=found.field or form.field_of(text))

    try:
        work = KINDS[kind].prepare(studio, limits, form, values, format_of(values["format"], accept))
    except WctStyleError as error:
        raise refuse(error) from error
    return replace(work, refuse=refuse)


def format_of(given: str | None, accept: str) -> str:
    """Choose the format of a result: the one that is given, else the first that the client accepts, else PNG."""
    wanted = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    found = (name for kind in wanted for name, type in FORMATS.items() if type == kind)
    return given or next(found, "png")


# ------------------------------------------------------------------------------------------------------------ pictures


def styles_of(form: Form, values: Values, limits: Limits) -> list[StyleSpec]:
    """Read the styles of a request, by the names of its files.

    Raises:
        ConfigError: one makes no sense, or there are too many.
    """
    specs = [parse_style(text, exists=form.uploads.__contains__) for text in values["style"]]
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
    masks = parse_masks(values["mask"], styles, values["mask_map"])
    dials = parse_dials(values["region"], styles)
    masked = parse_style_masks(values["style_mask"], styles)
    regions = RegionSpecs(
        {name: form.mask("mask", file) for name, file in masks.items()}, dials, values["feather"]
    )  # fmt: skip
    specs = [
        replace(
            spec, source=form.source("style", spec.source), mask=spec.mask and form.mask("style_mask", spec.mask)
        )
        for spec in masked
    ]  # fmt: skip
    given = values["content"] if isinstance(values["content"], list) else [values["content"]]
    return Named([form.source("content", name) for name in given], specs, regions)


def sizes_of(values: Values, limits: Limits, most: int) -> Sizes:
    """Read the sizes of a request.

    Raises:
        ConfigError: one is out of range, or two contradict each other.
    """
    strokes = Strokes(values["style_size"], values["stroke_scale"])
    return Sizes(values["size"], strokes, limits.upload_pixels, most)


# ----------------------------------------------------------------------------------------------------- stylize, batch


def stylize(studio: Studio, limits: Limits, form: Form, values: Values, format: str) -> Work:
    """Make the work of one picture in one pass."""
    named, setup = _setup(form, values, limits)
    return Work(
        lambda tell: [_painted(tell, _batch(studio, setup, tell), form, named.contents[0], format, "result")],
        _unset,
        quick=not setup.settings.refine,
    )


def batch(studio: Studio, limits: Limits, form: Form, values: Values, format: str) -> Work:
    """Make the work of many photos in one blend, or in each of many styles."""
    named, blend = _setup(form, values, limits)
    setups = each_alone(blend) if values["each_style"] else [blend]
    if (count := len(named.contents) * len(setups)) > limits.pictures:
        raise ConfigError(f"content and style make {count} pictures; a batch here has up to {limits.pictures}")
    return Work(partial(_batch_of, studio, form, named.contents, setups, format), _unset, several=True)


def _setup(form: Form, values: Values, limits: Limits) -> tuple[Named, Setup]:
    named = named_of(form, values, limits)
    settings = Settings(**{name: values[name] for name in SETTINGS})
    depth = None if values["depth"] is None else int(values["depth"])
    setup = Setup(
        tuple(named.styles), settings, values["model"], sizes_of(values, limits, limits.max_size), values["quality"],
        depth, values["keep_profile"], named.regions,
    )  # fmt: skip
    return named, setup


def _batch(studio: Studio, setup: Setup, tell: Teller) -> Batch:
    return Batch(setup, warn=tell.warn, load=studio.stylizer)


def _painted(
    tell: Teller, batch: Batch, form: Form, content: str, format: str, name: str, first: float = 0, of: float = 1
) -> Made:
    """Paint a photo, the `first` of so many; the file is what the command writes."""
    tell.check()
    path = form.folder / "results" / f"{name}.{SUFFIXES[format]}"
    path.parent.mkdir(exist_ok=True)

    def step(done: int, steps: int) -> None:
        tell.step(first + done / max(1, steps), of)

    figures = batch.make(content, "", format=format, write=path.write_bytes, refining=step, painting=step)
    told = {name: figures[name] for name in ("width", "height", "model")}
    return Made(path.name, path, FORMATS[format], {**told, "recipe": images.read_recipe(path)})


def _batch_of(
    studio: Studio, form: Form, contents: Sequence[str], setups: Sequence[Setup], format: str, tell: Teller
) -> list[Made]:
    """Paint photo by photo; one that fails leaves the others."""
    batches = [_batch(studio, setup, tell) for setup in setups]
    made: list[Made] = []
    pairs = [(content, at) for content in contents for at in range(len(setups))]
    for number, (content, at) in enumerate(pairs):
        stem = os.path.splitext(os.path.basename(content).replace(":", "-"))[0]
        style = os.path.splitext(os.path.basename(setups[at].styles[0].source).replace(":", "-"))[0]
        name = f"{number + 1:03d}-{stem}-{style if len(setups) > 1 else 'stylized'}"
        try:
            made.append(_painted(tell, batches[at], form, content, format, name, number, len(pairs)))
        except (ImageError, NonFiniteError) as error:
            made.append(Made(name, None, FORMATS[format], error=form.public(field_names(str(error)))))
        tell.step(number + 1, len(pairs))
        tell.pause()
    if not any(one.path for one in made):
        raise ImageError(made[0].error)
    return [*made, _zipped(form.folder / "results" / ALL, made)]


def _zipped(path: Path, made: Sequence[Made]) -> Made:
    with zipfile.ZipFile(path, "w") as file:  # pictures are packed already
        for one in made:
            if one.path is not None:
                file.write(one.path, one.name)
    return Made(ALL, path, "application/zip")


# ------------------------------------------------------------------------------------------------------------ optimize


def optimize(studio: Studio, limits: Limits, form: Form, values: Values, format: str) -> Work:
    """Make the work of an optimisation."""
    named, init = named_of(form, values, limits), values["init"]
    if not any(style.weight for style in named.styles):
        raise ConfigError("weight is 0 for all styles, so there is no style to optimise for; give one above 0")
    chosen = {name: values[name] for name in OptimizeSettings().as_json() if name in values}
    for layers in LAYERS:
        text = chosen.pop(layers)
        chosen |= {layers: parse_layers(layers, text)} if text else {}
    settings = OptimizeSettings(**{**chosen, "init": init if init in STARTS else "image"})
    sizes = sizes_of(values, limits, min(limits.max_size, limits.optimize_size))
    start = init if init in STARTS else form.source("init", init)
    wanted = Wanted(named, settings, start, values["model"], sizes)
    return Work(partial(_optimized, studio, form, wanted, format, values["quality"]), _unset)


def _optimized(studio: Studio, form: Form, wanted: Wanted, format: str, quality: int, tell: Teller) -> list[Made]:
    request = read_request(wanted, tell.warn)
    photo, settings = request.content, request.settings
    engine = studio.optimizer(request.model)
    engine.check_memory(photo, settings, request.regions)
    tell.check()
    start = None if request.init is None else request.init.rgb
    if settings.init == "fast":
        fast = request.recipe.fast
        start = studio.stylizer(fast.model).stylize(photo, request.regions, fast.settings).image
    iterates, last = engine.run(photo, request.regions, settings, init=start), None
    try:
        for last in iterates:
            tell.step(last.step, last.steps)
            if not last.done:
                tell.pause()
    finally:
        iterates.close()  # pyright: ignore[reportAttributeAccessIssue] (it is a generator)
    assert last is not None
    path = form.folder / "results" / f"result.{SUFFIXES[format]}"
    path.parent.mkdir()
    recipe = ended_recipe(request, last).to_json()
    path.write_bytes(images.encode(last.image, photo.alpha, format=format, quality=quality, recipe=recipe))
    told = {"width": photo.width, "height": photo.height, "model": request.model, "reason": last.reason}
    return [Made(path.name, path, FORMATS[format], {**told, "recipe": recipe})]


def _unset(error: WctStyleError) -> Refused:
    """Stand for `Work.refuse` until `prepared` sets it."""
    return refused(error, ())


SUFFIXES = {"png": "png", "jpeg": "jpg", "webp": "webp", "tiff": "tif"}
"""How files of a format end."""

KINDS: dict[str, Kind] = {
    "stylize": Kind("One photo in one pass.", stylizing, stylize),
    "batch": Kind("Many photos in one blend, or in each of many styles.", batching, batch),
    "optimize": Kind("One photo, optimised step by step: slower, and better.", optimizing, optimize),
}
