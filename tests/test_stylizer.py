import dataclasses
import errno
import itertools
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import platformdirs
import pytest
from feature_strategies import law
from hypothesis import given
from hypothesis import strategies as st
from narrow import NARROW, QUICKLY_COMPILED, picture, random_tensors
from PIL import Image
from scipy.ndimage import gaussian_filter

import wctstyle.optimizer
import wctstyle.stylizer
from wctstyle import color, feature_metrics, images, pixel_metrics, transforms, weights
from wctstyle.codes import StyleCode
from wctstyle.compilation import enable_compilation_cache
from wctstyle.encoder import CELL, MODELS, SIZE_MULTIPLE
from wctstyle.errors import ConfigError, ImageError, NonFiniteError
from wctstyle.measuring import content_hash
from wctstyle.model import build
from wctstyle.moments import measure
from wctstyle.optimizer import Optimizer, OptimizeSettings, memory
from wctstyle.plan import counted
from wctstyle.regions import Region
from wctstyle.settings import MAX_SIDE, MAX_STRENGTH, BlendKind, ColorsKind, Settings, TransformKind
from wctstyle.sizes import SMALLEST_SIDE, pad_to_family, padded_side
from wctstyle.stylizer import Stylizer, stylize

_quick = QUICKLY_COMPILED

# fmt: off
TWELVE_SIZES = [
    (65, 65), (70, 128), (75, 90), (80, 112), (97, 66), (100, 100),
    (101, 127), (112, 80), (119, 99), (125, 77), (127, 101), (128, 128),
]
# fmt: on


@pytest.fixture(scope="module")
def tensors():
    return random_tensors()


