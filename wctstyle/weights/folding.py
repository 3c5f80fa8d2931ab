"""Two exact rewritings of an encoder: its preprocessing goes into conv1_1, and its levels get about unit scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from wctstyle.encoder import ModelConfig
from wctstyle.errors import ConfigError
from wctstyle.weights.files import Tensors

Preprocessing = Literal["caffe", "torchvision"]

VGG19_LEVEL_RMS: tuple[float, ...] = (43.57608, 180.40814, 227.09666, 737.10308, 95.59327)
"""Root mean square of the original VGG-19's relu1_1..relu5_1, by which an imported encoder's levels are divided.

Measured on 24 training crops of 224 x 224 pixels, with the preprocessing folded and borders reflected.
"""

_INPUTS: dict[str, tuple[np.ndarray, np.ndarray, slice]] = {
    "caffe": (np.array([123.68, 116.779, 103.939]) / 255, np.ones(3) / 255, np.s_[::-1]),
    "torchvision": (np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]), np.s_[:]),
}
"""What an encoder was trained on: mean m and scale s of RGB in [0, 1], and the order of its channels.

Caffe's means are the original VGG-19's (Simonyan & Zisserman 2015: BGR, 0..255), the others torchvision's ImageNet's.
"""


def fold_preprocessing(tensors: Tensors, preprocessing: Preprocessing) -> Tensors:
    """Fold an encoder's preprocessing, (x - m) / s, into conv1_1, so that it takes RGB in [0, 1].

    kernel' = kernel / s, bias' = bias - sum(kernel m / s), with the kernel's channels put in the order of RGB.
    Exact in the interior; at the border exact as long as padding repeats or reflects pixels (zeros would mean the mean
    colour to the original).

    Raises:
        ConfigError: there is no such preprocessing.

    Example:
        >>> tensors = {"encoder/conv1_1/kernel": np.zeros((3, 3, 3, 1)), "encoder/conv1_1/bias": np.zeros(1)}
        >>> tensors["encoder/conv1_1/kernel"][1, 1, 0] = 1  # lets the first channel through, which is blue to Caffe
        >>> folded = fold_preprocessing(tensors, "caffe")
        >>> folded["encoder/conv1_1/kernel"][1, 1, :, 0].tolist(), round(folded["encoder/conv1_1/bias"].item(), 3)
        ([0.0, 0.0, 255.0], -103.939)
    """
    if preprocessing not in _INPUTS:
        raise ConfigError(f"preprocessing is {preprocessing!r}, must be 'caffe' or 'torchvision'")
    mean, scale, order = _INPUTS[preprocessing]
    kernel = tensors["encoder/conv1_1/kernel"].astype(np.float64)[:, :, order] / scale[:, None]
    bias = tensors["encoder/conv1_1/bias"] - np.einsum("hwio,i->o", kernel, mean)
    return {
        **tensors,
        "encoder/conv1_1/kernel": kernel.astype(np.float32),
        "encoder/conv1_1/bias": bias.astype(np.float32),
    }


def normalise_levels(tensors: Tensors, config: ModelConfig, level_rms: Sequence[float]) -> Tensors:
    """Divide an encoder's relu1_1..relu5_1 by one scalar each, and leave all else that it computes alone.

    ReLU and max pooling are positively homogeneous, so dividing kernel and bias of conv{k}_1 divides relu{k}_1, and
    multiplying the next conv's kernel makes up for it; exact up to rounding.

    Raises:
        ConfigError: `level_rms` is not five finite numbers above zero.

    Example:
        >>> from wctstyle.encoder import MODELS
        >>> from wctstyle.weights import expected_shapes
        >>> config = MODELS["slim"]
        >>> tensors = {name: np.ones(shape) for name, shape in expected_shapes(config, "encoder").items()}
        >>> scaled = normalise_levels(tensors, config, (2.0, 1.0, 1.0, 1.0, 1.0))
        >>> [float(scaled[f"encoder/{name}/kernel"].max()) for name in ("conv1_1", "conv1_2", "conv2_1")]
        [0.5, 2.0, 1.0]
    """
    scales = [float(rms) for rms in level_rms]
    if len(scales) != len(config.channels) or not all(np.isfinite(s) and s > 0 for s in scales):
        raise ConfigError(f"level_rms is {tuple(level_rms)}, wanted {len(config.channels)} finite numbers above 0")
    layers = [layer for layer, _, _ in config.convs()]
    scaled = dict(tensors)

    def multiply(name: str, factor: float) -> None:
        scaled[name] = (scaled[name].astype(np.float64) * factor).astype(np.float32)

    for level, rms in enumerate(scales, start=1):
        first = layers.index(f"conv{level}_1")
        multiply(f"encoder/{layers[first]}/kernel", 1 / rms)
        multiply(f"encoder/{layers[first]}/bias", 1 / rms)
        if first + 1 < len(layers):
            multiply(f"encoder/{layers[first + 1]}/kernel", rms)
    return scaled
