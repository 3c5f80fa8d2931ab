"""Stylizer: measure, plan, render. The one room that owns jit and caches."""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import platformdirs
from flax import nnx
from jaxtyping import Float

from wctstyle import images
from wctstyle import plan as chain
from wctstyle import weights as weight_files
from wctstyle.encoder import MODELS
from wctstyle.errors import ConfigError, ImageError, NonFiniteError
from wctstyle.faces import face_map
from wctstyle.model import build, extract
from wctstyle.moments import Moments
from wctstyle.optimizer.settings import LEAST_SIDE, OptimizeSettings
from wctstyle.plan import Plan
from wctstyle.recent import Recent
from wctstyle.settings import (
    DEFAULT_DETAIL,
    DEFAULT_KEEP_FACES,
    GAINS,
    LEVELS,
    MAX_SIDE,
    BlendKind,
    Settings,
    map_kind,
)
from wctstyle.threads import limit_lapack_threads
from wctstyle.transforms import Barycenters, affine, barycenters, blend
from wctstyle.types import Features

if TYPE_CHECKING:
    from wctstyle.optimizer import Optimizer

Rgb = Float[np.ndarray, "h w 3"]

CONTENT_BYTES = 512 * 2**20
"""What encoded photos may take; the newest is kept however large it is. One of 512 x 512 takes 34 MiB with `slim`."""

STYLE_CACHE = 256
BLEND_CACHE = 8
ENCODED_AT_ONCE = 4
_GAINS = np.array(GAINS, np.float32)

REFINE_CONTENT = 0.05
"""What the photo weighs while a picture is refined, per `detail` at its default; docs/training.md has the figures."""


