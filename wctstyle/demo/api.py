"""The named endpoints: every action without the page, typed, for `gradio_client` and plain HTTP.

Gradio reads the annotations of these functions as they stand, so they are not postponed here.
"""

import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import gradio as gr
from gradio.events import api

from wctstyle import images, recipes, samples
from wctstyle.demo import actions, looks
from wctstyle.demo.actions import Desk
from wctstyle.demo.layout import LIVE_JOBS, friendly
from wctstyle.demo.looks import DEFAULTS, Look
from wctstyle.demo.pictures import decode, public_name, take_upload
from wctstyle.demo.sessions import Session
from wctstyle.errors import ConfigError
from wctstyle.optimizer.settings import OptimizeSettings
from wctstyle.settings import DEFAULT_STROKE_SCALE

Picture = str | dict
"""`sample:NAME`, or an uploaded file as `gradio_client.handle_file` or POST /upload names it."""

FormatName = Literal["PNG", "JPEG", "WebP"]


class Endpoints:
    """The endpoints of one demo. Each call is a session of its own that ends with it."""

    def __init__(self, desk: Desk, upload_folder: str, export_folder: Path) -> None:
        self.desk, self.upload_folder, self.export_folder = desk, upload_folder, export_folder

    def connect(self) -> None:
        """Register all endpoints with the current `gr.Blocks`."""
        quick: dict[str, Any] = {"concurrency_id": "live", "concurrency_limit": LIVE_JOBS}
        api(friendly(self.samples), api_name="samples", **quick)
        api(friendly(self.stylize), api_name="stylize", **quick)
        api(friendly(self.compare), api_name="compare", **quick)
        api(friendly(self.recipe), api_name="recipe", **quick)
        api(self.optimise, api_name="optimise", concurrency_id="optimise", concurrency_limit=1)

    # ------------------------------------------------------------------------------------------------ the endpoints

    def samples(self) -> dict[str, list[str]]:
        """List the pictures that come along, photos and styles, for use as `sample:NAME`."""
        return {kind: [samples.PREFIX + name for name in samples.names(kind)] for kind in ("content", "style")}

    def stylize(
        self,
        content: Picture,
        styles: list[Picture],
        weights: list[float] | None = None,
        strength: float = DEFAULTS.strength,
        detail: float = DEFAULTS.detail,
        color: float = DEFAULTS.color,
        texture: float = DEFAULTS.texture,
        keep_faces: float = DEFAULTS.keep_faces,
        transform: Literal["mk", "wct", "adain"] = DEFAULTS.transform,
        blend: Literal["barycenter", "linear", "mixture"] = DEFAULTS.blend,
        size: int = 512,
        look: int = DEFAULTS.look,
        stroke_scale: float = DEFAULT_STROKE_SCALE,
        model: str | None = None,
        format: FormatName = "PNG",
        quality: int = 92,
    ) -> tuple[dict, dict]:
        """Stylise a photo after one style or a blend. Returns the file and {"seconds", "width", "height", "recipe"}.

        content and each of styles is `sample:NAME` or an uploaded file. weights: one per style, any scale; equal if
        left out. strength 0..1.5: 0 is the photo, 1 the full style. detail 0..1: how much of the photo's fine detail is
        put back. color 0..1: 0 keeps the photo's colors. texture 0..1: how much there is to paint in plain areas.
        keep_faces 0..1: how strongly faces are protected. size: long side in pixels. look: long side in pixels at which
        larger results are composed; 0 paints every size at once. stroke_scale 0.25..4: size of the strokes.
        model: slim, medium or vgg19, as far as they are installed; the server's own if left out.
        """
        session = self._session()
        made = self._look(
            session, content, styles, weights, model, strength=strength, detail=detail, color=color, texture=texture,
            keep_faces=keep_faces, transform=transform, blend=blend, size=size, look=look, stroke_scale=stroke_scale,
        )  # fmt: skip
        shot = self.desk.engine.render(session, made)
        recipe = actions.recipe_of(self.desk, session, made, shot.image)
        return self._file(shot.image, recipe, format, quality), _report(shot.image, recipe, seconds=shot.seconds)

    def optimise(
        self,
        content: Picture,
        styles: list[Picture],
        weights: list[float] | None = None,
        steps: int = OptimizeSettings.steps,
        method: Literal["lbfgs", "adam"] = "lbfgs",
        start: Literal["fast", "content", "noise"] = "fast",
        strength: float = DEFAULTS.strength,
        color: float = DEFAULTS.color,
        texture: float = DEFAULTS.texture,
        blend: Literal["barycenter", "linear", "mixture"] = DEFAULTS.blend,
        size: int = 384,
        stroke_scale: float = DEFAULT_STROKE_SCALE,
        model: str | None = None,
        format: FormatName = "PNG",
    ) -> Iterator[dict]:
        """Optimise a photo after a blend, slowly. Streams {"step", "steps", "loss", "text"} about once a second.

        The last item has "file", "seconds", "width", "height" and "recipe" as well. color below 0.5 keeps the photo's
        colors. model: what paints the picture to start from; vgg19 also optimises with VGG-19, the others with medium.
        """
        session, progress = self._session(), gr.Progress()
        try:
            look = friendly(self._look)(
                session, content, styles, weights, model, strength=strength, color=color, texture=texture,
                blend=blend, size=size, stroke_scale=stroke_scale,
            )  # fmt: skip
            run = friendly(actions.optimise)(self.desk, session, look, steps, method, start)
            while (now := friendly(next)(run, None)) is not None:
                progress((now.step, now.steps), desc=now.text)
                report = {
                    "step": now.step,
                    "steps": now.steps,
                    "loss": now.losses[-1][1] if now.losses else None,
                    "text": now.text,
                }
                if now.kept is None:
                    yield report
                else:
                    image, recipe = images.load(now.kept.data).rgb, dict(now.kept.recipe)
                    file = self._file(image, recipe, format, 92)
                    yield {**report, "file": file, **_report(image, recipe, seconds=now.kept.seconds)}
        finally:
            session.close()

    def compare(
        self,
        result: Picture,
        content: Picture,
        styles: list[Picture],
        weights: list[float] | None = None,
        stroke_scale: float = DEFAULT_STROKE_SCALE,
    ) -> dict:
        """Measure how near a picture is to a blend and to a photo, with the network of Optimise.

        Returns {"style", "style_by_level", "content", "ssim"}: style is the mean of the levels; content and ssim are
        null where sizes differ.
        """
        session = self._session()
        held = session.picture(self._take(session, result))
        longest = min(max(held.pixels.shape[:2]), self.desk.limits.max_size)
        look = self._look(session, content, styles, weights, None, size=longest, stroke_scale=stroke_scale)
        return self.desk.engine.figures(session, look, held.at(longest))

    def recipe(self, picture: dict) -> dict:
        """Read how a picture was made: {"recipe", "command", "python"}, each null if there is no recipe in it."""
        data = self._read(picture)
        recipe = actions.stored_recipe(data)
        if recipe is None:
            return {"recipe": None, "command": None, "python": None}
        looks.look_of(recipe, lambda name, hash: name, self.desk.limits, fallback=looks.FIRST_CONTENT)
        return {
            "recipe": recipe,
            "command": recipes.recipe_command(recipe, actions.RESULT),
            "python": recipes.recipe_program(recipe, actions.RESULT),
        }

    # --------------------------------------------------------------------------------------------------------- parts

    def _session(self) -> Session:
        return Session(f"api:{uuid.uuid4().hex}", self.desk.limits)

    def _read(self, picture: dict) -> bytes:
        """Read an upload. Equal files share one path in Gradio, so it is left to other calls, and to the sweep."""
        return take_upload(picture.get("path"), self.upload_folder, self.desk.limits, keep=True)

    def _take(self, session: Session, picture: Any) -> str:
        """Return the id of a sample, or of an upload that the session holds from now on."""
        if isinstance(picture, str):
            if not picture.startswith(samples.PREFIX):
                raise ConfigError(f"a picture is an uploaded file or sample:NAME, got {public_name(picture)!r}")
            return session.picture(picture).id
        if not isinstance(picture, dict):
            raise ConfigError("a picture is an uploaded file or sample:NAME")
        return session.add(decode(self._read(picture), self.desk.limits), public_name(picture.get("orig_name"))).id

    def _look(self, session: Session, content: Any, styles: Any, weights: Any, model: str | None, **dials: Any) -> Look:
        if not isinstance(styles, list) or not 1 <= len(styles) <= self.desk.limits.styles:
            raise ConfigError(f"styles must be a list of 1 to {self.desk.limits.styles} pictures")
        weights = [1.0] * len(styles) if weights is None else weights
        if not isinstance(weights, list) or len(weights) != len(styles):
            raise ConfigError(f"weights must be a list of as many numbers as there are styles ({len(styles)})")
        palette = {
            "content": self._take(session, content),
            "styles": [[self._take(session, s), w] for s, w in zip(styles, weights, strict=True)],
        }
        model = self.desk.engine.model if model is None else model
        return looks.make_look(self.desk.limits, palette, model=model, **dials)

    def _file(self, image: Any, recipe: dict[str, Any], format: str, quality: int) -> dict[str, Any]:
        if format not in actions.FORMATS:
            raise ConfigError(f"format is {format!r}, must be one of {', '.join(actions.FORMATS)}")
        folder = Path(tempfile.mkdtemp(dir=self.export_folder))
        path = actions.write(folder / f"stylized.{actions.FORMATS[format]}", image, quality=quality, recipe=recipe)
        return {"path": str(path), "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}


def _report(image: Any, recipe: dict[str, Any], *, seconds: float) -> dict[str, Any]:
    return {"seconds": round(seconds, 4), "width": image.shape[1], "height": image.shape[0], "recipe": recipe}
