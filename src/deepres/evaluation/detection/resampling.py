"""How far mean average precision depends on which images were tested: the bootstrap over images.

Images are drawn with replacement, as many as there are, again and again, and the precision of each
draw is computed. The draws depend on the number of images alone. So two detectors that were tested
on the same images have the same draws, and their precisions can be compared draw by draw.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from deepres.runtime import derive_seed

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

DRAWS = 200
"""How many there are. Their spread is known to 1/√(2 · 200) = 5 % of itself."""
AT_ONCE = 2**24
"""How many numbers are worked on together, to bound memory."""


@dataclass(frozen=True)
class ClassMatches:
    """How a class's D detections on I images were judged at T overlaps, the most certain first."""

    objects: Ints
    """How many there are to find on each image, (I,); ignored ones are not among them."""
    image: Ints
    """On which image each detection is, (D,) from 0."""
    right: Bools
    """Which are right, (T, D)."""
    ignored: Bools
    """Which do not count, (T, D)."""


Average = Callable[[Ints, Floats, Ints], Floats]
"""Makes one number of a curve, for each of B draws.

Given how many objects are found down to each of K right detections (B, K), the best precision
there or later (B, K), and how many objects there are (B,), it returns average precisions (B,)."""


def area(found: Ints, best: Floats, objects: Ints) -> Floats:
    """Return the areas under the curves."""
    areas: Floats = (np.diff(found, axis=1, prepend=0) * best).sum(1) / objects
    return areas


def at_recalls(recalls: Floats) -> Average:
    """Return the average of the precisions at some recalls, or more."""

    def average(found: Ints, best: Floats, objects: Ints) -> Floats:
        rows, count = found.shape
        least = np.floor(recalls * objects[:, None])  # how many must be found, (B, recalls)
        least += least / objects[:, None] < recalls
        # One search in all rows at once: each row's numbers lie above those of the row before.
        most = int(found.max(initial=0)) + 1
        above = (most + 1) * np.arange(rows)[:, None]
        places = np.searchsorted((found + above).ravel(), np.minimum(least, most) + above)
        places -= count * np.arange(rows)[:, None]
        with_end = np.concatenate([best, np.zeros((rows, 1))], axis=1)
        averages: Floats = np.take_along_axis(with_end, places, axis=1).mean(1)
        return averages

    return average


AVERAGES: dict[str, Average] = {
    "11-point": at_recalls(np.arange(11) / 10),
    "area": area,
    "imagenet-det": area,
    "coco": at_recalls(np.linspace(0, 1, 101)),
}
"""By the name of the benchmark's rule."""


def draws(images: int) -> Ints:
    """Return how often each of so many images is in each of the draws, (DRAWS, images)."""
    generator = torch.Generator().manual_seed(derive_seed(0, "bootstrap"))
    drawn = (torch.randint(images, (images,), generator=generator) for _ in range(DRAWS))
    return np.stack([np.bincount(each.numpy(), minlength=images) for each in drawn])


def resampled_precisions(classes: Sequence[ClassMatches], average: Average, counts: Ints) -> Floats:
    """Return the mean average precision of some draws at each overlap, (B, T) in [0, 1].

    As by the benchmarks' own rules, classes without objects in a draw are left out of its mean,
    which is NaN if none is left.

    Args:
        classes: what was found of each; of one class at least there are objects.
        average: makes one number of a class's curve.
        counts: how often each image is in each draw, (B, I).
    """
    total = np.zeros((len(counts), len(classes[0].right)))
    known = np.zeros((len(counts), 1))
    for each in (each for each in classes if each.objects.any()):
        rows = max(1, AT_ONCE // max(1, len(each.image)))
        for start in range(0, len(counts), rows):
            part = slice(start, start + rows)
            objects = counts[part] @ each.objects
            there = objects > 0
            total[part][there] += _of_class(each, average, counts[part][there], objects[there])
            known[part][there] += 1
    with np.errstate(invalid="ignore"):
        means: Floats = total / known
    return means


def _of_class(each: ClassMatches, average: Average, counts: Ints, objects: Ints) -> Floats:
    """Return a class's average precisions, (B, T); there are objects in each draw."""
    last = np.flatnonzero(each.right.any(0)).max(initial=-1) + 1  # what comes later changes nothing
    drawn = counts[:, each.image[:last]]
    ranked = drawn.cumsum(1)
    columns = []
    for right, ignored in zip(each.right[:, :last], each.ignored[:, :last], strict=True):
        places, passed_over = np.flatnonzero(right), np.flatnonzero(ignored)
        found = drawn[:, places].cumsum(1)
        uncounted = np.pad(drawn[:, passed_over].cumsum(1), ((0, 0), (1, 0)))
        counted = ranked[:, places] - uncounted[:, np.searchsorted(passed_over, places)]
        precision = found / np.maximum(counted, 1)
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        columns.append(average(found, best, objects))
    return np.stack(columns, axis=1)
