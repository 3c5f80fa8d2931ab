"""The loop all stages share: steps, a learning-rate schedule, progress lines, checkpoints and resume."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from wctstyle import weights
from wctstyle.errors import ConfigError, NonFiniteError

Report = Callable[[dict[str, Any]], None]
"""Called every so often with {"stage", "step", "steps", "seconds", and the loss parts}."""


@dataclass(frozen=True)
class Stage:
    """One stage of a recipe: what to run and for how long."""

    kind: str
    steps: int
    size: int = 192
    batch: int = 4
    rate: float = 5e-4
    options: dict[str, Any] = field(default_factory=dict)


def optimizer(stage: Stage) -> optax.GradientTransformation:
    """Adam with clipped gradients, a short warm-up and a cosine to a fiftieth of the rate."""
    warmup = min(100, max(1, stage.steps // 20))
    schedule = optax.warmup_cosine_decay_schedule(
        stage.rate / 20, stage.rate, warmup, max(stage.steps, warmup + 1), stage.rate / 50
    )
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(schedule))


def descent(stage: Stage, loss: Callable[..., tuple[jax.Array, dict[str, jax.Array]]]) -> Callable[..., Any]:
    """Return one step on `loss(params, *batch, **static) -> (total, parts)`, to be jitted by the caller.

    The step takes (params, opt_state, *batch, **static) and returns params, opt_state and {"loss"} with the parts.
    """
    transform = optimizer(stage)

    def update(params: Any, opt_state: Any, *batch: Any, **static: Any) -> tuple[Any, Any, dict[str, jax.Array]]:
        (total, parts), grads = jax.value_and_grad(loss, has_aux=True)(params, *batch, **static)
        updates, opt_state = transform.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, {"loss": total} | parts

    return update


def _flatten(tree: Any) -> dict[str, np.ndarray]:
    return {f"leaf/{i:04d}": np.asarray(leaf, np.float32) for i, leaf in enumerate(jax.tree.leaves(tree))}


def save_checkpoint(path: Path, tree: Any, stage: Stage, step: int) -> None:
    """Write the whole training state atomically."""
    weights.save(path, _flatten(tree), {"stage": stage.kind, "steps": stage.steps, "step": step})


def load_checkpoint(path: Path, tree: Any, stage: Stage) -> tuple[Any, int]:
    """Read a state like `tree` back; returns it and the number of steps done.

    Raises:
        ConfigError: the checkpoint belongs to another stage or another model.
    """
    tensors, metadata = weights.load_file(path)
    leaves, structure = jax.tree.flatten(tree)
    loaded = [tensors[k] for k in sorted(tensors)]
    if metadata.get("stage") != stage.kind or [x.shape for x in loaded] != [np.shape(x) for x in leaves]:
        raise ConfigError(f"{path}: is a checkpoint of another recipe; use another output folder or delete it")
    return (
        jax.tree.unflatten(
            structure, [jnp.asarray(a, np.asarray(b).dtype) for a, b in zip(loaded, leaves, strict=True)]
        ),
        int(metadata["step"]),
    )


def run(
    stage: Stage,
    params: Any,
    next_step: Callable[[Any, Any, int], tuple[Any, Any, dict[str, jax.Array]]],
    *,
    checkpoint: Path,
    report: Report,
    report_every: int = 25,
    save_seconds: float = 120.0,
) -> Any:
    """Train `params` for `stage.steps` steps; resumes from `checkpoint` if it is there. Returns the new params.

    `next_step(params, opt_state, index)` does one step. The state is saved every two minutes, at the end and on Ctrl-C.

    Raises:
        NonFiniteError: a loss became NaN or infinite; the last good checkpoint is kept.
    """
    tree, done = (params, optimizer(stage).init(params)), 0
    if checkpoint.exists():
        tree, done = load_checkpoint(checkpoint, tree, stage)
    state: tuple[Any, int] = tree, done  # one name, so that an interrupt finds weights and their step together
    sums: dict[str, float] = {}
    seen, began, saved = 0, time.monotonic(), time.monotonic()
    try:
        for index in range(done, stage.steps):
            params, opt_state = state[0]
            new_params, opt_state, parts = next_step(params, opt_state, index)
            values = {k: float(v) for k, v in parts.items()}
            if not all(np.isfinite(v) for v in values.values()):
                raise NonFiniteError(f"stage {stage.kind}: loss is not finite at step {index}: {values}")
            state = (new_params, opt_state), index + 1
            for k, v in values.items():
                sums[k] = sums.get(k, 0.0) + v
            seen += 1
            if seen == report_every or index + 1 == stage.steps:
                means = {k: v / seen for k, v in sums.items()}
                report(
                    {"stage": stage.kind, "step": index + 1, "steps": stage.steps}
                    | {"seconds": round(time.monotonic() - began, 1)}
                    | means
                )
                sums, seen = {}, 0
            if time.monotonic() - saved > save_seconds or index + 1 == stage.steps:
                save_checkpoint(checkpoint, state[0], stage, state[1])
                saved = time.monotonic()
    except KeyboardInterrupt:
        save_checkpoint(checkpoint, state[0], stage, state[1])
        raise
    return state[0][0]
