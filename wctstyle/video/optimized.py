"""Optimising a video: each frame starts from the last result, carried along, and is held to it (Ruder et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from wctstyle import images
from wctstyle.cutout import Cutout
from wctstyle.measuring import style_pixels
from wctstyle.optimizer.job import Carried
from wctstyle.optimizer.settings import FRAME_STEPS, OptimizeSettings
from wctstyle.recipe import slow_settings
from wctstyle.regions import Region, shares, weighted_styles
from wctstyle.settings import DEFAULT_CALM, Settings, checked_whole
from wctstyle.video.calm import VideoStylizer
from wctstyle.video.carrying import continued, memory_of
from wctstyle.video.flow import Flow, motion_border
from wctstyle.video.frames import Frame
from wctstyle.video.keyframes import Track

if TYPE_CHECKING:
    from wctstyle.optimizer import Optimizer
    from wctstyle.stylizer import Stylizer

Rgb = Float[np.ndarray, "h w 3"]

TEMPORAL_WEIGHT = 1 / 8
"""Weight of the temporal term where old and new count alike, relative to a style weight of 1: 4.3 at the default calm.

Found by looking (docs/notes/video.md): with 16 times as much, paint flickers no less, and traces of what left stay."""


def temporal_weight(calm: float) -> float:
    """Return the weight of the temporal term: `TEMPORAL_WEIGHT` m / (1 - m), with the fast mode's `memory_of` as m.

    The fast mode's mean of two pictures, in which the old one has the share m, is the least (x - new)^2 +
    m / (1 - m) (x - old)^2.

    Example:
        >>> temporal_weight(0.0), round(temporal_weight(0.5), 2), round(temporal_weight(1.0), 2)
        (0.0, 0.73, 4.87)
    """
    memory = memory_of(calm)
    return TEMPORAL_WEIGHT * memory / (1 - memory)


class VideoOptimizer(VideoStylizer):
    """Optimises the frames of one video in order (Ruder et al. 2016, arXiv:1604.08610).

    styles, strength, texture: as in `VideoStylizer`. settings: of the pass that paints what the first frame of a shot
    starts from, and all that the last result does not have. optimization: what is minimised, with the steps of the
    first frame of a shot; None makes it of `settings`. steps: of every other frame. calm: 0 optimises each frame as a
    picture of its own; otherwise it weighs the temporal term (`temporal_weight`). stop: is asked at each iterate, and
    ends the optimisation of a frame.

    Differs from Ruder et al.: the flow is DIS; the confidence is not 0 or 1 but between, and falls with a change of
    colour too; places that cannot be trusted start from the pass (`carrying.continued`), not from what was carried
    there; the frame before alone is held to, not older ones.

    Raises:
        ConfigError: as `VideoStylizer`, the steps are not a whole number from 1, or `settings` only recolour.

    Example:
        >>> from wctstyle import Optimizer, Stylizer, samples
        >>> photo, style = (samples.picture(name).rgb[:64, :64] for name in ("cat", "marbling"))
        >>> layers = dict.fromkeys(("content_layers", "style_layers"), {"relu1_1": 1.0})
        >>> goal, plain = OptimizeSettings(steps=2, keep_faces=0.0, **layers), Settings(keep_faces=0.0)
        >>> painter = VideoOptimizer(Stylizer("slim"), Optimizer("slim"), style, plain, goal, steps=1)
        >>> clip = [Frame(number, number / 25, photo) for number in range(2)]
        >>> [(frame.index, frame.rgb.shape) for frame in painter.frames(clip)]
        [(0, (64, 64, 3)), (1, (64, 64, 3))]
    """

    def __init__(
        self,
        stylizer: Stylizer,
        optimizer: Optimizer,
        styles: Any,
        settings: Settings = Settings(),  # noqa: B008
        optimization: OptimizeSettings | None = None,
        *,
        steps: int = FRAME_STEPS,
        calm: float = DEFAULT_CALM,
        strength: Track | None = None,
        texture: Track | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(stylizer, styles, replace(settings, refine=0), calm=calm, strength=strength, texture=texture)
        self._optimizer, self._weight = optimizer, temporal_weight(calm)
        self._first = OptimizeSettings(**slow_settings(settings)) if optimization is None else optimization
        self._steps, self._stop = checked_whole("steps", steps, 1), stop

    def _finished(
        self, frame: Frame, painted: Rgb, regions: list[Region], settings: Settings, last: tuple[Rgb, Flow] | None
    ) -> Rgb:
        """Optimise a frame, from its own pass or from the last result."""
        goal, faces, start = self._first, None, painted
        if last is not None:
            regions, faces = self._painter.matched(regions, settings), self._painter.faces
        wanted = _to_optimize(painted.shape, regions)
        if not wanted or (frame.alpha is not None and not frame.alpha.any()):
            return painted
        if self._tracks["strength"]:
            goal = replace(goal, strength=min(settings.strength, 1.0))
        if last is None:  # a term without weight, so that all frames run one program
            carried = Carried(painted, np.zeros(painted.shape[:2], np.float32), 0.0)
        else:
            moved, flow = last
            carried = Carried(moved, flow.confidence * ~motion_border(flow.vectors), self._weight)
            start = continued(moved, painted, flow.confidence)
            goal = replace(goal, steps=self._steps, smallest=max(16, *painted.shape))  # one scale: it is nearly there
        image = start
        run = self._optimizer.run(_content(frame), wanted, goal, init=start, faces=faces, carried=carried)
        for iterate in run:
            image = iterate.image
            if self._stop():
                break
        run.close()  # pyright: ignore[reportAttributeAccessIssue] (it is a generator)
        return image


def _content(frame: Frame) -> Rgb | Cutout:
    """Return a frame as the optimiser takes it. A cut-out keeps the whole canvas, as each size is compiled for."""
    if frame.alpha is None:
        return frame.rgb
    filled = images.fill_hidden(images.Picture(frame.rgb, frame.alpha))
    return Cutout(filled.rgb, filled.alpha, (slice(None), slice(None)), frame.alpha.shape)


def _to_optimize(shape: Sequence[int], regions: Sequence[Region]) -> list[Region]:
    """Return regions with the pixels of their styles; none where there is nothing to optimise for in this frame."""
    wanted = [
        replace(
            region,
            mask=share,
            styles=[(style_pixels(style), weight) for style, weight in weighted_styles(region.styles)],
        )
        for region, share in zip(regions, shares(regions, *shape[:2]), strict=True)
        if share is None or share.any()
    ]
    return wanted if any(weight > 0 for region in wanted for _, weight in region.styles) else []
