"""RoI pooling: the features under each region, at one size."""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align, roi_pool

SAMPLES = 2
"""RoIAlign's samples of a bin, in each direction."""


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
        if feature_map.device.type != "cpu":
            repeatable = RepeatableRoIPool if self.kind == "max" else RepeatableRoIAlign
            pooled = repeatable.apply(feature_map, boxes, self.size, self.scale)
        elif self.kind == "max":
            pooled = roi_pool(feature_map, boxes, self.size, self.scale)
        else:
            pooled = roi_align(feature_map, boxes, self.size, self.scale, sampling_ratio=SAMPLES)
        return pooled


class RepeatableRoIPool(torch.autograd.Function):
    """torchvision's ``roi_pool`` with a gradient that is the same to the bit each time.

    On a GPU torchvision's own adds in whichever order its threads come, and refuses to run where
    PyTorch is asked to be deterministic.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, boxes: list[Tensor], size: int, scale: float) -> Tensor:
        """Map features (N, C, H, W) and each image's boxes (R, 4) to (sum of R, C, size, size)."""
        regions = numbered(boxes)
        pooled: Tensor
        pooled, greatest = torch.ops.torchvision.roi_pool(features, regions, scale, size, size)
        ctx.save_for_backward(regions[:, :1].long(), greatest)
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


class RepeatableRoIAlign(torch.autograd.Function):
    """torchvision's ``roi_align`` with a gradient that is the same to the bit each time.

    On a GPU torchvision's own adds in whichever order its threads come; where PyTorch is asked to
    be deterministic it is compiled instead. But a bin is a weighted mean over rows and columns: a
    region's map is Y·F·Xᵀ for each channel F, and the gradient of F the sum of Yᵀ·G·X.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, boxes: list[Tensor], size: int, scale: float) -> Tensor:
        """Map features (N, C, H, W) and each image's boxes (R, 4) to (sum of R, C, size, size)."""
        pooled: Tensor = torch.ops.torchvision.roi_align(
            features, numbered(boxes), scale, size, size, SAMPLES, False
        )
        ctx.save_for_backward(*boxes)
        ctx.shape, ctx.scale = features.shape, scale
        return pooled

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """Sum Yᵀ·G·X over each image's regions, as one product of matrices for all of them."""
        boxes = ctx.saved_tensors
        _, channels, height, width = ctx.shape
        size = gradients[0].shape[-1]
        summed = []
        for of_image, gradient in zip(
            boxes, gradients[0].split([len(of_image) for of_image in boxes]), strict=True
        ):
            x1, y1, x2, y2 = (of_image * ctx.scale).unbind(1)
            rows = bin_weights(y1, y2, size, height).flatten(0, 1)  # (R·size, H)
            columns = bin_weights(x1, x2, size, width)  # (R, size, W)
            spread = gradient.transpose(1, 2).flatten(1, 2) @ columns  # (R, size·C, W)
            down = rows.T @ spread.view(len(rows), channels * width)  # (H, C·W)
            summed.append(down.view(height, channels, width).transpose(0, 1))
        return torch.stack(summed), None, None, None


def bin_weights(start: Tensor, end: Tensor, bins: int, length: int) -> Tensor:
    """Return how much RoIAlign's bins take of each row, or column, of a map.

    Args:
        start: where each region begins in that direction, in positions of the map, (R,).
        end: where it ends, (R,); at least one position is pooled.
        bins: how many it is divided into.
        length: how many positions there are.

    Returns:
        (R, bins, length).
    """
    bin_length = ((end - start).clamp(min=1) / bins)[:, None, None]
    bin_number = torch.arange(bins, device=start.device)[:, None]
    sample = torch.arange(SAMPLES, device=start.device) + 0.5
    places = start[:, None, None] + bin_number * bin_length + sample * bin_length / SAMPLES
    outside = (places < -1) | (places > length)  # within a position's reach the border counts
    distance = places.clamp(0, length - 1)[..., None] - torch.arange(length, device=start.device)
    weights = (1 - distance.abs()).clamp(min=0)  # (R, bins, SAMPLES, length)
    return weights.masked_fill(outside[..., None], 0).mean(2)


def numbered(boxes: list[Tensor]) -> Tensor:
    """Return all images' boxes (R, 4), each after its image's number, (sum of R, 5)."""
    image = [of_image.new_full((len(of_image), 1), i) for i, of_image in enumerate(boxes)]
    return torch.cat([torch.cat(image), torch.cat(boxes)], dim=1)
