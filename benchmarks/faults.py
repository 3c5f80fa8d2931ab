"""Commands that write on a full disk, in a folder that is read-only, by a clock that runs back, and two at once.

Run as `python -m benchmarks.faults` as root; README.md beside this file tells what the figures mean.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import report
from benchmarks.kills import COMMANDS, LONGEST, Kills, ended, prepared, start
from wctstyle.errors import ConfigError, WctStyleError

LARGE = "vgg.npz"
"""An input that only `weights import` reads."""


@dataclass
class Outcome:
    """What a command did under a fault."""

    fault: str
    command: str
    code: int | None
    words: str
    wrong: str


def without_rights() -> None:
    """Take from this process what root may do beyond others, so that the modes of files count (capset(2))."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    if ctypes.CDLL(None, use_errno=True).capset(header, (ctypes.c_uint32 * 6)()):
        raise OSError(ctypes.get_errno(), "capset")


def clock_back() -> None:
    """Let the clock run back from now on, an hour each second."""
    begun, at = time.time(), time.monotonic()
    time.time = lambda: begun - 3600 * (time.monotonic() - at)


@contextlib.contextmanager
def small_disk(folder: Path, files: Sequence[Path]) -> Iterator[None]:
    """Mount a disk on a folder with some files on it and no more space.

    Raises:
        ConfigError: this process may not mount.
    """
    folder.mkdir()
    pages = sum(-(-path.stat().st_size // 4096) for source in files for path in _all(source))
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={4096 * pages}", "tmpfs", folder], capture_output=True, check=False
    )
    if done.returncode:
        raise ConfigError(f"a small disk cannot be mounted: {done.stderr.decode().strip()}; run it as root")
    try:
        for source in files:
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, folder / source.name)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)
        folder.rmdir()


def _all(source: Path) -> list[Path]:
    return [path for path in source.rglob("*") if path.is_file()] if source.is_dir() else [source]


class Faults:
    """Commands under faults, in a folder with their inputs."""

    def __init__(self, base: Path) -> None:
        self.base, self.log = base, base / "log.txt"
        self.outcomes: list[Outcome] = []

    def run(self, name: str) -> None:
        """Run a command under each fault."""
        kills = Kills(name, COMMANDS[name], self.base, random.Random(0))
        kills.first()
        files = [path for path in (self.base / "inputs").iterdir() if path.name != LARGE or name == "import"]
        full = self.base / "full"
        with small_disk(full, files):
            self._refused("full disk", kills, full, r"disk is full|[Nn]o space")
        folder = kills.folder()
        (folder / "home" / "looks").mkdir(parents=True)
        (folder / "home" / "weights").mkdir()
        inner = [folder / "home" / "looks", folder / "home" / "weights", folder / "home", folder]
        for place in inner:
            place.chmod(0o555)
        self._refused("read-only folder", kills, folder, r"[Pp]ermission", without_rights)
        for place in inner:
            place.chmod(0o755)
        folder = kills.folder()
        code = ended(self._start(kills, folder, clock_back), LONGEST)
        self._same("clock runs back", kills, folder, [code], [0])
        folder = kills.folder()
        pids = [self._start(kills, folder, lambda: None) for _ in range(2)]
        self._same("two at once", kills, folder, [ended(pid, LONGEST) for pid in pids], [0, 2])

    def _start(self, kills: Kills, folder: Path, before: Callable[[], None]) -> int:
        self.log.write_text("")
        return start(kills.command.arguments, folder, log=self.log, before=before)

    def _refused(
        self, fault: str, kills: Kills, folder: Path, says: str, before: Callable[[], None] = lambda: None
    ) -> None:
        import re

        code = ended(self._start(kills, folder, before), LONGEST)
        words, wrong = self.log.read_text(errors="replace"), []
        if code != 2:
            wrong.append(f"ended with {code}")
        if "Traceback" in words:
            wrong.append("a traceback")
        if not re.search(says, words):
            wrong.append("does not say why")
        for result, data in kills.wanted.items():
            if (folder / result).exists() and (folder / result).read_bytes() != data:
                wrong.append(f"{result} is half there")
        if left := [str(path.relative_to(folder)) for path in folder.rglob(".wctstyle-*")]:
            wrong.append(f"leaves {left}")
        self._note(fault, kills.name, code, words, ", ".join(wrong))

    def _same(
        self, fault: str, kills: Kills, folder: Path, codes: Sequence[int | None], allowed: Sequence[int]
    ) -> None:
        words, wrong = self.log.read_text(errors="replace"), []
        if 0 not in codes or not {*codes} <= {*allowed}:
            wrong.append(f"ended with {codes}")
        if "Traceback" in words:
            wrong.append("a traceback")
        before = len(kills.findings)
        kills.check(folder, complete=True)
        wrong += kills.findings[before:]
        self._note(fault, kills.name, max((code or 0 for code in codes), key=abs), words, ", ".join(wrong))

    def _note(self, fault: str, command: str, code: int | None, words: str, wrong: str) -> None:
        last = " ".join(words.strip().splitlines()[-6:])[-400:]
        self.outcomes.append(Outcome(fault, command, code, last, wrong))
        report.say(f"{command}, {fault}: {code} {wrong or 'as it should'}: {last}")


def markdown(outcomes: Sequence[Outcome]) -> str:
    """Write what came of each command under each fault."""
    faults = list(dict.fromkeys(one.fault for one in outcomes))
    commands = list(dict.fromkeys(one.command for one in outcomes))
    told = {(one.command, one.fault): f"{one.code}{', wrong' if one.wrong else ''}" for one in outcomes}
    rows = [[command, *(told.get((command, fault), "") for fault in faults)] for command in commands]
    lines = "".join(f"- {one.command}, {one.fault}: {one.wrong}: {one.words}\n" for one in outcomes if one.wrong)
    return f"{report.table(['exit status', *faults], rows)}\n{lines}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status: 1 when something was found."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--command", choices=(*COMMANDS,), nargs="*", default=[*COMMANDS], help="all by default")
    args = parser.parse_args(argv)
    try:
        if os.geteuid():
            raise ConfigError("a full disk has to be mounted; run it as root")
        with prepared() as base:
            faults = Faults(base)
            for name in args.command:
                faults.run(name)
        report.publish(report.circumstances("benchmarks.faults", argv), markdown(faults.outcomes), {}, None)
    except WctStyleError as error:
        return report.failed(error)
    return 1 if any(one.wrong for one in faults.outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
