"""Files, bytes, streams, arrays and Pillow images to pictures.

The decoders are called directly, not through Pillow's registry: a message can then say what a decoder found wrong, no
plugin is registered for the whole process, and the size in the header is checked before any pixel is decoded.
"""

from __future__ import annotations

import io
import os
import re
import stat
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from PIL import Image

from wctstyle.errors import ConfigError, ImageError
from wctstyle.images.arrays import checked_array
from wctstyle.images.formats import READERS, SUPPORTED_SUFFIXES, recognise
from wctstyle.images.guards import DEFAULT_MAX_PIXELS, check_size, decoding, webp_size
from wctstyle.images.modes import decoded
from wctstyle.images.picture import Picture, frozen
from wctstyle.images.raster import Raster


@runtime_checkable
class BinaryStream(Protocol):
    """An open binary file, an upload, `io.BytesIO`: what has a `read` that returns bytes."""

    def read(self, size: int = -1, /) -> bytes:
        """Returns up to `size` bytes, all that are left for -1, none at the end."""
        ...


Source = str | Path | bytes | BinaryStream | np.ndarray | Image.Image


def is_image_file(path: str | Path) -> bool:
    """Says whether the path is a file with a suffix that `load` reads; does not look inside.

    False for the ``._name`` companions that macOS leaves on foreign disks.

    Example:
        >>> from wctstyle import samples
        >>> is_image_file(samples.path("cat")), is_image_file("no-such-file.png")
        (True, False)
    """
    path = Path(path)
    return path.suffix.lower() in SUPPORTED_SUFFIXES and not path.name.startswith("._") and path.is_file()


def load(
    source: Source,
    *,
    max_pixels: int | None = DEFAULT_MAX_PIXELS,
) -> Picture:
    """Decodes a picture to upright float sRGB and its opacity.

    Reads JPEG, PNG, WebP, TIFF, GIF, BMP, HEIC and AVIF by their contents, the suffix does not matter; of an
    animation the first frame, of a TIFF the first page that is not marked as a reduced copy. Camera raw files and
    pictures of high dynamic range (PQ, HLG) are refused.

    EXIF orientation is applied. Colours are converted to sRGB (relative colorimetric, black point compensation)
    from what the file names, the first of CICP's codes (PNG's cICP, the "nclx" of HEIC and AVIF where they have no
    profile), an ICC profile, PNG's gAMA and cHRM; a broken or mismatched profile is ignored.

    TIFF keeps whole numbers and floats of 16 to 64 bits as far as float32 holds them, and PNG its 16 bits, but for
    grey with opacity; where a profile has to be converted, and in CMYK and CIELAB, about 8 bits are left. All else has
    8 bits per channel, the most that Pillow decodes.

    Signed numbers are white at their largest; negative ones are refused. Floats and numbers of more than 16 bits
    carry no white point, so it is taken to be the first of 1 (floats only), 255, 65535 and for whole numbers 2^31 - 1
    and 2^32 - 1 that no pixel exceeds. Floats of which some exceed 1 and half do not are refused: that is light
    beyond white. Floats without a profile count as encoded like sRGB, not as linear light; a TIFF does not say.

    Args:
        source: a path, an encoded file as bytes or as a binary stream (read from its start), a Pillow image,
            or an array: uint8 or float in [0, 1], "h w", "h w 1", "h w 3" or "h w 4" (opacity fourth).
        max_pixels: refuse larger pictures, for files before decoding; 0 or None means no limit.

    Raises:
        ImageError: if it is missing, unreadable, no picture, damaged, or larger than `max_pixels`.
        ConfigError: if `max_pixels` is no whole number, or is negative.

    Example:
        >>> load(np.full((2, 3), 255, np.uint8)).rgb.shape  # a grey array; paths and bytes likewise
        (2, 3, 3)
    """
    return load_raster(source, max_pixels=max_pixels).picture()


