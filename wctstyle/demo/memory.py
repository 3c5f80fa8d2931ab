"""A page that comes back: its key, and what it held put in place again. Plain functions, no Gradio."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from wctstyle.demo import actions, results
from wctstyle.demo.actions import Service
from wctstyle.demo.composition import LEAST_SIZE, MAX_SCREEN_SIZE, Composition
from wctstyle.demo.sessions import Session

HEADER = "x-wctstyle-page"
"""What carries the key of a page (assets/memory.js): with every request, so that a restarted server knows it too."""


def page_key(request: Any) -> str | None:
    """Return the key that a page sent, in whatever form it has; None if it sent none."""
    headers = getattr(request, "headers", None) or {}
    return headers.get(HEADER)


def resumed(service: Service, session: Session) -> Composition | None:
    """Return what the page showed last, as far as it can be made here today; None for one that nobody touched."""
    if session.untouched or session.composition is None:
        return None
    session.composition = fitting(service, session, session.composition)
    return session.composition


def fitting(service: Service, session: Session, composition: Composition) -> Composition:
    """Replace what is not here any more: pictures that were dropped, a model or a size of another server's."""
    here = actions.repaired(session, composition, Composition())
    for name, blend in here.blends.items():
        here = here.with_blend(name, blend[: service.limits.styles])
    return replace(
        here,
        size=min(max(composition.size, LEAST_SIZE), MAX_SCREEN_SIZE, service.limits.max_size),
        model=composition.model if composition.model in service.backend.offered else service.backend.model,
    )


def news(session: Session) -> dict[str, Any]:
    """Tell the page of its own pictures, as after an upload, and of the rows that they were in, the latest first."""
    shelf = {kind: [id for id in reversed(ids) if session.holds(id)] for kind, ids in session.shelf.items()}
    return actions.shelf_news(session, shelf=shelf, resumed=True)


def stage(service: Service, session: Session, composition: Composition) -> dict[str, Any]:
    """Return what the stage shows of a blend that was left; a result of the history is at hand at once."""
    kept = session.styled(composition)
    if kept is None:
        return actions.live(service, session, composition)
    session.composition = composition
    return {**results.reopened(service, session, kept.id), "note": "as you left it"}
