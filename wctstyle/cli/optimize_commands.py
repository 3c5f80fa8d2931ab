"""The commands `wctstyle optimize` and `wctstyle compare`."""

from __future__ import annotations

import contextlib
import functools
import glob
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn

from wctstyle import __version__, images, samples
from wctstyle.cli.comparison import Entry, report_page, sheet
from wctstyle.cli.console import Verbose, clean_exit, progress_bar, say, tell
from wctstyle.cli.jobs import check_side, fit, read
from wctstyle.cli.outputs import check_format, check_free, plan_outputs
from wctstyle.cli.specs import (
    Blend,
    Descent,
    Model,
    Pooling,
    Statistic,
    StyleSpec,
    expand_contents,
    parse_layers,
    parse_styles,
)
from wctstyle.errors import ConfigError, ImageError, WeightsError
from wctstyle.files import replace_file
from wctstyle.optimizer.settings import (
    LEARNING_RATE,
    LEARNING_RATE_FROM_FAST,
    SMALLEST,
    SMALLEST_FROM_FAST,
    OptimizeSettings,
)
from wctstyle.recipes import make_recipe, public_name
from wctstyle.settings import MAX_SIDE, Settings

if TYPE_CHECKING:
    from wctstyle.optimizer import Iterate, Optimizer

OPTIMIZE_SIZE = 512
"""Long side, in pixels, to which larger photos are shrunk unless --size says otherwise."""

FAST_MODEL = "slim"
"""The model of the fast result: the one that is always here."""

STARTS = ("fast", "content", "noise", "style")

COMPARED = {"photo": "content.png", "fast": "fast.png", "optimised": "optimized.png"}
"""The pictures of `compare` and their files."""

_defaults = OptimizeSettings()

_style_option = functools.partial(typer.Option, rich_help_panel="Style")
_loss_option = functools.partial(typer.Option, rich_help_panel="Loss")
_descent_option = functools.partial(typer.Option, rich_help_panel="Descent")
_size_option = functools.partial(typer.Option, rich_help_panel="Size")
_output_option = functools.partial(typer.Option, rich_help_panel="Output")

