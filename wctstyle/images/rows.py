"""Files written some rows at a time: PNG and TIFF as their rows come in, JPEG and WebP through Pillow at the end."""

from __future__ import annotations

import struct
import zlib
from typing import Any, BinaryIO, Protocol

import numpy as np
from PIL import Image
from PIL.ExifTags import Base as Tag

from wctstyle.images.guards import quiet_pillow

#: Rows of a strip of TIFF; each is compressed by itself.
_STRIP = 64

#: Bytes from which 32 bits may not tell places in a TIFF, with room for its tags.
_BIG = 2**32 - 2**26

_INCH = 0.0254

_LEVEL = 6
"""Of zlib, its own default, as Pillow has it."""


class Rows(Protocol):
    """A file that is being written."""

    def write(self, rows: np.ndarray) -> None:
        """Adds rows "h w c" of uint8 or uint16."""
        ...

    def end(self) -> None:
        """Writes what comes after the last row."""
        ...


class PngRows:
    """Writes PNG of 8 or 16 bits, RGB or RGBA (PNG third edition)."""

    def __init__(
        self,
        file: BinaryIO,
        shape: tuple[int, int, int],
        bits: int,
        *,
        text: str | None,
        profile: bytes | None,
        dpi: tuple[float, float] | None,
    ) -> None:
        self._file, self._packing = file, zlib.compressobj(_LEVEL)
        height, width, channels = shape
        self._above = np.zeros((1, width * channels * bits // 8), np.uint8)
        self._step = channels * bits // 8
        file.write(b"\x89PNG\r\n\x1a\n")
        self._chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, {3: 2, 4: 6}[channels], 0, 0, 0))
        if profile is not None:
            self._chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(profile))
        if dpi is not None:
            self._chunk(b"pHYs", struct.pack(">IIB", *(round(value / _INCH) for value in dpi), 1))
        if text is not None:
            self._chunk(b"iTXt", b"wctstyle\0\0\0\0\0" + text.encode())

    def write(self, rows: np.ndarray) -> None:
        """Adds rows, each as the difference to Paeth's guess (12.9.4): the best filter of most pictures."""
        data = rows.astype(rows.dtype.newbyteorder(">"), copy=False).reshape(len(rows), -1).view(np.uint8)
        whole = np.concatenate([self._above, data])
        self._above = data[-1:].copy()
        padded = np.pad(whole, ((0, 0), (self._step, 0))).astype(np.int16)
        corner, above, left = padded[:-1, : -self._step], padded[:-1, self._step :], padded[1:, : -self._step]
        off = above - corner, left - corner
        away = np.abs(off[0]), np.abs(off[1]), np.abs(off[0] + off[1])  # of left, above and corner from their sum
        guess = np.where(away[1] <= away[2], above, corner)
        guess = np.where((away[0] <= away[1]) & (away[0] <= away[2]), left, guess)
        filtered = np.empty((len(data), 1 + data.shape[1]), np.uint8)
        filtered[:, 0], filtered[:, 1:] = 4, data - guess.astype(np.uint8)
        self._chunk(b"IDAT", self._packing.compress(filtered.data))

    def end(self) -> None:
        """Writes what comes after the last row."""
        self._chunk(b"IDAT", self._packing.flush())
        self._chunk(b"IEND", b"")

    def _chunk(self, kind: bytes, body: bytes) -> None:
        if body or kind == b"IEND":
            self._file.write(struct.pack(">I", len(body)) + kind + body)
            self._file.write(struct.pack(">I", zlib.crc32(body, zlib.crc32(kind))))


