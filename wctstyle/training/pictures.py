"""The teacher's pictures: random photos after random paintings, made once and kept in a folder.

The teacher is a full-width encoder to relu4_1 with a decoder that was trained to paint (Huang & Belongie 2017,
arXiv:1703.06868); in front of the decoder stands this project's Monge-Kantorovich map in place of AdaIN. A student's
decoder learns these pictures: one costs the teacher half a second on two cores and the student nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from flax import nnx
from jaxtyping import Float, UInt8

from wctstyle.encoder import CODE_LEVEL, ModelConfig
from wctstyle.errors import ConfigError, WeightsError
from wctstyle.files import replace_file
from wctstyle.model import build
from wctstyle.moments import Affine, Moments, measure
from wctstyle.training.data import Crops
from wctstyle.transforms import ABSOLUTE_FLOOR, EIGENVALUE_FLOOR, affine
from wctstyle.weights import folding
from wctstyle.weights.convert import DAMAGE
from wctstyle.weights.files import shape_problems

TASK = np.dtype([("content", "i4"), ("styles", "i4", 2), ("share", "f4"), ("strength", "f4")])
"""A picture's photo, its two paintings, the first one's share (1: alone) and the strength of the map."""

BLENDS, PARTS, SAME = 0.15, 0.2, 0.03
"""Shares of the tasks with two styles, with part of the strength, and with a photo in its own style."""

PLAIN = 0.04
"""Share of the photos that are replaced by one colour or a slow gradient between two."""


@dataclass(frozen=True)
class Pictures:
    """A folder of the teacher's pictures: crops by number, what was asked for, and what the teacher made of it."""

    contents: UInt8[np.ndarray, "photos s s 3"]
    styles: UInt8[np.ndarray, "paintings s s 3"]
    tasks: np.ndarray
    results: UInt8[np.ndarray, "tasks s s 3"]

    @classmethod
    def load(cls, folder: str | Path) -> Pictures:
        """Open a folder that `make` wrote, also while it is still writing.

        Raises:
            ConfigError: there are none in it yet.
        """
        folder = Path(folder)
        try:
            done = json.loads((folder / "done.json").read_text(encoding="utf-8"))["done"]
            arrays = [
                np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("contents", "styles", "tasks", "results")
            ]
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(f"{folder}: has no teacher's pictures ({error}); make them first") from error
        contents, styles, tasks, results = arrays
        return cls(contents, styles, tasks[:done], results[:done])


def load_painter(path: str | Path) -> dict[str, np.ndarray]:
    """Read a teacher with a painting decoder: .npz of `encoder/conv1_1/kernel` .. `decoder/conv1_1/bias`, HWIO.

    Its encoder takes BGR, 0..255 minus the mean; that is folded into conv1_1 here, so that it takes RGB in [0, 1].

    Raises:
        WeightsError: the file cannot be read or lacks tensors; all problems together.
    """
    try:
        with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            tensors = {name: file[name].astype(np.float32) for name in file.files}
        expected = teacher_shapes(widths(tensors))
    except (*DAMAGE, ValueError) as error:
        raise WeightsError([f"{path}: cannot be used as a painting teacher: {error}"]) from error
    if problems := shape_problems({name: tensors[name] for name in expected if name in tensors}, expected):
        raise WeightsError([f"{path}: cannot be used as a painting teacher: {problem}" for problem in problems])
    return folding.fold_preprocessing(tensors, "caffe")


def widths(tensors: Mapping[str, np.ndarray]) -> ModelConfig:
    """Read a teacher's row of the model table off its tensors; it has no relu5_1, and one channel stands for that."""
    first, second, third, code = (tensors[f"encoder/conv{stage}_1/kernel"].shape[3] for stage in range(1, 5))
    painting = tuple(tensors[f"decoder/{layer}/kernel"].shape[2] for layer in ("conv1_2", "conv2_2", "conv3_4"))
    return ModelConfig("painter", (first, second, third, code, 1), (painting[0], painting[1], painting[2]))


def teacher_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """List a teacher's tensors with their shapes: the encoder to relu4_1, and a decoder that reads no colours."""
    rows = [("encoder", *row) for row in config.convs() if row[0] <= f"conv{CODE_LEVEL}_1"]
    for name, c_in, c_out in config.convs("decoder"):
        rows.append(("decoder", name, c_in - 3 if name == f"conv{CODE_LEVEL}_1" else c_in, c_out))
    shapes: dict[str, tuple[int, ...]] = {}
    for part, name, c_in, c_out in rows:
        shapes |= {f"{part}/{name}/kernel": (3, 3, c_in, c_out), f"{part}/{name}/bias": (c_out,)}
    return shapes


