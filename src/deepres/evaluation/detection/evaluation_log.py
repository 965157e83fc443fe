"""What a detector's tests have found, as its run's evaluations.json keeps it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from deepres.data.detection.records import DetectionSet
from deepres.evaluation.evaluation_log import note

Entry = dict[str, Any]
SAME_TEST = ("kind", "set", "fingerprint", "images", "rule", "improvements", "members")
"""What two entries have in common if the later one takes the earlier one's place."""


def detection_entry(
    data: DetectionSet,
    scores: dict[str, Any],
    provenance: dict[str, Any],
    improvements: Sequence[str] = (),
    members: Sequence[str] = (),
) -> Entry:
    """Return the outcome of a test as it is noted.

    Args:
        data: the images.
        scores: what ``DetectionResults.scores`` gave.
        provenance: of the test.
        improvements: the appendix's that were in use, in words.
        members: what an ensemble's networks are called; none: it is a single detector.
    """
    return {
        "kind": "detection",
        "set": data.name,
        "fingerprint": data.fingerprint(),
        "images": len(data),
        **scores,
        "improvements": list(improvements),
        **({"members": list(members)} if members else {}),
        "provenance": provenance,
    }


def note_detection(run: Path, entry: Entry, still: Callable[[], bool] = lambda: True) -> None:
    """Add ``entry`` to the evaluations.json of the run's folder, in place of one of the same test.

    A folder that cannot be written to is left as it is; so is any if the weights that were tested
    are not ``still`` there.

    Raises:
        UserError: as by ``note``.
    """
    note(run, entry, SAME_TEST, still)
