"""What every server shares: hosts, origins, secrets, rates, caps, health, figures, logs and a clean stop."""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import signal
import threading
import time
from typing import Annotated

import pytest
import typer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect
from typer.testing import CliRunner

from wctstyle.cli.console import Verbose, clean_exit
from wctstyle.cli.server_options import ServerOptions, with_server_options
from wctstyle.errors import ConfigError
from wctstyle.web import Exposure, Metrics, Stopping, protect, wrapped
from wctstyle.web.addresses import client_of, is_private, matches, split_host, split_origin
from wctstyle.web.buckets import MOST_CLIENTS, Buckets
from wctstyle.web.logs import Lines

TOKEN, PASSWORD = "a-token-of-24-characters", "open sesame"
HOME = "http://127.0.0.1:7860"
PUBLIC = Exposure(host="0.0.0.0", allowed_hosts=("studio.example",))


async def read(request: Request) -> PlainTextResponse:
    return PlainTextResponse(request.url.scheme, headers={"access-control-allow-origin": "https://everybody.example"})


async def write(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


async def fault(request: Request) -> PlainTextResponse:
    raise RuntimeError("mine.png is broken")


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()


ROUTES = [
    Route("/", read),
    Route("/picture/{name}", read),
    Route("/write", write, methods=["POST"]),
    Route("/fault", fault),
    WebSocketRoute("/talk", talk),
]


def server(exposure=PUBLIC, *, client="198.51.100.7", base=HOME, metrics=None, **more):
    """A client of a small protected app, that asks from an address."""
    app = wrapped(Starlette(routes=ROUTES), protect(exposure, metrics or Metrics(), **more))
    return TestClient(app, base_url=base, client=(client, 50000), raise_server_exceptions=False)


def basic(password, user="anybody"):
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


# ------------------------------------------------------------------------------------------------------------- hosts


@pytest.mark.parametrize("host", ["localhost:7860", "127.0.0.1:7860", "[::1]:7860", "LOCALHOST", "192.168.1.5:80"])
def test_a_server_of_this_machine_answers_to_its_own_names(host):
    assert server(Exposure()).get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7860", "localhost.evil.example", "127.0.0.1.evil.example", "a@localhost", ""]
)
def test_a_name_that_was_pointed_here_is_refused_with_what_to_do(host):
    answer = server(Exposure()).get("/", headers={"host": host})
    assert answer.status_code == 403
    name = host.partition(":")[0]
    wanted = f"start it with --allowed-host {name}" if name and "@" not in name else "one header Host"
    assert wanted in answer.json()["detail"]


def test_given_names_are_answered_to_and_numbers_then_are_not():
    exposed = server(Exposure(host="0.0.0.0", allowed_hosts=("studio.example", "*.paint.example")))
    answers = {
        host: exposed.get("/", headers={"host": host}).status_code
        for host in ("studio.example", "a.paint.example", "paint.example", "xpaint.example", "203.0.113.9", "localhost")
    }
    assert answers == {
        "studio.example": 200,
        "a.paint.example": 200,
        "paint.example": 403,
        "xpaint.example": 403,
        "203.0.113.9": 403,
        "localhost": 200,
    }


def test_a_server_for_all_addresses_knows_its_own_name(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "Painter")
    monkeypatch.setattr("socket.getfqdn", lambda: "painter.lan")
    exposed = server(Exposure(host="0.0.0.0"))
    for host, status in (("painter", 200), ("painter.lan:80", 200), ("painter.local", 200), ("other.lan", 403)):
        assert exposed.get("/", headers={"host": host}).status_code == status, host
    assert server(Exposure(host="192.0.2.1")).get("/", headers={"host": "painter"}).status_code == 403


def test_two_hosts_in_one_request_are_none():
    twice = [("host", "127.0.0.1"), ("host", "evil.example")]
    assert server().get("/", headers=twice).status_code == 403


