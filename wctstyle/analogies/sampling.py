"""Which pixels of a pair a filter is learned from, which are held out to judge it, and the ridge regression."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

BLOCK = 32
"""Side in pixels of the squares that are held out as a whole: neighbouring pixels know too much of each other."""

PIXELS = 20_000
"""Pixels that a filter is learned from at most."""

SEED = 1

RIDGES = (1e-7, 1e-5, 1e-3)
"""Ridges tried, as shares of the mean square of a feature."""

CELLS = 5
"""Kinds of colours along each axis."""

CUT, ROUNDS = 0.002, 5
"""How near to 0 or 1 a value counts as cut off, and how often such values are guessed anew."""

ENOUGH = 45.0
"""Decibels from which no further cause is looked for: less than the rounding of 8 bits changes."""

EXACT = 1e-10
"""Mean square error that counts as none: 100 dB."""


def decibels(square_error: float) -> float:
    """Return the PSNR of a mean square error of values in 0..1, at most 100 dB."""
    return -10 * math.log10(max(square_error, EXACT))


def sample(height: int, width: int) -> tuple[Int[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Choose pixels by chance: flat places, and which of them are held out (every fourth square)."""
    chance = np.random.default_rng(SEED)
    count = height * width
    places = np.sort(chance.choice(count, PIXELS, replace=False)) if count > PIXELS else np.arange(count)
    rows, columns = places // width // BLOCK, places % width // BLOCK
    held = chance.random((rows[-1] + 1, columns.max() + 1)) < 0.25
    held[0, 0], held[-1, -1] = True, False
    return places, held[rows, columns]


def ridge(
    features: Float[np.ndarray, "n d"],
    goal: Float[np.ndarray, "n k"],
    held: Bool[np.ndarray, " n"],
    base: Float[np.ndarray, "n k"],
) -> tuple[Float[np.ndarray, "d k"], Float[np.ndarray, "n k"]]:
    """Solve `base + features @ weights = goal` towards weights of 0, with the ridge that does best on what is held out.

    A goal of 0 or 1 was cut off there, so a value beyond it is as good: such goals follow the values in a few rounds.
    Returns weights learned from all pixels, and what those learned from the rest say of every pixel.
    """
    exact = features.astype(np.float64)
    own = exact[~held].T @ exact[~held]
    whole = own + exact[held].T @ exact[held]
    unit, best, chosen = np.trace(whole) / len(whole), np.inf, (RIDGES[0], base)
    for share in RIDGES:
        weights = _solved(exact[~held], own, share * unit, goal[~held], base[~held])
        said = base + features @ weights.astype(np.float32)
        error = float(np.mean((np.clip(said[held], 0, 1) - goal[held]) ** 2))
        if error < best:
            best, chosen = error, (share, said)
    weights = _solved(exact, whole, chosen[0] * unit, goal, base)
    return weights.astype(np.float32), chosen[1]


def _solved(features: np.ndarray, gram: np.ndarray, ridge: float, goal: np.ndarray, base: np.ndarray) -> np.ndarray:
    from scipy.linalg import cho_factor, cho_solve

    factor = cho_factor(gram + ridge * np.eye(len(gram)))
    low, high = goal <= CUT, goal >= 1 - CUT
    weights, wanted = np.zeros((len(gram), goal.shape[1])), goal.astype(np.float64)
    for _ in range(ROUNDS if (low | high).any() else 1):
        weights = cho_solve(factor, features.T @ (wanted - base))
        said = base + features @ weights
        wanted = np.where(low, np.minimum(goal, said), np.where(high, np.maximum(goal, said), goal))
    return weights


def simplest(errors: Sequence[float], worth: float) -> int:
    """Return the first of several models, simplest first, that no later one betters by `worth` dB."""
    chosen = 0
    for number, error in enumerate(errors):
        if decibels(error) > decibels(errors[chosen]) + worth:
            chosen = number
    return chosen


def color_squares(colors: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
    """Choose a quarter of all kinds of colours, to hold out: a filter will meet colours that its pair lacks."""
    cells = np.clip((colors * CELLS).astype(int), 0, CELLS - 1) @ np.array([1, CELLS, CELLS**2])
    return (np.random.default_rng(SEED).random(CELLS**3) < 0.25)[cells]
