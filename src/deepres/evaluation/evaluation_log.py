"""The evaluations.json of a run's folder: what its tests have found after training."""

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any

from deepres.errors import UserError
from deepres.evaluation.scores import Scores
from deepres.files import read_json, write_json
from deepres.json_shape import misfit
from deepres.run_contents import checked
from deepres.run_folder import EVALUATIONS, RunFolder

CLASSES_KEPT = 20
"""Up to so many classes, a run's folder keeps the errors of each, and commands show them."""
SAME_TEST = ("views", "fingerprint", "images", "members")
"""What two entries have in common if the later one takes the earlier one's place."""
READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
"""How the system refuses to write where the user may only read."""
_put_off: ContextVar[list[UserError] | None] = ContextVar("errors of noting", default=None)


@contextmanager
def noting_errors_last(say: Callable[[str], None]) -> Iterator[None]:
    """Go on where something cannot be noted, so that what was found is told before the error.

    Args:
        say: receives the error where another one is raised.

    Raises:
        UserError: something could not be noted.
    """
    errors: list[UserError] = []
    before = _put_off.set(errors)
    try:
        yield
    except BaseException:
        for error in errors[:1]:
            say(str(error))
        raise
    finally:
        _put_off.reset(before)
    if errors:
        raise errors[0]


def noted_tests(run: Path) -> list[dict[str, Any]]:
    """Return what is noted in the folder of a run. Ask before a test, for it may take hours.

    Raises:
        UserError: it is damaged.
    """
    path = run / EVALUATIONS
    if not path.exists():
        return []
    entries: list[dict[str, Any]] = checked(path, read_json(path), partial(misfit, shape=[dict]))
    return entries


def note(
    run: Path,
    entry: dict[str, Any],
    same: Sequence[str],
    still: Callable[[], bool] = lambda: True,
) -> None:
    """Add ``entry`` to the evaluations.json of the run's folder.

    An entry of the same test is replaced. A folder that cannot be written to is left as it is.
    Processes that note at once wait for each other.

    Args:
        run: the folder.
        entry: what was found, and by which test.
        same: the fields that two entries of the same test have in common.
        still: tells whether it is of the weights that the run has; else nothing is noted.

    Raises:
        UserError: the disk is full, the folder is gone, or what is noted there is damaged; within
            ``noting_errors_last`` at its end.
    """
    try:
        with RunFolder(run).noting():
            if still():
                kept = [each for each in noted_tests(run) if not _of_same_test(each, entry, same)]
                write_json(run / EVALUATIONS, [*kept, entry], make_folder=False)
    except UserError as error:
        refused = error.__cause__
        if isinstance(refused, OSError) and refused.errno in READ_ONLY:
            return
        unnoted = UserError(f"what the test found is not noted: {error}")
        if (errors := _put_off.get()) is None:
            raise unnoted from error
        errors.append(unnoted)


def _of_same_test(old: dict[str, Any], new: dict[str, Any], same: Sequence[str]) -> bool:
    """Tell whether two entries agree in the fields ``same``.

    Earlier versions noted no fingerprint: their images are told by what they are called.
    """
    fields = ["data" if k == "fingerprint" and k not in old else k for k in same]
    return all(old.get(k) == new.get(k) for k in fields)


def evaluation_entry(
    views: str,
    source: str,
    fingerprint: str,
    scores: Scores,
    provenance: dict[str, str],
    members: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the errors that ``scores`` make, as they are noted in evaluations.json.

    Args:
        views: what the network saw of an image.
        source: what the images are, in words.
        fingerprint: of the images, also of those that were left out.
        scores: of the images.
        provenance: what the errors depend on.
        members: the names of an ensemble's runs; none: it is a single network.
    """
    return {
        "views": views,
        "data": source,
        "fingerprint": fingerprint,
        "images": len(scores.names),
        "top1_error_pct": scores.error_pct(1),
        "top5_error_pct": scores.error_pct(5),
        **({"members": list(members)} if members else {}),
        "provenance": provenance,
    }


def class_errors(scores: Scores, classes: Sequence[str]) -> dict[str, Any]:
    """Return what evaluations.json keeps by class: errors, and what was taken for what.

    Of more than ``CLASSES_KEPT`` classes the worst alone, and no confusion matrix: a file of a run
    is small. Of classes whose names repeat, nothing: none could be told from the other.
    """
    if len({*classes}) < len(classes):
        return {}
    errors = scores.class_errors_pct()
    if len(classes) > CLASSES_KEPT:
        worst = errors.nan_to_num(-1).argsort(descending=True)[:CLASSES_KEPT].tolist()
        return {"class_errors_pct": {classes[i]: float(errors[i]) for i in worst}}
    pcts = dict(zip(classes, errors.tolist(), strict=True))
    return {"class_errors_pct": pcts, "confusion": scores.confusion().tolist()}
