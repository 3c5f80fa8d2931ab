"""Styles made with a brush: impasto, pointillism and ink wash."""

from __future__ import annotations

import numpy as np

from tools.gallery.canvas import Brush, Canvas, Field, Rgb, color, dab, mix, palette, ramp, spline, step

_STARS = (  # x, y, radius of the disc, in units
    (118, 92, 13),
    (262, 64, 9),
    (335, 176, 12),
    (476, 62, 14),
    (566, 168, 9),
    (652, 74, 10),
    (208, 226, 10),
    (908, 268, 11),
    (700, 248, 8),
)
_MOON = (812, 128, 46)
_SHORE = 470.0


def _night_flow(c: Canvas) -> tuple[Field, Field]:
    """Swirl the air around vortices, stars and moon; lay the lake flat below the shore."""
    u, v = np.ones_like(c.x) * 0.55, 0.25 * np.sin(c.x / 130 + 0.8)
    eddies = [(430, 250, 105, 2.6), (268, 340, 66, -2.0), (610, 330, 80, -2.0)]
    eddies += [(x, y, 3.4 * r + 16, 2.6) for x, y, r in (*_STARS, _MOON)]
    for x, y, reach, spin in eddies:
        dx, dy = c.x - x, c.y - y
        pull = spin * np.exp(-(dx**2 + dy**2) / (2 * reach**2)) / reach
        u, v = u - dy * pull, v + dx * pull
    low, wet = step(_SHORE - 120, _SHORE - 30, c.y), step(_SHORE - 14, _SHORE + 6, c.y)
    u, v = u * (1 - low) + low, v * (1 - low) + low * 0.3 * np.sin(c.x / 60)
    return u * (1 - wet) + wet, v * (1 - wet) + wet * 0.10 * np.sin(c.x / 46 + c.y / 17)


def _night_scene(c: Canvas) -> Rgb:
    """Plan the colors of sky, hills, far village and lake that the strokes will pick up."""
    drift = 26 * c.noise(190, octaves=2)
    sky = ramp(c.y + drift, [(0, "#0b1550"), (130, "#14308a"), (270, "#2660b4"), (380, "#4a93b8"), (470, "#9cc3a0")])
    for x, y, r in (*_STARS, _MOON):
        far = np.hypot(c.x - x, c.y - y)
        glow = np.exp(-((far / (r * 3.1)) ** 2))
        rings = 0.70 + 0.30 * np.cos(far / r * 3.6)
        halo = ramp(far / r, [(0.8, "#fff2b0"), (1.4, "#ffc52e"), (2.1, "#f0a53a"), (3.2, "#a8dcc0")])
        sky = mix(sky, halo, np.clip(1.35 * glow * rings, 0, 1))
        sky = mix(sky, color("#fff3b8"), step(r * 1.15, r * 0.9, far))
    for base, amplitude, code in ((432, 34, "#24467f"), (452, 20, "#122a58")):
        ridge = base - amplitude * (0.6 + c.noise(150, octaves=3)[:1])
        sky = mix(sky, color(code), step(-3, 3, c.y - ridge))
    mirror = c.sample(sky, c.x, np.clip(2 * _SHORE - c.y + 40, 0, _SHORE - 60))
    depth = step(_SHORE, c.height, c.y)
    lake = mix(mirror * 0.72, color("#0a1c4c"), 0.25 + 0.55 * depth)
    for x, spread in ((812, 34), (476, 13), (118, 12), (652, 10), (335, 9)):
        width = spread * (1 + 1.3 * depth) * (1 + 0.5 * np.sin(c.y / 6.5))
        lake = mix(lake, color("#ffd968"), 0.95 * np.exp(-(((c.x - x) / width) ** 2)) * (1 - 0.6 * depth))
    return mix(sky, lake, step(_SHORE - 2, _SHORE + 2, c.y))


