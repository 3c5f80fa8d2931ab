"""Pixels of a picture that is too large for memory, in a temporary file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import numpy as np

from wctstyle.errors import ImageError
from wctstyle.images.picture import Part, as_floats, as_kind

KIND = np.dtype(np.uint16)


class Scratch:
    """A picture in a temporary file, read and written part by part as an array of floats is; it keeps 16 bits.

    A context: the file is gone at its end.

    Raises:
        ImageError: there is no room for it on the disk.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self._width = shape[1]
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `__exit__`

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def _spans(self, part: Part) -> Iterator[int]:
        """Go to the first pixel of each row of a part."""
        for row in range(part[0].start, part[0].stop):
            yield self._file.seek((row * self._width + part[1].start) * 3 * KIND.itemsize)

    def __getitem__(self, part: Part) -> np.ndarray:
        sides = tuple(span.stop - span.start for span in part)
        found = np.empty((*sides, 3), KIND)
        for row, _ in zip(found, self._spans(part), strict=True):
            self._file.readinto(row.data)
        return as_floats(found)

    def __setitem__(self, part: Part, rgb: np.ndarray) -> None:
        try:
            for row, _ in zip(rgb, self._spans(part), strict=True):
                self._file.write(np.ascontiguousarray(as_kind(row, KIND)).data)
            self._file.flush()
        except OSError as error:
            raise ImageError(
                f"temporary file in {tempfile.gettempdir()}: {error.strerror}; make room there, or name another folder "
                "in TMPDIR"
            ) from error
