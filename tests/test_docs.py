"""Every command in the README and the docs is run, and the Python in them too."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from wctstyle import images, samples

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "benchmarks" / "README.md"]
SETUP = "python3 -m venv"
TINY_RECIPE = """
model = "slim"
seed = 1
[[stages]]
kind = "reconstruct"
steps = 1
size = 32
batch = 2
"""


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
SETUP_LINES = [line for _, line in _commands() if line.startswith(SETUP)]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pictures that the docs speak of."""
    folder = tmp_path_factory.mktemp("desk")
    photo = images.resize(samples.picture("cat"), long_side=96)
    images.save(folder / "photo.jpg", photo.rgb)
    images.save(folder / "painting.jpg", images.resize(samples.picture("marbling"), long_side=96).rgb)
    for name in ("photos", "paintings"):
        (folder / name).mkdir()
        images.save(folder / name / "one.jpg", photo.rgb)
        images.save(folder / name / "two.jpg", np.ascontiguousarray(photo.rgb[:, ::-1]))
    (folder / "recipe.toml").write_text(TINY_RECIPE)
    return folder


def _prepare(words: list[str], desk: Path) -> list[str]:
    """Keep the command as it is, but for what takes hours, the network or files that a reader has."""
    if words[1] in ("stylize", "optimize", "compare") and not {"--overwrite", "--skip-existing"} & set(words):
        words.append("--overwrite")
    if words[1] in ("optimize", "compare") and "--steps" not in words:
        words += ["--steps", "4"]
    return words


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=[f"{p}: {c}" for p, c in COMMANDS])
def test_command_works(page: str, line: str, desk: Path) -> None:
    words = shlex.split(line)
    assert words[0] == "wctstyle", f"{page}: a command of another program: {line}"
    runs = ("stylize", "optimize", "compare", "recipe", "samples")
    if "--resume" not in words and (words[1] in runs or words[1:3] in (["weights", "list"], ["weights", "verify"])):
        command = [sys.executable, "-m", "wctstyle", *_prepare(words, desk)[1:]]
    else:
        command = [sys.executable, "-m", "wctstyle", *words[1:], "--help"]
    done = subprocess.run(command, cwd=desk, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize(("page", "code"), _blocks("python"))
def test_python_works(page: str, code: str, desk: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=desk, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, f"{page}\n{done.stderr}"


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
