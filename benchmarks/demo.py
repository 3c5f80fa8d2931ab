"""The demo as visitors feel it: from a slider to the picture on screen, alone, beside an optimisation, in a crowd.

Run as `python -m benchmarks.demo`; README.md beside this file tells what the figures mean.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks import report
from wctstyle.errors import ConfigError, WctStyleError

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

MOVE = """([selector, value]) => new Promise((resolve, reject) => {
  const slider = document.querySelector(selector);
  const timer = setTimeout(() => reject(new Error("no picture within 30 s")), 30000);
  const begin = performance.now();
  document.addEventListener("wct:shown", () => requestAnimationFrame(() => requestAnimationFrame(() => {
    clearTimeout(timer);
    resolve(performance.now() - begin);
  })), { once: true });
  slider.value = value;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
})"""
"""Moves a slider and waits until the decoded picture has had two frames to be painted; milliseconds."""


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def server(arguments: Sequence[str]) -> Iterator[tuple[str, int, float]]:
    """Run `wctstyle demo` as a process; gives its address, its process id and the seconds until it served."""
    command = [sys.executable, "-m", "wctstyle", "demo", "--no-keep", "--port", str(free_port()), *arguments]
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        line = process.stdout.readline().strip() if process.stdout else ""
        if not line.startswith("http"):
            raise ConfigError(f"{' '.join(command)}: did not start; run it by hand to see why")
        yield line, process.pid, time.perf_counter() - begin
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def settle(pid: int, seconds: float = 120) -> None:
    """Wait until the server rests: it compiles in the background what visitors will need."""
    ticks, end = os.sysconf("SC_CLK_TCK"), time.perf_counter() + seconds

    def used() -> float:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / ticks

    before = used()
    while time.perf_counter() < end:
        time.sleep(2)
        now = used()
        if now - before < 0.2:
            return
        before = now


def summary(milliseconds: Sequence[float]) -> dict[str, float]:
    """Return median, 95th percentile and largest of the latencies, in seconds."""
    values = np.asarray(milliseconds) / 1000
    return {
        "count": len(values),
        "median": float(np.median(values)),
        "p95": float(np.percentile(values, 95)),
        "max": float(values.max()),
    }


def moved(page: Any, moves: int) -> list[float]:
    """Move a weight and the strength in turn; milliseconds from each move to its picture on screen."""
    sliders = (".wct-card input[type=range]", "#wct-strength input[type=range]")
    rng = np.random.default_rng(0)
    return [page.evaluate(MOVE, [sliders[number % 2], f"{rng.uniform(0.05, 1):.2f}"]) for number in range(moves)]


def opened(browser: Any, address: str) -> Any:
    """Open the page and wait for its first picture."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(60_000)
    page.goto(address)
    page.wait_for_selector(".wct-stage[data-shown]")
    page.wait_for_selector(".wct-strip li")
    return page


def in_browser(address: str, moves: int, *, beside: bool) -> dict[str, Any]:
    """Measure one visitor alone and, with `beside`, while another one's optimisation runs."""
    from playwright.sync_api import sync_playwright

    executable = os.environ.get("WCTSTYLE_CHROMIUM") or shutil.which("chromium")
    if executable is None:
        raise ConfigError("no Chromium found: apt install chromium, or name one in WCTSTYLE_CHROMIUM")
    figures: dict[str, Any] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=[*FLAGS])
        begin = time.perf_counter()
        page = opened(browser, address)
        figures["open"] = time.perf_counter() - begin
        moved(page, 4)
        figures["alone"] = summary(moved(page, moves))
        report.say(f"alone: {figures['alone']}")
        if beside:
            other = opened(browser, address)
            other.get_by_role("tab", name="Optimise").click()
            steps = other.locator("#wct-steps input[type=number]")
            steps.fill("1000")
            steps.press("Tab")
            other.locator("#wct-optimise").click()
            other.wait_for_selector("text=/Step [0-9]+ of 1000/", timeout=120_000)
            figures["beside"] = summary(moved(page, moves))
            report.say(f"beside an optimisation: {figures['beside']}")
            other.locator("#wct-stop").click()
            other.wait_for_selector("text=/best so far is kept/", timeout=60_000)
        browser.close()
    return figures


WATCH_SECONDS = 2
"""Seconds between two looks at the server's memory."""


