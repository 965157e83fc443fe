"""Scores on disk: a cache, so that ensembles cost nothing; tables; submissions."""

import io
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deepres.data.imagenet import CLASSES_FILE, load_classes
from deepres.distributed import ALONE, World
from deepres.errors import UserError
from deepres.evaluation.evaluation_log import note
from deepres.evaluation.scores import Scores
from deepres.files import atomic_write

CLASSES_KEPT = 20
"""Of so many classes, and no more, a run's folder keeps the errors, and commands show them."""


def cached_scores(
    path: Path, key: dict[str, Any], make: Callable[[], Scores], world: World = ALONE
) -> Scores:
    """Return the scores at ``path`` if they were made under the same ``key``; else make them.

    Args:
        path: a .npz file, written if it is not there and can be.
        key: all that the scores depend on: weights, images, views.
        make: computes them, in all processes of ``world`` together.
        world: the processes, of which the leader reads and writes.
    """
    found = _read_scores(path, key) if world.leader else None
    if world.broadcast_object(found is not None):
        return found or Scores((), torch.empty(0), torch.empty(0, 0))  # others need none
    scores = make()
    if world.leader:
        with suppress(UserError):  # beside weights on a read-only disk there is no cache
            save_scores(path, scores, key=json.dumps(key))
    return scores


def _read_scores(path: Path, key: dict[str, Any]) -> Scores | None:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as saved:
            if json.loads(str(saved["key"])) == key:
                return Scores(
                    tuple(saved["names"].tolist()),
                    torch.from_numpy(saved["labels"]),
                    torch.from_numpy(saved["scores"]),
                )
    except Exception:  # absent, damaged in any way, or of another version: it is only a cache
        return None
    return None


def save_scores(path: Path, scores: Scores, **more: Any) -> None:
    """Write the scores of each image as an .npz file: names, labels, scores, and ``more``."""
    content = io.BytesIO()
    np.savez(
        content,
        names=np.array(scores.names),
        labels=scores.labels.numpy(),
        scores=scores.probabilities.numpy(),
        **more,
    )
    with atomic_write(path) as file:
        file.write(content.getbuffer())


def evaluation_entry(
    views: str, source: str, scores: Scores, provenance: dict[str, str]
) -> dict[str, Any]:
    """Return the errors that ``scores`` make, as they are noted in evaluations.json."""
    return {
        "views": views,
        "data": source,
        "images": len(scores.names),
        "top1_error_pct": scores.error_pct(1),
        "top5_error_pct": scores.error_pct(5),
        "provenance": provenance,
    }


def class_errors(scores: Scores, classes: Sequence[str]) -> dict[str, Any]:
    """Return what evaluations.json keeps by class: errors, and what was taken for what.

    Of more than ``CLASSES_KEPT`` classes the worst alone, and no confusion matrix: a file of a run
    is small.
    """
    errors = scores.class_errors_pct()
    if len(classes) > CLASSES_KEPT:
        worst = errors.nan_to_num(-1).argsort(descending=True)[:CLASSES_KEPT].tolist()
        return {"class_errors_pct": {classes[i]: float(errors[i]) for i in worst}}
    pcts = dict(zip(classes, errors.tolist(), strict=True))
    return {"class_errors_pct": pcts, "confusion": scores.confusion().tolist()}


def log_evaluation_entry(
    run: Path,
    views: str,
    source: str,
    scores: Scores,
    provenance: dict[str, str],
    classes: Sequence[str],
) -> None:
    """Note the errors that ``scores`` make, also by class, in the evaluations.json of a run.

    What was noted of the same views and data, of as many images, is replaced. A folder that cannot
    be written to is left as it is.
    """
    entry = evaluation_entry(views, source, scores, provenance) | class_errors(scores, classes)
    note(run, entry, same=("views", "data", "images"))


def submission_ids(root: Path, classes: tuple[str, ...]) -> list[int]:
    """Return the ILSVRC2012 id of each of ``classes``, which are WordNet ids.

    Args:
        root: the folder of the test images: ImageNet's own, or val or test in it.
        classes: a network's.

    Raises:
        UserError: ImageNet's classes are not listed there, or a class is none of them.
    """
    known = load_classes(root if (root / CLASSES_FILE).exists() else root.parent)
    if unknown := [name for name in classes if name not in known]:
        raise UserError(
            f"class {unknown[0]!r} is none of ILSVRC2012's; submissions are for networks whose "
            "classes are its WordNet ids"
        )
    return [known[name].id for name in classes]


def write_submission(path: Path, scores: Scores, ids: Sequence[int]) -> None:
    """Write the five likeliest classes of each image as ILSVRC takes them.

    One line an image, in the order of their names, with ILSVRC2012 ids, the likeliest first.

    Args:
        path: a text file.
        scores: of the test images.
        ids: the ILSVRC2012 id of each column of the scores.
    """
    order = sorted(range(len(scores.names)), key=lambda i: Path(scores.names[i]).name)
    best = scores.probabilities[order].topk(min(5, len(ids))).indices
    with atomic_write(path) as file:
        for row in best.tolist():
            file.write((" ".join(str(ids[i]) for i in row) + "\n").encode())
