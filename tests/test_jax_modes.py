"""The settings of JAX that a user may have made for other programs: they change nothing here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import narrow
import numpy as np
import pytest

from wctstyle.encoder import MODELS
from wctstyle.optimizer import Optimizer, OptimizeSettings
from wctstyle.regions import Region
from wctstyle.settings import Settings
from wctstyle.stylizer import Stylizer

MODES = {
    "x64": {"jax_enable_x64": True},
    "without jit": {"jax_disable_jit": True},
    "strict": {
        "jax_numpy_dtype_promotion": "strict",
        "jax_numpy_rank_promotion": "raise",
        "jax_transfer_guard": "disallow",
    },
}
"""Modes by name. They are set for all threads, as variables are. What is strict forbids, so it is tried at once."""

PHOTO = narrow.picture(48, 64, seed=1)
STYLES = [narrow.picture(64, 64, seed=seed) ** power for seed, power in ((2, 0.5), (3, 1), (4, 2))]
MASK = np.linspace(0, 1, 48 * 64, dtype=np.float32).reshape(48, 64)


LAYERS = {"content_layers": {"relu2_1": 1.0}, "style_layers": {"relu1_1": 1.0, "relu2_1": 1.0}}
"""Few, for programs that compile fast. `refined` has all."""

Models = tuple[Stylizer, Optimizer]


def made() -> Models:
    """Models with programs of their own: those of another mode would be taken as they are."""
    tensors = narrow.random_tensors()
    models = Stylizer("slim", tensors=tensors), Optimizer(tensors=tensors)
    models[0].__dict__["_optimizer"] = models[1]
    return models


def optimised(models: Models, **settings: Any) -> np.ndarray:
    chosen = OptimizeSettings(steps=3, smallest=64, init="content", history=3, **LAYERS, **settings)
    *_, last = models[1].run(PHOTO, [(STYLES[0], 1.0)], chosen)
    return last.image


def refined(models: Models) -> np.ndarray:
    """One pass over two regions, one of them with three styles, and two steps of L-BFGS."""
    regions = [Region(MASK, STYLES), Region(None, STYLES[0], strength=0.5)]
    return (
        models[0].stylize(PHOTO, regions, Settings(detail=0.5, colors="match", color=0.5, strength=0.8, refine=2)).image
    )


def adam(models: Models) -> np.ndarray:
    return optimised(models, optimizer="adam", normalize_gradients=True, strength=0.5)


TASKS = {"refined": refined, "adam": adam, "lbfgs": optimised}


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with narrow.quick_compilation(), pytest.MonkeyPatch.context() as patch:
        for name in ("slim", "medium"):
            patch.setitem(MODELS, name, narrow.NARROW)
        yield


@pytest.fixture(scope="module")
def plain() -> dict[str, np.ndarray]:
    models = made()
    return {name: task(models) for name, task in TASKS.items()}


@pytest.mark.parametrize(
    ("mode", "tasks"),
    [("x64", ("refined", "adam")), ("strict", ("refined", "adam")), ("without jit", ("lbfgs",))],
)
def test_a_mode_of_jax_changes_nothing(mode: str, tasks: tuple[str, ...], plain: dict[str, np.ndarray]) -> None:
    before = {name: getattr(jax.config, name) for name in MODES[mode]}
    try:
        for name, value in MODES[mode].items():
            jax.config.update(name, value)
        models = made()
        found = {task: TASKS[task](models) for task in tasks}
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
    for task, got in found.items():
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, plain[task], atol=2e-3, err_msg=task)
