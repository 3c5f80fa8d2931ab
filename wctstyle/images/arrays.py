"""Arrays from outside: checked, as float32 planes in [0, 1]."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from wctstyle.errors import ImageError
from wctstyle.images.guards import UnsupportedError
from wctstyle.images.picture import Picture, flatten, trimmed

#: Floats this far outside [0, 1] are rounding and are clipped; further out is an error.
_ROUNDING = 1e-5

#: The same for pictures that were computed, where resampling overshoots.
_OVERSHOOT = 1e-3


#: Whites of floats and of whole numbers of more than 16 bits, which any program chooses as it likes.
_WHITES = ((1, 255, 65535), (255, 65535, 2**31 - 1, 2**32 - 1))


def as_array(given: Any, what: str, *, instead: str = "wctstyle.images.load(...).rgb") -> np.ndarray:
    """Return what is an array, or a list of numbers, as NumPy's; a file or another kind of picture is not.

    Raises:
        ImageError: it is none. `instead` is what to give.
    """
    try:
        foreign = isinstance(given, Picture | Image.Image | str | bytes | os.PathLike)
        array = np.asarray(None if foreign else given)
    except (TypeError, ValueError, RuntimeError):  # rows of several lengths, a tensor on another device
        array = np.asarray(None)
    if array.dtype == object:
        raise ImageError(f"{what}: got {type(given).__name__}, wanted an array; give {instead}")
    return array


def checked_rgb(rgb: Any, what: str, *, least_side: int = 1) -> Float[np.ndarray, "h w 3"]:
    """Return an RGB picture that is to be worked on as new float32 in [0, 1].

    Raises:
        ImageError: not height x width x 3, below `least_side`, or with values that are not floats in [0, 1].
    """
    if isinstance(rgb, Picture):
        rgb = flatten(trimmed(rgb)).rgb
    array = as_array(rgb, what)
    if array.ndim != 3 or array.shape[2] != 3 or min(array.shape[:2]) < least_side:
        least = f", at least {least_side} pixels each way" if least_side > 1 else ""
        raise ImageError(f"{what}: got an array of shape {array.shape}, wanted height x width x 3 (RGB){least}")
    if not np.issubdtype(array.dtype, np.floating):
        hint = (
            "wctstyle.images.load converts" if array.dtype == np.uint8 else "divide by the largest value there can be"
        )
        raise ImageError(f"{what}: got {array.dtype} values, wanted floats in [0, 1]; {hint}")
    if not np.isfinite(array).all() or array.min() < -_OVERSHOOT or array.max() > 1 + _OVERSHOOT:
        raise ImageError(f"{what}: has values outside [0, 1] or not finite; scale, clip or replace them")
    return np.clip(array, 0, 1).astype(np.float32, copy=False)


def checked_array(array: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Splits an array from outside into new float32 "h w 3" and opacity, or says what is wrong."""
    shape = array.shape
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        hint = "; give one picture of the batch, array[0]" if array.ndim == 4 else ""
        hint = "; move the channels last" if array.ndim == 3 and shape[0] in (1, 3, 4) else hint
        raise ImageError(f"{name}: has shape {shape}, wanted (h, w), (h, w, 1), (h, w, 3) or (h, w, 4){hint}")
    if min(shape[:2]) < 1:
        raise ImageError(f"{name}: has shape {shape}, which holds no pixels; give at least 1 x 1")
    values = checked_values(array, name)
    rgb = np.repeat(values, 3, axis=-1) if shape[2:] in ((), (1,)) else values[..., :3]
    return rgb, values[..., 3] if shape[2:] == (4,) else None


def checked_values(array: np.ndarray, name: str) -> np.ndarray:
    """Returns uint8 or float values as new float32 in [0, 1]."""
    if array.dtype == np.uint8:
        return array / np.float32(255)
    if not np.issubdtype(array.dtype, np.floating):
        raise ImageError(
            f"{name}: has dtype {array.dtype}, wanted uint8 or float; for 16 bits divide by 65535, for a "
            "mask use astype(float)"
        )
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError(f"{name}: has NaN or infinite values; replace them, with np.nan_to_num for one")
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        raise ImageError(
            f"{name}: has float values from {low:g} to {high:g}, wanted [0, 1]; divide by 255 or clip them"
        )
    return np.clip(array, 0, 1).astype(np.float32, copy=False)


def white_of(values: np.ndarray, kind: np.dtype) -> float:
    """Says which value of decoded pixels of a kind is white: the largest there is to 16 bits, else by `load`'s rule.

    Raises:
        UnsupportedError: pixels are not finite, are negative, or fit no range.
    """
    whole = kind.kind != "f"
    if whole and kind.itemsize <= 2 and kind.kind == "u":
        return np.iinfo(kind).max
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UnsupportedError("has pixels that are NaN or infinite; export it as PNG")
    whites = (np.iinfo(kind).max,) if whole and kind.itemsize <= 2 else _WHITES[whole]
    white = next((white for white in whites if high <= white * (1 + _OVERSHOOT)), None)
    if low < -_OVERSHOOT or white is None or (not whole and white > 1 >= np.median(values)):
        raise UnsupportedError(f"has pixels from {low:g} to {high:g}, a range not known here; convert them to 0..1")
    return white


def upright(plane: np.ndarray, orientation: int) -> np.ndarray:
    """Shows stored rows and columns upright, by EXIF's orientation (tag 0x0112, CIPA DC-008); copies nothing."""
    plane = plane.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else plane
    plane = plane[::-1] if orientation in (3, 4, 7, 8) else plane
    return plane[:, ::-1] if orientation in (2, 3, 6, 7) else plane
