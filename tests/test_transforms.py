from functools import partial
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from feature_strategies import (
    OTHER_SHAPE,
    SHAPE,
    correlated,
    degenerate_features,
    features,
    law,
    rotation,
    seeds,
    shares,
)
from hypothesis import given
from hypothesis import strategies as st
from narrow import QUICKLY_COMPILED

from wctstyle.errors import ConfigError
from wctstyle.moments import Moments, measure, mixture, pool
from wctstyle.plan import moved
from wctstyle.settings import BlendKind, TransformKind
from wctstyle.transforms import (
    ABSOLUTE_FLOOR,
    EIGENVALUE_FLOOR,
    TRANSFORMS,
    affine,
    barycenters,
    blend,
    distance,
    floored,
    sqrtm,
    transport,
)

_quick = QUICKLY_COMPILED

KINDS = get_args(TransformKind)
BLENDS = get_args(BlendKind)

measured = jax.jit(measure)
mapped = jax.jit(affine, static_argnames=("kind",))
blended = jax.jit(blend, static_argnames=("kind",))
met = jax.jit(barycenters)
mixed = jax.jit(mixture)
floor = jax.jit(floored)
root = jax.jit(sqrtm)
transported = jax.jit(transport)
apart = jax.jit(distance)

every_kind = pytest.mark.parametrize("kind", KINDS)
every_blend = pytest.mark.parametrize("kind", BLENDS)


def close(got, want, *, rtol=1e-3):
    """Within `rtol` of the largest entry of `want`."""
    want = np.asarray(want, np.float64)
    np.testing.assert_allclose(np.asarray(got, np.float64), want, atol=rtol * np.abs(want).max(), rtol=0)


def moments_of(covariance, mean=None, count=100.0):
    c = len(covariance)
    mean = np.zeros(c) if mean is None else mean
    return Moments(*(jnp.asarray(v, jnp.float32) for v in (count, mean, covariance)))


def test_the_types_name_the_transforms():
    assert set(KINDS) == set(TRANSFORMS)


# ---------------------------------------------------------------------------------------- the floor and roots


@law
@given(degenerate_features((1, 2, 3, 8)))
def test_the_floor_agrees_with_numpy(x):
    covariance = measured(x).covariance
    close(floor(covariance), oracles.floored(covariance, relative=EIGENVALUE_FLOOR, absolute=ABSOLUTE_FLOOR), rtol=1e-5)


def test_the_floor_of_a_diagonal_matrix_is_a_share_of_its_mean_eigenvalue():
    got = floor(jnp.diag(jnp.array([4.0, 0.0, 1e-9, -1e-6])))
    np.testing.assert_allclose(got, np.diag([4.0, 1e-4, 1e-4, 1e-4]), rtol=1e-5)


def test_the_floor_of_nothing_is_absolute():
    np.testing.assert_allclose(floor(jnp.zeros((3, 3))), 1e-8 * np.eye(3), rtol=1e-6)


def test_the_floor_changes_nothing_at_full_rank():
    s = measured(correlated(np.random.default_rng(1), SHAPE)).covariance
    close(floor(s), s, rtol=1e-5)


@law
@given(features())
def test_the_square_root_squared_is_the_matrix(x):
    s = measured(x).covariance
    half = np.asarray(root(s), np.float64)
    close(half, oracles.sqrtm(s), rtol=1e-4)
    close(half @ half, s, rtol=1e-5)


# ------------------------------------------------------------------------------------------------- transforms


@every_kind
@law
@given(x=features(), y=features(OTHER_SHAPE))
def test_transforms_agree_with_scipy(kind, x, y):
    (mean_c, content), (mean_t, target) = oracles.moments(x), oracles.moments(y)
    matrix = oracles.TRANSFORMS[kind](content, target)
    step = mapped(measured(x), measured(y), kind=kind)
    close(step.matrix, matrix)
    want = (oracles.positions(x) - mean_c) @ matrix.T + mean_t
    close(oracles.positions(step(x)), want)


