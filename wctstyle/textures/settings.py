"""Settings of a texture: choices, limits and defaults. Does not import JAX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from wctstyle.errors import ConfigError
from wctstyle.settings import (
    LARGEST_AREA,
    LARGEST_SIDE,
    MAX_SEED,
    MAX_SIDE,
    BlendKind,
    checked_choice,
    checked_switch,
    checked_whole,
)

Gradient = Literal["none", "horizontal", "vertical", "radial"]

COARSEST = 128
"""Least long side of the style pictures at the coarsest level, in pixels; smaller ones have too few positions."""

LEAST_SIDE = 32
"""Smallest side of a texture, in pixels."""

LEAST_STYLE_SIZE = 64

DEFAULT_SIDE = 512

DEFAULT_STYLE_SIZE = 512

OPTIMIZED_SIDE = 2048
"""Longest side of a texture that is optimised: it is done in one piece."""

MAX_OPTIMIZE = 2000

WHOLES = {
    "width": (LEAST_SIDE, LARGEST_SIDE),
    "height": (LEAST_SIDE, LARGEST_SIDE),
    "style_size": (LEAST_STYLE_SIZE, MAX_SIDE),
    "seed": (0, MAX_SEED),
    "optimize": (0, MAX_OPTIMIZE),
}
"""The settings that are whole numbers, with the least and the most they may be."""


@dataclass(frozen=True)
class TextureSettings:
    """Settings of a texture. Values are checked on creation.

    width, height: in pixels. style_size: long side of the style pictures in pixels; strokes keep that size whatever the
    texture's is. tileable: opposite borders meet without a seam, so that the texture may be repeated. seed: of the
    noise; the same seed gives the same texture, and a larger one begins with the smaller one unless it is tileable or
    optimised, or has a transition or masks. blend: how several styles are merged into one. gradient: the styles in
    their order follow each other from left to right, from top to bottom or from the centre outwards. optimize: steps of
    the optimiser on the painted texture; 0 for none.

    Raises:
        ConfigError: a value out of range, naming it.

    Example:
        >>> settings = TextureSettings(width=512, height=256, style_size=256)
        >>> settings.shape, settings.levels, settings.step
        ((256, 512), 2, 32)
        >>> TextureSettings(width=8)
        Traceback (most recent call last):
        wctstyle.errors.ConfigError: width is 8, must be a whole number from 32 to 32768
    """

    width: int = DEFAULT_SIDE
    height: int = DEFAULT_SIDE
    style_size: int = DEFAULT_STYLE_SIZE
    tileable: bool = False
    seed: int = 0
    blend: BlendKind = "barycenter"
    gradient: Gradient = "none"
    optimize: int = 0

    def __post_init__(self) -> None:
        def keep(name: str, checked: Any) -> None:
            object.__setattr__(self, name, checked)

        for name, bounds in WHOLES.items():
            keep(name, checked_whole(name, getattr(self, name), *bounds))
        checked_choice("blend", self.blend, BlendKind)
        checked_choice("gradient", self.gradient, Gradient)
        keep("tileable", checked_switch("tileable", self.tileable))
        if self.width * self.height > LARGEST_AREA:
            raise ConfigError(
                f"size is {self.width} x {self.height}, at most {LARGEST_AREA // 10**6} megapixels are made"
            )
        if self.optimize and max(self.shape) > OPTIMIZED_SIDE:
            raise ConfigError(
                f"optimize is {self.optimize}, and a texture of {self.width} x {self.height} is too large for that: "
                f"it is optimised in one piece, up to {OPTIMIZED_SIDE} pixels a side; make it smaller, or leave it out"
            )
        if self.tileable:
            self._check_tileable()

    def _check_tileable(self) -> None:
        if self.gradient in ("horizontal", "vertical"):
            raise ConfigError(
                f"gradient is {self.gradient!r}, whose two ends do not meet when the texture is repeated; choose "
                "radial, or leave out tileable"
            )
        step = self.step
        if any(side % step for side in self.shape):
            near = " x ".join(str(max(step, round(side / step) * step)) for side in (self.width, self.height))
            raise ConfigError(
                f"size is {self.width} x {self.height}; the sides of a tileable texture are multiples of {step} with "
                f"style_size={self.style_size}; give {near}"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    @property
    def levels(self) -> int:
        """Number of levels, each twice as fine as the one before: the styles are halved down to `COARSEST`."""
        return max(1, (self.style_size // COARSEST).bit_length())

    @property
    def step(self) -> int:
        """What the sides of a tileable texture are multiples of.

        8, the cell of the networks, at the coarsest level; and 16 in the optimiser at half the size.
        """
        return 8 << max(2, self.levels - 1)
