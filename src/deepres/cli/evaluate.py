"""deepres evaluate: errors of trained networks, alone and as an ensemble."""

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path

import torch

from deepres.cli.terminal import IMAGENET_FOLDER, open_data, print_table, say, show
from deepres.cli.training import execution_of
from deepres.data.cifar10 import Cifar10, ImageSet
from deepres.data.download import file_digest
from deepres.data.folder import ImageFiles, open_test_images
from deepres.errors import UserError
from deepres.evaluation.protocol import score_weights
from deepres.evaluation.score_files import save_scores, submission_ids, write_submission
from deepres.evaluation.scores import Scores, average
from deepres.files import check_ours
from deepres.models import Classifier, load_model
from deepres.pretrained import find_weights
from deepres.provenance import provenance
from deepres.report.figures import confusion_matrix
from deepres.report.pictures import PICTURES
from deepres.run_folder import RunFolder, comes_with_deepres
from deepres.run_weights import WEIGHTS, weights_file

CONFUSION = "confusion.png"
"""In a run's folder, where the name is ours."""
CLASSES_SHOWN = 20
"""With more classes than this, only the worst are listed, and no confusion matrix is drawn."""


def call(options: argparse.Namespace) -> int:
    """Evaluate each network, print the errors, and draw the confusion matrix."""
    if options.picture and options.picture.suffix.lower() not in PICTURES:
        raise UserError(f"--picture must end in {' or '.join(PICTURES)}, got {options.picture}")
    if options.save_scores and options.save_scores.suffix != ".npz":
        raise UserError(f"--save-scores must end in .npz, got {options.save_scores}")
    execution = execution_of(options)
    leader = execution.world.leader
    members, errors, ids = [], [], []
    named: dict[tuple[str, ...], Path] = {}
    paths = [find_weights(subject, options.source, say) for subject in options.subjects]
    beside = options.picture or _default_picture(paths)
    if beside and not options.picture and beside.name != CONFUSION:
        check_ours(beside)
    for weights, subject in zip(paths, options.subjects, strict=True):
        classifier = load_model(weights, execution.device)
        named.setdefault(classifier.classes, subject)
        images, source = _test_images(options.data, weights, classifier)
        if options.submission:  # before the work of scoring
            if not isinstance(images, ImageFiles):
                raise UserError(f"--submission is for ImageNet's test images, not for {source}")
            ids = submission_ids(images.root, classifier.classes)
        say(f"evaluating {subject}, {options.views}, on {source}")
        scores = score_weights(
            weights,
            classifier,
            images,
            options.views,
            execution,
            source=source,
            fold=options.fold,
            precision=options.precision,
            skip_bad=options.bad_images == "skip",
        )
        if leader:
            if options.submission and len(scores.names) < len(images):
                raise UserError("a submission needs a line for every image; mend those left out")
            members.append(scores)
            errors.append([str(subject), *_errors(scores)])
    if not leader:
        return 0
    scores = average(members)
    if len(named) > 1:
        which = " and ".join(map(str, named.values()))
        say(f"classes are matched in order: {which} have other names for them")
    if len(members) > 1:
        errors.append([f"ensemble of {len(members)}", *_errors(scores)])
    written: list[str] = []
    found = (classifier.classes, scores, errors[-1][1], source, ids)
    try:
        for line in _write(options, paths, *found, execution.device):
            written.append(line)
    finally:  # whether it can be written or not: the numbers are what took the time
        _print(options.views, classifier.classes, scores, errors, source)
        for line in written:
            show(line)
    return 0


