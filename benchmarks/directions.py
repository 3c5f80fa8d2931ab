"""L-BFGS's direction: our own against `optax.scale_by_lbfgs`, with the same acceptance of steps.

Run as `python -m benchmarks.directions`; README.md beside this file tells what the figures mean.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from benchmarks import report
from benchmarks.optimizer import picture
from wctstyle import weights
from wctstyle.compilation import enable_compilation_cache
from wctstyle.encoder import MODELS
from wctstyle.errors import WctStyleError
from wctstyle.optimizer import OptimizeSettings, descent, lbfgs
from wctstyle.optimizer.job import Job
from wctstyle.optimizer.programs import Programs
from wctstyle.optimizer.terms import values
from wctstyle.optimizer.terms import weights as weights_of
from wctstyle.settings import DEFAULT_OPTIMIZER_MODEL
from wctstyle.stylizer import Stylizer

PAIRS = (("astronaut", "impasto-night"), ("cat", "woodcut-wave"), ("coffee", "stained-glass"), ("cat", "marbling"))


class State(NamedTuple):
    """The last accepted picture with its loss and gradient, what comes next, and optax's memory."""

    x: Float[Array, " n"]
    value: Float[Array, ""]
    gradient: Float[Array, " n"]
    direction: Float[Array, " n"]
    step: Float[Array, ""]
    memory: Any


def optax_advance(state: State, evaluate: lbfgs.Evaluate, transform: Any) -> State:
    """Do what `lbfgs.advance` does, with optax's direction: one evaluation, taken or tried again at a shorter step."""
    trial = state.x + state.step * state.direction
    (value, _), gradient = evaluate(trial)
    accepted = lbfgs.accepts(state, value, gradient)
    first = jnp.isinf(state.value)

    def chosen(new: Any, old: Any) -> Any:
        return jax.tree.map(lambda a, b: jnp.where(accepted, a, b), new, old)

    ahead, memory = transform.update(gradient, state.memory, trial)
    rms = jnp.sqrt(jnp.mean(ahead**2)) + 1e-30
    wanted = jnp.where(first, lbfgs.FIRST_STEP, jnp.minimum(rms, lbfgs.LONGEST_STEP))
    return State(
        x=chosen(trial, state.x),
        value=chosen(value, state.value),
        gradient=chosen(gradient, state.gradient),
        direction=chosen(-ahead * (wanted / rms), state.direction),
        step=jnp.where(accepted, 1.0, lbfgs.SHORTEN * state.step),
        memory=chosen(memory, state.memory),
    )


def run(step: Callable[[Any], Any], state: Any, steps: int) -> dict[str, Any]:
    """Run so many steps after one that compiles: seconds, and the loss after each."""
    state = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), state)  # no two leaves one buffer: they are donated
    clock = time.perf_counter()
    state = jax.block_until_ready(step(state))
    compiling, losses = time.perf_counter() - clock, []
    clock = time.perf_counter()
    for _ in range(steps):
        state = step(state)
        losses.append(float(state.value))
    return {"first_seconds": compiling, "seconds": time.perf_counter() - clock, "losses": losses}


def compare(names: tuple[str, str], args: argparse.Namespace, engine: Programs, quick: Stylizer) -> dict[str, Any]:
    """Descend from one pair's fast picture with both."""
    content, style = (picture(f"sample:{name}", args.size) for name in names)
    fast = quick.stylize(content, style).image
    settings = OptimizeSettings(keep_faces=0.0)
    job = Job.checked(content, [(style, 1.0)], settings, fast, resumed=False)
    size = (*content.shape[:2], 3)
    terms = engine.objective(job, content.shape[:2])  # pyright: ignore[reportArgumentType]
    weighted = weights_of(terms)

    def loss(x: Array) -> tuple[Array, Array]:
        found = values(terms, engine.params, descent.picture(x, size)[None], job.network)
        return jnp.vdot(found, weighted), found

    evaluate = jax.value_and_grad(loss, has_aux=True)
    x = jax.jit(descent.coordinates)(jnp.asarray(fast))
    own = jax.jit(lambda state: lbfgs.advance(state, evaluate), donate_argnums=0)
    transform = optax.scale_by_lbfgs(memory_size=settings.history)
    other = jax.jit(lambda state: optax_advance(state, evaluate, transform), donate_argnums=0)
    zero = jnp.zeros_like(x)
    start = State(x, jnp.asarray(jnp.inf), zero, zero, jnp.asarray(0.0), transform.init(x))
    found = {
        "ours": run(own, lbfgs.start(x, len(terms), settings.history), args.steps),
        "optax": run(other, start, args.steps),
    }
    goal = found["optax"]["losses"][-1]
    reached = next((k + 1 for k, value in enumerate(found["ours"]["losses"]) if value <= goal), None)
    return {"pair": " / ".join(names), "steps_to_optax_loss": reached, **found}


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Write the figures as a table."""
    header = ["pair", "loss, ours", "loss, optax", "ms a step, ours", "ms a step, optax", "our steps to optax's loss"]
    lines = []
    for row in rows:
        own, other = row["ours"], row["optax"]
        steps = len(own["losses"])
        lines.append(
            [
                row["pair"],
                f"{own['losses'][-1]:.5f}",
                f"{other['losses'][-1]:.5f}",
                f"{1000 * own['seconds'] / steps:.0f}",
                f"{1000 * other['seconds'] / steps:.0f}",
                str(row["steps_to_optax_loss"] or "-"),
            ]
        )
    return report.table(header, lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="python -m benchmarks.directions", description=__doc__)
    parser.add_argument("--size", type=int, default=384, help="long side in pixels")
    parser.add_argument("--steps", type=int, default=60, help="evaluations of each")
    parser.add_argument("--pairs", type=int, default=len(PAIRS), help="how many pairs of samples")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    args = parser.parse_args(argv)
    facts = report.circumstances("benchmarks.directions", argv)
    enable_compilation_cache()
    try:
        engine = Programs(MODELS[DEFAULT_OPTIMIZER_MODEL], weights.load(DEFAULT_OPTIMIZER_MODEL, parts=("encoder",))[0])
        quick = Stylizer()
        rows = [compare(names, args, engine, quick) for names in PAIRS[: args.pairs]]
        report.publish(facts, markdown(rows), {"rows": rows}, args.json)
    except WctStyleError as error:
        return report.failed(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
