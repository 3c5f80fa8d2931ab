"""Videos in the demo: the same frames as the command's, what is refused, stopping, the endpoint, and the page."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from demo_service import SMALL
from narrow import picture
from typer.testing import CliRunner
from visitor import FIXTURES, MARKS, expect, until

from wctstyle import cli, images
from wctstyle.demo import clips, layout, server
from wctstyle.demo.composition import FACES, Composition, PageRegion
from wctstyle.demo.runs import Queue, Run
from wctstyle.demo.sessions import Session
from wctstyle.demo.video_panel import VideoPanel
from wctstyle.errors import ConfigError, ImageError
from wctstyle.inputs import RegionSpec
from wctstyle.optimizer import Optimizer
from wctstyle.settings import Settings
from wctstyle.video import extras
from wctstyle.video.optimized import VideoOptimizer
from wctstyle.video.recipe import read_recipe
from wctstyle.video.writing import Segment

av = pytest.importorskip("av", reason="videos need PyAV: pip install 'wctstyle[video]'")
pytest.importorskip("cv2", reason="calm videos need OpenCV")
from test_video_io import frames_of, write  # noqa: E402

served, browser, visit = FIXTURES
pytestmark = [mark for mark in MARKS if mark.name != "browser"]

FRAMES = 5
STYLES = (("sample:marbling", 0.7), ("sample:peacock", 0.3))


def moving(path, count=FRAMES, **options):
    """A clip of a picture that moves to the left, 64 x 48, five frames a second."""
    wide = picture(48, 64 + 2 * count, seed=3)
    frames = [wide[:, 2 * index : 2 * index + 64] for index in range(count)]
    return write(path, frames, times=[index / 5 for index in range(count)], **options)


@pytest.fixture(scope="module")
def service(served):
    return served[0].service


@pytest.fixture
def folders(served):
    """The folder of uploads, and that of exports below it."""
    files = served[0].folder / "files"
    return str(files), files / "exports"


@pytest.fixture
def session(service):
    session = Session("somebody", service.limits)
    yield session
    session.close()


@pytest.fixture
def uploads(folders, tmp_path, monkeypatch):
    """What takes a file in as a page's upload is."""

    def take(path, **options):
        upload = str(shutil.copy(path, folders[1].parent / f"{time.monotonic_ns()}{path.suffix}"))
        return clips.take_clip(upload, path.name, *folders, SMALL, **options)

    return take


def submitted(service, session, clip, composition, calm=0.5):
    return clips.submit(service, session, composition, clips.open_upload(service.limits, clip, composition.size), calm)


def test_the_page_and_the_command_paint_the_same_frames(service, session, uploads, tmp_path, monkeypatch):
    moving(tmp_path / "clip.mp4", sound=("aac",))
    images.save(tmp_path / "paint.png", picture(64, 64, seed=2))
    mine = session.add(images.load(tmp_path / "paint.png"), "paint.png").id
    region = PageRegion("sky", "ready:light", (("sample:cat", 1.0),), RegionSpec())
    composition = Composition(
        styles=((mine, 0.7), ("sample:peacock", 0.3)), settings=Settings(strength=0.9, detail=0.2), size=64,
        stroke_scale=1.5, regions=(region,),
    )  # fmt: skip
    clip = uploads(tmp_path / "clip.mp4")
    written, add = [], Segment.add  # the encoder gives other bytes now and then, so what it is given is compared
    monkeypatch.setattr(Segment, "add", lambda self, frame: (written.append(frame), add(self, frame))[1])
    run = submitted(service, session, clip, composition)
    until(lambda: run.state == "ended")
    assert (run.error, run.progress.step) == ("", FRAMES)
    monkeypatch.setattr("wctstyle.stylizer.Stylizer", service.backend.stylizer)
    monkeypatch.chdir(tmp_path)
    words = "video clip.mp4 --style paint.png:0.7 --style sample:peacock:0.3 --strength 0.9 --detail 0.2 --calm 0.5"
    told = CliRunner().invoke(cli.app, [*words.split(), "--size", "64", "--stroke-scale", "1.5", "-o", "out.mp4"])
    assert told.exit_code == 0, told.output
    assert len(written) == 2 * FRAMES
    for ours, theirs in zip(written[:FRAMES], written[FRAMES:], strict=True):
        assert ours.seconds == theirs.seconds
        np.testing.assert_array_equal(ours.rgb, theirs.rgb)
    assert read_recipe(str(run.progress.file)) == read_recipe("out.mp4")
    with av.open(str(run.progress.file)) as box:
        assert [stream.codec_context.name for stream in box.streams] == ["h264", "aac"]
    left = {path.name for path in clip.parent.rglob("*") if path.is_file()}
    assert left == {"clip.mp4", "clip-painted.mp4"}  # no segments


