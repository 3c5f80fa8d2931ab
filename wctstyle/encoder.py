"""The encoder: VGG-19 up to relu5_1, at any width, from one table.

It takes RGB in [0, 1]. The Caffe preprocessing of the original VGG-19 (RGB to BGR, times 255, minus the mean) is
folded into conv1_1 on import. This is exact because borders are reflected; the original pads with zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from wctstyle.convolution import conv3x3, conv3x3_zero
from wctstyle.types import Features, Image

STAGE_CONVS = (2, 2, 4, 4, 1)
"""Convolutions per stage up to relu5_1: `64 64 M 128 128 M 256 x4 M 512 x4 M 512` (Simonyan & Zisserman 2015)."""

CODE_LEVEL = 4
"""The level whose features are mapped: relu4_1."""

CELL = 2 ** (CODE_LEVEL - 1)
"""Side in pixels of the cell that one position of the code covers."""

COLOR_SCALE = 4.0
"""Factor on the colour channels of a code, which gives them about the scale of the features."""

SIZE_MULTIPLE = 16
"""Height and width must be multiples of this: there are four 2x2 poolings before relu5_1."""


@dataclass(frozen=True)
class ModelConfig:
    """One row of the model table: name, widths of the encoder's five stages, widths of the decoder's three.

    Example:
        >>> config = MODELS["slim"]
        >>> config.code_width, config.convs()[:2], config.convs("decoder")[-1]
        (131, [('conv1_1', 3, 16), ('conv1_2', 16, 16)], ('conv1_1', 16, 3))
    """

    name: str
    channels: tuple[int, int, int, int, int]
    painting: tuple[int, int, int]

    @property
    def code_width(self) -> int:
        """Channels of a code: relu4_1 and the colour of its cell."""
        return self.channels[CODE_LEVEL - 1] + 3

    def convs(self, part: str = "encoder") -> list[tuple[str, int, int]]:
        """List (layer, channels in, channels out) in order of use: conv1_1..conv5_1, or the decoder's conv4_1..1_1."""
        rows: list[tuple[str, int, int]] = []
        if part == "encoder":
            c_in = 3
            for stage, (count, c_out) in enumerate(zip(STAGE_CONVS, self.channels, strict=True), start=1):
                for i in range(1, count + 1):
                    rows.append((f"conv{stage}_{i}", c_in, c_out))
                    c_in = c_out
            return rows
        c_in, widths = self.code_width, (3, *self.painting)  # of the picture and of stages 1 to 3
        for stage in range(CODE_LEVEL, 0, -1):
            for i in range(1 if stage == CODE_LEVEL else STAGE_CONVS[stage - 1], 0, -1):
                c_out = widths[stage if i > 1 else stage - 1]
                rows.append((f"conv{stage}_{i}", c_in, c_out))
                c_in = c_out
        return rows


MODELS: dict[str, ModelConfig] = {
    config.name: config
    for config in (
        ModelConfig("slim", (16, 32, 64, 128, 256), (16, 32, 64)),
        ModelConfig("medium", (32, 64, 128, 256, 512), (32, 64, 128)),
        ModelConfig("vgg19", (64, 128, 256, 512, 512), (32, 64, 128)),
    )
}
"""`vgg19` has the original widths. `medium` has half of them (the full width at relu5_1) and a quarter of the
arithmetic, `slim` a quarter of them (half at relu5_1) and 1/16 of the arithmetic."""


PADDINGS = {"reflect": conv3x3, "zero": conv3x3_zero}


