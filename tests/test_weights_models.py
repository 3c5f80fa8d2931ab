# Wrong types are handed over on purpose here, and a text that may be None is searched.
# pyright: reportArgumentType=false, reportOperatorIssue=false

import hashlib
import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_models
from tiny_models import (
    LICENCE,
    MEDIUM,
    SLIM,
    VGG,
    assert_same,
    describe,
    random_tensors,
    save_shipped,
    save_slim,
    save_vgg19,
    write_npz,
)

from wctstyle import files, weights
from wctstyle.encoder import MODELS
from wctstyle.errors import ConfigError, WeightsError
from wctstyle.weights import folding, models


@pytest.fixture(autouse=True)
def tiny(monkeypatch, tmp_path):
    tiny_models.install(monkeypatch, tmp_path)


@pytest.mark.parametrize("config", [SLIM, MEDIUM], ids=lambda config: config.name)
def test_load_a_shipped_model(tmp_path, config):
    save_shipped(tmp_path / "shipped", config)
    tensors, metadata = weights.load(config.name)
    assert_same(tensors, random_tensors(config))
    assert metadata["model"] == config.name
    assert metadata["config"] == {"name": config.name, "channels": list(config.channels)}
    assert metadata["parts"] == {"encoder": describe(config), "decoder": describe(config)}


def test_load_one_part_of_a_file_that_holds_two(tmp_path):
    save_slim(tmp_path / "shipped")
    tensors, metadata = weights.load("slim", parts=["decoder"])
    assert tensors.keys() == weights.expected_shapes(SLIM, "decoder").keys()
    assert metadata["parts"].keys() == {"decoder"}


def test_load_vgg19_puts_both_files_together(tmp_path):
    encoder, decoder = save_vgg19(tmp_path)
    tensors, metadata = weights.load("vgg19")
    assert_same(tensors, encoder | decoder)
    assert metadata["parts"]["encoder"]["preprocessing"] == "caffe"
    assert "preprocessing" not in metadata["parts"]["decoder"]


def test_load_reports_all_problems_at_once(tmp_path):
    tensors = random_tensors(SLIM)
    del tensors["encoder/conv3_4/bias"], tensors["decoder/conv1_2/kernel"]
    tensors["encoder/conv5_2/bias"] = np.ones(4)
    tensors["encoder/conv1_1/kernel"] = np.ones((3, 3, 2, 3))
    path = weights.save(tmp_path / "shipped" / "slim.safetensors", tensors, describe(VGG))
    raw = bytearray(path.read_bytes())
    raw[-4:] = struct.pack("<f", np.nan)
    path.write_bytes(raw)
    with pytest.raises(WeightsError) as caught:
        weights.load("slim")
    text = str(caught.value)
    assert "config in its metadata is {'channels': [2, 3, 4, 5, 6], 'name': 'vgg19'}, wanted {'name': 'slim'" in text
    assert "encoder/conv3_4/bias is missing; wanted shape (3,)" in text
    assert "decoder/conv1_2/kernel is missing; wanted shape (3, 3, 2, 2)" in text
    assert "encoder/conv5_2/bias is surplus" in text
    assert "encoder/conv1_1/kernel has shape (3, 3, 2, 3), wanted (3, 3, 3, 2)" in text
    assert "1 values that are NaN" in text
    assert "install wctstyle again" in text
    assert len(caught.value.problems) == 7


