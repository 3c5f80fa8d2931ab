"""Speed: from a cold start to the move of a slider, and how near the convolutions come to the machine's peak.

Run as `python -m benchmarks.speed`; README.md beside this file tells what the figures mean.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import skimage.data
from flax import nnx
from jaxtyping import Float

from benchmarks import report
from benchmarks.sheets import resize_to
from wctstyle import images, weights
from wctstyle import plan as core
from wctstyle.codes import StyleCode
from wctstyle.encoder import CODE_LEVEL, MODELS, ModelConfig
from wctstyle.errors import ConfigError, WctStyleError
from wctstyle.model import build
from wctstyle.regions import Region
from wctstyle.settings import DEFAULT_MODEL, Settings
from wctstyle.sizes import pad_to_family
from wctstyle.stylizer import Stylizer
from wctstyle.weights.models import config_metadata

Rgb = Float[np.ndarray, "h w 3"]

PEAK_SHAPES = ((56, 256, 256), (64, 128, 128), (128, 64, 64), (28, 512, 512), (256, 32, 32))
"""Side, channels in and channels out of the 3x3 convolutions whose fastest counts as the machine's peak."""

CACHE_THRESHOLDS = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
}
"""What `compilation.enable_compilation_cache` sets for its own folder and leaves alone when a folder is given."""

LAUNCHER = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps({"seconds": seconds, "peak": peak, "status": done.returncode, "stderr": done.stderr}))
"""
"""Runs a command from a small process: on Linux a child's peak is never below that of the process it came from."""

MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


class Size(NamedTuple):
    """Width and height of a content and of a style, in pixels."""

    content: tuple[int, int]
    style: tuple[int, int]

    def __str__(self) -> str:
        return "{}x{} + {}x{}".format(*self.content, *self.style)


def parse_size(text: str) -> Size:
    """Read `512x384+512x512`: content and style, width x height.

    Raises:
        ConfigError: it is written otherwise, or a side is out of range.
    """
    match = re.fullmatch(r"(\d+)x(\d+)\+(\d+)x(\d+)", text)
    if match is None:
        raise ConfigError(f"--sizes {text!r}: wanted WIDTHxHEIGHT+WIDTHxHEIGHT (content, style), as 512x384+512x512")
    a, b, c, d = map(int, match.groups())
    if not all(48 <= side <= 4096 for side in (a, b, c, d)):
        raise ConfigError(f"--sizes {text!r}: sides must be between 48 and 4096 pixels")
    return Size((a, b), (c, d))


class Supply:
    """An endless supply of pictures of one size that no cache has met: a photo, turned by another column each time."""

    def __init__(self, photo: np.ndarray, size: tuple[int, int]) -> None:
        self._base = resize_to(images.load(photo).rgb, size[1], size[0])
        self._turns = itertools.count()

    def __call__(self) -> Rgb:
        """Make the next picture."""
        return np.roll(self._base, next(self._turns), axis=1)


# ------------------------------------------------------------------------------------------------- processes


