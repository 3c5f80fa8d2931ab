"""A look: everything that says how a picture is made, from the controls, to a recipe and back, and as commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from wctstyle import recipes, samples
from wctstyle.demo.limits import Limits
from wctstyle.demo.pictures import Held
from wctstyle.errors import ConfigError
from wctstyle.settings import (
    DEFAULT_MODEL,
    DEFAULT_STROKE_SCALE,
    MAX_SIDE,
    STROKE_SCALES,
    ModelName,
    Settings,
    style_long_side,
)

FIRST_CONTENT = "sample:astronaut"
FIRST_STYLES = (("sample:impasto-night", 0.6), ("sample:stained-glass", 0.4))
LEAST_SIZE = 64
"""Least long side of a result that the page offers, in pixels."""
MAX_SCREEN_SIZE = 1024
"""Longest side on screen, pixels; files may be larger."""

QUALITIES: dict[str, str] = {"slim": "Fast", "medium": "Better", "vgg19": "Best"}
"""What the page calls the models."""

DEFAULTS = Settings()


@dataclass(frozen=True)
class Look:
    """Content and styles by id, weights, settings, long side of the result in pixels, size of the strokes, and model.

    stroke_scale: long side of the style pictures by that of the result.
    """

    content: str = FIRST_CONTENT
    styles: tuple[tuple[str, float], ...] = FIRST_STYLES
    settings: Settings = field(default_factory=Settings)
    size: int = 512
    stroke_scale: float = DEFAULT_STROKE_SCALE
    model: str = DEFAULT_MODEL

    @property
    def shares(self) -> tuple[float, ...]:
        """Weights normalised to a sum of 1; all 0 where there is no style."""
        total = sum(weight for _, weight in self.styles)
        return tuple(weight / total if total else 0.0 for _, weight in self.styles)

    def style_side(self, result_side: int, limits: Limits) -> int:
        """Return the long side of the style pictures for a result of that long side, as far as `max_size` allows."""
        return min(style_long_side(result_side, self.stroke_scale), limits.max_size)


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{what} is {value!r}, must be a number")
    return float(value)


def read_palette(palette: Any, limits: Limits) -> tuple[str, tuple[tuple[str, float], ...]]:
    """Check what the page sends of content and styles: {"content": id, "styles": [[id, weight], ...]}.

    Raises:
        ConfigError: it has another form, too many styles, or a weight that is none.
    """
    try:
        content = palette["content"]
        styles = tuple((id, _number(weight, "weight of a style")) for id, weight in palette["styles"])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError("The page is out of date. Please load it again.") from error
    if not isinstance(content, str) or not all(isinstance(id, str) for id, _ in styles):
        raise ConfigError("The page is out of date. Please load it again.")
    if len(styles) > limits.styles:
        raise ConfigError(f"{len(styles)} styles are too many; a blend here takes up to {limits.styles}.")
    for _, weight in styles:
        if not 0 <= weight < float("inf"):
            raise ConfigError(f"weight of a style is {weight:g}, must be a number >= 0")
    return content, styles


def make_look(
    limits: Limits,
    palette: Any,
    *,
    strength: float = DEFAULTS.strength,
    detail: float = DEFAULTS.detail,
    color: float = DEFAULTS.color,
    texture: float = DEFAULTS.texture,
    keep_faces: float = DEFAULTS.keep_faces,
    transform: str = DEFAULTS.transform,
    blend: str = DEFAULTS.blend,
    size: float = 512,
    look: float = DEFAULTS.look,
    stroke_scale: float = DEFAULT_STROKE_SCALE,
    model: str = DEFAULT_MODEL,
) -> Look:
    """Make a look of the controls' values.

    Raises:
        ConfigError: a value that is out of range.
    """
    content, styles = read_palette(palette, limits)
    composed = _number(look, "look")
    if not 0 <= composed <= MAX_SIDE:
        raise ConfigError(f"look is {composed:g}, must be from 0 to {MAX_SIDE} pixels")
    settings = Settings(
        strength=_number(strength, "strength"),
        detail=_number(detail, "detail"),
        color=_number(color, "color"),
        texture=_number(texture, "texture"),
        keep_faces=_number(keep_faces, "keep_faces"),
        transform=transform,  # pyright: ignore[reportArgumentType]
        blend=blend,  # pyright: ignore[reportArgumentType]
        look=int(composed),
    )
    side, scale = _number(size, "size"), _number(stroke_scale, "stroke_scale")
    if not 32 <= side <= limits.max_size:
        raise ConfigError(f"size is {side:g}, must be from 32 to {limits.max_size} pixels")
    style_long_side(int(side), scale)  # checks it
    if model not in get_args(ModelName):
        raise ConfigError(f"model is {model!r}, must be one of {', '.join(get_args(ModelName))}")
    return Look(content, styles, settings, int(side), scale, model)


def recipe_name(held: Held) -> str:
    """Name a picture as recipes do: `sample:NAME`, or the file's own name."""
    return held.id if held.id.startswith(samples.PREFIX) else held.name


