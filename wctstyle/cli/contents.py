"""Which photos the arguments name: files, folders, patterns, samples and addresses; results are none of them."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from wctstyle import images, places, samples
from wctstyle.errors import ImageError
from wctstyle.inputs import STDIN

RESULT = re.compile(r"-stylized(-\d+)?$")
"""How the name of a result ends, before its suffix, unless another was given."""


def expand_contents(contents: Sequence[str]) -> list[str]:
    """Replace folders and patterns by the pictures in them; see `photos_of`."""
    return list(photos_of(contents))


def kind_of_several(content: str) -> str:
    """Say what names several photos, where one is wanted."""
    return "a folder" if os.path.isdir(content) else "a pattern"


def photos_of(
    contents: Sequence[str], *, recursive: bool = False, apart: str | None = None, addresses: bool = False
) -> dict[str, str]:
    """Replace folders and patterns by the pictures in them, by name, and drop repetitions; each with its folder.

    That folder is named from the one that was searched, as `recursive` goes through all below it, but for the folder
    `apart`, which is for results. What `stylize` made in a folder of photos is no photo of it: NAME-stylized.png where
    there is a picture NAME. `addresses` (`places`) are taken as they are.

    Raises:
        ConfigError: a `sample:` has an unknown name.
        ImageError: files that do not exist, folders and patterns without pictures, all together.
    """
    found: dict[str, str] = {}
    problems = []
    for content in contents:
        if content.startswith(samples.PREFIX):
            samples.path(content.removeprefix(samples.PREFIX))
            pictures = {content: ""}
        elif content == STDIN or (addresses and places.is_address(content)):
            pictures = {content: ""}
        elif os.path.isdir(content):
            pictures = _pictures_in(content, recursive, apart)
        elif os.path.exists(content):
            pictures = {content: ""}
        elif is_pattern(content):
            pictures = _pictures_like(content, recursive, apart)
        else:
            problems.append(why_unreadable(content))
            continue
        if not pictures:
            problems.append(_why_empty(content))
        for picture, folder in pictures.items():
            found.setdefault(picture, folder)
    if problems:
        raise ImageError("\n".join(problems))
    return found


def is_pattern(content: str) -> bool:
    """Say whether a content that is no file is meant to name several, as `*.jpg`."""
    return glob.has_magic(content) and not places.is_address(content)


def readable() -> str:
    """List the suffixes of pictures that can be read."""
    return ", ".join(images.SUPPORTED_SUFFIXES)


def _pictures_in(folder: str, recursive: bool, apart: str | None) -> dict[str, str]:
    """Find the pictures in a folder, each with its own folder below that; hidden folders are left out."""

    def stop(error: OSError) -> None:
        raise ImageError(f"{folder}: the folder cannot be read: {error.strerror or error}") from error

    found: dict[str, str] = {}
    for path, below, names in os.walk(folder, onerror=stop):
        below[:] = sorted(name for name in below if recursive and not name.startswith("."))
        if path == folder or not _lies_in(path, apart):
            files = [os.path.join(path, name) for name in sorted(names)]
            found |= dict.fromkeys(_without_results(files), _from(folder, path))
    return found


def _pictures_like(pattern: str, recursive: bool, apart: str | None) -> dict[str, str]:
    """Find the pictures that a pattern names; its leading folders without `*`, `?` and `[` are the one searched."""
    found = sorted(glob.glob(pattern, recursive=True))
    fixed = os.path.join("", *itertools.takewhile(lambda part: not glob.has_magic(part), Path(pattern).parts))
    return {
        path: _from(fixed or os.curdir, os.path.dirname(path) or os.curdir) if recursive else ""
        for path in _without_results(path for path in found if not recursive or not _lies_in(path, apart))
    }


def _from(folder: str, path: str) -> str:
    """Name a folder from another one; "" for itself."""
    relative = os.path.relpath(path, folder)
    return "" if relative == os.curdir else relative


def _lies_in(path: str, folder: str | None) -> bool:
    return folder is not None and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _without_results(paths: Iterable[str]) -> list[str]:
    """Keep the pictures among files that are no results of others among them."""
    pictures = [path for path in paths if images.is_image_file(path)]
    stems = {os.path.splitext(path)[0] for path in pictures}

    def is_result(path: str) -> bool:
        stem = os.path.splitext(path)[0]
        photo = RESULT.sub("", stem)
        return photo != stem and photo in stems

    return [path for path in pictures if not is_result(path)]


def _why_empty(content: str) -> str:
    folder = os.path.isdir(content)
    if not folder and not set("*?") & set(content):  # brackets alone may be meant as they are
        return why_unreadable(content)
    return f"{content}: no pictures {'in this folder' if folder else 'of this pattern'}; wanted one of {readable()}"


def why_unreadable(path: str) -> str:
    """Say what is wrong with a picture that cannot be read."""
    try:
        images.load(path)
    except ImageError as error:
        return str(error)
    return f"{path}: appeared only now; run the command again"
