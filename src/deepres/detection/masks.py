"""A mask branch on the C4 detector, of torchvision's parts (Mask R-CNN, He et al. 2017, Figure 4).

It takes what conv5_x makes of a region, 7×7, doubles it by a deconvolution, and predicts a mask
of 14×14 for each class.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor
from torchvision.models.detection.roi_heads import maskrcnn_inference, paste_masks_in_image

from deepres.detection.backbones import Halves
from deepres.errors import UserError

HIDDEN = 256
"""Channels of the deconvolution."""


def mask_layers(halves: Halves, classes: int) -> MaskRCNNPredictor:
    """Build the layers from conv5_x's map to masks.

    Raises:
        UserError: the regions' layers are fully connected and make no map.
    """
    if "layer4" not in dict(halves.region.named_children()):
        raise UserError("masks need a backbone with conv5_x: a ResNet or plain network, not VGG")
    return MaskRCNNPredictor(halves.region_channels, HIDDEN, classes)


def mask_loss(
    logits: Tensor,
    boxes: list[Tensor],
    labels: list[Tensor],
    matched: list[Tensor],
    targets: list[dict[str, Tensor]],
) -> Tensor:
    """Return the mean binary cross entropy of the masks of all regions that are objects.

    Args:
        logits: (sum of objects, classes, size, size).
        boxes: the sampled regions of each image, (R, 4), in pixels of the scaled image.
        labels: (R,), 0 for background.
        matched: (R,), the object that each region overlaps most.
        targets: each image's ``masks`` (N, H, W), scaled as it is.
    """
    if not len(logits):
        return logits.sum() * 0
    covered = [
        cropped(target["masks"], b[label > 0], m[label > 0], logits.shape[-1])
        for target, b, label, m in zip(targets, boxes, labels, matched, strict=True)
    ]
    classes = torch.cat(labels)
    of_own_class = logits[torch.arange(len(logits), device=logits.device), classes[classes > 0]]
    return F.binary_cross_entropy_with_logits(of_own_class, torch.cat(covered))


def cropped(masks: Tensor, boxes: Tensor, matched: Tensor, size: int) -> Tensor:
    """Return how much of each bin of a region its object covers, (R, size, size) in [0, 1].

    It is RoIAlign of the outlines, by its operator: where PyTorch is asked to be deterministic,
    torchvision's function is compiled for a gradient's sake, which is not wanted here.

    Args:
        masks: of an image's objects, (N, H, W) of 0 and 1.
        boxes: the regions, (R, 4), in pixels of the masks.
        matched: each region's object, (R,).
        size: bins in each direction.
    """
    regions = torch.cat([matched[:, None].to(boxes), boxes], dim=1)
    adaptive = -1  # as many samples a bin as it has pixels
    covered: Tensor = torch.ops.torchvision.roi_align(
        masks[:, None].to(boxes), regions, 1.0, size, size, adaptive, False
    )
    return covered[:, 0]


def mask_probabilities(logits: Tensor, labels: list[Tensor]) -> list[Tensor]:
    """Return for each image (R, 1, size, size): the masks of its regions' own classes.

    Args:
        logits: (sum of R, classes, size, size).
        labels: (R,) of each image.
    """
    return list(maskrcnn_inference(logits, labels))


def pasted(masks: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return which pixels of an image are each object's, (R, height, width) bool on the CPU.

    Args:
        masks: (R, 1, size, size), how likely a point of a box is its object's.
        boxes: (R, 4), in the image's pixels.
        size: the image's height and width.
    """
    pixels = torch.zeros(len(boxes), *size, dtype=torch.bool)
    for i in range(len(boxes)):  # one by one: likelihoods take four times the memory, twice over
        placed = paste_masks_in_image(masks[i : i + 1], boxes[i : i + 1], size)
        pixels[i] = placed[0, 0] >= 0.5
    return pixels
