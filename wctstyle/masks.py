"""Masks: found in a photo by what it shows, grown from a few marks, or read from a picture of one or several."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Bool, Float, Int8

from wctstyle import finding, images
from wctstyle.color import rgb_to_oklab
from wctstyle.cutout import cut_out, pixels_of
from wctstyle.errors import ConfigError, ImageError
from wctstyle.faces import face_map
from wctstyle.finding import Plane, Rgb
from wctstyle.regions import FACE, mask_of

PERSON = "person"

READY: Mapping[str, str] = {
    FACE: "Faces",
    PERSON: "People",
    "sky": "Sky, or a plain backdrop: bright or blue, smooth, from the top edge",
    "plain": "Plain areas: little texture",
    "light": "Light areas",
    "dark": "Dark areas",
}
"""The masks that are found in a photo, and what each of them is."""

PREFIX = "ready:"
"""How the name of such a mask begins where the file of a mask could stand."""

# ------------------------------------------------------------------------------------------------------ ready masks


def offered() -> tuple[str, ...]:
    """Name the kinds of `READY` that can be found here: people need weights that do not come along.

    Example:
        >>> [kind for kind in offered() if kind != PERSON]  # people where the network is installed
        ['face', 'sky', 'plain', 'light', 'dark']
    """
    return tuple(kind for kind in READY if kind != PERSON or finding.person_network() is not None)


def checked_kind(kind: str) -> str:
    """Return a kind of `READY` that can be found here.

    Raises:
        ConfigError: there is no such kind, or what it needs is not installed.

    Example:
        >>> checked_kind("sky")
        'sky'
    """
    if kind not in READY:
        raise ConfigError(f"{kind}: there is no such ready mask; there are {', '.join(offered())}")
    if kind == PERSON and finding.person_network() is None:
        raise ConfigError(f"{kind}: needs a network that is not installed; docs/regions.md says how to get it")
    return kind


def ready(kind: str, picture: Rgb | images.Picture) -> Plane:
    """Find a mask in a photo: 1 where the photo shows what `READY` says of this kind, with soft edges.

    Of a `Picture` with transparency only what is visible is looked at.

    Raises:
        ConfigError: as `checked_kind`.
        ImageError: the photo shows nothing of the kind.

    Example:
        >>> photo = np.broadcast_to(np.linspace(0, 1, 64, dtype=np.float32)[:, None], (64, 64, 3))  # dark to light
        >>> mask = ready("light", photo)
        >>> mask[32, [0, 63]].tolist()
        [0.0, 1.0]
    """
    plane = found(kind, picture)
    if plane is None:
        name = picture.source if isinstance(picture, images.Picture) else "photo"
        raise ImageError(f"{name}: {_MISSING[kind]}; give another mask")
    return plane


def found(kind: str, picture: Rgb | images.Picture) -> Plane | None:
    """Do as `ready`, but return None where the photo shows nothing of the kind.

    Raises:
        ConfigError: as `checked_kind`.

    Example:
        >>> found("light", np.full((64, 64, 3), 0.5, np.float32)) is None  # light and dark are alike
        True
    """
    find = _FINDERS[checked_kind(kind)]
    cutout = cut_out(picture)
    if cutout is None:
        return find(images.checked_rgb(pixels_of(picture), "photo"))
    inside = find(cutout.rgb)
    return None if inside is None else cutout.pasted(inside, outside=0.0)


_FINDERS: Mapping[str, Callable[[Rgb], Plane | None]] = {
    FACE: face_map, PERSON: finding.person, "sky": finding.sky, "plain": finding.plain,
    "light": finding.light, "dark": finding.dark,
}  # fmt: skip

_MISSING = {
    FACE: "no face was found",
    PERSON: "no person was found",
    "sky": "no sky was found; it has to be smooth, bright or blue, and to reach the top edge",
    "plain": "no plain area was found",
    "light": "light and dark are too alike to tell apart",
    "dark": "light and dark are too alike to tell apart",
}

# ------------------------------------------------------------------------------------------------------------ marks


def from_scribble(rgb: Rgb, hints: Int8[np.ndarray, "h w"]) -> Plane:
    """Grow a mask from a few marks. hints: 1 is inside, -1 is outside, 0 is unknown.

    A pixel is inside as far as it is more like the marks inside than like those outside, in colour and in place. Marks
    stay what they are. Without marks outside, what is least like the marks inside counts as outside (the far group of
    Otsu's threshold).

    Raises:
        ImageError: the marks have another size than the photo, or none is inside.

    Example:
        >>> photo = np.zeros((32, 32, 3), np.float32)
        >>> photo[:, 16:] = 1  # dark at the left, light at the right
        >>> hints = np.zeros((32, 32), np.int8)
        >>> hints[10:20, 4], hints[10:20, 28] = 1, -1
        >>> mask = from_scribble(photo, hints)
        >>> bool(mask[:, :14].mean() > 0.9), bool(mask[:, 18:].mean() < 0.1)
        (True, True)
    """
    rgb, marks = images.checked_rgb(rgb, "photo"), np.asarray(hints)
    if marks.shape != rgb.shape[:2]:
        raise ImageError(f"marks: have shape {marks.shape}, the photo {rgb.shape[:2]}; draw them on the photo")
    if not (marks > 0).any():
        raise ImageError("marks: nothing is marked as inside; draw a line over what the mask is to hold")
    small = finding.shrunk(rgb)
    votes = np.zeros(small.shape[:2])
    rows, columns = np.nonzero(marks)
    places = tuple(at * new // old for at, new, old in zip((rows, columns), votes.shape, marks.shape, strict=True))
    np.add.at(votes, places, np.sign(marks[rows, columns], dtype=np.float64, casting="unsafe"))
    inside, outside = votes > 0, votes < 0
    if not (marks < 0).any():
        outside = _far(small, inside)
    share = finding.likeness(small, inside, outside)
    share[outside], share[inside] = 0, 1
    plane = finding.at_full_size(share, rgb)
    plane[marks > 0], plane[marks < 0] = 1, 0
    return plane


def _far(rgb: Rgb, inside: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    from skimage.filters import threshold_otsu

    distance = (-finding.log_kernel(finding.features_of(rgb), inside).max(axis=1)).reshape(inside.shape) ** 0.25
    return distance > threshold_otsu(distance) if np.ptp(distance) else np.zeros_like(inside)


def hints_of(marks: images.Picture, rgb: Rgb) -> Int8[np.ndarray, "h w"]:
    """Read marks from a picture of them: drawn on the photo, or on a transparent or plain ground of its shape.

    Green is inside and red is outside: where either is above the other two by half the range, and not the photo's own.

    Raises:
        ImageError: the picture has another shape than the photo.

    Example:
        >>> photo = np.full((4, 4, 3), 0.5, np.float32)
        >>> drawn = photo.copy()
        >>> drawn[0, 0], drawn[3, 3] = (0, 1, 0), (1, 0, 0)
        >>> hints_of(images.load(drawn), photo).diagonal().tolist()
        [1, 0, 0, -1]
    """
    height, width = rgb.shape[:2]
    if abs(marks.width / marks.height * height / width - 1) > 0.02:
        raise ImageError(
            f"{marks.source}: is {marks.width} x {marks.height}, the photo {width} x {height}; draw marks on the photo"
        )
    sized = images.resize_to(marks, height=height, width=width)
    red, green, blue = np.moveaxis(sized.rgb, -1, 0)
    drawn = np.abs(sized.rgb - rgb).max(axis=-1) > 0.2
    if sized.alpha is not None:
        drawn &= sized.alpha > 0.5
    inside, outside = green - np.maximum(red, blue) > 0.5, red - np.maximum(green, blue) > 0.5
    return (drawn * (1 * inside - outside)).astype(np.int8)


# ------------------------------------------------------------------------------------------------ pictures of masks

HUES = {"red": 29, "orange": 60, "yellow": 108, "green": 142, "cyan": 195, "blue": 264, "purple": 300, "magenta": 328}
"""Hues in Oklab, in degrees."""

MOST_COLORS = 16
"""Colours of a map; a picture of more is no map."""

SAME_COLOR = 0.12
"""Distance in Oklab up to which two colours are one: JPEG and shading change a flat colour by less."""

_COLOR = re.compile(r"(.+?)#([^\W\d_][^./\\]*)", re.DOTALL)
"""Any word may be meant as a colour; that the map does not have it is told where it is read."""


def split_color(name: str) -> tuple[str, str]:
    """Split `map.png#blue`, one colour of a map, into file and colour; the colour is "" for other names.

    Example:
        >>> split_color("map.png#blue"), split_color("mask.png")
        (('map.png', 'blue'), ('mask.png', ''))
    """
    found = _COLOR.fullmatch(name)
    return (found[1], found[2]) if found else (name, "")


def of_picture(picture: images.Picture) -> list[tuple[str, Plane]]:
    """List the masks in a picture with their names, the largest first.

    A grey picture is one mask, `white`. A map of a few flat colours is one for each, named by colour; a second blue is
    `blue-2`. Anything else with transparency is one, `visible`: what can be seen of it. Colours may be a little uneven,
    as in a JPEG, and edges smooth: pixels there belong to the nearest even area.

    Raises:
        ImageError: it is none of these.

    Example:
        >>> halves = np.zeros((64, 64, 3), np.float32)
        >>> halves[:, :40, 2], halves[:, 40:, 0] = 1, 1
        >>> [(name, round(float(mask.mean()), 2)) for name, mask in of_picture(images.load(halves))]
        [('blue', 0.62), ('red', 0.38)]
    """
    seen = np.ones((picture.height, picture.width), bool) if picture.alpha is None else picture.alpha > 0.5
    if not seen.any() or np.quantile(np.ptp(picture.rgb, axis=-1)[seen], 0.99) < 0.06:
        return [("white", mask_of(picture))]
    parts = _flat_parts(picture.rgb, seen)
    if parts is not None:
        return parts
    if picture.alpha is not None:
        return [("visible", picture.alpha)]
    raise ImageError(
        f"{picture.source}: is no mask: it has more than {MOST_COLORS} colors, or they are not flat; give a mask in "
        "white on black, a map of a few plain colors, or a picture with transparency"
    )


def of_color(picture: images.Picture, color: str) -> Plane:
    """Return one mask of `of_picture` by name.

    Raises:
        ImageError: there is none of this name, or as `of_picture`.

    Example:
        >>> halves = np.zeros((64, 64, 3), np.float32)
        >>> halves[:, :40, 2], halves[:, 40:, 0] = 1, 1
        >>> float(of_color(images.load(halves), "red").mean())
        0.375
    """
    parts = dict(of_picture(picture))
    if color not in parts:
        raise ImageError(f"{picture.source}: has no {color} in it; its colors are {', '.join(parts)}")
    return parts[color]


def _flat_parts(rgb: Rgb, seen: Bool[np.ndarray, "h w"]) -> list[tuple[str, Plane]] | None:
    """Share a picture out among its flat colours; None if it has too many, or is not flat enough."""
    from scipy.ndimage import distance_transform_edt, maximum_filter, minimum_filter

    around = {"size": (3, 3, 1), "mode": "nearest"}
    even = seen & ((maximum_filter(rgb, **around) - minimum_filter(rgb, **around)).max(axis=-1) < 0.1)
    lab = rgb_to_oklab(rgb[even])
    centers = _centers(lab)
    if even.sum() < 0.6 * seen.sum() or not 0 < len(centers) <= MOST_COLORS:
        return None
    distances = np.stack([np.linalg.norm(lab - center, axis=-1) for center in centers], axis=-1)
    if np.quantile(distances.min(axis=1), 0.9) > SAME_COLOR / 3:
        return None
    labels = np.zeros(seen.shape, int)
    labels[even] = distances.argmin(axis=1)
    nearest = np.asarray(distance_transform_edt(~even, return_distances=False, return_indices=True))
    labels = labels[tuple(nearest)]
    planes = [((labels == number) & seen).astype(np.float32) for number in range(len(centers))]
    order = np.argsort([-plane.sum() for plane in planes], kind="stable")
    names: list[str] = []
    for number in order:
        name = _color_name(centers[number])
        before = sum(one.partition("-")[0] == name for one in names)
        names.append(f"{name}-{before + 1}" if before else name)
    return [(name, planes[number]) for name, number in zip(names, order, strict=True)]


def _centers(lab: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "k 3"]:
    """Find the colours that even pixels have, the most frequent first; those of less than a thousandth are left out."""
    cells = ((lab + 1) * 16).round().astype(int) @ (1, 64, 64 * 64)
    _, where, counts = np.unique(cells, return_inverse=True, return_counts=True)
    means = np.stack([np.bincount(where, lab[:, axis]) / counts for axis in range(3)], axis=-1)
    chosen: list[np.ndarray] = []
    for number in np.argsort(-counts, kind="stable"):
        far = all(np.linalg.norm(means[number] - center) > SAME_COLOR for center in chosen)
        if counts[number] >= len(lab) / 1000 and far:
            chosen.append(means[number])
    return np.array(chosen).reshape(-1, 3)


def _color_name(lab: Float[np.ndarray, "3"]) -> str:
    lightness, a, b = lab
    if math.hypot(a, b) < 0.04:
        return "black" if lightness < 0.3 else "white" if lightness > 0.85 else "grey"
    hue = math.degrees(math.atan2(b, a))
    return min(HUES, key=lambda name: abs((hue - HUES[name] + 180) % 360 - 180))
