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
import optax
from flax import nnx

from wctstyle.decoder import Decoder
from wctstyle.encoder import Encoder
from wctstyle.losses import gram, relative_error
from wctstyle.training.data import BEFORE_FIRST_STEP, MixedCrops
from wctstyle.training.initialize import initialize_decoder, initialize_encoder, normalize_encoder
from wctstyle.training.loop import Report, Stage, optimizer, run
from wctstyle.types import Features, Image

FEATURE_WEIGHT = 2.0
GRAM_WEIGHT = 0.2
PIXEL_WEIGHT = 20.0
CHAIN_WEIGHT = 0.5
INITIAL_CROPS = 224
CHUNK = 16
Parts = dict[str, jax.Array]
Features5 = Callable[[np.ndarray], tuple[Features, ...]]


def relative_square(value: Any, target: Any) -> jax.Array:
    """Squared error over the target's own square (0 same)."""
    return jnp.sum((value - target) ** 2) / (jnp.sum(target**2) + 1e-12)


def fit_heads(student: Features5, teacher: Features5, crops: np.ndarray) -> list[jax.Array]:
    """Least-squares linear maps from student to teacher features, per level, over `crops`."""
    normals: list[Any] = [0.0] * 5
    products: list[Any] = [0.0] * 5
    for i in range(0, len(crops), CHUNK):
        chunk = crops[i : i + CHUNK]
        for k, (s, t) in enumerate(zip(student(chunk), teacher(chunk), strict=True)):
            x, y = s.reshape(-1, s.shape[-1]), t.reshape(-1, t.shape[-1])
            normals[k] += x.T @ x
            products[k] += x.T @ y
    return [
        jnp.linalg.solve(n + 1e-4 * jnp.trace(n) / len(n) * jnp.eye(len(n)), p)
        for n, p in zip(normals, products, strict=True)
    ]


def distillation_losses(student: tuple[Any, ...], teacher: tuple[Any, ...], heads: list[jax.Array]) -> Parts:
    """Relative squared feature error and relative Gram error per level."""
    parts = {}
    for level, (s, t, head) in enumerate(zip(student, teacher, heads, strict=True), start=1):
        mapped = s @ head
        parts[f"feature{level}"] = relative_square(mapped, t)
        parts[f"gram{level}"] = relative_error(gram(mapped), gram(t)).mean()
    return parts


def block_losses(decoder: Decoder, image: Image, features: tuple[Features, ...]) -> Parts:
    """Relative squared error of each block on the true features above it."""
    below = (image, *features[:-1])
    return {f"block{k}": relative_square(decoder.block(features[k - 1], k), below[k - 1]) for k in range(1, 6)}


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
    """The chain from relu3_1 on the first half of the batch and from relu5_1 on the second: total and parts."""
    half = max(1, len(image) // 2)
    first, second = slice(None, half), slice(-half, None)
    parts = chain_losses(decoder, image[first], tuple(f[first] for f in features), 3)
    parts |= chain_losses(decoder, image[second], tuple(f[second] for f in features), 5)
    pixel, chain = parts["pixel3"] + parts["pixel5"], parts["chain3"] + parts["chain5"]
    return PIXEL_WEIGHT * pixel + CHAIN_WEIGHT * chain, parts


def reconstruct(
    encoder: Encoder,
    decoder: Decoder,
    teacher: Encoder,
    data: MixedCrops,
    stage: Stage,
    *,
    initialize: bool,
    checkpoint: Path,
    report: Report,
) -> None:
    """Train encoder (if narrower than `teacher`) and decoder in place, from a least-squares start if `initialize`."""
    narrow = encoder.config != teacher.config
    teacher_def, teacher_params = nnx.split(teacher)
    teach = jax.jit(lambda p, x: nnx.merge(teacher_def, p)(x))
    initialize = initialize and not checkpoint.exists()
    first = data.batch(INITIAL_CROPS, BEFORE_FIRST_STEP)
    if initialize:
        if narrow:
            initialize_encoder(encoder, teacher, first)
            normalize_encoder(encoder, first)
        initialize_decoder(decoder, encoder, first)
    encoder_def, encoder_params = nnx.split(encoder, nnx.Param)
    embed = jax.jit(lambda p, x: nnx.merge(encoder_def, p)(x))
    heads = []
    if narrow:
        heads = fit_heads(lambda x: embed(encoder_params, x), lambda x: teach(teacher_params, x), first)
    decoder_def, decoder_params = nnx.split(decoder, nnx.Param)
    state = {"decoder": decoder_params} | ({"encoder": encoder_params, "heads": heads} if narrow else {})
    transform = optimizer(stage)

    def loss(state: Any, frozen: Any, image: Any, targets: Any) -> tuple[jax.Array, Parts]:
        decoder = nnx.merge(decoder_def, state["decoder"])
        features = nnx.merge(encoder_def, state.get("encoder", frozen))(image)
        parts = distillation_losses(features, targets, state["heads"]) if narrow else {}
        total, found = reconstruction_losses(decoder, image, features)
        parts |= block_losses(decoder, image, features)
        scales = {"feature": FEATURE_WEIGHT, "gram": GRAM_WEIGHT, "block": 1.0}
        total += sum(scales[name[:-1]] * value for name, value in parts.items())
        return total, parts | found

    @jax.jit
    def update(state: Any, opt_state: Any, frozen: Any, image: Any, targets: Any) -> tuple[Any, Any, Parts]:
        (total, parts), grads = jax.value_and_grad(loss, has_aux=True)(state, frozen, image, targets)
        updates, opt_state = transform.update(grads, opt_state, state)
        return optax.apply_updates(state, updates), opt_state, {"loss": total} | parts

    def step(state: Any, opt_state: Any, index: int) -> tuple[Any, Any, Parts]:
        image = data.batch(stage.batch, index)
        targets = teach(teacher_params, image) if narrow else ()
        return update(state, opt_state, () if narrow else encoder_params, image, targets)

    state = run(stage, state, step, checkpoint=checkpoint, report=report)
    nnx.update(decoder, state["decoder"])
    if narrow:
        nnx.update(encoder, state["encoder"])
        report({"stage": stage.kind, "dead_channels": dead_channels(encoder, data.batch(64, stage.steps))})


def dead_channels(encoder: Encoder, crops: np.ndarray) -> dict[str, int]:
    """Count, per ReLU, the channels that are zero everywhere on `crops`."""
    acts = encoder.activations(jnp.asarray(crops))
    return {k: int((v.max(axis=(0, 1, 2)) <= 0).sum()) for k, v in acts.items()}
