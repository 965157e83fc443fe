"""Files that are whole or absent: write beside, fsync, rename."""

import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from deepres.errors import UserError, cannot_write


def not_through_links(path: str, flags: int) -> int:
    """Open a file as ``open`` does, for its ``opener``, but no symbolic link."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


@contextmanager
def atomic_write(path: Path, previous: Path | None = None) -> Iterator[BinaryIO]:
    """Open a file that takes the name ``path`` only once all of it is on the disk.

    The file that had the name is replaced, or kept under the name ``previous``.

    Raises:
        UserError: the disk is full, or the folder cannot be written to. ``path`` is as it was.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("xb") as file:  # never through a link that somebody has laid there
            yield file
            file.flush()
            os.fsync(file.fileno())
        if previous and path.exists():
            path.replace(previous)
        beside.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):  # the error above says more
            beside.unlink()


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as readable JSON, atomically."""
    with atomic_write(path) as file:
        file.write(json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}); restore it from a copy") from error


def visible(folder: Path, pattern: str) -> list[Path]:
    """Return the paths in a folder that match, sorted, but those of hidden files.

    macOS leaves a hidden file of its own beside each that it copies to other disks: ._a.xml.
    """
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def check_free(paths: Iterable[Path]) -> None:
    """Make sure that no file is there yet under names that the user did not give himself.

    Raises:
        UserError: there is one.
    """
    for path in paths:
        if path.exists():
            raise UserError(
                f"{path} is there already and would be replaced; choose another name by --out, or "
                "replace it by --force"
            )


def json_digest(value: Any) -> str:
    """Return the SHA-256 of what JSON can hold; the order of keys does not count."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
