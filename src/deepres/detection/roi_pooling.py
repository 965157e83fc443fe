"""RoI pooling: the features under each region, at one size."""

from typing import Literal

from torch import Tensor, nn
from torchvision.ops import roi_align, roi_pool


class RoIPooling(nn.Module):
    """Pools each region to a square map.

    Args:
        size: the map's side.
        kind: "max" for RoI max pooling, with bins rounded to whole positions (Girshick 2015), or
            "align" for RoIAlign as in torchvision's detectors, 2×2 bilinear samples a bin.
        stride: pixels of the image from one position of the feature map to the next.
    """

    def __init__(self, size: int, kind: Literal["max", "align"], stride: int) -> None:
        super().__init__()
        self.size = size
        self.kind = kind
        self.scale = 1 / stride

    def forward(
        self,
        features: dict[str, Tensor],
        boxes: list[Tensor],
        image_sizes: list[tuple[int, int]],
    ) -> Tensor:
        """Return (sum of R, C, size, size).

        Args:
            features: one map (N, C, H, W), in a dictionary as torchvision hands it on.
            boxes: those of each image, (R, 4), in its pixels.
            image_sizes: not needed.
        """
        (feature_map,) = features.values()
        if self.kind == "max":
            pooled: Tensor = roi_pool(feature_map, boxes, self.size, self.scale)
        else:
            pooled = roi_align(feature_map, boxes, self.size, self.scale, sampling_ratio=2)
        return pooled
