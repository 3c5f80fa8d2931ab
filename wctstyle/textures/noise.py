"""White noise as a function of the position on a plane without end, and of a seed."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

BLOCK = 64
"""Side of the blocks that have a generator each."""


def white(
    seed: int, top: int, left: int, shape: tuple[int, int], period: tuple[int, int] | None = None
) -> Float[np.ndarray, "h w 3"]:
    """Return a window of the plane: every value is uniform in [0, 1) and independent of all others.

    Any two windows agree where they overlap. With a `period` (height, width), the plane repeats.
    """
    rows, columns = (np.arange(start, start + side) for start, side in zip((top, left), shape, strict=True))
    if period is not None:
        rows, columns = rows % period[0], columns % period[1]
    out = np.empty((*shape, 3), np.float32)
    for down in np.unique(rows // BLOCK):
        own_rows = np.flatnonzero(rows // BLOCK == down)
        for across in np.unique(columns // BLOCK):
            own_columns = np.flatnonzero(columns // BLOCK == across)
            key = [seed, int(down) % 2**32, int(across) % 2**32]  # blocks left of and above 0 have large numbers
            block = np.random.default_rng(key).random((BLOCK, BLOCK, 3), np.float32)
            out[np.ix_(own_rows, own_columns)] = block[np.ix_(rows[own_rows] % BLOCK, columns[own_columns] % BLOCK)]
    return out
