"""The same look at every size: how far thumbnails of large results are from that of the small one.

Run as `python -m benchmarks.sizes`; README.md beside this file tells what the figures mean.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from benchmarks import report
from benchmarks.quality import add_pairs, chosen_pairs, load_rgb
from wctstyle import images
from wctstyle.errors import WctStyleError
from wctstyle.settings import DEFAULT_LOOK, DEFAULT_MODEL, Settings
from wctstyle.stylizer import Stylizer

Rgb = Float[np.ndarray, "h w 3"]

THUMB = 32
"""Long side of the thumbnails that are compared, in pixels."""


def thumbnail(rgb: Rgb) -> Rgb:
    """Shrink a picture as far as one sees it from afar."""
    return images.resize(images.Picture(rgb), long_side=THUMB).rgb


def apart(one: Rgb, other: Rgb) -> float:
    """Return the mean difference of two pictures' thumbnails in levels of 255."""
    return float(255 * np.abs(thumbnail(one) - thumbnail(other)).mean())


def compare(stylizer: Stylizer, content: Path, style: Path, sizes: Sequence[int]) -> dict[str, Any]:
    """Paint a pair at the look's size and at each of `sizes`, with the look and at once."""

    def painted(side: int, settings: Settings) -> tuple[Rgb, float]:
        photo, painting = (load_rgb(path, side) for path in (content, style))
        clock = time.perf_counter()
        return stylizer.stylize(photo, painting, settings).image, time.perf_counter() - clock

    small, _ = painted(DEFAULT_LOOK, Settings())
    found: dict[str, Any] = {"pair": f"{content.stem} x {style.stem}"}
    for side in sizes:
        for name, settings in (("look", Settings()), ("at once", Settings(look=0))):
            image, seconds = painted(side, settings)
            found[f"{side} {name}"] = {"levels": apart(image, small), "seconds": seconds}
    return found


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write the differences of every pair, and their means with the seconds."""
    columns = [name for name in rows[0] if name != "pair"]
    lines = [[row["pair"], *(f"{row[name]['levels']:.1f}" for name in columns)] for row in rows]
    for part, form in (("levels", "{:.1f}"), ("seconds", "{:.2f} s")):
        means = (form.format(np.mean([row[name][part] for row in rows])) for name in columns)
        lines.append([f"mean {part}", *means])
    return report.table(["levels of 255", *columns], lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sizes", description=__doc__)
    add_pairs(parser, 6)
    add = parser.add_argument
    add("--sizes", type=int, nargs="+", default=[1024, 2048], metavar="PIXELS", help="long sides of the results")
    add("--model", default=DEFAULT_MODEL, help="the model that paints")
    add("--json", type=Path, metavar="FILE", help="write all figures")
    args = parser.parse_args(argv)
    facts = report.circumstances("benchmarks.sizes", argv)
    try:
        pairs = chosen_pairs(args)
        stylizer = Stylizer(args.model)
        rows = [compare(stylizer, content, style, args.sizes) for content, style in pairs]
        report.publish(facts, markdown(rows), {"rows": rows}, args.json)
    except WctStyleError as error:
        return report.failed(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
