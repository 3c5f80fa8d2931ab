"""Recipes: what a result keeps of how it was made, and the command that makes it again."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from wctstyle import __version__, samples
from wctstyle.errors import ConfigError
from wctstyle.optimizer.settings import OptimizeSettings
from wctstyle.settings import DEFAULT_MODEL, DEFAULT_STROKE_SCALE, Settings, style_long_side


def public_name(source: str) -> str:
    """Leave out the folders, which are nobody's business when the picture is passed on."""
    return source if source.startswith(samples.PREFIX) else os.path.basename(source)


def format_style(source: str, weight: float, region: str = "") -> str:
    """Write a style as --style takes it, with the weight only where it is needed."""
    plain = weight == 1 and ":" not in source.removeprefix(samples.PREFIX)
    return (source if plain else f"{source}:{weight!r}") + (f"@{region}" if region else "")


def style_entry(source: str, weight: float, hash: str, region: str = "") -> dict[str, Any]:
    """Describe a style in a recipe; its region only where it has one."""
    return {"name": public_name(source), "weight": weight, "hash": hash} | ({"region": region} if region else {})


def mask_entries(masks: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """Describe masks (source and hash by name of the region) in a recipe; nothing where there are none."""
    entries = [{"region": name, "name": public_name(source), "hash": hash} for name, (source, hash) in masks.items()]
    return {"masks": entries} if entries else {}


def make_recipe(
    settings: Settings,
    *,
    model: str,
    content: Mapping[str, Any],
    styles: Sequence[Mapping[str, Any]],
    size: int,
    style_size: int | None = None,
    stroke_scale: float | None = DEFAULT_STROKE_SCALE,
    masks: Mapping[str, tuple[str, str]] = MappingProxyType({}),
) -> dict[str, Any]:
    """Say in JSON's terms how a picture is made; `content` and `styles` have name and hash, styles a weight too.

    `style_size` is the long side of the style pictures in pixels. Where it is None, `stroke_scale` says it
    (`settings.style_long_side`); where it is not, `stroke_scale` says nothing and is left out. `masks` are
    source and hash by the name of the region.
    """
    return {
        "version": __version__,
        "model": model,
        "content": content,
        "styles": styles,
        **dataclasses.asdict(settings),
        "size": size,
        "style_size": style_size,
        "stroke_scale": stroke_scale if style_size is None else None,
        **mask_entries(masks),
    }


def recipe_command(recipe: Mapping[str, Any], output: str | None = None, *, source: str = "the recipe") -> str:
    """Write a recipe as the command that makes its picture again, quoted for a POSIX shell, into `output`.

    File names are those of the inputs without their folders; put the folders in front where they are elsewhere.

    Raises:
        ConfigError: the recipe lacks something, or something in it has the wrong type.
    """
    try:
        if recipe.get("command") == "optimize":
            line = _optimize_command(recipe)
        else:
            line = _command("stylize", _stylize_arguments(recipe))
        return line if output is None else f"{line} -o {shlex.quote(output)}"
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise _unreadable(recipe, "a command", source, error) from error


def _unreadable(recipe: Mapping[str, Any], into: str, source: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"{source}: its recipe (of version {recipe.get('version')}) cannot be turned into {into}: {error!r}; "
        "see it with --json"
    )


def _command(name: str, arguments: Sequence[str]) -> str:
    line = shlex.join(["wctstyle", name, *arguments])
    return "".join(char if char.isprintable() else "?" for char in line)


def _pictures(recipe: Mapping[str, Any]) -> list[str]:
    arguments = [_not_an_option(_name_of(recipe["content"]))]
    for style in recipe["styles"]:
        arguments += ["--style", format_style(_name_of(style), float(style["weight"]), style.get("region", ""))]
    for mask in recipe.get("masks", ()):
        arguments += ["--mask", f"{mask['region']}={_name_of(mask)}"]
    return arguments


def _stylize_arguments(recipe: Mapping[str, Any]) -> list[str]:
    arguments = _pictures(recipe)
    for field in dataclasses.fields(Settings):
        arguments += ["--" + field.name.replace("_", "-"), str(recipe[field.name])]
    return arguments + _sizes_and_model(recipe)


def _sizes_and_model(recipe: Mapping[str, Any]) -> list[str]:
    arguments = ["--size", str(recipe["size"]), "--model", str(recipe["model"])]
    for name in ("style_size", "stroke_scale"):
        if recipe.get(name) is not None:
            return [*arguments, "--" + name.replace("_", "-"), str(recipe[name])]
    return arguments


START = "start.png"
"""What the picture is called that the demo's optimisation started from, in the two commands of its recipe."""


def _optimize_command(recipe: Mapping[str, Any]) -> str:
    """Write a recipe of `optimize`; the demo starts from its own fast picture, which takes a command before.

    Such a recipe names the model of that picture as `fast_model`, and has the settings of both.
    """
    if recipe["init"] != "fast" or "fast_model" not in recipe:
        return _command("optimize", _optimize_arguments(recipe))
    known = {**dataclasses.asdict(Settings()), **recipe["settings"], **recipe, "model": recipe["fast_model"]}
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


def recipe_program(recipe: Mapping[str, Any], output: str = "result.png", *, source: str = "the recipe") -> str:
    """Write a recipe as a Python program that makes its picture.

    Raises:
        ConfigError: the recipe lacks something, or something in it has the wrong type.
    """
    try:
        return "\n".join(_program(recipe, output)) + "\n"
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise _unreadable(recipe, "a program", source, error) from error


def _program(recipe: Mapping[str, Any], output: str) -> list[str]:
    def loaded(name: str) -> str:
        sample = name.removeprefix(samples.PREFIX)
        return f"samples.picture({sample!r})" if name.startswith(samples.PREFIX) else f"images.load({name!r})"

    def written(values: Mapping[str, Any]) -> str:  # those at their defaults of today too, as defaults change
        return ", ".join(f"{key}={value!r}" for key, value in values.items())

    optimised = recipe["settings"] if recipe.get("command") == "optimize" else None
    known = {**(optimised or {}), **recipe}
    fast = {f.name: known[f.name] for f in dataclasses.fields(Settings) if f.name in known}
    size, model = int(recipe["size"]), str(recipe["model"])
    own = recipe["style_size"]
    side = style_long_side(size, float(recipe["stroke_scale"])) if own is None else int(own)
    fitted = f"images.resize(p, long_side={side}, enlarge=True)" if side else "p"  # 0: as large as they are
    fast_model = str(recipe.get("fast_model", DEFAULT_MODEL)) if optimised else model
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
    names = [style.get("region", "") for style in recipe["styles"]]
    masks = {mask["region"]: loaded(mask["name"]) for mask in recipe.get("masks", ())}
    if masks or any(names):
        lines[1:1] = ["from wctstyle.faces import face_map", "from wctstyle.regions import mask_of, named_regions"]
        lines += [
            f"named = [(style, weight, name) for (style, weight), name in zip(styles, {names!r}, strict=True)]",
            "masks = {" + ", ".join(f"{name!r}: mask_of({mask})" for name, mask in masks.items()) + "}",
            "styles = named_regions(named, masks, lambda: face_map(photo.rgb))",
        ]
    made = f"Stylizer({fast_model!r}).stylize(photo.rgb, styles, Settings({written(fast)})).image"
    if optimised:
        start = recipe["init"]
        starts = {"fast": made, "content": "None", "noise": "None", "style": "None"}
        scaled = f"images.resize_to({loaded(start)}, height=photo.height, width=photo.width)"
        init = starts.get(start, f"images.flatten({scaled}).rgb")
        lines += [
            f"init = {init}",
            f"settings = OptimizeSettings({written(optimised)})",
            f"*_, last = Optimizer({model!r}).run(photo.rgb, styles, settings, init=init)",
            "image = last.image",
        ]
    else:
        lines.append(f"image = {made}")
    return [*lines, f"images.save({output!r}, image, photo.alpha)"]
