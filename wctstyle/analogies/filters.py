"""Learn a filter from a pair of pictures, and apply it to others."""

from __future__ import annotations

from collections.abc import Iterator
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

STRIP = 128
"""Rows of a picture that are filtered at a time."""


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
        """Filter a picture strip by strip."""
        height, halo = len(rgb), HALO if len(self.near.weights) else 0
        for top in range(0, height, STRIP):
            low, high = max(0, top - halo), min(height, top + STRIP + halo)
            piece = rgb[low:high]
            own = slice(top - low, min(STRIP, height - top) + top - low)
            base = piece if halo and not self.near.mapped else self._mapped(piece, low, height)
            made = base[own] + self.near(base).reshape(piece.shape)[own] if halo else base[own]
            yield np.clip(made, 0, 1).astype(np.float32)

    def _mapped(self, piece: Rgb, low: int, height: int) -> Rgb:
        rows, columns = np.indices(piece.shape[:2])
        light = points.places(rows.ravel() + low, columns.ravel(), height, piece.shape[1])
        return self.points(piece.reshape(-1, 3), light).reshape(piece.shape)


def checked_pair(own: Rgb, goal: Rgb) -> None:
    """Refuse a pair of different or too small sizes.

    Raises:
        ImageError: saying the sizes.
    """
    (height, width), (rows, columns) = own.shape[:2], goal.shape[:2]
    if (height, width) != (rows, columns):
        raise ImageError(
            f"the pair: A is {width} x {height} pixels and A2 {columns} x {rows}; give two pictures of the same size, "
            "which show the same thing at the same place"
        )
    if min(height, width) < LEAST_SIDE:
        raise ImageError(f"the pair: is {width} x {height} pixels, must have {LEAST_SIDE} at least on each side")


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
            f"the pair: A2 seems to be moved against A by pixels: {words}; align them, or give --align to cut both to "
            "what they share"
        )
    own, goal = overlapping(own, goal, moved)
    checked_pair(own, goal)
    return own, goal


def learn(own: Rgb, goal: Rgb) -> Filter:
    """Learn the filter that makes `goal` of `own`, two pictures that lie on each other (`laid`).

    A map of colours is learned first, then what it leaves from neighbourhoods. Every choice is made on squares of
    pixels that were held out.
    """
    height, width = own.shape[:2]
    flat, held = sample(height, width)
    light = points.places(flat // width, flat % width, height, width)
    colors, wanted = own.reshape(-1, 3)[flat], goal.reshape(-1, 3)[flat]
    first = points.learn(colors, wanted, light, held)
    plain = Filter(first, neighbourhoods.NOTHING, 0, 0, 0)
    mapped = plain(own)
    near, error = neighbourhoods.learn(own, mapped, wanted, flat, held)
    before = decibels(float(np.mean((colors - wanted)[held] ** 2)))
    made = Filter(first, near, decibels(error), before, 0)
    return replace(made, missing=_missing(made(own), goal))


def _missing(made: Rgb, goal: Rgb) -> float:
    from scipy.ndimage import gaussian_filter

    fine = [np.std(picture - gaussian_filter(picture, (4, 4, 0))) for picture in (made, goal)]
    return float(np.clip(1 - fine[0] / max(fine[1], 1e-6), 0, 1))
