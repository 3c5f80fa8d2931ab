"""Recipes, how a picture was made: where each format keeps them, in and out."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from wctstyle.errors import ImageError
from wctstyle.images.formats import READERS
from wctstyle.images.guards import DECODER_ERRORS, decoding
from wctstyle.images.reading import BinaryStream, name_of, read_encoded
from wctstyle.images.tiff_pixels import DeepTiff

#: EXIF UserComment begins with eight bytes that name its character code (CIPA DC-008, 4.6.6).
_ASCII_CODE = b"ASCII\0\0\0"

#: What is around a recipe in a field that other programs use too, to know ours.
_WRAP_BEGIN, _WRAP_END = '{"wctstyle": ', "}"

#: Most bytes of EXIF in a JPEG: a segment's 16-bit length counts its own two bytes (ITU-T T.81, B.1.1.4).
_JPEG_SEGMENT = 65_533


def read_recipe(source: str | Path | bytes | BinaryStream) -> dict[str, Any] | None:
    """Reads back the recipe that `encode` or `save` put into a file; None if there is none.

    Decodes no pixels, so there is no limit on the size.

    Raises:
        ImageError: if it is no readable picture, or its recipe is damaged.

    Example:
        >>> from wctstyle import images
        >>> data = images.encode(np.zeros((1, 1, 3)), format="jpeg", recipe={"size": 512})
        >>> read_recipe(data)
        {'size': 512}
    """
    name = name_of(source)
    data, kind = read_encoded(source, name)
    with decoding(name, kind, 0):
        text = _recipe_text(READERS[kind].opener(io.BytesIO(data)))
    if text is None:
        return None
    try:
        recipe = json.loads(text)
        if not isinstance(recipe, dict):
            raise ValueError(f"it is a {type(recipe).__name__}, not a dict")
    except (ValueError, RecursionError) as error:
        raise ImageError(
            f"{name}: its wctstyle recipe is damaged: {error}; take it from another copy of the picture"
        ) from error
    return recipe


def _recipe_text(image: Image.Image | DeepTiff) -> str | None:
    """Finds the JSON of our recipe in a file's metadata, and leaves what others wrote there alone."""
    own = image.info.get("wctstyle")
    if isinstance(own, str):
        return own
    try:
        exif = image.getexif()
        description = exif.get(ExifTags.Base.ImageDescription)
        comment = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
    except DECODER_ERRORS:  # broken EXIF, so not ours
        return None
    if isinstance(comment, bytes):
        comment = comment.removeprefix(_ASCII_CODE).decode("ascii", errors="replace")
    if isinstance(own := image.info.get("comment"), bytes):  # of a GIF
        description = own.decode("ascii", errors="replace")
    for text in (comment, description):
        if isinstance(text, str) and text.startswith(_WRAP_BEGIN):
            return text.rstrip("\0 ").removeprefix(_WRAP_BEGIN).removesuffix(_WRAP_END)
    return None


def recipe_text(recipe: dict[str, Any], name: str) -> str:
    """Writes a recipe as JSON in ASCII, which all formats keep."""
    try:
        return json.dumps(recipe, allow_nan=False, default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise ImageError(
            f"{name}: the recipe cannot be written as JSON: {error}; keep to text, numbers, lists and dicts"
        ) from error


def wrapped(text: str) -> str:
    """Marks a recipe as ours, in a field that other programs use too."""
    return _WRAP_BEGIN + text + _WRAP_END


def in_exif(text: str, kind: str, name: str) -> bytes:
    """Puts a recipe into EXIF, where JPEG and WebP keep it."""
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[int(ExifTags.Base.UserComment)] = _ASCII_CODE + wrapped(text).encode("ascii")
    data = exif.tobytes()
    if kind == "JPEG" and len(data) > _JPEG_SEGMENT:
        raise ImageError(f"{name}: the recipe takes {len(data):,} bytes and JPEG holds {_JPEG_SEGMENT:,}; save as PNG")
    return data


def _plain(value: object) -> object:
    """Turns a NumPy scalar into a Python one, for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a {type(value).__name__} is not JSON")
