import math

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from wctstyle import feature_metrics, pixel_metrics
from wctstyle.errors import ConfigError, ImageError
from wctstyle.losses import content_error
from wctstyle.moments import Moments

RNG = np.random.default_rng(7)


def features(*channels: int, n: int = 2, side: int = 12) -> list[np.ndarray]:
    sizes = [(n, side >> k, (side >> k) + 1, c) for k, c in enumerate(channels)]
    return [np.maximum(RNG.normal(0.3, 1, size), 0).astype(np.float32) for size in sizes]


def picture(height: int = 40, width: int = 33) -> np.ndarray:
    return RNG.random((height, width, 3), dtype=np.float32)


def plain_gram(x: np.ndarray) -> np.ndarray:
    """Sum of outer products over positions, in float64, one position at a time."""
    total = np.zeros((x.shape[-1],) * 2)
    for row in x.astype(np.float64).reshape(-1, x.shape[-1]):
        total += np.outer(row, row)
    return total / (x.shape[0] * x.shape[1])


def test_style_error_is_the_mean_of_relative_frobenius_distances() -> None:
    ours, style = features(3, 5, 4), features(3, 5, 4, side=20)
    got = feature_metrics.style_error(ours, style)
    for index in range(2):
        levels = []
        for x, t in zip(ours, style, strict=True):
            g, target = plain_gram(x[index]), plain_gram(t[index])
            levels.append(math.sqrt(((g - target) ** 2).sum()) / math.sqrt((target**2).sum()))
        assert float(got[index]) == pytest.approx(np.mean(levels), rel=1e-5)


def test_gram_errors_keep_levels_and_pictures_apart() -> None:
    target = [jnp.stack([jnp.eye(2), 3 * jnp.eye(2)]), jnp.stack([jnp.eye(4), jnp.eye(4)])]
    value = [jnp.stack([2 * jnp.eye(2), 3 * jnp.eye(2)]), jnp.stack([jnp.zeros((4, 4)), 1.5 * jnp.eye(4)])]
    np.testing.assert_allclose(feature_metrics.gram_errors(value, target), [[1, 1], [0, 0.5]], rtol=1e-6)


def test_gram_errors_of_equal_are_exactly_zero_even_without_any_features() -> None:
    ours = [np.zeros((1, 3, 3), np.float32), np.ones((1, 2, 2), np.float32)]
    np.testing.assert_array_equal(feature_metrics.gram_errors(ours, ours), [[0, 0]])
    np.testing.assert_array_equal(feature_metrics.gram_errors(ours[1:], [jnp.zeros((1, 2, 2))]), [[np.inf]])


def test_wasserstein_errors_of_gaussians_whose_distance_is_known() -> None:
    def of(mean: list[float], variances: list[float]) -> Moments:
        return Moments(jnp.asarray(1.0), jnp.asarray(mean), jnp.diag(jnp.asarray(variances)))

    target = of([3.0, 0.0], [4.0, 9.0])
    moved = of([0.0, 4.0], [16.0, 1.0])  # W2^2 = 9 + 16 + (4 - 2)^2 + (1 - 3)^2
    nothing = of([0.0, 0.0], [0.0, 0.0])
    found = feature_metrics.wasserstein_errors([moved, target, nothing, nothing, moved], [target] * 3 + [nothing] * 2)
    np.testing.assert_allclose(found, [math.sqrt(33 / 22), 0, 1, 0, np.inf], atol=1e-6)
    turn = np.linalg.qr(RNG.normal(size=(2, 2)))[0]
    turned = [Moments(m.count, turn @ m.mean, turn @ m.covariance @ turn.T) for m in (moved, target)]
    np.testing.assert_allclose(feature_metrics.wasserstein_errors(turned[:1], turned[1:]), found[:1], rtol=1e-5)


@pytest.mark.parametrize("counts", [(0, 0), (1, 2)])
def test_wasserstein_errors_need_as_many_targets(counts: tuple[int, int]) -> None:
    one = Moments(jnp.asarray(1.0), jnp.zeros(2), jnp.eye(2))
    with pytest.raises(ConfigError, match=f"moments of {counts[0]} levels and targets of {counts[1]}"):
        feature_metrics.wasserstein_errors([one] * counts[0], [one] * counts[1])


def test_style_error_ignores_where_things_are() -> None:
    (x,) = features(6)
    moved = x.reshape(2, -1, 6)[:, RNG.permutation(x.shape[1] * x.shape[2])].reshape(x.shape)
    assert not np.array_equal(moved, x)
    np.testing.assert_allclose(feature_metrics.style_error([moved], [x]), 0, atol=1e-5)


