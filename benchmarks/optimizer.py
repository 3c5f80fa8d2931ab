"""The optimiser: steps a second, time to a loss from either start, and against other optimisers.

Run as `python -m benchmarks.optimizer`; README.md beside this file tells what the figures mean.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from benchmarks import report
from benchmarks.judge import Judge, vgg19_file
from wctstyle import images, samples
from wctstyle.errors import ConfigError, WctStyleError
from wctstyle.optimizer import Iterate, Optimizer, OptimizeSettings
from wctstyle.optimizer.objective import Shape, loss_terms, term_weights
from wctstyle.stylizer import Stylizer, enable_compilation_cache

Rgb = Float[np.ndarray, "h w 3"]

MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


def picture(source: str, side: int) -> Rgb:
    """Read a picture by its path or as sample:NAME, its long side exactly `side`."""
    found = samples.picture(source[len(samples.PREFIX) :]) if source.startswith(samples.PREFIX) else images.load(source)
    return images.flatten(images.resize(found, long_side=side, enlarge=True)).rgb


def timed_run(
    engine: Optimizer, content: Rgb, style: Rgb, settings: OptimizeSettings, init: Rgb | None
) -> dict[str, Any]:
    """Run twice, a few steps to compile and then all; seconds are those of the second run."""
    clock = time.perf_counter()
    for _ in engine.run(content, [(style, 1.0)], dataclasses.replace(settings, steps=4), init=init):
        pass
    first = time.perf_counter() - clock
    course: list[Iterate] = list(engine.run(content, [(style, 1.0)], settings, init=init))
    last = course[-1]
    return {
        "first_seconds": first,
        "seconds": last.seconds,
        "evaluations_per_second": last.step / last.seconds,
        "losses": last.losses,
        "course": [(i.seconds, i.scale == i.scales, i.losses["total"]) for i in course],
        "image": last.image,
    }


def seconds_to(course: Sequence[tuple[float, bool, float]], loss: float) -> float | None:
    """Return when the finest scale first reached a loss."""
    return next((seconds for seconds, finest, total in course if finest and total <= loss), None)


def optax_run(
    engine: Optimizer, content: Rgb, style: Rgb, settings: OptimizeSettings, seconds: float
) -> dict[str, Any]:
    """Minimise the same loss at one scale with `optax.lbfgs` and its zoom line search, for as long as ours took."""
    job = engine._job(content, [(style, 1.0)], dataclasses.replace(settings, init="content"), None, resumed=False)
    size, shape = job.sizes[-1], Shape.of(settings)
    targets, weights = engine._targets(job, size), jnp.asarray(term_weights(settings, shape))
    solver = optax.lbfgs(memory_size=settings.history)

    def loss(x: Any) -> Any:
        return jnp.vdot(loss_terms(engine._params, x, targets, shape), weights)

    both = optax.value_and_grad_from_state(loss)

    @jax.jit
    def step(x: Any, state: Any) -> tuple[Any, Any, Any]:
        value, slope = both(x, state=state)
        updates, state = solver.update(slope, state, x, value=value, grad=slope, value_fn=loss)
        return optax.apply_updates(x, updates), state, value

    x = jnp.asarray(content[None])
    state = solver.init(x)
    clock = time.perf_counter()
    jax.block_until_ready(step(x, state))
    first, steps, value = time.perf_counter() - clock, 0, jnp.inf
    clock = time.perf_counter()
    while time.perf_counter() - clock < seconds:
        x, state, value = step(x, state)
        value.block_until_ready()
        steps += 1
    taken = time.perf_counter() - clock
    return {
        "first_seconds": first,
        "seconds": taken,
        "steps": steps,
        "steps_per_second": steps / taken,
        "loss": float(value),
    }


def peer_run(command: str, content: Rgb, style: Rgb) -> tuple[Rgb, float]:
    """Run another program as `COMMAND` with {content}, {style} and {out} filled in; its picture and wall seconds.

    Raises:
        ConfigError: it failed, or wrote no picture.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / f"{name}.png" for name in ("content", "style", "out")}
        images.save(paths["content"], content)
        images.save(paths["style"], style)
        words = [word.format_map(paths) for word in shlex.split(command)]
        clock = time.perf_counter()
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - clock
        if done.returncode or not paths["out"].is_file():
            raise ConfigError(f"--peer {command}: ended with {done.returncode}: {done.stderr.strip()[-500:]}")
        result = images.load(paths["out"])
        return images.resize(result, long_side=max(content.shape[:2]), enlarge=True).rgb, seconds


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Take every figure that is asked for."""
    enable_compilation_cache()
    content, style = picture(args.content, args.size), picture(args.style, args.size)
    tensors = None if args.weights is None else report.load_tensors(args.model, args.weights)
    engine = Optimizer(args.model, tensors=tensors)
    settings = OptimizeSettings(steps=args.steps, optimizer=args.optimizer, init="content")
    one_scale = dataclasses.replace(settings, smallest=args.size)
    fast = Stylizer("slim").stylize(content, style).image
    rows: dict[str, dict[str, Any]] = {}
    for name, chosen, init in (
        ("content start, one scale", one_scale, None),
        ("fast start, one scale", one_scale, fast),
        ("fast start, pyramid", settings, fast),
    ):
        rows[name] = timed_run(engine, content, style, chosen, init)
        print(f"{name}: {rows[name]['seconds']:.1f} s, loss {rows[name]['losses']['total']:.5f}", file=sys.stderr)
    goal = rows["content start, one scale"]["losses"]["total"]
    for row in rows.values():
        row["seconds_to_goal"] = seconds_to(row["course"], goal)
    found: dict[str, Any] = {"goal": goal, "rows": rows, "peak_gib": 0.0}
    found["peak_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT / 2**30
    if args.optax:
        found["optax"] = optax_run(engine, content, style, one_scale, rows["content start, one scale"]["seconds"])
    pictures = {name: (row["image"], row["seconds"]) for name, row in rows.items()} | {"fast alone": (fast, None)}
    for peer in args.peer:
        name, _, command = peer.partition("=")
        pictures[name] = peer_run(command, content, style)
    if args.vgg is not None or args.peer:
        judge = Judge(vgg19_file(args.vgg))
        found["judged"] = {
            name: {"seconds": seconds, **judge.figures(image, content, style)}
            for name, (image, seconds) in pictures.items()
        }
    if args.out is not None:
        for name, (image, _) in pictures.items():
            images.save(args.out / f"{name.replace(', ', '_').replace(' ', '-')}.png", image)
    return found


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
            "-" if row["seconds_to_goal"] is None else f"{row['seconds_to_goal']:.1f}",
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
                "-" if row["seconds"] is None else f"{row['seconds']:.1f}",
                f"{row['style']:.3f}",
                " ".join(f"{v:.2f}" for v in row["style_by_level"]),
                f"{row['content']:.3f}",
                f"{row['ssim']:.3f}",
            ]
            for name, row in judged.items()
        ]
        header = ["judged by the original VGG-19", "s", "style", "by level 1..5", "content", "ssim"]
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
    parser.add_argument("--model", default="slim")
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
            args.out.mkdir(parents=True, exist_ok=True)
        found = measure(args)
    except WctStyleError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    print(f"{report.circumstances_markdown(facts)}\n{markdown(found)}")
    if args.json_file is not None:
        for row in found["rows"].values():
            del row["image"]
        args.json_file.write_text(json.dumps({"circumstances": facts, **found}, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