@pytest.fixture(scope="module")
def narrow_models():
    """The narrow model under the name of `slim`, for as long as a stylizer is made."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "slim", NARROW)
        yield


@pytest.fixture(scope="module")
def stylizer(narrow_models, tensors):
    """One stylizer for the tests that do not count: each keeps its compiled programs."""
    return Stylizer("slim", tensors=tensors)


@pytest.fixture
def fresh(narrow_models, tensors):
    """One whose traces can be counted."""
    return Stylizer("slim", tensors=tensors)


@pytest.fixture
def apart(stylizer):
    """The shared programs with caches of its own: nothing of earlier tests is remembered."""
    return stylizer.apart()


@pytest.fixture(scope="module")
def photo_64():
    return picture(64, 64, seed=1)


@pytest.fixture(scope="module")
def styles(stylizer):
    return [stylizer.style(picture(64, 64, seed=seed) ** power) for seed, power in ((2, 1), (3, 2), (4, 0.5))]


def assert_picture(image, shape):
    assert image.shape == (*shape, 3)
    assert image.dtype == np.float32
    assert np.isfinite(image).all()
    assert image.min() >= 0
    assert image.max() <= 1


# --------------------------------------------------------------------------------------------- the size family


@law
@given(st.integers(1, MAX_SIDE))
def test_sides_are_rounded_up_to_the_family(side):
    padded = padded_side(side)
    assert padded >= side
    assert padded % SIZE_MULTIPLE == 0
    assert padded_side(padded) == padded
    assert padded - side < max(64, side / 4 + 64)


def test_the_family_is_small():
    family = {padded_side(side) for side in range(1, MAX_SIDE + 1)}
    assert family == {*range(64, 513, 64), *range(640, 1025, 128), *range(1280, 4097, 256)}


@law
@given(st.integers(1, 150), st.integers(1, 150))
def test_padding_reflects_at_the_bottom_and_right(height, width):
    rgb = picture(height, width)
    padded = pad_to_family(rgb)
    assert padded.shape == (1, padded_side(height), padded_side(width), 3)
    np.testing.assert_array_equal(padded[0, :height, :width], rgb)
    if 1 < height < padded.shape[1]:
        np.testing.assert_array_equal(padded[0, height, :width], rgb[height - 2])
    if 1 < width < padded.shape[2]:
        np.testing.assert_array_equal(padded[0, :height, width], rgb[:, width - 2])


def test_a_picture_of_the_family_is_not_padded(photo_64):
    np.testing.assert_array_equal(pad_to_family(photo_64)[0], photo_64)


@pytest.mark.parametrize("shape", [(64, 64), (64, 128), (48, 80), (51, 77)], ids=str)
def test_moments_are_those_of_the_picture_without_its_padding(stylizer, shape):
    rgb = picture(*shape, seed=5)
    code, got = stylizer.content(rgb, texture=0.0).code, stylizer.measure(rgb)
    want = measure(code, counted(*shape, code.shape[1:3]))
    assert float(got.count) == pytest.approx(shape[0] * shape[1] / CELL**2)
    np.testing.assert_allclose(got.mean, want.mean, atol=1e-4)
    np.testing.assert_allclose(got.covariance, want.covariance, atol=1e-4)


def test_a_picture_of_few_pixels_counts_some_of_its_padding(stylizer):
    assert float(stylizer.measure(picture(1, 3, seed=5)).count) == pytest.approx((SMALLEST_SIDE / CELL) ** 2)
    assert float(stylizer.measure(picture(5, 64, seed=5)).count) == pytest.approx(SMALLEST_SIDE * 64 / CELL**2)


# ------------------------------------------------------------------------------------------- traces and caches


def test_many_sizes_share_one_trace(fresh, styles):
    for number, (height, width) in enumerate(TWELVE_SIZES):
        out = fresh.stylize(picture(height, width, seed=number), styles[0])
        assert_picture(out.image, (height, width))
        fresh.style(picture(height, width, seed=number))
    assert fresh.traces == {"encode": 1, "plan": 1, "render": 1}


def test_a_photo_and_a_style_of_one_size_share_the_program_that_encodes(fresh, photo_64):
    fresh.content(photo_64)
    fresh.style(picture(50, 60, seed=2))
    assert fresh.traces == {"encode": 1}


def test_every_size_of_the_family_is_traced_once(fresh, styles):
    for shape in ((10, 10), (64, 64), (64, 65), (30, 100), (33, 44)):
        fresh.content(picture(*shape))
    assert fresh.traces == {"encode": 2}


def test_a_slider_move_plans_and_renders_alone(fresh, photo_64, monkeypatch):
    paintings = [picture(64, 64, seed=seed) for seed in (2, 3)]
    fresh.stylize(photo_64, [(paintings[0], 0.5), (paintings[1], 0.5)])
    traces = dict(fresh.traces)
    monkeypatch.setattr(fresh._programs, "encode", lambda *_: pytest.fail("encoded again"))
    images = [
        fresh.stylize(photo_64.copy(), [(paintings[0].copy(), weight), (paintings[1], 1)], settings).image
        for weight in (0.2, 3.0)
        for settings in (Settings(), Settings(strength=0.5), Settings(detail=0.9), Settings(color=0.3))
    ]
    assert fresh.traces == traces
    assert len({image.tobytes() for image in images}) == len(images)


def test_what_the_decoder_loses_of_a_photo_is_found_once(apart, photo_64, styles, monkeypatch):
    apart.stylize(photo_64, styles[0], Settings(strength=0.5))
    monkeypatch.setattr(apart._programs, "decoded", lambda *_: pytest.fail("decoded again"))
    for settings in (Settings(strength=0.7), Settings(detail=0.5)):
        assert_picture(apart.stylize(photo_64, styles[1], settings).image, (64, 64))


def test_contents_and_styles_are_remembered_by_what_they_show(apart, photo_64):
    content, style = apart.content(photo_64), apart.style(photo_64)
    assert apart.content(photo_64.copy()) is content
    assert apart.style(photo_64.astype(np.float64)) is style
    changed = photo_64.copy()
    changed[0, 0, 0] = 1 - changed[0, 0, 0]
    assert apart.content(changed) is not content
    assert apart.style(changed) is not style


def test_the_contents_used_longest_ago_are_forgotten(apart):
    pictures = [picture(20, 20, seed=seed) for seed in range(4)]
    apart.cache.capacity = 3 * apart.content(pictures[0]).nbytes
    codes = [apart.content(rgb) for rgb in pictures[:-1]]
    assert apart.content(pictures[0]) is codes[0]
    apart.content(pictures[-1])
    assert apart.content(pictures[0]) is codes[0]
    assert apart.content(pictures[1]) is not codes[1]


def test_a_content_that_failed_is_not_remembered(apart, photo_64, monkeypatch):
    def fail(*_args):
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(apart._programs, "encode", fail)
        with pytest.raises(RuntimeError, match="out of memory"):
            apart.content(photo_64)
    assert apart.content(photo_64).code.shape == (1, 8, 8, NARROW.code_width)


def test_hashes_tell_pictures_apart():
    rgb = picture(6, 8)
    hashes = {content_hash(x) for x in (rgb, rgb[::-1], rgb.reshape(8, 6, 3), rgb.astype(np.float64))}
    assert len(hashes) == 4
    assert content_hash(rgb[:, ::-1]) == content_hash(rgb[:, ::-1].copy())


# --------------------------------------------------------------------------------------------------- stylising


def test_a_style_changes_the_picture(stylizer, photo_64, styles):
    images = [stylizer.stylize(photo_64, style).image for style in styles]
    for image in images:
        assert_picture(image, (64, 64))
        assert image.std() > 0.01
    assert np.abs(images[0] - images[1]).max() > 0.01


def test_the_same_input_gives_the_same_bytes(fresh, stylizer, photo_64, styles):
    blend = [(styles[0], 0.3), (styles[1], 0.6), (styles[2], 0.1)]
    images = [s.stylize(photo_64, blend).image.tobytes() for s in (stylizer, stylizer, fresh)]
    assert len(set(images)) == 1


def test_threads_share_a_stylizer(stylizer, styles):
    jobs = [(picture(64, 64, seed=seed), style) for seed in (7, 8, 9) for style in styles]
    alone = [stylizer.stylize(*job).image for job in jobs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda job: stylizer.stylize(*job).image, jobs))
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a, b)


def test_styles_may_be_given_in_every_form(stylizer, photo_64):
    painting = picture(64, 64, seed=2)
    code = stylizer.style(painting)
    content = stylizer.content(photo_64)
    want = stylizer.stylize(photo_64, painting).image
    for given_content, given_style in [
        (content, painting),
        (photo_64, code),
        (photo_64, [painting]),
        (photo_64, [code]),
        (photo_64, [(painting, 0.4)]),
        (photo_64, ((code, 7),)),
    ]:
        np.testing.assert_array_equal(stylizer.stylize(given_content, given_style).image, want)


def test_all_weights_zero_give_the_photo(stylizer, styles):
    rgb = picture(50, 60, seed=6)
    result = stylizer.stylize(rgb, [(styles[0], 0), (styles[1], 0.0)])
    np.testing.assert_array_equal(result.image, rgb)
    assert result.parts == ()


def test_a_result_is_the_callers_own(apart, styles):
    rgb = picture(50, 60, seed=6)
    apart.stylize(rgb, [(styles[0], 0)]).image[:] = 0
    np.testing.assert_array_equal(apart.stylize(rgb, [(styles[0], 0)]).image, rgb)


@pytest.mark.parametrize("scale", [1e-300, 1e-3, 8.0, 1e300])
@pytest.mark.parametrize("kind", get_args(BlendKind))
def test_only_the_ratio_of_weights_matters(stylizer, photo_64, styles, scale, kind):
    settings = Settings(blend=kind)
    want = stylizer.stylize(photo_64, [(styles[0], 1), (styles[1], 3)], settings).image
    got = stylizer.stylize(photo_64, [(styles[0], scale), (styles[1], 3 * scale)], settings).image
    np.testing.assert_allclose(got, want, atol=1e-4)


@pytest.mark.parametrize("kind", get_args(BlendKind))
def test_a_style_of_weight_zero_is_as_good_as_absent(stylizer, photo_64, styles, kind):
    settings = Settings(blend=kind)
    want = stylizer.stylize(photo_64, [(styles[0], 1), (styles[1], 2)], settings).image
    got = stylizer.stylize(photo_64, [(styles[0], 1), (styles[2], 0), (styles[1], 2)], settings).image
    np.testing.assert_array_equal(got, want)
    alone = stylizer.stylize(photo_64, [(styles[2], 0), (styles[1], 2)], settings).image
    np.testing.assert_array_equal(alone, stylizer.stylize(photo_64, styles[1], settings).image)


def test_a_blend_lies_between_its_styles(stylizer, styles):
    half = stylizer.target([(styles[0], 1), (styles[1], 1)])
    a, b = (style.moments for style in styles[:2])
    np.testing.assert_allclose(half.mean, (a.mean + b.mean) / 2, atol=1e-5)


@pytest.mark.parametrize("kind", get_args(BlendKind))
@pytest.mark.parametrize("many", [2, 3])
def test_the_order_of_styles_does_not_matter(stylizer, photo_64, styles, kind, many):
    weighted = list(zip(styles, (1, 2, 4), strict=True))[:many]
    first, *others = (
        stylizer.stylize(photo_64, list(order), Settings(blend=kind)).image
        for order in itertools.permutations(weighted)
    )
    for other in others:
        np.testing.assert_allclose(other, first, atol=2e-3)


@pytest.mark.parametrize("weights", [(1, 2, 3), (5, 1, 1)])
def test_three_styles_meet_near_their_barycenter(stylizer, styles, weights):
    got = stylizer.target(list(zip(styles, weights, strict=True)))
    parts = [style.moments for style in styles]
    want = jax.jit(transforms.blend)(parts, np.float32(weights) / sum(weights))
    np.testing.assert_allclose(got.mean, want.mean, atol=1e-5)
    apart = max(np.linalg.norm(a.covariance - b.covariance) for a in parts for b in parts)
    assert np.linalg.norm(got.covariance - want.covariance) <= 0.05 * apart


def test_where_styles_meet_is_found_once(apart, monkeypatch):
    codes = [apart.style(picture(64, 64, seed=seed)) for seed in (1, 2, 3)]
    apart.target([(code, 1) for code in codes])
    monkeypatch.setattr(apart._programs, "meet", lambda *_: pytest.fail("found again"))
    near = apart.target([(codes[0], 8), (codes[1], 1), (codes[2], 1)])
    far = apart.target([(codes[0], 1), (codes[1], 1), (codes[2], 8)])
    assert np.abs(near.mean - far.mean).max() > 1e-3


@pytest.mark.parametrize("kind", get_args(TransformKind))
def test_rendering_a_plan_is_stylising(stylizer, styles, kind):
    settings = Settings(strength=0.8, transform=kind)
    content = stylizer.content(picture(50, 60, seed=6))
    target = stylizer.target([(styles[0], 1), (styles[1], 1)])
    plan = stylizer.plan(content, target, transform=kind)
    result = stylizer.stylize(content, [(styles[0], 1), (styles[1], 1)], settings)
    np.testing.assert_allclose(stylizer.render(content, plan, settings), result.image, atol=1e-5)
    for a, b in zip(jax.tree.leaves(plan), jax.tree.leaves(result.parts[0].plan), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_plan_is_made_of_moments_alone(stylizer, styles, photo_64):
    content = stylizer.content(photo_64, texture=0.0)
    emptied = dataclasses.replace(content, code=0 * content.code, pixels=0 * content.pixels, key="another")
    plans = [stylizer.plan(code, styles[0].moments) for code in (content, emptied)]
    for a, b in zip(*map(jax.tree.leaves, plans), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_plan_renders_other_pictures_too(stylizer, styles, photo_64):
    plan = stylizer.plan(stylizer.content(photo_64), styles[0].moments)
    assert_picture(stylizer.render(stylizer.content(picture(50, 60, seed=8)), plan), (50, 60))


def test_reconstructing_encodes_and_decodes(stylizer):
    rgb = picture(50, 60, seed=8)
    assert_picture(stylizer.reconstruct(rgb), (50, 60))
    np.testing.assert_array_equal(stylizer.reconstruct(rgb), stylizer.reconstruct(rgb.copy()))
    assert np.abs(stylizer.reconstruct(rgb) - stylizer.reconstruct(rgb**2)).max() > 1e-3


# ------------------------------------------------------------------------------------------------------- the dials


PHOTOS = {"of the family": (64, 64), "odd": (37, 61), "one pixel": (1, 1), "one row": (1, 70), "one column": (90, 1)}


@pytest.mark.parametrize("shape", PHOTOS.values(), ids=PHOTOS.keys())
def test_strength_zero_is_the_photo(stylizer, styles, shape):
    """Asked for so, and rendered with any plan."""
    photo = picture(*shape, seed=6)
    np.testing.assert_array_equal(stylizer.stylize(photo, styles[0], Settings(strength=0)).image, photo)
    content = stylizer.content(photo)
    plan = stylizer.plan(content, styles[0].moments)
    zeros = (Settings(strength=0), Settings(strength=0, detail=1), Settings(strength=0, color=0))
    for settings in zeros:
        np.testing.assert_allclose(stylizer.render(content, plan, settings), photo, atol=1 / 255)


@pytest.mark.parametrize("texture", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("shape", PHOTOS.values(), ids=PHOTOS.keys())
def test_a_photo_in_its_own_style_is_the_photo(stylizer, shape, texture):
    photo = picture(*shape, seed=6)
    assert pixel_metrics.psnr(stylizer.stylize(photo, photo, Settings(texture=texture)).image, photo) >= 26


@pytest.mark.parametrize("texture", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name", ["black", "white", "one colour", "two colours", "half plain", "plain row"])
def test_a_plain_photo_in_its_own_style_is_the_photo(stylizer, name, texture):
    photo = ODD[name]
    assert pixel_metrics.psnr(stylizer.stylize(photo, photo, Settings(texture=texture)).image, photo) >= 26


def test_texture_gives_plain_photos_something_to_paint_and_leaves_others(stylizer, styles):
    """One colour becomes one colour without it; a photo with detail everywhere hardly changes."""
    bare, some, more = (
        stylizer.stylize(ODD["one colour"], styles[0], Settings(texture=texture)).image for texture in (0.0, 0.5, 1.0)
    )
    assert bare.std(axis=(0, 1)).max() < 1e-3 < 0.01 < some.std(axis=(0, 1)).max()
    assert np.abs(more - some).max() > 1e-3
    busy = picture(64, 64, seed=1)
    without, fully = (stylizer.stylize(busy, styles[0], Settings(texture=texture)).image for texture in (0.0, 1.0))
    assert np.abs(fully - without).mean() < 0.1 * np.abs(some - bare).mean()


def test_a_photo_is_encoded_once_for_each_texture(fresh, photo_64, styles):
    plain, textured = (fresh.content(photo_64, texture=texture) for texture in (0.0, 1.0))
    assert fresh.content(photo_64, texture=0.0) is plain
    assert fresh.content(photo_64, texture=1.0) is textured
    np.testing.assert_array_equal(plain.pixels, textured.pixels)
    settings = Settings(texture=1.0)
    given = [fresh.stylize(content, styles[0], settings).image for content in (photo_64, plain, textured)]
    for image in given[1:]:
        np.testing.assert_array_equal(image, given[0])
    assert fresh.traces == {"encode": 1, "plan": 1, "render": 1}


def test_strength_leads_from_the_photo_to_the_style_and_beyond(stylizer, styles, photo_64):
    images = [
        stylizer.stylize(photo_64, styles[0], Settings(strength=s)).image for s in (0.0, 0.05, 0.5, 1, MAX_STRENGTH)
    ]
    distances = [float(np.abs(image - photo_64).mean()) for image in images]
    assert distances[0] == 0
    assert distances[1] < 0.2 * distances[3]
    assert distances[1] < distances[2] < distances[3]
    assert np.abs(images[4] - images[3]).max() > 1e-3
    for image in images:
        assert_picture(image, (64, 64))


@pytest.mark.parametrize("kind", get_args(TransformKind))
def test_beyond_full_strength_pictures_stay_finite(stylizer, styles, photo_64, kind):
    settings = Settings(strength=MAX_STRENGTH, transform=kind, detail=1.0, color=0.5)
    for photo in (photo_64, ODD["black"], ODD["one pixel"]):
        assert_picture(stylizer.stylize(photo, styles[1], settings).image, photo.shape[:2])


def test_detail_puts_back_fine_light_and_dark_alone(stylizer, styles, photo_64):
    """The same in each channel, and nothing that is left under a broad blur."""
    photo = 0.3 + 0.4 * photo_64
    plain, half, full = (
        stylizer.stylize(photo, styles[0], Settings(detail=detail)).image.astype(np.float64) for detail in (0, 0.5, 1)
    )
    inside = np.all((plain > 0) & (plain < 1) & (full > 0) & (full < 1), axis=-1)
    assert inside.mean() > 0.7
    change = full - plain
    assert change[inside].std() > 0.01
    np.testing.assert_allclose(np.ptp(change[inside], axis=-1), 0, atol=1e-5)
    np.testing.assert_allclose((half - plain)[inside], change[inside] / 2, atol=1e-5)
    fine = np.where(inside, change[..., 0], 0)
    assert gaussian_filter(fine, 4).std() < 0.1 * fine.std()


def test_color_is_how_far_the_palette_goes_along(stylizer, styles, photo_64):
    whole = stylizer.stylize(photo_64, styles[0]).image
    for share in (0.0, 0.3):
        found = stylizer.stylize(photo_64, styles[0], Settings(color=share)).image
        want = color.original_colors(whole, photo_64, share=1 - share)
        np.testing.assert_allclose(found, want, atol=1e-5)
    np.testing.assert_array_equal(stylizer.stylize(photo_64, styles[0], Settings(color=1.0)).image, whole)


def test_the_photos_colors_are_the_end_of_the_dial(stylizer, styles, photo_64):
    end = stylizer.stylize(photo_64, styles[0], Settings(color=0.0)).image
    for dial in (0.0, 0.6, 1.0):
        found = stylizer.stylize(photo_64, styles[0], Settings(colors="photo", color=dial)).image
        np.testing.assert_array_equal(found, end)


@pytest.mark.parametrize("given", ["codes", "pixels"])
def test_matched_styles_are_measured_in_the_photos_colors(stylizer, styles, photo_64, given):
    goal = color.colors_of(photo_64)
    blend = [(style if given == "codes" else style.pixels, w) for style, w in zip(styles, (1, 2, 0), strict=True)]
    recolored = [(color.with_colors(style.pixels, goal), w) for style, w in zip(styles, (1, 2, 0), strict=True)]
    for dial in (1.0, 0.4):
        found = stylizer.stylize(photo_64, blend, Settings(colors="match", color=dial)).image
        want = stylizer.stylize(photo_64, recolored, Settings(color=dial)).image
        np.testing.assert_allclose(found, want, atol=1e-5)
    plain = stylizer.stylize(photo_64, blend).image
    faithful = stylizer.stylize(photo_64, blend, Settings(colors="match")).image
    assert np.abs(plain.mean((0, 1)) - photo_64.mean((0, 1))).max() > 0.05  # or this shows nothing
    assert np.abs(faithful - plain).mean() > 0.01


def test_a_style_is_matched_once_for_the_colors_of_a_photo(apart, monkeypatch):
    made, own = [], color.with_colors
    monkeypatch.setattr(color, "with_colors", lambda *args: made.append(1) or own(*args))
    photo, style = picture(64, 64, seed=1), apart.style(picture(64, 64, seed=2))
    for strength in (0.5, 1.0):
        apart.stylize(photo, style, Settings(colors="match", strength=strength))
    assert len(made) == 1
    apart.stylize(photo**2, style, Settings(colors="match"))
    assert len(made) == 2
    apart.forget_photos()  # what was matched to one is of no use for the next
    assert [key for *_, key in apart.cache._items] == [style.key]
    assert apart.style(style.pixels) is style


def test_the_styles_of_a_region_get_the_colors_of_its_own_part(stylizer, styles, photo_64):
    left = np.zeros((64, 64), np.float32)
    left[:, :32] = 1
    photo = np.clip(photo_64 * np.where(left, 0.4, 1.0)[..., None], 0, 1).astype(np.float32)

    def regions(*pictures):
        return [Region(left, pictures[0]), Region(None, [(pictures[1], 2.0)], strength=0.8)]

    goals = color.colors_of(photo, left), color.colors_of(photo, 1 - left)
    recolored = [color.with_colors(style.pixels, goal) for style, goal in zip(styles, goals, strict=False)]
    found = stylizer.stylize(photo, regions(*styles), Settings(colors="match")).image
    np.testing.assert_allclose(found, stylizer.stylize(photo, regions(*recolored)).image, atol=1e-5)
    empty = [Region(0 * left, styles[0]), Region(None, styles[1])]
    assert np.isfinite(stylizer.stylize(photo, empty, Settings(colors="match")).image).all()


def test_colors_only_is_the_photo_recolored(stylizer, styles, photo_64, monkeypatch):
    monkeypatch.setattr(stylizer._programs, "painted", None)  # nothing is painted
    result = stylizer.stylize(photo_64, [(styles[0], 1), (styles[1], 2)], Settings(colors="only"))
    matrix, bias = result.parts[0].plan.palette
    whole = photo_64 @ np.asarray(matrix).T + np.asarray(bias)
    lightness, ab = np.split(color.rgb_to_oklab(result.image), [1], axis=2)
    np.testing.assert_allclose(lightness, color.rgb_to_oklab(photo_64)[..., :1], atol=1e-3)
    assert np.abs(ab - color.rgb_to_oklab(np.clip(whole, 0, 1))[..., 1:]).mean() < 0.01
    blend = [(styles[0], 1), (styles[1], 2)]
    for strength in (0.0, 0.4, 1.3):
        found = stylizer.stylize(photo_64, blend, Settings(colors="only", strength=strength)).image
        wanted = np.clip(photo_64 + strength * (whole - photo_64), 0, 1)
        np.testing.assert_allclose(found, color.original_colors(photo_64, wanted), atol=1e-4)
    mixed = stylizer.stylize(photo_64, blend, Settings(colors="only", color=0.3)).image
    np.testing.assert_allclose(mixed, color.original_colors(result.image, photo_64, share=0.7), atol=1e-4)
    idle = Settings(colors="only", texture=1.0, detail=1.0, keep_faces=1.0, transform="adain")
    np.testing.assert_array_equal(stylizer.stylize(photo_64, blend, idle).image, result.image)


def test_colors_only_stays_inside_its_region(stylizer, styles, photo_64):
    left = np.zeros((64, 64), np.float32)
    left[:, :32] = 1
    found = stylizer.stylize(photo_64, [Region(left, styles[0])], Settings(colors="only")).image
    np.testing.assert_array_equal(found[:, 32:], photo_64[:, 32:])
    assert np.abs(found - photo_64)[:, :32].mean() > 0.02


# -------------------------------------------------------------------------------------------------------- faces


def faces_are(monkeypatch, found):
    """Let every picture have its faces where `found(height, width)` says."""
    monkeypatch.setattr("wctstyle.codes.face_map", lambda rgb: found(*rgb.shape[:2]))


def everywhere(height, width):
    return np.ones((height, width), np.float32)


def test_a_face_that_fills_the_picture_is_drawn_from_the_photo_in_the_styles_colours(apart, styles, monkeypatch):
    """Half of what the decoder loses of the photo is put back, in the style's colours too."""
    faces_are(monkeypatch, everywhere)
    photo = picture(64, 64, seed=6)
    result = apart.stylize(photo, styles[0], Settings(keep_faces=1.0))
    step = result.parts[0].plan.palette
    recolored = np.clip(photo @ np.asarray(step.matrix).T + np.asarray(step.bias), 0, 1)
    decoded, own = (
        apart._programs.decoded(apart.content(seen, texture=texture).code)[0]
        for seen, texture in ((recolored, 0.0), (photo, Settings().texture))
    )
    want = decoded + (recolored - np.clip(own @ np.asarray(step.matrix).T + np.asarray(step.bias), 0, 1)) / 2
    np.testing.assert_allclose(result.image, np.clip(want, 0, 1), atol=1e-3)


