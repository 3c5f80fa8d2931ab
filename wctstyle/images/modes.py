"""Pixels of every mode that Pillow knows to upright sRGB and opacity."""

from __future__ import annotations

import numpy as np
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import TiffImageFile

from wctstyle.images.arrays import upright, white_of
from wctstyle.images.guards import DECODER_ERRORS
from wctstyle.images.picture import Picture, frozen
from wctstyle.images.profiles import deep_to_srgb, embedded_profile, to_srgb
from wctstyle.images.tiff_pixels import DeepTiff, blocks


def decoded(image: Image.Image | DeepTiff, name: str) -> Picture:
    """Decodes an opened image of any mode."""
    if isinstance(image, DeepTiff):
        values, alpha = image.read()
        return frozen(deep_to_srgb(values, image.mode, embedded_profile(image)), alpha, name)
    if isinstance(image, TiffImageFile):
        blocks(image.tag_v2)
    raw_mode = _raw_mode(image)
    image.load()
    if min(image.size) < 1:
        raise ValueError(f"it is {image.width} x {image.height} pixels")
    alpha = _color_key_alpha(image, raw_mode)
    profile, orientation = embedded_profile(image), _orientation(image)
    if image.mode == "F" or image.mode.startswith("I"):
        rgb = deep_to_srgb(upright(_deep_grey(image, raw_mode), orientation)[..., None], "L", profile)
    else:
        if image.mode in ("La", "RGBa"):
            image = image.convert(image.mode.upper())
        elif image.mode in ("P", "PA"):
            image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        if image.mode in ("LA", "RGBA"):
            alpha = np.asarray(image.getchannel("A")) / np.float32(255)
            image = image.convert(image.mode[:-1])
        rgb = np.divide(upright(np.asarray(to_srgb(image, profile)), orientation), np.float32(255), order="C")
    return frozen(rgb, None if alpha is None else upright(alpha, orientation), name)


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
    white = 4095 if raw_mode == "I;12" else white_of(values, values.dtype)
    return np.clip(values / np.float64(white), 0, 1).astype(np.float32)
