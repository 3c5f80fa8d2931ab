"""Training data: any folder of pictures, as square crops that depend on seed and step alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from wctstyle import images
from wctstyle.errors import ConfigError

BEFORE_FIRST_STEP = 2**32 - 1
"""The step whose crops serve the least-squares start, apart from all that training sees."""


class Crops:
    """Random square crops from the pictures below a folder, resized to `size` pixels.

    A crop's side is drawn between `size` and the picture's short side, so the scale varies; half are mirrored. With
    `views` > 0 each picture has that many fixed crops and `batch` names them, so that what a teacher says about a
    crop can be computed once and kept. `limit` > 0 keeps that many pictures, drawn by the seed.
    """

    def __init__(self, folder: str | Path, *, size: int, seed: int, views: int = 0, limit: int = 0) -> None:
        self.paths = sorted(p for p in Path(folder).rglob("*") if images.is_image_file(p))
        if not self.paths:
            raise ConfigError(f"{folder}: no pictures found; give a folder with JPEG, PNG or WebP files")
        if limit:
            self.paths = [self.paths[i] for i in np.random.default_rng(seed).permutation(len(self.paths))[:limit]]
        self.size, self.seed, self.views = size, seed, views
        self._pixels: dict[int, np.ndarray] = {}

    def _picture(self, index: int) -> np.ndarray:
        if index not in self._pixels:
            picture = images.load(self.paths[index])
            height, width = picture.rgb.shape[:2]
            longest = 2 * self.size * max(height, width) // min(height, width)
            picture = images.resize(picture, long_side=longest)
            height, width = picture.rgb.shape[:2]
            if min(height, width) < self.size:
                longest = -(-self.size * max(height, width) // min(height, width)) + 1
                picture = images.resize(picture, long_side=longest, enlarge=True)
            self._pixels[index] = (picture.rgb * 255 + 0.5).astype(np.uint8)
        return self._pixels[index]

    def crop(self, index: int, rng: np.random.Generator) -> Float[np.ndarray, "s s 3"]:
        """Return one random crop of picture `index`, RGB in [0, 1]."""
        pixels = self._picture(index)
        short = min(pixels.shape[:2])
        side = int(rng.integers(self.size, max(self.size, min(short, 2 * self.size)) + 1))
        top = int(rng.integers(0, pixels.shape[0] - side + 1))
        left = int(rng.integers(0, pixels.shape[1] - side + 1))
        patch = pixels[top : top + side, left : left + side]
        if rng.random() < 0.5:
            patch = patch[:, ::-1]
        rgb = patch.astype(np.float32) / 255
        if side != self.size:
            rgb = images.resize(images.load(rgb), long_side=self.size).rgb
        return rgb

    def batch(self, count: int, step: int) -> tuple[list[tuple[int, ...]], Float[np.ndarray, "n s s 3"]]:
        """Return the `count` crops of a step and their names (picture, view); the same ones for the same step."""
        rng = np.random.default_rng((self.seed, step))
        names: list[tuple[int, ...]] = []
        crops = []
        for _ in range(count):
            index = int(rng.integers(len(self.paths)))
            view = int(rng.integers(self.views)) if self.views else -1
            names.append((index, view))
            crops.append(self.crop(index, np.random.default_rng((self.seed, index, view)) if self.views else rng))
        return names, np.stack(crops)


class MixedCrops:
    """Batches drawn half and half from two folders (photos and paintings)."""

    def __init__(self, first: Crops, second: Crops) -> None:
        self.first, self.second = first, second

    @classmethod
    def of(cls, content: str | Path, style: str | Path, *, size: int, seed: int, views: int) -> MixedCrops:
        """Take crops of one size from a folder of photos and one of paintings."""
        folders = enumerate((content, style))
        return cls(*(Crops(folder, size=size, seed=seed + salt, views=views) for salt, folder in folders))

    def batch(self, count: int, step: int) -> tuple[list[tuple[int, ...]], Float[np.ndarray, "n s s 3"]]:
        """Return the `count` crops of a step, half from each folder, and their names (folder, picture, view)."""
        half = count // 2
        names, crops = [], []
        for which, (folder, n) in enumerate(((self.first, half), (self.second, count - half))):
            if n:
                found, pixels = folder.batch(n, step)
                names += [(which, *name) for name in found]
                crops.append(pixels)
        return names, np.concatenate(crops)