@every_kind
@law
@given(x=features(), y=features(OTHER_SHAPE))
def test_output_moments_are_those_of_the_target(kind, x, y):
    target = measured(y)
    got = measured(mapped(measured(x), target, kind=kind)(x))
    scale = float(np.sqrt(np.trace(target.covariance) + np.sum(np.square(target.mean))))
    np.testing.assert_allclose(got.mean, target.mean, atol=1e-3 * scale)
    if kind == "adain":
        close(np.diag(got.covariance), np.diag(target.covariance))
    else:
        close(got.covariance, target.covariance)


@every_kind
@law
@given(x=features())
def test_style_equal_to_content_is_the_identity(kind, x):
    step = mapped(measured(x), measured(x), kind=kind)
    close(step.matrix, np.eye(4), rtol=2e-4)
    close(step(x), x)


@every_kind
@law
@given(x=degenerate_features((1, 2, 3, 8)))
def test_style_equal_to_content_is_the_identity_at_any_rank(kind, x):
    step = mapped(measured(x), measured(x), kind=kind)
    close(step(x), x, rtol=0.02)


@every_kind
@law
@given(x=degenerate_features((1, 2, 3, 8)), y=degenerate_features((1, 2, 3, 8)))
def test_strength_zero_returns_the_features_exactly(kind, x, y):
    np.testing.assert_array_equal(moved(x, mapped(measured(x), measured(y), kind=kind), 0.0), x)


@every_kind
@law
@given(x=features(), y=features(OTHER_SHAPE), alpha=st.floats(0, 1, width=32))
def test_strength_is_the_share_of_the_transformed_features(kind, x, y, alpha):
    step = mapped(measured(x), measured(y), kind=kind)
    full = step(x)
    scale = max(np.abs(full).max(), np.abs(x).max())
    np.testing.assert_allclose(moved(x, step, alpha), alpha * full + (1 - alpha) * x, atol=1e-4 * scale)


@every_kind
@law
@given(x=features(), y=features(OTHER_SHAPE), seed=seeds)
def test_transforms_carry_positions_along(kind, x, y, seed):
    order = np.random.default_rng(seed).permutation(72)
    shuffled = x.reshape(-1, 4)[order].reshape(SHAPE)
    target = measured(y)
    got = mapped(measured(shuffled), target, kind=kind)(shuffled).reshape(-1, 4)
    close(got, np.asarray(mapped(measured(x), target, kind=kind)(x)).reshape(-1, 4)[order])


@law
@given(features(), features(OTHER_SHAPE))
def test_mk_is_symmetric_positive_definite(x, y):
    matrix = np.asarray(mapped(measured(x), measured(y), kind="mk").matrix, np.float64)
    close(matrix, matrix.T, rtol=1e-4)
    assert np.linalg.eigvalsh((matrix + matrix.T) / 2).min() > 0


@law
@given(features(), features(OTHER_SHAPE))
def test_mk_displaces_least(x, y):
    content, target = measured(x), measured(y)
    mk, wct = (
        oracles.displacement(mapped(content, target, kind=kind).matrix, content.covariance) for kind in ("mk", "wct")
    )
    slack = 1e-4 * float(np.trace(content.covariance) + np.trace(target.covariance))
    assert mk <= wct + slack
    assert abs(mk - oracles.wasserstein2(content.covariance, target.covariance)) <= slack


def test_mk_and_wct_differ_where_the_covariances_do_not_commute():
    content, target = moments_of(np.diag([4.0, 1.0])), moments_of([[2.0, 1.0], [1.0, 1.0]])
    mk, wct = (mapped(content, target, kind=kind).matrix for kind in ("mk", "wct"))
    assert np.abs(mk - wct).max() > 0.1
    assert oracles.displacement(mk, content.covariance) < 0.95 * oracles.displacement(wct, content.covariance)


