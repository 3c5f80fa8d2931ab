"""Names for the shapes that travel between rooms."""

from __future__ import annotations

from jaxtyping import Array, Float

Image = Float[Array, "n h w 3"]
"""sRGB in [0, 1], float32, NHWC."""

Features = Float[Array, "_ _ _ _"]
"""Activations of one level, float32, NHWC; sizes differ between uses in one function, so they are not bound."""
