"""How recipes are spelled: options and commands for a POSIX shell, and expressions of Python programs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from wctstyle import samples
from wctstyle.masks import PREFIX, split_color


def option(name: str) -> str:
    """Write the name of a setting as an option."""
    return "--" + name.replace("_", "-")


def options(values: Mapping[str, Any]) -> list[str]:
    """Write settings as options with values, a mapping as name=number,name=number.

    None, False and an empty mapping are left out; True is the option alone.
    """
    found: list[str] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            value = ",".join(f"{key}={number!r}" for key, number in value.items()) or None
        if value is not None and value is not False:
            found += [option(name)] if value is True else [option(name), str(value)]
    return found


def argument(name: str) -> str:
    """Write the name of a file so that it is no option."""
    return f"./{name}" if name.startswith("-") else name


def command(name: str, arguments: Sequence[str], output: str | None = None) -> str:
    """Write a command of `wctstyle`, quoted; with an `output`, into that file."""
    line = shlex.join(["wctstyle", name, *arguments])
    line = "".join(char if char.isprintable() else "?" for char in line)
    return line if output is None else f"{line} -o {shlex.quote(output)}"


def loaded(name: str) -> str:
    """Write in Python how a picture is loaded."""
    sample = name.removeprefix(samples.PREFIX)
    return f"samples.picture({sample!r})" if name.startswith(samples.PREFIX) else f"images.load({name!r})"


def keywords(values: Mapping[str, Any]) -> str:
    """Write settings as keyword arguments: today's defaults too, as defaults change."""
    return ", ".join(f"{key}={value!r}" for key, value in values.items())


def mask(name: str, found_in: str) -> str:
    """Write in Python how a mask is loaded, or found in a picture."""
    if name.startswith(PREFIX):
        return f"ready({name.removeprefix(PREFIX)!r}, {found_in})"
    file, color = split_color(name)
    return f"of_color({loaded(file)}, {color!r})" if color else f"mask_of({loaded(file)})"
