"""The guided filter: fits a map to the edges of a photo."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from wctstyle.images import resample


def guided(
    wanted: Float[np.ndarray, "a b"],
    rgb: Float[np.ndarray, "h w 3"],
    *,
    fitted_at: tuple[int, int],
    radius: int,
    flatness: float,
) -> Float[np.ndarray, "h w"]:
    """Fit a map to the edges of a photo: in each window it becomes a linear function of colour.

    The fast guided filter (He & Sun 2015, arXiv:1505.00996). It is fitted at the height and width `fitted_at`, in
    windows of 2 `radius` + 1 pixels there. `flatness` is the colour variance, in squared units of the range, above
    which the map follows the photo.
    """
    from scipy.ndimage import uniform_filter

    def resized(planes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        return resample(planes, height=size[0], width=size[1], kernel="linear")

    def mean(values: np.ndarray) -> np.ndarray:
        return uniform_filter(values, size=2 * radius + 1, axes=(0, 1), mode="nearest")

    guide = resized(rgb, fitted_at).astype(np.float64)
    small = resized(wanted[..., None], fitted_at)[..., 0].astype(np.float64)
    mean_guide, mean_small = mean(guide), mean(small)
    together = mean(guide * small[..., None]) - mean_guide * mean_small[..., None]
    spread = mean(guide[..., :, None] * guide[..., None, :]) - mean_guide[..., :, None] * mean_guide[..., None, :]
    slope = np.linalg.solve(spread + flatness * np.eye(3), together[..., None])[..., 0]
    offset = mean(mean_small - np.sum(slope * mean_guide, axis=-1))
    size = rgb.shape[0], rgb.shape[1]
    fitted = resized(offset[..., None], size)[..., 0].copy()
    for i, plane in enumerate(np.moveaxis(mean(slope), -1, 0)):
        fitted += resized(plane[..., None], size)[..., 0] * rgb[..., i]
    return np.clip(fitted, 0, 1)
