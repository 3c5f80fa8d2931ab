"""What is jitted: the steps at each size, what they are measured against, and pictures made larger and smaller."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wctstyle import color
from wctstyle.encoder import ModelConfig
from wctstyle.moments import Moments
from wctstyle.optimizer import descent, memory
from wctstyle.optimizer.checkpoint import fingerprint
from wctstyle.optimizer.job import Job, Rgb, grey
from wctstyle.optimizer.network import parameters
from wctstyle.optimizer.objective import (
    Shape,
    Targets,
    content_targets,
    style_moments,
    style_targets,
    term_pulls,
    term_weights,
)
from wctstyle.optimizer.settings import FACE_WEIGHT, LEAST_SIDE
from wctstyle.recent import Recent

KEPT = 16
"""Compiled programs that are kept, one for each size."""

MOMENTS_BYTES = 64 * 2**20
"""What measured moments may take. Those of one painting take 1.3 MiB with `medium` and 2.3 MiB with `vgg19`."""

LEAST_PULL = 1e-3
"""Share of the strongest term's slope below which a slope is rounding."""

NOISE = 0.1
"""Standard deviation of the noise a picture starts from, about mid grey."""


@partial(jax.jit, static_argnames=("size", "method"))
def resize(x: Float[Array, "h w c"], size: tuple[int, int], method: str) -> Float[Array, "h2 w2 c"]:
    """Resize to `size` (height, width)."""
    return jax.image.resize(x, (*size, x.shape[2]), method)


def scaled(rgb: Rgb, size: tuple[int, int]) -> Rgb:
    """Resize a picture exactly, antialiased (Lanczos)."""
    if rgb.shape[:2] == size:
        return rgb
    return np.clip(np.asarray(resize(jnp.asarray(rgb), size, "lanczos3")), 0, 1)


