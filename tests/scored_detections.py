"""Detections scored as the product scores them, for tests."""

from collections.abc import Mapping

from deepres.data.detection.records import Detections, DetectionSet
from deepres.evaluation.detection.average_precision import AveragePrecision
from deepres.evaluation.detection.coco import (
    CocoDetection,
    CocoResult,
    as_coco,
    coco_ids,
    evaluate_coco,
)
from deepres.evaluation.detection.detector_inference import DetectionResults
from deepres.evaluation.detection.rules import Rule


def in_cocos_format(dataset: DetectionSet, found: Mapping[str, Detections]) -> list[CocoDetection]:
    ids = coco_ids(dataset)
    return [entry for image, each in found.items() for entry in as_coco(image, each, ids)]


def scored_by_coco(
    dataset: DetectionSet, found: Mapping[str, Detections], *, masks: bool = False
) -> CocoResult:
    return evaluate_coco(dataset, in_cocos_format(dataset, found), masks=masks)


def scored(
    dataset: DetectionSet, found: Mapping[str, Detections], rule: Rule
) -> AveragePrecision | CocoResult:
    if rule == "coco":
        return scored_by_coco(dataset, found)
    return DetectionResults(dataset, rule, dict(found), []).result()
