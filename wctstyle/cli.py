"""The command line: the only place that prints or exits.

Everything that can be checked is checked before JAX is imported or weights are read, so that a mistake is told
within a fraction of a second; the rooms that import JAX are therefore imported inside the functions that need
them. Results go to stdout, messages and progress to stderr. Exit codes: 0 done, 1 a fault of this program, 2 bad
input or a picture that failed, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import itertools
import json
import math
import os
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import numpy as np
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from wctstyle import __version__, images, samples
from wctstyle.errors import ConfigError, ImageError, NonFiniteError, WctStyleError
from wctstyle.settings import DEFAULT_DETAIL, LEVELS, MAX_SIDE, Settings

if TYPE_CHECKING:
    from wctstyle.stylizer import StyleCode, Stylizer

CONTENT_SIZE = 1024
"""Long side, in pixels, to which larger photos are shrunk unless --size says otherwise."""

STYLE_SIZE = 768
"""Long side, in pixels, to which larger style pictures are shrunk unless --style-size says otherwise."""

EXIT_FAULT, EXIT_INPUT, EXIT_INTERRUPTED, EXIT_BROKEN_PIPE = 1, 2, 130, 141


class Model(StrEnum):
    """The rows of `encoder.MODELS`."""

    slim = "slim"
    vgg19 = "vgg19"


class Transform(StrEnum):
    """The values of `settings.TransformKind`."""

    mk = "mk"
    wct = "wct"
    adain = "adain"


class Blend(StrEnum):
    """The values of `settings.BlendKind`."""

    barycenter = "barycenter"
    linear = "linear"
    mixture = "mixture"


class Format(StrEnum):
    """What files in an output folder can be."""

    png = "png"
    jpg = "jpg"
    webp = "webp"


class Preprocessing(StrEnum):
    """The values of `weights.Preprocessing`."""

    caffe = "caffe"
    torchvision = "torchvision"


# --- Parsing: pure, apart from a look whether a file exists --------------------------------------


@dataclass(frozen=True)
class StyleSpec:
    """A style as given on the command line: a path or `sample:NAME`, and its weight in the blend."""

    source: str
    weight: float = 1.0


def parse_style(text: str, *, exists: Callable[[str], bool] = os.path.exists) -> StyleSpec:
    r"""Split `PATH[:WEIGHT]` or `sample:NAME[:WEIGHT]`, from the right.

    A file that exists under the whole text wins, and what follows the last colon is a weight only if it is a
    number, so that `C:\sea.jpg` stays a path.

    Raises:
        ConfigError: the weight is negative, not finite or no number.
    """
    is_sample = text.startswith(samples.PREFIX)
    head, colon, tail = text.removeprefix(samples.PREFIX).rpartition(":")
    if not colon or (not is_sample and exists(text)):
        return StyleSpec(text)
    source = samples.PREFIX + head if is_sample else head
    weight = _number(tail)
    if weight is None:
        if is_sample or exists(source):
            raise ConfigError(f"--style {text}: weight is {tail!r}, must be a number >= 0")
        return StyleSpec(text)
    if not math.isfinite(weight):
        raise ConfigError(f"--style {text}: weight is {tail}, must be a finite number >= 0")
    if weight < 0:
        raise ConfigError(f"--style {text}: weight is {tail}, must be >= 0")
    return StyleSpec(source, weight)


def format_style(source: str, weight: float) -> str:
    """Write a style so that `parse_style` reads it back, with the weight only where it is needed."""
    plain = weight == 1 and ":" not in source.removeprefix(samples.PREFIX)
    return source if plain else f"{source}:{weight!r}"


def parse_levels(text: str) -> dict[int, float]:
    """Read `5=1,4=0.8`: a factor on the strength of single levels.

    Raises:
        ConfigError: an item is not LEVEL=STRENGTH, or out of range, or a level is given twice.
    """
    what, levels = f"--level-strength {text}", {}
    for item in text.split(","):
        level, equals, factor = (part.strip() for part in item.partition("="))
        if not equals:
            raise ConfigError(f"{what}: {item.strip()!r} is not LEVEL=STRENGTH; write it like 5=1,4=0.8")
        if level not in map(str, LEVELS):
            raise ConfigError(f"{what}: level is {level!r}, must be 1, 2, 3, 4 or 5")
        if int(level) in levels:
            raise ConfigError(f"{what}: level {level} is given twice; give each level once")
        value = _number(factor)
        if value is None:
            raise ConfigError(f"{what}: strength of level {level} is {factor!r}, must be a number from 0 to 1")
        if not 0 <= value <= 1:
            raise ConfigError(f"{what}: strength of level {level} is {value:g}, must be from 0 to 1")
        levels[int(level)] = value
    return levels


def check_side(name: str, value: int | None) -> int | None:
    """Return a long side in pixels (0: as it is, None: the default) as it is.

    Raises:
        ConfigError: it is negative or more than can be rendered.
    """
    if value is not None and not 0 <= value <= MAX_SIDE:
        raise ConfigError(f"{name} is {value}, must be from 1 to {MAX_SIDE} pixels, or 0 for the picture's own size")
    return value


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def expand_contents(contents: Sequence[str]) -> list[str]:
    """Replace folders by the pictures in them (by name, not recursive) and drop repetitions.

    Raises:
        ConfigError: a `sample:` has an unknown name.
        ImageError: files that do not exist or folders without pictures, all together.
    """
    found: dict[str, None] = {}
    problems = []
    for content in contents:
        if content.startswith(samples.PREFIX):
            samples.path(content.removeprefix(samples.PREFIX))
            found[content] = None
        elif os.path.isdir(content):
            pictures = _pictures_in(content)
            found |= dict.fromkeys(pictures)
            if not pictures:
                problems.append(f"{content}: no pictures in this folder; wanted one of {_readable()}")
        elif os.path.exists(content):
            found[content] = None
        else:
            problems.append(_why_unreadable(content))
    if problems:
        raise ImageError("\n".join(problems))
    return list(found)


def _readable() -> str:
    return ", ".join(images.SUPPORTED_SUFFIXES)


def _pictures_in(folder: str) -> list[str]:
    try:
        return [str(path) for path in sorted(Path(folder).iterdir()) if images.is_image_file(path)]
    except OSError as error:
        raise ImageError(f"{folder}: the folder cannot be read: {error.strerror or error}") from error


def _why_unreadable(path: str) -> str:
    try:
        images.load(path)
    except ImageError as error:
        return str(error)
    return f"{path}: appeared only now; run the command again"


# --- Where results go -------------------------------------------------------------------------------


def plan_outputs(
    sources: Sequence[str],
    *,
    into_folder: bool,
    out: str | None,
    format: str | None,
    overwrite: bool,
    inputs: Sequence[str],
) -> list[Path]:
    """Choose the file that each content's result is written to.

    Without `out`, `NAME-stylized.FORMAT` in the current folder, numbered where that exists already. An input is
    never chosen, an existing file only with `overwrite`.

    Args:
        sources: the contents.
        into_folder: several results are to be written, so `out` has to be a folder.
        out: a file, a folder that exists, or a folder to be made (several results, or a slash at its end).
        format: suffix of files in a folder, png by default.
        overwrite: existing files may be replaced.
        inputs: every file that is read.

    Raises:
        ImageError: `out` cannot be written, is an input, is the wrong kind of thing, or exists.
    """
    taken = {identity for path in inputs if (identity := _identity(path))}
    if out is not None and not into_folder and not out.endswith(("/", os.sep)) and not os.path.isdir(out):
        return [_checked_file(out, format, overwrite, taken)]
    folder = Path(out or ".")
    if out is not None:
        _check_folder_name(folder)
    _check_writable(folder, "-o " + out if out is not None else "the current folder")
    return _names_in(folder, sources, format or "png", taken, overwrite, numbered=out is None)


def _identity(path: str | Path) -> tuple[int, int] | None:
    """Name what a path leads to, whichever way it is spelled; None if it does not exist."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _checked_file(out: str, format: str | None, overwrite: bool, taken: set[tuple[int, int]]) -> Path:
    path = Path(out)
    check_format(f"-o {out}", path.suffix)
    if format is not None and path.suffix.lower().replace("jpeg", "jpg") != f".{format}":
        raise ImageError(
            f"-o {out}: --format {format} is for folders, this file's name says {path.suffix}; leave it out"
        )
    if not path.parent.is_dir():
        raise ImageError(f"-o {out}: there is no folder {path.parent}; make it first")
    if _identity(path) in taken:
        raise ImageError(f"-o {out}: is one of the input pictures, which are never overwritten; give another name")
    if os.path.lexists(path) and not overwrite:
        raise ImageError(f"-o {out}: exists already; give --overwrite to replace it, or another name")
    _check_writable(path.parent, f"-o {out}")
    return path


