"""The demo as a server: its endpoints through gradio_client and plain HTTP, and what it does not give away."""

from __future__ import annotations

import json
import os
import re
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from demo_service import SMALL, narrow_server
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from narrow import picture

from wctstyle import images, samples
from wctstyle.demo import mailboxes, server
from wctstyle.demo.composition import Composition, PageRegion
from wctstyle.demo.masking import hold_mask
from wctstyle.demo.recipes import recipe_for
from wctstyle.demo.sessions import Session
from wctstyle.errors import ConfigError
from wctstyle.inputs import RegionSpec
from wctstyle.recipe import Recipe
from wctstyle.web import Exposure

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
"""Those of Gradio, Starlette and their event loop, which are not ours."""

ONE_STYLE = {"content": "sample:cat", "styles": ["sample:peacock"], "size": 64}


SKY = {"mask": "ready:light", "styles": ["sample:marbling"]}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with narrow_server(tmp_path_factory.mktemp("demo")) as (demo, address):
        yield demo, address
    assert not demo.folder.exists()


BUTTONS = {"_begin", "_end", "_export", "_latest", "_next_seed", "_stop"}
"""Handlers for which a second press before the answer to the first means nothing."""

AT_THE_START = {"_clip", "_open", "_pair", "_resume"}
"""Handlers that run once, as the page opens."""


def test_nothing_that_is_chosen_is_missed_while_an_earlier_choice_is_answered(served):
    """Gradio drops what happens while a handler with the mode "once" is still answering."""
    handlers = [
        fn for fn in served[0].blocks.fns.values() if fn.api_visibility == "private" and (fn.name or "").startswith("_")
    ]
    assert {"_live", "_plan", "_measure", "_tell"} <= {fn.name for fn in handlers}
    assert {fn.name for fn in handlers if fn.trigger_mode == "once"} == BUTTONS | AT_THE_START


@pytest.fixture(scope="module")
def client(served, tmp_path_factory):
    client = Client(
        served[1], download_files=str(tmp_path_factory.mktemp("downloads")), verbose=False, analytics_enabled=False
    )
    yield client
    client.close()


@pytest.fixture
def http(served):
    with httpx.Client(base_url=served[1].rstrip("/"), timeout=60) as http:
        yield http


