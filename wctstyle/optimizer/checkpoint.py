"""The complete state of a run in one file, so that it continues as if it had never stopped."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from wctstyle import weights
from wctstyle.compilation import transferring
from wctstyle.errors import ConfigError

KIND = "state of an optimisation"

_INFINITE = np.finfo(np.float32).max
"""Stands for infinity, which a weights file cannot hold."""

_T = TypeVar("_T")


def fingerprint(*arrays: Any) -> str:
    """Return the SHA-256 of the shapes and values of arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        values = np.ascontiguousarray(array, np.float32)
        digest.update(repr(values.shape).encode())
        digest.update(values.data)
    return digest.hexdigest()


@transferring
def save(path: Path, carry: Any, metadata: Mapping[str, Any]) -> None:
    """Write a state, with metadata that identifies its run, atomically.

    Raises:
        WeightsError: it cannot be written, or contains NaN.
    """
    leaves = [np.asarray(leaf, np.float32) for leaf in jax.tree.leaves(carry)]
    finite = [np.minimum(leaf, _INFINITE) if leaf.ndim == 0 else leaf for leaf in leaves]  # large arrays are not copied
    weights.save(path, {f"leaf/{i:04d}": leaf for i, leaf in enumerate(finite)}, {"kind": KIND, **metadata})


def read(path: Path) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Read the leaves of a state and its metadata.

    Raises:
        WeightsError: the file is missing or damaged.
        ConfigError: the file is not a state of an optimisation.
    """
    tensors, metadata = weights.load_file(path)
    if metadata.get("kind") != KIND:
        raise ConfigError(f"{path}: is no state of an optimisation; name the file that `optimize` kept")
    return [np.where(tensors[k] == _INFINITE, np.float32(np.inf), tensors[k]) for k in sorted(tensors)], metadata


@transferring
def restore(leaves: list[np.ndarray], like: _T, path: Path) -> _T:
    """Rebuild a state from leaves, with the structure of `like`.

    Raises:
        ConfigError: the shapes differ.
    """
    wanted, structure = jax.tree.flatten(like)
    if [leaf.shape for leaf in leaves] != [np.shape(leaf) for leaf in wanted]:
        raise ConfigError(f"{path}: its state is of another size; start again without resuming")
    return jax.tree.unflatten(structure, [jnp.asarray(a, b.dtype) for a, b in zip(leaves, wanted, strict=True)])


def check(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Check that a state belongs to the run that resumes from it.

    Raises:
        ConfigError: something differs; the message lists all differences.
    """
    names = {
        "version": "wctstyle's version", "content": "the content", "faces": "the photo's faces",
        "styles": "the styles", "init": "the picture to start from", "carried": "the frame before",
        "model": "the model", "weights": "the model's weights",
    }  # fmt: skip
    problems = [text for key, text in names.items() if key in wanted and found.get(key) != wanted[key]]
    before, now = found.get("settings") or {}, wanted["settings"]
    problems += [
        f"{name} (was {before.get(name)}, is {value})"
        for name, value in now.items()
        if name != "time_budget" and before.get(name) != value
    ]
    if problems:
        raise ConfigError(
            f"{path}: cannot go on, as these changed: {', '.join(problems)}; set them back or start again"
        )
