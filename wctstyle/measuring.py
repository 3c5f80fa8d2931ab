"""Measuring and planning, with caches for styles, photos and barycenters."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import jax
import numpy as np
from jaxtyping import Float

from wctstyle import color, images
from wctstyle import plan as core
from wctstyle import weights as weight_files
from wctstyle.codes import ContentCode, Rgb, StyleCode, codes_cache
from wctstyle.compilation import check_device, enable_compilation_cache
from wctstyle.cutout import Content, Cutout, cut_out, pixels_of
from wctstyle.encoder import MODELS
from wctstyle.errors import ConfigError, ImageError
from wctstyle.moments import Moments, pool
from wctstyle.plan import Plan
from wctstyle.programs import Programs
from wctstyle.recent import Recent
from wctstyle.regions import Region, Style, blend_shares, filled_up, fitted_part, shares, weighted_styles
from wctstyle.settings import (
    DEFAULT_MODEL,
    DEFAULT_TEXTURE,
    MAX_SIDE,
    BlendKind,
    Settings,
    TransformKind,
    checked_model,
)
from wctstyle.sizes import of_cells, pad_to_family
from wctstyle.texture import Amount, Amounts, textured
from wctstyle.threads import limit_lapack_threads
from wctstyle.tiles import Tiling, cells_used, cut, encoder_reach, window
from wctstyle.transforms import Barycenters

_Code = TypeVar("_Code", ContentCode, StyleCode)

BLEND_CACHE = 16
"""Sets of styles whose barycenters are kept: those of eight regions and the rest, and a few from before."""

PLANS = 32
"""Plans that are kept, so that a moved strength or one changed region does not plan every region anew."""

STYLE = "style"
"""First part of the keys of styles in the cache."""

NEAR_COLOR = 0.05
"""Distance of mean colours, in units of the range, within which the style may be the photo itself.

All pairs of sample photo and painting are further apart."""


def content_hash(rgb: np.ndarray) -> str:
    """SHA-256 of a picture's shape and pixels, or of any array."""
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


def texture_of(regions: Sequence[Region], height: int, width: int, settings: Settings) -> Amount:
    """Return the texture of a photo: one amount, or one per pixel where regions have their own."""
    if all(region.texture is None for region in regions):
        return settings.texture
    if len(regions) == 1 and regions[0].mask is None:
        return regions[0].texture or 0.0
    plane = np.full((height, width), settings.texture, np.float32)
    for region, share in zip(regions, shares(regions, height, width), strict=True):
        if region.texture is not None:
            plane += (1 if share is None else share) * np.float32(region.texture - settings.texture)
    return Amounts(plane)


def style_pixels(style: Style) -> Style:
    """Return a style as checked pixels and a mask, whether or not its picture has been measured."""
    code = style.picture
    if isinstance(code, StyleCode):
        return replace(style, picture=code.pixels, mask=code.mask if style.mask is None else style.mask)
    rgb = checked(code, "style picture")
    return replace(style, picture=rgb, mask=fitted_part(style, *rgb.shape[:2]))


def _style_key(rgb: Rgb, part: Float[np.ndarray, "h w"] | None) -> str:
    return content_hash(rgb) + ("" if part is None else content_hash(part))


