"""Live streams: a camera's frames painted with the blend of a page or of a call, as they come."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from wctstyle import images
from wctstyle.codes import StyleCode
from wctstyle.demo.backend import Backend
from wctstyle.demo.composition import Composition
from wctstyle.demo.limits import Limits
from wctstyle.demo.masking import Part
from wctstyle.demo.pictures import LIVE_QUALITY, StoredPicture, decode
from wctstyle.demo.sessions import Session
from wctstyle.errors import ConfigError
from wctstyle.regions import Region
from wctstyle.video.extras import missing
from wctstyle.video.live import Blend, LiveStylizer

PLACE = "live"
"""The folder of the addresses that take frames, below that of the page; the id of a stream is the name in it."""

TELL_SECONDS = 1.0
"""How often a call is told how far its stream is."""

RECENT = 16
"""Frames by which their number per second is told."""

GONE = "This live stream has ended: no frame came for a while, or its time was over. Start it again."
BUSY = "Other live streams keep this server busy. Please try again in a minute."
TOO_FAST = "A frame of this stream is being painted. Send the next one when its answer has come."


class Refused(Exception):
    """A frame that is not painted: status of HTTP and text."""


class Ended(ConfigError):
    """A stream that is not there any more."""


@dataclass
class Stream:
    """One live stream. page: Gradio's name for the page that began it. seen: when a frame last came or was painted."""

    id: str
    session: Session
    composition: Composition
    calm: float
    page: str
    live: LiveStylizer
    began: float = field(default_factory=time.monotonic)
    seen: float = field(default_factory=time.monotonic)
    frames: int = 0
    shape: tuple[int, int] = (0, 0)
    at_work: threading.Lock = field(default_factory=threading.Lock)
    changing: threading.Lock = field(default_factory=threading.Lock)
    _times: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))

    @property
    def fps(self) -> float:
        """Frames painted in a second, by the last few; 0 at first."""
        times = list(self._times)
        return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 and times[-1] > times[0] else 0.0

    def report(self) -> dict[str, Any]:
        """Say what has been painted, in JSON's types."""
        height, width = self.shape
        course = f"Frame {self.frames}, {width} x {height}, {self.fps:.1f} a second"
        return {
            "stream": self.id,
            "address": f"/{PLACE}/{self.id}",
            "frames": self.frames,
            "fps": round(self.fps, 3),
            "width": width,
            "height": height,
            "text": course if self.frames else "Waiting for frames",
        }

    def did(self, painted: np.ndarray) -> None:
        """Note that a frame is painted."""
        self.shape, self.frames = painted.shape[:2], self.frames + 1
        self._times.append(time.monotonic())


