"""COCO's layout: one JSON file for all images of a set."""

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

from deepres.data.detection.checks import Box, Faults, check_files, cut, fault_of
from deepres.data.detection.records import AnnotatedImage, Objects, Segmentation
from deepres.errors import UserError
from deepres.files import read_json

EDGES = 0.0
"""A box is a corner, a width and a height, so one without either has no size."""


def read_coco(
    annotations: Path, images: Path, faults: Faults
) -> tuple[tuple[str, ...], list[AnnotatedImage]]:
    """Read all images of a set; those without objects too.

    Labels count categories in the order of their ids, which have gaps: label i is category
    ``category_ids(…)[i - 1]``. Crowds are ignored objects.

    Args:
        annotations: instances_<set>.json.
        images: the folder of the pictures.
        faults: receives the objects that cannot be right, which are left out.

    Returns:
        The names of the classes, and the images in the file's order.

    Raises:
        UserError: a file is missing or malformed.
    """
    content = read_json(annotations)
    try:
        ids = category_ids(content)
        names = {each["id"]: str(each["name"]) for each in content["categories"]}
        listed = {each["id"]: each for each in content["images"]}
        paths = {number: images / str(each["file_name"]) for number, each in listed.items()}
        sizes = {i: (int(each["width"]), int(each["height"])) for i, each in listed.items()}
        by_image: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for each in content["annotations"]:
            if each["image_id"] in listed:
                by_image[each["image_id"]].append(each)
            else:
                faults.note(annotations, each["id"], "of an image not listed", each["image_id"])
        check_files(paths.values(), f"images of {annotations}")
        labels = {number: label for label, number in enumerate(ids, 1)}
        records = [
            AnnotatedImage(
                str(number),
                paths[number],
                *sizes[number],
                _objects(by_image.get(number, []), *sizes[number], labels, annotations, faults),
            )
            for number in listed
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{annotations} is not in COCO's format ({type(error).__name__}: {error}); "
            "instances_<set>.json was expected"
        ) from error
    if not records:
        raise UserError(f"{annotations} lists no images")
    return tuple(names[number] for number in ids), records


def category_ids(content: dict[str, Any]) -> list[int]:
    """Return the ids of a file's categories, sorted: the first is that of label 1."""
    return sorted(int(each["id"]) for each in content["categories"])


def _objects(
    annotated: list[dict[str, Any]],
    width: int,
    height: int,
    labels: dict[int, int],
    file: Path,
    faults: Faults,
) -> Objects:
    kept: list[tuple[Box, int, bool]] = []
    outlines: list[Segmentation] = []
    for each in annotated:
        x, y, w, h = (float("nan" if side is None else side) for side in each["bbox"])
        box, outline = (x, y, x + w, y + h), each.get("segmentation")
        if each["category_id"] not in labels:
            faults.note(file, each["id"], "of unknown class", each["category_id"])
        elif wrong := fault_of(box, width, height, EDGES):
            faults.note(file, each["id"], wrong, f"{each['bbox']} in {width}×{height}")
        elif outline and (wrong := _outline_fault(outline, width, height)):
            faults.note(file, each["id"], "with an impossible outline", wrong)
        else:
            kept.append((cut(box, width, height), labels[each["category_id"]], _is_crowd(each)))
            outlines += [outline] if outline else []
    return Objects(
        torch.tensor([box for box, _, _ in kept], dtype=torch.float32).reshape(-1, 4),
        torch.tensor([label for _, label, _ in kept], dtype=torch.int64),
        torch.tensor([crowd for _, _, crowd in kept], dtype=torch.bool),
        tuple(outlines) if len(outlines) == len(kept) else None,
    )


def _is_crowd(annotation: dict[str, Any]) -> bool:
    return bool(annotation.get("iscrowd", 0))


def _outline_fault(outline: Segmentation, width: int, height: int) -> str | None:
    """Return what is wrong with an outline that pycocotools would misread or fail on."""
    if isinstance(outline, dict):
        size = list(outline["size"])
        return None if size == [height, width] else f"run lengths for {size} in {height}×{width}"
    for polygon in outline:
        if len(polygon) < 6 or len(polygon) % 2:
            return f"a polygon of {len(polygon)} coordinates"
        if not all(math.isfinite(side) for side in polygon):
            return "coordinates that are not numbers"
    return None
