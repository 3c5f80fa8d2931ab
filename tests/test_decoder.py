import jax
import numpy as np
import oracles
import pytest
from feature_strategies import law, seeds
from flax import nnx
from hypothesis import given
from narrow import NARROW, part, quick_compilation, random, random_tensors

from wctstyle.decoder import Decoder, upsample, upsampled_conv3x3
from wctstyle.encoder import MODELS, Encoder, conv3x3
from wctstyle.model import build, extract, fill
from wctstyle.moments import Affine
from wctstyle.settings import LEVELS


@pytest.fixture(scope="module", autouse=True)
def _quick(tmp_path_factory):
    with quick_compilation(tmp_path_factory.mktemp("programs")):
        yield


@pytest.fixture(scope="module")
def tensors():
    return random_tensors()


@pytest.fixture(scope="module")
def decoder(tensors):
    return build(NARROW, tensors)[1]


@pytest.fixture(scope="module")
def run(decoder):
    """A jitted call of a method of the decoder."""
    graph, state = nnx.split(decoder)

    def block(state, x, level, affine):
        return nnx.merge(graph, state).block(x, level, affine)

    jitted = jax.jit(block, static_argnums=2)
    return lambda x, level, affine=None: jitted(state, x, level, affine)


def test_upsampling_repeats_each_position():
    x = random((2, 3, 4, 5))
    np.testing.assert_array_equal(upsample(x), oracles.upsample(x))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 3), (2, 2), (5, 4), (19, 4)])
def test_an_upsampled_convolution_is_one_after_upsampling(height, width):
    x, kernel, bias = random((2, height, width, 3)), random((3, 3, 3, 5)), random((5,))
    want = conv3x3(upsample(x), kernel, bias)
    np.testing.assert_allclose(upsampled_conv3x3(x, kernel, bias), want, atol=1e-5 * float(np.abs(want).max()))


@pytest.mark.parametrize("config", [NARROW, *MODELS.values()], ids=["narrow", "slim", "vgg19"])
def test_layers_mirror_the_table(config):
    """In order of use the layers are the encoder's backwards, each from its outputs to its inputs."""
    used = [name for level in reversed(LEVELS) for name in Decoder.layers(level)]
    rows = config.convs()[::-1]
    assert used == [name for name, _, _ in rows]
    c = config.channels[-1]
    for name, c_in, c_out in rows:
        assert c == c_out, name
        c = c_in
    assert c == 3


def test_kernels_are_mirrored_in_shape(tensors):
    for name, c_in, c_out in NARROW.convs():
        assert tensors[f"encoder/{name}/kernel"].shape == (3, 3, c_in, c_out)
        assert tensors[f"decoder/{name}/kernel"].shape == (3, 3, c_out, c_in)
        assert tensors[f"decoder/{name}/bias"].shape == (c_in,)


@pytest.mark.parametrize("level", LEVELS)
def test_each_block_leads_to_the_level_below_at_twice_the_size(run, level):
    out = run(random((1, 4, 6, NARROW.channels[level - 1])), level)
    assert out.shape == ((1, 4, 6, 3) if level == 1 else (1, 8, 12, NARROW.channels[level - 2]))
    if level > 1:
        assert out.min() >= 0


@pytest.mark.parametrize("level", [2, 5])
def test_decoding_agrees_with_scipy(decoder, tensors, level):
    features = np.abs(random((1, 4, 6, NARROW.channels[level - 1])))
    want = oracles.decode(features, part(tensors, "decoder"), level=level)
    got = nnx.jit(lambda d, x: d(x, level=level))(decoder, features)
    assert got.shape == (1, 4 * 2 ** (level - 1), 6 * 2 ** (level - 1), 3)
    assert want.std() > 1e-3
    np.testing.assert_allclose(got, want, atol=2e-5 * np.abs(want).max())


def test_decoding_is_the_blocks_one_after_the_other(decoder, run):
    x = features = random((1, 4, 6, 4))
    for level in (3, 2, 1):
        x = run(x, level)
    np.testing.assert_allclose(decoder(features, level=3), x, atol=1e-5)


@pytest.mark.parametrize("level", LEVELS)
def test_a_folded_affine_map_is_one_applied_first(run, level):
    c = NARROW.channels[level - 1]

    @law
    @given(seeds)
    def holds(seed):
        rng = np.random.default_rng(seed)
        step = Affine(*(rng.normal(0, s, shape).astype(np.float32) for s, shape in ((1, (c, c)), (3, (c,)))))
        x = rng.normal(size=(1, 4, 6, c)).astype(np.float32)
        want = np.asarray(run(step(x), level))
        np.testing.assert_allclose(run(x, level, step), want, atol=2e-5 * max(1.0, np.abs(want).max()))

    holds()


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
