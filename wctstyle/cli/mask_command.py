"""The command `wctstyle mask`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from wctstyle import images, masks
from wctstyle.cli import options
from wctstyle.cli.console import Verbose, clean_exit, print_table
from wctstyle.cli.contents import expand_contents, kind_of_several
from wctstyle.cli.options import output_option
from wctstyle.cli.outputs import plan_outputs
from wctstyle.errors import ConfigError
from wctstyle.inputs import read


@clean_exit
def mask(
    photo: Annotated[
        str | None, typer.Argument(metavar="PHOTO", show_default=False, help="A photo, or sample:NAME.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option("--ready", metavar="KIND", show_default=False, help=f"One of {', '.join(masks.READY)}."),
    ] = None,
    scribble: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help="Marks on the photo, or alone in a picture of its shape: green inside, red outside.",
        ),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the kinds of --ready.")] = False,
    max_pixels: options.MaxPixels = images.DEFAULT_MAX_PIXELS,
    output: Annotated[
        str | None, output_option("--output", "-o", metavar="OUT", show_default=False, help="File of the mask.")
    ] = None,
    overwrite: options.Overwrite = False,
    verbose: Verbose = 0,
) -> None:
    """Make a mask of a photo: by what it shows, or from a few marks.

    wctstyle mask photo.jpg --ready sky -o mask.png
    """
    if listed:
        _list()
        return
    if photo is None or output is None or (kind is None) == (scribble is None):
        raise ConfigError("wanted a photo, --ready KIND or --scribble FILE, and -o OUT; or --list alone")
    if kind is not None:
        masks.checked_kind(kind)
    if expand_contents([photo]) != [photo]:
        raise ConfigError(f"{photo}: is {kind_of_several(photo)}; a mask belongs to one photo")
    inputs = [photo, *([scribble] if scribble else [])]
    (path,) = plan_outputs([photo], into_folder=False, out=output, format=None, overwrite=overwrite, inputs=inputs)
    picture = read(photo, max_pixels)
    if kind is not None:
        plane = masks.ready(kind, picture)
    else:
        assert scribble is not None
        rgb = images.fill_hidden(picture).rgb
        plane = masks.from_scribble(rgb, masks.hints_of(read(scribble, max_pixels), rgb))
    typer.echo(str(images.save(path, plane)))


def _list() -> None:
    table, usable = Table(box=None, show_header=False, pad_edge=False), masks.offered()
    for kind, text in masks.READY.items():
        table.add_row(Text(kind), Text(text if kind in usable else f"{text} (not installed)"))
    print_table(table)
