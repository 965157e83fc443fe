"""Images in folders: ImageNet, Tiny-ImageNet, or a user's own classes."""

import filecmp
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image

from deepres.data.imagenet import ILSVRC2012, WORDNET_ID
from deepres.data.images import modification_times, open_image
from deepres.data.listing import ENDINGS as ENDINGS
from deepres.data.listing import Listing, check_no_loop, some
from deepres.data.text_lists import check_unique_lines, read_lines
from deepres.errors import UserError, given_path, no_such

Say = Callable[[str], None]
PARTS = {"train", "test", "valid", "validation"}
"""Where no ``val`` is, folders of these names alone are parts of a data set, not classes."""
UNKNOWN = -1
"""The label of an image whose class is not known."""
COMPARED = 100
"""So many files of the same name in ``train`` and ``val`` are looked into, spread over all."""


@dataclass(frozen=True)
class ImageFiles:
    """Image files and what they show."""

    root: Path
    names: tuple[str, ...]
    """Paths below ``root``, in order."""
    labels: tuple[int, ...]
    """Each one's class, or ``UNKNOWN``."""

    def __len__(self) -> int:
        return len(self.names)

    def fingerprint(self) -> str:
        """Return a checksum of all names, labels and file sizes; pixels would take an hour.

        The files are looked at once, for there may be a million, on a disk that answers slowly.
        """
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for name, label in zip(self.names, self.labels, strict=True):
            size = (self.root / name).stat().st_size
            # names need not be UTF-8
            digest.update(f"{name}\0{label}\0{size}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()[:16]

    def paths(self) -> list[Path]:
        """Return where the files are."""
        return [self.root / name for name in self.names]

    def spread(self, count: int) -> "ImageFiles":
        """Return ``count`` of the files, evenly spread over all; all if there are no more."""
        if count >= len(self):
            return self
        indices = [i * len(self) // count for i in range(count)]
        names = tuple(self.names[i] for i in indices)
        return ImageFiles(self.root, names, tuple(self.labels[i] for i in indices))

    def image(self, i: int) -> Image.Image:
        """Decode the ``i``-th image to RGB.

        Raises:
            BadImage: it is damaged, or no image.
        """
        return open_image(self.root / self.names[i])


@dataclass(frozen=True)
class ImageFolder:
    """Training images and test images, in the folders ``train`` and ``val`` of one folder."""

    train: ImageFiles
    test: ImageFiles
    classes: tuple[str, ...]
    """Their folders' names, sorted; a class's label is its place."""
    location: str

    @property
    def is_imagenet(self) -> bool:
        """Whether they are ILSVRC2012, whole, by number and by the classes' ids."""
        whole = ILSVRC2012.classes, ILSVRC2012.train, ILSVRC2012.val
        counts = len(self.classes), len(self.train), len(self.test)
        return counts == whole and all(map(WORDNET_ID.fullmatch, self.classes))

    @property
    def source(self) -> str:
        """What they are, in words, for people."""
        if self.is_imagenet:
            return "ImageNet"
        return f"{Path(self.location).name} ({len(self.classes)} classes)"

    def fingerprint(self) -> str:
        """Return a checksum of all names, labels and file sizes."""
        both = self.train.fingerprint() + self.test.fingerprint()
        return hashlib.sha256(both.encode()).hexdigest()[:16]

    def state(self) -> dict[str, str]:
        """Return what else may have changed about the data when a run goes on."""
        return {"image_files": modification_times([*self.train.paths(), *self.test.paths()])}


def open_image_folder(folder: str | Path, say: Say = print) -> ImageFolder:
    """List the images of ``folder``: ``train/<class>/…`` and ``val/<class>/…``.

    Images may lie at any depth below their class. Tiny-ImageNet's own layout of ``val`` is
    understood too: ``images/``, with the classes in ``val_annotations.txt``.

    Args:
        folder: holds both.
        say: receives a line on what is passed over, and on classes without images.

    Raises:
        UserError: a folder or an image is missing, or the two do not have the same classes.
    """
    folder = given_path(folder, "the images' folder")
    if not folder.is_dir():
        raise UserError(no_such("folder", folder))
    for part in ("train", "val"):
        if not (folder / part).is_dir():
            raise UserError(
                f"{folder} has no folder {part!r}; images are expected in "
                "train/<class>/ and val/<class>/"
            )
    classes = _folders(folder / "train")
    if not classes:
        raise UserError(f"{folder / 'train'} has no folders; expected one for each class")
    train = _classified(folder / "train", classes, say)
    test = _val(folder / "val", classes, say)
    _tell_copies(folder, train, test, say)
    return ImageFolder(train, test, classes, str(folder.resolve()))


def open_test_images(folder: Path, say: Say = print) -> tuple[ImageFiles, tuple[str, ...]]:
    """List the images to test on, and their classes: those in ``val`` if there is one.

    Without folders for classes, all images are of unknown class, and no classes are returned.

    Raises:
        UserError: there are no images, or nobody says which of them are for a test.
    """
    if not folder.is_dir():
        raise UserError(no_such("folder", folder))
    if (folder / "val").is_dir():
        if (folder / "train").is_dir():
            classes = _folders(folder / "train")
            return _val(folder / "val", classes, say), classes
        folder = folder / "val"
    if classes := _folders(folder):
        if "train" in classes and {*classes} <= PARTS:
            raise UserError(
                f"{folder} has train but no val; expected val/<class>/ beside train, or the folder "
                "of the classes itself"
            )
        return _classified(folder, classes, say), classes
    return open_images(folder, say), ()


def open_images(folder: Path, say: Say = print) -> ImageFiles:
    """List the images of ``folder``, at any depth; nobody asks for their classes.

    Args:
        folder: that of the images.
        say: receives lines on what is passed over.

    Raises:
        UserError: there are no images.
    """
    if not folder.is_dir():
        raise UserError(no_such("folder", folder))
    listing = Listing()
    names = listing.images_below(folder)
    listing.tell(folder, say)
    if not names:
        raise UserError(f"{folder} holds no images ({', '.join(ENDINGS)})")
    return ImageFiles(folder, names, (UNKNOWN,) * len(names))


def _val(folder: Path, classes: tuple[str, ...], say: Say) -> ImageFiles:
    annotations = folder / "val_annotations.txt"
    if annotations.is_file():
        return _tiny_imagenet_val(annotations, classes)
    if (found := _folders(folder)) != classes:
        odd = sorted({*found} ^ {*classes})
        where = "train" if odd[0] in classes else "val"
        raise UserError(
            f"{folder.parent}: train and val must have the same classes, but {odd[0]} is only in "
            f"{where} ({len(odd)} such classes)"
        )
    return _classified(folder, classes, say)


def _tell_copies(folder: Path, train: ImageFiles, test: ImageFiles, say: Say) -> None:
    """Say so if test images are copies of training images, whose error says nothing of others."""
    shared = sorted({*train.names} & {*test.names})
    seen = shared[:: -(-len(shared) // COMPARED) or 1]
    copies = sum(
        filecmp.cmp(train.root / name, test.root / name, shallow=False)  # the bytes, too
        for name in seen
    )
    if copies:
        say(
            f"{folder}: train and val share images: of {len(seen):,} files with the same name in "
            f"both, {copies:,} are the same; the test error will be too low"
        )


def _folders(folder: Path) -> tuple[str, ...]:
    entries = (entry.name for entry in folder.iterdir() if entry.is_dir())
    names = tuple(sorted(name for name in entries if not name.startswith(".")))
    for name in names:
        check_no_loop(folder / name, ())
    return names


def _classified(folder: Path, classes: tuple[str, ...], say: Say) -> ImageFiles:
    listing = Listing()
    names: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = [f"{name}/{below}" for below in listing.images_below(folder / name)]
        names += found
        labels += [label] * len(found)
    listing.tell(folder, say)
    if not names:
        raise UserError(f"{folder} holds no images ({', '.join(ENDINGS)})")
    there = set(labels)
    if empty := [name for label, name in enumerate(classes) if label not in there]:
        say(f"{folder}: {len(empty):,} of {len(classes):,} classes have no images: {some(empty)}")
    return ImageFiles(folder, tuple(names), tuple(labels))


def _tiny_imagenet_val(annotations: Path, classes: tuple[str, ...]) -> ImageFiles:
    places = {name: label for label, name in enumerate(classes)}
    names, labels = [], []
    for number, line in enumerate(read_lines(annotations), 1):
        name, _, rest = line.partition("\t")
        class_name = rest.partition("\t")[0]
        if not class_name:
            raise UserError(
                f"{annotations}, line {number}: expected a file name, a tab and a class, "
                f"got {line!r}"
            )
        if class_name not in places:
            raise UserError(
                f"{annotations}, line {number}: class {class_name!r} has no folder in train"
            )
        names.append(f"images/{name}")
        labels.append(places[class_name])
    check_unique_lines(annotations, names)
    images = annotations.parent / "images"
    there = {f"images/{name}" for name in Listing().images_below(images)} if images.is_dir() else ()
    if missing := [name for name in names if name not in there]:
        raise UserError(
            f"{annotations.parent}: {len(missing):,} of {len(names):,} images in "
            f"{annotations.name} are missing: {some(missing)}; unpack the data set anew"
        )
    return ImageFiles(annotations.parent, tuple(names), tuple(labels))
