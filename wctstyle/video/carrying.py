"""Carrying a painted frame along with what it shows, and blending it with the new one."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from wctstyle.color import luma
from wctstyle.texture import SIDE, field
from wctstyle.video.flow import Flow, grid, opencv, warped

Rgb = Float[np.ndarray, "h w 3"]

FINE_RADIUS = 1.0
"""Standard deviation in pixels of the blur that separates what a blend of two paintings loses: fine paint."""

FINE_WINDOW = 33
"""Side in pixels of the windows over which the strength of fine paint is compared."""

MOST_GAIN = 1.5
"""Most by which fine paint is strengthened in one frame."""

FINE_FLOOR = 1e-5
"""Mean square of fine paint, in squared units of the range, that does not count."""

PAINTED = 2 / 255
"""Change from the photo, in units of the range, at which a place counts as painted to 1 - 1/e."""

STRETCH = 1.5
"""How much wider or narrower the carried noise may become before a place gets its own again."""


def steadied(last: Rgb, new: Rgb, photo: Rgb, flow: Flow, memory: float) -> Rgb:
    """Blend a painted frame with the one before, carried along: new + memory confidence (carried - new).

    Paintings of the same thing differ in their fine paint, so a blend of two has less of it. It is strengthened to what
    `new` has around each place. Where the photo is kept, as outside of all regions, so is `new`.
    """
    cv2 = opencv()
    painted = 1 - np.exp(-cv2.blur(np.abs(new - photo).max(axis=-1), (5, 5)) / PAINTED)
    share = (memory * flow.confidence * painted)[..., None]
    carried = np.clip(warped(last, flow.vectors, sharp=True), 0, 1)
    blended = new + share * (carried - new)
    fine = blended - cv2.GaussianBlur(blended, (0, 0), FINE_RADIUS)
    grey = luma(new).astype(np.float32)
    wanted = grey - cv2.GaussianBlur(grey, (0, 0), FINE_RADIUS)

    def energy(plane: np.ndarray) -> np.ndarray:
        return cv2.blur(plane * plane, (FINE_WINDOW, FINE_WINDOW)) + FINE_FLOOR

    gain = np.sqrt(energy(wanted) / energy(luma(fine).astype(np.float32)))
    return np.clip(blended + share * (np.clip(gain, 1, MOST_GAIN) - 1)[..., None] * fine, 0, 1).astype(np.float32)


def carried_places(places: Float[np.ndarray, "h w 2"], flow: Flow) -> Float[np.ndarray, "h w 2"]:
    """Carry along which place of the noise each pixel takes; what is new, or stretched too far, takes its own."""
    own = grid(*places.shape[:2])
    moved = warped(places, flow.vectors)
    rows = np.abs(np.gradient(moved, axis=0)).max(axis=-1)
    columns = np.abs(np.gradient(moved, axis=1)).max(axis=-1)
    widest, narrowest = np.maximum(rows, columns), np.minimum(rows, columns)
    kept = (flow.confidence > 0.5) & (widest < STRETCH) & (narrowest > 1 / STRETCH)
    return np.where(kept[..., None], moved, own)


def noise_at(places: Float[np.ndarray, "h w 2"]) -> Float[np.ndarray, "h w"]:
    """Return the field of `wctstyle.texture` at such places."""
    cv2 = opencv()
    wide = np.pad(field(), 2, mode="wrap")  # cubic interpolation sees two pixels beyond
    return cv2.remap(wide, (places % SIDE + 2).astype(np.float32), None, cv2.INTER_CUBIC)
