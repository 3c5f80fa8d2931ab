"""Regions: parts of a photo, each with its own styles."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float

from wctstyle import images
from wctstyle.color import luma
from wctstyle.errors import ConfigError, ImageError
from wctstyle.settings import LEAST_AREA, ColorsKind, checked_choice, checked_number, photo_share, plain


@dataclass(frozen=True)
class Style:
    """A style picture, and the part of it whose moments count.

    picture: as in `Stylizer.stylize`. mask: "h w" as a region's, resized to the picture; None: all of it counts.
    enlarged: how many times larger than in this picture the strokes are to be in the small composition
    (`wctstyle.look`); above 1 only for results longer than `FINE_SIDE`.

    Example:
        >>> Style(np.zeros((8, 8, 3), np.float32), mask=np.ones((8, 8))).enlarged
        1.0
    """

    picture: Any
    mask: Any = None
    enlarged: float = 1.0


class HasColors(Protocol):
    """The colours of `Settings` or `OptimizeSettings`."""

    @property
    def colors(self) -> ColorsKind: ...  # noqa: D102

    @property
    def color(self) -> float: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class Dials:
    """What a region has of its own. strength: a factor on the settings'. All else: as there, None for the settings'.

    In the optimiser, detail is how much more the photo weighs there, texture has no effect, and colors cannot be only.

    Raises:
        ConfigError: a value out of range, naming it.

    Example:
        >>> from wctstyle.settings import Settings
        >>> dials = Dials(strength=0.5, colors="photo")
        >>> dials.colors_in(Settings()), dials.photo_share(Settings()), dials.photo_share(Settings(colors="photo"))
        ('photo', 1.0, 1.0)
        >>> {name: value for name, value in dials.by_name().items() if value is not None}
        {'strength': 0.5, 'colors': 'photo'}
    """

    strength: float = 1.0
    detail: float | None = None
    texture: float | None = None
    colors: ColorsKind | None = None
    color: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", checked_number("strength of a region", self.strength, 0))
        if self.colors is not None:
            checked_choice("colors of a region", self.colors, ColorsKind)
        for name in ("detail", "texture", "color"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, checked_number(f"{name} of a region", value, 0, 1))

    def colors_in(self, settings: HasColors) -> ColorsKind:
        """Return the region's way of colours, by default that of the settings."""
        return settings.colors if self.colors is None else self.colors

    def photo_share(self, settings: HasColors) -> float:
        """Return how much of the photo's own a and b the region has, 0..1."""
        return photo_share(self.colors_in(settings), settings.color if self.color is None else self.color)

    def by_name(self) -> dict[str, Any]:
        """Return the dials by name, without what a subclass adds."""
        return {field.name: getattr(self, field.name) for field in fields(Dials)}


@dataclass(frozen=True)
class Region(Dials):
    """A part of a photo with its own styles and dials.

    mask: "h w", floats in [0, 1], booleans or 8 bit, of any size; it is resized to the photo's. Values between 0 and 1
    count partially. None: everything outside the other regions. styles: as in `Stylizer.stylize`; without any, or with
    all weights 0, the photo stays there. Strokes are as large as in the pictures, so that a region with larger pictures
    has larger strokes.

    Example:
        >>> left = np.zeros((4, 8), np.float32)
        >>> left[:, :4] = 1
        >>> whole, part = Region(None, [np.ones((8, 8, 3))]), Region(left, [])  # the left stays as it is
        >>> [None if share is None else float(share.mean()) for share in shares([whole, part], 4, 8)]
        [0.5, 0.5]
        >>> part.dials == Dials()
        True
    """

    mask: Any
    styles: Any

    @property
    def dials(self) -> Dials:
        """The dials alone."""
        return Dials(**self.by_name())


def regions_of(styles: Any) -> list[Region]:
    """Convert the `styles` argument of `Stylizer.stylize` to regions; plain styles become one region without a mask.

    Raises:
        ConfigError: no styles, styles and regions together, or more than one region without a mask.

    Example:
        >>> picture = np.zeros((8, 8, 3), np.float32)
        >>> [region.mask for region in regions_of([picture, (picture, 2.0)])]  # one region: all of the photo
        [None]
        >>> regions_of([])
        Traceback (most recent call last):
        wctstyle.errors.ConfigError: no style given: give at least one
    """
    listed = styles if isinstance(styles, list | tuple) else [styles]
    found = [item for item in listed if isinstance(item, Region)]
    if found and len(found) < len(listed):
        raise ConfigError("styles and regions are mixed; put the styles into a Region(None, styles)")
    if sum(region.mask is None for region in found) > 1:
        raise ConfigError("several regions have no mask; only one can be what the others leave")
    regions = found or [Region(None, styles)]
    if not any(weighted_styles(region.styles) for region in regions):
        raise ConfigError("no style given: give at least one")
    return regions


