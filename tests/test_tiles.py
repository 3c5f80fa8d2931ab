"""Pictures of any size: tiles that together are the whole, files in 16 bits and row by row, profiles that are kept."""

import contextlib
import errno
import io
import itertools
import sys

import jax.numpy as jnp
import malformed
import numpy as np
import pytest
import tifffile
from feature_strategies import law
from hypothesis import given
from hypothesis import strategies as st
from narrow import NARROW, picture, quick_compilation, random_tensors
from PIL import Image
from scipy.ndimage import gaussian_filter

from wctstyle import fitting, grading, images, inputs, large, look, refining, repainting
from wctstyle.batch import Batch, Setup
from wctstyle.encoder import CELL, MODELS, ModelConfig
from wctstyle.errors import ImageError
from wctstyle.images import raster as rasters
from wctstyle.images import rows as row_files
from wctstyle.images.color_spaces import cicp_profile
from wctstyle.moments import Moments, measure, pool
from wctstyle.optimizer import Optimizer, OptimizeSettings, memory, tiled
from wctstyle.optimizer.objective import moved_targets, moves_to_target
from wctstyle.regions import Region, Style
from wctstyle.rendering import Renderer
from wctstyle.settings import FINE_SIDE, LARGEST_SIDE, MAX_SIDE, Settings
from wctstyle.sizes import padded_side
from wctstyle.stylizer import Stylizer
from wctstyle.tiles import Faded, Tiling, decoder_reach, encoder_reach, faded, spans

P3 = cicp_profile(12, 13)
"""Of Display P3."""

SMALL = {"look": 128, "keep_faces": 0.0}
HEIGHT, WIDTH = 400, 333
TILING = Tiling(256, 128, sys.maxsize)


@pytest.fixture(scope="module")
def stylizers():
    """One that paints such pictures in one piece, and one that cuts them into tiles."""
    with quick_compilation(), pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "slim", NARROW)
        tensors = random_tensors()
        yield Stylizer("slim", tensors=tensors), Stylizer("slim", tensors=tensors, tiling=TILING)


@pytest.fixture(scope="module")
def photo():
    return images.Raster(np.rint(255 * (0.2 + 0.6 * picture(HEIGHT, WIDTH, seed=1))).astype(np.uint8))


@pytest.fixture(scope="module")
def style():
    return picture(256, 256, seed=2) ** 2