class Programs:
    """The programs of one model's encoder. Those of the last sizes are kept, and the moments of the last pictures.

    Safe to share between threads.
    """

    def __init__(self, config: ModelConfig, tensors: Mapping[str, np.ndarray]) -> None:
        self.params = jax.jit(lambda tensors: tensors)(parameters(config, tensors))
        self._compiled: Recent[Any] = Recent(KEPT)
        self._measured: Recent[dict[str, Moments]] = Recent(
            MOMENTS_BYTES, lambda measured: sum(leaf.nbytes for leaf in jax.tree.leaves(measured))
        )
        self._lock = threading.Lock()
        self._content = jax.jit(content_targets, static_argnames="shape")
        self._moments = jax.jit(style_moments, static_argnames="shape")
        self._pulls = jax.jit(term_pulls, static_argnames="shape")
        self._coordinates = jax.jit(lambda image: descent.coordinates(image))
        self._shown = jax.jit(lambda x, size: descent.picture(x, size), static_argnames="size")

    # ----------------------------------------------------------------------------------------------------- measuring

    def measured(self, picture: Rgb, shape: Shape) -> dict[str, Moments]:
        """Measure a picture at the style layers of `shape`, once: its moments are remembered."""
        key = (fingerprint(picture), shape.style_layers, shape.pooling)
        return self._measured.get(key, lambda: self._moments(self.params, picture[None], shape=shape))

    def kept(self, picture: Rgb, emphasis: Float[np.ndarray, "h w"], shape: Shape) -> dict[str, dict[str, Array]]:
        """Return a picture's `content_targets`."""
        return self._content(self.params, picture[None], emphasis, shape=shape)

    def targets(self, job: Job, size: tuple[int, int]) -> Targets:
        """Measure content and styles as they are at this scale."""
        factor = max(size) / max(job.content.shape[:2])
        content = scaled(grey(job.content) if job.settings.original_colors else job.content, size)
        measured = []
        for style in job.styles:
            height, width = (max(LEAST_SIDE, round(side * factor)) for side in style.shape[:2])
            measured.append(self.measured(scaled(style, (height, width)), job.shape))
        own = self.measured(content, job.shape) if job.settings.strength < 1 else {}
        style = style_targets(
            measured, job.shares, own, shape=job.shape, kind=job.settings.blend, strength=job.settings.strength
        )
        emphasis = FACE_WEIGHT * job.settings.keep_faces * job.faces
        return {"content": self.kept(content, emphasis, job.shape), "style": style}

    def weights(self, job: Job, size: tuple[int, int], carry: Any, targets: Targets) -> Float[np.ndarray, " terms"]:
        """Return what the terms weigh at this scale, with `normalize_gradients` by how each pulls at its start.

        A content or style term is divided by the norm of its gradient and multiplied by the mean norm of all of them.
        One that has no slope there, as content at the photo itself, keeps its weight.
        """
        weights = term_weights(job.settings, job.shape)
        if not job.settings.normalize_gradients:
            return weights
        image = descent.picture(carry.state.x, (*size, job.channels))[None]
        shape = dataclasses.replace(job.shape, checkpointed=True)  # once a scale: it is not to need more than a step
        pulls = np.asarray(self._pulls(self.params, image, targets, shape=shape), np.float64)
        chosen = (np.arange(len(weights)) < len(weights) - 2) & (weights > 0)
        chosen &= pulls > LEAST_PULL * pulls[chosen].max(initial=0.0)
        if chosen.any():
            weights[chosen] *= pulls[chosen].mean() / pulls[chosen]
        return weights

    # ----------------------------------------------------------------------------------------------------- compiling

    def steps(self, job: Job, size: tuple[int, int]) -> Any:
        """Compile the steps at this size, or take what is compiled.

        Raises:
            ImageError: it does not fit.
        """
        key = (job.shape, (*size, job.channels), job.settings.optimizer, job.settings.history)
        with self._lock:  # two runs of one size are not to compile it twice
            return self._compiled.get(key, lambda: self._compile(job, size))

    def _compile(self, job: Job, size: tuple[int, int]) -> Any:
        """Compile the steps at this size from shapes alone, with less memory where the first does not fit.

        Raises:
            ImageError: it does not fit either way.
        """
        pixels = jax.ShapeDtypeStruct((size[0] * size[1] * job.channels,), jnp.float32)
        carry = jax.eval_shape(_start(job), pixels)
        need, free = memory.least(carry), memory.available()
        whole = memory.fits(need, free)
        dials = dials_of(job, term_weights(job.settings, job.shape))
        for checkpointed in (False, True) if whole else ():
            shape = dataclasses.replace(job.shape, checkpointed=checkpointed)
            run = descent.program(shape, (*size, job.channels), job.settings.optimizer)
            compiled = (
                jax.jit(run, donate_argnums=0)
                .lower(carry, jax.ShapeDtypeStruct((), jnp.int32), self.params, self._target_shapes(job, size), dials)
                .compile()
            )
            need, free = memory.needed(compiled, carry), memory.available()
            if memory.fits(need, free):
                return compiled
        assert need is not None
        assert free is not None
        raise memory.refuse(size, need, free, whole=whole)

    def _target_shapes(self, job: Job, size: tuple[int, int]) -> Any:
        """Return the shapes of `targets` at this size, which styles, strength and faces do not change."""
        shape = job.shape

        def targets(picture: Array, faces: Array) -> Targets:
            measured = style_moments(self.params, picture, shape)
            style = style_targets([measured], np.ones(1), {}, shape=shape, kind=job.settings.blend, strength=1.0)
            return {"content": content_targets(self.params, picture, faces, shape), "style": style}

        picture, faces = (jax.ShapeDtypeStruct(sides, jnp.float32) for sides in ((1, *size, 3), size))
        return jax.eval_shape(targets, picture, faces)

    # ------------------------------------------------------------------------------------------- pictures and states

    def begin(self, job: Job, size: tuple[int, int], before: tuple[tuple[int, int], descent.Carry] | None) -> Any:
        """Make the state a scale starts with, from the picture given or from the scale before."""
        settings = job.settings
        make = _start(job)
        if before is None:
            return make(self._coordinates(first_picture(job, size)))
        old_size, carry = before

        def enlarged(x: Array, method: str = "cubic") -> Array:
            return resize(x.reshape(*old_size, job.channels), size, method).ravel()

        shown = self._shown(descent.shown(carry, settings.average), size=(*old_size, job.channels))
        x = self._coordinates(resize(shown, size, "cubic"))
        if settings.optimizer == "adam":
            moments = carry.state.moments
            moments = moments._replace(mu=enlarged(moments.mu), nu=jnp.maximum(enlarged(moments.nu, "linear"), 0))
            carry = carry._replace(state=carry.state._replace(moments=moments))
        return make(x, before=carry)

    def picture(self, job: Job, carry: Any, size: tuple[int, int]) -> Rgb:
        """Return the picture of a state, at the content's own size."""
        x = self._shown(descent.shown(carry, job.settings.average), size=(*size, job.channels))
        full = job.content.shape[:2]
        rgb = np.clip(np.asarray(x if size == full else resize(x, full, "cubic")), 0, 1)
        if job.settings.original_colors:
            return color.original_colors(np.repeat(rgb, 3, axis=2), job.content).astype(np.float32)
        return rgb


def _start(job: Job) -> Callable[..., descent.Carry]:
    return partial(
        descent.start,
        terms=len(job.shape.terms),
        optimizer=job.settings.optimizer,
        history=job.settings.history,
    )


def dials_of(job: Job, weights: Float[np.ndarray, " terms"]) -> descent.Dials:
    """Return the numbers that a run's programs take beside its targets."""
    settings = job.settings
    return descent.Dials(
        weights,
        np.float32(settings.adam_rate()),
        np.float32(settings.average),
        np.float32(settings.plateau),
    )


def first_picture(job: Job, size: tuple[int, int]) -> Float[np.ndarray, "h w c"]:
    """Make the picture that a run starts from."""
    start = job.settings.init
    if job.init is not None:
        picture = scaled(job.init, size)
    elif start == "content":
        picture = scaled(job.content, size)
    elif start == "style":
        picture = scaled(job.styles[int(np.argmax(job.shares))], size)
    else:
        noise = np.random.default_rng(job.settings.seed).normal(0.5, NOISE, (*size, 3))
        picture = np.clip(noise, 0, 1).astype(np.float32)
    return (grey(picture)[..., :1] if job.settings.original_colors else picture).astype(np.float32)
