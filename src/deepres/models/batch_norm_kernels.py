# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator"
"""Triton kernels for relu(BN(x) + shortcut) in training, forward and backward.

PyTorch passes over memory for BN's statistics, for BN, for the addition and for ReLU, each in
kernels of its own. Here it is one pass for the statistics and one for all the rest, both ways.
Sums are taken in parts whose number depends on the shape alone and added up in one order, so that
the bits are the same each time. Activations are matrices here: rows are pixels, columns channels.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

TILE = 4096
"""Elements that a program has at hand at a time."""
CHANNELS = 64
"""The most channels that a program takes."""
PARTS = 128
"""The most parts that the rows are summed in."""
PROGRAMS = 264
"""About how many programs write: two for each multiprocessor of an H100."""

OPTIONS = {"num_warps": 8, "enable_fp_fusion": True}


@triton.jit
def moments_kernel(
    x, part_mean, part_m2, rows, channels, rows_a_part, m: tl.constexpr, c: tl.constexpr
):
    """Mean, and sum of squared differences from it, of each channel over a part of the rows."""
    column = tl.program_id(1) * c + tl.arange(0, c)
    first = tl.program_id(0) * rows_a_part
    end = tl.minimum(first + rows_a_part, rows)
    mean = tl.zeros([c], tl.float32)
    m2 = tl.zeros([c], tl.float32)
    for start in range(first, end, m):
        row = start + tl.arange(0, m)
        inside = (row < end)[:, None] & (column < channels)[None, :]
        at = row[:, None].to(tl.int64) * channels + column[None, :]
        tile = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
        before = (start - first).to(tl.float32)
        count = tl.minimum(end - start, m).to(tl.float32)
        tile_mean = tl.sum(tile, 0) / count
        deviation = tl.where(inside, tile - tile_mean[None, :], 0.0)
        # Chan's rule for joining the moments of two samples
        delta = tile_mean - mean
        mean += delta * (count / (before + count))
        m2 += tl.sum(deviation * deviation, 0) + delta * delta * (before * count / (before + count))
    part_at = tl.program_id(0) * channels + column
    tl.store(part_mean + part_at, mean, mask=column < channels)
    tl.store(part_m2 + part_at, m2, mask=column < channels)


@triton.jit
def forward_kernel(
    x,
    shortcut,
    weight,
    bias,
    part_mean,
    part_m2,
    y,
    mean_out,
    rstd_out,
    running_mean,
    running_var,
    batches_tracked,
    rows,
    channels,
    rows_a_part,
    momentum,
    eps,
    has_shortcut: tl.constexpr,
    padded_parts: tl.constexpr,
    m: tl.constexpr,
    c: tl.constexpr,
):
    """Join the parts' moments, then write relu(BN(x) + shortcut) and BN's statistics."""
    column = tl.program_id(1) * c + tl.arange(0, c)
    known = column < channels
    part = tl.arange(0, padded_parts)
    count = tl.minimum(tl.maximum(rows - part * rows_a_part, 0), rows_a_part).to(tl.float32)
    summed = (count > 0)[:, None] & known[None, :]
    part_at = part[:, None] * channels + column[None, :]
    means = tl.load(part_mean + part_at, mask=summed, other=0.0)
    mean = tl.sum(means * count[:, None], 0) / rows
    deviation = means - mean[None, :]
    m2 = tl.sum(tl.load(part_m2 + part_at, mask=summed, other=0.0), 0)
    m2 += tl.sum(deviation * deviation * count[:, None], 0)
    rstd = 1.0 / tl.sqrt(m2 / rows + eps)
    scale = tl.load(weight + column, mask=known, other=0.0) * rstd
    shift = tl.load(bias + column, mask=known, other=0.0)

    if tl.program_id(0) == 0:
        tl.store(mean_out + column, mean, mask=known)
        tl.store(rstd_out + column, rstd, mask=known)
        old = tl.load(running_mean + column, mask=known, other=0.0)
        tl.store(running_mean + column, old + momentum * (mean - old), mask=known)
        old = tl.load(running_var + column, mask=known, other=0.0)
        unbiased = m2 / (rows - 1)
        tl.store(running_var + column, old + momentum * (unbiased - old), mask=known)
        if tl.program_id(1) == 0:
            tl.store(batches_tracked, tl.load(batches_tracked) + 1)

    for start in range(tl.program_id(0) * m, rows, tl.num_programs(0) * m):
        row = start + tl.arange(0, m)
        inside = (row < rows)[:, None] & known[None, :]
        at = row[:, None].to(tl.int64) * channels + column[None, :]
        tile = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
        out = (tile - mean[None, :]) * scale[None, :] + shift[None, :]
        if has_shortcut:
            out += tl.load(shortcut + at, mask=inside, other=0.0).to(tl.float32)
        # a NaN that became 0 here would leave the loss finite while weights turn to NaN
        out = tl.maximum(out, 0.0, propagate_nan=tl.PropagateNan.ALL)
        tl.store(y + at, out, mask=inside)


@triton.jit
def gradient_sums_kernel(
    x,
    y,
    dy,
    weight,
    bias,
    mean_in,
    rstd_in,
    part_dz,
    part_dzx,
    rows,
    channels,
    rows_a_part,
    has_shortcut: tl.constexpr,
    m: tl.constexpr,
    c: tl.constexpr,
):
    """Sum ReLU's gradient dz, and dz times the normalised x, over a part of the rows."""
    column = tl.program_id(1) * c + tl.arange(0, c)
    known = column < channels
    mean = tl.load(mean_in + column, mask=known, other=0.0)
    rstd = tl.load(rstd_in + column, mask=known, other=0.0)
    scale = tl.load(weight + column, mask=known, other=0.0) * rstd
    shift = tl.load(bias + column, mask=known, other=0.0)
    first = tl.program_id(0) * rows_a_part
    end = tl.minimum(first + rows_a_part, rows)
    sum_dz = tl.zeros([c], tl.float32)
    sum_dzx = tl.zeros([c], tl.float32)
    for start in range(first, end, m):
        row = start + tl.arange(0, m)
        inside = (row < end)[:, None] & known[None, :]
        at = row[:, None].to(tl.int64) * channels + column[None, :]
        tile = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
        dz = tl.load(dy + at, mask=inside, other=0.0).to(tl.float32)
        if has_shortcut:
            out = tl.load(y + at, mask=inside, other=0.0).to(tl.float32)
        else:  # computed as it was, which is a quarter less to read
            out = (tile - mean[None, :]) * scale[None, :] + shift[None, :]
        dz = tl.where(out <= 0, 0.0, dz)
        sum_dz += tl.sum(dz, 0)
        sum_dzx += tl.sum(dz * (tile - mean[None, :]) * rstd[None, :], 0)
    part_at = tl.program_id(0) * channels + column
    tl.store(part_dz + part_at, sum_dz, mask=known)
    tl.store(part_dzx + part_at, sum_dzx, mask=known)


