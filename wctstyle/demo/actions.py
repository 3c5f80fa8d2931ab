"""What happens when somebody touches the page: plain functions of a session, values in and values out, no Gradio."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from wctstyle import images, looks, masks, samples
from wctstyle.demo.awaited import Awaited, AwaitedStyle
from wctstyle.demo.backend import Backend
from wctstyle.demo.composition import (
    DEFAULT_SIZE,
    OUT_OF_DATE,
    QUALITIES,
    Blend,
    Composition,
)
from wctstyle.demo.limits import Limits
from wctstyle.demo.masking import awaited_mask, hold_mask, stem_of
from wctstyle.demo.pictures import (
    PictureKind,
    StoredPicture,
    address,
    decode,
    public_name,
    sample,
    take_upload,
    thumbnail,
)
from wctstyle.demo.recipes import from_recipe, id_of, page_names, recipe_for, recipe_name
from wctstyle.demo.registry import Sessions, Storage
from wctstyle.demo.runs import Queue
from wctstyle.demo.sessions import HistoryEntry, Losses, ResultKind, Session
from wctstyle.demo.streams import Streams
from wctstyle.errors import ConfigError, ImageError, WctStyleError
from wctstyle.looks import Look
from wctstyle.recipe import Optimisation, Recipe
from wctstyle.recipe_kinds import kind_of
from wctstyle.regions import REST, mask_of
from wctstyle.sources import Source, StyleSource

log = logging.getLogger("wctstyle.demo")

KEPT_QUALITY = 95
"""JPEG quality of styled results in the history, from which figures are measured; downloads are rendered anew as long
as the pictures are held."""


@dataclass
class Service:
    """The backend, the limits, the sessions, the live streams and the queue of runs that all actions share."""

    backend: Backend
    limits: Limits
    sessions: Sessions
    streams: Streams
    queue: Queue = field(default_factory=Queue)

    @classmethod
    def make(cls, backend: Backend, limits: Limits, store: Storage | None = None) -> Service:
        """Set up a service with no sessions yet but those in the store, if it has one."""
        return cls(backend, limits, Sessions(limits, store), Streams(backend, limits))


# ------------------------------------------------------------------------------------------------------ the picture


def live(service: Service, session: Session, composition: Composition) -> dict[str, Any]:
    """Render a composition for the screen; returns what the stage shows."""
    composition = replace(composition, size=min(composition.size, service.limits.max_size))
    session.composition = composition  # before it is made: the page may be left meanwhile
    made = service.backend.render(session, composition)
    # The history shows its time, so not one with compiling in it.
    session.latest = None if made.first_of_size else (composition, made.image, made.seconds)
    height, width = made.image.shape[:2]
    note = "first at this size" if made.first_of_size else ""
    stage: dict[str, Any] = {
        "after": address(made.image, opacity(service, session, composition)),
        "width": width,
        "height": height,
        "milliseconds": round(1000 * made.seconds),
        "note": note,
        "labels": ["Photo", "Styled"],
        "serial": time.time(),  # of two equal answers the page would not see the second, and wait for it
    }
    shown = (composition.content, composition.size)
    if session.before_shown != shown:
        photo = service.backend.content(session.picture(composition.content), composition.size)
        stage["before"] = address(photo.rgb, photo.alpha)
        session.before_shown = shown
    session.on_screen = None
    return stage


def opacity(service: Service, session: Session, composition: Composition) -> np.ndarray | None:
    """Return the opacity of the photo of a composition, which its results have too; None where it has none."""
    return service.backend.content(session.picture(composition.content), composition.size).alpha


def keep(service: Service, session: Session, composition: Composition) -> HistoryEntry:
    """Put the picture of a composition into the history; one that is its latest already is not put in twice."""
    session.composition = composition
    latest = session.history[-1:]
    if latest and latest[0].kind == "styled" and latest[0].composition == composition:
        return latest[0]
    if session.latest is not None and session.latest[0] == composition:
        _, image, seconds = session.latest
    else:
        made = service.backend.render(session, composition)
        image, seconds = made.image, made.seconds
    return keep_image(service, session, composition, image, kind="styled", seconds=seconds)


def keep_image(
    service: Service,
    session: Session,
    composition: Composition,
    image: np.ndarray,
    *,
    kind: ResultKind,
    seconds: float,
    losses: Losses = (),
    optimisation: Optimisation | None = None,
) -> HistoryEntry:
    """Put a picture into the history."""
    recipe = recipe_for(composition, session, size=max(image.shape[:2]), optimisation=optimisation)
    alpha = opacity(service, session, composition)
    lossless = kind == "optimised" or alpha is not None  # it cannot be made again at once, or JPEG has no opacity
    kept = session.keep(
        kind=kind,
        composition=composition,
        recipe=recipe,
        data=images.encode(
            image, alpha, format="png" if lossless else "jpeg", quality=KEPT_QUALITY, recipe=recipe.to_json()
        ),
        thumb=thumbnail(image, alpha),
        width=image.shape[1],
        height=image.shape[0],
        seconds=seconds,
        losses=losses,
    )
    service.sessions.make_room()
    return kept


def strip(session: Session) -> list[dict[str, Any]]:
    """List the history for the page, newest first."""
    return [
        {
            "id": kept.id,
            "kind": kept.kind,
            "thumb": kept.thumb,
            "title": describe(kept),
        }
        for kept in reversed(session.history)
    ]


def describe(kept: HistoryEntry) -> str:
    """Say in a line what a result is."""
    blends: dict[str, list[StyleSource]] = {}
    for style in kept.recipe.styles:
        blends.setdefault(style.region, []).append(style)
    named = {region: _blend(styles) for region, styles in blends.items()}
    blend = ", ".join(f"{region}: {text}" if region else text for region, text in named.items() if text)
    content = kept.recipe.content.name.removeprefix(samples.PREFIX)
    settings = kept.composition.settings
    how = f"strength {settings.strength:g}, {QUALITIES[kept.composition.model]}, {kept.width} px"
    return f"{kept.kind}: {content} in {blend or 'no style'}, {'kept a photo, ' * settings.photo}{how}"


def _blend(styles: Sequence[StyleSource]) -> str:
    """Name the styles of a blend with their shares."""
    total = sum(style.weight for style in styles)
    named = [(style.name.removeprefix(samples.PREFIX).replace("-", " "), style.weight) for style in styles]
    return " + ".join(f"{name} {weight / total:.0%}" for name, weight in named if weight)


# --------------------------------------------------------------------------------------------------------- pictures


@dataclass(frozen=True)
class Added:
    """What came of an upload: a picture held, or a composition restored from the recipe in it.

    palette: what the page showed with the picture in the place where it was awaited; kinds: which of "content" and
    "style" it became there; masks: ids of the masks that came with it.
    """

    held: StoredPicture | None = None
    composition: Composition | None = None
    palette: dict[str, Any] | None = None
    kinds: tuple[PictureKind, ...] = ()
    masks: tuple[str, ...] = ()
    message: str = ""


def add_upload(
    service: Service,
    session: Session,
    path: object,
    folder: str,
    name: object,
    *,
    shown: Composition,
) -> Added:
    """Take an uploaded file, which is deleted: hold it, or restore the settings it carries.

    What is `shown` on the page stays where a recipe's own pictures are not at hand, and a picture that is awaited takes
    its place there.

    Raises:
        WctStyleError: it is no picture, too large, or its recipe makes no sense; the message begins with its name.
    """
    name = public_name(name)
    try:
        data = take_upload(path, folder, service.limits)
        recipe = looks.parsed(data)
        recipe = None if recipe and kind_of(recipe) else recipe  # these are pictures like any other
        if recipe is not None:
            return restore_recipe(service, session, recipe, shown=shown)
        picture = decode(data, service.limits)
        masked = _take_masks(service, session, picture)
    except WctStyleError as error:
        kind = ImageError if isinstance(error, ImageError) else ConfigError
        raise kind(f"{name}: {error}") from error
    if masked and picture.content_hash not in session.awaited.hashes:
        return Added(palette=shown.palette, masks=masked, message=f"{name} is a mask again.")
    held = session.add(picture, name)
    service.sessions.make_room()
    session.awaited, shown, kinds = session.awaited.take(held, shown, service.limits.styles)
    if not kinds:
        return Added(held=held)
    places = {"content": "the photo", "style": "in its place in the blend"}
    became = [*(places[kind] for kind in kinds), *(["a mask"] if masked else [])]
    message = f"{name} is {' and '.join(became)} again."
    return Added(held, palette=shown.palette, kinds=tuple(kinds), masks=masked, message=message)


def _take_masks(service: Service, session: Session, picture: images.Picture) -> tuple[str, ...]:
    """Hold a picture that is awaited as a mask, or as several; returns their ids."""
    left, taken = session.awaited.take_masks(picture.content_hash)
    for id, source in taken.items():
        color = masks.split_color(source.name)[1]
        plane = masks.of_color(picture, color) if color else mask_of(picture)
        hash = "" if color else picture.content_hash
        session.add_mask(replace(hold_mask(plane, service.limits.max_size, stem_of(source.name), hash), id=id))
    session.awaited = left
    return tuple(taken)


def use_result(service: Service, session: Session, id: str) -> StoredPicture:
    """Make a result of the history a picture of the session.

    Raises:
        ConfigError: it is not kept any more.
    """
    kept = session.result(id)
    held = session.add(images.load(kept.data), f"{kept.kind}-{kept.id}.png")
    service.sessions.make_room()
    return held


def repaired(session: Session, composition: Composition, shown: Composition) -> Composition:
    """Return a composition of pictures that are still held: those that are not leave it, or are as `shown`."""
    regions = tuple(region for region in composition.regions if session.holds_mask(region.mask))
    here = replace(composition, regions=regions)
    for name, blend in here.blends.items():
        styles = [(id, weight, *filter(session.holds_mask, part)) for id, weight, *part in blend if session.holds(id)]
        here = here.with_blend(name, tuple(styles))
    content = composition.content if session.holds(composition.content) else shown.content
    return replace(here, content=content, styles=here.styles or (() if regions else shown.styles))


def restore_recipe(service: Service, session: Session, written: Mapping[str, Any], *, shown: Composition) -> Added:
    """Turn a recipe into a composition, with a message that tells what is missing; the session awaits that.

    A look becomes the recipe of the current photo, at the size that it has, and leaves its regions as they are.

    Raises:
        ConfigError: the recipe makes no sense.
    """
    message, kept = "Settings restored from the picture.", {}
    if "content" not in written:
        look, photo = Look.from_json(written), session.picture(shown.content)
        kept = {"regions": shown.regions, "feather": shown.feather}
        message = f"The look {look.name} is on."
        size = session.composition.size if session.composition else DEFAULT_SIZE
        written = look.recipe(Source(recipe_name(photo), photo.content_hash), size).to_json()
    composition, recipe, missing = from_recipe(
        written, session.find, service.limits, fallback=shown.content, find_mask=session.find_mask
    )
    composition, missing = _await(session, replace(composition, **kept), recipe, missing, shown.styles)
    if missing:
        message += f" Not here: {', '.join(missing)}. Add {'it' if len(missing) == 1 else 'them'} to complete it."
    if composition.model not in service.backend.offered:
        message += f" Its quality, {QUALITIES[composition.model]}, is not installed here."
        composition = replace(composition, model=service.backend.model)
    if recipe.settings.refine or recipe.optimisation is not None:
        message += " It was refined afterwards. Optimise does that here."
    return Added(composition=composition, message=message)


def wear(service: Service, session: Session, name: object, *, shown: Composition) -> Added:
    """Put the current photo into a look that comes along.

    Raises:
        ConfigError: there is no such look.
    """
    if name not in looks.shipped():
        raise ConfigError(OUT_OF_DATE)
    return restore_recipe(service, session, looks.find(str(name)).to_json(), shown=shown)


def look_of(session: Session, composition: Composition) -> dict[str, Any]:
    """Return the look of a composition, without its regions, in JSON's types, named after its styles.

    Raises:
        ConfigError: there is no style.
    """
    whole = tuple(style[:2] for style in composition.styles)
    recipe = recipe_for(replace(composition, styles=whole, regions=()), session, size=composition.size)
    styles = [style.name.removeprefix(samples.PREFIX).rpartition(".") for style in recipe.styles]
    return Look.of(recipe, looks.fitting_name(" and ".join(stem or end for stem, _, end in styles))).to_json()


def _await(
    session: Session, composition: Composition, recipe: Recipe, missing: list[str], stand_ins: Blend
) -> tuple[Composition, list[str]]:
    """Let the session await what a recipe lacks; returns the composition for the meantime, and all that is missing.

    Where a picture is missing, weights are up to 1, as the page has them. For a mask an empty one is held, and for that
    of a style's part one with everything inside.
    """
    parts = [style.mask for style in recipe.styles if style.mask is not None]
    named = {id_of(source, session.find_mask): source for source in (*recipe.masks, *parts)}
    gone = {id: source for id, source in named.items() if not session.holds_mask(id)}
    names = {"": REST, REST: REST, **page_names(recipe)}
    wanted, places = [], Counter[str]()
    for style in recipe.styles:
        region = names.get(style.region)
        if region is None:
            continue
        if session.find(style.name, style.hash) is None:
            part = () if style.mask is None else (id_of(style.mask, session.find_mask),)
            wanted.append(AwaitedStyle(region, places[region], style.hash, style.weight, part))
        places[region] += 1
    content = "" if session.find(recipe.content.name, recipe.content.hash) else recipe.content.hash
    stand_ins = stand_ins if places[REST] and not composition.styles else ()
    if missing:
        most = {name: 1.0 for name in composition.blends}
        for style in recipe.styles:
            if (region := names.get(style.region)) is not None:
                most[region] = max(most[region], style.weight)
        for name, blend in composition.blends.items():
            composition = composition.with_blend(
                name, tuple((id, weight / most[name], *part) for id, weight, *part in blend)
            )
        wanted = [replace(style, weight=style.weight / most[style.region]) for style in wanted]
    for id, source in gone.items():
        session.add_mask(awaited_mask(id, source.name, source.hash, inside=source in parts))
    session.awaited = Awaited(content, tuple(wanted), gone, stand_ins)
    missing = [*missing, *dict.fromkeys(source.name[:80] for source in gone.values())]
    return replace(composition, styles=composition.styles or stand_ins), missing


def uploads(session: Session) -> dict[str, dict[str, str]]:
    """List the session's own pictures for the page: {id: {name, thumb}}."""
    return {held.id: {"name": held.name, "thumb": held.thumb} for held in session.pictures}


def shelf_news(session: Session, **more: Any) -> dict[str, Any]:
    """Tell the page of the session's own pictures, and of what more there is."""
    news = {"pictures": uploads(session), "added": None, "restored": False, "serial": time.time()}
    return news | more


def gallery() -> dict[str, list[dict[str, str]]]:
    """List the samples for the page, photos and styles."""

    def entries(kind: Any) -> list[dict[str, str]]:
        listed = []
        for name in samples.names(kind):
            held = sample(samples.PREFIX + name)
            listed.append({"id": held.id, "name": held.name, "thumb": held.thumb, "text": samples.describe(name)})
        return listed

    return {"contents": entries("content"), "styles": entries("style"), "looks": [_shown(n) for n in looks.shipped()]}


def _shown(name: str) -> dict[str, str]:
    shown = {"id": name, "name": name.replace("-", " "), "text": looks.find(name).text}
    return {**shown, "thumb": thumbnail(looks.thumbnail(name).rgb)}
