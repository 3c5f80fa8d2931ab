"""Memory of the demo under hard use: visitors with pictures of every shape, all dials, qualities and optimisations.

Run as `python -m benchmarks.soak`; README.md beside this file tells what the figures mean.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks import report
from wctstyle import images, samples
from wctstyle.codes import codes_cache
from wctstyle.demo import Limits, heaps, optimising
from wctstyle.demo.actions import Service, keep, live
from wctstyle.demo.backend import CODE_BYTES, Backend
from wctstyle.demo.composition import Composition
from wctstyle.demo.downloads import AS_SHOWN, export, target
from wctstyle.demo.limits import MIB
from wctstyle.demo.server import TRIM_EVERY, tidy
from wctstyle.demo.sessions import Session
from wctstyle.errors import WctStyleError
from wctstyle.settings import Settings
from wctstyle.stylizer import Stylizer

REST = 60
"""Seconds after the last visit until memory is read."""

VISIT_ACTIONS = 40
"""Actions of a visitor before the next one comes."""


class Visitor:
    """Does what people do, at random, as fast as the service answers."""

    def __init__(self, service: Service, folder: Path, seed: int) -> None:
        self.service, self.folder, self.rng = service, folder, np.random.default_rng(seed)
        self.done: dict[str, int] = {}
        self.errors: list[str] = []

    def stay(self, until: float) -> None:
        """Visit again and again."""
        while time.monotonic() < until:
            key = uuid.uuid4().hex
            session = self.service.sessions.get(key)
            composition = Composition()
            for _ in range(VISIT_ACTIONS):
                if time.monotonic() > until:
                    break
                name = str(self.rng.choice(["photo", "style", "size", "quality", "file", "optimise", "keep", "move"],
                                           p=[0.1, 0.1, 0.05, 0.03, 0.05, 0.03, 0.04, 0.6]))  # fmt: skip
                try:
                    composition = getattr(self, name)(session, composition)
                except WctStyleError as error:
                    self.errors.append(f"{name}: {error}")
                self.done[name] = self.done.get(name, 0) + 1
            self.service.sessions.close(key)

    def _picture(self) -> images.Picture:
        names = [*samples.names("content"), *samples.names("style")]
        own = samples.picture(str(self.rng.choice(names)))
        height, width = (int(side) for side in self.rng.integers(200, 1600, 2))
        return images.resize_to(own, height=height, width=width)

    def photo(self, session: Session, composition: Composition) -> Composition:
        """Upload a photo of any shape."""
        return self.move(session, replace(composition, content=session.add(self._picture(), "photo.png").id))

    def style(self, session: Session, composition: Composition) -> Composition:
        """Upload a style, or take one of the gallery."""
        id = f"sample:{self.rng.choice(samples.names('style'))}"
        if self.rng.uniform() < 0.5:
            id = session.add(self._picture(), "style.png").id
        return self.move(session, replace(composition, styles=(*composition.styles[-2:], (id, 0.5))))

    def size(self, session: Session, composition: Composition) -> Composition:
        """Choose another size or look."""
        size, look = int(self.rng.integers(128, 900)), int(self.rng.choice([0, 384, 512]))
        return self.move(session, replace(composition, size=size, settings=replace(composition.settings, look=look)))

    def quality(self, session: Session, composition: Composition) -> Composition:
        """Choose another model."""
        return self.move(session, replace(composition, model=str(self.rng.choice(["slim", "medium"]))))

    def move(self, session: Session, composition: Composition) -> Composition:
        """Move a slider."""
        dials = {name: float(self.rng.uniform()) for name in ("strength", "detail", "texture", "keep_faces")}
        weights = tuple((id, float(self.rng.uniform(0.05, 1))) for id, _ in composition.styles)
        name = str(self.rng.choice([*dials, "weights"]))
        if name == "weights":
            composition = replace(composition, styles=weights)
        else:
            values: dict[str, float] = {name: round(dials[name], 1)}
            composition = replace(composition, settings=replace(composition.settings, **values))  # pyright: ignore[reportArgumentType]
        live(self.service, session, composition)
        return composition

    def keep(self, session: Session, composition: Composition) -> Composition:
        """Put the picture into the history."""
        keep(self.service, session, composition)
        return composition

    def file(self, session: Session, composition: Composition) -> Composition:
        """Make a file, now and then a large one."""
        size = int(self.rng.choice([AS_SHOWN, AS_SHOWN, 1600]))
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            wanted = target(self.service, session, composition, size)
            export(self.service, session, wanted, format="JPEG", quality=90, folder=Path(folder))
        return composition

    def optimise(self, session: Session, composition: Composition) -> Composition:
        """Optimise for a few steps."""
        small = replace(composition, size=min(composition.size, 320), settings=Settings())
        for _ in optimising.optimise(self.service, session, small, steps=10):
            pass
        return composition


def soak(minutes: float, visitors: int) -> tuple[list[tuple[float, float]], dict[str, int], list[str]]:
    """Use a service hard; returns minutes with the resident MiB then, what was done, and errors."""
    heaps.share()
    service = Service.make(Backend(Stylizer("slim", cache=codes_cache(CODE_BYTES))), Limits())
    live(service, service.sessions.get("first"), Composition())
    began, readings = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="wctstyle-soak-") as folder:
        people = [Visitor(service, Path(folder), seed) for seed in range(visitors)]
        threads = [threading.Thread(target=person.stay, args=(began + 60 * minutes,)) for person in people]
        heaps.trim()
        started = heaps.resident()
        readings.append((0.0, started / MIB))
        for thread in threads:
            thread.start()
        over = time.monotonic() + 60 * minutes + REST
        while time.monotonic() < over or any(thread.is_alive() for thread in threads):
            time.sleep(TRIM_EVERY)
            tidy(service, started)  # as the server does
            readings.append(((time.monotonic() - began) / 60, heaps.resident() / MIB))
            report.say(f"{readings[-1][0]:.1f} min: {readings[-1][1]:.0f} MiB")
    done: dict[str, int] = {}
    for person in people:
        for name, count in person.done.items():
            done[name] = done.get(name, 0) + count
    return readings, done, [error for person in people for error in person.errors]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    add = parser.add_argument
    add("--minutes", type=float, default=20, help="how long")
    add("--visitors", type=int, default=4, help="how many at once")
    add("--json", type=Path, metavar="FILE", help="write all figures")
    args = parser.parse_args(argv)
    facts = report.circumstances("benchmarks.soak", argv)
    readings, done, errors = soak(args.minutes, args.visitors)
    start, end, most = readings[0][1], readings[-1][1], max(value for _, value in readings)
    figures = (start, end, end - start, most, sum(done.values()), len(errors))
    columns = ["MiB at the start", "at the end", "grown", "most", "actions", "errors"]
    text = report.table(columns, [[f"{figure:.0f}" for figure in figures]])
    found = {"readings": readings, "done": done, "errors": errors}
    report.publish(facts, text, found, args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
