"""A look: everything that says how a picture is made, from the controls, to a recipe and back, and as commands."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wctstyle import recipes, samples
from wctstyle.demo.limits import Limits
from wctstyle.demo.pictures import Held
from wctstyle.errors import ConfigError
from wctstyle.optimizer import OptimizeSettings
from wctstyle.settings import DEFAULT_DETAIL, DEFAULT_KEEP_FACES, LEVELS, Settings

FIRST_CONTENT = "sample:astronaut"
FIRST_STYLES = (("sample:impasto-night", 0.6), ("sample:stained-glass", 0.4))
STYLE_SIZE = 512
"""Long side of style pictures unless chosen otherwise, in pixels."""
MAX_STYLE_SIZE = 1024
LEAST_SIZE = 64
"""Least side that the page offers, of result and strokes, in pixels."""
MAX_SCREEN_SIZE = 1024
"""Longest side on screen, pixels; files may be larger."""


@dataclass(frozen=True)
class Look:
    """Content and styles by id, weights, settings, and the sizes of result and strokes in pixels."""

    content: str = FIRST_CONTENT
    styles: tuple[tuple[str, float], ...] = FIRST_STYLES
    settings: Settings = field(default_factory=Settings)
    size: int = 512
    style_size: int = STYLE_SIZE

    @property
    def shares(self) -> tuple[float, ...]:
        """Weights normalised to a sum of 1; all 0 where there is no style."""
        total = sum(weight for _, weight in self.styles)
        return tuple(weight / total if total else 0.0 for _, weight in self.styles)


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
    strength: float = 1.0,
    detail: float = DEFAULT_DETAIL,
    keep_faces: float = DEFAULT_KEEP_FACES,
    level_strength: Sequence[float] = (1.0,) * 5,
    transform: str = "mixed",
    blend: str = "barycenter",
    size: float = 512,
    style_size: float = STYLE_SIZE,
) -> Look:
    """Make a look of the controls' values; `level_strength` is from level 5 down to 1.

    Raises:
        ConfigError: a value that is out of range.
    """
    content, styles = read_palette(palette, limits)
    factors = dict(zip(reversed(LEVELS), (_number(v, "level strength") for v in level_strength), strict=True))
    settings = Settings(
        strength=_number(strength, "strength"),
        level_strength={level: factors[level] for level in LEVELS if factors[level] != 1},
        detail=_number(detail, "detail"),
        keep_faces=_number(keep_faces, "keep faces"),
        transform=transform,  # pyright: ignore[reportArgumentType]
        blend=blend,  # pyright: ignore[reportArgumentType]
    )
    side, stroke = _number(size, "size"), _number(style_size, "stroke size")
    if not 32 <= side <= limits.max_size:
        raise ConfigError(f"size is {side:g}, must be from 32 to {limits.max_size} pixels")
    if not 32 <= stroke <= MAX_STYLE_SIZE:
        raise ConfigError(f"stroke size is {stroke:g}, must be from 32 to {MAX_STYLE_SIZE} pixels")
    return Look(content, styles, settings, int(side), int(stroke))


def recipe_name(held: Held) -> str:
    """Name a picture as recipes do: `sample:NAME`, or the file's own name."""
    return held.id if held.id.startswith(samples.PREFIX) else held.name


