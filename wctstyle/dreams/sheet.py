"""A sheet of what the channels of a layer respond to: one small picture each, from grey noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import jax
import numpy as np
from jaxtyping import Float

from wctstyle.dreams.dreaming import Dreamer
from wctstyle.dreams.settings import SHEET, DreamSettings
from wctstyle.images.sheets import sheet
from wctstyle.optimizer.ascent import checked

CELL = 72
"""Side in pixels of a channel's picture."""

BATCH = 16
"""Channels at a time."""

NOISE = 0.05
"""Standard deviation of the noise around mid grey that a picture starts from."""


@dataclass(frozen=True)
class Cells:
    """Some channels and their pictures: `done` of `total` are ready."""

    channels: tuple[int, ...]
    pictures: Float[np.ndarray, "n h w 3"]
    done: int
    total: int


def cells(dreamer: Dreamer, settings: DreamSettings = SHEET) -> Iterator[Cells]:
    """Make a picture of each channel that the settings name, some at a time; of all where they name none.

    All start from the same noise. Where nothing in it excites a channel, its picture stays grey noise.

    Raises:
        ConfigError: the layer does not have a channel.
        NonFiniteError: a picture is not finite.
    """
    (layer, *_), ascent = settings.layers, dreamer.ascent
    total = settings.channels or tuple(range(ascent.width(layer)))
    sizes = settings.sizes(CELL, CELL)
    noise = np.random.default_rng(settings.seed).normal(0.5, NOISE, (*sizes[0], 3)).astype(np.float32)
    noise = np.clip(noise, 0, 1)
    (term,) = ascent.terms(noise, (layer,), total)
    for first in range(0, len(total), BATCH):
        some = total[first : first + BATCH]
        filled = (*some, *some[:1] * (BATCH - len(some)))  # so that one program serves the last as well
        terms = (replace(term, chosen=np.stack([ascent.chosen(layer, [channel]) for channel in filled])),)
        rng = np.random.default_rng([settings.seed, 1])
        x = np.repeat(noise[None], BATCH, axis=0)
        for size in sizes:
            x = np.clip(jax.image.resize(x, (BATCH, *size, 3), "cubic"), 0, 1)
            for _ in range(settings.steps):
                shift = rng.integers(-settings.jitter, settings.jitter + 1, 2)
                x = ascent.step(x, terms, shift, settings.strength)
            x = checked(x)
        yield Cells(some, x[: len(some)], first + len(some), len(total))


def laid_out(made: list[Cells], columns: int | None = None) -> Float[np.ndarray, "h w 3"]:
    """Lay out the pictures of channels with their numbers."""
    pictures = np.concatenate([part.pictures for part in made])
    return sheet(pictures, [str(channel) for part in made for channel in part.channels], columns=columns)
