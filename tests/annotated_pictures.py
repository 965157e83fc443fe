"""Small detection sets in the benchmarks' layouts, for tests."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from pictures import picture

Drawn = tuple[str, tuple[float, float, float, float]]
"""A class, and the corners of a box as VOC's files have them."""


def voc_xml(
    width: int, height: int, objects: Iterable[Drawn], difficult: Iterable[int] = ()
) -> str:
    """An annotation in VOC's format; ``difficult`` are places of objects, from 0."""
    root = ElementTree.Element("annotation")
    size = ElementTree.SubElement(root, "size")
    for name, value in (("width", width), ("height", height), ("depth", 3)):
        ElementTree.SubElement(size, name).text = str(value)
    for place, (name, corners) in enumerate(objects):
        each = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(each, "name").text = name
        ElementTree.SubElement(each, "difficult").text = str(int(place in [*difficult]))
        box = ElementTree.SubElement(each, "bndbox")
        for side, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True):
            ElementTree.SubElement(box, side).text = str(value)
    return ElementTree.tostring(root, encoding="unicode")


def voc_folder(
    folder: Path,
    splits: Mapping[str, Mapping[str, str | None]],
    size: tuple[int, int] = (60, 40),
) -> Path:
    """Make a folder in VOC's layout: in each split images by id, with their XML if there is any."""
    for part in ("ImageSets/Main", "Annotations", "JPEGImages"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for split, images in splits.items():
        lines = [f"{name}\n" for name in images]
        (folder / f"ImageSets/Main/{split}.txt").write_text("".join(lines))
        for seed, (name, xml) in enumerate(images.items()):
            picture(*size, seed).save(folder / f"JPEGImages/{name}.jpg")
            if xml is not None:
                (folder / f"Annotations/{name}.xml").write_text(xml)
    return folder


def coco_folder(
    folder: Path,
    split: str,
    images: Mapping[int, list[dict[str, Any]]],
    categories: Mapping[int, str],
    size: tuple[int, int] = (60, 40),
) -> Path:
    """Make a folder in COCO's layout: annotations by image; their ids are counted from 101."""
    (folder / split).mkdir(parents=True, exist_ok=True)
    (folder / "annotations").mkdir(exist_ok=True)
    annotations: list[dict[str, Any]] = []
    listed = []
    for number, objects in images.items():
        picture(*size, number).save(folder / f"{split}/{number:012}.jpg")
        file = {"file_name": f"{number:012}.jpg", "width": size[0], "height": size[1]}
        listed.append({"id": number, **file})
        for each in objects:
            more = {"id": 101 + len(annotations), "image_id": number, "iscrowd": 0}
            area = each["bbox"][2] * each["bbox"][3]
            annotations.append({"area": area, **more, **each})
    content = {
        "images": listed,
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for i, name in categories.items()],
    }
    (folder / f"annotations/instances_{split}.json").write_text(json.dumps(content))
    return folder
