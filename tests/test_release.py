"""What a release says of itself: version, pages for users and contributors, model cards."""

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

import wctstyle
from tools import release
from wctstyle import cli

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MANIFEST = json.loads((ROOT / "weights" / "manifest.json").read_text(encoding="utf-8"))["files"]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_one_version_is_told_everywhere() -> None:
    assert f"\nversion: {wctstyle.__version__}\n" in read("CITATION.cff")
    assert re.search(r"^## (.+)$", read("CHANGELOG.md"), re.MULTILINE)[1] == wctstyle.__version__  # pyright: ignore
    assert f"wctstyle-{wctstyle.__version__}-py3-none-any.whl" in read("CONTRIBUTING.md")


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "wctstyle" / "py.typed").read_bytes() == b""
    assert "Typing :: Typed" in PROJECT["project"]["classifiers"]


def test_the_extras_are_there() -> None:
    assert {"video", "cluster", "faces", "docs", "test"} <= PROJECT["project"]["optional-dependencies"].keys()


@pytest.mark.parametrize("launcher", ["uvx --from . ", "pipx run --spec . "])
def test_the_readme_starts_it_without_installing(launcher: str) -> None:
    """The launchers need a network; what they start is a command."""
    (line,) = re.findall(rf"^    {re.escape(launcher)}(.+)$", read("README.md"), re.MULTILINE)
    program, command = line.split()[:2]
    assert program in PROJECT["project"]["scripts"]
    assert CliRunner().invoke(cli.app, [command, "--help"]).exit_code == 0


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_links_lead_somewhere(page: str) -> None:
    targets = [target for target in re.findall(r"\]\(([^)#]+)[^)]*\)", read(page)) if "://" not in target]
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


@pytest.mark.parametrize("file", sorted(MANIFEST))
def test_every_weights_file_has_a_card_that_is_true(file: str) -> None:
    """Size, checksum and licence are those of the manifest, and the figures those of benchmarks/RESULTS.md."""
    facts = MANIFEST[file]
    card = read(f"docs/models/{facts['model']}.md")
    size = f"{facts['bytes']:,}".replace(",", " ")
    for part in (
        f"`{file}`, {size} bytes",
        f"`{facts['sha256']}`",
        f"| {' and '.join(facts['parts'])} |",
        f"| licence | {facts['licence']};",
    ):
        assert part in card
    style, content, ssim = re.search(r"^\| (0\.\d+) \| (0\.\d+) \| (0\.\d+) \|", card, re.MULTILINE).groups()  # pyright: ignore
    row = rf"^\| {facts['model']} +\| {style} \|[^|]+\| [\d.]+ \| +[\d.]+ \| +{content} \| {ssim} \|"
    assert re.search(row, read("benchmarks/RESULTS.md"), re.MULTILINE)
    for heading in ("What it is", "Training", "Figures", "Limits", "Faces"):
        assert f"\n## {heading}\n" in card


def test_archives_come_out_the_same_elsewhere_and_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The wheel of the checkout is that of the unpacked sdist, byte by byte, holds all that it needs, and paints."""
    pytest.importorskip("hatchling", reason="archives are built with hatchling: pip install 'wctstyle[test]'")
    assert release.main(str(tmp_path / "dist")) == 0, capsys.readouterr().err
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"wctstyle/py.typed", "wctstyle/weights/manifest.json", "wctstyle/demo/assets/stage.html"} <= {*names}
    assert not [name for name in names if name.startswith(("tests", "tools", "docs", "benchmarks"))]
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    clean = {name: value for name, value in os.environ.items() if name != "WCTSTYLE_WEIGHTS"}
    done = subprocess.run(
        [sys.executable, "-c", PAINT], cwd=tmp_path, env={**clean, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(tmp_path / "site" / "wctstyle" / "__init__.py"), "4", "(48, 64, 3)"]


PAINT = """
import wctstyle
from wctstyle import weights
print(wctstyle.__file__)
print(len(weights.verify(check=True)))
photo, style = (wctstyle.samples.picture(name).rgb for name in ("cat", "marbling"))
print(wctstyle.stylize(photo[:48, :64], style[:64, :64], keep_faces=0.0).shape)
"""
"""What an installed package has to be able to do: check its weights, find its pictures, paint."""