# ------------------------------------------------------------------------------------------------------------ origins


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": HOME}, 200),
        ({"origin": "http://127.0.0.1:1"}, 403),
        ({"origin": "http://localhost:7860"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
    ],
)
def test_what_changes_something_comes_from_the_servers_own_pages(headers, status):
    answer = server().post("/write", headers=headers, content=b"12")
    assert answer.status_code == status
    if status == 403:
        assert "--allow-origin" in answer.json()["detail"]


def test_a_page_behind_an_encrypting_proxy_is_the_servers_own():
    headers = {"host": "studio.example", "origin": "https://studio.example"}
    assert server().post("/write", headers=headers).status_code == 200
    assert server().post("/write", headers={**headers, "origin": "https://studio.example:444"}).status_code == 403


def test_pages_of_allowed_origins_may_ask_and_read_and_no_others():
    exposed = server(Exposure(allowed_origins=("https://paint.example",)))
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    own, other = {"origin": "https://paint.example"}, {"origin": "https://evil.example"}
    permitted = exposed.options("/write", headers=own | asks)
    assert (permitted.status_code, permitted.headers["access-control-allow-origin"]) == (204, own["origin"])
    assert "authorization" in permitted.headers["access-control-allow-headers"]
    written = exposed.post("/write", headers=own, content=b"123")
    assert (written.text, written.headers["access-control-allow-origin"]) == ("3", own["origin"])
    assert "access-control-allow-credentials" not in written.headers
    assert exposed.options("/write", headers=other | asks).status_code == 403
    seen = exposed.get("/", headers=other)
    assert (seen.status_code, "access-control-allow-origin" in seen.headers) == (200, False)
    anybody = server(Exposure(allowed_origins=("*",)))
    assert anybody.post("/write", headers=other).headers["access-control-allow-origin"] == other["origin"]


def test_websockets_of_other_pages_do_not_open():
    exposed = server(Exposure())
    with exposed.websocket_connect("/talk", headers={"host": "127.0.0.1:7860", "origin": HOME}) as socket:
        assert socket.receive_text() == "hello"
    foreign = {"host": "127.0.0.1:7860", "origin": "https://evil.example"}
    with pytest.raises(WebSocketDisconnect), exposed.websocket_connect("/talk", headers=foreign):
        pass


# ------------------------------------------------------------------------------------------------------------ secrets


def test_token_and_password_open_the_server_and_nothing_else_does():
    exposed = server(Exposure(token=TOKEN, password=PASSWORD))
    closed = exposed.get("/")
    assert closed.status_code == 401
    assert closed.headers["www-authenticate"].startswith("Basic ")
    assert TOKEN not in closed.text
    tries = [
        ({"authorization": f"Bearer {TOKEN}"}, 200),
        (basic(PASSWORD), 200),
        (basic(PASSWORD, "somebody:else"[:8]), 200),
        (basic(TOKEN), 401),
        ({"authorization": f"Bearer {PASSWORD}"}, 401),
        ({"authorization": f"Bearer {TOKEN}x"}, 401),
        ({"authorization": "Basic !!!"}, 401),
        ({"authorization": "Digest x"}, 401),
    ]
    for headers, status in tries:
        assert exposed.get("/", headers=headers).status_code == status, headers
    assert server(Exposure(token=TOKEN)).get("/").headers["www-authenticate"].startswith("Bearer ")


def test_guesses_are_slowed_down_for_one_address_alone():
    exposed = Exposure(host="0.0.0.0", token=TOKEN)
    parts = protect(exposed, metrics := Metrics())
    app = wrapped(Starlette(routes=ROUTES), parts)
    guesser, other = (TestClient(app, base_url=HOME, client=(f"198.51.100.{n}", 1)) for n in (1, 2))
    for number in range(10):
        wrong = guesser.get("/", headers={"authorization": f"Bearer {number}"})
        assert wrong.status_code == 401
    right = {"authorization": f"Bearer {TOKEN}"}
    slowed = guesser.get("/", headers=right)
    assert slowed.status_code == 429
    assert 1 <= int(slowed.headers["retry-after"]) <= 6
    assert other.get("/", headers=right).status_code == 200
    assert guesser.get("/").status_code == 401  # which is no guess
    assert 'wctstyle_refused_total{reason="guesses"} 1\n' in metrics.render()


