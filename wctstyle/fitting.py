"""Style pictures brought to the size at which their strokes are to appear, with the part of them that counts."""

from __future__ import annotations

import numpy as np

from wctstyle import images
from wctstyle.errors import ImageError
from wctstyle.regions import Style, fitted_part
from wctstyle.settings import FINE_SIDE, MAX_SIDE, WHOLE_STYLE

PIECES = 4
"""Pieces of a sample of a style, each way."""


def fit_style(picture: images.Picture, side: int, result: int = MAX_SIDE) -> images.Picture:
    """Cut off a style's transparent border, scale it to a long side and lay it over white, as paper shows through.

    Where that is larger than the `result` and than `WHOLE_STYLE`, a sample of the style at this scale is as large as
    the larger of the two.

    Raises:
        ImageError: `side` is 0, the picture's own, and that is more than `MAX_SIDE`.

    Example:
        >>> painting = images.load(np.zeros((300, 400, 3), np.uint8))
        >>> fit_style(painting, 100).rgb.shape
        (75, 100, 3)
    """
    trimmed, most = images.trimmed(picture), max(result, WHOLE_STYLE)
    return images.flatten(_fit(trimmed, side, "style_size") if side <= most else _sampled(trimmed, side, most))


def _sampled(picture: images.Picture, side: int, most: int) -> images.Picture:
    """Scale a picture to a long side, and of that put together pieces spread evenly over it, `most` pixels long.

    More pieces see more of the picture's colours; each is to be large beside its seams.
    """
    sides = images.scaled_sides(picture, long_side=most)
    ratio = max(picture.height, picture.width) / side

    def spans(own: int, wanted: int) -> list[tuple[slice, int]]:
        """Return the pixels of each piece along one side, and how many they become."""
        count, found = min(PIECES, wanted), []
        for place in range(count):
            length = (place + 1) * wanted // count - place * wanted // count
            taken = max(1, round(length * ratio))
            start = round((place + 0.5) * own / count - taken / 2)
            found.append((slice(max(0, start), max(0, start) + taken), length))
        return found

    rows, columns = (spans(*pair) for pair in zip((picture.height, picture.width), sides, strict=True))
    whole = images.flatten(picture).rgb
    sampled = [
        [images.resize_planes(whole[down, across], height=height, width=width) for across, width in columns]
        for down, height in rows
    ]
    return images.Picture(np.concatenate([np.concatenate(row, axis=1) for row in sampled]), source=picture.source)


def fit_part(picture: images.Picture, side: int, result: int = MAX_SIDE, mask: np.ndarray | None = None) -> Style:
    """Do as `fit_style`; `mask`, of the whole picture, is the part of it that counts.

    For a result that is larger than `FINE_SIDE`, the style is as for one of that size, so that the paint is as fine. It
    is to be enlarged where the result is composed (`Style.enlarged`).

    Raises:
        ImageError: as `fit_style`, or the mask has a wrong shape, type or range, or is black all over.

    Example:
        >>> painting, mask = images.load(np.zeros((300, 400, 3), np.uint8)), np.ones((30, 40))
        >>> style = fit_part(painting, 100, mask=mask)
        >>> style.picture.shape, style.mask.shape, style.enlarged
        ((75, 100, 3), (75, 100), 1.0)
    """
    enlarged = max(1.0, result / FINE_SIDE) if side else 1.0
    side, result = round(side / enlarged), min(result, FINE_SIDE)
    rgb = fit_style(picture, side, result).rgb
    if mask is None or side <= max(result, WHOLE_STYLE):
        return Style(rgb, fitted_part(Style(picture, mask), *rgb.shape[:2]), enlarged)
    trimmed = images.trimmed(picture)  # it is sampled, so its mask is by the same pieces
    whole = fitted_part(Style(picture, mask), trimmed.height, trimmed.width)
    assert whole is not None
    part = fit_style(images.Picture(np.repeat(whole[..., None], 3, axis=2)), side, result).rgb[..., 0]
    return Style(rgb, part, enlarged)


def _fit(picture: images.Picture, side: int, name: str) -> images.Picture:
    """Scale to a long side; 0 is the picture's own, and `name` is what asked for it."""
    if side == 0:
        if max(picture.height, picture.width) > MAX_SIDE:
            raise too_large(picture, name, MAX_SIDE)
        return picture
    return images.resize(picture, long_side=side, enlarge=True)


def too_large(picture: images.Picture | images.Raster, name: str, most: int) -> ImageError:
    """Return the error of a picture larger than `most` pixels at its own size, which the option `name` asked for."""
    return ImageError(
        f"{picture.source}: is {picture.width} x {picture.height}, too large to render at its own size; leave out "
        f"{name}=0, or give {name}={most} or less"
    )
