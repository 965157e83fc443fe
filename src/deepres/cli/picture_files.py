"""Image files that a command reads, and the pictures that it draws of them."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from deepres.cli.terminal import say
from deepres.data.images import BadImage, open_image
from deepres.errors import UserError

MOST_PIXELS = 25_000_000
"""Of an image that is drawn on."""


def draw_each(
    images: Sequence[Path], out: Path, draw: Callable[[Path, Image.Image, Path], None]
) -> None:
    """Call ``draw`` for each image that can be read, with its path and where its picture goes.

    The others are named, and at the end their number is raised.

    Raises:
        UserError: some could not be read; or, before all else, a picture in the folder ``out``
            would take the place of an image that is read.
    """
    given = {path.resolve() for path in images}
    for path in images:
        if (drawn := out / f"{path.stem}.png").resolve() in given:
            raise UserError(f"{drawn} would replace an image that is read; choose another --out")
    unreadable, taken = 0, set[str]()
    for path in images:
        try:
            image = open_image(path)
        except (BadImage, OSError) as error:
            say(f"deepres: {error}")
            unreadable += 1
            continue
        try:
            draw(path, image, out / f"{free_name(path.stem, taken)}.png")
        except BadImage as error:  # it is of no use to a network
            say(f"deepres: {error}")
            unreadable += 1
    if unreadable:
        raise UserError(f"{unreadable} of {len(images)} files could not be read")


def free_name(stem: str, taken: set[str]) -> str:
    """Return a name that none of the images before had, and take it."""
    name, number = stem, 2
    while name in taken:
        name, number = f"{stem}-{number}", number + 1
    taken.add(name)
    return name


def shrunk(image: Image.Image) -> Image.Image:
    """Return an image of ``MOST_PIXELS`` at most, each the mean of a square of the image's own.

    Detectors scale to 600 pixels or so; the pixels of a photograph of 200 million as floating-point
    numbers would take gigabytes before.
    """
    factor = math.ceil(math.sqrt(image.width * image.height / MOST_PIXELS))
    return image.reduce(factor) if factor > 1 else image
