"""What every request passes first: no fetching of addresses for others, no huge bodies, nothing from elsewhere."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wctstyle.demo.calls import Check
from wctstyle.demo.limits import MIB
from wctstyle.demo.pictures import uploaded
from wctstyle.errors import ConfigError
from wctstyle.web.asgi import App, Message, Receive, Scope, Send

BODY_BYTES = MIB
"""Most bytes of a JSON body: settings and names, never pictures, which come as uploads."""

NAME_BYTES, PATH_CHARACTERS = 255, 2000
"""What a file's name and a path hold at most; operating systems fail at longer ones."""

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


CALL = re.compile(r"/(?P<how>call/v2|call|run|api)/(?P<name>[^/]+)/?$")
"""The end of a path that calls an endpoint: `call` takes arguments by place, `call/v2` by name, the others no names."""

UPLOADS_ONLY = "{}: no upload of this server. Upload the picture first (POST /gradio_api/upload); nothing else is read."


class Refused(Exception):
    """A request that is answered here: status and text."""


def foreign_file(value: Any, folder: Path) -> str | None:
    """Return the path of a file object in JSON that Gradio would fetch from elsewhere, or refuse without a word."""
    if isinstance(value, dict):
        path, meta = value.get("path"), value.get("meta")
        if isinstance(path, str) and re.match(r"\s*[a-z][a-z0-9+.-]+:", path, re.IGNORECASE):
            return path
        if isinstance(meta, dict) and meta.get("_type") == "gradio.FileData" and uploaded(path, folder) is None:
            return str(path)
        value = list(value.values())
    if not isinstance(value, list):
        return None
    return next((path for path in (foreign_file(item, folder) for item in value) if path is not None), None)


class Guard:
    """ASGI middleware around the whole server. `folder` holds the uploads; `calls` are the endpoints by name."""

    def __init__(self, app: App, folder: Path, calls: Mapping[str, Check]) -> None:
        self.app, self.folder, self.calls = app, folder, calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse what is not served here, and let the rest pass."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            _check_path(scope["path"])
            if scope["method"] == "POST" and not _is_upload(scope):
                receive = _again(self._checked(scope["path"], await _read(receive)), receive)
        except Refused as refused:
            await _refuse(send, *refused.args)
            return

        begun = False

        async def with_headers(message: Message) -> None:
            nonlocal begun
            begun = True
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        try:
            await self.app(scope, receive, with_headers)
        except TypeError:  # so Gradio tells that a field of an upload is no file
            if begun or not _is_upload(scope):
                raise
            await _refuse(send, 400, 'This form has no files; send them in the field "files", each with a filename.')

    def _checked(self, path: str, body: bytes) -> bytes:
        """Return a body that may pass; a call by place has all its arguments then."""
        try:
            sent = json.loads(body, parse_constant=_finite, parse_float=_finite) if body else None
            foreign = foreign_file(sent, self.folder)
        except (ValueError, RecursionError):
            raise Refused(400, "This request is no JSON.") from None
        if foreign is not None:
            raise Refused(400, UPLOADS_ONLY.format(repr(foreign[:80])))
        call = CALL.search(path)
        if call is None:
            return body
        how, name, asked = call["how"], call["name"][:80], sent if isinstance(sent, dict) else {}
        if how in ("run", "api"):
            if not isinstance(asked.get("fn_index"), int):  # which is how the page calls
                raise Refused(404, f"Nothing is called by /{how} here; use /gradio_api/call/{name}.")
            return body
        if name not in self.calls:
            names = ", ".join(f"/{known}" for known in self.calls)
            raise Refused(404, f"There is no endpoint /{name}; there are {names}.")
        try:
            if how == "call/v2" and isinstance(sent, dict):
                self.calls[name]((), sent)
            elif isinstance(asked.get("data"), list):
                data = self.calls[name](asked["data"], {})
                return json.dumps({**asked, "data": list(data.values())}).encode()
        except ConfigError as error:
            raise Refused(422, str(error)) from error
        return body  # of another form, which Gradio tells


def _finite(text: str) -> float:
    """Read a number of JSON; none is NaN or infinite there, though Python reads and writes such."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is no number of JSON")
    return value


def _check_path(path: str) -> None:
    """Refuse paths that lead to other servers, and those that no file can have.

    Raises:
        Refused: it is one.
    """
    if re.search(r"(file|stream)=\s*[a-z][a-z0-9+.-]*:/|/proxy=", path, re.IGNORECASE):
        raise Refused(403, "Files of other servers are not fetched here.")
    parts = path.encode(errors="replace").split(b"/")
    if re.search(r"[\0-\x1f\x7f]", path) or max(map(len, parts)) > NAME_BYTES or len(path) > PATH_CHARACTERS:
        raise Refused(404, "There is nothing of this name.")


def _is_upload(scope: Scope) -> bool:
    """Say whether a request brings files: of several content types nobody knows which one counts behind here."""
    kinds = [value for name, value in scope["headers"] if name == b"content-type"]
    return scope["path"].endswith("/upload") and len(kinds) == 1 and kinds[0].startswith(b"multipart/")


async def _read(receive: Receive) -> bytes:
    """Read a body.

    Raises:
        Refused: it is too large.
    """
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return body
        body += message.get("body", b"")
        if len(body) > BODY_BYTES:
            raise Refused(413, "This request is too large.")
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
