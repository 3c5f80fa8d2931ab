"""The service without HTTP: requests become jobs, and what is told of them."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wctstyle import __version__, looks, samples
from wctstyle.files import temporary_folder
from wctstyle.service.forms import Form
from wctstyle.service.jobs import Job, Jobs
from wctstyle.service.kinds import KINDS, prepared
from wctstyle.service.limits import Limits
from wctstyle.service.refusals import Refused
from wctstyle.service.studio import Studio
from wctstyle.settings import DEFAULT_OPTIMIZER_MODEL

KEY = re.compile(r"[\x21-\x7e]{1,200}")
"""What an Idempotency-Key may be."""


class Service:
    """One painter with its models and its queue. Its files lie in a temporary folder, which goes with it."""

    def __init__(self, studio: Studio, limits: Limits | None = None) -> None:
        self.studio, self.limits = studio, limits or Limits()
        self.folder = temporary_folder("wctstyle-serve-")
        self.jobs = Jobs(self.limits, self.folder)

    @contextlib.contextmanager
    def receiving(self) -> Iterator[Path]:
        """Make the folder of a request that is being read; it is deleted where the request is refused.

        Raises:
            Refused: there is no room for another job.
        """
        self.jobs.check_room()
        folder = self.jobs.new_folder()
        try:
            yield folder
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def submit(self, kind: str, form: Form, *, accept: str = "", key: str | None = None) -> Job:
        """Check a request and put its job in line; returns the job that was asked for by the same key before.

        Raises:
            Refused: something of it makes no sense, or there is no room.
        """
        if key is not None and not KEY.fullmatch(key):
            raise Refused(422, "Idempotency-Key must be 1 to 200 visible ASCII characters", field="Idempotency-Key")
        whole = None if key is None else (key, f"{kind} {accept} {form.fingerprint}")
        before = self.jobs.keyed(whole)
        if before is None:
            work = prepared(kind, self.studio, self.limits, form, accept)
            job = Job(kind, work, form.folder, whole)
            before = self.jobs.submit(job)
        if before.folder != form.folder:
            shutil.rmtree(form.folder, ignore_errors=True)
        return before

    def models(self) -> dict[str, Any]:
        """List the models, and which of them can be used here."""
        return {
            "models": [{"name": name} for name in self.studio.offered],
            "stylize": self.studio.model,
            "optimize": DEFAULT_OPTIMIZER_MODEL,
        }

    def options(self) -> dict[str, Any]:
        """List the arguments of every kind of job, with types, ranges and defaults."""
        found = {
            name: [argument.to_json() for argument in kind.arguments(self.limits, self.studio)]
            for name, kind in KINDS.items()
        }
        return {"version": __version__, "about": {name: kind.about for name, kind in KINDS.items()}, "kinds": found}

    def samples(self) -> dict[str, list[str]]:
        """List the pictures that come along, as sample:NAME, and the looks."""
        found = {kind: [samples.PREFIX + name for name in samples.names(kind)] for kind in ("content", "style")}
        return {**found, "looks": list(looks.shipped())}

    def close(self, seconds: float = 5.0) -> None:
        """End all jobs and delete all files."""
        self.jobs.close(seconds)


def told(jobs: Jobs, job: Job, root: str = "") -> dict[str, Any]:
    """Write a job in JSON's types. `root` is where the API lies in a larger app."""
    address = f"{root}/v1/jobs/{job.id}"
    written: dict[str, Any] = {
        "id": job.id, "kind": job.kind, "state": job.state, "progress": job.progress,
        "seconds": round(job.seconds, 3), "place": jobs.place(job), "url": address, "warnings": job.warnings,
        "error": None if job.error is None else job.error.to_json(),
    }  # fmt: skip
    if job.state == "done":
        result = f"{address}/result"
        if job.work.several:
            files = [{**_file(one), "url": f"{result}/{one.name}"} for one in job.made if one.path is not None]
            failed = [{"name": one.name, "error": {"what": one.error}} for one in job.made if one.path is None]
            written["result"] = {"url": result, "files": files, "failed": failed}
        else:
            more = [{**_file(one), "url": f"{result}/{one.name}"} for one in job.made[1:]]
            written["result"] = {**_file(job.made[0]), "url": result, **({"more": more} if more else {})}
    return written


def _file(made: Any) -> dict[str, Any]:
    return {"name": made.name, "type": made.type, "bytes": made.path.stat().st_size, **made.told}
