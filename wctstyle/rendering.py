"""Painting a photo with ready plans, with caches of what faces, strength and detail need."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from wctstyle import color
from wctstyle.codes import ContentCode, FaceCode, Part, Rgb
from wctstyle.errors import NonFiniteError
from wctstyle.programs import Programs
from wctstyle.recent import Recent
from wctstyle.regions import Dials, Region, mixed
from wctstyle.settings import MAX_STRENGTH, Settings
from wctstyle.sizes import of_cells
from wctstyle.types import Features

FACE_DETAIL = 0.5
"""How much of what the decoder loses of a face is restored, times `keep_faces`; all of it would look pasted in."""

DETAIL_RADIUS = 0.01
"""Standard deviation of the blur that separates fine light and dark from broad, as a share of the long side."""

Spread = Float[np.ndarray, "1 H W 1"] | float
"""One number for a whole picture, or one per pixel."""


def only_recolored(region: Region, settings: Settings) -> Region:
    """Turn off what paints in a region of which the colours alone change."""
    recolored = settings.photo or region.colors_in(settings) == "only"
    return replace(region, texture=0.0, detail=0.0) if recolored else region


def strength_of(part: Part, settings: Settings) -> float:
    """Return the strength of a region, limited to `MAX_STRENGTH`."""
    return min(settings.strength * part.dials.strength, MAX_STRENGTH)


def painting_of(part: Part, settings: Settings) -> float:
    """Return the strength at which a region is painted: 0 where only its colours change."""
    return 0.0 if part.dials.colors_in(settings) == "only" else strength_of(part, settings)


def detail_of(part: Part, settings: Settings) -> float:
    """Return the detail of a region that its strength leaves visible: all of it from strength 1 on."""
    own = settings.detail if part.dials.detail is None else part.dials.detail
    return own * min(painting_of(part, settings), 1.0)


def spread(parts: Sequence[Part], value: Callable[[Part], float]) -> Spread:
    """Sum a value of each region, weighted by its share of every pixel; a single number without masks."""
    total: Spread = 0.0
    for part in parts:
        total = total + value(part) * (1.0 if part.share is None else part.share)
    return total


def kept_share(parts: Sequence[Part], settings: Settings) -> Spread:
    """Return how much of what the decoder loses of the photo is restored, 0..1: all of it at strength 0."""
    return 1 - spread(
        parts, lambda part: min(painting_of(part, settings), 1.0) * (1 - float(jax.device_get(part.plan.likeness)))
    )


def recolored(
    pixels: Float[np.ndarray, "*n h w 3"], parts: Sequence[Part], strengths: Sequence[float] | None = None
) -> Float[np.ndarray, "*n h w 3"]:
    """Give pixels the colours of the parts' targets (`Plan.palette`), each part by its strength (default: 1)."""
    total = pixels
    for part, strength in zip(parts, strengths or [1.0] * len(parts), strict=True):
        matrix, bias = jax.device_get(part.plan.palette)
        amount = strength if part.share is None else strength * part.share
        total = total + amount * (pixels @ matrix.T + bias - pixels)
    return np.clip(total, 0, 1)


def colored(image: Rgb, photo: Rgb, parts: Sequence[Part], settings: Settings) -> Rgb:
    """Give each region of a painted picture the colours of its `colors` and `color`.

    Where these are "only", it is the photo with its own lightness and the style's colours (a and b in Oklab): nothing
    has been painted there.
    """
    height, width = photo.shape[:2]
    planes = [None if part.share is None else part.share[0, :height, :width] for part in parts]
    for part, plane in zip(parts, planes, strict=True):
        if part.dials.colors_in(settings) == "only":
            mapped = recolored(photo, [replace(part, share=None)], [strength_of(part, settings)])
            changed = color.original_colors(photo, mapped) - image
            image = image + (changed if plane is None else plane * changed)
    return own_colors(image, photo, [part.dials for part in parts], planes, settings)


def own_colors(
    image: Rgb,
    photo: Rgb,
    dials: Sequence[Dials],
    planes: Sequence[Float[np.ndarray, "h w 1"] | None],
    settings: Settings,
) -> Rgb:
    """Give each region of a picture as much of the photo's own colours as its `colors` and `color` say."""
    return color.original_colors(image, photo, share=mixed([own.photo_share(settings) for own in dials], planes))


def _inside(image: Float[np.ndarray, "1 H W 3"], height: int, width: int) -> Rgb:
    """Return what is painted, clipped and without the padding.

    Raises:
        NonFiniteError: the result is not finite.
    """
    image = np.clip(image, 0, 1)[0, :height, :width]
    if not np.isfinite(image).all():
        raise NonFiniteError("the stylised picture is not finite", level=None)
    return image


