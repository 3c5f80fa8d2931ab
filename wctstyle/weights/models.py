"""The models by name: which files hold them, where these lie, and whether they fit together."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wctstyle.encoder import MODELS, ModelConfig
from wctstyle.errors import ConfigError, WeightsError
from wctstyle.files import user_folder
from wctstyle.weights import folding
from wctstyle.weights.files import PARTS, Tensors, expected_shapes, read, shape_problems

MANIFEST = "manifest.json"
VGG19_ENCODER = "vgg19_encoder.safetensors"

FILES: dict[str, dict[str, tuple[str, ...]]] = {
    "slim": {"slim.safetensors": PARTS},
    "medium": {"medium.safetensors": PARTS},
    "vgg19": {VGG19_ENCODER: ("encoder",), "vgg19_decoder.safetensors": ("decoder",)},
}
"""The files of each model and the parts they hold. All but `VGG19_ENCODER` come with the package."""

_GET_VGG19 = (
    "Run `wctstyle weights get vgg19` to download it (80 MB, once), or `wctstyle weights import FILE` to take it from "
    "a file you have"
)
_AGAIN = "It comes with the package: install wctstyle again, or correct WCTSTYLE_WEIGHTS if you set it"
_REMEDIES = {
    "slim.safetensors": _AGAIN,
    "medium.safetensors": _AGAIN,
    VGG19_ENCODER: _GET_VGG19,
    "vgg19_decoder.safetensors": "Use the model slim, or a version of wctstyle that ships this decoder",
}

_PACKAGE = Path(__file__).parent


@dataclass(frozen=True)
class ModelStatus:
    """What of a model is on this machine.

    Example:
        >>> slim = list_models()[0]
        >>> slim.name, slim.available, [path.name for path in slim.where], slim.why_not
        ('slim', True, ['slim.safetensors'], None)
    """

    name: str
    available: bool
    where: tuple[Path, ...]
    """The files that are here."""
    size: int
    """Their bytes together."""
    licence: str
    """What its files state; empty where the model cannot be used."""
    why_not: str | None
    """Why the model cannot be used, and what to do; None when it can."""


def shipped_dir() -> Path:
    """Find the folder of the weights that come with the package.

    It is `WCTSTYLE_WEIGHTS` where that is set, else `wctstyle/weights` in an installed package, else `weights` at the
    top of the source checkout.

    Raises:
        WeightsError: there is none.

    Example:
        >>> (shipped_dir() / "slim.safetensors").is_file()
        True
    """
    if override := os.environ.get("WCTSTYLE_WEIGHTS"):
        folder = Path(override).expanduser()
        if not folder.is_dir():
            raise WeightsError(f"WCTSTYLE_WEIGHTS is {override}, which is no folder; correct it or unset it")
        return folder
    checkout = _PACKAGE.parent.parent
    if (_PACKAGE / MANIFEST).is_file():
        return _PACKAGE
    if (checkout / "weights").is_dir() and (checkout / "pyproject.toml").is_file():
        return checkout / "weights"
    raise WeightsError(f"{_PACKAGE}: the package came without weights (no {MANIFEST}); install it again")


def user_dir() -> Path:
    """Name the folder of imported and downloaded weights (`files.user_folder`).

    Example:
        >>> user_dir().name
        'weights'
    """
    return user_folder("weights")


def _path(file: str) -> Path:
    return (user_dir() if file == VGG19_ENCODER else shipped_dir()) / file


def load(name: str, *, parts: Sequence[str] = PARTS) -> tuple[Tensors, dict[str, Any]]:
    """Load a model by name: its tensors as float32, and where they come from.

    `slim` and `medium` come with the package. The encoder of `vgg19` has to be downloaded or imported once; its
    decoder comes with the package.

    Args:
        name: `slim`, `medium` or `vgg19`.
        parts: Which parts to load; the rest of the model need not be on this machine.

    Returns:
        The tensors, and a dict with `model`, `config` (name and channels) and `parts`: for each part the metadata of
        the file it is from.

    Raises:
        ConfigError: there is no such model or part.
        WeightsError: files are missing, damaged or of another model; all problems together.

    Example:
        >>> tensors, about = load("slim", parts=("encoder",))
        >>> tensors["encoder/conv1_1/kernel"].shape, about["config"]["name"], list(about["parts"])
        ((3, 3, 3, 16), 'slim', ['encoder'])
    """
    if name not in FILES:
        raise ConfigError(f"weights: there is no model {name!r}; the models are {', '.join(FILES)}")
    config = MODELS[name]
    wanted = {key for part in parts for key in expected_shapes(config, part)}
    tensors: Tensors = {}
    metadata: dict[str, dict[str, Any]] = {}
    problems: list[str] = []
    for file, held in FILES[name].items():
        if set(held).isdisjoint(parts):
            continue
        try:
            found, own = _load_one(file, config, held)
        except WeightsError as error:
            problems += error.problems
            continue
        tensors |= {key: value for key, value in found.items() if key in wanted}
        metadata |= {part: own for part in held if part in parts}
    problems += _pairing_problems(name, metadata)
    if problems:
        raise WeightsError(problems)
    return tensors, {"model": name, "config": config_metadata(config), "parts": metadata}


def _load_one(file: str, config: ModelConfig, parts: Sequence[str]) -> tuple[Tensors, dict[str, Any]]:
    """Read one file of a model, hold it against the model table, and bring an import to the present scales."""
    path = _path(file)
    tensors, metadata, problems = read(path)
    if tensors or not problems:
        problems += model_problems(tensors, metadata, config, parts)
    if file == VGG19_ENCODER and not problems:
        then, now = metadata.get("level_rms"), folding.VGG19_LEVEL_RMS
        try:
            ratios = [new / old for new, old in zip(now, then or (), strict=True)]
            tensors = folding.normalise_levels(tensors, config, ratios)
        except (ConfigError, TypeError, ValueError, ZeroDivisionError):
            problems.append(f"level_rms in its metadata is {then!r}, wanted five numbers above 0")
        metadata["level_rms"] = list(now)
    if problems:
        lead = "VGG-19 is not installed: " if file == VGG19_ENCODER and not path.exists() else ""
        raise WeightsError([*(f"{lead}{path}: {problem}" for problem in problems), _REMEDIES[file]])
    return tensors, metadata


def config_metadata(config: ModelConfig) -> dict[str, Any]:
    """Write a row of the model table as a file's metadata has it."""
    return {"name": config.name, "channels": list(config.channels)}


