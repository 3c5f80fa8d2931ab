"""What is minimised: the targets, plain arrays, and the loss of a picture against them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wctstyle.losses import cross_trace, out_of_range, smooth_variation, standardized_error
from wctstyle.moments import Moments, measure
from wctstyle.optimizer.network import Parameters, features
from wctstyle.optimizer.settings import OptimizeSettings
from wctstyle.settings import BlendKind
from wctstyle.transforms import blend, sqrtm
from wctstyle.types import Image

RANGE_WEIGHT = 20.0
"""What leaving [0, 1] weighs, against a style weight of 1."""

CHROMA_SHARE = 4.0
"""What the variation of colour differences counts against that of the channels: narrow encoders hardly see colour
at the scale of a pixel, and without this black and white styles come out with coloured specks."""

Targets = dict[str, dict[str, dict[str, Any]]]
"""{"content": {layer: {...}}, "style": {layer: {...}}}, arrays."""


@dataclass(frozen=True)
class Shape:
    """What of an objective is part of the program: a change of it compiles anew."""

    content_layers: tuple[str, ...]
    style_layers: tuple[str, ...]
    statistic: str
    pooling: str
    checkpointed: bool = False

    @staticmethod
    def of(settings: OptimizeSettings) -> Shape:
        """Take from settings what decides on the program."""
        content = tuple(sorted(settings.content_layers)) if settings.content_weight else ()
        return Shape(content, tuple(sorted(settings.style_layers)), settings.statistic, settings.pooling)

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the loss terms, in order."""
        return (
            *(f"content_{layer}" for layer in self.content_layers),
            *(f"style_{layer}" for layer in self.style_layers),
            "tv",
            "range",
        )


def term_weights(settings: OptimizeSettings, shape: Shape) -> Float[np.ndarray, " terms"]:
    """Return what each term weighs: a kind's weight, shared out by those of its layers."""

    def shares(names: Sequence[str], weights: Mapping[str, float], total: float) -> list[float]:
        whole = sum(weights.values())
        return [total * weights[name] / whole if whole else 0.0 for name in names]

    return np.array(
        [
            *shares(shape.content_layers, settings.content_layers, settings.content_weight),
            *shares(shape.style_layers, settings.style_layers, settings.style_weight),
            settings.tv_weight,
            RANGE_WEIGHT,
        ],
        np.float32,
    )


def style_moments(params: Parameters, image: Image, shape: Shape) -> dict[str, Moments]:
    """Measure a picture at every style layer."""
    found = features(params, image, shape.style_layers, pooling=shape.pooling, checkpointed=shape.checkpointed)
    return {layer: measure(x) for layer, x in found.items()}


def content_targets(
    params: Parameters, image: Image, emphasis: Float[Array, "h w"], shape: Shape
) -> dict[str, dict[str, Array]]:
    """Keep the content's features at every content layer, and what a position there weighs: 1 + `emphasis`.

    `emphasis` is of any size; it is resized to each layer's.
    """
    if not shape.content_layers:
        return {}
    found = features(params, image, shape.content_layers, pooling=shape.pooling)
    return {
        layer: {"target": x, "weights": 1 + jax.image.resize(emphasis[None, ..., None], (*x.shape[:3], 1), "linear")}
        for layer, x in found.items()
    }


def style_targets(
    styles: Sequence[dict[str, Moments]],
    shares: Float[np.ndarray, " n"],
    own: dict[str, Moments],
    *,
    shape: Shape,
    kind: BlendKind,
    strength: float,
) -> dict[str, dict[str, Array]]:
    """Blend the styles' moments at every layer, and with the content's `own` for a strength below 1.

    A target on the way from the photo's statistics to the style's, by the same blend, makes `strength` a dial from the
    photo itself (0: it already has its target) to the full style (1), whatever the weights are.
    """
    parts, weights = list(styles), np.asarray(shares, np.float32)
    if strength < 1:
        parts, weights = [own, *parts], np.concatenate([[1 - strength], strength * weights]).astype(np.float32)
    chosen = [(part, weight) for part, weight in zip(parts, weights, strict=True) if weight > 0]
    by_layer = {layer: [part[layer] for part, _ in chosen] for layer in shape.style_layers}
    return _blended_targets(by_layer, np.array([w for _, w in chosen]), statistic=shape.statistic, kind=kind)


@partial(jax.jit, static_argnames=("statistic", "kind"))  # one program: op by op it takes a second to compile
def _blended_targets(
    parts: dict[str, list[Moments]], shares: Float[Array, " n"], *, statistic: str, kind: BlendKind
) -> dict[str, dict[str, Array]]:
    return {
        layer: _target(some[0] if len(some) == 1 else blend(some, shares, kind=kind), statistic)
        for layer, some in parts.items()
    }


