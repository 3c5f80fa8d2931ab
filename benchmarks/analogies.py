"""Known filters, learned from one photo and what they made of it, on photos that the learning has not seen.

The filters are drawn here. Each is learned from the astronaut and applied to the cat, the coffee and the rocket.

    python -m benchmarks.analogies [--only NAME ...] [--pictures FOLDER]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.ndimage import convolve, gaussian_filter, median_filter, sobel

from benchmarks import report
from wctstyle import images, samples
from wctstyle.analogies.filters import learn
from wctstyle.analogies.making import loaded
from wctstyle.analogies.painting import PAINTER, learn_paint
from wctstyle.analogies.sampling import decibels
from wctstyle.color import LUMA_WEIGHTS

PAIR, UNSEEN = "astronaut", ("cat", "coffee", "rocket")
SIDE = 384
"""Long side of the photos in pixels."""

Rgb = np.ndarray


def _luma(rgb: Rgb) -> Rgb:
    return rgb @ np.array(LUMA_WEIGHTS, np.float32)


def _blurred(rgb: Rgb, sigma: float) -> Rgb:
    return gaussian_filter(rgb, (sigma, sigma, 0), mode="nearest")


def _slopes(grey: Rgb) -> Rgb:
    return np.hypot(sobel(grey, 0, mode="nearest"), sobel(grey, 1, mode="nearest"))


def sepia(rgb: Rgb) -> Rgb:
    """Tint a grey of the sixties, as photo programs do."""
    return rgb @ np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]], np.float32).T


def posterise(rgb: Rgb) -> Rgb:
    """Leave five values of each channel."""
    return np.floor(np.minimum(rgb, 0.9999) * 5) / 4


def curves(rgb: Rgb) -> Rgb:
    """Bend each channel in its own way."""
    red, green, blue = np.moveaxis(rgb, -1, 0)
    return np.stack([red**0.6, 0.5 - 0.5 * np.cos(np.pi * green), 0.15 + 0.7 * blue**1.5], axis=-1)


def hue(rgb: Rgb) -> Rgb:
    """Turn hues by 90 degrees in HSV: value and saturation stay."""
    most, least = rgb.max(axis=-1), rgb.min(axis=-1)
    spread = np.maximum(most - least, 1e-6)
    red, green, blue = np.moveaxis(rgb, -1, 0)
    own = np.where(most == red, (green - blue) / spread, np.where(most == green, 2 + (blue - red) / spread,
                                                                  4 + (red - green) / spread))  # fmt: skip
    turned = own + 1.5
    parts = [np.clip(np.abs((turned + at) % 6 - 3) - 1, 0, 1) for at in (0, 4, 2)]
    return np.stack([least + part * (most - least) for part in parts], axis=-1)


def duotone(rgb: Rgb) -> Rgb:
    """Print four steps of grey in two inks."""
    share = np.floor(np.minimum(_luma(rgb), 0.9999) * 4)[..., None] / 3
    return np.array([0.1, 0.1, 0.3]) * (1 - share) + np.array([1, 0.9, 0.6]) * share


def night(rgb: Rgb) -> Rgb:
    """Make night of day: paler, darker, blue, and dark corners."""
    height, width = rgb.shape[:2]
    y, x = np.mgrid[:height, :width]
    square = ((y + 0.5) / height * 2 - 1) ** 2 + ((x + 0.5) / width * 2 - 1) ** 2
    dark = (0.6 * rgb + 0.4 * _luma(rgb)[..., None]) ** 1.6 * np.array([0.35, 0.45, 0.8])
    return dark * (1 - 0.35 * square)[..., None] + 0.02


def emboss(rgb: Rgb) -> Rgb:
    """Light from the upper left."""
    kernel = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], np.float32)
    return convolve(rgb, kernel[..., None], mode="nearest")


def blur(rgb: Rgb) -> Rgb:
    """Blur by a Gaussian of 3 pixels, which is none of those that are features."""
    return _blurred(rgb, 3.0)


def sharpen(rgb: Rgb) -> Rgb:
    """Mask unsharply."""
    return rgb + 1.2 * (rgb - _blurred(rgb, 2.0))


def edges(rgb: Rgb) -> Rgb:
    """Draw edges in black on white."""
    return np.repeat(1 - _slopes(_luma(rgb))[..., None] / 2, 3, axis=-1)


def pencil(rgb: Rgb) -> Rgb:
    """Draw in pencil: grey by what is around it (colour dodge)."""
    grey = _luma(rgb)
    dodged = np.minimum(grey / np.maximum(gaussian_filter(grey, 5.0, mode="nearest"), 1e-3), 1)
    return dodged[..., None] * np.array([0.95, 0.93, 0.88])


def watercolour(rgb: Rgb) -> Rgb:
    """Flatten by medians, thin the pigment, let it gather at edges, on grainy paper."""
    flat = median_filter(median_filter(rgb, (7, 7, 1), mode="nearest"), (7, 7, 1), mode="nearest")
    rims = np.minimum(gaussian_filter(_slopes(_luma(flat)), 1), 1)
    thin = (1 - (1 - flat) * 0.8) ** (1 + 1.2 * rims[..., None])
    grain = gaussian_filter(np.random.default_rng(0).standard_normal(rgb.shape[:2]), 1.2)
    return thin + 0.05 * grain[..., None]


POINTWISE = (sepia, posterise, curves, hue, duotone, night)
LOCAL = (emboss, blur, sharpen, edges, pencil, watercolour)


def filtered(filter: Callable[[Rgb], Rgb], rgb: Rgb) -> Rgb:
    """Apply a filter and round to 8 bits, as a file has it."""
    return (np.round(np.clip(filter(rgb), 0, 1) * 255) / 255).astype(np.float32)


def photo(name: str) -> Rgb:
    """Load a sample at the benchmark's size, in 8 bits."""
    return filtered(lambda rgb: rgb, images.resize(samples.picture(name), long_side=SIDE).rgb)


