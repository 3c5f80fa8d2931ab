"""The examples in docstrings are run, and those functions that programs call have one."""

import doctest
import importlib
import inspect
import types

import pytest

import wctstyle

MODULES = (
    *("color", "guided", "images.picture", "images.reading", "images.writing", "losses", "masks", "moments"),
    *("pixel_metrics", "plan", "recipe", "regions", "samples", "settings", "sizes", "stylizer", "transforms"),
)

COMPLETE = ("moments", "transforms", "losses", "color", "settings")
"""Modules whose every public function has an example."""


def functions(module: types.ModuleType) -> dict[str, types.FunctionType]:
    """Public functions that a module defines."""
    found = ((name, inspect.unwrap(value)) for name, value in vars(module).items() if not name.startswith("_"))
    return {name: value for name, value in found if inspect.isfunction(value) and value.__module__ == module.__name__}


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name: str, any_weights: None) -> None:
    module = importlib.import_module(f"wctstyle.{name}")
    done = doctest.testmod(module)
    assert done.failed == 0
    assert done.attempted


@pytest.mark.parametrize("name", COMPLETE)
def test_every_function_has_an_example(name: str) -> None:
    found = functions(importlib.import_module(f"wctstyle.{name}"))
    assert found
    assert [function for function, value in found.items() if ">>>" not in (value.__doc__ or "")] == []


@pytest.mark.parametrize("name", wctstyle.__all__)
def test_what_the_package_offers_is_described(name: str) -> None:
    """Functions have an example; classes say what they hold, raise, or give."""
    value = getattr(wctstyle, name)
    assert value.__doc__
    if inspect.isfunction(value):
        assert ">>>" in value.__doc__
