"""Pictures in and out: files, bytes, arrays and Pillow images to float sRGB arrays, and back to files.

Every decoded picture is upright, in sRGB, float32 in [0, 1], with its transparency apart. The decoders are
called directly, not through Pillow's registry: a message can then say what a decoder found wrong, no plugin
is registered for the whole process, and the size in the header is checked before any pixel is decoded.
"""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import io
import json
import os
import re
import secrets
import stat
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageCms,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from wctstyle.errors import ConfigError, ImageError

#: Most pixels a picture may have unless the caller says otherwise: above every camera in common use (100
#: megapixels is medium format), and 1.2 GB once decoded to float32.
DEFAULT_MAX_PIXELS = 100_000_000

#: Floats this far outside [0, 1] are rounding and are clipped; further out is an error.
_ROUNDING = 1e-5

#: What a decoder may raise on a damaged file.
_DECODER_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    Image.DecompressionBombError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)

_DAMAGED = "the file is damaged, incomplete or of a rare kind: export it as PNG, or download it again"


@runtime_checkable
class BinaryStream(Protocol):
    """An open binary file, an upload, `io.BytesIO`: what has a `read` that returns bytes."""

    def read(self, size: int = -1, /) -> bytes:
        """Returns up to `size` bytes, all that are left for -1, none at the end."""
        ...


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture; its arrays are read-only.

    Attributes:
        rgb: sRGB in [0, 1], upright; under full transparency it is whatever the file holds.
        alpha: opacity in [0, 1], not premultiplied into `rgb`; None when every pixel is opaque.
        source: what messages call it: the path as given, or ``<bytes>``, ``<array>``, ``<image>``.
    """

    rgb: Float[np.ndarray, "h w 3"]
    alpha: Float[np.ndarray, "h w"] | None = None
    source: str = "<array>"

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.rgb.shape[0]

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.rgb.shape[1]

    @cached_property
    def content_hash(self) -> str:
        """Hex SHA-256 of the shape and of the pixels, opacity too, rounded to 16 bits; not of the source.

        The same pixels have the same hash whichever file or lossless format they came from.
        """
        digest = hashlib.sha256(f"{self.height}x{self.width}+{self.alpha is not None}".encode())
        for plane in (self.rgb, self.alpha):
            for row in () if plane is None else plane:
                digest.update(np.rint(row * 65535.0).astype("<u2").tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class _Reader:
    """How one format is recognised and opened; `opener` reads the header only."""

    suffixes: tuple[str, ...]
    matches: Callable[[bytes], bool]
    opener: Callable[[io.BytesIO], Image.Image]


@dataclass(frozen=True)
class _Writer:
    """What one format can hold and how Pillow is told to write it; `max_side` in pixels, 0 for no limit."""

    suffixes: tuple[str, ...]
    keeps_alpha: bool
    max_side: int
    options: Callable[[int], dict[str, Any]]


def _ftyp_brands(head: bytes) -> set[bytes]:
    """Lists the major and compatible brands of an ISO media file (ISO/IEC 14496-12, 4.3), if it is one."""
    if head[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12]} | {head[at : at + 4] for at in range(16, end - 3, 4)}


def _is_avif(head: bytes) -> bool:
    return bool(_ftyp_brands(head) & {b"avif", b"avis"})


def _is_heif(head: bytes) -> bool:
    known = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
    return bool(_ftyp_brands(head) & known) and not _is_avif(head)


def _open_heif(file: io.BytesIO) -> Image.Image:
    try:
        from pillow_heif import HeifImageFile  # here, as it loads a codec that few pictures need
    except ImportError as error:
        raise OSError(f"the HEIC decoder is not there ({error}); pip install pillow-heif") from error
    return HeifImageFile(file)


#: Every format that can be read.
_READERS: dict[str, _Reader] = {
    "JPEG": _Reader(
        (".jpg", ".jpeg", ".jpe", ".jfif"),
        lambda head: head.startswith(b"\xff\xd8\xff"),
        JpegImagePlugin.JpegImageFile,
    ),
    "PNG": _Reader(
        (".png", ".apng"),
        lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"),
        PngImagePlugin.PngImageFile,
    ),
    "WebP": _Reader(
        (".webp",),
        lambda head: head.startswith(b"RIFF") and head[8:12] == b"WEBP",
        WebPImagePlugin.WebPImageFile,
    ),
    "TIFF": _Reader(
        (".tif", ".tiff"),
        lambda head: head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
        TiffImagePlugin.TiffImageFile,
    ),
    "GIF": _Reader(
        (".gif",),
        lambda head: head.startswith((b"GIF87a", b"GIF89a")),
        GifImagePlugin.GifImageFile,
    ),
    "BMP": _Reader((".bmp",), lambda head: head.startswith(b"BM"), BmpImagePlugin.BmpImageFile),
    "HEIC": _Reader((".heic", ".heif", ".hif"), _is_heif, _open_heif),
    "AVIF": _Reader((".avif",), _is_avif, AvifImagePlugin.AvifImageFile),
}

#: Every format that can be written. JPEG at 4:4:4, as a style's saturated edges smear at half colour
#: resolution. The longest sides: JPEG as libjpeg has it (JPEG_MAX_DIMENSION), WebP's 14-bit fields (RFC 9649,
#: 2.5).
_WRITERS: dict[str, _Writer] = {
    "PNG": _Writer((".png",), True, 0, lambda quality: {}),
    "JPEG": _Writer(
        (".jpg", ".jpeg"),
        False,
        65500,
        lambda quality: {"quality": quality, "subsampling": 0},
    ),
    "WEBP": _Writer((".webp",), True, 16383, lambda quality: {"quality": quality, "method": 4}),
    "TIFF": _Writer((".tif", ".tiff"), True, 0, lambda quality: {"compression": "tiff_adobe_deflate"}),
}

#: Suffixes of the files that `load` reads. It goes by the contents; these are for choosing files in a folder.
SUPPORTED_SUFFIXES: tuple[str, ...] = tuple(s for reader in _READERS.values() for s in reader.suffixes)

#: What else people hand in, by how it begins, and what to do then.
_STRANGERS: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), advice)
    for pattern, advice in (
        (rb"%PDF-", "is a PDF; export the page as PNG or JPEG"),
        (rb"%!PS", "is PostScript; export it as PNG or JPEG"),
        (rb"[^\0]{0,400}?<svg", "is an SVG drawing; export it as PNG at the size you want"),
        (rb"\s*(<!--.*?-->\s*)?<(!doctype html|html|head|body)", "is a web page; save the picture itself"),
        (rb"version https://git-lfs", "is a Git LFS pointer, not the picture; run `git lfs pull`"),
        (rb"....ftypcrx ", "is a camera raw file; develop it to JPEG, PNG or TIFF"),
        (rb"(....ftyp|\x1aE\xdf\xa3|RIFF....AVI )", "is a video; save one frame as PNG"),
        (rb"(\0\0\0\x0cjP  |\xff\x4f\xff\x51)", "is JPEG 2000; convert it to PNG or JPEG"),
        (rb"(\0\0\0\x0cJXL |\xff\x0a)", "is JPEG XL; convert it to PNG or JPEG"),
        (rb"8BPS", "is a Photoshop file; export it as PNG or TIFF"),
        (rb"(PK\x03\x04|\x1f\x8b|Rar!|7z\xbc\xaf)", "is an archive; unpack it and give a picture from it"),
        (rb"\x00\x00[\x01\x02]\x00", "is an icon; convert it to PNG"),
    )
)


def is_image_file(path: str | Path) -> bool:
    """Says whether the path is a file with a suffix that `load` reads; does not look inside.

    False for the ``._name`` companions that macOS leaves on foreign disks.
    """
    path = Path(path)
    return path.suffix.lower() in SUPPORTED_SUFFIXES and not path.name.startswith("._") and path.is_file()


def load(
    source: str | Path | bytes | BinaryStream | np.ndarray | Image.Image,
    *,
    max_pixels: int | None = DEFAULT_MAX_PIXELS,
) -> Picture:
    """Decodes a picture to upright float sRGB and its opacity.

    Reads JPEG, PNG, WebP, TIFF, GIF, BMP, HEIC and AVIF by their contents, the suffix does not matter; of an
    animation or a multi-page file the first frame. EXIF orientation is applied; an embedded ICC profile is
    converted to sRGB (relative colorimetric, black point compensation), a broken or mismatched one is
    ignored. Grey is kept to 16 bits; colour to 8 bits per channel, the most that Pillow decodes, so 16-bit
    colour loses its low byte.

    Floating point and 32-bit integer grey carry no white point, so it is taken to be the first of 1 (floats
    only), 255, 65535 and for integers 2^31 - 1 and 2^32 - 1 that no pixel exceeds.

    Args:
        source: a path, an encoded file as bytes or as a binary stream (read from its start), a Pillow image,
            or an array: uint8 or float in [0, 1], "h w", "h w 1", "h w 3" or "h w 4" (opacity fourth).
        max_pixels: refuse larger pictures, for files before decoding; 0 or None means no limit.

    Raises:
        ImageError: if it is missing, unreadable, no picture, damaged, or larger than `max_pixels`.
        ConfigError: if `max_pixels` is no whole number, or is negative.
    """
    limit = _checked_limit(max_pixels)
    if isinstance(source, Image.Image):
        name = _name_of(source)
        _check_size(source.size, limit, name)
        with _quiet_pillow(limit), _decoding(name, "image", limit):
            return _picture(source, name)
    if hasattr(source, "__array__"):
        array = np.asarray(source)
        if array.ndim >= 2:
            _check_size((array.shape[1], array.shape[0]), limit, "<array>")
        rgb, alpha = _checked_array(array, "<array>")
        return _frozen_picture(rgb, alpha, "<array>")
    name = _name_of(source)
    data, kind = _read(source, name)
    with _quiet_pillow(limit), _decoding(name, kind, limit):
        image = _READERS[kind].opener(io.BytesIO(data))
        _check_size(image.size, limit, name)
        if kind == "PNG":  # Pillow decodes past a bad checksum and a missing end; its `verify` does not
            PngImagePlugin.PngImageFile(io.BytesIO(data)).verify()
        return _picture(image, name)


def resize(picture: Picture, *, long_side: int, enlarge: bool = False) -> Picture:
    """Scales a picture to a longer side of `long_side` pixels, keeping the aspect; never below 1 pixel.

    Lanczos (a = 3) with antialiasing, in float and on the encoded sRGB values, clipped to [0, 1]. Colour is
    weighted by opacity, so hidden colours do not bleed into visible ones. A picture that is already as small
    is returned as it is unless `enlarge`.

    Raises:
        ConfigError: if `long_side` is not a whole number of at least 1.
    """
    if isinstance(long_side, bool) or not isinstance(long_side, int | np.integer) or long_side < 1:
        raise ConfigError(f"long side is {long_side!r}, must be a whole number of pixels, at least 1")
    longest = max(picture.height, picture.width)
    if longest == long_side or (longest < long_side and not enlarge):
        return picture
    height, width = (
        max(1, (2 * side * int(long_side) + longest) // (2 * longest)) for side in (picture.height, picture.width)
    )
    rgb = _resample(picture.rgb, height, width)
    if picture.alpha is None:
        return _frozen_picture(np.clip(rgb, 0.0, 1.0), None, picture.source)
    alpha = np.clip(_resample(picture.alpha[..., None], height, width), 0.0, 1.0)
    weighted = _resample(picture.rgb * picture.alpha[..., None], height, width)
    visible = alpha > 0.5 / 255  # below, 8 bits hold no opacity and the quotient is noise
    rgb = np.where(visible, weighted / np.where(visible, alpha, 1.0), rgb)
    return _frozen_picture(np.clip(rgb, 0.0, 1.0), alpha[..., 0], picture.source)


def flatten(picture: Picture, *, background: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Picture:
    """Lays a picture over a plain sRGB colour (white), so that nothing is transparent.

    ``alpha rgb + (1 - alpha) background`` on the encoded values, as browsers and editors do.
    """
    if picture.alpha is None:
        return picture
    return _frozen_picture(_over(picture.rgb, picture.alpha, background), None, picture.source)


def encode(
    rgb: np.ndarray,
    alpha: np.ndarray | None = None,
    *,
    format: str = "png",
    quality: int = 92,
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
    quality: int = 92,
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
        _replace_file(target, data)
    except (OSError, ValueError) as error:
        raise ImageError(
            f"{path}: cannot be written: {error}; check the folder's permissions and free space, or save elsewhere"
        ) from error
    return path


def read_recipe(source: str | Path | bytes | BinaryStream) -> dict[str, Any] | None:
    """Reads back the recipe that `encode` or `save` put into a file; None if there is none.

    Decodes no pixels, so there is no limit on the size.

    Raises:
        ImageError: if it is no readable picture, or its recipe is damaged.
    """
    name = _name_of(source)
    data, kind = _read(source, name)
    with _quiet_pillow(0), _decoding(name, kind, 0):
        text = _recipe_text(_READERS[kind].opener(io.BytesIO(data)))
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


# --- Messages and limits -----------------------------------------------------------------------


def _name_of(source: object) -> str:
    """Says what messages call a source."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source) or "<empty path>"
    if isinstance(source, bytes | bytearray | memoryview):
        return "<bytes>"
    fallback = "<image>" if isinstance(source, Image.Image) else "<stream>"
    name = getattr(source, "filename", None) or getattr(source, "name", None)
    return name if isinstance(name, str) else fallback


