"""How Sphinx builds the manual: `sphinx-build -W docs build/site`. The pages load nothing from elsewhere."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import latex2mathml.converter

import wctstyle

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"

project = "wctstyle"
author = copyright = "The wctstyle authors"
release = version = wctstyle.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
html_theme = "furo"
html_title = f"wctstyle {release}"
html_math_renderer = "mathml"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the notebook keeps what it gave; a test runs it
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_inherit_docstrings = False
napoleon_google_docstring, napoleon_numpy_docstring = True, False
suppress_warnings = ["misc.highlighting_failure"]

INCLUDED = re.compile(r"```\{include\} (\S+)\n```\n")
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#\s:]+)(#[^)\s]*)?\)")


def included_pages() -> dict[Path, Path]:
    """Return the pages that show a file from outside docs/, by that file."""
    found = {}
    for page in sorted((DOCS / "project").glob("*.md")):
        match = INCLUDED.fullmatch(page.read_text(encoding="utf-8"))
        if match:
            found[(page.parent / match[1]).resolve()] = page
    return found


def relinked(text: str, page: Path, origin: Path) -> str:
    """Let the links of a file lead to pages of the manual; those to other files of the source become plain words."""
    pages = included_pages()

    def link(match: re.Match[str]) -> str:
        words, target, anchor = match[1], match[2], match[3] or ""
        file = (origin.parent / target).resolve()
        file = pages.get(file, file)
        if file == ROOT / "README.md":
            file, anchor = DOCS / "index.md", ""
        if not file.is_relative_to(DOCS):
            return words
        return f"[{words}]({os.path.relpath(file, page.parent)}{anchor})"

    return LINK.sub(link, text)


def read_source(app: Any, name: str, source: list[str]) -> None:
    """Show included files, and mend the links of all pages."""
    page = DOCS / f"{name}.md"
    if page.exists():
        match = INCLUDED.fullmatch(source[0])
        origin = (page.parent / match[1]).resolve() if match else page
        source[0] = relinked(origin.read_text(encoding="utf-8"), page, origin)


def plain_words(app: Any, kind: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    """Let bars and stars of docstrings be what they are, norms and products. Examples stay as they are."""
    if lines and lines[0].startswith("Alias for field number"):
        lines[0] = ""
    for index, line in enumerate(lines):
        if line.lstrip().startswith(">>>"):
            break
        parts = re.split(r"(`+[^`]*`+)", line)
        for at in range(0, len(parts), 2):
            parts[at] = re.sub(r"([|*])", r"\\\1", re.sub(r"(\w)_(?=\W|$)", r"\1\\_", parts[at]))
            if at and re.match(r"[\w^]", parts[at]):
                parts[at] = "\\ " + parts[at]  # a power or an ending that follows code at once
        lines[index] = "".join(parts)


def short_types(app: Any, kind: str, name: str, found: Any, options: Any, given: Any, gives: Any) -> Any:
    """Call arrays by the name under which programs import them."""
    return tuple(part and re.sub(r"\b(jaxlib\._jax|numpy)\.(Array|ndarray)\b", r"\2", part) for part in (given, gives))


def inline_math(translator: Any, node: Any) -> None:
    """Write a formula as MathML, which browsers show without a script."""
    import docutils.nodes

    block = isinstance(node, docutils.nodes.math_block)
    translator.body.append(latex2mathml.converter.convert(node.astext(), display="block" if block else "inline"))
    raise docutils.nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Register the parts above with Sphinx."""
    app.add_html_math_renderer("mathml", (inline_math, None), (inline_math, None))
    app.connect("source-read", read_source)
    app.connect("autodoc-process-docstring", plain_words)
    app.connect("autodoc-process-signature", short_types)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
