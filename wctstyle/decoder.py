"""The decoder: the encoder's table mirrored, in five blocks.

Block k maps relu{k}_1 features to relu{k-1}_1 features; block 1 maps relu1_1 to RGB. Decoding from level k is blocks
k..1, so one set of weights serves the one-pass chain and the five-pass cascade alike. Upsampling is nearest
neighbour followed by a convolution (no checkerboard; Odena et al. 2016).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from wctstyle.encoder import STAGE_CONVS, Conv, ModelConfig, conv3x3
from wctstyle.moments import Affine
from wctstyle.types import Features, Image


def upsample(x: Features) -> Features:
    """Double height and width by repeating each position."""
    n, h, w, c = x.shape
    return jnp.broadcast_to(x[:, :, None, :, None], (n, h, 2, w, 2, c)).reshape(n, 2 * h, 2 * w, c)


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
        x = upsample(jax.nn.relu(x))
        for conv in rest:
            x = jax.nn.relu(conv(x))
        return x

    def __call__(self, x: Features, *, level: int) -> Image:
        """Decode relu{level}_1 features to RGB through blocks level..1; not clipped to [0, 1]."""
        for k in range(level, 0, -1):
            x = self.block(x, k)
        return x
