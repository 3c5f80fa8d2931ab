"""Photorealistic maps, and lookup tables of colours."""

import numpy as np
import pytest
from narrow import NARROW, picture, quick_compilation, random_tensors

from wctstyle import color, images, lut, photoreal
from wctstyle.encoder import MODELS
from wctstyle.errors import ConfigError
from wctstyle.grading import graded_photo
from wctstyle.regions import Region
from wctstyle.settings import Settings
from wctstyle.stylizer import Stylizer


@pytest.fixture(scope="module")
def photo():
    return 0.1 + 0.8 * picture(96, 128, seed=4)


def graded(rgb):
    """A grade that a table can hold: channels mixed, lifted and bent."""
    mixed = rgb @ np.array([[0.8, 0.1, 0.0], [0.1, 0.7, 0.2], [0.0, 0.1, 0.6]], np.float32) + 0.1
    return np.clip(mixed**1.2, 0, 1).astype(np.float32)


def mapped(local, rgb):
    """Apply one map to all of a picture."""
    height, width = rgb.shape[:2]
    return photoreal.graded(rgb, [local.widened(width)], [None], slice(0, height), height)


# ------------------------------------------------------------------------------------------------------ local maps


def test_the_photo_itself_is_left_as_it_is(photo):
    np.testing.assert_allclose(mapped(photoreal.fit(photo, photo), photo), photo, atol=1e-4)


def test_an_affine_change_of_colours_is_found_again_at_any_size(photo):
    matrix = np.array([[0.7, 0.1, 0.0], [0.1, 0.6, 0.1], [0.0, 0.1, 0.8]], np.float32)
    goal = photo @ matrix + 0.05
    local = photoreal.fit(photo, goal)
    np.testing.assert_allclose(mapped(local, photo), goal, atol=0.02)
    large = images.resize_planes(photo, height=288, width=384)
    np.testing.assert_allclose(mapped(local, large), np.clip(large @ matrix + 0.05, 0, 1), atol=0.02)


def test_light_that_changes_over_the_picture_is_followed(photo):
    dusk = np.linspace(1.0, 0.4, 128, dtype=np.float32)[None, :, None]
    found = mapped(photoreal.fit(photo, photo * dusk), photo)
    alone = color.with_colors(photo, color.colors_of(photo * dusk))
    assert np.abs(found - photo * dusk).mean() < 0.4 * np.abs(alone - photo * dusk).mean()


def test_strokes_are_not_followed(photo):
    strokes = photo + 0.2 * np.sign(np.sin(np.arange(128) * 1.5))[None, :, None]
    flat = np.full_like(photo, 0.5)
    found = mapped(photoreal.fit(flat, np.clip(0.5 + strokes - photo, 0, 1).astype(np.float32)), flat)
    assert np.abs(np.diff(found, axis=1)).max() < 0.01  # 0.4 in the strokes


def test_grain_of_a_plain_place_is_not_raised_and_fog_is_lifted(photo):
    rng, dark = np.random.default_rng(0), photo.copy()
    dark[:, 64:] = 0.1 + 0.02 * rng.standard_normal((96, 64, 1)).astype(np.float32)
    strokes = dark.copy()
    strokes[:, 64:] += 0.1 * rng.standard_normal((96, 64, 3)).astype(np.float32)
    found = mapped(photoreal.fit(dark, strokes), dark)[:, 90:]
    assert found.std() < 1.4 * dark[:, 90:].std() < 0.5 * strokes[:, 90:].std()
    foggy = 0.4 + 0.5 * photo
    np.testing.assert_allclose(mapped(photoreal.fit(foggy, photo), foggy), photo, atol=0.03)


def test_a_strip_more_or_less_shows_no_seam(photo, monkeypatch):
    local = photoreal.fit(photo, graded(photo))
    large = images.resize_planes(photo, height=200, width=150)
    whole = mapped(local, large)
    monkeypatch.setattr(photoreal, "STRIP", 7)
    np.testing.assert_array_equal(mapped(local, large), whole)


