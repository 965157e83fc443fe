"""Mistakes that a user can mend."""

import difflib
import errno
import operator
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class UserError(Exception):
    """One line that says what was given, what was expected, and what to do."""

    exit_status = 2


DENIED = "mend its permissions, and those of the folders above it"
"""What to do about a file that the user may not read."""
PLACES = {
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOENT: "its folder is not there, or is gone; put it back, or choose another",
    **dict.fromkeys(
        (errno.ENOTDIR, errno.EEXIST), "what should be its folder is a file; choose another name"
    ),
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM), "mend its folder's permissions, or choose another"
    ),
    errno.EROFS: "its disk can only be read; choose another",
    errno.EISDIR: "that is a folder; choose another name",
}
"""What to do about a place where nothing can be written, however much space there is."""
FULL = (errno.ENOSPC, errno.EDQUOT)


def whole_number(value: Any, name: str, least: int | None = None) -> int:
    """Return ``value`` as Python's own int: NumPy's integers count, booleans do not.

    Raises:
        UserError: it is not an integer, or below ``least``; ``name`` says which value it is.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise UserError(f"{name} must be a whole number, got {value!r}")
    if least is not None and number < least:
        raise UserError(f"{name} must be at least {least}, got {number}")
    return number


def given_path(value: Any, name: str) -> Path:
    """Return the path that ``value`` is, or says; an empty text would mean the working folder.

    Raises:
        UserError: it is none; ``name`` says of what.
    """
    if isinstance(value, str | os.PathLike) and value != "":
        return Path(value)
    raise UserError(f"{name} must be a path, got {value!r}")


def unknown_name(kind: str, name: object, known: Iterable[str]) -> UserError:
    """Return the error for a name that does not exist, with the nearest that do."""
    known = sorted(known)
    near = did_you_mean(name, known) if isinstance(name, str) else ""  # a number is near none
    question = near or f"; there are {', '.join(known)}"
    return UserError(f"unknown {kind} {name!r}{question}")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the question that names those of the ``known`` names that are nearest, or nothing.

    A name that is only written otherwise, as ``ResNet-50`` for ``resnet50``, is the nearest.
    """
    return _question(_nearest(name, known))


def no_such(kind: str, path: str | Path, advice: str = "") -> str:
    """Return how it is told that ``path`` is missing, with the nearest names that are beside it.

    Args:
        kind: of what was expected there, e.g. "folder".
        path: where nothing is.
        advice: what else to do, if nothing beside it has such a name.
    """
    path = Path(path)
    if path.exists():
        return f"{path} is no {kind}{advice and f'; {advice}'}"
    try:
        beside = sorted(each.name for each in path.parent.iterdir() if each.name != path.name)
    except OSError:
        beside = []
    near = [str(path.with_name(name)) for name in _nearest(path.name, beside)]
    return f"{path}: no such {kind}{_question(near) or (advice and f'; {advice}')}"


def _nearest(name: str, known: Iterable[str]) -> list[str]:
    known = [*known]
    alike = [each for each in known if plain_spelling(each) == plain_spelling(name)]
    return alike or difflib.get_close_matches(name, known, n=3)


def _question(names: list[str]) -> str:
    return f"; did you mean {' or '.join(names)}?" if names else ""


def plain_spelling(name: str) -> str:
    """Return a name without what people write otherwise: ``ResNet-50`` is ``resnet50``."""
    return re.sub(r"[-_. ]", "", name.lower())


def cannot_write(path: Path, error: OSError) -> UserError:
    """Return the error for a write that the system refused."""
    refused = f"cannot write {path}: {error.strerror or error}"
    if error.errno in PLACES:
        return UserError(f"{refused}; {PLACES[error.errno]}")
    mend = "Free some space" if error.errno in FULL else "Mend that"
    return UserError(
        f"{refused}; what was saved before is intact. {mend}, then go on (a run: by --resume)"
    )


def cannot_read(path: Path, error: OSError | ValueError) -> UserError:
    """Return the error for a read that the system refused; a name with a null it takes for none."""
    reason = getattr(error, "strerror", None) or error
    advice = f"; {DENIED}" if isinstance(error, PermissionError) else ""
    return UserError(f"cannot read {path}: {reason}{advice}")


def first_line(error: Exception) -> str:
    """Return the first line of what ``error`` says, or what it is if it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