def until(condition):
    """Wait for what the server does in its own time; the limit is for faults only."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def call(http, name, **arguments):
    """Call an endpoint by plain HTTP, arguments by name; returns the events."""
    posted = http.post(f"/gradio_api/call/v2/{name}", json=arguments)
    assert posted.status_code == 200, posted.text
    text = http.get(f"/gradio_api/call/{name}/{posted.json()['event_id']}").text
    events = re.findall(r"event: (\w+)\ndata: (.*)", text)
    return [(event, json.loads(data)) for event, data in events]


# ---------------------------------------------------------------------------------------------- gradio_client


def test_every_action_is_a_documented_endpoint(client):
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    names = "samples looks stylize optimise video live compare mask suggest recipe texture dream analogy"
    assert set(named) == {f"/{name}" for name in names.split()}
    for endpoint in named.values():
        assert endpoint["description"]
        assert all(p["python_type"]["type"] != "Any" for p in endpoint["parameters"])


def test_samples_are_listed(client):
    listed = client.predict(api_name="/samples")
    assert "sample:cat" in listed["content"]
    assert len(listed["style"]) == 12


def test_a_client_stylises_its_own_pictures_and_reads_the_recipe(served, client, tmp_path):
    images.save(tmp_path / "mine.png", picture(48, 64, seed=1))
    images.save(tmp_path / "paint.jpg", picture(64, 64, seed=2))
    file, report = client.predict(
        content=handle_file(str(tmp_path / "mine.png")),
        styles=[handle_file(str(tmp_path / "paint.jpg")), "sample:peacock"],
        weights=[3, 1],
        strength=1.2,
        detail=0.2,
        colors="match",
        color=0.4,
        texture=0.3,
        keep_faces=0.7,
        transform="adain",
        blend="mixture",
        size=64,
        look=256,
        stroke_scale=1.5,
        model="medium",
        format="WebP",
        api_name="/stylize",
    )
    path = file["path"] if isinstance(file, dict) else file
    assert images.load(path).rgb.shape == (48, 64, 3)
    recipe = images.read_recipe(path)
    assert recipe == report["recipe"]
    assert [style["weight"] for style in recipe["styles"]] == [3, 1]
    assert recipe["content"]["name"] == "mine.png"
    names = (
        "strength",
        "detail",
        "colors",
        "color",
        "texture",
        "keep_faces",
        "transform",
        "blend",
        "size",
        "look",
        "stroke_scale",
        "model",
    )
    assert [recipe[name] for name in names] == [
        1.2,
        0.2,
        "match",
        0.4,
        0.3,
        0.7,
        "adain",
        "mixture",
        64,
        256,
        1.5,
        "medium",
    ]
    assert report["seconds"] > 0
    again = client.predict(picture=handle_file(str(path)), api_name="/recipe")
    assert again["recipe"] == recipe
    assert again["command"].startswith("wctstyle stylize mine.png --style paint.jpg:3.0")
    assert "Stylizer('medium')" in again["python"]


def test_the_same_file_is_taken_twice_and_left_to_the_sweep(served, client, tmp_path):
    images.save(tmp_path / "mine.png", picture(48, 64, seed=9))
    mine = handle_file(str(tmp_path / "mine.png"))
    jobs = [client.submit(**{**ONE_STYLE, "content": mine, "styles": [mine]}, api_name="/stylize") for _ in range(2)]
    for job in jobs:
        assert job.result(timeout=60)[1]["width"] == 64
    left = [p for p in (served[0].folder / "files").rglob("mine.png") if "exports" not in p.parts]
    assert left
    for path in left:
        os.utime(path, (time.time() - server.CLEAN_AFTER - 1,) * 2)
    server.clean(served[0].folder / "files", server.CLEAN_AFTER)
    assert not any(path.exists() for path in left)


def test_an_optimisation_streams_its_progress(client):
    job = client.submit(**ONE_STYLE, steps=8, api_name="/optimise")
    last = job.result(timeout=120)
    steps = [report["step"] for report in job.outputs()]
    assert steps == sorted(steps)
    assert steps[0] < steps[-1] == 8
    assert last["step"] == 8
    assert last["recipe"]["optimize"]["init"] == "fast"
    file = last["file"]["path"] if isinstance(last["file"], dict) else last["file"]
    assert images.load(file).rgb.shape[1] == 64


def test_pictures_are_compared(client):
    figures = client.predict(result="sample:cat", content="sample:cat", styles=["sample:peacock"], api_name="/compare")
    assert figures["content"] == pytest.approx(0, abs=1e-4)
    assert figures["ssim"] == pytest.approx(1)
    assert len(figures["style_by_level"]) == 5
    figures = client.predict(
        result="sample:cat", content="sample:astronaut", styles=["sample:peacock"], api_name="/compare"
    )
    assert (figures["content"], figures["ssim"]) == (None, None)


def test_styles_are_suggested(client, tmp_path):
    everything = client.predict(content="sample:cat", api_name="/suggest")
    assert {one["style"] for one in everything} == {f"sample:{name}" for name in samples.names("style")}
    assert [one["distance"] for one in everything] == sorted(one["distance"] for one in everything)
    images.save(tmp_path / "cat.png", samples.picture("cat").rgb)
    mine = handle_file(str(tmp_path / "cat.png"))
    first, other = client.predict(content="sample:cat", styles=["sample:peacock", mine], api_name="/suggest")
    assert (first["style"], first["place"], other["style"], other["place"]) == ("cat.png", 1, "sample:peacock", 0)
    assert first["distance"] < 0.01 < other["distance"]
    with pytest.raises((AppError, ValueError), match="up to 2 at a time"):
        client.predict(content="sample:cat", styles=[mine] * 3, api_name="/suggest")
    with pytest.raises((AppError, ValueError), match="100 styles are too many"):
        client.predict(content="sample:cat", styles=["sample:peacock"] * 100, api_name="/suggest")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"content": "sample:dog"}, "no sample has this name"),
        ({"content": "/etc/passwd"}, "an uploaded file or sample:NAME"),
        ({"styles": []}, "1 to 6 pictures"),
        ({"weights": [1, 2]}, "as many numbers"),
        ({"strength": 3}, "strength is 3"),
        ({"stroke_scale": 9}, "stroke_scale is 9"),
        ({"model": "vgg19"}, "model is 'vgg19', must be one of slim, medium"),
        ({"size": 100000}, "size is 100000, must be from 32 to 256"),
        ({"format": "BMP"}, "format is 'BMP'"),
        ({"feather": 1}, "feather is 1"),
        ({"styles": [], "regions": []}, "1 to 6 pictures; with regions it may be empty"),
        ({"style_masks": [None, None]}, "style_masks must be a list of as many files or null"),
        ({"regions": [{**SKY, "mask": "ready:moon"}]}, r"regions\[0\]: moon: there is no such ready mask"),
        ({"regions": [{**SKY, "mask": "/etc/passwd"}]}, r"regions\[0\]: a mask is an uploaded file or ready:KIND"),
        ({"regions": [{**SKY, "weights": [1, 2]}]}, r"regions\[0\]: weights must be a list of as many numbers"),
        ({"regions": [{**SKY, "strength": -1}]}, "Region 1: strength of a region is -1"),
        ({"regions": [{**SKY, "name": "a@b"}]}, "A region cannot be called 'a@b'"),
        ({"regions": [SKY] * 9}, "9 regions are too many"),
    ],
)
def test_mistakes_are_told_to_a_client(client, changes, message):
    with pytest.raises((AppError, ValueError), match=message):
        client.predict(**{**ONE_STYLE, **changes}, api_name="/stylize")


def test_a_client_paints_regions_as_the_page_does(served, client, tmp_path):
    planes = {"top": np.zeros((40, 40), np.float32), "left": np.zeros((40, 40), np.float32)}
    planes["top"][:20], planes["left"][:, :20] = 1, 1
    files = {name: handle_file(str(images.save(tmp_path / f"{name}.png", plane))) for name, plane in planes.items()}
    regions = [
        {"name": "Sky", "mask": files["top"], "styles": ["sample:marbling", "sample:woodcut-wave"], "weights": [2, 1],
         "strength": 0.6, "stroke": 2},
        {"mask": "ready:dark", "styles": ["sample:peacock"], "style_masks": [files["left"]], "detail": 0.5},
    ]  # fmt: skip
    blend = {"styles": ["sample:peacock"], "style_masks": [files["left"]], "regions": regions, "feather": 0.03}
    file, report = client.predict(content="sample:cat", size=128, **blend, api_name="/stylize")
    service, session = served[0].service, Session("page", SMALL)
    ids = {name: session.add_mask(hold_mask(plane, 256, name)).id for name, plane in planes.items()}
    look = Composition(
        "sample:cat",
        (("sample:peacock", 1.0, ids["left"]),),
        size=128,
        regions=(
            PageRegion(
                "Sky",
                ids["top"],
                (("sample:marbling", 2.0), ("sample:woodcut-wave", 1.0)),
                RegionSpec(strength=0.6, stroke=2),
            ),
            PageRegion("Region 2", "ready:dark", (("sample:peacock", 1.0, ids["left"]),), RegionSpec(detail=0.5)),
        ),
        feather=0.03,
    )
    made = service.backend.render(session, look).image
    assert np.abs(images.load(file["path"] if isinstance(file, dict) else file).rgb - made).max() <= 1.01 / 255
    assert Recipe.from_json(report["recipe"]) == recipe_for(look, session, size=128)
    figures = client.predict(handle_file(str(tmp_path / "top.png")), "sample:cat", **blend, api_name="/compare")
    assert figures["style"] > 0
    *_, last = client.submit(content="sample:cat", size=64, steps=2, **blend, api_name="/optimise")
    assert last["recipe"]["masks"][0]["name"] == "top.png"


def test_a_client_asks_for_an_analogy_and_how_it_was_made(client, tmp_path):
    own = images.resize(samples.picture("astronaut"), long_side=80).rgb
    pair = [handle_file(str(images.save(tmp_path / f"{n}.png", rgb))) for n, rgb in (("a", own), ("b", 1 - own))]
    *steps, told = client.submit(*pair, "sample:cat", api_name="/analogy")
    assert steps
    made, cat = images.load(told["file"]).rgb, images.resize(samples.picture("cat"), long_side=256).rgb
    assert np.abs(made - (1 - cat)).mean() < 0.02
    assert "learned " in told["text"]
    assert told["recipe"]["size"] == 256
    found = client.predict(handle_file(told["file"]), api_name="/recipe")
    assert found["command"].startswith("wctstyle analogy a.png b.png sample:cat --size 256")
    with pytest.raises((AppError, ValueError), match="the first picture has 80 x 80 pixels and the second 451"):
        client.submit(pair[0], "sample:cat", "sample:cat", api_name="/analogy").result()


def test_a_client_asks_for_masks(client, tmp_path):
    found = images.load(client.predict("sample:cat", kind="light", api_name="/mask")).rgb
    assert found.shape == images.resize(samples.picture("cat"), long_side=256).rgb.shape
    assert 0 < found.mean() < 1
    marks, opacity = np.zeros((34, 51, 3), np.float32), np.zeros((34, 51), np.float32)
    marks[11:23, 13:26], marks[:3], opacity[11:23, 13:26], opacity[:3] = (0, 1, 0), (1, 0, 0), 1, 1
    scribble = handle_file(str(images.save(tmp_path / "marks.png", marks, opacity)))
    grown = images.load(client.predict("sample:cat", scribble=scribble, api_name="/mask")).rgb[..., 0]
    assert grown[grown.shape[0] // 2, grown.shape[1] * 3 // 8] == 1
    assert grown[0].max() == 0
    with pytest.raises((AppError, ValueError), match="give one of kind and scribble"):
        client.predict("sample:cat", api_name="/mask")
    with pytest.raises((AppError, ValueError), match="kind is 'moon', must be one of face, person, sky"):
        client.predict("sample:cat", kind="moon", api_name="/mask")


# ------------------------------------------------------------------------------------------------- plain HTTP


def test_plain_http_from_upload_to_file(http):
    data = images.encode(picture(40, 64, seed=4), format="png")
    path = http.post("/gradio_api/upload", files={"files": ("sea.png", data)}).json()[0]
    content = {"path": path, "orig_name": "sea.png", "meta": {"_type": "gradio.FileData"}}
    events = call(http, "stylize", content=content, styles=["sample:marbling"], size=64)
    assert events[-1][0] == "complete"
    file, report = events[-1][1]
    assert report["recipe"]["content"]["name"] == "sea.png"
    made = http.get(f"/gradio_api/file={file['path']}")
    assert images.load(made.content).rgb.shape == (40, 64, 3)


def test_plain_http_streams_progress(http):
    events = call(http, "optimise", **ONE_STYLE, steps=6)
    assert [name for name, _ in events][-1] == "complete"
    steps = [data[0]["step"] for name, data in events if name == "generating" and isinstance(data[0], dict)]
    assert steps
    assert "6 steps" in events[-1][1][0]["text"]


@pytest.mark.parametrize("version", ["", "v2/"])
def test_calls_that_cannot_be_made_are_told(http, version):
    gone = http.post(f"/gradio_api/call/{version}nope", json={"data": []} if not version else {})
    assert gone.status_code == 404
    assert "no endpoint /nope" in gone.json()["detail"]
    assert "/stylize" in gone.json()["detail"]


@pytest.mark.parametrize("way", ["run", "api"])
def test_ways_that_do_not_lead_to_an_endpoint_say_which_does(http, way):
    for name in ("stylize", "nope"):
        gone = http.post(f"/gradio_api/{way}/{name}", json={"data": ["sample:cat", ["sample:peacock"]]})
        assert gone.status_code == 404
        assert f"use /gradio_api/call/{name}" in gone.json()["detail"]


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("stylize", {"nope": 1}, "no argument 'nope'; there are content, styles, weights"),
        ("stylize", {"strength": "much"}, "strength is 'much', must be a number"),
        ("stylize", {"strength": True}, "strength is True, must be a number"),
        ("stylize", {"size": 64.5}, "size is 64.5, must be a whole number"),
        ("stylize", {"content": 5}, "content is 5, must be an uploaded file or sample:NAME"),
        ("stylize", {"styles": "sample:peacock"}, "must be a list of uploaded files or sample:NAME"),
        ("stylize", {"styles": [5]}, r"styles is \[5\], must be a list"),
        ("stylize", {"weights": ["a"]}, "must be a list of numbers"),
        ("stylize", {"format": "BMP"}, "format is 'BMP', must be one of PNG, JPEG, WebP"),
        ("stylize", {"feather": "x"}, "feather is 'x', must be a number"),
        ("stylize", {"regions": {}}, "regions is {}, must be a list of regions"),
        ("stylize", {"regions": ["sky"]}, r"regions is \['sky'\], must be a list of regions"),
        ("stylize", {"regions": [{}]}, r"regions\[0\]: The argument mask is missing; it is an uploaded file"),
        ("stylize", {"regions": [{"mask": 3}]}, r"regions\[0\]: mask is 3, must be an uploaded file"),
        ("stylize", {"regions": [SKY, {**SKY, "hue": 1}]}, r"regions\[1\]: There is no argument 'hue'; there are mask"),
        ("stylize", {"regions": [{**SKY, "detail": "x"}]}, r"regions\[0\]: detail is 'x', must be a number"),
        ("stylize", {"style_masks": [3]}, r"style_masks is \[3\], must be a list of uploaded files or null"),
        ("optimise", {"steps": "x"}, "steps is 'x', must be a whole number"),
        ("optimise", {"start": "style"}, "start is 'style', must be one of fast, content, noise"),
    ],
)
def test_arguments_that_make_no_sense_are_named_at_once(http, client, name, changes, message):
    wrong = http.post(f"/gradio_api/call/v2/{name}", json={**ONE_STYLE, **changes})
    assert wrong.status_code == 422
    assert re.search(message, wrong.json()["detail"])
    if "nope" not in changes:  # of which the client says so itself
        with pytest.raises((AppError, ValueError), match=message):
            client.predict(**{**ONE_STYLE, **changes}, api_name=f"/{name}")


def test_an_argument_that_is_missing_is_named(http):
    for version, body in (("v2/", {"content": "sample:cat"}), ("", {"data": ["sample:cat"]})):
        lacking = http.post(f"/gradio_api/call/{version}stylize", json=body)
        assert lacking.status_code == 422
        assert "argument styles is missing" in lacking.json()["detail"]


def test_a_call_by_place_may_leave_out_what_has_a_default(http):
    many = http.post("/gradio_api/call/stylize", json={"data": [1] * 40})
    assert many.status_code == 422
    assert "40 arguments are too many; there are 21" in many.json()["detail"]
    posted = http.post("/gradio_api/call/compare", json={"data": ["sample:cat", "sample:cat", ["sample:peacock"]]})
    text = http.get(f"/gradio_api/call/compare/{posted.json()['event_id']}").text
    assert "event: complete" in text


@pytest.mark.parametrize("picture", ["sample:cat", None, 5, []])
def test_a_recipe_is_that_of_an_uploaded_file(http, picture):
    wrong = http.post("/gradio_api/call/v2/recipe", json={"picture": picture})
    assert wrong.status_code == 422
    assert f"picture is {picture!r}, must be an uploaded file" in wrong.json()["detail"]


def test_a_file_that_is_no_picture_or_too_large_is_told(http):
    def answer(data, name="recipe", key="picture"):
        path = http.post("/gradio_api/upload", files={"files": ("a.png", data)}).json()[0]
        more = ONE_STYLE if name == "stylize" else {}
        return call(http, name, **{**more, key: {"path": path, "meta": {"_type": "gradio.FileData"}}})[-1]

    large = images.encode(np.full((1100, 1000, 3), 0.5, np.float32))
    for data, says in ((b"no picture", "could not be read as a picture"), (large, "more than 1 megapixels")):
        for endpoint in (("recipe", "picture"), ("stylize", "content")):
            event, said = answer(data, *endpoint)
            assert (event, says in said["error"]) == ("error", True)
    assert answer(images.encode(picture(40, 64, seed=4)))[1][0]["recipe"] is None


def test_errors_by_http_tell_nothing_of_the_inside(served, http, monkeypatch):
    def fault(*args, **kwargs):
        raise RuntimeError("secret of /root/place")

    monkeypatch.setattr(served[0].service.backend, "render", fault)
    name, data = call(http, "stylize", **ONE_STYLE)[-1]
    assert name == "error"
    assert "secret" not in json.dumps(data)


# ------------------------------------------------------------------------------------------ what it keeps to itself


def test_no_path_of_the_server_is_readable(served, http, tmp_path):
    here = Path(__file__).resolve()
    for path in ("/etc/passwd", str(here), "../../etc/passwd", str(served[0].folder), "/proc/self/environ"):
        assert http.get(f"/gradio_api/file={path}").status_code in (403, 404), path
    stolen = {"path": str(here), "meta": {"_type": "gradio.FileData"}}
    for place, body in (("call/v2/recipe", {"picture": stolen}), ("queue/join", {"data": [stolen], "fn_index": 0})):
        refused = http.post(f"/gradio_api/{place}", json=body)
        assert refused.status_code == 400
        assert "no upload of this server" in refused.json()["detail"]
    plain = {"path": str(here)}
    name, data = call(http, "recipe", picture=plain)[-1]
    assert name == "error"
    assert str(here) not in json.dumps(data)
    assert here.exists()


def test_other_servers_are_not_fetched(http):
    foreign = {"path": "http://127.0.0.1:1/x.png", "meta": {"_type": "gradio.FileData"}}
    assert http.post("/gradio_api/call/recipe", json={"data": [foreign]}).status_code == 400
    assert http.get("/gradio_api/file=http://127.0.0.1:1/").status_code == 403


def test_large_uploads_and_requests_are_refused(http):
    data = os.urandom(SMALL.upload_bytes + 1000)
    assert http.post("/gradio_api/upload", files={"files": ("big.png", data)}).status_code == 413
    assert http.post("/gradio_api/call/recipe", json={"data": ["x" * 2_000_000]}).status_code == 413


def test_the_page_loads_from_its_own_server_and_calls_nobody(http):
    page = http.get("/").text
    loaded = re.findall(r"<(?:script|link)\b[^>]*(?:src|href)=[\"'](https?:[^\"']+)", page)
    assert loaded == []
    config = http.get("/config").json()
    assert config["analytics_enabled"] is False
    assert "fonts.googleapis" not in http.get("/theme.css").text + page
    assert "connect-src 'self'" in http.get("/").headers["content-security-policy"]


def test_the_page_offers_what_is_installed_and_says_what_the_rest_needs(http):
    parts = {c["props"].get("elem_id"): c["props"] for c in http.get("/config").json()["components"]}
    quality = parts["wct-model"]
    assert [list(choice) for choice in quality["choices"]] == [["Fast", "slim"], ["Better", "medium"]]
    assert quality["value"] == "slim"
    assert "wctstyle weights get vgg19" in quality["info"]
    strength = parts["wct-strength"]
    assert (strength["minimum"], strength["maximum"], strength["value"]) == (0, 1.5, 1)


def test_many_calls_leave_nothing_in_memory(served, client):
    before = len(served[0].service.sessions)
    for number in range(5):
        client.predict(**{**ONE_STYLE, "strength": number / 5}, api_name="/stylize")
    assert len(served[0].service.sessions) == before
    assert served[0].service.sessions.nbytes < 10 * 2**20


def test_gradio_forgets_a_closed_page_too(served, monkeypatch):
    monkeypatch.setattr(server, "CLOSE_AFTER", 0.1)
    monkeypatch.setenv("GRADIO_HEARTBEAT_INTERVAL", "0.25")  # seconds, not 15, until it sees that a page is closed
    blocks = served[0].blocks
    visitor = Client(served[1], verbose=False, analytics_enabled=False)
    key = visitor.session_hash
    visitor.predict(**ONE_STYLE, api_name="/stylize")
    kept = (
        blocks.state_holder.session_data,
        blocks.state_holder.time_last_used,
        blocks._queue.pending_messages_per_session,
        blocks._queue.pending_event_ids_session,
    )
    assert all(key in items for items in kept)
    visitor.close()
    until(lambda: not any(key in items for items in kept))


def test_results_that_nobody_reads_are_thrown_away(served, http, monkeypatch):
    queue = served[0].blocks._queue
    posted = http.post("/gradio_api/call/v2/stylize", json={"content": "sample:cat", "styles": ["sample:peacock"]})
    key = posted.json()["event_id"]
    until(lambda: not queue.event_ids_to_events)
    assert key in queue.pending_messages_per_session
    monkeypatch.setattr(mailboxes, "SWEEP_EVERY", 0)
    monkeypatch.setattr(mailboxes, "READ_WITHIN", 0.1)

    def gone():
        http.get("/config")
        return key not in queue.pending_messages_per_session and key not in queue.pending_event_ids_session

    until(gone)
    assert call(http, "samples")[-1][0] == "complete"


def boxes_of(**unread):
    """A queue's mailboxes by key, each with so many messages."""
    boxes = {key: SimpleNamespace(qsize=lambda count=count: count) for key, count in unread.items()}
    pending = {key: {f"event of {key}"} if count else set() for key, count in unread.items()}
    queue = SimpleNamespace(
        pending_messages_per_session=boxes, pending_event_ids_session=pending, event_ids_to_events={}
    )
    return SimpleNamespace(_queue=queue)


