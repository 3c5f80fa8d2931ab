"""The weights that come with the package, and where they come to lie."""

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from original import ORIGINAL, needs_original

from benchmarks.judge import Judge
from wctstyle import images, pixel_metrics, samples, weights
from wctstyle.encoder import MODELS
from wctstyle.inputs import feathered
from wctstyle.regions import Region
from wctstyle.settings import DEFAULT_FEATHER, Settings
from wctstyle.stylizer import Stylizer
from wctstyle.weights.models import FILES, VGG19_ENCODER

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ("slim", "medium")
"""The models that come whole with the package."""


@pytest.fixture(autouse=True)
def _as_shipped(monkeypatch):
    monkeypatch.delenv("WCTSTYLE_WEIGHTS", raising=False)


def test_the_shipped_weights_are_those_of_the_manifest():
    reports = weights.verify(ROOT / "weights", check=True)
    assert {report.file.name for report in reports} == {
        "manifest.json",
        "medium.safetensors",
        "slim.safetensors",
        "vgg19_decoder.safetensors",
    }
    assert (ROOT / "weights" / "LICENSE.md").is_file()


@pytest.mark.parametrize("model", SHIPPED)
def test_models_are_shipped_whole(model):
    tensors, metadata = weights.load(model)
    config = MODELS[model]
    expected = weights.expected_shapes(config, "encoder") | weights.expected_shapes(config, "decoder")
    assert {name: value.shape for name, value in tensors.items()} == expected
    assert all(value.any() for value in tensors.values())
    assert metadata["parts"].keys() == {"encoder", "decoder"}


def shipped_parts():
    """Name each file and part that comes with the package, and the model it is of."""
    return [(file, part, model) for model, files in FILES.items() for file, held in files.items()
            if file != VGG19_ENCODER for part in held]  # fmt: skip


@pytest.mark.parametrize("file", sorted({file for file, _, _ in shipped_parts()}))
def test_shipped_weights_tell_how_they_were_trained(file):
    """Who states a training in `source` has its recipe and what it measured."""
    _, metadata = weights.load_file(ROOT / "weights" / file)
    assert metadata["recipe"]["stages"]
    assert len(metadata["history"]) == len(metadata["recipe"]["stages"])


@pytest.mark.parametrize(("file", "part", "model"), shipped_parts(), ids=str)
def test_shipped_weights_are_no_random_start(file, part, model):
    """A start has biases of zero and the deviation of He initialisation; training moves every layer off both."""
    tensors, _ = weights.load_file(ROOT / "weights" / file)
    for name, c_in, _ in MODELS[model].convs(part):
        assert tensors[f"{part}/{name}/bias"].any(), f"{part}/{name} has the biases of a random start"
        spread = tensors[f"{part}/{name}/kernel"].std()
        assert spread != pytest.approx(np.sqrt(2 / (9 * c_in)), rel=1e-3), f"{part}/{name} has the kernel of one"


def test_the_shipped_weights_are_small():
    assert sum(path.stat().st_size for path in (ROOT / "weights").glob("*.safetensors")) <= 30e6


@pytest.mark.parametrize("name", ["astronaut", "coffee", "impasto-night"])
@pytest.mark.parametrize("model", SHIPPED)
def test_a_picture_in_its_own_style_stays_itself(model, name):
    rgb = images.resize(samples.picture(name), long_side=256).rgb
    image = Stylizer(model).stylize(rgb, rgb).image
    assert pixel_metrics.psnr(image, rgb) >= 26


@needs_original
def test_the_shipped_decoder_reads_the_original_encoder(monkeypatch, tmp_path):
    """Imported, the original VGG-19 makes `vgg19` whole: a style comes nearer."""
    monkeypatch.setenv("WCTSTYLE_HOME", str(tmp_path))
    weights.import_vgg19(ORIGINAL)
    stylizer, judge = Stylizer("vgg19"), Judge(ORIGINAL)
    photo, style = (images.resize(samples.picture(name), long_side=128).rgb for name in ("astronaut", "impasto-night"))
    result = stylizer.stylize(photo, style).image
    before, after = (judge.figures(picture, photo, style)["style"] for picture in (photo, result))
    assert after < 0.7 * before


def test_the_wheel_has_the_weights_where_the_package_looks_for_them():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    placed = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert Path(placed["weights"]).parts == Path(weights.__file__).parent.parts[-2:]


def test_single_pixels_get_the_colours_of_a_flat_field():
    """A single position has no moments: what trained weights made of it alone was black, whatever the style.

    Where in the style's range one lands is chance (rounding is all the variance there is), so it takes several.
    """
    stylizer = Stylizer("slim")
    style = images.resize(samples.picture("marbling"), long_side=64).rgb
    colors = np.random.default_rng(0).random((7, 1, 1, 3)).astype(np.float32)
    flat = stylizer.stylize(np.tile(colors[0], (64, 64, 1)), style).image
    pixels = [stylizer.stylize(color, style).image for color in colors]
    assert flat.mean() > 0.3
    assert min(pixel.mean() for pixel in pixels) > 0.1
    assert abs(np.median([pixel.mean() for pixel in pixels]) - flat.mean()) < 0.2


def test_borders_of_regions_have_no_halo():
    """Across a border between two styles, the mean of its pixels lies between the two full results.

    What lies outside is measured against the contrast of the two. A gap between the regions shows up in it.
    """
    stylizer, settings = Stylizer("slim"), Settings(keep_faces=0)
    picture = images.resize(samples.picture("coffee"), long_side=256)
    one, two = (images.resize(samples.picture(name), long_side=256).rgb for name in ("stained-glass", "woodcut-wave"))
    photo, edge, code = picture.rgb, picture.width // 2, stylizer.content(picture.rgb)
    columns = np.broadcast_to(np.arange(picture.width), photo.shape[:2])

    def outside(first, second):
        result = stylizer.stylize(photo, [Region(first, one), Region(second, two)], settings)
        fully = [stylizer.render(code, [replace(part, share=None)], settings).mean(0) for part in result.parts]
        found, low, high = result.image.mean(0), np.minimum(*fully), np.maximum(*fully)
        beyond = np.maximum(found - high, 0) + np.maximum(low - found, 0)
        return beyond[edge - 16 : edge + 16].mean() / (high - low).mean()

    for feather in (0, DEFAULT_FEATHER, 0.05):
        assert outside(feathered((columns < edge).astype(np.float32), picture, feather), None) < 0.06
    assert outside(columns < edge - 8, columns >= edge + 8) > 0.2