def test_faces_keep_themselves_and_the_rest_is_painted(apart, styles, monkeypatch):
    faces_are(monkeypatch, lambda h, w: np.repeat(np.arange(w)[None] < 64, h, axis=0).astype(np.float32))
    photo = picture(64, 192, seed=6)
    plain, kept = (apart.stylize(photo, styles[0], Settings(keep_faces=share)).image for share in (0.0, 1.0))
    np.testing.assert_allclose(kept[:, 128:], plain[:, 128:], atol=1e-5)

    def forms(image):
        return np.corrcoef(color.luma(image[:, :48]).ravel(), color.luma(photo[:, :48]).ravel())[0, 1]

    assert forms(kept) > max(0.5, forms(plain) + 0.1)


def test_keeping_more_of_a_face_brings_it_nearer_to_itself(apart, styles, monkeypatch):
    faces_are(monkeypatch, everywhere)
    content = apart.content(picture(64, 64, seed=6))
    plan = apart.plan(content, styles[0].moments)
    images = [apart.render(content, plan, Settings(keep_faces=share)) for share in (0.0, 0.5, 1.0)]
    for image in images:
        assert_picture(image, (64, 64))
    distances = [np.abs(image - images[-1]).mean() for image in images]
    assert distances[0] > distances[1] > distances[2] == 0


