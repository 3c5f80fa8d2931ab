"""Pictures that are not: damaged, hostile and mistaken files, made from nothing, and what is said of each.

Also the small builders (PNG chunks, TIFF directories, ICC profiles) for files that Pillow does not write.
"""

from __future__ import annotations

import io
import random
import struct
import zlib
from dataclasses import dataclass

import numpy as np
import pillow_heif
from PIL import Image

pillow_heif.register_heif_opener()  # for writing HEIC here; the package reads it without

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

#: Every readable format: name in messages, suffix, Pillow's format, options for saving.
FORMATS: dict[str, tuple[str, str, dict]] = {
    "JPEG": (".jpg", "JPEG", {"quality": 95, "subsampling": 0}),
    "PNG": (".png", "PNG", {}),
    "GIF": (".gif", "GIF", {}),
    "BMP": (".bmp", "BMP", {}),
    "TIFF": (".tif", "TIFF", {"compression": "tiff_lzw"}),
    "WebP": (".webp", "WEBP", {"lossless": True}),
    "AVIF": (".avif", "AVIF", {"quality": 90, "subsampling": "4:4:4"}),
    "HEIC": (".heic", "HEIF", {"quality": 90, "chroma": 444}),
}


@dataclass(frozen=True)
class Case:
    """A file that must be refused, with a message that this pattern is in."""

    data: bytes
    says: str


def gradient(height: int = 23, width: int = 37) -> np.ndarray:
    """A smooth uint8 picture in which every row, column and channel differs."""
    rows, columns = np.mgrid[0:height, 0:width]
    red, green = 20 + 200 * columns // width, 10 + 180 * rows // height
    blue = 60 + 120 * (rows + columns) // (height + width)
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def write(image: Image.Image, pillow_format: str, **options: object) -> bytes:
    """The bytes that Pillow writes."""
    buffer = io.BytesIO()
    image.save(buffer, pillow_format, **options)
    return buffer.getvalue()


def valid(kind: str) -> bytes:
    """A good file of one of FORMATS, showing `gradient()`."""
    _, pillow_format, options = FORMATS[kind]
    return write(Image.fromarray(gradient()), pillow_format, **options)


def chunk(kind: bytes, data: bytes) -> bytes:
    """One PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    size: tuple[int, int],
    rows: bytes,
    *,
    depth: int = 8,
    color: int = 2,
    extra: bytes = b"",
    end: bytes | None = None,
    data: bytes | None = None,
) -> bytes:
    """A PNG of raw rows (each begins with its filter byte); `data` replaces the compressed rows."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, color, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(rows) if data is None else data)
    return PNG_SIGNATURE + header + extra + body + (chunk(b"IEND", b"") if end is None else end)


