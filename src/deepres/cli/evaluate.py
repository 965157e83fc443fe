"""deepres evaluate: errors of trained networks, alone and as an ensemble."""

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import torch

from deepres.cli.found_errors import Found, print_found, show_found
from deepres.cli.terminal import IMAGENET_FOLDER, open_data, say
from deepres.cli.training import execution_of
from deepres.data.cifar10 import CLASSES, Cifar10
from deepres.data.folder import ImageFiles, open_test_images
from deepres.errors import UserError
from deepres.evaluation.class_names import places_among
from deepres.evaluation.evaluation_log import CLASSES_KEPT, noting_errors_last
from deepres.evaluation.protocol import EvaluatedImages, note_ensemble, score_weights
from deepres.evaluation.score_files import save_scores
from deepres.evaluation.scores import Scores, average
from deepres.evaluation.submission import submission_ids, write_submission
from deepres.evaluation.under_test import UnderTest, hold
from deepres.execution import Execution
from deepres.files import check_ours, check_places
from deepres.models import Classifier, load_classifier
from deepres.pretrained import find_weights
from deepres.provenance import provenance
from deepres.report.figures import confusion_matrix
from deepres.report.pictures import PICTURES
from deepres.run_folder import CONFUSION
from deepres.run_places import place_beside
from deepres.run_weights import run_beside, run_of, weights_file
from deepres.runtime import resolve_precision
from deepres.torchrun import is_leader


class Member(NamedTuple):
    """A network that was tested, alone or in an ensemble."""

    tested: UnderTest[Classifier]
    images: EvaluatedImages
    scores: Scores
    """By the first network's order of classes."""


@noting_errors_last(say)
def call(options: argparse.Namespace) -> int:
    """Evaluate each network, print the errors, and draw the confusion matrix."""
    if options.out and options.out.suffix.lower() not in PICTURES:
        raise UserError(f"--out must end in {' or '.join(PICTURES)}, got {options.out}")
    if options.save_scores and options.save_scores.suffix != ".npz":
        raise UserError(f"--save-scores must end in .npz, got {options.save_scores}")
    if is_leader():
        check_places(options.out, options.save_scores, options.save_submission)
    execution = execution_of(options)
    precision = resolve_precision(options.precision, execution.device)
    paths = [find_weights(subject, options.source, say) for subject in options.subjects]
    picture = options.out or (_default_picture(paths) if precision == "fp32" else None)
    if picture and not options.out:
        check_ours(picture)
    members = _test(options, paths, precision, execution)
    if not execution.world.leader:
        return 0
    first, tested = members[0], [each.tested for each in members]
    scores = average([each.scores for each in members])
    if len(members) > 1 and precision == "fp32":
        note_ensemble(tested, first.images, options.views, scores, execution)
    found = Found(
        options.views,
        first.images.source,
        first.tested.network.classes,
        [(str(name), each.scores) for name, each in zip(options.subjects, members, strict=True)],
        scores,
    )
    written: dict[str, Path] = {}
    try:
        for name, path in _write(options, members, found, picture, execution.device):
            written[name] = path
    finally:  # whether it can be written or not: the numbers are what took the time
        tell = print_found if options.json else show_found
        tell(found, written)
    return 0


def _test(
    options: argparse.Namespace, paths: Sequence[Path], precision: str, execution: Execution
) -> list[Member]:
    """Test each network; the leader alone returns what comes of it."""
    members = []
    classes: tuple[str, ...] = ()  # the first network's; those of the others follow its order
    first: EvaluatedImages | None = None  # what the first network is tested on
    for path, subject in zip(paths, options.subjects, strict=True):
        tested = UnderTest.open(path, load_classifier, execution.device)
        own = tested.network.classes
        classes = classes or own
        places = places_among(own, str(subject), classes, str(options.subjects[0]), say)
        images = _test_images(options.data, tested)
        first = first or images
        if images is not first and images.images.fingerprint() != first.images.fingerprint():
            raise UserError(
                f"{subject} would be tested on {images.source}, and {options.subjects[0]} on other "
                f"images, {first.source}; give what all are tested on by --data, or test one at a "
                "time"
            )
        if options.save_submission:
            _submission_ids(images, classes)  # before the work of scoring
        say(f"evaluating {subject}, {options.views}, on {images.source}")
        scores = score_weights(
            tested,
            images,
            options.views,
            execution,
            fold=options.fold,
            precision=precision,
            skip_bad=options.bad_images == "skip",
        )
        if execution.world.leader:
            if options.save_submission and len(scores.names) < len(images.images):
                raise UserError("a submission needs a line for every image; mend those left out")
            members.append(Member(tested, images, scores.in_order(places)))
    return members


