"""Giving a photo of any size other colours and no paint, some rows at a time."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from wctstyle import guided, images, photoreal
from wctstyle import look as looks
from wctstyle.codes import Part, Result, Rgb
from wctstyle.cutout import Cutout, pixels_of
from wctstyle.regions import Region, checked_mask, divided, is_painted, shares
from wctstyle.rendering import colored, own_colors
from wctstyle.settings import DEFAULT_LOOK, Settings

AROUND = 64
"""Pixels around a part among which hidden pixels find the nearest visible one: as far as the networks see."""


@dataclass(frozen=True)
class Photo:
    """The visible box of a photo.

    instead: what hidden pixels show where no visible one is near; None where they are filled already. canvas, at: the
    size of the whole photo, which masks are of, and where in it the box begins.
    """

    raster: images.Raster
    canvas: tuple[int, int]
    at: tuple[int, int] = (0, 0)
    instead: Rgb | None = None

    @classmethod
    def of(cls, content: Rgb | Cutout) -> Photo:
        """Take a photo whose hidden pixels are filled, and which is a canvas of its own."""
        raster = images.Raster(pixels_of(content), content.opacity if isinstance(content, Cutout) else None)
        return cls(raster, raster.shape)

    @functools.cached_property
    def _least(self) -> float:
        """Opacity from which a pixel gives hidden ones its colour, as in `images.fill_hidden`."""
        assert self.raster.alpha is not None
        return min(0.5, float(images.as_floats(self.raster.alpha.max()[None])[0]))

    def rgb(self, part: images.Part) -> Rgb:
        """Return a part as floats, with hidden pixels filled."""
        if self.instead is None:
            return self.raster.rgb(part)
        around: Any = tuple(
            slice(max(0, span.start - AROUND), min(side, span.stop + AROUND))
            for span, side in zip(part, self.raster.shape, strict=True)
        )
        alpha = self.raster.opacity(around)
        assert alpha is not None
        instead = images.resize_part(self.instead, self.raster.shape, around)
        filled = images.hidden_filled(self.raster.rgb(around), alpha, self._least, instead)
        own = (slice(span.start - wide.start, span.stop - wide.start) for span, wide in zip(part, around, strict=True))
        return filled[tuple(own)]

    def composed_at(self, height: int, width: int) -> tuple[Photo, Rgb | Cutout, Rgb]:
        """Return the photo with hidden pixels filled, a small copy as a canvas of its own, and that without opacity."""
        planes = self.raster.resized_planes(height, width)
        rgb, alpha = images.unweighted(planes)
        if alpha is None:
            return self, rgb, rgb
        photo = replace(self, instead=images.fill_hidden(images.Picture(rgb, alpha)).rgb)
        planes = self.raster.resized_planes(height, width, read=photo.rgb)
        rgb, _ = images.unweighted(planes)
        whole = slice(0, height), slice(0, width)
        return photo, Cutout(rgb, alpha, whole, (height, width)), np.clip(planes[..., :3], 0, 1)

    def reduced(self, long_side: int) -> Rgb:
        """Return the photo at another size."""
        scale = long_side / max(self.raster.shape)
        height, width = (max(1, round(scale * side)) for side in self.raster.shape)
        return images.fill_hidden(self.raster.resized(height=height, width=width)).rgb

    def written(self, write: Callable[[Rgb], object]) -> Callable[[Rgb], None]:
        """Return what puts the rows of a result into the canvas, white around the box, and passes them to `write`."""
        (height, width), (top, left), done = self.canvas, self.at, 0

        def white(rows: int) -> None:
            for slab in images.slabs(rows, width) if rows else ():
                write(np.ones((slab.stop - slab.start, width, 3), np.float32))

        def out(rows: Rgb) -> None:
            nonlocal done
            if not done:
                white(top)
            done += len(rows)
            if rows.shape[1] < width:
                rows = np.pad(rows, ((0, 0), (left, width - left - rows.shape[1]), (0, 0)), constant_values=1.0)
            write(rows)
            if done == self.raster.height:
                white(height - top - done)

        return out

    def mask(self, plane: Float[np.ndarray, "h w 1"], part: images.Part) -> Float[np.ndarray, "H W"]:
        """Return a part of a mask of the canvas."""
        moved: Any = tuple(slice(span.start + at, span.stop + at) for span, at in zip(part, self.at, strict=True))
        return images.resize_part(plane, self.canvas, moved)[..., 0]

    def shares(
        self, masks: Sequence[Float[np.ndarray, "h w 1"] | None], part: images.Part
    ) -> list[Float[np.ndarray, "H W"] | None]:
        """Return each region's share of every pixel of a part; masks are of the canvas."""
        return divided([None if mask is None else self.mask(mask, part) for mask in masks])

    def small_regions(self, regions: Sequence[Region], height: int, width: int) -> list[Region]:
        """Return regions with their masks as they are inside the box, at another size."""
        bottom, right = (at + side for at, side in zip(self.at, self.raster.shape, strict=True))

        def small(mask: Any) -> Float[np.ndarray, "h w"]:
            plane = checked_mask(mask)
            (own_height, own_width), (tall, wide) = plane.shape, self.canvas
            down, across = own_height / tall, own_width / wide
            box = self.at[1] * across, self.at[0] * down, min(right * across, own_width), min(bottom * down, own_height)
            return np.clip(images.resample(plane[..., None], height=height, width=width, box=box), 0, 1)[..., 0]

        return [region if region.mask is None else replace(region, mask=small(region.mask)) for region in regions]


