"""The optimiser: steps a second, time to a loss from either start, and against other optimisers.

Run as `python -m benchmarks.optimizer`; README.md beside this file tells what the figures mean.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, UInt8

from benchmarks import report
from benchmarks.judge import Judge, vgg19_file
from wctstyle import images, samples, weights
from wctstyle.compilation import enable_compilation_cache
from wctstyle.encoder import MODELS
from wctstyle.errors import ConfigError, ImageError, WctStyleError
from wctstyle.optimizer import Iterate, Optimizer, OptimizeSettings
from wctstyle.optimizer.job import Job
from wctstyle.optimizer.programs import Programs
from wctstyle.optimizer.terms import values
from wctstyle.optimizer.terms import weights as weights_of
from wctstyle.settings import DEFAULT_OPTIMIZER_MODEL
from wctstyle.stylizer import Stylizer

Rgb = Float[np.ndarray, "h w 3"]
Rgb8 = UInt8[np.ndarray, "h w 3"]

MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


def picture(source: str, side: int) -> Rgb:
    """Read a picture by its path or as sample:NAME, its long side exactly `side`."""
    found = samples.picture(source[len(samples.PREFIX) :]) if source.startswith(samples.PREFIX) else images.load(source)
    return images.flatten(images.resize(found, long_side=side, enlarge=True)).rgb


def timed_run(
    engine: Optimizer, content: Rgb, style: Rgb, settings: OptimizeSettings, init: Rgb | None
) -> dict[str, Any]:
    """Run twice, a few steps to compile and then all; seconds are those of the second run.

    `pictures` are the iterates of the finest scale with their seconds, in 8 bits.
    """
    clock = time.perf_counter()
    for _ in engine.run(content, [(style, 1.0)], dataclasses.replace(settings, steps=4), init=init):
        pass
    first = time.perf_counter() - clock
    course: list[tuple[float, bool, float]] = []
    pictures: list[tuple[float, Rgb8]] = []
    last: Iterate | None = None
    for last in engine.run(content, [(style, 1.0)], settings, init=init):
        course.append((last.seconds, last.scale == last.scales, last.losses["total"]))
        if last.scale == last.scales:
            pictures.append((last.seconds, np.rint(last.image * 255).astype(np.uint8)))
    assert last is not None
    return {
        "first_seconds": first,
        "seconds": last.seconds,
        "evaluations_per_second": last.step / last.seconds,
        "losses": last.losses,
        "course": course,
        "pictures": pictures,
        "image": last.image,
    }


def seconds_to(course: Sequence[tuple[float, bool, float]], loss: float) -> float | None:
    """Return when the finest scale first reached a loss."""
    return next((seconds for seconds, finest, total in course if finest and total <= loss), None)


def judged_loss(figures: Mapping[str, Any], settings: OptimizeSettings) -> float:
    """Return what is minimised, but for total variation, by the judge's figures of a picture."""
    levels = np.square(figures["style_by_level"])
    return settings.content_weight * figures["content"] + settings.style_weight * float(np.mean(levels))


def judge_courses(
    judge: Judge, rows: Mapping[str, dict[str, Any]], content: Rgb, style: Rgb, settings: OptimizeSettings
) -> None:
    """Put into each row when the judge first saw a loss as low as that of the first row's last picture.

    A run is looked at in its order and no further than that, so `pictures` need not all be judged.
    """
    first = next(iter(rows.values()))

    def loss(picture: Rgb8) -> float:
        return judged_loss(judge.figures(picture.astype(np.float32) / 255, content, style), settings)

    goal = loss(first["pictures"][-1][1])
    for row in rows.values():
        row["judged_seconds_to_goal"] = (
            row["seconds"]
            if row is first
            else next((seconds for seconds, picture in row["pictures"] if loss(picture) <= goal), None)
        )


def optax_run(
    model: str,
    tensors: Mapping[str, np.ndarray],
    content: Rgb,
    style: Rgb,
    settings: OptimizeSettings,
    seconds: float,
) -> dict[str, Any]:
    """Minimise the same loss at one scale with `optax.lbfgs` and its zoom line search, for as long as ours took.

    One step at least. begin: the loss of the content, where it starts.
    """
    programs = Programs(MODELS[model], tensors)
    job = Job.checked(content, [(style, 1.0)], dataclasses.replace(settings, keep_faces=0.0), content, resumed=False)
    terms, photo = programs.objective(job, content.shape[:2]), jnp.asarray(content[None])
    weighted = weights_of(terms)
    solver = optax.lbfgs(memory_size=settings.history)

    def loss(x: Any) -> Any:
        return jnp.vdot(values(terms, programs.params, x, job.network), weighted)

    both = optax.value_and_grad_from_state(loss)

    @jax.jit
    def step(x: Any, state: Any) -> tuple[Any, Any, Any]:
        value, slope = both(x, state=state)
        updates, state = solver.update(slope, state, x, value=value, grad=slope, value_fn=loss)
        return optax.apply_updates(x, updates), state, value

    x, state = photo, solver.init(photo)
    clock = time.perf_counter()
    _, _, begin = jax.block_until_ready(step(x, state))
    first, steps = time.perf_counter() - clock, 0
    clock = time.perf_counter()
    while not steps or time.perf_counter() - clock < seconds:
        x, state, _ = jax.block_until_ready(step(x, state))
        steps += 1
    taken = time.perf_counter() - clock
    return {
        "first_seconds": first,
        "seconds": taken,
        "steps": steps,
        "steps_per_second": steps / taken,
        "begin": float(begin),
        "loss": float(optax.tree_utils.tree_get(state, "value")),
    }


