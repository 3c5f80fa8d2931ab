"""Descent tile by tile, for pictures of which one run takes too much memory.

The style's statistics are those of a whole picture, and no tile is to have all of them: a sky would become a crowd. So
the whole picture, as it was painted, is measured first, in a sample of its tiles. One map at each layer
(Monge-Kantorovich) takes its moments to those of its target, and what it makes of a tile's own moments is the target of
that tile. Together the tiles then have the statistics of the whole target.

Tiles overlap. One after the other is optimised, and its change fades out in the overlap by weights that add up to one.
The next one starts from what is there by then, so it goes on with its neighbour's strokes, and no two versions of the
same stroke are averaged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import jax
import numpy as np
from jaxtyping import Float

from wctstyle.compilation import transferring
from wctstyle.cutout import Cutout
from wctstyle.images import Part
from wctstyle.moments import Affine, Moments, pool
from wctstyle.optimizer.job import Job, Rgb
from wctstyle.optimizer.network import Network
from wctstyle.optimizer.objective import moved_targets, moves_to_target, style_layers
from wctstyle.optimizer.run import Optimizer
from wctstyle.optimizer.settings import LEAST_SIDE, OptimizeSettings
from wctstyle.regions import Region, Style, blend_shares, filled_up, weighted_styles
from wctstyle.tiles import MEASURED, Faded, faded, spread_over

OVERLAP = 128
"""Least overlap of two tiles in pixels."""

INSTEAD = np.full((LEAST_SIDE, LEAST_SIDE, 3), 0.5, np.float32)
"""In place of the styles of tiles, whose targets are known without them."""

Plane = Float[np.ndarray, "h w"]

Tile = tuple[Faded, Faded]


class Pixels(Protocol):
    """A picture that is read and written part by part: an array, or `images.Scratch`."""

    def __getitem__(self, part: Part, /) -> Rgb: ...  # noqa: D105
    def __setitem__(self, part: Part, rgb: Rgb, /) -> None: ...  # noqa: D105


@dataclass(frozen=True)
class Source:
    """What is read of a picture, part by part.

    painted: the picture to start from. content, opacity: the photo; no opacity where all of it is opaque. regions: as
    for `Optimizer.run`, with checked styles and with masks of their sizes; the regions' own masks are `shares`. faces:
    a map of them; None without any.
    """

    shape: tuple[int, int]
    painted: Pixels
    content: Callable[[Part], Rgb]
    opacity: Callable[[Part], Plane | None]
    regions: Sequence[Region]
    shares: Callable[[Part], Sequence[Plane | None]]
    faces: Callable[[Part], Plane | None]

    def counted(self, part: Part) -> dict[int, tuple[Plane | None, Plane | None]]:
        """Return, by number, share and visible share of the regions that are seen in a part."""
        opacity = self.opacity(part)
        found = {
            number: (share, share if opacity is None else opacity if share is None else opacity * share)
            for number, share in enumerate(self.shares(part))
        }
        return {number: planes for number, planes in found.items() if planes[1] is None or planes[1].any()}


def descend(
    optimizer: Optimizer,
    source: Source,
    settings: OptimizeSettings,
    out: Pixels,
    told: Callable[[int, int], None],
    *,
    side: int,
) -> None:
    """Optimise `out`, a copy of the painted picture, by tiles of a side in pixels.

    `settings` are those of a tile, at one scale. `told` hears how many steps of all tiles are done, and how many there
    are.
    """
    _Tiles(optimizer, source, settings, side).descend(out, told)


class _Tiles:
    """The tiles of one picture. `_seen` are the regions in each of them."""

    def __init__(self, optimizer: Optimizer, source: Source, settings: OptimizeSettings, side: int) -> None:
        self._optimizer, self._source, self._settings, self._side = optimizer, source, settings, side
        self._layers, self._network = style_layers(settings), Network(settings.pooling)
        self._tiles = self._cut(source.shape)
        self._seen = [frozenset(source.counted(part_of(tile))) for tile in self._tiles]

    def _cut(self, shape: Sequence[int]) -> list[Tile]:
        down, across = (faded(length, self._side, OVERLAP) for length in shape[:2])
        return [(rows, columns) for rows in down for columns in across]

    @transferring
    def descend(self, out: Pixels, told: Callable[[int, int], None]) -> None:
        """Optimise one tile after the other."""
        moves = {number: self._moves(number) for number in sorted(set().union(*self._seen))}
        steps = self._settings.steps
        for done, (tile, seen) in enumerate(zip(self._tiles, self._seen, strict=True)):
            if seen:
                part = part_of(tile)
                start = out[part]
                job = self._job(part, start)
                targets = [
                    moved_targets(self._measured(self._source.painted[part], own.counted), moves[number],
                                  statistic=self._settings.statistic)
                    for number, own in zip(sorted(seen), job.regions, strict=True)
                ]  # fmt: skip
                regions = tuple(replace(own, targets=new) for own, new in zip(job.regions, targets, strict=True))
                made = start
                for iterate in self._optimizer.descend(replace(job, regions=regions)):
                    made = iterate.image
                    told(done * steps + iterate.step, len(self._tiles) * steps)
                weights = tile[0].weights[:, None, None] * tile[1].weights[:, None]
                out[part] = start + weights * (made - start)

    def _job(self, part: Part, init: Rgb) -> Job:
        """Check what is optimised in a part in which something is seen."""
        source, content = self._source, self._source.content(part)
        opacity, faces = source.opacity(part), source.faces(part)
        sides = content.shape[0], content.shape[1]
        cutout = content if opacity is None else Cutout(content, opacity, (slice(None), slice(None)), sides)
        regions = [
            replace(source.regions[number], mask=share, styles=INSTEAD)
            for number, (share, _) in source.counted(part).items()
        ]
        faces = np.zeros(sides, np.float32) if faces is None else faces
        return Job.checked(cutout, regions, self._settings, init, faces, resumed=False)

    # --------------------------------------------------------------------------------------------------- measuring

    def _measured(self, picture: Rgb, mask: Plane | None) -> dict[str, Moments]:
        found = self._optimizer.programs.measured(picture, self._layers, self._network, mask)
        return jax.block_until_ready(found)  # or the pictures of many would wait in memory

    def _pooled(self, parts: Sequence[Part], read: Callable[[Part], tuple[Rgb, Plane | None]]) -> dict[str, Moments]:
        """Pool the moments of some parts of a picture, each as it is read with a mask."""
        found = [self._measured(*read(part)) for part in spread_over(parts, MEASURED)]
        return {layer: pool([moments[layer] for moments in found]) for layer in self._layers}

    def _moves(self, number: int) -> dict[str, Affine]:
        """Return the map of a region's moments, as it is painted, to those of its target."""
        parts = [part_of(tile) for tile, seen in zip(self._tiles, self._seen, strict=True) if number in seen]
        source = self._source

        def masked(picture: Callable[[Part], Rgb]) -> dict[str, Moments]:
            return self._pooled(parts, lambda part: (picture(part), source.counted(part)[number][1]))

        def styled(style: Style) -> dict[str, Moments]:
            windows = [part_of(tile) for tile in self._cut(style.picture.shape)]
            mask = None if style.mask is None else filled_up(style.mask)
            return self._pooled(windows, lambda part: (style.picture[part], None if mask is None else mask[part]))

        region = source.regions[number]
        found = [(style, weight) for style, weight in weighted_styles(region.styles) if weight > 0]
        shares = blend_shares([weight for _, weight in found])
        assert shares is not None
        strength = self._settings.strength * region.strength
        return moves_to_target(
            masked(source.painted.__getitem__),
            [styled(style) for style, _ in found],
            shares,
            masked(source.content) if strength < 1 else {},
            self._settings,
            strength=strength,
        )


def part_of(tile: Tile) -> Part:
    """Return the pixels of a tile."""
    return tile[0].window, tile[1].window
