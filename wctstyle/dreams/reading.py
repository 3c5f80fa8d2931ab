"""What a dream reads: the photo at its size, what guides it and where it happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from wctstyle import images
from wctstyle.dreams.recipe import DreamRecipe
from wctstyle.dreams.settings import USUAL_SIZE, DreamSettings
from wctstyle.inputs import Sizes, feathered, read, read_masks, read_photo
from wctstyle.sources import Source, public_name


@dataclass(frozen=True)
class DreamPictures:
    """The pictures that a dream names, none of them read yet. mask, feather: where it happens, and how softly."""

    photo: str
    guide: str | None
    mask: str | None
    feather: float
    sizes: Sizes


@dataclass(frozen=True)
class DreamRequest:
    """What a dream reads.

    rgb: the photo without its hidden pixels. how: guide and mask, as `Dreamer.steps` has them.
    """

    photo: images.Picture
    rgb: np.ndarray
    how: dict[str, Any]
    recipe: DreamRecipe


def read_dream(named: DreamPictures, settings: DreamSettings, model: str, *, zoom: float | None = None) -> DreamRequest:
    """Read the pictures at their sizes. zoom: seconds of a video, for the recipe.

    Raises:
        ImageError: one cannot be read, or a mask is not found in the photo.
    """
    full, photo = read_photo(named.photo, named.sizes, usual=USUAL_SIZE)
    limit = named.sizes.max_pixels
    guide = None if named.guide is None else images.fill_hidden(read(named.guide, limit))
    mask = None if named.mask is None else read_masks({"mask": named.mask}, limit)["mask"]
    plane = None if mask is None else feathered(mask.on(photo), photo, named.feather)
    recipe = DreamRecipe(
        content=Source(public_name(named.photo), full.content_hash), settings=settings, model=model,
        size=max(photo.height, photo.width), feather=named.feather, zoom=zoom,
        guide=None if guide is None else Source(public_name(named.guide or ""), guide.content_hash),
        mask=None if mask is None else Source(public_name(mask.source), mask.hash),
    )  # fmt: skip
    how = {"guide": None if guide is None else guide.rgb, "mask": plane}
    return DreamRequest(photo, images.fill_hidden(photo).rgb, how, recipe)
