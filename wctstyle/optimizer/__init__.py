"""The optimiser: style transfer by optimising the pixels (Gatys et al. 2016), as a generator of iterates.

The modules import only downwards: tiled (tile by tile), run (the loop), iterate (what it yields), programs (the jitted
functions), job (the checked input), ascent (deep dream), checkpoint, memory, descent, lbfgs, objective, terms, network,
settings. Importing only `OptimizeSettings` does not import JAX.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from wctstyle.optimizer.settings import OptimizeSettings

if TYPE_CHECKING:
    from wctstyle.optimizer.iterate import Iterate
    from wctstyle.optimizer.run import Optimizer

__all__ = ["Iterate", "OptimizeSettings", "Optimizer"]

_FROM = {"Iterate": "iterate", "Optimizer": "run"}
"""Where that is defined which is imported when it is first asked for."""


def __getattr__(name: str) -> Any:
    if name in _FROM:
        return getattr(importlib.import_module(f"{__name__}.{_FROM[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
