"""The shapes of what a network computes, without computing it."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


class ShapesAlone(TorchFunctionMode):
    """Leaves out what keeps a shape as it is, and works out those of layers and means.

    The meta device would do it, but imports PyTorch's compiler, which takes seconds.
    """

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function in (F.batch_norm, F.relu, Tensor.add, torch.sigmoid, torch.lerp):
            return args[0]
        if function is F.conv2d:
            return _convolved(*args, **(kwargs or {}))
        if function is F.adaptive_avg_pool2d:
            sides = (args[1], args[1]) if isinstance(args[1], int) else args[1]
            return args[0].new_empty(*args[0].shape[:2], *sides)
        if function in (F.max_pool2d, F.avg_pool2d):  # in truth, on one channel
            x = args[0]
            pooled = function(torch.zeros(1, 1, *x.shape[2:]), *args[1:], **(kwargs or {}))
            return x.new_empty(*x.shape[:2], *pooled.shape[2:])
        if function is F.linear:
            return args[0].new_empty(*args[0].shape[:-1], args[1].shape[0])
        return function(*args, **(kwargs or {}))


def _convolved(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
    *_: object,
) -> Tensor:
    """Return a tensor of the shape that the convolution puts out."""
    whole = zip(x.shape[2:], weight.shape[2:], stride, padding, strict=True)
    sides = [(side + 2 * pad - kernel) // step + 1 for side, kernel, step, pad in whole]
    return x.new_empty(x.shape[0], weight.shape[0], *sides)
