import functools

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from feature_strategies import law, seeds
from flax import nnx
from hypothesis import given
from narrow import NARROW, QUICKLY_COMPILED, part, picture, random, random_tensors
from original import ORIGINAL, needs_original

from wctstyle import convolution, weights, winograd
from wctstyle.convolution import conv3x3, conv3x3_zero
from wctstyle.encoder import COLOR_SCALE, MODELS, SIZE_MULTIPLE, Conv, Encoder, avg_pool, max_pool
from wctstyle.model import build, extract

_quick = QUICKLY_COMPILED

convolved = jax.jit(conv3x3)


def with_pull(fn, x, kernel, slope):
    """The value of `fn(x, kernel)` and its gradient for a slope, in one program that is compiled at every call."""

    def both(x, kernel, slope):
        value, pull = jax.vjp(lambda x, kernel: fn(x, kernel), x, kernel)
        return value, pull(slope)

    return jax.jit(both)(x, kernel, slope)


@pytest.fixture(scope="module")
def tensors():
    return random_tensors()


@pytest.fixture(scope="module")
def encoder(tensors):
    return build(NARROW, tensors)[0]


@pytest.fixture(scope="module")
def image():
    return np.stack([picture(32, 48, seed=seed) for seed in (1, 2)])


@pytest.fixture(scope="module")
def encode(encoder):
    """A jitted call that returns both what `activations` and what a plain call give."""
    graph, state = nnx.split(encoder)

    def both(state, image):
        return nnx.merge(graph, state).activations(image), nnx.merge(graph, state)(image)

    jitted = jax.jit(both)
    return lambda image: jitted(state, image)


@pytest.fixture(scope="module")
def activations(encode, image):
    return encode(image)[0]


# --------------------------------------------------------------------------------------------------- pieces


@pytest.mark.parametrize("size", [(2, 2), (2, 5), (3, 3), (4, 9), (16, 12)], ids=str)
def test_conv_agrees_with_scipy_up_to_the_borders(size):
    x, kernel, bias = random((2, *size, 3)), random((3, 3, 3, 4), 1), random(4, 2)
    np.testing.assert_allclose(convolved(x, kernel, bias), oracles.correlate3x3(x, kernel, bias), atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (4, 1)], ids=str)
def test_conv_reflects_a_side_of_one_position(size):
    x, kernel, bias = random((1, *size, 3)), random((3, 3, 3, 4), 1), random(4, 2)
    np.testing.assert_allclose(convolved(x, kernel, bias), oracles.correlate3x3(x, kernel, bias), atol=1e-5)


@pytest.mark.parametrize("channels", [(3, 16), (16, 3), (3, 3), (1, 3), (16, 16), (64, 64)], ids=str)
@pytest.mark.parametrize("size", [(5, 8), (6, 7), (17, 8), (12, 7)], ids=str)
def test_few_and_many_channels_agree_with_scipy_in_value_and_gradient(size, channels):
    x, kernel, bias = random((2, *size, channels[0])), random((3, 3, *channels), 1), random(channels[1], 2)
    np.testing.assert_allclose(convolved(x, kernel, bias), oracles.correlate3x3(x, kernel, bias), atol=1e-4)
    weight = random((2, *size, channels[1]), 3)

    def total(convolve, x, kernel):
        return jnp.sum(convolve(x, kernel, bias) * weight)

    with pytest.MonkeyPatch.context() as patch:
        found = jax.jit(jax.grad(functools.partial(total, conv3x3), argnums=(0, 1)))(x, kernel)
        patch.setattr(convolution, "WIDE", ())
        patch.setattr(convolution, "THIN_ROW", 0)
        patch.setattr(convolution, "MANY_PRODUCTS", 10**9)
        wanted = jax.jit(jax.grad(functools.partial(total, conv3x3), argnums=(0, 1)))(x, kernel)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("convolve", [conv3x3, conv3x3_zero])
@pytest.mark.parametrize("size", [(1, 1), (1, 6), (12, 8)], ids=str)
def test_other_backends_get_plain_convolutions_with_the_same_result(size, convolve):
    x, kernel, bias = random((2, *size, 3)), random((3, 3, 3, 16), 1), random(16, 2)
    slope = random((2, *size, 16), 3)
    wanted, pulled = with_pull(lambda x, kernel: convolve(x, kernel, bias), x, kernel, slope)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convolution, "on_cpu", lambda: False)
        found, pulled_found = with_pull(lambda x, kernel: convolve(x, kernel, bias), x, kernel, slope)
        program = str(jax.make_jaxpr(lambda x, kernel: convolve(x, kernel, bias))(x, kernel))
    assert program.count("conv_general_dilated[") == 1
    assert "custom_vjp" not in program
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    for a, b in zip(pulled_found, pulled, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3)


