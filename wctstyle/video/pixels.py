"""Decoded frames to upright sRGB, and painted ones to what encoders take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from wctstyle import images
from wctstyle.color import linear_to_srgb
from wctstyle.video.extras import pyav

if TYPE_CHECKING:
    from av import VideoFrame

Rgb = Float[np.ndarray, "h w 3"]

_FULL, _LIMITED = 2, 1
"""AVColorRange, ITU-T H.273's full range flag and its absence."""

_BT709, _BT601, _BT2020 = 1, 5, 9
"""Matrices (H.273, table 4) as swscale takes them."""

_MATRICES = {1: _BT709, 4: 4, 5: _BT601, 6: _BT601, 7: 7, 9: _BT2020, 10: _BT2020}

_HD_HEIGHT = 576
"""Taller frames that name no matrix are taken for BT.709, others for BT.601, as players do."""

_PQ, _HLG = 16, 18
"""Transfers of high dynamic range (H.273, table 3)."""

HDR = {_PQ: "PQ", _HLG: "HLG"}

_WHITE_NITS, _PEAK_NITS = 203.0, 1000.0
"""Diffuse white of HDR programmes (ITU-R BT.2408, 2.2), and the screen that most of them are graded for."""

_KNEE = 0.7
"""Linear light up to which HDR is kept as it is; what is brighter is compressed."""

_FROM_2020 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)
"""Linear BT.2020 to BT.709 (ITU-R BT.2087, the inverse of its annex 2)."""


@dataclass(frozen=True)
class Turn:
    """How stored frames are turned and mirrored to be shown: transposed first, then each axis reversed."""

    transposed: bool = False
    rows: bool = False
    columns: bool = False

    def sides(self, height: int, width: int) -> tuple[int, int]:
        """Return the sides of a frame once it is turned; of an upright one, the sides before."""
        return (width, height) if self.transposed else (height, width)

    def apply(self, planes: np.ndarray) -> np.ndarray:
        """Turn planes."""
        planes = planes.swapaxes(0, 1) if self.transposed else planes
        return np.ascontiguousarray(planes[:: -1 if self.rows else 1, :: -1 if self.columns else 1])


def turn_of(frame: VideoFrame) -> Turn:
    """Read the display matrix (ISO/IEC 14496-12, 8.5.2.2), which PyAV does not apply.

    Its first two rows say where the axes go: x to (a, b), y to (c, d). Angles between are taken for the nearest turn.
    """
    sides: Any = frame.side_data
    data = next((bytes(side) for side in sides if side.type.name == "DISPLAYMATRIX"), None)
    if data is None:
        return Turn()
    a, b, _, c, d, *_ = np.frombuffer(data, "<i4").tolist()
    if max(abs(a), abs(d)) >= max(abs(b), abs(c)):
        return Turn(False, d < 0, a < 0)
    return Turn(True, b < 0, c < 0)


def has_alpha(format: Any) -> bool:
    """Say whether a pixel format holds opacity."""
    return any(component.is_alpha for component in format.components)


def to_rgb(frame: VideoFrame, *, height: int, width: int, turn: Turn) -> tuple[Rgb, np.ndarray | None]:
    """Convert a frame to upright sRGB of these sides, and its opacity where any of it is transparent.

    Matrix and range are those that the frame names. BT.709's curve is taken for sRGB's, as players do; the primaries of
    BT.2020 are converted and those of BT.601 left, which differ little. PQ and HLG are mapped (`_from_hdr`).
    """
    av = pyav()
    flags = av.video.reformatter.Interpolation
    alpha = has_alpha(frame.format)
    stored = turn.sides(height, width)
    depth = max(component.bits for component in frame.format.components)
    full = frame.color_range == _FULL or frame.format.name.startswith("yuvj") or frame.format.is_rgb
    form = ("rgba" if alpha else "rgb24") if depth <= 8 else ("gbrapf32le" if alpha else "gbrpf32le")
    scaled = {} if alpha else {"height": stored[0], "width": stored[1]}  # colour is weighted by opacity below
    converted = frame.reformat(
        format=form,
        src_colorspace=_MATRICES.get(int(frame.colorspace), _BT709 if frame.height > _HD_HEIGHT else _BT601),
        dst_colorspace=_BT709,
        src_color_range=_FULL if full else _LIMITED,
        dst_color_range=_FULL,
        interpolation=flags.LANCZOS | flags.ACCURATE_RND | flags.FULL_CHR_H_INT,
        **scaled,
    ).to_ndarray()
    white = 255.0 if depth <= 8 else _deep_white(depth if full else 8)
    whites = [white] * 3 + [255.0 if depth <= 8 else _deep_white(depth)] * alpha
    planes = np.clip(converted / np.array(whites, np.float32), 0.0, 1.0)
    rgb = _shown_as_srgb(planes[..., :3], int(frame.color_trc), int(frame.color_primaries))
    if not alpha:
        return turn.apply(rgb), None
    picture = images.resize_to(images.Picture(rgb, planes[..., 3]), height=stored[0], width=stored[1])
    if picture.alpha is None or picture.alpha.min() > 1 - images.LEAST_OPACITY:
        return turn.apply(picture.rgb), None
    return turn.apply(picture.rgb), turn.apply(picture.alpha)


