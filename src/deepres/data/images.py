"""Single images from files."""

import errno
import hashlib
import os
import re
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from deepres.errors import UserError

OF_THE_SYSTEM = (errno.EIO, errno.EACCES, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE)
"""Errors of a file system, which say nothing about a file."""
LIMIT = "DEEPRES_MAX_PIXELS"
"""The environment variable that sets the most pixels of an image; Pillow's limit is 179 million."""
if os.environ.get(LIMIT, "").isdecimal():
    Image.MAX_IMAGE_PIXELS = max(1, int(os.environ[LIMIT]) // 2)  # twice that is an error


class BadImage(UserError):
    """A file that is no image, or a damaged one."""


def open_image(path: Path | str, content: BinaryIO | None = None) -> Image.Image:
    """Decode any image file to 8-bit RGB, turned upright as its EXIF data say.

    Transparent pixels are laid on white.

    Args:
        path: the file, to read it and to name it in an error.
        content: what to read instead, where ``path`` is but a name.

    Raises:
        BadImage: the file is missing, cut, of too many pixels, or no image of
            whole-numbered pixels.
        OSError: the system refused to read it; that says nothing about the image.
    """
    with naming_bad_files(path), Image.open(content or path) as image:
        ImageOps.exif_transpose(image, in_place=True)
        return _rgb(image)


def as_rgb(image: Image.Image) -> Image.Image:
    """Return an image of Pillow's as ``open_image`` would have read it; it is not changed.

    Raises:
        BadImage: its file is cut, or its pixels are no whole numbers.
    """
    with naming_bad_files(getattr(image, "filename", "") or "the image given"):
        upright = ImageOps.exif_transpose(image)
        upright.format = image.format  # a copy has none, and greyscale's range depends on it
        return _rgb(upright)


@contextmanager
def naming_bad_files(path: Path | str) -> Iterator[None]:
    """Turn whatever Pillow raises on a bad file into one line that names it.

    What it only warns of, as of EXIF data, is nobody's concern.

    Raises:
        BadImage: the file is missing, damaged, too large or no image.
        OSError: the system refused to read it; that says nothing about the image.
    """
    if isinstance(path, Path) and not path.is_file() and path.exists():  # a pipe may never end
        raise BadImage(f"{path}: damaged or unreadable image (it is no regular file)")
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except Image.DecompressionBombError as error:
        raise BadImage(
            f"{path}: too large: {_pixels(error)} are more than the "
            f"{2 * (Image.MAX_IMAGE_PIXELS or 0):,} that are read; shrink it, or raise the limit "
            f"by the environment variable {LIMIT}"
        ) from error
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


def _pixels(error: Image.DecompressionBombError) -> str:
    """Return how many pixels Pillow found too many; it says so in words alone."""
    count = re.search(r"\d+", str(error))
    return f"{int(count[0]):,} pixels" if count else "its pixels"


def _rgb(image: Image.Image) -> Image.Image:
    upright = _eight_bits(image)
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        upright = Image.new("RGBA", layer.size, "white")
        upright.alpha_composite(layer)
    upright.load()  # while the file is open; converting RGB to RGB would only copy it
    return upright if upright.mode == "RGB" else upright.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Bring greyscale of more bits to 8; Pillow's own conversion would cut all values above 255."""
    if image.mode == "F":
        raise ValueError("floating-point pixels have no fixed range")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image)
    levels = values if _holds_bytes(image, values) else (values / 257).round()
    grey = Image.fromarray(levels.astype(np.uint8))
    if (clear := image.info.get("transparency")) is not None:
        alpha = Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8))
        return Image.merge("LA", (grey, alpha))
    return grey


def _holds_bytes(image: Image.Image, values: NDArray[np.integer[Any]]) -> bool:
    """Tell whether greyscale in 32 bits, which does not say its range, goes to 255 or to 65535."""
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise ValueError(
            f"pixels from {low} to {high} have no fixed range; save it in 8 or 16 bits"
        )
    return image.mode == "I" and image.format != "PPM" and high <= 255


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
