"""The manual: every page has its place, the notebook runs, and the pages build without a warning."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
NOTEBOOK = json.loads((DOCS / "notebooks" / "blend.ipynb").read_text(encoding="utf-8"))
CODE = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def pages() -> set[str]:
    found = (path for path in DOCS.rglob("*") if path.suffix in (".md", ".ipynb"))
    return {path.relative_to(DOCS).with_suffix("").as_posix() for path in found} - {"index"}


def test_the_index_names_every_page_once() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    named = []
    for body in re.findall(r"^```\{toctree\}\n(.*?)^```", index, re.MULTILINE | re.DOTALL):
        lines = [line for line in body.splitlines() if line and not line.startswith(":")]
        named += [match[1] if (match := re.fullmatch(r".+ <(.+)>", line)) else line for line in lines]
    assert sorted(named) == sorted(pages()), "name each page of docs/ in one toctree of docs/index.md"


def test_the_gallery_shows_every_picture() -> None:
    shown = re.findall(r"\(pictures/([\w-]+\.jpg)\)", (DOCS / "gallery.md").read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(path.name for path in (DOCS / "pictures").iterdir())


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, any_weights: None) -> None:
    """In this process and on small pictures: what it shows matters to readers, not here."""
    plots = pytest.importorskip("matplotlib", reason="plots need matplotlib: pip install 'wctstyle[docs]'")
    plots.use("Agg")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for number, code in enumerate(CODE):
        small, count = re.subn(r"SIDE, STEPS = \d+, \d+", "SIDE, STEPS = 64, 2", code)
        assert count == (number == 0)
        exec(compile(small, f"cell {number}", "exec"), names)
    assert names["fast"].shape == names["slow"].shape
    assert max(abs(names["ratios"] - 1)) < 0.05  # the largest directions have the blend's variance
    names["plt"].close("all")


def test_the_notebook_keeps_what_it_shows() -> None:
    """The manual and the site of the repository show it without running it."""
    cells = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    shown = [output for cell in cells for output in cell["outputs"]]
    assert sum("image/png" in output.get("data", {}) for output in shown) == 3
    assert not [output for output in shown if output["output_type"] == "error"]
    assert str(ROOT.parent) not in json.dumps(NOTEBOOK)


def test_the_manual_builds_without_warnings(tmp_path: Path) -> None:
    """As CONTRIBUTING.md says; the pages load nothing from elsewhere."""
    if not all(importlib.util.find_spec(name) for name in ("sphinx", "furo", "myst_nb", "latex2mathml")):
        pytest.skip("the manual is built with the extra docs: pip install 'wctstyle[docs]'")
    site = tmp_path / "site"
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "docs", str(site)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=\"(https?:)?//", text), page
    assert "<math" in (site / "theory.html").read_text(encoding="utf-8")
    assert 'class="sig-name' in (site / "reference" / "maths.html").read_text(encoding="utf-8")
