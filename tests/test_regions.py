"""Regions: how masks share a photo out, and that each part gets its own style, in the pass and in the optimiser."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from feature_strategies import law, seeds
from hypothesis import given
from hypothesis import strategies as st
from narrow import NARROW, picture, quick_compilation, random_tensors

from wctstyle import color, images, pixel_metrics
from wctstyle.encoder import CELL, MODELS
from wctstyle.errors import ConfigError, ImageError
from wctstyle.fitting import fit_part
from wctstyle.inputs import feathered
from wctstyle.moments import measure
from wctstyle.optimizer import Optimizer, OptimizeSettings
from wctstyle.optimizer.job import Job
from wctstyle.optimizer.settings import FACE_WEIGHT
from wctstyle.plan import measured, moved
from wctstyle.refining import to_refine
from wctstyle.regions import FACE, NOWHERE, REST, Dials, Region, Style, mask_of, named_regions, regions_of, shares
from wctstyle.settings import DEFAULT_FEATHER, WHOLE_STYLE, Settings
from wctstyle.stylizer import Stylizer

PLAIN = Settings(keep_faces=0, texture=0)
HEIGHT, WIDTH = 96, 128


@pytest.fixture(scope="module")
def tensors():
    return random_tensors()


@pytest.fixture(scope="module")
def stylizer(tensors):
    with quick_compilation(), pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "slim", NARROW)
        yield Stylizer("slim", tensors=tensors)


@pytest.fixture(scope="module")
def optimizer(stylizer, tensors):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "slim", NARROW)
        yield Optimizer("slim", tensors=tensors)


@pytest.fixture(scope="module")
def photo():
    return 0.2 + 0.6 * picture(HEIGHT, WIDTH, seed=1)


@pytest.fixture(scope="module")
def one():
    return picture(64, 64, seed=2) ** 2


@pytest.fixture(scope="module")
def two():
    return picture(64, 64, seed=3) ** 0.5


def left(share=0.5):
    return (np.arange(WIDTH) < share * WIDTH)[None].repeat(HEIGHT, axis=0).astype(np.float32)


# ----------------------------------------------------------------------------------------------------- the shares


@law
@given(seeds, st.integers(1, 4), st.booleans())
def test_shares_add_up_to_one_or_leave_the_photo(seed, count, rest):
    rng = np.random.default_rng(seed)
    masks = [rng.uniform(size=(5, 7)).astype(np.float32) ** 3 for _ in range(count)]
    regions = [Region(mask, []) for mask in masks] + ([Region(None, [])] if rest else [])
    found = [share for share in shares(regions, 5, 7) if share is not None]
    assert len(found) == len(regions)
    total, wanted = np.sum(found, axis=0), np.sum(masks, axis=0)
    assert all(share.min() >= 0 for share in found)
    np.testing.assert_allclose(total, 1 if rest else np.minimum(wanted, 1), atol=1e-5)
    for share, mask in zip(found, masks, strict=False):
        np.testing.assert_allclose(share, mask / np.maximum(wanted, 1), atol=1e-5)


@pytest.mark.parametrize("kind", [np.float64, np.float32, bool, np.uint8])
def test_masks_may_be_floats_booleans_or_bytes(kind):
    mask = left().astype(bool)
    given_mask = (mask * 255).astype(np.uint8) if kind is np.uint8 else mask.astype(kind)
    np.testing.assert_array_equal(shares([Region(given_mask, [])], HEIGHT, WIDTH)[0], left())


def test_a_mask_of_another_size_is_brought_to_the_photos():
    small = left()[::4, ::4]
    (found,) = shares([Region(small, [])], HEIGHT, WIDTH)
    assert found is not None
    assert found.shape == (HEIGHT, WIDTH)
    assert np.abs(found - left()).mean() < 0.03


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((3, 4, 3), np.float32), "mask: has shape (3, 4, 3), wanted height x width"),
        (np.zeros((0, 4), np.float32), "mask: has shape (0, 4), wanted height x width"),
        (np.full((3, 4), 2.0), "mask: has float values from 2 to 2"),
        (np.full((3, 4), np.nan), "mask: has NaN"),
        (np.zeros((3, 4), np.int32), "mask: has dtype int32"),
    ],
)
def test_bad_masks_are_told(stylizer, photo, one, mask, message):
    with pytest.raises(ImageError) as caught:
        stylizer.stylize(photo, [Region(mask, [one])], PLAIN)
    assert message in str(caught.value)


def test_bad_regions_are_told(one):
    with pytest.raises(ConfigError, match="styles and regions are mixed"):
        regions_of([one, Region(None, [one])])
    with pytest.raises(ConfigError, match="several regions have no mask"):
        regions_of([Region(None, [one]), Region(None, [one])])
    with pytest.raises(ConfigError, match="strength of a region is -1"):
        Region(None, [one], strength=-1)


def test_styles_are_grouped_by_name():
    sky, found = np.ones((2, 2), np.float32), np.ones((3, 3), np.float32)
    styles = [("a", 1.0, ""), ("b", 2.0, "sky"), ("c", 3.0, REST), ("d", 4.0, FACE), ("e", 5.0, "sky")]
    regions = named_regions(styles, {"sky": sky, "sea": sky}, lambda: found)
    assert [(region.mask is None, region.styles) for region in regions] == [
        (True, [("a", 1.0), ("c", 3.0)]),
        (False, [("b", 2.0), ("e", 5.0)]),
        (False, [("d", 4.0)]),
        (False, []),
    ]
    assert regions[2].mask is found
    assert named_regions([("d", 1.0, FACE)], {}, lambda: None)[0].mask is NOWHERE
    assert [region.mask for region in named_regions([("a", 1.0, "")], {}, lambda: 1 / 0)] == [None]


def test_white_counts_and_what_is_transparent_does_not():
    rgba = np.ones((2, 3, 4), np.float32)
    rgba[0, :, :3] = [[0, 0, 0], [0.5, 0.5, 0.5], [1, 1, 1]]
    rgba[1, 1, 3] = 0.25
    np.testing.assert_allclose(mask_of(images.load(rgba)), [[0, 0.5, 1], [1, 0.25, 1]], atol=1e-3)


# ------------------------------------------------------------------------------------------------------- the pass


def test_one_full_mask_is_no_mask(stylizer, photo, one):
    whole = stylizer.stylize(photo, one, Settings(keep_faces=0)).image
    for mask in (np.ones((HEIGHT, WIDTH)), np.ones((1, 1))):
        masked = stylizer.stylize(photo, [Region(mask, [one])], Settings(keep_faces=0)).image
        np.testing.assert_allclose(masked, whole, atol=1e-4)
    np.testing.assert_array_equal(stylizer.stylize(photo, [Region(None, [one])], Settings(keep_faces=0)).image, whole)


def test_the_order_of_regions_does_not_matter(stylizer, photo, one, two):
    regions = [Region(left(), [one]), Region(None, [two])]
    there, back = (stylizer.stylize(photo, order, PLAIN).image for order in (regions, regions[::-1]))
    np.testing.assert_allclose(there, back, atol=1e-4)


def test_hard_regions_have_their_targets_moments(stylizer, photo, one, two):
    """Each region's mapped cells, with its own map, have the moments of its own style."""
    code = stylizer.content(photo, texture=0.0)
    result = stylizer.stylize(photo, [Region(left(), [one]), Region(None, [two])], PLAIN)
    half = WIDTH // 2 // CELL
    for part, style, columns in zip(result.parts, (one, two), (slice(half), slice(half, WIDTH // CELL)), strict=True):
        cells = code.code[:, : HEIGHT // CELL, columns]
        got, want = measure(moved(cells, part.plan.affine, 1.0)), stylizer.measure(style)
        scale = float(np.trace(want.covariance) + np.sum(np.square(want.mean)))
        np.testing.assert_allclose(got.mean, want.mean, atol=1e-3 * scale**0.5)
        np.testing.assert_allclose(np.diag(got.covariance), np.diag(want.covariance), atol=5e-2 * scale)


def test_each_region_looks_like_its_own_style(stylizer, photo, one, two):
    """Away from the edge a region is painted as if it were alone, by its own cells' map."""
    both = stylizer.stylize(photo, [Region(left(), [one]), Region(None, [two])], PLAIN).image
    alone = stylizer.stylize(photo, [Region(left(), [one])], PLAIN).image
    np.testing.assert_allclose(both[:, :32], alone[:, :32], atol=0.02)
    np.testing.assert_allclose(alone[:, 112:], photo[:, 112:], atol=1e-5)  # nobody's part is the photo
    assert np.abs(both[:, 96:] - photo[:, 96:]).mean() > 0.05


def test_a_region_without_styles_is_the_photo(stylizer, photo, one):
    wanted = stylizer.stylize(photo, [Region(1 - left(), [one])], PLAIN).image
    for kept in ([], [(one, 0.0)]):
        found = stylizer.stylize(photo, [Region(left(), kept), Region(None, [one])], PLAIN).image
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    nothing = stylizer.stylize(photo, [Region(left(), [(one, 0.0)])], PLAIN)
    assert nothing.parts == ()
    np.testing.assert_array_equal(nothing.image, photo)


@pytest.mark.parametrize("mask", ["empty", "one pixel", "one column"])
def test_small_regions_give_sense(stylizer, photo, one, two, mask):
    """They change the picture at most where they are, and are planned for with the rest of the photo."""
    plane = np.zeros((HEIGHT, WIDTH), np.float32)
    if mask != "empty":
        plane[slice(None) if mask == "one column" else 40, 20] = 1
    with_it = stylizer.stylize(photo, [Region(plane, [two]), Region(None, [one])], PLAIN).image
    without = stylizer.stylize(photo, one, PLAIN).image
    assert np.isfinite(with_it).all()
    np.testing.assert_allclose(with_it[:, 80:], without[:, 80:], atol=0.03)


def test_the_strength_of_a_region_is_that_of_the_settings_times_its_own(stylizer, photo, one, two):
    whole = [Region(left(), [one]), Region(None, [two])]
    dimmed = [Region(left(), [one], strength=0.5), Region(None, [two], strength=0.5)]
    np.testing.assert_allclose(
        stylizer.stylize(photo, dimmed, PLAIN).image,
        stylizer.stylize(photo, whole, replace(PLAIN, strength=0.5)).image,
        atol=1e-5,
    )
    kept = [Region(left(), [one], strength=0), Region(None, [two])]
    np.testing.assert_allclose(
        stylizer.stylize(photo, kept, PLAIN).image,
        stylizer.stylize(photo, [Region(left(), []), Region(None, [two])], PLAIN).image,
        atol=1e-5,
    )


def test_strength_0_and_the_own_style_are_the_photo(stylizer, photo, one, two):
    regions = [Region(left(0.4), [one]), Region(None, [two])]
    np.testing.assert_array_equal(stylizer.stylize(photo, regions, replace(PLAIN, strength=0)).image, photo)
    own = [Region(None, [photo])]
    assert pixel_metrics.psnr(stylizer.stylize(photo, own, PLAIN).image, photo) >= 26


def test_faces_in_regions_take_their_regions_colours(stylizer, photo, one, two, monkeypatch):
    monkeypatch.setattr("wctstyle.codes.face_map", lambda rgb: np.ones(rgb.shape[:2], np.float32))
    settings = Settings(keep_faces=1, texture=0)
    fresh = 0.9 * photo
    both = stylizer.stylize(fresh, [Region(left(), [one]), Region(None, [two])], settings).image
    alone = stylizer.stylize(fresh, [Region(left(), [one])], settings).image
    np.testing.assert_allclose(both[:, :16], alone[:, :16], atol=0.02)
    other = stylizer.stylize(fresh, [Region(left(), [two]), Region(None, [two])], settings).image
    np.testing.assert_allclose(both[:, 112:], other[:, 112:], atol=0.1)
    assert np.abs(both[:, :32] - other[:, :32]).mean() > 0.02


def test_regions_are_the_same_in_large_pictures(stylizer, photo, one, two):
    large = images.resize_planes(photo, height=2 * HEIGHT, width=2 * WIDTH)
    regions = [Region(left(), [one]), Region(None, [two])]
    fine = stylizer.stylize(large, regions, Settings(keep_faces=0, look=128)).image
    small = stylizer.stylize(
        images.resize_planes(large, height=HEIGHT, width=WIDTH),
        [replace(region, styles=[images.resize_planes(style, height=32, width=32)])
         for region, style in zip(regions, (one, two), strict=True)],
        Settings(keep_faces=0, look=128),
    ).image  # fmt: skip
    thumbs = [images.resize_planes(image, height=24, width=32) for image in (fine, small)]
    assert 255 * np.abs(thumbs[0] - thumbs[1]).mean() < 6


def test_large_pictures_keep_the_photo_outside_of_all_regions(stylizer, photo, one):
    large = images.resize_planes(photo, height=2 * HEIGHT, width=2 * WIDTH)
    image = stylizer.stylize(large, [Region(left(0.3), [one])], Settings(keep_faces=0, look=128)).image
    np.testing.assert_allclose(image[:, 200:], large[:, 200:], atol=1e-4)
    assert np.abs(image - large)[:, :48].mean() > 0.05


def test_a_region_is_measured_by_its_share(stylizer, photo):
    code = stylizer.content(photo, texture=0.0)
    cells = np.zeros((1, HEIGHT // CELL, WIDTH // CELL, 1), np.float32)
    cells[:, :8, :8] = 1
    measure_region = jax.jit(measured)
    padded = np.zeros((*code.code.shape[:3], 1), np.float32)
    padded[:, : HEIGHT // CELL, : WIDTH // CELL] = cells
    found = measure_region(code.code, HEIGHT, WIDTH, padded, code.moments)
    want = measure(code.code[:, :8, :8])
    for a, b in zip(found, want, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4 * max(1, float(np.abs(b).max())))
    padded[:, 7] = 0  # 56 cells, and 8 of the whole photo's
    small, own = measure_region(code.code, HEIGHT, WIDTH, padded, code.moments), measure(code.code[:, :7, :8])
    np.testing.assert_allclose(small.mean, (56 * own.mean + 8 * code.moments.mean) / 64, atol=1e-4)
    nothing = measure_region(code.code, HEIGHT, WIDTH, 0 * padded, code.moments)
    np.testing.assert_allclose(nothing.mean, code.moments.mean, atol=1e-5)


# -------------------------------------------------------------------------------------------------- the optimiser

SHORT = OptimizeSettings(steps=6, init="content", smallest=WIDTH, keep_faces=0)


def last(iterates):
    return list(iterates)[-1]


@pytest.mark.parametrize("statistic", ["gram", "moments"])
def test_a_full_mask_optimises_as_none(optimizer, photo, one, statistic):
    settings = replace(SHORT, statistic=statistic, steps=2)
    plain = last(optimizer.run(photo, [(one, 1.0)], settings))
    masked = last(optimizer.run(photo, [Region(np.ones((2, 2)), [(one, 1.0)])], settings))
    np.testing.assert_allclose(masked.image, plain.image, atol=2e-3)
    for name, value in plain.losses.items():
        assert masked.losses[name] == pytest.approx(value, rel=1e-2, abs=1e-4), name


@pytest.mark.parametrize("statistic", ["gram", "moments"])
def test_each_region_comes_closer_to_its_own_style(optimizer, photo, one, two, statistic):
    settings = replace(SHORT, statistic=statistic, steps=10, content_weight=0.01, tv_weight=0)
    regions = [Region(left(), [(one, 1.0)]), Region(None, [(two, 1.0)])]
    image = last(optimizer.run(photo, regions, settings)).image
    halves = (slice(0, 56), slice(72, None))
    for part, style in zip(halves, (one, two), strict=True):
        before, after = (optimizer.figures(x[:, part], x[:, part], [(style, 1.0)])["style"] for x in (photo, image))
        assert after < before


def test_outside_of_all_regions_the_photo_stays(optimizer, photo, one):
    image = last(optimizer.run(photo, [Region(left(0.3), [(one, 1.0)])], SHORT)).image
    np.testing.assert_array_equal(image[:, 48:], photo[:, 48:])
    assert np.abs(image - photo)[:, :32].mean() > 0.01


def test_what_cannot_be_optimised_is_told(optimizer, photo, one):
    with pytest.raises(ConfigError, match="there is no style to optimise for"):
        optimizer.run(photo, [Region(left(), [(one, 0.0)])], SHORT)
    with pytest.raises(ConfigError, match="no region with a style covers any of the photo"):
        optimizer.run(photo, [Region(0 * left(), [(one, 1.0)])], SHORT)
    for nothing in ([], [Region(left(), [])]):
        with pytest.raises(ConfigError, match="no style given"):
            optimizer.run(photo, nothing, SHORT)


def test_figures_of_regions_are_means_by_area(optimizer, photo, one, two):
    halves = [Region(left(), [(one, 1.0)]), Region(None, [(two, 1.0)])]
    alone = [optimizer.figures(photo, photo, [replace(half, mask=mask)])["style"]
             for half, mask in zip(halves, (left(), 1 - left()), strict=True)]  # fmt: skip
    assert optimizer.figures(photo, photo, halves)["style"] == pytest.approx(np.mean(alone), rel=1e-4)


def test_a_state_belongs_to_its_masks(optimizer, photo, one, tmp_path):
    state = tmp_path / "state.safetensors"
    run = optimizer.run(photo, [Region(left(), [(one, 1.0)])], SHORT, checkpoint=state)
    next(run)
    run.close()
    with pytest.raises(ConfigError, match="cannot go on, as these changed: the styles"):
        optimizer.run(photo, [Region(left(0.6), [(one, 1.0)])], SHORT, resume=state)
    whole = last(optimizer.run(photo, [Region(left(), [(one, 1.0)])], SHORT))
    again = last(optimizer.run(photo, [Region(left(), [(one, 1.0)])], SHORT, resume=state))
    np.testing.assert_array_equal(again.image, whole.image)


def test_a_region_that_is_nowhere_is_not_refined(stylizer, optimizer, photo, one):
    stylizer._optimizer = optimizer
    nowhere = [Region(0 * left(), [one])]
    np.testing.assert_allclose(stylizer.stylize(photo, nowhere, replace(PLAIN, refine=3)).image, photo, atol=1e-5)


def test_refining_keeps_to_the_regions(stylizer, optimizer, photo, one):
    stylizer._optimizer = optimizer
    regions = [Region(left(0.3), [one])]
    plain, refined = (stylizer.stylize(photo, regions, replace(PLAIN, refine=n)).image for n in (0, 3))
    assert np.abs(refined - plain)[:, :32].mean() > 1e-3
    np.testing.assert_array_equal(refined[:, 48:], photo[:, 48:])


# ------------------------------------------------------------------------------------------------ the styles' own parts

TOP = np.repeat(np.arange(128) < 64, 64).reshape(128, 64).astype(np.float32)


@pytest.fixture(scope="module")
def both(one, two):
    """One picture that has the one style above and the other below."""
    return np.concatenate([0.4 * one, 0.6 + 0.4 * two])


def apart(got, want):
    """Return the distance of moments as a share of what is wanted."""
    return float(np.linalg.norm(got.mean - want.mean) / np.linalg.norm(want.mean))


def test_a_part_of_a_style_has_its_own_moments(stylizer, both):
    """Apart from the cells beside the border, which see across it."""
    for mask, own, other in ((TOP, both[:64], both[64:]), (1 - TOP, both[64:], both[:64])):
        found = stylizer.style(both, mask).moments
        assert apart(found, stylizer.measure(own)) < 0.2 * apart(stylizer.measure(other), stylizer.measure(own))
    whole = stylizer.measure(both)
    for even in (np.full((3, 3), 0.5), np.ones((128, 64), bool)):
        np.testing.assert_allclose(stylizer.style(both, even).moments.mean, whole.mean, atol=1e-4)
    grey = stylizer.style(both, 0.25 + 0.75 * TOP).moments  # 0.8 of what counts is above
    parts = [stylizer.style(both, mask).moments.mean for mask in (TOP, 1 - TOP)]
    np.testing.assert_allclose(grey.mean, 0.8 * parts[0] + 0.2 * parts[1], atol=1e-3)


def test_a_part_of_a_style_is_measured_once(stylizer, both):
    assert stylizer.style(both, TOP) is stylizer.style(both.copy(), TOP.copy())
    assert stylizer.style(both, TOP) is not stylizer.style(both, 1 - TOP)
    assert stylizer.style(both, TOP) is not stylizer.style(both)


def test_regions_take_parts_of_one_picture(stylizer, optimizer, photo, both):
    """In the pass, refined and optimised: the same picture gives each region another style."""
    stylizer._optimizer = optimizer

    def refined(styles):
        return stylizer.stylize(photo, styles, replace(PLAIN, refine=3)).image

    def optimised(styles):
        return last(optimizer.run(photo, styles, SHORT)).image

    for made in (lambda styles: stylizer.stylize(photo, styles, PLAIN).image, refined, optimised):
        wanted, whole = made([Region(left(), both[:64]), Region(None, both[64:])]), made(both)
        codes = [stylizer.style(both, mask) for mask in (TOP, 1 - TOP)]
        parts = [Style(both, TOP), Style(both, 1 - TOP)]
        for upper, lower in (parts, codes) if made is not optimised else (parts,):
            found = made([Region(left(), upper), Region(None, [(lower, 2.0)])])
            assert np.abs(found - wanted).mean() < 0.35 * np.abs(whole - wanted).mean()


def test_refining_has_the_parts_and_the_detail_of_regions(stylizer, photo, both):
    regions = [Region(left(), Style(both, TOP), detail=0.3), Region(None, stylizer.style(both, TOP))]
    wanted = to_refine(photo.shape, regions, replace(PLAIN, refine=3, detail=0.7))
    assert [region.detail for region in wanted] == [0.3, 0.7]
    for region in wanted:
        np.testing.assert_array_equal(region.styles[0][0].mask, TOP)
    (thin,) = to_refine(photo.shape, [Region(None, Style(both[:20], TOP[:20]))], replace(PLAIN, refine=3))
    assert thin.styles[0][0].mask.shape == thin.styles[0][0].picture.shape[:2] == (32, 64)


def test_a_measured_style_may_be_given_another_part(stylizer, photo, both):
    code = stylizer.style(both, TOP)
    found, wanted = (
        stylizer.stylize(photo, style, PLAIN).image for style in (Style(code, 1 - TOP), Style(both, 1 - TOP))
    )
    np.testing.assert_array_equal(found, wanted)


def test_parts_hold_in_large_pictures(stylizer, photo, both):
    large = images.resize_planes(photo, height=2 * HEIGHT, width=2 * WIDTH)
    wide = [images.resize_planes(style, height=4 * len(style), width=256) for style in (both, both[:64])]
    settings = Settings(keep_faces=0, look=128)
    found, wanted, whole = (
        stylizer.stylize(large, style, settings).image for style in (Style(wide[0], TOP), wide[1], wide[0])
    )
    assert np.abs(found - wanted).mean() < 0.3 * np.abs(whole - wanted).mean()


def test_a_small_part_is_measured_with_the_rest(stylizer, optimizer, photo, both):
    """So that one pixel gives no style of one colour."""
    pixel = np.zeros((128, 64), np.float32)
    pixel[30, 30] = 1
    found, whole = stylizer.style(both, pixel).moments, stylizer.measure(both)
    np.testing.assert_allclose(found.mean, whole.mean, atol=2e-3)
    few = np.zeros((128, 64), np.float32)
    few[:32] = 1  # 32 cells of 128: as much again comes from all of them
    corner = stylizer.style(both[:32].copy()).moments.mean
    assert apart(stylizer.style(both, few).moments, stylizer.measure(both[:32].copy())) > 0
    assert np.linalg.norm(stylizer.style(both, few).moments.mean - corner) < np.linalg.norm(whole.mean - corner)
    image = last(optimizer.run(photo, [(Style(both, pixel), 1.0)], SHORT)).image
    np.testing.assert_allclose(image, last(optimizer.run(photo, [(both, 1.0)], SHORT)).image, atol=0.02)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((3, 4), np.float32), "style mask: is black wherever the style is, so nothing of it counts"),
        (np.ones((3, 4, 3), np.float32), "style mask: has shape (3, 4, 3), wanted height x width"),
        (np.full((3, 4), 2.0), "style mask: has float values from 2 to 2"),
        ("mask.png", "style mask: got str, wanted an array"),
    ],
)
def test_bad_masks_of_styles_are_told(stylizer, optimizer, photo, both, mask, message):
    for run in (
        lambda: stylizer.stylize(photo, Style(both, mask), PLAIN),
        lambda: optimizer.run(photo, Style(both, mask), SHORT),
    ):
        with pytest.raises(ImageError) as caught:
            run()
        assert message in str(caught.value)


def test_the_mask_of_a_cut_out_style_is_that_of_its_canvas(stylizer, both):
    canvas, opacity, mask = np.zeros((200, 100, 3), np.float32), np.zeros((200, 100)), np.zeros((200, 100))
    canvas[40:168, 20:84], opacity[40:168, 20:84], mask[40:104] = both, 1, 1
    found = stylizer.style(images.load(np.dstack([canvas, opacity])), mask).moments
    np.testing.assert_allclose(found.mean, stylizer.style(both, TOP).moments.mean, atol=1e-3)


def test_a_state_belongs_to_the_parts_of_its_styles(optimizer, photo, both, tmp_path):
    state = tmp_path / "state.safetensors"
    run = optimizer.run(photo, Style(both, TOP), SHORT, checkpoint=state)
    next(run)
    run.close()
    with pytest.raises(ConfigError, match="cannot go on, as these changed: the styles"):
        optimizer.run(photo, Style(both, 1 - TOP), SHORT, resume=state)


# ---------------------------------------------------------------------------------------------------- dials of regions


def test_a_region_has_detail_and_texture_of_its_own(stylizer, optimizer, photo, one):
    """On its side it is as with the settings' own; on the other as without."""
    stylizer._optimizer = optimizer
    plain = photo.copy()
    plain[:, ::4] = plain[:, :1]
    plain[48:] = 0.5
    for name, value, settings in (
        ("detail", 1.0, PLAIN),
        ("texture", 1.0, PLAIN),
        ("detail", 0.0, replace(PLAIN, detail=1.0)),
        ("texture", 0.0, replace(PLAIN, texture=1.0)),
        ("detail", 1.0, replace(PLAIN, refine=3)),
    ):
        regions = [Region(left(), one, **{name: value}), Region(1 - left(), one)]
        alike = [Region(left(), one), Region(1 - left(), one)]
        found = stylizer.stylize(plain, regions, settings).image
        without = stylizer.stylize(plain, alike, settings).image
        everywhere = stylizer.stylize(plain, alike, replace(settings, **{name: value})).image
        both_sides = [np.abs(found - other)[:, part].mean() for part in (slice(0, 40), slice(88, None))
                      for other in (everywhere, without)]  # fmt: skip
        assert both_sides[0] < 0.35 * both_sides[1], (name, value)
        assert both_sides[3] < 0.35 * both_sides[2], (name, value)


def test_the_photo_weighs_more_in_regions_with_detail_and_on_faces(optimizer, photo, one):
    regions = [Region(left(), one, detail=1.0), Region(None, one)]
    faces = np.zeros((HEIGHT, WIDTH), np.float32)
    faces[:48] = 0.5
    job = Job.checked(photo, regions, replace(SHORT, keep_faces=0.2), None, faces, resumed=True)
    on_faces = 1 + 0.5 * 0.2 * FACE_WEIGHT
    corners = 1 + job.emphasis[[0, 0, -1, -1], [0, -1, 0, -1]]
    np.testing.assert_allclose(corners, [4 * on_faces, on_faces, 4, 1], rtol=1e-5)
    (term, *_) = optimizer.programs.objective(job, (HEIGHT, WIDTH))
    np.testing.assert_allclose(term.emphasis[0, [0, 0, -1, -1], [0, -1, 0, -1], 0], corners, rtol=1e-4)


def test_texture_by_pixel_is_encoded_once(stylizer, photo, one):
    regions = [Region(left(), one, texture=1.0), Region(None, one)]
    stylizer.stylize(photo, regions, replace(PLAIN, strength=0.6))
    traced, known = dict(stylizer.traces), stylizer.cache.total
    stylizer.stylize(photo, regions, replace(PLAIN, strength=0.5))
    assert (stylizer.traces, stylizer.cache.total) == (traced, known)


def halves(*styles, **own):
    return [Region(left(), styles[0], **own), Region(None, styles[1])]


LEFT, RIGHT = np.s_[:, : WIDTH // 2], np.s_[:, WIDTH // 2 :]


@pytest.mark.parametrize("look", [0, 64])
@pytest.mark.parametrize("dials", [{"colors": "photo"}, {"color": 0.3}, {"colors": "photo", "color": 0.5}])
def test_a_region_keeps_its_own_share_of_the_photos_colors(stylizer, photo, one, two, look, dials):
    settings = replace(PLAIN, look=0)
    if look:
        settings = replace(PLAIN, look=128)
        photo = images.resize_planes(photo, height=2 * HEIGHT, width=2 * WIDTH)
    whole = stylizer.stylize(photo, halves(one, two), settings).image
    found = stylizer.stylize(photo, halves(one, two, **dials), settings).image
    share = 1.0 if dials.get("colors") == "photo" else 1 - dials["color"]
    middle, near = photo.shape[1] // 2, 8 if look else 0  # an enlarged mask is soft at its border
    want = color.original_colors(whole, photo, share=share)
    np.testing.assert_allclose(found[:, : middle - near], want[:, : middle - near], atol=1e-5)
    np.testing.assert_allclose(found[:, middle + near :], whole[:, middle + near :], atol=1e-5)


def test_regions_with_the_colors_of_the_picture_are_as_without(stylizer, photo, one, two):
    for settings in (replace(PLAIN, colors="photo"), replace(PLAIN, colors="match", color=0.4)):
        want = stylizer.stylize(photo, halves(one, two), settings).image
        own = {"colors": settings.colors, "color": settings.color}
        regions = [replace(region, **own) for region in halves(one, two)]
        np.testing.assert_array_equal(stylizer.stylize(photo, regions, PLAIN).image, want)


def test_only_the_styles_of_a_region_are_matched(stylizer, photo, one, two):
    goal = color.colors_of(photo, np.asarray(halves(one, two)[0].mask, np.float32))
    want = stylizer.stylize(photo, halves(color.with_colors(one, goal), two), PLAIN).image
    found = stylizer.stylize(photo, halves(one, two, colors="match"), PLAIN).image
    np.testing.assert_allclose(found, want, atol=1e-4)


@pytest.mark.parametrize("settings", [PLAIN, Settings(keep_faces=0, look=128), replace(PLAIN, strength=0.6)])
def test_the_photo_of_a_region_is_recolored_alone(stylizer, photo, one, two, settings):
    if settings.look == 128:
        photo = images.resize_planes(photo, height=2 * HEIGHT, width=2 * WIDTH)
    middle = photo.shape[1] // 2
    found = stylizer.stylize(photo, halves(one, two, colors="only", texture=1.0), settings).image
    plain = replace(settings, texture=0.0, look=0)
    only = stylizer.stylize(photo, [halves(one, two)[0]], replace(plain, colors="only")).image
    near = 8 if settings.look else 0  # the small picture's border is as soft as its pixels are large
    np.testing.assert_allclose(found[:, : middle - near], only[:, : middle - near], atol=0.06 if near else 1e-5)
    painted = stylizer.stylize(photo, halves(one, two, strength=0.0), settings).image
    far = middle + (64 if near else 2)
    np.testing.assert_allclose(found[:, far:], painted[:, far:], atol=0.05 if near else 1e-4)


def test_nothing_is_painted_where_all_regions_are_recolored(stylizer, photo, one, two):
    regions = [replace(region, colors="only") for region in halves(one, two)]
    want = stylizer.stylize(photo, halves(one, two), replace(PLAIN, colors="only")).image
    np.testing.assert_array_equal(stylizer.stylize(photo, regions, Settings()).image, want)


def test_colors_of_regions_are_refined(stylizer, optimizer, photo, one, two, monkeypatch):
    monkeypatch.setattr(stylizer, "_optimizer", optimizer)
    settings = replace(PLAIN, refine=2)
    found = stylizer.stylize(photo, halves(one, two, colors="only"), settings).image
    only = stylizer.stylize(photo, halves(one, two, colors="only"), PLAIN).image
    np.testing.assert_allclose(found[LEFT], only[LEFT], atol=1e-5)
    assert np.abs(found[RIGHT] - only[RIGHT]).max() > 0.01
    own = stylizer.stylize(photo, halves(one, two, colors="photo"), settings).image
    ab = color.rgb_to_oklab(own)[..., 1:] - color.rgb_to_oklab(photo.astype(own.dtype))[..., 1:]
    assert np.abs(ab[LEFT]).mean() < 0.005 < np.abs(ab[RIGHT]).mean()


def test_the_optimiser_has_colors_of_regions(optimizer, photo, one, two):
    settings = OptimizeSettings(steps=5, init="noise", keep_faces=0)
    *_, last = optimizer.run(photo, halves(one, two, colors="photo"), settings)
    ab = color.rgb_to_oklab(last.image)[..., 1:] - color.rgb_to_oklab(photo.astype(last.image.dtype))[..., 1:]
    assert np.abs(ab[LEFT]).mean() < 0.005 < np.abs(ab[RIGHT]).mean()
    with pytest.raises(ConfigError, match="colors of a region is 'only', which paints nothing to optimise"):
        next(iter(optimizer.run(photo, halves(one, two, colors="only"), settings)))


def test_bad_dials_are_told():
    for name, value, message in (
        ("detail", 2, "detail of a region is 2, must be between 0 and 1"),
        ("texture", "much", "texture of a region is 'much'"),
        ("strength", float("nan"), "strength of a region is nan"),
    ):
        with pytest.raises(ConfigError, match=message):
            Region(None, [], **{name: value})


def test_dials_are_given_by_name():
    regions = named_regions(
        [("a", 1.0, ""), ("b", 1.0, "sky")], {"sky": left()}, lambda: None, {"sky": Dials(detail=1)}
    )
    assert [(region.detail, region.strength) for region in regions] == [(None, 1.0), (1, 1.0)]


# -------------------------------------------------------------------------------------------------------- soft borders


def steps_at(image, column):
    """Return the step of the mean light across a border, and the usual one around it."""
    steps = np.abs(np.diff(image.mean(2), axis=1)).mean(0)
    return steps[column - 1], np.median(steps[column - 20 : column + 20])


def test_soft_masks_stay_in_place_and_still_add_up(photo):
    """A border stays where it was, and masks that shared the photo out still do."""
    thirds = [left(1 / 4), left(3 / 4) - left(1 / 4), 1 - left(3 / 4)]
    soft = [feathered(mask, images.load(photo), 0.02) for mask in thirds]
    np.testing.assert_allclose(np.sum(soft, axis=0), 1, atol=1e-5)
    edge = WIDTH // 4
    np.testing.assert_allclose(soft[0][:, edge - 1] + soft[0][:, edge], 1, atol=1e-3)
    assert 0.55 < soft[0][0, edge - 1] < 0.7
    assert soft[0][0, edge + 16] == pytest.approx(0, abs=1e-4)
    np.testing.assert_array_equal(feathered(thirds[0], images.load(photo), 0), thirds[0])


def test_a_soft_border_is_as_wide_for_every_size_of_mask_and_canvas(photo):
    found = feathered(left(), images.load(photo), 0.02)
    coarse = feathered(left()[::8, ::8], images.load(photo), 0.02)
    np.testing.assert_allclose(coarse, found, atol=0.25)  # Lanczos blurs it too
    canvas = np.zeros((HEIGHT, 3 * WIDTH, 4), np.float32)
    canvas[:, WIDTH : 2 * WIDTH] = np.dstack([photo, np.ones((HEIGHT, WIDTH))])
    wide = np.pad(left(), ((0, 0), (WIDTH, WIDTH)), mode="edge")
    np.testing.assert_allclose(feathered(wide, images.load(canvas), 0.02)[:, WIDTH : 2 * WIDTH], found, atol=1e-3)


def test_a_border_has_no_seam(optimizer, photo, one):
    """A hard mask leaves one, where the result meets the photo."""
    smooth = images.resize_planes(photo[::16, ::16], height=HEIGHT, width=WIDTH)
    hard, soft = (
        last(optimizer.run(smooth, [Region(mask, 0.2 * one)], replace(SHORT, steps=20, content_weight=0))).image
        for mask in (left(), feathered(left(), images.load(smooth), DEFAULT_FEATHER))
    )
    at, usual = steps_at(hard, WIDTH // 2)
    assert at > 3 * usual
    at, usual = steps_at(soft, WIDTH // 2)
    assert at < 1.5 * usual


def test_the_mask_of_a_sampled_style_is_sampled_by_the_same_pieces():
    """The picture is its own mask: after both were sampled it still is."""
    plane = np.zeros((300, 400), np.float32)
    plane[50:220, 120:300] = 1
    own = images.Picture(np.repeat(plane[..., None], 3, axis=2))
    part = fit_part(own, 4000, 512, plane)
    assert max(part.picture.shape) == WHOLE_STYLE
    np.testing.assert_allclose(part.mask, part.picture[..., 0], atol=1e-5)
    whole = fit_part(own, 600, 512, plane)
    np.testing.assert_allclose(whole.mask, whole.picture[..., 0], atol=1e-5)
