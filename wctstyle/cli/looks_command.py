"""The commands `wctstyle looks ...`, and how a look and the options beside it become one."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from wctstyle import looks, samples
from wctstyle.cli.console import Verbose, clean_exit, print_table
from wctstyle.cli.options import Overwrite
from wctstyle.errors import ConfigError
from wctstyle.looks import Look
from wctstyle.recipe import format_style, slow_settings
from wctstyle.settings import optimizer_model
from wctstyle.sources import public_name

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


def in_look(
    name: str | None, values: dict[str, Any], given: Callable[[str], bool], *, slow: bool = False
) -> dict[str, Any]:
    """Return the values of options, those not given as the look of --use-look has them; `slow`: for an optimisation.

    Raises:
        ConfigError: there is no such look, or a style of it is not at hand.
    """
    if name is None:
        return values
    look = looks.find(name)
    dials: Mapping[str, Any] = {
        **(slow_settings(look.settings) if slow else dataclasses.asdict(look.settings)),
        "model": optimizer_model(look.model) if slow else look.model,
        "stroke_scale": None if given("style_size") else look.stroke_scale,
    }
    chosen = {option: value if given(option) else dials.get(option, value) for option, value in values.items()}
    return chosen if given("style") else {**chosen, "style": _styles(look, name)}


def _styles(look: Look, name: str) -> list[str]:
    """Write a look's styles as --style takes them; files lie in the current folder or beside the look's own file.

    Folders that a look names do not count: it may be a stranger's.
    """
    written, missing = [], []
    for style in look.styles:
        own = public_name(style.name)
        places = [own, os.path.join(os.path.dirname(name), own)]
        source = own if own.startswith(samples.PREFIX) else next(filter(os.path.isfile, places), None)
        if source is None:
            missing.append(own)
        else:
            written.append(format_style(source, style.weight))
    if missing:
        raise ConfigError(
            f"--use-look {name}: needs {' and '.join(missing)}, which the current folder does not have; put "
            f"{'it' if len(missing) == 1 else 'them'} there, or give --style"
        )
    return written
