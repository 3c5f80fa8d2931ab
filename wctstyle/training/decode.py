"""Train the decoder: each block alone, then the chain, then stylised against the original VGG-19."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import lax

from wctstyle.decoder import Decoder
from wctstyle.encoder import Encoder
from wctstyle.losses import content_error, gram, relative_error, total_variation
from wctstyle.moments import measure
from wctstyle.plan import mix_detail
from wctstyle.settings import TransformKind
from wctstyle.training.data import BEFORE_FIRST_STEP, Crops, MixedCrops
from wctstyle.training.initialize import initialize_decoder
from wctstyle.training.loop import Report, Stage, optimizer, run
from wctstyle.transforms import affine
from wctstyle.types import Features, Image

INITIAL_CROPS = 192
CONTENT_LAYER = "relu4_2"
Parts = dict[str, jax.Array]


def _relative_square(value: Any, target: Any) -> jax.Array:
    return jnp.sum((value - target) ** 2) / (jnp.sum(target**2) + 1e-12)


def block_losses(decoder: Decoder, image: Image, features: tuple[Features, ...]) -> Parts:
    """Relative squared error of each block on the true features above it."""
    below = (image, *features[:-1])
    return {f"block{k}": _relative_square(decoder.block(features[k - 1], k), below[k - 1]) for k in range(1, 6)}


def reconstruction_losses(encoder: Encoder, decoder: Decoder, image: Image, level: int) -> Parts:
    """Pixel and feature error of decoding from `level` with nothing transformed."""
    features = encoder(image)
    out = decoder(features[level - 1], level=level)
    again = encoder(out)
    parts = {"pixel": jnp.mean((out - image) ** 2)}
    parts["again"] = sum((_relative_square(a, b) for a, b in zip(again, features, strict=True)), jnp.zeros(())) / len(
        features
    )
    return parts


def _renormalized(x: Features) -> Features:
    """Return `x` as it is, with the gradient of a map that fixes each channel's mean and deviation.

    The real plan undoes any shift or scale of the features it is given, but a matrix held constant does not know it:
    without this the gradient keeps pushing the blocks towards weaker features, and the pictures turn dull.
    """
    mean, deviation = x.mean(axis=(1, 2), keepdims=True), jnp.sqrt(x.var(axis=(1, 2), keepdims=True) + 1e-6)
    return (x - mean) / deviation * lax.stop_gradient(deviation) + lax.stop_gradient(mean)


def stylize_batch(
    encoder: Encoder,
    decoder: Decoder,
    content: Image,
    style: Image,
    alpha: jax.Array,
    detail: jax.Array,
    *,
    kind: TransformKind,
) -> Image:
    """Stylise picture i of `content` after picture i of `style`; the plan's matrices get no gradient."""
    features, styles = encoder(content), encoder(style)

    def one(pair: tuple[Any, Any, Any]) -> Any:
        x, s, a = pair
        return affine(measure(x[None]), measure(s[None]), kind=kind, alpha=a)

    x = features[-1]
    for level in range(5, 0, -1):
        if level < 5:
            x = mix_detail(x, features[level - 1], detail[:, None, None, None])
        step = lax.stop_gradient(lax.map(one, (x, styles[level - 1], alpha)))
        x = jnp.einsum("nhwj,nij->nhwi", x, step.matrix) + step.bias[:, None, None, :]
        x = _renormalized(x)
        x = decoder.block(x, level)
    return x


