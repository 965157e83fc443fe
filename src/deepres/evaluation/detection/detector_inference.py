"""Running a detector over a data set, and scoring what it finds."""

import dataclasses
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepres.data.detection.batches import SinglePictures
from deepres.data.detection.records import Detections, DetectionSet
from deepres.data.loading import load
from deepres.detection.faster_rcnn import Detector
from deepres.detection.inference import PLAIN, Improvements, detect
from deepres.evaluation.detection.average_precision import AveragePrecision
from deepres.evaluation.detection.coco import (
    CocoDetection,
    CocoResult,
    as_coco,
    coco_ids,
    evaluate_coco,
)
from deepres.evaluation.detection.resampling import draws
from deepres.evaluation.detection.result_files import (
    check_voc_classes,
    read_coco,
    read_imagenet_det,
    read_voc,
    write_coco,
    write_imagenet_det,
    write_voc,
)
from deepres.evaluation.detection.rules import Rule, benchmark_rule
from deepres.evaluation.detection.voc import evaluate_imagenet_det, evaluate_voc
from deepres.execution import Execution


@dataclass(frozen=True)
class DetectionResults:
    """What was found on the images of a data set, as the rule of its benchmark takes it."""

    data: DetectionSet
    rule: Rule
    detections: dict[str, Detections]
    """By image id, without masks; by COCO's rule there are none, …"""
    entries: list[CocoDetection]
    """… but these, with masks as run lengths."""

    def result(self) -> AveragePrecision | CocoResult:
        """Score the boxes.

        Raises:
            UserError: it is not known what is on the images, or nothing is.
        """
        if self.rule == "coco":
            return evaluate_coco(self.data, self.entries)
        if self.rule == "imagenet-det":
            return evaluate_imagenet_det(self.data, self.detections)
        return evaluate_voc(self.data, self.detections, self.rule)

    def scores(self, *, resample: bool = False) -> dict[str, Any]:
        """Return what evaluations.json has on boxes and masks: ``rule``, ``map_50_pct`` and so on.

        Masks are scored where the objects' outlines are known.

        Args:
            resample: whether to add ``resampled``, the same precisions for other draws of images.

        Raises:
            UserError: as by ``result``.
        """
        results = [self.result()]
        if self.data.has_outlines and any("segmentation" in entry for entry in self.entries):
            results.append(evaluate_coco(self.data, self.entries, masks=True))
        noted = {key: value for result in results for key, value in result.noted.items()}
        if resample:
            counts = draws(len(self.data))
            noted["resampled"] = {
                "images": self.data.fingerprint(),
                **{
                    key: values.round(4).tolist()
                    for result in results
                    for key, values in result.resampled(counts).items()
                },
            }
        return noted

    def write(self, folder: Path, split: str) -> Path:
        """Write them in the benchmark's official format, and return where.

        Args:
            folder: for the files.
            split: the set's short name: test, val.
        """
        if self.rule == "coco":
            path = folder / f"detections_{split}_deepres_results.json"
            write_coco(path, self.entries)
        elif self.rule == "imagenet-det":
            path = folder / f"detections_{split}.txt"
            write_imagenet_det(path, self.data, self.detections)
        else:
            path = folder
            write_voc(path, self.data, self.detections, split)
        return path


def check_submission(data: DetectionSet) -> None:
    """Make sure that ``DetectionResults.write`` can name its files. Ask before a test.

    Raises:
        UserError: a class's name cannot be in a file's.
    """
    if benchmark_rule(data) not in ("coco", "imagenet-det"):
        check_voc_classes(data.classes)


def read_results(path: Path, data: DetectionSet) -> DetectionResults:
    """Read a results file in the official format of the benchmark of ``data``.

    Args:
        path: VOC: the folder of comp4_det_<set>_<class>.txt; ImageNet DET: a text file; COCO: a
            JSON file.
        data: the images that it is about.

    Raises:
        UserError: a file is missing or malformed.
    """
    rule = benchmark_rule(data)
    if rule == "coco":
        return DetectionResults(data, rule, {}, read_coco(path, data))
    read = read_imagenet_det if rule == "imagenet-det" else read_voc
    return DetectionResults(data, rule, read(path, data), [])


def detect_all(
    detectors: Sequence[Detector],
    data: DetectionSet,
    execution: Execution,
    improvements: Improvements = PLAIN,
) -> DetectionResults:
    """Run a detector, or an ensemble, over a data set; each image goes to one process.

    Args:
        detectors: in evaluation mode, on the execution's device.
        data: the images.
        execution: which processes decode, and which share the work; all get the outcome.
        improvements: the appendix's.

    Raises:
        UserError: an image cannot be decoded, or is not as its annotation says.
    """
    rule = benchmark_rule(data)
    ids = coco_ids(data) if rule == "coco" else None
    detections: dict[str, Detections] = {}
    entries: list[CocoDetection] = []
    world = execution.world
    mine = range(world.rank, len(data), world.size)
    with (
        execution.progress("images", len(data)) as bar,
        closing(load(SinglePictures(data.images), mine, execution)) as stream,
    ):
        for done, images in enumerate(stream, 1):
            (found,) = detect(detectors, images, improvements)
            image = data.images[mine[done - 1]].id
            if ids:  # at once: masks as they are take a thousand times the memory
                entries += as_coco(image, found, ids)
            else:
                detections[image] = dataclasses.replace(found, masks=None)
            bar.update(min(done * world.size, len(data)))
    by_process = world.gather((detections, entries))
    return DetectionResults(
        data,
        rule,
        {image: found for each, _ in by_process for image, found in each.items()},
        [entry for _, each in by_process for entry in each],
    )
