"""COCO's layout: a JSON file for all images of a part."""

from collections.abc import Mapping
from pathlib import Path

import torch

from deepres.data.detection.checks import Faults, check_files, cut
from deepres.data.detection.coco_file import CocoObject, joined, read_coco_file
from deepres.data.detection.records import AnnotatedImage, Objects


def read_coco(
    parts: Mapping[Path, Path], faults: Faults, *, annotated: bool = True
) -> tuple[tuple[str, ...], list[AnnotatedImage]]:
    """Read all images of a set; those without objects too.

    Labels count categories in the order of their ids. Crowds are ignored objects.

    Args:
        parts: its files, instances_<part>.json or image_info_<part>.json, each with the folder of
            the pictures.
        faults: receives the objects that cannot be right, which are left out.
        annotated: whether the images' objects are known.

    Returns:
        The names of the classes, and the images in the files' order.

    Raises:
        UserError: a file is missing or malformed, or two do not go together.
    """
    files = {path: read_coco_file(path, faults, annotated=annotated) for path in parts}
    classes = joined(files).classes
    records = []
    for annotations, file in files.items():
        paths = {name: parts[annotations] / each.file_name for name, each in file.images.items()}
        check_files(paths.values(), f"images of {annotations}")
        records += [
            AnnotatedImage(
                name,
                paths[name],
                each.width,
                each.height,
                _objects(file.objects.get(name, []), each.width, each.height),
            )
            for name, each in file.images.items()
        ]
    return classes, records


def _objects(annotated: list[CocoObject], width: int, height: int) -> Objects:
    boxes = [cut(each.corners, width, height) for each in annotated]
    outlines = tuple(each.outline for each in annotated if each.outline is not None)
    return Objects(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor([each.label for each in annotated], dtype=torch.int64),
        torch.tensor([each.crowd for each in annotated], dtype=torch.bool),
        outlines if len(outlines) == len(annotated) else None,
    )
