"""What a detector's test leaves beside its run for the report: curves, and pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from deepres.data.detection.loading import image_tensor
from deepres.data.detection.records import AnnotatedImage, Detections, DetectionSet
from deepres.data.images import open_image
from deepres.detection.drawing import contact_sheet, draw_detections
from deepres.detection.faster_rcnn import Detector
from deepres.detection.inference import Improvements, detect
from deepres.evaluation.detection.average_precision import AveragePrecision
from deepres.files import atomic_write, write_json
from deepres.run_folder import DETECTIONS, PR_CURVES

DRAWN_FROM = 0.5
"""Detections with a lower score are not drawn."""
IMAGES_SHOWN = 6
POINTS = 500
"""The most points of a curve."""


def write_curves(folder: Path, result: AveragePrecision) -> None:
    """Write each class's precision and recall at some of its detections, evenly spread, as JSON."""
    curves: dict[str, Any] = {}
    for curve in result.curves:
        if curve.objects:
            count = len(curve.recall)
            places = np.linspace(0, count - 1, min(POINTS, count)).round().astype(int)
            curves[curve.name] = {
                "recall": curve.recall[places].round(5).tolist(),
                "precision": curve.precision[places].round(5).tolist(),
                "ap_pct": 100 * curve.ap,
            }
    write_json(folder / PR_CURVES, curves)


def write_pictures(
    folder: Path, detectors: Sequence[Detector], data: DetectionSet, improvements: Improvements
) -> Path:
    """Draw what is on some images, evenly spread, beside what is found there; return the file."""
    pictures: list[Image.Image] = []
    for image in data.spread(IMAGES_SHOWN).images:
        (found,) = detect(detectors, [image_tensor(image)], improvements)
        pictures += [_annotated(image, data.classes), drawn(image.path, found, data.classes)]
    path = folder / DETECTIONS
    with atomic_write(path) as file:
        contact_sheet(pictures, 4, ("annotated", "found") * 2).save(file, "PNG")
    return path


def drawn(path: Path, found: Detections, classes: Sequence[str]) -> Image.Image:
    """Return an image with the detections that are certain enough."""
    certain = found.scores >= DRAWN_FROM
    return draw_detections(
        open_image(path),
        found.boxes[certain],
        [classes[label - 1] for label in found.labels[certain].tolist()],
        found.scores[certain],
        None if found.masks is None else found.masks[certain],
        classes,
    )


def _annotated(image: AnnotatedImage, classes: Sequence[str]) -> Image.Image:
    objects, counted = image.objects, ~image.objects.ignored
    names = [classes[label - 1] for label in objects.labels[counted].tolist()]
    return draw_detections(
        open_image(image.path), objects.boxes[counted], names, None, classes=classes
    )
