"""A texture on a plane without end, painted in one pass a level from coarse to fine, by windows of any place.

The noise is a function of the position, and every level is measured on a sample of its own. So any window can be
painted by itself, with a halo as wide as the networks see, and all windows agree where they overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from wctstyle import images
from wctstyle import look as looks
from wctstyle.codes import Rgb
from wctstyle.encoder import CELL, MODELS
from wctstyle.errors import NonFiniteError
from wctstyle.measuring import Measurer, style_pixels
from wctstyle.moments import Affine
from wctstyle.regions import Region, Style, weighted_styles
from wctstyle.textures.noise import white
from wctstyle.textures.settings import TextureSettings
from wctstyle.tiles import Tiling, decoder_reach, encoder_reach
from wctstyle.types import Features

SAMPLE = 512
"""Side in pixels of what is measured of each level before it is mapped: 4096 positions."""

SAMPLE_SEED = 0
"""Seed of the noise in samples: plans depend on the styles alone, so that another seed needs no new ones."""

MARGIN = int(images.lanczos_reach(1.0))
"""Pixels of a level around those that are enlarged, on which these depend."""


class Window(NamedTuple):
    """A part of a level, in its own pixels; all four are multiples of `CELL`."""

    top: int
    left: int
    height: int
    width: int

    def grown(self, by: int) -> Window:
        """Return the window with `by` pixels more on each side."""
        return Window(self.top - by, self.left - by, self.height + 2 * by, self.width + 2 * by)

    def coarser(self) -> Window:
        """Return the least window of the level before from which this one can be enlarged."""

        def span(start: int, side: int) -> tuple[int, int]:
            first = int(np.floor((start / 2 - MARGIN) / CELL)) * CELL
            last = int(np.ceil(((start + side) / 2 + MARGIN) / CELL)) * CELL
            return first, last - first

        (top, height), (left, width) = span(self.top, self.height), span(self.left, self.width)
        return Window(top, left, height, width)


def at_level(styles: Any, settings: TextureSettings, level: int) -> list[tuple[Style, float]]:
    """Return styles with their weights, scaled to a level (0 is the coarsest)."""

    def scaled(style: Style) -> Style:
        own = style_pixels(style)
        side = settings.style_size / 2 ** (settings.levels - 1 - level)
        return replace(own, picture=looks.shrunk(own.picture, side / max(own.picture.shape[:2])))

    return [(scaled(style), weight) for style, weight in weighted_styles(styles) if weight > 0]


class Plane:
    """The plane of a texture.

    regions: the styles, each with its share of every place (`transitions.parts_of`); what is measured of them is kept
    by the measurer.
    """

    def __init__(self, measurer: Measurer, regions: Sequence[Region], settings: TextureSettings) -> None:
        self._programs, self._settings = measurer._programs, settings
        config = MODELS[measurer.model]
        self._halo = encoder_reach(config) + decoder_reach(config)
        self._masks = [region.mask for region in regions]
        self._finest = settings.levels - 1
        self._period = settings.shape if settings.tileable else None
        tile = Tiling.of(config, (1 << 20, 1 << 20)).tile - 2 * self._halo
        self._tile = tile // settings.step * settings.step
        self._maps: list[list[Affine]] = []
        """By region and level: the map of codes."""
        for region in regions:
            self._maps.append([])
            for level in range(settings.levels):
                self._maps[-1].append(self._plan(measurer, region, level))

    def _plan(self, measurer: Measurer, region: Region, level: int) -> Affine:
        """Plan one level of one region, of which the coarser ones are planned, on a sample of this region alone."""
        styles = [
            (measurer.style(style.picture, style.mask), weight)
            for style, weight in at_level(region.styles, self._settings, level)
        ]
        target = measurer.target(styles, kind=self._settings.blend)
        assert target is not None  # `parts_of` leaves no region of which all weights are 0
        only = len(self._maps) - 1
        pixels = self._source(level, Window(0, 0, SAMPLE, SAMPLE), SAMPLE_SEED, None, only)
        _, moments = self._programs.encode(pixels[None], SAMPLE, SAMPLE)
        return self._programs.plan(moments, target, own=moments, kind="mk").affine

    # ----------------------------------------------------------------------------------------------------- painting

    def _source(
        self, level: int, window: Window, seed: int, period: tuple[int, int] | None, only: int | None
    ) -> Float[np.ndarray, "h w 3"]:
        """Return what a level paints over: noise, or the level before, enlarged."""
        sides = window.height, window.width
        if level == 0:
            coarsest = None if period is None else (period[0] >> self._finest, period[1] >> self._finest)
            return white(seed, window.top, window.left, sides, coarsest)
        before = window.coarser()
        painted = self._painted(level - 1, before, seed, period, only)
        top, left = window.top - 2 * before.top, window.left - 2 * before.left
        part = slice(top, top + sides[0]), slice(left, left + sides[1])
        return images.resize_part(painted, (2 * before.height, 2 * before.width), part)

    def _painted(
        self, level: int, window: Window, seed: int, period: tuple[int, int] | None, only: int | None = None
    ) -> Rgb:
        """Paint a window of a level; `only`: with the map of that region alone."""
        wide, halo = window.grown(self._halo), self._halo
        pixels = self._source(level, wide, seed, period, only)
        code, _ = self._programs.encode(pixels[None], wide.height, wide.width)
        chosen = range(len(self._maps)) if only is None else [only]
        steps = [self._maps[number][level] for number in chosen]
        amounts = [1.0] if only is not None else self._amounts(level, wide, code)
        out = self._programs.painted(code, steps, amounts)[0, halo:-halo, halo:-halo]
        if not np.isfinite(out).all():
            raise NonFiniteError("the texture is not finite", level=None)
        return np.clip(out, 0, 1)

    def _amounts(self, level: int, window: Window, code: Features) -> list[Any]:
        """Return the share of each region in each cell of a window; of all together 1."""
        if len(self._masks) == 1:
            return [1.0]
        from scipy.ndimage import map_coordinates

        scale = CELL << (self._finest - level)  # pixels of the finest level to a cell
        places = [
            (start // CELL + np.arange(count) + 0.5) * scale / side
            for start, count, side in zip(window[:2], code.shape[1:3], self._settings.shape, strict=True)
        ]
        mode = "grid-wrap" if self._settings.tileable else "nearest"

        def seen(mask: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
            at = (place * side - 0.5 for place, side in zip(places, mask.shape, strict=True))
            return map_coordinates(mask, np.meshgrid(*at, indexing="ij"), order=1, mode=mode)

        found = [None if mask is None else seen(mask) for mask in self._masks]
        rest = np.maximum(1 - sum(plane for plane in found if plane is not None), 0)
        planes = [np.broadcast_to(rest, code.shape[1:3]) if plane is None else plane for plane in found]
        total = np.maximum(np.sum(planes, axis=0), 1e-6)
        return [(plane / total).astype(np.float32)[None, :, :, None] for plane in planes]

    # -------------------------------------------------------------------------------------------------- the texture

    def rows(self, painting: Callable[[int, int], None] = lambda tile, tiles: None) -> Iterator[Rgb]:
        """Paint the texture by tiles; gives it from top to bottom, some rows at a time.

        `painting` is told after each tile how many of how many are painted.
        """
        height, width = self._settings.shape
        down, across = (-(-side // self._tile) for side in (height, width))
        tall, wide = (self._side(side) for side in (height, width))
        for row in range(down):
            rows = min(self._tile, height - row * self._tile)
            band = np.empty((rows, width, 3), np.float32)
            for column in range(across):
                window = Window(row * self._tile, column * self._tile, tall, wide)
                tile = self._painted(self._finest, window, self._settings.seed, self._period)
                part = band[:, column * self._tile : (column + 1) * self._tile]
                part[:] = tile[:rows, : part.shape[1]]
                painting(row * across + column + 1, down * across)
            yield band

    def _side(self, side: int) -> int:
        """Return the side of the tiles along a side of the texture: all alike, so that few programs are compiled."""
        return min(self._tile, -(-side // self._settings.step) * self._settings.step)
