# Wrong types are handed over on purpose here, and a text that may be None is searched.
# pyright: reportArgumentType=false, reportOperatorIssue=false

import hashlib
import http.server
import re
import socket
import ssl
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import tiny_models
from tiny_models import VGG, assert_same, random_tensors, write_keras

from wctstyle import weights
from wctstyle.encoder import MODELS, ModelConfig
from wctstyle.errors import ConfigError, WeightsError
from wctstyle.weights import download


@pytest.fixture(autouse=True)
def tiny(monkeypatch, tmp_path):
    tiny_models.install(monkeypatch, tmp_path)
    monkeypatch.setattr(download, "_PAUSE_S", 0)
    monkeypatch.setattr(download, "_TIMEOUT_S", 5)


class Server(http.server.ThreadingHTTPServer):
    """Serves `content`, with one behaviour of `script` per request; the last one stays.

    "stall" sends the first half and then nothing, to requests for the whole; those that go on are served.
    """

    daemon_threads = False

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.script, self.ranges = content, ["good"], []
        self.over = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/dir/vgg19.h5?x=1"

    def handle_error(self, request, client_address):
        """Clients that hang up are part of the tests."""


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def log_message(self, format, *args):
        pass

    def do_GET(self):
        server = self.server
        behaviour = server.script.pop(0) if len(server.script) > 1 else server.script[0]
        server.ranges.append(self.headers.get("Range"))
        content = server.content if behaviour != "wrong" else bytes(len(server.content))
        if behaviour.isdigit():
            self.send_error(int(behaviour))
            return
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked and behaviour != "no range" else 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            shown = start - 1 if behaviour == "other range" else start
            total = "*" if behaviour == "no length" else len(content)
            self.send_header("Content-Range", f"bytes {shown}-{len(content) - 1}/{total}")
        if behaviour != "no length":
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        stalls = behaviour == "stall" and not start
        stop = start + (len(content) - start) // 2 if behaviour == "cut" or stalls else len(content)
        self.wfile.write(content[start:stop])
        if stalls:
            self.wfile.flush()
            server.over.wait(20)


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_CHUNK", 1024)
    tensors = random_tensors(VGG, ["encoder"])
    with Server(write_keras(tmp_path / "official.h5", tensors).read_bytes()) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


def get(server, **options):
    md5 = hashlib.md5(server.content).hexdigest()
    return weights.download_vgg19(**{"url": server.url, "md5": md5, **options})


def part_file():
    return weights.user_dir() / "vgg19.h5.part"


def assert_imported(path):
    assert path == weights.user_dir() / "vgg19_encoder.safetensors"
    assert sorted(entry.name for entry in path.parent.iterdir()) == [path.name]
    assert len(weights.load("vgg19", parts=["encoder"])[0]) == 26


def test_download_and_import(server, tmp_path):
    seen = []
    assert_imported(get(server, progress=lambda done, total: seen.append((done, total))))
    size = len(server.content)
    assert seen[0] == (0, size)
    assert seen[-1] == (size, size)
    assert seen == sorted(seen)
    assert len(seen) > 5
    by_file = weights.import_vgg19(tmp_path / "official.h5", tmp_path / "by_file")
    assert_same(weights.load("vgg19", parts=["encoder"])[0], weights.load_file(by_file)[0])


def test_a_cut_download_goes_on_where_it_stopped(server, monkeypatch):
    monkeypatch.setattr(download, "_ATTEMPTS", 1)
    server.script = ["cut", "cut", "good"]
    seen = []
    assert_imported(get(server, progress=lambda done, total: seen.append(done)))
    size = len(server.content)
    assert server.ranges == [None, f"bytes={size // 2}-", f"bytes={size // 2 + (size - size // 2) // 2}-"]
    assert seen == sorted(seen)  # never back to zero


def test_ctrl_c_keeps_what_was_received(server):
    def interrupt(done, total):
        if done >= 4096:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(server, progress=interrupt)
    assert part_file().read_bytes() == server.content[:4096]
    assert not (weights.user_dir() / "vgg19_encoder.safetensors").exists()
    assert_imported(get(server))
    assert server.ranges == [None, "bytes=4096-"]


@pytest.mark.parametrize("behaviour", ["no range", "other range", "no length", "good"])
def test_resuming_from_servers_of_all_kinds(server, behaviour):
    part_file().parent.mkdir(parents=True)
    part_file().write_bytes(server.content[:5000])
    server.script = [behaviour, "good"] if behaviour == "other range" else [behaviour]
    totals = set()
    assert_imported(get(server, progress=lambda done, total: totals.add(total)))
    assert server.ranges == (["bytes=5000-", None] if behaviour == "other range" else ["bytes=5000-"])
    assert totals == {None if behaviour == "no length" else len(server.content)}


