"""One weights file: what it has to hold, and how it is written and read."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors

from wctstyle.encoder import ModelConfig
from wctstyle.errors import ConfigError, WeightsError
from wctstyle.files import replace_file

Tensors = dict[str, np.ndarray]

PARTS = ("encoder", "decoder")

_HEADER_KEY = "wctstyle"


def expected_shapes(config: ModelConfig, part: str) -> dict[str, tuple[int, ...]]:
    """List the tensors of one part of a model with their shapes.

    Raises:
        ConfigError: `part` is neither `encoder` nor `decoder`.

    Example:
        >>> from wctstyle.encoder import MODELS
        >>> shapes = expected_shapes(MODELS["slim"], "encoder")
        >>> len(shapes), shapes["encoder/conv1_2/kernel"], shapes["encoder/conv1_2/bias"]
        (26, (3, 3, 16, 16), (16,))
    """
    if part not in PARTS:
        raise ConfigError(f"weights: there is no part {part!r}; the parts are {', '.join(PARTS)}")
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, c_in, c_out in config.convs(part):
        shapes[f"{part}/{layer}/kernel"] = (3, 3, c_in, c_out)
        shapes[f"{part}/{layer}/bias"] = (c_out,)
    return shapes


def shape_problems(tensors: Mapping[str, np.ndarray], expected: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Describe every tensor that is missing, misshapen or surplus."""
    problems = [f"{name} is missing; wanted shape {expected[name]}" for name in expected if name not in tensors]
    for name, array in tensors.items():
        if name not in expected:
            problems.append(f"{name} is surplus (shape {array.shape}); the model has no such tensor")
        elif array.shape != expected[name]:
            problems.append(f"{name} has shape {array.shape}, wanted {expected[name]}")
    return problems


def value_problems(tensors: Mapping[str, np.ndarray]) -> list[str]:
    """Describe every tensor that is not of floating point numbers, or not finite."""
    problems = []
    for name, array in tensors.items():
        if not _is_floating(array):
            problems.append(f"{name} is of {array.dtype}, wanted floating point numbers")
        elif bad := int(np.count_nonzero(~np.isfinite(array))):
            problems.append(f"{name} has {bad} values that are NaN, infinite or too large for {array.dtype}")
    return problems


def _is_floating(array: np.ndarray) -> bool:
    return array.dtype.kind == "f" or array.dtype.name == "bfloat16"


def save(
    path: str | Path,
    tensors: Mapping[str, Any],
    metadata: Mapping[str, Any],
    *,
    dtype: Literal["float16", "float32"] = "float32",
) -> Path:
    """Write tensors and their metadata to a safetensors file, all or nothing.

    Args:
        path: The file to write; its folder is made where it does not exist.
        tensors: Arrays (NumPy or JAX) of floating point numbers by any name, of any shape, scalars (0-d) among them.
            They are not changed.
        metadata: What the file says of itself (config, recipe, source, licence, version); any JSON.
        dtype: How the numbers are kept. `load_file` gives float32 back in either case.

    Raises:
        ConfigError: `dtype` is another one.
        WeightsError: a tensor is not finite, too large for `dtype` or not of floating point numbers, the metadata is
            not JSON, or the file cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tensors, metadata = {"scale": np.array([0.5])}, {"licence": "CC0"}
        ...     file = save(f"{folder}/own.safetensors", tensors, metadata, dtype="float16")
        ...     load_file(file)  # float32 in either case
        ({'scale': array([0.5], dtype=float32)}, {'licence': 'CC0'})
    """
    path = Path(path)
    if dtype not in ("float16", "float32"):
        raise ConfigError(f"{path}: dtype is {dtype!r}, must be 'float16' or 'float32'")
    arrays = {name: np.asarray(value) for name, value in tensors.items()}
    with np.errstate(over="ignore"):
        stored = {name: a.astype(dtype, order="C", copy=False) if _is_floating(a) else a for name, a in arrays.items()}
    problems = value_problems(stored) if stored else ["there are no tensors to save"]
    header = ""
    try:
        header = json.dumps(metadata, allow_nan=False, ensure_ascii=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        problems.append(f"the metadata cannot be written as JSON: {error}")
    if problems:
        raise WeightsError([f"{path}: {problem}" for problem in problems])
    write_atomically(path, to_safetensors(stored, {_HEADER_KEY: header}))
    return path


def load_file(path: str | Path) -> tuple[Tensors, dict[str, Any]]:
    """Read a file that `save` wrote: its tensors as float32, and its metadata.

    Raises:
        WeightsError: the file is missing, damaged, not one of this package's, or holds values that are not finite; all
            problems together.

    Example:
        >>> load_file("no-such-file.safetensors")
        Traceback (most recent call last):
        wctstyle.errors.WeightsError: no-such-file.safetensors: there is no such file
    """
    tensors, metadata, problems = read(Path(path))
    if problems:
        raise WeightsError([f"{path}: {problem}" for problem in problems])
    return tensors, metadata


def read(path: Path) -> tuple[Tensors, dict[str, Any], list[str]]:
    """Read a file: tensors as float32, metadata, and all problems, beside which lies what could be read."""
    if problem := absence(path):
        return {}, {}, [problem]
    try:
        with safe_open(path, framework="np") as file:
            header = (file.metadata() or {}).get(_HEADER_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (safe_open is no mapping)
        metadata = None if header is None else json.loads(header)
    except (SafetensorError, OSError, RecursionError, TypeError, ValueError) as error:
        return {}, {}, [f"damaged, or no safetensors file: {error}"]
    if header is None:
        remedy = "this package did not write it. To take VGG-19 from it, run `wctstyle weights import FILE`"
        return {}, {}, [f"its header has no {_HEADER_KEY!r} entry, so {remedy}"]
    if not isinstance(metadata, dict):
        return {}, {}, [f"the metadata in its header is {type(metadata).__name__}, wanted a JSON object"]
    floating = {name: a.astype(np.float32, copy=False) for name, a in tensors.items() if _is_floating(a)}
    return floating, metadata, value_problems(tensors)


def absence(path: Path) -> str | None:
    """Say why there is no file at `path`; None if there is one."""
    if path.is_file():
        return None
    return "is a folder, wanted a file" if path.is_dir() else "there is no such file"


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside the target and rename over it, so that no reader ever sees half a file."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says while `path` is written into a message with a remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            remedy = (
                "the disk is full. Free some space there, or use another disk (for weights, point WCTSTYLE_HOME to it)"
            )
        else:
            why = error.strerror or error
            remedy = f"cannot write it: {why}. Check that its folder exists and is yours to write to"
        raise WeightsError(f"{path}: {remedy}") from error


def digest(path: Path, algorithm: str) -> str:
    """Hash a file's content. MD5 is only ever compared with a published sum."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
