"""Settings of a dream: choices, limits and defaults. Does not import JAX."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from wctstyle.errors import ConfigError
from wctstyle.optimizer.settings import LAYERS
from wctstyle.settings import MAX_SEED, checked_number, checked_whole

USUAL_SIZE = 768
"""Long side, in pixels, to which larger photos are shrunk unless a size is given."""

GUIDE_SIDE = 256
"""Long side, in pixels, to which guides are shrunk; the original's were about as large."""

LEAST_SIDE = 32
"""Octaves of which a side would be smaller, in pixels, are left out."""

FPS = 15
"""Frames per second of a zoom."""

MAX_SECONDS = 600.0
"""Of a zoom."""

MAX_OCTAVES, MAX_STEPS, MAX_STRENGTH, MAX_JITTER = 12, 500, 4.0, 512
OCTAVE_SCALES = (1.1, 3.0)
MAX_CHANNEL = 1 << 16

WHOLES = {"octaves": (1, MAX_OCTAVES), "steps": (1, MAX_STEPS), "jitter": (0, MAX_JITTER), "seed": (0, MAX_SEED)}
"""The settings that are whole numbers, with the least and the most they may be."""

RANGES = {"octave_scale": OCTAVE_SCALES, "strength": (0, MAX_STRENGTH)}
"""The same for numbers."""


def check_layer(name: str, layer: Any) -> None:
    """Refuse what is no layer.

    Raises:
        ConfigError: it is none; the message begins with `name`.
    """
    if layer not in LAYERS:
        raise ConfigError(f"{name} names {layer!r}, must be one of {', '.join(LAYERS)}")


@dataclass(frozen=True)
class DreamSettings:
    """Settings of a dream. Values are checked on creation.

    layers: of the network, relu1_1 to relu5_1, whose activations are raised; several count alike. channels: of the one
    layer, counted from 0; empty for all. octaves: number of sizes, the smallest first. octave_scale: ratio of a size to
    the one before. steps: at each size. strength: length of a step, as a multiple of the usual one; 0 is exactly the
    photo. jitter: how far the picture is shifted at most before each step, in pixels. seed: of these shifts.

    Raises:
        ConfigError: a value out of range, naming it.

    Example:
        >>> settings = DreamSettings(layers=("relu4_1",), channels=(17, 3), octaves=3, octave_scale=2.0)
        >>> settings.channels, settings.sizes(256, 128)
        ((3, 17), [(64, 32), (128, 64), (256, 128)])
    """

    layers: tuple[str, ...] = ("relu5_1",)
    channels: tuple[int, ...] = ()
    octaves: int = 4
    octave_scale: float = 1.4
    steps: int = 10
    strength: float = 1.0
    jitter: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        def keep(name: str, checked: Any) -> None:
            object.__setattr__(self, name, checked)

        if isinstance(self.layers, str) or not self.layers:
            raise ConfigError(f'layers is {self.layers!r}, must be names of layers, as ("relu4_1",)')
        keep("layers", tuple(self.layers))
        for layer in self.layers:
            check_layer("layers", layer)
        if len(set(self.layers)) < len(self.layers):
            raise ConfigError(f"layers is {', '.join(self.layers)}, must name each layer once")
        keep("channels", tuple(sorted({checked_whole("channels", c, 0, MAX_CHANNEL) for c in self.channels})))
        if self.channels and len(self.layers) > 1:
            raise ConfigError(f"channels is {', '.join(map(str, self.channels))}, which takes one layer; name one")
        for name, bounds in WHOLES.items():
            keep(name, checked_whole(name, getattr(self, name), *bounds))
        for name, bounds in RANGES.items():
            keep(name, checked_number(name, getattr(self, name), *bounds))

    def sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Return the (height, width) of each octave, the smallest first; the last is that of the picture."""
        found = [(height, width)]
        for octave in range(1, self.octaves):
            smaller = [round(side / self.octave_scale**octave) for side in (height, width)]
            if min(smaller) < LEAST_SIDE:
                break
            found.insert(0, (smaller[0], smaller[1]))
        return found


SHEET = DreamSettings(octaves=2, octave_scale=1.5, steps=16, jitter=4)
"""Settings of a sheet, but for its layer: its pictures are small, so there are few octaves."""


MAX_CHANNELS_TEXT = 4000
"""Characters in which channels may be named: every number of 512, and some more."""


def frame_count(zoom: float) -> int:
    """Return how many frames a zoom of so many seconds has.

    Raises:
        ConfigError: the length is out of range.

    Example:
        >>> frame_count(2.0)
        30
    """
    return max(1, round(FPS * checked_number("zoom", zoom, 1 / FPS, MAX_SECONDS)))


def parse_channels(text: str) -> tuple[int, ...]:
    """Read numbers and ranges of channels, as 3,17,20-31; "all" or nothing are all.

    Raises:
        ConfigError: it is none of these.

    Example:
        >>> parse_channels("3,17,20-22"), parse_channels("all")
        ((3, 17, 20, 21, 22), ())
    """
    if text.strip() in ("", "all"):
        return ()
    if len(text) > MAX_CHANNELS_TEXT:
        raise ConfigError(f"channels has {len(text)} characters; give ranges, as 0-511, in up to {MAX_CHANNELS_TEXT}")
    found: set[int] = set()
    for item in text.split(","):
        span = re.fullmatch(r"\s*(\d{1,5})(?:-(\d{1,5}))?\s*", item)
        if not span or int(span[2] or span[1]) < int(span[1]):
            raise ConfigError(f"channels is {text!r}, must be numbers and ranges, as 3,17,20-31, or all")
        found.update(range(int(span[1]), int(span[2] or span[1]) + 1))
    return tuple(sorted(found))


def format_channels(channels: tuple[int, ...]) -> str:
    """Write channels, in ascending order, as `parse_channels` reads them.

    Example:
        >>> format_channels((3, 17, 20, 21, 22))
        '3,17,20-22'
    """
    spans: list[list[int]] = []
    for channel in channels:
        if spans and channel == spans[-1][1] + 1:
            spans[-1][1] = channel
        else:
            spans.append([channel, channel])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in spans)
