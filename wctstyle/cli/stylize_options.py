"""The options of `wctstyle stylize` alone."""

from __future__ import annotations

from typing import Annotated

import typer

from wctstyle.batch import CONTENT_SIZE
from wctstyle.cli.naming import FIELDS
from wctstyle.cli.options import many_option, output_option, result_file, result_size, size_option, style_option
from wctstyle.cli.specs import Format
from wctstyle.jobs.sheets import MOST
from wctstyle.settings import LARGEST_SIDE, MAX_STRENGTH, BlendKind, ModelName, TransformKind

Contents = Annotated[
    list[str],
    typer.Argument(
        metavar="CONTENT",
        show_default=False,
        help="Photos, folders of photos (earlier results are ignored), patterns as 'trip/**/*.jpg', sample:NAME, or - "
        "(stdin).",
    ),
]
Strength = Annotated[
    float,
    style_option(help=f"How far to go, 0 to {MAX_STRENGTH}: 0 is the photo, 1 the full style, more goes beyond it."),
]
Detail = Annotated[float, style_option(help="How much of the photo's fine light and dark to put back, 0 to 1.")]
Texture = Annotated[
    float, style_option(help="How much there is to paint in plain areas, 0 to 1: 0 may leave skies bare.")
]
KeepFaces = Annotated[
    float,
    style_option(
        help="How strongly faces keep the photo's forms, 0 to 1; their colors are the style's. "
        "0 does not look for faces. Profiles are found with the extra `faces`."
    ),
]
Transform = Annotated[
    TransformKind,
    style_option(
        help="How the photo's statistics become the style's: mk moves them least, wct is the original, "
        "adain matches each channel alone."
    ),
]
Blend = Annotated[
    BlendKind,
    style_option(
        help="How several styles become one: barycenter merges them, linear averages their statistics, "
        "mixture keeps the variety of every style."
    ),
]
Refine = Annotated[
    int,
    style_option(
        metavar="STEPS",
        help="Refine the finished picture step by step, closer to the style; 10 take a few seconds at 512 pixels.",
    ),
]
Photo = Annotated[
    bool,
    style_option(
        "--photo",
        help="Keep it a photo: it takes the style's light and colors, and no paint. Give a photo as the style.",
    ),
]
Model = Annotated[
    ModelName, style_option(help="slim is fast, medium is better, vgg19 is best and needs `weights get vgg19`.")
]
Size = Annotated[int | None, result_size(CONTENT_SIZE, LARGEST_SIDE)]
Look = Annotated[
    int,
    size_option(
        metavar="LONG_SIDE",
        help="Larger results are composed at this size first, enlarged and painted once more, so that they look as "
        "small ones do; 0 paints every size at once.",
    ),
]
Output = Annotated[
    str | None,
    result_file(
        "File to write, its suffix says the format; a folder for several photos (made if missing); - is stdout."
    ),
]
FolderFormat = Annotated[
    Format | None, output_option(show_default="png", help="Format of files in a folder and of stdout.")
]
Depth = Annotated[
    int | None,
    output_option(
        metavar="8|16",
        show_default="the photo's",
        help="Bits per channel of PNG and TIFF; JPEG and WebP hold 8.",
    ),
]
KeepProfile = Annotated[
    bool,
    output_option("--keep-profile", help="Keep the photo's ICC profile and resolution, for print; else sRGB."),
]
SkipExisting = Annotated[
    bool,
    output_option(
        "--skip-existing",
        help="Leave results of the same photo and settings, by their recipes: goes on with a batch that was stopped.",
    ),
]
Recursive = Annotated[
    bool,
    many_option("--recursive", "-r", help="Include subfolders; results keep the same folders."),
]
EachStyle = Annotated[
    bool, many_option("--each-style", help="Paint every photo in every style, each alone, instead of a blend.")
]
Name = Annotated[
    str | None,
    many_option(
        "--name",
        metavar="TEMPLATE",
        show_default="{stem}-stylized.png, with --each-style {stem}-{style}.png",
        help=f"How results are called in the output folder; the fields are {', '.join(FIELDS)}.",
    ),
]
Sheet = Annotated[
    str | None,
    many_option(
        "--sheet", metavar="FILE", show_default=False, help=f"Save a contact sheet of all results, up to {MOST}."
    ),
]
KeepGoing = Annotated[
    bool,
    many_option("--keep-going/--stop-at-failure", help="What to do when one of several pictures fails."),
]
Report = Annotated[
    str | None,
    many_option(
        "--report",
        metavar="FILE",
        show_default=False,
        help="Write a line of JSON for each picture: content, output, seconds, and error where it failed.",
    ),
]
Workers = Annotated[
    int,
    many_option("--workers", min=1, metavar="N", help="Number of worker processes; each loads its own model."),
]
AsJson = Annotated[bool, output_option("--json", help="Print one JSON object per picture, nothing else.")]
