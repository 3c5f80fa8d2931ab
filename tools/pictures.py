"""Make the pictures of the README and the docs from the samples: `python tools/pictures.py [--only NAME]`.

All but demo.jpg, which is a screenshot of the page. They are made with the shipped weights at the default settings, but
for dream-vgg19, which needs the original VGG-19 and is left out where that is not installed.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from jaxtyping import Float

from wctstyle import images, looks, masks, samples
from wctstyle.fitting import fit_style
from wctstyle.settings import DEFAULT_KEEP_FACES, DEFAULT_MODEL, ColorsKind, ModelName, Settings, style_long_side

Rgb = Float[np.ndarray, "h w 3"]

OUT = Path(__file__).resolve().parent.parent / "docs" / "pictures"
LONG_SIDE = 640
CELL, GAP = 300, 6
QUALITY = 88

LOOK_PAINTED, LOOK_SIDE = 320, 152
"""Long sides in pixels at which a look's small picture is painted, and kept."""

PHOTOS = ("astronaut", "cat", "coffee")
STYLES = ("impasto-night", "stained-glass", "woodcut-wave", "pointillist-bay", "marbling")
HEAD = np.s_[:360, 100:460]
"""Where the astronaut's face is, at `LONG_SIDE`."""


class Easel:
    """Paints samples with one model, all at `LONG_SIDE`."""

    def __init__(self, model: str) -> None:
        from wctstyle.stylizer import Stylizer  # here, so that --help need not wait for JAX

        self.stylizer = Stylizer(model)

    def painted(self, photo_name: str, *styles: tuple[str, float], **settings: Any) -> Rgb:
        """Paint a photo after styles with weights; `settings` are fields of `Settings`."""
        weighted = [(style(name), weight) for name, weight in styles]
        return self.stylizer.stylize(photo(photo_name), weighted, Settings(**settings)).image


@functools.cache
def photo(name: str) -> Rgb:
    """Read a sample photo at `LONG_SIDE`."""
    return images.resize(samples.picture(name), long_side=LONG_SIDE, enlarge=True).rgb


@functools.cache
def style(name: str) -> Rgb:
    """Read a sample style at the size its strokes are to have."""
    return images.resize(samples.picture(name), long_side=style_long_side(LONG_SIDE), enlarge=True).rgb


def square(rgb: Rgb) -> Rgb:
    """Crop the middle square and bring it to the size of a cell."""
    height, width = rgb.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    crop = np.ascontiguousarray(rgb[top : top + short, left : left + short])
    return images.resize(images.load(crop), long_side=CELL, enlarge=True).rgb


def grid(rows: Sequence[Sequence[Rgb | None]]) -> Rgb:
    """Lay out pictures as square cells on white; None leaves a cell empty."""
    side = CELL + GAP
    page = np.ones((len(rows) * side - GAP, len(rows[0]) * side - GAP, 3), np.float32)
    for r, row in enumerate(rows):
        for c, cell in enumerate(row):
            if cell is not None:
                page[r * side : r * side + CELL, c * side : c * side + CELL] = square(cell)
    return page


def hero(easel: Easel) -> Rgb:
    """Every photo after every style: styles on top, photos at the left."""
    rows: list[Sequence[Rgb | None]] = [[None, *map(style, STYLES)]]
    rows += [[photo(p), *(easel.painted(p, (s, 1.0)) for s in STYLES)] for p in PHOTOS]
    return grid(rows)


def blend(easel: Easel) -> Rgb:
    """A photo on the way from one style to another."""
    first, second = "stained-glass", "woodcut-wave"
    shares = (0.0, 0.25, 0.5, 0.75, 1.0)
    strip = [easel.painted("cat", (first, 1 - share), (second, share)) for share in shares]
    return grid([[style(first), *strip, style(second)]])


def strength(easel: Easel) -> Rgb:
    """A photo from strength 0 to beyond the full style."""
    strip = [easel.painted("astronaut", ("marbling", 1.0), strength=s) for s in (0.0, 0.4, 0.7, 1.0, 1.5)]
    return grid([[*strip, style("marbling")]])