def steep(rng, c=64):
    """A covariance whose eigenvalues fall with the square of their number, past the floor, as deep features' do."""
    axes = rotation(rng, c)
    return (axes * np.arange(1, c + 1) ** -2.0) @ axes.T


def steep_error(kind):
    """How far mk or wct moves features whose style is their own, as a share of their spread; zero if exact."""
    style = moments_of(steep(np.random.default_rng(0)))
    moved = oracles.displacement(mapped(style, style, kind=kind).matrix, style.covariance)
    return np.sqrt(moved / np.trace(style.covariance))


@pytest.mark.parametrize(("kind", "bound"), [("wct", 1e-4), ("mk", 0.05)])
def test_a_steep_spectrum_stays_near_the_identity(kind, bound):
    assert steep_error(kind) <= bound


def test_mk_is_as_accurate_as_wct_at_a_steep_spectrum():
    assert steep_error("mk") <= 1e-3


@every_kind
def test_diagonal_covariances_are_scaled_channel_by_channel(kind):
    step = mapped(moments_of(np.diag([4.0, 1.0, 0.25])), moments_of(np.diag([1.0, 9.0, 0.25]), [1, 2, 3]), kind=kind)
    np.testing.assert_allclose(step.matrix, np.diag([0.5, 3.0, 1.0]), atol=1e-5)
    np.testing.assert_allclose(step.bias, [1, 2, 3], atol=1e-5)


def test_the_transport_back_is_the_inverse():
    rng = np.random.default_rng(5)
    a, b = (measured(correlated(rng, SHAPE)).covariance for _ in range(2))
    close(transported(b, a) @ transported(a, b), np.eye(4))


def test_a_huge_mean_costs_no_accuracy():
    rng = np.random.default_rng(7)
    x, y = correlated(rng, SHAPE) + np.float32(1e3), correlated(rng, OTHER_SHAPE) - np.float32(1e3)
    (_, content), (mean, target) = oracles.moments(x), oracles.moments(y)
    step = mapped(measured(x), measured(y), kind="mk")
    close(step.matrix, oracles.mk(content, target), rtol=2e-3)
    got = measured(step(x))
    np.testing.assert_allclose(got.mean, mean, rtol=1e-5)
    close(got.covariance, target, rtol=5e-3)


@every_kind
@pytest.mark.parametrize("shape", [(1, 2, 3, 8), (1, 1, 1, 8)], ids=["fewer positions than channels", "one position"])
def test_any_rank_stays_finite_and_bounded(kind, shape):
    @law
    @given(degenerate_features(shape), degenerate_features((1, 2, 3, 8)))
    def holds(x, y):
        target = measured(y)
        step = mapped(measured(x), target, kind=kind)
        out = np.asarray(step(x), np.float64)
        assert np.isfinite(step.matrix).all()
        assert np.isfinite(step.bias).all()
        assert np.isfinite(out).all()
        mean, covariance = out.reshape(-1, 8).mean(axis=0), np.cov(out.reshape(-1, 8), rowvar=False, bias=True)
        scale = np.sqrt(np.trace(target.covariance)) + np.abs(target.mean).max()
        np.testing.assert_allclose(mean, target.mean, atol=0.02 * scale + 1e-4)
        assert np.trace(covariance) <= 1.02 * np.trace(floor(target.covariance)) + (0.02 * scale) ** 2 + 1e-6

    holds()


@every_kind
def test_a_flat_colour_becomes_the_mean_of_the_style(kind):
    flat = np.full(SHAPE, 0.7, np.float32)
    target = measured(correlated(np.random.default_rng(0), OTHER_SHAPE, mean=1.0))
    out = np.asarray(mapped(measured(flat), target, kind=kind)(flat))
    np.testing.assert_allclose(out, np.broadcast_to(target.mean, out.shape), atol=5e-3)


