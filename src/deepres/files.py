"""Files that are whole or absent: write beside, fsync, rename."""

import hashlib
import json
import math
import os
import re
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from deepres.errors import UserError, cannot_read, cannot_write

MARK, MARKED_WITHIN = b"deepres", 4_000
"""The program that our files name as their author, within this many of their first bytes."""
SIGNATURES = (
    rb"\x89PNG\r\n.*tEXtSoftware\0%b",
    rb"<\?xml .*<dc:creator>\s*<cc:Agent>\s*<dc:title>%b</dc:title>",
    rb"%%PDF-.*/Creator \(%b\)",
    rb'\s*<!doctype html>.*<meta name="generator" content="%b">',
    rb"(?:\(|<!-- |%% )written by %b(?:\)| -->|)\r?\n",  # tables
    rb'\{\s*"%b": ',  # JSON
    rb'.{8}\{"__metadata__":\{"(?:[^{}]*,")?%b":',  # safetensors
)
"""How each kind of them begins, as regular expressions."""


def not_through_links(path: str, flags: int) -> int:
    """Open a file as ``open`` does, for its ``opener``, but no symbolic link."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


@contextmanager
def atomic_write(
    path: Path, previous: Path | None = None, *, make_folder: bool = True
) -> Iterator[BinaryIO]:
    """Open a file that takes the name ``path`` only once all of it is on the disk.

    The file that had the name is replaced, or kept under the name ``previous``. Its folder is made
    if need be, but by ``make_folder`` false, so that no run's comes back that was taken away.

    Raises:
        UserError: the disk is full, or the folder cannot be written to. ``path`` is as it was.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        if make_folder:
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


def put_in_place(whole: Path, path: Path) -> None:
    """Give a file that is whole the name ``path``, once all of it is on the disk.

    Raises:
        UserError: the disk refused.
    """
    with writing(path):
        with whole.open("rb+") as file:
            os.fsync(file.fileno())
        whole.replace(path)
        _sync_folder(path.parent)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in a line what the system refuses of what is done to ``path``.

    Raises:
        UserError: it refused.
    """
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error


def leftovers(path: Path) -> list[Path]:
    """Return what ``atomic_write`` leaves of ``path`` if its process is killed."""
    half_written = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{16}}\.tmp")  # as it names them
    return [each for each in path.parent.glob(".*.tmp") if half_written.fullmatch(each.name)]


def read_file(path: Path) -> bytes:
    """Read a file; a pipe or a device, which might have no end, is none.

    Raises:
        UserError: it is missing, no regular file, or the system refused.
    """
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{path} is no regular file; put one in its place")
        return path.read_bytes()
    except (OSError, ValueError) as error:  # a name may hold a null
        raise cannot_read(path, error) from error


def check_readable(path: Path) -> None:
    """Make sure that the user may read a file, where its reader would take it for a damaged one.

    Raises:
        UserError: the system refused.
    """
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise cannot_read(path, error) from error


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Return a file's checksum in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def write_json(path: Path, value: Any, *, make_folder: bool = True) -> None:
    """Write ``value`` as readable JSON, atomically; NaN and infinity become null."""
    with atomic_write(path, make_folder=make_folder) as file:
        text = json.dumps(strict(value), indent=2, ensure_ascii=False, allow_nan=False)
        file.write(text.encode(errors="backslashreplace") + b"\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: the file is missing or is not JSON.
    """
    return parse_json(read_file(path), path)


def parse_json(content: bytes, name: object) -> Any:
    """Return what JSON says; ``name`` says where it is from.

    Raises:
        UserError: it is not JSON.
    """
    try:
        return json.loads(content)
    except ValueError as error:
        raise UserError(f"{name} is not valid JSON ({error}); restore it from a copy") from error
    except RecursionError as error:
        raise UserError(
            f"{name} is no JSON that can be read: it is nested too deeply; restore it from a copy"
        ) from error


def strict(value: Any) -> Any:
    """Return ``value`` as JSON can have it: None for NaN and infinity, which it cannot say."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: strict(each) for key, each in value.items()}
    return [strict(each) for each in value] if isinstance(value, list | tuple) else value


def not_hidden(folder: Path, pattern: str) -> list[Path]:
    """Return the paths in a folder that match, sorted, but those of hidden files.

    macOS leaves a hidden file of its own beside each that it copies to other disks: ._a.xml.
    """
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def check_writable(folder: Path, file: Path | None = None) -> None:
    """Make sure that files can be written into a folder, which is made later if need be.

    Args:
        folder: which.
        file: the one that is asked for, to be named in its place.

    Raises:
        UserError: they cannot, or there is a file where it or a folder above it should be.
    """
    there = next(each for each in (folder, *folder.absolute().parents) if os.path.lexists(each))
    try:
        with tempfile.TemporaryFile(dir=there):  # who may write where, only the system knows
            pass
    except OSError as error:
        raise cannot_write(file or folder, error) from error


def check_places(*files: Path | None) -> None:
    """Make sure that files can be written, before the work whose outcome they will hold.

    Args:
        files: those that are asked for; None: this one is not.

    Raises:
        UserError: nothing can be written into the folder of one.
    """
    for file in filter(None, files):
        check_writable(file.parent, file)


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


def check_ours(path: Path) -> None:
    """Make sure that a file under a name that the user did not give himself is one of ours.

    Pictures, pages, tables and weights that deepres writes say so at their beginning.

    Raises:
        UserError: there is another.
    """
    if path.exists() and not (path.is_file() and _is_signed(read_file(path)[:MARKED_WITHIN])):
        raise UserError(
            f"{path} is there already, and was not written by deepres; move it away, or choose "
            "another name by --out"
        )


def _is_signed(beginning: bytes) -> bool:
    """Tell whether a file that begins so says that deepres has written it."""
    return any(re.match(each % MARK, beginning, re.DOTALL) for each in SIGNATURES)


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
