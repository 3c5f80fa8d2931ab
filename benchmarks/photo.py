"""A photo in the light of another: edges kept and style reached, beside a colour transfer and others' results.

Run as `python -m benchmarks.photo PHOTO,STYLE[,RESULT]...`; README.md beside this file tells what the figures mean.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.ndimage import uniform_filter
from skimage.color import lab2rgb, rgb2lab
from skimage.metrics import structural_similarity

from benchmarks import report
from benchmarks.judge import Judge, vgg19_file
from benchmarks.optimizer import picture
from wctstyle import images
from wctstyle.color import luma
from wctstyle.errors import ConfigError, WctStyleError
from wctstyle.settings import DEFAULT_MODEL, Settings
from wctstyle.stylizer import Stylizer

Rgb = Float[np.ndarray, "h w 3"]

STRENGTHS = (1.0, 0.5)

WINDOW = 7
"""Side of the windows of both figures of edges, as scikit-image's SSIM has by default."""

FLOOR = (0.03 * 0.1) ** 2 / 2
"""Keeps windows without edges out of the correlation: C3 of SSIM (Wang et al. 2004) for a range of 0.1."""

FIGURES = {"edges": 4, "edges r": 4, "style": 3, "w2": 3}
"""Columns of the table, and their decimals."""


def edges(rgb: Rgb) -> Float[np.ndarray, "h w"]:
    """Return the magnitude of the gradient of luma, by central differences."""
    down, across = np.gradient(luma(rgb).astype(np.float64))
    return np.hypot(down, across)


def edge_ssim(rgb: Rgb, photo: Rgb) -> float:
    """Return the SSIM of the gradient magnitudes of two pictures, whose range is 1. Contrast counts."""
    value: Any = structural_similarity(edges(rgb), edges(photo), data_range=1.0, win_size=WINDOW)
    return float(value)


def edge_correlation(rgb: Rgb, photo: Rgb) -> float:
    """Return SSIM's structure term of the gradient magnitudes, weighted by the photo's edges; contrast is no matter."""
    ours, own = edges(rgb), edges(photo)

    def mean(plane: np.ndarray) -> np.ndarray:
        return uniform_filter(plane, WINDOW)

    def spread(plane: np.ndarray) -> np.ndarray:
        return np.sqrt(np.maximum(mean(plane**2) - mean(plane) ** 2, 0))

    both = mean(ours * own) - mean(ours) * mean(own)
    found = (both + FLOOR) / (spread(ours) * spread(own) + FLOOR)
    return float(np.average(found, weights=spread(own) + 1e-12))


def transfer(photo: Rgb, style: Rgb) -> Rgb:
    """Give a photo the mean and covariance of a style's colours in CIELAB by the Monge-Kantorovich map.

    Source: Pitie and Kokaram 2007, "The linear Monge-Kantorovitch linear colour mapping for example-based colour
    transfer" (doi:10.1049/cp:20070055), eq. 8; the colours outside of sRGB are clipped.
    """
    pixels, wanted = (rgb2lab(rgb.astype(np.float64)).reshape(-1, 3) for rgb in (photo, style))

    def root(matrix: np.ndarray, power: float) -> np.ndarray:
        values, axes = np.linalg.eigh(matrix)
        return (axes * np.maximum(values, 1e-9) ** power) @ axes.T

    source, target = np.cov(pixels.T), np.cov(wanted.T)
    half, back = root(source, 0.5), root(source, -0.5)
    moved = (pixels - pixels.mean(axis=0)) @ (back @ root(half @ target @ half, 0.5) @ back) + wanted.mean(axis=0)
    return np.clip(lab2rgb(moved.reshape(photo.shape)), 0, 1).astype(np.float32)


def measured(result: Rgb, photo: Rgb, style: Rgb, judge: Judge | None) -> dict[str, float]:
    """Measure a result."""
    found = {"edges": edge_ssim(result, photo), "edges r": edge_correlation(result, photo)}
    if judge is not None:
        seen = judge.figures(result, photo, style)
        found |= {"style": seen["style"], "w2": seen["w2"]}
    return found


def ways(photo: Rgb, style: Rgb, stylizer: Stylizer, result: str | None, side: int) -> dict[str, Rgb]:
    """Make a photo in the light of a style in all ways; `result` is the file of another's."""
    found = {"photo": photo, "transfer in Lab": transfer(photo, style)}
    for strength in STRENGTHS:
        settings = Settings(photo=True, strength=strength)
        found[f"--photo, strength {strength:g}"] = stylizer.stylize(photo, style, settings).image
    if result is not None:
        theirs = picture(result, side)
        found["theirs"] = images.resize_planes(theirs, height=photo.shape[0], width=photo.shape[1])
    return found


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Write the means of every way over all pairs that have it."""
    names = list(dict.fromkeys(row["way"] for row in rows))
    columns = [name for name in FIGURES if name in rows[0]]
    lines = []
    for name in names:
        own = [row for row in rows if row["way"] == name]
        means = (f"{np.mean([row[column] for row in own]):.{FIGURES[column]}f}" for column in columns)
        least = f"{min(row['edges r'] for row in own):.4f}"
        lines.append([name, str(len(own)), *means, least])
    return report.table(["way", "pairs", *columns, "least r"], lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="python -m benchmarks.photo", description=__doc__)
    parser.add_argument("pairs", nargs="+", metavar="PHOTO,STYLE[,RESULT]", help="files; RESULT is another's")
    parser.add_argument("--size", type=int, default=512, help="long side of all pictures")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--vgg", metavar="FILE", help="the judge's network")
    parser.add_argument("--no-judge", action="store_true", help="leave out the style errors")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    args = parser.parse_args(argv)
    facts = report.circumstances("benchmarks.photo", argv)
    try:
        judge = None if args.no_judge else Judge(vgg19_file(args.vgg))
        stylizer, rows = Stylizer(args.model), []
        for pair in args.pairs:
            names = pair.split(",")
            if len(names) not in (2, 3):
                raise ConfigError(f"{pair}: is no pair; write PHOTO,STYLE or PHOTO,STYLE,RESULT")
            photo, style = (picture(name, args.size) for name in names[:2])
            for way, result in ways(photo, style, stylizer, (names + [None])[2], args.size).items():
                rows.append({"pair": pair, "way": way, **measured(result, photo, style, judge)})
            report.say(pair)
        report.publish(facts, markdown(rows), {"rows": rows}, args.json)
    except WctStyleError as error:
        return report.failed(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