def test_rendering_a_plan_with_faces_is_stylising(apart, styles, monkeypatch):
    faces_are(monkeypatch, lambda h, w: np.repeat(np.linspace(0, 1, w, dtype=np.float32)[None], h, axis=0))
    content = apart.content(picture(50, 60, seed=6))
    result = apart.stylize(content, styles[0], Settings(keep_faces=0.7))
    again = apart.render(content, result.parts, Settings(keep_faces=0.7))
    np.testing.assert_allclose(again, result.image, atol=1e-5)
    assert np.abs(apart.render(content, result.parts, Settings(keep_faces=0)) - again).max() > 1e-3


@pytest.mark.parametrize("shape", PHOTOS.values(), ids=PHOTOS.keys())
def test_faces_are_the_photo_at_strength_zero(stylizer, styles, monkeypatch, shape):
    faces_are(monkeypatch, everywhere)
    content = stylizer.content(picture(*shape, seed=16))
    plan = stylizer.plan(content, styles[0].moments)
    photo = content.pixels[0, : shape[0], : shape[1]]
    np.testing.assert_allclose(stylizer.render(content, plan, Settings(strength=0)), photo, atol=1 / 255)
    near = stylizer.render(content, plan, Settings(strength=0.01, keep_faces=1.0))
    assert np.abs(near - photo).mean() < 0.02


