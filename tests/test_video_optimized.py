"""Optimised video: the temporal term, frames that follow the last result, what goes on after a stop, and refusals."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jax
import narrow
import numpy as np
import pytest
from test_video_calm import HEIGHT, OTHER_STYLE, STYLE, WIDTH, pan, pictures, scene
from typer.testing import CliRunner

from wctstyle import cli
from wctstyle.color import lightness_grey
from wctstyle.encoder import MODELS
from wctstyle.errors import ConfigError, ImageError
from wctstyle.optimizer import Optimizer, OptimizeSettings
from wctstyle.optimizer.job import Carried
from wctstyle.optimizer.programs import Programs
from wctstyle.optimizer.terms import TemporalTerm
from wctstyle.recipe import Optimisation, Recipe
from wctstyle.regions import Region
from wctstyle.settings import Settings
from wctstyle.sources import Source, StyleSource
from wctstyle.stylizer import Stylizer
from wctstyle.video.carrying import continued
from wctstyle.video.flow import motion_border
from wctstyle.video.keyframes import Track
from wctstyle.video.optimized import VideoOptimizer, temporal_weight
from wctstyle.video.recipe import VideoRecipe

pytest.importorskip("cv2", reason="calm videos need OpenCV: pip install 'wctstyle[video]'")

PLAIN = Settings(keep_faces=0.0)
FEW = OptimizeSettings(steps=6, keep_faces=0.0)
SHALLOW = replace(FEW, content_layers={"relu2_1": 1.0}, style_layers={"relu1_1": 1.0, "relu2_1": 1.0})
"""The first layers alone, for what takes a program of its own."""


@pytest.fixture(scope="module")
def models() -> Iterator[tuple[Stylizer, Optimizer]]:
    with pytest.MonkeyPatch.context() as patch, narrow.quick_compilation():
        for name in ("slim", "medium"):
            patch.setitem(MODELS, name, replace(narrow.NARROW, name=name))
        yield Stylizer("slim", tensors=narrow.random_tensors()), Optimizer(tensors=narrow.random_tensors())


def test_the_temporal_term_is_the_mean_of_weighted_squares() -> None:
    rng = np.random.default_rng(0)
    image, target = rng.uniform(size=(2, 1, 5, 7, 3)).astype(np.float32)
    counted = rng.uniform(size=(1, 5, 7, 1)).astype(np.float32)
    counted[0, :2] = 0
    term = TemporalTerm(1.0, "", target, counted)
    value, slope = jax.value_and_grad(lambda x: term({}, x))(image)
    apart = image.astype(np.float64) - target
    np.testing.assert_allclose(value, (counted * apart**2).sum() / (5 * 7 * 3), rtol=1e-5)
    np.testing.assert_allclose(slope, 2 * counted * apart / (5 * 7 * 3), atol=1e-7)
    assert not np.asarray(slope)[0, :2].any()


def test_the_weight_rises_from_nothing_to_a_limit() -> None:
    weights = [temporal_weight(calm) for calm in (0, 0.5, 0.85, 1)]
    assert weights[0] == 0
    assert weights == sorted(weights)
    assert weights[-1] == pytest.approx(weights[1] * (0.975 / 0.025) / (0.853125 / 0.146875))


def test_motion_borders_are_the_edges_of_what_moves() -> None:
    vectors = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    vectors[16:32, 20:40] = (5, -3)
    found = motion_border(vectors)
    assert found[15:17, 20:40].all()
    assert not found[:14].any()
    assert not found[18:30, 22:38].any()


def test_what_is_carried_holds_where_it_counts(models: tuple[Stylizer, Optimizer]) -> None:
    """Also where lightness alone is optimised."""
    photo, last = scene()[:, :WIDTH], scene(seed=4)[:, :WIDTH]
    counted = np.zeros((HEIGHT, WIDTH), np.float32)
    counted[:, : WIDTH // 2] = 1
    goal = replace(SHALLOW, steps=12, colors="photo")
    *_, done = models[1].run(photo, [(STYLE, 1.0)], goal, init=photo, carried=Carried(last, counted, 1e4))
    apart = np.abs(lightness_grey(done.image) - lightness_grey(last))
    assert apart[:, : WIDTH // 2 - 8].mean() < 0.3 * apart[:, WIDTH // 2 + 8 :].mean()


def test_what_comes_into_view_has_the_colours_around_it() -> None:
    """The optimised picture has other colours than the pass, in a way of its own for each; a hole is not to show."""
    ground, sky = np.array([0.6, 0.3, 0.3], np.float32), np.array([0.2, 0.3, 0.7], np.float32)
    below = (np.arange(HEIGHT) > HEIGHT // 2)[:, None, None]
    new = np.where(below, ground, sky) + 0.2 * (scene()[:, :WIDTH] - 0.5)
    carried = new + np.where(below, np.array([0.2, 0.1, -0.1], np.float32), np.array([-0.1, 0.0, 0.15], np.float32))
    trust = np.ones((HEIGHT, WIDTH), np.float32)
    trust[20:44, 30:60] = 0
    hole = np.where(trust[..., None] > 0, carried, 0).astype(np.float32)
    found = continued(hole, new, trust)
    np.testing.assert_allclose(found[trust > 0], carried[trust > 0], atol=1e-6)
    apart, before = (np.abs(rgb - carried)[trust == 0].mean() for rgb in (found, new))
    assert apart < 0.25 * before  # one change for all colours leaves 0.37
    np.testing.assert_allclose(continued(hole, new, np.zeros_like(trust)), new, atol=1e-6)


@pytest.mark.parametrize(
    ("carried", "error", "told"),
    [
        (Carried(np.zeros((4, 4, 3), np.float32), np.zeros((HEIGHT, WIDTH), np.float32), 1.0), ImageError, "frame bef"),
        (Carried(STYLE, np.full((64, 64), 2.0), 1.0), ImageError, "confidence in the frame before: has float values"),
        (Carried(STYLE, np.ones((64, 64)), -1.0), ConfigError, "weight of the frame before is -1"),
    ],
)
def test_a_bad_frame_before_is_told(models: tuple[Stylizer, Optimizer], carried: Carried, error: type, told: str):
    with pytest.raises(error, match=told):
        models[1].run(STYLE, [(OTHER_STYLE, 1.0)], FEW, init=STYLE, carried=carried)


def test_a_moving_square_flickers_far_less_than_frame_by_frame(models: tuple[Stylizer, Optimizer]) -> None:
    """A textured square that moves two pixels a frame; the true flow is known."""
    ground, square = scene(seed=1)[:, :WIDTH], scene(seed=2)[:32, :32]
    frames = pan(4)
    for index, frame in enumerate(frames):
        rgb = ground.copy()
        rgb[16:48, 20 + 2 * index : 52 + 2 * index] = square
        frames[index] = replace(frame, rgb=rgb)

    def flicker(calm: float) -> tuple[float, float]:
        made = pictures(VideoOptimizer(*models, STYLE, PLAIN, FEW, steps=4, calm=calm).frames(frames))
        inner = [rgb[20:44, 26 + 2 * i : 46 + 2 * i] for i, rgb in enumerate(made)]
        still = [rgb[:, :12] for rgb in made]
        pairs = [itertools.pairwise(part) for part in (inner, still)]
        on_it, beside = (float(np.sqrt(np.mean([(a - b) ** 2 for a, b in pair]))) for pair in pairs)
        return on_it, beside

    alone, held = flicker(0), flicker(0.85)
    assert held[0] < 0.4 * alone[0]
    assert held[1] < 0.02


def test_each_frame_starts_from_the_last_and_compiles_nothing_new(
    models: tuple[Stylizer, Optimizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With transparency whose box moves, keyframes, and a mask that is empty in one frame; a cut begins anew."""
    stylizer, optimizer = models
    begun, compiled, compile = [], [], Programs._compile
    monkeypatch.setattr(Programs, "_compile", lambda *args: compiled.append(1) or compile(*args))

    class Watched:
        def run(self, content, styles, settings, **how):
            begun.append((settings.steps, how["carried"].weight > 0, float(how["carried"].counted.mean())))
            return optimizer.run(content, styles, settings, **how)

    alpha = np.zeros((HEIGHT, WIDTH), np.float32)
    frames = [replace(f, index=i, seconds=i / 25) for i, f in enumerate([*pan(3, seed=0), *pan(2, seed=5)])]
    for index, frame in enumerate(frames):
        own = alpha.copy()
        own[10:50, 8 + index : 70 + index] = 1
        frames[index] = replace(frame, alpha=own)

    def mask(frame):
        return alpha if frame.index == 2 else 1 - alpha

    fading = [(STYLE, Track((0.0, 0.2), (1.0, 0.2))), (OTHER_STYLE, 0.5)]
    video = VideoOptimizer(stylizer, Watched(), [Region(mask, fading)], PLAIN, SHALLOW, steps=3)  # pyright: ignore
    made = pictures(video.frames(frames))
    assert [steps for steps, *_ in begun] == [6, 3, 6, 3]  # the third frame has nothing to optimise
    assert [held for _, held, _ in begun] == [False, True, False, True]
    assert begun[1][2] > 0.3
    assert len(compiled) == 1
    np.testing.assert_allclose(made[2][20:40, 30:50], frames[2].rgb[20:40, 30:50], atol=0.01)