MEASURE = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status & 255)
"""
"""Runs a program and prints the peak memory of the largest of its processes. In a process of its own, because a child
begins with the peak of the process that it was split off from."""


def run_program(words: Sequence[str]) -> tuple[int, str, float, float]:
    """Run a program to its end: exit status, what it said on stderr, wall seconds, and peak memory in GiB."""
    clock = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *words], capture_output=True, text=True, errors="replace", check=False
    )
    seconds = time.perf_counter() - clock
    peak = int(done.stdout) if done.stdout.strip().isdigit() else 0
    return done.returncode, done.stderr, seconds, peak * MAXRSS_UNIT / 2**30


def run_peer(command: str, paths: Mapping[str, Path]) -> tuple[str, float, float]:
    """Run another program with the names of `paths` filled in: what it said, wall seconds, and peak memory in GiB.

    Raises:
        ConfigError: there is no such program, or it failed.
    """
    words = [word.format_map(paths) for word in shlex.split(command)]
    if shutil.which(words[0]) is None:
        raise ConfigError(f"--peer {command}: cannot be run: No such file or program")
    status, said, seconds, peak = run_program(words)
    said = said.strip()[-500:]
    if status:
        raise ConfigError(f"--peer {command}: ended with {status}: {said or 'and wrote no picture to {out}'}")
    return said, seconds, peak


def peer_run(command: str, content: Rgb, style: Rgb) -> tuple[Rgb, float, float]:
    """Run another program as `COMMAND` with {content}, {style} and {out} filled in.

    Returns:
        Its picture, wall seconds from start to end, and peak memory in GiB.

    Raises:
        ConfigError: it failed, or wrote no picture.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / f"{name}.png" for name in ("content", "style", "out")}
        images.save(paths["content"], content)
        images.save(paths["style"], style)
        said, seconds, peak = run_peer(command, paths)
        if not paths["out"].is_file():
            raise ConfigError(f"--peer {command}: ended with 0: {said or 'and wrote no picture to {out}'}")
        try:
            result = images.resize(images.load(paths["out"]), long_side=max(content.shape[:2]), enlarge=True)
        except ImageError as error:
            raise ConfigError(f"--peer {command}: wrote no picture: {error}") from error
        if result.rgb.shape != content.shape:
            raise ConfigError(
                f"--peer {command}: wrote {result.width} x {result.height} pixels after scaling, wanted the content's "
                f"{content.shape[1]} x {content.shape[0]}"
            )
        return images.flatten(result).rgb, seconds, peak


