"""Settings of a stylisation: choices, limits and defaults. Does not import JAX."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Literal, get_args

from wctstyle.errors import ConfigError

LEVELS = (1, 2, 3, 4, 5)
"""The levels of VGG: level k is relu{k}_1, at 1 / 2**(k - 1) of the picture's size."""

ModelName = Literal["slim", "medium", "vgg19"]
TransformKind = Literal["mk", "wct", "adain"]
BlendKind = Literal["barycenter", "linear", "mixture"]
ColorsKind = Literal["style", "photo", "match", "only"]

DEFAULT_MODEL: ModelName = "slim"
"""The fast model, used to paint unless another is chosen."""

DEFAULT_OPTIMIZER_MODEL: ModelName = "medium"
"""The network of `refine` and `optimize`, unless the model is vgg19."""


def plain(value: Any) -> Any:
    """Return a single number of NumPy, JAX or another library as Python's own, and anything else as it is.

    Example:
        >>> import numpy as np
        >>> plain(np.float32(0.5)), plain("mk")
        (0.5, 'mk')
    """
    return value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value


LARGEST = sys.float_info.max
"""The bound of numbers that may be as large as they like, but finite."""


def checked_number(
    name: str, value: Any, low: float, high: float = LARGEST, *, open_low: bool = False, open_high: bool = False
) -> float:
    """Return a number within bounds, as Python's own.

    Raises:
        ConfigError: it is none, or out of bounds. The message begins with `name`.

    Example:
        >>> checked_number("strength", 1, 0, 1.5)
        1
        >>> checked_number("strength", 2, 0, 1.5)
        Traceback (most recent call last):
        wctstyle.errors.ConfigError: strength is 2, must be between 0 and 1.5
    """
    own = plain(value)
    inside = isinstance(own, int | float) and not isinstance(own, bool) and low <= own <= high
    if inside and not (open_low and own == low) and not (open_high and own == high):
        return own
    if high == LARGEST:
        bounds = f"a number {'>' if open_low else '>='} {low:g}"
    elif open_low or open_high:
        bounds = f"{'above' if open_low else 'at least'} {low:g} and {'below' if open_high else 'at most'} {high:g}"
    else:
        bounds = f"between {low:g} and {high:g}"
    raise ConfigError(f"{name} is {own!r}, must be {bounds}")


def checked_whole(name: str, value: Any, low: int, high: int | None = None, *, what: str = "number") -> int:
    """Return a whole number within bounds, as Python's own.

    Raises:
        ConfigError: it is none, or out of bounds. The message begins with `name`.

    Example:
        >>> checked_whole("steps", 10, 1)
        10
    """
    own = plain(value)
    if isinstance(own, int) and not isinstance(own, bool) and low <= own and (high is None or own <= high):
        return own
    upper = "" if high is None else f" to {high}"
    raise ConfigError(f"{name} is {own!r}, must be a whole {what} from {low}{upper}")


def checked_choice(name: str, value: Any, kinds: Any) -> str:
    """Return one of the texts of a `Literal`.

    Raises:
        ConfigError: it is none of them. The message begins with `name`.

    Example:
        >>> checked_choice("transform", "wct", TransformKind)
        'wct'
    """
    if not isinstance(value, str) or value not in get_args(kinds):
        raise ConfigError(f"{name} is {value!r}, must be one of {', '.join(get_args(kinds))}")
    return value


def checked_switch(name: str, value: Any) -> bool:
    """Return a truth value, as Python's own.

    Raises:
        ConfigError: it is none. The message begins with `name`.

    Example:
        >>> checked_switch("photo", True)
        True
        >>> checked_switch("photo", 1)
        Traceback (most recent call last):
        wctstyle.errors.ConfigError: photo is 1, must be True or False
    """
    own = plain(value)
    if not isinstance(own, bool):
        raise ConfigError(f"{name} is {own!r}, must be True or False")
    return own


def checked_model(value: Any) -> str:
    """Return the name of a model.

    Raises:
        ConfigError: it is none of the table's.

    Example:
        >>> checked_model("slim")
        'slim'
    """
    return checked_choice("model", value, ModelName)


def optimizer_model(model: str) -> ModelName:
    """Return the network that `refine` and `optimize` use when `model` paints.

    Example:
        >>> optimizer_model("slim"), optimizer_model("vgg19")
        ('medium', 'vgg19')
    """
    return "vgg19" if model == "vgg19" else DEFAULT_OPTIMIZER_MODEL


def photo_share(colors: str, color: float) -> float:
    """Return how much of the photo's own a and b (Oklab) a result has, 0..1, by the way of its colours and the dial.

    Example:
        >>> photo_share("photo", 1.0), photo_share("style", 0.25)
        (1.0, 0.75)
    """
    return 1.0 if colors == "photo" else 1.0 - color


MAX_STRENGTH = 1.5
"""Above 1 the map is extrapolated past the style: more paint, less photo."""

DEFAULT_TEXTURE = 0.5
"""Chosen by eye: skies, walls and flat colours are painted, and photos with detail hardly change."""

DEFAULT_KEEP_FACES = 0.5
"""Chosen by eye on portraits: faces stay recognisable and are painted in the style's colours."""

DEFAULT_CALM = 0.85
"""For videos: a frame keeps 0.95 of the previous one (`video.calm`). Chosen by measurement (docs/notes/video.md)."""

DEFAULT_LOOK = 512
"""Long side in pixels at which larger pictures are composed (`wctstyle.look`)."""

LEAST_LOOK = 128
"""Smaller looks leave too few positions to measure."""

SUGGEST_SIDE = 256
"""Long side in pixels of photo and styles when styles are suggested, and of the small pictures of a contact sheet."""