# ------------------------------------------------------------------------------------------------------------- limits


def test_too_many_requests_are_told_when_to_come_back():
    exposed = server(Exposure(host="0.0.0.0", rate=30))
    answers = [exposed.get("/") for _ in range(31)]
    assert [answer.status_code for answer in answers] == [200] * 30 + [429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 2
    assert exposed.get("/healthz").status_code == 200


def test_a_server_of_this_machine_has_no_limits_unless_they_are_given():
    assert (Exposure().requests_a_minute, Exposure().client_upload_bytes, Exposure().all_upload_bytes) == (0, 0, 0)
    assert Exposure(rate=5).requests_a_minute == 5
    for exposed in (Exposure(host="0.0.0.0"), Exposure(share=True), Exposure(behind_proxy=True)):
        assert exposed.requests_a_minute > 0
        assert exposed.all_upload_bytes > exposed.client_upload_bytes > 0


def body(size, chunk=2**16):
    """A body whose size is not told before it comes."""
    for start in range(0, size, chunk):
        yield bytes(min(chunk, size - start))


def test_uploads_are_capped_for_each_client_and_for_all():
    parts = protect(Exposure(host="0.0.0.0", client_uploads=2, all_uploads=3), Metrics())
    app = wrapped(Starlette(routes=ROUTES), parts)
    first, second, third = (TestClient(app, base_url=HOME, client=(f"198.51.100.{n}", 1)) for n in (1, 2, 3))
    large = first.post("/write", content=bytes(5 * 2**20))
    assert (large.status_code, "up to 2 MiB" in large.json()["detail"]) == (413, True)
    assert first.post("/write", content=bytes(3 * 2**19)).text == str(3 * 2**19)
    again = first.post("/write", content=bytes(2**20))
    assert again.status_code == 413
    assert int(again.headers["retry-after"]) == pytest.approx(900, abs=30)  # half of what an hour gives
    assert first.post("/write", content=body(2**20)).status_code == 413
    assert second.post("/write", content=body(2**20)).text == str(2**20)
    assert third.post("/write", content=bytes(2**20)).status_code == 413  # all together have sent too much


def test_buckets_fill_evenly_and_forget_who_was_not_seen_for_longest():
    now = [0.0]
    buckets = Buckets(10, 60, clock=lambda: now[0])
    assert all(buckets.take("a") for _ in range(10))
    assert not buckets.take("a")
    assert buckets.wait("a") == pytest.approx(6)
    now[0] = 6.0
    assert buckets.take("a")
    assert not buckets.take("a")
    for number in range(MOST_CLIENTS):
        buckets.take(str(number))
    assert buckets.left("a") == 10


# ------------------------------------------------------------------------------------------------------------ proxies


@pytest.mark.parametrize(
    ("peer", "forwarded", "behind", "client"),
    [
        ("198.51.100.7", None, False, "198.51.100.7"),
        ("198.51.100.7", "203.0.113.1", False, "198.51.100.7"),
        ("198.51.100.7", "1.1.1.1, 203.0.113.1", True, "203.0.113.1"),
        ("198.51.100.7", None, True, "198.51.100.7"),
        ("198.51.100.7", "junk", True, "unknown"),
        ("2001:db8:1:2:3::4", None, False, "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.1", None, False, "203.0.113.1"),
        ("::1", None, False, "::1"),
    ],
)
def test_who_asks(peer, forwarded, behind, client):
    headers = [] if forwarded is None else [(b"x-forwarded-for", forwarded.encode())]
    assert client_of({"client": (peer, 1), "headers": headers}, behind) == client


def test_a_visitor_cannot_pass_for_another_one_or_for_a_proxy():
    exposed = server(Exposure(host="0.0.0.0", rate=1))
    headers = {"x-forwarded-proto": "https"}
    assert exposed.get("/", headers={**headers, "x-forwarded-for": "203.0.113.1"}).text == "http"
    assert exposed.get("/", headers={**headers, "x-forwarded-for": "203.0.113.2"}).status_code == 429
    proxied = server(Exposure(behind_proxy=True, rate=1))
    assert proxied.get("/", headers={**headers, "x-forwarded-for": "203.0.113.1"}).text == "https"
    assert proxied.get("/", headers={**headers, "x-forwarded-for": "9.9.9.9, 203.0.113.1"}).status_code == 429
    assert proxied.get("/", headers={**headers, "x-forwarded-for": "203.0.113.2"}).status_code == 200


# ------------------------------------------------------------------------------------------------- health and figures


def test_health_is_told_to_anybody_and_readiness_with_its_reason():
    reason, stopping = [""], Stopping()
    exposed = server(Exposure(token=TOKEN), ready=lambda: reason[0], stopping=stopping)
    headers = {"host": "10.0.0.1:7860"}
    assert exposed.get("/healthz", headers=headers).text == "ok\n"
    assert exposed.get("/readyz", headers=headers).status_code == 200
    reason[0] = "the queue is full"
    full = exposed.get("/readyz")
    assert (full.status_code, full.text) == (503, "the queue is full\n")
    stopping.ask()
    assert exposed.get("/readyz").text == "stopping\n"
    assert exposed.get("/healthz").status_code == 200


def test_figures_are_those_of_what_was_asked_in_the_form_of_prometheus():
    metrics = Metrics()
    metrics.gauge("wctstyle_queue_length", "Jobs that wait.", lambda: 3)
    exposed = server(Exposure(metrics=True, token=TOKEN), metrics=metrics)
    known = {"authorization": f"Bearer {TOKEN}"}
    assert exposed.get("/metrics").status_code == 401
    exposed.get("/picture/mine.png", headers=known)
    exposed.post("/write", headers=known, content=b"12345")
    exposed.get("/nowhere", headers=known)
    exposed.get("/fault", headers=known)
    answer = exposed.get("/metrics", headers=known)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = {}
    for line in answer.text.splitlines():
        if line.startswith("#"):
            assert re.fullmatch(r"# (HELP \w+ .+\.|TYPE \w+ (counter|gauge|histogram))", line), line
            continue
        found = re.fullmatch(r'(\w+(?:\{(?:\w+="[^"\n]*",?)+\})?) (-?[0-9.e+-]+)', line)
        assert found, line
        samples[found[1]] = float(found[2])
    asked = 'wctstyle_requests_total{method="%s",route="%s",status="%s"}'
    assert samples[asked % ("GET", "/picture/{name}", 200)] == 1
    assert samples[asked % ("POST", "/write", 200)] == 1
    assert samples[asked % ("GET", "other", 404)] == 1
    assert samples[asked % ("GET", "/fault", 500)] == 1
    assert samples['wctstyle_request_seconds_bucket{route="/write",le="+Inf"}'] == 1
    assert samples['wctstyle_request_seconds_count{route="/write"}'] == 1
    assert samples["wctstyle_received_bytes_total"] == 5
    assert samples["wctstyle_queue_length"] == 3
    assert samples["process_resident_memory_bytes"] > 10 * 2**20
    assert "mine.png" not in answer.text
    assert server(Exposure()).get("/metrics").status_code == 404  # unless they are wanted


def test_labels_are_escaped_and_bounded():
    metrics = Metrics()
    counter = metrics.counter("many_total", "Many.", ("name",))
    counter.add('a"b\\c\nd')
    assert 'many_total{name="a\\"b\\\\c\\nd"} 1' in metrics.render()
    for number in range(2000):
        counter.add(str(number))
    assert len(counter.lines()) <= 501
    with pytest.raises(ValueError, match="there already"):
        metrics.counter("many_total", "Again.")


# --------------------------------------------------------------------------------------------------------------- logs


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, logger="wctstyle.requests")

    def write(*, as_json=True, names=False):
        form = Lines(as_json=as_json, names=names)
        return [form.format(record) for record in caplog.records if record.name == "wctstyle.requests"]

    return write


