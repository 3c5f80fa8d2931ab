"""Pictures in and out: every format, mode and orientation, damaged files, limits, resizing, recipes, atomic saves."""

from __future__ import annotations

import io
import json
import os
import random
import re
import struct
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import malformed
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from malformed import FORMATS, chunk, gradient, png, tiff, valid, write
from PIL import ExifTags, Image, ImageCms, ImageFile, JpegImagePlugin, TiffImagePlugin

from wctstyle import images
from wctstyle.errors import ConfigError, ImageError
from wctstyle.images.guards import webp_size
from wctstyle.images.rows import PngRows
from wctstyle.images.writing import WRITERS

SRGB_ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ORIENTATION = int(ExifTags.Base.Orientation)

#: Primaries in XYZ at D50: Adobe RGB (1998), section 4.3.5.3 adapted by Bradford; sRGB likewise.
ADOBE_XYZ = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
SRGB_XYZ = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])


def levels(picture: images.Picture) -> np.ndarray:
    """The picture's colours as 8-bit numbers, exact ones if they came from 8 bits."""
    return np.rint(picture.rgb * 255).astype(int)


def adobe_icc() -> bytes:
    tags = {name + b"XYZ": malformed.icc_xyz(tuple(ADOBE_XYZ[:, c])) for c, name in enumerate((b"r", b"g", b"b"))}
    tags |= {name + b"TRC": malformed.icc_gamma(2.19921875) for name in (b"r", b"g", b"b")}
    return malformed.icc(b"RGB ", tags)


def grey_icc(gamma: float) -> bytes:
    return malformed.icc(b"GRAY", {b"kTRC": malformed.icc_gamma(gamma)})


def cmyk_icc() -> bytes:
    """A press whose full cyan is a middle grey (L* = 50), and whose other inks are black."""
    ramp = bytes(range(256))
    lightness = [255, 0, 0, 0, 0, 0, 0, 0, 128] + [0] * 7  # of the 16 corners, K fastest, C slowest
    corners = b"".join(bytes((light, 128, 128)) for light in lightness)
    identity = struct.pack(">9i", *(65536 * (r == c) for r in range(3) for c in range(3)))
    table = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + identity + ramp * 4 + corners + ramp * 3
    return malformed.icc(b"CMYK", {b"A2B0": table, b"A2B1": table}, connection=b"Lab ", kind=b"prtr")


def srgb_encode(linear: np.ndarray) -> np.ndarray:
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


