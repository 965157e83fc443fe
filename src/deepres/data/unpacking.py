"""Folders that are unpacked under a hidden name, and take their own when they are whole."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from deepres.errors import UserError, cannot_write


def lacks(folder: Path, count: int, names: re.Pattern[str]) -> bool:
    """Tell whether ``folder`` is not there, or has fewer files than ``count``, all of ``names``.

    One that is a link, or holds something else, is the user's own.
    """
    if not folder.is_dir():
        return True
    there = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    return not folder.is_symlink() and len(there) < count and all(map(names.fullmatch, there))


def part_of(folder: Path, name: str) -> Path:
    """Return the hidden folder beside ``folder``/``name`` that it is unpacked into."""
    return folder / f".{name}.part"


def begin(folder: Path, name: str) -> Path:
    """Make the folder to unpack ``name`` into, and move there what has been unpacked of it.

    It goes on with what an earlier call has made.

    Raises:
        UserError: there is a link by its name, or the disk refused.
    """
    part, there = part_of(folder, name), folder / name
    if part.is_symlink():
        raise UserError(f"{part} is a link, and nothing of ours; remove it")
    try:
        part.mkdir(parents=True, exist_ok=True)
        if there.is_dir():
            for path in [*there.iterdir()]:
                path.replace(part / path.name)
            there.rmdir()
    except OSError as error:
        raise cannot_write(part, error) from error
    return part


def finish(folder: Path, names: Iterable[str]) -> None:
    """Give folders that are whole their names, once a power cut cannot take what they hold.

    Raises:
        UserError: the disk refused.
    """
    if hasattr(os, "sync"):
        os.sync()  # one call: to sync each of a million files would take hours on a hard disk
    for name in names:
        try:
            part_of(folder, name).rename(folder / name)
        except OSError as error:
            raise cannot_write(folder / name, error) from error
