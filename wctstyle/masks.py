"""Masks: found in a photo by what it shows, grown from a few marks, or read from a picture of one or several."""

from __future__ import annotations

import functools
import importlib.util
import math
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int8

from wctstyle import images
from wctstyle.color import rgb_to_oklab
from wctstyle.cutout import Cutout, cut_out, pixels_of
from wctstyle.errors import ConfigError, ImageError
from wctstyle.faces import face_map
from wctstyle.guided import guided
from wctstyle.regions import FACE, mask_of

Rgb = Float[np.ndarray, "h w 3"]
Plane = Float[np.ndarray, "h w"]

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

SIDE = 256
"""Long side at which masks are found, in pixels. A guided filter brings them to the photo's size."""

RADIUS = 6
"""Of the windows of that filter, in pixels at `SIDE`."""

FLATNESS = 0.0005
"""Colour variance in a window above which a mask follows the photo's edges."""

LEAST_SHARE = 0.02
"""A mask that covers less than this share of the photo counts as not found."""

# ------------------------------------------------------------------------------------------------------ ready masks


def offered() -> tuple[str, ...]:
    """Name the kinds of `READY` that can be found here: people need weights that do not come along."""
    return tuple(kind for kind in READY if kind != PERSON or _person_network() is not None)


def checked_kind(kind: str) -> str:
    """Return a kind of `READY` that can be found here.

    Raises:
        ConfigError: there is no such kind, or what it needs is not installed.
    """
    if kind not in READY:
        raise ConfigError(f"{kind}: there is no such ready mask; there are {', '.join(offered())}")
    if kind == PERSON and _person_network() is None:
        raise ConfigError(f"{kind}: needs a network that is not installed; docs/regions.md says how to get it")
    return kind


def ready(kind: str, picture: Rgb | images.Picture) -> Plane:
    """Find a mask in a photo: 1 where the photo shows what `READY` says of this kind, with soft edges.

    Of a `Picture` with transparency only what is visible is looked at.

    Raises:
        ConfigError: as `checked_kind`.
        ImageError: the photo shows nothing of the kind.
    """
    plane = found(kind, picture)
    if plane is None:
        name = picture.source if isinstance(picture, images.Picture) else "photo"
        raise ImageError(f"{name}: {_MISSING[kind]}; give another mask")
    return plane


def found(kind: str, picture: Rgb | images.Picture) -> Plane | None:
    """Do as `ready`, but return None where the photo shows nothing of the kind."""
    find = _FINDERS[checked_kind(kind)]
    cutout = cut_out(picture)
    if cutout is None:
        return find(images.checked_rgb(pixels_of(picture), "photo"))
    inside = find(cutout.rgb)
    return None if inside is None else _pasted(inside, cutout)


def _pasted(plane: Plane, cutout: Cutout) -> Plane:
    whole = np.zeros(cutout.canvas, np.float32)
    whole[cutout.box] = plane
    return whole


def _small(rgb: Rgb) -> Rgb:
    return images.resize(images.Picture(rgb), long_side=SIDE).rgb


def _at_full_size(plane: Plane, rgb: Rgb) -> Plane:
    """Bring a mask that was found at `SIDE` to the photo's size, with edges where the photo has them."""
    fitted = guided(plane, rgb, fitted_at=(plane.shape[0], plane.shape[1]), radius=RADIUS, flatness=FLATNESS)
    return np.clip(2 * fitted - 0.5, 0, 1).astype(np.float32)  # the filter leaves a haze around edges


def _person(rgb: Rgb) -> Plane | None:
    """Find people with MediaPipe's selfie segmentation: 256 x 256 pixels whatever the photo's shape."""
    network: Any = _person_network()
    pixels = images.resize_planes(rgb, height=256, width=256)
    with _lock:
        network.setInput(np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32))
        plane = network.forward().reshape(256, 256, 1)
    if (plane > 0.5).mean() < LEAST_SHARE:
        return None
    small = _small(rgb)
    return _at_full_size(images.resize_planes(plane, height=small.shape[0], width=small.shape[1])[..., 0], rgb)


_lock = threading.Lock()


@functools.cache
def _person_network() -> Any | None:
    """Load the network with OpenCV from where MediaPipe's package has it; None if either is not installed.

    The package is not imported. Its releases from 1.0 on have no weights in them.
    """
    package = importlib.util.find_spec("mediapipe")
    places = package.submodule_search_locations if package else None
    name = Path("modules", "selfie_segmentation", "selfie_segmentation.tflite")
    weights = [Path(place, name) for place in places or () if Path(place, name).is_file()]
    if not weights:
        return None
    try:
        from cv2 import dnn  # pyright: ignore[reportMissingImports]
    except ImportError:  # no OpenCV, or a system library is missing
        return None
    return dnn.readNetFromTFLite(str(weights[0]))


