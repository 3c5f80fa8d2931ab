"""Colour management: 8-bit pixels and deep grey to sRGB by their ICC profile, where that fits them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms

_SRGB = ImageCms.createProfile("sRGB")


def embedded_profile(image: Image.Image) -> ImageCms.ImageCmsProfile | None:
    """Reads the embedded ICC profile; None if there is none or it is broken."""
    data = image.info.get("icc_profile")
    if not isinstance(data, bytes) or not data:
        return None
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(data))
    except (OSError, TypeError, ValueError, ImageCms.PyCMSError):
        return None


def to_srgb(image: Image.Image, profile: ImageCms.ImageCmsProfile | None) -> Image.Image:
    """Converts 8-bit pixels without transparency to sRGB, by their profile where that fits them."""
    space = _color_space(profile)
    converted = None
    if image.mode == "LAB":
        converted = _convert(image, ImageCms.createProfile("LAB"))
        if converted is None:
            raise ValueError("its CIELAB colours cannot be converted")
    elif image.mode == "CMYK" and space == "CMYK":
        converted = _convert(image, profile)
    elif image.mode in ("1", "L") and space == "GRAY":
        converted = _convert(image.convert("L"), profile)
    elif image.mode != "CMYK" and space == "RGB" and not _is_srgb(profile):
        converted = _convert(image.convert("RGB"), profile)
    return image.convert("RGB") if converted is None else converted


def grey_to_srgb(grey: np.ndarray, profile: ImageCms.ImageCmsProfile | None) -> np.ndarray:
    """Spreads grey in [0, 1] over R, G, B, through a curve of 256 points if it has a grey profile."""
    if _color_space(profile) == "GRAY":
        curve = _convert(Image.fromarray(np.arange(256, dtype=np.uint8)[None]), profile)
        if curve is not None:
            points = np.asarray(curve)[0] / 255
            return np.stack([np.interp(grey * 255, np.arange(256), points[:, c]) for c in range(3)], axis=-1)
    return np.repeat(grey[..., None], 3, axis=-1)


def _color_space(profile: ImageCms.ImageCmsProfile | None) -> str:
    """Names the space a profile describes ("RGB", "GRAY", "CMYK", ...); empty for no profile."""
    return str(getattr(profile.profile, "xcolor_space", "")).strip() if profile else ""


def _convert(image: Image.Image, profile: Any) -> Image.Image | None:
    """Converts 8-bit pixels from a profile to sRGB; None if the profile cannot do it."""
    try:
        transform = ImageCms.buildTransform(
            profile,
            _SRGB,
            image.mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        return ImageCms.applyTransform(image, transform)
    except ImageCms.PyCMSError:
        return None


def _is_srgb(profile: Any) -> bool:
    """Says whether a profile is sRGB: none of a lattice of colours moves by more than one 8-bit level.

    Such pictures, most that have a profile, are left as they are, exact and sooner.
    """
    steps = np.linspace(0, 255, 6).astype(np.uint8)
    lattice = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    moved = _convert(Image.fromarray(lattice), profile)
    return moved is not None and int(np.abs(np.asarray(moved).astype(int) - lattice).max()) <= 1
