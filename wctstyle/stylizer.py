"""Stylizer: measure, plan, render. The one room that owns jit and caches."""

from __future__ import annotations

import functools
import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import platformdirs
from flax import nnx
from jaxtyping import Float

from wctstyle import color, images
from wctstyle import plan as core
from wctstyle import weights as weight_files
from wctstyle.encoder import CELL, MODELS
from wctstyle.errors import ConfigError, ImageError, NonFiniteError
from wctstyle.faces import face_map
from wctstyle.model import build, extract
from wctstyle.moments import Affine, Moments
from wctstyle.optimizer.settings import LEAST_SIDE, OptimizeSettings
from wctstyle.plan import Plan
from wctstyle.recent import Recent
from wctstyle.settings import (
    DEFAULT_MODEL,
    DEFAULT_OPTIMIZER_MODEL,
    DEFAULT_TEXTURE,
    MAX_SIDE,
    BlendKind,
    Settings,
    TransformKind,
)
from wctstyle.texture import textured
from wctstyle.threads import limit_lapack_threads
from wctstyle.transforms import Barycenters, barycenters, blend
from wctstyle.types import Features

if TYPE_CHECKING:
    from wctstyle.optimizer import Optimizer

Rgb = Float[np.ndarray, "h w 3"]

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


def padded_side(side: int) -> int:
    """Round a side up to the family of sizes that are traced: steps of 64 to 512, 128 to 1024, then 256."""
    step = 64 if side <= 512 else 128 if side <= 1024 else 256
    return -(-side // step) * step


SMALLEST_SIDE = 32
"""Sides below this count their reflected padding as well: a handful of positions has no moments to speak of."""


def counted_side(side: int) -> int:
    """Return how many rows or columns of a padded picture count in its moments."""
    return max(side, SMALLEST_SIDE)


def _padded(rgb: Rgb, to: Callable[[int], int]) -> Rgb:
    """Reflect the picture at its bottom and right, each side up to what `to` makes of it."""
    pads = [(0, to(side) - side) for side in rgb.shape[:2]]
    return np.pad(np.asarray(rgb, np.float32), (*pads, (0, 0)), mode="reflect")


def pad_to_family(rgb: Rgb) -> Float[np.ndarray, "1 H W 3"]:
    """Reflect the picture at its bottom and right up to the next size of the family."""
    return _padded(rgb, padded_side)[None]


@dataclass(frozen=True)
class StyleCode:
    """What is kept of a style picture: its moments, and its pixels for `refine`."""

    moments: Moments
    pixels: Rgb
    key: str


@dataclass(frozen=True)
class ContentCode:
    """A content picture's code and moments, its pixels padded to the size family, and its own size in pixels.

    The code is of the picture with `texture` added to its plain areas; the pixels are the picture's own.
    """

    code: Features
    moments: Moments
    pixels: Float[np.ndarray, "1 H W 3"]
    height: int
    width: int
    texture: float
    key: str

    @property
    def nbytes(self) -> int:
        """Memory it takes, in bytes; what the decoder loses of it, kept beside it, counted too."""
        return int(self.code.nbytes) + 2 * self.pixels.nbytes

    @property
    def photo(self) -> Rgb:
        """The picture itself, without padding."""
        return self.pixels[0, : self.height, : self.width]

    @functools.cached_property
    def mean_color(self) -> Float[np.ndarray, "3"]:
        """Mean of the pixels that count in its moments."""
        counted = self.pixels[0, : counted_side(self.height), : counted_side(self.width)]
        return counted.mean(axis=(0, 1))

    @functools.cached_property
    def faces(self) -> Float[np.ndarray, "H W"] | None:
        """Where its faces are, 0..1, padded as it is (see `wctstyle.faces`); None without any."""
        found = face_map(self.photo)
        padding = [
            (0, whole - own) for whole, own in zip(self.pixels.shape[1:3], (self.height, self.width), strict=True)
        ]
        return None if found is None else np.pad(found, padding, mode="edge")


@dataclass(frozen=True)
class Result:
    """A stylised picture, its plan (None without a style) and the seconds each part took."""

    image: Rgb
    plan: Plan | None
    seconds: Mapping[str, float]


def _of_cells(share: Float[np.ndarray, "1 H W 1"]) -> Float[np.ndarray, "1 h w 1"]:
    """Average a map over the cells of a code."""
    n, height, width, _ = share.shape
    cells = share.reshape(n, height // CELL, CELL, width // CELL, CELL, 1)
    return cells.mean(axis=(2, 4), dtype=np.float32)


def _with_own_colors(image: Rgb, content: ContentCode, settings: Settings) -> Rgb:
    """Give a finished picture back as much of the photo's colours as `settings.color` leaves out."""
    if settings.color == 1:
        return image
    return color.original_colors(image, content.photo, share=1 - settings.color).astype(np.float32)


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


def enable_compilation_cache() -> None:
    """Keep compiled programs in the user's cache folder, unless a folder is already configured."""
    if getattr(jax.config, "jax_compilation_cache_dir") is None:  # noqa: B009 (unknown to type checkers)
        folder = Path(platformdirs.user_cache_dir("wctstyle")) / "jax"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


COMPILER_OPTIONS = {"xla_backend_optimization_level": 1}
"""Light optimisation: the work is in the convolutions, which come compiled. On a CPU the two programs of a first
picture compile in two thirds of the time and run as fast."""


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
        floats = {name: np.asarray(tensor, np.float32) for name, tensor in tensors.items()}
        encoder, decoder = build(MODELS[model], jax.device_put(floats))  # together: one by one they would take 0.3 s
        encoder_def, self._encoder = nnx.split(encoder)
        self._encoder_def = encoder_def
        decoder_def, self._decoder = nnx.split(decoder)
        self._contents: Recent[ContentCode] = Recent(CONTENT_BYTES, lambda code: code.nbytes)
        self._lost: Recent[np.ndarray] = Recent(CONTENT_BYTES, lambda lost: lost.nbytes)
        self._faces: Recent[tuple[Features, np.ndarray]] = Recent(
            CONTENT_BYTES, lambda drawn: sum(int(part.nbytes) for part in drawn)
        )
        self._styles: Recent[StyleCode] = Recent(STYLE_BYTES, lambda code: code.pixels.nbytes)
        self._barycenters: Recent[Barycenters] = Recent(BLEND_CACHE)
        width = MODELS[model].code_width
        self._nothing = Affine(*jax.device_put((np.eye(width, dtype=np.float32), np.zeros(width, np.float32))))
        """The map that changes nothing."""
        self._compiled: set[tuple[tuple[int, ...], str]] = set()
        self._compiling = threading.Lock()
        self._beside = ThreadPoolExecutor(ENCODED_AT_ONCE, thread_name_prefix="wctstyle-encode")
        self.traces: dict[str, int] = {}
        """How often each program was traced: one for each size of the family that was used."""

        def counted(name: str, fn: Callable[..., Any], **options: Any) -> Callable[..., Any]:
            def traced(*args: Any, **kwargs: Any) -> Any:
                self.traces[name] = self.traces.get(name, 0) + 1
                return fn(*args, **kwargs)

            return jax.jit(traced, compiler_options=COMPILER_OPTIONS, **options)

        def encode(params: Any, image: Any, height: Any, width: Any) -> Any:
            return core.encode(nnx.merge(encoder_def, params), image, height, width)

        def render(params: Any, *args: Any) -> Any:
            return core.render(nnx.merge(decoder_def, params), *args)

        self._encode = counted("encode", encode)
        self._plan = counted("plan", core.plan, static_argnames="kind")
        self._render = counted("render", render)
        self._blend = counted("blend", blend, static_argnames="kind")
        self._meet = counted("meet", barycenters)
        self._between = counted("between", lambda known, shares: known.at(shares))

    # -------------------------------------------------------------------------------------------------------- measure

    def _encoded(self, pixels: Float[np.ndarray, "1 H W 3"], height: int, width: int) -> tuple[Features, Moments]:
        """Return the code and the moments of padded pixels, of which `height` x `width` are the picture's own."""
        return self._encode(self._encoder, pixels, counted_side(height), counted_side(width))

    def style(self, image: Rgb) -> StyleCode:
        """Measure a style picture (RGB in [0, 1], at the size its strokes are to have)."""
        rgb = _checked(image, "style picture")
        key = content_hash(rgb)

        def make() -> StyleCode:
            _, moments = self._encoded(pad_to_family(rgb), *rgb.shape[:2])
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
            code, moments = self._encoded(pad_to_family(textured(rgb, texture)), height, width)
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
            known = self._barycenters.get(tuple(code.key for code, _ in used), lambda: self._meet(moments))
            return self._between(known, shares.astype(np.float32))
        return self._blend(moments, shares.astype(np.float32), kind=kind)

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
        return self._plan(content.moments, target, own=own, kind=transform)

    # --------------------------------------------------------------------------------------------------------- render

    def render(self, content: ContentCode, plan: Plan, settings: Settings = Settings()) -> Rgb:  # noqa: B008
        """Paint the content with a ready plan; of the settings those that a plan does not hold count."""
        strength, full = settings.strength, min(settings.strength, 1.0)
        if settings.keep_faces and full and content.faces is not None:
            share: Any = settings.keep_faces * full * content.faces[None, :, :, None]
            drawn, lost = self._drawn_faces(content, plan.palette)
            image = self._painted(content.code, plan.affine, strength, drawn, share) + FACE_DETAIL * share * lost
        else:
            share = 0.0
            image = self._painted(content.code, plan.affine, strength)
        kept = (1 - full + full * float(plan.likeness)) * (1 - share)
        if np.any(kept):
            image = image + kept * self._lost_of(content)
        if settings.detail and full:
            image = image + settings.detail * full * (1 - kept) * self._fine(content)
        image = np.clip(image, 0, 1)[0, : content.height, : content.width]
        if not np.isfinite(image).all():
            raise NonFiniteError("the stylised picture is not finite", level=None)
        return _with_own_colors(image, content, settings)

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
            return self._encoded(recolored, content.height, content.width)[0], recolored - decoded

        return self._faces.get((content.key, content.texture, matrix.tobytes(), bias.tobytes()), make)

    def _painted(
        self,
        code: Features,
        step: Affine,
        strength: float,
        face_code: Features | None = None,
        share: Float[np.ndarray, "1 H W 1"] | None = None,
    ) -> Float[np.ndarray, "1 H W 3"]:
        """Run the one program that paints, with and without faces: a second one would have to be compiled too."""
        n, height, width, _ = code.shape
        cells = np.zeros((n, height, width, 1), np.float32) if share is None else _of_cells(share)
        drawn = code if face_code is None else face_code
        return np.asarray(self._render(self._decoder, code, step, strength, drawn, cells))

    def _decoded(self, code: Features) -> Float[np.ndarray, "1 H W 3"]:
        return self._painted(code, self._nothing, 0.0)

    def _lost_of(self, content: ContentCode) -> Float[np.ndarray, "1 H W 3"]:
        """Return what the decoder loses of a photo: photo - D(E(photo))."""
        return self._lost.get((content.key, content.texture), lambda: content.pixels - self._decoded(content.code))

    def _fine(self, content: ContentCode) -> Float[np.ndarray, "1 H W 1"]:
        """Return the fine light and dark of what the decoder loses, broad differences taken off."""
        from scipy.ndimage import gaussian_filter

        lost = color.luma(self._lost_of(content)[0]).astype(np.float32)
        radius = DETAIL_RADIUS * max(content.height, content.width)
        return (lost - gaussian_filter(lost, radius, mode="nearest"))[None, :, :, None]

    def reconstruct(self, image: Rgb) -> Rgb:
        """Encode and decode with nothing mapped: what the decoder alone makes of a picture."""
        content = self.content(image, texture=0.0)
        return np.clip(self._decoded(content.code), 0, 1)[0, : content.height, : content.width]

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

        ahead = None
        if settings.strength:
            ahead = self._compile_ahead(content, settings.transform)

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
            out = self._refined(out, code, styled, settings, refining)
            lap("refine")
        return Result(out, plan, seconds)

    def _compile_ahead(self, content: Rgb | ContentCode, kind: TransformKind) -> Future[None] | None:
        """Compile what plans and paints a new size beside the encoding; None where that has been done."""
        shape = np.shape(content.photo if isinstance(content, ContentCode) else content)
        if len(shape) != 3 or not 0 < min(shape) <= max(shape) <= MAX_SIDE:
            return None  # the encoding will say what is wrong with it
        sides = tuple(padded_side(side) // CELL for side in shape[:2])
        with self._compiling:
            if (sides, kind) in self._compiled:
                return None
            self._compiled.add((sides, kind))

        def run() -> None:
            matrix, bias = self._nothing
            moments = Moments(jax.device_put(np.float32(1)), bias, matrix)
            self._plan(moments, moments, own=moments, kind=kind)
            self._painted(jax.device_put(np.zeros((1, *sides, len(bias)), np.float32)), self._nothing, 0.0)

        return self._beside.submit(run)

    @functools.cached_property
    def _optimizer(self) -> Optimizer:
        from wctstyle.optimizer import Optimizer  # here, as a first picture need not wait for optax

        if self.model != DEFAULT_MODEL:
            return Optimizer(self.model, tensors=extract(nnx.merge(self._encoder_def, self._encoder), "encoder"))
        return Optimizer(DEFAULT_OPTIMIZER_MODEL)

    def _refined(
        self,
        image: Rgb,
        code: ContentCode,
        styles: Sequence[tuple[StyleCode, float]],
        settings: Settings,
        refining: Callable[[int, int], None],
    ) -> Rgb:
        """Go on from a finished pass by a few steps of descent at one scale.

        `detail` is how much more the photo weighs. A single row or column has nothing to refine.
        """
        if min(image.shape[:2]) < LEAST_SIDE:
            return image
        faces = code.faces if settings.keep_faces else None
        if faces is not None:
            faces = faces[: code.height, : code.width]
        chosen = OptimizeSettings(
            steps=settings.refine,
            strength=min(settings.strength, 1.0),
            blend=settings.blend,
            statistic="moments",
            content_weight=REFINE_CONTENT * 4**settings.detail,
            keep_faces=0.0 if faces is None else settings.keep_faces,
            smallest=max(16, *image.shape),
        )
        pictures = [(_padded(style.pixels, counted_side), weight) for style, weight in styles if weight > 0]
        for iterate in self._optimizer.run(code.photo, pictures, chosen, init=image, faces=faces):
            image = iterate.image
            refining(iterate.step, iterate.steps)
        return _with_own_colors(image, code, settings)

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
