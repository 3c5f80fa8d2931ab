"""What the panels of the tab Extras have in common: how they are built, and runs that end in a file.

A new one is a subclass of `ExtraPanel` in a file of its own, named in `page.EXTRAS`, and a kind of `runs.RunKind`.
"""

from __future__ import annotations

import abc
import tempfile
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import gradio as gr
import numpy as np

from wctstyle.analogies.recipe import AnalogyRecipe
from wctstyle.demo import sheets
from wctstyle.demo.downloads import write
from wctstyle.demo.pictures import address, thumbnail
from wctstyle.demo.run_panel import FilePanel
from wctstyle.demo.sheets import duration
from wctstyle.dreams.recipe import DreamRecipe
from wctstyle.textures.recipe import TextureRecipe


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


def finished(
    name: str,
    image: np.ndarray,
    alpha: np.ndarray | None,
    recipe: TextureRecipe | DreamRecipe | AnalogyRecipe,
    folder: Path,
    *,
    began: float,
    more: str = ".",
    repeated: bool = False,
) -> Progress:
    """Write what was made into a new folder, and say how large it is and how long it took.

    began: when it was, by the monotonic clock. more: how the sentence ends.

    Raises:
        ImageError: the file cannot be written.
    """
    file = write(Path(tempfile.mkdtemp(dir=folder)) / name, image, alpha, quality=100, recipe=recipe)
    height, width = image.shape[:2]
    text = f"Done: {width} × {height} pixels in {duration(time.monotonic() - began)}{more}"
    return Progress(1, 1, text, image, file, repeated)


class Stopped(Exception):
    """Raised within a work that is to end, and caught by who began it."""


class ExtraPanel(FilePanel):
    """A panel of the tab Extras: an accordion with a sentence, controls, two buttons and the result.

    title, sentence, button: what it says. opened: whether it is open at first. Its elements have ids that begin with
    "wct-" and its kind.
    """

    title: ClassVar[str]
    sentence: ClassVar[str]
    button: ClassVar[str]
    opened: ClassVar[bool] = False
    stopped = sheets.STOPPED

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

    def _told(self, now: Progress) -> str:
        return sheets.working(now.step, now.steps, now.text, now.shown)

    def _made(self, now: Progress) -> str:
        assert now.file is not None
        return sheets.made(now.text, now.file, repeated=now.repeated)