def kept_photos(easel: Easel) -> Rgb:
    """Show photos in the light and colours of others: photo, other, painted after it, kept a photo."""
    rows = []
    for name, other in (("coffee", "rocket"), ("astronaut", "rocket"), ("rocket", "coffee")):
        mood = photo(other)
        painted, kept = (
            easel.stylizer.stylize(photo(name), mood, Settings(texture=0, keep_faces=0, photo=on)).image
            for on in (False, True)
        )
        rows.append([photo(name), mood, painted, kept])
    return grid(rows)


def analogies(easel: Easel) -> Rgb:
    """Show pairs, and photos filtered after them."""
    from benchmarks import analogies as known
    from wctstyle.analogies.making import learn

    own, rows = photo("astronaut"), []
    filters = {"rocket": known.night, "cat": known.pencil, "coffee": known.emboss}
    goals = [(name, np.clip(filter(own), 0, 1).astype(np.float32)) for name, filter in filters.items()]
    goals.append(("coffee", easel.painted("astronaut", ("impasto-night", 1.0), keep_faces=0.0)))
    for name, goal in goals:
        rows.append([own, goal, photo(name), learn(own, goal)(photo(name))])
    return grid(rows)


def colors(easel: Easel) -> Rgb:
    """A photo, and its four ways of colours after two styles."""
    rows: list[Sequence[Rgb]] = []
    for name in ("impasto-night", "stained-glass"):
        ways = [easel.painted("coffee", (name, 1.0), colors=way) for way in get_args(ColorsKind)]
        rows.append([photo("coffee"), style(name), *ways])
    return grid(rows)


def faces(easel: Easel) -> Rgb:
    """A portrait, then twice: the style, without and with the face kept."""
    row = [photo("astronaut")[HEAD]]
    for name in ("impasto-night", "stained-glass"):
        row.append(style(name))
        row += [easel.painted("astronaut", (name, 1.0), keep_faces=k)[HEAD] for k in (0.0, DEFAULT_KEEP_FACES)]
    return grid([row])


def refine(easel: Easel) -> Rgb:
    """Twice: one pass, refined by 10 steps and by 50, the style."""
    row = []
    for photo_name, name in (("astronaut", "impasto-night"), ("coffee", "stained-glass")):
        row += [easel.painted(photo_name, (name, 1.0), refine=steps) for steps in (0, 10, 50)]
        row.append(style(name))
    return grid([row])


def regions(easel: Easel) -> Rgb:
    """A mask of the cup, then: a style for the cup and one for the rest, the cup alone, all but the cup."""
    from wctstyle.regions import Region

    content = photo("coffee")
    mask = ellipse(content.shape[0], content.shape[1], middle=(0.5, 0.46), half_axes=(0.45, 0.345))
    cup, table = "stained-glass", "woodcut-wave"
    choices = [
        [Region(mask, style(cup)), Region(None, style(table))],
        [Region(mask, style(cup))],
        [Region(mask, []), Region(None, style(table))],
    ]
    painted = [easel.stylizer.stylize(content, choice, Settings()).image for choice in choices]
    return grid([[content, grey(mask), style(cup), style(table), *painted]])


def ready(easel: Easel) -> Rgb:
    """Two photos: the ready masks of each, and a style for its sky and another for the rest."""
    from wctstyle.regions import Region

    rows: list[Sequence[Rgb | None]] = []
    for name, above, below in (
        ("rocket", "impasto-night", "stained-glass"),
        ("astronaut", "marbling", "pointillist-bay"),
    ):
        found = [masks.found(kind, photo(name)) for kind in ("sky", "plain", "light", "face")]
        regions = [Region(found[0], style(above)), Region(None, style(below))]
        painted = easel.stylizer.stylize(photo(name), regions, Settings()).image
        rows.append([photo(name), *(None if mask is None else grey(mask) for mask in found), painted])
    return grid(rows)


