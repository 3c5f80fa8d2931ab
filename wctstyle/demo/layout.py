"""The page: components, and which action each of them calls. All that is computed lies in `actions`."""

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
from gradio.components import Component

from wctstyle.demo import actions, optimising, results, sheets
from wctstyle.demo.actions import Service
from wctstyle.demo.composition import LEAST_SIZE, MAX_SCREEN_SIZE, QUALITIES, Composition, compose
from wctstyle.demo.sessions import Session
from wctstyle.demo.theme import asset
from wctstyle.errors import ConfigError, WctStyleError
from wctstyle.optimizer.settings import OptimizeSettings
from wctstyle.settings import LEAST_LOOK, MAX_STRENGTH, STROKE_SCALES

log = logging.getLogger("wctstyle.demo")

SETTLE_MILLISECONDS = 1500
"""How long sliders rest before what is on screen goes into the history."""

LIVE_JOBS = 2
"""Pictures rendered at the same time; more would only share the same cores."""

BEST_MISSING = "Best needs VGG-19 on this machine: wctstyle weights get vgg19"

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


def html_part(name: str, value: Any, *, elem_id: str, script: bool = True, **props: Any) -> gr.HTML:
    """Make a component of the page's own: NAME.html and NAME.js of the assets."""
    return gr.HTML(
        value,
        html_template=asset(f"{name}.html") if name != "shelf" else "<span></span>",
        js_on_load=asset(f"{name}.js") if script else None,
        apply_default_css=False,
        elem_id=elem_id,
        **props,
    )


