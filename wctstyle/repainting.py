"""The second pass of a large picture: a small painting, enlarged and painted once more, tile by tile.

What is read, painted and written is never more than a row of tiles at a time, so memory grows with the picture's width
alone. The tiles share one plan, made from moments pooled over pieces of the picture: all of them or, where
there are many, a sample.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float

from wctstyle import images
from wctstyle import plan as core
from wctstyle.codes import Part, Result, Rgb
from wctstyle.encoder import MODELS
from wctstyle.grading import Grading, Photo
from wctstyle.look import Broad, Lift
from wctstyle.moments import Moments, pool
from wctstyle.programs import Programs
from wctstyle.regions import Region
from wctstyle.rendering import Renderer, kept_share, spread
from wctstyle.settings import Settings
from wctstyle.sizes import of_cells
from wctstyle.tiles import Tile, Tiling, cells_used, cut, decoder_reach, encoder_reach, spread_over, window


class Repainting(Grading):
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
        super().__init__(photo, base, shrunken, regions, settings)
        self._programs, self._renderer, self._faces = programs, renderer, faces
        self._targets = [target for target in targets if target is not None]
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
            found |= dict.fromkeys(spread_over(held, -(-self._measured // len(self._parts))))
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

    def _finished(self, broad: Broad, wide: Rgb, image: Rgb, part: images.Part) -> Rgb:
        """Give rows the broad light and colour of the small picture, and their colours."""
        parts = self.parts(part)
        covered = spread(parts, lambda part: 1.0)
        image = broad.part(wide, image, part, covered[0] if isinstance(covered, np.ndarray) else covered)
        return self.colored(image, part, parts)
