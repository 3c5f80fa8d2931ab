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
from wctstyle.moments import Affine, Moments, measure
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
    styles: tuple[tuple[Features, ...], tuple[Features, ...]],
    detail: jax.Array,
    task: Task,
) -> Image:
    """Decode picture i of `features` as `task` asks, in picture i of `styles`; the plan's matrices get no gradient.

    Maps are followed as far as when painting (`GAINS`), so the blocks see what they will be given, and `detail` rises
    as the strength falls, as in `Settings`. A part of a photo is mapped by its own moments. The retouch that comes
    after all this is left out.
    """
    detail = 1 - (1 - detail) * task.strength
    masks = shrink(jnp.asarray(task.masks))

    def maps(level: int, one: dict[str, Any]) -> tuple[Affine, Affine]:
        """Return the map of both parts of one picture."""
        first, second = (measure(style[None]) for style in one["styles"])

        def towards(target: Moments, weights: jax.Array) -> Affine:
            def by(transform: TransformKind) -> Affine:
                alpha = one["strength"] * GAINS[level - 1]
                return affine(
                    measure(one["x"][None], weights[None]), target, kind=map_kind(transform, level), alpha=alpha
                )

            return lax.cond(task.wct, lambda: by("wct"), lambda: by("mixed"))

        target = lax.cond(task.blended, lambda: blend([first, second], one["shares"]), lambda: first)
        map_of_first = towards(target, one["masks"][0])
        return map_of_first, lax.cond(task.parted, lambda: towards(second, one["masks"][1]), lambda: map_of_first)

    x = features[-1]
    for level in range(5, 0, -1):
        if level < 5:
            x = mix_detail(x, features[level - 1], detail[:, None, None, None])
        each = {
            "x": x,
            "styles": tuple(style[level - 1] for style in styles),
            "strength": task.strength,
            "shares": task.shares,
            "masks": masks[level - 1],
        }
        x = sum(
            (
                masks[level - 1][:, part, :, :, None]
                * (jnp.einsum("nhwj,nij->nhwi", x, step.matrix) + step.bias[:, None, None, :])
                for part, step in enumerate(lax.stop_gradient(lax.map(partial(maps, level), each)))
            ),
            jnp.zeros_like(x),
        )
        x = decoder.block(_renormalized(x), level)
    return x


def _moments(picture: Features) -> Moments:
    """Measure a batch of one; arrays with a row for it. The count is not kept: half precision could not hold it."""
    _, mean, covariance = measure(picture)
    return Moments(jnp.ones(1), mean[None], covariance[None])


def _blended(first: tuple[Moments, ...], second: tuple[Moments, ...], shares: jax.Array) -> tuple[jax.Array, ...]:
    """Gram matrices, per level, of the blend of two by `shares` (n, 2), picture by picture."""

    def one(picture: tuple[Any, Any, jax.Array]) -> tuple[jax.Array, ...]:
        return tuple(blend(parts, picture[2]).gram() for parts in zip(*picture[:2], strict=True))

    return lax.map(one, (first, second, shares))


class Judge:
    """What the teacher says about content and style crops; remembers the answers for crops with a name."""

    def __init__(self, teacher: Encoder) -> None:
        self.graphdef, self.params = nnx.split(teacher)
        style = jax.jit(lambda p, x: tuple(_moments(a[f"relu{k}_1"]) for a in [self.look(p, x)] for k in range(1, 6)))
        content = jax.jit(lambda p, x: (self.look(p, x, upto="conv" + CONTENT_LAYER[4:])[CONTENT_LAYER],))
        self._style = Answers(lambda crop: style(self.params, crop))
        self._photo = Answers(lambda crop: style(self.params, crop))
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

    def wanted(self, task: Task, photos: Named, styles: tuple[Named, Named]) -> tuple[tuple[jax.Array, ...], ...]:
        """Return the Gram matrices at five levels that both parts of the pictures are to have.

        Between two styles, and between photo and style, they are those of the Wasserstein barycenter.
        """
        first = self._levels(self._style, *styles[0])
        whole = tuple(jax.vmap(Moments.gram)(level) for level in first)
        if task.parted:
            return whole, tuple(jax.vmap(Moments.gram)(level) for level in self._levels(self._style, *styles[1]))
        if task.blended:
            whole = self._blended(first, self._levels(self._style, *styles[1]), task.shares)
        elif (task.strength < 1).any():
            shares = np.stack([1 - task.strength, task.strength], axis=1)
            whole = self._blended(self._levels(self._photo, *photos), first, shares)
        return whole, whole

    def losses(
        self, params: Any, out: Image, task: Task, grams: Sequence[tuple[jax.Array, ...]], content: jax.Array
    ) -> Parts:
        """Style (relative Gram error, five levels, mean of the parts) and content (standardised relu4_2) of `out`."""
        acts = self.look(params, out)
        masks = shrink(jnp.asarray(task.masks))
        counts = jnp.where(task.parted, jnp.array([0.5, 0.5]), jnp.array([1.0, 0.0]))
        parts: Parts = {}
        for k in range(1, 6):
            errors = []
            for part, wanted in enumerate(grams):
                weights = masks[k - 1][:, part, :, :, None]
                share = jnp.maximum(weights.mean(axis=(1, 2, 3)), 1e-6)
                found = gram(acts[f"relu{k}_1"] * jnp.sqrt(weights)) / share[:, None, None]
                errors.append(relative_error(found, wanted[k - 1], epsilon=1e-6).mean())
            parts[f"style{k}"] = jnp.dot(counts, jnp.stack(errors))
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
        params: Any, encoder_params: Any, judge_params: Any, content: Image, styles: tuple[Image, Image], detail: Any,
        task: Task, grams: Any, target: Any,
    ) -> tuple[jax.Array, Parts]:  # fmt: skip
        encoder, decoder = nnx.merge(encoder_def, encoder_params), nnx.merge(graphdef, params)
        features = encoder(content)
        out = stylize_batch(decoder, features, (encoder(styles[0]), encoder(styles[1])), detail, task)
        parts = judge.losses(judge_params, out, task, grams, target)
        parts |= {"tv": total_variation(out).mean(), "range": out_of_range(out).mean()}
        parts["identity"], found = reconstruction_losses(decoder, content, features)
        total = parts["style"] + sum(o[k] * parts[k] for k in ("content", "tv", "range", "identity"))
        return total, parts | found

    update = jax.jit(descent(stage, loss))

    def step(params: Any, opt_state: Any, index: int) -> tuple[Any, Any, Parts]:
        rng, n = np.random.default_rng((seed + 7, index)), stage.batch
        detail = rng.uniform(*o["detail"], size=n).astype(np.float32)
        task = draw_task(rng, n, stage.size, o)
        photos = contents.batch(n, index)
        names, crops = styles.batch(2 * n, index)
        first, second = (names[:n], crops[:n]), (names[n:], crops[n:])
        wanted, (target,) = judge.wanted(task, photos, (first, second)), judge.content(*photos)
        batch = (photos[1], (first[1], second[1]), detail, task, wanted, target)
        return update(params, opt_state, encoder_params, judge.params, *batch)

    params = run(stage, params, step, checkpoint=checkpoint, report=report)
    nnx.update(decoder, params)
