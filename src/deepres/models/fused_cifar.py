"""Training §4.2's networks by a few fused kernels: same parameters, buffers and gradients."""

from itertools import pairwise
from typing import Any

import torch
import triton
from torch import Tensor, nn

from deepres.models import conv_kernels as kernels
from deepres.models.blocks import BasicBlock
from deepres.models.resnet import ResNet

TILES = {16: (256, 8), 32: (256, 8), 64: (64, 4)}
"""Pixels that a program has at hand at a time, and its warps, by the number of channels.

A map has so many pixels, or a multiple.
"""
PARTS = 128
"""The most programs that share a layer: about one for each multiprocessor of an H100."""
WEIGHT_TILES = {16: (128, 4), 32: (64, 4), 64: (64, 8)}
"""As TILES, for the gradients of weights."""
WEIGHT_PARTS = 16
"""In how many parts the gradients of weights are summed."""
STAGES = 3
"""How many loads of a program are under way at a time."""
SIDES = {16: 32, 32: 16, 64: 8}
"""The side of a map, by the number of channels."""


def supports(network: nn.Module) -> bool:
    """Tell whether ``network`` is one of §4.2's with two layers a block, or its plain twin."""
    if type(network) is not ResNet or hasattr(network, "layer4"):
        return False
    blocks = _blocks(network)
    if any(type(block) is not BasicBlock or "forward" in vars(block) for block in blocks):
        return False  # one layer a block, or computed again in the backward pass
    layers, n = _layers(network), len(blocks) // 3
    return (
        [conv.out_channels for conv, _ in layers]
        == [16] * (2 * n + 1) + [32] * (2 * n) + [64] * (2 * n)
        and all(conv.kernel_size == (3, 3) for conv, _ in layers)
        and all(isinstance(bn, nn.BatchNorm2d) and bn.momentum is not None for _, bn in layers)
    )


class FusedCifarNet(nn.Module):
    """Trains ``network``, one that ``supports`` tells, by fused kernels.

    Activations are ``dtype``, and weights are rounded to it; everything else is float32.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype = torch.bfloat16) -> None:
        super().__init__()
        self.network = network
        self._dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, 3, 32, 32) float32 to logits (N, classes) float32, as in training."""
        layers = _layers(self.network)
        parameters = [p for conv, bn in layers for p in (conv.weight, bn.weight, bn.bias)]
        pooled = _Features.apply(x, self._dtype, self.network, *parameters)
        logits: Tensor = self.network.get_submodule("fc")(pooled)
        return logits


class _Features(torch.autograd.Function):
    """All 3×3 layers and the global average pooling: (N, 3, 32, 32) → (N, 64)."""

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, dtype: torch.dtype, network: nn.Module, *parameters: Tensor
    ) -> Tensor:
        computed = ctx.computed = _Pass(images, dtype, network)
        return computed.forward()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, None, *ctx.computed.backward(gradients[0].contiguous())


def _blocks(network: nn.Module) -> list[Any]:
    stages = [network.get_submodule(name) for name in ("layer1", "layer2", "layer3")]
    return [block for stage in stages for block in stage.children()]


def _layers(network: nn.Module) -> list[tuple[Any, Any]]:
    """The 3×3 layers in order, each with its BN."""
    blocks = _blocks(network)
    pairs = [((b.conv1, b.bn1), (b.conv2, b.bn2)) for b in blocks]
    return [(network.conv1, network.bn1), *(layer for pair in pairs for layer in pair)]


class _Maps:
    """What the layers of one map size compute, and how the work on a layer is divided."""

    def __init__(self, images: Tensor, dtype: torch.dtype, layers: int, c: int) -> None:
        self.c, self.side, self.layers = c, SIDES[c], layers
        self.rows = len(images) * self.side**2
        self.m, self.warps = TILES[c]
        self.rows_a_part = triton.cdiv(triton.cdiv(self.rows, self.m), PARTS) * self.m
        self.count = triton.cdiv(self.rows, self.rows_a_part)
        self.parts = triton.next_power_of_2(self.count)
        self.raw = images.new_empty(layers, self.rows, c, dtype=dtype)
        # the images count as the activation of a layer below the first
        images_too = self.raw.new_empty(layers + (c == 16), self.rows, c)
        self.below, self.activation = images_too, images_too[-layers:]
        self.dz = torch.empty_like(self.raw)
        self.moments = images.new_empty(layers, 2, self.parts, c)
        self.sums = torch.empty_like(self.moments)
        self.statistics = images.new_empty(layers, 3, c)
        self.gradient = images.new_empty(layers, 2, c)  # of BN's parameters