@triton.jit
def backward_kernel(
    x,
    y,
    dy,
    weight,
    bias,
    mean_in,
    rstd_in,
    part_dz,
    part_dzx,
    dx,
    dshortcut,
    dweight,
    dbias,
    rows,
    channels,
    parts,
    has_shortcut: tl.constexpr,
    padded_parts: tl.constexpr,
    m: tl.constexpr,
    c: tl.constexpr,
):
    """Join the parts' sums, then write all gradients."""
    column = tl.program_id(1) * c + tl.arange(0, c)
    known = column < channels
    part = tl.arange(0, padded_parts)
    summed = (part < parts)[:, None] & known[None, :]
    part_at = part[:, None] * channels + column[None, :]
    sum_dz = tl.sum(tl.load(part_dz + part_at, mask=summed, other=0.0), 0)
    sum_dzx = tl.sum(tl.load(part_dzx + part_at, mask=summed, other=0.0), 0)
    if tl.program_id(0) == 0:
        tl.store(dbias + column, sum_dz, mask=known)
        tl.store(dweight + column, sum_dzx, mask=known)

    mean = tl.load(mean_in + column, mask=known, other=0.0)
    rstd = tl.load(rstd_in + column, mask=known, other=0.0)
    scale = tl.load(weight + column, mask=known, other=0.0) * rstd
    shift = tl.load(bias + column, mask=known, other=0.0)
    for start in range(tl.program_id(0) * m, rows, tl.num_programs(0) * m):
        row = start + tl.arange(0, m)
        inside = (row < rows)[:, None] & known[None, :]
        at = row[:, None].to(tl.int64) * channels + column[None, :]
        tile = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
        dz = tl.load(dy + at, mask=inside, other=0.0).to(tl.float32)
        if has_shortcut:
            out = tl.load(y + at, mask=inside, other=0.0).to(tl.float32)
        else:
            out = (tile - mean[None, :]) * scale[None, :] + shift[None, :]
        dz = tl.where(out <= 0, 0.0, dz)
        if has_shortcut:
            tl.store(dshortcut + at, dz, mask=inside)
        normalised = (tile - mean[None, :]) * rstd[None, :]
        mean_part = (sum_dz[None, :] + normalised * sum_dzx[None, :]) / rows
        tl.store(dx + at, scale[None, :] * (dz - mean_part), mask=inside)


