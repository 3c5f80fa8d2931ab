"""Recipes: what a result keeps of how it was made, and the command that makes it again."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from wctstyle import __version__, samples
from wctstyle.errors import ConfigError
from wctstyle.optimizer.settings import OptimizeSettings
from wctstyle.settings import Settings

STYLE_SIZE = 768
"""Long side, in pixels, to which `stylize` shrinks larger style pictures unless --style-size says otherwise."""


def public_name(source: str) -> str:
    """Leave out the folders, which are nobody's business when the picture is passed on."""
    return source if source.startswith(samples.PREFIX) else os.path.basename(source)


def format_style(source: str, weight: float) -> str:
    """Write a style as --style takes it, with the weight only where it is needed."""
    plain = weight == 1 and ":" not in source.removeprefix(samples.PREFIX)
    return source if plain else f"{source}:{weight!r}"


def make_recipe(
    settings: Settings,
    *,
    model: str,
    content: Mapping[str, Any],
    styles: Sequence[Mapping[str, Any]],
    size: int,
    style_size: int | None,
) -> dict[str, Any]:
    """Say in JSON's terms how a picture is made; `content` and `styles` have name and hash, styles a weight too."""
    return {
        "version": __version__,
        "model": model,
        "content": content,
        "styles": styles,
        **dataclasses.asdict(settings),
        "level_strength": {str(level): value for level, value in settings.level_strength.items()},
        "size": size,
        "style_size": style_size,
    }


def recipe_command(recipe: Mapping[str, Any], *, source: str = "the recipe") -> str:
    """Write a recipe as the command that makes its picture again, quoted for a POSIX shell.

    File names are those of the inputs without their folders; put the folders in front where they are elsewhere.

    Raises:
        ConfigError: the recipe lacks something, or something in it has the wrong type.
    """
    try:
        if recipe.get("command") == "optimize":
            return _optimize_command(recipe)
        return _command("stylize", _stylize_arguments(recipe))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{source}: its recipe (of version {recipe.get('version')}) cannot be turned into a command: {error!r}; "
            "see it with --json"
        ) from error


def _command(name: str, arguments: Sequence[str]) -> str:
    line = shlex.join(["wctstyle", name, *arguments])
    return "".join(char if char.isprintable() else "?" for char in line)


def _pictures(recipe: Mapping[str, Any]) -> list[str]:
    arguments = [_not_an_option(_name_of(recipe["content"]))]
    for style in recipe["styles"]:
        arguments += ["--style", format_style(_name_of(style), float(style["weight"]))]
    return arguments


def _stylize_arguments(recipe: Mapping[str, Any]) -> list[str]:
    levels = {int(level): float(value) for level, value in recipe["level_strength"].items()}
    arguments = _pictures(recipe)
    for option in ("strength", "detail", "keep_faces", "transform", "blend", "passes", "refine"):
        arguments += ["--" + option.replace("_", "-"), str(recipe[option])]
    if levels:
        arguments += ["--level-strength", ",".join(f"{k}={v!r}" for k, v in levels.items())]
    return arguments + _sizes_and_model(recipe)


def _sizes_and_model(recipe: Mapping[str, Any]) -> list[str]:
    own = [] if recipe.get("style_size") is None else ["--style-size", str(recipe["style_size"])]
    return ["--size", str(recipe["size"]), "--model", str(recipe["model"]), *own]


START = "start.png"
"""What the picture is called that the demo's optimisation started from, in the two commands of its recipe."""


def _optimize_command(recipe: Mapping[str, Any]) -> str:
    """Write a recipe of `optimize`; the demo starts from its own fast picture, which takes a command before."""
    if recipe["init"] != "fast" or "detail" not in recipe:
        return _command("optimize", _optimize_arguments(recipe))
    known = {**dataclasses.asdict(Settings()), **recipe["settings"], **recipe}
    before = _command("stylize", [*_stylize_arguments(known), "-o", START])
    return f"{before} && {_command('optimize', _optimize_arguments({**recipe, 'init': START}))}"


def _optimize_arguments(recipe: Mapping[str, Any]) -> list[str]:
    """Write the arguments of `optimize`; settings at their defaults of today are written too, as defaults change."""
    arguments = [*_pictures(recipe), f"--init={recipe['init']}", *_sizes_and_model(recipe)]
    names = {field.name for field in dataclasses.fields(OptimizeSettings)} - {"init"}
    for name, value in recipe["settings"].items():
        option = "--" + name.replace("_", "-")
        if name not in names or value is None or value is False:  # a stranger's picture may name any option
            continue
        if value is True:
            arguments.append(option)
        elif isinstance(value, Mapping):
            arguments += [option, ",".join(f"{layer}={weight!r}" for layer, weight in value.items())]
        else:
            arguments += [option, str(value)]
    return arguments


def _name_of(entry: Mapping[str, Any]) -> str:
    name = entry["name"]
    if not isinstance(name, str):
        raise TypeError(f"name is {name!r}")
    return name


def _not_an_option(name: str) -> str:
    return f"./{name}" if name.startswith("-") else name
