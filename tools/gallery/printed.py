"""Styles made by printing, cutting and floating: woodcut, risograph, paper cut-outs and marbling."""

from __future__ import annotations

import numpy as np

from tools.gallery.canvas import Canvas, Field, Points, Rgb, color, mix, palette, spline, step


def _engrave(tone: Field, phase: Field, period: float, crisp: Field | float) -> Field:
    """Cut swelling lines: ink where the wave of `phase` (units) falls under the wanted darkness 0..1."""
    wave = 2 * np.abs(phase / period - np.floor(phase / period) - 0.5)
    return np.clip(0.5 + (tone - wave) * period * crisp, 0, 1)


_WAVE = (  # its outline: up the back, over the lip, down the hollow, along the trough and out at the right
    [(-30, 720), (-30, 505), (60, 470), (140, 405), (205, 310), (280, 205), (380, 128), (490, 112)]
    + [(575, 152), (618, 222), (610, 268), (566, 232), (505, 214), (450, 240), (414, 300), (404, 376)]
    + [(430, 452), (500, 516), (620, 545), (760, 520), (880, 470), (960, 400), (1040, 350), (1040, 720)]
)


def _foam(c: Canvas) -> tuple[list[Points], list[tuple[float, float, float]]]:
    """Grow claws of foam from the wave's lip, and the beads of spray thrown off them."""
    lip = spline([(250, 232), (318, 168), (400, 118), (490, 100), (575, 142), (622, 215), (612, 276)], samples=24)
    claws, spray = [], []
    for k in range(0, len(lip) - 1, 8):
        along = lip[k + 1] - lip[k]
        along /= np.linalg.norm(along)
        out = np.array([along[1], -along[0]])
        size = 17 + 19 * (k / len(lip)) + c.rng.uniform(-3, 4)
        hook = [
            (-0.8, -0.7),
            (-0.6, 0.5),
            (-0.1, 1.15),
            (0.6, 1.45),
            (1.3, 1.2),
            (1.6, 0.6),
            (1.15, 0.95),
            (0.7, 0.8),
            (0.5, 0.3),
            (0.7, -0.7),
        ]
        claws.append(spline([lip[k] + size * (a * along + b * out) for a, b in hook], closed=True))
        for _ in range(3):
            at = lip[k] + size * (c.rng.uniform(0.3, 2.6) * along + c.rng.uniform(0.6, 3.0) * out)
            spray.append((at[0], at[1], c.rng.uniform(1.6, 5.5)))
    return claws, spray


def _woodcut_sky(c: Canvas, crisp: float) -> Field:
    """Engrave sun rays, level sky lines parting around clouds, and a snow mountain."""
    dx, dy = c.x - 745, c.y - 205
    far = np.hypot(dx, dy)
    bearing = np.degrees(np.arctan2(dy, dx))
    rays = 1.0 - step(330, 90, far) * 0.30 - 0.42
    rays = _engrave(rays, bearing + 0.5 * c.noise(60), 5.0, crisp * 0.0175 * far)
    wobble = 5 * c.noise(160, octaves=3, stretch=(1.6, 0.7))
    level = _engrave(0.30 + 0.35 * step(300, 0, c.y), c.y + wobble, 9, crisp)
    sky = np.where(far < 300, rays, level)
    sky = np.maximum(sky, step(4, 2, np.abs(far - 300)))
    sky *= step(86, 88, far)
    sky = np.maximum(sky, step(3.4, 2.2, np.abs(far - 84)))
    cloud = c.noise(150, octaves=4, stretch=(2.0, 0.55)) - 1.05 - 1.2 * step(210, 120, far) + 0.5 * step(300, 360, c.y)
    edge = c.signed(cloud > 0)
    sky = np.where(
        edge > 0,
        np.maximum(_engrave(0.20 + 0 * edge, edge, 11, crisp) * step(26, 14, edge), step(3, 1.5, edge)),
        sky,
    )
    peak = 520 - 250 * np.exp(-((np.abs(c.x - 742) / 118) ** 1.15)) - 8 * c.noise(40, octaves=3)[:1]
    deep = c.y - peak
    snow = 66 + 30 * np.abs((c.x / 26) % 2 - 1) + 12 * c.noise(30)
    shade = step(-30, 40, c.x - 742 + 10 * c.noise(40))
    flank = c.x * np.where(c.x < 742, 0.62, -0.62) * 1.0 + 0.55 * c.y + 3 * c.noise(50)
    rock = _engrave(np.where(deep < snow, 0.06 + 0.3 * shade, 0.62 + 0.25 * shade), flank, 8, crisp)
    rock = np.maximum(rock, step(4, 2, deep))
    return np.where(deep > 0, rock, sky)


