"""Results of the history: reopened, compared, measured, written to files."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from wctstyle import images, samples
from wctstyle.demo.actions import Service, describe, recipe_of
from wctstyle.demo.composition import Composition
from wctstyle.demo.pictures import address, data_address
from wctstyle.demo.sessions import Session
from wctstyle.errors import ConfigError, ImageError
from wctstyle.recipe import Recipe

log = logging.getLogger("wctstyle.demo")

RESULT = "result.png"
"""What the commands and programs on the page call their picture."""

FORMATS = {"PNG": "png", "JPEG": "jpg", "WebP": "webp"}


def pair(session: Session, first: str, second: str) -> dict[str, Any]:
    """Show two results of the history on one stage, split."""
    a, b = session.result(first), session.result(second)
    session.before_shown = None
    return {
        "before": data_address(a.data, a.format),
        "after": data_address(b.data, b.format),
        "width": b.width,
        "height": b.height,
        "labels": [f"A {a.kind}", f"B {b.kind}"],
        "note": f"A {a.kind}, B {b.kind}",
        "mode": "split",
        "pair": [first, second],
    }


def latest_pair(session: Session) -> tuple[str, str]:
    """Choose the two results to compare: the latest, and the latest other one before it.

    Raises:
        ConfigError: there are not two yet.
    """
    history = session.history
    if len(history) < 2:
        raise ConfigError("There is only one result so far. Move a slider and let it rest, then compare.")
    return history[-2].id, history[-1].id


def reopened(service: Service, session: Session, id: str) -> dict[str, Any]:
    """Show a result of the history again, beside its photo."""
    kept = session.result(id)
    session.before_shown = (kept.composition.content, kept.composition.size)
    return {
        "before": address(
            service.backend.content_rgb(session.picture(kept.composition.content), kept.composition.size)
        ),
        "after": data_address(kept.data, kept.format),
        "width": kept.width,
        "height": kept.height,
        "labels": ["Photo", "Styled"],
        "note": f"{kept.kind} result of the history",
    }


def figures(service: Service, session: Session, ids: list[str]) -> list[dict[str, Any]]:
    """Measure results of the history: seconds, style and its levels 1 to 5, content, SSIM."""
    rows = []
    for id in ids:
        kept = session.result(id)
        rows.append(
            {
                "id": id,
                "kind": kept.kind,
                "title": describe(kept),
                "seconds": kept.seconds,
                "losses": list(kept.losses),
                **service.backend.figures(session, kept.composition, images.load(kept.data).rgb),
            }
        )
    return rows


def export(
    service: Service, session: Session, composition: Composition, *, format: str, size: int, quality: int, folder: Path
) -> tuple[Path, Recipe]:
    """Render a composition at a size and write it, with its recipe, into a new file; returns the path and recipe.

    Raises:
        ConfigError: the format or a number is not offered.
    """
    if format not in FORMATS:
        raise ConfigError(f"format is {format!r}, must be one of {', '.join(FORMATS)}")
    if not 32 <= size <= service.limits.max_size:
        raise ConfigError(f"size is {size}, must be from 32 to {service.limits.max_size} pixels")
    made = service.backend.render(session, replace(composition, size=size))
    recipe = recipe_of(service, session, composition, max(made.image.shape[:2]))
    content = Path(recipe.content.name.removeprefix(samples.PREFIX)).stem
    path = folder / f"{content}-stylized.{FORMATS[format]}"
    return write(path, made.image, quality=quality, recipe=recipe), recipe


def planned_recipe(service: Service, session: Session, composition: Composition, size: int) -> Recipe:
    """Return the recipe that a composition has at a size, without making the picture."""
    longest = max(session.picture(composition.content).pixels.shape[:2])
    return recipe_of(service, session, composition, min(size, longest))


def write(path: Path, image: np.ndarray, *, quality: int, recipe: Recipe) -> Path:
    """Write a picture into a new file.

    Raises:
        ImageError: it cannot be written; why, with the path, is for the log only.
    """
    try:
        return images.save(path, image, quality=quality, recipe=recipe.to_json())
    except ImageError as error:
        log.error("%s", error)
        raise ImageError("The file could not be written here. Please try again later.") from error


def export_kept(service: Service, session: Session, id: str, *, format: str, quality: int, folder: Path) -> Path:
    """Write a result of the history, with its recipe, into a new file.

    A styled one is made again, as long as its pictures are held: what is kept of it has lost a little.
    """
    if format not in FORMATS:
        raise ConfigError(f"format is {format!r}, must be one of {', '.join(FORMATS)}")
    kept = session.result(id)
    path = folder / f"{kept.kind}-{kept.id}.{FORMATS[format]}"
    image = images.load(kept.data).rgb
    if kept.kind == "styled":
        with contextlib.suppress(ConfigError):
            image = service.backend.render(session, kept.composition).image
    return write(path, image, quality=quality, recipe=kept.recipe)