Content = Annotated[str, typer.Argument(metavar="CONTENT", show_default=False, help="A photo, or sample:NAME.")]
Style = Annotated[
    list[str] | None,
    _style_option(
        "--style",
        metavar="PATH[:WEIGHT]",
        show_default=False,
        help="Picture whose colors and textures to take, or sample:NAME; give it several times to blend.",
    ),
]
Strength = Annotated[
    float, _style_option(help="From the photo's own statistics (0) to the style's (1), whatever the weights are.")
]
BlendOption = Annotated[
    Blend, _style_option(help="How several styles become one: mixture is the weighted mean of Gram matrices.")
]
OriginalColors = Annotated[
    bool, _style_option("--original-colors", help="Optimise lightness alone and keep the photo's colors.")
]
ContentWeight = Annotated[float, _loss_option(help="What keeping the photo weighs.")]
StyleWeight = Annotated[float, _loss_option(help="What the style weighs.")]
TvWeight = Annotated[float, _loss_option(help="What smoothness weighs: more takes grain away, and then detail.")]
KeepFaces = Annotated[
    float, _loss_option(help="How much more the photo weighs on its faces, 0 to 1; 0 does not look for faces.")
]
ContentLayers = Annotated[
    str | None,
    _loss_option(metavar="LAYER[=WEIGHT],...", show_default="relu4_2", help="Layers that keep the photo."),
]
StyleLayers = Annotated[
    str | None,
    _loss_option(
        metavar="LAYER[=WEIGHT],...", show_default="relu1_1 to relu5_1 alike", help="Layers that take the style."
    ),
]
StatisticOption = Annotated[
    Statistic, _loss_option(help="gram is the original; moments compares means and covariances as distributions.")
]
PoolingOption = Annotated[Pooling, _loss_option(help="How the network shrinks; avg is smoother.")]
NormalizeGradients = Annotated[
    bool, _loss_option("--normalize-gradients", help="Let every term pull alike at the start of each scale.")
]
Steps = Annotated[int, _descent_option(help="Evaluations over all scales together.")]
DescentOption = Annotated[Descent, _descent_option("--optimizer", help="lbfgs needs fewer steps; adam is smoother.")]
Init = Annotated[
    str,
    _descent_option(
        metavar="|".join((*STARTS, "PATH")),
        help="What to start from: the fast result, the photo, noise, the style, a file.",
    ),
]
LearningRate = Annotated[
    float | None,
    _descent_option(
        show_default=f"{LEARNING_RATE_FROM_FAST} from the fast result or a file, else {LEARNING_RATE}",
        help="Adam's step, in units of the picture's range.",
    ),
]
Average = Annotated[
    float, _descent_option(help="Adam shows a mean of its pictures, each weighing this share of the next; 0: the last.")
]
History = Annotated[int, _descent_option(help="Steps that L-BFGS remembers; each takes memory of two pictures.")]
Smallest = Annotated[
    int | None,
    _descent_option(
        metavar="LONG_SIDE",
        show_default=f"{SMALLEST_FROM_FAST} from the fast result or a file, else {SMALLEST}",
        help="The coarsest scale is not below this; as large as --size: one scale.",
    ),
]
Seed = Annotated[int, _descent_option(help="Of the noise to start from.")]
TimeBudget = Annotated[
    float | None, _descent_option(metavar="SECONDS", show_default="no limit", help="Stop after this time.")
]
Plateau = Annotated[
    float, _descent_option(help="Leave a scale when 20 steps lowered the loss by less than this share; 0: never.")
]
ModelOption = Annotated[
    Model,
    _descent_option(help="slim takes a minute; vgg19 is the original, sixteen times slower, and has to be imported."),
]
Size = Annotated[
    int | None,
    _size_option(
        metavar="LONG_SIDE",
        show_default=f"{OPTIMIZE_SIZE} for larger photos, never enlarged",
        help=f"Long side of the result in pixels, up to {MAX_SIDE}; enlarges or shrinks; 0: the photo's own.",
    ),
]
StyleSize = Annotated[
    int | None,
    _size_option(
        metavar="LONG_SIDE",
        show_default="that of the result",
        help="Long side of the style pictures in pixels: larger makes larger strokes; 0: their own.",
    ),
]
MaxPixels = Annotated[int, _size_option(help="Refuse to read larger pictures; 0: no limit.")]
Overwrite = Annotated[bool, _output_option("--overwrite", help="Replace results that exist; never inputs.")]
AsJson = Annotated[bool, _output_option("--json", help="Print the course as one JSON object per line, nothing else.")]


@dataclass(frozen=True)
class _Request:
    """What both commands read: the photo, the styles, and how to optimise."""

    content: images.Picture
    styles: list[tuple[np.ndarray, float]]
    settings: OptimizeSettings
    init: images.Picture | None
    model: str
    recipe: dict[str, Any]


def _settings(**values: Any) -> OptimizeSettings:
    try:
        return OptimizeSettings(**values)
    except ConfigError as error:
        name, _, rest = str(error).partition(" ")
        raise ConfigError(f"--{name.replace('_', '-')} {rest}") from error


