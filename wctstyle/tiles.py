"""Tiles: windows of a picture that together give what the whole would, as each is computed with a halo.

A pixel that is painted depends on what the encoder and the decoder see around it, which the tables of their
convolutions tell. Windows begin and end within the padded picture, so at its borders the networks reflect what they
reflect in the whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float

from wctstyle.encoder import CELL, CODE_LEVEL, ModelConfig
from wctstyle.images import Part
from wctstyle.settings import LARGEST_SIDE, MAX_SIDE
from wctstyle.sizes import counted_side, of_cells, padded_side

WHOLE_AREA = 2048 * 2048 * 16
"""Most pixels of a picture that is one tile, times channels of the first stage: about 1.1 GiB while it is painted."""

TILE_AREA = 1280 * 1280 * 16
"""The same of a tile of a larger one: about 0.4 GiB."""

PIECE = 512
"""Side of the pieces that are measured."""

MEASURED = 16
"""Pieces that are measured of a picture of many tiles, 4 megapixels.

Of a photo of 4 megapixels and a style with strong strokes, a plan from 16 of 25 pieces changed 1.7 levels on average:
other strokes, no other colours."""


def reach(convs: list[tuple[str, int, int]]) -> int:
    """Return how many pixels to each side a run of 3x3 convolutions sees, in whole cells of a code.

    A convolution of stage k sees one position to each side, 2^(k - 1) pixels.

    Example:
        >>> reach([("conv1_1", 3, 16), ("conv1_2", 16, 16), ("conv2_1", 16, 32)])  # 1 + 1 + 2 pixels
        8
    """
    pixels = sum(2 ** (int(name[4]) - 1) for name, _, _ in convs)
    return -(-pixels // CELL) * CELL


def encoder_reach(config: ModelConfig) -> int:
    """Return how many pixels around a cell its code depends on.

    Example:
        >>> from wctstyle.encoder import MODELS
        >>> encoder_reach(MODELS["slim"])
        32
    """
    return reach([conv for conv in config.convs() if conv[0] <= f"conv{CODE_LEVEL}_1"])


def decoder_reach(config: ModelConfig) -> int:
    """Return how many pixels around a pixel there are codes on which it depends.

    Example:
        >>> from wctstyle.encoder import MODELS
        >>> decoder_reach(MODELS["slim"])
        32
    """
    return reach(config.convs("decoder"))


class Span(NamedTuple):
    """One side of a tile: what is computed, within the padded picture, and what of it is used, within the picture.

    Example:
        >>> span = Span(window=slice(64, 192), core=slice(96, 160))
        >>> span.inside
        slice(32, 96, None)
    """

    window: slice
    core: slice

    @property
    def inside(self) -> slice:
        """The core as it lies in the window."""
        return slice(self.core.start - self.window.start, self.core.stop - self.window.start)


def spans(side: int, tile: int, halo: int) -> list[Span]:
    """Cover a side by windows of `tile` pixels, or one as long as the padded side, of which the cores touch.

    Each core lies `halo` pixels or more inside its window, except at the picture's borders. `tile` and `halo` are
    multiples of `CELL`, and so is all but the end of the last core.

    Example:
        >>> [(span.window.start, span.window.stop, span.core.start, span.core.stop) for span in spans(300, 128, 32)]
        [(0, 128, 0, 96), (64, 192, 96, 160), (128, 256, 160, 224), (192, 320, 224, 300)]
    """
    whole = padded_side(side)
    if whole <= tile:
        return [Span(slice(0, whole), slice(0, side))]
    count = -(-(whole - 2 * halo) // (tile - 2 * halo))
    starts = [round(number * (whole - tile) / (count - 1) / CELL) * CELL for number in range(count)]
    borders = [(start + before + tile) // (2 * CELL) * CELL for before, start in pairwise(starts)]
    borders = [0, *(min(border, side) for border in borders), side]
    cores = [slice(*pair) for pair in pairwise(borders)]
    found = [Span(slice(at, at + tile), core) for at, core in zip(starts, cores, strict=True)]
    return [span for span in found if span.core.start < span.core.stop]  # the last may hold padding alone


Tile = tuple[Span, Span]
"""Rows and columns of a tile."""


def cut(shape: tuple[int, int], tile: int, halo: int) -> list[list[Tile]]:
    """Cut a picture into rows of tiles."""
    down, across = (spans(side, tile, halo) for side in shape)
    return [[(rows, columns) for columns in across] for rows in down]


def window(tile: Tile, shape: tuple[int, int], read: Callable[[Part], np.ndarray], mode: Any = "reflect") -> np.ndarray:
    """Read what a tile's window covers, padded as the whole picture is where it goes beyond."""
    down, across = (
        slice(span.window.start, min(span.window.stop, side)) for span, side in zip(tile, shape, strict=True)
    )
    planes = read((down, across))
    pads = [(0, span.window.stop - own.stop) for span, own in zip(tile, (down, across), strict=True)]
    return np.pad(planes, (*pads, *((0, 0),) * (planes.ndim - 2)), mode=mode)


