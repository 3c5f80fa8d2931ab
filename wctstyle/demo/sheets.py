"""Figures as HTML: tables, the curve of a loss, progress. Everything from outside is escaped."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from wctstyle.demo.sessions import Losses

EMPTY_COMPARE = (
    '<div class="wct-sheet"><p>Choose A and B below two results in the history. They are laid over each other on the '
    "stage, and their figures appear here.</p></div>"
)


def _says(text: str) -> str:
    return f'<div class="wct-sheet" role="status"><p>{text}</p></div>'


IDLE = _says('Nothing is running. "How long?" makes a short trial and tells how long it will take.')
PREPARING = _says("Preparing the first step …")
STOPPING = _says("Stopping. The best picture so far is kept.")
STOPPED_EARLY = _says("Stopped before it began.")
ESTIMATING = _says("Making a short trial …")
MEASURING = _says("Measuring both results …")


NO_RUN: dict[str, Any] = {"state": "", "text": "", "share": 0, "thumb": ""}
"""What the bar below the stage shows of no run: it is hidden."""


def place(ahead: int) -> str:
    """Say how many come before one that waits."""
    return f"Waiting: {ahead} before this one"


def waiting(ahead: int) -> str:
    """Say that an optimisation waits."""
    return _says(f"{place(ahead)}. One optimisation runs at a time; Stop leaves the queue.")


def failed(message: str) -> str:
    """Say why something could not be done."""
    return _says(html.escape(message))


def ended(text: str, figures: str) -> str:
    """Write how an optimisation ended, above the figures of its comparison."""
    return _says(html.escape(text)) + figures


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table; the first column is its rows' heads."""
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{html.escape(row[0])}</th>'
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return f'<div class="wct-scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _figure(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def figures(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    """Write what `actions.figures` measured, and the loss curves of those that were optimised."""
    header = ["", "seconds", "style", *(f"L{k}" for k in range(1, 6)), "content", "SSIM"]
    cells = [
        [
            name,
            _figure(row["seconds"], 2),
            _figure(row["style"]),
            *([_figure(v) for v in row["style_by_level"]] or ["–"] * 5),
            _figure(row["content"]),
            _figure(row["ssim"]),
        ]
        for name, row in zip(names, rows, strict=True)
    ]
    notes = "".join(
        f"<p><b>{html.escape(name)}</b> {html.escape(row['title'])}</p>" for name, row in zip(names, rows, strict=True)
    )
    curves = "".join(
        f"<p>Loss of {html.escape(name)}</p>{curve(row['losses'])}"
        for name, row in zip(names, rows, strict=True)
        if len(row["losses"]) > 1
    )
    legend = (
        "<p>Style: distance to the styles' textures and colors, as a mean and by level from fine (L1) to coarse (L5); "
        "0 is the same. Content: distance to the photo's shapes; 0 is the same, 2 unrelated. SSIM: likeness to the "
        "photo; 1 is the same. All results are measured with the same network, whatever their quality.</p>"
    )
    return f'<div class="wct-sheet">{notes}{table(header, cells)}{curves}{legend}</div>'


def curve(points: Losses) -> str:
    """Draw a loss over steps, on a logarithmic scale where it is positive."""
    usable = [(step, math.log10(loss)) for step, loss, _ in points if loss > 0 and math.isfinite(loss)]
    if len(usable) < 2:
        return ""
    first, last = usable[0][0], usable[-1][0]
    low, high = min(y for _, y in usable), max(y for _, y in usable)
    width, height = max(last - first, 1), (high - low) or 1.0
    line = " ".join(f"{300 * (x - first) / width:.1f},{96 - 92 * (y - low) / height:.1f}" for x, y in usable)
    spoken = f"Loss from {10 ** usable[0][1]:.3g} to {10 ** usable[-1][1]:.3g} in {last} steps"
    if len({scale for _, _, scale in points}) > 1:
        spoken += ". The curve restarts at each larger size"
    return (
        f'<svg class="wct-curve" viewBox="0 0 300 100" preserveAspectRatio="none" role="img" aria-label="{spoken}">'
        f'<line x1="0" y1="99" x2="300" y2="99"/><polyline points="{line}"/></svg><p>{spoken}.</p>'
    )


def duration(seconds: float) -> str:
    """Say seconds as people do."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min"


def progress(step: int, steps: int, *, text: str, losses: Losses = (), finished: bool = False) -> str:
    """Draw how far an optimisation is."""
    share = 100 * step / steps if steps else 0
    return (
        f'<div class="wct-sheet" role="status"><p>{html.escape(text)}</p>'
        f'<div class="wct-bar" role="progressbar" aria-valuemin="0" aria-valuemax="{steps}" aria-valuenow="{step}" '
        f'aria-label="Steps"><div style="width:{100 if finished else share:.1f}%"></div></div>{curve(losses)}</div>'
    )
