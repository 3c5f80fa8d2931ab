"""Deep dream: the ascent, octaves, masks, guides, zooms and sheets, on a narrow model; and the command."""

from __future__ import annotations

import dataclasses
import json
import shlex
import threading
from pathlib import Path
from typing import Any

import jax
import narrow
import numpy as np
import pytest
from demo_service import SERVICE_FIXTURES
from typer.testing import CliRunner

from wctstyle import cli, images, samples, weights
from wctstyle.demo import actions, dreaming
from wctstyle.demo.composition import Composition
from wctstyle.dreams import sheet, zoom
from wctstyle.dreams.dreaming import Dreamer
from wctstyle.dreams.recipe import DreamRecipe
from wctstyle.dreams.settings import SHEET, DreamSettings, format_channels, parse_channels
from wctstyle.encoder import MODELS
from wctstyle.errors import ConfigError
from wctstyle.optimizer import Optimizer, OptimizeSettings
from wctstyle.optimizer.network import features
from wctstyle.optimizer.terms import DreamTerm
from wctstyle.sources import Source
from wctstyle.video import joining

PHOTO = narrow.picture(48, 64)
QUICK = DreamSettings(layers=("relu3_1",), octaves=2, steps=4, jitter=3, strength=2)


@pytest.fixture(scope="module")
def dreamer(_quick: None) -> Dreamer:
    return Dreamer("slim", tensors=narrow.random_tensors())


@jax.jit
def seen(params: Any, image: Any) -> Any:
    return features(params, image, ("relu3_1",))["relu3_1"]


def activations(dreamer: Dreamer, rgb: np.ndarray) -> np.ndarray:
    """Mean square of each channel of relu3_1."""
    return np.square(seen(dreamer.ascent.params, rgb[None])).mean((0, 1, 2))


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Any:
    """Commands share the programs of their dreams."""
    with narrow.quick_compilation(), narrow.shared_programs():
        yield


# --- The ascent -----------------------------------------------------------------------------------------------------


def test_raises_the_chosen_channel_most_and_repeats(dreamer: Dreamer) -> None:
    settings = dataclasses.replace(QUICK, channels=(1,))
    before = activations(dreamer, PHOTO)
    traces = dreamer.ascent.traces
    made = dreamer.dream(PHOTO, settings)
    assert dreamer.ascent.traces == traces + 2  # one for each octave
    gain = activations(dreamer, made) / before
    assert gain[1] > 1.5
    assert gain[1] > 1.5 * np.delete(gain, 1).max()
    assert np.array_equal(made, dreamer.dream(PHOTO, settings))
    assert dreamer.ascent.traces == traces + 2
    assert not np.array_equal(made, dreamer.dream(PHOTO, dataclasses.replace(settings, seed=1)))
    assert np.abs(dreamer.dream(PHOTO, dataclasses.replace(settings, strength=0)) - PHOTO).max() < 1e-6


def test_a_mask_keeps_the_rest_and_a_guide_leads_elsewhere(dreamer: Dreamer) -> None:
    mask = np.zeros(PHOTO.shape[:2], np.float32)
    mask[:, :20] = 1
    free, masked = dreamer.dream(PHOTO, QUICK), dreamer.dream(PHOTO, QUICK, mask=mask)
    assert np.array_equal(masked[:, 20:], PHOTO[:, 20:])
    np.testing.assert_allclose(masked[:, :20], free[:, :20], atol=1e-6)
    short = dataclasses.replace(QUICK, octaves=1)
    guided = dreamer.dream(PHOTO, short, guide=narrow.picture(40, 40, seed=5))
    assert np.abs(guided - dreamer.dream(PHOTO, short)).mean() > 0.01


def test_the_guide_is_matched_position_by_position() -> None:
    x, guide = np.abs(narrow.random((1, 3, 5, 4))), np.abs(narrow.random((7, 4), seed=1))
    chosen = np.array([1, 0, 1, 1], np.float32)
    term = DreamTerm(1.0, "relu1_1", chosen=chosen, guide=guide, scale=np.float32(2))
    best = (x.reshape(-1, 4) * chosen) @ (guide * chosen).T
    value = jax.jit(lambda found, image: term(found, image))({"relu1_1": x}, np.zeros((1, 6, 10, 3), np.float32))
    np.testing.assert_allclose(value, -np.log1p(best.max(1).mean() / 3 / 2), rtol=1e-5)


