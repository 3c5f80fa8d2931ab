"""The command `wctstyle stylize`."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from wctstyle import images
from wctstyle.batch import Batch
from wctstyle.cli import options
from wctstyle.cli import stylize_options as own
from wctstyle.cli.console import EXIT_INPUT, Verbose, clean_exit, fail, progress_bar, say, tell, waiting, warn
from wctstyle.cli.looks_command import in_look
from wctstyle.cli.options import from_options, option_names, sizes_from
from wctstyle.cli.outputs import STDOUT, is_sink, plan_outputs, write_to
from wctstyle.cli.specs import named_pictures
from wctstyle.errors import ConfigError, ImageError, NonFiniteError
from wctstyle.settings import DEFAULT_FEATHER, DEFAULT_MODEL, LARGEST_SIDE, Settings

DEFAULTS = Settings()

Job = tuple[str, Path]
"""A photo, and the file for its result."""


@clean_exit
def stylize(
    context: typer.Context,
    content: own.Contents,
    style: options.Style = None,
    use_look: options.UseLook = None,
    mask: options.Mask = None,
    style_mask: options.StyleMask = None,
    region: options.RegionDials = None,
    feather: options.Feather = DEFAULT_FEATHER,
    strength: own.Strength = DEFAULTS.strength,
    detail: own.Detail = DEFAULTS.detail,
    colors: options.Colors = DEFAULTS.colors,
    color: options.Color = DEFAULTS.color,
    texture: own.Texture = DEFAULTS.texture,
    keep_faces: own.KeepFaces = DEFAULTS.keep_faces,
    transform: own.Transform = DEFAULTS.transform,
    blend: own.Blend = DEFAULTS.blend,
    refine: own.Refine = DEFAULTS.refine,
    model: own.Model = DEFAULT_MODEL,
    size: own.Size = None,
    look: own.Look = DEFAULTS.look,
    stroke_scale: options.StrokeScale = None,
    style_size: options.StyleSize = None,
    max_pixels: options.MaxPixels = images.DEFAULT_MAX_PIXELS,
    output: own.Output = None,
    format: own.FolderFormat = None,
    quality: options.Quality = images.DEFAULT_QUALITY,
    depth: own.Depth = None,
    keep_profile: own.KeepProfile = False,
    overwrite: options.Overwrite = False,
    skip_existing: own.SkipExisting = False,
    as_json: own.AsJson = False,
    verbose: Verbose = 0,
) -> None:
    """Stylize photos.

    wctstyle stylize photo.jpg --style painting.jpg -o result.png

    wctstyle stylize photos/ --style sample:woodcut-wave:0.7 --style sample:marbling:0.3 -o results/
    """
    values = in_look(context, use_look, {
        "strength": strength, "detail": detail, "colors": colors, "color": color, "texture": texture,
        "keep_faces": keep_faces, "transform": transform, "blend": blend, "look": look, "refine": refine,
        "style": style, "model": model, "stroke_scale": stroke_scale,
    })  # fmt: skip
    style, model, stroke_scale = (values.pop(name) for name in ("style", "model", "stroke_scale"))
    settings = from_options(Settings, **values)
    sizes = sizes_from(size, style_size, stroke_scale, max_pixels, LARGEST_SIDE)
    from_options(images.check_quality, quality=quality)
    if depth not in (None, 8, 16):
        raise ConfigError(f"--depth is {depth}, must be 8 or 16 bits")
    if overwrite and skip_existing:
        raise ConfigError("--overwrite and --skip-existing contradict each other; give one of them")
    if output == STDOUT and (as_json or sys.stdout.isatty()):
        raise ConfigError(f"-o {STDOUT}: writes the picture to standard output; pipe it into a file, without --json")
    named = named_pictures("stylize", content, style, mask, style_mask, region, feather)
    several = len(named.contents) > 1 or any(map(os.path.isdir, content))
    with option_names():
        batch = Batch(
            named.styles, settings, model=model, sizes=sizes, quality=quality, depth=depth, keep_profile=keep_profile,
            regions=named.regions, warn=warn,
        )  # fmt: skip
    with waiting("looking for results"):  # among those of many photos that takes a while
        outputs = plan_outputs(
            named.contents, into_folder=several, out=output, format=format, overwrite=overwrite, inputs=named.files,
            made=batch.made if skip_existing else None,
        )  # fmt: skip
    jobs = list(zip(named.contents, outputs, strict=True))
    jobs = _still_to_make(jobs) if skip_existing else jobs
    if not jobs:
        return
    if not any(spec.weight for spec in named.styles):
        warn("all styles have weight 0, so no style is left: the photo is returned")
    _make_all(batch, jobs, format=format, as_json=as_json, verbose=verbose)


def _still_to_make(jobs: Sequence[Job]) -> list[Job]:
    """Leave out those whose results are there already, and say how many they are."""
    left = [(content, output) for content, output in jobs if is_sink(str(output)) or not os.path.lexists(output)]
    if len(left) < len(jobs):
        tell(f"{len(jobs) - len(left)} of {len(jobs)} results are there already; they are left as they are")
    return left


def _make_all(batch: Batch, jobs: Sequence[Job], *, format: str | None, as_json: bool, verbose: int) -> None:
    """Make every picture; of several, one that fails does not stop the others."""
    failed: list[str] = []
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with progress_bar(*columns, TimeRemainingColumn()) as progress:
        task = progress.add_task("", total=len(jobs))
        for content, output in jobs:
            progress.update(task, description=content)

            def refining(step: int, steps: int, content: str = content) -> None:
                progress.update(task, description=f"{content}, refined {step} of {steps} steps")

            def painting(tile: int, tiles: int, content: str = content) -> None:
                progress.update(task, description=f"{content}, painted {tile} of {tiles} tiles")

            try:
                with option_names():
                    report = batch.make(
                        content, output, sink=_sink(output, format), refining=refining, painting=painting
                    )
            except (ImageError, NonFiniteError) as error:
                if len(jobs) == 1:
                    raise
                failed.append(str(error))
                report = {"content": content, "error": str(error)}
            progress.advance(task)
            if as_json:
                say(json.dumps(report), progress)
            elif "output" in report and report["output"] != STDOUT:
                say(report["output"], progress)
            if verbose and "output" in report:
                progress.console.print(_timings(report))
    if failed:
        listed = "\n".join(failed)
        fail(f"{len(failed)} of {len(jobs)} pictures failed:\n{listed}", EXIT_INPUT, traced=False)


def _sink(output: Path, format: str | None) -> tuple[str, Callable[[bytes], None]] | None:
    """Return how bytes are written where there is no file, as PNG unless --format says otherwise."""
    if not is_sink(str(output)):
        return None
    return format or "png", functools.partial(write_to, output)


def _timings(report: Mapping[str, Any]) -> Table:
    title = "{content}: {width} x {height}, {model} on {device}".format_map(report)
    if report["first_call"]:
        title += ", first picture of this size"
    table = Table("step", title=Text(title), title_justify="left", box=None)
    table.add_column("seconds", justify="right")
    for name, seconds in report["seconds"].items():
        table.add_row(name, f"{seconds:.3f}")
    return table