def test_what_does_not_count_changes_nothing(photo):
    left = np.zeros((96, 128), np.float32)
    left[:, :64] = 1
    other = graded(photo)
    other[:, 64:] = 1 - other[:, 64:]
    want = mapped(photoreal.fit(photo[:, :64], graded(photo)[:, :64]), photo[:, :64])
    found = mapped(photoreal.fit(photo, other, left), photo)[:, :64]
    assert np.abs(found - want).mean() < 0.02


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2)])
def test_tiny_pictures_have_maps_too(shape):
    rgb = picture(*shape, seed=1)
    assert np.isfinite(mapped(photoreal.fit(rgb, 1 - rgb), rgb)).all()


# --------------------------------------------------------------------------------------------------- the stylizer


@pytest.fixture(scope="module")
def stylizer():
    with quick_compilation(), pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "slim", NARROW)
        yield Stylizer("slim", tensors=random_tensors())


@pytest.fixture(scope="module")
def style():
    return picture(64, 64, seed=2) ** 2


def test_a_photo_in_a_style_is_the_local_map_of_its_painting(stylizer, photo, style):
    painted = stylizer.stylize(photo, style, Settings(texture=0, keep_faces=0)).image
    found = stylizer.stylize(photo, style, Settings(photo=True, detail=1.0)).image
    np.testing.assert_allclose(found, mapped(photoreal.fit(photo, painted), photo), atol=1e-4)


def test_a_large_photo_has_the_map_of_a_small_one(stylizer, photo, style):
    large = images.resize_planes(photo, height=768, width=1024)
    settings = Settings(photo=True, look=128)
    found = stylizer.stylize(large, images.resize_planes(style, height=512, width=512), settings).image
    assert found.shape == large.shape
    small = stylizer.stylize(photo, style, settings).image
    assert np.abs(images.resize_planes(found, height=96, width=128) - small).mean() < 0.02


def test_strength_0_and_what_is_outside_of_regions_are_the_photo(stylizer, photo, style):
    np.testing.assert_allclose(stylizer.stylize(photo, style, Settings(photo=True, strength=0)).image, photo, atol=1e-5)
    left = np.zeros(photo.shape[:2], np.float32)
    left[:, :64] = 1
    found = stylizer.stylize(photo, [Region(left, style)], Settings(photo=True)).image
    np.testing.assert_allclose(found[:, 66:], photo[:, 66:], atol=1e-5)
    assert np.abs(found - photo)[:, :60].mean() > 0.02


def test_a_soft_border_of_a_region_follows_the_edge_in_the_photo(stylizer, style):
    """A dark hill before a plain sky: no rim of the old sky stays above the hill, and the hill is left as it is."""
    from wctstyle.regions import softened

    sky = np.zeros((96, 128), np.float32)
    sky[:48] = 1
    photo = np.where(sky[..., None] > 0, np.float32(0.7), np.float32(0.2)) + 0.01 * picture(96, 128, seed=3)
    soft = softened(sky, 1.28)  # as by default
    graded = stylizer.stylize(photo, [Region(soft, style)], Settings(photo=True)).image - photo
    change = np.abs(graded).mean(axis=(1, 2))
    assert change[47] > 0.8 * change[30]  # 0.65 without
    assert change[48] < 0.2 * change[30]
    video = graded_photo(photo, np.array([local.planes for local in stylizer.local_maps(photo, [Region(soft, style)],
        Settings(photo=True))]), [Region(soft, style)], Settings(photo=True))  # fmt: skip
    np.testing.assert_allclose(video, photo + graded, atol=2e-3)


def test_colors_are_those_asked_for(stylizer, photo, style):
    plain = stylizer.stylize(photo, style, Settings(photo=True)).image
    own = stylizer.stylize(photo, style, Settings(photo=True, colors="photo")).image
    np.testing.assert_allclose(own, color.original_colors(plain, photo), atol=1e-4)


def test_what_is_hidden_does_not_count(stylizer, photo, style):
    alpha = np.zeros(photo.shape[:2], np.float32)
    alpha[:, :64] = 1
    seen = images.Picture(photo, alpha)
    other = images.Picture(np.where(alpha[..., None] > 0, photo, 1 - photo).astype(np.float32), alpha)
    one, two = (stylizer.stylize(each, style, Settings(photo=True)).image for each in (seen, other))
    np.testing.assert_array_equal(one[:, :64], two[:, :64])


