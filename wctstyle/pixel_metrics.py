"""Figures that judge a picture by its pixels alone.

Each gives one number; averaging over pictures is the caller's. Three kinds: how near two pictures are, what is seen in
the photo's plain places (fog, grain), and how much a picture has of something, told in stops against the painting
(`stops`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter, uniform_filter
from skimage.metrics import structural_similarity

from wctstyle.color import luma, rgb_to_oklab
from wctstyle.errors import ImageError

SSIM_SIGMA = 1.5
SSIM_WINDOW = 11
"""Width of the Gaussian window and its size, in pixels (Wang et al. 2004, section III-C)."""

PLAIN_DEVIATION = 0.03
"""Standard deviation of luma in a window, in units of the range, up to which a place counts as plain."""

LEAST_PLAIN = 0.25
"""Part of every picture that counts as plain whatever it shows: its plainest quarter."""

NARROW, WIDE = 32, 8
"""Windows of `plain_places` and `broad_chroma`, as parts of the long side: 17 and 65 pixels of 512."""

UNSEEN_CHROMA = 0.005
"""Deviation of Oklab a and b below which clouds count for little; colours 0.02 apart are just told apart."""

FINE_LUMA_FLOOR = 0.002
"""Half an 8-bit level, in Oklab lightness."""

COLORFULNESS_FLOOR = 5.0
"""In 8-bit levels; what Hasler & Suesstrunk's viewers called slightly colourful has 15."""

