"""What there is to find in a set of COCO's, as pycocotools takes it."""

from collections.abc import Mapping
from typing import Any

from deepres.data.detection.checks import Faults
from deepres.data.detection.coco_file import (
    CocoFile,
    CocoImage,
    CocoObject,
    in_order,
    joined,
    read_coco_file,
)
from deepres.data.detection.loading import compressed_runs
from deepres.data.detection.packages import detection_package
from deepres.data.detection.records import DetectionSet
from deepres.errors import UserError


def file_of(dataset: DetectionSet) -> CocoFile:
    """Read a set's files anew, as one; what cannot be right was left out when it was opened.

    Raises:
        UserError: it was not read from COCO's layout, or a file is another by now.
    """
    if not dataset.annotations:
        raise UserError(f"COCO's rule is for data in COCO's layout, which {dataset.name} is not in")
    files = {
        path: read_coco_file(path, Faults(), annotated=dataset.annotated)
        for path in dataset.annotations
    }
    file = joined(files)
    if any(image.id not in file.images for image in dataset.images):
        changed = " or ".join(map(str, files))
        raise UserError(f"{changed} was changed while in use; start again")
    return file


def image_places(file: CocoFile, dataset: DetectionSet) -> dict[str, int]:
    """Number a set's images from 1 in the order of their ids, by which pycocotools breaks ties."""
    ids = (file.images[image.id].id for image in dataset.images)
    return {str(each): place for place, each in enumerate(sorted(ids, key=in_order), 1)}


def truth(file: CocoFile, places: Mapping[str, int], masks: bool) -> dict[str, Any]:
    """Return the images and objects as pycocotools takes them: all ids are numbers from 1."""
    images = {name: file.images[name] for name in places}
    annotations = [
        {
            "image_id": places[name],
            "category_id": each.label,
            "bbox": [*each.bbox],
            "area": _area(each, image),
            "iscrowd": int(each.crowd),
            **({"segmentation": each.outline} if masks else {}),
        }
        for name, image in images.items()
        for each in file.objects.get(name, [])
    ]
    return {
        "images": [
            {"id": places[name], "width": image.width, "height": image.height}
            for name, image in images.items()
        ],
        "categories": [{"id": label} for label in range(1, len(file.categories) + 1)],
        "annotations": [{**each, "id": i} for i, each in enumerate(annotations, 1)],
    }


def _area(annotated: CocoObject, image: CocoImage) -> float:
    """Return the area, which decides whether an object is small, medium or large."""
    if annotated.area is not None:
        return annotated.area
    if annotated.outline is None:
        return annotated.bbox[2] * annotated.bbox[3]
    runs = compressed_runs(annotated.outline, image.width, image.height)
    return float(detection_package("pycocotools.mask").area(runs))
