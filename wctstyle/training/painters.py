"""Train a decoder to paint: like the teacher's pictures, and beyond them by what a network sees.

The encoder is fixed, so a task's mapped code is measured, planned and mapped once, by the same functions as at use, and
kept. A step then costs the decoder and the network that looks at what it painted. Against the teacher's picture:
pixels, features and Gram matrices. Beyond it: Gram matrices of the painting itself at relu1_1..relu5_1 and the photo's
relu4_2 (Gatys et al. 2016). Tasks with a part of the strength or two paintings have the teacher's picture alone.
For calm videos, the losses of `training.coherence`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from wctstyle.decoder import Decoder
from wctstyle.encoder import Encoder
from wctstyle.losses import gram, relative_error, standardized_error
from wctstyle.moments import Affine, Moments, measure
from wctstyle.plan import moved
from wctstyle.settings import LEVELS
from wctstyle.threads import limit_lapack_threads
from wctstyle.training.coherence import FLOW_NOISE, along, coherence, draw_anchors, flow_error, projection, random_flow
from wctstyle.training.encoders import Parts, relative_square
from wctstyle.training.initialize import initialize_decoder
from wctstyle.training.loop import Report, Stage, descent, run
from wctstyle.training.pictures import Painter, Pictures, floats
from wctstyle.transforms import affine, blend
from wctstyle.types import Features, Image

CONTENT_LAYER = "relu4_2"

DEFAULTS: dict[str, Any] = {
    "judge": "vgg19",
    "pixel": 10.0,
    "feature": 0.5,
    "gram": 0.5,
    "style": 0.0,
    "content": 0.0,
    "flow": 0.0,
    "coherence": 0.0,
    "range": 10.0,
}
"""Options of the stage: `judge`, the model whose encoder looks at the pictures; the weights of the losses."""

SEEN = (-0.2, 1.2)
"""What is painted is clipped to this before it is compared: `range` alone pulls back what lies further out."""

INITIAL_TASKS = 96
HELD_OUT = 50
"""One task in so many is not trained on."""


class _Task(NamedTuple):
    """What was asked of the teacher and what it painted, with the folder that holds both and the folder's number."""

    asked: np.void
    result: np.ndarray
    folder: Pictures
    folder_number: int