@pytest.mark.parametrize("settings", [Settings(keep_faces=0), Settings(strength=0)], ids=["none to keep", "no style"])
def test_faces_nobody_needs_are_not_looked_for(apart, styles, monkeypatch, settings):
    faces_are(monkeypatch, lambda *_: pytest.fail("looked for faces"))
    assert_picture(apart.stylize(picture(50, 60, seed=6), styles[0], settings).image, (50, 60))


def test_photos_with_and_without_faces_share_all_programs(fresh, styles, monkeypatch):
    for number, faces in enumerate([lambda *_: None, everywhere, everywhere]):
        faces_are(monkeypatch, faces)
        fresh.stylize(picture(50, 60, seed=6 + number), styles[0])
        assert fresh.traces == {"encode": 1, "plan": 1, "render": 1}


def test_a_changed_strength_does_not_encode_faces_again(apart, styles, monkeypatch):
    faces_are(monkeypatch, everywhere)
    photo = picture(50, 60, seed=6)
    first = apart.stylize(photo, styles[0]).image
    monkeypatch.setattr(apart._programs, "encode", lambda *_: pytest.fail("encoded again"))
    half = apart.stylize(photo, styles[0], Settings(strength=0.5)).image
    assert np.abs(half - first).mean() > 1e-3
    np.testing.assert_array_equal(apart.stylize(photo, styles[0]).image, first)


def test_faces_are_looked_for_once(apart, styles, monkeypatch):
    searches = []
    faces_are(monkeypatch, lambda *size: searches.append(size))
    photo = picture(50, 60, seed=6)
    for strength in (0.5, 1):
        apart.stylize(photo, styles[0], Settings(strength=strength))
    assert searches == [(50, 60)]


# ------------------------------------------------------------------------------------------------------- refining


@pytest.fixture(scope="module")
def optimizer(narrow_models, tensors):
    return Optimizer("slim", tensors=tensors)


@pytest.fixture
def refiner(apart, optimizer):
    """A stylizer that refines by a narrow network in place of the shipped one."""
    apart._optimizer = optimizer
    return apart


@pytest.mark.parametrize("look", [0, 128])
def test_a_size_too_large_to_refine_is_told_before_it_is_painted(refiner, styles, monkeypatch, look):
    refiner._optimizer.forget()  # or the program of an earlier test could be there
    monkeypatch.setattr(memory, "available", lambda: 1000)
    monkeypatch.setattr(refiner, "render", None)
    photo = picture(150, 140, seed=1)
    with pytest.raises(ImageError, match="^optimising 140x150 pixels needs .*: give a --size well below"):
        refiner.stylize(photo, styles[0], Settings(refine=2, look=look))