def scribble(easel: Easel) -> Rgb:
    """A photo with marks, the mask that they make, and all but the suit in a style."""
    from wctstyle.regions import Region

    content = photo("astronaut")
    hints = np.zeros(content.shape[:2], np.int8)
    for value, rows, columns in (
        (1, (400, 410), (170, 270)), (1, (390, 400), (340, 420)), (1, (560, 570), (180, 290)),
        (1, (430, 560), (225, 235)), (-1, (60, 70), (180, 480)), (-1, (90, 230), (300, 310)),
        (-1, (60, 330), (40, 50)), (-1, (540, 550), (420, 600)), (-1, (300, 420), (530, 540)),
        (-1, (262, 272), (200, 400)),
    ):  # fmt: skip
        hints[slice(*rows), slice(*columns)] = value
    mask = masks.from_scribble(content, hints)
    drawn = content.copy()
    drawn[hints > 0], drawn[hints < 0] = (0.1, 0.9, 0.2), (1, 0.1, 0.1)
    regions = [Region(mask, []), Region(None, style("marbling"))]
    return grid([[drawn, grey(mask), style("marbling"), easel.stylizer.stylize(content, regions, Settings()).image]])


def style_masks(easel: Easel) -> Rgb:
    """A photo and its sky, a style and its sky, then: the style as a whole, and sky to sky, the rest to the rest."""
    from wctstyle.regions import Region, Style

    content, painting = photo("rocket"), style("stained-glass")
    sky = masks.ready("sky", content)
    part = np.zeros(painting.shape[:2], np.float32)
    part[: round(0.45 * len(part))] = 1
    parts = [Region(sky, Style(painting, part)), Region(None, Style(painting, 1 - part))]
    painted = [easel.stylizer.stylize(content, styles, Settings()).image for styles in (painting, parts)]
    return grid([[content, grey(sky), painting, grey(part), *painted]])


DREAMT = ("relu3_1", "relu4_1", "relu4_3", "relu5_1")


def dream(easel: Easel) -> Rgb:
    """Photos, and their dreams of some layers."""
    return grid([_dreams("medium", name, DREAMT) for name in PHOTOS])


def dream_vgg19(easel: Easel) -> Rgb:
    """Show two photos, and their dreams by the original VGG-19."""
    return grid([[*_dreams("vgg19", "cat", DREAMT[1::2]), *_dreams("vgg19", "coffee", DREAMT[1::2])]])


def _dreams(model: str, name: str, layers: Sequence[str]) -> list[Rgb]:
    from wctstyle.dreams.settings import DreamSettings

    dreamer, cell = _dreamer(model), square(photo(name))
    return [cell, *(dreamer.dream(cell, DreamSettings(layers=(layer,))) for layer in layers)]


@functools.cache
def _dreamer(model: str) -> Any:
    from wctstyle.dreams.dreaming import Dreamer

    return Dreamer(model)


def dream_guide(easel: Easel) -> Rgb:
    """Show a photo, then twice: a guide, and the dream that it leads."""
    from wctstyle.dreams.settings import DreamSettings

    settings = DreamSettings(layers=("relu4_1",))
    dreamer, cell = _dreamer("medium"), square(photo("coffee"))
    guides = [square(style(name)) for name in ("peacock", "mosaic-fish")]
    return grid([[cell, *(part for guide in guides for part in (guide, dreamer.dream(cell, settings, guide=guide)))]])


def dream_sheet(easel: Easel) -> Rgb:
    """Show what some channels of a layer respond to."""
    from wctstyle.dreams.settings import SHEET
    from wctstyle.dreams.sheet import cells, laid_out

    settings = replace(SHEET, layers=("relu4_1",), channels=tuple(range(48)))
    return laid_out(list(cells(_dreamer("medium"), settings)), columns=12)


