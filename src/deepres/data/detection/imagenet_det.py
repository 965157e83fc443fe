"""ImageNet DET's layout (ILSVRC 2013 to 2017): VOC's XML files, 200 classes by WordNet id."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from deepres.data.detection.checks import Faults, check_files
from deepres.data.detection.imagenet_det_classes import DET_CLASSES
from deepres.data.detection.records import AnnotatedImage
from deepres.data.detection.voc import annotated_image, without_objects
from deepres.data.text_lists import check_unique_lines, read_lines
from deepres.errors import UserError

NEGATIVE = "-1"
"""The flag of a training image that was chosen for not showing a class; of the 199 others nothing
is known, so such images are left out unless another list has them for what they show."""

HALVES = ("val1", "val2")
"""R-CNN's split of val, which appendix B takes: two lists, of images that are val's."""
RCNN_LISTS = "R-CNN's code (github.com/rbgirshick/rcnn, data/splits/ilsvrc13)"


def read_imagenet_det(
    folder: Path, splits: Sequence[str], faults: Faults, *, annotated: bool = True
) -> list[AnnotatedImage]:
    """Read the images of "train", "val", "val1", "val2" or "test", or of several of them.

    An image without an XML file has no objects. Pixels are counted from 0 in these files.

    Args:
        folder: holds ImageSets/DET, Annotations/DET and Data/DET.
        splits: the sets; train is every image of train_1.txt … train_200.txt with an object.
        faults: receives the objects that cannot be right, which are left out.
        annotated: whether the images' objects are known.

    Raises:
        UserError: a file is missing or malformed.
    """
    # All lists come first: the training images' annotations take minutes.
    ids = {split: _listed(folder / "ImageSets/DET", split) for split in splits}
    return [
        image
        for split, names in ids.items()
        for image in _images(folder, split, names, faults, annotated)
    ]


def _images(
    folder: Path, split: str, ids: Sequence[str], faults: Faults, annotated: bool
) -> Iterator[AnnotatedImage]:
    place = "val" if split in HALVES else split
    images = {each: folder / f"Data/DET/{place}/{each}.JPEG" for each in ids}
    check_files(images.values(), f"images of ImageNet DET {split}")
    labels = {wnid: label for label, wnid in enumerate(DET_CLASSES, 1)}
    xml = folder / "Annotations/DET" / place
    if annotated and not xml.is_dir():
        raise UserError(f"{xml} is missing; ImageNet DET's layout has it")
    for name, image in images.items():
        files = [xml / f"{name}{ending}" for ending in (".xml", ".XML")]
        if annotated and (annotation := next(filter(Path.is_file, files), None)):
            given = (name, image, annotation, labels, faults)
            yield annotated_image(*given, first_pixel=0, difficult=False)
        else:
            yield without_objects(name, image)


def _listed(lists: Path, split: str) -> list[str]:
    if split == "train":
        return _train_ids(lists)
    if split in HALVES and not (lists / f"{split}.txt").is_file():
        raise UserError(
            f"{lists / split}.txt is missing; the two halves of val are R-CNN's, and no part of "
            f"ImageNet: put val1.txt and val2.txt from {RCNN_LISTS} there"
        )
    return _ids(lists / f"{split}.txt")


def _train_ids(lists: Path) -> list[str]:
    files = sorted(
        lists.glob("train_*.txt"), key=lambda path: int(re.sub(r"\D", "", path.stem) or 0)
    )
    if not files:
        raise UserError(f"{lists} has no train_1.txt … train_200.txt")
    # A dict keeps the order of the first mention.
    return list(dict.fromkeys(name for path in files for name in _ids(path, without=NEGATIVE)))


def _ids(path: Path, without: str | None = None) -> list[str]:
    """Return the first word of each line, unless the second is ``without``."""
    if not path.is_file():
        raise UserError(f"{path} is missing; ImageNet DET's layout has it")
    words = [line.split() or [""] for line in read_lines(path)]
    names = [each[0] for each in words if without not in each[1:]]
    if without is None:  # those to train on are gathered from many lists, once each
        check_unique_lines(path, names)
    return [*filter(None, names)]
