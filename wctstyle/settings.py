"""What a stylisation does, apart from its pictures: choices, limits and defaults. Imports no JAX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from wctstyle.errors import ConfigError

LEVELS = (1, 2, 3, 4, 5)
"""The levels of VGG: level k is relu{k}_1, at 1 / 2**(k - 1) of the picture's size."""

RETOUCH = 0
"""Stands for the level of the last map, that of the finished picture's relu1_1."""

MapKind = Literal["mk", "wct", "adain"]
TransformKind = Literal["mixed", "mk", "wct", "adain"]
BlendKind = Literal["barycenter", "linear", "mixture"]

DEFAULT_DETAIL = 0.21
"""Chosen by looking at pictures; docs/training.md has the figures along this dial."""

DEFAULT_KEEP_FACES = 0.35
"""Chosen by looking at portraits: faces stay whose they are, and are still painted (docs/blending.md)."""

GAINS = (1.1, 1.25, 1.3, 1.2, 1.2)
"""How far each level's map is followed at full strength in one pass, relu1_1 first; the retouch as that.

Beyond 1, because a block gives back less than it was asked for; docs/training.md has the figures."""

MAX_REFINE = 200
"""More steps than that are `optimize`'s business, which shows how far it is and can be stopped and resumed."""

MAX_SIDE = 4096
"""Longest side rendered in one piece: memory grows with the area, by an estimate to about 5 GiB here with `slim`."""


def map_kind(transform: TransformKind, level: int) -> MapKind:
    """Return the map of a level: `mixed` is wct where textures are and mk where shapes are.

    The retouch is by mk, or by adain where that is asked for: asked to be weak, it stays so.
    """
    if transform == "mixed":
        return "wct" if RETOUCH < level <= 3 else "mk"
    return "mk" if transform == "wct" and level == RETOUCH else transform


@dataclass(frozen=True)
class Settings:
    """What a stylisation does, apart from its pictures. Values are checked on creation.

    strength: 0..1, from the photo to the full style. level_strength: a factor 0..1 for single levels (5 shapes, 1
    colours). detail: 0..1, share of the photo's own features mixed in below relu5_1. keep_faces: 0..1, how far faces
    go from that to detail 1; 0 does not look for them. transform: mixed (wct at relu1_1..relu3_1, mk at relu4_1 and
    relu5_1), mk, wct or adain at all. blend: how several styles become one target.
    passes: 1, or 5 for the original cascade of Li et al. 2017, which has no detail. refine: steps of descent on the
    picture after the pass; each takes about as long as the pass, and brings the deep levels nearer, which no decoder
    reaches.

    Raises:
        ConfigError: a value out of range, naming it.
    """

    strength: float = 1.0
    level_strength: Mapping[int, float] = field(default_factory=dict)
    detail: float = DEFAULT_DETAIL
    keep_faces: float = DEFAULT_KEEP_FACES
    transform: TransformKind = "mixed"
    blend: BlendKind = "barycenter"
    passes: int = 1
    refine: int = 0

    def __post_init__(self) -> None:
        def unit(name: str, value: float) -> None:
            if not (np.isfinite(value) and 0 <= value <= 1):
                raise ConfigError(f"{name} is {value}, must be between 0 and 1")

        unit("strength", self.strength)
        unit("detail", self.detail)
        unit("keep_faces", self.keep_faces)
        for level, value in self.level_strength.items():
            if level not in LEVELS:
                raise ConfigError(f"level_strength names level {level}, must be one of 1, 2, 3, 4, 5")
            unit(f"level_strength of level {level}", value)
        if self.transform not in get_args(TransformKind):
            raise ConfigError(f"transform is {self.transform!r}, must be one of {', '.join(get_args(TransformKind))}")
        if self.blend not in get_args(BlendKind):
            raise ConfigError(f"blend is {self.blend!r}, must be one of {', '.join(get_args(BlendKind))}")
        if self.passes not in (1, 5):
            raise ConfigError(f"passes is {self.passes}, must be 1 or 5")
        if isinstance(self.refine, bool) or not isinstance(self.refine, int) or not 0 <= self.refine <= MAX_REFINE:
            raise ConfigError(f"refine is {self.refine!r}, must be a whole number of steps from 0 to {MAX_REFINE}")

    @property
    def alphas(self) -> np.ndarray:
        """Strength per level, relu1_1 first."""
        return np.array([self.strength * self.level_strength.get(k, 1.0) for k in LEVELS], np.float32)

    @property
    def mixed_detail(self) -> float:
        """Detail as used: rises to 1 as strength falls to 0, so that strength leads back to the sharp photo."""
        return 1.0 - (1.0 - self.detail) * self.strength
