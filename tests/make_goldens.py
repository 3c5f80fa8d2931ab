"""The pictures that test_goldens.py compares with: `python tests/make_goldens.py` makes them anew.

Make them anew when the shipped weights or a formula changes on purpose, and look at them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from unittest.mock import patch

import numpy as np

from wctstyle import images, samples
from wctstyle.optimizer import Optimizer, OptimizeSettings
from wctstyle.regions import Region
from wctstyle.settings import Settings
from wctstyle.stylizer import Stylizer

FOLDER = Path(__file__).parent / "goldens"
SIDE = 160


@cache
def picture(name: str, side: int = SIDE) -> np.ndarray:
    """Read a sample."""
    return images.resize(samples.picture(name), long_side=side).rgb


@cache
def stylizer(model: str) -> Stylizer:
    """Load a shipped model once."""
    return Stylizer(model)


def styled(model: str, content: str, *styles: tuple[str, float], side: int = SIDE, **settings: object) -> np.ndarray:
    """Paint a sample after others."""
    blend = [(picture(name, side), weight) for name, weight in styles]
    return stylizer(model).stylize(picture(content, side), blend, Settings(**settings)).image  # pyright: ignore


def regions() -> np.ndarray:
    """Paint the halves of a sample after different styles."""
    content = picture("coffee")
    mask = np.zeros(content.shape[:2], np.float32)
    mask[:, : mask.shape[1] // 2] = 1
    parts = [Region(mask, picture("stained-glass")), Region(None, picture("woodcut-wave"), strength=0.8)]
    return stylizer("slim").stylize(content, parts).image


def faces() -> np.ndarray:
    """Paint a portrait; where the face is, is given, as the two finders differ."""
    head = np.ascontiguousarray(picture("astronaut", 400)[:160, 95:255])
    rows, columns = (np.arange(160, dtype=np.float32) + 0.5 for _ in range(2))
    out = np.hypot((rows[:, None] - 82) / 60, (columns[None] - 80) / 40)
    where = np.clip((1.25 - out) / 0.5, 0, 1).astype(np.float32)
    settings = Settings(detail=0.5, keep_faces=0.8)
    with patch("wctstyle.codes.face_map", lambda rgb: where):
        return Stylizer("slim").stylize(head, picture("stained-glass"), settings).image


def optimized() -> np.ndarray:
    """Optimise a sample from its fast picture, its upper half kept as faces are."""
    content, style = picture("cat", 96), picture("impasto-night", 96)
    upper = np.zeros(content.shape[:2], np.float32)
    upper[: len(upper) // 2] = 1
    start = stylizer("slim").stylize(content, style).image
    settings = OptimizeSettings(steps=8, keep_faces=0.5)
    return list(Optimizer().run(content, [(style, 1.0)], settings, init=start, faces=upper))[-1].image


CASES: dict[str, tuple[Callable[[], np.ndarray], float]] = {
    "pass": (lambda: styled("slim", "cat", ("impasto-night", 1.0)), 50),
    "medium": (lambda: styled("medium", "cat", ("impasto-night", 1.0)), 50),
    "blend": (lambda: styled("slim", "coffee", ("marbling", 0.3), ("peacock", 0.7), strength=1.3, color=0.5), 50),
    "match": (lambda: styled("slim", "coffee", ("impasto-night", 1.0), colors="match"), 50),
    "only": (lambda: styled("slim", "cat", ("stained-glass", 1.0), colors="only"), 50),
    "faces": (faces, 50),
    "look": (lambda: styled("slim", "coffee", ("woodcut-wave", 1.0), side=200, look=128), 50),
    "regions": (regions, 50),
    "refine": (lambda: styled("slim", "cat", ("impasto-night", 1.0), side=96, refine=4), 47),
    "optimize": (optimized, 42),
}
"""What makes each picture, and the least PSNR in dB that another machine's has to it; roundings grow with steps."""


def main() -> None:
    """Write every picture, or those that are named."""
    FOLDER.mkdir(exist_ok=True)
    for name in sys.argv[1:] or CASES:
        images.save(FOLDER / f"{name}.png", CASES[name][0]())


if __name__ == "__main__":
    main()
