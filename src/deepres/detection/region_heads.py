"""The second stage: what is in each region, and where. torchvision's, trained as published."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.ops import box_iou

from deepres.detection.backbones import STRIDE, Halves
from deepres.detection.context import beside_context, with_whole_image, without_context
from deepres.detection.masks import mask_layers, mask_loss, mask_probabilities
from deepres.detection.roi_pooling import RoIPooling
from deepres.recipes.detector import DetectorSettings

Target = dict[str, Tensor]


class RegionHeads(RoIHeads):  # type: ignore[misc]
    """RoI pooling, the per-region layers, and two sibling layers: classes and box regression.

    It departs from torchvision in what counts as background, in the regression loss, and in the
    features: with the whole image's beside them, if ``global_context``, and shared with the masks.
    """

    def __init__(self, halves: Halves, classes: int, settings: DetectorSettings) -> None:
        channels = halves.region_channels * (2 if settings.global_context else 1)
        super().__init__(
            RoIPooling(halves.region_size, settings.roi_pooling, STRIDE),
            halves.region,
            sibling_layers(channels, classes),
            fg_iou_thresh=settings.region_foreground_iou,
            bg_iou_thresh=settings.region_foreground_iou,
            batch_size_per_image=settings.regions_sampled,
            positive_fraction=settings.region_foreground_fraction,
            bbox_reg_weights=settings.box_weights,
            score_thresh=settings.score_threshold,
            nms_thresh=settings.nms_iou,
            detections_per_img=settings.detections,
        )
        self.background_iou = settings.region_background_iou
        self.box_loss_beta = settings.box_loss_beta
        self.global_context = settings.global_context
        self.vector_length = halves.region_channels
        if settings.masks:
            self.mask_predictor = mask_layers(halves, classes)

    def has_mask(self) -> bool:
        """Tell whether each detection's outline is predicted too."""
        return self.mask_predictor is not None

    def assign_targets_to_proposals(
        self, proposals: list[Tensor], gt_boxes: list[Tensor], gt_labels: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return which object each proposal (R, 4) matches, and its label.

        The label is 0 for background and −1, left out of training, for what overlaps no object
        by ``background_iou``. In an image without objects all is background.
        """
        matched, labels = super().assign_targets_to_proposals(proposals, gt_boxes, gt_labels)
        for boxes, objects, of_image in zip(proposals, gt_boxes, labels, strict=True):
            if len(objects):
                of_image[box_iou(objects, boxes).amax(0) < self.background_iou] = -1
        return matched, labels

    def describe(
        self, features: dict[str, Tensor], boxes: list[Tensor], image_sizes: list[tuple[int, int]]
    ) -> tuple[Tensor, Tensor]:
        """Run the per-region layers.

        Args:
            features: the shared map, (N, C, H, W).
            boxes: those of each image, (R, 4), in pixels of the scaled image.
            image_sizes: height and width of each scaled image.

        Returns:
            Over all regions: what conv5_x puts out, and what the sibling layers take.
        """
        if self.global_context:
            boxes = with_whole_image(boxes, image_sizes)
        maps = self.box_head.maps(self.box_roi_pool(features, boxes, image_sizes))
        vectors = self.box_head.vectors(maps)
        if self.global_context:
            counts = [len(of_image) for of_image in boxes]
            maps, vectors = without_context(maps, counts), beside_context(vectors, counts)
        return maps, vectors

    def vectors(
        self, features: dict[str, Tensor], boxes: list[Tensor], image_sizes: list[tuple[int, int]]
    ) -> Tensor:
        """Return the vectors (sum of R, D) of regions by themselves, without any context."""
        vectors: Tensor = self.box_head(self.box_roi_pool(features, boxes, image_sizes))
        return vectors

    def forward(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[Target] | None = None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        """Return each image's detections, or in training mode the losses, as RoIHeads does."""
        if self.training:
            return [], self._losses(features, proposals, image_shapes, targets)
        _, vectors = self.describe(features, proposals, image_shapes)
        found = self.postprocess_detections(*self.box_predictor(vectors), proposals, image_shapes)
        names = ("boxes", "scores", "labels")
        detections = [
            dict(zip(names, of_image, strict=True)) for of_image in zip(*found, strict=True)
        ]
        if self.has_mask():
            boxes = [of_image["boxes"] for of_image in detections]
            for of_image, masks in zip(
                detections,
                self.masks(features, boxes, [d["labels"] for d in detections], image_shapes),
                strict=True,
            ):
                of_image["masks"] = masks
        return detections, {}

    def masks(
        self,
        features: dict[str, Tensor],
        boxes: list[Tensor],
        labels: list[Tensor],
        image_sizes: list[tuple[int, int]],
    ) -> list[Tensor]:
        """Return (R, 1, size, size) of each image: how likely a point of a box is its object's."""
        maps = self.box_head.maps(self.box_roi_pool(features, boxes, image_sizes))
        return mask_probabilities(self.mask_predictor(maps), labels)

    def _losses(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_sizes: list[tuple[int, int]],
        targets: list[Target] | None,
    ) -> dict[str, Tensor]:
        boxes, matched, labels, regression = self.select_training_samples(proposals, targets)
        assert targets is not None
        maps, vectors = self.describe(features, boxes, image_sizes)
        logits, deltas = self.box_predictor(vectors)
        all_labels = torch.cat(labels)
        losses = region_losses(
            logits, deltas, all_labels, torch.cat(regression), self.box_loss_beta
        )
        if self.has_mask():
            logits = self.mask_predictor(maps[all_labels > 0])
            losses["loss_mask"] = mask_loss(logits, boxes, labels, matched, targets)
        return losses


def region_losses(
    logits: Tensor, deltas: Tensor, labels: Tensor, targets: Tensor, beta: float
) -> dict[str, Tensor]:
    """Return Fast R-CNN's losses: ``loss_classifier`` and ``loss_box_reg``.

    As torchvision's ``fastrcnn_loss``, which has ``beta`` = 1/9.

    Args:
        logits: (R, classes), the background first.
        deltas: (R, 4·classes), the regression for each class.
        labels: (R,), 0 for background.
        targets: (R, 4), what the regression for a region's own class should be.
        beta: where smooth L1 turns from a parabola to a line.
    """
    (objects,) = torch.where(labels > 0)
    of_class = deltas.reshape(len(labels), -1, 4)[objects, labels[objects]]
    distance = F.smooth_l1_loss(of_class, targets[objects], beta=beta, reduction="sum")
    return {
        "loss_classifier": F.cross_entropy(logits, labels),
        "loss_box_reg": distance / len(labels),
    }


def sibling_layers(channels: int, classes: int) -> FastRCNNPredictor:
    """Build the two sibling layers, initialised as in Fast R-CNN: std 0.01 and 0.001."""
    layers = FastRCNNPredictor(channels, classes)
    for layer, std in ((layers.cls_score, 0.01), (layers.bbox_pred, 0.001)):
        nn.init.normal_(layer.weight, std=std)
        nn.init.zeros_(layer.bias)
    return layers
