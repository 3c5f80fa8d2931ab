"""The command `wctstyle video`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn

from wctstyle import images
from wctstyle.batch import load_stylizer
from wctstyle.cli import optimize_options as slow
from wctstyle.cli import options, specs
from wctstyle.cli import stylize_options as own
from wctstyle.cli.console import Stop, Verbose, clean_exit, progress_bar, say, waiting, warn
from wctstyle.cli.looks_command import given_options
from wctstyle.cli.optimize_run import load_optimizer
from wctstyle.cli.options import from_options, option_names, output_option, result_size, sizes_from, style_option
from wctstyle.cli.outputs import check_file, check_folder, check_writable
from wctstyle.cli.specs import named_pictures
from wctstyle.cli.video_optimize import FirstSteps, Optimize, Steps, optimisation_from
from wctstyle.errors import ConfigError, ImageError
from wctstyle.looks import in_look
from wctstyle.optimizer.settings import FRAME_STEPS
from wctstyle.settings import DEFAULT_CALM, DEFAULT_FEATHER, DEFAULT_MODEL, MAX_STRENGTH, Settings, checked_number
from wctstyle.specs import SETTINGS
from wctstyle.video.clips import DEFAULT_FPS, USUAL_SIZE, Cut, seconds_of
from wctstyle.video.forms import DEFAULT_QUALITY, CodecName, Form, form_of
from wctstyle.video.job import Made, Paints, Progress, VideoJob
from wctstyle.video.keyframes import Track, fixed_weights, is_track, parse_track
from wctstyle.video.making import read_painting
from wctstyle.video.reading import open_clip
from wctstyle.video.work import work_folder

DEFAULTS = Settings()

Video = Annotated[
    str,
    typer.Argument(
        metavar="IN",
        show_default=False,
        help="A video file, an animated GIF, PNG, WebP or AVIF, or a folder of frames (in the order of their numbers).",
    ),
]
VideoStyle = Annotated[
    list[str] | None,
    style_option(
        "--style",
        metavar="PATH[:WEIGHT][@REGION]",
        show_default=False,
        help="As for stylize. A weight may change over time: painting.jpg:0s=1,4s=0 fades it out in four seconds.",
    ),
]
VideoMask = Annotated[
    list[str] | None,
    style_option(
        "--mask", metavar="NAME=FILE", show_default=False, help="As for stylize; FILE may be a video, read in step."
    ),
]
Changing = "FLOAT|KEYFRAMES"
Strength = Annotated[
    str, style_option(metavar=Changing, help=f"How far to go, 0 to {MAX_STRENGTH}; or over time, as 0s=0,4s=1.")
]
Texture = Annotated[
    str, style_option(metavar=Changing, help="How much there is to paint in plain areas, 0 to 1; or over time.")
]
Calm = Annotated[float, style_option(help="How calm the video is, 0 to 1: 0 paints every frame by itself.")]
Start = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", show_default="0", help="Begin here: seconds, or hours, minutes and seconds with colons."
    ),
]
End = Annotated[str | None, typer.Option(metavar="TIME", show_default="the clip's end", help="End before this.")]
Every = Annotated[int, typer.Option(metavar="N", help="Take every Nth frame; the speed stays.")]
Sound = Annotated[bool, typer.Option("--sound/--no-sound", help="Take the clip's sound along.")]
Fps = Annotated[
    float | None,
    typer.Option(show_default=f"{DEFAULT_FPS:g}", help="Frames per second of a folder of frames."),
]
Out = Annotated[
    str,
    output_option(
        "--output",
        "-o",
        metavar="OUT",
        show_default=False,
        help="File to write; its suffix sets the format (.mp4, .mov, .mkv, .webm, .gif, .png or .webp). A folder takes "
        "frames.",
    ),
]
CodecOption = Annotated[
    CodecName | None, output_option("--codec", show_default="h264; vp9 in .webm", help="Codec of a video file.")
]
Quality = Annotated[
    int | None,
    output_option(
        show_default=f"{DEFAULT_QUALITY}; {images.DEFAULT_QUALITY} for pictures",
        help="1 smallest file to 100 best picture.",
    ),
]
Format = Annotated[specs.Format | None, output_option(show_default="png", help="Format of the frames in a folder.")]
Resume = Annotated[bool, output_option("--resume", help="Continue an interrupted run of the same command.")]
AsJson = Annotated[bool, output_option("--json", help="Print one JSON object per frame and one at the end.")]


@clean_exit
def video(
    context: typer.Context,
    source: Video,
    output: Out,
    style: VideoStyle = None,
    use_look: options.UseLook = None,
    mask: VideoMask = None,
    mask_map: options.MaskMap = None,
    style_mask: options.StyleMask = None,
    region: options.RegionDials = None,
    feather: options.Feather = DEFAULT_FEATHER,
    strength: Strength = str(DEFAULTS.strength),
    detail: own.Detail = DEFAULTS.detail,
    colors: options.Colors = DEFAULTS.colors,
    color: options.Color = DEFAULTS.color,
    texture: Texture = str(DEFAULTS.texture),
    keep_faces: own.KeepFaces = DEFAULTS.keep_faces,
    transform: own.Transform = DEFAULTS.transform,
    blend: own.Blend = DEFAULTS.blend,
    refine: own.Refine = DEFAULTS.refine,
    photo: own.Photo = DEFAULTS.photo,
    calm: Calm = DEFAULT_CALM,
    optimize: Optimize = False,
    steps: Steps = FRAME_STEPS,
    first_steps: FirstSteps = slow.DEFAULTS.steps,
    optimizer: slow.DescentOption = slow.DEFAULTS.optimizer,
    content_weight: slow.ContentWeight = slow.DEFAULTS.content_weight,
    style_weight: slow.StyleWeight = slow.DEFAULTS.style_weight,
    tv_weight: slow.TvWeight = slow.DEFAULTS.tv_weight,
    content_layers: slow.ContentLayers = None,
    style_layers: slow.StyleLayers = None,
    statistic: slow.StatisticOption = slow.DEFAULTS.statistic,
    pooling: slow.PoolingOption = slow.DEFAULTS.pooling,
    model: own.Model = DEFAULT_MODEL,
    start: Start = None,
    end: End = None,
    every: Every = 1,
    sound: Sound = True,
    fps: Fps = None,
    size: Annotated[int | None, result_size(USUAL_SIZE)] = None,
    look: own.Look = DEFAULTS.look,
    stroke_scale: options.StrokeScale = None,
    style_size: options.StyleSize = None,
    max_pixels: options.MaxPixels = images.DEFAULT_MAX_PIXELS,
    codec: CodecOption = None,
    quality: Quality = None,
    format: Format = None,
    overwrite: options.Overwrite = False,
    resume: Resume = False,
    as_json: AsJson = False,
    verbose: Verbose = 0,
) -> None:
    """Stylize a video.

    wctstyle video clip.mp4 --style painting.jpg -o painted.mp4
    """
    dials = {name: context.params[name] for name in (*SETTINGS, "style", "model", "stroke_scale")}
    values = in_look(use_look, dials, given_options(context))
    style, model, stroke_scale = (values.pop(name) for name in ("style", "model", "stroke_scale"))
    settings, tracks = _settings(values)
    optimisation = optimisation_from(given_options(context), context.params, settings, model)
    sizes = sizes_from(size, style_size, stroke_scale, max_pixels)
    cut = _cut(start, end, every, calm=calm, fps=fps, source=source)
    if resume and overwrite:
        raise ConfigError("--resume and --overwrite contradict each other; give one of them")
    fixed, weights = fixed_weights(style or ())
    named = named_pictures("video", [], fixed, mask, style_mask, region, feather, mask_map)
    opened = partial(open_clip, source, cut=cut, fps=fps or DEFAULT_FPS, max_pixels=max_pixels)
    with option_names():
        clip = opened(size=size)
        if optimize and size is None and max(clip.height, clip.width) > slow.OPTIMIZE_SIZE:
            clip = opened(size=slow.OPTIMIZE_SIZE)
    form, lost = form_of(output, codec=codec, format=format, quality=quality, alpha=clip.has_alpha)
    target = video_target(output, form, [source, *named.files], resume=resume, overwrite=overwrite)
    if lost:
        warn(f"-o {output}: {lost}")
    with waiting("reading"):
        painting = read_painting(
            clip, named, settings, calm=calm, model=model, sizes=sizes, weights=weights, tracks=tracks
        )
    painting = replace(painting, picture=replace(painting.picture, optimisation=optimisation), steps=steps)
    job = painting.job(target, form, (fps or DEFAULT_FPS) if os.path.isdir(source) else None, sound=sound)
    painter = partial(painting.painter, load_stylizer, load_optimizer)
    made = run_job(job, painter, resume=resume, overwrite=overwrite, as_json=as_json)
    goes_on = "; the same command with --resume goes on"
    tell_made(made, source, target, as_json=as_json, goes_on=goes_on, model=model)


def _settings(values: dict[str, Any]) -> tuple[Settings, dict[str, Track]]:
    """Check the dials; those given as keyframes have their first value in the settings."""
    tracks: dict[str, Track] = {}
    for name, high in {"strength": MAX_STRENGTH, "texture": 1.0}.items():
        text = str(values[name])  # a look has numbers
        if is_track(text):
            tracks[name] = parse_track(text, f"--{name}", 0.0, high)
            values[name] = tracks[name].at(0.0)
            continue
        try:
            values[name] = float(text)
        except ValueError as error:
            raise ConfigError(f"--{name} is {text!r}, must be a number, or keyframes as 0s=0,4s=1") from error
    return from_options(Settings, **values), tracks


def _cut(start: str | None, end: str | None, every: int, *, calm: float, fps: float | None, source: str) -> Cut:
    """Check what is to be read, and the numbers that only a video has."""
    checked_number("--calm", calm, 0, 1)
    if fps is not None:
        checked_number("--fps", fps, 0.1, 1000)
        if os.path.isfile(source):
            raise ConfigError(f"--fps {fps:g}: is for a folder of frames, {source} has times of its own; leave it out")
    return from_options(Cut, start=seconds_of("--start", start) or 0.0, end=seconds_of("--end", end), every=every)


def tell_made(made: Made, source: str, target: Path, *, as_json: bool, goes_on: str = "", **more: Any) -> None:
    """Say what came of a run. goes_on: how one that was stopped is finished; more: what JSON says as well.

    Raises:
        KeyboardInterrupt: it was stopped.
    """
    if made.broken:
        warn(f"{source}: {made.broken} damaged frames were repeated from the ones before")
    if made.stopped:
        raise KeyboardInterrupt(f"Stopped after {made.frames} frames. {target} plays up to there{goes_on}.")
    summary = {"output": str(target), "content": source, "frames": made.frames, "seconds": round(made.seconds, 3)}
    typer.echo(json.dumps({**summary, "damaged": made.broken, **more}) if as_json else str(target))


def run_job(
    job: VideoJob, painter: Callable[[], Paints], *, resume: bool = False, overwrite: bool, as_json: bool = False
) -> Made:
    """Do a job, with a bar of its progress; Ctrl-C stops it after a frame."""
    columns = (SpinnerColumn(), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    stop = Stop("this frame")
    with progress_bar(*columns) as progress, stop.listening():
        task = progress.add_task("getting ready", total=job.clip.total)

        def told(now: Progress) -> None:
            progress.update(task, completed=now.frames, description=_status(now))
            if as_json:
                say(json.dumps(_described(now)), progress)

        return job.run(painter, resume=resume, overwrite=overwrite, stop=lambda: stop.wanted, told=told, warn=warn)


def _status(now: Progress) -> str:
    if now.seconds_left is None:
        return f"{now.per_second:.2f} frames/s"
    minutes, seconds = divmod(round(now.seconds_left), 60)
    return f"{now.per_second:.2f} frames/s  {minutes}:{seconds:02d} left"


def _described(now: Progress) -> dict[str, Any]:
    left = None if now.seconds_left is None else round(now.seconds_left, 1)
    return {
        "frame": now.frames, "frames": now.total, "frames_per_second": round(now.per_second, 3), "seconds_left": left
    }  # fmt: skip


def video_target(output: str, form: Form, inputs: Sequence[str], *, resume: bool, overwrite: bool) -> Path:
    """Check that the target can be written.

    Raises:
        ImageError: it is an input, or there already, or the folder cannot be written in.
    """
    target = Path(os.path.normpath(output))
    left = work_folder(target).is_dir()  # what a stopped run left is told, and not its result
    if form.container == "folder":
        check_folder(target)
        if not (overwrite or resume or left) and target.is_dir() and any(target.iterdir()):
            raise ImageError(f"-o {output}: is not empty; give --overwrite to write frames into it, or another folder")
        inside = [os.path.realpath(file) for file in inputs]
        if os.path.realpath(target) in inside:
            raise ImageError(f"-o {output}: is the folder that is read; give another one")
        check_writable(target.parent, f"-o {output}")
    else:
        check_file(target, output, overwrite=overwrite or resume or left, inputs=inputs)
    return target
