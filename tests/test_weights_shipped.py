"""The weights that come with the package, and where they come to lie."""

import tomllib
from pathlib import Path

import pytest

from wctstyle import weights
from wctstyle.encoder import MODELS

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _as_shipped(monkeypatch):
    monkeypatch.delenv("WCTSTYLE_WEIGHTS", raising=False)


def test_the_shipped_weights_are_those_of_the_manifest():
    reports = weights.verify(ROOT / "weights", check=True)
    assert {report.file.name for report in reports} >= {"manifest.json", "slim.safetensors"}
    assert (ROOT / "weights" / "LICENSE.md").is_file()


def test_slim_is_shipped_whole():
    tensors, metadata = weights.load("slim")
    config = MODELS["slim"]
    expected = weights.expected_shapes(config, "encoder") | weights.expected_shapes(config, "decoder")
    assert {name: value.shape for name, value in tensors.items()} == expected
    assert all(value.any() for value in tensors.values())
    assert metadata["parts"].keys() == {"encoder", "decoder"}


def test_the_wheel_has_the_weights_where_the_package_looks_for_them():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    placed = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert Path(placed["weights"]).parts == Path(weights.__file__).parent.parts[-2:]
