"""What `wctstyle optimize` and `wctstyle compare` do alike: paint a request in one pass, follow a run."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn

from wctstyle import optimization
from wctstyle.cli.console import Stop, progress_bar, say, waiting, warn
from wctstyle.cli.options import option_names
from wctstyle.errors import WeightsError
from wctstyle.optimization import Request, Wanted

if TYPE_CHECKING:
    from wctstyle.optimizer import Iterate, Optimizer


@option_names()
def read_request(wanted: Wanted) -> Request:
    """Do as `optimization.read_request`; errors name options."""
    return optimization.read_request(wanted, warn)


def paint_fast(request: Request) -> tuple[np.ndarray, float]:
    """Stylise in one pass; returns the picture and the seconds it took."""
    from wctstyle.stylizer import Stylizer

    clock = time.perf_counter()
    with waiting("painting the fast picture"):
        fast = request.recipe.fast
        result = Stylizer(fast.model).stylize(request.content, request.regions, fast.settings)
    return result.image, time.perf_counter() - clock


def load_optimizer(model: str) -> Optimizer:
    """Return the optimiser, its programs kept from run to run."""
    from wctstyle.compilation import enable_compilation_cache
    from wctstyle.optimizer import Optimizer

    enable_compilation_cache()
    return Optimizer(model)


def optimizer_for(request: Request) -> Optimizer:
    """Return the optimiser that a request asks for; one that there is no memory for is refused."""
    with waiting("getting ready"):
        engine = load_optimizer(request.model)
        engine.check_memory(request.content, request.settings, request.regions)
    return engine


def describe(iterate: Iterate) -> dict[str, Any]:
    """Write an iterate as --json prints it."""
    return {
        "step": iterate.step,
        "steps": iterate.steps,
        "scale": iterate.scale,
        "scales": iterate.scales,
        "width": iterate.width,
        "height": iterate.height,
        "seconds": round(iterate.seconds, 2),
        "steps_per_second": round(iterate.steps_per_second, 3),
        "seconds_left": round(iterate.seconds_left, 1),
        "losses": {name: round(value, 6) for name, value in iterate.losses.items()},
    }


def status(iterate: Iterate) -> str:
    """Write an iterate as the live bar shows it."""
    losses = iterate.losses
    minutes, seconds = divmod(round(iterate.seconds_left), 60)
    return (
        f"{iterate.width}x{iterate.height}  loss {losses['total']:.4f}  style {losses['style']:.3f}  "
        f"content {losses['content']:.3f}  tv {losses['tv']:.3f}  {iterate.steps_per_second:.1f} it/s  "
        f"{minutes}:{seconds:02d} left"
    )


def watch(
    iterates: Iterator[Iterate], steps: int, *, as_json: bool, each: Any = None, trace: list[Any] | None = None
) -> tuple[Iterate, bool]:
    """Follow a run with a live bar; returns the last iterate, not `done` after Ctrl-C, and whether it can go on."""
    columns = (SpinnerColumn(), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    stop, last, warned, kept = Stop("this step"), None, False, True
    with progress_bar(*columns) as progress, stop.listening():
        task = progress.add_task("compiling", total=steps)
        for iterate in iterates:
            last = iterate
            progress.update(task, completed=iterate.step, description=status(iterate))
            if as_json and not iterate.done:
                say(json.dumps(describe(iterate)), progress)
            if trace is not None:
                trace.append(describe(iterate))
            if each is not None:
                each(iterate)
            if iterate.unsaved and not iterate.done and not warned:
                _warn_unsaved(iterate.unsaved)
                warned = True
            if stop.wanted and not iterate.done:
                try:
                    iterates.close()  # pyright: ignore[reportAttributeAccessIssue] (it is a generator)
                except WeightsError as error:
                    _warn_unsaved(str(error))
                    kept = False
                break
    if last is None:
        raise KeyboardInterrupt("Stopped before the first step.")
    return last, kept


def _warn_unsaved(why: str) -> None:
    warn(f"the state of the run could not be kept, so --resume will not find it: {why}")