@contextlib.contextmanager
def counted_as_large():
    """Let pictures of a few hundred pixels count as large."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large, "MAX_SIDE", 300)
        patch.setattr(large, "DEFAULT_LOOK", 128)
        patch.setattr(grading, "DEFAULT_LOOK", 128)
        patch.setattr(rasters, "SLAB", 20_000)
        yield


def both(stylizers, content, styles, settings):
    """A picture painted in one piece, and by tiles."""
    wanted = stylizers[0].stylize(content, styles, settings).image
    with counted_as_large():
        got = stylizers[1].stylize(content, styles, settings).image
    return got, wanted


def levels(one, other):
    return float(255 * np.abs(one - other).max())


# ------------------------------------------------------------------------------------------------- the geometry


@law
@given(st.integers(1, LARGEST_SIDE), st.sampled_from([256, 512, 768, 1536]), st.sampled_from([32, 64]))
def test_cores_cover_a_side_and_lie_inside_their_windows(side, tile, halo):
    found, whole = spans(side, tile, halo), padded_side(side)
    assert found[0].core.start == 0
    assert found[-1].core.stop == side
    for span, following in itertools.pairwise(found):
        assert span.core.stop == following.core.start
        assert span.core.stop % CELL == 0
    for window, core in found:
        assert 0 <= window.start <= core.start < core.stop
        assert window.stop <= whole
        assert window.start % CELL == 0
        assert window.start == 0 or core.start - window.start >= halo
        assert window.stop == whole or window.stop - core.stop >= halo
        assert window.stop - window.start == min(whole, tile)


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_a_network_sees_as_far_as_its_table_says(stylizers, part):
    """A changed pixel or code moves nothing beyond the reach, and something in its last cell or the one before."""
    programs = stylizers[0]._programs
    reach = (encoder_reach if part == "encoder" else decoder_reach)(NARROW)
    assert reach == 32
    side, at = 256, 128
    pixels = picture(side, side, seed=4)[None].copy()
    code = np.asarray(programs.encode(pixels, side, side)[0])
    if part == "encoder":
        pixels[:, at : at + CELL, at : at + CELL] = 1 - pixels[:, at : at + CELL, at : at + CELL]
        moved = np.abs(np.asarray(programs.encode(pixels, side, side)[0]) - code).max(axis=(0, 3))
        touched = np.flatnonzero(moved.max(axis=1) > 1e-4) * CELL
    else:
        changed = code.copy()
        changed[:, at // CELL, at // CELL] += 5
        moved = np.abs(programs.decoded(changed) - programs.decoded(code)).max(axis=(0, 3))
        touched = np.flatnonzero(moved.max(axis=1) > 1e-4)
    assert at - reach <= touched.min() <= at - reach + 2 * CELL
    assert at + reach - CELL <= touched.max() < at + CELL + reach


@pytest.mark.parametrize(("width", "tile"), [(16, 1280), (32, 896), (64, 640)])
def test_tiles_of_wider_models_are_smaller(width, tile):
    config = ModelConfig("slim", (width, 32, 64, 128, 256), (16, 32, 64))
    assert Tiling.of(config, (9000, 5000)).tile == tile
    one_piece = 2048 * 16 // width
    assert len(spans(one_piece, Tiling.of(config, (2048, one_piece)).tile, 64)) == 1
    assert len(spans(one_piece + 1, Tiling.of(config, (2048, one_piece + 1)).tile, 64)) == 1 + (one_piece >= tile)


# ----------------------------------------------------------------------------------------- tiles against the whole

HALF = np.zeros((100, 80), np.float32)
HALF[20:60, 10:50] = 1

DIALS = ({}, {"strength": 0.6, "detail": 0.7}, {"strength": 1.4, "color": 0.5}, {"colors": "match"}, {"strength": 0.0})


@pytest.mark.parametrize("dials", DIALS, ids=str)
def test_tiles_are_the_whole(stylizers, photo, style, dials):
    got, wanted = both(stylizers, photo, style, Settings(**{**SMALL, **dials}))
    assert levels(got, wanted) < 0.1
    assert dials.get("strength") == 0 or levels(got, photo.picture().rgb) > 20


def test_tiles_without_a_halo_have_seams(stylizers, photo, style, monkeypatch):
    """What the halo is for."""
    monkeypatch.setattr(repainting, "decoder_reach", lambda config: 0)
    monkeypatch.setattr(repainting, "encoder_reach", lambda config: 0)
    got, wanted = both(stylizers, photo, style, Settings(**SMALL))
    assert levels(got, wanted) > 2


def test_regions_and_their_dials_are_the_whole(stylizers, photo, style):
    other = picture(200, 256, seed=5)
    regions = [Region(HALF, style, strength=0.7, detail=0.5, colors="photo"), Region(None, other)]
    got, wanted = both(stylizers, photo, regions, Settings(**SMALL))
    assert levels(got, wanted) < 0.1
    regions = [Region(HALF, style, colors="only"), Region(None, other, color=0.3)]
    got, wanted = both(stylizers, photo, regions, Settings(**SMALL))
    assert levels(got, wanted) < 0.1


def test_cut_outs_are_the_whole(stylizers, photo, style):
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    alpha = np.clip(255 * 3 * (1 - ((rows - 220) / 150) ** 2 - ((columns - 170) / 130) ** 2), 0, 255).astype(np.uint8)
    cut = images.Raster(photo.pixels, alpha)
    got, wanted = both(stylizers, cut, style, Settings(**SMALL))
    assert levels(got[alpha > 0], wanted[alpha > 0]) < 0.1
    assert (got[:50] == 1).all()  # the border is white


@pytest.mark.parametrize(("side", "times"), [(150, 1), (170, 2)])
def test_a_small_cut_out_on_a_large_canvas_is_painted_once(stylizers, photo, style, monkeypatch, side, times):
    """As on a canvas that just holds it: up to 1.25 times the look, which is 128."""
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    alpha[70 : 70 + side, 40:130] = 255
    alpha[90:110, 60:90] = 128
    regions = [Region(HALF, style, strength=0.7), Region(None, picture(200, 256, seed=5))]
    passes, blended = [], Renderer._blended
    monkeypatch.setattr(
        Renderer, "_blended", lambda self, *args, **more: passes.append(self) or blended(self, *args, **more)
    )
    got, wanted = both(stylizers, images.Raster(photo.pixels, alpha), regions, Settings(**SMALL))
    assert [passes.count(stylizer._renderer) for stylizer in stylizers] == [times, times]
    assert levels(got, wanted) < 1
    assert (got[alpha == 0] == 1).all()


def test_faces_are_the_whole(stylizers, photo, style, monkeypatch):
    def found(rgb):
        down, across = (np.linspace(-1, 1, side)[:, None] for side in rgb.shape[:2])
        return np.clip(1.5 - 10 * (down**2 + across.T**2), 0, 1).astype(np.float32)

    for room in ("codes", "large"):
        monkeypatch.setattr(f"wctstyle.{room}.face_map", found)
    turned = images.Raster(photo.pixels[::-1])  # of which no faces have been looked for
    got, wanted = both(stylizers, turned, style, Settings(look=128, keep_faces=0.8))
    assert levels(got, wanted) < 0.1
    assert levels(got, both(stylizers, turned, style, Settings(**SMALL))[0]) > 5


def test_a_sample_of_pieces_sees_every_region(stylizers, photo, style, monkeypatch):
    corner = np.zeros((25, 20), np.float32)
    corner[20:, 15:] = 1
    seen = []
    sample = repainting.Repainting._sample
    monkeypatch.setattr(repainting.Repainting, "_sample", lambda *args: seen.append(sample(*args)) or seen[-1])
    few = stylizers[1].apart()
    few._tiling = Tiling(256, 128, 4)
    with counted_as_large():
        few.stylize(photo, [Region(corner, style), Region(None, style)], Settings(**SMALL))
    *_, pieces = seen  # the last: the composition has its own
    assert 3 <= len(pieces) <= 4
    assert any(rows.core.stop > 320 and columns.core.stop > 250 for rows, columns in pieces)


@law
@given(st.integers(60, 300), st.integers(20, 200), st.integers(16, 50), st.integers(1, 90))
def test_broad_light_comes_from_the_small_picture_however_rows_come_in(height, width, low, step):
    rng = np.random.default_rng(height)
    image, small = rng.random((height, width, 3), np.float32), rng.random((low, 16, 3), np.float32)
    radius = look.BROAD * max(low, 16)
    apart = small - images.resize_planes(image, height=low, width=16)
    broad = (gaussian_filter(apart, (radius, radius, 0), mode="nearest") + 1) / 2
    wanted = np.clip(image + 2 * images.resize_planes(broad, height=height, width=width) - 1, 0, 1)
    filtered, given, got = look.Broad(small, (height, width)), 0, []
    for top in range(0, height, step):
        final = filtered.feed(image[top : top + step])
        assert given <= final <= top + step
        part = slice(given, final), slice(0, width)
        if final > given:
            got.append(filtered.part(filtered.wide(), image[part], part))
        given = final
    np.testing.assert_allclose(np.concatenate(got), wanted, atol=1e-5)


# ------------------------------------------------------------------------------------------------ refining by tiles

REFINE = {**SMALL, "refine": 3}


@law
@given(st.integers(1, 5000), st.sampled_from([64, 192, 640]), st.sampled_from([16, 31]))
def test_weights_of_overlapping_tiles_add_up_to_one(side, tile, overlap):
    found, total = faded(side, tile, overlap), np.zeros(side)
    assert {span.window.stop - span.window.start for span in found} == {min(side, tile)}
    for window, weights in found:
        assert (weights > 0).all()
        total[window] += weights
    np.testing.assert_allclose(total, 1, atol=1e-5)
    for before, after in itertools.pairwise(found):
        assert before.window.stop - after.window.start >= overlap
        assert max(before.weights[-1], after.weights[0]) < 0.01


@pytest.fixture(scope="module")
def optimizer(stylizers):
    return Optimizer("slim", tensors=random_tensors())


@pytest.fixture
def refiners(stylizers, optimizer, monkeypatch):
    """Both stylizers, with a narrow network to refine by and tiles of 192 pixels for what is refined by tiles."""
    monkeypatch.setattr(refining, "TILE_AREA", 192 * 192 * NARROW.channels[0])
    monkeypatch.setattr(tiled, "OVERLAP", 48)
    for stylizer in stylizers:
        stylizer._optimizer = optimizer
    return stylizers


def refined_by_tiles(stylizer, content, styles, settings=REFINE, **more):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refining, "WHOLE_AREA", 0)
        return stylizer.stylize(content, styles, Settings(**settings), **more).image


def seam(change, window_ends):
    """Steps of a change across the ends of tiles, by those elsewhere."""
    steps = np.abs(np.diff(change, axis=1)).mean(axis=(0, 2))
    at = [end - 1 for end in window_ends]
    return steps[at].mean() / np.delete(steps, at).mean()


def test_tiles_are_refined_as_the_whole_is_and_leave_no_seam(refiners, photo, style, monkeypatch):
    plain, whole = (refiners[0].stylize(photo, style, Settings(**{**REFINE, "refine": n})).image for n in (0, 3))
    told = []
    tiles = refined_by_tiles(refiners[0], photo, style, refining=lambda *at: told.append(at))
    assert np.corrcoef((tiles - plain).ravel(), (whole - plain).ravel())[0, 1] > 0.5
    assert told[-1] == (3 * 6, 3 * 6)
    assert [step for step, _ in told] == sorted(step for step, _ in told)
    ends = [192, WIDTH - 192]
    assert seam(tiles - plain, ends) < 1.1
    hard = [Faded(slice(0, 192), np.float32(np.arange(192) < 166)),
            Faded(slice(141, 333), np.float32(np.arange(141, 333) >= 166))]  # fmt: skip
    monkeypatch.setattr(tiled, "faded", lambda side, *args: hard if side == WIDTH else faded(side, *args))
    assert seam(refined_by_tiles(refiners[0], photo, style) - plain, [166]) > 1.25  # what the weights are for


def test_tiles_together_have_the_target_of_the_whole():
    """A part keeps what it has more or less of than the whole."""
    rng = np.random.default_rng(0)
    halves = [picture(1, 500, seed=seed)[None] * (1 + seed) for seed in (0, 1)]
    own = [{"relu1_1": measure(jnp.asarray(half))} for half in halves]
    goal = {"relu1_1": measure(jnp.asarray(rng.normal(3, 2, (1, 1, 800, 3)).astype(np.float32)))}
    whole = {"relu1_1": pool([part["relu1_1"] for part in own])}
    settings = OptimizeSettings(style_layers={"relu1_1": 1.0}, statistic="moments")
    moves = moves_to_target(whole, [goal], np.ones(1), {}, settings, strength=1.0)
    targets = [moved_targets(part, moves, statistic="moments")["relu1_1"] for part in own]
    moved = [Moments(part["relu1_1"].count, target["mean"], target["root"] @ target["root"])
             for part, target in zip(own, targets, strict=True)]  # fmt: skip
    for got, wanted in zip(pool(moved)[1:], goal["relu1_1"][1:], strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-2, atol=1e-2)
    assert float(moved[1].mean[0]) > float(moved[0].mean[0]) + 0.5


def test_a_large_picture_is_refined_as_a_small_one_is(refiners, photo, style):
    """With regions and transparency; by rows and a temporary file."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    alpha = np.where((rows - 220) ** 2 + (columns - 170) ** 2 < 140**2, 255, 0).astype(np.uint8)
    cut = images.Raster(photo.pixels, alpha)
    regions = [Region(HALF, style, detail=0.5), Region(np.roll(HALF, 30), [], strength=0.5), Region(None, style[:100])]
    wanted = refined_by_tiles(refiners[0], cut.picture(), regions, {**REFINE, "strength": 0.8})
    with counted_as_large():
        got = refiners[1].stylize(cut, regions, Settings(**REFINE, strength=0.8)).image
        plain = refiners[1].stylize(cut, regions, Settings(**SMALL, strength=0.8)).image
    seen = alpha > 0
    assert np.abs(got[seen] - wanted[seen]).mean() < 0.2 * np.abs(got[seen] - plain[seen]).mean()


