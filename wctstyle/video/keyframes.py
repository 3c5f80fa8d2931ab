"""Numbers that change over time, written as keyframes: `0s=1,4s=0`."""

from __future__ import annotations

import math
import os
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wctstyle.errors import ConfigError
from wctstyle.regions import NAME
from wctstyle.settings import LARGEST, checked_number


@dataclass(frozen=True)
class Track:
    """A number over time: `values` at `times` (seconds), eased between them and constant outside.

    Raises:
        ConfigError: no keyframes, or their times do not rise.
    """

    times: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.times or len(self.times) != len(self.values):
            raise ConfigError(
                f"got {len(self.times)} times and {len(self.values)} values, wanted as many, at least one"
            )
        for before, after in zip(self.times, self.times[1:], strict=False):
            if not before < after:
                raise ConfigError(f"{after:g}s comes after {before:g}s; give each time once, in rising order")

    def at(self, seconds: float) -> float:
        """Return the number at a time: smoothstep, 3 u^2 - 2 u^3, from each keyframe to the next."""
        place = bisect_right(self.times, seconds)
        if place in (0, len(self.times)):
            return self.values[max(place - 1, 0)]
        (start, end), (low, high) = self.times[place - 1 : place + 1], self.values[place - 1 : place + 1]
        u = (seconds - start) / (end - start)
        return low + (high - low) * u * u * (3 - 2 * u)

    def __str__(self) -> str:
        return ",".join(f"{time:g}s={value:g}" for time, value in zip(self.times, self.values, strict=True))


def is_track(text: str) -> bool:
    """Tell whether a text is meant as keyframes rather than as one number."""
    return "=" in text


def parse_track(text: str, name: str, low: float = 0.0, high: float = LARGEST) -> Track:
    """Read keyframes such as `0s=1,4s=0`, or one number for all of the time. Values are in `low`..`high`.

    Raises:
        ConfigError: they cannot be read, are out of range or do not rise. The message begins with `name`.
    """
    if not is_track(text):
        return Track((0.0,), (_number(text, text, f"{name} {text}", low, high),))
    times, values = [], []
    for item in text.split(","):
        # Without a regular expression, which takes very long for some texts.
        time, _, value = (part.strip() for part in item.partition("="))
        if not time.endswith("s") or "=" in value:
            raise ConfigError(f"{name} {text}: {item!r} is no keyframe; write SECONDSs=VALUE, as in 0s=1,4s=0")
        times.append(_number(time[:-1].rstrip(), item, f"{name} {text}: the time of {item.strip()}", 0.0, LARGEST))
        values.append(_number(value, item, f"{name} {text}: the value of {item.strip()}", low, high))
    try:
        return Track(tuple(times), tuple(values))
    except ConfigError as error:
        raise ConfigError(f"{name} {text}: {error}") from error


def _number(text: str, item: str, name: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise ConfigError(f"{name}: {text!r} in {item!r} is no number") from error
    return checked_number(name, value if math.isfinite(value) else text, low, high)


def at(value: float | Track, seconds: float) -> float:
    """Return a number at a time, whether or not it changes."""
    return value.at(seconds) if isinstance(value, Track) else value


def fixed_weights(
    styles: Sequence[str], *, exists: Callable[[str], bool] = os.path.exists
) -> tuple[list[str], dict[int, Track]]:
    """Take the keyframes out of styles, written `PATH:KEYFRAMES[@REGION]`; a file that exists under a whole text wins.

    Returns the styles with their first weights, and the tracks by place.

    Raises:
        ConfigError: keyframes cannot be read.
    """
    tracks: dict[int, Track] = {}
    fixed = []
    for place, text in enumerate(styles):
        source, _, rest = text.rpartition(":")
        keys, at, region = rest.partition("@")
        if source and is_track(keys) and (not at or NAME.fullmatch(region)) and not exists(text):
            tracks[place] = parse_track(keys, f"--style {source}:")
            text = f"{source}:{tracks[place].at(0.0)!r}{at}{region}"
        fixed.append(text)
    return fixed, tracks
