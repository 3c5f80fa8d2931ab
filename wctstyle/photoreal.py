"""Photorealistic rendering: a local affine map of colours from a photo to its stylised picture, applied at any size.

The stylised picture is small and has paint in it. Planned by windows, an affine map of R, G and B follows its colours
and light but cannot follow its strokes, so the result has the photo's own edges and no others.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from wctstyle import color, images

Rgb = Float[np.ndarray, "h w 3"]

Planes = Float[np.ndarray, "g 3 4 W"]
"""Planes of a `LocalAffine` that are as wide as a picture."""

RADIUS = 0.1
"""Standard deviation of the windows as a share of the long side. Chosen by eye: smaller ones show strokes and halos."""

NOISE = 3e-4
"""Variance that is added to both covariances, in units of the range, so that the noise of a sky is not enlarged."""

GAINS = 1.3, 2.5
"""Most that a map spreads colours in any direction: by as much as the contrast of the whole picture rises, within
these limits. A painting's strokes vary where a photo is plain. Gains of 3 followed from that, which raised the noise
and blocks of dark grounds, and drew coloured fringes around fur and hair."""

GRID = 128
"""Long side of the grid on which maps are planned, in pixels. The windows are so wide that more places add nothing."""

STRIP, THREADS = 64, 2
"""Rows of a full picture that a thread maps at a time, and threads."""


@dataclass(frozen=True)
class LocalAffine:
    """An affine map of R, G and B for every place of a picture: out = rgb + planes @ (rgb, 1).

    planes: "h w 3 4", at the size at which it was fitted; between its pixels it is interpolated.

    Example:
        >>> planes = np.zeros((1, 2, 3, 4), np.float32)
        >>> planes[:, 1, :, 3] = 1.0  # adds nothing at the left, 1 at the right
        >>> LocalAffine(planes).widened(4)[0, 0, 3].tolist()
        [0.0, 0.25, 0.75, 1.0]
    """

    planes: Float[np.ndarray, "h w 3 4"]

    def widened(self, width: int) -> Planes:
        """Interpolate the planes along the rows, for `graded`."""
        height = len(self.planes)
        wide = images.resample(self.planes.reshape(height, -1, 12), height=height, width=width, kernel="linear")
        return np.ascontiguousarray(wide.transpose(0, 2, 1).reshape(height, 3, 4, width))


def graded(
    photo: Rgb, maps: Sequence[Planes], shares: Sequence[Float[np.ndarray, "h w 1"] | None], rows: slice, height: int
) -> Rgb:
    """Map some rows of a picture of a height, each region by its map (`LocalAffine.widened`) and share; None is 1.

    Example:
        >>> planes = np.zeros((1, 1, 3, 4), np.float32)
        >>> planes[..., 3] = 0.25  # a quarter lighter everywhere
        >>> lighter, half = LocalAffine(planes).widened(2), np.full((1, 2, 1), 0.5, np.float32)
        >>> graded(np.full((1, 2, 3), 0.5, np.float32), [lighter], [half], slice(0, 1), 1)[0, :, 0].tolist()
        [0.625, 0.625]
    """
    out = np.empty(photo.shape, np.float32)

    def run(top: int) -> None:
        own = slice(top, top + STRIP)
        piece = made = photo[own]
        for planes, share in zip(maps, shares, strict=True):
            mapped = _mapped(piece, planes, rows.start + top, height)
            made = mapped if share is None else made + share[own] * (mapped - piece)
        out[own] = np.clip(made, 0, 1)  # shares may add up to a little more than one

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(run, range(0, len(photo), STRIP)))
    return out


def _mapped(piece: Rgb, planes: Planes, top: int, height: int) -> Rgb:
    """Map the rows of a picture of a height from `top` on, row by row: what one row takes fits into the cache."""
    own, out = len(planes), np.empty(piece.shape, np.float32)
    colors = np.ones((4, piece.shape[1]), np.float32)
    at = np.clip((np.arange(top, top + len(piece)) + 0.5) * own / height - 0.5, 0, own - 1)
    for row, place in enumerate(at):
        low = int(place)
        above = planes[min(low + 1, own - 1)]
        colors[:3] = piece[row].T
        factors = planes[low] + np.float32(place - low) * (above - planes[low])
        mapped = colors[:3] + np.einsum("cpw,pw->cw", factors, colors)
        out[row] = np.clip(mapped, 0, 1, out=mapped).T
    return out


def fit(
    photo: Rgb, goal: Rgb, weights: Float[np.ndarray, "h w"] | None = None, *, radius: float = RADIUS
) -> LocalAffine:
    """Plan the map from a photo to a picture of the same size, in Gaussian windows.

    The map of a window gives the photo's colours there the mean and covariance of those of `goal`
    (`color.transport`), with limited gains (`GAINS`). `weights` say how much each pixel counts, 0..1.

    Source: ours. A regression in windows, as in He, Sun and Tang 2013, "Guided Image Filtering"
    (doi:10.1109/TPAMI.2012.213), needs the two pictures aligned to the pixel: strokes are not, so it loses contrast.
    Moments do not mind.

    Example:
        >>> photo = np.random.default_rng(0).uniform(0.2, 0.5, size=(32, 32, 3)).astype(np.float32)
        >>> made = fit(photo, photo + 0.25)
        >>> np.allclose(made.planes[..., :3], 0, atol=0.01), np.allclose(made.planes[..., 3], 0.25, atol=0.01)
        (True, True)
    """
    counted = np.ones(photo.shape[:2], np.float32) if weights is None else np.maximum(weights, np.float32(1e-4))
    mean, covariance = _moments(photo, counted, radius)
    goal_mean, goal_covariance = _moments(goal, counted, radius)
    gains, axes = np.linalg.eigh(color.transport(covariance, goal_covariance))
    most = np.clip(_contrast(goal, counted) / max(_contrast(photo, counted), NOISE**0.5), *GAINS)
    matrix = (axes * np.minimum(gains, most)[..., None, :]) @ np.swapaxes(axes, -1, -2)
    bias = goal_mean - (matrix @ mean[..., None])[..., 0]
    return LocalAffine(np.concatenate([matrix - np.eye(3), bias[..., None]], axis=-1).astype(np.float32))


def _contrast(rgb: Rgb, counted: Float[np.ndarray, "h w"]) -> float:
    """Return the standard deviation of luma."""
    plane = color.luma(rgb)
    return float(np.average((plane - np.average(plane, weights=counted)) ** 2, weights=counted)) ** 0.5


def _moments(
    rgb: Rgb, counted: Float[np.ndarray, "h w"], radius: float
) -> tuple[Float[np.ndarray, "g k 3"], Float[np.ndarray, "g k 3 3"]]:
    """Measure mean and covariance of the colours around each place of the grid."""
    from scipy.ndimage import gaussian_filter

    height, width = rgb.shape[:2]
    rows, columns = (max(1, round(side * min(1.0, GRID / max(height, width)))) for side in (height, width))
    pairs = [(i, j) for i in range(3) for j in range(i, 3)]
    products = [rgb[..., i] * rgb[..., j] for i, j in pairs]
    planes = np.stack([counted, *(counted * rgb[..., k] for k in range(3)), *(counted * p for p in products)], axis=-1)
    small = images.resample(planes.astype(np.float32), height=rows, width=columns, kernel="linear").astype(np.float64)
    sigma = radius * max(rows, columns)
    wide = gaussian_filter(small, (sigma, sigma, 0), mode="nearest")
    wide = wide[..., 1:] / wide[..., :1]
    mean, covariance = wide[..., :3], np.empty((rows, columns, 3, 3))
    for place, (i, j) in enumerate(pairs):
        covariance[..., i, j] = covariance[..., j, i] = wide[..., 3 + place] - mean[..., i] * mean[..., j]
    return mean, covariance + NOISE * np.eye(3)
