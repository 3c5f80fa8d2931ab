"""A pool of Ray actors, on this machine or on all machines of a cluster, each with its own models."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from wctstyle.errors import ConfigError, WorkerError
from wctstyle.jobs.processes import cores, jobs_worker, share_machine
from wctstyle.jobs.scheduling import Lost

_COLORS = re.compile(r"\x1b\[[0-9;]*m")
"""What Ray puts into its messages for terminals."""


class _Actor:
    """A worker: one core, or one GPU where the cluster has them."""

    def __init__(self, worker: Callable[[], Callable[[Any, str], Any]], threads: int) -> None:
        share_machine(threads)
        self._do = worker()

    def do(self, task: Any, temporary: str) -> Any:
        """Do a task."""
        return self._do(task, temporary)


class Cluster:
    """A pool of Ray actors (`scheduling.Pool`).

    `address` is that of a cluster; without one Ray takes what `RAY_ADDRESS` names, or starts on this machine until
    `stop`. There are `size` workers, at most one per GPU of the cluster, or per core where it has no GPUs. Without
    `size` there are that many.

    Raises:
        ConfigError: Ray is not installed.
        WorkerError: there is no cluster at the address, or Ray cannot start.
    """

    def __init__(
        self,
        address: str | None = None,
        size: int | None = None,
        worker: Callable[[], Callable[[Any, str], Any]] = jobs_worker,
    ) -> None:
        try:
            import ray  # pyright: ignore[reportMissingImports] (here, as it is an extra)
        except ImportError as error:
            raise ConfigError(
                "--ray: Ray is not installed; install the extra `cluster`, or give --workers N for processes of this "
                "machine"
            ) from error
        self._ray, self._worker = ray, worker
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
        own = {"num_cpus": max(size or 0, cores()), "include_dashboard": False}
        options: dict[str, Any] = {} if address else own
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
        except ValueError:  # RAY_ADDRESS names a cluster, which has the cores it has
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError) as error:
            option = f"--ray-address {address}" if address else "--ray"
            raise WorkerError(f"{option}: the cluster cannot be reached or started: {error}") from error
        ray._private.worker._worker_logs_enabled = False  # its words on dead workers go to stdout, where results are
        has = ray.cluster_resources()
        self._needs = {"num_gpus": 1} if has.get("GPU") else {"scheduling_strategy": "SPREAD"}
        most = int(has.get("GPU") or has.get("CPU") or 1)
        self.size = min(size or most, most)  # one more would wait for room with a picture in its hands
        nodes = max(1, sum(node["Alive"] for node in ray.nodes()))
        self._threads = max(1, int(has.get("CPU", 1)) // max(self.size, nodes))
        self._actors: dict[Hashable, Any] = {}
        self._results: dict[Any, Hashable] = {}

    def start(self) -> Hashable:
        """Start an actor."""
        actor = self._ray.remote(_Actor).options(**self._needs).remote(self._worker, self._threads)
        name = actor._actor_id.hex()
        self._actors[name] = actor
        return name

    def send(self, worker: Hashable, task: Any, temporary: str) -> None:
        """Give a task to an actor."""
        self._results[self._actors[worker].do.remote(task, temporary)] = worker

    def wait(self) -> Sequence[tuple[Hashable, Any]]:
        """Wait for results, and for the ends of actors or of their machines."""
        waiting = list(self._results)
        ready, _ = self._ray.wait(waiting, num_returns=1)
        more, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0)
        found = []
        for reference in dict.fromkeys([*ready, *more]):
            worker = self._results.pop(reference)
            try:
                found.append((worker, self._ray.get(reference)))
            except self._ray.exceptions.RayActorError as error:
                del self._actors[worker]
                found.append((worker, Lost(f"was lost: {' '.join(_COLORS.sub('', str(error)).split())}")))
        return found

    def stop(self) -> None:
        """End all actors, and Ray where this process started it."""
        for actor in self._actors.values():
            self._ray.kill(actor)
        self._actors.clear()
        self._results.clear()
        self._ray.shutdown()
