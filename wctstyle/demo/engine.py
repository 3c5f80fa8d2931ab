"""The studio behind the page: one model for everybody, what it measured kept at hand, and figures of results."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from wctstyle import metrics
from wctstyle.demo.looks import Look
from wctstyle.demo.pictures import Held
from wctstyle.demo.sessions import Session
from wctstyle.errors import ConfigError
from wctstyle.optimizer import Optimizer, OptimizeSettings
from wctstyle.recent import Recent
from wctstyle.stylizer import ContentCode, StyleCode, Stylizer

CODE_BYTES = 768 * 2**20
"""Memory for encoded contents of all sessions: about 32 MiB each at 512 pixels with `slim`."""

TRIAL_STEPS = 100


class Gate:
    """Lets slow work step aside while quick work goes on."""

    def __init__(self) -> None:
        self._busy = 0
        self._free = threading.Condition()

    @contextmanager
    def quick(self) -> Iterator[None]:
        """Mark quick work: a picture that somebody waits for with a finger on a slider."""
        with self._free:
            self._busy += 1
        try:
            yield
        finally:
            with self._free:
                self._busy -= 1
                self._free.notify_all()

    def give_way(self, seconds: float) -> None:
        """Wait until there is no quick work, at most so long."""
        with self._free:
            self._free.wait_for(lambda: self._busy == 0, timeout=seconds)


@dataclass(frozen=True)
class Shot:
    """A picture that was made: RGB in [0, 1], and the seconds it took."""

    image: np.ndarray
    seconds: float
    first_of_size: bool


class Engine:
    """Renders looks. Safe to share between threads."""

    def __init__(
        self,
        stylizer: Stylizer,
        *,
        optimizer: Callable[[], Optimizer] | None = None,
        code_bytes: int = CODE_BYTES,
    ) -> None:
        self.stylizer = stylizer
        self._make_optimizer = optimizer or (lambda: Optimizer(stylizer.model))
        self.gate = Gate()
        self._pixels: Recent[np.ndarray] = Recent(128 * 2**20, lambda rgb: rgb.nbytes)
        self._contents: Recent[ContentCode] = Recent(code_bytes, lambda code: code.nbytes)
        self._styles: Recent[StyleCode] = Recent(512)
        self._estimates: Recent[float] = Recent(256)

    @functools.cached_property
    def optimizer(self) -> Optimizer:
        """The optimiser, made when it is first asked for."""
        return self._make_optimizer()

    def estimate(self, shape: tuple[int, int], settings: OptimizeSettings) -> float:
        """Return about how many seconds an optimisation takes here, from a trial, one per size, method and start.

        Steps beyond those of the trial count in proportion.
        """
        trial = replace(settings, steps=TRIAL_STEPS, time_budget=None)
        key = (shape, settings.optimizer, settings.init)
        seconds = self._estimates.get(key, lambda: self.optimizer.estimate(shape, trial))
        total = seconds * settings.steps / TRIAL_STEPS
        return total if settings.time_budget is None else min(total, settings.time_budget)

    def content_rgb(self, held: Held, size: int) -> np.ndarray:
        """Return a content at a long side of at most `size`: photos are never enlarged."""
        return self._pixels.get((held.content_hash, size), lambda: held.at(size))

    def style_rgb(self, held: Held, style_size: int) -> np.ndarray:
        """Return a style picture at exactly `style_size`, so that the dial moves the strokes of any picture."""
        return held.at(style_size, enlarge=True)

    def content_code(self, held: Held, size: int) -> ContentCode:
        """Encode a content once."""
        return self._contents.get(
            (held.content_hash, size), lambda: self.stylizer.content(self.content_rgb(held, size))
        )

    def style_code(self, held: Held, style_size: int) -> StyleCode:
        """Measure a style once."""
        return self._styles.get(
            (held.content_hash, style_size), lambda: self.stylizer.style(self.style_rgb(held, style_size))
        )

    def blend(self, session: Session, look: Look) -> list[tuple[StyleCode, float]]:
        """Return the styles of a look, measured, with their weights."""
        return [(self.style_code(session.picture(id), look.style_size), weight) for id, weight in look.styles]

    def render(self, session: Session, look: Look) -> Shot:
        """Make the picture of a look.

        Raises:
            ConfigError: there is no style, or a picture is not kept any more.
        """
        if not look.styles:
            raise ConfigError("There is no style in the blend. Add one from the gallery or your own.")
        start, traces = time.perf_counter(), sum(self.stylizer.traces.values())
        with self.gate.quick():
            code = self.content_code(session.picture(look.content), look.size)
            result = self.stylizer.stylize(code, self.blend(session, look), look.settings)
        seconds = time.perf_counter() - start
        return Shot(result.image, seconds, sum(self.stylizer.traces.values()) > traces)

    def warm(self, styles: int, shapes: Sequence[tuple[int, int]] = ()) -> None:
        """Compile what visitors will need next: blends of up to so many styles, and pictures of these shapes.

        Waits whenever somebody else's picture is made.
        """
        rng = np.random.default_rng(0)
        code = self.stylizer.style(rng.uniform(size=(64, 64, 3)).astype(np.float32))
        for count in range(2, styles + 1):
            self.gate.give_way(60)
            self.stylizer.target([(code, 1.0)] * count)
        for height, width in shapes:
            self.gate.give_way(60)
            self.stylizer.stylize(rng.uniform(size=(height, width, 3)).astype(np.float32), [code])

    def figures(self, session: Session, look: Look, image: np.ndarray) -> dict[str, Any]:
        """Measure a result against its content and its blend with this model's own encoder.

        Returns {"content", "ssim", "levels": five numbers}: content is the relu4_1 error of features with each channel
        standardised (0 same, 2 unrelated); it and SSIM are None where the photo has another size. A level is the
        relative error of the moments to those of the blend, |E[xx'] - E_target[xx']|_F / |E_target[xx']|_F.
        """
        held = session.picture(look.content)
        photo = self.content_rgb(held, max(image.shape[:2]))
        target = self.stylizer.target(self.blend(session, look), kind=look.settings.blend)
        codes = [self.stylizer.content(np.ascontiguousarray(rgb)) for rgb in (image, photo)]
        features = [
            code.features[3][:, : -(-rgb.shape[0] // 8), : -(-rgb.shape[1] // 8)]
            for code, rgb in zip(codes, (image, photo), strict=True)
        ]
        content = None
        if features[0].shape == features[1].shape:
            content = float(np.asarray(metrics.content_error(features[0], features[1])).mean())
        levels = []
        if target is not None:
            got, wanted = ([m.gram()[None] for m in moments] for moments in (self.stylizer.measure(image), target))
            levels = np.asarray(metrics.gram_errors(got, wanted), np.float64)[0].tolist()
        same = image.shape == photo.shape and min(image.shape[:2]) >= metrics.SSIM_WINDOW
        return {"content": content, "ssim": metrics.ssim(image, photo) if same else None, "levels": levels}