class Judge:
    """What the teacher says about content and style crops; remembers the answers for crops with a name."""

    def __init__(self, teacher: Encoder) -> None:
        self.graphdef, self.params = nnx.split(teacher)
        self._style = jax.jit(lambda p, x: tuple(gram(f) for f in self.merge(p)(x)))
        self._content = jax.jit(
            lambda p, x: self.merge(p).activations(x, upto="conv" + CONTENT_LAYER[4:])[CONTENT_LAYER]
        )
        self._memory: dict[tuple[str, tuple[int, int]], tuple[np.ndarray, ...]] = {}

    def merge(self, params: Any) -> Encoder:
        """Return the teacher as a module."""
        return nnx.merge(self.graphdef, params)

    def _ask(self, what: str, fn: Callable[[Any, Any], Any], names: list[tuple[int, int]], crops: np.ndarray) -> Any:
        rows = []
        for name, crop in zip(names, crops, strict=True):
            key = (what, name)
            row = self._memory.get(key)
            if row is None:
                answer = fn(self.params, crop[None])
                row = tuple(np.asarray(a, np.float16) for a in jax.tree.leaves(answer))
                if name[1] >= 0:
                    self._memory[key] = row
            rows.append(row)
        return tuple(np.concatenate(column).astype(np.float32) for column in zip(*rows, strict=True))

    def style(self, names: list[tuple[int, int]], crops: np.ndarray) -> tuple[np.ndarray, ...]:
        """Gram matrices at five levels."""
        return self._ask("style", self._style, names, crops)

    def content(self, names: list[tuple[int, int]], crops: np.ndarray) -> np.ndarray:
        """Features at the content layer."""
        return self._ask("content", self._content, names, crops)[0]


def judged_losses(teacher: Encoder, out: Image, grams: tuple[jax.Array, ...], content: jax.Array) -> Parts:
    """Style (relative Gram error, five levels) and content (standardised relu4_2) under the teacher."""
    acts = teacher.activations(out)
    parts = {
        f"style{k}": relative_error(gram(acts[f"relu{k}_1"]), grams[k - 1], epsilon=1e-6).mean() for k in range(1, 6)
    }
    return parts | {"content": content_error(acts[CONTENT_LAYER], content).mean()}


def _out_of_range(image: Image) -> jax.Array:
    return jnp.mean((image - jnp.clip(image, 0, 1)) ** 2)


