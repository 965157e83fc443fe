"""Detections scored by the rule of the benchmark they are for."""

from collections.abc import Mapping
from typing import Literal

from deepres.data.detection.records import Detections, DetectionSet
from deepres.evaluation.detection.average_precision import AveragePrecision
from deepres.evaluation.detection.coco import CocoResult, evaluate_coco
from deepres.evaluation.detection.voc import evaluate_imagenet_det, evaluate_voc

Rule = Literal["11-point", "area", "imagenet-det", "coco"]


def benchmark_rule(dataset: DetectionSet) -> Rule:
    """Return the rule that a set's benchmark is scored by; a user's own set has VOC's latest."""
    if dataset.annotations:
        return "coco"
    if dataset.name.startswith("VOC 2007"):
        return "11-point"
    return "imagenet-det" if dataset.name.startswith("ImageNet DET") else "area"


def evaluate_detections(
    dataset: DetectionSet, found: Mapping[str, Detections], rule: Rule
) -> AveragePrecision | CocoResult:
    """Score boxes.

    Args:
        dataset: what there is to find.
        found: by image id; images without detections may be missing.
        rule: 11-point (VOC until 2009), area (VOC since 2010), imagenet-det, or coco.

    Raises:
        UserError: it is not known what is on the images, nothing is, ``found`` is of others, or
            the rule is COCO's and the data set is not.
    """
    if rule == "coco":
        return evaluate_coco(dataset, found)
    if rule == "imagenet-det":
        return evaluate_imagenet_det(dataset, found)
    return evaluate_voc(dataset, found, rule)
