"""Making a texture: painted, and optimised where that is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from wctstyle.codes import Rgb
from wctstyle.measuring import Measurer
from wctstyle.textures.plane import Plane
from wctstyle.textures.settings import TextureSettings
from wctstyle.textures.transitions import parts_of


def painted_rows(
    measurer: Measurer,
    styles: Any,
    settings: TextureSettings,
    painting: Callable[[int, int], None] = lambda tile, tiles: None,
) -> Iterator[Rgb]:
    """Paint a texture from top to bottom, some rows at a time, in memory that grows with its width alone."""
    yield from Plane(measurer, parts_of(styles, settings), settings).rows(painting)


def painted(measurer: Measurer, styles: Any, settings: TextureSettings) -> Rgb:
    """Paint a texture."""
    return np.concatenate(list(painted_rows(measurer, styles, settings)))
