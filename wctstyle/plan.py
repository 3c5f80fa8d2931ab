"""Measure, plan, render: from the moments of codes to a map, and from a mapped code to a picture.

All measurements are made on the encoder's codes, none during decoding. Pure functions of arrays, without jit or
caches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from wctstyle.decoder import Decoder
from wctstyle.encoder import CELL, COLOR_SCALE, Encoder
from wctstyle.moments import Affine, Moments, measure, pool
from wctstyle.settings import LEAST_AREA, TransformKind
from wctstyle.transforms import affine
from wctstyle.types import Features, Image

KEPT_WITHIN = 0.2
"""Distance between the photo's and the target's moments from which likeness is 0 (see `likeness`).

For 256 pairs of photo and painting the smallest distance was 0.4 and the median 3.6; for two photos, 0.2 and 1.8."""


LEAST_CELLS = LEAST_AREA // CELL**2
"""Least number of cells for useful moments (`settings.LEAST_AREA`): smaller regions are filled up with the photo."""

Amount = Float[Array, "1 h w 1"] | Float[Array, ""] | float
"""One number for all cells of a code, or one per cell."""


class Plan(NamedTuple):
    """What rendering a region needs besides the photo's code.

    Example:
        >>> own = Moments(jnp.ones(()), jnp.zeros(4), jnp.eye(4))
        >>> made = plan(own, own)
        >>> made.likeness.item(), made.affine.matrix.shape, made.palette.matrix.shape  # of codes, and of RGB
        (1.0, (4, 4), (3, 3))
    """

    affine: Affine
    """The map of codes at full strength."""
    palette: Affine
    """The RGB map that gives the photo the target's colours; used for faces."""
    likeness: Float[Array, ""]
    """How close the photo's moments already are to the target's, 0..1."""


def counted(
    height: Float[Array, ""] | int, width: Float[Array, ""] | int, shape: tuple[int, ...]
) -> Float[Array, "1 h w"]:
    """Weigh each position of a code by the fraction of its cell that lies on the picture, 0..1.

    `height` and `width` are the picture's own size in pixels; `shape` is the size of the padded code.

    Example:
        >>> counted(12, 8, (2, 2)).tolist()  # cells are 8 x 8 pixels
        [[[1.0, 0.0], [0.5, 0.0]]]
    """
    rows = jnp.clip(height / CELL - jnp.arange(shape[0], dtype=jnp.float32), 0, 1)
    columns = jnp.clip(width / CELL - jnp.arange(shape[1], dtype=jnp.float32), 0, 1)
    return (rows[:, None] * columns[None, :]).astype(jnp.float32)[None]


def encode(
    encoder: Encoder, image: Image, height: Float[Array, ""] | int, width: Float[Array, ""] | int
) -> tuple[Features, Moments]:
    """Return a picture's code and its moments, without the padding.

    Example:
        >>> import jax
        >>> from wctstyle.encoder import ModelConfig
        >>> encoder = Encoder(ModelConfig("tiny", (1, 1, 1, 1, 1), (1, 1, 1)))  # without weights: all features are 0
        >>> code, moments = jax.jit(lambda image: encode(encoder, image, 16, 8))(jnp.full((1, 16, 16, 3), 0.75))
        >>> code.shape, moments.count.item(), moments.mean.tolist()
        ((1, 2, 2, 4), 2.0, [0.0, 1.0, 1.0, 1.0])
    """
    code = encoder.code(image)
    return code, measure(code, counted(height, width, code.shape[1:3]))


def plan(content: Moments, target: Moments, *, own: Moments | None = None, kind: TransformKind = "mk") -> Plan:
    """Plan the map from codes with `content` moments to codes with `target` moments.

    `own` are the photo's moments without added texture, used for the likeness; default: `content`.

    Example:
        >>> own = Moments(jnp.ones(()), jnp.zeros(4), jnp.eye(4))
        >>> made = plan(own, own._replace(covariance=4 * jnp.eye(4)))
        >>> [round(float(value), 3) for value in jnp.diagonal(made.affine.matrix)]
        [2.0, 2.0, 2.0, 2.0]
    """
    alike = likeness(content if own is None else own, target)
    return Plan(affine(content, target, kind=kind), palette(content, target), alike)


def colors(moments: Moments) -> Moments:
    """Return the moments of RGB from a code's moments: its last three channels, without offset and scale.

    Example:
        >>> grey = Moments(jnp.ones(()), jnp.zeros(4), 4 * jnp.eye(4))
        >>> colors(grey).mean.tolist(), jnp.diagonal(colors(grey).covariance).tolist()
        ([0.5, 0.5, 0.5], [0.25, 0.25, 0.25])
    """
    mean, covariance = moments.mean[-3:] / COLOR_SCALE + 0.5, moments.covariance[-3:, -3:] / COLOR_SCALE**2
    return Moments(moments.count, mean, covariance)


