"""Training §4.2's networks by a few fused kernels: same parameters, buffers and gradients."""

from itertools import pairwise
from typing import Any

import torch
import triton
from torch import Tensor, nn

from deepres.errors import first_line
from deepres.models import conv_kernels as kernels
from deepres.models.blocks import BasicBlock
from deepres.models.resnet import ResNet
from deepres.torch_errors import is_of_memory

SIDES = {16: 32, 32: 16, 64: 8}
"""The side of a map, by the number of channels."""
TILES = {16: 512, 32: 256, 64: 64}
"""Pixels that a program has at hand at a time: a map, or a whole fraction of one."""
PARTS = 128
"""The most programs that share a layer: about one for each multiprocessor of an H100."""
WARPS = {16: 4, 32: 8, 64: 8}
"""How many warps work on them."""
STAGES = 4
"""How many loads of tiles are under way while one is multiplied."""
FUSED = {"enable_fp_fusion": True}
"""Multiply and add with one rounding, which Triton will do no more by default from 3.10 on."""
VECTOR = 4
"""How many channels they copy at a time: with 4 of bfloat16 through L1, with 8 not."""
WEIGHT_TILES = {16: 128, 32: 64, 64: 64}
"""As TILES, for the gradients of weights."""
WEIGHT_PARTS = 16
"""In how many parts those are summed."""
WEIGHT_OPTIONS = {"num_warps": 4, "num_stages": 3, **FUSED}


def supports(network: nn.Module, side: int = SIDES[16]) -> bool:
    """Tell whether ``network`` is one of §4.2's with two layers a block, or its plain twin.

    Its images must have §4.2's ``side``, in pixels.
    """
    if side != SIDES[16] or type(network) is not ResNet or hasattr(network, "layer4"):
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


def trouble(network: nn.Module, images: int) -> str | None:
    """Return why the kernels do not run on the device of ``network``, which they are tried with.

    Tried with as many ``images`` as they will train on, they need not be built again. The
    network's values are lost.

    Raises:
        torch.OutOfMemoryError: the device's memory is full; it says nothing about the kernels.
    """
    try:
        with torch.enable_grad():
            x = torch.zeros(images, 3, 32, 32, device=next(network.parameters()).device)
            FusedCifarNet(network).pooled(x).sum().backward()
    except Exception as error:  # of Triton, of the compiler, of the system: there are many
        if is_of_memory(error):
            raise
        return first_line(error)
    return None


class FusedCifarNet(nn.Module):
    """Trains ``network``, one that ``supports`` tells, by fused kernels.

    Activations are ``dtype``, and weights are rounded to it; everything else is float32. Runs have
    bfloat16; in float32 the kernels can be held to PyTorch's own operations closely.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype = torch.bfloat16) -> None:
        super().__init__()
        self.network = network
        self._dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, 3, 32, 32) float32 to logits (N, classes) float32."""
        logits: Tensor
        if self.network.training:
            logits = self.network.get_submodule("fc")(self.pooled(x))
        else:
            logits = self.network(x)
        return logits

    def pooled(self, x: Tensor) -> Tensor:
        """Map images (N, 3, 32, 32) float32 to the features of the last layer (N, 64) float32."""
        layers = _layers(self.network)
        parameters = [p for conv, bn in layers for p in (conv.weight, bn.weight, bn.bias)]
        pooled: Tensor = _Features.apply(x, self._dtype, self.network, *parameters)
        return pooled


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
        computed, ctx.computed = ctx.computed, None  # its memory is free again
        return None, None, None, *computed.backward(gradients[0].contiguous())


def _blocks(network: nn.Module) -> list[Any]:
    stages = [network.get_submodule(name) for name in ("layer1", "layer2", "layer3")]
    return [block for stage in stages for block in stage.children()]


def _layers(network: nn.Module) -> list[tuple[Any, Any]]:
    """The 3×3 layers in order, each with its BN."""
    blocks = _blocks(network)
    pairs = [((b.conv1, b.bn1), (b.conv2, b.bn2)) for b in blocks]
    return [(network.conv1, network.bn1), *(layer for pair in pairs for layer in pair)]


class _Maps:
    """What the layers of one map size compute."""

    def __init__(self, images: Tensor, dtype: torch.dtype, layers: int, c: int, parts: int) -> None:
        self.c, self.side, self.layers = c, SIDES[c], layers
        self.rows = len(images) * self.side**2
        self.raw = images.new_empty(layers, self.rows, c, dtype=dtype)
        # the images count as the activation of a layer below the first
        images_too = self.raw.new_empty(layers + (c == 16), self.rows, c)
        self.below, self.activation = images_too, images_too[-layers:]
        self.dz, self.raw_gradient = torch.empty_like(self.raw), torch.empty_like(self.raw)
        self.moments, self.sums = images.new_empty(2, layers, 2, parts, c)
        self.statistics = images.new_empty(layers, 3, c)
        self.gradient = images.new_empty(layers, 2, c)  # of BN's parameters


