"""Settings of an optimisation: choices, limits and defaults. Does not import JAX."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from wctstyle.errors import ConfigError
from wctstyle.settings import DEFAULT_KEEP_FACES, LEVELS, BlendKind

OptimizerKind = Literal["lbfgs", "adam"]
Statistic = Literal["gram", "moments"]
Pooling = Literal["max", "avg"]
Start = Literal["fast", "image", "content", "noise", "style"]

STAGE_CONVS = (2, 2, 4, 4, 1)
"""Number of layers per stage, relu1_1..relu5_1, as in `encoder.STAGE_CONVS`."""

LAYERS = tuple(f"relu{stage}_{i}" for stage, n in enumerate(STAGE_CONVS, start=1) for i in range(1, n + 1))

LEAST_SIDE = 2
"""Smallest side of a picture that can be optimised: a single row has no neighbours to compare."""

GIVEN = ("fast", "image")
"""The starts that are given as a picture and assumed to be close to the result."""

SMALLEST = 192
SMALLEST_GIVEN = 512
"""Least long side of the coarsest scale, in pixels, and the same for the starts in `GIVEN`.

The fast result already has its large shapes. Restarting from a coarser scale loses fine detail and likeness to the
photo, and faces from the painting appear where there were none (docs/notes/results-of-five-maps.md)."""

LEARNING_RATE = 0.02
LEARNING_RATE_GIVEN = 0.005
"""Adam's learning rates. The fast result needs only small changes; longer steps add noise (docs/notes/descent.md)."""

FACE_WEIGHT = 20.0
"""Additional content weight on a face at keep_faces 1. Chosen by eye (docs/notes/results-of-five-maps.md)."""

MAX_STEPS = 1_000_000
MAX_HISTORY = 100


def _levels() -> dict[str, float]:
    return {f"relu{level}_1": 1.0 for level in LEVELS}


def _content() -> dict[str, float]:
    return {"relu4_2": 1.0}


@dataclass(frozen=True)
class OptimizeSettings:
    """Settings of an optimisation. Values are checked on creation.

    steps: total evaluations of loss and gradient over all scales. optimizer: lbfgs or adam. strength: 0..1, from the
    photo's own statistics to the style's. content_weight, style_weight, tv_weight: weights of the three terms; each
    term is relative to its target, so a weight means the same at every size and for every style. keep_faces: 0..1, how
    much more content weighs on the photo's faces, `FACE_WEIGHT` more at 1; 0 turns face detection off. content_layers,
    style_layers: weight by layer name (relu1_1 to relu5_1). statistic: gram, or moments (Wasserstein distance of mean
    and covariance). blend: how several styles are merged into one target; mixture is the weighted mean of Gram
    matrices. pooling: max or avg. init: the start; for "fast" and "image", pass the picture to `Optimizer.run`.
    smallest: least long side of the coarsest scale, in pixels; None means `SMALLEST`, or `SMALLEST_GIVEN` for "fast"
    and "image". original_colors: optimise only lightness and keep the photo's colours. seed: for the noise.
    learning_rate: Adam's, in units of the picture's range 0..1; None means `LEARNING_RATE`, or `LEARNING_RATE_GIVEN`
    for "fast" and "image". history: number of pairs that L-BFGS stores. normalize_gradients: at the start of each
    scale, scale the content and style terms so that their gradients all have the mean of their norms. time_budget:
    seconds, divided among the scales; None means no limit. plateau: stop a scale when 20 steps lowered the loss by less
    than this share; 0 never stops. average: decay of the mean of Adam's iterates that is shown; 0 shows the last
    iterate.

    Raises:
        ConfigError: a value out of range, naming it.
    """

    steps: int = 80
    optimizer: OptimizerKind = "lbfgs"
    strength: float = 1.0
    content_weight: float = 0.03
    style_weight: float = 1.0
    tv_weight: float = 0.05
    keep_faces: float = DEFAULT_KEEP_FACES
    content_layers: Mapping[str, float] = field(default_factory=_content)
    style_layers: Mapping[str, float] = field(default_factory=_levels)
    statistic: Statistic = "gram"
    blend: BlendKind = "barycenter"
    pooling: Pooling = "max"
    init: Start = "fast"
    smallest: int | None = None
    original_colors: bool = False
    seed: int = 0
    learning_rate: float | None = None
    history: int = 10
    normalize_gradients: bool = False
    time_budget: float | None = None
    plateau: float = 0.0
    average: float = 0.99

    def __post_init__(self) -> None:
        for name, kinds in (
            ("optimizer", OptimizerKind), ("statistic", Statistic), ("blend", BlendKind), ("pooling", Pooling),
            ("init", Start),
        ):  # fmt: skip
            if getattr(self, name) not in get_args(kinds):
                raise ConfigError(f"{name} is {getattr(self, name)!r}, must be one of {', '.join(get_args(kinds))}")
        _whole("steps", self.steps, 1, MAX_STEPS)
        if self.smallest is not None:
            _whole("smallest", self.smallest, 16, 1 << 20)
        _whole("seed", self.seed, 0, 2**32 - 1)
        _whole("history", self.history, 1, MAX_HISTORY)
        _number("strength", self.strength, 0, 1)
        _number("keep_faces", self.keep_faces, 0, 1)
        for name in ("content_weight", "style_weight", "tv_weight"):
            _number(name, getattr(self, name), 0, math.inf)
        if self.learning_rate is not None:
            _number("learning_rate", self.learning_rate, 0, 1, open_low=True)
        _number("plateau", self.plateau, 0, 1, open_high=True)
        _number("average", self.average, 0, 1, open_high=True)
        if self.time_budget is not None:
            _number("time_budget", self.time_budget, 0, math.inf, open_low=True)
        for name in ("content_layers", "style_layers"):
            _check_layers(name, getattr(self, name))
        used = self.content_weight * sum(self.content_layers.values()) + self.style_weight * sum(
            self.style_layers.values()
        )
        if used <= 0:
            raise ConfigError(
                "content_weight, or that of all its layers, is 0, and the style's too: nothing to optimise"
            )

    def scales(self, height: int, width: int) -> list[tuple[int, int]]:
        """Return the (height, width) of each scale of a picture, coarsest first."""
        by_start = SMALLEST_GIVEN if self.init in GIVEN else SMALLEST
        return pyramid(height, width, by_start if self.smallest is None else self.smallest)

    def adam_rate(self) -> float:
        """Return Adam's learning rate."""
        by_start = LEARNING_RATE_GIVEN if self.init in GIVEN else LEARNING_RATE
        return by_start if self.learning_rate is None else self.learning_rate

    def as_json(self) -> dict[str, Any]:
        """Return the settings as JSON types."""
        return dataclasses.asdict(self)


