"""The compiled programs of one model (encode, plan, render and the blends), with trace counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float

from wctstyle import plan as core
from wctstyle.compilation import compiler_options, transferring
from wctstyle.encoder import CELL, MODELS
from wctstyle.model import build, extract
from wctstyle.moments import Affine, Moments
from wctstyle.recent import Recent
from wctstyle.sizes import counted_side, of_cells
from wctstyle.transforms import barycenters, blend, distance
from wctstyle.types import Features

SIZES = 8
"""Sizes whose compiled programs are kept, about 13 MB each; others are read from the cache on disk again."""


class Programs:
    """`encode`, `measured`, `painted`, `decoded`; on moments `plan`, `distance`, `blend`, `meet`, `between`."""

    def __init__(self, model: str, tensors: Mapping[str, np.ndarray]) -> None:
        floats = {name: np.asarray(tensor, np.float32) for name, tensor in tensors.items()}
        encoder, decoder = build(MODELS[model], jax.device_put(floats))  # all at once: one by one takes 0.3 s
        self.model = model
        self._encoder_def, self._encoder = nnx.split(encoder)
        self._decoder_def, self._decoder = nnx.split(decoder)
        width = MODELS[model].code_width
        self.nothing = Affine(*jax.device_put((np.eye(width, dtype=np.float32), np.zeros(width, np.float32))))
        """The identity map."""
        self.traces: dict[str, int] = {}
        """Number of traces per program: one for each size of the family in use."""

        def counted(name: str, fn: Callable[..., Any], **options: Any) -> Callable[..., Any]:
            def traced(*args: Any, **kwargs: Any) -> Any:
                self.traces[name] = self.traces.get(name, 0) + 1
                return fn(*args, **kwargs)

            return transferring(jax.jit(traced, compiler_options=compiler_options(), **options))

        def encode(params: Any, image: Any, height: Any, width: Any) -> Any:
            return core.encode(nnx.merge(self._encoder_def, params), image, height, width)

        def render(params: Any, *args: Any) -> Any:
            return core.render(nnx.merge(self._decoder_def, params), *args)

        def sized() -> Mapping[str, Callable[..., Any]]:
            return {fn.__name__: counted(fn.__name__, fn) for fn in (encode, render, core.measured)}

        self._make_sized = sized
        self._sized: Recent[Mapping[str, Callable[..., Any]]] = Recent(SIZES)
        self.plan = counted("plan", core.plan, static_argnames="kind")
        self.blend = counted("blend", blend, static_argnames="kind")
        self.distance = counted("distance", distance)
        self.meet = counted("meet", barycenters)
        self.between = counted("between", lambda known, shares: known.at(shares))

    def forget(self) -> None:
        """Drop the programs of all sizes."""
        self._sized.clear()

    @property
    def encoder_tensors(self) -> dict[str, np.ndarray]:
        """The encoder's weights by name."""
        return extract(nnx.merge(self._encoder_def, self._encoder), "encoder")

    def _at(self, rows: int, columns: int) -> Mapping[str, Callable[..., Any]]:
        """Return the programs of one size, by that of its code."""
        return self._sized.get((rows, columns), self._make_sized)

    def encode(self, pixels: Float[np.ndarray, "1 H W 3"], height: int, width: int) -> tuple[Features, Moments]:
        """Return the code and the moments of padded pixels; `height` x `width` is the unpadded size."""
        _, rows, columns, _ = pixels.shape
        encode = self._at(rows // CELL, columns // CELL)["encode"]
        return encode(self._encoder, pixels, counted_side(height), counted_side(width))

    def painted(
        self,
        code: Features,
        steps: Sequence[Affine],
        amounts: Sequence[Any],
        face_code: Features | None = None,
        share: Float[np.ndarray, "1 H W 1"] | None = None,
    ) -> Float[np.ndarray, "1 H W 3"]:
        """Run `plan.render`, with the same program with and without faces, so that only one is compiled.

        `amounts` are numbers or maps over cells; `share` is a map over pixels.
        """
        n, height, width, _ = code.shape
        cells = np.zeros((n, height, width, 1), np.float32) if share is None else of_cells(share)
        drawn = code if face_code is None else face_code
        render = self._at(*code.shape[1:3])["render"]
        return jax.device_get(render(self._decoder, code, tuple(steps), tuple(amounts), drawn, cells))

    def decoded(self, code: Features) -> Float[np.ndarray, "1 H W 3"]:
        """Decode a code without mapping it."""
        return self.painted(code, [self.nothing], [0.0])

    def measured(
        self, code: Features, height: int, width: int, share: Float[np.ndarray, "1 H W 1"], whole: Moments | None
    ) -> Moments:
        """Return the moments of a region, given as a map over pixels (`plan.measured`)."""
        measured = self._at(*code.shape[1:3])["measured"]
        return measured(code, counted_side(height), counted_side(width), of_cells(share), whole)

    def weighed(self, code: Features, cells: Float[np.ndarray, "1 h w 1"]) -> Moments:
        """Return the moments of a code whose cells count as given; for a tile, whose halo does not."""
        rows, columns = code.shape[1:3]
        return self._at(rows, columns)["measured"](code, rows * CELL, columns * CELL, cells, None)
