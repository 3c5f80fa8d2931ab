"""Pools and their scheduling: every task once, whatever dies; no half file. Painting itself is in test_batch.py."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pretend import DEADLY, HELD, kill_holder, writer

from benchmarks import scale
from wctstyle import files, images, inputs, places
from wctstyle.batch import Setup
from wctstyle.errors import ConfigError, ImageError, WorkerError
from wctstyle.inputs import RegionSpecs, StyleSpec
from wctstyle.jobs.cluster import Cluster
from wctstyle.jobs.processes import Processes
from wctstyle.jobs.scheduling import TRIES, Lost, run
from wctstyle.jobs.work import Job

# --- Scheduling, with workers that are no processes ----------------------------------------------------


class Fake:
    """A pool whose workers die at the tries that are told, and answer in an order that is told."""

    def __init__(self, size: int, deaths: set[tuple[int, int]], order: Iterator[int]) -> None:
        self.size, self.deaths, self.order = size, deaths, order
        self.alive: set[int] = set()
        self.busy: dict[int, tuple[int, int]] = {}
        self.started = 0
        self.tries: dict[int, int] = {}

    def start(self) -> int:
        self.started += 1
        self.alive.add(self.started)
        assert len(self.alive) <= self.size
        return self.started

    def send(self, worker: int, task: int, temporary: str) -> None:
        assert worker in self.alive
        assert worker not in self.busy
        self.tries[task] = self.tries.get(task, 0) + 1
        assert temporary == f"{task}/{self.tries[task]}"
        self.busy[worker] = task, self.tries[task]

    def wait(self) -> list[tuple[int, Any]]:
        names = sorted(self.busy)
        worker = names[next(self.order) % len(names)]
        attempt = self.busy.pop(worker)
        if attempt in self.deaths:
            self.alive.remove(worker)
            return [(worker, Lost("fell over"))]
        return [(worker, attempt[0] * 10)]

    def stop(self) -> None:
        self.alive.clear()


@settings(deadline=None, max_examples=60)
@given(data=st.data(), count=st.integers(0, 12), size=st.integers(1, 4))
def test_every_task_ends_once_whoever_dies(data: st.DataObject, count: int, size: int):
    deaths = data.draw(st.sets(st.tuples(st.integers(0, count), st.integers(1, 2)), max_size=2 * size))
    order = iter(data.draw(st.lists(st.integers(0, 9), min_size=4 * count, max_size=4 * count)))
    pool, discarded, told = Fake(size, deaths, order), [], []
    found = list(
        run(
            range(count),
            pool,
            name=lambda number, tried: f"{number}/{tried}",
            discard=lambda task, temporary: discarded.append(temporary),
            lost=lambda task, why: told.append((task, why)),
        )  # fmt: skip
    )
    assert sorted(task for task, _ in found) == list(range(count))
    for task, result in found:
        dead = {(task, 1), (task, 2)} <= deaths
        assert result == (Lost("fell over") if dead else task * 10)
        assert pool.tries[task] == (2 if (task, 1) in deaths else 1)
    met = [(task, tried) for task, tried in deaths if task < count and (tried == 1 or (task, 1) in deaths)]
    assert sorted(discarded) == sorted(f"{task}/{tried}" for task, tried in met)
    assert len(told) == len(met)
    assert not pool.alive


def test_workers_that_all_die_at_once_end_the_run():
    pool = Fake(2, {(task, tried) for task in range(100) for tried in (1, 2)}, iter([0] * 100))
    with pytest.raises(WorkerError, match="workers in a row ended without a result; the last one fell over"):
        list(run(range(100), pool, name=lambda number, tried: f"{number}/{tried}"))
    assert pool.started == pool.size + pool.size * TRIES


def test_the_benchmark_of_the_scheduler_counts_every_task():
    found = scale.simulated(8, 200, 0.001, 0.2)
    assert found["results"] == 200
    assert 0 < found["lost"] < 60
    assert found["started"] > 8
    assert 0 < found["busy"] <= 1.1


# --- Pools -------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _found_by_actors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Ray's actors import the package and `pretend`; spawned processes know where they are."""
    here = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(here.parent), str(here)]))


def _processes(size: int) -> Any:
    return Processes(size, writer)


def _cluster(size: int) -> Any:
    pytest.importorskip("ray")
    return Cluster(None, size, writer)


POOLS = pytest.mark.parametrize("pool", [_processes, _cluster])


def _run(pool: Any, folder: Path, names: list[str], told: list[str]) -> Any:
    return run(
        [(str(folder), name) for name in names], pool,
        name=lambda number, tried: f".wctstyle-{number}-{tried}.tmp",
        discard=lambda task, temporary: places.discard(os.path.join(task[0], "out", task[1]), temporary),
        lost=lambda task, why: told.append(f"{task[1]} {why}"),
    )  # fmt: skip


