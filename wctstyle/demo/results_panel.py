"""Compare and Download on the page."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import gradio as gr

from wctstyle.demo import downloads, results, sheets
from wctstyle.demo.downloads import Target
from wctstyle.demo.friendly import handler
from wctstyle.demo.layout import LATEST, QUIET, Layout, saying
from wctstyle.demo.recipes import RESULT
from wctstyle.demo.sessions import Session
from wctstyle.errors import ConfigError, WctStyleError


class ResultsPanel:
    """The handlers of the tabs Compare and Download."""

    def __init__(self, page: Layout, export_folder: Path) -> None:
        self.page, self.service, self.export_folder = page, page.service, export_folder

    def _session(self, request: gr.Request) -> Session:
        return self.page._session(request)

    def connect(self, picked: Any) -> None:
        """Connect the buttons and choices."""
        page = self.page
        slow: dict[str, Any] = {**QUIET, "concurrency_id": "slow", "concurrency_limit": 1}
        measured = {"fn": self._measure, "inputs": [page.pair], "outputs": page.sheet, **slow, **LATEST}
        picked.success(self._measuring, page.pair, page.sheet, queue=False, **LATEST).success(**measured)
        latest = page.latest_pair.click(
            self._latest, None, [page.stage, page.pair, page.sheet], concurrency_limit=None, **QUIET
        )
        page._told(latest).success(**measured)
        chosen = [page.which, page.pair, page.format, page.export_size, page.quality]
        everything = [*chosen, page.palette, *page.controls.values()]
        plan = {
            "fn": self._plan,
            "inputs": everything,
            "outputs": [page.plan, page.file, page.mask_files, page.command, page.python],
            "queue": False,
            **LATEST,
        }
        asked = gr.on(
            [
                page.download_tab.select,
                page.plan.submit,  # pyright: ignore[reportAttributeAccessIssue]
                *(component.change for component in (page.which, page.format, page.export_size)),  # pyright: ignore
                page.quality.change,
            ],
            **plan,
        )
        for planned in (asked, picked.success(**plan)):
            planned.then(None, js=saying("wct:planned"), **QUIET)
        page.make_file.click(None, js=saying("wct:busy", "Preparing the file"), **QUIET)
        made = page.make_file.click(self._export, everything, [page.plan, page.file, page.mask_files], **slow)
        page._told(made).then(None, js=saying("wct:busy", False), **QUIET)
        page._told(
            page.write_code.click(
                self._code, everything, [page.mask_files, page.command, page.python], concurrency_limit=None, **LATEST
            )
        )

    # -------------------------------------------------------------------------------------------------------- compare

    def _measuring(self, pair: dict[str, Any]) -> Any:
        return sheets.MEASURING if pair["a"] and pair["b"] else gr.skip()

    @handler
    def _latest(self, request: gr.Request) -> list[Any]:
        session = self._session(request)
        a, b = results.latest_pair(session)
        session.moves += 1
        return [results.pair(session, a, b), {"a": a, "b": b}, sheets.MEASURING]

    @handler
    def _measure(self, request: gr.Request, pair: dict[str, Any]) -> Any:
        if not (pair["a"] and pair["b"]):
            return gr.skip()
        return results.report(self.service, self._session(request), pair["a"], pair["b"])

    # ------------------------------------------------------------------------------------------------------- download

    def _asked(
        self,
        request: gr.Request,
        which: str,
        pair: dict[str, Any],
        format: str,
        size: Any,
        quality: float,
        palette: Any,
        *values: Any,
    ) -> tuple[Target, str, int]:
        """Return what was chosen (what is on screen, the blend or a result, or A or B), its format and quality."""
        session = self._session(request)
        if which in ("a", "b"):
            if not pair[which]:
                raise ConfigError(f"Choose {which.upper()} below a result in the history first.")
            chosen = str(pair[which])
        else:
            chosen = session.on_screen or self.page._composition(palette, *values)
        return downloads.target(self.service, session, chosen, int(size)), format, int(quality)

    @handler
    def _plan(self, request: gr.Request, *asked: Any) -> list[Any]:
        """Say what file comes; one that was made before goes where it is of another picture."""
        session, planned = self._session(request), None
        try:
            planned = self._asked(request, *asked)
            text = downloads.preview(self.service, session, *planned)
        except WctStyleError as error:
            text = str(error)
        same, session.planned = planned is not None and planned == session.planned, planned
        if same:
            return [text, *[gr.skip()] * 4]
        hidden = [gr.DownloadButton(visible=False), gr.DownloadButton(visible=False)]
        return [text, *hidden, gr.Code(visible=False), gr.Code(visible=False)]

    @handler
    def _export(self, request: gr.Request, *asked: Any) -> list[Any]:
        session, folder = self._session(request), Path(tempfile.mkdtemp(dir=self.export_folder))
        session.planned = planned = self._asked(request, *asked)
        wanted, format, quality = planned
        path, _ = downloads.export(self.service, session, wanted, format=format, quality=quality, folder=folder)
        if session.planned != planned:
            raise ConfigError("What you asked for changed while the file was made. Please make the file once more.")
        text = downloads.preview(self.service, session, wanted, format, quality)
        label = f"Download {path.name} ({sheets.size(path)})"
        return [text, gr.DownloadButton(label, value=path, visible=True), self._masks(session, wanted, folder)]

    def _masks(self, session: Session, wanted: Target, folder: Path) -> gr.DownloadButton:
        """Offer the masks that the command of a file names."""
        path = downloads.masks(session, wanted, folder)
        return gr.DownloadButton(value=path, visible=path is not None)

    @handler
    def _code(self, request: gr.Request, *asked: Any) -> list[Any]:
        wanted, session = self._asked(request, *asked)[0], self._session(request)
        recipe = downloads.recipe_for(session, wanted)
        masks = self._masks(session, wanted, Path(tempfile.mkdtemp(dir=self.export_folder)))
        return [masks, gr.Code(recipe.command(RESULT), visible=True), gr.Code(recipe.program(RESULT), visible=True)]
