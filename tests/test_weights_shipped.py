"""The weights that come with the package, and where they come to lie."""

import tomllib
from pathlib import Path

import numpy as np
import pytest

from wctstyle import images, samples, weights
from wctstyle.encoder import MODELS
from wctstyle.stylizer import Stylizer

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


def test_one_pixel_is_painted_like_a_flat_field_of_it():
    """A single position has no moments: what trained weights made of it alone was black, whatever the style."""
    stylizer = Stylizer("slim")
    style = images.resize(samples.picture("marbling"), long_side=64).rgb
    color = np.array([0.8, 0.1, 0.1], np.float32)
    flat = stylizer.stylize(np.tile(color, (64, 64, 1)), style).image
    pixel = stylizer.stylize(color[None, None], style).image
    deviations = np.abs(pixel[0, 0] - flat.mean(axis=(0, 1))) / flat.std(axis=(0, 1))
    assert deviations.max() < 2.5, "one of the field's colours; black is 2.8 off"
    assert pixel.min() > 0.05
