"""Contact sheets: small pictures of one size in rows, each with a word below it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont

TEXT, MARGIN = 14, 4
"""Height of the words and distance of the cells, in pixels."""


def sheet(
    cells: Float[np.ndarray, "n h w 3"], words: Sequence[str], *, columns: int | None = None
) -> Float[np.ndarray, "H W 3"]:
    """Lays out pictures on white, as many columns as rows unless told otherwise."""
    count, height, width, _ = cells.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    page = Image.new(
        "RGB", (columns * (width + MARGIN) + MARGIN, rows * (height + TEXT + MARGIN) + MARGIN), (255, 255, 255)
    )
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(TEXT - 2)
    for number, (cell, word) in enumerate(zip(cells, words, strict=True)):
        row, column = divmod(number, columns)
        left, top = MARGIN + column * (width + MARGIN), MARGIN + row * (height + TEXT + MARGIN)
        page.paste(Image.fromarray(np.rint(np.clip(cell, 0, 1) * 255).astype(np.uint8)), (left, top))
        draw.text((left + width / 2, top + height), word, fill=(0, 0, 0), font=font, anchor="ma")
    return np.asarray(page, np.float32) / 255
