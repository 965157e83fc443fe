"""The evaluations.json of a run's folder: what its tests have found after training."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from deepres.errors import UserError
from deepres.evaluation.scores import Scores
from deepres.files import read_json, write_json
from deepres.run_folder import EVALUATIONS

CLASSES_KEPT = 20
"""Of so many classes, and no more, a run's folder keeps the errors, and commands show them."""


def note(run: Path, entry: dict[str, Any], same: Sequence[str]) -> None:
    """Add ``entry`` to the evaluations.json of the run's folder.

    An entry of the same test is replaced. A folder that cannot be written to is left as it is.

    Args:
        run: the folder.
        entry: what was found, and by which test.
        same: the fields that two entries of the same test have in common.
    """
    path = run / EVALUATIONS
    earlier = read_json(path) if path.exists() else []
    kept = [each for each in earlier if any(each.get(key) != entry.get(key) for key in same)]
    with suppress(UserError):
        write_json(path, [*kept, entry])


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

    What was noted of the same views and data is replaced. A folder that cannot be written to is
    left as it is.
    """
    entry = evaluation_entry(views, source, scores, provenance) | class_errors(scores, classes)
    note(run, entry, same=("views", "data"))
