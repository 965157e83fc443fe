"""Plain and residual networks: Table 1 for ImageNet, §4.2 for CIFAR-10."""

from collections.abc import Sequence
from typing import Literal

from torch import nn

from deepres.models.blocks import (
    BasicBlock,
    Bottleneck,
    OneLayerBlock,
    ShortcutOption,
    StrideOn,
    conv3x3,
)
from deepres.models.stages import StagedNetwork

# Table 1: depth → building block, and how many of them in conv2_x, conv3_x, conv4_x, conv5_x.
IMAGENET: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, ...]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}

Pool = Literal["pad", "ceil"]
"""How conv2_x's max pool treats the border: a pixel of padding, or windows that reach
over it, as in the authors' released Caffe models."""


class ResNet(StagedNetwork):
    """A stem, stages of blocks, global average pooling and a linear classifier.

    Modules have torchvision's names, so that checkpoints load strictly in both directions.
    """

    def __init__(
        self,
        stem: Sequence[tuple[str, nn.Module]],
        block: type[OneLayerBlock] | type[BasicBlock] | type[Bottleneck],
        blocks: tuple[int, ...],
        widths: tuple[int, ...],
        shortcut: ShortcutOption,
        num_classes: int,
        input_size: int,
        **block_options: StrideOn,
    ) -> None:
        super().__init__(input_size)
        self.stages["conv1"] = ("conv1", "bn1", "relu")
        for name, module in stem:
            self.add_module(name, module)

        channels = widths[0]
        for i, (count, width) in enumerate(zip(blocks, widths, strict=True), start=1):
            layer = nn.Sequential()
            for j in range(count):
                stride = 2 if i > 1 and j == 0 else 1  # halve the map where the width doubles
                layer.append(block(channels, width, stride, shortcut, **block_options))
                channels = width * block.expansion
            self.add_module(f"layer{i}", layer)
            pooled = ("maxpool",) if i == 1 and hasattr(self, "maxpool") else ()
            self.stages[f"conv{i + 1}_x"] = (*pooled, f"layer{i}")

        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(channels, num_classes)
        self.stages["fc"] = ("avgpool", "flatten", "fc")


def imagenet_resnet(
    depth: int, shortcut: ShortcutOption, stride_on: StrideOn, pool: Pool, num_classes: int
) -> ResNet:
    """Build a network of Table 1; ``shortcut="none"`` makes its plain twin (Figure 3)."""
    # Both halve 112 pixels to 56; they differ in which pixels the windows cover.
    window = {"padding": 1} if pool == "pad" else {"ceil_mode": True}
    block, blocks = IMAGENET[depth]
    stem = [
        ("conv1", nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)),
        ("bn1", nn.BatchNorm2d(64)),
        ("relu", nn.ReLU()),
        ("maxpool", nn.MaxPool2d(3, stride=2, **window)),
    ]
    options = {"stride_on": stride_on} if block is Bottleneck else {}
    widths = (64, 128, 256, 512)
    return ResNet(stem, block, blocks, widths, shortcut, num_classes, input_size=224, **options)


def cifar_resnet(
    depth: int, shortcut: ShortcutOption, num_classes: int, residual_layers: int = 2
) -> ResNet:
    """Build the network of §4.2 with ``depth`` = 6n+2 layers: 2n on each of 32, 16 and 8 pixels.

    They make n residual functions of two layers a map size, or 2n of one.
    """
    block = OneLayerBlock if residual_layers == 1 else BasicBlock
    count = (depth - 2) // 3 // residual_layers
    stem = [("conv1", conv3x3(3, 16)), ("bn1", nn.BatchNorm2d(16)), ("relu", nn.ReLU())]
    widths, blocks = (16, 32, 64), (count, count, count)
    return ResNet(stem, block, blocks, widths, shortcut, num_classes, input_size=32)
