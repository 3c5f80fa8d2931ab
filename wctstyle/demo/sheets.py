"""Figures as HTML: tables, the curve of a loss, progress, a player. Everything from outside is escaped."""

from __future__ import annotations

import html
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wctstyle.demo.runs import RunKind
from wctstyle.demo.sessions import Losses


def _says(text: str) -> str:
    return f'<div class="wct-sheet"><p role="status">{text}</p></div>'


IDLE = _says('Nothing is running. "How long?" makes a short trial and tells how long it will take.')
NO_VIDEO = _says("Nothing is being painted. Stop keeps what is done.")
NO_EXTRA = _says("Nothing has been made yet.")
EMPTY_COMPARE = _says("Nothing is compared yet.")
FIRST_STEP = "Preparing the first step …"
FIRST: dict[RunKind, str] = {
    "optimise": FIRST_STEP,
    "video": "Preparing the first frame …",
    "texture": "Measuring the styles …",
    "dream": FIRST_STEP,
    "analogy": "Learning the filter …",
}
PREPARING = {kind: _says(text) for kind, text in FIRST.items()}
STOPPING: dict[RunKind, str] = {
    "optimise": _says("Stopping. The best picture so far is kept."),
    "video": _says("Stopping. What is painted is kept."),
    "texture": _says("Stopping."),
    "dream": _says("Stopping."),
    "analogy": _says("Stopping."),
}
STOPPED_EARLY = _says("Stopped before it began.")
STOPPED = _says("Stopped. Nothing was kept.")
ESTIMATING = _says("Making a short trial …")
MEASURING = _says("Measuring both results …")


NO_RUN: dict[str, Any] = {"state": "", "text": "", "share": 0, "thumb": ""}
"""What the bar below the stage shows of no run: it is hidden."""


def place(ahead: int) -> str:
    """Say how many come before one that waits."""
    return f"Waiting: {ahead} before this one"


def waiting(ahead: int) -> str:
    """Say that a run waits."""
    return _says(f"{place(ahead)}. One job runs at a time; Stop leaves the queue.")


def failed(message: str) -> str:
    """Say why something could not be done."""
    return _says(html.escape(message))


def ended(text: str, figures: str) -> str:
    """Write how an optimisation ended, above the figures of its comparison."""
    return _says(html.escape(text)) + figures


LEVELS = {"finest": "relu1_1", "fine": "relu2_1", "middle": "relu3_1", "coarse": "relu4_1", "coarsest": "relu5_1"}
"""Levels by the size of what they see, and the features of VGG-19 that each one compares."""


