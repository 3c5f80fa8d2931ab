"""Where the faces of a photo are, so that they can keep more of themselves than the rest."""

from __future__ import annotations

import functools
import threading
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image as PillowImage

SEARCHED_SIDE = 384
"""Long side of the picture that is searched. The detector then takes about 0.05 s."""

LEAST_FACE = 48
"""Smallest side of a face there: an eighth of the picture. Smaller finds are more often windows than faces."""

HALF_WIDTH, HALF_HEIGHT = 0.95, 1.25
"""Half axes of a face's ellipse, in half sides of the square that is found: chin and forehead reach beyond it."""

EDGE = 0.5
"""Width of the ellipse's soft edge, as a share of its axes: half inside, half outside."""

_lock = threading.Lock()


@functools.cache
def _detector() -> Any:
    import skimage.data  # here: 0.2 s that only who looks for faces pays
    from skimage.feature import Cascade

    return Cascade(skimage.data.lbp_frontal_face_cascade_filename())


def face_map(rgb: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"] | None:
    """Return 1 on faces seen from the front, 0 elsewhere and what is between at their edges; None without any face.

    The detector is a cascade on local binary patterns (Liao et al. 2007, "Learning multi-scale block local binary
    patterns for face recognition"), as scikit-image ships it. It finds most faces that look into the camera and few
    others; on pictures without any it finds one now and then. `rgb` is in [0, 1].
    """
    height, width = rgb.shape[:2]
    scale = min(1.0, SEARCHED_SIDE / max(height, width))
    small = max(1, round(width * scale)), max(1, round(height * scale))
    if min(small) < LEAST_FACE:
        return None
    luma = PillowImage.fromarray((np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8)).convert("L")
    grey = np.asarray(luma.resize(small, PillowImage.Resampling.LANCZOS))
    with _lock:
        found = _detector().detect_multi_scale(
            img=grey, scale_factor=1.2, step_ratio=1, min_size=(LEAST_FACE, LEAST_FACE), max_size=small
        )
    if not found:
        return None
    whole = np.zeros((height, width), np.float32)
    rows, columns = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]
    for box in found:
        half = box["width"] / 2 / scale
        down = (rows + 0.5 - (box["r"] / scale + half)) / (HALF_HEIGHT * half)
        across = (columns + 0.5 - (box["c"] / scale + half)) / (HALF_WIDTH * half)
        inside = (1 + EDGE / 2 - np.hypot(down, across)) / EDGE
        whole = np.maximum(whole, np.clip(inside, 0, 1))
    return whole