def texture(easel: Easel) -> Rgb:
    """Two styles with a tileable texture of each, painted and optimised; a blend, and a transition."""
    from wctstyle.textures.making import make
    from wctstyle.textures.settings import TextureSettings

    pair = [fit_style(samples.picture(name), 2 * CELL).rgb for name in ("marbling", "stained-glass")]
    side = CELL // 32 * 32
    small = TextureSettings(width=side, height=side, style_size=side, tileable=True)

    def tiled(styles: Any, **settings: Any) -> Rgb:
        made = make(easel.stylizer, styles, replace(small, **settings))
        return images.resize_planes(np.tile(made, (2, 2, 1)), height=CELL, width=CELL)

    def row(styles: Any, **settings: Any) -> Rgb:
        wide = TextureSettings(width=2 * CELL + GAP, height=CELL, style_size=side, **settings)
        return make(easel.stylizer, styles, wide)

    rows = [
        [item for own in pair for item in (square(own), tiled(own))],
        [item for own in pair for item in (None, tiled(own, optimize=60))],
    ]
    last = np.concatenate([row(pair), np.ones((CELL, GAP, 3), np.float32), row(pair, gradient="horizontal")], axis=1)
    above = grid(rows)
    return np.concatenate([above, np.ones((GAP, above.shape[1], 3), np.float32), last[:, : above.shape[1]]])


def grey(mask: Float[np.ndarray, "h w"]) -> Rgb:
    """Show a mask as a picture."""
    return np.repeat(mask[..., None], 3, axis=2)


def ellipse(
    height: int, width: int, *, middle: tuple[float, float], half_axes: tuple[float, float], edge: float = 0.05
) -> Float[np.ndarray, "h w"]:
    """Draw an ellipse with a soft edge; middle and half axes are parts of height and width."""
    rows, columns = (np.arange(side, dtype=np.float32)[:, None] / side for side in (height, width))
    out = np.hypot((rows - middle[0]) / half_axes[0], (columns.T - middle[1]) / half_axes[1])
    return np.clip((1 + edge - out) / (2 * edge), 0, 1)


PICTURES: dict[str, Callable[[Easel], Rgb]] = {
    "hero": hero,
    "blend": blend,
    "strength": strength,
    "colors": colors,
    "photo": kept_photos,
    "analogy": analogies,
    "faces": faces,
    "refine": refine,
    "regions": regions,
    "ready": ready,
    "scribble": scribble,
    "style-masks": style_masks,
    "dream": dream,
    "dream-guide": dream_guide,
    "dream-sheet": dream_sheet,
    "dream-vgg19": dream_vgg19,
    "texture": texture,
}


def draw_looks(easel: Easel) -> None:
    """Write the small picture of every look that comes along, beside its file."""
    content = images.resize(samples.picture("astronaut"), long_side=LOOK_PAINTED)
    for look in map(looks.find, looks.shipped()):
        side = style_long_side(LOOK_PAINTED, look.stroke_scale)
        blend = [
            (fit_style(samples.picture(style.name.removeprefix(samples.PREFIX)), side), style.weight)
            for style in look.styles
        ]
        made = easel.stylizer.stylize(content, [(picture.rgb, weight) for picture, weight in blend], look.settings)
        small = images.resize(images.load(made.image), long_side=LOOK_SIDE)
        sys.stdout.write(f"{images.save(looks.SHIPPED / f'{look.name}.jpg', small.rgb, quality=QUALITY)}\n")


def _has_vgg19() -> bool:
    from wctstyle.dreams.dreaming import usual_model

    return usual_model() == "vgg19"


def main() -> None:
    """Write NAME.jpg for every picture, or for those that are named."""
    parser = argparse.ArgumentParser(description="Make the pictures of the README and the docs from the samples.")
    parser.add_argument("--only", action="append", choices=PICTURES, metavar="NAME", help=", ".join(PICTURES))
    parser.add_argument("--model", default=DEFAULT_MODEL, choices=get_args(ModelName), help=f"default: {DEFAULT_MODEL}")
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write into; default: docs/pictures")
    parser.add_argument("--looks", action="store_true", help="draw the small pictures of the looks instead")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    easel = Easel(chosen.model)
    if chosen.looks:
        draw_looks(easel)
        return
    for name in chosen.only or [name for name in PICTURES if name != "dream-vgg19" or _has_vgg19()]:
        path = images.save(chosen.out / f"{name}.jpg", PICTURES[name](easel), quality=QUALITY)
        sys.stdout.write(f"{path}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
