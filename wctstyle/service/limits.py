"""What one server of the API grants."""

from __future__ import annotations

from dataclasses import dataclass

from wctstyle.errors import ConfigError
from wctstyle.settings import MAX_SIDE

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """Bounds that keep a server on its feet when strangers use it.

    max_size: longest side of results, pixels. upload_bytes, upload_pixels: larger files are refused, the latter before
    decoding. request_bytes, files: most that one request may bring. styles: pictures in one blend. pictures: results of
    one batch. video_bytes, video_seconds: most that a clip may have; video_size: longest side it is painted at;
    gif_pixels: most of all frames of a GIF together, as they are in memory at once. queue_size: jobs that wait before
    newcomers are asked to come back. optimize_steps, optimize_size: most that one optimisation may ask for.
    job_seconds: the time after which a job ends with an error. result_seconds: how long a result is kept after its job
    ended; results, result_bytes: how many are kept, the oldest go first.

    Raises:
        ConfigError: a limit that leaves nothing to work with.
    """

    max_size: int = 2048
    upload_bytes: int = 32 * MIB
    upload_pixels: int = 50_000_000
    request_bytes: int = 256 * MIB
    files: int = 32
    styles: int = 6
    pictures: int = 64
    video_bytes: int = 192 * MIB
    video_seconds: float = 60.0
    video_size: int = 1024
    gif_pixels: int = 200_000_000
    queue_size: int = 64
    optimize_steps: int = 1000
    optimize_size: int = 1024
    job_seconds: float = 900.0
    result_seconds: float = 3600.0
    results: int = 256
    result_bytes: int = 512 * MIB

    def __post_init__(self) -> None:
        if not 128 <= self.max_size <= MAX_SIDE:
            raise ConfigError(f"max_size is {self.max_size}, must be from 128 to {MAX_SIDE} pixels")
        for name in ("queue_size", "results"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, must be at least 1")
        for name in ("job_seconds", "result_seconds"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name):g}, must be above 0")
