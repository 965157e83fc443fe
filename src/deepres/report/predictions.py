"""Which images two networks mistake, from what ``deepres evaluate`` keeps of each."""

import io
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepres.files import file_digest
from deepres.report.ranks import Ranks, kept_ranks, ranks_of
from deepres.report.runs import Run
from deepres.report.tested import counts
from deepres.run_folder import RunFolder


@dataclass(frozen=True)
class PairedErrors:
    """How two networks fare on the same images."""

    images: int
    first_alone: int
    """How many the first mistakes, and the second does not."""
    second_alone: int


def paired_errors_of(first: Run, second: Run, views: str, top: int = 1) -> PairedErrors | None:
    """Compare two runs' stored answers; None: they are not there, or are of other images.

    Only answers to the test images of the runs' data count, of the paper's data to all of them. Of
    several sets of images the largest is taken.

    Args:
        first: a finished run.
        second: another.
        views: by which both were tested.
        top: among how many of the likeliest classes the true one must be.
    """
    pairs = []
    ones, others = (
        [
            each
            for each in answers(run.path, views)
            if counts(run, len(each.ranks), each.fingerprint)
        ]
        for run in (first, second)
    )
    for one, other in itertools.product(ones, others):
        if one.same_images(other):
            wrong, others_wrong = one.wrong(top), other.wrong(top)
            alone = wrong & ~others_wrong, others_wrong & ~wrong
            pairs.append(PairedErrors(len(one.ranks), *(int(each.sum()) for each in alone)))
    return max(pairs, key=lambda pair: pair.images, default=None)


def answers(run: Path, views: str) -> list[Ranks]:
    """Return what a run's own weights answered to each set of images, in float32.

    That is kept as ranks, or follows from scores, if the weights are still those they are of.

    Args:
        run: its folder.
        views: by which it was tested.
    """
    return kept_ranks(run, views) + _from_scores(run, views)


def _from_scores(run: Path, views: str) -> list[Ranks]:
    weights = RunFolder(run).weights
    files = sorted((run / "scores").glob(f"{weights.stem}-{views}-*.npz"))
    if not files or not weights.exists():
        return []
    key = {"weights": file_digest(weights), "views": views, "precision": "fp32"}
    return [found for path in files if (found := _read(path, key))]


def _read(path: Path, key: dict[str, Any]) -> Ranks | None:
    """Return what a file of scores says; None: it is damaged, or of other weights."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as saved:
            known = json.loads(str(saved["key"]))
            if not key.items() <= known.items():
                return None
            scored = saved["names"].tolist(), saved["labels"], saved["scores"]
            return ranks_of(*scored, known.get("images"))
    except Exception:  # it is only a cache
        return None
