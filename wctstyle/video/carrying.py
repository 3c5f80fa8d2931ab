"""Carrying a painted frame along with what it shows, and blending it with the new one."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from wctstyle.texture import SIDE, field
from wctstyle.video.extras import opencv
from wctstyle.video.flow import Flow, grid, largest, summed, warped

Rgb = Float[np.ndarray, "h w 3"]

FINE_RADIUS = 1.0
"""Standard deviation in pixels of the blur that separates what a blend of two paintings loses: fine paint."""

FINE_WINDOW = 33
"""Side in pixels of the windows over which the strength of fine paint is compared."""

FINE_FLOOR = 1e-5
"""Mean square of fine paint, in squared units of the range, that does not count."""

BROAD_RADIUS = 10.0
"""Standard deviation in pixels of the blur that separates broad colour from paint."""

BROAD_CHANGE = 0.2
"""Difference of broad colour (length in RGB) from which a place takes the new frame's at once, to 1 - 1/e. Without it,
what a figure's paint left on the ground beside it stays there for ten frames."""

COARSER = 4
"""Broad colour is found, and paint compared, at so much smaller a size."""

ALIKE = 0.3
"""Correlation of the paint of two frames from which they show the same. Where the flow is trusted it is more in 19 of
20 places, and 37 pixels beside its median is at most 0.18 (docs/notes/video.md)."""

ALIKE_WINDOW = 36
"""Side in pixels of the windows over which paint is compared."""

PLAIN_PAINT = 3e-5
"""Mean square of paint, in squared units of the range, that does not count: plain places are alike."""

PAINTED = 2 / 255
"""Change from the photo, in units of the range, at which a place counts as painted to 1 - 1/e."""

STRETCH = 2.0
"""How many times its area the carried noise may become larger or smaller before a place gets its own again."""

MOST_MEMORY = 0.975
"""Share of the frame before in the next at calm 1. With less, more fine paint is averaged away. With 0.99 ripples grow
in a slow pan, as each frame is resampled anew (docs/notes/video.md)."""


@dataclass(frozen=True)
class Past:
    """The frame before: as it was, and as it became."""

    photo: Rgb
    made: Rgb

    def state(self) -> dict[str, np.ndarray]:
        """Return it as arrays by name."""
        return {"photo": self.photo, "made": self.made}

    @classmethod
    def of(cls, state: Mapping[str, np.ndarray]) -> Past | None:
        """Take what `state` gave; None of an empty one, before the first frame."""
        return cls(state["photo"], state["made"]) if state else None


def memory_of(calm: float) -> float:
    """Return the share of the frame before in the next, where it can be carried: `MOST_MEMORY` (1 - (1 - calm)^3)."""
    return MOST_MEMORY * (1 - (1 - calm) ** 3)


