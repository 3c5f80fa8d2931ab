"""The commands and their options: what is said, checked and handed on."""

from __future__ import annotations

import functools
import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from wctstyle import __version__, images, samples
from wctstyle.cli.compare_command import compare
from wctstyle.cli.console import EXIT_INPUT, Verbose, clean_exit, fail, print_table, progress_bar, say, tell, warn
from wctstyle.cli.demo_command import demo
from wctstyle.cli.jobs import CONTENT_SIZE, Job, Options, Strokes, Studio, from_options
from wctstyle.cli.optimize_command import optimize
from wctstyle.cli.optimize_options import Mask, StrokeScale, Style, StyleSize
from wctstyle.cli.outputs import plan_outputs
from wctstyle.cli.specs import Format, expand_contents, parse_masks, parse_styles
from wctstyle.cli.train_command import train
from wctstyle.cli.weights_commands import weights_app
from wctstyle.errors import ConfigError, ImageError, NonFiniteError
from wctstyle.recipe import Recipe
from wctstyle.settings import DEFAULT_MODEL, MAX_SIDE, MAX_STRENGTH, BlendKind, ModelName, Settings, TransformKind

app = typer.Typer(
    help="Paint any photo in the style of any picture, or of a blend of several, in one pass.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

DEFAULTS = Settings()

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
@clean_exit
def stylize(
    content: Annotated[
        list[str],
        typer.Argument(
            metavar="CONTENT",
            show_default=False,
            help="Photos, folders of photos (subfolders and earlier results are ignored), or sample:NAME.",
        ),
    ],
    style: Style = None,
    mask: Mask = None,
    strength: Annotated[
        float,
        _style_option(
            help=f"How far to go, 0 to {MAX_STRENGTH}: 0 is the photo, 1 the full style, more goes beyond it."
        ),
    ] = DEFAULTS.strength,
    detail: Annotated[
        float, _style_option(help="How much of the photo's fine light and dark to put back, 0 to 1.")
    ] = DEFAULTS.detail,
    color: Annotated[
        float, _style_option(help="How far colors follow the style, 0 to 1: 0 keeps those of the photo.")
    ] = DEFAULTS.color,
    texture: Annotated[
        float, _style_option(help="How much there is to paint in plain areas, 0 to 1: 0 may leave skies bare.")
    ] = DEFAULTS.texture,
    keep_faces: Annotated[
        float,
        _style_option(
            help="How strongly faces keep the photo's forms, 0 to 1; their colors are the style's. "
            "0 does not look for faces. Profiles are found with the extra `faces`."
        ),
    ] = DEFAULTS.keep_faces,
    transform: Annotated[
        TransformKind,
        _style_option(
            help="How the photo's statistics become the style's: mk moves them least, wct is the original, "
            "adain matches each channel alone."
        ),
    ] = DEFAULTS.transform,
    blend: Annotated[
        BlendKind,
        _style_option(
            help="How several styles become one: barycenter merges them, linear averages their statistics, "
            "mixture keeps the variety of every style."
        ),
    ] = DEFAULTS.blend,
    refine: Annotated[
        int,
        _style_option(
            metavar="STEPS",
            help="Refine the finished picture step by step, closer to the style; 10 take a few seconds at 512 pixels.",
        ),
    ] = DEFAULTS.refine,
    model: Annotated[
        ModelName,
        _style_option(help="slim is fast, medium is better, vgg19 is best and needs `weights get vgg19`."),
    ] = DEFAULT_MODEL,
    size: Annotated[
        int | None,
        _size_option(
            metavar="LONG_SIDE",
            show_default=f"{CONTENT_SIZE} for larger photos, never enlarged",
            help=f"Long side of the result in pixels, up to {MAX_SIDE}; enlarges or shrinks; 0: the photo's own.",
        ),
    ] = None,
    look: Annotated[
        int,
        _size_option(
            metavar="LONG_SIDE",
            help="Larger results are composed at this size first, enlarged and painted once more, so that they look as "
            "small ones do; 0 paints every size at once.",
        ),
    ] = DEFAULTS.look,
    stroke_scale: StrokeScale = None,
    style_size: StyleSize = None,
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
    skip_existing: Annotated[
        bool,
        _output_option("--skip-existing", help="Leave results that exist: goes on with a batch that was stopped."),
    ] = False,
    as_json: Annotated[bool, _output_option("--json", help="Print one JSON object per picture, nothing else.")] = False,
    verbose: Verbose = 0,
) -> None:
    """Stylize photos.

    wctstyle stylize photo.jpg --style painting.jpg -o result.png

    wctstyle stylize photos/ --style sample:woodcut-wave:0.7 --style sample:marbling:0.3 -o results/
    """
    settings = from_options(
        Settings,
        strength=strength,
        detail=detail,
        color=color,
        texture=texture,
        keep_faces=keep_faces,
        transform=transform,
        blend=blend,
        look=look,
        refine=refine,
    )
    options = Options(settings, model, size, Strokes(style_size, stroke_scale), max_pixels, quality)
    if overwrite and skip_existing:
        raise ConfigError("--overwrite and --skip-existing contradict each other; give one of them")
    if skip_existing and output is None:
        raise ConfigError("--skip-existing needs -o: results in the current folder are numbered, so none is in the way")
    specs = parse_styles(style, command="stylize")
    masks = parse_masks(mask, specs)
    sources = expand_contents(content)
    outputs = plan_outputs(
        sources,
        into_folder=len(sources) > 1 or any(map(os.path.isdir, content)),
        out=output,
        format=format,
        overwrite=overwrite or skip_existing,
        inputs=[*sources, *(spec.source for spec in specs), *masks.values()],
    )
    jobs = [Job(source, path) for source, path in zip(sources, outputs, strict=True)]
    if skip_existing:
        every, jobs = len(jobs), [job for job in jobs if not os.path.lexists(job.output)]
        if len(jobs) < every:
            tell(f"{every - len(jobs)} of {every} results are there already; they are left as they are")
        if not jobs:
            return
    if not any(spec.weight for spec in specs):
        warn("all styles have weight 0, so no style is left: the photo is returned")
    _make_all(Studio(specs, options, masks), jobs, as_json=as_json, verbose=verbose)


def _make_all(studio: Studio, jobs: Sequence[Job], *, as_json: bool, verbose: int) -> None:
    """Make every picture; of several, one that fails does not stop the others."""
    failed: list[str] = []
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with progress_bar(*columns, TimeRemainingColumn()) as progress:
        task = progress.add_task("", total=len(jobs))
        for job in jobs:
            progress.update(task, description=job.content)

            def refining(step: int, steps: int, job: Job = job) -> None:
                progress.update(task, description=f"{job.content}, refined {step} of {steps} steps")

            try:
                report = studio.make(job, refining=refining)
            except (ImageError, NonFiniteError) as error:
                if len(jobs) == 1:
                    raise
                failed.append(str(error))
                report = {"content": job.content, "error": str(error)}
            progress.advance(task)
            if as_json:
                say(json.dumps(report), progress)
            elif "output" in report:
                say(report["output"], progress)
            sys.stdout.flush()
            if verbose and "output" in report:
                progress.console.print(_timings(report))
    if failed:
        listed = "\n".join(failed)
        fail(f"{len(failed)} of {len(jobs)} pictures failed:\n{listed}", EXIT_INPUT, traced=False)


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
@clean_exit
def recipe(
    file: Annotated[str, typer.Argument(show_default=False, help="A picture that wctstyle made.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print all that the picture keeps, as JSON.")] = False,
    as_python: Annotated[bool, typer.Option("--python", help="Print a Python program instead of a command.")] = False,
    verbose: Verbose = 0,
) -> None:
    """Print how a picture was made: the command that makes it again."""
    if as_json and as_python:
        raise ConfigError("--json and --python contradict each other; give one of them")
    found = images.read_recipe(file)
    if found is None:
        raise ImageError(f"{file}: has no recipe in it; wctstyle did not make it, or another program saved it since")
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    read = Recipe.from_json(found, source=file)
    typer.echo(read.program() if as_python else read.command(), nl=not as_python)
    if read.optimisation is not None and read.optimisation.stopped:
        tell(f"{file}: was stopped at step {read.optimisation.stopped}; the command runs to the end", label="Note: ")


@app.command("samples")
@clean_exit
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
    print_table(table)


app.command()(optimize)
app.command()(compare)
app.command()(demo)
app.command()(train)
app.add_typer(weights_app, name="weights")


def main() -> None:
    """Run the command line and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names need not be valid text
    app(prog_name="wctstyle")
