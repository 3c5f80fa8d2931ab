"""A decoded picture, and what is done with it in memory: scaled, laid over a plain colour."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from jaxtyping import Float
from PIL import Image

from wctstyle.errors import ConfigError

LEAST_OPACITY = 0.5 / 255
"""Opacity up to which a pixel is hidden: 8 bits hold none."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture; its arrays are read-only.

    Attributes:
        rgb: sRGB in [0, 1], upright; under full transparency it is whatever the file holds.
        alpha: opacity in [0, 1], not premultiplied into `rgb`; None when every pixel is opaque.
        source: what messages call it: the path as given, or ``<bytes>``, ``<array>``, ``<image>``.

    Example:
        >>> grey = Picture(np.full((2, 3, 3), 0.5, np.float32), source="grey")
        >>> grey.height, grey.width, grey.alpha is None
        (2, 3, True)
        >>> grey.content_hash == Picture(np.full((2, 3, 3), 0.5, np.float32)).content_hash  # the source does not count
        True
    """

    rgb: Float[np.ndarray, "h w 3"]
    alpha: Float[np.ndarray, "h w"] | None = None
    source: str = "<array>"

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.rgb.shape[0]

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.rgb.shape[1]

    @cached_property
    def content_hash(self) -> str:
        """Hex SHA-256 of the shape and of the pixels, opacity too, rounded to 16 bits; not of the source.

        The same pixels have the same hash whichever file or lossless format they came from.
        """
        return hash_of(self.rgb, self.alpha)


def hash_of(rgb: np.ndarray, alpha: np.ndarray | None) -> str:
    """Returns the hash of a picture's pixels, however they are held; see `Picture.content_hash`."""
    digest = hashlib.sha256(f"{rgb.shape[0]}x{rgb.shape[1]}+{alpha is not None}".encode())
    for plane in (rgb, alpha):
        for row in () if plane is None else plane:
            digest.update(np.rint(as_floats(row) * 65535.0).astype("<u2").tobytes())
    return digest.hexdigest()


def as_floats(values: np.ndarray) -> np.ndarray:
    """Returns values of 8 or 16 bits as float32 in [0, 1], and floats as they are."""
    return values if values.dtype.kind == "f" else values / np.float32(np.iinfo(values.dtype).max)


def as_kind(values: np.ndarray, kind: np.dtype) -> np.ndarray:
    """Rounds floats in [0, 1] to 8 or 16 bits; float32 stays what it is."""
    if kind.kind == "f":
        return values.astype(kind, copy=False)
    return np.rint(values * np.float32(np.iinfo(kind).max)).astype(kind)


def frozen(rgb: np.ndarray, alpha: np.ndarray | None, name: str) -> Picture:
    """Makes a Picture of arrays that nobody else writes to; drops the alpha of an opaque picture."""
    if alpha is not None:
        alpha = None if np.all(alpha == 1) else _read_only(alpha)
    return Picture(_read_only(rgb), alpha, name)


def _read_only(plane: np.ndarray) -> np.ndarray:
    plane = np.ascontiguousarray(plane, dtype=np.float32)
    plane.flags.writeable = False
    return plane


class HasOpacity(Protocol):
    """A picture however its pixels are held."""

    @property
    def height(self) -> int: ...  # noqa: D102

    @property
    def width(self) -> int: ...  # noqa: D102

    @property
    def alpha(self) -> np.ndarray | None: ...  # noqa: D102


def resize(picture: Picture, *, long_side: int, enlarge: bool = False) -> Picture:
    """Scales a picture to a longer side of `long_side` pixels, keeping the aspect; never below 1 pixel.

    Lanczos (a = 3) with antialiasing, in float and on the encoded sRGB values, clipped to [0, 1]. Colour is
    weighted by opacity, so hidden colours do not bleed into visible ones. A picture that is already as small
    is returned as it is unless `enlarge`.

    Raises:
        ConfigError: if `long_side` is not a whole number of at least 1.

    Example:
        >>> from wctstyle import images
        >>> resize(images.load(np.zeros((300, 400, 3), np.uint8)), long_side=200).rgb.shape
        (150, 200, 3)
    """
    if isinstance(long_side, bool) or not isinstance(long_side, int | np.integer) or long_side < 1:
        raise ConfigError(f"long side is {long_side!r}, must be a whole number of pixels, at least 1")
    longest = max(picture.height, picture.width)
    if longest == long_side or (longest < long_side and not enlarge):
        return picture
    height, width = scaled_sides(picture, long_side=long_side)
    return resize_to(picture, height=height, width=width)