def test_what_does_not_fit_is_told_before_a_large_picture_is_painted(refiners, photo, style, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 1000)
    refiners[1]._optimizer.forget()  # or the program of an earlier test would be there
    with counted_as_large(), pytest.raises(ImageError, match="^optimising 192x192 pixels needs"):
        refiners[1].stylize_large(
            photo, style, Settings(**REFINE), pytest.fail, painting=lambda *at: pytest.fail("painted")
        )


def test_a_temporary_picture_is_what_was_written(monkeypatch):
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    rgb = picture(20, 30)
    with images.Scratch((20, 30)) as kept:
        kept[slice(0, 20), slice(0, 30)] = rgb
        kept[slice(3, 7), slice(5, 30)] = 1 - rgb[3:7, 5:]
        rgb[3:7, 5:] = 1 - rgb[3:7, 5:]
        np.testing.assert_allclose(kept[slice(1, 19), slice(2, 30)], rgb[1:19, 2:], atol=1e-5)
    monkeypatch.setattr("tempfile.TemporaryFile", Full)
    with (
        images.Scratch((20, 30)) as full,
        pytest.raises(ImageError, match="temporary file in .*: No space left on device; make room there"),
    ):
        full[slice(0, 20), slice(0, 30)] = rgb


# ------------------------------------------------------------------------------------------------- what is refused


