import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from feature_strategies import correlated, features, law, seeds
from hypothesis import given
from hypothesis import strategies as st

from wctstyle.losses import content_error, gram, relative_error, standardize, total_variation

grammed = jax.jit(gram)
content = jax.jit(content_error)
relative = jax.jit(relative_error)
variation = jax.jit(total_variation)
standard = jax.jit(standardize)

TWO = (2, 6, 7, 4)


@law
@given(features(TWO))
def test_gram_agrees_with_numpy(x):
    want = oracles.gram(x)
    assert want.shape == (2, 4, 4)
    np.testing.assert_allclose(grammed(x), want, atol=1e-5 * np.abs(want).max())


@law
@given(features(TWO), seeds)
def test_gram_does_not_depend_on_where_things_are(x, seed):
    order = np.random.default_rng(seed).permutation(42)
    shuffled = x.reshape(2, 42, 4)[:, order].reshape(TWO)
    np.testing.assert_allclose(grammed(shuffled), grammed(x), atol=1e-5 * np.abs(x).max() ** 2)


def test_gram_does_not_depend_on_the_size():
    x = correlated(np.random.default_rng(0), TWO, mean=1.0)
    np.testing.assert_allclose(gram(np.concatenate([x, x], axis=1)), grammed(x), rtol=1e-5)


@law
@given(features(TWO), features(TWO))
def test_content_error_agrees_with_numpy(x, y):
    np.testing.assert_allclose(content(x, y), oracles.content_error(x, y), rtol=1e-3, atol=1e-6)


@law
@given(features(TWO))
def test_content_error_of_the_same_is_zero(x):
    np.testing.assert_allclose(content(x, x), [0, 0], atol=1e-9)


def test_content_error_of_the_unrelated_is_two():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 2, 64, 64, 4)).astype(np.float32)
    np.testing.assert_allclose(content_error(x, y), [2, 2], atol=0.05)


@law
@given(features(TWO), features(TWO), seeds)
def test_content_error_ignores_scale_and_shift_of_channels(x, y, seed):
    rng = np.random.default_rng(seed)
    changed = (x * rng.uniform(1, 3, 4) + rng.normal(size=4)).astype(np.float32)
    np.testing.assert_allclose(content(changed, y), content(x, y), atol=0.02)


def test_content_error_of_flat_features_is_finite():
    flat = np.full(TWO, 0.3, np.float32)
    busy = correlated(np.random.default_rng(0), TWO)
    np.testing.assert_allclose(content(flat, busy), [1, 1], atol=1e-3)
    assert np.isfinite(content(busy, flat)).all()
    np.testing.assert_allclose(content(flat, flat), [0, 0], atol=1e-9)


@law
@given(features(TWO))
def test_standardized_channels_have_zero_mean_and_unit_variance(x):
    got = np.asarray(standard(x), np.float64)
    np.testing.assert_allclose(got.mean(axis=(1, 2)), np.zeros((2, 4)), atol=1e-3)
    variance = np.asarray(x, np.float64).var(axis=(1, 2))
    np.testing.assert_allclose(got.var(axis=(1, 2)), variance / (variance + 1e-5), atol=1e-3)


@law
@given(features(TWO), features(TWO))
def test_relative_error_agrees_with_numpy(x, y):
    error, norm = (np.sqrt(np.sum(np.square(v, dtype=np.float64), axis=(1, 2, 3))) for v in (x - y, y))
    np.testing.assert_allclose(relative(x, y), error / norm, rtol=1e-4, atol=2e-6)


@law
@given(features(TWO), features(TWO), st.floats(0.1, 10))
def test_relative_error_does_not_depend_on_the_unit(x, y, unit):
    unit = np.float32(unit)
    np.testing.assert_allclose(relative(x * unit, y * unit), relative(x, y), rtol=1e-3, atol=2e-6)


def test_relative_error_has_a_finite_slope_where_it_is_zero():
    x = correlated(np.random.default_rng(0), TWO)
    value, slope = jax.value_and_grad(lambda v: relative_error(v, x).sum())(jnp.asarray(x))
    assert value == pytest.approx(0, abs=1e-5)
    assert np.isfinite(slope).all()
    assert np.isfinite(relative(x, np.zeros_like(x))).all()


@pytest.mark.parametrize("axis", [1, 2])
def test_total_variation_of_a_ramp_is_its_slope(axis):
    ramp = np.expand_dims(np.arange(8, dtype=np.float32) / 16, [a for a in range(4) if a != axis])
    np.testing.assert_allclose(variation(np.broadcast_to(ramp, (2, 8, 8, 3))), [1 / 16] * 2, rtol=1e-5)


def test_total_variation_of_a_chessboard_is_two_and_of_one_colour_zero():
    board = np.indices((8, 8)).sum(axis=0)[None, :, :, None] % 2
    np.testing.assert_allclose(variation(np.broadcast_to(np.float32(board), (2, 8, 8, 3))), [2, 2], rtol=1e-5)
    np.testing.assert_array_equal(variation(np.full((2, 8, 8, 3), 0.4, np.float32)), [0, 0])


@law
@given(features((2, 8, 8, 3)))
def test_total_variation_is_the_same_for_mirrored_and_turned_pictures(x):
    want = variation(x)
    for turned in (x[:, ::-1], x[:, :, ::-1], x.swapaxes(1, 2)):
        np.testing.assert_allclose(variation(turned), want, rtol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1)], ids=str)
def test_total_variation_of_one_row_or_column_is_finite(size):
    assert np.isfinite(total_variation(jnp.ones((1, *size, 3)))).all()