class _Layer:
    """A 3×3 layer and its BN: what they compute, and with what."""

    def __init__(self, maps: _Maps, place: int, weight: Tensor, bn: nn.BatchNorm2d) -> None:
        self.maps, self.weight, self.bn = maps, weight, bn
        self.raw, self.activation, self.dz = (
            tensor[place] for tensor in (maps.raw, maps.activation, maps.dz)
        )
        self.moments, self.sums = maps.moments[place], maps.sums[place]
        self.statistics, self.gradient = maps.statistics[place], maps.gradient[place]
        self.block_input: _Layer | None = None
        """Whose activation a shortcut adds before ReLU."""

    @property
    def adds(self) -> int:
        """How the shortcut, if any, reaches this layer."""
        if self.block_input is None:
            return int(kernels.NO_SHORTCUT.value)
        same = self.block_input.maps is self.maps
        return int((kernels.IDENTITY if same else kernels.OPTION_A).value)

    def activating(self) -> tuple[Any, ...]:
        """What kernels take that activate this layer's outputs."""
        bn, maps = self.bn, self.maps
        return (
            *(self.raw, self.block_input and self.block_input.activation, self.moments),
            *(bn.weight, bn.bias, self.statistics),
            *(bn.running_mean, bn.running_var, bn.num_batches_tracked),
            *(maps.rows, maps.rows_a_part, bn.momentum, bn.eps, self.activation),
        )