def _village(c: Canvas, brush: Brush) -> None:
    """Set dark houses, a spire and lit windows on the far shore, with their lights in the water."""
    level, upright = np.ones_like(c.x), np.zeros_like(c.x)
    walls = palette("#0b1434 #131f4a #1c2a5c #2a2450 #0d2a3e")
    roofs = palette("#3a3f86 #5a3a5e #27508c #6d4a4a")
    for number, x in enumerate(np.arange(236, 1000, 34.0) + c.rng.uniform(-9, 9, 23)):
        w, h = c.rng.uniform(11, 24), c.rng.uniform(12, 36) * (1 - 0.55 * (x > 740))
        spire = number == 8
        t = np.arange(26) / 26
        at = np.stack([x + c.rng.uniform(-w, w, 26) * 0.8, _SHORE - 2 - t * h], 1)
        brush.paint(at, (level, upright), walls[c.rng.integers(0, 5, 26)], length=16, width=5, taper=0.2)
        rise = 100 if spire else 17
        at = np.stack([x + c.rng.uniform(-1, 1, 26) * (1 - t) * (w if not spire else 9), _SHORE - h - t * rise], 1)
        tone = np.repeat((walls[0] if spire else roofs[c.rng.integers(0, 4)])[None], 26, 0) * c.rng.uniform(
            0.7, 1.3, (26, 1)
        )
        brush.paint(at, (upright, level) if spire else (level, upright), tone, length=14, width=5)
        if c.rng.random() < 0.66:
            lamp = np.array([[x + c.rng.uniform(-6, 6), _SHORE - 0.55 * h]])
            brush.paint(lamp, (upright, level), palette("#ffd25a"), length=13, width=8, body=2.0)
            drop = np.arange(9)
            at = np.stack(
                [
                    lamp[0, 0] + c.rng.normal(0, 4, 9),
                    _SHORE + 8 + drop * c.rng.uniform(5, 13) + c.rng.normal(0, 3, 9),
                ],
                1,
            )
            glow = mix(palette("#1b3a78"), palette("#ffb534"), 0.95 * (1 - drop / 10))
            brush.paint(at, (level, upright), glow, length=20 + 1.5 * drop, width=5)
    bank = np.stack([c.rng.uniform(150, 1000, 260), _SHORE + c.rng.normal(0, 2.5, 260)], 1)
    brush.paint(bank, (level, upright), walls[c.rng.integers(0, 5, 260)] * 0.8, length=36, width=5)


def _poplars(c: Canvas, brush: Brush) -> None:
    """Raise three dark flames of trees on the left bank, stroke by climbing stroke."""
    rise = (0.35 * np.sin(c.y / 42 + c.x / 30), -np.ones_like(c.x))
    shades = palette("#071a20 #0d2f2c #1c4a35 #10243f #39683c #7a7a2e")
    for x, top, bottom, girth in ((72, 70, 760, 62), (160, 250, 760, 46), (16, 300, 760, 44)):
        t = c.rng.random(620) ** 0.8
        spread = girth * np.sin(np.pi * np.clip(t * 0.86 + 0.06, 0, 1)) ** 0.8
        across = c.rng.uniform(-1, 1, 620)
        at = np.stack([x + across * spread + 8 * np.sin(t * 9), top + t * (bottom - top)], 1)
        pick = np.clip((across * 1.2 + 2.2 + c.rng.normal(0, 1.1, 620)).astype(int), 0, 5)
        flick = (rise[0] + 0.55 * np.clip((c.x - x) / girth, -1, 1), rise[1])
        brush.paint(at, flick, shades[pick], length=62, width=11, bristle=0.22, taper=0.9, body=1.3)
    grass = np.stack([c.rng.uniform(-20, 330, 700), 750 - 90 * c.rng.random(700) ** 1.5], 1)
    grass = grass[grass[:, 1] > 665 + grass[:, 0] * 0.24]
    brush.paint(grass, rise, shades[c.rng.integers(0, 6, len(grass))], length=40, width=8, bristle=0.2)


