"""The recipe of a texture: how it was made, kept inside the picture, and read back as a command or a program."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wctstyle import __version__, spelling
from wctstyle.inputs import RegionSpecs
from wctstyle.settings import DEFAULT_FEATHER, DEFAULT_MODEL, checked_model
from wctstyle.sources import MaskSource, StyleSource, format_style, known, reading_recipe, style_masks
from wctstyle.textures.settings import TextureSettings

KEY = "new_texture"
"""What the settings are called in JSON, by which the recipe is known."""


@dataclass(frozen=True)
class TextureRecipe:
    """How a texture was made. feather: how far masks are softened; None where nothing is masked."""

    styles: tuple[StyleSource, ...]
    settings: TextureSettings = field(default_factory=TextureSettings)
    model: str = DEFAULT_MODEL
    masks: tuple[MaskSource, ...] = ()
    feather: float | None = DEFAULT_FEATHER
    version: str = __version__

    def __post_init__(self) -> None:
        if not self.masks:
            object.__setattr__(self, "feather", None)

    def to_json(self) -> dict[str, Any]:
        """Write the recipe in JSON's types; what is empty or without effect is left out."""
        written = {
            "version": self.version,
            "model": self.model,
            "styles": [style.to_json() for style in self.styles],
            KEY: dataclasses.asdict(self.settings),
        }
        if self.masks:
            written |= {"masks": [mask.to_json() for mask in self.masks], "feather": self.feather}
        return written

    @staticmethod
    def from_json(written: Mapping[str, Any], *, source: str = "the recipe") -> TextureRecipe:
        """Read a recipe. Everything is checked: it may come from a stranger's picture.

        Raises:
            ConfigError: something is missing, has the wrong type or is out of range; it begins with `source`.
        """
        with reading_recipe(source):
            return TextureRecipe(
                styles=tuple(StyleSource.from_json(style) for style in written["styles"]),
                settings=TextureSettings(**known(TextureSettings, written[KEY])),
                model=checked_model(written["model"]),
                masks=tuple(MaskSource.from_json(mask) for mask in written.get("masks", ())),
                feather=RegionSpecs(feather=written.get("feather", DEFAULT_FEATHER)).feather,
                version=str(written.get("version")),
            )

    def command(self, output: str | None = None) -> str:
        """Write the command that makes the texture, quoted for a POSIX shell, into `output`."""
        settings = dataclasses.asdict(self.settings)
        size = f"{settings.pop('width')}x{settings.pop('height')}"
        arguments = [spelling.argument(format_style(style.name, style.weight, style.region)) for style in self.styles]
        for mask in self.masks:
            arguments += ["--mask", f"{mask.region}={mask.name}"]
        for part, name in style_masks(self.styles).items():
            arguments += ["--style-mask", f"{part}={name}"]
        arguments += spelling.options({"feather": self.feather, "size": size, "model": self.model, **settings})
        return spelling.command("texture", arguments, output)

    def program(self, output: str = "texture.png") -> str:
        """Write a Python program that makes the texture."""
        parts = [style.mask for style in self.styles if style.mask is not None]
        found = bool(parts or self.masks)
        lines = [
            "from wctstyle import images, samples",
            "from wctstyle.fitting import fit_part",
            *(["from wctstyle.masks import of_color, ready", "from wctstyle.regions import mask_of"] * found),
            "from wctstyle.stylizer import Stylizer",
            "from wctstyle.textures.making import make",
            "from wctstyle.textures.settings import TextureSettings",
            *(["from wctstyle.textures.transitions import named_parts"] * bool(self.masks)),
            "",
            f"settings = TextureSettings({spelling.keywords(dataclasses.asdict(self.settings))})",
            "styles = [",
            *(
                f"    ({self._fitted(style)}{', ' + repr(style.region) if self.masks else ''}),"
                for style in self.styles
            ),
            "]",
        ]
        if self.masks:
            masks = (f"    {mask.region!r}: {spelling.mask(mask.name, 'None')}," for mask in self.masks)
            lines += ["masks = {", *masks, "}", f"styles = named_parts(styles, masks, settings, {self.feather!r})"]
        lines += [f"image = make(Stylizer({self.model!r}), styles, settings)", f"images.save({output!r}, image)"]
        return "\n".join(lines) + "\n"

    def _fitted(self, style: StyleSource) -> str:
        picture = spelling.loaded(style.name)
        mask = "" if style.mask is None else f", mask={spelling.mask(style.mask.name, picture)}"
        return f"fit_part({picture}, {self.settings.style_size}{mask}), {style.weight!r}"
