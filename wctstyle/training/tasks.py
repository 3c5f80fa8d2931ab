"""What a step of the stylised stage asks for: a style, a part of its strength, two blended, or two side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float

WAVES = 4
"""Plane waves whose sum parts a picture in two."""


class Task(NamedTuple):
    """One request for all pictures of a batch, which have two styles each; as arrays, so one program serves all."""

    wct: Bool[np.ndarray, ""]
    """Whether every map is wct, or each level has that of `mixed`."""
    blended: Bool[np.ndarray, ""]
    """Whether both styles are wanted, by `shares`."""
    parted: Bool[np.ndarray, ""]
    """Whether both styles are wanted, each where its mask is. If neither: the first style, whole."""
    strength: Float[np.ndarray, " n"]
    """How much of the style, 0..1."""
    shares: Float[np.ndarray, "n 2"]
    masks: Float[np.ndarray, "n 2 size size"]
    """0..1, of sum one; one for the first style everywhere unless `parted`."""


def draw_task(rng: np.random.Generator, count: int, size: int, options: Mapping[str, Any]) -> Task:
    """Draw a request, by the shares that `stylised.DEFAULTS` lists."""
    wct = rng.random() < options["wct"]
    bounds = np.cumsum([options["strengths"], options["blends"], options["regions"]])
    which = np.searchsorted(bounds, rng.random(), side="right")
    part, blended, parted = (which == k for k in range(3))
    whole = np.stack([np.ones((size, size), np.float32), np.zeros((size, size), np.float32)])
    first = rng.uniform(size=count).astype(np.float32)
    low, high = options["strength"]
    return Task(
        np.asarray(wct),
        np.asarray(blended),
        np.asarray(parted),
        low + (high - low) * first if part else np.ones(count, np.float32),
        np.stack([first, 1 - first], axis=1),
        np.stack([draw_masks(rng, size) if parted else whole for _ in range(count)]),
    )


def draw_masks(rng: np.random.Generator, size: int) -> Float[np.ndarray, "2 size size"]:
    """Part a square in two by the median of a few slow waves, with a soft edge; each part has half of the picture."""
    y, x = np.mgrid[:size, :size] / size
    waves = rng.normal(scale=0.8, size=(WAVES, 2))
    phases = rng.uniform(0, 2 * np.pi, size=WAVES)
    field = sum(np.cos(2 * np.pi * (a * x + b * y) + p) for (a, b), p in zip(waves, phases, strict=True))
    first = 1 / (1 + np.exp(-(field - np.median(field)) / (0.1 * np.std(field) + 1e-6)))
    return np.stack([first, 1 - first]).astype(np.float32)


def shrink(masks: jax.Array) -> tuple[jax.Array, ...]:
    """Average masks (n, 2, s, s) over the cells of relu1_1 .. relu5_1; s is a multiple of 16."""
    n, parts, size, _ = masks.shape
    return tuple(
        masks.reshape(n, parts, size // cell, cell, size // cell, cell).mean(axis=(3, 5)) for cell in (1, 2, 4, 8, 16)
    )