def woodcut_wave(long_side: int) -> Rgb:
    """Engrave a breaking wave, a snow mountain and a rayed sun in black on cream."""
    c = Canvas(41, 1000, 720, long_side)
    crisp = c.scale * 0.5
    ink = _woodcut_sky(c, crisp)
    body = c.polygons([spline(_WAVE, samples=12)])
    deep = c.signed(body)
    curl = deep + 3.0 * c.noise(120, octaves=2)
    tone = 0.30 + 0.55 * step(20, 170, deep) + 0.14 * c.noise(90, octaves=3)
    tone += 0.30 * step(380, 430, c.x) * step(600, 480, c.y) * step(130, 30, deep)
    lines = _engrave(np.clip(tone, 0.12, 0.9), curl, 13.5, crisp)
    foot = step(560, 640, c.y)
    lines = np.maximum(lines, foot * _engrave(0.45 + 0 * deep, c.y + 4 * c.noise(90), 12, crisp))
    sea = np.where(deep < 5, 1.0, lines)
    ink = np.where(deep > 0, sea, np.maximum(ink * step(7, 8, -deep), step(-1.2, 0, deep)))
    ink = _swell(c, ink, crisp)
    claws, spray = _foam(c)
    outline = c.polygons(claws)
    rim = c.signed(outline)
    inner = _engrave(0.22 + 0 * rim, rim, 7.5, crisp) * step(13, 10, rim)
    ink = np.where(rim > -3.2, np.where(rim > 0.2, inner, 1.0), ink)
    for x, y, r in spray:
        far = np.hypot(c.x - x, c.y - y)
        ink = np.where(far < r + 2.6, step(r - 0.4, r + 0.4, far), ink)
    chips = step(2.05, 2.3, c.noise(5, octaves=2, stretch=(4, 0.6)))
    print_wear = np.clip(1 - 0.10 * step(0.2, 2.2, c.noise(3, octaves=2)) - chips, 0, 1)
    paper = color("#f0e3c4") * (1 + 0.02 * c.noise(4, octaves=3) + 0.02 * c.noise(220))[..., None]
    return c.finish(mix(paper, color("#14110f"), np.clip(ink, 0, 1) * print_wear), sharpen=0.1)


def _swell(c: Canvas, ink: Field, crisp: float) -> Field:
    """Roll three swells across the foreground, each with a white crest and lines along its back."""
    for base, amplitude, length, shift in ((590, 34, 330, 40), (650, 30, 270, 190), (704, 22, 220, 20)):
        turn = (c.x + shift) / length
        crest = base - amplitude * (1 - np.abs(np.sin(np.pi * turn)) ** 0.7) * 1.9 + 5 * c.noise(60)[:1]
        deep = c.y - crest
        tone = 0.34 + 0.5 * step(14, 70, deep) + 0.16 * c.noise(70, octaves=2)
        sea = np.where(deep < 12, 0.0, _engrave(np.clip(tone, 0.1, 0.9), deep * 1.0 + 4 * c.noise(90), 12, crisp))
        sea = np.where(deep < 4, 1.0, sea)
        ink = np.where(deep > 0, sea, ink)
    return ink


