"""What an optimisation is asked for and reads, and the recipe of what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wctstyle import images
from wctstyle.cutout import visible_sides
from wctstyle.errors import ImageError
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
    warn_of_plain,
)
from wctstyle.optimizer.settings import LEAST_SIDE, OptimizeSettings
from wctstyle.recipe import Optimisation, Recipe, fast_settings
from wctstyle.regions import Region
from wctstyle.sources import Source, mask_sources, public_name, style_sources
from wctstyle.specs import Named

if TYPE_CHECKING:
    from wctstyle.optimizer import Iterate

OPTIMIZE_SIZE = 512
"""Long side, in pixels, to which larger photos are shrunk unless a size is given."""

STARTS = ("fast", "content", "noise", "style")
"""What a start is named; anything else is a file."""


@dataclass(frozen=True)
class Wanted:
    """What an optimisation is asked for, checked as far as that goes before a picture is read."""

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
    """What an optimisation reads: the photo, the styles, and how to optimise."""

    content: images.Picture
    regions: list[Region]
    settings: OptimizeSettings
    init: images.Picture | None
    model: str
    recipe: Recipe


def read_request(wanted: Wanted, warn: Callable[[str], None]) -> Request:
    """Read the pictures at their sizes; `warn` is told what does not stop the run.

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
    warn_of_plain(styles, specs, warn)
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


def ended_recipe(request: Request, last: Iterate) -> Recipe:
    """Return the recipe of a run that has ended, early where it was stopped or out of time."""
    done = request.recipe.optimisation
    assert done is not None
    return replace(request.recipe, optimisation=done.ended(last.step, last.scales, last.reason))
