"""The API for programs, in process: a service with narrow models behind Starlette's test client."""

from __future__ import annotations

import io
import json
import shlex
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import narrow
import numpy as np
import pytest
from fastapi import FastAPI
from narrow import NARROW, quick_compilation, random_tensors
from starlette.testclient import TestClient
from typer.testing import CliRunner

from wctstyle import cli, images, looks
from wctstyle.dreams.dreaming import Dreamer
from wctstyle.encoder import MODELS
from wctstyle.errors import ConfigError
from wctstyle.optimizer import Optimizer
from wctstyle.recipe import Recipe
from wctstyle.recipe_kinds import kind_of
from wctstyle.service import Limits, Service, Studio, make_app
from wctstyle.service.jobs import Job, Jobs, Work
from wctstyle.service.refusals import Refused
from wctstyle.settings import Settings
from wctstyle.stylizer import Stylizer

SMALL = Limits(
    max_size=256, upload_bytes=2**20, request_bytes=2**21, upload_pixels=500_000, files=6, styles=3, pictures=6,
    optimize_steps=400, optimize_size=64,
)  # fmt: skip


@pytest.fixture(scope="module")
def studio() -> Iterator[Studio]:
    """Two narrow models; programs compile quickly and once."""
    with quick_compilation(), pytest.MonkeyPatch.context() as patch:
        for name in MODELS:
            patch.setitem(MODELS, name, replace(NARROW, name=name))
        known = {name: random_tensors(seed) for seed, name in enumerate(MODELS)}
        encoders = {name: {k: v for k, v in known[name].items() if k.startswith("encoder/")} for name in known}
        yield Studio(
            "slim",
            offered=("slim", "medium"),
            stylizers=lambda name: Stylizer(name, tensors=known[name]),
            optimizers=lambda name: Optimizer(name, tensors=encoders[name]),
            dreamers=lambda name: Dreamer(name, tensors=encoders[name]),
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


SHORT = {"kind": "optimize", "steps": "5", "size": "32", "smallest": "32", "keep_faces": "0"}


def run(command: str) -> None:
    """Run a command in this process."""
    done = CliRunner().invoke(cli.app, shlex.split(command)[1:])
    assert done.exit_code == 0, done.output


# ------------------------------------------------------------------------------------------------------------- pictures


def test_a_picture_is_the_one_that_the_command_makes(client, studio, pictures, tmp_path, monkeypatch):
    """Byte for byte, from the same options, masks and regions; and the recipe's command makes it again."""
    sent = files(pictures, content="sea.png", style="waves.png", file="dots.png sky.png")
    options = {"strength": "0.8", "size": "96", "stroke_scale": "0.5", "keep_faces": "0"}
    regions = {"style": "dots.png:0.5@sky", "mask": "sky=sky.png", "region": "sky:strength=0.9", "feather": "0.02"}
    answer = client.post("/v1/stylize", data={**options, **regions}, files=sent)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    assert float(answer.headers["x-wctstyle-seconds"]) > 0

    monkeypatch.chdir(pictures)
    monkeypatch.setattr("wctstyle.jobs.work.load_stylizer", studio.stylizer)
    recipe = Recipe.from_json(images.read_recipe(answer.content) or {})
    run(recipe.command(str(tmp_path / "made.png")))
    assert (tmp_path / "made.png").read_bytes() == answer.content


def test_a_job_is_optimised_as_by_the_command(client, studio, pictures, tmp_path, monkeypatch):
    sent = files(pictures, content="sea.png", style="waves.png")
    data = {
        "kind": "optimize",
        "steps": "5",
        "size": "32",
        "smallest": "32",
        "keep_faces": "0",
        "style_layers": "relu1_1",
    }
    answer = client.post("/v1/jobs", data=data, files=sent, headers={"accept": "image/png"})
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == answer.json()["url"]
    job = ended(client, answer.json())
    assert (job["state"], job["progress"], job["error"]) == ("done", 1.0, None)
    assert job["result"]["width"] == 32
    result = client.get(job["result"]["url"])
    assert result.headers["content-type"] == "image/png"
    recipe = Recipe.from_json(images.read_recipe(result.content) or {})
    assert recipe.to_json() == job["result"]["recipe"]

    monkeypatch.chdir(pictures)
    monkeypatch.setattr("wctstyle.stylizer.Stylizer", studio.stylizer)
    monkeypatch.setattr("wctstyle.cli.optimize_command.optimizer_for", lambda request: studio.optimizer(request.model))
    run(recipe.command(str(tmp_path / "made.png")))
    assert (tmp_path / "made.png").read_bytes() == result.content


def test_a_batch_is_a_list_and_a_zip(client, pictures):
    sent = files(pictures, content="sea.png land.jpg", style="waves.png dots.png")
    data = {"kind": "batch", "each_style": "true", "format": "jpeg", "size": "64", "content": "sample:cat"}
    job = ended(client, client.post("/v1/jobs", data=data, files=sent).json())
    assert job["state"] == "done", job
    names = [one["name"] for one in job["result"]["files"]]
    assert len(names) == 7
    assert names[:3] == ["001-sample-cat-waves.jpg", "002-sample-cat-dots.jpg", "003-sea-waves.jpg"]
    assert client.get(job["result"]["url"]).json() == job["result"]
    one = client.get(job["result"]["files"][2]["url"])
    assert one.headers["content-type"] == "image/jpeg"
    packed = client.get(job["result"]["url"], headers={"accept": "application/zip"}).content
    with zipfile.ZipFile(io.BytesIO(packed)) as z:
        assert z.namelist() == names[:-1]
        assert z.read("003-sea-waves.jpg") == one.content
    assert "no result" in error(client.get(f"{job['result']['url']}/nothing.png"), 404)["what"]


def test_of_a_batch_one_picture_may_fail(client, pictures):
    sent = [*files(pictures, content="sea.png", style="waves.png"), ("content", ("broken.png", b"\x89PNG\r\n\x1a\n"))]
    job = ended(client, client.post("/v1/jobs", data={"kind": "batch", "size": "64"}, files=sent).json())
    assert [one["name"] for one in job["result"]["files"]] == ["001-sea-stylized.png", "all.zip"]
    (failed,) = job["result"]["failed"]
    assert failed["error"]["what"].startswith("broken.png: ")
    job = ended(client, client.post("/v1/jobs", data={"kind": "batch"}, files=sent[1:]).json())
    assert job["state"] == "failed"
    assert job["error"]["field"] == "content"


def test_a_look_gives_what_is_not_given(client, pictures):
    sent, look = files(pictures, content="sea.png"), looks.find("pale-ink")
    answer = client.post("/v1/stylize", data={"use_look": "pale-ink", "strength": "0.5", "size": "64"}, files=sent)
    assert answer.status_code == 200, answer.text
    recipe = Recipe.from_json(images.read_recipe(answer.content) or {})
    assert [(style.name, style.weight) for style in recipe.styles] == [(one.name, one.weight) for one in look.styles]
    assert recipe.settings == replace(look.settings, strength=0.5)
    assert recipe.stroke_scale == look.stroke_scale


@pytest.mark.parametrize(
    ("given", "accept", "kind"),
    [
        ({}, "*/*", "image/png"),
        ({}, "text/html,image/webp;q=0.8", "image/webp"),
        ({"format": "jpeg"}, "image/webp", "image/jpeg"),
        ({"format": "tiff", "depth": "16"}, "*/*", "image/tiff"),
    ],
)
def test_the_format_is_chosen(client, pictures, given, accept, kind):
    sent = files(pictures, content="sea.png", style="waves.png")
    answer = client.post("/v1/stylize", data={**given, "size": "64"}, files=sent, headers={"accept": accept})
    assert answer.headers["content-type"] == kind
    recipe = Recipe.from_json(images.read_recipe(answer.content) or {})
    assert (recipe.content.name, recipe.styles[0].name) == ("sea.png", "waves.png")


def test_weights_and_files_of_one_name(client, pictures):
    waves = (pictures / "waves.png").read_bytes()
    sent = [("content", ("../../a.png", waves)), ("style", ("a.png", waves)),
            ("style", ("a.png", (pictures / "dots.png").read_bytes()))]  # fmt: skip
    answer = client.post("/v1/stylize", data={"weight": ["3", "1"], "size": "64"}, files=sent)
    recipe = Recipe.from_json(images.read_recipe(answer.content) or {})
    assert recipe.content.name == "a.png"
    assert [(style.name, style.weight) for style in recipe.styles] == [("a.png", 3.0), ("a-2.png", 1.0)]


def test_a_mask_is_called_as_its_file(client, pictures):
    sent = files(pictures, content="sea.png", style="waves.png", mask="sky.png", file="dots.png", style_mask="sky.png")
    answer = client.post("/v1/stylize", data={"style": "dots.png@sky", "size": "64"}, files=sent)
    recipe = Recipe.from_json(images.read_recipe(answer.content) or {})
    assert [(mask.region, mask.name) for mask in recipe.masks] == [("sky", "sky.png")]
    assert {style.region: style.mask and style.mask.name for style in recipe.styles} == {"sky": None, "": "sky.png"}


@pytest.mark.parametrize(
    ("data", "fields", "loader"),
    [
        (
            {"kind": "texture", "width": "64", "height": "96", "style_size": "64", "style": "dots.png@sky",
             "mask": "sky=sky.png"},
            {"style": "waves.png", "file": "dots.png sky.png"},
            "wctstyle.stylizer.Stylizer",
        ),
        (
            {"kind": "texture", "width": "64", "height": "64", "style_size": "64", "optimize": "3"},
            {"style": "waves.png"},
            "wctstyle.stylizer.Stylizer",
        ),
        (
            {"kind": "dream", "size": "48", "octaves": "2", "steps": "2", "layer": ["relu2_1", "relu3_1"]},
            {"content": "sea.png", "guide": "waves.png", "mask": "sky.png"},
            "wctstyle.dreams.dreaming.Dreamer",
        ),
    ],
    ids=["texture", "optimized", "dream"],
)  # fmt: skip
def test_textures_and_dreams_are_those_of_the_commands(
    client, studio, pictures, tmp_path, monkeypatch, data, fields, loader
):
    job = ended(client, client.post("/v1/jobs", data=data, files=files(pictures, **fields)).json())
    assert job["state"] == "done", job
    result = client.get(job["result"]["url"])
    written = images.read_recipe(result.content) or {}
    assert written == job["result"]["recipe"]
    made = kind_of(written)
    assert made is not None
    monkeypatch.chdir(pictures)
    monkeypatch.setattr(loader, studio.dreamer if "Dreamer" in loader else studio.stylizer)
    monkeypatch.setattr("wctstyle.optimizer.Optimizer", studio.optimizer, raising=False)
    run(made.from_json(written).command(str(tmp_path / "made.png")))
    assert (tmp_path / "made.png").read_bytes() == result.content


# ------------------------------------------------------------------------------------------------------------- refusals


STYLED = {"content": "sample:cat", "style": "sample:marbling", "size": "64"}


@pytest.mark.parametrize(
    ("changed", "field", "what"),
    [
        ({"strenght": "1"}, "strenght", "there is no argument 'strenght'; did you mean strength?"),
        ({"zzz": "1"}, "zzz", "there is no argument 'zzz'; there are content, style, "),
        ({"strength": "3"}, "strength", "strength is 3.0, must be between 0 and 1.5"),
        ({"strength": "much"}, "strength", "strength is 'much', must be between 0 and 1.5"),
        ({"strength": ["1", "0.5"]}, "strength", "strength is given 2 times; give it once"),
        ({"photo": "maybe"}, "photo", "photo is 'maybe', must be true or false"),
        ({"colors": "mine"}, "colors", "colors is 'mine', must be one of style, photo, match, only"),
        ({"model": "vgg19"}, "model", "model is 'vgg19', must be one of slim, medium"),
        ({"size": "1.5"}, "size", "size is '1.5', must be a whole number from 0 to 256"),
        ({"size": "1e99"}, "size", "size is '1e99', must be a whole number from 0 to 256"),
        ({"look": "5"}, "look", "look is 5, must be from 128 to 4096 pixels, or 0 for none"),
        ({"stroke_scale": "1", "style_size": "9"}, "style_size", "contradict each other"),
        ({"style": ""}, "style", "style is missing; give a file or sample:NAME"),
        ({"content": ""}, "content", "content is missing"),
        ({"content": "/etc/passwd"}, "content", "content names '/etc/passwd', which is neither a file of this request"),
        ({"style": "/etc/passwd:0.5"}, "style", "style names '/etc/passwd"),
        ({"content": "-"}, "content", "which is neither a file of this request nor sample:NAME"),
        ({"content": "s3://bucket/cat.jpg"}, "content", "which is neither a file of this request nor sample:NAME"),
        ({"content": "sample:dog"}, None, "dog"),
        ({"mask": "sky=/etc/passwd", "style": "sample:marbling@sky"}, "mask", "mask names '/etc/passwd'"),
        ({"mask": "sky=ready:nothing", "style": "sample:marbling@sky"}, "mask", "nothing"),
        ({"style": "sample:marbling@sky"}, "style", "there is no mask of that name; give mask sky=FILE"),
        ({"style": "sample:marbling:-1"}, "style", "weight is -1, must be >= 0"),
        ({"weight": ["1", "1"]}, "weight", "weight is given 2 times and style 1 times"),
        ({"weight": "-1"}, "weight", "weight is -1.0, must be a number >= 0"),
        ({"style": ["sample:marbling"] * 4}, "style", "style is given 4 times; a blend here has up to 3"),
        ({"region": "rest:much=1"}, "region", "wanted NAME:DIAL=VALUE"),
        ({"refine": "5", "photo": "true"}, "refine", "refine is 5, and with photo nothing is painted"),
        ({"format": "gif"}, "format", "format is 'gif', must be one of png, jpeg, webp, tiff"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_told_by_name(client, changed, field, what):
    found = error(client.post("/v1/stylize", data={**STYLED, **changed}), 422)
    assert what in found["what"]
    assert "--" not in found["what"]
    assert found["field"] == field


def test_the_nearest_names_are_told(client):
    found = error(client.post("/v1/stylize", data={**STYLED, "stroke-scale": "1"}), 422)
    assert found["nearest"][0] == "stroke_scale"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ({**STYLED}, "kind is missing"),
        ({**STYLED, "kind": "magic"}, "kind is 'magic', must be one of stylize, batch, optimize, texture, dream"),
        ({**STYLED, "kind": "optimize", "steps": "500"}, "steps is 500, must be a whole number from 1 to 400"),
        ({**STYLED, "kind": "optimize", "style_layers": "relu9_9"}, "style_layers names 'relu9_9'"),
        ({**STYLED, "kind": "optimize", "init": "there.png"}, "init names 'there.png'"),
        ({**STYLED, "kind": "optimize", "weight": "0"}, "weight is 0 for all styles"),
        ({**STYLED, "kind": "optimize", "colors": "only"}, "colors is 'only', must be one of style, photo, match"),
        (
            {"kind": "texture", "style": "sample:marbling", "width": "999"},
            "width is 999, must be a whole number from 32",
        ),
        ({"kind": "dream", "content": "sample:cat", "layer": "relu9_1"}, "layer is 'relu9_1', must be one of relu1_1"),
        (
            {"kind": "dream", "content": "sample:cat", "steps": "300"},
            "steps is 300, must be from 1 to 100 with 4 octaves",
        ),
        ({"kind": "dream", "content": "sample:cat", "guide": "x.png"}, "guide names 'x.png', which is neither"),
        ({**STYLED, "kind": "batch", "content": ["sample:cat"] * 7}, "content and style make 7 pictures"),
        (
            {**STYLED, "kind": "batch", "each_style": "true", "style": "sample:marbling@face"},
            "each_style: paints whole",
        ),
    ],
)
def test_jobs_are_refused_before_they_wait(client, data, what):
    assert what in error(client.post("/v1/jobs", data=data), 422)["what"]


def test_a_file_that_is_no_picture_is_told_without_a_path(client, service):
    sent = [("content", ("notes.txt", b"hello")), ("style", ("sky.txt", b"there"))]
    found = error(client.post("/v1/stylize", files=sent), 422)
    assert found["what"].startswith("sky.txt: is text, not a picture")
    assert found["field"] == "style"
    assert str(service.folder) not in found["what"]


def test_what_is_too_large_is_refused(client, pictures):
    big = [("content", ("big.png", b"0" * (SMALL.upload_bytes + 1)))]
    found = error(client.post("/v1/stylize", files=big), 413)
    assert found == {"what": "big.png has 1,048,577 bytes; up to 1,048,576 are taken", "field": "content"}
    assert "this request has" in error(client.post("/v1/stylize", files=big * 3), 413)["what"]

    def drops() -> Iterator[bytes]:  # of no length that is told before
        yield from [b"--b\r\n", *[b"0" * 2**20] * 3]

    stream = client.post("/v1/stylize", content=drops(), headers={"content-type": "multipart/form-data; boundary=b"})
    assert stream.status_code in (400, 413)
    wide = [("content", ("wide.png", images.encode(np.zeros((1000, 600, 3), np.float32))))]
    found = error(client.post("/v1/stylize", data={"style": "sample:marbling"}, files=wide), 422)
    assert "500,000" in found["what"]


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "application/json", 415),
        (b"", "", 415),
        (b"nonsense", "multipart/form-data", 400),
        (b"nonsense", "multipart/form-data; boundary=b", 400),
        (b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b", 400),
    ],
)
def test_what_is_no_form_is_refused(client, body, kind, status):
    error(client.post("/v1/stylize", content=body, headers={"content-type": kind}), status)


