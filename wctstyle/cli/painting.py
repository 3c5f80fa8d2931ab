"""Doing the jobs of a command: here, in processes or on Ray, with progress, lines of output, a report and a sheet."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from wctstyle import images, places
from wctstyle.cli.console import EXIT_INPUT, fail, progress_bar, say, tell, warn
from wctstyle.cli.options import option_names, with_option_names
from wctstyle.cli.outputs import STDOUT, check_free, check_suffix, is_sink, write_to
from wctstyle.errors import ConfigError
from wctstyle.files import temporary_name
from wctstyle.jobs.cluster import Cluster
from wctstyle.jobs.processes import Processes
from wctstyle.jobs.scheduling import TRIES, Lost, run
from wctstyle.jobs.sheets import MOST, contact_sheet
from wctstyle.jobs.work import Done, Job, Painter


@dataclass(frozen=True)
class Way:
    """How jobs are done and told of.

    workers: processes; None with Ray for as many as there is room for. ray: use Ray, at this address if not "". sheet:
    the file of the contact sheet; styles: what each photo is painted in, one after another, for its head.
    """

    workers: int | None = 1
    ray: str | None = None
    keep_going: bool = True
    report: str | None = None
    sheet: str | None = None
    styles: Sequence[str] = ()
    as_json: bool = False
    verbose: int = 0

    def check(self, results: int, *, overwrite: bool, inputs: Sequence[str]) -> None:
        """Refuse a report or sheet that cannot be written, before there are results.

        Raises:
            ConfigError: there are too many pictures for a sheet.
            ImageError: a file exists, is read, or has no suffix of a format.
        """
        if self.sheet is not None:
            check_suffix(f"--sheet {self.sheet}", os.path.splitext(self.sheet)[1] or ".")
            if results > MOST:
                raise ConfigError(
                    f"--sheet {self.sheet}: is for up to {MOST} results, here are {results}; leave it out"
                )
        for option, file in (("--sheet", self.sheet), ("--report", self.report)):
            if file is not None:
                check_free([Path(file)], overwrite=overwrite, inputs=inputs, what=f"{option} {{path}}", other="name")


def paint_all(jobs: Sequence[Job], painter: Painter, way: Way, *, left: Sequence[Job] | None = None) -> None:
    """Do all jobs, or those that are `left`, and tell their results; of several, one that fails stops no other.

    Exits with code 2 where one has failed, after naming each.
    """
    left = jobs if left is None else left
    failed: dict[str, list[str]] = {}
    lost: set[int] = set()
    stayed = 0
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with _report_file(way.report) as report, progress_bar(*columns, TimeRemainingColumn()) as progress:
        task = progress.add_task("", total=len(left))
        with contextlib.closing(_done(left, painter, way, functools.partial(progress.update, task))) as done:
            for job, result in done:
                progress.update(task, description=job.content, advance=1)
                line = _line(job, result)
                if report is not None:
                    report.write(json.dumps(_reported(job, line)) + "\n")
                    report.flush()
                _tell(line, result, progress, way)
                stayed += line.get("stayed", False)
                if "error" in line:
                    failed.setdefault(line["error"], []).append(job.content)
                    lost.add(id(job))
                    if not way.keep_going:
                        break
    if stayed:
        tell(f"{stayed} of {len(left)} results are there already; they are left as they are")
    if way.sheet is not None:
        _save_sheet(way.sheet, [None if id(job) in lost else job.output for job in jobs], jobs, way.styles)
    if failed:
        listed = "\n".join(_failure(error, contents) for error, contents in failed.items())
        fail(f"{len(lost)} of {len(left)} pictures failed:\n{listed}", EXIT_INPUT, traced=False)


def _failure(error: str, contents: Sequence[str]) -> str:
    """Name the photos of an error that is about another file, as a mask of theirs."""
    if all(content in error for content in contents):
        return error
    count = len(contents) - 1
    return contents[0] + (f" and {count} more" if count else "") + f": {error}"


def _done(
    jobs: Sequence[Job], painter: Painter, way: Way, update: Callable[..., None]
) -> Generator[tuple[Job, Done | Lost], None, None]:
    """Do the jobs, here where that is enough; errors of a single one are raised as they are."""
    if way.ray is None and (len(jobs) == 1 or way.workers == 1):
        for job in jobs:
            update(description=job.content)
            yield job, _done_here(job, painter, update, alone=len(jobs) == 1)
        return
    size = None if way.workers is None else min(way.workers, len(jobs))
    pool = Processes(size or 1) if way.ray is None else Cluster(way.ray or None, size)
    yield from run(
        jobs,
        pool,
        sent=(lambda job: job) if way.ray is None else Job.anywhere,
        name=lambda number, count: temporary_name(),
        discard=lambda job, temporary: places.discard(job.output, temporary),
        lost=lambda job, why: warn(f"{job.content}: the worker that painted it {why}"),
    )


def _done_here(job: Job, painter: Painter, update: Callable[..., None], *, alone: bool) -> Done:
    def refining(step: int, steps: int) -> None:
        update(description=f"{job.content}, refined {step} of {steps} steps")

    def painting(tile: int, tiles: int) -> None:
        update(description=f"{job.content}, painted {tile} of {tiles} tiles")

    write = functools.partial(write_to, Path(job.output)) if is_sink(job.output) else None
    if not alone:
        return painter.do(job, write=write, refining=refining, painting=painting)
    with option_names():
        figures = painter.figures(job, write=write, refining=refining, painting=painting)
    return Done(figures, stayed=figures is None, warnings=tuple(painter.warnings))


def _line(job: Job, result: Done | Lost) -> dict[str, Any]:
    """Say what became of a job; raises what stops all of them."""
    if isinstance(result, Lost):
        why = f"{job.content}: {TRIES} workers ended while they painted it; the last one {result.why}"
        return {"content": job.content, "error": why}
    if result.fatal is not None:
        raise result.fatal
    for warning in dict.fromkeys(result.warnings):
        warn(warning)
    if result.error:
        return {"content": job.content, "error": with_option_names(result.error)}
    if result.stayed:
        return {"content": job.content, "output": job.output, "stayed": True}
    return {**(result.figures or {}), "content": job.content, "output": job.output}


def _reported(job: Job, line: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of the report; seconds are None where nothing was painted."""
    seconds = line["seconds"]["total"] if "seconds" in line else None
    row = {} if job.line is None else {"line": job.line}
    kept = {name: line[name] for name in ("content", "output", "error", "stayed") if name in line}
    return {**row, **kept, "seconds": seconds}


