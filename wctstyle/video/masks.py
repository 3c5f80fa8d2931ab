"""Masks of regions in a video: a picture for all frames, or a video of masks that is read in step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wctstyle import images, masks
from wctstyle.inputs import Mask, RegionSpecs, StyleSpec, feathered, read_masks
from wctstyle.regions import FACE, NOWHERE, Region, Style, mask_of, named_regions
from wctstyle.video.clips import Clip, Cut, Place
from wctstyle.video.frames import Frame
from wctstyle.video.reading import open_clip
from wctstyle.video.recipe import hash_of

_SEEN = 1e-4
"""Seconds by which times of two files may differ and mean the same."""


class MaskVideo:
    """The mask of each frame: the last of the mask video's that has been shown by then."""

    def __init__(self, source: str, clip: Clip, max_pixels: int) -> None:
        cut = Cut(clip.cut.start, clip.cut.end)
        side = max(clip.height, clip.width)
        self._clip = open_clip(source, size=side, cut=cut, fps=float(clip.rate), max_pixels=max_pixels)
        self._frames: Iterator[tuple[Frame, Place]] | None = None
        self._now: Frame | None = None
        self._next: Frame | None = None

    def __call__(self, frame: Frame) -> np.ndarray:
        """Return the mask of a frame; frames come in order."""
        if self._frames is None:
            self._frames = self._clip.frames()
            self._now = self._next = next(self._frames)[0]
        while self._next is not None and self._next.seconds <= frame.seconds + _SEEN:
            self._now = self._next
            self._next = next(self._frames, (None,))[0]
        assert self._now is not None
        return mask_of(images.Picture(self._now.rgb, self._now.alpha))


def read_region_masks(
    files: Mapping[str, str], clip: Clip, max_pixels: int
) -> tuple[dict[str, Mask], dict[str, MaskVideo]]:
    """Read masks by the names of their regions; of those that are videos, only the hash and what reads them.

    Raises:
        ImageError: one cannot be read.
    """
    moving = {name: file for name, file in files.items() if _moves(file, max_pixels)}
    found = read_masks({name: file for name, file in files.items() if name not in moving}, max_pixels)
    nothing = np.zeros((1, 1), np.float32)
    found |= {name: Mask(file, hash_of(file), nothing) for name, file in moving.items()}
    return found, {name: MaskVideo(file, clip, max_pixels) for name, file in moving.items()}


def _moves(file: str, max_pixels: int) -> bool:
    suffix = Path(file).suffix.lower()
    if suffix in (".gif", ".png", ".apng", ".webp", ".avif") and Path(file).is_file():
        return images.animation(file, max_pixels=max_pixels).count > 1
    return Path(file).is_dir() or (Path(file).is_file() and suffix not in images.SUPPORTED_SUFFIXES)


def moving_regions(
    styles: Sequence[tuple[Style, Any]],
    specs: Sequence[StyleSpec],
    read: Mapping[str, Mask],
    videos: Mapping[str, MaskVideo],
    regions: RegionSpecs,
    clip: Clip,
) -> list[Region]:
    """Put styles into the regions that their specs name.

    Masks of videos and those that are found are functions of the frame; where nothing is found, nothing counts.
    """
    fixed = images.Picture(np.zeros((clip.height, clip.width, 3), np.float32))

    def plane(name: str, mask: Mask) -> Any:
        if name in videos:
            return lambda frame: feathered(videos[name](frame), fixed, regions.feather)
        if mask.plane is None:
            return lambda frame: found(mask.source.removeprefix(masks.PREFIX), frame)
        return feathered(mask.plane, fixed, regions.feather)

    def found(kind: str, frame: Frame) -> np.ndarray:
        plane = masks.found(kind, frame.rgb)
        return NOWHERE if plane is None else feathered(plane, fixed, regions.feather)

    planes = {name: plane(name, mask) for name, mask in read.items()}
    if any(spec.region == FACE for spec in specs) and FACE not in planes:
        planes[FACE] = lambda frame: found(FACE, frame)
    named = [(style, weight, spec.region) for (style, weight), spec in zip(styles, specs, strict=True)]
    return named_regions(named, planes, lambda: None, regions.dials)