def make_recipe(
    look: Look,
    content: Held,
    styles: Sequence[tuple[Held, float]],
    *,
    model: str,
    size: int | None = None,
    optimised: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a look in JSON's terms (`wctstyle.recipes`), with hashes of the pictures.

    `size` is the long side of the result where it differs from what was asked; `optimised` adds how the fast
    result was refined, in the form of `wctstyle optimize`.
    """
    recipe = recipes.make_recipe(
        look.settings,
        model=model,
        content={"name": recipe_name(content), "hash": content.content_hash},
        styles=[{"name": recipe_name(held), "weight": weight, "hash": held.content_hash} for held, weight in styles],
        size=size or look.size,
        style_size=look.style_size,
    )
    if optimised is not None:
        recipe |= optimised
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
        levels = {int(level): float(value) for level, value in recipe.get("level_strength", {}).items()}
        content = known(recipe["content"])
        look = make_look(
            limits,
            {
                "content": content or fallback,
                "styles": [[id, weight] for id, weight in styles if id is not None][: limits.styles],
            },
            float(recipe.get("strength", 1.0)),
            float(recipe.get("detail", DEFAULT_DETAIL)),
            float(recipe.get("keep_faces", DEFAULT_KEEP_FACES)),
            [levels.get(level, 1.0) for level in reversed(LEVELS)],
            str(recipe.get("transform", "mixed")),
            str(recipe.get("blend", "barycenter")),
            min(max(int(recipe.get("size") or 512), LEAST_SIZE), MAX_SCREEN_SIZE, limits.max_size),
            min(max(_style_size(recipe), LEAST_SIZE), MAX_STYLE_SIZE),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError("The recipe in this picture cannot be read; it may be of another version.") from error
    return look, missing


def _style_size(recipe: Mapping[str, Any]) -> int:
    """Return the long side of the style pictures; where the command line was not told, what it takes then."""
    own = recipe["size"] if recipe.get("command") == "optimize" else recipes.STYLE_SIZE
    return int(recipe.get("style_size") or own)


def palette_of(look: Look) -> dict[str, Any]:
    """Write content and styles as the page keeps them."""
    return {"content": look.content, "styles": [[id, weight] for id, weight in look.styles]}


def controls_of(look: Look) -> dict[str, Any]:
    """Write all but the palette as values of the controls, by name."""
    settings = look.settings
    return {
        "strength": settings.strength,
        "detail": settings.detail,
        "keep_faces": settings.keep_faces,
        **{f"level{level}": settings.level_strength.get(level, 1.0) for level in reversed(LEVELS)},
        "transform": settings.transform,
        "blend": settings.blend,
        "size": look.size,
        "style_size": look.style_size,
    }


def as_command(recipe: Mapping[str, Any], output: str = "result.png") -> str:
    """Write a recipe as the shell command that makes its picture."""
    return f"{recipes.recipe_command(recipe)} -o {shlex.quote(output)}"


def as_python(recipe: Mapping[str, Any], output: str = "result.png") -> str:
    """Write a recipe as a Python program that makes its picture.

    Raises:
        ConfigError: the recipe lacks something, or something in it has the wrong type.
    """
    try:
        return "\n".join(_program(recipe, output)) + "\n"
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError("The recipe in this picture cannot be read; it may be of another version.") from error


def _program(recipe: Mapping[str, Any], output: str) -> list[str]:
    def loaded(name: str) -> str:
        sample = name.removeprefix(samples.PREFIX)
        return f"samples.picture({sample!r})" if name.startswith(samples.PREFIX) else f"images.load({name!r})"

    def changed(values: Mapping[str, Any], defaults: Any) -> str:
        return ", ".join(f"{key}={value!r}" for key, value in values.items() if value != getattr(defaults, key))

    optimised = recipe["settings"] if recipe.get("command") == "optimize" else None
    known = {**(optimised or {}), **recipe}
    fast = {f.name: known[f.name] for f in dataclasses.fields(Settings) if f.name in known}
    fast["level_strength"] = {int(level): value for level, value in recipe.get("level_strength", {}).items()}
    size, model = int(recipe["size"]), str(recipe["model"])
    enlarge = optimised is not None or recipe["style_size"] is not None
    fitted = f"images.resize(p, long_side={_style_size(recipe)}, enlarge={enlarge})"
    if recipe["style_size"] == 0:
        fitted = "p"  # the command line's 0: as large as they are
    fast_model = model if "detail" in recipe else "slim"  # the command line's optimiser starts from slim's picture
    lines = [
        "from wctstyle import images, samples",
        *(["from wctstyle.optimizer import Optimizer, OptimizeSettings"] if optimised else []),
        "from wctstyle.stylizer import Settings, Stylizer",
        "",
        f"photo = images.resize({loaded(recipe['content']['name'])}, long_side={size}, enlarge=True)",
        "photo = images.fill_hidden(photo)",
        "pictures = [",
        *(f"    ({loaded(style['name'])}, {float(style['weight'])!r})," for style in recipe["styles"]),
        "]",
        f"styles = [(images.flatten({fitted}).rgb, weight) for p, weight in pictures]",
    ]
    made = f"Stylizer({fast_model!r}).stylize(photo.rgb, styles, Settings({changed(fast, Settings())})).image"
    if optimised:
        start = recipe["init"]
        starts = {"fast": made, "content": "None", "noise": "None", "style": "None"}
        scaled = f"images.resize_to({loaded(start)}, height=photo.height, width=photo.width)"
        init = starts.get(start, f"images.flatten({scaled}).rgb")
        lines += [
            f"init = {init}",
            f"settings = OptimizeSettings({changed(optimised, OptimizeSettings())})",
            f"*_, last = Optimizer({model!r}).run(photo.rgb, styles, settings, init=init)",
            "image = last.image",
        ]
    else:
        lines.append(f"image = {made}")
    return [*lines, f"images.save({output!r}, image, photo.alpha)"]
