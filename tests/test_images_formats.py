"""Files that once were misread or refused: deep TIFFs, thumbnails in front, damage beside the pixels, named colours."""

from __future__ import annotations

import io
import random
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import malformed
import numpy as np
import pytest
import tifffile
from malformed import chunk, gradient, png, valid, write
from PIL import Image, ImageCms, TiffImagePlugin

from benchmarks import formats
from wctstyle import images
from wctstyle.errors import ImageError

CASES = Path(__file__).resolve().parents[2] / "shared/cases"

SRGB_XYZ = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
P3_XYZ = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
"""Primaries at D50, from Apple's and HP's profiles."""

P3_CHRM = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
SRGB_CHRM = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)

#: 16-bit values of a picture, whose low bytes matter.
DEEP = gradient().astype(np.uint16) * 257 + 100
OPACITY = gradient()[..., 2].astype(np.uint16) * 257


def made(array: np.ndarray, **options: Any) -> bytes:
    """What tifffile writes."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, metadata=None, **options)
    return buffer.getvalue()


def levels(picture: images.Picture) -> np.ndarray:
    return np.rint(picture.rgb * 255).astype(int)


def encoded(linear: np.ndarray) -> np.ndarray:
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


# --- TIFF ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["RGB", "RGBA", "RGBa", "CMYK", "grey+alpha"])
@pytest.mark.parametrize(
    "layout",
    [
        {"planarconfig": "contig"},
        {"planarconfig": "separate"},
        {"planarconfig": "separate", "byteorder": ">"},
        {"planarconfig": "separate", "tile": (16, 16)},
        {"planarconfig": "separate", "rowsperstrip": 5, "compression": "zlib", "predictor": 2},
        {"planarconfig": "contig", "tile": (16, 32), "byteorder": ">", "compression": "zlib", "predictor": 2},
        {"planarconfig": "separate", "byteorder": ">", "bigtiff": True},
    ],
    ids=lambda layout: "-".join(map(str, layout.values())),
)
def test_16_bits_in_every_layout(kind: str, layout: dict[str, Any]):
    share = (OPACITY / 65535)[..., None]
    color, photometric = {
        "RGB": (DEEP, "rgb"),
        "RGBA": (DEEP, "rgb"),
        "RGBa": (np.rint(DEEP * share).astype(np.uint16), "rgb"),
        "CMYK": (np.concatenate([65535 - DEEP, 0 * DEEP[..., :1]], axis=-1), "separated"),
        "grey+alpha": (DEEP[..., :1], "minisblack"),
    }[kind]
    has_alpha = kind in ("RGBA", "RGBa", "grey+alpha")
    channels = np.concatenate([color, OPACITY[..., None]], axis=-1) if has_alpha else color
    planar = layout["planarconfig"] == "separate"
    extras = [{"RGBa": "assocalpha"}.get(kind, "unassalpha")] * has_alpha
    array = np.ascontiguousarray(np.moveaxis(channels, -1, 0)) if planar else channels
    picture = images.load(made(array, photometric=photometric, extrasamples=extras, **layout))
    wanted = np.repeat(DEEP[..., :1], 3, axis=-1) if kind == "grey+alpha" else DEEP
    np.testing.assert_allclose(picture.rgb, wanted / 65535, atol=3e-3 if kind in ("CMYK", "RGBa") else 1e-6)
    if has_alpha:
        np.testing.assert_allclose(picture.alpha, OPACITY / 65535, atol=1e-6)
    else:
        assert picture.alpha is None


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i1", "i2", "f2", "f4", "f8"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_type_of_numbers(dtype: str, channels: int):
    rgb = gradient()[..., :channels] / 255
    rgb[0, :2] = [[0], [1]]
    top = 1 if dtype[0] == "f" else min(np.iinfo(dtype).max, 2**32 - 1)
    array = (rgb if top == 1 else np.rint(rgb * top)).astype(dtype)
    for byteorder in "<>":
        for planar in {"contig", "separate"} if channels == 3 else {"contig"}:
            laid = np.ascontiguousarray(np.moveaxis(array, -1, 0)) if planar == "separate" else array
            options = {"photometric": "rgb" if channels == 3 else "minisblack", "byteorder": byteorder}
            picture = images.load(
                made(laid if channels == 3 else array[..., 0], **options, planarconfig=planar * (channels == 3) or None)
            )
            wanted = np.broadcast_to(rgb, picture.rgb.shape)
            np.testing.assert_allclose(picture.rgb, wanted, atol=5e-3 if dtype in ("i1", "u1") else 1e-3)


def test_16_bit_color_keeps_its_depth():
    steps = np.arange(3 * 40, dtype=np.uint16).reshape(4, 10, 3) + 30_000
    picture = images.load(made(steps, photometric="rgb"))
    np.testing.assert_array_equal(np.rint(picture.rgb * 65535), steps)


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param(np.linspace(0, 1.2, 60, dtype=np.float32).reshape(4, 5, 3), id="above 1"),
        pytest.param(np.float32([[[0.2, 0.3, 0.1], [40, 0.1, 0.2]]]) / 3, id="one bright light"),
        pytest.param(np.full((4, 5, 3), -0.5, np.float32), id="negative"),
        pytest.param(np.full((4, 5, 3), np.nan, np.float32), id="NaN"),
        pytest.param(np.full((4, 5), -300, np.int16), id="negative whole numbers"),
    ],
)
def test_pixels_without_a_known_white_are_refused(pixels: np.ndarray):
    data = made(pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack")
    with pytest.raises(ImageError, match=r"<bytes>: has pixels .*; (convert|export)"):
        images.load(data)


def test_floats_that_overshoot_a_little_are_clipped():
    pixels = np.array([[[-1e-4, 0.5, 1 + 1e-4]]], np.float32)
    np.testing.assert_allclose(images.load(made(pixels, photometric="rgb")).rgb, [[[0, 0.5, 1]]], atol=1e-3)


@pytest.mark.parametrize("packing", ["tiff_lzw", "packbits", "tiff_adobe_deflate"])
def test_packed_floats(packing: str):
    """libtiff unpacks what tifffile alone does not; Pillow writes floats of one channel only."""
    rgb = gradient().astype(np.float32) / 255
    data = np.ascontiguousarray(np.moveaxis(rgb, -1, 0))
    strips = [write(Image.fromarray(plane.view(np.uint8)), "TIFF", compression=packing) for plane in data]
    packed = []
    for strip in strips:
        with tifffile.TiffFile(io.BytesIO(strip)) as file:
            page = file.pages[0]
            (start, count) = page.dataoffsets[0], page.databytecounts[0]
            assert len(page.dataoffsets) == 1
            packed.append(strip[start : start + count])
            compression = int(page.compression)
    at, body = 8, b""
    places = []
    for strip in packed:
        places.append(at + len(body))
        body += strip + bytes(len(strip) % 2)
    tags = {
        256: (37,),
        257: (23,),
        258: (32,) * 3,
        259: (compression,),
        262: (2,),
        277: (3,),
        278: (23,),
        284: (2,),
        339: (3,) * 3,
    }
    file = malformed.tiff(tags, body, strips=list(zip(places, map(len, packed), strict=True)))
    np.testing.assert_array_equal(images.load(file).rgb, rgb)


@pytest.mark.parametrize("order", "<>")
def test_the_predictor_of_floats(order: str):
    """Bytes of a row by weight, each less the one before (Adobe's TIFF Technical Note 3)."""
    rgb = gradient()[:, :30].astype("<f4") / 255
    parts = rgb.astype(">f4").view(np.uint8).reshape(23, 90, 4).swapaxes(1, 2).reshape(23, 120, 3)
    parts = np.diff(parts, axis=1, prepend=0).astype(np.uint8)
    tags = {
        256: (30,),
        257: (23,),
        258: (32,) * 3,
        259: (8,),
        262: (2,),
        277: (3,),
        278: (23,),
        317: (3,),
        339: (3,) * 3,
    }
    picture = images.load(malformed.tiff(tags, zlib.compress(parts.tobytes()), order=order))
    np.testing.assert_array_equal(picture.rgb, rgb)


@pytest.mark.parametrize(
    ("photometric", "dtype"), [("cielab", "u1"), ("cielab", "u2"), ("icclab", "u1"), ("icclab", "u2")]
)
@pytest.mark.parametrize("order", "<>")
def test_cielab_of_both_forms(photometric: str, dtype: str, order: str):
    lab = np.array([[[50.2, 60, 40], [80, -20, 30], [30, 10, -40], [0, 0, 0], [100, 0, 0]]])
    shift, step = (0, 128)[photometric == "icclab"], 256 if dtype == "u2" else 1
    top = 65280 if photometric == "icclab" and dtype == "u2" else np.iinfo(dtype).max
    stored = np.stack([lab[..., 0] / 100 * top, *(((lab[..., c] + shift) * step) % (256 * step) for c in (1, 2))], -1)
    f = np.stack(
        [
            (lab[..., 0] + 16) / 116 + lab[..., 1] / 500,
            (lab[..., 0] + 16) / 116,
            (lab[..., 0] + 16) / 116 - lab[..., 2] / 200,
        ],
        -1,
    )
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1, 0.8249]
    wanted = encoded(xyz @ np.linalg.inv(SRGB_XYZ).T)
    picture = images.load(made(np.rint(stored).astype(dtype), photometric=photometric, byteorder=order))
    np.testing.assert_allclose(picture.rgb, wanted, atol=(2.5 if dtype == "u1" else 1.5) / 255)


