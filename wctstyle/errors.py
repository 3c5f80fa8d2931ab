"""The exception hierarchy. Each message states the problem, the value received, the value expected and the remedy."""

from __future__ import annotations

from collections.abc import Sequence


class WctStyleError(Exception):
    """Base class of every error that this package raises on bad input.

    Example:
        >>> from wctstyle import Settings
        >>> try:
        ...     Settings(strength=9)
        ... except WctStyleError as error:
        ...     print(error)
        strength is 9, must be between 0 and 1.5
    """


class ConfigError(WctStyleError):
    """An option or argument has an invalid value.

    Example:
        >>> from wctstyle import samples
        >>> samples.names("photo")
        Traceback (most recent call last):
        wctstyle.errors.ConfigError: kind of sample: got 'photo', must be 'content' or 'style'; choose one of the two
    """


class ImageError(WctStyleError):
    """A picture cannot be read, is too large, or cannot be written.

    Example:
        >>> from wctstyle import images
        >>> images.load("no-such-file.png")
        Traceback (most recent call last):
        wctstyle.errors.ImageError: no-such-file.png: there is no such file; check the name and the folder
    """


class WeightsError(WctStyleError):
    """A weights file is missing, damaged or has the wrong shape. Lists all problems at once.

    Example:
        >>> WeightsError(["a.safetensors: damaged", "b.safetensors: missing"]).problems
        ('a.safetensors: damaged', 'b.safetensors: missing')
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class NonFiniteError(WctStyleError):
    """A computation produced NaN or infinity. Names the level (1..5) where it occurred, if known.

    Example:
        >>> error = NonFiniteError("the code is not finite", level=4)
        >>> str(error), error.level
        ('the code is not finite (at relu4_1)', 4)
    """

    def __init__(self, message: str, *, level: int | None = None) -> None:
        self.level = level
        super().__init__(message if level is None else f"{message} (at relu{level}_1)")


class WorkerError(WctStyleError):
    """The processes that do the work cannot be started, or end at once.

    Example:
        >>> isinstance(WorkerError("the cluster cannot be reached"), WctStyleError)
        True
    """
