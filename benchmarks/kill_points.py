"""Commands that write, killed before each of their changes of files: every state of a folder that a kill can leave.

Run as `python -m benchmarks.kill_points`; README.md beside this file tells what the figures mean.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import kills, report
from wctstyle.errors import ConfigError, WctStyleError

CHANGES = {"open", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate"}
"""Python's audit events of calls that change files. What libraries do by themselves is not seen."""

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def dying(folder: Path, number: int) -> Callable[[], None]:
    """Return what kills the process that calls it before its change of that number in a folder, counted from 0.

    Paths that are relative to an open folder, as of `shutil.rmtree`, count as inside.
    """
    inside, log, counted = f"{os.path.realpath(folder)}{os.sep}", str(folder / "log.txt"), itertools.count()

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in CHANGES or not isinstance(arguments[0], str | os.PathLike):
            return
        if event == "open" and not arguments[2] & WRITES:
            return
        path = os.path.abspath(arguments[0])
        if path.startswith(inside) and path != log and next(counted) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    return lambda: sys.addaudithook(watch)


def at_each(run: kills.Kills) -> None:
    """Kill a command at each of its changes in turn, and let it end each time."""
    run.first()
    for number in itertools.count():
        folder = run.folder()
        code = kills.ended(kills.start(run.command.arguments, folder, before=dying(folder, number)), kills.LONGEST)
        if code == 0:
            return
        if code != -signal.SIGKILL:
            raise ConfigError(f"{run.name} ended with {code}: {(folder / 'log.txt').read_text()[-500:]}")
        run.kills += 1
        run.check(folder, complete=False)
        run.complete(folder)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status: 1 when something was found."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kill_points", description=__doc__)
    parser.add_argument("--command", choices=(*kills.COMMANDS,), nargs="*", default=[*kills.COMMANDS], help="which")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    args = parser.parse_args(argv)
    found: list[kills.Kills] = []
    try:
        with kills.prepared() as base:
            for name in args.command:
                found.append(kills.Kills(name, kills.COMMANDS[name], base, random.Random(0)))
                at_each(found[-1])
        rows = [[run.name, *map(str, (run.kills, run.completions, run.left, len(run.findings)))] for run in found]
        table = report.table(["command", "kills", "run to the end after", "temporary files left", "wrong"], rows)
        lines = "".join(f"- {run.name}: {finding}\n" for run in found for finding in run.findings)
        figures = {run.name: {"kills": run.kills, "findings": run.findings} for run in found}
        report.publish(report.circumstances("benchmarks.kill_points", argv), f"{table}\n{lines}", figures, args.json)
    except WctStyleError as error:
        return report.failed(error)
    return 1 if any(run.findings for run in found) else 0


if __name__ == "__main__":
    sys.exit(main())
