"""Figures of a running server, as text in the format of Prometheus (version 0.0.4)."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeVar

from wctstyle import __version__, heaps

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of a histogram of seconds."""

MOST_SERIES = 500
"""Series of one metric; what comes beyond is counted in one with the labels "other"."""


class Counter:
    """A number for each combination of labels that only grows. Safe to share between threads."""

    kind = "counter"

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        self.name, self.text, self.labels = name, text, tuple(labels)
        self._values: dict[tuple[str, ...], float] = {} if labels else {(): 0.0}
        self._lock = threading.Lock()

    def add(self, *labels: str, amount: float = 1) -> None:
        """Count."""
        with self._lock:
            key = _bounded(labels, self._values)
            self._values[key] = self._values.get(key, 0.0) + amount

    def lines(self) -> list[str]:
        """Write its series."""
        with self._lock:
            return [_line(self.name, self.labels, key, value) for key, value in sorted(self._values.items())]


class Histogram:
    """How many values are up to each bound, for each combination of labels. Safe to share between threads."""

    kind = "histogram"

    def __init__(self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float] = SECONDS) -> None:
        self.name, self.text, self.labels, self.bounds = name, text, tuple(labels), tuple(bounds)
        self._values: dict[tuple[str, ...], tuple[list[int], float]] = {}
        self._lock = threading.Lock()

    def add(self, *labels: str, value: float) -> None:
        """Count a value."""
        with self._lock:
            key = _bounded(labels, self._values)
            counts, total = self._values.get(key, ([0] * (len(self.bounds) + 1), 0.0))
            counts[bisect_left(self.bounds, value)] += 1
            self._values[key] = counts, total + value

    def lines(self) -> list[str]:
        """Write its series: those up to each bound, the sum and the count."""
        lines: list[str] = []
        with self._lock:
            for key, (counts, total) in sorted(self._values.items()):
                so_far = 0
                for bound, count in zip((*map(_number, self.bounds), "+Inf"), counts, strict=True):
                    so_far += count
                    lines.append(_line(f"{self.name}_bucket", (*self.labels, "le"), (*key, bound), so_far))
                lines.append(_line(f"{self.name}_sum", self.labels, key, total))
                lines.append(_line(f"{self.name}_count", self.labels, key, so_far))
        return lines


class Gauge:
    """A number that is read when it is asked for."""

    def __init__(self, name: str, text: str, read: Callable[[], float], kind: Literal["gauge", "counter"]) -> None:
        self.name, self.text, self.read, self.kind = name, text, read, kind

    def lines(self) -> list[str]:
        """Write it."""
        return [_line(self.name, (), (), self.read())]


_Kind = TypeVar("_Kind", Counter, Histogram, Gauge)


class Metrics:
    """The figures of one server. Others are added by `counter`, `histogram` and `gauge`.

    What every server has: requests by method, route and status, their seconds by route, what was refused by reason,
    and memory, processor time and start of the process.
    """

    def __init__(self) -> None:
        self._metrics: dict[str, Counter | Histogram | Gauge] = {}
        self.requests = self.counter("wctstyle_requests_total", "Requests answered.", ("method", "route", "status"))
        self.seconds = self.histogram("wctstyle_request_seconds", "Seconds until an answer was sent.", ("route",))
        self.refused = self.counter("wctstyle_refused_total", "Requests refused before they were read.", ("reason",))
        self.received = self.counter("wctstyle_received_bytes_total", "Bytes of bodies that clients sent.")
        began = time.time()
        self.gauge("process_resident_memory_bytes", "Memory of the process in bytes.", heaps.resident)
        self.gauge("process_cpu_seconds_total", "Processor seconds of the process.", time.process_time, kind="counter")
        self.gauge("process_start_time_seconds", "Start of the server, in seconds since 1970.", lambda: began)
        info = self.counter("wctstyle_info", "The version that runs, as a label.", ("version",))
        info.kind = "gauge"
        info.add(__version__)

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        """Add a number that only grows."""
        return self._added(Counter(name, text, labels))

    def histogram(self, name: str, text: str, labels: Sequence[str] = ()) -> Histogram:
        """Add a histogram of seconds."""
        return self._added(Histogram(name, text, labels))

    def gauge(
        self, name: str, text: str, read: Callable[[], float], *, kind: Literal["gauge", "counter"] = "gauge"
    ) -> None:
        """Add a number that is read by calling `read`."""
        self._added(Gauge(name, text, read, kind))

    def _added(self, metric: _Kind) -> _Kind:
        if metric.name in self._metrics:
            raise ValueError(f"{metric.name} is there already")
        self._metrics[metric.name] = metric
        return metric

    def render(self) -> str:
        """Write all of them."""
        lines: list[str] = []
        for metric in self._metrics.values():
            lines += [f"# HELP {metric.name} {metric.text}", f"# TYPE {metric.name} {metric.kind}", *metric.lines()]
        return "\n".join(lines) + "\n"


def _bounded(labels: tuple[str, ...], known: Mapping[tuple[str, ...], object]) -> tuple[str, ...]:
    return labels if labels in known or len(known) < MOST_SERIES else ("other",) * len(labels)


def _line(name: str, labels: Sequence[str], values: Sequence[str], number: float) -> str:
    pairs = ",".join(f'{label}="{_escaped(value)}"' for label, value in zip(labels, values, strict=True))
    return f"{name}{'{' + pairs + '}' if pairs else ''} {_number(number)}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
