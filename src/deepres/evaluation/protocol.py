"""The test protocol for weights on disk: scores once computed are kept, and errors noted."""

from collections.abc import Callable
from pathlib import Path

import torch

from deepres.data.cifar10 import ImageSet
from deepres.data.download import file_digest
from deepres.data.folder import ImageFiles
from deepres.data.images import modification_times
from deepres.data.loading import number_of_workers
from deepres.distributed import World
from deepres.evaluation.score_files import cached_scores, log_evaluation_entry
from deepres.evaluation.scores import Scores, class_scores
from deepres.models import Classifier
from deepres.models.fuse import can_fuse, compute_in_bf16, fuse_for_inference
from deepres.models.weights import WEIGHTS, weights_file
from deepres.progress import Progress
from deepres.provenance import provenance


def score_weights(
    weights: Path,
    classifier: Classifier,
    images: ImageSet | ImageFiles,
    views: str,
    *,
    source: str,
    device: torch.device,
    world: World,
    workers: int | None = None,
    fold: bool | None = None,
    precision: str = "fp32",
    skip_bad: bool = False,
    say: Callable[[str], None],
    progress: Callable[[str, int], Progress] = Progress,
) -> Scores:
    """Return a network's scores: of an earlier time, where nothing has changed, or new ones.

    They are kept in ``scores/`` beside the weights. A run's errors in float32 are noted in its
    ``evaluations.json``.

    Args:
        weights: a run's folder or a file of weights.
        classifier: the network with these weights.
        images: the test images.
        views: ``1-crop``, ``10-crop`` or ``multi-scale``.
        source: what the images are, in words.
        device: where the network is.
        world: the processes that share the images.
        workers: how many processes decode; by default one a core, up to 8.
        fold: fold BN, and on a CPU fuse sums and ReLU too, first; ``classifier`` is changed. None:
            on a CPU, where it is known to be faster.
        precision: ``fp32``, or ``bf16`` for convolutions and linear layers; ``classifier`` is
            changed.
        skip_bad: leave images out that cannot be decoded, and say so.
        say: receives lines for the user.
        progress: makes the bar for a label and the number of images.

    Returns:
        In all processes but the leader, scores that were kept are empty.

    Raises:
        BadImage: an image cannot be decoded, and such are not to be skipped.
    """
    file, fingerprint = weights_file(weights), images.fingerprint()
    written = modification_times(images.paths()) if isinstance(images, ImageFiles) else ""
    if fold is None:
        fold = can_fuse(device)
    if fold:
        fuse_for_inference(classifier.network, device)
    if precision == "bf16":
        compute_in_bf16(classifier.network)
    if workers is None and isinstance(images, ImageSet):
        workers = 0
    decoding = number_of_workers(workers)

    def compute() -> Scores:
        with progress("evaluate", len(images)) as bar:
            return class_scores(
                classifier,
                images,
                views,
                device=device,
                workers=decoding,
                skip_bad=skip_bad,
                on_images=bar.update,
                world=world,
            )

    now = provenance(device)
    key = {
        "weights": file_digest(file, "sha256"),
        "images": fingerprint,
        "image_files": written,
        "views": views,
        "fold": fold,
        "precision": precision,
        "bad_images": "skip" if skip_bad else "fail",
        "provenance": now,
    }
    path = file.parent / "scores" / f"{file.stem}-{views}-{fingerprint}.npz"
    scores = cached_scores(path, key, compute, world)
    scored = set(scores.names)
    if world.leader and (missing := [name for name in images.names if name not in scored]):
        for name in missing:
            say(f"left out: {name}")
        say(f"{len(missing):,} of {len(images):,} images cannot be decoded and are left out")
    if world.leader and file.name == WEIGHTS and scores.known and precision == "fp32":
        log_evaluation_entry(file.parent, views, source, scores, now)
    return scores