def test_what_takes_a_picture_in_one_piece_is_told(stylizers, style):
    long = np.full((8, MAX_SIDE + 8, 3), 0.5, np.float32)
    with pytest.raises(ImageError, match=r"look=0 takes the picture in one piece, up to 4096 .*become 4104 x 8"):
        stylizers[1].stylize(long, style, Settings(look=0))
    too_long = images.Raster(np.zeros((1, LARGEST_SIDE + 1, 3), np.uint8))
    with pytest.raises(
        ImageError, match="at most 32768 pixels a side and 500 megapixels are rendered; make it smaller"
    ):
        stylizers[1].stylize(too_long, style, Settings())


def test_styles_for_results_beyond_the_fine_side_are_as_for_that(style):
    given_picture = images.Picture(style[:4])
    fine, huge = (fitting.fit_part(given_picture, side, side) for side in (FINE_SIDE, 4 * FINE_SIDE))
    np.testing.assert_array_equal(huge.picture, fine.picture)
    assert (fine.enlarged, huge.enlarged) == (1, 4)
    assert fitting.fit_part(given_picture, 0, 4 * FINE_SIDE).enlarged == 1  # its own size


def test_styles_that_cannot_change_are_not_copied(stylizers):
    given_picture = picture(64, 64, seed=11)
    assert stylizers[0].style(given_picture).pixels is not given_picture
    stylizers[0].forget()
    given_picture.flags.writeable = False
    assert stylizers[0].style(given_picture).pixels is given_picture


