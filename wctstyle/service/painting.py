"""The work of painting: one photo, many of them, and one step by step."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from wctstyle import images
from wctstyle.batch import Batch, Setup, each_alone
from wctstyle.errors import ConfigError, ImageError, NonFiniteError
from wctstyle.optimization import STARTS, Wanted, ended_recipe, read_request
from wctstyle.optimizer.settings import OptimizeSettings
from wctstyle.service.arguments import FORMATS
from wctstyle.service.forms import Form
from wctstyle.service.jobs import Made, Teller, Work
from wctstyle.service.limits import Limits
from wctstyle.service.pictures import Values, in_look, named_of, result_path, saved, sizes_of, unset
from wctstyle.service.refusals import field_names
from wctstyle.service.studio import Studio
from wctstyle.settings import Settings
from wctstyle.specs import SETTINGS, Named, parse_layers

LAYERS = ("content_layers", "style_layers", "dream")
"""The settings of an optimisation that name layers with weights."""

ALL = "all.zip"
"""The file with all results of a batch."""


# ----------------------------------------------------------------------------------------------------- stylize, batch


def stylize(studio: Studio, limits: Limits, form: Form, values: Values, format: str) -> Work:
    """Make the work of one picture in one pass."""
    named, setup = _setup(form, values, limits)
    return Work(
        lambda tell: [_painted(tell, _batch(studio, setup, tell), form, named.contents[0], format, "result")],
        unset,
        quick=not setup.settings.refine,
    )


def batch(studio: Studio, limits: Limits, form: Form, values: Values, format: str) -> Work:
    """Make the work of many photos in one blend, or in each of many styles."""
    named, blend = _setup(form, values, limits)
    setups = each_alone(blend) if values["each_style"] else [blend]
    if (count := len(named.contents) * len(setups)) > limits.pictures:
        raise ConfigError(f"content and style make {count} pictures; a batch here has up to {limits.pictures}")
    return Work(partial(_batch_of, studio, form, named.contents, setups, format), unset, several=True)


def _setup(form: Form, values: Values, limits: Limits) -> tuple[Named, Setup]:
    values = in_look(form, values)
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
    path = result_path(form, name, format)

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
    values = in_look(form, values, slow=True)
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
    return Work(partial(_optimized, studio, form, wanted, format, values["quality"]), unset)


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
    done = ended_recipe(request, last)
    return [saved(form, last.image, photo.alpha, format, quality, done, model=request.model, reason=last.reason)]
