"""Analogies in files: safetensors, with what the numbers mean in the header."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wctstyle import __version__, weights
from wctstyle.analogies import neighbourhoods
from wctstyle.analogies.filters import Filter
from wctstyle.analogies.making import Analogy
from wctstyle.analogies.neighbourhoods import Neighbourhoods
from wctstyle.analogies.painting import Paint
from wctstyle.analogies.points import HUES, Points
from wctstyle.errors import ConfigError, WctStyleError, WeightsError
from wctstyle.settings import checked_model, checked_number

SUFFIX = ".safetensors"

POINTS = ("matrix", "ramps", "mix", "curve", "gain")
NEAR = ("mean", "scale", "ramps", "weights")


def save(path: str | Path, analogy: Analogy) -> Path:
    """Write an analogy to a file, all or nothing.

    Raises:
        ConfigError: its name has another suffix.
        WeightsError: it cannot be written.
    """
    if Path(path).suffix != SUFFIX:
        raise ConfigError(f"{path}: filters are saved as {SUFFIX}; give the file that suffix")
    made, near = analogy.filter, analogy.filter.near
    tensors = {f"points/{name}": getattr(made.points, name) for name in POINTS}
    tensors |= {f"near/{name}": getattr(near, name) for name in NEAR}
    if analogy.plan is not None:
        tensors |= {"paint/matrix": analogy.plan.matrix, "paint/bias": analogy.plan.bias}
    kept = {
        "version": __version__, "mapped": near.mapped, "wide": near.wide, "residual": made.residual,
        "nothing": made.nothing, "missing": made.missing, "paint": analogy.paint,
        "model": analogy.plan.model if analogy.plan else "",
    }  # fmt: skip
    return weights.save(path, tensors, {"analogy": kept})


def load(path: str | Path) -> Analogy:
    """Read an analogy. Everything is checked.

    Raises:
        WeightsError: the file is missing, damaged or holds no analogy.
    """
    tensors, metadata = weights.load_file(path)
    kept = metadata.get("analogy")
    if not isinstance(kept, dict):
        raise WeightsError(f"{path}: holds no filter of an analogy; make one with `wctstyle analogy A A2 --save FILE`")
    try:
        return _read(tensors, kept)
    except (KeyError, TypeError, ValueError, WctStyleError) as error:
        why = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise WeightsError(f"{path}: is damaged: {why}; learn the filter again") from error


def _read(tensors: Mapping[str, np.ndarray], kept: Mapping[str, Any]) -> Analogy:
    mapped, wide = (bool(kept[name]) for name in ("mapped", "wide"))
    near = {name: tensors[f"near/{name}"] for name in NEAR}
    residual, nothing = (checked_number(name, kept[name], 0, 100) for name in ("residual", "nothing"))
    missing, paint = (checked_number(name, kept[name], 0, 1) for name in ("missing", "paint"))
    own = {name: tensors[f"points/{name}"] for name in POINTS}
    units, used = own["ramps"].shape[-1], near["ramps"].shape[-1]
    count = neighbourhoods.features(np.zeros((8, 8, 3), np.float32), wide).shape[1] if near["weights"].size else 0
    rows = count + 1 + used if count else 0
    bent = HUES + 1 if len(own["matrix"]) > 4 + units else 0
    wanted = {
        "points/matrix": (4 + units + bent, 3), "points/ramps": (4, units), "points/mix": (4, 3),
        "points/curve": (len(own["curve"]), 3), "points/gain": (4,), "near/mean": (count,), "near/scale": (count,),
        "near/ramps": (count + 1, used), "near/weights": (rows, 3),
    }  # fmt: skip
    plan = None
    if kept["model"]:
        width = len(tensors["paint/bias"])
        wanted |= {"paint/matrix": (width, width), "paint/bias": (width,)}
        plan = Paint(checked_model(kept["model"]), tensors["paint/matrix"], tensors["paint/bias"])
    for name, shape in wanted.items():
        if tensors[name].shape != shape:
            raise ValueError(f"{name} has shape {tensors[name].shape}, wanted {shape}")
    if (near["scale"] <= 0).any():
        raise ValueError("near/scale has numbers that are not above 0")
    if paint and plan is None:
        raise ValueError("it is painted, but there is no plan")
    made = Filter(Points(**own), Neighbourhoods(mapped, wide, **near), residual, nothing, missing)
    return Analogy(made, paint, plan)
