"""Many pictures: how many a second by processes and by Ray, what one costs beside painting, and memory over count.

Run as `python -m benchmarks.scale`; README.md beside this file tells what the figures mean.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import report
from wctstyle import images, samples
from wctstyle.batch import Setup
from wctstyle.errors import ConfigError, WctStyleError
from wctstyle.inputs import Sizes, StyleSpec
from wctstyle.jobs.cluster import Cluster
from wctstyle.jobs.processes import Processes
from wctstyle.jobs.scheduling import Lost, run
from wctstyle.jobs.work import Done, Job, Painter

STYLE = "sample:marbling"

REST = 100
"""Pictures after which memory is to be flat."""


def photos(folder: Path, count: int, sizes: Sequence[tuple[int, int]]) -> list[str]:
    """Write so many photos, each with pixels of its own, in these sizes one after another."""
    own = [samples.picture(name) for name in samples.names("content")]
    found = []
    for number in range(count):
        height, width = sizes[number % len(sizes)]
        picture = images.resize_to(own[number % len(own)], height=height, width=width)
        path = folder / f"{number:05}.jpg"
        images.save(path, np.roll(picture.rgb, number, axis=1))
        found.append(str(path))
    return found


def jobs_of(contents: Sequence[str], folder: Path, size: int | None) -> list[Job]:
    """Return a job for each photo."""
    setup = Setup((StyleSpec(STYLE),), sizes=Sizes(size))
    return [Job(content, str(folder / f"{Path(content).stem}.png"), setup) for content in contents]


def checked(result: Any) -> None:
    """Refuse to time what failed."""
    if isinstance(result, Lost) or result.error or result.fatal:
        raise ConfigError(f"a picture of the benchmark failed: {result}")


# ------------------------------------------------------------------------------------------------------ pictures/s


def seconds_of(pool: Any, jobs: Sequence[Job], warm: int) -> tuple[float, float]:
    """Paint with a pool; returns the seconds until `warm` pictures were there, and those of the others."""
    began = started = time.perf_counter()
    for done, (_, result) in enumerate(run(jobs, pool, name=lambda number, tried: f".{number}-{tried}.tmp"), start=1):
        checked(result)
        if done == warm:
            started = time.perf_counter()
    return started - began, time.perf_counter() - started


def here(jobs: Sequence[Job], warm: int) -> tuple[float, float, float]:
    """Do as `seconds_of` in this process; returns also the processor time of the others, which a busy machine keeps."""
    painter = Painter()
    began = started = time.perf_counter()
    used = time.process_time()
    for done, job in enumerate(jobs, start=1):
        checked(painter.do(job))
        if done == warm:
            started, used = time.perf_counter(), time.process_time()
    return started - began, time.perf_counter() - started, time.process_time() - used


def speeds(count: int, warm: int, size: int, ray: bool) -> dict[str, Any]:
    """Paint the same photos by one process and two, and by Ray where it is installed."""
    with tempfile.TemporaryDirectory(prefix="wctstyle-scale-") as name:
        folder = Path(name)
        contents = photos(folder, count + warm, [(3 * size // 4, size)])
        found: dict[str, Any] = {}
        first, rest, used = here(jobs_of(contents, folder / "here", size), warm)
        found["in this process"] = {"first": first, "rest": rest, "processor": used}
        pools: dict[str, Callable[[], Any]] = {
            "1 process": lambda: Processes(1), "2 processes": lambda: Processes(2),
        }  # fmt: skip
        if ray:
            pools |= {"1 actor of Ray": lambda: Cluster(None, 1), "2 actors of Ray": lambda: Cluster(None, 2)}
        for label, pool in pools.items():
            report.say(label)
            first, rest = seconds_of(pool(), jobs_of(contents, folder / label.replace(" ", "-"), size), warm)
            found[label] = {"first": first, "rest": rest}
        return {"count": count, "warm": warm, "size": size, "pools": found}


def speed_table(found: dict[str, Any]) -> str:
    """Write the table of pictures a second."""
    rows = [
        [label, f"{seconds['first']:.1f}", f"{found['count'] / seconds['rest']:.2f}"]
        + [f"{seconds['processor'] / found['count']:.2f}" if "processor" in seconds else ""]
        for label, seconds in found["pools"].items()
    ]
    head = f"{found['count']} photos of {found['size']} pixels"
    return report.table([head, f"s for the first {found['warm']}", "pictures/s then", "core seconds each"], rows)


# ---------------------------------------------------------------------------------------------- what a picture costs


def nothing() -> Callable[[Any, str], Any]:
    """Return a worker that answers at once."""
    return lambda task, temporary: Done()


def overheads(count: int, ray: bool) -> dict[str, float]:
    """Return the seconds a picture costs beside its painting: jobs that do nothing, two at a time."""
    setup = Setup((StyleSpec(STYLE),))
    jobs = [Job(f"photos/{number}.jpg", f"out/{number}.png", setup) for number in range(count)]
    pools: dict[str, Callable[[], Any]] = {"2 processes": lambda: Processes(2, nothing)}
    if ray:
        pools["2 actors of Ray"] = lambda: Cluster(None, 2, nothing)
    return {label: seconds_of(pool(), jobs, 20)[1] / (count - 20) for label, pool in pools.items()}


class Pretend:
    """A pool of workers that only take time: the scheduler alone is at work."""

    def __init__(self, size: int, seconds: float, deaths: float) -> None:
        self.size, self.seconds, self.deaths = size, seconds, deaths
        self._rng = random.Random(0)
        self._ends: dict[int, float] = {}
        self.started = 0

    def start(self) -> Hashable:
        """Name another worker."""
        self.started += 1
        return self.started

    def send(self, worker: Any, task: Any, temporary: str) -> None:
        """Let a worker be busy for a while, half of the mean to one and a half."""
        self._ends[worker] = time.perf_counter() + self.seconds * self._rng.uniform(0.5, 1.5)

    def wait(self) -> Sequence[tuple[Hashable, Any]]:
        """Sleep until the first is done; some die."""
        time.sleep(max(0.0, min(self._ends.values()) - time.perf_counter()))
        now = time.perf_counter()
        done = [worker for worker, end in self._ends.items() if end <= now]
        for worker in done:
            del self._ends[worker]
        return [(worker, Lost("died") if self._rng.random() < self.deaths else Done()) for worker in done]

    def stop(self) -> None:
        """End."""


def simulated(workers: int, count: int, seconds: float, deaths: float) -> dict[str, float]:
    """Return how busy so many workers are kept, and the tasks that were lost."""
    pool, began, cpu = Pretend(workers, seconds, deaths), time.perf_counter(), time.process_time()
    results = [result for _, result in run(range(count), pool)]
    took, used = time.perf_counter() - began, time.process_time() - cpu
    lost = sum(isinstance(result, Lost) for result in results)
    return {
        "workers": workers, "seconds": took, "busy": count * seconds / workers / took, "a second": count / took,
        "core": used / took, "started": pool.started, "lost": lost, "results": len(results),
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ memory


def memory(count: int, sizes: int, longest: int) -> list[tuple[int, float]]:
    """Paint photos of many sizes in this process; returns resident MiB after every 20 pictures."""
    rng = np.random.default_rng(0)
    shapes = [(int(h), int(w)) for h, w in rng.integers(longest // 4, longest, (sizes, 2))]
    painter, found = Painter(), []
    with tempfile.TemporaryDirectory(prefix="wctstyle-scale-") as name:
        folder = Path(name)
        for number, job in enumerate(jobs_of(photos(folder, count, shapes), folder / "out", None), start=1):
            checked(painter.do(job))
            if number % 20 == 0 or number == count:
                found.append((number, resident()))
                report.say(f"{number}: {found[-1][1]:.0f} MiB")
    return found


def resident() -> float:
    """Return the resident memory of this process in MiB."""
    said = subprocess.run(["ps", "-o", "rss=", "-p", str(os.getpid())], capture_output=True, text=True, check=True)
    return int(said.stdout) / 1024


def memory_table(readings: Sequence[tuple[int, float]], sizes: int) -> str:
    """Write the table of memory over count."""
    late = [mib for number, mib in readings if number >= REST] or [readings[-1][1]]
    rows = [[str(number), f"{mib:.0f}"] for number, mib in readings]
    text = report.table([f"pictures of {sizes} sizes", "resident (MiB)"], rows)
    return f"{text}\nFrom {REST} pictures on: {min(late):.0f} to {max(late):.0f} MiB.\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    add = parser.add_argument
    add("--parts", nargs="+", default=["speed", "overhead", "memory"], choices=["speed", "overhead", "memory"])
    add("--pictures", type=int, default=60, metavar="N", help="painted by each pool, after as many as warm up")
    add("--warm", type=int, default=12, metavar="N", help="pictures that are not counted")
    add("--size", type=int, default=512, help="long side of the photos whose seconds are counted")
    add("--count", type=int, default=1000, metavar="N", help="pictures over which memory is read")
    add("--sizes", type=int, default=200, metavar="N", help="sizes that they have")
    add("--longest", type=int, default=1024, help="their longest side")
    add("--json", type=Path, metavar="FILE", help="write all figures")
    args = parser.parse_args(argv)
    facts, found, text = report.circumstances("benchmarks.scale", argv), {}, []
    ray = importlib.util.find_spec("ray") is not None
    try:
        if "speed" in args.parts:
            found["speed"] = speeds(args.pictures, args.warm, args.size, ray)
            text.append(speed_table(found["speed"]))
        if "overhead" in args.parts:
            found["overhead"] = overheads(2000, ray)
            rows = [[label, f"{1000 * seconds:.2f}"] for label, seconds in found["overhead"].items()]
            text.append(report.table(["jobs that do nothing", "ms a picture"], rows))
            found["simulated"] = [simulated(100, 10000, 0.2, 0.0), simulated(100, 10000, 0.2, 0.01)]
            names = ("seconds", "a second", "busy", "core", "started", "lost", "results")
            rows = [[f"{run['workers']}", *(f"{run[name]:.4g}" for name in names)] for run in found["simulated"]]
            text.append(report.table(["pretended workers", *names], rows))
        if "memory" in args.parts:
            found["memory"] = memory(args.count, args.sizes, args.longest)
            text.append(memory_table(found["memory"], args.sizes))
        report.publish(facts, "\n".join(text), found, args.json)
    except WctStyleError as error:
        return report.failed(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
