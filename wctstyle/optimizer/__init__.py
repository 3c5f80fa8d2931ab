"""The optimiser: style transfer by optimising the pixels (Gatys et al. 2016), as a generator of iterates.

The modules import only downwards: tiled (tile by tile), run (the loop), programs (the jitted functions), job (the
checked input), ascent (deep dream), checkpoint, memory, descent, lbfgs, objective, terms, network, settings. Importing
only `OptimizeSettings` does not import JAX.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wctstyle.optimizer.settings import OptimizeSettings

if TYPE_CHECKING:
    from wctstyle.optimizer.run import Iterate, Optimizer

__all__ = ["Iterate", "OptimizeSettings", "Optimizer"]


def __getattr__(name: str) -> Any:
    if name in ("Iterate", "Optimizer"):
        from wctstyle.optimizer import run

        return getattr(run, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