# --- Formats ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pillow_format", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
        ("TIFF", {"compression": "packbits"}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_lossless_formats_are_exact(pillow_format: str, options: dict):
    picture = images.load(write(Image.fromarray(gradient()), pillow_format, **options))
    assert picture.rgb.dtype == np.float32
    assert picture.alpha is None
    assert (picture.height, picture.width) == gradient().shape[:2]
    np.testing.assert_array_equal(picture.rgb, gradient() / np.float32(255))


@pytest.mark.parametrize("kind", ["JPEG", "WebP", "AVIF", "HEIC"])
def test_lossy_formats_are_close(kind: str):
    _, pillow_format, _ = FORMATS[kind]
    picture = images.load(write(Image.fromarray(gradient(64, 80)), pillow_format, quality=90))
    assert np.abs(levels(picture) - gradient(64, 80)).mean() < 4


def test_gif_gives_its_palette_colors():
    indexed = Image.fromarray(gradient()).quantize(32)
    np.testing.assert_array_equal(levels(images.load(write(indexed, "GIF"))), indexed.convert("RGB"))


@pytest.mark.parametrize("pillow_format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_frames_the_first_counts(pillow_format: str):
    first, second = (Image.new("RGB", (9, 5), color) for color in ("#0000ff", "#ff0000"))
    options = {"lossless": True} if pillow_format == "WEBP" else {}
    data = write(first, pillow_format, save_all=True, append_images=[second], **options)
    assert levels(images.load(data)).reshape(-1, 3).tolist() == [[0, 0, 255]] * 45


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("size", [(1, 1), (1, 17), (17, 1), (33, 7)])
def test_odd_sizes(kind: str, size: tuple[int, int]):
    _, pillow_format, options = FORMATS[kind]
    picture = images.load(write(Image.new("RGB", size, (200, 100, 50)), pillow_format, **options))
    assert (picture.width, picture.height) == size
    np.testing.assert_allclose(levels(picture), np.broadcast_to([200, 100, 50], picture.rgb.shape), atol=4)


def test_contents_count_and_not_the_suffix(tmp_path: Path):
    path = tmp_path / "really-a-png.jpg"
    path.write_bytes(valid("PNG"))
    picture = images.load(path)
    np.testing.assert_array_equal(levels(picture), gradient())
    assert picture.source == str(path)


# --- Modes --------------------------------------------------------------------------------


def test_one_bit():
    bits = np.random.default_rng(0).random((9, 13)) > 0.5
    for pillow_format in ("PNG", "TIFF", "BMP"):
        picture = images.load(write(Image.fromarray(bits), pillow_format))
        np.testing.assert_array_equal(picture.rgb, np.repeat(bits[..., None], 3, axis=-1).astype(np.float32))


@pytest.mark.parametrize("pillow_format", ["PNG", "TIFF", "BMP"])
def test_grey(pillow_format: str):
    grey = gradient()[..., 0]
    picture = images.load(write(Image.fromarray(grey), pillow_format))
    np.testing.assert_array_equal(levels(picture), np.repeat(grey[..., None], 3, axis=-1))


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("pillow_format", ["PNG", "TIFF"])
def test_alpha_is_kept_apart(mode: str, pillow_format: str):
    color, opacity = Image.fromarray(gradient()), Image.fromarray(gradient()[..., 2])
    image = color.convert(mode[:-1])
    image.putalpha(opacity)
    picture = images.load(write(image, pillow_format))
    np.testing.assert_array_equal(picture.alpha, np.asarray(opacity) / np.float32(255))
    np.testing.assert_array_equal(levels(picture), np.asarray(color.convert(mode[:-1]).convert("RGB")))


@pytest.mark.parametrize("kind", ["WebP", "AVIF", "HEIC"])
def test_alpha_of_the_other_formats(kind: str):
    image = Image.fromarray(gradient())
    image.putalpha(Image.fromarray(gradient()[..., 2]))
    _, pillow_format, options = FORMATS[kind]
    picture = images.load(write(image, pillow_format, **options))
    assert picture.alpha is not None
    np.testing.assert_allclose(picture.alpha * 255, gradient()[..., 2], atol=12)


def test_what_is_hidden_takes_the_colour_of_the_nearest_pixel_that_is_seen():
    rgb, alpha = np.zeros((2, 4, 3), np.float32), np.float32([[1, 0.1, 0, 0], [0, 0, 0, 0.5]])
    rgb[0, :2], rgb[1, 3] = [[0.9, 0.6, 0.3], [0.3, 0, 0.3]], [0.1, 0.2, 0.3]
    filled = images.fill_hidden(images.Picture(rgb, alpha))
    wanted = [[rgb[0, 0], rgb[0, 1], rgb[1, 3], rgb[1, 3]], [rgb[0, 0], rgb[0, 0], rgb[1, 3], rgb[1, 3]]]
    np.testing.assert_array_equal(filled.rgb, wanted)
    np.testing.assert_array_equal(filled.alpha, alpha)
    assert (images.fill_hidden(images.Picture(rgb, np.zeros((2, 4), np.float32))).rgb == 1).all()
    opaque = images.Picture(rgb)
    assert images.fill_hidden(opaque) is opaque


@pytest.mark.parametrize("mode", ["LA", "RGBA", "PA"])
def test_opaque_alpha_is_none(mode: str):
    assert images.load(Image.new(mode, (5, 4))).alpha is not None
    opaque = Image.new("RGBA", (5, 4), (1, 2, 3, 255)).convert(mode)
    assert images.load(opaque).alpha is None


@pytest.mark.parametrize("transparency", [2, bytes((255, 0, 128, 255))])
def test_palette_transparency(transparency: int | bytes):
    image = Image.new("P", (4, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    image.putdata([0, 1, 2, 3])
    picture = images.load(write(image, "PNG", transparency=transparency))
    assert levels(picture).tolist() == [[[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]]]
    wanted = [255, 255, 0, 255] if transparency == 2 else [255, 0, 128, 255]
    assert picture.alpha is not None
    assert np.rint(picture.alpha * 255).tolist() == [wanted]


def test_gif_transparency():
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    picture = images.load(write(image, "GIF", transparency=1))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[1, 0, 1]]


@pytest.mark.parametrize(
    ("color", "depth", "row", "key", "alpha"),
    [
        (2, 8, bytes((1, 2, 3, 1, 2, 4)), struct.pack(">3H", 1, 2, 3), [0, 1]),
        (2, 16, struct.pack(">6H", 256, 512, 770, 256, 512, 9999), struct.pack(">3H", 256, 512, 770), [0, 1]),
        (0, 8, bytes((7, 8)), struct.pack(">H", 8), [1, 0]),
        (0, 16, struct.pack(">2H", 700, 701), struct.pack(">H", 701), [1, 0]),
        (0, 4, bytes((0x5A,)), struct.pack(">H", 0xA), [1, 0]),
        (0, 2, bytes((0b0111 << 4,)), struct.pack(">H", 1), [0, 1]),
        (0, 1, bytes((0b01 << 6,)), struct.pack(">H", 1), [1, 0]),
    ],
)
def test_png_transparent_color_at_every_depth(color: int, depth: int, row: bytes, key: bytes, alpha: list[int]):
    data = png((2, 1), b"\0" + row, depth=depth, color=color, extra=chunk(b"tRNS", key))
    picture = images.load(data)
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [alpha]


def test_png_of_16_bits_a_channel():
    row = struct.pack(">6H", 0, 32768, 65535, 65535, 256, 13107)
    picture = images.load(png((2, 1), b"\0" + row, depth=16))
    np.testing.assert_allclose(picture.rgb, [[[0, 0.5, 1], [1, 1 / 256, 0.2]]], atol=1 / 255)
    assert picture.rgb.max() == 1
    with_alpha = struct.pack(">4H", 65535, 0, 0, 32768)
    picture = images.load(png((1, 1), b"\0" + with_alpha, depth=16, color=6))
    assert picture.alpha is not None
    np.testing.assert_allclose(picture.alpha, [[0.5]], atol=1 / 255)


def test_grey_png_of_16_bits_keeps_them():
    values = np.array([[0, 1, 256, 40000, 65535]], np.uint16)
    picture = images.load(write(Image.fromarray(values), "PNG"))
    np.testing.assert_allclose(picture.rgb[..., 1], values / 65535, atol=1e-7)


#: TIFF grey that Pillow does not write: tags beyond the usual, raw pixels, byte order, wanted value.
DEEP_TIFFS = {
    "16 bits": ({258: (16,)}, struct.pack("<4H", 0, 1000, 65535, 30), "<", [0, 1000 / 65535, 1, 30 / 65535]),
    "16 bits, big-endian": ({258: (16,)}, struct.pack(">4H", 0, 1000, 65535, 0), ">", [0, 1000 / 65535, 1, 0]),
    "16 bits, white is zero": ({258: (16,), 262: (0,)}, struct.pack("<4H", 0, 65535, 13107, 0), "<", [1, 0, 0.8, 1]),
    "12 bits": ({258: (12,)}, bytes((0xFF, 0xF0, 0x00, 0x80, 0x00, 0x01)), "<", [1, 0, 2048 / 4095, 1 / 4095]),
    "32 bits, whole range": ({258: (32,)}, struct.pack("<4I", 0, 2**32 - 1, 2**31, 2**30), "<", [0, 1, 0.5, 0.25]),
    "32 bits, 16 used": ({258: (32,)}, struct.pack("<4I", 0, 65535, 32768, 300), "<", [0, 1, 0.5, 300 / 65535]),
    "32 bits, 8 used": ({258: (32,), 339: (2,)}, struct.pack("<4i", 0, 255, 51, 102), "<", [0, 1, 0.2, 0.4]),
    "float, 0 to 1": ({258: (32,), 339: (3,)}, struct.pack("<4f", 0, 0.25, 0.9, 0.001), "<", [0, 0.25, 0.9, 0.001]),
    "float, 0 to 255": ({258: (32,), 339: (3,)}, struct.pack("<4f", 0, 51, 127.5, 255), "<", [0, 0.2, 0.5, 1]),
    "float, 0 to 65535": ({258: (32,), 339: (3,)}, struct.pack("<4f", 0, 13107, 300, 65535), "<", [0, 0.2, 0.00458, 1]),
}  # fmt: skip


@pytest.mark.parametrize("name", DEEP_TIFFS)
def test_deep_grey_tiff(name: str):
    tags, pixels, order, wanted = DEEP_TIFFS[name]
    base = {256: (4 if "12" not in name else 2,), 257: (1 if "12" not in name else 2,), 259: (1,), 262: (1,)}
    picture = images.load(tiff(base | {277: (1,), 278: (2,)} | tags, pixels, order=order))
    np.testing.assert_allclose(picture.rgb[..., 0].ravel(), wanted, atol=2e-5)


def test_cmyk_without_a_profile():
    image = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    for pillow_format in ("TIFF", "JPEG"):
        picture = images.load(write(image, pillow_format))
        np.testing.assert_allclose(levels(picture), np.broadcast_to([0, 255, 255], (8, 8, 3)), atol=3)


def test_cielab():
    lab = Image.merge("LAB", [Image.new("L", (2, 2), value) for value in (128, 128 + 60, 128 + 40)])
    picture = images.load(write(lab, "TIFF"))
    # CIELAB (50.2, 60, 40), D50, by the formulas of CIE 15 and the sRGB matrix at D50.
    y = ((50.196 + 16) / 116) ** 3
    x, z = 0.9642 * ((50.196 + 16) / 116 + 60 / 500) ** 3, 0.8249 * ((50.196 + 16) / 116 - 40 / 200) ** 3
    wanted = srgb_encode(np.linalg.solve(SRGB_XYZ, [x, y, z]))
    np.testing.assert_allclose(picture.rgb, np.broadcast_to(wanted, (2, 2, 3)), atol=0.012)


@pytest.mark.parametrize("mode", ["YCbCr", "HSV", "RGBX", "RGBa", "La", "PA", "P", "F", "I"])
def test_pillow_images_of_rare_modes(mode: str):
    grey = Image.fromarray(gradient()[..., 0])
    image = grey.convert("LA").convert("La") if mode == "La" else None
    image = grey.convert("RGBA").convert("RGBa") if mode == "RGBa" else image
    image = image or (
        grey.convert("RGB") if mode in ("YCbCr", "HSV", "RGBX") else grey.convert("P") if mode == "PA" else grey
    ).convert(mode)
    picture = images.load(image)
    np.testing.assert_allclose(levels(picture), np.repeat(gradient()[..., :1], 3, axis=-1), atol=2)
    assert picture.alpha is None


def test_pillow_image_input_is_not_changed_and_named():
    image = Image.open(io.BytesIO(write(Image.fromarray(gradient()), "PNG")))
    picture = images.load(image)
    np.testing.assert_array_equal(levels(picture), gradient())
    assert (image.mode, picture.source) == ("RGB", "<image>")
    truncated = Image.open(io.BytesIO(valid("JPEG")[:-60]))
    with pytest.raises(ImageError, match="<image>: cannot decode this image: .*truncated"):
        images.load(truncated)


def test_an_empty_pillow_image_and_one_too_large_for_memory(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ImageError, match="<image>: cannot decode this image: it is 0 x 5 pixels; "):
        images.load(Image.new("RGB", (0, 5)))

    def run_out(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(ImageFile.ImageFile, "load_prepare", run_out)
    with pytest.raises(ImageError, match="<bytes>: not enough memory to decode this JPEG; make it smaller first"):
        images.load(valid("JPEG"))


# --- Orientation --------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("pillow_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_exif_orientation(pillow_format: str, orientation: int):
    upright = Image.fromarray(gradient(24, 40))
    # To store a picture such that this orientation puts it right, apply the opposite change.
    transpose = Image.Transpose
    stored = {
        2: transpose.FLIP_LEFT_RIGHT,
        3: transpose.ROTATE_180,
        4: transpose.FLIP_TOP_BOTTOM,
        5: transpose.TRANSPOSE,
        6: transpose.ROTATE_90,
        7: transpose.TRANSVERSE,
        8: transpose.ROTATE_270,
    }
    image = upright.transpose(stored[orientation]) if orientation in stored else upright
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options = {"lossless": True} if pillow_format == "WEBP" else {"quality": 95}
    picture = images.load(write(image, pillow_format, exif=exif.tobytes(), **options))
    assert picture.rgb.shape == (24, 40, 3)
    np.testing.assert_allclose(levels(picture), gradient(24, 40), atol=12)


def test_exif_orientation_turns_alpha_too():
    alpha = np.zeros((2, 3), np.uint8)
    alpha[0, 2] = 255
    image = Image.fromarray(np.zeros((2, 3, 3), np.uint8))
    image.putalpha(Image.fromarray(alpha))
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # the stored rows run down the right-hand side
    picture = images.load(write(image, "PNG", exif=exif))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == np.rot90(alpha // 255, -1).tolist()


@pytest.mark.parametrize("value", [0, 9, 60000])
def test_senseless_orientation_is_ignored(value: int):
    exif = Image.Exif()
    exif[ORIENTATION] = value
    np.testing.assert_array_equal(levels(images.load(write(Image.fromarray(gradient()), "PNG", exif=exif))), gradient())


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage!", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"]
)
def test_broken_exif_is_ignored(exif: bytes):
    picture = images.load(write(Image.fromarray(gradient()), "WEBP", lossless=True, exif=exif))
    np.testing.assert_array_equal(levels(picture), gradient())


# --- ICC ----------------------------------------------------------------------------------


@pytest.mark.parametrize("pillow_format", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_a_profile_is_converted_to_srgb(pillow_format: str):
    muted = (80 + gradient() // 4).astype(np.uint8)  # inside both gamuts
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(pillow_format, {})
    picture = images.load(write(Image.fromarray(muted), pillow_format, icc_profile=adobe_icc(), **options))
    linear = (muted / 255.0) ** 2.19921875 @ ADOBE_XYZ.T @ np.linalg.inv(SRGB_XYZ).T
    np.testing.assert_allclose(picture.rgb, srgb_encode(linear), atol=(6 if pillow_format == "JPEG" else 3.5) / 255)
    assert np.abs(picture.rgb * 255 - muted).max() > 8  # the profile matters


def test_a_profile_keeps_alpha_and_palettes():
    color = Image.new("RGB", (3, 2), (120, 160, 90))
    wanted = levels(images.load(write(color, "PNG", icc_profile=adobe_icc())))
    assert wanted[0, 0].tolist() != [120, 160, 90]
    with_alpha = color.copy()
    with_alpha.putalpha(128)
    picture = images.load(write(with_alpha, "PNG", icc_profile=adobe_icc()))
    np.testing.assert_array_equal(levels(picture), wanted)
    assert picture.alpha is not None
    assert np.rint(picture.alpha * 255).tolist() == [[128] * 3] * 2
    np.testing.assert_array_equal(levels(images.load(write(color.quantize(4), "PNG", icc_profile=adobe_icc()))), wanted)


def test_an_srgb_profile_changes_nothing():
    for image in (Image.fromarray(gradient()), Image.fromarray(gradient()).convert("L")):
        picture = images.load(write(image, "PNG", icc_profile=SRGB_ICC))
        np.testing.assert_array_equal(levels(picture), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("bits", [8, 16])
def test_a_grey_profile(bits: int):
    grey = np.linspace(0, 2**bits - 1, 200).astype(f"uint{bits}").reshape(4, 50)
    picture = images.load(write(Image.fromarray(grey), "PNG", icc_profile=grey_icc(1.0)))
    wanted = srgb_encode(grey / (2**bits - 1))
    np.testing.assert_allclose(picture.rgb[..., 0][wanted > 0.2], wanted[wanted > 0.2], atol=2.5 / 255)


@pytest.mark.parametrize("pillow_format", ["TIFF", "JPEG"])
def test_a_cmyk_profile(pillow_format: str):
    data = write(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), pillow_format, icc_profile=cmyk_icc())
    np.testing.assert_allclose(levels(images.load(data)), 119, atol=2)  # L* = 50 is sRGB 119
    data = write(Image.new("CMYK", (8, 8), 0), pillow_format, icc_profile=cmyk_icc())
    np.testing.assert_allclose(levels(images.load(data)), 255, atol=2)


@pytest.mark.parametrize(
    ("mode", "profile"),
    [
        ("RGB", b"not a profile"),
        ("RGB", SRGB_ICC[:200]),
        ("RGB", adobe_icc()[:180] + bytes(100)),
        ("RGB", malformed.icc(b"RGB ", {})),
        ("RGB", cmyk_icc()),
        ("RGB", grey_icc(1.0)),
        ("L", cmyk_icc()),
        ("L", malformed.icc(b"GRAY", {})),
        ("CMYK", adobe_icc()),
        ("CMYK", malformed.icc(b"CMYK", {})),
    ],
)
def test_a_broken_or_foreign_profile_is_ignored(mode: str, profile: bytes):
    image = Image.fromarray(gradient()).convert(mode)
    with_profile = images.load(write(image, "TIFF", icc_profile=profile))
    np.testing.assert_array_equal(with_profile.rgb, images.load(write(image, "TIFF")).rgb)


# --- Damaged files ------------------------------------------------------------------------


def test_there_are_many_distinct_damaged_files():
    assert len({case.data for case in malformed.CASES.values()}) == len(malformed.CASES) >= 40


@pytest.mark.parametrize("name", malformed.CASES)
def test_damaged_file(name: str, tmp_path: Path):
    case = malformed.CASES[name]
    path = tmp_path / "a file.png"
    path.write_bytes(case.data)
    for source, called in ((case.data, "<bytes>"), (path, str(path)), (io.BytesIO(case.data), "<stream>")):
        with pytest.raises(ImageError, match=case.says) as caught:
            images.load(source)
        message = str(caught.value)
        assert message.startswith(f"{called}: ")
        assert re.search(r"; (or )?(give|save|export|download|convert|make|run|unpack|develop|the file is)", message)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_truncated_file_is_an_error_or_shows_everything(kind: str):
    """What is missing may be metadata after the pixels, or a checksum's last byte, but never pixels."""
    data = valid(kind)
    whole = images.load(data).content_hash
    complete = 0
    for end in [*range(0, len(data) - 30, 11), *range(len(data) - 30, len(data))]:
        try:
            picture = images.load(data[:end])
        except ImageError:
            continue
        assert picture.content_hash == whole
        complete += 1
    assert complete <= 4


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "TIFF"])
def test_flipped_bytes_give_a_picture_or_an_image_error(kind: str):
    data, dice = valid(kind), random.Random(kind)
    refused = 0
    for _ in range(120):
        damaged = bytearray(data)
        for _ in range(3):
            damaged[dice.randrange(len(data))] = dice.randrange(256)
        for read in (images.load, images.read_recipe):
            try:
                read(bytes(damaged))
            except ImageError:
                refused += 1
    assert refused > 0


def test_no_warnings_and_the_filters_stay(tmp_path: Path):
    """Every decoder warning is an error here, so one leak fails; and threads must not leave filters behind."""
    apng = png((1, 1), bytes(4), extra=chunk(b"acTL", bytes(8)))  # "Invalid APNG"
    directory = tiff({256: (4,), 257: (4,), 258: (8,), 262: (1,), 700: (1, 2, 3, 4)}, bytes(16))
    outside = directory.replace(struct.pack("<HHI", 700, 3, 4), struct.pack("<HHI", 700, 1, 10**6))
    for data in (apng, outside):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            Image.open(io.BytesIO(data)).load()
        assert seen  # Pillow warns, or this test shows nothing
        assert images.load(data).rgb.max() == 0
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(images.load, [outside, apng, valid("JPEG"), valid("WebP")] * 20))
    assert warnings.filters == before


# --- Sources ------------------------------------------------------------------------------


def test_every_kind_of_source_gives_the_same(tmp_path: Path):
    path = tmp_path / "sea.png"
    path.write_bytes(valid("PNG"))
    stream = io.BytesIO(valid("PNG"))
    stream.seek(7)  # read from its start all the same
    with path.open("rb") as file, Image.open(path) as image:
        pictures = [images.load(source) for source in (path, str(path), valid("PNG"), stream, file, gradient(), image)]
        assert pictures[4].source == str(path)
    assert [picture.source for picture in pictures[:4]] == [str(path), str(path), "<bytes>", "<stream>"]
    assert len({picture.content_hash for picture in pictures}) == 1


def test_missing_and_odd_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for source, says in [
        (tmp_path / "none.png", "there is no such file; check the name"),
        (tmp_path / "no" / "none.png", "there is no such file"),
        (tmp_path, "is a folder; give a picture file"),
        ("", "<empty path>: give the name of a picture"),
        ("a\0b.png", "cannot be read: .*; check the path"),
        ("x" * 5000, "cannot be read: .*; check the path"),
        ("https://example.com/sea.jpg", "is a web address; download"),
        ("/dev/zero", "is a device"),
    ]:
        for read in (images.load, images.read_recipe):
            with pytest.raises(ImageError, match=says) as caught:
                read(source)
            assert str(caught.value).startswith(str(source) or "<empty path>")
    (tmp_path / "sea.png").write_bytes(valid("PNG"))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # the tests may run as a user whom no mode stops
    with pytest.raises(ImageError, match=r"sea\.png: no permission to read it; change its mode"):
        images.load(tmp_path / "sea.png")


def test_a_pipe_can_be_read(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(valid("PNG")))
    writer.start()
    picture = images.load(pipe)
    writer.join()
    np.testing.assert_array_equal(levels(picture), gradient())


def test_text_and_closed_streams(tmp_path: Path):
    (tmp_path / "sea.png").write_bytes(b"plain text")
    with (tmp_path / "sea.png").open() as file, pytest.raises(ImageError, match=r"sea\.png: .*binary mode"):
        images.load(file)  # pyright: ignore[reportArgumentType]
    closed = io.BytesIO(valid("PNG"))
    closed.close()
    with pytest.raises(ImageError, match="<stream>: cannot be read"):
        images.load(closed)


@pytest.mark.parametrize(
    ("array", "wanted"),
    [
        (np.array([[0, 51, 255]], np.uint8), [[[0] * 3, [0.2] * 3, [1] * 3]]),
        (np.array([[[0.25]]]), [[[0.25] * 3]]),
        (np.array([[[0.1, 0.2, 0.3]]], np.float16), [[[0.1, 0.2, 0.3]]]),
        (np.array([[[0.1, 1 + 1e-6, -1e-6]]]), [[[0.1, 1, 0]]]),
    ],
)
def test_arrays(array: np.ndarray, wanted: list):
    picture = images.load(array)
    np.testing.assert_allclose(picture.rgb, wanted, atol=1e-3)
    assert picture.rgb.min() >= 0
    assert picture.rgb.max() <= 1
    assert (picture.rgb.dtype, picture.alpha, picture.source) == (np.float32, None, "<array>")


def test_array_of_four_channels_has_alpha():
    picture = images.load(np.array([[[10, 20, 30, 51]]], np.uint8))
    assert picture.alpha is not None
    np.testing.assert_allclose(picture.alpha, [[0.2]])
    assert levels(picture).tolist() == [[[10, 20, 30]]]


def test_a_picture_is_its_own_and_cannot_be_changed():
    array = np.full((3, 4, 4), 0.5, np.float32)
    picture = images.load(array)
    array[:] = 0
    assert picture.rgb.min() == 0.5
    for plane in (picture.rgb, picture.alpha):
        assert plane is not None
        with pytest.raises(ValueError, match="read-only"):
            plane[0, 0] = 1


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((4, 4, 2)), r"shape \(4, 4, 2\), wanted \(h, w\)"),
        (np.zeros((1, 4, 4, 3)), r"array\[0\]"),
        (np.zeros((3, 8, 8)), "move the channels last"),
        (np.zeros(9), r"shape \(9,\)"),
        (np.zeros((0, 5, 3)), "holds no pixels"),
        (np.zeros((5, 0)), "holds no pixels"),
        (np.zeros((2, 2, 3), np.uint16), "dtype uint16, wanted uint8 or float; .*65535"),
        (np.zeros((2, 2), bool), "dtype bool"),
        (np.zeros((2, 2), complex), "dtype complex128"),
        (np.full((2, 2), "x"), "dtype"),
        (np.full((2, 2, 3), np.nan), "NaN or infinite values; replace"),
        (np.full((2, 2, 3), np.inf), "NaN or infinite"),
        (np.full((2, 2, 3), 255.0), r"from 255 to 255, wanted \[0, 1\]; divide by 255"),
        (np.full((2, 2, 3), -0.01), "from -0.01"),
    ],
)
def test_wrong_arrays(array: np.ndarray, says: str):
    for use in (images.load, images.encode):
        with pytest.raises(ImageError, match=f"^<array>: .*{says}"):
            use(array)