@jax.custom_vjp
def max_pool(x: Features) -> Features:
    """Take the maximum of each 2x2 cell; height and width must be even. Equal maxima share the gradient.

    Example:
        >>> max_pool(jnp.arange(16.0).reshape(1, 4, 4, 1)).ravel().tolist()
        [5.0, 7.0, 13.0, 15.0]
    """
    n, h, w, c = x.shape
    rows = x.reshape(n, h // 2, 2, w // 2, 2 * c)
    pairs = jnp.maximum(rows[:, :, 0], rows[:, :, 1])
    return jnp.maximum(pairs[..., :c], pairs[..., c:])


def _max_pool_forward(x: Features) -> tuple[Features, tuple[Features, Features]]:
    largest = max_pool(x)
    return largest, (x, largest)


def _max_pool_backward(saved: tuple[Features, Features], slope: Features) -> tuple[Features]:
    """Compute the gradient in one pass over `x`; automatic differentiation would sum several padded arrays."""
    x, largest = saved
    n, h, w, c = x.shape
    cells = x.reshape(n, h // 2, 2, w // 2, 2, c)
    equal = sum((cells[:, :, i, :, j] == largest).astype(x.dtype) for i in (0, 1) for j in (0, 1))
    share = (slope / equal)[:, :, None, :, None]
    return (jnp.where(cells == largest[:, :, None, :, None], share, 0).reshape(x.shape),)


max_pool.defvjp(_max_pool_forward, _max_pool_backward)


def avg_pool(x: Features) -> Features:
    """Average each 2x2 cell; height and width must be even.

    Example:
        >>> avg_pool(jnp.arange(16.0).reshape(1, 4, 4, 1)).ravel().tolist()
        [2.5, 4.5, 10.5, 12.5]
    """
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4))


POOLS: dict[str, Callable[[Features], Features]] = {"max": max_pool, "avg": avg_pool}


def forward(
    names: Sequence[str],
    convolve: Callable[[str, Features], Features],
    x: Features,
    *,
    stage: int = 1,
    pooling: str = "max",
    keep: Callable[[str, Features], Features | None] = lambda layer, x: x,
    checkpointed: bool = False,
) -> dict[str, Features]:
    """Run VGG's convolutions in the order of `names`, with a ReLU after each and a pooling before each new stage.

    `convolve(name, x)` applies the convolution with its bias and chooses the border; `stage` is the stage of `x`.
    The result holds `keep(layer, activation)` by layer ("relu3_1"), unless that is None. With `checkpointed`, the
    backward pass recomputes each stage instead of storing it: slower, but with less memory.

    Example:
        >>> found = forward(["conv1_1", "conv2_1"], lambda name, x: x - 1, jnp.arange(4.0).reshape(1, 2, 2, 1))
        >>> {layer: x.ravel().tolist() for layer, x in found.items()}
        {'relu1_1': [0.0, 0.0, 1.0, 2.0], 'relu2_1': [1.0]}
    """
    found: dict[str, Features] = {}

    def run(x: Features, group: tuple[str, ...], pooled: bool) -> tuple[Features, dict[str, Features]]:
        kept: dict[str, Features] = {}
        if pooled:
            x = POOLS[pooling](x)
        for name in group:
            x = jax.nn.relu(convolve(name, x))
            layer = "relu" + name.removeprefix("conv")
            if (part := keep(layer, x)) is not None:
                kept[layer] = part
        return x, kept

    step = jax.checkpoint(run, static_argnums=(1, 2)) if checkpointed else run
    for number, group in groupby(names, key=lambda name: int(name[4])):
        x, kept = step(x, tuple(group), number != stage)
        stage = number
        found |= kept
    return found


class Conv(nnx.Module):
    """A 3x3 convolution with reflected borders: He initialisation, or zeros to be filled later if `rngs` is None.

    Example:
        >>> conv = Conv(1, 2)  # without `rngs` the kernel is 0
        >>> conv.bias[...] = jnp.array([0.25, 0.5])
        >>> jax.jit(conv)(jnp.ones((1, 2, 1, 1))).tolist(), conv.kernel.shape
        ([[[[0.25, 0.5]], [[0.25, 0.5]]]], (3, 3, 1, 2))
    """

    def __init__(self, c_in: int, c_out: int, *, rngs: nnx.Rngs | None = None) -> None:
        shape = (3, 3, c_in, c_out)
        kernel: Any = np.zeros(shape, np.float32)
        bias: Any = np.zeros((c_out,), np.float32)
        if rngs is not None:
            kernel, bias = nnx.initializers.he_normal()(rngs.params(), shape, jnp.float32), jnp.asarray(bias)
        self.kernel: nnx.Param[Any] = nnx.Param(kernel)
        self.bias: nnx.Param[Any] = nnx.Param(bias)

    def __call__(self, x: Features) -> Features:
        """Apply the convolution to `x`."""
        return conv3x3(x, self.kernel[...], self.bias[...])


