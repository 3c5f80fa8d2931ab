"""Colour spaces of sRGB arrays: linear light, Oklab and luma; keeping a photo's own colours, and matching a style's.

Plain NumPy functions of arrays whose last axis is R, G, B. The result has the dtype of the input, float32 or float64.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from wctstyle.errors import ImageError

#: Linear sRGB to cone-like LMS, then cube-rooted LMS to Lab. Ottosson 2020, "A perceptual color space for
#: image processing", https://bottosson.github.io/posts/oklab/ (the matrices of the update of 2021-01-25).
_LMS_FROM_LINEAR = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LAB_FROM_LMS = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)

#: Luma of gamma-encoded R, G, B (ITU-R BT.601-7, section 2.5.1).
LUMA_WEIGHTS = (0.299, 0.587, 0.114)

#: How far outside [0, 1] a linear component may be and still count as in gamut: less than half an 8-bit level,
#: even in the steepest part of the sRGB curve (slope 12.92), and more than the rounding error of a float32 round
#: trip.
_GAMUT_SLACK = 1e-4

#: Least variance of a direction of colour, as a share of the mean variance, where colours are matched: the faint tint
#: of a black and white picture would be enlarged otherwise.
LEAST_VARIANCE = 1e-2

#: Halvings of the chroma interval; 2^-12 of any sRGB chroma (at most 0.33) is below 1e-4 in Oklab, which is
#: invisible.
_GAMUT_HALVINGS = 12


def srgb_to_linear(rgb: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Invert the sRGB transfer curve: encoded values to linear light; 0 and 1 stay fixed.

    ``c / 12.92`` up to 0.04045, ``((c + 0.055) / 1.055) ** 2.4`` above. Odd around 0, so that colours outside
    the gamut survive a round trip.

    Source: IEC 61966-2-1:1999, with the breakpoint 0.04045 of its amendment 1. The odd extension is ours.

    Example:
        >>> srgb_to_linear(np.array([0.0, 0.5, 1.0])).round(4).tolist()
        [0.0, 0.214, 1.0]
    """
    magnitude = np.abs(rgb)
    linear = np.where(magnitude <= 0.04045, magnitude / 12.92, ((magnitude + 0.055) / 1.055) ** 2.4)
    return np.copysign(linear, rgb).astype(rgb.dtype, copy=False)


