"""Mistakes that a user can mend."""

import difflib
from collections.abc import Iterable
from pathlib import Path


class UserError(Exception):
    """One line that says what was given, what was expected, and what to do."""

    exit_status = 2


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Return the error for a name that does not exist, with the nearest that do."""
    known = sorted(known)
    if nearest := difflib.get_close_matches(name, known, n=3):
        return UserError(f"unknown {kind} {name!r}; did you mean {' or '.join(nearest)}?")
    return UserError(f"unknown {kind} {name!r}; there are {', '.join(known)}")


def cannot_write(path: Path, error: OSError) -> UserError:
    """Return the error for a write that the system refused."""
    return UserError(
        f"cannot write {path}: {error.strerror or error}; what was saved before is intact. "
        "Free some space or mend the folder's permissions, then go on (a run: by --resume)"
    )
