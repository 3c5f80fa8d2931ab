"""The command `wctstyle analogy`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn

from wctstyle import images
from wctstyle.analogies.recipe import DEFAULT_STRENGTH, AnalogyRecipe, check_suffix
from wctstyle.cli import options
from wctstyle.cli.clip_changes import ClipChange, is_clip
from wctstyle.cli.console import Verbose, clean_exit, progress_bar, say, tell, waiting
from wctstyle.cli.contents import expand_contents, is_pattern
from wctstyle.cli.looks_command import given_options
from wctstyle.cli.options import from_options, option_names
from wctstyle.cli.outputs import check_free, check_writable, is_sink, plan_outputs, result_stem
from wctstyle.cli.specs import Format
from wctstyle.cli.stylize_options import FolderFormat, Model
from wctstyle.errors import ConfigError
from wctstyle.inputs import StyleSpec, read, read_style
from wctstyle.settings import DEFAULT_CALM, DEFAULT_MODEL, LARGEST_SIDE, MAX_SIDE, checked_number, checked_whole
from wctstyle.sources import Source, public_name, style_sources
from wctstyle.specs import parse_styles
from wctstyle.video.making import content_of

Pictures = Annotated[
    list[str],
    typer.Argument(
        metavar="[A A2] [B...]",
        show_default=False,
        help="The pair to learn from, and pictures, folders or one video to filter; with --use, the latter only.",
    ),
]
Use = Annotated[
    str | None, typer.Option("--use", metavar="FILE", show_default=False, help="A filter that --save has written.")
]
Save = Annotated[
    Path | None, typer.Option("--save", metavar="FILE", show_default=False, help="Keep the filter (.safetensors).")
]
Align = Annotated[bool, typer.Option("--align", help="Cut a pair whose pictures are moved to what both show.")]
PaintOption = Annotated[
    float | None,
    typer.Option(
        "--paint",
        show_default="1 where no filter explains A2, or else 0",
        help="From the filtered picture (0) to the one painted as A2 is (1).",
    ),
]
Strength = Annotated[float, options.style_option("--strength", help="Of the styles on top, 0 to 1.")]
SizeOption = Annotated[
    int | None,
    options.size_option(
        metavar="LONG_SIDE",
        show_default="the photo's own",
        help="Long side of the result in pixels. Filters are as wide in pixels as in their pair.",
    ),
]
Out = Annotated[
    str | None,
    options.output_option(
        "--output",
        "-o",
        metavar="OUT",
        show_default="NAME-analogy.png in the current folder",
        help="File to write, its suffix says the format; a folder for several.",
    ),
]
AsJson = Annotated[bool, options.output_option("--json", help="Print one JSON object per picture, nothing else.")]


@clean_exit
def analogy(
    context: typer.Context,
    pictures: Pictures,
    use: Use = None,
    save: Save = None,
    align: Align = False,
    paint: PaintOption = None,
    style: options.Style = None,
    strength: Strength = DEFAULT_STRENGTH,
    model: Model = DEFAULT_MODEL,
    size: SizeOption = None,
    max_pixels: options.MaxPixels = images.DEFAULT_MAX_PIXELS,
    output: Out = None,
    format: FolderFormat = None,
    quality: options.Quality = images.DEFAULT_QUALITY,
    overwrite: options.Overwrite = False,
    as_json: AsJson = False,
    verbose: Verbose = 0,
) -> None:
    """Learn a filter from a picture and what it became, and apply it to others.

    wctstyle analogy before.jpg after.jpg photo.jpg -o filtered.png

    wctstyle analogy before.jpg after.jpg --save filter.safetensors

    wctstyle analogy --use filter.safetensors photos/ -o filtered/

    wctstyle analogy --use filter.safetensors clip.mp4 -o filtered.mp4
    """
    pair, rest = _split(pictures, use, save)
    _check(rest, align=align, use=use, paint=paint, strength=strength, size=size, quality=quality)
    styles = parse_styles(style, command="analogy") if style else []
    if any(spec.region for spec in styles):
        raise ConfigError("--style: an analogy has no regions; leave out the @REGION")
    sources = [*pair, *(spec.source for spec in styles), *([use] if use else [])]
    clips, contents = _told_apart(rest)
    inputs = [*sources, *contents]
    several = len(contents) > 1 or any(os.path.isdir(part) or is_pattern(part) for part in rest)
    clip = None
    if clips:
        own = quality if given_options(context)("quality") else None  # videos have another one by default
        clip = ClipChange.planned(
            clips[0], output, made="filtered", inputs=sources, max_pixels=max_pixels, overwrite=overwrite, size=size,
            quality=own, format=format,
        )  # fmt: skip
        paths = []
    else:
        paths = _places(contents, output, format, several=several, overwrite=overwrite, inputs=inputs)
    if save is not None:
        from_options(check_suffix, path=save)
        check_free([save], overwrite=overwrite, inputs=inputs, what="--save {path}", other="name")
        check_writable(save.parent, f"--save {save}")
    learned, made = _filter(pair, use, save, align=align, paint=paint, max_pixels=max_pixels)
    if save is not None and not as_json:
        typer.echo(str(save))
    loaded = [read_style(spec.source, max_pixels) for spec in styles]

    def recipe(own: Source, side: int) -> AnalogyRecipe:
        sources = style_sources(styles, loaded, [None] * len(styles))
        return AnalogyRecipe(own, learned, side, align, paint, sources, strength, model)

    def applied(rgb: Any) -> Any:
        return _applied(made, rgb, styles, loaded, strength, model)

    if clip is not None:
        calm = DEFAULT_CALM if made.paint or styles else 0.0  # filters treat every frame alike
        kept = recipe(content_of(clip.clip.source), max(clip.clip.height, clip.clip.width))
        return clip.run(applied, kept.to_json(), calm=calm, as_json=as_json)

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with progress_bar(*columns) as progress:
        task = progress.add_task("", total=len(contents))
        for content, path in zip(contents, paths, strict=True):
            progress.update(task, description=content)
            full = read(content, max_pixels)
            picture = full if size is None else images.resize(full, long_side=size, enlarge=True)
            rgb = applied(images.fill_hidden(picture).rgb)
            images.make_folder(path.parent)
            kept = recipe(Source(public_name(content), full.content_hash), max(rgb.shape[:2]))
            images.save(path, rgb, picture.alpha, quality=quality, recipe=kept.to_json())
            progress.update(task, advance=1)
            found = {"content": content, "output": str(path), "width": rgb.shape[1], "height": rgb.shape[0]}
            say(json.dumps(found) if as_json else str(path), progress)


def _split(pictures: Sequence[str], use: str | None, save: Path | None) -> tuple[list[str], list[str]]:
    """Tell the pair from the pictures to filter.

    Raises:
        ConfigError: there are too few pictures.
    """
    if use is not None:
        if save is not None:
            raise ConfigError("--use and --save contradict each other; a file is copied without wctstyle")
        return [], list(pictures)
    if len(pictures) < 2:
        raise ConfigError("analogy: got one picture, wanted a pair A A2 first; or give a filter with --use FILE")
    if len(pictures) == 2 and save is None:
        raise ConfigError("analogy: there is nothing to do; give pictures to filter after A and A2, or --save FILE")
    return list(pictures[:2]), list(pictures[2:])


def _told_apart(rest: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tell videos from pictures: there is one video and nothing else, or none.

    Raises:
        ConfigError: there is more beside a video.
        ImageError: as `expand_contents`.
    """
    clips = [name for name in rest if is_clip(name)]
    if clips and len(rest) > 1:
        raise ConfigError(f"{clips[0]}: is a video, and videos are filtered one at a time; give it alone")
    return clips, [] if clips or not rest else expand_contents(rest)


