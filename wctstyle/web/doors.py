"""By which name a server is called, and from whose pages: Host, Origin and CORS."""

from __future__ import annotations

from wctstyle.web.addresses import DEFAULT_PORTS, literal, matches, split_host, split_origin
from wctstyle.web.asgi import READING, App, Message, Receive, Scope, Send, header, refuse
from wctstyle.web.exposure import Exposure
from wctstyle.web.metrics import Metrics

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"

SENT = "authorization, content-type, accept, idempotency-key, last-event-id, x-gradio-user"
"""Headers that pages of allowed origins may send."""

SHOWN = "content-disposition, location, retry-after, x-wctstyle-size, x-wctstyle-rate"
"""Headers of answers that such pages may read."""

PREFLIGHT_SECONDS = "600"


class Doors:
    """Refuse requests under a foreign name, and those that change something from pages of other servers.

    The first is what a page does that had its own name pointed at this machine (DNS rebinding); the second what a page
    does in the name of its visitor (CSRF). Answers carry no other CORS headers than those given here.
    """

    def __init__(self, app: App, exposure: Exposure, metrics: Metrics) -> None:
        self._app, self._refused = app, metrics.refused
        self._hosts, self._numbers = exposure.host_patterns, exposure.numbers_allowed
        self._any_origin = "*" in exposure.allowed_origins
        self._origins = {split_origin(origin) for origin in exposure.allowed_origins if origin != "*"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, answer what browsers ask before they send, or let pass."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if (told := self._foreign_host(scope)) is not None:
            self._refused.add("host")
            await refuse(scope, send, 403, told)
            return
        origin = header(scope, "origin")
        own = origin is None or _same(origin, header(scope, "host") or "")
        let_in = not own and (self._any_origin or split_origin(origin or "") in self._origins)
        reading = scope["type"] == "http" and scope["method"] in READING
        asks = scope["type"] == "http" and scope["method"] == "OPTIONS"
        asks = asks and origin is not None and header(scope, "access-control-request-method") is not None
        crossed = origin is None and header(scope, "sec-fetch-site") in ("cross-site", "same-site")
        if not (own or let_in or reading) or (crossed and not reading) or (asks and not (own or let_in)):
            self._refused.add("origin")
            whose = (origin or "another server")[:100]
            told = f"Pages of {whose} may not use this server. Start it with --allow-origin to let them."
            await refuse(scope, send, 403, told)
            return
        if asks:
            await _permit(send, "*" if self._any_origin else origin or "")
            return
        await self._app(scope, receive, _with_cors(send, origin if let_in else None))

    def _foreign_host(self, scope: Scope) -> str | None:
        """Say what is wrong with the header Host; None if nothing is."""
        given = [value for name, value in scope["headers"] if name == b"host"]
        found = split_host(given[0].decode("latin-1")) if len(given) == 1 else None
        if found is None:
            return "This request does not say in one header Host which server it is for."
        name, _ = found
        if any(matches(name, pattern) for pattern in self._hosts) or (self._numbers and literal(name) is not None):
            return None
        return f"This server is not called {name}. If it should be, start it with --allowed-host {name}."


def _same(origin: str, host: str) -> bool:
    """Say whether a page comes from this server by the name that it is called by."""
    page, asked = split_origin(origin), split_host(host)
    if page is None or asked is None:
        return False
    scheme, name, port = page
    return name == asked[0] and port == (DEFAULT_PORTS[scheme] if asked[1] is None else asked[1])


async def _permit(send: Send, origin: str) -> None:
    """Tell a browser that the request it asks about may be sent."""
    told = {
        "access-control-allow-origin": origin,
        "access-control-allow-methods": METHODS,
        "access-control-allow-headers": SENT,
        "access-control-max-age": PREFLIGHT_SECONDS,
        "vary": "Origin",
    }
    sent = [(name.encode(), value.encode("latin-1")) for name, value in told.items()]
    await send({"type": "http.response.start", "status": 204, "headers": sent})
    await send({"type": "http.response.body", "body": b""})


def _with_cors(send: Send, origin: str | None) -> Send:
    """Take CORS headers out of an answer, and let pages of an origin read it where one is given."""

    async def changed(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [pair for pair in message.get("headers", []) if not pair[0].lower().startswith(b"access-control-")]
            if origin is not None:
                own = {"access-control-allow-origin": origin, "access-control-expose-headers": SHOWN, "vary": "Origin"}
                kept += [(name.encode(), value.encode("latin-1")) for name, value in own.items()]
            message["headers"] = kept
        await send(message)

    return changed