def _checked_limit(max_pixels: int | None) -> int:
    """Returns the limit as a number, 0 for none."""
    if max_pixels is None:
        return 0
    if isinstance(max_pixels, bool) or not isinstance(max_pixels, int | np.integer) or max_pixels < 0:
        raise ConfigError(f"--max-pixels is {max_pixels!r}, must be a whole number; 0 means no limit")
    return int(max_pixels)


def _check_size(size: tuple[int, int], limit: int, name: str) -> None:
    """Refuses a picture of more pixels than the limit."""
    width, height = size
    if limit and width * height > limit:
        raise _too_large(name, f"{width} x {height} = {width * height:,}", limit)


def _too_large(name: str, pixels: str, limit: int) -> ImageError:
    return ImageError(
        f"{name}: has {pixels} pixels, over the limit of {limit:,}; make it smaller, or raise the limit with "
        "--max-pixels (0 means no limit)"
    )


@contextlib.contextmanager
def _decoding(name: str, kind: str, limit: int) -> Iterator[None]:
    """Turns what a decoder raises into an ImageError that names the source and a remedy."""
    try:
        yield
    except MemoryError as error:
        raise ImageError(f"{name}: not enough memory to decode this {kind}; make it smaller first") from error
    except Image.DecompressionBombError as error:  # from within an opener, so the size is only in the words
        found = re.search(r"\((\d+) pixels\)", str(error))
        raise _too_large(name, f"{int(found[1]):,}" if found else "too many", limit) from error
    except _DECODER_ERRORS as error:
        reason = str(error).strip().rstrip(".")
        if not reason or not isinstance(error, OSError | SyntaxError | ValueError | RuntimeError):
            reason = f"its structure is broken ({type(error).__name__})"
        elif "not identified" in reason:  # Pillow, of a header without a valid size or kind of pixels
            reason = "its header is broken"
        raise ImageError(f"{name}: cannot decode this {kind}: {reason}; {_DAMAGED}") from error