def test_a_clip_is_optimised_where_there_are_steps(service, session, uploads, tmp_path, monkeypatch):
    opened = clips.open_upload(SMALL, uploads(moving(tmp_path / "clip.mp4")), 64)
    composition = Composition(styles=STYLES, size=64, settings=Settings(strength=1.2, detail=1.0, refine=3))
    painting = clips.painting_of(session, composition, opened, 0.5, 3)
    goal = painting.picture.optimisation.settings
    assert (painting.steps, painting.picture.settings.refine, goal.strength, goal.content_weight) == (3, 0, 1, 0.12)
    video = painting.painter(service.backend.stylizer, service.backend.optimizer)
    assert isinstance(video, VideoOptimizer)
    asked = []
    monkeypatch.setattr(Optimizer, "estimate", lambda self, shape, settings: asked.append((shape, settings)) or 7200.0)
    told = clips.estimate(service, composition, opened, 3)
    assert (
        told == "About 120 min for 5 frames at 64 × 48 on this machine, alone; it stops at 60 min, with what is done."
    )
    assert (asked[0][0], asked[0][1].steps) == ((48, 64), goal.steps + 4 * 3)
    with pytest.raises(ConfigError, match="steps is 401, must be"):
        clips.painting_of(session, composition, opened, 0.5, 401)
    with pytest.raises(ConfigError, match="colors is 'only', which paints nothing"):
        clips.painting_of(session, Composition(styles=STYLES, settings=Settings(colors="only")), opened, 0.5, 3)


def test_what_cannot_be_painted_is_refused_without_a_path(service, session, uploads, folders, tmp_path):
    open_upload = clips.open_upload
    (tmp_path / "large.mp4").write_bytes(bytes(SMALL.video_bytes + 2**20))
    with pytest.raises(ImageError, match="too large, 3 MB. Clips may have up to 2 MB"):
        uploads(tmp_path / "large.mp4")
    long = uploads(moving(tmp_path / "long.mp4", 25))
    with pytest.raises(ImageError, match=r"long.mp4: this clip is 5 s long. Clips may have up to 4 s"):
        open_upload(SMALL, long, 64)
    assert open_upload(SMALL, long, 64, cut=clips.Cut(end=3)).total == 15
    (tmp_path / "notes.mp4").write_text("no video\n" * 9)
    notes = uploads(tmp_path / "notes.mp4")
    with pytest.raises(ImageError, match=r"^notes.mp4: is text, not a video"):
        open_upload(SMALL, notes, 64)
    with pytest.raises(ImageError, match="no clip here"):
        clips.take_clip("/etc/hostname", "x.mp4", *folders, SMALL)
    with pytest.raises(ConfigError, match="size is 512, must be from 32 to 128"):
        open_upload(SMALL, long, 512)
    short = open_upload(SMALL, uploads(moving(tmp_path / "short.mp4")), 128)
    assert (short.height, short.width) == (48, 64)  # not enlarged
    faces = PageRegion("face", FACES, STYLES)
    with pytest.raises(ConfigError, match="without regions, and there is no style outside"):
        clips.painting_of(session, Composition(styles=(), regions=(faces,)), short, 0.5)
    with pytest.raises(ConfigError, match="calm is 2, must be"):
        clips.painting_of(session, Composition(), short, 2)


def test_a_damaged_clip_ends_its_run_in_words(service, session, uploads, tmp_path):
    """What is found on the way only, as here a clip that is taken away."""
    clip = uploads(moving(tmp_path / "clip.mp4"))
    opened = clips.open_upload(SMALL, clip, 64)
    busy = held(service)
    run = clips.submit(service, session, Composition(styles=STYLES, size=64), opened, 0.0)
    clip.unlink()
    busy.stop()
    until(lambda: run.state == "ended")
    assert run.error.startswith("clip.mp4: cannot be read: No such file")


