"""The exception hierarchy. Each message states the problem, the value received, the value expected and the remedy."""

from __future__ import annotations

from collections.abc import Sequence


class WctStyleError(Exception):
    """Base class of every error that this package raises on bad input."""


class ConfigError(WctStyleError):
    """An option or argument has an invalid value."""


class ImageError(WctStyleError):
    """A picture cannot be read, is too large, or cannot be written."""


class WeightsError(WctStyleError):
    """A weights file is missing, damaged or has the wrong shape. Lists all problems at once."""

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class NonFiniteError(WctStyleError):
    """A computation produced NaN or infinity. Names the level (1..5) where it occurred, if known."""

    def __init__(self, message: str, *, level: int | None = None) -> None:
        self.level = level
        super().__init__(message if level is None else f"{message} (at relu{level}_1)")


class WorkerError(WctStyleError):
    """The processes that do the work cannot be started, or end at once."""
