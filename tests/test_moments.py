import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from feature_strategies import OTHER_SHAPE, SHAPE, correlated, features, law, seeds
from hypothesis import given
from hypothesis import strategies as st

from wctstyle.losses import gram
from wctstyle.moments import Affine, Moments, measure, mixture, pool

measured = jax.jit(measure)
pooled = jax.jit(pool)
mixed = jax.jit(mixture)


def assert_same(got: Moments, want: Moments, *, rtol=2e-4):
    scale = float(np.sqrt(np.trace(want.covariance) + np.sum(np.square(want.mean))))
    np.testing.assert_allclose(got.count, want.count, rtol=1e-5)
    np.testing.assert_allclose(got.mean, want.mean, atol=rtol * scale)
    np.testing.assert_allclose(got.covariance, want.covariance, atol=rtol * scale**2)


@law
@given(features())
def test_measure_agrees_with_numpy(x):
    mean, covariance = oracles.moments(x)
    assert_same(measured(x), Moments(np.float32(72), mean, covariance))


@law
@given(features())
def test_the_gram_of_moments_is_that_of_the_features(x):
    whole = gram(x.reshape(1, -1, 1, x.shape[-1]))[0]
    np.testing.assert_allclose(measured(x).gram(), whole, atol=1e-5 * float(np.trace(whole)) + 1e-12)


@law
@given(features(), seeds)
def test_weighted_measure_agrees_with_numpy(x, seed):
    weights = np.random.default_rng(seed).uniform(0, 3, SHAPE[:3]).astype(np.float32)
    mean, covariance = oracles.moments(x, weights)
    assert_same(measured(x, weights), Moments(weights.sum(), mean, covariance))


@law
@given(features())
def test_weights_of_one_change_nothing(x):
    assert_same(measured(x, np.ones(SHAPE[:3], np.float32)), measured(x), rtol=1e-5)


@law
@given(features(), seeds)
def test_the_order_of_positions_does_not_matter(x, seed):
    shuffled = np.random.default_rng(seed).permutation(x.reshape(-1, 4)).reshape(SHAPE)
    assert_same(measured(shuffled), measured(x), rtol=1e-5)


@law
@given(features())
def test_the_shape_of_the_map_does_not_matter(x):
    assert_same(measured(x.reshape(2, 12, 3, 4)), measured(x), rtol=1e-5)


@law
@given(seeds)
def test_weights_act_as_counts(seed):
    rng = np.random.default_rng(seed)
    x = correlated(rng, (1, 2, 4, 4), mean=1.0)
    counts = rng.permutation([0, 1, 2, 3, 3, 4, 5, 6])
    repeated = x.reshape(-1, 4).repeat(counts, axis=0).reshape(1, 4, 6, 4)
    weights = counts.reshape(1, 2, 4).astype(np.float32)
    assert_same(measured(x, weights), measured(repeated), rtol=1e-5)


def test_positions_of_weight_zero_are_left_out():
    x = np.ones((1, 4, 4, 3), np.float32)
    x[:, 2:] = 1e6
    weights = np.zeros((1, 4, 4), np.float32)
    weights[:, :2] = 1
    got = measured(x, weights)
    assert got.count == 8
    np.testing.assert_array_equal(got.mean, np.ones(3))
    np.testing.assert_array_equal(got.covariance, np.zeros((3, 3)))


def test_no_weight_at_all_gives_zeros():
    got = measured(np.ones((1, 4, 4, 3), np.float32), np.zeros((1, 4, 4), np.float32))
    for part in got:
        np.testing.assert_array_equal(part, np.zeros_like(part))


@pytest.mark.parametrize("weighted", [False, True])
def test_a_huge_mean_costs_no_accuracy(weighted):
    rng = np.random.default_rng(3)
    x = (correlated(rng, (1, 64, 64, 4)) + np.array([1e3, -1e3, 1e3, 5e2])).astype(np.float32)
    weights = rng.uniform(0.5, 1, (1, 64, 64)).astype(np.float32) if weighted else None
    mean, covariance = oracles.moments(x, weights)
    got = measured(x, weights)
    np.testing.assert_allclose(got.mean, mean, rtol=2e-5)
    np.testing.assert_allclose(got.covariance, covariance, atol=1e-3 * np.trace(covariance))