SNAP_RADIUS, SNAP_FLATNESS = 0.03, 1e-3
"""Half the side of the windows in which the soft border of a region follows the photo's edges, as a share of the long
side, and the colour variance above which it does. Without, a softened mask leaves a rim of the old colour around a
mountain under a graded sky."""

SNAPPED = 16.0
"""A border of share s follows edges by min(1, 16 s (1 - s)): what is all in or all out stays so."""


def _edges(share: Float[np.ndarray, "h w"], small: Rgb) -> Float[np.ndarray, "h w 4"]:
    """Fit the share of a region to the edges of a small photo (`wctstyle.guided`)."""
    return guided.fit(share, small, radius=max(1, round(SNAP_RADIUS * max(share.shape))), flatness=SNAP_FLATNESS)


def _snapped(
    share: Float[np.ndarray, "h w"], edges: Float[np.ndarray, "h w 4"], photo: Rgb
) -> Float[np.ndarray, "h w"]:
    """Let the soft border of a share follow the edges of the photo."""
    return share + np.minimum(SNAPPED * share * (1 - share), 1) * (guided.applied(edges, photo) - share)


def local_maps(small: Rgb, base: Result) -> list[photoreal.LocalAffine]:
    """Plan the map of each painted region from a small photo to its painting."""
    height, width = base.image.shape[:2]
    return [
        photoreal.fit(small, base.image, None if part.share is None else part.share[0, :height, :width, 0])
        for part in base.parts
    ]


def small_sides(shape: tuple[int, ...], settings: Settings) -> tuple[int, int]:
    """Return the size at which a large picture is composed: for a photo that stays one, never above the look."""
    look, own = settings.look or DEFAULT_LOOK, (shape[0], shape[1])
    if settings.photo:
        return looks.sides_at(own, min(look, max(own)))
    return looks.small_sides(own, look, margin=1.0) or own


def _snapped_whole(share: Float[np.ndarray, "h w"], photo: Rgb, settings: Settings) -> Float[np.ndarray, "h w"]:
    height, width = small_sides(photo.shape, settings)
    small, planes = (images.resize_planes(of, height=height, width=width) for of in (share[..., None], photo))
    edges = images.resample(_edges(small[..., 0], planes), height=share.shape[0], width=share.shape[1], kernel="linear")
    return _snapped(share, edges, photo)