def _request(
    content: str,
    specs: Sequence[StyleSpec],
    settings: OptimizeSettings,
    *,
    init: str,
    model: str,
    size: int | None,
    style_size: int | None,
    max_pixels: int,
) -> _Request:
    """Read the pictures at their sizes."""
    check_side("--size", size)
    check_side("--style-size", style_size)
    full = read(content, max_pixels)
    photo = images.fill_hidden(fit(full, size, OPTIMIZE_SIZE, "--size"))
    side = max(photo.height, photo.width)
    pictures = [read(spec.source, max_pixels) for spec in specs]
    fitted = [
        images.flatten(fit(p, side if style_size is None else style_size, side, "--style-size")) for p in pictures
    ]
    given = None
    if init not in STARTS:
        given = images.flatten(images.resize(read(init, max_pixels), long_side=side, enlarge=True))
        if given.rgb.shape != photo.rgb.shape:
            raise ImageError(
                f"--init {init}: is {given.width} x {given.height} at the result's size, the photo {photo.width} x "
                f"{photo.height}; give a picture of the same shape"
            )
    recipe = {
        "version": __version__,
        "command": "optimize",
        "model": model,
        "content": {"name": public_name(content), "hash": full.content_hash},
        "styles": [
            {"name": public_name(spec.source), "weight": spec.weight, "hash": picture.content_hash}
            for spec, picture in zip(specs, pictures, strict=True)
        ],
        "init": init if init in STARTS else public_name(init),
        "size": side,
        "style_size": style_size,
        "settings": settings.as_json(),
    }
    styles = [(picture.rgb, spec.weight) for picture, spec in zip(fitted, specs, strict=True)]
    return _Request(photo, styles, settings, given, model, recipe)


def _fast_settings(request: _Request) -> Settings:
    chosen = request.settings
    return Settings(strength=chosen.strength, blend=chosen.blend, keep_faces=chosen.keep_faces)


def _fast(request: _Request) -> tuple[np.ndarray, float]:
    """Stylise in one pass; returns the picture and the seconds it took."""
    from wctstyle.stylizer import Stylizer

    clock = time.perf_counter()
    result = Stylizer(FAST_MODEL).stylize(request.content.rgb, request.styles, _fast_settings(request))
    return result.image, time.perf_counter() - clock


def _fast_recipe(request: _Request) -> dict[str, Any]:
    own = request.recipe
    return make_recipe(
        _fast_settings(request),
        model=FAST_MODEL,
        content=own["content"],
        styles=own["styles"],
        size=own["size"],
        style_size=own["size"] if own["style_size"] is None else own["style_size"],
    )


def _optimizer(model: str) -> Optimizer:
    from wctstyle.optimizer import Optimizer
    from wctstyle.stylizer import enable_compilation_cache

    enable_compilation_cache()
    return Optimizer(model)


class _Stop:
    """Whether Ctrl-C was pressed; the second time it interrupts at once."""

    def __init__(self) -> None:
        self.wanted = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Note Ctrl-C instead of raising it, so that a run stops between two calls of its program."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def note(number: int, frame: Any) -> None:
            self.wanted = True
            signal.signal(signal.SIGINT, before)
            tell("Stopping after this step; press Ctrl-C again to stop at once.")

        before = signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


def _line(iterate: Iterate) -> dict[str, Any]:
    """Write an iterate as --json prints it."""
    return {
        "step": iterate.step,
        "steps": iterate.steps,
        "scale": iterate.scale,
        "scales": iterate.scales,
        "width": iterate.width,
        "height": iterate.height,
        "seconds": round(iterate.seconds, 2),
        "steps_per_second": round(iterate.steps_per_second, 3),
        "seconds_left": round(iterate.seconds_left, 1),
        "losses": {name: round(value, 6) for name, value in iterate.losses.items()},
    }


def _described(iterate: Iterate) -> str:
    losses = iterate.losses
    minutes, seconds = divmod(round(iterate.seconds_left), 60)
    return (
        f"{iterate.width}x{iterate.height}  loss {losses['total']:.4f}  style {losses['style']:.3f}  "
        f"content {losses['content']:.3f}  tv {losses['tv']:.3f}  {iterate.steps_per_second:.1f} it/s  "
        f"{minutes}:{seconds:02d} left"
    )


