"""What the commands of ``deepres detect`` share that use a trained detector."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepres.cli.class_tables import print_by_class
from deepres.cli.terminal import data_folder, print_table, say, show
from deepres.data.detection.checks import BadBoxes
from deepres.data.detection.records import DetectionSet
from deepres.data.detection.splits import open_detection_set
from deepres.errors import UserError
from deepres.recipes import DetectionRecipe, recipe_from_dict
from deepres.report.detection_runs import standard_error

if TYPE_CHECKING:  # not everyone has torchvision
    from deepres.detection.faster_rcnn import Detector
    from deepres.detection.inference import Improvements

PRECISIONS = {
    "map_50_pct": "mAP@.5 (%)",
    "map_pct": "mAP@[.5, .95] (%)",
    "mask_map_50_pct": "masks @.5 (%)",
    "mask_map_pct": "masks @[.5, .95] (%)",
}


def improvements_of(options: argparse.Namespace, detector: "Detector") -> "Improvements":
    """Return the improvements that are asked for."""
    from deepres.detection.inference import Improvements

    scales = scales_for(detector) if options.multi_scale else ()
    return Improvements(box_refinement=options.refine, scales=scales)


def scales_for(detector: "Detector") -> tuple[int, ...]:
    """Return the published scales, which are for 600 pixels, in proportion to the detector's."""
    from deepres.detection.multi_scale import PUBLISHED_SCALES

    return tuple(round(side * detector.settings.short_side / 600) for side in PUBLISHED_SCALES)


def open_test_set(
    on: str | None,
    data: Path | None,
    meta: dict[str, Any] | None,
    bad_boxes: BadBoxes | None,
    *,
    pictures: bool,
) -> tuple[DetectionSet, str]:
    """Open what is to be found.

    Args:
        on: a set's name; None: the test set of the run.
        data: the folder; None: where the run's data are.
        meta: the run's recipe.json.
        bad_boxes: whether annotations that cannot be right stop the reading or are left out; None:
            as in the run, else they stop it.
        pictures: whether the pictures will be looked at.

    Returns:
        The set, and its name as ``open_detection_set`` knows it.

    Raises:
        UserError: it is not known what to test on, or that is not as it should be.
    """
    recipe = recipe_from_dict(meta["recipe"], DetectionRecipe) if meta else None
    name = on or (recipe.test_set if recipe else None)
    if name is None:
        raise UserError("it is not known what to test on; name a set, e.g. --on voc2007-test")
    folder = data_folder(data, meta["data"] if meta else {"source": name, "location": None})
    policy = bad_boxes or (recipe.bad_boxes if recipe else "fail")
    return open_detection_set(name, folder, policy, say, pictures=pictures), name


def print_precisions(title: str, rows: list[tuple[str, dict[str, Any]]]) -> None:
    """Print a row of precisions for each test, and each class's of the last one.

    Args:
        title: what was tested on.
        rows: a test's name, and what evaluations.json has on it.
    """
    keys = [key for key in PRECISIONS if any(key in scores for _, scores in rows)]
    numbers = [[name, *(_number(scores, key) for key in keys)] for name, scores in rows]
    print_table("", [title, *(PRECISIONS[key] for key in keys)], numbers)
    print_by_class("AP (%)", [*rows[-1][1]["ap_pct"].items()], 1, worst_first=lambda ap: ap)
    if any("resampled" in scores for _, scores in rows):
        show("(± is the standard error, for other test images)")


def _number(scores: dict[str, Any], key: str) -> str:
    """Return a precision with its standard error, as far as they are known."""
    if key not in scores:
        return "–"
    error = standard_error(scores, key)
    return f"{scores[key]:.1f}" + ("" if error is None else f" ± {error:.1f}")
