"""Single images from files."""

import errno
import hashlib
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from deepres.errors import UserError

OF_THE_SYSTEM = (errno.EIO, errno.EACCES, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE)
"""Errors of a file system, which say nothing about a file."""


class BadImage(UserError):
    """A file that is no image, or a damaged one."""


def open_image(path: Path | str, content: BinaryIO | None = None) -> Image.Image:
    """Decode any image file to 8-bit RGB, turned upright as its EXIF data say.

    Transparent pixels are laid on white.

    Args:
        path: the file, to read it and to name it in an error.
        content: what to read instead, where ``path`` is but a name.

    Raises:
        BadImage: the file is missing, cut, or no image of whole-numbered pixels.
        OSError: the system refused to read it; that says nothing about the image.
    """
    with naming_bad_files(path), Image.open(content or path) as image:
        ImageOps.exif_transpose(image, in_place=True)
        upright = _eight_bits(image)
        if upright.has_transparency_data:
            layer = upright.convert("RGBA")
            upright = Image.new("RGBA", layer.size, "white")
            upright.alpha_composite(layer)
        upright.load()  # while the file is open; converting RGB to RGB would only copy it
        return upright if upright.mode == "RGB" else upright.convert("RGB")


@contextmanager
def naming_bad_files(path: Path | str) -> Iterator[None]:
    """Turn whatever Pillow raises on a bad file into one line that names it.

    Raises:
        BadImage: the file is missing, damaged or no image.
        OSError: the system refused to read it; that says nothing about the image.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise BadImage(f"{path}: no such file") from error
    except UnidentifiedImageError as error:
        raise BadImage(f"{path}: not an image that can be read") from error
    except MemoryError:
        raise
    except Exception as error:  # a damaged file can fail anywhere in a decoder
        if isinstance(error, OSError) and error.errno in OF_THE_SYSTEM:
            raise
        raise BadImage(f"{path}: damaged or unreadable image ({error})") from error


def _eight_bits(image: Image.Image) -> Image.Image:
    """Bring 16-bit greyscale to 8 bits; Pillow's own conversion would cut all values above 255."""
    if image.mode == "F":
        raise ValueError("floating-point pixels have no fixed range")
    if image.mode.startswith("I"):
        levels = np.clip(np.asarray(image) / 257, 0, 255).round()
        return Image.fromarray(levels.astype(np.uint8))
    return image


def modification_times(paths: Iterable[Path]) -> str:
    """Return when files were last written: the latest time, and a checksum of all of them.

    It sees edits that keep a file's size, and copies too, which need not be edits.
    """
    digest, latest = hashlib.sha256(), 0
    for path in paths:
        try:
            written = path.stat().st_mtime_ns
        except FileNotFoundError:  # to be named where it is opened
            written = 0
        digest.update(b"%d\n" % written)
        latest = max(latest, written)
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(latest // 10**9))
    return f"written until {moment} UTC ({digest.hexdigest()[:8]})"
