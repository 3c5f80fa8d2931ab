"""The recipe of a dream: how it was made, kept inside the picture, and read back as a command or a program."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wctstyle import __version__, spelling
from wctstyle.dreams.settings import DreamSettings, format_channels
from wctstyle.errors import ConfigError
from wctstyle.inputs import RegionSpecs
from wctstyle.settings import DEFAULT_FEATHER, DEFAULT_OPTIMIZER_MODEL, checked_model, checked_number, checked_whole
from wctstyle.sources import Source, known, reading_recipe

KEY = "dream"
"""What the settings are called in JSON, by which the recipe is known."""

_PICTURES = ("content", "guide", "mask")


@dataclass(frozen=True)
class DreamRecipe:
    """How a dream was made.

    content: the photo; None for a sheet of channels. size: long side of the result in pixels. feather: how far the mask
    is softened; None without one. zoom: seconds of a video, None for a picture.
    """

    content: Source | None
    settings: DreamSettings = field(default_factory=DreamSettings)
    model: str = DEFAULT_OPTIMIZER_MODEL
    size: int | None = None
    guide: Source | None = None
    mask: Source | None = None
    feather: float | None = DEFAULT_FEATHER
    zoom: float | None = None
    version: str = __version__

    def __post_init__(self) -> None:
        if self.mask is None:
            object.__setattr__(self, "feather", None)

    def to_json(self) -> dict[str, Any]:
        """Write the recipe in JSON's types; what is empty or without effect is left out."""
        sources = {name: getattr(self, name) for name in _PICTURES}
        rest = {"size": self.size, "feather": self.feather, "zoom": self.zoom}
        return {
            "version": self.version,
            "model": self.model,
            **{name: source.to_json() for name, source in sources.items() if source is not None},
            **{name: value for name, value in rest.items() if value is not None},
            KEY: dataclasses.asdict(self.settings),
        }

    @staticmethod
    def from_json(written: Mapping[str, Any], *, source: str = "the recipe") -> DreamRecipe:
        """Read a recipe. Everything is checked: it may come from a stranger's picture.

        Raises:
            ConfigError: something is missing, has the wrong type or is out of range; it begins with `source`.
        """
        with reading_recipe(source):
            sources = {name: Source.from_json(written[name]) if name in written else None for name in _PICTURES}
            size, zoom = written.get("size"), written.get("zoom")
            return DreamRecipe(
                **sources,
                settings=DreamSettings(**known(DreamSettings, written[KEY])),
                model=checked_model(written["model"]),
                size=checked_whole("size", size, 1) if sources["content"] else None,
                feather=RegionSpecs(feather=written.get("feather", DEFAULT_FEATHER)).feather,
                zoom=None if zoom is None else checked_number("zoom", zoom, 0, open_low=True),
                version=str(written.get("version")),
            )

    def command(self, output: str | None = None) -> str:
        """Write the command that makes the dream, quoted for a POSIX shell, into `output`."""
        settings = dataclasses.asdict(self.settings)
        layers, channels = settings.pop("layers"), settings.pop("channels")
        if self.content is None:
            arguments = ["--sheet", layers[0]]
        else:
            arguments = [spelling.argument(self.content.name)]
            for layer in layers:
                arguments += ["--layer", layer]
        others = {name: source.name for name, source in (("guide", self.guide), ("mask", self.mask)) if source}
        rest = {"feather": self.feather, "zoom": self.zoom, "size": self.size, "model": self.model}
        arguments += spelling.options({"channels": format_channels(channels) or None, **settings, **others, **rest})
        return spelling.command("dream", arguments, output)

    def program(self, output: str = "dream.png") -> str:
        """Write a Python program that makes the dream.

        Raises:
            ConfigError: it is a video, which only a command makes again.
        """
        if self.zoom is not None:
            raise ConfigError("a zoom is a video, which only a command can make again")
        settings = f"settings = DreamSettings({spelling.keywords(dataclasses.asdict(self.settings))})"
        if self.content is None:
            lines = [
                "from wctstyle import images",
                "from wctstyle.dreams import sheet",
                "from wctstyle.dreams.dreaming import Dreamer",
                "from wctstyle.dreams.settings import DreamSettings",
                "",
                settings,
                f"image = sheet.laid_out(list(sheet.cells(Dreamer({self.model!r}), settings)))",
                f"images.save({output!r}, image)",
            ]
            return "\n".join(lines) + "\n"
        photo = f"photo = images.resize({spelling.loaded(self.content.name)}, long_side={self.size}, enlarge=True)"
        imported, made, given = [], [photo], ""
        if self.guide is not None:
            made.append(f"guide = images.fill_hidden({spelling.loaded(self.guide.name)}).rgb")
            given += ", guide=guide"
        if self.mask is not None:
            imported = ["inputs import feathered", "masks import of_color, ready", "regions import mask_of"]
            made.append(f"mask = feathered({spelling.mask(self.mask.name, 'photo')}, photo, {self.feather})")
            given += ", mask=mask"
        lines = [
            "from wctstyle import images, samples",
            "from wctstyle.dreams.dreaming import Dreamer",
            "from wctstyle.dreams.settings import DreamSettings",
            *(f"from wctstyle.{line}" for line in imported),
            "",
            settings,
            *made,
            f"image = Dreamer({self.model!r}).dream(images.fill_hidden(photo).rgb, settings{given})",
            f"images.save({output!r}, image, photo.alpha)",
        ]
        return "\n".join(lines) + "\n"
