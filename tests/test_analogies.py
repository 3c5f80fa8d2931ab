"""Filters learned from a pair of pictures: known ones are found again on photos that the learning has not seen."""

import asyncio
import threading

import numpy as np
import pytest
from demo_service import SERVICE_FIXTURES
from typer.testing import CliRunner

from benchmarks import analogies as known
from wctstyle import images, samples, weights
from wctstyle.analogies import files, filters, making, painting
from wctstyle.analogies.recipe import AnalogyRecipe
from wctstyle.analogies.sampling import decibels
from wctstyle.cli.commands import app
from wctstyle.demo import analogies, analogy_panel, sheets
from wctstyle.demo.extras import Progress
from wctstyle.demo.runs import Run
from wctstyle.errors import ConfigError, ImageError, WeightsError

service, session = SERVICE_FIXTURES


def photo(name, side=128):
    small = images.resize(samples.picture(name), long_side=side).rgb
    return known.filtered(lambda rgb: rgb, small)


def nearness(one, other):
    return decibels(float(np.mean((one - other) ** 2)))


@pytest.fixture(scope="module")
def embossed():
    """Learned from the middle of a pair, as those of large pairs are."""
    own = photo("astronaut", 160)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(filters, "WINDOW", 112)
        return filters.learn(own, known.filtered(known.emboss, own))


@pytest.mark.parametrize("filter", [known.posterise, known.hue])
def test_filters_of_single_pixels_are_found_again_on_another_photo(filter):
    own, other = photo("astronaut"), photo("coffee")
    made = filters.learn(own, known.filtered(filter, own))(other)
    assert nearness(made, known.filtered(filter, other)) >= 35


def test_filters_of_neighbourhoods_are_found_again_on_another_photo(embossed):
    other = photo("coffee")
    assert nearness(embossed(other), known.filtered(known.emboss, other)) >= 25
    assert nearness(other, known.filtered(known.emboss, other)) < 20
    assert embossed.residual >= 25 > embossed.nothing


def test_smaller_tiles_change_nothing(embossed, monkeypatch):
    other = photo("coffee")
    whole = embossed(other)
    monkeypatch.setattr(filters, "TILE", 37)
    np.testing.assert_allclose(embossed(other), whole, atol=1e-5)


def test_dark_corners_are_found_again_at_another_size():
    own, other = photo("astronaut", 72), photo("coffee")
    made = filters.learn(own, known.filtered(known.night, own))
    assert "light by place" in made.name
    assert nearness(made(other), known.filtered(known.night, other)) >= 30  # without: 23


def test_pairs_that_are_moved_are_told_and_aligned():
    own = photo("astronaut")
    goal = np.roll(known.filtered(known.sepia, own), (3, -5), (0, 1))
    with pytest.raises(ConfigError, match=r"3 down and 5 left; align the pair \(--align\)"):
        filters.laid(own, goal)
    own, goal = filters.laid(own, goal, align=True)
    assert own.shape == goal.shape == (125, 123, 3)
    assert filters.learn(own, goal).residual >= 35


def test_pairs_of_different_or_too_small_sizes_are_refused():
    own = photo("astronaut")
    with pytest.raises(ImageError, match="first picture has 128 x 128 pixels and the second 128 x 127"):
        making.learn(own, own[:127])
    with pytest.raises(ImageError, match="must have 64 at least"):
        making.learn(own[:63], own[:63])
    with pytest.raises(ConfigError, match="paint is 2"):
        making.learn(own, own, paint=2)


def test_what_no_filter_explains_is_painted_and_told():
    own = photo("astronaut", 64)
    strokes = np.random.default_rng(0).uniform(size=own.shape).astype(np.float32)
    made = making.learn(own, strokes)
    assert made.paint == 1
    assert made.plan is not None
    assert "that explains little" in made.told
    stylizer = making.loaded(painting.PAINTER)
    itself = painting.learn_paint(stylizer, own, own)
    np.testing.assert_allclose(itself.matrix, np.eye(len(itself.bias)), atol=1e-3)
    np.testing.assert_allclose(itself(stylizer, own), stylizer.reconstruct(own), atol=0.02)
    half = making.repainted(made, 0.5)(own)
    np.testing.assert_allclose(half, (made(own) + made.filter(own)) / 2, atol=1e-5)


