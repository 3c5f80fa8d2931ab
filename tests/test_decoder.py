import jax
import numpy as np
import oracles
import pytest
from feature_strategies import law, seeds
from flax import nnx
from hypothesis import given
from narrow import NARROW, QUICKLY_COMPILED, part, random, random_tensors

from wctstyle.decoder import Decoder, upsample, upsampled_conv3x3
from wctstyle.encoder import MODELS, Encoder, conv3x3
from wctstyle.model import build, extract, fill

_quick = QUICKLY_COMPILED


@pytest.fixture(scope="module")
def tensors():
    return random_tensors()


@pytest.fixture(scope="module")
def decoder(tensors):
    return build(NARROW, tensors)[1]


@pytest.fixture(scope="module")
def decode(decoder):
    """A jitted call of the decoder's activations."""
    graph, state = nnx.split(decoder)
    jitted = jax.jit(lambda state, code: nnx.merge(graph, state).activations(code))
    return lambda code: jitted(state, code)


def test_upsampling_repeats_each_position():
    x = random((2, 3, 4, 5))
    np.testing.assert_array_equal(upsample(x), oracles.upsample(x))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 3), (2, 2), (5, 4), (19, 4)])
def test_an_upsampled_convolution_is_one_after_upsampling(height, width):
    x, kernel, bias = random((2, height, width, 3)), random((3, 3, 3, 5)), random((5,))
    want = conv3x3(upsample(x), kernel, bias)
    np.testing.assert_allclose(upsampled_conv3x3(x, kernel, bias), want, atol=1e-5 * float(np.abs(want).max()))


@pytest.mark.parametrize("config", [NARROW, *MODELS.values()], ids=["narrow", *MODELS])
def test_the_table_leads_from_a_code_to_a_picture(config):
    """In order of use the layers are the encoder's from conv4_1 backwards, each taking what the one before it gives."""
    rows = config.convs("decoder")
    layers = [name for name, _, _ in config.convs() if name <= "conv4_1"]
    assert [name for name, _, _ in rows] == layers[::-1]
    c = config.channels[3] + 3
    for name, c_in, c_out in rows:
        assert c == c_in, name
        c = c_out
    assert c == 3
    widths = [c_in for name, c_in, _ in rows if name in ("conv1_2", "conv2_2", "conv3_4")]
    assert widths[::-1] == list(config.painting)


@pytest.mark.parametrize("config", [NARROW, *MODELS.values()], ids=["narrow", *MODELS])
def test_every_row_of_the_table_paints_eight_pixels_for_a_position(config):
    code = jax.ShapeDtypeStruct((2, 3, 5, config.code_width), np.float32)
    shapes = jax.eval_shape(lambda x: Decoder(config, rngs=nnx.Rngs(0)).activations(x), code)
    for name, _, c_out in config.convs("decoder"):
        cell = 2 ** (4 - int(name[4]))
        assert shapes[name].shape == (2, 3 * cell, 5 * cell, c_out), name
    assert shapes["conv1_1"].shape == (2, 24, 40, 3)


def test_decoding_agrees_with_scipy(decode, tensors):
    code = random((1, 4, 6, NARROW.code_width))
    want = oracles.decode(code, part(tensors, "decoder"))
    assert want.std() > 1e-3
    np.testing.assert_allclose(decode(code)["conv1_1"], want, atol=2e-5 * np.abs(want).max())


def test_a_call_gives_the_last_of_the_activations(decoder, decode):
    code = random((1, 4, 6, NARROW.code_width))
    found = decode(code)
    np.testing.assert_allclose(nnx.jit(lambda d, x: d(x))(decoder, code), found.pop("conv1_1"), atol=1e-5)
    for name, value in found.items():
        assert value.min() >= 0, name


@law
@given(seeds)
def test_a_flat_code_is_painted_flat(decode, seed):
    flat = np.random.default_rng(seed).normal(size=(1, 1, 1, NARROW.code_width)).astype(np.float32)
    image = np.asarray(decode(np.broadcast_to(flat, (1, 4, 6, NARROW.code_width)))["conv1_1"])
    np.testing.assert_allclose(image, np.broadcast_to(image[:, :1, :1], image.shape), atol=1e-4)


# ---------------------------------------------------------------------------------------- filling and reading


def test_build_and_extract_round_trip_exactly(tensors):
    encoder, decoder = build(NARROW, tensors)
    got = extract(encoder, "encoder") | extract(decoder, "decoder")
    assert got.keys() == tensors.keys()
    for name, value in tensors.items():
        assert got[name].dtype == np.float32
        np.testing.assert_array_equal(got[name], value, err_msg=name)


@pytest.mark.parametrize("name_of_part", ["encoder", "decoder"])
def test_split_and_merge_round_trip_exactly(tensors, name_of_part):
    module = dict(zip(("encoder", "decoder"), build(NARROW, tensors), strict=True))[name_of_part]
    again = nnx.merge(*nnx.split(module))
    assert again.config == NARROW
    for name, value in extract(again, name_of_part).items():
        np.testing.assert_array_equal(value, tensors[name], err_msg=name)


def test_a_part_without_tensors_keeps_its_start(tensors):
    half = {name: value for name, value in tensors.items() if name.startswith("decoder/")}
    encoder, decoder = build(NARROW, half)
    start = extract(build(NARROW, {})[0], "encoder")
    for name, value in extract(encoder, "encoder").items():
        np.testing.assert_array_equal(value, start[name])
    for name, value in extract(decoder, "decoder").items():
        np.testing.assert_array_equal(value, tensors[name])


def test_filling_a_module_leaves_the_tensors_to_their_owner(tensors):
    module = Encoder(NARROW, rngs=nnx.Rngs(0))
    given = {name: value.copy() for name, value in tensors.items()}
    fill(module, given, "encoder")
    given["encoder/conv1_1/kernel"][:] = 0
    np.testing.assert_array_equal(module.conv1_1.kernel[...], tensors["encoder/conv1_1/kernel"])