def test_strokes_are_enlarged_where_the_picture_is_composed(style):
    assert large._shrunk(Style(style, enlarged=2.0), 0.25).picture.shape == (128, 128, 3)
    assert large._shrunk(Style(style), 0.25).picture.shape == (64, 64, 3)


# ----------------------------------------------------------------------------------------------------- the batch


def batch_of(stylizer, style_file, **more):
    sizes = inputs.Sizes(0, inputs.Strokes(96), most=LARGEST_SIDE)
    setup = Setup((inputs.StyleSpec(str(style_file)),), Settings(**SMALL), "slim", sizes, **more)
    return Batch(setup, warn=pytest.fail, load=lambda model: stylizer)


@pytest.fixture(scope="module")
def long_photo(tmp_path_factory):
    """A strip that is longer than what is rendered in one piece, in 16 bits with a profile and transparency."""
    folder = tmp_path_factory.mktemp("long")
    rgb = 0.1 + 0.8 * picture(96, MAX_SIDE + 100, seed=8)
    alpha = np.ones(rgb.shape[:2], np.float32)
    alpha[:, :200] = 0
    kept = images.Kept(16, P3, (300.0, 300.0))
    images.save(folder / "style.png", picture(96, 96, seed=9))
    return images.save(folder / "long.png", rgb, alpha, kept=kept)


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_a_long_photo_is_written_row_by_row(stylizers, long_photo, tmp_path, suffix):
    told = []
    batch = batch_of(stylizers[1], long_photo.with_name("style.png"))
    report = batch.make(str(long_photo), str(tmp_path / f"out.{suffix}"), painting=lambda *at: told.append(at))
    assert (report["width"], report["height"]) == (MAX_SIDE + 100, 96)
    assert told[-1][0] == told[-1][1] == len(told) > 10
    result = images.load_raster(tmp_path / f"out.{suffix}")
    assert result.bits == (8 if suffix == "jpg" else 16)
    assert (result.alpha is None) == (suffix == "jpg")
    assert images.read_recipe(tmp_path / f"out.{suffix}")["size"] == MAX_SIDE + 100
    assert result.profile is None
    data = []
    batch.make(str(long_photo), str(tmp_path / "-"), format=suffix, write=data.append)
    assert data == [(tmp_path / f"out.{suffix}").read_bytes()]