def test_is_image_file(tmp_path: Path):
    for name in ("a.JPG", "b.heic", "c.txt", "._a.jpg", "d.png.part"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    found = sorted(path.name for path in tmp_path.iterdir() if images.is_image_file(path))
    assert found == ["a.JPG", "b.heic"]
    assert not images.is_image_file(str(tmp_path / "missing.png"))
    assert {suffix for suffix, _, _ in FORMATS.values()} <= set(images.SUPPORTED_SUFFIXES)


# --- Limits -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
def test_the_limit_is_checked_before_decoding(kind: str, monkeypatch: pytest.MonkeyPatch):
    data, pixels = valid(kind), 23 * 37
    assert images.load(data, max_pixels=pixels).width == 37

    def decode(*_: object) -> None:
        pytest.fail("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    monkeypatch.setattr(ImageFile.ImageFile, "load_prepare", decode)
    monkeypatch.setattr(TiffImagePlugin.TiffImageFile, "load", decode)
    with pytest.raises(ImageError, match=f"<bytes>: has 37 x 23 = 851 pixels.*limit of {pixels - 1};.*--max-pixels"):
        images.load(data, max_pixels=pixels - 1)


@pytest.mark.parametrize("source", [gradient(), gradient()[..., 0], Image.fromarray(gradient())])
def test_the_limit_holds_in_memory_too(source: np.ndarray | Image.Image):
    with pytest.raises(ImageError, match="37 x 23 = 851 pixels, over the limit of 850"):
        images.load(source, max_pixels=850)


@pytest.mark.parametrize("limit", [0, None, 10**9])
@pytest.mark.parametrize("kind", FORMATS)
def test_no_limit_lifts_pillows_own(kind: str, limit: int | None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert images.load(valid(kind), max_pixels=limit).width == 37
    assert images.read_recipe(valid(kind)) is None
    assert Image.MAX_IMAGE_PIXELS == 100
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: images.load(valid("TIFF"), max_pixels=limit), range(40)))
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize("limit", [-1, True])
def test_senseless_limits(limit: int):
    with pytest.raises(ConfigError, match="--max-pixels is .*must be a whole number"):
        images.load(valid("PNG"), max_pixels=limit)


# --- Hash ---------------------------------------------------------------------------------


def test_content_hash_is_of_pixels_and_shape():
    picture = images.load(gradient())
    same = [write(Image.fromarray(gradient()), kind) for kind in ("PNG", "TIFF", "BMP")]
    assert {images.load(data).content_hash for data in same} == {picture.content_hash}
    flat = np.arange(48, dtype=np.uint8)
    others = [
        images.load(array).content_hash
        for array in (
            flat.reshape(2, 8, 3),
            flat.reshape(8, 2, 3),
            flat.reshape(4, 4, 3),
            flat.reshape(4, 3, 4),
            np.stack([flat.reshape(4, 4, 3)[..., c] for c in (0, 1, 2, 2)], axis=-1),
        )
    ]
    assert len(set(others)) == len(others)
    assert re.fullmatch(r"[0-9a-f]{64}", picture.content_hash)
    nudged = images.load(gradient() / 255 * (1 - 1e-4))
    assert nudged.content_hash != picture.content_hash


# --- Resizing -----------------------------------------------------------------------------


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 90), st.booleans())
@settings(deadline=None)
def test_resized_sizes(height: int, width: int, long_side: int, enlarge: bool):
    picture = images.load(np.full((height, width, 3), 0.3))
    resized = images.resize(picture, long_side=long_side, enlarge=enlarge)
    if max(height, width) <= long_side and not enlarge:
        assert resized is picture
        return
    scale = long_side / max(height, width)
    assert max(resized.height, resized.width) == long_side
    assert abs(resized.height - max(1, height * scale)) <= 0.5 + 1e-9
    assert abs(resized.width - max(1, width * scale)) <= 0.5 + 1e-9
    np.testing.assert_allclose(resized.rgb, 0.3, atol=1e-5)


