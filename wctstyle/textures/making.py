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
    *,
    painting: Callable[[int, int], None] = lambda tile, tiles: None,
) -> Iterator[Rgb]:
    """Paint a texture from top to bottom, some rows at a time, in memory that grows with its width alone.

    Arguments and errors as in `make`; nothing is optimised. `painting` is told after each tile how many of how many are
    painted.
    """
    yield from Plane(measurer, parts_of(styles, settings), settings).rows(painting)


def make(measurer: Measurer, styles: Any, settings: TextureSettings = TextureSettings()) -> Rgb:  # noqa: B008
    """Make a texture: RGB in [0, 1], "h w 3", of the settings' size.

    White noise is mapped to the styles' moments and decoded, at a quarter of the size first and then, enlarged, at
    half and at all of it (after Li et al. 2017, "Universal Style Transfer via Feature Transforms", section 4.3, who
    map five layers at one size).

    Args:
        measurer: a `Stylizer`, whose model paints.
        styles: as in `Stylizer.stylize`: a picture (RGB in [0, 1]), pictures with weights, or regions with masks. They
            are scaled to `style_size`.
        settings: see `TextureSettings`.

    Raises:
        ConfigError: no style, a gradient of one, or masks that leave a part of the texture without a style.
        ImageError: a picture or mask of the wrong shape, type or range.
        NonFiniteError: the result is not finite.
    """
    return np.concatenate(list(painted_rows(measurer, styles, settings)))
