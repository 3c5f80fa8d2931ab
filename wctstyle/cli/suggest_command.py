"""The command `wctstyle suggest`."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from wctstyle import images, samples
from wctstyle.cli import options
from wctstyle.cli.console import Verbose, clean_exit, print_table, waiting
from wctstyle.cli.contents import expand_contents, kind_of_several
from wctstyle.cli.options import sizes_from
from wctstyle.cli.stylize_options import Model
from wctstyle.cutout import visible_sides
from wctstyle.errors import ConfigError
from wctstyle.fitting import fit_style
from wctstyle.inputs import read_photo, read_style
from wctstyle.settings import DEFAULT_MODEL, SUGGEST_SIDE, style_long_side


@clean_exit
def suggest(
    photo: Annotated[str, typer.Argument(metavar="PHOTO", show_default=False, help="A photo, or sample:NAME.")],
    styles: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="STYLES",
            show_default="all sample styles",
            help="Pictures to choose from, folders of pictures, or sample:NAME.",
        ),
    ] = None,
    model: Model = DEFAULT_MODEL,
    max_pixels: options.MaxPixels = images.DEFAULT_MAX_PIXELS,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list, nothing else.")] = False,
    verbose: Verbose = 0,
) -> None:
    """List styles, those most like a photo first: in colors and textures, whatever their contrast.

    wctstyle suggest photo.jpg paintings/ sample:marbling
    """
    if expand_contents([photo]) != [photo]:
        raise ConfigError(f"{photo}: is {kind_of_several(photo)}; styles are suggested for one photo at a time")
    sources = expand_contents(styles or [samples.PREFIX + name for name in samples.names("style")])
    sizes = sizes_from(None, None, None, max_pixels)
    content = read_photo(photo, sizes, usual=SUGGEST_SIDE)[1]
    side = style_long_side(max(visible_sides(content)))
    pictures = [fit_style(read_style(source, max_pixels), side).rgb for source in sources]
    with waiting("measuring"):
        from wctstyle.stylizer import Stylizer  # here, as mistakes are told before JAX is imported

        nearest = sorted(zip(Stylizer(model).distances(content, pictures), sources, strict=True))
    if as_json:
        typer.echo(json.dumps([{"style": source, "distance": round(far, 4)} for far, source in nearest]))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for far, source in nearest:
        table.add_row(Text(source, no_wrap=True), f"{far:.3f}")
    print_table(table)
