"""Videos and analogies as jobs of the API: they are those of the commands, and what cannot be made is told."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient
from test_service import SMALL, ended, error, files, pictures, run, studio, until  # noqa: F401 (fixtures)
from test_video_io import REFUSED, _cut, av, frames_of, same_frames, write

from benchmarks import analogies as known
from wctstyle import images, samples
from wctstyle.analogies import making
from wctstyle.analogies.recipe import AnalogyRecipe
from wctstyle.service import Service, make_app
from wctstyle.service import clips as work
from wctstyle.service.forms import Form
from wctstyle.service.jobs import Job
from wctstyle.service.kinds import prepared
from wctstyle.video.recipe import VideoRecipe, read_recipe

CLIPS = replace(SMALL, upload_bytes=2**18, video_bytes=2**20, video_seconds=2.0, video_size=64, gif_pixels=8 * 64 * 48)

VIDEO = {"kind": "video", "style": "sample:marbling", "keep_faces": "0"}


@pytest.fixture(scope="module")
def service(studio) -> Iterator[Service]:  # noqa: F811
    made = Service(studio, CLIPS)
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(service) -> Iterator[TestClient]:
    with TestClient(make_app(service), raise_server_exceptions=False) as made:
        yield made


@pytest.fixture(scope="module")
def desk(pictures) -> Path:  # noqa: F811
    """A folder with sea.png, waves.png, and a clip of 6 frames in 1.2 seconds, with sound."""
    sea = images.load(pictures / "sea.png").rgb
    frames = [np.roll(sea, index, axis=1) for index in range(6)]
    write(pictures / "clip.mp4", frames, times=[index / 5 for index in range(6)], sound=("aac",))
    return pictures


def asked(client: TestClient, data: dict[str, Any], sent: Any) -> dict[str, Any]:
    job = ended(client, client.post("/v1/jobs", data=data, files=sent).json())
    assert job["state"] == "done", job
    return job


@pytest.fixture
def between(monkeypatch) -> list[Callable[[], object]]:
    """What is called after the second frame of each video, in the thread that paints."""
    calls: list[Callable[[], object]] = []
    check = work._check_length

    def checked(asked: Any, frames: int) -> None:
        check(asked, frames)
        if frames == 2:
            for call in calls:
                call()

    monkeypatch.setattr(work, "_check_length", checked)
    return calls


# --------------------------------------------------------------------------------------------------------------- videos


@pytest.mark.parametrize("format", ["gif", "mp4"])
def test_a_video_is_the_one_that_the_command_makes(
    client, service, studio, desk, tmp_path, monkeypatch, between, format  # noqa: F811
):  # fmt: skip
    """Also where a picture is painted between its frames."""
    pytest.importorskip("cv2", reason="calm videos need OpenCV")
    form = Form(service.jobs.new_folder(), {"content": ["sample:cat"], "style": ["sample:marbling"], "size": ["64"]})
    quick = Job("stylize", prepared("stylize", studio, CLIPS, form), form.folder)
    between.append(lambda: service.jobs.submit(quick))
    changing = {"strength": "0s=0.2,0.8s=1", "weight": ["0s=1,1s=0.5", "2"], "texture": "0.5"}
    data = {**VIDEO, **changing, "style": [], "start": "0.1", "every": "2", "format": format}
    job = asked(client, data, files(desk, content="clip.mp4", style="waves.png dots.png"))
    assert job["warnings"] == []
    assert {name: job["result"][name] for name in ("name", "width", "height", "frames")} == {
        "name": f"result.{format}", "width": 64, "height": 48, "frames": 3
    }  # fmt: skip
    assert quick.state == "done"
    result = client.get(job["result"]["url"])
    assert result.headers["content-type"] == {"mp4": "video/mp4", "gif": "image/gif"}[format]
    (tmp_path / f"sent.{format}").write_bytes(result.content)
    written = read_recipe(str(tmp_path / f"sent.{format}")) or {}
    assert written == job["result"]["recipe"]
    recipe = VideoRecipe.from_json(written, source="the recipe")
    assert recipe.weights == {"0": "0s=1,1s=0.5"}
    assert recipe.tracks == {"strength": "0s=0.2,0.8s=1"}

    monkeypatch.chdir(desk)
    monkeypatch.setattr("wctstyle.cli.video_command.load_stylizer", studio.stylizer)
    run(f"{recipe.command()} -o {shlex.quote(str(tmp_path / f'made.{format}'))}")
    same_frames(tmp_path / f"sent.{format}", tmp_path / f"made.{format}")
    if format == "gif":
        assert (tmp_path / "sent.gif").read_bytes() == (tmp_path / "made.gif").read_bytes()


@pytest.mark.parametrize(("sound", "tracks"), [("true", 1), ("false", 0)])
def test_keyframes_in_a_style_and_sound(client, desk, tmp_path, sound, tracks):
    data = {**VIDEO, "style": "waves.png:0s=1,1s=0.5", "calm": "0", "sound": sound, "end": "0.5", "size": "32"}
    sent = files(desk, content="clip.mp4", file="waves.png")
    job = asked(client, {**data, "format": "webm"}, sent)
    assert (job["result"]["frames"], job["result"]["type"]) == (3, "video/webm")
    assert job["result"]["recipe"]["video"]["weights"] == {"0": "0s=1,1s=0.5"}
    (tmp_path / "sent.webm").write_bytes(client.get(job["result"]["url"]).content)
    with av.open(str(tmp_path / "sent.webm")) as box:
        assert len(box.streams.audio) == tracks
    assert frames_of(tmp_path / "sent.webm")[0].rgb.shape == (24, 32, 3)


def test_the_client_chooses_a_format_by_accept(client, desk):
    sent = files(desk, content="clip.mp4")
    answer = client.post("/v1/jobs", data={**VIDEO, "calm": "0"}, files=sent, headers={"accept": "image/gif"})
    assert ended(client, answer.json())["result"]["type"] == "image/gif"


def test_a_cancelled_video_ends_at_its_frame_and_leaves_nothing(client, service, desk, between, monkeypatch):
    monkeypatch.setattr("wctstyle.video.job.SEGMENT_SECONDS", 0.2)  # so that a segment is done by then
    told: list[Job] = []

    def cancel() -> None:
        (job,) = service.jobs._running
        told.append(job)
        service.jobs.cancel(job)

    between.append(cancel)
    job = client.post("/v1/jobs", data={**VIDEO, "calm": "0"}, files=files(desk, content="clip.mp4")).json()
    assert ended(client, job)["state"] == "cancelled"
    assert told[0].progress == round(2 / 6, 4)
    assert [path for path in told[0].folder.rglob("*") if path.is_file() or path.name.endswith("wctstyle")] == []
    error(client.get(f"{job['url']}/result"), 410)


@pytest.mark.parametrize("name", [name for name in REFUSED if "." in name and name != "missing.mp4"])
def test_what_is_no_clip_is_refused_at_once(client, service, tmp_path, name):
    path = REFUSED[name][0](tmp_path / name)
    sent = [("content", (name, path.read_bytes()))]
    found = error(client.post("/v1/jobs", data={**VIDEO, "calm": "0"}, files=sent), 422)
    assert found["field"] == "content"
    assert found["what"].startswith(f"{name}: ")
    assert str(service.folder) not in found["what"]


@pytest.mark.parametrize(
    ("changed", "field", "what"),
    [
        ({"weight": "0s=1,0s=0"}, "weight", "weight 0s=1,0s=0: 0s comes after 0s"),
        ({"weight": "much"}, "weight", "weight is 'much', must be a number >= 0"),
        ({"style": "sample:marbling:1=2"}, "style", "style sample:marbling: 1=2: '1=2' is no keyframe"),
        ({"strength": "0s=0,1s=9"}, "strength", "the value of 1s=9 is 9.0, must be between 0 and 1.5"),
        ({"strength": "1s"}, "strength", "strength is '1s', must be between 0 and 1.5"),
        ({"calm": "2"}, "calm", "calm is 2.0, must be between 0 and 1"),
        ({"start": "soon"}, "start", "start is 'soon', must be seconds"),
        ({"start": "9" * 400}, "start", "start is inf, must be"),
        ({"start": "1", "end": "0.5"}, "end", "end is 0.5 s, must be after the start"),
        ({"every": "0"}, "every", "every is 0, must be a whole number from 1"),
        ({"size": "65"}, "size", "size is 65, must be a whole number from 0 to 64"),
        ({"format": "png"}, "format", "format is 'png', must be one of mp4, webm, gif"),
        ({"style": ""}, "style", "style is missing"),
        ({"steps": "9"}, "steps", "there is no argument 'steps'"),
    ],
)
def test_what_makes_no_sense_of_a_video_is_told_by_name(client, desk, changed, field, what):
    sent = files(desk, content="clip.mp4")
    found = error(client.post("/v1/jobs", data={**VIDEO, **changed}, files=sent), 422)
    assert what in found["what"]
    assert found["field"] == field


def test_what_a_server_grants_holds_for_clips(client, desk, tmp_path):
    """Pictures are held to their own limits; clips to theirs, by what is read of them."""
    still = error(client.post("/v1/jobs", data={**VIDEO, "content": "sample:cat"}), 422)
    assert still == {"what": "content is 'sample:cat', which is a picture; send a clip", "field": "content"}
    assert error(client.post("/v1/jobs", data=VIDEO), 422)["what"].startswith("content is missing; the clip: a file")
    noise = [np.random.default_rng(index).uniform(size=(144, 192, 3)) for index in range(31)]
    data = write(tmp_path / "long.mp4", noise, times=[index / 10 for index in range(31)]).read_bytes()
    assert CLIPS.upload_bytes < len(data) < CLIPS.video_bytes
    sent = [("content", ("long.mp4", data))]
    found = error(client.post("/v1/jobs", data=VIDEO, files=sent), 422)
    assert found["what"].startswith("long.mp4: has 3.0 seconds or more; up to 2 are painted here")
    assert found["field"] == "content"
    whole = {**VIDEO, "end": "0.1", "size": "0"}
    assert "size is 0, and long.mp4 has 192 x 144; up to 64" in error(
        client.post("/v1/jobs", data=whole, files=sent), 422
    )["what"]  # fmt: skip
    job = asked(client, {**VIDEO, "end": "0.3", "calm": "0"}, sent)
    assert (job["result"]["width"], job["result"]["frames"]) == (64, 3)
    found = error(client.post("/v1/jobs", data={**VIDEO, "end": "1", "format": "gif"}, files=sent), 422)
    assert found["what"].startswith("format is gif, which has up to 8 frames of 64 x 48 here")
    assert found["field"] == "format"
    error(client.post("/v1/jobs", data=VIDEO, files=[("file", ("long.mp4", data))]), 413)
    error(client.post("/v1/jobs", data=VIDEO, files=[("content", ("big.mp4", b"0" * 2**20 + b"0"))]), 413)


def test_a_clip_that_is_longer_than_its_file_says_ends(client, desk, monkeypatch):
    monkeypatch.setattr("wctstyle.video.clips.Clip.expect", lambda clip, total: None)
    monkeypatch.setattr(work, "SLACK", -1.5)
    job = client.post("/v1/jobs", data={**VIDEO, "calm": "0"}, files=files(desk, content="clip.mp4")).json()
    job = ended(client, job)
    assert (job["state"], job["error"]["field"]) == ("failed", "content")
    assert job["error"]["what"].startswith("clip.mp4: has 0.5 seconds or more; up to 2 are painted here")


def test_a_clip_that_is_cut_off_is_painted_as_far_as_it_goes(client, tmp_path):
    sent = [("content", ("cut.mkv", _cut(tmp_path / "cut.mkv", 0.3).read_bytes()))]
    job = asked(client, {**VIDEO, "calm": "0", "size": "32", "end": "2", "every": "4"}, sent)
    assert job["result"]["frames"] < 10
    sent = [("content", ("cut.mkv", _cut(tmp_path / "cut.mkv", 0.5).read_bytes()))]
    job = asked(client, {**VIDEO, "calm": "0", "size": "32", "every": "9"}, sent)
    assert any("cut.mkv: ends at" in note and "cut off" in note for note in job["warnings"]), job


@pytest.mark.parametrize(("module", "field"), [("av", None), ("cv2", "calm")])
def test_without_the_extra_the_kind_says_what_to_install(client, desk, monkeypatch, module, field):
    monkeypatch.setitem(sys.modules, module, None)
    found = error(client.post("/v1/jobs", data=VIDEO, files=files(desk, content="clip.mp4")), 422)
    assert "pip install 'wctstyle[video]'" in found["what"]
    assert found["field"] == field
    assert client.get("/openapi.json").status_code == 200
    assert "video" in client.get("/v1/options").json()["kinds"]


def test_the_form_of_jobs_takes_what_any_kind_takes(client):
    found = client.get("/openapi.json").json()["paths"]["/v1/jobs"]["post"]
    form = found["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["required"] == ["kind"]
    fields = form["properties"]
    assert {"png", "mp4", "gif"} <= set(fields["format"]["enum"])
    assert fields["strength"]["type"] == ["number", "string"]
    assert (fields["strength"]["minimum"], fields["strength"]["maximum"]) == (0, 4)
    assert fields["weight"]["items"]["type"] == ["number", "string"]
    assert fields["content"]["anyOf"][0]["contentMediaType"] == "*/*"


# ------------------------------------------------------------------------------------------------------------ analogies


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    for name, sample in {"a.png": "astronaut", "b.png": "coffee"}.items():
        images.save(folder / name, images.resize(samples.picture(sample), long_side=64).rgb)
    own = images.load(folder / "a.png").rgb
    images.save(folder / "a2.png", known.filtered(known.sepia, own))
    images.save(folder / "moved.png", np.roll(own, 5, axis=1))
    return folder


ANALOGY = {"kind": "analogy"}


def test_an_analogy_is_the_one_that_the_command_makes(client, studio, pairs, tmp_path, monkeypatch):  # noqa: F811
    """Byte for byte, with a style on top; and the filter that is given is the command's, and of use."""
    data = {**ANALOGY, "style": "sample:marbling:2", "strength": "0.3", "size": "64", "save": "true"}
    job = asked(client, data, files(pairs, before="a.png", after="a2.png", content="b.png"))
    assert job["result"]["learned"].startswith("learned ")
    result = client.get(job["result"]["url"])
    recipe = AnalogyRecipe.from_json(images.read_recipe(result.content) or {})
    assert recipe.to_json() == job["result"]["recipe"]
    monkeypatch.chdir(pairs)
    monkeypatch.setattr(making, "styled", partial(making.styled, stylizer=studio.stylizer))
    kept = tmp_path / "filter.safetensors"
    run(f"{recipe.command(str(tmp_path / 'made.png'))} --save {shlex.quote(str(kept))}")
    assert (tmp_path / "made.png").read_bytes() == result.content

    (more,) = job["result"]["more"]
    assert more["name"] == "filter.safetensors"
    assert client.get(more["url"]).content == kept.read_bytes()
    sent = [*files(pairs, content="b.png"), ("use", ("filter.safetensors", kept.read_bytes()))]
    again = asked(client, {**ANALOGY, "size": "64"}, sent)
    run(f"wctstyle analogy --use {shlex.quote(str(kept))} b.png --size 64 -o {shlex.quote(str(tmp_path / 'used.png'))}")
    assert client.get(again["result"]["url"]).content == (tmp_path / "used.png").read_bytes()