def graded_photo(
    photo: Rgb, maps: Float[np.ndarray, "r g k 3 4"], regions: Sequence[Region], settings: Settings
) -> Rgb:
    """Map a photo by the maps of its painted regions, and give it their colours, except the colours "only"."""
    height, width = photo.shape[:2]
    painted = [
        (region.dials, None if share is None else _snapped_whole(share, photo, settings)[..., None])
        for region, share in zip(regions, shares(regions, height, width), strict=True)
        if is_painted(region)
    ]
    dials, planes = [own for own, _ in painted], [plane for _, plane in painted]
    wide = [photoreal.LocalAffine(own).widened(width) for own in maps]
    image = photoreal.graded(photo, wide, planes, slice(0, height), height)
    return own_colors(image, photo, dials, planes, settings)


class Grading:
    """Changes the colours of a photo by its small painting.

    base, shrunken: the small painting and the photo at its size.
    """

    def __init__(
        self, photo: Photo, base: Result, shrunken: Rgb, regions: Sequence[Region], settings: Settings
    ) -> None:
        self._photo, self._base, self._shrunken, self._settings = photo, base, shrunken, settings
        self._height, self._width = self.shape = photo.raster.shape
        self._masks = [None if region.mask is None else checked_mask(region.mask)[..., None] for region in regions]
        self._painted = [number for number, region in enumerate(regions) if is_painted(region)]
        self._parts = [
            Part(part.plan, None, regions[number].dials) for number, part in zip(self._painted, base.parts, strict=True)
        ]

    def _shares(self, part: images.Part) -> list[Float[np.ndarray, "h w"] | None]:
        """Return the share of each painted region at every pixel of a part."""
        found = self._photo.shares(self._masks, part)
        return [found[number] for number in self._painted]

    def parts(self, part: images.Part) -> list[Part]:
        """Return the painted regions with their plans, and their shares of a part of the picture."""
        return [
            own if share is None else replace(own, share=share[None, :, :, None])
            for own, share in zip(self._parts, self._shares(part), strict=True)
        ]

    def _snapped_parts(self) -> Callable[[images.Part, Rgb], list[Part]]:
        """Return what gives the parts with shares that follow the edges of a part of the photo."""
        height, width = self._shrunken.shape[:2]
        edges = [
            None if part.share is None else _edges(part.share[0, :height, :width, 0], self._shrunken)
            for part in self._base.parts
        ]

        def parts(part: images.Part, photo: Rgb) -> list[Part]:
            return [
                own if plane is None or own.share is None
                else replace(own, share=_snapped(
                    own.share[0, ..., 0], images.resample_part(plane, self.shape, part, kernel="linear"), photo
                )[None, :, :, None])
                for own, plane in zip(self.parts(part), edges, strict=True)
            ]  # fmt: skip

        return parts

    def recolored_rows(self) -> Iterator[Rgb]:
        """Give the photo with colours alone changed, from top to bottom, some rows at a time."""
        for rows in self._photo.raster.slabs():
            part = rows, slice(0, self._width)
            yield self.colored(self._photo.rgb(part), part, self.parts(part))

    def graded_rows(self) -> Iterator[Rgb]:
        """Give the photo in the light and colours of the small painting (`wctstyle.photoreal`), from top to bottom."""
        maps = [local.widened(self._width) for local in local_maps(self._shrunken, self._base)]
        snapped = self._snapped_parts()
        for rows in self._photo.raster.slabs():
            part = rows, slice(0, self._width)
            photo = self._photo.rgb(part)
            parts = snapped(part, photo)
            shares = [None if own.share is None else own.share[0] for own in parts]
            yield self.colored(photoreal.graded(photo, maps, shares, rows, self._height), part, parts)

    def colored(self, image: Rgb, part: images.Part, parts: Sequence[Part]) -> Rgb:
        """Give a part of the picture the colours of its regions."""
        settings = self._settings
        if any(own.dials.photo_share(settings) or own.dials.colors_in(settings) == "only" for own in parts):
            image = colored(image, self._photo.rgb(part), parts, settings)
        return image
