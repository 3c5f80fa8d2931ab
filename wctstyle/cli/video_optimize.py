"""The options of `wctstyle video` that are for --optimize."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from wctstyle.cli.options import from_options, style_option
from wctstyle.errors import ConfigError
from wctstyle.optimizer.settings import MAX_STEPS, OptimizeSettings
from wctstyle.recipe import Optimisation, slow_settings
from wctstyle.settings import Settings, checked_whole, optimizer_model
from wctstyle.specs import parse_layers
from wctstyle.spelling import option
from wctstyle.video.recipe import OPTIMIZED_BY

Optimize = Annotated[
    bool,
    style_option(
        "--optimize",
        help="Optimise each frame, from the one before: much slower and closer to the style. Loss and Descent are for "
        "this.",
    ),
]
Steps = Annotated[int, typer.Option(rich_help_panel="Descent", help="Evaluations for a frame that follows another.")]
FirstSteps = Annotated[
    int, typer.Option(rich_help_panel="Descent", help="Evaluations for the first frame, and after each cut.")
]


def optimisation_from(
    given: Callable[[str], bool], values: Mapping[str, Any], settings: Settings, model: str
) -> Optimisation | None:
    """Read how the first frame of a shot is optimised; None where frames are not.

    Raises:
        ConfigError: options contradict each other, or a value is out of range.
    """
    chosen = {name: values[name] for name in OPTIMIZED_BY if given(name)}
    if not values["optimize"]:
        for name in (*chosen, *filter(given, ("steps", "first_steps"))):
            raise ConfigError(f"{option(name)}: has no effect without --optimize; give that too, or leave it out")
        return None
    if settings.refine:
        raise ConfigError(f"--refine {settings.refine}: has no effect with --optimize; give --refine 0")
    if settings.photo:
        raise ConfigError("--photo: leaves nothing to optimise; leave out --photo or --optimize")
    for name in ("steps", "first_steps"):
        checked_whole(option(name), values[name], 1, MAX_STEPS)
    for name in ("content_layers", "style_layers"):
        if name in chosen:
            chosen[name] = parse_layers(option(name), chosen[name])
    goal = from_options(OptimizeSettings, **{**slow_settings(settings), **chosen, "steps": values["first_steps"]})
    return Optimisation(goal, optimizer_model(model))
