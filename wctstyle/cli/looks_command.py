"""The commands `wctstyle looks ...`, and how a look and the options beside it become one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from wctstyle import looks
from wctstyle.cli.console import Verbose, clean_exit, print_table
from wctstyle.cli.options import Overwrite

looks_app = typer.Typer(help="List looks, which are blends with their dials by name; save and remove own ones.")

Name = Annotated[str, typer.Argument(show_default=False, help="Of letters, digits, spaces, - and _.")]


@looks_app.callback(invoke_without_command=True)
@clean_exit
def list_looks(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list, nothing else.")] = False,
    verbose: Verbose = 0,
) -> None:
    """List the looks for --use-look: those that come along, then your own."""
    if context.invoked_subcommand is not None:
        return
    found = [looks.find(name) for name in (*looks.shipped(), *looks.own())]
    if as_json:
        typer.echo(json.dumps([look.to_json() for look in found]))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for look in found:
        table.add_row(Text(look.name, no_wrap=True), Text(look.text), Text(looks.describe(look)))
    print_table(table)


@looks_app.command()
@clean_exit
def save(
    name: Name,
    source: Annotated[
        Path, typer.Argument(show_default=False, help="A picture that wctstyle made, its recipe, or a look's file.")
    ],
    overwrite: Overwrite = False,
    verbose: Verbose = 0,
) -> None:
    """Keep the look of a picture, and print the file that holds it; the file loads anywhere."""
    typer.echo(str(looks.save(name, source, overwrite=overwrite)))


@looks_app.command()
@clean_exit
def remove(name: Name, verbose: Verbose = 0) -> None:
    """Delete a look that you saved."""
    looks.remove(name)


def given_options(context: typer.Context) -> Callable[[str], bool]:
    """Return what says whether an option was given on the command line."""

    def given(option: str) -> bool:
        source = context.get_parameter_source(option)
        return source is not None and source.name != "DEFAULT"

    return given
