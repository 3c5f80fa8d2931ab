"""Filters that look at a pixel's neighbourhood: what a map of colours leaves is a ridge regression of features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from wctstyle.analogies.points import GREYS, Colors
from wctstyle.analogies.sampling import ENOUGH, decibels, ridge, simplest

Rgb = Float[np.ndarray, "h w 3"]

WORTH = 0.5
"""Decibels by which a less simple model has to be better on the pixels held out."""

LEAST_GAIN = 2.0
"""Decibels by which neighbourhoods have to be better than none: on other photos they err more than colours do."""

PATCH = 2
"""Pixels on each side that are features as they are: small kernels (emboss, edges) are found exactly."""

BLURS = (1.0, 1.5, 2.5, 4.0, 6.0, 10.0, 16.0)
"""Standard deviations in pixels of the blurred copies that are features."""

MEDIANS = (5, 9)
"""Sides in pixels of medians: paint and watercolour filters flatten as they do."""

UNITS = 256
"""Ramps of the features that are not linear."""

HALO = 64
"""Pixels around a piece that its features may depend on: three deviations of the widest blur, and a patch."""

SEED = 2

FAR = 6.0
"""Deviations from the pair's mean to which features are cut off: beyond, nothing was learned."""


@dataclass(frozen=True)
class Neighbourhoods:
    """What is added to a picture: normalised features of its neighbourhoods, and ramps of them, times weights.

    mapped: whether the picture goes through the map of colours first; if not, this replaces that map. An empty
    model (no weights) adds nothing. `wide`: whether features that are not linear are used.
    """

    mapped: bool
    wide: bool
    mean: Float[np.ndarray, " d"]
    scale: Float[np.ndarray, " d"]
    ramps: Float[np.ndarray, "d+1 u"]
    weights: Float[np.ndarray, "d+1+u 3"]

    @property
    def name(self) -> str:
        """What it is, in words."""
        return "" if not len(self.weights) else "neighbourhoods" if self.wide else "a kernel"

    def __call__(self, rgb: Rgb, flat: Int[np.ndarray, " n"] | None = None) -> Float[np.ndarray, "n 3"]:
        """Return what is added to the pixels of a piece, or to those at flat places."""
        return self._rows(features(rgb, self.wide, flat)) @ self.weights

    def _rows(self, own: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n e"]:
        own = np.clip((own - self.mean) / self.scale, -FAR, FAR)
        own = np.concatenate([own, np.ones_like(own[:, :1])], axis=1)
        return own if not self.ramps.size else np.concatenate([own, np.maximum(own @ self.ramps, 0)], axis=1)


NOTHING = Neighbourhoods(
    False, False, np.zeros(0, np.float32), np.ones(0, np.float32), np.zeros((1, 0), np.float32),
    np.zeros((0, 3), np.float32),
)  # fmt: skip


def features(rgb: Rgb, wide: bool, flat: Int[np.ndarray, " n"] | None = None) -> Float[np.ndarray, "n d"]:
    """Return the features of pixels: patch and blurred copies, and with `wide` what is not linear in them."""
    from scipy.ndimage import gaussian_filter

    height, width = rgb.shape[:2]
    chosen = slice(None) if flat is None else flat
    found: list[np.ndarray] = []

    def keep(plane: np.ndarray) -> None:
        found.append(plane.reshape(height * width, -1)[chosen].astype(np.float32))

    padded = np.pad(rgb, ((PATCH, PATCH), (PATCH, PATCH), (0, 0)), mode="edge")
    for row in range(2 * PATCH + 1):
        for column in range(2 * PATCH + 1):
            keep(padded[row : row + height, column : column + width])
    blurred = [gaussian_filter(rgb, (sigma, sigma, 0), mode="nearest", truncate=3.0) for sigma in BLURS]
    for plane in blurred:
        keep(plane)
    if wide:
        for plane in _bent(rgb, blurred):
            keep(plane)
    return np.concatenate(found, axis=1)


def _bent(rgb: Rgb, blurred: list[np.ndarray]) -> list[np.ndarray]:
    """Return planes that no kernel makes: medians, edges, contrast, and light by that around it."""
    from scipy.ndimage import gaussian_filter, maximum_filter, median_filter, minimum_filter, sobel

    grey = np.array(GREYS[0], np.float32)
    luma = rgb @ grey
    planes = [median_filter(rgb, (side, side, 1), mode="nearest") for side in MEDIANS]
    for sigma in (0.0, 1.0, 2.5):
        smooth = gaussian_filter(luma, sigma, mode="nearest", truncate=3.0) if sigma else luma
        planes.append(np.hypot(*(sobel(smooth, axis, mode="nearest") for axis in (0, 1))))
    for plane, sigma in zip(blurred[1:], BLURS[1:], strict=True):
        around = plane @ grey
        planes.append(np.minimum(luma / np.maximum(around, 1e-3), 1))
        planes.append(np.minimum((1 - luma) / np.maximum(1 - around, 1e-3), 1))
        if sigma <= 6:
            square = gaussian_filter(luma * luma, sigma, mode="nearest", truncate=3.0)
            planes.append(np.sqrt(np.maximum(square - around * around, 0)))
    for side in (3, 7):
        planes += [fn(rgb, (side, side, 1), mode="nearest") for fn in (minimum_filter, maximum_filter)]
    return planes


def learn(
    own: Rgb, mapped: Rgb, goal: Colors, flat: Int[np.ndarray, " n"], held: Bool[np.ndarray, " n"],
    hear: Callable[[str], None] = lambda text: None,
) -> tuple[Neighbourhoods, float]:  # fmt: skip
    """Learn the goal's colours at flat places, with the map of colours before or without; the simplest that is as good.

    Returns it with its mean square error on the pixels held out. `hear` is told what is begun.
    """
    tried, errors = [NOTHING], [float(np.mean((mapped.reshape(-1, 3)[flat] - goal)[held] ** 2))]
    for wide in (False, True):
        for after in (False, True):
            if decibels(min(errors)) >= ENOUGH:
                break
            hear(f"Learning neighbourhoods, {len(tried)} of up to 4")
            model, said = _fitted(mapped if after else own, goal, flat, held, wide=wide, mapped=after)
            tried.append(model)
            errors.append(float(np.mean((np.clip(said[held], 0, 1) - goal[held]) ** 2)))
    chosen = simplest(errors, WORTH)
    if chosen and not simplest([errors[0], errors[chosen]], LEAST_GAIN):
        chosen = 0
    return tried[chosen], errors[chosen]


def _fitted(
    picture: Rgb,
    goal: Colors,
    flat: Int[np.ndarray, " n"],
    held: Bool[np.ndarray, " n"],
    *,
    wide: bool,
    mapped: bool,
) -> tuple[Neighbourhoods, Float[np.ndarray, "n 3"]]:
    raw = features(picture, wide, flat)
    mean, scale = raw.mean(axis=0), np.maximum(raw.std(axis=0), 0.01)
    chance = np.random.default_rng(SEED)
    units = UNITS if wide else 0
    count = raw.shape[1]
    ramps = chance.standard_normal((count + 1, units)).astype(np.float32)
    ramps[: 3 * (2 * PATCH + 1) ** 2] *= 0.1  # the patch is many features that say nearly the same
    ramps[:-1] /= np.maximum(np.linalg.norm(ramps[:-1], axis=0), 1e-6)
    model = Neighbourhoods(mapped, wide, mean, scale, ramps, np.zeros((0, 3), np.float32))
    weights, said = ridge(model._rows(raw), goal, held, picture.reshape(-1, 3)[flat])
    return Neighbourhoods(mapped, wide, mean, scale, ramps, weights), said
