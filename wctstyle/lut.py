"""3D lookup tables of colours: made from a pair of pictures, written and read as `.cube`, applied to pictures.

A table says which colour each colour becomes, wherever it is. Photo and video editors read `.cube` files.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from wctstyle import color, images
from wctstyle.errors import ConfigError
from wctstyle.files import replace_file
from wctstyle.settings import checked_whole

Rgb = Float[np.ndarray, "h w 3"]

POINTS = 33
"""Points of a table along each axis, as editors expect."""

MOST_POINTS = 129
"""Points of the largest table that is read. It has 2 million colours."""

SMOOTH, NEAR = 0.3, 1e-3
"""Weights of the table's second differences and of its distance from the global map, beside that of the pixels."""

SOLVER_STEPS = 60

STRIP = 64
"""Rows of a picture that are looked up at a time."""

FIT_SIDE = 256
"""Long side in pixels of the pictures that a table is made from: more pixels hardly change it."""


@dataclass(frozen=True)
class Lut:
    """A table of sRGB colours: `table[r, g, b]` is what the colour (r, g, b) / (n - 1) becomes.

    Example:
        >>> import tempfile
        >>> dark = Lut(np.zeros((2, 2, 2, 3), np.float32))
        >>> dark.table[1, 1, 1] = 0.5  # white becomes grey, and what lies between is interpolated
        >>> dark(np.array([[[1.0] * 3, [1.0, 1.0, 0.5]]]))[0, :, 0].tolist()
        [0.5, 0.25]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     dark.write(f"{folder}/dark.cube", "half as light")
        ...     Path(f"{folder}/dark.cube").read_text().splitlines()[:2]
        ['TITLE "half as light"', 'LUT_3D_SIZE 2']
    """

    table: Float[np.ndarray, "n n n 3"]

    def __call__(self, rgb: Rgb) -> Rgb:
        """Look up every colour of a picture, interpolated linearly along each axis; clipped to [0, 1]."""
        from scipy.ndimage import map_coordinates

        out = np.empty(rgb.shape, np.float32)
        for top in range(0, len(rgb), STRIP):
            rows = slice(top, top + STRIP)
            places = np.moveaxis(np.clip(rgb[rows], 0, 1) * np.float32(len(self.table) - 1), -1, 0)
            for k in range(3):
                map_coordinates(self.table[..., k], places, output=out[rows][..., k], order=1, mode="nearest")
        return np.clip(out, 0, 1)

    def write(self, path: str | os.PathLike[str], title: str = "wctstyle") -> None:
        """Write the table as a `.cube` file. Red changes fastest there.

        Source: Adobe, Cube LUT Specification 1.0 (2013).

        Raises:
            ConfigError: it cannot be written; what was there is untouched.
        """
        name = "".join(char for char in title if char.isprintable() and char != '"')
        lines = [
            f'TITLE "{name}"',
            f"LUT_3D_SIZE {len(self.table)}",
            "DOMAIN_MIN 0.0 0.0 0.0",
            "DOMAIN_MAX 1.0 1.0 1.0",
        ]
        colors = self.table.transpose(2, 1, 0, 3).reshape(-1, 3)
        lines += [f"{red:.6f} {green:.6f} {blue:.6f}" for red, green, blue in colors.tolist()]
        try:
            replace_file(Path(path), ("\n".join(lines) + "\n").encode())
        except OSError as error:
            why = error.strerror or error
            raise ConfigError(f"{path}: cannot be written: {why}; give another place or name") from error


def check_points(points: int) -> None:
    """Refuse what is no number of points.

    Raises:
        ConfigError: it is out of range.

    Example:
        >>> check_points(33)
        >>> check_points(1)
        Traceback (most recent call last):
        wctstyle.errors.ConfigError: points is 1, must be a whole number from 2 to 129
    """
    checked_whole("points", points, 2, MOST_POINTS)