def load_raster(source: Source, *, max_pixels: int | None = DEFAULT_MAX_PIXELS) -> Raster:
    """Decodes a picture as `load` does, and leaves 8 and 16 bits what they are: a quarter or half of the memory.

    Raises:
        ImageError, ConfigError: as `load`.

    Example:
        >>> file = io.BytesIO()
        >>> Image.new("RGB", (3, 2), (255, 0, 51)).save(file, "PNG")
        >>> raster = load_raster(file)
        >>> raster.shape, raster.pixels[0, 0].tolist(), raster.bits
        ((2, 3), [255, 0, 51], 8)
    """
    limit = _checked_limit(max_pixels)
    if isinstance(source, Image.Image):
        name = name_of(source)
        check_size(source.size, limit, name)
        with decoding(name, "image", limit):
            return decoded(source, name)
    if hasattr(source, "__array__"):
        array = np.asarray(source)
        if array.ndim >= 2:
            check_size((array.shape[1], array.shape[0]), limit, "<array>")
        rgb, alpha = checked_array(array, "<array>")
        return Raster.of(frozen(rgb, alpha, "<array>"))
    name = name_of(source)
    data, kind = read_encoded(source, name)
    if kind == "WebP" and (size := webp_size(data[:30])):
        check_size(size, limit, name)
    with decoding(name, kind, limit):
        image = READERS[kind].opener(io.BytesIO(data))
        check_size(image.size, limit, name)
        return decoded(image, name)


def _checked_limit(max_pixels: int | None) -> int:
    """Returns the limit as a number, 0 for none."""
    if max_pixels is None:
        return 0
    if isinstance(max_pixels, bool) or not isinstance(max_pixels, int | np.integer) or max_pixels < 0:
        raise ConfigError(f"--max-pixels is {max_pixels!r}, must be a whole number; 0 means no limit")
    return int(max_pixels)


NO_PATH = "<empty path>"


def name_of(source: object) -> str:
    """Says what messages call a source."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source) or NO_PATH
    if isinstance(source, bytes | bytearray | memoryview):
        return "<bytes>"
    fallback = "<image>" if isinstance(source, Image.Image) else "<stream>"
    name = getattr(source, "filename", None) or getattr(source, "name", None)
    return name if isinstance(name, str) else fallback


def read_encoded(source: object, name: str) -> tuple[bytes, str]:
    """Returns the bytes of an encoded picture and the name of its format; reads no more of anything else."""
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
        return data, recognise(data[:4096], name)
    if isinstance(source, str | os.PathLike):
        return _read_path(Path(source), name)
    if not hasattr(source, "read"):
        raise ImageError(
            f"{name}: a {type(source).__name__} is no picture; give a path, bytes, a binary file, an array "
            "or a Pillow image"
        )
    try:
        return _read_stream(source, name)
    except (OSError, ValueError) as error:
        raise ImageError(f"{name}: cannot be read: {error}; open it in binary mode for reading") from error


def _read_path(path: Path, name: str) -> tuple[bytes, str]:
    """Reads a file, or says why not."""
    if re.match(r"[a-z][a-z0-9+.-]+://", name, re.IGNORECASE):
        raise ImageError(f"{name}: is a web address; download the picture and give the file")
    if name == NO_PATH:
        raise ImageError(f"{name}: give the name of a picture")
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise ImageError(f"{name}: is a folder; give a picture file from it")
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise ImageError(f"{name}: is a device or socket; give a picture file")
        with path.open("rb") as file:
            return _read_stream(file, name)
    except FileNotFoundError as error:
        raise ImageError(f"{name}: there is no such file; check the name and the folder") from error
    except PermissionError as error:
        raise ImageError(f"{name}: no permission to read it; change its mode or its owner") from error
    except (OSError, ValueError) as error:
        raise ImageError(f"{name}: cannot be read: {error}; check the path and the disk") from error


def _read_stream(file: Any, name: str) -> tuple[bytes, str]:
    """Reads a stream from its start if it can seek, else from where it is."""
    if hasattr(file, "seek") and (not hasattr(file, "seekable") or file.seekable()):
        file.seek(0)
    head = file.read(4096)
    if isinstance(head, str):
        raise ImageError(f"{name}: is open as text; open it in binary mode, open(path, 'rb')")
    kind = recognise(head, name)
    return head + file.read(), kind
