"""Damaged files and odd calls: each is answered, or refused with a message that a stranger may read.

Run as `python -m benchmarks.fuzz`; README.md beside this file tells what the figures mean.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import resource
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks import mutations, report
from wctstyle.errors import ConfigError, WctStyleError

PATIENCE = 10.0
"""Processor seconds that a file may take."""

WALL = 60.0
"""Seconds by the clock, where the machine is loaded."""

ROOM = 1 << 30
"""Bytes of address space that reading one file may take: pictures have up to `mutations.MOST` pixels."""

MIB = 2**20

_ABSOLUTE = re.compile(r"(?<![\w/.:-])/(?:[\w.@+-]+/)+[\w.@+-]*")
_TRACE = re.compile(r"Traceback|File \"|, line \d+, in |0x[0-9a-f]{8,}|<class '")


def told(words: str, own: str = "") -> str:
    """Say what a message tells that it must not: a traceback, or another path than `own`; "" if nothing."""
    rest = words.replace(own, "") if own else words
    if found := _TRACE.search(rest):
        return f"tells of the inside: {found[0]}"
    if found := _ABSOLUTE.search(rest):
        return f"tells a path: {found[0]}"
    return ""


def judge(kind: str, folder: Path, suffix: str, data: bytes) -> tuple[str, str]:
    """Read a file; returns "read", "refused" or what is wrong, and the words."""
    try:
        mutations.read(kind, folder, suffix, data)
    except WctStyleError as error:
        words = str(error)
        if "memory" in words:
            return "takes too much memory", words
        # what stands in a file may be quoted: a path that somebody wrote into it is no secret of this machine
        quoted = _ABSOLUTE.sub(lambda found: "" if found[0].encode() in data else found[0], words)
        return told(quoted, f"{folder}/") or "refused", words
    except MemoryError as error:
        return "takes too much memory", repr(error)
    except Exception as error:  # noqa: BLE001 (whatever it is, it is what is looked for)
        return f"raises {type(error).__name__}", _where(error)
    return "read", ""


def _where(error: Exception) -> str:
    import traceback

    last = traceback.extract_tb(error.__traceback__)[-4:]
    steps = " > ".join(f"{Path(step.filename).name}:{step.lineno}" for step in last)
    return f"{error!r:.300} at {steps}"


def _serve(pipe: Connection, seed: int, video: bool, folder: Path) -> None:
    """Read files by their numbers until None comes: what a process of the pool does."""
    quiet = os.open(folder.parent / f"{folder.name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(quiet, 2)  # libraries of C tell of damage there
    sound = mutations.seeds(video=video)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM, taken + ROOM))
    pipe.send(len(sound))
    while (number := pipe.recv()) is not None:
        chosen, data = mutations.mutated(seed, number, sound)
        begun = time.process_time()
        verdict, words = judge(chosen.kind, folder, chosen.suffix, data)
        pipe.send((verdict, words, time.process_time() - begun, resident()))


def resident() -> int:
    """Return this process's resident bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@dataclass
class Finding:
    """A file that was neither read nor refused properly."""

    number: int
    kind: str
    name: str
    verdict: str
    words: str
    file: str = ""