def test_a_request_is_a_line_that_names_no_picture_token_or_query(lines):
    exposed = server(Exposure(log_format="json", token=TOKEN))
    exposed.get("/picture/mine.png?secret=1", headers={"authorization": f"Bearer {TOKEN}"})
    (line,) = lines()
    told = json.loads(line)
    assert (told["event"], told["route"], told["status"], told["method"]) == ("request", "/picture/{name}", 200, "GET")
    assert (told["client"], told["received"], told["sent"]) == ("198.51.100.7", 0, 4)
    assert not re.search(f"mine|secret|{TOKEN}", line)
    (text,) = lines(as_json=False)
    assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z info request method=GET route=/picture/\{name\} status=200 ", text)


def test_names_are_logged_when_asked_but_never_queries(lines):
    server(Exposure(log_format="text", log_names=True)).get("/picture/mine.png?secret=1")
    (line,) = lines(names=True)
    assert json.loads(line)["path"] == "/picture/mine.png"
    assert "secret" not in line


@pytest.mark.parametrize("names", [False, True])
def test_faults_are_logged_by_their_places_and_with_names_in_full(names):
    try:
        raise RuntimeError("mine.png is broken")
    except RuntimeError as error:
        record = logging.LogRecord(
            "uvicorn.error", logging.ERROR, __file__, 1, "Exception in app\n", (), (type(error), error, None)
        )
    told = json.loads(Lines(as_json=True, names=names).format(record))
    assert told["fault"].startswith("Traceback" if names else "RuntimeError < test_web.py:")
    assert ("mine.png" in told["fault"]) is names