def without_colors(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Give a decoder that reads relu4_1 alone three more inputs that it does not look at, for a code's colours."""
    kernel = tensors["decoder/conv4_1/kernel"]
    return {**tensors, "decoder/conv4_1/kernel": np.pad(kernel, ((0, 0), (0, 0), (0, 3), (0, 0)))}


class Painter:
    """A teacher: encode to relu4_1, map, decode; pictures are RGB in [0, 1]."""

    def __init__(self, tensors: Mapping[str, np.ndarray]) -> None:
        encoder, decoder = build(widths(tensors), without_colors(tensors))
        encoder_def, self._encoder = nnx.split(encoder)
        decoder_def, self._decoder = nnx.split(decoder)

        def encode(params: Any, image: Any) -> Any:
            code = nnx.merge(encoder_def, params)(image, levels=CODE_LEVEL)[-1]
            return code, measure(code)

        def decode(params: Any, code: Any, step: Affine) -> Any:
            colors = jnp.zeros((*code.shape[:3], 3), code.dtype)
            return jnp.clip(nnx.merge(decoder_def, params)(jnp.concatenate([step(code), colors], axis=-1)), 0, 1)

        self._encode, self._decode = jax.jit(encode), jax.jit(decode)
        self._map = jax.jit(lambda code, content, target: affine(content, target)(code))

    def encode(self, image: Float[np.ndarray, "1 h w 3"]) -> tuple[Any, Moments]:
        """Return relu4_1 of a picture and its moments."""
        return self._encode(self._encoder, image)

    def map(self, code: Any, content: Moments, target: Moments) -> Any:
        """Map features from the moments they have to others."""
        return self._map(code, content, target)

    def paint(self, code: Any, step: Affine) -> Float[np.ndarray, "1 h w 3"]:
        """Decode mapped features."""
        return np.asarray(self._decode(self._decoder, code, step))


def roots(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return S^1/2 and S^-1/2 in float64, eigenvalues floored as in `transforms`."""
    values, vectors = scipy.linalg.eigh(np.asarray(covariance, np.float64), driver="evd")
    floor = max(EIGENVALUE_FLOOR * np.trace(covariance) / len(covariance), ABSOLUTE_FLOOR)
    values = np.sqrt(np.maximum(values, floor))
    return (vectors * values) @ vectors.T, (vectors / values) @ vectors.T


def transport(source: tuple[np.ndarray, np.ndarray], target: np.ndarray) -> np.ndarray:
    """Monge-Kantorovich map from the roots of one covariance and the root of another (`transforms.transport`)."""
    root, inverse = source
    product = target @ root
    values, vectors = scipy.linalg.eigh(product.T @ product, driver="evd")
    return inverse @ ((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T) @ inverse


def floats(crops: np.ndarray) -> np.ndarray:
    """Bring 8-bit crops to [0, 1]."""
    return np.asarray(crops, np.float32) / 255


def draw_tasks(rng: np.random.Generator, count: int, contents: int, styles: int) -> np.ndarray:
    """Draw what is asked of the teacher; `content` = -1 - k stands for painting k as the photo of itself."""
    tasks = np.zeros(count, TASK)
    tasks["content"] = rng.integers(contents, size=count)
    tasks["styles"] = rng.integers(styles, size=(count, 2))
    tasks["share"] = np.where(rng.random(count) < BLENDS, rng.uniform(0.25, 0.75, count), 1)
    tasks["strength"] = np.where(rng.random(count) < PARTS, rng.uniform(0, 1, count), 1)
    same = rng.random(count) < SAME
    tasks["content"][same] = -1 - tasks["styles"][same, 0]
    tasks["share"][same] = 1
    return tasks


def plain(rng: np.random.Generator, size: int) -> Float[np.ndarray, "s s 3"]:
    """Draw a picture of one colour, or of a gradient between two along any direction."""
    first, second = rng.uniform(0, 1, (2, 3))
    if rng.random() < 0.5:
        second = first
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:size, :size] / (size - 1) - 0.5
    along = np.clip(0.5 + x * np.cos(angle) + y * np.sin(angle), 0, 1)[..., None]
    return (first + (second - first) * along).astype(np.float32)


class _PictureMaker:
    """Makes a teacher's pictures of photos and paintings, each measured once; what is kept of them is kept small."""

    def __init__(self, teacher: Painter, contents: np.ndarray, styles: np.ndarray) -> None:
        self._teacher, self._contents, self._styles = teacher, contents, styles
        self._photos: dict[int, Any] = {}
        self._paintings: dict[int, Any] = {}

    def _encoded(self, crop: np.ndarray) -> tuple[Any, Any, tuple[Any, Any]]:
        """Return a crop's code, its mean, and the roots of its covariance."""
        code, moments = self._teacher.encode(floats(crop)[None])
        root, inverse = roots(np.asarray(moments.covariance, np.float64))
        return code, moments.mean, (root.astype(np.float32), inverse.astype(np.float32))

    def _photo(self, index: int) -> Any:
        if index not in self._photos:
            code, mean, both = self._encoded(self._contents[index] if index >= 0 else self._styles[-1 - index])
            self._photos[index] = np.asarray(code, np.float16), np.asarray(mean, np.float64), both
        return self._photos[index]

    def _painting(self, index: int) -> Any:
        if index not in self._paintings:
            _, mean, both = self._encoded(self._styles[index])
            self._paintings[index] = np.asarray(mean, np.float32), both
        return self._paintings[index]

    def picture(self, task: np.void) -> UInt8[np.ndarray, "s s 3"]:
        """Paint what a task asks for."""
        code, mean, source = self._photo(int(task["content"]))
        target_mean, (root, inverse) = self._painting(int(task["styles"][0]))
        share = float(task["share"])
        if share < 1:  # McCann's interpolation between the two
            other_mean, (other_root, _) = self._painting(int(task["styles"][1]))
            step = share * np.eye(len(root)) + (1 - share) * transport((root, inverse), other_root)
            target_mean = share * target_mean + (1 - share) * other_mean
            root, _ = roots(step @ (root @ root) @ step)
        alpha = float(task["strength"])
        matrix = transport(source, root)
        bias = alpha * (target_mean - matrix @ mean)
        matrix = alpha * matrix + (1 - alpha) * np.eye(len(matrix))
        picture = self._teacher.paint(code.astype(np.float32), Affine(jnp.float32(matrix), jnp.float32(bias)))
        return (picture[0] * 255 + 0.5).astype(np.uint8)


def make(
    folder: str | Path,
    *,
    painter: dict[str, np.ndarray],
    content: Path,
    style: Path,
    count: int,
    photos: int,
    paintings: int,
    size: int,
    seed: int,
    report: Callable[[int, int], None] = lambda done, count: None,
) -> None:
    """Make `count` pictures of `size` pixels into `folder`; goes on where an earlier call was stopped.

    Raises:
        ConfigError: the folder holds pictures that were asked for otherwise.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    marker = folder / "done.json"
    rng = np.random.default_rng(seed)
    tasks = draw_tasks(rng, count, photos, paintings)
    if not marker.exists():
        for name, source, many in (("contents", content, photos), ("styles", style, paintings)):
            crops = Crops(source, size=size, seed=seed, limit=min(many, 100_000))
            picks = [crops.crop(k % len(crops.paths), rng) for k in range(many)]
            if name == "contents":
                picks = [plain(rng, size) if rng.random() < PLAIN else crop for crop in picks]
            np.save(folder / f"{name}.npy", np.stack([(crop * 255 + 0.5).astype(np.uint8) for crop in picks]))
        np.save(folder / "tasks.npy", tasks)
        np.lib.format.open_memmap(folder / "results.npy", "w+", np.uint8, (count, size, size, 3)).flush()
        replace_file(marker, json.dumps({"done": 0}).encode())
    start = json.loads(marker.read_text(encoding="utf-8"))["done"]
    contents, styles = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("contents", "styles"))
    results = np.load(folder / "results.npy", mmap_mode="r+")
    asked = (photos, paintings, (count, size, size, 3))
    if (len(contents), len(styles), results.shape) != asked or not np.array_equal(np.load(folder / "tasks.npy"), tasks):
        raise ConfigError(f"{folder}: holds pictures of another recipe; use another output folder or delete it")
    maker = _PictureMaker(Painter(painter), contents, styles)
    for k in range(start, count):
        results[k] = maker.picture(tasks[k])
        if (k + 1) % 20 == 0 or k + 1 == count:
            results.flush()
            replace_file(marker, json.dumps({"done": k + 1}).encode())
            report(k + 1, count)
