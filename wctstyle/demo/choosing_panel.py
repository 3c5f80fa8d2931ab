"""Help with choosing a style on the page: the contact sheet and the order of the styles."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import gradio as gr

from wctstyle.demo import choosing
from wctstyle.demo.friendly import handler, refusals
from wctstyle.demo.layout import QUIET, Layout
from wctstyle.demo.sessions import Session

FAILED = "() => { document.dispatchEvent(new CustomEvent('wct:choices', { detail: { failed: true } })); return []; }"


def _turn(event: gr.EventData) -> float:
    """Return the number of what the page asks for: later ones are larger."""
    turn = (event._data or {}).get("turn")
    return float(turn) if isinstance(turn, int | float) else 0.0


class ChoosingPanel:
    """The handlers of the contact sheet and of the suggestion."""

    def __init__(self, page: Layout) -> None:
        self.page, self.service = page, page.service

    def _session(self, request: gr.Request) -> Session:
        return self.page._session(request)

    def connect(self) -> None:
        """Connect the palette. One sheet is made at a time, as it takes a while; live pictures do not wait for it."""
        page, palette = self.page, self.page.palette
        asked = [page.palette, *page.controls.values()]
        each: dict[str, Any] = {"concurrency_limit": 1, "trigger_mode": "multiple", **QUIET}
        for trigger, action in ((palette.play, self._try), (palette.apply, self._suggest)):  # pyright: ignore
            page._told(trigger(action, asked, page.choices, concurrency_id=action.__name__, **each), js=FAILED)
        palette.stop(self._stop, None, None, queue=False, **QUIET)  # pyright: ignore[reportAttributeAccessIssue]

    def _try(self, request: gr.Request, event: gr.EventData, palette: Any, *values: Any) -> Iterator[dict[str, Any]]:
        """Send the photo in every style, as the pictures come, unless the page asked for something else since."""
        session, turn, made = self._session(request), _turn(event), {}
        session.trying = max(session.trying, turn)

        def stop() -> bool:
            return session.trying != turn or session.closed.is_set()

        with refusals("_try", session):
            asked = event._data or {}
            ids = choosing.check_choice(self.service, asked.get("styles"))
            composition = self.page._composition(palette, *values)
            for made in choosing.tried(self.service, session, composition, ids, stop, asked.get("region")):
                yield {"turn": turn, "made": made, "done": False}
        if not stop():
            yield {"turn": turn, "made": made, "done": True}

    @handler
    def _stop(self, request: gr.Request, event: gr.EventData) -> None:
        """End the sheet that is being made: it was closed, or the photo is another one."""
        session = self._session(request)
        session.trying = max(session.trying, _turn(event))

    @handler
    def _suggest(self, request: gr.Request, event: gr.EventData, palette: Any, *values: Any) -> dict[str, Any]:
        """Say in which order the styles are like the photo."""
        session, composition = self._session(request), self.page._composition(palette, *values)
        ids = choosing.check_choice(self.service, (event._data or {}).get("styles"))
        styles = [session.picture(id) for id in ids if session.holds(id)]
        ordered = choosing.nearest(self.service, session.picture(composition.content), styles, composition.model)
        order = [styles[place].id for _, place in ordered]
        return {"content": composition.content, "order": order, "serial": time.time()}