def impasto_night(long_side: int) -> Rgb:
    """Paint a night over a lake in thick curved strokes under raking light."""
    c = Canvas(11, 1000, 750, long_side)
    scene, flow = _night_scene(c), _night_flow(c)
    brush = Brush(c, scene.copy())
    accents = palette("#0a1245 #5fb0d8 #f3d36b #2f55b8 #8fd0c0")
    for spacing, length, width, spread in ((16, 120, 20, 0.13), (10, 74, 12, 0.17), (10.5, 50, 7.5, 0.17)):
        at = c.jittered(spacing)
        row, column = c.index(at[:, 0], at[:, 1])
        tint = scene[row, column] * (1 + spread * c.rng.standard_normal((len(at), 1)))
        tint += 0.035 * c.rng.standard_normal((len(at), 3))
        stray = c.rng.random(len(at)) < 0.07
        tint[stray] = 0.55 * tint[stray] + 0.45 * accents[c.rng.integers(0, 5, int(stray.sum()))]
        near = np.min([np.hypot(at[:, 0] - x, at[:, 1] - y) / r for x, y, r in (*_STARS, _MOON)], axis=0)
        short = np.clip(near / 5, 0.3, 1.0)
        brush.paint(at, flow, tint, length=length * short, width=width, bristle=0.11)
    _village(c, brush)
    _poplars(c, brush)
    return c.finish(brush.lit(depth=2.1, gloss=0.55, soften=1.0))


_PIGMENTS = (
    "#fff7e0 #ffe27a #ffc233 #ff8f2e #f0562e #d8324f #f29ab2 #b483c9 #6f4fa8 #3550a6 #2f7fc6 #7cc4e8 "
    "#2f9c95 #1f6b4a #4fa04a #a9cf4f #16305c #7a3b4a"
)


def _bay_scene(c: Canvas) -> Rgb:
    """Plan a bay in evening sun: sky, headlands, water, sails, a pine and a flowering bank."""
    scene = ramp(c.y, [(0, "#5c8fd0"), (150, "#a8c4dc"), (270, "#f6dcb0"), (345, "#ffc98a")])
    sun = np.hypot(c.x - 610, c.y - 262)
    scene = mix(scene, color("#ffdf86"), np.exp(-((sun / 150) ** 2)))
    scene = mix(scene, color("#fffbe0"), step(36, 30, sun))
    cloud = step(0.2, 1.3, c.noise(210, octaves=3, stretch=(1, 0.3))) * step(250, 120, c.y)
    scene = mix(scene, color("#f6b6b4"), 0.8 * cloud)
    for base, slope, code in ((338, -0.05, "#8f86c2"), (352, -0.1, "#6a5fa6")):
        ridge = base + slope * (c.x - 500) - 26 * np.sin(c.x / 150 + base) * step(620, 1000, c.x + 200)
        scene = mix(scene, color(code), step(-2, 2, c.y - ridge) * step(300, 480, c.x))
    water = ramp(c.y, [(352, "#f3c68c"), (420, "#7fb0c8"), (560, "#2f74b4"), (700, "#274f98")])
    glitter = np.exp(-(((c.x - 610) / (26 + (c.y - 352) * 0.30)) ** 2))
    ripple = 0.5 + 0.5 * np.sin(c.y / 5.2 + 3 * c.noise(60, octaves=2, stretch=(2, 0.5)))
    water = mix(water, color("#ffd07a"), 0.95 * glitter * (0.35 + 0.65 * ripple))
    scene = mix(scene, water, step(351, 354, c.y))
    for x, y, size, code in (
        (430, 420, 1.0, "#fff3d8"),
        (760, 396, 0.6, "#ffe9c8"),
        (300, 384, 0.45, "#fbe3d0"),
    ):
        main = np.array([(0, 0), (6, -104), (50, -8)]) * size + (x, y)
        jib = np.array([(-6, -4), (0, -92), (-36, -6)]) * size + (x, y)
        hull = np.array([(-42, 2), (54, 2), (40, 16), (-32, 16)]) * size + (x, y)
        image = np.array([(-8, 20), (50, 20), (10, 110), (-10, 80)]) * size + (x, y)
        scene = mix(scene, color(code), 0.5 * c.polygons([image]) * ripple)
        scene = mix(mix(scene, color(code), c.polygons([main])), color("#f08a5c"), c.polygons([jib]))
        scene = mix(scene, color("#5a2a4c"), c.polygons([hull]))
    return scene


