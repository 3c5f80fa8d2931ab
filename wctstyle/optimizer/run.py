"""The optimiser itself: a generator of iterates over a pyramid of scales."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wctstyle import __version__, feature_metrics, pixel_metrics
from wctstyle.compilation import transferring
from wctstyle.cutout import Content, pixels_of
from wctstyle.errors import NonFiniteError, WeightsError
from wctstyle.losses import content_error
from wctstyle.optimizer import checkpoint as states
from wctstyle.optimizer import descent
from wctstyle.optimizer.iterate import Iterate
from wctstyle.optimizer.job import Carried, Job, Rgb
from wctstyle.optimizer.network import Network, encoder_of
from wctstyle.optimizer.programs import Programs, dials_of
from wctstyle.optimizer.settings import Border, OptimizeSettings, share_out
from wctstyle.optimizer.terms import Objective, report, weighing
from wctstyle.recent import Recent
from wctstyle.regions import Region
from wctstyle.settings import DEFAULT_OPTIMIZER_MODEL, LEVELS, checked_whole

CHUNK_SECONDS = 1.5
"""How long a call of the program is to take: between calls iterates are shown and a run can be cancelled."""

SAVE_SECONDS = 30.0

PROBE_SIDE = 256
"""Sides of the picture on which `Optimizer.estimate` measures; time grows with the area from there."""

Before = tuple[tuple[int, int], descent.Carry]
"""Size and last state of the scale before."""


class Optimizer:
    """Optimises pictures with one model's encoder.

    `medium` and `slim` come with the package; `vgg19` has to be imported. Programs are kept, so a second run of the
    same sizes starts at once. The moments of the last pictures are kept too, so a run that only changes a weight or
    the strength does not encode its styles again. Same input, same output on one machine, unless a time budget ends a
    scale. Runs may share an optimizer, one thread each.

    Raises:
        ConfigError: `model` is not in the table.
        WeightsError: its encoder is missing or damaged.

    Example:
        >>> from wctstyle import samples
        >>> photo, style = (samples.picture(name).rgb[:32, :32] for name in ("cat", "marbling"))
        >>> layers = dict.fromkeys(("content_layers", "style_layers"), {"relu1_1": 1.0})
        >>> settings = OptimizeSettings(steps=2, init="content", keep_faces=0.0, **layers)
        >>> optimizer = Optimizer("slim")
        >>> optimizer.check_memory(photo, settings)
        >>> [iterate.step for iterate in optimizer.run(photo, [(style, 1.0)], settings, every=1)]
        [1, 2]
        >>> optimizer.estimate(photo.shape, dataclasses.replace(settings, time_budget=1e-3))
        0.001
        >>> found = optimizer.figures(photo, photo, [(photo, 1.0)])
        >>> found["style"], found["content"], round(found["ssim"], 3), len(found["style_by_level"])
        (0.0, 0.0, 1.0, 5)
        >>> optimizer.forget()
    """

    def __init__(
        self, model: str = DEFAULT_OPTIMIZER_MODEL, *, tensors: Mapping[str, np.ndarray] | None = None
    ) -> None:
        self.model = model
        self.programs = Programs(*encoder_of(model, tensors))
        self._probes: Recent[tuple[float, float]] = Recent(16)

    # ------------------------------------------------------------------------------------------------ what is asked

    def run(
        self,
        content: Content,
        styles: Sequence[tuple[Rgb, float]] | Sequence[Region],
        settings: OptimizeSettings = OptimizeSettings(),  # noqa: B008
        *,
        init: Rgb | None = None,
        faces: Float[np.ndarray, "h w"] | None = None,
        carried: Carried | None = None,
        checkpoint: Path | None = None,
        resume: Path | None = None,
        every: int | None = None,
        border: Border = "zero",
    ) -> Iterator[Iterate]:
        """Optimise a picture; yields every second or two, the last iterate with `done`.

        Args:
            content: sRGB in [0, 1], at the size of the result; or a `Picture`, of which hidden pixels do not count.
            styles: pictures at the size their strokes are to have, each with its weight (any scale); or regions of the
                photo, each with such styles (`wctstyle.regions`). Outside of all regions the content alone counts.
            settings: see `OptimizeSettings`.
            init: the picture to start from, of the content's size; has to be given where the setting is fast or image.
            faces: where the photo's faces are, 0..1; sought if not given.
            carried: of a frame of a video, the last result carried along (`wctstyle.video.optimized`).
            checkpoint: file of the whole state: each half minute, at the end, and when this is closed or interrupted.
            resume: such a file; goes on from there, to the same result as if the run had not been stopped.
            every: yield at each multiple of so many steps as well.
            border: of the network; wrap makes a picture that repeats, whose sides are multiples of 16 at each scale.

        Raises:
            ConfigError: no styles or a bad weight, `every` below 1, no `init` where one is needed, or a `resume` that
                belongs to another run.
            ImageError: a bad picture, `faces` of another size than the content, or a size too large for the memory.
            WeightsError: `resume` is missing or damaged, or `checkpoint` cannot be written when this is closed.
            NonFiniteError: the loss is not finite.
        """
        if every is not None:
            every = checked_whole("every", every, 1, what="number of steps")
        job = Job.checked(content, styles, settings, init, faces, carried, resumed=resume is not None, border=border)
        about = {} if checkpoint is None and resume is None else self._about(job)
        kept = None
        if resume is not None:
            leaves, found = states.read(Path(resume))
            states.check(Path(resume), found, about)
            if "init" in found:
                about.setdefault("init", found["init"])
            kept = Path(resume), leaves, found
        return _Run(self.programs, job, checkpoint, about, every, kept).iterates()

    def descend(self, job: Job) -> Iterator[Iterate]:
        """Optimise what is checked already."""
        return _Run(self.programs, job, None, {}, None, None).iterates()

    def forget(self) -> None:
        """Drop what is compiled and measured; it is made again when it is needed."""
        self.programs.forget()

    def estimate(self, content_shape: Sequence[int], settings: OptimizeSettings = OptimizeSettings()) -> float:  # noqa: B008
        """Return the seconds a run will take, from one of a few steps on a small picture, made once on this machine.

        Compiling is counted for each scale; where programs are kept on disk, a size that is new takes that much
        longer. Whether the size fits into memory is found by `run`.
        """
        height, width = int(content_shape[0]), int(content_shape[1])
        sizes = settings.scales(height, width)
        short = OptimizeSettings(
            steps=5, optimizer=settings.optimizer, history=settings.history, statistic=settings.statistic,
            pooling=settings.pooling, content_layers=settings.content_layers, style_layers=settings.style_layers,
            colors="photo" if settings.colors == "photo" else "style", init="content", smallest=PROBE_SIDE,
            keep_faces=0.0, plateau=0.0,
        )  # fmt: skip
        setup, per_pixel = self._probes.get(json.dumps(short.as_json()), lambda: self._probe(short))
        work = sum(n * h * w for n, (h, w) in zip(share_out(settings.steps, len(sizes)), sizes, strict=True))
        total = work * per_pixel + setup * len(sizes)
        return total if settings.time_budget is None else min(total, settings.time_budget)

    def _probe(self, short: OptimizeSettings) -> tuple[float, float]:
        """Return the seconds that a run takes beside its steps, and those of a step by pixel."""
        noise = np.random.default_rng(0).uniform(size=(PROBE_SIDE, PROBE_SIDE, 3)).astype(np.float32)
        began = time.perf_counter()
        rate = max(iterate.steps_per_second for iterate in self.run(noise, [(noise, 1.0)], short))
        setup = max(0.0, time.perf_counter() - began - short.steps / rate)
        return setup, 1 / (rate * PROBE_SIDE**2)

    def check_memory(
        self,
        content: Content,
        settings: OptimizeSettings = OptimizeSettings(),  # noqa: B008
        styles: Sequence[Region] | None = None,
    ) -> None:
        """Compile a run's largest size, so that one that does not fit is told before its pictures are made or measured.

        `styles` are those of the run where it has regions, which decide on the program.

        Raises:
            ConfigError: the regions are bad, or none covers anything.
            ImageError: the size does not fit into memory; names one that does, as far as it can be told.
        """
        styles = [Region(None, pixels_of(content))] if styles is None else styles
        job = Job.checked(content, styles, dataclasses.replace(settings, keep_faces=0.0), None, resumed=True)
        self.programs.steps(job, job.sizes[-1])

    @transferring
    def figures(
        self, result: Rgb, content: Content, styles: Sequence[tuple[Rgb, float]] | Sequence[Region]
    ) -> dict[str, Any]:
        """Judge a picture with this model's encoder; with `vgg19` those are the figures of the original VGG-19.

        Returns:
            style: mean over relu1_1..relu5_1 of the relative Gram error to the style (0 same; to the weighted mean of
            Gram matrices for several; of regions the mean by area); style_by_level: the five of them; content:
            `losses.content_error` of relu4_2 (0 same, 2 unrelated); ssim: `pixel_metrics.ssim` to the content, NaN
            below 11 pixels.

        Raises:
            ConfigError: no styles or a bad weight.
            ImageError: a picture of the wrong shape, type or range, or `result` and `content` of different shapes.
        """
        job = Job.checked(content, styles, OptimizeSettings(init="content", keep_faces=0.0), result, resumed=False)
        assert job.init is not None
        layers = tuple(f"relu{level}_1" for level in LEVELS)

        def grams(picture: Rgb, mask: Any = None) -> list[Array]:
            moments = self.programs.measured(picture, layers, Network(), mask)
            return [moments[layer].gram()[None] for layer in layers]

        errors = []
        for region in job.regions:
            measured = [grams(style.picture, style.mask) for style in region.styles]
            targets = [
                jnp.asarray(sum(float(share) * found[k] for share, found in zip(region.shares, measured, strict=True)))
                for k in range(len(LEVELS))
            ]
            errors.append(
                np.asarray(feature_metrics.gram_errors(grams(job.init, region.counted), targets), np.float64)[0]
            )
        by_level = np.average(errors, axis=0, weights=[region.area for region in job.regions])
        made, own = (
            self.programs.kept(picture, job.faces, job.opacity, ("relu4_2",), Network())["relu4_2"]
            for picture in (job.init, job.content)
        )
        seen = job.init if job.opacity is None else job.content + job.opacity[..., None] * (job.init - job.content)
        return {
            "style": float(by_level.mean()),
            "style_by_level": [float(v) for v in by_level],
            "content": float(content_error(made["target"], own["target"], own["counted"])[0]),
            "ssim": pixel_metrics.ssim(seen, job.content) if min(job.content.shape[:2]) >= 11 else float("nan"),
        }

    def _about(self, job: Job) -> dict[str, Any]:
        """Return what a kept state of this run belongs to."""
        weights = states.fingerprint(*jax.tree.leaves(self.programs.params))
        return {"version": __version__, "model": self.model, "weights": weights, **job.about()}


@dataclass
class _Run:
    """A run in progress and its checkpoint.

    kept: the state to go on from, with its file. latest: the last state and where it belongs. began, saved: times of
    the clock. steps_before: done at coarser scales.
    """

    programs: Programs
    job: Job
    checkpoint: Path | None
    about: Mapping[str, Any]
    every: int | None
    kept: tuple[Path, list[np.ndarray], dict[str, Any]] | None
    latest: tuple[descent.Carry, dict[str, Any]] | None = None
    began: float = 0.0
    saved: float = 0.0
    steps_before: int = 0

    def iterates(self) -> Iterator[Iterate]:
        """Go through the scales, coarsest first; the clock starts when the first iterate is asked for."""
        found = self.kept[2] if self.kept else {"seconds": 0.0, "scale": 0, "before": 0}
        self.began = time.perf_counter() - float(found["seconds"])
        self.steps_before = int(found["before"])
        sizes, before = self.job.sizes, None
        self.programs.steps(self.job, sizes[-1])  # a size that does not fit is told before anything is measured
        self.saved = time.perf_counter()
        try:
            for scale in range(int(found["scale"]), len(sizes)):
                if self.job.counts[scale]:
                    before = sizes[scale], (yield from self._scale(scale, before))
        except (GeneratorExit, KeyboardInterrupt):  # between scales the state is that of the one before
            if self.checkpoint is not None and self.latest is not None and not self.latest[0].step.is_deleted():
                self._save(self.checkpoint, time.perf_counter() - self.began)
            raise

    def _scale(self, scale: int, before: Before | None) -> Generator[Iterate, None, descent.Carry]:
        """Descend at one scale; returns the state it ends with."""
        job, programs = self.job, self.programs
        size, count, last = job.sizes[scale], job.counts[scale], scale == len(job.sizes) - 1
        terms, carry = self._start(size, before)
        weights = [float(term.weight) for term in terms]
        where = {"scale": scale, "before": self.steps_before, "term_weights": weights}
        run, dials = programs.steps(job, size), dials_of(job)
        pace = _Pace(job, scale)
        step, finished = int(jax.device_get(carry.step)), False
        while not finished:
            goal = min(step + pace.chunk, count)
            if self.every is not None:
                goal = min(goal, ((self.steps_before + step) // self.every + 1) * self.every - self.steps_before)
            clock = time.perf_counter()
            carry = run(carry, np.int32(goal), programs.params, terms, dials)
            self.latest = carry, where
            reached, flat = map(int, jax.device_get((carry.step, carry.flat)))
            taken = reached - step
            if not taken and not last:
                break  # resumed where a scale was done
            step += taken
            now = time.perf_counter()
            elapsed = now - self.began
            pace.update(taken, now - clock, elapsed)
            late = elapsed >= pace.deadline
            finished = step >= count or bool(flat) or late
            done = finished and last
            losses = _losses(carry, terms)
            unsaved = self._save_at_times(elapsed, done=done)
            yield Iterate(
                step=self.steps_before + step,
                steps=job.settings.steps,
                scale=scale + 1,
                scales=len(job.sizes),
                width=size[1],
                height=size[0],
                losses=losses,
                seconds=elapsed,
                steps_per_second=pace.rate,
                seconds_left=0.0 if done else pace.left(count - step, elapsed),
                image=job.pasted(programs.picture(job, carry, size)),
                done=done,
                reason="" if not done else "plateau" if flat else "time" if late else "steps",
                unsaved=unsaved,
            )
        self.steps_before += step
        return carry

    def _start(self, size: tuple[int, int], before: Before | None) -> tuple[Objective, descent.Carry]:
        """Measure what a scale descends towards, and make the state it starts with or take the kept one."""
        terms = self.programs.objective(self.job, size)
        carry = self.programs.begin(self.job, size, before, terms=len(terms))
        if self.kept is None:
            return self.programs.balanced(terms, self.job, size, carry), carry
        (path, leaves, found), self.kept = self.kept, None
        return weighing(terms, found["term_weights"]), states.restore(leaves, carry, path)

    def _save_at_times(self, elapsed: float, *, done: bool) -> str:
        """Keep the state at the end and every half minute; returns why that was not possible, if so."""
        unsaved = ""
        if self.checkpoint is not None and (done or time.perf_counter() - self.saved > SAVE_SECONDS):
            try:
                self._save(self.checkpoint, elapsed)
            except WeightsError as error:  # a full disk is no reason to lose the picture
                unsaved = str(error)
            self.saved = time.perf_counter()
        return unsaved

    def _save(self, path: Path, elapsed: float) -> None:
        assert self.latest is not None
        carry, where = self.latest
        states.save(Path(path), carry, {**self.about, **where, "seconds": round(elapsed, 3)})


class _Pace:
    """How a scale gets on: the steps of its next call (`chunk`), by the rate of the last, and what time is left.

    Scales share a time budget by their steps and areas; `deadline` is when this one's time is up.
    """

    def __init__(self, job: Job, scale: int) -> None:
        work = [n * h * w for n, (h, w) in zip(job.counts, job.sizes, strict=True)]
        budget = job.settings.time_budget
        self._budget = float("inf") if budget is None else budget
        self.deadline = self._budget * sum(work[: scale + 1]) / sum(work)
        self._later = sum(work[scale + 1 :]) / math.prod(job.sizes[scale])
        self.chunk, self.rate = 1, 0.0

    def update(self, steps: int, seconds: float, elapsed: float) -> None:
        """Take in how long a call took for so many steps."""
        self.rate = steps / max(seconds, 1e-6)
        wanted = self.rate * min(CHUNK_SECONDS, self.deadline - elapsed)
        self.chunk = max(1, min(int(wanted), 8 * self.chunk))

    def left(self, steps: int, elapsed: float) -> float:
        """Return the seconds for so many steps of this scale and all later ones; later steps count by area."""
        return min((steps + self._later) / max(self.rate, 1e-9), max(0.0, self._budget - elapsed))


def _losses(carry: Any, terms: Objective) -> dict[str, float]:
    found, value = jax.device_get((carry.state.terms, carry.state.value))
    if not (np.isfinite(found).all() and np.isfinite(value)):
        raise NonFiniteError(
            "the loss is not finite; give its terms smaller weights, or check the pictures and the model's tensors"
        )
    return report(found, terms)
