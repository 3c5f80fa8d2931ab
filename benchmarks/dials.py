"""Even dials: how far the picture moves with each tenth of a dial.

Run as `python -m benchmarks.dials`; README.md beside this file tells what the figures mean.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from benchmarks import report
from benchmarks.judge import Judge, Seen, vgg19_file
from benchmarks.quality import add_pairs, chosen_pairs, load_rgb
from wctstyle.errors import WctStyleError
from wctstyle.settings import DEFAULT_MODEL, MAX_STRENGTH, Settings
from wctstyle.stylizer import Stylizer

Rgb = Float[np.ndarray, "h w 3"]

RANGES = {"strength": MAX_STRENGTH, "detail": 1.0, "color": 1.0}
"""The dials and how far they go; all begin at 0."""


def apart(one: Seen, other: Seen) -> float:
    """Return how far two pictures of one size are apart: an unweighted LPIPS, its root taken.

    Source: Zhang et al. 2018, arXiv:1801.03924, eq. 1 on relu1_1 to relu5_1 of VGG-19 without the trained weights.
    Its root is a distance: many small steps in one direction add up to one large step.
    """
    total = 0.0
    for a, b in zip(one.levels, other.levels, strict=True):
        a, b = (np.asarray(x) / (np.linalg.norm(x, axis=-1, keepdims=True) + 1e-10) for x in (a, b))
        total += float(((a - b) ** 2).sum(-1).mean())
    return (total / len(one.levels)) ** 0.5


def steps_of(stylizer: Stylizer, judge: Judge, photo: Rgb, painting: Rgb, dial: str) -> list[float]:
    """Return the distance between the pictures of neighbouring tenths of a dial."""
    values = np.arange(0, RANGES[dial] + 0.05, 0.1)
    code, style = stylizer.content(photo), stylizer.style(painting)
    seen = [
        judge.see(stylizer.stylize(code, style, replace(Settings(), **{dial: float(min(v, RANGES[dial]))})).image)
        for v in values
    ]
    return [apart(one, other) for one, other in zip(seen, seen[1:], strict=False)]


def markdown(rows: Mapping[str, Sequence[Sequence[float]]]) -> str:
    """Write the mean distance of every tenth, and by how much the largest exceeds the smallest."""
    most = max(len(pairs[0]) for pairs in rows.values())
    lines = []
    for dial, pairs in rows.items():
        means = np.mean(pairs, axis=0)
        cells = [f"{step:.3f}" for step in means] + [""] * (most - len(means))
        lines.append([dial, *cells, f"{means.max() / max(means.min(), 1e-9):.1f}"])
    return report.table(
        ["distance per tenth", *(f"to {(k + 1) / 10:.1f}" for k in range(most)), "largest by least"], lines
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dials", description=__doc__)
    add_pairs(parser, 6)
    add = parser.add_argument
    add("--vgg", type=Path, metavar="FILE", help="the original VGG-19, which judges")
    add("--size", type=int, default=384, metavar="PIXELS", help="long side of all pictures")
    add("--dials", nargs="+", choices=list(RANGES), default=list(RANGES), help="which dials")
    add("--model", default=DEFAULT_MODEL, help="the model that paints")
    add("--json", type=Path, metavar="FILE", help="write all figures")
    args = parser.parse_args(argv)
    facts = report.circumstances("benchmarks.dials", argv)
    try:
        pairs = chosen_pairs(args)
        stylizer, judge = Stylizer(args.model), Judge(vgg19_file(args.vgg))
        rows: dict[str, list[list[float]]] = {dial: [] for dial in args.dials}
        for content, style in pairs:
            photo, painting = load_rgb(content, args.size), load_rgb(style, args.size)
            for dial in args.dials:
                rows[dial].append(steps_of(stylizer, judge, photo, painting, dial))
        found: dict[str, Any] = {"steps": rows}
        report.publish(facts, markdown(rows), found, args.json)
    except WctStyleError as error:
        return report.failed(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
