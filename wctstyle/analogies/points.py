"""Filters that look at one pixel at a time: an affine map, curves, or a piecewise linear map of R, G and B.

A table of colours (`wctstyle.lut`) was tried beside them. It is behind the piecewise linear map by 5 to 15 dB on photos
that it has not seen: it knows no colour that the pair lacks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from jaxtyping import Bool, Float

from wctstyle.analogies.sampling import CUT, ENOUGH, color_squares, decibels, ridge, simplest
from wctstyle.color import LUMA_WEIGHTS

Colors = Float[np.ndarray, "n 3"]

WORTH = 1.0
"""Decibels by which a less simple model has to be better on the pixels held out."""

GAIN_WORTH = 2.0
"""The same for light that depends on the place (a vignette), which pictures of skies suggest where there is none."""

STEPS = 256
"""Entries of a curve: one for each value of 8 bits, as steps (posterise) lie between two of them."""

UNITS = 256
"""Ramps of the piecewise linear map."""

DEGREE, MIXED_PIXELS = 6, 3000
"""Degree of the smooth curve of a mix, and pixels that it is fitted to."""

GREYS = (LUMA_WEIGHTS, (0.2126, 0.7152, 0.0722), (1 / 3, 1 / 3, 1 / 3))
"""What programs take for the grey of a colour: Rec. 601, Rec. 709, and the mean."""

HUES = 12
"""Hues between which a map may bend: those of HSV and those half way."""

ROUNDS, LIT_PIXELS = 12, 3000
"""Rounds in which colours and light by place are fitted in turn, and pixels that they look at."""


@dataclass(frozen=True)
class Points:
    """A map of colours, and the light by place.

    out = (rgb + features @ matrix, or curve((rgb, 1) @ mix)) times 1 + gain . (x, y, r^2, r^4).

    The features are R, G, B and 1, ramps of them, and shares of hues; an affine map has the first alone. An empty
    `curve` means none. x and y go from -1 to 1 over the picture, r^2 = x^2 + y^2.
    """

    matrix: Float[np.ndarray, "d 3"]
    ramps: Float[np.ndarray, "4 u"]
    mix: Float[np.ndarray, "4 3"]
    curve: Float[np.ndarray, "c 3"]
    gain: Float[np.ndarray, "4"]

    @property
    def bends_at_hues(self) -> bool:
        """Whether shares of hues are features."""
        return len(self.matrix) > 4 + self.ramps.shape[1]

    @property
    def name(self) -> str:
        """What it is, in words."""
        own = "curves" if len(self.curve) else "a piecewise linear map" if self.bends_at_hues else "an affine map"
        return own + (" and light by place" if self.gain.any() else "")

    def __call__(self, rgb: Colors, light: Float[np.ndarray, "n 4"] | None = None) -> Colors:
        """Map colours; `light` are the features of their places (`places`), for a map with a gain."""
        if len(self.curve):
            at = np.clip(_with_one(rgb) @ self.mix, 0, 1) * np.float32(len(self.curve) - 1)
            steps = np.arange(len(self.curve))
            out = np.stack([np.interp(at[:, k], steps, self.curve[:, k]) for k in range(3)], axis=-1)
        else:
            out = rgb + _features(rgb, self.ramps, self.bends_at_hues) @ self.matrix
        out = np.clip(out, 0, 1)
        if light is not None and self.gain.any():
            out *= (1 + light @ self.gain)[:, None]
        return out.astype(np.float32)


def _features(rgb: Colors, ramps: Float[np.ndarray, "4 u"], hues: bool) -> Float[np.ndarray, "n d"]:
    plain = _with_one(rgb)
    parts = [plain, np.maximum(plain @ ramps, 0)]
    return np.concatenate([*parts, _hues(rgb)] if hues else parts, axis=1)


def _hues(rgb: Colors) -> Float[np.ndarray, "n 13"]:
    """Return the value of HSV, and the spread of R, G and B shared between the two nearest of `HUES` hues.

    Each is linear between planes through black: all maps that turn or change hues in proportion are sums of them.
    """
    value, least = rgb.max(axis=1), rgb.min(axis=1)
    spread = value - least
    red, green, blue = rgb.T
    first, second = value == red, value == green
    part = np.where(first, green - blue, np.where(second, blue - red, red - green)) / np.maximum(spread, 1e-6)
    at = (part + np.where(first, 0, np.where(second, 2, 4))) * (HUES / 6) % HUES
    low = np.minimum(at.astype(int), HUES - 1)
    found = np.zeros((len(rgb), HUES + 1), np.float32)
    lines = np.arange(len(rgb))
    found[lines, low] = spread * (1 - (at - low))
    found[lines, (low + 1) % HUES] = spread * (at - low)
    found[:, HUES] = value
    return found


def _with_one(rgb: Colors) -> Float[np.ndarray, "n 4"]:
    return np.concatenate([rgb, np.ones_like(rgb[:, :1])], axis=1)


def places(rows: np.ndarray, columns: np.ndarray, height: int, width: int) -> Float[np.ndarray, "n 4"]:
    """Return the features of places: x, y, r^2, r^4."""
    x, y = ((at + 0.5) / side * 2 - 1 for at, side in ((columns, width), (rows, height)))
    square = x * x + y * y
    return np.stack([x, y, square, square * square], axis=-1).astype(np.float32)


def learn(own: Colors, goal: Colors, light: Float[np.ndarray, "n 4"], held: Bool[np.ndarray, " n"]) -> Points:
    """Learn the map of colours, the simplest that is as good as any on the pixels held out."""
    rest, fits, lit = ~held, _fits(), (_mixed, _ramped)

    def error(said: Colors) -> float:
        return float(np.mean((said[held] - goal[held]) ** 2))

    errors = [error(fit(own[rest], goal[rest])(own)) for fit in fits]
    if decibels(min(errors)) <= ENOUGH:
        better = [error(_with_light(own[rest], goal[rest], light[rest], fit)(own, light)) for fit in lit]
        if simplest([min(errors), min(better)], GAIN_WORTH):
            return _with_light(own, goal, light, lit[simplest(better, WORTH)])
    return fits[simplest(errors, WORTH)](own, goal)


def _fits() -> list[Callable[[Colors, Colors], Points]]:
    """Return what fits a model, the simplest first."""
    mixes = (np.eye(3), *(np.tile(np.array(grey)[:, None], 3) for grey in GREYS))
    return [
        partial(_ramped, units=0, hues=False),
        *(partial(_curved, mix=mix) for mix in mixes),
        _mixed,
        *(partial(_ramped, units=units) for units in (0, UNITS)),
    ]


def _with_light(
    own: Colors, goal: Colors, light: Float[np.ndarray, "n 4"], fit: Callable[[Colors, Colors], Points]
) -> Points:
    """Fit colours and light by place in turn; the light is the same for R, G and B.

    The light has four numbers, which some of the pixels tell. The colours are fitted to all of them in the end.
    """
    few = np.random.default_rng(0).permutation(len(own))[:LIT_PIXELS]
    some, wanted, around = own[few], goal[few], light[few]
    gain = np.zeros(4)
    for _ in range(ROUNDS):
        flat = fit(some, _unlit(wanted, around, gain))(some)
        design = (around[:, None, :] * flat[:, :, None]).reshape(-1, 4)
        gain = np.linalg.lstsq(design, (wanted - flat).ravel(), rcond=None)[0]
    return replace(fit(own, _unlit(goal, light, gain)), gain=gain.astype(np.float32))


def _unlit(goal: Colors, light: Float[np.ndarray, "n 4"], gain: Float[np.ndarray, "4"]) -> Colors:
    """Take the light by place out of colours."""
    return np.clip(goal / np.maximum(1 + light @ gain, 0.05)[:, None], 0, 1)


def _ramped(own: Colors, goal: Colors, units: int = UNITS, *, hues: bool = True) -> Points:
    """Fit a map that is linear between planes through the space of colours, towards the identity.

    Half of the planes go through black, as hues do not depend on the light; the others through colours of the picture.
    The ridge is the one that does best on kinds of colours that were held out.
    """
    chance = np.random.default_rng(units)
    ramps = chance.standard_normal((4, units))
    half = units // 2
    ramps[:3] /= np.linalg.norm(ramps[:3], axis=0)
    ramps[3, :half] = 0
    anchors = own[chance.integers(0, len(own), units - half)]
    ramps[3, half:] = -(anchors * ramps[:3, half:].T).sum(axis=1)
    ramps = ramps.astype(np.float32)
    features = _features(own, ramps, hues)
    matrix = ridge(features, goal, color_squares(own), own)[0]
    nothing = np.zeros((4, 3), np.float32), np.zeros((0, 3), np.float32), np.zeros(4, np.float32)
    return Points(matrix, ramps, *nothing)


def _curved(own: Colors, goal: Colors, mix: np.ndarray) -> Points:
    """Take the mean of each value; values that the picture lacks lie on a line between their neighbours."""
    curve, steps = np.empty((STEPS, 3)), np.arange(STEPS)
    at = np.clip(np.round(own @ mix * (STEPS - 1)), 0, STEPS - 1).astype(int)
    for k in range(3):
        count = np.bincount(at[:, k], minlength=STEPS)
        mean = np.bincount(at[:, k], goal[:, k], minlength=STEPS) / np.maximum(count, 1)
        curve[:, k] = np.interp(steps, steps[count > 0], mean[count > 0])
    return _curves(np.concatenate([mix, np.zeros((1, 3))]), curve)


def _curves(mix: np.ndarray, curve: np.ndarray) -> Points:
    nothing = np.zeros((4, 3), np.float32), np.zeros((4, 0), np.float32)
    return Points(*nothing, mix.astype(np.float32), curve.astype(np.float32), np.zeros(4, np.float32))


def _mixed(own: Colors, goal: Colors) -> Points:
    """Fit each channel as a smooth curve of a mix of R, G and B (film, tinted greys, night)."""
    from scipy.optimize import least_squares

    few = np.random.default_rng(0).choice(len(own), min(len(own), MIXED_PIXELS), replace=False)
    own, goal = own[few].astype(np.float64), goal[few].astype(np.float64)
    weights = np.linalg.lstsq(_with_one(own), goal, rcond=None)[0][:3]
    mix, curve = np.zeros((4, 3)), np.zeros((STEPS, 3))
    for k in range(3):
        inside = (goal[:, k] > CUT) & (goal[:, k] < 1 - CUT)
        inside = inside if inside.sum() > len(own) / 20 else np.ones_like(inside)
        colors, wanted = own[inside], goal[inside, k]

        def apart(guess: np.ndarray, colors: np.ndarray = colors, wanted: np.ndarray = wanted) -> np.ndarray:
            row = _scaled(guess[:3])
            return np.polynomial.chebyshev.chebval((colors @ row[:3] + row[3]) * 2 - 1, guess[3:]) - wanted

        start = np.concatenate(
            [weights[:, k] if np.abs(weights[:, k]).sum() > 1e-3 else np.ones(3), np.zeros(DEGREE + 1)]
        )
        start[3:5] = 0.5, 0.5
        found = least_squares(apart, start, max_nfev=40).x
        mix[:, k] = _scaled(found[:3])
        curve[:, k] = np.clip(np.polynomial.chebyshev.chebval(np.linspace(-1, 1, STEPS), found[3:]), 0, 1)
    return _curves(mix, curve)


def _scaled(weights: Float[np.ndarray, "3"]) -> Float[np.ndarray, "4"]:
    """Return a mix and its offset that take the cube of colours to 0..1."""
    size = np.abs(weights).sum() + 1e-9
    return np.append(weights, -np.minimum(weights, 0).sum()) / size
