import dataclasses
import math

import pytest
import torch
from small_detector import SETTINGS
from torchvision.models.detection.image_list import ImageList

from deepres.detection.rpn import ProposalNetwork
from deepres.recipes.detector import COCO, VOC, DetectorSettings


@pytest.mark.parametrize(("settings", "anchors"), [(VOC, 9), (COCO, 12)])
def test_the_published_numbers_of_anchors(settings: DetectorSettings, anchors: int) -> None:
    head = ProposalNetwork(1024, settings).head
    assert head.cls_logits.weight.shape == (anchors, 512, 1, 1)
    assert head.bbox_pred.weight.shape == (4 * anchors, 512, 1, 1)


BOXES = torch.tensor(
    [
        [0.0, 0, 20, 20],  # the object itself
        [-1, 0, 20, 20],  # as good, but over the left border
        [0, 0, 20, 33],  # over the bottom
        [0, 0, 20, 11],  # IoU 0.55: neither
        [22, 0, 40, 20],  # background
        [22, 0, 41, 20],  # background, over the right border
    ]
)
OBJECT = {"boxes": torch.tensor([[0.0, 0, 20, 20]]), "size": torch.tensor([32, 40])}


@pytest.mark.parametrize(
    ("train_border_anchors", "expected"),
    [(False, [1, -1, -1, -1, 0, -1]), (True, [1, 1, -1, -1, 0, 0])],
)
def test_anchors_over_the_border_are_left_out_of_training(
    train_border_anchors: bool, expected: list[int]
) -> None:
    settings = dataclasses.replace(SETTINGS, train_border_anchors=train_border_anchors)
    (labels,), (boxes,) = ProposalNetwork(4, settings).assign_targets_to_anchors([BOXES], [OBJECT])
    assert labels.tolist() == expected
    assert boxes[labels == 1].tolist() == [[0, 0, 20, 20]] * expected.count(1)


def test_an_object_takes_the_best_of_the_anchors_inside() -> None:
    """The better one over the border does not keep the other from being its object's."""
    anchors = torch.tensor([[-10.0, 0, 20, 20], [0, 0, 20, 8], [22, 0, 40, 20]])  # IoU 0.67, 0.4, 0
    (labels,), _ = ProposalNetwork(4, SETTINGS).assign_targets_to_anchors([anchors], [OBJECT])
    assert labels.tolist() == [-1, 1, 0]


def test_an_image_smaller_than_every_anchor_is_trained_on_all() -> None:
    anchors = torch.tensor([[-10.0, 0, 30, 40], [-50, -40, -20, -1]])
    (labels,), _ = ProposalNetwork(4, SETTINGS).assign_targets_to_anchors([anchors], [OBJECT])
    assert labels.tolist() == [1, 0]


@torch.no_grad()
def test_losses_known_by_hand() -> None:
    """All anchors at probability 1/2 cost log 2; deltas that are right cost nothing."""
    settings = dataclasses.replace(SETTINGS, anchor_sizes=(16,), anchor_ratios=(1.0,))
    rpn = ProposalNetwork(4, settings)
    for parameter in rpn.parameters():
        torch.nn.init.zeros_(parameter)
    images = ImageList(torch.zeros(1, 3, 64, 64), [(64, 64)])
    features = {"0": torch.zeros(1, 4, 4, 4)}
    on_an_anchor = torch.tensor([[24.0, 24, 40, 40]])
    _, losses = rpn(images, features, [{"boxes": on_an_anchor}])
    torch.testing.assert_close(losses["loss_objectness"], torch.tensor(math.log(2)))
    assert losses["loss_rpn_box_reg"] == 0
    # Half an anchor to the right: 0.5 − 1/18 by smooth L1 with β = 1/9, over the anchors sampled.
    # Nine have their centres far enough inside; two tie for the object, and seven are background
    # but for those that overlap it by 0.3.
    _, losses = rpn(images, features, [{"boxes": on_an_anchor + torch.tensor([8.0, 0, 8, 0])}])
    torch.testing.assert_close(losses["loss_rpn_box_reg"], torch.tensor(2 * (0.5 - 1 / 18) / 9))


@torch.inference_mode()
@pytest.mark.parametrize("limit", ["proposals_before_nms", "proposals"])
def test_a_test_takes_fewer_proposals_than_training(limit: str) -> None:
    stages = ("proposals_before_nms", "proposals")
    limits = {f"{stage}_{mode}": 100 for stage in stages for mode in ("train", "test")}
    limits |= {f"{limit}_train": 9, f"{limit}_test": 7}
    settings = dataclasses.replace(SETTINGS, proposal_nms_iou=1.0, proposal_min_size=0.0, **limits)
    rpn = ProposalNetwork(4, settings).eval()
    images = ImageList(torch.zeros(1, 3, 64, 64), [(64, 64)])
    features = {"0": torch.randn(1, 4, 4, 4)}
    counts = [
        len(rpn.propose(images, features, for_training=mode)[0]) for mode in (False, True, False)
    ]
    assert counts == [7, 9, 7]


@torch.inference_mode()
@pytest.mark.parametrize(("least", "proposed"), [(15.0, True), (17.0, False)])
def test_small_proposals_are_dropped(least: float, proposed: bool) -> None:
    """Without any regression, proposals are the anchors: of 16 pixels."""
    settings = dataclasses.replace(
        SETTINGS, anchor_sizes=(16,), anchor_ratios=(1.0,), proposal_min_size=least
    )
    rpn = ProposalNetwork(4, settings).eval()
    for parameter in rpn.parameters():
        torch.nn.init.zeros_(parameter)
    images = ImageList(torch.zeros(1, 3, 64, 64), [(64, 64)])
    (boxes,), _ = rpn(images, {"0": torch.zeros(1, 4, 4, 4)})
    assert bool(len(boxes)) == proposed
