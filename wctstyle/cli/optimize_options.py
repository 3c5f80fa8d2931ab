"""The options of `wctstyle optimize` and `wctstyle compare`."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from wctstyle.cli.options import output_option, result_file, result_size, style_option
from wctstyle.optimization import OPTIMIZE_SIZE, STARTS
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
from wctstyle.settings import BlendKind, ModelName

DEFAULTS = OptimizeSettings()

_loss_option = functools.partial(typer.Option, rich_help_panel="Loss")
_descent_option = functools.partial(typer.Option, rich_help_panel="Descent")

Content = Annotated[str, typer.Argument(metavar="CONTENT", show_default=False, help="A photo, or sample:NAME.")]
Strength = Annotated[
    float, style_option(help="From the photo's own statistics (0) to the style's (1), whatever the weights are.")
]
BlendOption = Annotated[
    BlendKind, style_option(help="How several styles become one: mixture is the weighted mean of Gram matrices.")
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
DreamOption = Annotated[
    str | None,
    _loss_option(
        metavar="LAYER[:CHANNELS][=WEIGHT],...",
        show_default=False,
        help="Raise what the network sees there too, as `wctstyle dream` does: relu5_1=0.1, or relu4_1:3+17=0.2 for "
        "two channels.",
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
Size = Annotated[int | None, result_size(OPTIMIZE_SIZE)]
Output = Annotated[str | None, result_file("File to write, its suffix says the format.")]
OutputFolder = Annotated[
    Path,
    output_option("--output", "-o", metavar="DIR", show_default=False, help="Folder for the pictures and the report."),
]
SaveEvery = Annotated[
    int, output_option(metavar="STEPS", help="Save a preview beside OUT every so many steps; 0: none.")
]
Resume = Annotated[
    bool, output_option("--resume", help="Go on where the same command was stopped (OUT.state.safetensors).")
]
AsJson = Annotated[bool, output_option("--json", help="Print the course as one JSON object per line, nothing else.")]
