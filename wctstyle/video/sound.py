"""Sound and subtitles: copied as they are where the container holds their codec, in time with the cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from wctstyle.video.extras import pyav
from wctstyle.video.reading import opened, seek

if TYPE_CHECKING:
    from av import Packet
    from av.container import OutputContainer

_ENCODERS = {"webm": ("libopus", 48000)}
"""The encoder of sound that cannot be copied, and its only rate, by container; AAC and any rate elsewhere."""


_PRIMING = 0.1
"""Seconds before the start of a file in which encoders put what their decoders need first."""


class Sound:
    """The streams of a file that go along with its painted frames.

    Args:
        source: the file.
        box: what is written; streams are added at once, before its first packet.
        begin, end: seconds in the file; the written times are counted from the first.
        whole_start: nothing is cut off before `begin`.
        warn: is told what cannot go along.
    """

    def __init__(
        self,
        source: str,
        box: OutputContainer,
        begin: float,
        end: float | None,
        *,
        whole_start: bool,
        warn: Callable[[str], None],
    ) -> None:
        self._source, self._begin, self._end = source, begin, end
        self._earliest = begin - _PRIMING if whole_start else begin
        self._ways: dict[int, Any] = {}
        known = box.supported_codecs
        with opened(source) as read:
            for stream in [*read.streams.audio, *read.streams.subtitles]:
                context = stream.codec_context
                name = "unknown" if context is None else context.name
                if context is not None and pyav().Codec(name, "r").canonical_name in known:
                    own = box.add_stream_from_template(stream, opaque=True)
                    self._ways[stream.index] = _Copied(own)
                elif context is not None and stream.type == "audio":
                    encoder, rate = _ENCODERS.get(box.format.name.split(",")[0], ("aac", None))
                    own: Any = box.add_stream(encoder, rate=rate or context.sample_rate)
                    own.codec_context.layout = context.layout
                    self._ways[stream.index] = _Encoded(own)
                    warn(f"{source}: {name} sound does not go into this container; it is converted to {encoder}")
                else:
                    warn(f"{source}: {stream.type} stream {stream.index} ({name}) does not go into this container")
                    continue
                for key in ("language", "title", "handler_name"):
                    if key in stream.metadata:
                        own.metadata[key] = stream.metadata[key]

    def packets(self) -> Iterator[tuple[float, Packet]]:
        """Give packets with the time at which they are needed, in the file's order."""
        if not self._ways:
            return
        av = pyav()
        with opened(self._source) as box:
            ways: dict[int, tuple[Any, Any]] = {index: (box.streams[index], way) for index, way in self._ways.items()}
            if self._begin > 1:
                seek(box, self._begin - 1)
            ended: set[int] = set()
            try:
                for packet in box.demux([stream for stream, _ in ways.values()]):
                    stream, way = ways[packet.stream.index]
                    if packet.pts is None or not packet.size:
                        continue
                    at = float(packet.pts * stream.time_base)
                    if self._end is not None and at >= self._end:
                        ended.add(stream.index)
                        if ended == ways.keys():
                            break
                    elif at >= self._earliest:
                        yield from way.take(packet, Fraction(self._begin).limit_denominator(1_000_000))
            except av.error.FFmpegError:  # the file ends in the middle: what was there has gone along
                pass
            for _, way in ways.values():
                yield from way.rest()


class _Copied:
    def __init__(self, own: Any) -> None:
        self._own, self._last = own, None

    def take(self, packet: Any, begin: Fraction) -> Iterator[tuple[float, Packet]]:
        shift = round(begin / packet.time_base)
        packet.pts -= shift
        packet.dts = packet.pts if packet.dts is None else packet.dts - shift
        if self._last is not None and packet.dts <= self._last:  # damaged times would stop the writing
            return
        self._last = packet.dts
        packet.stream = self._own
        yield float(packet.dts * packet.time_base), packet

    def rest(self) -> Iterator[tuple[float, Packet]]:
        return iter(())


class _Encoded:
    def __init__(self, own: Any) -> None:
        self._own, self._given = own, 0
        self._resampler: Any = None

    def take(self, packet: Any, begin: Fraction) -> Iterator[tuple[float, Packet]]:
        av = pyav()
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            return
        for frame in frames:
            if self._resampler is None:
                context = self._own.codec_context
                context.open(strict=False)
                self._resampler = av.AudioResampler(
                    context.format, context.layout, context.sample_rate, frame_size=context.frame_size or None
                )
                at = max(Fraction(0), frame.pts * frame.time_base - begin) if frame.pts is not None else Fraction(0)
                self._given = round(at * context.sample_rate)
            frame.pts = None
            yield from self._encoded(self._resampler.resample(frame))

    def rest(self) -> Iterator[tuple[float, Packet]]:
        if self._resampler is not None:
            yield from self._encoded([*self._resampler.resample(None), None])

    def _encoded(self, frames: Any) -> Iterator[tuple[float, Packet]]:
        for frame in frames:
            if frame is not None:
                frame.pts, frame.time_base = self._given, Fraction(1, self._own.codec_context.sample_rate)
                self._given += frame.samples
            for packet in self._own.encode(frame):
                yield float(packet.pts * packet.time_base), packet