def test_a_profile_on_deep_colors():
    """Linear light: 8 bits of it would lose the darks."""
    tags = {name + b"XYZ": malformed.icc_xyz(tuple(SRGB_XYZ[:, c])) for c, name in enumerate((b"r", b"g", b"b"))}
    icc = malformed.icc(b"RGB ", tags | {name + b"TRC": malformed.icc_gamma(1.0) for name in (b"r", b"g", b"b")})
    linear = np.linspace(0, 0.05, 300).reshape(10, 10, 3)
    for array in (np.rint(linear * 65535).astype(np.uint16), np.float32(linear)):
        picture = images.load(made(array, photometric="rgb", iccprofile=icc))
        np.testing.assert_allclose(picture.rgb, encoded(linear), atol=2 / 255)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_pixels_are_upright(orientation: int):
    stored = DEEP.swapaxes(0, 1) if orientation > 4 else DEEP
    stored = stored[::-1] if orientation in (3, 4, 6, 7) else stored
    stored = stored[:, ::-1] if orientation in (2, 3, 7, 8) else stored
    tag = [(274, 3, 1, orientation, True)]
    picture = images.load(made(np.ascontiguousarray(stored), photometric="rgb", extratags=tag))
    np.testing.assert_array_equal(np.rint(picture.rgb * 65535), DEEP)


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        ({258: (24,) * 3}, "3 channels of 24 bits"),
        ({258: (16, 8, 16)}, "16 bits"),
        ({258: (16,) * 3, 339: (5,) * 3}, "format 5"),
        ({258: (16,) * 3, 259: (34887,)}, "compression 34887"),
        ({258: (16,) * 3, 277: (60000,)}, "60000 channels"),
        ({258: (16,) * 3, 262: (6,)}, "photometric 6"),
        ({258: (16,) * 3, 266: (2,)}, "16 bits"),
    ],
)
def test_rare_tiffs_are_refused(tags: dict[int, tuple[int, ...]], says: str):
    base = {256: (4,), 257: (4,), 259: (1,), 262: (2,), 277: (3,), 278: (4,)}
    with pytest.raises(ImageError, match=f"is a TIFF of a rare kind .*{says}.*; export it as PNG"):
        images.load(malformed.tiff(base | tags, bytes(200)))


