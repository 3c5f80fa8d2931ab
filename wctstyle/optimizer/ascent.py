"""Gradient ascent with steps of one length, as deep dream does it (Mordvintsev, Olah, Tyka 2015)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wctstyle.compilation import transferring
from wctstyle.encoder import ModelConfig
from wctstyle.errors import ImageError, NonFiniteError
from wctstyle.optimizer import memory
from wctstyle.optimizer.network import Network, Parameters, features, parameters
from wctstyle.optimizer.objective import chosen_channels, width_of
from wctstyle.optimizer.terms import DreamTerm, Objective, values, weights
from wctstyle.recent import Recent

KEPT = 16
"""Compiled steps that are kept: a dream has one for each size of its octaves."""

RATE = 1.5 / 255
"""Mean change of a value in a step at strength 1: the original's."""

BLUR = (1, 4, 6, 4, 1)
"""Weights of a pixel and its neighbours in the gradient, along rows and columns.

Chosen by eye: without it, VGG's gradient leaves a weave of single pixels over everything."""


def _blurred(slope: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
    for axis in (0, 1):
        slope = sum(
            (weight / sum(BLUR) * jnp.roll(slope, place - len(BLUR) // 2, axis) for place, weight in enumerate(BLUR)),
            jnp.zeros_like(slope),
        )
    return slope


def ascended(
    params: Parameters,
    terms: Objective,
    image: Float[Array, "h w 3"],
    shift: Any,
    rate: Any,
    *,
    network: Network,
) -> Float[Array, "h w 3"]:
    """Change a picture by one step: `rate` along the gradient divided by its mean magnitude, clipped to [0, 1].

    The picture is rolled by `shift` (rows, columns) before and back after, so that no place is always at the border of
    a cell. Differs from the original: the gradient is smoothed (`BLUR`).
    """

    def loss(x: Array) -> Array:
        return jnp.vdot(weights(terms), values(terms, params, x[None], network))

    slope = jnp.roll(_blurred(jax.grad(loss)(jnp.roll(image, shift, (0, 1)))), -shift, (0, 1))
    return jnp.clip(image - rate * slope / (jnp.abs(slope).mean() + 1e-20), 0, 1)


class Ascent:
    """The steps of one model's encoder, compiled once for each size; `traces` counts how often."""

    def __init__(self, config: ModelConfig, tensors: Mapping[str, np.ndarray]) -> None:
        self.params = jax.device_put(parameters(config, tensors))
        self.traces = 0
        self._compiled: Recent[Any] = Recent(KEPT)

    def forget(self) -> None:
        """Drop all programs."""
        self._compiled.clear()

    def width(self, layer: str) -> int:
        """Return the number of channels of a layer."""
        return width_of(self.params, layer)

    def chosen(self, layer: str, channels: Sequence[int]) -> Float[np.ndarray, " c"]:
        """Return which channels of a layer count, as `objective.chosen_channels`."""
        return chosen_channels(self.params, layer, channels)

    @transferring
    def terms(
        self, picture: Float[np.ndarray, "h w 3"], layers: Sequence[str], channels: Sequence[int], guide: Any = None
    ) -> Objective:
        """Return what is to be raised at some layers, in the units of a picture's activations or of the guide's."""
        found = features(self.params, jnp.asarray(picture if guide is None else guide)[None], layers)
        return tuple(
            DreamTerm(
                np.float32(1 / len(layers)),
                layer,
                chosen=self.chosen(layer, channels),
                guide=None if guide is None else found[layer].reshape(-1, self.width(layer)),
                scale=jnp.mean(found[layer] ** 2) + 1e-12,
            )
            for layer in layers
        )

    @transferring
    def step(self, image: Any, terms: Objective, shift: Any, strength: float) -> Any:
        """Change a picture, or a stack of pictures each with a channel of its own in the terms, by one step.

        Raises:
            ImageError: the size does not fit into memory.
        """
        arguments = terms, jnp.asarray(image), np.asarray(shift, np.int32), np.float32(strength * RATE)
        shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(jnp.shape(leaf), jnp.result_type(leaf)), arguments)
        run = self._compiled.get((jax.tree.structure(terms), *map(str, jax.tree.leaves(shapes))),
                                 lambda: self._compile(shapes))  # fmt: skip
        return run(self.params, *arguments)

    def _compile(self, shapes: Any) -> Any:
        """Compile a step; where it does not fit, one that computes more and keeps less.

        Raises:
            ImageError: neither fits.
        """
        image = shapes[1]
        for checkpointed in (False, True):

            def step(params: Any, terms: Any, image: Any, shift: Any, rate: Any, kept: bool = checkpointed) -> Any:
                self.traces += 1
                network = Network(checkpointed=kept)
                if image.ndim == 3:
                    return ascended(params, terms, image, shift, rate, network=network)
                (term,) = terms

                def alone(chosen: Any, image: Any) -> Any:
                    return ascended(params, (replace(term, chosen=chosen),), image, shift, rate, network=network)

                return jax.vmap(alone)(term.chosen, image)

            with jax.disable_jit(False):  # it would forbid to compile ahead
                compiled = jax.jit(step).lower(self.params, *shapes).compile()
            need, free = memory.needed(compiled, image), memory.available()
            if memory.fits(need, free):
                return jax.disable_jit(False)(compiled)
        assert need is not None
        assert free is not None
        height, width = image.shape[-3:-1]
        raise ImageError(
            f"a dream of {width}x{height} pixels needs {need / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free; "
            "give a smaller --size, or the model slim"
        )


def checked(image: Any) -> Float[np.ndarray, "*n h w 3"]:
    """Return a picture as it is on the host.

    Raises:
        NonFiniteError: it is not finite.
    """
    pixels = np.asarray(jax.device_get(image))
    if not np.isfinite(pixels).all():
        raise NonFiniteError("the dream is not finite; check the picture and the model's tensors")
    return pixels