class TiffRows:
    """Writes TIFF of 8 or 16 bits, RGB or RGBA, in strips; BigTIFF where the pixels may take more than 4 GB."""

    def __init__(
        self,
        file: BinaryIO,
        shape: tuple[int, int, int],
        bits: int,
        *,
        text: str | None,
        profile: bytes | None,
        dpi: tuple[float, float] | None,
    ) -> None:
        self._file, self._shape, self._bits = file, shape, bits
        self._big = shape[0] * shape[1] * shape[2] * bits // 8 > _BIG
        self._text, self._profile, self._dpi = text, profile, dpi
        self._waiting = np.empty((0, *shape[1:]), f"<u{bits // 8}")
        self._places: list[int] = []
        self._lengths: list[int] = []
        file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0) if self._big else struct.pack("<2sHI", b"II", 42, 0))

    def write(self, rows: np.ndarray) -> None:
        """Adds rows; whole strips are written."""
        self._waiting = np.concatenate([self._waiting, rows])
        while len(self._waiting) >= _STRIP:
            self._strip(self._waiting[:_STRIP])
            self._waiting = self._waiting[_STRIP:]

    def _strip(self, rows: np.ndarray) -> None:
        """Writes a strip, each pixel as its difference to the one before (predictor 2)."""
        differences = rows.copy()
        differences[:, 1:] -= rows[:, :-1]
        packed = zlib.compress(differences.tobytes(), _LEVEL)
        self._places.append(self._file.tell())
        self._lengths.append(len(packed))
        self._file.write(packed + bytes(len(packed) % 2))

    def end(self) -> None:
        """Writes the last strip, the tags and where they are."""
        if len(self._waiting):
            self._strip(self._waiting)
        height, width, channels = self._shape
        tags: dict[int, tuple[int, Any]] = {
            Tag.ImageWidth: (4, [width]),
            Tag.ImageLength: (4, [height]),
            Tag.BitsPerSample: (3, [self._bits] * channels),
            Tag.Compression: (3, [8]),
            Tag.PhotometricInterpretation: (3, [2]),
            Tag.StripOffsets: (16 if self._big else 4, self._places),
            Tag.SamplesPerPixel: (3, [channels]),
            Tag.RowsPerStrip: (4, [_STRIP]),
            Tag.StripByteCounts: (4, self._lengths),
            Tag.Predictor: (3, [2]),
        }
        if self._text is not None:
            tags[Tag.ImageDescription] = (2, self._text.encode() + b"\0")
        if self._dpi is not None:
            across, down = ([round(value * 1000), 1000] for value in self._dpi)
            tags |= {Tag.XResolution: (5, across), Tag.YResolution: (5, down), Tag.ResolutionUnit: (3, [2])}
        if channels == 4:
            tags[Tag.ExtraSamples] = (3, [2])
        if self._profile is not None:
            tags[Tag.InterColorProfile] = (7, self._profile)
        start = self._directory(tags)
        self._file.seek(8 if self._big else 4)
        self._file.write(struct.pack("<Q" if self._big else "<I", start))

    def _directory(self, tags: dict[int, tuple[int, Any]]) -> int:
        """Writes the values that do not fit into the directory, and then that; returns where it begins."""
        room, number = (8, "Q") if self._big else (4, "I")
        entries = b""
        for tag, (kind, values) in sorted(tags.items()):
            data = values if isinstance(values, bytes) else np.array(values, _KINDS[kind]).tobytes()
            count = len(values) // (2 if kind == 5 else 1)
            if len(data) > room:
                place = self._file.tell()
                self._file.write(data + bytes(len(data) % 2))
                data = struct.pack("<" + number, place)
            entries += struct.pack(f"<HH{number}", tag, kind, count) + data.ljust(room, b"\0")
        start = self._file.tell()
        self._file.write(struct.pack("<Q" if self._big else "<H", len(tags)) + entries + bytes(room))
        return start


#: Types of values in TIFF: SHORT, LONG, RATIONAL, LONG8 (TIFF 6.0, section 2; BigTIFF).
_KINDS = {3: "<u2", 4: "<u4", 5: "<u4", 16: "<u8"}


class PillowRows:
    """Collects rows of 8 bits in Pillow's image, and writes that."""

    def __init__(self, file: BinaryIO, shape: tuple[int, int, int], kind: str, options: dict[str, Any]) -> None:
        self._file, self._kind, self._options, self._rows = file, kind, options, 0
        self._image = Image.new({3: "RGB", 4: "RGBA"}[shape[2]], (shape[1], shape[0]))

    def write(self, rows: np.ndarray) -> None:
        """Adds rows."""
        self._image.paste(Image.fromarray(rows), (0, self._rows))
        self._rows += len(rows)

    def end(self) -> None:
        """Writes the file."""
        with quiet_pillow(0):
            self._image.save(self._file, format=self._kind, **self._options)
