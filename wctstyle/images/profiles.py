"""Colour management: pixels to sRGB by the profile or the colour space that their file names, where that fits them."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from wctstyle.images.color_spaces import cicp_profile, png_profile
from wctstyle.images.picture import as_floats, as_kind
from wctstyle.images.raster import slabs
from wctstyle.images.tiff_pixels import DeepTiff

_SRGB = ImageCms.createProfile("sRGB")

#: Without the tables that Little CMS makes of a profile, which for CIELAB and grey are up to 7 levels off.
_EXACT = ImageCms.Flags.NOOPTIMIZE


def embedded_profile(image: Image.Image | DeepTiff) -> ImageCms.ImageCmsProfile | None:
    """Returns the profile of a file's colours; None if it names none, or none that is whole.

    CICP (PNG's cICP, the "nclx" of HEIC and AVIF) goes before ICC, ICC before PNG's sRGB, that before its gAMA and
    cHRM, as in browsers (PNG third edition, 4.3).
    """
    info = image.info
    if info.get("cicp"):
        primaries, transfer = info["cicp"]
        data = cicp_profile(primaries, transfer)
    elif info.get("icc_profile"):
        data = info["icc_profile"]
    else:
        data = None if "srgb" in info else png_profile(info.get("gamma"), info.get("chromaticity"))
    if not isinstance(data, bytes) or not data:
        return None
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(data))
    except (OSError, TypeError, ValueError, ImageCms.PyCMSError):
        return None


def to_srgb(mode: str, profile: ImageCms.ImageCmsProfile | None) -> Callable[[Image.Image], Image.Image]:
    """Makes what converts 8-bit pixels of a mode without transparency to sRGB, by their profile where that fits."""
    return _converter(mode, profile) or (lambda image: image.convert("RGB"))


def deep_to_srgb(values: np.ndarray, mode: str, profile: ImageCms.ImageCmsProfile | None) -> np.ndarray:
    """Converts deep pixels "h w c", floats in [0, 1] or 16 bits, to sRGB of the same kind, like 8-bit ones of a mode.

    Grey and RGB that are sRGB stay exact. The rest goes through 8-bit tables (`_by_table`).
    """
    convert = _converter(mode, profile)
    if convert is None and mode in ("L", "RGB"):
        return values if mode == "RGB" else np.repeat(values, 3, axis=-1)
    rgb = np.empty((*values.shape[:2], 3), values.dtype)
    for rows in slabs(*values.shape[:2]):
        rgb[rows] = as_kind(_by_table(as_floats(values[rows]), mode, convert), rgb.dtype)
    return rgb


def _by_table(values: np.ndarray, mode: str, convert: Callable[[Image.Image], Image.Image] | None) -> np.ndarray:
    """Converts floats in [0, 1] to RGB by what converts 8-bit pixels.

    From the 8-bit colour below, changed in proportion along each channel towards the next, which is about as exact as 8
    bits, without their steps.
    """

    def converted(levels: np.ndarray) -> np.ndarray:
        image = Image.merge(
            mode, [Image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(levels, -1, 0)]
        )
        return np.asarray(convert(image) if convert else image.convert("RGB")).astype(np.float32)

    scaled = values * np.float32(255)
    below = np.floor(scaled).astype(np.uint8)
    start = converted(below)
    found = start.copy()
    for channel in range(values.shape[2]):
        part = (scaled - below)[..., channel, None]
        if part.any():
            above = below.copy()
            above[..., channel] += below[..., channel] < 255
            found += part * (converted(above) - start)
    return np.clip(found / 255, 0, 1)


def kept_profile(image: Image.Image | DeepTiff, profile: ImageCms.ImageCmsProfile | None) -> bytes | None:
    """Returns the profile of RGB that pixels were converted from; None for sRGB and other spaces."""
    if profile is None or not image.mode.startswith("RGB") or _converter("RGB", profile) is None:
        return None
    return profile.tobytes()


def from_srgb(profile: bytes) -> Callable[[np.ndarray], np.ndarray] | None:
    """Makes what converts floats from sRGB to a profile of RGB; None if the profile cannot do it."""
    try:
        goal = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    except (OSError, TypeError, ValueError, ImageCms.PyCMSError):
        return None
    convert = _transform(_SRGB, "RGB", goal=goal)
    return None if convert is None else lambda rgb: _by_table(rgb, "RGB", convert)


def _converter(mode: str, profile: ImageCms.ImageCmsProfile | None) -> Callable[[Image.Image], Image.Image] | None:
    """Makes what converts 8-bit pixels of a mode to sRGB by their profile; None where no profile has a say."""
    space = str(getattr(profile.profile, "xcolor_space", "")).strip() if profile else ""
    if mode == "LAB":
        convert = _transform(
            ImageCms.createProfile("LAB"), "LAB", ImageCms.Flags.NOOPTIMIZE
        )  # its table is 4 levels off
        if convert is None:
            raise ValueError("its CIELAB colours cannot be converted")
        return convert
    if mode == "CMYK":
        return _transform(profile, "CMYK") if space == "CMYK" else None
    if space == "GRAY" and mode in ("1", "L"):
        return _transform(profile, "L", _EXACT)
    convert = _transform(profile, "RGB") if space == "RGB" else None
    return None if convert is None or _is_identity(convert) else convert


def _transform(
    profile: Any, mode: str, flags: ImageCms.Flags = ImageCms.Flags.NONE, *, goal: Any = _SRGB
) -> Callable[[Image.Image], Image.Image] | None:
    """Makes what converts 8-bit pixels from a profile to another; None if they cannot do it."""
    try:
        transform = ImageCms.buildTransform(
            profile,
            goal,
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION | flags,
        )
    except ImageCms.PyCMSError:
        return None

    def convert(image: Image.Image) -> Image.Image:
        converted = ImageCms.applyTransform(image if image.mode == mode else image.convert(mode), transform)
        assert converted is not None  # it is, unless applied in place
        return converted

    return convert


def _is_identity(convert: Callable[[Image.Image], Image.Image]) -> bool:
    """Says whether a profile is sRGB: none of a lattice of colours moves by more than one 8-bit level.

    Such pictures, most that have a profile, are left as they are, exact and sooner.
    """
    steps = np.linspace(0, 255, 6).astype(np.uint8)
    lattice = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    moved = convert(Image.fromarray(lattice))
    return int(np.abs(np.asarray(moved).astype(int) - lattice).max()) <= 1
