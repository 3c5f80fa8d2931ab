"""The command `wctstyle optimize`."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from wctstyle import images
from wctstyle.cli import optimize_options as own
from wctstyle.cli import options
from wctstyle.cli.console import Verbose, clean_exit, tell, warn
from wctstyle.cli.looks_command import given_options
from wctstyle.cli.optimize_options import DEFAULTS
from wctstyle.cli.optimize_run import (
    describe,
    optimizer_for,
    paint_fast,
    read_request,
    status,
    watch,
)
from wctstyle.cli.options import from_options, sizes_from
from wctstyle.cli.outputs import check_free, is_sink, plan_outputs, result_stem
from wctstyle.cli.specs import named_photo
from wctstyle.cutout import visible_sides
from wctstyle.errors import ConfigError, ImageError
from wctstyle.looks import in_look
from wctstyle.optimization import STARTS, Wanted, ended_recipe
from wctstyle.optimizer.settings import OptimizeSettings
from wctstyle.settings import DEFAULT_FEATHER, DEFAULT_OPTIMIZER_MODEL
from wctstyle.specs import parse_layers

if TYPE_CHECKING:
    from wctstyle.optimizer import Iterate


@clean_exit
def optimize(
    context: typer.Context,
    content: own.Content,
    style: options.Style = None,
    use_look: options.UseLook = None,
    mask: options.Mask = None,
    mask_map: options.MaskMap = None,
    style_mask: options.StyleMask = None,
    region: options.RegionDials = None,
    feather: options.Feather = DEFAULT_FEATHER,
    strength: own.Strength = DEFAULTS.strength,
    blend: own.BlendOption = DEFAULTS.blend,
    colors: options.Colors = DEFAULTS.colors,
    color: options.Color = DEFAULTS.color,
    content_weight: own.ContentWeight = DEFAULTS.content_weight,
    style_weight: own.StyleWeight = DEFAULTS.style_weight,
    tv_weight: own.TvWeight = DEFAULTS.tv_weight,
    keep_faces: own.KeepFaces = DEFAULTS.keep_faces,
    content_layers: own.ContentLayers = None,
    style_layers: own.StyleLayers = None,
    dream: own.DreamOption = None,
    statistic: own.StatisticOption = DEFAULTS.statistic,
    pooling: own.PoolingOption = DEFAULTS.pooling,
    normalize_gradients: own.NormalizeGradients = False,
    steps: own.Steps = DEFAULTS.steps,
    optimizer: own.DescentOption = DEFAULTS.optimizer,
    init: own.Init = DEFAULTS.init,
    learning_rate: own.LearningRate = DEFAULTS.learning_rate,
    average: own.Average = DEFAULTS.average,
    history: own.History = DEFAULTS.history,
    smallest: own.Smallest = DEFAULTS.smallest,
    seed: own.Seed = DEFAULTS.seed,
    time_budget: own.TimeBudget = DEFAULTS.time_budget,
    plateau: own.Plateau = DEFAULTS.plateau,
    model: own.ModelOption = DEFAULT_OPTIMIZER_MODEL,
    size: own.Size = None,
    stroke_scale: options.StrokeScale = None,
    style_size: options.StyleSize = None,
    max_pixels: options.MaxPixels = images.DEFAULT_MAX_PIXELS,
    output: own.Output = None,
    quality: options.Quality = images.DEFAULT_QUALITY,
    save_every: own.SaveEvery = 0,
    resume: own.Resume = False,
    overwrite: options.Overwrite = False,
    as_json: own.AsJson = False,
    verbose: Verbose = 0,
) -> None:
    """Optimise one picture: slower than stylize, and better.

    wctstyle optimize photo.jpg --style painting.jpg -o result.png

    Ctrl-C keeps the picture so far; the same command with --resume goes on.
    """
    values = in_look(use_look, {
        "strength": strength, "content_weight": content_weight, "keep_faces": keep_faces, "blend": blend,
        "colors": colors, "color": color, "style": style, "model": model, "stroke_scale": stroke_scale,
    }, given_options(context), slow=True)  # fmt: skip
    style, model, stroke_scale = (values.pop(name) for name in ("style", "model", "stroke_scale"))
    settings = from_options(
        OptimizeSettings, steps=steps, optimizer=optimizer, style_weight=style_weight, tv_weight=tv_weight,
        statistic=statistic, pooling=pooling, init=init if init in STARTS else "image", smallest=smallest, seed=seed,
        learning_rate=learning_rate, average=average, history=history, normalize_gradients=normalize_gradients,
        time_budget=time_budget, plateau=plateau, **values, **_layers(content_layers, style_layers, dream),
    )  # fmt: skip
    if settings.keep_faces and not settings.content_weight:
        warn("--content-weight 0 does not keep faces either; give a small weight, or --keep-faces 0")
    sizes = sizes_from(size, style_size, stroke_scale, max_pixels)
    named = named_photo("optimize", content, style, mask, style_mask, region, feather, mask_map)
    wanted = Wanted(named, settings, init, model, sizes)
    path = _plan_result(wanted, output, resume=resume, overwrite=overwrite)
    previews = _plan_previews(wanted, path, save_every, quality, overwrite=overwrite or resume)
    last = _run(wanted, path, previews, resume=resume, as_json=as_json)
    if verbose:
        tell(f"{last.step} steps in {last.seconds:.1f} s, stopped by {last.reason}; {status(last)}")


def _plan_result(wanted: Wanted, output: str | None, *, resume: bool, overwrite: bool) -> Path:
    """Choose the file of the result.

    Raises:
        ConfigError: the state of a stopped run is missing for `resume`, or is in the way without it.
        ImageError: as `plan_outputs`.
    """
    source = wanted.content
    if output is not None and is_sink(output):
        raise ConfigError(f"-o {output}: is no file, and the state of a run is kept beside its result; give a file")
    if resume and output is None:
        output = _left_behind(source)

    def planned(*, replace: bool) -> Path:
        (path,) = plan_outputs(
            [source], into_folder=False, out=output, format=None, overwrite=replace, inputs=wanted.files
        )
        return path

    # A state that was left is told, and not the picture beside it.
    left = output is not None and _state_of(planned(replace=True)).is_file()
    path = planned(replace=overwrite or resume or left)
    state = _state_of(path)
    if resume and not state.is_file():
        raise ConfigError(f"--resume: there is no {state}, which a stopped run leaves; start without --resume")
    if state.exists() and not resume and not overwrite:
        raise ConfigError(f"{state}: is left from a stopped run; give --resume to go on, or --overwrite to start again")
    return path


def _plan_previews(wanted: Wanted, path: Path, every: int, quality: int, *, overwrite: bool) -> _Previews:
    from_options(images.check_quality, quality=quality)
    if every < 0:
        raise ConfigError(f"--save-every is {every}, must be a number of steps, or 0 for no previews")
    previews = _Previews(path, every, quality)
    check_free(previews.names(wanted.settings.steps), overwrite=overwrite, inputs=wanted.files)
    return previews


def _run(wanted: Wanted, path: Path, previews: _Previews, *, resume: bool, as_json: bool) -> Iterate:
    """Optimise, save and print what came of it; returns the last iterate."""
    request, settings, state = read_request(wanted), wanted.settings, _state_of(path)
    photo = request.content
    engine = optimizer_for(request)
    images.make_folder(path.parent)
    if request.model == "vgg19" and not resume:
        seconds = engine.estimate(visible_sides(photo), settings)
        tell(f"this will take about {seconds:.0f} seconds here, and some more where a size is new and is compiled")
    start = request.init.rgb if request.init is not None else None
    if settings.init == "fast" and not resume:
        start = paint_fast(request)[0]
    iterates = engine.run(
        photo, request.regions, settings, init=start, checkpoint=state,
        resume=state if resume else None, every=previews.every or None,
    )  # fmt: skip
    last, kept = watch(iterates, settings.steps, as_json=as_json, each=lambda now: previews.see(now, photo.alpha))
    images.save(path, last.image, photo.alpha, quality=previews.quality, recipe=ended_recipe(request, last).to_json())
    if not last.done:
        how = "the same command with --resume goes on" if kept else "it cannot go on from there"
        raise KeyboardInterrupt(f"Stopped at step {last.step} of {last.steps}. The picture so far is {path}; {how}.")
    state.unlink(missing_ok=True)
    ended = {"output": str(path), "content": wanted.content, "reason": last.reason}
    typer.echo(json.dumps({**ended, **describe(last), "model": wanted.model}) if as_json else str(path))
    return last


def _state_of(path: Path) -> Path:
    return path.with_suffix(".state.safetensors")


def _left_behind(content: str) -> str | None:
    """Find the result whose state a stopped run without -o left in the current folder; None if there is none.

    Raises:
        ConfigError: there are several.
    """
    name = glob.escape(result_stem(content) + "-stylized")
    found = sorted(left for end in ("", "-[0-9]*") for left in glob.glob(f"{name}{end}.state.safetensors"))
    if len(found) > 1:
        raise ConfigError(f"--resume: there are {' and '.join(found)}; say which result goes on with -o")
    return found[0].replace(".state.safetensors", ".png") if found else None


def _layers(content: str | None, style: str | None, dream: str | None) -> dict[str, Any]:
    """Read the options that name layers; those not given are left to the defaults."""
    given = {
        "content_layers": ("--content-layers", content),
        "style_layers": ("--style-layers", style),
        "dream": ("--dream", dream),
    }
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
