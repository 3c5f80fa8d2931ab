"""Analogies in the API: a filter learned from an uploaded pair, applied to a photo."""

from __future__ import annotations

from pathlib import Path

from wctstyle import images
from wctstyle.analogies import making
from wctstyle.analogies.recipe import AnalogyRecipe
from wctstyle.demo.recipes import recipe_name
from wctstyle.demo.sessions import Session
from wctstyle.sources import Source


def apply(
    session: Session, ids: tuple[str, str, str], side: int, path: Path, *, paint: float | None = None,
    align: bool = False,
) -> str:  # fmt: skip
    """Learn from the first two pictures of a session, apply it to the third, and write that; returns what was learned.

    All are shrunk to `side` pixels.

    Raises:
        ConfigError, ImageError: as `making.learn`.
    """
    held = [session.picture(id) for id in ids]
    own, goal, photo = (picture.as_content(min(side, max(picture.pixels.shape[:2]))) for picture in held)
    made = making.learn(images.flatten(own).rgb, images.flatten(goal).rgb, paint=paint, align=align)
    sources = [Source(recipe_name(picture), shown.content_hash) for picture, shown in zip(held, (own, goal, photo),
                                                                                          strict=True)]  # fmt: skip
    rgb = made(images.fill_hidden(photo).rgb)
    recipe = AnalogyRecipe(sources[2], (sources[0], sources[1]), max(rgb.shape[:2]), align, paint)
    images.save(path, rgb, photo.alpha, recipe=recipe.to_json())
    return made.told
