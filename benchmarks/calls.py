"""Odd calls of a server, made by hypothesis: arguments, JSON, forms, uploads, headers and paths that make no sense."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from benchmarks import report
from benchmarks.demo import free_port, resident
from wctstyle import images
from wctstyle.errors import ConfigError

PATIENCE = 10.0
"""Seconds until an answer, but for running work."""

WORK_SECONDS = 60.0
"""Seconds that a call which paints may take."""

FAULTS = (b"Something went wrong", b"Internal Server Error", b"Traceback", b"site-packages")
"""What an answer says when the server did not expect a call."""

OWN_FILES = re.compile(rb"[\w/.-]+/files/(exports/)?[\w/.-]+")
"""Uploads and results: Gradio names them by their whole path, and its clients need that."""

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example, HealthCheck.filter_too_much)
"""Warnings of hypothesis that are about time alone."""

EXAMPLES = 2
"""Findings of a kind that are told; hypothesis varies what it has drawn, so one fault comes often."""

BUSY = (429, 503)
"""Answers of a server that takes no work at present."""

CLIMBS = (
    "/etc/passwd", "../../../../etc/passwd", "..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd", "....//etc",
    "..\\..\\windows\\win.ini", "/proc/self/environ", "file:///etc/passwd", "http://127.0.0.1:1/", "C:/", "\0", "%00",
    "~/.ssh/id_rsa", "a" * 3000,
)  # fmt: skip
"""Paths that lead out of a folder, or nowhere."""

ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.sampled_from(CLIMBS),
    st.sampled_from([10**400, -1, 2**63, 1e308, float("nan"), float("inf"), "sample:", "sample:../x", "x" * 70_000]),
    st.recursive(st.none() | st.integers() | st.text(max_size=5),
                 lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
                 max_leaves=8),
)  # fmt: skip
"""Values of JSON that no argument wants."""

FILE = st.fixed_dictionaries(
    {"path": ODD | st.sampled_from(CLIMBS)},
    optional={
        "meta": st.just({"_type": "gradio.FileData"}) | ODD, "url": ODD, "orig_name": ODD, "size": ODD, "mime_type": ODD
    },
)  # fmt: skip
"""A file as Gradio names it, which was never uploaded."""

NUMBER = st.sampled_from([0, 0.5, 1, 1.5, -1, 2, 64, 65, 1e9, 1e-9])

HEADERS = st.dictionaries(
    st.sampled_from([
        "Host", "Origin", "Cookie", "Range", "Accept", "Content-Type", "Content-Encoding", "Idempotency-Key", "Expect",
        "X-Forwarded-For", "X-Forwarded-Host", "Authorization", "If-None-Match", "Accept-Encoding", "Transfer-Encoding",
    ]),
    st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=30)
    | st.sampled_from(["*/*", "application/json", "multipart/form-data", "bytes=-1", "bytes=9-1,5-", "x" * 9000]),
    max_size=2,
)  # fmt: skip


@dataclass(frozen=True)
class Call:
    """A request as it is sent; `begins` says that work may begin, which an answer is waited for."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    begins: bool = False


@dataclass
class Server:
    """A server of this machine, in a folder of its own, which no answer may name."""

    kind: str
    port: int
    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def errors(self) -> str:
        """What it wrote on stderr."""
        return (self.folder / "errors.txt").read_text(errors="replace")

    def ask(self, call: Call, patience: float = PATIENCE) -> tuple[int, bytes, float]:
        """Send a call; returns status, body and seconds. A closed connection is status 0."""
        begun = time.monotonic()
        patience = WORK_SECONDS if call.begins else patience
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=patience)
        try:
            connection.putrequest(call.method, line(call.path), skip_host="Host" in call.headers,
                                  skip_accept_encoding=True)  # fmt: skip
            for name, value in {"Content-Length": str(len(call.body)), **call.headers}.items():
                connection.putheader(name, value.encode("latin-1", "replace"))
            connection.endheaders(call.body)
            answer = connection.getresponse()
            return answer.status, answer.read(4 << 20), time.monotonic() - begun
        except (http.client.HTTPException, ConnectionError, ValueError) as error:
            return 0, repr(error).encode(), time.monotonic() - begun
        except TimeoutError:
            return -1, b"", time.monotonic() - begun
        finally:
            connection.close()


