"""What every request passes first: no fetching of addresses for others, no huge bodies, nothing from elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from gradio.route_utils import FnIndexInferError

from wctstyle.demo.limits import MIB

BODY_BYTES = MIB
"""Most bytes of a JSON body: settings and names, never pictures, which come as uploads."""

POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'"
)
"""The page may load from its own server only. Gradio compiles its templates in the browser, hence 'unsafe-eval'."""

HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def names_address(value: Any) -> bool:
    """Say whether JSON holds a file object that is an address of another server: Gradio would fetch it."""
    if isinstance(value, dict):
        path = value.get("path")
        foreign = isinstance(path, str) and re.match(r"\s*[a-z][a-z0-9+.-]+:", path, re.IGNORECASE)
        return bool(foreign) or any(names_address(item) for item in value.values())
    return isinstance(value, list) and any(names_address(item) for item in value)


class Guard:
    """ASGI middleware around the whole server."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Refuse what is not served here, and let the rest pass."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        if re.search(r"(file|stream|proxy)=\s*[a-z][a-z0-9+.-]*:/", path, re.IGNORECASE):
            await _refuse(send, 403, "Files of other servers are not fetched here.")
            return
        if scope["method"] == "POST" and not _is_upload(scope):
            body = await _read(receive)
            if body is None:
                await _refuse(send, 413, "This request is too large.")
                return
            try:
                foreign = bool(body) and names_address(json.loads(body))
            except (ValueError, RecursionError):
                await _refuse(send, 400, "This request is no JSON.")
                return
            if foreign:
                await _refuse(send, 400, "Upload pictures; addresses are not fetched here.")
                return
            receive = _again(body, receive)

        begun = False

        async def with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        try:
            await self.app(scope, receive, with_headers)
        except (FnIndexInferError, KeyError, TypeError) as error:
            answer = None if begun else _bad_call(path, error)
            if answer is None:
                raise
            await _refuse(send, *answer)


def _bad_call(path: str, error: Exception) -> tuple[int, str] | None:
    """Turn what Gradio raises at calls that cannot be made into an answer; None for everything else."""
    if "/call/" not in path:
        return None
    name = f"/{path.rsplit('/', 1)[-1]}"
    if isinstance(error, FnIndexInferError) or (isinstance(error, KeyError) and error.args[:1] == (name,)):
        return 404, f"There is no endpoint {name}; docs/demo.md and /gradio_api/info list what there is."
    if "required argument" in str(error):
        return 400, f"{error}."
    return None


def _is_upload(scope: MutableMapping[str, Any]) -> bool:
    """Say whether a request brings files: of several content types nobody knows which one counts behind here."""
    kinds = [value for name, value in scope["headers"] if name == b"content-type"]
    return scope["path"].endswith("/upload") and len(kinds) == 1 and kinds[0].startswith(b"multipart/")


async def _read(receive: Receive) -> bytes | None:
    """Read a body, None if it is too large."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return body
        body += message.get("body", b"")
        if len(body) > BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return body


def _again(body: bytes, receive: Receive) -> Receive:
    """Give a body that was read once more, then go on listening."""
    given = False

    async def repeat() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return repeat


async def _refuse(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"application/json"), *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"detail": text}).encode()})
