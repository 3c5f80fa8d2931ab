"""A demo with a narrow model, for the tests of the page: a service without a server, and a server to talk to."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import shutil
import socket
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from narrow import NARROW, part, quick_compilation, random_tensors

from wctstyle.demo import Demo, Limits
from wctstyle.demo.actions import Service
from wctstyle.demo.backend import Backend
from wctstyle.demo.server import build, launch
from wctstyle.demo.sessions import Session
from wctstyle.demo.store import Store
from wctstyle.dreams.dreaming import Dreamer
from wctstyle.encoder import MODELS
from wctstyle.optimizer import Optimizer
from wctstyle.stylizer import Stylizer
from wctstyle.web import Exposure

SMALL = Limits(
    max_size=256,
    live_size=128,
    upload_bytes=2 * 2**20,
    upload_pixels=1_000_000,
    uploads=3,
    history=4,
    sessions=40,
    optimise_steps=400,
    optimise_size=64,
    video_bytes=2 * 2**20,
    video_seconds=4,
    video_size=128,
)

ROOT = Path(__file__).resolve().parent.parent


@contextlib.contextmanager
def narrow_backend() -> Iterator[Backend]:
    """A backend that offers two models which take no time, and has a third; programs compile quickly."""
    with quick_compilation(), pytest.MonkeyPatch.context() as patch:
        for name in MODELS:
            patch.setitem(MODELS, name, replace(NARROW, name=name))
        known = {name: random_tensors(seed) for seed, name in enumerate(MODELS)}

        def stylizer(name: str, cache: Any = None) -> Stylizer:
            return Stylizer(name, tensors=known[name], cache=cache)

        def optimizer(name: str) -> Optimizer:
            encoder = {f"encoder/{key}": value for key, value in part(known[name], "encoder").items()}
            return Optimizer(name, tensors=encoder)

        def dreamer(name: str) -> Dreamer:
            return Dreamer(name, tensors=known[name])

        yield Backend(
            stylizer("slim"), offered=("slim", "medium"), make_stylizer=stylizer, make_optimizer=optimizer,
            make_dreamer=dreamer,
        )  # fmt: skip


@contextlib.contextmanager
def narrow_service(limits: Limits = SMALL) -> Iterator[Service]:
    with narrow_backend() as backend:
        yield Service.make(backend, limits)


def free_port() -> int:
    """Choose a port: two servers of tests that look for one at a time may find the same."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def narrow_server(
    folder: Path,
    limits: Limits = SMALL,
    *,
    store: Store | None = None,
    port: int | None = None,
    exposure: Exposure | None = None,
) -> Iterator[tuple[Demo, str]]:
    """A server with that backend. It keeps nothing on disk but in a store that is given."""
    with narrow_backend() as backend, pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "unused"))
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        demo = build(backend, limits=limits, keep=store or False)
        try:
            yield demo, launch(demo, exposure, port=port or free_port(), block=False, warm=False)
        finally:
            demo.close()
            forget_loops()


def forget_loops() -> None:
    """Collect the event loops and sockets that Gradio leaves open here, not in the middle of another test."""
    asyncio.set_event_loop(None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def chromium() -> str:
    """Find Chromium, or skip in one line; in CI there has to be one."""
    found = os.environ.get("WCTSTYLE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found:
        return found
    message = "no Chromium for the browser tests: apt install chromium, or name one in WCTSTYLE_CHROMIUM"
    if os.environ.get("CI") or os.environ.get("WCTSTYLE_NEEDS_BROWSER"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="module")
def _service():
    with narrow_service() as made:
        yield made


@pytest.fixture
def _session(service):
    return Session("somebody", service.limits)


SERVICE_FIXTURES = _service, _session
"""For a module of tests without a server: `service, session = SERVICE_FIXTURES`."""