def line(path: str) -> str:
    """Write a path so that it can stand in a request: what is no ASCII, space or control is encoded."""
    return "".join(char if "!" <= char <= "~" else f"%{ord(char) & 0xFF:02X}" for char in path)


@contextlib.contextmanager
def serving(kind: str) -> Iterator[Server]:
    """Run `wctstyle demo` or `wctstyle serve` on the loopback, with small limits; it is ended at the end."""
    with tempfile.TemporaryDirectory(prefix="wctstyle-private-") as name:
        folder, port = Path(name), free_port()
        (folder / "temporary").mkdir()
        home = {"WCTSTYLE_HOME": str(folder / "home"), "TMPDIR": str(folder / "temporary")}
        limits = ("--max-size", "128", "--queue-size", "4")
        command = [sys.executable, "-m", "wctstyle", kind, "--port", str(port), *limits]
        with (folder / "errors.txt").open("wb") as errors:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, env={**os.environ, **home})
        try:
            _await(port, process)
            yield Server(kind, port, process, folder)
        finally:
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await(port: int, process: subprocess.Popen[bytes], seconds: float = 180) -> None:
    """Wait until a port is listened on."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.2)
    raise ConfigError("the server did not start; run it by hand to see why")


# --- Calls --------------------------------------------------------------------------------


def multipart(fields: list[tuple[str, str | None, bytes]], mark: str = "mark") -> tuple[dict[str, str], bytes]:
    """Write a form: names, file names (None for none) and contents."""
    body = b""
    for name, file, content in fields:
        more = "" if file is None else f'; filename="{file}"'
        head = f'--{mark}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
        body += head.encode("utf-8", "surrogatepass") + content + b"\r\n"
    return {"Content-Type": f"multipart/form-data; boundary={mark}"}, body + f"--{mark}--\r\n".encode()


def as_json(value: Any) -> bytes:
    """Write JSON, also what is none (NaN, lone surrogates)."""
    return json.dumps(value).encode("utf-8", "surrogatepass")


PICTURE = images.encode(np.zeros((16, 16, 3), np.uint8), format="png")


@st.composite
def raw_calls(draw: Any, paths: tuple[str, ...]) -> Call:
    """Draw a request to any path, with any body."""
    path = draw(st.sampled_from(paths)).format(draw(st.sampled_from(CLIMBS)), draw(st.text(max_size=8)))
    method = draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"]))
    body = draw(st.one_of(
        st.just(b""), st.binary(max_size=60), ODD.map(as_json), st.just(b"[" * 50_000), st.just(b'{"data": ['),
        st.just(b"x" * (3 << 20)), st.dictionaries(st.sampled_from(["data", "fn_index", "session_hash", "event_id",
        "event_data", "trigger_id", "request"]), ODD | FILE | st.lists(ODD, max_size=3), max_size=4).map(as_json),
    ))  # fmt: skip
    return Call(method, path, {"Content-Type": "application/json", **draw(HEADERS)}, body)


@st.composite
def uploads(draw: Any, path: str, names: tuple[str, ...]) -> Call:
    """Draw a form with files of odd names and contents."""
    content = st.sampled_from([PICTURE, PICTURE[:40], b"", b"<svg/>", b"x" * 100_000]) | st.binary(max_size=50)
    file = st.none() | st.sampled_from(CLIMBS) | st.text(max_size=12).filter(lambda text: '"' not in text)
    value = content | ODD.map(lambda value: str(value)[:100_000].encode("utf-8", "replace"))
    fields = draw(st.lists(st.tuples(st.sampled_from(names), file, value), max_size=6))
    headers, body = multipart(fields)
    if draw(st.booleans()):
        body = body[: draw(st.integers(0, len(body)))]
    return Call("POST", path, {**headers, **draw(HEADERS)}, body, begins=True)


DEMO_PATHS = (
    "/gradio_api/file={}", "/file={}", "/gradio_api/proxy={}", "/static/{}", "/assets/{}", "/svelte/{}", "/{}", "/{1}",
    "/gradio_api/call/{1}", "/gradio_api/call/v2/{1}", "/gradio_api/call/stylize/{1}", "/gradio_api/run/{1}",
    "/gradio_api/queue/join", "/gradio_api/run/predict", "/gradio_api/cancel", "/gradio_api/reset", "/config",
    "/theme.css",
    "/gradio_api/upload_progress?upload_id={1}", "/gradio_api/component_server", "/gradio_api/stream/{0}/{1}/1/x",
    "/gradio_api/info", "/gradio_api/custom_component/{0}/x/y/{1}", "/stream/{1}", "/live/{1}", "/healthz", "/readyz",
    "/login", "/gradio_api/token", "/user", "/monitoring/{1}", "/robots.txt", "/manifest.json", "/gradio_api/deep_link",
)  # fmt: skip

SERVE_PATHS = (
    "/v1/stylize", "/v1/jobs", "/v1/jobs/{}", "/v1/jobs/{1}", "/v1/jobs/{1}?wait={0}", "/v1/jobs/{1}/result",
    "/v1/jobs/{1}/result/{0}", "/v1/jobs/{0}/result/{0}", "/v1/jobs/{1}/events", "/v1/models", "/v1/options",
    "/v1/samples", "/docs", "/openapi.json", "/healthz", "/readyz", "/metrics", "/{}", "/{1}",
)  # fmt: skip

FAST = ("stylize", "recipe", "suggest", "mask", "compare", "samples", "looks")
"""Endpoints of the demo whose work is short; others get at least one argument that is wrong."""


@st.composite
def named_calls(draw: Any, endpoints: dict[str, list[str]]) -> Call:
    """Draw a call of one of the demo's endpoints, with arguments that are nearly right or quite wrong."""
    name = draw(st.sampled_from(sorted(endpoints)))
    names = endpoints[name]
    right = {
        "content": "sample:cat", "styles": ["sample:peacock"], "size": 64, "weights": [1.0], "steps": 1,
        "strength": 0.5, "picture": None, "result": "sample:peacock",
    }  # fmt: skip
    chosen = {key: value for key, value in right.items() if key in names}
    wrong = st.one_of(ODD, FILE, st.lists(ODD | FILE, max_size=3), NUMBER, st.lists(NUMBER, max_size=3))
    extra = draw(st.lists(st.sampled_from([*names, "nobody", "__class__"]), max_size=3, unique=True))
    for key in extra:
        chosen[key] = draw(wrong)
    if name not in FAST and names:
        chosen[names[0]] = draw(ODD)
    by_name = draw(st.booleans())
    body = as_json(chosen) if by_name else as_json({"data": [chosen.get(key) for key in names if key in chosen]})
    how = "call/v2" if by_name else "call"
    return Call("POST", f"/gradio_api/{how}/{name}", {"Content-Type": "application/json", **draw(HEADERS)}, body, True)