@every_kind
def test_a_flat_style_gives_its_colour_everywhere(kind):
    x = correlated(np.random.default_rng(0), SHAPE, mean=1.0)
    flat = measured(np.broadcast_to(np.float32([0.1, 0.9, 0.0, 2.0]), OTHER_SHAPE))
    out = np.asarray(mapped(measured(x), flat, kind=kind)(x))
    np.testing.assert_allclose(out, np.broadcast_to(flat.mean, out.shape), atol=2e-3)


def test_an_unknown_transform_is_an_error():
    same = moments_of(np.eye(2))
    with pytest.raises(ConfigError, match=r"transform 'ot' is not known: use one of mk, wct, adain"):
        affine(same, same, kind="ot")  # pyright: ignore[reportArgumentType]


# ---------------------------------------------------------------------------------------------------- blending


def three(rng):
    return [measured(correlated(rng, OTHER_SHAPE, spread=s, mean=1.0)) for s in (2, 4, 6)]


@every_blend
@law
@given(x=degenerate_features((1, 2, 3, 8)))
def test_one_style_blends_to_itself(kind, x):
    style = measured(x)
    got = blended([style], jnp.ones(1), kind=kind)
    np.testing.assert_array_equal(got.mean, style.mean)
    np.testing.assert_array_equal(got.count, style.count)
    close(got.covariance, style.covariance if kind == "mixture" else floor(style.covariance), rtol=1e-5)


@every_blend
@pytest.mark.parametrize("n", [2, 3])
def test_equal_styles_blend_to_that_style(kind, n):
    @law
    @given(features(), shares(n))
    def holds(x, weights):
        style = measured(x)
        got = blended([style] * n, jnp.asarray(weights), kind=kind)
        close(got.mean, style.mean, rtol=1e-5)
        close(got.covariance, style.covariance, rtol=2e-4)

    holds()


@every_blend
@pytest.mark.parametrize("n", [2, 3])
def test_all_weight_on_one_style_gives_that_style(kind, n):
    styles = three(np.random.default_rng(2))[:n]
    for i, style in enumerate(styles):
        got = blended(styles, jnp.eye(n)[i], kind=kind)
        close(got.mean, style.mean, rtol=1e-5)
        close(got.covariance, style.covariance, rtol=1e-4)
        np.testing.assert_allclose(got.count, style.count, rtol=1e-6)


@pytest.mark.parametrize("kind", ["barycenter", "linear"])
@pytest.mark.parametrize("n", [2, 3])
def test_commuting_covariances_have_a_closed_form(kind, n):
    @law
    @given(shares(n), seeds)
    def holds(weights, seed):
        rng = np.random.default_rng(seed)
        axes, deviations = np.linalg.qr(rng.normal(size=(4, 4)))[0], rng.uniform(0.2, 3, (n, 4))
        styles = [moments_of(axes @ np.diag(d**2) @ axes.T, rng.normal(size=4)) for d in deviations]
        want = axes @ np.diag((np.asarray(weights, np.float64) @ deviations) ** 2) @ axes.T
        got = blended(styles, jnp.asarray(weights), kind=kind)
        close(got.covariance, want)
        means = np.stack([s.mean for s in styles])
        np.testing.assert_allclose(got.mean, weights @ means, atol=1e-5)

    holds()


@pytest.mark.parametrize("n", [2, 3])
def test_barycenter_agrees_with_scipy(n):
    @law
    @given(shares(n), seeds)
    def holds(weights, seed):
        styles = three(np.random.default_rng(seed))[:n]
        want = oracles.barycenter([np.asarray(s.covariance, np.float64) for s in styles], np.float64(weights))
        close(blended(styles, jnp.asarray(weights), kind="barycenter").covariance, want)

    holds()


