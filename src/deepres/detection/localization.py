"""Appendix C's localization network: an RPN of its own for each class, on a classifier's layers.

It is told the class and says where the object is. For each anchor and class there is one logistic
output and one box regressor. Each class's RPN learns from the images of that class.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision.models.detection.rpn import AnchorGenerator, RegionProposalNetwork, RPNHead
from torchvision.ops import clip_boxes_to_image

from deepres.data.transforms import prepare
from deepres.detection.backbones import freeze_batch_norm
from deepres.errors import UserError
from deepres.models.stages import StagedNetwork

ASPECT_RATIOS = (0.5, 1.0, 2.0)
"""Height to width of the anchors."""


class Candidates(NamedTuple):
    """What each anchor says of some classes."""

    logits: Tensor
    """(N, K, anchors)."""
    deltas: Tensor
    """(N, K, anchors, 4): how the anchor is to be moved, in torchvision's code for boxes."""
    anchors: Tensor
    """(anchors, 4), in pixels of the input."""


class PerClassRPN(nn.Module):
    """A network's convolutional layers, then an RPN whose two last layers are per class.

    Its weights are those of torchvision's ``RPNHead`` with all classes' anchors, class by class:
    rows A·c to A·(c + 1) of ``head.cls_logits`` are class c's. Only the rows of the classes that
    are asked for are computed. BN stays as it is (the paper's §4.3).

    Args:
        network: it is taken over: the stages after ``stage`` are removed, and BN is frozen.
        stage: the last stage to keep, conv4_x or conv5_x.
        classes: how many there are.
        anchor_sizes: square roots of the anchors' areas, in pixels.
        anchors_per_image: how many of an image are drawn for the losses, up to half of them
            positive.
    """

    def __init__(
        self,
        network: StagedNetwork,
        stage: str,
        classes: int,
        anchor_sizes: Sequence[int],
        anchors_per_image: int = 8,
    ) -> None:
        super().__init__()
        keep_stages_to(network, stage)
        freeze_batch_norm(network)
        self.network = network
        self.classes = classes
        with torch.no_grad():
            probe = next(network.parameters()).new_zeros(1, 3, 64, 64)
            _, channels, _, width = network.feature_map(probe).shape
        self.stride = 64 // width
        generator = AnchorGenerator((tuple(anchor_sizes),), (ASPECT_RATIOS,))
        self.anchors_at_each = generator.num_anchors_per_location()[0]
        self.rpn = RegionProposalNetwork(
            generator,
            RPNHead(channels, self.anchors_at_each * classes),
            fg_iou_thresh=0.7,
            bg_iou_thresh=0.3,
            batch_size_per_image=anchors_per_image,
            positive_fraction=0.5,
            # Of torchvision's network the training is used; what follows would filter proposals.
            pre_nms_top_n={},
            post_nms_top_n={},
            nms_thresh=0.7,
        )
        for layer in (self.rpn.head.cls_logits, self.rpn.head.bbox_pred):
            make_classes_alike(layer.weight, classes)

    def forward(
        self, images: Tensor, classes: Tensor, boxes: Sequence[Tensor], seeds: Sequence[int]
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return the losses, and the box that is thought best in each image.

        Args:
            images: prepared, (N, 3, H, W).
            classes: that of each, (N,) int64 from 0.
            boxes: the objects of each image, (n, 4); there may be none.
            seeds: from which each image's sampled anchors are drawn.

        Returns:
            ``loss_objectness``, the logistic loss over all sampled anchors, and
            ``loss_rpn_box_reg``, the regression loss of the positive ones over the number of all
            sampled; the boxes, (N, 4), without gradient.
        """
        found = self.candidates(images, classes[:, None])
        anchors = [found.anchors] * len(images)
        targets = [{"boxes": each} for each in boxes]
        labels, matched = self.rpn.assign_targets_to_anchors(anchors, targets)
        offsets = self.rpn.box_coder.encode(matched, anchors)
        with torch.random.fork_rng(devices=[]):
            labels = [
                self._sampled(of_image, seed) for of_image, seed in zip(labels, seeds, strict=True)
            ]
            objectness, regression = self.rpn.compute_loss(  # it samples again, and takes all
                found.logits.flatten()[:, None], found.deltas.flatten(0, 2), labels, offsets
            )
        losses = {"loss_objectness": objectness, "loss_rpn_box_reg": regression}
        height, width = images.shape[-2:]
        return losses, self.best(found, (height, width))[:, 0]

    def candidates(self, images: Tensor, classes: Tensor) -> Candidates:
        """Return what each anchor says of ``classes``, K for each image, (N, K) int64 from 0."""
        hidden = self.rpn.head.conv(self.network.feature_map(images))  # (N, D, h, w)
        height, width = hidden.shape[-2:]
        logits = self._of_classes(self.rpn.head.cls_logits, hidden, classes)
        deltas = self._of_classes(self.rpn.head.bbox_pred, hidden, classes)
        return Candidates(
            logits.flatten(2),
            deltas.unflatten(3, (self.anchors_at_each, 4)).flatten(2, 3),
            self._anchors(height, width, images),
        )

    def boxes(self, found: Candidates, size: tuple[int, int]) -> Tensor:
        """Return where each anchor says that each class's object is, (N, K, anchors, 4).

        Boxes are in pixels of the input, whose height and width are ``size``, and end at its edges.
        """
        deltas = found.deltas.detach()
        anchors = found.anchors.expand_as(deltas).reshape(-1, 4)
        moved = self.rpn.box_coder.decode_single(deltas.reshape(-1, 4), anchors)
        clipped: Tensor = clip_boxes_to_image(moved, size).view_as(deltas)
        return clipped

    def best(self, found: Candidates, size: tuple[int, int]) -> Tensor:
        """Return each class's highest-scored box, (N, K, 4), as ``boxes`` does."""
        places = found.logits.detach().argmax(2)[..., None, None].expand(-1, -1, 1, 4)
        return self.boxes(found, size).gather(2, places)[:, :, 0]

    def _of_classes(self, layer: nn.Conv2d, hidden: Tensor, classes: Tensor) -> Tensor:
        """Return ``layer``'s output for each position and class, (N, K, h·w, outputs per class)."""
        weight = layer.weight.view(self.classes, -1, layer.in_channels)[classes]  # (N, K, O, D)
        assert layer.bias is not None
        bias = layer.bias.view(self.classes, -1)[classes]  # (N, K, O)
        outputs = weight.flatten(1, 2) @ hidden.flatten(2) + bias.flatten(1)[:, :, None]
        return outputs.view(*weight.shape[:3], -1).transpose(2, 3)

    def _anchors(self, height: int, width: int, like: Tensor) -> Tensor:
        """Return the anchors of a map, (height·width·A, 4), in pixels of the input."""
        generator = self.rpn.anchor_generator
        generator.set_cell_anchors(like.dtype, like.device)
        # The stride is given: torchvision would divide the input's size by the map's, which
        # is another where the size is no multiple of the stride.
        stride = torch.tensor(self.stride, device=like.device)
        anchors: Tensor = generator.grid_anchors([(height, width)], [[stride, stride]])[0]
        return anchors

    def _sampled(self, labels: Tensor, seed: int) -> Tensor:
        """Return ``labels`` with −1 for all anchors but those that are drawn."""
        torch.default_generator.manual_seed(seed)
        # On the CPU, so that every device draws the same.
        (positive,), (negative,) = self.rpn.fg_bg_sampler([labels.cpu()])
        drawn = (positive | negative).bool().to(labels.device)
        kept: Tensor = labels.where(drawn, -1)
        return kept


class Localizer(nn.Module):
    """A trained per-class RPN with the input preparation that belongs to its weights.

    Args:
        network: what was trained.
        mean: of each channel, subtracted from the input in [0, 1], (3, 1, 1).
        std: what the input is divided by after that, (3, 1, 1).
        classes: their names, in order.
        short_side: what the shorter side of an image is scaled to, in pixels.
        crop: the side of the square that it was trained on.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: PerClassRPN,
        mean: Tensor,
        std: Tensor,
        classes: tuple[str, ...],
        *,
        short_side: int,
        crop: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.classes = classes
        self.short_side = short_side
        self.crop = crop

    @torch.inference_mode()
    def forward(self, images: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Return where each class's object may be, and how certain that is.

        Args:
            images: (N, 3, H, W) uint8.
            classes: K for each image, (N, K) int64 from 0.

        Returns:
            Each anchor's boxes (N, K, anchors, 4) in the images' pixels, and logits
            (N, K, anchors).
        """
        x = prepare(images, self.mean, self.std).contiguous(memory_format=torch.channels_last)
        found = self.network.candidates(x, classes)
        height, width = images.shape[-2:]
        return self.network.boxes(found, (height, width)), found.logits


@torch.no_grad()
def make_classes_alike(weight: Tensor, classes: int) -> None:
    """Give all classes the first one's rows in a layer whose rows are theirs in turn, in place.

    So the layers before it, which all images train, learn from the start for all classes together;
    a class's own rows are trained by few images, and depart from there.
    """
    rows = weight.view(classes, -1)
    rows.copy_(rows[:1].clone().expand_as(rows))


def keep_stages_to(network: StagedNetwork, stage: str) -> None:
    """Remove the stages after ``stage``, in place; the network then ends in a feature map.

    Raises:
        UserError: it has no such stage.
    """
    names = list(network.stages)
    if stage not in names:
        raise UserError(f"the network has no stage {stage}; it has {', '.join(names)}")
    for name in names[names.index(stage) + 1 :]:
        for module in network.stages.pop(name):
            parent, _, own = module.rpartition(".")
            delattr(network.get_submodule(parent), own)
