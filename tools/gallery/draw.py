"""Draw the style gallery: ``python -m tools.gallery.draw OUT_DIR [--only NAME] [--long-side PX]``.

The pictures are drawn from a fixed seed by numpy, scipy, scikit-image and Pillow alone; nothing is read. All
twelve take about a minute on one core.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tools.gallery import crafted, painted, printed
from tools.gallery.canvas import Rgb
from wctstyle import images
from wctstyle.errors import ConfigError, WctStyleError

LONG_SIDE = 768
QUALITY = 88

#: Every drawn style: its name, which is also its file's, and the function that draws it at a long side in px.
STYLES: dict[str, Callable[[int], Rgb]] = {
    "cubist-guitar": crafted.cubist_guitar,
    "impasto-night": painted.impasto_night,
    "ink-mountains": painted.ink_mountains,
    "marbling": printed.marbling,
    "mosaic-fish": crafted.mosaic_fish,
    "paper-cutouts": printed.paper_cutouts,
    "peacock": crafted.peacock,
    "pointillist-bay": painted.pointillist_bay,
    "riso-desert": printed.riso_desert,
    "stained-glass": crafted.stained_glass,
    "tapestry": crafted.tapestry,
    "woodcut-wave": printed.woodcut_wave,
}


def draw(name: str, *, long_side: int = LONG_SIDE) -> Rgb:
    """Draw one style as sRGB floats in [0, 1], the same every time for the same size.

    Composition, palette and stroke do not change with the size; pixel-fine grain does.

    Raises:
        ConfigError: if there is no such style, or `long_side` (px) is under 16.
    """
    if name not in STYLES:
        raise ConfigError(f"no style is named {name!r}; there are {', '.join(STYLES)}: choose one of them")
    return STYLES[name](long_side)


def draw_all(folder: str | Path, *, only: Sequence[str] | None = None, long_side: int = LONG_SIDE) -> list[Path]:
    """Draw styles (all, or those in `only`) into ``folder/NAME.jpg``, making the folder; return the paths.

    Raises:
        ConfigError: if a name is unknown, the size too small, or the folder cannot be made.
        ImageError: if a file cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot be made a folder ({error.strerror}); name a folder that can be written"
        ) from error
    return [
        images.save(folder / f"{name}.jpg", draw(name, long_side=long_side), quality=QUALITY) for name in only or STYLES
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, draw, and return the exit status: 0, or 2 with one line on standard error."""
    parser = argparse.ArgumentParser(prog="python -m tools.gallery.draw", description="Draw the style gallery.")
    parser.add_argument("folder", metavar="OUT_DIR", type=Path)
    parser.add_argument("--only", action="append", metavar="NAME", help="draw this style; may be repeated")
    parser.add_argument("--long-side", type=int, default=LONG_SIDE, metavar="PX")
    options = parser.parse_args(arguments)
    try:
        draw_all(options.folder, only=options.only, long_side=options.long_side)
    except WctStyleError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
