"""The address that takes the frames of a live stream: one picture in, one painted picture out, over plain HTTP."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from concurrent.futures import ThreadPoolExecutor

from wctstyle.demo.guard import HEADERS
from wctstyle.demo.runs import FAULT
from wctstyle.demo.streams import PLACE, Ended, Refused, Streams
from wctstyle.errors import WctStyleError
from wctstyle.web import ROUTE
from wctstyle.web.asgi import App, Message, Receive, Scope, Send

log = logging.getLogger("wctstyle.demo")

SIZE_HEADER, RATE_HEADER = "x-wctstyle-size", "x-wctstyle-rate"
"""Long side in pixels that the next frame is best sent at, and frames painted in a second."""

ADDRESS = re.compile(rf"/{PLACE}/(?P<id>[\w-]{{1,64}})$")


class StreamRoute:
    """ASGI middleware that answers POST (a frame) and DELETE (the end) at the address of a stream."""

    def __init__(self, app: App, streams: Streams, most: int) -> None:
        """`most`: bytes that a frame may have."""
        self.app, self._streams, self._most = app, streams, most
        self._workers = ThreadPoolExecutor(8, thread_name_prefix="wctstyle-stream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a frame, and let all else pass."""
        found = ADDRESS.search(scope["path"]) if scope["type"] == "http" else None
        if found is None or scope["method"] not in ("POST", "DELETE"):
            await self.app(scope, receive, send)
            return
        scope[ROUTE] = f"/{PLACE}/{{id}}"
        try:
            if scope["method"] == "DELETE":
                self._streams.close(found["id"])
                await _answer(send, 204, b"", [])
                return
            self._streams.find(found["id"])  # before what may be megabytes is read
            frame = await self._frame(scope, receive)
            loop = asyncio.get_running_loop()
            painted, stream = await loop.run_in_executor(self._workers, self._streams.paint, found["id"], frame)
            size = stream.live.size
            told = [(SIZE_HEADER, str(size)), (RATE_HEADER, f"{stream.fps:.2f}"), ("cache-control", "no-store")]
            await _answer(send, 200, painted, [("content-type", "image/jpeg"), *told])
        except Refused as refused:
            await _refuse(send, *refused.args)
        except Ended as error:
            await _refuse(send, 410, str(error))
        except WctStyleError as error:
            await _refuse(send, 422, str(error))
        except Exception:
            log.exception("a fault in a live frame")
            await _refuse(send, 500, FAULT)

    async def _frame(self, scope: Scope, receive: Receive) -> bytes:
        """Read a frame.

        Raises:
            Refused: it is no picture by its type, or too large.
        """
        kind = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
        if not kind.startswith(b"image/"):  # which a page of another server may not send without asking
            raise Refused(415, "A frame is a picture, sent as it is, with its Content-Type, such as image/jpeg.")
        frame = bytearray()
        while True:
            message: Message = await receive()
            if message["type"] != "http.request":
                raise Refused(400, "The frame did not arrive whole.")
            frame += message.get("body", b"")
            if len(frame) > self._most:
                raise Refused(413, f"This frame is too large. Frames may have up to {self._most // 2**20} MB.")
            if not message.get("more_body", False):
                return bytes(frame)


async def _answer(send: Send, status: int, body: bytes, headers: list[tuple[str, str]]) -> None:
    own = [(name.encode(), value.encode()) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": [*own, *HEADERS]})
    await send({"type": "http.response.body", "body": body})


async def _refuse(send: Send, status: int, text: str) -> None:
    await _answer(send, status, json.dumps({"detail": text}).encode(), [("content-type", "application/json")])
