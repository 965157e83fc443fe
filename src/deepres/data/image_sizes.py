"""How large the images of a folder are, before any of them is decoded."""

import statistics

from PIL import Image

from deepres.data.folder import ImageFiles
from deepres.data.images import BadImage, naming_bad_files

LOOKED_AT = 100
"""Images, evenly spread over a folder: reading their headers takes a moment."""


def typical_short_side(files: ImageFiles) -> int | None:
    """Return the median shorter side, in pixels, of some of ``files``; None: none can be read."""
    sides = []
    for path in files.spread(LOOKED_AT).paths():
        try:
            with naming_bad_files(path), Image.open(path) as image:
                sides.append(min(image.size))
        except BadImage:  # to be named where it is decoded
            continue
    return statistics.median_low(sides) if sides else None
