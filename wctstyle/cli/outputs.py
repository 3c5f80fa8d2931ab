"""Where results go: never onto an input, onto an existing file only when asked to."""

from __future__ import annotations

import errno
import itertools
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from wctstyle import images, samples
from wctstyle.errors import ImageError
from wctstyle.sources import public_name

STDOUT = "-"
"""The path that means standard output."""


def plan_outputs(
    sources: Sequence[str],
    *,
    into_folder: bool,
    out: str | None,
    format: str | None,
    overwrite: bool,
    inputs: Sequence[str],
    made: Callable[[int, str], bool] | None = None,
    names: Sequence[str] | None = None,
) -> list[Path]:
    """Choose the file that each content's result is written to.

    Without `out`, `NAME-stylized.FORMAT` in the current folder, numbered where that exists already. An input is
    never chosen, an existing file only with `overwrite`, or where `made` says that it is the content's result. Where
    two results have the same name, the later one gets a number.

    Args:
        sources: the contents.
        into_folder: several results are to be written, so `out` has to be a folder.
        out: a file, a folder that exists, or a folder to be made (several results, or a slash at its end).
        format: suffix of files in a folder, png by default.
        overwrite: existing files may be replaced.
        inputs: every file that is read.
        made: whether a file is the result of the source of that number (from 0) already. With it, results that are
            there are chosen, and new ones are numbered where another result has the name.
        names: what each result is called in the folder, where that is not `NAME-stylized.FORMAT`.

    Raises:
        ImageError: `out` cannot be written, is an input, is the wrong kind of thing, or exists.
    """
    if out is not None and is_sink(out):
        if into_folder:
            raise ImageError(f"-o {out}: takes one picture, but several are to be written; give a folder")
        return [Path(out)]
    if out is not None and not into_folder and not out.endswith(("/", os.sep)) and not os.path.isdir(out):
        there = made is not None and os.path.lexists(out)
        if there and made is not None and made(0, out):
            return [Path(out)]
        path = _checked_file(out, format, overwrite or there, inputs)
        if there:
            raise ImageError(
                f"-o {out}: is the result of another photo or of other settings; give --overwrite to replace it, or "
                "another name"
            )
        return [path]
    folder = Path(out or ".")
    if out is None:
        check_writable(folder, "the current folder")
    else:
        check_folder(folder)
    taken = identities(inputs)
    plain = [folder / name for name in names or [plain_name(source, format) for source in sources]]
    if made is not None:
        return _made_or_numbered(plain, taken, made)
    return _free(plain, folder, taken, overwrite, numbered=out is None)


def plain_name(source: str, format: str | None) -> str:
    """Name a content's result where nothing else is said."""
    return f"{result_stem(source)}-stylized.{format or 'png'}"


def is_sink(out: str) -> bool:
    """Say whether an output takes bytes but keeps no file: standard output (`-`), a device or a pipe."""
    special = os.path.exists(out) and not os.path.isfile(out) and not os.path.isdir(out)
    return out == STDOUT or out.startswith("/dev/") or special


def write_to(sink: Path, data: bytes) -> None:
    """Write a picture's bytes to a sink."""
    if str(sink) == STDOUT:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        sink.write_bytes(data)


def check_free(
    paths: Iterable[Path], *, overwrite: bool, inputs: Sequence[str], what: str = "{path}", other: str = "place with -o"
) -> None:
    """Refuse to write files that are read, or that exist without `overwrite`.

    `what` and `other` are for the message: what a path is called, and what is to be given instead.

    Raises:
        ImageError: naming the first such file.
    """
    taken = identities(inputs)
    for path in paths:
        name = what.format(path=path)
        if identity(path) in taken:
            raise ImageError(f"{name}: is one of the input pictures, which are never overwritten; give another {other}")
        if os.path.lexists(path) and not overwrite:
            raise ImageError(f"{name}: exists already; give --overwrite to replace it, or another {other}")


def identities(inputs: Sequence[str]) -> set[tuple[int, int]]:
    """Name what paths lead to, as far as it exists; see `identity`."""
    return {found for path in inputs if (found := identity(path))}