def _target(moments: Moments, statistic: str) -> dict[str, Array]:
    mean, covariance = moments.mean, moments.covariance
    if statistic == "gram":
        whole = moments.gram()
        return {"gram": whole, "scale": jnp.sum(whole**2) + 1e-12}
    root = sqrtm(covariance)
    trace = jnp.trace(covariance)
    return {"mean": mean, "root": root, "trace": trace, "scale": trace + jnp.sum(mean**2) + 1e-12}


@jax.custom_vjp
def _gram(x: Float[Array, "p c"]) -> Float[Array, "c c"]:
    """Gram matrix per position of one picture, with a backward pass of one product where `losses.gram` takes two."""
    return jax.lax.dot_general(x.T, x, (((1,), (0,)), ((), ()))) / len(x)


def _gram_forward(x: Array) -> tuple[Array, Array]:
    return _gram(x), x


def _gram_backward(x: Array, slope: Array) -> tuple[Array]:
    return (x @ ((slope + slope.T) / len(x)),)


_gram.defvjp(_gram_forward, _gram_backward)


def _style_term(x: Float[Array, "1 h w c"], target: dict[str, Array]) -> Float[Array, ""]:
    """How far features are from a target's statistics, relative to its size, squared.

    Gram: |G - G_t|^2 / |G_t|^2. Moments: the squared Wasserstein distance of two Gaussians, |m - m_t|^2 + tr S + tr S_t
    - 2 tr (S_t^1/2 S S_t^1/2)^1/2, over the target's mean square.
    """
    if "gram" in target:
        return jnp.sum((_gram(x.reshape(-1, x.shape[-1])) - target["gram"]) ** 2) / target["scale"]
    _, mean, covariance = measure(x)
    spread = jnp.trace(covariance) + target["trace"] - 2 * cross_trace(covariance, target["root"])
    return (jnp.sum((mean - target["mean"]) ** 2) + jnp.maximum(spread, 0.0)) / target["scale"]


def variation(image: Image) -> Float[Array, ""]:
    """Smooth total variation of the channels, and of R - G and B - (R + G) / 2 times `CHROMA_SHARE`."""
    plain = smooth_variation(image)[0]
    if image.shape[3] == 1:
        return plain
    red, green, blue = image[..., :1], image[..., 1:2], image[..., 2:]
    chroma = jnp.concatenate([red - green, blue - (red + green) / 2], axis=3)
    return plain + CHROMA_SHARE * smooth_variation(chroma)[0]


def loss_terms(params: Parameters, image: Image, targets: Targets, shape: Shape) -> Float[Array, " terms"]:
    """Return every term of the loss, unweighted, in the order of `Shape.terms`.

    `image` has three channels, or one that stands for all three.
    """
    rgb = jnp.broadcast_to(image, (*image.shape[:3], 3))
    layers = {*shape.content_layers, *shape.style_layers}
    found = features(params, rgb, layers, pooling=shape.pooling, checkpointed=shape.checkpointed)
    return jnp.stack(
        [
            *(standardized_error(found[k], **targets["content"][k])[0] for k in shape.content_layers),
            *(_style_term(found[k], targets["style"][k]) for k in shape.style_layers),
            variation(image),
            out_of_range(image)[0],
        ]
    )


def term_pulls(params: Parameters, image: Image, targets: Targets, shape: Shape) -> Float[Array, " terms"]:
    """Return the Euclidean norm of every term's gradient."""

    def pull(choice: Float[Array, " terms"]) -> Float[Array, ""]:
        slope = jax.grad(lambda x: jnp.vdot(loss_terms(params, x, targets, shape), choice))(image)
        return jnp.sqrt(jnp.sum(slope**2))

    return jax.lax.map(pull, jnp.eye(len(shape.terms), dtype=image.dtype))


def report(terms: Float[np.ndarray, " terms"], weights: Float[np.ndarray, " terms"], shape: Shape) -> dict[str, float]:
    """Name the terms as people read them: total, content, style, style_relu1_1.., tv.

    `total` is what is minimised. `style` and its layers are roots, so with `gram` the relative Gram errors of
    `metrics.gram_errors`; `style` and `content` are the plain means over the layers that have a weight.
    """
    values = dict(zip(shape.terms, (float(v) for v in terms), strict=True))
    used = {name for name, weight in zip(shape.terms, weights, strict=True) if weight > 0}
    style = {name: max(0.0, v) ** 0.5 for name, v in values.items() if name.startswith("style_")}
    content = [v for name, v in values.items() if name.startswith("content_") and name in used]
    rated = [v for name, v in style.items() if name in used]
    return {
        "total": float(np.dot(np.asarray(terms, np.float64), weights)),
        "content": float(np.mean(content)) if content else 0.0,
        "style": float(np.mean(rated)) if rated else 0.0,
        **style,
        "tv": values["tv"],
    }
