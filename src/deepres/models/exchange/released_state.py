"""The authors' networks as other programs keep them: their state dict under our names, made ours.

These programs took the input over from Caffe: BGR, pixels from 0 to 255 less a mean.
"""

from pathlib import Path

import torch
from torch import Tensor

from deepres.errors import UserError
from deepres.models.create import build_empty
from deepres.models.exchange.caffe_layers import DEPTHS, RELEASED, convolutions
from deepres.models.weight_checks import check_fit, with_counters

BN_EPSILON = 1e-5
MERGED = (
    "this file has BN's statistics merged into its scale and shift: the same outputs, but training "
    "with BN unfrozen would begin from other statistics than the network had"
)


def to_rgb_without_biases(state: dict[str, Tensor], name: str, file: Path) -> dict[str, Tensor]:
    """Return the state dict of the network that the authors released as ``name``.

    Args:
        state: tensors under our names, float32, conv1's input in the order BGR. A convolution may
            have a bias, and all BN may lack statistics: then these are merged.
        name: resnet50, resnet101 or resnet152.
        file: where the tensors are from, to name it.

    Raises:
        UserError: a tensor is missing, superfluous or of another shape; it is named.
    """
    state = dict(state)
    if "conv1.weight" in state and not state.keys() & {"fc.weight", "fc.bias"}:
        raise UserError(
            f"{file} has no classifier (fc), only the layers below it; give a file that classifies"
        )
    if not any(key.endswith("running_var") for key in state):
        for layer in convolutions(DEPTHS[name]):
            if (scale := state.get(f"{layer.bn}.weight")) is not None:
                state[f"{layer.bn}.running_mean"] = torch.zeros_like(scale)
                state[f"{layer.bn}.running_var"] = torch.full_like(scale, 1 - BN_EPSILON)
    biases = {
        layer.bn: state.pop(f"{layer.conv}.bias")
        for layer in convolutions(DEPTHS[name])
        if f"{layer.conv}.bias" in state
    }
    head = state.get("fc.weight")
    num_classes = head.shape[0] if head is not None and head.ndim == 2 else 1000
    expected = build_empty(name, num_classes=num_classes, **RELEASED).state_dict()
    state = with_counters(state, expected)
    check_fit(expected, state, file)
    for bn, bias in biases.items():
        if bias.shape != state[f"{bn}.running_mean"].shape:
            raise UserError(f"{file} does not fit {name}: a bias has shape {tuple(bias.shape)}")
        # BN(Wx + b) with mean m is BN(Wx) with mean m − b.
        state[f"{bn}.running_mean"] = state[f"{bn}.running_mean"] - bias
    state["conv1.weight"] = state["conv1.weight"].flip(1)
    return {key: state[key].to(tensor.dtype) for key, tensor in expected.items()}


def has_merged_statistics(state: dict[str, Tensor]) -> bool:
    """Tell whether every variance is 1, which no trained network's are."""
    variances = [tensor for key, tensor in state.items() if key.endswith("running_var")]
    return bool(variances) and all(((v - 1).abs() < 1e-4).all() for v in variances)