def test_there_is_nothing_to_refine(stylizer):
    with pytest.raises(ConfigError, match="refine is 2, and with photo nothing is painted; give 0 steps"):
        Settings(photo=True, refine=2)
    with pytest.raises(ConfigError, match="photo is 1, must be True or False"):
        Settings(photo=1)  # pyright: ignore


# ---------------------------------------------------------------------------------------------------------- tables


def test_a_table_learns_a_grade_and_is_the_same_from_a_file(photo, tmp_path):
    table = lut.fit(photo, graded(photo))
    assert np.abs(table(photo) - graded(photo)).mean() < 0.005
    table.write(tmp_path / "look.cube", 'a "title"')
    again = lut.read(tmp_path / "look.cube")
    np.testing.assert_allclose(again.table, table.table, atol=1e-6)
    head = (tmp_path / "look.cube").read_text().splitlines()
    assert head[:2] == ['TITLE "a title"', "LUT_3D_SIZE 33"]
    assert head[4 + 1] == " ".join(f"{v:.6f}" for v in table.table[1, 0, 0])  # red is fastest


@pytest.fixture
def cube(photo, tmp_path):
    """A file of a table, a picture of 8 bits, and what the table makes of it."""
    lut.fit(photo, graded(photo)).write(tmp_path / "look.cube")
    levels = np.rint(photo * 255).astype(np.uint8)
    return tmp_path / "look.cube", levels, lut.read(tmp_path / "look.cube")(levels.astype(np.float32) / 255)


def test_pillow_makes_the_same_picture_of_the_file(cube):
    from PIL import Image, ImageFilter

    path, levels, own = cube
    lines = [line.split() for line in path.read_text().splitlines()]
    (size,) = (int(words[1]) for words in lines if words[0] == "LUT_3D_SIZE")
    entries = [tuple(map(float, words)) for words in lines if words[0][0].isdigit()]
    theirs = Image.fromarray(levels).filter(ImageFilter.Color3DLUT(size, entries))
    assert np.abs(np.asarray(theirs) / 255 - own).max() <= 1 / 255


def test_ffmpeg_makes_the_same_picture_of_the_file(cube):
    av = pytest.importorskip("av", reason="PyAV is not installed: pip install '.[video]'")
    if "lut3d" not in av.filter.filters_available:
        pytest.skip("this build of FFmpeg has no lut3d")
    path, levels, own = cube
    graph = av.filter.Graph()
    source = graph.add_buffer(width=128, height=96, format="rgb24", time_base="1/25")
    table = graph.add("lut3d", file=str(path), interp="trilinear")
    sink = graph.add("buffersink")
    source.link_to(table)
    table.link_to(sink)
    graph.configure()
    frame = av.VideoFrame.from_ndarray(levels, format="rgb24")
    frame.pts = 0
    graph.push(frame)
    theirs = graph.pull().reformat(format="rgb24").to_ndarray()
    assert np.abs(theirs / 255 - own).max() <= 1 / 255


def test_colours_that_the_photo_lacks_stay_in_order(photo):
    table = lut.fit(0.4 + 0.2 * photo, 0.3 + 0.2 * photo).table
    greys = table[np.arange(33), np.arange(33), np.arange(33)].mean(axis=1)
    assert (np.diff(greys) > -1e-3).all()
    assert np.isfinite(table).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no .cube file with a table of 2 to 129 points"),
        ("LUT_3D_SIZE 2\n0 0 0\n", "has 1 colors, and a table of 2 points has 8"),
        ("LUT_3D_SIZE two\n", "line 1: 'LUT_3D_SIZE two' makes no sense"),
        ("LUT_3D_SIZE 2\n0 0\n", "line 2: '0 0' makes no sense"),
        ("LUT_1D_SIZE 16\n", "line 1: is a table of one dimension"),
        ("LUT_3D_SIZE 2\nDOMAIN_MAX 2 2 2\n", "line 2: colors of a table here go from 0 to 1"),
        ("LUT_3D_SIZE 2\n" + 8 * "nan 0 0\n", "colors that are no finite numbers"),
        ("LUT_3D_SIZE 9999\n", "2 to 129 points"),
    ],
)
def test_what_is_no_table_is_told(tmp_path, text, message):
    path = tmp_path / "look.cube"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        lut.read(path)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ConfigError, match="gone.cube: cannot be read"):
        lut.read(tmp_path / "gone.cube")
