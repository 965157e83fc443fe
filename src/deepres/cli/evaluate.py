"""deepres evaluate: errors of trained networks, alone and as an ensemble."""

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path

import torch

from deepres.cli.found_errors import print_found, show_found
from deepres.cli.terminal import IMAGENET_FOLDER, open_data, say
from deepres.cli.training import execution_of
from deepres.data.cifar10 import CLASSES, Cifar10, ImageSet
from deepres.data.folder import ImageFiles, open_test_images
from deepres.errors import UserError
from deepres.evaluation.class_names import places_among, relabelled
from deepres.evaluation.evaluation_log import CLASSES_KEPT, noting_errors_last
from deepres.evaluation.protocol import load_to_score, note_ensemble, score_weights
from deepres.evaluation.score_files import save_scores
from deepres.evaluation.scores import Scores, average
from deepres.evaluation.submission import submission_ids, write_submission
from deepres.files import check_ours
from deepres.models import Classifier
from deepres.pretrained import find_weights
from deepres.provenance import provenance
from deepres.report.figures import confusion_matrix
from deepres.report.pictures import PICTURES
from deepres.run_folder import CONFUSION, place_beside
from deepres.run_weights import run_beside, run_of, weights_file
from deepres.runtime import resolve_precision


@noting_errors_last()
def call(options: argparse.Namespace) -> int:
    """Evaluate each network, print the errors, and draw the confusion matrix."""
    if options.out and options.out.suffix.lower() not in PICTURES:
        raise UserError(f"--out must end in {' or '.join(PICTURES)}, got {options.out}")
    if options.save_scores and options.save_scores.suffix != ".npz":
        raise UserError(f"--save-scores must end in .npz, got {options.save_scores}")
    execution = execution_of(options)
    leader = execution.world.leader
    precision = resolve_precision(options.precision, execution.device)
    members: list[tuple[str, Scores]] = []
    ids: list[int] = []
    digests: list[str] = []
    classes: tuple[str, ...] = ()  # the first network's; those of the others follow its order
    paths = [find_weights(subject, options.source, say) for subject in options.subjects]
    beside = options.out or _default_picture(paths)
    if beside and not options.out:
        check_ours(beside)
    for weights, subject in zip(paths, options.subjects, strict=True):
        classifier, digest = load_to_score(weights, execution.device)
        digests.append(digest)
        classes = classes or classifier.classes
        others = places_among(
            classifier.classes, str(subject), classes, str(options.subjects[0]), say
        )
        images, source = _test_images(options.data, weights, classifier)
        if options.save_submission:  # before the work of scoring
            if not isinstance(images, ImageFiles):
                raise UserError(
                    f"--save-submission is for ImageNet's test images, not for {source}"
                )
            ids = submission_ids(images.root, classes)
        say(f"evaluating {subject}, {options.views}, on {source}")
        scores = score_weights(
            weights,
            classifier,
            images,
            options.views,
            execution,
            digest=digest,
            source=source,
            fold=options.fold,
            precision=precision,
            skip_bad=options.bad_images == "skip",
        )
        if leader:
            if options.save_submission and len(scores.names) < len(images):
                raise UserError("a submission needs a line for every image; mend those left out")
            members.append((str(subject), scores.in_order(others)))
    if not leader:
        return 0
    scores = average([each for _, each in members])
    if len(members) > 1 and precision == "fp32":
        note_ensemble(
            paths,
            images,
            options.views,
            scores,
            digests=digests,
            source=source,
            execution=execution,
        )
    written: dict[str, Path] = {}
    found = (classes, scores, source)
    try:
        for name, path in _write(options, paths, digests, *found, ids, execution.device):
            written[name] = path
    finally:  # whether it can be written or not: the numbers are what took the time
        tell = print_found if options.json else show_found
        tell(options.views, members, *found, written)
    return 0


def _test_images(
    data: str | None, weights: Path, classifier: Classifier
) -> tuple[ImageSet | ImageFiles, str]:
    """Return what to test on, and its name in words."""
    if data is None and (run := run_beside(weights)):
        data = run.read_meta()["data"]["location"]
    of_cifar = data in (None, "sample") or Path(data or "", "test_batch.bin").exists()
    if classifier.network.input_size == 32 and of_cifar:
        places = places_among(classifier.classes, str(weights), CLASSES, "CIFAR-10", say)
        cifar = open_data(data)
        assert isinstance(cifar, Cifar10)
        return relabelled(cifar.test, places), f"the test images of {cifar.source}"
    if data is None and not IMAGENET_FOLDER.exists():
        raise UserError(
            f"{weights} does not say what to test on, and there is no {IMAGENET_FOLDER}; give "
            "--data, or make it: deepres data imagenet prepare"
        )
    data = data or str(IMAGENET_FOLDER)
    images, shown = open_test_images(Path(data), say)
    name = f"{len(images):,} images of {data}"
    if not shown:
        return images, name
    places = places_among(classifier.classes, str(weights), shown, data, say)
    return relabelled(images, places), name


def _write(
    options: argparse.Namespace,
    paths: list[Path],
    digests: list[str],
    classes: tuple[str, ...],
    scores: Scores,
    source: str,
    ids: list[int],
    device: torch.device,
) -> Iterator[tuple[str, Path]]:
    """Write what was asked for and draw the confusion matrix; yield what each is, and its place."""
    path = options.out or _default_picture(paths)
    if scores.known and path and len(classes) <= CLASSES_KEPT:
        title = f"{source}: {scores.error_pct():.2f} % error"
        counts = scores.confusion().tolist()
        yield "confusion matrix", confusion_matrix(counts, classes, title, path)
    elif options.out:
        why = "without known classes there is no confusion matrix"
        if scores.known:
            why = f"of more than {CLASSES_KEPT} classes no matrix is drawn"
        say(f"no {path}: {why}")
    if options.save_scores:
        save_scores(
            options.save_scores,
            scores,
            classes=list(classes),
            views=options.views,
            weights=digests,
            provenance=json.dumps(provenance(device)),
        )
        yield "scores", options.save_scores
    if options.save_submission:
        write_submission(options.save_submission, scores, ids)
        yield "submission", options.save_submission


def _default_picture(weights: list[Path]) -> Path | None:
    """Return where the confusion matrix is drawn, if nobody says; a name of nobody else's."""
    if len(weights) > 1:
        return None
    if run := run_of(weights[0]):
        return place_beside(run.path, CONFUSION)
    file = weights_file(weights[0])
    picture = file.with_name(f"{file.stem}.{CONFUSION}")
    return picture if os.access(file.parent, os.W_OK) else Path(picture.name)
