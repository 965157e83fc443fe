"""What fused kernels for relu(BN(x) + shortcut) are compared by, and with."""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def plain(batch_norm: nn.BatchNorm2d, x: Tensor, shortcut: Tensor | None) -> Tensor:
    return F.relu(batch_norm(x) + (0 if shortcut is None else shortcut))


def outcome(
    function: Any, batch_norm: nn.BatchNorm2d, x: Tensor, shortcut: Tensor | None, dy: Tensor
) -> dict[str, Tensor]:
    """What a function computes, its gradients, and where BN's averages go."""
    layer, dtype = copy.deepcopy(batch_norm), x.dtype
    x = x.clone().requires_grad_()
    shortcut = None if shortcut is None else shortcut.clone().requires_grad_()
    y = function(layer, x, shortcut)
    y.backward(dy.to(dtype))
    found = {"y": y.detach(), "x": x.grad, "weight": layer.weight.grad, "bias": layer.bias.grad}
    if shortcut is not None:
        found["shortcut"] = shortcut.grad
    return found | dict(layer.named_buffers())


def gradient(batch_norm: nn.BatchNorm2d, x: Tensor, shortcut: Tensor | None) -> Tensor:
    """A random gradient that is 0 where rounding could decide on which side of 0 ReLU is."""
    sums = copy.deepcopy(batch_norm)(x) + (0 if shortcut is None else shortcut)
    return torch.randn(x.shape, dtype=x.dtype) * (sums.abs() > 1e-3)


def keeps_its_output(function: Any, with_shortcut: bool) -> bool:
    """Whether the backward pass holds on to what a function returned."""
    x, shortcut = torch.randn(2, 2, 16, 4, 4).unbind()
    kept: list[int] = []

    def note(tensor: Tensor) -> Tensor:
        kept.append(tensor.data_ptr())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        y = function(nn.BatchNorm2d(16), x.requires_grad_(), shortcut if with_shortcut else None)
    return y.data_ptr() in kept
