import dataclasses
import json
import math

import pytest

from deepres.errors import UserError
from deepres.recipes.detector import COCO, VOC, DetectorSettings


def test_the_published_numbers() -> None:
    """Ren et al. 2015 (§3 and the released code) and Girshick 2015 (§2.3); COCO's: 2017."""
    assert (VOC.short_side, VOC.long_side) == (600, 1000)
    assert (VOC.anchor_sizes, VOC.anchor_ratios) == ((128, 256, 512), (0.5, 1.0, 2.0))
    assert (VOC.rpn_channels, VOC.rpn_foreground_iou, VOC.rpn_background_iou) == (512, 0.7, 0.3)
    assert (VOC.rpn_sampled, VOC.rpn_foreground_fraction) == (256, 0.5)
    assert not VOC.train_border_anchors
    assert (VOC.proposals_before_nms_train, VOC.proposals_train) == (12_000, 2_000)
    assert (VOC.proposals_before_nms_test, VOC.proposals_test) == (6_000, 300)
    assert (VOC.proposal_nms_iou, VOC.proposal_min_size) == (0.7, 16)
    assert (VOC.roi_pooling, VOC.batch_norm, VOC.frozen_stages) == ("max", "frozen", 2)
    assert (VOC.regions_sampled, VOC.region_foreground_fraction) == (64, 0.25)
    assert (VOC.region_foreground_iou, VOC.region_background_iou) == (0.5, 0.1)
    assert (VOC.box_weights, VOC.box_loss_beta) == ((10, 10, 5, 5), 1)
    assert (VOC.score_threshold, VOC.nms_iou, VOC.detections) == (0.05, 0.3, 100)
    of_coco = {"anchor_sizes": (64, 128, 256, 512), "region_background_iou": 0}
    assert dataclasses.replace(VOC, **of_coco) == COCO


@pytest.mark.parametrize("settings", [VOC, COCO, dataclasses.replace(VOC, masks=True)])
def test_settings_survive_json(settings: DetectorSettings) -> None:
    fields = json.loads(json.dumps(dataclasses.asdict(settings)))
    assert DetectorSettings.from_dict(fields) == settings


def test_fields_of_another_version_are_named() -> None:
    with pytest.raises(UserError, match="does not know anchors_per_cell"):
        DetectorSettings.from_dict({"anchors_per_cell": 15})


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("roi_pooling", "mean", "one of max, align, got mean"),
        ("proposals_test", 0, "at least 1, got 0"),
        ("nms_iou", 1.5, r"in \[0, 1\], got 1.5"),
        ("anchor_sizes", (), "numbers above 0"),
        ("anchor_ratios", (1.0, -1.0), "numbers above 0"),
        ("box_weights", (10.0, 5.0), "four numbers"),
        ("anchor_ratios", (1.0, math.nan), "numbers above 0"),
        ("anchor_sizes", (64, 64), "rising"),
        ("proposal_min_size", math.inf, "finite"),
        ("box_loss_beta", math.inf, "finite"),
        ("box_loss_beta", 0.0, "above 0"),
        ("long_side", 500, "at least short_side"),
        ("frozen_stages", 5, "0 to 4"),
        ("rpn_background_iou", 0.8, "at most rpn_foreground_iou"),
        ("region_background_iou", 0.8, "at most region_foreground_iou"),
        ("proposal_min_size", -1.0, "0 or more"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(field: str, value: object, expected: str) -> None:
    with pytest.raises(UserError, match=f"{field} must be {expected}"):
        dataclasses.replace(VOC, **{field: value})
