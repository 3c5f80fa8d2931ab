"""What a run of the optimiser shows of itself, again and again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Iterate:
    """A look at a run between two calls of its program.

    step of steps: done, over all scales. scale of scales: from 1, coarsest first; width and height are the scale's.
    losses: total (what is minimised at this scale), content, style, style_relu1_1.. (roots: relative Gram errors), tv.
    seconds: since the start, those before a resume among them. steps_per_second: of the last call; seconds_left: by
    that rate and the areas still to come. image: sRGB in [0, 1], float32, at the content's own size. done: nothing
    follows; reason: why ("steps", "time" or "plateau"), empty before. unsaved: why the state could not be kept just
    now, if so.

    Example:
        >>> from wctstyle import Optimizer, samples
        >>> from wctstyle.optimizer import OptimizeSettings
        >>> photo, style = (samples.picture(name).rgb[:32, :32] for name in ("cat", "marbling"))
        >>> layers = dict.fromkeys(("content_layers", "style_layers"), {"relu1_1": 1.0})
        >>> settings = OptimizeSettings(steps=2, init="content", keep_faces=0.0, **layers)
        >>> *_, last = Optimizer("slim").run(photo, [(style, 1.0)], settings)
        >>> last.step, last.steps, last.reason, last.done, (last.height, last.width), sorted(last.losses)
        (2, 2, 'steps', True, (32, 32), ['content', 'style', 'style_relu1_1', 'total', 'tv'])
    """

    step: int
    steps: int
    scale: int
    scales: int
    width: int
    height: int
    losses: dict[str, float]
    seconds: float
    steps_per_second: float
    seconds_left: float
    image: Float[np.ndarray, "h w 3"]
    done: bool = False
    reason: str = ""
    unsaved: str = ""
