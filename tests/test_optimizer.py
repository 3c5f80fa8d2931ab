"""The optimiser: its objective against independent sums, L-BFGS against a dense one, and whole runs of a tiny model."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import jax
import jax.numpy as jnp
import narrow
import numpy as np
import oracles
import pytest
import scipy.linalg

from benchmarks import judge
from wctstyle import color
from wctstyle.encoder import ModelConfig
from wctstyle.errors import ConfigError, ImageError, NonFiniteError, WeightsError
from wctstyle.losses import (
    content_error,
    cross_trace,
    out_of_range,
    smooth_variation,
    standardized_error,
    total_variation,
)
from wctstyle.moments import Moments
from wctstyle.optimizer import Iterate, Optimizer, OptimizeSettings, descent, lbfgs, memory, programs
from wctstyle.optimizer import checkpoint as states
from wctstyle.optimizer import job as jobs
from wctstyle.optimizer import run as runs
from wctstyle.optimizer.job import Job
from wctstyle.optimizer.network import Network, convolve, features, parameters
from wctstyle.optimizer.objective import Goal, content_layers, objective, style_layers, style_targets
from wctstyle.optimizer.settings import LAYERS, Start, level_of, pyramid, share_out
from wctstyle.optimizer.terms import pulls, values, variation
from wctstyle.recent import Recent
from wctstyle.regions import Region
from wctstyle.settings import DEFAULT_OPTIMIZER_MODEL
from wctstyle.weights import folding

HEIGHT, WIDTH = 24, 40
SHORT = OptimizeSettings(steps=12, smallest=20, init="content", history=4)
"""Most runs have the programs of these settings, at two sizes: what else they ask for is no new program."""

ADAM = dataclasses.replace(SHORT, optimizer="adam", statistic="moments")
CHEAP = dataclasses.replace(
    SHORT, smallest=WIDTH, content_layers={"relu2_1": 1.0}, style_layers={"relu1_1": 1.0, "relu2_1": 1.0}
)
"""One scale and the first layers alone, for what takes a program of its own."""


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    """Compile little, keep all programs, and estimate the time on a small picture."""
    with narrow.quick_compilation(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(programs, "KEPT", 100)
        patch.setattr(programs, "KEPT_SIZED", 100)
        patch.setattr(runs, "PROBE_SIDE", HEIGHT)
        yield


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    return narrow.random_tensors()


@pytest.fixture(scope="module")
def tiny(tensors: dict[str, np.ndarray]) -> Optimizer:
    return Optimizer(tensors=tensors)


@pytest.fixture(scope="module")
def content() -> np.ndarray:
    return narrow.picture(HEIGHT, WIDTH, seed=1)


@pytest.fixture(scope="module")
def style() -> np.ndarray:
    return narrow.picture(WIDTH, HEIGHT, seed=2)


def finish(iterates: Iterator[Iterate]) -> Iterate:
    *_, last = iterates
    assert last.done
    return last


def beside(tiny: Optimizer, tensors: dict[str, np.ndarray]) -> Optimizer:
    """One that has measured nothing yet, with the programs of the other: its weights are their arguments."""
    made = Optimizer(tensors=tensors)
    made.programs._compiled, made.programs._sized = tiny.programs._compiled, tiny.programs._sized
    return made


@partial(jax.jit, static_argnames=("layers", "network"))
def seen(params: Any, image: Any, layers: tuple[str, ...] = LAYERS, network: Network = Network()) -> Any:  # noqa: B008
    """The features, as one program: op by op they take seconds to compile."""
    return features(params, image, layers, network)


coordinates = jax.jit(descent.coordinates)
picture_of = jax.jit(descent.picture, static_argnums=1)


# --- Settings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "steps is 0, must be a whole number from 1 to 1000000"),
        ({"steps": 2.5}, "steps is 2.5, must be a whole number"),
        ({"optimizer": "sgd"}, "optimizer is 'sgd', must be one of lbfgs, adam"),
        ({"statistic": "x"}, "statistic is 'x', must be one of gram, moments"),
        ({"blend": "x"}, "blend is 'x', must be one of barycenter"),
        ({"pooling": "min"}, "pooling is 'min', must be one of max, avg"),
        ({"init": "x"}, "init is 'x', must be one of fast, image, content, noise, style"),
        ({"strength": 1.1}, "strength is 1.1, must be between 0 and 1"),
        ({"keep_faces": 1.5}, "keep_faces is 1.5, must be between 0 and 1"),
        ({"content_weight": -1}, "content_weight is -1, must be a number >= 0"),
        ({"tv_weight": float("inf")}, "tv_weight is inf, must be a number >= 0"),
        ({"learning_rate": 0}, "learning_rate is 0, must be above 0 and at most 1"),
        ({"time_budget": 0}, "time_budget is 0, must be a number > 0"),
        ({"plateau": 1}, "plateau is 1, must be at least 0 and below 1"),
        ({"average": float("nan")}, "average is nan, must be at least 0 and below 1"),
        ({"history": 0}, "history is 0, must be a whole number from 1 to 100"),
        ({"smallest": 8}, "smallest is 8, must be a whole number from 16"),
        ({"seed": -1}, "seed is -1, must be a whole number from 0"),
        ({"steps": None}, "steps is None, must be a whole number"),
        ({"strength": None}, "strength is None, must be between 0 and 1"),
        ({"tv_weight": [1]}, "tv_weight is [1], must be a number >= 0"),
        ({"tv_weight": 10**400}, f"tv_weight is {10**400}, must be a number >= 0"),
        ({"time_budget": "1"}, "time_budget is '1', must be a number > 0"),
        ({"init": ["fast"]}, "init is ['fast'], must be one of fast"),
        ({"colors": None}, "colors is None, must be one of style, photo, match, only"),
        ({"colors": "only"}, "colors is 'only', which paints nothing to optimise; choose style, photo or match"),
        ({"color": 2}, "color is 2, must be between 0 and 1"),
        ({"normalize_gradients": "no"}, "normalize_gradients is 'no', must be True or False"),
        ({"content_layers": None}, "content_layers is None, must name layers with their weights"),
        ({"style_layers": ["relu4_1"]}, "style_layers is ['relu4_1'], must name layers with their weights"),
        ({"style_layers": {"relu4_1": None}}, "style_layers of relu4_1 is None, must be a number >= 0"),
        ({"style_layers": {}}, "style_layers is empty, must name at least one of relu1_1 to relu5_1"),
        ({"style_layers": {"relu9_1": 1}}, "style_layers names 'relu9_1', must be one of relu1_1"),
        ({"content_layers": {"relu4_2": -1}}, "content_layers of relu4_2 is -1, must be a number >= 0"),
        ({"content_weight": 0, "style_weight": 0}, "content_weight, or that of all its layers, is 0"),
    ],
)
def test_bad_settings_are_named(values: dict[str, Any], message: str):
    with pytest.raises(ConfigError) as caught:
        OptimizeSettings(**values)
    assert str(caught.value).startswith(message)


def test_numbers_of_other_libraries_are_settings_too():
    given = OptimizeSettings(
        steps=np.int64(3),
        strength=np.float32(0.5),
        normalize_gradients=np.bool_(True),
        style_layers={"relu1_1": np.int8(1)},  # pyright: ignore[reportArgumentType]
    )
    assert given == OptimizeSettings(steps=3, strength=0.5, normalize_gradients=True, style_layers={"relu1_1": 1})
    assert (type(given.steps), type(given.style_layers["relu1_1"])) == (int, int)


def test_layers_are_those_of_the_encoder():
    names = [name for name, _, _ in narrow.NARROW.convs()]
    assert [layer.replace("relu", "conv") for layer in LAYERS] == names
    assert [level_of(layer) for layer in ("relu1_2", "relu5_1")] == [1, 5]
    with pytest.raises(ConfigError, match="'conv4_2' is no layer"):
        level_of("conv4_2")


def test_the_pyramid_halves_down_to_the_smallest():
    assert pyramid(512, 384, 192) == [(256, 192), (512, 384)]
    assert pyramid(384, 512, 128) == [(96, 128), (192, 256), (384, 512)]
    assert pyramid(300, 33, 192) == [(300, 33)]
    assert pyramid(401, 1, 100) == [(101, 1), (201, 1), (401, 1)]


def test_a_coarse_scale_comes_where_the_start_has_no_large_shapes():
    start = {"content": [(192, 256), (384, 512)], "noise": [(192, 256), (384, 512)], "fast": [(384, 512)]}
    start["image"] = start["fast"]
    for init, sizes in start.items():
        assert OptimizeSettings(init=init).scales(384, 512) == sizes
        assert OptimizeSettings(init=init, smallest=128).scales(384, 512) == [(96, 128), (192, 256), (384, 512)]
    assert OptimizeSettings().scales(1024, 768) == [(512, 384), (1024, 768)]


def test_adam_takes_short_steps_from_a_picture_that_is_nearly_there():
    rates = {init: OptimizeSettings(init=init).adam_rate() for init in get_args(Start)}
    assert rates == {"fast": 0.005, "image": 0.005, "content": 0.02, "noise": 0.02, "style": 0.02}
    assert OptimizeSettings(init="fast", learning_rate=0.1).adam_rate() == 0.1


def test_steps_are_shared_out():
    assert share_out(200, 3) == [66, 66, 68]
    assert share_out(1, 2) == [0, 1]


def test_importing_the_settings_does_not_import_jax():
    script = "import sys, wctstyle.optimizer; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# --- The network --------------------------------------------------------------------------------------------------


def test_the_network_is_the_original_one_borders_included(tensors: dict[str, np.ndarray]):
    raw = {name.removeprefix("encoder/"): value for name, value in tensors.items() if name.startswith("encoder/")}
    raw["conv1_1/kernel"] = raw["conv1_1/kernel"] / 255
    image = narrow.picture(32, 48)[None]
    layers = {name: (raw[f"{name}/kernel"], raw[f"{name}/bias"]) for name in judge.LAYERS}
    wanted = jax.jit(judge.activations)(layers, image)
    folded = folding.fold_preprocessing({f"encoder/{name}": value for name, value in raw.items()}, "caffe")
    params = parameters(narrow.NARROW, folded)
    order: list[str] = []
    jax.eval_shape(lambda image: order.extend(features(params, image, LAYERS)), image)  # what jit returns is sorted
    assert order == list(LAYERS)
    found = seen(params, image)
    for layer, value in found.items():
        np.testing.assert_allclose(value, wanted[layer.replace("relu", "conv")], atol=2e-4, err_msg=layer)


def test_layers_are_cropped_to_the_picture(tensors: dict[str, np.ndarray]):
    params, layers = parameters(narrow.NARROW, tensors), ("relu1_1", "relu3_1", "relu5_1")
    found = jax.eval_shape(lambda image: features(params, image, layers), narrow.picture(21, 35)[None])
    assert [found[layer].shape[1:3] for layer in layers] == [(21, 35), (6, 9), (2, 3)]


def test_a_checkpointed_network_has_the_same_gradient(tensors: dict[str, np.ndarray]):
    params, image = parameters(narrow.NARROW, tensors), narrow.picture(24, 24)[None]

    def slope(checkpointed: bool) -> Any:
        def total(x: Any) -> Any:
            found = features(params, x, ("relu2_1", "relu4_2"), Network("avg", checkpointed))
            return sum(jnp.sum(value**2) for value in found.values())

        return jax.jit(jax.grad(total))(image)

    np.testing.assert_allclose(slope(True), slope(False), rtol=1e-4, atol=1e-4)


def test_the_convolution_has_the_gradient_of_the_plain_one():
    shapes = (1, 6, 7, 3), (3, 3, 3, 4), (1, 6, 7, 4)
    x, kernel, slope = (narrow.random(shape, seed=seed) for seed, shape in enumerate(shapes))
    dims = ("NHWC", "HWIO", "NHWC")

    def plain(x: Any) -> Any:
        return jnp.vdot(jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=dims), slope)

    def ours(x: Any) -> Any:
        return jnp.vdot(convolve(x, kernel, kernel[::-1, ::-1].swapaxes(2, 3)), slope)

    (own, found), (value, wanted) = (jax.jit(jax.value_and_grad(of))(x) for of in (ours, plain))
    assert own == pytest.approx(float(value), rel=1e-5)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


# --- The loss -----------------------------------------------------------------------------------------------------


traced = jax.jit(jax.value_and_grad(cross_trace))
errors = jax.jit(standardized_error)


def covariance(c: int, seed: int) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(3 * c, c))
    return x.T @ x / len(x)


def test_the_cross_trace_and_its_slope_agree_with_numpy():
    source, target = covariance(5, 0), covariance(5, 1)
    root = np.real(scipy.linalg.sqrtm(target))

    def wanted(s: np.ndarray) -> float:
        return float(np.sqrt(np.linalg.eigvalsh(root @ s @ root)).sum())

    value, slope = traced(np.float32(source), np.float32(root))
    assert value == pytest.approx(wanted(source), rel=1e-5)
    for seed in range(3):
        step = covariance(5, seed + 2)
        rise = (wanted(source + 1e-5 * step) - wanted(source - 1e-5 * step)) / 2e-5
        assert np.vdot(slope, step) == pytest.approx(rise, rel=1e-3)


def test_the_cross_trace_of_flat_features_is_finite():
    zeros, root = np.zeros((5, 5), np.float32), np.float32(covariance(5, 0))
    for pair in ((zeros, root), (root, zeros), (zeros, zeros)):
        value, slope = traced(*pair)
        assert np.isfinite(value)
        assert np.isfinite(slope).all()


def test_the_standardized_error_is_the_content_error_where_channels_vary():
    x, y = (narrow.random((1, 20, 20, 4), seed=seed) for seed in (0, 1))
    plain = float(errors(x, y)[0])
    assert plain == pytest.approx(float(jax.jit(content_error)(x, y)[0]), rel=1e-3)
    flat = np.full((1, 20, 20, 4), 0.3, np.float32)
    assert errors(x, flat)[0] == pytest.approx(1, abs=1e-2)
    value, slope = jax.jit(jax.value_and_grad(lambda v: standardized_error(v, flat)[0]))(flat)
    assert value == pytest.approx(0, abs=1e-9)
    assert np.isfinite(slope).all()
    half = np.zeros((1, 20, 20, 1), np.float32)
    half[:, :10] = 2
    halves = [float(errors(x, y, weights)[0]) for weights in (half, 2 - half)]
    assert sum(halves) == pytest.approx(2 * plain, rel=1e-5)
    assert halves[0] != pytest.approx(halves[1], rel=1e-5)


def test_the_smooth_variation_is_the_plain_one_for_large_steps_and_quadratic_for_small():
    board = np.float32(np.indices((8, 8)).sum(axis=0)[None, :, :, None] % 2)
    sharp = jax.jit(partial(smooth_variation, epsilon=1e-3))
    assert sharp(board)[0] == pytest.approx(float(jax.jit(total_variation)(board)[0]), rel=2e-3)
    assert jax.jit(smooth_variation)(1e-3 * board)[0] == pytest.approx(2 * 1e-3**2 / (2 * 0.02), rel=1e-2)
    slope = jax.jit(jax.grad(lambda v: smooth_variation(v)[0]))(np.ones((1, 1, 5, 3), np.float32))
    assert np.isfinite(slope).all()


def test_specks_of_colour_cost_more_than_grey_ones():
    specks = 0.1 * np.random.default_rng(0).normal(size=(1, 16, 16, 1)).astype(np.float32)
    grey, colored = (0.5 + specks * np.array(v, np.float32) for v in ((1, 1, 1), (1, -1, 1)))
    counted, smooth = jax.jit(variation), jax.jit(smooth_variation)
    assert counted(grey) == pytest.approx(float(smooth(grey)[0]), rel=1e-4)
    assert counted(colored) > 3 * counted(grey)
    red, green, blue = (colored[..., i : i + 1] for i in range(3))
    chroma = np.concatenate([red - green, blue - (red + green) / 2], axis=3)
    wanted = float(smooth(colored)[0]) + 4 * float(smooth(chroma)[0])
    assert counted(colored) == pytest.approx(wanted, rel=1e-5)
    assert counted(grey[..., :1]) == pytest.approx(float(smooth(grey[..., :1])[0]), rel=1e-6)


def test_what_is_out_of_range_counts_by_its_distance():
    image = np.array([[[[0.5, 1.0, 1.3], [0.0, -0.1, 0.7]]]], np.float32)
    assert jax.jit(out_of_range)(image)[0] == pytest.approx((0.3**2 + 0.1**2) / 6, rel=1e-5)


def terms_of(params: Any, image: np.ndarray, settings: OptimizeSettings) -> Any:
    """The objective of a picture as photo and style, measured by numpy, and its features."""
    layers = content_layers(settings), style_layers(settings)
    found = seen(params, image[None])
    wide = {layer: np.asarray(x, np.float64)[0].reshape(-1, x.shape[-1]) for layer, x in found.items()}
    moments = {
        layer: Moments(*map(np.float32, (len(x), x.mean(0), np.cov(x.T, bias=True)))) for layer, x in wide.items()
    }
    goal = Goal(style_targets([moments], np.ones(1), {}, settings, strength=1.0))
    return objective(settings, {k: {"target": found[k], "emphasis": 1.0} for k in layers[0]}, [goal]), wide


valued_together = jax.jit(values, static_argnums=3)


def valued(terms: Any, params: Any, image: np.ndarray) -> dict[str, float]:
    found = valued_together(terms, params, image[None], Network())
    return dict(zip([term.name for term in terms], map(float, found), strict=True))


@pytest.mark.parametrize("statistic", ["gram", "moments"])
def test_every_term_agrees_with_numpy(tensors: dict[str, np.ndarray], statistic: str):
    params = parameters(narrow.NARROW, tensors)
    settings = OptimizeSettings(statistic=statistic)  # pyright: ignore[reportArgumentType]
    other, small = narrow.picture(32, 48, seed=4), narrow.picture(32, 48, seed=3)
    objective, wide = terms_of(params, other, settings)
    for name, value in valued(objective, params, other).items():
        if name not in ("tv", "range"):
            assert value == pytest.approx(0, abs=1e-4), name
    terms = valued(objective, params, small)
    _, own = terms_of(params, small, settings)
    for layer in style_layers(settings):
        a, b = own[layer], wide[layer]
        if statistic == "gram":
            grams = [x.T @ x / len(x) for x in (a, b)]
            wanted = np.sum((grams[0] - grams[1]) ** 2) / np.sum(grams[1] ** 2)
        else:
            wanted = oracle_wasserstein(a, b) / np.mean(np.sum(b**2, axis=1))
        assert terms[f"style_{layer}"] == pytest.approx(wanted, rel=5e-3, abs=1e-5), layer
    a, b = (x["relu4_2"].reshape(1, 4, 6, -1) for x in (own, wide))
    assert terms["content_relu4_2"] == pytest.approx(float(oracles.content_error(a, b)[0]), rel=2e-2)


def oracle_wasserstein(a: np.ndarray, b: np.ndarray) -> float:
    s, t = (np.cov(x.T, bias=True) for x in (a, b))
    root = np.real(scipy.linalg.sqrtm(t))
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ s @ root), 0)).sum()
    return float(np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(s) + np.trace(t) - 2 * cross)


def test_layer_weights_are_shares_of_their_kinds_weight():
    settings = OptimizeSettings(
        content_weight=2, style_weight=6, tv_weight=0.5, style_layers={"relu1_1": 1, "relu3_1": 3}
    )
    terms, _ = terms_of(parameters(narrow.NARROW, narrow.random_tensors()), narrow.picture(32, 48), settings)
    weighed = [(term.name, float(term.weight)) for term in terms[:-1]]
    assert weighed == [("content_relu4_2", 2), ("style_relu1_1", 1.5), ("style_relu3_1", 4.5), ("tv", 0.5)]
    assert (terms[-1].name, float(terms[-1].weight)) == ("range", 20)


# --- L-BFGS -------------------------------------------------------------------------------------------------------


def bowl(n: int = 20, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Curvatures from 1 to 100 in turned axes, and the lowest point."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(n, n)))[0]
    return (axes * np.geomspace(1, 100, n)) @ axes.T, rng.normal(size=n)


def test_the_two_loops_are_the_dense_inverse():
    m, n = 5, 12
    matrix, _ = bowl(n)
    two_loops = jax.jit(lbfgs.two_loops)
    rng = np.random.default_rng(1)
    for stored in (0, 1, 3, 5, 8):
        steps = rng.normal(size=(stored, n))
        changes = steps @ matrix
        slots = m + 1  # of which the next to be written holds anything
        pairs = rng.normal(size=(2 * slots, n))
        for k in range(stored):
            pairs[k % slots], pairs[slots + k % slots] = steps[k], changes[k]
        g = rng.normal(size=n)
        inverse = np.eye(n)
        if stored:
            inverse *= steps[-1] @ changes[-1] / (changes[-1] @ changes[-1])
        for s, y in zip(steps[-m:], changes[-m:], strict=True):
            shift = np.eye(n) - np.outer(s, y) / (s @ y)
            inverse = shift @ inverse @ shift.T + np.outer(s, s) / (s @ y)
        rows, own = two_loops(np.float32(pairs @ pairs.T), np.float32(pairs @ g), np.int32(stored))
        found = np.asarray(rows) @ pairs + float(own) * g
        np.testing.assert_allclose(found, inverse @ g, rtol=2e-2, atol=2e-3 * np.abs(inverse @ g).max())


def descend(fn: Any, x: np.ndarray, steps: int, history: int = 10) -> tuple[list[np.ndarray], list[float]]:
    """Where it is after each step, and the values there."""
    evaluate = jax.value_and_grad(lambda v: (fn(v), jnp.zeros(1)), has_aux=True)
    step = jax.jit(lambda state: lbfgs.advance(state, evaluate))
    state, places, values = jax.jit(lambda x: lbfgs.start(x, 1, history))(np.float32(x)), [], []
    for _ in range(steps):
        state = step(state)
        places.append(np.asarray(state.x))
        values.append(float(state.value))
    return places, values


def test_lbfgs_finds_the_bottom_and_never_rises():
    matrix, lowest = map(np.float32, bowl())
    places, values = descend(lambda v: (v - lowest) @ matrix @ (v - lowest) / 2, np.zeros(20), 120)
    assert values[-1] < 1e-6 * values[0]
    assert all(b <= a * (1 + 2 * lbfgs.ROUNDING) for a, b in zip(values, values[1:], strict=False))  # as it may rise
    np.testing.assert_allclose(places[-1], lowest, atol=1e-3)


def test_lbfgs_goes_round_a_bend():
    places, values = descend(lambda v: 100 * (v[1] - v[0] ** 2) ** 2 + (1 - v[0]) ** 2, np.array([-1.2, 1.0]), 250)
    np.testing.assert_allclose(places[-1], [1, 1], atol=1e-2)
    assert values[-1] < 1e-4


def test_lbfgs_walks_away_from_what_is_not_finite():
    def cliff(v: Any) -> Any:
        return jnp.sum(jnp.where(v > 0, v - jnp.log(v), jnp.nan))

    places, values = descend(cliff, np.full(4, 1e-3), 200)
    assert np.isfinite(values).all()
    np.testing.assert_allclose(places[-1], np.ones(4), atol=1e-2)


def test_the_first_step_of_lbfgs_is_short_and_none_is_long():
    """0.004 and at most 0.1 of the range, in the root of the mean square, down a slope that does not end."""
    places, _ = descend(lambda v: jnp.sum(jnp.sqrt(1 + (v - 9.0) ** 2)), np.zeros(6), 11)
    steps = [float(np.sqrt(np.mean((b - a) ** 2))) for a, b in pairwise(places)]
    assert steps[0] == pytest.approx(0.004, rel=1e-3)
    assert max(steps) == pytest.approx(0.1, rel=1e-3)


def test_lbfgs_stays_where_it_is_flat():
    places, values = descend(lambda v: jnp.sum(0 * v) + 3, np.ones(3), 8)
    assert values == [3.0] * 8
    np.testing.assert_array_equal(places[-1], np.ones(3))


# --- Runs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("statistic", ["gram", "moments"])
def test_a_run_lowers_the_loss(tiny: Optimizer, content: np.ndarray, style: np.ndarray, optimizer: Any, statistic: Any):
    settings = dataclasses.replace(SHORT, optimizer=optimizer, statistic=statistic, steps=40, average=0.5)
    iterates = list(tiny.run(content, [(style, 1.0)], settings))
    first, last = (next(i for i in turn if i.scale == 2) for turn in (iterates, iterates[::-1]))
    assert last.losses["total"] < 0.7 * first.losses["total"]
    assert {"total", "content", "style", "style_relu1_1", "style_relu5_1", "tv"} <= last.losses.keys()
    assert (last.step, last.steps, last.done, last.reason, last.seconds_left) == (40, 40, True, "steps", 0.0)
    assert [(i.scale, i.width, i.height) for i in iterates if i.scale == 1][0] == (1, 20, 12)
    assert (last.scale, last.scales, last.width, last.height) == (2, 2, WIDTH, HEIGHT)
    for iterate in iterates:
        assert iterate.image.shape == content.shape
        assert iterate.image.dtype == np.float32
        assert 0 <= iterate.image.min() <= iterate.image.max() <= 1
    assert [i.step for i in iterates] == sorted(i.step for i in iterates)
    assert not any(i.done for i in iterates[:-1])


def test_the_same_run_gives_the_same_picture_however_it_is_cut(
    tiny: Optimizer, content: np.ndarray, style: np.ndarray, monkeypatch: pytest.MonkeyPatch
):
    settings = dataclasses.replace(SHORT, init="noise", seed=3)
    pictures = []
    for seconds in (1.0, 1e-9, 1.0):
        monkeypatch.setattr(runs, "CHUNK_SECONDS", seconds)
        pictures.append(finish(tiny.run(content, [(style, 1.0)], settings)).image)
    np.testing.assert_array_equal(pictures[1], pictures[0])
    np.testing.assert_array_equal(pictures[2], pictures[0])
    other = finish(tiny.run(content, [(style, 1.0)], dataclasses.replace(settings, seed=4))).image
    assert np.abs(other - pictures[0]).max() > 0.01


def test_faces_keep_themselves(
    tiny: Optimizer, tensors: dict[str, np.ndarray], content: np.ndarray, style: np.ndarray, monkeypatch: Any
):
    left = np.repeat(np.arange(WIDTH)[None] < WIDTH // 2, HEIGHT, axis=0).astype(np.float32)
    settings = dataclasses.replace(CHEAP, steps=30, content_weight=0.3, content_layers={"relu1_2": 1.0})
    plain, kept = (
        finish(tiny.run(content, [(style, 1.0)], dataclasses.replace(settings, keep_faces=share), faces=left)).image
        for share in (0.0, 1.0)
    )
    params = parameters(narrow.NARROW, tensors)
    own, *others = (seen(params, x[None])["relu1_2"] for x in (content, plain, kept))

    def lost(side: np.ndarray) -> float:
        before, after = (float(errors(x, own, side[None, ..., None])[0]) for x in others)
        return after / before

    assert lost(left) < 0.5 * lost(1 - left)
    monkeypatch.setattr(jobs, "face_map", lambda rgb: left)
    found = finish(tiny.run(content, [(style, 1.0)], dataclasses.replace(settings, keep_faces=1.0)))
    np.testing.assert_array_equal(found.image, kept)


def test_faces_nobody_needs_are_not_looked_for(
    tiny: Optimizer, content: np.ndarray, style: np.ndarray, monkeypatch: Any
):
    monkeypatch.setattr(jobs, "face_map", lambda rgb: pytest.fail("looked for faces"))
    for change in ({"keep_faces": 0.0}, {"content_weight": 0.0}):
        finish(tiny.run(content, [(style, 1.0)], dataclasses.replace(CHEAP, steps=1, **change)))
    tiny.figures(content, content, [(style, 1.0)])
    tiny.estimate(content.shape, CHEAP)


def test_faces_of_another_size_are_refused(tiny: Optimizer, content: np.ndarray, style: np.ndarray):
    with pytest.raises(ImageError, match=r"faces: has shape \(40, 24\), the content \(24, 40\)"):
        tiny.run(content, [(style, 1.0)], SHORT, faces=np.zeros((WIDTH, HEIGHT), np.float32))


@pytest.mark.parametrize("settings", [SHORT, ADAM], ids=["lbfgs", "adam"])
@pytest.mark.parametrize("stop_at", [3, 8])
def test_a_resumed_run_ends_as_an_uninterrupted_one(
    tiny: Optimizer, content: np.ndarray, style: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    settings: OptimizeSettings, stop_at: int,
):  # fmt: skip
    monkeypatch.setattr(runs, "CHUNK_SECONDS", 1e-9)
    settings = dataclasses.replace(settings, normalize_gradients=True)
    whole = finish(tiny.run(content, [(style, 1.0)], settings))
    state = tmp_path / "state.safetensors"
    run: Any = tiny.run(content, [(style, 1.0)], settings, checkpoint=state)
    stopped = next(i for i in run if i.step == stop_at)
    run.close()
    resumed: Any = tiny.run(content, [(style, 1.0)], settings, resume=state, checkpoint=state)
    first = next(resumed)
    assert first.step == stop_at + 1
    assert first.seconds >= stopped.seconds
    last = finish(resumed)
    np.testing.assert_array_equal(last.image, whole.image)
    assert last.losses == whole.losses
    again = finish(tiny.run(content, [(style, 1.0)], settings, resume=state))
    np.testing.assert_array_equal(again.image, whole.image)


def test_a_run_interrupted_between_scales_goes_on_there(
    tiny: Optimizer, content: np.ndarray, style: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = finish(tiny.run(content, [(style, 1.0)], SHORT))
    state = tmp_path / "state.safetensors"
    calls = iter([True, False])
    begin = tiny.programs.begin

    def interrupted(*args: Any, **more: Any) -> Any:
        if not next(calls):
            raise KeyboardInterrupt
        return begin(*args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(tiny.programs, "begin", interrupted)
        with pytest.raises(KeyboardInterrupt):
            list(tiny.run(content, [(style, 1.0)], SHORT, checkpoint=state))
    resumed = list(tiny.run(content, [(style, 1.0)], SHORT, resume=state))
    assert resumed[0].scale == 2
    assert resumed[0].step > SHORT.steps // 2
    assert resumed[0].seconds_left < 1e6
    np.testing.assert_array_equal(resumed[-1].image, whole.image)


def test_scales_share_the_time_between_saves(
    tiny: Optimizer, content: np.ndarray, style: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    saved: list[int] = []
    monkeypatch.setattr(runs.states, "save", lambda path, carry, about: saved.append(about["scale"]))
    monkeypatch.setattr(runs, "SAVE_SECONDS", 0.2)
    begin = tiny.programs.begin

    def slow(*args: Any, **more: Any) -> Any:
        time.sleep(0.25)
        return begin(*args, **more)

    monkeypatch.setattr(tiny.programs, "begin", slow)
    monkeypatch.setattr(runs, "CHUNK_SECONDS", 100.0)
    list(tiny.run(content, [(style, 1.0)], SHORT, checkpoint=tmp_path / "state.safetensors"))
    assert saved[0] == 0


def test_a_state_that_cannot_be_written_costs_no_picture(
    tiny: Optimizer, content: np.ndarray, style: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    wanted = finish(tiny.run(content, [(style, 1.0)], SHORT))

    def full(*args: Any) -> None:
        raise WeightsError("the disk is full")

    monkeypatch.setattr(runs.states, "save", full)
    monkeypatch.setattr(runs, "SAVE_SECONDS", 0.0)
    shown = list(tiny.run(content, [(style, 1.0)], SHORT, checkpoint=tmp_path / "state.safetensors"))
    assert {iterate.unsaved for iterate in shown} == {"the disk is full"}
    np.testing.assert_array_equal(shown[-1].image, wanted.image)


def test_a_state_of_another_run_is_refused(
    tiny: Optimizer, content: np.ndarray, style: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    state = tmp_path / "state.safetensors"
    run: Any = tiny.run(content, [(style, 1.0)], SHORT, checkpoint=state)
    next(run)
    run.close()
    longer = dataclasses.replace(SHORT, steps=13, time_budget=100.0)
    with pytest.raises(ConfigError) as caught:
        tiny.run(content[::-1], [(style, 2.0), (content, 1.0)], longer, resume=state)
    for part in ("the content", "the styles", "steps (was 12, is 13)", "set them back or start again"):
        assert part in str(caught.value)
    assert "time_budget" not in str(caught.value)
    with monkeypatch.context() as patch:
        patch.setattr(runs, "__version__", "0.0.0")
        with pytest.raises(ConfigError, match="wctstyle's version"):
            tiny.run(content, [(style, 1.0)], SHORT, resume=state)
    given = dataclasses.replace(SHORT, init="image")
    run = tiny.run(content, [(style, 1.0)], given, init=style.swapaxes(0, 1), checkpoint=state)
    next(run)
    run.close()
    with pytest.raises(ConfigError, match="the picture to start from"):
        tiny.run(content, [(style, 1.0)], given, init=content, resume=state)
    again: Any = tiny.run(content, [(style, 1.0)], given, resume=state, checkpoint=state)
    assert next(again).step > 1
    again.close()
    tiny.run(content, [(style, 1.0)], given, init=style.swapaxes(0, 1), resume=state)
    with pytest.raises(ConfigError, match="the photo's faces"):
        tiny.run(content, [(style, 1.0)], SHORT, resume=state, faces=np.ones(content.shape[:2], np.float32))
    with pytest.raises(WeightsError, match="there is no such file"):
        tiny.run(content, [(style, 1.0)], SHORT, resume=tmp_path / "gone.safetensors")
    states.weights.save(tmp_path / "other.safetensors", {"leaf/0000": np.zeros(3, np.float32)}, {"kind": "x"})
    with pytest.raises(ConfigError, match="is no state of an optimisation"):
        tiny.run(content, [(style, 1.0)], SHORT, resume=tmp_path / "other.safetensors")


@pytest.mark.parametrize("every", [0, -5])
def test_iterates_at_no_steps_are_refused(tiny: Optimizer, content: np.ndarray, every: int):
    with pytest.raises(ConfigError, match=f"every is {every}, must be a whole number of steps from 1"):
        tiny.run(content, [(content, 1.0)], SHORT, every=every)


def test_programs_of_old_sizes_are_forgotten(tiny: Optimizer, content: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tiny.programs, "_compiled", Recent(2))
    monkeypatch.setattr(tiny.programs, "_compile", lambda job, size: f"program of {size}")
    for width in (24, 26, 28):
        tiny.check_memory(content[:, :width], SHORT)
    assert [key[1][1] for key in tiny.programs._compiled._items] == [26, 28]


def test_a_plateau_ends_a_run(tiny: Optimizer, content: np.ndarray, style: np.ndarray):
    """The loss cannot fall by a tenth each time for long: its least value is not near 0."""
    settings = dataclasses.replace(SHORT, steps=2000, plateau=0.1, smallest=WIDTH)
    iterates = list(tiny.run(content, [(style, 1.0)], settings, every=descent.PLATEAU_STEPS))
    last = iterates[-1]
    assert last.reason == "plateau"
    assert last.step < settings.steps
    looks = {i.step: i.losses["total"] for i in iterates if i.step % descent.PLATEAU_STEPS == 0}
    assert last.step in looks
    *fell, stood = (later / earlier for earlier, later in pairwise(looks.values()))
    near = 1e-4  # the loss that is told is summed anew
    assert stood > 1 - settings.plateau - near
    assert all(ratio <= 1 - settings.plateau + near for ratio in fell)


@pytest.mark.parametrize(("plateau", "ends"), [(0.01, (2 * descent.PLATEAU_STEPS, "plateau")), (0.0, (50, "steps"))])
def test_a_loss_that_stands_still_is_a_plateau_at_the_second_look(
    tiny: Optimizer, content: np.ndarray, style: np.ndarray, plateau: float, ends: tuple[int, str]
):
    settings = dataclasses.replace(ADAM, steps=50, plateau=plateau, smallest=WIDTH)
    still = dataclasses.replace(settings, learning_rate=1e-30)  # too short a step to change a pixel
    last = finish(tiny.run(content, [(style, 1.0)], still))
    assert (last.step, last.reason) == ends


def test_a_plateau_leaves_a_scale_for_the_next(tiny: Optimizer, content: np.ndarray, style: np.ndarray):
    settings = dataclasses.replace(ADAM, steps=200, plateau=0.01, learning_rate=1e-30)
    iterates = list(tiny.run(content, [(style, 1.0)], settings))
    assert max(i.step for i in iterates if i.scale == 1) == 2 * descent.PLATEAU_STEPS
    assert (iterates[-1].scale, iterates[-1].step) == (2, 4 * descent.PLATEAU_STEPS)


def test_a_time_budget_ends_a_run_at_full_size(tiny: Optimizer, content: np.ndarray, style: np.ndarray):
    finish(tiny.run(content, [(style, 1.0)], SHORT))
    settings = dataclasses.replace(SHORT, steps=1_000_000, time_budget=0.5)
    last = finish(tiny.run(content, [(style, 1.0)], settings))
    assert last.reason == "time"
    assert (last.scale, last.width) == (2, WIDTH)
    assert last.step < settings.steps
    assert last.seconds >= 0.5


def test_strength_0_leaves_the_photo_and_more_of_it_goes_further(
    tiny: Optimizer, content: np.ndarray, style: np.ndarray
):
    moved = []
    for strength in (0.0, 0.5, 1.0):
        settings = dataclasses.replace(SHORT, strength=strength, smallest=40, tv_weight=0.0, steps=20)
        last = finish(tiny.run(content, [(style, 1.0)], settings))
        moved.append(float(np.sqrt(np.mean((last.image - content) ** 2))))
    assert moved[0] == 0
    assert moved[0] < moved[1] < moved[2]


def test_strength_0_is_the_photo_whatever_the_start_and_the_weights(tiny, content, style):
    settings = dataclasses.replace(SHORT, strength=0, tv_weight=1.0, init="noise", steps=2)
    np.testing.assert_array_equal(finish(tiny.run(content, [(style, 1.0)], settings)).image, content)
    half = np.zeros(content.shape[:2], np.float32)
    half[:, :20] = 1
    regions = [Region(half, style, strength=0.0), Region(None, style)]
    image = finish(tiny.run(content, regions, dataclasses.replace(CHEAP, init="noise", steps=2))).image
    np.testing.assert_array_equal(image[:, :20], content[:, :20])
    assert np.abs(image[:, 20:] - content[:, 20:]).max() > 0.05


def test_styles_blend_by_their_weights(tiny: Optimizer, content: np.ndarray, style: np.ndarray):
    def made(*styles: tuple[np.ndarray, float], blend: Any = "barycenter") -> np.ndarray:
        return finish(tiny.run(content, styles, dataclasses.replace(SHORT, blend=blend))).image

    alone = made((style, 1.0))
    np.testing.assert_array_equal(made((style, 7.0)), alone)
    np.testing.assert_array_equal(made((style, 1.0), (content, 0.0)), alone)
    for blend in ("barycenter", "mixture", "linear"):
        mixed = made((style, 1.0), (content, 1.0), blend=blend)
        assert np.abs(mixed - alone).max() > 0.02


def test_styles_are_measured_once(
    tiny: Optimizer, tensors: dict[str, np.ndarray], content: np.ndarray, style: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    """Weights, strength, blend and another photo measure no style again; its pixels, layers and pooling do."""
    optimizer = beside(tiny, tensors)
    counted: list[Any] = []
    sized = optimizer.programs._at

    def watched(picture: Any) -> Any:
        own = sized(picture)

        def moments(*args: Any, **more: Any) -> Any:
            counted.append(picture.shape)
            return own.moments(*args, **more)

        return SimpleNamespace(**{**vars(own), "moments": moments})

    monkeypatch.setattr(optimizer.programs, "_at", watched)
    paintings = [style, narrow.picture(WIDTH, HEIGHT, seed=6)]

    def measured(photo: np.ndarray = content, styles: Any = ((0, 1.0), (1, 1.0)), **changes: Any) -> int:
        """How often a run measures, which does so where it begins a scale."""
        del counted[:]
        settings = dataclasses.replace(SHORT, **{"steps": 1, "smallest": WIDTH, **changes})
        given = [(paintings[i].copy(), weight) for i, weight in styles]
        job = Job.checked(photo, given, settings, None, resumed=False)
        for size in job.sizes:
            optimizer.programs.objective(job, size)
        found = len(counted)
        if not changes:
            finish(optimizer.run(photo, given, settings))
        assert len(counted) == found
        return found

    assert measured() == 2
    assert measured() == 0
    assert measured(styles=((1, 0.3), (0, 5.0)), blend="mixture", statistic="moments", content_weight=0.3) == 0
    assert measured(photo=content[::-1]) == 0
    assert measured(strength=0.5) == 1  # the photo itself
    assert measured(strength=0.7) == 0
    assert measured(pooling="avg") == 2
    assert measured(style_layers={"relu2_1": 1.0}) == 2
    paintings[0] = paintings[0][::-1]
    assert measured() == 1
    assert measured(smallest=20, steps=2) == 2  # both at the coarse scale


def test_old_moments_are_forgotten(
    tiny: Optimizer, tensors: dict[str, np.ndarray], style: np.ndarray, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(programs, "MOMENTS_BYTES", 1)
    made = beside(tiny, tensors).programs
    for turned in (style, style[::-1], style[:, ::-1]):
        made.measured(turned, ("relu1_1",), Network())
    assert len(made._measured._items) == 1


def test_moments_that_were_kept_give_the_same_picture(
    tiny: Optimizer, tensors: dict[str, np.ndarray], content: np.ndarray, style: np.ndarray
):
    optimizer = beside(tiny, tensors)
    one, two = (finish(optimizer.run(content, [(style, 1.0)], SHORT)).image for _ in range(2))
    np.testing.assert_array_equal(two, one)


def test_the_photos_colors_are_kept(tiny: Optimizer, content: np.ndarray, style: np.ndarray):
    settings = dataclasses.replace(CHEAP, colors="photo")
    last = finish(tiny.run(content, [(style, 1.0)], settings))
    before, after = (color.rgb_to_oklab(rgb) for rgb in (content, last.image))
    turn = np.abs(before[..., 1] * after[..., 2] - before[..., 2] * after[..., 1])
    assert turn.max() < 2e-3
    assert np.abs(before[..., 0] - after[..., 0]).max() > 0.02


def test_the_dial_mixes_the_photos_colors_into_what_is_shown(tiny: Optimizer, content: np.ndarray, style: np.ndarray):
    whole, mixed = (
        finish(tiny.run(content, [(style, 1.0)], dataclasses.replace(SHORT, color=dial))).image for dial in (1.0, 0.3)
    )
    np.testing.assert_allclose(mixed, color.original_colors(whole, content, share=0.7), atol=1e-4)
    assert np.abs(mixed - whole).mean() > 0.01


def test_matched_styles_are_those_of_the_recolored_pictures(tiny: Optimizer, content: np.ndarray, style: np.ndarray):
    left = np.zeros((HEIGHT, WIDTH), np.float32)
    left[:, : WIDTH // 2] = 1
    dark = (content * np.where(left, 0.4, 1.0)[..., None]).astype(np.float32)

    def run(first: np.ndarray, second: np.ndarray, settings: OptimizeSettings) -> np.ndarray:
        regions = [Region(left, [(first, 1.0)]), Region(None, [(second, 1.0)])]
        return finish(tiny.run(dark, regions, settings)).image

    goals = color.colors_of(dark, left), color.colors_of(dark, 1 - left)
    found = run(style, style, dataclasses.replace(CHEAP, colors="match"))
    first, second = (color.with_colors(style, goal) for goal in goals)
    np.testing.assert_allclose(found, run(first, second, CHEAP), atol=1e-4)
    assert np.abs(found - run(style, style, CHEAP)).mean() > 0.01


def test_the_photos_colors_of_an_untouched_photo_are_the_photo(tiny: Optimizer, style: np.ndarray):
    pure = np.array([[1.0, 0, 0], [0, 0, 1.0], [0.8, 0.1, 0.1], [0.2, 0.6, 0.9]], np.float32)
    photo = np.repeat(np.repeat(pure.reshape(2, 2, 3), HEIGHT // 2, axis=0), WIDTH // 2, axis=1)
    settings = dataclasses.replace(CHEAP, colors="photo", strength=0.0, tv_weight=0.0)
    last = finish(tiny.run(photo, [(style, 1.0)], settings))
    assert np.abs(last.image - photo).mean() < 0.02


@pytest.mark.parametrize("init", ["content", "noise", "style", "given"])
def test_every_start_is_what_it_says(
    tiny: Optimizer, content: np.ndarray, style: np.ndarray, init: Any, monkeypatch: pytest.MonkeyPatch
):
    given = narrow.picture(HEIGHT, WIDTH, seed=9)
    settings = dataclasses.replace(SHORT, steps=1, smallest=40, init="fast" if init == "given" else init)
    image = finish(tiny.run(content, [(style, 1.0)], settings, init=given if init == "given" else None)).image
    if init == "noise":
        assert image.std() == pytest.approx(programs.NOISE, rel=0.1)
        assert image.mean() == pytest.approx(0.5, abs=0.02)
    elif init == "style":
        assert np.abs(image.mean(axis=(0, 1)) - style.mean(axis=(0, 1))).max() < 0.02
    else:
        np.testing.assert_allclose(image, content if init == "content" else given, atol=1e-4)


@pytest.mark.parametrize("size", [(3, 4, 3), (33, 50, 3), (17, 2, 1), (16, 31, 3)])
def test_coordinates_are_the_picture_with_its_colour_and_fine_structure_spread_out(size: tuple[int, int, int]):
    image = narrow.picture(*size[:2], seed=5)[..., : size[2]]
    x = coordinates(image)
    np.testing.assert_allclose(picture_of(x, size), image, atol=1e-5)
    step = np.random.default_rng(0).normal(size=image.size).astype(np.float32)
    moved = np.asarray(picture_of(step, size)).mean(axis=2)
    within = np.abs(np.fft.fft2(moved)) ** 2 / np.abs(np.fft.fft2(step.reshape(size).mean(axis=2))) ** 2
    squares = np.fft.fftfreq(size[0])[:, None] ** 2 + np.fft.fftfreq(size[1])[None] ** 2
    assert within.mean() == pytest.approx(1, rel=1e-3)  # white noise stays as large as it is
    np.testing.assert_allclose(within / within[0, 0], 1 / np.sqrt(1 + squares / descent.CORNER**2), rtol=1e-3)


def test_colour_is_spread_out_beside_the_mean_of_the_channels():
    even = np.broadcast_to(np.float32([0.2, 0.5, 0.8]), (8, 8, 3))
    spread = np.asarray(coordinates(even)).reshape(even.shape)
    np.testing.assert_allclose(
        (spread - spread.mean(axis=2, keepdims=True)) / spread.mean(), [[[-1.5, 0, 1.5]] * 8] * 8, atol=1e-5
    )


@pytest.mark.parametrize("settings", [SHORT, ADAM], ids=["lbfgs", "adam"])
def test_first_steps_go_less_far_in_colour(
    tiny: Optimizer, tensors: dict[str, np.ndarray], content: np.ndarray, style: np.ndarray,
    settings: OptimizeSettings, monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    def share_of_colour(optimizer: Optimizer) -> float:
        short = dataclasses.replace(settings, steps=2, smallest=WIDTH, average=0.0)
        image = finish(optimizer.run(content, [(style, 1.0)], short)).image
        change = image - content
        return float(np.square(change - change.mean(axis=2, keepdims=True)).sum() / np.square(change).sum())

    shorter = share_of_colour(tiny)
    monkeypatch.setattr(descent, "COLOUR_STEP", 1.0)
    assert 0 < shorter < 0.5 * share_of_colour(Optimizer(tensors=tensors))


@pytest.mark.parametrize("statistic", ["gram", "moments"])
@pytest.mark.parametrize("case", ["black style", "one-colour content", "strip", "two pixels"])
def test_odd_pictures_stay_finite(tiny: Optimizer, content: np.ndarray, style: np.ndarray, case: str, statistic: Any):
    pictures = {
        "black style": (content, np.zeros_like(style)),
        "one-colour content": (np.full_like(content, 0.4), style),
        "strip": (narrow.picture(9, 70), style),
        "two pixels": (narrow.picture(2, 2), narrow.picture(2, 3)),
    }
    photo, target = pictures[case]
    settings = dataclasses.replace(SHORT, statistic=statistic, smallest=100)
    iterates = list(tiny.run(photo, [(target, 1.0)], settings))
    assert np.isfinite(list(iterates[-1].losses.values())).all()
    assert iterates[-1].losses["total"] <= iterates[0].losses["total"] * (1 + 1e-4) + 1e-9
    assert np.isfinite(iterates[-1].image).all()


def test_normalised_gradients_pull_alike(tiny: Optimizer, content: np.ndarray, style: np.ndarray):
    settings = dataclasses.replace(SHORT, normalize_gradients=True)
    job = Job.checked(content, [(style, 1.0)], dataclasses.replace(settings, init="noise"), None, resumed=False)
    size, made = (HEIGHT, WIDTH), tiny.programs
    terms = made.objective(job, size)
    carry = made.begin(job, size, None, terms=len(terms))
    balanced = made.balanced(terms, job, size, carry)
    image = picture_of(carry.state.x, (*size, 3))[None]
    found = np.asarray(jax.jit(pulls, static_argnames="network")(terms, made.params, image, network=job.network))
    relative = [float(a.weight * pull / b.weight) for a, b, pull in zip(balanced, terms, found, strict=True) if b.layer]
    np.testing.assert_allclose(relative, relative[0], rtol=1e-2)


def test_a_term_without_a_slope_keeps_its_weight(tiny: Optimizer, content: np.ndarray, style: np.ndarray):
    settings = dataclasses.replace(SHORT, smallest=WIDTH, normalize_gradients=True, strength=1.0)
    last = finish(tiny.run(content, [(style, 1.0)], settings))
    plain = finish(tiny.run(content, [(style, 1.0)], dataclasses.replace(settings, normalize_gradients=False)))
    moved, wanted = (np.abs(run.image - content).mean() for run in (last, plain))
    assert moved > wanted / 3


def test_an_estimate_goes_by_the_area_of_every_scale(tiny: Optimizer, content: np.ndarray, monkeypatch: Any):
    """A probe whose five steps took half a second, after two for compiling: 0.1 s a step at its size."""
    monkeypatch.setattr(runs, "PROBE_SIDE", 256)
    probe = finish(tiny.run(content, [(content, 1.0)], dataclasses.replace(SHORT, steps=1, smallest=WIDTH)))
    probe = dataclasses.replace(probe, steps_per_second=10.0)
    monkeypatch.setattr(tiny, "run", lambda *_, **__: iter([probe]))
    monkeypatch.setattr(tiny, "_probes", Recent(4))
    settings = OptimizeSettings(steps=100, smallest=256)
    for shape, wanted in (((256, 256, 3), 2 + 10), ((512, 512, 3), 2 * 2 + 50 * 0.1 + 50 * 0.4)):
        clock = iter([7.0, 9.5])
        monkeypatch.setattr(runs, "time", SimpleNamespace(perf_counter=lambda clock=clock: next(clock)))
        assert tiny.estimate(shape, settings) == pytest.approx(wanted)
    more = dataclasses.replace(settings, steps=200, strength=0.5, init="noise")
    assert tiny.estimate((256, 256), more) == pytest.approx(2 + 20)  # no other probe, no longer compiling


def test_an_estimate_is_at_most_the_time_budget(tiny: Optimizer, content: np.ndarray):
    assert 0 < tiny.estimate(content.shape, CHEAP) < float("inf")
    assert tiny.estimate(content.shape, dataclasses.replace(CHEAP, steps=1_000_000, time_budget=1e-6)) == 1e-6


def test_a_size_that_does_not_fit_is_told_with_one_that_does(
    tensors: dict[str, np.ndarray], content: np.ndarray, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(memory, "needed", lambda compiled, state: 4 * 2**30)
    monkeypatch.setattr(memory, "available", lambda: 2**30)
    monkeypatch.setattr(descent, "program", lambda *_: lambda carry, *_: carry)  # what it does is not looked at
    optimizer = Optimizer(tensors=tensors)
    monkeypatch.setattr(optimizer.programs, "objective", None)  # told before anything of that size is measured
    with pytest.raises(ImageError, match=r"^optimising 40x24 pixels needs 4\.0 GiB and 1\.0 GiB are free: give --size"):
        next(iter(optimizer.run(content, [(content, 1.0)], SHORT)))


def test_a_size_far_too_large_is_told_without_compiling(
    tiny: Optimizer, content: np.ndarray, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(memory, "available", lambda: 1000)
    monkeypatch.setattr(descent, "program", None)
    with pytest.raises(ImageError, match="^optimising 36x24 pixels needs more than .*: give a --size well below"):
        tiny.check_memory(content[:, :36], OptimizeSettings())


def test_what_does_not_fit_is_tried_with_less_memory(
    tensors: dict[str, np.ndarray], tiny: Optimizer, content: np.ndarray, style: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    settings = dataclasses.replace(CHEAP, steps=2)  # after more, other roundings become other pictures
    wanted = finish(tiny.run(content, [(style, 1.0)], settings)).image
    assert np.abs(wanted - content).max() > lbfgs.FIRST_STEP
    needs, tried, program = iter([2**60, 1]), [], descent.program

    def noted(network: Network, *args: Any) -> Any:
        tried.append(network.checkpointed)
        return program(network, *args) if network.checkpointed else lambda carry, *_: carry  # only the last is run

    monkeypatch.setattr(memory, "needed", lambda compiled, state: next(needs))
    monkeypatch.setattr(descent, "program", noted)
    found = finish(Optimizer(tensors=tensors).run(content, [(style, 1.0)], settings)).image
    assert tried == [False, True]
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_the_state_counts_as_memory_that_a_run_needs():
    compiled = jax.jit(lambda x: x + 1).lower(jnp.zeros(8)).compile()
    state = {"pairs": np.zeros((20, 1000), np.float32), "step": np.zeros((), np.int32)}
    assert memory.needed(compiled, state) == (memory.needed(compiled, {}) or 0) + 2 * (80_000 + 4)


def test_memory_can_be_told_here():
    assert (memory.available() or 0) > 2**20
    assert memory.fits(None, 5)
    assert memory.fits(5, None)
    assert not memory.fits(5, 5)


def test_the_limit_of_a_container_counts(tmp_path: Path):
    for name, text in (("max", "1000000"), ("current", "700000"), ("stat", "anon 1\ninactive_file 50000\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert memory._of_group(tmp_path) == 350_000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._of_group(tmp_path) is None
    assert memory._of_group(tmp_path / "gone") is None


def test_what_is_not_finite_is_an_error(tiny: Optimizer, tensors: dict[str, np.ndarray], content: np.ndarray):
    broken = {**tensors, "encoder/conv3_1/bias": np.full_like(tensors["encoder/conv3_1/bias"], np.inf)}
    with pytest.raises(NonFiniteError, match="the loss is not finite"):
        list(beside(tiny, broken).run(content, [(content, 1.0)], SHORT))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ({"styles": []}, ConfigError, "no style given"),
        ({"weights": [-1.0]}, ConfigError, "weight of style 1 is -1.0, must be a number >= 0"),
        ({"weights": [0.0]}, ConfigError, "the weights of all styles are 0"),
        ({"init": "fast"}, ConfigError, "init is 'fast', so that picture has to be given"),
        ({"init": "image"}, ConfigError, "init is 'image', so that picture has to be given"),
        ({"given": np.zeros((5, 5, 3), np.float32)}, ImageError, "picture to start from: has shape"),
        ({"content": np.zeros((5, 5), np.float32)}, ImageError, "content picture: got an array of shape"),
        ({"content": np.zeros((5, 5, 3), np.uint8)}, ImageError, "content picture: got uint8 values"),
        ({"content": np.full((5, 5, 3), 2.0)}, ImageError, "content picture: has values outside"),
        ({"content": np.zeros((1, 5, 3), np.float32)}, ImageError, "at least 2 pixels each way"),
        ({"content": None}, ImageError, "content picture: got NoneType, wanted an array"),
        ({"styles": None}, ConfigError, "no style given"),
        ({"styles": "sea.jpg"}, ImageError, "style picture 1: got str, wanted an array; give wctstyle.images.load"),
        ({"weights": [None]}, ConfigError, "weight of style 1 is None, must be a number >= 0"),
        ({"given": "sea.jpg"}, ImageError, "picture to start from: got str, wanted an array"),
        ({"faces": "none"}, ImageError, "faces: got str, wanted an array"),
        ({"faces": np.zeros((2, 2))}, ImageError, "faces: has shape (2, 2), the content"),
        ({"settings": {"steps": 3}}, ConfigError, "settings is {'steps': 3}, must be OptimizeSettings("),
        ({"every": 2.5}, ConfigError, "every is 2.5, must be a whole number of steps from 1"),
    ],
)
def test_bad_calls_are_told_at_once(
    tiny: Optimizer, content: np.ndarray, style: np.ndarray, call: dict[str, Any], error: Any, message: str
):
    styles = call.get("styles", [(style, w) for w in call.get("weights", [1.0])])
    settings = call.get("settings", dataclasses.replace(SHORT, init=call.get("init", "content")))
    more = {name: call[name] for name in ("faces", "every") if name in call}
    with pytest.raises(error) as caught:
        tiny.run(call.get("content", content), styles, settings, init=call.get("given"), **more)
    assert message in str(caught.value)


def test_an_unknown_model_is_named():
    with pytest.raises(ConfigError, match="model is 'huge', must be one of slim, medium, vgg19"):
        Optimizer("huge")


def test_the_default_network_is_the_optimisers_own(tensors: dict[str, np.ndarray]):
    assert Optimizer(tensors=tensors).model == DEFAULT_OPTIMIZER_MODEL == "medium"


def test_figures_are_those_of_metrics(tiny: Optimizer, content: np.ndarray, style: np.ndarray):
    own = tiny.figures(content, content, [(content, 1.0)])
    assert own["style"] == pytest.approx(0, abs=1e-6)
    assert own["content"] == pytest.approx(0, abs=1e-6)
    assert own["ssim"] == pytest.approx(1)
    figures = tiny.figures(content, content, [(style, 2.0), (content, 2.0)])
    assert figures["style"] == pytest.approx(np.mean(figures["style_by_level"]))
    layers = style_layers(OptimizeSettings())
    found = [seen(tiny.programs.params, rgb[None]) for rgb in (content, style)]
    grams = [[np.float64(x[layer][0]).reshape(-1, x[layer].shape[-1]) for layer in layers] for x in found]
    grams = [[x.T @ x / len(x) for x in picture] for picture in grams]
    wanted = [np.linalg.norm(g - (g + h) / 2) / np.linalg.norm((g + h) / 2) for g, h in zip(*grams, strict=True)]
    np.testing.assert_allclose(figures["style_by_level"], wanted, rtol=1e-3, atol=1e-5)
    assert np.isnan(tiny.figures(style[:10, :10], style[:10, :10], [(style, 1.0)])["ssim"])


def test_models_of_other_widths_are_fine():
    config = ModelConfig("medium", (2, 2, 3, 3, 3), (2, 2, 2))
    rng = np.random.default_rng(0)
    made = {}
    for name, c_in, c_out in config.convs():
        made[f"encoder/{name}/kernel"] = rng.normal(0, 0.4, (3, 3, c_in, c_out)).astype(np.float32)
        made[f"encoder/{name}/bias"] = np.full(c_out, 0.3, np.float32)
    picture = narrow.picture(18, 18)
    settings = dataclasses.replace(SHORT, steps=2, smallest=40, content_weight=0.0)
    assert finish(Optimizer(tensors=made).run(picture, [(picture, 1.0)], settings)).losses["content"] == 0
