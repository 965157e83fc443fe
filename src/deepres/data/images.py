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
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION, TiffImageFile

from deepres.errors import UserError

OF_THE_SYSTEM = (errno.EIO, errno.EACCES, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE)
"""Errors of a file system, which say nothing about a file."""
LIMIT = "DEEPRES_MAX_PIXELS"
"""The environment variable that sets the most pixels of an image; Pillow's limit is 179 million."""
if most := os.environ.get(LIMIT):
    if not most.isdecimal():
        raise UserError(f"{LIMIT} must be a whole number of pixels in digits alone, got {most!r}")
    Image.MAX_IMAGE_PIXELS = max(1, int(most) // 2)  # twice that is an error
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image upright, by EXIF's number for how the camera was held; 1 is upright."""
SIDEWAYS = tuple(TURNS[orientation] for orientation in (5, 6, 7, 8))
"""Those that exchange width and height."""


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
        return _rgb(image)


def as_rgb(image: Image.Image) -> Image.Image:
    """Return an image of Pillow's as ``open_image`` would have read it; it is not changed.

    Raises:
        BadImage: its file is cut, it has no pixels, or they are no whole numbers.
    """
    with naming_bad_files(getattr(image, "filename", "") or "the image given"):
        upright = _rgb(image)
        return upright.copy() if upright is image else upright


def turn_of(image: Image.Image) -> Image.Transpose | None:
    """Return what turns an image upright, as its EXIF data say; None: nothing, or they are odd."""
    try:
        return TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except (SyntaxError, ValueError):  # Pillow's errors for data that are not EXIF's
        return None


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return the width and height that an opened image has when it is turned upright."""
    if image.format == "TIFF":  # Pillow turns these itself as it decodes them
        image.load()
    return (image.height, image.width) if turn_of(image) in SIDEWAYS else image.size


@contextmanager
def naming_bad_files(path: Path | str) -> Iterator[None]:
    """Turn whatever Pillow raises on a bad file into one line that names it.

    What it only warns of, as of EXIF data, is nobody's concern.

    Raises:
        BadImage: the file is missing, damaged, too large or no image.
        OSError: the system refused to read it; that says nothing about the image.
        MemoryError: likewise.
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
    except MemoryError as error:  # it says nothing about the file
        raise MemoryError(f"while {path} was decoded") from error
    except Exception as error:  # a damaged file can fail anywhere in a decoder
        if isinstance(error, OSError) and error.errno in OF_THE_SYSTEM:
            raise
        raise BadImage(f"{path}: damaged or unreadable image ({error})") from error


def _pixels(error: Image.DecompressionBombError) -> str:
    """Return how many pixels Pillow found too many; it says so in words alone."""
    count = re.search(r"\d+", str(error))
    return f"{int(count[0]):,} pixels" if count else "its pixels"


def _rgb(image: Image.Image) -> Image.Image:
    if 0 in image.size:
        raise ValueError("it has no pixels")
    image.load()  # while the file is open; what it says of its orientation may come last
    turn, rgb = turn_of(image), _eight_bits(image)
    if rgb.has_transparency_data:
        layer = rgb.convert("RGBA")
        rgb = Image.new("RGBA", layer.size, "white")
        rgb.alpha_composite(layer)
    if rgb.mode != "RGB":  # converting RGB to RGB would only copy it
        rgb = rgb.convert("RGB")
    if turn is not None:
        rgb = rgb.transpose(turn)
        rgb.info.clear()  # nobody is to turn it again
    return rgb


def _eight_bits(image: Image.Image) -> Image.Image:
    """Bring greyscale of more bits to 8; Pillow's own conversion would cut all values above 255."""
    if image.mode == "F":
        raise ValueError("floating-point pixels have no fixed range")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image)
    if _is_negative(image):
        values = 65535 - values
    levels = values if _holds_bytes(image, values) else (values / 257).round()
    grey = Image.fromarray(levels.astype(np.uint8))
    if (clear := image.info.get("transparency")) is not None:
        alpha = Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8))
        return Image.merge("LA", (grey, alpha))
    return grey


def _is_negative(image: Image.Image) -> bool:
    """Tell whether 0 is white in a TIFF file of 16-bit grey; of fewer bits Pillow sees to it."""
    if not isinstance(image, TiffImageFile) or image.mode != "I;16":
        return False
    return bool(image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0)


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