@clean_exit
def optimize(
    content: Content,
    style: Style = None,
    strength: Strength = _defaults.strength,
    blend: BlendOption = Blend.barycenter,
    original_colors: OriginalColors = False,
    content_weight: ContentWeight = _defaults.content_weight,
    style_weight: StyleWeight = _defaults.style_weight,
    tv_weight: TvWeight = _defaults.tv_weight,
    keep_faces: KeepFaces = _defaults.keep_faces,
    content_layers: ContentLayers = None,
    style_layers: StyleLayers = None,
    statistic: StatisticOption = Statistic.gram,
    pooling: PoolingOption = Pooling.max,
    normalize_gradients: NormalizeGradients = False,
    steps: Steps = _defaults.steps,
    optimizer: DescentOption = Descent.lbfgs,
    init: Init = _defaults.init,
    learning_rate: LearningRate = _defaults.learning_rate,
    average: Average = _defaults.average,
    history: History = _defaults.history,
    smallest: Smallest = _defaults.smallest,
    seed: Seed = _defaults.seed,
    time_budget: TimeBudget = _defaults.time_budget,
    plateau: Plateau = _defaults.plateau,
    model: ModelOption = Model.slim,
    size: Size = None,
    style_size: StyleSize = None,
    max_pixels: MaxPixels = images.DEFAULT_MAX_PIXELS,
    output: Annotated[
        str | None,
        _output_option(
            "--output",
            "-o",
            metavar="OUT",
            show_default="NAME-stylized.png in the current folder",
            help="File to write, its suffix says the format.",
        ),
    ] = None,
    quality: Annotated[int, _output_option(help="Of JPEG and WebP: 1 smallest file to 100 best picture.")] = 92,
    save_every: Annotated[
        int, _output_option(metavar="STEPS", help="Save a preview beside OUT every so many steps; 0: none.")
    ] = 0,
    resume: Annotated[
        bool, _output_option("--resume", help="Go on where the same command was stopped (OUT.state.safetensors).")
    ] = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    verbose: Verbose = 0,
) -> None:
    """Optimise one picture: slower than stylize, and better.

    wctstyle optimize photo.jpg --style painting.jpg -o result.png

    Ctrl-C keeps the picture so far; the same command with --resume goes on.
    """
    if init not in STARTS:  # a file is taken for a picture that is nearly there
        smallest = SMALLEST_FROM_FAST if smallest is None else smallest
        learning_rate = LEARNING_RATE_FROM_FAST if learning_rate is None else learning_rate
    settings = _settings(
        steps=steps, optimizer=optimizer.value, strength=strength, content_weight=content_weight,
        style_weight=style_weight, tv_weight=tv_weight, keep_faces=keep_faces, statistic=statistic.value,
        blend=blend.value, pooling=pooling.value, init=init if init in STARTS else "content", smallest=smallest,
        original_colors=original_colors, seed=seed, learning_rate=learning_rate, average=average, history=history,
        normalize_gradients=normalize_gradients, time_budget=time_budget, plateau=plateau,
        **_layers(content_layers, style_layers),
    )  # fmt: skip
    if save_every < 0:
        raise ConfigError(f"--save-every is {save_every}, must be a number of steps, or 0 for no previews")
    check_format("--quality", "jpg", quality)
    specs = parse_styles(style)
    source = _one_content(content)
    inputs = [source, *(spec.source for spec in specs), *([] if init in STARTS else [init])]
    if resume and output is None:
        output = _left_behind(source)
    # A state that was left is told, and not the picture beside it.
    left = output is not None and not Path(output).is_dir() and _state_of(Path(output)).is_file()
    (path,) = plan_outputs(
        [source], into_folder=False, out=output, format=None, overwrite=overwrite or resume or left, inputs=inputs
    )
    state = _state_of(path)
    if resume and not state.is_file():
        raise ConfigError(f"--resume: there is no {state}, which a stopped run leaves; start without --resume")
    if state.exists() and not resume and not overwrite:
        raise ConfigError(f"{state}: is left from a stopped run; give --resume to go on, or --overwrite to start again")
    previews = _Previews(path, save_every, quality)
    check_free(previews.names(settings.steps), overwrite=overwrite or resume, inputs=inputs)
    request = _request(
        source, specs, settings, init=init, model=model.value, size=size, style_size=style_size, max_pixels=max_pixels
    )
    engine = _optimizer(request.model)
    if request.model == Model.vgg19 and not resume:
        seconds = engine.estimate(request.content.rgb.shape, settings)
        tell(f"this will take about {seconds:.0f} seconds here")
    start = request.init.rgb if request.init is not None else None
    if settings.init == "fast" and start is None and not resume:
        start = _fast(request)[0]
    iterates = engine.run(
        request.content.rgb, request.styles, settings, init=start, checkpoint=state,
        resume=state if resume else None, every=save_every or None,
    )  # fmt: skip
    alpha = request.content.alpha
    last, kept = _watch(iterates, settings.steps, as_json=as_json, each=lambda now: previews.see(now, alpha))
    recipe = request.recipe
    if not last.done:
        recipe = {**recipe, "settings": {**recipe["settings"], "steps": last.step}}
    images.save(path, last.image, alpha, quality=quality, recipe=recipe)
    if not last.done:
        how = "the same command with --resume goes on" if kept else "it cannot go on from there"
        raise KeyboardInterrupt(f"Stopped at step {last.step} of {last.steps}. The picture so far is {path}; {how}.")
    state.unlink(missing_ok=True)
    report = {"output": str(path), "content": source, "reason": last.reason, **_line(last), "model": request.model}
    typer.echo(json.dumps(report) if as_json else str(path))
    if verbose:
        tell(f"{last.step} steps in {last.seconds:.1f} s, stopped by {last.reason}; {_described(last)}")


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


