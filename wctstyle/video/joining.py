"""Segments to the target: joined without encoding again, with sound, all or nothing."""

from __future__ import annotations

import heapq
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wctstyle import images
from wctstyle.errors import ImageError
from wctstyle.files import link_or_copy, replacing, sweep, temporary_name
from wctstyle.video.extras import av_errors, pyav, tag
from wctstyle.video.forms import Form
from wctstyle.video.reading import opened
from wctstyle.video.sound import Sound

if TYPE_CHECKING:
    from av import Packet

RECIPE_TAG = "comment"
"""The name of the metadata that holds a recipe, as ``{"wctstyle": recipe}``; MP4, MOV, MKV and WebM all keep it."""


@dataclass(frozen=True)
class Piece:
    """A finished segment, and the times of its frames in seconds."""

    path: Path
    times: tuple[float, ...]


@dataclass(frozen=True)
class Origin:
    """Where sound comes from: a file, and the seconds in it at which the video begins and, if it is cut, ends."""

    source: str
    begin: float
    end: float | None
    whole_start: bool


def join(
    pieces: Sequence[Piece],
    target: Path,
    form: Form,
    *,
    end: float,
    tick: Fraction,
    sound: Origin | None,
    recipe: dict[str, Any],
    warn: Callable[[str], None],
) -> None:
    """Make the target of all segments, whose frames end at `end`; it takes its name when it is whole.

    Raises:
        ImageError: it cannot be written; what was there is untouched.
        OSError: there is no space or no permission.
    """
    if form.container == "folder":
        _fill_folder(pieces, target)
        return
    with replacing(target, f"{temporary_name()}{target.suffix}") as file:
        partial = Path(file.name)
        if form.is_video:
            with av_errors(str(target), "written", "try another container"):
                _mux(pieces, partial, form, end, tick, sound, recipe, warn)
        else:
            files = [file for piece in pieces for file in sorted(piece.path.iterdir())]
            times = [time for piece in pieces for time in piece.times]
            unit = 10 if form.suffix == ".gif" else 1  # GIF counts hundredths of a second
            marks = [round(1000 * time / unit) * unit for time in [*times, end]]
            shown = [max(unit, after - before) for before, after in zip(marks, marks[1:], strict=False)]
            images.save_animation(partial, files, shown, quality=form.quality, recipe=recipe)


def _fill_folder(pieces: Sequence[Piece], target: Path) -> None:
    """Put the frames into the folder; links where there can be some, as the segments may still be needed."""
    images.make_folder(target)
    sweep(target)
    for piece in pieces:
        for file in sorted(piece.path.iterdir()):
            partial = target / temporary_name()
            link_or_copy(file, partial)
            os.replace(partial, target / file.name)
            partial.unlink(missing_ok=True)  # two names of one file both stay


def _mux(
    pieces: Sequence[Piece],
    path: Path,
    form: Form,
    end: float,
    tick: Fraction,
    sound: Origin | None,
    recipe: dict[str, Any],
    warn: Callable[[str], None],
) -> None:
    options = {"movflags": "faststart"} if form.container in ("mp4", "mov") else {}
    with pyav().open(f"file:{path}", "w", format=form.container, container_options=options) as box:
        if recipe:
            box.metadata[RECIPE_TAG] = json.dumps({"wctstyle": recipe})
        with opened(str(pieces[0].path)) as first:
            template = first.streams.video[0]
            # opaque, as AV1 has a decoder of another name
            stream = box.add_stream_from_template(template, opaque=True)
            stream.time_base = tick
            stream.metadata.update({k: v for k, v in template.metadata.items() if k.lower() == "alpha_mode"})
        if sound is None:
            for _, packet in _packets(pieces, stream, end, tick):
                box.mux(packet)
            return
        beside = Sound(sound.source, box, sound.begin, sound.end, whole_start=sound.whole_start, warn=warn)
        streams = [_packets(pieces, stream, end, tick), beside.packets()]
        for _, packet in heapq.merge(*streams, key=lambda item: item[0]):
            box.mux(packet)


def _packets(pieces: Sequence[Piece], stream: Any, end: float, tick: Fraction) -> Iterator[tuple[float, Packet]]:
    """Give the packets of all segments with the frames' own times.

    Each segment's encoder reorders frames by itself, so the times of decoding are made anew for all: the n-th packet is
    decoded when the frame `delay` before the n-th is shown, `delay` the least that no frame is shown before that.
    """
    times = [round(time / tick) for piece in pieces for time in piece.times]
    times = [max(time, times[at - 1] + 1) if at else time for at, time in enumerate(times)]
    lengths = [after - before for before, after in zip(times, [*times[1:], round(end / tick)], strict=True)]
    lengths[-1] = max(1, lengths[-1])
    orders: list[int] = []
    for piece in pieces:
        begun = len(orders)
        orders += [begun + place for place in _shown_orders(piece)]
    delay = max(at - place for at, place in enumerate(orders))
    step = max(1, lengths[0])
    decoded = [times[0] - step * (delay - at) for at in range(delay)] + times
    at = 0
    for piece in pieces:
        with opened(str(piece.path)) as box:
            for packet in box.demux(video=0):
                if not packet.size:
                    continue
                place = orders[at]
                packet.time_base = tick
                packet.pts, packet.dts, packet.duration = times[place], decoded[at], lengths[place]
                packet.stream = stream
                yield float(decoded[at] * tick), packet
                at += 1


def _shown_orders(piece: Piece) -> list[int]:
    """Say for each packet of a segment, in their order, which of its frames it holds, counted by their times."""
    with opened(str(piece.path)) as box:
        shown = [packet.pts or 0 for packet in box.demux(video=0) if packet.size]
    if len(shown) != len(piece.times):
        raise ImageError(f"{piece.path}: is damaged; start again without --resume, with --overwrite")
    ranks = {pts: rank for rank, pts in enumerate(sorted(shown))}
    return [ranks[pts] for pts in shown]


def read_recipe(path: str) -> dict[str, Any] | None:
    """Read back the recipe that `join` put into a video; None if there is none.

    Raises:
        ImageError: it is no video, or its recipe is damaged.
    """
    with opened(path) as box:
        text = tag(box.metadata, RECIPE_TAG)
    if not text.startswith('{"wctstyle": '):
        return None
    try:
        return dict(json.loads(text)["wctstyle"])
    except (ValueError, TypeError, RecursionError) as error:
        raise ImageError(f"{path}: its wctstyle recipe is damaged: {error}; take it from another copy") from error
