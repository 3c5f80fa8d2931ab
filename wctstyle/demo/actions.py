"""What happens when somebody touches the page: plain functions of a session, values in and values out, no Gradio."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from wctstyle import images, samples
from wctstyle.demo import looks
from wctstyle.demo.engine import Engine
from wctstyle.demo.limits import Limits
from wctstyle.demo.looks import Look
from wctstyle.demo.pictures import Held, address, data_address, decode, public_name, sample, take_upload, thumbnail
from wctstyle.demo.sessions import KEPT_FORMATS, Kept, Losses, ResultKind, Session, Sessions
from wctstyle.demo.sheets import duration
from wctstyle.errors import ConfigError, ImageError
from wctstyle.optimizer import OptimizeSettings
from wctstyle.settings import optimizer_model

log = logging.getLogger("wctstyle.demo")

KEPT_QUALITY = 95
"""JPEG quality of styled results in the history, from which figures are measured; downloads are rendered anew as long
as the pictures are held."""

GIVE_WAY_SECONDS = 0.5
"""How long an optimisation waits between two looks for pictures that others wait for."""

KEEP_COLORS_BELOW = 0.5
"""From this Color on Optimise paints in the style's colours, below it in the photo's: there is nothing between."""

RESULT = "result.png"
"""What the commands and programs on the page call their picture."""

FORMATS = {"PNG": "png", "JPEG": "jpg", "WebP": "webp"}


@dataclass
class Desk:
    """The engine, the limits and the sessions that all actions share."""

    engine: Engine
    limits: Limits
    sessions: Sessions

    @classmethod
    def make(cls, engine: Engine, limits: Limits) -> Desk:
        """Set up a desk with no sessions yet."""
        return cls(engine, limits, Sessions(limits))


# ------------------------------------------------------------------------------------------------------ the picture


def live(desk: Desk, session: Session, look: Look) -> dict[str, Any]:
    """Render a look for the screen; returns what the stage shows."""
    look = replace(look, size=min(look.size, desk.limits.max_size))
    shot = desk.engine.render(session, look)
    session.latest = None if shot.first_of_size else (look, shot.image, shot.seconds)  # one to take the time from
    height, width = shot.image.shape[:2]
    note = "first picture at this size and quality" if shot.first_of_size else ""
    stage: dict[str, Any] = {
        "after": address(shot.image),
        "width": width,
        "height": height,
        "milliseconds": round(1000 * shot.seconds),
        "note": note,
        "labels": ["Photo", "Styled"],
        "serial": time.time(),  # of two equal answers the page would not see the second, and wait for it
    }
    shown = (look.content, look.size)
    if session.before_shown != shown:
        stage["before"] = address(desk.engine.content_rgb(session.picture(look.content), look.size))
        session.before_shown = shown
    return stage


def recipe_of(desk: Desk, session: Session, look: Look, image: np.ndarray, **more: Any) -> dict[str, Any]:
    """Write the recipe of a picture that was made of a look."""
    return looks.make_recipe(
        look,
        session.picture(look.content),
        [(session.picture(id), weight) for id, weight in look.styles],
        limits=desk.limits,
        size=max(image.shape[:2]),
        **more,
    )


def keep(desk: Desk, session: Session, look: Look) -> Kept:
    """Put the picture of a look into the history; one that is its latest already is not put in twice."""
    latest = session.history[-1:]
    if latest and latest[0].kind == "styled" and latest[0].look == look:
        return latest[0]
    if session.latest is not None and session.latest[0] == look:
        _, image, seconds = session.latest
    else:
        shot = desk.engine.render(session, look)
        image, seconds = shot.image, shot.seconds
    return keep_image(desk, session, look, image, kind="styled", seconds=seconds)


def keep_image(
    desk: Desk,
    session: Session,
    look: Look,
    image: np.ndarray,
    *,
    kind: ResultKind,
    seconds: float,
    losses: Losses = (),
    optimised: Mapping[str, Any] | None = None,
) -> Kept:
    """Put a picture into the history."""
    recipe = recipe_of(desk, session, look, image, optimised=optimised)
    kept = session.keep(
        kind=kind,
        look=look,
        recipe=recipe,
        data=images.encode(image, format=KEPT_FORMATS[kind], quality=KEPT_QUALITY, recipe=recipe),
        thumb=thumbnail(image),
        width=image.shape[1],
        height=image.shape[0],
        seconds=seconds,
        losses=losses,
    )
    desk.sessions.make_room()
    return kept


def strip(session: Session) -> list[dict[str, Any]]:
    """List the history for the page, newest first."""
    return [
        {
            "id": kept.id,
            "kind": kept.kind,
            "thumb": kept.thumb,
            "title": describe(kept),
        }
        for kept in reversed(session.history)
    ]


def describe(kept: Kept) -> str:
    """Say in a line what a result is."""
    names = [style["name"].removeprefix(samples.PREFIX).replace("-", " ") for style in kept.recipe["styles"]]
    shares = kept.look.shares
    blend = " + ".join(f"{name} {share:.0%}" for name, share in zip(names, shares, strict=True) if share)
    content = kept.recipe["content"]["name"].removeprefix(samples.PREFIX)
    how = f"strength {kept.look.settings.strength:g}, {looks.QUALITIES[kept.look.model]}, {kept.width} px"
    return f"{kept.kind}: {content} in {blend or 'no style'}, {how}"


# --------------------------------------------------------------------------------------------------------- pictures


@dataclass(frozen=True)
class Added:
    """What came of an upload: a picture held, or a look restored from the recipe in it."""

    held: Held | None = None
    look: Look | None = None
    message: str = ""


def add_upload(desk: Desk, session: Session, path: object, folder: str, name: object, *, current: str) -> Added:
    """Take an uploaded file, which is deleted: hold it, or restore the settings it carries.

    `current` is the content that stays where a recipe's own is not at hand.

    Raises:
        ImageError: it is no picture, or too large.
    """
    data = take_upload(path, folder, desk.limits)
    recipe = stored_recipe(data)
    if recipe is not None:
        return restore_recipe(desk, session, recipe, current=current)
    held = session.add(decode(data, desk.limits), public_name(name))
    desk.sessions.make_room()
    return Added(held=held)


def stored_recipe(data: bytes) -> dict[str, Any] | None:
    """Return the recipe in a file; None where there is none or it cannot be read."""
    try:
        return images.read_recipe(data)
    except ImageError:
        return None


def restore_recipe(desk: Desk, session: Session, recipe: Mapping[str, Any], *, current: str) -> Added:
    """Turn a recipe into a look, with a message that tells what is missing.

    Raises:
        ConfigError: the recipe makes no sense, or has regions.
    """
    look, missing = looks.look_of(recipe, session.find, desk.limits, fallback=current)
    if recipe.get("masks") or any(style.get("region") for style in recipe["styles"]):
        raise ConfigError(
            "This picture was made with regions, which the page does not have. `wctstyle recipe` prints its command."
        )
    message = "Settings restored from the picture."
    if missing:
        message += " Not here: " + ", ".join(missing) + ". Add them again to get the same picture."
    if look.model not in desk.engine.offered:
        message += f" Its quality, {looks.QUALITIES[look.model]}, is not installed here."
        look = replace(look, model=desk.engine.model)
    if recipe.get("refine") or recipe.get("command") == "optimize":
        message += " It was refined afterwards. Optimise does that here."
    return Added(look=look, message=message)


def uploads(session: Session) -> dict[str, dict[str, str]]:
    """List the session's own pictures for the page: {id: {name, thumb}}."""
    return {held.id: {"name": held.name, "thumb": held.thumb} for held in session.pictures}


