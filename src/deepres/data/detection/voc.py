"""PASCAL VOC's layout: an XML file an image, and lists of images."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import torch

from deepres.data.detection.checks import Box, Faults, cut, fault_of, missing_files
from deepres.data.detection.loading import image_size
from deepres.data.detection.records import AnnotatedImage, Objects
from deepres.data.folder import ENDINGS
from deepres.errors import UserError

VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
CLASSES_FILE = "classes.txt"
"""Names of a folder's own classes, one a line; without it they are those that its objects have."""
ONE_PIXEL = 1.0
"""Both corners of a box name pixels that belong to it, so a box with one corner is a pixel wide."""


@dataclass(frozen=True)
class VocObject:
    """What a file says of one object."""

    name: str
    corners: Box
    """The first and the last pixel, as published; NaN where there is no number."""
    difficult: bool


@dataclass(frozen=True)
class VocAnnotation:
    """What a file says of an image."""

    width: int
    height: int
    """0 where it does not say."""
    objects: tuple[VocObject, ...]


def voc_splits(folder: Path) -> list[str]:
    """Return the names of the lists of images in a folder of VOC's layout."""
    return sorted(path.stem for path in (folder / "ImageSets/Main").glob("*.txt"))


def read_voc(
    folder: Path,
    split: str,
    classes: tuple[str, ...],
    faults: Faults,
    *,
    annotated: bool = True,
) -> list[AnnotatedImage]:
    """Read the images that ImageSets/Main/<split>.txt lists, in its order.

    Args:
        folder: holds ImageSets/Main, Annotations and JPEGImages.
        split: the list's name.
        classes: what objects may be called.
        faults: receives the objects that cannot be right, which are left out.
        annotated: whether the images' objects are known.

    Raises:
        UserError: a file is missing or malformed.
    """
    ids = _read_list(folder / "ImageSets/Main" / f"{split}.txt")
    images = _files(folder / "JPEGImages", ENDINGS)
    if missing := [f"{folder}/JPEGImages/{each}.jpg" for each in ids if each not in images]:
        raise missing_files(missing, f"images of {folder.name} {split}")
    labels = {name: label for label, name in enumerate(classes, 1)}
    if not annotated:
        return [without_objects(each, images[each]) for each in ids]
    annotations = _files(folder / "Annotations", (".xml",))
    if missing := [f"{folder}/Annotations/{each}.xml" for each in ids if each not in annotations]:
        raise missing_files(missing, f"annotations of {folder.name} {split}")
    return [
        annotated_image(each, images[each], annotations[each], labels, faults, first_pixel=1)
        for each in ids
    ]


def own_classes(folder: Path) -> tuple[str, ...]:
    """Return the classes of a folder in VOC's layout: those listed, or all that occur, sorted.

    All annotations are read, so that each split of a folder has the same classes.

    Raises:
        UserError: there are none, or a file is malformed.
    """
    if (folder / CLASSES_FILE).is_file():
        listed = (folder / CLASSES_FILE).read_text().splitlines()
        classes = tuple(line.strip() for line in listed if line.strip())
    else:
        files = sorted((folder / "Annotations").glob("*.xml"))
        names = {each.name for file in files for each in read_annotation(file).objects}
        classes = tuple(sorted(names))
    if not classes:
        raise UserError(f"{folder} has no classes: its Annotations hold no objects")
    return classes


def read_annotation(file: Path) -> VocAnnotation:
    """Read one image's XML file.

    Raises:
        UserError: it is missing, or not well-formed XML.
    """
    try:
        root = ElementTree.parse(file).getroot()
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # also odd encodings
        raise UserError(f"{file} is not well-formed XML ({error}); unpack it anew") from error
    objects = tuple(
        VocObject(
            name=(each.findtext("name") or "").strip(),
            corners=(
                _number(each, "bndbox/xmin"),
                _number(each, "bndbox/ymin"),
                _number(each, "bndbox/xmax"),
                _number(each, "bndbox/ymax"),
            ),
            difficult=_number(each, "difficult") == 1,
        )
        for each in root.findall("object")
    )
    width, height = _number(root, "size/width"), _number(root, "size/height")
    known = math.isfinite(width) and math.isfinite(height)
    return VocAnnotation(*((int(width), int(height)) if known else (0, 0)), objects)


def annotated_image(
    name: str,
    image: Path,
    annotation: Path,
    labels: Mapping[str, int],
    faults: Faults,
    first_pixel: int,
) -> AnnotatedImage:
    """Return an image with the objects that its XML file tells of.

    Args:
        name: its id.
        image: the picture.
        annotation: the XML file.
        labels: of each class that objects may have.
        faults: receives the objects that cannot be right.
        first_pixel: what the leftmost and topmost pixels are called, 1 in VOC.
    """
    read = read_annotation(annotation)
    size = (read.width, read.height)
    width, height = size if min(size) > 0 else image_size(image)
    kept: list[tuple[Box, int, bool]] = []
    for number, each in enumerate(read.objects, 1):
        x1, y1, x2, y2 = each.corners
        box = (x1 - first_pixel, y1 - first_pixel, x2 - first_pixel + 1, y2 - first_pixel + 1)
        if each.name not in labels:
            faults.note(annotation, number, "of unknown class", repr(each.name))
        elif wrong := fault_of(box, width, height, ONE_PIXEL):
            given = " ".join(f"{side:g}" for side in each.corners)
            faults.note(annotation, number, wrong, f"{given} in {width}×{height}")
        else:
            kept.append((cut(box, width, height), labels[each.name], each.difficult))
    return AnnotatedImage(name, image, width, height, _as_objects(kept))


def _as_objects(kept: list[tuple[Box, int, bool]]) -> Objects:
    return Objects(
        torch.tensor([box for box, _, _ in kept], dtype=torch.float32).reshape(-1, 4),
        torch.tensor([label for _, label, _ in kept], dtype=torch.int64),
        torch.tensor([ignored for _, _, ignored in kept], dtype=torch.bool),
    )


def without_objects(name: str, image: Path) -> AnnotatedImage:
    """Return an image on which there is nothing, or of which it is not known."""
    return AnnotatedImage(name, image, *image_size(image), _as_objects([]))


def _read_list(file: Path) -> list[str]:
    """Return the image of each line; lists of one class have a flag after it."""
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in file.parent.glob("*.txt"))) or "none"
        raise UserError(f"{file} is missing; the lists of images there are: {known}")
    ids = [line.split()[0] for line in file.read_text().splitlines() if line.strip()]
    if not ids:
        raise UserError(f"{file} lists no images")
    return ids


def _files(folder: Path, endings: tuple[str, ...]) -> dict[str, Path]:
    """Return the files of a folder by name without ending."""
    if not folder.is_dir():
        raise UserError(f"{folder} is missing; VOC's layout has it")
    return {path.stem: path for path in folder.iterdir() if path.suffix.lower() in endings}


def _number(element: ElementTree.Element, path: str) -> float:
    try:
        return float(element.findtext(path) or "nan")
    except ValueError:
        return math.nan
