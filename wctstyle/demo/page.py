"""The page: which action each component calls. Everything is computed in `actions`, `optimising` and `results`."""

from __future__ import annotations

import contextlib
import functools
import logging
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

import gradio as gr
import numpy as np
from gradio.events import Dependency

from wctstyle.demo import actions, optimising, results, sheets
from wctstyle.demo.actions import Service
from wctstyle.demo.composition import Composition, compose
from wctstyle.demo.layout import Layout
from wctstyle.demo.sessions import Session
from wctstyle.errors import ConfigError, WctStyleError

log = logging.getLogger("wctstyle.demo")

LIVE_JOBS = 2
"""Pictures rendered at the same time; more would only share the same cores."""

SLOW_DIALS = ("size", "look", "stroke_scale")
"""Sliders whose every value is measured anew, so that the picture follows when they are let go."""

FAULT = "Something went wrong here. Please try once more, or load the page again."

_P = ParamSpec("_P")
_R = TypeVar("_R")


@contextlib.contextmanager
def refusals(action: str, session: Session | None = None) -> Iterator[None]:
    """Turn errors into messages: ours as they are, all others without anything of the inside.

    With a session, it keeps the message and Gradio only learns of a failure, so that it shows nothing itself:
    `Page._tell` says it on the stage.
    """
    try:
        yield
        return
    except gr.Error:
        raise
    except WctStyleError as error:
        text = str(error)
    except Exception:
        log.exception("a fault in %s", action)
        text = FAULT
    if session is not None:
        session.refusal = text
    raise gr.Error(text, visible=session is None, print_exception=False)


def friendly(action: Callable[_P, _R]) -> Callable[_P, _R]:
    """Tell a client of the API of errors in words."""

    @functools.wraps(action)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with refusals(getattr(action, "__name__", "an action")):
            return action(*args, **kwargs)

    return run


_Handler = Callable[Concatenate[Any, gr.Request, _P], _R]