def _bay_front(c: Canvas, scene: Rgb) -> Rgb:
    """Close the view with a flowering bank, its shade, and a leaning pine."""
    bank = 700 - 190 * step(620, 1000, c.x) + 26 * c.noise(170, octaves=3) - 60 * step(330, 0, c.x)
    sward = ramp(c.y - bank, [(0, "#c8cf4e"), (60, "#5fa348"), (170, "#1f6b52"), (260, "#233a6e")])
    scene = mix(scene, sward, step(-3, 3, c.y - bank))
    trunk = spline([(880, 700), (868, 560), (836, 430), (846, 300), (812, 190)])
    limbs = [
        trunk,
        spline([(846, 350), (900, 280), (950, 240)]),
        spline([(840, 400), (770, 320), (724, 268)]),
    ]
    scene = mix(scene, color("#5b2f52"), c.lines(limbs, 20))
    lumps = [
        (812, 150, 120, 52),
        (930, 200, 92, 46),
        (724, 232, 76, 34),
        (880, 92, 96, 46),
        (968, 120, 80, 50),
    ]
    wobble = 0.16 * c.noise(34, octaves=3)
    for x, y, rx, ry in lumps:
        inside = 1 - np.hypot((c.x - x) / rx, (c.y - y) / ry) + wobble
        leaf = ramp((c.y - y) / ry + 0.3 * wobble, [(-0.9, "#d8c84a"), (-0.2, "#3f8a4a"), (0.6, "#1c4f5a")])
        scene = mix(scene, leaf, step(0, 0.06, inside))
    blooms = c.jittered(15)
    row, column = c.index(blooms[:, 0], blooms[:, 1])
    blooms = blooms[((c.y - bank)[row, column] > 10) & (c.rng.random(len(blooms)) < 0.4)]
    tints = palette("#f0562e #f29ab2 #fff7e0 #d8324f #ffc233 #b483c9")[c.rng.integers(0, 6, len(blooms))]
    dab(c, scene, blooms, c.rng.uniform(3, 7, len(blooms)), tints)
    return scene


def pointillist_bay(long_side: int) -> Rgb:
    """Build an evening bay from dots of pure pigment that mix in the eye."""
    c = Canvas(23, 1000, 720, long_side)
    scene = _bay_front(c, _bay_scene(c))
    pigments = palette(_PIGMENTS)
    picture, relief = scene * 0.55 + color("#f2e2c0") * 0.45, np.zeros_like(c.x)
    for spacing, radius, spread in ((9.5, 6.2, 0.11), (6.6, 4.0, 0.16), (6.6, 3.3, 0.21)):
        at = c.jittered(spacing)
        row, column = c.index(at[:, 0], at[:, 1])
        wanted = scene[row, column]
        guess = wanted + spread * c.rng.standard_normal(wanted.shape)
        nearest = np.argmin(((guess[:, None] - pigments) ** 2 * (0.3, 0.5, 0.2)).sum(-1), 1)
        dots = 0.74 * pigments[nearest] + 0.26 * wanted
        dab(c, picture, at, radius * c.rng.uniform(0.75, 1.15, len(at)), dots, relief)
    diffuse, specular = c.relief(c.blur(relief, 0.7), depth=0.22)
    return c.finish(picture * diffuse[..., None] + 0.05 * specular[..., None])


def _ridge(c: Canvas, base: float, height: float, cell: float, peaks: tuple[tuple[float, float, float], ...]) -> Field:
    """Shape one skyline y(x): rough ground at `base` with peaks (x, rise, half-width)."""
    line = base - height * 0.35 * c.noise(cell, octaves=6, gain=0.52)[:1]
    for x, rise, half in peaks:
        line = line - rise * np.exp(-(np.abs((c.x[:1] - x) / half) ** 1.5))
    return line


def _wash(c: Canvas, ink: Field, skyline: Field, *, load: float, fade: float, texture: float) -> Field:
    """Lay one mountain: a wet dark skyline, scraped rock below it, dissolving into mist."""
    deep = c.y - skyline
    inside = step(-1.2, 1.2, deep + 1.5 * c.noise(9, octaves=2))
    body = np.exp(-np.clip(deep, 0, None) / fade)
    edge = np.exp(-np.clip(deep, 0, None) / 5.0)
    pool = 0.8 + 0.25 * c.noise(70, octaves=4)
    strokes = _texture_strokes(c, skyline[0], fade, texture) if texture else 0.0
    mark = load * np.maximum((0.5 + 0.32 * (load > 0.95)) * body * pool + 0.45 * edge, strokes)
    return ink * (1 - 0.92 * inside * np.clip(body * 1.4, 0, 1)) + inside * np.clip(mark, 0, 0.97)