def gallery() -> dict[str, list[dict[str, str]]]:
    """List the samples for the page, photos and styles."""

    def entries(kind: Any) -> list[dict[str, str]]:
        listed = []
        for name in samples.names(kind):
            held = sample(samples.PREFIX + name)
            listed.append({"id": held.id, "name": held.name, "thumb": held.thumb, "text": samples.describe(name)})
        return listed

    return {"contents": entries("content"), "styles": entries("style")}


# --------------------------------------------------------------------------------------------------------- optimise


@dataclass(frozen=True)
class Progress:
    """How far an optimisation is: what the stage and the sheet show, and at the end the result that was kept."""

    stage: dict[str, Any]
    step: int
    steps: int
    text: str
    losses: Losses
    kept: Kept | None = None


def optimise_settings(desk: Desk, look: Look, steps: float, method: str, start: str) -> OptimizeSettings:
    """Make the optimiser's settings of a look and of the choices on the page.

    It goes as far as the style at most, and takes either the style's colours or the photo's.

    Raises:
        ConfigError: more steps than are granted, or a choice that is not offered.
    """
    if not 1 <= steps <= desk.limits.optimise_steps:
        raise ConfigError(f"steps is {steps:g}, must be from 1 to {desk.limits.optimise_steps}")
    return OptimizeSettings(
        steps=int(steps),
        optimizer=method,  # pyright: ignore[reportArgumentType]
        init=start,  # pyright: ignore[reportArgumentType]
        strength=min(look.settings.strength, 1.0),
        blend=look.settings.blend,
        original_colors=look.settings.color < KEEP_COLORS_BELOW,
        keep_faces=look.settings.keep_faces,
        time_budget=desk.limits.optimise_seconds,
    )


