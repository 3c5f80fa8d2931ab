"""The decoder: paints a picture from a code (relu4_1 and the colour of each cell).

It mirrors the encoder's table from conv4_1 up, at the widths of `ModelConfig.painting`. Nearest-neighbour upsampling
followed by a convolution avoids checkerboard artefacts (Odena et al. 2016).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from wctstyle.convolution import correlate
from wctstyle.encoder import Conv, ModelConfig
from wctstyle.types import Features, Image


def upsample(x: Features) -> Features:
    """Double height and width by repeating each position.

    Example:
        >>> upsample(jnp.array([[[[1.0], [2.0]]]]))[0, :, :, 0].tolist()
        [[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]
    """
    n, h, w, c = x.shape
    return jnp.broadcast_to(x[:, :, None, :, None], (n, h, 2, w, 2, c)).reshape(n, 2 * h, 2 * w, c)


def upsampled_conv3x3(
    x: Float[Array, "n h w c_in"], kernel: Float[Array, "3 3 c_in c_out"], bias: Float[Array, " c_out"]
) -> Float[Array, "n h2 w2 c_out"]:
    """Return `conv3x3(upsample(x), kernel, bias)` with less than half of the products.

    After doubling, a 3x3 window holds only two different values along each axis. So each of the four outputs of a
    position is a 2x2 convolution of `x` with its own kernel (after Shi et al. 2016, "Is the deconvolution layer the
    same as a convolutional layer?"). Reflecting the doubled picture is the same as repeating the edge of `x`.

    Example:
        >>> x, kernel, bias = jnp.ones((1, 2, 2, 1)), jnp.arange(9.0).reshape(3, 3, 1, 1), jnp.ones(1)
        >>> made = jax.jit(upsampled_conv3x3)(x, kernel, bias)
        >>> made.shape, made.min().item(), made.max().item()  # 0 + 1 + ... + 8, and the bias
        ((1, 4, 4, 1), 37.0, 37.0)
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
    return rows[:, :, 1:-1] + bias[None, None, None]


class Decoder(nnx.Module):
    """Four stages of convolutions from a code to RGB; conv k_i mirrors the encoder's convolution of that name.

    Example:
        >>> decoder = Decoder(ModelConfig("tiny", (1, 1, 1, 1, 1), (1, 1, 1)))
        >>> decoder.conv("conv1_1").bias[...] = jnp.array([0.25, 0.5, 0.75])
        >>> code = jnp.ones((1, 2, 2, 4))
        >>> image = jax.jit(decoder)(code)
        >>> image.shape, image[0, 0, 0].tolist()  # without weights: the bias alone
        ((1, 16, 16, 3), [0.25, 0.5, 0.75])
        >>> jax.eval_shape(decoder.activations, code)["conv2_1"].shape  # halfway, at half the size
        (1, 8, 8, 1)
    """

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs | None = None) -> None:
        self.config = config
        for name, c_in, c_out in config.convs("decoder"):
            setattr(self, name, Conv(c_in, c_out, rngs=rngs))

    def conv(self, name: str) -> Conv:
        """Return the convolution called `name`, which mirrors the encoder's."""
        return getattr(self, name)

    def activations(self, code: Features) -> dict[str, Features]:
        """Return the output of each convolution by name: "conv1_1" is the picture, the others are after the ReLU."""
        x, doubled = code, False
        out: dict[str, Features] = {}
        for name, _, _ in self.config.convs("decoder"):
            conv = self.conv(name)
            x = upsampled_conv3x3(x, conv.kernel[...], conv.bias[...]) if doubled else conv(x)
            if name != "conv1_1":
                x = jax.nn.relu(x)
            doubled = name.endswith("_1")
            out[name] = x
        return out

    def __call__(self, code: Features) -> Image:
        """Decode a code to RGB at 8 times its height and width, not clipped to [0, 1]."""
        return self.activations(code)["conv1_1"]
