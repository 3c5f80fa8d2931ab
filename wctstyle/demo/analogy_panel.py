"""Analogy on the page: the photo, filtered as one picture became another."""

from __future__ import annotations

from typing import Any, Literal

import gradio as gr

from wctstyle.demo import analogies, sheets
from wctstyle.demo.extras import ExtraPanel
from wctstyle.demo.friendly import handler
from wctstyle.demo.layout import QUIET, html_part
from wctstyle.demo.pictures import decode, hold, public_name, take_upload
from wctstyle.demo.runs import Run
from wctstyle.demo.sessions import Session
from wctstyle.errors import ConfigError, WctStyleError

Place = Literal["before", "after"]

AUTOMATIC = -1
"""What stands for the paint that the pair needs."""

ACCEPTED = "image/*,.tif,.tiff,.heic,.heif,.avif"


class AnalogyPanel(ExtraPanel):
    """The panel Analogy."""

    kind = "analogy"
    title = "Analogy"
    sentence = (
        "Learns a filter from a picture before and after it, and applies it to the photo. Both need the same size and "
        "the same thing at the same place. Styles play no part."
    )
    button = "Filter the photo"

    def build(self) -> list[Any]:
        """Make the controls."""
        self.before = html_part("chooser", self._chooser("before"), elem_id="wct-analogy-before")
        self.after = html_part("chooser", self._chooser("after"), elem_id="wct-analogy-after")
        paint = gr.Radio(
            [("Automatic", AUTOMATIC), ("None", 0), ("Half", 0.5), ("Full", 1)], value=AUTOMATIC, label="Paint",
            info="Full paints with strokes. Automatic paints only where no filter fits.", elem_id="wct-analogy-paint",
        )  # fmt: skip
        align = gr.Checkbox(
            False, label="Align the pair", info="Cuts moved pictures to what both show.", elem_id="wct-analogy-align"
        )
        return [paint, align]

    def connect(self, opened: Any) -> None:
        """Connect the uploads too, and show the pair that a page had before it was loaded again."""
        super().connect(opened)
        for part, take in ((self.before, self._before), (self.after, self._after)):
            self.page._told(
                part.upload(take, None, part, concurrency_id="upload", trigger_mode="multiple", **QUIET)  # pyright: ignore
            )
        opened.then(self._pair, None, [self.before, self.after], queue=False, **QUIET)

    def _chooser(self, place: Place, session: Session | None = None, problem: str = "") -> dict[str, Any]:
        """Return what the page shows of one of the pair; or why there is none."""
        held = None if session is None else session.pair.get(place)
        text = problem
        if held is not None and not problem:
            height, width = held.pixels.shape[:2]
            text = f"{held.name}, {width} × {height} pixels"
        return sheets.chooser(
            f'Choose the "{place}" picture', ACCEPTED, self.service.limits.upload_bytes, text,
            thumb="" if held is None else held.thumb,
        )  # fmt: skip

    @handler
    def _before(self, request: gr.Request, event: gr.EventData) -> dict[str, Any]:
        return self._take(self._session(request), "before", event._data or {})

    @handler
    def _after(self, request: gr.Request, event: gr.EventData) -> dict[str, Any]:
        return self._take(self._session(request), "after", event._data or {})

    def _take(self, session: Session, place: Place, sent: dict[str, Any]) -> dict[str, Any]:
        """Take one of the pair in; what is wrong with it stands where its name would."""
        limits, name = self.service.limits, public_name(sent.get("name"))
        try:
            picture = decode(take_upload(sent.get("path"), self.upload_folder, limits), limits)
        except WctStyleError as error:
            return self._chooser(place, session, f"{name}: {error}")
        session.put_in_pair(place, hold(picture, place, name, limits.max_size))
        self.service.sessions.make_room()
        return self._chooser(place, session)

    @handler
    def _pair(self, request: gr.Request) -> list[Any]:
        session = self._session(request)
        return [self._chooser("before", session), self._chooser("after", session)]

    def _submit(self, session: Session, *asked: Any) -> Run:
        paint, align, palette, *values = asked
        composition = self.page._composition(palette, *values)
        if lacking := [place for place in ("before", "after") if place not in session.pair]:
            names = " and ".join(f'"{place}"' for place in lacking)
            raise ConfigError(f"Choose the {names} picture{'s' * (len(lacking) > 1)} first.")
        pair = session.pair["before"], session.pair["after"]
        photo = session.picture(composition.content)
        paint = None if paint == AUTOMATIC else paint
        recipe = analogies.recipe_of(self.service, pair, photo, paint=paint, align=align)
        return analogies.submit(self.service, session, pair, photo, recipe, self.export_folder)
