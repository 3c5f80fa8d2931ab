"""Initial weights by layer-wise least squares, for a narrow encoder and for a mirrored decoder.

Encoder: at each layer the teacher's channels that best explain the others are kept (greedy column subset selection),
and the student's convolution is the least-squares map from the student's own inputs to the kept pre-activations
(in the manner of He, Zhang & Sun 2017, "Channel pruning"). Decoder: each mirrored convolution is the least-squares map
from its input to the encoder's activations that it has to restore. Both start without dead channels.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from wctstyle.decoder import Decoder, upsample
from wctstyle.encoder import Encoder, conv3x3, max_pool

RIDGE = 1e-4
SAMPLES = 120_000
CHUNK = 16


def select_channels(features: Float[np.ndarray, "n h w c"], keep: int) -> np.ndarray:
    """Greedily choose the `keep` channels that explain most of the energy of all of them, sorted."""
    x = np.asarray(features, np.float64).reshape(-1, features.shape[-1])
    residual = x.T @ x / len(x)
    chosen: list[int] = []
    for _ in range(keep):
        diagonal = np.diagonal(residual).copy()
        gain = np.where(diagonal > 1e-9 * diagonal.max(), (residual**2).sum(axis=0) / np.maximum(diagonal, 1e-30), -1.0)
        gain[chosen] = -1.0
        j = int(gain.argmax())
        chosen.append(j)
        residual = residual - np.outer(residual[:, j], residual[:, j]) / max(diagonal[j], 1e-30)
    return np.sort(np.array(chosen))


def least_squares_conv(
    x: Float[np.ndarray, "n h w c_in"], y: Float[np.ndarray, "n h w c_out"], *, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a 3x3 convolution (kernel HWIO, bias) from `x` to `y` by ridge regression on sampled positions."""
    n, h, w, c_in = x.shape
    rng = np.random.default_rng(seed)
    positions = min(SAMPLES, n * h * w)
    picks = np.sort(rng.choice(n * h * w, positions, replace=False))
    i, r, c = np.unravel_index(picks, (n, h, w))
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    patches = np.stack([padded[i, r + dy, c + dx] for dy in range(3) for dx in range(3)], axis=1)
    design = np.concatenate([patches.reshape(positions, -1), np.ones((positions, 1), np.float32)], axis=1)
    target = y[i, r, c]
    normal = (design.T @ design).astype(np.float64) / positions
    normal[np.diag_indices_from(normal)] += RIDGE * np.trace(normal) / len(normal)
    solution = np.linalg.solve(normal, (design.T @ target).astype(np.float64) / positions)
    return solution[:-1].reshape(3, 3, c_in, -1).astype(np.float32), solution[-1].astype(np.float32)


def _in_chunks(fn, x: np.ndarray) -> np.ndarray:  # noqa: ANN001
    return np.concatenate([np.asarray(fn(x[i : i + CHUNK])) for i in range(0, len(x), CHUNK)])


_conv = jax.jit(conv3x3)
_pool = jax.jit(max_pool)


