"""The paper's test protocol, for a network in memory and for weights on disk."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from deepres.data.cifar10 import Cifar10, ImageSet
from deepres.data.folder import ImageFiles, ImageFolder
from deepres.data.images import modification_times
from deepres.errors import UserError
from deepres.evaluation.class_names import places_among, relabelled
from deepres.evaluation.evaluation_log import (
    SAME_TEST,
    class_errors,
    evaluation_entry,
    note,
    noted_tests,
)
from deepres.evaluation.score_files import cached_scores
from deepres.evaluation.scores import Scores, class_scores
from deepres.evaluation.under_test import UnderTest, may_be_kept
from deepres.execution import Execution, check_execution
from deepres.models import Classifier
from deepres.models.classifier import check_classifier
from deepres.models.fuse import can_fuse, compute_in_bf16, fuse_for_inference
from deepres.provenance import provenance
from deepres.run_places import comes_with_deepres
from deepres.run_weights import called_together, weights_file


class EvaluatedImages(NamedTuple):
    """Test images, what they are called, and what a network calls their classes."""

    images: ImageSet | ImageFiles
    """As they are."""
    source: str
    """What they are, in words."""
    places: Sequence[int] = ()
    """The place of each of their classes among the network's; none: they are the same."""


def evaluate(
    model: Classifier,
    data: Cifar10 | ImageFolder | ImageSet | ImageFiles,
    views: str = "1-crop",
    *,
    execution: Execution | None = None,
    skip_bad: bool = False,
) -> Scores:
    """Test a network as the paper does (§3.4); ``error_pct()`` of what returns is the error.

    It is what ``deepres evaluate --no-fold`` does, but for noting the result in a run's folder.

    Args:
        model: as ``load_model`` returns it; it is put into evaluation mode.
        data: the test images, or data of which the test images are taken and whose classes must be
            the model's; they go by name, and in order if no name is in both.
        views: what the network sees of an image: ``1-crop``, ``10-crop`` or ``multi-scale``.
        execution: where and how; by default where the model is, by one process.
        skip_bad: leave images out that cannot be decoded, instead of stopping there.

    Raises:
        BadImage: an image cannot be decoded, and such are not to be skipped.
        UserError: something is of another type, there are no such views, the model tells other
            classes apart, or its answer is no finite number.
    """
    check_classifier(model)
    check_execution(execution)
    if not isinstance(data, Cifar10 | ImageFolder | ImageSet | ImageFiles):
        raise UserError(
            "expected images to test on, as load_cifar10, load_sample or open_image_folder returns "
            f"them, got {repr(data)[:80]}"
        )
    here = execution or Execution(model.mean.device)
    if isinstance(data, Cifar10 | ImageFolder):
        places = places_among(model.classes, "the model", data.classes, data.source, here.say)
        images = relabelled(data.test, places)
    else:
        images = data
    return class_scores(model.eval(), images, views, here, skip_bad=skip_bad)


def score_weights(
    tested: UnderTest[Classifier],
    data: EvaluatedImages,
    views: str,
    execution: Execution,
    *,
    fold: bool | None = None,
    precision: str = "fp32",
    skip_bad: bool = False,
) -> Scores:
    """Return a network's scores: of an earlier time, where nothing has changed, or new ones.

    They are kept in ``scores/`` beside the weights. A run's errors in float32 are noted in its
    ``evaluations.json``. Beside weights that come with deepres, and of weights that are replaced
    meanwhile, nothing is written.

    Args:
        tested: the network, on the execution's device.
        data: the test images.
        views: ``1-crop``, ``10-crop`` or ``multi-scale``.
        execution: which processes decode, and which share the images.
        fold: fold BN, and on a CPU fuse sums and ReLU too, first; the network is changed. None:
            on a CPU, where it is known to be faster.
        precision: ``fp32``, or ``bf16`` for convolutions and linear layers; the network is changed.
        skip_bad: leave images out that cannot be decoded, and say so.

    Returns:
        In all processes but the leader, scores that were kept are empty.

    Raises:
        BadImage: an image cannot be decoded, and such are not to be skipped.
        UserError: the run's evaluations.json is damaged, or cannot take the errors.
    """
    classifier, run, file = tested.network, tested.run, weights_file(tested.path)
    images, fingerprint = relabelled(data.images, data.places), data.images.fingerprint()
    written = modification_times(images.paths()) if isinstance(images, ImageFiles) else ""
    device, leader = execution.device, execution.world.leader
    keep = not comes_with_deepres(file)
    if run:
        noted_tests(run.path)
    if fold is None:
        fold = can_fuse(device)
    if fold:
        fuse_for_inference(classifier.network, device)
    if precision == "bf16":
        compute_in_bf16(classifier.network)

    def compute() -> Scores:
        return class_scores(classifier, images, views, execution, skip_bad=skip_bad)

    now = provenance(device)
    key = {
        "weights": tested.digest,
        "images": fingerprint,
        **({} if images is data.images else {"labels": [*data.places]}),
        "image_files": written,
        "views": views,
        "fold": fold,
        "precision": precision,
        "bad_images": "skip" if skip_bad else "fail",
        "provenance": now,
    }
    path = file.parent / "scores" / f"{file.stem}-{views}-{fingerprint}.npz"
    world, unchanged = execution.world, tested.unchanged
    scores = cached_scores(path, key, compute, world, unchanged) if keep else compute()
    scored = set(scores.names)
    if leader and (missing := [name for name in images.names if name not in scored]):
        for name in missing:
            execution.say(f"left out: {name}")
        execution.say(
            f"{len(missing):,} of {len(images):,} images cannot be decoded and are left out"
        )
    still = partial(may_be_kept, [tested], execution.say)
    kept = leader and keep and still()
    if kept and run and scores.known and precision == "fp32":
        entry = evaluation_entry(views, data.source, fingerprint, scores, now)
        note(run.path, entry | class_errors(scores, classifier.classes), SAME_TEST, still)
    return scores


def note_ensemble(
    tested: Sequence[UnderTest[Classifier]],
    data: EvaluatedImages,
    views: str,
    scores: Scores,
    execution: Execution,
) -> None:
    """Note the errors of several networks together in the evaluations.json of the first one's run.

    If the first is of no run, or comes with deepres, or one was replaced meanwhile, nothing is
    noted.

    Args:
        tested: the networks.
        data: the test images.
        views: what the networks saw of an image.
        scores: the mean of theirs.
        execution: where they were tested.
    """
    run, still = tested[0].run, partial(may_be_kept, tested, execution.say)
    if not run or not scores.known or not still():
        return
    members, now = called_together([each.path for each in tested]), provenance(execution.device)
    entry = evaluation_entry(views, data.source, data.images.fingerprint(), scores, now, members)
    note(run.path, entry, SAME_TEST, still)
