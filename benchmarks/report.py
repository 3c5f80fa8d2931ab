"""What both benchmarks share: the model under test, the machine it runs on, tables and files of figures."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax
import numpy as np

from wctstyle import weights
from wctstyle.encoder import MODELS
from wctstyle.errors import ConfigError, WctStyleError, WeightsError
from wctstyle.files import replace_file


def load_tensors(model: str, file: Path | None) -> dict[str, np.ndarray]:
    """Load the shipped weights of a model, or those of a safetensors file, complete.

    Raises:
        ConfigError: there is no such model.
        WeightsError: tensors are missing, of another shape, or the file cannot be read; all problems together.
    """
    if model not in MODELS:
        raise ConfigError(f"--model is {model!r}, must be one of {', '.join(MODELS)}")
    if file is None:
        return weights.load(model)[0]
    tensors, _ = weights.load_file(file)
    expected: dict[str, tuple[int, ...]] = {}
    for part in weights.PARTS:
        expected |= weights.expected_shapes(MODELS[model], part)
    problems = [
        f"{file}: {name} is {tensors[name].shape if name in tensors else 'missing'}, wanted {shape} for {model}"
        for name, shape in expected.items()
        if name not in tensors or tensors[name].shape != shape
    ]
    if problems:
        raise WeightsError(problems)
    return tensors


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _ram_gib() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, ValueError, OSError):
        return None


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def circumstances(program: str, argv: Sequence[str]) -> dict[str, Any]:
    """Describe when, where and how figures were taken, the load on the machine before the run among it."""
    ram = _ram_gib()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": _cpu_model(),
        "cores": _cores(),
        "ram_gib": None if ram is None else round(ram, 1),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "device": jax.devices()[0].platform,
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "jax": jax.__version__,
        "command": f"python -m {program} {shlex.join(argv)}".strip(),
    }


def circumstances_markdown(facts: dict[str, Any]) -> str:
    """Write the circumstances as a few lines of Markdown."""
    ram = "" if facts["ram_gib"] is None else f", {facts['ram_gib']:g} GiB"
    load = "" if facts["load"] is None else f", load {facts['load']:g} at the start"
    return (
        f"{facts['date']}. {facts['machine']}, {facts['cores']} cores{ram} ({facts['system']}), JAX {facts['jax']} on "
        f"{facts['device']}{load}.\n\n    {facts['command']}\n"
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table: the first column to the left, the others to the right, padded to line up."""
    widths = [max(3, *(len(row[i]) for row in [header, *rows])) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))]
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([line(header), rule, *map(line, rows)]) + "\n"


def write_json(path: Path, figures: Any) -> None:
    """Write figures as JSON, all or nothing; what is not finite (the PSNR of equal pictures) becomes a string.

    Raises:
        ConfigError: the file cannot be written.
    """
    text = json.dumps(_finite(figures), indent=2, allow_nan=False) + "\n"
    try:
        replace_file(path, text.encode())
    except OSError as error:
        raise ConfigError(f"--json {path}: cannot be written: {error.strerror or error}") from error


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value


def publish(facts: dict[str, Any], text: str, figures: dict[str, Any], path: Path | None) -> None:
    """Print tables under what they were measured on, and write all figures to `path` where one is given.

    Raises:
        ConfigError: the file cannot be written.
    """
    print(f"{circumstances_markdown(facts)}\n{text}")
    if path is not None:
        write_json(path, {"circumstances": facts, **figures})


def say(text: str) -> None:
    """Report progress on stderr; stdout holds nothing but the tables."""
    print(text, file=sys.stderr, flush=True)


def failed(error: WctStyleError) -> int:
    """Print an error to stderr and return the exit status of bad input."""
    print(f"error: {error}", file=sys.stderr)
    return 2
