"""ImageNet's development kit: which classes there are, and what each validation image shows."""

import io
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from deepres.data.imagenet import WORDNET_ID, Counts, ImageNetClass
from deepres.data.text_lists import lines_of
from deepres.errors import UserError

DEVKIT_ARCHIVE = "ILSVRC2012_devkit_t12.tar.gz"
META = "data/meta.mat"
MOST_UNPACKED = 64_000_000
"""Bytes; the official kit has a tenth of that."""
GROUND_TRUTH = "data/ILSVRC2012_validation_ground_truth.txt"


@dataclass(frozen=True)
class Devkit:
    """What the development kit says."""

    classes: dict[str, ImageNetClass]
    """By WordNet id."""
    val_wnids: list[str]
    """The class of each validation image, in the order of their numbers."""

    def val_wnid(self, number: int) -> str | None:
        """Return the class of validation image ``number``, from 1; None if there is no such."""
        return self.val_wnids[number - 1] if 1 <= number <= len(self.val_wnids) else None


def read_devkit(archive: Path, expected: Counts) -> Devkit:
    """Read the official archive.

    Raises:
        UserError: it is missing, damaged, of another data set, or SciPy is not installed.
    """
    files = _read_files(archive)
    classes = _parse_meta(archive, files[META], expected.classes)
    wnids = {each.id: wnid for wnid, each in classes.items()}
    try:
        lines = lines_of(files[GROUND_TRUTH], f"{archive}: {GROUND_TRUTH}")
        val_wnids = [wnids[int(word)] for line in lines for word in line.split()]
    except (ValueError, KeyError) as error:
        raise _not_official(
            archive, f"{GROUND_TRUTH} holds {error}, which is no class's id"
        ) from error
    if len(val_wnids) != expected.val:
        found = f"{GROUND_TRUTH} labels {len(val_wnids):,} images, expected {expected.val:,}"
        raise _not_official(archive, found)
    return Devkit(classes, val_wnids)


def _read_files(archive: Path) -> dict[str, bytes]:
    if not archive.is_file():
        raise UserError(
            f"{archive} is missing: without the development kit (2.5 MB, from image-net.org) "
            "the validation images have no labels; put it there"
        )
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                if member.offset_data + member.size > MOST_UNPACKED:  # before it is unpacked
                    size = f"it unpacks to more than {MOST_UNPACKED / 1e6:.0f} MB"
                    raise _not_official(archive, size)
                name = "/".join(PurePosixPath(member.name).parts[-2:])
                if name in (META, GROUND_TRUTH) and member.isreg():
                    content = tar.extractfile(member)
                    assert content is not None  # a regular file
                    files[name] = content.read()
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise UserError(
            f"{archive} is cut short or damaged ({error}); fetch it again from image-net.org"
        ) from error
    for name in (META, GROUND_TRUTH):
        if name not in files:
            raise _not_official(archive, f"it lacks {name}")
    return files


def _parse_meta(archive: Path, content: bytes, expected: int) -> dict[str, ImageNetClass]:
    """Read meta.mat; its synsets with children are groups of classes, and left out."""
    from scipy.io import loadmat  # it takes long to import

    try:
        synsets = np.atleast_1d(loadmat(io.BytesIO(content), squeeze_me=True)["synsets"])
        classes = {
            str(row["WNID"]): ImageNetClass(
                id=int(row["ILSVRC2012_ID"]),
                words=str(row["words"]),
                train_images=int(row["num_train_images"]),
            )
            for row in synsets
            if int(row["num_children"]) == 0
        }
    except Exception as error:  # a damaged file can fail anywhere in its reader
        raise _not_official(archive, f"{META} cannot be read ({error})") from error
    if sorted(each.id for each in classes.values()) != list(range(1, expected + 1)):
        found = f"{META} has {len(classes):,} classes, expected {expected:,} with ids from 1"
        raise _not_official(archive, found)
    # They become names of folders.
    if odd := [wnid for wnid in classes if not WORDNET_ID.fullmatch(wnid)]:
        raise _not_official(archive, f"{META} has {odd[0]!r} for a WordNet id")
    return classes


def _not_official(archive: Path, found: str) -> UserError:
    return UserError(
        f"{archive} is not the official development kit of ILSVRC2012: {found}; "
        "fetch it again from image-net.org"
    )