def estimate(desk: Desk, session: Session, look: Look, steps: float, method: str, start: str) -> str:
    """Say how long an optimisation will take."""
    settings = optimise_settings(desk, look, steps, method, start)
    size = min(look.size, desk.limits.optimise_size)
    height, width = desk.engine.content_rgb(session.picture(look.content), size).shape[:2]
    seconds = desk.engine.estimate((height, width), settings, optimizer_model(look.model))
    text = f"About {duration(seconds)} for {settings.steps} steps at {width} × {height} on this machine, alone"
    return f"{text}; it stops at {duration(desk.limits.optimise_seconds)} in any case."


def optimise(
    desk: Desk, session: Session, look: Look, steps: float, method: str = "lbfgs", start: str = "fast"
) -> Iterator[Progress]:
    """Refine the picture of a look; yields previews about once a second, the last with the result in the history.

    Stops within about a second when `session.stop` is set, and keeps what it has reached.

    Raises:
        ConfigError: a choice that is not offered, no style, or every weight 0.
    """
    look = replace(look, size=min(look.size, desk.limits.optimise_size))
    settings = optimise_settings(desk, look, steps, method, start)
    if look.styles and not any(look.shares):
        raise ConfigError("The weights of all styles are 0. Raise one of the sliders of the blend, then optimise.")
    shot = desk.engine.render(session, look)
    photo = desk.engine.content_rgb(session.picture(look.content), look.size)
    styles = desk.engine.styles_rgb(session, look, max(photo.shape[:2]))
    network = optimizer_model(look.model)
    before = address(photo)

    def shown(image: np.ndarray, note: str) -> dict[str, Any]:
        stage = {"after": address(image), "width": image.shape[1], "height": image.shape[0], "note": note}
        return {**stage, "before": before, "labels": ["Photo", "Optimised"]}

    yield Progress(shown(shot.image, "the picture to start from"), 0, settings.steps, "Preparing the first step …", ())
    losses: list[tuple[int, float, int]] = []
    image, step, seconds, reason = shot.image, 0, 0.0, ""
    run = desk.engine.optimizer(network).run(photo, styles, settings, init=shot.image if start == "fast" else None)
    try:
        for iterate in run:
            image, step, seconds, reason = iterate.image, iterate.step, iterate.seconds, iterate.reason
            losses.append((step, float(iterate.losses["total"]), iterate.scale))
            if session.stop.is_set() or iterate.done:
                break
            text = (
                f"Step {step} of {iterate.steps}, {iterate.steps_per_second:.1f} a second, loss {losses[-1][1]:.4g}, "
                f"about {duration(iterate.seconds_left)} left"
            )
            yield Progress(shown(image, f"step {step}"), step, iterate.steps, text, tuple(losses))
            desk.engine.gate.give_way(GIVE_WAY_SECONDS)
    finally:
        run.close()  # pyright: ignore[reportAttributeAccessIssue]
    if session.closed.is_set():
        return
    kept = keep_image(
        desk,
        session,
        look,
        image,
        kind="optimised",
        seconds=seconds,
        losses=tuple(losses),
        optimised={
            "command": "optimize",
            "model": network,
            "init": start,
            "settings": replace(settings, steps=max(1, step)).as_json(),
        },
    )
    session.before_shown = None
    ending = {"time": "the time limit was reached", "plateau": "no more progress"}.get(reason, "done")
    if session.stop.is_set():
        ending = "stopped, the best so far is kept"
    text = f"{ending.capitalize()}: {step} steps in {duration(seconds)}. It is in the history."
    yield Progress(shown(image, f"optimised, {step} steps"), step, settings.steps, text, tuple(losses), kept)


# ------------------------------------------------------------------------------------------------ compare, take away