class _QuietPillow:
    """Silences the warnings of Pillow and its plugins while any thread is in it.

    `warnings.catch_warnings` alone would, with two threads in it at once, restore the filters in the wrong
    order and leave ours behind. So the first thread in sets the filters and the last one out restores them.
    The same goes for Pillow's own bomb limit, which is lifted only for calls that allow more than it does.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._silent = 0
        self._lifted = 0
        self._filters = contextlib.ExitStack()
        self._pillow_limit: int | None = None

    @contextlib.contextmanager
    def __call__(self, limit: int) -> Iterator[None]:
        """Silences the body; with a limit of 0 or above Pillow's, lifts Pillow's too."""
        with self._lock:
            pillow_limit = Image.MAX_IMAGE_PIXELS
            lift = self._lifted > 0 or (pillow_limit is not None and not 0 < limit <= 2 * pillow_limit)
            if self._silent == 0:
                self._filters.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", module=r"(PIL|pillow_heif)(\.|$)")
            if lift and self._lifted == 0:
                self._pillow_limit, Image.MAX_IMAGE_PIXELS = pillow_limit, None
            self._silent += 1
            self._lifted += lift
        try:
            yield
        finally:
            with self._lock:
                self._silent -= 1
                self._lifted -= lift
                if lift and self._lifted == 0:
                    Image.MAX_IMAGE_PIXELS = self._pillow_limit
                if self._silent == 0:
                    self._filters.close()


_quiet_pillow = _QuietPillow()


# --- Reading bytes -----------------------------------------------------------------------------


def _read(source: object, name: str) -> tuple[bytes, str]:
    """Returns the bytes of an encoded picture and the name of its format; reads no more of anything else."""
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
        return data, _recognise(data[:4096], name)
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
    kind = _recognise(head, name)
    return head + file.read(), kind


def _recognise(head: bytes, name: str) -> str:
    """Names the format of the bytes that begin so."""
    for kind, reader in _READERS.items():
        if reader.matches(head):
            return kind
    known = ", ".join(_READERS)
    if not head:
        raise ImageError(f"{name}: is empty (0 bytes); export or download it again")
    for pattern, advice in _STRANGERS:
        if pattern.match(head):
            raise ImageError(f"{name}: {advice} (can read {known})")
    what = "is text, not a picture" if _is_text(head) else f"is no known kind of picture (begins {head[:8]!r})"
    raise ImageError(f"{name}: {what}; give one of {known}, or convert it to PNG")


def _is_text(head: bytes) -> bool:
    """Says whether bytes, which may end within a character, are UTF-8 text without control characters."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return not re.search(r"[\0-\x08\x0e-\x1f]", text)


