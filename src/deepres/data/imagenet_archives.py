"""ImageNet from its official archives: one pass over each, and a kill at any point resumes.

A class is unpacked into a hidden folder beside its place, and takes its name when it is whole;
what other tools have unpacked of it stays, and is filled up.
What an archive says is not trusted: of a member's name only the last part is used, and only if
it is an official one; links and devices are passed over.
"""

import hashlib
import re
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from shlex import quote
from typing import IO

from deepres.data.imagenet import ILSVRC2012, Counts, save_classes
from deepres.data.imagenet_devkit import DEVKIT_ARCHIVE, Devkit, read_devkit
from deepres.data.unpacking import begin, finish, lacks, part_of
from deepres.errors import UserError, cannot_write, no_such
from deepres.files import not_through_links
from deepres.progress import Progress

TRAIN_ARCHIVE = "ILSVRC2012_img_train.tar"
VAL_ARCHIVE = "ILSVRC2012_img_val.tar"
TEST_ARCHIVES = "ILSVRC2012_img_test*.tar"  # there were several editions
MD5 = {
    TRAIN_ARCHIVE: "1d675b47d978889d74fa0da5fadfb00e",
    VAL_ARCHIVE: "29b22e2961454d5413ddabcf34fc5622",
    DEVKIT_ARCHIVE: "fa75699e90414af021442c21a62c3abf",
}
VAL_NAME = re.compile(r"ILSVRC2012_val_([0-9]{8})\.JPEG")
BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG")
"""Of JPEGs; one official file is a PNG."""
TEST_NAME = re.compile(r"ILSVRC2012_test_[0-9]{8}\.JPEG")

Say = Callable[[str], None]


def prepare_imagenet(
    source: Path,
    folder: Path,
    say: Say,
    *,
    check_md5: bool = False,
    expected: Counts = ILSVRC2012,
) -> None:
    """Fill ``folder`` with train/<class>/, val/<class>/, test/ and the list of classes.

    Classes that are there already are left alone, unless they lack images that an archive has.
    Validation images that lie flat in ``folder``/val are moved into their classes' folders.
    Whether all is there in the end is :func:`deepres.data.imagenet.verify_imagenet`'s to say.

    Args:
        source: holds the official archives; the development kit, and those of train, val and
            test that there are.
        folder: where the images go.
        say: receives a line on what is being done.
        check_md5: whether to compare the archives' checksums first, which reads them once more.
        expected: what the whole set has.

    Raises:
        UserError: an archive is missing, cut or damaged, or the disk refused. What was complete
            stays, and a later call goes on from there.
    """
    if not source.is_dir():
        raise UserError(no_such("folder", source, f"name the one that holds {', '.join(MD5)}"))
    devkit = read_devkit(source / DEVKIT_ARCHIVE, expected)
    _check_sources(source, folder, say)
    if check_md5:
        for name, md5 in MD5.items():
            if (source / name).is_file():
                _check_md5(source / name, md5)
    save_classes(folder, devkit.classes)
    moved = _sort_val(folder / "val", devkit)
    if (source / VAL_ARCHIVE).is_file():
        _unpack_val(source / VAL_ARCHIVE, folder / "val", devkit, moved, say)
    # The latest edition's name comes last.
    for archive in sorted(source.glob(TEST_ARCHIVES))[-1:]:
        _unpack_test(archive, folder, expected.test, say)
    if (source / TRAIN_ARCHIVE).is_file():
        counts = {wnid: each.train_images for wnid, each in devkit.classes.items()}
        if sum(counts.values()) != expected.train:
            counts = dict.fromkeys(counts, 0)  # as verify_imagenet does not go by them, either
        _unpack_train(source / TRAIN_ARCHIVE, folder / "train", counts, say)