@pytest.mark.parametrize(("ours", "style"), [(0, 0), (1, 2), (2, 1)])
def test_levels_have_to_match(ours: int, style: int) -> None:
    level = jnp.ones((1, 2, 2))
    with pytest.raises(ConfigError, match=f"of {ours} levels and targets of {style}"):
        feature_metrics.gram_errors([level] * ours, [level] * style)


def test_content_error_against_float64() -> None:
    (x,), (t,) = features(5), features(5)
    got = content_error(jnp.asarray(x), jnp.asarray(t))
    for index in range(2):
        a, b = (v[index].astype(np.float64).reshape(-1, 5) for v in (x, t))
        a, b = ((v - v.mean(0)) / v.std(0) for v in (a, b))
        assert float(got[index]) == pytest.approx(((a - b) ** 2).sum() / (b**2).sum(), rel=1e-3)


def test_content_error_is_zero_for_any_gain_and_offset_and_two_for_unrelated() -> None:
    x = RNG.normal(size=(1, 64, 64, 8)).astype(np.float32)
    other = RNG.normal(size=(1, 64, 64, 8)).astype(np.float32)
    gain = np.array([0.5, 3, 2, 1, 7, 1, 4, 9], np.float32)
    assert float(content_error(jnp.asarray(x), jnp.asarray(x))[0]) == pytest.approx(0, abs=1e-6)
    assert float(content_error(jnp.asarray(x * gain + 2), jnp.asarray(x))[0]) < 1e-4
    assert float(content_error(jnp.asarray(other), jnp.asarray(x))[0]) == pytest.approx(2, abs=0.05)
    assert float(content_error(jnp.asarray(-x), jnp.asarray(x))[0]) == pytest.approx(4, abs=1e-3)


def plain_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Wang et al. 2004 with an explicit 11x11 window and only whole windows, as its first program has it."""
    axis = np.arange(-5, 6)
    window = np.exp(-(axis[:, None] ** 2 + axis[None, :] ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def blur(x: np.ndarray) -> np.ndarray:
        return scipy.signal.correlate2d(x, window, mode="valid")

    x, y = (p[..., 0] * 0.299 + p[..., 1] * 0.587 + p[..., 2] * 0.114 for p in (np.float64(a), np.float64(b)))
    mx, my = blur(x), blur(y)
    vx, vy, vxy = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    return float((((2 * mx * my + c1) * (2 * vxy + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean())


@pytest.mark.parametrize("size", [(11, 11), (40, 33)])
def test_ssim_against_an_explicit_window(size: tuple[int, int]) -> None:
    a = picture(*size)
    b = np.clip(a + 0.2 * picture(*size) - 0.1, 0, 1).astype(np.float32)
    assert pixel_metrics.ssim(b, a) == pytest.approx(plain_ssim(b, a), abs=1e-10)
    assert pixel_metrics.ssim(a, a) == pytest.approx(1, abs=1e-12)


def test_ssim_sees_luma_only() -> None:
    grey = np.repeat(picture()[..., :1], 3, axis=2)
    tinted = grey + np.float32([0.114, 0, -0.299]) * 0.1
    assert pixel_metrics.ssim(tinted, grey) == pytest.approx(1, abs=1e-5)
    assert pixel_metrics.ssim(1 - grey, grey) < -0.5


def test_psnr_of_a_known_difference() -> None:
    dark = np.full((4, 5, 3), 0.25, np.float32)
    assert pixel_metrics.psnr(dark + np.float32(0.125), dark) == pytest.approx(20 * math.log10(8), abs=1e-9)
    one = dark.copy()
    one[0, 0, 0] += 0.5
    assert pixel_metrics.psnr(one, dark) == pytest.approx(-10 * math.log10(0.25 / 60), abs=1e-9)
    assert pixel_metrics.psnr(dark, dark) == math.inf


@pytest.mark.parametrize("figure", [pixel_metrics.ssim, pixel_metrics.psnr])
def test_pictures_of_other_shapes_are_refused(figure) -> None:
    with pytest.raises(ImageError, match=r"\(40, 33, 3\) and \(40, 32, 3\)"):
        figure(picture(), picture(40, 32))
    with pytest.raises(ImageError, match="wanted two of the same"):
        figure(picture()[..., 0], picture()[..., 0])


def test_ssim_needs_a_whole_window() -> None:
    with pytest.raises(ImageError, match="at least 11 pixels"):
        pixel_metrics.ssim(picture(10, 40), picture(10, 40))
