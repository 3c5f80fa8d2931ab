"""Import: VGG-19's encoder out of files of other programs, in three layouts. Pickles are never opened."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from wctstyle import __version__
from wctstyle.encoder import MODELS
from wctstyle.errors import ConfigError, WeightsError
from wctstyle.weights import folding
from wctstyle.weights.files import Tensors, absence, digest, expected_shapes, save, shape_problems, value_problems
from wctstyle.weights.models import VGG19_ENCODER, config_metadata, user_dir

_PROVENANCE = {
    "caffe": ("VGG-19, K. Simonyan and A. Zisserman, Visual Geometry Group, Oxford (arXiv:1409.1556)", "CC BY 4.0"),
    "torchvision": ("VGG-19 as trained for torchvision", "BSD-3-Clause"),
}
"""Source and licence of either training."""

_ABOVE = re.compile(r"(.*/)?((block5_conv|conv5_)[234]|fc[1-8]|predictions)/.*|(features\.3[024]|classifier\.\d)\..*")
"""Keys of the layers above conv5_1, which are not ours to read."""

DAMAGE = (
    SafetensorError,
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    MemoryError,
    RuntimeError,
    LookupError,
    TypeError,
)
"""What h5py, safetensors and NumPy raise on damaged files, beside ValueError."""


def import_vgg19(
    path: str | Path, dest: str | Path | None = None, *, preprocessing: folding.Preprocessing | None = None
) -> Path:
    """Take VGG-19's encoder from a file and keep it, folded to RGB in [0, 1], where `load` finds it.

    Each of relu1_1..relu5_1 is divided by its `VGG19_LEVEL_RMS`. The file's content, not its suffix, tells the layout;
    layers above conv5_1 are ignored:

    - Keras HDF5 (`block1_conv1`.. with a 4-D kernel, HWIO, and a 1-D bias): the original weights.
    - .npz (`conv1_1/kernel`, HWIO, and `conv1_1/bias`): the original weights.
    - safetensors (`features.0.weight`, OIHW, and `features.0.bias`): taken for torchvision's own VGG-19, another
      training on RGB in [0, 1] normalised by mean and standard deviation, whose features the shipped decoder cannot
      read. For the original weights in this layout (BGR, 0..255 minus the mean) say `preprocessing="caffe"`.

    Args:
        path: The file to read.
        dest: The file to write; by default `vgg19_encoder.safetensors` in `user_dir()`.
        preprocessing: What the weights expect; None goes by the layout.

    Returns:
        The file written: float32, with source, licence and the original's SHA-256 in its metadata.

    Raises:
        ConfigError: `preprocessing` makes no sense, or contradicts the layout.
        WeightsError: the file cannot be read, is a pickle, or lacks layers, has unknown, misshapen or non-finite ones
            (all problems together); or the result cannot be written.

    Example:
        >>> import tempfile
        >>> shapes = expected_shapes(MODELS["vgg19"], "encoder")
        >>> arrays = {name.removeprefix("encoder/"): np.zeros(shape, np.float32) for name, shape in shapes.items()}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.savez(f"{folder}/vgg19.npz", **arrays)
        ...     import_vgg19(f"{folder}/vgg19.npz", f"{folder}/own.safetensors").name
        'own.safetensors'
        >>> import_vgg19("vgg19.pth")
        Traceback (most recent call last):
        wctstyle.errors.WeightsError: vgg19.pth: there is no such file
    """
    path = Path(path)
    config = MODELS["vgg19"]
    layout, entries = _layout_of(path)
    tensors = _read(path, layout, entries, expected_shapes(config, "encoder"))
    preprocessing = preprocessing or ("torchvision" if layout == "torchvision" else "caffe")
    if layout != "torchvision" and preprocessing != "caffe":
        raise ConfigError(
            f"{path}: preprocessing is {preprocessing!r}, but weights in the {layout} layout are always 'caffe'; "
            "leave it out"
        )
    tensors = folding.fold_preprocessing(tensors, preprocessing)
    origin, licence = _PROVENANCE[preprocessing]
    metadata = {
        "config": config_metadata(config),
        "source": origin,
        "licence": licence,
        "version": __version__,
        "recipe": f"imported from the {layout} layout; input folded to RGB in [0, 1], levels divided by level_rms",
        "preprocessing": preprocessing,
        "level_rms": list(folding.VGG19_LEVEL_RMS),
        "original_sha256": digest(path, "sha256"),
    }
    tensors = folding.normalise_levels(tensors, config, folding.VGG19_LEVEL_RMS)
    return save(user_dir() / VGG19_ENCODER if dest is None else dest, tensors, metadata)


_Entries = Iterator[tuple[str, str, Callable[[], np.ndarray]]]
"""For each array of a file: its key there, our name of it (if it has one), and what reads it as HWIO."""


def _layout_of(path: Path) -> tuple[str, Callable[[Path], _Entries]]:
    """Tell a file's layout by its first bytes, and what reads it."""
    if problem := absence(path):
        raise WeightsError(f"{path}: {problem}")
    members: list[str] = []
    try:
        with open(path, "rb") as file:
            head = file.read(16)
        if head.startswith(b"PK"):
            with zipfile.ZipFile(path) as archive:
                members = archive.namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path}: damaged, or not readable: {error}") from error
    pickled = any(member.endswith(".pkl") for member in members)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "keras", _keras_entries
    if head[8:9] == b"{":
        return "torchvision", _torchvision_entries
    if members and not pickled:
        return "npz", _npz_entries
    if pickled or head[:1] == b"\x80" or path.suffix.lower() in (".pth", ".pt", ".pkl", ".ckpt"):
        raise WeightsError(
            f"{path}: is a pickle (PyTorch's .pth or .pt), which is refused because opening one can run code. "
            'Where you trust it and have PyTorch, convert it: python -c "import torch, safetensors.torch as s; '
            f"s.save_file({{k: v.contiguous() for k, v in torch.load('{path.name}', map_location='cpu', "
            "weights_only=True).items()}, 'vgg19.safetensors')\" and import vgg19.safetensors"
        )
    raise WeightsError(
        f"{path}: no weights file that can be imported. Wanted Keras' HDF5 (block1_conv1..), safetensors in "
        "torchvision's layout (features.0.weight..) or .npz (conv1_1/kernel..)"
    )


