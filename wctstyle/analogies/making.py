"""An analogy as a whole: the filter of a pair, paint where no filter explains it, and a style on top."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from jaxtyping import Float

from wctstyle.analogies import filters
from wctstyle.analogies.filters import Filter
from wctstyle.analogies.painting import PAINTER, Paint, learn_paint
from wctstyle.errors import ConfigError
from wctstyle.settings import Settings, checked_number
from wctstyle.stylizer import Stylizer

Rgb = Float[np.ndarray, "h w 3"]

EXPLAINED = 25.0
"""Decibels on the pixels held out from which a filter explains the pair, and nothing is painted."""

LEAST_MISSING = 0.4
"""Share of the fine contrast that a filter may lack without the picture being painted."""

loaded = cache(Stylizer)
"""The stylizer of a model, loaded once."""


@dataclass(frozen=True)
class Analogy:
    """What was learned from a pair. paint: 0 is the filtered picture, 1 the one that the decoder paints by the plan.

    Example:
        >>> from wctstyle import samples
        >>> photo, other = (samples.picture(name).rgb[:64, :64] for name in ("cat", "coffee"))
        >>> analogy = learn(photo, 1 - photo, paint=0.0)  # a negative
        >>> float(abs(analogy(other) - (1 - other)).max()) < 0.05
        True
        >>> analogy.told, analogy.doubtful
        ('learned an affine map; 100.0 dB from A2 where it was tested (A itself: 10.8)', False)
        >>> np.concatenate(list(analogy.rows(other))).shape
        (64, 64, 3)
    """

    filter: Filter
    paint: float = 0.0
    plan: Paint | None = None

    def __call__(self, rgb: Rgb) -> Rgb:
        """Apply it to a picture of any size."""
        return np.concatenate(list(self.rows(rgb)))

    def rows(self, rgb: Rgb, stylizer: Callable[[str], Stylizer] = loaded) -> Iterator[Rgb]:
        """Apply it from top to bottom, some rows at a time; with paint, at once. `stylizer` returns that of a model."""
        if self.plan is None or not self.paint:
            yield from self.filter.rows(rgb)
            return
        painted = self.plan(stylizer(self.plan.model), rgb)
        yield painted if self.paint == 1 else (1 - self.paint) * self.filter(rgb) + self.paint * painted

    @property
    def doubtful(self) -> bool:
        """Whether the filter explains so little that the pair may not belong together."""
        return self.filter.residual < min(EXPLAINED, self.filter.nothing + 3)

    @property
    def told(self) -> str:
        """What was learned and how well, in a sentence."""
        near, before = self.filter.residual, self.filter.nothing
        strokes = f", painted to {self.paint:.0%}" if self.paint else ""
        words = (
            f"learned {self.filter.name}{strokes}; {near:.1f} dB from A2 where it was tested (A itself: {before:.1f})"
        )
        if self.doubtful:
            words += "; that explains little, so check that A and A2 show the same thing at the same place"
        return words


def learn(
    own: Rgb,
    goal: Rgb,
    *,
    paint: float | None = None,
    align: bool = False,
    hear: Callable[[str], None] = lambda text: None,
    stylizer: Callable[[str], Stylizer] = loaded,
) -> Analogy:
    """Learn the analogy of a pair.

    paint: how much of the result is painted; None: all where the filter does not explain the pair and lacks its fine
    contrast (strokes), else nothing. `hear` is told what is begun, and may raise to end it. `stylizer` returns
    that of a model.

    Raises:
        ConfigError: `paint` is out of range, or one picture is moved against the other.
        ImageError: their sizes differ, or are too small.

    Example:
        >>> from wctstyle import samples
        >>> photo = samples.picture("cat").rgb[:64, :64]
        >>> darker = learn(photo, 0.5 * photo, paint=0.0)
        >>> np.allclose(darker(photo), 0.5 * photo, atol=0.02), darker.paint, darker.plan
        (True, 0.0, None)
    """
    if paint is not None:
        paint = checked_number("paint", paint, 0, 1)
    own, goal = filters.laid(own, goal, align=align)
    made = filters.learn(own, goal, hear)
    if paint is None:
        lacks = made.residual < EXPLAINED and made.missing > LEAST_MISSING
        paint = 1.0 if lacks else 0.0
    if not paint:
        return Analogy(made)
    hear("Learning strokes")
    return Analogy(made, paint, learn_paint(stylizer(PAINTER), own, goal))


def repainted(analogy: Analogy, paint: float | None) -> Analogy:
    """Change how much of the result is painted; None leaves it.

    Raises:
        ConfigError: it is out of range, or the analogy has no plan to paint by.

    Example:
        >>> from wctstyle import samples
        >>> photo = samples.picture("cat").rgb[:64, :64]
        >>> repainted(learn(photo, 0.5 * photo, paint=0.0), 0.5)
        Traceback (most recent call last):
        wctstyle.errors.ConfigError: paint is 0.5, but this filter was saved without paint; learn it with paint above 0
    """
    if paint is None:
        return analogy
    paint = checked_number("paint", paint, 0, 1)
    if paint and analogy.plan is None:
        raise ConfigError(f"paint is {paint}, but this filter was saved without paint; learn it with paint above 0")
    return replace(analogy, paint=paint)


def styled(
    rgb: Rgb,
    styles: Sequence[tuple[Rgb, float]],
    strength: float,
    model: str,
    stylizer: Callable[[str], Stylizer] = loaded,
) -> Rgb:
    """Stylise what an analogy made, by some strength. `stylizer` returns that of a model."""
    return stylizer(model).stylize(rgb, list(styles), Settings(strength=strength)).image
