"""Where the faces of a photo are, so that they can keep more of themselves than the rest."""

from __future__ import annotations

import functools
import math
import threading
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image as PillowImage

SEARCHED_SIDE = 384
"""Long side of the picture that is searched. The detector then takes about 0.05 s."""

LEAST_FACE = 48
"""Smallest side of a face there: an eighth of the picture. Smaller finds are more often windows than faces."""

HALF_WIDTH, HALF_HEIGHT = 0.95, 1.4
"""Half axes of a face's ellipse, in half sides of the square that is found: chin and forehead reach beyond it."""

RAISED = 0.15
"""How far the ellipse's middle lies above the square's, in half sides: foreheads reach further out of it than chins."""

EDGE = 0.5
"""Width of the ellipse's soft edge, as a share of its axes: half inside, half outside."""

REACH = 0.25
"""Half the side of the windows in which it is fitted, as a share of the found square's side."""

CORE = 0.35
"""Part of the ellipse that is face whatever its colour: eyes, mouth and beard differ from skin."""

FLATNESS = 0.002
"""Variance of colour, in squared units of the range, from which on edges of the photo are those of the face."""

AROUND = tuple(axis * (1 + EDGE / 2) + 4 * REACH for axis in (HALF_HEIGHT, HALF_WIDTH))
"""Half the height and width of the part of the photo in which it is fitted, in half sides of the square: the ellipse
and its edge, and as far as two windows, one after the other, carry them."""

_lock = threading.Lock()


@functools.cache
def _detector() -> Any:
    import skimage.data  # here: 0.2 s that only who looks for faces pays
    from skimage.feature import Cascade

    return Cascade(skimage.data.lbp_frontal_face_cascade_filename())


def _fitted(face: Float[np.ndarray, "h w"], rgb: Float[np.ndarray, "h w 3"], side: float) -> Float[np.ndarray, "h w"]:
    """Move the edge of a face's map onto edges of the photo: in each window the map is a linear function of colour.

    The fast guided filter (He & Sun 2015, arXiv:1505.00996): fitted where the found square, of `side` pixels, has
    `LEAST_FACE`, so that a face is treated alike at every size. What lies behind a head otherwise keeps more of itself
    than what is beside it, and stands round the head as a cloud.
    """
    from scipy.ndimage import uniform_filter

    height, width = face.shape
    small = max(2, round(height * LEAST_FACE / side)), max(2, round(width * LEAST_FACE / side))

    def resized(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        picture = PillowImage.fromarray(np.asarray(plane, np.float32))
        return np.asarray(picture.resize((size[1], size[0]), PillowImage.Resampling.BILINEAR))

    window = 2 * round(REACH * LEAST_FACE) + 1

    def mean(values: np.ndarray) -> np.ndarray:
        return uniform_filter(values, size=window, axes=(0, 1), mode="nearest")

    guide = np.stack([resized(rgb[..., i], small) for i in range(3)], axis=-1).astype(np.float64)
    wanted = resized(face, small).astype(np.float64)
    mean_guide, mean_wanted = mean(guide), mean(wanted)
    together = mean(guide * wanted[..., None]) - mean_guide * mean_wanted[..., None]
    spread = mean(guide[..., :, None] * guide[..., None, :]) - mean_guide[..., :, None] * mean_guide[..., None, :]
    slope = np.linalg.solve(spread + FLATNESS * np.eye(3), together[..., None])[..., 0]
    offset = mean(mean_wanted - np.sum(slope * mean_guide, axis=-1))
    fitted = resized(offset, (height, width)).copy()
    for i, plane in enumerate(np.moveaxis(mean(slope), -1, 0)):
        fitted += resized(plane, (height, width)) * rgb[..., i]
    return np.clip(fitted, 0, 1)


def face_map(rgb: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"] | None:
    """Return about 1 on faces seen from the front, 0 elsewhere and what is between at their edges; None without any.

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
    rows, columns = np.arange(height, dtype=np.float32)[:, None] + 0.5, np.arange(width, dtype=np.float32)[None] + 0.5
    for box in found:
        half = box["width"] / 2 / scale
        middle = box["r"] / scale + (1 - RAISED) * half, box["c"] / scale + half
        part = tuple(
            slice(max(0, math.floor(at - reach * half)), math.ceil(at + reach * half))
            for at, reach in zip(middle, AROUND, strict=True)
        )
        down = (rows[part[0]] - middle[0]) / (HALF_HEIGHT * half)
        across = (columns[:, part[1]] - middle[1]) / (HALF_WIDTH * half)
        out = np.hypot(down, across)
        ellipse, core = (np.clip((axis + EDGE / 2 - out) / EDGE, 0, 1) for axis in (1, CORE))
        whole[part] = np.maximum.reduce([whole[part], core, _fitted(ellipse, rgb[part], 2 * half)])
    return whole