def scaled_sides(picture: HasOpacity, *, long_side: int) -> tuple[int, int]:
    """Returns height and width at a longer side of `long_side` pixels, rounded half up; never below 1 pixel.

    Example:
        >>> scaled_sides(Picture(np.zeros((300, 400, 3), np.float32)), long_side=200)
        (150, 200)
    """
    longest = max(picture.height, picture.width)

    def scaled(side: int) -> int:
        return max(1, (2 * side * int(long_side) + longest) // (2 * longest))

    return scaled(picture.height), scaled(picture.width)


def resize_to(picture: Picture, *, height: int, width: int) -> Picture:
    """Scales a picture to exactly `height` x `width` pixels, as `resize` does.

    Example:
        >>> resize_to(Picture(np.zeros((30, 40, 3), np.float32)), height=10, width=8).rgb.shape
        (10, 8, 3)
    """
    if (picture.height, picture.width) == (height, width):
        return picture
    planes = resample(weighted(picture.rgb, picture.alpha), height=height, width=width)
    return frozen(*unweighted(planes), picture.source)


def weighted(rgb: Float[np.ndarray, "h w 3"], alpha: Float[np.ndarray, "h w"] | None) -> Float[np.ndarray, "h w c"]:
    """Joins what is scaled of a picture: its colours, and with transparency the weighted colours and the opacity."""
    if alpha is None:
        return rgb
    return np.concatenate([rgb, rgb * alpha[..., None], alpha[..., None]], axis=-1)


def unweighted(planes: Float[np.ndarray, "h w c"]) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns colours and opacity of scaled planes that `weighted` joined."""
    if planes.shape[-1] == 3:
        return np.clip(planes, 0.0, 1.0), None
    alpha = np.clip(planes[..., 6:], 0.0, 1.0)
    visible = alpha > LEAST_OPACITY  # below, the quotient is noise
    rgb = np.where(visible, planes[..., 3:6] / np.where(visible, alpha, 1.0), planes[..., :3])
    return np.clip(rgb, 0.0, 1.0), alpha[..., 0]


_KERNELS = {
    "linear": Image.Resampling.BILINEAR,
    "cubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels."""


def resample(
    planes: Float[np.ndarray, "h w c"], *, height: int, width: int, kernel: str = "lanczos", box: Box | None = None
) -> Float[np.ndarray, "H W c"]:
    """Scales planes of any values in float32, antialiased, unclipped. `kernel`: linear, cubic or lanczos.

    `box` is what of them becomes the result; pixels around it count where the kernel reaches them.

    Example:
        >>> row = np.array([[[0.0], [1.0]]], np.float32)  # 1 x 2 pixels of one channel
        >>> resample(row, height=1, width=4, kernel="linear").ravel().tolist()
        [0.0, 0.25, 0.75, 1.0]
    """
    scaled = (
        Image.fromarray(np.ascontiguousarray(planes[..., c], dtype=np.float32)).resize(
            (width, height), _KERNELS[kernel], box
        )
        for c in range(planes.shape[-1])
    )
    return np.stack([np.asarray(plane) for plane in scaled], axis=-1)


Part = tuple[slice, slice]
"""Rows and columns of a picture, both with a start and a stop."""


def lanczos_reach(scale: float) -> float:
    """Returns how many pixels to each side Lanczos sees where `scale` of them become one: three of the larger kind."""
    return 3 * max(1.0, scale) + 2


def seen_by(span: slice, scale: float, side: int) -> slice:
    """Returns the pixels of a side that count in `span` of the scaled one."""
    reach = lanczos_reach(scale)
    return slice(max(0, int(span.start * scale - reach)), min(side, int(span.stop * scale + reach) + 1))


def resample_part(
    planes: Float[np.ndarray, "h w c"], whole: tuple[int, int], part: Part, *, kernel: str = "lanczos"
) -> Float[np.ndarray, "H W c"]:
    """Returns `part` of what `resample` makes of planes at the size `whole`, without making the rest of it."""
    if planes.shape[:2] == tuple(whole):
        return planes[part]
    crop, edges = [], []
    for side, wanted, span in zip(planes.shape, whole, part, strict=False):
        scale = side / wanted
        crop.append(seen_by(span, scale, side))
        first, last = span.start * scale - crop[-1].start, span.stop * scale - crop[-1].start
        edges.append((first, min(last, crop[-1].stop - crop[-1].start)))
    (top, bottom), (left, right) = edges
    height, width = (span.stop - span.start for span in part)
    taken = planes[tuple(crop)]
    return resample(taken, height=height, width=width, kernel=kernel, box=(left, top, right, bottom))


def resize_planes(planes: Float[np.ndarray, "h w c"], *, height: int, width: int) -> Float[np.ndarray, "H W c"]:
    """Scales planes in [0, 1] to exactly `height` x `width` pixels, as `resize` does.

    Example:
        >>> made = resize_planes(np.eye(8, dtype=np.float32)[..., None], height=4, width=4)
        >>> made.shape, float(made.min()) >= 0  # no overshoot
        ((4, 4, 1), True)
    """
    if planes.shape[:2] == (height, width):
        return planes
    return np.clip(resample(planes, height=height, width=width), 0.0, 1.0)


def resize_part(
    planes: Float[np.ndarray, "h w c"], whole: tuple[int, int], part: Part, *, kernel: str = "lanczos"
) -> Float[np.ndarray, "H W c"]:
    """Returns `part` of what `resample_part` makes of planes in [0, 1], clipped to that."""
    return np.clip(resample_part(planes, whole, part, kernel=kernel), 0.0, 1.0)


def flatten(picture: Picture, *, background: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Picture:
    """Lays a picture over a plain sRGB colour (white), so that nothing is transparent.

    ``alpha rgb + (1 - alpha) background`` on the encoded values, as browsers and editors do.

    Example:
        >>> from wctstyle import images
        >>> half = images.load(np.full((1, 1, 4), 128, np.uint8))  # grey, half transparent
        >>> flatten(half).rgb.round(2).ravel().tolist()
        [0.75, 0.75, 0.75]
    """
    if picture.alpha is None:
        return picture
    return frozen(over(picture.rgb, picture.alpha, background), None, picture.source)


def visible_box(picture: HasOpacity) -> Part:
    """Return the rows and columns of the smallest box that holds all visible pixels; all of them if there are none.

    Example:
        >>> alpha = np.zeros((6, 8), np.float32)
        >>> alpha[1:3, 2:7] = 1
        >>> visible_box(Picture(np.ones((6, 8, 3), np.float32), alpha))
        (slice(1, 3, None), slice(2, 7, None))
    """
    box, alpha = [], picture.alpha
    least = 0 if alpha is None or alpha.dtype.kind != "f" else LEAST_OPACITY
    seen = None if alpha is None else alpha > least
    for side, axis in ((picture.height, 1), (picture.width, 0)):
        shown = np.arange(side) if seen is None else np.flatnonzero(seen.any(axis))
        box.append(slice(int(shown[0]), int(shown[-1]) + 1) if shown.size else slice(0, side))
    return box[0], box[1]


def trimmed(picture: Picture) -> Picture:
    """Cut off a transparent border.

    Example:
        >>> alpha = np.zeros((6, 8), np.float32)
        >>> alpha[1:3, 2:7] = 1
        >>> trimmed(Picture(np.ones((6, 8, 3), np.float32), alpha)).rgb.shape
        (2, 5, 3)
    """
    if picture.alpha is None:
        return picture
    box = visible_box(picture)
    return frozen(picture.rgb[box], picture.alpha[box], picture.source)


def fill_hidden(picture: Picture) -> Picture:
    """Give hidden pixels the colour of the nearest visible one (white without any); the opacity stays.

    What a file holds there is anything, and nobody sees it, but an encoder would. Nearly transparent pixels often
    show a background that was cut away, so colours come from pixels that are at least half opaque, where there are any.

    Example:
        >>> row = Picture(np.array([[[0.25] * 3, [0.5] * 3]], np.float32), np.array([[1.0, 0.0]], np.float32))
        >>> fill_hidden(row).rgb[0, :, 0].tolist()  # the second pixel is hidden
        [0.25, 0.25]
    """
    if picture.alpha is None:
        return picture
    least = min(0.5, float(picture.alpha.max()))
    rgb = hidden_filled(picture.rgb, picture.alpha, least, np.ones(3, np.float32))
    return frozen(rgb, picture.alpha, picture.source)


def hidden_filled(
    rgb: Float[np.ndarray, "h w 3"], alpha: Float[np.ndarray, "h w"], least: float, instead: np.ndarray
) -> Float[np.ndarray, "h w 3"]:
    """Give hidden pixels the colour of the nearest whose opacity is `least` or more; `instead` where there is none."""
    hidden = alpha <= LEAST_OPACITY
    if not hidden.any():
        return rgb
    known = (alpha >= least) & ~hidden
    if not known.any():
        return np.where(hidden[..., None], instead, rgb)
    from scipy.ndimage import distance_transform_edt

    rows, columns = np.asarray(distance_transform_edt(~known, return_distances=False, return_indices=True))
    return np.where(hidden[..., None], rgb[rows, columns], rgb)


def over(rgb: np.ndarray, alpha: np.ndarray, background: tuple[float, float, float]) -> np.ndarray:
    """Lays `rgb` over a plain colour."""
    opacity = alpha[..., None]
    return opacity * rgb + (1 - opacity) * np.asarray(background, np.float32)