def _tell(line: Mapping[str, Any], result: Done | Lost, progress: Progress, way: Way) -> None:
    if way.as_json:
        say(json.dumps(line), progress)
    elif "output" in line and line["output"] != STDOUT and not line.get("stayed"):
        say(line["output"], progress)
    if way.verbose >= 2 and isinstance(result, Done) and result.trace:
        tell(result.trace.rstrip())
    if way.verbose and "seconds" in line:
        progress.console.print(_timings(line))


@contextlib.contextmanager
def _report_file(path: str | None) -> Iterator[IO[str] | None]:
    if path is None:
        yield None
        return
    with open(path, "w", encoding="utf-8") as file:
        yield file


def _save_sheet(path: str, results: Sequence[str | None], jobs: Sequence[Job], styles: Sequence[str]) -> None:
    """Save a sheet of the results; of every photo in every style, with photos at the left and styles above."""
    cells, count = list(results), len(styles)
    if styles:
        lines = [[jobs[first].content, *cells[first : first + count]] for first in range(0, len(cells), count)]
        cells = [None, *styles, *itertools.chain.from_iterable(lines)]
    images.save(path, contact_sheet(cells, count + 1 if styles else None))
    tell(f"{path}: all results on one sheet")


def _timings(report: Mapping[str, Any]) -> Table:
    title = "{content}: {width} x {height}, {model} on {device}".format_map(report)
    if report["first_call"]:
        title += ", first picture of this size"
    table = Table("step", title=Text(title), title_justify="left", box=None)
    table.add_column("seconds", justify="right")
    for name, seconds in report["seconds"].items():
        table.add_row(name, f"{seconds:.3f}")
    return table
