"""The building blocks of §3: residual functions of one to three layers, and their shortcuts."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from deepres.models.batch_norm import batch_norm_relu

ShortcutOption = Literal["A", "B", "C", "none"]
"""How a block's input reaches its sum (§4.1, "Identity vs. Projection Shortcuts").

A: identity; where dimensions increase, the extra channels are zeros. No parameters.
B: projection where dimensions increase, identity elsewhere.
C: projection in every block.
none: no shortcut, a plain network.
"""

StrideOn = Literal["1x1", "3x3"]
"""Which layer of a bottleneck down-samples: its first, as in the paper, or its second."""


def conv3x3(in_channels: int, channels: int, stride: int = 1) -> nn.Conv2d:
    """A 3×3 convolution that keeps the map's size, but for its stride. BN supplies the bias."""
    return nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)


def conv1x1(in_channels: int, channels: int, stride: int = 1) -> nn.Conv2d:
    """A 1×1 convolution. BN supplies the bias."""
    return nn.Conv2d(in_channels, channels, 1, stride, bias=False)


class ZeroPad(nn.Module):
    """Shortcut A where dimensions increase: every ``stride``-th pixel, then channels of zeros."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.extra_channels = channels - in_channels

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) → (N, channels, ⌈H/stride⌉, ⌈W/stride⌉)."""
        if self.stride != 1:
            # Windows of one pixel take just what a slice would, but their gradient stays channels
            # last; a slice's does not, and would be copied at each change of stage.
            x = F.avg_pool2d(x, 1, self.stride)
        return F.pad(x, (0, 0, 0, 0, 0, self.extra_channels))


def make_shortcut(
    option: ShortcutOption, in_channels: int, channels: int, stride: int
) -> nn.Module | None:
    """Return the module that carries a block's input to its sum; None in a plain network."""
    dimensions_increase = stride != 1 or in_channels != channels
    if option == "none":
        return None
    if option == "C" or (option == "B" and dimensions_increase):
        return nn.Sequential(conv1x1(in_channels, channels, stride), nn.BatchNorm2d(channels))
    if dimensions_increase:
        return ZeroPad(in_channels, channels, stride)
    return nn.Identity()


class OneLayerBlock(nn.Module):
    """One 3×3 layer and a shortcut: y = W₁x + x, of which §3.2 expects no advantage."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int, shortcut: ShortcutOption) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, width, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.downsample = make_shortcut(shortcut, in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) → (N, width, ⌈H/stride⌉, ⌈W/stride⌉)."""
        shortcut = None if self.downsample is None else self.downsample(x)
        return batch_norm_relu(self.bn1, self.conv1(x), shortcut)


class BasicBlock(nn.Module):
    """Two 3×3 layers and a shortcut (Figure 2; Figure 5, left)."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int, shortcut: ShortcutOption) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, width, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = make_shortcut(shortcut, in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) → (N, width, ⌈H/stride⌉, ⌈W/stride⌉)."""
        out = batch_norm_relu(self.bn1, self.conv1(x))
        shortcut = None if self.downsample is None else self.downsample(x)
        return batch_norm_relu(self.bn2, self.conv2(out), shortcut)  # Eq. 1 and 2


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 layers that reduce, process and restore the width (Figure 5, right)."""

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        width: int,
        stride: int,
        shortcut: ShortcutOption,
        stride_on: StrideOn = "1x1",
    ) -> None:
        super().__init__()
        channels = width * self.expansion
        stride_1x1, stride_3x3 = (stride, 1) if stride_on == "1x1" else (1, stride)
        self.conv1 = conv1x1(in_channels, width, stride_1x1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, stride_3x3)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = conv1x1(width, channels)
        self.bn3 = nn.BatchNorm2d(channels)
        self.downsample = make_shortcut(shortcut, in_channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) → (N, 4·width, ⌈H/stride⌉, ⌈W/stride⌉)."""
        out = batch_norm_relu(self.bn1, self.conv1(x))
        out = batch_norm_relu(self.bn2, self.conv2(out))
        shortcut = None if self.downsample is None else self.downsample(x)
        return batch_norm_relu(self.bn3, self.conv3(out), shortcut)
