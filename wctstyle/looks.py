"""Looks: blends with their dials, by name. Some come along, users keep own ones, and a file of one loads anywhere."""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wctstyle import images, samples
from wctstyle.errors import ConfigError, ImageError
from wctstyle.files import replace_file, user_folder
from wctstyle.recipe import Recipe, slow_settings
from wctstyle.settings import DEFAULT_MODEL, DEFAULT_STROKE_SCALE, Settings, optimizer_model
from wctstyle.sources import Source, StyleSource, format_style, public_name

SUFFIX = ".json"
MAX_BYTES = 2**20
"""Larger files are no looks."""

MAX_NAME = 60
_NAME = re.compile(r"\w([\w -]*\w)?")

SHIPPED = Path(__file__).parent / "gallery" / "looks"
"""The looks that come along, each beside a small picture of a sample photo in it."""


@dataclass(frozen=True)
class Look:
    """A recipe without its photo and size: styles with weights, settings, model and size of the strokes.

    Example:
        >>> made = Recipe(Source("sea.jpg"), (StyleSource("waves.jpg"),), 512, Settings(strength=0.8))
        >>> look = Look.of(made, "calm sea")
        >>> look.recipe(Source("cat.jpg"), 256).command()[:60]
        'wctstyle stylize cat.jpg --style waves.jpg --strength 0.8 --'
        >>> Look.from_json(look.to_json()) == look
        True
    """

    name: str
    styles: tuple[StyleSource, ...]
    settings: Settings
    model: str
    stroke_scale: float
    text: str = ""

    @classmethod
    def of(cls, recipe: Recipe, name: str, text: str = "") -> Look:
        """Take the look of a picture; of an optimised one, that of the pass it started from.

        Raises:
            ConfigError: the name cannot be one, or the recipe has regions or no style.
        """
        if recipe.has_regions:
            raise ConfigError("a picture with regions has no look of its own: its masks belong to its photo")
        if not recipe.styles:
            raise ConfigError("a look needs at least one style")
        return cls(checked_name(name), recipe.styles, recipe.settings, recipe.model, recipe.relative_strokes, text)

    def recipe(self, content: Source, size: int) -> Recipe:
        """Return the recipe of a photo in this look, at a long side in pixels."""
        return Recipe(content, self.styles, size, self.settings, self.model, stroke_scale=self.stroke_scale)

    def to_json(self) -> dict[str, Any]:
        """Write the look in JSON's types."""
        written = self.recipe(Source(""), 1).to_json()
        kept = {key: value for key, value in written.items() if key not in ("content", "size", "style_size")}
        return {"name": self.name, "text": self.text, **kept}

    @classmethod
    def from_json(cls, written: Mapping[str, Any], *, source: str = "this look") -> Look:
        """Read a look, or take it from a recipe. Everything is checked; unknown names are ignored.

        Dials that a look does not name are at their defaults.

        Raises:
            ConfigError: something is missing, has the wrong type or is out of range; it begins with `source`.
        """
        plain = cls("", (), Settings(), DEFAULT_MODEL, DEFAULT_STROKE_SCALE).recipe(Source(""), 1).to_json()
        recipe = Recipe.from_json({**plain, **written}, source=source, remedy="save the look again")
        text = written.get("text", "")
        try:
            return cls.of(
                recipe, written.get("name") or fitting_name(Path(source).stem), text if isinstance(text, str) else ""
            )
        except ConfigError as error:
            raise ConfigError(f"{source}: {error}") from error


def checked_name(name: Any) -> str:
    """Return the name of a look.

    Raises:
        ConfigError: it is too long, or has other characters than letters, digits, spaces, - and _.

    Example:
        >>> checked_name("night-oil")
        'night-oil'
        >>> checked_name("a/b")
        Traceback (most recent call last):
        wctstyle.errors.ConfigError: 'a/b' cannot be the name of a look; take up to 60 letters, digits, spaces, - and _
    """
    if not isinstance(name, str) or len(name) > MAX_NAME or not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be the name of a look; take up to {MAX_NAME} letters, digits, spaces, - and _"
        )
    return name


def fitting_name(text: str) -> str:
    """Make a name of any text, by leaving out what names do not have.

    Example:
        >>> fitting_name("sea & sky (2).jpg")
        'sea  sky 2jpg'
    """
    return checked_name(re.sub(r"[^\w -]", "", text)[:MAX_NAME].strip(" -") or "look")


def parsed(data: bytes) -> dict[str, Any] | None:
    """Return the look or recipe that bytes hold, as JSON or inside a picture; None where they hold none."""
    if len(data) <= MAX_BYTES and data.lstrip()[:1] == b"{":
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            return None
        return found if "styles" in found else None
    try:
        return images.read_recipe(data)
    except ImageError:
        return None