class _Pass:
    """One pass forward, and backward."""

    def __init__(self, images: Tensor, dtype: torch.dtype, network: nn.Module) -> None:
        layers = _layers(network)
        n = len(layers) // 6
        weights = [conv.weight.detach() for conv, _ in layers]
        if dtype != torch.float32:
            rounded = [torch.empty_like(weight, dtype=dtype) for weight in weights]
            torch._foreach_copy_(rounded, weights)
            weights = rounded
        self.maps = [_Maps(images, dtype, 2 * n + (c == 16), c) for c in SIDES]
        places = [(maps, place) for maps in self.maps for place in range(maps.layers)]
        self.layers = [
            _Layer(*where, weight, bn)
            for where, weight, (_, bn) in zip(places, weights, layers, strict=True)
        ]
        for i, block in enumerate(_blocks(network)):
            if block.downsample is not None:
                self.layers[2 * i + 2].block_input = self.layers[2 * i]
        self.images = self.maps[0].below[0].view(len(images), 32, 32, 16)
        self.images.zero_()  # tensor cores want 16 channels
        self.images[..., :3] = images.permute(0, 2, 3, 1)

    def forward(self) -> Tensor:
        """Return the pooled features."""
        first, last = self.layers[0], self.layers[-1]
        self._forward(first, None)
        for below, layer in pairwise(self.layers):
            self._forward(layer, below)
        pooled = last.statistics.new_empty(len(self.images), last.maps.c)
        kernels.pool_kernel[(len(self.images),)](
            *(*last.activating(), pooled),
            adds=last.adds,
            side=last.maps.side,
            c=last.maps.c,
            below_parts=last.maps.parts,
        )
        return pooled

    def _forward(self, layer: _Layer, below: _Layer | None) -> None:
        maps, source = layer.maps, below or layer
        activating = source.activating()
        if below is None:
            activating = (self.images, *(None for _ in activating[1:]))
        kernels.forward_kernel[(maps.count,)](
            *(*activating, layer.weight, *layer.weight.stride(), layer.raw, layer.moments),
            *(maps.rows, maps.rows_a_part),
            is_image=below is None,
            adds=source.adds,
            side=source.maps.side,
            stride=source.maps.side // maps.side,
            inputs=layer.weight.shape[1],
            c_in=source.maps.c,
            c_out=maps.c,
            below_parts=source.maps.parts,
            parts=maps.parts,
            m=maps.m,
            num_warps=maps.warps,
            num_stages=STAGES,
        )

    def backward(self, gradient: Tensor) -> list[Tensor]:
        """Return the gradients of all weights, and BN's, from that of the pooled features."""
        last = self.layers[-1]
        maps = last.maps
        kernels.pool_gradient_kernel[(maps.count,)](
            *(gradient, last.raw, last.activation, last.statistics, last.dz, last.sums),
            *(maps.rows, maps.rows_a_part),
            side=maps.side,
            c=maps.c,
            parts=maps.parts,
            m=maps.m,
        )
        for i in range(len(self.layers) - 1, 0, -1):
            # a block's first layer meets the gradient that went through the shortcut
            over = self.layers[i + 1] if i % 2 else None
            self._input_gradient(self.layers[i], self.layers[i - 1], over)
        return self._weight_gradients()

    def _input_gradient(self, layer: _Layer, below: _Layer, over: _Layer | None) -> None:
        maps, under = layer.maps, below.maps
        kernels.input_gradient_kernel[(under.count,)](
            *(layer.dz, layer.raw, layer.sums, maps.count, layer.statistics, maps.rows),
            *(layer.weight, *layer.weight.stride(), over and over.dz),
            *(below.raw, below.activation, below.statistics, below.dz, below.sums),
            *(under.rows, under.rows_a_part),
            adds=over.adds if over else int(kernels.NO_SHORTCUT.value),
            side=under.side,
            stride=under.side // maps.side,
            c_in=under.c,
            c_out=maps.c,
            parts=maps.parts,
            below_parts=under.parts,
            m=under.m,
            num_warps=under.warps,
            num_stages=STAGES,
        )

    def _weight_gradients(self) -> list[Tensor]:
        groups: list[tuple[Tensor, _Maps, int, int]] = []
        for i, maps in enumerate(self.maps):
            if i > 0:  # the first layer of a stage reads the stage before
                groups.append((self.maps[i - 1].activation[-1:], maps, 0, 1))
            groups.append((maps.below[:-1], maps, int(i > 0), maps.layers - int(i > 0)))
        sizes = [number * 9 * below.shape[2] * maps.c for below, maps, _, number in groups]
        partial = self.layers[0].statistics.new_empty(WEIGHT_PARTS, sum(sizes))
        for group, into in zip(groups, partial.split(sizes, 1), strict=True):
            self._weight_gradient(*group, into)
        gradients: list[Tensor] = []
        segments = iter(zip(partial.sum(0).split(sizes), groups, strict=True))
        for segment, (below, maps, first, number) in segments:
            c = below.shape[2]
            filters = segment.view(number, maps.c, 3, 3, c).permute(0, 1, 4, 2, 3)
            for one, (scale, shift) in zip(filters, maps.gradient[first:], strict=False):
                inputs = self.layers[len(gradients) // 3].weight.shape[1]
                gradients += [one[:, :inputs], scale, shift]
        return gradients

    def _weight_gradient(
        self, below: Tensor, maps: _Maps, first: int, number: int, into: Tensor
    ) -> None:
        c = below.shape[2]
        m, warps = WEIGHT_TILES[maps.c]
        kernels.weight_gradient_kernel[(WEIGHT_PARTS, 3, number)](
            *(maps.dz[first], maps.raw[first], maps.sums[first], maps.count),
            *(maps.statistics[first], maps.rows),
            triton.cdiv(triton.cdiv(maps.rows, m), WEIGHT_PARTS) * m,
            *(below, below.shape[1], into, into.stride(0), maps.gradient[first]),
            side=SIDES[c],
            stride=SIDES[c] // maps.side,
            c_in=c,
            c_out=maps.c,
            parts=maps.parts,
            m=m,
            num_warps=warps,
            num_stages=STAGES,
        )