@POOLS
def test_a_worker_killed_while_it_writes_costs_nothing(pool: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    names = [*"abc", HELD, *"defghijklm"]
    told: list[str] = []
    killed: list[int] = []
    workers = pool(2)
    killer = threading.Thread(target=lambda: killed.append(kill_holder(tmp_path)))
    killer.start()
    found = list(_run(workers, tmp_path, names, told))
    killer.join(60)
    assert sorted(task[1] for task, _ in found) == sorted(names)
    assert len({result for _, result in found} - set(killed)) == 2  # the one that stayed, and the one that came instead
    assert len(told) == 1
    assert told[0].startswith(f"{HELD} was ")
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == {name: name for name in names}
    assert capfd.readouterr() == ("", "")


@POOLS
def test_a_task_that_kills_is_given_up(pool: Any, tmp_path: Path):
    told: list[str] = []
    found = {task[1]: result for task, result in _run(pool(1), tmp_path, ["a", DEADLY, "b"], told)}
    assert isinstance(found[DEADLY], Lost)
    assert len(told) == TRIES
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "b"]


@POOLS
def test_who_stops_asking_ends_the_workers(pool: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    made = _run(pool(2), tmp_path, ["a", HELD, "b", *"cdefgh"], [])
    worker = next(made)[1]
    until = time.monotonic() + 60
    while not (tmp_path / "holder").exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    made.close()
    for pid in (worker, int((tmp_path / "holder").read_text())):
        _wait_for_end(pid)
    assert not list((tmp_path / "out").glob(".*"))
    assert not (tmp_path / "out" / HELD).exists()
    assert capfd.readouterr().out == ""


def _wait_for_end(pid: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail(f"process {pid} is still there")


def test_ray_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(ConfigError, match="Ray is not installed; install the extra `cluster`, or give --workers N"):
        Cluster()


# --- Places --------------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "file", "path"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder in a store, one by an address, and one by its path."""
    kind = request.param
    return {"memory": f"memory://{tmp_path.name}", "file": f"file://{tmp_path}", "path": str(tmp_path)}[kind]


def test_what_is_written_is_there(folder: str):
    place = places.join(folder, "deep/one.bin")
    assert not places.exists(place)
    for data in (b"first", b"second"):
        places.write(place, data, "own.tmp")
        assert places.exists(place)
        if places.is_address(place):
            assert places.read(place).read() == data
            assert places.read(place).name == place
        else:
            assert Path(place).read_bytes() == data
    assert not places.exists(places.join(folder, "deep/own.tmp"))


@pytest.mark.parametrize("kind", ["file", "path"])
def test_a_failed_write_leaves_what_was_there(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    place = {"file": f"file://{tmp_path}/one", "path": f"{tmp_path}/one"}[kind]
    places.write(place, b"first")

    def broken(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", broken)
    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.mv", broken)
    with pytest.raises(ImageError, match=r"one: cannot be written: .*No space left"):
        places.write(place, b"second", "own.tmp")
    assert (tmp_path / "one").read_bytes() == b"first"
    places.discard(place, "own.tmp")
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_addresses_that_lead_nowhere_are_told():
    with pytest.raises(ImageError, match="^memory://gone/x.png: there is no such file; check the address"):
        places.read("memory://gone/x.png")
    with pytest.raises(ImageError, match="^nowhere://x: cannot be reached: .*install the extra `cluster`"):
        places.read("nowhere://x")


def test_a_picture_is_read_from_its_address(photo: np.ndarray):
    places.write("memory://sea/photo.png", images.encode(photo))
    assert inputs.read("memory://sea/photo.png", 0).rgb.shape == photo.shape
    places.write("memory://sea/broken.png", images.encode(photo)[:300])
    with pytest.raises(ImageError, match="^memory://sea/broken.png: cannot decode this PNG"):
        inputs.read("memory://sea/broken.png", 0)


def test_a_temporary_name_is_taken_from_who_cleans_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[str] = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda source, target: (seen.append(Path(source).name), replace(source, target)))
    files.replace_file(tmp_path / "a", b"x", "mine.tmp")
    files.replace_file(tmp_path / "a", b"x")
    assert seen[0] == "mine.tmp"
    assert seen[1] != "mine.tmp"
    assert seen[1].endswith(".tmp")


def test_a_job_means_the_same_anywhere(here: Path):
    setup = Setup(
        (StyleSpec("waves.png", mask="sea.png"), StyleSpec("sample:marbling", mask="sea.png#red")),
        regions=RegionSpecs({"x": "sea.png", "blue": "sea.png#blue", "y": "ready:sky"}),
    )
    job = Job("sea.png", "out/a.png", setup).anywhere()
    assert (job.content, job.output) == (str(here / "sea.png"), str(here / "out" / "a.png"))
    assert [spec.source for spec in job.setup.styles] == [str(here / "waves.png"), "sample:marbling"]
    assert job.setup.styles[0].mask == job.setup.regions.masks["x"] == str(here / "sea.png")
    assert job.setup.styles[1].mask == f"{here / 'sea.png'}#red"
    assert [job.setup.regions.masks[name] for name in ("blue", "y")] == [f"{here / 'sea.png'}#blue", "ready:sky"]
    far = Job("s3://b/a.png", "s3://b/o.png", setup).anywhere()
    assert (far.content, far.output) == ("s3://b/a.png", "s3://b/o.png")
