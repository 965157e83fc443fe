import math

import pytest
import torch
from small_detector import CLASSES, SETTINGS, images, small_classifier, small_detector
from torch import Tensor, nn
from torchvision.ops import box_iou

from deepres.detection.faster_rcnn import Detector, create_detector
from deepres.detection.inference import Improvements, detect, improvements_in_use, pick
from deepres.detection.scored import Scored
from deepres.errors import UserError


@pytest.mark.parametrize(
    ("changes", "improvements"),
    [
        ({"masks": True, "score_threshold": 0.2}, Improvements()),
        ({"global_context": True}, Improvements(scales=(SETTINGS.short_side,))),
    ],
)
@torch.inference_mode()
def test_without_improvements_it_is_the_detector_itself(
    changes: dict[str, bool], improvements: Improvements
) -> None:
    """One scale, that of the detector, is no improvement."""
    detector = small_detector(**changes).eval()
    found = detect([detector], images(), improvements)
    for detections, image in zip(found, images(), strict=True):
        (expected,) = detector([image])
        assert len(expected["boxes"]) > 3
        torch.testing.assert_close(detections.boxes, expected["boxes"], rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(detections.scores, expected["scores"])
        assert detections.labels.equal(expected["labels"])
        if detector.settings.masks:
            assert detections.masks is not None
            assert detections.masks.equal(expected["masks"][:, 0] >= 0.5)
            assert detections.masks.any()


def shrinking(factor: float, probability: float) -> Detector:
    """A detector that makes every region narrower by ``factor``, and is as sure of each.

    Of all proposals there is one, and of the classes dogs alone pass the threshold.
    """
    detector = small_detector(proposals_test=1, score_threshold=0.3).eval()
    predictor = detector.roi_heads.box_predictor
    for parameter in predictor.parameters():
        nn.init.zeros_(parameter)
    others = (1 - probability) / 3
    predictor.cls_score.bias.data = torch.tensor([others, others, probability, others]).log()
    predictor.bbox_pred.bias.data = torch.tensor([0, 0, 5 * math.log(factor), 0]).repeat(4)
    return detector


def widths(boxes: Tensor) -> Tensor:
    return boxes[:, 2] - boxes[:, 0]


@torch.inference_mode()
def test_refinement_end_to_end() -> None:
    """The two boxes overlap by 0.9, so one is suppressed; both vote, with equal scores."""
    detector = shrinking(0.9, 0.6)
    image = images()[:1]
    (proposal,) = detector.propose(image)
    (plain,) = detect([detector], image)
    torch.testing.assert_close(widths(plain.boxes), 0.9 * widths(proposal))
    (refined,) = detect([detector], image, Improvements(box_refinement=True))
    torch.testing.assert_close(widths(refined.boxes), (0.9 + 0.81) / 2 * widths(proposal))
    torch.testing.assert_close(refined.scores, torch.tensor([0.6]))
    assert refined.labels.tolist() == [2]


@torch.inference_mode()
def test_an_ensembles_scores_and_boxes_are_means_over_the_union_of_proposals() -> None:
    members = [shrinking(0.9, 0.6), shrinking(0.7, 0.4)]
    members[1].rpn.head.cls_logits.weight.data.neg_()  # it likes best what the first likes least
    image = images()[:1]
    proposals = torch.cat([member.propose(image)[0] for member in members])
    assert box_iou(proposals, proposals)[0, 1] < 0.2
    (found,) = detect(members, image)
    expected = 0.8 * widths(proposals)
    torch.testing.assert_close(widths(found.boxes).sort().values, expected.sort().values)
    torch.testing.assert_close(found.scores, torch.tensor([0.5, 0.5]))


@torch.inference_mode()
def test_an_ensemble_of_equals_is_no_other() -> None:
    detector = small_detector().eval()
    (one,), (two,) = detect([detector], images()[:1]), detect([detector] * 2, images()[:1])
    torch.testing.assert_close(one.boxes, two.boxes)
    torch.testing.assert_close(one.scores, two.scores)


def test_members_must_find_the_same() -> None:
    other = create_detector(small_classifier(), ("cow", *CLASSES[1:]), SETTINGS)
    with pytest.raises(UserError, match="got cat, dog, hen and cow, dog, hen"):
        detect([small_detector(), other], images())
    with pytest.raises(UserError, match="no detector"):
        detect([], images())


def test_a_scale_of_no_pixels_is_refused() -> None:
    with pytest.raises(UserError, match="at least 1; got 200, 0"):
        Improvements(scales=(200, 0))


def test_multi_scale_testing_sees_other_features() -> None:
    detector = small_detector().eval()
    (plain,) = detect([detector], images()[:1])
    (found,) = detect([detector], images()[:1], Improvements(scales=(64, 96, 128)))
    assert not found.scores.equal(plain.scores)


def test_each_class_is_suppressed_by_itself() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 2, 10], [5, 5, 5, 9]])
    scores = torch.tensor([[0.2, 0.8, 0.0], [0.4, 0.6, 0.0], [0.3, 0.5, 0.2], [0.0, 0.3, 0.7]])
    found = Scored(scores, boxes[:, None].repeat(1, 3, 1))
    settings = small_detector(score_threshold=0.1, detections=2).settings
    kept, certainty, labels = pick(found, settings, voting=False)
    # 0.6 overlaps 0.8 by 0.9; the region without width is none; class 2's 0.2 is a third too many.
    assert kept.tolist() == [[0, 0, 10, 10], [0, 0, 2, 10]]
    torch.testing.assert_close(certainty, torch.tensor([0.8, 0.5]))
    assert labels.tolist() == [1, 1]
    kept, _, _ = pick(found, settings, voting=True)
    torch.testing.assert_close(kept[0, 3], torch.tensor((0.8 * 10 + 0.6 * 9) / 1.4))


def test_improvements_have_names() -> None:
    everything = Improvements(box_refinement=True, scales=(64, 96))
    with_context = small_detector(global_context=True)
    assert improvements_in_use([with_context], everything) == [
        *("box refinement", "global context", "multi-scale"),
    ]
    assert improvements_in_use([small_detector()], Improvements()) == []


@pytest.mark.parametrize("part", ["backbone.conv1.weight", "roi_heads.box_predictor"])
def test_nan_is_no_detection(part: str) -> None:
    detector = small_detector().eval()
    spoilt = [tensor for name, tensor in detector.state_dict().items() if name.startswith(part)]
    assert spoilt
    for tensor in spoilt:
        tensor.fill_(torch.nan)
    with pytest.raises(UserError, match="the network's answer is no finite number"):
        detect([detector], images())
