"""A dream: a photo changed in octaves, from a small copy of it to its own size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from wctstyle import images
from wctstyle import weights as weight_files
from wctstyle.compilation import enable_compilation_cache
from wctstyle.cutout import Rgb
from wctstyle.dreams.settings import GUIDE_SIDE, LEAST_SIDE, DreamSettings
from wctstyle.optimizer.ascent import Ascent, checked
from wctstyle.optimizer.network import encoder_of
from wctstyle.regions import fitted
from wctstyle.settings import DEFAULT_OPTIMIZER_MODEL
from wctstyle.weights.models import VGG19_ENCODER


def usual_model() -> str:
    """Return the network that dreams unless another is chosen: VGG-19 where it is installed, else `medium`.

    Example:
        >>> usual_model()  # VGG-19 is not installed
        'medium'
    """
    installed = (weight_files.user_dir() / VGG19_ENCODER).is_file()
    return "vgg19" if installed else DEFAULT_OPTIMIZER_MODEL


@dataclass(frozen=True)
class Dreamt:
    """How far a dream is: `step` of `steps` over all octaves, and the size of this octave in pixels.

    Example:
        >>> from wctstyle import samples
        >>> photo = samples.picture("cat").rgb[:32, :32]
        >>> first, last = Dreamer("slim").steps(photo, DreamSettings(layers=("relu1_1",), octaves=1, steps=2))
        >>> (first.step, first.done), (last.step, last.done), last.image.shape, (last.height, last.width)
        ((1, False), (2, True), (32, 32, 3), (32, 32))
    """

    step: int
    steps: int
    height: int
    width: int
    pixels: Any

    @property
    def done(self) -> bool:
        """Whether nothing follows."""
        return self.step == self.steps

    @property
    def image(self) -> Rgb:
        """The picture so far: sRGB in [0, 1], at the size of this octave.

        Raises:
            NonFiniteError: it is not finite.
        """
        return checked(self.pixels)


class Dreamer:
    """Dreams with one model's encoder. Its compiled steps are kept: pictures of the same size share them.

    Raises:
        ConfigError: `model` is not in the table.
        WeightsError: its encoder is missing or damaged.

    Example:
        >>> from wctstyle import samples
        >>> photo = samples.picture("cat").rgb[:32, :32]
        >>> dreamer = Dreamer("slim")
        >>> usual = DreamSettings(layers=("relu1_1",), octaves=1, steps=2)
        >>> dreamer.dream(photo, usual).shape, [dreamt.step for dreamt in dreamer.steps(photo, usual)]
        ((32, 32, 3), [1, 2])
        >>> still = dreamer.dream(photo, DreamSettings(layers=("relu1_1",), octaves=1, steps=2, strength=0.0))
        >>> np.allclose(still, photo, atol=1e-6)
        True
        >>> dreamer.forget()
    """

    def __init__(
        self, model: str = DEFAULT_OPTIMIZER_MODEL, *, tensors: Mapping[str, np.ndarray] | None = None
    ) -> None:
        self.model = model
        encoder = encoder_of(model, tensors)
        enable_compilation_cache()
        self.ascent = Ascent(*encoder)

    def forget(self) -> None:
        """Drop what is compiled; it is made again when it is needed."""
        self.ascent.forget()

    def steps(
        self,
        photo: Rgb,
        settings: DreamSettings = DreamSettings(),  # noqa: B008
        *,
        guide: Rgb | None = None,
        mask: Float[np.ndarray, "h w"] | None = None,
        frame: int = 0,
    ) -> Iterator[Dreamt]:
        """Dream; yields after each step. Arguments and errors as in `dream`; `frame` goes into the seed."""
        rgb = images.checked_rgb(photo, "photo", least_side=LEAST_SIDE)
        sizes = settings.sizes(*rgb.shape[:2])
        plane = None if mask is None else fitted(mask, *rgb.shape[:2])[..., None]
        if guide is not None:
            small = images.resize(images.load(guide), long_side=GUIDE_SIDE).rgb
            guide = images.checked_rgb(small, "guide", least_side=2)
        smallest = images.resize_planes(rgb, height=sizes[0][0], width=sizes[0][1])
        terms = self.ascent.terms(smallest, settings.layers, settings.channels, guide)
        rng = np.random.default_rng([settings.seed, frame])
        detail, step = np.zeros_like(smallest), 0
        for height, width in sizes:
            base = images.resize_planes(rgb, height=height, width=width)
            x: Any = base + images.resample(detail, height=height, width=width, kernel="cubic")
            for _ in range(settings.steps):
                shift = rng.integers(-settings.jitter, settings.jitter + 1, 2)
                x, step = self.ascent.step(x, terms, shift, settings.strength), step + 1
                if step == settings.steps * len(sizes) and plane is not None:
                    x = rgb + plane * (checked(x) - rgb)
                yield Dreamt(step, settings.steps * len(sizes), height, width, x)
            detail = checked(x) - base

    def dream(
        self,
        photo: Rgb,
        settings: DreamSettings = DreamSettings(),  # noqa: B008
        *,
        guide: Rgb | None = None,
        mask: Float[np.ndarray, "h w"] | None = None,
    ) -> Rgb:
        """Dream: raise the activations of chosen layers in a photo (Mordvintsev, Olah, Tyka 2015, "Inceptionism").

        At each octave, the smallest first, the photo is resized, what was changed so far is enlarged and added, and the
        sum is changed by some steps along the normalised gradient. The same input gives the same picture on one
        machine. Differs from the original: VGG-19's layers instead of GoogLeNet's, so other motifs; the photo is
        resized by Lanczos.

        Args:
            photo: sRGB in [0, 1], "h w 3", at the size of the result; at least 32 pixels each way.
            settings: see `DreamSettings`.
            guide: sRGB in [0, 1], of any size; activations like those in it are raised instead of all.
            mask: 0..1, "h w" of any size: where the photo changes; None for everywhere.

        Returns:
            sRGB in [0, 1], "h w 3".

        Raises:
            ConfigError: the layer does not have a channel.
            ImageError: a picture or mask of the wrong shape, type or range, or a size that does not fit into memory.
            NonFiniteError: the result is not finite.
        """
        *_, last = self.steps(photo, settings, guide=guide, mask=mask)
        return last.image
