"""Pixels of TIFF pages that Pillow refuses or reads wrongly: deep, signed and floating ones, and odd channels."""

from __future__ import annotations

import io
import math
import struct
from typing import Any

import numpy as np
from PIL import Image
from PIL.ExifTags import Base as Tag
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from wctstyle.images.arrays import upright, white_of
from wctstyle.images.guards import UnsupportedError

_WHITE_IS_ZERO, _LAB, _ICC_LAB = 0, 8, 9

#: Photometric interpretation (TIFF 6.0, page 37, and Adobe's notes of 1995) to Pillow's mode and its channels.
_MODES = {0: ("L", 1), 1: ("L", 1), 2: ("RGB", 3), 5: ("CMYK", 4), _LAB: ("LAB", 3), _ICC_LAB: ("LAB", 3)}

_KINDS = ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8")

_UNCOMPRESSED = 1

#: Compressions of bytes, whatever they stand for: LZW, Deflate twice, PackBits, LZMA and Zstandard.
_PACKED = (5, 8, 32946, 32773, 34925, 50000)

#: Most channels; a file may claim 65535.
_MOST_CHANNELS = 8


def numbers(tags: ImageFileDirectory_v2, tag: int, *default: int) -> tuple[int, ...]:
    """Returns what a tag holds, one number or several."""
    value: Any = tags.get(tag, default)
    return value if isinstance(value, tuple) else (value,)


def _per_inch(tags: ImageFileDirectory_v2) -> tuple[float, float] | None:
    """Returns the resolution across and down; None where the page does not say in inches or centimetres."""
    unit = {2: 1.0, 3: 2.54}.get(tags.get(Tag.ResolutionUnit, 2))
    across, down = (numbers(tags, tag, 0)[0] for tag in (Tag.XResolution, Tag.YResolution))
    return None if unit is None else (float(across) * unit, float(down) * unit)


def planes(tags: ImageFileDirectory_v2) -> int:
    """Returns how many planes there are, each of so many strips or tiles."""
    return tags.get(Tag.SamplesPerPixel, 1) if tags.get(Tag.PlanarConfiguration, 1) == 2 else 1


def blocks(tags: ImageFileDirectory_v2) -> tuple[int, int, tuple[int, ...]]:
    """Returns rows and columns of a page's strips or tiles, and where they are.

    Raises:
        ValueError: some are missing, which Pillow shows black, or their size makes no sense.
    """
    width, height = int(tags.get(Tag.ImageWidth, 0)), int(tags.get(Tag.ImageLength, 0))
    tiled = Tag.TileWidth in tags
    rows, columns = (
        int(tags.get(Tag.TileLength if tiled else Tag.RowsPerStrip, height)),
        int(tags.get(Tag.TileWidth, width)),
    )
    rows = rows if tiled else min(rows, height)
    if min(width, height, rows, columns) < 1 or rows > height + 4096 or columns > width + 4096:
        raise ValueError("its strips or tiles have no sensible size")
    offsets = numbers(tags, Tag.TileOffsets if tiled else Tag.StripOffsets)
    if len(offsets) != planes(tags) * math.ceil(height / rows) * math.ceil(width / columns):
        raise ValueError("strips or tiles are missing")
    return rows, columns, offsets