def test_extreme_aspects_keep_a_pixel():
    resized = images.resize(images.load(np.zeros((1, 5000))), long_side=10)
    assert resized.rgb.shape == (1, 10, 3)


def lanczos(signal: np.ndarray, size: int) -> np.ndarray:
    """Resamples the first axis by Lanczos with a = 3, widened for reduction; independent, in float64."""
    scale = len(signal) / size
    widen = max(scale, 1.0)
    rows = []
    for index in range(size):
        center = (index + 0.5) * scale
        low, high = max(0, int(center - 3 * widen + 0.5)), min(len(signal), int(center + 3 * widen + 0.5))
        offset = (np.arange(low, high) + 0.5 - center) / widen
        weights = np.sinc(offset) * np.sinc(offset / 3) * (np.abs(offset) < 3)
        rows.append(np.tensordot(weights / weights.sum(), signal[low:high], 1))
    return np.stack(rows)


@pytest.mark.parametrize("long_side", [7, 20, 39, 80])
def test_resizing_is_lanczos(long_side: int):
    rgb = 0.3 + 0.4 * np.random.default_rng(0).random((25, 40, 3))
    resized = images.resize(images.load(rgb), long_side=long_side, enlarge=True)
    wanted = lanczos(lanczos(rgb, resized.height).swapaxes(0, 1), resized.width).swapaxes(0, 1)
    np.testing.assert_allclose(resized.rgb, np.clip(wanted, 0, 1), atol=1e-5)