@pytest.mark.parametrize("pads", [((1, 1), (1, 1)), ((0, 0), (0, 0)), ((1, 0), (0, 2))], ids=str)
@pytest.mark.parametrize("size", [(4, 4), (16, 23), (21, 8)], ids=str)
def test_winograd_agrees_with_a_direct_correlation_in_value_and_gradient(size, pads):
    x, kernel = random((2, *size, 6)), random((3, 3, 6, 5), 1)

    def direct(x, kernel):
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))

    slope = random(jax.eval_shape(direct, x, kernel).shape, 2)
    wanted, pulled = with_pull(direct, x, kernel, slope)
    found = jax.jit(lambda x, kernel: winograd.correlate(x, kernel, pads))(x, kernel)
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    gradient = jax.jit(lambda x, slope: winograd.kernel_gradient(x, slope, pads))(x, slope)
    np.testing.assert_allclose(gradient, pulled[1], atol=1e-3)


@pytest.mark.parametrize("convolve", [conv3x3, conv3x3_zero])
def test_large_convolutions_between_many_channels_agree_with_small_ones(convolve):
    x, kernel, bias = random((1, 20, 18, 8)), random((3, 3, 8, 8), 1), random(8, 2)
    slope = random(x.shape, 3)
    wanted, pulled = with_pull(lambda x, kernel: convolve(x, kernel, bias), x, kernel, slope)
    assert not winograd.pays(x.shape[:3], kernel.shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "CHANNELS", 0)
        patch.setattr(winograd, "PRODUCTS", 0)
        patch.setattr(convolution, "MANY_PRODUCTS", 0)
        assert winograd.pays(x.shape[:3], kernel.shape)
        called = jax.make_jaxpr(lambda x, kernel: convolve(x, kernel, bias))(x, kernel)
        found, pulled_found = with_pull(lambda x, kernel: convolve(x, kernel, bias), x, kernel, slope)
    assert "36" in str(called)
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    for a, b in zip(pulled_found, pulled, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3)


@pytest.mark.parametrize(
    ("shape", "kernel", "pays"),
    [
        ((1, 32, 32), (3, 3, 512, 512), True),  # VGG-19's at relu5_1, 512 px
        ((1, 64, 64), (3, 3, 128, 128), False),  # slim's at relu4_2, 512 px
        ((1, 128, 128), (3, 3, 128, 128), True),
        ((1, 4096, 4096), (3, 3, 64, 64), False),
        ((2, 1, 4096), (3, 3, 512, 512), False),  # a border
        ((1, 64, 64), (2, 2, 512, 512), False),
    ],
)
def test_where_winograd_pays(shape, kernel, pays):
    assert winograd.pays(shape, kernel) == pays


@pytest.mark.parametrize("size", [(1, 1), (3, 8), (6, 7), (17, 8)], ids=str)
def test_zero_borders_agree_with_scipy(size):
    x, kernel, bias = random((2, *size, 3)), random((3, 3, 3, 4), 1), random(4, 2)
    wider = oracles.correlate3x3(np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0))), kernel, bias)[:, 2:-2, 2:-2]
    np.testing.assert_allclose(conv3x3_zero(x, kernel, bias), wider, atol=1e-5)


@law
@given(seeds)
def test_conv_is_linear_and_keeps_a_flat_colour_flat(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, 1, 6, 7, 3)).astype(np.float32)
    kernel, bias = rng.normal(size=(3, 3, 3, 4)).astype(np.float32), rng.normal(size=4).astype(np.float32)
    together = convolved(x + y, kernel, bias)
    np.testing.assert_allclose(together, convolved(x, kernel, bias) + convolved(y, kernel, bias) - bias, atol=1e-4)
    flat = np.broadcast_to(x[:, :1, :1], x.shape)
    want = np.einsum("yxio,i->o", kernel, x[0, 0, 0]) + bias
    np.testing.assert_allclose(convolved(flat, kernel, bias), np.broadcast_to(want, (1, 6, 7, 4)), atol=1e-5)


def test_conv_reflects_without_repeating_the_edge():
    kernel = np.zeros((3, 3, 1, 1), np.float32)
    kernel[0, 0] = 1  # the value above and to the left
    x = np.arange(1, 7, dtype=np.float32).reshape(1, 2, 3, 1)
    np.testing.assert_array_equal(convolved(x, kernel, np.zeros(1))[0, ..., 0], [[5, 4, 5], [2, 1, 2]])


