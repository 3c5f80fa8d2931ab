"""What a photo shows: its sky, people, plain, light and dark areas, and what is like marked pixels."""

from __future__ import annotations

import functools
import importlib.util
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from wctstyle import images
from wctstyle.color import rgb_to_oklab
from wctstyle.guided import guided

Rgb = Float[np.ndarray, "h w 3"]
Plane = Float[np.ndarray, "h w"]

SIDE = 256
"""Long side at which masks are found, in pixels. A guided filter brings them to the photo's size."""

RADIUS = 6
"""Of the windows of that filter, in pixels at `SIDE`."""

FLATNESS = 0.0005
"""Colour variance in a window above which a mask follows the photo's edges."""

LEAST_SHARE = 0.02
"""A mask that covers less than this share of the photo counts as not found."""

NEAR_COLOR, NEAR_PLACE = 0.03, 0.15
"""Standard deviations within which pixels are alike: of Oklab, and of the place by the long side. docs/notes/regions.md
has the figures."""

SAMPLED = 100
"""Marked pixels of each kind with which every pixel is compared."""


def shrunk(rgb: Rgb) -> Rgb:
    """Bring a photo to the size at which masks are found."""
    return images.resize(images.Picture(rgb), long_side=SIDE).rgb


def at_full_size(plane: Plane, rgb: Rgb) -> Plane:
    """Bring a mask that was found at `SIDE` to the photo's size, with edges where the photo has them."""
    fitted = guided(plane, rgb, fitted_at=(plane.shape[0], plane.shape[1]), radius=RADIUS, flatness=FLATNESS)
    return np.clip(2 * fitted - 0.5, 0, 1).astype(np.float32)  # the filter leaves a haze around edges


def person(rgb: Rgb) -> Plane | None:
    """Find people with MediaPipe's selfie segmentation: 256 x 256 pixels whatever the photo's shape."""
    network: Any = person_network()
    pixels = images.resize_planes(rgb, height=256, width=256)
    with _lock:
        network.setInput(np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32))
        plane = network.forward().reshape(256, 256, 1)
    if (plane > 0.5).mean() < LEAST_SHARE:
        return None
    small = shrunk(rgb)
    return at_full_size(images.resize_planes(plane, height=small.shape[0], width=small.shape[1])[..., 0], rgb)


_lock = threading.Lock()


@functools.cache
def person_network() -> Any | None:
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


def sky(rgb: Rgb) -> Plane | None:
    """Flood from the top edge over smooth pixels that are bright without being warm, or blue.

    What is like the flooded pixels and hangs together with them counts too: clouds, and sky between branches.
    """
    from scipy.ndimage import binary_dilation, binary_fill_holes, gaussian_filter

    small = shrunk(rgb)
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
    share = np.where(flooded, 1, likeness(small, flooded, outside))
    near = binary_dilation(_reached((share > 0.5) | flooded, flooded), iterations=2)
    return at_full_size(np.where(near, share, 0).astype(np.float32), rgb)


def _reached(passable: Bool[np.ndarray, "h w"], start: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Return the passable pixels that hang together with one in `start`."""
    from skimage.measure import label

    parts: Any = label(passable, connectivity=1)
    return passable & np.isin(parts, parts[start & passable])


WINDOW = 7
"""Of the deviation of lightness that makes an area plain, in pixels at `SIDE`."""

PLAIN = 0.02
"""Its deviation at which plainness falls to a half."""


def plain(rgb: Rgb) -> Plane | None:
    """Find areas where lightness hardly varies."""
    from scipy.ndimage import maximum_filter, uniform_filter

    small = shrunk(rgb)
    lightness = rgb_to_oklab(small)[..., 0].astype(np.float64)
    mean = uniform_filter(lightness, WINDOW, mode="nearest")
    variance = np.maximum(uniform_filter(lightness**2, WINDOW, mode="nearest") - mean**2, 0)
    share = np.exp(-math.log(2) * variance / PLAIN**2)
    share = maximum_filter(share, WINDOW)  # an edge is seen half a window away, and is not itself plain
    return None if (share > 0.5).mean() < LEAST_SHARE else at_full_size(share.astype(np.float32), rgb)


LIGHTNESS_STEP = 0.1
"""Lightness in Oklab over which dark becomes light; a photo with less contrast has neither."""


def light(rgb: Rgb) -> Plane | None:
    """Split by lightness where that separates two groups best (Otsu 1979)."""
    from skimage.filters import threshold_otsu

    lightness = rgb_to_oklab(shrunk(rgb))[..., 0]
    if np.ptp(lightness) < LIGHTNESS_STEP:
        return None
    below = lightness <= threshold_otsu(lightness)
    # The threshold itself may be a tone of the picture.
    between = (lightness[below].max() + lightness[~below].min()) / 2
    share = np.clip((lightness - between) / LIGHTNESS_STEP + 0.5, 0, 1)
    return at_full_size(share.astype(np.float32), rgb)


def dark(rgb: Rgb) -> Plane | None:
    """Return what is not light."""
    rest = light(rgb)
    return None if rest is None else 1 - rest


def features_of(rgb: Rgb) -> Float[np.ndarray, "n 5"]:
    """List colour and place of every pixel, in units of the distance within which they are alike."""
    height, width = rgb.shape[:2]
    place = np.moveaxis(np.indices((height, width)), 0, -1) / max(height, width)
    features = np.concatenate([rgb_to_oklab(rgb) / NEAR_COLOR, place / NEAR_PLACE], axis=-1)
    return features.reshape(-1, 5).astype(np.float32)


def log_kernel(features: Float[np.ndarray, "n 5"], marked: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "n m"]:
    """Return minus half the squared distances of all pixels from a sample of the marked ones, spread evenly."""
    places = np.flatnonzero(marked)
    chosen = features[places[np.linspace(0, len(places) - 1, min(SAMPLED, len(places))).astype(int)]]
    kernel = features @ chosen.T
    kernel -= (features**2).sum(axis=1)[:, None] / 2
    kernel -= (chosen**2).sum(axis=1) / 2
    return np.minimum(kernel, 0, out=kernel)


def likeness(rgb: Rgb, inside: Bool[np.ndarray, "h w"], outside: Bool[np.ndarray, "h w"]) -> Plane:
    """Return how much more each pixel is like those inside, by kernel densities: 1 like them, 0 like those outside."""
    features = features_of(rgb)

    def density(marked: Bool[np.ndarray, "h w"]) -> Any:
        if not marked.any():
            return 0.0
        kernel = log_kernel(features, marked)
        return np.exp(kernel, out=kernel).mean(axis=1)

    near, far, least = density(inside), density(outside), 1e-6  # like neither: a half
    return ((near + least) / (near + far + 2 * least)).reshape(inside.shape).astype(np.float32)