@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib"}, {"planarconfig": "separate"}, {"tile": (16, 16)}], ids=str
)
def test_damaged_deep_tiffs_give_a_picture_or_an_image_error(options: dict[str, Any]):
    array = np.ascontiguousarray(np.moveaxis(DEEP, -1, 0)) if "planarconfig" in options else DEEP
    data, dice = made(array, photometric="rgb", **options), random.Random(0)
    whole = images.load(data).content_hash
    for end in range(0, len(data), 41):
        try:
            assert images.load(data[:end]).content_hash == whole
        except ImageError:
            continue
    refused = 0
    for _ in range(300):
        damaged = bytearray(data)
        damaged[dice.randrange(300)] = dice.randrange(256)
        for read in (images.load, images.read_recipe):
            try:
                read(bytes(damaged))
            except ImageError:
                refused += 1
    assert refused > 0


def test_plain_ycbcr_is_refused():
    """Pillow takes it for RGB, and finds bytes enough for that where another page follows."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for _ in range(2):
            writer.write(gradient(), photometric="ycbcr", metadata=None)
    with pytest.raises(
        ImageError, match=r"is a TIFF of a rare kind .*photometric 6, compression 1\); export it as PNG"
    ):
        images.load(buffer.getvalue())


def test_only_so_many_pages_are_looked_at(monkeypatch: pytest.MonkeyPatch):
    small, buffer, looked = np.zeros((2, 2, 3), np.uint8), io.BytesIO(), []
    with tifffile.TiffWriter(buffer) as writer:
        for _ in range(300):
            writer.write(small, photometric="rgb", subfiletype=1, metadata=None)
    load = TiffImagePlugin.ImageFileDirectory_v2.load
    monkeypatch.setattr(TiffImagePlugin.ImageFileDirectory_v2, "load", lambda *found: (looked.append(1), load(*found)))
    assert images.load(buffer.getvalue()).width == 2
    assert len(looked) < 100


@pytest.mark.parametrize("bits", [8, 16])
def test_missing_strips_are_no_black_ones(bits: int):
    tags = {256: (4,), 257: (9,), 258: (bits,), 259: (1,), 262: (1,), 277: (1,), 278: (4,)}
    with pytest.raises(ImageError, match="cannot decode this TIFF: strips or tiles are missing"):
        images.load(malformed.tiff(tags, bytes(100)))


def pages(*, beneath: bool, whole: np.ndarray, photometric: str = "rgb", **options: Any) -> bytes:
    """A TIFF that begins with a reduced page; the whole one follows or is beneath it."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, **options) as writer:
        writer.write(
            np.zeros((6, 9, 3), np.uint8), photometric="rgb", subfiletype=1, subifds=int(beneath), metadata=None
        )
        writer.write(whole, photometric=photometric, subfiletype=0, metadata=None)
    return buffer.getvalue()


