"""A contact sheet: small pictures of many results on one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from wctstyle import images
from wctstyle.errors import ImageError
from wctstyle.inputs import read
from wctstyle.settings import SUGGEST_SIDE

MOST = 500
"""Pictures on a sheet: as many small ones take 100 MB."""

GAP = 8
"""Pixels between small pictures."""


def contact_sheet(sources: Sequence[str | None], columns: int | None = None) -> np.ndarray:
    """Put small pictures on a white sheet, line by line, in so many columns or else about as many as lines.

    None and what cannot be read leave their place empty.
    """
    columns = columns or max(1, math.ceil(math.sqrt(len(sources))))
    step = SUGGEST_SIDE + GAP
    sheet = np.full((math.ceil(len(sources) / columns) * step + GAP, columns * step + GAP, 3), 255, np.uint8)
    for number, source in enumerate(sources):
        small = None if source is None else _small(source)
        if small is not None:
            height, width = small.shape[:2]
            top = GAP + number // columns * step + (SUGGEST_SIDE - height) // 2
            left = GAP + number % columns * step + (SUGGEST_SIDE - width) // 2
            sheet[top : top + height, left : left + width] = small
    return sheet


def _small(source: str) -> np.ndarray | None:
    try:
        picture = images.flatten(images.resize(read(source, 0), long_side=SUGGEST_SIDE))
    except ImageError:
        return None
    return np.rint(picture.rgb * 255).astype(np.uint8)