def _whole(name: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(f"{name} is {value!r}, must be a whole number from {low} to {high}")


def _number(
    name: str, value: float, low: float, high: float, *, open_low: bool = False, open_high: bool = False
) -> None:
    inside = math.isfinite(value) and low <= value <= high
    if not inside or (open_low and value == low) or (open_high and value == high):
        bounds = f"{'above' if open_low else 'at least'} {low:g}"
        bounds += "" if high == math.inf else f" and {'below' if open_high else 'at most'} {high:g}"
        raise ConfigError(f"{name} is {value}, must be {bounds}")


def _check_layers(name: str, layers: Mapping[str, float]) -> None:
    if not layers:
        raise ConfigError(f"{name} is empty, must name at least one of {LAYERS[0]} to {LAYERS[-1]}")
    for layer, weight in layers.items():
        if layer not in LAYERS:
            raise ConfigError(f"{name} names {layer!r}, must be one of {', '.join(LAYERS)}")
        _number(f"{name} of {layer}", weight, 0, math.inf)


def level_of(layer: str) -> int:
    """Return the level (1..5) of a layer's name: 4 for relu4_2."""
    found = re.fullmatch(r"relu([1-5])_\d", layer)
    if found is None:
        raise ConfigError(f"{layer!r} is no layer, must be one of {', '.join(LAYERS)}")
    return int(found[1])


def pyramid(height: int, width: int, smallest: int) -> list[tuple[int, int]]:
    """Return the (height, width) of each scale, coarsest first: halved while the long side stays >= `smallest`."""
    sizes = [(height, width)]
    while max(sizes[0]) >= 2 * smallest:
        sizes.insert(0, tuple(max(1, (side + 1) // 2) for side in sizes[0]))  # pyright: ignore[reportArgumentType]
    return sizes


def share_out(steps: int, scales: int) -> list[int]:
    """Split the steps over the scales, coarsest first; the finest scale gets the remainder."""
    scales = max(1, scales)
    return [steps // scales] * (scales - 1) + [steps - steps // scales * (scales - 1)]
