"""The demo behind the protection: what strangers get, its figures, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import httpx
import pytest
from demo_service import SMALL, free_port, narrow_server

from wctstyle.demo.exposed import finish
from wctstyle.demo.runs import CLOSED, Queue, Run
from wctstyle.errors import ConfigError
from wctstyle.web import Exposure, Stopping

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
"""Those of Gradio, Starlette and their event loop, which are not ours."""

TOKEN = "a-token-of-24-characters"


@pytest.fixture(scope="module")
def http(tmp_path_factory):
    exposure = Exposure(metrics=True, token=TOKEN)
    with narrow_server(tmp_path_factory.mktemp("demo"), SMALL, exposure=exposure) as (_, address):
        headers = {"authorization": f"Bearer {TOKEN}"}
        with httpx.Client(base_url=address.rstrip("/"), headers=headers, timeout=60) as http:
            yield http


def test_strangers_get_nothing_of_the_page(http):
    assert http.get("/", headers={"authorization": ""}).status_code == 401
    assert http.get("/gradio_api/info", headers={"authorization": "Bearer x"}).status_code == 401
    assert http.get("/", headers={"host": "evil.example"}).status_code == 403
    assert http.get("/healthz", headers={"authorization": ""}).text == "ok\n"
    assert "wct-stage" in http.get("/").text


def test_pages_of_other_servers_get_nothing(http):
    evil = {"origin": "https://evil.example"}
    assert http.post("/gradio_api/call/v2/samples", json={}, headers=evil).status_code == 403
    asks = {**evil, "access-control-request-method": "POST"}
    assert http.options("/gradio_api/upload", headers=asks).status_code == 403
    read = http.get("/config", headers=evil)
    assert not [name for name in read.headers if name.startswith("access-control-")]
    own = {"origin": str(http.base_url).rstrip("/")}
    assert http.post("/gradio_api/call/v2/samples", json={}, headers=own).status_code == 200


def test_what_was_painted_is_counted_and_not_named(http):
    asked = {"content": "sample:cat", "styles": ["sample:peacock"], "size": 64}
    event = http.post("/gradio_api/call/v2/stylize", json=asked).json()["event_id"]
    assert "event: complete" in http.get(f"/gradio_api/call/stylize/{event}").text
    figures = http.get("/metrics").text
    painted = re.search(r'^wctstyle_pictures_total\{model="slim"\} (\d+)$', figures, re.MULTILINE)
    assert painted
    assert int(painted[1]) >= 1
    assert re.search(r'method="POST",route="/gradio_api/call/v2/\{api_name\}",status="200"\} \d', figures)
    assert event not in figures
    for name in ("wctstyle_queue_length", "wctstyle_calls_waiting", "wctstyle_sessions", "wctstyle_held_bytes"):
        assert re.search(rf"^{name} \d+$", figures, re.MULTILINE), name


# ------------------------------------------------------------------------------------------------------------ the end


def run_of(queue, work):
    """Put a run of a session of its own in line."""
    return queue.submit(Run(SimpleNamespace(run=None), work, kind="texture"), most=5)


def step_by_step(until):
    """Work that ends when it is told to, or when `until` is set."""

    def work(stopped):
        while not (stopped.is_set() or until.is_set()):
            yield "a step"
            time.sleep(0.01)
        yield "the best so far"

    return work


def nothing_called():
    return type("Calls", (), {"active_jobs": [None], "__len__": lambda self: 0})()


@pytest.mark.parametrize("soon", [True, False])
def test_what_runs_may_end_and_what_waits_is_let_go(soon):
    queue, until, told = Queue(), threading.Event(), []
    queue.ended = lambda kind, end: told.append((kind, end))
    first = run_of(queue, step_by_step(until))
    end = time.monotonic() + 60
    while first.progress is None:  # it has begun then
        assert time.monotonic() < end
        time.sleep(0.01)
    second = run_of(queue, step_by_step(until))
    assert queue.length == 2
    if soon:
        threading.Timer(0.2, until.set).start()
    service, blocks = SimpleNamespace(queue=queue), SimpleNamespace(_queue=nothing_called())
    finish(service, blocks, Stopping(), 20 if soon else 0.2)
    assert queue.empty
    assert queue.length == 0
    assert (first.state, first.progress, first.error) == ("ended", "the best so far", "")
    assert (second.state, second.progress, second.error) == ("ended", None, CLOSED)
    assert told == [("texture", "done" if soon else "stopped")]
    with pytest.raises(ConfigError, match="is being stopped"):
        run_of(queue, step_by_step(until))


def test_a_stopped_demo_ends_with_0_though_programs_still_compile(tmp_path):
    port = free_port()
    command = [sys.executable, "-m", "wctstyle", "demo", "--port", str(port), "--no-keep", "--log-format", "json"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == f"http://127.0.0.1:{port}/\n"
        assert httpx.get(f"http://127.0.0.1:{port}/readyz").text == "ok\n"
        running.send_signal(signal.SIGTERM)
        _, stderr = running.communicate(timeout=60)
    assert running.returncode == 0, stderr
    assert "Stopping. Running work may take up to 30 seconds" in stderr
    told = [json.loads(line) for line in stderr.splitlines() if line.startswith("{")]
    assert {"route": "/readyz", "status": 200}.items() <= told[-1].items()
    assert not list(tmp_path.glob("wctstyle-demo-*"))