def table(header: Sequence[str], rows: Sequence[Sequence[str]], titles: Mapping[str, str]) -> str:
    """Write a table; the first column is its rows' heads, and `titles` explains some of them."""
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in header[1:])
    body = "".join(
        f'<tr><th scope="row"{_title(titles.get(row[0]))}>{html.escape(row[0])}</th>'
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr><td>{html.escape(header[0])}</td>{head}</tr></thead><tbody>{body}</tbody></table>"


def _title(text: str | None) -> str:
    return "" if text is None else f' title="{html.escape(text)}"'


def _figure(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def figures(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    """Write what `actions.figures` measured, a column each, and the loss curves of those that were optimised."""
    columns = [
        {
            "seconds": _figure(row["seconds"], 2),
            "style": _figure(row["style"]),
            **dict(zip(LEVELS, [_figure(v) for v in row["style_by_level"]] or ["–"] * len(LEVELS), strict=True)),
            "content": _figure(row["content"]),
            "SSIM": _figure(row["ssim"]),
        }
        for row in rows
    ]
    cells = [[head, *(column[head] for column in columns)] for head in columns[0]]
    notes = "".join(
        f"<p><b>{html.escape(name)}</b> {html.escape(row['title'])}</p>" for name, row in zip(names, rows, strict=True)
    )
    curves = "".join(
        f"<p>Loss of {html.escape(name)}</p>{curve(row['losses'])}"
        for name, row in zip(names, rows, strict=True)
        if len(row["losses"]) > 1
    )
    legend = (
        "<p>Style: distance to the styles' textures and colors, as a mean and by level from finest to coarsest; "
        "0 is the same. Content: distance to the photo's shapes; 0 is the same, 2 unrelated. SSIM: likeness to the "
        "photo; 1 is the same. All results are measured with the same network, whatever their quality.</p>"
    )
    return f'<div class="wct-sheet">{notes}{table(["", *names], cells, LEVELS)}{curves}{legend}</div>'


MOST_TICKS = 4


def _thinned(values: Sequence[float]) -> list[float]:
    """Take at most `MOST_TICKS` of them, evenly."""
    return list(values[:: -(-len(values) // MOST_TICKS)])


def round_values(low: float, high: float) -> list[float]:
    """Return two to four round numbers from low to high at even distances; low alone if it is not below high."""
    if not low < high:
        return [low]
    power = math.floor(math.log10(high - low))
    found = []
    for step in (factor * 10.0**exponent for exponent in (power - 1, power) for factor in (1, 2, 5)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        found.append([float(f"{k * step:.9g}") for k in range(first, last + 1)])
    fitting = (values for values in found if 2 <= len(values) <= MOST_TICKS)
    return next(fitting, None) or _thinned(min((values for values in found if len(values) > 1), key=len))


def round_powers(low: float, high: float) -> list[float]:
    """Return two to four numbers that are round on a logarithmic scale, or on a plain one where that is too coarse."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5)):
        found = [value for e in exponents for f in factors if low <= (value := float(f"{f}e{e}")) <= high]
        if len(found) > 1:
            return _thinned(found)
    return round_values(low, high)


def curve(points: Losses) -> str:
    """Draw a loss over steps, on a logarithmic scale where it is positive, with both axes."""
    usable = [(step, loss) for step, loss, _ in points if loss > 0 and math.isfinite(loss)]
    if len(usable) < 2:
        return ""
    first, last = usable[0][0], usable[-1][0]
    low, high = min(loss for _, loss in usable), max(loss for _, loss in usable)
    width, height = max(last - first, 1), math.log(high / low) or 1.0

    def across(step: float) -> float:
        return 100 * (step - first) / width

    def down(loss: float) -> float:
        return 96 - 92 * math.log(loss / low) / height

    line = " ".join(f"{3 * across(step):.1f},{down(loss):.1f}" for step, loss in usable)
    spoken = f"Loss from {usable[0][1]:.3g} to {usable[-1][1]:.3g} in {last} steps"
    if len({scale for _, _, scale in points}) > 1:
        spoken += ". The curve restarts at each larger size"
    losses, steps = round_powers(low, high), round_values(first, last)
    grid = "".join(f'<line x1="0" y1="{down(loss):.1f}" x2="300" y2="{down(loss):.1f}"/>' for loss in losses)
    labels = "".join(f'<span class="wct-loss" style="top:{down(loss):.1f}%">{loss:g}</span>' for loss in losses)
    labels += "".join(f'<span class="wct-step" style="left:{across(step):.1f}%">{step:g}</span>' for step in steps)
    return (
        f'<div class="wct-plot" role="img" aria-label="{spoken}"><i>loss, on a logarithmic scale</i><div>'
        '<svg class="wct-curve" viewBox="0 0 300 100" preserveAspectRatio="none">'
        f'{grid}<polyline points="{line}"/></svg>{labels}</div><i>step</i></div><p aria-hidden="true">{spoken}.</p>'
    )


def duration(seconds: float) -> str:
    """Say seconds as people do."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min"


def _share(step: int, steps: int, what: str, *, finished: bool = False) -> str:
    share = 100 if finished else 100 * step / steps if steps else 0
    return (
        f'<div class="wct-bar" role="progressbar" aria-valuemin="0" aria-valuemax="{steps}" aria-valuenow="{step}" '
        f'aria-label="{what}"><div style="width:{share:.1f}%"></div></div>'
    )


def progress(step: int, steps: int, *, text: str, losses: Losses = (), finished: bool = False) -> str:
    """Draw how far an optimisation is."""
    return (
        f'<div class="wct-sheet"><p role="status">{html.escape(text)}</p>'
        f"{_share(step, steps, 'Steps', finished=finished)}{curve(losses)}</div>"
    )


def frames(frame: int, frames: int, text: str, pair: Sequence[str]) -> str:
    """Draw how far a video is, with the latest frame as it was and as it is painted."""
    named = zip(("Photo", "Painted"), pair, strict=False)  # at the end there are no frames
    shown = "".join(f'<img src="{html.escape(source)}" alt="{name}">' for name, source in named)
    return (
        f'<div class="wct-sheet"><p>{html.escape(text)}</p>{_share(frame, frames, "Frames")}'
        f'<div class="wct-frames">{shown}</div></div>'
    )


def chooser(button: str, accept: str, most: int, text: str = "", *, thumb: str = "") -> dict[str, Any]:
    """Return what a button shows that chooses a file of at most so many bytes: text and thumbnail stand beside it.

    serial: makes it new each time.
    """
    return {
        "button": button, "accept": accept, "most": most, "text": text, "thumb": thumb, "serial": time.time(),
    }  # fmt: skip


def player(text: str, file: Path) -> str:
    """Show a finished video, and offer it as a file."""
    return (
        f'<div class="wct-sheet"><p role="status">{html.escape(text)}</p>'
        f'<video src="{_source(file)}" controls playsinline loop preload="metadata"></video>{_download(file)}</div>'
    )


def _source(file: Path) -> str:
    return f"gradio_api/file={html.escape(file.as_posix())}"


def _download(file: Path) -> str:
    """Offer a file, whose name is to be one that an address takes as it is."""
    name = html.escape(file.name)
    return f'<a class="wct-load" href="{_source(file)}" download="{name}">Download {name} ({size(file)})</a>'


def size(file: Path) -> str:
    """Say how large a file is: in MB, or in kB where that would be 0.0 MB."""
    held = file.stat().st_size
    return f"{held / 2**20:.1f} MB" if held >= 2**20 / 10 else f"{math.ceil(held / 2**10)} kB"


def working(step: int, steps: int, text: str, shown: str = "") -> str:
    """Draw how far an extra is, with what it shows meanwhile, as an address."""
    image = f'<img src="{html.escape(shown)}" alt="So far">' if shown else ""
    return f'<div class="wct-sheet"><p>{html.escape(text)}</p>{_share(step, steps, "Progress")}{image}</div>'


def made(text: str, file: Path, *, repeated: bool = False) -> str:
    """Show the picture of an extra, and offer it as a file. With `repeated` it is shown as tiles, two by two."""
    shown = f'<img src="{_source(file)}" alt="Result">'
    if repeated:
        shown = f'<div class="wct-tiles">{shown * 4}</div>'
    else:
        shown = f'<a href="{_source(file)}" target="_blank" title="Open at full size">{shown}</a>'
    return f'<div class="wct-sheet wct-made"><p role="status">{html.escape(text)}</p>{shown}{_download(file)}</div>'