def read(path: str | Path) -> Look:
    """Read a look from its file, or take it from a picture or its recipe.

    Raises:
        ConfigError: the file cannot be read, or there is no look in it.

    Example:
        >>> describe(read(SHIPPED / "night-oil.json"))
        'impasto-night'
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error}); give another file") from error
    found = parsed(data)
    if found is None:
        raise ConfigError(f"{path}: has no look or recipe in it; give a look's file, or a picture that wctstyle made")
    return Look.from_json(found, source=str(path))


def shipped() -> tuple[str, ...]:
    """Name the looks that come along.

    Example:
        >>> shipped()[:3]
        ('bright-glass', 'dusk-print', 'engraving')
    """
    return _names(SHIPPED)


def own() -> tuple[str, ...]:
    """Name the looks that the user saved.

    Example:
        >>> save("my evening", SHIPPED / "night-oil.json").name
        'my evening.json'
        >>> own()  # no other is saved
        ('my evening',)
        >>> remove("my evening")
    """
    return _names(_own_folder())


def thumbnail(name: str) -> images.Picture:
    """Return the small picture of a look that comes along.

    Raises:
        ImageError: no look of this name comes along.

    Example:
        >>> thumbnail("night-oil").rgb.shape
        (152, 152, 3)
    """
    return images.load(SHIPPED / f"{name}.jpg")


def find(name: str) -> Look:
    """Return a look by its name, or read the file of that path.

    Raises:
        ConfigError: there is none; the message lists all. Or the file is damaged.

    Example:
        >>> look = find("night-oil")
        >>> look.name, [style.name for style in look.styles]
        ('night-oil', ['sample:impasto-night'])
    """
    if not _NAME.fullmatch(name):
        return read(name)
    for folder, names in ((_own_folder(), own()), (SHIPPED, shipped())):
        if name in names:
            return dataclasses.replace(read(folder / f"{name}{SUFFIX}"), name=name)
    everything = [*shipped(), *own()]
    near = difflib.get_close_matches(name.lower(), everything, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    raise ConfigError(f"{name}: no look has this name; {hint}there are {', '.join(everything)}; or give a file")


def save(name: str, source: str | Path, *, overwrite: bool = False) -> Path:
    """Keep the look of a picture, a recipe or a file under a name; returns the file that holds it.

    Raises:
        ConfigError: the name cannot be one or is taken, there is no look in the source, or it cannot be written.

    Example:
        >>> path = save("my night", SHIPPED / "night-oil.json")
        >>> find("my night").styles == find("night-oil").styles
        True
        >>> remove("my night")
        >>> save("night-oil", SHIPPED / "night-oil.json")
        Traceback (most recent call last):
        wctstyle.errors.ConfigError: night-oil: is the name of a look that comes with wctstyle; choose another one
    """
    if checked_name(name) in shipped():
        raise ConfigError(f"{name}: is the name of a look that comes with wctstyle; choose another one")
    target = _own_folder() / f"{name}{SUFFIX}"
    if target.exists() and not overwrite:
        raise ConfigError(f"{name}: you have a look of this name; give --overwrite to replace it, or another name")
    look = dataclasses.replace(read(source), name=name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        replace_file(target, (json.dumps(look.to_json(), indent=2) + "\n").encode())
    except OSError as error:
        raise ConfigError(f"{target}: the look cannot be written ({error.strerror or error})") from error
    return target


def remove(name: str) -> None:
    """Delete a look that the user saved.

    Raises:
        ConfigError: there is none of this name.

    Example:
        >>> remove("night-oil")
        Traceback (most recent call last):
        wctstyle.errors.ConfigError: night-oil: comes with wctstyle and stays; yours are none yet
    """
    if name not in own():
        why = "comes with wctstyle and stays" if name in shipped() else "you have no look of this name"
        raise ConfigError(f"{name}: {why}; yours are {', '.join(own()) or 'none yet'}")
    (_own_folder() / f"{name}{SUFFIX}").unlink()


def _own_folder() -> Path:
    return user_folder("looks")


def _names(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in folder.glob(f"*{SUFFIX}") if _NAME.fullmatch(path.stem)))


def describe(look: Look) -> str:
    """Say in a few words which styles a look blends.

    Example:
        >>> styles = StyleSource("sample:marbling", weight=3.0), StyleSource("sea.jpg", weight=1.0)
        >>> describe(Look("two", styles, Settings(), "slim", 1.0))
        'marbling 75%, sea.jpg 25%'
    """
    names = [style.name.removeprefix(samples.PREFIX) for style in look.styles]
    total = sum(style.weight for style in look.styles)
    if len(names) == 1 or not total:
        return ", ".join(names)
    return ", ".join(f"{name} {style.weight / total:.0%}" for name, style in zip(names, look.styles, strict=True))


def in_look(
    name: str | None, values: dict[str, Any], given: Callable[[str], bool], *, slow: bool = False
) -> dict[str, Any]:
    """Return the values of options, those not given as the look of --use-look has them; `slow`: for an optimisation.

    Raises:
        ConfigError: there is no such look, or a style of it is not at hand.
    """
    if name is None:
        return values
    look = find(name)
    dials: Mapping[str, Any] = {
        **(slow_settings(look.settings) if slow else dataclasses.asdict(look.settings)),
        "model": optimizer_model(look.model) if slow else look.model,
        "stroke_scale": None if given("style_size") else look.stroke_scale,
    }
    chosen = {option: value if given(option) else dials.get(option, value) for option, value in values.items()}
    return chosen if given("style") else {**chosen, "style": _styles(look, name)}


def _styles(look: Look, name: str) -> list[str]:
    """Write a look's styles as --style takes them; files lie in the current folder or beside the look's own file.

    Folders that a look names do not count: it may be a stranger's.
    """
    written, missing = [], []
    for style in look.styles:
        own = public_name(style.name)
        places = [own, os.path.join(os.path.dirname(name), own)]
        source = own if own.startswith(samples.PREFIX) else next(filter(os.path.isfile, places), None)
        if source is None:
            missing.append(own)
        else:
            written.append(format_style(source, style.weight))
    if missing:
        raise ConfigError(
            f"--use-look {name}: needs {' and '.join(missing)}, which the current folder does not have; put "
            f"{'it' if len(missing) == 1 else 'them'} there, or give --style"
        )
    return written
