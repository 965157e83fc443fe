"""The localization test of a run: of its own boxes and of trivial ones, noted beside it."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from deepres.data.detection.boxed_images import BoxedImages
from deepres.data.detection.records import DetectionSet
from deepres.data.folder import open_test_images
from deepres.detection.localization import Localizer
from deepres.detection.localization_rcnn import RegionLocalizer
from deepres.detection.localizer_file import load_localizer
from deepres.detection.rcnn_file import load_rcnn
from deepres.errors import UserError
from deepres.evaluation.detection.localization import localization_error_pct, right_guesses
from deepres.evaluation.detection.localizer_inference import locate, same_box
from deepres.evaluation.detection.region_inference import locate_by_regions
from deepres.evaluation.evaluation_log import note, noted_tests
from deepres.evaluation.protocol import EvaluatedImages, score_weights
from deepres.evaluation.scores import average
from deepres.evaluation.under_test import UnderTest, may_be_kept
from deepres.execution import Execution
from deepres.models import Classifier, load_classifier
from deepres.provenance import provenance
from deepres.recipes import BoxRecipe, LocalizationRecipe, recipe_from_dict
from deepres.run_folder import RunFolder
from deepres.run_weights import called_together

GUESSES = 5
SAME_TEST = (
    "kind",
    "set",
    "fingerprint",
    "images",
    "classes",
    "views",
    "classifier",
    "class_views",
    "members",
)
"""What two entries have in common if the later one takes the earlier one's place."""


class Errors(NamedTuple):
    """What comes of some boxes."""

    boxes: str
    """Whose they are."""
    top1_error_pct: float
    top5_error_pct: float


def evaluate_localizers(
    runs: Sequence[Path],
    test: DetectionSet,
    views: str,
    execution: Execution,
    *,
    classifiers: Sequence[Path],
    class_views: str,
) -> list[Errors]:
    """Return the localization errors of a run or an ensemble, the whole image and the mean box.

    Those of the run or ensemble are noted in the first run's evaluations.json, unless weights were
    replaced meanwhile.

    Args:
        runs: the folder of a finished run, of an RPN or of an R-CNN; of several R-CNNs: they work
            as an ensemble.
        test: the images and their boxes.
        views: what the RPN sees: ``1-crop``, ``single-scale`` or ``multi-scale``.
        execution: where, and which processes share the images.
        classifiers: weights that predict five classes for each image, by their mean probabilities;
            none: the true class is known, and there is one guess.
        class_views: what the classifiers see of an image.

    Raises:
        UserError: a run is not finished, or of no localizer; the images' classes are not those of a
            network, several runs are given and one is of an RPN, or the first run's
            evaluations.json is damaged or cannot take the errors.
        BadImage: an image cannot be decoded.
    """
    say = execution.say
    noted_tests(runs[0])
    if len(runs) > 1 and any(_is_rpn(run) for run in runs):
        raise UserError(
            "an ensemble is of R-CNNs, each with its RPN: name runs of localize train --rpn, or a "
            "single RPN's run"
        )
    tested = [UnderTest.open(run, load_network, execution.device) for run in runs]
    predict = [UnderTest.open(each, load_classifier, execution.device) for each in classifiers]
    members = [each.network for each in tested]
    for run, (member, _) in zip(runs, members, strict=True):
        check_classes(member.classes, test, run)
    images = BoxedImages.of(test)
    classes = images.classes[:, None]
    if classifiers:
        say(f"predicting classes by {' and '.join(map(str, classifiers))}, {class_views}")
        classes = predicted_classes(predict, test, class_views, execution)
    say(f"locating in {len(test):,} images of {test.name}, {views}")
    boxes = locate_by([member for member, _ in members], images, classes, views, execution)
    if not execution.world.leader:
        return []
    meta = members[0][1]
    name = str(runs[0]) if len(runs) == 1 else f"ensemble of {len(runs)}"
    mean_box = torch.tensor(meta["mean_box"])
    guesses = {
        name: boxes,
        "the whole image": same_box(images, classes, torch.tensor([0.0, 0, 1, 1])),
        "the training boxes' mean": same_box(images, classes, mean_box),
    }
    truth = [image.objects for image in test.images]
    errors = []
    for name, each in guesses.items():
        right = right_guesses(classes + 1, each, truth)
        top1, top5 = (localization_error_pct(right, top) for top in (1, GUESSES))
        errors.append(Errors(name, top1, top5))
    still = partial(may_be_kept, [*tested, *predict], say)
    if not still():
        return errors
    entry = {
        "kind": "localization",
        "set": test.name,
        "fingerprint": test.fingerprint(),
        "images": len(test),
        "classes": "predicted" if classifiers else "ground truth",
        "views": views,
        **({"classifier": named(classifiers), "class_views": class_views} if classifiers else {}),
        **({"members": called_together(runs)} if len(runs) > 1 else {}),
        "top1_error_pct": errors[0].top1_error_pct,
        "top5_error_pct": errors[0].top5_error_pct,
        "provenance": provenance(execution.device),
    }
    note(runs[0], entry, SAME_TEST, still)
    return errors