class Renderer:
    """Paints photos with one model's programs.

    What the decoder loses of recent photos, and their faces, are kept in `cache` under `model`.
    """

    def __init__(self, programs: Programs, model: str, cache: Recent[Any]) -> None:
        self._programs, self._model, self._cache = programs, model, cache

    def paint(self, content: ContentCode, parts: Sequence[Part], settings: Settings) -> Rgb:
        """Paint the content by its parts, with all settings except colours (`colored`) and `refine`.

        Raises:
            NonFiniteError: the result is not finite.
        """
        if not any(painting_of(part, settings) for part in parts):
            return content.photo.copy()
        faces = content.faces if settings.keep_faces else None
        image = self._blended(
            content.code, parts, settings,
            faces=faces,
            drawn=lambda: self._drawn_faces(content, parts),
            lost=lambda: self.lost(content),
            fine=lambda: self._fine(content),
        )  # fmt: skip
        return _inside(image, content.height, content.width)

    def paint_over(
        self,
        code: Features,
        pixels: Float[np.ndarray, "1 H W 3"],
        parts: Sequence[Part],
        settings: Settings,
        faces: Float[np.ndarray, "H W"] | None,
        photo: Callable[[], Float[np.ndarray, "1 H W 3"]],
    ) -> Rgb:
        """Paint an enlarged painting, or a window of it, once more (`wctstyle.look`); nothing is cached.

        pixels: what was encoded. faces, photo: the map of the faces there and the photo from which they are drawn. The
        detail has its broad differences too, as all that is broad is replaced afterwards.

        Raises:
            NonFiniteError: the result is not finite.
        """
        _, height, width, _ = pixels.shape

        @functools.cache
        def lost() -> Float[np.ndarray, "1 H W 3"]:
            return pixels - self._programs.decoded(code)

        def drawn() -> FaceCode:
            wanted = recolored(photo(), parts)
            face_code = self._programs.encode(wanted, height, width)[0]
            return FaceCode(face_code, wanted - self._programs.decoded(face_code))

        image = self._blended(
            code, parts, settings, faces=faces, drawn=drawn, lost=lost, fine=lambda: color.luma(lost())[..., None]
        )
        return _inside(image, height, width)

    def _blended(
        self,
        code: Features,
        parts: Sequence[Part],
        settings: Settings,
        *,
        faces: Float[np.ndarray, "H W"] | None,
        drawn: Callable[[], FaceCode],
        lost: Callable[[], Float[np.ndarray, "1 H W 3"]],
        fine: Callable[[], Float[np.ndarray, "1 H W 1"]],
    ) -> Float[np.ndarray, "1 H W 3"]:
        """Paint a code by its parts, with its faces, and with what is restored of what the decoder loses."""
        steps = [part.plan.affine for part in parts]
        amounts: list[Any] = [
            strength if part.share is None else strength * of_cells(part.share)
            for part, strength in ((part, painting_of(part, settings)) for part in parts)
        ]
        if faces is None:
            share: Any = 0.0
            image = self._programs.painted(code, steps, amounts)
        else:
            full = spread(parts, lambda part: min(painting_of(part, settings), 1.0))
            share = settings.keep_faces * full * faces[None, :, :, None]
            face = drawn()
            image = self._programs.painted(code, steps, amounts, face.code, share)
            image = image + FACE_DETAIL * share * face.lost
        kept = kept_share(parts, settings) * (1 - share)
        if np.any(kept):
            image = image + kept * lost()
        if any(detail_of(part, settings) for part in parts):
            detail = spread(parts, lambda part: detail_of(part, settings))
            image = image + np.float32(detail) * (1 - kept) * fine()
        return image

    def lost(self, content: ContentCode) -> Float[np.ndarray, "1 H W 3"]:
        """Return what the decoder loses of a photo: photo - D(E(photo))."""
        decoded = self._programs.decoded
        key = "lost", self._model, content.key, content.texture
        return self._cache.get(key, lambda: content.pixels - decoded(content.code))

    def _drawn_faces(self, content: ContentCode, parts: Sequence[Part]) -> FaceCode:
        """Return the code that a photo's faces use.

        It is cached for recent palettes, so that a changed strength does not recompute them. The decoding of the
        recoloured photo is approximated by recolouring the decoded photo, which saves a decoding.
        """

        def make() -> FaceCode:
            wanted = recolored(content.pixels, parts)
            decoded = recolored(content.pixels - self.lost(content), parts)
            return FaceCode(self._programs.encode(wanted, content.height, content.width)[0], wanted - decoded)

        colors = tuple(piece.tobytes() for part in parts for piece in jax.device_get(part.plan.palette))
        places = tuple(b"" if part.share is None else hashlib.sha256(part.share.data).digest() for part in parts)
        return self._cache.get(("faces", self._model, content.key, content.texture, colors, places), make)

    def _fine(self, content: ContentCode) -> Float[np.ndarray, "1 H W 1"]:
        """Return the fine light and dark of what the decoder loses, without broad differences."""
        from scipy.ndimage import gaussian_filter

        lost = color.luma(self.lost(content)[0]).astype(np.float32)
        radius = DETAIL_RADIUS * max(content.height, content.width)
        return (lost - gaussian_filter(lost, radius, mode="nearest"))[None, :, :, None]
