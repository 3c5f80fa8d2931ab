"""What every drawn style shares: a supersampled canvas, seeded noise, masks, brush strokes and raking light.

Lengths are in canvas units (the long side is 1000 units), so a picture keeps its composition at any pixel
size; random numbers are drawn in amounts that do not depend on the pixel size either.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw
from scipy import ndimage

from wctstyle.errors import ConfigError

LONG_SIDE_UNITS = 1000.0
SUPERSAMPLE = 2
MIN_LONG_SIDE = 16

Field = Float[np.ndarray, "h w"]
Rgb = Float[np.ndarray, "h w 3"]
Color = Float[np.ndarray, " 3"]
Points = Float[np.ndarray, "n 2"]


def color(code: str) -> Color:
    """Turn "#rrggbb" into sRGB floats in [0, 1]."""
    return np.array([int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)], np.float32)


def palette(codes: str) -> Float[np.ndarray, "n 3"]:
    """Turn "#rrggbb #rrggbb ..." into a table of sRGB floats."""
    return np.stack([color(code) for code in codes.split()])


def step(edge0: float, edge1: float, value: Field) -> Field:
    """Rise smoothly (cubic Hermite) from 0 at edge0 to 1 at edge1; falls when edge1 < edge0."""
    t = np.clip((value - edge0) / (edge1 - edge0), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def mix(below: np.ndarray, above: np.ndarray, amount: Field | float) -> Rgb:
    """Blend from `below` to `above` by `amount` (0..1), pixel by pixel."""
    weight = np.asarray(amount, np.float32)
    return below + (above - below) * (weight[..., None] if weight.ndim else weight)


def ramp(value: Field, stops: Sequence[tuple[float, str]]) -> Rgb:
    """Color a field through (position, "#rrggbb") stops, linearly in sRGB, clamped at the ends."""
    at = [position for position, _ in stops]
    colors = np.stack([color(code) for _, code in stops])
    return np.stack([np.interp(value, at, colors[:, k]) for k in range(3)], -1).astype(np.float32)


def spline(points: Sequence[tuple[float, float]], *, closed: bool = False, samples: int = 14) -> Points:
    """Draw a centripetal-looking Catmull-Rom curve through the points, `samples` points to a span."""
    p = np.asarray(points, np.float64)
    p = np.vstack([p[-1:], p, p[:2]]) if closed else np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    t = np.linspace(0, 1, samples, endpoint=False)[:, None]
    spans = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(p[:-3], p[1:-2], p[2:-1], p[3:], strict=True)
    ]
    return np.vstack(spans if closed else [*spans, p[-2:-1]])


def _basis(positions: Float[np.ndarray, " n"], cells: int) -> Float[np.ndarray, "n m"]:
    """Tabulate the uniform cubic B-spline weights of each position on a lattice of cells + 3 knots."""
    cell = np.clip(np.floor(positions).astype(int), 0, cells - 1)
    t = positions - cell
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], 1) / 6
    table = np.zeros((len(positions), cells + 3), np.float32)
    for k in range(4):
        table[np.arange(len(positions)), cell + k] = weights[:, k]
    return table


def edt(mask: np.ndarray) -> Field:
    """Measure in pixels how far each True pixel is from the nearest False one."""
    return np.asarray(ndimage.distance_transform_edt(mask), np.float64)


class Canvas:
    """A picture in the making: pixel coordinates in units, the seed, and tools that know both."""

    def __init__(self, seed: int, width: float, height: float, long_side: int) -> None:
        """Lay out width x height units so that the finished long side has `long_side` pixels."""
        if long_side < MIN_LONG_SIDE:
            raise ConfigError(
                f"long side of a drawn style: got {long_side} px, must be >= {MIN_LONG_SIDE}; ask for a larger one"
            )
        if max(width, height) != LONG_SIDE_UNITS:
            raise ConfigError(
                f"canvas of {width:g} x {height:g} units: its long side must be {LONG_SIDE_UNITS:g}; rescale it"
            )
        self.rng = np.random.default_rng(seed)
        self.width, self.height = width, height
        self.scale = long_side * SUPERSAMPLE / LONG_SIDE_UNITS
        self.columns = SUPERSAMPLE * max(1, round(width * long_side / LONG_SIDE_UNITS))
        self.rows = SUPERSAMPLE * max(1, round(height * long_side / LONG_SIDE_UNITS))
        self.x, self.y = (
            axis.astype(np.float32)
            for axis in np.meshgrid(
                (np.arange(self.columns) + 0.5) / self.scale, (np.arange(self.rows) + 0.5) / self.scale
            )
        )

    def fill(self, code: str) -> Rgb:
        """Make a picture of one color."""
        return np.broadcast_to(color(code), (self.rows, self.columns, 3)).copy()

    def noise(
        self, cell: float, *, octaves: int = 4, gain: float = 0.5, stretch: tuple[float, float] = (1.0, 1.0)
    ) -> Field:
        """Sum octaves of smooth random relief; `cell` units to a bump, stretched (x, y); spread about 1."""
        total = np.zeros((self.rows, self.columns), np.float32)
        power = 0.0
        for octave in range(octaves):
            size_x, size_y = (max(cell * s / 2**octave, 1.5) for s in stretch)
            nx, ny = int(self.width / size_x) + 1, int(self.height / size_y) + 1
            lattice = self.rng.standard_normal((ny + 3, nx + 3)).astype(np.float32)
            amplitude = gain**octave
            total += amplitude * 2.1 * (_basis(self.y[:, 0] / size_y, ny) @ lattice @ _basis(self.x[0] / size_x, nx).T)
            power += amplitude**2
        return total / np.float32(np.sqrt(power))

    def blur(self, field: np.ndarray, sigma: float) -> np.ndarray:
        """Blur by a Gaussian of `sigma` units along rows and columns."""
        s = sigma * self.scale
        return ndimage.gaussian_filter(field, (s, s, 0) if field.ndim == 3 else s, mode="nearest")

    def index(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the (row, column) of positions in units, clamped to the canvas."""
        column = np.clip((x * self.scale).astype(np.int32), 0, self.columns - 1)
        return np.clip((y * self.scale).astype(np.int32), 0, self.rows - 1), column

    def sample(self, field: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Read a field at positions in units, bilinearly, clamped at the edge."""
        at = np.stack([y * self.scale - 0.5, x * self.scale - 0.5])
        if field.ndim == 2:
            return ndimage.map_coordinates(field, at, order=1, mode="nearest")
        layers = [ndimage.map_coordinates(field[..., k], at, order=1, mode="nearest") for k in range(3)]
        return np.stack(layers, -1)

    def polygons(self, shapes: Sequence[np.ndarray]) -> Field:
        """Cover the union of polygons (points in units) with 1, antialiased, elsewhere 0."""
        image = Image.new("L", (self.columns * 2, self.rows * 2))
        pen = ImageDraw.Draw(image)
        for shape in shapes:
            pen.polygon([(float(px), float(py)) for px, py in np.asarray(shape) * self.scale * 2], fill=255)
        return np.asarray(image.reduce(2), np.float32) / 255

    def lines(self, paths: Sequence[np.ndarray], width: float) -> Field:
        """Cover open paths (points in units) with round-jointed lines of `width` units."""
        image = Image.new("L", (self.columns * 2, self.rows * 2))
        pen = ImageDraw.Draw(image)
        for path in paths:
            points = [(float(px), float(py)) for px, py in np.asarray(path) * self.scale * 2]
            pen.line(points, fill=255, width=max(1, round(width * self.scale * 2)), joint="curve")
        return np.asarray(image.reduce(2), np.float32) / 255

    def distance(self, mask: np.ndarray) -> Field:
        """Measure, in units, how deep inside the mask each pixel lies (0 outside)."""
        return (edt(mask > 0.5) / self.scale).astype(np.float32)

    def signed(self, mask: np.ndarray) -> Field:
        """Measure the signed distance to the edge of the mask in units, positive inside."""
        return self.distance(mask) - self.distance(1.0 - mask)

    def jittered(self, spacing: float, jitter: float = 0.5) -> Points:
        """Scatter points on a jittered grid `spacing` units apart, in random order, to beyond the edges."""
        nx, ny = int(self.width / spacing) + 2, int(self.height / spacing) + 2
        gx, gy = np.meshgrid(np.arange(nx) * spacing, np.arange(ny) * spacing)
        points = np.stack([gx.ravel(), gy.ravel()], 1)
        points = points + self.rng.uniform(-jitter, jitter, points.shape) * spacing
        return points[self.rng.permutation(len(points))]

    def relief(self, height: Field, *, depth: float, azimuth: float = 225.0) -> tuple[Field, Field]:
        """Light a height field (units) from `azimuth` degrees: (diffuse about 1, specular from 0)."""
        gy, gx = np.gradient(height * self.scale)
        light = np.deg2rad(azimuth)
        slope = -(gx * np.cos(light) - gy * np.sin(light)) * depth
        lit = slope / np.sqrt(1.0 + (gx**2 + gy**2) * depth**2)
        return 1.0 + lit, np.clip(lit, 0, 1) ** 3

    def finish(self, picture: Rgb, *, sharpen: float = 0.25) -> Rgb:
        """Average the supersamples, sharpen lightly and clip to [0, 1]."""
        shape = (self.rows // SUPERSAMPLE, SUPERSAMPLE, self.columns // SUPERSAMPLE, SUPERSAMPLE, 3)
        small = np.clip(picture, 0, 1).reshape(shape).mean((1, 3), dtype=np.float32)
        soft = ndimage.gaussian_filter(small, (1.0, 1.0, 0))
        return np.clip(small + sharpen * (small - soft), 0, 1).astype(np.float32)


class Brush:
    """A loaded brush that drags opaque, bristled strokes along a direction field."""

    def __init__(self, canvas: Canvas, picture: Rgb) -> None:
        """Paint onto `picture` in place; `relief` collects the thickness of the paint in units."""
        self.canvas, self.picture = canvas, picture
        self.relief = np.zeros(picture.shape[:2], np.float32)

    def paint(
        self,
        starts: Points,
        flow: tuple[Field, Field],
        colors: Float[np.ndarray, "n 3"],
        *,
        length: np.ndarray | float,
        width: np.ndarray | float,
        bristle: float = 0.10,
        opacity: float = 1.0,
        body: float = 1.0,
        dry: float = 0.15,
        taper: float = 0.5,
        batch: int = 400,
    ) -> None:
        """Lay one stroke per start, in order, centred there and bent along `flow` (x, y components).

        `bristle` is the spread of tone across a stroke, `dry` the share of its length over which it breaks
        up, `body` the thickness of paint it leaves, `taper` how much its ends narrow (0..1).
        """
        count = len(starts)
        lengths, widths = (np.broadcast_to(np.asarray(v, np.float64), (count,)) for v in (length, width))
        for first in range(0, count, batch):
            part = slice(first, first + batch)
            path = self._trace(starts[part], flow, lengths[part])
            self._lay(path, colors[part], lengths[part], widths[part], bristle, opacity, body, dry, taper)

    def _trace(self, starts: Points, flow: tuple[Field, Field], lengths: np.ndarray) -> np.ndarray:
        """Follow the field half a length both ways from each start; (strokes, 17 points, xy)."""
        halves = []
        for sign in (-1.0, 1.0):
            here, previous, points = starts.copy(), None, []
            for _ in range(8):
                row, column = self.canvas.index(here[:, 0], here[:, 1])
                heading = sign * np.stack([flow[0][row, column], flow[1][row, column]], 1)
                heading /= np.maximum(np.linalg.norm(heading, axis=1, keepdims=True), 1e-6)
                if previous is not None:
                    heading *= np.where((heading * previous).sum(1, keepdims=True) < 0, -1.0, 1.0)
                previous = heading
                here = here + heading * (lengths[:, None] / 16)
                points.append(here)
            halves.append(points)
        return np.stack([*halves[0][::-1], starts, *halves[1]], 1)

    def _lay(
        self,
        path: np.ndarray,
        colors: np.ndarray,
        lengths: np.ndarray,
        widths: np.ndarray,
        bristle: float,
        opacity: float,
        body: float,
        dry: float,
        taper: float,
    ) -> None:
        """Sweep the traced paths with a grid of bristle samples dense enough to leave no holes."""
        canvas, rng, count = self.canvas, self.canvas.rng, len(path)
        hairs = 9
        tones = rng.standard_normal((count, hairs))
        ends = rng.uniform(0, 1, (2, count, hairs)) * dry
        along = max(6, int(np.ceil(lengths.max() * canvas.scale * 1.5)))
        across = max(3, int(np.ceil(widths.max() * canvas.scale * 1.5)))
        s, t = np.linspace(0, 1, along), np.linspace(-1, 1, across)
        node = np.clip((s * 16).astype(int), 0, 15)
        part = (s * 16 - node)[None, :, None]
        center = path[:, node] * (1 - part) + path[:, node + 1] * part
        tangents = np.gradient(path, axis=1)
        tangent = tangents[:, node] * (1 - part) + tangents[:, node + 1] * part
        tangent /= np.maximum(np.linalg.norm(tangent, axis=2, keepdims=True), 1e-9)
        narrow = 1.0 - taper * np.abs(2 * s - 1) ** 3
        reach = (widths[:, None] / 2 * narrow)[:, :, None] * t
        x = center[..., 0, None] - tangent[..., 1, None] * reach
        y = center[..., 1, None] + tangent[..., 0, None] * reach
        where = (t + 1) / 2 * (hairs - 1)
        hair = np.clip(where.astype(int), 0, hairs - 2)
        blend = where - hair
        tone = tones[:, hair] * (1 - blend) + tones[:, hair + 1] * blend
        start, stop = (e[:, hair] * (1 - blend) + e[:, hair + 1] * blend for e in ends)
        keep = (s[:, None] >= start[:, None]) & (s[:, None] <= 1 - stop[:, None])
        keep &= (x >= 0) & (x < canvas.width) & (y >= 0) & (y < canvas.height)
        row, column = canvas.index(x[keep], y[keep])
        shade = np.broadcast_to(tone[:, None, :] * bristle, keep.shape)[keep][:, None]
        who = np.broadcast_to(np.arange(count)[:, None, None], keep.shape)[keep]
        paint = colors[who] * (1.0 + shade)
        if opacity < 1:
            paint = paint * opacity + self.picture[row, column] * (1 - opacity)
        self.picture[row, column] = paint
        thickness = (1 - np.abs(t) ** 3)[None, None] * (1 + 0.5 * tone[:, None]) * (0.7 + 0.5 * s[:, None] ** 4)
        old = self.relief[row, column]
        self.relief[row, column] = 0.5 * old + body * np.broadcast_to(thickness, keep.shape)[keep]

    def lit(self, *, depth: float, gloss: float = 0.15, soften: float = 0.7) -> Rgb:
        """Show the painting under raking light from the upper left."""
        diffuse, specular = self.canvas.relief(self.canvas.blur(self.relief, soften), depth=depth)
        return self.picture * diffuse[..., None] + gloss * specular[..., None]


def dab(
    canvas: Canvas,
    picture: Rgb,
    centers: Points,
    radii: np.ndarray,
    colors: np.ndarray,
    relief: Field | None = None,
) -> None:
    """Press round dots onto `picture` in place, in order; `relief` gets a dome for each."""
    for first in range(0, len(centers), 4000):
        part = slice(first, first + 4000)
        reach = int(np.ceil(radii[part].max() * canvas.scale)) + 1
        oy, ox = (o.ravel() for o in np.mgrid[-reach : reach + 1, -reach : reach + 1])
        px = np.floor(centers[part, 0] * canvas.scale)[:, None] + ox
        py = np.floor(centers[part, 1] * canvas.scale)[:, None] + oy
        dx, dy = px + 0.5 - centers[part, :1] * canvas.scale, py + 0.5 - centers[part, 1:] * canvas.scale
        far = np.hypot(dx, dy) / np.maximum(radii[part, None] * canvas.scale, 0.6)
        keep = (far <= 1) & (px >= 0) & (px < canvas.columns) & (py >= 0) & (py < canvas.rows)
        who = np.broadcast_to(np.arange(len(px))[:, None], keep.shape)[keep]
        row, column = py[keep].astype(int), px[keep].astype(int)
        picture[row, column] = colors[part][who]
        if relief is not None:
            relief[row, column] = np.sqrt(np.maximum(1 - far[keep] ** 2, 0)) * radii[part][who]