def _test_images(
    data: str | None, weights: Path, classifier: Classifier
) -> tuple[ImageSet | ImageFiles, str]:
    """Return what to test on, and its name in words."""
    run = RunFolder(weights_file(weights).parent)
    if data is None and run.recipe.exists():
        data = run.read_meta()["data"]["location"]
    of_cifar = data in (None, "sample") or Path(data or "", "test_batch.bin").exists()
    if classifier.network.input_size == 32 and of_cifar:
        cifar = open_data(data)
        assert isinstance(cifar, Cifar10)
        return cifar.test, f"the test images of {cifar.source}"
    if data is None and not IMAGENET_FOLDER.exists():
        raise UserError(
            f"{weights} does not say what to test on, and there is no {IMAGENET_FOLDER}; "
            "give --data"
        )
    data = data or str(IMAGENET_FOLDER)
    images, classes = open_test_images(Path(data), say)
    if len(classes) not in (0, len(classifier.classes)):
        raise UserError(
            f"{data} has {len(classes)} classes, but {weights} has {len(classifier.classes)}"
        )
    if classes and classes != classifier.classes:
        pairs = zip(classes, classifier.classes, strict=True)
        place, (here, there) = next((i, p) for i, p in enumerate(pairs, 1) if p[0] != p[1])
        say(
            f"classes are matched in order: the first to differ, number {place}, is {here} in "
            f"{data} and {there} in {weights}"
        )
    return images, f"{len(images):,} images of {data}"


def _errors(scores: Scores) -> list[str]:
    if not scores.known:
        return ["unknown", "unknown"]
    return [f"{scores.error_pct(1):.2f}", f"{scores.error_pct(5):.2f}"]


def _write(
    options: argparse.Namespace,
    paths: list[Path],
    classes: tuple[str, ...],
    scores: Scores,
    error_pct: str,
    source: str,
    ids: list[int],
    device: torch.device,
) -> Iterator[str]:
    """Write what was asked for and draw the confusion matrix; yield a line on each."""
    path = options.picture or _default_picture(paths)
    if scores.known and path and len(classes) <= CLASSES_SHOWN:
        counts, title = scores.confusion().tolist(), f"{source}: {error_pct} % error"
        yield f"confusion matrix: {confusion_matrix(counts, classes, title, path)}"
    elif options.picture:
        why = "without known classes there is no confusion matrix"
        if scores.known:
            why = f"of more than {CLASSES_SHOWN} classes no matrix is drawn"
        say(f"no {path}: {why}")
    if options.save_scores:
        save_scores(
            options.save_scores,
            scores,
            classes=list(classes),
            views=options.views,
            weights=[file_digest(weights_file(path), "sha256") for path in paths],
            provenance=json.dumps(provenance(device)),
        )
        yield f"scores: {options.save_scores}"
    if options.submission:
        write_submission(options.submission, scores, ids)
        yield f"submission: {options.submission}"


def _print(
    views: str,
    classes: tuple[str, ...],
    scores: Scores,
    errors: list[list[str]],
    source: str,
) -> None:
    """Print what was found."""
    print_table("", [f"{views}, {source}", "top-1 error (%)", "top-5 error (%)"], errors)
    if not scores.known:
        return
    own_errors = scores.class_errors_pct()
    order = list(range(len(own_errors)))
    if len(order) > CLASSES_SHOWN:
        order = own_errors.nan_to_num(-1).argsort(descending=True)[:CLASSES_SHOWN].tolist()
    rows = [[classes[i], f"{float(own_errors[i]):.2f}"] for i in order]
    worst = "" if len(order) == len(own_errors) else f"the worst {len(order)} classes"
    print_table(worst, ["class", "error (%)"], rows)


def _default_picture(weights: list[Path]) -> Path | None:
    """Return where the confusion matrix is drawn, if nobody says; a name of nobody else's."""
    if len(weights) > 1:
        return None
    file = weights_file(weights[0])
    if comes_with_deepres(file):
        return Path(f"{file.parent.name}.confusion.png")
    folder = file.parent if os.access(file.parent, os.W_OK) else Path()
    if file.name == WEIGHTS and folder == file.parent:
        return folder / CONFUSION
    return folder / f"{file.stem}.{CONFUSION}"
