"""3x3 correlation with a quarter of the products: Winograd's F(4x4, 3x3), for large convolutions between many channels.

A tile of 6x6 positions and the kernel are each transformed to 36 numbers. Their products, summed over the input
channels, are transformed to a tile of 4x4 results (Lavin & Gray 2016, "Fast algorithms for convolutional neural
networks", section 4.3). So a tile takes 36 products of input and output channels instead of 144. The cost of the
transforms grows only linearly with the channels, so the method is faster when there are many. In float32, results
differ from direct correlation by 5e-6 of their size.

The paper writes the transforms as sums of few terms. Here each is one matrix product over rows and columns at once:
more arithmetic, but equally fast with many channels, and quick to compile (each sum compiled half a second slower than
a direct convolution). All products use full float32 precision: large terms cancel in the sums, and a shorter format
would multiply the error.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

TILE = 4
"""Rows and columns of results per tile of `TILE` + 2 inputs."""

CHANNELS = 128 * 128
POSITIONS = 16
PRODUCTS = 200_000_000
"""Thresholds above which Winograd is faster on XLA's CPU backend (docs/notes/convolutions.md).

All three must be met: c_in * c_out; rows and columns of results; and the product of pictures, rows, columns, c_in and
c_out (without the kernel's nine taps)."""


def _both_ways(rows: list[list[float]]) -> Float[np.ndarray, "outs ins"]:
    """Return the matrix that transforms a flattened square along rows and columns."""
    return np.kron(rows, rows).astype(np.float32)


FROM_POSITIONS = _both_ways([[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0], [0, -2, -1, 2, 1, 0],
                             [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]])  # fmt: skip
FROM_TAPS = _both_ways([[1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6], [1 / 24, 1 / 12, 1 / 6],
                        [1 / 24, -1 / 12, 1 / 6], [0, 0, 1]])  # fmt: skip
TO_RESULTS = _both_ways([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])
"""The paper's B^T, G and A^T for the points 0, 1, -1, 2 and -2: 36 x 36, 36 x 9 and 16 x 36."""

FULL = lax.Precision.HIGHEST

Pads = tuple[tuple[int, int], tuple[int, int]]
"""Zero padding: (above, below), (left, right)."""


def pays(shape: tuple[int, int, int], kernel: tuple[int, ...]) -> bool:
    """Return whether Winograd is faster for results of `shape` (pictures, rows, columns) and a kernel of that shape."""
    height, width, c_in, c_out = kernel
    pictures, rows, columns = shape
    return (
        (height, width) == (3, 3)
        and c_in * c_out >= CHANNELS
        and min(rows, columns) >= POSITIONS
        and pictures * rows * columns * c_in * c_out >= PRODUCTS
    )


def _transform(table: Float[np.ndarray, "outs ins"], x: Float[Array, "ins p c"]) -> Float[Array, "outs p c"]:
    return jnp.matmul(table, x.reshape(len(x), -1), precision=FULL).reshape(-1, *x.shape[1:])


def result_sides(x: Array, pads: Pads) -> tuple[int, int]:
    """Return the numbers of rows and columns of results."""
    rows, columns = (size + sum(pad) - 2 for size, pad in zip(x.shape[1:3], pads, strict=True))
    return rows, columns


def _tile_counts(x: Array, pads: Pads) -> tuple[int, int]:
    """Return how many tiles cover the results vertically and horizontally."""
    rows, columns = result_sides(x, pads)
    return -(-rows // TILE), -(-columns // TILE)


def _positions(x: Float[Array, "n h w c"], pads: Pads) -> Float[Array, "36 tiles c"]:
    """Transform the tiles of every picture; tiles overlap by two rows and columns."""
    n, height, width, c = x.shape
    down, across = _tile_counts(x, pads)
    spare = [(pad[0], TILE * (tiles + 1) - size - pad[0]) for pad, tiles, size in
             zip(pads, (down, across), (height, width), strict=True)]  # fmt: skip
    x = jnp.pad(x, ((0, 0), *spare, (0, 0))).reshape(n, down + 1, TILE, -1, c)
    x = jnp.concatenate([x[:, :-1], x[:, 1:, :2]], axis=2).reshape(n, down, 6, across + 1, TILE, c)
    x = jnp.concatenate([x[:, :, :, :-1], x[:, :, :, 1:, :2]], axis=4)
    return _transform(FROM_POSITIONS, x.transpose(2, 4, 0, 1, 3, 5).reshape(36, -1, c))


def correlate(
    x: Float[Array, "n h w c_in"], kernel: Float[Array, "3 3 c_in c_out"], pads: Pads
) -> Float[Array, "n h2 w2 c_out"]:
    """Cross-correlate a batch with a 3x3 kernel over zero padding."""
    n, c_in = len(x), x.shape[3]
    rows, columns = result_sides(x, pads)
    down, across = _tile_counts(x, pads)
    taps = _transform(FROM_TAPS, kernel.reshape(9, c_in, -1))
    products = jnp.matmul(_positions(x, pads), taps, precision=FULL)
    y = _transform(TO_RESULTS, products).reshape(TILE, TILE, n, down, across, -1)
    y = y.transpose(2, 3, 0, 4, 1, 5).reshape(n, TILE * down, TILE * across, -1)
    return y[:, :rows, :columns]


def kernel_gradient(
    x: Float[Array, "n h w c_in"], slope: Float[Array, "n h2 w2 c_out"], pads: Pads
) -> Float[Array, "3 3 c_in c_out"]:
    """Return the kernel gradient of `correlate(x, kernel, pads)`, given the gradient `slope` of its results."""
    n, height, width, c_out = slope.shape
    down, across = _tile_counts(x, pads)
    slope = jnp.pad(slope, ((0, 0), (0, TILE * down - height), (0, TILE * across - width), (0, 0)))
    slope = slope.reshape(n, down, TILE, across, TILE, c_out).transpose(2, 4, 0, 1, 3, 5)
    products = _transform(TO_RESULTS.T, slope.reshape(TILE * TILE, -1, c_out))
    taps = jnp.einsum("atc,atd->acd", _positions(x, pads), products, precision=FULL)
    return _transform(FROM_TAPS.T, taps).reshape(3, 3, -1, c_out)
