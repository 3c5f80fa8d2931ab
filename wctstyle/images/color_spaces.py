"""ICC profiles of colour spaces that files name by numbers: CICP's codes, PNG's gamma and primaries."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from wctstyle.images.guards import UnsupportedError

_D65, _C, _DCI = (0.3127, 0.3290), (0.310, 0.316), (0.314, 0.351)

_BT709 = (*_D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)

#: Primaries of ITU-T H.273, table 2: x, y of white, red, green, blue; 2 is unspecified.
_PRIMARIES = {
    1: _BT709,
    2: _BT709,
    4: (*_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    7: (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    9: (*_D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),
    11: (*_DCI, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    12: (*_D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    22: (*_D65, 0.63, 0.34, 0.295, 0.605, 0.155, 0.077),
}

#: A curve of ICC.1:2010, 10.16: a power, or sRGB's (IEC 61966-2-1), g, a, b, c, d.
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)

#: Transfers of H.273, table 3, in the same form. BT.709's camera curve is shown by the power 2.4 of BT.1886.
_CURVES = dict.fromkeys((1, 6, 14, 15), (2.4,)) | {2: _SRGB_CURVE, 4: (2.2,), 5: (2.8,), 8: (1.0,), 13: _SRGB_CURVE}

_HDR = {16: "PQ", 18: "HLG"}

#: libpng counts gammas as the same to 5 % (PNG_GAMMA_THRESHOLD), and primaries to 0.01.
_SAME_GAMMA, _SAME_PRIMARIES = 0.05, 0.01


def cicp_profile(primaries: int, transfer: int) -> bytes | None:
    """Makes the profile of CICP's codes; None for sRGB, and for what H.273 leaves open.

    Raises:
        UnsupportedError: a picture of high dynamic range, or of a space that no still picture has.
    """
    if transfer in _HDR:
        raise UnsupportedError(f"is a picture of high dynamic range ({_HDR[transfer]}); export it as SDR, a plain JPEG")
    if primaries not in _PRIMARIES or transfer not in _CURVES:
        raise UnsupportedError(
            f"has colours of a rare space (CICP primaries {primaries}, transfer {transfer}); export it as sRGB"
        )
    space, curve = _PRIMARIES[primaries], _CURVES[transfer]
    return None if space is _BT709 and curve is _SRGB_CURVE else _profile(space, curve)


def png_profile(gamma: float | None, primaries: Sequence[float] | None) -> bytes | None:
    """Makes the profile of PNG's gAMA and cHRM, without gAMA none, as in browsers; None for sRGB.

    sRGB itself is written so by programs that leave the sRGB chunk out, ImageMagick for one. It is taken for that also
    where both chunks are there, unlike in browsers, which show it a little darker.
    """
    if not gamma or not 0.01 < gamma < 100:
        return None
    space = _BT709 if primaries is None else tuple(primaries)
    standard = np.abs(np.subtract(space, _BT709)).max() < _SAME_PRIMARIES
    if standard and abs(gamma * 2.2 - 1) < _SAME_GAMMA:
        return None
    return _profile(_BT709 if standard else space, (1 / gamma,))


def _profile(space: Sequence[float], curve: tuple[float, ...]) -> bytes | None:
    """Writes an ICC profile of version 4; None if the primaries span no space."""
    with np.errstate(all="ignore"):
        try:
            columns = _adapted(space).T
        except (np.linalg.LinAlgError, ZeroDivisionError):
            return None
    if not np.abs(columns).max() < 100:  # all but on one line
        return None
    form = struct.pack(">4s4xHxx", b"para", 0 if len(curve) == 1 else 3)
    tone = form + struct.pack(f">{len(curve)}i", *(round(value * 65536) for value in curve))
    tags = {b"wtpt": _xyz(_D50)}
    for name, column in zip((b"r", b"g", b"b"), columns, strict=True):
        tags |= {name + b"XYZ": _xyz(column), name + b"TRC": tone}
    table, body, start = b"", b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4xI4s4s4s12x4s28x", start + len(body), 0x04200000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    return (head + _xyz(_D50)[8:]).ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


_D50 = np.array([0.9642, 1.0, 0.8249])

#: Bradford's cone responses (ICC.1:2010, annex E).
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def _adapted(space: Sequence[float]) -> np.ndarray:
    """Returns XYZ of red, green and blue as columns, adapted from the space's white to D50."""
    white, *primaries = (np.array([x / y, 1.0, (1 - x - y) / y]) for x, y in zip(space[::2], space[1::2], strict=True))
    columns = np.stack(primaries, axis=1)
    columns = columns * np.linalg.solve(columns, white)
    cones = _BRADFORD @ _D50 / (_BRADFORD @ white)
    return np.linalg.inv(_BRADFORD) @ (cones[:, None] * (_BRADFORD @ columns))


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(float(value) * 65536) for value in values))
