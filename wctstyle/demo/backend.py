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
from wctstyle.demo.composition import FACES, Composition
from wctstyle.demo.masking import Part, kind_of, ready_made
from wctstyle.demo.pictures import StoredPicture
from wctstyle.demo.sessions import Session
from wctstyle.dreams.dreaming import Dreamer
from wctstyle.errors import ConfigError, ImageError, WeightsError
from wctstyle.inputs import Strokes, feathered, style_sides
from wctstyle.optimizer import Optimizer
from wctstyle.recent import Recent
from wctstyle.regions import Region, Style, named_regions, shares
from wctstyle.settings import DEFAULT_OPTIMIZER_MODEL
from wctstyle.stylizer import Stylizer

log = logging.getLogger("wctstyle.demo")

CODE_BYTES = 96 * 2**20
"""Memory for encoded pictures of all sessions and models."""

PIXEL_BYTES = 32 * 2**20
"""Memory for photos at the sizes that were asked for last, and as much for masks."""

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

    There is one `Stylizer` a model, and one `Optimizer` and one `Dreamer` a network; but for `first`, each is made when
    it is first asked for. All stylizers share the cache of the first. `offered` are the models that may be chosen, by
    default those that are installed.
    """

    def __init__(
        self,
        first: Stylizer,
        *,
        offered: Sequence[str] | None = None,
        make_stylizer: Callable[..., Stylizer] = Stylizer,
        make_optimizer: Callable[[str], Optimizer] = Optimizer,
        make_dreamer: Callable[[str], Dreamer] = Dreamer,
    ) -> None:
        self.model = first.model
        self.offered = tuple(dict.fromkeys([*(installed() if offered is None else offered), first.model]))
        self.priority = Priority()
        self._make_stylizer = partial(make_stylizer, cache=first.cache)
        self._make_optimizer, self._make_dreamer = make_optimizer, make_dreamer
        self._stylizers: dict[str, Stylizer] = {first.model: first}
        self._optimizers: dict[str, Optimizer] = {}
        self._dreamers: dict[str, Dreamer] = {}
        self.channel_sheets: dict[tuple[str, str], np.ndarray] = {}
        """Sheets of channels that were made, 8 bits, by network and layer."""
        self.painted: Callable[[str, float], None] = lambda model, seconds: None
        """Told of each picture that was painted: the model, and the seconds it took."""
        self._making = threading.Lock()
        self._planes: Recent[np.ndarray] = Recent(PIXEL_BYTES, lambda plane: plane.nbytes)
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

    def dreamer(self, network: str) -> Dreamer:
        """Return what dreams with a network.

        Raises:
            ConfigError: its weights cannot be read.
        """
        return self._made(self._dreamers, network, self._make_dreamer)

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

    def style_code(
        self, held: StoredPicture, sides: tuple[int, int], model: str, part: Part | None = None
    ) -> StyleCode:
        """Measure a style, or the part of it inside a mask, at these sides (`inputs.style_sides`) once."""
        key = f"{held.content_hash} {sides} {'' if part is None else part.key}"
        return self.stylizer(model).style_of(key, lambda: held.as_style(sides, part and part.plane()))

    def regions(
        self,
        session: Session,
        composition: Composition,
        photo: images.Picture,
        style: Callable[[StoredPicture, tuple[int, int], Part | None], Any],
        *,
        found_in: images.Picture | None = None,
    ) -> list[Region]:
        """Put the styles of a composition into its regions, as a command does (`inputs.regions_for`).

        `style` brings a picture to its sides, with the mask of its part. Masks that are found in the photo may be found
        in another size of it.

        Raises:
            ConfigError: a picture or mask is not kept any more.
            ImageError: a ready-made mask is not found in the photo.
        """
        specs, dials, feather = composition.specs, composition.region_dials, composition.feather
        sides = style_sides(specs, dials, Strokes(stroke_scale=composition.stroke_scale), max(visible_sides(photo)))
        named = []
        for spec, side in zip(specs, sides, strict=True):
            held = session.picture(spec.source)
            part = part_of(session, held, spec.mask) if spec.mask else None
            named.append((style(held, side, part), spec.weight, spec.region))

        def found(kind: str) -> np.ndarray:
            at = found_in or photo
            return self._planes.get((kind, at.content_hash), lambda: ready_made(kind, at))

        def softened(id: str) -> np.ndarray:
            held = None if kind_of(id) else session.mask(id)
            key = (id, held and held.key, photo.content_hash, feather)
            return self._planes.get(key, lambda: feathered(held.plane if held else found(kind_of(id)), photo, feather))

        def faces() -> np.ndarray | None:
            try:
                return softened(FACES)
            except ImageError:
                return None

        masks = {name: softened(id) for name, id in composition.region_masks.items()}
        return named_regions(named, masks, faces, dials)

    def pictured(self, session: Session, composition: Composition, photo: images.Picture, **found: Any) -> list[Region]:
        """Do as `regions`, with the styles as pictures."""

        def style(held: StoredPicture, sides: tuple[int, int], part: Part | None) -> Style:
            return held.as_style(sides, part and part.plane())

        return self.regions(session, composition, photo, style, **found)

    def render(self, session: Session, composition: Composition) -> Rendered:
        """Make the picture of a composition.

        Raises:
            ConfigError: there is no style, a picture or mask is not kept any more, or the model is not offered here.
            ImageError: a ready-made mask is not found in the photo.
        """
        composition.check_styled()
        start = time.perf_counter()
        with self.priority.quick():
            stylizer = self.stylizer(composition.model)
            photo = self.content(session.picture(composition.content), composition.size)

            def code(held: StoredPicture, sides: tuple[int, int], part: Part | None) -> StyleCode:
                return self.style_code(held, sides, composition.model, part)

            regions = self.regions(session, composition, photo, code)
            result = stylizer.stylize(photo, regions, composition.settings)
        seconds = time.perf_counter() - start
        self.painted(composition.model, seconds)
        return Rendered(result.image, seconds, result.first_of_size)

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
        self._planes.clear()
        for kept in (*self._stylizers.values(), *self._optimizers.values(), *self._dreamers.values()):
            kept.forget()
        forget_programs()

    def figures(self, session: Session, composition: Composition, image: np.ndarray) -> dict[str, Any]:
        """Measure a result against its content and its styles: `Optimizer.figures`, with one network for all results.

        Content and SSIM are None where the photo has another size. Style, the mean of all regions with styles by their
        areas, is None and has no levels where every weight is 0 or no region with a style covers any of the photo.
        """
        longest = max(image.shape[:2])
        photo = self.content(session.picture(composition.content), longest)
        same = image.shape == photo.rgb.shape
        shown = photo if same else images.Picture(image)
        regions = self.pictured(session, composition, shown, found_in=photo)
        judge = self.optimizer(DEFAULT_OPTIMIZER_MODEL)
        styled = _covered(regions, shown)
        figures = judge.figures(image, shown, regions if styled else [(image, 1.0)])
        if not same:
            figures |= {"content": None, "ssim": None}
        elif math.isnan(figures["ssim"]):
            figures["ssim"] = None
        return figures if styled else {**figures, "style": None, "style_by_level": []}


def part_of(session: Session, style: StoredPicture, id: str) -> Part:
    """Return the part of a style by the id of its mask, which may be found in the style."""
    if kind := kind_of(id):
        return Part(id, lambda: ready_made(kind, images.load(style.pixels), style.name))
    mask = session.mask(id)
    return Part(mask.key, lambda: mask.plane)


def _covered(regions: Sequence[Region], photo: images.Picture) -> bool:
    """Say whether a style has any of a photo."""
    planes = shares(regions, photo.height, photo.width)
    return any(
        (plane is None or plane.any()) and any(weight > 0 for _, weight in region.styles)
        for region, plane in zip(regions, planes, strict=True)
    )
