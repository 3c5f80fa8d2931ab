"""Carrying a painted frame along with what it shows, and blending it with the new one."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from wctstyle.color import luma
from wctstyle.texture import SIDE, field
from wctstyle.video.flow import Flow, grid, opencv, warped

Rgb = Float[np.ndarray, "h w 3"]

FINE_RADIUS = 2.0
"""Standard deviation in pixels of the blur that separates what a blend of two paintings loses: fine paint."""

FINE_WINDOW = 33
"""Side in pixels of the windows over which the strength of fine paint is compared."""

MOST_GAIN = 1.3
"""Most by which fine paint is strengthened in one frame."""

FINE_FLOOR = 1e-5
"""Mean square of fine paint, in squared units of the range, that does not count."""

BROAD_RADIUS = 10.0
"""Standard deviation in pixels of the blur that separates broad colour from paint."""

BROAD_CHANGE = 0.2
"""Difference of broad colour (length in RGB) from which a place takes the new frame's at once, to 1 - 1/e. Without it,
what a figure's paint left on the ground beside it stays there for ten frames."""

COARSER = 4
"""Broad colour is blurred at so much smaller a size."""

PAINTED = 2 / 255
"""Change from the photo, in units of the range, at which a place counts as painted to 1 - 1/e."""

STRETCH = 2.0
"""How many times its area the carried noise may become larger or smaller before a place gets its own again."""


def _broad(difference: Rgb) -> Rgb:
    cv2 = opencv()
    height, width = difference.shape[:2]
    sides = max(1, width // COARSER), max(1, height // COARSER)
    small = cv2.resize(difference, sides, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), BROAD_RADIUS / COARSER)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def _fine_energy(rgb: Rgb) -> tuple[Rgb, Float[np.ndarray, "h w"]]:
    """Return fine paint, and its mean square around each pixel, in luma."""
    cv2 = opencv()
    fine = rgb - cv2.GaussianBlur(rgb, (0, 0), FINE_RADIUS)
    grey = luma(fine).astype(np.float32)
    return fine, cv2.blur(grey * grey, (FINE_WINDOW, FINE_WINDOW)) + FINE_FLOOR


def steadied(last: Rgb, new: Rgb, photo: Rgb, flow: Flow, memory: float) -> Rgb:
    """Blend a painted frame with the one before, carried along: new + memory confidence (carried - new).

    Where the broad colour of the two differs, that of `new` counts. Paintings of the same thing differ in their fine
    paint, so a blend of two has less of it; it is strengthened to what `new` has around each place. Where the photo is
    kept, as outside of all regions, so is `new`.
    """
    cv2 = opencv()
    painted = 1 - np.exp(-cv2.blur(np.abs(new - photo).max(axis=-1), (5, 5)) / PAINTED)
    share = (memory * flow.confidence * painted)[..., None]
    change = np.clip(warped(last, flow.vectors, sharp=True), 0, 1) - new
    broad = _broad(change)
    change -= broad * (1 - np.exp(-(broad**2).sum(axis=-1, keepdims=True) / BROAD_CHANGE**2))
    blended = new + share * change
    fine, energy = _fine_energy(blended)
    gain = np.sqrt(_fine_energy(new)[1] / energy)
    return np.clip(blended + share * (np.clip(gain, 1, MOST_GAIN) - 1)[..., None] * fine, 0, 1).astype(np.float32)


Places = Float[np.ndarray, "h w 3"]
"""Which place of the noise each pixel takes: across, down; and the logarithm of how much its area has shrunk."""


def own_places(height: int, width: int) -> Places:
    """Let each pixel take the noise of its own place."""
    return np.concatenate([grid(height, width), np.zeros((height, width, 1), np.float32)], axis=-1)


def carried_places(places: Places, flow: Flow) -> Places:
    """Carry the noise along with what is seen; what is new, or stretched too far, takes its own."""
    height, width = flow.confidence.shape
    moved = warped(places, flow.vectors)
    moved[..., 2] += np.gradient(flow.vectors[..., 0], axis=1) + np.gradient(flow.vectors[..., 1], axis=0)
    kept = (flow.confidence > 0.5) & (np.abs(moved[..., 2]) < math.log(STRETCH))
    return np.where(kept[..., None], moved, own_places(height, width))


def noise_at(places: Places) -> Float[np.ndarray, "h w"]:
    """Return the field of `wctstyle.texture` at such places."""
    cv2 = opencv()
    wide = np.pad(field(), 2, mode="wrap")  # cubic interpolation sees two pixels beyond
    return cv2.remap(wide, (places[..., :2] % SIDE + 2).astype(np.float32), None, cv2.INTER_CUBIC)
