"""Dreams on the page and in the API: of the photo, and sheets of a layer's channels, made in the queue."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from wctstyle import images
from wctstyle.demo.actions import Service
from wctstyle.demo.composition import Composition
from wctstyle.demo.extras import Progress, finished
from wctstyle.demo.optimising import GIVE_WAY_SECONDS
from wctstyle.demo.recipes import recipe_for
from wctstyle.demo.runs import Run
from wctstyle.demo.sessions import Session
from wctstyle.dreams.recipe import DreamRecipe
from wctstyle.dreams.settings import SHEET, DreamSettings
from wctstyle.dreams.sheet import cells, laid_out
from wctstyle.errors import ConfigError
from wctstyle.settings import optimizer_model

MAX_TOTAL = 400
"""Most steps over all octaves that a visitor may ask for."""

SHOWN_SECONDS = 1.0
"""How often the picture so far is shown."""


def recipe_of(service: Service, session: Session, composition: Composition, settings: DreamSettings) -> DreamRecipe:
    """Return the recipe of a dream of the photo; the styles play no part. The best quality dreams with VGG-19.

    Raises:
        ConfigError: it asks for more steps than are granted, or the photo is not kept any more.
    """
    most = MAX_TOTAL // settings.octaves
    if settings.steps > most:
        raise ConfigError(f"steps is {settings.steps}, must be from 1 to {most} with {settings.octaves} octaves here")
    size = min(composition.size, service.limits.optimise_size)
    photo = service.backend.content(session.picture(composition.content), size)
    content = recipe_for(replace(composition, styles=(), regions=()), session, size=size).content
    model = optimizer_model(composition.model)
    return DreamRecipe(content, settings, model, size=max(photo.height, photo.width))


def sheet_recipe(composition: Composition, layer: str) -> DreamRecipe:
    """Return the recipe of a sheet of all channels of a layer.

    Raises:
        ConfigError: there is no such layer.
    """
    return DreamRecipe(None, replace(SHEET, layers=(layer,)), optimizer_model(composition.model))


def make(
    service: Service,
    session: Session,
    composition: Composition,
    recipe: DreamRecipe,
    folder: Path,
    stop: threading.Event,
) -> Iterator[Progress]:
    """Make a dream or a sheet; yields how far it is, and the file in a new folder at the end.

    Nothing is kept of one that is stopped. Sheets are kept, and made once by the server.

    Raises:
        ConfigError: the layer does not have a channel, or the photo is not kept any more.
        ImageError: the file cannot be written, or the size does not fit into memory.
    """
    began, image, alpha = time.monotonic(), None, None
    parts = _sheet(service, recipe) if recipe.content is None else _dream(service, session, composition, recipe)
    for now in parts:
        image = now.image
        if stop.is_set() or session.closed.is_set():
            return
        yield now
        service.backend.priority.give_way(GIVE_WAY_SECONDS)
    assert image is not None
    if recipe.content is not None:
        alpha = service.backend.content(session.picture(composition.content), recipe.size or 0).alpha
    name = f"channels-{recipe.settings.layers[0]}.png" if recipe.content is None else "dream.png"
    yield finished(name, image, alpha, recipe, folder, began=began)


def _dream(service: Service, session: Session, composition: Composition, recipe: DreamRecipe) -> Iterator[Progress]:
    photo = service.backend.content(session.picture(composition.content), recipe.size or 0)
    rgb, shown, clock = images.fill_hidden(photo).rgb, None, 0.0
    for now in service.backend.dreamer(recipe.model).steps(rgb, recipe.settings):
        if now.done or time.monotonic() - clock > SHOWN_SECONDS:
            shown, clock = now.image, time.monotonic()
        text = f"Step {now.step} of {now.steps}, {now.width} × {now.height} pixels"
        yield Progress(now.step, now.steps, text, shown)


def _sheet(service: Service, recipe: DreamRecipe) -> Iterator[Progress]:
    kept, layer = service.backend.channel_sheets, recipe.settings.layers[0]
    if (key := (recipe.model, layer)) not in kept:
        made = []
        for part in cells(service.backend.dreamer(recipe.model), recipe.settings):
            made.append(part)
            text = f"Drew {part.done} of {part.total} channels of {layer}"
            yield Progress(part.done, part.total, text, laid_out(made))
        kept[key] = np.rint(255 * laid_out(made)).astype(np.uint8)
    yield Progress(1, 1, f"All channels of {layer}", kept[key].astype(np.float32) / 255)


def submit(service: Service, session: Session, composition: Composition, recipe: DreamRecipe, folder: Path) -> Run:
    """Put a dream or a sheet in line; returns the run that is made already where there is one (`Queue.submit`).

    Raises:
        ConfigError: too many are waiting.
    """
    work = partial(make, service, session, composition, recipe, folder)
    return service.queue.submit(Run(session, work=work, kind="dream"), most=service.limits.queue_size)
