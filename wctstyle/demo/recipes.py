"""Recipes of compositions: how a picture on the page was made, and back."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from wctstyle import masks as masking
from wctstyle import samples
from wctstyle.demo.composition import (
    FACES,
    LEAST_SIZE,
    MAX_REGIONS,
    MAX_SCREEN_SIZE,
    Composition,
    PageRegion,
    fits_name,
)
from wctstyle.demo.limits import Limits
from wctstyle.demo.masking import StoredMask, is_mask, kind_of, mask_id
from wctstyle.demo.pictures import StoredPicture
from wctstyle.errors import ConfigError
from wctstyle.inputs import RegionSpec
from wctstyle.recipe import START, Optimisation, Recipe
from wctstyle.regions import FACE, REST
from wctstyle.settings import MAX_STRENGTH, optimizer_model
from wctstyle.sources import MaskSource, Source, StyleSource

RESULT = "result.png"
"""What the commands and programs on the page call their picture."""


class Holder(Protocol):
    """What holds pictures and masks: a session."""

    def picture(self, id: str) -> StoredPicture:
        """Return a picture by its id."""
        ...

    def mask(self, id: str) -> StoredMask:
        """Return a mask by its id."""
        ...


def recipe_name(picture: StoredPicture) -> str:
    """Name a picture as recipes do: `sample:NAME`, or the file's own name."""
    return picture.id if picture.id.startswith(samples.PREFIX) else picture.name


def mask_files(composition: Composition, held: Holder) -> dict[str, tuple[str, StoredMask]]:
    """Name the file of every mask that is none of the ready-made ones: by id, the name and the mask.

    Names are those of uploaded files, of regions (`sky.png`), or of styles (`marbling-part.png`), each once.
    """
    wanted = {region.mask: region.name for region in composition.regions if not kind_of(region.mask)}
    for blend in composition.blends.values():
        for id, _, *part in blend:
            for mask in part:
                if not kind_of(mask):
                    wanted.setdefault(mask, f"{held.picture(id).name} part")
    pictures = [composition.content, *(id for blend in composition.blends.values() for id, *_ in blend)]
    taken = {RESULT, START, *(recipe_name(held.picture(id)).lower() for id in pictures)}
    found: dict[str, tuple[str, StoredMask]] = {}
    for id, about in wanted.items():
        mask = held.mask(id)
        stem = re.sub(r"[^\w]+", "-", (mask.name or about).lower()).strip("-_") or "mask"
        number = 1
        while (name := f"{stem}{'' if number == 1 else f'-{number}'}.png") in taken:
            number += 1
        taken.add(name)
        found[id] = name, mask
    return found


def recipe_for(
    composition: Composition, held: Holder, *, size: int, optimisation: Optimisation | None = None
) -> Recipe:
    """Return the recipe of a composition.

    size: long side of the result. optimisation: what refined it.
    """
    files = mask_files(composition, held)

    def source(mask: str) -> Source:
        return Source(files[mask][0], files[mask][1].content_hash) if mask in files else Source(mask)

    content = held.picture(composition.content)
    pictures = [held.picture(spec.source) for spec in composition.specs]
    return Recipe(
        content=Source(recipe_name(content), content.content_hash),
        styles=tuple(
            StyleSource(
                recipe_name(picture),
                picture.content_hash,
                spec.weight,
                spec.region,
                source(spec.mask) if spec.mask else None,
            )
            for spec, picture in zip(composition.specs, pictures, strict=True)
        ),
        size=size,
        settings=composition.settings,
        model=composition.model,
        stroke_scale=composition.stroke_scale,
        masks=tuple(
            MaskSource(**dataclasses.asdict(source(mask)), region=name)
            for name, mask in composition.region_masks.items()
        ),
        feather=composition.feather,
        dials={name: own for name, own in composition.region_dials.items() if own != RegionSpec()},
        optimisation=optimisation,
    )


# -------------------------------------------------------------------------------------------------------------- back


