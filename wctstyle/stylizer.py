"""Stylizer: measure, plan, render, with what was measured kept."""

from __future__ import annotations

import functools
import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Float

from wctstyle import color, images
from wctstyle import look as looks
from wctstyle import plan as core
from wctstyle import weights as weight_files
from wctstyle.codes import ContentCode, Rgb, StyleCode
from wctstyle.compilation import enable_compilation_cache
from wctstyle.encoder import CELL, MODELS
from wctstyle.errors import ConfigError, ImageError, NonFiniteError
from wctstyle.moments import Affine, Moments
from wctstyle.optimizer.settings import LEAST_SIDE, OptimizeSettings
from wctstyle.plan import Plan
from wctstyle.programs import Programs
from wctstyle.recent import Recent
from wctstyle.settings import (
    DEFAULT_MODEL,
    DEFAULT_TEXTURE,
    MAX_SIDE,
    BlendKind,
    Settings,
    TransformKind,
    optimizer_model,
)
from wctstyle.sizes import counted_side, pad_to_family, padded, padded_side
from wctstyle.texture import textured
from wctstyle.threads import limit_lapack_threads
from wctstyle.transforms import Barycenters
from wctstyle.types import Features

if TYPE_CHECKING:
    from wctstyle.optimizer import Optimizer

CONTENT_BYTES = 256 * 2**20
"""What encoded photos may take; the newest is kept however large it is. One of 512 x 512 takes 8 MiB with `slim`."""

STYLE_BYTES = 256 * 2**20
BLEND_CACHE = 8
ENCODED_AT_ONCE = 4

REFINE_CONTENT = 0.05
"""What the photo weighs while a picture is refined, and four times as much with detail 1."""

FACE_DETAIL = 0.5
"""How much of what the decoder loses of a face is put back, per `keep_faces`; all of it would look pasted in."""

NEAR_COLOR = 0.05
"""Distance of mean colours, in units of the range, within which a photo may be its own style. Between the sample photos
and paintings the least is more."""

DETAIL_RADIUS = 0.01
"""Standard deviation of the blur that parts fine light and dark from broad, as a share of the picture's long side."""


@dataclass(frozen=True)
class Result:
    """A stylised picture, its plan (None without a style) and the seconds each part took."""

    image: Rgb
    plan: Plan | None
    seconds: Mapping[str, float]


def _with_own_colors(image: Rgb, photo: Rgb, settings: Settings) -> Rgb:
    """Give a finished picture back as much of the photo's colours as `settings.color` leaves out."""
    if settings.color == 1:
        return image
    return color.original_colors(image, photo, share=1 - settings.color).astype(np.float32)


def _kept(settings: Settings, plan: Plan) -> float:
    """Return how much of what the decoder loses of the photo is given back, 0..1: all of it at strength 0."""
    full = min(settings.strength, 1.0)
    return 1 - full + full * float(plan.likeness)


def content_hash(rgb: Rgb) -> str:
    """SHA-256 of a picture's shape and pixels."""
    digest = hashlib.sha256(repr((rgb.shape, str(rgb.dtype))).encode())
    digest.update(np.ascontiguousarray(rgb).data)
    return digest.hexdigest()


def _checked(rgb: Any, what: str) -> Rgb:
    array = images.checked_rgb(rgb, what)
    if max(array.shape[:2]) > MAX_SIDE:
        raise ImageError(
            f"{what}: is {array.shape[1]}x{array.shape[0]} pixels, the longest side rendered is {MAX_SIDE}; "
            "make it smaller (--size on the command line)"
        )
    return array


def _shape(content: Any) -> tuple[int, int] | None:
    """Return the height and width of a photo or its code; None for what is no picture."""
    shape = np.shape(content.photo if isinstance(content, ContentCode) else content)
    return shape[:2] if len(shape) == 3 and 0 < min(shape) <= max(shape) <= MAX_SIDE else None


