"""PyAV and OpenCV, imported where they are first needed, and what PyAV raises said as an error of this package."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from wctstyle.errors import ConfigError, ImageError


def missing() -> str:
    """Say what to do where the extra `video` is not installed; "" where it is. Nothing is imported."""
    lacking = [library for library, module in (("PyAV", "av"), ("OpenCV", "cv2")) if find_spec(module) is None]
    return f"Videos need {' and '.join(lacking)}: pip install 'wctstyle[video]'" if lacking else ""


def pyav() -> ModuleType:
    """Import PyAV. Its log stays off: called from its threads it can lock Python up.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise ConfigError(f"videos need PyAV ({error}); install it with: pip install 'wctstyle[video]'") from error
    return av


def opencv() -> Any:
    """Import OpenCV.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module("cv2")
    except ImportError as error:
        raise ConfigError(
            f"calm video needs OpenCV ({error}); install it with: pip install 'wctstyle[video]', or give calm 0"
        ) from error


def tag(metadata: Mapping[str, str], name: str) -> str:
    """Return a tag by its name in any case, as containers spell it differently; "" if there is none."""
    return next((value for key, value in metadata.items() if key.lower() == name), "")


@contextlib.contextmanager
def av_errors(name: str, doing: str, remedy: str) -> Iterator[None]:
    """Turn what FFmpeg refuses into an ImageError; what the system refuses stays an OSError with its number."""
    av = pyav()
    try:
        yield
    except av.error.FFmpegError as error:
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError) and (error.errno or 0) < 1000:
            raise OSError(error.errno, error.strerror, name) from error
        raise ImageError(f"{name}: cannot be {doing}: {error.strerror}; {remedy}") from error
