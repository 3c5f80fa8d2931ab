"""HEIC and AVIF: the colour space that their boxes name, which Pillow does not tell (ISO/IEC 14496-12, 23008-12)."""

from __future__ import annotations

import struct
from collections.abc import Iterator


def named_colors(data: bytes) -> tuple[int, int] | None:
    """Reads primaries and transfer (ITU-T H.273) of the main picture's "nclx"; None without one or if it is broken.

    BT.709's curve counts as sRGB's here, as in browsers: encoders of still pictures write the one for the other.
    """
    try:
        found = _nclx(data)
    except (struct.error, KeyError, IndexError):
        return None
    primaries, transfer = found or (2, 2)
    return None if found is None else (primaries, 13 if transfer in (1, 6, 14, 15) else transfer)


def _nclx(data: bytes) -> tuple[int, int] | None:
    meta = _boxes(data, *dict(_boxes(data, 0, len(data)))[b"meta"], skip=4)
    parts = dict(meta)
    main_at, _ = parts[b"pitm"]
    main = struct.unpack_from(">H" if data[main_at] == 0 else ">I", data, main_at + 4)[0]
    properties = dict(_boxes(data, *parts[b"iprp"]))
    contained = list(_boxes(data, *properties[b"ipco"]))
    for index in _associated(data, properties[b"ipma"][0], main):
        kind, (start, _) = contained[index - 1]
        if kind == b"colr" and data[start : start + 4] == b"nclx":
            return struct.unpack_from(">HH", data, start + 4)
    return None


def _boxes(data: bytes, start: int, end: int, skip: int = 0) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Lists the boxes between two places: kind, and where its contents begin and end."""
    start += skip
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        body = start + 8
        if size == 1:
            size, body = struct.unpack_from(">Q", data, body)[0], body + 8
        size = size or end - start
        if not body - start <= size <= end - start:
            return
        yield kind, (body, start + size)
        start += size


def _associated(data: bytes, at: int, item: int) -> list[int]:
    """Lists the properties of an item, counted from 1, by the box "ipma"."""
    version, wide = data[at], data[at + 3] & 1
    (count,), at = struct.unpack_from(">I", data, at + 4), at + 8
    for _ in range(count):
        (found,), at = struct.unpack_from(">I" if version else ">H", data, at), at + (4 if version else 2)
        numbers = struct.unpack_from(f">{data[at]}{'H' if wide else 'B'}", data, at + 1)
        at += 1 + len(numbers) * (1 + wide)
        if found == item:
            return [number & (0x7FFF if wide else 0x7F) for number in numbers if number & 0x7FFF]
    return []
