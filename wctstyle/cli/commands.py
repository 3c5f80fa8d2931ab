"""The program `wctstyle`: its commands, and those that need no file of their own."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from wctstyle import __version__, samples
from wctstyle.cli.analogy_command import analogy
from wctstyle.cli.batch_command import batch
from wctstyle.cli.clip_changes import is_clip
from wctstyle.cli.compare_command import compare
from wctstyle.cli.console import Verbose, clean_exit, in_plain_words, print_table, tell
from wctstyle.cli.demo_command import demo
from wctstyle.cli.dream_command import dream
from wctstyle.cli.looks_command import looks_app
from wctstyle.cli.lut_commands import lut_app
from wctstyle.cli.mask_command import mask
from wctstyle.cli.optimize_command import optimize
from wctstyle.cli.serve_command import serve
from wctstyle.cli.stylize_command import stylize
from wctstyle.cli.suggest_command import suggest
from wctstyle.cli.texture_command import texture
from wctstyle.cli.train_command import train
from wctstyle.cli.video_command import video
from wctstyle.cli.weights_commands import weights_app
from wctstyle.errors import ConfigError, ImageError
from wctstyle.inputs import opened
from wctstyle.recipe import Recipe
from wctstyle.recipe_kinds import kind_of
from wctstyle.video.recipe import VideoRecipe, read_recipe


class Program(TyperGroup):
    """The group of all commands, which says in its own words what is wrong with an option's value."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = in_plain_words(error)
            raise


app = typer.Typer(
    cls=Program,
    help="Paint any photo in the style of any picture, or of a blend of several, in one pass.\n\n"
    "wctstyle stylize photo.jpg --style painting.jpg\n\n"
    "wctstyle demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


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


app.command()(stylize)  # first, as the help lists them in this order
app.command()(video)
app.command()(texture)
app.command()(analogy)


@app.command()
@clean_exit
def recipe(
    file: Annotated[str, typer.Argument(show_default=False, help="A picture or video that wctstyle made.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print all that the picture keeps, as JSON.")] = False,
    as_python: Annotated[bool, typer.Option("--python", help="Print a Python program instead of a command.")] = False,
    verbose: Verbose = 0,
) -> None:
    """Print how a picture was made: the command that makes it again."""
    if as_json and as_python:
        raise ConfigError("--json and --python contradict each other; give one of them")
    found = read_recipe(opened(file))
    if found is None:
        raise ImageError(f"{file}: has no recipe in it; wctstyle did not make it, or another program saved it since")
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    if as_python and ("video" in found or is_clip(file)):
        raise ConfigError(f"--python: {file} is a video, which only a command can make again; leave it out")
    if "video" in found:
        typer.echo(VideoRecipe.from_json(found, source=file).command())
        return
    kind = kind_of(found)
    if kind is not None:
        made = kind.from_json(found, source=file)
        typer.echo(made.program() if as_python else made.command(), nl=not as_python)
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


app.command()(batch)
app.command()(optimize)
app.command()(compare)
app.command()(dream)
app.command()(suggest)
app.command()(mask)
app.command()(demo)
app.command()(serve)
app.command()(train)
app.add_typer(looks_app, name="looks")
app.add_typer(lut_app, name="lut")
app.add_typer(weights_app, name="weights")


def main() -> None:
    """Run the command line and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names need not be valid text
    app(prog_name="wctstyle")