def held(service):
    """A run that goes on until it is stopped."""

    def work(stop):
        stop.wait(60)
        yield 1

    run = service.queue.submit(Run(Session("busy", SMALL), work), most=9)
    until(lambda: run.state == "running")
    return run


def test_stop_keeps_what_is_done_as_a_file_that_plays(service, session, uploads, tmp_path, monkeypatch):
    clip = uploads(moving(tmp_path / "clip.mp4", 12))
    monkeypatch.setattr(service.backend.priority, "give_way", lambda seconds: session.run.stop())
    run = submitted(service, session, clip, Composition(styles=STYLES, size=64), calm=0)
    until(lambda: run.state == "ended")
    assert run.error == ""
    assert "Stopped, and kept: 1 frames" in run.progress.text
    assert len(frames_of(run.progress.file)) == 1
    assert not list(run.progress.file.parent.glob(".*"))


def test_painting_ends_with_what_is_done_when_its_time_is_over(service, session, uploads, tmp_path):
    quick = replace(service, limits=replace(SMALL, paint_seconds=0))
    run = submitted(quick, session, uploads(moving(tmp_path / "clip.mp4")), Composition(styles=STYLES, size=64), 0)
    until(lambda: run.state == "ended")
    assert "The time limit was reached: 1 frames" in run.progress.text


def test_one_page_has_one_run_whatever_its_kind():
    queue, session = Queue(), Session("one", SMALL)
    waiting = Run(session, work=lambda stop: iter(()))
    session.run = waiting
    with pytest.raises(ConfigError, match="still at work on an optimisation. Stop that first"):
        queue.submit(Run(session, lambda stop: iter(()), kind="video"), most=9)
    waiting.stop()
    after = queue.submit(Run(session, lambda stop: iter(()), kind="video"), most=9)
    assert session.run is after


def test_the_sweep_leaves_what_a_run_needs(tmp_path):
    queue, session = Queue(), Session("one", SMALL)
    files = [tmp_path / name / "clip.mp4" for name in ("needed", "other")]
    for file in files:
        file.parent.mkdir()
        file.write_bytes(b"x")
        os.utime(file, (1, 1))
    hold = held(SimpleNamespace(queue=queue))
    run = queue.submit(Run(session, lambda stop: iter(()), folder=files[0].parent), most=9)
    server.clean(tmp_path, 60, queue.folders)
    assert [file.exists() for file in files] == [True, False]
    run.stop()
    hold.stop()
    server.clean(tmp_path, 60, queue.folders)
    assert not files[0].exists()


