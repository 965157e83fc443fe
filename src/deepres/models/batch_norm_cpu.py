"""relu(BN(x) + shortcut) in training on a CPU, forward and backward, by batch_norm_cpu.c."""

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepres.compiled import compiled

SOURCE = Path(__file__).with_suffix(".c")
IS_BF16 = {torch.float32: 0, torch.bfloat16: 1}

POINTER, LONG, INT, DOUBLE = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int, ctypes.c_double


@cache
def library() -> ctypes.CDLL | str:
    """Return the compiled kernels, or why there are none."""
    found = compiled(SOURCE)
    if not isinstance(found, str):
        found.forward.argtypes = [*[POINTER] * 10, LONG, LONG, DOUBLE, DOUBLE, INT, INT]
        found.backward.argtypes = [*[POINTER] * 11, LONG, LONG, INT, INT]
    return found


class BatchNormRelu(torch.autograd.Function):
    """relu(BN(x) + shortcut) of activations that lie channels last."""

    @staticmethod
    def forward(  # noqa: D102
        ctx: Any,
        x: Tensor,
        shortcut: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        batch_norm: nn.BatchNorm2d,
    ) -> Tensor:
        y = torch.empty_like(x)
        mean, rstd = x.new_empty(2, x.shape[1], dtype=torch.float32)
        averages = batch_norm.running_mean, batch_norm.running_var, batch_norm.num_batches_tracked
        _call(
            "forward",
            (x, shortcut, weight, bias, y, mean, rstd, *averages),
            (x.numel() // x.shape[1], x.shape[1], batch_norm.momentum, batch_norm.eps),
        )
        ctx.shortcut = shortcut is not None
        ctx.save_for_backward(x, y if ctx.shortcut else x, weight, bias, mean, rstd)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102
        x, y, weight, bias, mean, rstd = ctx.saved_tensors
        dy = gradients[0].contiguous(memory_format=torch.channels_last)
        dx = torch.empty_like(x)
        dshortcut = torch.empty_like(x) if ctx.shortcut else None
        dweight, dbias = torch.empty_like(weight), torch.empty_like(bias)
        inputs = (x, y if ctx.shortcut else None, dy, weight, bias, mean, rstd)
        sizes = (x.numel() // x.shape[1], x.shape[1])
        _call("backward", (*inputs, dx, dshortcut, dweight, dbias), sizes)
        return dx, dshortcut, dweight, dbias, None


def _call(name: str, tensors: tuple[Tensor | None, ...], numbers: tuple[Any, ...]) -> None:
    """Call a kernel; the first tensor's type is that of all activations."""
    assert tensors[0] is not None
    pointers = [None if tensor is None else tensor.data_ptr() for tensor in tensors]
    how = IS_BF16[tensors[0].dtype], torch.get_num_threads()
    if getattr(library(), name)(*pointers, *numbers, *how):
        raise MemoryError("no memory for the sums of batch normalisation")


def batch_norm_relu(batch_norm: nn.BatchNorm2d, x: Tensor, shortcut: Tensor | None) -> Tensor:
    """Return relu(batch_norm(x) + shortcut) and move BN's averages, as in training.

    ``x`` and ``shortcut`` are (N, C, H, W), float32 or bfloat16, with more than one pixel in all;
    BN's own tensors are float32.
    """
    x = x.contiguous(memory_format=torch.channels_last)
    if shortcut is not None:
        shortcut = shortcut.contiguous(memory_format=torch.channels_last)
    out: Tensor = BatchNormRelu.apply(x, shortcut, batch_norm.weight, batch_norm.bias, batch_norm)
    return out