def _one_content(content: str) -> str:
    found = expand_contents([content])
    if found != [content]:
        raise ConfigError(f"{content}: is a folder; one photo is optimised at a time")
    return content


def _layers(content: str | None, style: str | None) -> dict[str, Any]:
    """Read the options that name layers; those not given are left to the defaults."""
    given = {"content_layers": ("--content-layers", content), "style_layers": ("--style-layers", style)}
    return {field: parse_layers(option, text) for field, (option, text) in given.items() if text is not None}


class _Previews:
    """Saves a picture beside the result at every so many steps."""

    def __init__(self, path: Path, every: int, quality: int) -> None:
        self.path, self.every, self.quality = path, every, quality

    def name(self, step: int) -> Path:
        """Name the preview of a step."""
        return self.path.with_name(f"{self.path.stem}-{step:04d}{self.path.suffix}")

    def names(self, steps: int) -> Iterator[Path]:
        """Name all previews of a run."""
        return map(self.name, range(self.every, steps + 1, self.every) if self.every else ())

    def see(self, iterate: Iterate, alpha: np.ndarray | None) -> None:
        """Save the iterate if it is due."""
        if self.every and iterate.step % self.every == 0:
            images.save(self.name(iterate.step), iterate.image, alpha, quality=self.quality)


def _watch(
    iterates: Iterator[Iterate], steps: int, *, as_json: bool, each: Any = None, trace: list[Any] | None = None
) -> tuple[Iterate, bool]:
    """Follow a run with a live bar; returns the last iterate, not `done` after Ctrl-C, and whether it can go on."""
    columns = (SpinnerColumn(), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    stop, last, warned, kept = _Stop(), None, False, True
    with progress_bar(*columns) as progress, stop.listening():
        task = progress.add_task("compiling", total=steps)
        for iterate in iterates:
            last = iterate
            progress.update(task, completed=iterate.step, description=_described(iterate))
            if as_json and not iterate.done:
                say(json.dumps(_line(iterate)), progress)
                sys.stdout.flush()
            if trace is not None:
                trace.append(_line(iterate))
            if each is not None:
                each(iterate)
            if iterate.unsaved and not iterate.done and not warned:
                _warn_unsaved(iterate.unsaved)
                warned = True
            if stop.wanted and not iterate.done:
                try:
                    iterates.close()  # pyright: ignore[reportAttributeAccessIssue] (it is a generator)
                except WeightsError as error:
                    _warn_unsaved(str(error))
                    kept = False
                break
    if last is None:
        raise KeyboardInterrupt("Stopped before the first step.")
    return last, kept


def _warn_unsaved(why: str) -> None:
    tell(
        f"the state of the run could not be kept, so --resume will not find it: {why}",
        label="Warning: ",
        style="yellow",
    )


@clean_exit
def compare(
    content: Content,
    out: Annotated[
        Path,
        _output_option(
            "--output", "-o", metavar="DIR", show_default=False, help="Folder for the pictures and the report."
        ),
    ],
    style: Style = None,
    strength: Strength = _defaults.strength,
    blend: BlendOption = Blend.barycenter,
    keep_faces: KeepFaces = _defaults.keep_faces,
    steps: Steps = _defaults.steps,
    model: ModelOption = Model.slim,
    size: Size = None,
    style_size: StyleSize = None,
    max_pixels: MaxPixels = images.DEFAULT_MAX_PIXELS,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    verbose: Verbose = 0,
) -> None:
    """Make the fast and the optimised picture, and a report that holds them against each other.

    wctstyle compare photo.jpg --style painting.jpg -o comparison
    """
    settings = _settings(steps=steps, strength=strength, blend=blend.value, keep_faces=keep_faces)
    specs = parse_styles(style)
    source = _one_content(content)
    if out.exists() and not out.is_dir():
        raise ImageError(f"-o {out}: is a file; give a folder (it is made)")
    page = out / "report.html"
    check_free(
        [page, *(out / name for name in (*COMPARED.values(), "sheet.png"))],
        overwrite=overwrite,
        inputs=[source, *(spec.source for spec in specs)],
    )
    request = _request(
        source, specs, settings, init="fast", model=model.value, size=size, style_size=style_size, max_pixels=max_pixels
    )
    with _folder(out):
        out.mkdir(parents=True, exist_ok=True)
    engine = _optimizer(request.model)
    fast, fast_seconds = _fast(request)
    trace: list[dict[str, Any]] = []
    iterates = engine.run(request.content.rgb, request.styles, settings, init=fast)
    last, _ = _watch(iterates, steps, as_json=as_json, trace=trace)
    if not last.done:
        raise KeyboardInterrupt(f"Stopped at step {last.step}; no report was written.")
    judge, judged_by = _judge(engine)
    photo = request.content.rgb
    entries = [
        Entry("photo", COMPARED["photo"], photo, None, judge.figures(photo, photo, request.styles)),
        Entry("fast", COMPARED["fast"], fast, fast_seconds, judge.figures(fast, photo, request.styles)),
        Entry(
            "optimised",
            COMPARED["optimised"],
            last.image,
            last.seconds,
            judge.figures(last.image, photo, request.styles),
        ),
    ]
    recipes = (None, _fast_recipe(request), request.recipe)
    for entry, recipe in zip(entries, recipes, strict=True):
        images.save(out / entry.file, entry.image, request.content.alpha, recipe=recipe)
    shown = [picture for picture, weight in request.styles if weight > 0]
    images.save(out / "sheet.png", sheet([photo, *shown, fast, last.image]))
    facts = {
        "judged by": judged_by,
        "model": request.model,
        "steps": last.step,
        "size": f"{last.width} x {last.height}",
    }
    names = [(entry["name"], entry["weight"]) for entry in request.recipe["styles"]]
    with _folder(out):
        replace_file(page, report_page(public_name(source), names, entries, trace, facts).encode())
    if as_json:
        figures = {entry.name: {"seconds": entry.seconds, **entry.figures} for entry in entries}
        typer.echo(json.dumps({"output": str(page), "judged_by": judged_by, "figures": figures}))
    else:
        typer.echo(str(page))


@contextlib.contextmanager
def _folder(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ImageError(f"-o {out}: cannot be written: {error.strerror or error}") from error


def _judge(engine: Optimizer) -> tuple[Optimizer, str]:
    """Choose what the figures are measured with: the original VGG-19 where it was imported, else the model at hand."""
    from wctstyle import weights
    from wctstyle.errors import WeightsError
    from wctstyle.optimizer import Optimizer

    if engine.model != Model.vgg19:
        try:
            weights.load("vgg19", parts=("encoder",))
        except WeightsError:
            return engine, "the model slim (the original VGG-19 is not imported)"
        engine = Optimizer("vgg19")
    return engine, "the original VGG-19"