def model_problems(
    tensors: Tensors, metadata: Mapping[str, Any], config: ModelConfig, parts: Sequence[str]
) -> list[str]:
    """Describe what keeps a file from being these parts of this model."""
    problems = []
    if metadata.get("config") != config_metadata(config):
        problems.append(
            f"config in its metadata is {metadata.get('config')}, wanted {config_metadata(config)}; "
            "the file is of another model or version"
        )
    expected = {name: shape for part in parts for name, shape in expected_shapes(config, part).items()}
    return problems + shape_problems(tensors, expected)


def _pairing_problems(name: str, metadata: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Refuse an encoder that the decoder was not trained on: the pictures would be noise."""
    trainings = [metadata[part].get("preprocessing", "caffe") for part in PARTS if part in metadata]
    if len(set(trainings)) < 2:
        return []
    return [
        f"{name}: the imported encoder is of the {trainings[0]!r} training, but the decoder reads features of the "
        f"{trainings[1]!r} training. {_GET_VGG19}"
    ]


def list_models() -> list[ModelStatus]:
    """Tell for every model whether it can be used on this machine; reports damaged files instead of raising.

    Example:
        >>> [status.name for status in list_models()]
        ['slim', 'medium', 'vgg19']
    """
    return [_status(name) for name in FILES]


def _status(name: str) -> ModelStatus:
    where: list[Path] = []
    for file in FILES[name]:
        with contextlib.suppress(WeightsError):  # no folder of shipped weights, which loading reports
            where += [path for path in [_path(file)] if path.is_file()]
    licences: list[str] = []
    why_not = None
    try:
        metadata = load(name)[1]["parts"]
        licences = [str(metadata[part].get("licence", "not stated")) for part in PARTS]
    except WeightsError as error:
        why_not = str(error)
    size = sum(path.stat().st_size for path in where)
    return ModelStatus(name, why_not is None, tuple(where), size, "; ".join(dict.fromkeys(licences)), why_not)
