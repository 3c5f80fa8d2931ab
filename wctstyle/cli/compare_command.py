"""The command `wctstyle compare`."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wctstyle import images
from wctstyle.cli import optimize_options as options
from wctstyle.cli.comparison import Entry, report_page, sheet
from wctstyle.cli.console import Verbose, clean_exit, waiting
from wctstyle.cli.jobs import Strokes, from_options
from wctstyle.cli.optimize_options import DEFAULTS, output_option
from wctstyle.cli.optimize_run import (
    ended_recipe,
    load_optimizer,
    one_content,
    paint_fast,
    read_request,
    watch,
)
from wctstyle.cli.outputs import check_free, make_folder
from wctstyle.cli.specs import parse_masks, parse_styles
from wctstyle.errors import ImageError, WeightsError
from wctstyle.files import replace_file
from wctstyle.optimizer.settings import OptimizeSettings
from wctstyle.recipe import public_name
from wctstyle.settings import DEFAULT_OPTIMIZER_MODEL

if TYPE_CHECKING:
    from wctstyle.optimizer import Optimizer

COMPARED = {"photo": "content.png", "fast": "fast.png", "optimised": "optimized.png"}
"""The pictures of `compare` and their files."""


@clean_exit
def compare(
    content: options.Content,
    out: Annotated[
        Path,
        output_option(
            "--output", "-o", metavar="DIR", show_default=False, help="Folder for the pictures and the report."
        ),
    ],
    style: options.Style = None,
    mask: options.Mask = None,
    strength: options.Strength = DEFAULTS.strength,
    blend: options.BlendOption = DEFAULTS.blend,
    keep_faces: options.KeepFaces = DEFAULTS.keep_faces,
    steps: options.Steps = DEFAULTS.steps,
    model: options.ModelOption = DEFAULT_OPTIMIZER_MODEL,
    size: options.Size = None,
    stroke_scale: options.StrokeScale = None,
    style_size: options.StyleSize = None,
    max_pixels: options.MaxPixels = images.DEFAULT_MAX_PIXELS,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
    verbose: Verbose = 0,
) -> None:
    """Make the fast and the optimised picture, and a report that holds them against each other.

    wctstyle compare photo.jpg --style painting.jpg -o comparison
    """
    settings = from_options(OptimizeSettings, steps=steps, strength=strength, blend=blend, keep_faces=keep_faces)
    strokes = Strokes(style_size, stroke_scale)
    specs = parse_styles(style, command="compare")
    masks = parse_masks(mask, specs)
    source = one_content(content)
    if out.exists() and not out.is_dir():
        raise ImageError(f"-o {out}: is a file; give a folder (it is made)")
    page = out / "report.html"
    check_free(
        [page, *(out / name for name in (*COMPARED.values(), "sheet.png"))],
        overwrite=overwrite,
        inputs=[source, *(spec.source for spec in specs), *masks.values()],
    )
    request = read_request(
        source,
        specs,
        settings,
        masks=masks,
        init="fast",
        model=model,
        size=size,
        strokes=strokes,
        max_pixels=max_pixels,
    )
    clock = time.perf_counter()
    with waiting("getting ready"):
        engine = load_optimizer(request.model)
        engine.check_memory(request.content.rgb.shape, settings, request.regions)
    make_folder(out)
    with waiting("painting the fast picture"):
        fast, fast_seconds = paint_fast(request)
    trace: list[dict[str, Any]] = []
    iterates = engine.run(request.content.rgb, request.regions, settings, init=fast)
    last, _ = watch(iterates, steps, as_json=as_json, trace=trace)
    seconds = {"photo": None, "fast": fast_seconds, "optimised": time.perf_counter() - clock}
    photo = request.content.rgb
    made = {
        "photo": (photo, None),
        "fast": (fast, request.recipe.fast.to_json()),
        "optimised": (last.image, ended_recipe(request, last).to_json()),
    }
    for name, (picture, recipe) in made.items():  # before they are judged, which may take longer than making them
        images.save(out / COMPARED[name], picture, request.content.alpha, recipe=recipe)
    with waiting("measuring"):
        judge, judged_by = _judge(engine)
        entries = [
            Entry(name, COMPARED[name], seconds[name], judge.figures(picture, photo, request.regions))
            for name, (picture, _) in made.items()
        ]
    shown = [picture for region in request.regions for picture, weight in region.styles if weight > 0]
    images.save(out / "sheet.png", sheet([photo, *shown, fast, last.image]))
    facts = {
        "judged by": judged_by,
        "model": request.model,
        "steps": last.step if last.done else f"{last.step} of {last.steps}, then stopped",
        "size": f"{last.width} x {last.height}",
    }
    names = [(style.name, style.weight) for style in request.recipe.styles]
    try:
        replace_file(page, report_page(public_name(source), names, entries, trace, facts).encode())
    except OSError as error:
        raise ImageError(f"-o {out}: cannot be written: {error.strerror or error}") from error
    if as_json:
        figures = {
            entry.name: {name: _known(value) for name, value in {"seconds": entry.seconds, **entry.figures}.items()}
            for entry in entries
        }
        typer.echo(json.dumps({"output": str(page), "judged_by": judged_by, "figures": figures}, allow_nan=False))
    else:
        typer.echo(str(page))
    if not last.done:
        raise KeyboardInterrupt(f"Stopped at step {last.step} of {last.steps}. The report is of the picture so far.")


def _known(value: Any) -> Any:
    """Replace what is not a number, as the SSIM of a picture below 11 pixels, by JSON's null."""
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
