"""First and second moments of features: measuring and pooling them, and affine maps between features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from wctstyle.types import Features


class Moments(NamedTuple):
    """Weight (number of positions), mean and covariance of the features of one level.

    Example:
        >>> found = Moments(jnp.array(2.0), jnp.array([1.0, 0.0]), jnp.eye(2))
        >>> found.gram().tolist()
        [[2.0, 0.0], [0.0, 1.0]]
    """

    count: Float[Array, ""]  # pyright: ignore[reportIncompatibleMethodOverride]
    mean: Float[Array, " c"]
    covariance: Float[Array, "c c"]

    def gram(self) -> Float[Array, "c c"]:
        """Return the Gram matrix per position, E[x x'] = covariance + mean mean', as `losses.gram` of the features."""
        return self.covariance + jnp.outer(self.mean, self.mean)


class Affine(NamedTuple):
    """The map y = matrix x + bias over channels.

    Example:
        >>> double = Affine(2 * jnp.eye(1), jnp.ones(1))
        >>> double(jnp.full((1, 1, 1, 1), 3.0)).item()
        7.0
    """

    matrix: Float[Array, "c c"]
    bias: Float[Array, " c"]

    def __call__(self, x: Features) -> Features:
        """Apply the map to every position of `x`."""
        return jnp.einsum("nhwj,ij->nhwi", x, self.matrix) + self.bias[None, None, None]


def measure(features: Features, weights: Float[Array, "n h w"] | None = None) -> Moments:
    """Measure mean and covariance over all positions of all pictures in the batch.

    cov = sum_p w_p (x_p - mean)(x_p - mean)^T / sum_p w_p, accumulated about the mean, in float32.

    `weights` (>= 0, one per position) exclude positions or count them partially; None counts each once. If all weights
    are zero, the moments are zero, not NaN.

    Example:
        >>> features = jnp.array([[[[1.0, 0.0], [3.0, 2.0]]]])  # one row of two positions, two channels
        >>> found = measure(features)
        >>> found.mean.tolist(), found.covariance.tolist()
        ([2.0, 1.0], [[1.0, 1.0], [1.0, 1.0]])
    """
    c = features.shape[-1]
    x = features.reshape(-1, c)
    if weights is None:
        count = jnp.asarray(x.shape[0], x.dtype)
        mean = x.mean(axis=0)
        centered = x - mean[None]
    else:
        w = weights.reshape(-1, 1)
        count = w.sum()
        safe = jnp.maximum(count, jnp.finfo(x.dtype).tiny)
        mean = (w * x).sum(axis=0) / safe
        centered = (x - mean[None]) * jnp.sqrt(w)
    covariance = centered.T @ centered / jnp.maximum(count, 1e-30)
    return Moments(count, mean, covariance)


def pool(parts: Sequence[Moments]) -> Moments:
    """Combine the moments of disjoint sets of positions into the moments of their union (Chan et al. 1979).

    Example:
        >>> left, right = (measure(jnp.full((1, 1, 2, 1), value)) for value in (0.0, 2.0))
        >>> whole = pool([left, right])
        >>> whole.count.item(), whole.mean.item(), whole.covariance.item()
        (4.0, 1.0, 1.0)
    """
    count = sum((p.count for p in parts[1:]), parts[0].count)
    shares = [p.count / jnp.maximum(count, 1e-30) for p in parts]
    return mixture(parts, shares)._replace(count=count)


def mixture(parts: Sequence[Moments], shares: Sequence[Float[Array, ""] | float]) -> Moments:
    """Return the moments of a mixture of distributions; `shares` sum to one.

    Example:
        >>> one, other = (Moments(jnp.ones(()), jnp.array([mean]), jnp.eye(1)) for mean in (0.0, 4.0))
        >>> mixture([one, other], [0.75, 0.25]).mean.item()
        1.0
    """
    mean = sum(s * p.mean for s, p in zip(shares, parts, strict=True))
    covariance = sum(
        s * (p.covariance + jnp.outer(p.mean - mean, p.mean - mean)) for s, p in zip(shares, parts, strict=True)
    )
    count = sum(s * p.count for s, p in zip(shares, parts, strict=True))
    return Moments(jnp.asarray(count), jnp.asarray(mean), jnp.asarray(covariance))
