"""Learn a filter from a pair of pictures, and apply it to others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from wctstyle.analogies import neighbourhoods, points
from wctstyle.analogies.alignment import overlapping, shift
from wctstyle.analogies.neighbourhoods import HALO, Neighbourhoods
from wctstyle.analogies.points import Points
from wctstyle.analogies.sampling import decibels, sample
from wctstyle.errors import ConfigError, ImageError
from wctstyle.threads import limit_lapack_threads

Rgb = Float[np.ndarray, "h w 3"]

LEAST_SIDE = 64
"""Least side in pixels of a pair: smaller ones teach too little."""

TILE = 256
"""Side in pixels of the tiles in which a picture is filtered: some 300 MB at a time."""

WINDOW, TESTED = 1536, 512
"""Sides in pixels of the middles of a large pair: what neighbourhoods are learned from, and where fine contrast is
compared. Colours are learned from all."""

ALIGN_OPTION = "(--align)"
"""How the command line aligns a pair, as errors say it."""


@dataclass(frozen=True)
class Filter:
    """A filter learned from a pair of pictures.

    residual: how near it comes to the pixels that were held out, in dB; nothing: how near the unchanged picture comes.
    missing: the share of the goal's fine contrast that the filter does not give, 0..1 (strokes, grain).
    """

    points: Points
    near: Neighbourhoods
    residual: float
    nothing: float
    missing: float

    @property
    def name(self) -> str:
        """What was learned, in words."""
        return " and ".join(filter(None, ("" if self._alone else self.points.name, self.near.name)))

    def __call__(self, rgb: Rgb) -> Rgb:
        """Filter a picture of any size, tile by tile with a halo, so that little memory is used beside the result.

        Neighbourhoods are in pixels, so a larger picture is filtered more finely.
        """
        return self.part(rgb, slice(0, rgb.shape[0]), slice(0, rgb.shape[1]))

    def rows(self, rgb: Rgb) -> Iterator[Rgb]:
        """Filter a picture from top to bottom, some rows at a time."""
        height, width = rgb.shape[:2]
        for top in range(0, height, TILE):
            yield self.part(rgb, slice(top, min(top + TILE, height)), slice(0, width))

    def part(self, rgb: Rgb, rows: slice, columns: slice) -> Rgb:
        """Filter a part of a picture."""
        made = np.empty((rows.stop - rows.start, columns.stop - columns.start, 3), np.float32)
        for top in range(rows.start, rows.stop, TILE):
            down = slice(top, min(top + TILE, rows.stop))
            for left in range(columns.start, columns.stop, TILE):
                across = slice(left, min(left + TILE, columns.stop))
                place = (
                    slice(top - rows.start, down.stop - rows.start),
                    slice(left - columns.start, across.stop - columns.start),
                )
                made[place] = self._tile(rgb, down, across)
        return made

    def _tile(self, rgb: Rgb, down: slice, across: slice) -> Rgb:
        halo = HALO if len(self.near.weights) else 0
        up, before = max(0, down.start - halo), max(0, across.start - halo)
        base = rgb[up : down.stop + halo, before : across.stop + halo]
        if not self._alone:
            rows, columns = np.indices(base.shape[:2]).reshape(2, -1)
            light = points.places(rows + up, columns + before, *rgb.shape[:2])
            base = self.points(base.reshape(-1, 3), light).reshape(base.shape)
        core = slice(down.start - up, down.stop - up), slice(across.start - before, across.stop - before)
        own = base[core]
        if halo:
            flat = np.arange(base[..., 0].size).reshape(base.shape[:2])[core]
            own = own + self.near(base, flat.ravel()).reshape(own.shape)
        return np.clip(own, 0, 1).astype(np.float32)

    @property
    def _alone(self) -> bool:
        """Whether neighbourhoods are learned from the picture itself, without a map of colours first."""
        return len(self.near.weights) > 0 and not self.near.mapped


def checked_pair(own: Rgb, goal: Rgb) -> None:
    """Refuse a pair of different or too small sizes.

    Raises:
        ImageError: saying the sizes.
    """
    (height, width), (rows, columns) = own.shape[:2], goal.shape[:2]
    if (height, width) != (rows, columns):
        raise ImageError(
            f"the pair: the first picture has {width} x {height} pixels and the second {columns} x {rows}; give two of "
            "the same size, which show the same thing at the same place"
        )
    if min(height, width) < LEAST_SIDE:
        raise ImageError(f"the pair: has {width} x {height} pixels, must have {LEAST_SIDE} at least on each side")


def laid(own: Rgb, goal: Rgb, *, align: bool = False) -> tuple[Rgb, Rgb]:
    """Return a pair whose pictures lie on each other; with `align`, moved ones are cut to what both show.

    Raises:
        ImageError: their sizes differ, or are too small.
        ConfigError: one is moved against the other.
    """
    checked_pair(own, goal)
    down, right = moved = shift(own, goal)
    if not any(moved):
        return own, goal
    if not align:
        ways = [(down, "down", "up"), (right, "right", "left")]
        words = " and ".join(f"{abs(by)} {one if by > 0 else other}" for by, one, other in ways if by)
        raise ConfigError(
            f"the pair: the second picture seems to be moved against the first by pixels: {words}; align the pair "
            f"{ALIGN_OPTION}, which cuts both to what they share"
        )
    own, goal = overlapping(own, goal, moved)
    checked_pair(own, goal)
    return own, goal


def learn(own: Rgb, goal: Rgb, hear: Callable[[str], None] = lambda text: None) -> Filter:
    """Learn the filter that makes `goal` of `own`, two pictures that lie on each other (`laid`).

    A map of colours is learned first, then what it leaves from neighbourhoods. Every choice is made on squares of
    pixels that were held out. `hear` is told what is begun, and may raise to end it. BLAS keeps one thread from here
    on: its matrices are small, and on busy cores its threads wait for each other ten times as long as they work.
    """
    limit_lapack_threads()
    hear("Learning colors")
    height, width = own.shape[:2]
    flat, held = sample(height, width)
    light = points.places(flat // width, flat % width, height, width)
    colors, wanted = own.reshape(-1, 3)[flat], goal.reshape(-1, 3)[flat]
    first = points.learn(colors, wanted, light, held)
    before = decibels(float(np.mean((colors - wanted)[held] ** 2)))
    middle = _middle((height, width), WINDOW)
    mapped = Filter(first, neighbourhoods.NOTHING, 0, 0, 0).part(own, *middle)
    flat, held = sample(*mapped.shape[:2])
    near, error = neighbourhoods.learn(own[middle], mapped, goal[middle].reshape(-1, 3)[flat], flat, held, hear)
    made = Filter(first, near, decibels(error), before, 0)
    hear("Testing what was learned")
    middle = _middle((height, width), TESTED)
    return replace(made, missing=_missing(made.part(own, *middle), goal[middle]))


def _middle(shape: tuple[int, int], side: int) -> tuple[slice, slice]:
    """Return the rows and columns of the middle of a picture, of up to so many pixels each way."""
    rows, columns = (slice(start := max(0, (length - side) // 2), min(start + side, length)) for length in shape)
    return rows, columns


def _missing(made: Rgb, goal: Rgb) -> float:
    from scipy.ndimage import gaussian_filter

    fine = [np.std(picture - gaussian_filter(picture, (4, 4, 0))) for picture in (made, goal)]
    return float(np.clip(1 - fine[0] / max(fine[1], 1e-6), 0, 1))
