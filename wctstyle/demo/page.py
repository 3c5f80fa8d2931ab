"""The page: which action each component calls. Everything is computed in `actions`, `optimising` and `results`."""

from __future__ import annotations

import functools
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

import gradio as gr
import numpy as np

from wctstyle.demo import actions, optimising, results, sheets
from wctstyle.demo.actions import Service
from wctstyle.demo.composition import Composition, compose, read_palette
from wctstyle.demo.layout import Layout
from wctstyle.demo.sessions import Session
from wctstyle.errors import ConfigError, WctStyleError

log = logging.getLogger("wctstyle.demo")

LIVE_JOBS = 2
"""Pictures rendered at the same time; more would only share the same cores."""

SLOW_DIALS = ("size", "look", "stroke_scale")
"""Sliders whose every value is measured anew, so that the picture follows when they are let go."""

_P = ParamSpec("_P")
_R = TypeVar("_R")


def friendly(action: Callable[_P, _R]) -> Callable[_P, _R]:
    """Turn errors into messages on the page: ours as they are, all others without anything of the inside."""

    @functools.wraps(action)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return action(*args, **kwargs)
        except gr.Error:
            raise
        except WctStyleError as error:
            raise gr.Error(str(error), title="That did not work", duration=8, print_exception=False) from None
        except Exception:
            log.exception("a fault in %s", getattr(action, "__name__", "an action"))
            raise gr.Error(
                "Something went wrong here. Please try once more, or load the page again.",
                title="Sorry",
                duration=8,
                print_exception=False,
            ) from None

    return run


def _note(text: str, kind: Literal["error", "good"]) -> dict[str, str]:
    """Say something on the stage."""
    return {"text": text, "kind": kind}


