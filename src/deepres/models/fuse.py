"""Layers fused for inference on the CPU: a convolution does the BN, sum and ReLU after it.

BN is folded into the weights. Sum and ReLU oneDNN applies to what a convolution computes before it
leaves the cache. PyTorch uses the same operators where it compiles; called like this they need no
compiler.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from deepres.models.blocks import BasicBlock, Bottleneck
from deepres.models.fold import fold_batch_norm
from deepres.models.stages import StagedNetwork


class FusedConvolution(nn.Module):
    """A convolution that adds itself to a shortcut, applies ReLU, or both."""

    def __init__(self, convolution: nn.Conv2d, relu: bool) -> None:
        super().__init__()
        self.convolution = convolution
        self.activation = "relu" if relu else "none"

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """(N, C_in, H, W) and, if given, (N, C_out, h, w), which is overwritten → the latter."""
        c, kernels = self.convolution, torch.ops.mkldnn
        how = (c.weight, c.bias, c.padding, c.stride, c.dilation, c.groups)
        out: Tensor
        if shortcut is None:
            out = kernels._convolution_pointwise(x, *how, self.activation, [], "")
        else:
            add = kernels._convolution_pointwise_.binary
            out = add(shortcut, x, *how, "add", 1.0, self.activation, [], "")
        return out


class FusedBlock(nn.Module):
    """A block of two or three convolutions, the last of which does the sum, in the shortcut."""

    def __init__(self, block: BasicBlock | Bottleneck) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            FusedConvolution(layer, relu=True)
            for layer in block.children()
            if isinstance(layer, nn.Conv2d)
        )
        self.downsample = block.downsample
        if isinstance(self.downsample, nn.Sequential):
            projection, _ = self.downsample  # its BN is folded
            assert isinstance(projection, nn.Conv2d)
            self.downsample = FusedConvolution(projection, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map the same as the block that it stands for; an identity shortcut overwrites ``x``."""
        shortcut = None if self.downsample is None else self.downsample(x)
        *others, last = self.convolutions
        for convolution in others:
            x = convolution(x)
        out: Tensor = last(x, shortcut)
        return out


def can_fuse(device: torch.device) -> bool:
    """Tell whether sums and ReLU can be fused on ``device``: by oneDNN, on a CPU."""
    return device.type == "cpu" and torch.backends.mkldnn.is_available()


def fuse_for_inference(network: StagedNetwork, device: torch.device) -> None:
    """Fold BN, and on a CPU fuse sums and ReLU too, in place.

    The logits stay the same to rounding. The network must be in evaluation mode, in float32; it can
    be trained, saved, and asked for its intermediates no more.
    """
    fold_batch_norm(network)
    network.requires_grad_(False).to(memory_format=torch.channels_last)
    if can_fuse(device):
        for layer in (network, *network.children()):
            if isinstance(layer, StagedNetwork | nn.Sequential):
                _fuse_children(layer)


def compute_in_bf16(network: nn.Module) -> None:
    """Have convolutions and linear layers compute in bfloat16, in place; BN stays float32."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.bfloat16()


def _fuse_children(parent: nn.Module) -> None:
    """Fuse the blocks in ``parent``, and its convolutions with the ReLU that follows."""
    layers = [(n, m) for n, m in parent.named_children() if not isinstance(m, nn.Identity)]
    for name, layer in layers:
        if isinstance(layer, BasicBlock | Bottleneck):
            setattr(parent, name, FusedBlock(layer))
    for (name, layer), (next_name, following) in pairwise(layers):
        if isinstance(layer, nn.Conv2d) and isinstance(following, nn.ReLU):
            setattr(parent, name, FusedConvolution(layer, relu=True))
            setattr(parent, next_name, nn.Identity())
