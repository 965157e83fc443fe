"""Which files in a folder are images, and what is said of the others."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from deepres.errors import UserError

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
TINY_BOXES = "_boxes.txt"
"""How the name of the file ends that has the boxes of one of Tiny-ImageNet's classes."""


class Listing:
    """Lists images, and keeps count of what else lies among them."""

    def __init__(self) -> None:
        self._other: Counter[str] = Counter()
        """Files by their endings that are none of an image."""
        self._irregular: list[str] = []
        """Pipes, devices, and links that lead nowhere."""

    def images_below(self, folder: Path) -> tuple[str, ...]:
        """Return the paths below ``folder`` of all images, sorted; what they hold is not looked at.

        Raises:
            UserError: a link leads back to a folder that it lies in: all that is there would be
                listed once more, and under the wrong class.
        """
        return tuple(sorted(self._names(folder, "", ())))

    def _names(self, folder: Path, below: str, above: tuple[Path, ...]) -> Iterator[str]:
        check_no_loop(folder, above)
        within = (*above, folder.resolve())
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name == f"{folder.name}{TINY_BOXES}":
                    continue
                if entry.is_dir():
                    yield from self._names(folder / entry.name, f"{below}{entry.name}/", within)
                elif not entry.name.lower().endswith(ENDINGS):
                    self._other[Path(entry.name).suffix.lower() or "no ending"] += 1
                elif not entry.is_file():
                    self._irregular.append(entry.path)
                else:
                    yield below + entry.name

    def tell(self, folder: Path, say: Callable[[str], None]) -> None:
        """Say what in ``folder`` was passed over."""
        if self._other:
            kinds = [f"{count:,} with {ending}" for ending, count in self._other.most_common()]
            say(
                f"{folder}: {self._other.total():,} files are passed over, as their names do not "
                f"end as images' do ({', '.join(ENDINGS)}): {some(kinds)}"
            )
        if self._irregular:
            say(f"{folder}: passed over, as they are no files: {some(self._irregular)}")


def check_no_loop(folder: Path, above: tuple[Path, ...]) -> None:
    """Make sure that ``folder`` is no link to one that it lies in.

    Args:
        folder: may be a link.
        above: the real places of those on the way to it.

    Raises:
        UserError: it is.
    """
    real = folder.resolve()
    within = (*above, folder.parent.resolve())
    if any(each.is_relative_to(real) for each in within):
        raise UserError(
            f"{folder} links to a folder that it lies in, {real}, whose images would be listed "
            "again under another class; remove the link"
        )


def some(names: Sequence[str], shown: int = 5) -> str:
    """Join the first few of ``names``, and count the rest."""
    rest = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + rest


def odd_first(names: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return ``names``: first those that ``others`` lack, then those in other places there.

    In a list of a thousand nobody would find them.
    """
    known = {*others}
    places = {place for place, (a, b) in enumerate(zip(names, others, strict=False)) if a == b}
    order = sorted(range(len(names)), key=lambda i: (names[i] in known) + (i in places))
    return [names[i] for i in order]