def identity(path: str | Path) -> tuple[int, int] | None:
    """Name what a path leads to, whichever way it is spelled; None if it does not exist."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def check_file(path: Path, out: str, *, overwrite: bool, inputs: Sequence[str]) -> None:
    """Refuse a file that cannot be written; `out` is how it was given.

    Raises:
        ImageError: its folder is missing or cannot be written in, it is an input, or it exists without `overwrite`.
    """
    if not path.parent.is_dir():
        raise ImageError(f"-o {out}: there is no folder {path.parent}; make it first")
    check_free([path], overwrite=overwrite, inputs=inputs, what="-o {path}", other="name")
    check_writable(path.parent, f"-o {out}")


def _checked_file(out: str, format: str | None, overwrite: bool, inputs: Sequence[str]) -> Path:
    path = Path(out)
    if not path.suffix:
        raise ImageError(
            f"-o {out}: its name does not say which kind of file; give one with a suffix, as {out}.png, or {out}/ for "
            "a folder"
        )
    check_suffix(f"-o {out}", path.suffix)
    if format is not None and not is_format(path.suffix, format):
        raise ImageError(
            f"-o {out}: --format {format} is for folders, this file's name says {path.suffix}; leave it out"
        )
    check_file(path, out, overwrite=overwrite, inputs=inputs)
    return path


def check_suffix(what: str, suffix: str) -> None:
    """Refuse a suffix that no format has which can be written.

    Raises:
        ImageError: it begins with `what`.
    """
    try:
        images.encode(np.zeros((1, 1, 3), np.float32), format=suffix)  # one pixel, to try the suffix
    except ImageError as error:
        raise ImageError(f"{what}: {error}") from error


def check_folder(folder: Path) -> None:
    """Refuse a folder for several pictures that cannot be one, or be written in.

    Raises:
        ImageError: it is a file or has a file's name, or there is no permission.
    """
    if str(folder) == STDOUT or (folder.exists() and not folder.is_dir()):
        raise ImageError(f"-o {folder}: is no folder, but several pictures are to be written; give a folder")
    if not folder.exists() and folder.suffix.lower() in images.SUPPORTED_SUFFIXES:
        raise ImageError(
            f"-o {folder}: is a file name, but several pictures are to be written; give a folder (it is made)"
        )
    check_writable(folder, f"-o {folder}")


def check_writable(folder: Path, what: str) -> None:
    """Refuse a folder that cannot be written in, or be made where it is to be.

    Raises:
        ImageError: it cannot; the message begins with `what`.
    """
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise ImageError(f"{what}: {folder} is no folder, so nothing can be written there; give another one")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = (
            "no permission to write" if error.errno == errno.EACCES else f"{error.strerror}, so nothing can be written"
        )
        raise ImageError(f"{what}: {reason} in {folder.absolute()}; give another folder with -o") from error


def result_stem(source: str) -> str:
    """Return how the name of a content's result begins."""
    return Path(public_name(source).removeprefix(samples.PREFIX)).stem


def numbered_names(path: str) -> Iterator[str]:
    """List the names that a result may have, the plain one first."""
    yield path
    root, suffix = os.path.splitext(path)
    for number in itertools.count(2):
        yield f"{root}-{number}{suffix}"


def _free(
    plain: Sequence[Path], folder: Path, taken: set[tuple[int, int]], overwrite: bool, *, numbered: bool
) -> list[Path]:
    """Choose a name for each result, by its plain one; `numbered`: where that exists, another one."""
    chosen: dict[str, Path] = {}  # by name without case, as not every file system tells A.png from a.png
    names: dict[Path, Iterator[str]] = {}
    for wanted in plain:
        for path in map(Path, names.setdefault(wanted, numbered_names(str(wanted)))):
            skip = numbered and not overwrite and os.path.lexists(path)
            if str(path).casefold() not in chosen and not skip and identity(path) not in taken:
                chosen[str(path).casefold()] = path
                break
    existing = [path.relative_to(folder) for path in chosen.values() if os.path.lexists(path)]
    if existing and not overwrite:
        others = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        leave = ", --skip-existing to leave them" if len(plain) > 1 else ""
        raise ImageError(
            f"-o {folder}: has {existing[0]}{others} already; give --overwrite to replace{leave}, or another folder"
        )
    return list(chosen.values())


def is_format(suffix: str, format: str) -> bool:
    """Say whether a suffix is that of a format."""
    return suffix.lower().replace("jpeg", "jpg") == f".{format}"


def _made_or_numbered(
    plain: Sequence[Path], taken: set[tuple[int, int]], made: Callable[[int, str], bool]
) -> list[Path]:
    """Choose the result of each content that is there already, under whichever number, or else a free name."""
    results: dict[Path, list[Path]] = {}
    for folder in dict.fromkeys(path.parent for path in plain):
        for path in sorted(folder.glob("*")):
            bare = path.with_stem(re.sub(r"(?<=.)-\d+$", "", path.stem))
            for name in {path, bare}:
                results.setdefault(name, []).append(path)
    there = {
        number: path
        for number, wanted in enumerate(plain)
        for path in results.get(wanted, ())
        if identity(path) not in taken and made(number, str(path))
    }
    new = [path for number, path in enumerate(plain) if number not in there]
    free = iter(_free(new, Path(), taken, False, numbered=True))
    return [there[number] if number in there else next(free) for number in range(len(plain))]