def test_an_interrupted_picture_leaves_nothing(stylizers, long_photo, tmp_path):
    def stop(tile, tiles):
        if tile == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        batch_of(stylizers[1], long_photo.with_name("style.png")).make(
            str(long_photo), str(tmp_path / "a.png"), painting=stop
        )
    assert not list(tmp_path.iterdir())


def test_a_result_keeps_profile_resolution_and_depth_when_asked_to(stylizers, long_photo, tmp_path):
    small = images.load_raster(long_photo)
    small = images.Raster(small.pixels[:, 300:420], None, "small", small.profile, small.dpi)
    photo_file = images.save(tmp_path / "photo.tif", small.picture().rgb, kept=images.Kept(16, P3, (300.0, 150.0)))
    assert images.load_raster(photo_file).profile == P3
    found = {}
    for name, more in {"plain": {}, "kept": {"keep_profile": True}, "eight": {"depth": 8}}.items():
        batch_of(stylizers[0], long_photo.with_name("style.png"), **more).make(
            str(photo_file), str(tmp_path / f"{name}.png")
        )
        found[name] = images.load_raster(tmp_path / f"{name}.png")
    assert [found[name].bits for name in ("plain", "kept", "eight")] == [16, 16, 8]
    assert found["plain"].profile is None
    assert found["kept"].profile == P3
    np.testing.assert_allclose(found["kept"].dpi, (300, 150), atol=0.1)
    assert found["plain"].dpi is None
    rgb = {name: result.picture().rgb for name, result in found.items()}
    assert levels(rgb["plain"], rgb["eight"]) < 0.51
    assert np.abs(rgb["plain"] - rgb["kept"]).mean() < 1 / 255  # the same colours
    stored = np.asarray(Image.open(tmp_path / "kept.png")) / 255
    assert np.abs(stored - rgb["plain"]).mean() > 2 / 255  # by other numbers


