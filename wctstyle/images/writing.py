"""Pictures to the bytes of a file, and to files, all or nothing."""

from __future__ import annotations

import contextlib
import io
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from wctstyle import files
from wctstyle.errors import ConfigError, ImageError
from wctstyle.images.arrays import checked_array, checked_values
from wctstyle.images.picture import as_kind, over
from wctstyle.images.profiles import from_srgb
from wctstyle.images.raster import slabs
from wctstyle.images.recipes import in_exif, recipe_text, wrapped
from wctstyle.images.rows import PillowRows, PngRows, Rows, TiffRows


@dataclass(frozen=True)
class _Writer:
    """What one format can hold, `deep` for 16 bits, and what Pillow is told; `max_side` in pixels, 0 for no limit."""

    suffixes: tuple[str, ...]
    keeps_alpha: bool
    max_side: int
    deep: bool
    options: Callable[[int], dict[str, Any]] | None = None
    """What Pillow is told, where it writes the format."""


#: Every format that can be written. JPEG at 4:4:4, as a style's saturated edges smear at half colour
#: resolution. The longest sides: JPEG as libjpeg has it (JPEG_MAX_DIMENSION), WebP's 14-bit fields (RFC 9649,
#: 2.5).
WRITERS: dict[str, _Writer] = {
    "PNG": _Writer((".png",), True, 0, True),
    "JPEG": _Writer((".jpg", ".jpeg"), False, 65500, False, lambda quality: {"quality": quality, "subsampling": 0}),
    "WEBP": _Writer((".webp",), True, 16383, False, lambda quality: {"quality": quality, "method": 4}),
    "TIFF": _Writer((".tif", ".tiff"), True, 0, True),
}


@dataclass(frozen=True)
class Kept:
    """What a file has of the photo's beside its pixels.

    bits: 8 or 16 per channel; JPEG and WebP hold 8. profile: an ICC profile of RGB, into which the pixels are converted
    from sRGB; None for sRGB. dpi: pixels per inch across and down.

    Example:
        >>> from wctstyle import images
        >>> data = encode(np.full((1, 1, 3), 0.3), kept=Kept(bits=16, dpi=(300, 300)))
        >>> images.load_raster(data).pixels.ravel().tolist(), [round(dots) for dots in images.load_raster(data).dpi]
        ([19660, 19660, 19660], [300, 300])
    """

    bits: int = 8
    profile: bytes | None = None
    dpi: tuple[float, float] | None = None


DEFAULT_QUALITY = 92
"""Of JPEG and WebP, from 1, the smallest file, to 100, the best picture."""


def encode(
    rgb: np.ndarray,
    alpha: np.ndarray | None = None,
    *,
    format: str = "png",
    quality: int = DEFAULT_QUALITY,
    recipe: dict[str, Any] | None = None,
    kept: Kept = Kept(),  # noqa: B008
) -> bytes:
    """Writes a picture as the bytes of a PNG, JPEG, WebP or TIFF file.

    The same input gives the same bytes (with the same Pillow and zlib). JPEG has no transparency, so there the picture
    is laid over white. PNG and TIFF are lossless.

    Args:
        rgb: sRGB, uint8 or float in [0, 1], "h w 3" (also "h w", "h w 1" and "h w 4").
        alpha: opacity in [0, 1] of shape "h w", float or uint8; replaces a fourth channel of `rgb`.
        format: "png", "jpeg", "webp" or "tiff", or one of their suffixes.
        quality: 1 to 100, of JPEG and WebP.
        recipe: how the picture was made, anything JSON can hold, kept in the file for `read_recipe`: in PNG
            as the iTXt chunk "wctstyle", in JPEG and WebP as ``{"wctstyle": recipe}`` in EXIF's UserComment,
            in TIFF likewise in ImageDescription.
        kept: bits per channel, profile and resolution; by default 8 bits without an ICC profile, which means sRGB.

    Raises:
        ImageError: if the array is no picture, the format is unknown or cannot hold it or the recipe.
        ConfigError: if the quality is out of range.

    Example:
        >>> encode(np.zeros((2, 2, 3)), format="png")[1:4]
        b'PNG'
    """
    buffer = io.BytesIO()
    _encode(buffer, rgb, alpha, _format_of(format), quality, recipe, kept, "<array>")
    return buffer.getvalue()


