"""The optimiser itself: a generator of iterates over a pyramid of scales."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wctstyle import __version__, metrics
from wctstyle import weights as weight_files
from wctstyle.encoder import MODELS
from wctstyle.errors import ConfigError, NonFiniteError, WeightsError
from wctstyle.optimizer import checkpoint as states
from wctstyle.optimizer import descent
from wctstyle.optimizer.job import Job, Rgb
from wctstyle.optimizer.network import Network
from wctstyle.optimizer.programs import Programs, dials_of
from wctstyle.optimizer.settings import OptimizeSettings, share_out
from wctstyle.optimizer.terms import Objective, report, weighing
from wctstyle.regions import Region
from wctstyle.settings import DEFAULT_OPTIMIZER_MODEL, LEVELS

CHUNK_SECONDS = 1.5
"""How long a call of the program is to take: between calls iterates are shown and a run can be cancelled."""

SAVE_SECONDS = 30.0

PROBE_SIDE = 256
"""Sides of the picture on which `Optimizer.estimate` measures; time grows with the area from there."""


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


def _save(path: Path, carry: Any, metadata: Mapping[str, Any], seconds: float) -> None:
    states.save(Path(path), carry, {**metadata, "seconds": round(seconds, 3)})


def _losses(carry: Any, terms: Objective) -> dict[str, float]:
    found = np.asarray(carry.state.terms)
    if not np.isfinite(found).all() or not np.isfinite(float(carry.state.value)):
        raise NonFiniteError(
            "the loss is not finite; give its terms smaller weights, or check the pictures and the model's tensors"
        )
    return report(found, terms)


class Optimizer:
    """Optimises pictures with one model's encoder.

    `medium` and `slim` come with the package; `vgg19` has to be imported. Programs are kept, so a second run of the
    same sizes starts at once. The moments of the last pictures are kept too, so a run that only changes a weight or
    the strength does not encode its styles again. Same input, same output on one machine, unless a time budget ends a
    scale. Runs may share an optimizer, one thread each.

    Raises:
        ConfigError: `model` is not in the table.
        WeightsError: its encoder is missing or damaged.
    """

    def __init__(
        self, model: str = DEFAULT_OPTIMIZER_MODEL, *, tensors: Mapping[str, np.ndarray] | None = None
    ) -> None:
        if model not in MODELS:
            raise ConfigError(f"model {model!r} is not known: use one of {', '.join(MODELS)}")
        if tensors is None:
            tensors, _ = weight_files.load(model, parts=("encoder",))
        self.model = model
        self._programs = Programs(MODELS[model], tensors)

    # ------------------------------------------------------------------------------------------------ what is asked

    def run(
        self,
        content: Rgb,
        styles: Sequence[tuple[Rgb, float]] | Sequence[Region],
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
            styles: pictures at the size their strokes are to have, each with its weight (any scale); or regions of the
                photo, each with such styles (`wctstyle.regions`). Outside of all regions the content alone counts.
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
        job = Job.checked(content, styles, settings, init, faces, resumed=resume is not None)
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
        styles: Sequence[Region] | None = None,
    ) -> None:
        """Compile a run's largest size, so that one that does not fit is told before its pictures are made or measured.

        `styles` are those of the run where it has regions, which decide on the program.

        Raises:
            ConfigError: the regions are bad, or none covers anything.
            ImageError: the size does not fit into memory; names one that does, as far as it can be told.
        """
        grey = np.zeros((int(content_shape[0]), int(content_shape[1]), 3), np.float32)
        settings = dataclasses.replace(settings, keep_faces=0.0)
        job = Job.checked(grey, [(grey, 1.0)] if styles is None else styles, settings, None, resumed=True)
        self._programs.steps(job, job.sizes[-1])

    def figures(
        self, result: Rgb, content: Rgb, styles: Sequence[tuple[Rgb, float]] | Sequence[Region]
    ) -> dict[str, Any]:
        """Judge a picture with this model's encoder; with `vgg19` those are the figures of the original VGG-19.

        Returns:
            style: mean over relu1_1..relu5_1 of the relative Gram error to the style (0 same; to the weighted mean of
            Gram matrices for several; of regions the mean by area); style_by_level: the five of them; content:
            `metrics.content_error` of relu4_2 (0 same, 2 unrelated); ssim: `metrics.ssim` to the content, NaN below 11
            pixels.

        Raises:
            ConfigError: no styles or a bad weight.
            ImageError: a picture of the wrong shape, type or range, or `result` and `content` of different shapes.
        """
        job = Job.checked(content, styles, OptimizeSettings(init="content", keep_faces=0.0), result, resumed=False)
        assert job.init is not None
        layers = tuple(f"relu{level}_1" for level in LEVELS)

        def grams(picture: Rgb, mask: Any = None) -> list[Array]:
            moments = self._programs.measured(picture, layers, Network(), mask)
            return [moments[layer].gram()[None] for layer in layers]

        errors = []
        for region in job.regions:
            measured = [grams(style) for style in region.styles]
            targets = [
                jnp.asarray(sum(float(share) * found[k] for share, found in zip(region.shares, measured, strict=True)))
                for k in range(len(LEVELS))
            ]
            errors.append(np.asarray(metrics.gram_errors(grams(job.init, region.mask), targets), np.float64)[0])
        by_level = np.average(errors, axis=0, weights=[region.area for region in job.regions])
        seen = [
            self._programs.kept(picture, job.faces, ("relu4_2",), Network())["relu4_2"]["target"]
            for picture in (job.init, job.content)
        ]
        return {
            "style": float(by_level.mean()),
            "style_by_level": [float(v) for v in by_level],
            "content": float(metrics.content_error(*seen)[0]),
            "ssim": metrics.ssim(job.init, job.content) if min(job.content.shape[:2]) >= 11 else float("nan"),
        }

    # ------------------------------------------------------------------------------------------------------- the run

    def _about(self, job: Job) -> dict[str, Any]:
        """Return what a kept state of this run belongs to."""
        weights = states.fingerprint(*jax.tree.leaves(self._programs.params))
        return {"version": __version__, "model": self.model, "weights": weights, **job.about()}

    def _iterate(
        self,
        job: Job,
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
        self._programs.steps(job, job.sizes[-1])  # a size that does not fit is told before anything is measured
        saved, latest = time.perf_counter(), None
        try:
            for scale in range(first, len(job.sizes)):
                size = job.sizes[scale]
                last_scale = scale == len(job.sizes) - 1
                if not job.counts[scale]:
                    continue
                terms = self._programs.objective(job, size)
                carry = self._programs.begin(job, size, before, terms=len(terms))
                if kept is not None and resume is not None:
                    terms = weighing(terms, kept[1]["term_weights"])
                    carry, kept = states.restore(kept[0], carry, Path(resume)), None
                else:
                    terms = self._programs.balanced(terms, job, size, carry)
                weights = [float(term.weight) for term in terms]
                where = {"scale": scale, "before": done_before, "term_weights": weights}
                run, dials = self._programs.steps(job, size), dials_of(job)
                budget = job.settings.time_budget
                deadline = None if budget is None else budget * sum(work[: scale + 1]) / sum(work)
                chunk, step, rate = 1, int(carry.step), 0.0
                finished = False
                while not finished:
                    goal = min(step + chunk, job.counts[scale])
                    if every is not None:
                        goal = min(goal, ((done_before + step) // every + 1) * every - done_before)
                    clock = time.perf_counter()
                    carry = run(carry, np.int32(goal), self._programs.params, terms, dials)
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
                    losses = _losses(carry, terms)
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
                        image=self._programs.picture(job, carry, size),
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
