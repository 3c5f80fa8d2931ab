"""Every command in the README and the docs is run, the Python in them too, and what they say of defaults is true."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PROGRAMS
from narrow import quick_compilation, shared_programs
from typer.testing import CliRunner

from wctstyle import cli, images, looks, samples
from wctstyle.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "benchmarks" / "README.md"]
SETUP = "python3 -m venv"
SCREENSHOT = "demo"
"""The picture of the docs that no program makes."""


def _blocks(language: str) -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for body in re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            found.append((page.name, body))
    return found


def _commands() -> list[tuple[str, str]]:
    return [
        (page, line)
        for page, body in _blocks("sh")
        for line in body.splitlines()
        if line.strip() and not line.startswith("#")
    ]


COMMANDS = [(page, line) for page, line in _commands() if not line.startswith(SETUP)]
FIRST = {shlex.split(line)[1]: (page, line) for page, line in reversed(COMMANDS)}
"""The first command of each subcommand."""

SIDE = 64
"""Long side of the pictures: the smallest size that is traced."""

SETUP_LINES = [line for _, line in _commands() if line.startswith(SETUP)]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pictures that the docs speak of."""
    folder = tmp_path_factory.mktemp("desk")
    photo = images.resize(samples.picture("cat"), long_side=SIDE)
    images.save(folder / "photo.jpg", photo.rgb)
    images.save(folder / "landscape.jpg", images.resize(samples.picture("rocket"), long_side=SIDE).rgb)
    images.save(folder / "dusk.jpg", images.resize(samples.picture("rocket"), long_side=SIDE).rgb)
    images.save(folder / "painting.jpg", images.resize(samples.picture("marbling"), long_side=SIDE).rgb)
    before = images.resize(samples.picture("astronaut"), long_side=SIDE).rgb
    images.save(folder / "before.png", before)
    images.save(folder / "after.png", 1 - before)
    for name, mask in {"mask": np.tri(SIDE), "sky": np.tri(SIDE).T, "sea": np.tri(SIDE)}.items():
        images.save(folder / f"{name}.png", mask.astype(np.float32))
    marks, colors = photo.rgb.copy(), np.zeros((SIDE, SIDE, 3), np.float32)
    marks[14:18, 14:40], colors[: SIDE // 2, :, 2], colors[SIDE // 2 :, :, 0] = (0, 1, 0), 1, 1
    images.save(folder / "marks.png", marks)
    images.save(folder / "map.png", colors)
    for name, pictures in {"clip": [photo.rgb] * 5, "mask": [np.tri(SIDE)[..., None].repeat(3, 2)] * 5}.items():
        _write_clip(folder / f"{name}.mp4", pictures)
    (folder / "frames").mkdir()
    for number in range(2):
        images.save(folder / "frames" / f"{number}.png", photo.rgb)
    (folder / "manifest.csv").write_text(
        "content,styles,strength,output\nphotos/one.jpg,painting.jpg,,\n"
        "photos/two.jpg,painting.jpg:0.7;sample:marbling:0.3,0.8,blend.jpg\n"
    )
    (folder / "photos").mkdir()
    images.save(folder / "photos" / "one.jpg", photo.rgb)
    images.save(folder / "photos" / "two.jpg", np.ascontiguousarray(photo.rgb[:, ::-1]))
    return folder


def _write_clip(path: Path, pictures: list[np.ndarray]) -> None:
    """Write two seconds and a half of video, where PyAV is installed."""
    if importlib.util.find_spec("av") is None:
        return
    from wctstyle.video.forms import form_of
    from wctstyle.video.frames import Frame
    from wctstyle.video.writing import Segment

    form, _ = form_of(str(path), codec=None, format=None, quality=None, alpha=False)
    segment = Segment(path, form, rate=Fraction(2), tick=Fraction(1, 1000))
    for index, rgb in enumerate(pictures):
        segment.add(Frame(index, index / 2, rgb.astype(np.float32)))
    segment.close()


def _is_run(words: list[str]) -> bool:
    """Tell whether a command is run; of those that take long, the network or files of the reader, options alone are.

    The original VGG-19 is such a file, and so is the state of a run that was stopped.
    """
    if {"vgg19", "--resume", "--zoom"} & set(words):
        return False
    runs = ("stylize", "batch", "video", "optimize", "compare", "suggest", "recipe", "samples", "looks", "mask", "lut",
            "dream", "analogy")  # fmt: skip
    return words[1] in runs or words[1:3] in (["weights", "list"], ["weights", "verify"])


def _prepare(words: list[str]) -> list[str]:
    """Keep the command as it is, but for results that are there already and for steps that take minutes."""
    painting = ("stylize", "batch", "video", "optimize", "compare", "lut", "dream", "analogy")
    if words[1] in painting and not {"--overwrite", "--skip-existing"} & set(words):
        words.append("--overwrite")
    if words[1] in ("optimize", "compare") and "--steps" not in words:
        words += ["--steps", "4"]
    if words[1] == "dream":
        words += ["--steps", "1", "--octaves", "1"]
    return words


@pytest.fixture(scope="module")
def quick() -> Iterator[None]:
    """Compile little, and each program once for all commands in this process: the pictures matter to other tests."""
    with quick_compilation(), shared_programs():
        yield


def _process(command: str | list[str], folder: Path, *, shell: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a process that compiles as little as this one does, and keeps its programs where this one does."""
    variables = {
        **os.environ,
        "JAX_COMPILATION_CACHE_DIR": os.environ[PROGRAMS],
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "true",
    }
    return subprocess.run(
        command, cwd=folder, env=variables, shell=shell, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=[f"{p}: {c}" for p, c in COMMANDS])
def test_command_works(page: str, line: str, desk: Path, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a process where it is the first of its subcommand or has pipes, in this one otherwise: JAX loads long."""
    monkeypatch.setenv("WCTSTYLE_HOME", str(desk / "home"))  # looks that one command saves are there for the next
    words = shlex.split(line)
    assert words[0] == "wctstyle", f"{page}: a command of another program: {line}"
    if page == "video.md" or words[1] == "video":
        pytest.importorskip("av", reason="videos need PyAV: pip install 'wctstyle[video]'")
        pytest.importorskip("cv2", reason="videos need OpenCV: pip install 'wctstyle[video]'")
    words = _prepare(words) if _is_run(words) else [*words, "--help"]
    if "<" in words:
        done = _process(f"{shlex.quote(sys.executable)} -m {line}", desk, shell=True)
        code, told = done.returncode, f"{done.stdout}\n{done.stderr}"
    elif (page, line) in FIRST.values():
        done = _process([sys.executable, "-m", "wctstyle", *words[1:]], desk)
        code, told = done.returncode, f"{done.stdout}\n{done.stderr}"
    else:
        monkeypatch.chdir(desk)
        result = CliRunner().invoke(cli.app, words[1:])
        code, told = result.exit_code, f"{result.output}\n{result.exception!r}"
    assert code == 0, f"{line}\n{told}"


@pytest.mark.parametrize(("page", "code"), _blocks("python"))
def test_python_works(page: str, code: str, desk: Path, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a process in the README, in this one otherwise."""
    if page == "README.md":
        done = _process([sys.executable, "-c", code], desk)
        assert done.returncode == 0, f"{page}\n{done.stderr}"
    else:
        monkeypatch.chdir(desk)
        exec(compile(code, page, "exec"), {"__name__": "__main__"})


def test_every_kind_of_trouble_has_its_test() -> None:
    """The notes name a test in each row, and it is there."""
    rows = re.findall(
        r"^\|(?! kind )([^-\n].*)\|$",
        (ROOT / "docs" / "notes" / "field-reports.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert len(rows) >= 40
    for row in rows:
        found = re.fullmatch(r"[^|]+\|[^|]+\| `(test_\w+\.py)::(test_\w+)` ", row)
        assert found, f"wanted kind, what is right and a test: {row}"
        assert f"def {found[2]}(" in (ROOT / "tests" / found[1]).read_text(encoding="utf-8"), row


def test_readme_has_the_two_lines_that_ci_runs() -> None:
    assert len(SETUP_LINES) == 2
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, line in (("main-line", SETUP_LINES[0]), ("test-line", SETUP_LINES[1])):
        assert f"<!-- {name} -->\n```sh\n{line}\n```\n" in text
    assert "pytest" in SETUP_LINES[1]


def test_links_and_pictures_are_there() -> None:
    missing = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if not target.startswith(("http://", "https://")) and not (page.parent / target).exists():
                missing.append(f"{page.name}: {target}")
    assert not missing, missing


def _table(page: str, heading: str) -> dict[str, str]:
    """Names and defaults of the table below a heading: the first column, and the last but one."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    section = re.split(r"\n#+ ", text.split(f"# {heading}\n", 1)[1], maxsplit=1)[0]
    rows = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in section.splitlines()
            if line.startswith("| `")]  # fmt: skip
    return {row[0].removeprefix("--").replace("-", "_"): row[-2] for row in rows}


def _assert_same(told: dict[str, str], defaults: dict[str, Any]) -> None:
    assert told.keys() == defaults.keys()
    switches = {"on": True, "off": False}
    assert {name: switches.get(value, type(defaults[name])(value)) for name, value in told.items()} == defaults


def test_the_dials_are_those_of_the_settings() -> None:
    fields = {field.name: field.default for field in dataclasses.fields(Settings)}
    _assert_same(_table("blending.md", "All dials"), fields)


def test_the_looks_are_those_that_come_along() -> None:
    text = (ROOT / "docs" / "blending.md").read_text(encoding="utf-8").split("\n## Looks\n")[1].split("\n## ")[0]
    told = dict(re.findall(r"^\| `([\w-]+)` \| (.+) \|$", text, re.MULTILINE))
    found = {name: looks.find(name).text.replace("color", "colour") for name in looks.shipped()}
    assert told == {name: text[0].lower() + text[1:] for name, text in found.items()}


def test_the_options_of_training_are_those_of_its_stages() -> None:
    from wctstyle.training import encoders, painters, recipe

    _assert_same(_table("training.md", "Pictures"), recipe.PICTURES_DEFAULTS)
    _assert_same(_table("training.md", "Encoder"), encoders.DEFAULTS)
    _assert_same(_table("training.md", "Painter"), painters.DEFAULTS)


@pytest.mark.parametrize(("page", "text"), _blocks("toml"))
def test_recipes_can_be_read(page: str, text: str, tmp_path: Path) -> None:
    from wctstyle.training.recipe import load_recipe

    (tmp_path / "recipe.toml").write_text(text, encoding="utf-8")
    assert load_recipe(tmp_path / "recipe.toml").stages, page


def test_one_program_makes_every_picture() -> None:
    made = runpy.run_path(str(ROOT / "tools" / "pictures.py"))["PICTURES"]
    assert made.keys() == {path.stem for path in (ROOT / "docs" / "pictures").iterdir()} - {SCREENSHOT}