def linear_to_srgb(linear: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Apply the sRGB transfer curve: linear light to encoded values; 0 and 1 stay fixed.

    ``12.92 c`` up to 0.0031308, ``1.055 c ** (1 / 2.4) - 0.055`` above. Odd around 0, like `srgb_to_linear`.

    Source: IEC 61966-2-1:1999. The odd extension is ours.

    Example:
        >>> linear_to_srgb(np.array([0.0, 0.214, 1.0])).round(2).tolist()
        [0.0, 0.5, 1.0]
    """
    magnitude = np.abs(linear)
    encoded = np.where(magnitude <= 0.0031308, magnitude * 12.92, 1.055 * magnitude ** (1 / 2.4) - 0.055)
    return np.copysign(encoded, linear).astype(linear.dtype, copy=False)


def rgb_to_oklab(rgb: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3"]:
    """Convert sRGB in [0, 1] to Oklab: lightness L in [0, 1], a (green-red) and b (blue-yellow) around 0.

    ``lab = M2 cbrt(M1 linear)``. Greys have a = b = 0 and white L = 1, to about 1e-7.

    Source: Ottosson 2020, https://bottosson.github.io/posts/oklab/.

    Example:
        >>> red = np.array([1.0, 0.0, 0.0])
        >>> rgb_to_oklab(red).round(3).tolist()
        [0.628, 0.225, 0.126]
    """
    lms = srgb_to_linear(rgb) @ _LMS_FROM_LINEAR.T.astype(rgb.dtype)
    return np.cbrt(lms) @ _LAB_FROM_LMS.T.astype(rgb.dtype)


def oklab_to_rgb(lab: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3"]:
    """Convert Oklab to sRGB without clipping: colours outside the gamut give values outside [0, 1].

    The exact inverse of `rgb_to_oklab`: the matrices are inverted numerically. Ottosson 2020 prints the inverses
    rounded to ten digits.

    Example:
        >>> oklab_to_rgb(rgb_to_oklab(np.array([0.2, 0.4, 0.6]))).round(6).tolist()
        [0.2, 0.4, 0.6]
    """
    return linear_to_srgb(_oklab_to_linear(lab))


def luma(rgb: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape"]:
    """Compute luma, the weighted sum of the gamma-encoded channels, in float64 (BT.601).

    Example:
        >>> luma(np.array([0.0, 1.0, 0.0])).round(3).item()
        0.587
    """
    return np.asarray(rgb, np.float64) @ np.array(LUMA_WEIGHTS)


def lightness_grey(rgb: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape"]:
    """Return the grey, in sRGB [0, 1], with the colour's Oklab lightness, which `original_colors` reads back.

    Example:
        >>> lightness_grey(np.array([0.5, 0.5, 0.5])).round(3).item()
        0.5
    """
    return linear_to_srgb(rgb_to_oklab(rgb)[..., 0] ** 3)


def original_colors(
    stylized_rgb: Float[np.ndarray, "h w 3"],
    content_rgb: Float[np.ndarray, "content_h content_w 3"],
    *,
    share: Float[np.ndarray, "h w 1"] | float = 1.0,
) -> Float[np.ndarray, "h w 3"]:
    """Give the stylised picture the content's colours: Oklab L of the stylised picture, a and b of the content.

    ``share`` below 1 mixes: a and b are ``share`` of the content's plus ``1 - share`` of the stylised picture's; 0
    returns the stylised picture. It may differ from pixel to pixel.

    A colour outside sRGB keeps its lightness and hue; its chroma is reduced to the largest that fits. Inputs and
    result are sRGB in [0, 1].

    Raises:
        ImageError: if the two pictures differ in shape.

    Source: the luminance-only transfer of Gatys et al. 2016, "Preserving Color in Neural Artistic Style
    Transfer", arXiv:1606.05897, section 4. Differs from it in three ways: Oklab replaces YIQ, whose luma changes
    the perceived lightness of saturated colours; lightness is taken after stylisation, so the style's is not
    matched to the content's first; and colours are brought into gamut by chroma, not by clipping each channel.

    Example:
        >>> grey, blue = np.full((1, 1, 3), 0.5, np.float32), np.array([[[0.2, 0.3, 0.9]]], np.float32)
        >>> kept = original_colors(grey, blue)
        >>> bool(kept[0, 0, 2] > kept[0, 0, 0])  # the grey has turned blue
        True
        >>> np.allclose(rgb_to_oklab(kept)[..., 0], rgb_to_oklab(grey)[..., 0], atol=0.01)
        True
    """
    if stylized_rgb.shape != content_rgb.shape:
        raise ImageError(
            f"cannot keep the original colours: the stylised picture has shape {stylized_rgb.shape}, the "
            f"content {content_rgb.shape}, and they must be the same; resize one of them to the other"
        )
    if not np.any(share):
        return stylized_rgb
    lab, own = rgb_to_oklab(content_rgb), rgb_to_oklab(stylized_rgb)
    lab[..., 0] = own[..., 0]
    lab[..., 1:] = share * lab[..., 1:] + (1 - share) * own[..., 1:]
    lab = _reduce_chroma_to_gamut(lab)
    return np.clip(oklab_to_rgb(lab), 0.0, 1.0)


class Colors(NamedTuple):
    """Mean and covariance of a picture's R, G and B.

    Example:
        >>> found = colors_of(np.array([[[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]]))  # a red pixel and a black one
        >>> found.mean.tolist(), found.covariance[0].tolist()
        ([0.5, 0.0, 0.0], [0.25, 0.0, 0.0])
    """

    mean: Float[np.ndarray, "3"]
    covariance: Float[np.ndarray, "3 3"]


def colors_of(rgb: Float[np.ndarray, "h w 3"], weights: Float[np.ndarray, "h w"] | None = None) -> Colors:
    """Measure the colours of a picture; `weights` (>= 0) say how much each pixel counts. All 0 is as all alike.

    Example:
        >>> half_red = np.array([[[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]], np.float32)
        >>> colors_of(half_red).mean.round(2).tolist()
        [0.5, 0.0, 0.0]
    """
    pixels = rgb.reshape(-1, 3)
    counted = np.ones(len(pixels), rgb.dtype) if weights is None or not weights.any() else weights.ravel()
    counted = (counted / counted.sum()).astype(rgb.dtype)
    mean = counted @ pixels
    centered = pixels - mean
    return Colors(mean, centered.T @ (counted[:, None] * centered))


def with_colors(
    rgb: Float[np.ndarray, "h w 3"], goal: Colors, weights: Float[np.ndarray, "h w"] | None = None
) -> Float[np.ndarray, "h w 3"]:
    """Give a picture other colours: the mean and covariance of `goal`; clipped to [0, 1].

    `weights` say how much each of its pixels counts; None: all alike.

    ``x' = A (x - mean) + goal.mean`` with ``A = S^-1/2 (S^1/2 T S^1/2)^1/2 S^-1/2``, the Monge-Kantorovich map from the
    picture's covariance S to the goal's T.

    Source: the colour histogram matching of Gatys et al. 2016, arXiv:1606.05897, section 3. There A is made of Cholesky
    factors, or of square roots as in Image Analogies. Differs from it in two ways: the Monge-Kantorovich map moves
    colours least and does not depend on the order of the channels; and variances of S below `LEAST_VARIANCE` of their
    mean count as that. RGB is gamma-encoded: in linear light two dark styles became foggy, and 12 to 15 % of two light
    ones were clipped (1 to 2 % here).

    Example:
        >>> dark, light = np.array([[[0.0] * 3, [0.2] * 3]], np.float32), np.array([[[0.6] * 3, [1.0] * 3]], np.float32)
        >>> round(float(with_colors(dark, colors_of(light)).mean()), 2)
        0.8
    """
    own = colors_of(rgb, weights)
    matrix = transport(own.covariance, goal.covariance)
    return np.clip((rgb - own.mean) @ matrix.T + goal.mean, 0, 1).astype(rgb.dtype)


def transport(source: Float[np.ndarray, "*n 3 3"], target: Float[np.ndarray, "*n 3 3"]) -> Float[np.ndarray, "*n 3 3"]:
    """Return the matrices of the Monge-Kantorovich maps between covariances of colours (see `with_colors`).

    Example:
        >>> transport(np.diag([1.0, 4.0, 1.0]), np.diag([4.0, 4.0, 1.0])).diagonal().round(2).tolist()
        [2.0, 1.0, 1.0]
    """
    values, vectors = np.linalg.eigh(source)
    values = np.maximum(values, LEAST_VARIANCE * values.mean(axis=-1, keepdims=True) + 1e-12)
    root, inverse = ((vectors * scale[..., None, :]) @ vectors.mT for scale in (np.sqrt(values), 1 / np.sqrt(values)))
    inner, axes = np.linalg.eigh(root @ target @ root)
    return inverse @ (axes * np.sqrt(np.maximum(inner, 0))[..., None, :]) @ axes.mT @ inverse


def _oklab_to_linear(lab: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3"]:
    """Convert Oklab to linear sRGB, unclipped."""
    lms = (lab @ np.linalg.inv(_LAB_FROM_LMS).T.astype(lab.dtype)) ** 3
    return lms @ np.linalg.inv(_LMS_FROM_LINEAR).T.astype(lab.dtype)


def _in_gamut(lab: Float[np.ndarray, "*shape 3"]) -> np.ndarray:
    """Return for each colour whether it is in the sRGB gamut."""
    linear = _oklab_to_linear(lab)
    return np.all((linear >= -_GAMUT_SLACK) & (linear <= 1 + _GAMUT_SLACK), axis=-1)


def _reduce_chroma_to_gamut(lab: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3"]:
    """Scale (a, b) of colours outside sRGB by the largest factor that brings them into gamut.

    Source: Ottosson 2021, https://bottosson.github.io/posts/gamutclipping/, "keep lightness constant, only
    compress chroma". Uses bisection instead of his fitted cusp, because pictures have few such pixels.
    """
    outside = ~_in_gamut(lab)
    colors = lab[outside]
    low = np.zeros(len(colors), lab.dtype)
    high = np.ones(len(colors), lab.dtype)
    for _ in range(_GAMUT_HALVINGS):
        middle = (low + high) / 2
        trial = colors.copy()
        trial[:, 1:] *= middle[:, None]
        inside = _in_gamut(trial)
        low = np.where(inside, middle, low)
        high = np.where(inside, high, middle)
    colors[:, 1:] *= low[:, None]
    result = lab.copy()
    result[outside] = colors
    return result