# --- Pixels ------------------------------------------------------------------------------------

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


def _picture(image: Image.Image, name: str) -> Picture:
    """Decodes an opened image of any mode."""
    raw_mode = _raw_mode(image)
    image.load()
    if min(image.size) < 1:
        raise ValueError(f"it is {image.width} x {image.height} pixels")
    alpha = _color_key_alpha(image, raw_mode)
    profile = _profile(image)
    if image.mode == "F" or image.mode.startswith("I"):
        rgb = _grey_to_srgb(_deep_grey(image, raw_mode), profile)
    else:
        if image.mode in ("La", "RGBa"):
            image = image.convert(image.mode.upper())
        elif image.mode in ("P", "PA"):
            image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        if image.mode in ("LA", "RGBA"):
            alpha = np.asarray(image.getchannel("A")) / np.float32(255)
            image = image.convert(image.mode[:-1])
        rgb = np.asarray(_to_srgb(image, profile)) / np.float32(255)
    upright = _UPRIGHT.get(_orientation(image), lambda a: a)
    return _frozen_picture(upright(rgb), None if alpha is None else upright(alpha), name)


def _frozen_picture(rgb: np.ndarray, alpha: np.ndarray | None, name: str) -> Picture:
    """Makes a Picture of read-only arrays of its own; drops the alpha of an opaque picture."""
    if alpha is not None and bool(np.all(alpha == 1)):
        alpha = None
    planes = [None if a is None else np.ascontiguousarray(a, dtype=np.float32) for a in (rgb, alpha)]
    for plane in planes:
        if plane is not None:
            plane.flags.writeable = False
    assert planes[0] is not None
    return Picture(planes[0], planes[1], name)


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
    except _DECODER_ERRORS:
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


