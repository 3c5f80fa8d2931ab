"""The live picture on the page: beginning and ending it, and what follows the dials meanwhile."""

from __future__ import annotations

import time
from typing import Any

import gradio as gr

from wctstyle.demo import actions
from wctstyle.demo.composition import Composition
from wctstyle.demo.friendly import handler
from wctstyle.demo.layout import LATEST, QUIET, Layout
from wctstyle.demo.sessions import Session
from wctstyle.demo.streams import Stream
from wctstyle.errors import WctStyleError

BEGIN = "() => { document.dispatchEvent(new CustomEvent('wct:webcam')); return []; }"


class LivePanel:
    """The handlers of the webcam."""

    def __init__(self, page: Layout) -> None:
        self.page, self.service = page, page.service

    def connect(self) -> None:
        """Connect the button in the tab Video, and what the live picture asks for."""
        page, everything = self.page, [self.page.palette, *self.page.controls.values()]
        page.webcam.click(None, None, None, js=BEGIN, **QUIET)
        calm = [] if page.lacking else [page.calm]
        page._told(page.live.submit(self._begin, [*everything, *calm], page.live, concurrency_limit=None, **QUIET))
        page._told(page.live.stop(self._end, everything, page.stage, concurrency_limit=None, **QUIET))
        if calm:
            page._told(page.calm.input(self._calm, calm, None, queue=False, **LATEST))

    def follow(self, request: gr.Request, session: Session, composition: Composition) -> bool:
        """Paint the live picture of a page with another composition; says whether it has one."""
        stream = self._stream(request, session)
        if stream is not None:
            session.composition = composition
            self.service.streams.follow(stream, composition)
        return stream is not None

    def _session(self, request: gr.Request) -> Session:
        return self.page._session(request)

    def _stream(self, request: gr.Request, session: Session) -> Stream | None:
        """Return the stream of a page; one that the same page began before it was loaded anew is none."""
        stream = self.service.streams.of(session)
        return stream if stream is not None and stream.page == request.session_hash else None

    @handler
    def _begin(self, request: gr.Request, palette: Any, *values: Any) -> dict[str, Any]:
        """Begin a stream; what is wrong with that is told where the picture would be."""
        session, count = self._session(request), len(self.page.controls)
        calm = values[count] if len(values) > count else 0.0
        try:
            composition = self.page._composition(palette, *values[:count])
            stream = self.service.streams.open(session, composition, calm, request.session_hash or "")
        except WctStyleError as error:
            return {"text": str(error), "serial": time.time()}
        return {"stream": stream.id, "size": stream.live.size, "serial": time.time()}

    @handler
    def _end(self, request: gr.Request, palette: Any, *values: Any) -> dict[str, Any]:
        """End the stream, and show the photo in what the dials say now."""
        session = self._session(request)
        if (stream := self.service.streams.of(session)) is not None:
            self.service.streams.close(stream.id)
        stage = actions.live(self.service, session, self.page._composition(palette, *values))
        return {**stage, "steps": session.steps.offered}

    @handler
    def _calm(self, request: gr.Request, calm: float) -> None:
        stream = self._stream(request, self._session(request))
        if stream is not None:
            self.service.streams.follow(stream, calm=calm)