def test_a_restored_state_goes_on_to_the_same_frames(models: tuple[Stylizer, Optimizer]) -> None:
    frames, settings = pan(4), Settings(texture=1.0, colors="match")

    def video() -> VideoOptimizer:
        return VideoOptimizer(*models, [(STYLE, 1.0), (OTHER_STYLE, Track((0.0, 0.1), (0.0, 1.0)))], settings, steps=2)

    whole = pictures(video().frames(frames))
    first, second = video(), video()
    begun = list(itertools.islice(first.frames(frames), 2))
    second.restore(first.state())
    for got, wanted in zip(pictures([*begun, *second.frames(frames[2:])]), whole, strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_a_recipe_says_how_frames_were_optimised() -> None:
    goal = OptimizeSettings(steps=40, optimizer="adam", content_weight=0.1, style_layers={"relu1_1": 2.0})
    picture = Recipe(Source("clip.mp4"), (StyleSource("waves.png"),), 64, optimisation=Optimisation(goal, "medium"))
    made = VideoRecipe(picture, 0.5, steps=9)
    again = VideoRecipe.from_json(made.to_json(), source="out.mp4")
    assert again == made
    words = again.command()
    assert "--calm 0.5 --optimize --steps 9 --first-steps 40 --optimizer adam --content-weight 0.1" in words
    assert "--style-layers relu1_1=2.0" in words
    with pytest.raises(ConfigError, match="steps is 0"):
        VideoRecipe.from_json({**made.to_json(), "video": {**made.to_json()["video"], "steps": 0}}, source="out.mp4")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--first-steps 3", "--first-steps: has no effect without --optimize"),
        ("--content-weight 3", "--content-weight: has no effect without --optimize"),
        ("--optimize --steps 0", "--steps is 0, must be"),
        ("--optimize --first-steps 0", "--first-steps is 0, must be"),
        ("--optimize --refine 3", "--refine 3: has no effect with --optimize"),
        ("--optimize --colors only", "--colors is 'only', which paints nothing to optimise"),
        ("--optimize --style-layers relu9_9", "--style-layers names 'relu9_9'"),
        ("--optimize --tv-weight -1", "--tv-weight is -1"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: str, told: str, tmp_path: Path) -> None:
    words = ["video", "clip.mp4", "--style", "sample:marbling", "-o", str(tmp_path / "out.mp4"), *options.split()]
    result = CliRunner().invoke(cli.app, words)
    assert (result.exit_code, told in " ".join(result.stderr.split())) == (2, True), result.stderr
