"""Losses and their building blocks: pure functions of arrays."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wctstyle.types import Features, Image


def gram(features: Features) -> Float[Array, "n c c"]:
    """Gram matrix per picture: sum_p x_p x_p^T / positions (Gatys et al. 2016, eq. 3, per position).

    Example:
        >>> gram(jnp.array([[[[1.0, 0.0], [3.0, 2.0]]]])).tolist()
        [[[5.0, 3.0], [3.0, 2.0]]]
    """
    n, h, w, c = features.shape
    x = features.reshape(n, h * w, c)
    return jnp.einsum("npi,npj->nij", x, x) / (h * w)


def relative_error(
    value: Float[Array, "n ..."], target: Float[Array, "n ..."], *, epsilon: float = 1e-12
) -> Float[Array, " n"]:
    """||value - target|| / ||target|| per picture (Frobenius norms; 0 for the same).

    The root is smoothed by `epsilon` so that its gradient stays finite at zero error.

    Example:
        >>> target = jnp.full((1, 2, 2), 4.0)
        >>> [round(relative_error(value * target, target).item(), 3) for value in (1.0, 1.5, 0.0)]
        [0.0, 0.5, 1.0]
    """
    axes = tuple(range(1, value.ndim))
    error = jnp.sum((value - target) ** 2, axis=axes)
    scale = jnp.sum(target**2, axis=axes)
    return jnp.sqrt(error / (scale + epsilon) + epsilon)


def standardize(features: Features, counted: Float[Array, "n h w 1"] | None = None) -> Features:
    """Give each channel of each picture zero mean and unit variance over its positions, weighted by `counted`.

    Example:
        >>> standardize(jnp.array([[[[10.0], [30.0]]]])).round(2).ravel().tolist()
        [-1.0, 1.0]
    """
    if counted is None:
        mean = features.mean(axis=(1, 2), keepdims=True)
        variance = features.var(axis=(1, 2), keepdims=True)
    else:
        share = counted / jnp.maximum(counted.sum(axis=(1, 2), keepdims=True), 1e-6)
        mean = (share * features).sum(axis=(1, 2), keepdims=True)
        variance = (share * (features - mean) ** 2).sum(axis=(1, 2), keepdims=True)
    return (features - mean) / jnp.sqrt(variance + 1e-5)


def content_error(
    features: Features, target: Features, counted: Float[Array, "n h w 1"] | None = None
) -> Float[Array, " n"]:
    """Squared error of standardised features, divided by the target's square (0 for the same, 2 for unrelated).

    `counted`, 0..1, is how much each position counts; None counts each once.

    Example:
        >>> features = jnp.arange(8.0).reshape(1, 2, 2, 2)
        >>> round(content_error(3 * features + 1, features).item(), 3)  # gain and offset of a channel do not count
        0.0
    """
    a, b = standardize(features, counted), standardize(target, counted)
    weights = 1.0 if counted is None else counted
    return jnp.sum(weights * (a - b) ** 2, axis=(1, 2, 3)) / (jnp.sum(weights * b**2, axis=(1, 2, 3)) + 1e-12)


def total_variation(image: Image) -> Float[Array, " n"]:
    """Mean absolute difference of neighbouring pixels in both directions (anisotropic; Mahendran & Vedaldi 2015).

    A direction with a single row or column has no neighbours and counts as 0.

    Example:
        >>> total_variation(jnp.array([[[[0.0], [1.0], [0.5]]]])).tolist()
        [0.75]
    """
    rows = jnp.abs(image[:, 1:] - image[:, :-1])
    columns = jnp.abs(image[:, :, 1:] - image[:, :, :-1])
    return sum((d.sum(axis=(1, 2, 3)) / max(d[0].size, 1) for d in (rows, columns)), jnp.zeros(len(image), image.dtype))


def smooth_variation(image: Image, *, epsilon: float = 0.02) -> Float[Array, " n"]:
    """Mean of sqrt(d^2 + epsilon^2) - epsilon over differences d of neighbouring pixels in both directions.

    Smooth total variation (Charbonnier et al. 1994): quadratic below `epsilon`, in units of the picture's range, and
    linear above. So edges cost as much as in `total_variation`, and L-BFGS gets a usable curvature. A direction with a
    single row or column has no neighbours and counts as 0.

    Example:
        >>> round(smooth_variation(jnp.array([[[[0.0], [1.0], [0.5]]]])).item(), 2)
        0.73
    """
    rows = image[:, 1:] - image[:, :-1]
    columns = image[:, :, 1:] - image[:, :, :-1]
    smooth = (jnp.sqrt(d**2 + epsilon**2) - epsilon for d in (rows, columns))
    return sum((d.sum(axis=(1, 2, 3)) / max(d[0].size, 1) for d in smooth), jnp.zeros(len(image), image.dtype))


def out_of_range(image: Image) -> Float[Array, " n"]:
    """Mean squared distance of the values from [0, 1]: 0 for a displayable picture.

    Example:
        >>> out_of_range(jnp.array([[[[1.5], [0.5]]]])).tolist()
        [0.125]
    """
    return jnp.mean((image - jnp.clip(image, 0, 1)) ** 2, axis=(1, 2, 3))


def standardized_error(
    features: Features,
    target: Features,
    weights: Float[Array, "n h w 1"] | float = 1.0,
    counted: Float[Array, "n h w 1"] | None = None,
) -> Float[Array, " n"]:
    """Mean squared difference between features and `target`, each channel of both standardised over positions.

    Like `content_error`, but divided by the number of values instead of the target's square, so that it stays bounded
    for a flat target (0 for the same, 2 for unrelated, 1 for anything against one colour). Both are first divided by
    the target's RMS. `weights` weighs positions; 1 is the default. `counted`, 0..1, is how much each position counts.

    Example:
        >>> features = jnp.arange(8.0).reshape(1, 2, 2, 2)
        >>> round(standardized_error(-features, features).item(), 2)
        4.0
    """
    whole = jnp.ones_like(target[..., :1]) if counted is None else counted
    positions = jnp.maximum(whole.sum(axis=(1, 2, 3), keepdims=True), 1e-6)
    scale = jnp.sqrt((whole * target**2).sum(axis=(1, 2, 3), keepdims=True) / positions / target.shape[3] + 1e-12)
    apart = standardize(features / scale, counted) - standardize(target / scale, counted)
    return (whole * weights * apart**2).sum(axis=(1, 2, 3)) / positions[:, 0, 0, 0] / target.shape[3]


@jax.custom_vjp
def cross_trace(covariance: Float[Array, "c c"], root: Float[Array, "c c"]) -> Float[Array, ""]:
    """Trace of (R S R)^1/2 for a covariance S and the root R of another: the coupling term of two Gaussians.

    Its gradient with respect to S is T / 2 with T = R (R S R)^-1/2 R, the optimal map from S to R^2. Differentiating
    the eigenvectors instead would divide by gaps between eigenvalues. Eigenvalues are floored at 1e-6 of the mean
    eigenvalue of R^4.

    Example:
        >>> covariance, root = jnp.diag(jnp.array([1.0, 4.0])), jnp.diag(jnp.array([3.0, 1.0]))
        >>> round(cross_trace(covariance, root).item(), 3)
        5.0
    """
    return _cross_trace(covariance, root)[0]


def _cross_trace(covariance: Array, root: Array) -> tuple[Array, tuple[Array, Array]]:
    product = root @ covariance @ root
    values, vectors = jnp.linalg.eigh((product + product.T) / 2)
    square = root @ root
    floor = 1e-6 * jnp.sum(square * square) / len(root) + 1e-20
    values = jnp.sqrt(jnp.maximum(values, floor))
    outer = root @ vectors
    return values.sum(), ((outer / values[None]) @ outer.T, root)


def _cross_trace_backward(kept: tuple[Array, Array], slope: Array) -> tuple[Array, Array]:
    transport, root = kept
    return slope * transport / 2, jnp.zeros_like(root)


cross_trace.defvjp(_cross_trace, _cross_trace_backward)
