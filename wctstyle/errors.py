"""One tree of errors. Each message says what was wrong, what was got, what was wanted and what to do."""

from __future__ import annotations

from collections.abc import Sequence


class WctStyleError(Exception):
    """Base of every error this package raises on bad input."""


class ConfigError(WctStyleError):
    """An option or argument has a value that makes no sense."""


class ImageError(WctStyleError):
    """A picture cannot be read, is too large, or cannot be written."""


class WeightsError(WctStyleError):
    """A weights file is missing, damaged or of another shape; lists all problems at once."""

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class NonFiniteError(WctStyleError):
    """A computation produced NaN or infinity; names the level (1..5) where it was seen, if known."""

    def __init__(self, message: str, *, level: int | None = None) -> None:
        self.level = level
        super().__init__(message if level is None else f"{message} (at relu{level}_1)")