def _read(
    path: Path, layout: str, entries: Callable[[Path], _Entries], expected: dict[str, tuple[int, ...]]
) -> Tensors:
    """Read the convolutions of a foreign file as float32, and hold them against the model table."""
    tensors: Tensors = {}
    problems: list[str] = []
    try:
        for key, name, read in entries(path):
            if name in tensors:
                problems.append(f"{key} is surplus: a second {name}")
            elif name in expected:
                tensors[name] = read()
            elif not _ABOVE.fullmatch(key):
                problems.append(f"{key} is surplus; VGG-19 in the {layout} layout has no such tensor")
    except (*DAMAGE, ValueError) as error:
        raise WeightsError(f"{path}: damaged, or not readable in the {layout} layout: {error}") from error
    problems += shape_problems(tensors, expected) + value_problems(tensors)
    if problems:
        raise WeightsError([f"{path}: {problem}" for problem in problems])
    return {name: tensors[name].astype(np.float32) for name in expected}


def _keras_entries(path: Path) -> _Entries:
    """Read Keras' HDF5, however its groups are nested: `block1_conv1` is part of each path, 4-D is the kernel."""
    import h5py  # here, since it is slow to import and only needed once

    items: list[tuple[str, object]] = []
    with h5py.File(path, "r") as file:
        file.visititems(lambda key, item: items.append((key, item)))
        for key, item in items:
            if isinstance(item, h5py.Dataset):
                block = re.search(r"(?:^|/)block(\d)_conv(\d)/", key)
                kind = {4: "kernel", 1: "bias"}.get(len(item.shape or ()))
                name = f"encoder/conv{block[1]}_{block[2]}/{kind}" if block else ""
                yield key, name, lambda item=item: np.asarray(item[()])


def _torchvision_entries(path: Path) -> _Entries:
    """Read a state dict: `features` counts two for a conv with its ReLU and one for the pooling before a stage."""
    layers = [layer for layer, _, _ in MODELS["vgg19"].convs()]
    names = {f"features.{2 * i + int(layer[4]) - 1}": f"encoder/{layer}" for i, layer in enumerate(layers)}
    kinds = {"weight": "kernel", "bias": "bias"}
    with safe_open(path, framework="np") as file:
        keys = list(file.keys())
        if "encoder/conv1_1/kernel" in keys:
            raise WeightsError(f"{path}: is already imported; copy it to {user_dir() / VGG19_ENCODER} instead")
        for key in keys:
            module, _, kind = key.rpartition(".")
            name = f"{names.get(module)}/{kinds.get(kind)}"
            yield key, name, lambda key=key: _to_hwio(file.get_tensor(key))


def _to_hwio(array: np.ndarray) -> np.ndarray:
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array


def _npz_entries(path: Path) -> _Entries:
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        for key in file.files:
            yield key, f"encoder/{key}", lambda key=key: np.asarray(file[key])
