"""COCO's outlines of objects: polygons, or run lengths of pixels, read and checked."""

import math
from typing import Any

import numpy as np

from deepres.data.detection.checks import EDGE, Fault, number

Segmentation = list[list[float]] | dict[str, Any]
"""Polygons, each x and y in turn; or ``size``, [height, width], and ``counts``, the run lengths of
its pixels from top to bottom and left to right, as numbers or compressed to text."""

KIND = "with an impossible outline"
NEITHER = "neither polygons nor run lengths"
FLAT = 1e-6
"""Square pixels that no real outline is without."""
LONGEST_RUN = 6
"""Characters of a run length: those of more than 2³⁰ pixels are of no image."""
MORE, SIGN = 32, 16
"""Bits of a character: others follow it; in the last one, the number is negative."""


def read_outline(given: Any, width: int, height: int) -> Segmentation | None:
    """Return an outline with its numbers as numbers; None if there is none.

    Raises:
        Fault: pycocotools would misread it or fail on it, it reaches out of the image, or there is
            nothing inside it.
    """
    if given in (None, [], [[]], {}):
        return None
    if isinstance(given, dict):
        return _read_runs(given, width, height)
    if not isinstance(given, list):
        raise Fault(KIND, NEITHER)
    polygons = [_read_polygon(each, width, height) for each in given]
    if sum(map(_area, polygons)) < FLAT:
        raise Fault(KIND, "flat")
    return polygons


def run_lengths(counts: Any) -> list[int]:
    """Return run lengths as numbers, of background and object in turn.

    Raises:
        Fault: they are no run lengths.
    """
    if isinstance(counts, str):
        return _decompressed(counts)
    if not isinstance(counts, list):
        raise Fault(KIND, NEITHER)
    runs = [number(each) for each in counts]
    if not all(run.is_integer() for run in runs):
        raise Fault(KIND, "run lengths that are no whole numbers")
    return [int(run) for run in runs]


def check_runs(counts: Any, width: int, height: int) -> list[int]:
    """Return run lengths as numbers, having made sure that they are an image's.

    Raises:
        Fault: they are not.
    """
    runs = run_lengths(counts)
    if min(runs, default=0) < 0:
        raise Fault(KIND, "negative run lengths")
    if sum(runs) != width * height:
        raise Fault(KIND, f"run lengths of {sum(runs):,} pixels in {height}×{width}")
    return runs


def _read_runs(given: dict[str, Any], width: int, height: int) -> Segmentation:
    size = given.get("size")
    if not isinstance(size, list) or [number(side) for side in size] != [height, width]:
        raise Fault(KIND, f"run lengths for {size} in {height}×{width}")
    counts = given.get("counts")
    runs = check_runs(counts, width, height)
    if not any(runs[1::2]):
        raise Fault(KIND, "flat")
    return {"size": [height, width], "counts": counts if isinstance(counts, str) else runs}


def _read_polygon(given: Any, width: int, height: int) -> list[float]:
    if not isinstance(given, list):
        raise Fault(KIND, NEITHER)
    if len(given) < 6 or len(given) % 2:
        raise Fault(KIND, f"a polygon of {len(given)} coordinates")
    sides = [number(side) for side in given]
    if not all(math.isfinite(side) for side in sides):
        raise Fault(KIND, "coordinates that are not numbers")
    for along, end in ((sides[::2], width), (sides[1::2], height)):
        if min(along) < -EDGE or max(along) > end + EDGE:
            raise Fault(KIND, f"{min(along):g} to {max(along):g} in {width}×{height}")
    return sides


def _area(polygon: list[float]) -> float:
    """Return the area inside a polygon, in square pixels."""
    xs, ys = polygon[::2], polygon[1::2]
    nexts = zip([*xs[1:], xs[0]], [*ys[1:], ys[0]], strict=True)
    twice = sum(x1 * y2 - x2 * y1 for x1, y1, (x2, y2) in zip(xs, ys, nexts, strict=True))
    return abs(twice) / 2


def _decompressed(counts: str) -> list[int]:
    """Decode COCO's text: five bits a character, the lowest first; the sixth says more follow.

    From the fourth on, a run length is written as its difference from the one before the last.
    """
    characters = np.frombuffer(counts.encode("utf-8", "surrogatepass"), dtype=np.uint8)
    codes = characters.astype(np.int64) - ord("0")
    lasts = np.flatnonzero(codes & MORE == 0)
    firsts = np.concatenate([[0], lasts[:-1] + 1]).astype(np.int64)
    if ((codes < 0) | (codes >= 2 * MORE)).any():
        raise Fault(KIND, "run lengths that cannot be decoded")
    if not len(lasts) or lasts[-1] != len(codes) - 1:
        raise Fault(KIND, "run lengths that are cut short")
    lengths = lasts - firsts + 1
    if lengths.max() > LONGEST_RUN:
        raise Fault(KIND, "run lengths that cannot be decoded")
    places = np.arange(len(codes)) - firsts.repeat(lengths)
    runs = np.add.reduceat(codes % MORE << 5 * places, firsts)
    runs -= (codes[lasts] & SIGN) // SIGN << 5 * lengths
    runs[1::2], runs[2::2] = runs[1::2].cumsum(), runs[2::2].cumsum()
    decoded: list[int] = runs.tolist()
    return decoded
