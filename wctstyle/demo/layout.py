"""The page's components: what is where, and what it says. `page` connects them with actions."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency

from wctstyle.demo import actions, clips, downloads, masking, sheets
from wctstyle.demo.actions import Service
from wctstyle.demo.composition import (
    BUILT_IN,
    LEAST_SIZE,
    MAX_NAME,
    MAX_REGIONS,
    MAX_SCREEN_SIZE,
    QUALITIES,
    Composition,
    compose,
)
from wctstyle.demo.friendly import note
from wctstyle.demo.limits import MIB
from wctstyle.demo.memory import page_key
from wctstyle.demo.sessions import Session
from wctstyle.demo.theme import asset
from wctstyle.inputs import RegionSpec
from wctstyle.optimizer.settings import FRAME_STEPS, OptimizeSettings
from wctstyle.regions import NOT_IN_NAMES
from wctstyle.settings import DEFAULT_CALM, DEFAULT_FEATHER, LEAST_LOOK, MAX_FEATHER, MAX_STRENGTH, STROKE_SCALES
from wctstyle.video.extras import missing

SETTLE_MILLISECONDS = 1500
"""How long sliders rest before what is on screen goes into the history."""

EXPORT_SIZES = (1024, 2048)
"""Long sides that downloads are offered at, in pixels, beside the screen's and the largest."""

SLOW_DIALS = ("size", "look", "stroke_scale")
"""Sliders whose every value is measured anew: the picture follows when they are let go, which the palette sends."""

COLORS = [("Style", "style"), ("Photo", "photo"), ("Matched", "match"), ("Colors only", "only")]
"""What the page calls the ways of colors."""

BEST_MISSING = "Best needs VGG-19: run “wctstyle weights get vgg19” on the computer that serves this page."


QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
"""For events that show by themselves what they do, and are no endpoints.

Gradio drops such an event while an earlier one of the same handler is being answered.
"""

LATEST: dict[str, Any] = {**QUIET, "trigger_mode": "always_last"}
"""For those that follow what is chosen: the latest choice during an answer is sent after it."""

ESTIMATED: dict[str, Any] = {**LATEST, "concurrency_id": "estimate", "concurrency_limit": 1}
"""For those that tell how long something will take."""

PALETTE = (
    "rows", "regions", "painting", "dials", "pad", "uploads", "cameras", "camera", "steps", "choosing", "looks",
)  # fmt: skip
"""Scripts that the palette is made of."""

UNSEEN = ("shelf", "told", "choices", "masks")
"""Components that only pass on what the server sends to the others."""


def saying(event: str, detail: Any = None) -> str:
    """Return the `js` of a listener that tells the page of an event."""
    told = json.dumps({"detail": detail})
    return f"() => {{ document.dispatchEvent(new CustomEvent('{event}', {told})); return []; }}"


def html_part(name: str, value: Any, *, elem_id: str, parts: tuple[str, ...] = (), **props: Any) -> gr.HTML:
    """Make a component of the page's own: NAME.html and NAME.js of the assets, after the scripts of its `parts`."""
    return gr.HTML(
        value,
        html_template="<span></span>" if name in UNSEEN else asset(f"{name}.html"),
        js_on_load="\n".join(asset(f"{part}.js") for part in (*parts, name)),
        apply_default_css=False,
        elem_id=elem_id,
        **props,
    )