def _halftone(c: Canvas, tone: Field, angle: float, cell: float) -> Field:
    """Screen a plate (0..1) into round dots on a lattice turned by `angle` degrees."""
    a = np.deg2rad(angle)
    u, v = (c.x * np.cos(a) + c.y * np.sin(a)) / cell, (c.y * np.cos(a) - c.x * np.sin(a)) / cell
    spot = 0.5 + 0.25 * (np.cos(2 * np.pi * u) + np.cos(2 * np.pi * v))
    return np.clip(0.5 + (np.clip(tone, 0, 1) - (1 - spot)) * cell * c.scale * 0.5, 0, 1) * (tone > 0.02)


def _cactus(x: float, y: float, size: float, arms: tuple[tuple[float, float, float], ...]) -> list[Points]:
    """Outline a saguaro as centre lines: a column and arms that reach out and turn up."""
    paths = [np.array([(x, y), (x, y - 240 * size)])]
    for side, root, top in arms:
        out = x + side * 58 * size
        bend = [
            (x, y - root * size),
            (out - side * 12 * size, y - root * size),
            (out, y - (root + 22) * size),
        ]
        paths.append(np.array([*bend, (out, y - top * size)]))
    return paths


def _desert_plates(c: Canvas) -> tuple[Field, Field, Field]:
    """Separate a desert dusk into yellow, pink and blue plates, each with tones 0..1."""
    yellow, pink, blue = (np.zeros_like(c.x) for _ in range(3))
    low = c.y / 640
    yellow += 0.95 * step(0.25, 0.95, low)
    pink += 0.15 + 0.55 * step(0.1, 0.75, low) * step(1.15, 0.75, low)
    blue += 0.85 * step(0.62, 0.0, low)
    stars = [(c.rng.uniform(0, 1000), c.rng.uniform(0, 260), c.rng.uniform(2, 5)) for _ in range(46)]
    night = 1 - np.max([step(r, r - 1, np.hypot(c.x - x, c.y - y)) for x, y, r in stars], axis=0)
    blue, pink = blue * night, pink * night
    far = np.hypot(c.x - 520, c.y - 400)
    sun = step(190, 189, far)
    slots = np.clip(step(2.0, 1.0, np.abs((c.y - 400) % 34 - 17) - (c.y - 380) * 0.06), 0, 1) * (c.y > 390)
    disc = sun * (1 - slots)
    yellow, pink, blue = (
        yellow * (1 - disc) + disc,
        pink * (1 - disc) + disc * 0.38 * step(300, 600, c.y),
        blue * (1 - disc),
    )
    layers = (
        (500, 90, 260, 0.30, 0.70, 0.35),
        (590, 60, 200, 0.10, 0.95, 0.55),
        (660, 44, 330, 0.85, 0.85, 0.10),
        (740, 34, 260, 0.20, 0.55, 0.90),
    )
    for number, (base, rise, cell, ty, tp, tb) in enumerate(layers):
        relief = c.noise(cell, octaves=3)[:1]
        mesa = np.tanh(relief * 2.6) if number < 2 else relief
        deep = c.y - (base - rise * mesa)
        strata = 0.22 * np.sin(deep / 8 + 0.8 * c.noise(120, octaves=2)) * (number < 2)
        inside = step(-0.6, 0.6, deep)
        fade = step(0, 150, deep)
        yellow += (ty + 0.35 * fade - yellow) * inside
        pink += (np.clip(tp + strata - 0.25 * fade, 0, 1) - pink) * inside
        blue += (np.clip(tb + strata + 0.15 * fade, 0, 1) - blue) * inside
    return yellow, pink, blue


