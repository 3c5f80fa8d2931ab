# Wrong types are handed over on purpose here, and a text that may be None is searched.
# pyright: reportArgumentType=false, reportOperatorIssue=false

import errno
import json
import os
import re
import struct
import tempfile
from pathlib import Path

import hypothesis.extra.numpy as hnp
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import tiny_models
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import SLIM, assert_same

from wctstyle import weights
from wctstyle.encoder import ModelConfig
from wctstyle.errors import ConfigError, WeightsError


@pytest.fixture(autouse=True)
def tiny(monkeypatch, tmp_path):
    tiny_models.install(monkeypatch, tmp_path)


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def test_expected_shapes_of_vgg19_are_the_published_ones():
    config = ModelConfig("vgg19", (64, 128, 256, 512, 512), (32, 64, 128))
    encoder, decoder = (weights.expected_shapes(config, part) for part in ("encoder", "decoder"))
    # Keras states 20,024,384 parameters for all convolutions; conv5_2..conv5_4 are not ours.
    assert sum(np.prod(shape) for shape in encoder.values()) == 20_024_384 - 3 * (9 * 512 * 512 + 512)
    assert encoder["encoder/conv1_1/kernel"] == (3, 3, 3, 64)
    assert encoder["encoder/conv4_1/kernel"] == (3, 3, 256, 512)
    assert len(encoder) == 26


def test_a_decoder_takes_relu4_1_and_a_colour_and_has_its_own_widths():
    config = ModelConfig("vgg19", (64, 128, 256, 512, 512), (32, 64, 128))
    decoder = weights.expected_shapes(config, "decoder")
    assert decoder["decoder/conv4_1/kernel"] == (3, 3, 512 + 3, 128)
    assert decoder["decoder/conv4_1/bias"] == (128,)
    assert decoder["decoder/conv2_2/kernel"] == (3, 3, 64, 64)
    assert decoder["decoder/conv1_1/kernel"] == (3, 3, 32, 3)
    assert decoder["decoder/conv1_1/bias"] == (3,)
    assert len(decoder) == 18


def test_expected_shapes_refuses_an_unknown_part():
    with pytest.raises(ConfigError, match="no part 'head'; the parts are encoder, decoder"):
        weights.expected_shapes(SLIM, "head")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
arrays = hnp.arrays(
    st.sampled_from([np.float16, np.float32, np.float64]),
    hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    elements=st.floats(-60000, 60000, width=16),
)


@settings(max_examples=40, deadline=None)
@given(
    tensors=st.dictionaries(st.text(min_size=1).filter(lambda n: n != "__metadata__"), arrays, min_size=1, max_size=4),
    metadata=st.dictionaries(st.text(), json_values, max_size=4),
    dtype=st.sampled_from(["float16", "float32"]),
)
def test_what_is_saved_is_loaded(tensors, metadata, dtype):
    with tempfile.TemporaryDirectory() as folder:
        path = weights.save(Path(folder) / "new" / "a.safetensors", tensors, metadata, dtype=dtype)
        loaded, described = weights.load_file(path)
        assert [p.name for p in path.parent.iterdir()] == ["a.safetensors"]
    assert described == metadata
    assert_same(loaded, {name: value.astype(dtype).astype(np.float32) for name, value in tensors.items()})


def test_a_training_state_comes_back_leaf_by_leaf(tmp_path):
    state = {
        "leaf/0000": np.float32(3.5),
        "leaf/0001": jnp.zeros(()),
        "leaf/0002": np.ones((1,)),
        "x y.é": np.ones((2, 0)),
    }
    loaded, _ = weights.load_file(weights.save(tmp_path / "a", state, {"step": 3}))
    assert {name: value.shape for name, value in loaded.items()} == {name: value.shape for name, value in state.items()}
    assert_same(loaded, {name: np.asarray(value) for name, value in state.items()})


def test_saving_takes_views_and_bfloat16_and_leaves_its_input_alone(tmp_path):
    kernel = np.arange(24.0).reshape(2, 3, 4)
    tensors = {"view": kernel.T[::-1], "brain": np.array([1.5, -2], ml_dtypes.bfloat16)}
    loaded, _ = weights.load_file(weights.save(tmp_path / "a.safetensors", tensors, {}))
    assert tensors["view"].dtype == np.float64
    assert_same(loaded, {"view": kernel.T[::-1], "brain": np.array([1.5, -2])})


