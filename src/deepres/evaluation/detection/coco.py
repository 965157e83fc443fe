"""COCO's rule, by its own program pycocotools, for boxes and for masks."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepres.data.detection.coco_file import CocoId, find
from deepres.data.detection.packages import detection_package
from deepres.data.detection.records import Detections, DetectionSet
from deepres.errors import UserError
from deepres.evaluation.detection.average_precision import check_found
from deepres.evaluation.detection.coco_truth import file_of, image_places, truth
from deepres.evaluation.detection.resampling import (
    AVERAGES,
    ClassMatches,
    Floats,
    Ints,
    resampled_precisions,
)

CocoDetection = dict[str, Any]
"""One entry of COCO's result format: image_id, category_id, score, bbox and segmentation."""

NUMBERS = (
    "AP",
    "AP50",
    "AP75",
    "AP small",
    "AP medium",
    "AP large",
    "AR1",
    "AR10",
    "AR100",
    "AR small",
    "AR medium",
    "AR large",
)
"""COCO's twelve, in the order of its own summary. AR is recall with 1, 10 and 100 detections."""


@dataclass(frozen=True)
class CocoIds:
    """What COCO calls the images and classes of a set in result files."""

    images: Mapping[str, CocoId]
    """By our id, which is the same as text."""
    categories: Sequence[CocoId]
    """Of each class: the first is that of label 1."""


@dataclass(frozen=True)
class CocoResult:
    """COCO's numbers."""

    of_masks: bool
    """Whether masks were compared, or boxes."""
    numbers_pct: dict[str, float]
    """The twelve of the summary, in per cent; those that no object speaks for are left out."""
    ap_pct: dict[str, float]
    """Of each class that has objects, averaged over overlaps of 0.5, 0.55, …, 0.95."""
    matches: tuple[ClassMatches, ...] = field(compare=False, repr=False)
    """Of each class, at the ten overlaps."""

    @property
    def map_pct(self) -> float:
        """The mean over classes and overlaps: mAP@[.5, .95]."""
        return self.numbers_pct["AP"]

    @property
    def map_50_pct(self) -> float:
        """The mean over classes at an overlap of 0.5: mAP@.5."""
        return self.numbers_pct["AP50"]

    @property
    def noted(self) -> dict[str, Any]:
        """The result as evaluations.json has it."""
        if self.of_masks:
            return {"mask_map_50_pct": self.map_50_pct, "mask_map_pct": self.map_pct}
        return {
            "rule": "coco",
            "map_50_pct": self.map_50_pct,
            "map_pct": self.map_pct,
            "ap_pct": self.ap_pct,
        }

    def resampled(self, counts: Ints) -> dict[str, Floats]:
        """Return the two means (B,) for images drawn so often: ``counts``, (B, images)."""
        found = 100 * resampled_precisions(self.matches, AVERAGES["coco"], counts)
        kind = "mask_" if self.of_masks else ""
        return {f"{kind}map_50_pct": found[:, 0], f"{kind}map_pct": found.mean(1)}


def coco_ids(dataset: DetectionSet) -> CocoIds:
    """Return COCO's ids of a set's images and classes.

    Raises:
        UserError: it was not read from COCO's layout.
    """
    file = file_of(dataset)
    return CocoIds({name: each.id for name, each in file.images.items()}, file.categories)


def as_coco(image: str, found: Detections, ids: CocoIds) -> list[CocoDetection]:
    """Return an image's detections in COCO's result format, masks as compressed run lengths.

    Args:
        image: its id.
        found: what was found on it.
        ids: COCO's.
    """
    x1, y1, x2, y2 = found.boxes.double().unbind(1)
    boxes = torch.stack([x1, y1, x2 - x1, y2 - y1], dim=1).tolist()
    entries: list[CocoDetection] = [
        {
            "image_id": ids.images[image],
            "category_id": ids.categories[label - 1],
            "bbox": box,
            "score": score,
        }
        for box, label, score in zip(
            boxes, found.labels.tolist(), found.scores.tolist(), strict=True
        )
    ]
    if found.masks is not None:
        for entry, mask in zip(entries, found.masks, strict=True):
            entry["segmentation"] = compressed(mask)
    return entries


def compressed(mask: Tensor) -> dict[str, Any]:
    """Return a mask (height, width) bool as COCO's compressed run lengths, in plain JSON values."""
    coco = detection_package("pycocotools.mask")
    outline = coco.encode(np.asfortranarray(mask.cpu().numpy(), dtype=np.uint8))
    return {"size": list(outline["size"]), "counts": outline["counts"].decode("ascii")}


