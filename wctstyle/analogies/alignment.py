"""Whether two pictures lie on each other, and by how many pixels one is moved."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from wctstyle.analogies.points import GREYS
from wctstyle.analogies.sampling import decibels

Rgb = Float[np.ndarray, "h w 3"]

FARTHEST = 0.125
"""Largest shift that is looked for, as a share of each side."""

LEAST = 2
"""Least shift in pixels that is reported: filters themselves move edges by one."""

WORTH = 1.5
"""Decibels by which an affine map of the moved picture has to be nearer."""


def shift(own: Rgb, goal: Rgb) -> tuple[int, int]:
    """Return by how many pixels `goal` lies lower and further right than `own`; (0, 0) where it lies on it.

    The peak of the cross-correlation of both pictures' edges, which do not depend on colours, confirmed by what an
    affine map of colours leaves.
    """
    height, width = own.shape[:2]
    size = (2 * height, 2 * width)
    one, other = (np.fft.rfft2(_edges(picture), size) for picture in (own, goal))
    found = np.fft.irfft2(np.conj(one) * other, size)
    down, right = (max(1, int(side * FARTHEST)) for side in (height, width))
    near = np.roll(found, (down, right), (0, 1))[: 2 * down + 1, : 2 * right + 1]
    row, column = np.unravel_index(int(np.argmax(near)), near.shape)
    moved = int(row) - down, int(column) - right
    if max(map(abs, moved)) < LEAST:
        return 0, 0
    gained = _affine_fit(*overlapping(own, goal, moved)) - _affine_fit(own, goal)
    return moved if gained >= WORTH else (0, 0)


def overlapping(own: Rgb, goal: Rgb, moved: tuple[int, int]) -> tuple[Rgb, Rgb]:
    """Cut two pictures to what both show, where `goal` is moved by (down, right)."""
    height, width = own.shape[:2]
    cuts = [(slice(max(0, -by), side - max(0, by)), slice(max(0, by), side - max(0, -by)))
            for by, side in zip(moved, (height, width), strict=True)]  # fmt: skip
    return own[cuts[0][0], cuts[1][0]], goal[cuts[0][1], cuts[1][1]]


def _edges(picture: Rgb) -> Float[np.ndarray, "h w"]:
    from scipy.ndimage import gaussian_gradient_magnitude

    edges = gaussian_gradient_magnitude(picture @ np.array(GREYS[0], np.float32), 1.0)
    return edges - edges.mean()


def _affine_fit(own: Rgb, goal: Rgb) -> float:
    """Return how near an affine map of colours comes, in dB."""
    design = np.concatenate([own.reshape(-1, 3), np.ones((own.size // 3, 1), np.float32)], axis=1)[::7]
    wanted = goal.reshape(-1, 3)[::7]
    left = wanted - design @ np.linalg.lstsq(design, wanted, rcond=None)[0]
    return decibels(float(np.mean(left**2)))