def weighted_styles(styles: Any) -> list[tuple[Style, float]]:
    """List styles with their weights, given one style, several or None; each is a style (weight 1) or (style, weight).

    A style is a `Style` or its picture.

    Raises:
        ConfigError: a tuple is no pair, or its weight is no number >= 0.

    Example:
        >>> picture = np.zeros((8, 8, 3), np.float32)
        >>> [weight for _, weight in weighted_styles([picture, (picture, 2.0)])]
        [1.0, 2.0]
    """
    if styles is None:
        return []
    found = []
    for number, item in enumerate(styles if isinstance(styles, list | tuple) else [styles], start=1):
        pair = item if isinstance(item, tuple) else (item, 1.0)
        if len(pair) != 2 or isinstance(plain(pair[0]), int | float):
            raise ConfigError(
                f"style {number} is no picture and no pair; one style with its weight is [(style, weight)]"
            )
        style = pair[0] if isinstance(pair[0], Style) else Style(pair[0])
        found.append((style, checked_number(f"weight of style {number}", pair[1], 0)))
    return found


def blend_shares(weights: Sequence[float]) -> Float[np.ndarray, " n"] | None:
    """Check the weights of a blend, of any scale, and normalise them to sum to 1; return None if all are 0.

    Raises:
        ConfigError: a weight is negative or not finite.

    Example:
        >>> blend_shares([3, 1]).tolist()
        [0.75, 0.25]
        >>> blend_shares([0, 0]) is None
        True
    """
    checked = [checked_number(f"weight of style {number}", weight, 0) for number, weight in enumerate(weights, start=1)]
    shares = np.asarray(checked, np.float64)
    if not shares.any():
        return None
    shares = shares / shares.max()  # first, so that huge weights do not overflow in the sum
    return shares / shares.sum()


def is_painted(region: Region) -> bool:
    """Tell whether something becomes of a region, and it is not just the photo.

    Example:
        >>> picture = np.zeros((8, 8, 3), np.float32)
        >>> is_painted(Region(None, picture)), is_painted(Region(None, [(picture, 0.0)]))
        (True, False)
    """
    return region.strength > 0 and any(weight > 0 for _, weight in weighted_styles(region.styles))


FACE, REST = "face", "rest"
"""Names of regions that need no mask: the detected faces, and everything outside the other regions."""

NOT_IN_NAMES = "@=,/:"
"""What separates the name of a region from other things in a command."""

NAME = re.compile(rf"[^\s{NOT_IN_NAMES}](?:[^\n{NOT_IN_NAMES}]*[^\s{NOT_IN_NAMES}])?")
"""What a region may be called."""

STYLE_MASK = "style mask"
"""What messages call the mask of a style picture."""

NOWHERE = np.zeros((1, 1), np.float32)


def named_regions(
    styles: Sequence[tuple[Any, float, str]],
    masks: Mapping[str, Any],
    faces: Callable[[], Float[np.ndarray, "h w"] | None],
    dials: Mapping[str, Dials] = MappingProxyType({}),
) -> list[Region]:
    """Group styles, given as (style, weight, region name; "" is the rest), by region.

    `masks` and `dials` are by name. `faces` detects faces; it is called only if a style names them. A mask without a
    style keeps the photo there.

    Example:
        >>> sea, sky, mask = np.zeros((8, 8, 3)), np.ones((8, 8, 3)), np.ones((4, 4))
        >>> made = named_regions([(sea, 1.0, ""), (sky, 2.0, "sky")], {"sky": mask}, faces=lambda: None)
        >>> [(region.mask is mask, [weight for _, weight in region.styles]) for region in made]
        [(False, [1.0]), (True, [2.0])]
    """
    names = dict.fromkeys([name or REST for *_, name in styles] + list(masks))
    planes: dict[str, Any] = {**masks, REST: None}
    if FACE in names and FACE not in masks:
        found = faces()
        planes[FACE] = NOWHERE if found is None else found

    def made(name: str) -> Region:
        own = [(style, weight) for style, weight, of in styles if (of or REST) == name]
        return Region(planes[name], own, **dials.get(name, Dials()).by_name())

    return [made(name) for name in names]


def mask_of(picture: images.Picture) -> Float[np.ndarray, "h w"]:
    """Convert a picture to a mask: 1 where it is white, 0 where it is black or transparent.

    Example:
        >>> mask_of(images.load(np.array([[[255, 255, 255], [0, 0, 0]]], np.uint8))).tolist()
        [[1.0, 0.0]]
    """
    plane = luma(picture.rgb).astype(np.float32)
    return np.clip(plane if picture.alpha is None else plane * picture.alpha, 0, 1)