@law
@given(st.floats(0, 1, width=32), st.floats(0, 1, width=32), seeds)
def test_the_closed_form_of_two_agrees_with_the_fixed_point(t, split, seed):
    a, b, _ = three(np.random.default_rng(seed))
    closed = blended([a, b], jnp.array([1 - t, t]), kind="barycenter")
    parted = blended([a, b, b], jnp.array([1 - t, t * split, t * (1 - split)]), kind="barycenter")
    close(parted.covariance, closed.covariance)
    close(parted.mean, closed.mean, rtol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_prepared_barycenters_are_exact_at_the_styles_and_at_equal_shares(n):
    styles = [*three(np.random.default_rng(4)), *three(np.random.default_rng(5))][:n]
    known = met(styles)
    for shares_ in (*np.eye(n), np.full(n, 1 / n)):
        got, want = known.at(jnp.asarray(shares_)), blended(styles, jnp.asarray(shares_), kind="barycenter")
        close(got.covariance, want.covariance)
        close(got.mean, want.mean, rtol=1e-5)
        np.testing.assert_allclose(got.count, want.count, rtol=1e-6)


@law
@given(shares(3), seeds)
def test_prepared_barycenters_are_near_the_fixed_point_everywhere(weights, seed):
    """Ten times nearer than the styles are to each other, in the Wasserstein distance (its square a hundred times)."""
    styles = three(np.random.default_rng(seed))
    got = met(styles).at(jnp.asarray(weights)).covariance
    want = np.asarray(blended(styles, jnp.asarray(weights), kind="barycenter").covariance, np.float64)
    apart = max(oracles.wasserstein2(a.covariance, b.covariance) for a in styles for b in styles)
    assert oracles.wasserstein2(np.asarray(got, np.float64), want) <= 0.01 * apart


@law
@given(shares(3), seeds)
def test_no_other_blend_lies_nearer_to_the_styles_than_the_barycenter(weights, seed):
    styles = three(np.random.default_rng(seed))

    def cost(kind):
        s = np.asarray(blended(styles, jnp.asarray(weights), kind=kind).covariance, np.float64)
        return sum(w * oracles.wasserstein2(s, p.covariance) for w, p in zip(weights, styles, strict=True))

    scale = max(float(np.trace(s.covariance)) for s in styles)
    assert cost("barycenter") <= cost("linear") + 1e-4 * scale
    assert cost("barycenter") <= cost("mixture") + 1e-4 * scale


@law
@given(features(), shares(3), seeds)
def test_the_linear_blend_is_that_of_zca_outputs(x, weights, seed):
    styles, content = three(np.random.default_rng(seed)), measured(x)
    outputs = [mapped(content, style, kind="wct")(x) for style in styles]
    averaged = measured(sum(w * y for w, y in zip(weights, outputs, strict=True)))
    got = blended(styles, jnp.asarray(weights), kind="linear")
    close(got.covariance, averaged.covariance)
    np.testing.assert_allclose(got.mean, averaged.mean, atol=1e-3)


@every_blend
@law
@given(weights=shares(3), seed=seeds, order=st.permutations(range(3)))
def test_the_order_of_styles_does_not_matter(kind, weights, seed, order):
    styles = three(np.random.default_rng(seed))
    got = blended([styles[i] for i in order], jnp.asarray(weights[list(order)]), kind=kind)
    want = blended(styles, jnp.asarray(weights), kind=kind)
    close(got.covariance, want.covariance)
    np.testing.assert_allclose(got.mean, want.mean, atol=1e-5)


@law
@given(weights=shares(2), seed=seeds)
def test_the_order_of_two_styles_does_not_matter_to_the_closed_form(weights, seed):
    a, b, _ = three(np.random.default_rng(seed))
    got = blended([b, a], jnp.asarray(weights[::-1]), kind="barycenter")
    close(got.covariance, blended([a, b], jnp.asarray(weights), kind="barycenter").covariance)


@law
@given(features(), features(OTHER_SHAPE))
def test_the_mixture_is_the_features_thrown_together(x, y):
    a, b = measured(x), measured(y)
    weights = jnp.array([72 / 156, 84 / 156])
    got, want = blended([a, b], weights, kind="mixture"), pool([a, b])
    close(got.covariance, want.covariance, rtol=1e-5)
    mean, covariance = oracles.moments(np.concatenate([x.reshape(-1, 4), y.reshape(-1, 4)]))
    scale = float(np.sqrt(np.trace(covariance)))
    np.testing.assert_allclose(got.mean, mean, atol=1e-4 * scale)
    close(got.covariance, covariance)
    close(mixed([a, b], list(weights)).covariance, got.covariance, rtol=1e-5)


@every_blend
@pytest.mark.parametrize("n", [2, 3])
def test_blends_of_any_rank_stay_finite_and_bounded(kind, n):
    @law
    @given(st.lists(degenerate_features((1, 2, 3, 8)), min_size=n, max_size=n), shares(n))
    def holds(xs, weights):
        styles = [measured(x) for x in xs]
        got = blended(styles, jnp.asarray(weights), kind=kind)
        for part in got:
            assert np.isfinite(part).all()
        spread = max(float(np.trace(floor(s.covariance))) for s in styles)
        if kind == "mixture":
            spread += max(float(np.sum((a.mean - b.mean) ** 2)) for a in styles for b in styles)
        assert np.trace(got.covariance) <= 1.01 * spread + 1e-6
        close(got.covariance, np.asarray(got.covariance).T, rtol=1e-3)
        assert np.linalg.eigvalsh(got.covariance).min() >= -1e-4 * spread - 1e-9

    holds()


def test_blending_nothing_is_an_error():
    with pytest.raises(ConfigError, match="nothing to blend: give at least one style"):
        blend([], jnp.zeros(0))


def test_an_unknown_blend_is_an_error():
    with pytest.raises(ConfigError, match=r"blend 'mean' is not known: use one of barycenter, linear, mixture"):
        blend([moments_of(np.eye(2))], jnp.ones(1), kind="mean")  # pyright: ignore[reportArgumentType]


def test_defaults_are_mk_and_the_barycenter():
    rng = np.random.default_rng(4)
    a, b, c = three(rng)
    np.testing.assert_allclose(mapped(a, b).matrix, mapped(a, b, kind="mk").matrix, rtol=1e-4, atol=1e-5)
    weights = jnp.array([0.2, 0.3, 0.5])
    got, want = (f([a, b, c], weights) for f in (blended, partial(blended, kind="barycenter")))
    np.testing.assert_allclose(got.covariance, want.covariance, rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------------------------------------ distance


def gaussian(mean, variances, scale=1.0):
    return Moments(jnp.float32(9), scale * jnp.asarray(mean, jnp.float32), scale**2 * jnp.diag(jnp.asarray(variances)))


@law
@given(features(), features(), st.floats(0.1, 10))
def test_the_distance_is_symmetric_and_blind_to_contrast(one, other, contrast):
    one, other = measured(one), measured(other)
    louder = Moments(one.count, contrast * one.mean, contrast**2 * one.covariance)
    there, back = float(apart(one, other)), float(apart(other, one))
    assert there < np.sqrt(2)
    assert back == pytest.approx(there, abs=2e-3)
    assert float(apart(louder, other)) == pytest.approx(there, abs=2e-3)
    assert float(apart(one, louder)) < 5e-3


@law
@given(features(), features())
def test_the_distance_is_that_of_an_independent_formula(one, other):
    one, other = measured(one), measured(other)
    grams = [np.asarray(m.covariance, np.float64) + np.outer(m.mean, m.mean) for m in (one, other)]
    assert float(apart(one, other)) == pytest.approx(oracles.bures(*grams), abs=5e-3)


def test_the_distance_of_diagonals_has_a_closed_form():
    one, other = gaussian([0, 0], [4.0, 1.0]), gaussian([0, 0], [1.0, 9.0])
    fidelity = (2 * 1 + 1 * 3) / np.sqrt(5 * 10)
    assert float(apart(one, other)) == pytest.approx(np.sqrt(2 - 2 * fidelity), abs=1e-3)
    assert float(apart(gaussian([0, 0], [1.0, 0.0]), gaussian([0, 0], [0.0, 1.0]))) == pytest.approx(2**0.5, abs=0.02)