def box_around(mask: dict[str, Any]) -> list[float]:
    """Return the smallest box, [x, y, width, height], around COCO's compressed run lengths."""
    box: list[float] = detection_package("pycocotools.mask").toBbox(mask).tolist()
    return box


def evaluate_coco(
    dataset: DetectionSet, results: Sequence[CocoDetection], *, masks: bool = False
) -> CocoResult:
    """Score entries of COCO's result format; those on images that ``dataset`` lacks are left out.

    Raises:
        UserError: the data set is not COCO's, it is not known what is on its images, it has no
            objects, or masks are missing, its own or those that were found.
    """
    check_found(dataset, {})
    file = file_of(dataset)
    places = image_places(file, dataset)
    labels = {str(each): label for label, each in enumerate(file.categories, 1)}
    entries = [
        {**each, "image_id": place, "category_id": find(labels, each["category_id"])}
        for each in results
        if (place := find(places, each["image_id"])) is not None
    ]
    if masks:
        if not dataset.has_outlines:
            raise UserError(f"masks cannot be scored: {dataset.name} has objects without outlines")
        if any("segmentation" not in each for each in entries):
            raise UserError("masks cannot be scored: a detection has no segmentation")
        for each in entries:
            each.pop("bbox", None)  # else sizes would be those of boxes
    else:
        for each in entries:
            each.pop("segmentation", None)
    with redirect_stdout(io.StringIO()):
        scored = _by_pycocotools(truth(file, places, masks), entries, "segm" if masks else "bbox")
    if scored.stats[0] < 0:
        raise UserError(f"{dataset.name} has no objects to find, so there is no precision")
    numbers = dict(zip(NUMBERS, (100 * scored.stats).tolist(), strict=True))
    precision = scored.eval["precision"][:, :, :, 0, -1]  # of all sizes, 100 detections an image
    return CocoResult(
        masks,
        {name: number for name, number in numbers.items() if number >= 0},
        _by_class(dataset.classes, precision),
        tuple(_matches(scored, len(dataset.classes))),
    )


def _by_pycocotools(there: dict[str, Any], entries: list[CocoDetection], kind: str) -> Any:
    indexed = _indexed(there)
    # loadRes looks at the first entry.
    theirs = indexed.loadRes(entries) if entries else _indexed({**there, "annotations": []})
    scored = detection_package("pycocotools.cocoeval").COCOeval(indexed, theirs, kind)
    scored.evaluate()
    scored.accumulate()
    scored.summarize()
    return scored


def _indexed(content: dict[str, Any]) -> Any:
    coco = detection_package("pycocotools.coco").COCO()
    coco.dataset = content
    coco.createIndex()
    return coco


def _matches(scored: Any, classes: int) -> Iterator[ClassMatches]:
    """Yield how pycocotools judged each class's detections, of all sizes, 100 an image."""
    sizes, images = len(scored.params.areaRng), len(scored.params.imgIds)
    overlaps = len(scored.params.iouThrs)
    for label in range(classes):
        first = label * sizes * images  # it goes by class, then by size, then by image
        objects = np.zeros(images, dtype=np.int64)
        scores, places = [np.empty(0)], [np.empty(0, dtype=np.int64)]
        right, ignored = ([np.empty((overlaps, 0), dtype=bool)] for _ in range(2))
        for place, judged in enumerate(scored.evalImgs[first : first + images]):
            if judged is None:  # the class is neither there nor found
                continue
            objects[place] = np.count_nonzero(judged["gtIgnore"] == 0)
            scores.append(judged["dtScores"])
            places.append(np.full(len(judged["dtScores"]), place))
            ignored.append(judged["dtIgnore"].astype(bool))
            right.append((judged["dtMatches"] > 0) & ~ignored[-1])
        order = np.argsort(-np.concatenate(scores), kind="stable")
        yield ClassMatches(
            objects,
            np.concatenate(places)[order],
            np.concatenate(right, axis=1)[:, order],
            np.concatenate(ignored, axis=1)[:, order],
        )


def _by_class(classes: Sequence[str], precision: Any) -> dict[str, float]:
    """Average precision (overlaps, recalls, classes) of each class; −1 stands where none is."""
    return {
        name: 100 * float(precision[:, :, i].mean())
        for i, name in enumerate(classes)
        if (precision[:, :, i] >= 0).all()
    }
