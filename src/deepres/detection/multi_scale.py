"""Multi-scale testing (the appendix): each region is looked at in the two scales that suit it."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.models.detection.transform import resize_boxes

from deepres.detection.faster_rcnn import Detector, scaling
from deepres.models.classifier import check_outputs

PUBLISHED_SCALES = (200, 400, 600, 800, 1000)
PREFERRED_SIDE = 224
"""Square root of a region's pixels in the scale that suits it: the side of pre-training's images.
As the scales, it is for detectors of 600 pixels, and for others in proportion."""


class ScaledImage:
    """One image at one scale, as a detector sees it.

    Args:
        detector: in evaluation mode.
        image: float RGB (3, H, W) in [0, 1], on the detector's device.
        short_side: what the shorter side is scaled to; the limit of the longer side goes with it.
    """

    def __init__(self, detector: Detector, image: Tensor, short_side: int) -> None:
        settings = detector.settings
        long_side = round(short_side * settings.long_side / settings.short_side)
        transform = scaling(
            short_side, long_side, detector.transform.image_mean, detector.transform.image_std
        ).eval()
        self.detector = detector
        self.scaled, _ = transform([image])
        self.features = detector.features(self.scaled)
        check_outputs(self.features["0"])
        self.own_size = (image.shape[1], image.shape[2])
        (self.size,) = self.scaled.image_sizes
        self.magnification = self.size[0] * self.size[1] / (image.shape[1] * image.shape[2])
        """Pixels for each of the image's own."""

    def propose(self) -> Tensor:
        """Return the RPN's boxes (R, 4), in the image's own pixels."""
        (boxes,) = self.detector.rpn.propose(self.scaled, self.features, for_training=False)
        own: Tensor = resize_boxes(boxes, self.size, self.own_size)
        return own

    def vectors(self, boxes: Tensor) -> Tensor:
        """Return the vectors (R, D) of regions (R, 4), given in the image's own pixels."""
        here = resize_boxes(boxes, self.own_size, self.size)
        vectors: Tensor = self.detector.roi_heads.vectors(self.features, [here], [self.size])
        return vectors

    def masks(self, boxes: Tensor, labels: Tensor) -> Tensor:
        """Return masks (R, 1, size, size) in [0, 1] of boxes (R, 4) in the image's own pixels."""
        here = resize_boxes(boxes, self.own_size, self.size)
        masks: Tensor
        (masks,) = self.detector.roi_heads.masks(self.features, [here], [labels], [self.size])
        return masks


def two_scales(boxes: Tensor, magnifications: Sequence[float], short_side: int) -> Tensor:
    """Return for each region (R, 4) the two scales, (R, 2), nearest to the area that suits it.

    They are adjacent, as of ordered numbers the nearest two to any number are.

    Args:
        boxes: in the image's own pixels.
        magnifications: how many pixels each scale makes of one.
        short_side: that of the detector's own scale.
    """
    preferred = (PREFERRED_SIDE * short_side / 600) ** 2
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    pixels = areas[:, None] * areas.new_tensor(magnifications)
    return (pixels - preferred).abs().argsort(dim=1, stable=True)[:, :2]


def maxout(boxes: Tensor, views: Sequence[ScaledImage]) -> Tensor:
    """Return regions' vectors (R, D), elementwise the greater of two adjacent scales.

    Args:
        boxes: (R, 4), in the image's own pixels.
        views: the image in several scales; with a single one there is nothing to merge.
    """
    detector = views[0].detector
    magnifications = [view.magnification for view in views]
    chosen = two_scales(boxes, magnifications, detector.settings.short_side)
    length = detector.roi_heads.vector_length
    merged = boxes.new_full((len(boxes), length), -torch.inf)
    for i, view in enumerate(views):
        (rows,) = torch.where((chosen == i).any(1))
        if len(rows):
            merged[rows] = torch.maximum(merged[rows], view.vectors(boxes[rows]))
    return merged
