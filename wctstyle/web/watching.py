"""What is seen of requests: who asks, what is counted and logged, and whether the server is well."""

from __future__ import annotations

import time
from collections.abc import Callable

from wctstyle.web.addresses import client_of
from wctstyle.web.asgi import CLIENT, READING, ROUTE, App, Message, Receive, Scope, Send, answer, header, refuse
from wctstyle.web.exposure import Exposure
from wctstyle.web.logs import requests
from wctstyle.web.metrics import CONTENT_TYPE, Metrics
from wctstyle.web.stopping import Stopping

LIVE, READY, FIGURES = "/healthz", "/readyz", "/metrics"
"""Whether the process answers; whether it takes work; figures for Prometheus."""

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")

BELIEVED = (b"x-forwarded-for", b"x-forwarded-proto")
"""Headers of the nearest proxy that count."""

IGNORED = (b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-prefix", b"forwarded")
"""Headers that never do: a proxy passes the header Host on, which is checked."""

TEXT = "text/plain; charset=utf-8"


class Observed:
    """Count and log each request. The outermost part: it sees refusals and faults too."""

    def __init__(self, app: App, exposure: Exposure, metrics: Metrics) -> None:
        self._app, self._exposure, self._metrics = app, exposure, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, and note what came of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        client = scope[CLIENT] = client_of(scope, self._exposure.behind_proxy)
        start, status, sizes = time.perf_counter(), 500, [0, 0]

        async def counted() -> Message:
            message = await receive()
            sizes[0] += len(message.get("body", b""))
            return message

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            sizes[1] += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, counted, noted)
        finally:
            seconds, route = time.perf_counter() - start, route_of(scope)
            method = scope["method"] if scope["method"] in METHODS else "other"
            self._metrics.requests.add(method, route, str(status))
            self._metrics.seconds.add(route, value=seconds)
            self._metrics.received.add(amount=sizes[0])
            if self._exposure.log_format is not None:
                told = {"method": method, "route": route, "status": status, "seconds": round(seconds, 4)}
                told |= {"received": sizes[0], "sent": sizes[1], "client": client}
                named = {"path": scope["path"]} if self._exposure.log_names else {}
                requests.info("request", extra={"request": told | named})


def route_of(scope: Scope) -> str:
    """Return the pattern of a request's path, which names no picture; "other" where nothing has such a path."""
    return scope.get(ROUTE) or getattr(scope.get("route"), "path", None) or "other"


class Proxied:
    """Take what the nearest proxy says of the visitor, or nothing of what anybody says of proxies."""

    def __init__(self, app: App, exposure: Exposure) -> None:
        self._app, self._behind = app, exposure.behind_proxy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass with the scheme of the visitor, or without the headers of proxies."""
        if scope["type"] in ("http", "websocket"):
            if self._behind:
                scheme = (header(scope, "x-forwarded-proto") or "").rpartition(",")[2].strip()
                if scheme in ("http", "https"):
                    scope["scheme"] = scheme if scope["type"] == "http" else scheme.replace("http", "ws")
            dropped = IGNORED if self._behind else (*IGNORED, *BELIEVED)
            scope["headers"] = [pair for pair in scope["headers"] if pair[0] not in dropped]
        await self._app(scope, receive, send)


class Probes:
    """Answer whether the server lives and takes work, to anybody: nothing else is told."""

    def __init__(self, app: App, ready: Callable[[], str], stopping: Stopping) -> None:
        self._app, self._ready, self._stopping = app, ready, stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a probe, and let all else pass."""
        if scope["type"] != "http" or scope["path"] not in (LIVE, READY) or scope["method"] not in READING:
            await self._app(scope, receive, send)
            return
        scope[ROUTE], reason = scope["path"], ""
        if scope["path"] == READY:
            reason = "stopping" if self._stopping.wanted else self._ready()
        body = "" if scope["method"] == "HEAD" else f"{reason or 'ok'}\n"
        await answer(send, 503 if reason else 200, body.encode(), TEXT, [("cache-control", "no-store")])


class Figures:
    """Answer /metrics, where it is wanted, to who is let in."""

    def __init__(self, app: App, exposure: Exposure, metrics: Metrics) -> None:
        self._app, self._wanted, self._metrics = app, exposure.metrics, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and let all else pass."""
        if scope["type"] != "http" or scope["path"] != FIGURES or not self._wanted:
            await self._app(scope, receive, send)
            return
        scope[ROUTE] = FIGURES
        if scope["method"] != "GET":
            await refuse(scope, send, 405, "Figures are read by GET.", [("allow", "GET")])
            return
        await answer(send, 200, self._metrics.render().encode(), CONTENT_TYPE, [("cache-control", "no-store")])
