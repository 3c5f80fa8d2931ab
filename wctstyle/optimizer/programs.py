"""The jitted functions: the steps at each size, their targets, and resizing of pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from wctstyle import color, images
from wctstyle.compilation import transferring
from wctstyle.encoder import ModelConfig
from wctstyle.moments import Moments
from wctstyle.optimizer import descent, memory
from wctstyle.optimizer.checkpoint import fingerprint
from wctstyle.optimizer.job import Job, Rgb, grey
from wctstyle.optimizer.network import Network, parameters
from wctstyle.optimizer.objective import (
    Goal,
    content_layers,
    content_targets,
    dream_layers,
    dream_terms,
    layer_masks,
    objective,
    style_layers,
    style_moments,
    style_targets,
)
from wctstyle.optimizer.settings import LEAST_SIDE
from wctstyle.optimizer.terms import Objective, pulls, weighing
from wctstyle.recent import Recent

KEPT = 4
"""Number of compiled programs kept, about 20 MB for each size; others are read from the cache on disk again."""

KEPT_SIZED = 12
"""Sizes whose small programs are kept, those of style pictures too."""

MOMENTS_BYTES = 64 * 2**20
"""Limit of the cache of moments. One painting takes 1.3 MiB with `medium` and 2.3 MiB with `vgg19`."""

LEAST_PULL = 1e-3
"""Share of the largest gradient norm below which a gradient counts as rounding error."""

NOISE = 0.1
"""Standard deviation of the noise that a picture starts from, around mid grey."""


def scaled(rgb: Rgb, size: tuple[int, int]) -> Rgb:
    """Resize a picture to exactly `size`, antialiased (Lanczos)."""
    return images.resize_planes(rgb, height=size[0], width=size[1])


class _Sized:
    """The small programs of one size. Closures of its own, so that JAX lets go of them when this is dropped."""

    def __init__(self) -> None:
        def content(*args: Any, layers: Any, network: Any) -> Any:
            return content_targets(*args, layers=layers, network=network)

        def moments(*args: Any, layers: Any, network: Any) -> Any:
            return style_moments(*args, layers=layers, network=network)

        self.content = jax.jit(content, static_argnames=("layers", "network"))
        self.moments = jax.jit(moments, static_argnames=("layers", "network"))
        self.masks = jax.jit(lambda mask, **size: layer_masks(mask, **size), static_argnames=("size", "layers"))
        self.pulls = jax.jit(lambda *args, network: pulls(*args, network=network), static_argnames="network")
        self.coordinates = jax.jit(lambda image: descent.coordinates(image))
        self.shown = jax.jit(lambda x, size: descent.picture(x, size), static_argnames="size")


class Programs:
    """The programs of one model's encoder. Caches programs of recent sizes and moments of recent pictures.

    Thread-safe.
    """

    def __init__(self, config: ModelConfig, tensors: Mapping[str, np.ndarray]) -> None:
        self.params = jax.device_put(parameters(config, tensors))
        self._compiled: Recent[Any] = Recent(KEPT)
        self._measured: Recent[dict[str, Moments]] = Recent(
            MOMENTS_BYTES, lambda measured: sum(leaf.nbytes for leaf in jax.tree.leaves(measured))
        )
        self._sized: Recent[_Sized] = Recent(KEPT_SIZED)

    def _at(self, picture: Any) -> _Sized:
        """Return the programs of a picture's size."""
        return self._sized.get(np.shape(picture)[:2], _Sized)

    def forget(self) -> None:
        """Drop all programs and moments."""
        for kept in (self._compiled, self._sized, self._measured):
            kept.clear()

    # ----------------------------------------------------------------------------------------------------- measuring

    @transferring
    def measured(
        self, picture: Rgb, layers: tuple[str, ...], network: Network, mask: Float[np.ndarray, "h w"] | None = None
    ) -> dict[str, Moments]:
        """Measure a picture at some layers and cache its moments. A mask may have any size."""
        key = fingerprint(picture, *(() if mask is None else (mask,))), layers, network.pooling, network.border

        def make() -> dict[str, Moments]:
            return self._at(picture).moments(self.params, picture[None], mask, layers=layers, network=network)

        return self._measured.get(key, make)

    @transferring
    def kept(
        self,
        picture: Rgb,
        emphasis: Float[np.ndarray, "h w"],
        opacity: Float[np.ndarray, "h w"] | None,
        layers: tuple[str, ...],
        network: Network,
    ) -> dict[str, dict[str, Any]]:
        """Return a picture's `content_targets`."""
        return self._at(picture).content(self.params, picture[None], emphasis, opacity, layers=layers, network=network)

    @transferring
    def objective(self, job: Job, size: tuple[int, int]) -> Objective:
        """Measure content and styles at this scale and assemble the terms."""
        settings, layers = job.settings, style_layers(job.settings)
        factor = max(size) / max(job.content.shape[:2])
        content = scaled(grey(job.content) if job.lightness_only else job.content, size)

        def fitted(style: Rgb) -> Rgb:
            height, width = (max(LEAST_SIDE, round(side * factor)) for side in style.shape[:2])
            return scaled(style, (height, width))

        goals = []
        for part in job.regions:
            targets = part.targets
            if targets is None:
                styles = [
                    self.measured(fitted(own.picture), layers, job.style_network, own.mask) for own in part.styles
                ]
                strength = settings.strength * part.strength
                own = self.measured(content, layers, job.network, part.counted) if strength < 1 else {}
                targets = style_targets(styles, part.shares, own, settings, strength=strength)
            masks = None if part.counted is None else self._at(content).masks(part.counted, size=size, layers=layers)
            goals.append(Goal(targets, masks, part.area))
        kept = self.kept(content, job.emphasis, job.opacity, content_layers(settings), job.network)
        seen = dream_layers(settings)
        moments = self.measured(content, seen, job.network, job.opacity) if seen else {}
        scales = {layer: jnp.trace(moments[layer].gram()) / len(moments[layer].mean) + 1e-12 for layer in seen}
        dreams = dream_terms(settings, self.params, scales)
        return objective(settings, kept, goals, dreams, job.visible, _carried(job, size))

    @transferring
    def balanced(self, terms: Objective, job: Job, size: tuple[int, int], carry: Any) -> Objective:
        """Weigh the terms for this scale: with `normalize_gradients`, by their gradients at its start.

        The weight of each content or style term is divided by the norm of its gradient and multiplied by the mean of
        these norms. A term without a gradient there, such as content at the photo itself, keeps its weight.
        """
        if not job.settings.normalize_gradients:
            return terms
        image = descent.picture(carry.state.x, (*size, job.channels))[None]
        network = job.network._replace(checkpointed=True)  # once per scale; should not need more memory than a step
        found = np.asarray(self._at(image[0]).pulls(terms, self.params, image, network=network), np.float64)
        weights = np.array([term.weight for term in terms], np.float32)
        chosen = np.array([bool(term.layer) for term in terms]) & (weights > 0)
        chosen &= found > LEAST_PULL * found[chosen].max(initial=0.0)
        if chosen.any():
            weights[chosen] *= found[chosen].mean() / found[chosen]
        return weighing(terms, weights)

    # ----------------------------------------------------------------------------------------------------- compiling

    def steps(self, job: Job, size: tuple[int, int]) -> Any:
        """Return the compiled steps for this size, compiling them if needed.

        Raises:
            ImageError: the size does not fit into memory.
        """
        return self._compiled.get((job.structure, size), lambda: self._compile(job, size))

    def _compile(self, job: Job, size: tuple[int, int]) -> Any:
        """Compile the steps at this size from shapes only; if they do not fit, compile a version with less memory.

        Raises:
            ImageError: neither version fits into memory.
        """
        pixels = jax.ShapeDtypeStruct((size[0] * size[1] * job.channels,), jnp.float32)
        terms = self._shapes(job, size)
        carry = jax.eval_shape(_start(job, len(terms)), pixels)
        need, free = memory.least(carry), memory.available()
        whole = memory.fits(need, free)
        for checkpointed in (False, True) if whole else ():
            network = job.network._replace(checkpointed=checkpointed)
            run = descent.program(network, (*size, job.channels), job.settings.optimizer)
            with jax.disable_jit(False):  # it would forbid to compile ahead
                lowered = jax.jit(run, donate_argnums=0).lower(
                    carry, jax.ShapeDtypeStruct((), jnp.int32), self.params, terms, dials_of(job)
                )
                compiled = lowered.compile()
            need, free = memory.needed(compiled, carry), memory.available()
            if memory.fits(need, free):
                return transferring(jax.disable_jit(False)(compiled))
        assert need is not None
        assert free is not None
        raise memory.refuse(size, need, free, whole=whole)

    def _shapes(self, job: Job, size: tuple[int, int]) -> Any:
        """Return the shapes of `objective` at this size; they do not depend on styles, strength or faces."""
        settings, layers = job.settings, style_layers(job.settings)

        def terms(picture: Array, plane: Array) -> Objective:
            measured = style_moments(self.params, picture, layers=layers, network=job.network)
            targets = style_targets([measured], np.ones(1), {}, settings, strength=1.0)
            masks = layer_masks(plane, size=size, layers=layers)
            goals = [Goal(targets, None if part.counted is None else masks, part.area) for part in job.regions]
            content = content_targets(
                self.params,
                picture,
                plane,
                None if job.opacity is None else plane,
                layers=content_layers(settings),
                network=job.network,
            )
            last = None if job.carried is None else (picture[..., : job.channels], plane[None, ..., None], 1.0)
            scales = dict.fromkeys(dream_layers(settings), jnp.float32(1))
            return objective(settings, content, goals, dream_terms(settings, self.params, scales), 1.0, last)

        picture, plane = (jax.ShapeDtypeStruct(sides, jnp.float32) for sides in ((1, *size, 3), size))
        return jax.eval_shape(terms, picture, plane)

    # ------------------------------------------------------------------------------------------- pictures and states

    @transferring
    def begin(
        self, job: Job, size: tuple[int, int], before: tuple[tuple[int, int], descent.Carry] | None, *, terms: int
    ) -> Any:
        """Make the initial state of a scale, from the starting picture or from the previous scale."""
        settings = job.settings
        make = _start(job, terms)
        if before is None:
            first = first_picture(job, size)
            return make(self._at(first).coordinates(first))
        old_size, carry = before

        def enlarged(x: Any, kernel: str = "cubic") -> np.ndarray:
            planes = np.asarray(x).reshape(*old_size, job.channels)
            return images.resample(planes, height=size[0], width=size[1], kernel=kernel)

        shown = enlarged(self._pixels(job, carry, old_size))
        x = self._at(shown).coordinates(shown)
        if settings.optimizer == "adam":
            moments = carry.state.moments
            moments = moments._replace(
                mu=enlarged(moments.mu).ravel(), nu=np.maximum(enlarged(moments.nu, "linear"), 0).ravel()
            )
            carry = carry._replace(state=carry.state._replace(moments=moments))
        return make(x, before=carry)

    def _pixels(self, job: Job, carry: Any, size: tuple[int, int]) -> Float[np.ndarray, "h w c"]:
        """Return the picture of a state, unclipped."""
        x = descent.shown(carry, job.settings.average)
        return np.asarray(self._sized.get(size, _Sized).shown(x, size=(*size, job.channels)))

    @transferring
    def picture(self, job: Job, carry: Any, size: tuple[int, int]) -> Rgb:
        """Return the picture of a state at the content's size; outside all regions it is the photo."""
        pixels, (height, width) = self._pixels(job, carry, size), job.content.shape[:2]
        if size != (height, width):
            pixels = images.resample(pixels, height=height, width=width, kernel="cubic")
        rgb = np.clip(pixels, 0, 1)
        if job.lightness_only:
            rgb = np.repeat(rgb, 3, axis=2)
        rgb = color.original_colors(rgb, job.content, share=job.photo_share)
        covered = job.covered
        return rgb if covered is None else job.content + covered * (rgb - job.content)