def test_refining_brings_the_moments_nearer_and_keeps_what_it_is_told(refiner, tensors, styles, photo_64):
    encoder, _ = build(NARROW, tensors)

    @jax.jit
    def levels(image):
        return [measure(features) for features in encoder(image[None])]

    def distance(image):
        return float(feature_metrics.wasserstein_errors(levels(image), levels(styles[0].pixels)).mean())

    plain = refiner.stylize(photo_64, styles[0]).image
    near, nearer = (refiner.stylize(photo_64, styles[0], Settings(refine=steps)) for steps in (4, 16))
    assert distance(nearer.image) < distance(near.image) < distance(plain)
    assert set(near.seconds) == {"encode", "blend", "render", "refine"}
    told = []
    refiner.stylize(photo_64, styles[0], Settings(refine=4), refining=lambda *at: told.append(at))
    assert told[-1] == (4, 4)
    again = refiner.stylize(photo_64, [(styles[0], 2.0), (styles[1], 0.0)], Settings(refine=4)).image
    np.testing.assert_array_equal(again, near.image)
    faithful = refiner.stylize(photo_64, styles[0], Settings(strength=0, refine=4)).image
    np.testing.assert_array_equal(faithful, photo_64)


def test_what_is_refined_keeps_to_the_color_dial(refiner, styles, photo_64):
    found = refiner.stylize(photo_64, styles[0], Settings(refine=2, color=0.0)).image
    np.testing.assert_allclose(found, color.original_colors(found, photo_64), atol=2e-3)


def test_what_is_refined_comes_closer_to_the_matched_style(refiner, styles, photo_64):
    matched = color.with_colors(styles[0].pixels, color.colors_of(photo_64))
    found = refiner.stylize(photo_64, styles[0], Settings(colors="match", refine=2)).image
    np.testing.assert_allclose(found, refiner.stylize(photo_64, matched, Settings(refine=2)).image, atol=1e-4)


@pytest.mark.parametrize(("model", "wanted"), [("slim", "medium"), ("medium", "medium"), ("vgg19", "vgg19")])
def test_each_model_refines_by_its_network(monkeypatch, tensors, model, wanted):
    asked = []
    monkeypatch.setitem(MODELS, model, dataclasses.replace(NARROW, name=model))
    monkeypatch.setattr(wctstyle.optimizer, "Optimizer", lambda name, **more: asked.append((name, more)))
    _ = Stylizer(model, tensors=tensors)._optimizer
    ((name, more),) = asked
    assert name == wanted
    if model == "slim":
        assert more == {"tensors": None}
    else:
        assert all(key.startswith("encoder/") for key in more["tensors"])
        assert len(more["tensors"]) == 2 * len(NARROW.convs())


def test_seconds_are_told_by_part(stylizer, styles, photo_64):
    seconds = stylizer.stylize(photo_64, styles[0]).seconds
    assert list(seconds) == ["encode", "blend", "render"]
    assert all(value >= 0 for value in seconds.values())


# ------------------------------------------------------------------------------------------------- odd pictures


def full(shape, color):
    return np.broadcast_to(np.float32(color), (*shape, 3)).copy()


ODD = {
    "one pixel": full((1, 1), [0.2, 0.5, 0.9]),
    "one row": picture(1, 40, seed=1),
    "one column": picture(40, 1, seed=1),
    "two by two": picture(2, 2, seed=1),
    "smaller than a cell": picture(5, 7, seed=1),
    "very wide": picture(3, 500, seed=1),
    "black": full((30, 40), 0),
    "white": full((30, 40), 1),
    "one colour": full((30, 40), [0.1, 0.7, 0.3]),
    "two colours": np.concatenate([full((30, 20), 0), full((30, 20), 1)], axis=1),
    "plain row": full((1, 8), [0.4, 0.5, 0.6]),
    "half plain": np.concatenate([full((64, 40), [0.2, 0.4, 0.8]), picture(64, 24, seed=1)], axis=1),
}


@pytest.mark.parametrize("kind", get_args(TransformKind))
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
def test_odd_pictures_stay_finite_in_every_role(stylizer, photo_64, styles, odd, kind):
    settings = Settings(transform=kind, detail=0.3)
    assert_picture(stylizer.stylize(odd, styles[0], settings).image, odd.shape[:2])
    assert_picture(stylizer.stylize(photo_64, odd, settings).image, (64, 64))
    assert_picture(stylizer.stylize(odd, odd, settings).image, odd.shape[:2])


@pytest.mark.parametrize("kind", get_args(BlendKind))
@pytest.mark.parametrize("odd", ["one pixel", "black", "two colours"])
def test_odd_pictures_blend(stylizer, photo_64, styles, odd, kind):
    for blend in ([ODD[odd], styles[0]], [ODD[odd], styles[0], ODD["white"]]):
        assert_picture(stylizer.stylize(photo_64, blend, Settings(blend=kind)).image, (64, 64))


@pytest.mark.parametrize("odd", ODD)
def test_odd_pictures_are_refined(refiner, photo_64, styles, odd):
    assert_picture(refiner.stylize(ODD[odd], styles[0], Settings(refine=2)).image, ODD[odd].shape[:2])
    assert_picture(refiner.stylize(photo_64, ODD[odd], Settings(refine=2)).image, (64, 64))