# --- Zooms and sheets -----------------------------------------------------------------------------------------------


def test_a_zoom_goes_on_from_its_last_frame(dreamer: Dreamer) -> None:
    made = list(zoom.frames(dreamer, PHOTO, QUICK, 0.2))
    assert len(made) == 3
    assert np.array_equal(made[0], dreamer.dream(PHOTO, QUICK))
    follows = [np.abs(after - zoom.closer(before)).mean() for before, after in zip(made, made[1:], strict=False)]
    assert 0 < max(follows) < 0.5 * np.abs(made[2] - PHOTO).mean()


def test_a_sheet_has_a_picture_of_each_channel(dreamer: Dreamer) -> None:
    settings = dataclasses.replace(SHEET, layers=("relu3_1",), steps=3, octaves=1)
    made = list(sheet.cells(dreamer, settings))
    pictures = np.concatenate([part.pictures for part in made])
    assert [channel for part in made for channel in part.channels] == list(range(4))
    assert pictures.shape == (4, sheet.CELL, sheet.CELL, 3)
    responses = np.stack([activations(dreamer, picture) for picture in pictures])
    assert (responses.argmax(axis=0) == np.arange(4)).all()  # no other picture excites a channel more
    (one,) = sheet.cells(dreamer, dataclasses.replace(settings, channels=(2,)))
    np.testing.assert_allclose(one.pictures[0], pictures[2], atol=1e-5)
    page = sheet.laid_out(made)
    assert (page.min(axis=2) < 0.5)[sheet.CELL + 4 : sheet.CELL + 18, : sheet.CELL].any()  # its number


# --- As one more term -----------------------------------------------------------------------------------------------


def test_optimize_mixes_a_dream_with_the_style() -> None:
    optimizer, style = Optimizer("slim", tensors=narrow.random_tensors()), narrow.picture(24, 24, seed=3)
    raised = {}
    for weight in (0.0, 1.0):
        settings = OptimizeSettings(
            steps=8, init="content", keep_faces=0, content_weight=0, style_layers={"relu1_1": 1},
            dream={"relu3_1:1": weight},
        )  # fmt: skip
        *_, last = optimizer.run(PHOTO[:24, :32], [(style, 1.0)], settings)
        raised[weight] = last.losses["dream"]
    assert raised[1.0] > 1.2 * raised[0.0]
    with pytest.raises(ConfigError, match="channel 4 of relu3_1: there is none, as it has 4 here"):
        list(optimizer.run(PHOTO, [(style, 1.0)], OptimizeSettings(init="content", dream={"relu3_1:4": 1})))


# --- The command ----------------------------------------------------------------------------------------------------


def invoke(*args: object) -> Any:
    return CliRunner().invoke(cli.app, [str(arg) for arg in args])


