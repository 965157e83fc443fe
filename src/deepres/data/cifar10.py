"""CIFAR-10 (Krizhevsky 2009): the official binary records, and the embedded sample."""

import hashlib
from collections.abc import Generator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from shlex import quote

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from deepres.data.transforms import check_bytes
from deepres.distributed import ALONE, World
from deepres.errors import UserError, given_path, no_such
from deepres.files import file_digest

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)

TRAIN_FILES = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST_FILE = "test_batch.bin"
MD5 = {
    "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
    "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
    "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
    "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
    "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
    "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
}

RECORD_BYTES = 1 + 3 * 32 * 32  # a label, then the red, green and blue planes row by row
RECORDS_PER_FILE = 10_000
SAMPLE_COLUMNS = 25  # tiles per row of a sample's mosaic


@dataclass(frozen=True)
class ImageSet:
    """Images and what they show.

    Raises:
        UserError: the images are not uint8 (N, 3, H, W), or there is no whole number for each.
    """

    images: Tensor
    """(N, 3, H, W) uint8."""
    labels: Tensor
    """(N,) int64."""

    def __post_init__(self) -> None:
        check_bytes(self.images)
        labels = self.labels
        if labels.dtype != torch.int64 or labels.shape != self.images.shape[:1]:
            given = str(labels.dtype).removeprefix("torch.")
            raise UserError(
                f"expected labels as int64 ({len(self.images)},), one for each image, got {given} "
                f"{tuple(labels.shape)}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def names(self) -> list[str]:
        """Each image's place, as there are no file names."""
        return [str(i) for i in range(len(self))]

    def fingerprint(self) -> str:
        """Return a checksum of every pixel and label."""
        return _checksum(self.images, self.labels)

    def image(self, i: int) -> Image.Image:
        """Return the ``i``-th image for Pillow."""
        return Image.fromarray(self.images[i].permute(1, 2, 0).cpu().numpy())

    def batches(self, batch_size: int, world: World = ALONE) -> Generator[tuple[Tensor, Tensor]]:
        """Yield this process's images (B, 3, H, W) and labels (B,); each image goes to one."""
        own = slice(world.rank, None, world.size)
        yield from zip(
            self.images[own].split(batch_size), self.labels[own].split(batch_size), strict=True
        )

    def subset(self, part: slice) -> "ImageSet":
        """Return the images at the positions ``part``."""
        return ImageSet(self.images[part], self.labels[part])

    def to(self, device: torch.device) -> "ImageSet":
        """Return the same images in the memory of ``device``."""
        return ImageSet(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Cifar10:
    """CIFAR-10's two parts, and where they came from.

    Raises:
        UserError: a label is none of its ten classes.
    """

    train: ImageSet
    test: ImageSet
    source: str
    """In words, for people."""
    location: str
    """For ``--data``: the folder, or ``sample``."""

    def __post_init__(self) -> None:
        for labels in (self.train.labels, self.test.labels):
            if len(others := labels[(labels < 0) | (labels >= len(CLASSES))]):
                raise UserError(
                    f"{self.source}: an image has the label {others[0]}, and CIFAR-10's go from 0 "
                    f"to {len(CLASSES) - 1}"
                )

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names, in the order of their labels."""
        return CLASSES

    def split(self, holdout: int) -> tuple[ImageSet, ImageSet]:
        """Return the training images but the last ``holdout``, and those, for validation.

        Raises:
            UserError: ``holdout`` is negative, or nothing would be left to train on.
        """
        if holdout < 0:
            raise UserError(f"holdout must be at least 0, got {holdout}")
        kept = len(self.train) - holdout
        if kept < 1:
            raise UserError(
                f"holdout={holdout} leaves nothing to train on: "
                f"{self.source} has {len(self.train)} training images"
            )
        return self.train.subset(slice(0, kept)), self.train.subset(slice(kept, None))

    def fingerprint(self) -> str:
        """Return a checksum of every pixel and label."""
        train, test = self.train, self.test
        return _checksum(train.images, train.labels, test.images, test.labels)


def _checksum(*tensors: Tensor) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.cpu().contiguous().numpy().data)
    return digest.hexdigest()[:16]


def load_cifar10(folder: str | Path) -> Cifar10:
    """Read the official records from ``folder``: 50,000 training and 10,000 test images.

    Raises:
        UserError: a file is missing, cut, or not the official one.
    """
    folder = given_path(folder, "CIFAR-10's folder")
    if problems := verify_cifar10(folder):
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder} is no folder; give the one that has CIFAR-10's files")
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        if names and not names & MD5.keys():  # it is another's: nothing should be fetched into it
            raise UserError(
                f"{folder} holds none of CIFAR-10's files ({TRAIN_FILES[0]}, …, {TEST_FILE}); give "
                "the folder that has them, or run: deepres data cifar10. For one's own classes it "
                "takes train/<class>/ and val/<class>/ in the folder, and --weights"
            )
        advice = f"run: deepres data cifar10 --data {quote(str(folder))}"
        raise UserError(
            f"{problems[0]}; {advice}" if folder.is_dir() else no_such("folder", folder, advice)
        )
    train = _read_records([folder / name for name in TRAIN_FILES])
    test = _read_records([folder / TEST_FILE])
    return Cifar10(train, test, source="CIFAR-10", location=str(folder.resolve()))


def verify_cifar10(folder: Path) -> list[str]:
    """Return what is wrong with the files in ``folder``, a line each; nothing if all is well."""
    expected = RECORD_BYTES * RECORDS_PER_FILE
    problems = []
    for name, md5 in MD5.items():
        path = folder / name
        try:
            if not path.is_file():
                problems.append(f"{path} is missing")
            elif (size := path.stat().st_size) != expected:
                problems.append(f"{path} has {size:,} bytes, expected {expected:,}")
            elif (found := file_digest(path, "md5")) != md5:
                problems.append(f"{path} is damaged: its md5 is {found}, expected {md5}")
        except OSError as error:
            problems.append(f"{path} cannot be read: {error.strerror}")
    return problems


def load_sample() -> Cifar10:
    """Read the sample inside the package: 500 training and 100 test images of each class.

    They are the first of each class in CIFAR-10's own order. The classes take turns, so that any
    stretch of the sample is balanced.
    """
    folder = resources.files("deepres.data") / "sample"

    def read(part: str) -> ImageSet:
        mosaics = []
        for name in CLASSES:
            with (folder / part / f"{name}.webp").open("rb") as file:
                mosaics.append(_untile(np.asarray(Image.open(file).convert("RGB"))))
        images = np.stack(mosaics, axis=1).reshape(-1, 3, 32, 32)  # (each, classes, …) → (N, …)
        labels = torch.arange(len(CLASSES)).repeat(len(mosaics[0]))
        return ImageSet(torch.from_numpy(images), labels)

    source = "the embedded sample of CIFAR-10"
    return Cifar10(read("train"), read("test"), source=source, location="sample")


def _untile(mosaic: np.ndarray) -> np.ndarray:
    """(32·rows, 32·columns, 3) → (rows·columns, 3, 32, 32), row by row."""
    tiles = mosaic.reshape(-1, 32, SAMPLE_COLUMNS, 32, 3)  # (rows, 32, columns, 32, 3)
    return np.ascontiguousarray(tiles.transpose(0, 2, 4, 1, 3).reshape(-1, 3, 32, 32))


def _read_records(paths: list[Path]) -> ImageSet:
    """Read record files, one after the other, into images (N, 3, 32, 32) and labels (N,)."""
    images = torch.empty(len(paths) * RECORDS_PER_FILE, 3, 32, 32, dtype=torch.uint8)
    labels = torch.empty(len(images), dtype=torch.int64)
    for i, path in enumerate(paths):
        records = torch.from_numpy(np.fromfile(path, np.uint8)).view(-1, RECORD_BYTES)
        part = slice(i * RECORDS_PER_FILE, (i + 1) * RECORDS_PER_FILE)
        images[part] = records[:, 1:].unflatten(1, (3, 32, 32))
        labels[part] = records[:, 0]
    return ImageSet(images, labels)