class DecoderTrainer:
    """Holds the frozen encoder and the decoder in training, and runs stages on them."""

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        *,
        content: Path,
        style: Path,
        seed: int,
        out: Path,
        report: Report,
    ) -> None:
        self.decoder, self.encoder = decoder, encoder
        self.encoder_def, self.encoder_params = nnx.split(encoder)
        self.content, self.style, self.seed, self.out, self.report = content, style, seed, out, report

    def _crops(self, folder: Path, stage: Stage, salt: int) -> Crops:
        views, limit = (int(stage.options.get(key, 0)) for key in ("views", "pictures"))
        return Crops(folder, size=stage.size, seed=self.seed + salt, views=views, limit=limit)

    def _train(self, stage: Stage, name: str, loss: Any, feed: Callable[[int], tuple[Any, ...]]) -> None:
        graphdef, params = nnx.split(self.decoder, nnx.Param)
        transform = optimizer(stage)

        def update(params: Any, opt_state: Any, fixed: Any, *batch: Any, **static: Any) -> Any:
            def total(params: Any) -> Any:
                decoder = nnx.merge(graphdef, params)
                return loss(nnx.merge(self.encoder_def, fixed), decoder, *batch, **static)

            (value, parts), grads = jax.value_and_grad(total, has_aux=True)(params)
            updates, opt_state = transform.update(grads, opt_state, params)
            return optax.apply_updates(params, updates), opt_state, {"loss": value} | parts

        jitted = jax.jit(update, static_argnames=("level", "kind"))

        def step(params: Any, opt_state: Any, index: int) -> Any:
            batch, static = feed(index)
            return jitted(params, opt_state, self.encoder_params, *batch, **static)

        params = run(stage, params, step, checkpoint=self.out / f"{name}.safetensors", report=self.report)
        nnx.update(self.decoder, params)

    def blocks(self, stage: Stage, name: str) -> None:
        """Stage 1: each block alone on true features, from a least-squares start."""
        data = MixedCrops(self._crops(self.content, stage, 1), self._crops(self.style, stage, 2))
        if not (self.out / f"{name}.safetensors").exists():
            initialize_decoder(self.decoder, self.encoder, data.batch(INITIAL_CROPS, BEFORE_FIRST_STEP))

        def loss(encoder: Encoder, decoder: Decoder, image: Image) -> tuple[jax.Array, Parts]:
            parts = block_losses(decoder, image, encoder(image))
            return jnp.asarray(sum(parts.values())), parts

        def feed(index: int) -> Any:
            return (data.batch(stage.batch, index),), {}

        self._train(stage, name, loss, feed)

    def chain(self, stage: Stage, name: str) -> None:
        """Stage 2: decoding from a random level to RGB, on pixels and features, blocks kept on true features."""
        data = MixedCrops(self._crops(self.content, stage, 3), self._crops(self.style, stage, 4))
        pixel = float(stage.options.get("pixel", 20.0))
        levels = np.random.default_rng(self.seed).choice(5, size=stage.steps, p=(0.05, 0.1, 0.2, 0.25, 0.4)) + 1

        def loss(encoder: Encoder, decoder: Decoder, image: Image, *, level: int) -> tuple[jax.Array, Parts]:
            parts = reconstruction_losses(encoder, decoder, image, level)
            blocks = sum(block_losses(decoder, image, encoder(image)).values())
            return pixel * parts["pixel"] + parts["again"] + 0.5 * blocks, parts

        def feed(index: int) -> Any:
            return (data.batch(stage.batch, index),), {"level": int(levels[index])}

        self._train(stage, name, loss, feed)

    def stylised(self, stage: Stage, name: str, judge: Judge) -> None:
        """Stage 3: run the real chain with random styles and train against the judge's content and style losses.

        Options: `content`, `tv`, `range`, `identity`, `wct` (share of steps with that transform), `detail` (its range),
        `judge` ("teacher": the original VGG-19; "self": the model's own encoder, cheaper, for a first approach).
        """
        o = {
            "content": 0.5,
            "tv": 0.0,
            "range": 10.0,
            "identity": 1.0,
            "wct": 0.1,
            "detail": (0.0, 0.7),
        } | stage.options
        contents, styles = self._crops(self.content, stage, 5), self._crops(self.style, stage, 6)

        def loss(
            encoder: Encoder, decoder: Decoder, content: Image, style: Image, detail: Any, grams: Any, target: Any,
            judge_params: Any, *, kind: TransformKind,
        ) -> tuple[jax.Array, Parts]:  # fmt: skip
            ones = jnp.ones(len(content))
            out = stylize_batch(encoder, decoder, content, style, ones, detail, kind=kind)
            parts = judged_losses(judge.merge(judge_params), out, grams, target)
            parts["style"] = jnp.asarray(sum(parts[f"style{k}"] for k in range(1, 6)) / 5)
            parts["tv"] = total_variation(out).mean()
            parts["range"] = _out_of_range(out)
            half = max(1, len(content) // 2)
            for level, crops in ((3, content[:half]), (5, content[-half:])):
                found = reconstruction_losses(encoder, decoder, crops, level)
                parts[f"pixel{level}"] = found["pixel"]
                parts["identity"] = parts.get("identity", jnp.zeros(())) + 10 * found["pixel"] + found["again"] / 2
            total = parts["style"] + sum(o[k] * parts[k] for k in ("content", "tv", "range", "identity"))
            return total, parts

        def feed(index: int) -> Any:
            content_names, content = contents.batch(stage.batch, index)
            style_names, style = styles.batch(stage.batch, index)
            rng = np.random.default_rng((self.seed + 7, index))
            detail = rng.uniform(*o["detail"], size=stage.batch).astype(np.float32)
            batch = (
                content,
                style,
                detail,
                judge.style(style_names, style),
                judge.content(content_names, content),
            )
            kind = "wct" if rng.random() < o["wct"] else "mk"
            return (*batch, judge.params), {"kind": kind}

        self._train(stage, name, loss, feed)
