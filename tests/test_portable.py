"""Windows and macOS lack calls that Linux has: each use is listed with its fallback, and the fallbacks work."""

import ast
import contextlib
import os
import re
import signal
import socket
from collections.abc import Iterator

import pytest
from test_rooms import Source, imports, names_used, package_sources

from wctstyle import files, heaps
from wctstyle.jobs import processes
from wctstyle.optimizer import memory
from wctstyle.web import check_address

ONLY_POSIX = re.compile(
    r"os\.(fork\w*|get[eu]?[ug]id|set\w*[igs]id|killpg|getpg\w+|kill|wait\w*|nice|sync|mkfifo|mknod|l?chown|fch\w+|chroot"
    r"|sched_\w+|sysconf|f?statvfs|uname|getloadavg|openpty|link|symlink|posix_\w+|sendfile|pread\w*|pwrite\w*|rename"
    r"|O_(NONBLOCK|DIRECTORY|NOFOLLOW|CLOEXEC|SYNC)|memfd_create|WNOHANG|ttyname)"
    r"|signal\.(SIG(KILL|HUP|USR\d|ALRM|CHLD|PIPE|STOP|CONT|QUIT|WINCH)|alarm|[gs]etitimer|pthread_\w+|sig(wait|timedwait|pending|interrupt)\w*|pause)"
    r"|select\.(poll|epoll|kqueue)|socket\.(AF_UNIX|SO_REUSEPORT|socketpair)|time\.(clock_[gs]ettime|tzset)"
    r"|(fcntl|resource|pwd|grp|termios|tty|pty|syslog|readline|posix)(\.\w+)*"
)
ONLY_LINUX = re.compile(r"/(proc|sys|tmp|dev|etc|usr|var|run|home)(/.*)?")
BEYOND_3_11 = re.compile(
    r"(distutils|imp|asyncore|asynchat|smtpd|aifc|audioop|cgi|cgitb|chunk|crypt|imghdr|lib2to3|mailcap|msilib|nis"
    r"|nntplib|ossaudiodev|pipes|sndhdr|spwd|sunau|telnetlib|uu|xdrlib)(\.\w+)*"
)
"""Modules that Python 3.12 or 3.13 has no more."""

GUARDED = {
    ("heaps", "/proc/self/statm"): "0 where it is not there",
    ("heaps", "os.sysconf"): "not reached without /proc",
    ("optimizer.memory", "/proc/meminfo"): "then sysconf, then unknown",
    ("optimizer.memory", "os.sysconf"): "then unknown",
    ("optimizer.memory", "/sys/fs/cgroup"): "then no limit",
    ("jobs.processes", "os.sched_getaffinity"): "then the number of cores",
    ("jobs.processes", "signal.pthread_sigmask"): "then the processes ignore Ctrl-C themselves",
    ("files", "os.link"): "then a copy",
    ("files", "os.kill"): "not on Windows, where it would end the process; then age decides",
    ("files", "fcntl"): "then msvcrt",
    ("files", "fcntl.flock"): "then msvcrt",
    ("files", "fcntl.LOCK_EX"): "then msvcrt",
    ("files", "fcntl.LOCK_NB"): "then msvcrt",
    ("files", "/proc"): "then the number of a process alone tells it",
    ("files", "/proc/sys/kernel/random/boot_id"): "then the name of the host alone",
    ("files", "/proc/self/ns/pid"): "then the name of the host alone",
    ("video.work", ".rename"): "its target was dropped before",
    ("cli.outputs", "/dev/"): "only compared with what is given",
}
"""Where such a call stands, and what is done without it."""


