"""Settings of a stylisation: choices, limits and defaults. Does not import JAX."""

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
"""The fast model, used to paint unless another is chosen."""

DEFAULT_OPTIMIZER_MODEL: ModelName = "medium"
"""The network of `refine` and `optimize`, unless the model is vgg19."""


def checked_model(value: object) -> str:
    """Return the name of a model.

    Raises:
        ConfigError: it is none of the table's.
    """
    if value not in get_args(ModelName):
        raise ConfigError(f"model is {value!r}, must be one of {', '.join(get_args(ModelName))}")
    return str(value)


def optimizer_model(model: str) -> ModelName:
    """Return the network that `refine` and `optimize` use when `model` paints."""
    return "vgg19" if model == "vgg19" else DEFAULT_OPTIMIZER_MODEL


MAX_STRENGTH = 1.5
"""Above 1 the map is extrapolated past the style: more paint, less photo."""

DEFAULT_TEXTURE = 0.5
"""Chosen by eye: skies, walls and flat colours are painted, and photos with detail hardly change."""

DEFAULT_KEEP_FACES = 0.5
"""Chosen by eye on portraits: faces stay recognisable and are painted in the style's colours."""

DEFAULT_LOOK = 512
"""Long side in pixels at which larger pictures are composed (`wctstyle.look`)."""

LEAST_LOOK = 128
"""Smaller looks leave too few positions to measure."""

SUGGEST_SIDE = 256
"""Long side in pixels of photo and styles when styles are suggested, and of the small pictures of a contact sheet."""

MAX_REFINE = 200
"""For more steps use `optimize`, which shows its progress and can be stopped and resumed."""

MAX_SIDE = 4096
"""Longest side rendered in one piece: memory grows with the area."""

DEFAULT_STROKE_SCALE = 1.0
"""Strokes are as large in the result as in the painting."""

STROKE_SCALES = (0.25, 4.0)
"""Smallest and largest stroke scale."""


def style_long_side(result_long_side: int, stroke_scale: float = DEFAULT_STROKE_SCALE) -> int:
    """Return the long side to which style pictures are resized, so that strokes grow with the result.

    ``stroke_scale * result_long_side`` in pixels, clamped to 64 and `MAX_SIDE`; `stroke_scale` is in `STROKE_SCALES`.

    Raises:
        ConfigError: `stroke_scale` is out of range.
    """
    least, most = STROKE_SCALES
    if not least <= stroke_scale <= most:
        raise ConfigError(f"stroke_scale is {stroke_scale}, must be between {least:g} and {most:g}")
    return min(max(round(stroke_scale * result_long_side), 64), MAX_SIDE)


@dataclass(frozen=True)
class Settings:
    """Settings of a stylisation. Values are checked on creation.

    strength: 0..1.5; 0 is exactly the photo, 1 the full style, above 1 exaggerates it. detail: 0..1, how much of the
    photo's fine light and dark, which the decoder paints over, is restored. color: 0..1, how far colours follow the
    style; 0 keeps the photo's own colours (`color.original_colors`). texture: 0..1, how much is painted in plain areas;
    0 may leave skies bare (`wctstyle.texture`). keep_faces: 0..1, how strongly faces keep the photo's shapes, in the
    style's colours; 0 turns face detection off. transform: mk (least displacement), wct or adain. blend: how several
    styles are merged into one target. look: long side in pixels at which larger pictures are composed, so that they
    look like small ones (`wctstyle.look`); 0 paints every size in one go. refine: optimisation steps on the finished
    picture.

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