def parse_peer(text: str) -> tuple[str, str]:
    """Read NAME=COMMAND.

    Raises:
        ConfigError: there is no name or no command, or the command cannot be read or filled in.
    """
    name, _, command = text.partition("=")
    try:
        words = [word.format(content="", style="", out="") for word in shlex.split(command)]
    except (ValueError, LookupError, AttributeError) as error:
        raise ConfigError(f"--peer {text}: cannot be read ({error}): double braces stand for themselves") from error
    if not words or not re.fullmatch(r"[\w .-]+", name):
        raise ConfigError(f"--peer {text}: wanted NAME=COMMAND, the name of letters, digits and -")
    return name, command


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Take every figure that is asked for; what is bad in the options is told before anything slow begins."""
    enable_compilation_cache()
    peers = dict(map(parse_peer, args.peer))
    judge_file = vgg19_file(args.vgg) if args.vgg is not None or peers else None
    content, style = picture(args.content, args.size), picture(args.style, args.size)
    settings = OptimizeSettings(steps=args.steps, optimizer=args.optimizer, init="content", keep_faces=0.0)
    one_scale = dataclasses.replace(settings, smallest=args.size)
    pyramid = dataclasses.replace(settings, smallest=max(16, args.size // 2))
    tensors = None if args.weights is None else report.load_tensors(args.model, args.weights)
    engine = Optimizer(args.model, tensors=tensors)
    quick = Stylizer() if tensors is None else Stylizer(args.model, tensors=tensors)
    fast = quick.stylize(content, style).image
    others = {name: peer_run(command, content, style) for name, command in peers.items()}
    rows: dict[str, dict[str, Any]] = {}
    for name, chosen, init in (
        ("content start, one scale", one_scale, None),
        ("fast start, one scale", one_scale, fast),
        ("fast start, pyramid", pyramid, fast),
    ):
        rows[name] = timed_run(engine, content, style, chosen, init)
        report.say(f"{name}: {rows[name]['seconds']:.1f} s, loss {rows[name]['losses']['total']:.5f}")
    goal = rows["content start, one scale"]["losses"]["total"]
    for row in rows.values():
        row["seconds_to_goal"] = seconds_to(row["course"], goal)
    found: dict[str, Any] = {"goal": goal, "rows": rows, "peak_gib": 0.0}
    found["peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT / 2**30
    if args.optax:
        encoder = weights.load(args.model, parts=("encoder",))[0] if tensors is None else tensors
        seconds = rows["content start, one scale"]["seconds"]
        found["optax"] = optax_run(args.model, encoder, content, style, one_scale, seconds)
    pictures = {name: (row.pop("image"), row["seconds"], None) for name, row in rows.items()}
    pictures |= {"fast alone": (fast, None, None), **others}
    if judge_file is not None:
        judge = Judge(judge_file)
        judge_courses(judge, rows, content, style, settings)
        seen = {name: judge.figures(image, content, style) for name, (image, *_) in pictures.items()}
        found["judged"] = {
            name: {"seconds": seconds, "peak_gib": peak, "loss": judged_loss(seen[name], settings), **seen[name]}
            for name, (_, seconds, peak) in pictures.items()
        }
    for row in rows.values():
        del row["pictures"]
    if args.out is not None:
        for name, (image, *_) in pictures.items():
            images.save(args.out / f"{name.replace(', ', '_').replace(' ', '-')}.png", image)
    return found


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def markdown(found: dict[str, Any]) -> str:
    """Write the figures as tables."""
    rows = [
        [
            name,
            f"{row['seconds']:.1f}",
            f"{row['evaluations_per_second']:.2f}",
            f"{row['losses']['total']:.5f}",
            f"{row['losses']['style']:.3f}",
            f"{row['losses']['content']:.3f}",
            _seconds(row["seconds_to_goal"]),
            f"{row['first_seconds']:.1f}",
        ]
        for name, row in found["rows"].items()
    ]
    header = ["run", "s", "evaluations/s", "loss", "style", "content", "s to the first row's loss", "s to compile"]
    text = report.table(header, rows) + f"\nPeak resident memory {found['peak_gib']:.2f} GiB.\n"
    if other := found.get("optax"):
        text += (
            f"\noptax.lbfgs with its zoom line search, one scale from the content, for {other['seconds']:.0f} s: "
            f"{other['steps']} steps ({other['steps_per_second']:.2f}/s), loss {other['loss']:.5f}, "
            f"{other['first_seconds']:.1f} s to compile.\n"
        )
    if judged := found.get("judged"):
        lines = [
            [
                name,
                _seconds(row["seconds"]),
                "-" if row["peak_gib"] is None else f"{row['peak_gib']:.2f}",
                f"{row['loss']:.4f}",
                _seconds(found["rows"].get(name, {}).get("judged_seconds_to_goal")),
                f"{row['style']:.3f}",
                " ".join(f"{v:.2f}" for v in row["style_by_level"]),
                f"{row['content']:.3f}",
                f"{row['ssim']:.3f}",
            ]
            for name, row in judged.items()
        ]
        header = ["judged by the original VGG-19", "s", "peak GiB", "loss", "s to the first row's loss"]
        header += ["style", "by level 1..5", "content", "ssim"]
        text += "\n" + report.table(header, lines)
    return text


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.optimizer", description=__doc__)
    parser.add_argument("--content", default="sample:astronaut")
    parser.add_argument("--style", default="sample:impasto-night")
    parser.add_argument("--size", type=int, default=512, help="long side of both pictures")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--optimizer", choices=("lbfgs", "adam"), default="lbfgs")
    parser.add_argument("--model", default=DEFAULT_OPTIMIZER_MODEL)
    parser.add_argument("--weights", type=Path, help="a complete weights file instead of the model's own")
    parser.add_argument("--vgg", help="the original VGG-19 (.npz), to judge the pictures with")
    parser.add_argument("--optax", action="store_true", help="also time optax.lbfgs on the same loss")
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="another program, with {content} {style} {out}",
    )
    parser.add_argument("--out", type=Path, help="folder for the pictures")
    parser.add_argument("--json", type=Path, dest="json_file", help="write all that was measured here")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    words = sys.argv[1:] if argv is None else list(argv)
    args = parse(words)
    try:
        facts = report.circumstances("benchmarks.optimizer", words)
        if args.out is not None:
            try:
                args.out.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ConfigError(f"--out {args.out}: cannot be made: {error.strerror or error}") from error
        found = measure(args)
        report.publish(facts, markdown(found), found, args.json_file)
    except WctStyleError as error:
        return report.failed(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