def initialize_encoder(student: Encoder, teacher: Encoder, crops: Float[np.ndarray, "n s s 3"]) -> None:
    """Set the student's weights from the teacher's, layer by layer, on `crops`."""
    t = s = crops
    stage = 1
    for name, _, c_out in student.config.convs():
        if int(name[4]) != stage:
            t, s, stage = _in_chunks(_pool, t), _in_chunks(_pool, s), int(name[4])
        source = teacher.conv(name)
        kernel, bias = source.kernel[...], source.bias[...]
        pre = _in_chunks(lambda z: _conv(z, kernel, bias), t)  # noqa: B023
        t = np.maximum(pre, 0)
        chosen = select_channels(t[:: max(1, len(t) // 64)], c_out)
        new_kernel, new_bias = least_squares_conv(s, pre[..., chosen])
        del pre
        target = student.conv(name)
        target.kernel[...], target.bias[...] = jnp.asarray(new_kernel), jnp.asarray(new_bias)
        s = _in_chunks(lambda z: jax.nn.relu(_conv(z, new_kernel, new_bias)), s)  # noqa: B023


def initialize_decoder(decoder: Decoder, encoder: Encoder, crops: Float[np.ndarray, "n s s 3"]) -> None:
    """Set the decoder's weights so that each convolution restores the encoder's activations before its mirror.

    Between the levels they are scaled to unit RMS (exact, because ReLU is homogeneous): VGG-19's own are not, and one
    rate for all layers then kills those of small scale within a few steps.
    """
    names = [name for name, _, _ in encoder.config.convs()]
    before = {b: "relu" + a[4:] for a, b in zip(names, names[1:], strict=False)}
    graphdef, params = nnx.split(encoder)
    activations = jax.jit(lambda p, x: nnx.merge(graphdef, p).activations(x))
    parts = [activations(params, crops[i : i + CHUNK]) for i in range(0, len(crops), CHUNK)]
    acts = {k: np.concatenate([np.asarray(p.pop(k)) for p in parts]) for k in list(parts[0])}  # not held twice
    for level in range(5, 0, -1):
        x = acts[f"relu{level}_1"]
        layers = decoder.layers(level)
        for i, name in enumerate(layers):
            if name == "conv1_1":
                y = crops
            else:
                y = acts[before[name]]
                if i == 0:
                    y = _in_chunks(_pool, y)
                if i < len(layers) - 1:
                    y = y / np.sqrt(np.mean(y**2))
            kernel, bias = least_squares_conv(x, y)
            module = decoder.conv(name)
            module.kernel[...], module.bias[...] = jnp.asarray(kernel), jnp.asarray(bias)
            x = _in_chunks(lambda z: jax.nn.relu(_conv(z, kernel, bias)), x)  # noqa: B023
            if i == 0 and level > 1:
                x = _in_chunks(jax.jit(upsample), x)


def normalize_encoder(encoder: Encoder, crops: Float[np.ndarray, "n s s 3"]) -> None:
    """Rescale every layer to unit RMS activations; exact, because ReLU and pooling are homogeneous."""
    graphdef, params = nnx.split(encoder)
    activations = jax.jit(lambda p, x: nnx.merge(graphdef, p).activations(x))
    parts = [activations(params, crops[i : i + CHUNK]) for i in range(0, len(crops), CHUNK)]
    above = 1.0
    for name, _, _ in encoder.config.convs():
        key = "relu" + name[4:]
        rms = float(np.sqrt(np.mean([float(jnp.mean(p[key] ** 2)) for p in parts])))
        module = encoder.conv(name)
        module.kernel[...] = module.kernel[...] * (above / rms)
        module.bias[...] = module.bias[...] / rms
        above = rms


def wake_channels(encoder: Encoder, decoder: Decoder, crops: Float[np.ndarray, "n s s 3"]) -> int:
    """Wake channels that are zero everywhere on `crops`; returns how many.

    Their bias is raised until a tenth of the positions fire, and what reads them starts at zero: the encoder's other
    channels and each block's answer to them stay as they were, and training finds a use for the channel.
    """
    names = [name for name, _, _ in encoder.config.convs()]
    x, stage, woken = crops, 1, 0
    for name, reader in zip(names, [*names[1:], None], strict=True):
        if int(name[4]) != stage:
            x, stage = _in_chunks(_pool, x), int(name[4])
        conv = encoder.conv(name)
        pre = _in_chunks(lambda z: _conv(z, conv.kernel[...], conv.bias[...]), x)  # noqa: B023
        dead = np.flatnonzero(pre.max(axis=(0, 1, 2)) <= 0)
        if len(dead):
            rise = -np.quantile(pre[..., dead], 0.9, axis=(0, 1, 2))
            conv.bias[...] = conv.bias[...].at[dead].add(rise)
            pre[..., dead] += rise
            readers = [encoder.conv(reader)] if reader else []
            readers += [decoder.conv(name)] if name.endswith("_1") else []
            for module in readers:
                module.kernel[...] = module.kernel[...].at[:, :, dead].set(0)
        woken += len(dead)
        x = np.maximum(pre, 0)
    return woken
