"""The work of textures and dreams."""

from __future__ import annotations

import numpy as np

from wctstyle.dreams.reading import DreamPictures, read_dream
from wctstyle.dreams.settings import DreamSettings, parse_channels
from wctstyle.errors import ConfigError
from wctstyle.inputs import RegionSpecs, Sizes
from wctstyle.service.forms import Form
from wctstyle.service.jobs import Made, Teller, Work
from wctstyle.service.limits import Limits
from wctstyle.service.pictures import Values, named_of, saved, unset
from wctstyle.service.studio import Studio
from wctstyle.settings import optimizer_model
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
