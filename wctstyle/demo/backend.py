"""The studio behind the page: the models, what they measured kept at hand, and figures of results."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np

from wctstyle import images, weights
from wctstyle.codes import StyleCode
from wctstyle.compilation import forget_programs
from wctstyle.cutout import visible_sides
from wctstyle.demo.composition import Composition
from wctstyle.demo.pictures import StoredPicture
from wctstyle.demo.sessions import Session
from wctstyle.errors import ConfigError, WeightsError
from wctstyle.optimizer import Optimizer
from wctstyle.recent import Recent
from wctstyle.settings import DEFAULT_OPTIMIZER_MODEL, DEFAULT_STROKE_SCALE
from wctstyle.stylizer import Stylizer

log = logging.getLogger("wctstyle.demo")

CODE_BYTES = 96 * 2**20
"""Memory for encoded pictures of all sessions and models."""

PIXEL_BYTES = 32 * 2**20
"""Memory for photos at the sizes that were asked for last."""

_T = TypeVar("_T")


def installed() -> tuple[str, ...]:
    """Return the models whose weights are on this machine."""
    return tuple(status.name for status in weights.list_models() if status.available)


class Priority:
    """Lets slow work step aside while quick work goes on."""

    def __init__(self) -> None:
        self._busy, self._since = 0, time.monotonic()
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
                self._since = time.monotonic()
                self._free.notify_all()

    def idle(self) -> float:
        """Return for how many seconds there has been no quick work."""
        with self._free:
            return 0.0 if self._busy else time.monotonic() - self._since

    def give_way(self, seconds: float) -> None:
        """Wait until there is no quick work, at most so long."""
        with self._free:
            self._free.wait_for(lambda: self._busy == 0, timeout=seconds)


@dataclass(frozen=True)
class Rendered:
    """A picture that was made: RGB in [0, 1], and the seconds it took."""

    image: np.ndarray
    seconds: float
    first_of_size: bool


class Backend:
    """Renders compositions. Safe to share between threads.

    There is one `Stylizer` a model and one `Optimizer` a network; but for `first`, each is made when it is first asked
    for. All stylizers share the cache of the first. `offered` are the models that may be chosen, by default those that
    are installed.
    """

    def __init__(
        self,
        first: Stylizer,
        *,
        offered: Sequence[str] | None = None,
        make_stylizer: Callable[..., Stylizer] = Stylizer,
        make_optimizer: Callable[[str], Optimizer] = Optimizer,
    ) -> None:
        self.model = first.model
        self.offered = tuple(dict.fromkeys([*(installed() if offered is None else offered), first.model]))
        self.priority = Priority()
        self._make_stylizer = partial(make_stylizer, cache=first.cache)
        self._make_optimizer = make_optimizer
        self._stylizers: dict[str, Stylizer] = {first.model: first}
        self._optimizers: dict[str, Optimizer] = {}
        self._making = threading.Lock()
        self._pixels: Recent[images.Picture] = Recent(PIXEL_BYTES, lambda picture: picture.rgb.nbytes)

    def stylizer(self, model: str) -> Stylizer:
        """Return the stylizer of a model.

        Raises:
            ConfigError: the model is not offered here, or its weights cannot be read.
        """
        if model not in self.offered:
            raise ConfigError(f"model is {model!r}, must be one of {', '.join(self.offered)} here")
        return self._made(self._stylizers, model, self._make_stylizer)

    def optimizer(self, network: str) -> Optimizer:
        """Return the optimiser with a network.

        Raises:
            ConfigError: its weights cannot be read.
        """
        return self._made(self._optimizers, network, self._make_optimizer)

    def _made(self, kept: dict[str, _T], name: str, make: Callable[[str], _T]) -> _T:
        if name in kept:
            return kept[name]  # without waiting for another one that is being made
        with self._making:  # two visitors are not to load one model twice
            if name not in kept:
                try:
                    kept[name] = make(name)
                except WeightsError as error:  # it names files of this machine
                    log.error("%s", error)
                    raise ConfigError(f"The model {name} cannot be loaded here. Choose another quality.") from error
            return kept[name]

    def content(self, held: StoredPicture, size: int) -> images.Picture:
        """Return a content, with its opacity, at a long side of at most `size`: photos are never enlarged."""
        return self._pixels.get((held.content_hash, size), lambda: held.as_content(size))

    def styles_rgb(
        self, session: Session, composition: Composition, photo: images.Picture
    ) -> list[tuple[np.ndarray, float]]:
        """Return the style pictures of a composition at the size for a result of this photo, with their weights."""
        result, scale = max(visible_sides(photo)), composition.stroke_scale
        return [(session.picture(id).as_style(result, scale), weight) for id, weight in composition.styles]

    def style_code(
        self, held: StoredPicture, result: int, model: str, stroke_scale: float = DEFAULT_STROKE_SCALE
    ) -> StyleCode:
        """Measure a style for a result of this long side once."""
        key = f"{held.content_hash} {result} {stroke_scale}"
        return self.stylizer(model).style_of(key, lambda: held.as_style(result, stroke_scale))

    def render(self, session: Session, composition: Composition) -> Rendered:
        """Make the picture of a composition.

        Raises:
            ConfigError: there is no style, a picture is not kept any more, or the model is not offered here.
        """
        if not composition.styles:
            raise ConfigError("There is no style in the blend. Add one from the gallery or your own.")
        start = time.perf_counter()
        with self.priority.quick():
            stylizer = self.stylizer(composition.model)
            photo = self.content(session.picture(composition.content), composition.size)
            longest, scale = max(visible_sides(photo)), composition.stroke_scale
            blend = [
                (self.style_code(session.picture(id), longest, composition.model, scale), weight)
                for id, weight in composition.styles
            ]
            result = stylizer.stylize(photo, blend, composition.settings)
        return Rendered(result.image, time.perf_counter() - start, result.first_of_size)

    def warm(self, styles: int, shapes: Sequence[tuple[int, int]] = ()) -> None:
        """Compile what visitors will need next: blends of up to so many styles, and pictures of these shapes.

        Waits whenever somebody else's picture is made.
        """
        stylizer, rng = self.stylizer(self.model), np.random.default_rng(0)
        code = stylizer.style(rng.uniform(size=(64, 64, 3)).astype(np.float32))
        for count in range(2, styles + 1):
            self.priority.give_way(60)
            stylizer.target([(code, 1.0)] * count)
        for height, width in shapes:
            self.priority.give_way(60)
            stylizer.stylize(rng.uniform(size=(height, width, 3)).astype(np.float32), [code])

    def forget(self) -> None:
        """Drop what is encoded and compiled: what is needed next takes a moment longer."""
        self._pixels.clear()
        for kept in (*self._stylizers.values(), *self._optimizers.values()):
            kept.forget()
        forget_programs()

    def figures(self, session: Session, composition: Composition, image: np.ndarray) -> dict[str, Any]:
        """Measure a result against its content and its blend: `Optimizer.figures`, with one network for all results.

        Content and SSIM are None where the photo has another size, style is None and has no levels where every weight
        is 0.
        """
        longest = max(image.shape[:2])
        photo = self.content(session.picture(composition.content), longest)
        same = image.shape == photo.rgb.shape
        styles = self.styles_rgb(session, composition, photo if same else images.Picture(image))
        judge = self.optimizer(DEFAULT_OPTIMIZER_MODEL)
        styled = any(weight > 0 for _, weight in styles)
        figures = judge.figures(image, photo if same else image, styles if styled else [(image, 1.0)])
        if not same:
            figures |= {"content": None, "ssim": None}
        elif math.isnan(figures["ssim"]):
            figures["ssim"] = None
        return figures if styled else {**figures, "style": None, "style_by_level": []}