def test_an_analogy_is_painted_with_the_models_of_the_server(client, studio, pairs):  # noqa: F811
    job = asked(client, {**ANALOGY, "paint": "0.5"}, files(pairs, before="a.png", after="a2.png", content="b.png"))
    own, goal, photo = (images.load(pairs / name).rgb for name in ("a.png", "a2.png", "b.png"))
    made = making.learn(own, goal, paint=0.5, stylizer=studio.stylizer)
    wanted = images.load(images.encode(np.concatenate(list(made.rows(photo, studio.stylizer))))).rgb
    np.testing.assert_array_equal(images.load(client.get(job["result"]["url"]).content).rgb, wanted)


def test_an_analogy_is_cancelled_while_it_learns(client, service, pairs, monkeypatch):
    learn = making.learn

    def cancelled(*pair: Any, hear: Callable[[str], None], **how: Any) -> Any:
        def heard(text: str) -> None:
            (job,) = service.jobs._running
            service.jobs.cancel(job)
            hear(text)
            raise AssertionError("it goes on")

        return learn(*pair, hear=heard, **how)

    monkeypatch.setattr(making, "learn", cancelled)
    sent = files(pairs, before="a.png", after="a2.png", content="b.png")
    job = client.post("/v1/jobs", data=ANALOGY, files=sent).json()
    until(lambda: not service.jobs.busy)
    assert client.get(job["url"]).json()["state"] == "cancelled"


