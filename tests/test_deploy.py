"""The files for containers: there is no engine here, so what they say is checked against the project."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from wctstyle import cli
from wctstyle.cli.server_options import ServerOptions
from wctstyle.demo import server
from wctstyle.web import Exposure

ROOT = Path(__file__).resolve().parent.parent


def instructions() -> list[tuple[str, str]]:
    """The lines of the Dockerfile as (instruction, rest), those that go on joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    text = re.sub(r"\\\n\s*", "", text)
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


def last(name: str) -> str:
    return [rest for found, rest in instructions() if found == name][-1]


@pytest.fixture
def started(monkeypatch):
    """Run a command of the CLI up to the start of its server; returns the exposure and the port."""
    seen = {}
    monkeypatch.setattr(server, "build", lambda **options: None)
    monkeypatch.setattr(server, "launch", lambda built, exposure, **options: seen.update(exposure=exposure, **options))
    monkeypatch.setattr("wctstyle.cli.demo_command.check_address", lambda host, port: None)

    def run(words: list[str], **environment: str) -> tuple[Exposure, int]:
        done = CliRunner().invoke(cli.app, words, env=environment)
        assert done.exit_code == 0, done.output
        return seen["exposure"], seen["port"]

    return run


def test_the_image_takes_what_is_there_and_what_the_package_is_built_from():
    copied = [rest.split() for name, rest in instructions() if name == "COPY" and "--from" not in rest]
    sources = {word for words in copied for word in words[:-1]}
    assert all((ROOT / source).exists() for source in sources)
    kept = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(kept) == sources
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for needed in ("README.md", "LICENSE", "weights", "wctstyle"):
        assert f'"{needed}"' in project
        assert needed in sources
    assert f"\n{last('ARG').partition('=')[2]} = [" in project  # the extra that is installed


def test_the_image_runs_as_a_user_of_its_own_and_listens_for_others(started):
    names = [name for name, _ in instructions()]
    assert last("USER") == "wctstyle"
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert re.search(r"useradd --uid (?!0\b)\d+ .*\bwctstyle\b", last("RUN"))
    entry, words = json.loads(last("ENTRYPOINT")), json.loads(last("CMD"))
    assert entry == ["wctstyle"]
    exposure, port = started(words)
    assert (exposure.host, exposure.metrics, exposure.log_format, exposure.private) == ("0.0.0.0", True, "json", False)
    assert f"127.0.0.1', {port}" in last("HEALTHCHECK")
    assert last("EXPOSE") == str(port)
    places = dict(pair.split("=", 1) for pair in shlex.split(last("ENV")))
    assert all(places[name].startswith(last("VOLUME")) for name in ("HOME", "WCTSTYLE_HOME", "XDG_CACHE_HOME"))


def test_the_health_check_of_the_image_asks_whether_the_server_is_well():
    code = json.loads(last("HEALTHCHECK").partition("CMD ")[2])[2]
    compile(code, "HEALTHCHECK", "exec")
    assert "/healthz" in code


def test_the_composed_server_is_reached_through_the_proxy_alone(started):
    composed = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    ours, proxy = composed["services"]["wctstyle"], composed["services"]["proxy"]
    words = [re.sub(r"\$\{WCTSTYLE_NAME:-(\w+)\}", r"\1", word) for word in ours["command"]]
    exposure, port = started(words, WCTSTYLE_PASSWORD="", WCTSTYLE_TOKEN="")
    assert (exposure.behind_proxy, exposure.password, exposure.token) == (True, None, None)
    assert exposure.allowed_hosts == ("localhost",)
    assert "ports" not in ours
    assert composed["networks"]["inside"]["internal"] is True
    assert set(ours["networks"]) == {"inside"} <= set(proxy["networks"])
    assert ours["read_only"] is True
    assert ours["tmpfs"] == ["/tmp"]
    assert int(ours["stop_grace_period"].removesuffix("s")) >= exposure.stop_seconds + 10
    mounted = proxy["volumes"][0].split(":")[0]
    assert (ROOT / mounted).is_file()
    lines = (ROOT / mounted).read_text(encoding="utf-8")
    assert f"server wctstyle:{port};" in lines
    assert f"listen {proxy['ports'][0].rpartition(':')[2]};" in lines
    for wanted in ("Host $http_host", "X-Forwarded-For $remote_addr", "X-Forwarded-Proto $scheme"):
        assert f"proxy_set_header {wanted};" in lines
    assert lines.count("{") == lines.count("}")


def test_the_options_in_the_manual_are_those_that_there_are():
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8").split("\n## Options\n")[1].split("\n### ")[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `--")]
    told = {word for row in rows for word in re.findall(r"--[a-z-]+", row)}
    assert told == {"--" + field.name.replace("_", "-") for field in fields(ServerOptions)}
