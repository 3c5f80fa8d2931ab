"""The models of one server, each loaded when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from wctstyle import weights
from wctstyle.batch import load_stylizer
from wctstyle.errors import ConfigError
from wctstyle.settings import DEFAULT_MODEL

if TYPE_CHECKING:
    from wctstyle.dreams.dreaming import Dreamer
    from wctstyle.optimizer import Optimizer
    from wctstyle.stylizer import Stylizer

_T = TypeVar("_T")

WARM_SIDES = (512, 384)
"""Size of the picture that is painted first, as many photos have it."""


def load_optimizer(network: str) -> Optimizer:
    """Load the network of an optimisation."""
    from wctstyle.optimizer import Optimizer  # here, as it imports JAX

    return Optimizer(network)


def load_dreamer(network: str) -> Dreamer:
    """Load the network of a dream."""
    from wctstyle.dreams.dreaming import Dreamer  # here, as it imports JAX

    return Dreamer(network)


class Studio:
    """Models by name, for the painter. `model` is the usual one; `offered` are those that may be chosen.

    Raises:
        ConfigError: the usual model is not offered.
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        offered: Sequence[str] | None = None,
        stylizers: Callable[[str], Stylizer] = load_stylizer,
        optimizers: Callable[[str], Optimizer] = load_optimizer,
        dreamers: Callable[[str], Dreamer] = load_dreamer,
    ) -> None:
        installed = (status.name for status in weights.list_models() if status.available)
        self.model, self.offered = model, tuple(installed if offered is None else offered)
        if model not in self.offered:
            raise ConfigError(f"model is {model!r}, must be one of {', '.join(self.offered)} here")
        self._load_stylizer, self._load_optimizer, self._load_dreamer = stylizers, optimizers, dreamers
        self._stylizers: dict[str, Stylizer] = {}
        self._optimizers: dict[str, Optimizer] = {}
        self._dreamers: dict[str, Dreamer] = {}

    def stylizer(self, model: str) -> Stylizer:
        """Return the stylizer of a model."""
        return _made(self._stylizers, model, self._load_stylizer)

    def optimizer(self, network: str) -> Optimizer:
        """Return the optimiser with a network."""
        return _made(self._optimizers, network, self._load_optimizer)

    def dreamer(self, network: str) -> Dreamer:
        """Return what dreams with a network."""
        return _made(self._dreamers, network, self._load_dreamer)

    def warm(self) -> None:
        """Load the usual model and paint a picture, so that the first client does not wait for programs to compile."""
        noise = np.random.default_rng(0).uniform(size=(*WARM_SIDES, 3)).astype(np.float32)
        self.stylizer(self.model).stylize(noise, [noise[:, ::-1]])
        self.stylizer(self.model).forget_photos()


def _made(kept: dict[str, _T], name: str, make: Callable[[str], _T]) -> _T:
    if name not in kept:
        kept[name] = make(name)
    return kept[name]
