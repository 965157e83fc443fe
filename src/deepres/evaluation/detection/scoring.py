"""Detections scored by the rule of the benchmark they are for; from result files too."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from deepres.data.detection.records import Detections, DetectionSet
from deepres.errors import UserError, unknown_name
from deepres.evaluation.detection.coco import CocoResult, evaluate_coco, evaluate_coco_results
from deepres.evaluation.detection.precision import AveragePrecision
from deepres.evaluation.detection.result_files import read_coco, read_imagenet_det, read_voc
from deepres.evaluation.detection.voc import evaluate_imagenet_det, evaluate_voc

Rule = Literal["11-point", "area", "imagenet-det", "coco"]


def benchmark_rule(dataset: DetectionSet) -> Rule:
    """Return the rule that a set's benchmark is scored by; a user's own set has VOC's latest."""
    if dataset.annotations is not None:
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


def evaluate_result_files(
    dataset: DetectionSet, path: Path, rule: Rule, *, masks: bool = False
) -> AveragePrecision | CocoResult:
    """Score what someone's detector has written in the format of the rule's benchmark.

    Args:
        dataset: what there is to find.
        path: VOC's rules: the folder of comp4_det_<set>_<class>.txt; imagenet-det: a text file;
            coco: a JSON file.
        rule: as in :func:`evaluate_detections`.
        masks: whether to compare masks, which only COCO's files have, or boxes.

    Raises:
        UserError: a file is missing or malformed, or cannot be scored.
    """
    if rule not in get_args(Rule):
        raise unknown_name("rule", rule, get_args(Rule))
    if rule == "coco":
        return evaluate_coco_results(dataset, read_coco(path, dataset), masks=masks)
    if masks:
        raise UserError(f"the rule {rule} compares boxes; masks are compared by coco")
    read = read_imagenet_det if rule == "imagenet-det" else read_voc
    return evaluate_detections(dataset, read(path, dataset), rule)
