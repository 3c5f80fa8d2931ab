import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from feature_strategies import law, seeds
from flax import nnx
from hypothesis import given
from narrow import NARROW, QUICKLY_COMPILED, picture, random, random_tensors

from wctstyle import plan as core
from wctstyle.encoder import CELL, COLOR_SCALE
from wctstyle.model import build
from wctstyle.moments import Affine, Moments, measure, pool
from wctstyle.plan import KEPT_WITHIN, counted, likeness, moved, palette
from wctstyle.settings import TransformKind
from wctstyle.transforms import floored

_quick = QUICKLY_COMPILED

WIDTH = NARROW.code_width


@pytest.fixture(scope="module")
def network(_quick):
    """Jitted encoding, planning and rendering with one narrow model."""
    encoder, decoder = build(NARROW, random_tensors())
    encoder_def, encoder_state = nnx.split(encoder)
    decoder_def, decoder_state = nnx.split(decoder)

    class Network:
        encode = staticmethod(jax.jit(lambda *args: core.encode(nnx.merge(encoder_def, encoder_state), *args)))
        plan = staticmethod(jax.jit(core.plan, static_argnames="kind"))
        decode = staticmethod(jax.jit(lambda code: nnx.merge(decoder_def, decoder_state)(code)))
        render = staticmethod(jax.jit(lambda *args: core.render(nnx.merge(decoder_def, decoder_state), *args)))

    return Network


@pytest.fixture(scope="module")
def photo(network):
    """The code of a photo and its moments."""
    return network.encode(picture(64, 96, seed=1)[None], 64, 96)


@pytest.fixture(scope="module")
def target(network):
    return network.encode(picture(64, 96, seed=2)[None] ** 2, 64, 96)[1]


@pytest.fixture(scope="module")
def plan(network, photo, target):
    return network.plan(photo[1], target)


def moments_of(features):
    return measure(jnp.asarray(features))


def assert_same(got, want, *, atol=1e-5):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, atol=atol * max(1.0, float(np.abs(b).max())))


# -------------------------------------------------------------------------------------------------- what counts


def test_a_cell_counts_by_the_part_of_it_that_is_picture():
    got = counted(12, 17, (3, 4))
    np.testing.assert_allclose(got[0], np.outer([1, 0.5, 0], [1, 1, 1 / 8, 0]))


@pytest.mark.parametrize("size", [(1, 1), (1, 64), (33, 64), (40, 7), (64, 64)], ids=str)
def test_the_counts_add_up_to_the_pictures_area(size):
    got = counted(*size, (8, 8))
    assert got.shape == (1, 8, 8)
    assert float(got.sum()) == pytest.approx(size[0] * size[1] / CELL**2)
    assert 0 <= got.min() <= got.max() <= 1


def test_sizes_may_be_traced():
    masked = jax.jit(lambda h, w: counted(h, w, (8, 8)))
    for size in ((9, 32), (32, 5)):
        np.testing.assert_allclose(masked(*size), counted(*size, (8, 8)))