def test_a_mailbox_that_changes_or_works_is_kept(monkeypatch):
    monkeypatch.setattr(mailboxes, "READ_WITHIN", 10)
    blocks = boxes_of(left=1, used=1, works=1, read=0)
    boxes = blocks._queue.pending_messages_per_session
    blocks._queue.event_ids_to_events["event of works"] = SimpleNamespace(session_hash="works")
    swept = mailboxes.Mailboxes(None, blocks)
    swept.sweep(0)
    blocks._queue.pending_event_ids_session["used"] = {"its next event"}
    swept.sweep(9)
    assert boxes.keys() == {"left", "used", "works", "read"}
    swept.sweep(10)
    assert boxes.keys() == blocks._queue.pending_event_ids_session.keys() == {"used", "works"}
    blocks._queue.event_ids_to_events.clear()
    swept.sweep(19)
    assert boxes.keys() == {"works"}
    swept.sweep(29)
    assert not boxes


def test_of_many_unread_results_the_oldest_go(monkeypatch):
    monkeypatch.setattr(mailboxes, "UNREAD", 2)
    blocks = boxes_of(first=1, read=0)
    queue = blocks._queue
    swept = mailboxes.Mailboxes(None, blocks)
    for now, key in enumerate(("first", "second", "third")):
        queue.pending_messages_per_session[key] = SimpleNamespace(qsize=lambda: 1)
        swept.sweep(now)
    assert queue.pending_messages_per_session.keys() == {"read", "second", "third"}


