"""The command `wctstyle compare`."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from wctstyle import images
from wctstyle.cli import optimize_options as own
from wctstyle.cli import options
from wctstyle.cli.comparison import Entry, report_page, sheet
from wctstyle.cli.console import Verbose, clean_exit, waiting
from wctstyle.cli.optimize_options import DEFAULTS
from wctstyle.cli.optimize_run import (
    load_optimizer,
    optimizer_for,
    paint_fast,
    read_request,
    watch,
)
from wctstyle.cli.options import from_options, sizes_from
from wctstyle.cli.outputs import check_folder, check_free
from wctstyle.cli.specs import named_photo
from wctstyle.errors import ImageError, WeightsError
from wctstyle.files import replace_file
from wctstyle.optimization import Request, Wanted, ended_recipe
from wctstyle.optimizer.settings import OptimizeSettings
from wctstyle.settings import DEFAULT_FEATHER, DEFAULT_OPTIMIZER_MODEL
from wctstyle.sources import public_name

if TYPE_CHECKING:
    from wctstyle.optimizer import Iterate, Optimizer

COMPARED = {"photo": "content.png", "fast": "fast.png", "optimised": "optimized.png"}
"""The pictures of `compare` and their files."""


@clean_exit
def compare(
    content: own.Content,
    out: own.OutputFolder,
    style: options.Style = None,
    mask: options.Mask = None,
    mask_map: options.MaskMap = None,
    style_mask: options.StyleMask = None,
    region: options.RegionDials = None,
    feather: options.Feather = DEFAULT_FEATHER,
    strength: own.Strength = DEFAULTS.strength,
    blend: own.BlendOption = DEFAULTS.blend,
    colors: options.Colors = DEFAULTS.colors,
    color: options.Color = DEFAULTS.color,
    keep_faces: own.KeepFaces = DEFAULTS.keep_faces,
    steps: own.Steps = DEFAULTS.steps,
    model: own.ModelOption = DEFAULT_OPTIMIZER_MODEL,
    size: own.Size = None,
    stroke_scale: options.StrokeScale = None,
    style_size: options.StyleSize = None,
    max_pixels: options.MaxPixels = images.DEFAULT_MAX_PIXELS,
    overwrite: options.Overwrite = False,
    as_json: own.AsJson = False,
    verbose: Verbose = 0,
) -> None:
    """Make the fast and the optimised picture, and a report that holds them against each other.

    wctstyle compare photo.jpg --style painting.jpg -o comparison
    """
    settings = from_options(
        OptimizeSettings, steps=steps, strength=strength, blend=blend, colors=colors, color=color, keep_faces=keep_faces
    )
    sizes = sizes_from(size, style_size, stroke_scale, max_pixels)
    wanted = Wanted(
        named_photo("compare", content, style, mask, style_mask, region, feather, mask_map),
        settings,
        "fast",
        model,
        sizes,
    )
    check_folder(out)
    page = out / "report.html"
    check_free(
        [page, *(out / name for name in (*COMPARED.values(), "sheet.png"))], overwrite=overwrite, inputs=wanted.files
    )
    request = read_request(wanted)
    made = _make(request, out, as_json=as_json)
    photo, last = request.content.rgb, made.last
    with waiting("measuring"):
        judge, judged_by = _judge(made.engine)
        entries = [
            Entry(name, COMPARED[name], made.seconds[name], judge.figures(picture, request.content, request.regions))
            for name, picture in made.pictures.items()
        ]
    shown = [style.picture for region in request.regions for style, weight in region.styles if weight > 0]
    images.save(out / "sheet.png", sheet([photo, *shown, made.pictures["fast"], last.image]))
    _write_report(page, content, request, made, entries, judged_by)
    if as_json:
        figures = {entry.name: _known({"seconds": entry.seconds, **entry.figures}) for entry in entries}
        typer.echo(json.dumps({"output": str(page), "judged_by": judged_by, "figures": figures}, allow_nan=False))
    else:
        typer.echo(str(page))
    if not last.done:
        raise KeyboardInterrupt(f"Stopped at step {last.step} of {last.steps}. The report is of the picture so far.")


@dataclass(frozen=True)
class _Made:
    """The compared pictures and the seconds that they took, by name; the end and the course of the run."""

    engine: Optimizer
    pictures: dict[str, np.ndarray]
    seconds: dict[str, float | None]
    last: Iterate
    trace: list[dict[str, Any]]


def _make(request: Request, out: Path, *, as_json: bool) -> _Made:
    """Make the pictures and save them: before they are judged, which may take longer than making them."""
    clock = time.perf_counter()
    engine = optimizer_for(request)
    images.make_folder(out)
    fast, fast_seconds = paint_fast(request)
    trace: list[dict[str, Any]] = []
    photo = request.content.rgb
    iterates = engine.run(request.content, request.regions, request.settings, init=fast)
    last, _ = watch(iterates, request.settings.steps, as_json=as_json, trace=trace)
    seconds = {"photo": None, "fast": fast_seconds, "optimised": time.perf_counter() - clock}
    pictures = {"photo": photo, "fast": fast, "optimised": last.image}
    recipes = {"fast": request.recipe.fast, "optimised": ended_recipe(request, last)}
    for name, picture in pictures.items():
        recipe = recipes[name].to_json() if name in recipes else None
        images.save(out / COMPARED[name], picture, request.content.alpha, recipe=recipe)
    return _Made(engine, pictures, seconds, last, trace)


def _write_report(
    page: Path, content: str, request: Request, made: _Made, entries: list[Entry], judged_by: str
) -> None:
    last = made.last
    facts = {
        "judged by": judged_by,
        "model": request.model,
        "steps": last.step if last.done else f"{last.step} of {last.steps}, then stopped",
        "size": f"{last.width} x {last.height}",
    }
    names = [(style.name, style.weight) for style in request.recipe.styles]
    try:
        replace_file(page, report_page(public_name(content), names, entries, made.trace, facts).encode())
    except OSError as error:
        raise ImageError(f"-o {page.parent}: cannot be written: {error.strerror or error}") from error


def _known(value: Any) -> Any:
    """Replace what is not a number, as the SSIM of a picture below 11 pixels, by JSON's null."""
    if isinstance(value, dict):
        return {name: _known(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_known(one) for one in value]
    return value if value is None or math.isfinite(value) else None


def _judge(engine: Optimizer) -> tuple[Optimizer, str]:
    """Choose what the figures are measured with: the original VGG-19 where it was imported, else the model at hand."""
    if engine.model != "vgg19":
        try:
            engine = load_optimizer("vgg19")
        except WeightsError:
            return engine, f"the model {engine.model} (the original VGG-19 is not imported)"
    return engine, "the original VGG-19"
