"""Textures: how near they come to their styles, beside Gatys' own optimisation, and how their borders meet.

Run as `python -m benchmarks.textures STYLE... --size 512`; README.md beside this file tells what the figures mean.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from benchmarks import report
from benchmarks.judge import STYLE_LAYERS, Judge, activations, vgg19_file
from wctstyle import feature_metrics, images
from wctstyle.errors import WctStyleError
from wctstyle.fitting import fit_style
from wctstyle.optimizer import Optimizer
from wctstyle.settings import DEFAULT_MODEL, optimizer_model
from wctstyle.stylizer import Stylizer
from wctstyle.textures.making import make
from wctstyle.textures.settings import TextureSettings

Rgb = Float[np.ndarray, "h w 3"]


def style_error(judge: Judge, texture: Rgb, style: Rgb) -> float:
    """Return the mean over relu1_1..relu5_1 of the relative Gram error (0 same)."""
    grams = [[moments.gram()[None] for moments in judge.see(rgb).moments] for rgb in (texture, style)]
    return float(feature_metrics.gram_errors(*grams).mean())


def seam(texture: Rgb) -> tuple[float, float, float]:
    """Return the mean step across the borders of a repeated texture, and mean and largest of its lines inside.

    In units of the range; the mean of both directions.
    """
    across = [np.abs(texture.take(0, axis) - texture.take(-1, axis)).mean() for axis in (0, 1)]
    lines = [np.abs(np.diff(texture, axis=axis)).mean((1 - axis, 2)) for axis in (0, 1)]
    return float(np.mean(across)), float(np.mean([own.mean() for own in lines])), float(np.mean(np.max(lines, axis=1)))


def gatys(judge: Judge, style: Rgb, shape: tuple[int, int], steps: int, seed: int) -> Rgb:
    """Make a texture as Gatys et al. 2015 do, arXiv:1505.07376: L-BFGS on the original VGG-19, from white noise.

    The loss is the sum over five layers of |G - G_s|^2 / |G_s|^2. He leaves the layers at the scales of VGG-19 with
    weights rescaled to a mean activation of 1, which makes them about alike; here they are exactly alike.
    """
    from scipy.optimize import minimize

    def grams(rgb: Any) -> list[Any]:
        found = activations(judge._layers, rgb)
        flat = [found[name].reshape(-1, found[name].shape[-1]) for name in STYLE_LAYERS]
        return [x.T @ x / len(x) for x in flat]

    targets = grams(jnp.asarray(style)[None])

    @jax.jit
    def loss(flat: Any) -> Any:
        made = grams(flat.reshape(1, *shape, 3))
        return sum(
            jnp.sum((gram - target) ** 2) / jnp.sum(target**2) for gram, target in zip(made, targets, strict=True)
        )

    slope = jax.jit(jax.value_and_grad(loss))

    def evaluated(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, found = slope(jnp.asarray(x, jnp.float32))
        return float(value), np.asarray(found, np.float64)

    start = np.random.default_rng(seed).uniform(size=shape[0] * shape[1] * 3)
    options = {"maxfun": steps, "maxiter": steps, "maxcor": 20}
    found = minimize(evaluated, start, jac=True, method="L-BFGS-B", bounds=[(0, 1)] * len(start), options=options)
    return found.x.reshape(*shape, 3).astype(np.float32)


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Make every texture of every style, and judge them; CPU seconds are of this process."""
    judge, stylizer = Judge(args.vgg), Stylizer(args.model)
    optimizer, rows = Optimizer(optimizer_model(args.model)), []
    for source in args.styles:
        style = fit_style(images.load(source), args.size).rgb
        settings = TextureSettings(width=args.size, height=args.size, style_size=args.size, tileable=True)
        slow = replace(settings, optimize=args.steps)
        ways = {
            "painted": lambda: make(stylizer, style, settings),  # noqa: B023 (called at once)
            "optimised": lambda: make(stylizer, style, slow, optimizer=optimizer),  # noqa: B023
            "gatys": lambda: gatys(judge, style, settings.shape, args.gatys, 0),  # noqa: B023
        }
        for way, made in ways.items():
            if (way == "gatys" and not args.gatys) or (way == "optimised" and not args.steps):
                continue
            began = time.process_time()
            texture = made()
            seconds = time.process_time() - began
            across, inside, largest = seam(texture)
            row = {"style": Path(source).stem, "way": way, "error": style_error(judge, texture, style)}
            rows.append({**row, "across": across, "inside": inside, "largest": largest, "seconds": seconds})
            report.say(f"{row['style']} {way}: {row['error']:.3f}, seam {across:.4f} of {inside:.4f}, {seconds:.0f} s")
            if args.save is not None:
                images.save(args.save / f"{row['style']}-{way}.png", texture)
    return rows


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Write the figures by style and way."""
    return report.table(
        ["style", "way", "Gram error", "step across borders", "step inside", "largest line inside", "CPU seconds"],
        [
            [row["style"], row["way"], f"{row['error']:.3f}", f"{row['across']:.4f}", f"{row['inside']:.4f}",
             f"{row['largest']:.4f}", f"{row['seconds']:.0f}"]
            for row in rows
        ],
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="python -m benchmarks.textures", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("styles", nargs="+", metavar="STYLE")
    parser.add_argument("--size", type=int, default=512, help="side of textures and long side of styles, pixels")
    parser.add_argument("--steps", type=int, default=100, help="of the optimiser; 0: none")
    parser.add_argument("--gatys", type=int, default=300, help="steps of Gatys' own; 0: none")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--vgg", type=Path, help="the judge's file")
    parser.add_argument("--save", type=Path, help="folder for the pictures")
    parser.add_argument("--json", type=Path, help="file for all figures")
    args = parser.parse_args(argv)
    facts = report.circumstances("benchmarks.textures", argv)
    try:
        args.vgg = vgg19_file(args.vgg)
        if args.save is not None:
            images.make_folder(args.save)
        rows = measure(args)
    except WctStyleError as error:
        return report.failed(error)
    report.publish(facts, markdown(rows), {"rows": rows}, args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
