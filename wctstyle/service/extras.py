"""The work of textures, dreams and analogies."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wctstyle import images
from wctstyle.analogies import files as filters
from wctstyle.analogies import making as analogies
from wctstyle.analogies.recipe import SUFFIX, AnalogyRecipe
from wctstyle.dreams.reading import DreamPictures, read_dream
from wctstyle.dreams.settings import DreamSettings, parse_channels
from wctstyle.errors import ConfigError, ImageError, WeightsError
from wctstyle.inputs import RegionSpecs, Sizes, StyleSpec, read, read_style
from wctstyle.service.forms import Form
from wctstyle.service.jobs import Made, Teller, Work
from wctstyle.service.limits import Limits
from wctstyle.service.pictures import Values, named_of, result_folder, saved, styles_of, unset
from wctstyle.service.studio import Studio
from wctstyle.settings import optimizer_model
from wctstyle.sources import Source, public_name, style_sources
from wctstyle.specs import Named
from wctstyle.textures import making
from wctstyle.textures.reading import read_texture
from wctstyle.textures.settings import TextureSettings


def texture(studio: Studio, limits: Limits, form: Form, values: Values, format: str) -> Work:
    """Make the work of a texture."""
    named = named_of(form, values, limits)
    settings = TextureSettings(**{name: values[name] for name in TextureSettings.__dataclass_fields__})
    most = min(limits.max_size, limits.optimize_size) if settings.optimize else limits.max_size
    if max(settings.shape) > most:
        raise ConfigError(f"width and height are {settings.width} and {settings.height}, must be up to {most} here")

    def do(tell: Teller) -> list[Made]:
        return [_texture(studio, form, named, settings, values, limits, format, tell)]

    return Work(do, unset)


def _texture(
    studio: Studio, form: Form, named: Named, settings: TextureSettings, values: Values, limits: Limits, format: str,
    tell: Teller,
) -> Made:  # fmt: skip
    recipe, parts = read_texture(named, settings, values["model"], limits.upload_pixels)
    stylizer = studio.stylizer(recipe.model)
    if settings.optimize:
        image = None
        for stage in making.stages(stylizer, parts, settings, lambda: studio.optimizer(optimizer_model(recipe.model))):
            image = stage.image
            tell.step(stage.step, stage.steps)
            tell.pause()
        assert image is not None
    else:
        image = np.concatenate(list(making.painted_rows(stylizer, parts, settings, painting=tell.step)))
    return saved(form, image, None, format, values["quality"], recipe)


def dream(studio: Studio, limits: Limits, form: Form, values: Values, format: str) -> Work:
    """Make the work of a dream."""
    layers, names = values["layer"] or DreamSettings.layers, ("octaves", "octave_scale", "steps", "strength", "jitter")
    chosen = {name: values[name] for name in (*names, "seed")}
    settings = DreamSettings(layers=tuple(layers), channels=parse_channels(values["channels"] or ""), **chosen)
    if settings.steps * settings.octaves > limits.optimize_steps:
        most = limits.optimize_steps // settings.octaves
        raise ConfigError(f"steps is {settings.steps}, must be from 1 to {most} with {settings.octaves} octaves here")
    RegionSpecs(feather=values["feather"])
    sizes = Sizes(values["size"], max_pixels=limits.upload_pixels, most=min(limits.max_size, limits.optimize_size))
    guide, mask = values["guide"], values["mask"]
    named = DreamPictures(
        form.source("content", values["content"]), None if guide is None else form.source("guide", guide),
        None if mask is None else form.mask("mask", mask), values["feather"], sizes,
    )  # fmt: skip

    def do(tell: Teller) -> list[Made]:
        request, last = read_dream(named, settings, values["model"]), None
        for last in studio.dreamer(values["model"]).steps(request.rgb, settings, **request.how):
            tell.step(last.step, last.steps)
            if not last.done:
                tell.pause()
        assert last is not None
        return [saved(form, last.image, request.photo.alpha, format, values["quality"], request.recipe)]

    return Work(do, unset)


def analogy(studio: Studio, limits: Limits, form: Form, values: Values, format: str) -> Work:
    """Make the work of an analogy. A filter that is sent is read here, so that a damaged one is refused at once."""
    use, content = values["use"], form.source("content", values["content"])
    specs = styles_of(form, values, limits) if values["style"] else []
    if values["weight"] and not specs:
        raise ConfigError("weight is for styles on top, and there are none; give a style or leave it out")
    if any(spec.region for spec in specs):
        raise ConfigError("style names a region, which an analogy has not; leave out the @REGION")
    specs = [StyleSpec(form.source("style", spec.source), spec.weight) for spec in specs]
    pair, loaded = [], None
    if use is None:
        for name in PAIR:
            if values[name] is None:
                raise ConfigError(f"{name} is missing; give the pair before and after, or a filter in use")
            pair.append(form.source(name, values[name]))
    else:
        for name in (*PAIR, "align", "save"):
            if values[name]:
                raise ConfigError(f"{name} is for a pair, and use has learned its filter already; leave one out")
        try:
            loaded = filters.load(form.source("use", use))
        except WeightsError as error:  # it names files of this machine
            raise ConfigError(f"use is {use!r}, no filter that save has given, or damaged; send another") from error
        loaded = analogies.repainted(loaded, values["paint"])

    def do(tell: Teller) -> list[Made]:
        made, learned = loaded, (Source(public_name(use or "")),)
        if made is None:
            made, learned = _learned(studio, limits, pair, values, tell)
        full = read(content, limits.upload_pixels)
        size = min(max(full.height, full.width), limits.max_size) if values["size"] is None else values["size"]
        photo = images.resize(full, long_side=size, enlarge=True)
        rgb = np.concatenate(list(_filtered(made, images.fill_hidden(photo).rgb, studio, tell)))
        styles = [read_style(spec.source, limits.upload_pixels) for spec in specs]
        if specs:
            blend = [(style.rgb, spec.weight) for style, spec in zip(styles, specs, strict=True)]
            rgb = analogies.styled(rgb, blend, values["strength"], values["model"], studio.stylizer)
        sources = style_sources(specs, styles, [None] * len(specs))
        own = Source(public_name(content), full.content_hash)
        recipe = AnalogyRecipe(
            own, learned, max(rgb.shape[:2]), values["align"], values["paint"], sources, values["strength"],
            values["model"],
        )  # fmt: skip
        result = saved(form, rgb, photo.alpha, format, values["quality"], recipe, learned=made.told)
        if not values["save"]:
            return [result]
        path = filters.save(result_folder(form) / f"filter{SUFFIX}", made)
        return [result, Made(path.name, path, "application/octet-stream")]

    return Work(do, unset)


PAIR = ("before", "after")
"""The arguments that name a pair."""


def _learned(
    studio: Studio, limits: Limits, pair: list[str], values: Values, tell: Teller
) -> tuple[analogies.Analogy, tuple[Source, ...]]:
    """Learn a pair, and say what it was."""

    def hear(text: str) -> None:
        tell.pause()

    most = min(limits.upload_pixels, limits.max_size**2)  # all of it is in memory at once
    own, goal = (read(name, most) for name in pair)
    try:
        made = analogies.learn(
            images.flatten(own).rgb, images.flatten(goal).rgb, paint=values["paint"], align=values["align"], hear=hear,
            stylizer=studio.stylizer,
        )  # fmt: skip
    except (ConfigError, ImageError) as error:
        raise type(error)(str(error).replace("the pair: ", "before and after: ")) from error
    if made.doubtful:
        tell.warn(made.told)
    learned = [Source(public_name(name), picture.content_hash) for name, picture in zip(pair, (own, goal), strict=True)]
    return made, tuple(learned)


def _filtered(made: analogies.Analogy, rgb: np.ndarray, studio: Studio, tell: Teller) -> Iterator[np.ndarray]:
    """Filter a photo, some rows at a time; quick jobs go first between them."""
    done = 0
    for rows in made.rows(rgb, studio.stylizer):
        yield rows
        done += len(rows)
        tell.step(done, len(rgb))
        tell.pause()
