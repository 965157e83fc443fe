"""What a detector's test leaves beside its run for the report: curves, and pictures.

Both say which test they are of, and are those of the latest.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from deepres.data.detection.loading import image_tensor
from deepres.data.detection.records import AnnotatedImage, Detections, DetectionSet
from deepres.data.images import open_image
from deepres.detection.drawing import contact_sheet, draw_detections
from deepres.detection.faster_rcnn import Detector
from deepres.detection.inference import Improvements, detect
from deepres.evaluation.detection.average_precision import AveragePrecision
from deepres.files import MARK, atomic_write, check_ours, write_json
from deepres.provenance import installed_version
from deepres.run_folder import DETECTIONS, PR_CURVES

DRAWN_FROM = 0.5
"""Detections with a lower score are not drawn."""
IMAGES_SHOWN = 6
POINTS = 500
"""The most points of a curve."""


def check_replaceable(folder: Path) -> None:
    """Make sure that a test can write its files. Ask before it, for it may take hours.

    Raises:
        UserError: there are files of these names that deepres has not written.
    """
    for name in (PR_CURVES, DETECTIONS):
        check_ours(folder / name)


def write_curves(folder: Path, result: AveragePrecision, test: str) -> None:
    """Write each class's precision and recall at some of its detections, evenly spread, as JSON.

    Args:
        folder: the run's.
        result: what the test has found.
        test: which it is, in words.
    """
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
    by_us = {MARK.decode(): installed_version()}
    write_json(folder / PR_CURVES, {**by_us, "test": test, "classes": curves})


def write_pictures(
    folder: Path,
    detectors: Sequence[Detector],
    data: DetectionSet,
    improvements: Improvements,
    test: str,
) -> Path:
    """Draw what is on some images, evenly spread, beside what is found there; return the file.

    ``test`` says which test it is of, in words.
    """
    pictures: list[Image.Image] = []
    for image in data.spread(IMAGES_SHOWN).images:
        (found,) = detect(detectors, [image_tensor(image)], improvements)
        pictures += [_annotated(image, data.classes), drawn(image.path, found, data.classes)]
    path, said = folder / DETECTIONS, PngInfo()
    said.add_text("Software", MARK.decode())
    said.add_text("Description", test)
    sheet = contact_sheet(pictures, 4, ("annotated", "found") * 2, title=test)
    with atomic_write(path) as file:
        sheet.save(file, "PNG", pnginfo=said)
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