def riso_desert(long_side: int) -> Rgb:
    """Print a desert dusk in three fluorescent inks, halftoned and out of register."""
    c = Canvas(53, 1000, 800, long_side)
    yellow, pink, blue = _desert_plates(c)
    plants = (
        (170, 790, 1.55, ((-1, 90, 190), (1, 120, 215))),
        (820, 800, 1.9, ((1, 80, 170), (-1, 120, 200))),
        (655, 690, 0.55, ((1, 80, 180), (-1, 110, 190))),
        (345, 672, 0.42, ((-1, 90, 180), (1, 70, 170))),
    )
    for x, y, size, arms in plants:
        paths = _cactus(x, y, size, arms)
        body = step(-0.5, 0.5, 23 * size - c.distance(1 - c.lines(paths, 1.2)))
        ribs = 0.5 + 0.5 * np.cos((c.x - x) / (6.2 * size) * np.pi)
        lit = step(-14 * size, 20 * size, x - c.x)
        yellow += (np.clip(0.35 + 0.65 * lit, 0, 1) - yellow) * body
        pink += (0.25 * (1 - lit) - pink) * body
        blue += (np.clip(0.95 - 0.6 * ribs * (0.3 + 0.7 * lit), 0.2, 1) - blue) * body
    agave = [
        spline([(x, 815), (x + dx / 2, 815 - 0.7 * h), (x + dx, 815 - h), (x + 0.55 * dx + 12, 815 - 0.6 * h)])
        for x in (440, 560, 30)
        for dx, h in ((-110, 60), (-76, 118), (-20, 150), (44, 140), (90, 100), (120, 48))
    ]
    leaf = c.polygons(agave)
    yellow, pink = yellow * (1 - leaf), pink + (0.9 * step(800, 690, c.y) - pink) * leaf
    yellow, blue = yellow + 0.55 * leaf, blue + (0.75 + 0.25 * step(700, 800, c.y) - blue) * leaf
    picture = c.fill("#f6f0e2") * (1 + 0.015 * c.noise(3.5, octaves=2))[..., None]
    inks = (
        (yellow, "#ffd400", 5, 7.0, (-2.5, 2.0)),
        (pink, "#ff3d7f", 75, 7.2, (3.4, -1.6)),
        (blue, "#1554b8", 42, 7.4, (-1.0, -3.2)),
    )
    for plate, code, angle, cell, (dx, dy) in inks:
        shifted = c.sample(plate, c.x + dx + 0.003 * (c.y - 400), c.y + dy)
        dots = _halftone(c, shifted, angle, cell)
        solid = dots * (0.90 + 0.06 * c.noise(180, octaves=2)) * (1 - 0.35 * step(1.3, 2.3, c.noise(3.2, octaves=2)))
        picture = picture * (1 - np.clip(solid, 0, 1)[..., None] * (1 - color(code)))
    return c.finish(picture, sharpen=0.1)


def _frond(c: Canvas, x: float, y: float, size: float, turn: float, fingers: int, curl: float) -> Field:
    """Cut a seaweed leaf: rounded fingers either side of a bent spine, smoothed as scissors would."""
    t = np.linspace(0, 1, 40)
    spine = np.stack([curl * 0.5 * np.sin(t * np.pi), -t], 1)
    paths = [spine]
    for k in range(fingers):
        at = spine[int((0.10 + 0.82 * k / fingers) * 39)]
        for side in (-1, 1):
            reach = (0.50 - 0.30 * abs(k / (fingers - 1) - 0.35)) * c.rng.uniform(0.85, 1.15)
            lift = 0.16 + 0.22 * k / fingers
            paths.append(np.array([at, at + (side * reach * 0.55, -lift * 0.45), at + (side * reach, -lift)]))
    a = np.deg2rad(turn)
    rotate = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    drawn = c.lines([spline(list(map(tuple, p))) @ rotate * size + (x, y) for p in paths], 0.030 * size)
    thick = c.distance(1 - drawn) < size * 0.036 * (6.3 / fingers) ** 1.6
    return c.blur(thick.astype(np.float32), size * 0.017)


def _gouache(c: Canvas, code: str, angle: float) -> Rgb:
    """Paint a sheet of paper by hand: streaks along `angle` degrees and uneven cover."""
    a = np.deg2rad(angle)
    streak = c.noise(11, octaves=3, stretch=(7, 0.5) if abs(np.cos(a)) > 0.7 else (0.5, 7))
    return color(code) * (1 + 0.055 * streak + 0.04 * c.noise(150, octaves=3))[..., None]


