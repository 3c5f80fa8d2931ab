"""The chain: from content features and target moments to a plan of affine maps, and from a plan to a picture.

Pure functions of arrays; no jit and no caches here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from wctstyle.decoder import Decoder
from wctstyle.encoder import Encoder
from wctstyle.moments import Affine, Moments, measure
from wctstyle.settings import RETOUCH, TransformKind, map_kind
from wctstyle.transforms import affine
from wctstyle.types import Features, Image

Plan = tuple[Affine, ...]
"""One affine map per level, relu1_1 first, and a last one: that of the retouch."""

MANY_POSITIONS = 2**16
"""From as many on a level of the chain is measured on a third of its rows."""


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


Detail = Float[Array, ""] | float | Sequence[Float[Array, "1 h w 1"]]
"""One number for all positions, or a map for each level below relu5_1, relu1_1 first."""


def mix_detail(x: Features, content: Features, detail: Array | float) -> Features:
    """Mix the content's own features into the decoded ones: (1 - detail) x + detail content."""
    return (1 - detail) * x + detail * content


def measure_levels(
    features: Sequence[Features], height: Float[Array, ""] | int, width: Float[Array, ""] | int
) -> tuple[Moments, ...]:
    """Moments of each level over the picture's own positions, padding left out."""
    return tuple(
        measure(f, valid_weights(height, width, f.shape[1:3], level)) for level, f in enumerate(features, start=1)
    )


def measure_on_the_way(x: Features, weights: Float[Array, "n h w"] | None) -> Moments:
    """Measure the features on their way: all positions of a small map, every third row of a large one.

    Three is odd, so both rows that an upsampling makes of one are seen as often. Of 196608 positions of relu1_1 a third
    says the same, and XLA's CPU backend takes 0.01 s for the covariance of all of them.
    """
    if x.shape[1] * x.shape[2] >= MANY_POSITIONS:
        x, weights = x[:, ::3], None if weights is None else weights[:, ::3]
    return measure(x, weights)


def _walk(
    encoder: Encoder,
    decoder: Decoder,
    features: Sequence[Features],
    detail: Detail,
    map_of: Callable[[Features, int], Affine],
) -> tuple[Image, Plan]:
    """Walk the chain with the maps that `map_of(features, level)` gives, the last of them at `RETOUCH`."""
    maps: list[Affine] = []
    x = features[-1]
    for level in range(len(features), 0, -1):
        if level < len(features):
            share = detail[level - 1] if isinstance(detail, Sequence) else detail
            x = mix_detail(x, features[level - 1], share)
        maps.append(map_of(x, level))
        x = decoder.block(x, level, maps[-1])
    x = jnp.clip(x, 0, 1)
    (seen,) = encoder(x, levels=1)
    last = map_of(seen, RETOUCH)
    return x + decoder.change(seen, last), (*reversed(maps), last)


def plan_and_decode(
    encoder: Encoder,
    decoder: Decoder,
    features: Sequence[Features],
    targets: Sequence[Moments],
    alphas: Float[Array, "5"],
    detail: Detail,
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

    def map_of(x: Features, level: int) -> Affine:
        k = max(level, 1) - 1  # the retouch is at relu1_1
        return affine(measure_on_the_way(x, weights[k]), targets[k], kind=map_kind(kind, level), alpha=alphas[k])

    return _walk(encoder, decoder, features, detail, map_of)


def render(encoder: Encoder, decoder: Decoder, features: Sequence[Features], plan: Plan, detail: Detail) -> Image:
    """Decode with a ready plan: a fixed fully convolutional network (not clipped)."""
    return _walk(encoder, decoder, features, detail, lambda _, level: plan[level - 1])[0]
