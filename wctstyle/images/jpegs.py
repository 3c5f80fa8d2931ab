"""JPEG: one that lacks nothing but its end marker is whole."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

_END = b"\xff\xd9"

#: What might follow in a scan that is not whole: bits, of which two tell all beginnings apart, or any restart.
_GUESSES = tuple(bits * 16 for bits in (b"\0", b"\x55", b"\xaa", b"\xff\0")) + tuple(
    bytes((0xFF, 0xD0 + number)) + b"\x55" * 16 for number in range(8)
)

_MARKER = re.compile(rb"\xff+([^\0\xff\xd0-\xd7])", re.DOTALL)
"""In coded pixels: not a stuffed byte, not a restart (ITU-T T.81, B.1.1)."""


def open_jpeg(file: io.BytesIO) -> Image.Image:
    """Opens a JPEG; gives it an end marker if that is all it lacks.

    libjpeg fills what is missing before an end marker with grey and does not say so. So the marker is only added where
    all scans are there and the pixels are the same whatever comes before it.
    """
    image, data = JpegImageFile(file), file.getvalue()
    if data.endswith(_END) or not _lacks_end(data):
        return image
    body = data.removesuffix(b"\xff")
    ended, *others = (JpegImageFile(io.BytesIO(body + guess + _END)) for guess in _GUESSES)
    pixels = ended.tobytes()
    return ended if all(other.tobytes() == pixels for other in others) else image


def _lacks_end(data: bytes) -> bool:
    """Says whether a file stops after its last scan: every bit of every coefficient was sent, and no end marker."""
    missing = {(-1, -1)}  # until a frame says which coefficients there are
    try:
        for marker, body in _segments(data):
            if marker in (0xC0, 0xC1, 0xC2):  # a frame: its components
                missing = {(body[6 + 3 * i], k) for i in range(body[5]) for k in range(64)}
            elif marker == 0xDA:  # a scan: its components, from and to which coefficient, and the bit it ends at
                count = body[0]
                first, last, bits = body[1 + 2 * count : 4 + 2 * count]
                if bits & 15 == 0:
                    missing -= {(body[1 + 2 * i], k) for i in range(count) for k in range(first, last + 1)}
            elif marker == 0xD9:
                return False
    except (IndexError, ValueError):
        return False
    return not missing


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Lists markers and what they hold, from one to the next; the coded pixels of a scan are passed over."""
    at = 2
    while found := _MARKER.search(data, at):
        marker, start = found[1][0], found.end()
        length = 0 if marker in (0x01, 0xD8, 0xD9) else int.from_bytes(data[start : start + 2], "big")
        at = start + length
        yield marker, data[start + 2 : at]
