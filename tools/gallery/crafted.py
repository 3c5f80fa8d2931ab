"""Styles made of pieces: stained glass, mosaic, cubist facets, tapestry and enamelled peacock feathers."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage import draw, measure

from tools.gallery.canvas import (
    Brush,
    Canvas,
    Field,
    Points,
    Rgb,
    color,
    edt,
    mix,
    palette,
    ramp,
    spline,
    step,
)


def _edges(label: np.ndarray) -> np.ndarray:
    """Mark pixels whose right or lower neighbour has another label."""
    edge = np.zeros(label.shape, bool)
    edge[:, :-1] |= label[:, :-1] != label[:, 1:]
    edge[:-1] |= label[:-1] != label[1:]
    return edge


def _tulips(c: Canvas) -> tuple[list[Points], list[Points], list[Points]]:
    """Outline tall tulips: (petals, leaves, stems), back to front."""
    petals, leaves, stems = [], [], []
    for x, y, size in ((150, 700, 1.0), (285, 800, 0.82), (610, 770, 0.92)):
        for side, reach in ((-1, 0.62), (1, 0.62), (0, 0.0)):
            tip = np.array([side * reach, -1.15 + 0.12 * abs(side)])
            shape = [
                (0, 0.72),
                (side * 0.55 - 0.40, 0.25),
                tip + (-0.10, 0.5),
                tip,
                tip + (0.10, 0.5),
                (side * 0.55 + 0.40, 0.25),
            ]
            petals.append(spline([(px, py) for px, py in shape], closed=True) * (92 * size, 112 * size) + (x, y))
        stems.append(spline([(x, y + 70 * size), (x + 8, y + 180), (x - 10, 1040)]))
        for side in (-1, 1):
            leaf = [(0, 300), (side * 60, 170), (side * 118, 40), (side * 96, 190), (side * 40, 300)]
            leaves.append(spline([(px * size + x, py * size + y) for px, py in leaf], closed=True))
    return petals, leaves, stems


def _window(c: Canvas) -> tuple[np.ndarray, np.ndarray]:
    """Divide the window into regions of a sunrise over hills, river and tulips; cut each into pieces."""
    dx, dy = c.x - 420, c.y - 330
    far, turn = np.hypot(dx, dy), np.arctan2(dy, dx)
    region = np.zeros(c.x.shape, np.int32)
    ring = np.digitize(far, (78, 132, 215, 330, 470))
    spokes = np.array([1, 10, 20, 20, 28, 28])[ring]
    piece = ring * 64 + np.floor((turn / (2 * np.pi) + 0.5 + 0.03 * ring) * spokes).astype(int) % spokes
    region[:] = np.minimum(ring, 5)
    hills = (
        lambda x: 452 - 46 * np.sin(x / 105 + 0.4),
        lambda x: 545 - 40 * np.sin(x / 130 + 2.6),
        lambda x: 655 + 36 * np.sin(x / 120 + 1.0),
    )
    for k, line in enumerate(hills):
        below = c.y > line(c.x)
        cut = np.floor((c.x + 0.55 * c.y * (-1) ** k) / (92 + 18 * k)).astype(int) * 4 + np.floor(
            (c.y - line(c.x)) / 62
        ).astype(int)
        region, piece = np.where(below, 6 + k, region), np.where(below, 1000 * (k + 1) + cut, piece)
    middle = 420 + 120 * np.sin((c.y - 460) / 88) * step(440, 640, c.y) - 40
    width = 12 + 0.17 * np.clip(c.y - 470, 0, None)
    river = (np.abs(c.x - middle) < width) & (c.y > hills[0](c.x))
    wave = np.floor((c.y + 16 * np.sin(c.x / 40)) / 44).astype(int)
    region, piece = np.where(river, 9, region), np.where(river, 5000 + wave, piece)
    petals, leaves, stems = _tulips(c)
    for k, leaf in enumerate(leaves):
        inside = c.polygons([leaf]) > 0.5
        region, piece = (
            np.where(inside, 10, region),
            np.where(inside, 6000 + 10 * k + np.floor(c.y / 90).astype(int) % 9, piece),
        )
    inside = c.lines(stems, 17) > 0.5
    region, piece = (
        np.where(inside, 10, region),
        np.where(inside, 7000 + np.floor(c.y / 80).astype(int), piece),
    )
    for k, petal in enumerate(petals):
        inside = c.polygons([petal]) > 0.5
        region, piece = np.where(inside, 11 + (k % 3 == 2), region), np.where(inside, 8000 + k, piece)
    inset = np.minimum(np.minimum(c.x, c.width - c.x), np.minimum(c.y, c.height - c.y))
    border = inset < 42
    along = np.where(np.minimum(c.x, c.width - c.x) < np.minimum(c.y, c.height - c.y), c.y, c.x + 25)
    block = np.floor(along / 66.67).astype(int)
    return np.where(border, 13 + block % 2, region), np.where(border, 9000 + 50 * (along == c.y) + block, piece)


_GLASS = (  # one row of candidates per region of the window
    "#fff4b0 #ffefa0",
    "#ffd23c #ffb81e #ffe070",
    "#ff8a1c #ff6a14 #ffb02a",
    "#f2425a #ff6f61 #e02b6a #ff9a4a",
    "#b03fae #7a4fd0 #d24f9a #4f6fe0",
    "#2858d8 #1f3fb0 #3a86e8 #5b3fc0",
    "#1a8f8a #2fae8c #137a86",
    "#2fae4a #7cc43a #1d8f4a",
    "#118050 #0f6a3a #3a9f3a #86b92a",
    "#35b8f0 #8fe0ff #1f8fe0 #c8f4ff",
    "#1fa040 #57c22e #0f7a3c",
    "#e8182c #ff3a3a #c40f3a",
    "#ff4f3a #ff7a4a #f02a4a",
    "#1c2fa8 #2a49d0",
    "#d81f2a #f0b41c",
)


def stained_glass(long_side: int) -> Rgb:
    """Lead a window of glowing glass: a sunrise over hills and a river, framed, with tulips in front."""
    c = Canvas(83, 760, 1000, long_side)
    region, piece = _window(c)
    key, label = np.unique(region * 100000 + piece, return_inverse=True)
    label = label.reshape(region.shape)
    tints = [palette(row) for row in _GLASS]
    roll, lift = c.rng.random(4096), c.rng.normal(0, 0.13, 4096)
    slot = (key * 2654435761) % 4096
    table = np.array(
        [
            tints[k // 100000][int(roll[s] * len(tints[k // 100000]))] * (1 + lift[s])
            for k, s in zip(key, slot, strict=True)
        ]
    )
    lead_at = edt(~_edges(label)) / c.scale
    bow = c.noise(70, octaves=2)
    swirl = 0.5 * c.noise(30, octaves=3, stretch=(0.5, 2.2)) + 0.4 * np.sin((c.y + 30 * bow) / 9) * step(
        0.2, 1.2, c.noise(150)
    )
    sun = np.exp(-((np.hypot(c.x - 420, c.y - 330) / 420) ** 2))
    light = 0.74 + 0.50 * sun + 0.10 * swirl + 0.10 * c.noise(130, octaves=2)
    light *= 0.72 + 0.28 * step(2, 20, lead_at)
    glass = table[label] * light[..., None]
    glass += 0.22 * step(0.75, 1.0, light)[..., None] * table[label]
    seeds = step(1.9, 2.3, c.noise(5, octaves=1))
    ripples = c.relief(2.2 * c.noise(16, octaves=2, stretch=(0.8, 1.6)), depth=0.5)
    glass = glass * (1 + 0.30 * (ripples[0] - 1) + 0.25 * seeds)[..., None] + 0.10 * ripples[1][..., None]
    lead = step(4.6, 3.4, lead_at)
    dome = np.sqrt(np.clip(1 - (lead_at / 4.4) ** 2, 0, 1)) * 4
    diffuse, gloss = c.relief(c.blur(dome, 0.8) + 0.3 * c.noise(5, octaves=2), depth=0.55)
    metal = color("#1b1a1f") * diffuse[..., None] + 0.30 * gloss[..., None] * color("#b8c4d8")
    picture = mix(glass, metal, lead)
    glow = c.blur(np.clip(glass, 0, 1.6) * (1 - lead)[..., None], 9)
    return c.finish(1 - (1 - np.clip(picture, 0, 1)) * (1 - 0.22 * np.clip(glow, 0, 1)), sharpen=0.3)


def _fish(x: float, y: float, size: float, turn: float) -> dict[str, Points]:
    """Outline a fish seen from the side, heading left before it is turned by `turn` degrees."""
    parts = {
        "tail": [(0.62, 0.0), (0.86, -0.12), (1.20, -0.36), (1.10, 0.0), (1.22, 0.34), (0.86, 0.12)],
        "fin": [(-0.28, -0.28), (0.0, -0.56), (0.42, -0.46), (0.40, -0.20), (0.0, -0.26)],
        "belly": [(-0.12, 0.26), (0.10, 0.52), (0.30, 0.44), (0.22, 0.22)],
        "body": [
            (-1.0, 0.02),
            (-0.72, -0.22),
            (-0.25, -0.36),
            (0.3, -0.24),
            (0.72, -0.05),
            (0.72, 0.06),
            (0.3, 0.25),
            (-0.25, 0.34),
            (-0.72, 0.22),
        ],
        "head": [(-1.0, 0.02), (-0.78, -0.18), (-0.55, -0.27), (-0.46, 0.0), (-0.55, 0.26), (-0.78, 0.18)],
    }
    a = np.deg2rad(turn)
    rotate = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    return {name: spline(p, closed=True) @ rotate * size + (x, y) for name, p in parts.items()}


def _seabed(c: Canvas) -> tuple[np.ndarray, Rgb]:
    """Plan the mosaic: labels whose outlines the tesserae follow, and the color wanted at each pixel."""
    label = np.zeros(c.x.shape, np.int32)
    swell = c.y + 30 * np.sin(c.x / 90) + 14 * np.sin(c.x / 37 + c.y / 60)
    want = ramp(swell, [(60, "#bfe3dc"), (220, "#5fb7c0"), (420, "#2a7fa8"), (620, "#1c4f86"), (720, "#15305e")])
    crest = step(0.72, 0.95, np.sin(swell / 15.5))
    want = mix(want, color("#e9f3e6"), 0.65 * crest)
    weeds = []
    for x, h, s in ((70, 300, 1), (118, 200, -1), (890, 330, -1), (942, 220, 1), (500, 120, 1)):
        weeds.append(spline([(x + s * 24 * np.sin(t * 5) + s * 30 * t, 700 - h * t) for t in np.linspace(0, 1, 7)]))
    grown = c.lines(weeds, 24) > 0.5
    label, want = (
        np.where(grown, 1, label),
        np.where(grown[..., None], ramp(c.x % 40, [(0, "#2f6b3a"), (20, "#7fa83c"), (40, "#2f6b3a")]), want),
    )
    schemes = (
        ("#e2562a", "#f6b23c", "#fbe6b8", "#8e1f2a"),
        ("#d8962a", "#f7df8a", "#fff3cf", "#a8461f"),
        ("#b8323a", "#f08a5a", "#fde2c0", "#5a1630"),
    )
    for k, (x, y, size, turn) in enumerate(((330, 230, 205, 12), (640, 455, 235, -14), (250, 540, 130, 16))):
        parts = _fish(x, y, size, turn)
        for j, (name, outline) in enumerate(parts.items()):
            inside = c.polygons([outline]) > 0.5
            deep = np.clip(c.distance(inside) / (0.3 * size), 0, 1)
            dark, mid, pale, rim = schemes[k]
            if name == "body":
                side = step(
                    -0.25,
                    0.3,
                    ((c.y - y) * np.cos(np.deg2rad(turn)) - (c.x - x) * np.sin(np.deg2rad(turn))) / size,
                )
                shade = mix(mix(color(dark), color(mid), deep), color(pale), side)
            else:
                shade = mix(color(rim if name != "head" else dark), color(mid), deep)
            shade = np.where((deep < 11 / (0.3 * size))[..., None], color(rim), shade)
            label, want = np.where(inside, 10 * (k + 1) + j, label), np.where(inside[..., None], shade, want)
        eye = parts["head"][[0, 28]].mean(0) * 0.5 + parts["head"].mean(0) * 0.5 + (0, -0.05 * size)
        far = np.hypot(c.x - eye[0], c.y - eye[1]) / max(size, 190.0)
        want = np.where(
            (far < 0.085)[..., None],
            np.where((far < 0.042)[..., None], color("#101018"), color("#fff8e0")),
            want,
        )
        label = np.where(far < 0.085, 10 * (k + 1) + 8, label)
    return _border(c, label, want)


def _border(c: Canvas, label: np.ndarray, want: Rgb) -> tuple[np.ndarray, Rgb]:
    """Frame the mosaic with black fillets and a band of waves."""
    inset = np.minimum(np.minimum(c.x, c.width - c.x), np.minimum(c.y, c.height - c.y))
    along = np.where(inset == np.minimum(c.x, c.width - c.x), c.y, c.x)
    band = np.select([inset < 14, inset < 28, inset < 56, inset < 70], [1, 2, 3, 4], 0)
    tooth = np.where(np.abs((along / 50) % 1 - 0.5) * 2 > (inset - 28) / 28, 0, 1)[..., None]
    checks = np.where(tooth == 1, color("#b83a26"), color("#f3e2b4"))
    for k, shade in enumerate((color("#1d1a22"), color("#e8d3a0"), checks, color("#1d1a22"))):
        want = np.where((band == k + 1)[..., None], shade, want)
    return np.where(band > 0, 100 + band, label), want


def _tesserae(c: Canvas, label: np.ndarray, tile: float) -> list[tuple[Points, float, float]]:
    """Set square tiles in rows along the outlines, then smaller ones in the gaps; (corners, x, y) each."""
    coarse = max(1, round(2.0 * c.scale / 2))
    small, per = label[::coarse, ::coarse], coarse / c.scale
    taken = np.zeros(small.shape, bool)
    tiles: list[tuple[Points, float, float]] = []

    def place(x: float, y: float, heading: float, side: float, limit: float) -> None:
        a = np.array([np.cos(heading), np.sin(heading)]) * side / 2
        b = np.array([-a[1], a[0]])
        corners = np.array([(x, y)] * 4) + np.stack([a + b, a - b, -a - b, b - a])
        rows, columns = draw.polygon(corners[:, 1] / per, corners[:, 0] / per, small.shape)
        if len(rows) == 0 or taken[rows, columns].mean() > limit:
            return
        own = small[min(int(y / per), small.shape[0] - 1), min(int(x / per), small.shape[1] - 1)]
        if (small[rows, columns] != own).mean() > 0.35:
            return
        taken[rows, columns] = True
        tiles.append((corners, x, y))

    deep = np.zeros(small.shape)
    for value in np.unique(small):
        mask = np.pad(small == value, 1)
        deep = np.maximum(deep, edt(mask)[1:-1, 1:-1] * per)
    deep = ndimage.gaussian_filter(deep, 1.0)
    for level in np.arange(tile / 2, float(deep.max()), tile * 1.04):
        for contour in measure.find_contours(deep, level):
            path = contour[:, ::-1] * per
            gaps = np.hypot(*np.diff(path, axis=0).T)
            run = np.concatenate([[0], np.cumsum(gaps)])
            for s in np.arange(tile / 2, run[-1], tile * 1.03):
                x, y = (np.interp(s, run, path[:, k]) for k in (0, 1))
                ahead, back = (
                    np.array([np.interp(s + d, run, path[:, k]) for k in (0, 1)]) for d in (tile / 2, -tile / 2)
                )
                heading = np.arctan2(*(ahead - back)[::-1]) + c.rng.normal(0, 0.05)
                place(float(x), float(y), float(heading), tile * c.rng.uniform(0.84, 0.96), 0.16)
    for side in (0.8 * tile, 0.6 * tile, 0.42 * tile):
        holes = edt(~taken) * per
        peaks = np.argwhere((holes == ndimage.maximum_filter(holes, 3)) & (holes > 0.42 * side))
        for row, column in peaks:
            place(column * per, row * per, float(c.rng.uniform(0, np.pi)), side, 0.25)
    return tiles


def mosaic_fish(long_side: int) -> Rgb:
    """Lay three fish in a sea of hand-cut tesserae that follow every outline, with a toothed border."""
    c = Canvas(97, 1000, 700, long_side)
    label, want = _seabed(c)
    tiles = _tesserae(c, label, 13.0)
    picture = color("#5d5346") * (1 + 0.10 * c.noise(3, octaves=2))[..., None]
    height = np.zeros_like(c.x)
    for corners, x, y in tiles:
        corners = corners + c.rng.normal(0, 0.35, corners.shape)
        rows, columns = draw.polygon(corners[:, 1] * c.scale, corners[:, 0] * c.scale, height.shape)
        row, column = c.index(np.array([x]), np.array([y]))
        tone = want[row[0], column[0]] * (1 + c.rng.normal(0, 0.085)) + c.rng.normal(0, 0.02, 3)
        picture[rows, columns] = tone
        tilt = c.rng.normal(0, 0.10, 2)
        height[rows, columns] = 3 + tilt[0] * (columns / c.scale - x) + tilt[1] * (rows / c.scale - y)
    picture *= (1 + 0.05 * c.noise(4, octaves=3))[..., None]
    diffuse, gloss = c.relief(c.blur(height, 0.7) + 0.12 * c.noise(4, octaves=2), depth=0.55)
    ao = np.clip(0.72 + 0.28 * c.blur(height, 1.5) / 3, 0, 1)
    return c.finish(picture * (diffuse * ao)[..., None] + 0.12 * gloss[..., None], sharpen=0.3)


_GUITAR = (
    [(330, 905)]
    + [(200, 860), (170, 740), (258, 650), (222, 560), (290, 480), (400, 500), (440, 600), (404, 690)]
    + [(490, 780), (450, 880)]
)


def _still_life(c: Canvas) -> Rgb:
    """Plan a table with a guitar, bottle, glass, pears and a page of music, flat and simplified."""
    scene = mix(color("#7f8a8c"), color("#c9b48a"), step(0, 760, c.x))
    scene = mix(scene, color("#3b4a57"), c.polygons([np.array([(0, 0), (250, 0), (200, 470), (0, 520)])]))
    scene = mix(scene, color("#d9cba8"), c.polygons([np.array([(40, 40), (190, 30), (170, 380), (40, 410)])]) * 0.8)
    table = c.polygons([np.array([(0, 640), (760, 560), (760, 1000), (0, 1000)])])
    wood = mix(color("#6b3f24"), color("#a86a38"), 0.5 + 0.5 * np.sin(c.y / 5 + 2.5 * c.noise(90, stretch=(3, 0.5))))
    scene = mix(scene, wood, table)
    cloth = c.polygons([np.array([(40, 700), (430, 650), (520, 1000), (0, 1000)])])
    scene = mix(scene, color("#e6dcc3"), cloth)
    page = c.polygons([np.array([(420, 690), (640, 640), (720, 860), (480, 900)])])
    staff = step(1.2, 0.6, np.abs((c.y + 0.22 * c.x) % 15 - 7)) * (np.floor((c.y + 0.22 * c.x) / 15) % 6 != 0)
    scene = mix(scene, mix(color("#efe6cf"), color("#2a2522"), staff), page)
    body = spline(_GUITAR, closed=True)
    scene = mix(scene, mix(color("#c7772c"), color("#7a3a18"), step(250, 460, c.x)), c.polygons([body]))
    scene = mix(scene, color("#1b1412"), step(46, 44, np.hypot(c.x - 322, c.y - 650)))
    neck = np.array([(300, 660), (346, 664), (446, 130), (410, 122)])
    scene = mix(scene, color("#2e1d16"), c.polygons([neck]))
    strings = [np.array([(308 + 8 * k, 800), (413 + 7 * k, 130)]) for k in range(5)]
    scene = mix(scene, color("#f1e2b8"), c.lines(strings, 2.2))
    bottle = np.array([(560, 660), (560, 360), (596, 290), (596, 180), (640, 180), (640, 290), (676, 360), (676, 640)])
    scene = mix(scene, mix(color("#123a30"), color("#5f8f5a"), step(560, 650, c.x)), c.polygons([bottle]))
    scene = mix(scene, color("#d8c79a"), c.polygons([np.array([(560, 450), (676, 440), (676, 550), (560, 560)])]))
    for x, y, r, code in ((120, 790, 62, "#b9a23a"), (215, 830, 50, "#c4472a"), (580, 930, 56, "#8f9a3a")):
        far = np.hypot(c.x - x, (c.y - y) * np.where(c.y < y, 0.78, 1.0))
        scene = mix(scene, mix(color(code), color("#2c2a1c"), step(-20, 70, c.x - x)), step(r, r - 2, far))
    return scene


def _split(c: Canvas, shape: Points, depth: int) -> list[Points]:
    """Cut a convex polygon in two by a slanted line through it, again and again."""
    span = shape.max(0) - shape.min(0)
    if depth == 0 or (depth < 3 and c.rng.random() < 0.2) or span.min() < 60:
        return [shape]
    angle = (0.0 if span[0] > span[1] else np.pi / 2) + c.rng.choice([-1, 1]) * c.rng.uniform(0.25, 0.75)
    normal = np.array([np.cos(angle), np.sin(angle)])
    side = (shape - shape.mean(0) - c.rng.normal(0, 0.09, 2) * span) @ normal
    halves: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for k in range(len(shape)):
        here, there = side[k], side[(k + 1) % len(shape)]
        halves[int(here > 0)].append(shape[k])
        if here * there < 0:
            cut = shape[k] + (shape[(k + 1) % len(shape)] - shape[k]) * here / (here - there)
            halves[0].append(cut)
            halves[1].append(cut)
    if min(map(len, halves)) < 3:
        return [shape]
    return [piece for half in halves for piece in _split(c, np.array(half), depth - 1)]


def _papier_colle(c: Canvas, seen: Rgb, rows: np.ndarray, columns: np.ndarray) -> Rgb:
    """Turn about one facet in five into pasted paper: combed wood grain, dots or stripes."""
    kind, x, y = c.rng.random(), c.x[rows, columns], c.y[rows, columns]
    tilt = c.rng.uniform(-0.5, 0.5)
    if kind < 0.08:
        mark = step(0.2, 0.7, np.sin(y / 2.6 + 3 * np.sin(x / 60 + y / 90) + tilt * x / 6))
        return mix(mix(seen, color("#c08a45"), 0.7), color("#5a331a"), 0.75 * mark)
    if kind < 0.15:
        mark = step(0.35, 0.6, np.cos(x / 2.7 + tilt * y / 9) * np.cos(y / 2.7))
        return mix(mix(seen, color("#efe6d0"), 0.45), color("#2a2f38"), 0.9 * mark)
    if kind < 0.22:
        mark = step(-0.1, 0.25, np.sin((x * np.cos(tilt) + y * np.sin(tilt)) / 3.0))
        return mix(seen, color("#1f2b36"), 0.6 * mark)
    return seen


def _contours() -> list[Points]:
    """Draw the guitar, its neck, the bottle and the page again in line, over the broken planes."""
    guitar = spline(_GUITAR, closed=True)
    hole = np.array([(322 + 46 * np.cos(a), 650 + 46 * np.sin(a)) for a in np.linspace(0.4, 5.6, 40)])
    neck = np.array([(300, 660), (410, 122), (446, 130), (346, 664)])
    bottle = np.array([(560, 660), (560, 360), (596, 290), (596, 180), (640, 180), (640, 290), (676, 360), (676, 640)])
    return [np.vstack([guitar, guitar[:1]]) + (9, -6), hole, neck, bottle + (-6, 4)]


def cubist_guitar(long_side: int) -> Rgb:
    """Break a still life with guitar into facets, each seen from its own angle and shaded across."""
    c = Canvas(103, 760, 1000, long_side)
    scene = _still_life(c)
    facets = _split(c, np.array([(-20.0, -20.0), (780, -20), (780, 1020), (-20, 1020)]), 7)
    picture, flow = scene.copy(), [np.ones_like(c.x), np.zeros_like(c.x)]
    tints = palette("#d9a24a #1f2c3a #4f7382 #23323c #f0dfb4 #8a3f1c #2a1d17 #c8552a")
    for facet in facets:
        inside = c.polygons([facet])
        middle, size = facet.mean(0), float(np.ptp(facet, 0).max())
        turn, zoom = c.rng.normal(0, 0.13), c.rng.uniform(0.80, 1.08)
        shift = c.rng.normal(0, 17, 2)
        dx, dy = c.x - middle[0], c.y - middle[1]
        sx = middle[0] + shift[0] + zoom * (dx * np.cos(turn) - dy * np.sin(turn))
        sy = middle[1] + shift[1] + zoom * (dx * np.sin(turn) + dy * np.cos(turn))
        rows, columns = np.nonzero(inside > 0)
        seen = c.sample(scene, sx[rows, columns], sy[rows, columns])
        heading = c.rng.uniform(0, 2 * np.pi)
        across = (dx * np.cos(heading) + dy * np.sin(heading))[rows, columns] / size
        seen = mix(seen, tints[c.rng.integers(0, len(tints))], c.rng.choice([0.0, 0.15, 0.45]))
        seen = _papier_colle(c, seen, rows, columns)
        seen = seen * (1.0 + 1.05 * np.clip(across, -0.6, 0.45))[:, None]
        cover = inside[rows, columns, None]
        picture[rows, columns] = picture[rows, columns] * (1 - cover) + seen * cover
        grain = heading + (np.pi / 2 if c.rng.random() < 0.7 else 0)
        flow[0][rows, columns], flow[1][rows, columns] = np.cos(grain), np.sin(grain)
    brush = Brush(c, picture.copy())
    for spacing, length, width in ((9, 34, 10), (7.5, 22, 6.5)):
        at = c.jittered(spacing)
        row, column = c.index(at[:, 0], at[:, 1])
        tone = picture[row, column] * (1 + 0.10 * c.rng.standard_normal((len(at), 1)))
        brush.paint(at, (flow[0], flow[1]), tone, length=length, width=width, bristle=0.07, opacity=0.75, body=0.7)
    painted = 0.66 * brush.lit(depth=1.0, gloss=0.12) + 0.34 * picture
    painted = mix(painted, color("#17120f"), 0.85 * c.lines(_contours(), 5.5) * step(-1.2, 0.0, c.noise(60, octaves=3)))
    outlines = [np.vstack([f, f[:1]]) for f in facets]
    heavy = [o for o in outlines if c.rng.random() < 0.42]
    broken = step(-0.9, 0.3, c.noise(26, octaves=3))
    painted = mix(painted, color("#17120f"), 0.75 * c.lines(outlines, 2.2) * broken)
    painted = mix(painted, color("#17120f"), 0.92 * c.lines(heavy, 5.0) * step(-1.6, -0.2, c.noise(60, octaves=3)))
    return c.finish((painted - 0.46) * 1.16 + 0.46, sharpen=0.3)


_DEER = (
    "..X...X.........", ".XX.X.XX........", "..XXX.X.........", "...XX...........", "..XXXX..........",
    ".XXoXX..........", ".XXXXXX.......X.", "....XXXXXXXXXXX.", "....XXXXXXXXXXX.", "....XXXXXXXXXXX.",
    ".....XXXXXXXXX..", ".....XX....XX...", ".....XX....XX...", ".....X......X...", ".....XX.....XX..",
)  # fmt: skip


def _kilim(columns: int, rows: int) -> np.ndarray:
    """Chart the tapestry stitch by stitch as palette indices: borders, medallions and deer."""
    i, j = np.meshgrid(np.arange(columns), np.arange(rows))
    inset = np.minimum(np.minimum(i, columns - 1 - i), np.minimum(j, rows - 1 - j))
    chart = np.full((rows, columns), 0)
    v = np.abs(j - (rows - 1) / 2)
    lattice = (np.abs((i % 16) - 7.5) + np.abs((j % 16) - 7.5)).astype(int)
    chart = np.where(lattice < 2, 3, chart)
    between = (np.abs(((i + 8) % 16) - 7.5) + np.abs(((j + 8) % 16) - 7.5)).astype(int)
    chart = np.where((between == 3) | (between < 2), np.where(between < 2, 6, 1), chart)
    for cx in (-0.30, 0.0, 0.30):
        du = np.abs(i - (columns - 1) / 2 - cx * columns)
        ring = (np.floor(du / 2) * 2 + np.floor(v / 2) * 2 * (1.0 if cx else 0.85)).astype(int)
        size = 44 if cx == 0 else 32
        order = np.array([5, 5, 2, 2, 1, 1, 3, 3, 4, 4, 6, 6])
        inside = ring < size
        chart = np.where(inside, order[np.clip((size - 1 - ring) // 4, 0, 11)], chart)
        hook = inside & (ring >= size - 4) & ((np.floor(v / 3).astype(int) % 2) == 0)
        chart = np.where(hook, 3, chart)
        core = (np.floor(du / 2) * 2 + np.floor(v / 2) * 2) < 9
        chart = np.where(core, np.where((du < 1.5) | (v < 1.5), 5, 3), chart)
    deer = np.array([[{".": -1, "X": 3, "o": 5}[s] for s in row] for row in _DEER])
    herd = [(0.185, 0.135, 3), (0.185, 0.70, 2), (0.36, 0.135, 4), (0.36, 0.70, 4)]
    for x, y, tint in herd + [(1 - x, y, tint) for x, y, tint in herd]:
        stamp = deer[:, ::-1] if x > 0.5 else deer
        x0, y0 = int(x * columns) - 8, int(y * rows)
        window = chart[y0 : y0 + 15, x0 : x0 + 16]
        window[...] = np.where(stamp >= 0, np.where(stamp == 3, tint, stamp), window)
    along = np.where((i == inset) | (columns - 1 - i == inset), j, i)
    hooks = np.where((along // 4 + inset // 3) % 2 == 0, 1, 3)
    teeth = np.where(np.abs(along % 12 - 5.5) < (inset - 9) * 0.9 + 0.6, 2, 4)
    chart = np.where(inset < 20, 5, chart)
    chart = np.where(inset < 18, teeth, chart)
    chart = np.where(inset < 9, 5, chart)
    chart = np.where(inset < 7, hooks, chart)
    return np.where(inset < 1, 5, chart)


def tapestry(long_side: int) -> Rgb:
    """Weave a kilim of stepped medallions, deer and toothed borders, thread by thread."""
    c = Canvas(109, 1000, 760, long_side)
    wide, high = 5.0, 5.0
    chart = _kilim(int(c.width / wide), int(c.height / high))
    wools = palette("#8e1b22 #14284f #d9792b #f0dfb8 #2f6d62 #1c1416 #e8b33c")
    warp_x = c.x + 1.2 * c.noise(120, octaves=2)
    weft_y = c.y + 1.8 * c.noise(90, octaves=3, stretch=(2, 1))
    column = np.clip((warp_x / wide).astype(int), 0, chart.shape[1] - 1)
    row = np.clip((weft_y / high).astype(int), 0, chart.shape[0] - 1)
    picture = wools[chart[row, column]]
    shot = (weft_y / (high / 2)).astype(int)
    abrash = c.rng.normal(0, 0.07, 2000)[np.clip(shot, 0, 1999)] + c.rng.normal(0, 0.06, 400)[np.clip(row // 3, 0, 399)]
    under = np.cos(2 * np.pi * warp_x / (2 * wide) + np.pi * (shot % 2))
    thread = 1 - (2 * np.abs(weft_y / (high / 2) % 1 - 0.5)) ** 2
    height = thread * (0.75 + 0.45 * under)
    twist = np.sin(2 * np.pi * (warp_x * 0.9 + weft_y * 1.5) / 3.2 + c.noise(8, octaves=2))
    fuzz = c.noise(2.4, octaves=2, stretch=(2.4, 0.7))
    diffuse, _ = c.relief(c.blur(height, 0.35) * 1.5, depth=0.28, azimuth=250)
    shade = (0.58 + 0.50 * np.clip(height, 0, 1.2)) * diffuse * (1 + abrash + 0.05 * twist + 0.09 * fuzz)
    worn = step(1.1, 2.4, c.noise(130, octaves=4)) * 0.25
    picture = mix(picture * shade[..., None], color("#b8a284") * shade[..., None], worn)
    return c.finish(picture * (1 + 0.05 * c.noise(300, octaves=2))[..., None], sharpen=0.45)


def _feather(u: Field, v: Field, barbs: Field) -> tuple[Field, Rgb]:
    """Color one feather in its own frame (v from root 0 to tip 1, |u| < about 0.4): (cover, colors)."""
    half = 0.40 * np.sqrt(np.clip(np.sin(np.pi * np.clip(v, 0, 1) ** 1.7), 0, 1))
    cover = step(0.0, 0.018, half - np.abs(u)) * (v > 0) * (v < 1)
    strand = 0.5 + 0.5 * np.sin((v - 1.05 * np.abs(u)) * 120 + barbs)
    shades = mix(
        ramp(np.abs(u) / 0.4, [(0, "#0f6b52"), (0.5, "#1d9a6a"), (1.0, "#8fb83a")]),
        color("#06281f"),
        0.72 * strand,
    )
    gold = step(0.62, 0.86, np.sin(v * 21 - np.abs(u) * 20)) * step(0.40, 0.15, np.abs(u)) * step(0.65, 0.35, v)
    shades = mix(shades, color("#d8a332"), 0.55 * gold)
    eye = np.hypot(u / 0.86, np.where(v > 0.70, v - 0.70, (v - 0.70) * 0.82))
    rings = (
        (0.265, "#c8952c"),
        (0.235, "#4a8f2e"),
        (0.205, "#e2b23c"),
        (0.175, "#a8551c"),
        (0.135, "#14a3a8"),
        (0.105, "#1b62c8"),
    )
    fine = 0.82 + 0.18 * np.sin((v - 1.05 * np.abs(u)) * 150)
    for radius, code in rings:
        shades = mix(shades, color(code) * fine[..., None], step(radius, radius - 0.012, eye))
    heart = np.hypot(u / 0.9, (v - 0.685) + 0.35 * np.abs(u)) - 0.055
    shades = mix(shades, color("#0b0f4a"), step(0.012, 0.0, heart))
    shades = mix(shades, color("#f0cf6a"), step(0.010, 0.004, np.abs(u) - 0.006 * (1 - v)) * step(0.55, 0.45, v))
    rim = step(0.030, 0.018, half - np.abs(u)) * cover
    return cover, mix(shades, color("#f0c95a"), 0.9 * rim)


def peacock(long_side: int) -> Rgb:
    """Fan the enamelled, gold-edged train of a peacock behind its neck, in the manner of 1900."""
    c = Canvas(127, 1000, 800, long_side)
    ground = ramp(np.hypot(c.x - 500, c.y - 760), [(300, "#2a0f3a"), (700, "#150a2a"), (1000, "#0b0718")])
    picture = mix(ground, color("#7a4fa0"), 0.16 * step(0.6, 1.0, np.sin(np.arctan2(c.y - 760, c.x - 500) * 90)))
    rows = ((905, 285, 16, 0.0), (775, 262, 15, 0.5), (648, 238, 12, 0.0), (528, 212, 11, 0.5))
    rows += ((415, 185, 8, 0.0), (312, 160, 7, 0.5), (222, 130, 6, 0.0))
    for tip, length, count, offset in rows:
        turns = (np.arange(count) + offset - (count - 0.5) / 2) / (count - 0.5) * 3.1
        for turn in turns[np.argsort(-np.abs(turns), kind="stable")]:
            a = turn * 1.0
            out = np.array([np.sin(a), -np.cos(a)])
            reach = tip * (1 + 0.03 * c.rng.standard_normal())
            root = np.array([500, 770]) + out * (reach - length)
            near = np.hypot(c.x - root[0] - out[0] * length / 2, c.y - root[1] - out[1] * length / 2) < 0.62 * length
            r, q = np.nonzero(near)
            if len(r) == 0:
                continue
            dx, dy = c.x[r, q] - root[0], c.y[r, q] - root[1]
            v, u = (dx * out[0] + dy * out[1]) / length, (dx * -out[1] + dy * out[0]) / length
            shadow = step(0.52, 0.30, np.hypot(u * 1.15, v - 0.62))
            picture[r, q] *= (1 - 0.55 * shadow)[:, None]
            cover, shades = _feather(u, v, np.full_like(u, c.rng.uniform(0, 6)))
            picture[r, q] = mix(picture[r, q], shades * c.rng.uniform(0.9, 1.12), cover)
    picture = _peacock_neck(c, picture)
    return c.finish(picture * (1 + 0.03 * c.noise(3, octaves=2))[..., None], sharpen=0.35)


def _peacock_neck(c: Canvas, picture: Rgb) -> Rgb:
    """Set the bird's scaled breast, neck, head and crest before its train."""
    outline = [
        (395, 830),
        (405, 720),
        (455, 620),
        (470, 520),
        (462, 450),
        (480, 408),
        (520, 400),
        (546, 420),
        (556, 438),
    ]
    outline += [(548, 450), (540, 500), (548, 590), (590, 690), (612, 830)]
    body = c.polygons([spline(outline, closed=True)])
    deep = c.distance(body)
    size = 11 + 12 * step(450, 780, c.y)
    across, down = (c.x - 500) / size, (c.y - 400) / (0.62 * size)
    row = np.floor(down)
    scale = np.hypot((across + 0.5 * (row % 2)) % 1 - 0.5, 0.55 * (down - row))
    hue = ramp(deep / 70 + 0.12 * c.noise(60), [(0, "#0a1f7a"), (0.4, "#1456d0"), (0.9, "#16a0d0"), (1.3, "#2fd0b0")])
    scaled = mix(hue, color("#050c40"), 0.75 * step(0.36, 0.52, scale))
    scaled = mix(scaled, color("#f0c95a"), 0.55 * step(0.045, 0.02, np.abs(scale - 0.37)) * step(430, 560, c.y))
    halo = c.blur(body, 10)
    picture = mix(picture * (1 - 0.7 * halo)[..., None], scaled, body)
    picture = mix(picture, color("#f0c95a"), step(4.6, 3.4, deep) * body)
    beak = c.polygons([np.array([(543, 420), (596, 448), (544, 456)])])
    picture = mix(picture, color("#e8d7a0"), beak)
    picture = mix(picture, color("#f7f3e0"), step(1.0, 0.8, np.hypot((c.x - 520) / 22, (c.y - 428) / 9)))
    picture = mix(picture, color("#08081a"), step(7, 5.6, np.hypot(c.x - 522, c.y - 427)))
    tips = [np.array([490 + 24 * k, 318 + 7 * abs(k) ** 1.6]) for k in (-2, -1, 0, 1, 2)]
    picture = mix(picture, color("#f0c95a"), c.lines([np.stack([(500, 408), tip]) for tip in tips], 2.6))
    for tip in tips:
        far = np.hypot(c.x - tip[0], c.y - tip[1])
        picture = mix(mix(picture, color("#f0c95a"), step(12, 11, far)), color("#1456d0"), step(9, 8, far))
    return picture
