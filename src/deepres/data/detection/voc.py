"""PASCAL VOC's layout: an XML file an image, and lists of images."""

from collections.abc import Mapping
from pathlib import Path

import torch

from deepres.data.detection.checks import Box, Faults, cut, fault_of, missing_files
from deepres.data.detection.loading import image_size
from deepres.data.detection.records import AnnotatedImage, Objects
from deepres.data.detection.voc_xml import FLAGS, XML_FILES, read_annotation
from deepres.data.folder import ENDINGS
from deepres.data.text_lists import check_unique, check_unique_lines, read_lines
from deepres.errors import UserError
from deepres.files import not_hidden

CLASSES_FILE = "classes.txt"
"""Names of a folder's own classes, one a line; without it they are those that its objects have."""
LIST_FLAGS = ("-1", "0", "1")
"""In lists of one class: the image shows none, only difficult ones, or one."""
ONE_PIXEL = 1.0
"""Both corners of a box name pixels that belong to it, so a box with one corner is a pixel wide."""


def voc_splits(folder: Path) -> list[str]:
    """Return the names of the lists of images in a folder of VOC's layout."""
    return [path.stem for path in not_hidden(folder / "ImageSets/Main", "*.txt")]


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
    ids = _read_list(folder / "ImageSets/Main" / f"{split}.txt", folder / "JPEGImages")
    images = _files(folder / "JPEGImages", ENDINGS, ids, f"images of {folder.name} {split}")
    labels = {name: label for label, name in enumerate(classes, 1)}
    if not annotated:
        return [without_objects(each, images[each]) for each in ids]
    what = f"annotations of {folder.name} {split}"
    annotations = _files(folder / "Annotations", (".xml",), ids, what)
    given = ((each, images[each], annotations[each]) for each in ids)
    return [annotated_image(*each, labels, faults, first_pixel=1, difficult=True) for each in given]


def own_classes(folder: Path) -> tuple[str, ...]:
    """Return the classes of a folder in VOC's layout: those listed, or all that occur, sorted.

    All annotations are read, so that each split of a folder has the same classes.

    Raises:
        UserError: there are none, or a file is malformed.
    """
    if (folder / CLASSES_FILE).is_file():
        names = read_lines(folder / CLASSES_FILE)
        check_unique_lines(folder / CLASSES_FILE, names)
        classes = tuple(filter(None, names))
    else:
        files = not_hidden(folder / "Annotations", XML_FILES)
        found = {each.name for file in files for each in read_annotation(file).objects}
        classes = tuple(sorted(found - {""}))  # one without a name is a fault, and no class
    if not classes:
        raise UserError(f"{folder} has no classes: its Annotations hold no objects")
    return classes


def annotated_image(
    name: str,
    image: Path,
    annotation: Path,
    labels: Mapping[str, int],
    faults: Faults,
    first_pixel: int,
    difficult: bool,
) -> AnnotatedImage:
    """Return an image with the objects that its XML file tells of.

    Args:
        name: its id.
        image: the picture.
        annotation: the XML file.
        labels: of each class that objects may have.
        faults: receives the objects that cannot be right.
        first_pixel: what the leftmost and topmost pixels are called, 1 in VOC.
        difficult: whether objects that are marked as difficult are ignored, as in VOC; ILSVRC's
            programs do not look at the mark.
    """
    read = read_annotation(annotation)
    size = (read.width, read.height)
    width, height = size if min(size) > 0 else image_size(image)
    kept: list[tuple[Box, int, bool]] = []
    for number, each in enumerate(read.objects, 1):
        x1, y1, x2, y2 = each.corners
        box = (x1 - first_pixel, y1 - first_pixel, x2 - first_pixel + 1, y2 - first_pixel + 1)
        ignored = difficult and FLAGS.get(each.difficult.lower())
        if not each.name:
            faults.note(annotation, number, "without a name", "no text in <name>")
        elif each.name not in labels:
            faults.note(annotation, number, "of unknown class", repr(each.name))
        elif ignored is None:
            faults.note(annotation, number, "of unclear difficulty", repr(each.difficult))
        elif wrong := fault_of(box, width, height, ONE_PIXEL):
            given = " ".join(f"{side:g}" for side in each.corners)
            faults.note(annotation, number, wrong, f"{given} in {width}×{height}")
        else:
            kept.append((cut(box, width, height), labels[each.name], ignored))
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


def _read_list(file: Path, pictures: Path) -> list[str]:
    """Return the image of each line; ``pictures`` is the folder of those that there are."""
    if not file.is_file():
        known = ", ".join(path.stem for path in not_hidden(file.parent, "*.txt")) or "none"
        raise UserError(f"{file} is missing; the lists of images there are: {known}")
    there = {path.stem for path in _with_endings(pictures, ENDINGS)}
    names = [line if line in there else _without_flag(line) for line in read_lines(file)]
    check_unique_lines(file, names)
    if not any(names):
        raise UserError(f"{file} lists no images")
    return [*filter(None, names)]


def _without_flag(line: str) -> str:
    """Return a line without what lists of one class have behind an image: whether it shows one."""
    words = line.rsplit(maxsplit=1)
    return words[0] if len(words) == 2 and words[1] in LIST_FLAGS else line


def _with_endings(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    return [path for path in not_hidden(folder, "*") if path.suffix.lower() in endings]


def _files(folder: Path, endings: tuple[str, ...], names: list[str], what: str) -> dict[str, Path]:
    """Return the files of a folder with one of the names, which are without endings."""
    if not folder.is_dir():
        raise UserError(f"{folder} is missing; VOC's layout has it")
    files = _with_endings(folder, endings)
    found = {path.stem: path for path in files}
    if missing := [f"{folder / name}{endings[0]}" for name in names if name not in found]:
        raise missing_files(missing, what)
    wanted = {*names}
    check_unique(((path.stem, path.name) for path in files if path.stem in wanted), f"{folder} has")
    return found
