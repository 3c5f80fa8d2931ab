"""Texture on the page: a new texture from the styles of the blend."""

from __future__ import annotations

from typing import Any

import gradio as gr

from wctstyle.demo import textures
from wctstyle.demo.extras import ExtraPanel
from wctstyle.demo.layout import QUIET
from wctstyle.demo.runs import Run
from wctstyle.demo.sessions import Session
from wctstyle.settings import MAX_SEED
from wctstyle.textures.settings import DEFAULT_SIDE, TextureSettings

SIZES = (256, 512, 768, 1024, 2048)
"""Sides in pixels that the page offers."""


STEPS = 60
"""Steps of the optimiser that the page takes: more bring little that is seen."""


class TexturePanel(ExtraPanel):
    """The panel Texture."""

    kind = "texture"
    title = "Texture"
    sentence = "Makes a new texture from the styles and weights of this blend, without the photo. Regions are left out."
    button = "Make a texture"
    opened = True

    def build(self) -> list[Any]:
        """Make the controls."""
        most = self.service.limits.max_size
        sizes = [size for size in SIZES if size <= most] or [most // 64 * 64]  # a multiple for any tile
        size = gr.Radio(
            [(f"{size} pixels", size) for size in sizes], value=min(DEFAULT_SIDE, sizes[-1]), label="Size",
            info="Of the square texture. Strokes keep their size.", elem_id="wct-texture-size",
        )  # fmt: skip
        gradient = gr.Radio(
            [("Merge styles", "none"), ("Left to right", "horizontal"), ("Top to bottom", "vertical"),
             ("From the center", "radial")],
            value="none", label="Several styles", elem_id="wct-texture-gradient",
            info="Merged by their weights, or following each other in the order of the blend.",
        )  # fmt: skip
        tileable = gr.Checkbox(False, label="Tileable", info="Repeats without seams.", elem_id="wct-texture-tileable")
        optimised = gr.Checkbox(
            False, label="Optimised", elem_id="wct-texture-optimised",
            info=f"Much closer to the style, in minutes; up to {self.service.limits.optimise_size} pixels.",
        )  # fmt: skip
        with gr.Row():
            self.seed = gr.Number(
                0, label="Seed", precision=0, minimum=0, maximum=MAX_SEED, elem_id="wct-texture-seed", buttons=[],
                info="The same seed gives the same texture.",
            )  # fmt: skip
            self.another = gr.Button("Another", elem_id="wct-texture-another")
        return [size, gradient, tileable, optimised, self.seed]

    def starts(self) -> list[Any]:
        """Let another seed start a run too."""
        return [self.another.click(_next_seed, self.seed, self.seed, queue=False, **QUIET).then]

    def _submit(self, session: Session, *asked: Any) -> Run:
        size, gradient, tileable, optimised, seed, palette, *values = asked
        steps = min(STEPS, self.service.limits.optimise_steps) if optimised else 0
        settings = TextureSettings(
            width=size, height=size, tileable=tileable, seed=int(seed or 0), gradient=gradient, optimize=steps
        )
        composition = self.page._composition(palette, *values)
        recipe = textures.recipe_of(self.service, session, composition, settings)
        return textures.submit(self.service, session, composition, recipe, self.export_folder)


def _next_seed(seed: Any) -> int:
    return (int(seed or 0) + 1) % (MAX_SEED + 1)
