"""One narrow model for all tests that need a network: few widths, as each shape of a kernel compiles anew."""

import math
import os
from contextlib import contextmanager, suppress
from functools import cache

import jax
import numpy as np
import oracles
import pytest
from conftest import PROGRAMS
from jax.experimental.compilation_cache import compilation_cache

from benchmarks import judge as judges
from wctstyle import measuring
from wctstyle.dreams import dreaming
from wctstyle.encoder import ModelConfig
from wctstyle.optimizer import programs, run
from wctstyle.optimizer.checkpoint import fingerprint

NARROW = ModelConfig("slim", (3, 4, 4, 5, 5), (3, 4, 4))
VGG_WIDTHS = (4, 6, 8, 8, 8)


def random(shape, seed=0):
    """Normal deviates as float32."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def picture(height, width, *, seed=0):
    """Blocks of colour with grain: height x width x 3 in [0, 1]."""
    rng = np.random.default_rng(seed)
    rows, columns = (-(-side // 16) for side in (height, width))
    blocks = rng.uniform(size=(rows, columns, 3)).repeat(16, 0).repeat(16, 1)[:height, :width]
    return (0.6 * blocks + 0.4 * rng.uniform(size=blocks.shape)).astype(np.float32)


def random_tensors(seed=0, config=NARROW):
    """Random weights, the same for the same seed."""
    return {name: tensor.copy() for name, tensor in _random_tensors(seed, config).items()}


@cache
def _random_tensors(seed, config):
    """Random weights, scaled layer by layer so that every channel lives and decoded pictures have mid tones.

    Layers are standardised on the activations of a probe of noise (Mishkin & Matas 2016, "All you need is a good
    init"); a plain random start of this width is silent at relu5_1.
    """
    rng = np.random.default_rng(seed)
    probe = picture(128, 128, seed=seed)[None]
    tensors = {}

    def layer(name, x, c_in, c_out, *, mean=1.0, deviation=1.0):
        kernel = rng.normal(size=(3, 3, c_in, c_out))
        y = oracles.correlate3x3_wide(x, kernel, 0.0)
        scale = deviation / y.std(axis=(0, 1, 2))
        bias = mean - y.mean(axis=(0, 1, 2)) * scale
        tensors[f"{name}/kernel"] = (kernel * scale).astype(np.float32)
        tensors[f"{name}/bias"] = bias.astype(np.float32)
        return y * scale + bias

    x, levels = probe, []
    for name, c_in, c_out in config.convs():
        if name.endswith("_1") and levels:
            x = oracles.max_pool(x)
        x = np.maximum(layer(f"encoder/{name}", x, c_in, c_out), 0)
        if name.endswith("_1"):
            levels.append(x)
    x = oracles.code(levels[3], probe)
    for name, c_in, c_out in config.convs("decoder"):
        if name == "conv1_1":
            layer(f"decoder/{name}", x, c_in, c_out, mean=0.5, deviation=0.1)
            break
        x = np.maximum(layer(f"decoder/{name}", x, c_in, c_out), 0)
        x = oracles.upsample(x) if name.endswith("_1") else x
    return tensors


def random_vgg(widths=VGG_WIDTHS, *, seed=3):
    """The judge of the benchmarks with a few channels that keep its input alive up to relu5_1."""
    rng = np.random.default_rng(seed)
    tensors, c_in = {}, 3
    for name in judges.LAYERS:
        c_out = widths[int(name[4]) - 1]
        scale = math.sqrt(2 / (9 * c_in))
        tensors[f"{name}/kernel"] = rng.normal(0, scale, (3, 3, c_in, c_out)).astype(np.float32)
        tensors[f"{name}/bias"] = rng.normal(0, 5, c_out).astype(np.float32)
        c_in = c_out
    return tensors


def part(tensors, name):
    """The tensors of one part without its name."""
    return {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}


def _configured(name):
    """jax keeps some of its settings as attributes and some as flags."""
    return getattr(jax.config, name) if hasattr(jax.config, name) else jax.config.read(name)


QUICK = {
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
    "xla_backend_optimization_level": 0,
}
"""What makes XLA's compiler for CPUs many times as fast: its older, shorter way to write loops, in one piece.

The level stands here too, as the one that programs of the package ask for goes before the setting of JAX.
jaxlib has no public place for options of every program, and XLA_FLAGS ends the process where one is unknown.
"""


@cache
def _quick_options():
    """Return the options among `QUICK` that this jaxlib knows, by compiling a program with each."""
    known = {}
    for name, value in QUICK.items():
        with suppress(jax.errors.JaxRuntimeError):
            jax.jit(lambda x: x).lower(0.0).compile(compiler_options={name: value})
            known[name] = value
    return known


@contextmanager
def _quick_compiler():
    """Give `_quick_options` to every program that is compiled inside, where jax has its place for that."""
    try:
        from jax._src import compiler

        options, get = _quick_options(), compiler.get_compile_options
    except (ImportError, AttributeError):
        yield
        return

    def quick(*args, env_options_overrides=None, **more):
        return get(*args, env_options_overrides={**(env_options_overrides or {}), **options}, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiler, "get_compile_options", quick)
        yield


@contextmanager
def quick_compilation():
    """Compile little, and each program once in a run of the tests: compiling is what these tests spend."""
    settings = {
        "jax_disable_most_optimizations": True,
        "jax_compilation_cache_dir": os.environ[PROGRAMS],
        "jax_persistent_cache_min_compile_time_secs": 0.1,  # to write and read less takes longer than to compile it
        "jax_persistent_cache_min_entry_size_bytes": 0,
    }
    before = {name: _configured(name) for name in settings}
    try:
        for name, value in settings.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
        with _quick_compiler():
            yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()


@pytest.fixture(scope="module", autouse=True)
def _quick():
    with quick_compilation():
        yield


QUICKLY_COMPILED = _quick
"""For a module of tests: `_quick = QUICKLY_COMPILED`."""


def _shared(make):
    """Return what gives the same programs to all who ask with the same weights for the same model."""
    made = {}

    def of(model, tensors):
        names = sorted(tensors)
        key = model, tuple(names), fingerprint(*(tensors[name] for name in names))
        if key not in made:
            made[key] = make(model, tensors)
        return made[key]

    return of


@contextmanager
def shared_programs():
    """Let models of all kinds with the same weights share their programs, which stay: none is traced twice."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("KEPT", "KEPT_SIZED"):
            patch.setattr(programs, name, 100)
        for module, name in ((measuring, "Programs"), (run, "Programs"), (dreaming, "Ascent")):
            patch.setattr(module, name, _shared(getattr(module, name)))
        yield
