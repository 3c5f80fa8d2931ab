"""Downloads: the picture on screen or a result of the history as a file, larger on request, and how it was made."""

from __future__ import annotations

import contextlib
import logging
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from wctstyle import images, samples
from wctstyle.analogies.recipe import AnalogyRecipe
from wctstyle.demo import recipes
from wctstyle.demo.actions import Service, opacity
from wctstyle.demo.composition import Composition
from wctstyle.demo.sessions import HistoryEntry, Session
from wctstyle.dreams.recipe import DreamRecipe
from wctstyle.errors import ConfigError, ImageError
from wctstyle.recipe import Recipe
from wctstyle.textures.recipe import TextureRecipe

log = logging.getLogger("wctstyle.demo")

FORMATS = {"PNG": "png", "JPEG": "jpg", "WebP": "webp"}

UNWRITTEN = "The file could not be written here. Please try again later."

AS_SHOWN = 0
"""The size of a file as large as the picture on screen."""


@dataclass(frozen=True)
class Target:
    """What a file is made of: a composition to render, or a finished result; and its (height, width) in pixels."""

    composition: Composition
    entry: HistoryEntry | None
    height: int
    width: int

    @property
    def size(self) -> int:
        """Long side in pixels."""
        return max(self.height, self.width)

    @property
    def optimised(self) -> bool:
        """Whether it cannot be rendered anew in a moment."""
        return self.entry is not None and self.entry.kind == "optimised"


def target(service: Service, session: Session, chosen: Composition | str, size: int) -> Target:
    """Say what file comes of a composition, or of a result by its id, at a long side; `AS_SHOWN`: at its own.

    Raises:
        ConfigError: the size is out of range, or an optimised result was asked for at another size.
    """
    if size != AS_SHOWN and not 32 <= size <= service.limits.max_size:
        raise ConfigError(f"size is {size}, must be from 32 to {service.limits.max_size} pixels")
    entry = session.result(chosen) if isinstance(chosen, str) else None
    composition = chosen if isinstance(chosen, Composition) else session.result(chosen).composition
    if entry is not None and size in (AS_SHOWN, max(entry.width, entry.height)):
        return Target(composition, entry, entry.height, entry.width)
    if entry is not None and entry.kind == "optimised":
        raise ConfigError(
            f"An optimised result keeps its size, {entry.width} × {entry.height}. Choose the size on screen, or raise "
            "the size of the picture and optimise again."
        )
    wanted = composition.size if size == AS_SHOWN else size
    height, width = service.backend.content(session.picture(composition.content), wanted).rgb.shape[:2]
    return Target(replace(composition, size=wanted), None, height, width)


def recipe_for(session: Session, wanted: Target) -> Recipe:
    """Return the recipe of the file."""
    if wanted.entry is not None:
        return wanted.entry.recipe
    return recipes.recipe_for(wanted.composition, session, size=wanted.size)


def name_of(recipe: Recipe, wanted: Target, format: str) -> str:
    """Name the file after the photo and what was done.

    Raises:
        ConfigError: the format is not offered.
    """
    if format not in FORMATS:
        raise ConfigError(f"format is {format!r}, must be one of {', '.join(FORMATS)}")
    content = Path(recipe.content.name.removeprefix(samples.PREFIX)).stem
    return f"{content}-{'optimised' if wanted.optimised else 'stylized'}.{FORMATS[format]}"


def preview(service: Service, session: Session, wanted: Target, format: str, quality: int) -> str:
    """Say in a line what file comes."""
    name = name_of(recipe_for(session, wanted), wanted, format)
    if wanted.entry is not None:
        alpha = images.load(wanted.entry.data).alpha
    else:
        alpha = opacity(service, session, wanted.composition)
    how = "lossless" if format == "PNG" else f"quality {quality}"
    clear = "" if alpha is None else ", transparency is lost" if format == "JPEG" else ", with transparency"
    return f"{name}: {wanted.width} × {wanted.height} pixels, {format}, {how}{clear}"


def export(
    service: Service, session: Session, wanted: Target, *, format: str, quality: int, folder: Path
) -> tuple[Path, Recipe]:
    """Write the file, with its recipe inside, into a folder; returns its path and the recipe.

    A fast result of the history is rendered again, as long as its pictures are held: what is kept of it has lost a
    little.

    Raises:
        ConfigError: the format is not offered.
    """
    recipe = recipe_for(session, wanted)
    path = folder / name_of(recipe, wanted, format)
    kept = None if wanted.entry is None else images.load(wanted.entry.data)
    rgb, alpha = (None, None) if kept is None else (kept.rgb, kept.alpha)
    if not wanted.optimised:
        with contextlib.nullcontext() if kept is None else contextlib.suppress(ConfigError):
            rgb = service.backend.render(session, wanted.composition).image
            alpha = opacity(service, session, wanted.composition)
    assert rgb is not None
    return write(path, rgb, alpha, quality=quality, recipe=recipe), recipe


def masks(session: Session, wanted: Target, folder: Path) -> Path | None:
    """Write the masks that the recipe of a file names into an archive, as PNGs by their names there; None without any.

    Raises:
        ConfigError: one is not kept any more.
        ImageError: the archive cannot be written.
    """
    files = recipes.mask_files(wanted.composition, session)
    if not files:
        return None
    path = folder / "masks.zip"
    try:
        with zipfile.ZipFile(path, "x") as archive:
            for name, mask in files.values():
                archive.writestr(name, mask.data)
    except OSError as error:
        log.error("%s", error)
        raise ImageError(UNWRITTEN) from error
    return path


def write(
    path: Path,
    image: np.ndarray,
    alpha: np.ndarray | None,
    *,
    quality: int,
    recipe: Recipe | TextureRecipe | DreamRecipe | AnalogyRecipe,
) -> Path:
    """Write a picture into a new file.

    Raises:
        ImageError: it cannot be written; why, with the path, is for the log only.
    """
    try:
        return images.save(path, image, alpha, quality=quality, recipe=recipe.to_json())
    except ImageError as error:
        log.error("%s", error)
        raise ImageError(UNWRITTEN) from error
