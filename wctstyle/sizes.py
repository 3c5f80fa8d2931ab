"""The family of sizes to which pictures are padded, so that few compiled programs serve all of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from wctstyle.encoder import CELL

SMALLEST_SIDE = 32
"""Sides below this include their reflected padding in the moments: a few positions give no useful moments."""


def padded_side(side: int) -> int:
    """Round a side up to the family of sizes: steps of 64 up to 512, 128 up to 1024, then 256.

    Example:
        >>> [padded_side(side) for side in (100, 512, 513, 1025)]
        [128, 512, 640, 1280]
    """
    step = 64 if side <= 512 else 128 if side <= 1024 else 256
    return -(-side // step) * step


def counted_side(side: int) -> int:
    """Return how many rows or columns of a padded picture count in its moments.

    Example:
        >>> counted_side(20), counted_side(100)
        (32, 100)
    """
    return max(side, SMALLEST_SIDE)


def padded(rgb: Float[np.ndarray, "h w c"], to: Callable[[int], int]) -> Float[np.ndarray, "H W c"]:
    """Pad the picture by reflection at the bottom and right, from each side to `to(side)`.

    Example:
        >>> padded(np.array([[[1.0], [2.0], [3.0]]]), lambda side: side + 1 if side > 1 else side)[0, :, 0].tolist()
        [1.0, 2.0, 3.0, 2.0]
    """
    pads = [(0, to(side) - side) for side in rgb.shape[:2]]
    return np.pad(np.asarray(rgb, np.float32), (*pads, (0, 0)), mode="reflect")


def pad_to_family(rgb: Float[np.ndarray, "h w c"]) -> Float[np.ndarray, "1 H W c"]:
    """Pad the picture by reflection at the bottom and right to the next size of the family.

    Example:
        >>> pad_to_family(np.zeros((50, 100, 3), np.float32)).shape
        (1, 64, 128, 3)
    """
    return padded(rgb, padded_side)[None]


def of_cells(share: Float[np.ndarray, "1 H W c"]) -> Float[np.ndarray, "1 h w c"]:
    """Average a map over the cells of a code.

    Example:
        >>> share = np.zeros((1, 16, 8, 1), np.float32)
        >>> share[:, :4] = 1
        >>> of_cells(share)[0, :, :, 0].tolist()  # cells are 8 x 8 pixels
        [[0.5], [0.0]]
    """
    n, height, width, channels = share.shape
    rows = share.reshape(n, height // CELL, CELL, width, channels).sum(axis=2, dtype=np.float32)
    return rows.reshape(n, height // CELL, width // CELL, CELL, channels).mean(axis=3) / np.float32(CELL)