def _compared(last: Rgb, new: Rgb) -> tuple[Rgb, Float[np.ndarray, "h w"]]:
    """Return what of last - new is a change of broad colour, and how far the paint of the two is alike, 0..1.

    The change is b (1 - exp(-|b|^2 / `BROAD_CHANGE`^2)), with the difference b of broad colour. Paint is what differs
    from broad colour; it is alike by its correlation in windows, in units of `ALIKE`.
    """
    cv2 = opencv()
    height, width = new.shape[:2]
    sides = max(1, width // COARSER), max(1, height // COARSER)
    small = [cv2.resize(rgb, sides, interpolation=cv2.INTER_AREA) for rgb in (last, new)]
    broad = [cv2.GaussianBlur(rgb, (0, 0), BROAD_RADIUS / COARSER) for rgb in small]
    one, other = (rgb - own for rgb, own in zip(small, broad, strict=True))

    def mean(product: Rgb) -> Float[np.ndarray, "h w"]:
        return cv2.blur(summed(product) / 3, (ALIKE_WINDOW // COARSER, ALIKE_WINDOW // COARSER))

    strength = np.sqrt(mean(one * one) * mean(other * other))
    alike = np.clip((mean(one * other) + PLAIN_PAINT) / (strength + PLAIN_PAINT) / ALIKE, 0, 1)
    change = broad[0] - broad[1]
    change *= (1 - np.exp(-summed(change**2) / BROAD_CHANGE**2))[..., None]
    change, alike = (cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in (change, alike))
    return change, alike


def _refill(blended: Rgb, new: Rgb) -> Rgb:
    """Return as much of the new frame's fine paint, 0..1 of it, as gives a blend as much as the new frame has there.

    The share b solves <(f + b n)^2> = <n^2>, with the fine paint f of the blend, n of the new frame, and means over
    channels and `FINE_WINDOW`.
    """
    cv2 = opencv()
    fine, wanted = (rgb - cv2.GaussianBlur(rgb, (0, 0), FINE_RADIUS) for rgb in (blended, new))

    def mean(product: Rgb) -> Float[np.ndarray, "h w"]:
        return cv2.blur(summed(product) / 3, (FINE_WINDOW, FINE_WINDOW))

    own, all_of_it, common = mean(fine * fine), mean(wanted * wanted) + FINE_FLOOR, mean(fine * wanted)
    lost = np.maximum(all_of_it - own - FINE_FLOOR, 0)
    share = (np.sqrt(common**2 + all_of_it * lost) - common) / all_of_it
    return np.clip(share, 0, 1)[..., None] * wanted


def carried(last: Rgb, flow: Flow) -> Rgb:
    """Carry a painted frame along."""
    moved = warped(last, flow.vectors, sharp=True)
    return np.clip(moved, 0, 1, out=moved)


def steadied(last: Rgb, new: Rgb, photo: Rgb, confidence: Float[np.ndarray, "h w"], memory: float) -> Rgb:
    """Blend a painted frame with the one before, carried along (`last`): new + memory confidence (last - new).

    Where the broad colour of the two differs, that of `new` counts, and where their paint is not alike, all of `new`.
    Paintings of the same thing differ in their fine paint, and carrying blurs it, so a blend has less of it; as much
    of the new frame's is added, all of it also where the old one counts in part, which loses most. Strengthening the
    blend's own instead leaves specks and streaks in a slow pan. Where the photo is kept, as outside of all regions, so
    is `new`.
    """
    cv2 = opencv()
    painted = 1 - np.exp(-cv2.blur(largest(np.abs(new - photo)), (5, 5)) / PAINTED)
    broad_change, alike = _compared(last, new)
    share = memory * confidence * painted * alike
    blended = new + share[..., None] * (last - new - broad_change)
    return np.clip(blended + painted[..., None] * _refill(blended, new), 0, 1).astype(np.float32)


EXTENT = 0.06
"""Standard deviation, as a share of the long side, of the neighbourhood with whose colours a picture is continued."""

FAR = 1e-3
"""What all of a picture counts beside that neighbourhood, so that there is something everywhere."""

STEADINESS = 0.01
"""Variance of colour, in squared units of the range, from which a change of colour depends on the colour."""


def continued(carried: Rgb, new: Rgb, trust: Float[np.ndarray, "h w"]) -> Rgb:
    """Return a carried picture where it can be trusted, and elsewhere `new` with the colours that it has nearby.

    What the two differ by is fitted to the colour of `new` around each pixel, d = A c + b, where the picture can be
    trusted: without that, what comes into view keeps the colours of `new` as a patch.
    """
    cv2 = opencv()
    height, width = new.shape[:2]
    sides = max(1, width // COARSER), max(1, height // COARSER)
    weight, color, change = (
        cv2.resize(plane, sides, interpolation=cv2.INTER_AREA) for plane in (trust, new, carried - new)
    )

    def mean(values: np.ndarray) -> np.ndarray:
        planes = (weight[..., None] * values.reshape(*weight.shape, -1)).astype(np.float32)
        near = cv2.GaussianBlur(planes, (0, 0), EXTENT * max(weight.shape)).reshape(planes.shape)
        return (near + FAR * planes.mean(axis=(0, 1))).reshape(values.shape)

    whole = np.maximum(mean(np.ones((*weight.shape, 1), np.float32)), 1e-6)
    center, shift = mean(color) / whole, mean(change) / whole
    spread = mean(color[..., :, None] * color[..., None, :]) / whole[..., None]
    spread -= center[..., :, None] * center[..., None, :]
    together = mean(color[..., :, None] * change[..., None, :]) / whole[..., None]
    together -= center[..., :, None] * shift[..., None, :]
    slope = np.linalg.solve(spread + STEADINESS * np.eye(3), together)
    offset = shift - np.einsum("hwi,hwij->hwj", center, slope)
    slope, offset = (
        cv2.resize(plane.reshape(*weight.shape, -1).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
        for plane in (slope, offset)
    )
    elsewhere = new + np.einsum("hwi,hwij->hwj", new, slope.reshape(height, width, 3, 3)) + offset
    return np.clip(elsewhere + trust[..., None] * (carried - elsewhere), 0, 1).astype(np.float32)


Places = Float[np.ndarray, "h w 3"]
"""Which place of the noise each pixel takes: across, down; and the logarithm of how much its area has shrunk."""

SAMPLED = 4
"""The median motion is that of every fourth pixel each way."""


@functools.lru_cache(maxsize=2)
def own_places(height: int, width: int) -> Places:
    """Let each pixel take the noise of its own place. The array is shared and cannot be changed."""
    places = np.concatenate([grid(height, width), np.zeros((height, width, 1), np.float32)], axis=-1)
    places.flags.writeable = False
    return places


def carried_places(places: Places, flow: Flow) -> Places:
    """Carry the noise along with what is seen; what is new, or stretched too far, takes its own.

    New places get the field shifted by the median motion. Without that, every column that a pan brings in would repeat
    the same noise.
    """
    own = own_places(*flow.confidence.shape)
    moved = warped(places, flow.vectors)
    moved[..., 2] += np.gradient(flow.vectors[..., 0], axis=1) + np.gradient(flow.vectors[..., 1], axis=0)
    kept = (flow.confidence > 0.5) & (np.abs(moved[..., 2]) < math.log(STRETCH))
    some = (slice(None, None, SAMPLED), slice(None, None, SAMPLED))
    shift = np.zeros(3, np.float32)
    if kept[some].any():
        shift[:2] = np.median((moved[some] - own[some])[kept[some]][:, :2], axis=0)
    moved[~kept] = own[~kept] + shift
    return moved


@functools.cache
def _wide_field() -> Float[np.ndarray, "h w"]:
    """Return the field with two pixels more on each side, which cubic interpolation sees."""
    return np.pad(field(), 2, mode="wrap")


def noise_at(places: Places) -> Float[np.ndarray, "h w"]:
    """Return the field of `wctstyle.texture` at such places."""
    cv2 = opencv()
    inside = places[..., :2] - np.float32(SIDE) * np.floor(places[..., :2] / np.float32(SIDE))
    return cv2.remap(_wide_field(), inside + np.float32(2), None, cv2.INTER_CUBIC)
