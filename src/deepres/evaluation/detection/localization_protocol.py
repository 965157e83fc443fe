"""The localization test of a run: of its own boxes and of trivial ones, noted beside it."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from deepres.data.detection.boxed_images import BoxedImages
from deepres.data.detection.records import DetectionSet
from deepres.data.folder import ImageFiles
from deepres.detection.localizer_file import load_localizer
from deepres.errors import UserError
from deepres.evaluation.detection.localization import localization_error_pct, right_guesses
from deepres.evaluation.detection.localizer_inference import locate, same_box
from deepres.evaluation.evaluation_log import note
from deepres.evaluation.protocol import score_weights
from deepres.execution import Execution
from deepres.models import load_model
from deepres.provenance import provenance

GUESSES = 5
TEST = ("kind", "set", "classes", "views", "classifier", "class_views")
"""What two entries have in common if the later one takes the earlier one's place."""


class Errors(NamedTuple):
    """What comes of some boxes."""

    boxes: str
    """Whose they are."""
    top1_error_pct: float
    top5_error_pct: float


def evaluate_localizer(
    run: Path,
    test: DetectionSet,
    views: str,
    execution: Execution,
    *,
    classifier: Path | None,
    class_views: str,
) -> list[Errors]:
    """Return the localization errors of a run's network, the whole image and the mean box.

    The network's are noted in the run's evaluations.json.

    Args:
        run: the folder of a finished run.
        test: the images and their boxes.
        views: ``1-crop``, ``single-scale`` or ``multi-scale``.
        execution: where, and which processes share the images.
        classifier: weights that predict five classes for each image; None: the true class is known,
            and there is one guess.
        class_views: what the classifier sees of an image.

    Raises:
        UserError: the images' classes are not those of the network or of the classifier.
        BadImage: an image cannot be decoded.
    """
    say = execution.say
    localizer, meta = load_localizer(run, execution.device)
    check_classes(localizer.classes, test, run)
    images = BoxedImages.of(test)
    classes = images.classes[:, None]
    if classifier is not None:
        say(f"predicting classes by {classifier}, {class_views}")
        classes = predicted_classes(classifier, test, class_views, execution)
    say(f"locating in {len(test):,} images of {test.name}, {views}")
    boxes = locate(localizer, images, classes, views, execution)
    if not execution.world.leader:
        return []
    mean_box = torch.tensor(meta["mean_box"])
    guesses = {
        str(run): boxes,
        "the whole image": same_box(images, classes, torch.tensor([0.0, 0, 1, 1])),
        "the training boxes' mean": same_box(images, classes, mean_box),
    }
    truth = [image.objects for image in test.images]
    errors = []
    for name, each in guesses.items():
        right = right_guesses(classes + 1, each, truth)
        top1, top5 = (localization_error_pct(right, top) for top in (1, GUESSES))
        errors.append(Errors(name, top1, top5))
    entry = {
        "kind": "localization",
        "set": test.name,
        "images": len(test),
        "classes": "ground truth" if classifier is None else "predicted",
        "views": views,
        **(
            {}
            if classifier is None
            else {"classifier": classifier.name, "class_views": class_views}
        ),
        "top1_error_pct": errors[0].top1_error_pct,
        "top5_error_pct": errors[0].top5_error_pct,
        "provenance": provenance(execution.device),
    }
    note(run, entry, same=TEST)
    return errors


def predicted_classes(
    weights: Path, test: DetectionSet, views: str, execution: Execution
) -> Tensor:
    """Return the five likeliest classes of each image, the likeliest first, (N, 5) from 0.

    The scores are those of ``deepres evaluate``, and kept as its are.
    """
    classifier = load_model(weights, execution.device)
    check_classes(classifier.classes, test, weights)
    root = Path(test.location)
    scores = score_weights(
        weights,
        classifier,
        ImageFiles(
            root,
            tuple(str(image.path.relative_to(root)) for image in test.images),
            tuple(BoxedImages.of(test).classes.tolist()),
        ),
        views,
        execution,
        source=test.name,
    )
    best = scores.probabilities.topk(min(GUESSES, len(test.classes))).indices
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
