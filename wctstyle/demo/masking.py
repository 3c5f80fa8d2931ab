"""Masks as the page needs them: held by a session as grey PNGs, and found in the photo."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from wctstyle import images, masks
from wctstyle.demo.pictures import data_address
from wctstyle.regions import mask_of

SHOWN_SIDE = 512
"""Long side of masks on the page in pixels, and of the photo in which they are found for it."""

HELD = "mask:"
"""How ids of masks begin that a session holds; others are ready-made (`masks.PREFIX`)."""

Plane = Float[np.ndarray, "h w"]


class Part(NamedTuple):
    """The part of a style that counts: what it is known by, and what makes its mask."""

    key: str
    plane: Callable[[], Plane]


@dataclass(frozen=True)
class StoredMask:
    """A mask that a session holds, as a grey PNG. name: what to call its file; "" where it was drawn.

    `content_hash` is that of the picture as it was uploaded, which is what recipes name.
    """

    id: str
    name: str
    data: bytes
    content_hash: str

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes."""
        return len(self.data)

    @cached_property
    def key(self) -> str:
        """Hash of what is in it: for one that is awaited there is another one later."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def plane(self) -> Plane:
        """The mask, 1 inside."""
        return mask_of(images.load(self.data))


def mask_id(content_hash: str) -> str:
    """Return the id of a mask by the hash of its picture: the same wherever it is drawn or added."""
    return HELD + hashlib.sha256(content_hash.encode()).hexdigest()[:16]


def hold_mask(plane: Plane, max_size: int, name: str = "", content_hash: str = "") -> StoredMask:
    """Keep a mask: shrunk to `max_size`, rounded to 8 bits. Without a hash it has that of its own picture."""
    pixels = _pixels(plane, max_size)
    content_hash = content_hash or images.load(pixels).content_hash
    return StoredMask(mask_id(content_hash), name, images.encode(pixels), content_hash)


def _pixels(plane: Plane, max_size: int) -> np.ndarray:
    """Shrink a mask and round it to 8 bits."""
    small = images.resize(images.load(np.asarray(plane, np.float32)), long_side=max_size).rgb[..., 0]
    return np.rint(small * np.float32(255)).astype(np.uint8)


def stem_of(name: str) -> str:
    """Return the name of a mask by that of its file in a recipe, or of one colour of its file."""
    file, color = masks.split_color(name)
    return f"{Path(file).stem} {color}".strip()


def awaited_mask(id: str, name: str, content_hash: str, *, inside: bool) -> StoredMask:
    """Make what is held for a mask that is not here yet: one with everything inside, or nothing."""
    return replace(hold_mask(np.full((1, 1), float(inside)), 1, stem_of(name), content_hash), id=id)


def is_mask(id: object) -> bool:
    """Say whether this can be the id of a mask, held or ready-made."""
    return isinstance(id, str) and (id.startswith(HELD) or kind_of(id) in masks.READY)


def kind_of(id: str) -> str:
    """Return the kind of a ready-made mask; "" for others."""
    return id.removeprefix(masks.PREFIX) if id.startswith(masks.PREFIX) else ""


def ready_made(kind: str, picture: images.Picture, name: str = "This photo") -> Plane:
    """Find a ready-made mask in a picture; messages call it by the name.

    Raises:
        ConfigError: this kind cannot be found here.
        ImageError: nothing of this kind is found there.
    """
    return masks.ready(kind, replace(picture, source=name))


def scribbled(marks: images.Picture, photo: images.Picture) -> Plane:
    """Find the mask of which a picture marks some: green inside, red outside, nothing elsewhere.

    Raises:
        ImageError: nothing is marked as inside, or the picture has another shape than the photo.
    """
    rgb = images.fill_hidden(photo).rgb
    return masks.from_scribble(rgb, masks.hints_of(marks, rgb))


def shown(plane: Plane) -> str:
    """Write a mask as the address of a PNG, no larger than the page needs."""
    return data_address(images.encode(_pixels(plane, SHOWN_SIDE)), "png")


def offered() -> list[list[str]]:
    """List the ready-made masks that can be found here, for the page: kind, name, what it finds."""
    told = {kind: masks.READY[kind] for kind in masks.offered()}
    return [[kind, re.split("[:,]", text)[0], text] for kind, text in told.items()]
