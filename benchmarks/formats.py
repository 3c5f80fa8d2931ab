"""Picture files by many makers: read as the same picture, refused with a message, or wrong.

Run as `python -m benchmarks.formats`; README.md beside this file tells what the figures mean.
"""

from __future__ import annotations

import argparse
import io
import itertools
import shutil
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from benchmarks import report
from wctstyle import images
from wctstyle.errors import ImageError, WctStyleError

LEVELS = 2
"""Most that a pixel may be off by in a lossless file, and all on average in a lossy one, of 255."""

HEIGHT, WIDTH = 40, 56

MAKERS = ("Pillow", "tifffile", "ImageMagick", "libvips", "pillow-heif")


@dataclass(frozen=True)
class Case:
    """A file, and the picture that it must give: "h w 3" and opacity or None, in [0, 1]."""

    maker: str
    kind: str
    name: str
    data: bytes
    rgb: np.ndarray
    alpha: np.ndarray | None = None
    lossy: bool = False


def slopes() -> np.ndarray:
    """Draw a smooth picture "h w 4" with colours from 0 to 1 and opacity from 0.2."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH] / np.array([[[HEIGHT - 1]], [[WIDTH - 1]]])
    return np.stack([columns, rows, 1 - columns * rows, 0.2 + 0.8 * rows], axis=-1)


SLOPES = slopes()
DRAWN = SLOPES.copy()
DRAWN[-16:, :, :3] = np.kron(np.random.default_rng(0).choice([0, 0.25, 0.6, 1], (2, 7, 3)), np.ones((8, 8, 1)))
"""With blocks of strong colours, which JPEG smears where it keeps colours at half resolution."""

COLOR, ALPHA = DRAWN[..., :3], DRAWN[..., 3]
GREY = np.repeat(COLOR.mean(axis=-1, keepdims=True), 3, axis=-1)
FEW = np.kron(np.random.default_rng(1).integers(0, 4, (5, 7, 3)) / 3, np.ones((8, 8, 1)))
BITS = np.repeat(np.kron(np.indices((5, 7)).sum(axis=0) % 2, np.ones((8, 8)))[..., None], 3, axis=-1)


def whole(values: np.ndarray, bits: int = 8) -> np.ndarray:
    """Round to whole numbers."""
    return np.rint(values * (2**bits - 1)).astype(f"u{bits // 8}")


def ink(rgb: np.ndarray) -> np.ndarray:
    """Separate colours into cyan, magenta, yellow and black, all of the common part black."""
    black = 1 - rgb.max(axis=-1, keepdims=True)
    return np.concatenate([(1 - rgb - black) / np.maximum(1 - black, 1e-9), black], axis=-1)


def srgb(linear: np.ndarray) -> np.ndarray:
    """Encode linear light (IEC 61966-2-1)."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def shown_lab(values: np.ndarray) -> np.ndarray:
    """Convert CIELAB at D50 to sRGB (CIE 15)."""
    light = (values[..., 0] + 16) / 116
    f = np.stack([light + values[..., 1] / 500, light, light - values[..., 2] / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1, 0.8249]
    return srgb(xyz @ np.linalg.inv(SRGB_XYZ).T)


def lab(rgb: np.ndarray) -> np.ndarray:
    """Convert sRGB to CIELAB at D50 (CIE 15)."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = linear @ SRGB_XYZ.T / [0.9642, 1, 0.8249]
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / 3 / (6 / 29) ** 2 + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


SRGB_XYZ = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
ADOBE_XYZ = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
P3_XYZ = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
"""Primaries at D50, as in the profiles of HP/Microsoft, Adobe and Apple."""


def profile(primaries: np.ndarray, gamma: float) -> bytes:
    """Write an ICC version 2 profile of RGB."""

    def xyz(column: Sequence[float] | np.ndarray) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(float(part) * 65536) for part in column))

    curve = b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(gamma * 256))
    tags = {b"wtpt": xyz((0.9642, 1, 0.8249)), b"cprt": b"text\0\0\0\0none\0\0\0\0"}
    for number, name in enumerate((b"r", b"g", b"b")):
        tags |= {name + b"XYZ": xyz(primaries[:, number]), name + b"TRC": curve}
    table, body = b"", b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name, 132 + 12 * len(tags) + len(body), len(data))
        body += data
    head = struct.pack(
        ">I4xI4s4s4s12x4s28x", 132 + len(table) + len(body), 0x02400000, b"mntr", b"RGB ", b"XYZ ", b"acsp"
    )
    return (head + xyz((0.9642, 1, 0.8249))[8:]).ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def shown(values: np.ndarray, primaries: np.ndarray, gamma: float) -> np.ndarray:
    """Return what pixels of such a profile are in sRGB."""
    return srgb(values**gamma @ primaries.T @ np.linalg.inv(SRGB_XYZ).T)


#: Names, primaries and gamma of spaces that files are made in; muted colours, which are within sRGB.
SPACES = {
    "Adobe RGB": (ADOBE_XYZ, 2.19921875),
    "Display P3 primaries": (P3_XYZ, 2.19921875),
    "gamma 1.8": (SRGB_XYZ, 1.80078125),
    "linear": (SRGB_XYZ, 1.0),
}
MUTED = 0.3 + 0.4 * COLOR


# --- Makers -------------------------------------------------------------------------------


def by_pillow() -> Iterator[Case]:
    """Make what Pillow writes."""

    def case(kind: str, name: str, image: Image.Image, form: str, rgb: np.ndarray, **more: Any) -> Case:
        found = {key: more.pop(key) for key in ("alpha", "lossy") if key in more}
        buffer = io.BytesIO()
        image.save(buffer, form, **more)
        return Case("Pillow", kind, name, buffer.getvalue(), rgb, **found)

    rgb, grey = Image.fromarray(whole(COLOR)), Image.fromarray(whole(GREY)[..., 0])
    with_alpha, few = Image.fromarray(whole(DRAWN)), Image.fromarray(whole(FEW)).quantize(64)
    one, deep = Image.fromarray(BITS[..., 0] > 0), Image.fromarray(whole(GREY, 16)[..., 0])
    grey_alpha = Image.merge("LA", (grey, with_alpha.getchannel("A")))
    ramp = Image.fromarray(GREY[..., 0].astype(np.float32))
    opaque = ((rgb, COLOR), (grey, GREY), (few, FEW), (one, BITS), (deep, GREY))
    for image, wanted in opaque:
        yield case("PNG", image.mode, image, "PNG", wanted)
    for image, wanted in ((with_alpha, COLOR), (grey_alpha, GREY)):
        yield case("PNG", image.mode, image, "PNG", wanted, alpha=ALPHA)
    for packing in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma"):
        for image, wanted in (*opaque, (ramp, GREY)):
            yield case("TIFF", f"{image.mode} {packing}", image, "TIFF", wanted, compression=packing)
        for image, wanted in ((with_alpha, COLOR), (grey_alpha, GREY)):
            yield case("TIFF", f"{image.mode} {packing}", image, "TIFF", wanted, alpha=ALPHA, compression=packing)
        ink_image = Image.frombytes("CMYK", rgb.size, whole(ink(COLOR)).tobytes())
        yield case("TIFF", f"CMYK {packing}", ink_image, "TIFF", COLOR, compression=packing)
    for mode in ("YCbCr", "LAB"):
        converted = rgb.convert(mode) if mode == "YCbCr" else _lab_by_pillow()
        wanted = COLOR if mode == "YCbCr" else MUTED
        for packing in (None, "tiff_lzw", "tiff_adobe_deflate"):
            yield case("TIFF", f"{mode} {packing}", converted, "TIFF", wanted, compression=packing, lossy=True)
    for packing in ("group3", "group4"):
        yield case("TIFF", f"1 {packing}", one, "TIFF", BITS, compression=packing)
    yield case("TIFF", "JPEG", rgb, "TIFF", COLOR, compression="jpeg", quality=95, lossy=True)
    for image, wanted in ((rgb, COLOR), (grey, GREY), (one, BITS), (few, FEW)):
        yield case("BMP", image.mode, image, "BMP", wanted)
    for image, wanted in ((few, FEW), (grey, GREY), (one, BITS)):
        yield case("GIF", image.mode, image, "GIF", wanted)
    smooth = (Image.fromarray(whole(SLOPES[..., :3])), SLOPES[..., :3])
    for progressive, (image, wanted) in itertools.product((False, True), (smooth, (grey, GREY))):
        for sampling in (0, 2):
            name = f"{image.mode} sampling {sampling}{' progressive' * progressive}"
            options = {"quality": 95, "progressive": progressive, "subsampling": sampling}
            made = case("JPEG", name, image, "JPEG", wanted, lossy=True, **options)
            yield made
            yield Case("Pillow", "JPEG", f"{name}, no end", made.data[:-2], wanted, lossy=True)
    yield case("WebP", "RGB", rgb, "WEBP", COLOR, lossless=True)
    yield case("WebP", "RGBA", with_alpha, "WEBP", COLOR, alpha=ALPHA, lossless=True, exact=True)
    yield case("AVIF", "RGB", rgb, "AVIF", COLOR, lossy=True, quality=95, subsampling="4:4:4")
    yield case("AVIF", "RGBA", with_alpha, "AVIF", COLOR, alpha=ALPHA, lossy=True, quality=95, subsampling="4:4:4")
    yield from _colors_by_pillow(case)


def _lab_by_pillow() -> Image.Image:
    stored = np.rint(lab(MUTED) * [2.55, 1, 1] + [0, 128, 128]).astype(np.uint8)
    return Image.merge("LAB", [Image.fromarray(np.ascontiguousarray(stored[..., c])) for c in range(3)])


def _colors_by_pillow(case: Any) -> Iterator[Case]:
    """Make files whose colours are of other spaces, by profile and by PNG's chunks."""
    values = whole(MUTED)
    image = Image.fromarray(values)
    for name, (primaries, gamma) in SPACES.items():
        wanted = shown(values / 255, primaries, gamma)
        icc = profile(primaries, gamma)
        for form, options in (("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})):
            yield case(form.replace("WEBP", "WebP"), name, image, form, wanted, icc_profile=icc, **options)
        yield case("JPEG", name, image, "JPEG", wanted, icc_profile=icc, lossy=True, quality=98, subsampling=0)
    long = Image.fromarray(whole(COLOR))
    for gamma in (0.35, 0.45455, 1 / 1.8, 0.7, 1.0):
        info = PngInfo()
        info.add(b"gAMA", struct.pack(">I", round(gamma * 100000)))
        wanted = COLOR if gamma == 0.45455 else srgb((whole(COLOR) / 255) ** (1 / gamma))
        yield case("PNG", f"gAMA {gamma:.3f}", long, "PNG", wanted, pnginfo=info)
    for name, codes, wanted in (
        ("cICP P3", (12, 4), shown(values / 255, P3_XYZ, 2.2)),
        ("cICP linear", (1, 8), srgb(values / 255)),
        ("cICP sRGB", (1, 13), values / 255),
        ("cICP PQ", (9, 16), np.full(values.shape, np.nan)),
        ("cICP HLG", (9, 18), np.full(values.shape, np.nan)),
    ):
        info = PngInfo()
        info.add(b"cICP", bytes((*codes, 0, 1)))
        yield case("PNG", name, image, "PNG", wanted, pnginfo=info)
    for bulk in (b"tEXt", b"iTXt"):
        info = PngInfo()
        info.add(bulk, b"Comment\0" + b"\0\0\0\0" * (bulk == b"iTXt") + b"x" * 70_000_000)
        yield case("PNG", f"large {bulk.decode()}", image, "PNG", values / 255, pnginfo=info)


#: What tifffile is told of each kind of pixels: photometric, extra samples.
_TIFF_KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "grey": ("minisblack", ()),
    "white is zero": ("miniswhite", ()),
    "grey+alpha": ("minisblack", ("unassalpha",)),
    "RGB": ("rgb", ()),
    "RGBA": ("rgb", ("unassalpha",)),
    "RGBa": ("rgb", ("assocalpha",)),
    "RGB+spare": ("rgb", ("unspecified",)),
    "CMYK": ("separated", ()),
    "CMYK+alpha": ("separated", ("unassalpha",)),
}


def by_tifffile() -> Iterator[Case]:
    """Make TIFFs of all kinds of pixels by tifffile."""
    import tifffile

    def case(
        kind: str, name: str, array: np.ndarray, rgb: np.ndarray, alpha: np.ndarray | None, **options: Any
    ) -> Case:
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, array, **{key: value for key, value in options.items() if key != "pages"})
        return Case("tifffile", kind, name, buffer.getvalue(), rgb, alpha)

    layouts: list[dict[str, Any]] = [
        {"planarconfig": plane, "tile": tile, "byteorder": order, "bigtiff": big, "compression": packing}
        for plane, tile, order, big, packing in (
            ("contig", None, "<", False, None),
            ("contig", (16, 16), ">", False, "zlib"),
            ("contig", None, ">", True, None),
            ("separate", None, "<", False, None),
            ("separate", (16, 32), "<", True, None),
            ("separate", None, ">", False, "zlib"),
        )
    ]
    for kind, (photometric, extras) in _TIFF_KINDS.items():
        channels, rgb, alpha = _channels(kind)
        for number, dtype in enumerate(("u1", "u2", "u4", "i2", "f2", "f4", "f8")):
            top = 1 if dtype[0] == "f" else np.iinfo(dtype).max
            array = (channels if top == 1 else np.rint(channels * top)).astype(dtype)
            for layout in layouts if dtype in ("u1", "u2", "f4") else layouts[number % 2 :: 2]:
                planar = layout["planarconfig"] == "separate"
                single = array.shape[2] == 1
                if planar and single:
                    continue
                laid = array[..., 0] if single else np.moveaxis(array, -1, 0) if planar else array
                options = layout | {"photometric": photometric, "extrasamples": extras, "metadata": None}
                options["planarconfig"] = None if single else layout["planarconfig"]
                options["predictor"] = 2 if layout["compression"] and top != 1 else None
                name = f"{kind} {dtype} {' '.join(str(value) for value in layout.values())}"
                yield case(f"TIFF {dtype}", name, np.ascontiguousarray(laid), rgb, alpha, **options)
    yield from _rare_by_tifffile(case)


def _channels(kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return the channels of a kind of pixels, and the colour and opacity that they stand for."""
    rgb = GREY if kind.startswith(("grey", "white")) else COLOR
    base = {"g": GREY[..., :1], "w": 1 - GREY[..., :1], "R": COLOR, "C": ink(COLOR)}[kind[0]]
    alpha = ALPHA if kind.endswith(("alpha", "A", "a")) else None
    if kind == "RGBa":
        base = base * ALPHA[..., None]
    last = ALPHA[..., None] if alpha is not None else np.full_like(rgb[..., :1], 0.3)
    return (base if alpha is None and "+" not in kind else np.concatenate([base, last], axis=-1)), rgb, alpha


def _rare_by_tifffile(case: Any) -> Iterator[Case]:
    """Make CIELAB, profiles, thumbnails in front and orientations."""
    exact = lab(MUTED)
    for name, dtype, offset, step in (
        ("cielab", "u2", 0, (655.35, 256, 256)),
        ("cielab", "u1", 0, (2.55, 1, 1)),
        ("icclab", "u2", (0, 128, 128), (652.8, 256, 256)),
        ("icclab", "u1", (0, 128, 128), (2.55, 1, 1)),
    ):
        counted = np.rint((exact + offset) * step)
        stored = (counted % (np.iinfo(dtype).max + 1)).astype(dtype)
        for order, plane in itertools.product("<>", ("contig", "separate")):
            laid = np.ascontiguousarray(np.moveaxis(stored, -1, 0)) if plane == "separate" else stored
            options = {"photometric": name, "byteorder": order, "planarconfig": plane}
            wanted = shown_lab(counted / step - offset)
            yield case("TIFF CIELAB", f"{name} {dtype} {plane} {order}", laid, wanted, None, **options)
    for name, (primaries, gamma) in SPACES.items():
        for dtype in ("u2", "f4"):
            values = whole(MUTED, 16) if dtype == "u2" else MUTED.astype("f4")
            wanted = shown(MUTED, primaries, gamma)
            icc = profile(primaries, gamma)
            yield case("TIFF profile", f"{name} {dtype}", values, wanted, None, photometric="rgb", iccprofile=icc)
    flat = np.unique(whole(FEW).reshape(-1, 3), axis=0)
    places = (whole(FEW)[:, :, None] == flat).all(axis=-1).argmax(axis=-1)
    for dtype, byteorder in itertools.product(("u1", "u2"), "<>"):
        colors = np.zeros((3, 2 ** (8 * int(dtype[1]))), np.uint16)
        colors[:, : len(flat)] = flat.T * np.uint16(257)
        options = {"photometric": "palette", "colormap": colors, "byteorder": byteorder}
        yield case("TIFF palette", f"{dtype} {byteorder}", places.astype(dtype), FEW, None, **options)
    for orientation in range(1, 9):
        tag = [(274, 3, 1, orientation, True)]
        stored = COLOR.swapaxes(0, 1) if orientation > 4 else COLOR
        stored = stored[::-1] if orientation in (3, 4, 6, 7) else stored
        stored = stored[:, ::-1] if orientation in (2, 3, 7, 8) else stored
        values = np.ascontiguousarray(whole(stored, 16))
        yield case("TIFF turned", f"orientation {orientation}", values, COLOR, None, photometric="rgb", extratags=tag)
    yield from _pages_by_tifffile()


def _pages_by_tifffile() -> Iterator[Case]:
    import tifffile

    small = np.ascontiguousarray(255 - whole(COLOR)[::4, ::4])
    for dtype, beneath in itertools.product(("u1", "u2"), (False, True)):
        values, buffer = whole(COLOR, int(dtype[1]) * 8), io.BytesIO()
        with tifffile.TiffWriter(buffer) as writer:
            writer.write(small, photometric="rgb", subfiletype=1, subifds=int(beneath), metadata=None)
            writer.write(values, photometric="rgb", subfiletype=0, metadata=None)
        name = f"{dtype}, whole page {'beneath' if beneath else 'after'} a thumbnail"
        yield Case("tifffile", "TIFF pages", name, buffer.getvalue(), COLOR)
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(small, photometric="rgb", subfiletype=1, subifds=1, metadata=None)
        writer.write(whole(COLOR, 16)[..., 0], photometric="cfa", subfiletype=0, metadata=None)
    yield Case("tifffile", "camera raw", "thumbnail, then a mosaic", buffer.getvalue(), np.full(COLOR.shape, np.nan))


def _run(command: Sequence[str], data: bytes = b"") -> bytes | None:
    """Run a maker; returns what it printed, None if it failed."""
    done = subprocess.run(command, input=data, capture_output=True, timeout=60, check=False)
    return done.stdout if done.returncode == 0 else None


def by_imagemagick() -> Iterator[Case]:
    """Make what ImageMagick writes of raw pixels; what it cannot make is left out."""
    program = shutil.which("magick") or shutil.which("convert")
    if program is None or b"ImageMagick" not in (_run([program, "-version"]) or b""):
        return

    def made(kind: str, array: np.ndarray, rgb: np.ndarray, alpha: np.ndarray | None, *options: str) -> Iterator[Case]:
        raw = {1: "gray", 3: "rgb", 4: "rgba"}[array.shape[2]]
        into = ["-size", f"{WIDTH}x{HEIGHT}", "-depth", "16", "-endian", "LSB", f"{raw}:-"]
        *changes, target = options
        data = _run([program, *into, "+endian", *changes, f"{target}:-"], array.astype("<u2").tobytes())
        if data:
            lossy = target in ("JPEG", "HEIC", "AVIF")
            yield Case("ImageMagick", kind, f"{raw} {' '.join(options)}", data, rgb, alpha, lossy)

    color, grey, both = whole(COLOR, 16), whole(GREY, 16)[..., :1], whole(DRAWN, 16)
    bases = ((color, COLOR, None), (grey, GREY, None), (both, COLOR, ALPHA))
    depths = (("-depth", "8"), ("-depth", "16"), ("-depth", "32", "-define", "quantum:format=floating-point"))
    planes = ((), ("-interlace", "plane"))
    orders = (("-endian", "LSB"), ("-endian", "MSB"))
    packings = (("-compress", "None"), ("-compress", "LZW"), ("-compress", "Zip"), ("-compress", "RLE"))
    for base, depth, plane, order, packing in itertools.product(bases, depths, planes, orders, packings):
        yield from made("TIFF", *base, *depth, *plane, *order, *packing, "TIFF")
    for depth, plane, packing in itertools.product(depths[:2], planes, packings):
        yield from made("TIFF CMYK", color, COLOR, None, *depth, "-colorspace", "CMYK", *plane, *packing, "TIFF")
    for depth in depths:
        yield from made("TIFF", *bases[2], *depth, "-define", "tiff:alpha=associated", "TIFF")
    for depth, base in itertools.product(depths, bases):
        yield from made("TIFF tiled", *base, *depth, "-define", "tiff:tile-geometry=16x16", "TIFF")
        yield from made("TIFF64", *base, *depth, "TIFF64")
    for base in bases:
        for bits in ("8", "16"):
            yield from made("PNG", *base, "-depth", bits, "PNG")
        yield from made("WebP", *base, "-depth", "8", "-define", "webp:lossless=true", "WEBP")
    for target in ("BMP", "BMP2", "BMP3"):
        yield from made("BMP", color, COLOR, None, "-depth", "8", target)
    yield from made("BMP", both, COLOR, ALPHA, "-depth", "8", "BMP")
    few, bits = whole(FEW, 16), whole(BITS, 16)[..., :1]
    for target in ("GIF", "PNG8", "BMP3", "TIFF"):
        yield from made(f"{target} palette", few, FEW, None, "+dither", "-colors", "256", "-type", "Palette", target)
    for target in ("GIF", "PNG", "BMP3", "TIFF"):
        yield from made(f"{target} 1 bit", bits, BITS, None, "-type", "Bilevel", "-depth", "1", target)
    for space, scan in itertools.product(("sRGB", "Gray", "CMYK"), ("None", "JPEG")):
        wanted, array = (GREY, grey) if space == "Gray" else (COLOR, color)
        options = ("-colorspace", space, "-interlace", scan, "-sampling-factor", "1x1", "-quality", "98", "JPEG")
        yield from made(f"JPEG {space}", array, wanted, None, *options)


def by_libvips() -> Iterator[Case]:
    """Make what libvips writes, by its command line; what it cannot make is left out."""
    program = shutil.which("vips")
    if program is None:
        return
    sources = {
        "RGB": (whole(COLOR, 16), COLOR, None),
        "grey": (whole(GREY, 16)[..., :1], GREY, None),
        "RGBA": (whole(DRAWN, 16), COLOR, ALPHA),
    }
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        for name, (array, rgb, alpha) in sources.items():
            source = here / f"{name}.v"
            (here / "raw").write_bytes(array.astype("<u2").tobytes())
            shape = (str(WIDTH), str(HEIGHT), str(array.shape[2]))
            meaning = "grey16" if name == "grey" else "rgb16"
            _run(
                [
                    program,
                    "rawload",
                    f"{here}/raw",
                    f"{source}",
                    *shape,
                    "--format",
                    "ushort",
                    "--interpretation",
                    meaning,
                ]
            )
            for kind, command, suffix in _vips_targets(name):
                target = here / f"made.{suffix.split('[')[0]}"
                verb, *arguments = command
                if _run([program, verb, f"{source}", f"{here}/made.{suffix}", *arguments]) is not None:
                    made = f"{name} {' '.join(command)} {suffix}"
                    lossy = suffix.startswith(("jpg", "avif", "heic"))
                    shown_alpha = None if suffix.startswith("jpg") else alpha
                    if suffix.startswith("jpg") and alpha is not None:
                        continue  # libvips lays it over black
                    yield Case("libvips", kind, made, target.read_bytes(), rgb, shown_alpha, lossy)


def _vips_targets(name: str) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """List kinds of files: their name, vips' operation and the suffix with options."""
    narrow = ("colourspace", "b-w" if name == "grey" else "srgb")
    for packing, tile, big in itertools.product(
        ("none", "lzw", "deflate", "packbits", "zstd"), ("", ",tile"), ("", ",bigtiff")
    ):
        options = f"tif[compression={packing}{tile}{big}]"
        yield "TIFF 16 bits", ("copy",), options
        yield "TIFF 8 bits", narrow, options
    for packing in ("none", "lzw", "deflate"):
        for predictor in ("horizontal", "float"):
            yield "TIFF predictor", ("copy",), f"tif[compression={packing},predictor={predictor}]"
        if name == "RGB":
            yield "TIFF CIELAB", ("colourspace", "labs"), f"tif[compression={packing}]"
    for form in ("uint", "float", "double"):
        yield f"TIFF {form}", ("cast", form), "tif[compression=none]"
        yield f"TIFF {form}", ("cast", form), "tif[compression=lzw,predictor=none]"
    for suffix in ("png", "png[interlace]", "png[compression=0]"):
        yield "PNG 16 bits", ("copy",), suffix
        yield "PNG 8 bits", narrow, suffix
    yield "WebP", narrow, "webp[lossless]"
    yield "JPEG", narrow, "jpg[Q=98,subsample-mode=off]"
    yield "JPEG", narrow, "jpg[Q=98,subsample-mode=off,interlace]"
    for depth in ("8", "10", "12"):
        yield "AVIF", ("copy",), f"avif[Q=95,bitdepth={depth},subsample-mode=off]"
        yield "HEIC", ("copy",), f"heic[Q=95,bitdepth={depth},subsample-mode=off]"


def by_pillow_heif() -> Iterator[Case]:
    """Make HEIC files over depth, opacity and the colour space that they name."""
    import pillow_heif

    def case(
        name: str, mode: str, array: np.ndarray, rgb: np.ndarray, alpha: np.ndarray | None, **options: Any
    ) -> Case:
        file = pillow_heif.from_bytes(mode, (WIDTH, HEIGHT), array.tobytes())
        buffer = io.BytesIO()
        file.save(buffer, quality=95, chroma=444, **options)
        return Case("pillow-heif", "HEIC", name, buffer.getvalue(), rgb, alpha, lossy=True)

    for mode, values, rgb, alpha in (
        ("RGB", COLOR, COLOR, None),
        ("RGBA", DRAWN, COLOR, ALPHA),
        ("L", GREY[..., :1], GREY, None),
    ):
        yield case(mode, mode, whole(values), rgb, alpha)
        if mode != "L":
            yield case(f"{mode};16", f"{mode};16", whole(values, 16), rgb, alpha)
    values = whole(MUTED)
    for name, codes, wanted in (
        ("nclx sRGB", (1, 13), values / 255),
        ("nclx BT.709", (1, 1), values / 255),
        ("nclx P3", (12, 4), shown(values / 255, P3_XYZ, 2.2)),
        ("nclx linear", (1, 8), srgb(values / 255)),
        ("nclx PQ", (9, 16), np.full(values.shape, np.nan)),
        ("nclx HLG", (9, 18), np.full(values.shape, np.nan)),
    ):
        options = {"color_primaries": codes[0], "transfer_characteristics": codes[1]}
        yield case(name, "RGB", values, wanted, None, matrix_coefficients=6, full_range_flag=1, **options)


# --- The comparison -----------------------------------------------------------------------


def judge(case: Case) -> tuple[str, str]:
    """Say whether a file is read as its picture ("same"), refused or read as another ("wrong"), and how."""
    try:
        read = images.load(case.data)
    except ImageError as error:
        return "refused", str(error)
    if read.rgb.shape != case.rgb.shape:
        return "wrong", f"is {read.rgb.shape}, not {case.rgb.shape}"
    wanted = images.flatten(images.Picture(case.rgb.astype(np.float32), _float(case.alpha)))
    off = 255 * np.abs(images.flatten(read).rgb - wanted.rgb)
    alphas = [np.ones(case.rgb.shape[:2]) if alpha is None else alpha for alpha in (read.alpha, case.alpha)]
    worst = max(off.mean() if case.lossy else off.max(), 255 * float(np.abs(np.subtract(*alphas)).max()))
    return ("same" if worst <= LEVELS else "wrong"), f"{worst:.2f} levels"


def _float(alpha: np.ndarray | None) -> np.ndarray | None:
    return None if alpha is None else alpha.astype(np.float32)


def markdown(found: Sequence[tuple[Case, str, str]]) -> str:
    """Write the counts by maker and kind, and the words for what was refused and wrong."""
    verdicts = ("same", "refused", "wrong")
    counts: dict[tuple[str, str], Counter[str]] = {}
    for case, verdict, _ in found:
        counts.setdefault((case.maker, case.kind), Counter())[verdict] += 1
    rows = [[f"{maker}: {kind}", *(str(count[v]) for v in verdicts)] for (maker, kind), count in counts.items()]
    rows.append(["all", *(str(sum(count[v] for count in counts.values())) for v in verdicts)])
    words = Counter(
        f"- {case.maker}, {case.kind}: {verdict}, {word}" for case, verdict, word in found if verdict != "same"
    )
    missing = [maker for maker in MAKERS if maker not in {case.maker for case, _, _ in found}]
    lines = [report.table(["maker: kind", *verdicts], rows), *(f"{line} ({count})" for line, count in words.items())]
    return "\n".join([*lines, *(f"- {maker} is not installed" for maker in missing)])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="python -m benchmarks.formats", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found of every file")
    args = parser.parse_args(argv)
    facts = report.circumstances("benchmarks.formats", argv)
    cases = itertools.chain(by_pillow(), by_tifffile(), by_imagemagick(), by_libvips(), by_pillow_heif())
    found = [(case, *judge(case)) for case in cases]
    rows = [{"maker": c.maker, "kind": c.kind, "name": c.name, "verdict": v, "words": w} for c, v, w in found]
    try:
        report.publish(facts, markdown(found), {"files": rows}, args.json)
    except WctStyleError as error:
        return report.failed(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
