"""Figures that judge a picture by what a network sees: distances of features to the painting's or the photo's.

0 means the same. One number for each picture or level; averaging over pictures is the caller's. How far contents are
apart is `losses.content_error`.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wctstyle.errors import ConfigError
from wctstyle.losses import gram
from wctstyle.moments import Moments

SLICES, SLICED_POSITIONS, QUANTILES = 64, 16_384, 1024
"""Directions per level, positions that are looked at in a level at most, and quantiles that are compared."""

SIMILARITY_FLOOR = 1e-6
"""Keeps the quotients of `texture_error` and `structure_error` finite (c1 and c2 of Ding et al. 2020)."""


def _check_levels(values: Sequence[object], targets: Sequence[object], what: str) -> None:
    if not values or len(values) != len(targets):
        raise ConfigError(
            f"got {what} of {len(values)} levels and targets of {len(targets)}, wanted as many of each, at least one"
        )


def gram_errors(
    grams: Sequence[Float[Array, "n _ _"]], targets: Sequence[Float[Array, "n _ _"]]
) -> Float[Array, "n levels"]:
    """Compare Gram matrices level by level: ||G - G_target||_F / ||G_target||_F.

    0 means the same, 1 as far off as a picture without any features. A target of zeros gives 0 for zeros and
    infinity for anything else. Unlike `losses.relative_error` nothing is smoothed, so equal is exactly 0.

    Raises:
        ConfigError: no levels, or not the same number of them.

    Example:
        >>> target = jnp.full((1, 2, 2), 2.0)
        >>> gram_errors([target, 1.5 * target, 0 * target], [target] * 3).tolist()
        [[0.0, 0.5, 1.0]]
    """
    _check_levels(grams, targets, "Gram matrices")
    errors = []
    for value, target in zip(grams, targets, strict=True):
        distance = jnp.linalg.norm(value - target, axis=(1, 2))
        scale = jnp.linalg.norm(target, axis=(1, 2))
        errors.append(jnp.where(distance > 0, distance / scale, 0.0))
    return jnp.stack(errors, axis=1)


def style_error(
    features: Sequence[Float[Array, "n _ _ _"]], style: Sequence[Float[Array, "n _ _ _"]]
) -> Float[Array, " n"]:
    """Mean over levels of the relative Gram error of `features` to those of the style picture (0 same).

    Gram matrices are per position, so the two pictures may differ in size. Source: the style loss of Gatys et al.
    2016 (eq. 3 to 5); departs from it in that each level is relative to its own target and not squared, so that
    levels weigh alike whatever their scale.

    Raises:
        ConfigError: no levels, or not the same number of them.

    Example:
        >>> style = jnp.ones((1, 4, 4, 2))
        >>> style_error([style], [style]).item(), style_error([0 * style], [style]).item()
        (0.0, 1.0)
    """
    return gram_errors([gram(f) for f in features], [gram(f) for f in style]).mean(axis=1)


def wasserstein_errors(moments: Sequence[Moments], targets: Sequence[Moments]) -> Float[np.ndarray, " levels"]:
    """Compare means and covariances level by level: W2 / sqrt(tr S_t + |m_t|^2), in float64.

    W2 is the 2-Wasserstein distance of the Gaussians with these moments, W2^2 = |m - m_t|^2 + tr S + tr S_t
    - 2 tr (S_t^1/2 S S_t^1/2)^1/2 (Dowson & Landau 1982, doi:10.1016/0047-259X(82)90077-X), over the RMS norm of the
    target's features. 0 means the same, 1 as far off as a picture without any features. Unlike a Gram error it counts
    small directions in proportion to their deviation, not their variance. A target of zeros gives 0 for zeros and
    infinity for anything else. `losses.cross_trace` is the same coupling for a gradient, in float32 and with a floor.

    Raises:
        ConfigError: no levels, or not the same number of them.

    Example:
        >>> calm, rough = (Moments(jnp.ones(()), jnp.zeros(1), jnp.array([[variance]])) for variance in (1.0, 4.0))
        >>> wasserstein_errors([rough, calm], [rough, rough]).round(2).tolist()
        [0.0, 0.5]
    """
    _check_levels(moments, targets, "moments")
    errors = []
    for value, target in zip(moments, targets, strict=True):
        (mean, cov), (wanted_mean, wanted_cov) = (
            (np.asarray(m.mean, np.float64), np.asarray(m.covariance, np.float64)) for m in (value, target)
        )
        eigenvalues, vectors = np.linalg.eigh(wanted_cov)
        root = (vectors * np.sqrt(np.maximum(eigenvalues, 0))) @ vectors.T
        cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov @ root), 0)).sum()
        squared = np.sum((mean - wanted_mean) ** 2) + np.trace(cov) + np.trace(wanted_cov) - 2 * cross
        energy = np.trace(wanted_cov) + np.sum(wanted_mean**2)
        distance = np.sqrt(max(squared, 0.0))
        errors.append(distance / np.sqrt(energy) if energy > 0 else (np.inf if distance > 0 else 0.0))
    return np.array(errors)


def texture_error(moments: Sequence[Moments], targets: Sequence[Moments]) -> float:
    """Compare the mean of every channel with the painting's: 1 - mean of (2 m t + c) / (m^2 + t^2 + c).

    The texture term of DISTS, from 0 (same) to 1, here on relu1_1 to relu5_1 of VGG-19 and with all channels and levels
    alike. It tells how much there is of each feature, wherever it is, and nothing of how features occur together.
    Source: Ding et al. 2020, arXiv:2004.07728. Differs from the published DISTS in that its trained weights are
    left out, and in network, pooling and layers, so figures do not compare with published ones.

    Raises:
        ConfigError: no levels, or not the same number of them.

    Example:
        >>> few, many = (Moments(jnp.ones(()), jnp.array([mean]), jnp.eye(1)) for mean in (1.0, 2.0))
        >>> round(texture_error([few], [many]), 2), texture_error([many], [many])
        (0.2, 0.0)
    """
    _check_levels(moments, targets, "moments")
    errors = []
    for value, target in zip(moments, targets, strict=True):
        m, t = (np.asarray(x.mean, np.float64) for x in (value, target))
        errors.append(1 - np.mean((2 * m * t + SIMILARITY_FLOOR) / (m**2 + t**2 + SIMILARITY_FLOOR)))
    return float(np.mean(errors))


def structure_error(
    features: Sequence[Float[Array, "n _ _ _"]], content: Sequence[Float[Array, "n _ _ _"]]
) -> Float[Array, " n"]:
    """Compare each channel with the photo's, place by place: 1 - mean of (2 cov + c) / (var + var_photo + c).

    The structure term of DISTS (arXiv:2004.07728), unweighted as in `texture_error`: 0 the photo itself, 1 no
    relation, 2 its negative. Covariance and variances are over all positions of a channel. Unlike `content_error` it
    looks at every level, so it counts edges and grain that were painted over too.

    Raises:
        ConfigError: no levels, or not the same number of them.

    Example:
        >>> photo = jnp.arange(4.0).reshape(1, 2, 2, 1)
        >>> [round(structure_error([x], [photo]).item(), 2) for x in (photo, -photo)]
        [0.0, 2.0]
    """
    _check_levels(features, content, "features")
    errors = []
    for x, y in zip(features, content, strict=True):
        a, b = (f - f.mean(axis=(1, 2), keepdims=True) for f in (x, y))
        together = (2 * a * b).mean(axis=(1, 2)) + SIMILARITY_FLOOR
        apart = (a * a + b * b).mean(axis=(1, 2)) + SIMILARITY_FLOOR
        errors.append(1 - (together / apart).mean(axis=1))
    return jnp.stack(errors, axis=1).mean(axis=1)


def slices(
    features: Sequence[Float[np.ndarray, "_ _ _"]], *, seed: int = 0
) -> list[Float[np.ndarray, "slices quantiles"]]:
    """Reduce the features of a picture, level by level, to quantiles along random directions, for `sliced_errors`.

    64 directions of unit length, drawn from `seed` and the number of the level alone; of a level with more than 16,384
    positions so many are drawn. 1024 quantiles, linear between the sorted values, let pictures of any size compare.

    Example:
        >>> found = slices([np.ones((4, 4, 3), np.float32), np.ones((2, 2, 5), np.float32)])
        >>> [level.shape for level in found], round(float(np.ptp(found[0], axis=1).max()), 3)  # one value everywhere
        ([(64, 1024), (64, 1024)], 0.0)
    """
    out = []
    for number, level in enumerate(features):
        rng = np.random.default_rng([seed, number])
        directions = rng.normal(size=(level.shape[-1], SLICES))
        directions = (directions / np.linalg.norm(directions, axis=0)).astype(np.float32)
        flat = level.reshape(-1, level.shape[-1])
        if len(flat) > SLICED_POSITIONS:
            flat = flat[np.sort(rng.choice(len(flat), SLICED_POSITIONS, replace=False))]
        values = np.sort((flat @ directions).T, axis=1)
        at = np.clip((np.arange(QUANTILES) + 0.5) / QUANTILES * len(flat) - 0.5, 0, len(flat) - 1)
        low = at.astype(int)
        share = (at - low).astype(np.float32)
        high = np.minimum(low + 1, len(flat) - 1)
        out.append((1 - share) * values[:, low] + share * values[:, high])
    return out


def sliced_errors(
    values: Sequence[Float[np.ndarray, "slices quantiles"]], targets: Sequence[Float[np.ndarray, "slices quantiles"]]
) -> Float[np.ndarray, " levels"]:
    """Compare whole distributions of features level by level: sliced Wasserstein distance over the target's RMS.

    sqrt(mean (q - t)^2 / mean t^2) over the quantiles q and t of `slices`: the 2-Wasserstein distance along each
    direction, squared and averaged. 0 means the same, 1 as far off as a picture without any features. Where
    `wasserstein_errors` sees means and covariances only, this sees how features are spread as well: rare strong strokes
    from an even grey. Source: Heitz et al. 2021, arXiv:2006.07229; departs from it in fixed directions and in being
    relative. A target of zeros gives 0 for zeros and infinity for anything else.

    Raises:
        ConfigError: no levels, or not the same number of them.

    Example:
        >>> level = np.random.default_rng(0).normal(size=(8, 8, 3)).astype(np.float32)
        >>> own = slices([level])
        >>> [sliced_errors(slices([scale * level]), own).round(2).tolist() for scale in (1.0, 0.5, 0.0)]
        [[0.0], [0.5], [1.0]]
    """
    _check_levels(values, targets, "slices")
    errors = []
    for value, target in zip(values, targets, strict=True):
        distance, energy = np.mean(np.square(value - target, dtype=np.float64)), np.mean(np.square(target))
        errors.append(np.sqrt(distance / energy) if energy > 0 else (np.inf if distance > 0 else 0.0))
    return np.array(errors)