def _texture_strokes(c: Canvas, skyline: np.ndarray, fade: float, texture: float) -> Field:
    """Drag dry side-brush strokes down the slopes, as cun strokes model rock; denser to the dark side."""
    smooth = c.blur(np.repeat(skyline[None], 2, 0), 14)[0]
    slope = np.gradient(smooth, 1 / c.scale)
    total = np.zeros_like(c.x)
    for width, count, weight in ((15, 130, 0.5), (8, 380, 0.75), (3.4, 650, 1.0)):
        x = c.rng.uniform(-20, c.width + 20, count)
        depth = fade * 1.15 * c.rng.random(count) ** 1.6
        length, bend = c.rng.uniform(18, 62, count), c.rng.normal(0, 0.25, count)
        kept = c.rng.random(count)
        column = c.index(x, x)[1]
        fall = np.clip(slope[column], -2.2, 2.2)
        paths = []
        for k in np.flatnonzero(kept < 0.55 + 0.3 * np.sign(fall)):
            run = np.sign(fall[k]) / (0.6 + abs(fall[k])) + bend[k]
            t = np.linspace(0, 1, 7)[:, None] * length[k]
            start = np.array([x[k], skyline[column[k]] + depth[k]])
            paths.append(
                start + t * np.array([run, 1.0]) / np.hypot(run, 1.0) + (t / length[k]) ** 2 * (bend[k] * 9, 0)
            )
        dry = step(-0.9, 0.5, c.noise(6, octaves=3, stretch=(0.7, 1.8)))
        total = np.maximum(total, weight * texture * dry * c.blur(c.lines(paths, width), 0.5))
    return total * np.exp(-np.clip(c.y - skyline - 0.5 * fade, 0, None) / (0.8 * fade))


def _pine(c: Canvas, ink: Field, root: tuple[float, float], size: float, lean: float) -> Field:
    """Brush a crooked pine with shelves of needles."""
    x, y = root
    trunk = np.array([(-8, 0), (8, -46), (26, -92), (16, -140), (28, -186), (54, -222)]) * (lean * size, size)
    trunk = spline([(x + dx, y + dy) for dx, dy in trunk])
    for share, girth in ((1.0, 5), (0.7, 8), (0.4, 11)):
        ink = np.maximum(ink, 0.93 * c.lines([trunk[: int(share * len(trunk))]], girth * size))
    needles = []
    for t, side, reach in (
        (0.3, -1, 70),
        (0.42, 1, 84),
        (0.58, -1, 76),
        (0.7, 1, 66),
        (0.84, -1, 52),
        (0.97, 1, 40),
    ):
        at = trunk[int(t * (len(trunk) - 1))]
        tip = at + np.array([side * reach * size, -8 * size])
        ink = np.maximum(ink, 0.9 * c.lines([spline([at, (at + tip) / 2 + (0, 6 * size), tip])], 3.4 * size))
        for _ in range(int(reach * 1.5)):
            foot = at + (tip - at) * c.rng.uniform(0.2, 1.12) + c.rng.normal(0, 4 * size, 2)
            angle = np.deg2rad(c.rng.uniform(200, 340))
            needles.append(np.stack([foot, foot + 15 * size * np.array([np.cos(angle), np.sin(angle)])]))
    return np.maximum(ink, 0.86 * c.lines(needles, 1.5 * size))