def _check(
    rest: Sequence[str], *, align: bool, use: str | None, paint: float | None, strength: float, size: int | None,
    quality: int,
) -> None:  # fmt: skip
    """Refuse options that are out of range, before anything is read."""
    if align and use is not None:
        raise ConfigError("--align is for a pair, and --use has learned its filter already; leave one out")
    with option_names():
        if paint is not None:
            checked_number("--paint", paint, 0, 1)
        checked_number("--strength", strength, 0, 1)
        if size is not None:
            checked_whole("--size", size, 1, LARGEST_SIDE)
    from_options(images.check_quality, quality=quality)


def _places(
    contents: Sequence[str], output: str | None, format: Format | None, *, several: bool, overwrite: bool,
    inputs: Sequence[str],
) -> list[Path]:  # fmt: skip
    """Choose the file of each result.

    Raises:
        ConfigError: the output is no file.
        ImageError: as `plan_outputs`.
    """
    if not contents:
        if output is not None:
            raise ConfigError(f"-o {output}: there is no picture to filter; give some after A and A2")
        return []
    if output is not None and is_sink(output):
        raise ConfigError(f"-o {output}: is no file; an analogy is written to a file")
    names = [f"{result_stem(content)}-analogy.{format or 'png'}" for content in contents]
    return plan_outputs(
        contents, into_folder=several, out=output, format=format, overwrite=overwrite, inputs=inputs, names=names
    )


def _filter(
    pair: Sequence[str], use: str | None, save: Path | None, *, align: bool, paint: float | None, max_pixels: int
) -> tuple[tuple[Source, ...], Any]:
    """Load the filter or learn it, and keep it where that is wanted; returns what it was learned from too."""
    from wctstyle.analogies import files, making  # here, as it imports JAX, and mistakes are told before

    with option_names():
        if use is not None:
            return (Source(public_name(use)),), making.repainted(files.load(use), paint)
        own, goal = (read(name, max_pixels) for name in pair)
        with waiting("learning the filter"):
            made = making.learn(images.flatten(own).rgb, images.flatten(goal).rgb, paint=paint, align=align)
    tell(made.told)
    if save is not None:
        files.save(save, made)
    return tuple(Source(public_name(n), p.content_hash) for n, p in zip(pair, (own, goal), strict=True)), made


def _applied(
    made: Any, rgb: Any, styles: Sequence[StyleSpec], loaded: Sequence[images.Picture], strength: float, model: str
) -> Any:
    """Filter one picture and stylise it on top."""
    from wctstyle.analogies import making

    if (made.paint or styles) and max(rgb.shape[:2]) > MAX_SIDE:
        raise ConfigError(f"--size: pictures are painted up to {MAX_SIDE} pixels here; give a smaller one")
    out = made(rgb)
    if styles:
        blend = [(picture.rgb, spec.weight) for picture, spec in zip(loaded, styles, strict=True)]
        out = making.styled(out, blend, strength, model)
    return out
