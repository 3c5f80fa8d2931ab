"""Fixtures for all tests: small pictures, an own data folder, and weights that need no training."""

from __future__ import annotations

import gc
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wctstyle
from wctstyle import images, samples

PHOTO_SIZE = 64
"""Long side of the pictures here: the smallest size that is traced, so that programs compile fast."""


PROGRAMS = "WCTSTYLE_TEST_PROGRAMS"
"""Where programs of narrow models are kept that were compiled in this run, for its workers and their processes too."""


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder of compiled programs, before the workers start, and let Python look for garbage seldom.

    Imports and traces make many objects and keep them: by default a seventh of the processor time went to garbage.
    """
    gc.set_threshold(100_000, 20, 50)
    if PROGRAMS not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="wctstyle-programs-", ignore_cleanup_errors=True)
        os.environ[PROGRAMS] = folder.name
        config.add_cleanup(folder.cleanup)


LONGEST = (
    "test_docs", "test_demo_browser", "test_training", "test_optimizer", "test_demo_stage", "test_demo_access",
    "test_demo_palette", "test_cli_optimize", "test_demo_memory", "test_tiles", "test_stylizer", "test_benchmarks",
    "test_cli", "test_demo_regions_browser", "test_video_io", "test_video_calm", "test_demo",
)  # fmt: skip
"""Files that take long, the longest first. They start first, so that no worker waits for a long one at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests by file: `LONGEST`, then the others as they were."""
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(LONGEST)))


def pytest_collection_finish() -> None:
    """Take the modules, which stay, out of the search for garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _package_names() -> None:
    """Let the package's lazy names find what they mean before a test puts another thing in its place.

    The package keeps what it found: a stand-in of one test would be there for all later ones.
    """
    for name in wctstyle.__all__:
        getattr(wctstyle, name)


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep imported and downloaded weights of the user out of the tests, and those of the tests out of the user's.

    The cache of compiled programs stays where it is: it makes tests fast and changes no result.
    """
    monkeypatch.setenv("WCTSTYLE_HOME", str(tmp_path / "wctstyle-home"))


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """A photo, 64 x 48 pixels, float32 RGB in [0, 1]: the face from scikit-image's astronaut."""
    face = images.load(samples.path("astronaut")).rgb[:256, 128:320]
    return images.resize(images.load(face), long_side=PHOTO_SIZE).rgb


@pytest.fixture(scope="session")
def style_picture() -> np.ndarray:
    """A picture with strong colors and texture, 64 x 64 pixels, float32 RGB in [0, 1]: wavy stripes and grain."""
    y, x = np.mgrid[:PHOTO_SIZE, :PHOTO_SIZE] / PHOTO_SIZE
    stripes = 0.5 + 0.5 * np.sin(2 * np.pi * (6 * x + np.sin(5 * y)))[..., None]
    paint = stripes * np.array([0.9, 0.4, 0.1]) + (1 - stripes) * np.array([0.1, 0.2, 0.7])
    grain = np.random.default_rng(0).normal(0, 0.04, paint.shape)
    return np.clip(paint + grain, 0, 1).astype(np.float32)


@pytest.fixture(scope="session")
def tiny_weights_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights folder with an untrained `slim` and `medium` (the same in every run) and their manifest."""
    from wctstyle import __version__, weights
    from wctstyle.encoder import MODELS
    from wctstyle.weights.models import config_metadata

    folder = tmp_path_factory.mktemp("tiny-weights")
    for name in ("slim", "medium"):
        config, rng = MODELS[name], np.random.default_rng(0)
        shapes = weights.expected_shapes(config, "encoder") | weights.expected_shapes(config, "decoder")
        tensors = {
            key: rng.normal(0, np.sqrt(2 / np.prod(shape[:3])), shape) if key.endswith("kernel") else np.zeros(shape)
            for key, shape in shapes.items()
        }
        metadata = {
            "config": config_metadata(config),
            "licence": "CC0",
            "source": "untrained, made by the tests",
            "version": __version__,
        }
        weights.save(folder / f"{name}.safetensors", tensors, metadata)
    weights.write_manifest(folder)
    return folder


@pytest.fixture
def tiny_weights(tiny_weights_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make `tiny_weights_dir` the shipped weights for this test and the processes it starts."""
    monkeypatch.setenv("WCTSTYLE_WEIGHTS", str(tiny_weights_dir))
    return tiny_weights_dir


@pytest.fixture
def any_weights(request: pytest.FixtureRequest) -> None:
    """Let the shipped weights be used, or untrained ones in a checkout that has none.

    For tests to which the picture does not matter; others ask for the weights that they mean.
    """
    from wctstyle import weights

    folder = weights.shipped_dir()
    if not all((folder / f"{name}.safetensors").is_file() for name in ("slim", "medium")):
        request.getfixturevalue("tiny_weights")


@pytest.fixture
def here(tmp_path: Path, photo: np.ndarray, style_picture: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with sea.png (48 x 64) and waves.png."""
    folder = tmp_path / "here"
    folder.mkdir()
    images.save(folder / "sea.png", photo)
    images.save(folder / "waves.png", style_picture)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def _untrained(tiny_weights_dir: Path) -> Any:
    from wctstyle import weights
    from wctstyle.stylizer import Stylizer

    return Stylizer("slim", tensors=weights.load_file(tiny_weights_dir / "slim.safetensors")[0])


@pytest.fixture
def one_model(_untrained: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let every run in this process share one model, so that nothing is compiled twice."""
    monkeypatch.setattr("wctstyle.stylizer.Stylizer", lambda model: _untrained)
    return _untrained
