# Wrong types are handed over on purpose here, and a text that may be None is searched.
# pyright: reportArgumentType=false, reportOperatorIssue=false

import hashlib
import io
import pickle
import re
import zipfile

import h5py
import numpy as np
import pytest
import safetensors.numpy
import tiny_models
from scipy import ndimage, signal
from tiny_models import (
    VGG,
    WRITERS,
    assert_same,
    random_tensors,
    save_vgg19,
    with_upper_layers,
    write_keras,
    write_npz,
    write_torchvision,
)

from wctstyle import weights
from wctstyle.errors import ConfigError, WeightsError
from wctstyle.weights import folding


@pytest.fixture(autouse=True)
def tiny(monkeypatch, tmp_path):
    tiny_models.install(monkeypatch, tmp_path)


def reference_levels(x, tensors, config):
    """relu1_1..relu5_1 in float64, of preprocessed pixels `h w 3`, with mirrored borders."""
    levels, stage = [], "1"
    for layer, c_in, c_out in config.convs():
        if layer[4] != stage:
            x, stage = x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2, c_in).max((1, 3)), layer[4]
        kernel = tensors[f"encoder/{layer}/kernel"].astype(np.float64)
        y = np.zeros((*x.shape[:2], c_out)) + tensors[f"encoder/{layer}/bias"]
        for o in range(c_out):
            for i in range(c_in):
                y[..., o] += ndimage.correlate(x[..., i], kernel[..., i, o], mode="mirror")
        x = np.maximum(y, 0)
        if layer.endswith("_1"):
            levels.append(x)
    return levels


def preprocessed(rgb, preprocessing):
    if preprocessing == "caffe":
        blue_green_red = np.stack([rgb[..., 2], rgb[..., 1], rgb[..., 0]], axis=-1)
        return 255 * blue_green_red - [103.939, 116.779, 123.68]
    return (rgb - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]