def check_format(what: str, suffix: str, quality: int = 92) -> None:
    """Try a suffix and a quality on one pixel.

    Raises:
        ImageError: files with this suffix cannot be written.
        ConfigError: the quality is out of range.
    """
    try:
        images.encode(np.zeros((1, 1, 3), np.float32), format=suffix, quality=quality)
    except ImageError as error:
        raise ImageError(f"{what}: {error}") from error


def _check_folder_name(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ImageError(f"-o {folder}: is a file, but several pictures are to be written; give a folder")
    if not folder.exists() and folder.suffix.lower() in images.SUPPORTED_SUFFIXES:
        raise ImageError(
            f"-o {folder}: is a file name, but several pictures are to be written; give a folder (it is made)"
        )


def _check_writable(folder: Path, what: str) -> None:
    """Look at the folder, or where it is to be made."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise ImageError(f"{what}: {folder} is no folder, so nothing can be written there; give another one")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ImageError(f"{what}: no permission to write in {folder.absolute()}; give another folder with -o")


def _names_in(
    folder: Path, sources: Sequence[str], format: str, taken: set[tuple[int, int]], overwrite: bool, *, numbered: bool
) -> list[Path]:
    chosen: dict[str, Path] = {}  # by name without case, as not every file system tells A.png from a.png
    for source in sources:
        stem = Path(source.removeprefix(samples.PREFIX)).stem
        for number in itertools.count(1):
            path = folder / f"{stem}-stylized{f'-{number}' if number > 1 else ''}.{format}"
            skip = numbered and not overwrite and os.path.lexists(path)
            if path.name.casefold() not in chosen and not skip and _identity(path) not in taken:
                chosen[path.name.casefold()] = path
                break
    existing = [path.name for path in chosen.values() if os.path.lexists(path)]
    if existing and not overwrite:
        others = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise ImageError(
            f"-o {folder}: has {existing[0]}{others} already; give --overwrite to replace, or another folder"
        )
    return list(chosen.values())


# --- Recipes ------------------------------------------------------------------------------------------


def recipe_command(recipe: Mapping[str, Any], *, source: str = "the recipe") -> str:
    """Write a recipe as the command that makes its picture again, quoted for a POSIX shell.

    File names are those of the inputs without their folders; put the folders in front where they are elsewhere.

    Raises:
        ConfigError: the recipe lacks something, or something in it has the wrong type.
    """
    try:
        levels = {int(level): float(value) for level, value in recipe["level_strength"].items()}
        arguments = [_not_an_option(_name_of(recipe["content"]))]
        for style in recipe["styles"]:
            arguments += ["--style", format_style(_name_of(style), float(style["weight"]))]
        for option in ("strength", "detail", "transform", "blend", "passes", "size", "model"):
            arguments += [f"--{option}", str(recipe[option])]
        if levels:
            arguments += ["--level-strength", ",".join(f"{k}={v:g}" for k, v in levels.items())]
        if recipe.get("style_size") is not None:
            arguments += ["--style-size", str(recipe["style_size"])]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{source}: its recipe (of version {recipe.get('version')}) cannot be turned into a command: {error!r}; "
            "see it with --json"
        ) from error
    command = shlex.join(["wctstyle", "stylize", *arguments])
    return "".join(char if char.isprintable() else "?" for char in command)


def _name_of(entry: Mapping[str, Any]) -> str:
    name = entry["name"]
    if not isinstance(name, str):
        raise TypeError(f"name is {name!r}")
    return name


def _not_an_option(name: str) -> str:
    return f"./{name}" if name.startswith("-") else name


# --- Stylizing ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Options:
    """All options of `stylize` that say how a picture looks, checked without JAX; see `stylize` for each."""

    settings: Settings
    model: str = "slim"
    size: int | None = None
    style_size: int | None = None
    max_pixels: int = images.DEFAULT_MAX_PIXELS
    quality: int = 92

    def __post_init__(self) -> None:
        check_side("--size", self.size)
        check_side("--style-size", self.style_size)
        check_format("--quality", "jpg", self.quality)
        if self.max_pixels < 0:
            raise ConfigError(f"--max-pixels is {self.max_pixels}, must be a whole number; 0 means no limit")


def make_settings(**values: Any) -> Settings:
    """Make `Settings`; its errors begin with the name of a field, which here are options.

    Raises:
        ConfigError: a value out of range.
    """
    try:
        return Settings(**values)
    except ConfigError as error:
        raise ConfigError(f"--{error}") from error


@dataclass(frozen=True)
class Job:
    """One picture to make: from which content, into which file."""

    content: str
    output: Path


def _read(source: str, max_pixels: int) -> images.Picture:
    if source.startswith(samples.PREFIX):
        return samples.picture(source.removeprefix(samples.PREFIX))
    return images.load(source, max_pixels=max_pixels)


def _fit(picture: images.Picture, size: int | None, default: int, option: str) -> images.Picture:
    """Scale to what --size or --style-size ask for."""
    if size == 0:
        longest = max(picture.height, picture.width)
        if longest > MAX_SIDE:
            raise ImageError(
                f"{picture.source}: is {picture.width} x {picture.height}, too large to render at its own size; "
                f"leave out {option} 0, or give {option} {MAX_SIDE} or less"
            )
        return picture
    if size is None:
        return images.resize(picture, long_side=default)
    return images.resize(picture, long_side=size, enlarge=True)


class _Laps:
    """Wall seconds since the last lap, added up by name."""

    def __init__(self) -> None:
        self.start = self.last = time.perf_counter()
        parts = ("load_model", "read", "content", "style", "render", "write")
        self.seconds: dict[str, float] = dict.fromkeys(parts, 0.0)

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] += now - self.last
        self.last = now

    def total(self) -> dict[str, float]:
        laps = self.seconds | {"total": time.perf_counter() - self.start}
        return {name: round(value, 4) for name, value in laps.items()}


class _Studio:
    """Stylizes one content after another with the same styles; the model is loaded for the first."""

    def __init__(self, specs: Sequence[StyleSpec], options: Options) -> None:
        self.options = options
        self._first_laps: _Laps | None = _Laps()
        full = [_read(spec.source, options.max_pixels) for spec in specs]
        self._styles = [
            images.flatten(_fit(picture, options.style_size, STYLE_SIZE, "--style-size")) for picture in full
        ]
        self._weights = [spec.weight for spec in specs]
        self._recipe = [
            {"name": _public_name(spec.source), "weight": spec.weight, "hash": picture.content_hash}
            for spec, picture in zip(specs, full, strict=True)
        ]
        self._loaded: tuple[Stylizer, list[StyleCode]] | None = None

    def make(self, job: Job) -> dict[str, Any]:
        """Stylize and save one picture; returns what --json prints."""
        laps, self._first_laps = self._first_laps or _Laps(), None
        full = _read(job.content, self.options.max_pixels)
        picture = _fit(full, self.options.size, CONTENT_SIZE, "--size")
        recipe = self._recipe_for(full, picture, job.content)
        laps.lap("read")
        traced = 0 if self._loaded is None else sum(self._loaded[0].traces.values())
        stylizer, codes = self._loaded = self._loaded or self._load(laps)
        result = stylizer.stylize(picture.rgb, list(zip(codes, self._weights, strict=True)), self.options.settings)
        for name, seconds in result.seconds.items():
            laps.seconds[name] += seconds
        laps.last = time.perf_counter()
        self._save(job.output, result.image, picture.alpha, recipe)
        laps.lap("write")
        return {
            "content": job.content,
            "output": str(job.output),
            "width": picture.width,
            "height": picture.height,
            "seconds": laps.total(),
            "model": stylizer.model,
            "device": _device(),
            "first_call": sum(stylizer.traces.values()) > traced,
        }

    def _load(self, laps: _Laps) -> tuple[Stylizer, list[StyleCode]]:
        from wctstyle.stylizer import Stylizer

        stylizer = Stylizer(self.options.model)
        laps.lap("load_model")
        codes = [stylizer.style(picture.rgb) for picture in self._styles]
        laps.lap("style")
        return stylizer, codes

    def _recipe_for(self, full: images.Picture, picture: images.Picture, source: str) -> dict[str, Any]:
        settings = dataclasses.asdict(self.options.settings)
        levels = {str(level): value for level, value in self.options.settings.level_strength.items()}
        return {
            "version": __version__,
            "model": self.options.model,
            "content": {"name": _public_name(source), "hash": full.content_hash},
            "styles": self._recipe,
            **settings,
            "level_strength": levels,
            "size": max(picture.height, picture.width),
            "style_size": self.options.style_size,
        }

    def _save(self, path: Path, rgb: np.ndarray, alpha: np.ndarray | None, recipe: dict[str, Any]) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ImageError(f"{path.parent}: the folder cannot be made: {error.strerror or error}") from error
        images.save(path, rgb, alpha, quality=self.options.quality, recipe=recipe)


def _public_name(source: str) -> str:
    """Leave out the folders, which are nobody's business when the picture is passed on."""
    return source if source.startswith(samples.PREFIX) else os.path.basename(source)


def _device() -> str:
    import jax

    return jax.devices()[0].device_kind


# --- Talking --------------------------------------------------------------------------------------------


def _console() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True)