# ------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strength": -0.1}, "strength is -0.1, must be between 0 and 1.5"),
        ({"strength": 1.51}, "strength is 1.51, must be between 0 and 1.5"),
        ({"strength": float("nan")}, "strength is nan, must be between 0 and 1.5"),
        ({"detail": 2}, "detail is 2, must be between 0 and 1"),
        ({"detail": float("-inf")}, "detail is -inf, must be between 0 and 1"),
        ({"color": 1.2}, "color is 1.2, must be between 0 and 1"),
        ({"texture": -1}, "texture is -1, must be between 0 and 1"),
        ({"keep_faces": 1.5}, "keep_faces is 1.5, must be between 0 and 1"),
        ({"transform": "ot"}, "transform is 'ot', must be one of mk, wct, adain"),
        ({"blend": "mean"}, "blend is 'mean', must be one of barycenter, linear, mixture"),
        ({"refine": -1}, "refine is -1, must be a whole number of steps from 0 to 200"),
        ({"refine": 201}, "refine is 201, must be a whole number of steps from 0 to 200"),
        ({"refine": 2.5}, "refine is 2.5, must be a whole number of steps from 0 to 200"),
        ({"refine": True}, "refine is True, must be a whole number of steps from 0 to 200"),
        ({"look": 100}, "look is 100, must be from 128 to 4096 pixels, or 0 for none"),
        ({"detail": None}, "detail is None, must be between 0 and 1"),
        ({"strength": "1"}, "strength is '1', must be between 0 and 1.5"),
        ({"color": [0.5]}, "color is [0.5], must be between 0 and 1"),
        ({"texture": 1j}, "texture is 1j, must be between 0 and 1"),
        ({"keep_faces": True}, "keep_faces is True, must be between 0 and 1"),
        ({"strength": np.float32(2)}, "strength is 2.0, must be between 0 and 1.5"),
        ({"transform": ["mk"]}, "transform is ['mk'], must be one of mk, wct, adain"),
        ({"colors": "grey"}, "colors is 'grey', must be one of style, photo, match, only"),
        ({"colors": "only", "refine": 2}, "refine is 2, and with colors='only' nothing is painted; give 0 steps"),
        ({"blend": None}, "blend is None, must be one of barycenter, linear, mixture"),
        ({"refine": "3"}, "refine is '3', must be a whole number of steps from 0 to 200"),
        ({"look": 512.5}, "look is 512.5, must be from 128 to 4096 pixels, or 0 for none"),
        ({"look": None}, "look is None, must be from 128 to 4096 pixels, or 0 for none"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_settings_that_make_no_sense(options, message):
    with pytest.raises(ConfigError) as caught:
        Settings(**options)
    assert str(caught.value) == message


def test_settings_take_every_kind_that_the_types_name():
    for transform, blend in itertools.product(get_args(TransformKind), get_args(BlendKind)):
        assert Settings(transform=transform, blend=blend).blend == blend
    assert [Settings(colors=colors).colors for colors in get_args(ColorsKind)] == ["style", "photo", "match", "only"]


def test_settings_take_the_ends_of_their_ranges():
    for end in (0, 1):
        settings = Settings(strength=end * MAX_STRENGTH, detail=end, color=end, texture=end, keep_faces=end)
        assert settings.strength == end * MAX_STRENGTH


def test_numbers_of_other_libraries_are_settings_too():
    """They become Python's own, which a recipe can be written with."""
    settings = Settings(
        strength=np.float32(0.5), detail=jnp.float32(0.25), color=np.array(1), refine=np.int64(3), look=np.int32(256)
    )
    assert settings == Settings(strength=0.5, detail=0.25, color=1, refine=3, look=256)
    assert {type(getattr(settings, name)) for name in ("strength", "detail")} == {float}
    assert {type(getattr(settings, name)) for name in ("color", "refine", "look")} == {int}


BAD_PICTURES = {
    "nothing": (None, "got NoneType, wanted an array; give wctstyle.images.load"),
    "a path": (Path("sea.jpg"), "got PosixPath, wanted an array; give wctstyle.images.load"),
    "Pillow's": (Image.new("RGB", (8, 8)), "got Image, wanted an array; give wctstyle.images.load"),
    "ragged": ([[[0.0] * 3], [[0.0] * 2]], "got list, wanted an array"),
    "grey": (np.zeros((8, 8), np.float32), r"shape \(8, 8\), wanted height x width x 3"),
    "with alpha": (np.zeros((8, 8, 4), np.float32), r"shape \(8, 8, 4\), wanted"),
    "a batch": (np.zeros((1, 8, 8, 3), np.float32), r"shape \(1, 8, 8, 3\), wanted"),
    "empty": (np.zeros((0, 8, 3), np.float32), r"shape \(0, 8, 3\), wanted"),
    "bytes": (np.zeros((8, 8, 3), np.uint8), "got uint8 values, wanted floats"),
    "not a number": (np.full((8, 8, 3), np.nan, np.float32), "outside .* or not finite"),
    "infinite": (np.full((8, 8, 3), np.inf, np.float32), "outside .* or not finite"),
    "0..255": (np.full((8, 8, 3), 255.0, np.float32), "outside"),
    "negative": (np.full((8, 8, 3), -0.5, np.float32), "outside"),
    "too wide": (np.zeros((1, MAX_SIDE + 1, 3), np.float32), "4097x1 pixels, the longest side rendered is 4096"),
    "too high": (np.zeros((MAX_SIDE + 1, 2, 3), np.float32), "2x4097 pixels, the longest side rendered is 4096"),
}


def test_pictures_as_they_are_loaded_may_be_contents_and_styles(stylizer, photo_64, styles):
    style = picture(48, 48, seed=9)
    made = stylizer.stylize(images.Picture(photo_64), [images.Picture(style)]).image
    np.testing.assert_array_equal(made, stylizer.stylize(photo_64, [style]).image)


@pytest.mark.parametrize(("bad", "message"), BAD_PICTURES.values(), ids=BAD_PICTURES.keys())
def test_bad_pictures_are_refused_by_role(stylizer, photo_64, styles, bad, message):
    if "longest side" not in message:  # photos of any size are painted
        with pytest.raises(ImageError, match=f"^content picture: .*{message}"):
            stylizer.stylize(bad, styles[0])
    with pytest.raises(ImageError, match=f"^style picture: .*{message}"):
        stylizer.stylize(photo_64, [bad])
    with pytest.raises(ImageError, match=f"^content picture: .*{message}"):
        stylizer.reconstruct(bad)


@pytest.mark.parametrize("weight", [-1, -1e-9, float("nan"), float("inf")])
def test_bad_weights_are_refused_by_number(stylizer, photo_64, styles, weight):
    with pytest.raises(ConfigError, match=rf"weight of style 2 is {weight}, must be a number >= 0"):
        stylizer.stylize(photo_64, [(styles[0], 1), (styles[1], weight)])


@pytest.mark.parametrize("none", [[], (), None], ids=str)
def test_no_style_is_an_error(stylizer, photo_64, none):
    with pytest.raises(ConfigError, match="no style given: give at least one"):
        stylizer.stylize(photo_64, none)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (lambda style: (style, 0.5), "style 2 is no picture and no pair"),
        (lambda style: [(style, 0.5, 1)], "style 1 is no picture and no pair"),
        (lambda style: [(style,)], "style 1 is no picture and no pair"),
        (lambda style: [(0.5, style)], "style 1 is no picture and no pair"),
        (lambda style: [(style, None)], "weight of style 1 is None, must be a number >= 0"),
        (lambda style: [(style, "1")], "weight of style 1 is '1', must be a number >= 0"),
        (lambda style: [(style, [1, 2])], "weight of style 1 is"),
        (lambda style: Region(None, style, strength=None), "strength of a region is None, must be a number >= 0"),
        (lambda style: Region(None, [(style, True)]), "weight of style 1 is True, must be a number >= 0"),
    ],
)
def test_what_is_no_style_with_its_weight_is_told(stylizer, photo_64, pair, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        stylizer.stylize(photo_64, pair(photo_64))


def test_a_mask_that_is_no_array_is_told(stylizer, photo_64):
    for mask in (images.load(np.ones((8, 8))), "mask.png"):
        with pytest.raises(ImageError, match=r"^mask: got .*give wctstyle.regions.mask_of"):
            stylizer.stylize(photo_64, Region(mask, photo_64))


@pytest.mark.parametrize(
    "settings", [None, 0.5, {"strength": 1}, OptimizeSettings()], ids=lambda value: type(value).__name__
)
def test_settings_of_another_kind_are_told(stylizer, photo_64, settings):
    with pytest.raises(ConfigError, match=r"^settings is .*, must be Settings\("):
        stylizer.stylize(photo_64, photo_64, settings)


@pytest.mark.parametrize("whose", ["photo", "style"])
def test_a_code_of_another_model_is_told(stylizer, photo_64, styles, whose):
    codes = {"photo": stylizer.content(photo_64), "style": styles[0]}
    wider = codes[whose].moments._replace(mean=jnp.zeros(99))
    codes[whose] = dataclasses.replace(codes[whose], moments=wider)
    with pytest.raises(ConfigError, match="^a code of another model than slim: measure its picture with this one"):
        stylizer.stylize(codes["photo"], codes["style"])


def test_pictures_of_jax_and_lists_of_numbers_are_pictures(stylizer, photo_64, styles):
    want = stylizer.stylize(photo_64, styles[0].pixels).image
    for kind in (jnp.asarray, np.ndarray.tolist):
        np.testing.assert_array_equal(stylizer.stylize(kind(photo_64), jnp.asarray(styles[0].pixels)).image, want)
    weighted = [(jnp.asarray(styles[0].pixels), jnp.float32(2))]
    np.testing.assert_array_equal(stylizer.stylize(photo_64, weighted).image, want)


@pytest.mark.parametrize("model", ["huge", None, ["slim"]], ids=str)
def test_an_unknown_model_is_an_error(model):
    for make in (Stylizer, Optimizer, lambda model: stylize(picture(8, 8), picture(8, 8), model=model)):
        with pytest.raises(ConfigError, match=r"^model is .*, must be one of slim, medium, vgg19"):
            make(model)


@pytest.mark.parametrize("broken", ["encoder/conv1_1", "encoder/conv4_1", "decoder/conv4_1", "decoder/conv1_1"])
def test_broken_weights_give_no_picture(narrow_models, tensors, photo_64, styles, broken):
    kernel = np.full_like(tensors[f"{broken}/kernel"], np.nan)
    stylizer = Stylizer("slim", tensors={**tensors, f"{broken}/kernel": kernel})
    for settings in (Settings(), Settings(strength=0.5, detail=1.0, color=0.5)):
        with pytest.raises(NonFiniteError, match="the stylised picture is not finite"):
            stylizer.stylize(photo_64, styles[0], settings)


# ------------------------------------------------------------------------------------- one call, and its surroundings


def test_one_call_does_what_a_stylizer_does(narrow_models, tensors, stylizer, photo_64, monkeypatch):
    monkeypatch.setattr(weights, "load", lambda name: (tensors, {"asked for": name}))
    painting = picture(64, 64, seed=2)
    got = stylize(photo_64, [(painting, 2.0)], strength=0.7, transform="wct")
    want = stylizer.stylize(photo_64, painting, Settings(strength=0.7, transform="wct")).image
    np.testing.assert_array_equal(got, want)


def test_style_codes_keep_moments_and_pixels(stylizer, photo_64):
    code = stylizer.style(photo_64)
    assert isinstance(code, StyleCode)
    assert code.moments.covariance.shape == (NARROW.code_width,) * 2
    np.testing.assert_array_equal(code.pixels, photo_64)


@pytest.fixture
def cache_settings():
    """Put jax's own settings of the compilation cache back after the test."""
    names = [
        "jax_compilation_cache_dir",
        "jax_persistent_cache_min_compile_time_secs",
        "jax_persistent_cache_min_entry_size_bytes",
    ]
    before = {name: getattr(jax.config, name) for name in names}
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.mark.usefixtures("cache_settings")
class TestCompilationCache:
    def test_it_lies_in_the_users_cache_folder(self, tmp_path, monkeypatch):
        monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
        enable_compilation_cache()
        assert Path(jax.config.jax_compilation_cache_dir) == tmp_path / "wctstyle" / "programs"
        assert (tmp_path / "wctstyle" / "programs").is_dir()

    def test_programs_that_were_not_used_for_long_go_first(self, tmp_path, monkeypatch):
        monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
        monkeypatch.setattr(wctstyle.compilation, "CACHE_BYTES", 250)
        folder = tmp_path / "wctstyle" / "programs"
        folder.mkdir(parents=True)
        for name, used in (("old", 1000), ("new", 3000), ("between", 2000)):
            (folder / name).write_bytes(bytes(100))
            os.utime(folder / name, (used, used))
        enable_compilation_cache()
        assert sorted(path.name for path in folder.iterdir()) == ["between", "new"]

    def test_a_folder_that_was_set_is_kept(self, tmp_path, monkeypatch):
        monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
        jax.config.update("jax_compilation_cache_dir", str(tmp_path / "own"))
        enable_compilation_cache()
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "own")
        assert not (tmp_path / "wctstyle").exists()

    def test_a_folder_that_cannot_be_made_is_done_without(self, tmp_path, monkeypatch):
        monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))

        def refuse(*_args, **_kwargs):
            raise PermissionError(errno.EACCES, "not allowed")

        monkeypatch.setattr(wctstyle.compilation.Path, "mkdir", refuse)
        enable_compilation_cache()
        assert jax.config.jax_compilation_cache_dir is None

    def test_a_damaged_program_is_replaced_and_nothing_said(self, tmp_path):
        script = (
            "import jax\n"
            "from wctstyle.compilation import enable_compilation_cache\n"
            "enable_compilation_cache()\n"
            "jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)\n"
            "jax.jit(lambda x: 2 * x + 1)(1.0)\n"
        )
        variables = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
        variables.pop("JAX_COMPILATION_CACHE_DIR", None)

        def entries():
            done = subprocess.run(
                [sys.executable, "-c", script], env=variables, capture_output=True, text=True, check=True
            )
            assert done.stderr == ""
            return {path: path.read_bytes() for path in tmp_path.rglob("*-cache")}

        before = entries()
        assert before
        for number, (path, data) in enumerate(before.items()):
            path.write_bytes(data[: len(data) // 2] if number % 2 else b"no program")
        assert {path: len(data) for path, data in entries().items()} == pytest.approx(
            {path: len(data) for path, data in before.items()}, rel=0.02
        )

    def test_the_owner_of_a_read_only_folder_may_write_again(self, tmp_path, monkeypatch):
        monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
        folder = tmp_path / "wctstyle" / "programs"
        folder.mkdir(parents=True)
        folder.chmod(0o555)
        temporary = tempfile.TemporaryFile

        def refuse(dir):  # as for a user who is not root
            if not dir.stat().st_mode & 0o200:
                raise PermissionError(errno.EACCES, "Permission denied")
            return temporary(dir=dir)

        monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
        enable_compilation_cache()
        assert folder.stat().st_mode & 0o700 == 0o700

    def test_a_folder_that_stays_read_only_is_told_once_and_read(self, tmp_path, monkeypatch, caplog):
        monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))

        def refuse(**_kwargs):
            raise OSError(errno.EROFS, "Read-only file system")

        monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
        for _ in range(2):
            jax.config.update("jax_compilation_cache_dir", None)
            enable_compilation_cache()
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "wctstyle" / "programs")
        (told,) = [record.getMessage() for record in caplog.records]
        assert "Read-only file system" in told
        assert "JAX_COMPILATION_CACHE_DIR" in told
        assert "\n" not in told