class Reader:
    """A process that reads damaged files, and is replaced when one ends it or takes too long."""

    def __init__(self, seed: int, video: bool, folder: Path) -> None:
        self.seed, self.video, self.folder = seed, video, folder
        self.first = self.last = 0
        self._begin()

    def _begin(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, there = context.Pipe()
        arguments = (there, self.seed, self.video, self.folder)
        self.process = context.Process(target=_serve, args=arguments, daemon=True)
        self.process.start()
        there.close()
        self.pipe.recv()

    def ask(self, number: int) -> tuple[str, str, float]:
        """Have the file of a number read; returns the verdict, the words and the processor seconds."""
        self.pipe.send(number)
        begun, spent = time.monotonic(), processor_seconds(self.process.pid)
        try:
            while not self.pipe.poll(0.5):
                taken = processor_seconds(self.process.pid) - spent
                if taken > PATIENCE or time.monotonic() - begun > WALL:
                    self.process.kill()
                    self.process.join()
                    self._begin()
                    return "takes too long", f"over {taken:.0f} s of processor time", taken
            verdict, words, seconds, bytes_now = self.pipe.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            code = self.process.exitcode
            self._begin()
            return "ends the process", f"exit status {code}", 0.0
        self.first = self.first or bytes_now
        self.last = bytes_now
        return verdict, words, seconds

    def close(self) -> None:
        """End the process."""
        self.pipe.send(None)
        self.process.join(10)
        self.process.kill()


def processor_seconds(pid: int | None) -> float:
    """Return what a process has taken of the processor; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Files:
    """Damaged files by their numbers, read by some processes at once."""

    def __init__(self, numbers: Sequence[int], seed: int, seconds: float, *, video: bool, keep: Path) -> None:
        self.numbers, self.seed, self.video, self.keep = iter(numbers), seed, video, keep
        self.end = time.monotonic() + seconds
        self.sound = mutations.seeds(video=video)
        self.verdicts: dict[str, Counter[str]] = {}
        self.findings: list[Finding] = []
        self.slowest = (0.0, 0)
        self.grown: list[float] = []
        self._lock = threading.Lock()

    def run(self, processes: int) -> None:
        """Read them all, or as many as there is time for."""
        with tempfile.TemporaryDirectory(prefix="wctstyle-fuzz-") as folder:
            threads = [threading.Thread(target=self._work, args=(Path(folder) / str(k),)) for k in range(processes)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    def _next(self) -> int | None:
        with self._lock:
            return next(self.numbers, None) if time.monotonic() < self.end else None

    def _work(self, folder: Path) -> None:
        reader = Reader(self.seed, self.video, folder)
        while (number := self._next()) is not None:
            verdict, words, seconds = reader.ask(number)
            self._note(number, verdict, words, seconds)
        self.grown.append((reader.last - reader.first) / MIB)
        reader.close()

    def _note(self, number: int, verdict: str, words: str, seconds: float) -> None:
        chosen, data = mutations.mutated(self.seed, number, self.sound)
        with self._lock:
            self.verdicts.setdefault(chosen.kind, Counter())[verdict] += 1
            self.slowest = max(self.slowest, (seconds, number))
            done = sum(counter.total() for counter in self.verdicts.values())
            if done % 500 == 0:
                report.say(f"{done} files, {len(self.findings)} findings")
            if verdict in ("read", "refused"):
                return
            self.keep.mkdir(parents=True, exist_ok=True)
            file = self.keep / f"{self.seed}-{number}{chosen.suffix}"
            file.write_bytes(data)
            self.findings.append(Finding(number, chosen.kind, chosen.name, verdict, words, str(file)))
            report.say(f"{number} {chosen.kind} {chosen.name}: {verdict}: {words}")

    def markdown(self) -> str:
        """Write what came of each kind of file."""
        rows = []
        for kind, counter in sorted(self.verdicts.items()):
            bad = counter.total() - counter["read"] - counter["refused"]
            rows.append([kind, *(str(n) for n in (counter.total(), counter["read"], counter["refused"], bad))])
        table = report.table(["kind", "files", "read", "refused", "wrong"], rows)
        grown = ", ".join(f"{mib:.0f}" for mib in self.grown)
        slowest = f"Slowest: {self.slowest[0]:.2f} s of processor time (number {self.slowest[1]})."
        lines = "".join(f"- {f.number} {f.kind} {f.name}: {f.verdict}: {f.words}\n" for f in self.findings)
        return f"{table}\n{slowest} Each process grew by {grown} MiB.\n\n{lines}"


def numbers_of(text: str) -> Iterator[int]:
    """Read numbers separated by commas."""
    try:
        yield from (int(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--only {text}: must be numbers separated by commas") from None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status: 1 when something was found."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    add = parser.add_argument
    add("--files", type=int, default=0, metavar="N", help="how many damaged files are read")
    add("--calls", type=int, default=0, metavar="N", help="how many odd calls a server gets")
    add("--server", choices=("demo", "serve"), default="demo", help="which one")
    add("--seed", type=int, default=0, help="other files; the same seed gives the same ones")
    add("--only", metavar="NUMBERS", help="only the files of these numbers, to see a finding again")
    add("--seconds", type=float, default=3600, help="at most this long")
    add("--video", action="store_true", help="clips as well; needs the extra for video")
    add("--processes", type=int, default=2, help="files that are read at once")
    add("--keep", type=Path, default=Path("out/fuzz"), metavar="FOLDER", help="where files that went wrong are kept")
    add("--json", type=Path, metavar="FILE", help="write all figures")
    args = parser.parse_args(argv)
    try:
        facts = report.circumstances("benchmarks.fuzz", argv)
        found = run(args)
        report.publish(facts, found.pop("text"), found, args.json)
    except WctStyleError as error:
        return report.failed(error)
    return 1 if found["findings"] else 0


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Read damaged files and make odd calls; returns all figures, and them as text."""
    found: dict[str, Any] = {"text": "", "findings": []}
    numbers = list(numbers_of(args.only)) if args.only else range(args.files)
    if numbers:
        files = Files(numbers, args.seed, args.seconds, video=args.video, keep=args.keep)
        files.run(args.processes)
        found |= {"text": files.markdown(), "verdicts": files.verdicts, "findings": [asdict(f) for f in files.findings]}
    if args.calls:
        from benchmarks.calls import Calls, serving

        with serving(args.server) as server:
            calls = Calls(server)
            calls.run(args.calls, args.seed, args.seconds)
        found["text"] += calls.markdown()
        found |= {"answers": calls.statuses, "memory": calls.memory}
        found["findings"] += calls.findings
    return found


if __name__ == "__main__":
    sys.exit(main())
