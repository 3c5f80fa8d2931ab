"""The endpoints of extras, and how calls of slow work follow it.

Gradio reads the annotations of these functions as they stand, so they are not postponed here.
"""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import api

from wctstyle.analogies.recipe import AnalogyRecipe
from wctstyle.demo import analogies, dreaming, textures
from wctstyle.demo.actions import Service
from wctstyle.demo.calling import Taker
from wctstyle.demo.calls import Picture, typed
from wctstyle.demo.composition import DEFAULTS, FIRST_CONTENT
from wctstyle.demo.friendly import friendly
from wctstyle.demo.runs import Run
from wctstyle.demo.sessions import Session
from wctstyle.dreams.recipe import DreamRecipe
from wctstyle.dreams.settings import DreamSettings, parse_channels
from wctstyle.settings import BlendKind
from wctstyle.textures.recipe import TextureRecipe
from wctstyle.textures.settings import DEFAULT_SIDE, DEFAULT_STYLE_SIZE, Gradient, TextureSettings

FOLLOW_SECONDS = 0.1
"""How often a call looks for news of its run."""

FOLLOWERS = 16
"""Calls that may wait for their run at a time: each takes a thread."""


class ExtraEndpoints:
    """The endpoints of what the tab Extras has. Each call is a session of its own that ends with it."""

    def __init__(self, service: Service, take: Taker, export_folder: Path) -> None:
        self.service, self.take, self.export_folder = service, take, export_folder

    def connect(self) -> Mapping[str, Callable[..., Any]]:
        """Register all endpoints with the current `gr.Blocks`; returns them by name."""
        calls = {"texture": typed(self.texture), "dream": typed(self.dream), "analogy": typed(self.analogy)}
        for name, call in calls.items():
            api(call, api_name=name, concurrency_id="follow", concurrency_limit=FOLLOWERS)
        return calls

    def texture(
        self,
        styles: list[Picture],
        weights: list[float] | None = None,
        style_masks: list[dict | None] | None = None,
        width: int = DEFAULT_SIDE,
        height: int = DEFAULT_SIDE,
        tileable: bool = False,
        gradient: Gradient = "none",
        seed: int = 0,
        style_size: int = DEFAULT_STYLE_SIZE,
        blend: BlendKind = "barycenter",
        optimize: int = 0,
        model: str | None = None,
    ) -> Iterator[dict]:
        """Make a new texture from one style or a blend. Streams {"step", "steps", "text"}.

        The last item has "file", a PNG, and "recipe" as well. styles, weights and style_masks are as in /stylize.
        width, height: in pixels; those of a tileable texture are multiples of 32 with the usual style_size. gradient:
        none, horizontal, vertical or radial; the styles follow each other, and weights play no part. style_size: long
        side of the styles in pixels, which sets the size of the strokes. optimize: steps of the optimiser, 0 for none.
        """
        session = self._session()
        try:
            settings = friendly(TextureSettings)(
                width=width, height=height, tileable=tileable, gradient=gradient, seed=seed, style_size=style_size,
                blend=blend, optimize=optimize,
            )  # fmt: skip
            composition = friendly(self.take.composition)(
                session, FIRST_CONTENT, styles, weights, style_masks=style_masks,
                **{**DEFAULTS, "model": model},
            )  # fmt: skip
            recipe = friendly(textures.recipe_of)(self.service, session, composition, settings)
            run = friendly(textures.submit)(self.service, session, composition, recipe, self.export_folder)
            yield from _reports(run, recipe)
        finally:
            session.close()

    def dream(
        self,
        content: Picture = FIRST_CONTENT,
        layers: list[str] | None = None,
        channels: str = "all",
        strength: float = DreamSettings.strength,
        octaves: int = DreamSettings.octaves,
        octave_scale: float = DreamSettings.octave_scale,
        steps: int = DreamSettings.steps,
        jitter: int = DreamSettings.jitter,
        seed: int = 0,
        size: int = DEFAULTS["size"],
        sheet: bool = False,
        model: str | None = None,
    ) -> Iterator[dict]:
        """Let a network dream of a photo. Streams {"step", "steps", "text"}; the last has "file" and "recipe" as well.

        layers: names, relu5_1 if left out. channels: all, or numbers of the one layer, as "3,17,20-31". sheet: true
        draws what all channels of the layer respond to instead; content, size and the numbers play no part then. model:
        vgg19 dreams with VGG-19, the others with medium.
        """
        session = self._session()
        try:
            composition = friendly(self.take.photo)(session, content, {**DEFAULTS, "size": size, "model": model})
            chosen = tuple(layers or DreamSettings.layers)
            if sheet:
                recipe = friendly(dreaming.sheet_recipe)(composition, chosen[0])
            else:
                settings = friendly(DreamSettings)(
                    layers=chosen, channels=friendly(parse_channels)(channels), strength=strength, octaves=octaves,
                    octave_scale=octave_scale, steps=steps, jitter=jitter, seed=seed,
                )  # fmt: skip
                recipe = friendly(dreaming.recipe_of)(self.service, session, composition, settings)
            run = friendly(dreaming.submit)(self.service, session, composition, recipe, self.export_folder)
            yield from _reports(run, recipe)
        finally:
            session.close()

    def analogy(
        self, before: Picture, after: Picture, content: Picture, paint: float | None = None, align: bool = False
    ) -> Iterator[dict]:
        """Filter a photo as before became after. Streams {"step", "steps", "text"}.

        The last item has "file", a PNG, and "recipe" as well; its text says what was learned. before, after: of the
        same size, with the same thing at the same place. paint: from the filtered picture (0) to one that is painted as
        after is (1); null: as the pair needs it. align: cut a pair whose pictures are moved to what both show.
        """
        session = self._session()
        try:
            own, goal, photo = (
                session.picture(friendly(self.take.picture)(session, given)) for given in (before, after, content)
            )
            recipe = friendly(analogies.recipe_of)(self.service, (own, goal), photo, paint=paint, align=align)
            run = friendly(analogies.submit)(self.service, session, (own, goal), photo, recipe, self.export_folder)
            yield from _reports(run, recipe)
        finally:
            session.close()

    def _session(self) -> Session:
        return Session(f"api:{uuid.uuid4().hex}", self.service.limits)


def _reports(run: Run, recipe: TextureRecipe | DreamRecipe | AnalogyRecipe) -> Iterator[dict[str, Any]]:
    """Yield what a call says of its run."""
    progress = gr.Progress()
    for now in follow(run):
        progress((now.step, now.steps or None), desc=now.text)
        report = {"step": now.step, "steps": now.steps, "text": now.text}
        if now.file is not None:
            report |= {"file": file_of(now.file), "recipe": recipe.to_json()}
        yield report


def file_of(path: Path) -> dict[str, Any]:
    """Return a file as Gradio sends it."""
    return {"path": str(path), "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}


def follow(run: Run) -> Iterator[Any]:
    """Yield what a run makes, and raise what ended it."""
    seen = None
    while True:
        ended, now = run.state == "ended", run.progress
        if now is not None and now is not seen:
            seen = now
            yield now
        if ended:
            break
        time.sleep(FOLLOW_SECONDS)
    if run.error:
        raise gr.Error(run.error, title="That did not work", print_exception=False)
