"""The recipe of an analogy: how a picture was made, kept inside it, and read back as a command or a program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wctstyle import __version__, spelling
from wctstyle.errors import ConfigError
from wctstyle.settings import DEFAULT_MODEL, checked_model, checked_number, checked_whole
from wctstyle.sources import Source, StyleSource, format_style, reading_recipe

KEY = "analogy"
"""What the settings are called in JSON, by which the recipe is known."""

DEFAULT_STRENGTH = 0.5
"""Of a style on top: half of it, as the filter is to be seen."""

SUFFIX = ".safetensors"
"""Of files that hold a filter."""


def check_suffix(path: str | Path) -> None:
    """Refuse another suffix than that of filters.

    Raises:
        ConfigError: it has one.
    """
    if Path(path).suffix != SUFFIX:
        raise ConfigError(f"{path}: filters are saved as {SUFFIX}; give the file that suffix")


@dataclass(frozen=True)
class AnalogyRecipe:
    """How a picture was made: of `content`, by the filter of a pair (two pictures) or of a file (one).

    size: long side in pixels. paint: how much of it is painted; None: as was learned. styles, strength, model:
    what is painted on top.
    """

    content: Source
    learned: tuple[Source, ...]
    size: int
    align: bool = False
    paint: float | None = None
    styles: tuple[StyleSource, ...] = ()
    strength: float = DEFAULT_STRENGTH
    model: str = DEFAULT_MODEL
    version: str = __version__

    def to_json(self) -> dict[str, Any]:
        """Write the recipe in JSON's types."""
        return {
            "version": self.version,
            "model": self.model,
            "content": self.content.to_json(),
            "styles": [style.to_json() for style in self.styles],
            "size": self.size,
            KEY: {
                "learned": [source.to_json() for source in self.learned],
                "align": self.align,
                "paint": self.paint,
                "strength": self.strength,
            },
        }

    @staticmethod
    def from_json(written: Mapping[str, Any], *, source: str = "the recipe") -> AnalogyRecipe:
        """Read a recipe. Everything is checked: it may come from a stranger's picture.

        Raises:
            ConfigError: something is missing, has the wrong type or is out of range; it begins with `source`.
        """
        with reading_recipe(source):
            own = written[KEY]
            if not 1 <= len(own["learned"]) <= 2:
                raise ConfigError("it names neither a pair nor a filter")
            return AnalogyRecipe(
                content=Source.from_json(written["content"]),
                learned=tuple(Source.from_json(one) for one in own["learned"]),
                size=checked_whole("size", written["size"], 1),
                align=bool(own["align"]),
                paint=None if own["paint"] is None else checked_number("paint", own["paint"], 0, 1),
                styles=tuple(StyleSource.from_json(style) for style in written["styles"]),
                strength=checked_number("strength", own["strength"], 0, 1),
                model=checked_model(written["model"]),
                version=str(written.get("version")),
            )

    def command(self, output: str | None = None) -> str:
        """Write the command that makes the picture, quoted for a POSIX shell, into `output`."""
        names = [source.name for source in self.learned]
        pictures = [*names, self.content.name] if len(names) == 2 else [self.content.name]
        arguments = [spelling.argument(name) for name in pictures]
        arguments += ["--use", names[0]] if len(names) == 1 else []
        arguments += ["--align"] if self.align else []
        arguments += ["--paint", str(self.paint)] if self.paint is not None else []
        for style in self.styles:
            arguments += ["--style", format_style(style.name, style.weight)]
        if self.styles:
            arguments += ["--strength", str(self.strength), "--model", self.model]
        return spelling.command("analogy", [*arguments, "--size", str(self.size)], output)

    def program(self, output: str = "result.png") -> str:
        """Write a Python program that makes the picture."""
        names = [source.name for source in self.learned]
        lines = [
            "from wctstyle import images, samples",
            "from wctstyle.analogies import files, making",
            "",
            f"photo = images.resize({spelling.loaded(self.content.name)}, long_side={self.size}, enlarge=True)",
            f"filter = making.learn({', '.join(f'images.flatten({spelling.loaded(name)}).rgb' for name in names)}, "
            f"paint={self.paint!r}, align={self.align!r})"
            if len(names) == 2
            else f"filter = making.repainted(files.load({names[0]!r}), {self.paint!r})",
            "image = filter(images.fill_hidden(photo).rgb)",
        ]
        if self.styles:
            blend = ", ".join(f"({spelling.loaded(style.name)}.rgb, {style.weight!r})" for style in self.styles)
            lines += [f"image = making.styled(image, [{blend}], {self.strength!r}, {self.model!r})"]
        return "\n".join([*lines, f"images.save({output!r}, image, photo.alpha)"]) + "\n"