class Encoder(nnx.Module):
    """VGG-19 up to relu5_1 at the widths of `config`.

    Example:
        >>> encoder = Encoder(ModelConfig("tiny", (1, 1, 1, 1, 1), (1, 1, 1)))
        >>> image = jnp.full((1, 16, 16, 3), 0.75)
        >>> [features.shape for features in jax.eval_shape(encoder, image)]  # computes nothing
        [(1, 16, 16, 1), (1, 8, 8, 1), (1, 4, 4, 1), (1, 2, 2, 1), (1, 1, 1, 1)]
        >>> jax.eval_shape(encoder.activations, image)["relu3_4"].shape, encoder.conv("conv1_1").kernel.shape
        ((1, 4, 4, 1), (3, 3, 3, 1))
        >>> jax.jit(encoder.code)(image)[0, 0, 0].tolist()  # without weights relu4_1 is 0; the colour follows
        [0.0, 1.0, 1.0, 1.0]
    """

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs | None = None) -> None:
        self.config = config
        for name, c_in, c_out in config.convs():
            setattr(self, name, Conv(c_in, c_out, rngs=rngs))

    def conv(self, name: str) -> Conv:
        """Return the convolution called `name` ("conv3_1")."""
        return getattr(self, name)

    def activations(
        self,
        image: Image | Features,
        *,
        after: str | None = None,
        upto: str = "conv5_1",
        pooling: str = "max",
        padding: str = "reflect",
    ) -> dict[str, Features]:
        """Return every ReLU output up to layer `upto` by name ("relu1_1", "relu1_2", ...).

        Height and width of `image` must be divisible by 2 for each pooling passed (by 16 for relu5_1). With `after`,
        `image` is that layer's output ("conv3_1") instead of a picture, and only later layers are returned. `padding`
        "zero" is the original's except at conv1_1: there the folded preprocessing makes the border black instead of
        the mean colour.
        """
        names = [name for name, _, _ in self.config.convs()]
        chosen = names[names.index(after) + 1 if after else 0 : names.index(upto) + 1]

        def convolve(name: str, x: Features) -> Features:
            conv = self.conv(name)
            return PADDINGS[padding](x, conv.kernel[...], conv.bias[...])

        return forward(chosen, convolve, image, stage=int(after[4]) if after else 1, pooling=pooling)

    def code(self, image: Image) -> Features:
        """Return relu4_1 followed by the mean colour of each cell of 8 x 8 pixels, minus 0.5 and times `COLOR_SCALE`.

        A narrow relu4_1 carries little colour. As part of the code, colour is mapped together with its features, and
        the moments include the palette's mean and covariance. Height and width must be multiples of 8.
        """
        deep = self.activations(image, upto=f"conv{CODE_LEVEL}_1")[f"relu{CODE_LEVEL}_1"]
        n, h, w, _ = image.shape
        colors = image.reshape(n, h // CELL, CELL, w // CELL, CELL, 3).mean(axis=(2, 4))
        return jnp.concatenate([deep, COLOR_SCALE * (colors - 0.5)], axis=-1)

    def __call__(self, image: Image, *, levels: int = 5) -> tuple[Features, ...]:
        """Return relu1_1..relu{levels}_1 of `image`."""
        acts = self.activations(image, upto=f"conv{levels}_1")
        return tuple(acts[f"relu{k}_1"] for k in range(1, levels + 1))
