"""The judge: the original VGG-19, run straight from its own numbers, and what is told from the pixels.

Nothing here goes through the package's encoder, so a fault there cannot judge itself. Preprocessing and borders are
the original's: BGR in 0..255 minus the mean, zero padding, ReLU, 2x2 max pooling (an odd last row or column is
left out).
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from wctstyle import feature_metrics, pixel_metrics
from wctstyle.errors import ConfigError, ImageError, WeightsError
from wctstyle.faces import face_map
from wctstyle.losses import content_error
from wctstyle.measuring import content_hash
from wctstyle.moments import Moments, measure

Rgb = Float[np.ndarray, "h w 3"]

ENVIRONMENT = "WCTSTYLE_VGG19"
DEFAULT_FILE = Path("../shared/weights/vgg19_conv.npz")

MEAN_BGR = (103.939, 116.779, 123.68)
"""Mean of ImageNet that the original VGG-19 takes off (Simonyan & Zisserman 2015, its Caffe files)."""

LAYERS = tuple(f"conv{s}_{i}" for s, n in enumerate((2, 2, 4, 4, 1), start=1) for i in range(1, n + 1))
"""conv1_1..conv5_1: configuration E of Simonyan & Zisserman 2015, table 1, as far as relu5_1."""

STYLE_LAYERS = tuple(f"conv{level}_1" for level in range(1, 6))
CONTENT_LAYER = "conv4_2"

LEAST_SIDE = 16
"""Below this nothing is left at relu5_1."""

SLICED_LEVELS = 4
"""Levels whose whole distributions are compared, relu1_1 first; relu5_1 has few positions and is never matched."""

SHIFT = 4
"""Pixels by which the photo is moved for the warping error: half a cell of relu4_1, where it is felt most."""

REMEMBERED_CONTENTS, REMEMBERED_STYLES = 2, 128
"""Pictures of which is kept what was seen: one of 512 x 512 takes 140 MiB as content, 4 MiB as style. All results of a
photo follow each other."""


class Seen(NamedTuple):
    """What the network gives for one picture: moments of relu1_1..relu5_1, these features, and relu4_2."""

    moments: tuple[Moments, ...]
    levels: tuple[Float[Array, "1 _ _ _"], ...]
    content: Float[Array, "1 h w c"]


class Places(NamedTuple):
    """Where a picture is plain, and where it is plain or a face."""

    plain: Bool[np.ndarray, "h w"]
    calm: Bool[np.ndarray, "h w"]


class Photo(NamedTuple):
    """What is kept of a content picture."""

    seen: Seen
    places: Places


class Painting(NamedTuple):
    """What is kept of a style picture."""

    moments: tuple[Moments, ...]
    slices: list[Float[np.ndarray, "slices quantiles"]]
    places: Places


FIGURES = (
    "style", "w2", "sliced", "content", "ssim", "texture", "structure", "fog", "grain", "color", "contrast"
)  # fmt: skip
"""The figures that every picture has, each one number; `Judge.figures` tells what they are."""


def vgg19_file(given: str | Path | None = None) -> Path:
    """Choose the judge's file: the one given, else `WCTSTYLE_VGG19`, else the default place.

    Raises:
        WeightsError: there is no such file.
    """
    path = Path(given or os.environ.get(ENVIRONMENT) or DEFAULT_FILE).expanduser()
    if not path.is_file():
        raise WeightsError(
            f"{path}: there is no such file. The judge is the original VGG-19 as an .npz with convX_Y/kernel (3 x 3 x "
            f"in x out) and convX_Y/bias for conv1_1 to conv5_1; name it with --vgg FILE or {ENVIRONMENT}"
        )
    return path


def load_vgg19(path: str | Path) -> dict[str, np.ndarray]:
    """Read the convolutions from an .npz; pickled arrays in it are refused.

    Raises:
        WeightsError: the file is missing or cannot be read.
    """
    path = vgg19_file(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError) as error:
        raise WeightsError(f"{path}: is no .npz file of plain arrays: {error}") from error


def _layers(tensors: Mapping[str, np.ndarray], source: str) -> dict[str, tuple[Array, Array]]:
    """Check names, shapes and values, and take the layers that are needed."""
    problems: list[str] = []
    layers: dict[str, tuple[Array, Array]] = {}
    c_in = 3
    for name in LAYERS:
        kernel, bias = (np.asarray(tensors.get(f"{name}/{part}", np.nan)) for part in ("kernel", "bias"))
        c_out = kernel.shape[-1] if kernel.ndim else 0
        if kernel.shape != (3, 3, c_in, c_out) or bias.shape != (c_out,):
            problems.append(
                f"{source}: {name} has kernel {kernel.shape} and bias {bias.shape}, wanted (3, 3, {c_in}, c) and (c,)"
            )
        elif not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
            problems.append(f"{source}: {name} has values that are not finite")
        layers[name] = (jnp.asarray(kernel, jnp.float32), jnp.asarray(bias, jnp.float32))
        c_in = c_out
    if problems:
        raise WeightsError(problems)
    return layers


def _max_pool(x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 c"]:
    n, h, w, c = x.shape
    cells = x[:, : h // 2 * 2, : w // 2 * 2].reshape(n, h // 2, 2, w // 2, 2, c)
    return cells.max(axis=(2, 4))


def activations(
    layers: Mapping[str, tuple[Array, Array]], rgb: Float[Array, "n h w 3"]
) -> dict[str, Float[Array, "n _ _ _"]]:
    """Return every ReLU output up to relu5_1 by the name of its convolution, from RGB in [0, 1]."""
    x = rgb[..., ::-1] * 255 - jnp.array(MEAN_BGR, jnp.float32)
    out, stage = {}, "1"
    for name in LAYERS:
        kernel, bias = layers[name]
        if name[4] != stage:
            x, stage = _max_pool(x), name[4]
        x = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = out[name] = jax.nn.relu(x + bias)
    return out


def _see(layers: Mapping[str, tuple[Array, Array]], rgb: Float[Array, "n h w 3"]) -> Seen:
    acts = activations(layers, rgb)
    levels = tuple(acts[name] for name in STYLE_LAYERS)
    return Seen(tuple(measure(level) for level in levels), levels, acts[CONTENT_LAYER])


def _slices(seen: Seen) -> list[Float[np.ndarray, "slices quantiles"]]:
    return feature_metrics.slices([np.asarray(level)[0] for level in seen.levels[:SLICED_LEVELS]])


def _places(rgb: Rgb) -> Places:
    plain, faces = pixel_metrics.plain_places(rgb), face_map(rgb)
    return Places(plain, plain if faces is None else plain | (faces > 0.5))


_K = TypeVar("_K")
_V = TypeVar("_V")


def _remember(cache: OrderedDict[_K, _V], most: int, key: _K, make: Callable[[], _V]) -> _V:
    if key not in cache:
        cache[key] = make()
        if len(cache) > most:
            cache.popitem(last=False)
    cache.move_to_end(key)
    return cache[key]


class Judge:
    """Judges stylised pictures by the original VGG-19. What it saw of contents and styles is kept.

    `source` is an .npz file, or its arrays by name (narrower layers are fine as long as they fit together).

    Raises:
        WeightsError: the file is missing or not what it should be; all problems together.
    """

    def __init__(self, source: str | Path | Mapping[str, np.ndarray]) -> None:
        tensors = source if isinstance(source, Mapping) else load_vgg19(source)
        self._layers = _layers(tensors, "<arrays>" if isinstance(source, Mapping) else str(source))
        self._see = jax.jit(_see)
        self._gram_errors = jax.jit(
            lambda seen, wanted: feature_metrics.gram_errors(
                *([m.gram()[None] for m in part] for part in (seen, wanted))
            )
        )
        self._structure = jax.jit(feature_metrics.structure_error)
        self._contents: OrderedDict[str, Photo] = OrderedDict()
        self._styles: OrderedDict[str, Painting] = OrderedDict()

    def see(self, rgb: Rgb) -> Seen:
        """Run the network on one picture, sRGB in [0, 1].

        Raises:
            ImageError: not an RGB picture of at least 16 pixels each way.
        """
        if rgb.ndim != 3 or rgb.shape[2] != 3 or min(rgb.shape[:2]) < LEAST_SIDE:
            raise ImageError(
                f"got a picture of shape {rgb.shape}, wanted height x width x 3, at least {LEAST_SIDE} pixels each way"
            )
        return self._see(self._layers, jnp.asarray(rgb, jnp.float32)[None])

    def content(self, rgb: Rgb) -> Photo:
        """Return what is seen of a content picture, once computed."""
        return _remember(
            self._contents, REMEMBERED_CONTENTS, content_hash(rgb), lambda: Photo(self.see(rgb), _places(rgb))
        )

    def style(self, rgb: Rgb) -> Painting:
        """Return what is seen of a style picture, once computed."""

        def make() -> Painting:
            seen = self.see(rgb)
            return Painting(seen.moments, _slices(seen), _places(rgb))

        return _remember(self._styles, REMEMBERED_STYLES, content_hash(rgb), make)

    def figures(
        self, result_rgb: Rgb, content_rgb: Rgb, style_rgb: Rgb, *, moved_rgb: Rgb | None = None
    ) -> dict[str, Any]:
        """Compare a result with the content and the style it was made from, all sRGB in [0, 1].

        Args:
            result_rgb: the stylised picture.
            content_rgb: the photo, of the same size.
            style_rgb: the painting, of any size.
            moved_rgb: the result for the photo moved by `SHIFT` pixels (`pixel_metrics.shifted`), if it was made.

        Returns:
            style: mean over relu1_1..relu5_1 of the relative Gram error to the style (0 same);
            style_by_level: the five of them; w2: mean over the same levels of `feature_metrics.wasserstein_errors` (0
            same); sliced: mean over relu1_1..relu4_1 of `feature_metrics.sliced_errors` to the style (0 same);
            content: squared error of relu4_2, each channel standardised over positions, relative to the content's (0
            same, 2 unrelated); ssim: luma SSIM to the content; texture, structure: the terms of a DISTS without its
            weights, to the style and to the content (0 same); fog, grain: of the content's plain places (and faces)
            against the style's (0 same); color, contrast: against the style's, in stops (0 same); warp:
            `pixel_metrics.warping_error`, None without `moved_rgb`.

        Raises:
            ImageError: result and content differ in size, or a picture is too small.
            ConfigError: a figure is not finite.
        """
        if result_rgb.shape != content_rgb.shape:
            raise ImageError(
                f"the result has shape {result_rgb.shape}, its content {content_rgb.shape}, wanted the same; "
                "resize the result first"
            )
        content, style = self.content(content_rgb), self.style(style_rgb)
        unchanged = np.array_equal(result_rgb, content_rgb)
        result = content.seen if unchanged else self.see(result_rgb)
        levels = np.asarray(self._gram_errors(result.moments, style.moments), np.float64)[0]
        places = content.places
        figures = {
            "style": float(levels.mean()),
            "style_by_level": [float(v) for v in levels],
            "w2": float(feature_metrics.wasserstein_errors(result.moments, style.moments).mean()),
            "sliced": float(feature_metrics.sliced_errors(_slices(result), style.slices).mean()),
            "content": float(content_error(result.content, content.seen.content)[0]),
            "ssim": pixel_metrics.ssim(result_rgb, content_rgb),
            "texture": feature_metrics.texture_error(result.moments, style.moments),
            "structure": float(self._structure(result.levels, content.seen.levels)[0]),
            "fog": pixel_metrics.fog(result_rgb, style_rgb, places.plain, style.places.plain),
            "grain": pixel_metrics.grain(result_rgb, style_rgb, places.calm, style.places.calm),
            "color": pixel_metrics.colorfulness_change(result_rgb, [style_rgb]),
            "contrast": pixel_metrics.contrast_change(result_rgb, [style_rgb]),
            "warp": None if moved_rgb is None else pixel_metrics.warping_error(result_rgb, moved_rgb, SHIFT),
        }
        if not np.isfinite([figures[name] for name in FIGURES]).all():
            raise ConfigError(f"the judge's figures are not finite ({figures}): the result or the style is degenerate")
        return figures
