"""The options that several commands have, and how errors of the rooms below come to name options."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypeVar

import typer

from wctstyle.errors import ConfigError, ImageError
from wctstyle.inputs import Sizes, Strokes
from wctstyle.settings import DEFAULT_STROKE_SCALE, MAX_SIDE, ColorsKind
from wctstyle.spelling import option

_T = TypeVar("_T")

style_option = functools.partial(typer.Option, rich_help_panel="Style")
size_option = functools.partial(typer.Option, rich_help_panel="Size")
output_option = functools.partial(typer.Option, rich_help_panel="Output")
many_option = functools.partial(typer.Option, rich_help_panel="Many pictures")

Style = Annotated[
    list[str] | None,
    style_option(
        "--style",
        metavar="PATH[:WEIGHT][@REGION]",
        show_default=False,
        help="Picture whose colors and textures to take, or sample:NAME; give it several times to blend, each with its "
        "share. @REGION: only where that mask is white.",
    ),
]
Mask = Annotated[
    list[str] | None,
    style_option(
        "--mask",
        metavar="NAME=FILE",
        show_default=False,
        help="A region for styles with @NAME: white counts, grey in part. FILE#COLOR is one color of a map, and "
        "ready:KIND is found in the photo (`wctstyle mask --list`). @face and @rest need no mask.",
    ),
]
MaskMap = Annotated[
    str | None,
    style_option(
        "--mask-map",
        metavar="FILE",
        show_default=False,
        help="A map of regions in a few flat colors: @blue is where it is blue.",
    ),
]
Colors = Annotated[
    ColorsKind,
    style_option(
        help="Whose colors: style's; photo's own; match recolors the styles after the photo first; only takes the "
        "style's colors and paints nothing."
    ),
]
Color = Annotated[float, style_option(help="From the photo's colors (0) to those that --colors gives (1).")]
UseLook = Annotated[
    str | None,
    style_option(
        metavar="NAME|FILE",
        show_default=False,
        help="Take styles, settings, model and stroke scale from a look (`wctstyle looks`); other options override it.",
    ),
]
StyleMask = Annotated[
    list[str] | None,
    style_option(
        "--style-mask",
        metavar="REGION[/NUMBER]=FILE",
        show_default=False,
        help="The part of a region's styles to use: white counts, grey in part. NAME/2=FILE is for its second style "
        "alone. Without regions, REGION is rest.",
    ),
]
RegionDials = Annotated[
    list[str] | None,
    style_option(
        "--region",
        metavar="NAME:DIAL=VALUE,...",
        show_default=False,
        help="A region's own dials: strength (times the picture's), detail, texture, colors, color, and stroke for its "
        "stroke scale.",
    ),
]
Feather = Annotated[
    float,
    style_option(help="How softly regions meet, 0 to 0.1 of the long side; 0: as hard as their masks."),
]
StrokeScale = Annotated[
    float | None,
    size_option(
        metavar="FLOAT",
        show_default=f"{DEFAULT_STROKE_SCALE:g}",
        help="Size of the strokes, 0.25 to 4: the long side of the style pictures by that of the result.",
    ),
]
StyleSize = Annotated[
    int | None,
    size_option(
        metavar="LONG_SIDE",
        show_default="by --stroke-scale",
        help="Long side of the style pictures in pixels, instead of --stroke-scale; 0: their own.",
    ),
]
MaxPixels = Annotated[int, size_option(help="Refuse to read larger pictures; 0: no limit.")]
Quality = Annotated[int, output_option(help="Of JPEG and WebP: 1 smallest file to 100 best picture.")]
Overwrite = Annotated[bool, output_option("--overwrite", help="Replace results that exist; never inputs.")]


def result_size(usual: int, most: int = MAX_SIDE) -> Any:
    """Declare --size, where larger photos are shrunk to what is usual."""
    return size_option(
        metavar="LONG_SIDE",
        show_default=f"{usual} for larger photos, never enlarged",
        help=f"Long side of the result in pixels, up to {most}; enlarges or shrinks; 0: the photo's own.",
    )


def result_file(help: str) -> Any:
    """Declare --output, for a file named after the photo where it is not given."""
    return output_option(
        "--output", "-o", metavar="OUT", show_default="NAME-stylized.png in the current folder", help=help
    )


_GIVEN = re.compile(r"(?<!\S)(size|style_size|stroke_scale|refine|look)=(?=[\d.]+[ ,;])")


@contextlib.contextmanager
def option_names() -> Iterator[None]:
    """Write `size=0`, as errors of the rooms below have it, as `--size 0`."""
    try:
        yield
    except (ConfigError, ImageError) as error:
        raise type(error)(with_option_names(str(error))) from error


def with_option_names(text: str) -> str:
    """Write `size=0` in an error as `--size 0`."""
    return _GIVEN.sub(lambda found: f"{option(found[1])} ", text)


def from_options(checked: Callable[..., _T], **values: Any) -> _T:
    """Call what checks its values, as `Settings` does; the errors begin with a name of one, which here is an option.

    Raises:
        ConfigError: a value out of range, naming the option.
    """
    try:
        with option_names():
            return checked(**values)
    except ConfigError as error:
        name, _, rest = str(error).partition(" ")
        raise ConfigError(f"{option(name)} {rest}" if name in values else str(error)) from error


def sizes_from(
    size: int | None, style_size: int | None, stroke_scale: float | None, max_pixels: int, most: int = MAX_SIDE
) -> Sizes:
    """Check the options of sizes.

    Raises:
        ConfigError: one is out of range, or two contradict each other.
    """
    strokes = from_options(Strokes, style_size=style_size, stroke_scale=stroke_scale)
    return from_options(Sizes, size=size, strokes=strokes, max_pixels=max_pixels, most=most)
