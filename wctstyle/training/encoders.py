"""Train a narrow encoder: features like the teacher's through linear heads, and Gram matrices like the teacher's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from wctstyle.encoder import Encoder
from wctstyle.errors import ConfigError
from wctstyle.losses import gram, relative_error
from wctstyle.training.answers import Answers
from wctstyle.training.data import BEFORE_FIRST_STEP, MixedCrops
from wctstyle.training.initialize import initialize_encoder, normalize_encoder
from wctstyle.training.loop import Report, Stage, descent, run
from wctstyle.types import Features

DEFAULTS: dict[str, Any] = {"feature": 2.0, "gram": 0.4, "views": 1}
"""Options of the stage: weights of the losses against the teacher; `views`, crops per picture whose deep answers are
kept (0: new crops at every step)."""

SHALLOW = 2
"""Levels of the teacher that are computed at every step where answers are kept: cheap, and too large to keep."""

INITIAL_CROPS = 224
CHUNK = 16
Parts = dict[str, jax.Array]
Levels = Callable[[np.ndarray], tuple[Features, ...]]


def relative_square(value: Any, target: Any) -> jax.Array:
    """Squared error over the target's own square (0 same)."""
    return jnp.sum((value - target) ** 2) / (jnp.sum(target**2) + 1e-12)


def fit_heads(student: Levels, teacher: Levels, crops: np.ndarray) -> list[jax.Array]:
    """Least-squares linear maps from student to teacher features, per level that they give, over `crops`."""
    normals: dict[int, Any] = {}
    products: dict[int, Any] = {}
    for i in range(0, len(crops), CHUNK):
        chunk = crops[i : i + CHUNK]
        for k, (s, t) in enumerate(zip(student(chunk), teacher(chunk), strict=True)):
            normal, product = _sums(s, t)
            normals[k] = normals.get(k, 0.0) + normal
            products[k] = products.get(k, 0.0) + product
    return [_solution(n, p) for n, p in zip(normals.values(), products.values(), strict=True)]


@jax.jit
def _sums(student: Features, teacher: Features) -> tuple[jax.Array, jax.Array]:
    x, y = (f.reshape(-1, f.shape[-1]) for f in (student, teacher))
    return x.T @ x, x.T @ y


@jax.jit
def _solution(normal: jax.Array, product: jax.Array) -> jax.Array:
    ridge = 1e-4 * jnp.trace(normal) / len(normal)
    return jnp.linalg.solve(normal + ridge * jnp.eye(len(normal)), product)


def distillation_losses(student: tuple[Any, ...], teacher: tuple[Any, ...], heads: list[jax.Array]) -> Parts:
    """Relative squared feature error and relative Gram error per level."""
    parts = {}
    for level, (s, t, head) in enumerate(zip(student, teacher, heads, strict=True), start=1):
        mapped = s @ head
        parts[f"feature{level}"] = relative_square(mapped, t)
        parts[f"gram{level}"] = relative_error(gram(mapped), gram(t)).mean()
    return parts


def train_encoder(
    encoder: Encoder,
    teacher: Encoder,
    stage: Stage,
    *,
    content: Path,
    style: Path,
    seed: int,
    initialize: bool,
    checkpoint: Path,
    report: Report,
) -> None:
    """Train `encoder` in place on crops from both folders; with `initialize` it starts from least squares.

    Raises:
        ConfigError: the encoder is as wide as the teacher.
    """
    if encoder.config == teacher.config:
        raise ConfigError(f"stage encoder: {encoder.config.name} is the teacher itself and has nothing to learn")
    o = DEFAULTS | stage.options
    data = MixedCrops.of(content, style, size=stage.size, seed=seed, views=int(o["views"]))
    teacher_def, teacher_params = nnx.split(teacher)
    teach = jax.jit(lambda p, x, levels: nnx.merge(teacher_def, p)(x, levels=levels), static_argnames="levels")
    answers = Answers(lambda crop: teach(teacher_params, crop, levels=5)[SHALLOW:])
    resumed = checkpoint.exists()  # then it holds what is fitted here, and a few crops give its shapes
    _, first = data.batch(CHUNK if resumed else INITIAL_CROPS, BEFORE_FIRST_STEP)
    if not resumed and initialize:
        initialize_encoder(encoder, teacher, first)
        normalize_encoder(encoder, first)
    encoder_def, encoder_params = nnx.split(encoder, nnx.Param)
    embed = jax.jit(lambda p, x: nnx.merge(encoder_def, p)(x))
    heads = fit_heads(lambda x: embed(encoder_params, x), lambda x: teach(teacher_params, x, levels=5), first)

    def loss(state: Any, image: Any, targets: Any) -> tuple[jax.Array, Parts]:
        features = nnx.merge(encoder_def, state["encoder"])(image)
        parts = distillation_losses(features, targets, state["heads"])
        return jnp.asarray(sum(o[name[:-1]] * value for name, value in parts.items())), parts

    update = jax.jit(descent(stage, loss))

    def step(state: Any, opt_state: Any, index: int) -> tuple[Any, Any, Parts]:
        names, image = data.batch(stage.batch, index)
        if int(o["views"]):
            targets = (*teach(teacher_params, image, levels=SHALLOW), *answers(names, image))
        else:
            targets = teach(teacher_params, image, levels=5)
        return update(state, opt_state, image, targets)

    state = run(stage, {"encoder": encoder_params, "heads": heads}, step, checkpoint=checkpoint, report=report)
    nnx.update(encoder, state["encoder"])
    report({"stage": stage.kind, "dead_channels": dead_channels(encoder, data.batch(64, stage.steps)[1])})


def dead_channels(encoder: Encoder, crops: np.ndarray) -> dict[str, int]:
    """Count, per ReLU, the channels that are zero everywhere on `crops`."""
    graphdef, params = nnx.split(encoder)
    acts = jax.jit(lambda p, x: nnx.merge(graphdef, p).activations(x))(params, crops)
    return {k: int((v.max(axis=(0, 1, 2)) <= 0).sum()) for k, v in acts.items()}
