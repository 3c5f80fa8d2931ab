"""3x3 convolutions with zero or reflected borders, in the forms that XLA's CPU backend computes fastest.

Other backends use XLA's own convolution, at its default precision.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from wctstyle import winograd
from wctstyle.compilation import on_cpu
from wctstyle.winograd import Pads

_DIMS = ("NHWC", "HWIO", "NHWC")
_SAME = ((1, 1), (1, 1))
_VALID = ((0, 0), (0, 0))

WIDE = ((64, 4), (256, 2))
"""Columns that a convolution between few channels computes at once, as (most c_in * c_out, columns).

RGB to `slim`'s 16 channels and back: four; 16 to 16: two; VGG-19's 64: one."""

THIN_ROW = 5_000_000
"""Multiplications per output row below which `correlate` computes extra rows, which are cropped."""

MANY_PRODUCTS = 64 * 64
"""c_in * c_out from which the kernel gradient is computed as one matrix product per tap.

As a convolution, it takes twice as long on XLA's CPU backend, and with fewer channels half as long."""


def _convolution(x: Array, kernel: Array, pads: Pads, stride: int) -> Array:
    return lax.conv_general_dilated(x, kernel, (1, stride), pads, dimension_numbers=_DIMS)


def _winograd_pays(x: Array, kernel: Array, pads: Pads, stride: int) -> bool:
    return stride == 1 and winograd.pays((len(x), *winograd.result_sides(x, pads)), kernel.shape)


def _turned(kernel: Array) -> Array:
    """Return the kernel that computes the gradient with respect to the input."""
    return kernel[::-1, ::-1].swapaxes(2, 3)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _correlate(x: Array, kernel: Array, pads: Pads, stride: int, added: int) -> Array:
    """Compute with `winograd` where it is faster, else with `added` extra rows at the bottom, which are cropped.

    The gradient is the plain convolution's.
    """
    if _winograd_pays(x, kernel, pads, stride):
        return winograd.correlate(x, kernel, pads)
    (above, below), sides = pads
    return _convolution(x, kernel, ((above, below + added), sides), stride)[:, : -added or None]


def _correlate_forward(x: Array, kernel: Array, *how: Any) -> tuple[Array, tuple[Array, Array]]:
    return _correlate(x, kernel, *how), (x, kernel)


def _correlate_backward(
    pads: Pads, stride: int, _: int, saved: tuple[Array, Array], slope: Array
) -> tuple[Array, Array]:
    x, kernel = saved
    if stride > 1 or _products(kernel) < MANY_PRODUCTS or min(slope.shape[1:3]) == 1:  # a border strip is cheap
        return jax.vjp(lambda x, kernel: _convolution(x, kernel, pads, stride), *saved)[1](slope)
    if _winograd_pays(x, kernel, pads, stride):
        around: Any = tuple((2 - before, 2 - after) for before, after in pads)
        return winograd.correlate(slope, _turned(kernel), around), winograd.kernel_gradient(x, slope, pads)
    (in_x,) = jax.vjp(lambda x: _convolution(x, kernel, pads, stride), x)[1](slope)
    padded = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    _, height, width, _ = slope.shape
    taps = [
        jnp.einsum("nhwi,nhwo->io", padded[:, i : i + height, j : j + width], slope)
        for i in range(kernel.shape[0])
        for j in range(kernel.shape[1])
    ]
    return in_x, jnp.stack(taps).reshape(kernel.shape)


_correlate.defvjp(_correlate_forward, _correlate_backward)


def _products(kernel: Array) -> int:
    return kernel.shape[2] * kernel.shape[3]


def correlate(
    x: Float[Array, "n h w c_in"], kernel: Float[Array, "kh kw c_in c_out"], pads: Pads, stride: int = 1
) -> Float[Array, "n h2 w2 c_out"]:
    """Cross-correlate a batch with a kernel over zero padding, at every `stride`-th column.

    XLA's CPU backend passes convolutions to a library that distributes rows over the cores, but runs rows with few
    products (`THIN_ROW`) on one core: 256x256x32 takes 12 ms, on two cores 6.7 ms. A convolution with more output rows
    than input rows is not passed on; XLA's own code then uses all cores. So extra rows are computed and cropped.
    Large convolutions between many channels need only a quarter of the products (`winograd`).

    Example:
        >>> x, kernel = jnp.ones((1, 3, 3, 1)), jnp.ones((3, 3, 1, 1))
        >>> correlate(x, kernel, ((0, 0), (0, 0))).ravel().tolist()
        [9.0]
    """
    if not on_cpu():
        return _convolution(x, kernel, pads, stride)
    height, width = x.shape[1:3]
    rows = height + sum(pads[0]) - kernel.shape[0] + 1
    columns = (width + sum(pads[1]) - kernel.shape[1]) // stride + 1
    added = height + 1 - rows
    if columns * kernel.size >= THIN_ROW or not 0 < 8 * added <= rows:
        added = 0
    if not added and _products(kernel) < MANY_PRODUCTS:
        return _convolution(x, kernel, pads, stride)
    return _correlate(x, kernel, pads, stride, added)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _correlate_wide(x: Array, kernel: Array, wide: int) -> Array:
    """Correlate over zero padding, `wide` columns at a time, with one 3 x (2 + wide) kernel of stride `wide`.

    This takes up to twice the products, but on XLA's CPU backend it is 3 times as fast between 3 and 16 channels (four
    columns) and 1.4 times from 16 to 16 (two columns). The gradient with respect to `x` has the same form.
    """
    n, height, width, _ = x.shape
    shifted = [jnp.pad(kernel, ((0, 0), (i, wide - 1 - i), (0, 0), (0, 0))) for i in range(wide)]
    return correlate(x, jnp.concatenate(shifted, axis=-1), _SAME, wide).reshape(n, height, width, -1)


