"""What the parts of the protection share: the types of ASGI, headers, and answers of their own."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

Headers = Sequence[tuple[str, str]]

CLIENT = "wctstyle.client"
"""Key of a scope: the address of who asks, as `addresses.client_of` finds it."""

ROUTE = "wctstyle.route"
"""Key of a scope: the pattern of the path, from whoever answers it without Starlette's router."""

READING = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing."""


def header(scope: Scope, name: str) -> str | None:
    """Return the value of a header of a request; of several of the same name the last one, None where there is none."""
    wanted = name.lower().encode()
    found = [value for key, value in scope["headers"] if key == wanted]
    return found[-1].decode("latin-1").strip() if found else None


async def answer(send: Send, status: int, body: bytes, kind: str, headers: Headers = ()) -> None:
    """Answer a request whole."""
    own = [("content-type", kind), ("content-length", str(len(body))), ("x-content-type-options", "nosniff"), *headers]
    sent = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in own]
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": body})


async def refuse(scope: Scope, send: Send, status: int, text: str, headers: Headers = ()) -> None:
    """Refuse a request with the reason as `detail`, as FastAPI does; a websocket is closed before it opens."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": text[:100]})
        return
    body = json.dumps({"detail": text}).encode()
    await answer(send, status, body, "application/json", [("cache-control", "no-store"), *headers])


def retry_after(seconds: float) -> tuple[str, str]:
    """Return the header that says when to come back."""
    return "retry-after", str(max(1, int(seconds + 0.999)))
