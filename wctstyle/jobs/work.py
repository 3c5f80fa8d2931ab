"""One job: a photo, how it is painted, and where the result goes; and who does such jobs one after another."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from wctstyle import places
from wctstyle.batch import Batch, Setup, load_stylizer
from wctstyle.errors import ImageError, NonFiniteError, WctStyleError
from wctstyle.inputs import RegionSpecs
from wctstyle.masks import split_color
from wctstyle.recent import Recent

if TYPE_CHECKING:
    from wctstyle.stylizer import Stylizer

BATCHES = 4
"""Setups of which a painter keeps the styles: the rows of a manifest may each have their own."""


@dataclass(frozen=True)
class Job:
    """A photo, its setup, and the place of the result.

    format: of a result whose place has no suffix. there: what is done where the place is taken; `keep` leaves the
    result of this job, by its recipe. line: of the manifest that names it; None without one.
    """

    content: str
    output: str
    setup: Setup
    format: str | None = None
    there: Literal["replace", "keep", "refuse"] = "replace"
    line: int | None = None

    def anywhere(self) -> Job:
        """Return a job that means the same in another current folder."""

        def named(source: str) -> str:
            return places.absolute(source) if os.path.exists(split_color(source)[0]) else source

        setup = self.setup
        return replace(
            self,
            content=named(self.content),
            output=places.absolute(self.output),
            setup=replace(
                setup,
                styles=tuple(
                    replace(spec, source=named(spec.source), mask=named(spec.mask) if spec.mask else "")
                    for spec in setup.styles
                ),
                regions=RegionSpecs(
                    {name: named(file) for name, file in setup.regions.masks.items()},
                    setup.regions.dials,
                    setup.regions.feather,
                ),
            ),
        )


@dataclass(frozen=True)
class Done:
    """What became of a job: its figures, or why it failed.

    figures: of `Batch.make`; None of a picture that failed, or was there already (`stayed`). trace: where a fault of
    this program was found. fatal: an error that every other picture would have too.
    """

    figures: dict[str, Any] | None = None
    stayed: bool = False
    warnings: tuple[str, ...] = ()
    error: str = ""
    trace: str = ""
    fatal: WctStyleError | None = None


class Painter:
    """Does jobs one after another. Models are loaded once; styles of the last few setups are kept, photos never."""

    def __init__(self) -> None:
        self._batches: Recent[Batch] = Recent(BATCHES)
        self._stylizers: dict[str, Stylizer] = {}
        self.warnings: list[str] = []

    def batch(self, setup: Setup) -> Batch:
        """Return the batch of a setup; its styles and masks are read.

        Raises:
            ImageError: one of them cannot be read.
        """
        return self._batches.get(repr(setup), lambda: Batch(setup, warn=self.warnings.append, load=self._stylizer))

    def _stylizer(self, model: str) -> Stylizer:
        if model not in self._stylizers:
            self._stylizers[model] = load_stylizer(model)
        return self._stylizers[model]

    def figures(
        self,
        job: Job,
        *,
        write: Callable[[bytes], object] | None = None,
        refining: Callable[[int, int], None] = lambda step, steps: None,
        painting: Callable[[int, int], None] = lambda tile, tiles: None,
    ) -> dict[str, Any] | None:
        """Do a job; returns the figures of `Batch.make`, which see, or None where its result was there already.

        Raises:
            ImageError: a picture cannot be read or written, or the place is taken.
            NonFiniteError: the result is not finite.
        """
        batch = self.batch(job.setup)
        if job.there != "replace" and places.exists(job.output):
            if job.there == "refuse":
                raise ImageError(f"{job.output}: exists already; give --overwrite to replace it, or another name")
            if batch.made(job.content, job.output):
                return None
            raise ImageError(
                f"{job.output}: is the result of another photo or of other settings; give --overwrite to replace it, "
                "or another name"
            )
        return batch.make(job.content, job.output, format=job.format, write=write, refining=refining, painting=painting)

    def do(self, job: Job, **how: Any) -> Done:
        """Do as `figures`; what is wrong with the job's pictures is told in what is returned."""
        try:
            figures = self.figures(job, **how)
            return Done(figures, stayed=figures is None, warnings=tuple(self.warnings))
        except (ImageError, NonFiniteError) as error:
            return Done(error=str(error), warnings=tuple(self.warnings), trace=traceback.format_exc())
        except WctStyleError as error:
            return Done(fatal=error)
        except Exception as error:  # noqa: BLE001 (one picture that the program cannot take leaves the others)
            text = " ".join(f"{type(error).__name__}: {error}".split())
            return Done(error=f"{job.content}: {text} (a fault of wctstyle)", trace=traceback.format_exc())
        finally:
            self.warnings.clear()


def paint(painter: Painter, job: Job, temporary: str) -> Done:
    """Do a job in a worker, which writes the result under a temporary name first."""
    return painter.do(job, write=lambda data: places.write(job.output, data, temporary))