# ------------------------------------------------------------------------------------------- files row by row

SIDES = st.integers(1, 150)


@law
@given(st.integers(0, 2**32), SIDES, SIDES, st.booleans(), st.sampled_from([8, 16]), st.sampled_from(["png", "tiff"]))
def test_files_hold_the_rows_that_were_written(seed, height, width, clear, bits, format):
    rng = np.random.default_rng(seed)
    kind = np.dtype(f"u{bits // 8}")
    values = rng.integers(0, 2**bits, (height, width, 4), dtype=kind)
    rgb, alpha = images.as_floats(values[..., :3]), images.as_floats(values[..., 3]) if clear else None
    file = io.BytesIO()
    writer = images.RowWriter(file, (height, width), format=format, alpha=clear, kept=images.Kept(bits))
    for top in range(0, height, 17):
        writer.write(rgb[top : top + 17], None if alpha is None else alpha[top : top + 17])
    writer.end()
    planes = values if clear else values[..., :3]
    if format == "tiff":
        np.testing.assert_array_equal(tifffile.imread(io.BytesIO(file.getvalue())), planes)
    else:
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(file.getvalue()))), planes >> (bits - 8))
    found = images.load_raster(file.getvalue())
    np.testing.assert_array_equal(found.pixels, planes[..., :3], strict=True)
    if clear and found.alpha is not None:
        np.testing.assert_array_equal(found.alpha, planes[..., 3], strict=True)


def test_tiffs_of_more_than_four_gigabytes_are_big(monkeypatch):
    rgb = picture(200, 70)
    small = images.encode(rgb, format="tiff", recipe={"name": "big"})
    monkeypatch.setattr(row_files, "_BIG", 0)
    data = images.encode(rgb, format="tiff", recipe={"name": "big"})
    assert (small[:4], data[:4]) == (b"II*\0", b"II+\0")
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(data)), tifffile.imread(io.BytesIO(small)))
    np.testing.assert_array_equal(images.load(data).rgb, images.load(small).rgb)
    assert images.read_recipe(data) == {"name": "big"}


@pytest.mark.parametrize("channels", [3, 4])
def test_pngs_of_sixteen_bits_are_read_whole(channels):
    values = np.random.default_rng(channels).integers(0, 65536, (5, 7, channels), dtype=np.uint16)
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    data = malformed.png((7, 5), lines, depth=16, color={3: 2, 4: 6}[channels])
    found = images.load_raster(data)
    np.testing.assert_array_equal(found.pixels, values[..., :3], strict=True)
    if channels == 4:
        np.testing.assert_array_equal(found.alpha, values[..., 3], strict=True)


@law
@given(st.integers(0, 2**32), SIDES, SIDES, SIDES, SIDES, st.booleans())
def test_rasters_scale_as_pictures_do(seed, height, width, tall, wide, clear):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (height, width, 4), dtype=np.uint8)
    raster = images.Raster(pixels[..., :3], pixels[..., 3] if clear else None)
    whole = raster.picture()
    assert raster.content_hash == whole.content_hash
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rasters, "SLAB", 500)
        scaled, kept = raster.resized(height=tall, width=wide), raster.scaled(height=tall, width=wide)
    wanted = images.resize_to(whole, height=tall, width=wide)
    np.testing.assert_allclose(scaled.rgb, wanted.rgb, atol=1e-5)
    assert levels(images.as_floats(kept.pixels), wanted.rgb) < 0.51
    part = slice(tall // 3, tall // 3 + 1 + tall // 2), slice(wide // 4, wide // 4 + 1 + wide // 2)
    planes = images.resample(whole.rgb, height=tall, width=wide)
    np.testing.assert_allclose(images.resample_part(whole.rgb, (tall, wide), part), planes[part], atol=1e-4)
