"""The examples in docstrings are run, and all that the reference of the Python interface describes has one."""

import doctest
import importlib
import inspect
import re
import types
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path

import jax
import pytest
from narrow import quick_compilation, shared_programs

import wctstyle
from wctstyle.optimizer import run

ROOT = Path(__file__).resolve().parent.parent

MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "wctstyle").rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)
"""Modules with examples."""

DESCRIBED = [
    (found[1], dict(re.findall(r":([a-z-]+): ?(.*)\n", found[2])))
    for page in sorted((ROOT / "docs" / "reference").glob("*.md"))
    for found in re.finditer(r"\.\. automodule:: (\S+)\n((?: {3}:.*\n)*)", page.read_text(encoding="utf-8"))
]
"""The modules of the reference, with the options of Sphinx's autodoc: which members are shown."""


def public(values: dict[str, object], module: str) -> dict[str, object]:
    """What a module or class defines for others."""
    return {
        name: value
        for name, value in values.items()
        if not name.startswith("_") and getattr(value, "__module__", module) == module
    }


def members(module: types.ModuleType, options: dict[str, str]) -> dict[str, object]:
    """What the reference shows of a module: the members named there, else all of `__all__` or all that it defines."""
    if "members" not in options:
        return {}
    listed = options["members"].split(", ") if options["members"] else getattr(module, "__all__", None)
    found = {name: getattr(module, name) for name in listed} if listed else public(vars(module), module.__name__)
    return {name: inspect.unwrap(value) if callable(value) else value for name, value in found.items()}


@cache
def examples(module: str) -> dict[str, str]:
    """The code of the examples that are run in a module, by the name of what they belong to."""
    found = doctest.DocTestFinder().find(importlib.import_module(module))
    return {test.name: "".join(example.source for example in test.examples) for test in found if test.examples}


def methods(value: type) -> Iterator[str]:
    """Name the public methods and properties that a class defines."""
    for name, own in public(dict(vars(value)), value.__module__).items():
        if inspect.isroutine(own) or isinstance(own, property | cached_property):
            yield name


def lacking(name: str, value: object, excluded: str) -> list[str]:
    """What of a function or class no example shows; those of a class may be in its methods."""
    if not (inspect.isfunction(value) or inspect.isclass(value)):
        return []
    whole = f"{value.__module__}.{name}"
    found = {key: code for key, code in examples(value.__module__).items() if f"{key}.".startswith(f"{whole}.")}
    if not found or inspect.isfunction(value):
        return [] if found else [name]
    code = "".join(found.values())
    shown = [own for own in methods(value) if own not in excluded.split(", ")]
    return [f"{name}.{own}" for own in shown if not re.search(rf"\.{own}\b", code)]


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Compile little: examples of the same model share its programs, and time is estimated on a small picture."""
    with quick_compilation(), shared_programs(), pytest.MonkeyPatch.context() as patch:
        jax.config.update("jax_enable_compilation_cache", False)
        patch.setattr(run, "PROBE_SIDE", 32)
        yield
        jax.config.update("jax_enable_compilation_cache", True)


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name: str, any_weights: None) -> None:
    done = doctest.testmod(importlib.import_module(name))
    assert done.failed == 0
    assert done.attempted


@pytest.mark.parametrize(("name", "options"), DESCRIBED)
def test_all_that_the_reference_describes_has_an_example(name: str, options: dict[str, str]) -> None:
    found = members(importlib.import_module(name), options)
    assert found or "members" not in options
    excluded = options.get("exclude-members", "")
    assert [part for own, value in found.items() for part in lacking(own, value, excluded)] == []


@pytest.mark.parametrize("name", wctstyle.__all__)
def test_what_the_package_offers_is_described(name: str) -> None:
    """Functions have an example; classes say what they hold, raise, or give."""
    value = getattr(wctstyle, name)
    assert value.__doc__
    if inspect.isfunction(value):
        assert ">>>" in value.__doc__
