"""Textures on the page and in the API: of the styles of a blend, made in the queue."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from wctstyle.demo.actions import Service
from wctstyle.demo.backend import part_of
from wctstyle.demo.composition import Composition
from wctstyle.demo.extras import Progress, Stopped, finished
from wctstyle.demo.optimising import GIVE_WAY_SECONDS, check_weights
from wctstyle.demo.recipes import recipe_for
from wctstyle.demo.runs import Run, telling
from wctstyle.demo.sessions import Session
from wctstyle.demo.sheets import duration
from wctstyle.errors import ConfigError
from wctstyle.optimizer import Optimizer
from wctstyle.settings import MAX_SIDE, optimizer_model
from wctstyle.textures.making import stages
from wctstyle.textures.recipe import TextureRecipe
from wctstyle.textures.settings import TextureSettings


def recipe_of(service: Service, session: Session, composition: Composition, settings: TextureSettings) -> TextureRecipe:
    """Return the recipe of a texture of the styles that lie in no region.

    Along a gradient every style counts alike, in the order of the blend.

    Raises:
        ConfigError: there is no style, every weight is 0, or the texture is larger than is granted.
    """
    limits = service.limits
    most = min(limits.max_size, limits.optimise_size) if settings.optimize else limits.max_size
    if max(settings.shape) > most:
        how = "an optimised texture" if settings.optimize else "a texture"
        raise ConfigError(f"size is {settings.width} x {settings.height}; {how} here has up to {most} pixels a side")
    if settings.optimize > limits.optimise_steps:
        raise ConfigError(f"optimize is {settings.optimize}, must be from 0 to {limits.optimise_steps}")
    whole = replace(composition, regions=())
    if not whole.styles:
        raise ConfigError("A texture is made of the styles in no region, and there is none. Add one to the blend.")
    check_weights(whole)
    styles = tuple(style for style in recipe_for(whole, session, size=MAX_SIDE).styles if style.weight)
    if settings.gradient != "none":
        styles = tuple(replace(style, weight=1.0) for style in styles)
    return TextureRecipe(styles, settings, composition.model)


def make(
    service: Service,
    session: Session,
    composition: Composition,
    recipe: TextureRecipe,
    folder: Path,
    stop: threading.Event,
    tell: Callable[[Progress], None] = lambda now: None,
) -> Iterator[Progress]:
    """Make a texture; yields how far it is, and the file in a new folder at the end. Nothing is kept of a stopped one.

    Tells of every tile that is painted.

    Raises:
        ConfigError: a picture or mask is not kept any more.
        ImageError: the file cannot be written.
    """
    began, settings = time.monotonic(), recipe.settings
    styles = [(style, source.weight) for style, source in zip(_pictures(session, composition, recipe), recipe.styles,
                                                              strict=True)]  # fmt: skip
    stylizer = service.backend.stylizer(recipe.model)

    def painting(tile: int, tiles: int) -> None:
        if stop.is_set() or session.closed.is_set():
            raise Stopped
        tell(Progress(tile, tiles, f"Painted {tile} of {tiles} tiles"))
        service.backend.priority.give_way(GIVE_WAY_SECONDS)

    def optimizer() -> Optimizer:
        return service.backend.optimizer(optimizer_model(recipe.model))

    image = None
    try:
        for stage in stages(stylizer, styles, settings, optimizer, painting=painting):
            image = stage.image
            if stop.is_set() or session.closed.is_set():
                break
            if stage.step < stage.steps:
                left = f", about {duration(stage.seconds_left)} left" if stage.step else ""
                yield Progress(stage.step, stage.steps, f"Step {stage.step} of {stage.steps}{left}", image)
            service.backend.priority.give_way(GIVE_WAY_SECONDS)
    except Stopped:
        return
    if image is None or stop.is_set() or session.closed.is_set():
        return
    name = f"texture-{settings.seed}.png"
    yield finished(name, image, None, recipe, folder, began=began, repeated=settings.tileable)


def _pictures(session: Session, composition: Composition, recipe: TextureRecipe) -> Iterator[Any]:
    """Return the styles of a recipe, each at its size."""
    for id, weight, *masks in composition.styles:
        if weight:
            held = session.picture(id)
            part = part_of(session, held, masks[0]).plane() if masks else None
            yield held.as_style((recipe.settings.style_size, MAX_SIDE), part)


def submit(service: Service, session: Session, composition: Composition, recipe: TextureRecipe, folder: Path) -> Run:
    """Put a texture in line; returns the one that is made already where there is one (`Queue.submit`).

    Raises:
        ConfigError: too many are waiting.
    """
    run = telling(session, "texture", partial(make, service, session, composition, recipe, folder))
    return service.queue.submit(run, most=service.limits.queue_size)
