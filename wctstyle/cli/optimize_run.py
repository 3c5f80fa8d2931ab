"""What `wctstyle optimize` and `wctstyle compare` do alike: read a request, paint it in one pass, follow a run."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn

from wctstyle import images
from wctstyle.cli.console import Stop, progress_bar, say, waiting, warn
from wctstyle.cli.optimize_options import OPTIMIZE_SIZE, STARTS
from wctstyle.cli.options import option_names
from wctstyle.cli.specs import Named
from wctstyle.cutout import visible_sides
from wctstyle.errors import ImageError, WeightsError
from wctstyle.inputs import (
    Sizes,
    fit_parts,
    read,
    read_masks,
    read_parts,
    read_photo,
    read_style,
    regions_for,
    style_sides,
)
from wctstyle.optimizer.settings import LEAST_SIDE, OptimizeSettings
from wctstyle.recipe import Optimisation, Recipe, fast_settings
from wctstyle.regions import Region
from wctstyle.sources import Source, mask_sources, public_name, style_sources

if TYPE_CHECKING:
    from wctstyle.optimizer import Iterate, Optimizer


@dataclass(frozen=True)
class Wanted:
    """What both commands are asked for, checked as far as that goes before a picture is read."""

    named: Named
    settings: OptimizeSettings
    init: str
    model: str
    sizes: Sizes

    @property
    def content(self) -> str:
        """The photo."""
        return self.named.contents[0]

    @property
    def files(self) -> list[str]:
        """Every file that is read."""
        return [*self.named.files, *([] if self.init in STARTS else [self.init])]


@dataclass(frozen=True)
class Request:
    """What both commands read: the photo, the styles, and how to optimise."""

    content: images.Picture
    regions: list[Region]
    settings: OptimizeSettings
    init: images.Picture | None
    model: str
    recipe: Recipe


@option_names()
def read_request(wanted: Wanted) -> Request:
    """Read the pictures at their sizes.

    Raises:
        ImageError: one cannot be read, is too thin to be optimised, or the one to start from has another shape.
    """
    content, specs, settings = wanted.content, wanted.named.styles, wanted.settings
    init, model, strokes, max_pixels = wanted.init, wanted.model, wanted.sizes.strokes, wanted.sizes.max_pixels
    full, photo = read_photo(content, wanted.sizes, usual=OPTIMIZE_SIZE)
    regions = wanted.named.regions
    sides = style_sides(specs, regions.dials, strokes, max(visible_sides(photo)))
    masks, parts = read_masks(regions.masks, max_pixels), read_parts(specs, max_pixels)
    pictures = [read_style(spec.source, max_pixels) for spec in specs]
    styles = fit_parts(pictures, specs, parts, sides)
    _check_thickness(content, (full.height, full.width), (photo.height, photo.width), "--size")
    strokes_option = "--style-size" if strokes.stroke_scale is None else "--stroke-scale"
    for spec, picture, (style, _) in zip(specs, pictures, styles, strict=True):
        _check_thickness(spec.source, (picture.height, picture.width), style.picture.shape[:2], strokes_option)
    given = None if init in STARTS else _start(init, read(init, max_pixels), photo)
    recipe = Recipe(
        content=Source(public_name(content), full.content_hash),
        styles=style_sources(specs, pictures, parts),
        size=max(photo.height, photo.width),
        settings=fast_settings(settings),
        style_size=strokes.style_size,
        stroke_scale=strokes.stroke_scale,
        masks=mask_sources(masks),
        feather=regions.feather,
        dials=regions.dials,
        optimisation=Optimisation(settings, model, init if init in STARTS else public_name(init)),
    )
    return Request(photo, regions_for(photo, styles, specs, masks, regions, warn), settings, given, model, recipe)


def _check_thickness(name: str, own: tuple[int, int], scaled: tuple[int, int], option: str) -> None:
    if min(scaled) < LEAST_SIDE:
        raise ImageError(
            f"{name}: is {own[1]} x {own[0]}, and {scaled[1]} x {scaled[0]} as it is optimised, which "
            f"takes at least {LEAST_SIDE} pixels each way; give a larger {option}, or cut the picture"
        )


def _start(name: str, own: images.Picture, photo: images.Picture) -> images.Picture:
    """Scale the picture to start from to the photo's size; sides that another rounding made differ by a pixel."""
    height, width = images.scaled_sides(own, long_side=max(photo.height, photo.width))
    if max(abs(height - photo.height), abs(width - photo.width)) > 1:
        raise ImageError(
            f"--init {name}: is {width} x {height} at the result's size, the photo {photo.width} x {photo.height}; "
            "give a picture of the same shape"
        )
    return images.flatten(images.resize_to(own, height=photo.height, width=photo.width))


