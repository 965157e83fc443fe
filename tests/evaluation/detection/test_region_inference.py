from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from runs import NotingBar, on_cpu
from small_localization import tiny_imagenet
from torch import Tensor, nn

from deepres.data.detection.boxed_images import BoxedImages
from deepres.data.detection.localization import open_localization_test
from deepres.data.detection.warped_regions import Proposals, Warp
from deepres.data.images import BadImage
from deepres.evaluation.detection.localizer_inference import propose
from deepres.evaluation.detection.region_inference import locate_by_regions

PROPOSED = [[0.0, 0, 20, 20], [1.0, 0, 20, 20], [30.0, 10, 60, 50], [0.0, 40, 30, 64]]


class Proposer(nn.Module):
    """Proposes the same boxes in every image, from the surest on; for class 1 the other way."""

    crop, short_side = 64, 64

    def forward(self, images: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        boxes = torch.tensor(PROPOSED).expand(*classes.shape, 4, 4)
        scores = torch.tensor([3.0, 2, 1, 0])
        return boxes, torch.where(classes[..., None] == 0, scores, -scores)


class Judge(nn.Module):
    """Is surest of the brightest region, and moves each box by one pixel; an R-CNN's stand-in."""

    proposals, nms_iou = 3, 0.7

    def __init__(
        self, shift: Sequence[float] = (1, 1, 1, 1), factor: float = 1.0, bias: float = 0.0
    ) -> None:
        super().__init__()
        self.proposer, self.warp = Proposer(), Warp(16, 2, (0, 0, 0))
        self.shift, self.factor, self.bias = torch.tensor(shift), factor, bias

    def forward(self, squares: Tensor, classes: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        bright = squares.float().mean((1, 2, 3)) / 255
        return boxes + self.shift, self.factor * bright + self.bias


@pytest.fixture
def images(tmp_path: Path) -> BoxedImages:
    """Bright where the third proposal is, and where the fourth is."""
    boxes = [(30.0, 10.0, 59.0, 49.0), (0.0, 40.0, 29.0, 63.0)]
    folder = tiny_imagenet(tmp_path, {"n01": boxes[:1]}, [("n01", box) for box in boxes])
    return BoxedImages.of(open_localization_test(folder))


def test_proposals_are_the_surest_that_overlap_little(images: BoxedImages) -> None:
    classes = torch.tensor([[0, 1], [1, 0]])

    def found(count: int) -> Proposals:
        here = on_cpu(workers=0)
        return propose(Proposer(), images, classes, "single-scale", here, count=count, nms_iou=0.7)

    two = found(2)
    assert two.of(0, 0).tolist() == [PROPOSED[0], PROPOSED[2]]  # the second is like the first
    assert two.of(0, 1).tolist() == two.of(1, 0).tolist() == [PROPOSED[3], PROPOSED[2]]
    assert found(9).counts.tolist() == [[3, 3], [3, 3]]


def test_of_several_scales_all_boxes_are_candidates(images: BoxedImages) -> None:
    """The proposer names pixels of what it sees; its image has 64, 73, 110, 137 and 183."""
    classes = torch.zeros(2, 1, dtype=torch.int64)
    found = propose(
        *(Proposer(), images, classes, "multi-scale", on_cpu(workers=0)), count=20, nms_iou=0.99
    )
    assert found.counts[0, 0] == 5 * 4
    widths = (found.of(0, 0)[:, 2] - found.of(0, 0)[:, 0]).unique()
    assert len(widths) > 5


def test_the_surest_region_is_taken_and_moved(images: BoxedImages) -> None:
    classes = torch.tensor([[0, 1], [0, 1]])
    bar = NotingBar()
    execution = on_cpu(workers=1, progress=bar)
    boxes = locate_by_regions([Judge()], images, classes, "single-scale", execution)
    third, fourth = [31, 11, 61, 51], [1, 41, 31, 64]  # what is beyond the edge is cut off
    assert boxes.tolist() == [[third, third], [fourth, fourth]]
    assert bar.updates[-1] == 4


def test_an_ensemble_averages_probabilities_and_boxes(images: BoxedImages) -> None:
    """The second member doubts all, what is bright the most: the mean of logits would be dark."""
    classes = torch.zeros(2, 1, dtype=torch.int64)
    members = [Judge(), Judge((3, 1, 3, 1), factor=-4.0, bias=-4.0)]
    boxes = locate_by_regions(members, images, classes, "single-scale", on_cpu(workers=0))
    x1, y1, x2, y2 = PROPOSED[2]
    assert boxes[0, 0].tolist() == [x1 + 2, y1 + 1, x2 + 2, y2 + 1]


def test_images_that_cannot_be_decoded_are_named(images: BoxedImages) -> None:
    images.paths[1].unlink()
    classes = torch.zeros(2, 1, dtype=torch.int64)
    with pytest.raises(BadImage, match=r"val_1.JPEG: no such file"):
        locate_by_regions([Judge()], images, classes, "single-scale", on_cpu(workers=0))
