"""The C4 detector against one assembled by hand from torchvision's own modules."""

import dataclasses
from collections import OrderedDict

import pytest
import torch
import torchvision
from small_detector import CLASSES, SETTINGS, images, lively, small_classifier, targets
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor
from torchvision.models.detection.rpn import AnchorGenerator, RPNHead
from torchvision.ops import FrozenBatchNorm2d, MultiScaleRoIAlign, roi_pool

from deepres.detection.faster_rcnn import Detector, create_detector

# What torchvision cannot express, set to what it has.
AS_TORCHVISION = {
    "rpn_channels": 256,  # those of conv4_x
    "train_border_anchors": True,
    "region_background_iou": 0.0,
    "box_loss_beta": 1 / 9,
}


class RoIMaxPool(MultiScaleRoIAlign):
    def forward(
        self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]
    ) -> Tensor:
        return roi_pool(x["0"], boxes, self.output_size, 1 / 16)


def by_hand(pooling: str, mean: list[float], std: list[float]) -> FasterRCNN:
    body = torchvision.models.resnet18(norm_layer=FrozenBatchNorm2d)
    lively(body)
    names = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3")
    backbone = nn.Sequential(OrderedDict((name, getattr(body, name)) for name in names))
    backbone.out_channels = 256
    ends = (("layer4", body.layer4), ("avgpool", body.avgpool), ("flatten", nn.Flatten()))
    make_pool = RoIMaxPool if pooling == "max" else MultiScaleRoIAlign
    model = FasterRCNN(
        backbone,
        min_size=SETTINGS.short_side,
        max_size=SETTINGS.long_side,
        image_mean=mean,
        image_std=std,
        size_divisible=16,
        rpn_anchor_generator=AnchorGenerator((SETTINGS.anchor_sizes,), ((0.5, 1.0, 2.0),)),
        rpn_head=RPNHead(256, 6),
        rpn_pre_nms_top_n_train=SETTINGS.proposals_before_nms_train,
        rpn_pre_nms_top_n_test=SETTINGS.proposals_before_nms_test,
        rpn_post_nms_top_n_train=SETTINGS.proposals_train,
        rpn_post_nms_top_n_test=SETTINGS.proposals_test,
        rpn_nms_thresh=0.7,
        rpn_fg_iou_thresh=0.7,
        rpn_bg_iou_thresh=0.3,
        rpn_batch_size_per_image=SETTINGS.rpn_sampled,
        rpn_positive_fraction=0.5,
        box_roi_pool=make_pool(["0"], 14, 2),
        box_head=nn.Sequential(OrderedDict(ends)),
        box_predictor=FastRCNNPredictor(512, 1 + len(CLASSES)),
        box_score_thresh=0.0,
        box_nms_thresh=0.3,
        box_detections_per_img=100,
        box_fg_iou_thresh=0.5,
        box_bg_iou_thresh=0.5,
        box_batch_size_per_image=SETTINGS.regions_sampled,
        box_positive_fraction=0.25,
    )
    model.rpn.min_size = SETTINGS.proposal_min_size
    return model


def pair(pooling: str, *, masks: bool = False) -> tuple[Detector, FasterRCNN]:
    """Two detectors with the same weights, ours from theirs, strictly."""
    settings = dataclasses.replace(SETTINGS, roi_pooling=pooling, masks=masks, **AS_TORCHVISION)
    ours = create_detector(
        small_classifier("resnet18", shortcut="B"), CLASSES, settings
    )  # torchvision's
    torch.manual_seed(2)
    theirs = by_hand(pooling, ours.mean.tolist(), ours.std.tolist())
    if masks:
        theirs.roi_heads.mask_predictor = MaskRCNNPredictor(512, 256, 1 + len(CLASSES))
    ours.load_state_dict(theirs.state_dict())
    if masks:
        theirs.roi_heads.mask_roi_pool = theirs.roi_heads.box_roi_pool
        theirs.roi_heads.mask_head = theirs.roi_heads.box_head.layer4
    return ours, theirs


@pytest.mark.parametrize(("pooling", "masks"), [("max", False), ("align", True)])
def test_the_losses_and_their_gradients(pooling: str, masks: bool) -> None:
    ours, theirs = pair(pooling, masks=masks)
    names = ["backbone.layer3.0.conv1.weight", "rpn.head.conv.0.0.weight"]
    names.append("roi_heads.box_head.layer4.0.conv1.weight")
    results = []
    for detector in (ours, theirs):
        torch.manual_seed(3)
        losses = detector.train()(images(), targets())
        sum(losses.values()).backward()
        results.append((losses, [detector.get_parameter(name).grad for name in names]))
    (our_losses, our_grads), (their_losses, their_grads) = results
    assert min(our_losses.values()) > 1e-3
    torch.testing.assert_close(our_losses, their_losses)
    torch.testing.assert_close(our_grads, their_grads)


@pytest.mark.parametrize(("pooling", "masks"), [("max", True), ("align", False)])
@torch.inference_mode()
def test_the_proposals_and_detections(pooling: str, masks: bool) -> None:
    ours, theirs = pair(pooling, masks=masks)
    theirs.eval()
    scaled, _ = theirs.transform(images())
    expected, _ = theirs.rpn(scaled, {"0": theirs.backbone(scaled.tensors)})
    found = ours.eval().propose(images())
    for of_image, boxes, scaled_size, image in zip(
        found, expected, scaled.image_sizes, images(), strict=True
    ):
        assert len(of_image) == SETTINGS.proposals_test
        factor = torch.tensor(image.shape[1:]) / torch.tensor(scaled_size)
        torch.testing.assert_close(of_image, boxes * factor.flip(0).repeat(2))

    found, expected = ours(images()), theirs(images())
    assert all(len(detections["boxes"]) > 5 for detections in expected)
    torch.testing.assert_close(found, expected)
