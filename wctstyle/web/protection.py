"""All parts of the protection in their order, around an app."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from wctstyle.web.admission import Draining, Intake, Rate, Secrets
from wctstyle.web.asgi import App
from wctstyle.web.doors import Doors
from wctstyle.web.exposure import Exposure
from wctstyle.web.metrics import Metrics
from wctstyle.web.stopping import Stopping
from wctstyle.web.watching import Figures, Observed, Probes, Proxied

if TYPE_CHECKING:
    from starlette.middleware import Middleware


def protect(
    exposure: Exposure,
    metrics: Metrics,
    *,
    ready: Callable[[], str] = str,
    stopping: Stopping | None = None,
    opened: Collection[str] = (),
) -> list[Middleware]:
    """Return Starlette's middleware that protects a server, the outermost first: `FastAPI(middleware=protect(...))`.

    A request is counted and logged; freed of what only a proxy may say; answered if it is a probe; checked for Host and
    Origin; refused if it would begin something while the server stops; asked for a secret; answered if it is for
    /metrics; and bounded in number and bytes.

    ready: says why the server takes no work at present, such as "the queue is full"; "" where it does. stopping: says
    whether a stop is wanted. opened: paths that need no secret. uvicorn has to leave proxies to this
    (`proxy_headers=False`).
    """
    from starlette.middleware import Middleware

    stopping = stopping or Stopping()
    return [
        Middleware(Observed, exposure, metrics),
        Middleware(Proxied, exposure),
        Middleware(Probes, ready, stopping),
        Middleware(Doors, exposure, metrics),
        Middleware(Draining, stopping, metrics),
        Middleware(Secrets, exposure, metrics, frozenset(opened)),
        Middleware(Figures, exposure, metrics),
        Middleware(Rate, exposure, metrics),
        Middleware(Intake, exposure, metrics),
    ]


def wrapped(app: App, parts: list[Middleware]) -> App:
    """Put an ASGI app into middleware, the first outermost."""
    for part in reversed(parts):
        app = part.cls(app, *part.args, **part.kwargs)
    return app
