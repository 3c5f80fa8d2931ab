"""The report of `compare`: pictures side by side, their figures, and the course of the loss, as one HTML page."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from wctstyle import images

Rgb = Float[np.ndarray, "h w 3"]

GAP = 12
PLOT = (720, 300)
MARGIN = (64, 16, 16, 40)
"""Of the plot, in pixels: left, top, right, bottom."""

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #222;
  background: #fff; }
figure { display: inline-block; margin: 0 1rem 1rem 0; vertical-align: top; width: 20rem; }
img { max-width: 100%; }
table { border-collapse: collapse; }
th, td { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #ccc; }
th:first-child, td:first-child { text-align: left; }
svg text { font: 12px system-ui, sans-serif; fill: #222; }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #1a1a1a; }
  svg text { fill: #ddd; }
}
"""


@dataclass(frozen=True)
class Entry:
    """One picture of the comparison: its name and file, what it took, and its figures."""

    name: str
    file: str
    seconds: float | None
    figures: Mapping[str, Any]


def sheet(pictures: Sequence[Rgb]) -> Rgb:
    """Lay pictures out in a row on white, all as high as the first."""
    height = pictures[0].shape[0]
    tiles = []
    for picture in pictures:
        rows, columns = picture.shape[:2]
        side = max(1, round(max(rows, columns) * height / rows))
        scaled = images.resize(images.load(np.ascontiguousarray(picture)), long_side=side, enlarge=True).rgb[:height]
        tile = np.ones((height, scaled.shape[1], 3), np.float32)
        tile[: scaled.shape[0]] = scaled
        tiles += [tile, np.ones((height, GAP, 3), np.float32)]
    return np.concatenate(tiles[:-1], axis=1)


def loss_plot(trace: Sequence[Mapping[str, Any]]) -> str:
    """Draw the loss over the seconds as SVG, on a logarithmic scale; a line for every scale of the pyramid."""
    points = [(p["seconds"], max(p["losses"]["total"], 1e-12), p["scale"]) for p in trace]
    width, height = PLOT
    left, top, right, bottom = MARGIN
    last = max(seconds for seconds, _, _ in points) or 1.0
    logs = np.log10([loss for _, loss, _ in points])
    low, high = float(np.floor(logs.min() * 4) / 4), float(np.ceil(logs.max() * 4) / 4)
    high = high if high > low else low + 0.25

    def place(seconds: float, log: float) -> tuple[float, float]:
        x = left + (width - left - right) * seconds / last
        return x, top + (height - top - bottom) * (high - log) / (high - low)

    marks = []
    for k in range(5):
        log = low + (high - low) * k / 4
        _, y = place(0, log)
        marks.append(f'<line x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#8884"/>')
        marks.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{10**log:.3g}</text>')
        x, _ = place(last * k / 4, low)
        marks.append(f'<text x="{x:.1f}" y="{height - bottom + 18}" text-anchor="middle">{last * k / 4:.3g} s</text>')
    lines = []
    for scale in sorted({scale for _, _, scale in points}):
        path = " ".join(
            "{:.1f},{:.1f}".format(*place(seconds, float(log)))
            for (seconds, _, own), log in zip(points, logs, strict=True)
            if own == scale
        )
        lines.append(f'<polyline points="{path}" fill="none" stroke="#d2691e" stroke-width="2"/>')
    label = "loss over seconds; each line is one scale, coarsest first"
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{label}">'
        f"{''.join(marks)}{''.join(lines)}"
        f'<text x="{width / 2}" y="{height - 4}" text-anchor="middle">{label}</text></svg>'
    )


def report_page(
    content: str,
    styles: Sequence[tuple[str, float]],
    entries: Sequence[Entry],
    trace: Sequence[Mapping[str, Any]],
    facts: Mapping[str, Any],
) -> str:
    """Write the page: pictures (files beside it), figures, times and the plot, all else inline."""
    blend = ", ".join(f"{html.escape(name)} ({weight:g})" for name, weight in styles)
    pictures = "".join(
        f'<figure><img src="{html.escape(e.file)}" alt="{html.escape(e.name)}"><figcaption>{html.escape(e.name)}'
        "</figcaption></figure>"
        for e in entries
    )
    levels = range(1, 1 + len(entries[0].figures["style_by_level"]))
    head = "".join(f"<th>level {k}</th>" for k in levels)
    rows = "".join(_row(entry) for entry in entries)
    listed = "".join(f"<li>{html.escape(str(k))}: {html.escape(str(v))}</li>" for k, v in facts.items())
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(content)}: fast and optimised</title>"
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>\n'
        f"<h1>{html.escape(content)}</h1>\n<p>Styles: {blend}</p>\n{pictures}\n"
        f"<table><tr><th></th><th>seconds</th><th>style</th>{head}<th>content</th><th>ssim</th></tr>{rows}</table>\n"
        "<p>style: mean over relu1_1 to relu5_1 of the relative error of Gram matrices, 0 is the style's own; content: "
        "error of relu4_2, 0 is the photo, 2 unrelated; ssim: of luma, 1 is the photo. Seconds include loading and "
        "compiling, and those of the optimised picture the fast one that it starts from.</p>\n"
        f"<ul>{listed}</ul>\n{loss_plot(trace)}\n</body></html>\n"
    )


def _row(entry: Entry) -> str:
    figures = entry.figures
    seconds = "" if entry.seconds is None else f"{entry.seconds:.1f}"
    values = (figures["style"], *figures["style_by_level"], figures["content"], figures["ssim"])
    cells = "".join(f"<td>{f'{value:.3f}' if math.isfinite(value) else '–'}</td>" for value in values)
    return f"<tr><td>{html.escape(entry.name)}</td><td>{seconds}</td>{cells}</tr>"
