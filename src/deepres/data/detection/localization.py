"""One class and its boxes for each image: ImageNet's localization task, and Tiny-ImageNet."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from deepres.data.detection.checks import BadBoxes, Faults, Say, fault_of, missing_files
from deepres.data.detection.localization_left_out import without_left_out
from deepres.data.detection.picture_sizes import checked_sizes
from deepres.data.detection.records import AnnotatedImage, DetectionSet, Objects
from deepres.data.detection.voc import ONE_PIXEL, annotated_image
from deepres.data.detection.voc_xml import XML_FILES
from deepres.data.folder import ImageFiles, ImageFolder, open_image_folder
from deepres.data.listing import TINY_BOXES
from deepres.data.text_lists import check_unique, check_unique_lines, read_lines
from deepres.errors import UserError
from deepres.files import not_hidden
from deepres.torchrun import is_leader

Part = Literal["train", "val"]

XML_FOLDERS: dict[Part, str] = {"train": "ILSVRC2012_bbox_train", "val": "ILSVRC2012_bbox_val"}
"""Where ImageNet's boxes are unpacked, beside train and val: an XML file an image, at any depth."""
TINY_SIDE = 64
"""Width and height, in pixels, of each of Tiny-ImageNet's images."""


@dataclass(frozen=True)
class LocalizationData:
    """Images to train on and to test on, with their boxes."""

    train: DetectionSet
    test: DetectionSet

    @property
    def classes(self) -> tuple[str, ...]:
        """Their folders' names, sorted."""
        return self.train.classes

    @property
    def location(self) -> str:
        """The folder."""
        return self.train.location

    @property
    def source(self) -> str:
        """What is trained on, in words, for people."""
        return self.train.name

    def fingerprint(self) -> str:
        """Return a checksum of all ids, sizes, boxes and labels."""
        both = self.train.fingerprint() + self.test.fingerprint()
        return hashlib.sha256(both.encode()).hexdigest()[:16]


class LocalizationRCNNData(NamedTuple):
    """Images to train an R-CNN on, and what proposes regions in them."""

    images: LocalizationData
    rpn: Path | None = None
    """The folder or .safetensors file of an RPN's run; a run that goes on has it already."""


def open_localization_data(
    folder: Path,
    bad_boxes: BadBoxes = "fail",
    *,
    began_with: str | None = None,
    say: Say = print,
) -> LocalizationData:
    """Read the boxes of the images in ``folder``; all objects of an image have its one class.

    The folder is laid out as for classification, ``train/<class>/`` and ``val/<class>/``, with the
    boxes in ``XML_FOLDERS``; or it is Tiny-ImageNet as published. Of ImageNet's training images
    less than half have boxes: those are read. Of its validation images those that ILSVRC's own
    test leaves out are left out, if their list is there.

    Args:
        folder: of ImageNet or Tiny-ImageNet.
        bad_boxes: what to do with objects that cannot be right, and with pictures that EXIF turns
            and their annotations do not. Images that are left without any are left out with them.
        began_with: the fingerprint, in recipe.json, of the data of a run that is to go on. If it
            began before that list was there, no validation image is left out.
        say: receives lines on what is left out.

    Raises:
        UserError: there are no boxes, or bad ones that are not to be dropped.
        BadImage: a picture cannot be read.
    """
    folder = folder.resolve()
    images = open_image_folder(folder, say)
    data = LocalizationData(
        train=_read(folder, "train", images, bad_boxes, say),
        test=_read(folder, "val", images, bad_boxes, say),
    )
    if began_with in (None, data.fingerprint()):
        return data
    with suppress(UserError):  # the run did not begin with these images
        test = _read(folder, "val", images, bad_boxes, lambda line: None, leave_out=False)
        whole = replace(data, test=test)
        if whole.fingerprint() == began_with:
            say(f"{test.name}: the run began with all {len(test):,} images, so none is left out")
            return whole
    return data


def open_localization_test(
    folder: Path, bad_boxes: BadBoxes = "fail", *, say: Say = print
) -> DetectionSet:
    """Read the boxes of the test images alone, as ``open_localization_data`` does."""
    folder = folder.resolve()
    return _read(folder, "val", open_image_folder(folder, say), bad_boxes, say)


