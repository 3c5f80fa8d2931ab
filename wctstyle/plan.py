"""The chain: from content features and target moments to a plan of affine maps, and from a plan to a picture.

Pure functions of arrays; no jit and no caches here.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from wctstyle.decoder import Decoder
from wctstyle.encoder import Encoder
from wctstyle.moments import Affine, Moments, measure
from wctstyle.settings import TransformKind, map_kind
from wctstyle.transforms import affine
from wctstyle.types import Features, Image

Plan = tuple[Affine, ...]
"""One affine map per level, relu1_1 first, and a last one: that of the retouch."""


def valid_weights(
    height: Float[Array, ""] | int, width: Float[Array, ""] | int, shape: tuple[int, ...], level: int
) -> Float[Array, "1 h w"]:
    """Weight 1 where a position of `level` lies on the picture, 0 where it lies on the padding.

    `height` and `width` are the picture's own size in pixels; `shape` is the size of the level's padded map.
    """
    cell = 2 ** (level - 1)
    rows = jnp.arange(shape[0]) * cell < height
    columns = jnp.arange(shape[1]) * cell < width
    return (rows[:, None] & columns[None, :]).astype(jnp.float32)[None]


def mix_detail(x: Features, content: Features, detail: Float[Array, ""] | float) -> Features:
    """Mix the content's own features into the decoded ones: (1 - detail) x + detail content."""
    return (1 - detail) * x + detail * content


def measure_levels(
    features: Sequence[Features], height: Float[Array, ""] | int, width: Float[Array, ""] | int
) -> tuple[Moments, ...]:
    """Moments of each level over the picture's own positions, padding left out."""
    return tuple(
        measure(f, valid_weights(height, width, f.shape[1:3], level)) for level, f in enumerate(features, start=1)
    )


def plan_and_decode(
    encoder: Encoder,
    decoder: Decoder,
    features: Sequence[Features],
    targets: Sequence[Moments],
    alphas: Float[Array, "5"],
    detail: Float[Array, ""] | float,
    *,
    weights: Sequence[Float[Array, "n h w"] | None] = (None,) * 5,
    kind: TransformKind = "mixed",
) -> tuple[Image, Plan]:
    """Transform and decode level by level, from relu5_1 to RGB; return the picture (not clipped) and its plan.

    The moments that each level is transformed from are those of the decoded features themselves, so each plan
    corrects what the levels above left wrong. What block 1 leaves wrong, clipping included, is corrected by the
    retouch: the picture is encoded to relu1_1 again, which is cheap, and the change that its map to the target (mk,
    or adain where that is asked for) makes in RGB is added. `alphas` are how far the maps are followed, relu1_1
    first; the retouch as relu1_1's.
    """
    plan: list[Affine] = []
    x = features[-1]
    for level in range(len(features), 0, -1):
        if level < len(features):
            x = mix_detail(x, features[level - 1], detail)
        step = affine(
            measure(x, weights[level - 1]), targets[level - 1], kind=map_kind(kind, level), alpha=alphas[level - 1]
        )
        plan.append(step)
        x = decoder.block(x, level, step)
    x = jnp.clip(x, 0, 1)
    (seen,) = encoder(x, levels=1)
    channelwise = kind == "adain"  # asked to be weak, it stays so
    last = affine(measure(seen, weights[0]), targets[0], kind="adain" if channelwise else "mk", alpha=alphas[0])
    return x + decoder.change(seen, last), (*reversed(plan), last)


def render(
    encoder: Encoder, decoder: Decoder, features: Sequence[Features], plan: Plan, detail: Float[Array, ""] | float
) -> Image:
    """Decode with a ready plan: a fixed fully convolutional network (not clipped)."""
    x = features[-1]
    for level in range(len(features), 0, -1):
        if level < len(features):
            x = mix_detail(x, features[level - 1], detail)
        x = decoder.block(x, level, plan[level - 1])
    x = jnp.clip(x, 0, 1)
    (seen,) = encoder(x, levels=1)
    return x + decoder.change(seen, plan[5])
