"""Building and launching the demo, with everything that keeps a server to itself."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import shutil
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "100")  # times of calls it keeps, 10,000 otherwise
os.environ["FORWARDED_ALLOW_IPS"] = ""  # uvicorn leaves proxies to `wctstyle.web`

import gradio as gr
from gradio.tunneling import CURRENT_TUNNELS
from starlette.middleware import Middleware

from wctstyle import heaps
from wctstyle.codes import codes_cache
from wctstyle.demo import actions, mailboxes
from wctstyle.demo.actions import Service
from wctstyle.demo.api import Endpoints
from wctstyle.demo.backend import CODE_BYTES, Backend
from wctstyle.demo.calls import Check
from wctstyle.demo.composition import Composition
from wctstyle.demo.exposed import finish, protected
from wctstyle.demo.guard import Guard
from wctstyle.demo.limits import Limits
from wctstyle.demo.mailboxes import Mailboxes
from wctstyle.demo.page import Page
from wctstyle.demo.registry import Storage
from wctstyle.demo.store import Store
from wctstyle.demo.stream_route import StreamRoute
from wctstyle.demo.theme import HEAD, asset, theme
from wctstyle.files import temporary_folder
from wctstyle.settings import DEFAULT_MODEL
from wctstyle.stylizer import Stylizer
from wctstyle.web import Exposure, Stopping, check_address, write_logs

CLEAN_EVERY, CLEAN_AFTER = 300, 1800
"""Seconds between looks at the temporary files, and the age at which they go."""

TRIM_EVERY = 30
"""Seconds after which memory that was freed goes back to the system."""

IDLE_SECONDS = 20
KEPT_BYTES = 256 * 2**20
"""After so many quiet seconds a server that has grown by more than this lets go of its caches and programs."""

CLOSE_AFTER = 300
"""Seconds after which a page that lost its connection, and asked for nothing since, is taken for closed."""

WRITE_EVERY = 2
"""Seconds between looks at what changed on the pages, to write it to disk: most that a killed server loses."""

WARM_SHAPES = ((512, 384), (384, 512), (512, 320), (320, 512))
"""Sizes of the family that photos of 4:3, 3:2 and 16:9 fall into at 512 pixels."""


@dataclass
class Demo:
    """A demo that is built: blocks, service, the folder with its temporary files, and the API's checks of arguments."""

    blocks: gr.Blocks
    service: Service
    folder: Path
    calls: Mapping[str, Check]
    closed: threading.Event = field(default_factory=threading.Event)

    def close(self) -> None:
        """Stop serving, and remove what is left on disk."""
        self.closed.set()
        with contextlib.suppress(Exception):
            self.blocks.close(verbose=False)
        for tunnel in list(CURRENT_TUNNELS):
            tunnel.kill()
        self.service.sessions.write()
        shutil.rmtree(self.folder, ignore_errors=True)


def build(
    backend: Backend | None = None,
    *,
    model: str = DEFAULT_MODEL,
    limits: Limits | None = None,
    keep: bool | Storage = False,
) -> Demo:
    """Load the model that is chosen at first, make its first picture (so that it is warm) and build the page.

    `keep`: write what pages hold to disk, into the user's cache folder or a store that is given, so that they find it
    again when the server is restarted.

    Raises:
        ConfigError: `model` is not in the table.
        WeightsError: its weights are missing or damaged.
    """
    limits = limits or Limits()
    store = Store.of_user(limits) if keep is True else keep or None
    service = Service.make(backend or Backend(Stylizer(model, cache=codes_cache(CODE_BYTES))), limits, store)
    folder = temporary_folder("wctstyle-demo-")
    os.environ["GRADIO_TEMP_DIR"] = str(folder / "files")
    exports = folder / "files" / "exports"
    exports.mkdir(parents=True)
    first = Composition(size=limits.live_size, model=service.backend.model)
    opening = service.sessions.get("opening")
    stage = actions.live(service, opening, first)
    stage["note"], stage["milliseconds"] = "", actions.live(service, opening, first)["milliseconds"]
    shot = opening.latest
    if shot is None:
        raise RuntimeError("the first picture was not made")
    service.sessions.close(opening.key)
    with gr.Blocks(
        title="wctstyle", analytics_enabled=False, delete_cache=(CLEAN_EVERY, CLEAN_AFTER), fill_width=True
    ) as blocks:
        Page(blocks, service, first, stage, shot, str(folder / "files"), exports)
        calls = Endpoints(service, str(folder / "files"), exports).connect()
        blocks.unload(_forget(service, blocks))
    blocks.queue(max_size=limits.queue_size, default_concurrency_limit=1)
    return Demo(blocks, service, folder, calls)


def _forget(service: Service, blocks: gr.Blocks) -> Callable[[gr.Request], Awaitable[None]]:
    """Let go of all that is held for a page that was closed, here and in Gradio; one that comes back in time keeps it.

    Gradio calls this when a page's connection ends, which a closed lid does too. It ends the jobs of a page that does
    not listen any more by itself, but keeps what was last shown until many others have come.
    All runs on Gradio's own event loop, so nothing comes in between; the mailbox of a job that still runs is left for
    the next time. A run goes on without its page, and is waited for; so is a page that still sends camera frames.
    """
    gone: set[str] = set()

    def later(key: str, left: float) -> None:
        asyncio.get_running_loop().call_later(CLOSE_AFTER, close, key, left)

    async def forget(request: gr.Request) -> None:
        later(request.session_hash or "", time.monotonic())

    def close(key: str, left: float) -> None:
        if service.sessions.at_work(key):
            later(key, left)
            return
        if not service.sessions.quiet_since(key, left):
            return
        gone.add(key)
        service.sessions.close(key)
        at_work, states = mailboxes.at_work(blocks), blocks.state_holder
        for key in gone - at_work:
            mailboxes.forget(blocks, key)
            with states.lock:
                states.session_data.pop(key, None)
                states.time_last_used.pop(key, None)
        gone.intersection_update(at_work)

    return forget


