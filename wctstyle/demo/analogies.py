"""Analogies on the page and in the API: a filter learned from an uploaded pair, applied to a photo in the queue."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from wctstyle import images
from wctstyle.analogies import making
from wctstyle.analogies.filters import ALIGN_OPTION, checked_pair
from wctstyle.analogies.recipe import AnalogyRecipe
from wctstyle.demo.actions import Service
from wctstyle.demo.extras import Progress, Stopped, finished
from wctstyle.demo.optimising import GIVE_WAY_SECONDS
from wctstyle.demo.pictures import StoredPicture
from wctstyle.demo.recipes import recipe_name
from wctstyle.demo.runs import Run, telling
from wctstyle.demo.sessions import Session
from wctstyle.errors import ConfigError
from wctstyle.settings import checked_number
from wctstyle.sources import Source

Pair = tuple[StoredPicture, StoredPicture]
"""A picture before and after a filter."""


def recipe_of(
    service: Service, pair: Pair, photo: StoredPicture, *, paint: float | None = None, align: bool = False
) -> AnalogyRecipe:
    """Return the recipe of a photo that is filtered as the second of a pair was made of the first.

    All are at most as large as the server renders.

    Raises:
        ConfigError: `paint` is out of range.
        ImageError: the pictures of the pair differ in size, or are too small.
    """
    if paint is not None:
        paint = checked_number("paint", paint, 0, 1)
    checked_pair(*(picture.pixels for picture in pair))
    content, *learned = (Source(recipe_name(picture), picture.content_hash) for picture in (photo, *pair))
    size = min(max(photo.pixels.shape[:2]), service.limits.max_size)
    return AnalogyRecipe(content, tuple(learned), size, align, paint)


def make(
    service: Service,
    session: Session,
    pair: Pair,
    photo: StoredPicture,
    recipe: AnalogyRecipe,
    folder: Path,
    stop: threading.Event,
    tell: Callable[[Progress], None] = lambda now: None,
) -> Iterator[Progress]:
    """Learn from the pair, and filter the photo; yields how far it is, and the file in a new folder at the end.

    Nothing is kept of one that is stopped. Tells of every part of the learning.

    Raises:
        ConfigError: one of the pair is moved against the other.
        ImageError: the file cannot be written.
    """
    began = time.monotonic()

    def hear(text: str) -> None:
        if stop.is_set() or session.closed.is_set():
            raise Stopped
        tell(Progress(0, 0, f"{text} …"))
        service.backend.priority.give_way(GIVE_WAY_SECONDS)

    most = service.limits.max_size
    own, goal = (images.flatten(picture.as_content(most)).rgb for picture in pair)
    shown = photo.as_content(recipe.size)
    try:
        made = making.learn(
            own, goal, paint=recipe.paint, align=recipe.align, hear=hear, stylizer=service.backend.stylizer
        )
        hear("Painting" if made.paint else "Filtering")
    except Stopped:
        return
    except ConfigError as error:
        raise ConfigError(str(error).replace(f" {ALIGN_OPTION}", "")) from error
    image, done = images.fill_hidden(shown).rgb.copy(), 0
    for strip in made.rows(image.copy(), service.backend.stylizer):
        image[done : done + len(strip)] = strip
        done += len(strip)
        if stop.is_set() or session.closed.is_set():
            return
        yield Progress(done, len(image), f"Filtered {done} of {len(image)} rows", image.copy())
        service.backend.priority.give_way(GIVE_WAY_SECONDS)
    yield finished("analogy.png", image, shown.alpha, recipe, folder, began=began, more=_told(made))


def _told(made: making.Analogy) -> str:
    """Say what was learned."""
    how = f"painted to {made.paint:.0%}" if made.paint else f"learned {made.filter.name}"
    doubt = ""
    if made.doubtful:
        doubt = " The filter explains little: check that both pictures show the same thing at the same place."
    return f", {how}.{doubt}"


def submit(
    service: Service, session: Session, pair: Pair, photo: StoredPicture, recipe: AnalogyRecipe, folder: Path
) -> Run:
    """Put an analogy in line; returns the one that is made already where there is one (`Queue.submit`).

    Raises:
        ConfigError: too many are waiting.
    """
    run = telling(session, "analogy", partial(make, service, session, pair, photo, recipe, folder))
    return service.queue.submit(run, most=service.limits.queue_size)
