"""Appendix C's R-CNN: it judges and moves the boxes that the per-class RPN proposes.

Each region is cut out of the image and runs through a whole classification network, whose last
layer gives way to two sibling layers: for each class one logistic output and one box regressor.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection._utils import BoxCoder

from deepres.data.detection.warped_regions import Warp
from deepres.data.transforms import prepare
from deepres.detection.backbones import freeze_batch_norm
from deepres.detection.localization import Localizer, make_classes_alike
from deepres.detection.region_heads import sibling_layers
from deepres.models.stages import StagedNetwork


class PerClassRCNN(nn.Module):
    """A classification network with two sibling layers, per class, in the place of its last one.

    All classes begin with the same weights there, as in ``PerClassRPN``, and BN stays as it is.

    Args:
        network: it is taken over: its last layer is removed, and BN is frozen.
        classes: how many there are.
        box_weights: factors of the four numbers that the regression is to give.
    """

    def __init__(self, network: StagedNetwork, classes: int, box_weights: Sequence[float]) -> None:
        super().__init__()
        freeze_batch_norm(network)
        *_, (name, last) = (
            (name, layer) for name, layer in network.named_modules() if isinstance(layer, nn.Linear)
        )
        parent, _, own = name.rpartition(".")
        setattr(network.get_submodule(parent), own, nn.Identity())
        self.network = network
        self.siblings = sibling_layers(last.in_features, classes)
        for layer in (self.siblings.cls_score, self.siblings.bbox_pred):
            make_classes_alike(layer.weight, classes)
        self.box_coder = BoxCoder(tuple(box_weights))

    def forward(self, regions: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Return for each region what its own class's outputs say.

        Args:
            regions: prepared, (R, 3, crop, crop).
            classes: that of each, (R,) int64 from 0.

        Returns:
            Logits (R,), and how the boxes are to be moved (R, 4), in torchvision's code for boxes.
        """
        logits, deltas = self.siblings(self.network(regions))
        each = torch.arange(len(classes), device=classes.device)
        return logits[each, classes], deltas.unflatten(1, (-1, 4))[each, classes]

    def losses(
        self, found: tuple[Tensor, Tensor], labels: Tensor, boxes: Tensor, matched: Tensor
    ) -> dict[str, Tensor]:
        """Return Fast R-CNN's losses, with a logistic one in the place of softmax.

        Args:
            found: what a call returned.
            labels: 1 for an object, 0 for background, (R,) float32.
            boxes: the regions, (R, 4).
            matched: the object that each is to be moved to, (R, 4); of background it does not
                matter.

        Returns:
            ``loss_objectness``, the mean over all regions, and ``loss_box_reg``, smooth L1 of the
            objects' regressions over the number of all regions.
        """
        logits, deltas = found
        wanted = self.box_coder.encode_single(matched, boxes)
        objects = labels > 0
        distance = F.smooth_l1_loss(deltas[objects], wanted[objects], reduction="sum")
        return {
            "loss_objectness": F.binary_cross_entropy_with_logits(logits, labels),
            "loss_box_reg": distance / len(labels),
        }


class RegionLocalizer(nn.Module):
    """A trained R-CNN with the RPN that proposes to it, and each one's preparation of its input.

    Args:
        proposer: the RPN.
        rcnn: what judges and moves its boxes.
        mean: of each channel, subtracted from the R-CNN's input in [0, 1], (3, 1, 1).
        std: what that input is divided by after that, (3, 1, 1).
        crop: the side of the square that a region is warped to, in pixels.
        context: how many of these, on each side, show what is around it.
        proposals: how many boxes of an image are proposed for a class.
        nms_iou: a proposal that overlaps a better one by more than this is left out.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        proposer: Localizer,
        rcnn: PerClassRCNN,
        mean: Tensor,
        std: Tensor,
        *,
        crop: int,
        context: int,
        proposals: int,
        nms_iou: float,
    ) -> None:
        super().__init__()
        self.proposer, self.rcnn = proposer, rcnn
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.crop, self.context = crop, context
        self.proposals, self.nms_iou = proposals, nms_iou

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names, in order."""
        return self.proposer.classes

    @property
    def warp(self) -> Warp:
        """How it sees a region: beyond the image's edge is the mean's colour, which becomes 0."""
        red, green, blue = (round(255 * value) for value in self.mean.flatten().tolist())
        return Warp(self.crop, self.context, (red, green, blue))

    @torch.inference_mode()
    def forward(self, squares: Tensor, classes: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Return where regions are moved to, and how certain they are to be objects.

        Args:
            squares: the regions as they are seen, (R, 3, crop, crop) uint8.
            classes: that of each, (R,) int64 from 0.
            boxes: where they are, (R, 4).

        Returns:
            Boxes (R, 4), in what the given ones are measured in, and logits (R,).
        """
        x = prepare(squares, self.mean, self.std).contiguous(memory_format=torch.channels_last)
        logits, deltas = self.rcnn(x, classes)
        return self.rcnn.box_coder.decode_single(deltas, boxes), logits
