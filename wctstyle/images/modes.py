"""Pixels of every mode that Pillow knows to upright sRGB and opacity."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import ExifTags, Image, ImageCms
from PIL.TiffImagePlugin import TiffImageFile

from wctstyle.images.arrays import upright, white_of
from wctstyle.images.guards import DECODER_ERRORS
from wctstyle.images.picture import as_floats, as_kind
from wctstyle.images.profiles import deep_to_srgb, embedded_profile, kept_profile, to_srgb
from wctstyle.images.raster import Raster, slabs
from wctstyle.images.tiff_pixels import DeepTiff, blocks


def decoded(image: Image.Image | DeepTiff, name: str) -> Raster:
    """Decodes an opened image of any mode."""
    if isinstance(image, DeepTiff):
        values, alpha = image.read()
        profile = embedded_profile(image)
        return _raster(deep_to_srgb(values, image.mode, profile), alpha, name, image, profile)
    if isinstance(image, TiffImageFile):
        blocks(image.tag_v2)
    raw_mode = _raw_mode(image)
    low = image.info.pop("low_bytes", None)
    image.load()
    if min(image.size) < 1:
        raise ValueError(f"it is {image.width} x {image.height} pixels")
    alpha = _color_key_alpha(image, raw_mode)
    profile, orientation = embedded_profile(image), _orientation(image)
    opened = image
    if image.mode == "F" or image.mode.startswith("I"):
        values = upright(_deep_grey(image, raw_mode), orientation)[..., None]
        kind = np.dtype(np.uint16 if image.mode.startswith("I;16") else np.float32)
        pixels = as_kind(deep_to_srgb(values, "L", profile), kind)
    elif low is not None:
        values = upright(_joined(image, low), orientation)
        pixels = deep_to_srgb(values[..., :3], "RGB", profile)
        alpha = alpha if values.shape[2] == 3 else values[..., 3]
        orientation = orientation if values.shape[2] == 3 else 1
    else:
        if image.mode in ("La", "RGBa"):
            image = image.convert(image.mode.upper())
        elif image.mode in ("P", "PA"):
            image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        if image.mode in ("LA", "RGBA"):
            alpha = np.asarray(image.getchannel("A"))
        mode = image.mode[:-1] if image.mode in ("LA", "RGBA") else image.mode
        pixels = _by_slabs(image, mode, to_srgb(mode, profile), orientation)
    return _raster(pixels, None if alpha is None else upright(alpha, orientation), name, opened, profile)


def _by_slabs(
    image: Image.Image, mode: str, convert: Callable[[Image.Image], Image.Image], orientation: int
) -> np.ndarray:
    """Converts 8-bit pixels to upright "h w 3", some rows at a time: Pillow holds copies of all it is asked for."""
    width, height = image.size
    stored = np.empty((height, width, 3), np.uint8)
    for rows in slabs(height, width):
        slab = image.crop((0, rows.start, width, rows.stop))
        stored[rows] = np.asarray(convert(slab if slab.mode == mode else slab.convert(mode)))
    return np.ascontiguousarray(upright(stored, orientation))


def _joined(image: Image.Image, low: Image.Image) -> np.ndarray:
    """Joins the high and the low bytes of 16-bit pixels."""
    low.load()
    width, height = image.size
    values = np.empty((height, width, len(image.getbands())), np.uint16)
    for rows in slabs(height, width):
        box = 0, rows.start, width, rows.stop
        high, rest = (np.asarray(half.crop(box)) for half in (image, low))
        values[rows] = (high.astype(np.uint16) << 8) | rest
    return values


def _raster(
    pixels: np.ndarray,
    alpha: np.ndarray | None,
    name: str,
    image: Image.Image | DeepTiff,
    profile: ImageCms.ImageCmsProfile | None,
) -> Raster:
    """Makes a Raster of arrays that nobody else writes to; opacity becomes of the kind of the pixels."""
    if alpha is not None:
        alpha = as_kind(as_floats(alpha), pixels.dtype) if alpha.dtype != pixels.dtype else alpha
        whole = 1 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max
        alpha = None if np.all(alpha == whole) else np.ascontiguousarray(alpha)
    return Raster(np.ascontiguousarray(pixels), alpha, name, kept_profile(image, profile), _resolution(image))


def _resolution(image: Image.Image | DeepTiff) -> tuple[float, float] | None:
    """Reads pixels per inch, across and down as the picture is shown; None where a file does not say."""
    found = image.info.get("dpi")
    if not isinstance(found, tuple) or len(found) != 2 or not all(0 < float(value) < 1e6 for value in found):
        return None
    across, down = (float(value) for value in found)
    turned = _orientation(image) in (5, 6, 7, 8)
    return (down, across) if turned else (across, down)


def _raw_mode(image: Image.Image) -> str:
    """Says how a not yet decoded file stores its pixels, in Pillow's terms ("L;4", "I;12"); else empty."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    if isinstance(arguments, tuple):
        arguments = arguments[0] if arguments else ""
    return arguments if isinstance(arguments, str) else ""


def _orientation(image: Image.Image | DeepTiff) -> int:
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