def shares(regions: Sequence[Region], height: int, width: int) -> list[Float[np.ndarray, "h w"] | None]:
    """Return each region's share of every pixel, 0..1; None means 1 everywhere.

    Where masks add up to more than one, they are scaled down to one. Where they add up to less, the remainder goes to
    the region without a mask; without such a region it stays the photo.

    Raises:
        ImageError: a mask of the wrong shape, type or range.

    Example:
        >>> left = np.array([[1.0, 0.0]])
        >>> [share.tolist() for share in shares([Region(left, []), Region(None, [])], 1, 2)]
        [[[1.0, 0.0]], [[0.0, 1.0]]]
    """
    return divided([None if region.mask is None else fitted(region.mask, height, width) for region in regions])


def divided(masks: Sequence[Float[np.ndarray, "h w"] | None]) -> list[Float[np.ndarray, "h w"] | None]:
    """Return the share of each region by the masks of all, as `shares` does."""
    if all(mask is None for mask in masks):
        return [None] * len(masks)
    total = np.sum([mask for mask in masks if mask is not None], axis=0)
    scale = np.maximum(total, 1)
    return [(np.maximum(1 - total, 0) if mask is None else mask / scale).astype(np.float32) for mask in masks]


def mixed(values: Sequence[float], planes: Sequence[Float[np.ndarray, "*s"] | None]) -> Float[np.ndarray, "*s"] | float:
    """Average a value of each region at every pixel, weighted by its share; one number where all have the same."""
    if len(set(values)) <= 1:
        return next(iter(values), 0.0)
    weights = [np.float32(1) if plane is None else plane for plane in planes]
    total = np.maximum(np.sum(weights, axis=0), np.float32(1e-6))
    return np.sum([np.float32(value) * weight for value, weight in zip(values, weights, strict=True)], axis=0) / total


def fitted(mask: Any, height: int, width: int, what: str = "mask") -> Float[np.ndarray, "h w"]:
    """Check a mask and resize it.

    Raises:
        ImageError: wrong shape, type or range. The message begins with `what`.
    """
    return images.resize_planes(checked_mask(mask, what)[..., None], height=height, width=width)[..., 0]


def checked_mask(mask: Any, what: str = "mask") -> Float[np.ndarray, "h w"]:
    """Check a mask and return it as floats at its own size.

    Raises:
        ImageError: wrong shape, type or range. The message begins with `what`.
    """
    array = images.as_array(mask, what, instead="wctstyle.regions.mask_of(images.load(...))")
    if array.dtype == np.bool_:
        array = array.astype(np.float32)
    if array.ndim != 2 or not array.size:
        raise ImageError(f"{what}: has shape {array.shape}, wanted height x width")
    return images.checked_values(array, what)


def fitted_part(style: Style, height: int, width: int) -> Float[np.ndarray, "h w"] | None:
    """Check the mask of a style and resize it to the picture's size as it is used; None where there is no mask.

    Of a picture with a transparent border, that border is cut off as the picture's is.

    Raises:
        ImageError: wrong shape, type or range, or it is black all over.
    """
    mask, picture = style.mask, style.picture
    if mask is None:
        return None
    if isinstance(picture, images.Picture) and picture.alpha is not None:
        mask = fitted(mask, picture.height, picture.width, STYLE_MASK)[images.visible_box(picture)]
    plane = fitted(mask, height, width, STYLE_MASK)
    if not plane.any():
        raise ImageError(f"{STYLE_MASK}: is black wherever the style is, so nothing of it counts; paint its part white")
    return plane


def filled_up(plane: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Let all of a picture count a little where its part is smaller than `LEAST_AREA`, to make up the difference."""
    return plane + np.float32(max(0.0, LEAST_AREA - float(plane.sum())) / plane.size)


def softened(plane: Float[np.ndarray, "h w"], radius: float) -> Float[np.ndarray, "h w"]:
    """Blur a mask by a Gaussian with a standard deviation of `radius` pixels, so that its border has no seam.

    Masks that add up to one still do, and borders keep their places.

    Example:
        >>> edge = np.repeat([[0.0] * 8 + [1.0] * 8], 4, axis=0).astype(np.float32)
        >>> [round(float(value), 1) for value in softened(edge, 2.0)[0, 5:11]]
        [0.1, 0.2, 0.4, 0.6, 0.8, 0.9]
    """
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(plane, radius, mode="nearest") if radius else plane