def test_a_page_that_comes_back_in_time_keeps_its_session(served, http, monkeypatch):
    due = {}

    def call_later(delay, close, key, left):
        """Take the place of the loop's clock, which goes on when the test says so."""
        due[key] = delay, partial(close, key, left)

    loop = SimpleNamespace(call_later=call_later)
    monkeypatch.setattr(server, "asyncio", SimpleNamespace(get_running_loop=lambda: loop))
    sessions = served[0].service.sessions
    back, gone = sessions.get("comes-back"), sessions.get("stays-away")
    for key in ("comes-back", "stays-away"):
        with http.stream("GET", f"/gradio_api/heartbeat/{key}") as beats:
            next(beats.iter_raw())
    until(lambda: {"comes-back", "stays-away"} <= due.keys())
    assert not gone.closed.is_set()
    assert sessions.get("comes-back") is back
    for key in ("comes-back", "stays-away"):
        delay, close = due[key]
        assert delay == server.CLOSE_AFTER
        close()
    assert gone.closed.is_set()
    assert not back.closed.is_set()
    sessions.close("comes-back")


def test_old_files_are_cleaned(served):
    assert served[0].blocks.delete_cache == (server.CLEAN_EVERY, server.CLEAN_AFTER)
    old = served[0].folder / "files" / "exports" / "old" / "x.png"
    old.parent.mkdir()
    old.write_bytes(b"x")
    os.utime(old, (time.time() - 9999,) * 2)
    young = old.parent.with_name("young")
    young.mkdir()
    server.clean(served[0].folder / "files", server.CLEAN_AFTER)
    assert not old.exists()
    assert young.exists()
    os.utime(young, (time.time() - 9999,) * 2)
    server.clean(served[0].folder / "files", server.CLEAN_AFTER)
    assert not young.exists()
    assert np.all([p.is_dir() for p in (served[0].folder / "files").iterdir()])


@pytest.mark.parametrize("port", [None, 7999])
def test_a_host_that_is_not_here_is_told_before_anything_is_served_and_leaves_nothing(
    served, tmp_path, monkeypatch, port
):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    demo = server.build(served[0].service.backend, limits=SMALL)
    assert demo.folder.exists()
    monkeypatch.setattr(demo.blocks, "launch", lambda **_: pytest.fail("a server was started"))
    with pytest.raises(ConfigError, match=r"--host 192\.0\.2\.1"):  # of no machine (RFC 5737)
        server.launch(demo, Exposure(host="192.0.2.1"), port=port)
    assert not demo.folder.exists()
