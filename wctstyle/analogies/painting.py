"""Strokes of an analogy: the plan from the codes of one picture to those of the other, painted by the decoder."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from wctstyle.encoder import CELL
from wctstyle.moments import Affine
from wctstyle.plan import Plan
from wctstyle.settings import DEFAULT_MODEL, Settings
from wctstyle.stylizer import Stylizer

Rgb = Float[np.ndarray, "h w 3"]

PAINTER = DEFAULT_MODEL
"""The model that paints."""

RIDGE = 0.01
"""Ridge of the plan towards the identity, as a share of the mean square of a channel."""


@dataclass(frozen=True)
class Paint:
    """A map of codes of a model: code @ matrix + bias."""

    model: str
    matrix: Float[np.ndarray, "c c"]
    bias: Float[np.ndarray, " c"]

    def __call__(self, stylizer: Stylizer, rgb: Rgb) -> Rgb:
        """Paint a picture."""
        nothing = Affine(jnp.eye(3), jnp.zeros(3))  # no face is painted
        plan = Plan(Affine(jnp.asarray(self.matrix.T), jnp.asarray(self.bias)), nothing, jnp.zeros(()))
        return stylizer.render(stylizer.content(rgb, texture=0.0), plan, Settings(keep_faces=0.0, texture=0.0))


def learn_paint(stylizer: Stylizer, own: Rgb, goal: Rgb) -> Paint:
    """Regress the codes of `goal` on those of `own`, cell by cell, towards the identity."""
    rows, columns = (side // CELL for side in own.shape[:2])
    codes = [np.asarray(stylizer.content(picture, texture=0.0).code)[0, :rows, :columns] for picture in (own, goal)]
    one, other = (code.reshape(rows * columns, -1).astype(np.float64) for code in codes)
    mean, wanted = one.mean(axis=0), other.mean(axis=0)
    spread = one - mean
    gram = spread.T @ spread
    ridge = RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    change = np.linalg.solve(gram + ridge, spread.T @ (other - wanted - spread))
    matrix = np.eye(len(gram)) + change
    return Paint(stylizer.model, matrix.astype(np.float32), (wanted - mean @ matrix).astype(np.float32))
