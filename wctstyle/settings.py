"""What a stylisation does, apart from its pictures: choices, limits and defaults. Imports no JAX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from wctstyle.errors import ConfigError

LEVELS = (1, 2, 3, 4, 5)
"""The levels of VGG: level k is relu{k}_1, at 1 / 2**(k - 1) of the picture's size."""

ModelName = Literal["slim", "medium", "vgg19"]
TransformKind = Literal["mk", "wct", "adain"]
BlendKind = Literal["barycenter", "linear", "mixture"]

DEFAULT_MODEL: ModelName = "slim"
"""Paints a new picture: the fast one."""

DEFAULT_OPTIMIZER_MODEL: ModelName = "medium"
"""The network of `refine` and `optimize`, unless the model is vgg19."""


def optimizer_model(model: str) -> ModelName:
    """Return the network that `refine` and `optimize` descend with where `model` paints."""
    return "vgg19" if model == "vgg19" else DEFAULT_OPTIMIZER_MODEL


MAX_STRENGTH = 1.5
"""Beyond 1 the map is followed further than to the style: more paint, less photo."""

DEFAULT_TEXTURE = 0.5
"""Chosen by looking: skies, walls and one colour are painted, and photos with detail hardly change."""

DEFAULT_KEEP_FACES = 0.5
"""Chosen by looking at portraits: faces stay whose they are, and are painted in the style's colours."""

DEFAULT_LOOK = 512
"""Long side in pixels at which larger pictures are composed (`wctstyle.look`)."""

LEAST_LOOK = 128
"""Smaller looks leave too few positions to measure."""

MAX_REFINE = 200
"""More steps than that are `optimize`'s business, which shows how far it is and can be stopped and resumed."""

MAX_SIDE = 4096
"""Longest side rendered in one piece: memory grows with the area."""

DEFAULT_STROKE_SCALE = 1.0
"""Strokes are as large in the result as they are in the painting."""

STROKE_SCALES = (0.25, 4.0)
"""Least and largest stroke scale."""


def style_long_side(result_long_side: int, stroke_scale: float = DEFAULT_STROKE_SCALE) -> int:
    """Return the long side that style pictures are brought to, so that strokes grow with the result.

    ``stroke_scale * result_long_side`` in pixels, kept within 64 and `MAX_SIDE`; `stroke_scale` is in `STROKE_SCALES`.

    Raises:
        ConfigError: `stroke_scale` is out of range.
    """
    least, most = STROKE_SCALES
    if not least <= stroke_scale <= most:
        raise ConfigError(f"stroke_scale is {stroke_scale}, must be between {least:g} and {most:g}")
    return min(max(round(stroke_scale * result_long_side), 64), MAX_SIDE)


@dataclass(frozen=True)
class Settings:
    """What a stylisation does, apart from its pictures. Values are checked on creation.

    strength: 0..1.5; 0 is the photo exactly, 1 the full style, more goes beyond it. detail: 0..1, how much of the
    photo's fine light and dark, which the decoder paints over, is put back. color: 0..1, how far the palette goes
    along; 0 keeps the photo's own colours (`color.original_colors`). texture: 0..1, how much there is to paint in plain
    areas; 0 may leave skies bare (`wctstyle.texture`). keep_faces: 0..1, how far faces keep the photo's forms, in the
    style's colours; 0 does not look for them. transform: mk (least displacement), wct or adain. blend:
    how several styles become one target. look: long side in pixels at which larger pictures are composed, so that they
    look as small ones do (`wctstyle.look`); 0 paints every size at once. refine: steps of descent on the picture after
    the pass.

    Raises:
        ConfigError: a value out of range, naming it.
    """

    strength: float = 1.0
    detail: float = 0.0
    color: float = 1.0
    texture: float = DEFAULT_TEXTURE
    keep_faces: float = DEFAULT_KEEP_FACES
    transform: TransformKind = "mk"
    blend: BlendKind = "barycenter"
    look: int = DEFAULT_LOOK
    refine: int = 0

    def __post_init__(self) -> None:
        for name, most in (("strength", MAX_STRENGTH), ("detail", 1), ("color", 1), ("texture", 1), ("keep_faces", 1)):
            value = getattr(self, name)
            if not (np.isfinite(value) and 0 <= value <= most):
                raise ConfigError(f"{name} is {value}, must be between 0 and {most}")
        if self.transform not in get_args(TransformKind):
            raise ConfigError(f"transform is {self.transform!r}, must be one of {', '.join(get_args(TransformKind))}")
        if self.blend not in get_args(BlendKind):
            raise ConfigError(f"blend is {self.blend!r}, must be one of {', '.join(get_args(BlendKind))}")
        whole = isinstance(self.look, int) and not isinstance(self.look, bool)
        if not whole or not (self.look == 0 or LEAST_LOOK <= self.look <= MAX_SIDE):
            raise ConfigError(f"look is {self.look!r}, must be from {LEAST_LOOK} to {MAX_SIDE} pixels, or 0 for none")
        if isinstance(self.refine, bool) or not isinstance(self.refine, int) or not 0 <= self.refine <= MAX_REFINE:
            raise ConfigError(f"refine is {self.refine!r}, must be a whole number of steps from 0 to {MAX_REFINE}")