def test_a_part_that_is_too_long_is_started_over(server):
    part_file().parent.mkdir(parents=True)
    part_file().write_bytes(bytes(len(server.content) + 1))
    assert_imported(get(server))
    assert server.ranges == [f"bytes={len(server.content) + 1}-", None]


def test_what_is_whole_already_is_not_fetched_again(server):
    weights.user_dir().mkdir(parents=True)
    part_file().write_bytes(server.content)
    assert_imported(get(server))
    assert server.ranges == []


def test_a_wrong_checksum_removes_the_download(server):
    server.script = ["wrong"]
    with pytest.raises(WeightsError, match=r"has MD5 \w{32}, wanted \w{32}; it was removed. Run the command again"):
        get(server)
    assert list(weights.user_dir().iterdir()) == []
    server.script = ["good"]
    assert_imported(get(server, md5=hashlib.md5(server.content).hexdigest().upper()))


def test_a_file_that_cannot_be_imported_is_kept_and_not_fetched_twice(server, monkeypatch):
    monkeypatch.setitem(MODELS, "vgg19", ModelConfig("vgg19", (2, 3, 4, 5, 7), (2, 3, 3)))
    for _ in range(2):
        with pytest.raises(WeightsError, match=r"conv5_1/bias has shape \(6,\), wanted \(7,\)"):
            get(server)
    assert len(server.ranges) == 1
    monkeypatch.setitem(MODELS, "vgg19", VGG)
    assert_imported(get(server))


def test_404_ends_at_once_with_another_way(server):
    server.script = ["404"]
    with pytest.raises(WeightsError, match=r"answered 404 Not Found, wanted 200.*wctstyle weights import FILE"):
        get(server)
    assert len(server.ranges) == 1


def test_500_is_tried_again_and_then_reported(server, monkeypatch):
    monkeypatch.setattr(download, "_ATTEMPTS", 3)
    server.script = ["500", "503", "good"]
    assert_imported(get(server))
    server.script, server.ranges = ["500"], []
    with pytest.raises(WeightsError, match=r"answered 500 .*gave up after 3 attempts .*0 bytes are kept in"):
        get(server)
    assert len(server.ranges) == 3


def test_a_stalling_server_runs_into_the_timeout(server, monkeypatch):
    monkeypatch.setattr(download, "_TIMEOUT_S", 0.8)
    server.script = ["stall"]
    assert_imported(get(server))
    assert server.ranges[0] is None
    went_on = next(asked for asked in server.ranges if asked)  # what came before the silence is kept
    assert 0 < int(went_on.removeprefix("bytes=").removesuffix("-")) <= len(server.content) // 2


def test_a_server_that_never_answers(monkeypatch):
    monkeypatch.setattr(download, "_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/vgg19.h5"
        with pytest.raises(WeightsError, match=r"no answer for 0.2 seconds; gave up after 4 attempts"):
            weights.download_vgg19(url=url)


def test_no_server_there():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(WeightsError, match=r"no connection to 127.0.0.1: .*gave up after 4 attempts"):
        weights.download_vgg19(url=f"http://127.0.0.1:{port}/vgg19.h5")


def test_no_network(monkeypatch):
    def fail(*args, **kwargs):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(WeightsError, match=r"to storage.googleapis.com: .*name resolution.*Check the network, DNS"):
        weights.download_vgg19()
    assert not part_file().exists()


def test_an_untrusted_certificate_is_not_tried_again(monkeypatch):
    calls = []

    def fail(*args, **kwargs):
        calls.append(args)
        raise urllib.error.URLError(ssl.SSLCertVerificationError(1, "self-signed certificate"))

    monkeypatch.setattr(urllib.request, "urlopen", fail)
    with pytest.raises(WeightsError, match=r"no connection to 127.0.0.1: .*self-signed.*the proxy and the clock"):
        weights.download_vgg19(url="https://127.0.0.1/vgg19.h5")
    assert len(calls) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_said_plainly(server):
    weights.user_dir().mkdir(parents=True)
    part_file().symlink_to("/dev/full")
    with pytest.raises(WeightsError, match=r"vgg19.h5.part: the disk is full. Free some space"):
        get(server)
    assert len(server.ranges) == 1


def test_a_flood_is_stopped(server, monkeypatch):
    monkeypatch.setattr(download, "_MAX_BYTES", 3000)
    with pytest.raises(WeightsError, match="sent over 3000 bytes"):
        get(server)


def test_a_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "home").write_text("a file where the folder should be")
    with pytest.raises(WeightsError, match="cannot write it"):
        get(server)
    assert server.ranges == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "vgg19.h5", "http://127.0.0.1/a b", "http://127.0.0.1:x/"])
def test_download_refuses_addresses_that_make_no_sense(url):
    with pytest.raises(ConfigError, match=f"url is '{url}'"):
        weights.download_vgg19(url=url)
