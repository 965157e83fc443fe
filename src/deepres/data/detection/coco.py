"""COCO's layout: one JSON file for all images of a set."""

from pathlib import Path

import torch

from deepres.data.detection.checks import Faults, check_files, cut
from deepres.data.detection.coco_file import CocoObject, read_coco_file
from deepres.data.detection.records import AnnotatedImage, Objects


def read_coco(
    annotations: Path, images: Path, faults: Faults
) -> tuple[tuple[str, ...], list[AnnotatedImage]]:
    """Read all images of a set; those without objects too.

    Labels count categories in the order of their ids. Crowds are ignored objects.

    Args:
        annotations: instances_<set>.json.
        images: the folder of the pictures.
        faults: receives the objects that cannot be right, which are left out.

    Returns:
        The names of the classes, and the images in the file's order.

    Raises:
        UserError: a file is missing or malformed.
    """
    read = read_coco_file(annotations, faults)
    paths = {name: images / each.file_name for name, each in read.images.items()}
    check_files(paths.values(), f"images of {annotations}")
    return read.classes, [
        AnnotatedImage(
            name,
            paths[name],
            each.width,
            each.height,
            _objects(read.objects.get(name, []), each.width, each.height),
        )
        for name, each in read.images.items()
    ]


def _objects(annotated: list[CocoObject], width: int, height: int) -> Objects:
    boxes = [cut(each.corners, width, height) for each in annotated]
    outlines = tuple(each.outline for each in annotated if each.outline is not None)
    return Objects(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor([each.label for each in annotated], dtype=torch.int64),
        torch.tensor([each.crowd for each in annotated], dtype=torch.bool),
        outlines if len(outlines) == len(annotated) else None,
    )
