"""Which images two networks mistake, from the scores that ``deepres evaluate`` keeps of each."""

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepres.report.published import CIFAR_TEST_IMAGES, VALIDATION_IMAGES
from deepres.report.runs import Run
from deepres.run_folder import RunFolder

IMAGES = {"cifar10": CIFAR_TEST_IMAGES, "imagenet": VALIDATION_IMAGES}
"""How many images the paper tests on, by kind of recipe."""


@dataclass(frozen=True)
class PairedErrors:
    """How two networks fare on the same images."""

    images: int
    first_alone: int
    """How many the first mistakes, and the second does not."""
    second_alone: int


@dataclass(frozen=True)
class _Answers:
    names: tuple[str, ...]
    labels: NDArray[np.int64]
    wrong: NDArray[np.bool_]


def paired_errors_of(first: Run, second: Run, views: str, top: int = 1) -> PairedErrors | None:
    """Compare two runs' stored answers; None: they are not there, or are of other images.

    Of several sets of images the largest counts; of the paper's data, only all test images.

    Args:
        first: a finished run.
        second: another.
        views: by which both were tested.
        top: among how many of the likeliest classes the true one must be.
    """
    pairs = []
    found = {each.names: each for each in _answers(second, views, top)}
    for one in _answers(first, views, top):
        other = found.get(one.names)
        if other is None or (one.labels != other.labels).any():
            continue
        if not first.has_foreign_data and len(one.names) != IMAGES.get(first.kind):
            continue
        alone = one.wrong & ~other.wrong, other.wrong & ~one.wrong
        pairs.append(PairedErrors(len(one.names), *(int(each.sum()) for each in alone)))
    return max(pairs, key=lambda pair: pair.images, default=None)


def _answers(run: Run, views: str, top: int) -> list[_Answers]:
    """Return what the run's own weights answered, in float32, on each set of images."""
    weights = RunFolder(run.path).weights
    files = sorted((run.path / "scores").glob(f"{weights.stem}-{views}-*.npz"))
    if not files or not weights.exists():
        return []
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    found = [
        _read(path, {"weights": digest, "views": views, "precision": "fp32"}, top) for path in files
    ]
    return [each for each in found if each is not None]


def _read(path: Path, key: dict[str, Any], top: int) -> _Answers | None:
    """Return what a file of scores says; None: it is damaged, or of other weights."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as saved:
            if not key.items() <= json.loads(str(saved["key"])).items():
                return None
            labels, scores, names = saved["labels"], saved["scores"], saved["names"]
    except Exception:  # it is only a cache
        return None
    known = labels >= 0
    labels, scores = labels[known], scores[known]
    of_truth = np.take_along_axis(scores, labels[:, None], axis=1)
    wrong = (scores > of_truth).sum(1) >= top
    return _Answers(tuple(names[known].tolist()), labels, wrong) if known.any() else None
