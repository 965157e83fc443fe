"""VGG-16 and VGG-19 (Simonyan & Zisserman 2014), the paper's reference networks."""

from torch import Tensor, nn

from deepres.models.stages import StagedNetwork

# Their Table 1, configurations D and E: convolutions per stage, each ending in a 2×2 max pool.
BLOCKS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)


class PoolTo7(nn.AdaptiveAvgPool2d):
    """Brings any map to 7×7. One that has this size is left alone, as the layer's gradient has no
    repeatable kernel on CUDA."""

    def __init__(self) -> None:
        super().__init__(7)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, 7, 7)."""
        return x if x.shape[-2:] == (7, 7) else super().forward(x)


class VGG(StagedNetwork):
    """Stages of 3×3 convolutions and three fully connected layers; no batch normalisation.

    Modules have torchvision's names. Inputs other than 224×224 are pooled to the 7×7 map that the
    first fully connected layer expects.
    """

    def __init__(self, depth: int, num_classes: int) -> None:
        super().__init__(input_size=224)
        self.features = nn.Sequential()
        channels = 3
        for i, (count, width) in enumerate(zip(BLOCKS[depth], WIDTHS, strict=True), start=1):
            first = len(self.features)
            for _ in range(count):
                self.features.extend([nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()])
                channels = width
            self.features.append(nn.MaxPool2d(2))
            last = len(self.features)
            self.stages[f"conv{i}_x"] = tuple(f"features.{j}" for j in range(first, last))
        self.avgpool = PoolTo7()
        self.flatten = nn.Flatten()
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, num_classes),
        )
        self.stages["fc"] = ("avgpool", "flatten", "classifier")