@pytest.mark.parametrize("beneath", [False, True])
@pytest.mark.parametrize("whole", [gradient(), DEEP], ids=["8 bits", "16 bits"])
@pytest.mark.parametrize("options", [{}, {"byteorder": ">", "bigtiff": True}], ids=str)
def test_a_thumbnail_in_front_is_not_the_picture(beneath: bool, whole: np.ndarray, options: dict[str, Any]):
    picture = images.load(pages(beneath=beneath, whole=whole, **options))
    np.testing.assert_array_equal(levels(picture), np.rint(whole / np.iinfo(whole.dtype).max * 255))


def test_a_lone_page_marked_as_reduced_is_the_picture():
    picture = images.load(made(gradient(), photometric="rgb", subfiletype=1))
    np.testing.assert_array_equal(levels(picture), gradient())


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(pages(beneath=True, whole=DEEP[..., 0], photometric="cfa"), id="NEF, ARW, DNG"),
        pytest.param(pages(beneath=True, whole=DEEP, photometric="linear_raw"), id="linear DNG"),
        pytest.param(pages(beneath=False, whole=DEEP[..., 0], photometric="cfa"), id="mosaic after"),
        pytest.param(made(DEEP[..., 0], photometric="cfa"), id="PEF"),
        pytest.param(
            made(gradient(), photometric="rgb", extratags=[(50706, 1, 4, bytes((1, 4, 0, 0)), True)]), id="DNG"
        ),
        pytest.param(b"II*\0\x10\0\0\0CR\x02\0" + bytes(500), id="CR2"),
        pytest.param(b"II*\0\0\1\0\0IIIITwaR" + bytes(500), id="IIQ"),
        pytest.param(b"IIRO\x08\0\0\0" + bytes(500), id="ORF"),
        pytest.param(b"MMOR\0\0\0\x08" + bytes(500), id="old ORF"),
        pytest.param(b"IIU\0\x18\0\0\0" + bytes(500), id="RW2"),
        pytest.param(b"FUJIFILMCCD-RAW 0201" + bytes(500), id="RAF"),
        pytest.param(b"FOVb\0\0\2\0" + bytes(500), id="X3F"),
        pytest.param(b"\0MRM\0\0\1\0" + bytes(500), id="MRW"),
        pytest.param(b"II\x1a\0\0\0HEAPCCDR" + bytes(500), id="CRW"),
    ],
)
def test_camera_raw_files_are_said_to_be_that(data: bytes):
    for read in (images.load, images.read_recipe):
        with pytest.raises(ImageError, match=r"<bytes>: is a camera raw file; develop it to JPEG, PNG or TIFF"):
            read(data)