def tiff(
    tags: dict[int, tuple[int, ...]],
    pixels: bytes,
    *,
    order: str = "<",
    strips: list[tuple[int, int]] | None = None,
) -> bytes:
    """A TIFF: tag numbers to SHORT values; offsets and lengths of strips in `pixels`, of one strip, are added."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entries = {tag: (3, values) for tag, values in tags.items()}
    offsets, lengths = zip(*(strips or [(8, len(pixels))]), strict=True)
    entries |= {273: (4, offsets), 279: (4, lengths)}
    start = 8 + len(pixels)
    extra_at, directory, extra = start + 2 + 12 * len(entries) + 4, b"", b""
    for tag, (kind, values) in sorted(entries.items()):
        packed = struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'I'}", *values)
        if len(packed) > 4:
            packed, extra = struct.pack(f"{order}I", extra_at + len(extra)), extra + packed
        directory += struct.pack(f"{order}HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    count = struct.pack(f"{order}H", len(entries))
    return mark + struct.pack(f"{order}I", start) + pixels + count + directory + bytes(4) + extra


def icc(space: bytes, tags: dict[bytes, bytes], *, connection: bytes = b"XYZ ", kind: bytes = b"mntr") -> bytes:
    """An ICC version 2 profile with a D50 white point (ICC.1:2001-04, clause 6)."""
    tags = {b"wtpt": icc_xyz((0.9642, 1.0, 0.8249)), b"cprt": b"text\0\0\0\0none\0"} | tags
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data
    d50 = struct.pack(">3i", *(round(part * 65536) for part in (0.9642, 1.0, 0.8249)))
    header = struct.pack(">I4sI4s4s4s", at + len(body), b"\0\0\0\0", 0x02400000, kind, space, connection)
    header = header.ljust(36, b"\0") + b"acsp"
    header = header.ljust(68, b"\0") + d50
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def icc_xyz(values: tuple[float, float, float]) -> bytes:
    """A tag of type XYZ."""
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(part * 65536) for part in values))


def icc_gamma(gamma: float) -> bytes:
    """A tone curve that is a power."""
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def _bitmap(width: int, height: int) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + header


def _jpeg_of(height: int, width: int) -> bytes:
    """A JPEG whose frame header claims another size."""
    data = bytearray(valid("JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def _strangers() -> dict[str, Case]:
    """Whole files of other kinds."""
    noise = random.Random(0).randbytes(500)
    return {
        "empty": Case(b"", "is empty .*; export or download it again"),
        "text": Case(b"Dear diary, today I painted.\n", "is text.*convert it to PNG"),
        "unicode text": Case("日本の浮世絵\n".encode(), "is text"),
        "git lfs": Case(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        "html": Case(b"<!DOCTYPE html><html><body>404</body></html>", "web page; save the picture itself"),
        "html comment": Case(b"\n <!-- cached -->\n<html><head>", "web page"),
        "svg": Case(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG drawing; export it as PNG"),
        "svg prolog": Case(b"<?xml version='1.0'?>\n<!-- x -->\n<svg width='3'/>", "SVG drawing"),
        "pdf": Case(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "is a PDF; export the page"),
        "postscript": Case(b"%!PS-Adobe-3.0 EPSF-3.0\n", "is PostScript"),
        "zip": Case(b"PK\x03\x04\x14\0\0\0", "is an archive; unpack it"),
        "gzip": Case(b"\x1f\x8b\x08\0\0\0\0\0", "is an archive"),
        "mp4": Case(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "is a video; save one frame"),
        "matroska": Case(b"\x1aE\xdf\xa3\x9fB\x86\x81", "is a video"),
        "avi": Case(b"RIFF\0\0\1\0AVI LIST", "is a video"),
        "wave": Case(b"RIFF\x24\0\0\0WAVEfmt ", "is no known kind of picture"),
        "canon raw": Case(b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "camera raw file; develop it"),
        "photoshop": Case(b"8BPS\0\1\0\0\0\0\0\0", "Photoshop file; export it"),
        "jpeg 2000": Case(b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000; convert it"),
        "jpeg xl": Case(b"\xff\x0a\xfa\x7f\x01\x90", "JPEG XL; convert it"),
        "icon": Case(b"\0\0\1\0\1\0\x10\x10\0\0", "is an icon; convert it"),
        "noise": Case(b"\0" + noise, "is no known kind of picture .*; give one of JPEG, PNG"),
        "zeros": Case(bytes(1000), "is no known kind of picture"),
        "one byte": Case(b"\xff", "is no known kind of picture"),
    }


def _truncated() -> dict[str, Case]:
    """Each format cut after its signature, in the middle, and near its end."""
    cases = {}
    for kind in FORMATS:
        data = valid(kind)
        for where, end in (("signature", 12), ("half", len(data) // 2), ("end", len(data) - 40)):
            cases[f"{kind} cut at {where}"] = Case(data[:end], f"cannot decode this {kind}: .*export it as PNG")
    return cases


def _damaged_png() -> dict[str, Case]:
    rows = bytes(1 + 4 * 3) * 4
    good = png((4, 4), rows)
    header_at, data_at = good.index(b"IHDR"), good.index(b"IDAT")
    flipped_header = bytearray(good)
    flipped_header[header_at + 4 + 3] ^= 1
    flipped_data = bytearray(good)
    flipped_data[data_at - 4 + 8 + zlib.compress(rows).__len__()] ^= 1  # the checksum itself
    says = "cannot decode this PNG: .*export it as PNG"
    return {
        "png header checksum": Case(bytes(flipped_header), "cannot decode this PNG: .*checksum.*IHDR"),
        "png data checksum": Case(bytes(flipped_data), "cannot decode this PNG: .*checksum.*IDAT"),
        "png as text": Case(good.replace(b"\r\n", b"\n"), "is no known kind of picture"),
        "png zero width": Case(png((0, 4), b""), "PNG: its header is broken"),
        "png zero height": Case(png((4, 0), b""), says),
        "png 3 bits": Case(png((4, 4), rows, depth=3), says),
        "png no data": Case(PNG_SIGNATURE + good[8 : data_at - 4] + chunk(b"IEND", b""), says),
        "png no end": Case(png((4, 4), rows, end=b""), "cannot decode this PNG: truncated"),
        "png not zlib": Case(png((4, 4), rows, data=b"not compressed"), says),
        "png rows missing": Case(png((4, 4), rows[:20]), says),
        "png short tRNS": Case(png((4, 4), rows, extra=chunk(b"tRNS", b"\0\0")), says),
        "png bomb": Case(png((60000, 60000), b""), r"60000 x 60000 = 3,600,000,000 pixels.*--max-pixels"),
        "png 2^31 wide": Case(png((2**31 - 1, 2**31 - 1), b""), "over the limit of 100,000,000"),
    }


def _damaged_others() -> dict[str, Case]:
    gif = bytearray(valid("GIF"))
    gif_bomb, gif_empty = gif.copy(), gif.copy()
    for data, side in ((gif_bomb, 65535), (gif_empty, 0)):
        at = data.index(b",") if side == 0 else 6
        data[at + 5 if side == 0 else at : (at + 9) if side == 0 else at + 4] = struct.pack("<HH", side, side)
    grey = {256: (4,), 257: (4,), 258: (8,), 259: (1,), 262: (1,), 277: (1,), 278: (4,)}
    float_grey = grey | {258: (32,), 339: (3,)}
    floats = np.full((4, 4), 0.5, "<f4")
    floats[1, 1] = np.nan
    vp8x = b"VP8X" + struct.pack("<II", 10, 0) + (16383).to_bytes(3, "little") * 2
    bomb = "over the limit of 100,000,000.*--max-pixels"
    return {
        "gif bomb": Case(bytes(gif_bomb), f"65535 x 65535 .*{bomb}"),
        "gif empty frame": Case(bytes(gif_empty), "cannot decode this GIF"),
        "bmp bomb": Case(_bitmap(40000, 40000), f"40000 x 40000 .*{bomb}"),
        "bmp zero": Case(_bitmap(0, 0), "cannot decode this BMP"),
        "bmp negative width": Case(_bitmap(-5, 5), f"4294967291 x 5 .*{bomb}"),
        "bmp odd header": Case(b"BM" + bytes(60), "cannot decode this BMP"),
        "jpeg bomb": Case(_jpeg_of(65000, 65000), f"65000 x 65000 .*{bomb}"),
        "jpeg zero": Case(_jpeg_of(0, 0), "cannot decode this JPEG"),
        "jpeg no scan": Case(valid("JPEG").split(b"\xff\xda")[0] + b"\xff\xd9", "cannot decode this JPEG"),
        "jpeg markers only": Case(b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(30), "cannot decode this JPEG"),
        "tiff bomb": Case(tiff(grey | {256: (60000,), 257: (60000,)}, bytes(16)), bomb),
        "tiff zero": Case(tiff(grey | {256: (0,)}, bytes(16)), "cannot decode this TIFF"),
        "tiff no size": Case(tiff({258: (8,), 262: (1,)}, bytes(16)), "TIFF: Missing dimensions"),
        "tiff directory outside": Case(b"II*\0" + struct.pack("<I", 10**6), "cannot decode this TIFF"),
        "tiff unknown depth": Case(tiff(grey | {258: (7,)}, bytes(16)), "TIFF: unknown pixel mode"),
        "tiff nan": Case(tiff(float_grey, floats.tobytes()), "NaN or infinite"),
        "tiff negative": Case(tiff(float_grey, np.full(16, -3, "<f4").tobytes()), "from -3 to -3"),
        "tiff huge values": Case(
            tiff(float_grey, np.full(16, 1e9, "<f4").tobytes()),
            "has pixels from 1e.09 to 1e.09, a range not known here; convert",
        ),
        "webp bomb": Case(b"RIFF" + struct.pack("<I", 22) + b"WEBP" + vp8x, f"268,435,456 pixels, {bomb}"),
        "heic brand only": Case(b"\0\0\0\x14ftypheic\0\0\0\0mif1" + bytes(40), "cannot decode this HEIC"),
        "avif brand only": Case(b"\0\0\0\x14ftypavif\0\0\0\0mif1" + bytes(40), "cannot decode this AVIF"),
    }


CASES: dict[str, Case] = _strangers() | _truncated() | _damaged_png() | _damaged_others()