def test_without_the_extra_the_tab_says_what_to_install(service, monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    assert extras.missing() == "Videos need PyAV and OpenCV: pip install 'wctstyle[video]'"
    said = []
    bare = layout.Layout.__new__(layout.Layout)
    bare.service, bare.lacking = service, extras.missing()
    monkeypatch.setattr(layout.gr, "Markdown", said.append)
    bare._build_video()
    assert said == [extras.missing()]
    assert not hasattr(bare, "clip")


def test_a_page_that_is_loaded_again_finds_its_clip_and_its_video(service, session, uploads, tmp_path):
    panel = VideoPanel(SimpleNamespace(service=service, _session=lambda request: session), "", tmp_path)
    session.clip = uploads(moving(tmp_path / "clip.mp4"))
    assert panel._clip(None)["text"] == "clip.mp4, 1 s, 5 frames"
    run = submitted(service, session, session.clip, Composition(styles=STYLES, size=64), 0)
    until(lambda: run.state == "ended")

    async def news():
        return [item async for item in panel._follow(None)]

    (last,) = asyncio.run(news())
    assert "controls playsinline" in last[0]
    assert f'download="{run.progress.file.name}"' in last[0]


# ---------------------------------------------------------------------------------------------------- the endpoint


@pytest.fixture(scope="module")
def client(served, tmp_path_factory):
    from gradio_client import Client

    folder = tmp_path_factory.mktemp("downloads")
    client = Client(served[1], download_files=str(folder), verbose=False, analytics_enabled=False)
    yield client
    client.close()


def test_the_endpoint_streams_frames_and_ends_in_a_file(client, tmp_path):
    from gradio_client import handle_file

    moving(tmp_path / "clip one.mp4", 10, sound=("aac",))
    file = handle_file(str(tmp_path / "clip one.mp4"))
    blend = {"styles": ["sample:marbling", "sample:peacock"], "weights": [2, 1], "size": 64}
    job = client.submit(file=file, **blend, calm=0.2, start=0.4, end=1.4, api_name="/video")
    last = job.result(timeout=120)
    frames = [report["frame"] for report in job.outputs()]
    assert frames == sorted(frames)
    assert (last["frame"], last["frames"]) == (5, 5)
    assert last["fps"] > 0
    path = last["file"]["path"] if isinstance(last["file"], dict) else last["file"]
    assert path.endswith("clip-one-painted.mp4")
    assert len(frames_of(path)) == 5
    recipe = read_recipe(path)
    assert recipe["content"]["name"] == "clip one.mp4"
    assert (recipe["video"]["calm"], recipe["video"]["start"], recipe["video"]["end"]) == (0.2, 0.4, 1.4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file": "clip.mp4"}, "file is 'clip.mp4', must be an uploaded file"),
        ({"calm": "x"}, "calm is 'x', must be a number"),
        ({"calm": 2}, "calm is 2, must be"),
        ({"start": 2, "end": 1}, "end is 1 s, must be after the start"),
        ({"end": -1}, "end is -1, must be"),
        ({"size": 200}, "size is 200, must be from 32 to 128"),
        ({"nope": 1}, "nope"),
    ],
)
def test_calls_that_make_no_sense_are_named(client, tmp_path, changes, message):
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    moving(tmp_path / "clip.mp4")
    asked = {"file": handle_file(str(tmp_path / "clip.mp4")), "styles": ["sample:peacock"], "size": 64}
    with pytest.raises((AppError, ValueError, TypeError), match=message):
        client.predict(**{**asked, **changes}, api_name="/video")


# -------------------------------------------------------------------------------------------------------- the page


@pytest.mark.browser
def test_a_clip_is_chosen_painted_and_played(visit, tmp_path, monkeypatch):
    monkeypatch.setattr(Optimizer, "estimate", lambda *asked: 60.0)
    somebody = visit()
    page = somebody.page
    (tmp_path / "large.mp4").write_bytes(bytes(SMALL.video_bytes + 2**20))
    somebody.tab("Video")
    choose = page.locator("#wct-clip input[type=file]")
    choose.set_input_files(tmp_path / "large.mp4")
    expect(page.locator("#wct-clip")).to_contain_text("large.mp4: too large, 3 MB. Files may have up to 2 MB")
    page.locator("#wct-paint").click()
    expect(page.locator(".wct-note")).to_contain_text("There is no clip here")
    choose.set_input_files(moving(tmp_path / "clip.mp4", 10, sound=("aac",)))
    expect(page.locator("#wct-clip")).to_contain_text("clip.mp4, 2 s, 10 frames")
    page.locator("#wct-paint").click()
    player = page.locator("#wct-video video")
    expect(player).to_be_visible()
    expect(page.locator("#wct-video")).to_contain_text("Done: 10 frames, 2 s")
    page.wait_for_function("document.querySelector('#wct-video video').readyState >= 1")
    assert player.evaluate("video => [video.videoWidth, video.videoHeight, video.duration]") == [
        64,
        48,
        pytest.approx(2, abs=0.15),
    ]
    with page.expect_download() as download:
        page.get_by_role("link", name="Download clip-painted.mp4").click()
    assert len(frames_of(download.value.path())) == 10
    page.locator("#wct-video-steps").get_by_text("Optimised", exact=True).click()
    expect(page.locator("#wct-video-time")).to_contain_text("About 60 s for 10 frames at 64 × 48")
    somebody.shot("video")
    somebody.reload()
    somebody.tab("Video")
    expect(player).to_be_visible()
    expect(page.locator("#wct-clip")).to_contain_text("clip.mp4, 2 s, 10 frames")