@pytest.mark.parametrize("long_side", [5, 90])
def test_hidden_colors_do_not_bleed(long_side: int):
    rgba = np.zeros((31, 40, 4))
    rgba[:, :20] = (0, 0, 1, 1)
    rgba[:, 20:] = (1, 0, 0, 0)  # red, but transparent
    resized = images.resize(images.load(rgba), long_side=long_side, enlarge=True)
    assert resized.alpha is not None
    visible = resized.alpha > 0.01
    np.testing.assert_allclose(resized.rgb[visible], np.broadcast_to([0, 0, 1], (visible.sum(), 3)), atol=1e-4)
    assert 0 < visible.mean() < 1
    assert resized.alpha.min() >= 0
    assert resized.alpha.max() <= 1


def test_resizing_clips_its_overshoot():
    checks = np.kron(np.indices((6, 6)).sum(axis=0) % 2, np.ones((9, 9)))
    resized = images.resize(images.load(checks), long_side=37)
    assert (resized.rgb.min(), resized.rgb.max()) == (0, 1)


@pytest.mark.parametrize("long_side", [0, -3, True])
def test_senseless_long_sides(long_side: int):
    with pytest.raises(ConfigError, match="long side is .*at least 1"):
        images.resize(images.load(gradient()), long_side=long_side)