def test_other_addresses_and_methods_are_told(client):
    assert "see /docs" in error(client.get("/v1/nothing"), 404)["what"]
    error(client.get("/v1/stylize"), 405)
    assert error(client.get("/v1/jobs/x?wait=soon"), 422)["field"] == "wait"
    assert "results are kept for 60 minutes" in error(client.get("/v1/jobs/guess"), 404)["what"]


def test_a_fault_tells_nothing_of_the_inside(client, service, monkeypatch, caplog):
    def fault(name: str) -> None:
        raise RuntimeError(f"inside {service.folder}")

    monkeypatch.setattr(service.studio, "stylizer", fault)
    found = error(client.post("/v1/stylize", data=STYLED), 500)
    assert "inside" not in json.dumps(found)
    assert "inside" in caplog.text


# ----------------------------------------------------------------------------------------------------------------- jobs


def test_a_key_names_one_job(client, pictures):
    sent, key = files(pictures, content="sea.png", style="waves.png"), {"Idempotency-Key": "one"}
    data = {"kind": "stylize", "size": "64"}
    first = client.post("/v1/jobs", data=data, files=sent, headers=key).json()
    again = client.post("/v1/jobs", data=data, files=sent, headers=key).json()
    assert first["id"] == again["id"]
    other = client.post("/v1/jobs", data={**data, "size": "65"}, files=sent, headers=key)
    assert error(other, 422)["field"] == "Idempotency-Key"
    assert error(client.post("/v1/jobs", data=data, files=sent, headers={"Idempotency-Key": "a b"}), 422)
    ended(client, first)
    assert client.delete(first["url"]).json()["deleted"]
    error(client.get(first["url"]), 404)
    assert client.post("/v1/jobs", data=data, files=sent, headers=key).json()["id"] != first["id"]


