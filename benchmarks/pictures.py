"""Make the pictures that the README shows, from the gallery alone: `python -m benchmarks.pictures`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from wctstyle import images, samples
from wctstyle.settings import DEFAULT_KEEP_FACES, Settings
from wctstyle.stylizer import Stylizer

Rgb = Float[np.ndarray, "h w 3"]

OUT = Path(__file__).resolve().parent.parent / "docs" / "pictures"
STYLES = ("impasto-night", "stained-glass", "woodcut-wave", "pointillist-bay", "marbling")
PHOTOS = ("astronaut", "cat", "coffee")
CELL, GAP = 300, 6


def square(rgb: Rgb, side: int = CELL) -> Rgb:
    """Crop the middle square and resize it."""
    height, width = rgb.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    crop = np.ascontiguousarray(rgb[top : top + short, left : left + short])
    return images.resize(images.load(crop), long_side=side, enlarge=True).rgb


def grid(rows: Sequence[Sequence[Rgb | None]]) -> Rgb:
    """Lay out cells on white; None leaves a cell empty."""
    side = CELL + GAP
    page = np.ones((len(rows) * side - GAP, len(rows[0]) * side - GAP, 3), np.float32)
    for r, row in enumerate(rows):
        for c, cell in enumerate(row):
            if cell is not None:
                page[r * side : r * side + CELL, c * side : c * side + CELL] = cell
    return page


def main() -> None:
    """Write hero.jpg, blend.jpg, strength.jpg, refine.jpg and faces.jpg."""
    OUT.mkdir(parents=True, exist_ok=True)
    stylizer = Stylizer("slim")
    photos = {name: images.resize(samples.picture(name), long_side=640, enlarge=True).rgb for name in PHOTOS}
    styles = {name: samples.picture(name).rgb for name in samples.names("style")}
    codes = {name: stylizer.style(images.resize(images.load(rgb), long_side=640).rgb) for name, rgb in styles.items()}

    def result(photo: str, blend: list[tuple[str, float]], settings: Settings) -> Rgb:
        return square(stylizer.stylize(photos[photo], [(codes[s], w) for s, w in blend], settings).image)

    plain = Settings()
    hero: list[Sequence[Rgb | None]] = [[None, *(square(styles[s]) for s in STYLES)]]
    hero += [[square(photos[p]), *(result(p, [(s, 1.0)], plain) for s in STYLES)] for p in PHOTOS]
    images.save(OUT / "hero.jpg", grid(hero), quality=88)

    shares = (0.0, 0.25, 0.5, 0.75, 1.0)
    first, second = "stained-glass", "woodcut-wave"
    strip = [result("cat", [(first, 1 - s), (second, s)], plain) for s in shares]
    images.save(OUT / "blend.jpg", grid([[square(styles[first]), *strip, square(styles[second])]]), quality=88)

    dial = [result("astronaut", [("marbling", 1.0)], Settings(strength=s)) for s in (0.0, 0.25, 0.5, 0.75, 1.0)]
    images.save(OUT / "strength.jpg", grid([[*dial, square(styles["marbling"])]]), quality=88)

    pairs = (("astronaut", "impasto-night"), ("coffee", "stained-glass"))
    finer = [[*(result(p, [(s, 1.0)], Settings(refine=n)) for n in (0, 10, 50)), square(styles[s])] for p, s in pairs]
    images.save(OUT / "refine.jpg", grid([[*finer[0], *finer[1]]]), quality=88)

    def portrait(style: str, share: float) -> Rgb:
        """Crop the upper half, where the face is."""
        painted = stylizer.stylize(photos["astronaut"], codes[style], Settings(keep_faces=share)).image
        return square(painted[:360, 100:460])

    before = square(photos["astronaut"][:360, 100:460])
    shares = 0.0, DEFAULT_KEEP_FACES
    pages = [[square(styles[s]), *(portrait(s, share) for share in shares)] for s in ("impasto-night", "stained-glass")]
    images.save(OUT / "faces.jpg", grid([[before, *pages[0], *pages[1]]]), quality=88)


if __name__ == "__main__":
    main()
