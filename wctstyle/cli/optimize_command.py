"""The command `wctstyle optimize`."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from wctstyle import images, samples
from wctstyle.cli import optimize_options as options
from wctstyle.cli.console import Verbose, clean_exit, tell, waiting, warn
from wctstyle.cli.jobs import Strokes, from_options
from wctstyle.cli.optimize_options import DEFAULTS, STARTS, output_option
from wctstyle.cli.optimize_run import (
    describe,
    ended_recipe,
    load_optimizer,
    one_content,
    paint_fast,
    read_request,
    status,
    watch,
)
from wctstyle.cli.outputs import check_format, check_free, make_folder, plan_outputs
from wctstyle.cli.specs import parse_layers, parse_masks, parse_styles
from wctstyle.errors import ConfigError, ImageError
from wctstyle.optimizer.settings import OptimizeSettings
from wctstyle.settings import DEFAULT_OPTIMIZER_MODEL

if TYPE_CHECKING:
    from wctstyle.optimizer import Iterate


@clean_exit
def optimize(
    content: options.Content,
    style: options.Style = None,
    mask: options.Mask = None,
    strength: options.Strength = DEFAULTS.strength,
    blend: options.BlendOption = DEFAULTS.blend,
    original_colors: options.OriginalColors = False,
    content_weight: options.ContentWeight = DEFAULTS.content_weight,
    style_weight: options.StyleWeight = DEFAULTS.style_weight,
    tv_weight: options.TvWeight = DEFAULTS.tv_weight,
    keep_faces: options.KeepFaces = DEFAULTS.keep_faces,
    content_layers: options.ContentLayers = None,
    style_layers: options.StyleLayers = None,
    statistic: options.StatisticOption = DEFAULTS.statistic,
    pooling: options.PoolingOption = DEFAULTS.pooling,
    normalize_gradients: options.NormalizeGradients = False,
    steps: options.Steps = DEFAULTS.steps,
    optimizer: options.DescentOption = DEFAULTS.optimizer,
    init: options.Init = DEFAULTS.init,
    learning_rate: options.LearningRate = DEFAULTS.learning_rate,
    average: options.Average = DEFAULTS.average,
    history: options.History = DEFAULTS.history,
    smallest: options.Smallest = DEFAULTS.smallest,
    seed: options.Seed = DEFAULTS.seed,
    time_budget: options.TimeBudget = DEFAULTS.time_budget,
    plateau: options.Plateau = DEFAULTS.plateau,
    model: options.ModelOption = DEFAULT_OPTIMIZER_MODEL,
    size: options.Size = None,
    stroke_scale: options.StrokeScale = None,
    style_size: options.StyleSize = None,
    max_pixels: options.MaxPixels = images.DEFAULT_MAX_PIXELS,
    output: Annotated[
        str | None,
        output_option(
            "--output",
            "-o",
            metavar="OUT",
            show_default="NAME-stylized.png in the current folder",
            help="File to write, its suffix says the format.",
        ),
    ] = None,
    quality: Annotated[int, output_option(help="Of JPEG and WebP: 1 smallest file to 100 best picture.")] = 92,
    save_every: Annotated[
        int, output_option(metavar="STEPS", help="Save a preview beside OUT every so many steps; 0: none.")
    ] = 0,
    resume: Annotated[
        bool, output_option("--resume", help="Go on where the same command was stopped (OUT.state.safetensors).")
    ] = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
    verbose: Verbose = 0,
) -> None:
    """Optimise one picture: slower than stylize, and better.

    wctstyle optimize photo.jpg --style painting.jpg -o result.png

    Ctrl-C keeps the picture so far; the same command with --resume goes on.
    """
    settings = from_options(
        OptimizeSettings, steps=steps, optimizer=optimizer, strength=strength, content_weight=content_weight,
        style_weight=style_weight, tv_weight=tv_weight, keep_faces=keep_faces, statistic=statistic,
        blend=blend, pooling=pooling, init=init if init in STARTS else "image", smallest=smallest,
        original_colors=original_colors, seed=seed, learning_rate=learning_rate, average=average, history=history,
        normalize_gradients=normalize_gradients, time_budget=time_budget, plateau=plateau,
        **_layers(content_layers, style_layers),
    )  # fmt: skip
    if save_every < 0:
        raise ConfigError(f"--save-every is {save_every}, must be a number of steps, or 0 for no previews")
    check_format("--quality", "jpg", quality)
    strokes = Strokes(style_size, stroke_scale)
    specs = parse_styles(style, command="optimize")
    masks = parse_masks(mask, specs)
    source = one_content(content)
    inputs = [source, *(spec.source for spec in specs), *masks.values(), *([] if init in STARTS else [init])]
    if resume and output is None:
        output = _left_behind(source)

    def planned(*, replace: bool) -> Path:
        (path,) = plan_outputs([source], into_folder=False, out=output, format=None, overwrite=replace, inputs=inputs)
        return path

    # A state that was left is told, and not the picture beside it.
    left = output is not None and _state_of(planned(replace=True)).is_file()
    path = planned(replace=overwrite or resume or left)
    state = _state_of(path)
    if resume and not state.is_file():
        raise ConfigError(f"--resume: there is no {state}, which a stopped run leaves; start without --resume")
    if state.exists() and not resume and not overwrite:
        raise ConfigError(f"{state}: is left from a stopped run; give --resume to go on, or --overwrite to start again")
    previews = _Previews(path, save_every, quality)
    check_free(previews.names(settings.steps), overwrite=overwrite or resume, inputs=inputs)
    request = read_request(
        source, specs, settings, masks=masks, init=init, model=model, size=size, strokes=strokes, max_pixels=max_pixels
    )
    with waiting("getting ready"):
        engine = load_optimizer(request.model)
        engine.check_memory(request.content.rgb.shape, settings, request.regions)
    make_folder(path.parent)
    if request.model == "vgg19" and not resume:
        seconds = engine.estimate(request.content.rgb.shape, settings)
        tell(f"this will take about {seconds:.0f} seconds here, and some more where a size is new and is compiled")
    start = request.init.rgb if request.init is not None else None
    if settings.init == "fast" and not resume:
        with waiting("painting the fast picture"):
            start = paint_fast(request)[0]
    iterates = engine.run(
        request.content.rgb, request.regions, settings, init=start, checkpoint=state,
        resume=state if resume else None, every=save_every or None,
    )  # fmt: skip
    alpha = request.content.alpha
    last, kept = watch(iterates, settings.steps, as_json=as_json, each=lambda now: previews.see(now, alpha))
    images.save(path, last.image, alpha, quality=quality, recipe=ended_recipe(request, last).to_json())
    if not last.done:
        how = "the same command with --resume goes on" if kept else "it cannot go on from there"
        raise KeyboardInterrupt(f"Stopped at step {last.step} of {last.steps}. The picture so far is {path}; {how}.")
    state.unlink(missing_ok=True)
    report = {"output": str(path), "content": source, "reason": last.reason, **describe(last), "model": request.model}
    typer.echo(json.dumps(report) if as_json else str(path))
    if verbose:
        tell(f"{last.step} steps in {last.seconds:.1f} s, stopped by {last.reason}; {status(last)}")


def _state_of(path: Path) -> Path:
    return path.with_suffix(".state.safetensors")


def _left_behind(content: str) -> str | None:
    """Find the result whose state a stopped run without -o left in the current folder; None if there is none.

    Raises:
        ConfigError: there are several.
    """
    name = glob.escape(Path(content.removeprefix(samples.PREFIX)).stem + "-stylized")
    found = sorted(left for end in ("", "-[0-9]*") for left in glob.glob(f"{name}{end}.state.safetensors"))
    if len(found) > 1:
        raise ConfigError(f"--resume: there are {' and '.join(found)}; say which result goes on with -o")
    return found[0].replace(".state.safetensors", ".png") if found else None


def _layers(content: str | None, style: str | None) -> dict[str, Any]:
    """Read the options that name layers; those not given are left to the defaults."""
    given = {"content_layers": ("--content-layers", content), "style_layers": ("--style-layers", style)}
    return {field: parse_layers(option, text) for field, (option, text) in given.items() if text is not None}


class _Previews:
    """Saves a picture beside the result at every so many steps."""

    def __init__(self, path: Path, every: int, quality: int) -> None:
        self.path, self.every, self.quality = path, every, quality
        self._failed = False

    def name(self, step: int) -> Path:
        """Name the preview of a step."""
        return self.path.with_name(f"{self.path.stem}-{step:04d}{self.path.suffix}")

    def names(self, steps: int) -> Iterator[Path]:
        """Name all previews of a run."""
        return map(self.name, range(self.every, steps + 1, self.every) if self.every else ())

    def see(self, iterate: Iterate, alpha: np.ndarray | None) -> None:
        """Save the iterate if it is due; what keeps one from being saved is told once, and the run goes on."""
        if self.every and iterate.step % self.every == 0:
            try:
                images.save(self.name(iterate.step), iterate.image, alpha, quality=self.quality)
            except ImageError as error:
                if not self._failed:
                    warn(f"a preview is missing: {error}")
                self._failed = True
