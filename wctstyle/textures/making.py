"""Making a texture: painted, and optimised where that is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from wctstyle.codes import Rgb
from wctstyle.measuring import Measurer
from wctstyle.optimizer import Optimizer
from wctstyle.settings import optimizer_model
from wctstyle.textures.optimised import iterates
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

    Example:
        >>> from wctstyle import Stylizer, samples
        >>> style = samples.picture("marbling").rgb[:64, :64]
        >>> settings = TextureSettings(width=32, height=32, style_size=64)
        >>> np.concatenate(list(painted_rows(Stylizer("slim"), style, settings))).shape
        (32, 32, 3)
    """
    yield from Plane(measurer, parts_of(styles, settings), settings).rows(painting)


@dataclass(frozen=True)
class Stage:
    """How far a texture is that is optimised: done steps of steps, 0 where it is painted, with the picture so far."""

    step: int
    steps: int
    image: Rgb
    seconds_left: float = 0.0


def stages(
    measurer: Measurer,
    styles: Any,
    settings: TextureSettings,
    optimizer: Callable[[], Optimizer],
    *,
    painting: Callable[[int, int], None] = lambda tile, tiles: None,
) -> Iterator[Stage]:
    """Paint a texture and optimise it, as the settings say; yields about once a second, the last one being the result.

    Arguments and errors as in `make`; `painting` as in `painted_rows`.
    """
    regions = parts_of(styles, settings)
    image = np.concatenate(list(Plane(measurer, regions, settings).rows(painting)))
    yield Stage(0, settings.optimize, image)
    if settings.optimize:
        for iterate in iterates(optimizer(), image, regions, settings):
            yield Stage(iterate.step, settings.optimize, iterate.image, iterate.seconds_left)


def make(
    measurer: Measurer,
    styles: Any,
    settings: TextureSettings = TextureSettings(),  # noqa: B008
    *,
    optimizer: Optimizer | None = None,
) -> Rgb:
    """Make a texture: RGB in [0, 1], "h w 3", of the settings' size.

    White noise is mapped to the styles' moments and decoded, at a quarter of the size first and then, enlarged, at
    half and at all of it (after Li et al. 2017, arXiv:1705.08086, section 5, who map the features of five layers at
    one size).

    Args:
        measurer: a `Stylizer`, whose model paints.
        styles: as in `Stylizer.stylize`: a picture (RGB in [0, 1]), pictures with weights, or regions with masks. They
            are scaled to `style_size`.
        settings: see `TextureSettings`.
        optimizer: what optimises, where the settings want it; by default with the network that belongs to the model.

    Raises:
        ConfigError: no style, a gradient of one, or masks that leave a part of the texture without a style.
        ImageError: a picture or mask of the wrong shape, type or range, or a size that takes more memory to optimise
            than is free.
        NonFiniteError: the result is not finite.

    Example:
        >>> from wctstyle import Stylizer, samples
        >>> style, painter = samples.picture("marbling").rgb[:64, :64], Stylizer("slim")
        >>> one, other = (make(painter, style, TextureSettings(32, 32, 64, seed=seed)) for seed in (0, 1))
        >>> one.shape, np.array_equal(one, other)  # another seed gives another texture
        ((32, 32, 3), False)
    """

    def made() -> Optimizer:
        return optimizer or Optimizer(optimizer_model(measurer.model))

    *_, last = stages(measurer, styles, settings, made)
    return last.image