def from_recipe(
    written: Mapping[str, Any],
    find: Callable[[str, str], str | None],
    limits: Limits,
    *,
    fallback: str,
    find_mask: Callable[[str], str | None] = lambda hash: None,
) -> tuple[Composition, Recipe, list[str]]:
    """Read a recipe from JSON; also return the names of pictures that could not be found.

    `find(name, hash)` returns the id of a picture at hand, or None. A content that is not at hand becomes `fallback`,
    a style that is not is left out. `find_mask(hash)` does so for masks; one that is not at hand gets the id that
    it will have.

    Raises:
        ConfigError: the recipe lacks something, or something in it makes no sense.
    """
    try:
        recipe = rest_first(Recipe.from_json(written))
        masks = {mask.region: id_of(mask, find_mask) for mask in recipe.masks}
        parts = [() if style.mask is None else (id_of(style.mask, find_mask),) for style in recipe.styles]
    except ConfigError as error:
        raise ConfigError("The recipe in this picture cannot be read; it may be of another version.") from error
    content = find(recipe.content.name, recipe.content.hash)
    here = [find(style.name, style.hash) for style in recipe.styles]
    missing = [recipe.content.name[:80]] if content is None else []
    missing += [style.name[:80] for style, id in zip(recipe.styles, here, strict=True) if id is None]
    blends: dict[str, list[Any]] = {}
    for style, id, part in zip(recipe.styles, here, parts, strict=True):
        blend = blends.setdefault(style.region or REST, [])
        if id is not None and len(blend) < limits.styles:
            blend.append((id, style.weight, *part))
    names = page_names(recipe)
    composition = Composition(
        content=content or fallback,
        styles=tuple(blends.get(REST, ())),
        settings=dataclasses.replace(recipe.settings, look=min(recipe.settings.look, MAX_SCREEN_SIZE), refine=0),
        size=min(max(recipe.size, LEAST_SIZE), MAX_SCREEN_SIZE, limits.max_size),
        stroke_scale=recipe.relative_strokes,
        model=_painter(recipe),
        regions=tuple(
            PageRegion(shown, masks.get(name, FACES), tuple(blends.get(name, ())), recipe.dials.get(name, RegionSpec()))
            for name, shown in names.items()
        ),
        feather=Composition.feather if recipe.feather is None else recipe.feather,
    )
    return composition, recipe, missing


def id_of(source: Source, find_mask: Callable[[str], str | None]) -> str:
    """Return the id of a mask that a recipe names: of the one at hand, or that it will have.

    Raises:
        ConfigError: there is no ready-made mask of that kind.
    """
    if not source.name.startswith(masking.PREFIX):
        color = masking.split_color(source.name)[1]
        return mask_id(f"{source.hash}#{color}") if color else find_mask(source.hash) or mask_id(source.hash)
    if not is_mask(source.name):
        raise ConfigError(f"{source.name}: there is no ready-made mask of this kind")
    return source.name


def page_names(recipe: Recipe) -> dict[str, str]:
    """Return what the page calls the regions of a recipe, by their names there; no more than it takes."""
    regions = [style.region for style in recipe.styles] + [mask.region for mask in recipe.masks]
    found: dict[str, str] = {}
    for name in list(dict.fromkeys(name for name in regions if name not in ("", REST)))[:MAX_REGIONS]:
        masked = any(mask.region == name for mask in recipe.masks)
        fits = fits_name(name) and not (masked and name == FACE)
        taken = {other.lower() for other in found.values()}
        found[name] = name if fits and name.lower() not in taken else f"Region {len(found) + 1}"
    return found


def rest_first(recipe: Recipe) -> Recipe:
    """Move the dials of the rest, which the page does not have, into the settings, without changing the picture."""
    rest = recipe.dials.get(REST)
    if rest is None:
        return recipe
    settings, before = {}, dataclasses.asdict(recipe.settings)
    for field in dataclasses.fields(RegionSpec):
        own = getattr(rest, field.name)
        if own is not None and field.name in before and field.name != "strength":
            settings[field.name] = own
    strength = min(recipe.settings.strength * rest.strength, MAX_STRENGTH)
    styles = recipe.styles
    if strength:
        settings["strength"] = strength
    else:  # the photo stays there
        styles, strength = tuple(style for style in styles if style.region not in ("", REST)), before["strength"]
    others = dict.fromkeys(style.region for style in styles if style.region not in ("", REST))
    dials = {}
    for name in others:
        own = recipe.dials.get(name, RegionSpec())
        kept = {field: before[field] for field in settings if field != "strength" and getattr(own, field) is None}
        if rest.stroke is not None and own.stroke is None:
            kept["stroke"] = recipe.relative_strokes
        factor = min(before["strength"] * own.strength, MAX_STRENGTH) / strength if strength else own.strength
        dials[name] = dataclasses.replace(own, strength=factor, **kept)
    scale = {} if rest.stroke is None else {"stroke_scale": rest.stroke, "style_size": None}
    return dataclasses.replace(
        recipe, settings=dataclasses.replace(recipe.settings, **settings), styles=styles, dials=dials, **scale
    )


def _painter(recipe: Recipe) -> str:
    """Return the model; of an optimisation one whose network is the same."""
    done = recipe.optimisation
    return recipe.model if done is None or optimizer_model(recipe.model) == done.model else done.model