def handler(action: _Handler[_P, _R]) -> _Handler[_P, _R]:
    """Tell the page of errors, on its stage."""

    @functools.wraps(action)
    def run(self: Page, request: gr.Request, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        with refusals(action.__name__, self._session(request)):
            return action(self, request, *args, **kwargs)

    return run


def _note(text: str, kind: Literal["error", "good"]) -> dict[str, str]:
    """Say something on the stage."""
    return {"text": text, "kind": kind}


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
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        live: dict[str, Any] = {**quiet, "concurrency_id": "live", "concurrency_limit": LIVE_JOBS}

        def told(event: Dependency, js: str | None = None) -> Dependency:
            """Say on the stage why it failed, if it does."""
            event.failure(self._tell, None, self.told, js=js, queue=False, **quiet)
            return event

        moved = gr.on(
            [
                self.palette.input,
                *(control.input for name, control in self.controls.items() if name not in SLOW_DIALS),  # pyright: ignore
                *(self.controls[name].release for name in SLOW_DIALS),  # pyright: ignore[reportAttributeAccessIssue]
            ],
            self._live,
            everything,
            self.stage,
            trigger_mode="always_last",
            **live,
        )
        told(moved, js="() => { document.dispatchEvent(new CustomEvent('wct:failed')); return []; }")
        told(self.blocks.load(self._open, None, [self.strip], **live))
        uploaded = self.palette.upload(
            self._upload,
            [self.palette],
            [self.shelf, *everything],
            concurrency_id="upload",
            concurrency_limit=1,
            **quiet,
        )
        told(told(uploaded).then(self._live_if_restored, [self.shelf, *everything], self.stage, **live))
        told(self.strip.submit(self._settle, everything, self.strip, trigger_mode="always_last", **live))
        told(self.strip.select(self._pick, None, [self.stage, self.pair, *everything], trigger_mode="multiple", **live))
        optimiser = [self.steps, self.method, self.begin_with, *everything]
        armed = told(self.start.click(self._arm, None, [self.progress, self.ticket], queue=False, **quiet))
        optimised = armed.then(
            self._optimise,
            [self.ticket, *optimiser],
            [self.stage, self.progress, self.strip, self.pair],
            trigger_mode="multiple",
            show_progress="minimal",
            show_progress_on=self.progress,
            concurrency_id="optimise",
            concurrency_limit=1,
            api_visibility="private",
        )
        told(optimised).failure(self._disarm, None, self.progress, queue=False, **quiet)
        told(self.stop.click(self._stop, None, self.progress, queue=False, **quiet))
        estimated = self.ask.click(
            self._estimate, optimiser, self.progress, concurrency_id="estimate", concurrency_limit=1,
            show_progress="minimal", api_visibility="private",
        )  # fmt: skip
        told(estimated)
        told(self.latest_pair.click(self._latest, None, [self.stage, self.pair, self.sheet], **live))
        slow: dict[str, Any] = {"concurrency_id": "slow", "concurrency_limit": 1, "api_visibility": "private"}
        told(self.measure.click(self._measure, [self.pair], self.sheet, **slow))
        choices = [self.which, self.pair, self.format, self.export_size, self.quality]
        told(self.make_file.click(self._export, [*choices, *everything], self.file, **slow))
        told(self.write_code.click(self._code, [self.export_size, *everything], [self.command, self.python], **live))

    def _tell(self, request: gr.Request) -> Any:
        """Say on the stage why the latest action failed; of failures of its own Gradio tells itself."""
        session = self._session(request)
        text, session.refusal = session.refusal, ""
        return {**_note(text, "error"), "serial": time.time()} if text else gr.skip()

    # Each handler is one action of `actions` for the session of the page that asked.

    @handler
    def _open(self, request: gr.Request) -> list[dict[str, Any]]:
        session = self._session(request)
        session.before_shown = (self.first.content, self.first.size)
        if not session.history:
            session.latest = self.first_rendered
            actions.keep(self.service, session, self.first)
        return actions.strip(session)

    @handler
    def _live(self, request: gr.Request, palette: Any, *values: Any) -> dict[str, Any]:
        session = self._session(request)
        session.moves += 1
        return actions.live(self.service, session, self._composition(palette, *values))

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
        news: dict[str, Any] = {"added": None, "restored": False, "serial": time.time()}
        try:
            added = actions.add_upload(
                self.service,
                session,
                data.get("path"),
                self.upload_folder,
                data.get("name"),
                current=str((palette or {}).get("content")),
            )
        except WctStyleError as error:
            return [{**news, "pictures": actions.uploads(session), "note": _note(str(error), "error")}, *untouched]
        if added.composition is not None:
            news |= {"restored": True, "note": _note(added.message, "good")}
            return [{**news, "pictures": actions.uploads(session)}, *self._updates(added.composition)]
        kind = "style" if data.get("kind") == "style" else "content"
        news["added"] = {"id": added.held.id if added.held else None, "kind": kind}
        return [{**news, "pictures": actions.uploads(session)}, *untouched]

    @handler
    def _live_if_restored(self, request: gr.Request, news: Any, palette: Any, *values: Any) -> Any:
        if not (isinstance(news, dict) and news.get("restored")):
            return gr.skip()
        return self._live(request, palette, *values)

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
            return [
                results.reopened(self.service, session, id),
                gr.skip(),
                *self._updates(session.result(id).composition),
            ]
        pair = {side: data.get(side) and str(data[side]) for side in ("a", "b")}
        if not (pair["a"] and pair["b"]):
            return [gr.skip(), pair, *untouched]
        session.moves += 1
        return [results.pair(session, pair["a"], pair["b"]), pair, *untouched]

    @handler
    def _arm(self, request: gr.Request) -> list[Any]:
        """Get in line, with a ticket: a job that waits with an older or used one will do nothing."""
        session = self._session(request)
        if session.optimising == "running":
            return [gr.skip(), gr.skip()]
        session.stop.clear()
        session.optimising = "waiting"
        session.ticket += 1
        return [sheets.WAITING, session.ticket]

    @handler
    def _disarm(self, request: gr.Request) -> Any:
        session = self._session(request)
        if session.optimising == "running":
            return gr.skip()
        session.optimising = ""
        return sheets.IDLE

    @handler
    def _stop(self, request: gr.Request) -> Any:
        session = self._session(request)
        session.stop.set()
        if session.optimising == "waiting":
            session.optimising = ""
            return sheets.STOPPED_EARLY
        return sheets.STOPPING if session.optimising else gr.skip()

    @handler
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
            with refusals("optimise", session):
                yield from self._previews(session, self._composition(palette, *values), steps, method, start)
        finally:
            session.optimising = ""

    def _previews(
        self, session: Session, composition: Composition, steps: float, method: str, start: str
    ) -> Iterator[list[Any]]:
        """Run it; the stage is left alone as soon as something else is put there meanwhile."""
        run = optimising.optimise(self.service, session, composition, steps, method, start)
        moves, fast = session.moves, session.history[-1].id if session.history else None
        for now in run:
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

    @handler
    def _latest(self, request: gr.Request) -> list[Any]:
        session = self._session(request)
        a, b = results.latest_pair(session)
        session.moves += 1
        return [results.pair(session, a, b), {"a": a, "b": b}, self._sheet(session, a, b)]

    @handler
    def _measure(self, request: gr.Request, pair: dict[str, Any]) -> str:
        if not (pair["a"] and pair["b"]):
            raise ConfigError("Choose A and B below two results in the history first.")
        return self._sheet(self._session(request), pair["a"], pair["b"])

    def _sheet(self, session: Session, a: str, b: str) -> str:
        return sheets.figures(results.figures(self.service, session, [a, b]), ["A", "B"])

    @handler
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

    @handler
    def _code(self, request: gr.Request, size: float, palette: Any, *values: Any) -> list[gr.Code]:
        session, composition = self._session(request), self._composition(palette, *values)
        recipe = results.planned_recipe(self.service, session, composition, int(size))
        return [
            gr.Code(recipe.command(results.RESULT), visible=True),
            gr.Code(recipe.program(results.RESULT), visible=True),
        ]
