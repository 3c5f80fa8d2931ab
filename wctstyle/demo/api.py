"""The named endpoints: every action without the page, typed, for `gradio_client` and plain HTTP.

Gradio reads the annotations of these functions as they stand, so they are not postponed here.
"""

import inspect
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_type_hints

import gradio as gr
from gradio.events import api

from wctstyle import images, looks, masks, samples
from wctstyle.demo import choosing, clips
from wctstyle.demo.actions import Service, opacity
from wctstyle.demo.calling import Taker
from wctstyle.demo.calls import Check, Picture, RegionPart, typed
from wctstyle.demo.composition import DEFAULTS, FIRST_CONTENT
from wctstyle.demo.downloads import FORMATS, write
from wctstyle.demo.extra_calls import FOLLOWERS, ExtraEndpoints, file_of, follow
from wctstyle.demo.friendly import friendly
from wctstyle.demo.masking import ready_made, scribbled
from wctstyle.demo.optimising import submit
from wctstyle.demo.page import LIVE_JOBS
from wctstyle.demo.pictures import decode
from wctstyle.demo.recipes import RESULT, from_recipe, recipe_for, recipe_name
from wctstyle.demo.runs import Run
from wctstyle.demo.sessions import Session
from wctstyle.demo.streams import Stream
from wctstyle.dreams.recipe import DreamRecipe
from wctstyle.errors import ConfigError
from wctstyle.optimizer.settings import OptimizeSettings
from wctstyle.recipe import Recipe
from wctstyle.recipe_kinds import kind_of
from wctstyle.settings import DEFAULT_CALM, DEFAULT_FEATHER, DEFAULT_STROKE_SCALE, Settings, checked_number
from wctstyle.video.clips import Cut
from wctstyle.video.extras import missing

FormatName = Literal["PNG", "JPEG", "WebP"]
KindName = Literal[tuple(masks.READY)]  # pyright: ignore[reportInvalidTypeForm]


def dials(**changed: Any) -> list[inspect.Parameter]:
    """Return an argument for every dial of `DEFAULTS`; `changed` are other defaults.

    The model is None unless it is given: the server's own.
    """
    types = {**get_type_hints(Settings), "size": int, "stroke_scale": float, "model": str | None}
    return [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=types[name])
        for name, default in {**DEFAULTS, "model": None, **changed}.items()
    ]


DIALS = """
        strength 0..1.5: 0 is the photo, 1 the full style. detail 0..1: how much of the photo's fine detail is put back.
        colors: style; photo: its own; match: the styles are recolored after the photo first; only: the style's colors
        and no paint. color 0..1: from the photo's colors to those. texture 0..1: how much there is to paint in plain
        areas. keep_faces 0..1: how strongly faces are protected. size: long side in pixels. look: long side in pixels
        at which larger results are composed; 0 paints every size at once. stroke_scale 0.25..4: size of the strokes.
        photo: true keeps it a photo, in the style's light and colors. model: slim, medium or vgg19, as far as they are
        installed; the server's own if left out.
        """


PARTS = [
    inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind)
    for name, default, kind in (
        ("style_masks", None, list[dict | None] | None),
        ("regions", None, list[RegionPart] | None),
        ("feather", DEFAULT_FEATHER, float),
    )
]
"""The arguments that say what counts where."""

PARTS_TEXT = """
        style_masks: one per style, a file that is white where the style counts, or null. regions: parts of the photo
        with styles of their own, each {"mask", "name", "styles", "weights", "style_masks", "strength", "detail", ...};
        mask is a file, white inside, or ready:KIND; strength multiplies the overall strength; other dials that are null
        are as outside the region; a region without styles shows the photo. styles then applies outside all regions and
        may be empty. feather 0..0.1: how far masks are softened, as a share of the photo's long side.
        """


