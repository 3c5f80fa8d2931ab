"""The page: which action each component calls. Everything is computed in `actions`, `optimising` and `results`."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from wctstyle.demo import actions, memory, results
from wctstyle.demo.actions import Service
from wctstyle.demo.analogy_panel import AnalogyPanel
from wctstyle.demo.choosing_panel import ChoosingPanel
from wctstyle.demo.composition import Composition, read_palette
from wctstyle.demo.drawing_panel import DrawingPanel
from wctstyle.demo.dream_panel import DreamPanel
from wctstyle.demo.friendly import handler, note
from wctstyle.demo.layout import LATEST, QUIET, SLOW_DIALS, Layout, saying
from wctstyle.demo.live_panel import LivePanel
from wctstyle.demo.optimise_panel import OptimisePanel
from wctstyle.demo.pictures import PictureKind
from wctstyle.demo.results_panel import ResultsPanel
from wctstyle.demo.sessions import upload_id
from wctstyle.demo.texture_panel import TexturePanel
from wctstyle.demo.theme import asset
from wctstyle.demo.video_panel import VideoPanel
from wctstyle.errors import WctStyleError

EXTRAS = (TexturePanel, DreamPanel, AnalogyPanel)
"""The panels of the tab Extras, in their order."""

LIVE_JOBS = 2
"""Pictures rendered at the same time; more would only share the same cores."""


def _kind(data: dict[str, Any]) -> PictureKind:
    return "style" if data.get("kind") == "style" else "content"


class Page(Layout):
    """The page in the current `gr.Blocks`, connected with a service."""

    def __init__(
        self,
        blocks: gr.Blocks,
        service: Service,
        first: Composition,
        stage: dict[str, Any],
        rendered: tuple[Composition, np.ndarray, float],
        upload_folder: str,
        export_folder: Path,
    ) -> None:
        super().__init__(service, first, stage)
        self.blocks, self.first_rendered = blocks, rendered
        self.upload_folder, self.export_folder = upload_folder, export_folder
        self.live_panel = LivePanel(self)
        self._connect()

    # --------------------------------------------------------------------------------------------------- connections

    def _connect(self) -> None:
        everything = [self.palette, *self.controls.values()]
        live: dict[str, Any] = {**QUIET, "concurrency_id": "live", "concurrency_limit": LIVE_JOBS}
        shown: dict[str, Any] = {**live, **LATEST, "outputs": self.stage}

        moved = gr.on(
            [
                self.palette.input,
                *(control.input for name, control in self.controls.items() if name not in SLOW_DIALS),  # pyright: ignore
            ],
            self._live,
            everything,
            **shown,
        )
        self._told(moved, js=saying("wct:failed"))
        opened = self.blocks.load(
            self._open, None, [self.strip, self.shelf, *everything], js=asset("memory.js"), **live
        )
        opened = self._told(opened).then(self._resume, [self.shelf, *everything], self.stage, **live)
        uploaded = self.palette.upload(
            self._upload,
            [self.palette],
            [self.shelf, *everything],
            concurrency_id="upload",
            concurrency_limit=1,
            trigger_mode="multiple",
            **QUIET,
        )
        self._told(self._told(uploaded).then(self._live_if_restored, [self.shelf, *everything], **shown))
        self._told(self.palette.delete(self._remove, None, self.shelf, trigger_mode="multiple", **QUIET))
        step = self.palette.undo(self._step, everything, everything, trigger_mode="multiple", queue=False, **QUIET)
        self._told(self._told(step, js=saying("wct:stepped")).success(self._live, everything, **shown))
        step.then(None, js=saying("wct:stepped"), trigger_mode="multiple", **QUIET)
        worn = self.palette.example_select(  # pyright: ignore[reportAttributeAccessIssue]
            self._wear, everything, [self.told, *everything], trigger_mode="multiple", **QUIET
        )
        self._told(self._told(worn).success(self._live, everything, **shown))
        self._told(self.palette.download(self._save_look, everything, self.choices, trigger_mode="multiple", **QUIET))
        self._told(self.strip.upload(self._use, None, self.shelf, trigger_mode="multiple", **QUIET))
        self._told(self.strip.submit(self._settle, everything, self.strip, **{**live, **LATEST}))
        picked = self.strip.select(
            self._pick, None, [self.stage, self.pair, *everything], trigger_mode="multiple", **live
        )
        self._told(picked)
        self.live_panel.connect()
        ChoosingPanel(self).connect()
        DrawingPanel(self, self.upload_folder).connect()
        OptimisePanel(self).connect(opened)
        if not self.lacking:
            VideoPanel(self, self.upload_folder, self.export_folder).connect(opened)
        for extra in EXTRAS:
            extra(self, self.upload_folder, self.export_folder).connect(opened)
        ResultsPanel(self, self.export_folder).connect(picked)

    # Each handler is one action of `actions` for the session of the page that asked.

    @handler
    def _open(self, request: gr.Request) -> list[Any]:
        """Begin, or go on where the page was left."""
        session = self._session(request)
        session.before_shown = (self.first.content, self.first.size)
        if not session.history:
            session.latest = self.first_rendered
            actions.keep(self.service, session, self.first)
        composition = memory.resumed(self.service, session)
        session.steps.record(composition or self.first)
        if composition is None:
            return [actions.strip(session), *[gr.skip()] * (2 + len(self.controls))]
        return [actions.strip(session), memory.news(session), *self._updates(composition)]

    @handler
    def _resume(self, request: gr.Request, news: Any, palette: Any, *values: Any) -> Any:
        """Show the blend of a page that came back, unless it was moved on from there already."""
        session = self._session(request)
        if not (isinstance(news, dict) and news.get("resumed")) or session.mover == request.session_hash:
            return gr.skip()
        return memory.stage(self.service, session, self._composition(palette, *values))

    @handler
    def _live(self, request: gr.Request, palette: Any, *values: Any) -> dict[str, Any]:
        session = self._session(request)
        session.moves, session.mover = session.moves + 1, getattr(request, "session_hash", None)
        composition = self._composition(palette, *values)
        session.steps.record(composition)
        if self.live_panel.follow(request, session, composition):
            session.steps.rest()
            return {"live": True, "steps": session.steps.offered, "serial": time.time()}
        stage = actions.live(self.service, session, composition)
        session.steps.rest()
        return {**stage, "steps": session.steps.offered}

    @handler
    def _settle(self, request: gr.Request, palette: Any, *values: Any) -> list[dict[str, Any]]:
        session = self._session(request)
        actions.keep(self.service, session, self._composition(palette, *values))
        return actions.strip(session)

    @handler
    def _upload(self, request: gr.Request, event: gr.EventData, palette: Any) -> list[Any]:
        """Take a file in. The page waits for news of its shelf, so a refusal is told there too."""
        session, data = self._session(request), event._data or {}
        untouched = [gr.skip()] * (1 + len(self.controls))
        try:
            shown = read_palette(palette, self.service.limits)
            added = actions.add_upload(
                self.service,
                session,
                data.get("path"),
                self.upload_folder,
                data.get("name"),
                shown=shown,
            )
        except WctStyleError as error:
            return [actions.shelf_news(session, note=note(str(error), "error")), *untouched]
        restored = {"restored": True, "note": note(added.message, "good")}
        if added.composition is not None:
            missing = [upload_id(hash) for hash in session.awaited.hashes]  # the page may know how they look
            return [actions.shelf_news(session, missing=missing, **restored), *self._updates(added.composition)]
        id = added.held.id if added.held else ""
        kinds = (_kind(data),) if added.palette is None else added.kinds
        for kind in kinds:
            session.put_on_shelf(id, kind)
        if added.palette is not None:
            arrived = {"id": id, "kinds": kinds, "use": False}
            news = actions.shelf_news(session, added=arrived, masks=added.masks, **restored)
            return [news, added.palette, *untouched[1:]]
        use = data.get("use") is not False
        return [actions.shelf_news(session, added={"id": id, "kinds": kinds, "use": use}), *untouched]

    @handler
    def _live_if_restored(self, request: gr.Request, news: Any, palette: Any, *values: Any) -> Any:
        if not (isinstance(news, dict) and news.get("restored")):
            return gr.skip()
        return self._live(request, palette, *values)

    @handler
    def _remove(self, request: gr.Request, event: gr.EventData) -> dict[str, Any]:
        session = self._session(request)
        session.remove(str((event._data or {}).get("id")))
        return actions.shelf_news(session)

    @handler
    def _use(self, request: gr.Request, event: gr.EventData) -> dict[str, Any]:
        """Take a result of the history as photo or style."""
        session, data = self._session(request), event._data or {}
        held = actions.use_result(self.service, session, str(data.get("id")))
        session.put_on_shelf(held.id, _kind(data))
        return actions.shelf_news(session, added={"id": held.id, "kinds": [_kind(data)], "use": True})

    @handler
    def _step(self, request: gr.Request, event: gr.EventData, palette: Any, *values: Any) -> list[Any]:
        """Undo or redo: set the palette and every control to the step before or after."""
        session, shown = self._session(request), self._composition(palette, *values)
        go = session.steps.redo if (event._data or {}).get("redo") else session.steps.undo
        composition = go(shown, lambda step: actions.repaired(session, step, shown))
        return [gr.skip()] * (1 + len(self.controls)) if composition is None else self._updates(composition)

    @handler
    def _wear(self, request: gr.Request, event: gr.EventData, palette: Any, *values: Any) -> list[Any]:
        """Put the photo into a look: set the blend and every dial, as one step."""
        session, shown = self._session(request), self._composition(palette, *values)
        added = actions.wear(self.service, session, (event._data or {}).get("look"), shown=shown)
        assert added.composition is not None
        composition = replace(added.composition, size=shown.size)
        return [{**note(added.message, "good"), "serial": time.time()}, *self._updates(composition)]

    @handler
    def _save_look(self, request: gr.Request, palette: Any, *values: Any) -> dict[str, Any]:
        """Send the look of the page as the text of a file."""
        session = self._session(request)
        look = actions.look_of(session, self._composition(palette, *values))
        return {"look": look["name"], "text": json.dumps(look, indent=2) + "\n", "serial": time.time()}

    @handler
    def _pick(self, request: gr.Request, event: gr.EventData) -> list[Any]:
        """A result was tapped: show it with its settings, or take it as a side of the comparison.

        The page says what both sides are: of two quick taps the second does not see here what the first changed.
        """
        session, data = self._session(request), event._data or {}
        untouched = [gr.skip()] * (1 + len(self.controls))
        id, action = str(data.get("id")), data.get("action")
        if action == "open":
            session.moves += 1
            stage, composition = results.reopened(self.service, session, id), session.result(id).composition
            session.composition = composition
            session.steps.record(composition)
            return [{**stage, "steps": session.steps.offered}, gr.skip(), *self._updates(composition)]
        pair = {side: data.get(side) and str(data[side]) for side in ("a", "b")}
        if not (pair["a"] and pair["b"]):
            return [gr.skip(), pair, *untouched]
        session.moves += 1
        return [results.pair(session, pair["a"], pair["b"]), pair, *untouched]