class Stylizer:
    """Applies any blend of styles to any photo with one model.

    Styles and contents are measured once and remembered by content (the last few), and so is where the last sets of
    styles meet, so a changed weight or strength only plans and decodes anew. Safe to share between threads. Same input,
    same output on one machine. Limits BLAS to one thread in this process (see `wctstyle.threads`).

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
        self._lost: Recent[np.ndarray] = Recent(CONTENT_BYTES, lambda lost: lost.nbytes)
        self._faces: Recent[tuple[Features, np.ndarray]] = Recent(
            CONTENT_BYTES, lambda drawn: sum(int(part.nbytes) for part in drawn)
        )
        self._styles: Recent[StyleCode] = Recent(STYLE_BYTES, lambda code: code.pixels.nbytes)
        self._barycenters: Recent[Barycenters] = Recent(BLEND_CACHE)
        self._compiled: set[tuple[tuple[int, ...], str]] = set()
        self._compiling = threading.Lock()
        self._beside = ThreadPoolExecutor(ENCODED_AT_ONCE, thread_name_prefix="wctstyle-encode")

    @property
    def traces(self) -> dict[str, int]:
        """How often each program was traced: one for each size of the family that was used."""
        return self._programs.traces

    # -------------------------------------------------------------------------------------------------------- measure

    def style(self, image: Rgb) -> StyleCode:
        """Measure a style picture (RGB in [0, 1], at the size its strokes are to have)."""
        rgb = _checked(image, "style picture")
        key = content_hash(rgb)

        def make() -> StyleCode:
            _, moments = self._programs.encode(pad_to_family(rgb), *rgb.shape[:2])
            return StyleCode(moments, rgb, key)

        return self._styles.get(key, make)

    def measure(self, image: Rgb) -> Moments:
        """Return the moments of a picture's code."""
        return self.style(image).moments

    def content(self, image: Rgb, *, texture: float = DEFAULT_TEXTURE) -> ContentCode:
        """Encode a content picture (RGB in [0, 1]) once; all settings but `texture` reuse it."""
        rgb = _checked(image, "content picture")
        key = content_hash(rgb)

        def make() -> ContentCode:
            height, width = rgb.shape[:2]
            code, moments = self._programs.encode(pad_to_family(textured(rgb, texture)), height, width)
            return ContentCode(code, moments, pad_to_family(rgb), height, width, texture, key)

        return self._contents.get((key, texture), make)

    # ----------------------------------------------------------------------------------------------------------- plan

    def target(self, styles: Sequence[tuple[StyleCode, float]], *, kind: BlendKind = "barycenter") -> Moments | None:
        """Blend styles by their weights (any scale; normalised here). None if all weights are zero: no style.

        Raises:
            ConfigError: a negative or not finite weight, or no styles.
        """
        if not styles:
            raise ConfigError("no style given: give at least one")
        for number, (_, weight) in enumerate(styles, start=1):
            if not np.isfinite(weight) or weight < 0:
                raise ConfigError(f"weight of style {number} is {weight}, must be a number >= 0")
        used = [(code, weight) for code, weight in styles if weight > 0]
        if not used:
            return None
        if len(used) == 1:
            return used[0][0].moments
        shares = np.array([weight for _, weight in used], np.float64)
        shares /= shares.max()  # first, so that huge weights do not overflow in the sum
        shares /= shares.sum()
        moments = [code.moments for code, _ in used]
        if kind == "barycenter":
            known = self._barycenters.get(tuple(code.key for code, _ in used), lambda: self._programs.meet(moments))
            return self._programs.between(known, shares.astype(np.float32))
        return self._programs.blend(moments, shares.astype(np.float32), kind=kind)

    def plan(self, content: ContentCode, target: Moments, *, transform: TransformKind = "mk") -> Plan:
        """Return the plan that takes this content to `target`.

        Its likeness is told from the photo without texture. That takes another measurement, which is made only where
        the mean colours of photo and target are near. They are the pixels' own: in a plain photo, texture is all the
        variance there is, and would hide that the two are the same.
        """
        own = content.moments
        if content.texture:
            apart = content.mean_color - np.asarray(core.colors(target).mean)
            if np.linalg.norm(apart) < NEAR_COLOR:
                own = self.measure(np.ascontiguousarray(content.photo))
        return self._programs.plan(content.moments, target, own=own, kind=transform)

    # --------------------------------------------------------------------------------------------------------- render

    def render(self, content: ContentCode, plan: Plan, settings: Settings = Settings()) -> Rgb:  # noqa: B008
        """Paint the content with a ready plan; of the settings those that a plan does not hold count."""
        strength, full = settings.strength, min(settings.strength, 1.0)
        if settings.keep_faces and full and content.faces is not None:
            share: Any = settings.keep_faces * full * content.faces[None, :, :, None]
            drawn, lost = self._drawn_faces(content.original or content, plan.palette)
            image = (
                self._programs.painted(content.code, plan.affine, strength, drawn, share) + FACE_DETAIL * share * lost
            )
        else:
            share = 0.0
            image = self._programs.painted(content.code, plan.affine, strength)
        kept = _kept(settings, plan) * (1 - share)
        if np.any(kept):
            image = image + kept * self._lost_of(content)
        if settings.detail and full:
            image = image + settings.detail * full * (1 - kept) * self._fine(content)
        image = np.clip(image, 0, 1)[0, : content.height, : content.width]
        if not np.isfinite(image).all():
            raise NonFiniteError("the stylised picture is not finite", level=None)
        return _with_own_colors(image, content.photo, settings)

    def _drawn_faces(self, content: ContentCode, palette: Affine) -> tuple[Features, Float[np.ndarray, "1 H W 3"]]:
        """Return what faces are drawn towards: the code of the photo in the target's colours, and what that loses.

        Both are kept for the last few palettes, so that a changed strength does not make them again. What the decoder
        makes of the recoloured photo is taken to be what it makes of the photo, recoloured: that spares a decoding.
        """
        matrix, bias = np.asarray(palette.matrix), np.asarray(palette.bias)

        def make() -> tuple[Features, Float[np.ndarray, "1 H W 3"]]:
            recolored, decoded = (
                np.clip(pixels @ matrix.T + bias, 0, 1)
                for pixels in (content.pixels, content.pixels - self._lost_of(content))
            )
            return self._programs.encode(recolored, content.height, content.width)[0], recolored - decoded

        return self._faces.get((content.key, content.texture, matrix.tobytes(), bias.tobytes()), make)

    def _lost_of(self, content: ContentCode) -> Float[np.ndarray, "1 H W 3"]:
        """Return what the decoder loses of a photo: photo - D(E(photo))."""
        return self._lost.get(
            (content.key, content.texture), lambda: content.pixels - self._programs.decoded(content.code)
        )

    def _fine(self, content: ContentCode) -> Float[np.ndarray, "1 H W 1"]:
        """Return the fine light and dark of what the decoder loses, broad differences taken off."""
        from scipy.ndimage import gaussian_filter

        lost = color.luma(self._lost_of(content)[0]).astype(np.float32)
        radius = DETAIL_RADIUS * max(content.height, content.width)
        return (lost - gaussian_filter(lost, radius, mode="nearest"))[None, :, :, None]

    def reconstruct(self, image: Rgb) -> Rgb:
        """Encode and decode with nothing mapped: what the decoder alone makes of a picture."""
        content = self.content(image, texture=0.0)
        return np.clip(self._programs.decoded(content.code), 0, 1)[0, : content.height, : content.width]

    def stylize(
        self,
        content: Rgb | ContentCode,
        styles: Rgb | StyleCode | Sequence[Rgb | StyleCode | tuple[Rgb | StyleCode, float]],
        settings: Settings = Settings(),  # noqa: B008
        *,
        refining: Callable[[int, int], None] = lambda step, steps: None,
    ) -> Result:
        """Stylise `content` after one style or a weighted blend of several.

        What is new among the pictures is encoded side by side: convolutions between few channels keep one core busy.
        `seconds` of the result has the parts encode, blend, render and, where there is one, refine; `refining` is told
        now and then which step of how many that is at.

        Raises:
            ConfigError: no styles, or a bad weight.
            ImageError: a picture of the wrong shape, type or range.
            NonFiniteError: the result is not finite.
        """
        clock, seconds = time.perf_counter(), {}

        def lap(name: str) -> None:
            nonlocal clock
            now = time.perf_counter()
            seconds[name] = now - clock
            clock = now

        shape = _shape(content)
        small = looks.small_sides(shape, settings.look) if shape is not None and settings.strength else None
        ahead = self._compile_ahead(content, settings.transform) if settings.strength else None
        if small is not None:
            photo = content.photo if isinstance(content, ContentCode) else _checked(content, "content picture")
            return self._enlarged(photo, small, styles, settings, refining=refining, ahead=ahead)

        def encoded() -> ContentCode:
            code = self._at_texture(content, settings.texture)
            if settings.keep_faces and settings.strength:
                _ = code.faces  # here, beside the encoding
            jax.block_until_ready(code.code)
            return code

        waiting = self._beside.submit(encoded)
        styled = list(self._beside.map(self._weighted, self._listed(styles)))
        code = waiting.result()
        lap("encode")
        target = jax.block_until_ready(self.target(styled, kind=settings.blend))
        lap("blend")
        if target is None or not settings.strength:
            return Result(code.photo.copy(), None, seconds)
        if ahead is not None:
            ahead.result()
        plan = self.plan(code, target, transform=settings.transform)
        out = self.render(code, plan, settings)
        lap("render")
        if settings.refine:
            faces = code.faces if settings.keep_faces else None
            out = self._refined(out, code.photo, faces, styled, settings, refining)
            lap("refine")
        return Result(out, plan, seconds)

    def _enlarged(
        self,
        photo: Rgb,
        small: tuple[int, int],
        styles: Any,
        settings: Settings,
        *,
        refining: Callable[[int, int], None],
        ahead: Future[None] | None,
    ) -> Result:
        """Compose a picture at the sides `small`, enlarge it and paint it once more (`wctstyle.look`)."""
        start = time.perf_counter()
        height, width = photo.shape[:2]
        ratio = max(small) / max(height, width)
        whole = [item if isinstance(item, tuple) else (item, 1.0) for item in self._listed(styles)]
        fitted = [(looks.shrunk(self._style_pixels(style), ratio), weight) for style, weight in whole]
        reduced = looks.scaled(photo, *small)
        base = self.stylize(reduced, fitted, replace(settings, color=1.0, refine=0, look=0))
        if base.plan is None:
            return Result(photo.copy(), None, base.seconds)
        seconds = dict(base.seconds)
        seconds["render"] += time.perf_counter() - start - sum(seconds.values())  # what scaling took

        clock = time.perf_counter()
        styled = list(self._beside.map(self._weighted, whole))
        lifted = looks.enlarged(base.image, photo, _kept(settings, base.plan))
        pixels = pad_to_family(lifted)
        code, moments = jax.block_until_ready(self._programs.encode(pixels, height, width))
        keeps = settings.keep_faces and self.content(reduced, texture=settings.texture).faces is not None
        original = self.content(photo, texture=settings.texture) if keeps else None
        second = ContentCode(code, moments, pixels, height, width, 0.0, content_hash(lifted), original)
        seconds["encode"] += time.perf_counter() - clock

        clock = time.perf_counter()
        target = self.target(styled, kind=settings.blend)
        assert target is not None
        if ahead is not None:
            ahead.result()
        plan = self.plan(second, target, transform=settings.transform)._replace(palette=base.plan.palette)
        painting = replace(settings, color=1.0, keep_faces=settings.keep_faces if keeps else 0.0)
        out = looks.with_broad(self.render(second, plan, painting), base.image)
        out = _with_own_colors(out, photo, settings)
        seconds["render"] += time.perf_counter() - clock
        if settings.refine:
            clock = time.perf_counter()
            faces = None if original is None else original.faces
            out = self._refined(out, photo, faces, styled, settings, refining)
            seconds["refine"] = time.perf_counter() - clock
        return Result(out, base.plan, seconds)

    def _compile_ahead(self, content: Rgb | ContentCode, kind: TransformKind) -> Future[None] | None:
        """Compile what plans and paints a new size beside the encoding; None where that has been done."""
        shape = _shape(content)
        if shape is None:
            return None  # the encoding will say what is wrong with it
        sides = tuple(padded_side(side) // CELL for side in shape)
        with self._compiling:
            if (sides, kind) in self._compiled:
                return None
            self._compiled.add((sides, kind))

        def run() -> None:
            nothing = self._programs.nothing
            matrix, bias = nothing
            moments = Moments(jax.device_put(np.float32(1)), bias, matrix)
            self._programs.plan(moments, moments, own=moments, kind=kind)
            self._programs.painted(
                jax.device_put(np.zeros((1, *sides, len(bias)), np.float32)), self._programs.nothing, 0.0
            )

        return self._beside.submit(run)

    @functools.cached_property
    def _optimizer(self) -> Optimizer:
        from wctstyle.optimizer import Optimizer  # here, as a first picture need not wait for optax

        network = optimizer_model(self.model)
        return Optimizer(network, tensors=self._programs.encoder_tensors if network == self.model else None)

    def _refined(
        self,
        image: Rgb,
        photo: Rgb,
        faces: Float[np.ndarray, "H W"] | None,
        styles: Sequence[tuple[StyleCode, float]],
        settings: Settings,
        refining: Callable[[int, int], None],
    ) -> Rgb:
        """Go on from a finished pass by a few steps of descent at one scale.

        `detail` is how much more the photo weighs. A single row or column has nothing to refine.
        """
        if min(image.shape[:2]) < LEAST_SIDE:
            return image
        if faces is not None:
            faces = faces[: photo.shape[0], : photo.shape[1]]
        chosen = OptimizeSettings(
            steps=settings.refine,
            strength=min(settings.strength, 1.0),
            blend=settings.blend,
            statistic="moments",
            content_weight=REFINE_CONTENT * 4**settings.detail,
            keep_faces=0.0 if faces is None else settings.keep_faces,
            smallest=max(16, *image.shape),
        )
        pictures = [(padded(style.pixels, counted_side), weight) for style, weight in styles if weight > 0]
        for iterate in self._optimizer.run(photo, pictures, chosen, init=image, faces=faces):
            image = iterate.image
            refining(iterate.step, iterate.steps)
        return _with_own_colors(image, photo, settings)

    def _at_texture(self, content: Rgb | ContentCode, texture: float) -> ContentCode:
        """Encode a photo, or one that is encoded already with another texture."""
        if not isinstance(content, ContentCode):
            return self.content(content, texture=texture)
        if content.texture == texture:
            return content
        return self.content(np.ascontiguousarray(content.photo), texture=texture)

    @staticmethod
    def _listed(styles: Any) -> list[Any]:
        if isinstance(styles, StyleCode) or (isinstance(styles, np.ndarray) and styles.ndim == 3):
            return [styles]
        return list(styles)

    @staticmethod
    def _style_pixels(style: Rgb | StyleCode) -> Rgb:
        return style.pixels if isinstance(style, StyleCode) else _checked(style, "style picture")

    def _weighted(self, item: Any) -> tuple[StyleCode, float]:
        style, weight = item if isinstance(item, tuple) else (item, 1.0)
        code = style if isinstance(style, StyleCode) else self.style(style)
        jax.block_until_ready(code.moments)  # here, so that what runs in several threads runs at the same time
        return code, float(weight)


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
    """
    return Stylizer(model).stylize(content, styles, Settings(strength=strength, **settings)).image