class Streams:
    """All live streams of a server: one a session, and few in all. Who knows the id of one may send it frames."""

    def __init__(self, backend: Backend, limits: Limits) -> None:
        self._backend, self._limits = backend, limits
        self._streams: dict[str, Stream] = {}
        self._lock = threading.Lock()

    def open(self, session: Session, composition: Composition, calm: float, page: str = "") -> Stream:
        """Begin a stream, and end the one that this session had.

        Raises:
            ConfigError: there are too many, a style is not kept any more, there is none, or calm is out of range.
        """
        calm = self._possible(calm)
        blend, stylizer = self._blend(session, composition), self._backend.stylizer(composition.model)
        live = LiveStylizer(stylizer, blend, composition.settings, calm=calm, most=composition.size)
        with self._lock:
            self._sweep()
            if (old := self._found(session)) is not None:
                self._end(old)
            if len(self._streams) >= self._limits.live_streams:
                raise ConfigError(BUSY)
            stream = Stream(secrets.token_urlsafe(18), session, composition, calm, page, live)
            self._streams[stream.id] = stream
        self._see(stream)
        return stream

    def of(self, session: Session) -> Stream | None:
        """Return the stream of a session; None where it has none."""
        with self._lock:
            self._sweep()
            return self._found(session)

    def follow(self, stream: Stream, composition: Composition | None = None, calm: float | None = None) -> None:
        """Paint a stream with another composition, or another calm, from its next frame on. Its largest size stays.

        None leaves what is there.

        Raises:
            ConfigError: a style is not kept any more, there is none, the model is not offered, or calm is out of range.
        """
        with stream.changing:
            composition = composition or stream.composition
            calm = stream.calm if calm is None else self._possible(calm)
            if (calm, _painted(composition)) == (stream.calm, _painted(stream.composition)):
                return
            stylizer, blend = self._backend.stylizer(composition.model), self._blend(stream.session, composition)
            stream.live.change(blend, composition.settings, calm=calm, stylizer=stylizer)
            stream.composition, stream.calm = composition, calm

    def find(self, id: str) -> Stream:
        """Return a stream by its id.

        Raises:
            Ended: it has ended.
        """
        with self._lock:
            self._sweep()
            stream = self._streams.get(id)
        if stream is None:
            raise Ended(GONE)
        return stream

    def reports(self, stream: Stream) -> Iterator[dict[str, Any]]:
        """Say how far a stream is: at once, then every `TELL_SECONDS` until it ends."""
        while True:
            yield stream.report()
            told = time.monotonic()
            while time.monotonic() - told < TELL_SECONDS:
                time.sleep(TELL_SECONDS / 10)
                if self.of(stream.session) is not stream:
                    return

    def paint(self, id: str, data: bytes) -> tuple[bytes, Stream]:
        """Paint a frame, given and returned as the bytes of a file.

        Raises:
            Ended: the stream has ended.
            Refused: it is painting another frame.
            WctStyleError: it is no picture, or cannot be painted.
        """
        stream = self.find(id)
        if not stream.at_work.acquire(blocking=False):
            raise Refused(429, TOO_FAST)
        try:
            frame = decode(data, replace(self._limits, upload_pixels=self._limits.live_pixels)).rgb
            self._see(stream)
            with self._backend.priority.quick():
                painted = stream.live.frame(frame)
            stream.did(painted)
            return images.encode(painted, format="jpeg", quality=LIVE_QUALITY), stream
        finally:
            self._see(stream)
            stream.at_work.release()

    def close(self, id: str) -> None:
        """End a stream, if it has not ended."""
        with self._lock:
            if (stream := self._streams.get(id)) is not None:
                self._end(stream)

    def _see(self, stream: Stream) -> None:
        """Note that a stream is alive, and so is the page that sends its frames."""
        stream.seen = time.monotonic()
        stream.session.live_until = stream.seen + self._limits.live_idle_seconds

    def _found(self, session: Session) -> Stream | None:
        return next((stream for stream in self._streams.values() if stream.session is session), None)

    def _possible(self, calm: float) -> float:
        """Return what there is of calm: none without OpenCV."""
        return 0.0 if missing() else calm

    def _blend(self, session: Session, composition: Composition) -> Blend:
        """Return the styles of all that lies in no region, measured for the size of a frame."""
        whole = replace(composition, regions=())
        if not whole.styles:
            raise ConfigError("Live pictures have no regions, and there is no style outside of them. Add one there.")
        for spec in whole.specs:
            session.picture(spec.source)  # what is not kept is told now

        def code(held: StoredPicture, sides: tuple[int, int], part: Part | None) -> StyleCode:
            return self._backend.style_code(held, sides, whole.model, part)

        def blend(height: int, width: int) -> list[Region]:
            return self._backend.regions(session, whole, images.Picture(np.zeros((height, width, 3), np.float32)), code)

        return blend

    def _sweep(self) -> None:
        """End streams that nobody sends frames to, and those that have had their time."""
        now, limits = time.monotonic(), self._limits
        for stream in list(self._streams.values()):
            idle = now - stream.seen > limits.live_idle_seconds and not stream.at_work.locked()
            if idle or now - stream.began > limits.live_seconds or stream.session.closed.is_set():
                self._end(stream)

    def _end(self, stream: Stream) -> None:
        stream.session.live_until = 0.0
        del self._streams[stream.id]


def _painted(composition: Composition) -> Composition:
    """Leave out what does not change how a frame is painted."""
    whole = Composition()
    return replace(composition, content=whole.content, regions=(), feather=whole.feather, size=whole.size)
