"""Submissions to ILSVRC: the five likeliest classes of each test image."""

from collections.abc import Sequence
from pathlib import Path

from deepres.data.imagenet import CLASSES_FILE, load_classes
from deepres.errors import UserError
from deepres.evaluation.scores import Scores
from deepres.files import atomic_write


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
