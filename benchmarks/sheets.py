"""Contact sheets: content, style and results of a pair beside each other, pixel by pixel, with a label under each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from wctstyle import images

Rgb = Float[np.ndarray, "h w 3"]

PAPER, INK = (255, 255, 255), (20, 20, 20)
GAP = 8
LABEL_HEIGHT = 24
FONT_SIZE = 16
QUALITY = 95
"""Of the JPEG files, which keep colour at full resolution: grain and fog have to be seen as they are."""


@dataclass(frozen=True)
class Tile:
    """One picture on a sheet (8 bits per channel) and the words under it."""

    pixels: UInt8[np.ndarray, "h w 3"]
    label: str


def to_bytes(rgb: Rgb) -> UInt8[np.ndarray, "h w 3"]:
    """Round a picture in [0, 1] to 8 bits, as saving it would."""
    return np.floor(np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8)


def resize_to(rgb: Rgb, height: int, width: int) -> Rgb:
    """Resize to exactly this height and width, whatever the aspect (Lanczos, antialiased, through 8 bits)."""
    resized = Image.fromarray(to_bytes(rgb)).resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(resized, np.float32) / 255


def _fitted(label: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Shorten a label to fit a width in pixels."""
    if font.getlength(label) <= width:
        return label
    while label and font.getlength(label + "...") > width:
        label = label[:-1]
    return label + "..."


def contact_sheet(tiles: Sequence[Tile], *, columns: int) -> UInt8[np.ndarray, "h w 3"]:
    """Lay out tiles at their own size in lines of `columns`, each with its label below."""
    font = ImageFont.load_default(FONT_SIZE)
    lines = [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
    widths = [max(t.pixels.shape[1] for t in tiles[i::columns]) for i in range(min(columns, len(tiles)))]
    heights = [max(t.pixels.shape[0] for t in line) + LABEL_HEIGHT + GAP for line in lines]
    sheet = Image.new("RGB", (sum(widths) + GAP * (len(widths) + 1), sum(heights) + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    top = GAP
    for line, height in zip(lines, heights, strict=True):
        left = GAP
        for tile, width in zip(line, widths, strict=False):
            sheet.paste(Image.fromarray(tile.pixels), (left, top))
            below = top + tile.pixels.shape[0] + 3
            draw.text((left, below), _fitted(tile.label, font, tile.pixels.shape[1]), fill=INK, font=font)
            left += width + GAP
        top += height
    return np.asarray(sheet)


class SheetWriter:
    """Writes a sheet for each pair to `folder` (01_photo__painting.jpg, ...), pictures at their full size."""

    def __init__(self, folder: Path, *, columns: int = 4) -> None:
        self.folder, self.columns = folder, columns
        self.written: list[Path] = []
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, name: str, tiles: Sequence[Tile]) -> None:
        """Write the sheet of one pair."""
        path = self.folder / f"{len(self.written) + 1:02d}_{name}.jpg"
        self.written.append(images.save(path, contact_sheet(tiles, columns=self.columns), quality=QUALITY))
