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

Rgb = Float[np.ndarray, "h w 3"]

LEAST_SIDE = 64
"""Least side in pixels of a pair: smaller ones teach too little."""

TILE = 256
"""Side in pixels of the tiles in which a picture is filtered: some 300 MB at a time."""

WINDOW = 1536
"""Side in pixels of the middle of a large pair from which neighbourhoods are learned. Colours are learned from all."""

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
        alone = len(self.near.weights) and not self.near.mapped
        return " and ".join(filter(None, ("" if alone else self.points.name, self.near.name)))

    def __call__(self, rgb: Rgb) -> Rgb:
        """Filter a picture of any size. Neighbourhoods are in pixels, so a larger picture is filtered more finely."""
        return np.concatenate(list(self.rows(rgb)))

    def rows(self, rgb: Rgb) -> Iterator[Rgb]:
        """Filter a picture strip by strip, each tile by tile with a halo, so that little memory is used."""
        height, width = rgb.shape[:2]
        for top in range(0, height, TILE):
            tiles = [self._tile(rgb, top, left) for left in range(0, width, TILE)]
            yield np.concatenate(tiles, axis=1)

    def _tile(self, rgb: Rgb, top: int, left: int) -> Rgb:
        """Filter one tile."""
        alone = len(self.near.weights) and not self.near.mapped
        halo = HALO if len(self.near.weights) else 0
        up, before = max(0, top - halo), max(0, left - halo)
        piece = rgb[up : top + TILE + halo, before : left + TILE + halo]
        base = piece
        if not alone:
            rows, columns = (at.ravel() for at in np.indices(piece.shape[:2]))
            light = points.places(rows + up, columns + before, *rgb.shape[:2])
            base = self.points(piece.reshape(-1, 3), light).reshape(piece.shape)
        made = base + self.near(base).reshape(piece.shape) if halo else base
        own = made[top - up : top - up + TILE, left - before : left - before + TILE]
        return np.clip(own, 0, 1).astype(np.float32)


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
    pixels that were held out. `hear` is told what is begun, and may raise to end it.
    """
    hear("Learning colors")
    height, width = own.shape[:2]
    flat, held = sample(height, width)
    light = points.places(flat // width, flat % width, height, width)
    colors, wanted = own.reshape(-1, 3)[flat], goal.reshape(-1, 3)[flat]
    first = points.learn(colors, wanted, light, held)
    before = decibels(float(np.mean((colors - wanted)[held] ** 2)))
    top, left = (max(0, (side - WINDOW) // 2) for side in (height, width))
    middle = np.s_[top : top + WINDOW, left : left + WINDOW]
    mapped = Filter(first, neighbourhoods.NOTHING, 0, 0, 0)(own)[middle]
    flat, held = sample(*mapped.shape[:2])
    near, error = neighbourhoods.learn(own[middle], mapped, goal[middle].reshape(-1, 3)[flat], flat, held, hear)
    made = Filter(first, near, decibels(error), before, 0)
    strips = []
    for strip in made.rows(own):
        hear("Testing what was learned")
        strips.append(strip)
    return replace(made, missing=_missing(np.concatenate(strips)[middle], goal[middle]))


def _missing(made: Rgb, goal: Rgb) -> float:
    from scipy.ndimage import gaussian_filter

    fine = [np.std(picture - gaussian_filter(picture, (4, 4, 0))) for picture in (made, goal)]
    return float(np.clip(1 - fine[0] / max(fine[1], 1e-6), 0, 1))