def measure(filter: Callable[[Rgb], Rgb], pictures: Path | None = None) -> list[str]:
    """Learn one filter and judge it; the cells of its row."""
    own = photo(PAIR)
    began = time.process_time()
    learned = learn(own, filtered(filter, own))
    learning = time.process_time() - began
    before, after, seconds = [], [], 0.0
    for name in UNSEEN:
        rgb = photo(name)
        goal, began = filtered(filter, rgb), time.process_time()
        made = learned(rgb)
        seconds += time.process_time() - began
        before.append(decibels(float(np.mean((rgb - goal) ** 2))))
        after.append(decibels(float(np.mean((made - goal) ** 2))))
        if pictures is not None:
            images.save(pictures / f"{filter.__name__}-{name}.png", np.concatenate([rgb, goal, made], axis=1))
    cells = [
        filter.__name__, f"{np.mean(before):.1f}", *(f"{value:.1f}" for value in after), f"{learned.residual:.1f}",
        learned.name, f"{learning:.1f}", f"{seconds / len(UNSEEN):.2f}",
    ]  # fmt: skip
    report.say(" ".join(cells))
    return cells


def plan_alone(filter: Callable[[Rgb], Rgb]) -> list[str]:
    """Paint by the plan of a pair, without a filter, and judge it; the cells of its row."""
    stylizer, own = loaded(PAINTER), photo(PAIR)
    plan = learn_paint(stylizer, own, filtered(filter, own))
    cells = [filter.__name__]
    for name in UNSEEN:
        made = plan(stylizer, photo(name))
        cells.append(f"{decibels(float(np.mean((made - filtered(filter, photo(name))) ** 2))):.1f}")
    report.say(" ".join(cells))
    return cells


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", help="names of filters")
    parser.add_argument("--pictures", type=Path, help="folder for photo, filter and result side by side")
    parser.add_argument("--plan", action="store_true", help="judge the plan alone, which the decoder paints")
    chosen = parser.parse_args()
    heads = ["filter", "nothing, dB", *UNSEEN, "held out", "learned", "learn, s", "apply, s"]
    rows = [
        plan_alone(filter) if chosen.plan else measure(filter, chosen.pictures)
        for filter in (*POINTWISE, *LOCAL)
        if not chosen.only or filter.__name__ in chosen.only
    ]
    print(report.table([heads[0], *UNSEEN] if chosen.plan else heads, rows))


if __name__ == "__main__":
    main()
