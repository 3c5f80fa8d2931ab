"""What the panels of the tab Extras have in common: how they are built, and runs that end in a file.

A new one is a subclass of `ExtraPanel` in a file of its own, named in `page.EXTRAS`, and a kind of `runs.RunKind`.
"""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import gradio as gr
import numpy as np

from wctstyle.demo import sheets
from wctstyle.demo.layout import Layout
from wctstyle.demo.pictures import address, thumbnail
from wctstyle.demo.run_panel import RunPanel
from wctstyle.demo.runs import Run
from wctstyle.demo.sessions import Session


@dataclass(frozen=True)
class Progress:
    """How far an extra is, with the picture so far where there is one; at the end with its file.

    repeated: whether the file is shown as tiles, two by two.
    """

    step: int
    steps: int
    text: str
    image: np.ndarray | None = None
    file: Path | None = None
    repeated: bool = False

    @cached_property
    def thumb(self) -> str:
        """The picture so far as a small address."""
        return "" if self.image is None else thumbnail(self.image)

    @cached_property
    def shown(self) -> str:
        """The picture so far as an address."""
        return "" if self.image is None else address(self.image)


class Stopped(Exception):
    """Raised within a work that is to end, and caught by who began it."""


class ExtraPanel(RunPanel):
    """A panel of the tab Extras: an accordion with a sentence, controls, two buttons and the result.

    title, sentence, button: what it says. opened: whether it is open at first. Its elements have ids that begin with
    "wct-" and its kind.
    """

    title: ClassVar[str]
    sentence: ClassVar[str]
    button: ClassVar[str]
    opened: ClassVar[bool] = False

    def __init__(self, page: Layout, upload_folder: str, export_folder: Path) -> None:
        super().__init__(page)
        self.upload_folder, self.export_folder = upload_folder, export_folder

    @abc.abstractmethod
    def build(self) -> list[Any]:
        """Make the controls; returns those whose values `_submit` takes, after the session."""

    def connect(self, opened: Any) -> None:
        """Build the panel into its tab, and connect it."""
        page, id = self.page, f"wct-{self.kind}"
        with page.extras, gr.Accordion(self.title, open=self.opened, elem_id=f"{id}-panel"):
            gr.Markdown(self.sentence)
            own = self.build()
            with gr.Row():
                self.start = gr.Button(self.button, variant="primary", scale=2, min_width=100, elem_id=f"{id}-start")
                stop = gr.Button("Stop", min_width=100, elem_id=f"{id}-stop")
            report = gr.HTML(
                sheets.NO_EXTRA, apply_default_css=False, elem_id=f"{id}-report", elem_classes="wct-extra",
                min_height=60,
            )  # fmt: skip
        asked = [*own, page.palette, *page.controls.values()]
        self.connect_run(opened, asked, report=report, start=self.start, stop=stop, also=self.starts())

    def starts(self) -> list[Any]:
        """Return events besides the click that start a run."""
        return []

    def _lasts(self, run: Run) -> bool:
        now = run.progress
        return now is not None and now.file is not None and now.file.is_file()

    def _told(self, now: Progress) -> str:
        return sheets.working(now.step, now.steps, now.text, now.shown)

    async def _ending(self, session: Session, run: Run) -> AsyncIterator[list[Any]]:
        now = run.progress
        if run.error or now is None or now.file is None:
            yield [sheets.failed(run.error) if run.error else sheets.STOPPED, sheets.NO_RUN]
        else:
            yield [sheets.made(now.text, now.file, repeated=now.repeated), sheets.NO_RUN]
