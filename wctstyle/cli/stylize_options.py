"""The options of `wctstyle stylize` alone."""

from __future__ import annotations

from typing import Annotated

import typer

from wctstyle.batch import CONTENT_SIZE
from wctstyle.cli.options import output_option, result_file, result_size, size_option, style_option
from wctstyle.cli.specs import Format
from wctstyle.settings import LARGEST_SIDE, MAX_STRENGTH, BlendKind, ModelName, TransformKind

Contents = Annotated[
    list[str],
    typer.Argument(
        metavar="CONTENT",
        show_default=False,
        help="Photos, folders of photos (subfolders and earlier results are ignored), sample:NAME, or - (stdin).",
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
AsJson = Annotated[bool, output_option("--json", help="Print one JSON object per picture, nothing else.")]