class Launch:
    """How the work on a matrix of ``rows`` by ``channels`` is divided among programs."""

    def __init__(self, rows: int, channels: int) -> None:
        c = min(triton.next_power_of_2(channels), CHANNELS)
        m = TILE // c
        self.options = {"m": m, "c": c, **OPTIONS}
        self.rows, self.channels = rows, channels
        tiles, columns = triton.cdiv(rows, m), triton.cdiv(channels, c)
        self.rows_a_part = triton.cdiv(tiles, PARTS) * m
        self.parts = triton.cdiv(rows, self.rows_a_part)
        self.padded_parts = triton.next_power_of_2(self.parts)
        self.summing = (self.parts, columns)
        self.writing = (min(tiles, triton.cdiv(PROGRAMS, columns)), columns)


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
        how = Launch(x.numel() // x.shape[1], x.shape[1])
        size = (how.rows, how.channels, how.rows_a_part)
        parts = x.new_empty(2, how.parts, how.channels, dtype=torch.float32)
        mean, rstd = x.new_empty(2, how.channels, dtype=torch.float32)
        moments_kernel[how.summing](x, *parts, *size, **how.options)
        forward_kernel[how.writing](
            *(x, x if shortcut is None else shortcut, weight, bias, *parts, y, mean, rstd),
            *(batch_norm.running_mean, batch_norm.running_var, batch_norm.num_batches_tracked),
            *(*size, batch_norm.momentum, batch_norm.eps),
            has_shortcut=shortcut is not None,
            padded_parts=how.padded_parts,
            **how.options,
        )
        ctx.shortcut = shortcut is not None
        ctx.save_for_backward(x, y if ctx.shortcut else x, weight, bias, mean, rstd)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102
        x, y, weight, bias, mean, rstd = ctx.saved_tensors
        dy = gradients[0].contiguous(memory_format=torch.channels_last)
        how = Launch(x.numel() // x.shape[1], x.shape[1])
        size = (how.rows, how.channels)
        parts = x.new_empty(2, how.parts, how.channels, dtype=torch.float32)
        dx = torch.empty_like(x)
        dshortcut = torch.empty_like(x) if ctx.shortcut else None
        dweight, dbias = torch.empty_like(weight), torch.empty_like(weight)
        inputs = (x, y, dy, weight, bias, mean, rstd)
        gradient_sums_kernel[how.summing](
            *(*inputs, *parts, *size, how.rows_a_part),
            has_shortcut=ctx.shortcut,
            **how.options,
        )
        backward_kernel[how.writing](
            *(*inputs, *parts),
            *(dx, dx if dshortcut is None else dshortcut, dweight, dbias),
            *(*size, how.parts),
            has_shortcut=ctx.shortcut,
            padded_parts=how.padded_parts,
            **how.options,
        )
        return dx, dshortcut, dweight, dbias, None


def batch_norm_relu(batch_norm: nn.BatchNorm2d, x: Tensor, shortcut: Tensor | None) -> Tensor:
    """Return relu(batch_norm(x) + shortcut) and move BN's averages, as in training.

    ``x`` and ``shortcut`` are (N, C, H, W), float32 or bfloat16; BN's own tensors are float32.
    """
    x = x.contiguous(memory_format=torch.channels_last)
    if shortcut is not None:
        shortcut = shortcut.contiguous(memory_format=torch.channels_last)
    out: Tensor = BatchNormRelu.apply(x, shortcut, batch_norm.weight, batch_norm.bias, batch_norm)
    return out