def ink_mountains(long_side: int) -> Rgb:
    """Wash misty peaks, a pine and a boat in ink on fibrous paper, with one red seal."""
    c = Canvas(37, 720, 1000, long_side)
    ink = 0.05 * (1 + c.noise(240, octaves=2))
    ink += 0.10 * step(0.4, 1.6, c.noise(260, octaves=3, stretch=(1, 0.5))) * step(330, 60, c.y)
    ranges = (
        (330, 40, 130, ((470, 170, 90), (610, 90, 70)), 0.52, 95, 0.0),
        (470, 56, 120, ((205, 270, 64), (318, 150, 46), (60, 140, 60)), 0.80, 125, 0.75),
        (640, 50, 110, ((610, 300, 76), (705, 210, 90), (480, 100, 46)), 0.94, 135, 0.95),
        (1060, 46, 90, ((20, 390, 120), (170, 250, 90), (330, 90, 90)), 1.0, 150, 0.98),
    )
    for base, height, cell, peaks, load, fade, texture in ranges:
        ink = _wash(c, ink, _ridge(c, base, height, cell, peaks), load=load, fade=fade, texture=texture)
    for root, size, lean in (((96, 752), 1.35, 1.0), ((46, 690), 0.95, 1.0), ((226, 862), 0.8, -1.0)):
        ink = _pine(c, ink, root, size, lean)
    hull = spline([(420, 862), (455, 880), (520, 882), (572, 858), (520, 870), (455, 868)], closed=True)
    ink = np.maximum(ink, 0.92 * c.polygons([hull, np.array([(470, 870), (476, 846), (510, 846), (516, 870)])]))
    wakes = ((400, 892, 190), (440, 906, 160), (520, 918, 130), (380, 940, 90), (560, 962, 120))
    sway = 2 * np.sin(np.arange(9))
    ripples = [np.stack([np.linspace(x, x + w, 9), y + sway], 1) for x, y, w in wakes]
    ink = np.maximum(ink, 0.45 * c.lines(ripples, 2.2) * step(-0.6, 0.6, c.noise(24, octaves=2)))
    wings = np.array([(-1, -1 / 3), (-1 / 3, -1 / 2), (0, 0), (1 / 3, -1 / 2), (1, -1 / 4)])
    flock = ((330, 150, 17), (372, 176, 13), (290, 190, 11), (412, 140, 9))
    birds = [spline(list(map(tuple, wings * s + (x, y)))) for x, y, s in flock]
    ink = np.maximum(ink, 0.85 * c.lines(birds, 2.6))
    fibre = c.noise(5, octaves=2, stretch=(5, 0.7)) + c.noise(5, octaves=2, stretch=(0.7, 4))
    ink = np.clip(ink * (1 + 0.10 * fibre + 0.10 * c.noise(3.2, octaves=1)), 0, 0.97)
    paper = color("#efe4cb") * (1 + 0.012 * fibre + 0.02 * c.noise(300, octaves=2))[..., None]
    picture = paper * (1 - ink[..., None] * (1 - color("#171a20") / color("#efe4cb")))
    sun = step(47, 45.5, np.hypot(c.x - 560, c.y - 140) + 1.5 * c.noise(16, octaves=2))
    picture *= mix(np.ones(3), color("#e0563c"), sun * (0.82 + 0.1 * c.noise(30, octaves=3)))
    return c.finish(_seal(c, picture), sharpen=0.4)


_SEAL = (  # the strokes carved out of the seal, in its own frame of -1..1
    [(-0.6, -0.65), (0.6, -0.65)],
    [(0, -0.8), (0, -0.1)],
    [(-0.6, -0.3), (0.6, -0.3)],
    [(-0.55, 0.15), (-0.55, 0.75), (0.55, 0.75), (0.55, 0.15)],
    [(-0.55, 0.15), (0.55, 0.15)],
    [(-0.55, 0.45), (0.55, 0.45)],
)


def _seal(c: Canvas, picture: Rgb) -> Rgb:
    """Stamp a small carved seal in cinnabar."""
    x, y = (c.x - 640) / 26, (c.y - 906) / 34
    block = step(1.0, 0.94, np.maximum(np.abs(x), np.abs(y)) + 0.03 * c.noise(7, octaves=2))
    strokes = [np.array(line) * (26, 34) + (640, 906) for line in _SEAL]
    carved = block * (1 - c.lines(strokes, 4.5)) * step(-1.7, -1.0, c.noise(5, octaves=2))
    return mix(picture, color("#c02a1c"), 0.92 * carved)
