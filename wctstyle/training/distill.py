"""Distil a narrow encoder from VGG-19: features through linear heads, and their Gram matrices, at five levels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from wctstyle.encoder import Encoder
from wctstyle.losses import gram, relative_error
from wctstyle.training.data import BEFORE_FIRST_STEP, MixedCrops
from wctstyle.training.initialize import initialize_encoder, normalize_encoder
from wctstyle.training.loop import Report, Stage, optimizer, run

GRAM_WEIGHT = 0.1
INITIAL_CROPS = 256


def fit_heads(student: tuple[Any, ...], teacher: tuple[Any, ...]) -> list[jax.Array]:
    """Least-squares linear maps from student to teacher features, per level."""
    heads = []
    for s, t in zip(student, teacher, strict=True):
        x, y = s.reshape(-1, s.shape[-1]), t.reshape(-1, t.shape[-1])
        normal = x.T @ x / len(x)
        normal = normal + 1e-4 * jnp.trace(normal) / len(normal) * jnp.eye(len(normal))
        heads.append(jnp.linalg.solve(normal, x.T @ y / len(x)))
    return heads


def losses(student: tuple[Any, ...], teacher: tuple[Any, ...], heads: list[jax.Array]) -> dict[str, jax.Array]:
    """Relative squared feature error and relative Gram error per level."""
    parts = {}
    for level, (s, t, head) in enumerate(zip(student, teacher, heads, strict=True), start=1):
        mapped = s @ head
        parts[f"feature{level}"] = jnp.sum((mapped - t) ** 2) / jnp.sum(t**2)
        parts[f"gram{level}"] = relative_error(gram(mapped), gram(t)).mean()
    return parts


def distill(student: Encoder, teacher: Encoder, data: MixedCrops, stage: Stage, *, out: Path, report: Report) -> None:
    """Initialise `student` by least squares, train it to match `teacher`, and scale its layers to unit RMS."""
    teacher_def, teacher_params = nnx.split(teacher)
    teach = jax.jit(lambda p, x: nnx.merge(teacher_def, p)(x))
    checkpoint = out / "distill.safetensors"
    first = data.batch(16 if checkpoint.exists() else INITIAL_CROPS, BEFORE_FIRST_STEP)
    if not checkpoint.exists():
        initialize_encoder(student, teacher, first)
        normalize_encoder(student, first)
    graphdef, params = nnx.split(student, nnx.Param)
    embed = jax.jit(lambda p, x: nnx.merge(graphdef, p)(x))
    few = first[:16]
    state = {"student": params, "heads": fit_heads(embed(params, few), teach(teacher_params, few))}
    transform = optimizer(stage)

    def loss(state: Any, crops: Any, targets: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
        parts = losses(nnx.merge(graphdef, state["student"])(crops), targets, state["heads"])
        total = sum(v * (GRAM_WEIGHT if k.startswith("gram") else 1.0) for k, v in parts.items())
        return jnp.asarray(total), parts

    @jax.jit
    def update(state: Any, opt_state: Any, crops: Any, targets: Any) -> tuple[Any, Any, dict[str, jax.Array]]:
        (total, parts), grads = jax.value_and_grad(loss, has_aux=True)(state, crops, targets)
        updates, opt_state = transform.update(grads, opt_state, state)
        return optax.apply_updates(state, updates), opt_state, {"loss": total} | parts

    def step(state: Any, opt_state: Any, index: int) -> tuple[Any, Any, dict[str, jax.Array]]:
        crops = data.batch(stage.batch, index)
        return update(state, opt_state, crops, teach(teacher_params, crops))

    state = run(stage, state, step, checkpoint=checkpoint, report=report)
    nnx.update(student, state["student"])
    normalize_encoder(student, np.asarray(first[:16]))
    dead = dead_channels(student, data.batch(64, stage.steps))
    report({"stage": "distill", "dead_channels": dead})


def dead_channels(encoder: Encoder, crops: Any) -> dict[str, int]:
    """Count, per ReLU, the channels that are zero everywhere on `crops`."""
    acts = encoder.activations(jnp.asarray(crops))
    return {k: int((v.max(axis=(0, 1, 2)) <= 0).sum()) for k, v in acts.items()}
