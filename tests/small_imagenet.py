"""ImageNet's official archives in small, for tests."""

import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from deepres.data.imagenet import Counts


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def tar_of(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            add(tar, name, content)
    return buffer.getvalue()


def jpeg(number: int) -> bytes:
    """A small picture of its own for each number."""
    buffer = io.BytesIO()
    Image.new("RGB", (24, 16), (number % 256, number // 256 * 8, 99)).save(buffer, "JPEG")
    return buffer.getvalue()


@dataclass(frozen=True)
class Ilsvrc2012:
    """The official archives in small: the same names, nesting and tables."""

    folder: Path
    counts: Counts
    train: dict[str, dict[str, bytes]]
    """Of each class: content by file name."""
    val: dict[str, dict[str, bytes]]
    test: dict[str, bytes]

    @classmethod
    def make(cls, folder: Path, train: dict[str, dict[str, bytes]], val_each: int) -> "Ilsvrc2012":
        """Write the archives of the given training images. Ids run against the order of names."""
        wnids = sorted(train, reverse=True)
        numbers = range(1, val_each * len(wnids) + 1)
        truth = [(7 * number) % len(wnids) + 1 for number in numbers]
        val: dict[str, dict[str, bytes]] = {wnid: {} for wnid in wnids}
        for number, label in zip(numbers, truth, strict=True):
            name = f"ILSVRC2012_val_{number:08}.JPEG"
            val[wnids[label - 1]][name] = jpeg(1_000 + number)
        test = {f"ILSVRC2012_test_{number:08}.JPEG": jpeg(3_000 + number) for number in range(1, 5)}
        counts = Counts(len(wnids), sum(map(len, train.values())), len(truth), len(test))
        made = cls(folder, counts, train, val, test)
        made.write_train(train)
        flat = {name: image for part in val.values() for name, image in part.items()}
        made.write("val", tar_of(dict(sorted(flat.items()))))
        made.write("test_v10102019", tar_of({f"test/{name}": test[name] for name in test}))
        made.write_devkit(wnids, truth)
        return made

    def write(self, part: str, content: bytes) -> None:
        self.path(part).write_bytes(content)

    def path(self, part: str) -> Path:
        return self.folder / f"ILSVRC2012_img_{part}.tar"

    def write_train(self, train: dict[str, dict[str, bytes]]) -> None:
        self.write("train", tar_of({f"{wnid}.tar": tar_of(train[wnid]) for wnid in train}))

    def write_devkit(self, wnids: list[str], truth: list[int], encoding: str = "utf-8") -> None:
        fields = ["ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children"]
        fields += ["wordnet_height", "num_train_images"]
        rows = [
            (i, wnid, f"thing {i}, Res {i}", "a gloss", 0, [], 0, len(self.train.get(wnid, ())))
            for i, wnid in enumerate(wnids, start=1)
        ]
        above = len(wnids) + 1
        rows.append((above, "n00001740", "entity", "all", len(wnids), [1, 2], 19, 0))
        synsets = np.array(rows, dtype=[(field, object) for field in fields])[:, None]
        meta = io.BytesIO()
        savemat(meta, {"synsets": synsets})
        data = "ILSVRC2012_devkit_t12/data"
        with tarfile.open(self.folder / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as tar:
            add(tar, f"{data}/meta.mat", meta.getvalue())
            lines = "".join(f"{label}\r\n" for label in truth).encode(encoding)
            add(tar, f"{data}/ILSVRC2012_validation_ground_truth.txt", lines)

    def tree(self) -> dict[str, bytes]:
        """The images as they should be unpacked, by path."""
        parts = {"train": self.train, "val": self.val}
        tree = {
            f"{part}/{wnid}/{name}": image
            for part, classes in parts.items()
            for wnid, images in classes.items()
            for name, image in images.items()
        }
        return tree | {f"test/{name}": image for name, image in self.test.items()}


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file's content by its path in ``folder``, but the list of classes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "ilsvrc2012.json"
    }