@pytest.mark.parametrize("first", [b"IIIIIIII", b"CR\2\0" * 4, b"MMMMMMMM"])
def test_pixels_that_look_like_a_mark_of_raw_are_pixels(first: bytes):
    tags = {256: (len(first),), 257: (1,), 258: (8,), 259: (1,), 262: (1,), 277: (1,), 278: (1,)}
    assert (levels(images.load(malformed.tiff(tags, first)))[0, :, 0] == list(first)).all()


@pytest.mark.parametrize("options", [{}, {"bigtiff": True, "byteorder": ">"}], ids=str)
def test_recipes_of_deep_tiffs(options: dict[str, Any]):
    data = made(DEEP, photometric="rgb", description='{"wctstyle": {"strength": 0.5}}', **options)
    assert images.read_recipe(data) == {"strength": 0.5}
    assert images.read_recipe(made(DEEP, photometric="rgb", description="A beach", **options)) is None


# --- PNG ----------------------------------------------------------------------------------

ROWS = np.concatenate([np.zeros((23, 1), np.uint8), gradient().reshape(23, -1)], axis=1).tobytes()


def with_chunks(*extra: bytes) -> bytes:
    return png((37, 23), ROWS, extra=b"".join(extra))


def spoiled(kind: bytes, data: bytes) -> bytes:
    """A chunk whose checksum is wrong."""
    return chunk(kind, data)[:-1] + bytes((chunk(kind, data)[-1] ^ 1,))


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param(chunk(b"tEXt", b"Comment\0" + b"x" * 70_000_000), id="text of 70 MB"),
        pytest.param(chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(80_000_000))), id="packed text of 80 MB"),
        pytest.param(chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(bytes(9_000_000))), id="packed EXIF"),
        pytest.param(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(9_000_000))), id="packed XMP"),
        pytest.param(spoiled(b"tEXt", b"Comment\0hello"), id="checksum of text"),
        pytest.param(spoiled(b"gAMA", struct.pack(">I", 100000)), id="checksum of gAMA"),
        pytest.param(spoiled(b"iCCP", b"x\0\0" + zlib.compress(b"no profile")), id="checksum of iCCP"),
        pytest.param(spoiled(b"pHYs", bytes(9)), id="checksum of pHYs"),
        pytest.param(chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(40 << 20))), id="profile of 40 MB"),
        pytest.param(chunk(b"iCCP", b"x\0\0no zlib"), id="broken iCCP"),
    ],
)
def test_nothing_beside_the_pixels_is_a_reason_to_refuse_a_png(extra: bytes):
    np.testing.assert_array_equal(levels(images.load(with_chunks(extra))), gradient())
    recipe = chunk(b"iTXt", b'wctstyle\0\0\0\0\0{"a": 1}')
    assert images.read_recipe(with_chunks(extra, recipe)) == {"a": 1}


@pytest.mark.parametrize("kind", [b"tRNS", b"PLTE", b"IDAT"])
def test_damage_to_the_pixels_is(kind: bytes):
    with pytest.raises(ImageError, match=f"cannot decode this PNG: wrong checksum in {kind.decode()}"):
        images.load(with_chunks(spoiled(kind, bytes(6))))


def test_a_large_profile_is_used():
    icc = malformed.icc(
        b"RGB ",
        {name + b"XYZ": malformed.icc_xyz(tuple(P3_XYZ[:, c])) for c, name in enumerate((b"r", b"g", b"b"))}
        | {name + b"TRC": malformed.icc_gamma(2.2) for name in (b"r", b"g", b"b")},
    )
    padded = malformed.icc(
        b"RGB ",
        {name + b"XYZ": malformed.icc_xyz(tuple(P3_XYZ[:, c])) for c, name in enumerate((b"r", b"g", b"b"))}
        | {name + b"TRC": malformed.icc_gamma(2.2) for name in (b"r", b"g", b"b")}
        | {b"padd": b"data" + random.Random(0).randbytes(1_500_000)},
    )
    plain, large = (images.load(with_chunks(chunk(b"iCCP", b"x\0\0" + zlib.compress(data)))) for data in (icc, padded))
    np.testing.assert_array_equal(large.rgb, plain.rgb)
    assert np.abs(levels(plain) - gradient()).max() > 5


