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

    Example:
        >>> photo = np.zeros((32, 32, 3), np.float32)
        >>> photo[:, 16:] = 1
        >>> rough = np.zeros((32, 32), np.float32)
        >>> rough[:, 14:] = 1  # two columns too far
        >>> made = guided(rough, photo, fitted_at=(32, 32), radius=4, flatness=1e-4)
        >>> bool(abs(made[16, 15] - rough[16, 15]) > 0.2), bool(made[16, 16] > 0.9)
        (True, True)
    """
    size = rgb.shape[0], rgb.shape[1]
    small, guide = (resample(planes, height=fitted_at[0], width=fitted_at[1], kernel="linear")
                    for planes in (wanted[..., None], rgb))  # fmt: skip
    planes = fit(small[..., 0], guide, radius=radius, flatness=flatness)
    return applied(resample(planes, height=size[0], width=size[1], kernel="linear"), rgb)


def fit(
    wanted: Float[np.ndarray, "h w"], rgb: Float[np.ndarray, "h w 3"], *, radius: int, flatness: float
) -> Float[np.ndarray, "h w 4"]:
    """Return the linear functions of colour of `guided`: three slopes and an offset at each place.

    Example:
        >>> photo = np.zeros((16, 16, 3), np.float32)
        >>> photo[:, 8:] = 1
        >>> planes = fit(photo[..., 0], photo, radius=4, flatness=1e-4)
        >>> planes.shape, np.allclose(applied(planes, photo), photo[..., 0], atol=0.01)
        ((16, 16, 4), True)
    """
    from scipy.ndimage import uniform_filter

    def mean(values: np.ndarray) -> np.ndarray:
        return uniform_filter(values, size=2 * radius + 1, axes=(0, 1), mode="nearest")

    guide, small = rgb.astype(np.float64), wanted.astype(np.float64)
    mean_guide, mean_small = mean(guide), mean(small)
    together = mean(guide * small[..., None]) - mean_guide * mean_small[..., None]
    spread = mean(guide[..., :, None] * guide[..., None, :]) - mean_guide[..., :, None] * mean_guide[..., None, :]
    slope = np.linalg.solve(spread + flatness * np.eye(3), together[..., None])
    offset = mean_small[..., None] - np.sum(slope[..., 0] * mean_guide, axis=-1, keepdims=True)
    return mean(np.concatenate([slope[..., 0], offset], axis=-1)).astype(np.float32)


def applied(planes: Float[np.ndarray, "h w 4"], rgb: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
    """Return the values at the colours of a photo, limited to 0..1.

    Example:
        >>> planes = np.zeros((1, 2, 4), np.float32)
        >>> planes[..., 0], planes[..., 3] = 0.5, 0.25  # half of red, and a quarter
        >>> applied(planes, np.array([[[0.0] * 3, [1.0] * 3]], np.float32)).tolist()
        [[0.25, 0.75]]
    """
    return np.clip(np.einsum("hwc,hwc->hw", planes[..., :3], rgb) + planes[..., 3], 0, 1)
