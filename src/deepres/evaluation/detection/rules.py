"""By which rule the benchmark of a data set is scored."""

from typing import Literal

from deepres.data.detection.records import DetectionSet

Rule = Literal["11-point", "area", "imagenet-det", "coco"]
"""VOC's until 2009 and since 2010, ImageNet DET's, and COCO's."""


def benchmark_rule(dataset: DetectionSet) -> Rule:
    """Return the rule that a set's benchmark is scored by; a user's own set has VOC's latest."""
    if dataset.annotations:
        return "coco"
    if dataset.name.startswith("VOC 2007"):
        return "11-point"
    return "imagenet-det" if dataset.name.startswith("ImageNet DET") else "area"
