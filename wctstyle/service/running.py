"""A server of the API: the app behind the protection that every server has, its figures, and its end."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from starlette.middleware import Middleware

from wctstyle.errors import ConfigError
from wctstyle.service.app import PAGES, make_app
from wctstyle.service.jobs import Job
from wctstyle.service.service import Service
from wctstyle.web import Exposure, Metrics, Stopping, protect, write_logs

START_SECONDS = 30.0
"""How long a server may take to listen."""

FETCH_SECONDS = 3
"""How long answers may take that are on their way when everything else has ended."""


class Worded:
    """Tell refusals of the protection, which has them as `detail`, in the form of this API."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Let a request pass; a refusal in JSON is held until it is whole."""
        held: dict[str, Any] | None = None
        body = b""

        async def worded(message: Any) -> None:
            nonlocal held, body
            if message["type"] == "http.response.start":
                kind = dict(message["headers"]).get(b"content-type", b"")
                if message["status"] >= 400 and kind.startswith(b"application/json"):
                    held = message
                    return
            elif message["type"] == "http.response.body" and held is not None:
                body += message.get("body", b"")
                if message.get("more_body", False):
                    return
                body = _worded(body)
                length = (b"content-length", str(len(body)).encode())
                held["headers"] = [*(pair for pair in held["headers"] if pair[0] != length[0]), length]
                await send(held)
                held, message = None, {"type": "http.response.body", "body": body}
            await send(message)

        await self._app(scope, receive, worded)


def _worded(body: bytes) -> bytes:
    with contextlib.suppress(ValueError):
        found = json.loads(body)
        if isinstance(found, dict) and "error" not in found and isinstance(found.get("detail"), str):
            return json.dumps({"error": {"what": found["detail"], "field": None}}).encode()
    return body


def figures_of(service: Service) -> Metrics:
    """Return the figures of a service."""
    metrics, jobs = Metrics(), service.jobs
    ends = metrics.counter("wctstyle_jobs_total", "Jobs that ended, by kind and end.", ("kind", "end"))
    seconds = metrics.histogram("wctstyle_job_seconds", "Seconds that jobs were at work, by kind.", ("kind",))
    metrics.gauge("wctstyle_queue_length", "Jobs that wait.", lambda: jobs.waiting)
    metrics.gauge("wctstyle_held_bytes", "Bytes of results that are kept.", lambda: jobs.held_bytes)

    def ended(job: Job) -> None:
        ends.add(job.kind, job.state)
        seconds.add(job.kind, value=job.seconds)

    jobs.done = ended
    return metrics


@contextlib.contextmanager
def listening(
    service: Service, exposure: Exposure | None = None, *, port: int = 0, stopping: Stopping | None = None
) -> Iterator[str]:
    """Serve inside a `with` block, which gets the address; port 0 is any that is free. Closes the service at the end.

    Raises:
        ConfigError: nothing can be served there.
    """
    exposure = exposure or Exposure()

    def ready() -> str:
        return "the queue is full" if service.jobs.waiting >= service.limits.queue_size else ""

    parts = protect(exposure, figures_of(service), ready=ready, stopping=stopping, opened=PAGES)
    config = uvicorn.Config(
        make_app(service, [Middleware(Worded), *parts]), host=exposure.host.strip("[]"), port=port,
        log_level="warning", access_log=False, proxy_headers=False, server_header=False,
        timeout_graceful_shutdown=FETCH_SECONDS,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="server", daemon=True)
    try:
        thread.start()
        end = time.monotonic() + START_SECONDS
        while not server.started:
            if not thread.is_alive() or time.monotonic() > end:
                raise ConfigError(f"--host {exposure.host} --port {port}: cannot be served there; choose others")
            time.sleep(0.01)
        write_logs(exposure)
        found = server.servers[0].sockets[0].getsockname()[1]
        host = f"[{config.host}]" if ":" in config.host else config.host
        yield f"http://{host}:{found}/"
    finally:
        server.should_exit = True
        thread.join(FETCH_SECONDS + 2)
        service.close()


def serve(
    service: Service,
    exposure: Exposure,
    *,
    port: int,
    ready: Callable[[str], None],
    stopping: Stopping,
) -> None:
    """Serve until a stop is wanted; `ready` is told the address. What runs may end then, what waits does not begin."""
    with listening(service, exposure, port=port, stopping=stopping) as address, stopping.listening():
        ready(address)
        stopping.wait()
        service.jobs.drain()
        stopping.finish(lambda: service.jobs.busy, exposure.stop_seconds)