def _kind(data: dict[str, Any]) -> str:
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
        self._connect()

    # --------------------------------------------------------------------------------------------------- connections

    def _session(self, request: gr.Request) -> Session:
        return self.service.sessions.get(request.session_hash or "")

    def _composition(self, palette: Any, *values: Any) -> Composition:
        return compose(self.service.limits, palette, **dict(zip(self.controls, values, strict=True)))

    def _updates(self, composition: Composition) -> list[Any]:
        """Return new values of the palette and of every control."""
        return [composition.palette, *(composition.dials[name] for name in self.controls)]

    def _connect(self) -> None:
        everything = [self.palette, *self.controls.values()]
        gr.on(
            [
                self.palette.input,
                *(control.input for name, control in self.controls.items() if name not in SLOW_DIALS),  # pyright: ignore
                *(self.controls[name].release for name in SLOW_DIALS),  # pyright: ignore[reportAttributeAccessIssue]
            ],
            self._live,
            everything,
            self.stage,
            trigger_mode="always_last",
            show_progress="hidden",
            concurrency_limit=LIVE_JOBS,
            concurrency_id="live",
            api_visibility="private",
        ).failure(None, js="() => document.dispatchEvent(new CustomEvent('wct:failed'))")
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        live: dict[str, Any] = {**quiet, "concurrency_id": "live", "concurrency_limit": LIVE_JOBS}
        self.blocks.load(self._open, None, [self.strip], **live)
        self.palette.upload(
            self._upload,
            [self.palette],
            [self.shelf, *everything],
            concurrency_id="upload",
            concurrency_limit=1,
            trigger_mode="multiple",
            **quiet,
        ).then(self._live_if_restored, [self.shelf, *everything], self.stage, **live)
        self.palette.delete(self._remove, None, self.shelf, trigger_mode="multiple", **quiet)
        self.palette.undo(self._step, everything, everything, trigger_mode="always_last", queue=False, **quiet).success(
            self._live, everything, self.stage, **live
        )
        self.strip.upload(self._use, None, self.shelf, trigger_mode="multiple", **quiet)
        self.strip.submit(self._settle, everything, self.strip, trigger_mode="always_last", **live)
        self.strip.select(self._pick, None, [self.stage, self.pair, *everything], trigger_mode="multiple", **live)
        optimiser = [self.steps, self.method, self.begin_with, *everything]
        self.start.click(self._arm, None, [self.progress, self.ticket], queue=False, **quiet).then(
            self._optimise,
            [self.ticket, *optimiser],
            [self.stage, self.progress, self.strip, self.pair],
            trigger_mode="multiple",
            show_progress="minimal",
            show_progress_on=self.progress,
            concurrency_id="optimise",
            concurrency_limit=1,
            api_visibility="private",
        ).failure(self._disarm, None, self.progress, queue=False, **quiet)
        self.stop.click(self._stop, None, self.progress, queue=False, **quiet)
        self.ask.click(
            self._estimate, optimiser, self.progress, concurrency_id="estimate", concurrency_limit=1,
            show_progress="minimal", api_visibility="private",
        )  # fmt: skip
        self.latest_pair.click(self._latest, None, [self.stage, self.pair, self.sheet], **live)
        self.measure.click(
            self._measure, [self.pair], self.sheet, concurrency_id="slow", concurrency_limit=1, api_visibility="private"
        )
        export: dict[str, Any] = {"concurrency_id": "slow", "concurrency_limit": 1, "api_visibility": "private"}
        self.make_file.click(
            self._export,
            [self.which, self.pair, self.format, self.export_size, self.quality, *everything],
            self.file,
            **export,
        )
        self.write_code.click(self._code, [self.export_size, *everything], [self.command, self.python], **live)

    # Each handler is one action of `actions` for the session of the page that asked.

    @friendly
    def _open(self, request: gr.Request) -> list[dict[str, Any]]:
        session = self._session(request)
        session.before_shown = (self.first.content, self.first.size)
        if not session.history:
            session.latest = self.first_rendered
            actions.keep(self.service, session, self.first)
            session.steps.record(self.first)
        return actions.strip(session)

    @friendly
    def _live(self, request: gr.Request, palette: Any, *values: Any) -> dict[str, Any]:
        session = self._session(request)
        session.moves += 1
        composition = self._composition(palette, *values)
        session.steps.record(composition)
        stage = actions.live(self.service, session, composition)
        session.steps.rest()
        return {**stage, "steps": session.steps.offered}

    @friendly
    def _settle(self, request: gr.Request, palette: Any, *values: Any) -> list[dict[str, Any]]:
        session = self._session(request)
        actions.keep(self.service, session, self._composition(palette, *values))
        return actions.strip(session)

    @friendly
    def _upload(self, request: gr.Request, event: gr.EventData, palette: Any) -> list[Any]:
        """Take a file in. The page waits for news of its shelf, so a refusal is told there too."""
        session, data = self._session(request), event._data or {}
        untouched = [gr.skip()] * (1 + len(self.controls))
        news: dict[str, Any] = {"added": None, "restored": False, "serial": time.time()}
        try:
            current, styles = read_palette(palette, self.service.limits)
            added = actions.add_upload(
                self.service,
                session,
                data.get("path"),
                self.upload_folder,
                data.get("name"),
                current=current,
                styles=styles,
            )
        except WctStyleError as error:
            return [{**news, "pictures": actions.uploads(session), "note": _note(str(error), "error")}, *untouched]
        if added.composition is not None:
            news |= {"restored": True, "note": _note(added.message, "good")}
            return [{**news, "pictures": actions.uploads(session)}, *self._updates(added.composition)]
        news["pictures"] = actions.uploads(session)
        id = added.held.id if added.held else None
        if added.palette is not None:
            news |= {"restored": True, "note": _note(added.message, "good")}
            news["added"] = {"id": id, "kinds": added.kinds, "use": False}
            return [news, added.palette, *untouched[1:]]
        news["added"] = {"id": id, "kinds": [_kind(data)], "use": data.get("use") is not False}
        return [news, *untouched]

    @friendly
    def _live_if_restored(self, request: gr.Request, news: Any, palette: Any, *values: Any) -> Any:
        if not (isinstance(news, dict) and news.get("restored")):
            return gr.skip()
        return self._live(request, palette, *values)

    @friendly
    def _remove(self, request: gr.Request, event: gr.EventData) -> dict[str, Any]:
        session = self._session(request)
        session.remove(str((event._data or {}).get("id")))
        return {"added": None, "restored": False, "serial": time.time(), "pictures": actions.uploads(session)}

    @friendly
    def _use(self, request: gr.Request, event: gr.EventData) -> dict[str, Any]:
        """Take a result of the history as photo or style."""
        session, data = self._session(request), event._data or {}
        held = actions.use_result(self.service, session, str(data.get("id")))
        added = {"id": held.id, "kinds": [_kind(data)], "use": True}
        return {"added": added, "restored": False, "serial": time.time(), "pictures": actions.uploads(session)}

    @friendly
    def _step(self, request: gr.Request, event: gr.EventData, palette: Any, *values: Any) -> list[Any]:
        """Undo or redo: set the palette and every control to the step before or after."""
        session, shown = self._session(request), self._composition(palette, *values)
        go = session.steps.redo if (event._data or {}).get("redo") else session.steps.undo
        composition = go(shown, lambda step: actions.repaired(session, step, shown))
        return [gr.skip()] * (1 + len(self.controls)) if composition is None else self._updates(composition)

    @friendly
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
            session.steps.record(composition)
            return [{**stage, "steps": session.steps.offered}, gr.skip(), *self._updates(composition)]
        pair = {side: data.get(side) and str(data[side]) for side in ("a", "b")}
        if not (pair["a"] and pair["b"]):
            return [gr.skip(), pair, *untouched]
        session.moves += 1
        return [results.pair(session, pair["a"], pair["b"]), pair, *untouched]

    @friendly
    def _arm(self, request: gr.Request) -> list[Any]:
        """Get in line, with a ticket: a job that waits with an older or used one will do nothing."""
        session = self._session(request)
        if session.optimising == "running":
            return [gr.skip(), gr.skip()]
        session.stop.clear()
        session.optimising = "waiting"
        session.ticket += 1
        return [sheets.WAITING, session.ticket]

    @friendly
    def _disarm(self, request: gr.Request) -> Any:
        session = self._session(request)
        if session.optimising == "running":
            return gr.skip()
        session.optimising = ""
        return sheets.IDLE

    @friendly
    def _stop(self, request: gr.Request) -> Any:
        session = self._session(request)
        session.stop.set()
        if session.optimising == "waiting":
            session.optimising = ""
            return sheets.STOPPED_EARLY
        return sheets.STOPPING if session.optimising else gr.skip()

    @friendly
    def _estimate(self, request: gr.Request, steps: float, method: str, start: str, palette: Any, *values: Any) -> Any:
        """Make a trial; the report of an optimisation of this page is left in its place."""
        session, composition = self._session(request), self._composition(palette, *values)
        if session.optimising:
            return gr.skip()
        text = optimising.estimate(self.service, session, composition, steps, method, start)
        return gr.skip() if session.optimising else sheets.progress(0, int(steps), text=text)

    def _optimise(
        self, request: gr.Request, ticket: float, steps: float, method: str, start: str, palette: Any, *values: Any
    ) -> Iterator[list[Any]]:
        """Stream previews, unless it was stopped, or asked for anew, while it waited for its turn."""
        session = self._session(request)
        if session.stop.is_set() or ticket != session.ticket:
            yield [gr.skip()] * 4
            return
        session.ticket += 1
        session.optimising = "running"
        try:
            composition = friendly(self._composition)(palette, *values)
            yield from self._previews(session, composition, steps, method, start)
        finally:
            session.optimising = ""

    def _previews(
        self, session: Session, composition: Composition, steps: float, method: str, start: str
    ) -> Iterator[list[Any]]:
        """Run it; the stage is left alone as soon as something else is put there meanwhile."""
        run = friendly(optimising.optimise)(self.service, session, composition, steps, method, start)
        moves, fast = session.moves, session.history[-1].id if session.history else None
        while (now := friendly(next)(run, None)) is not None:
            bar = sheets.progress(now.step, now.steps, text=now.text, losses=now.losses, finished=now.kept is not None)
            stage = gr.skip()
            if session.moves == moves:
                stage, session.before_shown = now.stage, None
            if now.kept is None:
                yield [stage, bar, gr.skip(), gr.skip()]
            else:
                session.optimising = ""
                strip = actions.strip(session)
                strip[0]["pair"] = [fast, now.kept.id]
                yield [stage, bar, strip, {"a": fast, "b": now.kept.id}]

    @friendly
    def _latest(self, request: gr.Request) -> list[Any]:
        session = self._session(request)
        a, b = results.latest_pair(session)
        session.moves += 1
        return [results.pair(session, a, b), {"a": a, "b": b}, self._sheet(session, a, b)]

    @friendly
    def _measure(self, request: gr.Request, pair: dict[str, Any]) -> str:
        if not (pair["a"] and pair["b"]):
            raise ConfigError("Choose A and B below two results in the history first.")
        return self._sheet(self._session(request), pair["a"], pair["b"])

    def _sheet(self, session: Session, a: str, b: str) -> str:
        return sheets.figures(results.figures(self.service, session, [a, b]), ["A", "B"])

    @friendly
    def _export(
        self,
        request: gr.Request,
        which: str,
        pair: dict[str, Any],
        format: str,
        size: float,
        quality: float,
        palette: Any,
        *values: Any,
    ) -> gr.DownloadButton:
        session, folder = self._session(request), Path(tempfile.mkdtemp(dir=self.export_folder))
        if which in ("a", "b"):
            if not pair[which]:
                raise ConfigError(f"Choose {which.upper()} below a result in the history first.")
            path = results.export_kept(
                self.service, session, pair[which], format=format, quality=int(quality), folder=folder
            )
            side = max(session.result(pair[which]).width, session.result(pair[which]).height)
        else:
            composition = self._composition(palette, *values)
            path, recipe = results.export(
                self.service, session, composition, format=format, size=int(size), quality=int(quality), folder=folder
            )
            side = recipe.size
        label = f"Download {path.name}: {side} px, {path.stat().st_size / 2**20:.1f} MB"
        return gr.DownloadButton(label, value=path, visible=True)

    @friendly
    def _code(self, request: gr.Request, size: float, palette: Any, *values: Any) -> list[gr.Code]:
        session, composition = self._session(request), self._composition(palette, *values)
        recipe = results.planned_recipe(self.service, session, composition, int(size))
        return [
            gr.Code(recipe.command(results.RESULT), visible=True),
            gr.Code(recipe.program(results.RESULT), visible=True),
        ]