def read(path: str | os.PathLike[str]) -> Lut:
    """Read a `.cube` file with a 3D table whose domain is 0 to 1.

    Raises:
        ConfigError: it cannot be read, or is no such table; the message names the line.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Lut(np.zeros((2, 2, 2, 3), np.float32)).write(f"{folder}/black.cube")
        ...     read(f"{folder}/black.cube").table.shape
        (2, 2, 2, 3)
    """
    try:
        lines = Path(path).read_text("utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    size, colors, domain = 0, [], {"DOMAIN_MIN": 0.0, "DOMAIN_MAX": 1.0}
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words or words[0].startswith("#") or words[0] == "TITLE":
            continue
        try:
            if words[0] == "LUT_3D_SIZE":
                size = int(words[1])
            elif words[0] in domain:
                if any(float(word) != domain[words[0]] for word in words[1:4]):
                    raise ConfigError(
                        f"{path}: line {number}: colors of a table here go from 0 to 1, not {line.strip()!r}"
                    )
            elif words[0] == "LUT_3D_INPUT_RANGE":
                if [float(words[1]), float(words[2])] != [0.0, 1.0]:
                    raise ConfigError(
                        f"{path}: line {number}: colors of a table here go from 0 to 1, not {line.strip()!r}"
                    )
            elif words[0] == "LUT_1D_SIZE":
                raise ConfigError(f"{path}: line {number}: is a table of one dimension; give a 3D table")
            elif words[0].lower() == "nan" or not words[0][0].isalpha():
                colors.append([float(words[k]) for k in range(3)])
        except (IndexError, ValueError) as error:
            raise ConfigError(f"{path}: line {number}: {line.strip()[:60]!r} makes no sense in a .cube file") from error
    if not 2 <= size <= MOST_POINTS:
        raise ConfigError(f"{path}: is no .cube file with a table of 2 to {MOST_POINTS} points (LUT_3D_SIZE)")
    if len(colors) != size**3:
        raise ConfigError(f"{path}: has {len(colors)} colors, and a table of {size} points has {size**3}")
    table = np.asarray(colors, np.float32)
    if not np.isfinite(table).all():
        raise ConfigError(f"{path}: has colors that are no finite numbers")
    return Lut(np.ascontiguousarray(table.reshape(size, size, size, 3).transpose(2, 1, 0, 3)))


def fit(photo: Rgb, goal: Rgb, points: int = POINTS) -> Lut:
    """Make the table that turns a photo's colours into those of a picture of the same size, as nearly as one can.

    Least squares over all pixels, with small second differences. Colours that the photo lacks follow the global
    Monge-Kantorovich map (`color.with_colors`).

    Example:
        >>> photo = np.random.default_rng(0).uniform(size=(16, 16, 3)).astype(np.float32)
        >>> table = fit(photo, 0.5 * photo, points=5)
        >>> np.allclose(table(photo), 0.5 * photo, atol=0.01), table.table.shape
        (True, (5, 5, 5, 3))
    """
    from scipy import sparse
    from scipy.sparse.linalg import cg

    axis = np.linspace(0, 1, points, dtype=np.float32)
    lattice = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    own, wanted = color.colors_of(photo), color.colors_of(goal)
    matrix = color.transport(own.covariance, wanted.covariance)

    def mapped(colors: np.ndarray) -> np.ndarray:
        return (colors - own.mean) @ matrix.T + wanted.mean

    small = images.scaled_sides(images.Picture(photo), long_side=FIT_SIDE)
    if max(photo.shape[:2]) > FIT_SIDE:
        photo, goal = (images.resize_planes(picture, height=small[0], width=small[1]) for picture in (photo, goal))
    pixels = photo.reshape(-1, 3)
    corners, weights = _corners(pixels, points)
    count = len(pixels)
    rows = np.tile(np.arange(count), 8)
    sampled = sparse.csr_matrix((weights.ravel(), (rows, corners.ravel())), shape=(count, points**3))
    one = sparse.eye_array(points).tocsr()
    line = one[:-2] - 2 * one[1:-1] + one[2:]
    bends = sparse.vstack([
        sparse.kron(sparse.kron(line, one), one),
        sparse.kron(sparse.kron(one, line), one),
        sparse.kron(sparse.kron(one, one), line),
    ])  # fmt: skip
    scale = points**3 / count
    normal = scale * (sampled.T @ sampled) + SMOOTH * (bends.T @ bends) + NEAR * sparse.eye_array(points**3)
    apart = scale * (sampled.T @ (goal.reshape(-1, 3) - mapped(pixels)))
    change = [cg(normal, apart[:, k], rtol=1e-4, maxiter=SOLVER_STEPS)[0] for k in range(3)]
    table = np.clip(mapped(lattice) + np.stack(change, axis=-1), 0, 1)
    return Lut(table.reshape(points, points, points, 3).astype(np.float32))


def _corners(colors: Float[np.ndarray, "n 3"], points: int) -> tuple[np.ndarray, Float[np.ndarray, "8 n"]]:
    """Return the eight places of a table around each colour, flat, and their weights."""
    at = np.clip(colors, 0, 1) * np.float32(points - 1)
    low = np.minimum(at.astype(np.int32), points - 2)
    part = (at - low).astype(np.float32)
    places, weights = [], []
    for corner in range(8):
        bits = [corner >> 2 & 1, corner >> 1 & 1, corner & 1]
        shifted = low + np.array(bits, np.int32)
        places.append((shifted[:, 0] * points + shifted[:, 1]) * points + shifted[:, 2])
        factors = [part[:, k] if bit else 1 - part[:, k] for k, bit in enumerate(bits)]
        weights.append(factors[0] * factors[1] * factors[2])
    return np.stack(places), np.stack(weights)
