"""Animated pictures (GIF, APNG, WebP, AVIF) to pictures with their times, and back to files."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from wctstyle.errors import ImageError
from wctstyle.images.formats import READERS
from wctstyle.images.guards import DEFAULT_MAX_PIXELS, check_size, decoding, quiet_pillow, webp_size
from wctstyle.images.modes import decoded
from wctstyle.images.picture import Picture
from wctstyle.images.pngs import open_png
from wctstyle.images.reading import read_encoded
from wctstyle.images.recipes import in_exif, recipe_text, wrapped

#: A frame that names no time, or one that no program could keep to, is shown as long as browsers show it.
_LEAST_SECONDS, _USUAL_SECONDS = 0.011, 0.1

ANIMATED = ("GIF", "PNG", "WebP", "AVIF")
"""The formats that may hold several frames."""


@dataclass(frozen=True)
class Animation:
    """An opened animated picture; a still one is a single frame.

    Example:
        >>> import tempfile
        >>> dark, light = (Image.new("RGB", (4, 2), color) for color in ("black", "white"))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     dark.save(f"{folder}/blink.gif", save_all=True, append_images=[light], duration=200)
        ...     opened = animation(f"{folder}/blink.gif")
        >>> (opened.width, opened.height, opened.count)
        (4, 2, 2)
        >>> [(float(picture.rgb.mean()), seconds) for picture, seconds in opened.frames()]
        [(0.0, 0.2), (1.0, 0.2)]
    """

    name: str
    width: int
    height: int
    count: int
    _image: Any = field(repr=False)

    def frames(self) -> Iterator[tuple[Picture, float]]:
        """Decode one frame after another, each whole; with the seconds that it is shown.

        Raises:
            ImageError: a frame is damaged; those before it have been given.
        """
        still = self._image.info.get("default_image", False)  # of an APNG, for programs that show no animation
        for at in range(int(still), self.count + int(still)):
            with decoding(self.name, "animation", 0):
                self._image.seek(at)
                self._image.load()  # a WebP knows the time of a frame only then
                seconds = (self._image.info.get("duration") or 0) / 1000
                picture = decoded(self._image.copy(), self.name).picture()
            yield picture, seconds if seconds >= _LEAST_SECONDS else _USUAL_SECONDS


def animation(path: str, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Animation:
    """Open a picture that may be animated.

    Raises:
        ImageError: it is missing, no such picture, damaged, or larger than `max_pixels` (0: no limit).

    Example:
        >>> from wctstyle import samples
        >>> opened = animation(str(samples.path("astronaut")))  # a still PNG is a single frame
        >>> opened.count, opened.width, opened.height
        (1, 512, 512)
    """
    data, kind = read_encoded(path, path)
    if kind not in ANIMATED:
        raise ImageError(f"{path}: is a picture ({kind}), not a video; `wctstyle stylize` paints pictures")
    if kind == "WebP" and (size := webp_size(data[:30])):
        check_size(size, max_pixels, path)
    with decoding(path, kind, max_pixels):
        file = io.BytesIO(data)
        image: Any = open_png(file, animated=True) if kind == "PNG" else READERS[kind].opener(file)
        check_size(image.size, max_pixels, path)
        still = bool(image.info.get("default_image"))
        count = getattr(image, "n_frames", 1) - still
        return Animation(path, image.width, image.height, max(1, count), image)


KINDS = {".gif": "GIF", ".png": "PNG", ".apng": "PNG", ".webp": "WEBP"}
"""The formats that are written, by suffix."""


@dataclass(frozen=True)
class _Opened:
    """Pictures in files, opened one by one and as often as Pillow goes through them: PNG's writer does twice."""

    files: Sequence[Path]
    made: Callable[[Image.Image], Image.Image]

    def __iter__(self) -> Iterator[Image.Image]:
        for file in self.files:
            with Image.open(file) as image:
                yield self.made(image.convert("RGBA"))


def save_animation(
    path: Path, files: Sequence[Path], milliseconds: Sequence[int], *, quality: int, recipe: dict[str, Any]
) -> None:
    """Write pictures of one size, each shown for its time, as a GIF, APNG or WebP that plays without end.

    Pillow keeps all of them in memory until they are written.

    Raises:
        ImageError: Pillow cannot write it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     files = [Path(folder) / f"{number}.png" for number in range(2)]
        ...     for number, file in enumerate(files):
        ...         Image.new("RGB", (4, 2), (255 * number, 0, 0)).save(file)
        ...     save_animation(Path(folder) / "blink.webp", files, [200, 300], quality=90, recipe={"size": 4})
        ...     opened = animation(f"{folder}/blink.webp")
        >>> opened.count, [seconds for _, seconds in opened.frames()]
        (2, [0.2, 0.3])
    """
    kind = KINDS[path.suffix.lower()]
    options: dict[str, Any] = {"duration": list(milliseconds), "loop": 0, **_recipe_options(recipe, kind, str(path))}
    if kind == "GIF":
        options |= {"disposal": 2}  # else what was there before shows through transparent parts
    elif kind == "WEBP":
        options |= {"quality": quality, "method": 4}
    made = _few_colors if kind == "GIF" else lambda image: image
    (first,) = _Opened(files[:1], made)
    try:
        with quiet_pillow(0), path.open("wb") as file:
            first.save(file, format=kind, save_all=True, append_images=_Opened(files[1:], made), **options)
        if kind == "WEBP":
            _tell_of_alpha(path)
    except (MemoryError, ValueError) as error:
        raise ImageError(f"{path}: cannot be written as {kind}: {error}; write a .mp4 or a folder") from error


def _recipe_options(recipe: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    """Put a recipe where the format keeps it."""
    text = recipe_text(recipe, name)
    if kind == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("wctstyle", text)
        return {"pnginfo": info}
    return {"comment": wrapped(text).encode("ascii")} if kind == "GIF" else {"exif": in_exif(text, kind, name)}


def _tell_of_alpha(path: Path) -> None:
    """Set the flag of alpha (RFC 9649, 2.7), which libwebp leaves out where only what no frame covers is clear."""
    with path.open("r+b") as file:
        head = file.read(21)
        if head[12:16] == b"VP8X":
            file.seek(20)
            file.write(bytes([head[20] | 0x10]))


def _few_colors(picture: Image.Image) -> Image.Image:
    """Give each pixel one of 256 colours, or none where it is less than half opaque."""
    clear = np.asarray(picture.getchannel("A")) < 128
    colors = picture.convert("RGB").quantize(255 if clear.any() else 256)
    if not clear.any():
        return colors
    mapped = Image.frombytes("P", picture.size, np.where(clear, 255, np.asarray(colors)).astype(np.uint8).tobytes())
    mapped.putpalette([*(colors.getpalette() or []), *[0] * 768][:768])
    mapped.info["transparency"] = 255
    return mapped
