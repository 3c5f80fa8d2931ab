"""Results of the history: opened again, compared, measured."""

from __future__ import annotations

from typing import Any

from wctstyle import images
from wctstyle.demo import sheets
from wctstyle.demo.actions import Service, describe
from wctstyle.demo.pictures import address, data_address
from wctstyle.demo.sessions import HistoryEntry, Session
from wctstyle.errors import ConfigError

KINDS = {"styled": "Fast", "optimised": "Optimised"}
"""What the page calls the kinds of results."""


def labels(a: HistoryEntry, b: HistoryEntry) -> list[str]:
    """Name two results that are compared: by their kinds where these differ, else A and B."""
    return ["A", "B"] if a.kind == b.kind else [KINDS[a.kind], KINDS[b.kind]]


def pair(session: Session, first: str, second: str) -> dict[str, Any]:
    """Show two results on one stage: over each other, or beside each other where their photos differ."""
    a, b = session.result(first), session.result(second)
    session.before_shown, session.on_screen = None, second
    names = labels(a, b)
    stage = {
        "before": data_address(a.data, a.format),
        "after": data_address(b.data, b.format),
        "width": b.width,
        "height": b.height,
        "labels": names,
        "note": " | ".join(names),
        "mode": "split",
        "pair": [first, second],
    }
    if a.composition.content != b.composition.content:
        stage |= {"beside": True, "before_width": a.width, "before_height": a.height}
    return stage


def latest_pair(session: Session) -> tuple[str, str]:
    """Choose two results to compare: the latest fast and optimised picture of one run, else the latest two.

    Raises:
        ConfigError: there are not two yet.
    """
    history = session.history
    for number in reversed(range(1, len(history))):
        before, after = history[number - 1 : number + 1]
        if after.kind == "optimised" and before.kind == "styled":
            return before.id, after.id
    if len(history) < 2:
        raise ConfigError("There is only one result so far. Move a slider and let it rest, then compare.")
    return history[-2].id, history[-1].id


def reopened(service: Service, session: Session, id: str) -> dict[str, Any]:
    """Show a result of the history again, beside its photo."""
    kept = session.result(id)
    content, size = kept.composition.content, kept.composition.size
    session.before_shown, session.on_screen = (content, size), id
    photo = service.backend.content(session.picture(content), size)
    return {
        "before": address(photo.rgb, photo.alpha),
        "after": data_address(kept.data, kept.format),
        "width": kept.width,
        "height": kept.height,
        "labels": ["Photo", KINDS[kept.kind]],
        "note": f"{KINDS[kept.kind].lower()} result of the history",
    }


def figures(service: Service, session: Session, ids: list[str]) -> list[dict[str, Any]]:
    """Measure results of the history: seconds, style and its levels 1 to 5, content, SSIM.

    Of results of different photos no distance to the photo is given: the figures would not be comparable.
    """
    entries = [session.result(id) for id in ids]
    one_photo = len({kept.composition.content for kept in entries}) == 1
    rows = []
    for kept in entries:
        measured = service.backend.figures(session, kept.composition, images.load(kept.data).rgb)
        if not one_photo:
            measured |= {"content": None, "ssim": None}
        about = {"id": kept.id, "kind": kept.kind, "title": describe(kept).partition(": ")[2], "seconds": kept.seconds}
        rows.append({**about, "losses": list(kept.losses), **measured})
    return rows


def report(service: Service, session: Session, first: str, second: str) -> str:
    """Write the figures of two results as HTML; what cannot be measured any more is told there."""
    try:
        names = labels(session.result(first), session.result(second))
        return sheets.figures(figures(service, session, [first, second]), names)
    except ConfigError as error:
        return sheets.failed(str(error))