def gamma(value: int) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", value))


def cicp(*codes: int) -> bytes:
    return chunk(b"cICP", bytes(codes))


def in_p3(power: float = 2.2) -> np.ndarray:
    return encoded((gradient() / 255) ** power @ P3_XYZ.T @ np.linalg.inv(SRGB_XYZ).T)


def power(value: float) -> np.ndarray:
    return encoded((gradient() / 255) ** value)


SRGB_ICC = chunk(b"iCCP", b"x\0\0" + zlib.compress(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()))


@pytest.mark.parametrize(
    ("chunks", "wanted"),
    [
        pytest.param([gamma(100000)], power(1), id="gAMA 1"),
        pytest.param([gamma(55556)], power(1.8), id="gAMA 1/1.8"),
        pytest.param([gamma(100000), chunk(b"cHRM", SRGB_CHRM)], power(1), id="gAMA 1, cHRM"),
        pytest.param([gamma(45455), chunk(b"cHRM", P3_CHRM)], in_p3(), id="gAMA 1/2.2, cHRM P3"),
        pytest.param([gamma(45455)], gradient() / 255, id="gAMA 1/2.2"),
        pytest.param([gamma(45455), chunk(b"cHRM", SRGB_CHRM)], gradient() / 255, id="ImageMagick's sRGB"),
        pytest.param([chunk(b"cHRM", P3_CHRM)], gradient() / 255, id="cHRM alone"),
        pytest.param([gamma(100000), chunk(b"cHRM", bytes(32))], gradient() / 255, id="cHRM of zeros"),
        pytest.param([gamma(0)], gradient() / 255, id="gAMA 0"),
        pytest.param([chunk(b"sRGB", b"\0"), gamma(100000)], gradient() / 255, id="sRGB before gAMA"),
        pytest.param([SRGB_ICC, gamma(100000)], gradient() / 255, id="iCCP before gAMA"),
        pytest.param([SRGB_ICC, cicp(1, 8, 0, 1)], power(1), id="cICP before iCCP"),
        pytest.param([cicp(12, 4, 0, 1)], in_p3(), id="cICP P3 primaries"),
        pytest.param([cicp(1, 1, 0, 1)], power(2.4), id="cICP BT.709"),
        pytest.param([cicp(1, 13, 0, 1), gamma(100000)], gradient() / 255, id="cICP sRGB before gAMA"),
        pytest.param([cicp(2, 2, 0, 1)], gradient() / 255, id="cICP unspecified"),
        pytest.param([cicp(12, 13, 0, 0)], gradient() / 255, id="cICP of narrow range"),
    ],
)
def test_a_png_is_shown_as_by_browsers(chunks: list[bytes], wanted: np.ndarray):
    """Chromium 156 gives these colours, but for ImageMagick's sRGB, which it shows darker."""
    picture = images.load(with_chunks(*chunks))
    np.testing.assert_allclose(picture.rgb, np.clip(wanted, 0, 1), atol=1.5 / 255)


@pytest.mark.parametrize("depth", [8, 16])
def test_gamma_on_grey(depth: int):
    grey = np.linspace(0, 2**depth - 1, 60).astype(f">u{depth // 8}").reshape(4, 15)
    rows = b"".join(b"\0" + row.tobytes() for row in grey)
    picture = images.load(png((15, 4), rows, depth=depth, color=0, extra=gamma(100000)))
    np.testing.assert_allclose(picture.rgb[..., 1], encoded(grey / (2**depth - 1)), atol=2 / 255)


@pytest.mark.parametrize(("codes", "says"), [((9, 16), "PQ"), ((9, 18), "HLG")])
def test_pictures_of_high_dynamic_range_are_refused(codes: tuple[int, int], says: str):
    for data in (with_chunks(cicp(*codes, 0, 1)), named("AVIF", *codes), named("HEIC", *codes)):
        with pytest.raises(
            ImageError, match=rf"<bytes>: is a picture of high dynamic range \({says}\); export it as SDR"
        ):
            images.load(data)


