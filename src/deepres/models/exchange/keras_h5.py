"""Keras applications' conversions of the authors' models: HDF5, a group a layer. Needs h5py."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepres.errors import UserError, no_such
from deepres.extras import optional_package
from deepres.models.exchange.caffe_layers import DEPTHS, Convolution, convolutions
from deepres.models.exchange.released_state import to_rgb_without_biases

WHOLE_MODEL = "model_weights"  # the group of the weights, where a model was saved whole
HEADS = ("predictions", "probs", "fc1000")
KINDS = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def read_keras(file: Path, name: str) -> dict[str, Tensor]:
    """Read an .h5 as the state dict of the released network ``name``.

    Raises:
        UserError: the file cannot be read or does not fit; what is wrong is named.
    """
    layers = our_layers(name)
    state = {}
    for path, array in _read(file).items():
        layer, kind = path.split("/")[0], path.rpartition("/")[2].partition(":")[0]
        known = layer in layers and kind in KINDS
        key = f"{layers[layer]}.{KINDS[kind]}" if known else path
        if kind == "kernel":  # height, width, from, to; of a linear layer: from, to
            array = array.transpose((3, 2, 0, 1) if array.ndim == 4 else None)
        state[key] = torch.from_numpy(array.astype(np.float32, order="C"))
    return to_rgb_without_biases(state, name, file)


def our_layers(name: str) -> dict[str, str]:
    """Return the module here of every layer that Keras has of the released ``name``."""
    layers = dict.fromkeys(HEADS, "fc")
    for layer in convolutions(DEPTHS[name]):
        prefix = _prefix(layer)
        layers |= {f"{prefix}_conv": layer.conv, f"{prefix}_bn": layer.bn}
    return layers


def _prefix(layer: Convolution) -> str:
    """layer2.0.conv1 → conv3_block1_1; the projection has the number 0."""
    if layer.conv == "conv1":
        return "conv1"
    stage, block, conv, *_ = layer.conv.removeprefix("layer").split(".")
    number = 0 if conv == "downsample" else int(conv.removeprefix("conv"))
    return f"conv{int(stage) + 1}_block{int(block) + 1}_{number}"


def h5py_package() -> ModuleType:
    """Return what reads such files.

    Raises:
        UserError: it is not installed.
    """
    return optional_package("h5py", "keras", "Keras's .h5 files need")


def _read(file: Path) -> dict[str, Any]:
    """Return every array of the file by its path."""
    h5py = h5py_package()
    if not file.is_file():
        raise UserError(no_such("file", file))
    arrays: dict[str, Any] = {}

    def keep(path: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            arrays[path] = item[()]

    try:
        with h5py.File(file, "r") as content:
            content.get(WHOLE_MODEL, content).visititems(keep)
    except Exception as error:  # a damaged file can fail anywhere in a decoder
        raise UserError(f"{file} is damaged or no HDF5 file") from error
    return arrays