def _deep_white(bits: int) -> float:
    """Return what swscale makes of white in float: it shifts to 16 bits, where 255 << 8 is not all of them.

    Limited range becomes full at 8 bits before.
    """
    return (2**bits - 1) * 2 ** (16 - bits) / 65535


def _shown_as_srgb(rgb: Rgb, transfer: int, primaries: int) -> Rgb:
    if transfer in HDR:
        return _from_hdr(rgb, transfer)
    if primaries != _BT2020:
        return rgb
    linear = np.clip(rgb**2.4 @ _FROM_2020.T, 0.0, 1.0)  # BT.1886
    return linear ** (1 / 2.4)


def _from_hdr(rgb: Rgb, transfer: int) -> Rgb:
    """Show PQ or HLG as sRGB: diffuse white near white, highlights above the knee compressed, colours kept.

    Light (SMPTE ST 2084; ARIB STD-B67 with the system gamma 1.2 of BT.2100) by diffuse white goes to BT.709, then the
    largest of the three through ``t (1 + t / T^2) / (1 + t)``, t counted from the knee and T at the peak (Reinhard et
    al. 2002, equation 4); the others are scaled along.
    """
    if transfer == _PQ:
        power = rgb ** np.float32(1 / 78.84375)
        linear = (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** np.float32(1 / 0.1593017578125)
        light = 10000 / _WHITE_NITS * linear
    else:
        scene = np.where(rgb <= 0.5, rgb**2 / 3, (np.exp((rgb - 0.55991073) / 0.17883277) + 0.28466892) / 12)
        luminance = scene @ np.array([0.2627, 0.678, 0.0593], np.float32)
        light = _PEAK_NITS / _WHITE_NITS * scene * np.maximum(luminance, 1e-6)[..., None] ** np.float32(0.2)
    light = np.maximum(light @ _FROM_2020.T, 0.0)
    largest = light.max(axis=-1, keepdims=True)
    above, most = (np.maximum(value - _KNEE, 0) / (1 - _KNEE) for value in (largest, _PEAK_NITS / _WHITE_NITS))
    curved = np.where(largest > _KNEE, _KNEE + (1 - _KNEE) * above * (1 + above / most**2) / (1 + above), largest)
    linear = np.clip(light * (curved / np.maximum(largest, 1e-6)), 0.0, 1.0)
    return linear_to_srgb(linear).astype(np.float32)


def to_encode(rgb: Rgb, alpha: np.ndarray | None, *, format: str) -> VideoFrame:
    """Convert sRGB, and opacity where the format holds it, to a frame for an encoder, in BT.709 of limited range.

    Sides become even by repeating the last row and column, as chroma of half the resolution needs.
    """
    av = pyav()
    flags = av.video.reformatter.Interpolation
    planes = rgb if alpha is None else np.dstack([rgb, alpha])
    height, width = rgb.shape[:2]
    planes = np.pad(planes, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    deep = np.rint(np.clip(planes, 0.0, 1.0) * 65535).astype(np.uint16)
    frame = av.VideoFrame.from_ndarray(deep, format="rgb48le" if alpha is None else "rgba64le")
    return frame.reformat(
        format=format,
        src_colorspace=_BT709,
        dst_colorspace=_BT709,
        src_color_range=_FULL,
        dst_color_range=_LIMITED,
        dst_color_trc=1,
        dst_color_primaries=1,
        interpolation=flags.BICUBIC | flags.ACCURATE_RND | flags.FULL_CHR_H_INP,
    )
