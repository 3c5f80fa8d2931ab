"""The API as others use it: the examples of docs/api.md against a server, its page in a browser, and the command."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import narrow
import numpy as np
import pytest
from demo_service import chromium, free_port
from test_service import SMALL, studio, until  # noqa: F401 (a fixture)

from wctstyle import images
from wctstyle.recipe import Recipe
from wctstyle.service import Service
from wctstyle.service.app import LOOK_EVERY
from wctstyle.service.jobs import Job, Made, Work
from wctstyle.service.refusals import Refused
from wctstyle.service.running import listening
from wctstyle.web import Exposure

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```(bash|py|javascript)\n(.*?)```", TEXT, re.DOTALL)
RUNNERS = {"bash": ["bash", "-euo", "pipefail", "-c"], "py": [sys.executable, "-c"],
           "javascript": ["node", "--input-type=module", "--eval"]}  # fmt: skip
LONGEST = 20


@pytest.fixture(scope="module")
def server(studio) -> Iterator[str]:  # noqa: F811
    with listening(Service(studio, SMALL)) as address:
        yield address


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    for seed, name in enumerate(("photo.jpg", "painting.jpg", "landscape.jpg")):
        images.save(folder / name, narrow.picture(64, 80, seed=seed))
    images.save(folder / "sky.png", np.tri(64, 80, dtype=np.float32))
    before = narrow.picture(64, 64, seed=3)
    images.save(folder / "before.png", before)
    images.save(folder / "after.png", 1 - before)
    if importlib.util.find_spec("av") is not None:
        from test_video_io import write  # which skips all tests where PyAV is not installed

        write(folder / "clip.mp4", [narrow.picture(64, 80, seed=seed) for seed in range(3)])
    return folder


@pytest.mark.parametrize(("language", "code"), EXAMPLES, ids=[f"{kind}-{at}" for at, (kind, _) in enumerate(EXAMPLES)])
def test_an_example_runs(language, code, server, desk, tiny_weights):
    assert len(code.splitlines()) <= LONGEST
    runner = RUNNERS[language]
    if shutil.which(runner[0]) is None or (language == "bash" and shutil.which("curl") is None):
        pytest.skip(f"{runner[0]} or curl is not installed, so the example in {language} is not run")
    if "kind=video" in code:
        pytest.importorskip("av", reason="videos need PyAV: pip install 'wctstyle[video]'")
        pytest.importorskip("cv2", reason="calm videos need OpenCV: pip install 'wctstyle[video]'")
    command = [*runner, code.replace("http://127.0.0.1:8000", server.rstrip("/"))]
    for left in desk.glob("result*"):
        left.unlink()
    done = subprocess.run(command, cwd=desk, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    if "result.png" in code:
        recipe = Recipe.from_json(images.read_recipe(desk / "result.png") or {})
        assert (recipe.content.name, recipe.styles[0].name) == ("photo.jpg", "painting.jpg")
        assert (recipe.optimisation is not None) == ("optimize" in code)


def test_there_is_an_example_in_each_language():
    assert {language for language, _ in EXAMPLES} == set(RUNNERS)


@pytest.mark.browser
def test_the_page_runs_its_examples_and_loads_nothing_from_elsewhere(server):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page, asked, told = browser.new_page(), [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: told.append(message.text) if message.type == "error" else None)
        page.goto(f"{server}docs")
        once = page.locator("#operations > details", has_text="Paint a photo at once")
        once.locator("summary").first.click()
        once.get_by_role("button", name="Run").click()
        once.get_by_role("img", name="The result").wait_for()
        assert f"{server}v1/stylize" in once.locator("pre").inner_text()
        job = page.locator("#operations > details", has_text="Ask for a job")
        job.locator("summary").first.click()
        job.get_by_label("size", exact=True).fill("32")
        job.get_by_role("button", name="Run").click()
        job.get_by_text("202 application/json").wait_for()
        state = page.locator("#operations > details", has_text="How far a job is")
        state.locator("summary").first.click()
        state.get_by_label("wait", exact=True).fill("30")
        state.get_by_role("button", name="Run").click()
        state.get_by_text('"state": "done"').wait_for()
        assert all(url.startswith((server, "blob:", "data:")) for url in asked), asked
        assert not told
        browser.close()


def test_a_token_is_asked_for_in_the_form_of_the_api(studio):  # noqa: F811
    token = "a token of some length"
    with listening(Service(studio, SMALL), Exposure(token=token, metrics=True)) as address:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{address}v1/models")
        with refused.value as answer:
            assert answer.code == 401
            assert "token" in json.loads(answer.read())["error"]["what"]
        for path in ("docs", "openapi.json"):
            assert urllib.request.urlopen(address + path).status == 200
        known = {"Authorization": f"Bearer {token}"}
        for path, wanted in (("v1/models", "slim"), ("metrics", "wctstyle_queue_length 0")):
            with urllib.request.urlopen(urllib.request.Request(address + path, headers=known)) as answer:
                assert wanted in answer.read().decode()


def test_a_lost_connection_ends_a_picture_but_not_one_with_a_key(studio):  # noqa: F811
    service, gate = Service(studio, SMALL), threading.Event()

    def wait(tell: object) -> list[Made]:
        gate.wait(30)
        return []

    service.jobs.submit(Job("test", Work(wait, lambda error: Refused(422, str(error))), service.jobs.new_folder()))
    with listening(service) as address:
        for key, left in (("", 0), ("Idempotency-Key: one\r\n", 1)):
            host, port = address.removeprefix("http://").rstrip("/").split(":")
            body = "content=sample:cat&style=sample:marbling&size=64"
            head = f"POST /v1/stylize HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(body)}\r\n"
            with socket.create_connection((host, int(port))) as client:
                client.sendall(f"{head}{key}Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}".encode())
                until(lambda: service.jobs.waiting == 1)
            if not left:
                until(lambda: service.jobs.waiting == 0)
        assert not ends_soon(lambda: service.jobs.waiting == 1)
        gate.set()
        until(lambda: not service.jobs.busy)


def ends_soon(true: Any) -> bool:
    """Say whether something stops being true within two looks for a lost connection."""
    end = time.monotonic() + 2 * LOOK_EVERY
    while time.monotonic() < end:
        if not true():
            return True
        time.sleep(0.02)
    return False


def test_the_command_serves_until_it_is_told_to_stop(tiny_weights, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    command = [sys.executable, "-m", "wctstyle", "serve", "--port", str(free_port())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), process.communicate()[1]
        form = b"content=sample:cat&style=sample:marbling&size=64"
        with urllib.request.urlopen(f"{address}v1/stylize", form) as answer:
            assert images.load(answer.read()).width == 64
        assert [path.name for path in tmp_path.glob("wctstyle-serve-*")]
        process.send_signal(signal.SIGTERM)
        told = process.communicate(timeout=60)[1]
        assert process.returncode == 0, told
    assert "Stopping" in told
    assert "Traceback" not in told
    assert not list(tmp_path.glob("wctstyle-serve-*"))
