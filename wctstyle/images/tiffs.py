"""TIFF: which of its pages is the picture, and who decodes it."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from itertools import islice

from PIL.ExifTags import Base as Tag
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from wctstyle.images.guards import UnsupportedError
from wctstyle.images.tiff_pixels import DeepTiff, numbers, planes

#: Photometric interpretations of sensors' pixels (DNG 1.7, chapter 4): a mosaic of colours, linear raw.
_RAW = (32803, 34892)

RAW_ADVICE = "is a camera raw file; develop it to JPEG, PNG or TIFF"

#: Most pages that are looked at: thumbnails and previews of a camera are a handful.
_MOST_PAGES = 64

#: How a BigTIFF, for more than 4 GB, begins in either byte order.
_BIG_ENDIAN, _LITTLE_ENDIAN = b"MM\0+", b"II+\0"


def open_tiff(file: io.BytesIO) -> TiffImageFile | DeepTiff:
    """Opens the first page that is not marked as a reduced copy of another.

    Pillow decodes what it decodes rightly, `DeepTiff` the rest.

    Raises:
        UnsupportedError: it is a camera raw file, or its pixels are of a kind that is not read.
    """
    number, tags = _picture(file)
    if number is None or _head(file)[:4] == _BIG_ENDIAN or not _is_for_pillow(tags):
        return DeepTiff(file, tags)
    file.seek(0)
    try:
        image = TiffImageFile(file)
        image.seek(number)
    except SyntaxError:  # unknown channels
        if numbers(tags, Tag.BitsPerSample, 1)[0] != 8 or Tag.ImageWidth not in tags or Tag.ImageLength not in tags:
            raise
        return DeepTiff(file, tags)
    return image


def _is_for_pillow(tags: ImageFileDirectory_v2) -> bool:
    """Says whether Pillow decodes such pixels rightly, or says why not.

    It cuts 16-bit colour to 8 bits, mixes up planes, takes signed bytes for unsigned and plain YCbCr for RGB, and
    divides by opacity in 8 bits.
    """
    bits = numbers(tags, Tag.BitsPerSample, 1)[0]
    whole = set(numbers(tags, Tag.SampleFormat, 1)) == {1} and (bits <= 8 or bits == 12)
    plain_ycbcr = tags.get(Tag.PhotometricInterpretation) == 6 and tags.get(Tag.Compression, 1) == 1
    return whole and planes(tags) == 1 and not plain_ycbcr and 1 not in numbers(tags, Tag.ExtraSamples)


def _picture(file: io.BytesIO) -> tuple[int | None, ImageFileDirectory_v2]:
    """Finds the number and the tags of the first whole page; no number for a page beneath the first."""
    first: ImageFileDirectory_v2 | None = None
    beneath: list[ImageFileDirectory_v2] = []
    for number, tags in enumerate(islice(_pages(file), _MOST_PAGES)):
        if first is None:
            first = tags
            beneath = [_directory(file, offset) for offset in numbers(tags, Tag.SubIFDs)[:_MOST_PAGES]]
        if any(Tag.DNGVersion in page or page.get(Tag.PhotometricInterpretation) in _RAW for page in (tags, *beneath)):
            raise UnsupportedError(RAW_ADVICE)
        if not _is_reduced(tags):
            return number, tags
    if first is None:
        raise ValueError("it has no page")
    whole = [page for page in beneath if not _is_reduced(page)]
    return (None, whole[0]) if whole else (0, first)


def _is_reduced(tags: ImageFileDirectory_v2) -> bool:
    return bool(tags.get(Tag.NewSubfileType, 0) & 1) or tags.get(Tag.SubfileType) == 2


def _pages(file: io.BytesIO) -> Iterator[ImageFileDirectory_v2]:
    """Reads the tags of page after page."""
    seen: set[int] = set()
    directory = _directory(file)
    while directory.next and directory.next not in seen:
        seen.add(directory.next)
        directory = _directory(file, directory.next)
        yield directory


class _Directory(ImageFileDirectory_v2):
    """Tags as Pillow reads them, and those of BigTIFF's type IFD8, places of pages beneath, as numbers of 8 bytes."""

    _load_dispatch = ImageFileDirectory_v2._load_dispatch | {18: ImageFileDirectory_v2._load_dispatch[16]}


def _directory(file: io.BytesIO, offset: int | None = None) -> ImageFileDirectory_v2:
    """Reads the tags at a place; without one only where the first page is."""
    head = _head(file)
    directory = _Directory(head if head[:4] == _LITTLE_ENDIAN else head[:8])
    if head[:4] == _BIG_ENDIAN:  # Pillow takes it for a small one
        directory._bigtiff = True
        (directory.next,) = struct.unpack_from(">Q", head, 8)
    if offset is not None:
        file.seek(offset)
        directory.load(file)
    return directory


def _head(file: io.BytesIO) -> bytes:
    file.seek(0)
    return file.read(16)
