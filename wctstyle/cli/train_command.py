"""The command `wctstyle train`."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from wctstyle import images
from wctstyle.cli.console import Verbose, clean_exit, tell
from wctstyle.cli.contents import readable
from wctstyle.errors import ConfigError


@clean_exit
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
    painter: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            show_default=False,
            help="File (.npz) with an encoder to relu4_1 and a decoder that paints, whose pictures are learned from.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print progress as one JSON object per line.")] = False,
    verbose: Verbose = 0,
) -> None:
    """Train a model by a recipe; the same command goes on where it was stopped."""
    for option, folder in (("--content", content), ("--style", style)):
        if not any(images.is_image_file(path) for path in folder.rglob("*")):
            raise ConfigError(f"{option} {folder}: no pictures in this folder; wanted one of {readable()}")
    from wctstyle.compilation import check_device, enable_compilation_cache
    from wctstyle.training.pictures import load_painter
    from wctstyle.training.recipe import load_recipe
    from wctstyle.training.recipe import train as run_recipe

    check_device()
    enable_compilation_cache()  # a step takes a minute to compile, and again whenever a stage goes on
    plan = load_recipe(recipe)
    try:
        path = run_recipe(
            plan,
            content=content,
            style=style,
            teacher=_teacher(teacher, out),
            painter=load_painter(painter) if painter else None,
            out=out,
            report=functools.partial(_report, as_json=as_json),
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


def _report(figures: Mapping[str, Any], *, as_json: bool) -> None:
    """Show what training measured: a JSON line on stdout, or a readable line on stderr."""
    if as_json:
        typer.echo(json.dumps(figures))
    else:
        tell(_line(figures))


def _line(figures: Mapping[str, Any]) -> str:
    """Write one report of a training stage as a line to read."""
    rest = {k: v for k, v in figures.items() if k not in ("stage", "step", "steps", "seconds")}
    line = f"{figures.get('stage', '')}"
    if "step" in figures:
        line += f" {figures['step']}/{figures.get('steps', '?')}"
    if "seconds" in figures:
        line += f" {figures['seconds']:.0f} s"
    return line + "".join(f"  {k} {v:.4g}" if isinstance(v, float) else f"  {k} {v}" for k, v in rest.items())
