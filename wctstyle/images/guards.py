"""What stands around every call into Pillow: a limit on pixels, no warnings, one kind of error."""

from __future__ import annotations

import contextlib
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator

from PIL import Image

from wctstyle.errors import ImageError

#: Most pixels a picture may have unless the caller says otherwise: above every camera in common use (100
#: megapixels is medium format), and 1.2 GB once decoded to float32.
DEFAULT_MAX_PIXELS = 100_000_000

#: What a decoder may raise on a damaged file.
DECODER_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    Image.DecompressionBombError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


class UnsupportedError(ValueError):
    """A sound file of a kind that is not read; the words say what it is and what to do."""


_DAMAGED = "the file is damaged, incomplete or of a rare kind: export it as PNG, or download it again"


def check_size(size: tuple[int, int], limit: int, name: str) -> None:
    """Refuses a picture of more pixels than the limit."""
    width, height = size
    if limit and width * height > limit:
        raise _too_large(name, f"{width} x {height} = {width * height:,}", limit)


def webp_size(head: bytes) -> tuple[int, int] | None:
    """Read width and height from the first 30 bytes of a WebP file; None if they hold none.

    Pillow allocates the whole canvas on opening, so the size has to be known before (RFC 9649, 2.5 to 2.7).
    """
    kind, body = head[12:16], head[20:30]
    if len(body) < 10:
        return None
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L" and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    return None


def _too_large(name: str, pixels: str, limit: int) -> ImageError:
    return ImageError(
        f"{name}: has {pixels} pixels, over the limit of {limit:,}; make it smaller, or raise the limit with "
        "--max-pixels (0 means no limit)"
    )


class _QuietPillow:
    """Silences the warnings of Pillow and its plugins while any thread is in it.

    `warnings.catch_warnings` alone would, with two threads in it at once, restore the filters in the wrong
    order and leave ours behind. So the first thread in sets the filters and the last one out restores them.
    The same goes for Pillow's own bomb limit, which is lifted only for calls that allow more than it does.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._silent = 0
        self._lifted = 0
        self._filters = contextlib.ExitStack()
        self._pillow_limit: int | None = None

    @contextlib.contextmanager
    def __call__(self, limit: int) -> Iterator[None]:
        """Silences the body; with a limit of 0 or above Pillow's, lifts Pillow's too."""
        with self._lock:
            pillow_limit = Image.MAX_IMAGE_PIXELS
            lift = self._lifted > 0 or (pillow_limit is not None and not 0 < limit <= 2 * pillow_limit)
            if self._silent == 0:
                self._filters.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", module=r"(PIL|pillow_heif)(\.|$)")
            if lift and self._lifted == 0:
                self._pillow_limit, Image.MAX_IMAGE_PIXELS = pillow_limit, None
            self._silent += 1
            self._lifted += lift
        try:
            yield
        finally:
            with self._lock:
                self._silent -= 1
                self._lifted -= lift
                if lift and self._lifted == 0:
                    Image.MAX_IMAGE_PIXELS = self._pillow_limit
                if self._silent == 0:
                    self._filters.close()


quiet_pillow = _QuietPillow()


@contextlib.contextmanager
def decoding(name: str, kind: str, limit: int) -> Iterator[None]:
    """Silences the body and turns what a decoder raises into an ImageError that names the source and a remedy."""
    try:
        with quiet_pillow(limit):
            yield
    except MemoryError as error:
        raise ImageError(f"{name}: not enough memory to decode this {kind}; make it smaller first") from error
    except Image.DecompressionBombError as error:  # from within an opener, so the size is only in the words
        found = re.search(r"\((\d+) pixels\)", str(error))
        raise _too_large(name, f"{int(found[1]):,}" if found else "too many", limit) from error
    except UnsupportedError as error:
        raise ImageError(f"{name}: {error}") from error
    except DECODER_ERRORS as error:
        reason = str(error).strip().rstrip(".")
        if not reason or not isinstance(error, OSError | SyntaxError | ValueError | RuntimeError):
            reason = f"its structure is broken ({type(error).__name__})"
        elif "not identified" in reason:  # Pillow, of a header without a valid size or kind of pixels
            reason = "its header is broken"
        raise ImageError(f"{name}: cannot decode this {kind}: {reason}; {_DAMAGED}") from error