def _wide_forward(x: Array, kernel: Array, wide: int) -> tuple[Array, tuple[Array, Array]]:
    return _correlate_wide(x, kernel, wide), (x, kernel)


def _wide_backward(wide: int, saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = saved
    _, pull = jax.vjp(lambda kernel: correlate(x, kernel, _SAME), kernel)
    return _correlate_wide(gradient, _turned(kernel), wide), *pull(gradient)


_correlate_wide.defvjp(_wide_forward, _wide_backward)


def correlate_same(x: Array, kernel: Array) -> Array:
    """Cross-correlate with a 3x3 kernel over zero padding; between few channels, several columns at a time.

    Example:
        >>> x, kernel = jnp.ones((1, 3, 3, 1)), jnp.ones((3, 3, 1, 1))
        >>> correlate_same(x, kernel)[0, :, :, 0].tolist()
        [[4.0, 6.0, 4.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]]
    """
    if not on_cpu():
        return _convolution(x, kernel, _SAME, 1)
    wide = next((columns for most, columns in WIDE if _products(kernel) <= most), 1)
    if wide > 1 and min(kernel.shape[2:]) >= 3 and x.shape[2] % wide == 0:
        return _correlate_wide(x, kernel, wide)
    return correlate(x, kernel, _SAME)


def conv3x3(
    x: Float[Array, "n h w c_in"], kernel: Float[Array, "3 3 c_in c_out"], bias: Float[Array, " c_out"]
) -> Float[Array, "n h w c_out"]:
    """Cross-correlate with a 3x3 kernel over reflected borders (the edge row is not repeated).

    On a CPU this computes a zero-padded convolution and overwrites its four border strips, which is two to five times
    as fast as padding the whole array first.

    Example:
        >>> x, kernel = jnp.ones((1, 3, 3, 1)), jnp.ones((3, 3, 1, 1))
        >>> jax.jit(conv3x3)(x, kernel, jnp.ones(1)).ravel().tolist()
        [10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0]
    """

    def reflect_columns(z: Array) -> Array:
        return jnp.concatenate([z[:, :, 1:2], z, z[:, :, -2:-1]], axis=2)

    n, height, width, _ = x.shape
    if min(height, width) < 2 or not on_cpu():  # nothing to reflect: the single row or column is repeated
        modes = ["edge" if side < 2 else "reflect" for side in (height, width)]
        x = jnp.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0)), mode=modes[0])
        return (
            correlate(jnp.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)), mode=modes[1]), kernel, _VALID)
            + bias[None, None, None]
        )
    y = correlate_same(x, kernel)
    left = jnp.concatenate([x[:, :, 1:2], x[:, :, :2]], axis=2)
    right = jnp.concatenate([x[:, :, -2:], x[:, :, -2:-1]], axis=2)
    sides = correlate(jnp.concatenate([left, right]), kernel, _VALID)
    top = jnp.concatenate([x[:, 1:2], x[:, :2]], axis=1)
    bottom = jnp.concatenate([x[:, -2:], x[:, -2:-1]], axis=1)
    ends = correlate(reflect_columns(jnp.concatenate([top, bottom])), kernel, _VALID)
    y = lax.dynamic_update_slice(y, sides[:n], (0, 1, 0, 0))
    y = lax.dynamic_update_slice(y, sides[n:], (0, 1, width - 1, 0))
    y = lax.dynamic_update_slice(y, ends[:n], (0, 0, 0, 0))
    y = lax.dynamic_update_slice(y, ends[n:], (0, height - 1, 0, 0))
    return y + bias[None, None, None]


def conv3x3_zero(
    x: Float[Array, "n h w c_in"], kernel: Float[Array, "3 3 c_in c_out"], bias: Float[Array, " c_out"]
) -> Float[Array, "n h w c_out"]:
    """Cross-correlate with a 3x3 kernel over zero padding, as the original does; a quarter cheaper on a CPU.

    Example:
        >>> x, kernel = jnp.ones((1, 3, 3, 1)), jnp.ones((3, 3, 1, 1))
        >>> conv3x3_zero(x, kernel, jnp.ones(1))[0, :, :, 0].tolist()
        [[5.0, 7.0, 5.0], [7.0, 10.0, 7.0], [5.0, 7.0, 5.0]]
    """
    return correlate_same(x, kernel) + bias[None, None, None]