def _test_images(data: str | None, tested: UnderTest[Classifier]) -> EvaluatedImages:
    """Return what to test a network on."""
    weights, classifier = tested.path, tested.network
    if data is None and (run := run_beside(weights)):
        data = run.read_meta()["data"]["location"]
    of_cifar = data in (None, "sample") or Path(data or "", "test_batch.bin").exists()
    if classifier.network.input_size == 32 and of_cifar:
        places = places_among(classifier.classes, str(weights), CLASSES, "CIFAR-10", say)
        cifar = open_data(data)
        assert isinstance(cifar, Cifar10)
        return EvaluatedImages(cifar.test, f"the test images of {cifar.source}", places)
    if data is None and not IMAGENET_FOLDER.exists():
        raise UserError(
            f"{weights} does not say what to test on, and there is no {IMAGENET_FOLDER}; give "
            "--data, or make it: deepres data imagenet prepare"
        )
    data = data or str(IMAGENET_FOLDER)
    images, shown = open_test_images(Path(data), say)
    name = f"{len(images):,} images of {data}"
    if not shown:
        return EvaluatedImages(images, name)
    places = places_among(classifier.classes, str(weights), shown, data, say)
    return EvaluatedImages(images, name, places)


def _submission_ids(images: EvaluatedImages, classes: tuple[str, ...]) -> list[int]:
    """Return ILSVRC's numbers of the classes."""
    if not isinstance(images.images, ImageFiles):
        raise UserError(f"--save-submission is for ImageNet's test images, not for {images.source}")
    return submission_ids(images.images.root, classes)


def _write(
    options: argparse.Namespace,
    members: Sequence[Member],
    found: Found,
    picture: Path | None,
    device: torch.device,
) -> Iterator[tuple[str, Path]]:
    """Write what was asked for, then draw the confusion matrix; yield what each is, and its place.

    The picture comes last: its disk, a run's, may be full where the others have room.
    """
    scores, classes = found.scores, found.classes
    if options.save_scores:
        save_scores(
            options.save_scores,
            scores,
            classes=list(classes),
            views=found.views,
            weights=[each.tested.digest for each in members],
            provenance=json.dumps(provenance(device)),
        )
        yield "scores", options.save_scores
    if options.save_submission:
        ids = _submission_ids(members[0].images, classes)
        write_submission(options.save_submission, scores, ids)
        yield "submission", options.save_submission
    if scores.known and picture and len(classes) <= CLASSES_KEPT:
        with nullcontext(True) if options.out else hold([members[0].tested]) as kept:
            if kept:
                title = f"{found.source}: {scores.error_pct():.2f} % error"
                confusion_matrix(scores.confusion().tolist(), classes, title, picture)
        if kept:
            yield "confusion matrix", picture
    elif options.out:
        why = "without known classes there is no confusion matrix"
        if scores.known:
            why = f"of more than {CLASSES_KEPT} classes no matrix is drawn"
        say(f"no {options.out}: {why}")


def _default_picture(weights: list[Path]) -> Path | None:
    """Return where the confusion matrix is drawn, if nobody says; a name of nobody else's."""
    if len(weights) > 1:
        return None
    if run := run_of(weights[0]):
        return place_beside(run.path, CONFUSION)
    file = weights_file(weights[0])
    picture = file.with_name(f"{file.stem}.{CONFUSION}")
    return picture if os.access(file.parent, os.W_OK) else Path(picture.name)
