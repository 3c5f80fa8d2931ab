"""Photorealistic rendering: a local affine map of colours from a photo to its stylised picture, applied at any size.

The stylised picture is small and has paint in it. Planned by windows, an affine map of R, G and B follows its colours
and light but cannot follow its strokes, so the result has the photo's own edges and no others.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from wctstyle import color, images

Rgb = Float[np.ndarray, "h w 3"]

RADIUS = 0.1
"""Standard deviation of the windows as a share of the long side. Chosen by eye: smaller ones show strokes and halos."""

NOISE = 3e-4
"""Variance that is added to both covariances, in units of the range, so that the noise of a sky is not enlarged."""

GRID = 128
"""Long side of the grid on which maps are planned, in pixels. The windows are so wide that more places add nothing."""

STRIP = 128
"""Rows of a full picture that are mapped at a time."""


@dataclass(frozen=True)
class LocalAffine:
    """An affine map of R, G and B for every place of a picture: out = rgb + planes @ (rgb, 1).

    planes: "h w 3 4", at the size at which it was fitted; between its pixels it is interpolated.
    """

    planes: Float[np.ndarray, "h w 3 4"]

    def __call__(self, rgb: Rgb) -> Rgb:
        """Map a picture of any size, in strips, clipped to [0, 1]."""
        height, width = rgb.shape[:2]
        wide, out = self.widened(width), np.empty((height, width, 3), np.float32)

        def run(top: int) -> None:
            rows = slice(top, min(top + STRIP, height))
            out[rows] = self.rows(rgb[rows], rows, height, wide)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(run, range(0, height, STRIP)))
        return out

    def widened(self, width: int) -> Float[np.ndarray, "12 h W"]:
        """Interpolate the planes along the rows, for `rows`."""
        height = len(self.planes)
        wide = images.resample(self.planes.reshape(height, -1, 12), height=height, width=width, kernel="linear")
        return np.ascontiguousarray(np.moveaxis(wide, -1, 0))

    def rows(self, piece: Rgb, rows: slice, height: int, wide: Float[np.ndarray, "12 h W"]) -> Rgb:
        """Map some rows of a picture of a height, with planes that are as wide as it is; clipped to [0, 1]."""
        own = len(self.planes)
        at = np.clip((np.arange(rows.start, rows.stop) + 0.5) * own / height - 0.5, 0, own - 1)
        low = np.minimum(at.astype(int), max(own - 2, 0))
        part, above = (at - low).astype(np.float32)[:, None], np.minimum(low + 1, own - 1)
        mapped = np.array(piece, np.float32)
        for channel in range(3):
            for place in range(4):
                plane = wide[channel * 4 + place]
                factor = plane[low] * (1 - part) + plane[above] * part
                mapped[..., channel] += factor if place == 3 else factor * piece[..., place]
        return np.clip(mapped, 0, 1)


def fit(
    photo: Rgb, goal: Rgb, weights: Float[np.ndarray, "h w"] | None = None, *, radius: float = RADIUS
) -> LocalAffine:
    """Plan the map from a photo to a picture of the same size, in Gaussian windows.

    The map of a window gives the photo's colours there the mean and covariance of those of `goal`
    (`color.transport`). `weights` say how much each pixel counts, 0..1.

    Source: ours. A regression in windows, as in He, Sun and Tang 2013, "Guided Image Filtering"
    (doi:10.1109/TPAMI.2012.213), needs the two pictures aligned to the pixel: strokes are not, so it loses contrast.
    Moments do not mind.
    """
    counted = np.ones(photo.shape[:2], np.float32) if weights is None else np.maximum(weights, np.float32(1e-4))
    mean, covariance = _moments(photo, counted, radius)
    goal_mean, goal_covariance = _moments(goal, counted, radius)
    matrix = color.transport(covariance, goal_covariance)
    bias = goal_mean - (matrix @ mean[..., None])[..., 0]
    return LocalAffine(np.concatenate([matrix - np.eye(3), bias[..., None]], axis=-1).astype(np.float32))


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