def paint_fast(request: Request) -> tuple[np.ndarray, float]:
    """Stylise in one pass; returns the picture and the seconds it took."""
    from wctstyle.stylizer import Stylizer

    clock = time.perf_counter()
    with waiting("painting the fast picture"):
        fast = request.recipe.fast
        result = Stylizer(fast.model).stylize(request.content, request.regions, fast.settings)
    return result.image, time.perf_counter() - clock


def ended_recipe(request: Request, last: Iterate) -> Recipe:
    """Return the recipe of a run that has ended, early where it was stopped or out of time."""
    done = request.recipe.optimisation
    assert done is not None
    return replace(request.recipe, optimisation=done.ended(last.step, last.scales, last.reason))


def load_optimizer(model: str) -> Optimizer:
    """Return the optimiser, its programs kept from run to run."""
    from wctstyle.compilation import enable_compilation_cache
    from wctstyle.optimizer import Optimizer

    enable_compilation_cache()
    return Optimizer(model)


def optimizer_for(request: Request) -> Optimizer:
    """Return the optimiser that a request asks for; one that there is no memory for is refused."""
    with waiting("getting ready"):
        engine = load_optimizer(request.model)
        engine.check_memory(request.content, request.settings, request.regions)
    return engine


def describe(iterate: Iterate) -> dict[str, Any]:
    """Write an iterate as --json prints it."""
    return {
        "step": iterate.step,
        "steps": iterate.steps,
        "scale": iterate.scale,
        "scales": iterate.scales,
        "width": iterate.width,
        "height": iterate.height,
        "seconds": round(iterate.seconds, 2),
        "steps_per_second": round(iterate.steps_per_second, 3),
        "seconds_left": round(iterate.seconds_left, 1),
        "losses": {name: round(value, 6) for name, value in iterate.losses.items()},
    }


def status(iterate: Iterate) -> str:
    """Write an iterate as the live bar shows it."""
    losses = iterate.losses
    minutes, seconds = divmod(round(iterate.seconds_left), 60)
    return (
        f"{iterate.width}x{iterate.height}  loss {losses['total']:.4f}  style {losses['style']:.3f}  "
        f"content {losses['content']:.3f}  tv {losses['tv']:.3f}  {iterate.steps_per_second:.1f} it/s  "
        f"{minutes}:{seconds:02d} left"
    )


def watch(
    iterates: Iterator[Iterate], steps: int, *, as_json: bool, each: Any = None, trace: list[Any] | None = None
) -> tuple[Iterate, bool]:
    """Follow a run with a live bar; returns the last iterate, not `done` after Ctrl-C, and whether it can go on."""
    columns = (SpinnerColumn(), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    stop, last, warned, kept = Stop("this step"), None, False, True
    with progress_bar(*columns) as progress, stop.listening():
        task = progress.add_task("compiling", total=steps)
        for iterate in iterates:
            last = iterate
            progress.update(task, completed=iterate.step, description=status(iterate))
            if as_json and not iterate.done:
                say(json.dumps(describe(iterate)), progress)
            if trace is not None:
                trace.append(describe(iterate))
            if each is not None:
                each(iterate)
            if iterate.unsaved and not iterate.done and not warned:
                _warn_unsaved(iterate.unsaved)
                warned = True
            if stop.wanted and not iterate.done:
                try:
                    iterates.close()  # pyright: ignore[reportAttributeAccessIssue] (it is a generator)
                except WeightsError as error:
                    _warn_unsaved(str(error))
                    kept = False
                break
    if last is None:
        raise KeyboardInterrupt("Stopped before the first step.")
    return last, kept


def _warn_unsaved(why: str) -> None:
    warn(f"the state of the run could not be kept, so --resume will not find it: {why}")
