"""Images as a user names them: files, folders of files, web addresses, standard input."""

import http.client
import io
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from PIL import Image

from deepres.data.images import BadImage, as_rgb, open_image
from deepres.data.listing import ENDINGS, Listing
from deepres.errors import UserError

GivenImage = Image.Image | Path | str
"""An image of Pillow's, its path, or its name as ``open_named_image`` takes it."""

STANDARD_INPUT = "-"
SCHEMES = ("http://", "https://")
MOST_BYTES = 100 << 20
"""Of an image from the web."""
TIMEOUT_SECONDS = 20.0


def named_images(subjects: Iterable[str], say: Callable[[str], None]) -> Iterator[str]:
    """Yield the name of each image: of a folder those of all image files below it, in order.

    Args:
        subjects: what a user named.
        say: receives lines on what is passed over in folders.

    Raises:
        BadImage: a folder holds none.
        UserError: a link leads back to a folder that it lies in.
    """
    for subject in subjects:
        folder = Path(subject)
        if subject.startswith(SCHEMES) or not folder.is_dir():  # addresses may be long
            yield subject
            continue
        listing = Listing()
        names = listing.images_below(folder)
        listing.tell(folder, say)
        if not names:
            raise BadImage(f"{subject} holds no image file ({' '.join(ENDINGS)})")
        yield from (str(folder / name) for name in names)


def open_named_image(name: str) -> Image.Image:
    """Decode an image to 8-bit RGB, as ``open_image`` does.

    Args:
        name: a path, an http(s) address, or "-" for standard input.

    Raises:
        BadImage: there is no such image, it cannot be fetched, or it is damaged.
        OSError: the system refused to read it; that says nothing about the image.
    """
    if name == STANDARD_INPUT:
        if sys.stdin is None:  # as by ``<&-``
            raise BadImage("standard input is closed; send an image into it, or name a file")
        return open_image("standard input", io.BytesIO(sys.stdin.buffer.read()))
    if name.startswith(SCHEMES):
        return open_image(name, io.BytesIO(_fetch(name)))
    return open_image(Path(name))


def open_given_image(image: GivenImage) -> Image.Image:
    """Return an image of any kind as 8-bit RGB, as ``open_image`` does.

    Raises:
        BadImage: as by ``open_named_image``.
        OSError: as by ``open_named_image``.
        UserError: it is of no such kind.
    """
    if isinstance(image, Image.Image):
        return as_rgb(image)
    if isinstance(image, str):
        return open_named_image(image)
    if isinstance(image, Path):
        return open_image(image)
    raise UserError(
        "expected an image of Pillow's (of an array: PIL.Image.fromarray), a path or a web "
        f"address, got {type(image).__name__}"
    )


def _fetch(address: str) -> bytes:
    try:
        with urllib.request.urlopen(_in_ascii(address), timeout=TIMEOUT_SECONDS) as response:
            content: bytes = response.read(MOST_BYTES + 1)
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error) or type(error).__name__
        raise BadImage(f"{address} cannot be fetched: {reason}") from error
    if len(content) > MOST_BYTES:
        raise BadImage(f"{address} is larger than {MOST_BYTES >> 20} MiB")
    return content


def _in_ascii(address: str) -> str:
    """Return an address as the protocol has it: what browsers show and people copy is not."""
    scheme, host, *rest = urllib.parse.urlsplit(address)
    path, query, _ = (urllib.parse.quote(part, safe="/%:=&?~#+!$,;'@()*[]") for part in rest)
    return urllib.parse.urlunsplit((scheme, host.encode("idna").decode(), path, query, ""))