def demo_calls(server: Server) -> st.SearchStrategy[Call]:
    """Return calls of a demo."""
    status, body, _ = server.ask(Call("GET", "/gradio_api/info"), WORK_SECONDS)
    if status != 200:
        raise ConfigError(f"/gradio_api/info answered {status}")
    found = json.loads(body)["named_endpoints"].items()
    endpoints = {name.strip("/"): [one["parameter_name"] for one in about["parameters"]] for name, about in found}
    named, sent = named_calls(endpoints), uploads("/gradio_api/upload", ("files", "x"))
    return st.one_of(named, named, raw_calls(DEMO_PATHS), sent)


def serve_calls(server: Server) -> st.SearchStrategy[Call]:
    """Return calls of the API's server."""
    status, body, _ = server.ask(Call("GET", "/v1/options"), WORK_SECONDS)
    if status != 200:
        raise ConfigError(f"/v1/options answered {status}")
    names = ("content", "style", "size", "kind", "strength", "steps", "mask", "format", "x", *_keys(body))
    paths = st.sampled_from(["/v1/stylize", "/v1/jobs", "/v1/jobs"])
    return st.one_of(raw_calls(SERVE_PATHS), paths.flatmap(lambda path: uploads(path, names)), nearly(), nearly())


def _keys(body: bytes) -> list[str]:
    found = json.loads(body)
    return sorted({str(key) for part in found.values() if isinstance(part, dict) for key in part})


FIELDS = (
    "content", "style", "size", "strength", "kind", "model", "format", "quality", "steps", "mask", "region", "seed",
)  # fmt: skip


