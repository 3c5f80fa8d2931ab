"""How a clip is painted: what the command, the page and the API make a video of, so that all give the same frames."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wctstyle import images
from wctstyle.inputs import Mask, RegionSpecs, Sizes, Strokes, StyleSpec, fit_parts, read_parts, read_style, style_sides
from wctstyle.optimizer.settings import FRAME_STEPS
from wctstyle.recipe import Recipe
from wctstyle.settings import DEFAULT_CALM, DEFAULT_FEATHER, Settings
from wctstyle.sources import Source, mask_sources, public_name, style_sources
from wctstyle.specs import Named
from wctstyle.video.clips import Clip
from wctstyle.video.extras import opencv
from wctstyle.video.forms import Form
from wctstyle.video.job import VideoJob
from wctstyle.video.keyframes import Track
from wctstyle.video.masks import MaskVideo, moving_regions, read_region_masks
from wctstyle.video.recipe import VideoRecipe, hash_of

if TYPE_CHECKING:
    from wctstyle.optimizer import Optimizer
    from wctstyle.stylizer import Stylizer
    from wctstyle.video.calm import VideoStylizer


def content_of(source: str) -> Source:
    """Describe a clip for a recipe."""
    return Source(public_name(os.path.normpath(source)), hash_of(source))


@dataclass(frozen=True)
class Painting:
    """A clip and how it is painted.

    picture: what a frame has of a picture; with an optimisation, frames are optimised, those that follow another by
    `steps`. pictures, parts: its styles, in order, and their masks.
    masks, videos: of regions, see `read_region_masks`. weights: tracks of styles by place, tracks: of settings by name.

    Raises:
        ConfigError: OpenCV is needed and not installed.
    """

    clip: Clip
    picture: Recipe
    pictures: Sequence[images.Picture]
    parts: Sequence[Mask | None]
    calm: float = DEFAULT_CALM
    masks: Mapping[str, Mask] = field(default_factory=dict)
    videos: Mapping[str, MaskVideo] = field(default_factory=dict)
    weights: Mapping[int, Track] = field(default_factory=dict)
    tracks: Mapping[str, Track] = field(default_factory=dict)
    steps: int = FRAME_STEPS

    def __post_init__(self) -> None:
        if self.calm:
            opencv()

    def job(self, target: Path, form: Form, fps: float | None = None, *, sound: bool = True) -> VideoJob:
        """Return the job that paints it into a target. fps: of a folder of frames. sound: goes along."""
        texts = {str(place): str(track) for place, track in self.weights.items()}
        tracks = {name: str(track) for name, track in self.tracks.items()}
        recipe = VideoRecipe(self.picture, self.calm, self.clip.cut, fps, texts, tracks, self.steps)
        return VideoJob(self.clip, target, form, recipe.to_json(), sound)

    def painter(
        self,
        stylizer: Callable[[str], Stylizer],
        optimizer: Callable[[str], Optimizer],
        stop: Callable[[], bool] = lambda: False,
    ) -> VideoStylizer:
        """Load the models and measure the styles. stop: see `VideoOptimizer`."""
        from wctstyle.video.calm import VideoStylizer  # here, as it imports JAX, and mistakes are told before
        from wctstyle.video.optimized import VideoOptimizer

        picture = self.picture
        specs = [StyleSpec(style.name, style.weight, style.region) for style in picture.styles]
        strokes = Strokes(picture.style_size, picture.stroke_scale)
        sides = style_sides(specs, picture.dials, strokes, max(self.clip.height, self.clip.width))
        fitted = fit_parts(self.pictures, specs, self.parts, sides)
        styles: list[Any] = [(style, self.weights.get(at, weight)) for at, (style, weight) in enumerate(fitted)]
        feather = DEFAULT_FEATHER if picture.feather is None else picture.feather
        regions = RegionSpecs(dials=picture.dials, feather=feather)
        wanted = moving_regions(styles, specs, self.masks, self.videos, regions, self.clip)
        made, how = stylizer(picture.model), {"calm": self.calm, **self.tracks}
        if picture.optimisation is None:
            return VideoStylizer(made, wanted, picture.settings, **how)
        goal, network = picture.optimisation.settings, optimizer(picture.optimisation.model)
        return VideoOptimizer(made, network, wanted, picture.settings, goal, steps=self.steps, stop=stop, **how)


def read_painting(
    clip: Clip,
    named: Named,
    settings: Settings,
    *,
    calm: float,
    model: str,
    sizes: Sizes,
    weights: Mapping[int, Track],
    tracks: Mapping[str, Track],
) -> Painting:
    """Read the styles and masks that are named, and put together how a clip is painted.

    weights, tracks: as in `Painting`; those of which there are tracks have their first value in `named` and `settings`.

    Raises:
        ConfigError: OpenCV is needed and not installed.
        ImageError: a picture or the clip cannot be read.
    """
    masks, videos = read_region_masks(named.regions.masks, clip, sizes.max_pixels)
    parts = read_parts(named.styles, sizes.max_pixels)
    pictures = [read_style(spec.source, sizes.max_pixels) for spec in named.styles]
    picture = Recipe(
        content=content_of(clip.source),
        styles=style_sources(named.styles, pictures, parts),
        size=max(clip.height, clip.width),
        settings=settings,
        model=model,
        style_size=sizes.strokes.style_size,
        stroke_scale=sizes.strokes.stroke_scale,
        masks=mask_sources(masks),
        feather=named.regions.feather,
        dials=named.regions.dials,
    )
    return Painting(clip, picture, pictures, parts, calm, masks, videos, weights, tracks)
