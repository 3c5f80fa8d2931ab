import jax
import jax.numpy as jnp
import numpy as np
import pytest
from feature_strategies import law, seeds
from flax import nnx
from hypothesis import given
from narrow import NARROW, picture, quick_compilation, random_tensors

from wctstyle import plan as plan_module
from wctstyle.model import build
from wctstyle.moments import Moments, measure
from wctstyle.plan import measure_levels, mix_detail, plan_and_decode, render, valid_weights
from wctstyle.settings import LEVELS
from wctstyle.transforms import floored


@pytest.fixture(scope="module", autouse=True)
def _quick(tmp_path_factory):
    with quick_compilation(tmp_path_factory.mktemp("programs")):
        yield


@pytest.fixture(scope="module")
def network(_quick):
    """Jitted encoding, planning and rendering with one narrow model."""
    encoder, decoder = build(NARROW, random_tensors())
    encoder_def, encoder_state = nnx.split(encoder)
    decoder_def, decoder_state = nnx.split(decoder)

    class Network:
        encode = staticmethod(jax.jit(lambda x: nnx.merge(encoder_def, encoder_state)(x)))
        decode = staticmethod(
            jax.jit(
                lambda features, targets, alphas, detail, weights: plan_and_decode(
                    nnx.merge(encoder_def, encoder_state),
                    nnx.merge(decoder_def, decoder_state),
                    features,
                    targets,
                    alphas,
                    detail,
                    weights=weights,
                )
            )
        )
        render = staticmethod(
            jax.jit(
                lambda features, plan, detail: render(
                    nnx.merge(encoder_def, encoder_state),
                    nnx.merge(decoder_def, decoder_state),
                    features,
                    plan,
                    detail,
                )
            )
        )
        block = staticmethod(
            jax.jit(
                lambda x, level, step: nnx.merge(decoder_def, decoder_state).block(x, level, step), static_argnums=1
            )
        )
        measure_levels = staticmethod(jax.jit(measure_levels))

    return Network


@pytest.fixture(scope="module")
def content(network):
    return network.encode(picture(64, 96, seed=1)[None])


@pytest.fixture(scope="module")
def target(network):
    features = network.encode(picture(64, 96, seed=2)[None])
    return network.measure_levels(features, 64, 96)


@pytest.fixture(scope="module")
def everywhere(content):
    """Weights that count each position once."""
    return tuple(jnp.ones(features.shape[:3]) for features in content)


FULL = jnp.ones(5)


# ---------------------------------------------------------------------------------------------------- masks


@pytest.mark.parametrize(
    ("level", "shape", "rows", "columns"),
    [(1, (64, 64), 33, 64), (2, (32, 32), 17, 32), (3, (16, 16), 9, 16), (4, (8, 8), 5, 8), (5, (4, 4), 3, 4)],
)
def test_positions_that_touch_the_picture_count(level, shape, rows, columns):
    """33 pixels end in the first pixel of a cell of each level: the cell is part of the picture."""
    got = valid_weights(33, 64, shape, level)
    want = np.zeros((1, *shape), np.float32)
    want[:, :rows, :columns] = 1
    np.testing.assert_array_equal(got, want)


def test_a_picture_of_one_pixel_counts_once_on_each_level():
    for level in LEVELS:
        assert valid_weights(1, 1, (64 >> (level - 1),) * 2, level).sum() == 1


def test_sizes_may_be_traced():
    masked = jax.jit(lambda h, w: valid_weights(h, w, (8, 8), 3))
    np.testing.assert_array_equal(masked(9, 32), valid_weights(9, 32, (8, 8), 3))
    np.testing.assert_array_equal(masked(32, 5), valid_weights(32, 5, (8, 8), 3))