MAX_REFINE = 200
"""For more steps use `optimize`, which shows its progress and can be stopped and resumed."""

MAX_SEED = 2**32 - 1
"""Seeds have 32 bits."""

MAX_SIDE = 4096
"""Longest side rendered in one piece: memory grows with the area. Larger results are painted tile by tile."""

LARGEST_SIDE, LARGEST_AREA = 32768, 500_000_000
"""Largest result in pixels: long side and area."""

FINE_SIDE = 4096
"""Long side of the result above which the brushwork of the second pass grows no larger in pixels."""

FACES_SIDE = 2048
"""Long side of the copy of a photo on which its faces are mapped; larger photos get this map enlarged."""

DEFAULT_STROKE_SCALE = 1.0
"""Strokes are as large in the result as in the painting."""

STROKE_SCALES = (0.25, 4.0)
"""Smallest and largest stroke scale."""

WHOLE_STYLE = 2048
"""Long side in pixels up to which a style is measured as a whole, as in every result that is as large."""


LEAST_AREA = 64 * 64
"""Least area in pixels for useful moments: smaller parts are measured together with the rest of their picture."""

DEFAULT_FEATHER = 0.01
"""Standard deviation of the blur that softens masks, as a share of the long side of the photo's visible part.

The least at which hard masks leave no seam beside the photo: with 0.005, the step across a border is 1.2 times its
neighbours' in the optimiser; with 0, 4.4 times."""

MAX_FEATHER = 0.1
"""Wider borders leave nothing of most regions."""


def style_long_side(result_long_side: int, stroke_scale: float = DEFAULT_STROKE_SCALE) -> int:
    """Return the long side to which style pictures are resized, so that strokes grow with the result.

    ``stroke_scale * result_long_side`` in pixels, but at least 64; `stroke_scale` is in `STROKE_SCALES`. What is
    measured there may be a sample (`fitting.fit_style`).

    Raises:
        ConfigError: `stroke_scale` is out of range.

    Example:
        >>> style_long_side(512), style_long_side(512, 2.0)
        (512, 1024)
    """
    least, most = STROKE_SCALES
    scale = checked_number("stroke_scale", stroke_scale, least, most)
    return max(round(scale * result_long_side), 64)


RANGES: dict[str, tuple[float, float]] = {
    "strength": (0, MAX_STRENGTH),
    "detail": (0, 1),
    "color": (0, 1),
    "texture": (0, 1),
    "keep_faces": (0, 1),
}
"""The dials of `Settings` that are numbers, with the least and the most they may be."""


@dataclass(frozen=True)
class Settings:
    """Settings of a stylisation. Values are checked on creation.

    strength: 0..1.5; 0 is exactly the photo, 1 the full style, above 1 exaggerates it. detail: 0..1, how much of the
    photo's fine light and dark, which the decoder paints over, is restored. colors: style; photo (its own colours,
    `color.original_colors`); match (the styles get the photo's colours before they are measured, `color.with_colors`);
    only (the photo's lightness in the style's colours, nothing is painted: detail, texture, keep_faces, transform and
    look do nothing then). color: 0..1, from the photo's own colours (0) to those that `colors` gives (1). texture:
    0..1, how much is painted in plain areas; 0 may leave skies bare (`wctstyle.texture`). keep_faces: 0..1, how
    strongly faces keep the photo's shapes, in the style's colours; 0 turns face detection off. transform: mk (least
    displacement), wct or adain. blend: how several styles are merged into one target. look: long side in pixels at
    which larger pictures are composed, so that they look like small ones (`wctstyle.look`); 0 paints every size in one
    go. refine: optimisation steps on the finished picture. photo: the result stays a photo, in the light and colours of
    the painting (`wctstyle.photoreal`); detail, texture, keep_faces and refine do nothing then.

    Raises:
        ConfigError: a value out of range, naming it.

    Example:
        >>> Settings(strength=0.8).strength
        0.8
        >>> Settings(detail=2)
        Traceback (most recent call last):
        wctstyle.errors.ConfigError: detail is 2, must be between 0 and 1
    """

    strength: float = 1.0
    detail: float = 0.0
    colors: ColorsKind = "style"
    color: float = 1.0
    texture: float = DEFAULT_TEXTURE
    keep_faces: float = DEFAULT_KEEP_FACES
    transform: TransformKind = "mk"
    blend: BlendKind = "barycenter"
    look: int = DEFAULT_LOOK
    refine: int = 0
    photo: bool = False

    def __post_init__(self) -> None:
        def keep(name: str, checked: Any) -> None:
            object.__setattr__(self, name, checked)

        for name, bounds in RANGES.items():
            keep(name, checked_number(name, getattr(self, name), *bounds))
        checked_choice("transform", self.transform, TransformKind)
        checked_choice("blend", self.blend, BlendKind)
        checked_choice("colors", self.colors, ColorsKind)
        keep("look", plain(self.look))
        whole = isinstance(self.look, int) and not isinstance(self.look, bool)
        if not whole or not (self.look == 0 or LEAST_LOOK <= self.look <= MAX_SIDE):
            raise ConfigError(f"look is {self.look!r}, must be from {LEAST_LOOK} to {MAX_SIDE} pixels, or 0 for none")
        keep("refine", checked_whole("refine", self.refine, 0, MAX_REFINE, what="number of steps"))
        keep("photo", checked_switch("photo", self.photo))
        if self.refine and self.photo:
            raise ConfigError(f"refine is {self.refine}, and with photo nothing is painted; give 0 steps")
        if self.refine and self.colors == "only":
            raise ConfigError(f"refine is {self.refine}, and with colors='only' nothing is painted; give 0 steps")