def load_network(
    run: Path, device: torch.device
) -> tuple[Localizer | RegionLocalizer, dict[str, Any]]:
    """Return a run's network, an RPN or an R-CNN, and what was noted with it.

    Raises:
        UserError: it is no finished run of them.
    """
    load = load_localizer if _is_rpn(run) else load_rcnn
    return load(run, device)


def _is_rpn(run: Path) -> bool:
    """Tell whether a run is of an RPN, not of an R-CNN.

    Raises:
        UserError: it is of neither.
    """
    recipe = recipe_from_dict(RunFolder(run).read_meta()["recipe"], BoxRecipe, run)
    return isinstance(recipe, LocalizationRecipe)


def locate_by(
    members: Sequence[Localizer | RegionLocalizer],
    images: BoxedImages,
    classes: Tensor,
    views: str,
    execution: Execution,
) -> Tensor:
    """Return what an RPN, an R-CNN or an ensemble of these says, as ``locate`` does."""
    if rcnns := [member for member in members if isinstance(member, RegionLocalizer)]:
        return locate_by_regions(rcnns, images, classes, views, execution)
    [rpn] = members
    assert isinstance(rpn, Localizer)
    return locate(rpn, images, classes, views, execution)


def named(weights: Sequence[Path]) -> str:
    """Return what evaluations.json calls one or several networks."""
    return " + ".join(called_together(weights))


def predicted_classes(
    classifiers: Sequence[UnderTest[Classifier]],
    test: DetectionSet,
    views: str,
    execution: Execution,
) -> Tensor:
    """Return the five likeliest classes of each image, the likeliest first, (N, 5) from 0.

    The scores are those of ``deepres evaluate``, taken over from it where nothing has changed, and
    kept as its are; so they are of all test images of the folder, also of those that have no box.
    Of several networks they are averaged.
    """
    files, _ = open_test_images(Path(test.location), say=lambda line: None)  # it has been said
    data = EvaluatedImages(files, f"{len(files):,} images of {test.location}")
    members = []
    for each in classifiers:
        check_classes(each.network.classes, test, each.path)
        members.append(score_weights(each, data, views, execution))
    best = torch.empty(0)
    if execution.world.leader:
        scores = average(members)
        places = {files.root / name: place for place, name in enumerate(scores.names)}
        own = scores.probabilities[[places[image.path] for image in test.images]]
        best = own.topk(min(GUESSES, len(test.classes))).indices
    return execution.world.broadcast_object(best)


def check_classes(known: tuple[str, ...], test: DetectionSet, weights: Path) -> None:
    """Make sure that a network knows the classes of a data set.

    Raises:
        UserError: it knows others.
    """
    if known != test.classes:
        raise UserError(
            f"{weights} knows other classes than those of {test.location}; give the data that it "
            "was trained on by --data"
        )
