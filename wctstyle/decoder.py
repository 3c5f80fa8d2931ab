"""The decoder: the encoder's table mirrored, in five blocks.

Block k maps relu{k}_1 features to relu{k-1}_1 features; block 1 maps relu1_1 to RGB. Decoding from level k is blocks
k..1, so one set of weights serves the one-pass chain and the five-pass cascade alike. Upsampling is nearest
neighbour followed by a convolution (no checkerboard; Odena et al. 2016).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from wctstyle.convolution import conv3x3, correlate
from wctstyle.encoder import STAGE_CONVS, Conv, ModelConfig
from wctstyle.moments import Affine
from wctstyle.types import Features, Image


def upsample(x: Features) -> Features:
    """Double height and width by repeating each position."""
    n, h, w, c = x.shape
    return jnp.broadcast_to(x[:, :, None, :, None], (n, h, 2, w, 2, c)).reshape(n, 2 * h, 2 * w, c)


def upsampled_conv3x3(
    x: Float[Array, "n h w c_in"], kernel: Float[Array, "3 3 c_in c_out"], bias: Float[Array, " c_out"]
) -> Float[Array, "n h2 w2 c_out"]:
    """Return `conv3x3(upsample(x), kernel, bias)`, with less than half of the products.

    The 3x3 window of a doubled row or column holds two different values only, so each of the four positions that come
    from one has a 2x2 kernel of its own over `x` (after Shi et al. 2016, "Is the deconvolution layer the same as a
    convolutional layer?"). Reflecting the doubled picture is repeating the edge of `x`.
    """
    n, height, width, c_in = x.shape
    c_out = kernel.shape[3]

    def split(taps: Array) -> Array:  # (3, ...) to (tap of 2, odd or even, ...)
        odd = jnp.stack([taps[0] + taps[1], taps[2]])  # row 2r + 1 sees r, r, r + 1
        even = jnp.stack([taps[0], taps[1] + taps[2]])  # row 2r sees r - 1, r, r
        return jnp.stack([odd, even], axis=1)

    columns = split(kernel.transpose(1, 0, 2, 3))  # tap, position, row, c_in, c_out
    folded = split(columns.transpose(2, 0, 1, 3, 4))  # row: tap, position; column: tap, position; c_in, c_out
    folded = folded.transpose(0, 2, 4, 1, 3, 5).reshape(2, 2, c_in, 4 * c_out)
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    y = correlate(padded, folded, ((0, 0), (0, 0)))
    odd, even = y[:, 1:, :, : 2 * c_out], y[:, :-1, :, 2 * c_out :]  # each: an odd column, then the even one after it
    rows = jnp.stack([even, odd], axis=2).reshape(n, 2 * height, 2 * width + 2, c_out)
    return rows[:, :, 1:-1] + bias


class Decoder(nnx.Module):
    """The mirror of `Encoder`: conv k_i here maps that layer's outputs back to its inputs."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs | None = None) -> None:
        self.config = config
        for name, c_in, c_out in reversed(config.convs()):
            setattr(self, name, Conv(c_out, c_in, rngs=rngs))

    def conv(self, name: str) -> Conv:
        """Return the convolution called `name`; it mirrors the encoder's of that name."""
        return getattr(self, name)

    @staticmethod
    def layers(level: int) -> list[str]:
        """Return the convolutions of block `level`, in order of use."""
        if level == 1:
            return ["conv1_1"]
        below = level - 1
        return [f"conv{level}_1", *(f"conv{below}_{i}" for i in range(STAGE_CONVS[below - 1], 1, -1))]

    def block(self, x: Features, level: int, affine: Affine | None = None) -> Features:
        """Map relu{level}_1 features to relu{level-1}_1 features (level 1: to RGB, not clipped).

        `affine` is applied to `x` first. It is folded into the first convolution, which is exact because
        borders are reflected and cheaper than a pass of its own over the features.
        """
        first, *rest = (self.conv(name) for name in self.layers(level))
        kernel, bias = first.kernel[...], first.bias[...]
        if affine is not None:
            bias = bias + jnp.einsum("yxio,i->o", kernel, affine.bias)
            kernel = jnp.einsum("yxio,ij->yxjo", kernel, affine.matrix)
        x = conv3x3(x, kernel, bias)
        if level == 1:
            return x
        x = jax.nn.relu(upsampled_conv3x3(jax.nn.relu(x), rest[0].kernel[...], rest[0].bias[...]))
        for conv in rest[1:]:
            x = jax.nn.relu(conv(x))
        return x

    def change(self, x: Features, affine: Affine) -> Image:
        """Return block(x, 1, affine) - block(x, 1): what a map changes in RGB. One convolution: block 1 is linear."""
        kernel = self.conv("conv1_1").kernel[...]
        moved = jnp.einsum("yxio,ij->yxjo", kernel, affine.matrix - jnp.eye(len(affine.bias), dtype=kernel.dtype))
        return conv3x3(x, moved, jnp.einsum("yxio,i->o", kernel, affine.bias))

    def __call__(self, x: Features, *, level: int) -> Image:
        """Decode relu{level}_1 features to RGB through blocks level..1; not clipped to [0, 1]."""
        for k in range(level, 0, -1):
            x = self.block(x, k)
        return x