def test_flatten():
    picture = images.load(np.array([[[1, 0, 0, 0.25], [0, 1, 0, 1]]]))
    np.testing.assert_allclose(images.flatten(picture).rgb, [[[1, 0.75, 0.75], [0, 1, 0]]])
    np.testing.assert_allclose(images.flatten(picture, background=(0.0, 0.0, 0.0)).rgb, [[[0.25, 0, 0], [0, 1, 0]]])
    assert images.flatten(picture).alpha is None
    opaque = images.load(gradient())
    assert images.flatten(opaque) is opaque


# --- Writing ------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["png", "tiff", "tif", ".PNG"])
def test_lossless_writing_is_exact_with_alpha(format: str):
    alpha = gradient()[..., 2] / np.float32(255)
    data = images.encode(gradient() / np.float32(255), alpha, format=format)
    picture = images.load(data)
    np.testing.assert_array_equal(levels(picture), gradient())
    np.testing.assert_array_equal(picture.alpha, alpha)


@pytest.mark.parametrize("format", ["jpeg", "jpg", "webp"])
def test_lossy_writing_is_close(format: str):
    picture = images.load(images.encode(gradient(), format=format))
    assert np.abs(levels(picture) - gradient()).mean() < 3


def test_webp_keeps_alpha_exactly():
    alpha = gradient()[..., 2]
    picture = images.load(images.encode(gradient(), alpha, format="webp"))
    np.testing.assert_array_equal(picture.alpha, alpha / np.float32(255))


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff"])
def test_the_same_input_gives_the_same_bytes(format: str):
    recipe = {"styles": ["sea", "wave"], "weights": [0.3, 0.7]}
    first, second = (images.encode(gradient(), format=format, recipe=recipe) for _ in range(2))
    assert first == second


