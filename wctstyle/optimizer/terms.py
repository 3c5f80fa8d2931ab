"""The terms of the loss: pytrees, each with a name, a weight and a value for a picture.

An objective is a tuple of terms. A program is compiled for the structure of that tree; targets, masks and weights are
its leaves, so changing them does not recompile. To add a mode, add a term.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wctstyle.losses import cross_trace, out_of_range, smooth_variation, standardized_error
from wctstyle.moments import measure
from wctstyle.optimizer.network import Network, Parameters, features
from wctstyle.types import Image

CHROMA_SHARE = 4.0
"""Weight of the variation of colour differences, relative to the channels' own variation.

Narrow encoders hardly see colour at the scale of a pixel; without this, results in black and white styles have coloured
specks."""

Found = Mapping[str, Float[Array, "1 h w c"]]
"""The features of a picture by layer."""


@dataclass(frozen=True)
class Term:
    """One summand of the loss, with its `weight`. `layer` names the features that it uses, "" for none.

    Example:
        >>> class Dark(Term):
        ...     name = "dark"
        ...     def __call__(self, found, image):
        ...         return image.mean()
        >>> term = Dark(weight=0.1)
        >>> term.name, term({}, jnp.full((1, 2, 2, 3), 0.25)).item()
        ('dark', 0.25)
    """

    weight: Any
    layer: str = field(default="", metadata={"static": True})

    @property
    def name(self) -> str:
        """Name in reports."""
        raise NotImplementedError

    def __call__(self, found: Found, image: Image) -> Float[Array, ""]:
        """Return the unweighted value for a picture and its features."""
        raise NotImplementedError


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class ContentTerm(Term):
    """Distance of features from the photo's (`losses.standardized_error`); `emphasis` weighs positions.

    `counted` is the opacity of each position; None where nothing is transparent.

    Example:
        >>> photo, image = jnp.arange(8.0).reshape(1, 2, 2, 2), jnp.zeros((1, 2, 2, 3))
        >>> term = ContentTerm(0.03, "relu4_2", target=photo, emphasis=1.0)
        >>> term.name, [round(term({"relu4_2": x}, image).item(), 2) for x in (photo, -photo)]
        ('content_relu4_2', [0.0, 4.0])
    """

    target: Any = None
    emphasis: Any = None
    counted: Any = None

    @property
    def name(self) -> str:
        """`content_` and the layer."""
        return f"content_{self.layer}"

    def __call__(self, found: Found, image: Image) -> Float[Array, ""]:
        """Compare the layer's features with the photo's."""
        return standardized_error(found[self.layer], self.target, self.emphasis, self.counted)[0]


@dataclass(frozen=True)
class StyleTerm(Term):
    """Squared distance between the statistics of a region's features and the target's, relative to the target.

    `mask` weighs positions; None weighs all equally. `area` is the region's share of what is visible.

    Example:
        >>> StyleTerm(1.0, "relu3_1").name
        'style_relu3_1'
    """

    target: Any = None
    mask: Any = None
    area: Any = 1.0

    @property
    def name(self) -> str:
        """`style_` and the layer."""
        return f"style_{self.layer}"


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GramTerm(StyleTerm):
    """|G - G_t|^2 / |G_t|^2 of Gram matrices (Gatys et al. 2016); masked as in Gatys et al. 2017, section 4.

    Example:
        >>> term = GramTerm(1.0, "relu1_1", target={"gram": jnp.array([[4.0]]), "scale": 16.0})
        >>> image = jnp.zeros((1, 2, 2, 3))
        >>> [term({"relu1_1": jnp.full((1, 2, 2, 1), x)}, image).item() for x in (2.0, 1.0, 0.0)]
        [0.0, 0.5625, 1.0]
    """

    def __call__(self, found: Found, image: Image) -> Float[Array, ""]:
        """Compare the layer's Gram matrix with the target's."""
        x = found[self.layer]
        x = x.reshape(-1, x.shape[-1])
        if self.mask is not None:
            mask = self.mask.reshape(-1, 1)
            x = x * jnp.sqrt(mask * (len(x) / jnp.maximum(mask.sum(), 1e-6)))
        return jnp.sum((_gram(x) - self.target["gram"]) ** 2) / self.target["scale"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class MomentsTerm(StyleTerm):
    """Squared Wasserstein distance of two Gaussians, divided by the target's mean square.

    |m - m_t|^2 + tr S + tr S_t - 2 tr (S_t^1/2 S S_t^1/2)^1/2.

    Example:
        >>> wanted = {"mean": jnp.ones(1), "root": jnp.array([[2.0]]), "trace": 4.0, "scale": 5.0}
        >>> term = MomentsTerm(1.0, "relu1_1", target=wanted)
        >>> image = jnp.zeros((1, 1, 2, 3))
        >>> [round(term({"relu1_1": jnp.array([[[[1 - x], [1 + x]]]])}, image).item(), 2) for x in (2.0, 1.0)]
        [0.0, 0.2]
    """

    def __call__(self, found: Found, image: Image) -> Float[Array, ""]:
        """Compare the layer's mean and covariance with the target's."""
        _, mean, covariance = measure(found[self.layer], self.mask)
        target = self.target
        spread = jnp.trace(covariance) + target["trace"] - 2 * cross_trace(covariance, target["root"])
        return (jnp.sum((mean - target["mean"]) ** 2) + jnp.maximum(spread, 0.0)) / target["scale"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class VariationTerm(Term):
    """Smooth total variation (`variation`).

    Example:
        >>> term = VariationTerm(0.05)
        >>> term.name, term({}, jnp.array([[[[0.5] * 3, [0.5] * 3]]])).item()
        ('tv', 0.0)
    """

    @property
    def name(self) -> str:
        """`tv`."""
        return "tv"

    def __call__(self, found: Found, image: Image) -> Float[Array, ""]:
        """Measure the variation of the picture."""
        return variation(image)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class RangeTerm(Term):
    """Mean squared distance of the values from [0, 1] (`losses.out_of_range`).

    Example:
        >>> term = RangeTerm(1.0)
        >>> term.name, term({}, jnp.full((1, 2, 2, 3), 1.5)).item()
        ('range', 0.25)
    """

    @property
    def name(self) -> str:
        """`range`."""
        return "range"

    def __call__(self, found: Found, image: Image) -> Float[Array, ""]:
        """Measure how far values lie outside [0, 1]."""
        return out_of_range(image)[0]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TemporalTerm(Term):
    """Mean of c (x - w)^2 with the last frame w, carried along, and how far each pixel of it counts, c.

    Ruder et al. 2016 (arXiv:1604.08610), eq. 7. There c is 0 or 1, and is here anything between.

    Example:
        >>> last, counted = jnp.zeros((1, 1, 2, 3)), jnp.array([1.0, 0.0]).reshape(1, 1, 2, 1)
        >>> term = TemporalTerm(0.25, target=last, counted=counted)
        >>> term.name, term({}, jnp.ones((1, 1, 2, 3))).item()  # one pixel of two counts
        ('temporal', 0.5)
    """

    target: Any = None
    counted: Any = None

    @property
    def name(self) -> str:
        """`temporal`."""
        return "temporal"

    def __call__(self, found: Found, image: Image) -> Float[Array, ""]:
        """Compare the picture with the last frame."""
        return jnp.mean(self.counted * (image - self.target) ** 2)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class DreamTerm(Term):
    """Raises activations: -log(1 + a / scale), so that a weight means the same at every layer.

    a is the mean square of the `chosen` channels. With a `guide`, it is the mean over positions of the largest dot
    product with any position of the guide. Differs from Mordvintsev et al. (2015), who ascend half the sum of squares,
    or the sum of these dot products, without the logarithm: alone and with normalised steps both are the same.

    chosen: 1 for each channel that counts, else 0. guide: features of the layer. scale: mean square of all channels in
    the photo, or in the guide.

    Example:
        >>> term = DreamTerm(0.1, "relu1_1", chosen=jnp.array([1.0, 0.0]))
        >>> image = jnp.zeros((1, 2, 2, 3))
        >>> term.name, [round(term({"relu1_1": jnp.full((1, 2, 2, 2), x)}, image).item(), 2) for x in (1.0, 2.0)]
        ('dream_relu1_1', [-0.69, -1.61])
    """

    chosen: Any = None
    guide: Any = None
    scale: Any = 1.0

    @property
    def name(self) -> str:
        """`dream_` and the layer."""
        return f"dream_{self.layer}"

    def __call__(self, found: Found, image: Image) -> Float[Array, ""]:
        """Measure how strongly the chosen channels respond."""
        x = found[self.layer]
        x = x.reshape(-1, x.shape[-1]) * self.chosen
        if self.guide is None:
            raised = jnp.sum(x**2) / (len(x) * jnp.sum(self.chosen))
        else:
            raised = jnp.mean(jnp.sum(x * _best_of(self.guide * self.chosen, x), axis=1)) / jnp.sum(self.chosen)
        return -jnp.log1p(raised / self.scale)


BLOCK = 1024
"""Positions that are compared with a guide at a time, which bounds the memory."""


def _best_of(guide: Float[Array, "q c"], x: Float[Array, "p c"]) -> Float[Array, "p c"]:
    """Return for each position of `x` the one of the guide with the largest dot product, as constants."""
    x = jax.lax.stop_gradient(x)
    best = jax.lax.map(lambda row: jnp.argmax(guide @ row), x, batch_size=BLOCK)
    return jax.lax.stop_gradient(guide)[best]


Objective = tuple[Term, ...]


@jax.custom_vjp
def _gram(x: Float[Array, "p c"]) -> Float[Array, "c c"]:
    """Gram matrix per position of one picture, whose backward pass takes one product (`losses.gram` takes two)."""
    return jax.lax.dot_general(x.T, x, (((1,), (0,)), ((), ()))) / len(x)


def _gram_forward(x: Array) -> tuple[Array, Array]:
    return _gram(x), x


def _gram_backward(x: Array, slope: Array) -> tuple[Array]:
    return (x @ ((slope + slope.T) / len(x)),)


_gram.defvjp(_gram_forward, _gram_backward)


def variation(image: Image) -> Float[Array, ""]:
    """Smooth total variation of the channels, plus `CHROMA_SHARE` times the variation of R - G and B - (R + G) / 2.

    Example:
        >>> grey, red = jnp.array([[[[0.0] * 3, [0.5] * 3]]]), jnp.array([[[[0.0] * 3, [0.5, 0.0, 0.0]]]])
        >>> round(variation(grey).item(), 2), round(variation(red).item(), 2)  # colour counts more
        (0.48, 1.58)
    """
    plain = smooth_variation(image)[0]
    if image.shape[3] == 1:
        return plain
    red, green, blue = image[..., :1], image[..., 1:2], image[..., 2:]
    chroma = jnp.concatenate([red - green, blue - (red + green) / 2], axis=3)
    return plain + CHROMA_SHARE * smooth_variation(chroma)[0]


def values(objective: Objective, params: Parameters, image: Image, network: Network) -> Float[Array, " terms"]:
    """Return the unweighted value of every term.

    `image` has three channels, or one that is used for all three.
    """
    rgb = jnp.broadcast_to(image, (*image.shape[:3], 3))
    found = features(params, rgb, {term.layer for term in objective} - {""}, network)
    return jnp.stack([term(found, image) for term in objective])


def weights(objective: Objective) -> Float[Array, " terms"]:
    """Return the weight of every term."""
    return jnp.stack([jnp.asarray(term.weight, jnp.float32) for term in objective])


def weighing(objective: Objective, weights: Sequence[float] | np.ndarray) -> Objective:
    """Return the terms with new weights."""
    return tuple(
        dataclasses.replace(term, weight=np.float32(weight)) for term, weight in zip(objective, weights, strict=True)
    )


def pulls(objective: Objective, params: Parameters, image: Image, network: Network) -> Float[Array, " terms"]:
    """Return the Euclidean norm of every term's gradient."""

    def pull(choice: Float[Array, " terms"]) -> Float[Array, ""]:
        slope = jax.grad(lambda x: jnp.vdot(values(objective, params, x, network), choice))(image)
        return jnp.sqrt(jnp.sum(slope**2))

    return jax.lax.map(pull, jnp.eye(len(objective), dtype=image.dtype))


