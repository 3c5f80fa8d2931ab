"""PNG: opened by what its pixels need, so that nothing else in it is a reason to refuse a picture."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

from PIL import Image, PngImagePlugin

#: Most bytes of an ICC profile: above those of printers with fine tables, and no bomb.
_MOST_PROFILE = 1 << 25

#: Chunks of text that are kept: our recipes, and where ImageMagick put EXIF before PNG had a place for it.
_KEYWORDS = (b"wctstyle", b"Raw profile type exif")


def open_png(file: io.BytesIO, *, animated: bool = False) -> Image.Image:
    """Opens a PNG without its texts, its later frames unless `animated`, nor what is damaged beside the pixels.

    Pillow refuses a file for a wrong checksum beside the pixels and for a text or profile of over a megabyte, but
    decodes past a wrong checksum of pixels and a missing end. `info` has "cicp" too, primaries and transfer (PNG third
    edition, 11.3.2.6), which Pillow leaves out.

    Raises:
        ValueError: the file ends early, or a chunk that the pixels need is damaged.
    """
    data, kept, info = file.getvalue(), [], {}
    for kind, body, whole, sound in _chunks(data):
        if not sound and (kind[:1].isupper() or kind == b"tRNS"):
            raise ValueError(f"wrong checksum in {kind.decode()}")
        if not sound or (not animated and kind in (b"acTL", b"fcTL", b"fdAT")):
            continue
        if kind == b"iCCP":
            info["icc_profile"] = _inflated(bytes(body).partition(b"\0")[2][1:], _MOST_PROFILE)
        elif kind == b"cICP" and len(body) == 4 and body[2] == 0 and body[3] == 1:  # RGB of full range, as browsers do
            info["cicp"] = (body[0], body[1])
        elif kind not in (b"tEXt", b"zTXt", b"iTXt") or _is_wanted(kind, body):
            kept.append(whole)
    if 8 + sum(map(len, kept)) != len(data):
        data = b"".join((data[:8], *kept))
    image = PngImagePlugin.PngImageFile(io.BytesIO(data))
    image.info |= info
    raw_mode = image.tile[0].args if image.tile else ""
    # Pillow takes the high bytes; taken for little-endian, it takes the low. That reader stays at the first frame.
    if raw_mode in ("RGB;16B", "RGBA;16B") and not animated:
        low = PngImagePlugin.PngImageFile(io.BytesIO(data))
        low.tile = [low.tile[0]._replace(args=raw_mode.replace("16B", "16L"))]
        image.info["low_bytes"] = low
    return image


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview, memoryview, bool]]:
    """Lists kind, body, the whole, and whether its checksum is right, of each chunk to the end of the picture."""
    view, at, kind = memoryview(data), 8, b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at) if at + 12 <= len(data) else (len(data), b"IEND")
        end = at + 12 + length
        if end > len(data):
            raise ValueError("truncated PNG file")
        if not kind.isalpha():
            raise ValueError(f"broken PNG file (chunk {kind!r})")
        sound = zlib.crc32(view[at + 4 : end - 4]) == int.from_bytes(view[end - 4 : end], "big")
        yield kind, view[at + 8 : end - 4], view[at:end], sound
        at = end


def _is_wanted(kind: bytes, body: memoryview) -> bool:
    keyword, _, rest = bytes(body[:80]).partition(b"\0")
    if keyword not in _KEYWORDS:
        return False
    packed = body[len(keyword) + 2 :]
    return kind != b"zTXt" or _inflated(packed, PngImagePlugin.MAX_TEXT_CHUNK) is not None


def _inflated(packed: bytes | memoryview, most: int) -> bytes | None:
    """Decompresses; None if that fails or gives more than so many bytes."""
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(packed, most)
    except zlib.error:
        return None
    return data if stream.eof else None