def test_jpeg_lays_transparency_over_white():
    rgb, alpha = np.zeros((16, 16, 3)), np.zeros((16, 16))
    alpha[:, 8:] = 1
    picture = images.load(images.encode(rgb, alpha, format="jpeg", quality=100))
    np.testing.assert_allclose(levels(picture)[:, :7], 255, atol=2)
    np.testing.assert_allclose(levels(picture)[:, 9:], 0, atol=2)


def test_jpeg_keeps_colors_at_full_resolution_and_heeds_quality():
    data = images.encode(gradient(), format="jpeg")
    image = Image.open(io.BytesIO(data))
    assert isinstance(image, JpegImagePlugin.JpegImageFile)
    assert JpegImagePlugin.get_sampling(image) == 0
    assert len(images.encode(gradient(), format="jpeg", quality=20)) < len(data)
    assert len(images.encode(gradient(), format="webp", quality=20)) < len(images.encode(gradient(), format="webp"))


def test_opacity_in_four_channels_or_apart():
    alpha = gradient()[..., 2]
    together = np.concatenate([gradient(), alpha[..., None]], axis=-1)
    assert images.encode(together) == images.encode(gradient(), alpha)
    assert images.encode(gradient(), np.ones(alpha.shape)) == images.encode(gradient())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"format": "gif"}, r"cannot write the format 'gif'; use one of \.png, \.jpg"),
        ({"format": ""}, "cannot write the format ''"),
        ({"alpha": np.ones((2, 2))}, r"opacity has shape \(2, 2\), wanted \(23, 37\); resize"),
        ({"alpha": np.full((23, 37), 2.0)}, r"\(opacity\): has float values from 2"),
        ({"recipe": {"loss": float("nan")}}, "recipe cannot be written as JSON: .*; keep to text"),
        ({"recipe": {"path": Path()}}, "recipe cannot be written as JSON: .*Path"),
        ({"recipe": {"long": "x" * 70_000}, "format": "jpeg"}, "takes .* bytes and JPEG holds 65,533; save as PNG"),
    ],
)  # fmt: skip
def test_what_cannot_be_written(arguments: dict, says: str):
    with pytest.raises(ImageError, match=says):
        images.encode(gradient(), **arguments)


@pytest.mark.parametrize(("format", "side"), [("webp", 16384), ("jpeg", 65501)])
def test_sides_too_long_for_a_format(format: str, side: int):
    with pytest.raises(
        ImageError, match=rf"is {side} x 1, but \w+ holds at most {side - 1} pixels a side; save as PNG"
    ):
        images.encode(np.zeros((1, side), np.uint8), format=format)
    assert images.load(images.encode(np.zeros((1, side - 1), np.uint8), format=format)).width == side - 1


@pytest.mark.parametrize("quality", [0, 101, True])
def test_senseless_quality(quality: int):
    with pytest.raises(ConfigError, match="quality is .*from 1 to 100"):
        images.encode(gradient(), quality=quality)


# --- Recipes ------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff"])
@given(recipe=st.dictionaries(st.text(), JSON, max_size=6))
@example(recipe={})
@example(recipe={"wctstyle": {"wctstyle": None}})
@example(recipe={"styles": ["浮世絵 \U0001f30a.jpg", '\ud800 \0 \\ " }'], "": [[]]})
@settings(max_examples=40, deadline=None)
def test_recipes_come_back(format: str, recipe: dict):
    rgb = np.full((2, 3, 3), 0.5)
    data = images.encode(rgb, format=format, recipe=recipe)
    assert images.read_recipe(data) == recipe
    np.testing.assert_array_equal(images.load(data).rgb, images.load(images.encode(rgb, format=format)).rgb)