def test_float16_halves_the_file_and_equal_content_gives_equal_bytes(tmp_path):
    tensors = {"a": np.ones((100, 100), np.float32), "b": np.ones((100, 100), np.float32)}
    half = weights.save(tmp_path / "half", tensors, {"b": 1, "a": 2}, dtype="float16").read_bytes()
    full = weights.save(tmp_path / "full", tensors, {"b": 1, "a": 2}).read_bytes()
    assert len(full) - len(half) == pytest.approx(40_000, abs=16)
    assert weights.save(tmp_path / "again", tensors, {"a": 2, "b": 1}).read_bytes() == full


def test_save_reports_all_problems_and_writes_nothing(tmp_path):
    tensors = {
        "big": np.array([1.0, 70000.0]),
        "nan": np.array([np.nan, np.inf, 1.0]),
        "whole": np.arange(3),
        "fine": np.ones(2),
    }
    with pytest.raises(WeightsError) as caught:
        weights.save(tmp_path / "a", tensors, {"when": object()}, dtype="float16")
    text = str(caught.value)
    assert len(caught.value.problems) == 4
    assert "big has 1 values that are NaN, infinite or too large for float16" in text
    assert "nan has 2 values that are NaN, infinite" in text
    assert "whole is of int64, wanted floating point numbers" in text
    assert "metadata cannot be written as JSON" in text
    assert list(tmp_path.glob("a*")) == []


def test_save_refuses_nothing_at_all_nan_metadata_and_an_odd_dtype(tmp_path):
    with pytest.raises(WeightsError, match="no tensors to save"):
        weights.save(tmp_path / "a", {}, {})
    with pytest.raises(WeightsError, match="JSON"):
        weights.save(tmp_path / "a", {"x": np.ones(1)}, {"loss": float("nan")})
    with pytest.raises(ConfigError, match="'int8', must be 'float16' or 'float32'"):
        weights.save(tmp_path / "a", {"x": np.ones(1)}, {}, dtype="int8")


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_an_interrupted_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, interruption):
    path = weights.save(tmp_path / "a.safetensors", {"x": np.ones(3)}, {"old": True})

    def interrupt(fd):
        raise interruption

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises((KeyboardInterrupt, WeightsError)) as caught:
        weights.save(path, {"x": np.zeros(3)}, {"old": False})
    if isinstance(interruption, OSError):
        assert "the disk is full" in str(caught.value)
    assert weights.load_file(path)[1] == {"old": True}
    assert leftovers(tmp_path) == []


def test_save_says_why_it_cannot_write(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match=r"a\.safetensors: cannot write it: .*Check that its folder exists"):
        weights.save(tmp_path / "file" / "a.safetensors", {"x": np.ones(1)}, {})


def header_only(header):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "damaged, or no safetensors file"),
        (b"neither this nor that, but long enough", "damaged, or no safetensors file"),
        (header_only({"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}), "damaged"),
        (safetensors.numpy.save({"a": np.ones(1)}), "no 'wctstyle' entry.*wctstyle weights import FILE"),
        (safetensors.numpy.save({"a": np.ones(1)}, {"wctstyle": "{"}), "damaged, .*Expecting property name"),
        (safetensors.numpy.save({"a": np.ones(1)}, {"wctstyle": "[1]"}), "is list, wanted a JSON object"),
        (safetensors.numpy.save({"a": np.arange(2)}, {"wctstyle": "{}"}), "a is of int64, wanted floating"),
        (
            safetensors.numpy.save({"a": np.array([np.inf])}, {"wctstyle": "{}"}),
            "a has 1 values that are NaN",
        ),
    ],
    ids=["empty", "text", "cut", "foreign", "bad json", "list", "integers", "infinite"],
)
def test_load_file_names_the_file_and_the_fault(tmp_path, content, complaint):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=f"^{re.escape(str(path))}: .*{complaint}"):
        weights.load_file(path)


def test_load_file_refuses_what_is_no_file(tmp_path):
    with pytest.raises(WeightsError, match="there is no such file"):
        weights.load_file(tmp_path / "absent.safetensors")
    with pytest.raises(WeightsError, match="is a folder"):
        weights.load_file(tmp_path)
