"""Train the decoder on what it is for: the one-pass chain, judged for style and content by the original VGG-19."""

from __future__ import annotations

from collections.abc import Sequence
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
from wctstyle.moments import Moments, measure
from wctstyle.plan import mix_detail
from wctstyle.settings import GAINS, TransformKind, map_kind
from wctstyle.threads import limit_lapack_threads
from wctstyle.training.answers import Answers
from wctstyle.training.data import Crops
from wctstyle.training.loop import Report, Stage, descent, run
from wctstyle.training.reconstruct import Parts, reconstruction_losses
from wctstyle.training.tasks import Task, draw_task, shrink
from wctstyle.transforms import affine, blend
from wctstyle.types import Features, Image

CONTENT_LAYER = "relu4_2"

Named = tuple[list[tuple[int, ...]], Any]
"""Crops (n, s, s, 3) and their names, as `Crops.batch` returns them."""

DEFAULTS: dict[str, Any] = {
    "content": 0.5,
    "tv": 0.0,
    "range": 10.0,
    "identity": 1.0,
    "wct": 0.1,
    "detail": (0.0, 0.5),
    "strengths": 0.0,
    "strength": (0.2, 1.0),
    "blends": 0.0,
    "regions": 0.0,
    "views": 1,
    "pictures": 0,
}
"""Options of the stage: weights of the losses; `wct`, the share of steps with that transform; `detail`, its range;
`strengths`, the share of steps with part of the style's `strength`, and that one's range; `blends`, the share with two
styles blended; `regions`, the share with two styles, each in its own part of the photo (the others: one style, whole);
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
    styles: Sequence[tuple[Features, ...]],
    detail: jax.Array,
    *,
    kind: TransformKind,
    strength: jax.Array | float = 1.0,
    shares: jax.Array | None = None,
    masks: Sequence[jax.Array] | None = None,
) -> Image:
    """Decode picture i of `features` in the style of picture i of `styles`; the plan's matrices get no gradient.

    Two `styles` are blended by `shares` (n, 2), as the plan does it, or have their own parts of the photo, told by
    `masks` (n, 2, h, w) of each level: each map takes the moments of its part. Maps are followed as far as at the
    `strength` given, for each picture (`GAINS`), so the blocks see what they will be given, and `detail` rises as it
    falls, as in `Settings`; the retouch that comes after them is left out.
    """
    count = len(features[-1])
    strength = jnp.broadcast_to(jnp.asarray(strength, jnp.float32), (count,))
    detail = 1 - (1 - detail) * strength

    def maps(level: int, one: dict[str, Any]) -> tuple[Any, ...]:
        """Return the map of each part of one picture."""
        targets = [measure(style[None]) for style in one["styles"]]
        if "shares" in one:
            targets = [blend(targets, one["shares"])]
        places = [w[None] for w in one["masks"]] if "masks" in one else [None] * len(targets)
        return tuple(
            affine(
                measure(one["x"][None], place), t, kind=map_kind(kind, level), alpha=one["strength"] * GAINS[level - 1]
            )
            for t, place in zip(targets, places, strict=True)
        )

    x = features[-1]
    for level in range(5, 0, -1):
        if level < 5:
            x = mix_detail(x, features[level - 1], detail[:, None, None, None])
        each: dict[str, Any] = {"x": x, "strength": strength, "styles": tuple(s[level - 1] for s in styles)}
        if shares is not None:
            each["shares"] = shares
        if masks is not None:
            each["masks"] = masks[level - 1]
        moved = [
            jnp.einsum("nhwj,nij->nhwi", x, step.matrix) + step.bias[:, None, None, :]
            for step in lax.map(partial(maps, level), lax.stop_gradient(each))
        ]
        if masks is None:
            (x,) = moved
        else:
            x = sum((masks[level - 1][:, k, :, :, None] * part for k, part in enumerate(moved)), jnp.zeros_like(x))
        x = decoder.block(_renormalized(x), level)
    return x


def _moments(picture: Features) -> Moments:
    """Measure a batch of one; arrays with a row for it. The count is not kept: half precision could not hold it."""
    _, mean, covariance = measure(picture)
    return Moments(jnp.ones(1), mean[None], covariance[None])


def _blended(parts: tuple[tuple[Moments, ...], ...], shares: jax.Array) -> tuple[jax.Array, ...]:
    """Gram matrices, per level, of the blend of `parts` by `shares` (n, parts), picture by picture."""

    def one(picture: tuple[Any, jax.Array]) -> tuple[jax.Array, ...]:
        return tuple(blend(level, picture[1]).gram() for level in zip(*picture[0], strict=True))

    return lax.map(one, (parts, shares))


class Judge:
    """What the teacher says about content and style crops; remembers the answers for crops with a name."""

    def __init__(self, teacher: Encoder) -> None:
        self.graphdef, self.params = nnx.split(teacher)
        style = jax.jit(lambda p, x: tuple(_moments(a[f"relu{k}_1"]) for a in [self.look(p, x)] for k in range(1, 6)))
        content = jax.jit(lambda p, x: (self.look(p, x, upto="conv" + CONTENT_LAYER[4:])[CONTENT_LAYER],))
        self._style, self._photo = (Answers(partial(style, self.params)) for _ in range(2))
        self.content = Answers(lambda crop: content(self.params, crop))
        """Features at the content layer, a tuple of one."""
        self._blended = jax.jit(_blended)

    def look(self, params: Any, image: Image, *, upto: str = "conv5_1") -> dict[str, Features]:
        """Return the teacher's activations; borders as in the original."""
        return nnx.merge(self.graphdef, params).activations(image, upto=upto, padding="zero")

    @staticmethod
    def _levels(answers: Answers, names: list[tuple[int, ...]], crops: Any) -> tuple[Moments, ...]:
        rows = answers(names, crops)
        return tuple(Moments(*(jnp.asarray(a) for a in rows[k : k + 3])) for k in range(0, len(rows), 3))

    def wanted(self, task: Task, content: Named, styles: Sequence[Named]) -> tuple[tuple[jax.Array, ...], ...]:
        """Return the Gram matrices at five levels that the parts of the pictures are to have; one part, or two.

        Between two styles, and between photo and style, they are those of the Wasserstein barycenter.
        """
        found = tuple(self._levels(self._style, *style) for style in styles)
        if task.shares is not None:
            return (self._blended(found, task.shares),)
        if task.kind == "part":
            shares = np.stack([1 - task.strength, task.strength], axis=1)
            return (self._blended((self._levels(self._photo, *content), *found), shares),)
        return tuple(tuple(jax.vmap(Moments.gram)(level) for level in style) for style in found)

    def losses(
        self,
        params: Any,
        out: Image,
        grams: Sequence[tuple[jax.Array, ...]],
        content: jax.Array,
        masks: Sequence[jax.Array] | None = None,
    ) -> Parts:
        """Style (relative Gram error, five levels, mean of the parts) and content (standardised relu4_2) of `out`."""
        acts = self.look(params, out)
        parts: Parts = {}
        for k in range(1, 6):
            seen = acts[f"relu{k}_1"]
            if masks is None:
                found = [gram(seen)]
            else:
                weights = [masks[k - 1][:, part, :, :, None] for part in range(len(grams))]
                found = [gram(seen * jnp.sqrt(w)) / w.mean(axis=(1, 2, 3))[:, None, None] for w in weights]
            errors = [relative_error(g, want[k - 1], epsilon=1e-6) for g, want in zip(found, grams, strict=True)]
            parts[f"style{k}"] = jnp.stack(errors).mean()
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
        params: Any, encoder_params: Any, judge_params: Any, content: Image, styles: tuple[Image, ...], detail: Any,
        strength: Any, shares: Any, masks: Any, grams: Any, target: Any, *, kind: TransformKind,
    ) -> tuple[jax.Array, Parts]:  # fmt: skip
        encoder, decoder = nnx.merge(encoder_def, encoder_params), nnx.merge(graphdef, params)
        features = encoder(content)
        places = None if masks is None else shrink(masks)
        out = stylize_batch(
            decoder, features, [encoder(style) for style in styles], detail,
            kind=kind, strength=strength, shares=shares, masks=places,
        )  # fmt: skip
        parts = judge.losses(judge_params, out, grams, target, places)
        parts |= {"tv": total_variation(out).mean(), "range": out_of_range(out).mean()}
        parts["identity"], found = reconstruction_losses(decoder, content, features)
        total = parts["style"] + sum(o[k] * parts[k] for k in ("content", "tv", "range", "identity"))
        return total, parts | found

    update = jax.jit(descent(stage, loss), static_argnames="kind")

    def step(params: Any, opt_state: Any, index: int) -> tuple[Any, Any, Parts]:
        rng = np.random.default_rng((seed + 7, index))
        detail = rng.uniform(*o["detail"], size=stage.batch).astype(np.float32)
        kind = "wct" if rng.random() < o["wct"] else "mixed"
        task = draw_task(rng, stage.batch, stage.size, o)
        photos, n = contents.batch(stage.batch, index), stage.batch
        names, crops = styles.batch(task.styles * n, index)
        each = [(names[k : k + n], crops[k : k + n]) for k in range(0, len(names), n)]
        return update(
            params, opt_state, encoder_params, judge.params, photos[1], tuple(crops for _, crops in each), detail,
            task.strength, task.shares, task.masks,
            judge.wanted(task, photos, each), *judge.content(*photos), kind=kind,
        )  # fmt: skip

    params = run(stage, params, step, checkpoint=checkpoint, report=report)
    nnx.update(decoder, params)
