"""Measuring and planning, with caches for styles, photos and barycenters."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from wctstyle import images
from wctstyle import plan as core
from wctstyle import weights as weight_files
from wctstyle.codes import ContentCode, Rgb, StyleCode
from wctstyle.compilation import enable_compilation_cache
from wctstyle.encoder import MODELS
from wctstyle.errors import ConfigError, ImageError
from wctstyle.moments import Moments
from wctstyle.plan import Plan
from wctstyle.programs import Programs
from wctstyle.recent import Recent
from wctstyle.regions import blend_shares
from wctstyle.settings import DEFAULT_MODEL, DEFAULT_TEXTURE, MAX_SIDE, BlendKind, TransformKind
from wctstyle.sizes import pad_to_family
from wctstyle.texture import textured
from wctstyle.threads import limit_lapack_threads
from wctstyle.transforms import Barycenters

CONTENT_BYTES = 256 * 2**20
"""Limit of the cache of encoded photos. The newest is kept whatever its size; 512 x 512 takes 8 MiB with `slim`."""

STYLE_BYTES = 256 * 2**20
BLEND_CACHE = 8

NEAR_COLOR = 0.05
"""Distance of mean colours, in units of the range, within which the style may be the photo itself.

All pairs of sample photo and painting are further apart."""


def content_hash(rgb: Rgb) -> str:
    """SHA-256 of a picture's shape and pixels."""
    digest = hashlib.sha256(repr((rgb.shape, str(rgb.dtype))).encode())
    digest.update(np.ascontiguousarray(rgb).data)
    return digest.hexdigest()


def checked(rgb: Any, what: str) -> Rgb:
    """Return a picture as float32 in [0, 1].

    Raises:
        ImageError: wrong shape, type or range, or larger than `MAX_SIDE`.
    """
    array = images.checked_rgb(rgb, what)
    if max(array.shape[:2]) > MAX_SIDE:
        raise ImageError(
            f"{what}: is {array.shape[1]}x{array.shape[0]} pixels, the longest side rendered is {MAX_SIDE}; "
            "make it smaller (--size on the command line)"
        )
    return array


class Measurer:
    """Measures pictures and plans with one model.

    It caches recent styles and contents by their pixels, and the barycenters of recent sets of styles.

    Raises:
        ConfigError: `model` is not in the table.
        WeightsError: its weights are missing or damaged.
    """

    def __init__(self, model: str = DEFAULT_MODEL, *, tensors: Mapping[str, np.ndarray] | None = None) -> None:
        if model not in MODELS:
            raise ConfigError(f"model {model!r} is not known: use one of {', '.join(MODELS)}")
        enable_compilation_cache()
        limit_lapack_threads()
        if tensors is None:
            tensors, _ = weight_files.load(model)
        self.model = model
        self._programs = Programs(model, tensors)
        self._contents: Recent[ContentCode] = Recent(CONTENT_BYTES, lambda code: code.nbytes)
        self._styles: Recent[StyleCode] = Recent(STYLE_BYTES, lambda code: code.pixels.nbytes)
        self._barycenters: Recent[Barycenters] = Recent(BLEND_CACHE)

    @property
    def traces(self) -> dict[str, int]:
        """Number of traces per program: one for each size of the family in use."""
        return self._programs.traces

    def style(self, image: Rgb) -> StyleCode:
        """Measure a style picture (RGB in [0, 1], at the size at which its strokes should appear)."""
        rgb = checked(image, "style picture")
        key = content_hash(rgb)

        def make() -> StyleCode:
            _, moments = self._programs.encode(pad_to_family(rgb), *rgb.shape[:2])
            return StyleCode(moments, rgb, key)

        return self._styles.get(key, make)

    def measure(self, image: Rgb) -> Moments:
        """Return the moments of a picture's code."""
        return self.style(image).moments

    def content(self, image: Rgb, *, texture: float = DEFAULT_TEXTURE) -> ContentCode:
        """Encode a content picture (RGB in [0, 1]) once; changing any setting except `texture` reuses the code."""
        rgb = checked(image, "content picture")
        key = content_hash(rgb)

        def make() -> ContentCode:
            height, width = rgb.shape[:2]
            code, moments = self._programs.encode(pad_to_family(textured(rgb, texture)), height, width)
            return ContentCode(code, moments, pad_to_family(rgb), height, width, texture, key)

        return self._contents.get((key, texture), make)

    def target(self, styles: Sequence[tuple[StyleCode, float]], *, kind: BlendKind = "barycenter") -> Moments | None:
        """Blend styles by their weights (any scale; normalised here). Return None if all weights are zero.

        Raises:
            ConfigError: a negative or non-finite weight, or no styles.
        """
        if not styles:
            raise ConfigError("no style given: give at least one")
        weights = blend_shares([weight for _, weight in styles])
        if weights is None:
            return None
        used = [(code, weight) for (code, _), weight in zip(styles, weights, strict=True) if weight > 0]
        if len(used) == 1:
            return used[0][0].moments
        moments, weights = [code.moments for code, _ in used], np.array([weight for _, weight in used], np.float32)
        if kind == "barycenter":
            known = self._barycenters.get(tuple(code.key for code, _ in used), lambda: self._programs.meet(moments))
            return self._programs.between(known, weights)
        return self._programs.blend(moments, weights, kind=kind)

    def distances(self, content: Rgb, styles: Sequence[Rgb | StyleCode]) -> list[float]:
        """Return how unlike a photo each style is (`transforms.distance` of their codes).

        Its colours and textures count, its contrast does not. `SUGGEST_SIDE` is a good size for all of them.
        """
        own = self.content(content, texture=0.0).moments
        codes = [style if isinstance(style, StyleCode) else self.style(style) for style in styles]
        return [float(self._programs.distance(own, code.moments)) for code in codes]

    def plan(
        self,
        content: ContentCode,
        target: Moments,
        *,
        transform: TransformKind = "mk",
        share: Float[np.ndarray, "1 H W 1"] | None = None,
    ) -> Plan:
        """Plan the map from this content to `target`. `share`, padded like the content, restricts the plan to a region.

        Likeness is computed from the photo without texture: in a plain photo, texture is the only variance and would
        hide that photo and style are the same. This takes another measurement, made only if the mean colours of photo
        and target are close. The photo's mean colour is taken from its pixels, without texture.
        """

        def measured(code: ContentCode) -> Moments:
            if share is None:
                return code.moments
            return self._programs.measured(code.code, code.height, code.width, share, code.moments)

        moments = own = measured(content)
        if content.texture:
            color = content.mean_color if share is None else content.mean_color_of(share)
            apart = color - np.asarray(core.colors(target).mean)
            if np.linalg.norm(apart) < NEAR_COLOR:
                own = measured(self.content(np.ascontiguousarray(content.photo), texture=0.0))
        return self._programs.plan(moments, target, own=own, kind=transform)