def _start(job: Job, terms: int) -> Callable[..., descent.Carry]:
    return partial(descent.start, terms=terms, optimizer=job.settings.optimizer, history=job.settings.history)


def dials_of(job: Job) -> descent.Dials:
    """Return the numbers that a run's programs take besides the objective."""
    settings = job.settings
    return descent.Dials(np.float32(settings.adam_rate()), np.float32(settings.average), np.float32(settings.plateau))


def _carried(job: Job, size: tuple[int, int]) -> tuple[Any, Any, float] | None:
    """Return the frame before at this scale, how far it counts, and the weight of that."""
    if job.carried is None:
        return None
    picture, counted = (scaled(planes, size) for planes in (job.carried.picture, job.carried.counted[..., None]))
    picture = grey(picture)[..., :1] if job.lightness_only else picture
    return picture[None], np.clip(counted, 0, 1)[None], job.carried.weight


def first_picture(job: Job, size: tuple[int, int]) -> Float[np.ndarray, "h w c"]:
    """Make the starting picture of a run."""
    start = job.settings.init
    if job.init is not None:
        picture = scaled(job.init, size)
    elif start == "content":
        picture = scaled(job.content, size)
    elif start == "style":
        largest = max(job.regions, key=lambda part: part.area)
        picture = scaled(largest.styles[int(np.argmax(largest.shares))].picture, size)
    else:
        noise = np.random.default_rng(job.settings.seed).normal(0.5, NOISE, (*size, 3))
        picture = np.clip(noise, 0, 1).astype(np.float32)
    return (grey(picture)[..., :1] if job.lightness_only else picture).astype(np.float32)