def _paste(c: Canvas, picture: Rgb, soft: Field, code: str, angle: float, level: float = 0.5) -> Rgb:
    """Glue a cut sheet on: a soft shadow below right, a light cut edge, the painted face."""
    cut = np.clip(0.5 + (soft - level) * c.scale * 9, 0, 1)
    shadow = c.blur(np.roll(cut, (round(3.5 * c.scale), round(2.5 * c.scale)), (0, 1)), 3.0)
    picture = picture * (1 - 0.42 * np.clip(shadow, 0, 1) * (1 - cut))[..., None]
    face = _gouache(c, code, angle)
    edge = np.clip(c.relief(c.blur(cut, 0.8), depth=1.1)[0], 0.75, 1.25)
    return mix(picture, face * edge[..., None], cut)


_SHEETS = (  # x0, y0, x1, y1, ground, leaf, fingers, turn
    (0, 0, 262, 330, "#1b3fa0", "#f7f0df", 6, 12),
    (262, 0, 560, 250, "#f2b51d", "#d8281f", 5, -58),
    (560, 0, 790, 330, "#0e7f5c", "#f4a6b8", 7, 8),
    (790, 0, 1000, 410, "#f7f0df", "#16181c", 6, -8),
    (0, 330, 262, 700, "#e8502a", "#f6d743", 7, -10),
    (262, 250, 560, 540, "#f7f0df", "#1b3fa0", 8, 20),
    (262, 540, 560, 700, "#16181c", "#7cc36a", 5, 82),
    (560, 330, 790, 700, "#d85a9a", "#0e7f5c", 8, -6),
    (790, 410, 1000, 700, "#5fb3d9", "#f2641e", 6, 10),
)


_BITS = (  # x, y, radius and color of the stars pasted over the joins
    (262, 330, 30, "#f7f0df"),
    (560, 330, 26, "#f2b51d"),
    (790, 410, 30, "#16181c"),
    (560, 545, 24, "#e8502a"),
    (262, 545, 20, "#5fb3d9"),
)


def paper_cutouts(long_side: int) -> Rgb:
    """Collage seaweed leaves and stars cut from hand-painted paper on a quilt of bright sheets."""
    c = Canvas(67, 1000, 700, long_side)
    picture = c.fill("#f7f0df")
    for x0, y0, x1, y1, ground, _, _, _ in _SHEETS:
        jog = c.rng.uniform(-5, 5, (4, 2))
        corners = np.array([(x0 - 4, y0 - 4), (x1 + 4, y0 - 4), (x1 + 4, y1 + 4), (x0 - 4, y1 + 4)]) + jog
        picture = _paste(c, picture, c.blur(c.polygons([corners]), 0.6), ground, c.rng.choice([0, 90]))
    for x0, y0, x1, y1, _, leaf, fingers, turn in _SHEETS:
        tall = max(x1 - x0, y1 - y0) if abs(turn) > 45 else y1 - y0
        size = 0.86 * min(tall, 1.35 * (x1 - x0 if abs(turn) < 45 else y1 - y0))
        a = np.deg2rad(turn)
        x, y = (x0 + x1) / 2 + 0.54 * size * np.sin(-a), (y0 + y1) / 2 + 0.56 * size * np.cos(a)
        soft = _frond(c, x, y, size, turn, fingers, c.rng.uniform(-0.25, 0.25))
        picture = _paste(c, picture, soft, leaf, turn)
    for x, y, r, code in _BITS:
        angle = np.arctan2(c.y - y, c.x - x)
        star = r * (1 + 0.32 * np.cos(5 * angle + x)) - np.hypot(c.x - x, c.y - y)
        picture = _paste(c, picture, np.clip(0.5 + star / 30, 0, 1), code, 0)
    return c.finish(picture, sharpen=0.3)