def padded_side(side: int) -> int:
    """Round a side up to the family of sizes that are traced: steps of 64 to 512, 128 to 1024, then 256."""
    step = 64 if side <= 512 else 128 if side <= 1024 else 256
    return -(-side // step) * step


SMALLEST_SIDE = 32
"""Sides below this count their reflected padding as well: a handful of positions has no moments to speak of."""


def counted_side(side: int) -> int:
    """Return how many rows or columns of a padded picture count in its moments."""
    return max(side, SMALLEST_SIDE)


def pad_to_family(rgb: Rgb) -> Float[np.ndarray, "1 H W 3"]:
    """Reflect the picture at its bottom and right up to the next size of the family."""
    height, width = rgb.shape[:2]
    pads = ((0, padded_side(height) - height), (0, padded_side(width) - width), (0, 0))
    return np.pad(np.asarray(rgb, np.float32), pads, mode="reflect")[None]


@dataclass(frozen=True)
class StyleCode:
    """All that is kept of a style picture: its moments per level, relu1_1 first."""

    moments: tuple[Moments, ...]
    key: str


@dataclass(frozen=True)
class ContentCode:
    """A content picture's features per level, padded to the size family, and its own size in pixels."""

    features: tuple[Features, ...]
    pixels: Float[np.ndarray, "1 H W 3"]
    height: int
    width: int
    key: str

    @property
    def nbytes(self) -> int:
        """Memory it takes, in bytes."""
        return sum(int(level.nbytes) for level in self.features) + self.pixels.nbytes

    @functools.cached_property
    def faces(self) -> Float[np.ndarray, "H W"] | None:
        """Where its faces are, 0..1, padded as it is (see `wctstyle.faces`); None without any."""
        found = face_map(self.pixels[0, : self.height, : self.width])
        padding = [
            (0, whole - own) for whole, own in zip(self.pixels.shape[1:3], (self.height, self.width), strict=True)
        ]
        return None if found is None else np.pad(found, padding, mode="edge")


@dataclass(frozen=True)
class Result:
    """A stylised picture, its plan (None for five passes, and without a style) and the seconds each part took."""

    image: Rgb
    plan: Plan | None
    seconds: Mapping[str, float]


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

    Styles and contents are measured once and remembered by content (contents: the last few), and so is where the last
    sets of styles meet, so a changed weight or strength only plans and decodes anew. Safe to share between threads.
    Same input, same output on one machine.
    Limits BLAS to one thread in this process (see `wctstyle.threads`).

    Raises:
        ConfigError: `model` is not in the table.
        WeightsError: its weights are missing or damaged.
    """

    def __init__(self, model: str = "slim", *, tensors: Mapping[str, np.ndarray] | None = None) -> None:
        if model not in MODELS:
            raise ConfigError(f"model {model!r} is not known: use one of {', '.join(MODELS)}")
        enable_compilation_cache()
        limit_lapack_threads()
        if tensors is None:
            tensors, _ = weight_files.load(model)
        self.model = model
        floats = {name: np.asarray(tensor, np.float32) for name, tensor in tensors.items()}
        together = jax.jit(lambda arrays: arrays)(floats)  # one by one they would take 0.3 s
        encoder, decoder = build(MODELS[model], together)
        encoder_def, self._encoder = nnx.split(encoder)
        self._encoder_def = encoder_def
        decoder_def, self._decoder = nnx.split(decoder)
        self._contents: Recent[ContentCode] = Recent(CONTENT_BYTES, lambda code: code.nbytes)
        self._styles: Recent[StyleCode] = Recent(STYLE_CACHE)
        self._barycenters: Recent[tuple[Barycenters, ...]] = Recent(BLEND_CACHE)
        self._beside = ThreadPoolExecutor(ENCODED_AT_ONCE, thread_name_prefix="wctstyle-encode")
        self.traces: dict[str, int] = {}
        """How often each program was traced: one for each size of the family that was used."""

        def counted(name: str, fn: Callable[..., Any], **options: Any) -> Callable[..., Any]:
            def traced(*args: Any, **kwargs: Any) -> Any:
                self.traces[name] = self.traces.get(name, 0) + 1
                return fn(*args, **kwargs)

            return jax.jit(traced, compiler_options=COMPILER_OPTIONS, **options)

        def encode(params: Any, image: Any) -> Any:
            return nnx.merge(encoder_def, params)(image)

        def measure(params: Any, image: Any, height: Any, width: Any) -> Any:
            # Without the barrier XLA fuses the moments' passes into the convolutions' and takes a fifth longer.
            return chain.measure_levels(jax.lax.optimization_barrier(encode(params, image)), height, width)

        def decode(
            e: Any, d: Any, features: Any, targets: Any, alphas: Any, detail: Any, h: Any, w: Any, *, kind: str
        ) -> Any:
            masks = [chain.valid_weights(h, w, f.shape[1:3], k) for k, f in enumerate(features, start=1)]
            image, plan = chain.plan_and_decode(
                nnx.merge(encoder_def, e),
                nnx.merge(decoder_def, d),
                features,
                targets,
                alphas,
                detail,
                weights=masks,
                kind=kind,  # pyright: ignore[reportArgumentType]
            )
            return jnp.clip(image, 0, 1), plan

        def render(e: Any, d: Any, features: Any, plan: Plan, detail: Any) -> Any:
            encoder, decoder = nnx.merge(encoder_def, e), nnx.merge(decoder_def, d)
            return jnp.clip(chain.render(encoder, decoder, features, plan, detail), 0, 1)

        def one_level(
            e: Any, d: Any, image: Any, target: Moments, alpha: Any, h: Any, w: Any, *, level: int, kind: str
        ) -> Any:
            x = nnx.merge(encoder_def, e)(image, levels=level)[-1]
            content = chain.measure(x, chain.valid_weights(h, w, x.shape[1:3], level))
            step = affine(content, target, kind=map_kind(kind, level), alpha=alpha)  # pyright: ignore[reportArgumentType]
            decoder = nnx.merge(decoder_def, d)
            x = decoder.block(x, level, step)
            return jnp.clip(decoder(x, level=level - 1) if level > 1 else x, 0, 1)

        def reconstruct(e: Any, d: Any, image: Any, *, level: int) -> Any:
            x = nnx.merge(encoder_def, e)(image, levels=level)[-1]
            return jnp.clip(nnx.merge(decoder_def, d)(x, level=level), 0, 1)

        def mix(parts: Any, shares: Any, *, kind: BlendKind) -> Any:
            return tuple(blend(level, shares, kind=kind) for level in zip(*parts, strict=True))

        def meet(parts: Any) -> Any:
            return tuple(barycenters(level) for level in zip(*parts, strict=True))

        def between(known: tuple[Barycenters, ...], shares: Any) -> Any:
            return tuple(level.at(shares) for level in known)

        self._encode = counted("encode", encode)
        self._measure = counted("measure", measure)
        self._decode = counted("decode", decode, static_argnames=("kind",))
        self._render = counted("render", render)
        self._one_level = counted("one_level", one_level, static_argnames=("level", "kind"))
        self._reconstruct = counted("reconstruct", reconstruct, static_argnames=("level",))
        self._blend = counted("blend", mix, static_argnames=("kind",))
        self._meet = counted("meet", meet)
        self._between = counted("between", between)

    def style(self, image: Rgb) -> StyleCode:
        """Measure a style picture (RGB in [0, 1], at the size its strokes are to have)."""
        rgb = _checked(image, "style picture")
        key = content_hash(rgb)

        def make() -> StyleCode:
            moments = self._measure(
                self._encoder, pad_to_family(rgb), counted_side(rgb.shape[0]), counted_side(rgb.shape[1])
            )
            return StyleCode(moments, key)

        return self._styles.get(key, make)

    def measure(self, image: Rgb) -> tuple[Moments, ...]:
        """Return the moments of a picture's features per level, relu1_1 first."""
        return self.style(image).moments

    def content(self, image: Rgb) -> ContentCode:
        """Encode a content picture (RGB in [0, 1]) once; further settings reuse it."""
        rgb = _checked(image, "content picture")
        key = content_hash(rgb)

        def make() -> ContentCode:
            pixels = pad_to_family(rgb)
            return ContentCode(self._encode(self._encoder, pixels), pixels, rgb.shape[0], rgb.shape[1], key)

        return self._contents.get(key, make)

    def target(
        self, styles: Sequence[tuple[StyleCode, float]], *, kind: BlendKind = "barycenter"
    ) -> tuple[Moments, ...] | None:
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

    def plan(self, content: ContentCode, target: tuple[Moments, ...], settings: Settings = Settings()) -> Plan:  # noqa: B008
        """Return the affine map per level that takes this content to `target`."""
        return self._planned(content, target, settings)[1]

    def _planned(self, content: ContentCode, target: tuple[Moments, ...], settings: Settings) -> tuple[Any, Plan]:
        return self._decode(
            self._encoder, self._decoder, content.features, target, settings.alphas * _GAINS,
            self._detail(content, settings.mixed_detail, settings.keep_faces),
            counted_side(content.height), counted_side(content.width), kind=settings.transform,
        )  # fmt: skip

    def _detail(
        self, content: ContentCode, detail: float, keep_faces: float
    ) -> tuple[Float[np.ndarray, "1 h w 1"], ...]:
        """Return a map for each level below relu5_1; without faces too, so that one program serves both."""
        faces = content.faces if keep_faces else None

        def at(level: int) -> Float[np.ndarray, "1 h w 1"]:
            cell = 2 ** (level - 1)
            height, width = (side // cell for side in content.pixels.shape[1:3])
            if faces is None:
                return np.full((1, height, width, 1), detail, np.float32)
            share = faces.reshape(height, cell, width, cell).mean(axis=(1, 3), dtype=np.float32)
            return (detail + (1 - detail) * keep_faces * share)[None, :, :, None].astype(np.float32)

        return tuple(at(level) for level in LEVELS[:-1])

    def render(
        self,
        content: ContentCode,
        plan: Plan,
        *,
        detail: float = DEFAULT_DETAIL,
        keep_faces: float = DEFAULT_KEEP_FACES,
    ) -> Rgb:
        """Decode the content with a ready plan; `detail` is used as it is."""
        share = self._detail(content, detail, keep_faces)
        image = self._render(self._encoder, self._decoder, content.features, plan, share)
        return self._finish(image, content.height, content.width, plan)

    def reconstruct(self, image: Rgb, *, level: int) -> Rgb:
        """Encode to relu{level}_1 and decode with nothing transformed: the model's own loss of detail."""
        rgb = _checked(image, "content picture")
        if level not in LEVELS:
            raise ConfigError(f"level is {level}, must be one of 1, 2, 3, 4, 5")
        out = self._reconstruct(self._encoder, self._decoder, pad_to_family(rgb), level=level)
        return self._finish(out, rgb.shape[0], rgb.shape[1], None)

    def _cascade(self, content: ContentCode, target: tuple[Moments, ...], settings: Settings) -> Any:
        image: Any = content.pixels
        for level in reversed(LEVELS):
            image = self._one_level(
                self._encoder, self._decoder, image, target[level - 1], settings.alphas[level - 1],
                counted_side(content.height), counted_side(content.width), level=level, kind=settings.transform,
            )  # fmt: skip
        return image

    def _finish(self, image: Any, height: int, width: int, plan: Plan | None) -> Rgb:
        out = np.asarray(image)[0, :height, :width]
        if not np.isfinite(out).all():
            of_levels = zip(LEVELS, plan or ())  # noqa: B905  the retouch, last, takes what it gets
            bad = [k for k, step in of_levels if not np.isfinite(np.asarray(step.matrix)).all()]
            raise NonFiniteError("the stylised picture is not finite", level=max(bad) if bad else None)
        return out

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

        def encoded() -> ContentCode:
            code = content if isinstance(content, ContentCode) else self.content(content)
            if settings.keep_faces and settings.passes == 1:
                _ = code.faces  # here, beside the encoding
            jax.block_until_ready(code.features)
            return code

        waiting = self._beside.submit(encoded)
        styled = list(self._beside.map(self._weighted, self._listed(styles)))
        code = waiting.result()
        lap("encode")
        target = jax.block_until_ready(self.target(styled, kind=settings.blend))
        lap("blend")
        if target is None:
            return Result(code.pixels[0, : code.height, : code.width].copy(), None, seconds)
        if settings.passes == 5:
            image, plan = self._cascade(code, target, settings), None
        else:
            image, plan = self._planned(code, target, settings)
        out = self._finish(image, code.height, code.width, plan)
        lap("render")
        if settings.refine:
            out = self._refined(out, code, styled, settings, refining)
            lap("refine")
        return Result(out, plan, seconds)

    @functools.cached_property
    def _optimizer(self) -> Optimizer:
        from wctstyle.optimizer import Optimizer  # here, as a first picture need not wait for optax

        tensors = extract(nnx.merge(self._encoder_def, self._encoder), "encoder")
        return Optimizer(self.model, tensors=tensors)

    def _refined(
        self,
        image: Rgb,
        code: ContentCode,
        styles: Sequence[tuple[StyleCode, float]],
        settings: Settings,
        refining: Callable[[int, int], None],
    ) -> Rgb:
        """Go on from a finished pass by a few steps of descent with the same model, at one scale.

        A level that `level_strength` turns down pulls less; `detail` is what the photo weighs. A single row or column
        has nothing to refine.
        """
        layers = {f"relu{level}_1": settings.level_strength.get(level, 1.0) for level in LEVELS}
        if not settings.strength or not any(layers.values()) or min(image.shape[:2]) < LEAST_SIDE:
            return image
        faces = code.faces if settings.keep_faces else None
        if faces is not None:
            faces = faces[: code.height, : code.width]
        chosen = OptimizeSettings(
            steps=settings.refine,
            strength=settings.strength,
            blend=settings.blend,
            statistic="moments",
            style_layers=layers,
            content_weight=REFINE_CONTENT * settings.detail / DEFAULT_DETAIL,
            keep_faces=0.0 if faces is None else settings.keep_faces,
            smallest=max(16, *image.shape),
        )
        photo = code.pixels[0, : code.height, : code.width]
        measured = [(style.moments, weight) for style, weight in styles if weight > 0]
        for iterate in self._optimizer.run(photo, measured, chosen, init=image, faces=faces):
            image = iterate.image
            refining(iterate.step, iterate.steps)
        return image

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
    model: str = "slim",
    **settings: Any,
) -> Rgb:
    """Stylise one picture, RGB in [0, 1] in and out. For several, keep a `Stylizer`.

    `settings` are the fields of `Settings`.
    """
    return Stylizer(model).stylize(content, styles, Settings(strength=strength, **settings)).image
