"""The optimiser itself: a generator of iterates over a pyramid of scales."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wctstyle import __version__, color, images, metrics
from wctstyle import weights as weight_files
from wctstyle.encoder import MODELS
from wctstyle.errors import ConfigError, ImageError, NonFiniteError, WeightsError
from wctstyle.faces import face_map
from wctstyle.moments import Moments
from wctstyle.optimizer import checkpoint as states
from wctstyle.optimizer import descent, memory
from wctstyle.optimizer.network import parameters
from wctstyle.optimizer.objective import (
    Shape,
    Targets,
    content_targets,
    report,
    style_moments,
    style_targets,
    term_pulls,
    term_weights,
)
from wctstyle.optimizer.settings import FACE_WEIGHT, GIVEN, LEAST_SIDE, OptimizeSettings, share_out
from wctstyle.recent import Recent
from wctstyle.settings import LEVELS

Rgb = Float[np.ndarray, "h w 3"]

CHUNK_SECONDS = 1.5
"""How long a call of the program is to take: between calls iterates are shown and a run can be cancelled."""

SAVE_SECONDS = 30.0

PROBE_SIDE = 256
"""Sides of the picture on which `Optimizer.estimate` measures; time grows with the area from there."""

LEAST_PULL = 1e-3
"""Share of the strongest term's slope below which a slope is rounding."""

NOISE = 0.1
"""Standard deviation of the noise a picture starts from, about mid grey."""

PROGRAMS = 16
"""Compiled programs that are kept, one for each size."""


Style = Rgb | tuple[Moments, ...]
"""A style's picture, or the moments of its relu1_1..relu5_1, for runs of one scale."""


@dataclass(frozen=True)
class Iterate:
    """A look at a run between two calls of its program.

    step of steps: done, over all scales. scale of scales: from 1, coarsest first; width and height are the scale's.
    losses: total (what is minimised at this scale), content, style, style_relu1_1.. (roots: relative Gram errors), tv.
    seconds: since the start, those before a resume among them. steps_per_second: of the last call; seconds_left: by
    that rate and the areas still to come. image: sRGB in [0, 1], float32, at the content's own size. done: nothing
    follows; reason: why ("steps", "time" or "plateau"), empty before. unsaved: why the state could not be kept just
    now, if so.
    """

    step: int
    steps: int
    scale: int
    scales: int
    width: int
    height: int
    losses: dict[str, float]
    seconds: float
    steps_per_second: float
    seconds_left: float
    image: Rgb
    done: bool = False
    reason: str = ""
    unsaved: str = ""


@dataclass(frozen=True)
class _Job:
    """A run's pictures and choices, checked."""

    content: Rgb
    styles: tuple[Style, ...]
    shares: Float[np.ndarray, " n"]
    init: Rgb | None
    faces: Float[np.ndarray, "h w"]
    settings: OptimizeSettings
    shape: Shape
    sizes: list[tuple[int, int]]
    counts: list[int]

    @property
    def channels(self) -> int:
        return 1 if self.settings.original_colors else 3


@partial(jax.jit, static_argnames=("size", "method"))
def _resize(x: Float[Array, "h w c"], size: tuple[int, int], method: str) -> Float[Array, "h2 w2 c"]:
    return jax.image.resize(x, (*size, x.shape[2]), method)


def _scaled(rgb: Rgb, size: tuple[int, int]) -> Rgb:
    """Resize a picture exactly, antialiased (Lanczos)."""
    if rgb.shape[:2] == size:
        return rgb
    return np.clip(np.asarray(_resize(jnp.asarray(rgb), size, "lanczos3")), 0, 1)


def _grey(rgb: Rgb) -> Rgb:
    return np.repeat(np.clip(color.lightness_grey(rgb), 0, 1)[..., None], 3, axis=2).astype(np.float32)


def _save(path: Path, carry: Any, metadata: Mapping[str, Any], seconds: float) -> None:
    states.save(Path(path), carry, {**metadata, "seconds": round(seconds, 3)})


