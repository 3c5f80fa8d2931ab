"""What one server of the demo grants to everybody, and to one person."""

from __future__ import annotations

from dataclasses import dataclass

from wctstyle.errors import ConfigError
from wctstyle.settings import MAX_SIDE

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """Bounds that keep a server on its feet when strangers use it.

    max_size: longest side rendered and kept of uploads, pixels. live_size: longest side while sliders move.
    upload_bytes, upload_pixels: larger files are refused, the latter before decoding. styles: pictures in one blend.
    uploads, history: pictures and results kept per session, the oldest go first. session_bytes, total_bytes: what one
    (see `held_bytes`) and all sessions hold together. sessions: how many are remembered. optimise_steps, optimise_size,
    optimise_seconds: most that one optimisation may ask for. video_bytes, video_seconds: most that a clip may have;
    video_size: longest side it is painted at; paint_seconds: the time after which painting one ends, with what is done.
    live_streams: cameras painted at a time; live_bytes, live_pixels: most that a frame may have; live_seconds: the time
    after which a stream ends; live_idle_seconds: how long it waits for a frame.
    queue_size: jobs waiting before newcomers are asked to come back. store_bytes, store_seconds: what is kept of all
    sessions on disk, and how long after their last change.

    Raises:
        ConfigError: a limit that leaves nothing to work with.
    """

    max_size: int = 2048
    live_size: int = 512
    upload_bytes: int = 32 * MIB
    upload_pixels: int = 50_000_000
    styles: int = 6
    uploads: int = 12
    history: int = 24
    session_bytes: int = 96 * MIB
    total_bytes: int = 1024 * MIB
    sessions: int = 256
    optimise_steps: int = 1000
    optimise_size: int = 768
    optimise_seconds: float = 900.0
    video_bytes: int = 256 * MIB
    video_seconds: float = 60.0
    video_size: int = 1024
    paint_seconds: float = 3600.0
    live_streams: int = 2
    live_bytes: int = 4 * MIB
    live_pixels: int = 4_000_000
    live_seconds: float = 1800.0
    live_idle_seconds: float = 10.0
    queue_size: int = 64
    store_bytes: int = 512 * MIB
    store_seconds: float = 7 * 86400.0

    @property
    def held_bytes(self) -> int:
        """Most bytes that one session holds: `session_bytes`, in proportion to the area where `max_size` is over 2048.

        So a photo and six styles of that size fit in.
        """
        return int(self.session_bytes * max(1.0, (self.max_size / 2048) ** 2))

    def __post_init__(self) -> None:
        if not 128 <= self.max_size <= MAX_SIDE:
            raise ConfigError(f"--max-size is {self.max_size}, must be from 128 to {MAX_SIDE} pixels")
        if not 64 <= self.live_size <= self.max_size:
            raise ConfigError(f"the size on screen is {self.live_size}, must be from 64 to {self.max_size} pixels")
        if self.queue_size < 1:
            raise ConfigError(f"--queue-size is {self.queue_size}, must be at least 1")
