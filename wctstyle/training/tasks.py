"""What a step of the stylised stage asks for: a style, a part of its strength, two blended, or two side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import Float

Kind = Literal["whole", "part", "blend", "regions"]

WAVES = 4
"""Plane waves whose sum parts a picture in two."""


@dataclass(frozen=True)
class Task:
    """One kind of request for all pictures of a batch."""

    kind: Kind
    strength: Float[np.ndarray, " n"]
    """How much of the style, 0..1; 1 but for `part`."""
    shares: Float[np.ndarray, "n 2"] | None = None
    """Of the two styles of a `blend`."""
    masks: Float[np.ndarray, "n 2 size size"] | None = None
    """Where each style of `regions` is, 0..1, of sum one."""

    @property
    def styles(self) -> int:
        """How many styles a picture takes."""
        return 2 if self.kind in ("blend", "regions") else 1


def draw_task(rng: np.random.Generator, count: int, size: int, options: Mapping[str, Any]) -> Task:
    """Draw a request; `strengths`, `blends` and `regions` are the shares of `part`, `blend` and `regions`."""
    kinds: tuple[Kind, ...] = ("part", "blend", "regions", "whole")
    shares = [options["strengths"], options["blends"], options["regions"]]
    kind = kinds[int(np.searchsorted(np.cumsum(shares), rng.random(), side="right"))]
    drawn = rng.uniform(*(options["strength"] if kind == "part" else (0, 1)), size=count).astype(np.float32)
    return Task(
        kind,
        strength=drawn if kind == "part" else np.ones_like(drawn),
        shares=np.stack([1 - drawn, drawn], axis=1) if kind == "blend" else None,
        masks=np.stack([draw_masks(rng, size) for _ in range(count)]) if kind == "regions" else None,
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
