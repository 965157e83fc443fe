"""Precision and recall of ranked detections, and the two averages that VOC has had."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from deepres.data.detection.packages import detection_package
from deepres.data.detection.records import Detections, DetectionSet
from deepres.errors import UserError
from deepres.evaluation.detection.resampling import (
    AVERAGES,
    Bools,
    ClassMatches,
    Floats,
    Ints,
    resampled_precisions,
)

Judge = Callable[[Floats, Floats, Bools], tuple[Bools, Bools]]
"""Decides which detections of one class on one image are right, and which do not count.

Given the overlaps (D, N) of D detections, most certain first, with N ≥ 1 objects, the objects'
boxes (N, 4) and which of them are ignored (N,), it returns two masks of the detections."""


@dataclass(frozen=True)
class ClassCurve:
    """How one class is found: a point for each detection that counts, most certain first."""

    name: str
    objects: int
    """How many there are to find; ignored ones are not among them."""
    scores: Floats
    recall: Floats
    """Of what there is to find, how much is found down to this score; NaN without objects."""
    precision: Floats
    """Of what is found down to this score, how much is right."""
    ap: float
    """Average precision, in [0, 1]; NaN for a class without objects."""


@dataclass(frozen=True)
class AveragePrecision:
    """Average precision at one overlap, of each class and of all."""

    rule: str
    curves: tuple[ClassCurve, ...]
    matches: tuple[ClassMatches, ...] = field(compare=False, repr=False)
    """Of the same classes."""

    @property
    def ap_pct(self) -> dict[str, float]:
        """Each class's average precision in per cent; classes without objects are left out."""
        return {each.name: 100 * each.ap for each in self.curves if each.objects}

    @property
    def map_50_pct(self) -> float:
        """Its mean over the classes that have objects."""
        return sum(self.ap_pct.values()) / len(self.ap_pct)

    @property
    def noted(self) -> dict[str, Any]:
        """The result as evaluations.json has it."""
        return {"rule": self.rule, "map_50_pct": self.map_50_pct, "ap_pct": self.ap_pct}

    def resampled(self, counts: Ints) -> dict[str, Floats]:
        """Return ``map_50_pct`` (B,) for images drawn so often: ``counts``, (B, images)."""
        found = resampled_precisions(self.matches, AVERAGES[self.rule], counts)
        return {"map_50_pct": 100 * found[:, 0]}


def eleven_points(recall: Floats, precision: Floats) -> float:
    """Average the best precision at recall 0, 0.1, …, 1 or more: VOC until 2009.

    The thresholds are exact: 3 of 10 objects are a recall of 0.3, which the sum 0.1 + 0.1 + 0.1
    in floating-point numbers exceeds.
    """
    best = (precision[recall >= tenth / 10].max(initial=0) for tenth in range(11))
    return float(sum(best)) / 11


def area(recall: Floats, precision: Floats) -> float:
    """Return the area under the curve made monotone: VOC since 2010, and ImageNet DET."""
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0) * best))


def average_precision(
    dataset: DetectionSet,
    found: Mapping[str, Detections],
    judge: Judge,
    average: Callable[[Floats, Floats], float],
    rule: str,
) -> AveragePrecision:
    """Judge all detections, class by class.

    Detections of equal score keep their order: that of the data set's images, then that of the
    image's ``Detections``. On images that ``found`` lacks nothing was found.

    Args:
        dataset: what there is to find.
        found: by image id.
        judge: decides which detections are right.
        average: makes one number of recall and precision.
        rule: the name of all this.

    Raises:
        UserError: it is not known what is on the images, nothing is, or ``found`` is of others.
    """
    check_found(dataset, found)
    judged = _Judged.of(dataset, found, judge)
    if not judged.objects.any():
        raise UserError(f"{dataset.name} has no objects to find, so there is no precision")
    ranked = [judged.ranked(i) for i in range(len(dataset.classes))]
    curves = [
        _curve(name, scores, matches, average)
        for name, (scores, matches) in zip(dataset.classes, ranked, strict=True)
    ]
    return AveragePrecision(rule, tuple(curves), tuple(matches for _, matches in ranked))


def check_found(dataset: DetectionSet, found: Mapping[str, object]) -> None:
    """Make sure that detections can be judged.

    Raises:
        UserError: it is not known what is on the images, or there are detections on others.
    """
    if not dataset.annotated:
        raise UserError(
            f"what is on the images of {dataset.name} is not published; write result files and "
            "submit them to the benchmark's server"
        )
    if odd := found.keys() - {image.id for image in dataset.images}:
        raise UserError(f"{dataset.name} has no image {min(odd)!r} ({len(odd):,} such images)")


@dataclass(frozen=True)
class _Judged:
    """Per class: how many objects are on each image, and which detections count."""

    objects: Ints
    """(classes, images)."""
    found: list[list[tuple[Floats, Bools, Ints]]]
    """Of each class, image by image: scores, which are right, and the image's place."""

    @staticmethod
    def of(dataset: DetectionSet, found: Mapping[str, Detections], judge: Judge) -> "_Judged":
        classes = len(dataset.classes)
        none = np.zeros((classes, len(dataset.images)), dtype=np.int64)
        judged = _Judged(none, [[] for _ in range(classes)])
        for place, image in enumerate(dataset.images):
            objects = image.objects
            for label in objects.labels[~objects.ignored].tolist():
                judged.objects[label - 1, place] += 1
            if (detections := found.get(image.id)) is None:
                continue
            overlaps = _overlaps(detections.boxes, objects.boxes)
            scores = detections.scores.cpu().double().numpy()
            order = np.argsort(-scores, kind="stable")
            labels, there = detections.labels.cpu().numpy()[order], objects.labels.numpy()
            for label in np.unique(labels).tolist():
                mine, theirs = order[labels == label], there == label
                right = ignored = np.zeros(len(mine), dtype=bool)
                if theirs.any():
                    boxes = objects.boxes.double().numpy()[theirs]
                    doubtful = objects.ignored.numpy()[theirs]
                    right, ignored = judge(overlaps[mine][:, theirs], boxes, doubtful)
                places = np.full(len(mine), place)
                judged.found[label - 1].append(
                    (scores[mine][~ignored], right[~ignored], places[~ignored])
                )
        return judged

    def ranked(self, label: int) -> tuple[Floats, ClassMatches]:
        """Return a class's scores, the highest first, and its matches; labels count from 0."""
        nothing = np.empty(0), np.empty(0, dtype=bool), np.empty(0, dtype=np.int64)
        columns = zip(nothing, *self.found[label], strict=True)
        scores, right, places = map(np.concatenate, columns)
        order = np.argsort(-scores, kind="stable")
        right = right[order][None]
        matches = ClassMatches(self.objects[label], places[order], right, np.zeros_like(right))
        return scores[order], matches


def _overlaps(found: Tensor, objects: Tensor) -> Floats:
    """Return the intersection over union of each of D boxes with each of N, (D, N)."""
    ops = detection_package("torchvision.ops")
    overlaps: Floats = ops.box_iou(found.cpu().double(), objects.double()).numpy()
    return overlaps


def _curve(
    name: str, scores: Floats, matches: ClassMatches, average: Callable[[Floats, Floats], float]
) -> ClassCurve:
    objects = int(matches.objects.sum())
    true = matches.right[0].cumsum(dtype=np.float64)
    precision = true / np.arange(1, len(true) + 1)
    recall = true / objects if objects else np.full(len(true), math.nan)
    ap = average(recall, precision) if objects else math.nan
    return ClassCurve(name, objects, scores, recall, precision, ap)
