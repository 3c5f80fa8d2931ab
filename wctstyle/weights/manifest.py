"""The manifest of a weights folder: what lies in it, by checksum, so that damage and tampering show."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wctstyle.encoder import MODELS
from wctstyle.errors import WeightsError
from wctstyle.weights.files import PARTS, digest, read, write_atomically
from wctstyle.weights.models import FILES, MANIFEST, VGG19_ENCODER, model_problems, shipped_dir, user_dir

_QUOTED = ("licence", "source", "recipe", "version")
"""What the manifest repeats of a file's metadata."""


@dataclass(frozen=True)
class Report:
    """What `verify` found out about one file.

    Example:
        >>> Report(Path("slim.safetensors")).ok, Report(Path("slim.safetensors"), ("is missing",)).ok
        (True, False)
    """

    file: Path
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Tell whether nothing is wrong with the file."""
        return not self.problems


def write_manifest(directory: str | Path) -> Path:
    """Describe every safetensors file of a folder in its `manifest.json`.

    Per file: hash, size, model, parts, licence, source, recipe and version.

    Raises:
        WeightsError: there are no such files, or one would not load or does not state config, licence and source; all
            problems together, and no manifest is written.

    Example:
        >>> import shutil, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = shutil.copy(shipped_dir() / "slim.safetensors", folder)
        ...     write_manifest(folder).name, [report.ok for report in verify(folder)]
        ('manifest.json', [True, True])
    """
    folder = Path(directory)
    entries: dict[str, dict[str, Any]] = {}
    problems: list[str] = []
    for path in sorted(folder.glob("*.safetensors")):
        entries[path.name], found = _describe(path)
        problems += [f"{path}: {problem}" for problem in found]
    if not entries:
        problems.append(f"{folder}: there are no .safetensors files to describe")
    if problems:
        raise WeightsError(problems)
    text = json.dumps({"format": 1, "files": entries}, indent=2, ensure_ascii=False, sort_keys=True)
    write_atomically(folder / MANIFEST, (text + "\n").encode())
    return folder / MANIFEST


def verify(directory: str | Path | None = None, *, check: bool = False) -> list[Report]:
    """Check every weights file of a folder against its manifest and the model table.

    Checksum, size, surplus and missing files, tensor names and shapes, and that every number is finite. Files that are
    no safetensors (the licence, this package's modules) may lie beside the weights.

    Args:
        directory: The folder; None means the shipped weights, and the imported VGG-19 encoder if there is one.
        check: Raise when anything is wrong, as `subprocess.run` does.

    Raises:
        WeightsError: with `check`, all problems of all files together; without it, only if there is no folder.

    Example:
        >>> all(report.ok for report in verify()), [report.file.suffix for report in verify()][:2]
        (True, ['.json', '.safetensors'])
    """
    folder = shipped_dir() if directory is None else Path(directory)
    if not folder.is_dir():
        raise WeightsError(f"{folder}: there is no such folder")
    entries, problems = _read_manifest(folder)
    reports = [Report(folder / MANIFEST, tuple(problems))]
    for name in sorted({*entries, *(path.name for path in folder.glob("*.safetensors"))}):
        reports.append(Report(folder / name, tuple(_verify_file(folder / name, entries.get(name)))))
    encoder = user_dir() / VGG19_ENCODER
    if directory is None and encoder.is_file():
        reports.append(Report(encoder, tuple(_describe(encoder)[1])))
    if check and not all(report.ok for report in reports):
        raise WeightsError([f"{report.file}: {problem}" for report in reports for problem in report.problems])
    return reports


def _read_manifest(folder: Path) -> tuple[dict[str, Any], list[str]]:
    try:
        return dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]), []
    except FileNotFoundError:
        return {}, ["there is no manifest, so no file can be checked; install wctstyle again"]
    except (OSError, ValueError, LookupError, RecursionError, TypeError) as error:
        return {}, [f"the manifest is damaged: {error!r}; install wctstyle again"]


def _verify_file(path: Path, entry: Any) -> list[str]:
    if entry is None:
        return ["is surplus: the manifest does not list it; remove it, or write the manifest anew"]
    if not path.is_file():
        return ["is missing, though the manifest lists it; install wctstyle again"]
    actual, problems = _describe(path)
    told = entry if isinstance(entry, dict) else {}
    for key in sorted({*actual, *told}):
        if actual.get(key) != told.get(key):
            problems.append(f"{key} is {actual.get(key)!r}, the manifest says {told.get(key)!r}")
    return problems


def _describe(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Work out a file's manifest entry, and all that is wrong with the file."""
    tensors, metadata, problems = read(path)
    config = metadata.get("config")
    model = config.get("name") if isinstance(config, dict) else None
    parts = [part for part in PARTS if any(name.startswith(f"{part}/") for name in tensors)]
    if tensors or not problems:
        problems += [
            f"{key} in its metadata is {metadata.get(key)!r}, wanted a text"
            for key in ("licence", "source")
            if not isinstance(metadata.get(key), str) or not metadata[key]
        ]
        if not isinstance(model, str) or model not in MODELS:
            problems.append(f"config in its metadata is {config!r}, wanted a name of {', '.join(MODELS)}")
        else:
            due = FILES.get(model, {}).get(path.name, parts)
            problems += model_problems(tensors, metadata, MODELS[model], due)
    entry = {"model": model, "parts": parts} | {key: metadata.get(key) for key in _QUOTED}
    with contextlib.suppress(OSError):  # a folder, or not ours to read, which reading it has reported already
        entry |= {"sha256": digest(path, "sha256"), "bytes": path.stat().st_size}
    return entry, problems
