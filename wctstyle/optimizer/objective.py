"""The objective of a run: from photo, styles and settings to the terms of the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wctstyle.errors import ConfigError
from wctstyle.moments import Affine, Moments, measure
from wctstyle.optimizer.network import Network, Parameters, features, valid_side
from wctstyle.optimizer.settings import OptimizeSettings, dream_part, level_of
from wctstyle.optimizer.terms import (
    ContentTerm,
    DreamTerm,
    GramTerm,
    MomentsTerm,
    Objective,
    RangeTerm,
    TemporalTerm,
    VariationTerm,
)
from wctstyle.settings import BlendKind
from wctstyle.transforms import affine, blend, sqrtm
from wctstyle.types import Image

RANGE_WEIGHT = 20.0
"""Weight of the penalty for leaving [0, 1], relative to a style weight of 1."""


class Goal(NamedTuple):
    """The target of a region: its statistics by layer, its masks by layer, and its area.

    Without masks, the region is the whole picture.
    """

    targets: Mapping[str, Mapping[str, Array]]
    masks: Mapping[str, Float[Array, "1 h w"]] | None = None
    area: Any = np.float32(1)


def content_layers(settings: OptimizeSettings) -> tuple[str, ...]:
    """Return the layers whose features are compared with the photo's."""
    return tuple(sorted(settings.content_layers)) if settings.content_weight else ()


def style_layers(settings: OptimizeSettings) -> tuple[str, ...]:
    """Return the layers whose statistics are compared with the style's."""
    return tuple(sorted(settings.style_layers))


def dream_layers(settings: OptimizeSettings) -> tuple[str, ...]:
    """Return the layers whose activations are raised, one for each part of the setting."""
    return tuple(dream_part(part)[0] for part in settings.dream)


def width_of(params: Parameters, layer: str) -> int:
    """Return the number of channels of a layer."""
    return params["conv" + layer.removeprefix("relu")][0].shape[3]


def chosen_channels(params: Parameters, layer: str, channels: Sequence[int]) -> Float[np.ndarray, " c"]:
    """Return 1 for each of these channels of a layer and 0 for others; without channels 1 for all.

    Raises:
        ConfigError: the layer does not have one of them.
    """
    width = width_of(params, layer)
    if beyond := [channel for channel in channels if channel >= width]:
        raise ConfigError(
            f"channel {beyond[0]} of {layer}: there is none, as it has {width} here; give numbers from 0 to {width - 1}"
        )
    plane = np.zeros(width, np.float32)
    plane[list(channels) or slice(None)] = 1
    return plane


def dream_terms(settings: OptimizeSettings, params: Parameters, scales: Mapping[str, Any]) -> tuple[DreamTerm, ...]:
    """Return the terms of what is dreamt of; `scales` are the photo's mean squares by layer.

    Raises:
        ConfigError: a layer does not have a channel.
    """
    parts = [(*dream_part(part), weight) for part, weight in settings.dream.items()]
    return tuple(
        DreamTerm(
            np.float32(weight),
            layer,
            chosen=chosen_channels(params, layer, channels),
            scale=scales[layer],
        )
        for layer, channels, weight in parts
    )


def style_moments(
    params: Parameters,
    image: Image,
    mask: Float[Array, "h w"] | None = None,
    *,
    layers: tuple[str, ...],
    network: Network,
) -> dict[str, Moments]:
    """Measure a picture at some layers, optionally weighted by a mask of any size."""
    found = features(params, image, layers, network)
    return {layer: measure(x, None if mask is None else at_layer(mask, x)) for layer, x in found.items()}


def layer_masks(
    mask: Float[Array, "h w"], *, size: tuple[int, int], layers: tuple[str, ...]
) -> dict[str, Float[Array, "1 h w"]]:
    """Resize a region's mask to the size of each layer, for a picture of `size` (height, width)."""
    sides = {layer: [valid_side(side, level_of(layer)) for side in size] for layer in layers}
    return {layer: jax.image.resize(mask[None], (1, *found), "linear") for layer, found in sides.items()}


def at_layer(plane: Float[Array, "h w"], x: Float[Array, "1 h w c"]) -> Float[Array, "1 h w"]:
    """Resize a map of a picture to the size of features."""
    return jax.image.resize(plane[None], x.shape[:3], "linear")


def content_targets(
    params: Parameters,
    image: Image,
    emphasis: Float[Array, "h w"],
    opacity: Float[Array, "h w"] | None,
    *,
    layers: tuple[str, ...],
    network: Network,
) -> dict[str, dict[str, Any]]:
    """Return the content's features at some layers with position weights 1 + `emphasis`, and how much each counts.

    Maps may have any size.
    """
    if not layers:
        return {}
    found = features(params, image, layers, network)
    return {
        layer: {
            "target": x,
            "emphasis": 1 + at_layer(emphasis, x)[..., None],
            "counted": None if opacity is None else at_layer(opacity, x)[..., None],
        }
        for layer, x in found.items()
    }