def report(found: Float[np.ndarray, " terms"], objective: Objective) -> dict[str, float]:
    """Return readable values by name: total, content, style, style_relu1_1.., tv, and dream where there is one.

    `total` is the minimised loss. `style` and its layers are square roots: with `gram`, the relative Gram errors of
    `feature_metrics.gram_errors`. Over several regions they are weighted by area. `style` and `content` are plain
    means over the layers that have a weight. `dream` is the mean square of what is raised, as a multiple of the
    layer's in the photo.

    Example:
        >>> terms = (GramTerm(1.0, "relu1_1"), VariationTerm(0.5))
        >>> report(np.array([0.25, 0.1]), terms)
        {'total': 0.3, 'content': 0.0, 'style': 0.5, 'style_relu1_1': 0.5, 'tv': 0.1}
    """
    wide = [float(value) for value in found]
    content = [v for v, term in zip(wide, objective, strict=True) if isinstance(term, ContentTerm) and term.weight > 0]
    raised = [np.expm1(-v) for v, term in zip(wide, objective, strict=True) if isinstance(term, DreamTerm)]
    by_layer: dict[str, list[tuple[float, StyleTerm]]] = {}
    for value, term in zip(wide, objective, strict=True):
        if isinstance(term, StyleTerm):
            by_layer.setdefault(term.name, []).append((value, term))
    style, rated = {}, []
    for name, parts in by_layer.items():
        area = sum(float(term.area) for _, term in parts)
        style[name] = max(0.0, sum(float(term.area) * value for value, term in parts) / area) ** 0.5
        if any(term.weight > 0 for _, term in parts):
            rated.append(style[name])
    return {
        "total": float(np.dot(np.asarray(found, np.float64), [float(term.weight) for term in objective])),
        "content": float(np.mean(content)) if content else 0.0,
        "style": float(np.mean(rated)) if rated else 0.0,
        **style,
        "tv": next(value for value, term in zip(wide, objective, strict=True) if term.name == "tv"),
        **({"dream": float(np.mean(raised))} if raised else {}),
    }
