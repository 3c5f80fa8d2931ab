"""Measure, plan, render: from the moments of codes to a map, and from a mapped code to a picture.

All that is planned is measured on the encoder's codes, nothing while decoding. Pure functions of arrays; no jit and no
caches here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from wctstyle.decoder import Decoder
from wctstyle.encoder import CELL, COLOR_SCALE, Encoder
from wctstyle.moments import Affine, Moments, measure, pool
from wctstyle.settings import TransformKind
from wctstyle.transforms import affine
from wctstyle.types import Features, Image

KEPT_WITHIN = 0.2
"""Distance of the photo's moments to the target's from which the decoder's loss is no longer given back (`likeness`).
Between 256 pairs of photo and painting the least was 0.4 and the median 3.6, between two photos 0.2 and 1.8."""


LEAST_CELLS = 64
"""Cells whose moments say something: a smaller region is measured together with the rest of the photo."""

Amount = Float[Array, "1 h w 1"] | Float[Array, ""] | float
"""One number for all cells of a code, or one for each."""


class Plan(NamedTuple):
    """All that rendering a region needs beside the photo's code."""

    affine: Affine
    """The map of codes at full strength."""
    palette: Affine
    """The map of RGB that gives the photo the target's colours; for faces."""
    likeness: Float[Array, ""]
    """How nearly the photo has the target's moments already, 0..1."""


def counted(
    height: Float[Array, ""] | int, width: Float[Array, ""] | int, shape: tuple[int, ...]
) -> Float[Array, "1 h w"]:
    """Weigh each position of a code by the part of its cell that lies on the picture, 0..1.

    `height` and `width` are the picture's own size in pixels; `shape` is the size of the padded code.
    """
    rows = jnp.clip(height / CELL - jnp.arange(shape[0]), 0, 1)
    columns = jnp.clip(width / CELL - jnp.arange(shape[1]), 0, 1)
    return (rows[:, None] * columns[None, :]).astype(jnp.float32)[None]


def encode(
    encoder: Encoder, image: Image, height: Float[Array, ""] | int, width: Float[Array, ""] | int
) -> tuple[Features, Moments]:
    """Return a picture's code and its moments over the picture's own pixels, padding left out."""
    code = encoder.code(image)
    return code, measure(code, counted(height, width, code.shape[1:3]))


def plan(content: Moments, target: Moments, *, own: Moments | None = None, kind: TransformKind = "mk") -> Plan:
    """Plan how codes with `content` moments become codes with the `target`'s.

    `own` are the photo's moments without added texture, which the likeness is told from; the same if left out.
    """
    alike = likeness(content if own is None else own, target)
    return Plan(affine(content, target, kind=kind), palette(content, target), alike)


def colors(moments: Moments) -> Moments:
    """Return the moments of RGB in a code's: its last three channels, less their offset and scale."""
    mean, covariance = moments.mean[-3:] / COLOR_SCALE + 0.5, moments.covariance[-3:, -3:] / COLOR_SCALE**2
    return Moments(moments.count, mean, covariance)


def palette(content: Moments, target: Moments) -> Affine:
    """Return the Monge-Kantorovich map of RGB between the colours of two codes, their last three channels."""
    return affine(colors(content), colors(target), kind="mk")


def likeness(content: Moments, target: Moments) -> Float[Array, ""]:
    """Tell how near moments are: 1 the same, 0 from `KEPT_WITHIN` on.

    (|m - m_t|^2 + |S - S_t|) / |S_t|, with Frobenius norms, is the distance. A style that is the photo itself then
    gives the photo, as nothing has to be painted over.
    """
    apart = jnp.sum((content.mean - target.mean) ** 2) + jnp.linalg.norm(content.covariance - target.covariance)
    distance = apart / (jnp.linalg.norm(target.covariance) + 1e-12)
    return jnp.clip(1 - distance / KEPT_WITHIN, 0, 1)


def measured(
    code: Features,
    height: Float[Array, ""] | int,
    width: Float[Array, ""] | int,
    share: Float[Array, "1 h w 1"],
    whole: Moments,
) -> Moments:
    """Return the moments of a region, whose cells belong to it by `share`.

    The moments of the `whole` picture stand in for the cells that it lacks to `LEAST_CELLS`.
    """
    own = measure(code, counted(height, width, code.shape[1:3]) * share[..., 0])
    return pool([own, whole._replace(count=jnp.maximum(LEAST_CELLS - own.count, 0))])


def moved(code: Features, step: Affine, strength: Amount) -> Features:
    """Map a code, followed as far as `strength` says; 0 is the code itself, beyond 1 the map goes on."""
    return code + strength * (step(code) - code)


def render(
    decoder: Decoder,
    code: Features,
    steps: Sequence[Affine],
    amounts: Sequence[Amount],
    face_code: Features,
    face_share: Amount,
) -> Image:
    """Paint a code (not clipped): decoder((1 - share) mapped + share face_code).

    mapped = code + sum_k amount_k (step_k(code) - code): the map of each region, by its strength times its share of
    each cell. `face_code` is the code that faces are drawn towards, that of the photo in the target's colours; without
    faces the share is 0 and any code does.
    """
    mapped = moved(code, steps[0], amounts[0])
    for step, amount in zip(steps[1:], amounts[1:], strict=True):
        mapped += moved(code, step, amount) - code
    return decoder(mapped + face_share * (face_code - mapped))