class Tasks:
    """The tasks of some folders of the teacher's pictures, with the mapped code of each, computed once."""

    def __init__(self, folders: Sequence[Pictures], encoder: Encoder) -> None:
        self._tasks = [
            _Task(asked, result, folder, number)
            for number, folder in enumerate(folders)
            for asked, result in zip(folder.tasks, folder.results, strict=True)
        ]
        graphdef, self._params = nnx.split(encoder)

        def look(params: Any, image: Image) -> Any:
            code = nnx.merge(graphdef, params).code(image)
            return code, measure(code)

        self._look = jax.jit(look)
        self._affine = jax.jit(affine)
        self._moved = jax.jit(moved)
        self._blend = jax.jit(lambda a, b, share: blend([a, b], jnp.stack([share, 1 - share])))
        self._seen: dict[tuple[int, int], Any] = {}
        self._styles: dict[tuple[int, int], Any] = {}
        self._mapped: dict[int, np.ndarray] = {}
        self._steps: dict[int, Affine] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def content(self, number: int) -> np.ndarray:
        """Return the photo of a task, 8 bit."""
        task = self._tasks[number]
        at = int(task.asked["content"])
        return task.folder.contents[at] if at >= 0 else task.folder.styles[-1 - at]

    def style(self, number: int) -> np.ndarray:
        """Return the first painting of a task, 8 bit."""
        task = self._tasks[number]
        return task.folder.styles[int(task.asked["styles"][0])]

    def picture(self, number: int) -> np.ndarray:
        """Return what the teacher painted, 8 bit."""
        return self._tasks[number].result

    def whole(self, number: int) -> bool:
        """Tell whether a task asks for one painting at full strength."""
        asked = self._tasks[number].asked
        return bool(asked["share"] == 1 and asked["strength"] == 1)

    def names(self, number: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Name the photo and the first painting of a task, the same for every task with them."""
        task = self._tasks[number]
        return (task.folder_number, int(task.asked["content"])), (task.folder_number, int(task.asked["styles"][0]))

    def code(self, number: int) -> np.ndarray:
        """Return the mapped code of a task, (1, h, w, c)."""
        if number not in self._mapped:
            code, _ = self._photo(number)
            mapped = self._moved(code.astype(np.float32), self._step(number), self._strength(number))
            self._mapped[number] = np.asarray(mapped, np.float16)
        return self._mapped[number].astype(np.float32)

    def frame(self, number: int, photo: np.ndarray) -> np.ndarray:
        """Return the mapped code of another photo by the task's own map, which is kept from then on."""
        if number not in self._steps:
            self._steps[number] = self._step(number)
        code, _ = self._look(self._params, photo[None])
        return np.asarray(self._moved(code, self._steps[number], self._strength(number)))

    def _strength(self, number: int) -> float:
        return float(self._tasks[number].asked["strength"])

    def _step(self, number: int) -> Affine:
        return self._affine(self._photo(number)[1], self._target(number))

    def _photo(self, number: int) -> tuple[np.ndarray, Moments]:
        photo, _ = self.names(number)
        if photo not in self._seen:
            code, moments = self._look(self._params, floats(self.content(number))[None])
            self._seen[photo] = np.asarray(code, np.float16), moments
        return self._seen[photo]

    def _target(self, number: int) -> Moments:
        asked, _, folder, folder_number = self._tasks[number]
        paintings = [(folder_number, int(s)) for s in asked["styles"]]
        for name in paintings:
            if name not in self._styles:
                self._styles[name] = self._look(self._params, floats(folder.styles[name[1]])[None])[1]
        first, second = (self._styles[name] for name in paintings)
        return first if asked["share"] == 1 else self._blend(first, second, float(asked["share"]))


class Judge:
    """A network that looks at pictures; remembers the Gram matrices of paintings and the content of photos."""

    def __init__(self, encoder: Encoder) -> None:
        self.graphdef, self.params = nnx.split(encoder)
        self._grams: dict[Any, Any] = {}
        self._contents: dict[Any, Any] = {}
        self._style = jax.jit(lambda p, x: tuple(gram(a) for a in self.levels(self.look(p, x))))
        self._content = jax.jit(lambda p, x: self.look(p, x, upto="conv" + CONTENT_LAYER[4:])[CONTENT_LAYER])

    def look(self, params: Any, image: Image, *, upto: str = "conv5_1") -> dict[str, Features]:
        """Return the network's activations."""
        return nnx.merge(self.graphdef, params).activations(image, upto=upto)

    @staticmethod
    def levels(acts: Mapping[str, Features]) -> tuple[Features, ...]:
        """Pick relu1_1..relu5_1."""
        return tuple(acts[f"relu{k}_1"] for k in LEVELS)

    def wanted(self, tasks: Tasks, numbers: Sequence[int]) -> tuple[tuple[Any, ...], Any]:
        """Return the Gram matrices that the tasks' pictures are to have, per level, and their content."""
        for number in numbers:
            photo, painting = tasks.names(number)
            if painting not in self._grams:
                grams = self._style(self.params, floats(tasks.style(number))[None])
                self._grams[painting] = tuple(np.asarray(g, np.float16) for g in grams)
            if photo not in self._contents:
                content = self._content(self.params, floats(tasks.content(number))[None])
                self._contents[photo] = np.asarray(content, np.float16)
        named = [tasks.names(number) for number in numbers]
        grams = zip(*(self._grams[painting] for _, painting in named), strict=True)
        return (
            tuple(np.concatenate(level).astype(np.float32) for level in grams),
            np.concatenate([self._contents[photo] for photo, _ in named]).astype(np.float32),
        )


class Batch(NamedTuple):
    """What a step takes of some tasks; what no loss of the stage asks for is empty.

    code, picture: what is decoded, and what the teacher painted. whole: 1 for tasks of full strength with one painting.
    grams, content: what the judge is to see. frame: mapped codes of moved photos, and the flows. anchors: positions.
    """

    code: Any
    picture: Any
    whole: Any
    grams: tuple[Any, ...]
    content: Any
    frame: tuple[Any, ...]
    anchors: Any


class Lesson:
    """The losses of a stage, and the batches that they take."""

    def __init__(self, tasks: Tasks, eye: Judge, decoder: nnx.GraphDef[Decoder], options: Mapping[str, Any]) -> None:
        self.tasks, self.eye, self.decoder, self.options = tasks, eye, decoder, options
        self._like = bool(options["feature"] or options["gram"])
        self._beyond = bool(options["style"] or options["content"] or options["coherence"])
        self._move = jax.jit(along)

    def loss(self, learned: Any, judge_params: Any, batch: Batch) -> tuple[jax.Array, Parts]:
        """Return the weighted sum of the losses, and each of them."""
        o, eye = self.options, self.eye
        paint = nnx.merge(self.decoder, learned["decoder"])
        out = paint(batch.code)
        parts: Parts = {
            "pixel": jnp.mean((out - batch.picture) ** 2),
            "range": jnp.mean((out - jnp.clip(out, 0, 1)) ** 2),
        }
        acts = eye.look(judge_params, jnp.clip(out, *SEEN))
        seen = eye.levels(acts)
        if self._like:
            taught = jax.lax.stop_gradient(eye.levels(eye.look(judge_params, batch.picture)))
            pairs = list(zip(seen, taught, strict=True))
            parts["feature"] = jnp.asarray(sum(relative_square(a, b) for a, b in pairs))
            parts["gram"] = jnp.asarray(sum(relative_error(gram(a), gram(b)).mean() for a, b in pairs))
        if self._beyond:
            count = jnp.maximum(batch.whole.sum(), 1)
            for k, (a, want) in enumerate(zip(seen, batch.grams, strict=True), start=1):
                parts[f"style{k}"] = jnp.sum(batch.whole * relative_error(gram(a), want, epsilon=1e-6)) / count
            parts["style"] = jnp.asarray(sum(parts[f"style{k}"] for k in LEVELS)) / len(LEVELS)
            errors = standardized_error(acts[CONTENT_LAYER], batch.content)
            parts["content"] = jnp.sum(batch.whole * errors) / count
        if o["flow"]:
            moved_code, flows = batch.frame
            parts["flow"] = flow_error(jnp.clip(out, *SEEN), jnp.clip(paint(moved_code), *SEEN), flows)
        if o["coherence"]:
            parts["coherence"] = coherence(acts[CONTENT_LAYER], batch.content, batch.anchors, learned["projection"])
        weighted = ("pixel", "range", "feature", "gram", "style", "content", "flow", "coherence")
        return jnp.asarray(sum(o[name] * parts[name] for name in weighted if name in parts)), parts

    def batch(self, numbers: Sequence[int], rng: np.random.Generator) -> Batch:
        """Put some tasks together."""
        tasks = self.tasks
        grams, content = self.eye.wanted(tasks, numbers) if self._beyond else ((), np.zeros(0))
        whole = np.array([tasks.whole(n) for n in numbers], np.float32)
        anchors = draw_anchors(rng, *content.shape[1:3]) if self.options["coherence"] else ()
        return Batch(
            np.concatenate([tasks.code(n) for n in numbers]),
            floats(np.stack([tasks.picture(n) for n in numbers])),
            whole, grams, content, self._frames(numbers, rng), anchors,
        )  # fmt: skip

    def _frames(self, numbers: Sequence[int], rng: np.random.Generator) -> tuple[Any, ...]:
        if not self.options["flow"]:
            return ()
        flows, codes = [], []
        for number in numbers:
            photo = floats(self.tasks.content(number))
            flows.append(random_flow(rng, len(photo)))
            noise = rng.uniform(0, FLOW_NOISE) * photo.std() * rng.standard_normal(photo.shape)
            second = np.clip(np.asarray(self._move(photo, flows[-1])) + noise, 0, 1)
            codes.append(self.tasks.frame(number, second.astype(np.float32)))
        return np.concatenate(codes), np.stack(flows)


def train_painter(
    encoder: Encoder,
    decoder: Decoder,
    judge: Encoder,
    stage: Stage,
    *,
    pictures: Sequence[Pictures],
    painter: Mapping[str, np.ndarray],
    seed: int,
    initialize: bool,
    checkpoint: Path,
    report: Report,
) -> None:
    """Train `decoder` in place on the teacher's `pictures`; with `initialize` it starts from least squares."""
    limit_lapack_threads()
    options = DEFAULTS | stage.options
    tasks, eye = Tasks(pictures, encoder), Judge(judge)
    if initialize and not checkpoint.exists():
        _initialize(decoder, tasks, painter)
    graphdef, params = nnx.split(decoder, nnx.Param)
    learned = {"decoder": params, "projection": {}}
    if options["coherence"]:
        channels = judge.config.channels[int(CONTENT_LAYER[4]) - 1]
        learned["projection"] = projection(np.random.default_rng(seed), channels)
    lesson = Lesson(tasks, eye, graphdef, options)
    update, look = jax.jit(descent(stage, lesson.loss)), jax.jit(lesson.loss)
    trained = [n for n in range(len(tasks)) if n % HELD_OUT]

    def step(learned: Any, opt_state: Any, index: int) -> tuple[Any, Any, Parts]:
        rng = np.random.default_rng((seed, index))
        numbers = [trained[int(i)] for i in rng.integers(len(trained), size=stage.batch)]
        return update(learned, opt_state, eye.params, lesson.batch(numbers, rng))

    learned = run(stage, learned, step, checkpoint=checkpoint, report=report)
    nnx.update(decoder, learned["decoder"])
    unseen = [n for n in range(len(tasks)) if not n % HELD_OUT][: 8 * stage.batch]
    rng = np.random.default_rng(seed)
    parts = [
        look(learned, eye.params, lesson.batch(unseen[k : k + stage.batch], rng))[1]
        for k in range(0, len(unseen) - stage.batch + 1, stage.batch)
    ]
    if parts:
        report({"stage": stage.kind} | {f"unseen_{k}": float(np.mean([p[k] for p in parts])) for k in parts[0]})


def _initialize(decoder: Decoder, tasks: Tasks, painter: Mapping[str, np.ndarray]) -> None:
    """Start from least squares on the first tasks of full strength with one painting."""
    numbers = [n for n in range(len(tasks)) if n % HELD_OUT and tasks.whole(n)][:INITIAL_TASKS]
    teacher = Painter(painter)
    codes = []
    for number in numbers:
        code, content = teacher.encode(floats(tasks.content(number))[None])
        _, target = teacher.encode(floats(tasks.style(number))[None])
        codes.append(np.asarray(teacher.map(code, content, target)))
    initialize_decoder(
        decoder,
        painter,
        np.concatenate([tasks.code(n) for n in numbers]),
        np.concatenate(codes),
        floats(np.stack([tasks.picture(n) for n in numbers])),
    )
