"""Optimise on the page: how long it takes, and the run with its previews."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from wctstyle.demo.actions import Service, keep_image
from wctstyle.demo.composition import Composition
from wctstyle.demo.pictures import address
from wctstyle.demo.sessions import HistoryEntry, Losses, Session
from wctstyle.demo.sheets import duration
from wctstyle.errors import ConfigError
from wctstyle.optimizer import OptimizeSettings
from wctstyle.recipe import Optimisation
from wctstyle.settings import optimizer_model

GIVE_WAY_SECONDS = 0.5
"""How long an optimisation waits at each step for pictures that others wait for."""

KEEP_COLORS_BELOW = 0.5
"""From this Color on Optimise paints in the style's colours, below it in the photo's: there is nothing between."""


@dataclass(frozen=True)
class Progress:
    """How far an optimisation is: what the stage and the sheet show, and at the end the result that was kept."""

    stage: dict[str, Any]
    step: int
    steps: int
    text: str
    losses: Losses
    kept: HistoryEntry | None = None


def optimise_settings(
    service: Service, composition: Composition, steps: float, method: str, start: str
) -> OptimizeSettings:
    """Make the optimiser's settings of a composition and of the choices on the page.

    It goes as far as the style at most, and takes either the style's colours or the photo's.

    Raises:
        ConfigError: more steps than are granted, or a choice that is not offered.
    """
    if not 1 <= steps <= service.limits.optimise_steps:
        raise ConfigError(f"steps is {steps:g}, must be from 1 to {service.limits.optimise_steps}")
    return OptimizeSettings(
        steps=int(steps),
        optimizer=method,  # pyright: ignore[reportArgumentType]
        init=start,  # pyright: ignore[reportArgumentType]
        strength=min(composition.settings.strength, 1.0),
        blend=composition.settings.blend,
        original_colors=composition.settings.color < KEEP_COLORS_BELOW,
        keep_faces=composition.settings.keep_faces,
        time_budget=service.limits.optimise_seconds,
    )


def estimate(
    service: Service, session: Session, composition: Composition, steps: float, method: str, start: str
) -> str:
    """Say how long an optimisation will take."""
    settings = optimise_settings(service, composition, steps, method, start)
    size = min(composition.size, service.limits.optimise_size)
    height, width = service.backend.content_rgb(session.picture(composition.content), size).shape[:2]
    seconds = service.backend.estimate((height, width), settings, optimizer_model(composition.model))
    text = f"About {duration(seconds)} for {settings.steps} steps at {width} × {height} on this machine, alone"
    return f"{text}; it stops at {duration(service.limits.optimise_seconds)} in any case."


def optimise(
    service: Service,
    session: Session,
    composition: Composition,
    steps: float,
    method: str = "lbfgs",
    start: str = "fast",
) -> Iterator[Progress]:
    """Refine the picture of a composition; yields previews about once a second, the last with the result.

    Stops within about a second when `session.stop` is set, and keeps what it has reached.

    Raises:
        ConfigError: a choice that is not offered, no style, or every weight 0.
    """
    composition = replace(composition, size=min(composition.size, service.limits.optimise_size))
    settings = optimise_settings(service, composition, steps, method, start)
    if composition.styles and not any(composition.shares):
        raise ConfigError("The weights of all styles are 0. Raise one of the sliders of the blend, then optimise.")
    made = service.backend.render(session, composition)
    photo = service.backend.content_rgb(session.picture(composition.content), composition.size)
    styles = service.backend.styles_rgb(session, composition, max(photo.shape[:2]))
    network = optimizer_model(composition.model)
    before = address(photo)

    def shown(image: np.ndarray, note: str) -> dict[str, Any]:
        stage = {"after": address(image), "width": image.shape[1], "height": image.shape[0], "note": note}
        return {**stage, "before": before, "labels": ["Photo", "Optimised"]}

    yield Progress(shown(made.image, "the picture to start from"), 0, settings.steps, "Preparing the first step …", ())
    losses: list[tuple[int, float, int]] = []
    image, step, scales, seconds, reason = made.image, 0, 1, 0.0, ""
    run = service.backend.optimizer(network).run(photo, styles, settings, init=made.image if start == "fast" else None)
    try:
        for iterate in run:
            image, step, scales, seconds = iterate.image, iterate.step, iterate.scales, iterate.seconds
            reason = iterate.reason
            losses.append((step, float(iterate.losses["total"]), iterate.scale))
            if session.stop.is_set() or iterate.done:
                break
            text = (
                f"Step {step} of {iterate.steps}, {iterate.steps_per_second:.1f} a second, loss {losses[-1][1]:.4g}, "
                f"about {duration(iterate.seconds_left)} left"
            )
            yield Progress(shown(image, f"step {step}"), step, iterate.steps, text, tuple(losses))
            service.backend.priority.give_way(GIVE_WAY_SECONDS)
    finally:
        run.close()  # pyright: ignore[reportAttributeAccessIssue]
    if session.closed.is_set():
        return
    kept = keep_image(
        service,
        session,
        composition,
        image,
        kind="optimised",
        seconds=seconds,
        losses=tuple(losses),
        optimisation=Optimisation(settings, network, start).ended(step, scales, reason),
    )
    session.before_shown = None
    ending = {"time": "the time limit was reached", "plateau": "no more progress"}.get(reason, "done")
    if session.stop.is_set():
        ending = "stopped, the best so far is kept"
    text = f"{ending.capitalize()}: {step} steps in {duration(seconds)}. It is in the history."
    yield Progress(shown(image, f"optimised, {step} steps"), step, settings.steps, text, tuple(losses), kept)
