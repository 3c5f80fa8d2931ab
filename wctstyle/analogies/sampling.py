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

CUT, ROUNDS = 0.002, 3
"""How near to 0 or 1 a value counts as cut off, and how often such values are guessed anew."""

MOST_CUT = 0.9
"""Share of pixels from which a channel that is cut off is taken as it is."""

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

    Returns weights learned from all pixels, and what those learned from the rest say of every pixel.
    """
    exact = features.astype(np.float64)
    rest = _Problem(exact[~held], goal[~held], base[~held])
    gram = rest.gram + exact[held].T @ exact[held]
    best, chosen = np.inf, (RIDGES[0], base)
    for share in RIDGES:
        said = base + features @ rest.solved(share).astype(np.float32)
        error = float(np.mean((np.clip(said[held], 0, 1) - goal[held]) ** 2))
        if error < best:
            best, chosen = error, (share, said)
    return _Problem(exact, goal, base, gram).solved(chosen[0]).astype(np.float32), chosen[1]


class _Problem:
    """Least squares for a goal that is cut off at 0 and 1: there, a value beyond is as good.

    It begins with what the pixels say that are not cut off. Those that are follow the values in a few rounds, as in the
    Tobit model (Tobin 1958) by expectation and maximisation without noise. gram: features.T @ features, if known.
    """

    def __init__(
        self, features: np.ndarray, goal: np.ndarray, base: np.ndarray, gram: np.ndarray | None = None
    ) -> None:
        self.features, self.goal, self.base = features, goal.astype(np.float64), base
        self.low, self.high = goal <= CUT, goal >= 1 - CUT
        self.gram = features.T @ features if gram is None else gram
        cut = self.low | self.high
        self.cut = [part if part.any() and part.mean() < MOST_CUT else None for part in cut.T]
        self.grams = [self.gram if part is None else self._counting(~part) for part in self.cut]

    def _counting(self, part: np.ndarray) -> np.ndarray:
        """Return the gram of some of the pixels, from those or from the others, whichever are fewer."""
        if part.mean() <= 0.5:
            return self.features[part].T @ self.features[part]
        return self.gram - self.features[~part].T @ self.features[~part]

    def solved(self, share: float) -> np.ndarray:
        """Solve with a ridge of some share of the mean square of a feature."""
        from scipy.linalg import cho_factor, cho_solve

        ridge = share * np.trace(self.gram) / len(self.gram) * np.eye(len(self.gram))
        weights, left = np.zeros((len(self.gram), self.goal.shape[1])), self.goal - self.base
        for k, (cut, gram) in enumerate(zip(self.cut, self.grams, strict=True)):
            counted = left[:, k] if cut is None else np.where(cut, 0, left[:, k])
            weights[:, k] = np.linalg.solve(gram + ridge, self.features.T @ counted)
        if all(cut is None for cut in self.cut):
            return weights
        factor = cho_factor(self.gram + ridge)
        for _ in range(ROUNDS):
            said = self.base + self.features @ weights
            wanted = np.where(self.low, np.minimum(self.goal, said), self.goal)
            wanted = np.where(self.high, np.maximum(wanted, said), wanted)
            weights = cho_solve(factor, self.features.T @ (wanted - self.base))
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
    held = (np.random.default_rng(SEED).random(CELLS**3) < 0.25)[cells]
    if held.any() and not held.all():
        return held
    return np.arange(len(colors)) % 4 == 0  # of so few kinds of colours, all or none are held out
