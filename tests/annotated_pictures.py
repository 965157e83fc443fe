"""Small detection sets in the benchmarks' layouts, for tests."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import torch
from pictures import picture

from deepres.data.detection.records import AnnotatedImage, Detections, DetectionSet, Objects

Corners = tuple[float, float, float, float]
Drawn = tuple[str, Corners]
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


def coco_test_dev(folder: Path, images: Iterable[int], categories: Mapping[int, str]) -> None:
    """Add COCO's test-dev of 2015 to a folder: images, of which nothing is known."""
    listed = coco_folder(folder, "test2015", {number: [] for number in images}, categories)
    file = listed / "annotations/instances_test2015.json"
    content = json.loads(file.read_text())
    del content["annotations"]
    (folder / "annotations/image_info_test-dev2015.json").write_text(json.dumps(content))
    file.unlink()


def made_up_set(
    objects: Mapping[str, Sequence[tuple[int, Corners]]],
    classes: tuple[str, ...] = ("a", "b"),
    ignored: Mapping[str, Sequence[int]] | None = None,
    size: tuple[int, int] = (200, 200),
) -> DetectionSet:
    """A data set without files: labels and continuous boxes by image, and places of the ignored."""
    images = []
    for name, each in objects.items():
        boxes = torch.tensor([box for _, box in each], dtype=torch.float32).reshape(-1, 4)
        labels = torch.tensor([label for label, _ in each], dtype=torch.int64)
        left_out = torch.zeros(len(each), dtype=torch.bool)
        left_out[list((ignored or {}).get(name, []))] = True
        images.append(
            AnnotatedImage(name, Path(f"{name}.jpg"), *size, Objects(boxes, labels, left_out))
        )
    return DetectionSet("made up", classes, tuple(images), "nowhere")


def detections(*found: tuple[float, int, Corners]) -> Detections:
    """Score, label and continuous box of each."""
    return Detections(
        torch.tensor([box for _, _, box in found], dtype=torch.float32).reshape(-1, 4),
        torch.tensor([score for score, _, _ in found], dtype=torch.float32),
        torch.tensor([label for _, label, _ in found], dtype=torch.int64),
    )


def truth_as_found(dataset: DetectionSet) -> dict[str, Detections]:
    """All objects that count, as if a perfect detector had found them."""
    found = {}
    for image in dataset.images:
        kept = ~image.objects.ignored
        scores = torch.linspace(1, 0.5, int(kept.sum()))
        found[image.id] = Detections(image.objects.boxes[kept], scores, image.objects.labels[kept])
    return found
