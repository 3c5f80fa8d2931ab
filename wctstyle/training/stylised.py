"""Train the decoder on what it is for: the one-pass chain, judged for style and content by the original VGG-19."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from wctstyle.decoder import Decoder
from wctstyle.encoder import Encoder
from wctstyle.losses import content_error, gram, out_of_range, relative_error, total_variation
from wctstyle.moments import measure
from wctstyle.plan import mix_detail
from wctstyle.settings import GAINS, TransformKind, map_kind
from wctstyle.threads import limit_lapack_threads
from wctstyle.training.answers import Answers
from wctstyle.training.data import Crops
from wctstyle.training.loop import Report, Stage, descent, run
from wctstyle.training.reconstruct import Parts, reconstruction_losses
from wctstyle.transforms import affine
from wctstyle.types import Features, Image

CONTENT_LAYER = "relu4_2"
DEFAULTS: dict[str, Any] = {
    "content": 0.5,
    "tv": 0.0,
    "range": 10.0,
    "identity": 1.0,
    "wct": 0.1,
    "detail": (0.0, 0.5),
    "views": 1,
    "pictures": 0,
}
"""Options of the stage: weights of the losses; `wct`, the share of steps with that transform; `detail`, its range;
`views`, crops per picture whose answers the judge keeps (0: new crops at every step); `pictures`, a limit (0: all)."""


def _renormalized(x: Features) -> Features:
    """Return `x` as it is, with the gradient of a map that fixes each channel's mean and deviation.

    The real plan undoes any shift or scale of the features it is given, but a matrix held constant does not know it:
    without this the gradient keeps pushing the blocks towards weaker features, and the pictures turn dull.
    """
    mean, deviation = x.mean(axis=(1, 2), keepdims=True), jnp.sqrt(x.var(axis=(1, 2), keepdims=True) + 1e-6)
    return (x - mean) / deviation * lax.stop_gradient(deviation) + lax.stop_gradient(mean)


def stylize_batch(
    decoder: Decoder,
    features: tuple[Features, ...],
    styles: tuple[Features, ...],
    detail: jax.Array,
    *,
    kind: TransformKind,
) -> Image:
    """Decode picture i of `features` in the style of picture i of `styles`; the plan's matrices get no gradient.

    Maps are followed as far as at full strength (`GAINS`), so the blocks see what they will be given; the retouch that
    comes after them is left out.
    """

    def one(level: int, pair: tuple[Any, Any]) -> Any:
        x, s = pair
        return affine(measure(x[None]), measure(s[None]), kind=map_kind(kind, level), alpha=GAINS[level - 1])

    x = features[-1]
    for level in range(5, 0, -1):
        if level < 5:
            x = mix_detail(x, features[level - 1], detail[:, None, None, None])
        step = lax.stop_gradient(lax.map(partial(one, level), (x, styles[level - 1])))
        x = jnp.einsum("nhwj,nij->nhwi", x, step.matrix) + step.bias[:, None, None, :]
        x = decoder.block(_renormalized(x), level)
    return x


class Judge:
    """What the teacher says about content and style crops; remembers the answers for crops with a name."""

    def __init__(self, teacher: Encoder) -> None:
        self.graphdef, self.params = nnx.split(teacher)
        style = jax.jit(lambda p, x: tuple(gram(a[f"relu{k}_1"]) for a in [self.look(p, x)] for k in range(1, 6)))
        content = jax.jit(lambda p, x: (self.look(p, x, upto="conv" + CONTENT_LAYER[4:])[CONTENT_LAYER],))
        self.style = Answers(lambda crop: style(self.params, crop))
        """Gram matrices at five levels."""
        self.content = Answers(lambda crop: content(self.params, crop))
        """Features at the content layer, a tuple of one."""

    def look(self, params: Any, image: Image, *, upto: str = "conv5_1") -> dict[str, Features]:
        """Return the teacher's activations; borders as in the original."""
        return nnx.merge(self.graphdef, params).activations(image, upto=upto, padding="zero")

    def losses(self, params: Any, out: Image, grams: tuple[jax.Array, ...], content: jax.Array) -> Parts:
        """Style (relative Gram error, five levels) and content (standardised relu4_2) of `out`."""
        acts = self.look(params, out)
        parts = {
            f"style{k}": relative_error(gram(acts[f"relu{k}_1"]), grams[k - 1], epsilon=1e-6).mean()
            for k in range(1, 6)
        }
        parts["style"] = jnp.asarray(sum(parts.values()) / 5)
        return parts | {"content": content_error(acts[CONTENT_LAYER], content).mean()}


def stylised(
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
    """Train `decoder` in place on random pairs from the two folders."""
    limit_lapack_threads()
    o = DEFAULTS | stage.options
    judge = Judge(teacher)
    contents, styles = (
        Crops(folder, size=stage.size, seed=seed + salt, views=int(o["views"]), limit=int(o["pictures"]))
        for folder, salt in ((content, 5), (style, 6))
    )
    encoder_def, encoder_params = nnx.split(encoder)
    graphdef, params = nnx.split(decoder, nnx.Param)

    def loss(
        params: Any, encoder_params: Any, judge_params: Any, content: Image, style: Image, detail: Any, grams: Any,
        target: Any, *, kind: TransformKind,
    ) -> tuple[jax.Array, Parts]:  # fmt: skip
        encoder, decoder = nnx.merge(encoder_def, encoder_params), nnx.merge(graphdef, params)
        features = encoder(content)
        out = stylize_batch(decoder, features, encoder(style), detail, kind=kind)
        parts = judge.losses(judge_params, out, grams, target)
        parts |= {"tv": total_variation(out).mean(), "range": out_of_range(out).mean()}
        parts["identity"], found = reconstruction_losses(decoder, content, features)
        total = parts["style"] + sum(o[k] * parts[k] for k in ("content", "tv", "range", "identity"))
        return total, parts | found

    update = jax.jit(descent(stage, loss), static_argnames="kind")

    def step(params: Any, opt_state: Any, index: int) -> tuple[Any, Any, Parts]:
        content_names, content = contents.batch(stage.batch, index)
        style_names, style = styles.batch(stage.batch, index)
        rng = np.random.default_rng((seed + 7, index))
        detail = rng.uniform(*o["detail"], size=stage.batch).astype(np.float32)
        kind = "wct" if rng.random() < o["wct"] else "mixed"
        batch = (content, style, detail, judge.style(style_names, style), *judge.content(content_names, content))
        return update(params, opt_state, encoder_params, judge.params, *batch, kind=kind)

    params = run(stage, params, step, checkpoint=checkpoint, report=report)
    nnx.update(decoder, params)
