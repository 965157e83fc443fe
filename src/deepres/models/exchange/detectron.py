"""Detectron's and detectron2's conversions of the authors' models: a pickle of arrays by name.

detectron2's R-50.pkl and R-101.pkl have all four vectors of a BN (gamma, beta, running_mean,
running_var); Detectron's have two (s, b), into which the statistics are merged.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deepres.errors import UserError
from deepres.models.exchange.array_pickle import read_arrays
from deepres.models.exchange.caffe_layers import DEPTHS, Convolution, convolutions
from deepres.models.exchange.released_state import to_rgb_without_biases

WRAPPERS = ("blobs", "model")
MOMENTUM = "_momentum"
BATCH_NORM = {
    "weight": ("gamma", "s"),
    "bias": ("beta", "b"),
    "running_mean": ("running_mean",),
    "running_var": ("running_var",),
}


def read_detectron(file: Path, name: str) -> dict[str, Tensor]:
    """Read a .pkl as the state dict of the released network ``name``; no code in it is run.

    Raises:
        UserError: the file cannot be read or does not fit; what is wrong is named.
    """
    content = read_arrays(file)
    for wrapper in WRAPPERS:
        if isinstance(inner := content.get(wrapper), dict):
            content = inner
    ours = our_names(name)
    state = {}
    for blob, array in content.items():
        if blob.endswith(MOMENTUM):
            continue
        if not isinstance(array, np.ndarray):
            raise UserError(f"{file} holds no plain dict of arrays: {blob!r} is no array")
        state[ours.get(blob, blob)] = torch.from_numpy(array.astype(np.float32))
    return to_rgb_without_biases(state, name, file)


def our_names(name: str) -> dict[str, str]:
    """Return the name here of every array that Detectron may have of the released ``name``."""
    names = {"fc1000_w": "fc.weight", "fc1000_b": "fc.bias"}
    for layer in convolutions(DEPTHS[name]):
        conv = _blob(layer)
        bn = "res_conv1_bn" if layer.conv == "conv1" else f"{conv}_bn"
        names |= {f"{conv}_w": f"{layer.conv}.weight", f"{conv}_b": f"{layer.conv}.bias"}
        for ours, theirs in BATCH_NORM.items():
            names |= {f"{bn}_{suffix}": f"{layer.bn}.{ours}" for suffix in theirs}
    return names


def _blob(layer: Convolution) -> str:
    """layer2.0.conv1 → res3_0_branch2a."""
    if layer.conv == "conv1":
        return "conv1"
    stage, block, *_ = layer.conv.removeprefix("layer").split(".")
    return f"res{int(stage) + 1}_{block}_{layer.caffe.rpartition('_')[2]}"