CONTRAST_FLOOR = 1.0
"""One 8-bit level."""


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

    Example:
        >>> picture = np.random.default_rng(0).uniform(size=(16, 16, 3))
        >>> round(ssim(picture, picture), 3)
        1.0
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

    Example:
        >>> round(psnr(np.full((4, 4, 3), 0.5), np.full((4, 4, 3), 0.6)), 1)
        20.0
    """
    _check_same_shape(rgb, reference, "psnr", 1)
    error = np.mean((np.asarray(rgb, np.float64) - np.asarray(reference, np.float64)) ** 2)
    return float(-10 * np.log10(error)) if error > 0 else float("inf")


# --------------------------------------------------------------------------------------------- plain places


def _window(rgb: np.ndarray, part: int) -> int:
    return 2 * max(1, round(max(rgb.shape[:2]) / part / 2)) + 1


def plain_places(rgb: Float[np.ndarray, "h w 3"]) -> Bool[np.ndarray, "h w"]:
    """Find where a picture is plain: skies, walls, water, what is out of focus.

    The standard deviation of luma in a window of 1/32 of the long side is at most 0.03 of the range. At least the
    plainest quarter counts, so that a busy picture has plain places too.

    Example:
        >>> picture = np.full((64, 64, 3), 0.5)
        >>> picture[:, 32:] = np.random.default_rng(0).uniform(size=(64, 32, 3))  # noise at the right
        >>> places = plain_places(picture)
        >>> float(places[:, :30].mean()), round(float(places[:, 34:].mean()), 1)
        (1.0, 0.0)
    """
    y, size = luma(rgb), _window(rgb, NARROW)
    variance = uniform_filter(y * y, size) - uniform_filter(y, size) ** 2
    deviation = np.sqrt(np.maximum(variance, 0))
    return deviation <= max(PLAIN_DEVIATION, float(np.quantile(deviation, LEAST_PLAIN)))


def broad_chroma(rgb: Float[np.ndarray, "h w 3"], where: Bool[np.ndarray, "h w"]) -> float:
    """Tell which part of the variation of colour is broad, 0 (strokes, dots) to 1 (clouds): B / (B + F + u^2).

    F is the variance of Oklab a and b in windows of 1/32 of the long side, B that of the windows' means in windows of
    1/8; slower changes, as of a sky towards the horizon, count for neither. Both are means over `where`, and nothing
    outside it enters a window. u is 0.005: what nobody sees is no cloud.

    Example:
        >>> stripe = np.array([[0.6, 0.4, 0.4], [0.4, 0.4, 0.6]])
        >>> dots, clouds = (np.tile(stripe[np.arange(64) // width % 2], (64, 1, 1)) for width in (1, 6))
        >>> everywhere = np.ones((64, 64), bool)
        >>> round(broad_chroma(dots, everywhere), 1), round(broad_chroma(clouds, everywhere), 1)
        (0.1, 0.7)
    """
    weight = np.asarray(where, np.float64)
    narrow, wide = _window(rgb, NARROW), _window(rgb, WIDE)

    def mean(values: np.ndarray, size: int) -> np.ndarray:
        total = uniform_filter(values * weight[..., None], size, mode="constant", axes=(0, 1))
        return total / np.maximum(uniform_filter(weight, size, mode="constant"), 1e-9)[..., None]

    ab = rgb_to_oklab(np.asarray(rgb, np.float64))[..., 1:]
    means = mean(ab, narrow)
    fine = np.maximum(mean(ab * ab, narrow) - means**2, 0).sum(axis=-1)
    broad = np.maximum(mean(means * means, wide) - mean(means, wide) ** 2, 0).sum(axis=-1)
    b, f = broad[where].mean(), fine[where].mean()
    return float(b / (b + f + UNSEEN_CHROMA**2))


def fog(
    rgb: Float[np.ndarray, "h w 3"],
    style: Float[np.ndarray, "h2 w2 3"],
    where: Bool[np.ndarray, "h w"],
    style_where: Bool[np.ndarray, "h2 w2"],
) -> float:
    """Tell how much more of the colour in plain places is clouds than in the painting's own: 0 same, from -1 to 1.

    The difference of `broad_chroma`; `where` are the plain places of the photo, `style_where` those of the painting.
    Above 0 skies and lawns are filled with soft clouds of colour where the painting has strokes; below 0 the paint is
    more broken than the painting's. The part and not the amount of broad chroma is compared, as strokes bring broad
    variation too: by the amount, passes with fog and painted skies had the same figure. It sees colour alone, no soot.

    Example:
        >>> stripe = np.array([[0.6, 0.4, 0.4], [0.4, 0.4, 0.6]])
        >>> dots, clouds = (np.tile(stripe[np.arange(64) // width % 2], (64, 1, 1)) for width in (1, 6))
        >>> everywhere = np.ones((64, 64), bool)
        >>> [round(fog(made, dots, everywhere, everywhere), 1) for made in (dots, clouds)]
        [0.0, 0.6]
    """
    return broad_chroma(rgb, where) - broad_chroma(style, style_where)


def fine_luma(rgb: Float[np.ndarray, "h w 3"], where: Bool[np.ndarray, "h w"]) -> float:
    """Measure fine light and dark over `where`: mean |Oklab L less its blur|, in units of L.

    The blur is Gaussian with a deviation of 1/512 of the long side, one pixel at least. Sizes are averaged, not their
    squares, as grain is everywhere: a few sharp edges, eyes in a face, are not to stand for it.

    Example:
        >>> canvas = 0.5 + 0.1 * (np.indices((16, 16)).sum(axis=0) % 2)[..., None] * np.ones(3)
        >>> everywhere = np.ones((16, 16), bool)
        >>> round(fine_luma(canvas, everywhere), 3), fine_luma(np.full((16, 16, 3), 0.5), everywhere) < 1e-9
        (0.042, True)
    """
    lightness = rgb_to_oklab(np.asarray(rgb, np.float64))[..., 0]
    sigma = max(1.0, max(rgb.shape[:2]) / 512)
    fine = lightness - gaussian_filter(lightness, sigma, mode="nearest")
    return float(np.abs(fine[where]).mean())


def grain(
    rgb: Float[np.ndarray, "h w 3"],
    style: Float[np.ndarray, "h2 w2 3"],
    where: Bool[np.ndarray, "h w"],
    style_where: Bool[np.ndarray, "h2 w2"],
) -> float:
    """Tell how grainy plain places (and faces) are, in stops: 0 as the painting's own, +1 twice, -1 half of it.

    `stops` of `fine_luma`. `where` are the photo's plain places and its faces, `style_where` the painting's. High is
    grain, canvas and cracks on skin and skies; low is paint without brushwork.

    Example:
        >>> weave, everywhere = (np.indices((16, 16)).sum(axis=0) % 2)[..., None] * np.ones(3), np.ones((16, 16), bool)
        >>> faint, strong = 0.5 + 0.1 * weave, 0.5 + 0.2 * weave
        >>> [round(grain(made, faint, everywhere, everywhere), 1) for made in (faint, strong)]
        [0.0, 0.9]
    """
    return stops(fine_luma(rgb, where), fine_luma(style, style_where), FINE_LUMA_FLOOR)


# ------------------------------------------------------------------------------------------- colour and contrast


def stops(value: float, reference: float, floor: float) -> float:
    """Compare two amounts by doublings: log2((value + floor) / (reference + floor)); 0 same, +1 twice, -1 half.

    `floor`, in their units, is what hardly shows; it keeps the figure finite where there is nothing.

    Example:
        >>> stops(15.0, 7.0, 1.0), stops(7.0, 15.0, 1.0), stops(0.0, 0.0, 1.0)
        (1.0, -1.0, 0.0)
    """
    return float(np.log2((value + floor) / (reference + floor)))


def colorfulness(rgb: Float[np.ndarray, "h w 3"]) -> float:
    """Measure how colourful a picture is, in 8-bit levels: 0 grey, 15 slightly, 59 quite, 109 extremely.

    |sd| + 0.3 |mean| of R - G and (R + G) / 2 - B (Hasler & Suesstrunk 2003, doi:10.1117/12.477378, their
    third measure).

    Example:
        >>> grey, red = np.full((2, 2, 3), 0.5), np.tile([1.0, 0.0, 0.0], (2, 2, 1))
        >>> round(colorfulness(grey), 1), round(colorfulness(red), 1)
        (0.0, 85.5)
    """
    r, g, b = np.moveaxis(np.asarray(rgb, np.float64) * 255, -1, 0)
    opponents = r - g, (r + g) / 2 - b
    return float(np.hypot(*(o.std() for o in opponents)) + 0.3 * np.hypot(*(o.mean() for o in opponents)))


def contrast(rgb: Float[np.ndarray, "h w 3"]) -> float:
    """Measure the standard deviation of luma over the picture, in 8-bit levels (RMS contrast; Peli 1990).

    Example:
        >>> half = np.array([[[0.0] * 3, [1.0] * 3]])  # a black pixel beside a white one
        >>> round(contrast(half), 1)
        127.5
    """
    return float(255 * luma(rgb).std())


def colorfulness_change(rgb: Float[np.ndarray, "h w 3"], styles: Sequence[Float[np.ndarray, "_ _ 3"]]) -> float:
    """Compare `colorfulness` with the mean of the styles' own, in stops: 0 same, -1 half as colourful (mud).

    Example:
        >>> red = np.tile([1.0, 0.0, 0.0], (2, 2, 1))
        >>> round(colorfulness_change(0.5 * red, [red]), 1), colorfulness_change(red, [red])
        (-0.9, 0.0)
    """
    return stops(colorfulness(rgb), float(np.mean([colorfulness(s) for s in styles])), COLORFULNESS_FLOOR)


def contrast_change(rgb: Float[np.ndarray, "h w 3"], styles: Sequence[Float[np.ndarray, "_ _ 3"]]) -> float:
    """Compare `contrast` with the mean of the styles' own, in stops: 0 same, -1 half of it (flat).

    Example:
        >>> half = np.array([[[0.0] * 3, [1.0] * 3]])
        >>> round(contrast_change(0.5 * half, [half]), 1), contrast_change(half, [half])
        (-1.0, 0.0)
    """
    return stops(contrast(rgb), float(np.mean([contrast(s) for s in styles])), CONTRAST_FLOOR)


# ---------------------------------------------------------------------------------------------------- stability


def shifted(rgb: Float[np.ndarray, "h w 3"], pixels: int) -> Float[np.ndarray, "h w 3"]:
    """Move a picture right and down by so many pixels; what comes in at the left and the top is reflected.

    Example:
        >>> shifted(np.arange(9.0).reshape(3, 3, 1) * np.ones(3), 1)[..., 0].tolist()
        [[4.0, 3.0, 4.0], [1.0, 0.0, 1.0], [4.0, 3.0, 4.0]]
    """
    height, width = rgb.shape[:2]
    return np.pad(rgb, ((pixels, 0), (pixels, 0), (0, 0)), mode="reflect")[:height, :width]


def warping_error(rgb: Float[np.ndarray, "h w 3"], moved: Float[np.ndarray, "h w 3"], pixels: int) -> float:
    """Compare a result with that of the photo `shifted` by `pixels`, moved back: 0 the paint goes along, 1 it stays.

    RMS(moved[p:, p:] - rgb[:-p, :-p]) / RMS(rgb[p:, p:] - rgb[:-p, :-p]): the warping error of Lai et al. 2018
    (arXiv:1808.00449) for a flow that is known, over what it would be if nothing had moved. Without that a
    smooth picture would be steady for being smooth. 0 for a picture of one colour.

    Raises:
        ImageError: the shapes differ, or a side has not more than `pixels`.

    Example:
        >>> result = np.random.default_rng(0).uniform(size=(8, 8, 3))
        >>> warping_error(result, shifted(result, 2), 2), warping_error(result, result, 2)
        (0.0, 1.0)
    """
    _check_same_shape(rgb, moved, "warping_error", pixels + 1)
    x, y = (np.asarray(image, np.float64) for image in (rgb, moved))
    here = x[:-pixels, :-pixels]
    error, stays = (float(np.mean((image[pixels:, pixels:] - here) ** 2)) for image in (y, x))
    return float(np.sqrt(error / stays)) if stays > 0 else (float("inf") if error > 0 else 0.0)