def make_recipe(
    look: Look,
    content: Held,
    styles: Sequence[tuple[Held, float]],
    *,
    limits: Limits,
    size: int | None = None,
    optimised: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a look in JSON's terms (`wctstyle.recipes`), with hashes of the pictures.

    `size` is the long side of the result where it differs from what was asked; `optimised` adds how the fast
    result was refined, in the form of `wctstyle optimize`.
    """
    size = size or look.size
    side = look.style_side(size, limits)
    recipe = recipes.make_recipe(
        look.settings,
        model=look.model,
        content={"name": recipe_name(content), "hash": content.content_hash},
        styles=[{"name": recipe_name(held), "weight": weight, "hash": held.content_hash} for held, weight in styles],
        size=size,
        style_size=None if side == style_long_side(size, look.stroke_scale) else side,
        stroke_scale=look.stroke_scale,
    )
    if optimised is not None:
        recipe |= {"fast_model": look.model, **optimised}
    return recipe


def look_of(
    recipe: Mapping[str, Any], find: Callable[[str, str], str | None], limits: Limits, *, fallback: str
) -> tuple[Look, list[str]]:
    """Read a recipe back; also return the names of pictures that could not be found.

    `find(name, hash)` returns the id of a picture at hand, or None. A content that is not at hand becomes `fallback`,
    a style that is not is left out.

    Raises:
        ConfigError: the recipe lacks something, or something in it makes no sense.
    """
    missing: list[str] = []

    def known(entry: Mapping[str, Any]) -> str | None:
        id = find(str(entry["name"]), str(entry.get("hash", "")))
        if id is None:
            missing.append(str(entry["name"])[:80])
        return id

    try:
        recipe = {**recipe.get("settings", {}), **recipe}  # where `wctstyle optimize` keeps strength and blend
        styles = [(known(entry), float(entry["weight"])) for entry in recipe["styles"]]
        content = known(recipe["content"])
        size = int(recipe.get("size") or 512)
        look = make_look(
            limits,
            {
                "content": content or fallback,
                "styles": [[id, weight] for id, weight in styles if id is not None][: limits.styles],
            },
            strength=float(recipe.get("strength", DEFAULTS.strength)),
            detail=float(recipe.get("detail", DEFAULTS.detail)),
            color=float(recipe.get("color", 0 if recipe.get("original_colors") else DEFAULTS.color)),
            texture=float(recipe.get("texture", DEFAULTS.texture)),
            keep_faces=float(recipe.get("keep_faces", DEFAULTS.keep_faces)),
            transform=str(recipe.get("transform", DEFAULTS.transform)),
            blend=str(recipe.get("blend", DEFAULTS.blend)),
            look=min(int(recipe.get("look", DEFAULTS.look)), MAX_SCREEN_SIZE),
            size=min(max(size, LEAST_SIZE), MAX_SCREEN_SIZE, limits.max_size),
            stroke_scale=_stroke_scale(recipe, size),
            model=_painter(recipe),
        )
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise ConfigError("The recipe in this picture cannot be read; it may be of another version.") from error
    return look, missing


def _stroke_scale(recipe: Mapping[str, Any], size: int) -> float:
    """Return how large the strokes are by the result; 1 where style pictures are as large as they are."""
    if recipe.get("style_size"):
        return min(max(int(recipe["style_size"]) / size, STROKE_SCALES[0]), STROKE_SCALES[1])
    return float(recipe.get("stroke_scale") or DEFAULT_STROKE_SCALE)


def _painter(recipe: Mapping[str, Any]) -> str:
    """Return the model of the fast picture; of an optimisation from the command line, the one whose network it had."""
    if recipe.get("command") != "optimize":
        return str(recipe.get("model", DEFAULT_MODEL))
    return str(recipe.get("fast_model") or ("vgg19" if recipe["model"] == "vgg19" else DEFAULT_MODEL))


def palette_of(look: Look) -> dict[str, Any]:
    """Write content and styles as the page keeps them."""
    return {"content": look.content, "styles": [[id, weight] for id, weight in look.styles]}


def controls_of(look: Look) -> dict[str, Any]:
    """Write all but the palette as values of the controls, by name."""
    settings = look.settings
    return {
        "strength": settings.strength,
        "detail": settings.detail,
        "color": settings.color,
        "texture": settings.texture,
        "keep_faces": settings.keep_faces,
        "stroke_scale": look.stroke_scale,
        "model": look.model,
        "transform": settings.transform,
        "blend": settings.blend,
        "size": look.size,
        "look": settings.look,
    }