def fails(*args: object) -> str:
    result = invoke(*args)
    assert result.exit_code == 2, result.output
    return " ".join(result.stderr.split())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    config = dataclasses.replace(narrow.NARROW, name="medium")
    monkeypatch.setitem(MODELS, "medium", config)
    about = {"config": {"name": "medium", "channels": list(config.channels)}, "licence": "CC0", "source": "a test"}
    (tmp_path / "shipped").mkdir()
    weights.save(tmp_path / "shipped" / "medium.safetensors", narrow.random_tensors(), {**about, "version": "1"})
    monkeypatch.setenv("WCTSTYLE_WEIGHTS", str(tmp_path / "shipped"))
    monkeypatch.setenv("WCTSTYLE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    images.save("sea.png", PHOTO)
    images.save("mask.png", np.repeat(np.eye(48, 64, dtype=np.float32)[..., None], 3, axis=2))
    return tmp_path


def test_the_recipe_of_a_result_makes_it_again(here: Path) -> None:
    args = ("dream", "sea.png", "--layer", "relu3_1", "--channels", "0,2", "--octaves", "2", "--steps", "2")
    made = invoke(*args, "--guide", "mask.png", "--mask", "mask.png", "-o", "a.png")
    assert made.stdout == "a.png\n", made.output
    command = invoke("recipe", "a.png").stdout.strip()
    assert invoke(*shlex.split(command)[1:], "-o", "b.png").stdout == "b.png\n"
    assert (here / "a.png").read_bytes() == (here / "b.png").read_bytes()
    code = invoke("recipe", "a.png", "--python").stdout
    exec(code.replace("dream.png", "c.png"), {})
    assert np.abs(images.load("c.png").rgb - images.load("a.png").rgb).max() <= 1 / 255
    sheet_of = ("dream", "--sheet", "relu2_1", "--steps", "1", "--channels", "0-1", "-o", "s.png")
    assert invoke(*sheet_of).stdout == "s.png\n"
    again = invoke("recipe", "s.png").stdout.strip()
    assert again.startswith("wctstyle dream --sheet relu2_1 --channels 0-1 ")
    assert "already" in fails(*sheet_of)


def test_a_zoom_is_a_video_of_as_many_frames(here: Path) -> None:
    pytest.importorskip("av", reason="videos need PyAV: pip install 'wctstyle[video]'")
    made = invoke("dream", "sea.png", "--octaves", "1", "--steps", "1", "--zoom", "0.4", "-o", "z.mp4")
    assert made.stdout == "z.mp4\n", made.output
    with joining.opened("z.mp4") as box:
        assert sum(1 for packet in box.demux(video=0) if packet.size) == 6
    assert "--zoom 0.4" in invoke("recipe", "z.mp4").stdout
    assert sorted(path.name for path in here.iterdir()) == ["mask.png", "sea.png", "shipped", "z.mp4"]


def test_bad_input_is_told(here: Path) -> None:
    plain = ("dream", "sea.png", "-o", "a.png")
    assert "no photo given" in fails("dream", "-o", "a.png")
    assert "--layer names 'conv4', must be one of relu1_1, " in fails(*plain, "--layer", "conv4")
    assert "channel 99 of relu3_1: there is none, as it has 4 here; give numbers from 0 to 3" in fails(
        *plain, "--layer", "relu3_1", "--channels", "99"
    )
    assert "must be numbers and ranges" in fails(*plain, "--channels", "7-3")
    assert "takes one layer" in fails(*plain, "--layer", "relu3_1", "--layer", "relu4_1", "--channels", "1")
    assert "--zoom is 0.0, must be between" in fails("dream", "sea.png", "--zoom", "0", "-o", "a.mp4")
    assert "a sheet is made from noise" in fails(*plain, "--sheet", "relu3_1")
    assert "--steps is 0, must be" in fails(*plain, "--steps", "0")
    assert not (here / "a.png").exists()


def test_channels_and_recipes_are_read_as_written() -> None:
    assert parse_channels("3, 17,20-22") == (3, 17, 20, 21, 22)
    assert format_channels(DreamSettings(channels=(22, 3, 21, 20, 17)).channels) == "3,17,20-22"
    recipe = DreamRecipe(Source("sea.png", "1"), QUICK, size=64, mask=Source("ready:sky"), zoom=2.0)
    assert DreamRecipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    with pytest.raises(ConfigError, match="cannot be used: layers names"):
        DreamRecipe.from_json({**recipe.to_json(), "dream": {"layers": ["conv1"]}})


# --- The page -------------------------------------------------------------------------------------------------------


service, session = SERVICE_FIXTURES


def test_the_page_dreams_of_its_photo_and_draws_a_sheet_once(service: Any, session: Any, tmp_path: Path) -> None:
    composition = Composition(size=64, model="medium")
    settings = dataclasses.replace(QUICK, channels=(1,))
    recipe = dreaming.recipe_of(service, session, composition, settings)

    def made(recipe: DreamRecipe, stop: threading.Event) -> list[Any]:
        return list(dreaming.make(service, session, composition, recipe, tmp_path, stop))

    found = made(recipe, threading.Event())
    assert [now.step for now in found[:-1]] == list(range(1, len(found)))
    assert DreamRecipe.from_json(images.read_recipe(found[-1].file) or {}) == recipe
    assert recipe.content == Source("sample:astronaut", samples.picture("astronaut").content_hash)
    stopped = threading.Event()
    stopped.set()
    assert made(recipe, stopped) == []
    added = actions.add_upload(
        service, session, str(found[-1].file), str(found[-1].file.parent), "dream.png", shown=composition
    )
    assert added.held is not None
    drawn = dreaming.sheet_recipe(composition, "relu3_1")
    first, again = made(drawn, threading.Event()), made(drawn, threading.Event())
    assert len(again) < len(first)
    assert first[-1].file.read_bytes() == again[-1].file.read_bytes()
    with pytest.raises(ConfigError, match="steps is 500, must be from 1 to 200 with 2 octaves here"):
        dreaming.recipe_of(service, session, composition, dataclasses.replace(settings, steps=500))