class Optimizer:
    """Optimises pictures with one model's encoder; `slim` comes with the package, `vgg19` has to be imported.

    Programs are kept, so a second run of the same sizes starts at once. Same input, same output on one machine, unless
    a time budget ends a scale. Runs may share an optimizer, one thread each.

    Raises:
        ConfigError: `model` is not in the table.
        WeightsError: its encoder is missing or damaged.
    """

    def __init__(self, model: str = "slim", *, tensors: Mapping[str, np.ndarray] | None = None) -> None:
        if model not in MODELS:
            raise ConfigError(f"model {model!r} is not known: use one of {', '.join(MODELS)}")
        if tensors is None:
            tensors, _ = weight_files.load(model, parts=("encoder",))
        self.model = model
        self._params = jax.jit(lambda tensors: tensors)(parameters(MODELS[model], tensors))
        self._programs: Recent[Any] = Recent(PROGRAMS)
        self._lock = threading.Lock()
        self._content = jax.jit(content_targets, static_argnames="shape")
        self._moments = jax.jit(style_moments, static_argnames="shape")
        self._pulls = jax.jit(term_pulls, static_argnames="shape")
        self._coordinates = jax.jit(lambda image: descent.coordinates(image))
        self._shown = jax.jit(lambda x, size: descent.picture(x, size), static_argnames="size")

    # ------------------------------------------------------------------------------------------------ what is asked

    def run(
        self,
        content: Rgb,
        styles: Sequence[tuple[Style, float]],
        settings: OptimizeSettings = OptimizeSettings(),  # noqa: B008
        *,
        init: Rgb | None = None,
        faces: Float[np.ndarray, "h w"] | None = None,
        checkpoint: Path | None = None,
        resume: Path | None = None,
        every: int | None = None,
    ) -> Iterator[Iterate]:
        """Optimise a picture; yields every second or two, the last iterate with `done`.

        Args:
            content: sRGB in [0, 1], at the size of the result.
            styles: pictures at the size their strokes are to have, each with its weight (any scale); or their moments.
            settings: see `OptimizeSettings`.
            init: the picture to start from, of the content's size; has to be given where the setting is fast or image.
            faces: where the photo's faces are, 0..1; without, they are looked for (see `wctstyle.faces`).
            checkpoint: file that keeps the whole state: every half minute, at the end, and when the generator is closed
                or interrupted.
            resume: such a file; goes on from there, to the same result as if the run had not been stopped.
            every: yield at each multiple of so many steps as well.

        Raises:
            ConfigError: no styles or a bad weight, `every` below 1, no `init` where one is needed, or a `resume` that
                belongs to another run.
            ImageError: a picture of the wrong shape, type or range, `faces` of another size than the content, or a size
                that does not fit into memory.
            WeightsError: `resume` is missing or damaged, or `checkpoint` cannot be written as the generator is closed;
                before, `Iterate.unsaved` tells it.
            NonFiniteError: the loss is not finite.
        """
        if every is not None and every < 1:
            raise ConfigError(f"every is {every!r}, must be a whole number of steps, at least 1")
        job = self._job(content, styles, settings, init, faces, resumed=resume is not None)
        about = {}
        if checkpoint is not None or resume is not None:
            about = self._about(job)
        kept = None
        if resume is not None:
            kept = states.read(Path(resume))
            states.check(Path(resume), kept[1], about)
            if "init" in kept[1]:
                about.setdefault("init", kept[1]["init"])
        return self._iterate(job, checkpoint, about, kept, resume, every)

    def estimate(self, content_shape: Sequence[int], settings: OptimizeSettings = OptimizeSettings()) -> float:  # noqa: B008
        """Return the seconds a run will take, from one of a few steps on a small picture on this machine.

        That picture has one size whatever the content's, so that its program is compiled once. What compiling it took
        is counted for each scale; where programs are kept on disk, a size that is new takes that much longer. Whether
        the size fits into memory is found by `run`.
        """
        height, width = int(content_shape[0]), int(content_shape[1])
        sizes = settings.scales(height, width)
        noise = np.random.default_rng(0).uniform(size=(PROBE_SIDE, PROBE_SIDE, 3)).astype(np.float32)
        short = dataclasses.replace(
            settings, steps=5, smallest=PROBE_SIDE, init="content", keep_faces=0.0, time_budget=None, plateau=0.0
        )
        began = time.perf_counter()
        rate = max(iterate.steps_per_second for iterate in self.run(noise, [(noise, 1.0)], short))
        setup = max(0.0, time.perf_counter() - began - short.steps / rate)
        per_pixel = 1 / (rate * PROBE_SIDE**2)
        work = sum(n * h * w for n, (h, w) in zip(share_out(settings.steps, len(sizes)), sizes, strict=True))
        total = work * per_pixel + setup * len(sizes)
        return total if settings.time_budget is None else min(total, settings.time_budget)

    def check_memory(
        self,
        content_shape: Sequence[int],
        settings: OptimizeSettings = OptimizeSettings(),  # noqa: B008
    ) -> None:
        """Compile a run's largest size, so that one that does not fit is told before its pictures are made or measured.

        Raises:
            ImageError: the size does not fit into memory; names one that does, as far as it can be told.
        """
        grey = np.zeros((int(content_shape[0]), int(content_shape[1]), 3), np.float32)
        settings = dataclasses.replace(settings, keep_faces=0.0)
        job = self._job(grey, [(grey, 1.0)], settings, None, resumed=True)
        self._program(job, job.sizes[-1])

    def figures(self, result: Rgb, content: Rgb, styles: Sequence[tuple[Rgb, float]]) -> dict[str, Any]:
        """Judge a picture with this model's encoder; with `vgg19` those are the figures of the original VGG-19.

        Returns:
            style: mean over relu1_1..relu5_1 of the relative Gram error to the style (0 same; to the weighted mean of
            Gram matrices for several); style_by_level: the five of them; content: `metrics.content_error` of relu4_2 (0
            same, 2 unrelated); ssim: `metrics.ssim` to the content, NaN below 11 pixels.

        Raises:
            ConfigError: no styles or a bad weight.
            ImageError: a picture of the wrong shape, type or range, or `result` and `content` of different shapes.
        """
        job = self._job(content, styles, OptimizeSettings(init="content", keep_faces=0.0), result, resumed=False)
        assert job.init is not None
        shape = Shape(("relu4_2",), tuple(f"relu{level}_1" for level in LEVELS), "gram", "max")

        def grams(style: Style) -> list[Array]:
            moments = self._measured(style, shape)
            return [moments[layer].gram()[None] for layer in shape.style_layers]

        measured = [grams(style) for style in job.styles]
        targets = [
            jnp.asarray(sum(float(share) * found[k] for share, found in zip(job.shares, measured, strict=True)))
            for k in range(len(LEVELS))
        ]
        by_level = np.asarray(metrics.gram_errors(grams(job.init), targets), np.float64)[0]
        seen = [
            self._content(self._params, p[None], job.faces, shape=shape)["relu4_2"]["target"]
            for p in (job.init, job.content)
        ]
        return {
            "style": float(by_level.mean()),
            "style_by_level": [float(v) for v in by_level],
            "content": float(metrics.content_error(*seen)[0]),
            "ssim": metrics.ssim(job.init, job.content) if min(job.content.shape[:2]) >= 11 else float("nan"),
        }

    # ---------------------------------------------------------------------------------------------- before it starts

    def _job(
        self,
        content: Any,
        styles: Sequence[tuple[Any, float]],
        settings: OptimizeSettings,
        init: Any,
        faces: Any = None,
        *,
        resumed: bool,
    ) -> _Job:
        rgb = images.checked_rgb(content, "content picture", least_side=LEAST_SIDE)
        if not styles:
            raise ConfigError("no style given: give at least one")
        for number, (_, weight) in enumerate(styles, start=1):
            if not np.isfinite(weight) or weight < 0:
                raise ConfigError(f"weight of style {number} is {weight}, must be a number >= 0")
        pictures: list[Style] = [
            s if isinstance(s, tuple) else images.checked_rgb(s, f"style picture {n}", least_side=LEAST_SIDE)
            for n, (s, _) in enumerate(styles, start=1)
        ]
        weights = np.array([weight for _, weight in styles], np.float64)
        if not weights.any():
            raise ConfigError("the weights of all styles are 0, so there is no style to optimise for")
        weights /= weights.max()  # first, so that huge weights do not overflow in the sum
        if init is not None:
            init = images.checked_rgb(init, "picture to start from", least_side=LEAST_SIDE)
            if init.shape != rgb.shape:
                raise ImageError(
                    f"picture to start from: has shape {init.shape}, the content {rgb.shape}; resize it to that"
                )
        elif settings.init in GIVEN and not resumed:
            raise ConfigError(
                f"init is {settings.init!r}, so that picture has to be given as init=...; "
                "or choose init content, noise or style"
            )
        sizes = settings.scales(rgb.shape[0], rgb.shape[1])
        if any(isinstance(style, tuple) for style in pictures):
            known = {f"relu{level}_1" for level in LEVELS} >= set(settings.style_layers) and settings.pooling == "max"
            if len(sizes) > 1 or init is None or settings.original_colors or not known:
                raise ConfigError(
                    "a style given as moments is measured already: give its picture for several scales, original "
                    "colours, a start from the style, average pooling or layers other than relu1_1 to relu5_1"
                )
        if settings.original_colors:
            pictures = [style if isinstance(style, tuple) else _grey(style) for style in pictures]
        counts, shape = share_out(settings.steps, len(sizes)), Shape.of(settings)
        if faces is not None and np.shape(faces) != rgb.shape[:2]:
            raise ImageError(f"faces: has shape {np.shape(faces)}, the content {rgb.shape[:2]}; resize it to that")
        if not settings.keep_faces or not shape.content_layers:
            faces = None
        elif faces is None:
            faces = face_map(rgb)
        faces = np.zeros(rgb.shape[:2], np.float32) if faces is None else np.asarray(faces, np.float32)
        return _Job(rgb, tuple(pictures), weights / weights.sum(), init, faces, settings, shape, sizes, counts)

    def _about(self, job: _Job) -> dict[str, Any]:
        settings = json.loads(json.dumps(job.settings.as_json()))
        return {
            "version": __version__,
            "model": self.model,
            "weights": states.fingerprint(*jax.tree.leaves(self._params)),
            "settings": settings,
            "content": states.fingerprint(job.content),
            "faces": states.fingerprint(job.faces),
            "styles": [
                [states.fingerprint(*jax.tree.leaves(s)), float(w)] for s, w in zip(job.styles, job.shares, strict=True)
            ],
            **({} if job.init is None else {"init": states.fingerprint(job.init)}),
        }

    def _first_picture(self, job: _Job, size: tuple[int, int]) -> Float[np.ndarray, "h w c"]:
        start = job.settings.init
        if job.init is not None:
            picture = _scaled(job.init, size)
        elif start == "content":
            picture = _scaled(job.content, size)
        elif start == "style":
            picture = _scaled(job.styles[int(np.argmax(job.shares))], size)  # pyright: ignore[reportArgumentType]
        else:
            noise = np.random.default_rng(job.settings.seed).normal(0.5, NOISE, (*size, 3))
            picture = np.clip(noise, 0, 1).astype(np.float32)
        return (_grey(picture)[..., :1] if job.settings.original_colors else picture).astype(np.float32)

    # ------------------------------------------------------------------------------------------------------- a scale

    def _measured(self, style: Style, shape: Shape) -> dict[str, Moments]:
        """Measure a style at the layers of `shape`, or take its moments where they were given."""
        if isinstance(style, tuple):
            return {f"relu{level}_1": moments for level, moments in zip(LEVELS, style, strict=True)}
        return self._moments(self._params, style[None], shape=shape)

    def _targets(self, job: _Job, size: tuple[int, int]) -> Targets:
        """Measure content and styles as they are at this scale."""
        factor = max(size) / max(job.content.shape[:2])
        content = _scaled(_grey(job.content) if job.settings.original_colors else job.content, size)
        measured = []
        for style in job.styles:
            if not isinstance(style, tuple):
                height, width = (max(LEAST_SIDE, round(side * factor)) for side in style.shape[:2])
                style = _scaled(style, (height, width))
            measured.append(self._measured(style, job.shape))
        own = self._moments(self._params, content[None], shape=job.shape) if job.settings.strength < 1 else {}
        style = style_targets(
            measured, job.shares, own, shape=job.shape, kind=job.settings.blend, strength=job.settings.strength
        )
        emphasis = FACE_WEIGHT * job.settings.keep_faces * job.faces
        kept = self._content(self._params, content[None], emphasis, shape=job.shape)
        return {"content": kept, "style": style}

    def _program(self, job: _Job, size: tuple[int, int]) -> Any:
        """Compile the steps at this size, or take what is compiled.

        Raises:
            ImageError: it does not fit.
        """
        key = (job.shape, (*size, job.channels), job.settings.optimizer, job.settings.history)
        with self._lock:  # two runs of one size are not to compile it twice
            return self._programs.get(key, lambda: self._compile(job, size))

    def _compile(self, job: _Job, size: tuple[int, int]) -> Any:
        """Compile the steps at this size from shapes alone, with less memory where the first does not fit.

        Raises:
            ImageError: it does not fit either way.
        """
        pixels = jax.ShapeDtypeStruct((size[0] * size[1] * job.channels,), jnp.float32)
        carry = jax.eval_shape(self._start(job), pixels)
        need, free = memory.least(carry), memory.available()
        whole = memory.fits(need, free)
        dials = self._dials(job, term_weights(job.settings, job.shape))
        for checkpointed in (False, True) if whole else ():
            shape = dataclasses.replace(job.shape, checkpointed=checkpointed)
            run = descent.program(shape, (*size, job.channels), job.settings.optimizer)
            compiled = (
                jax.jit(run, donate_argnums=0)
                .lower(carry, jax.ShapeDtypeStruct((), jnp.int32), self._params, self._target_shapes(job, size), dials)
                .compile()
            )
            need, free = memory.needed(compiled, carry), memory.available()
            if memory.fits(need, free):
                return compiled
        assert need is not None
        assert free is not None
        raise memory.refuse(size, need, free, whole=whole)

    @staticmethod
    def _start(job: _Job) -> Callable[..., descent.Carry]:
        return partial(
            descent.start,
            terms=len(job.shape.terms),
            optimizer=job.settings.optimizer,
            history=job.settings.history,
        )

    def _target_shapes(self, job: _Job, size: tuple[int, int]) -> Any:
        """Return the shapes of `_targets` at this size, which styles, strength and faces do not change."""
        shape = job.shape

        def targets(picture: Array, faces: Array) -> Targets:
            measured = style_moments(self._params, picture, shape)
            style = style_targets([measured], np.ones(1), {}, shape=shape, kind=job.settings.blend, strength=1.0)
            return {"content": content_targets(self._params, picture, faces, shape), "style": style}

        picture, faces = (jax.ShapeDtypeStruct(sides, jnp.float32) for sides in ((1, *size, 3), size))
        return jax.eval_shape(targets, picture, faces)

    def _weights(self, job: _Job, size: tuple[int, int], carry: Any, targets: Targets) -> Float[np.ndarray, " terms"]:
        """Return what the terms weigh at this scale, with `normalize_gradients` by how each pulls at its start.

        A content or style term is divided by the norm of its gradient and multiplied by the mean norm of all of them.
        One that has no slope there, as content at the photo itself, keeps its weight.
        """
        weights = term_weights(job.settings, job.shape)
        if not job.settings.normalize_gradients:
            return weights
        image = descent.picture(carry.state.x, (*size, job.channels))[None]
        shape = dataclasses.replace(job.shape, checkpointed=True)  # once a scale: it is not to need more than a step
        pulls = np.asarray(self._pulls(self._params, image, targets, shape=shape), np.float64)
        scaled = (np.arange(len(weights)) < len(weights) - 2) & (weights > 0)
        scaled &= pulls > LEAST_PULL * pulls[scaled].max(initial=0.0)
        if scaled.any():
            weights[scaled] *= pulls[scaled].mean() / pulls[scaled]
        return weights

    def _dials(self, job: _Job, weights: Float[np.ndarray, " terms"]) -> descent.Dials:
        settings = job.settings
        return descent.Dials(
            weights,
            np.float32(settings.adam_rate()),
            np.float32(settings.average),
            np.float32(settings.plateau),
        )

    def _begin(self, job: _Job, size: tuple[int, int], before: tuple[tuple[int, int], descent.Carry] | None) -> Any:
        """Make the state a scale starts with, from the picture given or from the scale before."""
        settings = job.settings
        make = self._start(job)
        if before is None:
            return make(self._coordinates(self._first_picture(job, size)))
        old_size, carry = before

        def enlarged(x: Array, method: str = "cubic") -> Array:
            return _resize(x.reshape(*old_size, job.channels), size, method).ravel()

        shown = self._shown(descent.shown(carry, settings.average), size=(*old_size, job.channels))
        x = self._coordinates(_resize(shown, size, "cubic"))
        if settings.optimizer == "adam":
            moments = carry.state.moments
            moments = moments._replace(mu=enlarged(moments.mu), nu=jnp.maximum(enlarged(moments.nu, "linear"), 0))
            carry = carry._replace(state=carry.state._replace(moments=moments))
        return make(x, before=carry)

    # ------------------------------------------------------------------------------------------------------- the run

    def _iterate(
        self,
        job: _Job,
        checkpoint: Path | None,
        about: Mapping[str, Any],
        kept: tuple[list[np.ndarray], dict[str, Any]] | None,
        resume: Path | None,
        every: int | None,
    ) -> Iterator[Iterate]:
        began = time.perf_counter() - (float(kept[1]["seconds"]) if kept else 0.0)
        first = int(kept[1]["scale"]) if kept else 0
        before: tuple[tuple[int, int], descent.Carry] | None = None
        work = [n * h * w for n, (h, w) in zip(job.counts, job.sizes, strict=True)]
        done_before = int(kept[1]["before"]) if kept else 0
        self._program(job, job.sizes[-1])  # a size that does not fit is told before anything is measured
        saved, latest = time.perf_counter(), None
        try:
            for scale in range(first, len(job.sizes)):
                size = job.sizes[scale]
                last_scale = scale == len(job.sizes) - 1
                if not job.counts[scale]:
                    continue
                targets, carry = self._targets(job, size), self._begin(job, size, before)
                if kept is not None and resume is not None:
                    weights = np.array(kept[1]["term_weights"], np.float32)
                    carry, kept = states.restore(kept[0], carry, Path(resume)), None
                else:
                    weights = self._weights(job, size, carry, targets)
                dials = self._dials(job, weights)
                where = {"scale": scale, "before": done_before, "term_weights": [float(w) for w in weights]}
                run = self._program(job, size)
                budget = job.settings.time_budget
                deadline = None if budget is None else budget * sum(work[: scale + 1]) / sum(work)
                chunk, step, rate = 1, int(carry.step), 0.0
                finished = False
                while not finished:
                    goal = min(step + chunk, job.counts[scale])
                    if every is not None:
                        goal = min(goal, ((done_before + step) // every + 1) * every - done_before)
                    clock = time.perf_counter()
                    carry = run(carry, np.int32(goal), self._params, targets, dials)
                    latest = carry, where
                    now, flat = int(carry.step), bool(carry.flat)
                    took = max(time.perf_counter() - clock, 1e-6)
                    if now == step and not last_scale:
                        break  # resumed where a scale was done
                    rate = (now - step) / took
                    step = now
                    elapsed = time.perf_counter() - began
                    late = deadline is not None and elapsed >= deadline
                    finished = step >= job.counts[scale] or flat or late
                    chunk = max(1, min(int(rate * CHUNK_SECONDS), 8 * chunk))
                    if deadline is not None:
                        chunk = max(1, min(chunk, int(rate * (deadline - elapsed))))
                    losses = self._losses(job, carry, dials)
                    end = finished and last_scale
                    unsaved = ""
                    if checkpoint is not None and (end or time.perf_counter() - saved > SAVE_SECONDS):
                        try:
                            _save(checkpoint, carry, {**about, **where}, elapsed)
                        except WeightsError as error:  # a full disk is no reason to lose the picture
                            unsaved = str(error)
                        saved = time.perf_counter()
                    left = (job.counts[scale] - step + sum(work[scale + 1 :]) / (size[0] * size[1])) / max(rate, 1e-9)
                    if budget is not None:
                        left = min(left, max(0.0, budget - elapsed))
                    yield Iterate(
                        step=done_before + step,
                        steps=job.settings.steps,
                        scale=scale + 1,
                        scales=len(job.sizes),
                        width=size[1],
                        height=size[0],
                        losses=losses,
                        seconds=elapsed,
                        steps_per_second=rate,
                        seconds_left=0.0 if end else left,
                        image=self._picture(job, carry, size),
                        done=end,
                        reason="" if not end else "plateau" if flat else "time" if late else "steps",
                        unsaved=unsaved,
                    )
                before = (size, carry)
                done_before += step
        except (GeneratorExit, KeyboardInterrupt):  # between scales the state is that of the one before
            if checkpoint is not None and latest is not None and not latest[0].step.is_deleted():
                carry, where = latest
                _save(checkpoint, carry, {**about, **where}, time.perf_counter() - began)
            raise

    def _losses(self, job: _Job, carry: Any, dials: descent.Dials) -> dict[str, float]:
        terms = np.asarray(carry.state.terms)
        if not np.isfinite(terms).all() or not np.isfinite(float(carry.state.value)):
            raise NonFiniteError(
                "the loss is not finite; give its terms smaller weights, or check the pictures and the model's tensors"
            )
        return report(terms, np.asarray(dials.weights), job.shape)

    def _picture(self, job: _Job, carry: Any, size: tuple[int, int]) -> Rgb:
        x = self._shown(descent.shown(carry, job.settings.average), size=(*size, job.channels))
        full = job.content.shape[:2]
        rgb = np.clip(np.asarray(x if size == full else _resize(x, full, "cubic")), 0, 1)
        if job.settings.original_colors:
            return color.original_colors(np.repeat(rgb, 3, axis=2), job.content).astype(np.float32)
        return rgb
