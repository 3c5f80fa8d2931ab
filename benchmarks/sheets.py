"""Contact sheets: rows of content, style and results at a size to look at, with a label under each."""

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


def contact_sheet(rows: Sequence[Sequence[Tile]], *, tile_height: int = 384) -> UInt8[np.ndarray, "h w 3"]:
    """Lay out rows of tiles in columns, each tile scaled to `tile_height` pixels high with its label below."""
    font = ImageFont.load_default(FONT_SIZE)
    scaled = [
        [
            (Image.fromarray(t.pixels).resize(_size(t.pixels, tile_height), Image.Resampling.LANCZOS), t.label)
            for t in row
        ]
        for row in rows
    ]
    columns = max(len(row) for row in scaled)
    widths = [max((row[i][0].width for row in scaled if i < len(row)), default=0) for i in range(columns)]
    row_height = tile_height + LABEL_HEIGHT + GAP
    sheet = Image.new("RGB", (sum(widths) + GAP * (columns + 1), GAP + row_height * len(scaled)), PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, row in enumerate(scaled):
        top, left = GAP + i * row_height, GAP
        for (tile, label), width in zip(row, widths, strict=False):
            sheet.paste(tile, (left, top))
            draw.text((left, top + tile_height + 3), _fitted(label, font, width), fill=INK, font=font)
            left += width + GAP
    return np.asarray(sheet)


def _size(pixels: UInt8[np.ndarray, "h w 3"], tile_height: int) -> tuple[int, int]:
    height, width = pixels.shape[:2]
    return max(1, round(width * tile_height / height)), tile_height


class SheetWriter:
    """Collects rows and writes a sheet to `folder` whenever `rows_per_sheet` are there (sheet_01.jpg, ...)."""

    def __init__(self, folder: Path, *, rows_per_sheet: int = 6, tile_height: int = 384) -> None:
        self.folder, self.rows_per_sheet, self.tile_height = folder, rows_per_sheet, tile_height
        self.written: list[Path] = []
        self._rows: list[Sequence[Tile]] = []
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, row: Sequence[Tile]) -> None:
        """Add one row; writes a sheet if it is the last that fits."""
        self._rows.append(row)
        if len(self._rows) == self.rows_per_sheet:
            self.finish()

    def finish(self) -> None:
        """Write the rows that are left, if any."""
        if self._rows:
            sheet = contact_sheet(self._rows, tile_height=self.tile_height)
            path = self.folder / f"sheet_{len(self.written) + 1:02d}.jpg"
            self.written.append(images.save(path, sheet, quality=90))
            self._rows = []