@pytest.mark.parametrize(("pool", "oracle"), [(max_pool, oracles.max_pool), (avg_pool, oracles.avg_pool)])
def test_pooling_agrees_with_numpy(pool, oracle):
    x = random((2, 6, 8, 3))
    np.testing.assert_allclose(pool(x), oracle(x), atol=1e-6)


def test_the_slope_of_pooling_goes_to_the_largest_and_is_shared_by_equal_ones():
    x = np.float32([[1, 2, 5, 5], [3, 10, 5, 6], [7, 7, 0, 0], [7, 7, 0, 4]]).reshape(1, 4, 4, 1)
    (slope,) = jax.vjp(max_pool, x)[1](np.float32([[1, 2], [4, 8]]).reshape(1, 2, 2, 1))
    np.testing.assert_array_equal(slope[0, ..., 0], [[0, 0, 0, 0], [0, 1, 0, 2], [1, 1, 0, 0], [1, 1, 0, 8]])


def test_pooling_by_hand():
    x = np.float32([[1, 2, 5, 5], [3, 10, 5, 6]]).reshape(1, 2, 4, 1)
    np.testing.assert_array_equal(max_pool(x).ravel(), [10, 6])
    np.testing.assert_array_equal(avg_pool(x).ravel(), [4, 5.25])


def test_convs_start_from_he_initialisation():
    conv = Conv(32, 64, rngs=nnx.Rngs(0))
    assert float(conv.kernel[...].std()) == pytest.approx(np.sqrt(2 / (9 * 32)), rel=0.05)
    np.testing.assert_array_equal(conv.bias[...], np.zeros(64))


# ---------------------------------------------------------------------------------------------------- table


def test_the_table_is_that_of_vgg19():
    width = {"1": 64, "2": 128, "3": 256, "4": 512, "5": 512}
    layers = [name for name in oracles.VGG19_TO_RELU5_1 if name != "M"]
    channels = [3] + [width[name[4]] for name in layers]
    assert MODELS["vgg19"].convs() == list(zip(layers, channels[:-1], channels[1:], strict=True))


@pytest.mark.parametrize(("name", "above", "deepest"), [("slim", 4, 2), ("medium", 2, 1), ("vgg19", 1, 1)])
def test_each_model_is_a_fraction_as_wide_and_less_so_at_relu5_1(name, above, deepest):
    for level, (own, full) in enumerate(zip(MODELS[name].channels, MODELS["vgg19"].channels, strict=True), start=1):
        assert full == own * (deepest if level == 5 else above)


@pytest.mark.parametrize("after", ["conv1_1", "conv3_1", "conv4_4"])
def test_going_on_from_a_layer_gives_what_follows_it(encoder, activations, after):
    whole = activations
    rest = nnx.jit(lambda e, x: e.activations(x, after=after))(encoder, whole["relu" + after[4:]])
    names = list(whole)
    assert list(rest) == names[names.index("relu" + after[4:]) + 1 :]
    for name, found in rest.items():
        np.testing.assert_allclose(found, whole[name], atol=1e-5)


def test_models_are_filed_under_their_names():
    assert all(name == config.name for name, config in MODELS.items())


# -------------------------------------------------------------------------------------------------- encoder


def test_the_encoder_agrees_with_scipy(tensors, image, activations):
    want = oracles.vgg(image, part(tensors, "encoder"))
    assert list(activations) == list(want)
    for name, value in want.items():
        assert value.std(axis=(0, 1, 2)).min() > 0.01, name
        np.testing.assert_allclose(activations[name], value, atol=1e-5 * value.max(), err_msg=name)


def test_average_pooling_agrees_with_scipy(encoder, tensors, image):
    want = oracles.vgg(image, part(tensors, "encoder"), pool=oracles.avg_pool)["relu2_1"]
    got = encoder.activations(image, upto="conv2_1", pooling="avg")
    np.testing.assert_allclose(got["relu2_1"], want, atol=1e-5 * want.max())


