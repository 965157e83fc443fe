"""Image files that a command reads, and the pictures that it draws of them."""

import io
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import putchunk

from deepres.cli.terminal import say
from deepres.data.images import BadImage, open_image
from deepres.errors import UserError
from deepres.files import MARK, atomic_write, check_ours

PNG_HEAD = 33
"""Bytes of a PNG file's signature and first chunk."""
MOST_PIXELS = 25_000_000
"""Of an image that is drawn on."""


def draw_each(
    images: Sequence[Path],
    out: Path,
    draw: Callable[[Path, Image.Image, Path], None],
    beside: Sequence[str] = (),
) -> None:
    """Call ``draw`` for each image that can be read, with its path and where its picture goes.

    The others are named, and at the end their number is raised.

    Args:
        images: image files.
        out: the folder for their pictures.
        draw: writes a picture, by ``save_drawn``.
        beside: endings of what else it writes, under the picture's name.

    Raises:
        UserError: some could not be read; or, before all else, what is written would take the place
            of an image that is read, or of a file that is not ours.
    """
    given, places = {path.resolve() for path in images}, list(_places(images, out))
    for place in places:
        for written in (place, *map(place.with_suffix, beside)):
            if written.resolve() in given:
                raise UserError(
                    f"{written} would replace an image that is read; choose another --out"
                )
            check_ours(written)
    unreadable = 0
    for path, place in zip(images, places, strict=True):
        try:
            image = open_image(path)
        except (BadImage, OSError) as error:
            say(f"deepres: {error}")
            unreadable += 1
            continue
        try:
            draw(path, image, place)
        except BadImage as error:  # it is of no use to a network
            say(f"deepres: {error}")
            unreadable += 1
    if unreadable:
        raise UserError(f"{unreadable} of {len(images)} files could not be read")


def save_drawn(picture: Image.Image, path: Path) -> None:
    """Write a PNG file that says that it is ours, as ``check_ours`` asks."""
    content = io.BytesIO()
    picture.save(content, "PNG")
    with atomic_write(path) as file:
        file.write(content.getvalue()[:PNG_HEAD])
        # First of all: Pillow itself would write it behind colour profiles, which may be long.
        putchunk(file, b"tEXt", b"Software\0" + MARK)
        file.write(content.getvalue()[PNG_HEAD:])


def _places(images: Sequence[Path], out: Path) -> Iterator[Path]:
    """Yield where each image's picture goes: under a name that none of those before has."""
    taken: set[str] = set()
    for path in images:
        name, number = path.stem, 2
        while name in taken:
            name, number = f"{path.stem}-{number}", number + 1
        taken.add(name)
        yield out / f"{name}.png"


def shrunk(image: Image.Image) -> Image.Image:
    """Return an image of ``MOST_PIXELS`` at most, each the mean of a square of the image's own.

    Detectors scale to 600 pixels or so; the pixels of a photograph of 200 million as floating-point
    numbers would take gigabytes before.
    """
    factor = math.ceil(math.sqrt(image.width * image.height / MOST_PIXELS))
    return image.reduce(factor) if factor > 1 else image
