"""The network as the optimiser runs it: the encoder's layers, with borders of the mean colour like the original."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wctstyle import weights as weight_files
from wctstyle.compilation import check_device
from wctstyle.convolution import correlate_same
from wctstyle.encoder import MODELS, SIZE_MULTIPLE, ModelConfig, forward
from wctstyle.optimizer.settings import Border, level_of
from wctstyle.settings import checked_model
from wctstyle.types import Features, Image

Parameters = dict[str, tuple[Any, Any, Any]]
"""Kernel and bias of conv1_1..conv5_1, and the kernel of the backward pass."""


class Network(NamedTuple):
    """Configuration of the network; changing it recompiles.

    With `checkpointed`, the backward pass recomputes each stage instead of storing it: slower, but with less memory.
    border: zero is the original's; reflect; or wrap, for pictures that repeat, whose sides are multiples of 16.
    """

    pooling: str = "max"
    checkpointed: bool = False
    border: Border = "zero"


PLAIN = Network()

MEAN_RGB = np.array([123.68, 116.779, 103.939], np.float32) / 255
"""Mean colour of the original VGG-19's training pictures, which its zero padding represents."""


def encoder_of(model: str, tensors: Mapping[str, np.ndarray] | None = None) -> tuple[ModelConfig, Mapping[str, Any]]:
    """Return a model's configuration and the tensors of its encoder, which are loaded unless they are given.

    Raises:
        ConfigError: `model` is not in the table.
        WeightsError: its encoder is missing or damaged.
    """
    checked_model(model)
    check_device()
    if tensors is None:
        tensors, _ = weight_files.load(model, parts=("encoder",))
    return MODELS[model], tensors


def parameters(config: ModelConfig, tensors: Mapping[str, np.ndarray]) -> Parameters:
    """Take the encoder's layers from a model's tensors, with the first bias shifted for RGB minus `MEAN_RGB` as input.

    Weights files expect plain RGB, where a border of zeros would be black. After subtracting the mean, zeros are the
    mean colour, and zero padding is exactly the original's.
    """
    found: Parameters = {}
    for name, _, _ in config.convs():
        kernel, bias = (np.asarray(tensors[f"encoder/{name}/{part}"], np.float32) for part in ("kernel", "bias"))
        if name == "conv1_1":
            bias = (bias + np.einsum("hwio,i->o", kernel.astype(np.float64), MEAN_RGB)).astype(np.float32)
        backward = np.ascontiguousarray(kernel[::-1, ::-1].swapaxes(2, 3))
        found[name] = (kernel, bias, backward)
    return found


@jax.custom_vjp
def convolve(
    x: Float[Array, "n h w c_in"], kernel: Float[Array, "3 3 c_in c_out"], backward: Float[Array, "3 3 c_out c_in"]
) -> Float[Array, "n h w c_out"]:
    """Correlate with a constant kernel over zero padding; `backward` is the kernel flipped and transposed.

    The gradient of `lax.conv_general_dilated` is the same convolution, but leaves the flip to the operation. For that,
    XLA's CPU backend falls back to code that is three times slower.
    """
    return correlate_same(x, kernel)


def _convolve_forward(x: Array, kernel: Array, backward: Array) -> tuple[Array, tuple[Array, Array]]:
    return convolve(x, kernel, backward), (kernel, backward)


def _convolve_backward(kept: tuple[Array, Array], slope: Array) -> tuple[Array, None, None]:
    kernel, backward = kept
    return convolve(slope, backward, kernel), None, None


convolve.defvjp(_convolve_forward, _convolve_backward)


def valid_side(side: int, level: int) -> int:
    """Return the number of positions at a level along `side` pixels; the last may cover fewer pixels."""
    return -(-side // 2 ** (level - 1))


def features(
    params: Parameters,
    image: Image,
    layers: Collection[str],
    network: Network = PLAIN,
) -> dict[str, Float[Array, "n _ _ _"]]:
    """Run the network on pictures of any size and return the requested layers, cropped to the picture.

    The picture is padded by reflection at the bottom and right to a multiple of 16; the padding is cropped from each
    layer.
    """
    _, height, width, _ = image.shape
    pads = [(0, -side % SIZE_MULTIPLE) for side in (height, width)]
    x = jnp.pad(image - MEAN_RGB[None, None, None], ((0, 0), *pads, (0, 0)), mode="reflect")
    deepest = max(layers)

    def correlated(name: str, x: Features) -> Features:
        kernel, bias, backward = params[name]
        if network.border == "zero":
            return convolve(x, kernel, backward) + bias[None, None, None]
        around = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode=network.border)
        return convolve(around, kernel, backward)[:, 1:-1, 1:-1] + bias[None, None, None]

    def cropped(layer: str, x: Features) -> Features | None:
        level = level_of(layer)
        return x[:, : valid_side(height, level), : valid_side(width, level)] if layer in layers else None

    names = [name for name in params if "relu" + name.removeprefix("conv") <= deepest]
    return forward(names, correlated, x, pooling=network.pooling, keep=cropped, checkpointed=network.checkpointed)
