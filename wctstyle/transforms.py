"""Whitening and colouring: from content moments and target moments to one affine map of codes.

Every map is y = A (x - mean_c) + mean_t. The symmetric matrix functions use `eigh` with a single eigenvalue floor,
relative to the trace; nothing adds an identity matrix silently.

Do not map these functions over a batch with `jax.vmap`: jaxlib's batched `eigh` waits inside XLA's CPU thread pool for
tasks of the same pool, and two at once hang a machine with two cores (seen with jaxlib 0.10.2). `jax.lax.map` handles
one matrix after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from wctstyle.errors import ConfigError
from wctstyle.moments import Affine, Moments, mixture
from wctstyle.settings import BlendKind, TransformKind

EIGENVALUE_FLOOR = 1e-4
"""Floor of the eigenvalues, as a share of the mean eigenvalue (trace / c)."""

ABSOLUTE_FLOOR = 1e-8
"""Floor that keeps a zero covariance (one flat colour) finite; features have an RMS of about 1."""

BARYCENTER_STEPS = 6
"""Fixed-point steps for three or more styles; two styles have a closed form."""

Matrix = Float[Array, "c c"]


def _spectrum(s: Matrix) -> tuple[Float[Array, " c"], Matrix]:
    """Return the floored eigenvalues and the eigenvectors of a covariance."""
    values, vectors = jnp.linalg.eigh((s + s.T) / 2)
    floor = jnp.maximum(EIGENVALUE_FLOOR * jnp.trace(s) / s.shape[0], ABSOLUTE_FLOOR)
    return jnp.maximum(values, floor), vectors


def _apply(fn: Callable[[Array], Array], s: Matrix) -> Matrix:
    values, vectors = _spectrum(s)
    return (vectors * fn(values)[None]) @ vectors.T


def sqrtm(s: Matrix) -> Matrix:
    """Return the symmetric square root of a covariance, with floored eigenvalues.

    Example:
        >>> [round(float(value), 3) for value in jnp.diagonal(sqrtm(jnp.diag(jnp.array([4.0, 9.0]))))]
        [2.0, 3.0]
    """
    return _apply(jnp.sqrt, s)


def floored(s: Matrix) -> Matrix:
    """Return the covariance with floored eigenvalues, as every transform here uses it.

    Example:
        >>> [round(float(value), 6) for value in jnp.diagonal(floored(jnp.diag(jnp.array([2.0, 0.0]))))]
        [2.0, 0.0001]
    """
    return _apply(lambda v: v, s)


def _sqrtm_pair(s: Matrix) -> tuple[Matrix, Matrix]:
    values, vectors = _spectrum(s)
    root = jnp.sqrt(values)[None]
    return (vectors * root) @ vectors.T, (vectors / root) @ vectors.T


def _cross_root(source_root: Matrix, target_root: Matrix) -> Matrix:
    """Compute (S^1/2 T S^1/2)^1/2 from the two roots, by the SVD of T^1/2 S^1/2.

    Forming the product would square the condition number and lose half of float32's digits.
    """
    _, values, vectors = jnp.linalg.svd(target_root @ source_root)
    return (vectors.T * values[None]) @ vectors


def transport(source: Matrix, target: Matrix) -> Matrix:
    """Return the Monge-Kantorovich map between two covariances: the symmetric A with A source A = target.

    A = S^-1/2 (S^1/2 T S^1/2)^1/2 S^-1/2 (Olkin & Pukelsheim 1982).

    Example:
        >>> source, target = jnp.diag(jnp.array([1.0, 4.0])), jnp.diag(jnp.array([9.0, 4.0]))
        >>> [round(float(value), 3) for value in jnp.diagonal(transport(source, target))]
        [3.0, 1.0]
    """
    root, inverse = _sqrtm_pair(source)
    return inverse @ _cross_root(root, sqrtm(target)) @ inverse


def distance(one: Moments, other: Moments) -> Float[Array, ""]:
    """Return how unlike two pictures are, from 0 where their moments differ only in scale (contrast) to sqrt(2).

    The Bures distance (2 - 2 F)^1/2 of the Gram matrices G and H at trace 1, with the fidelity
    F = tr((G^1/2 H G^1/2)^1/2) / (tr(G) tr(H))^1/2; that trace is the sum of the singular values of H^1/2 G^1/2.

    Styles are suggested by it. Wasserstein's distance, which the mk map minimises, is mostly the style's own contrast:
    it gave 12 styles almost the same order for each of 18 photos (mean rank correlation 0.89; with this 0.54).

    Example:
        >>> one, other = (Moments(jnp.ones(()), jnp.zeros(2), jnp.diag(jnp.array(s))) for s in ([1.0, 3.0], [3.0, 1.0]))
        >>> bright = one._replace(covariance=4 * one.covariance)
        >>> round(float(distance(one, bright)), 2), round(float(distance(one, other)), 2)
        (0.0, 0.52)
    """
    roots = [sqrtm(moments.gram()) for moments in (one, other)]
    shared = jnp.linalg.svd(roots[1] @ roots[0], compute_uv=False).sum()
    fidelity = shared / (jnp.linalg.norm(roots[0]) * jnp.linalg.norm(roots[1]))
    return jnp.sqrt(jnp.maximum(2 - 2 * fidelity, 0))


def _wct(content: Moments, target: Moments) -> Matrix:
    return sqrtm(target.covariance) @ _sqrtm_pair(content.covariance)[1]


def _mk(content: Moments, target: Moments) -> Matrix:
    return transport(content.covariance, target.covariance)


def _adain(content: Moments, target: Moments) -> Matrix:
    def deviation(s: Matrix) -> Array:
        variance = jnp.diagonal(s)
        floor = jnp.maximum(EIGENVALUE_FLOOR * variance.mean(), ABSOLUTE_FLOOR)
        return jnp.sqrt(jnp.maximum(variance, floor))

    return jnp.diag(deviation(target.covariance) / deviation(content.covariance))


TRANSFORMS: dict[str, Callable[[Moments, Moments], Matrix]] = {"mk": _mk, "wct": _wct, "adain": _adain}
"""`wct`: A = S_t^1/2 S_c^-1/2, ZCA whitening and colouring (Li et al. 2017, arXiv:1705.08086).
`mk`: the Monge-Kantorovich map, the same statistics with the least displacement (Lu et al. 2019, arXiv:1906.00668;
Mroueh 2019, arXiv:1905.12828). `adain`: each channel separately (Huang & Belongie 2017, arXiv:1703.06868)."""


def affine(content: Moments, target: Moments, *, kind: TransformKind = "mk") -> Affine:
    """Return the map from features with `content` moments to features with `target` moments: A (x - mean_c) + mean_t.

    Raises:
        ConfigError: unknown `kind`.

    Example:
        >>> content = Moments(jnp.ones(()), jnp.array([1.0]), jnp.array([[4.0]]))
        >>> target = Moments(jnp.ones(()), jnp.array([5.0]), jnp.array([[9.0]]))
        >>> step = affine(content, target)
        >>> round(step.matrix.item(), 3), round(step.bias.item(), 3)
        (1.5, 3.5)
    """
    if kind not in TRANSFORMS:
        raise ConfigError(f"transform {kind!r} is not known: use one of {', '.join(TRANSFORMS)}")
    matrix = TRANSFORMS[kind](content, target)
    return Affine(matrix, target.mean - matrix @ content.mean)


class Barycenters(NamedTuple):
    """All barycenters of a set of styles, as one central covariance and the map from it to each style.

    `at` averages the maps: (sum_i w_i A_i) C (sum_i w_i A_i). This is optimal transport linearised at the centre C
    (Wang et al. 2013, "A linear optimal transportation framework"). It is exact for two styles (McCann's interpolation,
    with the first style as centre), at the centre, and at each style. For blends of three and four paintings that are
    0.4 to 0.7 apart, the error is 0.002 to 0.007 of a style's spread. It costs two matrix products; the fixed point
    takes an `eigh` and an SVD per style and step.

    Example:
        >>> parts = [Moments(jnp.ones(()), jnp.zeros(1), jnp.array([[s]])) for s in (1.0, 9.0)]
        >>> known = barycenters(parts)
        >>> [round(step.item(), 2) for step in known.maps], round(known.at(jnp.array([0.0, 1.0])).covariance.item(), 2)
        ([1.0, 3.0], 9.0)
    """

    parts: tuple[Moments, ...]
    centre: Matrix
    maps: tuple[Matrix, ...]

    def at(self, shares: Float[Array, " n"]) -> Moments:
        """Return the moments at `shares`, which are >= 0 and sum to one."""
        step = jnp.asarray(sum(w * a for w, a in zip(shares, self.maps, strict=True)))
        return mixture(self.parts, list(shares))._replace(covariance=step @ self.centre @ step)


def barycenters(parts: Sequence[Moments]) -> Barycenters:
    """Prepare the Gaussian Wasserstein barycenters of one or more styles.

    Example:
        >>> calm, rough = (Moments(jnp.ones(()), jnp.zeros(1), jnp.array([[s]])) for s in (1.0, 9.0))
        >>> known = barycenters([calm, rough])
        >>> [round(known.at(jnp.array([1 - w, w])).covariance.item(), 3) for w in (0.0, 0.5, 1.0)]
        [1.0, 4.0, 9.0]
    """
    covariances = [p.covariance for p in parts]
    if len(parts) <= 2:
        centre = floored(covariances[0])
        here = jnp.eye(len(centre), dtype=centre.dtype)
        return Barycenters(tuple(parts), centre, (here, *(transport(covariances[0], s) for s in covariances[1:])))
    centre = _fixed_point(parts, jnp.full(len(parts), 1 / len(parts), covariances[0].dtype))
    return Barycenters(tuple(parts), centre, tuple(transport(centre, s) for s in covariances))


def _fixed_point(parts: Sequence[Moments], shares: Float[Array, " n"]) -> Matrix:
    """Iterate S <- S^-1/2 (sum_i w_i (S^1/2 S_i S^1/2)^1/2)^2 S^-1/2 to the covariance of the barycenter.

    Alvarez-Esteban et al. 2016, eq. 7; a fixed number of steps, starting from the linear blend.
    """
    targets = [sqrtm(p.covariance) for p in parts]

    def improve(_: int, s: Matrix) -> Matrix:
        root, inverse = _sqrtm_pair(s)
        inner = jnp.asarray(sum(w * _cross_root(root, t) for w, t in zip(shares, targets, strict=True)))
        half = inverse @ inner
        return half @ half.T

    return jax.lax.fori_loop(0, BARYCENTER_STEPS, improve, _linear(parts, shares))


def _linear(parts: Sequence[Moments], shares: Float[Array, " n"]) -> Matrix:
    root = jnp.asarray(sum(s * sqrtm(p.covariance) for s, p in zip(shares, parts, strict=True)))
    return root @ root


def blend(parts: Sequence[Moments], shares: Float[Array, " n"], *, kind: BlendKind = "barycenter") -> Moments:
    """Blend the moments of N styles; `shares` are >= 0 and sum to one.

    `barycenter`: the Gaussian Wasserstein barycenter (default). `linear`: the moments of a linear blend of ZCA outputs,
    with covariance (sum_i w_i S_i^1/2)^2; equal to the barycenter only if the S_i commute. `mixture`: the moments of
    all styles' features pooled.

    Raises:
        ConfigError: unknown `kind`, or no parts.

    Example:
        >>> parts = [Moments(jnp.ones(()), jnp.zeros(1), jnp.array([[s]])) for s in (1.0, 9.0)]
        >>> half = jnp.array([0.5, 0.5])
        >>> [round(blend(parts, half, kind=kind).covariance.item(), 3) for kind in ("barycenter", "mixture")]
        [4.0, 5.0]
    """
    if not parts:
        raise ConfigError("nothing to blend: give at least one style")
    if kind not in ("barycenter", "linear", "mixture"):
        raise ConfigError(f"blend {kind!r} is not known: use one of barycenter, linear, mixture")
    if kind == "barycenter" and len(parts) <= 2:
        return barycenters(parts).at(shares)
    mixed = mixture(parts, list(shares))  # mean and count are the same for every kind
    if kind == "mixture":
        return mixed
    return mixed._replace(covariance=(_linear if kind == "linear" else _fixed_point)(parts, shares))