@pytest.mark.parametrize(
    ("layout", "argument", "preprocessing"),
    [
        ("keras", None, "caffe"),
        ("npz", None, "caffe"),
        ("npz", "caffe", "caffe"),
        ("torchvision", None, "torchvision"),
        ("torchvision", "caffe", "caffe"),
    ],
)
def test_an_imported_encoder_computes_what_the_original_does(tmp_path, monkeypatch, layout, argument, preprocessing):
    tensors = random_tensors(VGG, ["encoder"], seed=3)
    path = WRITERS[layout](tmp_path / "original.npz", with_upper_layers(tensors))
    rms = (3.0, 0.2, 17.0, 5.0, 0.6)
    monkeypatch.setattr(folding, "VGG19_LEVEL_RMS", rms)
    imported = weights.import_vgg19(path, preprocessing=argument)
    assert imported == weights.user_dir() / "vgg19_encoder.safetensors"
    loaded, metadata = weights.load_file(imported)
    assert {name: value.shape for name, value in loaded.items()} == weights.expected_shapes(VGG, "encoder")
    assert metadata["preprocessing"] == preprocessing
    assert metadata["level_rms"] == list(rms)
    assert metadata["licence"] == {"caffe": "CC BY 4.0", "torchvision": "BSD-3-Clause"}[preprocessing]
    assert metadata["original_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()

    rgb = np.random.default_rng(4).uniform(size=(32, 48, 3))
    wanted = reference_levels(preprocessed(rgb, preprocessing), tensors, VGG)
    got = reference_levels(rgb, loaded, VGG)
    for level, (ours, theirs, scale) in enumerate(zip(got, wanted, rms, strict=True), start=1):
        assert np.abs(theirs).max() > 0, level
        error = np.abs(ours - theirs / scale).max() / np.abs(theirs / scale).max()
        assert error < 1e-5, level


@pytest.mark.parametrize("preprocessing", ["caffe", "torchvision"])
def test_folding_the_preprocessing_into_one_convolution(preprocessing):
    tensors = random_tensors(VGG, ["encoder"], seed=5)
    before = {name: value.copy() for name, value in tensors.items()}
    folded = weights.fold_preprocessing(tensors, preprocessing)
    rgb = np.random.default_rng(6).uniform(size=(9, 7, 3))

    def convolve(pixels, weights_of):
        kernel = weights_of["encoder/conv1_1/kernel"].astype(np.float64)
        outputs = [signal.correlate(pixels, kernel[..., o], mode="valid")[..., 0] for o in range(kernel.shape[3])]
        return np.stack(outputs, axis=-1) + weights_of["encoder/conv1_1/bias"]

    np.testing.assert_allclose(
        convolve(rgb, folded), convolve(preprocessed(rgb, preprocessing), tensors), rtol=1e-5, atol=1e-4
    )
    assert_same(tensors, before)


def test_folding_refuses_arguments_that_make_no_sense():
    tensors = random_tensors(VGG, ["encoder"])
    with pytest.raises(ConfigError, match="'keras', must be 'caffe' or 'torchvision'"):
        weights.fold_preprocessing(tensors, "keras")
    for rms in [(1, 1, 1, 1), (1, 1, 1, 1, 0), (1, 1, 1, 1, np.inf)]:
        with pytest.raises(ConfigError, match="wanted 5 finite numbers above 0"):
            weights.normalise_levels(tensors, VGG, rms)


@pytest.mark.parametrize(
    "form",
    [
        "{group}/{group}_{letter}_1:0",
        "{group}/{group}/{kind}:0",
        "model_weights/{group}/{group}/{kind}:0",
        "layers/{group}/vars/{index}",
    ],
)
def test_keras_groups_may_nest_in_any_way(tmp_path, form):
    tensors = random_tensors(VGG, ["encoder"])
    by_form = weights.import_vgg19(write_keras(tmp_path / "k.h5", with_upper_layers(tensors), form), tmp_path / "a")
    by_npz = weights.import_vgg19(write_npz(tmp_path / "n.npz", tensors), tmp_path / "b")
    assert_same(weights.load_file(by_form)[0], weights.load_file(by_npz)[0])


def test_half_precision_is_read(tmp_path):
    tensors = {name: value.astype(np.float16) for name, value in random_tensors(VGG, ["encoder"]).items()}
    half = weights.import_vgg19(write_torchvision(tmp_path / "half", tensors), tmp_path / "a")
    single = {name: value.astype(np.float32) for name, value in tensors.items()}
    full = weights.import_vgg19(write_torchvision(tmp_path / "full", single), tmp_path / "b")
    assert_same(weights.load_file(half)[0], weights.load_file(full)[0])


@pytest.mark.parametrize("layout", WRITERS)
def test_import_reports_all_problems_at_once(tmp_path, layout):
    tensors = random_tensors(VGG, ["encoder"])
    del tensors["encoder/conv2_1/bias"]
    tensors["encoder/conv1_1/kernel"] = np.ones((3, 3, 4, 2), np.float32)
    tensors["encoder/conv3_3/bias"][1] = np.nan
    tensors["encoder/conv4_4/bias"] = np.arange(5)
    path = WRITERS[layout](tmp_path / "bad", tensors) if layout != "npz" else write_npz(tmp_path / "bad.npz", tensors)
    with pytest.raises(WeightsError) as caught:
        weights.import_vgg19(path)
    text = str(caught.value)
    missing, misshapen, non_finite, whole = (
        rf"(?m)^{re.escape(str(path))}: encoder/{name}"
        for name in ("conv2_1/bias", "conv1_1/kernel", "conv3_3/bias", "conv4_4/bias")
    )
    assert re.search(missing + r".* is missing; wanted shape \(3,\)", text)
    assert re.search(misshapen + r".* has shape \(3, 3, 4, 2\), wanted \(3, 3, 3, 2\)", text)
    assert re.search(non_finite + ".* has 1 values that are NaN", text)
    assert re.search(whole + ".* is of int64, wanted floating point", text)
    assert not weights.user_dir().exists()


def test_import_refuses_tensors_it_does_not_know(tmp_path):
    tensors = random_tensors(VGG, ["encoder"])
    keras = write_keras(tmp_path / "k.h5", tensors)
    with h5py.File(keras, "a") as file:
        file["block3_conv5/kernel:0"] = np.ones((3, 3, 4, 4))
        file["block1_conv1/momentum"] = np.ones((3, 3, 3, 2))
        file["block1_conv2/odd"] = np.ones((3, 3))
        file["dense/kernel:0"] = np.ones((3, 3))
    with pytest.raises(WeightsError) as caught:
        weights.import_vgg19(keras)
    text = str(caught.value)
    assert "block3_conv5/kernel:0 is surplus" in text
    assert "a second encoder/conv1_1/kernel" in text
    assert "block1_conv2/odd is surplus" in text
    assert "dense/kernel:0 is surplus" in text

    batch_norm = write_torchvision(tmp_path / "t.safetensors", tensors)
    state = safetensors.numpy.load(batch_norm.read_bytes())
    batch_norm.write_bytes(safetensors.numpy.save({**state, "features.1.running_mean": np.ones(2)}))
    with pytest.raises(WeightsError, match=r"features\.1\.running_mean is surplus"):
        weights.import_vgg19(batch_norm)

    with pytest.raises(WeightsError, match="conv6_1/kernel is surplus"):
        weights.import_vgg19(write_npz(tmp_path / "n.npz", {**tensors, "conv6_1/kernel": np.ones(1)}))


def test_import_refuses_a_preprocessing_that_contradicts_the_layout(tmp_path):
    tensors = random_tensors(VGG, ["encoder"])
    path = write_npz(tmp_path / "a.npz", tensors)
    with pytest.raises(ConfigError, match="npz layout are always 'caffe'; leave it out"):
        weights.import_vgg19(path, preprocessing="torchvision")
    with pytest.raises(ConfigError, match="must be 'caffe' or 'torchvision'"):
        weights.import_vgg19(write_torchvision(tmp_path / "b", tensors), preprocessing="bgr")


def pickle_in_zip():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps([1]))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("new.pth", pickle_in_zip()),
        ("renamed.npz", pickle_in_zip()),
        ("old.pt", pickle.dumps({"features.0.weight": 1}, protocol=2)),
        ("tar.pth", b"some other thing"),
    ],
)
def test_pickles_are_refused_with_a_way_to_convert_them(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=r"is a pickle .*opening one can run code.*save_file.*weights_only=True"):
        weights.import_vgg19(tmp_path / name)


