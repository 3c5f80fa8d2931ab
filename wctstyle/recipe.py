"""A recipe: how a picture was made. It is kept inside the picture, and read back as a command or a program."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from wctstyle import __version__, spelling
from wctstyle.inputs import RegionSpec, RegionSpecs
from wctstyle.optimizer.settings import OptimizeSettings
from wctstyle.regions import FACE, REST
from wctstyle.settings import (
    DEFAULT_FEATHER,
    DEFAULT_MODEL,
    DEFAULT_STROKE_SCALE,
    STROKE_SCALES,
    Settings,
    checked_model,
    checked_whole,
    style_long_side,
)
from wctstyle.sources import MaskSource, Source, StyleSource, format_style, known, reading_recipe, style_masks, texts

START = "start.png"
"""What a command calls the fast picture that an optimisation starts from, where that picture has dials of its own."""


@dataclass(frozen=True)
class Optimisation:
    """What the optimiser did: its settings, its network and what it started from (`init`: a `Start` or a file's name).

    stopped: the step at which a run over several scales was stopped, None otherwise. No command repeats such a run.

    Example:
        >>> done = Optimisation(OptimizeSettings(steps=80), "medium")
        >>> done.ended(40, 1, "time").settings.steps, done.ended(40, 2, "time").stopped
        (40, 40)
        >>> done.ended(80, 2, "steps") == done
        True
    """

    settings: OptimizeSettings
    model: str
    init: str = "fast"
    stopped: int | None = None

    def ended(self, step: int, scales: int, reason: str) -> Optimisation:
        """Return what describes a run that ended at `step`, early where it was stopped or out of time.

        At one scale as many steps give the same picture. Over several scales they do not.
        """
        if reason == "plateau" or step >= self.settings.steps:
            return self
        if scales > 1:
            return replace(self, settings=replace(self.settings, time_budget=None), stopped=step)
        return replace(self, settings=replace(self.settings, time_budget=None, steps=max(1, step)))


def fast_settings(settings: OptimizeSettings) -> Settings:
    """Return the settings of the fast picture that an optimisation starts from, as far as both have the same dials.

    Example:
        >>> fast_settings(OptimizeSettings(strength=0.8, colors="photo")) == Settings(strength=0.8, colors="photo")
        True
    """
    return Settings(
        strength=settings.strength,
        blend=settings.blend,
        keep_faces=settings.keep_faces,
        colors=settings.colors,
        color=settings.color,
    )


def slow_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings of an optimisation that come closest to those of the pass, by the names of its own.

    It goes as far as the style at most. Detail raises the weight of the photo as it does for `refine`: four times as
    much at 1.

    Example:
        >>> made = slow_settings(Settings(strength=1.2, detail=0.5))
        >>> made["strength"], made["content_weight"]
        (1.0, 0.06)
    """
    return {
        "strength": min(settings.strength, 1.0),
        "blend": settings.blend,
        "keep_faces": settings.keep_faces,
        "colors": settings.colors,
        "color": settings.color,
        "content_weight": OptimizeSettings.content_weight * 4**settings.detail,
    }


@dataclass(frozen=True)
class Recipe:
    """How a picture was made.

    settings, model: of the pass that paints it; of an optimisation, the pass that it starts from. size: long side of
    the result in pixels. style_size: long side of the style pictures in pixels (0: their own), or None, where
    `stroke_scale` gives it (`settings.style_long_side`). feather, dials: see `RegionSpecs`; the feather is None where
    nothing is masked. optimisation: None for a picture of the pass alone.

    Example:
        >>> recipe = Recipe(content=Source("sea.jpg", "0"), styles=(StyleSource("waves.jpg", "1"),), size=512)
        >>> recipe.command()[:48]
        'wctstyle stylize sea.jpg --style waves.jpg --str'
        >>> recipe.program("sea.png").splitlines()[-1]
        "images.save('sea.png', image, photo.alpha)"
        >>> recipe.fast == recipe, recipe.relative_strokes, recipe.has_regions
        (True, 1.0, False)
        >>> Recipe.from_json(recipe.to_json()) == recipe
        True
    """

    content: Source
    styles: tuple[StyleSource, ...]
    size: int
    settings: Settings = dataclasses.field(default_factory=Settings)
    model: str = DEFAULT_MODEL
    style_size: int | None = None
    stroke_scale: float | None = DEFAULT_STROKE_SCALE
    masks: tuple[MaskSource, ...] = ()
    feather: float | None = DEFAULT_FEATHER
    dials: Mapping[str, RegionSpec] = dataclasses.field(default_factory=dict)
    optimisation: Optimisation | None = None
    version: str = __version__

    def __post_init__(self) -> None:
        if self.style_size is not None:
            object.__setattr__(self, "stroke_scale", None)  # it has no effect, and equal recipes are to compare equal
        if not self.masks and FACE not in (style.region for style in self.styles):
            object.__setattr__(self, "feather", None)

    @property
    def fast(self) -> Recipe:
        """The recipe of the pass alone."""
        return replace(self, optimisation=None)

    @property
    def relative_strokes(self) -> float:
        """How large the strokes are by the result; 1 where style pictures are as large as they are."""
        if self.style_size:
            return min(max(self.style_size / self.size, STROKE_SCALES[0]), STROKE_SCALES[1])
        return self.stroke_scale or DEFAULT_STROKE_SCALE

    @property
    def has_regions(self) -> bool:
        """Whether a style, a mask or a dial belongs to a region, or a style has a mask."""
        return bool(self.masks or self.dials) or any(style.region or style.mask for style in self.styles)

    # ------------------------------------------------------------------------------------------------------------ JSON

    def to_json(self) -> dict[str, Any]:
        """Write the recipe in JSON's types; what is empty or without effect is left out."""
        written: dict[str, Any] = {
            "version": self.version,
            "model": self.model,
            "content": dataclasses.asdict(self.content),
            "styles": [style.to_json() for style in self.styles],
            **dataclasses.asdict(self.settings),
            "size": self.size,
            "style_size": self.style_size,
            "stroke_scale": self.stroke_scale,
        }
        if self.masks:
            written["masks"] = [mask.to_json() for mask in self.masks]
        if self.feather is not None:
            written["feather"] = self.feather
        if self.dials:
            written["regions"] = {name: _chosen(dials) for name, dials in self.dials.items()}
        if self.optimisation is not None:
            optimised = dataclasses.asdict(self.optimisation)
            if self.optimisation.stopped is None:
                del optimised["stopped"]
            written["optimize"] = optimised
        return written

    @staticmethod
    def from_json(
        written: Mapping[str, Any], *, source: str = "the recipe", remedy: str = "see it with --json"
    ) -> Recipe:
        """Read a recipe. Everything is checked: it may come from a stranger's picture. Unknown names are ignored.

        Raises:
            ConfigError: something is missing, has the wrong type or is out of range; it begins with `source` and ends
                with `remedy`.
        """
        with reading_recipe(source, what=f"its recipe (of version {written.get('version')})", remedy=remedy):
            return _read(written)

    # -------------------------------------------------------------------------------------------- commands and programs

    def command(self, output: str | None = None) -> str:
        """Write the command that makes the picture, quoted for a POSIX shell, into `output`.

        Files are named without folders; put these in front where the files are elsewhere. An optimisation that starts
        from a fast picture with dials that `optimize` does not have is two commands, joined by `&&`.
        """
        if self.optimisation is None:
            line = self._stylize()
        elif self._starts_from_own_picture:
            started = replace(self, optimisation=replace(self.optimisation, init=START))
            line = f"{self._stylize()} -o {START} && {started._optimize()}"
        else:
            line = self._optimize()
        return line if output is None else f"{line} -o {shlex.quote(output)}"

    @property
    def _starts_from_own_picture(self) -> bool:
        done = self.optimisation
        if done is None or done.init != "fast":
            return False
        return (self.settings, self.model) != (fast_settings(done.settings), DEFAULT_MODEL)

    def _stylize(self) -> str:
        settings = dataclasses.asdict(self.settings)
        return spelling.command("stylize", [*self._pictures(), *spelling.options(settings), *self._sizes(self.model)])

    def _optimize(self) -> str:
        assert self.optimisation is not None
        done = self.optimisation
        arguments = [*self._pictures(), f"--init={done.init}", *self._sizes(done.model)]
        settings = {name: value for name, value in done.settings.as_json().items() if name != "init"}
        return spelling.command("optimize", [*arguments, *spelling.options(settings)])

    def _pictures(self) -> list[str]:
        arguments = [spelling.argument(self.content.name)]
        for style in self.styles:
            arguments += ["--style", format_style(style.name, style.weight, style.region)]
        for mask in self.masks:
            arguments += ["--mask", f"{mask.region}={mask.name}"]
        for part, name in style_masks(self.styles).items():
            arguments += ["--style-mask", f"{part}={name}"]
        for region, dials in self.dials.items():
            chosen = ",".join(f"{name}={value}" for name, value in _chosen(dials).items())
            arguments += ["--region", f"{region}:{chosen}"]
        return [*arguments, *spelling.options({"feather": self.feather})]

    def _sizes(self, model: str) -> list[str]:
        strokes = {"style_size": self.style_size, "stroke_scale": self.stroke_scale}  # one of them is None
        return spelling.options({"size": self.size, "model": model, **strokes})

    def program(self, output: str = "result.png") -> str:
        """Write a Python program that makes the picture."""
        return "\n".join(_program(self, output)) + "\n"


def _chosen(dials: RegionSpec) -> dict[str, Any]:
    """Return the dials of a region that are not the default."""
    default = dataclasses.asdict(RegionSpec())
    return {name: value for name, value in dataclasses.asdict(dials).items() if value != default[name]}


# -------------------------------------------------------------------------------------------------------------- reading


def _read(written: Mapping[str, Any]) -> Recipe:
    settings = {field.name: written[field.name] for field in dataclasses.fields(Settings)}
    size = checked_whole("size", written["size"], 1)
    own, scale = written["style_size"], written["stroke_scale"]
    if own is None:
        style_long_side(size, scale)  # checks it
    optimised = written.get("optimize")
    return Recipe(
        content=Source.from_json(written["content"]),
        styles=tuple(StyleSource.from_json(style) for style in written["styles"]),
        size=size,
        settings=Settings(**settings),
        model=checked_model(written["model"]),
        style_size=None if own is None else checked_whole("style_size", own, 0),
        stroke_scale=scale,
        masks=tuple(MaskSource.from_json(mask) for mask in written.get("masks", ())),
        feather=RegionSpecs(feather=written["feather"]).feather if "feather" in written else DEFAULT_FEATHER,
        dials={name: RegionSpec(**known(RegionSpec, own)) for name, own in written.get("regions", {}).items()},
        optimisation=None if optimised is None else _optimisation(optimised),
        version=str(written.get("version")),
    )


def _optimisation(written: Mapping[str, Any]) -> Optimisation:
    stopped = written.get("stopped")
    return Optimisation(
        settings=OptimizeSettings(**known(OptimizeSettings, written["settings"])),
        model=checked_model(written["model"]),
        init=texts(written, "init")["init"],
        stopped=None if stopped is None else checked_whole("stopped", stopped, 1),
    )


# ------------------------------------------------------------------------------------------------------------- programs


def _program(recipe: Recipe, output: str) -> list[str]:
    done = recipe.optimisation
    scaled = recipe.style_size is None or any(dials.stroke is not None for dials in recipe.dials.values())
    regions = recipe.has_regions
    lines = [
        "from wctstyle import images, samples",
        *(["from wctstyle.cutout import visible_sides"] if scaled else []),
        "from wctstyle.fitting import fit_part",
        *(["from wctstyle.inputs import feathered, found_faces\nfrom wctstyle.masks import of_color, ready"] * regions),
        *(["from wctstyle.optimizer import Optimizer, OptimizeSettings"] if done else []),
        *(["from wctstyle.regions import Dials, mask_of, named_regions"] if regions else []),
        *(["from wctstyle.settings import style_long_side"] if scaled else []),
        "from wctstyle.stylizer import Settings, Stylizer",
        "",
        f"photo = images.resize({spelling.loaded(recipe.content.name)}, long_side={recipe.size}, enlarge=True)",
        *(["side = max(visible_sides(photo))"] if scaled else []),
        "styles = [",
        *(f"    ({_fitted(recipe, style)}, {style.weight!r})," for style in recipe.styles),
        "]",
    ]
    lines += _regions(recipe) if regions else []
    made = (
        f"Stylizer({recipe.model!r}).stylize(photo, styles, "
        f"Settings({spelling.keywords(dataclasses.asdict(recipe.settings))})).image"
    )
    if done:
        scaled = f"images.resize_to({spelling.loaded(done.init)}, height=photo.height, width=photo.width)"
        starts = {"fast": made, "content": "None", "noise": "None", "style": "None"}
        lines += [
            f"init = {starts.get(done.init, f'images.flatten({scaled}).rgb')}",
            f"settings = OptimizeSettings({spelling.keywords(done.settings.as_json())})",
            f"*_, last = Optimizer({done.model!r}).run(photo, styles, settings, init=init)",
            "image = last.image",
        ]
    else:
        lines.append(f"image = {made}")
    return [*lines, f"images.save({output!r}, image, photo.alpha)"]


def _fitted(recipe: Recipe, style: StyleSource) -> str:
    stroke = recipe.dials.get(style.region or REST, RegionSpec()).stroke
    scale = (recipe.stroke_scale or DEFAULT_STROKE_SCALE) if stroke is None else stroke
    own = recipe.style_size if stroke is None else None
    side = f"style_long_side(side, {scale!r}), result=side" if own is None else str(own)
    picture = spelling.loaded(style.name)
    mask = "" if style.mask is None else f", mask={spelling.mask(style.mask.name, picture)}"
    return f"fit_part({picture}, {side}{mask})"


def _regions(recipe: Recipe) -> list[str]:
    dials = {
        name: spelling.keywords({n: v for n, v in _chosen(own).items() if n != "stroke"})
        for name, own in recipe.dials.items()
    }
    masks = [
        f"    {mask.region!r}: feathered({spelling.mask(mask.name, 'photo')}, photo, {recipe.feather!r}),"
        for mask in recipe.masks
    ]
    return [
        *("masks = {", *masks, "}"),
        f"dials = {{{', '.join(f'{name!r}: Dials({own})' for name, own in dials.items())}}}",
        f"names = {[style.region for style in recipe.styles]!r}",
        "named = [(*style, name) for style, name in zip(styles, names, strict=True)]",
        f"styles = named_regions(named, masks, lambda: found_faces(photo, {recipe.feather!r}), dials)",
    ]