def pair(session: Session, first: str, second: str) -> dict[str, Any]:
    """Show two results of the history on one stage, split."""
    a, b = session.result(first), session.result(second)
    session.before_shown = None
    return {
        "before": data_address(a.data, a.format),
        "after": data_address(b.data, b.format),
        "width": b.width,
        "height": b.height,
        "labels": [f"A {a.kind}", f"B {b.kind}"],
        "note": f"A {a.kind}, B {b.kind}",
        "mode": "split",
        "pair": [first, second],
    }


def latest_pair(session: Session) -> tuple[str, str]:
    """Choose the two results to compare: the latest, and the latest other one before it.

    Raises:
        ConfigError: there are not two yet.
    """
    history = session.history
    if len(history) < 2:
        raise ConfigError("There is only one result so far. Move a slider and let it rest, then compare.")
    return history[-2].id, history[-1].id


def reopened(desk: Desk, session: Session, id: str) -> dict[str, Any]:
    """Show a result of the history again, beside its photo."""
    kept = session.result(id)
    session.before_shown = (kept.look.content, kept.look.size)
    return {
        "before": address(desk.engine.content_rgb(session.picture(kept.look.content), kept.look.size)),
        "after": data_address(kept.data, kept.format),
        "width": kept.width,
        "height": kept.height,
        "labels": ["Photo", "Styled"],
        "note": f"{kept.kind} result of the history",
    }


def figures(desk: Desk, session: Session, ids: list[str]) -> list[dict[str, Any]]:
    """Measure results of the history: seconds, style and its levels 1 to 5, content, SSIM."""
    rows = []
    for id in ids:
        kept = session.result(id)
        rows.append(
            {
                "id": id,
                "kind": kept.kind,
                "title": describe(kept),
                "seconds": kept.seconds,
                "losses": list(kept.losses),
                **desk.engine.figures(session, kept.look, images.load(kept.data).rgb),
            }
        )
    return rows


def export(
    desk: Desk, session: Session, look: Look, *, format: str, size: int, quality: int, folder: Path
) -> tuple[Path, dict[str, Any]]:
    """Render a look at a size and write it, with its recipe inside, into a new file; returns the path and recipe.

    Raises:
        ConfigError: the format or a number is not offered.
    """
    if format not in FORMATS:
        raise ConfigError(f"format is {format!r}, must be one of {', '.join(FORMATS)}")
    if not 32 <= size <= desk.limits.max_size:
        raise ConfigError(f"size is {size}, must be from 32 to {desk.limits.max_size} pixels")
    shot = desk.engine.render(session, replace(look, size=size))
    recipe = recipe_of(desk, session, look, shot.image)
    content = Path(recipe["content"]["name"].removeprefix(samples.PREFIX)).stem
    path = folder / f"{content}-stylized.{FORMATS[format]}"
    return write(path, shot.image, quality=quality, recipe=recipe), recipe


def planned_recipe(desk: Desk, session: Session, look: Look, size: int) -> dict[str, Any]:
    """Write the recipe that a look has at a size, without making the picture."""
    held = session.picture(look.content)
    longest = min(size, max(held.pixels.shape[:2]))
    return looks.make_recipe(
        look,
        held,
        [(session.picture(id), weight) for id, weight in look.styles],
        limits=desk.limits,
        size=longest,
    )


def write(path: Path, image: np.ndarray, *, quality: int, recipe: dict[str, Any]) -> Path:
    """Write a picture into a new file.

    Raises:
        ImageError: it cannot be written; why, with the path, is for the log only.
    """
    try:
        return images.save(path, image, quality=quality, recipe=recipe)
    except ImageError as error:
        log.error("%s", error)
        raise ImageError("The file could not be written here. Please try again later.") from error


def export_kept(desk: Desk, session: Session, id: str, *, format: str, quality: int, folder: Path) -> Path:
    """Write a result of the history, with its recipe, into a new file.

    A styled one is made again, as long as its pictures are held: what is kept of it has lost a little.
    """
    if format not in FORMATS:
        raise ConfigError(f"format is {format!r}, must be one of {', '.join(FORMATS)}")
    kept = session.result(id)
    path = folder / f"{kept.kind}-{kept.id}.{FORMATS[format]}"
    image = images.load(kept.data).rgb
    if kept.kind == "styled":
        with contextlib.suppress(ConfigError):
            image = desk.engine.render(session, kept.look).image
    return write(path, image, quality=quality, recipe=dict(kept.recipe))
