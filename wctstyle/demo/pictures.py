"""Pictures as the page needs them: thumbnails and data addresses out, uploads in, nothing left on disk."""

from __future__ import annotations

import base64
import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from wctstyle import images, samples
from wctstyle.demo.limits import MIB, Limits
from wctstyle.errors import ImageError
from wctstyle.fitting import fit_part
from wctstyle.regions import Style

THUMB_SIDE = 132
"""Long side of thumbnails in pixels: about 5 kB each as JPEG."""

LIVE_QUALITY = 86
"""JPEG quality of what is on screen; downloads are made anew."""


PictureKind = Literal["content", "style"]
"""What a picture is used as."""


@dataclass(frozen=True)
class StoredPicture:
    """A picture that a session or the gallery holds: 8 bits per channel, with or without opacity, `max_size` at most.

    `content_hash` is that of the picture as it was uploaded, which is what recipes name.
    """

    id: str
    name: str
    pixels: np.ndarray
    content_hash: str
    thumb: str

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes."""
        return self.pixels.nbytes + len(self.thumb)

    def as_content(self, long_side: int) -> images.Picture:
        """Return it as a photo, with its opacity, at a long side of at most this."""
        return images.resize(images.load(self.pixels), long_side=long_side)

    def as_style(self, sides: tuple[int, int], part: np.ndarray | None = None) -> Style:
        """Return it, or the part of it inside a mask, as a style, laid over white, at sides of `inputs.style_sides`."""
        return fit_part(images.load(self.pixels), *sides, part)


def data_address(data: bytes, kind: str = "jpeg") -> str:
    """Write the bytes of a picture as an address that needs no file."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def address(rgb: np.ndarray, alpha: np.ndarray | None = None, *, quality: int = LIVE_QUALITY) -> str:
    """Encode RGB in [0, 1] as JPEG in a data address; as WebP where there is opacity."""
    kind = "jpeg" if alpha is None else "webp"
    return data_address(images.encode(rgb, alpha, format=kind, quality=quality), kind)


def thumbnail(rgb: np.ndarray, alpha: np.ndarray | None = None) -> str:
    """Make a small data address of RGB in [0, 1], over white where it is transparent."""
    small = images.resize(images.Picture(rgb, alpha), long_side=THUMB_SIDE)
    return address(images.flatten(small).rgb, quality=80)


def hold(picture: images.Picture, id: str, name: str, max_size: int) -> StoredPicture:
    """Keep a picture: shrunk to `max_size`, rounded to 8 bits."""
    small = images.resize(picture, long_side=max_size)
    planes = small.rgb if small.alpha is None else np.dstack([small.rgb, small.alpha])
    pixels = np.rint(planes * np.float32(255)).astype(np.uint8)
    return StoredPicture(id, name, pixels, picture.content_hash, thumbnail(small.rgb, small.alpha))


@functools.lru_cache(maxsize=64)
def sample(id: str) -> StoredPicture:
    """Return a sample by `sample:NAME`.

    Raises:
        ConfigError: there is no such sample.
    """
    name = id.removeprefix(samples.PREFIX)
    return hold(samples.picture(name), id, name.replace("-", " "), max_size=4096)


def uploaded(path: object, folder: str | Path) -> Path | None:
    """Return the place of an uploaded file; None for all that does not lie below the folder of uploads."""
    if not isinstance(path, str) or "\0" in path:
        return None
    root, file = Path(folder).resolve(), Path(path).resolve()
    return file if file != root and file.is_relative_to(root) else None


def take_upload(path: object, folder: str, limits: Limits, *, keep: bool = False) -> bytes:
    """Read an uploaded file and, without `keep`, delete it. Only files that lie below `folder` are touched.

    Raises:
        ImageError: it is none of the uploads, is gone, or is too large.
    """
    file = uploaded(path, folder)
    if file is None or not os.path.isfile(file):
        raise ImageError("This upload is not there any more. Please add the picture once more.")
    try:
        size = file.stat().st_size
        if size > limits.upload_bytes:
            raise ImageError(
                f"This file is too large, {size / MIB:.0f} MB. Files may have up to {limits.upload_bytes / MIB:.0f} MB."
            )
        return file.read_bytes()
    except OSError as error:
        raise ImageError("The upload could not be read. Please add the picture once more.") from error
    finally:
        if not keep:
            file.unlink(missing_ok=True)


def decode(data: bytes, limits: Limits) -> images.Picture:
    """Decode an upload; messages are for the page, so they name neither paths nor options.

    Raises:
        ImageError: no picture, damaged, or more pixels than allowed.
    """
    try:
        return images.load(data, max_pixels=limits.upload_pixels)
    except ImageError as error:
        text = str(error)
        if "over the limit" in text:
            raise ImageError(
                f"This picture has more than {limits.upload_pixels / 1e6:.0f} megapixels. Please make it smaller."
            ) from error
        raise ImageError(
            "This file could not be read as a picture. JPEG, PNG, WebP, TIFF, GIF, BMP, HEIC and AVIF work; "
            "if it is one of these, it is damaged."
        ) from error


def public_name(name: object) -> str:
    """Reduce what a browser calls a file to a short, printable name without folders."""
    text = os.path.basename(str(name or "").replace("\\", "/"))
    text = "".join(char for char in text if char.isprintable() and char not in '<>"')
    return text[-255:] or "picture"