# ----------------------------------------------------------------------------------------------------------- stopping


def test_a_server_that_stops_takes_nothing_new_and_gives_what_is_there():
    stopping = Stopping()
    exposed = server(stopping=stopping)
    stopping.ask()
    refused = exposed.post("/write", content=b"1")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "30")
    assert exposed.get("/").status_code == 200


def test_the_first_signal_asks_and_the_second_interrupts():
    told = []
    stopping = Stopping(lambda: told.append(1))
    before = signal.getsignal(signal.SIGTERM)
    with stopping.listening():
        os.kill(os.getpid(), signal.SIGTERM)
        stopping.wait()
        assert stopping.wanted
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert told == [1]
    assert signal.getsignal(signal.SIGTERM) is before


def test_running_work_may_end_but_not_for_ever():
    stopping, busy = Stopping(), threading.Event()
    busy.set()
    threading.Timer(0.2, busy.clear).start()
    assert stopping.finish(busy.is_set, 10)
    start = time.monotonic()
    assert not stopping.finish(lambda: True, 0.2)
    assert time.monotonic() - start < 5


# ------------------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"allowed_hosts": ("https://studio.example",)}, "allowed_hosts is 'https://studio.example', must be a name"),
        ({"allowed_hosts": ("studio.example:80",)}, "without scheme and port"),
        ({"allowed_origins": ("studio.example",)}, "allowed_origins is 'studio.example', must be as https://"),
        ({"allowed_origins": ("https://studio.example/page",)}, "without a path"),
        ({"allowed_origins": ("null",)}, "allowed_origins is 'null'"),
        ({"rate": -1}, "rate is -1, must be a whole number from 0"),
        ({"client_uploads": 1.5}, "client_uploads is 1.5"),
        ({"token": "short"}, "token has 5 characters, must be at least 16"),
        ({"password": ""}, "password has 0 characters, must be at least 8"),
        ({"password": "pässwörter"}, "must be at least 8 characters: letters, digits and signs of ASCII"),
        ({"log_format": "xml"}, "log_format is 'xml', must be one of text, json"),
        ({"stop_seconds": -1}, "stop_seconds is -1"),
    ],
)
def test_values_that_make_no_sense_are_named(values, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        Exposure(**values)


def test_secrets_are_not_shown():
    assert TOKEN not in repr(Exposure(token=TOKEN, password=PASSWORD))


@pytest.mark.parametrize(
    ("host", "share", "private"),
    [
        ("127.0.0.1", False, True),
        ("127.8.9.1", False, True),
        ("::1", False, True),
        ("[::1]", False, True),
        ("localhost", False, True),
        ("127.0.0.1", True, False),
        ("localhost", True, False),
        ("0.0.0.0", False, False),
        ("::", False, False),
        ("192.168.1.2", False, False),
        ("example.org", False, False),
        ("", False, False),
    ],
)
def test_who_is_alone_on_this_machine(host, share, private):
    assert is_private(host, share) is private


def test_hosts_and_origins_are_read_strictly():
    assert split_host("[::1]:80") == ("::1", 80)
    assert split_host("Studio.Example.") == ("studio.example", None)
    assert [split_host(text) for text in ("a b", "a/b", "a:b", "::1", "a:99999", "a..b", "-a")] == [None] * 7
    assert split_origin("https://a.example") == ("https", "a.example", 443)
    wrong = ("null", "", "file://", "https://a.example/x", "https://u@a.example", "a.example", "https://a:x")
    assert [split_origin(text) for text in wrong] == [None] * len(wrong)
    assert matches("anything", "*")


# ------------------------------------------------------------------------------------------------------------ options


@pytest.fixture
def command():
    """A command with the options of servers, which keeps what it was given."""
    app, given = typer.Typer(), {}

    @app.command()
    @clean_exit
    @with_server_options
    def serve(server: ServerOptions, host: Annotated[str, typer.Option()] = "127.0.0.1", verbose: Verbose = 0) -> None:
        given["exposure"] = server.exposure(host)

    def run(*words, **environment):
        given.clear()
        result = CliRunner().invoke(app, list(words), env=environment)
        return result.exit_code, result.output, given.get("exposure")

    return run


def test_options_become_an_exposure(command, tmp_path):
    (tmp_path / "token").write_text(TOKEN + "\n")
    words = "--host 0.0.0.0 --allowed-host a.example --allowed-host b.example --allow-origin https://c.example --rate 9"
    words += f" --client-uploads 1 --all-uploads 2 --token-file {tmp_path / 'token'} --metrics --log-format json"
    code, output, exposure = command(
        *words.split(), "--behind-proxy", "--log-names", "--stop-after", "5", WCTSTYLE_PASSWORD=PASSWORD
    )
    assert code == 0, output
    assert exposure == Exposure(
        host="0.0.0.0",
        allowed_hosts=("a.example", "b.example"),
        allowed_origins=("https://c.example",),
        rate=9,
        client_uploads=1,
        all_uploads=2,
        token=TOKEN,
        password=PASSWORD,
        metrics=True,
        log_format="json",
        log_names=True,
        behind_proxy=True,
        stop_seconds=5,
    )
    assert command()[2] == Exposure()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--allowed-host https://a", "--allowed-host is 'https://a', must be a name"),
        ("--allow-origin a.example", "--allow-origin is 'a.example'"),
        ("--rate -1", "--rate is -1"),
        ("--stop-after -1", "--stop-after is -1"),
        ("--token short", "the token (--token, --token-file or WCTSTYLE_TOKEN) has 5 characters, must be at least 16"),
        ("--token-file nowhere", "--token-file nowhere: cannot be read: No such file or directory; give a file"),
        ("--password 'x' --password-file y", "--password and --password-file contradict each other"),
    ],
)
def test_options_that_make_no_sense_are_named(command, words, message):
    code, output, _ = command(*words.split())
    assert code == 2
    assert message in " ".join(output.split())
