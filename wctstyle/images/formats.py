"""Formats that can be read, known by how a file begins, and what to say of the others."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.WebPImagePlugin import WebPImageFile

from wctstyle.errors import ImageError
from wctstyle.images.isomedia import named_colors
from wctstyle.images.jpegs import open_jpeg
from wctstyle.images.pngs import open_png
from wctstyle.images.tiff_pixels import DeepTiff
from wctstyle.images.tiffs import RAW_ADVICE, open_tiff


@dataclass(frozen=True)
class _Reader:
    """How one format is recognised and opened; `opener` reads the header only."""

    suffixes: tuple[str, ...]
    matches: Callable[[bytes], bool]
    opener: Callable[[io.BytesIO], Image.Image | DeepTiff]


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
    return _with_colors(HeifImageFile(file), file)


def _open_avif(file: io.BytesIO) -> Image.Image:
    return _with_colors(AvifImageFile(file), file)


def _with_colors(image: Image.Image, file: io.BytesIO) -> Image.Image:
    """Puts the colour space that the file names into `info`, where there is no profile (ISO/IEC 23000-22, 7.3.6.4)."""
    if "icc_profile" not in image.info:
        image.info["cicp"] = named_colors(file.getvalue())
    return image


#: Of either byte order, of TIFF and of BigTIFF.
_TIFF_BEGINNINGS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

#: Camera raw files that are no TIFF, or one whose pages do not tell: Canon, Olympus, Panasonic and Leica, Phase One,
#: Fujifilm, Sigma, Minolta.
_CAMERA_RAW = re.compile(
    rb"(?-i:....ftypcrx |II\*\0\x10\0\0\0CR\x02|II\x1a\0\0\0HEAPCCDR|II(RO|RS|U\0)|MMOR"
    rb"|(II\*\0|MM\0\*)....(IIII.waR|MMMMRaw.)|FUJIFILMCCD-RAW|FOVb|\0MRM)",
    re.DOTALL,
)


def _is_tiff(head: bytes) -> bool:
    return head[:4] in _TIFF_BEGINNINGS and not _CAMERA_RAW.match(head)


#: Every format that can be read.
READERS: dict[str, _Reader] = {
    "JPEG": _Reader((".jpg", ".jpeg", ".jpe", ".jfif"), lambda head: head.startswith(b"\xff\xd8\xff"), open_jpeg),
    "PNG": _Reader((".png", ".apng"), lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"), open_png),
    "WebP": _Reader((".webp",), lambda head: head.startswith(b"RIFF") and head[8:12] == b"WEBP", WebPImageFile),
    "TIFF": _Reader((".tif", ".tiff"), _is_tiff, open_tiff),
    "GIF": _Reader((".gif",), lambda head: head.startswith((b"GIF87a", b"GIF89a")), GifImageFile),
    "BMP": _Reader((".bmp",), lambda head: head.startswith(b"BM"), BmpImageFile),
    "HEIC": _Reader((".heic", ".heif", ".hif"), _is_heif, _open_heif),
    "AVIF": _Reader((".avif",), _is_avif, _open_avif),
}

#: Suffixes of the files that `load` reads. It goes by the contents; these are for choosing files in a folder.
SUPPORTED_SUFFIXES: tuple[str, ...] = tuple(s for reader in READERS.values() for s in reader.suffixes)

#: What else people hand in, by how it begins, and what to do then.
_STRANGERS: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), advice)
    for pattern, advice in (
        (rb"%PDF-", "is a PDF; export the page as PNG or JPEG"),
        (rb"%!PS", "is PostScript; export it as PNG or JPEG"),
        (rb"[^\0]{0,400}?<svg", "is an SVG drawing; export it as PNG at the size you want"),
        (rb"\s*(<!--.*?-->\s*)?<(!doctype html|html|head|body)", "is a web page; save the picture itself"),
        (rb"version https://git-lfs", "is a Git LFS pointer, not the picture; run `git lfs pull`"),
        (_CAMERA_RAW.pattern, RAW_ADVICE),
        (rb"(....ftyp|\x1aE\xdf\xa3|RIFF....AVI )", "is a video; save one frame as PNG"),
        (rb"(\0\0\0\x0cjP  |\xff\x4f\xff\x51)", "is JPEG 2000; convert it to PNG or JPEG"),
        (rb"(\0\0\0\x0cJXL |\xff\x0a)", "is JPEG XL; convert it to PNG or JPEG"),
        (rb"8BPS", "is a Photoshop file; export it as PNG or TIFF"),
        (rb"(PK\x03\x04|\x1f\x8b|Rar!|7z\xbc\xaf)", "is an archive; unpack it and give a picture from it"),
        (rb"\x00\x00[\x01\x02]\x00", "is an icon; convert it to PNG"),
    )
)


def recognise(head: bytes, name: str) -> str:
    """Names the format of the bytes that begin so."""
    for kind, reader in READERS.items():
        if reader.matches(head):
            return kind
    known = ", ".join(READERS)
    if not head:
        raise ImageError(f"{name}: is empty (0 bytes); export or download it again")
    for pattern, advice in _STRANGERS:
        if pattern.match(head):
            raise ImageError(f"{name}: {advice} (can read {known})")
    what = "is text, not a picture" if is_text(head) else f"is no known kind of picture (begins {head[:8]!r})"
    raise ImageError(f"{name}: {what}; give one of {known}, or convert it to PNG")


def is_text(head: bytes) -> bool:
    """Says whether bytes, which may end within a character, are UTF-8 text without control characters."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return not re.search(r"[\0-\x08\x0e-\x1f]", text)
