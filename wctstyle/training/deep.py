"""Train the deep layers: the encoder's behind relu3_1 or relu4_1 against VGG-19, and the decoder's blocks back.

Everything up to that level stays as it is, so what it says about a crop is computed once, as the teacher's answers are,
and a step is cheap. The deep levels need the most of them: they are furthest from VGG-19's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from wctstyle.decoder import Decoder
from wctstyle.encoder import Encoder
from wctstyle.errors import ConfigError
from wctstyle.training.answers import Answers
from wctstyle.training.data import BEFORE_FIRST_STEP, MixedCrops
from wctstyle.training.loop import Report, Stage, descent, run
from wctstyle.training.reconstruct import (
    CHUNK,
    INITIAL_CROPS,
    Parts,
    block_losses,
    distillation_losses,
    fit_heads,
    relative_square,
)

BASES = (3, 4)

DEFAULTS: dict[str, Any] = {"base": 3, "feature": 2.0, "gram": 0.4, "block": 1.0, "chain": 0.5, "views": 3}
"""Options of the stage: the last level that stays as it is; weights of the losses; `views`, crops per picture."""


def deep(
    encoder: Encoder,
    decoder: Decoder,
    teacher: Encoder,
    stage: Stage,
    *,
    content: Path,
    style: Path,
    seed: int,
    checkpoint: Path,
    report: Report,
) -> None:
    """Train the deep layers of `encoder` and `decoder` in place, on crops from both folders.

    Raises:
        ConfigError: the encoder is the teacher itself, no fixed crops were asked for, or `base` is not 3 or 4.
    """
    o = DEFAULTS | stage.options
    base_level = o["base"]
    if base_level not in BASES:
        raise ConfigError(f"stage deep: base is the last level that stays as it is, 3 or 4; got {base_level!r}")
    if encoder.config == teacher.config or not int(o["views"]):
        raise ConfigError("stage deep: is for an encoder narrower than its teacher, and needs views of 1 or more")
    data = MixedCrops.of(content, style, size=stage.size, seed=seed, views=int(o["views"]))
    teacher_def, teacher_params = nnx.split(teacher)
    encoder_def, encoder_params = nnx.split(encoder, nnx.Param)
    decoder_def, decoder_params = nnx.split(decoder, nnx.Param)
    teach = jax.jit(lambda p, x: nnx.merge(teacher_def, p)(x)[base_level:])
    embed = jax.jit(lambda p, x: nnx.merge(encoder_def, p)(x, levels=base_level)[-1])
    answers = Answers(lambda crop: (embed(encoder_params, crop), *teach(teacher_params, crop)))

    def above(params: Any, base: Any) -> tuple[Any, ...]:
        acts = nnx.merge(encoder_def, params).activations(base, after=f"conv{base_level}_1")
        return tuple(acts[f"relu{k}_1"] for k in range(base_level + 1, 6))

    first = data.batch(CHUNK if checkpoint.exists() else INITIAL_CROPS, BEFORE_FIRST_STEP)[1]
    seen = jax.jit(lambda p, x: above(p, embed(p, x)))
    heads = fit_heads(lambda x: seen(encoder_params, x), lambda x: teach(teacher_params, x), first)
    state = {"encoder": encoder_params, "decoder": decoder_params, "heads": heads}

    def loss(state: Any, base: Any, *targets: Any) -> tuple[jax.Array, Parts]:
        decoder = nnx.merge(decoder_def, state["decoder"])
        features = above(state["encoder"], base)
        parts = distillation_losses(features, targets, state["heads"], first=base_level + 1)
        parts |= block_losses(decoder, base, features, first=base_level + 1)
        if base_level == 4:  # the chain down to the base is block 5, which then counts so much more
            parts["chain5"] = parts["block5"]
        else:
            x = features[-1]
            for level in range(5, base_level, -1):
                x = decoder.block(x, level)
            parts["chain5"] = relative_square(x, base)
        return jnp.asarray(sum(o[name[:-1]] * value for name, value in parts.items())), parts

    update = jax.jit(descent(stage, loss))

    def step(state: Any, opt_state: Any, index: int) -> tuple[Any, Any, Parts]:
        return update(state, opt_state, *answers(*data.batch(stage.batch, index)))

    state = run(stage, state, step, checkpoint=checkpoint, report=report)
    nnx.update(encoder, state["encoder"])
    nnx.update(decoder, state["decoder"])
