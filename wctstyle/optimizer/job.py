"""The checked input of a run: its pictures and settings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from wctstyle import color, images
from wctstyle.cutout import Cutout, cut_out, pixels_of
from wctstyle.encoder import SIZE_MULTIPLE
from wctstyle.errors import ConfigError, ImageError
from wctstyle.faces import face_map
from wctstyle.optimizer.checkpoint import fingerprint
from wctstyle.optimizer.network import Network
from wctstyle.optimizer.objective import content_layers, dream_layers, style_layers
from wctstyle.optimizer.settings import FACE_WEIGHT, GIVEN, LEAST_SIDE, Border, OptimizeSettings, share_out
from wctstyle.regions import (
    Dials,
    Style,
    blend_shares,
    filled_up,
    fitted_part,
    mixed,
    regions_of,
    shares,
    weighted_styles,
)
from wctstyle.settings import checked_number

Rgb = Float[np.ndarray, "h w 3"]

DETAIL_WEIGHT = 4.0
"""What the photo weighs in a region with detail 1, relative to one with detail 0."""


@dataclass(frozen=True)
class Styled:
    """A checked region of a run: its styles, their weights (which sum to 1), its mask and its dials.

    styles: as `colors` of the settings has them: grey for photo, in the colours of the region's own part of the photo
    for match; their masks are how much each pixel counts. mask: 0..1 at the content's size, None for the whole picture.
    counted: the same times the content's opacity. area: as a share of what is visible. targets: what its statistics are
    to become (`objective.style_targets`), where that is known without its styles.
    """

    styles: tuple[Style, ...]
    shares: Float[np.ndarray, " n"]
    mask: Float[np.ndarray, "h w"] | None
    counted: Float[np.ndarray, "h w"] | None
    area: np.float32
    dials: Dials = Dials()
    targets: Mapping[str, Mapping[str, Any]] | None = None

    @property
    def strength(self) -> float:
        """A factor on the settings' strength, 0..1."""
        return min(self.dials.strength, 1.0)

    @property
    def detail(self) -> float:
        """How much more the photo weighs, 0..1."""
        return self.dials.detail or 0.0


@dataclass(frozen=True)
class Carried:
    """The result of the frame before, carried along to this one, which a run is to stay close to.

    counted: how far each pixel of it counts, 0..1; 0 where it is wrong or was hidden. weight: of the temporal term.
    """

    picture: Rgb
    counted: Float[np.ndarray, "h w"]
    weight: float

    def inside(self, cutout: Cutout) -> Carried:
        """Cut it as a content is cut; hidden pixels do not count."""
        counted = cutout.inside(self.counted, "confidence in the frame before")
        if cutout.opacity is not None:
            counted = counted * cutout.opacity
        return replace(self, picture=cutout.inside(self.picture, "frame before"), counted=counted)

    def checked(self, height: int, width: int) -> Carried:
        """Check all of it, and return it as float32.

        Raises:
            ConfigError: the weight is negative.
            ImageError: a map is of another shape than the content, of another type, or out of range.
        """

        def plane(values: Any, name: str, *shape: int) -> np.ndarray:
            found = images.checked_values(images.as_array(values, name, instead="an array of 0..1"), name)
            if found.shape != shape:
                raise ImageError(f"{name}: has shape {found.shape}, must have {shape}, by the content")
            return found

        return Carried(
            plane(self.picture, "frame before", height, width, 3),
            plane(self.counted, "confidence in the frame before", height, width),
            checked_number("weight of the frame before", self.weight, 0),
        )


