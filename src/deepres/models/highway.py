"""Highway networks (Srivastava et al. 2015), Table 6's contrast: gates where ResNets have identity.

The 19-layer network has its authors' widths, and gates where theirs has them. All else is as in
§4.2, BN and stride 2 too; docs/DEVIATIONS.md says how that departs from the original.
"""

import torch
from torch import Tensor, nn

from deepres.models.batch_norm import batch_norm_relu
from deepres.models.blocks import OneLayerBlock, conv1x1, conv3x3
from deepres.models.stages import StagedNetwork

# Depth → highway layers in conv2_x, conv3_x, conv4_x, and their widths.
LAYERS = {19: ((4, 5, 5), (32, 80, 128)), 32: ((9, 9, 9), (32, 48, 64))}
LAST_WIDTH = 100
"""Filters of the 1×1 layer that ends both networks."""
GATE_BIAS = -2.0
"""Where the gates' biases start: the shortcuts are seven eighths open."""


class HighwayLayer(nn.Module):
    """One 3×3 layer H and its transform gate T: y = H(x)·T(x) + x·(1 − T(x))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(width, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.gate = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, H, W) → (N, width, H, W)."""
        transform = torch.sigmoid(self.gate(x))
        return torch.lerp(x, batch_norm_relu(self.bn1, self.conv1(x)), transform)


class HighwayNetwork(StagedNetwork):
    """Plain layers where dimensions increase, highway layers elsewhere; then as in §4.2."""

    def __init__(self, depth: int, num_classes: int) -> None:
        super().__init__(input_size=32)
        counts, widths = LAYERS[depth]
        self.conv1 = conv3x3(3, widths[0])
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU()
        self.stages["conv1"] = ("conv1", "bn1", "relu")

        channels = widths[0]
        for i, (count, width) in enumerate(zip(counts, widths, strict=True), start=1):
            layer = nn.Sequential()
            if i > 1:
                layer.append(OneLayerBlock(channels, width, stride=2, shortcut="none"))
            layer.extend(HighwayLayer(width) for _ in range(count))
            self.add_module(f"layer{i}", layer)
            self.stages[f"conv{i + 1}_x"] = (f"layer{i}",)
            channels = width

        self.conv2 = conv1x1(channels, LAST_WIDTH)
        self.bn2 = nn.BatchNorm2d(LAST_WIDTH)
        self.relu2 = nn.ReLU()
        self.stages["conv4_x"] += ("conv2", "bn2", "relu2")
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(LAST_WIDTH, num_classes)
        self.stages["fc"] = ("avgpool", "flatten", "fc")