def _unswirl(x: Field, y: Field, cx: float, cy: float, reach: float, turn: float) -> tuple[Field, Field]:
    """Undo a circular stir: rotate back by an angle that decays away from the ring of `reach` units."""
    dx, dy = x - cx, y - cy
    a = -turn * np.exp(-((np.hypot(dx, dy) / reach) ** 2))
    return cx + dx * np.cos(a) - dy * np.sin(a), cy + dx * np.sin(a) + dy * np.cos(a)


def _uncomb(x: Field, y: Field, *, shift: float, spacing: float, sharp: float, vertical: bool) -> tuple[Field, Field]:
    """Undo a comb: teeth `spacing` units apart that dragged the paint by `shift`, alternately if negative."""
    across = x if vertical else y
    near = np.abs(across / spacing - np.round(across / spacing)) * spacing
    sign = np.where(np.round(across / spacing) % 2 == 0, 1.0, -1.0) if shift < 0 else 1.0
    drag = abs(shift) * sign * np.exp(-near / sharp)
    return (x, y - drag) if vertical else (x - drag, y)


_STIRS = (  # centre, reach in units and angle in radians of each stir, last first
    (250, 240, 150, 2.6),
    (720, 470, 190, -2.9),
    (520, 130, 90, 2.0),
    (210, 610, 110, -2.2),
    (900, 170, 100, 2.2),
)


def marbling(long_side: int) -> Rgb:
    """Float drops of ink on water, comb and stir them, and lift the pattern on paper.

    Each pixel is carried back through the stirs and combs, then through the drops from last to first: a drop
    of radius r pushed what lay at distance d to sqrt(d^2 + r^2) (Lu, Jaffer et al., "Mathematical Marbling",
    2012).
    """
    c = Canvas(71, 1000, 750, long_side)
    inks = palette("#12235a #b3202c #f3e6c8 #e2a12e #1d7d83 #f3e6c8 #0c0f22 #d9643a #2c58a8 #f7d9c0")
    x, y = c.x + 3 * c.noise(70, octaves=2), c.y + 3 * c.noise(70, octaves=2)
    for cx, cy, reach, turn in _STIRS:
        x, y = _unswirl(x, y, cx, cy, reach, turn)
    x, y = _uncomb(x, y, shift=95, spacing=44, sharp=13, vertical=False)
    x, y = _uncomb(x, y, shift=-150, spacing=92, sharp=30, vertical=True)
    drops = 210
    centers = np.stack([c.rng.uniform(-60, 1060, drops), c.rng.uniform(-60, 810, drops)], 1)
    radii = np.geomspace(120, 25, drops) * c.rng.uniform(0.7, 1.25, drops)
    tints = np.concatenate([c.rng.permutation(len(inks)) for _ in range(drops // len(inks))])
    px, py = x.ravel().astype(np.float32), y.ravel().astype(np.float32)
    label, open_at = np.zeros(px.size, np.int32), np.arange(px.size)
    for k in range(drops - 1, -1, -1):
        dx, dy = px - np.float32(centers[k, 0]), py - np.float32(centers[k, 1])
        square, r2 = dx * dx + dy * dy, np.float32(radii[k] ** 2)
        inside = square < r2
        label[open_at[inside]] = tints[k]
        keep = ~inside
        shrink = np.sqrt(1 - r2 / square[keep])
        px = np.float32(centers[k, 0]) + dx[keep] * shrink
        py = np.float32(centers[k, 1]) + dy[keep] * shrink
        open_at = open_at[keep]
    picture = inks[label.reshape(c.x.shape)]
    thin = np.abs(picture - c.blur(picture, 2.2)).sum(-1)
    grain = step(0.9, 2.2, c.noise(3.0, octaves=2)) * 0.10 + 0.035 * c.noise(4, octaves=3)
    picture = picture * (1 + 0.05 * c.noise(120, octaves=3) - 0.12 * np.clip(thin, 0, 1))[..., None]
    return c.finish(mix(picture, color("#f6ecd4"), np.clip(grain, 0, 0.3)), sharpen=0.35)