class Measurer:
    """Measures pictures and plans with one model.

    It caches recent styles and contents by their pixels, in a cache of its own or one that it shares with other models
    (`codes.codes_cache`), and the barycenters of recent sets of styles.

    Raises:
        ConfigError: `model` is not in the table.
        WeightsError: its weights are missing or damaged.
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        tensors: Mapping[str, np.ndarray] | None = None,
        cache: Recent[Any] | None = None,
    ) -> None:
        checked_model(model)
        check_device()
        enable_compilation_cache()
        limit_lapack_threads()
        if tensors is None:
            tensors, _ = weight_files.load(model)
        self.model = model
        self._programs = Programs(model, tensors)
        self.cache = codes_cache() if cache is None else cache
        self._barycenters: Recent[Barycenters] = Recent(BLEND_CACHE)
        self._plans: Recent[Plan] = Recent(PLANS)

    @property
    def traces(self) -> dict[str, int]:
        """Number of traces per program: one for each size of the family in use."""
        return self._programs.traces

    def style(self, image: Rgb, mask: Any = None) -> StyleCode:
        """Measure a style picture (RGB in [0, 1], at the size at which its strokes should appear).

        `mask` restricts it to a part (`regions.Style`).
        """
        rgb = checked(image, "style picture")
        if isinstance(image, np.ndarray) and not image.flags.writeable and np.array_equal(image, rgb):
            rgb = image  # nobody can change it, and that of a large result takes 200 MB
        part = fitted_part(Style(image, mask), *rgb.shape[:2])
        return self._style(_style_key(rgb, part), lambda: Style(rgb, part))

    def style_of(self, key: str, read: Callable[[], Style], *, kind: str = STYLE) -> StyleCode:
        """Measure the style that `read` gives, its mask as large, unless that of this key has been measured.

        `kind` says for what it is kept: `forget_photos` keeps `STYLE`.
        """

        def ready() -> Style:
            style = read()
            return Style(checked(style.picture, "style picture"), style.mask)

        return self._style(key, ready, kind=kind)

    def _style(self, key: str, read: Callable[[], Style], *, kind: str = STYLE) -> StyleCode:
        def make() -> StyleCode:
            style = read()
            return StyleCode(self._moments(style.picture, style.mask), style.picture, key, style.mask)

        return self.cache.get((kind, self.model, key), make)

    def _moments(self, rgb: Rgb, part: Float[np.ndarray, "h w"] | None) -> Moments:
        """Measure a picture, or a part of it: a large one tile by tile, as encoding takes much memory."""
        (height, width), config = rgb.shape[:2], MODELS[self.model]
        counted = None if part is None else filled_up(part)[..., None]
        halo = encoder_reach(config)
        tiles = [tile for row in cut((height, width), Tiling.of(config, (height, width)).tile, halo) for tile in row]
        if len(tiles) == 1:
            code, moments = self._programs.encode(pad_to_family(rgb), height, width)
            if counted is None:
                return moments
            return self._programs.measured(code, height, width, pad_to_family(counted), None)
        found = []
        for tile in tiles:
            pixels = window(tile, (height, width), rgb.__getitem__)[None]
            cells = cells_used(tile, (height, width))
            if counted is not None:
                cells = cells * of_cells(window(tile, (height, width), counted.__getitem__)[None])
            found.append(self._programs.weighed(self._programs.encode(pixels, *pixels.shape[1:3])[0], cells))
        return pool(found)

    def matched(
        self, regions: Sequence[Region], photo: Rgb, settings: Settings, opacity: Float[np.ndarray, "h w"] | None = None
    ) -> list[Region]:
        """Measure styles where `colors` is match, each in the colours of its region's own part of the photo."""

        def recolored(style: Style, goal: color.Colors) -> StyleCode:
            own = style_pixels(style)
            pixels, part = own.picture, own.mask
            code = style.picture if isinstance(style.picture, StyleCode) and style.mask is None else None
            key = code.key if code else _style_key(pixels, part)
            key += hashlib.sha256(goal.mean.tobytes() + goal.covariance.tobytes()).hexdigest()
            return self.style_of(key, lambda: Style(color.with_colors(pixels, goal, part), part), kind="matched")

        found = []
        for region, share in zip(regions, shares(regions, *photo.shape[:2]), strict=True):
            if region.colors_in(settings) != "match":
                found.append(region)
                continue
            goal = color.colors_of(photo, opacity if share is None else share if opacity is None else share * opacity)
            styles = [
                (replace(style, picture=recolored(style, goal), mask=None), weight)
                for style, weight in weighted_styles(region.styles)
            ]
            found.append(replace(region, styles=styles))
        return found

    def own(self, code: _Code) -> _Code:
        """Return a code that this model measured.

        Raises:
            ConfigError: another model did.
        """
        if len(code.moments.mean) != len(self._programs.nothing.bias):
            raise ConfigError(f"a code of another model than {self.model}: measure its picture with this one")
        return code

    def measure(self, image: Rgb) -> Moments:
        """Return the moments of a picture's code."""
        return self.style(image).moments

    def content(self, image: Content, *, texture: Amount = DEFAULT_TEXTURE) -> ContentCode:
        """Encode a content picture (RGB in [0, 1]) once; changing any setting except `texture` reuses the code.

        Of a `Picture` with transparency only what is visible is encoded, and opacity weighs its moments.
        """
        if isinstance(image, images.Picture):
            return self.content_of(image.content_hash, lambda: image, texture=texture)
        if isinstance(image, Cutout):
            opacity = "" if image.opacity is None else content_hash(image.opacity)
            key = content_hash(image.rgb) + opacity + repr((image.box, image.canvas))
            return self.content_of(key, lambda: image, texture=texture)
        rgb = checked(image, "content picture")
        return self.content_of(content_hash(rgb), lambda: rgb, texture=texture)

    def content_of(self, key: str, read: Callable[[], Content], *, texture: Amount = DEFAULT_TEXTURE) -> ContentCode:
        """Encode the content picture that `read` gives, unless that of this key has been encoded."""

        def make() -> ContentCode:
            image = read()
            cutout = cut_out(image)
            rgb = checked(pixels_of(image if cutout is None else cutout), "content picture")
            height, width = rgb.shape[:2]
            code, moments = self._programs.encode(pad_to_family(textured(rgb, texture)), height, width)
            made = ContentCode(code, moments, pad_to_family(rgb), height, width, texture, key, cutout=cutout)
            return self._weighed(made)

        return self.cache.get(("content", self.model, key, texture), make)

    def _weighed(self, code: ContentCode) -> ContentCode:
        """Measure a code anew by the opacity of its pixels, where it has any."""
        counted = code.counted()
        if counted is None:
            return code
        return replace(code, moments=self._programs.measured(code.code, code.height, code.width, counted, None))

    def _textured(self, code: ContentCode, texture: Amount) -> ContentCode:
        """Encode a photo that is encoded already with another texture."""
        if self.own(code).texture == texture:
            return code
        return self.content(code.cutout or np.ascontiguousarray(code.photo), texture=texture)

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

    def distances(self, content: Content, styles: Sequence[Rgb | StyleCode]) -> list[float]:
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
        counted = content.counted(share)
        cells = None if counted is None else of_cells(counted)

        def measured(code: ContentCode) -> Moments:
            if share is None or counted is None:
                return code.moments
            return self._programs.measured(code.code, code.height, code.width, counted, code.moments)

        wanted = jax.device_get(target)

        def make() -> Plan:
            moments = own = measured(content)
            if content.texture:
                apart = content.mean_color(cells) - core.colors(wanted).mean
                if np.linalg.norm(apart) < NEAR_COLOR:
                    own = measured(self._textured(content, 0.0))
            return self._programs.plan(moments, target, own=own, kind=transform)

        goal = content_hash(np.concatenate([wanted.mean[None], wanted.covariance]))
        place = None if cells is None else content_hash(cells)
        return self._plans.get((content.key, content.texture, transform, place, goal), make)