@dataclass(frozen=True)
class Job:
    """The checked pictures and settings of a run.

    faces: 0 everywhere if faces are not protected. cutout: where the content has transparency, of which all pictures
    and maps here are the inside. sizes, counts: (height, width) and number of steps of each scale,
    coarsest first. carried: for a frame of a video.
    """

    content: Rgb
    regions: tuple[Styled, ...]
    init: Rgb | None
    faces: Float[np.ndarray, "h w"]
    settings: OptimizeSettings
    sizes: list[tuple[int, int]]
    counts: list[int]
    cutout: Cutout | None = None
    carried: Carried | None = None
    border: Border = "zero"

    @property
    def opacity(self) -> Float[np.ndarray, "h w"] | None:
        """Opacity of the content; None where all of it is opaque."""
        return None if self.cutout is None else self.cutout.opacity

    @property
    def visible(self) -> float:
        """Opaque share of the content."""
        return 1.0 if self.opacity is None else max(float(self.opacity.mean()), 1e-6)

    @property
    def channels(self) -> int:
        """Number of optimised channels: one (lightness) or three."""
        return 1 if self.lightness_only else 3

    @property
    def lightness_only(self) -> bool:
        """Whether lightness alone is optimised, and compared with the lightness of photo and styles."""
        return all(part.dials.colors_in(self.settings) == "photo" for part in self.regions)

    @property
    def photo_share(self) -> Float[np.ndarray, "h w 1"] | float:
        """How much of the photo's own a and b each pixel has, 0..1."""
        planes = [None if part.mask is None else part.mask[..., None] for part in self.regions]
        return mixed([part.dials.photo_share(self.settings) for part in self.regions], planes)

    @property
    def covered(self) -> Float[np.ndarray, "h w 1"] | None:
        """Share of each pixel that is painted, 0..1; the rest is the photo, as at strength 0. None: 1 everywhere."""
        nowhere = np.zeros(self.content.shape[:2], np.float32)
        masks = [part.mask if self.settings.strength * part.strength else nowhere for part in self.regions]
        found = [mask for mask in masks if mask is not None]
        return np.minimum(np.sum(found, axis=0), 1)[..., None] if len(found) == len(masks) else None

    @property
    def emphasis(self) -> Float[np.ndarray, "h w"]:
        """How much more than elsewhere the photo weighs at each pixel: on faces, and in regions with detail."""
        faces = 1 + FACE_WEIGHT * self.settings.keep_faces * self.faces
        detailed = sum(
            (
                (1 if part.mask is None else part.mask) * np.float32(DETAIL_WEIGHT**part.detail - 1)
                for part in self.regions
            ),
            np.float32(1),
        )
        return (faces * detailed - 1).astype(np.float32)

    @property
    def network(self) -> Network:
        """Configuration of the network."""
        return Network(self.settings.pooling, border=self.border)

    @property
    def style_network(self) -> Network:
        """The same for style pictures, which do not repeat."""
        return self.network._replace(border="reflect" if self.border == "wrap" else self.border)

    @property
    def structure(self) -> tuple[Any, ...]:
        """What determines the compiled program besides the size: the structure of the objective and the network."""
        masked = (self.opacity is not None, *(region.counted is not None for region in self.regions))
        settings = self.settings
        layers = content_layers(settings), style_layers(settings), dream_layers(settings), self.carried is not None
        return (*layers, settings.statistic, self.network, masked, self.channels, settings.optimizer, settings.history)

    @staticmethod
    def checked(
        content: Any,
        styles: Any,
        settings: OptimizeSettings,
        init: Any,
        faces: Any = None,
        carried: Carried | None = None,
        *,
        resumed: bool,
        border: Border = "zero",
    ) -> Job:
        """Check the input, and detect faces if they are needed and not given.

        `styles` are pictures with weights, or regions. Of a content with transparency, `init`, `faces` and `carried`
        belong to all of it and are cut as it is.

        Raises:
            ConfigError: no styles, an invalid weight, a missing `init`, or a size that cannot wrap. A `resumed` run
                needs no `init`.
            ImageError: a picture or mask of the wrong shape, type or range, or `faces` or `carried` of another size
                than the content.
        """
        if not isinstance(settings, OptimizeSettings):
            raise ConfigError(f"settings is {settings!r}, must be OptimizeSettings(...)")
        cutout = cut_out(content)
        rgb = images.checked_rgb(pixels_of(cutout or content), "content picture", least_side=LEAST_SIDE)
        regions = _checked_regions(styles, rgb, settings, cutout)
        if init is not None:
            init = init if cutout is None else cutout.inside(init, "picture to start from")
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
        if carried is not None:
            carried = (carried if cutout is None else carried.inside(cutout)).checked(*rgb.shape[:2])
        sizes = settings.scales(rgb.shape[0], rgb.shape[1])
        if faces is not None:
            faces = images.checked_values(images.as_array(faces, "faces", instead="a map of 0..1"), "faces")
            faces = faces if cutout is None else cutout.inside(faces, "faces")
            if faces.shape != rgb.shape[:2]:
                raise ImageError(f"faces: has shape {faces.shape}, the content {rgb.shape[:2]}; resize it to that")
        if not settings.keep_faces or not content_layers(settings):
            faces = None
        elif faces is None:
            faces = face_map(rgb)
        faces = np.zeros(rgb.shape[:2], np.float32) if faces is None else faces
        if border == "wrap" and any(side % SIZE_MULTIPLE for size in sizes for side in size):
            raise ConfigError(
                f"border is 'wrap' at sizes {sizes}, and all sides have to be multiples of {SIZE_MULTIPLE}; give "
                "another size"
            )
        counts = share_out(settings.steps, len(sizes))
        return Job(rgb, regions, init, faces, settings, sizes, counts, cutout, carried, border)

    def pasted(self, image: Rgb) -> Rgb:
        """Put a result back into the canvas of a cut-out."""
        return image if self.cutout is None else self.cutout.pasted(image)

    def about(self) -> dict[str, Any]:
        """Return metadata that identifies this run's state, as JSON types: fingerprints of pictures, and settings."""
        return {
            "settings": json.loads(json.dumps(self.settings.as_json())),
            "content": fingerprint(self.content),
            "faces": fingerprint(self.faces),
            **({} if self.opacity is None else {"opacity": fingerprint(self.opacity)}),
            "styles": [
                {
                    "pictures": [
                        [fingerprint(style.picture, *(() if style.mask is None else (style.mask,))), float(weight)]
                        for style, weight in zip(part.styles, part.shares, strict=True)
                    ],
                    "mask": None if part.mask is None else fingerprint(part.mask),
                    "strength": part.strength,
                    "detail": part.detail,
                    "photo_share": part.dials.photo_share(self.settings),
                }
                for part in self.regions
            ],
            **({} if self.init is None else {"init": fingerprint(self.init)}),
            **({} if self.carried is None else {"carried": fingerprint(*vars(self.carried).values())}),
        }


