"""Live pictures in the demo: streams and their address without a page, the endpoint, and the page with a camera."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import httpx
import numpy as np
import pytest
from demo_service import SMALL, narrow_server
from narrow import picture
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from visitor import DESK, FAKE_CAMERA, MARKS, Visitor, expect, launched, until

from wctstyle import images
from wctstyle.demo.composition import FACES, Composition, PageRegion
from wctstyle.demo.sessions import Session
from wctstyle.demo.stream_route import StreamRoute
from wctstyle.demo.streams import Streams
from wctstyle.errors import ConfigError
from wctstyle.inputs import RegionSpec
from wctstyle.settings import Settings

pytestmark = [mark for mark in MARKS if mark.name != "browser"]

LIMITS = replace(SMALL, live_streams=2, live_bytes=2**20, live_pixels=100_000)
BLEND = Composition(styles=(("sample:marbling", 0.7), ("sample:peacock", 0.3)), size=64)
CAMERA = picture(3, 4, seed=3).repeat(16, 0).repeat(16, 1)  # flat blocks, which JPEG keeps
JPEG = {"content-type": "image/jpeg"}


def jpeg(rgb):
    return images.encode(rgb, format="jpeg", quality=95)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with narrow_server(tmp_path_factory.mktemp("demo"), replace(SMALL, live_streams=1, live_idle_seconds=60)) as served:
        yield served


@pytest.fixture(scope="module")
def service(served):
    return served[0].service


@pytest.fixture
def session():
    return Session("somebody", LIMITS)


@pytest.fixture
def streams(service):
    return Streams(service.backend, LIMITS)


@pytest.fixture
def route(streams):
    """A client of the address alone; what it does not answer is answered by "page"."""

    async def page(scope, receive, send):
        await PlainTextResponse("page")(scope, receive, send)

    return TestClient(StreamRoute(page, streams, LIMITS.live_bytes))


def test_frames_come_back_painted_and_follow_the_dials(route, streams, session):
    stream = streams.open(session, BLEND, 0.85)
    first = route.post(f"/live/{stream.id}", content=jpeg(CAMERA), headers=JPEG)
    assert (first.status_code, first.headers["content-type"]) == (200, "image/jpeg")
    assert first.headers["x-wctstyle-size"] == "64"
    assert first.headers["x-content-type-options"] == "nosniff"
    painted = images.load(first.content).rgb
    assert painted.shape == CAMERA.shape
    assert np.abs(painted - CAMERA).mean() > 0.05
    streams.follow(stream, replace(BLEND, settings=Settings(strength=0)))
    plain = route.post(f"/live/{stream.id}", content=jpeg(CAMERA), headers=JPEG)
    assert np.abs(images.load(plain.content).rgb - CAMERA).mean() < 0.03
    assert stream.report()["text"].startswith("Frame 2, 64 x 48")
    assert route.get("/").text == "page"
    assert route.get(f"/live/{stream.id}").text == "page"


def test_what_changes_no_frame_changes_no_stream(streams, session):
    stream = streams.open(session, BLEND, 0.5)
    wanted = stream.live._wanted
    region = PageRegion("sky", "ready:light", (("sample:cat", 1.0),), RegionSpec())
    streams.follow(stream, replace(BLEND, content="sample:cat", size=128, regions=(region,)))
    assert stream.live._wanted is wanted
    streams.follow(stream, BLEND, 0.6)
    assert stream.live._wanted is not wanted


def test_frames_that_are_none_are_refused_in_words(route, streams, session):
    stream = streams.open(session, BLEND, 0)
    large = jpeg(picture(400, 400))
    for status, words, id, content, headers in (
        (422, "could not be read as a picture", stream.id, b"\xff\xd8 no picture", JPEG),
        (422, "could not be read as a picture", stream.id, b"", JPEG),
        (422, "more than 0 megapixels", stream.id, large, JPEG),
        (413, "too large. Frames may have up to 1 MB", stream.id, bytes(LIMITS.live_bytes + 1), JPEG),
        (415, "with its Content-Type, such as image/jpeg", stream.id, jpeg(CAMERA), {"content-type": "text/plain"}),
        (415, "with its Content-Type", stream.id, jpeg(CAMERA), {}),
        (410, "has ended", "x" * 24, jpeg(CAMERA), JPEG),
    ):
        told = route.post(f"/live/{id}", content=content, headers=headers)
        assert told.status_code == status
        assert words in told.json()["detail"]
    with stream.at_work:
        told = route.post(f"/live/{stream.id}", content=jpeg(CAMERA), headers=JPEG)
    assert (told.status_code, "when its answer has come" in told.json()["detail"]) == (429, True)
    assert stream.frames == 0
    assert route.post(f"/live/{stream.id}", content=jpeg(CAMERA), headers=JPEG).status_code == 200


def test_nothing_is_read_of_a_frame_for_a_stream_that_has_ended(streams):
    async def send(message):
        told.append(message)

    async def receive():
        raise AssertionError("a frame that nobody paints is read")

    told = []
    headers = [(b"content-type", b"image/jpeg")]
    scope = {"type": "http", "method": "POST", "path": "/live/" + "x" * 24, "headers": headers}
    asyncio.run(StreamRoute(PlainTextResponse("page"), streams, LIMITS.live_bytes)(scope, receive, send))
    assert told[0]["status"] == 410


def test_a_page_has_one_stream_and_a_server_few(route, streams, session):
    first = streams.open(session, BLEND, 0)
    second = streams.open(session, BLEND, 0)
    assert route.post(f"/live/{first.id}", content=jpeg(CAMERA), headers=JPEG).status_code == 410
    assert streams.of(session) is second
    others = [Session(name, LIMITS) for name in ("two", "three")]
    streams.open(others[0], BLEND, 0)
    with pytest.raises(ConfigError, match="keep this server busy. Please try again"):
        streams.open(others[1], BLEND, 0)
    assert route.delete(f"/live/{second.id}").status_code == 204
    third = streams.open(others[1], BLEND, 0)
    assert streams.of(session) is None
    others[1].close()
    assert route.post(f"/live/{third.id}", content=jpeg(CAMERA), headers=JPEG).status_code == 410


def test_a_stream_without_frames_ends_and_so_does_one_that_had_its_time(service, session):
    for limits in (replace(LIMITS, live_idle_seconds=0), replace(LIMITS, live_seconds=0)):
        streams = Streams(service.backend, limits)
        streams.open(session, BLEND, 0)
        time.sleep(0.01)
        assert streams.of(session) is None


def test_a_stream_of_nothing_is_refused(streams, session):
    faces = PageRegion("face", FACES, (("sample:cat", 1.0),))
    for blend, calm, words in (
        (replace(BLEND, styles=(), regions=(faces,)), 0, "no regions, and there is no style outside"),
        (replace(BLEND, styles=(("upload:gone", 1.0),)), 0, "not kept here any more"),
        (replace(BLEND, model="vgg19"), 0, "model is 'vgg19'"),
        (BLEND, 2, "calm is 2, must be"),
    ):
        with pytest.raises(ConfigError, match=words):
            streams.open(session, blend, calm)
    assert streams.of(session) is None


# ---------------------------------------------------------------------------------------- a server, and its endpoint


def test_the_endpoint_opens_a_stream_tells_of_it_and_changes_it(served):
    from gradio_client import Client
    from gradio_client.exceptions import AppError

    demo, address = served
    client = Client(address, verbose=False, analytics_enabled=False)
    blend = {"styles": ["sample:marbling", "sample:peacock"], "size": 64}
    job = client.submit(**blend, calm=0, api_name="/live")
    until(job.outputs)
    stream = job.outputs()[0]
    assert stream["text"] == "Waiting for frames"
    with pytest.raises(AppError, match="keep this server busy"):
        client.predict(**blend, api_name="/live")
    place = f"{address.rstrip('/')}{stream['address']}"
    for _ in range(2):
        answer = httpx.post(place, content=jpeg(CAMERA), headers=JPEG, timeout=60)
        assert answer.status_code == 200
    until(lambda: job.outputs()[-1]["frames"] == 2)
    report = client.predict(**blend, strength=0, stream=stream["stream"], api_name="/live")
    assert (report["frames"], report["width"], report["height"]) == (2, 64, 48)
    plain = images.load(httpx.post(place, content=jpeg(CAMERA), headers=JPEG, timeout=60).content).rgb
    assert np.abs(plain - CAMERA).mean() < 0.03
    assert httpx.delete(place).status_code == 204
    until(job.done)
    with pytest.raises(AppError, match="has ended"):
        client.predict(**blend, stream=stream["stream"], api_name="/live")
    client.close()
    assert not demo.service.streams._streams


# -------------------------------------------------------------------------------------------------------- the page

WATCH = """() => {
  const devices = navigator.mediaDevices, ask = devices.getUserMedia.bind(devices);
  devices.getUserMedia = async (wanted) => (window.given = await ask(wanted));
}"""

ENDED = "given.getTracks().every((track) => track.readyState === 'ended')"

COLORS = """() => {
  const mean = (source) => {
    const small = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
    const pen = small.getContext("2d");
    pen.imageSmoothingQuality = "high";
    pen.drawImage(source, 0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const [one, other] = ["canvas", "video"].map((kind) => mean(document.querySelector(`.wct-live ${kind}`)));
  return Math.max(...one.map((value, at) => Math.abs(value - other[at])));
}"""
"""How far the mean colours of the painted and of the camera's picture are apart."""


def frames(page):
    return int(page.locator(".wct-live canvas").get_attribute("data-frames") or 0)


@pytest.mark.browser
def test_the_camera_is_painted_live_follows_a_slider_and_is_let_go(served):
    demo, address = served
    with launched(FAKE_CAMERA) as browser:
        somebody = Visitor(browser, address, DESK)
        page, live = somebody.page, somebody.page.locator(".wct-live")
        somebody.tab("Video")
        page.get_by_role("button", name="Use the webcam").click()
        expect(page.locator(".wct-note")).to_contain_text("The browser does not allow the camera here")
        expect(live).to_be_hidden()
        page.evaluate("Object.defineProperty(navigator, 'mediaDevices', { value: undefined, configurable: true })")
        page.get_by_role("button", name="Use the webcam").click()
        expect(page.locator(".wct-note")).to_contain_text("only to secure addresses: https, or localhost")
        page.evaluate("delete navigator.mediaDevices")
        somebody.context.grant_permissions(["camera"])
        page.evaluate(WATCH)
        other = demo.service.streams.open(Session("other", LIMITS), BLEND, 0)
        page.get_by_role("button", name="Use the webcam").click()
        expect(page.locator(".wct-note")).to_contain_text("Other live streams keep this server busy")
        assert page.evaluate(ENDED)
        demo.service.streams.close(other.id)
        page.get_by_role("button", name="Use the webcam").click()
        until(lambda: frames(page) >= 4)
        assert live.locator(".wct-live-speed").inner_text().startswith("128 × 96 · ")
        expect(page.locator("#wct-stage")).to_be_hidden()
        somebody.shot("live")
        assert page.evaluate(COLORS) > 20
        somebody.tab("Blend")
        shown = somebody.shown
        somebody.slide("#wct-strength input[type=range]", 0)
        page.wait_for_function(f"({COLORS})() < 12")
        assert somebody.shown == shown  # nobody sees a still picture, so none is painted
        page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
        page.wait_for_timeout(300)
        paused = frames(page)
        page.wait_for_timeout(300)
        assert frames(page) == paused
        page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
        until(lambda: frames(page) > paused)
        with page.expect_download() as download:
            live.get_by_role("button", name="Save it").click()
        assert images.load(str(download.value.path())).rgb.shape == (96, 128, 3)
        somebody.after(live.get_by_role("button", name="Stop").click)
        expect(live).to_be_hidden()
        assert page.evaluate(ENDED)
        assert not demo.service.streams._streams
        assert somebody.source.startswith("data:image")
        somebody.tab("Video")
        page.get_by_role("button", name="Use the webcam").click()
        until(lambda: demo.service.streams._streams)
        until(lambda: frames(page) > paused + 3)
        somebody.after(live.get_by_role("button", name="Keep this frame").click)
        assert page.evaluate(ENDED)
        somebody.tab("Blend")
        expect(somebody.chosen()).to_have_text("webcam.jpg")
        expect(page.locator(".wct-status")).to_contain_text("128 × 96")
        somebody.close()
        assert somebody.problems == []
