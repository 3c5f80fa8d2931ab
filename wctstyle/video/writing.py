"""Painted frames to segments: pieces of a video, each a file or a folder of its own, joined when all are there."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from wctstyle import images
from wctstyle.errors import ImageError
from wctstyle.video.extras import av_errors, pyav
from wctstyle.video.forms import CODECS, Codec, Form
from wctstyle.video.frames import Frame
from wctstyle.video.pixels import to_encode

_FINE = 10_000
"""A tick of the written times is shorter than one of this many in a second, so that cuts fall on any time."""

_MOST_REORDERED = 16
"""No encoder holds a frame back for more others (H.264 and H.265 allow 16 frames in store)."""


def fine_tick(tick: Fraction) -> Fraction:
    """Divide a clip's unit of time until it is fine enough."""
    return Fraction(1, tick.denominator * max(1, math.ceil(_FINE / tick.denominator)))


class Segment:
    """Writes a few seconds of frames to `path`: a file of the form's container, or a folder of pictures."""

    def __init__(self, path: Path, form: Form, *, rate: Fraction, tick: Fraction) -> None:
        self.path, self._form, self._rate, self._tick = path, form, rate, tick
        self.times: list[float] = []
        self._box: Any = None
        self._given: list[int] = []
        self._muxed = 0
        if not form.is_video:
            path.mkdir()

    def add(self, frame: Frame) -> None:
        """Write one more frame.

        Raises:
            ImageError: the encoder refuses it.
            OSError: there is no space.
        """
        alpha = frame.alpha
        rgb = frame.rgb
        if alpha is not None and not self._form.alpha:
            rgb, alpha = images.flatten(images.Picture(rgb, alpha)).rgb, None
        if self._form.is_video:
            self._encode(rgb, alpha, frame.seconds)
        else:
            suffix = self._form.suffix if self._form.container == "folder" else ".png"
            images.save(self.path / f"{frame.index + 1:06d}{suffix}", rgb, alpha, quality=self._form.quality)
        self.times.append(frame.seconds)

    def _encode(self, rgb: np.ndarray, alpha: np.ndarray | None, seconds: float) -> None:
        if self._form.alpha and alpha is None:
            alpha = np.ones(rgb.shape[:2], np.float32)
        assert self._form.codec is not None
        codec = CODECS[self._form.codec]
        picture = to_encode(rgb, alpha, format=(codec.transparent or "") if self._form.alpha else codec.pixels)
        with av_errors(str(self.path), "encoded", "try another --codec"):
            box = self._box = self._box or self._opened(picture, codec)
            first = self.times[0] if self.times else seconds
            least = self._given[-1] + 1 if self._given else 0
            self._given.append(max(least, round((seconds - first) / self._tick)))
            picture.pts, picture.time_base = self._given[-1], self._tick
            self._mux(box, picture)

    def _mux(self, box: Any, picture: Any) -> None:
        """Encode a picture (None: the last) and write what comes out.

        With a few frames alone x265 gives any times of decoding, which MP4 refuses; so they are made here, and again
        when segments are joined.
        """
        for packet in self._stream.encode(picture):
            early = self._muxed - _MOST_REORDERED
            step = max(1, round(1 / self._rate / self._tick))
            packet.dts = self._given[early] if early >= 0 else self._given[0] + early * step
            self._muxed += 1
            box.mux(packet)

    def _opened(self, picture: Any, codec: Codec) -> Any:
        box = pyav().open(f"file:{self.path}", "w", format=self._form.container)
        self._stream = box.add_stream(codec.encoder, rate=self._rate, options=codec.settings(self._form.quality))
        context = self._stream.codec_context
        context.width, context.height, context.pix_fmt = picture.width, picture.height, picture.format.name
        context.time_base = self._stream.time_base = self._tick
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, 1, 1, 1
        if self._form.codec == "h265" and self._form.container in ("mp4", "mov"):
            context.codec_tag = "hvc1"  # the other tag, hev1, Apple's players refuse
        if self._form.alpha and self._form.codec == "vp9":
            self._stream.metadata["alpha_mode"] = "1"
        return box

    def close(self) -> None:
        """Finish the file, and see that all frames are in it.

        Raises:
            ImageError: they are not.
            OSError: there is no space.
        """
        if self._box is None:
            return
        with av_errors(str(self.path), "encoded", "try another --codec"):
            box, self._box = self._box, None
            try:
                self._mux(box, None)
            finally:
                box.close()
        with (
            av_errors(str(self.path), "read back", "there may be no space left"),
            pyav().open(f"file:{self.path}") as written,
        ):
            found = sum(1 for packet in written.demux(video=0) if packet.size)
        if found != len(self.times):
            raise ImageError(
                f"{self.path}: holds {found} of {len(self.times)} frames; see that there is space on the disk"
            )

    def abandon(self) -> None:
        """Close what is open; what it holds does not matter."""
        box, self._box = self._box, None
        if box is not None:
            try:
                box.close()
            except (OSError, pyav().error.FFmpegError):
                return