def _checked_regions(
    styles: Any, content: Rgb, settings: OptimizeSettings, cutout: Cutout | None
) -> tuple[Styled, ...]:
    """Check the regions and drop those that are empty or have no style; the photo stays there."""
    found = regions_of(styles) if cutout is None else cutout.regions(regions_of(styles))
    opacity = None if cutout is None else cutout.opacity
    kept = []
    for region, mask in zip(found, shares(found, *content.shape[:2]), strict=True):
        pictures, weights = _checked_styles(weighted_styles(region.styles))
        counted = mask if opacity is None else opacity if mask is None else mask * opacity
        if weights is None or (counted is not None and not counted.any()):
            continue
        area = np.float32(
            1 if mask is None or counted is None else counted.sum() / (mask.size if opacity is None else opacity.sum())
        )
        way = region.colors_in(settings)
        if way == "only":
            raise ConfigError(
                "colors of a region is 'only', which paints nothing to optimise; choose style, photo or match"
            )
        if way == "photo":
            pictures = [replace(style, picture=grey(style.picture)) for style in pictures]
        elif way == "match":
            own = color.colors_of(content, counted)
            pictures = [replace(style, picture=color.with_colors(style.picture, own, style.mask)) for style in pictures]
        kept.append(Styled(tuple(pictures), weights, mask, counted, area, region.dials))
    if kept:
        return tuple(kept)
    if any(weight > 0 for region in found for _, weight in weighted_styles(region.styles)):
        raise ConfigError(
            "no region with a style covers any of the photo, so there is nothing to optimise; check the masks, or give "
            "a style for the rest"
        )
    raise ConfigError("the weights of all styles are 0, so there is no style to optimise for")


def _checked_styles(styles: Sequence[tuple[Style, float]]) -> tuple[list[Style], Float[np.ndarray, " n"] | None]:
    """Check a region's styles; return weights that sum to 1, or None if all are 0."""
    weights = blend_shares([weight for _, weight in styles])
    checked = []
    for number, (style, _) in enumerate(styles, start=1):
        rgb = images.checked_rgb(style.picture, f"style picture {number}", least_side=LEAST_SIDE)
        part = fitted_part(style, *rgb.shape[:2])
        checked.append(Style(rgb, None if part is None else filled_up(part)))
    return checked, weights


def grey(rgb: Rgb) -> Rgb:
    """Return a picture's lightness as three equal channels."""
    return np.repeat(np.clip(color.lightness_grey(rgb), 0, 1)[..., None], 3, axis=2).astype(np.float32)
