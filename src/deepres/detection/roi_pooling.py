"""RoI pooling: the features under each region, at one size."""

from typing import Any, Literal

import torch
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
        pooled: Tensor
        if self.kind == "max" and feature_map.device.type == "cpu":
            pooled = roi_pool(feature_map, boxes, self.size, self.scale)
        elif self.kind == "max":
            pooled = RepeatableRoIPool.apply(feature_map, boxes, self.size, self.scale)
        else:
            pooled = roi_align(feature_map, boxes, self.size, self.scale, sampling_ratio=2)
        return pooled


class RepeatableRoIPool(torch.autograd.Function):
    """torchvision's ``roi_pool`` with a gradient that is the same to the bit each time.

    On a GPU torchvision's own adds in whichever order its threads come, and refuses to run where
    PyTorch is asked to be deterministic.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, boxes: list[Tensor], size: int, scale: float) -> Tensor:
        """Map features (N, C, H, W) and each image's boxes (R, 4) to (sum of R, C, size, size)."""
        image = torch.cat(
            [of_image.new_full((len(of_image), 1), i) for i, of_image in enumerate(boxes)]
        )
        regions = torch.cat([image, torch.cat(boxes)], dim=1)
        pooled: Tensor
        pooled, greatest = torch.ops.torchvision.roi_pool(features, regions, scale, size, size)
        ctx.save_for_backward(image.long(), greatest)
        ctx.shape = features.shape
        return pooled

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """Give each bin's gradient to the position whose value it took; an empty bin has none."""
        image, greatest = ctx.saved_tensors
        _, channels, height, width = ctx.shape
        channel = torch.arange(channels, device=image.device)
        plane = (image * channels + channel)[:, :, None, None]  # (R, C, 1, 1)
        taken = greatest >= 0
        places = (plane * (height * width) + greatest)[taken]
        summed = gradients[0].new_zeros(ctx.shape).flatten()
        summed.index_put_((places,), gradients[0][taken], accumulate=True)
        return summed.view(ctx.shape), None, None, None
