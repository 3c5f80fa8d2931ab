"""Masks on the page: the palette asks, and the answers reach it by a component that is not seen."""

from __future__ import annotations

from typing import Any

import gradio as gr

from wctstyle.demo import drawing
from wctstyle.demo.friendly import refusals
from wctstyle.demo.layout import QUIET, Layout


class DrawingPanel:
    """The handler of masks. `upload_folder` holds uploads."""

    def __init__(self, page: Layout, upload_folder: str) -> None:
        self.page, self.service, self.upload_folder = page, page.service, upload_folder

    def connect(self) -> None:
        """Connect the palette. Each question has its own answer, by its serial number."""
        asked = self.page.palette.edit  # pyright: ignore[reportAttributeAccessIssue]
        asked(
            self._answer,
            None,
            self.page.masks,
            trigger_mode="multiple",
            concurrency_id="mask",
            concurrency_limit=1,
            **QUIET,
        )

    def _answer(self, request: gr.Request, event: gr.EventData) -> dict[str, Any]:
        """Answer what the page asks of a mask. It waits for the answer, so a refusal is one too."""
        session, asked = self.page._session(request), event._data or {}
        serial = asked.get("serial")
        try:
            with refusals("_answer"):
                return {"serial": serial, **drawing.answer(self.service, session, asked, self.upload_folder)}
        except gr.Error as error:
            return {"serial": serial, "error": str(error.message)}