def test_padding_is_not_measured(network):
    code, got = network.encode(picture(64, 96, seed=3)[None], 48, 80)
    want = measure(code[:, : 48 // CELL, : 80 // CELL])
    assert float(got.count) == float(want.count) == 48 * 80 / CELL**2
    assert_same(got, want)


def test_what_lies_far_out_in_the_padding_does_not_matter(network):
    """relu4_1 sees less than 48 pixels around: changes farther out than that leave every counted position alone."""
    canvas = picture(128, 128, seed=3)[None]
    changed = canvas.copy()
    changed[:, 64 + 48 :] = 1 - changed[:, 64 + 48 :]
    changed[:, :, 64 + 48 :] = 0
    before, after = (network.encode(x, 64, 64)[1] for x in (canvas, changed))
    assert_same(after, before, atol=1e-6)
    changed[:, 20:30, 20:30] = 0
    assert np.abs(network.encode(changed, 64, 64)[1].mean - before.mean).max() > 1e-4


# --------------------------------------------------------------------------------------------------------- plan


@pytest.mark.parametrize("kind", ["mk", "wct"])
def test_the_map_gives_the_code_the_targets_moments(network, photo, target, kind: TransformKind):
    code, own = photo
    got = measure(network.plan(own, target, kind=kind).affine(code))
    scale = float(np.trace(target.covariance) + np.sum(target.mean**2))
    np.testing.assert_allclose(got.mean, target.mean, atol=1e-3 * scale**0.5)
    np.testing.assert_allclose(got.covariance, floored(target.covariance), atol=2e-3 * scale)


def test_the_plan_is_a_function_of_moments_alone(network, photo, target, plan):
    """Another code with the same moments, its positions in another order, is planned for alike."""
    shuffled = np.random.default_rng(0).permutation(np.asarray(photo[0]).reshape(-1, WIDTH)).reshape(photo[0].shape)
    assert_same(network.plan(measure(jnp.asarray(shuffled)), target), plan, atol=2e-3)
    copied = Moments(*(np.array(part) for part in photo[1]))
    assert_same(network.plan(copied, target), plan, atol=1e-4)


def test_moments_pooled_from_pieces_give_the_plan_of_the_whole(network, photo, target, plan):
    code = photo[0]
    for axis in (1, 2):
        pieces = [measure(half) for half in np.split(np.asarray(code), 2, axis=axis)]
        assert_same(network.plan(pool(pieces), target), plan, atol=2e-3)


def test_pieces_with_a_halo_are_measured_as_the_whole_is(network, photo):
    """Two halves of a photo, each with what the encoder sees beyond it, counted without that."""
    rgb = picture(64, 192, seed=4)[None]
    _, whole = network.encode(rgb, 64, 192)
    left, _ = network.encode(rgb[:, :, :144], 64, 144)
    right, _ = network.encode(rgb[:, :, 48:], 64, 144)
    pieces = [measure(left[:, :, : 96 // CELL]), measure(right[:, :, 48 // CELL :])]
    assert_same(pool(pieces), whole)


def test_how_often_a_picture_is_repeated_changes_no_plan(network, photo, target, plan):
    many = photo[1]._replace(count=7 * photo[1].count)
    assert_same(network.plan(many, target._replace(count=3 * target.count)), plan)


def test_a_photo_in_its_own_style_is_not_moved(network, photo):
    code, own = photo
    plan = network.plan(own, own)
    np.testing.assert_allclose(plan.affine(code), code, atol=5e-3 * float(np.abs(code).max()))
    assert float(plan.likeness) == 1
    np.testing.assert_allclose(plan.palette.matrix, np.eye(3), atol=1e-3)
    np.testing.assert_allclose(plan.palette.bias, np.zeros(3), atol=1e-3)


def test_flat_pictures_are_planned_for(network, target):
    flat = network.encode(np.full((1, 64, 96, 3), 0.5, np.float32), 64, 96)[1]
    nothing = Moments(*(jnp.zeros_like(part) for part in target))
    for own, goal in ((flat, target), (target, flat), (flat, flat), (nothing, target), (target, nothing)):
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(network.plan(own, goal)))


# ------------------------------------------------------------------------------------------ palette and likeness


def test_the_palette_gives_the_targets_mean_and_covariance_of_rgb():
    """The colours of a code are those of its cells; their map is held against the other form in float64."""
    rng = np.random.default_rng(0)
    own, goal = (rng.uniform(size=(1, 8, 12, 3)) @ rng.uniform(0, 0.5, (3, 3)) for _ in range(2))

    def code(colors, seed):
        deep = random((*colors.shape[:3], WIDTH - 3), seed)
        return moments_of(np.concatenate([deep, COLOR_SCALE * (colors - 0.5)], axis=-1).astype(np.float32))

    step = jax.jit(palette)(code(own, 1), code(goal, 2))
    mean, covariance = oracles.moments(np.asarray(step(jnp.asarray(own, jnp.float32))))
    want_mean, want_covariance = oracles.moments(goal)
    np.testing.assert_allclose(mean, want_mean, atol=1e-3)
    np.testing.assert_allclose(covariance, want_covariance, atol=1e-3)
    np.testing.assert_allclose(step.matrix, oracles.mk(oracles.moments(own)[1], want_covariance), atol=1e-2)


def test_the_palette_looks_at_colours_alone(photo, target):
    other = target._replace(mean=target.mean.at[:-3].add(5), covariance=target.covariance.at[:-3, :-3].multiply(3))
    assert_same(jax.jit(palette)(photo[1], other), jax.jit(palette)(photo[1], target))


@law
@given(seeds)
def test_moments_are_like_themselves_and_less_so_the_farther_they_are_moved(seed):
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(1, 4, 6, 3)) * rng.uniform(0.1, 2, 3) + rng.normal(size=3)).astype(np.float32)
    y = (rng.normal(size=(1, 4, 6, 3)) * rng.uniform(0.1, 2, 3) + rng.normal(size=3)).astype(np.float32)
    target, other = moments_of(x), moments_of(y)

    def along(t):
        return Moments(*((1 - t) * a + t * b for a, b in zip(target, other, strict=True)))

    found = [float(likeness(along(t), target)) for t in np.linspace(0, 1, 9)]
    assert found[0] == 1
    assert all(a >= b for a, b in zip(found, found[1:], strict=False))
    assert min(found) >= 0


def test_likeness_falls_to_nothing_at_a_fifth_of_the_targets_size():
    target = Moments(jnp.asarray(9.0), jnp.zeros(4), jnp.eye(4))
    for distance, wanted in ((0.0, 1.0), (0.1, 0.5), (0.19, 0.05), (0.2, 0.0)):
        away = target._replace(covariance=(1 + distance) * jnp.eye(4))
        assert float(likeness(away, target)) == pytest.approx(wanted, abs=1e-5)


def test_moments_far_apart_have_no_likeness(target):
    away = target._replace(mean=(1 + 2 * KEPT_WITHIN**0.5) * target.mean, covariance=2 * target.covariance)
    assert float(likeness(away, target)) == 0
    nothing = Moments(*(jnp.zeros_like(part) for part in target))
    assert float(likeness(nothing, target)) == 0
    assert float(likeness(target, nothing)) == 0
    assert float(likeness(nothing, nothing)) == 1


# ------------------------------------------------------------------------------------------------------- render


@law
@given(seeds)
def test_strength_is_how_far_the_map_is_followed(seed):
    rng = np.random.default_rng(seed)
    step = Affine(*(rng.normal(size=shape).astype(np.float32) for shape in ((3, 3), (3,))))
    code = rng.normal(size=(1, 4, 5, 3)).astype(np.float32)
    full = np.asarray(step(code))
    np.testing.assert_array_equal(moved(code, step, 0.0), code)
    np.testing.assert_allclose(moved(code, step, 1.0), full, atol=1e-5)
    for strength in (0.25, 1.5):
        np.testing.assert_allclose(moved(code, step, strength), code + strength * (full - code), atol=1e-5)


def test_rendering_is_decoding_the_mapped_code(network, photo, plan):
    code = photo[0]
    for strength in (0.0, 0.4, 1.0, 1.5):
        image = network.render(code, (plan.affine,), (strength,), code, 0.0)
        assert image.shape == (1, 64, 96, 3)
        np.testing.assert_allclose(image, network.decode(moved(code, plan.affine, strength)), atol=1e-4)
    assert np.std(image) > 0.01


def test_faces_are_drawn_towards_their_own_code(network, photo, plan):
    """With all of a face's share the picture is that code's own, with none of it there are no faces."""
    code, face = photo[0], network.encode(picture(64, 96, seed=5)[None], 64, 96)[0]
    nowhere, everywhere = np.zeros((1, 8, 12, 1), np.float32), np.ones((1, 8, 12, 1), np.float32)

    def painted(share):
        return network.render(code, (plan.affine,), (1.0,), face, share)

    np.testing.assert_allclose(painted(nowhere), network.decode(plan.affine(code)), atol=1e-4)
    np.testing.assert_allclose(painted(everywhere), network.decode(face), atol=1e-4)
    mixed = 0.3 * np.asarray(face) + 0.7 * np.asarray(plan.affine(code))
    np.testing.assert_allclose(painted(0.3 * everywhere), network.decode(mixed), atol=1e-4)


def test_faces_change_the_picture_where_they_are(network, photo, plan):
    """One cell's own square, and what the decoder's convolutions carry around it."""
    code, share = photo[0], np.zeros((1, 8, 12, 1), np.float32)
    share[:, 3, 2] = 1
    plain = network.render(code, (plan.affine,), (1.0,), code, 0.0 * share)
    change = np.abs(network.render(code, (plan.affine,), (1.0,), code, share) - plain)[0].max(axis=-1)
    assert change[24:32, 16:24].max() > 1e-4
    np.testing.assert_allclose(change[:, 72:], 0, atol=1e-5)


# -------------------------------------------------------------------------------------------------------- tiles

HALO = 96
"""What a tile needs around it, in pixels: 48 that the encoder sees, the rest for the decoder."""


@pytest.mark.parametrize("side", [0, 1])
def test_a_tile_with_its_halo_is_the_crop_of_the_whole(network, target, side):
    """Coded and painted by itself with the plan of the whole, a half of a photo is that half."""
    rgb = picture(64, 384, seed=7)[None]
    code, own = network.encode(rgb, 64, 384)
    plan = network.plan(own, target)
    whole = np.asarray(network.render(code, (plan.affine,), (1.0,), code, 0.0))
    columns = slice(0, 192 + HALO) if side == 0 else slice(192 - HALO, 384)
    part = network.encode(rgb[:, :, columns], 64, 192 + HALO)[0]
    painted = np.asarray(network.render(part, (plan.affine,), (1.0,), part, 0.0))
    kept = painted[:, :, :192] if side == 0 else painted[:, :, HALO:]
    wanted = whole[:, :, :192] if side == 0 else whole[:, :, 192:]
    np.testing.assert_allclose(kept, wanted, atol=1 / 255)


def test_regions_mix_their_maps_by_their_amounts(network, photo, plan, target):
    """One map everywhere is that map; two by halves are each their own; none is the code."""
    code = photo[0]
    other = network.plan(photo[1], target._replace(mean=target.mean + 0.3))
    ones = np.ones((*code.shape[:3], 1), np.float32)
    left = ones * (np.arange(code.shape[2]) < 6)[None, None, :, None]
    steps = plan.affine, other.affine
    both = network.render(code, steps, (left, ones - left), code, 0.0)
    mapped = np.where(left > 0, plan.affine(code), other.affine(code))
    np.testing.assert_allclose(both, network.decode(jnp.asarray(mapped)), atol=1e-4)
    alone = network.render(code, steps, (ones, 0 * ones), code, 0.0)
    np.testing.assert_allclose(alone, network.render(code, (plan.affine,), (1.0,), code, 0.0), atol=1e-4)
    nothing = network.render(code, steps, (0 * ones, 0 * ones), code, 0.0)
    np.testing.assert_allclose(nothing, network.decode(code), atol=1e-4)
