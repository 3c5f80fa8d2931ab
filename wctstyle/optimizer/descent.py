"""Many steps of either optimiser in one program: their shared state, and when a scale is done."""

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
"""Number of steps over which the loss must fall for a scale to continue."""

ADAM_DECAYS = (0.9, 0.99)
"""Decays of the gradient's mean and square, as in style-transfer-pytorch: pictures change faster than networks."""

COLOUR_STEP = 0.4
"""Length of a step in colour, as a fraction of a step in lightness with the same slope.

The channels of photos and paintings vary together: colour differences spread about a quarter as far as lightness.
Treating the channels alike spends the first steps on coloured specks, which lower the loss of a narrow encoder but look
wrong. With this factor the specks disappear and the figures hardly change (docs/notes/descent.md)."""


CORNER = 0.03
"""Frequency, in cycles per pixel, above which steps become shorter as 1 / frequency.

In pictures, amplitude falls as 1 / frequency (Field 1987), while the gradient is mostly fine grain. Step lengths follow
1 / frequency, halfway to the spread of pictures; 1 / frequency^2 paints soft patches (docs/notes/descent.md)."""


def _stretch_colour(image: Float[Array, "h w c"], factor: float) -> Float[Array, "h w c"]:
    """Keep the mean of the channels and scale their differences from it; a single channel stays as it is."""
    channels = image.shape[-1]
    mean = sum(image[..., i : i + 1] for i in range(channels)) / channels  # `mean(axis=-1)` takes 8 ms more at 512x512
    return mean + (image - mean) * factor


def _weigh_frequencies(image: Float[Array, "h w c"], power: float) -> Float[Array, "h w c"]:
    """Multiply each frequency by the root of its relative step length to `power`, with periodic borders.

    The step lengths are normalised to a mean of 1.
    """
    height, width, _ = image.shape
    squares = np.fft.fftfreq(height)[:, None] ** 2 + np.fft.fftfreq(width)[None] ** 2
    step = 1 / np.sqrt(1 + squares / CORNER**2)
    gain = (np.sqrt(step / step.mean()) ** power)[:, : width // 2 + 1, None].astype(np.complex64)
    return jnp.fft.irfft2(jnp.fft.rfft2(image, axes=(0, 1)) * gain, s=(height, width), axes=(0, 1))


def coordinates(image: Float[Array, "h w c"]) -> Float[Array, " n"]:
    """Return the optimisation variables: the picture with its fine structure and its colour scaled up.

    Colour is the difference from the mean of the channels; it is divided by `COLOUR_STEP`. A step of a given size in
    these coordinates is a shorter step in the picture at fine frequencies (`CORNER`) and in colour.
    """
    return _stretch_colour(_weigh_frequencies(image, -1), 1 / COLOUR_STEP).ravel()


def picture(x: Float[Array, " n"], size: tuple[int, int, int]) -> Float[Array, "h w c"]:
    """Return the picture of `size` (height, width, channels) from its `coordinates`."""
    return _weigh_frequencies(_stretch_colour(x.reshape(size), COLOUR_STEP), 1)


class AdamState(NamedTuple):
    """The picture's coordinates, its loss, optax's moments, and the decayed sum of this scale's iterates."""

    x: Float[Array, " n"]
    value: Float[Array, ""]
    terms: Float[Array, " terms"]
    moments: Any
    total: Float[Array, " n"]
    summed: Int[Array, ""]


class Carry(NamedTuple):
    """State passed from one step to the next."""

    state: Any
    step: Int[Array, ""]
    """Steps done at this scale."""
    anchor: Float[Array, ""]
    """The loss at the last plateau check."""
    flat: Array
    """Whether the loss has stopped falling."""


class Dials(NamedTuple):
    """Numbers of `OptimizeSettings` that can change without recompiling."""

    learning_rate: Any
    average: Any
    plateau: Any


_adam = optax.scale_by_adam(*ADAM_DECAYS)


def start(x: Float[Array, " n"], *, terms: int, optimizer: str, history: int, before: Carry | None = None) -> Carry:
    """Start a scale at coordinates `x`. Adam's moments continue from `before`, which the caller has resized."""
    if optimizer == "lbfgs":
        state: Any = lbfgs.start(x, terms, history)
    else:
        moments = _adam.init(x) if before is None else before.state.moments
        infinite = jnp.asarray(jnp.inf, x.dtype)
        state = AdamState(x, infinite, jnp.zeros(terms, x.dtype), moments, jnp.zeros_like(x), jnp.zeros((), jnp.int32))
    carry = Carry(state, jnp.zeros((), jnp.int32), jnp.asarray(jnp.inf, x.dtype), jnp.zeros((), bool))
    return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), carry)  # no shared buffers: they are donated


def _adam_step(state: AdamState, evaluate: lbfgs.Evaluate, dials: Dials) -> AdamState:
    (value, terms), gradient = evaluate(state.x)
    with jax.numpy_dtype_promotion("standard"):  # optax divides by powers with whole exponents
        updates, moments = _adam.update(gradient, state.moments)
    x = state.x - dials.learning_rate * jnp.asarray(updates)
    total = dials.average * state.total + (1 - dials.average) * x
    return AdamState(x, value, terms, moments, total, state.summed + 1)


def shown(carry: Carry, average: float) -> Float[Array, " n"]:
    """Return the coordinates of the picture to show: L-BFGS's last accepted one, or Adam's mean of this scale."""
    state = carry.state
    if isinstance(state, lbfgs.State):
        return state.x
    weight = 1 - jnp.asarray(average, jnp.float32) ** state.summed.astype(jnp.float32)
    return jnp.where(state.summed > 0, state.total / jnp.maximum(weight, 1e-12), state.x)


def program(
    network: Network, size: tuple[int, int, int], optimizer: str
) -> Callable[[Carry, Array, Parameters, Objective, Dials], Carry]:
    """Return a function that runs until `last` steps of the scale are done or the loss is flat.

    Splitting a run into several calls does not change its result.
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
