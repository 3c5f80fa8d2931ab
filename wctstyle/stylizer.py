"""Stylizer: measure, plan, render, with what was measured kept."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, Self

import jax
import numpy as np
from jaxtyping import Float

from wctstyle import images
from wctstyle import look as looks
from wctstyle.codes import ContentCode, Part, Result, Rgb, codes_cache, shape_of
from wctstyle.cutout import Content, Cutout, cut_out, pixels_of
from wctstyle.encoder import CELL
from wctstyle.grading import Photo
from wctstyle.laps import Laps
from wctstyle.large import Large, large_photo, prepared
from wctstyle.measuring import PLANS, STYLE, checked
from wctstyle.moments import Moments
from wctstyle.plan import Plan
from wctstyle.recent import Recent
from wctstyle.refining import by_tiles, check_memory, refine_tiles, refinement, to_refine
from wctstyle.regions import Region, is_painted, shares, weighted_styles
from wctstyle.rendering import Renderer, colored
from wctstyle.settings import DEFAULT_MODEL, Settings, TransformKind
from wctstyle.sizes import padded_side
from wctstyle.tiles import Tiling


class Stylizer(Large):
    """Applies any blend of styles to any photo with one model.

    Styles and contents are measured once and remembered by content (the last few), and so is where the last sets of
    styles meet, so a changed weight or strength only plans and decodes anew; a picture that is composed small (`look`)
    is encoded once more as well. Safe to share between threads. Same input,
    same output on one machine. Limits BLAS to one thread in this process (see `wctstyle.threads`).

    Raises:
        ConfigError: `model` is not in the table.
        WeightsError: its weights are missing or damaged.

    Example:
        >>> from wctstyle import samples
        >>> photo, style = (samples.picture(name).rgb[:64, :64] for name in ("cat", "marbling"))
        >>> painter = Stylizer("slim")
        >>> made = painter.stylize(photo, [(style, 2.0)], Settings(keep_faces=0.0))
        >>> made.image.shape, sorted(made.seconds)
        ((64, 64, 3), ['blend', 'encode', 'render'])
        >>> np.array_equal(painter.stylize(photo, style, Settings(strength=0.0)).image, photo)  # exactly the photo
        True
        >>> content, moments = painter.content(photo), painter.style(style).moments
        >>> painter.render(content, painter.plan(content, moments)).shape, painter.reconstruct(photo).shape
        ((64, 64, 3), (64, 64, 3))
        >>> other = painter.apart()  # the same model, with a cache of its own
        >>> painter.forget_photos()
        >>> painter.forget()
        >>> other.cache is painter.cache, painter.cache.total, other.cache.total
        (False, 0, 0)
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        tensors: Mapping[str, np.ndarray] | None = None,
        cache: Recent[Any] | None = None,
        tiling: Tiling | None = None,
    ) -> None:
        super().__init__(model, tensors=tensors, cache=cache, tiling=tiling)
        self._compiled: set[tuple[tuple[int, ...], str, int]] = set()
        self._compiling = threading.Lock()

    # --------------------------------------------------------------------------------------------------------- render

    def render(self, content: ContentCode, plan: Plan | Sequence[Part], settings: Settings = Settings()) -> Rgb:  # noqa: B008
        """Paint the content with ready plans; of the settings those that a plan does not hold count."""
        parts = [Part(plan)] if isinstance(plan, Plan) else plan
        return colored(self._renderer.paint(content, parts, settings), content.photo, parts, settings)

    def apart(self) -> Self:
        """Return the same with caches of its own, so that photos that are seen once push out none of others."""
        other = copy.copy(self)
        other.cache, other._plans = codes_cache(), Recent(PLANS)
        other._renderer = Renderer(other._programs, other.model, other.cache)
        return other

    def forget_photos(self) -> None:
        """Drop what is kept of photos, for jobs that see each once. What is kept of styles stays."""
        self.cache.clear(lambda key: isinstance(key, tuple) and key[0] == STYLE)

    def forget(self) -> None:
        """Drop what is encoded and compiled; it is made again when it is needed."""
        self.cache.clear()
        self._plans.clear()
        self._programs.forget()
        with self._compiling:
            self._compiled.clear()
        if "_optimizer" in self.__dict__:
            self._optimizer.forget()

    def reconstruct(self, image: Rgb) -> Rgb:
        """Encode and decode with nothing mapped: what the decoder alone makes of a picture, "h w 3" in [0, 1].

        Raises:
            ImageError: a picture of the wrong shape, type or range.
        """
        content = self.content(image, texture=0.0)
        return np.clip(self._programs.decoded(content.code), 0, 1)[0, : content.height, : content.width]

    def stylize(
        self,
        content: Content | ContentCode | images.Raster,
        styles: Any,
        settings: Settings = Settings(),  # noqa: B008
        *,
        refining: Callable[[int, int], None] = lambda step, steps: None,
    ) -> Result:
        """Stylise `content` after one style, a blend of several, or regions of it after styles of their own.

        `styles` is a style (RGB in [0, 1], what `style` returns, or a `regions.Style` with a mask), a list or
        tuple of styles, each alone or with its weight (style, weight), or one of `Region`. New pictures are encoded
        side by side: convolutions between few channels keep one core busy.
        Of a `Picture` with transparency only what is visible is measured and painted (`wctstyle.cutout`).
        `seconds` of the result has the parts encode, blend, render and, where there is one, refine; `refining` is told
        now and then which step of how many that is at.

        Raises:
            ConfigError: no styles, a bad weight, several regions without a mask, or a code of another model.
            ImageError: a picture or mask of the wrong shape, type or range, or a size that takes more memory to refine
                than is free; nothing has been painted then.
            NonFiniteError: the result is not finite.
        """
        by_rows = isinstance(settings, Settings) and settings.photo
        if (large := large_photo(content, every=by_rows)) is not None:
            whole, rows = np.empty((*large.shape, 3), np.float32), 0

            def write(image: Rgb) -> None:
                nonlocal rows
                whole[rows : rows + len(image)] = image
                rows += len(image)

            return replace(self.stylize_large(large, styles, settings, write, refining=refining), image=whole)
        content = content.picture() if isinstance(content, images.Raster) else content
        regions, settings, paints = prepared(styles, settings)
        cutout = content.cutout if isinstance(content, ContentCode) else cut_out(content)
        if cutout is not None:
            regions = cutout.regions(regions)
        code = content if isinstance(content, ContentCode) else None
        photo = code.photo if code else images.as_array(pixels_of(cutout or content), "content picture")
        alone = None if cutout is None else cutout.alone()
        shape, laps = shape_of(photo), Laps()
        if shape is not None and settings.refine and settings.strength:
            check_memory(self._optimizer, alone or photo, regions, settings)
            laps.end("refine")
        if settings.strength and any(region.colors_in(settings) == "match" for region in regions):
            opacity = None if cutout is None else cutout.opacity
            regions = self.matched(regions, checked(photo, "content picture"), settings, opacity)
            laps.end("encode")
        small = looks.small_sides(shape, settings.look) if shape is not None and settings.strength else None
        ahead = self._compile_ahead(shape, regions, settings.transform) if paints else None
        if small is not None:
            photo = checked(photo, "content picture")
            made = self._enlarged(alone or photo, small, regions, settings, refining=refining, ahead=ahead)
        else:
            given = code or cutout or (content if isinstance(content, images.Picture) else photo)
            made = self._at_once(given, regions, settings, refining=refining, ahead=ahead)
        laps.include(made.seconds)
        return Result(
            made.image if cutout is None else cutout.pasted(made.image),
            made.parts,
            laps.seconds,
            made.first_of_size or ahead is not None,
        )

    def _at_once(
        self,
        content: Content | ContentCode,
        regions: Sequence[Region],
        settings: Settings,
        *,
        refining: Callable[[int, int], None],
        ahead: Future[None] | None,
    ) -> Result:
        """Paint a picture in one pass."""
        laps = Laps()

        def encoded() -> ContentCode:
            code = self._encoded(content, regions, settings)
            if settings.keep_faces and settings.strength:
                _ = code.faces  # here, beside the encoding
            jax.block_until_ready(code.code)
            return code

        waiting = self._beside.submit(encoded)
        styled = self._measured(regions)
        code = waiting.result()
        laps.end("encode")
        targets = jax.block_until_ready(self._targets(styled, settings.blend))
        laps.end("blend")
        parts = self._parts(code, regions, targets, settings) if settings.strength else ()
        if not parts:
            return Result(code.photo.copy(), (), laps.seconds)
        if ahead is not None:
            ahead.result()
        out = self.render(code, parts, settings)
        laps.end("render")
        if settings.refine:
            faces = code.faces if settings.keep_faces else None
            whole = [replace(region, styles=blend) for region, blend in zip(regions, styled, strict=True)]
            out = self._refined(
                out, code.cutout.alone() if code.cutout else code.photo, faces, whole, parts, settings, refining
            )
            laps.end("refine")
        return Result(out, parts, laps.seconds)

    def _parts(
        self, code: ContentCode, regions: Sequence[Region], targets: Sequence[Moments | None], settings: Settings
    ) -> tuple[Part, ...]:
        """Plan every region that has a style."""
        parts = []
        for region, share, target in zip(regions, shares(regions, code.height, code.width), targets, strict=True):
            if target is not None and region.strength:
                spread = None if share is None else code.padded(share)[None, :, :, None]
                plan = self.plan(code, target, transform=settings.transform, share=spread)
                parts.append(Part(plan, spread, region.dials))
        return tuple(parts)

    def _enlarged(
        self,
        content: Rgb | Cutout,
        small: tuple[int, int],
        regions: Sequence[Region],
        settings: Settings,
        *,
        refining: Callable[[int, int], None],
        ahead: Future[None] | None,
    ) -> Result:
        """Compose a picture at the sides `small`, enlarge it and paint it once more (`wctstyle.look`)."""
        laps, photo = Laps(), pixels_of(content)
        regions = [replace(region, styles=weighted_styles(region.styles)) for region in regions]
        height, width = small
        shrunken = images.resize_planes(photo, height=height, width=width)
        reduced = content.resized(height, width) if isinstance(content, Cutout) else shrunken
        whole = Photo.of(content)
        inside = whole.small_regions(regions, height, width)
        base = self._composed(reduced, inside, max(small) / max(photo.shape[:2]), settings)
        if not base.parts:
            return Result(photo.copy(), (), base.seconds, base.first_of_size)
        laps.include(base.seconds)
        laps.end("render")  # what scaling took
        second = self._repainting(whole, base, reduced, shrunken, regions, inside, settings)
        if ahead is not None:
            ahead.result()
        second.plan()
        laps.end("encode")
        out = np.concatenate(list(second.rows()))
        everything = slice(0, out.shape[0]), slice(0, out.shape[1])
        parts = second.parts(everything)
        laps.end("render")
        if settings.refine:
            out = self._refined(out, content, second.face_map(everything), regions, parts, settings, refining)
            laps.end("refine")
        return Result(out, tuple(parts), laps.seconds, base.first_of_size)

    def _compile_ahead(
        self, shape: tuple[int, int] | None, regions: Sequence[Region], kind: TransformKind
    ) -> Future[None] | None:
        """Compile what plans and paints a new size beside the encoding; None where that has been done."""
        if shape is None:
            return None  # the encoding will say what is wrong with it
        if max(map(padded_side, shape)) > self.tiling_of(shape).tile:
            return None  # the first tile compiles what all others use
        sides = tuple(padded_side(side) // CELL for side in shape)
        painted = [region for region in regions if is_painted(region)]
        masked = len(painted) if any(region.mask is not None for region in regions) else 0
        with self._compiling:
            if (sides, kind, masked) in self._compiled:
                return None
            self._compiled.add((sides, kind, masked))

        def run() -> None:
            nothing = self._programs.nothing
            matrix, bias = nothing
            moments = Moments(jax.device_put(np.float32(1)), bias, matrix)
            self._programs.plan(moments, moments, own=moments, kind=kind)
            code = jax.device_put(np.zeros((1, *sides, len(bias)), np.float32))
            amounts = [np.zeros((1, *sides, 1), np.float32)] * masked if masked else [0.0]
            self._programs.painted(code, [nothing] * len(amounts), amounts)

        return self._beside.submit(run)

    def _refined(
        self,
        image: Rgb,
        content: Rgb | Cutout,
        faces: Float[np.ndarray, "H W"] | None,
        regions: Sequence[Region],
        parts: Sequence[Part],
        settings: Settings,
        refining: Callable[[int, int], None],
    ) -> Rgb:
        """Go on from a finished pass by a few steps of descent at one scale."""
        photo: Rgb = pixels_of(content)
        if faces is not None:
            faces = faces[: photo.shape[0], : photo.shape[1]]
        wanted = to_refine(image.shape, regions, settings)
        if not wanted:
            return image
        if by_tiles(image.shape):
            with images.Scratch(image.shape[:2]) as painted:
                painted[slice(0, image.shape[0]), slice(0, image.shape[1])] = image
                refine_tiles(
                    self._optimizer, Photo.of(content), painted, image, regions, settings,
                    lambda part: None if faces is None else faces[part], refining,
                )  # fmt: skip
            return colored(image, photo, parts, settings)
        chosen = refinement(image.shape, replace(settings, keep_faces=0.0 if faces is None else settings.keep_faces))
        for iterate in self._optimizer.run(content, wanted, chosen, init=image, faces=faces):
            image = iterate.image
            refining(iterate.step, iterate.steps)
        return colored(image, photo, parts, settings)


def stylize(
    content: Rgb,
    styles: Rgb | Sequence[Rgb | tuple[Rgb, float]],
    *,
    strength: float = 1.0,
    model: str = DEFAULT_MODEL,
    **settings: Any,
) -> Rgb:
    """Stylise one picture, RGB in [0, 1] in and out. For several, keep a `Stylizer`.

    `settings` are the fields of `Settings`.

    Example:
        >>> from wctstyle import samples
        >>> photo, style = (samples.picture(name).rgb[:64, :64] for name in ("cat", "marbling"))
        >>> stylize(photo, style, strength=0.8, keep_faces=0.0).shape
        (64, 64, 3)
    """
    return Stylizer(model).stylize(content, styles, Settings(strength=strength, **settings)).image
