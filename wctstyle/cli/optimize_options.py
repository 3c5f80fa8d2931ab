"""The options that `wctstyle optimize` and `wctstyle compare` share; those of strokes are `stylize`'s too."""

from __future__ import annotations

import functools
from typing import Annotated

import typer

from wctstyle.optimizer.settings import (
    LEARNING_RATE,
    LEARNING_RATE_GIVEN,
    SMALLEST,
    SMALLEST_GIVEN,
    OptimizerKind,
    OptimizeSettings,
    Pooling,
    Statistic,
)
from wctstyle.settings import DEFAULT_STROKE_SCALE, MAX_SIDE, BlendKind, ModelName

OPTIMIZE_SIZE = 512
"""Long side, in pixels, to which larger photos are shrunk unless --size says otherwise."""

STARTS = ("fast", "content", "noise", "style")
"""What --init names; anything else is a file."""

DEFAULTS = OptimizeSettings()

_style_option = functools.partial(typer.Option, rich_help_panel="Style")
_loss_option = functools.partial(typer.Option, rich_help_panel="Loss")
_descent_option = functools.partial(typer.Option, rich_help_panel="Descent")
_size_option = functools.partial(typer.Option, rich_help_panel="Size")
output_option = functools.partial(typer.Option, rich_help_panel="Output")

Content = Annotated[str, typer.Argument(metavar="CONTENT", show_default=False, help="A photo, or sample:NAME.")]
Style = Annotated[
    list[str] | None,
    _style_option(
        "--style",
        metavar="PATH[:WEIGHT][@REGION]",
        show_default=False,
        help="Picture whose colors and textures to take, or sample:NAME; give it several times to blend, each with its "
        "share. @REGION: only where that mask is white.",
    ),
]
Mask = Annotated[
    list[str] | None,
    _style_option(
        "--mask",
        metavar="NAME=FILE",
        show_default=False,
        help="A region for styles with @NAME: white counts, grey in part. @face and @rest need no mask.",
    ),
]
Strength = Annotated[
    float, _style_option(help="From the photo's own statistics (0) to the style's (1), whatever the weights are.")
]
BlendOption = Annotated[
    BlendKind, _style_option(help="How several styles become one: mixture is the weighted mean of Gram matrices.")
]
OriginalColors = Annotated[
    bool, _style_option("--original-colors", help="Optimise lightness alone and keep the photo's colors.")
]
ContentWeight = Annotated[float, _loss_option(help="What keeping the photo weighs.")]
StyleWeight = Annotated[float, _loss_option(help="What the style weighs.")]
TvWeight = Annotated[float, _loss_option(help="What smoothness weighs: more takes grain away, and then detail.")]
KeepFaces = Annotated[
    float, _loss_option(help="How much more the photo weighs on its faces, 0 to 1; 0 does not look for faces.")
]
ContentLayers = Annotated[
    str | None,
    _loss_option(metavar="LAYER[=WEIGHT],...", show_default="relu4_2", help="Layers that keep the photo."),
]
StyleLayers = Annotated[
    str | None,
    _loss_option(
        metavar="LAYER[=WEIGHT],...", show_default="relu1_1 to relu5_1 alike", help="Layers that take the style."
    ),
]
StatisticOption = Annotated[
    Statistic, _loss_option(help="gram is the original; moments compares means and covariances as distributions.")
]
PoolingOption = Annotated[Pooling, _loss_option(help="How the network shrinks; avg is smoother.")]
NormalizeGradients = Annotated[
    bool, _loss_option("--normalize-gradients", help="Let every term pull alike at the start of each scale.")
]
Steps = Annotated[int, _descent_option(help="Evaluations over all scales together.")]
DescentOption = Annotated[
    OptimizerKind, _descent_option("--optimizer", help="lbfgs needs fewer steps; adam is smoother.")
]
Init = Annotated[
    str,
    _descent_option(
        metavar="|".join((*STARTS, "PATH")),
        help="What to start from: the fast result, the photo, noise, the style, a file.",
    ),
]
LearningRate = Annotated[
    float | None,
    _descent_option(
        show_default=f"{LEARNING_RATE_GIVEN} from the fast result or a file, else {LEARNING_RATE}",
        help="Adam's step, in units of the picture's range.",
    ),
]
Average = Annotated[
    float, _descent_option(help="Adam shows a mean of its pictures, each weighing this share of the next; 0: the last.")
]
History = Annotated[int, _descent_option(help="Steps that L-BFGS remembers; each takes memory of two pictures.")]
Smallest = Annotated[
    int | None,
    _descent_option(
        metavar="LONG_SIDE",
        show_default=f"{SMALLEST_GIVEN} from the fast result or a file, else {SMALLEST}",
        help="The coarsest scale is not below this; as large as --size: one scale.",
    ),
]
Seed = Annotated[int, _descent_option(help="Of the noise to start from.")]
TimeBudget = Annotated[
    float | None, _descent_option(metavar="SECONDS", show_default="no limit", help="Stop after this time.")
]
Plateau = Annotated[
    float, _descent_option(help="Leave a scale when 20 steps lowered the loss by less than this share; 0: never.")
]
ModelOption = Annotated[
    ModelName,
    _descent_option(
        help="The network whose features are compared: medium takes half a minute to a minute; vgg19, the original, "
        "takes some minutes and needs `weights get vgg19`; slim is fastest."
    ),
]
Size = Annotated[
    int | None,
    _size_option(
        metavar="LONG_SIDE",
        show_default=f"{OPTIMIZE_SIZE} for larger photos, never enlarged",
        help=f"Long side of the result in pixels, up to {MAX_SIDE}; enlarges or shrinks; 0: the photo's own.",
    ),
]
StrokeScale = Annotated[
    float | None,
    _size_option(
        metavar="FLOAT",
        show_default=f"{DEFAULT_STROKE_SCALE:g}",
        help="Size of the strokes, 0.25 to 4: the long side of the style pictures by that of the result.",
    ),
]
StyleSize = Annotated[
    int | None,
    _size_option(
        metavar="LONG_SIDE",
        show_default="by --stroke-scale",
        help="Long side of the style pictures in pixels, instead of --stroke-scale; 0: their own.",
    ),
]
MaxPixels = Annotated[int, _size_option(help="Refuse to read larger pictures; 0: no limit.")]
Overwrite = Annotated[bool, output_option("--overwrite", help="Replace results that exist; never inputs.")]
AsJson = Annotated[bool, output_option("--json", help="Print the course as one JSON object per line, nothing else.")]
