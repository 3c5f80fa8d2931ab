"""Dream on the page: of the photo, and what the channels of a layer respond to."""

from __future__ import annotations

from typing import Any

import gradio as gr

from wctstyle.demo import dreaming
from wctstyle.demo.extras import ExtraPanel
from wctstyle.demo.runs import Run
from wctstyle.demo.sessions import Session
from wctstyle.dreams.settings import DreamSettings, parse_channels
from wctstyle.optimizer.settings import LAYERS

DEFAULTS = DreamSettings()

OFFERED = tuple(layer for layer in LAYERS if layer >= "relu2_2")
"""The layers that the page offers; the ones before see edges alone."""


class DreamPanel(ExtraPanel):
    """The panel Dream."""

    kind = "dream"
    title = "Dream"
    sentence = (
        "Changes the photo so that a network sees more of what it sees there. Styles play no part. The quality Best "
        "dreams with VGG-19, of eyes and animals; the others dream of knots and lines."
    )
    button = "Dream"

    def build(self) -> list[Any]:
        """Make the controls."""
        with gr.Row():
            layer = gr.Dropdown(
                list(OFFERED), value=DEFAULTS.layers[0], label="Layer", elem_id="wct-dream-layer",
                info="Small numbers see lines, large ones eyes and heads.",
            )  # fmt: skip
            channels = gr.Textbox(
                "all", label="Channels", elem_id="wct-dream-channels", max_lines=1,
                info="all, or numbers of the sheet, as 3,17.",
            )  # fmt: skip
        with gr.Row():
            strength = gr.Slider(
                0.1, 3, DEFAULTS.strength, step=0.1, label="Strength", elem_id="wct-dream-strength",
                info="How far each step goes.",
            )  # fmt: skip
            octaves = gr.Slider(
                1, 6, DEFAULTS.octaves, step=1, label="Octaves", elem_id="wct-dream-octaves",
                info="More make larger forms.",
            )  # fmt: skip
        what = gr.Radio(
            [("The photo", "photo"), ("A sheet of all channels", "sheet")], value="photo", label="Dream of",
            info="The sheet shows what each channel of the layer responds to.", elem_id="wct-dream-what",
        )  # fmt: skip
        return [what, layer, channels, strength, octaves]

    def _submit(self, session: Session, *asked: Any) -> Run:
        what, layer, channels, strength, octaves, palette, *values = asked
        composition = self.page._composition(palette, *values)
        if what == "sheet":
            recipe = dreaming.sheet_recipe(composition, layer)
        else:
            settings = DreamSettings(
                layers=(layer,), channels=parse_channels(channels), strength=strength, octaves=int(octaves)
            )
            recipe = dreaming.recipe_of(self.service, session, composition, settings)
        return dreaming.submit(self.service, session, composition, recipe, self.export_folder)
