"""Optimise on the page: how long it takes, and a run with its previews."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from wctstyle.cutout import visible_sides
from wctstyle.demo.actions import Service, keep_image
from wctstyle.demo.composition import Composition
from wctstyle.demo.pictures import address, thumbnail
from wctstyle.demo.runs import Run
from wctstyle.demo.sessions import HistoryEntry, Losses, Session
from wctstyle.demo.sheets import FIRST_STEP, duration
from wctstyle.errors import ConfigError
from wctstyle.optimizer import Iterate, OptimizeSettings
from wctstyle.recipe import Optimisation, slow_settings
from wctstyle.settings import Settings, optimizer_model

GIVE_WAY_SECONDS = 0.5
"""How long an optimisation waits at each step for pictures that others wait for."""

ENDINGS = {"time": "The time limit was reached", "plateau": "No more progress"}
"""What ended a run before its last step."""


@dataclass(frozen=True)
class Progress:
    """How far an optimisation is: what the stage and the report show, and at the end the two results to compare."""

    stage: dict[str, Any]
    thumb: str
    step: int
    steps: int
    text: str
    losses: Losses
    fast: HistoryEntry | None = None
    kept: HistoryEntry | None = None


def optimise_settings(
    service: Service, composition: Composition, steps: float, method: str, start: str
) -> OptimizeSettings:
    """Make the optimiser's settings of a composition and of the choices on the page.

    Raises:
        ConfigError: more steps than are granted, a choice that is not offered, or colours alone, with nothing painted.
    """
    if not 1 <= steps <= service.limits.optimise_steps:
        raise ConfigError(f"steps is {steps:g}, must be from 1 to {service.limits.optimise_steps}")
    return OptimizeSettings(
        steps=int(steps),
        optimizer=method,  # pyright: ignore[reportArgumentType]
        init=start,  # pyright: ignore[reportArgumentType]
        time_budget=service.limits.optimise_seconds,
        **slow_settings(composition.settings),
    )


def estimate(
    service: Service, session: Session, composition: Composition, steps: float, method: str, start: str
) -> str:
    """Say how long an optimisation will take."""
    settings = optimise_settings(service, composition, steps, method, start)
    size = min(composition.size, service.limits.optimise_size)
    photo = service.backend.content(session.picture(composition.content), size)
    height, width = visible_sides(photo)
    seconds = service.backend.optimizer(optimizer_model(composition.model)).estimate((height, width), settings)
    text = f"About {duration(seconds)} for {settings.steps} steps at {width} × {height} on this machine, alone"
    return f"{text}; it stops at {duration(service.limits.optimise_seconds)} in any case."


# ---------------------------------------------------------------------------------------------------------- one run


def optimise(
    service: Service,
    session: Session,
    composition: Composition,
    steps: float,
    method: str = "lbfgs",
    start: str = "fast",
    stop: threading.Event | None = None,
) -> Iterator[Progress]:
    """Refine the picture of a composition; yields previews about once a second, the last with the results.

    The fast picture of the same composition is in the history too, to be compared. Stops within about a second when
    `stop` is set, and keeps what it has reached.

    Raises:
        ConfigError: a choice that is not offered, no style, or every weight 0.
    """
    stop = stop or threading.Event()
    composition = replace(composition, size=min(composition.size, service.limits.optimise_size))
    settings = optimise_settings(service, composition, steps, method, start)
    check_weights(composition)
    made = service.backend.render(session, composition)
    photo = service.backend.content(session.picture(composition.content), composition.size)
    before = address(photo.rgb, photo.alpha)

    def progress(image: np.ndarray, step: int, text: str, note: str, losses: Losses = ()) -> Progress:
        stage = {**_stage(image, photo.alpha, note), "before": before}
        return Progress(stage, thumbnail(image, photo.alpha), step, settings.steps, text, losses)

    yield progress(made.image, 0, FIRST_STEP, "the picture to start from")
    run = service.backend.optimizer(optimizer_model(composition.model)).run(
        photo,
        service.backend.pictured(session, composition, photo),
        settings,
        init=made.image if start == "fast" else None,
    )
    image, step, scales, seconds, reason = made.image, 0, 1, 0.0, ""
    losses: Losses = ()
    try:
        for iterate in run:
            image, step, scales, seconds = iterate.image, iterate.step, iterate.scales, iterate.seconds
            reason = iterate.reason
            losses = (*losses, (step, float(iterate.losses["total"]), iterate.scale))
            if stop.is_set() or session.closed.is_set() or iterate.done:
                break
            yield progress(image, step, _course(iterate), f"step {step}", losses)
            service.backend.priority.give_way(GIVE_WAY_SECONDS)
    finally:
        run.close()  # pyright: ignore[reportAttributeAccessIssue]
    if session.closed.is_set():
        return
    done = Optimisation(settings, optimizer_model(composition.model), start).ended(step, scales, reason)
    fast = _fast_entry(service, session, composition, made.image, made.seconds)
    kept = keep_image(
        service, session, composition, image, kind="optimised", seconds=seconds, losses=losses, optimisation=done
    )
    session.before_shown = None
    ending = "Stopped, the best so far is kept" if stop.is_set() else ENDINGS.get(reason, "Done")
    text = f"{ending}: {step} steps in {duration(seconds)}. It is in the history."
    yield replace(progress(image, step, text, f"optimised, {step} steps", losses), fast=fast, kept=kept)


def _stage(image: np.ndarray, alpha: np.ndarray | None, note: str) -> dict[str, Any]:
    """Say what the stage shows of a step."""
    size = {"width": image.shape[1], "height": image.shape[0]}
    return {"after": address(image, alpha), **size, "labels": ["Photo", "Optimised"], "note": note}


def _course(iterate: Iterate) -> str:
    """Say how far a run is."""
    return (
        f"Step {iterate.step} of {iterate.steps}, {iterate.steps_per_second:.1f} a second, "
        f"loss {float(iterate.losses['total']):.4g}, about {duration(iterate.seconds_left)} left"
    )


def check_painted(settings: Settings) -> None:
    """Refuse to optimise a photo that stays one.

    Raises:
        ConfigError: it does.
    """
    if settings.photo:
        raise ConfigError("Keep it a photo leaves nothing to optimise. Turn it off, then optimise.")


def check_weights(composition: Composition) -> None:
    """Refuse a blend that has nothing to optimise for.

    Raises:
        ConfigError: no style, every weight 0, or a photo that stays one.
    """
    composition.check_styled()
    check_painted(composition.settings)
    if not any(weight for blend in composition.blends.values() for _, weight, *_ in blend):
        raise ConfigError("The weights of all styles are 0. Raise one of the sliders of the blend, then optimise.")


def _fast_entry(
    service: Service, session: Session, composition: Composition, image: np.ndarray, seconds: float
) -> HistoryEntry:
    """Find the fast picture of a composition in the history, or put it there."""
    kept = session.styled(composition)
    return kept or keep_image(service, session, composition, image, kind="styled", seconds=seconds)


def submit(service: Service, session: Session, composition: Composition, steps: float, method: str, start: str) -> Run:
    """Put an optimisation in line; returns the one that runs already where there is one (`Queue.submit`).

    Raises:
        ConfigError: a choice that is not offered, no style, every weight 0, or too many waiting.
    """
    optimise_settings(service, composition, steps, method, start)
    check_weights(composition)
    run = Run(
        session,
        work=lambda stop: optimise(service, session, composition, steps, method, start, stop),
        moves=session.moves,
    )
    return service.queue.submit(run, most=service.limits.queue_size)
