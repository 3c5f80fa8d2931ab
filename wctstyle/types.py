"""Names for the shapes that travel between rooms."""

from __future__ import annotations

from jaxtyping import Array, Float

Image = Float[Array, "n h w 3"]
"""sRGB in [0, 1], float32, NHWC."""

Features = Float[Array, "n h w c"]
"""Activations of one level, float32, NHWC."""
