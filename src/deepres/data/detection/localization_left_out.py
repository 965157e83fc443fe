"""Which validation images ILSVRC's own test of localization leaves out, as their boxes are poor."""

import re
from pathlib import Path

from deepres.data.detection.checks import Say
from deepres.data.folder import ImageFiles
from deepres.data.imagenet import ILSVRC2012
from deepres.data.text_lists import read_lines
from deepres.errors import UserError
from deepres.files import not_hidden

LEFT_OUT = 1_762
"""How many of the 50,000 there are."""
LISTS = ("ILSVRC*_clsloc_validation_blacklist.txt", "ILSVRC2012_validation_blacklist.txt")
"""How the development kits of all years call their list: a number a line, from 1."""
PLACES = ("", "ILSVRC2012_bbox_val/", "*devkit*/**/", "ILSVRC*/devkit/**/")
"""Where it is looked for in ImageNet's folder."""
NUMBERED = re.compile(r"ILSVRC2012_val_(\d{8})", re.ASCII)
"""How validation images are called."""


def without_left_out(files: ImageFiles, folder: Path, what: str, say: Say) -> ImageFiles:
    """Return the validation images that count in ILSVRC's test: all, where its list is not there.

    Args:
        files: the validation images.
        folder: ImageNet's, where the list is looked for.
        what: the images in words.
        say: receives a line on what is left out, or should be.

    Raises:
        UserError: a line of the list is no image's number.
    """
    named = [NUMBERED.fullmatch(Path(name).stem) for name in files.names]
    if not any(named):  # other images than ImageNet's, in its layout
        return files
    lists = [
        path for place in PLACES for name in LISTS for path in not_hidden(folder, place + name)
    ]
    if not lists:
        say(
            f"{what}: the {LEFT_OUT:,} images that ILSVRC's own test leaves out count, too; they "
            f"are left out if {LISTS[0].replace('*', '2015')} of its development kit, or another "
            f"year's, is in {folder}, or the kit itself, a folder called *devkit*"
        )
        return files
    listed = _numbers(lists[0])
    kept = [i for i, found in enumerate(named) if not found or int(found[1]) not in listed]
    say(
        f"{what}: {len(files) - len(kept):,} of {len(files):,} images are left out, as in ILSVRC's "
        f"own test, by {lists[0]}"
    )
    names = tuple(files.names[i] for i in kept)
    return ImageFiles(files.root, names, tuple(files.labels[i] for i in kept))


def _numbers(path: Path) -> set[int]:
    numbers = set()
    for place, line in enumerate(read_lines(path), 1):
        if not (line.isdecimal() and 1 <= int(line) <= ILSVRC2012.val):
            raise UserError(
                f"{path}, line {place}: expected the number of a validation image, from 1 to "
                f"{ILSVRC2012.val:,}, got {line!r}"
            )
        numbers.add(int(line))
    return numbers
