import dataclasses

import pytest
import torch
from small_detector import CLASSES, SETTINGS, small_classifier

from deepres.detection.backbones import split
from deepres.detection.region_heads import RegionHeads, region_losses


@pytest.fixture(scope="module")
def heads() -> RegionHeads:
    settings = dataclasses.replace(SETTINGS, region_background_iou=0.1)
    return RegionHeads(split(small_classifier().network), 1 + len(CLASSES), settings)


def test_background_overlaps_an_object_a_little(heads: RegionHeads) -> None:
    """Objects from 0.5 on, background in [0.1, 0.5), the rest left out (Girshick 2015, 2.3)."""
    objects = torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60]])
    heights = torch.tensor([10.0, 5, 4.9, 1, 0.9])  # the overlap is a tenth of it
    proposals = torch.zeros(5, 4)
    proposals[:, 2], proposals[:, 3] = 10, heights
    far = torch.tensor([[30.0, 30, 40, 40], [50, 50, 60, 60]])
    labels = torch.tensor([2, 3])
    matched, found = heads.assign_targets_to_proposals(
        [torch.cat([proposals, far])], [objects], [labels]
    )
    assert found[0].tolist() == [2, 2, 0, 0, -1, -1, 3]
    assert matched[0][[0, 1, 6]].tolist() == [0, 0, 1]


def test_an_image_without_objects_is_background(heads: RegionHeads) -> None:
    none = torch.zeros(0, 4)
    _, found = heads.assign_targets_to_proposals(
        [torch.rand(3, 4)], [none], [torch.zeros(0, dtype=torch.int64)]
    )
    assert found[0].tolist() == [0, 0, 0]


def test_losses_known_by_hand() -> None:
    labels = torch.tensor([0, 2])
    logits = torch.zeros(2, 3)
    deltas = torch.full((2, 12), 100.0)  # of no consequence but for a region's own class
    targets = torch.tensor([[9.0, 9, 9, 9], [1, 2, 3, 4]])
    deltas[1, 8:] = targets[1] + torch.tensor([0.5, -3, 0, 1])
    losses = region_losses(logits, deltas, labels, targets, beta=1.0)
    torch.testing.assert_close(losses["loss_classifier"], torch.tensor(3.0).log())
    # 0.5²/2 + (3 − 0.5) + 0 + 0.5, over two regions.
    torch.testing.assert_close(losses["loss_box_reg"], torch.tensor((0.125 + 2.5 + 0.5) / 2))


def test_regression_is_per_class(heads: RegionHeads) -> None:
    assert len(heads.box_predictor.bbox_pred.weight) == 4 * (1 + len(CLASSES))
