"""The demo behind the protection that every server has: its figures, whether it takes work, and its end."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.routes import App, ORJSONResponse
from starlette.middleware import Middleware

from wctstyle.demo.actions import Service
from wctstyle.web import Exposure, Metrics, Stopping, protect, wrapped

STARTS = "/gradio_api/startup-events"
"""Gradio asks itself for this address when it starts, without a secret; to anybody else it says only `false`."""

END_SECONDS = 5.0
"""How long a run may take to end, with the best that it has, once it was told to."""


class ProtectedApp(App):
    """Gradio's app with the protection around all of it: its own CORS would let pages of any server in."""

    def __init__(self, parts: list[Middleware], inner: list[Middleware]) -> None:
        """`inner`: middleware within Gradio's own."""
        super().__init__(default_response_class=ORJSONResponse, middleware=inner)
        self._parts = parts

    def build_middleware_stack(self) -> Any:
        """Put Gradio's stack into the protection."""
        return wrapped(super().build_middleware_stack(), self._parts)


def protected(
    service: Service, blocks: gr.Blocks, exposure: Exposure, stopping: Stopping, inner: list[Middleware]
) -> ProtectedApp:
    """Make the app to serve a page with, whose figures are those of the service."""
    metrics = Metrics()
    pictures = metrics.counter("wctstyle_pictures_total", "Pictures painted in one pass, by model.", ("model",))
    seconds = metrics.histogram("wctstyle_picture_seconds", "Seconds to paint a picture in one pass.", ("model",))
    runs = metrics.counter("wctstyle_runs_total", "Runs of the queue that ended, by kind and end.", ("kind", "end"))
    metrics.gauge("wctstyle_queue_length", "Runs that wait or run.", lambda: service.queue.length)
    metrics.gauge("wctstyle_calls_waiting", "Calls of the page and the API that wait.", lambda: len(blocks._queue))
    metrics.gauge("wctstyle_sessions", "Pages and calls that are remembered.", lambda: len(service.sessions))
    metrics.gauge("wctstyle_held_bytes", "Bytes of pictures and results held.", lambda: service.sessions.nbytes)

    def painted(model: str, taken: float) -> None:
        pictures.add(model)
        seconds.add(model, value=taken)

    service.backend.painted = painted
    service.queue.ended = runs.add

    def ready() -> str:
        full = max(service.queue.length - 1, len(blocks._queue)) >= service.limits.queue_size
        return "the queue is full" if full else ""

    parts = protect(exposure, metrics, ready=ready, stopping=stopping, opened=(STARTS,))
    return ProtectedApp(parts, inner)


def finish(service: Service, blocks: gr.Blocks, stopping: Stopping, seconds: float) -> None:
    """Let what runs end, at most for so long; what still runs then ends with the best that it has."""
    service.queue.close()

    def busy() -> bool:
        calls = any(job is not None for job in blocks._queue.active_jobs) or len(blocks._queue) > 0
        return calls or not service.queue.empty

    if not stopping.finish(busy, seconds):
        service.queue.stop()
        stopping.finish(lambda: not service.queue.empty, END_SECONDS)