def clean(folder: Path, age: float, needed: Sequence[Path] = ()) -> None:
    """Delete files and empty folders older than `age` seconds, but for those below folders that are needed.

    Gradio deletes only what it made itself.
    """
    oldest = time.time() - age
    for path in sorted(folder.rglob("*"), reverse=True):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime >= oldest or any(path.is_relative_to(kept) for kept in needed):
                continue
            if path.is_dir() and path.name != "exports":
                path.rmdir()
            elif path.is_file():
                path.unlink()


def tidy(service: Service, began: int) -> None:
    """Give freed memory back. While nobody works, also let go of what makes the next picture quick, if it is much.

    `began`: bytes that were resident when the server had warmed up.
    """
    heaps.trim()
    quiet = service.queue.empty and service.backend.priority.idle() >= IDLE_SECONDS
    if quiet and heaps.resident() > began + KEPT_BYTES:
        service.backend.forget()
        heaps.trim()


def _clean_now_and_then(demo: Demo) -> None:
    cleaned, began = time.monotonic(), 0
    while not demo.closed.wait(TRIM_EVERY):
        demo.service.backend.priority.give_way(TRIM_EVERY)
        began = began or heaps.resident()
        tidy(demo.service, began)
        if time.monotonic() - cleaned >= CLEAN_EVERY:
            cleaned = time.monotonic()
            clean(demo.folder / "files", CLEAN_AFTER, demo.service.queue.folders)
            if demo.service.sessions.store is not None:
                demo.service.sessions.store.sweep()


def _write_now_and_then(demo: Demo) -> None:
    while not demo.closed.wait(WRITE_EVERY):
        demo.service.sessions.write()


def _serve(demo: Demo, exposure: Exposure, port: int | None, stopping: Stopping, more: dict[str, Any]) -> str:
    """Start the server; returns its address."""
    service = demo.service
    inner = [  # frames are no JSON, so the guard does not see them
        Middleware(Mailboxes, demo.blocks),
        Middleware(StreamRoute, service.streams, service.limits.live_bytes),
        Middleware(Guard, demo.folder / "files", demo.calls),
    ]
    _, address, _ = demo.blocks.launch(
        server_name=exposure.host,
        server_port=port,
        share=exposure.share,
        prevent_thread_lock=True,
        quiet=True,
        show_error=False,
        max_file_size=max(service.limits.upload_bytes, service.limits.video_bytes),
        theme=theme(),
        css=asset("demo.css"),
        head=HEAD,
        run_history=False,
        footer_links=["api"],
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        state_session_capacity=service.limits.sessions,
        _app=protected(service, demo.blocks, exposure, stopping, inner),
        _frontend=False,  # else Gradio gives up where its own first page takes three seconds on a busy machine
        **more,
    )
    write_logs(exposure)
    return address


def launch(
    demo: Demo,
    exposure: Exposure | None = None,
    *,
    port: int | None = None,
    block: bool = True,
    warm: bool = True,
    ready: Callable[[str], None] | None = None,
    stopping: Stopping | None = None,
    **more: Any,
) -> str:
    """Serve a demo; returns its address. With `block`, only when it was stopped, and nothing is left on disk then.

    A demo that cannot be served is closed. exposure: where, to whom and how much; by default to this machine alone.
    `warm` compiles in the background what visitors are likely to need; `ready` is told the address once it is served.
    stopping: what says that it is to stop, which Ctrl-C and SIGTERM do; running work may end then.

    Raises:
        ConfigError: the port is taken, or the host is not of this machine.
    """
    exposure, stopping = exposure or Exposure(), stopping or Stopping()
    try:
        check_address(exposure.host, port)
        address = _serve(demo, exposure, port, stopping, more)
    except BaseException:
        demo.close()
        raise
    for name, chore in (("clean", _clean_now_and_then), ("write", _write_now_and_then)):
        threading.Thread(target=chore, args=(demo,), name=name, daemon=True).start()
    if warm:
        work = functools.partial(demo.service.backend.warm, demo.service.limits.styles, WARM_SHAPES)
        threading.Thread(target=work, name="warm", daemon=True).start()
    if not block:
        if ready is not None:
            ready(address)
        return address
    try:
        with stopping.listening():
            if ready is not None:
                ready(address)
            stopping.wait()
            finish(demo.service, demo.blocks, stopping, exposure.stop_seconds)
    except KeyboardInterrupt:
        demo.blocks.server.force_exit = True  # else it waits for who still reads
        raise
    finally:
        demo.close()
    return address


@contextlib.contextmanager
def serving(demo: Demo, **options: Any) -> Iterator[str]:
    """Serve a demo inside a `with` block, which gets its address."""
    try:
        yield launch(demo, block=False, **options)
    finally:
        demo.close()