def palette(content: Moments, target: Moments) -> Affine:
    """Return the Monge-Kantorovich map of RGB between the colours of two codes (their last three channels).

    Example:
        >>> own = Moments(jnp.ones(()), jnp.zeros(4), jnp.eye(4))
        >>> step = palette(own, own._replace(covariance=4 * jnp.eye(4)))
        >>> jnp.diagonal(step.matrix).round(2).tolist(), step.bias.round(2).tolist()
        ([2.0, 2.0, 2.0], [-0.5, -0.5, -0.5])
    """
    return affine(colors(content), colors(target), kind="mk")


def likeness(content: Moments, target: Moments) -> Float[Array, ""]:
    """Return how close moments are: 1 for the same, falling to 0 at the distance `KEPT_WITHIN`.

    The distance is (|m - m_t|^2 + |S - S_t|) / |S_t|, with Frobenius norms. So a photo stylised with itself comes back
    unchanged.

    Example:
        >>> own = Moments(jnp.ones(()), jnp.zeros(2), jnp.eye(2))
        >>> likeness(own, own).item(), likeness(own, own._replace(mean=jnp.ones(2))).item()
        (1.0, 0.0)
    """
    apart = jnp.sum((content.mean - target.mean) ** 2) + jnp.linalg.norm(content.covariance - target.covariance)
    distance = apart / (jnp.linalg.norm(target.covariance) + 1e-12)
    return jnp.clip(1 - distance / KEPT_WITHIN, 0, 1)


def measured(
    code: Features,
    height: Float[Array, ""] | int,
    width: Float[Array, ""] | int,
    share: Float[Array, "1 h w 1"],
    whole: Moments | None,
) -> Moments:
    """Return the moments of a region, with cells weighted by `share`.

    If the region has fewer than `LEAST_CELLS` cells, the moments of the `whole` picture, if given, fill up the
    difference.

    Example:
        >>> code, left = jnp.arange(4.0).reshape(1, 2, 2, 1), jnp.array([1.0, 0.0, 1.0, 0.0]).reshape(1, 2, 2, 1)
        >>> found = measured(code, 16, 16, left, None)
        >>> found.count.item(), found.mean.tolist()
        (2.0, [1.0])
    """
    own = measure(code, counted(height, width, code.shape[1:3]) * share[..., 0])
    return own if whole is None else filled_up(own, whole)


def filled_up(own: Moments, whole: Moments) -> Moments:
    """Fill up the moments of a region of fewer than `LEAST_CELLS` cells with those of the whole picture.

    Example:
        >>> own = Moments(jnp.array(16.0), jnp.array([0.0]), jnp.eye(1))  # of 16 cells, and 64 are wanted
        >>> whole = Moments(jnp.array(100.0), jnp.array([4.0]), jnp.eye(1))
        >>> made = filled_up(own, whole)
        >>> made.count.item(), made.mean.item()
        (64.0, 3.0)
    """
    return pool([own, whole._replace(count=jnp.maximum(LEAST_CELLS - own.count, 0))])


def moved(code: Features, step: Affine, strength: Amount) -> Features:
    """Move a code along the map by `strength`: 0 is the code itself, 1 the mapped code, above 1 extrapolates.

    Example:
        >>> double = Affine(2 * jnp.eye(1), jnp.zeros(1))
        >>> [moved(jnp.ones((1, 1, 1, 1)), double, strength).item() for strength in (0.0, 0.5, 1.0)]
        [1.0, 1.5, 2.0]
    """
    return code + strength * (step(code) - code)


def render(
    decoder: Decoder,
    code: Features,
    steps: Sequence[Affine],
    amounts: Sequence[Amount],
    face_code: Features,
    face_share: Amount,
) -> Image:
    """Map and decode a code, without clipping: decoder((1 - share) mapped + share face_code).

    mapped = code + sum_k amount_k (step_k(code) - code), with one map per region; the amount is the region's strength
    times its share of each cell. `face_code` is the code of the photo in the target's colours; without faces, the share
    is 0 and any code will do.

    Example:
        >>> import jax
        >>> from wctstyle.encoder import ModelConfig
        >>> decoder = Decoder(ModelConfig("tiny", (1, 1, 1, 1, 1), (1, 1, 1)))  # without weights: paints black
        >>> code, double = jnp.ones((1, 2, 2, 4)), Affine(2 * jnp.eye(4), jnp.zeros(4))
        >>> picture = jax.jit(lambda code: render(decoder, code, [double], [1.0], code, 0.0))(code)
        >>> picture.shape, picture.max().item()
        ((1, 16, 16, 3), 0.0)
    """
    mapped = moved(code, steps[0], amounts[0])
    for step, amount in zip(steps[1:], amounts[1:], strict=True):
        mapped += moved(code, step, amount) - code
    return decoder(mapped + face_share * (face_code - mapped))