SMOOTH = 0.02
"""Gradient of Oklab, by pixel at `SIDE`, up to which the sky goes on; clouds are filled in later."""

TOP = 3
"""Rows of the top edge from which the sky starts, and of which it covers at least a tenth."""


def _sky(rgb: Rgb) -> Plane | None:
    """Flood from the top edge over smooth pixels that are bright without being warm, or blue.

    What is like the flooded pixels and hangs together with them counts too: clouds, and sky between branches.
    """
    from scipy.ndimage import binary_dilation, binary_fill_holes, gaussian_filter

    small = _small(rgb)
    lab = gaussian_filter(rgb_to_oklab(small), (1, 1, 0))
    down, across = (np.diff(lab, axis=axis, append=lab.take([-1], axis)) for axis in (0, 1))
    steps = np.sqrt((down**2 + across**2).sum(axis=-1))
    lightness, a, b = np.moveaxis(lab, -1, 0)
    warm = np.maximum(b, 0) + np.maximum(np.abs(a) - 0.02, 0)
    passable = (steps < SMOOTH) & (((lightness > 0.55) & (warm < 0.06)) | ((b < -0.02) & (lightness > 0.2)))
    flooded = _reached(passable, np.arange(len(small))[:, None] < TOP)
    if flooded.mean() < LEAST_SHARE or flooded[:TOP].any(axis=0).mean() < 0.1:
        return None
    outside = np.logical_not(binary_dilation(binary_fill_holes(flooded), iterations=4))
    share = np.where(flooded, 1, _likeness(small, flooded, outside))
    near = binary_dilation(_reached((share > 0.5) | flooded, flooded), iterations=2)
    return _at_full_size(np.where(near, share, 0).astype(np.float32), rgb)


