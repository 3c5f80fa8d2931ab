"""Settings of an optimisation: choices, limits and defaults. Does not import JAX."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from wctstyle.errors import ConfigError
from wctstyle.settings import (
    DEFAULT_KEEP_FACES,
    LARGEST,
    LEVELS,
    MAX_SEED,
    BlendKind,
    ColorsKind,
    checked_choice,
    checked_number,
    checked_switch,
    checked_whole,
)

OptimizerKind = Literal["lbfgs", "adam"]
Statistic = Literal["gram", "moments"]
Pooling = Literal["max", "avg"]
Border = Literal["zero", "reflect", "wrap"]
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

FRAME_STEPS = 20
"""Steps of a frame of a video that starts from the one before."""

MAX_STEPS = 1_000_000
MAX_HISTORY = 100

WHOLES = {"steps": (1, MAX_STEPS), "smallest": (16, 1 << 20), "seed": (0, MAX_SEED), "history": (1, MAX_HISTORY)}
"""The settings that are whole numbers, with the least and the most they may be."""

RANGES = {
    "strength": (0, 1),
    "color": (0, 1),
    "keep_faces": (0, 1),
    "content_weight": (0, LARGEST),
    "style_weight": (0, LARGEST),
    "tv_weight": (0, LARGEST),
}
"""The same for numbers."""

BELOW = {"plateau": (0, 1), "average": (0, 1)}
"""The same for numbers that stay below the most."""

ABOVE = {"learning_rate": (0, 1.0), "time_budget": (0, LARGEST)}
"""The same for numbers, if they are given, that stay above the least."""


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
    and "image". colors: style; photo (only lightness is optimised); match (the styles get the photo's colours first).
    The pass's "only" paints nothing and is refused. color: as in `Settings`, mixed into the pictures that are shown.
    seed: for the noise. learning_rate: Adam's, in units of the picture's range 0..1; None means `LEARNING_RATE`, or
    `LEARNING_RATE_GIVEN` for "fast" and "image". history: number of pairs that L-BFGS stores. normalize_gradients: at
    the start of each scale, scale the content and style terms so that their gradients all have the mean of their norms.
    time_budget: seconds, divided among the scales; None means no limit. plateau: stop a scale when 20 steps lowered the
    loss by less than this share; 0 never stops. average: decay of the mean of Adam's iterates that is shown; 0 shows
    the last iterate. dream: what is raised as deep dream does it (`terms.DreamTerm`), with weights: layers, or channels
    of one as "relu4_1:3+17".

    Raises:
        ConfigError: a value out of range, naming it.

    Example:
        >>> settings = OptimizeSettings(steps=40, init="content")
        >>> settings.scales(512, 768), settings.adam_rate(), settings.as_json()["steps"]
        ([(128, 192), (256, 384), (512, 768)], 0.02, 40)
        >>> OptimizeSettings(steps=0)
        Traceback (most recent call last):
        wctstyle.errors.ConfigError: steps is 0, must be a whole number from 1 to 1000000
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
    colors: ColorsKind = "style"
    color: float = 1.0
    seed: int = 0
    learning_rate: float | None = None
    history: int = 10
    normalize_gradients: bool = False
    time_budget: float | None = None
    plateau: float = 0.0
    average: float = 0.99
    dream: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        def keep(name: str, checked: Any) -> None:
            object.__setattr__(self, name, checked)

        for name, kinds in (
            ("optimizer", OptimizerKind), ("statistic", Statistic), ("blend", BlendKind), ("pooling", Pooling),
            ("init", Start), ("colors", ColorsKind),
        ):  # fmt: skip
            checked_choice(name, getattr(self, name), kinds)
        for name, bounds in WHOLES.items():
            if name != "smallest" or self.smallest is not None:
                keep(name, checked_whole(name, getattr(self, name), *bounds))
        for name, bounds in RANGES.items():
            keep(name, checked_number(name, getattr(self, name), *bounds))
        for name, bounds in BELOW.items():
            keep(name, checked_number(name, getattr(self, name), *bounds, open_high=True))
        for name, bounds in ABOVE.items():
            if getattr(self, name) is not None:
                keep(name, checked_number(name, getattr(self, name), *bounds, open_low=True))
        if self.colors == "only":
            raise ConfigError("colors is 'only', which paints nothing to optimise; choose style, photo or match")
        keep("normalize_gradients", checked_switch("normalize_gradients", self.normalize_gradients))
        for name in ("content_layers", "style_layers"):
            keep(name, _checked_layers(name, getattr(self, name)))
        if not isinstance(self.dream, Mapping):
            raise ConfigError(f'dream is {self.dream!r}, must name layers with their weights, as {{"relu4_1": 0.1}}')
        for part in self.dream:
            dream_part(part)
        keep("dream", {part: checked_number(f"dream of {part}", weight, 0) for part, weight in self.dream.items()})
        layered = ((self.content_weight, self.content_layers), (self.style_weight, self.style_layers), (1, self.dream))
        used = sum(weight * sum(layers.values()) for weight, layers in layered)
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


def _checked_layers(name: str, layers: Any) -> dict[str, float]:
    if not isinstance(layers, Mapping):
        raise ConfigError(f'{name} is {layers!r}, must name layers with their weights, as {{"relu4_2": 1.0}}')
    if not layers:
        raise ConfigError(f"{name} is empty, must name at least one of {LAYERS[0]} to {LAYERS[-1]}")
    for layer in layers:
        if layer not in LAYERS:
            raise ConfigError(f"{name} names {layer!r}, must be one of {', '.join(LAYERS)}")
    return {layer: checked_number(f"{name} of {layer}", weight, 0) for layer, weight in layers.items()}


def dream_part(text: Any) -> tuple[str, tuple[int, ...]]:
    """Read what is dreamt of: a layer, or some of its channels as relu4_1:3+17.

    Raises:
        ConfigError: it is neither.

    Example:
        >>> dream_part("relu4_1:3+17"), dream_part("relu5_1")
        (('relu4_1', (3, 17)), ('relu5_1', ()))
    """
    found = re.fullmatch(r"(\w+)(?::(\d{1,5}(?:\+\d{1,5})*))?", text) if isinstance(text, str) else None
    if found is None or found[1] not in LAYERS:
        raise ConfigError(
            f"dream names {text!r}, must be one of {', '.join(LAYERS)}, or channels of it as {LAYERS[8]}:3+17"
        )
    return found[1], tuple(int(channel) for channel in (found[2] or "").split("+") if channel)


def level_of(layer: str) -> int:
    """Return the level (1..5) of a layer's name: 4 for relu4_2.

    Raises:
        ConfigError: it is the name of none.

    Example:
        >>> level_of("relu4_2")
        4
    """
    found = re.fullmatch(r"relu([1-5])_\d", layer)
    if found is None:
        raise ConfigError(f"{layer!r} is no layer, must be one of {', '.join(LAYERS)}")
    return int(found[1])


def pyramid(height: int, width: int, smallest: int) -> list[tuple[int, int]]:
    """Return the (height, width) of each scale, coarsest first: halved while the long side stays >= `smallest`.

    Example:
        >>> pyramid(512, 768, 192)
        [(128, 192), (256, 384), (512, 768)]
    """
    sizes = [(height, width)]
    while max(sizes[0]) >= 2 * smallest:
        sizes.insert(0, tuple(max(1, (side + 1) // 2) for side in sizes[0]))  # pyright: ignore[reportArgumentType]
    return sizes


def share_out(steps: int, scales: int) -> list[int]:
    """Split the steps over the scales, coarsest first; the finest scale gets the remainder.

    Example:
        >>> share_out(80, 3)
        [26, 26, 28]
    """
    scales = max(1, scales)
    return [steps // scales] * (scales - 1) + [steps - steps // scales * (scales - 1)]
