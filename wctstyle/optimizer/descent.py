"""Many steps of either optimiser in one program: the state they share, and when a scale is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from wctstyle.optimizer import lbfgs
from wctstyle.optimizer.network import Network, Parameters
from wctstyle.optimizer.terms import Objective, values, weights

PLATEAU_STEPS = 20
"""Steps over which the loss has to fall for a scale to go on."""

ADAM_DECAYS = (0.9, 0.99)
"""Of the gradient's mean and square, as style-transfer-pytorch has them: pictures change faster than networks."""

COLOUR_STEP = 0.4
"""How much shorter a step in colour is than one in lightness of the same slope.

The channels of photos and paintings rise and fall together: colour differences spread about a quarter as far as
lightness does. Descent that treats the channels alike spends its first steps on coloured specks, which the features of
a narrow encoder ask for and nobody wants. docs/optimizer.md has the figures: they hardly change, the specks go."""


CORNER = 0.03
"""Frequency, in cycles per pixel, above which steps become shorter as 1 / frequency.

Pictures have less of it the finer it is (amplitude falls as 1 / frequency; Field 1987), while the gradient is mostly
fine grain. Half of the way to the spread of pictures: a step as 1 / frequency^2 paints soft patches
(docs/optimizer.md)."""


def _stretch_colour(image: Float[Array, "h w c"], factor: float) -> Float[Array, "h w c"]:
    """Keep the mean of the channels and stretch what is beside it; one channel has nothing beside it."""
    channels = image.shape[-1]
    mean = sum(image[..., i : i + 1] for i in range(channels)) / channels  # `mean(axis=-1)` takes 8 ms more at 512x512
    return mean + (image - mean) * factor


def _weigh_frequencies(image: Float[Array, "h w c"], power: float) -> Float[Array, "h w c"]:
    """Multiply by `power` of the root of what a step at each frequency is, borders joined; 1 in the mean square."""
    height, width, _ = image.shape
    squares = np.fft.fftfreq(height)[:, None] ** 2 + np.fft.fftfreq(width)[None] ** 2
    step = 1 / np.sqrt(1 + squares / CORNER**2)
    gain = (np.sqrt(step / step.mean()) ** power)[:, : width // 2 + 1, None].astype(np.float32)
    return jnp.fft.irfft2(jnp.fft.rfft2(image, axes=(0, 1)) * gain, s=(height, width), axes=(0, 1))


def coordinates(image: Float[Array, "h w c"]) -> Float[Array, " n"]:
    """Return what is descended in: the picture with its fine structure and its colour spread out.

    Colour is what is beside the mean of the channels; it is divided by `COLOUR_STEP`. A step of one size in these
    coordinates is a shorter one in the picture where it is fine (`CORNER`) or colour.
    """
    return _stretch_colour(_weigh_frequencies(image, -1), 1 / COLOUR_STEP).ravel()


def picture(x: Float[Array, " n"], size: tuple[int, int, int]) -> Float[Array, "h w c"]:
    """Return the picture of `size` (height, width, channels) that has the given `coordinates`."""
    return _weigh_frequencies(_stretch_colour(x.reshape(size), COLOUR_STEP), 1)


class AdamState(NamedTuple):
    """The picture's coordinates, its loss, optax's moments, and the decayed sum of the iterates of this scale."""

    x: Float[Array, " n"]
    value: Float[Array, ""]
    terms: Float[Array, " terms"]
    moments: Any
    total: Float[Array, " n"]
    summed: Int[Array, ""]


class Carry(NamedTuple):
    """What one step hands to the next."""

    state: Any
    step: Int[Array, ""]
    """Steps done at this scale."""
    anchor: Float[Array, ""]
    """The loss at the last look for a plateau."""
    flat: Array
    """Whether the loss has stopped falling."""


class Dials(NamedTuple):
    """Numbers of `OptimizeSettings` that change without compiling anew."""

    learning_rate: Any
    average: Any
    plateau: Any


_adam = optax.scale_by_adam(*ADAM_DECAYS)


def start(x: Float[Array, " n"], *, terms: int, optimizer: str, history: int, before: Carry | None = None) -> Carry:
    """Begin a scale at coordinates `x`. Adam's moments go on from `before`, resized to the scale by the caller."""
    if optimizer == "lbfgs":
        state: Any = lbfgs.start(x, terms, history)
    else:
        moments = _adam.init(x) if before is None else before.state.moments
        infinite = jnp.asarray(jnp.inf, x.dtype)
        state = AdamState(x, infinite, jnp.zeros(terms, x.dtype), moments, jnp.zeros_like(x), jnp.zeros((), jnp.int32))
    carry = Carry(state, jnp.zeros((), jnp.int32), jnp.asarray(jnp.inf, x.dtype), jnp.zeros((), bool))
    return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), carry)  # no two leaves one buffer: they are donated


def _adam_step(state: AdamState, evaluate: lbfgs.Evaluate, dials: Dials) -> AdamState:
    (value, terms), gradient = evaluate(state.x)
    updates, moments = _adam.update(gradient, state.moments)
    x = state.x - dials.learning_rate * jnp.asarray(updates)
    total = dials.average * state.total + (1 - dials.average) * x
    return AdamState(x, value, terms, moments, total, state.summed + 1)


def shown(carry: Carry, average: float) -> Float[Array, " n"]:
    """Return the coordinates of the picture to show: L-BFGS' last accepted one, Adam's mean of this scale."""
    state = carry.state
    if isinstance(state, lbfgs.State):
        return state.x
    weight = 1 - jnp.asarray(average, jnp.float32) ** state.summed
    return jnp.where(state.summed > 0, state.total / jnp.maximum(weight, 1e-12), state.x)


def program(
    network: Network, size: tuple[int, int, int], optimizer: str
) -> Callable[[Carry, Array, Parameters, Objective, Dials], Carry]:
    """Return the function that goes on until `last` steps of the scale are done, or the loss is flat.

    Where it is cut into calls does not change what it computes.
    """

    def run(carry: Carry, last: Array, params: Parameters, objective: Objective, dials: Dials) -> Carry:
        weighted = weights(objective)

        def loss(x: Array) -> tuple[Array, Array]:
            terms = values(objective, params, picture(x, size)[None], network)
            return jnp.vdot(terms, weighted), terms

        evaluate = jax.value_and_grad(loss, has_aux=True)

        def step(carry: Carry) -> Carry:
            if optimizer == "lbfgs":
                state: Any = lbfgs.advance(carry.state, evaluate)
            else:
                state = _adam_step(carry.state, evaluate, dials)
            done = carry.step + 1
            look = done % PLATEAU_STEPS == 0
            flat = look & (dials.plateau > 0) & (state.value > carry.anchor * (1 - dials.plateau))
            return Carry(state, done, jnp.where(look, state.value, carry.anchor), flat)

        return jax.lax.while_loop(lambda c: (c.step < last) & ~c.flat, step, carry)

    return run
