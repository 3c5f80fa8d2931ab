"""Pictures to the bytes of a file, and to files, all or nothing."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from wctstyle.errors import ConfigError, ImageError
from wctstyle.files import replace_file
from wctstyle.images.arrays import checked_array, checked_values
from wctstyle.images.guards import DEFAULT_MAX_PIXELS, quiet_pillow
from wctstyle.images.picture import over
from wctstyle.images.recipes import recipe_options


@dataclass(frozen=True)
class _Writer:
    """What one format can hold and how Pillow is told to write it; `max_side` in pixels, 0 for no limit."""

    suffixes: tuple[str, ...]
    keeps_alpha: bool
    max_side: int
    options: Callable[[int], dict[str, Any]]


#: Every format that can be written. JPEG at 4:4:4, as a style's saturated edges smear at half colour
#: resolution. The longest sides: JPEG as libjpeg has it (JPEG_MAX_DIMENSION), WebP's 14-bit fields (RFC 9649,
#: 2.5).
WRITERS: dict[str, _Writer] = {
    "PNG": _Writer((".png",), True, 0, lambda quality: {}),
    "JPEG": _Writer((".jpg", ".jpeg"), False, 65500, lambda quality: {"quality": quality, "subsampling": 0}),
    "WEBP": _Writer((".webp",), True, 16383, lambda quality: {"quality": quality, "method": 4}),
    "TIFF": _Writer((".tif", ".tiff"), True, 0, lambda quality: {"compression": "tiff_adobe_deflate"}),
}

DEFAULT_QUALITY = 92
"""Of JPEG and WebP, from 1, the smallest file, to 100, the best picture."""


def encode(
    rgb: np.ndarray,
    alpha: np.ndarray | None = None,
    *,
    format: str = "png",
    quality: int = DEFAULT_QUALITY,
    recipe: dict[str, Any] | None = None,
) -> bytes:
    """Writes a picture as the bytes of a PNG, JPEG, WebP or TIFF file, 8 bits per channel.

    The same input gives the same bytes (with the same Pillow). There is no ICC profile in them, which means
    sRGB. JPEG has no transparency, so there the picture is laid over white. PNG and TIFF are lossless.

    Args:
        rgb: sRGB, uint8 or float in [0, 1], "h w 3" (also "h w", "h w 1" and "h w 4").
        alpha: opacity in [0, 1] of shape "h w", float or uint8; replaces a fourth channel of `rgb`.
        format: "png", "jpeg", "webp" or "tiff", or one of their suffixes.
        quality: 1 to 100, of JPEG and WebP.
        recipe: how the picture was made, anything JSON can hold, kept in the file for `read_recipe`: in PNG
            as the iTXt chunk "wctstyle", in JPEG and WebP as ``{"wctstyle": recipe}`` in EXIF's UserComment,
            in TIFF likewise in ImageDescription.

    Raises:
        ImageError: if the array is no picture, the format is unknown or cannot hold it or the recipe.
        ConfigError: if the quality is out of range.
    """
    return _encode(rgb, alpha, _format_of(format), quality, recipe, "<array>")


def save(
    path: str | Path,
    rgb: np.ndarray,
    alpha: np.ndarray | None = None,
    *,
    quality: int = DEFAULT_QUALITY,
    recipe: dict[str, Any] | None = None,
) -> Path:
    """Writes a picture to a file whose suffix chooses the format, all or nothing; returns the path.

    The bytes go to a temporary file beside the target, which then takes its place; on any failure, an
    interrupt too, the old file is untouched and the temporary one is gone. Arguments as for `encode`.

    Raises:
        ImageError: if the suffix is unknown, the folder missing or the file not writable, and as `encode`.
        ConfigError: if the quality is out of range.
    """
    path = Path(path)
    kind = _format_of(path.suffix, path)
    data = _encode(rgb, alpha, kind, quality, recipe, str(path))
    try:
        target = Path(os.path.realpath(path))  # through a link, as a plain write would go
        if not target.parent.is_dir():
            raise ImageError(f"{path}: there is no folder {target.parent} to save in; make it first")
        if target.is_dir():
            raise ImageError(f"{path}: is a folder, cannot be written as a picture; give a file name")
        replace_file(target, data)
    except (OSError, ValueError) as error:
        raise ImageError(
            f"{path}: cannot be written: {error}; check the folder's permissions and free space, or save elsewhere"
        ) from error
    return path


def check_quality(quality: int) -> None:
    """Refuses what is no quality, before there is a picture to write.

    Raises:
        ConfigError: if it is out of range.
    """
    if isinstance(quality, bool) or not isinstance(quality, int | np.integer) or not 1 <= quality <= 100:
        raise ConfigError(f"quality is {quality!r}, must be a whole number from 1 to 100")


def make_folder(folder: Path) -> None:
    """Makes a folder and those it lies in, where they are missing.

    Raises:
        ImageError: if it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImageError(f"{folder}: the folder cannot be made: {error.strerror or error}") from error


def _format_of(name: str, path: Path | None = None) -> str:
    """Names the writable format that a suffix or format name means."""
    wanted = "." + name.lower().lstrip(".")
    for kind, writer in WRITERS.items():
        if wanted in writer.suffixes:
            return kind
    known = ", ".join(suffix for writer in WRITERS.values() for suffix in writer.suffixes)
    what = f"{path}: cannot save with the suffix {name!r}" if path else f"cannot write the format {name!r}"
    raise ImageError(f"{what}; use one of {known}")


def _encode(
    rgb: np.ndarray,
    alpha: np.ndarray | None,
    kind: str,
    quality: int,
    recipe: dict[str, Any] | None,
    name: str,
) -> bytes:
    """Does the work of `encode` for a known format; `name` is for messages."""
    check_quality(quality)
    writer = WRITERS[kind]
    image = _pillow_image(rgb, alpha, writer, name)
    if writer.max_side and max(image.size) > writer.max_side:
        raise ImageError(
            f"{name}: is {image.width} x {image.height}, but {kind} holds at most {writer.max_side} pixels a "
            "side; save as PNG or TIFF, or make it smaller"
        )
    options = writer.options(int(quality))
    if recipe is not None:
        options |= recipe_options(recipe, kind, name)
    buffer = io.BytesIO()
    try:
        with quiet_pillow(DEFAULT_MAX_PIXELS):
            image.save(buffer, format=kind, **options)
    except (MemoryError, OSError, ValueError, struct.error) as error:
        raise ImageError(f"{name}: cannot be written as {kind}: {error}; try PNG") from error
    return buffer.getvalue()


def _pillow_image(rgb: np.ndarray, alpha: np.ndarray | None, writer: _Writer, name: str) -> Image.Image:
    """Rounds float planes to the 8-bit image that a format can hold."""
    rgb, opacity = checked_array(np.asarray(rgb), name)
    if alpha is not None:
        opacity = np.asarray(alpha)
        if opacity.shape != rgb.shape[:2]:
            raise ImageError(
                f"{name}: its opacity has shape {opacity.shape}, wanted {rgb.shape[:2]}; resize it to match"
            )
        opacity = checked_values(opacity, f"{name} (opacity)")
    if opacity is not None and not np.all(opacity == 1):
        if writer.keeps_alpha:
            rgb = np.concatenate([rgb, opacity[..., None]], axis=-1)
        else:
            rgb = over(rgb, opacity, (1.0, 1.0, 1.0))
    return Image.fromarray(np.rint(rgb * np.float32(255)).astype(np.uint8))