# --- ICC ---------------------------------------------------------------------------------------

_SRGB = ImageCms.createProfile("sRGB")


def _profile(image: Image.Image) -> ImageCms.ImageCmsProfile | None:
    """Reads the embedded ICC profile; None if there is none or it is broken."""
    data = image.info.get("icc_profile")
    if not isinstance(data, bytes) or not data:
        return None
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(data))
    except (OSError, TypeError, ValueError, ImageCms.PyCMSError):
        return None


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


def _to_srgb(image: Image.Image, profile: ImageCms.ImageCmsProfile | None) -> Image.Image:
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


def _is_srgb(profile: Any) -> bool:
    """Says whether a profile is sRGB: none of a lattice of colours moves by more than one 8-bit level.

    Such pictures, most that have a profile, are left as they are, exact and sooner.
    """
    steps = np.linspace(0, 255, 6).astype(np.uint8)
    lattice = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    moved = _convert(Image.fromarray(lattice), profile)
    return moved is not None and int(np.abs(np.asarray(moved).astype(int) - lattice).max()) <= 1


def _grey_to_srgb(grey: np.ndarray, profile: ImageCms.ImageCmsProfile | None) -> np.ndarray:
    """Spreads grey in [0, 1] over R, G, B, through a curve of 256 points if it has a grey profile."""
    if _color_space(profile) == "GRAY":
        curve = _convert(Image.fromarray(np.arange(256, dtype=np.uint8)[None]), profile)
        if curve is not None:
            points = np.asarray(curve)[0] / 255
            return np.stack([np.interp(grey * 255, np.arange(256), points[:, c]) for c in range(3)], axis=-1)
    return np.repeat(grey[..., None], 3, axis=-1)


