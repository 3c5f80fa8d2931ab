"""L-BFGS without an inner line search: every step is one evaluation, and a failed trial is a step of its own.

`optax.lbfgs` searches within a step and has several copies of the objective in its program. Here a trial point that
lowers the loss enough is accepted. One that does not, or is not finite, is retried with a shorter step next time. So
each step costs one evaluation, and the program contains the objective once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Evaluate = Callable[[Array], tuple[tuple[Array, Array], Array]]
"""Picture -> ((loss, terms), gradient)."""

SUFFICIENT = 1e-4
"""Share of the predicted decrease that a step must reach (Armijo; Nocedal & Wright 2006, eq. 3.4)."""

ROUNDING = 1e-6
"""Share of the loss by which it may rise: the resolution of float32."""

CURVATURE = 1e-6
"""Least cosine between a step and the change of the gradient for the pair to be stored."""

SHORTEN = 0.3
PATIENCE = 5
"""Number of failed trials after which the memory is cleared and plain descent takes over."""

FIRST_STEP = 0.004
LONGEST_STEP = 0.1
"""RMS change of `x`, in units of the picture's range: of a step without memory, and at most of any step.

The first step only has to show the curvature of the loss; a long one paints what the next ten have to remove
(docs/notes/descent.md)."""


class State(NamedTuple):
    """The last accepted picture with its loss and gradient, the next direction and step, and the memory."""

    x: Float[Array, " n"]
    value: Float[Array, ""]
    terms: Float[Array, " terms"]
    gradient: Float[Array, " n"]
    direction: Float[Array, " n"]
    step: Float[Array, ""]
    fails: Int[Array, ""]
    pairs: Float[Array, "two_m n"]
    """Steps s in rows 0..m-1 and gradient changes y in rows m..2m-1, as a ring buffer with one spare slot.

    Every step writes into the spare slot, so the memory is updated in place without a copy."""
    products: Float[Array, "two_m two_m"]
    """Inner products of all rows of `pairs`."""
    stored: Int[Array, ""]


def start(x: Float[Array, " n"], terms: int, history: int) -> State:
    """Start at `x`; the first step evaluates its loss."""
    zero, rows = jnp.zeros_like(x), 2 * (history + 1)
    return State(
        x=x, value=jnp.asarray(jnp.inf, x.dtype), terms=jnp.zeros(terms, x.dtype), gradient=zero, direction=zero,
        step=jnp.zeros((), x.dtype), fails=jnp.zeros((), jnp.int32), pairs=jnp.zeros((rows, len(x)), x.dtype),
        products=jnp.zeros((rows, rows), x.dtype), stored=jnp.zeros((), jnp.int32),
    )  # fmt: skip


def two_loops(
    products: Float[Array, "two_m two_m"], dots: Float[Array, " two_m"], stored: Int[Array, ""]
) -> tuple[Float[Array, " two_m"], Float[Array, ""]]:
    """Return the coefficients of H g with respect to the rows of `pairs` and to g, from inner products only.

    The two-loop recursion (Nocedal & Wright 2006, algorithm 7.4) on coefficients instead of pictures (Chen, Wang & Zhou
    2014, "Large-scale L-BFGS using MapReduce"): the memory is read twice per step, whatever its length. `dots` are the
    rows' inner products with g. With an empty memory, H is the identity.
    """
    m = len(dots) // 2
    known = jnp.minimum(stored, m - 1)
    table = jnp.concatenate([products, dots[:, None]], axis=1)  # rows of pairs against rows of pairs and g
    curvatures = products[jnp.arange(m), m + jnp.arange(m)]

    def slot(age: Array) -> Array:
        return (stored - 1 - age) % m

    def newest_first(age: int, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        q, alphas = carry
        i = slot(jnp.asarray(age))
        alpha = jnp.where(age < known, table[i] @ q / jnp.where(age < known, curvatures[i], 1.0), 0.0)
        return q.at[m + i].add(-alpha), alphas.at[i].set(alpha)

    q = jnp.zeros(2 * m + 1, dots.dtype).at[-1].set(1.0)
    q, alphas = jax.lax.fori_loop(0, m, newest_first, (q, jnp.zeros(m, dots.dtype)))
    newest = slot(jnp.asarray(0))
    squares = products[m + newest, m + newest]
    r = q * jnp.where(known > 0, curvatures[newest] / jnp.where(known > 0, squares, 1.0), 1.0)

    def oldest_first(turn: int, r: Array) -> Array:
        age = m - 1 - jnp.asarray(turn)
        i = slot(age)
        beta = jnp.where(age < known, table[m + i] @ r / jnp.where(age < known, curvatures[i], 1.0), 0.0)
        return r.at[i].add(alphas[i] - beta)

    r = jax.lax.fori_loop(0, m, oldest_first, r)
    return r[:-1], r[-1]


def accepts(state: Any, value: Array, gradient: Array) -> Array:
    """Return whether to accept a trial: it must be finite, and either the first or low enough.

    `state` holds the last value and gradient, and the direction and step of the trial.
    """
    slope = jnp.vdot(state.gradient, state.direction)
    finite = jnp.isfinite(value) & jnp.isfinite(jnp.sum(gradient))
    bound = state.value + SUFFICIENT * state.step * slope + ROUNDING * jnp.abs(state.value)
    return finite & ((value <= bound) | jnp.isinf(state.value))


def advance(state: State, evaluate: Evaluate) -> State:
    """Evaluate the trial point once: accept it and find the next direction, or shorten the step."""
    trial = state.x + state.step * state.direction
    (value, terms), gradient = evaluate(trial)
    accepted = accepts(state, value, gradient)

    def chosen(new: Array, old: Array) -> Array:
        return jnp.where(accepted, new, old)

    x, kept_gradient = chosen(trial, state.x), chosen(gradient, state.gradient)
    s, y = x - state.x, kept_gradient - state.gradient
    fails = jnp.where(accepted, 0, state.fails + 1)
    forget = fails >= PATIENCE

    m = len(state.pairs) // 2
    bends = jnp.vdot(s, y) > CURVATURE * jnp.linalg.norm(s) * jnp.linalg.norm(y)
    remember = accepted & bends & jnp.isfinite(state.value)
    i = state.stored % m
    pairs = state.pairs.at[i].set(s).at[m + i].set(y)
    products = state.products
    for row, dots in ((i, pairs @ s), (m + i, pairs @ y)):  # a product with one vector takes a sixth of one with three
        products = products.at[row].set(dots).at[:, row].set(dots)
    stored = jnp.where(forget, 0, state.stored + remember.astype(jnp.int32))

    rows, own = two_loops(products, pairs @ kept_gradient, stored)
    descent = -(rows @ pairs + own * kept_gradient)
    downhill = (jnp.vdot(descent, kept_gradient) < 0) & (stored > 0)
    stored = jnp.where(downhill, stored, 0)

    def of_rms(v: Array, rms: Array | float) -> Array:
        return v * (rms / (jnp.sqrt(jnp.mean(v**2)) + 1e-30))

    size = jnp.sqrt(jnp.mean(descent**2))
    limited = of_rms(descent, jnp.minimum(size, LONGEST_STEP))
    steepest = of_rms(-kept_gradient, FIRST_STEP)
    fresh = jnp.where(downhill, limited, steepest)
    renew = accepted | forget
    return State(
        x=x, value=chosen(value, state.value), terms=chosen(terms, state.terms), gradient=kept_gradient,
        direction=jnp.where(renew, fresh, state.direction),
        step=jnp.where(accepted | (fails == PATIENCE), 1.0, SHORTEN * state.step),
        fails=fails, pairs=pairs, products=products, stored=stored,
    )  # fmt: skip
