"""A model: the encoder and decoder of one row of the table, loaded from and saved to flat dicts of tensors."""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from wctstyle.decoder import Decoder
from wctstyle.encoder import Encoder, ModelConfig


def build(config: ModelConfig, tensors: Mapping[str, np.ndarray | Array]) -> tuple[Encoder, Decoder]:
    """Build encoder and decoder and load `tensors`; a part without tensors starts at random, from a fixed key."""
    has = {name.split("/")[0] for name in tensors}
    encoder = Encoder(config, rngs=None if "encoder" in has else nnx.Rngs(0))
    decoder = Decoder(config, rngs=None if "decoder" in has else nnx.Rngs(1))
    fill(encoder, tensors, "encoder")
    fill(decoder, tensors, "decoder")
    return encoder, decoder


def fill(module: Encoder | Decoder, tensors: Mapping[str, np.ndarray | Array], part: str) -> None:
    """Load the tensors of `part` into `module`. JAX arrays are used directly; each other array compiles a program."""
    for name, _, _ in module.config.convs(part):
        if f"{part}/{name}/kernel" in tensors:
            conv = module.conv(name)
            kernel, bias = (tensors[f"{part}/{name}/{leaf}"] for leaf in ("kernel", "bias"))
            conv.kernel, conv.bias = nnx.Param(_array(kernel)), nnx.Param(_array(bias))


def _array(tensor: np.ndarray | Array) -> Array:
    return tensor if isinstance(tensor, Array) else jnp.array(tensor, jnp.float32)


def extract(module: Encoder | Decoder, part: str) -> dict[str, np.ndarray]:
    """Return the module's tensors by their names in a weights file."""
    out = {}
    for name, _, _ in module.config.convs(part):
        conv = module.conv(name)
        out[f"{part}/{name}/kernel"] = np.asarray(conv.kernel[...])
        out[f"{part}/{name}/bias"] = np.asarray(conv.bias[...])
    return out