def test_load_without_files_says_how_to_get_them(tmp_path):
    for name in ("slim", "medium"):
        with pytest.raises(
            WeightsError, match=rf"(?s){name}\.safetensors: there is no such file.*install wctstyle again"
        ):
            weights.load(name)
    with pytest.raises(WeightsError) as caught:
        weights.load("vgg19", parts=["encoder"])
    assert len(caught.value.problems) == 2
    assert caught.value.problems[0].startswith("VGG-19 is not installed: ")
    assert "vgg19_encoder.safetensors: there is no such file" in caught.value.problems[0]
    assert "wctstyle weights get vgg19" in str(caught.value)
    assert "wctstyle weights import FILE" in str(caught.value)
    with pytest.raises(WeightsError) as caught:
        weights.load("vgg19")
    assert len(caught.value.problems) == 4
    assert "vgg19_decoder.safetensors: there is no such file" in str(caught.value)
    save_vgg19(tmp_path)
    (tmp_path / "shipped" / "vgg19_decoder.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"(?s)vgg19_decoder\.safetensors: there is no.*model slim"):
        weights.load("vgg19")


def test_load_says_how_to_replace_a_damaged_encoder(tmp_path):
    save_vgg19(tmp_path)
    path = weights.user_dir() / "vgg19_encoder.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=r"(?s)damaged.*wctstyle weights get vgg19"):
        weights.load("vgg19")


def test_load_refuses_unknown_names():
    with pytest.raises(ConfigError, match="no model 'vgg16'; the models are slim, medium, vgg19"):
        weights.load("vgg16")
    with pytest.raises(ConfigError, match="no part 'top'"):
        weights.load("slim", parts=["top"])


def test_load_refuses_an_encoder_that_the_decoder_does_not_know(tmp_path):
    save_vgg19(tmp_path, preprocessing="torchvision")
    with pytest.raises(WeightsError, match="is of the 'torchvision' training, but the decoder reads .* 'caffe'"):
        weights.load("vgg19")
    assert len(weights.load("vgg19", parts=["encoder"])[0]) == 26
    (status,) = [status for status in weights.list_models() if status.name == "vgg19"]
    assert "'torchvision' training" in status.why_not


@pytest.mark.parametrize("rms", [None, [1, 2, 3], [1, 1, 1, 1, 0], [1, 1, 1, 1, "x"]])
def test_load_refuses_an_encoder_of_unknown_scale(tmp_path, rms):
    save_vgg19(tmp_path, level_rms=rms)
    with pytest.raises(WeightsError, match=r"level_rms in its metadata is .*, wanted five numbers above 0"):
        weights.load("vgg19")


def test_load_rescales_an_encoder_that_was_imported_with_other_figures(tmp_path, monkeypatch):
    before, now = (2.0, 30.0, 5.0, 0.5, 7.0), (4.0, 3.0, 11.0, 2.5, 0.7)
    raw = random_tensors(VGG, ["encoder"])
    path = write_npz(tmp_path / "raw.npz", raw)
    monkeypatch.setattr(folding, "VGG19_LEVEL_RMS", before)
    weights.import_vgg19(path)
    monkeypatch.setattr(folding, "VGG19_LEVEL_RMS", now)
    rescaled, metadata = weights.load("vgg19", parts=["encoder"])
    fresh, _ = weights.load_file(weights.import_vgg19(path, tmp_path / "fresh"))
    assert metadata["parts"]["encoder"]["level_rms"] == list(now)
    for name, value in fresh.items():
        np.testing.assert_allclose(rescaled[name], value, rtol=1e-6, err_msg=name)


def test_neither_import_nor_load_touches_the_network(tmp_path, monkeypatch):
    monkeypatch.undo()
    config = MODELS["slim"]
    weights.save(tmp_path / "slim.safetensors", random_tensors(config), describe(config), dtype="float16")
    program = """
import sys
def watch(event, args):
    if event.startswith(("socket.connect", "socket.getaddrinfo", "socket.gethostby", "urllib.Request")):
        raise SystemExit(f"touched the network: {event} {args}")
sys.addaudithook(watch)
from wctstyle import weights
from wctstyle.weights import folding, models
tensors, _ = weights.load("slim")
weights.list_models()
print(len(tensors), "h5py" in sys.modules)
"""
    paths = os.pathsep.join([str(Path(weights.__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "WCTSTYLE_WEIGHTS": str(tmp_path), "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["44", "False"]


def test_shipped_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("WCTSTYLE_WEIGHTS", str(tmp_path / "nowhere"))
    with pytest.raises(WeightsError, match="WCTSTYLE_WEIGHTS is .*nowhere, which is no folder"):
        weights.shipped_dir()
    monkeypatch.delenv("WCTSTYLE_WEIGHTS")
    package = tmp_path / "top" / "wctstyle" / "weights"
    package.mkdir(parents=True)
    monkeypatch.setattr(models, "_PACKAGE", package)
    (tmp_path / "top" / "weights").mkdir()  # somebody else's, beside an installed package
    for use in (weights.shipped_dir, lambda: weights.load("slim")):
        with pytest.raises(WeightsError, match=r"came without weights \(no manifest.json\); install it again"):
            use()
    (tmp_path / "top" / "pyproject.toml").write_text("")
    assert weights.shipped_dir() == tmp_path / "top" / "weights"
    (package / "manifest.json").write_text("{}")
    assert weights.shipped_dir() == package


def test_user_dir(tmp_path, monkeypatch):
    assert weights.user_dir() == tmp_path / "home" / "weights"
    monkeypatch.delenv("WCTSTYLE_HOME")
    monkeypatch.setattr(files.platformdirs, "user_data_path", lambda name, **_: tmp_path / "data" / name)
    assert weights.user_dir() == tmp_path / "data" / "wctstyle" / "weights"


def test_list_models_says_what_is_here_and_what_is_not(tmp_path):
    *shipped, vgg19 = weights.list_models()
    assert [status.name for status in shipped] == ["slim", "medium"]
    for status in shipped:
        assert (status.available, status.where, status.size) == (False, (), 0)
        assert "install wctstyle again" in status.why_not
    assert not vgg19.available
    assert "wctstyle weights get vgg19" in vgg19.why_not
    assert "a version of wctstyle that ships this decoder" in vgg19.why_not

    path = save_slim(tmp_path / "shipped")
    save_vgg19(tmp_path, licence="CC0")
    slim, medium, vgg19 = weights.list_models()
    assert not medium.available
    assert slim == weights.ModelStatus("slim", True, (path,), path.stat().st_size, "CC BY 4.0", None)
    assert vgg19.available
    assert vgg19.licence == "CC0; CC BY 4.0"
    assert [where.name for where in vgg19.where] == ["vgg19_encoder.safetensors", "vgg19_decoder.safetensors"]
    assert vgg19.size == sum(where.stat().st_size for where in vgg19.where)


def test_list_models_reports_damage_instead_of_raising(tmp_path, monkeypatch):
    save_slim(tmp_path / "shipped", **{"encoder/conv1_1/bias": np.ones(5)})
    save_vgg19(tmp_path, level_rms=None)
    (tmp_path / "shipped" / "vgg19_decoder.safetensors").write_bytes(b"rubbish")
    slim, _, vgg19 = weights.list_models()
    assert "encoder/conv1_1/bias has shape (5,), wanted (2,)" in slim.why_not
    assert not slim.available
    assert "level_rms" in vgg19.why_not
    assert "damaged" in vgg19.why_not
    monkeypatch.setenv("WCTSTYLE_WEIGHTS", str(tmp_path / "nowhere"))
    assert [status.available for status in weights.list_models()] == [False] * 3


@pytest.fixture
def shipped(tmp_path):
    """A good folder of weights with its manifest."""
    folder = tmp_path / "shipped"
    save_slim(folder)
    weights.save(folder / "vgg19_decoder.safetensors", random_tensors(VGG, ["decoder"]), describe(VGG), dtype="float16")
    (folder / "LICENSE.md").write_text("CC BY 4.0")
    weights.write_manifest(folder)
    return folder


def found(folder):
    """All problems by file name."""
    return {report.file.name: " | ".join(report.problems) for report in weights.verify(folder) if not report.ok}


def test_the_manifest_describes_the_files(shipped):
    files = json.loads((shipped / "manifest.json").read_text())["files"]
    assert files.keys() == {"slim.safetensors", "vgg19_decoder.safetensors"}
    content = (shipped / "slim.safetensors").read_bytes()
    assert files["slim.safetensors"] == {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "model": "slim",
        "parts": ["encoder", "decoder"],
        **LICENCE,
    }
    assert files["vgg19_decoder.safetensors"]["parts"] == ["decoder"]
    assert [report.file.name for report in weights.verify(shipped, check=True)] == [
        "manifest.json",
        "slim.safetensors",
        "vgg19_decoder.safetensors",
    ]


def test_verify_sees_one_flipped_bit(shipped):
    path = shipped / "vgg19_decoder.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-9] ^= 1
    path.write_bytes(raw)
    assert found(shipped).keys() == {"vgg19_decoder.safetensors"}
    assert re.fullmatch(r"sha256 is '\w{64}', the manifest says '\w{64}'", found(shipped)[path.name])


def test_verify_sees_a_cut_file(shipped):
    path = shipped / "slim.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    problems = found(shipped)["slim.safetensors"]
    assert "damaged" in problems
    assert "sha256 is" in problems
    assert "bytes is" in problems


def test_verify_checks_tensors_even_where_the_manifest_agrees(shipped):
    path = save_slim(shipped, **{"encoder/conv1_1/bias": np.ones(5), "decoder/extra": np.ones(1)})
    manifest = json.loads((shipped / "manifest.json").read_text())
    manifest["files"][path.name] |= {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "bytes": path.stat().st_size,
    }
    (shipped / "manifest.json").write_text(json.dumps(manifest))
    (only,) = [report for report in weights.verify(shipped) if not report.ok]
    assert only.file == path
    assert sorted(only.problems) == [
        "decoder/extra is surplus (shape (1,)); the model has no such tensor",
        "encoder/conv1_1/bias has shape (5,), wanted (2,)",
    ]


def test_a_file_that_lacks_a_whole_part_gets_no_manifest(shipped):
    weights.save(shipped / "slim.safetensors", random_tensors(SLIM, ["encoder"]), describe(SLIM))
    with pytest.raises(WeightsError) as caught:
        weights.write_manifest(shipped)
    assert len(caught.value.problems) == 18
    assert all("decoder/" in problem and "is missing" in problem for problem in caught.value.problems)


def test_verify_reports_everything_that_was_tampered_with_together(shipped):
    (shipped / "vgg19_decoder.safetensors").unlink()
    (shipped / "surplus.safetensors").write_bytes((shipped / "slim.safetensors").read_bytes())
    (shipped / "folder.safetensors").mkdir()
    (shipped / "models.py").write_text("# a module of this package lies beside the weights in a wheel")
    manifest = json.loads((shipped / "manifest.json").read_text())
    manifest["files"]["slim.safetensors"] |= {"licence": "MIT", "model": "vgg19"}
    manifest["files"]["../escape"] = {}
    manifest["files"]["odd"] = 3
    (shipped / "manifest.json").write_text(json.dumps(manifest))
    problems = found(shipped)
    assert "missing" in problems["escape"]
    assert "missing" in problems["odd"]
    assert "surplus" in problems["surplus.safetensors"]
    assert "surplus" in problems["folder.safetensors"]
    assert "missing" in problems["vgg19_decoder.safetensors"]
    assert "licence is 'CC BY 4.0', the manifest says 'MIT'" in problems["slim.safetensors"]
    assert "model is 'slim', the manifest says 'vgg19'" in problems["slim.safetensors"]
    with pytest.raises(WeightsError) as caught:
        weights.verify(shipped, check=True)
    assert len(caught.value.problems) == 7
    assert all(str(shipped) in problem for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "there is no manifest"),
        ("{", "damaged"),
        ("[]", "damaged"),
        ('{"files": 1}', "damaged"),
    ],
)
def test_verify_without_a_usable_manifest(shipped, content, complaint):
    (shipped / "manifest.json").unlink()
    if content is not None:
        (shipped / "manifest.json").write_text(content)
    problems = found(shipped)
    assert complaint in problems["manifest.json"]
    assert problems.keys() == {"manifest.json", "slim.safetensors", "vgg19_decoder.safetensors"}


def test_verify_covers_the_imported_encoder_too(shipped, tmp_path):
    save_vgg19(tmp_path)
    weights.write_manifest(shipped)
    encoder = weights.user_dir() / "vgg19_encoder.safetensors"
    assert [report.file for report in weights.verify(check=True)][-1] == encoder
    encoder.write_bytes(b"rubbish")
    assert not weights.verify()[-1].ok
    with pytest.raises(WeightsError, match="there is no such folder"):
        weights.verify(tmp_path / "nowhere")


def test_a_manifest_is_only_written_of_good_files(shipped, tmp_path):
    before = (shipped / "manifest.json").read_bytes()
    save_slim(shipped, **{"encoder/conv1_1/bias": np.ones(5)})
    weights.save(shipped / "bare.safetensors", {"encoder/x": np.ones(1)}, {"config": {"name": "vgg16"}})
    (shipped / "folder.safetensors").mkdir()
    with pytest.raises(WeightsError) as caught:
        weights.write_manifest(shipped)
    text = str(caught.value)
    assert "encoder/conv1_1/bias has shape" in text
    assert "licence in its metadata is None, wanted a text" in text
    assert "source in its metadata is None, wanted a text" in text
    assert "{'name': 'vgg16'}, wanted a name of slim, medium, vgg19" in text
    assert "folder.safetensors: is a folder" in text
    assert (shipped / "manifest.json").read_bytes() == before
    with pytest.raises(WeightsError, match="no .safetensors files"):
        weights.write_manifest(tmp_path)
