"""What can be wrong with annotations, and what becomes of them: every one is looked at."""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from deepres.data.listing import some
from deepres.errors import UserError

BadBoxes = Literal["fail", "skip"]
"""What to do with annotations that cannot be right: stop, or leave them out and say how many."""
Say = Callable[[str], None]
"""Receives a line for people."""
Box = tuple[float, float, float, float]

EDGE = 1.0
"""How far over an edge, in pixels, a box may reach by rounding or by counting pixels from 0 instead
of 1; what reaches over is cut off."""
SHOWN = 3
LONGEST = 100
"""Characters of what a file says that are shown of it."""


class Fault(Exception):
    """What is wrong with an object, in words that serve as its kind, and what the file says."""

    def __init__(self, wrong: str, given: object) -> None:
        super().__init__(f"{wrong} ({given})")
        self.wrong, self.given = wrong, given


def number(given: object) -> float:
    """Return a number, which may be written as text; NaN for everything else."""
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return math.nan
    try:
        return float(given)
    except (ValueError, OverflowError):
        return math.nan


def fault_of(box: Box, width: int, height: int, point: float) -> str | None:
    """Return what is wrong with a box, or None.

    Args:
        box: x1, y1, x2, y2, continuous.
        width: the image's, in pixels.
        height: the image's.
        point: the width of a box whose published corners coincide: 1 where they name the first
            and the last pixel, 0 where they are edges.
    """
    x1, y1, x2, y2 = box
    if not all(math.isfinite(side) for side in box):
        return "not numbers"
    if x2 - x1 < point or y2 - y1 < point:
        return "reversed"
    if x2 - x1 == point or y2 - y1 == point:
        return "of zero size"
    if min(x1, y1) < -EDGE or x2 > width + EDGE or y2 > height + EDGE:
        return "outside the image"
    x1, y1, x2, y2 = cut(box, width, height)
    return None if x1 < x2 and y1 < y2 else "outside the image"


def cut(box: Box, width: int, height: int) -> Box:
    """Return the part of a box that is inside the image."""
    x1, y1, x2, y2 = box
    return max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))


@dataclass
class Faults:
    """Annotated objects that cannot be right, gathered while a data set is read."""

    found: list[tuple[str, str]] = field(default_factory=list)
    """What is wrong, and where, each with what was given."""

    def note(self, file: Path, number: object, wrong: str, given: object) -> None:
        """Add one.

        Args:
            file: the annotations.
            number: the object's in it: its place, from 1; COCO's own id.
            wrong: what is wrong with it, in words that serve as its kind.
            given: what the file says.
        """
        self.found.append((wrong, f"{file}, object {number}: {wrong} ({_short(given)})"))

    def settle(self, name: str, bad_boxes: BadBoxes, say: Say) -> int:
        """Stop, or say what was left out; return how many.

        Raises:
            UserError: there are some, and ``bad_boxes`` is "fail".
        """
        if self.found and bad_boxes == "fail":
            first = "; ".join(where for _, where in self.found[:SHOWN])
            more = len(self.found) - SHOWN
            raise UserError(
                f"{name} has {_objects(len(self.found))} that cannot be right: {first}"
                f"{f'; and {more:,} more' if more > 0 else ''}. Mend the files, or leave such "
                "objects out: --bad-boxes skip"
            )
        for wrong, count in sorted(Counter(wrong for wrong, _ in self.found).items()):
            where = next(where for kind, where in self.found if kind == wrong)
            say(f"{name}: {_objects(count)} {wrong} left out; the first: {where}")
        return len(self.found)


def _short(given: object) -> str:
    shown = str(given)
    return f"{shown[:LONGEST]}…" if len(shown) > LONGEST else shown


def check_files(paths: Iterable[Path], what: str) -> None:
    """Make sure that files are there.

    Raises:
        UserError: some are missing; it names the first ones.
    """
    if missing := [path for path in paths if not _is_file(path)]:
        raise missing_files([str(path) for path in missing], what)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long for the system
        return False


def missing_files(missing: list[str], what: str) -> UserError:
    """Return the error for files that are not there."""
    return UserError(
        f"{what}: {len(missing):,} {'file is' if len(missing) == 1 else 'files are'} missing: "
        f"{some(missing, SHOWN)}; unpack the data set anew"
    )


def _objects(count: int) -> str:
    return f"{count:,} object{'' if count == 1 else 's'}"