def test_safetensors_whose_first_byte_is_that_of_a_pickle_are_read(tmp_path):
    path = write_torchvision(tmp_path / "a.safetensors", random_tensors(VGG, ["encoder"]))
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    padding = (0x80 - length) % 256
    longer = raw[8 : 8 + length] + b" " * padding
    path.write_bytes(len(longer).to_bytes(8, "little") + longer + raw[8 + length :])
    assert path.read_bytes()[0] == 0x80
    assert len(weights.load_file(weights.import_vgg19(path))[0]) == 26


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was opened",))


def test_pickled_arrays_in_an_npz_are_never_opened(tmp_path):
    tensors = dict(random_tensors(VGG, ["encoder"]))
    tensors["encoder/conv1_1/bias"] = np.array([Bomb(), Bomb()], dtype=object)
    with pytest.raises(WeightsError, match="bomb.npz: damaged, or not readable in the npz layout: Object arrays"):
        weights.import_vgg19(write_npz(tmp_path / "bomb.npz", tensors))


def test_import_refuses_files_that_are_none(tmp_path):
    tensors = random_tensors(VGG, ["encoder"])
    with pytest.raises(WeightsError, match="there is no such file"):
        weights.import_vgg19(tmp_path / "absent.h5")
    with pytest.raises(WeightsError, match="is a folder"):
        weights.import_vgg19(tmp_path)
    (tmp_path / "text.h5").write_text("<html>not found</html>")
    with pytest.raises(WeightsError, match="no weights file that can be imported. Wanted Keras' HDF5"):
        weights.import_vgg19(tmp_path / "text.h5")
    for layout, writer in WRITERS.items():
        path = writer(tmp_path / f"{layout}.npz", tensors)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(WeightsError, match=f"{layout}.npz: damaged, or n"):
            weights.import_vgg19(path)
    save_vgg19(tmp_path)
    with pytest.raises(WeightsError, match="is already imported; copy it to"):
        weights.import_vgg19(weights.user_dir() / "vgg19_encoder.safetensors")