# --- JPEG ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"restart_marker_blocks": 2}, {"subsampling": 2}], ids=str
)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_without_its_end_is_read_and_one_cut_deeper_is_not(mode: str, options: dict[str, Any]):
    noise = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    data = write(Image.fromarray(noise).convert(mode), "JPEG", quality=92, **options)
    whole = images.load(data).rgb
    for cut in (1, 2):
        np.testing.assert_array_equal(images.load(data[:-cut]).rgb, whole)
        assert images.read_recipe(data[:-cut]) is None
    scans = [found.start() for found in re.finditer(rb"\xff\xda", data)]
    assert len(scans) == 1 or "progressive" in options
    restarts = [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", data)]
    ends, refused = (*range(len(data) - 40, len(data) - 2), *scans[1:], *restarts, len(data) // 2), 0
    for end in ends:
        try:
            np.testing.assert_array_equal(images.load(data[:end]).rgb, whole)
        except ImageError:
            refused += 1
    assert refused >= len(ends) - 2  # a last bit may change nothing that is seen


# --- HEIC and AVIF ------------------------------------------------------------------------


def named(kind: str, primaries: int, transfer: int) -> bytes:
    """A file of the gradient whose "nclx" names these codes."""
    data = bytearray(valid(kind))
    at = data.index(b"colrnclx") + 8
    data[at : at + 4] = struct.pack(">HH", primaries, transfer)
    return bytes(data)


@pytest.mark.parametrize("kind", ["AVIF", "HEIC"])
def test_the_colors_that_a_file_names_are_converted(kind: str):
    plain = images.load(valid(kind)).rgb
    for codes, wanted in (
        ((12, 4), encoded(plain**2.2 @ P3_XYZ.T @ np.linalg.inv(SRGB_XYZ).T)),
        ((1, 8), encoded(plain)),
        ((1, 1), plain),  # BT.709, written for sRGB
        ((2, 2), plain),
    ):
        np.testing.assert_allclose(images.load(named(kind, *codes)).rgb, wanted, atol=1.5 / 255)
    with pytest.raises(
        ImageError, match=r"colours of a rare space \(CICP primaries 1, transfer 9\); export it as sRGB"
    ):
        images.load(named(kind, 1, 9))


# --- Files of many makers -----------------------------------------------------------------


@pytest.mark.parametrize("make", [formats.by_pillow, formats.by_tifffile, formats.by_pillow_heif])
def test_no_file_of_the_benchmark_is_wrong(make: Callable[[], Iterator[formats.Case]]):
    found = [(case, *formats.judge(case)) for case in make()]
    assert [(case.name, words) for case, verdict, words in found if verdict == "wrong"] == []
    assert sum(verdict == "same" for _, verdict, _ in found) > 0.8 * len(found)


def test_the_benchmark_finds_what_is_wrong():
    black = np.zeros((23, 37, 3))
    told = [
        formats.judge(formats.Case("a", "b", "c", valid("PNG"), rgb, alpha))
        for rgb, alpha in (
            (gradient() / 255, None),
            (black, None),
            (black[1:], None),
            (gradient() / 255, black[..., 0]),
        )
    ]
    assert [verdict for verdict, _ in told] == ["same", "wrong", "wrong", "wrong"]
    table = formats.markdown([(formats.Case("a", "b", "c", b"", black), "wrong", "9 levels")])
    assert "| a: b        |    0 |       0 |     1 |" in table
    assert "- a, b: wrong, 9 levels (1)" in table


# --- Files that came from bug reports -----------------------------------------------------


@pytest.mark.skipif(not CASES.is_dir(), reason="../shared/cases is not there")
def test_files_of_bug_reports():
    wanted = images.load(CASES / "png_bigtext.png").rgb * 255
    for name in (
        "planar16_imagemagick.tif",
        "pl16_rgba.tif",
        "png_iccp_1mb.png",
        "png_gama_18.png",
        "png_gama_linear.png",
        "png_cicp_p3.png",
    ):
        off = np.abs(images.load(CASES / name).rgb * 255 - wanted)
        assert off.max() <= {"png_cicp_p3.png": 3.01, "png_gama_linear.png": 6.6}.get(name, 2)  # half a step of 8 bits
        assert off.mean() < 0.5
    assert images.load(CASES / "pl16_rgba.tif").alpha is not None
    with pytest.raises(ImageError, match="is a camera raw file"):
        images.load(CASES / "raw_like.dng")
    jpeg = images.load(CASES / "jpg_noeoi.jpg")
    assert np.abs(jpeg.rgb * 255 - wanted).mean() < 8
