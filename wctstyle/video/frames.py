"""One frame of a video, as the reader gives it and the writer takes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Frame:
    """A frame's pixels, with its place and time in the clip."""

    index: int
    """Counts the frames that were read, from 0."""
    seconds: float
    """When it is shown, from the clip's start."""
    rgb: Float[np.ndarray, "h w 3"]
    """sRGB in [0, 1]."""
    alpha: Float[np.ndarray, "h w"] | None = None
    broken: bool = False
    """The file is damaged here: the frame before is repeated."""