class _Layer:
    """A 3×3 layer and its BN: what they compute, and with what."""

    def __init__(self, maps: _Maps, place: int, weight: Tensor, bn: nn.BatchNorm2d) -> None:
        self.maps, self.weight, self.bn = maps, weight, bn
        self.raw, self.activation = maps.raw[place], maps.activation[place]
        self.dz, self.raw_gradient = maps.dz[place], maps.raw_gradient[place]
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
        bn = self.bn
        return (
            *(self.raw, self.block_input and self.block_input.activation, self.moments),
            *(bn.weight, bn.bias, self.statistics),
            *(bn.running_mean, bn.running_var, bn.num_batches_tracked),
            *(bn.momentum, bn.eps, self.activation),
        )

    def through_batch_norm(self) -> tuple[Tensor, ...]:
        """What kernels take that compute the gradient of this layer's raw outputs."""
        return (
            *(self.dz, self.raw, self.sums, self.statistics, self.gradient),
            self.raw_gradient,
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
        images_a_part = triton.cdiv(len(images), PARTS)
        self.share = (len(images), images_a_part)
        self.programs = triton.cdiv(len(images), images_a_part)
        self.parts = triton.next_power_of_2(self.programs)
        self.maps = [_Maps(images, dtype, 2 * n + (c == 16), c, self.parts) for c in SIDES]
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
        last = self.layers[-1]
        self._forward(self.layers[0], None)
        for below, layer in pairwise(self.layers):
            self._forward(layer, below)
        pooled = last.statistics.new_empty(len(self.images), last.maps.c)
        kernels.pool_kernel[(self.programs,)](
            *(*last.activating(), pooled, *self.share),
            adds=last.adds,
            side=last.maps.side,
            c=last.maps.c,
            parts=self.parts,
            **FUSED,
        )
        return pooled

    def _forward(self, layer: _Layer, below: _Layer | None) -> None:
        maps, source = layer.maps, below or layer
        activating = source.activating()
        if below is None:
            activating = (*(None for _ in activating[1:]), self.images)
        kernels.forward_kernel[(self.programs,)](
            *(*activating, layer.weight, *layer.weight.stride(), layer.raw, layer.moments),
            *self.share,
            is_image=below is None,
            adds=source.adds,
            side=source.maps.side,
            stride=source.maps.side // maps.side,
            inputs=layer.weight.shape[1],
            c_in=source.maps.c,
            c_out=maps.c,
            parts=self.parts,
            m_in=TILES[source.maps.c],
            m_out=TILES[maps.c],
            num_warps=WARPS[maps.c],
            num_stages=STAGES,
            vector=VECTOR,
            **FUSED,
        )

    def backward(self, gradient: Tensor) -> list[Tensor]:
        """Return the gradients of all weights, and BN's, from that of the pooled features."""
        first, last = self.layers[0], self.layers[-1]
        kernels.pool_gradient_kernel[(self.programs,)](
            *(gradient, last.raw, last.activation, last.statistics, last.dz, last.sums),
            *self.share,
            side=last.maps.side,
            c=last.maps.c,
            parts=self.parts,
            **FUSED,
        )
        for i in range(len(self.layers) - 1, 0, -1):
            # a block's first layer meets the gradient that went through the shortcut
            over = self.layers[i + 1] if i % 2 else None
            self._input_gradient(self.layers[i], self.layers[i - 1], over)
        kernels.batch_norm_gradient_kernel[(self.programs,)](
            *(*first.through_batch_norm(), *self.share),
            side=first.maps.side,
            c=first.maps.c,
            parts=self.parts,
            m=TILES[first.maps.c],
            num_warps=WARPS[first.maps.c],
            **FUSED,
        )
        return self._weight_gradients()

    def _input_gradient(self, layer: _Layer, below: _Layer, over: _Layer | None) -> None:
        maps, under = layer.maps, below.maps
        kernels.input_gradient_kernel[(self.programs,)](
            *(*layer.through_batch_norm(), layer.weight, *layer.weight.stride()),
            *(over and over.dz, below.raw, below.activation, below.statistics),
            *(below.dz, below.sums, *self.share),
            adds=over.adds if over else int(kernels.NO_SHORTCUT.value),
            side=under.side,
            stride=under.side // maps.side,
            c_in=under.c,
            c_out=maps.c,
            parts=self.parts,
            m_in=TILES[under.c],
            m_out=TILES[maps.c],
            num_warps=WARPS[under.c],
            num_stages=STAGES,
            vector=VECTOR,
            **FUSED,
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
        joined = partial.sum(0).split(sizes)
        for segment, (below, maps, first, number) in zip(joined, groups, strict=True):
            c = below.shape[2]
            filters = segment.view(number, maps.c, 3, 3, c).permute(0, 1, 4, 2, 3)
            for one, (scale, shift) in zip(filters, maps.gradient[first:], strict=False):
                inputs = self.layers[len(gradients) // 3].weight.shape[1]
                gradients += [one[:, :inputs], scale, shift]
        return gradients

    def _weight_gradient(
        self, below: Tensor, maps: _Maps, first: int, number: int, into: Tensor
    ) -> None:
        c, m = below.shape[2], WEIGHT_TILES[maps.c]
        rows_a_part = triton.cdiv(triton.cdiv(maps.rows, m), WEIGHT_PARTS) * m
        kernels.weight_gradient_kernel[(WEIGHT_PARTS, 3, number)](
            *(maps.raw_gradient[first], maps.rows, rows_a_part),
            *(below, below.shape[1], into, into.stride(0)),
            side=SIDES[c],
            stride=SIDES[c] // maps.side,
            c_in=c,
            c_out=maps.c,
            m=m,
            vector=VECTOR,
            **WEIGHT_OPTIONS,
        )
