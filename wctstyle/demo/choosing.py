"""Help with choosing a style: the photo in every style, and the styles ordered by how like the photo they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from wctstyle import samples
from wctstyle.cutout import visible_sides
from wctstyle.demo.actions import Service, opacity
from wctstyle.demo.composition import OUT_OF_DATE, Composition
from wctstyle.demo.optimising import GIVE_WAY_SECONDS
from wctstyle.demo.pictures import StoredPicture, address
from wctstyle.demo.sessions import Session
from wctstyle.errors import ConfigError
from wctstyle.regions import REST
from wctstyle.settings import SUGGEST_SIDE, style_long_side


def check_choice(service: Service, ids: Any) -> list[str]:
    """Return the ids of styles to choose from.

    Raises:
        ConfigError: they are no list of ids, or more than the samples and the pictures that a session may hold.
    """
    if not isinstance(ids, list) or not all(isinstance(id, str) for id in ids):
        raise ConfigError(OUT_OF_DATE)
    most = service.limits.uploads + len(samples.names("style"))
    if len(ids) > most:
        raise ConfigError(f"{len(ids)} styles are too many; choose from up to {most} at a time.")
    return ids


def tried(
    service: Service,
    session: Session,
    composition: Composition,
    ids: Sequence[str],
    stop: Callable[[], bool],
    region: object = REST,
) -> Iterator[dict[str, str]]:
    """Paint the photo small with each style alone in a region, or in the rest; yields all pictures so far, by id.

    The dials, and the styles of other regions, are as they are.

    Steps aside for pictures that others wait for, and ends before the next picture once `stop` says so. The photo is
    encoded once: it is not composed smaller still. Styles that are not held any more are left out.
    """
    settings = replace(composition.settings, look=0)
    base = replace(composition, settings=settings, size=min(SUGGEST_SIDE, service.limits.max_size))
    where = region if isinstance(region, str) and region in composition.blends else REST
    made: dict[str, str] = {}
    for id in ids:
        service.backend.priority.give_way(GIVE_WAY_SECONDS)
        if stop():
            return
        if not session.holds(id):
            continue
        image = service.backend.render(session, base.with_blend(where, ((id, 1.0),))).image
        made[id] = address(image, opacity(service, session, base))
        yield dict(made)


def nearest(
    service: Service, photo: StoredPicture, styles: Sequence[StoredPicture], model: str
) -> list[tuple[float, int]]:
    """Order styles by how unlike the photo they are (`Stylizer.distances`): distance and place of each."""
    backend = service.backend
    content = backend.content(photo, min(SUGGEST_SIDE, service.limits.max_size))
    longest = max(visible_sides(content))
    codes = [backend.style_code(style, (style_long_side(longest), longest), model) for style in styles]
    return sorted((far, place) for place, far in enumerate(backend.stylizer(model).distances(content, codes)))