@pytest.mark.parametrize(
    ("data", "fields", "field", "what"),
    [
        ({}, {"before": "a.png"}, "after", "after is missing; give the pair before and after, or a filter in use"),
        ({}, {"after": "a.png", "before": "a2.png", "use": "a.png"}, "before", "before is for a pair, and use has"),
        ({}, {"use": "a.png"}, "use", "use is 'a.png', no filter that save has given, or damaged"),
        ({"paint": "2"}, {"before": "a.png", "after": "a2.png"}, "paint", "paint is 2.0, must be between 0 and 1"),
        ({"weight": "1"}, {"before": "a.png", "after": "a2.png"}, "weight", "weight is for styles on top"),
        ({"style": "sample:marbling@face"}, {"before": "a.png", "after": "a2.png"}, "style", "names a region"),
    ],
)
def test_analogies_are_refused_before_they_wait(client, pairs, data, fields, field, what):
    found = error(client.post("/v1/jobs", data={**ANALOGY, **data}, files=files(pairs, content="b.png", **fields)), 422)
    assert what in found["what"]
    assert found["field"] == field


def test_a_pair_that_does_not_fit_is_told(client, pairs):
    def failed(after: bytes) -> dict[str, Any]:
        sent = [*files(pairs, before="a.png", content="b.png"), ("after", ("other.png", after))]
        return ended(client, client.post("/v1/jobs", data=ANALOGY, files=sent).json())["error"]

    for after, what in (
        (images.encode(np.zeros((64, 72, 3), np.float32)), "before and after: the first picture has"),
        ((pairs / "moved.png").read_bytes(), "before and after: the second picture seems to be moved"),
    ):
        found = failed(after)
        assert found["what"].startswith(what)
        assert "--" not in found["what"]
        assert found["field"] == "before"
