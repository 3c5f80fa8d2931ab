"""The API for programs, in process: a service with narrow models behind Starlette's test client."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import narrow
import numpy as np
import pytest
from narrow import NARROW, quick_compilation, random_tensors
from starlette.testclient import TestClient

from wctstyle import batch, images
from wctstyle.encoder import MODELS
from wctstyle.optimizer import Optimizer
from wctstyle.recipe import Recipe
from wctstyle.service import Limits, Service, Studio, make_app
from wctstyle.stylizer import Stylizer

SMALL = Limits(
    max_size=256, upload_bytes=2**20, request_bytes=2**21, upload_pixels=500_000, files=6, styles=3, pictures=6,
    optimize_steps=400, optimize_size=64,
)  # fmt: skip


@pytest.fixture(scope="module")
def studio(tmp_path_factory) -> Iterator[Studio]:
    """Two narrow models; programs compile quickly and once."""
    with quick_compilation(tmp_path_factory.mktemp("programs")), pytest.MonkeyPatch.context() as patch:
        for name in MODELS:
            patch.setitem(MODELS, name, replace(NARROW, name=name))
        known = {name: random_tensors(seed) for seed, name in enumerate(MODELS)}
        encoders = {name: {k: v for k, v in known[name].items() if k.startswith("encoder/")} for name in known}
        yield Studio(
            "slim",
            offered=("slim", "medium"),
            stylizers=lambda name: Stylizer(name, tensors=known[name]),
            optimizers=lambda name: Optimizer(name, tensors=encoders[name]),
        )


@pytest.fixture(scope="module")
def service(studio) -> Iterator[Service]:
    made = Service(studio, SMALL)
    yield made
    made.close()
    assert not made.folder.exists()


@pytest.fixture(scope="module")
def client(service) -> Iterator[TestClient]:
    with TestClient(make_app(service), raise_server_exceptions=False) as made:
        yield made


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for seed, (name, shape) in enumerate({"sea.png": (48, 64), "land.jpg": (64, 64), "waves.png": (64, 64),
                                          "dots.png": (64, 72)}.items()):  # fmt: skip
        images.save(folder / name, narrow.picture(*shape, seed=seed))
    images.save(folder / "sky.png", np.tri(48, 64, dtype=np.float32))
    return folder


def files(folder: Path, **fields: str) -> list[tuple[str, Any]]:
    """Files as the client sends them: field by field, several names parted by blanks."""
    return [
        (field, (name, (folder / name).read_bytes()))
        for field, names in fields.items()
        for name in names.split()
    ]  # fmt: skip


def ended(client: TestClient, job: dict[str, Any]) -> dict[str, Any]:
    return client.get(job["url"], params={"wait": 60}).json()


def error(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.json().keys() == {"error"}
    return answer.json()["error"]


# ------------------------------------------------------------------------------------------------------------ pictures


def test_a_picture_is_the_one_that_the_command_makes(client, studio, pictures, tmp_path, monkeypatch):
    """Byte for byte, from the same options, masks and regions; and the recipe's command makes it again."""
    sent = files(pictures, content="sea.png", style="waves.png", file="dots.png sky.png")
    options = {"strength": "0.8", "size": "96", "stroke_scale": "0.5", "keep_faces": "0"}
    regions = {"style": "dots.png:0.5@sky", "mask": "sky=sky.png", "region": "sky:strength=0.9", "feather": "0.02"}
    answer = client.post("/v1/stylize", data={**options, **regions}, files=sent)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    assert float(answer.headers["x-wctstyle-seconds"]) > 0

    from typer.testing import CliRunner

    from wctstyle import cli

    monkeypatch.chdir(pictures)
    monkeypatch.setattr(batch, "load_stylizer", studio.stylizer)
    monkeypatch.setattr("wctstyle.jobs.work.load_stylizer", studio.stylizer)
    recipe = Recipe.from_json(images.read_recipe(answer.content) or {})
    words = [word for word in __import__("shlex").split(recipe.command(str(tmp_path / "made.png")))][1:]
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "made.png").read_bytes() == answer.content