def test_levels_are_measured_without_the_padding(network, content):
    for level, (features, got) in enumerate(
        zip(content, network.measure_levels(content, 48, 80), strict=True), start=1
    ):
        cell = 2 ** (level - 1)
        want = measure(features[:, : 48 // cell, : 80 // cell])
        assert got.count == want.count == (48 // cell) * (80 // cell)
        np.testing.assert_allclose(got.mean, want.mean, atol=1e-5)
        np.testing.assert_allclose(got.covariance, want.covariance, atol=1e-5)


def test_what_lies_far_out_in_the_padding_does_not_matter(network):
    """relu5_1 sees 85 pixels around: changes farther out than that leave every counted position alone."""
    canvas = picture(192, 192, seed=3)[None]
    changed = canvas.copy()
    changed[:, 64 + 96 :] = 1 - changed[:, 64 + 96 :]
    changed[:, :, 64 + 96 :] = 0
    before, after = (network.measure_levels(network.encode(x), 64, 64) for x in (canvas, changed))
    for a, b in zip(before, after, strict=True):
        for got, want in zip(b, a, strict=True):
            np.testing.assert_allclose(got, want, atol=1e-6)
    changed[:, 20:30, 20:30] = 0
    for a, b in zip(before, network.measure_levels(network.encode(changed), 64, 64), strict=True):
        assert np.abs(a.mean - b.mean).max() > 1e-4


# ---------------------------------------------------------------------------------------------------- detail


@law
@given(seeds)
def test_detail_is_the_share_of_the_content(seed):
    x, y = np.random.default_rng(seed).normal(size=(2, 1, 3, 4, 2)).astype(np.float32)
    np.testing.assert_array_equal(mix_detail(x, y, 0.0), x)
    np.testing.assert_array_equal(mix_detail(x, y, 1.0), y)
    np.testing.assert_allclose(mix_detail(x, y, 0.25), 0.75 * x + 0.25 * y, atol=1e-6)


# ----------------------------------------------------------------------------------------------------- chain


@pytest.mark.parametrize("detail", [0.0, 0.4])
def test_rendering_the_plan_gives_the_picture_it_was_made_with(network, content, target, everywhere, detail):
    image, plan = network.decode(content, target, FULL, detail, everywhere)
    assert image.shape == (1, 64, 96, 3)
    assert np.std(image) > 0.01
    np.testing.assert_allclose(network.render(content, plan, detail), image, atol=1e-5)


@pytest.mark.parametrize("detail", [0.0, 0.4])
def test_each_level_of_the_chain_gets_the_moments_of_the_target(network, content, target, everywhere, detail):
    """Walks the chain with the plan: after its map each level has the mean and (floored) covariance asked for."""
    image, plan = network.decode(content, target, FULL, detail, everywhere)
    x = content[-1]
    for level in reversed(LEVELS):
        if level < 5:
            x = (1 - detail) * x + detail * content[level - 1]
        step, want = plan[level - 1], target[level - 1]
        got = measure(step(x))
        scale = float(np.trace(want.covariance) + np.sum(want.mean**2))
        np.testing.assert_allclose(got.mean, want.mean, atol=1e-3 * scale**0.5, err_msg=f"relu{level}_1")
        np.testing.assert_allclose(
            got.covariance, floored(want.covariance), atol=2e-3 * scale, err_msg=f"relu{level}_1"
        )
        x = network.block(x, level, step)
    x = np.clip(x, 0, 1)
    seen, last = network.encode(x)[0], plan[5]
    np.testing.assert_allclose(measure(last(seen)).mean, target[0].mean, atol=1e-3)
    change = network.block(seen, 1, last) - network.block(seen, 1, None)
    assert np.abs(change).max() > 1e-3
    np.testing.assert_allclose(x + change, image, atol=1e-5)


def test_the_plan_has_one_map_per_level_from_relu1_1_up_and_the_retouch(network, content, target, everywhere):
    _, plan = network.decode(content, target, FULL, 0.0, everywhere)
    assert [step.matrix.shape for step in plan] == [(c, c) for c in (*NARROW.channels, NARROW.channels[0])]
    assert [step.bias.shape for step in plan] == [(c,) for c in (*NARROW.channels, NARROW.channels[0])]


@pytest.mark.parametrize("level", LEVELS)
def test_strength_is_set_level_by_level(network, content, target, everywhere, level):
    _, plan = network.decode(content, target, FULL.at[level - 1].set(0), 0.0, everywhere)
    for k, step in zip((*LEVELS, 1), plan, strict=True):
        identity = np.array_equal(step.matrix, np.eye(len(step.bias))) and not step.bias.any()
        assert identity == (k == level), k


def test_full_detail_without_strength_decodes_the_content_from_relu1_1(network, content, target, everywhere):
    image, _ = network.decode(content, target, jnp.zeros(5), 1.0, everywhere)
    np.testing.assert_allclose(image, np.clip(network.block(content[0], 1, None), 0, 1), atol=1e-5)


def test_the_content_as_its_own_style_changes_nothing_at_relu5_1(network, content, everywhere):
    own = network.measure_levels(content, 64, 96)
    _, plan = network.decode(content, own, FULL, 0.0, everywhere)
    np.testing.assert_allclose(plan[4](content[4]), content[4], atol=2e-3)


def test_weights_choose_what_the_chain_is_measured_on(network, content, target, everywhere):
    """Rows of weight zero do not enter: the plan is that of the others, and each level reaches the target there."""
    masks = tuple(valid_weights(32, 96, f.shape[1:3], k) for k, f in enumerate(content, start=1))
    _, plan = network.decode(content, target, FULL, 0.0, masks)
    got, want = measure(plan[4](content[4][:, :2])), target[4]
    np.testing.assert_allclose(got.mean, want.mean, atol=2e-3)
    _, whole = network.decode(content, target, FULL, 0.0, everywhere)
    assert np.abs(plan[4].bias - whole[4].bias).max() > 1e-2


@pytest.mark.parametrize("weights", ["everywhere", "nowhere", "upper half"])
def test_a_large_level_is_measured_on_every_third_row(content, everywhere, monkeypatch, weights):
    """And on all rows where it is small: the rest of the rows may hold anything."""
    x = content[0]
    given = {"everywhere": everywhere[0], "nowhere": None, "upper half": everywhere[0].at[:, 32:].set(0)}[weights]
    rows = np.arange(0, 32 if weights == "upper half" else 64, 3)
    spoilt = x.at[:, 1::3].set(7).at[:, 2::3].set(-7)
    whole = plan_module.measure_on_the_way(x, given)
    np.testing.assert_allclose(whole.mean, np.asarray(x)[:, : rows[-1] // 2 * 2 + 2].mean((0, 1, 2)), atol=1e-4)
    monkeypatch.setattr(plan_module, "MANY_POSITIONS", 64 * 96)
    got, want = plan_module.measure_on_the_way(spoilt, given), measure(x[:, rows])
    np.testing.assert_allclose(got.mean, want.mean, atol=1e-5)
    np.testing.assert_allclose(got.covariance, want.covariance, atol=1e-5)


def test_no_weights_count_every_position_once(network, content, target, everywhere):
    counted, _ = network.decode(content, target, FULL, 0.5, everywhere)
    plain, _ = network.decode(content, target, FULL, 0.5, (None,) * 5)
    np.testing.assert_allclose(plain, counted, atol=1e-4)


def test_flat_content_and_flat_targets_stay_finite(network, target, everywhere):
    flat = network.encode(np.full((1, 64, 96, 3), 0.5, np.float32))
    nothing = tuple(Moments(*(jnp.zeros_like(part) for part in moments)) for moments in target)
    for goal in (target, nothing):
        image, plan = network.decode(flat, goal, FULL, 0.0, everywhere)
        assert np.isfinite(image).all()
        assert all(np.isfinite(part).all() for step in plan for part in step)