def save(
    path: str | Path,
    rgb: np.ndarray,
    alpha: np.ndarray | None = None,
    *,
    quality: int = DEFAULT_QUALITY,
    recipe: dict[str, Any] | None = None,
    kept: Kept = Kept(),  # noqa: B008
) -> Path:
    """Writes a picture to a file whose suffix chooses the format, all or nothing; returns the path.

    The bytes go to a temporary file beside the target, which then takes its place; on any failure, an
    interrupt too, the old file is untouched and the temporary one is gone. Arguments as for `encode`.

    Raises:
        ImageError: if the suffix is unknown, the folder missing or the file not writable, and as `encode`.
        ConfigError: if the quality is out of range.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(Path(folder) / "black.png", np.zeros((2, 2, 3))).name
        'black.png'
    """
    path = Path(path)
    kind = _format_of(path.suffix, path)
    with replacing(path) as file:
        _encode(file, rgb, alpha, kind, quality, recipe, kept, str(path))
    return path


@contextlib.contextmanager
def saving(
    path: str | Path,
    shape: tuple[int, int],
    *,
    alpha: bool = False,
    quality: int = DEFAULT_QUALITY,
    recipe: dict[str, Any] | None = None,
    kept: Kept = Kept(),  # noqa: B008
) -> Iterator[RowWriter]:
    """Writes a picture of a height and width to a file as `save` does, some rows at a time.

    PNG and TIFF are written as the rows come in, JPEG and WebP when all are there. `alpha`: rows have opacity.

    Raises:
        ImageError, ConfigError: as `save`.

    Example:
        >>> import tempfile
        >>> from wctstyle import images
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with saving(Path(folder) / "grey.png", (4, 2)) as file:
        ...         for _ in range(2):
        ...             file.write(np.full((2, 2, 3), 0.5))
        ...     images.load(Path(folder) / "grey.png").rgb.shape
        (4, 2, 3)
    """
    path = Path(path)
    kind = _format_of(path.suffix, path)
    with replacing(path) as file:
        writer = RowWriter(file, shape, format=kind, alpha=alpha, quality=quality,
                           recipe=recipe, kept=kept, name=str(path))  # fmt: skip
        yield writer
        writer.end()


@contextlib.contextmanager
def replacing(path: Path, temporary: str | None = None) -> Iterator[BinaryIO]:
    """Opens what is to become a file, as `files.replacing` does.

    Raises:
        ImageError: it cannot be written; says why and what to do.
    """
    try:
        target = Path(os.path.realpath(path))  # through a link, as a plain write would go
        if not target.parent.is_dir():
            raise ImageError(f"{path}: there is no folder {target.parent} to save in; make it first")
        if target.is_dir():
            raise ImageError(f"{path}: is a folder, cannot be written as a picture; give a file name")
        with files.replacing(target, temporary) as file:
            yield file
    except (OSError, ValueError) as error:
        raise ImageError(
            f"{path}: cannot be written: {error}; check the folder's permissions and free space, or save elsewhere"
        ) from error


def check_quality(quality: int) -> None:
    """Refuses what is no quality, before there is a picture to write.

    Raises:
        ConfigError: if it is out of range.
    """
    if isinstance(quality, bool) or not isinstance(quality, int | np.integer) or not 1 <= quality <= 100:
        raise ConfigError(f"quality is {quality!r}, must be a whole number from 1 to 100")


