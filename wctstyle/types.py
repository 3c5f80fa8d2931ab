"""Names of the array shapes that modules exchange."""

from __future__ import annotations

from jaxtyping import Array, Float

Image = Float[Array, "n h w 3"]
"""sRGB in [0, 1], float32, NHWC."""

Features = Float[Array, "_ _ _ _"]
"""Activations of one level, float32, NHWC. Sizes are not bound, because they differ within one function."""
