"""Pixels of every mode that Pillow knows to upright sRGB and opacity."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import ExifTags, Image

from wctstyle.images.guards import DECODER_ERRORS
from wctstyle.images.picture import Picture, frozen
from wctstyle.images.profiles import embedded_profile, grey_to_srgb, to_srgb

#: EXIF orientation (tag 0x0112, CIPA DC-008) to the change that makes the stored rows and columns upright.
_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[::-1],
}

#: TIFF tag 262, PhotometricInterpretation; 0 means that white is zero (TIFF 6.0, page 37).
_PHOTOMETRIC_TAG, _WHITE_IS_ZERO = 262, 0


def decoded(image: Image.Image, name: str) -> Picture:
    """Decodes an opened image of any mode."""
    raw_mode = _raw_mode(image)
    image.load()
    if min(image.size) < 1:
        raise ValueError(f"it is {image.width} x {image.height} pixels")
    alpha = _color_key_alpha(image, raw_mode)
    profile = embedded_profile(image)
    if image.mode == "F" or image.mode.startswith("I"):
        rgb = grey_to_srgb(_deep_grey(image, raw_mode), profile)
    else:
        if image.mode in ("La", "RGBa"):
            image = image.convert(image.mode.upper())
        elif image.mode in ("P", "PA"):
            image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        if image.mode in ("LA", "RGBA"):
            alpha = np.asarray(image.getchannel("A")) / np.float32(255)
            image = image.convert(image.mode[:-1])
        rgb = np.asarray(to_srgb(image, profile)) / np.float32(255)
    upright = _UPRIGHT.get(_orientation(image), lambda a: a)
    return frozen(upright(rgb), None if alpha is None else upright(alpha), name)


def _raw_mode(image: Image.Image) -> str:
    """Says how a not yet decoded file stores its pixels, in Pillow's terms ("L;4", "I;12"); else empty."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    if isinstance(arguments, tuple):
        arguments = arguments[0] if arguments else ""
    return arguments if isinstance(arguments, str) else ""


def _orientation(image: Image.Image) -> int:
    """Reads the EXIF orientation that decoding has not applied yet; 1 when absent or unreadable."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except DECODER_ERRORS:
        return 1


def _color_key_alpha(image: Image.Image, raw_mode: str) -> np.ndarray | None:
    """Makes opacity of the one transparent colour that PNG's tRNS or a grey GIF names; None without one.

    tRNS counts in the file's own bit depth (PNG third edition, 11.3.1.1), Pillow's pixels in 8 bits, 16 for
    grey: 2- and 4-bit keys are scaled up and those of 16-bit colour cut to the high byte, as the pixels are.
    """
    key = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(key, tuple):
        key = tuple(part >> 8 for part in key) if raw_mode.startswith("RGB;16") else key
        hidden = np.all(np.asarray(image) == np.asarray(key), axis=-1)
    elif image.mode in ("1", "L", "I;16") and isinstance(key, int):
        key *= {"L;2": 85, "L;4": 17}.get(raw_mode, 1)
        pixels = image.convert("L") if image.mode == "1" else image
        hidden = np.asarray(pixels) == key
    else:
        return None
    return (~hidden).astype(np.float32)


def _deep_grey(image: Image.Image, raw_mode: str) -> np.ndarray:
    """Scales grey of more than 8 bits to [0, 1]; see `load` for where white is."""
    values = np.asarray(image)
    if raw_mode == "I;32N":
        values = values.view(np.uint32)
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("it has pixels that are NaN or infinite")
    if image.mode.startswith("I;16"):
        white = 4095 if raw_mode == "I;12" else 65535
    else:
        whites = (1, 255, 65535) if image.mode == "F" else (255, 65535, 2**31 - 1, 2**32 - 1)
        white = next((white for white in whites if high <= white), None)
        if low < 0 or white is None:
            raise ValueError(
                f"its pixels run from {low:g} to {high:g}, no range of grey known here; bring them to 0..1"
            )
    grey = (values / np.float64(white)).astype(np.float32)
    tags = getattr(image, "tag_v2", {})
    return 1 - grey if tags.get(_PHOTOMETRIC_TAG, 1) == _WHITE_IS_ZERO else grey
