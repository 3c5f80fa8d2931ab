"""Video files to frames: upright, with square pixels, in sRGB, each with its time."""

from __future__ import annotations

import contextlib
import heapq
import os
import re
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wctstyle import places
from wctstyle.errors import ImageError
from wctstyle.images.formats import READERS, is_text
from wctstyle.images.guards import DEFAULT_MAX_PIXELS, check_size
from wctstyle.video.clips import DEFAULT_FPS, AnimatedClip, Clip, Cut, FolderClip, Shown
from wctstyle.video.extras import av_errors, pyav, tag
from wctstyle.video.pixels import HDR, has_alpha, to_rgb, turn_of

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

_LEAD = 10.0
"""Seconds before a wanted time from which a file is decoded: more than most files have between keyframes, so that
frames that refer to earlier ones are whole."""

_CLOSE = 0.97
"""A file that ends before this share of what its header says is told as cut off."""


def open_clip(
    source: str,
    *,
    size: int | None = None,
    cut: Cut = Cut(),  # noqa: B008
    fps: float = DEFAULT_FPS,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Clip:
    """Open a video file, an animated picture or a folder of frames.

    size: long side of the frames; None shrinks larger ones to `USUAL_SIZE`, 0 is the clip's own. fps: of a folder.

    Raises:
        ImageError: it is missing, no video, has no picture in it, or is too large.
        ConfigError: PyAV is needed and not installed.
    """
    path = Path(source)
    if places.is_address(source):
        raise ImageError(f"{source}: is a web address; download the video and give the file")
    try:
        if path.is_dir():
            return FolderClip(source, size, cut, max_pixels, fps)
        if not path.is_file():
            what = "is a device or socket; give a file" if path.exists() else "there is no such file; check the name"
            raise ImageError(f"{source}: {what}")
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise ImageError(f"{source}: cannot be read: {error.strerror or error}; check its permissions") from error
    if not head:
        raise ImageError(f"{source}: is empty (0 bytes); export or download it again")
    if any(reader.matches(head) for reader in READERS.values()):
        return AnimatedClip(source, size, cut, max_pixels)
    if is_text(head):
        raise ImageError(f"{source}: is text, not a video; give a video file")
    return FileClip(source, size, cut, max_pixels)


class FileClip(Clip):
    """A file that PyAV reads."""

    def __init__(self, source: str, size: int | None, cut: Cut, max_pixels: int) -> None:
        with opened(source) as box, av_errors(source, "decoded", "convert it to .mp4 first"):
            stream = video_stream(source, box)
            self._start = max(0.0, (box.start_time or 0) / 1e6)
            first = _first_frame(source, box, stream)
            check_size((first.width, first.height), max_pixels, source)
            self._turn = turn_of(first)
            sides = self._turn.sides(*_square_sides(first, stream))
            super().__init__(source, sides, size, cut)
            self.rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
            self.tick = Fraction(stream.time_base or Fraction(1, 1000))
            self.has_alpha = has_alpha(first.format)
            self._timed = first.pts is not None
            length = _seconds(box, stream)
            self.expect(stream.frames or (length and length * float(self.rate)))
            self.origin = self._start + cut.start
            self._promised = length
            self._note(first)

    def _note(self, first: VideoFrame) -> None:
        if (name := HDR.get(int(first.color_trc))) is not None:
            self.notes.append(f"is of high dynamic range ({name}); it is painted as SDR, its highlights compressed")
        if first.interlaced_frame:
            self.notes.append("is interlaced; frames are taken as they are, so moving edges are combed")

    def shown(self, after: float) -> Iterator[Shown]:
        """Decode from a keyframe well before `after`. Frames that never come out of a damaged file are told as such."""
        with opened(self.source) as box:
            stream = video_stream(self.source, box)
            if after > _LEAD and self._timed:
                seek(box, self._start + after - _LEAD)
            last = -1.0
            for pts, frame, length in self._decoded(box, stream):
                seconds = last + 1 / float(self.rate) if pts is None else float(pts * self.tick) - self._start
                seconds = max(0.0, seconds) if seconds > last else last + float(self.tick)
                last = seconds
                pixels = None if frame is None else partial(self._pixels, frame)
                yield Shown(seconds, length or 1 / float(self.rate), pixels)
        if self._promised and self.cut.end is None and last + 1 < _CLOSE * self._promised:
            self.notes.append(f"ends at {last:.1f} of {self._promised:.1f} s: it is cut off; painted as far as it goes")

    def _pixels(self, frame: VideoFrame) -> tuple[Any, Any]:
        return to_rgb(frame, height=self.height, width=self.width, turn=self._turn)

    def _decoded(
        self, box: InputContainer, stream: VideoStream
    ) -> Iterator[tuple[int | None, VideoFrame | None, float]]:
        """Give the time, pixels and length of each frame; no pixels for those that packets promised in vain.

        A decoder may tell of damage later, and of another packet, or in silence; but a packet whose frame has not come
        when one with a later time does is lost. Packets of sound files may hold no frame of their own (VP8), so only a
        file that has shown damage is taken at its word.
        """
        waiting: list[int] = []
        damaged, began = False, False
        for packet, frames, failed in _packets(box, stream):
            damaged |= failed
            if packet is not None and packet.pts is not None and packet.size and not packet.is_discard:
                heapq.heappush(waiting, packet.pts)
            for frame in frames:
                while waiting and (frame.pts is None or waiting[0] < frame.pts):
                    lost = heapq.heappop(waiting)
                    if damaged and began and frame.pts is not None:
                        yield lost, None, 0.0
                if waiting and waiting[0] == frame.pts:
                    heapq.heappop(waiting)
                began = True
                length = float(frame.duration * self.tick) if frame.duration else 0.0
                yield frame.pts, None if frame.is_corrupt else frame, length
        for lost in sorted(waiting) if damaged and began else ():
            yield lost, None, 0.0


def _packets(box: InputContainer, stream: VideoStream) -> Iterator[tuple[Any, list[VideoFrame], bool]]:
    """Decode packet by packet; the last of three says that something was damaged."""
    av = pyav()
    decoder = _decoder(stream)
    packets = box.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.error.FFmpegError:  # the file ends in the middle
            packet = None
        try:
            frames = decoder.decode(packet if packet is not None and packet.size else None)
            failed = packet is None
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            frames, failed = [], True
        yield packet, frames, failed
        if packet is None or not packet.size:
            return


def _decoder(stream: VideoStream) -> Any:
    """Choose the decoder: FFmpeg's own for VP9 leaves opacity out, libvpx's does not."""
    context = stream.codec_context
    opaque = tag(stream.metadata, "alpha_mode") != "1"
    if opaque or context.name not in ("vp8", "vp9"):
        stream.thread_type = "AUTO"
        return context
    decoder = pyav().CodecContext.create({"vp8": "libvpx", "vp9": "libvpx-vp9"}[context.name], "r")
    decoder.extradata = context.extradata
    return decoder


def opened(source: str) -> InputContainer:
    """Open a file with PyAV.

    Raises:
        ImageError: it is no video, or damaged beyond reading.
        ConfigError: PyAV is not installed.
    """
    av = pyav()
    try:
        box = av.open(f"file:{source}", options={"protocol_whitelist": "file"}, metadata_errors="replace")
    except av.error.FFmpegError as error:
        raise ImageError(f"{source}: {_why_closed(source, error)}") from error
    return box


def seek(box: InputContainer, seconds: float) -> None:
    """Go to the last place before a time from which decoding can begin; to the beginning where a file has none."""
    with contextlib.suppress(pyav().error.FFmpegError):
        box.seek(int(max(0.0, seconds) * 1e6))


def _seconds(box: InputContainer, stream: VideoStream) -> float | None:
    """Return how long the pictures of a file go on by its header; sound may go on longer."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    named = tag(stream.metadata, "duration")  # of Matroska
    if found := re.fullmatch(r"(\d+):(\d+):(\d+\.?\d*)", named):
        return sum(float(part) * unit for part, unit in zip(found.groups(), (3600, 60, 1), strict=True))
    return box.duration / 1e6 if box.duration and not box.streams.audio else None


def _why_closed(source: str, error: Exception) -> str:
    """Say why a file cannot be opened: MP4 and MOV keep the index that all depends on in a box of its own."""
    with open(source, "rb") as file:
        if file.read(8)[4:] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            size = os.path.getsize(source)
            return (
                f"its index is missing or damaged ({size:,} bytes are there); the file is cut off: copy or download it "
                "again"
            )
    return f"is no video that can be read ({getattr(error, 'strerror', error)}); give .mp4, .mov, .mkv or .webm"


def video_stream(source: str, box: InputContainer) -> VideoStream:
    """Return the first stream of pictures that is not a cover.

    Raises:
        ImageError: there is none, or no decoder for it.
    """
    av = pyav()
    cover = av.stream.Disposition.attached_pic
    found = [stream for stream in box.streams.video if not stream.disposition & cover]
    if not found:
        what = "holds sound alone" if box.streams.audio else "has no video stream"
        raise ImageError(f"{source}: {what}; give a file with pictures in it")
    if found[0].codec_context is None:
        raise ImageError(f"{source}: its codec is not known to this PyAV; convert it to H.264 first")
    return found[0]


def _first_frame(source: str, box: InputContainer, stream: VideoStream) -> VideoFrame:
    for _, frames, _ in _packets(box, stream):
        for frame in frames:
            if not frame.is_corrupt:
                return frame
    raise ImageError(f"{source}: no frame of it can be decoded; it is empty or damaged, export it again")


def _square_sides(frame: VideoFrame, stream: VideoStream) -> tuple[int, int]:
    """Return height and width with square pixels; the shorter way is stretched, so that nothing is lost."""
    aspect = stream.sample_aspect_ratio or Fraction(1)
    if aspect <= 0:
        aspect = Fraction(1)
    if aspect >= 1:
        return frame.height, max(1, round(frame.width * aspect))
    return max(1, round(frame.height / aspect)), frame.width