class Crowd:
    """Visitors that move sliders as the page does, without browsers: the page's own requests, one at a time each."""

    def __init__(self, address: str, users: int, seconds: float) -> None:
        self.address, self.users, self.seconds = address.rstrip("/"), users, seconds
        config = httpx.get(f"{self.address}/config", timeout=60).json()
        self.live = next(d for d in config["dependencies"] if d["api_name"] == "_live")
        values = {c["id"]: c["props"].get("value") for c in config["components"]}
        self.inputs = [values[id] for id in self.live["inputs"]]
        self.latencies: list[float] = []
        self.errors: list[str] = []
        self.lost = 0
        self._lock = threading.Lock()

    def run(self) -> None:
        """Let everybody move sliders for the time given, starting within a second of each other."""
        threads = [threading.Thread(target=self._visit, args=(number,)) for number in range(self.users)]
        for thread in threads:
            thread.start()
            time.sleep(1 / self.users)
        for thread in threads:
            thread.join()

    def _visit(self, number: int) -> None:
        rng, session = np.random.default_rng(number), uuid.uuid4().hex[:12]
        end = time.perf_counter() + self.seconds
        with httpx.Client(base_url=self.address, timeout=120) as http:
            while time.perf_counter() < end:
                begin = time.perf_counter()
                try:
                    done = self._move(http, session, rng.uniform(0.05, 1))
                except httpx.HTTPError as error:
                    with self._lock:
                        self.errors.append(repr(error))
                    continue
                with self._lock:
                    if done is None:
                        self.lost += 1
                    elif not done:
                        self.errors.append("the server told of an error")
                    self.latencies.append(1000 * (time.perf_counter() - begin))

    def _move(self, http: httpx.Client, session: str, weight: float) -> bool | None:
        palette = {**self.inputs[0], "styles": [[id, weight] for id, _ in self.inputs[0]["styles"]]}
        palette["styles"][0][1] = 1.0
        body = {"data": [palette, *self.inputs[1:]], "fn_index": self.live["id"], "session_hash": session}
        http.post("/gradio_api/queue/join", json=body).raise_for_status()
        with http.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as stream:
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    message = json.loads(line[5:])
                    if message["msg"] == "process_completed":
                        return bool(message["success"]) and bool(message["output"]["data"][0]["after"])
        return None


def resident(pid: int) -> float:
    """Return a process's resident memory in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


def crowd(address: str, pid: int, users: int, seconds: float) -> dict[str, Any]:
    """Measure many visitors at once, and the server's memory meanwhile."""
    Crowd(address, users, min(5.0, seconds)).run()
    visitors = Crowd(address, users, seconds)
    memory, over = [resident(pid)], threading.Event()

    def watch() -> None:
        while not over.wait(WATCH_SECONDS):
            memory.append(resident(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    visitors.run()
    over.set()
    watcher.join()
    memory.append(resident(pid))
    figures = {
        "users": users,
        "seconds": seconds,
        "latency": summary(visitors.latencies),
        "errors": len(visitors.errors),
        "first_errors": visitors.errors[:3],
        "lost": visitors.lost,
        "memory_mib": {
            "start": memory[0],
            "middle": statistics.median(memory),
            "end": memory[-1],
            "max": max(memory),
        },
        "memory_each_minute": memory[:: 60 // WATCH_SECONDS],
    }
    report.say(f"crowd: {figures}")
    return figures


def _row(name: str, figures: dict[str, float]) -> list[str]:
    return [name, str(figures["count"]), *(f"{figures[key]:.2f}" for key in ("median", "p95", "max"))]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo", description=__doc__)
    parser.add_argument("--moves", type=int, default=40, help="slider moves measured in each situation")
    parser.add_argument("--users", type=int, default=20, help="visitors at once; 0 leaves them out")
    parser.add_argument("--seconds", type=float, default=60, help="how long they move sliders")
    parser.add_argument("--no-optimise", action="store_true", help="leave out the measurement beside an optimisation")
    parser.add_argument("--no-browser", action="store_true", help="only the crowd")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    argv = sys.argv[1:] if argv is None else argv
    options = parser.parse_args(argv)
    try:
        facts = report.circumstances("benchmarks.demo", argv)
        figures: dict[str, Any] = {"circumstances": facts}
        with server([]) as (address, pid, started):
            figures["started"] = started
            report.say(f"serving at {address} after {started:.1f} s")
            settle(pid)
            if not options.no_browser:
                figures |= in_browser(address, options.moves, beside=not options.no_optimise)
            if options.users:
                figures["crowd"] = crowd(address, pid, options.users, options.seconds)
        if options.json:
            report.write_json(options.json, figures)
    except WctStyleError as error:
        return report.failed(error)
    print(report.circumstances_markdown(facts))
    rows = [_row(name, figures[key]) for name, key in (("alone", "alone"), ("beside", "beside")) if key in figures]
    if options.users:
        rows.append(_row(f"{options.users} users", figures["crowd"]["latency"]))
    print(report.table(["slider to picture, s", "moves", "median", "p95", "max"], rows))
    if options.users:
        memory = figures["crowd"]["memory_mib"]
        line = ", ".join(f"{name} {value:.0f}" for name, value in memory.items())
        print(f"Errors {figures['crowd']['errors']}, lost {figures['crowd']['lost']}; server memory in MiB: {line}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
