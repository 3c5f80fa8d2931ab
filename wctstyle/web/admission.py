"""Who is let in and how much each may ask: secrets, requests a minute, bytes an hour, and nothing new at the end."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from wctstyle.web.asgi import CLIENT, READING, App, Message, Receive, Scope, Send, header, refuse, retry_after
from wctstyle.web.buckets import Buckets
from wctstyle.web.exposure import Exposure
from wctstyle.web.metrics import Metrics
from wctstyle.web.stopping import Stopping

GUESSES, GUESS_SECONDS = 10, 60.0
"""Wrong secrets of one client, and the seconds in which it may try as many again."""

COME_BACK = 30.0
"""Seconds after which another server, or this one anew, may be there."""

ALL = ""
"""The name of all clients together."""


class Draining:
    """Take no new work once a stop is wanted; what has begun can still be followed and fetched."""

    def __init__(self, app: App, stopping: Stopping, metrics: Metrics) -> None:
        self._app, self._stopping, self._refused = app, stopping, metrics.refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse what would begin something, and let all else pass."""
        begins = scope["type"] == "websocket" or (scope["type"] == "http" and scope["method"] not in READING)
        if begins and self._stopping.wanted:
            self._refused.add("stopping")
            told = [retry_after(COME_BACK), ("connection", "close")]
            await refuse(scope, send, 503, "This server is being stopped. Please try again in a minute.", told)
            return
        await self._app(scope, receive, send)


class Secrets:
    """Ask for the token or the password, where there is one.

    Secrets are compared by their hashes in constant time. After ten wrong ones, a client has to wait six seconds for
    each further try, and even a right one is not looked at until then.
    """

    def __init__(self, app: App, exposure: Exposure, metrics: Metrics, opened: frozenset[str]) -> None:
        """`opened`: paths that need no secret."""
        self._app, self._refused, self._opened = app, metrics.refused, opened
        self._token = _digest(exposure.token) if exposure.token else None
        self._password = _digest(exposure.password) if exposure.password else None
        self._guesses = Buckets(GUESSES, GUESS_SECONDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse who does not know a secret."""
        asked = scope["type"] in ("http", "websocket") and (self._token or self._password)
        if not asked or scope["path"] in self._opened:
            await self._app(scope, receive, send)
            return
        client, given = scope[CLIENT], header(scope, "authorization")
        if given is not None and self._guesses.left(client) < 1:
            self._refused.add("guesses")
            told = [retry_after(self._guesses.wait(client))]
            await refuse(scope, send, 429, "Too many wrong secrets came from your address. Please wait.", told)
            return
        if given is not None and self._right(given):
            await self._app(scope, receive, send)
            return
        if given is not None:
            self._guesses.take(client)
        self._refused.add("secret")
        kind = 'Basic realm="wctstyle", charset="UTF-8"' if self._password else 'Bearer realm="wctstyle"'
        text = "This server asks for a secret: " + " or ".join(
            (["its password"] if self._password else [])
            + (["its token, as the header Authorization: Bearer TOKEN"] if self._token else [])
        )
        await refuse(scope, send, 401, f"{text}.", [("www-authenticate", kind)])

    def _right(self, given: str) -> bool:
        kind, _, value = given.partition(" ")
        if kind.lower() == "bearer":
            return _equal(value.strip(), self._token)
        if kind.lower() == "basic":
            try:
                user_and_password = base64.b64decode(value.strip(), validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                return False
            return _equal(user_and_password.partition(":")[2], self._password)
        return False


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _equal(given: str, digest: bytes | None) -> bool:
    return digest is not None and hmac.compare_digest(_digest(given), digest)


class Rate:
    """Answer each client so many requests a minute: all at once or spread, and no more."""

    def __init__(self, app: App, exposure: Exposure, metrics: Metrics) -> None:
        self._app, self._refused, most = app, metrics.refused, exposure.requests_a_minute
        self._left = Buckets(most, 60.0) if most else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse what is too much."""
        if scope["type"] in ("http", "websocket") and self._left and not self._left.take(scope[CLIENT]):
            self._refused.add("rate")
            told = [retry_after(self._left.wait(scope[CLIENT]))]
            await refuse(scope, send, 429, "Too many requests came from your address. Please wait a moment.", told)
            return
        await self._app(scope, receive, send)


class Intake:
    """Take so many bytes an hour from each client, and from all of them."""

    def __init__(self, app: App, exposure: Exposure, metrics: Metrics) -> None:
        self._app, self._refused = app, metrics.refused
        limits = exposure.client_upload_bytes, exposure.all_upload_bytes
        self._each, self._all = (Buckets(most, 3600.0) if most else None for most in limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a body that is too much by its own word, or cut it where it becomes too much."""
        if scope["type"] != "http" or not (self._each or self._all):
            await self._app(scope, receive, send)
            return
        begun = cut = False

        async def bounded() -> Message:
            nonlocal cut
            message = await receive() if not cut else {"type": "http.disconnect"}
            size = len(message.get("body", b""))
            if not size or self._take(scope[CLIENT], size):
                return message
            cut = True
            if not begun:
                await self._refuse(scope, send, size)
            return {"type": "http.disconnect"}

        async def told(message: Message) -> None:
            nonlocal begun
            if not cut or begun:
                begun = True
                await send(message)

        declared = header(scope, "content-length") or ""
        if declared.isdecimal() and not self._room(scope[CLIENT], int(declared)):
            await self._refuse(scope, send, int(declared))
            return
        try:
            await self._app(scope, bounded, told)
        except Exception:
            if not cut:  # else it is of the body that ended too early, and was answered
                raise

    def _buckets(self, client: str) -> list[tuple[Buckets, str]]:
        return [(found, name) for found, name in ((self._each, client), (self._all, ALL)) if found is not None]

    def _room(self, client: str, size: int) -> bool:
        return all(found.left(name) >= size for found, name in self._buckets(client))

    def _take(self, client: str, size: int) -> bool:
        return self._room(client, size) and all(found.take(name, size) for found, name in self._buckets(client))

    async def _refuse(self, scope: Scope, send: Send, size: int) -> None:
        self._refused.add("uploads")
        buckets = self._buckets(scope[CLIENT])
        if any(size > found.most for found, _ in buckets):
            most = min(found.most for found, _ in buckets) // 2**20
            await refuse(scope, send, 413, f"This is too large: up to {most:g} MiB are taken in an hour.")
            return
        wait = max(found.wait(name, size) for found, name in buckets)
        text = "Too much was sent here in the last hour. Please try again later."
        await refuse(scope, send, 413, text, [retry_after(wait)])
