"""Figures that judge a stylised picture: pure functions of features and of pictures.

Each gives one number per picture (`gram_errors`: and level); averaging over pictures is the caller's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from skimage.metrics import structural_similarity

from wctstyle.errors import ConfigError, ImageError
from wctstyle.losses import content_error, gram
from wctstyle.moments import Moments

__all__ = ["content_error", "gram_errors", "luma", "psnr", "ssim", "style_error", "wasserstein_errors"]

LUMA_WEIGHTS = (0.299, 0.587, 0.114)
"""Luma of gamma-encoded R, G, B (ITU-R BT.601-7, section 2.5.1)."""

SSIM_SIGMA = 1.5
SSIM_WINDOW = 11
"""Width of the Gaussian window and its size, in pixels (Wang et al. 2004, section III-C)."""


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


def luma(rgb: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
    """Weigh the gamma-encoded channels of an sRGB picture to one of luma, in float64 (BT.601)."""
    return np.asarray(rgb, np.float64) @ np.array(LUMA_WEIGHTS)


def _check_same_shape(rgb: np.ndarray, reference: np.ndarray, figure: str, least: int) -> None:
    if rgb.shape != reference.shape or rgb.ndim != 3 or rgb.shape[2] != 3 or min(rgb.shape[:2]) < least:
        raise ImageError(
            f"{figure}: got pictures of shape {rgb.shape} and {reference.shape}, wanted two of the same height x "
            f"width x 3, at least {least} pixels each way; resize one to the other first"
        )


def ssim(rgb: Float[np.ndarray, "h w 3"], reference: Float[np.ndarray, "h w 3"]) -> float:
    """Structural similarity of the luma of two sRGB pictures in [0, 1]: 1 same, about 0 unrelated.

    Gaussian window of 11 x 11 pixels with sigma 1.5, K1 = 0.01, K2 = 0.03, mean over the positions whose window lies
    in the picture (Wang et al. 2004, doi:10.1109/TIP.2003.819861, eq. 13 to 17; at full size, without its automatic
    downsampling).

    Raises:
        ImageError: the shapes differ, or a side is below 11 pixels.
    """
    _check_same_shape(rgb, reference, "ssim", SSIM_WINDOW)
    value: Any = structural_similarity(
        luma(rgb),
        luma(reference),
        data_range=1.0,
        gaussian_weights=True,
        sigma=SSIM_SIGMA,
        truncate=(SSIM_WINDOW // 2) / SSIM_SIGMA,
        use_sample_covariance=False,
    )
    return float(cast(float, value))


def psnr(rgb: Float[np.ndarray, "h w 3"], reference: Float[np.ndarray, "h w 3"]) -> float:
    """Peak signal-to-noise ratio of two sRGB pictures in [0, 1], in dB: -10 log10(mean squared difference).

    Over all pixels and channels alike; infinite for equal pictures.

    Raises:
        ImageError: the shapes differ.
    """
    _check_same_shape(rgb, reference, "psnr", 1)
    error = np.mean((np.asarray(rgb, np.float64) - np.asarray(reference, np.float64)) ** 2)
    return float(-10 * np.log10(error)) if error > 0 else float("inf")