def test_a_saved_filter_is_the_same_and_a_damaged_one_is_refused(embossed, tmp_path):
    own, path = photo("cat"), tmp_path / "emboss.safetensors"
    made = making.Analogy(embossed)
    files.save(path, made)
    np.testing.assert_array_equal(files.load(path)(own), made(own))
    with pytest.raises(ConfigError, match="paint is 1"):
        making.repainted(files.load(path), 1)
    with pytest.raises(ConfigError, match="give the file that suffix"):
        files.save(tmp_path / "emboss.npz", made)
    tensors, metadata = weights.load_file(path)
    weights.save(path, {**tensors, "near/weights": tensors["near/weights"][:-1]}, metadata)
    with pytest.raises(WeightsError, match="is damaged: near/weights has shape"):
        files.load(path)
    weights.save(path, tensors, {"analogy": {**metadata["analogy"], "paint": "much"}})
    with pytest.raises(WeightsError, match="is damaged: paint is 'much'"):
        files.load(path)
    weights.save(path, tensors, {})
    with pytest.raises(WeightsError, match="holds no filter of an analogy"):
        files.load(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(WeightsError, match="damaged"):
        files.load(path)


def test_the_command_learns_keeps_and_applies(tmp_path):
    own = photo("astronaut")
    names = {name: str(tmp_path / name) for name in ("a.png", "a2.png", "b.png", "f.safetensors", "out.png", "many")}
    images.save(names["a.png"], own)
    images.save(names["a2.png"], known.filtered(known.posterise, own))
    images.save(names["b.png"], photo("cat"))

    def run(*arguments, code=0):
        done = CliRunner().invoke(app, ["analogy", *arguments])
        assert done.exit_code == code, done.output
        return done

    pair = names["a.png"], names["a2.png"]
    run(*pair, names["b.png"], "-o", names["out.png"], "--save", names["f.safetensors"])
    goal = known.filtered(known.posterise, photo("cat"))
    assert nearness(images.load(names["out.png"]).rgb, goal) >= 35
    recipe = AnalogyRecipe.from_json(images.read_recipe(names["out.png"]) or {})
    assert recipe.command("o.png") == "wctstyle analogy a.png a2.png b.png --size 128 -o o.png"
    run("--use", names["f.safetensors"], names["b.png"], names["a.png"], "-o", names["many"], "--size", "64")
    assert images.load(tmp_path / "many" / "b-analogy.png").width == 64
    assert "contradict" in run("--use", "x", "--save", "y.safetensors", names["b.png"], code=2).output
    assert "wanted a pair" in run(names["b.png"], code=2).output
    assert "nothing to do" in run(*pair, code=2).output
    assert "exists already" in run(*pair, names["b.png"], "-o", names["out.png"], code=2).output
    assert "--paint is 3" in run(*pair, names["b.png"], "--paint", "3", code=2).output


def test_a_recipe_says_the_program_that_makes_the_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = photo("astronaut")
    images.save("f.png", known.filtered(known.sepia, own))
    images.save("a.png", own)
    done = CliRunner().invoke(app, ["analogy", "a.png", "f.png", "a.png", "-o", "out.png"])
    assert done.exit_code == 0, done.output
    exec(CliRunner().invoke(app, ["recipe", "--python", "out.png"]).output, {})
    np.testing.assert_array_equal(images.load("result.png").rgb, images.load("out.png").rgb)
    written = images.read_recipe("out.png")
    assert written is not None
    with pytest.raises(ConfigError, match="its recipe cannot be used: size is missing"):
        AnalogyRecipe.from_json({name: value for name, value in written.items() if name != "size"})


@pytest.fixture
def panel(service, tmp_path):
    """The page's panel, without a page."""
    made = analogy_panel.AnalogyPanel.__new__(analogy_panel.AnalogyPanel)
    made.service, made.upload_folder, made.export_folder = service, str(tmp_path), tmp_path
    return made


def test_the_page_filters_its_photo_after_a_pair(service, session, panel, tmp_path):
    own, content = photo("astronaut", 96), session.add(images.Picture(photo("cat", 96)), "cat.png")

    def chosen(place, rgb):
        sent = {"path": str(images.save(tmp_path / f"{place}.png", rgb)), "name": f"{place}.png"}
        return panel._take(session, place, sent)

    def made(**asked):
        pair = session.pair["before"], session.pair["after"]
        recipe = analogies.recipe_of(service, pair, content, **asked)
        told = []
        found = list(analogies.make(service, session, pair, content, recipe, tmp_path, threading.Event(), told.append))
        return recipe, told, found

    assert chosen("before", own)["text"] == "before.png, 96 × 96 pixels"
    assert not (tmp_path / "before.png").exists()
    assert chosen("after", known.filtered(known.sepia, own))["thumb"]
    assert session.nbytes >= sum(held.nbytes for held in session.pair.values()) > 2 * own.size
    recipe, told, found = made()
    assert told[0].text == "Learning colors …"
    assert found[-1].text.startswith(f"Done: 96 × {content.pixels.shape[0]} pixels in ")
    assert nearness(images.load(found[-1].file).rgb, known.filtered(known.sepia, photo("cat", 96))) >= 30
    assert AnalogyRecipe.from_json(images.read_recipe(found[-1].file) or {}) == recipe
    assert [source.name for source in recipe.learned] == ["before.png", "after.png"]

    chosen("after", np.roll(own, (3, -5), (0, 1)))
    with pytest.raises(ConfigError, match=r"3 down and 5 left; align the pair, which"):
        made()
    assert made(align=True)[2][-1].file
    chosen("after", own[:90])
    with pytest.raises(ImageError, match="has 96 x 96 pixels and the second 96 x 90"):
        made()
    with pytest.raises(ConfigError, match="paint is 2"):
        made(paint=2)
    (tmp_path / "text.png").write_text("no picture")
    refused = panel._take(session, "after", {"path": str(tmp_path / "text.png"), "name": "text.png"})
    assert refused["text"].startswith("text.png: This file could not be read as a picture")
    assert session.pair["after"].pixels.shape[0] == 90
    before = making.loaded.cache_info()
    chosen("after", own)
    assert "painted to 50%" in made(paint=0.5)[2][-1].text
    assert making.loaded.cache_info() == before  # the server has a stylizer
    session.close()
    assert not session.pair


def test_a_stopped_analogy_ends_between_the_parts_of_its_learning(service, session, tmp_path):
    own, stop, told = session.add(images.Picture(photo("astronaut", 96)), "a.png"), threading.Event(), []
    recipe = analogies.recipe_of(service, (own, own), own)

    def tell(now):
        told.append(now)
        stop.set()

    assert not list(analogies.make(service, session, (own, own), own, recipe, tmp_path, stop, tell))
    assert len(told) == 1
    assert not list(tmp_path.rglob("*.png"))


def test_a_panel_shows_the_file_of_a_run_again_or_why_there_is_none(panel, session, tmp_path):
    def shown(run):
        async def endings():
            return [news async for news in panel._ending(session, run)]

        ((report, bar),) = asyncio.run(endings())
        assert bar == sheets.NO_RUN
        return report, panel._lasts(run)

    file = tmp_path / "analogy.png"
    run = Run(session, work=lambda stop: iter(()), kind="analogy", state="ended")
    assert shown(run) == (sheets.STOPPED, False)
    run.progress = Progress(1, 1, "Done: 8 × 8 pixels", file=file)
    assert not panel._lasts(run)
    file.write_bytes(b"")
    report, lasts = shown(run)
    assert "Done: 8 × 8 pixels" in report
    assert "analogy.png" in report
    assert lasts
    run.error = "The file could not be written <here>."
    assert shown(run)[0] == sheets.failed(run.error)
    panel.stopped = sheets.STOPPED_EARLY
    run.error, run.progress = "", None
    assert "Stopped before it began" in shown(run)[0]


def test_a_clip_is_filtered_like_its_frames_with_its_sound(tmp_path, monkeypatch):
    pytest.importorskip("av")
    import av
    from test_video_io import frames_of, write

    from wctstyle.cli import clip_changes

    monkeypatch.chdir(tmp_path)
    wide = photo("cat")[:80]
    shifted = [np.roll(wide, 4 * index, axis=1) for index in range(3)]
    write(tmp_path / "clip.mp4", shifted, times=[index / 5 for index in range(3)], sound=("aac",))
    own = photo("astronaut")
    files.save("f.safetensors", making.learn(own, known.filtered(known.sepia, own), paint=0))
    run = ("analogy", "--use", "f.safetensors", "clip.mp4")

    def invoke(*arguments, code=0):
        done = CliRunner().invoke(app, [*run, *arguments])
        assert done.exit_code == code, done.output
        return done

    invoke("-o", "out.mp4")
    made, goal = files.load("f.safetensors"), frames_of(tmp_path / "clip.mp4")
    for frame, before in zip(frames_of(tmp_path / "out.mp4"), goal, strict=True):
        assert nearness(frame.rgb, made(before.rgb)) >= 30  # what the codec leaves
    with av.open("out.mp4") as box:
        assert len(box.streams.audio) == 1
    told = CliRunner().invoke(app, ["recipe", "out.mp4"]).output
    assert told == "wctstyle analogy clip.mp4 --use f.safetensors --size 128\n"
    assert "only a command can make again" in CliRunner().invoke(app, ["recipe", "--python", "out.mp4"]).output
    assert "-o filtered.mp4" in invoke(code=2).output
    assert "one at a time" in invoke("clip.mp4", "-o", "o.mp4", code=2).output
    assert "exists already" in invoke("-o", "out.mp4", code=2).output

    monkeypatch.setattr(clip_changes, "run_job", lambda job, painter, **how: job.run(
        painter, overwrite=True, stop=lambda: True, warn=lambda text: None))  # fmt: skip
    assert "Stopped after 1 frames. stopped.mp4 plays up to there." in invoke("-o", "stopped.mp4", code=130).output
    assert len(frames_of(tmp_path / "stopped.mp4")) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4", "f.safetensors", "out.mp4", "stopped.mp4"}


def test_paint_is_carried_along_in_a_clip_until_a_cut():
    pytest.importorskip("cv2")
    from wctstyle.video.changing import Changer
    from wctstyle.video.frames import Frame

    chance, still, other = np.random.default_rng(0), photo("cat", 96), photo("rocket", 96)[:, :96]

    def strokes(rgb):
        return np.clip(0.5 * rgb + 0.5 * chance.random(rgb.shape, np.float32), 0, 1)

    def flicker(calm, pictures):
        made = Changer(strokes, calm)
        given = (Frame(index, index / 25, rgb) for index, rgb in enumerate(pictures))
        painted = [frame.rgb for frame in made.frames(given)]
        return float(np.abs(painted[-1] - painted[-2]).mean()), made

    assert flicker(0.85, [still] * 4)[0] < 0.7 * flicker(0, [still] * 4)[0]
    changed, made = flicker(0.85, [still, other])
    assert changed > 0.15
    again = Changer(strokes, 0.85)
    again.restore(made.state())
    np.testing.assert_array_equal(again.state()["made"], made.state()["made"])
    with pytest.raises(ConfigError, match="calm is 2"):
        Changer(strokes, 2)