def test_recipes_are_where_the_documentation_says():
    recipe = {"strength": np.float32(0.5), "n": np.int64(3)}
    plain = {"strength": 0.5, "n": 3}
    opened = {form: Image.open(io.BytesIO(images.encode(gradient(), format=form, recipe=recipe))) for form in WRITERS}
    assert json.loads(opened["PNG"].info["wctstyle"]) == plain
    assert json.loads(opened["TIFF"].getexif()[int(ExifTags.Base.ImageDescription)]) == {"wctstyle": plain}
    for form in ("JPEG", "WEBP"):
        comment = opened[form].getexif().get_ifd(ExifTags.IFD.Exif)[int(ExifTags.Base.UserComment)]
        assert comment[:8] == b"ASCII\0\0\0"
        assert json.loads(comment[8:]) == {"wctstyle": plain}


@pytest.mark.parametrize("kind", FORMATS)
def test_no_recipe_is_none(kind: str):
    assert images.read_recipe(valid(kind)) is None


def test_comments_of_other_programs_are_no_recipe():
    for comment in (b"ASCII\0\0\0hello", b"UNICODE\0h\0i\0", b"", b"\xff\xfe", b'ASCII\0\0\0{"a": 1}'):
        exif = Image.Exif()
        exif[int(ExifTags.Base.ImageDescription)] = "A beach"
        exif.get_ifd(ExifTags.IFD.Exif)[int(ExifTags.Base.UserComment)] = comment
        assert images.read_recipe(write(Image.fromarray(gradient()), "JPEG", exif=exif)) is None
    assert images.read_recipe(write(Image.fromarray(gradient()), "WEBP", exif=b"Exif\0\0broken")) is None


@pytest.mark.parametrize("text", ["{", "[1]", "null", "[" * 100_000, '{"a": ' + "9" * 5000 + "}"])
def test_damaged_recipes(text: str):
    data = png((1, 1), bytes(4), extra=chunk(b"iTXt", b"wctstyle\0\0\0\0\0" + text.encode()))
    with pytest.raises(ImageError, match="<bytes>: its wctstyle recipe is damaged: .*; take it from another copy"):
        images.read_recipe(data)
    assert images.load(data).width == 1


def test_recipe_of_no_picture():
    with pytest.raises(ImageError, match="<bytes>: is text"):
        images.read_recipe(b"no picture")


# --- Saving -------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"])
def test_the_suffix_chooses_the_format(suffix: str, tmp_path: Path):
    path = images.save(tmp_path / f"out{suffix}", gradient(), recipe={"a": 1})
    assert path == tmp_path / f"out{suffix}"
    wanted = {".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF"}.get(suffix, suffix[1:].upper())
    with Image.open(path) as image:
        assert image.format == wanted
    assert images.read_recipe(path) == {"a": 1}
    assert os.listdir(tmp_path) == [path.name]


def test_where_nothing_can_be_saved(tmp_path: Path):
    (tmp_path / "folder.png").mkdir()
    for path, says in [
        (tmp_path / "out.bmp", r"out\.bmp: cannot save with the suffix '\.bmp'; use one of \.png, \.jpg"),
        (tmp_path / "out", "cannot save with the suffix ''"),
        (tmp_path / "no" / "out.png", r"out\.png: there is no folder .*; make it first"),
        (tmp_path / "folder.png", "is a folder, cannot be written"),
        (tmp_path / ("x" * 300 + ".png"), "cannot be written: .*save elsewhere"),
        (tmp_path / "a\0b.png", "cannot be written: .*null"),
    ]:  # fmt: skip
        with pytest.raises(ImageError, match=says):
            images.save(path, gradient())
    assert os.listdir(tmp_path) == ["folder.png"]
    with pytest.raises(ImageError, match=r"nan\.png: has NaN"):
        images.save(tmp_path / "nan.png", np.full((2, 2), np.nan))


@pytest.mark.parametrize(("owner", "method"), [(PngRows, "end"), (os, "fsync"), (os, "replace"), (Path, "open")])
@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_save_leaves_the_old_file_alone(
    owner: object, method: str, failure: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = images.save(tmp_path / "out.png", gradient())
    before = path.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise failure

    with monkeypatch.context() as patch:
        patch.setattr(owner, method, fail)
        wanted = ImageError if isinstance(failure, OSError) else KeyboardInterrupt
        with pytest.raises(wanted) as caught:
            images.save(path, 255 - gradient())
    if wanted is ImageError:
        assert re.match(r".*out\.png: cannot be written.*No space left.*; ", str(caught.value))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["out.png"]


def test_an_interrupt_in_mid_write_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen = []

    def interrupt(_: int) -> None:
        seen.extend(os.listdir(tmp_path))
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        images.save(tmp_path / "out.png", gradient())
    assert len(seen) == 1  # it was there, beside the target
    assert os.listdir(tmp_path) == []


def test_saving_keeps_modes_and_links(tmp_path: Path):
    path = images.save(tmp_path / "out.png", gradient())
    path.chmod(0o640)
    link = tmp_path / "link.png"
    link.symlink_to("out.png")
    images.save(link, 255 - gradient())
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    np.testing.assert_array_equal(levels(images.load(path)), 255 - gradient())
    plain = tmp_path / "plain.txt"
    plain.touch()
    fresh = images.save(tmp_path / "fresh.png", gradient())
    assert fresh.stat().st_mode == plain.stat().st_mode


def test_heic_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    data = valid("HEIC")
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    with pytest.raises(ImageError, match="cannot decode this HEIC: .*pip install pillow-heif"):
        images.load(data)


@pytest.mark.parametrize("size", [(1, 1), (37, 5), (300, 200)], ids=str)
@pytest.mark.parametrize(
    "options",
    [{"lossless": True}, {"quality": 50}, {"quality": 50, "exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"}],
    ids=str,
)
def test_the_size_of_a_webp_is_known_before_it_is_opened(size: tuple[int, int], options: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 30, 60)).save(buffer, "WebP", **options)
    head = buffer.getvalue()[:30]
    assert webp_size(head) == size
    assert webp_size(head[:29]) is None