def _check_sources(source: Path, folder: Path, say: Say) -> None:
    """Refuse to start with nothing to do; say which images will be missing."""
    missing = []
    for part, name in (("val", VAL_ARCHIVE), ("train", TRAIN_ARCHIVE)):
        if (source / name).is_file() or (folder / part).is_dir():
            continue
        if (source / part).is_dir():
            raise UserError(
                f"{source} has no {name} but a folder {part}; images that are unpacked already "
                f"are prepared where they are, by --data {quote(str(source))}"
            )
        missing.append(name)
    if len(missing) == 2:
        raise UserError(f"{source} has neither {' nor '.join(missing)}; put them there")
    for name in missing:
        say(f"{source} has no {name}: going on without these images")


def _check_md5(archive: Path, expected: str) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    total = max(1, archive.stat().st_size // 10**6)
    with archive.open("rb") as file, Progress(f"md5 of {archive.name} (MB)", total) as bar:
        while chunk := file.read(1 << 23):
            digest.update(chunk)
            bar.update(file.tell() // 10**6)
    if (found := digest.hexdigest()) != expected:
        raise UserError(
            f"{archive} is damaged: its md5 is {found}, expected {expected}; "
            "fetch it again from image-net.org"
        )


def _sort_val(val: Path, devkit: Devkit) -> set[str]:
    """Move the validation images that lie flat in ``val`` into their classes' folders.

    Returns:
        These classes.
    """
    flat = []
    for path in sorted(val.iterdir()) if val.is_dir() else ():
        if (match := VAL_NAME.fullmatch(path.name)) and (wnid := devkit.val_wnid(int(match[1]))):
            flat.append((path, val / wnid / path.name))
    with Progress("sort val", max(len(flat), 1)) as bar:
        for i, (path, place) in enumerate(flat, start=1):
            try:
                place.parent.mkdir(exist_ok=True)
                path.rename(place)
            except OSError as error:
                raise cannot_write(place, error) from error
            bar.update(i)
    return {place.parent.name for _, place in flat}


def _unpack_val(archive: Path, val: Path, devkit: Devkit, moved: set[str], say: Say) -> None:
    counts = Counter(devkit.val_wnids)
    missing = {wnid for wnid in devkit.classes if lacks(val / wnid, counts[wnid], VAL_NAME)}
    if not missing:
        return
    # Whoever unpacked what was moved was interrupted, so that one of these images may be cut.
    missing |= {wnid for wnid in moved if lacks(val / wnid, counts[wnid] + 1, VAL_NAME)}
    for wnid in missing:
        begin(val, wnid)
    with (
        _opened(archive) as tar,
        Progress("unpack val", len(devkit.val_wnids)) as bar,
    ):
        for i, (name, member) in enumerate(_images(tar, VAL_NAME, archive, say), start=1):
            place = devkit.val_wnid(int(name[1]))
            if place in missing:
                _copy(tar, member, part_of(val, place) / name[0], say)
            bar.update(i)
    finish(val, missing)


def _unpack_test(archive: Path, folder: Path, total: int, say: Say) -> None:
    if not lacks(folder / "test", total, TEST_NAME):
        return
    part = begin(folder, "test")
    with _opened(archive) as tar, Progress("unpack test", total) as bar:
        for i, (name, member) in enumerate(_images(tar, TEST_NAME, archive, say), start=1):
            _copy(tar, member, part / name[0], say)
            bar.update(i)
    finish(folder, ["test"])


def _unpack_train(archive: Path, train: Path, counts: Mapping[str, int], say: Say) -> None:
    """Unpack a tar of tars, one a class, without writing those to the disk."""
    all_names = {f"{wnid}.tar" for wnid in counts}
    missing = {
        f"{wnid}.tar"
        for wnid, count in counts.items()
        if lacks(train / wnid, count, _train_name(wnid))
    }
    if not missing:
        return
    names = re.compile("|".join(map(re.escape, all_names)))
    done = len(all_names) - len(missing)
    with (
        _opened(archive) as tar,
        Progress("unpack train (classes)", len(all_names), start=done) as bar,
    ):
        for name, member in _images(tar, names, archive, say):
            if name[0] in missing:  # the data of the others are not even read
                wnid = name[0].removesuffix(".tar")
                _unpack_class(tar, member, train, wnid, say)
                missing.remove(name[0])
                bar.update(len(all_names) - len(missing), wnid)


def _unpack_class(
    tar: tarfile.TarFile, member: tarfile.TarInfo, train: Path, wnid: str, say: Say
) -> None:
    part = begin(train, wnid)
    file = tar.extractfile(member)
    assert file is not None  # a regular file
    with file, tarfile.open(fileobj=file, mode="r:") as images:
        for name, image in _images(images, _train_name(wnid), Path(member.name), say):
            _copy(images, image, part / name[0], say)
        # Its end is known from outside, so that it may lack the mark.
        _check_end(images, file, mark_required=False)
    finish(train, [wnid])


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    """Open a tar, check in the end that it is whole, and turn its failures into one line."""
    try:
        with archive.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            yield tar
            _check_end(tar, file, mark_required=True)
    except tarfile.TarError as error:
        raise UserError(
            f"{archive} is cut short or damaged ({error}); what is complete stays. Fetch it again "
            "from image-net.org, then go on by the same command (--md5 checks archives first)"
        ) from error
    except OSError as error:
        raise UserError(f"cannot read {archive}: {error.strerror or error}") from error


def _check_end(tar: tarfile.TarFile, file: IO[bytes], mark_required: bool) -> None:
    """Check that the members ended where a block of zeros says so.

    tarfile itself takes a damaged header for the end.
    """
    file.seek(tar.offset)
    block = file.read(tarfile.BLOCKSIZE)
    if block.strip(b"\0") or (mark_required and len(block) < tarfile.BLOCKSIZE):
        raise tarfile.ReadError(f"no further file and no end at byte {tar.offset:,}")


def _images(
    tar: tarfile.TarFile, names: re.Pattern[str], archive: Path, say: Say
) -> Iterator[tuple[re.Match[str], tarfile.TarInfo]]:
    """Yield the regular files in ``tar`` whose bare name is one of ``names``."""
    passed_over = []
    for member in tar:
        match = names.fullmatch(PurePosixPath(member.name).name)
        if match and member.isreg() and not member.issparse():
            yield match, member
        elif not member.isdir():
            passed_over.append(member.name)
    if passed_over:
        say(
            f"{archive.name}: passed over {len(passed_over):,} members that the official archive "
            f"does not have, e.g. {passed_over[0]!r}"
        )


def _copy(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path, say: Say) -> None:
    """Write a member's content to ``path``, unless an earlier call did; say if it looks damaged.

    A tar has no checksum of what its members hold. What can be seen is how an image begins, and
    what lies behind it: zeros, up to the next block.
    """
    if path.exists() and path.stat().st_size == member.size:
        return
    content = tar.extractfile(member)
    assert content is not None  # a regular file
    image = content.read()
    behind = -member.size % tarfile.BLOCKSIZE
    if not image.startswith(BEGINNINGS) or _behind(tar, member, behind).strip(b"\0"):
        say(f"{member.name} looks damaged; compare the archives by --md5")
    try:
        with open(path, "wb", opener=not_through_links) as file:
            file.write(image)
    except OSError as error:
        raise cannot_write(path, error) from error


def _behind(tar: tarfile.TarFile, member: tarfile.TarInfo, count: int) -> bytes:
    """Return the ``count`` bytes behind a member's content."""
    assert tar.fileobj is not None  # it is open
    tar.fileobj.seek(member.offset_data + member.size)
    return tar.fileobj.read(count)


def _train_name(wnid: str) -> re.Pattern[str]:
    return re.compile(rf"{wnid}_[0-9]+\.JPEG")