def style_targets(
    styles: Sequence[Mapping[str, Moments]],
    shares: Float[np.ndarray, " n"],
    own: Mapping[str, Moments],
    settings: OptimizeSettings,
    *,
    strength: float,
) -> dict[str, dict[str, Array]]:
    """Blend the styles' moments at each layer; for a strength below 1, also blend in the content's `own` moments.

    The target then lies between the photo's statistics and the style's. So `strength` goes from the photo itself (0:
    it already matches its target) to the full style (1), whatever the weights.
    """
    parts, weights = _in_blend(styles, shares, own, settings, strength)
    return _blended_targets(parts, weights, statistic=settings.statistic, kind=settings.blend)


def _in_blend(
    styles: Sequence[Mapping[str, Moments]],
    shares: Float[np.ndarray, " n"],
    own: Mapping[str, Moments],
    settings: OptimizeSettings,
    strength: float,
) -> tuple[dict[str, list[Moments]], Float[np.ndarray, " m"]]:
    """Return by layer the moments that are blended, and their weights."""
    parts, weights = list(styles), np.asarray(shares, np.float32)
    if strength < 1:
        parts, weights = [own, *parts], np.concatenate([[1 - strength], strength * weights]).astype(np.float32)
    chosen = [(part, weight) for part, weight in zip(parts, weights, strict=True) if weight > 0]
    by_layer = {layer: [part[layer] for part, _ in chosen] for layer in style_layers(settings)}
    return by_layer, np.array([w for _, w in chosen])


def moves_to_target(
    whole: Mapping[str, Moments],
    styles: Sequence[Mapping[str, Moments]],
    shares: Float[np.ndarray, " n"],
    own: Mapping[str, Moments],
    settings: OptimizeSettings,
    *,
    strength: float,
) -> dict[str, Affine]:
    """Return for each layer the map that takes features with the moments `whole` to those of `style_targets`."""
    parts, weights = _in_blend(styles, shares, own, settings, strength)
    return _moves(dict(whole), parts, weights, kind=settings.blend)


def _blended(some: Sequence[Moments], shares: Float[Array, " n"], kind: BlendKind) -> Moments:
    return some[0] if len(some) == 1 else blend(some, shares, kind=kind)


@partial(jax.jit, static_argnames=("statistic", "kind"))  # one program: op by op it takes a second to compile
def _blended_targets(
    parts: dict[str, list[Moments]], shares: Float[Array, " n"], *, statistic: str, kind: BlendKind
) -> dict[str, dict[str, Array]]:
    return {layer: _target(_blended(some, shares, kind), statistic) for layer, some in parts.items()}


@partial(jax.jit, static_argnames="kind")
def _moves(
    whole: dict[str, Moments], parts: dict[str, list[Moments]], shares: Float[Array, " n"], *, kind: BlendKind
) -> dict[str, Affine]:
    return {layer: affine(whole[layer], _blended(some, shares, kind)) for layer, some in parts.items()}


@partial(jax.jit, static_argnames="statistic")
def moved_targets(own: dict[str, Moments], moves: dict[str, Affine], *, statistic: str) -> dict[str, dict[str, Array]]:
    """Return the targets of a part of a picture: its own moments, moved as those of the whole picture are."""
    return {
        layer: _target(
            Moments(
                moments.count,
                moves[layer].matrix @ moments.mean + moves[layer].bias,
                moves[layer].matrix @ moments.covariance @ moves[layer].matrix.T,
            ),
            statistic,
        )
        for layer, moments in own.items()
    }


def _target(moments: Moments, statistic: str) -> dict[str, Array]:
    mean, covariance = moments.mean, moments.covariance
    if statistic == "gram":
        whole = moments.gram()
        return {"gram": whole, "scale": jnp.sum(whole**2) + 1e-12}
    trace = jnp.trace(covariance)
    return {
        "mean": mean,
        "root": sqrtm(covariance),
        "trace": trace,
        "scale": trace + jnp.sum(mean**2) + 1e-12,
    }


def objective(
    settings: OptimizeSettings,
    content: Mapping[str, Mapping[str, Any]],
    goals: Sequence[Goal],
    dreams: tuple[DreamTerm, ...] = (),
    visible: float = 1.0,
    carried: tuple[Image, Float[Array, "1 h w 1"], float] | None = None,
) -> Objective:
    """Assemble the terms. Layer weights split the weight of a kind, and regions' areas split the weight of a layer.

    `visible` is the opaque share of the picture. Terms that average over all pixels weigh as much more. `carried` is
    the frame before, how far it counts, and the weight of that, see `job.Carried`.
    """

    def share(layer: str, layers: Mapping[str, float], total: float) -> float:
        whole = sum(layers.values())
        return total * layers[layer] / whole if whole else 0.0

    style = GramTerm if settings.statistic == "gram" else MomentsTerm
    held = () if carried is None else (TemporalTerm(np.float32(carried[2] / visible), "", *carried[:2]),)
    return (
        *(
            ContentTerm(
                np.float32(share(layer, settings.content_layers, settings.content_weight)), layer, **content[layer]
            )
            for layer in content_layers(settings)
        ),
        *(
            style(
                np.float32(share(layer, settings.style_layers, settings.style_weight)) * goal.area,
                layer,
                goal.targets[layer],
                None if goal.masks is None else goal.masks[layer],
                goal.area,
            )
            for goal in goals
            for layer in style_layers(settings)
        ),
        *dreams,
        VariationTerm(np.float32(settings.tv_weight / visible)),
        RangeTerm(np.float32(RANGE_WEIGHT / visible)),
        *held,
    )