class DeepTiff:
    """An opened page, to be decoded by `read`; has the `size`, `mode`, `info` and `getexif` of a Pillow image."""

    def __init__(self, file: io.BytesIO, tags: ImageFileDirectory_v2) -> None:
        """Takes a page by its tags.

        Raises:
            UnsupportedError: its pixels are of a kind that is not read.
        """
        self._data, self._tags = memoryview(file.getvalue()), tags
        self.size = (int(tags.get(Tag.ImageWidth, 0)), int(tags.get(Tag.ImageLength, 0)))
        self.info: dict[str, Any] = {"icc_profile": tags.get(Tag.InterColorProfile), "dpi": _per_inch(tags)}
        self._photometric, self._compression = tags.get(Tag.PhotometricInterpretation, 1), tags.get(Tag.Compression, 1)
        self._samples = tags.get(Tag.SamplesPerPixel, 1)
        self.mode, self._colors = _MODES.get(self._photometric, ("", 0))
        bits, forms = numbers(tags, Tag.BitsPerSample, 1), numbers(tags, Tag.SampleFormat, 1)
        kind = f"{'?uif???'[min(forms[0], 4)]}{bits[0] // 8}"
        known = kind in _KINDS and bits[0] % 8 == 0 and len({*bits}) == len({*forms}) == 1
        known = known and 0 < self._colors <= self._samples <= _MOST_CHANNELS and tags.get(Tag.InkSet, 1) == 1
        known = known and (self.mode != "LAB" or kind in ("u1", "u2")) and tags.get(Tag.FillOrder, 1) == 1
        if not known or self._compression not in (_UNCOMPRESSED, *_PACKED):
            raise UnsupportedError(
                f"is a TIFF of a rare kind ({self._samples} channels of {bits[0]} bits, format {forms[0]}, photometric "
                f"{self._photometric}, compression {self._compression}); export it as PNG"
            )
        self._kind = np.dtype(kind)

    def getexif(self) -> Image.Exif:
        """Returns the description, which may hold a recipe."""
        exif = Image.Exif()
        exif[Tag.ImageDescription] = self._tags.get(Tag.ImageDescription)
        exif[Tag.Orientation] = self._tags.get(Tag.Orientation, 1)
        return exif

    def read(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Decodes to upright "h w c", CIELAB as 8 bits have it, and opacity "h w", if any: of 16 bits, or float32."""
        extras = numbers(self._tags, Tag.ExtraSamples, *(2,) * (self._samples == self._colors + 1))
        extras = extras[: self._samples - self._colors]
        kept = self._kind == np.uint16 and self.mode != "LAB" and 1 not in extras
        values = self._upright(self._kind if kept else np.dtype(np.float32))
        color, alpha = values[..., : self._colors], None
        if kept:
            pass
        elif self.mode == "LAB":
            self._scale_lab(color)
            values[..., self._colors :] /= np.iinfo(self._kind).max
        else:
            values /= np.float32(white_of(values, self._kind))
        if not kept:
            np.clip(values, 0, 1, out=values)
        if self._photometric == _WHITE_IS_ZERO:
            np.subtract(np.iinfo(self._kind).max if kept else 1, color, out=color)
        for place, extra in enumerate(extras):
            if extra in (1, 2):  # opacity, already multiplied into the colours or not
                alpha = values[..., self._colors + place]
                if extra == 1:
                    color /= np.where(alpha > 0, alpha, 1)[..., None]
                    np.minimum(color, 1, out=color)
                break
        return color, alpha

    def _scale_lab(self, lab: np.ndarray) -> None:
        """Brings CIELAB to the 8-bit form of ICC in [0, 1]: L to 0..100 and a, b to -128..127."""
        top = float(np.iinfo(self._kind).max)
        step = (top + 1) / 256 * 255  # what stands for 255 in ICC's form of 16 bits (ICC.1:2001-04, 6.3.4.2)
        if self._photometric == _LAB:  # L over the whole range, a and b signed
            lab[..., 0] *= step / top
            lab[..., 1:] = (lab[..., 1:] + (top + 1) / 2) % (top + 1)
        lab /= np.float32(step)

    def _upright(self, kind: np.dtype) -> np.ndarray:
        """Decodes the strips or tiles to upright "h w c" of a kind, as the file counts; the pixels are held once."""
        tags, (width, height) = self._tags, self.size
        rows, columns, offsets = blocks(tags)
        counts = numbers(tags, Tag.TileByteCounts if Tag.TileWidth in tags else Tag.StripByteCounts)
        depth = self._samples // planes(tags)
        across = math.ceil(width / columns)
        down = math.ceil(height / rows)
        orientation = tags.get(Tag.Orientation, 1)
        shape = (width, height) if orientation in (5, 6, 7, 8) else (height, width)
        values = np.empty((*shape, self._samples), kind)
        stored = upright(values, {6: 8, 8: 6}.get(orientation, orientation))  # the way back
        for number, (offset, count) in enumerate(zip(offsets, counts, strict=True)):  # unequal is damage
            plane, place = divmod(number, down * across)
            top, left = place // across * rows, place % across * columns
            block = self._block(
                offset, count, (rows if Tag.TileWidth in tags else min(rows, height - top), columns, depth)
            )
            target = stored[top : top + rows, left : left + columns, plane : plane + depth]
            with np.errstate(over="ignore"):  # a float64 beyond float32 is infinite, and refused as that
                target[...] = block[: target.shape[0], : target.shape[1]]
        return values

    def _block(self, offset: int, count: int, shape: tuple[int, int, int]) -> np.ndarray:
        """Decodes one strip or tile "h w c"."""
        packed, length = self._data[offset : offset + count], math.prod(shape[1:]) * self._kind.itemsize
        if not 0 < count == len(packed):
            raise ValueError("image file is truncated")
        data = packed if self._compression == _UNCOMPRESSED else _unpacked(packed, self._compression, shape[0], length)
        predictor, order = self._tags.get(Tag.Predictor, 1), ">" if self._data[:2] == b"MM" else "<"
        if predictor == 3:  # bytes of a row by their weight, each as its difference to that of the pixel before
            parts = np.frombuffer(data, np.uint8).reshape(shape[0], -1, shape[2]).cumsum(axis=1, dtype=np.uint8)
            parts = parts.reshape(shape[0], self._kind.itemsize, -1).swapaxes(1, 2)
            return np.ascontiguousarray(parts).view(self._kind.newbyteorder(">")).reshape(shape)
        values = np.frombuffer(data, self._kind.newbyteorder(order), math.prod(shape)).reshape(shape)
        if predictor == 2:
            whole = f"u{self._kind.itemsize}"
            return values.view(order + whole).cumsum(axis=1, dtype=whole).view(self._kind)
        return values


def _unpacked(packed: memoryview, compression: int, rows: int, length: int) -> bytes:
    """Decompresses by libtiff, as so many rows of 8-bit grey: it has every codec, and none outgrows the size."""
    entries = {
        Tag.ImageWidth: length,
        Tag.ImageLength: rows,
        Tag.BitsPerSample: 8,
        Tag.Compression: compression,
        Tag.PhotometricInterpretation: 1,
        Tag.StripOffsets: 8,
        Tag.SamplesPerPixel: 1,
        Tag.RowsPerStrip: rows,
        Tag.StripByteCounts: len(packed),
    }
    even = bytes(packed) + bytes(len(packed) % 2)
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries.items())
    head = struct.pack("<4sI", b"II*\0", 8 + len(even))
    file = io.BytesIO(head + even + struct.pack("<H", len(entries)) + directory + bytes(4))
    return TiffImageFile(file).tobytes()
