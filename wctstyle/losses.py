"""Losses and their ingredients: pure functions of arrays."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from wctstyle.types import Features, Image


def gram(features: Features) -> Float[Array, "n c c"]:
    """Gram matrix per picture: sum_p x_p x_p^T / positions (Gatys et al. 2016, eq. 3, per position)."""
    n, h, w, c = features.shape
    x = features.reshape(n, h * w, c)
    return jnp.einsum("npi,npj->nij", x, x) / (h * w)


def relative_error(
    value: Float[Array, "n ..."], target: Float[Array, "n ..."], *, epsilon: float = 1e-12
) -> Float[Array, " n"]:
    """||value - target|| / ||target|| per picture (Frobenius norms; 0 same).

    The root is smoothed by `epsilon` so that its gradient stays finite at zero error.
    """
    axes = tuple(range(1, value.ndim))
    error = jnp.sum((value - target) ** 2, axis=axes)
    scale = jnp.sum(target**2, axis=axes)
    return jnp.sqrt(error / (scale + epsilon) + epsilon)


def standardize(features: Features) -> Features:
    """Give each channel of each picture zero mean and unit variance over its positions."""
    mean = features.mean(axis=(1, 2), keepdims=True)
    variance = features.var(axis=(1, 2), keepdims=True)
    return (features - mean) / jnp.sqrt(variance + 1e-5)


def content_error(features: Features, target: Features) -> Float[Array, " n"]:
    """Squared error of standardised features over the target's own square (0 same, 2 unrelated)."""
    a, b = standardize(features), standardize(target)
    return jnp.sum((a - b) ** 2, axis=(1, 2, 3)) / (jnp.sum(b**2, axis=(1, 2, 3)) + 1e-12)


def total_variation(image: Image) -> Float[Array, " n"]:
    """Mean absolute difference of neighbouring pixels, both directions (anisotropic; Mahendran & Vedaldi 2015).

    A direction with a single row or column has no neighbours and counts as 0.
    """
    rows = jnp.abs(image[:, 1:] - image[:, :-1])
    columns = jnp.abs(image[:, :, 1:] - image[:, :, :-1])
    return sum((d.sum(axis=(1, 2, 3)) / max(d[0].size, 1) for d in (rows, columns)), jnp.zeros(len(image)))