def make_folder(folder: Path) -> None:
    """Makes a folder and those it lies in, where they are missing.

    Raises:
        ImageError: if it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImageError(f"{folder}: the folder cannot be made: {error.strerror or error}") from error


def _format_of(name: str, path: Path | None = None) -> str:
    """Names the writable format that a suffix or format name means."""
    wanted = "." + name.lower().lstrip(".")
    for kind, writer in WRITERS.items():
        if wanted in writer.suffixes:
            return kind
    known = ", ".join(suffix for writer in WRITERS.values() for suffix in writer.suffixes)
    what = f"{path}: cannot save with the suffix {name!r}" if path else f"cannot write the format {name!r}"
    raise ImageError(f"{what}; use one of {known}")


class RowWriter:
    """Writes a picture to an open file some rows at a time; `format` and all else as in `saving`.

    Raises:
        ImageError: the format is unknown, or cannot hold the size or the recipe; or the file cannot be written.
        ConfigError: the quality is out of range.

    Example:
        >>> from wctstyle import images
        >>> file = io.BytesIO()
        >>> writer = RowWriter(file, (4, 2))
        >>> for shade in (0.0, 1.0):
        ...     writer.write(np.full((2, 2, 3), shade))
        >>> writer.end()
        >>> images.load(file).rgb[:, 0, 0].tolist()
        [0.0, 0.0, 1.0, 1.0]
    """

    def __init__(
        self,
        file: BinaryIO,
        shape: tuple[int, int],
        *,
        format: str = "png",
        alpha: bool = False,
        quality: int = DEFAULT_QUALITY,
        recipe: dict[str, Any] | None = None,
        kept: Kept = Kept(),  # noqa: B008
        name: str = "<rows>",
    ) -> None:
        check_quality(quality)
        self._kind, self._name = _format_of(format), name
        self._writer = WRITERS[self._kind]
        height, width = shape
        if self._writer.max_side and max(shape) > self._writer.max_side:
            raise ImageError(
                f"{name}: is {width} x {height}, but {self._kind} holds at most {self._writer.max_side} pixels a "
                "side; save as PNG or TIFF, or make it smaller"
            )
        self._type = np.dtype(np.uint16 if kept.bits == 16 and self._writer.deep else np.uint8)
        self._convert = None if kept.profile is None else from_srgb(kept.profile)
        text = None if recipe is None else recipe_text(recipe, name)
        planes = (height, width, 4 if alpha and self._writer.keeps_alpha else 3)
        profile = kept.profile if self._convert else None
        rows = {"PNG": PngRows, "TIFF": TiffRows}.get(self._kind)
        if rows is not None:
            text = text if text is None or self._kind == "PNG" else wrapped(text)
            self._rows: Rows = rows(file, planes, 8 * self._type.itemsize, text=text, profile=profile, dpi=kept.dpi)
            return
        assert self._writer.options is not None
        options = self._writer.options(int(quality))
        extra = {"exif": text and in_exif(text, self._kind, name), "icc_profile": profile, "dpi": kept.dpi}
        options |= {key: value for key, value in extra.items() if value is not None}
        self._rows = PillowRows(file, planes, self._kind, options)

    def write(self, rgb: np.ndarray, alpha: np.ndarray | None = None) -> None:
        """Adds rows of floats in [0, 1], "h w 3" and "h w"."""
        if alpha is not None and not self._writer.keeps_alpha:
            rgb, alpha = over(rgb, alpha, (1.0, 1.0, 1.0)), None
        rgb = self._convert(rgb) if self._convert else rgb
        rows = rgb if alpha is None else np.concatenate([rgb, alpha[..., None]], axis=-1)
        with self._told():
            self._rows.write(as_kind(rows, self._type))

    def end(self) -> None:
        """Writes what comes after the last row."""
        with self._told():
            self._rows.end()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (MemoryError, OSError, ValueError, struct.error) as error:
            raise ImageError(f"{self._name}: cannot be written as {self._kind}: {error}; try PNG") from error


def _encode(
    file: BinaryIO,
    rgb: np.ndarray,
    alpha: np.ndarray | None,
    kind: str,
    quality: int,
    recipe: dict[str, Any] | None,
    kept: Kept,
    name: str,
) -> None:
    """Does the work of `encode` for a known format; `name` is for messages."""
    rgb, opacity = checked_array(np.asarray(rgb), name)
    if alpha is not None:
        opacity = np.asarray(alpha)
        if opacity.shape != rgb.shape[:2]:
            raise ImageError(
                f"{name}: its opacity has shape {opacity.shape}, wanted {rgb.shape[:2]}; resize it to match"
            )
        opacity = checked_values(opacity, f"{name} (opacity)")
    if opacity is not None and np.all(opacity == 1):
        opacity = None
    writer = RowWriter(file, rgb.shape[:2], format=kind, alpha=opacity is not None, quality=quality, recipe=recipe,
                       kept=kept, name=name)  # fmt: skip
    for rows in slabs(*rgb.shape[:2]):
        writer.write(rgb[rows], None if opacity is None else opacity[rows])
    writer.end()
