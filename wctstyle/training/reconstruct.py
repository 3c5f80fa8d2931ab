"""Train encoder and decoder together: features like the teacher's, and from them the picture back.

The encoder matches VGG-19 through linear heads and by its Gram matrices at relu1_1..relu5_1; at the same time each
decoder block learns to undo a level, alone and in the chain down to RGB. Trained together, a narrow encoder keeps what
the decoder needs (after Wang et al. 2020, "Collaborative Distillation", who train both in turns). Where the encoder is
the teacher itself, only the decoder learns.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from wctstyle.decoder import Decoder
from wctstyle.encoder import Encoder
from wctstyle.losses import gram, relative_error
from wctstyle.training.answers import Answers
from wctstyle.training.data import BEFORE_FIRST_STEP, MixedCrops
from wctstyle.training.initialize import (
    initialize_decoder,
    initialize_encoder,
    normalize_encoder,
    wake_channels,
)
from wctstyle.training.loop import Report, Stage, descent, run
from wctstyle.types import Features, Image

DEFAULTS: dict[str, Any] = {"feature": 2.0, "gram": 0.2, "views": 0}
"""Options of the stage: weights of the losses against the teacher; `views`, crops per picture whose deep answers are
kept (0: new crops at every step)."""

CHAINS = (3, 4, 5)
SHALLOW = 2
"""Levels of the teacher that are computed at every step where answers are kept: cheap, and too large to keep."""

PIXEL_WEIGHT = 20.0
CHAIN_WEIGHT = 0.5
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
            x, y = s.reshape(-1, s.shape[-1]), t.reshape(-1, t.shape[-1])
            normals[k] = normals.get(k, 0.0) + x.T @ x
            products[k] = products.get(k, 0.0) + x.T @ y
    return [
        jnp.linalg.solve(n + 1e-4 * jnp.trace(n) / len(n) * jnp.eye(len(n)), p)
        for n, p in zip(normals.values(), products.values(), strict=True)
    ]


def distillation_losses(
    student: tuple[Any, ...], teacher: tuple[Any, ...], heads: list[jax.Array], *, first: int = 1
) -> Parts:
    """Relative squared feature error and relative Gram error per level, from level `first` up."""
    parts = {}
    for level, (s, t, head) in enumerate(zip(student, teacher, heads, strict=True), start=first):
        mapped = s @ head
        parts[f"feature{level}"] = relative_square(mapped, t)
        parts[f"gram{level}"] = relative_error(gram(mapped), gram(t)).mean()
    return parts


def block_losses(decoder: Decoder, base: Image | Features, features: tuple[Features, ...], *, first: int = 1) -> Parts:
    """Relative squared error of each block on the true features above it, from level `first` up.

    `base` is what block `first` restores: the picture, or the features below that level.
    """
    pairs = enumerate(zip(features, (base, *features[:-1]), strict=True), start=first)
    return {f"block{k}": relative_square(decoder.block(above, k), below) for k, (above, below) in pairs}


def chain_losses(decoder: Decoder, image: Image, features: tuple[Features, ...], level: int) -> Parts:
    """Decode from `level` down to RGB: squared pixel error, and mean relative error of the features on the way."""
    x, errors = features[level - 1], []
    for k in range(level, 0, -1):
        x = decoder.block(x, k)
        if k > 1:
            errors.append(relative_square(x, features[k - 2]))
    on_the_way = jnp.asarray(sum(errors) / max(1, len(errors)))
    return {f"pixel{level}": jnp.mean((x - image) ** 2), f"chain{level}": on_the_way}


def reconstruction_losses(decoder: Decoder, image: Image, features: tuple[Features, ...]) -> tuple[jax.Array, Parts]:
    """The chains from relu3_1, relu4_1 and relu5_1, each on a third of the batch (at least one): total and parts."""
    parts: Parts = {}
    for i, level in enumerate(CHAINS):
        third = slice(i % len(image), None, len(CHAINS))
        parts |= chain_losses(decoder, image[third], tuple(f[third] for f in features), level)
    weighted = (PIXEL_WEIGHT * parts[f"pixel{k}"] + CHAIN_WEIGHT * parts[f"chain{k}"] for k in CHAINS)
    return jnp.asarray(sum(weighted)), parts


def reconstruct(
    encoder: Encoder,
    decoder: Decoder,
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
    """Train encoder (if narrower than `teacher`) and decoder in place, on crops from both folders.

    With `initialize` they start from least squares; otherwise as they are, but for dead channels, which are woken.
    """
    o = DEFAULTS | stage.options
    data = MixedCrops.of(content, style, size=stage.size, seed=seed, views=int(o["views"]))
    narrow = encoder.config != teacher.config
    teacher_def, teacher_params = nnx.split(teacher)
    teach = jax.jit(lambda p, x, levels: nnx.merge(teacher_def, p)(x, levels=levels), static_argnames="levels")
    answers = Answers(lambda crop: teach(teacher_params, crop, levels=5)[SHALLOW:])
    resumed = checkpoint.exists()  # then it holds what is fitted here, and a few crops give its shapes
    _, first = data.batch(CHUNK if resumed else INITIAL_CROPS, BEFORE_FIRST_STEP)
    if not resumed and initialize:
        if narrow:
            initialize_encoder(encoder, teacher, first)
            normalize_encoder(encoder, first)
        initialize_decoder(decoder, encoder, first)
    elif not resumed and narrow:
        wake_channels(encoder, decoder, first)
    encoder_def, encoder_params = nnx.split(encoder, nnx.Param)
    embed = jax.jit(lambda p, x: nnx.merge(encoder_def, p)(x))
    heads = []
    if narrow:
        heads = fit_heads(lambda x: embed(encoder_params, x), lambda x: teach(teacher_params, x, levels=5), first)
    decoder_def, decoder_params = nnx.split(decoder, nnx.Param)
    state = {"decoder": decoder_params} | ({"encoder": encoder_params, "heads": heads} if narrow else {})

    def loss(state: Any, frozen: Any, image: Any, targets: Any) -> tuple[jax.Array, Parts]:
        decoder = nnx.merge(decoder_def, state["decoder"])
        features = nnx.merge(encoder_def, state.get("encoder", frozen))(image)
        parts = distillation_losses(features, targets, state["heads"]) if narrow else {}
        total, found = reconstruction_losses(decoder, image, features)
        parts |= block_losses(decoder, image, features)
        scales = {"feature": o["feature"], "gram": o["gram"], "block": 1.0}
        total += sum(scales[name[:-1]] * value for name, value in parts.items())
        return total, parts | found

    update = jax.jit(descent(stage, loss))

    def step(state: Any, opt_state: Any, index: int) -> tuple[Any, Any, Parts]:
        names, image = data.batch(stage.batch, index)
        targets: tuple[Any, ...] = ()
        if narrow and int(o["views"]):
            targets = (*teach(teacher_params, image, levels=SHALLOW), *answers(names, image))
        elif narrow:
            targets = teach(teacher_params, image, levels=5)
        return update(state, opt_state, () if narrow else encoder_params, image, targets)

    state = run(stage, state, step, checkpoint=checkpoint, report=report)
    nnx.update(decoder, state["decoder"])
    if narrow:
        nnx.update(encoder, state["encoder"])
        report({"stage": stage.kind, "dead_channels": dead_channels(encoder, data.batch(64, stage.steps)[1])})


def dead_channels(encoder: Encoder, crops: np.ndarray) -> dict[str, int]:
    """Count, per ReLU, the channels that are zero everywhere on `crops`."""
    acts = encoder.activations(jnp.asarray(crops))
    return {k: int((v.max(axis=(0, 1, 2)) <= 0).sum()) for k, v in acts.items()}
