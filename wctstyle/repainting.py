"""The second pass of a large picture: a small painting, enlarged and painted once more, tile by tile.

What is read, painted and written is never more than a row of tiles at a time, so memory grows with the picture's width
alone. The tiles share one plan, made from moments pooled over tiles or, of many, over pieces spread over the picture.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from wctstyle import images, photoreal
from wctstyle import plan as core
from wctstyle.codes import Part, Result, Rgb
from wctstyle.cutout import Cutout, pixels_of
from wctstyle.encoder import MODELS
from wctstyle.look import Broad, Lift
from wctstyle.moments import Moments, pool
from wctstyle.programs import Programs
from wctstyle.regions import Region, checked_mask, divided
from wctstyle.rendering import Renderer, colored, kept_share, spread
from wctstyle.settings import Settings
from wctstyle.sizes import of_cells
from wctstyle.tiles import Tile, Tiling, cells_used, cut, decoder_reach, encoder_reach, window

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


class Repainting:
    """Paints an enlarged painting once more.

    base, shrunken: the small painting and the photo at its size. targets: what each region is to become, None where
    nothing is painted. faces: a map of the photo's faces at any size, or None.
    """

    def __init__(
        self,
        programs: Programs,
        renderer: Renderer,
        photo: Photo,
        base: Result,
        shrunken: Rgb,
        regions: Sequence[Region],
        targets: Sequence[Moments | None],
        settings: Settings,
        *,
        tiling: Tiling,
        faces: Float[np.ndarray, "h w"] | None,
    ) -> None:
        self._programs, self._renderer, self._photo, self._settings = programs, renderer, photo, settings
        self._base, self._shrunken, self._faces = base, shrunken, faces
        self._height, self._width = self.shape = photo.raster.shape
        self._masks = [None if region.mask is None else checked_mask(region.mask)[..., None] for region in regions]
        self._painted = [number for number, target in enumerate(targets) if target is not None]
        self._targets = [target for target in targets if target is not None]
        self._parts = [
            Part(part.plan, None, regions[number].dials) for number, part in zip(self._painted, base.parts, strict=True)
        ]
        kept = kept_share(base.parts, settings)
        if isinstance(kept, np.ndarray):
            kept = kept[0, : base.image.shape[0], : base.image.shape[1]]
        self._lift = Lift(base.image, shrunken, kept, self.shape)
        config = MODELS[programs.model]
        halo = encoder_reach(config)
        self._measured = tiling.measured
        self._pieces = cut(self.shape, tiling.piece, halo)
        self._tiles = cut(self.shape, tiling.tile, halo + decoder_reach(config))
        self._whole: tuple[Any, Any] | None = None
        """Pixels and code of the picture, where it is one tile."""

    # ------------------------------------------------------------------------------------------------ what is read

    def _read(self, tile: Tile, read: Callable[[images.Part], np.ndarray], mode: Any = "reflect") -> np.ndarray:
        return window(tile, self.shape, read, mode)

    def _lifted(self, tile: Tile) -> Float[np.ndarray, "1 H W 3"]:
        return self._read(tile, lambda part: self._lift.part(self._photo.rgb(part), part))[None]

    def _encoded(self, tile: Tile) -> tuple[Float[np.ndarray, "1 H W 3"], Any]:
        """Enlarge a window and encode it, unless it is the whole picture, which is encoded already."""
        if self._whole is not None:
            return self._whole
        pixels = self._lifted(tile)
        return pixels, self._programs.encode(pixels, *pixels.shape[1:3])[0]

    def _shares(self, part: images.Part) -> list[Float[np.ndarray, "h w"] | None]:
        """Return the share of each painted region at every pixel of a part."""
        found = self._photo.shares(self._masks, part)
        return [found[number] for number in self._painted]

    def _with_shares(self, tile: Tile) -> list[Part]:
        """Return the parts with their shares of a window."""
        if all(mask is None for mask in self._masks):
            return self._parts
        planes = self._read(tile, lambda part: np.stack(self._shares(part), axis=-1), mode="edge")  # pyright: ignore
        return [replace(part, share=planes[None, :, :, i, None]) for i, part in enumerate(self._parts)]

    # ---------------------------------------------------------------------------------------------------- the plan

    def plan(self) -> None:
        """Plan the map of each painted region to its target."""
        for number, (moments, target) in enumerate(zip(self._moments(), self._targets, strict=True)):
            made = self._programs.plan(moments, target, own=moments, kind=self._settings.transform)
            part = self._parts[number]
            self._parts[number] = replace(part, plan=part.plan._replace(affine=made.affine))

    def _moments(self) -> list[Moments]:
        """Measure the painted regions."""
        pieces = [tile for row in self._pieces for tile in row]
        plain = all(mask is None for mask in self._masks) and self._photo.raster.alpha is None
        if len(pieces) == 1:
            pixels = self._lifted(pieces[0])
            code, moments = self._programs.encode(pixels, *self.shape)
            self._whole = pixels, code
            if plain:
                return [moments] * len(self._parts)
        chosen = pieces if len(pieces) <= self._measured else self._sample(pieces)
        found = [self._of_piece(tile) for tile in chosen]
        whole, *own = (pool(parts) for parts in zip(*found, strict=True))
        return [core.filled_up(part, whole) for part in own] if own else [whole] * len(self._parts)

    def _of_piece(self, tile: Tile) -> list[Moments]:
        """Measure a piece, without its halo, and then each region in it, where there are masks."""
        inside = cells_used(tile, self.shape)
        _, code = self._encoded(tile)
        seen: Any = np.float32(1)
        if self._photo.raster.alpha is not None:
            seen = self._read(tile, lambda part: self._photo.raster.opacity(part), mode="edge")  # pyright: ignore
            seen = seen[None, :, :, None]
        weights = [seen] if all(mask is None for mask in self._masks) else [seen, *(
            seen * part.share for part in self._with_shares(tile)
        )]  # fmt: skip
        return [self._programs.weighed(code, inside * (weight if np.ndim(weight) == 0 else of_cells(weight)))
                for weight in weights]  # fmt: skip

    def _sample(self, pieces: Sequence[Tile]) -> list[Tile]:
        """Choose pieces spread over the picture, some in each region."""
        found: dict[int, None] = {}
        low, narrow = self._base.image.shape[:2]
        shown = np.ones((low, narrow, 1), np.float32)
        for part in self._base.parts:
            share = shown if part.share is None else part.share[0, :low, :narrow]
            held = [number for number, tile in enumerate(pieces) if self._mean(share, tile) > 0]
            count = min(len(held), -(-self._measured // len(self._parts)))
            offsets = np.random.default_rng(0).random(count)  # irregular, or all might lie in one column
            found |= {held[int((place + offset) * len(held) / count)]: None for place, offset in enumerate(offsets)}
        return [pieces[number] for number in sorted(found)]

    def _mean(self, plane: np.ndarray, tile: Tile) -> float:
        """Average a small map over the core of a piece."""
        ends: Any = tuple(
            slice(span.core.start * low // side, span.core.stop * low // side + 1)
            for span, low, side in zip(tile, plane.shape[:2], self.shape, strict=True)
        )
        return float(plane[ends].mean())

    # ----------------------------------------------------------------------------------------------------- painting

    @property
    def count(self) -> int:
        """Number of tiles that are painted."""
        return sum(map(len, self._tiles))

    def rows(self, painting: Callable[[int, int], None] = lambda tile, tiles: None) -> Iterator[Rgb]:
        """Paint the tiles; gives the picture from top to bottom, some rows at a time.

        `painting` is told after each tile how many of how many are painted.
        """
        kind = np.dtype(np.float32 if self.count == 1 else np.uint16)
        close = max(self._base.image.shape) > self._settings.look
        broad, done, given = Broad(self._base.image, self.shape, close=close), 0, 0
        waiting: deque[np.ndarray] = deque()
        for row in self._tiles:
            height = row[0][0].core.stop - row[0][0].core.start
            band = np.empty((height, self._width, 3), kind)
            for tile in row:
                band[:, tile[1].core] = images.as_kind(self._paint(tile), kind)
                done += 1
                painting(done, self.count)
            final = 0
            for slab in images.slabs(height, self._width):
                final = broad.feed(images.as_floats(band[slab]))
                waiting.append(band[slab])
            wide = broad.wide()
            while waiting and given + len(waiting[0]) <= final:
                rows = waiting.popleft()
                part = slice(given, given + len(rows)), slice(0, self._width)
                given += len(rows)
                yield self._finished(broad, wide, images.as_floats(rows), part)

    def _paint(self, tile: Tile) -> Rgb:
        pixels, code = self._encoded(tile)
        painting = replace(self._settings, strength=min(self._settings.strength, 1.0))  # more is in the small picture
        faces = None if self._faces is None else self._read(tile, self.face_map, mode="edge")
        faces = None if faces is None or not faces.any() else faces
        painted = self._renderer.paint_over(
            code, pixels, self._with_shares(tile), painting, faces, lambda: self._read(tile, self._photo.rgb)[None]
        )
        return painted[tile[0].inside, tile[1].inside]

    def face_map(self, part: images.Part) -> Any:
        """Return a part of the map of the faces; None without any."""
        if self._faces is None:
            return None
        return images.resize_part(self._faces[..., None], self.shape, part, kernel="linear")[..., 0]

    def parts(self, part: images.Part) -> list[Part]:
        """Return the painted regions with their plans, and their shares of a part of the picture."""
        return [
            own if share is None else replace(own, share=share[None, :, :, None])
            for own, share in zip(self._parts, self._shares(part), strict=True)
        ]

    def _finished(self, broad: Broad, wide: Rgb, image: Rgb, part: images.Part) -> Rgb:
        """Give rows the broad light and colour of the small picture, and their colours."""
        parts = self.parts(part)
        covered = spread(parts, lambda part: 1.0)
        image = broad.part(wide, image, part, covered[0] if isinstance(covered, np.ndarray) else covered)
        return self.colored(image, part, parts)

    def recolored_rows(self) -> Iterator[Rgb]:
        """Give the photo with colours alone changed, from top to bottom, some rows at a time."""
        for rows in self._photo.raster.slabs():
            part = rows, slice(0, self._width)
            yield self.colored(self._photo.rgb(part), part, self.parts(part))

    def graded_rows(self) -> Iterator[Rgb]:
        """Give the photo in the light and colours of the small painting (`wctstyle.photoreal`), from top to bottom."""
        small, (height, width) = self._shrunken, self._base.image.shape[:2]
        maps = [
            photoreal.fit(small, self._base.image, None if part.share is None else part.share[0, :height, :width, 0])
            for part in self._base.parts
        ]
        wide = [local.widened(self._width) for local in maps]
        for rows in self._photo.raster.slabs():
            part = rows, slice(0, self._width)
            photo, parts = self._photo.rgb(part), self.parts(part)
            image = photo
            for own, local, planes in zip(parts, maps, wide, strict=True):
                share = 1 if own.share is None else own.share[0]
                image = image + share * (local.rows(photo, rows, self._height, planes) - photo)
            yield self.colored(image, part, parts)

    def colored(self, image: Rgb, part: images.Part, parts: Sequence[Part]) -> Rgb:
        """Give a part of the picture the colours of its regions."""
        settings = self._settings
        if any(own.dials.photo_share(settings) or own.dials.colors_in(settings) == "only" for own in parts):
            image = colored(image, self._photo.rgb(part), parts, settings)
        return image
