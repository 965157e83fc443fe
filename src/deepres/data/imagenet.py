"""ImageNet's classification set of 2012 (ILSVRC2012): its layout, and whether it is whole."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from deepres.data.listing import some
from deepres.errors import UserError
from deepres.files import read_json, write_json
from deepres.progress import Progress

CLASSES_FILE = "ilsvrc2012.json"
SUFFIX = ".JPEG"  # of every official file name
WORDNET_ID = re.compile(r"n\d{8}", re.ASCII)
"""How classes, and so their folders, are called."""
_some = partial(some, shown=20)


@dataclass(frozen=True)
class Counts:
    """How many classes and images the whole set has."""

    classes: int
    train: int
    val: int
    test: int

    @property
    def val_per_class(self) -> int:
        """Validation images of each class."""
        return self.val // self.classes


ILSVRC2012 = Counts(classes=1_000, train=1_281_167, val=50_000, test=100_000)


@dataclass(frozen=True)
class ImageNetClass:
    """What the development kit says of a class."""

    id: int
    """Its ILSVRC2012_ID, from 1: the label in files for submission."""
    words: str
    """Its names, separated by commas."""
    train_images: int


def save_classes(folder: Path, classes: Mapping[str, ImageNetClass]) -> None:
    """Write ``classes``, by WordNet id, into ``folder``, in the order of the networks' labels.

    Raises:
        UserError: the disk refused.
    """
    write_json(folder / CLASSES_FILE, {wnid: vars(classes[wnid]) for wnid in sorted(classes)})


def load_classes(folder: Path) -> dict[str, ImageNetClass]:
    """Read the classes of a prepared folder, by WordNet id.

    Raises:
        UserError: the file is missing, or not what :func:`save_classes` wrote.
    """
    path = folder / CLASSES_FILE
    if not path.exists():
        raise UserError(f"{path} is missing; run: deepres data imagenet prepare")
    try:
        return {wnid: ImageNetClass(**values) for wnid, values in read_json(path).items()}
    except (TypeError, AttributeError) as error:
        raise UserError(
            f"{path} does not list classes; delete it and run: deepres data imagenet prepare"
        ) from error


def image_folders(folder: Path) -> list[Path]:
    """Return the folders that hold images: of each class in train and val, and test."""
    folders = [path for part in ("train", "val") for path in sorted((folder / part).glob("*/"))]
    return [*folders, *(path for path in (folder / "test",) if path.is_dir())]


def verify_imagenet(folder: Path, expected: Counts = ILSVRC2012) -> list[str]:
    """Return what is missing or superfluous in ``folder``, a line each; nothing if all is well.

    Files are counted, and empty ones named; what they hold is not looked at. Test images are
    counted only where there are any.

    Args:
        folder: holds train, val and the list of classes.
        expected: what the whole set has.
    """
    problems: list[str] = []
    classes: dict[str, ImageNetClass] = {}
    try:
        classes = load_classes(folder)
        if len(classes) != expected.classes:
            problems.append(
                f"{folder / CLASSES_FILE} lists {len(classes):,} classes, "
                f"expected {expected.classes:,}"
            )
    except UserError as error:
        problems.append(str(error))
    train_each: dict[str, int | None] = {w: c.train_images for w, c in classes.items()}
    if sum(c.train_images for c in classes.values()) != expected.train:
        train_each = dict.fromkeys(classes)  # figures that do not add up are not held against files
    val_each: dict[str, int | None] = dict.fromkeys(classes, expected.val_per_class)
    problems += _check_part(folder / "train", train_each, expected.classes, expected.train)
    problems += _check_part(folder / "val", val_each, expected.classes, expected.val)
    if (folder / "test").exists():
        problems += _check_files(folder / "test", expected.test)
    return problems


def _check_part(part: Path, each: Mapping[str, int | None], classes: int, total: int) -> list[str]:
    """Check a folder of classes.

    Args:
        part: train or val.
        each: the number of images of each class by name; None where it is not known. Empty where
            not even the names are known.
        classes: how many there should be.
        total: images that there should be.
    """
    if not part.is_dir():
        return [f"{part} is missing, expected {total:,} images in {classes:,} classes"]
    problems, counts, strays = [], {}, []
    entries = sorted(os.scandir(part), key=lambda entry: entry.name)
    with Progress(f"check {part.name}", max(len(entries), 1)) as bar:
        for i, entry in enumerate(entries, start=1):
            if entry.is_dir():
                counts[entry.name], found = _count(Path(entry.path))
                problems += found
            else:
                strays.append(entry.name)
            bar.update(i)
    if strays:
        problems.append(f"{part} holds files outside its classes' folders: {_some(strays)}")
    hidden = {name for name in counts if name.startswith(".")}
    known = each.keys() or counts.keys() - hidden
    if missing := sorted(each.keys() - counts.keys()):
        problems.append(f"{part} lacks {len(missing):,} of {classes:,} classes: {_some(missing)}")
    if superfluous := sorted(counts.keys() - known):
        problems.append(f"{part} holds folders that are no classes: {_some(superfluous)}")
    if not each and len(known) != classes:
        problems.append(f"{part} has {len(known):,} classes, expected {classes:,}")
    wrong = [
        f"{name} has {counts[name]:,}, expected {number:,}"
        for name, number in each.items()
        if number is not None and counts.get(name, number) != number
    ]
    if wrong:
        problems.append(f"{part} has too few or too many images of some classes: {_some(wrong)}")
    if (images := sum(counts.get(name, 0) for name in known)) != total:
        problems.append(f"{part} has {images:,} images, expected {total:,}")
    return problems


def _check_files(folder: Path, total: int) -> list[str]:
    images, problems = _count(folder)
    if images != total:
        problems.append(f"{folder} has {images:,} images, expected {total:,}")
    return problems


def _count(folder: Path) -> tuple[int, list[str]]:
    """Return how many images ``folder`` has, and what is wrong in it: empty files, odd names."""
    images, empty, odd = 0, [], []
    for entry in os.scandir(folder):
        if not entry.is_file() or not entry.name.endswith(SUFFIX) or entry.name.startswith("."):
            odd.append(entry.name)
            continue
        images += 1
        if entry.stat().st_size == 0:
            empty.append(f"{entry.path} is empty")
    problems = sorted(empty)
    if odd:
        problems.append(f"{folder} holds what is no {SUFFIX} file: {_some(sorted(odd))}")
    return images, problems