@st.composite
def nearly(draw: Any) -> Call:
    """Draw a request of the API that is right but for some fields."""
    fields: dict[str, tuple[str | None, bytes]] = {"content": ("a.png", PICTURE), "style": (None, b"sample:peacock"),
                                                   "size": (None, b"64")}  # fmt: skip
    wrong = ODD.map(lambda value: str(value)[:100_000].encode("utf-8", "replace"))
    for name in draw(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=3)):
        fields[name] = (draw(st.none() | st.just("b.png")), draw(wrong))
    headers, body = multipart([(name, *value) for name, value in fields.items()])
    path = draw(st.sampled_from(["/v1/stylize", "/v1/jobs"]))
    return Call("POST", path, {**headers, **draw(HEADERS)}, body, begins=True)


# --- Running ------------------------------------------------------------------------------


@dataclass
class Calls:
    """What came of calls of one server."""

    server: Server
    statuses: Counter[int] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    memory: list[float] = field(default_factory=list)

    def run(self, count: int, number: int, seconds: float) -> None:
        """Make so many calls, or as many as there is time for; all follow from the seed `number`."""
        calls = {"demo": demo_calls, "serve": serve_calls}[self.server.kind](self.server)
        end = time.monotonic() + seconds
        self.memory = [resident(self.server.process.pid)]

        @seed(number)
        @settings(max_examples=count, database=None, deadline=None, suppress_health_check=SLOW)
        @given(calls)
        def each(call: Call) -> None:
            if time.monotonic() < end and self.server.process.poll() is None:
                self._one(call)

        each()
        self.memory.append(resident(self.server.process.pid))
        if self.server.process.poll() is not None:
            self.findings.append(f"the server ended with {self.server.process.returncode}")
        ends = Counter(re.findall(r"^  File .*\n(?:    .*\n)+(\S.*)$", self.server.errors, re.MULTILINE))
        self.findings += [f"{count} tracebacks in its log: {line[:200]}" for line, count in ends.items()]

    def _one(self, call: Call) -> None:
        status, body, taken = self.server.ask(call)
        self._judge(call, status, body, taken)
        if self.server.kind == "demo" and status == 200 and b"event_id" in body and "/call/" in call.path:
            name = call.path.replace("call/v2", "call")
            event = json.loads(body)["event_id"]
            followed = Call("GET", f"{name}/{event}", begins=True)
            self._judge(Call("GET", name, {}, call.body, True), *self.server.ask(followed))
        done = self.statuses.total()
        if done % 1000 == 0:
            self.memory.append(resident(self.server.process.pid))
            report.say(f"{done} answers, {len(self.findings)} findings, {self.memory[-1]:.0f} MiB")

    def _judge(self, call: Call, status: int, body: bytes, taken: float) -> None:
        self.statuses[status] += 1
        self.slowest = max(self.slowest, taken)
        wrong = ""
        if status >= 500 and status not in BUSY:
            wrong = f"answers {status}"
        elif status == -1 or (taken > PATIENCE and not call.begins):
            wrong = f"takes {taken:.0f} s"
        elif any(fault in body for fault in FAULTS) and not call.path.startswith(("/assets", "/svelte", "/static")):
            wrong = "tells of a fault"
        elif str(self.server.folder).encode() in OWN_FILES.sub(b"", body):
            wrong = "tells a path"
        if wrong:
            kind = f"{wrong}: {call.method} {call.path[:40]}"
            self.kinds[kind] += 1
            if self.kinds[kind] <= EXAMPLES:
                words = f"{kind} {call.headers} {call.body[:300]!r}: {body[:300]!r}"
                self.findings.append(words)
                report.say(words)

    def markdown(self) -> str:
        """Write the figures."""
        counts = ", ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items()))
        memory = ", ".join(f"{mib:.0f}" for mib in self.memory)
        lines = "".join(f"- {finding}\n" for finding in self.findings)
        return (
            f"`wctstyle {self.server.kind}`: {self.statuses.total()} answers ({counts}; 0 is a closed connection), "
            f"slowest {self.slowest:.1f} s, resident MiB {memory}, {len(self.findings)} findings.\n\n{lines}"
        )