def _read(
    folder: Path,
    part: Part,
    images: ImageFolder,
    bad_boxes: BadBoxes,
    say: Say,
    *,
    leave_out: bool = True,
) -> DetectionSet:
    files = images.train if part == "train" else images.test
    faults = Faults()
    if has_xml := (folder / XML_FOLDERS[part]).is_dir():
        whole = "ImageNet" if images.is_imagenet else folder.name
        name = f"{whole} {part}"
        if part == "val" and leave_out:
            files = without_left_out(files, folder, name, say)
        found = _read_xml(folder, part, files, images.classes, faults)
    elif list(folder.glob(f"train/*/*{TINY_BOXES}")):
        name, found = f"Tiny-ImageNet {part}", _read_tiny(part, files, images.classes, faults)
    else:
        raise UserError(
            f"{folder} has no boxes; unpack ImageNet's into {folder / XML_FOLDERS[part]}, or give "
            "Tiny-ImageNet as published"
        )
    dropped = faults.settle(name, bad_boxes, say)
    kept = tuple(image for image in found if len(image.objects.boxes))
    if not kept:
        raise UserError(f"{name} in {folder} has no image with a box that can be right")
    if len(kept) < len(found):
        left_out = len(found) - len(kept)
        say(f"{name}: {left_out:,} of {len(found):,} images have no box and are left out")
    data = DetectionSet(name, images.classes, kept, str(folder), dropped=dropped)
    if not has_xml:  # all of Tiny-ImageNet's are of one size, and upright
        return data
    return checked_sizes(data, bad_boxes, say, scaled=True, shown=is_leader())


def image_class(image: AnnotatedImage) -> int:
    """Return the label of an image's one class."""
    return int(image.objects.labels[0])


def _read_xml(
    folder: Path, part: Part, files: ImageFiles, classes: tuple[str, ...], faults: Faults
) -> list[AnnotatedImage]:
    """Read ImageNet's XML files; its pixels are counted from 0, unlike VOC's."""
    xml = not_hidden(folder / XML_FOLDERS[part], f"**/{XML_FILES}")
    check_unique(((path.stem, path) for path in xml), f"{folder / XML_FOLDERS[part]} has")
    annotations = {path.stem: path for path in xml}
    found, missing = [], []
    for name, label in zip(files.names, files.labels, strict=True):
        path = files.root / name
        if path.stem in annotations:
            labels = {classes[label]: label + 1}
            given = (path.stem, path, annotations[path.stem], labels, faults)
            found.append(annotated_image(*given, first_pixel=0, difficult=False))
        elif part == "val":
            missing.append(f"{path.stem}.xml")
    if missing or not found:
        raise missing_files(missing or ["all"], f"boxes in {folder / XML_FOLDERS[part]}")
    return found


def _read_tiny(
    part: Part, files: ImageFiles, classes: tuple[str, ...], faults: Faults
) -> list[AnnotatedImage]:
    """Read Tiny-ImageNet's text files: a box an image, named by its first and last pixel from 0."""
    sources = (
        [files.root / name / f"{name}{TINY_BOXES}" for name in classes]
        if part == "train"
        else [files.root / "val_annotations.txt"] * len(classes)
    )
    lines: dict[tuple[Path, str], tuple[Path, int, list[str]]] = {}
    for source in dict.fromkeys(sources):
        listed = [line.split("\t") for line in _lines(source)]
        check_unique_lines(source, [name for name, *_ in listed])
        for number, (name, *fields) in enumerate(listed, 1):
            lines[source, name] = (source, number, fields[-4:])
    found = []
    for name, label in zip(files.names, files.labels, strict=True):
        path = files.root / name
        if (line := lines.get((sources[label], path.name))) is None:
            raise UserError(f"{path} has no box; unpack Tiny-ImageNet anew")
        found.append(_tiny_image(path, label + 1, line, faults))
    return found


def _tiny_image(
    path: Path, label: int, line: tuple[Path, int, list[str]], faults: Faults
) -> AnnotatedImage:
    source, number, fields = line
    try:
        x1, y1, x2, y2 = map(float, fields)
    except ValueError as error:
        raise UserError(
            f"{source}, line {number}: expected x1 y1 x2 y2 at its end, got {' '.join(fields)!r}"
        ) from error
    box = (x1, y1, x2 + 1, y2 + 1)
    boxes = [box]
    if wrong := fault_of(box, TINY_SIDE, TINY_SIDE, ONE_PIXEL):
        faults.note(source, number, wrong, f"{path.name}: {' '.join(fields)}")
        boxes = []
    return AnnotatedImage(
        path.stem,
        path,
        TINY_SIDE,
        TINY_SIDE,
        Objects(
            torch.tensor(boxes).view(-1, 4),
            torch.full((len(boxes),), label),
            torch.zeros(len(boxes), dtype=torch.bool),
        ),
    )


def _lines(file: Path) -> list[str]:
    if not file.is_file():
        raise UserError(f"{file} is missing; unpack Tiny-ImageNet anew")
    return read_lines(file)
