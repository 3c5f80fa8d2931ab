"""Models of a few channels, their files, and VGG-19 as other programs keep it, for the tests of weights."""

import re

import h5py
import numpy as np
import safetensors.numpy

from wctstyle import weights
from wctstyle.encoder import MODELS, ModelConfig

SLIM = ModelConfig("slim", (2, 2, 3, 4, 4), (2, 2, 3))
MEDIUM = ModelConfig("medium", (2, 3, 3, 4, 6), (2, 3, 3))
VGG = ModelConfig("vgg19", (2, 3, 4, 5, 6), (2, 3, 3))
LICENCE = {"licence": "CC BY 4.0", "source": "made for a test", "recipe": {"steps": 3}, "version": "7"}


def install(monkeypatch, tmp_path):
    """Put tiny models into the table, and their files into folders of this test."""
    for config in (SLIM, MEDIUM, VGG):
        monkeypatch.setitem(MODELS, config.name, config)
    (tmp_path / "shipped").mkdir()
    monkeypatch.setenv("WCTSTYLE_WEIGHTS", str(tmp_path / "shipped"))
    monkeypatch.setenv("WCTSTYLE_HOME", str(tmp_path / "home"))


def describe(config, **more):
    return {"config": {"name": config.name, "channels": list(config.channels)}, **LICENCE, **more}


def random_tensors(config, parts=("encoder", "decoder"), seed=0):
    rng = np.random.default_rng(seed)
    shapes = {name: shape for part in parts for name, shape in weights.expected_shapes(config, part).items()}
    return {name: rng.normal(0, 0.4, shape).astype(np.float32) for name, shape in shapes.items()}


def save_slim(folder, **changes):
    return save_shipped(folder, SLIM, **changes)


def save_shipped(folder, config, **changes):
    """Save a model that comes whole with the package."""
    return weights.save(folder / f"{config.name}.safetensors", {**random_tensors(config), **changes}, describe(config))


def save_vgg19(tmp_path, **encoder_metadata):
    more = {"level_rms": list(weights.VGG19_LEVEL_RMS), "preprocessing": "caffe", **encoder_metadata}
    encoder = random_tensors(VGG, ["encoder"])
    weights.save(weights.user_dir() / "vgg19_encoder.safetensors", encoder, describe(VGG, **more))
    decoder = random_tensors(VGG, ["decoder"])
    weights.save(tmp_path / "shipped" / "vgg19_decoder.safetensors", decoder, describe(VGG))
    return encoder, decoder


def assert_same(got, wanted):
    assert got.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_array_equal(got[name], value.astype(np.float32), err_msg=name, strict=True)


def to_keras(name):
    layer, kind = name.split("/")[1:]
    return re.sub(r"conv(\d)_(\d)", r"block\1_conv\2", layer), kind


def write_keras(path, tensors, form="{group}/{group}_{letter}_1:0"):
    with h5py.File(path, "w") as file:
        for name, value in tensors.items():
            group, kind = to_keras(name)
            index, letter = (0, "W") if kind == "kernel" else (1, "b")
            file[form.format(group=group, kind=kind, letter=letter, index=index)] = value
    return path


TORCHVISION_INDEX = dict(
    zip(
        [
            "1_1",
            "1_2",
            "2_1",
            "2_2",
            "3_1",
            "3_2",
            "3_3",
            "3_4",
            "4_1",
            "4_2",
            "4_3",
            "4_4",
            "5_1",
            "5_2",
            "5_3",
            "5_4",
        ],
        [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34],
        strict=True,
    )
)


def write_torchvision(path, tensors):
    state = {}
    for name, value in tensors.items():
        layer, kind = name.split("/")[1:]
        index = TORCHVISION_INDEX[layer.removeprefix("conv")]
        if kind == "kernel":
            state[f"features.{index}.weight"] = np.ascontiguousarray(np.moveaxis(value, (3, 2), (0, 1)))
        else:
            state[f"features.{index}.bias"] = value
    state["classifier.0.weight"] = np.ones((2, 2), np.float32)
    path.write_bytes(safetensors.numpy.save(state))
    return path


def write_npz(path, tensors):
    np.savez(path, **{name.removeprefix("encoder/"): value for name, value in tensors.items()})
    return path


def with_upper_layers(tensors):
    upper = {f"encoder/conv5_{i}/kernel": np.ones((3, 3, 6, 6), np.float32) for i in (2, 3, 4)}
    return {**tensors, **upper, **{name.replace("kernel", "bias"): np.ones(6, np.float32) for name in upper}}


WRITERS = {"keras": write_keras, "torchvision": write_torchvision, "npz": write_npz}
