"""A composition: what a picture on the page is made of, from the controls, to a recipe and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wctstyle import samples
from wctstyle.demo.limits import Limits
from wctstyle.demo.pictures import StoredPicture
from wctstyle.errors import ConfigError
from wctstyle.recipe import Optimisation, Recipe
from wctstyle.settings import (
    DEFAULT_MODEL,
    DEFAULT_STROKE_SCALE,
    MAX_SIDE,
    Settings,
    checked_model,
    optimizer_model,
    style_long_side,
)
from wctstyle.sources import Source, StyleSource

FIRST_CONTENT = "sample:astronaut"
FIRST_STYLES = (("sample:impasto-night", 0.6), ("sample:stained-glass", 0.4))
DEFAULT_SIZE = 512
LEAST_SIZE = 64
"""Least long side of a result that the page offers, in pixels."""
MAX_SCREEN_SIZE = 1024
"""Longest side on screen, pixels; files may be larger."""

QUALITIES: dict[str, str] = {"slim": "Fast", "medium": "Better", "vgg19": "Best"}
"""What the page calls the models."""

DEFAULTS: dict[str, Any] = {
    **{dial.name: dial.default for dial in dataclasses.fields(Settings) if dial.name != "refine"},
    "size": DEFAULT_SIZE,
    "stroke_scale": DEFAULT_STROKE_SCALE,
    "model": DEFAULT_MODEL,
}
"""The dials of the page and of the API, by name; `refine` is what Optimise is for."""

OUT_OF_DATE = "The page is out of date. Please load it again."


@dataclass(frozen=True)
class Composition:
    """Content and styles by id, weights, settings, long side of the result in pixels, stroke scale, and model.

    stroke_scale: long side of the style pictures by that of the result.
    """

    content: str = FIRST_CONTENT
    styles: tuple[tuple[str, float], ...] = FIRST_STYLES
    settings: Settings = field(default_factory=Settings)
    size: int = DEFAULT_SIZE
    stroke_scale: float = DEFAULT_STROKE_SCALE
    model: str = DEFAULT_MODEL

    @property
    def shares(self) -> tuple[float, ...]:
        """Weights normalised to a sum of 1; all 0 where there is no style."""
        total = sum(weight for _, weight in self.styles)
        return tuple(weight / total if total else 0.0 for _, weight in self.styles)

    @property
    def dials(self) -> dict[str, Any]:
        """The value of every dial, by the names of `DEFAULTS`."""
        return {name: getattr(self if hasattr(self, name) else self.settings, name) for name in DEFAULTS}

    @property
    def palette(self) -> dict[str, Any]:
        """Content and styles as the page keeps them."""
        return {"content": self.content, "styles": [[id, weight] for id, weight in self.styles]}


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{what} is {value!r}, must be a number")
    return float(value)


def _pixels(value: Any, what: str, least: int, most: int) -> int:
    number = _number(value, what)
    if not least <= number <= most:
        raise ConfigError(f"{what} is {number:g}, must be from {least} to {most} pixels")
    return int(number)


def read_palette(palette: Any, limits: Limits) -> tuple[str, tuple[tuple[str, float], ...]]:
    """Check what the page sends of content and styles: {"content": id, "styles": [[id, weight], ...]}.

    Raises:
        ConfigError: it has another form, too many styles, or a weight that is none.
    """
    try:
        content = palette["content"]
        styles = tuple((id, _number(weight, "weight of a style")) for id, weight in palette["styles"])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(OUT_OF_DATE) from error
    if not isinstance(content, str) or not all(isinstance(id, str) for id, _ in styles):
        raise ConfigError(OUT_OF_DATE)
    if len(styles) > limits.styles:
        raise ConfigError(f"{len(styles)} styles are too many; a blend here takes up to {limits.styles}.")
    for _, weight in styles:
        if not 0 <= weight < float("inf"):
            raise ConfigError(f"weight of a style is {weight:g}, must be a number >= 0")
    return content, styles


def compose(limits: Limits, palette: Any, **dials: Any) -> Composition:
    """Make a composition of the palette and the values of the dials, by the names of `DEFAULTS`.

    Raises:
        ConfigError: a value that is out of range.
    """
    content, styles = read_palette(palette, limits)
    values = {**DEFAULTS, **dials}
    size = _pixels(values.pop("size"), "size", 32, limits.max_size)
    scale = _number(values.pop("stroke_scale"), "stroke_scale")
    style_long_side(size, scale)  # checks it
    model = checked_model(values.pop("model"))
    look = _pixels(values.pop("look"), "look", 0, MAX_SIDE)
    numbers = {name: _number(value, name) for name, value in values.items() if isinstance(DEFAULTS[name], float)}
    return Composition(content, styles, Settings(**{**values, **numbers, "look": look}), size, scale, model)


def recipe_name(picture: StoredPicture) -> str:
    """Name a picture as recipes do: `sample:NAME`, or the file's own name."""
    return picture.id if picture.id.startswith(samples.PREFIX) else picture.name


def recipe_for(
    composition: Composition,
    content: StoredPicture,
    styles: Sequence[tuple[StoredPicture, float]],
    *,
    size: int,
    optimisation: Optimisation | None = None,
) -> Recipe:
    """Return the recipe of a composition.

    size: long side of the result. optimisation: what refined it.
    """
    return Recipe(
        content=Source(recipe_name(content), content.content_hash),
        styles=tuple(StyleSource(recipe_name(held), held.content_hash, weight) for held, weight in styles),
        size=size,
        settings=composition.settings,
        model=composition.model,
        stroke_scale=composition.stroke_scale,
        optimisation=optimisation,
    )


def from_recipe(
    written: Mapping[str, Any], find: Callable[[str, str], str | None], limits: Limits, *, fallback: str
) -> tuple[Composition, Recipe, list[str]]:
    """Read a recipe from JSON; also return the names of pictures that could not be found.

    `find(name, hash)` returns the id of a picture at hand, or None. A content that is not at hand becomes `fallback`,
    a style that is not is left out.

    Raises:
        ConfigError: the recipe lacks something, something in it makes no sense, or it has regions.
    """
    try:
        recipe = Recipe.from_json(written)
    except ConfigError as error:
        raise ConfigError("The recipe in this picture cannot be read; it may be of another version.") from error
    if recipe.has_regions:
        raise ConfigError(
            "This picture was made with regions, which the page does not have. `wctstyle recipe` prints its command."
        )
    content = find(recipe.content.name, recipe.content.hash)
    styles = [(find(style.name, style.hash), style.weight) for style in recipe.styles]
    used = [(recipe.content, content), *((style, id) for style, (id, _) in zip(recipe.styles, styles, strict=True))]
    missing = [source.name[:80] for source, id in used if id is None]
    composition = Composition(
        content=content or fallback,
        styles=tuple((id, weight) for id, weight in styles if id is not None)[: limits.styles],
        settings=dataclasses.replace(recipe.settings, look=min(recipe.settings.look, MAX_SCREEN_SIZE), refine=0),
        size=min(max(recipe.size, LEAST_SIZE), MAX_SCREEN_SIZE, limits.max_size),
        stroke_scale=recipe.relative_strokes,
        model=_painter(recipe),
    )
    return composition, recipe, missing


def _painter(recipe: Recipe) -> str:
    """Return the model; of an optimisation one whose network is the same."""
    done = recipe.optimisation
    return recipe.model if done is None or optimizer_model(recipe.model) == done.model else done.model