def cells_used(tile: Tile, shape: tuple[int, int]) -> Float[np.ndarray, "1 h w 1"]:
    """Return the fraction of each cell of a window that lies in the tile's core, and so on the picture."""

    def used(span: Span, side: int) -> Float[np.ndarray, " n"]:
        stop = counted_side(side) if span.core.stop == side else span.core.stop
        places = np.arange(span.window.start, span.window.stop)
        return ((span.core.start <= places) & (places < stop)).astype(np.float32)

    rows, columns = (used(span, side) for span, side in zip(tile, shape, strict=True))
    return of_cells((rows[:, None] * columns)[None, :, :, None])


class Faded(NamedTuple):
    """One side of a tile that overlaps its neighbours: its pixels, and how much each of them counts, 0..1.

    Example:
        >>> left, right = faded(6, 4, 2)
        >>> left.window, right.window, [round(float(weight), 2) for weight in left.weights]
        (slice(0, 4, None), slice(2, 6, None), [1.0, 1.0, 0.85, 0.15])
    """

    window: slice
    weights: Float[np.ndarray, " n"]


def faded(side: int, tile: int, overlap: int) -> list[Faded]:
    """Cover a side by windows of `tile` pixels that overlap by `overlap` pixels or more.

    Towards a neighbour the weights of a window fade out smoothly; those of all windows add up to one at every pixel.

    Example:
        >>> total = np.zeros(10)
        >>> for one in faded(10, 4, 2):
        ...     total[one.window] += one.weights
        >>> total.round(6).tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """
    tile = min(tile, side)
    count = 1 + max(0, -(-(side - tile) // max(1, tile - overlap)))
    starts = [round(number * (side - tile) / max(1, count - 1)) for number in range(count)]
    places, total, hats = np.arange(tile) + 0.5, np.zeros(side), []
    for start in starts:
        before = places if start else np.inf
        after = tile - places if start + tile < side else np.inf
        hats.append(np.sin(np.pi / 2 * np.minimum(1, np.minimum(before, after) / overlap)) ** 2 * np.ones(tile))
        total[start : start + tile] += hats[-1]
    windows = [slice(start, start + tile) for start in starts]
    return [Faded(at, (hat / total[at]).astype(np.float32)) for at, hat in zip(windows, hats, strict=True)]


@dataclass(frozen=True)
class Tiling:
    """How a picture is cut: sides of the windows that are painted and measured, and how many of these at most.

    Example:
        >>> from wctstyle.encoder import MODELS
        >>> Tiling.of(MODELS["slim"], (2000, 1500)).tile, Tiling.of(MODELS["slim"], (4000, 3000)).tile
        (32768, 1280)
    """

    tile: int
    piece: int = PIECE
    measured: int = MEASURED

    @classmethod
    def of(cls, config: ModelConfig, shape: tuple[int, int]) -> Tiling:
        """Choose how a picture is cut: not at all up to `WHOLE_AREA`."""
        channels = config.channels[0]
        if math.prod(padded_side(side) for side in shape) * channels <= WHOLE_AREA:
            return cls(LARGEST_SIDE, LARGEST_SIDE)
        family = (side for side in range(MAX_SIDE, 0, -CELL) if side == padded_side(side))
        return cls(next(side for side in family if side**2 * channels <= TILE_AREA))


_T = TypeVar("_T")


def spread_over(parts: Sequence[_T], most: int) -> list[_T]:
    """Choose up to `most` of some parts, irregularly, or all might lie in one column."""
    count = min(len(parts), most)
    offsets = np.random.default_rng(0).random(count)
    return [parts[int((place + offset) * len(parts) / count)] for place, offset in enumerate(offsets)]