def _reached(passable: Bool[np.ndarray, "h w"], start: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Return the passable pixels that hang together with one in `start`."""
    from skimage.measure import label

    parts: Any = label(passable, connectivity=1)
    return passable & np.isin(parts, parts[start & passable])


WINDOW = 7
"""Of the deviation of lightness that makes an area plain, in pixels at `SIDE`."""

PLAIN = 0.02
"""Its deviation at which plainness falls to a half."""


def _plain(rgb: Rgb) -> Plane | None:
    from scipy.ndimage import maximum_filter, uniform_filter

    small = _small(rgb)
    lightness = rgb_to_oklab(small)[..., 0].astype(np.float64)
    mean = uniform_filter(lightness, WINDOW, mode="nearest")
    variance = np.maximum(uniform_filter(lightness**2, WINDOW, mode="nearest") - mean**2, 0)
    share = np.exp(-math.log(2) * variance / PLAIN**2)
    share = maximum_filter(share, WINDOW)  # an edge is seen half a window away, and is not itself plain
    return None if (share > 0.5).mean() < LEAST_SHARE else _at_full_size(share.astype(np.float32), rgb)


LIGHTNESS_STEP = 0.1
"""Lightness in Oklab over which dark becomes light; a photo with less contrast has neither."""


def _light(rgb: Rgb) -> Plane | None:
    """Split by lightness where that separates two groups best (Otsu 1979)."""
    from skimage.filters import threshold_otsu

    lightness = rgb_to_oklab(_small(rgb))[..., 0]
    if np.ptp(lightness) < LIGHTNESS_STEP:
        return None
    share = np.clip((lightness - threshold_otsu(lightness)) / LIGHTNESS_STEP + 0.5, 0, 1)
    return _at_full_size(share.astype(np.float32), rgb)


def _dark(rgb: Rgb) -> Plane | None:
    light = _light(rgb)
    return None if light is None else 1 - light


_FINDERS: Mapping[str, Callable[[Rgb], Plane | None]] = {
    FACE: face_map, PERSON: _person, "sky": _sky, "plain": _plain, "light": _light, "dark": _dark,
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

NEAR_COLOR, NEAR_PLACE = 0.03, 0.15
"""Standard deviations within which pixels are alike: of Oklab, and of the place by the long side. docs/notes/regions.md
has the figures."""

SAMPLED = 100
"""Marked pixels of each kind with which every pixel is compared."""


def from_scribble(rgb: Rgb, hints: Int8[np.ndarray, "h w"]) -> Plane:
    """Grow a mask from a few marks. hints: 1 is inside, -1 is outside, 0 is unknown.

    A pixel is inside as far as it is more like the marks inside than like those outside, in colour and in place. Marks
    stay what they are. Without marks outside, what is least like the marks inside counts as outside (the far group of
    Otsu's threshold).

    Raises:
        ImageError: the marks have another size than the photo, or none is inside.
    """
    rgb, marks = images.checked_rgb(rgb, "photo"), np.asarray(hints)
    if marks.shape != rgb.shape[:2]:
        raise ImageError(f"marks: have shape {marks.shape}, the photo {rgb.shape[:2]}; draw them on the photo")
    if not (marks > 0).any():
        raise ImageError("marks: nothing is marked as inside; draw a line over what the mask is to hold")
    small = _small(rgb)
    votes = np.zeros(small.shape[:2])
    rows, columns = np.nonzero(marks)
    places = tuple(at * new // old for at, new, old in zip((rows, columns), votes.shape, marks.shape, strict=True))
    np.add.at(votes, places, np.sign(marks[rows, columns], dtype=np.float64, casting="unsafe"))
    inside, outside = votes > 0, votes < 0
    if not (marks < 0).any():
        outside = _far(small, inside)
    share = _likeness(small, inside, outside)
    share[outside], share[inside] = 0, 1
    plane = _at_full_size(share, rgb)
    plane[marks > 0], plane[marks < 0] = 1, 0
    return plane


def _features(rgb: Rgb) -> Float[np.ndarray, "n 5"]:
    height, width = rgb.shape[:2]
    place = np.moveaxis(np.indices((height, width)), 0, -1) / max(height, width)
    features = np.concatenate([rgb_to_oklab(rgb) / NEAR_COLOR, place / NEAR_PLACE], axis=-1)
    return features.reshape(-1, 5).astype(np.float32)


def _log_kernel(features: Float[np.ndarray, "n 5"], marked: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "n m"]:
    """Return minus half the squared distances of all pixels from a sample of the marked ones, spread evenly."""
    places = np.flatnonzero(marked)
    chosen = features[places[np.linspace(0, len(places) - 1, min(SAMPLED, len(places))).astype(int)]]
    kernel = features @ chosen.T
    kernel -= (features**2).sum(axis=1)[:, None] / 2
    kernel -= (chosen**2).sum(axis=1) / 2
    return np.minimum(kernel, 0, out=kernel)


def _likeness(rgb: Rgb, inside: Bool[np.ndarray, "h w"], outside: Bool[np.ndarray, "h w"]) -> Plane:
    """Return how much more each pixel is like those inside, by kernel densities: 1 like them, 0 like those outside."""
    features = _features(rgb)

    def density(marked: Bool[np.ndarray, "h w"]) -> Any:
        if not marked.any():
            return 0.0
        kernel = _log_kernel(features, marked)
        return np.exp(kernel, out=kernel).mean(axis=1)

    near, far, least = density(inside), density(outside), 1e-6  # like neither: a half
    return ((near + least) / (near + far + 2 * least)).reshape(inside.shape).astype(np.float32)


def _far(rgb: Rgb, inside: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    from skimage.filters import threshold_otsu

    distance = (-_log_kernel(_features(rgb), inside).max(axis=1)).reshape(inside.shape) ** 0.25
    return distance > threshold_otsu(distance) if np.ptp(distance) else np.zeros_like(inside)


def hints_of(marks: images.Picture, rgb: Rgb) -> Int8[np.ndarray, "h w"]:
    """Read marks from a picture of them: drawn on the photo, or on a transparent or plain ground of its shape.

    Green is inside and red is outside: where either is above the other two by half the range, and not the photo's own.

    Raises:
        ImageError: the picture has another shape than the photo.
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

_COLOR = re.compile(r"(.+)#([a-z]+(?:-[0-9]+)?)", re.DOTALL)


def split_color(name: str) -> tuple[str, str]:
    """Split `map.png#blue`, one colour of a map, into file and colour; the colour is "" for other names."""
    found = _COLOR.fullmatch(name)
    return (found[1], found[2]) if found else (name, "")


def of_picture(picture: images.Picture) -> list[tuple[str, Plane]]:
    """List the masks in a picture with their names, the largest first.

    A grey picture is one mask, `white`. A map of a few flat colours is one for each, named by colour; a second blue is
    `blue-2`. Anything else with transparency is one, `visible`: what can be seen of it. Colours may be a little uneven,
    as in a JPEG, and edges smooth: pixels there belong to the nearest even area.

    Raises:
        ImageError: it is none of these.
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
        names.append(name)
        if names.count(name) > 1:
            names[-1] = f"{name}-{sum(one.partition('-')[0] == name for one in names)}"
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