def test_a_picture_at_once_leaves_nothing_behind(client, service, pictures):
    sent = files(pictures, content="sea.png", style="waves.png")
    answer = client.post("/v1/stylize", data={"size": "64"}, files=sent)
    error(client.get(f"/v1/jobs/{answer.headers['x-wctstyle-job']}"), 404)
    kept = client.post("/v1/stylize", data={"size": "64"}, files=sent, headers={"Idempotency-Key": "keep"})
    again = client.post("/v1/stylize", data={"size": "64"}, files=sent, headers={"Idempotency-Key": "keep"})
    assert again.headers["x-wctstyle-job"] == kept.headers["x-wctstyle-job"]
    assert again.content == kept.content
    assert client.get(f"/v1/jobs/{kept.headers['x-wctstyle-job']}/result").content == kept.content


def test_events_follow_a_job_to_its_end(client, pictures):
    sent = files(pictures, content="sea.png", style="waves.png")
    job = client.post("/v1/jobs", data=SHORT, files=sent).json()
    answer = client.get(f"{job['url']}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert told[-1]["state"] == "done"
    assert [one["progress"] for one in told] == sorted(one["progress"] for one in told)


class Gate:
    """Work that goes on when it is let."""

    def __init__(self) -> None:
        self.begun, self.open = threading.Event(), threading.Event()
        self.done: list[str] = []

    def job(self, jobs: Jobs, name: str, *, quick: bool = False) -> Job:
        def do(tell: Any) -> list[Any]:
            self.begun.set()
            while not self.open.wait(0.01):
                tell.step(1, 2)
                tell.pause()
            self.done.append(name)
            return []

        def quickly(tell: Any) -> list[Any]:
            self.done.append(name)
            return []

        return Job(
            "test", Work(quickly if quick else do, lambda error: Refused(422, str(error)), quick), jobs.new_folder()
        )


@pytest.fixture
def jobs(tmp_path) -> Iterator[Jobs]:
    made = Jobs(replace(SMALL, queue_size=3, results=2, job_seconds=5), tmp_path)
    yield made
    made.close()


def until(true: Any) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_quick_jobs_go_before_slow_ones_and_between_their_steps(jobs):
    gate = Gate()
    slow, second = (jobs.submit(gate.job(jobs, name)) for name in ("slow", "second"))
    gate.begun.wait(5)
    assert (jobs.place(slow), jobs.place(second)) == (None, 1)
    quick = jobs.submit(gate.job(jobs, "quick", quick=True))
    until(lambda: quick.over)
    assert (slow.state, slow.progress, second.state) == ("running", 0.5, "waiting")
    gate.open.set()
    until(lambda: second.over)
    assert gate.done == ["quick", "slow", "second"]


def test_a_full_queue_says_when_to_come_back(jobs):
    gate = Gate()
    jobs.submit(gate.job(jobs, "runs"))
    gate.begun.wait(5)
    for _ in range(3):
        jobs.submit(gate.job(jobs, "waits"))
    with pytest.raises(Refused, match="too many jobs") as refused:
        jobs.submit(gate.job(jobs, "more"))
    assert refused.value.status == 503
    assert int(refused.value.headers["Retry-After"]) >= 1
    gate.open.set()


def test_jobs_are_cancelled_where_they_wait_and_where_they_run(jobs):
    gate = Gate()
    runs, waits = (jobs.submit(gate.job(jobs, name)) for name in ("runs", "waits"))
    gate.begun.wait(5)
    jobs.cancel(waits)
    assert waits.state == "cancelled"
    jobs.cancel(runs)
    until(lambda: runs.over)
    assert runs.state == "cancelled"
    assert not gate.done
    assert not jobs.busy


def test_a_job_that_takes_too_long_ends(tmp_path):
    gate, jobs = Gate(), Jobs(replace(SMALL, job_seconds=0.05), tmp_path)
    slow = jobs.submit(gate.job(jobs, "slow"))
    until(lambda: slow.over)
    assert slow.error is not None
    assert "longer than 0.05 seconds" in slow.error.what
    jobs.close()


def test_results_go_after_a_while_and_when_they_are_too_many(jobs):
    gate = Gate()
    gate.open.set()
    done = []
    for name in "abc":
        done.append(jobs.submit(gate.job(jobs, name)))
        until(lambda: done[-1].over)
    jobs.sweep()
    assert not done[0].folder.exists()
    with pytest.raises(Refused, match="no job of that id"):
        jobs.find(done[0].id)
    assert jobs.find(done[2].id) is done[2]
    done[2].ended = (done[2].ended or 0) - jobs.limits.result_seconds
    with pytest.raises(Refused, match="no job of that id"):
        jobs.find(done[2].id)


def test_ids_cannot_be_guessed(jobs):
    ids = {Job("test", Work(lambda tell: [], lambda error: Refused(422, "")), jobs.folder).id for _ in range(100)}
    assert len(ids) == 100
    assert all(len(id) >= 24 for id in ids)


def test_a_result_that_is_not_there_yet_is_told(service, client):
    gate = Gate()
    runs, waits = (service.jobs.submit(gate.job(service.jobs, name)) for name in ("runs", "waits"))
    gate.begun.wait(5)
    early = client.get(f"/v1/jobs/{waits.id}/result")
    assert "the job is waiting" in error(early, 409)["what"]
    assert early.headers["retry-after"] == "1"
    assert client.get(f"/v1/jobs/{waits.id}").json()["place"] == 1
    assert client.delete(f"/v1/jobs/{waits.id}").json()["state"] == "cancelled"
    error(client.get(f"/v1/jobs/{waits.id}/result"), 410)
    gate.open.set()
    until(lambda: runs.over)


# --------------------------------------------------------------------------------------------------------- descriptions


def test_options_are_those_of_the_settings(client):
    kinds = {
        name: {one["name"]: one for one in kind} for name, kind in client.get("/v1/options").json()["kinds"].items()
    }
    for name, value in Settings().__dict__.items():
        assert kinds["stylize"][name]["default"] == value
    assert kinds["stylize"]["strength"]["most"] == 1.5
    assert kinds["optimize"]["steps"] == kinds["optimize"]["steps"] | {"least": 1, "most": 400, "default": 80}
    assert client.get("/v1/models").json()["stylize"] == "slim"
    assert "sample:cat" in client.get("/v1/samples").json()["content"]


def test_openapi_describes_every_argument(client):
    found = client.get("/openapi.json").json()
    form = found["paths"]["/v1/stylize"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"].keys() == {one["name"] for one in client.get("/v1/options").json()["kinds"]["stylize"]}
    assert form["properties"]["strength"] == form["properties"]["strength"] | {
        "minimum": 0,
        "maximum": 1.5,
        "default": 1.0,
    }
    for path in found["paths"].values():
        for operation in path.values():
            assert operation["summary"]


@pytest.mark.parametrize("name", ["max_size", "queue_size", "result_seconds"])
def test_limits_are_checked(name):
    with pytest.raises(ConfigError, match=name):
        Limits(**{name: 0})


def test_the_app_lies_in_another_one(service):
    site = FastAPI()
    site.mount("/paint", make_app(service))
    with TestClient(site) as client:
        job = client.post("/paint/v1/jobs", data={**STYLED, "kind": "stylize"}).json()
        assert job["url"].startswith("/paint/v1/jobs/")
        assert client.get(ended(client, job)["result"]["url"]).status_code == 200
        assert client.get("/paint/docs").status_code == 200