def special(source: Source) -> Iterator[str]:
    """What of a file is not everywhere: names, paths, and `rename`, which Windows refuses over a file."""
    yield from (name for _, name in names_used(source) if ONLY_POSIX.fullmatch(name))
    yield from (name for _, name in imports(source, set()) if ONLY_POSIX.fullmatch(name))
    for node in ast.walk(ast.parse(source.text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and ONLY_LINUX.fullmatch(node.value):
            yield node.value
        if isinstance(node, ast.Attribute) and node.attr == "rename":
            yield ".rename"


def unencoded(source: Source) -> Iterator[int]:
    """Lines that read or write text without saying its encoding, which Windows takes for its own."""
    for node in ast.walk(ast.parse(source.text)):
        if not isinstance(node, ast.Call) or any(word.arg in ("encoding", None) for word in node.keywords):
            continue
        if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Call):
            continue  # `av().open` opens a video
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        first = [value.value for value in node.args[:2] if isinstance(value, ast.Constant)]
        modes = [value for value in first if isinstance(value, str) and re.fullmatch(r"[rwax]\+?t?", value)]
        if (name == "open" and (modes or (isinstance(node.func, ast.Name) and len(node.args) == 1))) or (
            name in ("read_text", "write_text") and len(node.args) < (1 if name == "read_text" else 2)
        ):
            yield node.lineno


def test_every_such_call_has_a_fallback() -> None:
    found = {(source.name, name) for source in package_sources() for name in special(source)}
    assert found == GUARDED.keys()


@pytest.mark.parametrize(
    "text",
    [
        "import os\nos.fork()",
        "from os import getuid as who\nwho()",
        "import signal\nsignal.signal(signal.SIGHUP, f)",
        "def f():\n    import fcntl",
        "from resource import getrusage",
        "open('/tmp/x')",
        "path.rename(other)",
    ],
)
def test_such_calls_are_found(text: str) -> None:
    assert list(special(Source("color", text)))


def test_text_has_its_encoding_everywhere() -> None:
    assert [f"{source.name}:{line}" for source in package_sources() for line in unencoded(source)] == []
    text = "open(p)\nopen(p, 'w')\np.read_text()\np.open('a')\nopen(p, 'rb')\np.read_text('utf-8')"
    assert list(unencoded(Source("color", text))) == [1, 2, 3, 4]


def test_newer_pythons_have_all_modules() -> None:
    used = {name for source in package_sources() for _, name in imports(source, set())}
    assert {name for name in used if BEYOND_3_11.fullmatch(name)} == set()


def fails(*args: object, **options: object) -> None:
    raise OSError("not on this system")


def test_a_link_that_cannot_be_made_is_a_copy(tmp_path, monkeypatch) -> None:
    (tmp_path / "a").write_bytes(b"clip")
    files.link_or_copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a").samefile(tmp_path / "b")
    monkeypatch.setattr(os, "link", fails)
    files.link_or_copy(tmp_path / "a", tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == b"clip"
    assert not (tmp_path / "a").samefile(tmp_path / "c")


@pytest.mark.parametrize(("system", "shared"), [("posix", 1), ("nt", 0)])
def test_a_port_is_probed_without_sharing_it_on_windows(system, shared, monkeypatch) -> None:
    asked = []

    class Probe(socket.socket):
        def setsockopt(self, *option) -> None:
            asked.append(option)

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", Probe)
        patch.setattr(os, "name", system)
        check_address("127.0.0.1", None)
    assert asked == shared * [(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)]


def test_workers_start_where_signals_have_no_masks(monkeypatch) -> None:
    monkeypatch.delattr(signal, "pthread_sigmask")
    monkeypatch.setattr(processes.resource_tracker, "ensure_running", fails)
    with processes._without_interrupts():
        pass


def test_cores_are_counted_without_affinity(monkeypatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert processes.cores() == os.cpu_count()


@pytest.mark.parametrize("error", [AttributeError, OSError, TypeError])
def test_heaps_are_left_alone_without_glibc(error, monkeypatch) -> None:
    def library(name: None) -> None:
        raise error

    monkeypatch.setattr(heaps.ctypes, "CDLL", library)
    heaps.share()
    heaps.trim()


def test_memory_is_unknown_without_proc_and_sysconf(monkeypatch) -> None:
    monkeypatch.setattr(memory, "open", fails, raising=False)
    with contextlib.suppress(AttributeError):
        monkeypatch.delattr(os, "sysconf")
    assert memory._of_machine() is None
    assert heaps.resident() == 0