def run_process(command: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """Run a command to its end; return its seconds, peak resident memory (MiB) and, if it failed, what it said."""
    launched = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LAUNCHER, *command],
        env={**os.environ, **environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(launched.stdout)
    failure = None
    if found["status"] != 0:
        lines = found["stderr"].strip().splitlines()
        failure = lines[-1] if lines else f"exit status {found['status']}"
    return {"seconds": found["seconds"], "peak_mib": found["peak"] * MAXRSS_UNIT / 2**20, "failure": failure}


def measure_processes(model: str, file: Path | None, size: Size) -> dict[str, Any]:
    """Time the command line to its first picture: with an empty compilation cache, then with what that run left."""
    with tempfile.TemporaryDirectory(prefix="wctstyle-speed-") as name:
        folder = Path(name)
        images.save(folder / "content.png", Supply(skimage.data.astronaut(), size.content)())
        images.save(folder / "style.png", Supply(skimage.data.coffee(), size.style)())
        environment = {"JAX_COMPILATION_CACHE_DIR": str(folder / "cache"), **CACHE_THRESHOLDS}
        if file is not None:
            environment["WCTSTYLE_WEIGHTS"] = str(_as_shipped(model, file, folder / "weights"))
        command = [
            sys.executable, "-m", "wctstyle", "stylize", str(folder / "content.png"),
            "--style", str(folder / "style.png"), "--size", "0", "--style-size", "0",
            "--model", model, "--output", str(folder / "out.png"), "--overwrite",
        ]  # fmt: skip
        found = {}
        for cache in ("cold", "warm"):
            found[cache] = run_process(command, environment)
            if found[cache]["failure"] is None and not (folder / "out.png").is_file():
                found[cache]["failure"] = "no picture was written"
        return found


def _as_shipped(model: str, file: Path, folder: Path) -> Path:
    """Lay a weights file out as a folder of shipped weights, for `WCTSTYLE_WEIGHTS`."""
    if model == "vgg19":
        raise ConfigError(f"--weights with --model {model}: it is two files; use --no-process, slim or medium")
    tensors, metadata = weights.load_file(file)
    weights.save(folder / f"{model}.safetensors", tensors, {"config": config_metadata(MODELS[model]), **metadata})
    return folder


# ------------------------------------------------------------------------------------------------ in process


@contextlib.contextmanager
def without_compilation_cache() -> Iterator[None]:
    """Compile everything anew, whatever earlier runs left in a cache folder."""
    before = getattr(jax.config, "jax_enable_compilation_cache")  # noqa: B009 (unknown to type checkers)
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", before)


def timed(action: Callable[[], Any], repeats: int) -> dict[str, float]:
    """Time an action: median and 95th percentile of `repeats` calls, and what the first took longer (compiling)."""

    def once() -> float:
        start = time.perf_counter()
        jax.block_until_ready(action())
        return time.perf_counter() - start

    first = once()
    steady = [once() for _ in range(repeats)]
    median, p95 = float(np.median(steady)), float(np.percentile(steady, 95))
    return {"compile": max(0.0, first - median), "median": median, "p95": p95, "least": min(steady)}


def measure_stylizer(stylizer: Stylizer, size: Size, repeats: int) -> dict[str, dict[str, float]]:
    """Time what a user waits for. Pictures that are to be new are made beforehand; reading files is not counted."""
    contents = Supply(skimage.data.astronaut(), size.content)
    styles = Supply(skimage.data.coffee(), size.style)

    def queue(supply: Supply) -> Callable[[], Rgb]:
        return iter([supply() for _ in range(repeats + 1)]).__next__

    def image(*args: Any) -> Rgb:
        return stylizer.stylize(*args).image

    found: dict[str, dict[str, float]] = {}
    content, style = queue(contents), queue(styles)
    found["new pair"] = timed(lambda: image(content(), style()), repeats)
    kept, first, second = stylizer.content(contents()), stylizer.style(styles()), stylizer.style(styles())
    new_style = queue(styles)
    found["new style, same photo"] = timed(lambda: image(kept, new_style()), repeats)
    third = stylizer.style(styles())

    def slider(*codes: StyleCode) -> Callable[[], Rgb]:
        weight = iter(np.linspace(0.1, 0.9, repeats + 1)).__next__
        moved, *others = codes
        return lambda: image(kept, [(moved, float(weight())), *((code, 0.5) for code in others)])

    found["slider: two cached styles, new weights"] = timed(slider(first, second), repeats)
    found["slider: three cached styles, new weights"] = timed(slider(first, second, third), repeats)
    half = np.zeros((kept.height, kept.width), np.float32)
    half[:, : kept.width // 2] = 1
    moves = {"strength moved": first, "strength moved, two regions": [Region(half, first), Region(None, second)]}
    for name, wanted in moves.items():
        strengths = iter(np.linspace(0.1, 0.9, repeats + 1)).__next__

        def moved(wanted: Any = wanted, strengths: Callable[[], Any] = strengths) -> Rgb:
            return image(kept, wanted, Settings(strength=float(strengths())))

        found[name] = timed(moved, repeats)
    return found


def conv_flops(config: ModelConfig, part: str, height: int, width: int) -> int:
    """Count the floating point operations of a part's 3x3 convolutions, a multiplication and an addition two.

    The encoder is counted up to relu4_1, where a code is taken. Every window counts as nine products per channel, also
    where fewer are made: after an upsampling, and by Winograd's way.
    """
    total = 0
    for name, c_in, c_out in config.convs(part):
        stage, number = int(name[4]), int(name[6])
        if (stage, number) <= (CODE_LEVEL, 1):
            total += 2 * 9 * c_in * c_out * (height >> stage - 1) * (width >> stage - 1)
    return total


def measure_peak(repeats: int) -> dict[str, float]:
    """Measure single 3x3 convolutions, in GFLOP/s at their best; the largest stands for the machine's peak."""

    @jax.jit
    def conv(x: Any, kernel: Any) -> Any:
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    found = {}
    for side, c_in, c_out in PEAK_SHAPES:
        x = jnp.ones((1, side, side, c_in), jnp.float32)
        kernel = jnp.ones((3, 3, c_in, c_out), jnp.float32)
        least = timed(lambda x=x, kernel=kernel: conv(x, kernel), repeats)["least"]
        found[f"{side}x{side}, {c_in} to {c_out}"] = 2 * 9 * c_in * c_out * side * side / least / 1e9
    return found


def measure_parts(
    model: str, tensors: Mapping[str, np.ndarray], size: Size, repeats: int
) -> dict[str, dict[str, float]]:
    """Time encoding, planning and decoding by themselves at the content's padded size; a plan has no convolutions."""
    config = MODELS[model]
    encoder, decoder = build(config, dict(tensors))
    encoder_def, encoder_params = nnx.split(encoder)
    decoder_def, decoder_params = nnx.split(decoder)
    image = jnp.asarray(pad_to_family(Supply(skimage.data.astronaut(), size.content)()))
    height, width = image.shape[1:3]
    encode = jax.jit(lambda p, x: core.encode(nnx.merge(encoder_def, p), x, height, width))
    decode = jax.jit(lambda p, code: nnx.merge(decoder_def, p)(code))
    plan = jax.jit(core.plan)
    code, moments = encode(encoder_params, image)
    _, target = encode(encoder_params, image[:, ::-1, :, ::-1])
    parts: dict[str, tuple[str, Callable[[], Any]]] = {
        "encode": ("encoder", lambda: encode(encoder_params, image)),
        "plan": ("", lambda: plan(moments, target)),
        "decode": ("decoder", lambda: decode(decoder_params, code)),
    }
    found = {}
    for name, (part, action) in parts.items():
        seconds = timed(action, repeats)["median"]
        gflop = conv_flops(config, part, height, width) / 1e9 if part else 0.0
        found[name] = {"gflop": gflop, "seconds": seconds, "gflop_per_s": gflop / seconds}
    return found


# --------------------------------------------------------------------------------------------------- tables


def process_table(sizes: Sequence[dict[str, Any]]) -> str:
    """Write the table of the command line's first picture."""
    rows = []
    for found in sizes:
        for cache, label in (("cold", "nothing compiled yet"), ("warm", "compiled by an earlier run")):
            run = found["process"][cache]
            said = f"failed: {run['failure']}" if run["failure"] else f"{run['seconds']:.2f}"
            rows.append([f"{found['size']}, {label}", said, f"{run['peak_mib']:.0f}"])
    return report.table(["`wctstyle stylize`, start to file", "s", "peak memory (MiB)"], rows)


def stylizer_table(size: str, found: Mapping[str, Mapping[str, float]]) -> str:
    """Write the table of one size."""
    rows = [[name, f"{t['median']:.3f}", f"{t['p95']:.3f}", f"{t['compile']:.2f}"] for name, t in found.items()]
    return report.table([size, "median (s)", "p95 (s)", "first call adds (s)"], rows)


def parts_table(size: str, parts: Mapping[str, Mapping[str, float]], peak: float) -> str:
    """Write how near the parts come to the machine's convolution peak."""
    rows = [
        [name, f"{p['seconds']:.3f}"]
        + (
            [f"{p['gflop']:.1f}", f"{p['gflop_per_s']:.0f}", f"{p['gflop_per_s'] / peak:.0%}"]
            if p["gflop"]
            else [""] * 3
        )
        for name, p in parts.items()
    ]
    return report.table([f"content of {size}", "median (s)", "GFLOP", "GFLOP/s", "of peak"], rows)


def peak_table(peaks: Mapping[str, float]) -> str:
    """Write the table of single convolutions."""
    rows = [[name, f"{value:.0f}"] for name, value in peaks.items()]
    return report.table(["one 3x3 convolution", "GFLOP/s"], rows)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    add = parser.add_argument
    default = ["512x384+512x512", "1024x768+1024x1024"]
    add("--sizes", nargs="+", default=default, metavar="WxH+WxH", help="content and style")
    add("--repeats", type=int, default=15, metavar="N", help="timed calls, after one that compiles")
    add("--model", default=DEFAULT_MODEL, help=", ".join(MODELS))
    add("--weights", type=Path, metavar="FILE", help="a safetensors file to time instead of the shipped one")
    add("--no-process", action="store_true", help="leave out the command line and its memory")
    add("--keep-cache", action="store_true", help="reuse compiled programs: quick, but first calls then mean little")
    add("--json", type=Path, metavar="FILE", help="write all figures")
    return parser


def run(args: argparse.Namespace, facts: dict[str, Any]) -> dict[str, Any]:
    """Do what the options say; print tables and return all figures."""
    if args.repeats < 1:
        raise ConfigError(f"--repeats is {args.repeats}, must be at least 1")
    sizes = [parse_size(text) for text in args.sizes]
    tensors = report.load_tensors(args.model, args.weights)
    found: list[dict[str, Any]] = [{"size": str(size)} for size in sizes]
    print(report.circumstances_markdown(facts))
    if not args.no_process:
        for size, figures in zip(sizes, found, strict=True):
            report.say(f"{size}: the command line")
            figures["process"] = measure_processes(args.model, args.weights, size)
        print(process_table(found))
    with contextlib.nullcontext() if args.keep_cache else without_compilation_cache():
        peaks = measure_peak(args.repeats)
        peak = max(peaks.values())
        print(peak_table(peaks))
        stylizer = Stylizer(args.model, tensors=tensors)
        for size, figures in zip(sizes, found, strict=True):
            report.say(f"{size}: in one process")
            figures["stylizer"] = measure_stylizer(stylizer, size, args.repeats)
            figures["parts"] = measure_parts(args.model, tensors, size, args.repeats)
            print(stylizer_table(str(size), figures["stylizer"]))
            print(parts_table("{}x{}".format(*size.content), figures["parts"], peak))
    return {"circumstances": facts, "peaks_gflop_per_s": peaks, "peak_gflop_per_s": peak, "sizes": found}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status: 1 if the command line failed, 2 for bad options."""
    argv = sys.argv[1:] if argv is None else argv
    args = _parser().parse_args(argv)
    facts = report.circumstances("benchmarks.speed", argv)
    try:
        figures = run(args, facts)
        if args.json:
            report.write_json(args.json, figures)
    except WctStyleError as error:
        return report.failed(error)
    runs = [r for size in figures["sizes"] for r in size.get("process", {}).values()]
    return 1 if any(r["failure"] for r in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
