"""What is asked of a run: its pictures and choices, checked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from wctstyle import color, images
from wctstyle.errors import ConfigError, ImageError
from wctstyle.faces import face_map
from wctstyle.optimizer.checkpoint import fingerprint
from wctstyle.optimizer.objective import Shape
from wctstyle.optimizer.settings import GIVEN, LEAST_SIDE, OptimizeSettings, share_out

Rgb = Float[np.ndarray, "h w 3"]


@dataclass(frozen=True)
class Job:
    """A run's pictures and choices, checked.

    shares: the styles' weights, which sum to 1. faces: 0 everywhere if they are not protected. sizes, counts: (height,
    width) and steps of every scale, coarsest first. With original colours the styles are grey.
    """

    content: Rgb
    styles: tuple[Rgb, ...]
    shares: Float[np.ndarray, " n"]
    init: Rgb | None
    faces: Float[np.ndarray, "h w"]
    settings: OptimizeSettings
    shape: Shape
    sizes: list[tuple[int, int]]
    counts: list[int]

    @property
    def channels(self) -> int:
        """Channels that are descended in: lightness alone, or three."""
        return 1 if self.settings.original_colors else 3

    @staticmethod
    def checked(
        content: Any,
        styles: Sequence[tuple[Any, float]],
        settings: OptimizeSettings,
        init: Any,
        faces: Any = None,
        *,
        resumed: bool,
    ) -> Job:
        """Check what was given, and look for faces where they are needed and not given.

        Raises:
            ConfigError: no styles, a bad weight, or no `init` where one is needed. A `resumed` run needs none.
            ImageError: a picture of the wrong shape, type or range, or `faces` of another size than the content.
        """
        rgb = images.checked_rgb(content, "content picture", least_side=LEAST_SIDE)
        if not styles:
            raise ConfigError("no style given: give at least one")
        for number, (_, weight) in enumerate(styles, start=1):
            if not np.isfinite(weight) or weight < 0:
                raise ConfigError(f"weight of style {number} is {weight}, must be a number >= 0")
        pictures = [
            images.checked_rgb(picture, f"style picture {number}", least_side=LEAST_SIDE)
            for number, (picture, _) in enumerate(styles, start=1)
        ]
        weights = np.array([weight for _, weight in styles], np.float64)
        if not weights.any():
            raise ConfigError("the weights of all styles are 0, so there is no style to optimise for")
        weights /= weights.max()  # first, so that huge weights do not overflow in the sum
        if init is not None:
            init = images.checked_rgb(init, "picture to start from", least_side=LEAST_SIDE)
            if init.shape != rgb.shape:
                raise ImageError(
                    f"picture to start from: has shape {init.shape}, the content {rgb.shape}; resize it to that"
                )
        elif settings.init in GIVEN and not resumed:
            raise ConfigError(
                f"init is {settings.init!r}, so that picture has to be given as init=...; "
                "or choose init content, noise or style"
            )
        sizes = settings.scales(rgb.shape[0], rgb.shape[1])
        if settings.original_colors:
            pictures = [grey(picture) for picture in pictures]
        counts, shape = share_out(settings.steps, len(sizes)), Shape.of(settings)
        if faces is not None and np.shape(faces) != rgb.shape[:2]:
            raise ImageError(f"faces: has shape {np.shape(faces)}, the content {rgb.shape[:2]}; resize it to that")
        if not settings.keep_faces or not shape.content_layers:
            faces = None
        elif faces is None:
            faces = face_map(rgb)
        faces = np.zeros(rgb.shape[:2], np.float32) if faces is None else np.asarray(faces, np.float32)
        return Job(rgb, tuple(pictures), weights / weights.sum(), init, faces, settings, shape, sizes, counts)

    def about(self) -> dict[str, Any]:
        """Return what a kept state of this run belongs to, in JSON's types: pictures by fingerprint, and settings."""
        return {
            "settings": json.loads(json.dumps(self.settings.as_json())),
            "content": fingerprint(self.content),
            "faces": fingerprint(self.faces),
            "styles": [[fingerprint(s), float(w)] for s, w in zip(self.styles, self.shares, strict=True)],
            **({} if self.init is None else {"init": fingerprint(self.init)}),
        }


def grey(rgb: Rgb) -> Rgb:
    """Return a picture's lightness as three equal channels."""
    return np.repeat(np.clip(color.lightness_grey(rgb), 0, 1)[..., None], 3, axis=2).astype(np.float32)
