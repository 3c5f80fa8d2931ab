"""Damaged files, odd calls and killed commands, in short; fuzz, kills and faults in benchmarks/ do more of each."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from narrow import NARROW, quick_compilation, random_tensors
from starlette.testclient import TestClient

from benchmarks import calls, fuzz, kills, mutations
from wctstyle import images, looks, lut, weights
from wctstyle.cli.manifest import read_manifest
from wctstyle.demo.calls import typed
from wctstyle.encoder import MODELS
from wctstyle.errors import ConfigError, WeightsError
from wctstyle.service import Limits, Service, Studio, make_app
from wctstyle.stylizer import Stylizer
from wctstyle.training.pictures import load_painter
from wctstyle.video.reading import opened

SOUND = mutations.seeds(video=True)

# ---------------------------------------------------------------------------------------------------- damaged files


def test_sound_files_are_read(tmp_path):
    """Else damage would prove nothing; foreign weights of one layer, and what no reader knows, are refused."""
    verdicts = {(seed.kind, seed.name): fuzz.judge(seed.kind, tmp_path / "a", seed.suffix, seed.data) for seed in SOUND}
    pictures = {name: words for (kind, name), (_, words) in verdicts.items() if kind == "picture"}
    assert all(not words or "not a video" in words for name, words in pictures.items() if name != "ppm")
    for key in (("cube", "3 points"), ("manifest", "csv"), ("manifest", "jsonl"), ("weights", "half"),
                ("state", "state"), ("analogy", "filter"), ("video", "libx264"), ("work", "state"),
                ("look", "video"), ("training", "toml")):  # fmt: skip
        assert verdicts[key] == ("read", ""), key


def test_damaged_files_are_refused_in_words(tmp_path):
    verdicts = Counter()
    for number in range(200):
        seed, data = mutations.mutated(20261130, number, SOUND)
        verdict, words = fuzz.judge(seed.kind, tmp_path / "a", seed.suffix, data)
        assert verdict in ("read", "refused"), (number, seed.kind, seed.name, words)
        verdicts[verdict] += 1
    assert min(verdicts["read"], verdicts["refused"]) >= 20


def test_what_must_not_be_told_is_found(tmp_path):
    assert "a path" in fuzz.told("x.png: see /home/me/secret")
    assert "inside" in fuzz.told('File "x.py", line 3')
    assert not fuzz.told(f"{tmp_path}/x.png: is no picture", f"{tmp_path}/")
    assert not fuzz.told("colors and/or /v1")


NESTED = "[" * 100_000


def test_deeply_nested_json_is_no_row(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"content": "sample:cat"}\n' + NESTED)
    with pytest.raises(ConfigError, match="line 2: is no JSON"):
        read_manifest(str(file))


def test_deeply_nested_metadata_is_damage(tmp_path):
    header = json.dumps({"__metadata__": {"wctstyle": NESTED}}).encode()
    file = tmp_path / "x.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(WeightsError, match="damaged"):
        weights.load_file(file)


def test_a_painter_with_broken_compression_is_damage(tmp_path):
    packed = io.BytesIO()
    np.savez_compressed(packed, **{"encoder/conv1_1/kernel": np.ones((3, 3, 3, 4), np.float32)})
    data = bytearray(packed.getvalue())
    with zipfile.ZipFile(packed) as archive:
        at = archive.infolist()[0].header_offset
    at += 30 + int.from_bytes(data[at + 26 : at + 28], "little") + int.from_bytes(data[at + 28 : at + 30], "little")
    data[at] = 0xFF  # the kind of the first block, which does not exist
    file = tmp_path / "painter.npz"
    file.write_bytes(data)
    with pytest.raises(WeightsError, match="cannot be used as a painting teacher"):
        load_painter(file)


def test_tags_of_a_video_that_are_no_text_do_no_harm(tmp_path):
    (data,) = (seed.data for seed in SOUND if seed.suffix == ".mkv")
    file = tmp_path / "clip.mkv"
    file.write_bytes(data.replace(b"Lavf", b"La\xff\xfe"))
    with opened(str(file)) as box:
        assert "\ufffd" in str({**box.metadata, **box.streams.video[0].metadata})


@pytest.mark.parametrize("name", ["job", "note", "state"])
@pytest.mark.parametrize("data", [b"", b"{", b"[]", NESTED.encode(), b"PK\3\4" + bytes(40)])
def test_damaged_work_on_a_video_is_told(tmp_path, name, data):
    (suffix,) = (seed.suffix for seed in SOUND if (seed.kind, seed.name) == ("work", name))
    with pytest.raises(ConfigError, match="is damaged .*--overwrite without --resume"):
        mutations.read("work", tmp_path / "a", suffix, data)


# -------------------------------------------------------------------------------------------------------- odd calls


def test_numbers_of_any_size_are_checked():
    """What no float holds is left to the checks of bounds, which name them."""

    def painted(size):
        return size

    painted.__annotations__ = {"size": int}
    call = typed(painted)
    assert call(size=10**400) == 10**400
    with pytest.raises(ConfigError, match="must be a whole number"):
        call(size=0.5)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_odd_calls_are_answered(tmp_path):
    """Starlette leaves closing the file of a form that ends in its middle to Python, which warns."""
    tensors = random_tensors()
    limits = Limits(max_size=128, upload_bytes=2**20, request_bytes=2**21, optimize_steps=3)
    answers = Counter()
    with quick_compilation(), pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "slim", replace(NARROW, name="slim"))
        patch.setenv("TMPDIR", str(tmp_path))
        studio = Studio("slim", offered=("slim",), stylizers=lambda name: Stylizer(name, tensors=tensors))
        service = Service(studio, limits)
        with TestClient(make_app(service), raise_server_exceptions=False) as client:
            odd = st.one_of(
                calls.raw_calls(calls.SERVE_PATHS), calls.uploads("/v1/jobs", ("content", "style", "x")), calls.nearly()
            )

            @settings(max_examples=100, database=None, derandomize=True, deadline=None,
                      suppress_health_check=calls.SLOW)  # fmt: skip
            @given(odd)
            def each(call):
                headers = {name: value.encode("latin-1", "replace") for name, value in call.headers.items()}
                answer = client.request(call.method, calls.line(call.path), headers=headers, content=call.body)
                answers[answer.status_code] += 1
                assert answer.status_code < 500 or answer.status_code in calls.BUSY, (call, answer.text)
                assert not any(fault in answer.content for fault in calls.FAULTS), (call, answer.text)
                assert str(service.folder) not in answer.text, call

            each()
        service.close()
    assert len(answers) >= 4


# -------------------------------------------------------------------------------------------------- killed commands

DIES = (
    "import os, signal, sys; os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL); "
    "from wctstyle.cli import main; main()"
)
"""Runs the command line, which is killed when the first file that it wrote is to take its name."""


@pytest.mark.parametrize("name", ["look", "analogy"])
def test_a_killed_command_leaves_nothing_half(tmp_path, name):
    rgb = mutations.pixels(96, 96) / np.float32(255)
    images.save(tmp_path / "photo.png", rgb)
    images.save(tmp_path / "after.png", np.sqrt(rgb))
    whole = replace(mutations.RECIPE, styles=mutations.RECIPE.styles[1:])
    images.save(tmp_path / "made.png", rgb, recipe=whole.to_json())
    command, environment = kills.COMMANDS[name], {**os.environ, "WCTSTYLE_HOME": str(tmp_path / "home")}
    (result,) = (tmp_path / file for file in command.results)

    def run(*start: str) -> int:
        line = [sys.executable, *start, *command.arguments]
        return subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, check=False).returncode

    assert run("-c", DIES) == -signal.SIGKILL
    assert not result.exists()
    assert list(tmp_path.rglob(".wctstyle-*"))
    assert run("-m", "wctstyle") == 0
    assert not list(tmp_path.rglob(".wctstyle-*"))
    if name == "look":
        assert looks.read(result).name == "mine"
    else:
        weights.load_file(result)


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path):
    """RLIMIT_FSIZE stands for the disk."""
    limited = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64)); from wctstyle.cli import main; main()"
    )
    images.save(tmp_path / "photo.png", mutations.pixels(96, 96))
    line = [sys.executable, "-c", limited, *kills.COMMANDS["analogy"].arguments]
    images.save(tmp_path / "after.png", mutations.pixels(96, 96))
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "out.safetensors" in done.stderr
    assert "Traceback" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"photo.png", "after.png"}


def test_a_table_that_cannot_be_written_is_told_by_name(tmp_path):
    with pytest.raises(ConfigError, match=r"x\.cube: cannot be written: No such file"):
        lut.Lut(np.zeros((2, 2, 2, 3), np.float32)).write(tmp_path / "missing" / "x.cube")
