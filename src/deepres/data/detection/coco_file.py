"""COCO's JSON file as people's tools write it: ids of any kind, numbers as text, nulls."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from deepres.data.detection.checks import Box, Fault, Faults, fault_of, number
from deepres.data.detection.outlines import Segmentation, read_outline
from deepres.data.text_lists import check_unique
from deepres.errors import UserError
from deepres.files import read_json
from deepres.json_shape import misfit

CocoId = int | str
Listed = TypeVar("Listed")

KEYS = {"categories": ("id", "name"), "images": ("id", "file_name", "width", "height")}
"""What each entry of these parts of the file has at least."""
EDGES = 0.0
"""A box is a corner, a width and a height, so one without either has no size."""


@dataclass(frozen=True)
class CocoImage:
    """An image that a file lists."""

    id: CocoId
    file_name: str
    width: int
    height: int


@dataclass(frozen=True)
class CocoObject:
    """An annotation that can be right."""

    label: int
    """From 1."""
    corners: Box
    """x1, y1, x2, y2."""
    bbox: Box
    """x, y, width and height, as published."""
    area: float | None
    """In square pixels; None where the file does not say."""
    crowd: bool
    outline: Segmentation | None


@dataclass(frozen=True)
class CocoFile:
    """What instances_<set>.json says."""

    categories: tuple[CocoId, ...]
    """Their ids, sorted; they may have gaps. The first is that of label 1."""
    classes: tuple[str, ...]
    """The categories' names."""
    images: dict[str, CocoImage]
    """By id as text, in the file's order."""
    objects: dict[str, list[CocoObject]]
    """Of each image that has any."""


def coco_id(given: object) -> CocoId | None:
    """Return an id as result files have it, whole numbers as integers; None if it can be none."""
    if isinstance(given, float) and given.is_integer():
        return int(given)
    return given if isinstance(given, int | str) and not isinstance(given, bool) else None


def in_order(given: CocoId) -> tuple[bool, CocoId]:
    """Return what to sort ids by: numbers, then text."""
    return isinstance(given, str), given


def find(listed: Mapping[str, Listed], given: object) -> Listed | None:
    """Return what has an id, among others by theirs as text; None if nothing has."""
    return None if (found := coco_id(given)) is None else listed.get(str(found))


def read_coco_file(path: Path, faults: Faults, *, annotated: bool = True) -> CocoFile:
    """Read COCO's file of a set, and check every annotation.

    Args:
        path: instances_<set>.json, or image_info_<set>.json.
        faults: receives the objects that cannot be right, which are left out.
        annotated: whether the images' objects are known; image_info_<set>.json has none.

    Raises:
        UserError: it is missing or malformed, or has an id, a file's or a category's name twice.
    """
    content = read_json(path)
    try:
        parts = [*KEYS, "annotations"] if annotated else [*KEYS]
        if wrong := misfit(content, dict.fromkeys(parts, list)):
            raise ValueError(wrong)
        listed = map(_category, _entries(content, "categories"))
        categories = sorted(listed, key=lambda c: in_order(c[0]))
        images = [_image(each) for each in _entries(content, "images")]
        check_unique(((str(i), name) for i, name in categories), f"{path} has the category id")
        check_unique(((name, f"id {i}") for i, name in categories), f"{path} has the category")
        check_unique(((str(i.id), i.file_name) for i in images), f"{path} has the image id")
        # Of two entries for a picture each would lack the other's objects.
        check_unique(((i.file_name, f"id {i.id}") for i in images), f"{path} has the file")
        by_id = {str(image.id): image for image in images}
        labels = {str(each): label for label, (each, _) in enumerate(categories, 1)}
        objects: dict[str, list[CocoObject]] = defaultdict(list)
        for place, each in enumerate(content["annotations"] if annotated else [], 1):
            called = f"in place {place}"
            try:
                if not isinstance(each, dict):
                    raise Fault("not written as an object", json.dumps(each))
                called = each.get("id", called)
                if (image := find(by_id, each.get("image_id"))) is None:
                    raise Fault("of an image not listed", each.get("image_id"))
                objects[str(image.id)].append(_object(each, image, labels))
            except Fault as fault:
                faults.note(path, called, fault.wrong, fault.given)
    except ValueError as error:
        raise UserError(
            f"{path} is not in COCO's format: {error}; "
            f"{'instances' if annotated else 'image_info'}_<set>.json was expected"
        ) from error
    if not images:
        raise UserError(f"{path} lists no images")
    return CocoFile(
        tuple(each for each, _ in categories),
        tuple(name for _, name in categories),
        by_id,
        dict(objects),
    )


