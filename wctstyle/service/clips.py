"""The work of videos: an uploaded clip, painted frame by frame as the command does."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from wctstyle.errors import ConfigError, ImageError
from wctstyle.inputs import Sizes
from wctstyle.service.arguments import CLIPS
from wctstyle.service.forms import Form
from wctstyle.service.jobs import Made, Teller, Work
from wctstyle.service.limits import Limits
from wctstyle.service.pictures import Values, in_look, named_of, result_path, sizes_of, unset
from wctstyle.service.studio import Studio
from wctstyle.settings import Settings
from wctstyle.specs import SETTINGS, Named
from wctstyle.video.clips import USUAL_SIZE, Clip, Cut, seconds_of
from wctstyle.video.extras import opencv, pyav
from wctstyle.video.forms import Form as Target
from wctstyle.video.forms import form_of
from wctstyle.video.job import Progress
from wctstyle.video.keyframes import Track, at, fixed_weights
from wctstyle.video.making import read_painting
from wctstyle.video.reading import open_clip
from wctstyle.video.work import work_folder

SLACK = 0.5
"""Seconds over the limit that a clip may have: cameras cut where they can."""


@dataclass(frozen=True)
class _Asked:
    """What a request asks for: a clip, what is named, settings, tracks of weights and settings, and the target."""

    clip: Clip
    named: Named
    settings: Settings
    weights: Mapping[int, Track]
    tracks: Mapping[str, Track]
    sizes: Sizes
    target: Path
    form: Target
    limits: Limits


def video(studio: Studio, limits: Limits, form: Form, values: Values, format: str) -> Work:
    """Make the work of a video. Its clip is opened here, so that one that cannot be painted is refused at once."""
    values, weights, tracks = _at_first(form, in_look(form, values))
    settings = Settings(**{name: values[name] for name in SETTINGS})
    named = named_of(form, values, limits)
    if values["calm"]:
        opencv()
    if format != "gif":
        pyav()
    sizes = sizes_of(values, limits, min(limits.max_size, limits.video_size))
    cut = Cut(seconds_of("start", values["start"]) or 0.0, seconds_of("end", values["end"]), values["every"])
    clip = _opened(form, values["content"], sizes, cut)
    target = result_path(form, "result", format)
    kept, lost = form_of(str(target), codec=None, format=None, quality=values["quality"], alpha=clip.has_alpha)
    asked = _Asked(clip, named, settings, weights, tracks, sizes, target, kept, limits)
    _check_length(asked, clip.total or 0)

    def do(tell: Teller) -> list[Made]:
        if lost:
            tell.warn(f"{format} has no transparency, so the frames are laid over white; webm keeps it")
        return [_painted(studio, form, asked, values, format, tell)]

    return Work(do, unset)


def _at_first(form: Form, values: Values) -> tuple[Values, dict[int, Track], dict[str, Track]]:
    """Return the arguments as they are at the start of the clip, the tracks of weights by place, and those by name."""
    styles, weights = fixed_weights(values["style"], exists=form.uploads.__contains__)
    given = values["weight"]
    if given:
        weights = {place: weight for place, weight in enumerate(given) if isinstance(weight, Track)}
    tracks = {name: value for name, value in values.items() if isinstance(value, Track)}
    first = {name: track.at(0.0) for name, track in tracks.items()}
    return {**values, **first, "style": styles, "weight": [at(weight, 0.0) for weight in given]}, weights, tracks


def _opened(form: Form, name: str, sizes: Sizes, cut: Cut) -> Clip:
    """Open the clip of a request; without a size, larger ones are shrunk to what is usual.

    Raises:
        ConfigError: it is no file of the request, its own size is too large, or PyAV is needed and not installed.
        ImageError: it cannot be read.
    """
    if name not in form.uploads:
        raise ConfigError(f"content is {name[:80]!r}, which is a picture; send a clip")
    opened = partial(open_clip, str(form.uploads[name]), cut=cut, max_pixels=sizes.max_pixels)
    clip = opened(size=sizes.size)
    if max(clip.height, clip.width) <= sizes.most:
        return clip
    if sizes.size == 0:
        raise ConfigError(
            f"size is 0, and {name} has {clip.width} x {clip.height}; up to {sizes.most} are painted here"
        )
    return opened(size=min(USUAL_SIZE, sizes.most))


def _check_length(asked: _Asked, frames: int) -> None:
    """Refuse a clip that is too long, by the frames that it is said to have or has had so far.

    Raises:
        ImageError: it is.
        ConfigError: it is so for a GIF.
    """
    clip, limits = asked.clip, asked.limits
    long = frames * clip.cut.every / float(clip.rate)
    if long > limits.video_seconds + SLACK:
        raise ImageError(
            f"{clip.source}: has {long:.1f} seconds or more; up to {limits.video_seconds:g} are painted here, so cut "
            "it with start and end"
        )
    most = limits.gif_pixels // (clip.height * clip.width)
    if asked.form.container == "animation" and frames > most:
        raise ConfigError(
            f"format is gif, which has up to {most} frames of {clip.width} x {clip.height} here; take mp4, a smaller "
            "size, or fewer frames"
        )


def _painted(studio: Studio, form: Form, asked: _Asked, values: Values, format: str, tell: Teller) -> Made:
    """Paint a clip; quick jobs go first between its frames, while other threads read ahead and write behind."""
    clip, target = asked.clip, asked.target
    painting = read_painting(
        clip, asked.named, asked.settings, calm=values["calm"], model=values["model"], sizes=asked.sizes,
        weights=asked.weights, tracks=asked.tracks,
    )  # fmt: skip
    tell.check()
    job = painting.job(target, asked.form, sound=values["sound"])

    def told(now: Progress) -> None:
        _check_length(asked, now.frames)
        tell.step(now.frames, now.total or 0)
        tell.pause()

    def warn(text: str) -> None:
        tell.warn(form.public(text))

    try:
        made = job.run(partial(painting.painter, studio.stylizer, studio.optimizer), told=told, warn=warn)
    finally:
        shutil.rmtree(work_folder(target), ignore_errors=True)  # nobody goes on with it
    if made.broken:
        tell.warn(f"{values['content']}: {made.broken} damaged frames were repeated from the ones before")
    sides = {"width": clip.width, "height": clip.height, "frames": made.frames, "seconds": round(made.seconds, 3)}
    return Made(target.name, target, CLIPS[format], {**sides, "model": values["model"], "recipe": dict(job.recipe)})