def test_levels_have_the_sizes_and_widths_of_the_table(activations):
    for level, channels in enumerate(NARROW.channels, start=1):
        cell = 2 ** (level - 1)
        assert activations[f"relu{level}_1"].shape == (2, 32 // cell, 48 // cell, channels)
    assert SIZE_MULTIPLE == 2**4


def test_a_call_returns_the_first_convolution_of_each_level(encode, image):
    activations, levels = encode(image)
    assert len(levels) == 5
    for level, features in enumerate(levels, start=1):
        np.testing.assert_allclose(features, activations[f"relu{level}_1"], rtol=1e-5, atol=1e-5)


def test_a_code_is_relu4_1_and_the_colour_of_its_cells(encoder, image, activations):
    code = nnx.jit(lambda e, x: e.code(x))(encoder, image)
    assert code.shape == (2, 4, 6, NARROW.code_width)
    want = oracles.code(np.asarray(activations["relu4_1"]), image)
    np.testing.assert_allclose(code, want, atol=1e-5 * float(want.max()))


def test_the_colour_in_a_code_is_zero_for_grey_and_linear_in_rgb(encoder):
    look = nnx.jit(lambda e, x: e.code(x)[..., -3:])
    for rgb in ([0.5, 0.5, 0.5], [0.0, 0.25, 1.0]):
        found = look(encoder, np.broadcast_to(np.float32(rgb), (1, 32, 48, 3)))
        want = COLOR_SCALE * (np.float32(rgb) - 0.5)
        np.testing.assert_allclose(found, np.broadcast_to(want, found.shape), atol=1e-5)


def test_activations_stop_at_the_layer_asked_for(encoder, image, activations):
    got = encoder.activations(image, upto="conv2_1")
    assert list(got) == ["relu1_1", "relu1_2", "relu2_1"]
    np.testing.assert_allclose(got["relu2_1"], activations["relu2_1"], atol=1e-5)


def test_fewer_levels_are_the_first_ones(encoder, image, activations):
    got = encoder(image, levels=2)
    assert len(got) == 2
    np.testing.assert_allclose(got[1], activations["relu2_1"], atol=1e-5)


def test_pictures_of_a_batch_do_not_mix(encode, image):
    for a, b in zip(encode(image)[1], encode(image[::-1])[1], strict=True):
        np.testing.assert_allclose(a, b[::-1], atol=1e-5)
        assert np.abs(a[0] - a[1]).max() > 1e-3


def test_the_random_start_depends_on_the_key_alone():
    a, b, c = (extract(Encoder(NARROW, rngs=nnx.Rngs(key)), "encoder") for key in (1, 1, 2))
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])
    assert not np.array_equal(a["encoder/conv1_1/kernel"], c["encoder/conv1_1/kernel"])


# ------------------------------------------------------------------------------------- the original's weights


REACH = 40
"""Pixels from the border that its padding can reach at relu4_1: 37, rounded up to whole positions of that level."""

LEVELS = 4
"""Levels compared: relu5_1 would take a picture five times as large, and its layers differ in their names only."""


@needs_original
def test_imported_weights_give_the_features_of_the_original(tmp_path):
    """Away from the borders, where the original pads with zeros; each level up to its one scalar."""
    rng = np.random.default_rng(0)
    blocks = [rng.uniform(size=(1, 96 // s, 96 // s, 3)).repeat(s, 1).repeat(s, 2) for s in (4, 8, 32)]
    image = (np.sum(blocks, axis=0) / len(blocks)).astype(np.float32)
    with np.load(ORIGINAL) as file:
        original = {name: file[name] for name in file.files}
    want = oracles.vgg(
        oracles.caffe(image).astype(np.float32),
        original,
        correlate=oracles.correlate3x3_wide,
        border="constant",
        upto=f"conv{LEVELS}_1",
    )
    tensors, metadata = weights.load_file(weights.import_vgg19(ORIGINAL, dest=tmp_path / "vgg19.safetensors"))

    graph, shapes = nnx.split(nnx.eval_shape(lambda: Encoder(MODELS["vgg19"], rngs=nnx.Rngs(0))))
    state = nnx.map_state(lambda path, leaf: leaf.replace(tensors["/".join(("encoder", *path))]), shapes)
    levels = jax.jit(lambda s, x: nnx.merge(graph, s)(x, levels=LEVELS))(state, image)
    for level, (features, rms) in enumerate(zip(levels, metadata["level_rms"], strict=False), start=1):
        inside = slice(REACH // 2 ** (level - 1), (96 - REACH) // 2 ** (level - 1))
        got, expected = (np.asarray(f)[:, inside, inside] for f in (features, want[f"relu{level}_1"]))
        scale = np.sqrt(np.mean(expected**2))
        assert scale > 1, f"relu{level}_1 of the original is silent"
        np.testing.assert_allclose(got * rms, expected, atol=1e-3 * scale, err_msg=f"relu{level}_1")


def test_the_two_convolution_oracles_agree():
    x, kernel, bias = (random(s, i).astype(np.float64) for i, s in enumerate([(2, 5, 6, 3), (3, 3, 3, 4), (4,)]))
    for border in ("reflect", "constant"):
        np.testing.assert_allclose(
            oracles.correlate3x3_wide(x, kernel, bias, border=border),
            oracles.correlate3x3(x, kernel, bias, border=border),
            atol=1e-12,
        )