def joined(files: Mapping[Path, CocoFile]) -> CocoFile:
    """Return the files of several sets as that of one, their images in order.

    Raises:
        UserError: they have other categories, or the same image.
    """
    (first, whole), *others = files.items()
    for path, file in others:
        if (file.categories, file.classes) != (whole.categories, whole.classes):
            raise UserError(f"{first} and {path} have other categories; take files of one release")
    check_unique(
        ((name, path) for path, file in files.items() for name in file.images),
        "COCO's files have the image id",
    )
    images = {name: image for file in files.values() for name, image in file.images.items()}
    objects = {name: each for file in files.values() for name, each in file.objects.items()}
    return CocoFile(whole.categories, whole.classes, images, objects)


def _entries(content: dict[str, Any], part: str) -> list[dict[str, Any]]:
    """Return the entries of a part of the file, each of which has the part's ``KEYS``."""
    entries: list[dict[str, Any]] = content[part]
    for place, each in enumerate(entries, 1):
        if wrong := misfit(each, {}, f"entry {place} of {part}"):
            raise ValueError(wrong)
        if lacking := [key for key in KEYS[part] if key not in each]:
            raise ValueError(f"entry {place} of {part} has no {lacking[0]}")
    return entries


def _category(given: dict[str, Any]) -> tuple[CocoId, str]:
    if (found := coco_id(given["id"])) is None:
        raise ValueError(f"{given['id']!r} is no category's id")
    return found, _name(given["name"], "category's name")


def _image(given: dict[str, Any]) -> CocoImage:
    if (found := coco_id(given["id"])) is None:
        raise ValueError(f"{given['id']!r} is no image's id")
    sides = [number(given[side]) for side in ("width", "height")]
    if not all(side.is_integer() and side > 0 for side in sides):
        raise ValueError(f"image {found} is of {given['width']!r} × {given['height']!r} pixels")
    return CocoImage(found, _name(given["file_name"], "file name"), *map(int, sides))


def _name(given: object, what: str) -> str:
    if (name := coco_id(given)) is None or not str(name).strip():
        raise ValueError(f"{given!r} is no {what}")
    return str(name)


def _object(given: dict[str, Any], image: CocoImage, labels: Mapping[str, int]) -> CocoObject:
    size = f"{image.width}×{image.height}"
    if (label := find(labels, given.get("category_id"))) is None:
        raise Fault("of unknown class", given.get("category_id"))
    bbox = given.get("bbox")
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise Fault("without a box of 4 numbers", bbox)
    x, y, width, height = map(number, bbox)
    corners = (x, y, x + width, y + height)
    if wrong := fault_of(corners, image.width, image.height, EDGES):
        raise Fault(wrong, f"{bbox} in {size}")
    outline = read_outline(given.get("segmentation"), image.width, image.height)
    area, crowd = given.get("area"), given.get("iscrowd")
    if area is not None and not 0 <= number(area) < float("inf"):
        raise Fault("with an impossible area", repr(area))
    if crowd not in (None, False, True) and number(crowd) not in (0, 1):
        raise Fault("with an iscrowd that is neither 0 nor 1", repr(crowd))
    return CocoObject(
        label,
        corners,
        (x, y, width, height),
        None if area is None else number(area),
        crowd is True or number(crowd) == 1,
        outline,
    )
