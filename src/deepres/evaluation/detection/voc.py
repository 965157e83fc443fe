"""PASCAL VOC's rule, and ImageNet DET's, which is kinder to small objects."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from deepres.data.detection.records import Detections, DetectionSet
from deepres.evaluation.detection.average_precision import (
    AveragePrecision,
    area,
    average_precision,
    eleven_points,
)
from deepres.evaluation.detection.resampling import Bools, Floats

VocRule = Literal["11-point", "area"]

OVERLAP = 0.5
SLACK = 10
"""By how many pixels ImageNet DET lets a box be larger than an object, in width and height."""


def evaluate_voc(
    dataset: DetectionSet, found: Mapping[str, Detections], rule: VocRule
) -> AveragePrecision:
    """Score detections as VOC's development kit does.

    Each detection is held against the object of its class that it overlaps most. It is right if
    intersection over union is at least 0.5 and no more certain detection was right about that
    object; a second one is wrong. One on a difficult object does not count at all.

    Args:
        dataset: what there is to find.
        found: by image id; images without detections may be missing.
        rule: how precision is averaged: "11-point" for VOC 2007, "area" since VOC 2010.

    Raises:
        UserError: it is not known what is on the images, nothing is, or ``found`` is of others.
    """
    average = {"11-point": eleven_points, "area": area}[rule]
    return average_precision(dataset, found, _judge_as_voc, average, rule)


def evaluate_imagenet_det(
    dataset: DetectionSet, found: Mapping[str, Detections]
) -> AveragePrecision:
    """Score detections as ILSVRC's development kit does (§2.3 of its readme).

    Each detection goes to the object of its class that it overlaps most among those not found
    yet. An object of m × n pixels takes an overlap of min(0.5, mn / ((m + 10)(n + 10))).
    Precision is averaged as the area under the curve. The organisers' list of ambiguous pairs
    of image and class is not applied. Their data have no objects to ignore; one on such an object
    of other data does not count.

    Raises:
        UserError: it is not known what is on the images, nothing is, or ``found`` is of others.
    """
    return average_precision(dataset, found, _judge_as_imagenet, area, "imagenet-det")


def _judge_as_voc(overlaps: Floats, boxes: Floats, difficult: Bools) -> tuple[Bools, Bools]:
    best = overlaps.argmax(1)
    hit = overlaps.max(1) >= OVERLAP
    ignored = hit & difficult[best]
    claims = np.flatnonzero(hit & ~ignored)
    right = np.zeros(len(overlaps), dtype=bool)
    right[claims[np.unique(best[claims], return_index=True)[1]]] = True  # each object's first
    return right, ignored


def _judge_as_imagenet(overlaps: Floats, boxes: Floats, ignored: Bools) -> tuple[Bools, Bools]:
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    enough = np.minimum(OVERLAP, width * height / ((width + SLACK) * (height + SLACK)))
    right, uncounted = np.zeros((2, len(overlaps)), dtype=bool)
    free = np.ones(len(boxes), dtype=bool)
    for i, row in enumerate(overlaps):
        fitting = np.where(free & (row >= enough), row, -1)
        if fitting.max() >= 0:
            best = fitting.argmax()
            right[i], uncounted[i], free[best] = not ignored[best], ignored[best], ignored[best]
    return right, uncounted
