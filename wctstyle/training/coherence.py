"""Losses for calm: a moved photo's picture is the moved picture, and neighbours differ as they do in the photo."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.ndimage
from jax.scipy.ndimage import map_coordinates
from jaxtyping import Array, Float, Int

from wctstyle.types import Features

FLOW_GRID, FLOW_SHIFT, FLOW_NOISE = 4, 4.0, 0.1
"""Of a random flow: vectors along a side, from which it is smoothly interpolated; their standard deviation, and that of
their mean, in pixels; the largest standard deviation of the noise that is added, as a share of the photo's own. A map
made for a plain photo would blow noise up that knows nothing of it."""

ANCHORS, TEMPERATURE, PROJECTED = 64, 0.07, 128
"""Of `coherence`: positions that are drawn in a picture, the temperature of the comparison, and the channels that
differences are projected to."""

AROUND = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)])
"""The eight neighbours of a position."""


def random_flow(rng: np.random.Generator, size: int) -> Float[np.ndarray, "s s 2"]:
    """Draw a smooth random flow: for each position, rows and columns in pixels to where its colour comes from."""
    grid = rng.normal(0, FLOW_SHIFT, (FLOW_GRID, FLOW_GRID, 2)) + rng.normal(0, FLOW_SHIFT, 2)
    whole = scipy.ndimage.zoom(grid, (size / FLOW_GRID, size / FLOW_GRID, 1), order=3, mode="nearest")
    return np.asarray(whole, np.float32)


def along(image: Float[Array, "h w c"], flow: Float[Array, "h w 2"]) -> Float[Array, "h w c"]:
    """Move a picture along a flow; beyond its border it is repeated."""
    places = jnp.mgrid[: image.shape[0], : image.shape[1]] + jnp.moveaxis(flow, -1, 0)
    planes = [map_coordinates(image[..., i], list(places), order=1, mode="nearest") for i in range(image.shape[2])]
    return jnp.stack(planes, axis=-1)


def inside(flow: Float[Array, "h w 2"]) -> Float[Array, "h w 1"]:
    """Return 1 where a colour comes from within the picture, else 0."""
    places = jnp.mgrid[: flow.shape[0], : flow.shape[1]].transpose(1, 2, 0) + flow
    last = jnp.array(flow.shape[:2]) - 1
    return jnp.all((places >= 0) & (places <= last), axis=-1, keepdims=True).astype(jnp.float32)


def flow_error(
    first: Float[Array, "n h w c"], second: Float[Array, "n h w c"], flows: Float[Array, "n h w 2"]
) -> Float[Array, ""]:
    """Mean square of the second pictures less the first ones moved along the flows, where these stay inside."""
    moved = jnp.stack([along(image, flow) for image, flow in zip(first, flows, strict=True)])
    shown = jnp.stack([inside(flow) for flow in flows])
    return jnp.sum(shown * (second - moved) ** 2) / (first.shape[-1] * jnp.sum(shown))


def projection(rng: np.random.Generator, channels: int) -> dict[str, Any]:
    """Draw the weights of the projection of `coherence`, two layers that are trained along and then thrown away."""
    widths = (channels, PROJECTED, PROJECTED)
    pairs = list(zip(widths[:-1], widths[1:], strict=True))
    return {
        f"layer{k}": jnp.asarray(rng.normal(0, (2 / a) ** 0.5, (a, b)), jnp.float32) for k, (a, b) in enumerate(pairs)
    }


def draw_anchors(rng: np.random.Generator, height: int, width: int) -> Int[np.ndarray, "a 2"]:
    """Draw positions that have all their neighbours."""
    return rng.integers(1, (height - 1, width - 1), (ANCHORS, 2))


def coherence(
    painted: Features, photo: Features, anchors: Int[Array, "a 2"], weights: dict[str, Any]
) -> Float[Array, ""]:
    """Contrastive coherence preserving loss (Wu et al. 2022, arXiv:2207.04808, eq. 2 and 3), mean over the batch.

    The difference of a position to a neighbour is to be recognised, among all differences drawn in the picture, by that
    in the photo at the same place. The paper does so at three levels; here `painted` and `photo` are of one.
    """
    around = anchors[:, None] + AROUND

    def differences(x: Float[Array, "h w c"]) -> Float[Array, "d p"]:
        apart = (x[anchors[:, 0], anchors[:, 1]][:, None] - x[around[..., 0], around[..., 1]]).reshape(-1, x.shape[-1])
        seen = jax.nn.relu(apart @ weights["layer0"]) @ weights["layer1"]
        return seen * jax.lax.rsqrt(jnp.sum(seen**2, axis=-1, keepdims=True) + 1e-6)

    total = jnp.zeros(())
    for one, other in zip(painted, photo, strict=True):
        alike = differences(one) @ differences(other).T / TEMPERATURE
        total += jnp.mean(jax.nn.logsumexp(alike, axis=1) - jnp.diagonal(alike))
    return total / len(painted)
