"""Colour spaces against published values and an independent float64 inverse; the laws of keeping colours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wctstyle import color
from wctstyle.errors import ImageError

#: Ottosson 2020 as printed: Lab to cube-rooted LMS, LMS to linear sRGB.
PRINTED_LMS_FROM_LAB = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
PRINTED_LINEAR_FROM_LMS = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)

#: sRGB in 8 bits and Oklab, as CSS Color 4 implementations print them (https://www.w3.org/TR/css-color-4/#ok-lab).
KNOWN_OKLAB = {
    (255, 255, 255): (1.0, 0.0, 0.0),
    (0, 0, 0): (0.0, 0.0, 0.0),
    (255, 0, 0): (0.62796, 0.22486, 0.12585),
    (0, 255, 0): (0.86644, -0.23389, 0.17950),
    (0, 0, 255): (0.45201, -0.03246, -0.31153),
}


def random_rgb(seed: int, dtype: type = np.float64, shape: tuple[int, ...] = (9, 7, 3)) -> np.ndarray:
    return np.random.default_rng(seed).random(shape).astype(dtype)


def test_transfer_curve_has_the_standards_values():
    encoded = np.array([0.0, 0.04045, 0.5, 1.0])
    linear = np.array([0.0, 0.0031308, 0.21404114, 1.0])
    np.testing.assert_allclose(color.srgb_to_linear(encoded), linear, atol=1e-7)
    np.testing.assert_allclose(color.linear_to_srgb(linear), encoded, atol=1e-6)


@given(st.floats(-2, 2))
def test_transfer_curve_is_odd_and_inverts(value: float):
    array = np.array([value, -value])
    there = color.srgb_to_linear(array)
    assert there[0] == -there[1]
    np.testing.assert_allclose(color.linear_to_srgb(there), array, atol=2e-6)  # the standard's break: 8e-7 off


def test_transfer_curve_rises_everywhere():
    encoded = np.linspace(0, 1, 100_001)
    assert np.all(np.diff(color.srgb_to_linear(encoded)) > 0)
    assert np.all(np.diff(color.linear_to_srgb(encoded)) > 0)


@pytest.mark.parametrize(("rgb", "lab"), KNOWN_OKLAB.items())
def test_oklab_of_known_colors(rgb: tuple[int, ...], lab: tuple[float, ...]):
    np.testing.assert_allclose(color.rgb_to_oklab(np.array(rgb) / 255), lab, atol=2e-5)


def test_oklab_inverse_agrees_with_the_printed_one():
    lab = color.rgb_to_oklab(random_rgb(0))
    linear = (lab @ PRINTED_LMS_FROM_LAB.T) ** 3 @ PRINTED_LINEAR_FROM_LMS.T
    # ten printed digits, amplified by the steepest part of the transfer curve
    np.testing.assert_allclose(color.oklab_to_rgb(lab), color.linear_to_srgb(linear), atol=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 2e-6), (np.float32, 2e-5)])
def test_oklab_round_trip_keeps_dtype_and_color(dtype: type, tolerance: float):
    rgb = random_rgb(1, dtype)
    lab = color.rgb_to_oklab(rgb)
    back = color.oklab_to_rgb(lab)
    assert lab.dtype == back.dtype == color.lightness_grey(rgb).dtype == dtype
    np.testing.assert_allclose(back, rgb, atol=tolerance)


def test_oklab_to_rgb_does_not_clip():
    assert color.oklab_to_rgb(np.array([0.5, 0.4, 0.0])).min() < -0.1


def test_a_grey_of_the_same_lightness_takes_the_colours_back():
    grey = np.linspace(0, 1, 9)[:, None, None] * np.ones(3)
    np.testing.assert_allclose(color.lightness_grey(grey), grey[..., 0], atol=1e-4)
    pure = np.array([[[1.0, 0, 0], [0, 0, 1.0], [1.0, 0, 1.0], [0, 1.0, 0]]])
    back = color.original_colors(np.repeat(color.lightness_grey(pure)[..., None], 3, axis=2), pure)
    np.testing.assert_allclose(back, pure, atol=2e-3)


def test_original_colors_of_the_content_itself_is_the_content():
    rgb = random_rgb(2, np.float32)
    np.testing.assert_allclose(color.original_colors(rgb, rgb), rgb, atol=1e-3)


def test_original_colors_takes_lightness_from_one_and_hue_from_the_other():
    # Muted colours near the middle: every combination exists, so nothing is compressed.
    stylized, content = (0.4 + 0.2 * random_rgb(seed) for seed in (3, 4))
    lab = color.rgb_to_oklab(color.original_colors(stylized, content))
    np.testing.assert_allclose(lab[..., 0], color.rgb_to_oklab(stylized)[..., 0], atol=1e-5)
    np.testing.assert_allclose(lab[..., 1:], color.rgb_to_oklab(content)[..., 1:], atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_original_colors_outside_the_gamut_lose_chroma_only(dtype: type):
    stylized, content = (random_rgb(seed, dtype, (40, 40, 3)) for seed in (5, 6))
    result = color.original_colors(stylized, content)
    assert result.dtype == dtype
    assert result.min() >= 0
    assert result.max() <= 1
    got, light, hue = (color.rgb_to_oklab(rgb) for rgb in (result, stylized, content))
    np.testing.assert_allclose(got[..., 0], light[..., 0], atol=2e-3)
    kept, wanted = (np.hypot(lab[..., 1], lab[..., 2]) for lab in (got, hue))
    assert np.all(kept <= wanted + 2e-3)
    assert np.mean(kept < wanted - 0.01) > 0.1  # some are outside, or this test shows nothing
    cross = got[..., 1] * hue[..., 2] - got[..., 2] * hue[..., 1]
    np.testing.assert_allclose(cross, 0, atol=2e-3)


def test_original_colors_compresses_no_more_than_it_must():
    stylized = np.full((1, 1, 3), 0.9)
    content = np.array([[[0.0, 0.0, 1.0]]])
    result = color.original_colors(stylized, content)
    assert min(result.min(), 1 - result.max()) < 0.002  # on the gamut's edge


@given(st.floats(0, 1))
def test_a_share_of_the_original_colors_lies_between_them_and_the_styles(share: float):
    # Muted colours near the middle: every combination exists, so nothing is compressed.
    stylized, content = (0.4 + 0.2 * random_rgb(seed) for seed in (3, 4))
    got, own, photo = (
        color.rgb_to_oklab(rgb) for rgb in (color.original_colors(stylized, content, share=share), stylized, content)
    )
    np.testing.assert_allclose(got[..., 0], own[..., 0], atol=1e-5)
    np.testing.assert_allclose(got[..., 1:], (1 - share) * own[..., 1:] + share * photo[..., 1:], atol=1e-5)


def test_none_of_the_original_colors_is_the_stylised_picture():
    stylized, content = (random_rgb(seed, np.float32) for seed in (5, 6))
    np.testing.assert_array_equal(color.original_colors(stylized, content, share=0.0), stylized)
    whole = color.original_colors(stylized, content, share=1.0)
    np.testing.assert_array_equal(color.original_colors(stylized, content), whole)


def test_luma_weighs_the_channels_and_keeps_grey():
    assert color.luma(np.eye(3)) == pytest.approx([0.299, 0.587, 0.114])
    grey = np.repeat(random_rgb(7, np.float32, (5, 6, 1)), 3, axis=-1)
    np.testing.assert_allclose(color.luma(grey), grey[..., 0], rtol=1e-6)
    assert color.luma(grey).dtype == np.float64


def test_original_colors_of_a_grey_photo_is_grey():
    content = np.repeat(random_rgb(7, shape=(5, 6, 1)), 3, axis=-1)
    result = color.original_colors(random_rgb(8, shape=(5, 6, 3)), content)
    np.testing.assert_allclose(result, np.repeat(result[..., :1], 3, axis=-1), atol=1e-5)


def test_original_colors_of_extremes_stays_finite():
    black, white = np.zeros((2, 2, 3)), np.ones((2, 2, 3))
    np.testing.assert_allclose(color.original_colors(black, white), 0, atol=1e-6)
    np.testing.assert_allclose(color.original_colors(white, black), 1, atol=1e-6)


def test_original_colors_leaves_its_arguments_alone():
    stylized, content = random_rgb(9), random_rgb(10)
    copies = stylized.copy(), content.copy()
    color.original_colors(stylized, content)
    np.testing.assert_array_equal(stylized, copies[0])
    np.testing.assert_array_equal(content, copies[1])


def test_original_colors_wants_one_size():
    with pytest.raises(ImageError, match=r"\(4, 4, 3\).*\(4, 5, 3\).*resize"):
        color.original_colors(np.zeros((4, 4, 3)), np.zeros((4, 5, 3)))


# ------------------------------------------------------------------------------------------------- matching colours


def muted(seed: int, shape: tuple[int, ...] = (40, 50, 3)) -> np.ndarray:
    """A picture whose channels go together, far from the ends of the range."""
    mix = np.random.default_rng(seed + 100).uniform(-0.1, 0.1, (3, 3))
    return 0.4 + 0.05 * seed / 10 + (random_rgb(seed, shape=shape) - 0.5) @ mix


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_matched_colors_have_the_mean_and_covariance_of_the_goal(dtype: type):
    style, photo = muted(1).astype(dtype), muted(2, (30, 20, 3)).astype(dtype)
    found = color.with_colors(style, color.colors_of(photo))
    assert found.dtype == dtype
    np.testing.assert_allclose(found.mean((0, 1)), photo.mean((0, 1)), atol=1e-4)
    np.testing.assert_allclose(np.cov(found.reshape(-1, 3).T), np.cov(photo.reshape(-1, 3).T), rtol=0.02, atol=2e-5)


def test_matching_moves_colors_least():
    style, photo = muted(3), muted(4)
    goal = color.colors_of(photo)
    np.testing.assert_allclose(color.with_colors(style, color.colors_of(style)), style, atol=1e-6)
    np.testing.assert_allclose(
        color.with_colors(style[..., ::-1], color.colors_of(photo[..., ::-1]))[..., ::-1],
        color.with_colors(style, goal),
        atol=1e-6,
    )
    own = np.cov(style.reshape(-1, 3).T, bias=True)
    factors = np.linalg.cholesky(goal.covariance) @ np.linalg.inv(np.linalg.cholesky(own))
    other = (style - style.mean((0, 1))) @ factors.T + goal.mean  # the same moments in another way
    assert np.mean((color.with_colors(style, goal) - style) ** 2) < 0.98 * np.mean((other - style) ** 2)


def test_the_weights_say_which_pixels_give_their_colors():
    photo, half = muted(5), np.zeros((40, 50), np.float32)
    half[:, :20] = 0.5
    for found, want in (
        (color.colors_of(photo, half), color.colors_of(photo[:, :20])),
        (color.colors_of(photo, 0 * half), color.colors_of(photo)),
    ):
        np.testing.assert_allclose(found.mean, want.mean, atol=1e-6)
        np.testing.assert_allclose(found.covariance, want.covariance, atol=1e-6)


def test_the_faint_tint_of_a_black_and_white_style_is_not_enlarged():
    grey = np.repeat(random_rgb(6, shape=(40, 50, 1)), 3, axis=-1)
    tinted = np.clip(grey + np.random.default_rng(7).normal(0, 0.002, grey.shape), 0, 1)
    photo = 0.3 + 0.4 * random_rgb(8)
    plain, found = (color.with_colors(rgb, color.colors_of(photo)) for rgb in (grey, tinted))
    assert np.abs(found - plain).std() < 0.02
    flat = color.with_colors(np.full((8, 8, 3), 0.5), color.colors_of(photo))
    np.testing.assert_allclose(flat, np.broadcast_to(photo.mean((0, 1)), flat.shape), atol=1e-6)