class Endpoints:
    """The endpoints of one demo. Each call is a session of its own that ends with it."""

    def __init__(self, service: Service, upload_folder: str, export_folder: Path) -> None:
        self.service, self.export_folder = service, export_folder
        self.take = Taker(service, upload_folder)

    def connect(self) -> Mapping[str, Check]:
        """Register all endpoints with the current `gr.Blocks`; returns the checks of their arguments, by name."""
        quick: dict[str, Any] = {"concurrency_id": "live", "concurrency_limit": LIVE_JOBS}
        calls = {
            "samples": typed(self.samples),
            "looks": typed(self.looks),
            "stylize": typed(self.stylize, [*PARTS, *dials()], PARTS_TEXT + DIALS),
            "compare": typed(self.compare, PARTS, PARTS_TEXT),
            "mask": typed(self.mask),
            "suggest": typed(self.suggest),
            "recipe": typed(self.recipe),
        }
        for name, call in calls.items():
            api(friendly(call), api_name=name, **quick)
        calls["optimise"] = typed(self.optimise, [*PARTS, *dials(size=384)], PARTS_TEXT + DIALS)
        api(calls["optimise"], api_name="optimise", concurrency_id="follow", concurrency_limit=FOLLOWERS)
        calls["video"] = typed(self.video, [PARTS[0], *dials()], DIALS)
        api(calls["video"], api_name="video", concurrency_id="follow", concurrency_limit=FOLLOWERS)
        calls["live"] = typed(self.live, [PARTS[0], *dials()], DIALS)
        api(calls["live"], api_name="live", concurrency_id="follow", concurrency_limit=FOLLOWERS)
        calls |= ExtraEndpoints(self.service, self.take, self.export_folder).connect()
        return {name: call.check for name, call in calls.items()}  # pyright: ignore[reportFunctionMemberAccess]

    # ------------------------------------------------------------------------------------------------ the endpoints

    def samples(self) -> dict[str, list[str]]:
        """List the pictures that come along, photos and styles, for use as `sample:NAME`."""
        return {kind: [samples.PREFIX + name for name in samples.names(kind)] for kind in ("content", "style")}

    def looks(self) -> list[dict]:
        """List the looks that come along: {"name", "text", "styles", "weights", "dials"}.

        styles, weights and each of dials are arguments of /stylize and /optimise.
        """
        return [
            {
                "name": look.name,
                "text": look.text,
                "styles": [style.name for style in look.styles],
                "weights": [style.weight for style in look.styles],
                "dials": {name: value for name, value in look.to_json().items() if name in DEFAULTS},
            }
            for look in map(looks.find, looks.shipped())
        ]

    def stylize(
        self,
        content: Picture,
        styles: list[Picture],
        weights: list[float] | None = None,
        format: FormatName = "PNG",
        quality: int = 92,
        **dials: Any,
    ) -> tuple[dict, dict]:
        """Stylise a photo after one style or a blend. Returns the file and {"seconds", "width", "height", "recipe"}.

        content and each of styles is `sample:NAME` or an uploaded file. weights: one per style, any scale; equal if
        left out. quality: of JPEG and WebP.
        """
        session = self._session()
        composition = self.take.composition(session, content, styles, weights, **dials)
        made = self.service.backend.render(session, composition)
        recipe = recipe_for(composition, session, size=max(made.image.shape[:2]))
        picture = images.Picture(made.image, opacity(self.service, session, composition))
        return self._file(picture, recipe, format, quality), _report(picture, recipe, seconds=made.seconds)

    def optimise(
        self,
        content: Picture,
        styles: list[Picture],
        weights: list[float] | None = None,
        steps: int = OptimizeSettings.steps,
        method: Literal["lbfgs", "adam"] = "lbfgs",
        start: Literal["fast", "content", "noise"] = "fast",
        format: FormatName = "PNG",
        quality: int = 92,
        **dials: Any,
    ) -> Iterator[dict]:
        """Optimise a photo after a blend, slowly. Streams {"step", "steps", "loss", "text"} about once a second.

        The last item has "file", "seconds", "width", "height" and "recipe" as well. The picture to start from is what
        /stylize makes of the same arguments. Strength above 1 counts as 1; colors "only" and photo are refused. The
        model vgg19 also optimises with VGG-19, the others with medium.
        """
        session, progress = self._session(), gr.Progress()
        try:
            composition = friendly(self.take.composition)(session, content, styles, weights, **dials)
            run = friendly(submit)(self.service, session, composition, steps, method, start)
            for now in follow(run):
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
                    picture, recipe = images.load(now.kept.data), now.kept.recipe
                    file = self._file(picture, recipe, format, quality)
                    yield {**report, "file": file, **_report(picture, recipe, seconds=now.kept.seconds)}
        finally:
            session.close()

    def video(
        self,
        file: dict,
        styles: list[Picture],
        weights: list[float] | None = None,
        calm: float = DEFAULT_CALM,
        steps: int = 0,
        start: float = 0.0,
        end: float | None = None,
        **dials: Any,
    ) -> Iterator[dict]:
        """Paint a clip after one style or a blend. Streams {"frame", "frames", "fps", "text"} as frames are painted.

        The last item has "file", an MP4 with the clip's sound. frames is 0 where nobody knows. file: an uploaded video
        or animated picture. calm 0..1: 0 paints every frame by itself. steps: 0 is fast; with more (20 are usual) each
        frame is optimised, which is much slower. start, end: the part that is painted, in seconds. style_masks: one per
        style, a file that is white where the style counts, or null.
        """
        session, progress = self._session(), gr.Progress()
        try:
            run = friendly(self._video)(session, file, styles, weights, calm, steps, start=start, end=end, **dials)
            for now in follow(run):
                progress((now.step, now.steps or None), desc=now.text)
                report = {"frame": now.step, "frames": now.steps, "fps": round(now.fps, 3), "text": now.text}
                yield report if now.file is None else {**report, "file": file_of(now.file)}
        finally:
            session.close()

    def _video(
        self,
        session: Session,
        file: dict,
        styles: list[Picture],
        weights: list[float] | None,
        calm: float,
        steps: int,
        start: float,
        end: float | None,
        **dials: Any,
    ) -> Run:
        """Put a video in line."""
        if lacking := missing():
            raise ConfigError(lacking)
        limits, folders = self.service.limits, (self.take.upload_folder, self.export_folder)
        composition = self.take.composition(session, FIRST_CONTENT, styles, weights, **dials)
        cut = Cut(checked_number("start", start, 0), None if end is None else checked_number("end", end, 0))
        path = clips.take_clip(file.get("path"), file.get("orig_name"), *folders, limits, keep=True)
        clip = clips.open_upload(limits, path, composition.size, cut)
        return clips.submit(self.service, session, composition, clip, calm, steps)

    def live(
        self,
        styles: list[Picture],
        weights: list[float] | None = None,
        calm: float = DEFAULT_CALM,
        stream: str | None = None,
        **dials: Any,
    ) -> Iterator[dict]:
        """Paint frames as they come. Streams {"stream", "address", "frames", "fps", "width", "height", "text"}.

        POST each frame as a picture (Content-Type image/jpeg) to address, at the root of this server; the answer is the
        painted frame as JPEG. One frame at a time. The stream ends when no frame comes for a while, by DELETE of its
        address, and with this call. stream: the id of one that runs, which is painted after these arguments from its
        next frame on; then one report comes. size: the largest long side; fewer pixels are painted where that is needed
        to hold 8 frames a second. calm: as in /video. style_masks: one per style, or null.
        """
        session, progress = self._session(), gr.Progress()
        try:
            if stream is not None:
                yield friendly(self._change)(stream, styles, weights, calm=calm, **dials)
                return
            begun = friendly(self._begin)(session, styles, weights, calm=calm, **dials)
            for report in self.service.streams.reports(begun):
                progress((report["frames"], None), desc=report["text"])
                yield report
        finally:
            session.close()

    def _begin(self, session: Session, *blend: Any, calm: float, **dials: Any) -> Stream:
        composition = self.take.composition(session, FIRST_CONTENT, *blend, **dials)
        return self.service.streams.open(session, composition, calm)

    def _change(self, id: str, *blend: Any, calm: float, **dials: Any) -> dict[str, Any]:
        stream = self.service.streams.find(id)
        composition = self.take.composition(stream.session, FIRST_CONTENT, *blend, **dials)
        self.service.streams.follow(stream, composition, calm)
        return stream.report()

    def compare(
        self,
        result: Picture,
        content: Picture,
        styles: list[Picture],
        weights: list[float] | None = None,
        stroke_scale: float = DEFAULT_STROKE_SCALE,
        **parts: Any,
    ) -> dict:
        """Measure how near a picture is to a blend and to a photo, with the network of Optimise.

        Returns {"style", "style_by_level", "content", "ssim"}: style is the mean of the levels; content and ssim are
        null where sizes differ.
        """
        session = self._session()
        held = session.picture(self.take.picture(session, result))
        longest = min(max(held.pixels.shape[:2]), self.service.limits.max_size)
        dials = {"size": longest, "stroke_scale": stroke_scale, "model": None}
        composition = self.take.composition(session, content, styles, weights, **dials, **parts)
        return self.service.backend.figures(session, composition, held.as_content(longest).rgb)

    def mask(
        self,
        content: Picture,
        kind: KindName | None = None,  # pyright: ignore[reportInvalidTypeForm]
        scribble: dict | None = None,
    ) -> dict:
        """Make the mask of a region of a photo: white inside. Returns the file.

        kind: what is found in the photo. scribble: a picture with transparency, green on some of what is inside, red on
        some of what is outside. One of them is given.
        """
        if (kind is None) == (scribble is None):
            raise ConfigError("give one of kind and scribble")
        session = self._session()
        photo = session.picture(self.take.picture(session, content)).as_content(self.service.limits.max_size)
        if kind is not None:
            plane = ready_made(kind, photo)
        else:
            marks = decode(self.take.read(scribble or {}), self.service.limits)
            plane = scribbled(marks, photo)
        path = Path(tempfile.mkdtemp(dir=self.export_folder)) / "mask.png"
        return file_of(images.save(path, plane))

    def suggest(self, content: Picture, styles: list[Picture] | None = None) -> list[dict]:
        """Order styles by how like a photo they are in colors and textures, whatever their contrast; nearest first.

        Returns {"style", "place", "distance"} of each: its name, its place in styles, and 0 (alike) to 1.41. styles:
        the samples if left out.
        """
        session, most = self._session(), self.service.limits.uploads - 1
        styles = [samples.PREFIX + name for name in samples.names("style")] if styles is None else styles
        if sum(isinstance(style, dict) for style in styles) > most:
            raise ConfigError(f"styles has too many uploaded files; choose from up to {most} at a time")
        photo = session.picture(self.take.picture(session, content))
        taken = choosing.check_choice(self.service, [self.take.picture(session, style) for style in styles])
        held = [session.picture(id) for id in taken]
        ordered = choosing.nearest(self.service, photo, held, self.service.backend.model)
        return [
            {"style": recipe_name(held[place]), "place": place, "distance": round(far, 4)} for far, place in ordered
        ]

    def recipe(self, picture: dict) -> dict:
        """Read how a picture was made: {"recipe", "command", "python"}, each null if there is no recipe in it."""
        data = self.take.read(picture)
        written = looks.parsed(data)
        if written is None:
            decode(data, self.service.limits)  # what is no picture is refused
            return {"recipe": None, "command": None, "python": None}
        kind = kind_of(written)
        if kind is not None:
            made = kind.from_json(written)
            code = None if isinstance(made, DreamRecipe) and made.zoom else made.program(RESULT)
            return {"recipe": written, "command": made.command(RESULT), "python": code}
        recipe = from_recipe(written, lambda name, hash: name, self.service.limits, fallback=FIRST_CONTENT)[1]
        return {"recipe": written, "command": recipe.command(RESULT), "python": recipe.program(RESULT)}

    # --------------------------------------------------------------------------------------------------------- parts

    def _session(self) -> Session:
        return Session(f"api:{uuid.uuid4().hex}", self.service.limits)

    def _file(self, picture: images.Picture, recipe: Recipe, format: str, quality: int) -> dict[str, Any]:
        folder = Path(tempfile.mkdtemp(dir=self.export_folder))
        path = write(folder / f"stylized.{FORMATS[format]}", picture.rgb, picture.alpha, quality=quality, recipe=recipe)
        return file_of(path)


def _report(picture: images.Picture, recipe: Recipe, *, seconds: float) -> dict[str, Any]:
    size = {"width": picture.width, "height": picture.height}
    return {"seconds": round(seconds, 4), **size, "recipe": recipe.to_json()}
