"""Pictures of any size: composed small, then enlarged and painted once more, tile by tile where they are large."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Float

from wctstyle import images
from wctstyle import look as looks
from wctstyle.codes import ContentCode, Result, Rgb, StyleCode, shape_of
from wctstyle.cutout import Content, Cutout, pixels_of
from wctstyle.encoder import MODELS
from wctstyle.errors import ConfigError, ImageError
from wctstyle.faces import face_map
from wctstyle.grading import Grading, Photo, local_maps, small_sides
from wctstyle.laps import Laps
from wctstyle.measuring import Measurer, content_hash, style_pixels, texture_of
from wctstyle.moments import Moments
from wctstyle.photoreal import LocalAffine
from wctstyle.recent import Recent
from wctstyle.refining import check_memory, refine_tiles
from wctstyle.regions import NOWHERE, Region, Style, regions_of, weighted_styles
from wctstyle.rendering import Renderer, only_recolored
from wctstyle.repainting import Repainting
from wctstyle.settings import (
    DEFAULT_LOOK,
    DEFAULT_MODEL,
    FACES_SIDE,
    LARGEST_AREA,
    LARGEST_SIDE,
    MAX_SIDE,
    BlendKind,
    Settings,
    optimizer_model,
)
from wctstyle.tiles import Tiling

if TYPE_CHECKING:
    from wctstyle.optimizer import Optimizer

ENCODED_AT_ONCE = 4


MATCHED_SIDE = 1024
"""Long side of the sample of pixels from which the colours of a large photo are measured."""

ALL = slice(None), slice(None)


def _shrunk(style: Style, ratio: float) -> Style:
    own = style_pixels(style)
    return replace(own, picture=looks.shrunk(own.picture, ratio * style.enlarged), enlarged=1.0)


def prepared(styles: Any, settings: Settings) -> tuple[list[Region], Settings, bool]:
    """Check styles and settings; returns regions, settings without what is of no use, and whether it paints."""
    if not isinstance(settings, Settings):
        raise ConfigError(f"settings is {settings!r}, must be Settings(...)")
    regions = [only_recolored(region, settings) for region in regions_of(styles)]
    paints = settings.strength > 0 and any(r.strength and r.colors_in(settings) != "only" for r in regions)
    if not paints or settings.photo:
        settings = replace(settings, keep_faces=0.0, look=0 if not paints else settings.look or DEFAULT_LOOK)
    return regions, settings, paints


def large_photo(content: Any, *, every: bool = False) -> images.Raster | None:
    """Return what is too large to be rendered in one piece, or `every` picture, as a raster; None for anything else."""
    most = 0 if every else MAX_SIDE
    if isinstance(content, images.Raster):
        return content if max(content.shape) > most else None
    if isinstance(content, images.Picture):
        return images.Raster.of(content) if max(content.height, content.width) > most else None
    if isinstance(content, ContentCode):
        content = (content.cutout or content.photo) if every else None
    if isinstance(content, Cutout):
        return images.Raster.of(content.picture()) if max(content.sides) > most else None
    if content is None:
        return None
    shape = images.as_array(content, "content picture").shape
    if len(shape) != 3 or max(shape[:2]) <= most:
        return None
    return images.Raster(images.checked_rgb(content, "content picture"))


def _found(faces: Float[np.ndarray, "h w"] | None) -> Float[np.ndarray, "h w"]:
    """Return a map of faces; without any one that is 0, which can be kept."""
    return NOWHERE if faces is None else faces


def _check_large(photo: images.Raster, settings: Settings, paints: bool) -> None:
    """Refuse what cannot be done tile by tile."""
    if max(photo.shape) > LARGEST_SIDE or photo.height * photo.width > LARGEST_AREA:
        raise ImageError(
            f"{photo.source}: would become {photo.width} x {photo.height}, at most {LARGEST_SIDE} pixels a side and "
            f"{LARGEST_AREA // 10**6} megapixels are rendered; make it smaller (--size on the command line)"
        )
    if paints and not settings.look:
        raise ImageError(
            f"{photo.source}: look=0 takes the picture in one piece, up to {MAX_SIDE} pixels a side, and this would "
            f"become {photo.width} x {photo.height}; make it smaller, or leave out look"
        )


def _at_once(shape: tuple[int, int], settings: Settings) -> bool:
    """Say whether the visible box of a large picture is so small that it is painted in one pass."""
    return max(shape) <= MAX_SIDE and looks.small_sides(shape, settings.look) is None


class Large(Measurer, abc.ABC):
    """Measures styles and photos, and paints photos that are too large to be rendered in one pass.

    Example:
        >>> from wctstyle import Stylizer, samples
        >>> photo, style = (samples.picture(name).rgb[:64, :64] for name in ("cat", "marbling"))
        >>> painter, rows = Stylizer("slim"), []
        >>> made = painter.stylize_large(images.Raster(photo), style, Settings(keep_faces=0.0), rows.append)
        >>> np.concatenate(rows).shape, made.image.shape  # the rows were given away
        ((64, 64, 3), (0, 64, 3))
        >>> np.array_equal(np.concatenate(rows), painter.stylize(photo, style, Settings(keep_faces=0.0)).image)
        True
        >>> (maps,) = painter.local_maps(photo, [Region(None, style)], Settings(photo=True))
        >>> maps.planes.shape, painter.tiling_of((4000, 3000)).tile
        ((64, 64, 3, 4), 1280)
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        tensors: Mapping[str, np.ndarray] | None = None,
        cache: Recent[Any] | None = None,
        tiling: Tiling | None = None,
    ) -> None:
        super().__init__(model, tensors=tensors, cache=cache)
        self._tiling = tiling
        self._renderer = Renderer(self._programs, model, self.cache)
        self._beside = ThreadPoolExecutor(ENCODED_AT_ONCE, thread_name_prefix="wctstyle-encode")

    def tiling_of(self, shape: tuple[int, int]) -> Tiling:
        """Return how the second pass of a picture of a height and width is cut."""
        return self._tiling or Tiling.of(MODELS[self.model], shape)

    @functools.cached_property
    def _optimizer(self) -> Optimizer:
        from wctstyle.optimizer import Optimizer  # here, as a first picture need not wait for optax

        network = optimizer_model(self.model)
        return Optimizer(network, tensors=self._programs.encoder_tensors if network == self.model else None)

    @abc.abstractmethod
    def stylize(
        self, content: Any, styles: Any, settings: Settings = ..., *, refining: Callable[[int, int], None] = ...
    ) -> Result:
        """Stylise a picture."""

    def stylize_large(
        self,
        content: images.Raster,
        styles: Any,
        settings: Settings,
        write: Callable[[Rgb], object],
        *,
        painting: Callable[[int, int], None] = lambda tile, tiles: None,
        refining: Callable[[int, int], None] = lambda step, steps: None,
    ) -> Result:
        """Stylise a photo of any size tile by tile (`wctstyle.repainting`), one row of tiles after another.

        `write` takes the result from top to bottom, some rows at a time; the image that is returned is empty.
        `painting` is told which tile of how many is painted. All else as in `stylize`, which works on any size too. A
        picture that is refined is kept in temporary files meanwhile, of 12 bytes for each pixel.

        Raises:
            ConfigError: as `stylize`.
            ImageError: the photo is larger than `LARGEST_SIDE` or `LARGEST_AREA`, or is to be painted without a look,
                which is done in one piece; refining takes too much memory, or room on the disk.
        """
        regions, settings, paints = prepared(styles, settings)
        _check_large(content, settings, paints)
        laps, box = Laps(), images.visible_box(content)
        refines = paints and settings.refine > 0
        visible, at = content.trimmed(box), (box[0].start, box[1].start)
        if refines:
            check_memory(self._optimizer, visible.shape, regions, settings)
            laps.end("refine")
        photo = Photo(visible, content.shape, at)
        if paints and not settings.photo and _at_once(visible.shape, settings):
            made = self.stylize(
                visible.picture(), photo.small_regions(regions, *visible.shape), settings, refining=refining
            )
            photo.written(write)(made.image)
            return replace(made, image=made.image[:0])
        height, width = small_sides(visible.shape, settings)
        photo, reduced, shrunken = photo.composed_at(height, width)
        if settings.strength and any(region.colors_in(settings) == "match" for region in regions):
            thinned = visible.thinned(MATCHED_SIDE)
            seen = photo.small_regions(regions, *thinned.shape)
            matched = self.matched(seen, thinned.rgb(ALL), settings, thinned.opacity(ALL))
            regions = [replace(own, styles=found.styles) for own, found in zip(regions, matched, strict=True)]
        regions = [replace(region, styles=weighted_styles(region.styles)) for region in regions]
        inside = photo.small_regions(regions, height, width)
        laps.end("read")
        base = self._composed(reduced, inside, max(height, width) / max(visible.shape), settings)
        laps.include(base.seconds)
        out = photo.written(write)
        if not base.parts:
            for rows in visible.slabs():
                out(photo.rgb((rows, slice(0, visible.width))))
            return replace(base, image=base.image[:0])
        painted = paints and not settings.photo
        if painted:
            second = self._repainting(photo, base, reduced, shrunken, regions, inside, settings)
            second.plan()
            made = second.rows(painting)
            if refines:
                made = self._refined_rows(second, photo, regions, settings, painting, refining)
        else:
            grading = Grading(photo, base, shrunken, regions, settings)
            made = grading.graded_rows() if paints else grading.recolored_rows()
        laps.end("encode")
        for rows in made:
            out(rows)
        laps.end("render")
        return Result(base.image[:0], base.parts, laps.seconds, painted or base.first_of_size)

    def local_maps(self, photo: Rgb, regions: Sequence[Region], settings: Settings) -> list[LocalAffine]:
        """Plan the maps of the painted regions with the setting `photo`, for the frames of a video."""
        regions, settings, _ = prepared(regions, settings)
        height, width = small_sides(photo.shape, settings)
        small = images.resize_planes(photo, height=height, width=width)
        regions = [replace(region, styles=weighted_styles(region.styles)) for region in regions]
        return local_maps(small, self._composed(small, regions, max(height, width) / max(photo.shape), settings))

    def _refined_rows(
        self,
        second: Repainting,
        photo: Photo,
        regions: Sequence[Region],
        settings: Settings,
        painting: Callable[[int, int], None],
        refining: Callable[[int, int], None],
    ) -> Iterator[Rgb]:
        """Paint a picture into a temporary file, refine it there, and give it from top to bottom."""
        shape, done = photo.raster.shape, 0
        with images.Scratch(shape) as painted, images.Scratch(shape) as out:
            for rows in second.rows(painting):
                part = slice(done, done + len(rows)), slice(0, shape[1])
                painted[part] = out[part] = rows
                done += len(rows)
            refine_tiles(self._optimizer, photo, painted, out, regions, settings, second.face_map, refining)
            for rows in photo.raster.slabs():
                part = rows, slice(0, shape[1])
                yield second.colored(out[part], part, second.parts(part))

    def _repainting(
        self,
        photo: Photo,
        base: Result,
        reduced: Rgb | Cutout,
        shrunken: Rgb,
        regions: Sequence[Region],
        inside: Sequence[Region],
        settings: Settings,
    ) -> Repainting:
        """Prepare the second pass; `inside` are the regions with the masks of the small picture."""
        styled = self._measured(regions)
        targets = [
            target if region.strength else None
            for region, target in zip(regions, self._targets(styled, settings.blend), strict=True)
        ]
        faces = None
        if settings.keep_faces:
            source, near = self._faces_of_small(reduced, inside, settings)
            if near is not None:
                shape = photo.raster.shape
                key = "face map", source, shape
                reduced_side = min(max(shape), FACES_SIDE)
                faces = self.cache.get(key, lambda: _found(face_map(photo.reduced(reduced_side))))
        return Repainting(
            self._programs, self._renderer, photo, base, shrunken, regions, targets, settings,
            tiling=self.tiling_of(photo.raster.shape), faces=faces,
        )  # fmt: skip

    def _faces_of_small(
        self, reduced: Rgb | Cutout, inside: Sequence[Region], settings: Settings
    ) -> tuple[str, Float[np.ndarray, "h w"] | None]:
        """Return the key of the small picture and the map of its faces, None without any.

        One that was painted at once is encoded already, and its code has them; one that was composed itself is not.
        """
        pixels = pixels_of(reduced)
        if looks.small_sides(pixels.shape, settings.look) is None:
            near = self._encoded(reduced, inside, settings)
            return near.key, near.faces
        source = content_hash(pixels)
        found = self.cache.get(("faces", source), lambda: _found(face_map(pixels)))
        return source, found if found.any() else None

    def _composed(self, reduced: Rgb | Cutout, regions: Sequence[Region], ratio: float, settings: Settings) -> Result:
        """Paint a picture that was made smaller, after styles that are as much smaller."""
        fitted = [
            replace(
                region,
                styles=[(_shrunk(style, ratio), weight) for style, weight in region.styles],
                colors="only" if region.colors_in(settings) == "only" else "style",
                color=1.0,
            )
            for region in regions
        ]
        return self.stylize(reduced, fitted, replace(settings, refine=0, photo=False))

    def _encoded(self, content: Content | ContentCode, regions: Sequence[Region], settings: Settings) -> ContentCode:
        """Encode a photo with the texture of its regions; of what is no picture, the encoding tells what is wrong."""
        shape = shape_of(content)
        texture = settings.texture if shape is None else texture_of(regions, *shape, settings)
        if isinstance(content, ContentCode):
            return self._textured(content, texture)
        return self.content(content, texture=texture)

    def _measured(self, regions: Sequence[Region]) -> list[list[tuple[StyleCode, float]]]:
        """Measure the styles of all regions side by side."""
        waiting = [
            [self._beside.submit(self._weighted, *item) for item in weighted_styles(region.styles)]
            for region in regions
        ]
        return [[style.result() for style in blend] for blend in waiting]

    def _targets(self, styled: Sequence[Sequence[tuple[StyleCode, float]]], kind: BlendKind) -> list[Moments | None]:
        """Blend the styles of every region; None where it has none."""
        return [self.target(blend, kind=kind) if blend else None for blend in styled]

    def _weighted(self, style: Style, weight: float) -> tuple[StyleCode, float]:
        given = style.picture
        if isinstance(given, StyleCode):
            code = self.own(given) if style.mask is None else self.style(given.pixels, style.mask)
        else:
            code = self.style(given, style.mask)
        jax.block_until_ready(code.moments)  # here, so that what runs in several threads runs at the same time
        return code, float(weight)
