"""Weights: the only place that reads, writes, imports, downloads or checks them.

Tensors are flat dicts of NumPy arrays: `encoder/conv1_1/kernel` (HWIO), `encoder/conv1_1/bias`,
`decoder/conv4_2/kernel` and so on. Files are safetensors; a file's metadata is a dict, kept as JSON under the one key
`wctstyle` of its header. In an installed package the files that come with it lie in this folder, in a source checkout
in `weights` at its top. The encoder of `vgg19`, which is not ours to train, is downloaded or imported into the user's
data folder on request. Nothing here is pickled, and nothing but `download_vgg19` touches the network.

The modules import only downwards: download, convert, manifest, models, folding, files.
"""

from wctstyle.weights.convert import import_vgg19
from wctstyle.weights.download import OFFICIAL_URL, download_vgg19
from wctstyle.weights.files import PARTS, Tensors, expected_shapes, load_file, save
from wctstyle.weights.folding import VGG19_LEVEL_RMS, Preprocessing, fold_preprocessing, normalise_levels
from wctstyle.weights.manifest import Report, verify, write_manifest
from wctstyle.weights.models import ModelStatus, list_models, load, shipped_dir, user_dir

__all__ = [
    "OFFICIAL_URL",
    "PARTS",
    "VGG19_LEVEL_RMS",
    "ModelStatus",
    "Preprocessing",
    "Report",
    "Tensors",
    "download_vgg19",
    "expected_shapes",
    "fold_preprocessing",
    "import_vgg19",
    "list_models",
    "load",
    "load_file",
    "normalise_levels",
    "save",
    "shipped_dir",
    "user_dir",
    "verify",
    "write_manifest",
]