@law
@given(features(), features(OTHER_SHAPE))
def test_pooled_moments_are_those_of_the_features_together(a, b):
    together = np.concatenate([a.reshape(1, 1, -1, 4), b.reshape(1, 1, -1, 4)], axis=2)
    assert_same(pooled([measured(a), measured(b)]), measured(together))


@law
@given(features(), features(OTHER_SHAPE), seeds)
def test_pooling_keeps_weights(a, b, seed):
    rng = np.random.default_rng(seed)
    v, w = (rng.uniform(0, 2, s[:3]).astype(np.float32) for s in (SHAPE, OTHER_SHAPE))
    together = np.concatenate([a.reshape(1, 1, -1, 4), b.reshape(1, 1, -1, 4)], axis=2)
    weights = np.concatenate([v.ravel(), w.ravel()]).reshape(1, 1, -1)
    assert_same(pooled([measured(a, v), measured(b, w)]), measured(together, weights))


@law
@given(features(), features(), features())
def test_pooling_in_steps_or_any_order_is_the_same(a, b, c):
    a, b, c = measured(a), measured(b), measured(c)
    assert_same(pooled([pooled([a, b]), c]), pooled([a, b, c]))
    assert_same(pooled([c, a, b]), pooled([a, b, c]))


def test_pooling_with_nothing_changes_nothing():
    x = correlated(np.random.default_rng(0), SHAPE, mean=1.0)
    nothing = measured(x, np.zeros(SHAPE[:3], np.float32))
    assert_same(pooled([measured(x), nothing]), measured(x), rtol=1e-6)
    for part in pooled([nothing, nothing]):
        np.testing.assert_array_equal(part, np.zeros_like(part))


def test_two_flat_colours_pool_to_the_spread_between_them():
    flat = [Moments(jnp.float32(n), jnp.array([m, 0.0]), jnp.zeros((2, 2))) for n, m in ((1, 0.0), (3, 4.0))]
    got = pooled(flat)
    assert got.count == 4
    np.testing.assert_allclose(got.mean, [3, 0])
    np.testing.assert_allclose(got.covariance, [[0.25 * 9 + 0.75 * 1, 0], [0, 0]])


@law
@given(features(), features(), st.floats(0, 1))
def test_a_mixture_by_counts_is_the_pool(a, b, share):
    a, b = measured(a)._replace(count=jnp.float32(share)), measured(b)._replace(count=jnp.float32(1 - share))
    got = mixed([a, b], [a.count, b.count])
    assert_same(got._replace(count=jnp.float32(1)), pooled([a, b]))


@law
@given(features(), seeds)
def test_an_affine_map_moves_the_moments_with_it(x, seed):
    rng = np.random.default_rng(seed)
    step = Affine(jnp.asarray(rng.normal(size=(4, 4)), jnp.float32), jnp.asarray(rng.normal(size=4), jnp.float32))
    before, after = measured(x), measured(step(x))
    a, b = np.asarray(step.matrix, np.float64), np.asarray(step.bias, np.float64)
    want = Moments(before.count, a @ before.mean + b, a @ before.covariance @ a.T)
    assert_same(after, want, rtol=1e-3)


def test_an_affine_map_acts_on_channels_at_each_position():
    step = Affine(jnp.array([[1.0, 2.0], [0.0, 3.0]]), jnp.array([10.0, 20.0]))
    x = jnp.arange(12, dtype=jnp.float32).reshape(1, 2, 3, 2)
    want = [[[[p[0] + 2 * p[1] + 10, 3 * p[1] + 20] for p in row] for row in x[0]]]
    np.testing.assert_array_equal(step(x), np.array(want))
