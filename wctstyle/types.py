"""Names for the shapes that travel between rooms."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Array, Float

Image = Float[Array, "n h w 3"]
"""sRGB in [0, 1], float32, NHWC."""

Features = Float[Array, "n h w c"]
"""Activations of one level, float32, NHWC."""

LEVELS = (1, 2, 3, 4, 5)
"""The levels of VGG: level k is relu{k}_1, at 1 / 2**(k - 1) of the picture's size."""

TransformKind = Literal["mk", "wct", "adain"]
BlendKind = Literal["barycenter", "linear", "mixture"]
