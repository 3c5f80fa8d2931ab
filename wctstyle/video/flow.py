"""Optical flow between photos: where each pixel was in the frame before, and how far that can be trusted."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from wctstyle.color import luma
from wctstyle.video.extras import opencv

FLOW_SIDE = 256
"""Longest side in pixels at which flow is sought; it is enlarged to the frame's size."""

FINEST = 0.5
"""Flow is sought at half a frame's size. At a quarter, where DIS's fast preset stops, 0.58 instead of 0.68 of the
vectors of the FlyingChairs pairs are right within a pixel (docs/notes/video.md)."""

LEAST_FLOW_SIDE = 32
"""Flow is not sought at less: DIS needs a few of its patches of 8 x 8 each way."""

TOLERANCE, GROWTH = 0.5, 0.01
"""Forward and backward flow may disagree by sqrt(0.5 + 0.01 (|f|^2 + |b|^2)) pixels (Sundaram et al. 2010)."""

LENIENCE = 4.0
"""Squared disagreement, in units of what is allowed, at which confidence falls to 1/e."""

CHANGE = 0.15
"""Change of a pixel's colour along the flow, in units of the range, at which its confidence falls to 1/e."""

CHANGE_RADIUS = 1.5
"""Standard deviation in pixels of the blur before colours are compared, so that noise does not count."""


class Flow(NamedTuple):
    """How the frame before maps to this one."""

    vectors: Float[np.ndarray, "h w 2"]
    """From each pixel to where it was in the frame before: across, down, in pixels."""
    confidence: Float[np.ndarray, "h w"]
    """1 where it can be carried; 0 where it was hidden, outside the frame or of another colour."""


def grid(height: int, width: int) -> Float[np.ndarray, "h w 2"]:
    """Return the place of each pixel: across, down."""
    return np.stack(np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)), axis=-1)


def warped(
    image: Float[np.ndarray, "h w *c"], vectors: Float[np.ndarray, "h w 2"], *, sharp: bool = False
) -> Float[np.ndarray, "h w *c"]:
    """Carry a picture along: each pixel gets what was where its vector points. `sharp`: Lanczos instead of bilinear."""
    cv2 = opencv()
    kind = cv2.INTER_LANCZOS4 if sharp else cv2.INTER_LINEAR
    return cv2.remap(image, grid(*vectors.shape[:2]) + vectors, None, kind, borderMode=cv2.BORDER_REPLICATE)


def summed(values: Float[np.ndarray, "h w c"]) -> Float[np.ndarray, "h w"]:
    """Sum over channels. For two or three of them, this takes a tenth of the time of `ndarray.sum`."""
    return functools.reduce(np.add, np.moveaxis(values, -1, 0))


def largest(values: Float[np.ndarray, "h w c"]) -> Float[np.ndarray, "h w"]:
    """Return the largest channel, as fast as `summed`."""
    return functools.reduce(np.maximum, np.moveaxis(values, -1, 0))


def agreement(back: Float[np.ndarray, "h w 2"], forth: Float[np.ndarray, "h w 2"]) -> Float[np.ndarray, "h w"]:
    """Return exp(-(q / `LENIENCE`)^2), q = |b + f(b)|^2 over what is allowed, in places that stay within the frame.

    It falls to 0 over the first pixel outside. Otherwise a slow pan would draw the frame's last row out into streaks.
    The flow is that at half a frame's size (`FINEST`).
    """
    height, width = back.shape[:2]
    there = warped(forth, back)
    allowed = TOLERANCE * FINEST**2 + GROWTH * (summed(back**2) + summed(there**2))
    apart = summed((back + there) ** 2) / allowed
    across, down = np.moveaxis(grid(height, width) + back, -1, 0)
    outside = functools.reduce(np.maximum, (-across, across - (width - 1), -down, down - (height - 1)))
    return np.exp(-((apart / LENIENCE) ** 2)) * np.clip(1 - outside / FINEST, 0, 1)


def motion_border(vectors: Float[np.ndarray, "h w 2"]) -> Bool[np.ndarray, "h w"]:
    """Find the edges of moving things: |grad u|^2 + |grad v|^2 > 0.01 |w|^2 + 0.002 (Ruder et al. 2016, eq. 6)."""
    slope = sum(summed(np.gradient(vectors, axis=axis) ** 2) for axis in (0, 1))
    return slope > 0.01 * summed(vectors**2) + 0.002


def _sought(rgb: Float[np.ndarray, "h w 3"]) -> np.ndarray:
    """Return a frame's luma in 8 bits, at the size at which flow is sought."""
    cv2 = opencv()
    height, width = rgb.shape[:2]
    scale = max(min(FINEST, FLOW_SIDE / max(height, width)), LEAST_FLOW_SIDE / min(height, width))
    grey = luma(rgb).astype(np.float32)
    if scale != 1:
        kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        grey = cv2.resize(grey, (round(width * scale), round(height * scale)), interpolation=kind)
    return (np.clip(grey, 0, 1) * 255 + 0.5).astype(np.uint8)


def flow(last: Float[np.ndarray, "h w 3"], new: Float[np.ndarray, "h w 3"]) -> Flow:
    """Find how the frame `last` maps to `new`, by DIS in both directions (Kroeger et al. 2016, arXiv:1603.03590).

    Confidence is `agreement` times exp(-(c / `CHANGE`)^2), with the change c of colour along the flow.
    """
    cv2 = opencv()
    height, width = new.shape[:2]
    before, after = _sought(last), _sought(new)
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    dis.setFinestScale(0)
    back, forth = dis.calc(after, before, None), dis.calc(before, after, None)
    agreed = agreement(back, forth)
    if before.shape != (height, width):
        scale = np.array([width / before.shape[1], height / before.shape[0]], np.float32)
        back = cv2.resize(back, (width, height), interpolation=cv2.INTER_LINEAR) * scale
        agreed = cv2.resize(agreed, (width, height), interpolation=cv2.INTER_LINEAR)
    change = largest(np.abs(cv2.GaussianBlur(warped(last, back) - new, (0, 0), CHANGE_RADIUS)))
    return Flow(back, (agreed * np.exp(-((change / CHANGE) ** 2))).astype(np.float32))