class Layout:
    """Builds the components into the current `gr.Blocks`."""

    def __init__(self, service: Service, first: Composition, stage: dict[str, Any]) -> None:
        self.service, self.first, self.first_stage = service, first, stage
        self.controls: dict[str, Component] = {}
        self.lacking = missing()
        self._build()

    # What every handler asks of the page.

    def _session(self, request: gr.Request) -> Session:
        return self.service.sessions.get(request.session_hash or "", page_key(request))

    def _composition(self, palette: Any, *values: Any) -> Composition:
        return compose(self.service.limits, palette, **dict(zip(self.controls, values, strict=True)))

    def _updates(self, composition: Composition) -> list[Any]:
        """Return new values of the palette and of every control."""
        return [composition.palette, *(composition.dials[name] for name in self.controls)]

    def _told(self, event: Dependency, js: str | None = None) -> Dependency:
        """Say on the stage why an action failed, if it does."""
        event.failure(self._tell, None, self.told, js=js, trigger_mode="multiple", queue=False, **QUIET)
        return event

    def _tell(self, request: gr.Request) -> Any:
        """Say on the stage why the latest action failed; of failures of its own Gradio tells itself."""
        session = self._session(request)
        text, session.refusal = session.refusal, ""
        return {**note(text, "error"), "serial": time.time()} if text else gr.skip()

    # The components.

    def _build(self) -> None:
        html_part("header", None, elem_id="wct-header")
        with gr.Row(elem_id="wct-main"):
            with gr.Column(scale=6, elem_id="wct-left", min_width=320):
                self.stage = html_part("stage", self.first_stage, elem_id="wct-stage", parts=("rows", "brush"))
                self.live = html_part("live", None, elem_id="wct-live", parts=("rows", "cameras"))
                self.running = html_part("running", sheets.NO_RUN, elem_id="wct-running")
            with (
                gr.Column(scale=5, elem_id="wct-right", min_width=320),
                gr.Tabs(elem_id="wct-tabs", overflow_behavior="wrap"),
            ):
                with gr.Tab("Blend", elem_id="wct-tab-blend"):
                    self._build_blend()
                with gr.Tab("Optimise", elem_id="wct-tab-optimise"):
                    self._build_optimise()
                with gr.Tab("Video", elem_id="wct-tab-video"):
                    self._build_live()
                    self._build_video()
                with gr.Tab("Compare", elem_id="wct-tab-compare"):
                    self._build_compare()
                with gr.Tab("Extras", elem_id="wct-tab-extras") as self.extras:
                    gr.Markdown("## Extras\nMore to make of the current blend and its photo.")  # panels: `page.EXTRAS`
                with gr.Tab("Download", elem_id="wct-tab-download") as self.download_tab:
                    self._build_export()
            self.strip = html_part("strip", [], elem_id="wct-strip", parts=("rows",), settle_ms=SETTLE_MILLISECONDS)
        self.shelf = html_part("shelf", None, elem_id="wct-shelf")
        self.told = html_part("told", None, elem_id="wct-told")
        self.choices = html_part("choices", None, elem_id="wct-choices")
        self.masks = html_part("masks", None, elem_id="wct-masks")  # answers the palette's event `edit`

    def _build_blend(self) -> None:
        limits = self.service.limits
        self.palette = html_part(
            "palette",
            self.first.palette,
            elem_id="wct-palette",
            parts=PALETTE,
            gallery=actions.gallery(),
            max_styles=limits.styles,
            max_bytes=limits.upload_bytes,
            slow_dials=SLOW_DIALS,
            regions={
                "most": MAX_REGIONS,
                "ready": masking.offered(),
                "dials": {dial.name: dial.default for dial in dataclasses.fields(RegionSpec)},
                "colors": COLORS,
                "ranges": {"stroke": STROKE_SCALES, "feather": (0, MAX_FEATHER)},
                "feather": DEFAULT_FEATHER,
                "names": {"length": MAX_NAME, "without": NOT_IN_NAMES, "built_in": BUILT_IN},
            },
        )
        with gr.Row(elem_id="wct-dials"):
            self._build_dials()
        with gr.Accordion("More", open=False, elem_id="wct-more"):
            self._build_more()

    def _slider(
        self, name: str, label: str, info: str, low: float = 0.0, high: float = 1.0, step: float = 0.01
    ) -> None:
        self.controls[name] = gr.Slider(
            low, high, self.first.dials[name], step=step, label=label, info=info, elem_id=f"wct-{name}", buttons=[]
        )

    def _radio(self, name: str, label: str, info: str, choices: list[tuple[str, str]]) -> None:
        elem_id = f"wct-{name.replace('_', '-')}"
        self.controls[name] = gr.Radio(choices, value=self.first.dials[name], label=label, info=info, elem_id=elem_id)

    def _build_dials(self) -> None:
        offered = self.service.backend.offered
        self._slider("strength", "Strength", "0 is the photo, 1 the full style.", high=MAX_STRENGTH)
        self._slider("color", "Color amount", "0 is the photo's colors, 1 those chosen in Colors.")
        self._slider("detail", "Detail", "How much fine detail of the photo comes back.")
        self._slider("texture", "Texture", "How much is painted in plain areas.")
        self._slider("keep_faces", "Faces", "How strongly faces are protected.")
        self._slider("stroke_scale", "Stroke size", "1 is that of the painting.", *STROKE_SCALES, 0.05)
        self._radio(
            "colors",
            "Colors",
            "The style's, the photo's, the style recolored to match the photo first, or colors alone, with no paint.",
            COLORS,
        )
        self.controls["photo"] = gr.Checkbox(
            self.first.dials["photo"], label="Keep it a photo", elem_id="wct-keep-photo",
            info="Only the style's light and colors, no paint. Best after another photo.",
        )  # fmt: skip
        self._radio(
            "model",
            "Quality",
            "Better is slower." + ("" if "vgg19" in offered else f" {BEST_MISSING}"),
            [(name, model) for model, name in QUALITIES.items() if model in offered],
        )

    def _build_more(self) -> None:
        self._radio(
            "transform",
            "How the style is matched",
            "Closest moves colors least, Original is the paper's method, Light matches channel by channel.",
            [("Closest (mk)", "mk"), ("Original (wct)", "wct"), ("Light (adain)", "adain")],
        )
        self._radio(
            "blend",
            "How several styles are merged",
            "Into a style between them, by averaging, or with all their variety.",
            [("Merge styles", "barycenter"), ("Average results", "linear"), ("Keep every style", "mixture")],
        )
        most = min(MAX_SCREEN_SIZE, self.service.limits.max_size)
        self._slider("size", "Size on screen", "Long side in pixels. Larger is finer and slower.", LEAST_SIZE, most, 64)
        self._slider(
            "look",
            "Composed at",
            "Long side in pixels. Larger pictures look as they do at this size; 0 paints every size at once.",
            0,
            MAX_SCREEN_SIZE,
            LEAST_LOOK,
        )

    def _build_optimise(self) -> None:
        gr.Markdown(
            "## Optimise\nRefines the picture of this blend step by step, which takes a minute or more and brings more "
            "texture. At the end it is compared with the fast picture."
        )
        steps = min(OptimizeSettings.steps, self.service.limits.optimise_steps)
        self.steps = gr.Slider(
            1, self.service.limits.optimise_steps, steps, step=1, label="Steps", buttons=[], elem_id="wct-steps",
            info="More steps come closer to the style, and take longer.",
        )  # fmt: skip
        with gr.Row():
            self.start = gr.Button("Optimise", variant="primary", elem_id="wct-optimise")
            self.stop = gr.Button("Stop", elem_id="wct-stop")
            self.ask = gr.Button("How long?", elem_id="wct-estimate")
        with gr.Accordion("More", open=False, elem_id="wct-more-optimise"):
            self._build_more_optimise()
        self.progress = gr.HTML(sheets.IDLE, apply_default_css=False, elem_id="wct-progress", min_height=190)

    def _build_more_optimise(self) -> None:
        with gr.Row():
            self.method = gr.Radio(
                [("L-BFGS", "lbfgs"), ("Adam", "adam")], value="lbfgs", label="Method", elem_id="wct-method",
                info="L-BFGS needs fewer steps. Adam moves more gently.",
            )  # fmt: skip
            self.begin_with = gr.Radio(
                [("Current blend", "fast"), ("Photo", "content"), ("Noise", "noise")], value="fast", label="Start from",
                info="The blend on screen needs the fewest steps.", elem_id="wct-start-from",
            )  # fmt: skip
        gr.Markdown(
            "Most dials of the blend count here too, Strength up to 1. *Texture*, *How the style is matched* and "
            "*Composed at* only change the picture that it starts from. With *Colors only* or *Keep it a photo* there "
            "is nothing to optimise."
        )

    def _build_live(self) -> None:
        gr.Markdown(
            "## Webcam\nPaints what a camera sees, live, with this blend, its dials and its quality, at the largest "
            "size that still gives eight frames a second. Go to *Blend* meanwhile, and move a slider. Regions are left "
            "out, as in a clip. Frames go to this server and are not kept there."
        )
        self.webcam = gr.Button("Use the webcam", variant="primary", elem_id="wct-webcam")

    def _build_video(self) -> None:
        if self.lacking:
            gr.Markdown(self.lacking)
            return
        limits = self.service.limits
        gr.Markdown(
            "## A clip\nPaints a clip with this blend, its dials and its quality, and keeps the painting calm from "
            f"frame to frame. Clips may have up to {limits.video_bytes // MIB} MB and {limits.video_seconds:g} seconds."
            " Regions are left out: all of the clip gets the styles of *Everything else*."
        )
        self.clip = html_part("chooser", clips.said("", limits), elem_id="wct-clip")
        self.calm = gr.Slider(
            0, 1, DEFAULT_CALM, step=0.01, label="Calm", buttons=[], elem_id="wct-calm",
            info="Of clips and of the webcam. 0 paints every frame by itself, so strokes flicker. 1 is calmest.",
        )  # fmt: skip
        sizes = [size for size in clips.SIZES if size < limits.video_size] + [limits.video_size]
        self.video_size = gr.Radio(
            [(f"{size} pixels", size) for size in sizes], value=min(clips.USUAL_SIZE, limits.video_size),
            label="Long side", info="Twice as long takes about four times as long. A clip is never enlarged.",
            elem_id="wct-video-size",
        )  # fmt: skip
        self.video_steps = gr.Radio(
            [("Fast", 0), ("Optimised", FRAME_STEPS)], value=0, label="Quality", elem_id="wct-video-steps",
            info="Optimised comes closer to the style and takes much longer.",
        )  # fmt: skip
        self.video_time = gr.Markdown(elem_id="wct-video-time")
        with gr.Row():
            self.paint = gr.Button("Paint the video", variant="primary", elem_id="wct-paint")
            self.stop_video = gr.Button("Stop", elem_id="wct-stop-video")
        self.video = gr.HTML(sheets.NO_VIDEO, apply_default_css=False, elem_id="wct-video", min_height=60)

    def _build_compare(self) -> None:
        gr.Markdown(
            "## Compare two results\nChoose A below one result in the history and B below another. Both appear in one "
            "picture with a line to drag, and their figures here."
        )
        self.latest_pair = gr.Button("Compare the last optimisation, or the latest two")
        self.sheet = gr.HTML(sheets.EMPTY_COMPARE, apply_default_css=False, elem_id="wct-figures")
        self.pair = gr.State({"a": None, "b": None})

    def _build_export(self) -> None:
        gr.Markdown("## Download\nThe settings are kept inside the file. Drop it on the page to restore them.")
        limits = self.service.limits
        self.which = gr.Radio(
            [("On screen", "screen"), ("Result A", "a"), ("Result B", "b")],
            value="screen", label="Picture", info="A and B are chosen in the history.", elem_id="wct-which",
        )  # fmt: skip
        sizes = [size for size in EXPORT_SIZES if size < limits.max_size] + [limits.max_size]
        self.export_size = gr.Radio(
            [("As on screen", downloads.AS_SHOWN), *((f"{size} pixels", size) for size in sizes)],
            value=downloads.AS_SHOWN, label="Long side", elem_id="wct-export-size",
            info="Strokes grow with the picture. A photo is never enlarged.",
        )  # fmt: skip
        self.format = gr.Radio(
            list(downloads.FORMATS), value="PNG", label="Format", info="PNG is lossless; JPEG and WebP are smaller."
        )
        self.quality = gr.Slider(
            50, 100, 92, step=1, label="File quality", info="For JPEG and WebP. Higher makes larger files.", buttons=[]
        )
        self.plan = html_part("plan", "", elem_id="wct-plan")
        self.make_file = gr.Button("Make the file", variant="primary")
        self.file = gr.DownloadButton("Download", visible=False, variant="primary", elem_id="wct-download")
        self.mask_files = gr.DownloadButton("Download its masks (masks.zip)", visible=False, elem_id="wct-mask-files")
        self.write_code = gr.Button("Show as command and Python")
        code: dict[str, Any] = {"visible": False, "interactive": False, "wrap_lines": True, "buttons": ["copy"]}
        self.command = gr.Code(label="In the terminal", language="shell", **code)
        self.python = gr.Code(label="In Python", language="python", **code)
