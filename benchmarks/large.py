"""Pictures of many megapixels: seconds, memory, the look from afar, and seams between tiles.

Run as `python -m benchmarks.large`; README.md beside this file tells what the figures mean.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import report
from benchmarks.optimizer import MAXRSS_UNIT, picture
from wctstyle import images
from wctstyle.batch import Batch, Setup
from wctstyle.errors import WctStyleError
from wctstyle.inputs import Sizes, StyleSpec, read_full
from wctstyle.settings import DEFAULT_MODEL, LARGEST_SIDE

THUMB = 1024
"""Long side of the thumbnails that are compared, in pixels."""

GRAIN = 4 / 255
"""Standard deviation of the photo's grain, as large ones have detail in each pixel."""


def make_photo(source: str, megapixels: float, path: Path) -> None:
    """Enlarge a photo to so many megapixels, with grain, and save it."""
    photo = read_full(source, images.DEFAULT_MAX_PIXELS)
    scale = (megapixels * 1e6 / photo.height / photo.width) ** 0.5
    whole = photo.scaled(height=round(scale * photo.height), width=round(scale * photo.width))
    rng = np.random.default_rng(0)
    with images.saving(path, whole.shape, quality=93) as writer:
        for rows in whole.slabs():
            rgb = whole.rgb((rows, slice(0, whole.width)))
            grain = rng.normal(0, GRAIN, (*rgb.shape[:2], 1)).astype(np.float32)
            writer.write(np.clip(rgb + grain, 0, 1))


def long_side(photo: Path, megapixels: float) -> int:
    """Return the long side of a photo's copy of so many megapixels."""
    whole = images.load_raster(photo, max_pixels=0)
    return round((megapixels * 1e6 / whole.height / whole.width) ** 0.5 * max(whole.shape))


def paint(photo: Path, style: str, model: str, output: Path, megapixels: float) -> dict[str, Any]:
    """Paint a photo at so many megapixels, as the command line does with `--size`, in a process of its own."""
    sizes = Sizes(long_side(photo, megapixels), max_pixels=0, most=LARGEST_SIDE)
    clock, cpu = time.perf_counter(), time.process_time()
    setup = Setup((StyleSpec(style),), model=model, sizes=sizes)
    made = Batch(setup, warn=print).make(str(photo), str(output))
    found = {"seconds": time.perf_counter() - clock, "cpu": time.process_time() - cpu}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT
    return {**found, "megapixels": made["width"] * made["height"] / 1e6, "gib": peak / 2**30}


def seams(photo: Path, style: str, model: str, side: int) -> dict[str, float]:
    """Compare a picture painted in one piece with one painted by tiles, in levels of 255.

    The largest difference where all of it is measured, and the largest and mean where only a sample is, as usual.
    """
    from wctstyle.encoder import MODELS
    from wctstyle.stylizer import Stylizer
    from wctstyle.tiles import Tiling

    content = images.resize(images.load(photo), long_side=side).rgb
    own = picture(style, side)
    usual = Tiling.of(MODELS[model], (LARGEST_SIDE, LARGEST_SIDE))

    def painted(tiling: Tiling) -> np.ndarray:
        return 255 * Stylizer(model, tiling=tiling).stylize(content, own).image

    whole = painted(Tiling(LARGEST_SIDE, LARGEST_SIDE))
    apart = np.abs(painted(replace(usual, measured=sys.maxsize)) - whole)
    sampled = np.abs(painted(usual) - whole)
    return {"tiles": float(apart.max()), "sampled": float(sampled.max()), "sampled mean": float(sampled.mean())}


def thumbnail(path: Path, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Shrink a result as it is seen from afar, to a shape: roundings of the photo's sides differ by a pixel."""
    result = images.load_raster(path, max_pixels=0)
    height, width = shape[:2] if shape else images.scaled_sides(result, long_side=THUMB)
    return result.resized(height=height, width=width).rgb


def apart(path: Path, first: np.ndarray) -> float:
    """Return the mean difference of a result's thumbnail from the first's, in levels of 255."""
    return float(255 * np.abs(thumbnail(path, first.shape) - first).mean())


def own_process(*argv: str) -> str:
    """Run this benchmark's part in a process of its own; returns its last line."""
    done = subprocess.run([sys.executable, "-m", "benchmarks.large", *argv], check=True, stdout=subprocess.PIPE)
    return done.stdout.decode().strip().rpartition("\n")[2]


def measure(args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Paint one photo at every size, each in its own process."""
    rows: list[dict[str, Any]] = []
    first: np.ndarray | None = None
    photo = folder / "photo.jpg"
    own_process("--make", args.content, f"{max(args.megapixels)}", str(photo))
    for size in args.megapixels:
        output = folder / f"result-{size:g}.{args.format}"
        row = json.loads(own_process("--paint", str(photo), args.style, args.model, str(output), f"{size}"))
        first = thumbnail(output) if first is None else first
        rows.append({**row, "levels": apart(output, first)})
        print(json.dumps(rows[-1]), file=sys.stderr)
    return rows


def markdown(rows: Sequence[dict[str, Any]], seam: dict[str, float] | None) -> str:
    """Write the figures of every size, the seconds per megapixel against those of 4 megapixels or the first size."""
    base = next((row for row in rows if round(row["megapixels"]) == 4), rows[0])
    lines = [
        [
            f"{row['megapixels']:.0f}",
            f"{row['seconds']:.0f}",
            f"{row['cpu']:.0f}",
            f"{row['cpu'] / row['megapixels']:.2f}",
            f"{row['cpu'] / row['megapixels'] / (base['cpu'] / base['megapixels']):.2f}",
            f"{row['gib']:.2f}",
            f"{row['levels']:.1f}",
        ]
        for row in rows
    ]
    head = ["megapixels", "seconds", "CPU seconds", "CPU s/MP", "against 4 MP", "peak GiB", "levels of 255"]
    text = report.table(head, lines)
    if seam is not None:
        text += "\n\nTiles against one piece, levels of 255: {tiles:.3f} at most; with the plan of a sample".format_map(
            seam
        )
        text += " {sampled:.2f} at most, {sampled mean:.2f} on average.\n".format_map(seam)
    return text


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if argv[:1] == ["--make"]:
        make_photo(argv[1], float(argv[2]), Path(argv[3]))
        return 0
    if argv[:1] == ["--paint"]:
        print(json.dumps(paint(Path(argv[1]), argv[2], argv[3], Path(argv[4]), float(argv[5]))))
        return 0
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large", description=__doc__)
    add = parser.add_argument
    add("--content", default="sample:astronaut", help="the photo that is enlarged")
    add("--style", default="sample:impasto-night")
    add("--megapixels", type=float, nargs="+", default=[1, 4, 16, 40])
    add("--seams", type=int, default=0, metavar="PIXELS", help="long side at which tiles are compared; 0: not at all")
    add("--format", default="png", choices=["png", "jpg", "tif"])
    add("--model", default=DEFAULT_MODEL, help="the model that paints")
    add("--keep", type=Path, metavar="FOLDER", help="keep photos and results there")
    add("--json", type=Path, metavar="FILE", help="write all figures")
    args = parser.parse_args(argv)
    facts = report.circumstances("benchmarks.large", argv)
    try:
        with tempfile.TemporaryDirectory() as folder:
            kept = args.keep or Path(folder)
            images.make_folder(kept)
            rows = measure(args, kept)
            seam = seams(kept / "photo.jpg", args.style, args.model, args.seams) if args.seams else None
        report.publish(facts, markdown(rows, seam), {"rows": rows, "seam": seam}, args.json)
    except WctStyleError as error:
        return report.failed(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