# --- Arrays ------------------------------------------------------------------------------------


def _checked_array(array: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray | None]:
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
    values = _checked_values(array, name)
    rgb = np.repeat(values, 3, axis=-1) if shape[2:] in ((), (1,)) else values[..., :3]
    return rgb, values[..., 3] if shape[2:] == (4,) else None


def _checked_values(array: np.ndarray, name: str) -> np.ndarray:
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
    return np.clip(array, 0, 1).astype(np.float32)


def _over(rgb: np.ndarray, alpha: np.ndarray, background: tuple[float, float, float]) -> np.ndarray:
    """Lays `rgb` over a plain colour."""
    opacity = alpha[..., None]
    return opacity * rgb + (1 - opacity) * np.asarray(background, np.float32)


def _resample(planes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scales each of the planes "h w c" by Lanczos in float32, unclipped."""
    return np.stack(
        [
            np.asarray(
                Image.fromarray(np.ascontiguousarray(planes[..., c], dtype=np.float32)).resize(
                    (width, height), Image.Resampling.LANCZOS
                )
            )
            for c in range(planes.shape[-1])
        ],
        axis=-1,
    )


# --- Writing -----------------------------------------------------------------------------------

#: EXIF UserComment begins with eight bytes that name its character code (CIPA DC-008, 4.6.6).
_ASCII_CODE = b"ASCII\0\0\0"

#: What is around a recipe in a field that other programs use too, to know ours.
_WRAP_BEGIN, _WRAP_END = '{"wctstyle": ', "}"

#: Most bytes of EXIF in a JPEG: a segment's 16-bit length counts its own two bytes (ITU-T T.81, B.1.1.4).
_JPEG_SEGMENT = 65_533


def _format_of(name: str, path: Path | None = None) -> str:
    """Names the writable format that a suffix or format name means."""
    wanted = "." + name.lower().lstrip(".")
    for kind, writer in _WRITERS.items():
        if wanted in writer.suffixes:
            return kind
    known = ", ".join(suffix for writer in _WRITERS.values() for suffix in writer.suffixes)
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
    if isinstance(quality, bool) or not isinstance(quality, int | np.integer) or not 1 <= quality <= 100:
        raise ConfigError(f"quality is {quality!r}, must be a whole number from 1 to 100")
    writer = _WRITERS[kind]
    image = _pillow_image(rgb, alpha, writer, name)
    if writer.max_side and max(image.size) > writer.max_side:
        raise ImageError(
            f"{name}: is {image.width} x {image.height}, but {kind} holds at most {writer.max_side} pixels a "
            "side; save as PNG or TIFF, or make it smaller"
        )
    options = writer.options(int(quality))
    if recipe is not None:
        options |= _recipe_options(recipe, kind, name)
    buffer = io.BytesIO()
    try:
        with _quiet_pillow(DEFAULT_MAX_PIXELS):
            image.save(buffer, format=kind, **options)
    except (MemoryError, OSError, ValueError, struct.error) as error:
        raise ImageError(f"{name}: cannot be written as {kind}: {error}; try PNG") from error
    return buffer.getvalue()


def _pillow_image(rgb: np.ndarray, alpha: np.ndarray | None, writer: _Writer, name: str) -> Image.Image:
    """Rounds float planes to the 8-bit image that a format can hold."""
    rgb, own_alpha = _checked_array(np.asarray(rgb), name)
    if alpha is None:
        opacity = own_alpha
    else:
        opacity = np.asarray(alpha)
        if opacity.shape != rgb.shape[:2]:
            raise ImageError(
                f"{name}: its opacity has shape {opacity.shape}, wanted {rgb.shape[:2]}; resize it to match"
            )
        opacity = _checked_values(opacity, f"{name} (opacity)")
    if opacity is not None and np.all(opacity == 1):
        opacity = None
    if opacity is not None:
        if writer.keeps_alpha:
            rgb = np.concatenate([rgb, opacity[..., None]], axis=-1)
        else:
            rgb = _over(rgb, opacity, (1.0, 1.0, 1.0))
    return Image.fromarray(np.rint(rgb * np.float32(255)).astype(np.uint8))


def _recipe_options(recipe: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    """Says to Pillow where in a format the recipe goes; the JSON is ASCII, which all of them keep."""
    try:
        text = json.dumps(recipe, allow_nan=False, default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise ImageError(
            f"{name}: the recipe cannot be written as JSON: {error}; keep to text, numbers, lists and dicts"
        ) from error
    if kind == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("wctstyle", text)
        return {"pnginfo": info}
    text = _WRAP_BEGIN + text + _WRAP_END
    if kind == "TIFF":
        return {"tiffinfo": {int(ExifTags.Base.ImageDescription): text}}
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[int(ExifTags.Base.UserComment)] = _ASCII_CODE + text.encode("ascii")
    data = exif.tobytes()
    if kind == "JPEG" and len(data) > _JPEG_SEGMENT:
        raise ImageError(f"{name}: the recipe takes {len(data):,} bytes and JPEG holds {_JPEG_SEGMENT:,}; save as PNG")
    return {"exif": data}


def _plain(value: object) -> object:
    """Turns a NumPy scalar into a Python one, for JSON."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a {type(value).__name__} is not JSON")


def _recipe_text(image: Image.Image) -> str | None:
    """Finds the JSON of our recipe in a file's metadata, and leaves what others wrote there alone."""
    own = image.info.get("wctstyle")
    if isinstance(own, str):
        return str(own)
    try:
        exif = image.getexif()
        description = exif.get(ExifTags.Base.ImageDescription)
        comment = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
    except _DECODER_ERRORS:  # broken EXIF, so not ours
        return None
    if isinstance(comment, bytes):
        comment = comment.removeprefix(_ASCII_CODE).decode("ascii", errors="replace")
    for text in (comment, description):
        if isinstance(text, str) and text.startswith(_WRAP_BEGIN):
            return text.rstrip("\0 ").removeprefix(_WRAP_BEGIN).removesuffix(_WRAP_END)
    return None


def _replace_file(target: Path, data: bytes) -> None:
    """Writes a file all or nothing; keeps the mode of the file it replaces."""
    temporary = target.parent / f".wctstyle-{secrets.token_hex(8)}.tmp"
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