def _tell(message: str, *, label: str = "", style: str = "") -> None:
    """Print a message to stderr, as it is: no markup, no wrapping."""
    _console().print(Text.assemble((label, style), message), soft_wrap=True)


def _print_table(table: Table) -> None:
    """Print a table to stdout; where that is not a terminal, as wide as it needs to be."""
    text = io.StringIO()
    Console(file=text, highlight=False, width=None if sys.stdout.isatty() else 1000).print(table)
    typer.echo("\n".join(line.rstrip() for line in text.getvalue().splitlines()))


def _progress(*columns: ProgressColumn) -> Progress:
    """Make a progress bar on stderr, silent unless that is a terminal; stdout stays what it is."""
    console = _console()
    return Progress(
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
        redirect_stdout=False,
        redirect_stderr=False,
    )


def _say(line: str, progress: Progress) -> None:
    """Print a line of results; above the bar where both are on one terminal."""
    if sys.stdout.isatty() and not progress.disable:
        progress.console.print(Text(line), soft_wrap=True)
    else:
        typer.echo(line)


_Command = TypeVar("_Command", bound=Callable[..., None])


def _clean_exit(command: _Command) -> _Command:
    """Turn what a command raises into one message on stderr and an exit code; `-vv` adds the traceback."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        verbose = kwargs.get("verbose", 0)
        try:
            command(*args, **kwargs)
            sys.stdout.flush()
        except (typer.Exit, typer.Abort):
            raise
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still to be flushed goes nowhere
            raise typer.Exit(EXIT_BROKEN_PIPE) from None
        except KeyboardInterrupt as error:
            _tell(str(error) or "Stopped. No half-written file is left.")
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except WctStyleError as error:
            _fail(str(error), EXIT_INPUT, traced=verbose >= 2)
        except Exception as error:  # noqa: BLE001 (the last resort: a fault of this program, told in one line)
            text = " ".join(f"{type(error).__name__}: {error}".split())
            hint = "" if verbose >= 2 else " (a fault of wctstyle; run it again with -vv to see where)"
            _fail(text + hint, EXIT_FAULT, traced=verbose >= 2)

    return run  # pyright: ignore[reportReturnType]


def _fail(message: str, code: int, *, traced: bool) -> None:
    if traced:
        _tell(traceback.format_exc().rstrip())
    _tell(message.replace("\n", "\n  "), label="Error: ", style="bold red")
    raise typer.Exit(code) from None


# --- Commands ---------------------------------------------------------------------------------------------

app = typer.Typer(
    help="Paint any photo in the style of any picture, or of a blend of several, in one pass.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
weights_app = typer.Typer(help="List, check, import or download model weights.", no_args_is_help=True)
app.add_typer(weights_app, name="weights")

Verbose = Annotated[
    int,
    typer.Option(
        "--verbose", "-v", count=True, show_default=False, help="Say more: timings; -vv tracebacks of errors too."
    ),
]
_style_option = functools.partial(typer.Option, rich_help_panel="Style")
_size_option = functools.partial(typer.Option, rich_help_panel="Size")
_output_option = functools.partial(typer.Option, rich_help_panel="Output")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wctstyle {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
@_clean_exit
def stylize(
    content: Annotated[
        list[str],
        typer.Argument(
            metavar="CONTENT",
            show_default=False,
            help="Photos, folders of photos (not those in folders below), or sample:NAME.",
        ),
    ],
    style: Annotated[
        list[str] | None,
        _style_option(
            "--style",
            metavar="PATH[:WEIGHT]",
            show_default=False,
            help="Picture whose colors and textures to take, or sample:NAME; give it several times to blend, "
            "each with its share.",
        ),
    ] = None,
    strength: Annotated[float, _style_option(help="How far to go: 0 leaves the photo, 1 is the full style.")] = 1.0,
    level_strength: Annotated[
        str | None,
        _style_option(
            metavar="LEVEL=0..1,...",
            show_default=False,
            help="Less of single levels, as 5=1,4=0.8: 5 is large shapes, 1 fine colors.",
        ),
    ] = None,
    detail: Annotated[
        float,
        _style_option(help="How much of the photo's own fine structure to keep, 0 to 1 (no effect with --passes 5)."),
    ] = DEFAULT_DETAIL,
    transform: Annotated[
        Transform,
        _style_option(
            help="How statistics are matched: mk moves colors least, wct is the original, adain matches each "
            "channel alone and is weakest."
        ),
    ] = Transform.mk,
    blend: Annotated[
        Blend,
        _style_option(
            help="How several styles become one: barycenter is in between, linear averages, mixture has all "
            "their variety."
        ),
    ] = Blend.barycenter,
    passes: Annotated[
        int,
        _style_option(
            metavar="1|5", help="1: one pass through all levels; 5: the original cascade, slower, looser shapes."
        ),
    ] = 1,
    model: Annotated[
        Model, _style_option(help="slim is fast; vgg19 is richer, slow, and needs `weights get vgg19`.")
    ] = Model.slim,
    size: Annotated[
        int | None,
        _size_option(
            metavar="LONG_SIDE",
            show_default=f"{CONTENT_SIZE} for larger photos, never enlarged",
            help=f"Long side of the result in pixels, up to {MAX_SIDE}; enlarges or shrinks; 0: the photo's own.",
        ),
    ] = None,
    style_size: Annotated[
        int | None,
        _size_option(
            metavar="LONG_SIDE",
            show_default=f"{STYLE_SIZE} for larger pictures, never enlarged",
            help="Long side of the style pictures in pixels: larger makes larger strokes; 0: their own.",
        ),
    ] = None,
    max_pixels: Annotated[
        int, _size_option(help="Refuse to read larger pictures; 0: no limit.")
    ] = images.DEFAULT_MAX_PIXELS,
    output: Annotated[
        str | None,
        _output_option(
            "--output",
            "-o",
            metavar="OUT",
            show_default="NAME-stylized.png in the current folder",
            help="File to write, its suffix says the format; a folder for several photos (made if missing).",
        ),
    ] = None,
    format: Annotated[Format | None, _output_option(show_default="png", help="Format of files in a folder.")] = None,
    quality: Annotated[int, _output_option(help="Of JPEG and WebP: 1 smallest file to 100 best picture.")] = 92,
    overwrite: Annotated[bool, _output_option("--overwrite", help="Replace results that exist; never inputs.")] = False,
    as_json: Annotated[bool, _output_option("--json", help="Print one JSON object per picture, nothing else.")] = False,
    verbose: Verbose = 0,
) -> None:
    """Stylize photos.

    wctstyle stylize photo.jpg --style painting.jpg -o result.png

    wctstyle stylize photos/ --style sample:woodcut-wave:0.7 --style sample:marbling:0.3 -o results/
    """
    settings = make_settings(
        strength=strength,
        level_strength={} if level_strength is None else parse_levels(level_strength),
        detail=detail,
        transform=transform.value,
        blend=blend.value,
        passes=passes,
    )
    options = Options(settings, model.value, size, style_size, max_pixels, quality)
    specs = _style_specs(style)
    sources = expand_contents(content)
    outputs = plan_outputs(
        sources,
        into_folder=len(sources) > 1 or any(map(os.path.isdir, content)),
        out=output,
        format=None if format is None else format.value,
        overwrite=overwrite,
        inputs=[*sources, *(spec.source for spec in specs)],
    )
    if not any(spec.weight for spec in specs):
        _tell("all styles have weight 0, so no style is left: the photo is returned", label="Warning: ", style="yellow")
    jobs = [Job(source, path) for source, path in zip(sources, outputs, strict=True)]
    _make_all(_Studio(specs, options), jobs, as_json=as_json, verbose=verbose)


def _style_specs(styles: Sequence[str] | None) -> list[StyleSpec]:
    if not styles:
        raise ConfigError(
            "no style given; add one or more pictures to take the style from, for example\n"
            "wctstyle stylize photo.jpg --style painting.jpg, or --style sample:woodcut-wave "
            "(`wctstyle samples` lists them)"
        )
    return [parse_style(text) for text in styles]


def _make_all(studio: _Studio, jobs: Sequence[Job], *, as_json: bool, verbose: int) -> None:
    """Make every picture; of several, one that fails does not stop the others."""
    failed: list[str] = []
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with _progress(*columns, TimeRemainingColumn()) as progress:
        task = progress.add_task("", total=len(jobs))
        for job in jobs:
            progress.update(task, description=job.content)
            try:
                report = studio.make(job)
            except (ImageError, NonFiniteError) as error:
                if len(jobs) == 1:
                    raise
                failed.append(str(error))
                report = {"content": job.content, "error": str(error)}
            progress.advance(task)
            if as_json:
                _say(json.dumps(report), progress)
            elif "output" in report:
                _say(report["output"], progress)
            sys.stdout.flush()
            if verbose and "output" in report:
                progress.console.print(_timings(report))
    if failed:
        listed = "\n".join(failed)
        _fail(f"{len(failed)} of {len(jobs)} pictures failed:\n{listed}", EXIT_INPUT, traced=False)


def _timings(report: Mapping[str, Any]) -> Table:
    title = "{content}: {width} x {height}, {model} on {device}".format_map(report)
    if report["first_call"]:
        title += ", first picture of this size"
    table = Table("step", title=Text(title), title_justify="left", box=None)
    table.add_column("seconds", justify="right")
    for name, seconds in report["seconds"].items():
        table.add_row(name, f"{seconds:.3f}")
    return table


@app.command()
@_clean_exit
def recipe(
    file: Annotated[str, typer.Argument(show_default=False, help="A picture that wctstyle made.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print all that the picture keeps, as JSON.")] = False,
    verbose: Verbose = 0,
) -> None:
    """Print how a picture was made: the command that makes it again."""
    found = images.read_recipe(file)
    if found is None:
        raise ImageError(f"{file}: has no recipe in it; wctstyle did not make it, or another program saved it since")
    typer.echo(json.dumps(found, indent=2) if as_json else recipe_command(found, source=file))


@app.command("samples")
@_clean_exit
def list_samples(
    export: Annotated[
        Path | None, typer.Option(metavar="DIR", show_default=False, help="Copy all of them into this folder.")
    ] = None,
    verbose: Verbose = 0,
) -> None:
    """List the pictures that come with wctstyle, for use as sample:NAME."""
    if export is not None:
        for path in samples.export(export):
            typer.echo(str(path))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for kind in ("content", "style"):
        for name in samples.names(kind):
            table.add_row(kind, Text(samples.PREFIX + name, no_wrap=True), Text(samples.describe(name)))
    _print_table(table)


@app.command()
@_clean_exit
def train(
    recipe: Annotated[
        str, typer.Argument(show_default=False, help="A recipe file (TOML), or the name of a shipped one.")
    ],
    content: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="Folder of photos, with those in folders below.")
    ],
    style: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="Folder of paintings, with those in folders below.")
    ],
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for checkpoints and the weights.")],
    teacher: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            show_default="the imported one",
            help="File with the original VGG-19, of any layout that `weights import` reads.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print progress as one JSON object per line.")] = False,
    verbose: Verbose = 0,
) -> None:
    """Train a model by a recipe; the same command goes on where it was stopped."""
    for option, folder in (("--content", content), ("--style", style)):
        if not any(images.is_image_file(path) for path in folder.rglob("*")):
            raise ConfigError(f"{option} {folder}: no pictures in this folder; wanted one of {_readable()}")
    from wctstyle.training.recipe import load_recipe
    from wctstyle.training.recipe import train as run_recipe

    plan = load_recipe(recipe)
    try:
        path = run_recipe(
            plan, content=content, style=style, teacher=_teacher(teacher, out), out=out, report=_reporter(as_json)
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"Stopped. What was trained so far is kept in {out}; the same command goes on from there."
        ) from None
    typer.echo(json.dumps({"weights": str(path)}) if as_json else str(path))


def _teacher(file: Path | None, out: Path) -> dict[str, np.ndarray]:
    """Load the original encoder, from a foreign file by importing it into the output folder."""
    from wctstyle import weights

    if file is None:
        return weights.load("vgg19", parts=("encoder",))[0]
    return weights.load_file(weights.import_vgg19(file, out / "teacher.safetensors"))[0]


def _reporter(as_json: bool) -> Callable[[dict[str, Any]], None]:
    """Make what training calls with its figures: JSON lines on stdout, or readable lines on stderr."""

    def report(figures: dict[str, Any]) -> None:
        if as_json:
            typer.echo(json.dumps(figures))
            sys.stdout.flush()
        else:
            _tell(training_line(figures))

    return report


def training_line(figures: Mapping[str, Any]) -> str:
    """Write one report of a training stage as a line to read."""
    rest = {k: v for k, v in figures.items() if k not in ("stage", "step", "steps", "seconds")}
    line = f"{figures.get('stage', '')}"
    if "step" in figures:
        line += f" {figures['step']}/{figures.get('steps', '?')}"
    if "seconds" in figures:
        line += f" {figures['seconds']:.0f} s"
    return line + "".join(f"  {k} {v:.4g}" if isinstance(v, float) else f"  {k} {v}" for k, v in rest.items())


# --- Weights -----------------------------------------------------------------------------------------------


@weights_app.command("list")
@_clean_exit
def list_weights(verbose: Verbose = 0) -> None:
    """List the models: whether they can be used here, their size, licence and files."""
    from wctstyle import weights

    table = Table("model", "usable", "size", "licence", "files", box=None, pad_edge=False)
    models = weights.list_models()
    for model in models:
        files = Text("\n".join(map(str, model.where)) or "-", overflow="fold")
        size = f"{model.size / 1e6:.1f} MB" if model.where else "-"
        table.add_row(model.name, "yes" if model.available else "no", size, model.licence or "-", files)
    _print_table(table)
    for model in models:
        if model.why_not:
            _tell(model.why_not)


@weights_app.command("verify")
@_clean_exit
def verify_weights(verbose: Verbose = 0) -> None:
    """Check every weights file: checksum, shapes, finite numbers."""
    from wctstyle import weights

    reports = weights.verify()
    for report in reports:
        typer.echo(f"{report.file}: {'ok' if report.ok else 'has problems'}")
    problems = [f"{report.file}: {problem}" for report in reports for problem in report.problems]
    if problems:
        _fail("the weights have problems:\n" + "\n".join(problems), EXIT_INPUT, traced=False)


@weights_app.command("import")
@_clean_exit
def import_weights(
    file: Annotated[
        Path,
        typer.Argument(show_default=False, help="VGG-19 as Keras HDF5, torchvision's layout in safetensors, or .npz."),
    ],
    preprocessing: Annotated[
        Preprocessing | None,
        typer.Option(show_default="by the layout", help="What input the weights were trained on."),
    ] = None,
    verbose: Verbose = 0,
) -> None:
    """Take the encoder of the model vgg19 from a file you have."""
    from wctstyle import weights

    typer.echo(str(weights.import_vgg19(file, preprocessing=preprocessing.value if preprocessing else None)))


@weights_app.command("get")
@_clean_exit
def get_weights(
    model: Annotated[str, typer.Argument(show_default=False, help="vgg19 (slim comes with the package).")],
    url: Annotated[
        str | None,
        typer.Option(show_default="the official address", help="Another address of the same file (a mirror)."),
    ] = None,
    verbose: Verbose = 0,
) -> None:
    """Download the encoder of the model vgg19 (80 MB, once); takes up an interrupted download again."""
    if model != Model.vgg19:
        known = "it comes with the package" if model == Model.slim else "there is no such model"
        raise ConfigError(f"weights get {model}: {known}; only vgg19 is downloaded")
    from wctstyle import weights

    with _download_bar() as update:
        path = weights.download_vgg19(progress=update, url=url or weights.OFFICIAL_URL)
    typer.echo(str(path))


@contextlib.contextmanager
def _download_bar() -> Iterator[Callable[[int, int | None], None]]:
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with _progress(TextColumn("{task.description}"), *columns) as progress:
        task = progress.add_task("VGG-19", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def main() -> None:
    """Run the command line and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names need not be valid text
    app(prog_name="wctstyle")
