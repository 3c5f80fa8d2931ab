"""Initial weights of a narrow student by layer-wise least squares.

At each layer the teacher's channels that best explain the others are kept (greedy column subset selection), and the
student's convolution is the least-squares map from the student's own inputs to the kept pre-activations (in the manner
of He, Zhang & Sun 2017, "Channel pruning"). For a decoder the student's inputs are its own mapped codes and the
teacher's are the teacher's.
"""

from __future__ import annotations

from collections.abc import Mapping

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
_upsample = jax.jit(upsample)


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


def initialize_decoder(
    decoder: Decoder,
    teacher: Mapping[str, np.ndarray],
    codes: Float[np.ndarray, "n h w c"],
    teacher_codes: Float[np.ndarray, "n h w c2"],
    pictures: Float[np.ndarray, "n h8 w8 3"],
) -> None:
    """Set a painting decoder's weights layer by layer from the teacher's: `decoder/conv4_1/kernel` and so on.

    `codes` are the student's mapped codes, `teacher_codes` the teacher's mapped relu4_1 of the same tasks, and
    `pictures` what the teacher painted.
    """
    s, t = codes, teacher_codes
    for name, _, c_out in decoder.config.convs("decoder"):
        if name == "conv1_1":
            kernel, bias = least_squares_conv(s, pictures)
        else:
            source = teacher[f"decoder/{name}/kernel"], teacher[f"decoder/{name}/bias"]
            pre = _in_chunks(lambda z: _conv(z, *source), t)  # noqa: B023
            chosen = select_channels(np.maximum(pre[:: max(1, len(pre) // 48)], 0), c_out)
            kernel, bias = least_squares_conv(s, pre[..., chosen])
            t = np.maximum(pre, 0, out=pre)
        module = decoder.conv(name)
        module.kernel[...], module.bias[...] = jnp.asarray(kernel), jnp.asarray(bias)
        if name != "conv1_1":
            s = _in_chunks(lambda z: jax.nn.relu(_conv(z, kernel, bias)), s)  # noqa: B023
        if name.endswith("_1") and name != "conv1_1":
            s, t = _in_chunks(_upsample, s), _in_chunks(_upsample, t)


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
