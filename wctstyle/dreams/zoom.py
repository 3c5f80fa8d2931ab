"""A zoom: a video in which each frame is the last one, scaled up a little and dreamt on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from wctstyle import images
from wctstyle.cutout import Rgb
from wctstyle.dreams.dreaming import Dreamer
from wctstyle.dreams.settings import FPS, DreamSettings, frame_count
from wctstyle.files import temporary_folder
from wctstyle.video.forms import Form
from wctstyle.video.frames import Frame
from wctstyle.video.joining import Piece, join
from wctstyle.video.writing import Segment, fine_tick

SCALE = 1.03
"""How much larger things are in a frame than in the one before; the original's 1.05 is hasty at this rate."""

FEWER = 10
"""A frame after the first takes this many times fewer steps: the dream of the one before is in it already."""


def closer(rgb: Rgb) -> Rgb:
    """Scale a picture up by `SCALE` about its centre, cut to its own size."""
    height, width = rgb.shape[:2]
    inset = (1 - 1 / SCALE) / 2
    box = (width * inset, height * inset, width * (1 - inset), height * (1 - inset))
    return np.clip(images.resample(rgb, height=height, width=width, kernel="cubic", box=box), 0, 1)


def frames(
    dreamer: Dreamer,
    photo: Rgb,
    settings: DreamSettings,
    seconds: float,
    *,
    guide: Rgb | None = None,
    mask: Float[np.ndarray, "h w"] | None = None,
) -> Iterator[Rgb]:
    """Make the frames of a zoom, the first the dream of the photo. Arguments and errors as in `Dreamer.dream`.

    The mask stays where it is in the frame, whatever moves through it.

    Raises:
        ConfigError: `seconds` is out of range.
    """
    later = replace(settings, steps=max(1, settings.steps // FEWER))
    picture = photo
    for number in range(frame_count(seconds)):
        if number:
            picture = closer(picture)
        *_, last = dreamer.steps(picture, later if number else settings, guide=guide, mask=mask, frame=number)
        picture = last.image
        yield picture


def write(
    target: Path, form: Form, made: Iterator[Rgb], recipe: Mapping[str, Any], *, warn: Callable[[str], None]
) -> int:
    """Write frames into a video, all or nothing; returns their number.

    Raises:
        ImageError: it cannot be written.
        OSError: there is no space or no permission.
    """
    rate, tick = Fraction(FPS), fine_tick(Fraction(1, FPS))
    folder = temporary_folder(within=target.parent)
    try:
        segment = Segment(folder / f"zoom{form.suffix if form.is_video else ''}", form, rate=rate, tick=tick)
        try:
            for number, rgb in enumerate(made):
                segment.add(Frame(number, number / FPS, rgb))
            segment.close()
        except BaseException:
            segment.abandon()
            raise
        piece = Piece(segment.path, tuple(segment.times))
        end = len(piece.times) / FPS
        join([piece], target, form, end=end, tick=tick, sound=None, recipe=dict(recipe), warn=warn)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return len(piece.times)