class Page:
    """Builds the page into the current `gr.Blocks` and connects it with a service."""

    def __init__(
        self,
        blocks: gr.Blocks,
        service: Service,
        first: Composition,
        stage: dict[str, Any],
        shot: tuple[Composition, np.ndarray, float],
        upload_folder: str,
        export_folder: Path,
    ) -> None:
        self.blocks, self.service, self.first = blocks, service, first
        self.upload_folder, self.export_folder = upload_folder, export_folder
        self.first_stage, self.first_shot = stage, shot
        self._build()
        self._connect()

    # ------------------------------------------------------------------------------------------------- components

    def _build(self) -> None:
        gr.HTML(
            '<div class="wct-head"><h1>wctstyle</h1><p>Any photo in any blend of paintings. Move a slider and '
            'the picture follows.</p><button type="button" aria-label="Switch between light and dark">◐ light / dark'
            "</button></div>",
            js_on_load="element.querySelector('button').addEventListener('click', () => "
            "document.body.classList.toggle('dark'));",
            apply_default_css=False,
        )
        with gr.Row(elem_id="wct-main"):
            with gr.Column(scale=6, elem_id="wct-left", min_width=320):
                self.stage = html_part("stage", self.first_stage, elem_id="wct-stage")
                self.strip = html_part("strip", [], elem_id="wct-strip", settle_ms=SETTLE_MILLISECONDS)
            with gr.Column(scale=5, elem_id="wct-right", min_width=320), gr.Tabs():
                with gr.Tab("Blend"):
                    self._build_blend()
                with gr.Tab("Optimise") as self.optimise_tab:
                    self._build_optimise()
                with gr.Tab("Compare"):
                    self._build_compare()
                with gr.Tab("Download"):
                    self._build_export()
        self.shelf = html_part("shelf", None, elem_id="wct-shelf")

    def _build_blend(self) -> None:
        limits, defaults = self.service.limits, self.first.dials
        self.palette = html_part(
            "palette",
            self.first.palette,
            elem_id="wct-palette",
            gallery=actions.gallery(),
            max_styles=limits.styles,
            max_bytes=limits.upload_bytes,
        )
        self.controls: dict[str, Component] = {}

        def slider(name: str, label: str, info: str, low: float = 0.0, high: float = 1.0, step: float = 0.01) -> None:
            self.controls[name] = gr.Slider(
                low, high, defaults[name], step=step, label=label, info=info, elem_id=f"wct-{name}", buttons=[]
            )

        def radio(name: str, label: str, info: str, choices: list[tuple[str, str]], elem_id: str) -> None:
            self.controls[name] = gr.Radio(choices, value=defaults[name], label=label, info=info, elem_id=elem_id)

        offered = self.service.backend.offered
        with gr.Row(elem_id="wct-dials"):
            slider("strength", "Strength", "0 is the photo, 1 the full style.", high=MAX_STRENGTH)
            slider("color", "Color", "How far colors follow the style.")
            slider("detail", "Detail", "How much fine detail of the photo comes back.")
            slider("texture", "Texture", "How much is painted in plain areas.")
            slider("keep_faces", "Faces", "How strongly faces are protected.")
            low, high = STROKE_SCALES
            slider("stroke_scale", "Stroke size", "1 is that of the painting.", low, high, 0.05)
            radio(
                "model",
                "Quality",
                "Better is slower." + ("" if "vgg19" in offered else f" {BEST_MISSING}"),
                [(name, model) for model, name in QUALITIES.items() if model in offered],
                "wct-model",
            )
        with gr.Accordion("More", open=False, elem_id="wct-more"):
            radio(
                "transform",
                "How the style is matched",
                "Closest moves colors least, Original is the paper's method, Light matches channel by channel.",
                [("Closest (mk)", "mk"), ("Original (wct)", "wct"), ("Light (adain)", "adain")],
                "wct-transform",
            )
            radio(
                "blend",
                "How several styles are merged",
                "Into a style between them, by averaging, or with all their variety.",
                [("Merge styles", "barycenter"), ("Average results", "linear"), ("Keep every style", "mixture")],
                "wct-blend-kind",
            )
            most = min(MAX_SCREEN_SIZE, limits.max_size)
            slider("size", "Size on screen", "Long side in pixels. Larger is finer and slower.", LEAST_SIZE, most, 64)
            slider(
                "look",
                "Composed at",
                "Long side in pixels. Larger pictures look as they do at this size; 0 paints every size at once.",
                0,
                MAX_SCREEN_SIZE,
                LEAST_LOOK,
            )

    def _build_optimise(self) -> None:
        gr.Markdown(
            "### Optimise\nRefines the picture step by step (Gatys et al. 2016). It takes minutes and brings more "
            "texture. Strength above 1 counts as 1, and Color below one half keeps the photo's colors."
        )
        steps = min(OptimizeSettings.steps, self.service.limits.optimise_steps)
        self.steps = gr.Slider(
            1, self.service.limits.optimise_steps, steps, step=1, label="Steps", buttons=[], elem_id="wct-steps",
            info="More steps come closer to the style, and take longer.",
        )  # fmt: skip
        with gr.Row():
            self.method = gr.Radio(
                [("L-BFGS", "lbfgs"), ("Adam", "adam")], value="lbfgs", label="Method", elem_id="wct-method",
                info="L-BFGS needs fewer steps. Adam moves more gently.",
            )  # fmt: skip
            self.begin_with = gr.Radio(
                [("Current blend", "fast"), ("Photo", "content"), ("Noise", "noise")], value="fast", label="Start from",
                info="The blend on screen needs the fewest steps.", elem_id="wct-start-from",
            )  # fmt: skip
        with gr.Row():
            self.start = gr.Button("Optimise", variant="primary", elem_id="wct-optimise")
            self.stop = gr.Button("Stop", elem_id="wct-stop")
            self.ask = gr.Button("How long?", elem_id="wct-estimate")
        self.ticket = gr.Number(0, visible=False)
        self.progress = gr.HTML(
            sheets.IDLE,
            apply_default_css=False,
            elem_id="wct-progress",
            min_height=190,
        )

    def _build_compare(self) -> None:
        gr.Markdown("### Compare two results\nThey are laid over each other on the stage, with figures here.")
        with gr.Row():
            self.latest_pair = gr.Button("Compare the latest two", size="sm")
            self.measure = gr.Button("Measure A and B", variant="primary", size="sm")
        self.sheet = gr.HTML(sheets.EMPTY_COMPARE, apply_default_css=False, elem_id="wct-figures")
        self.pair = gr.State({"a": None, "b": None})

    def _build_export(self) -> None:
        gr.Markdown("### Download\nThe settings are kept inside the file. Drop it on the page to restore them.")
        limits = self.service.limits
        self.which = gr.Radio(
            [("Current blend, at the size below", "blend"), ("Result A", "a"), ("Result B", "b")],
            value="blend", label="Picture",
            info="Choose A and B in the history. They keep their own size; an optimised result is B.",
            elem_id="wct-which",
        )  # fmt: skip
        self.format = gr.Radio(
            list(results.FORMATS), value="PNG", label="Format", info="PNG is lossless; JPEG and WebP are smaller."
        )
        self.export_size = gr.Slider(
            64, limits.max_size, min(1024, limits.max_size), step=64, label="Long side", buttons=[],
            info="In pixels. A photo is never enlarged.",
        )  # fmt: skip
        self.quality = gr.Slider(
            50, 100, 92, step=1, label="File quality", info="For JPEG and WebP. Higher makes larger files.", buttons=[]
        )
        self.make_file = gr.Button("Make the file", variant="primary")
        self.file = gr.DownloadButton("Download", visible=False, elem_id="wct-download")
        self.write_code = gr.Button("Show as command and Python")
        self.command = gr.Code(label="In the terminal", language="shell", visible=False, interactive=False)
        self.python = gr.Code(label="In Python", language="python", visible=False, interactive=False)

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
            **quiet,
        ).then(self._live_if_restored, [self.shelf, *everything], self.stage, **live)
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
            session.latest = self.first_shot
            actions.keep(self.service, session, self.first)
        return actions.strip(session)

    @friendly
    def _live(self, request: gr.Request, palette: Any, *values: Any) -> dict[str, Any]:
        session = self._session(request)
        session.moves += 1
        return actions.live(self.service, session, self._composition(palette, *values))

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

    @friendly
    def _live_if_restored(self, request: gr.Request, news: Any, palette: Any, *values: Any) -> Any:
        if not (isinstance(news, dict) and news.get("restored")):
            return gr.skip()
        return self._live(request, palette, *values)

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
