"""Colour spaces of sRGB arrays: linear light, Oklab, luma, and keeping a photo's own colours.

Plain NumPy functions of arrays whose last axis is R, G, B; float32 in, float32 out, and so float64.
"""

from __future__ import annotations

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

#: How far outside [0, 1] a linear component may be and still count as inside the gamut: below half an 8-bit
#: level even in the steepest part of the sRGB curve (slope 12.92), and above the rounding of a float32 round
#: trip.
_GAMUT_SLACK = 1e-4

#: Halvings of the chroma interval; 2^-12 of any sRGB chroma (at most 0.33) is below 1e-4 in Oklab, out of
#: sight.
_GAMUT_HALVINGS = 12


def srgb_to_linear(rgb: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Undoes the sRGB transfer curve: encoded values to linear light, 0 and 1 fixed.

    ``c / 12.92`` up to 0.04045, above it ``((c + 0.055) / 1.055) ** 2.4``. Odd around 0, so that colours
    outside the gamut survive a round trip.

    Source: IEC 61966-2-1:1999, with the break at 0.04045 of its amendment 1. The oddness is ours.
    """
    magnitude = np.abs(rgb)
    linear = np.where(magnitude <= 0.04045, magnitude / 12.92, ((magnitude + 0.055) / 1.055) ** 2.4)
    return np.copysign(linear, rgb).astype(rgb.dtype, copy=False)


def linear_to_srgb(linear: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Applies the sRGB transfer curve: linear light to encoded values, 0 and 1 fixed.

    ``12.92 c`` up to 0.0031308, above it ``1.055 c ** (1 / 2.4) - 0.055``. Odd around 0, as `srgb_to_linear`.

    Source: IEC 61966-2-1:1999. The oddness is ours.
    """
    magnitude = np.abs(linear)
    encoded = np.where(magnitude <= 0.0031308, magnitude * 12.92, 1.055 * magnitude ** (1 / 2.4) - 0.055)
    return np.copysign(encoded, linear).astype(linear.dtype, copy=False)


def rgb_to_oklab(rgb: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3"]:
    """Turns sRGB in [0, 1] into Oklab: lightness L in [0, 1], and a (green-red), b (blue-yellow) about 0.

    ``lab = M2 cbrt(M1 linear)``. Greys have a = b = 0 and white L = 1, to about 1e-7.

    Source: Ottosson 2020, https://bottosson.github.io/posts/oklab/.
    """
    lms = srgb_to_linear(rgb) @ _LMS_FROM_LINEAR.T.astype(rgb.dtype)
    return np.cbrt(lms) @ _LAB_FROM_LMS.T.astype(rgb.dtype)


def oklab_to_rgb(lab: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3"]:
    """Turns Oklab into sRGB; colours outside the gamut give values outside [0, 1], nothing is clipped.

    The exact inverse of `rgb_to_oklab`: the matrices are inverted numerically, where Ottosson 2020 prints the
    inverses rounded to ten digits.
    """
    return linear_to_srgb(_oklab_to_linear(lab))


def luma(rgb: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape"]:
    """Weigh the gamma-encoded channels of an sRGB picture to one of luma, in float64 (BT.601)."""
    return np.asarray(rgb, np.float64) @ np.array(LUMA_WEIGHTS)


def lightness_grey(rgb: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape"]:
    """Gives the grey, in sRGB [0, 1], that has the colour's Oklab lightness; what `original_colors` takes back."""
    return linear_to_srgb(rgb_to_oklab(rgb)[..., 0] ** 3)


def original_colors(
    stylized_rgb: Float[np.ndarray, "h w 3"],
    content_rgb: Float[np.ndarray, "content_h content_w 3"],
    *,
    share: float = 1.0,
) -> Float[np.ndarray, "h w 3"]:
    """Gives the stylised picture the content's colours: Oklab L of the one, a and b of the other.

    With ``share`` below 1, that part of the content's a and b and the rest of the stylised picture's own.

    Where that colour does not exist in sRGB, its chroma is scaled down, lightness and hue kept, to the
    largest that does. Both in sRGB [0, 1], and so is the result.

    Raises:
        ImageError: if the two pictures differ in shape.

    Source: the luminance-only transfer of Gatys et al. 2016, "Preserving Color in Neural Artistic Style
    Transfer", arXiv:1606.05897, section 4. Differs from it: Oklab instead of YIQ, whose luma changes the
    perceived lightness of saturated colours; lightness is taken after stylisation, so the style's is not
    matched to the content's first; and the gamut is respected by chroma instead of clipping each channel.
    """
    if stylized_rgb.shape != content_rgb.shape:
        raise ImageError(
            f"cannot keep the original colours: the stylised picture has shape {stylized_rgb.shape}, the "
            f"content {content_rgb.shape}, and they must be the same; resize one of them to the other"
        )
    lab, own = rgb_to_oklab(content_rgb), rgb_to_oklab(stylized_rgb)
    lab[..., 0] = own[..., 0]
    lab[..., 1:] = share * lab[..., 1:] + (1 - share) * own[..., 1:]
    lab = _reduce_chroma_to_gamut(lab)
    return np.clip(oklab_to_rgb(lab), 0.0, 1.0)


def _oklab_to_linear(lab: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3"]:
    """Turns Oklab into linear sRGB, unclipped."""
    lms = (lab @ np.linalg.inv(_LAB_FROM_LMS).T.astype(lab.dtype)) ** 3
    return lms @ np.linalg.inv(_LMS_FROM_LINEAR).T.astype(lab.dtype)


def _in_gamut(lab: Float[np.ndarray, "*shape 3"]) -> np.ndarray:
    """Says for each colour whether sRGB has it."""
    linear = _oklab_to_linear(lab)
    return np.all((linear >= -_GAMUT_SLACK) & (linear <= 1 + _GAMUT_SLACK), axis=-1)


def _reduce_chroma_to_gamut(lab: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3"]:
    """Scales (a, b) of the colours outside sRGB by the largest factor that brings them in.

    Source: Ottosson 2021, https://bottosson.github.io/posts/gamutclipping/, "keep lightness constant, only
    compress chroma"; by bisection instead of by his fitted cusp, as pictures have few such pixels.
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
