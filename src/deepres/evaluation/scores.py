"""Class scores by the paper's test protocol: softmax averaged over views, scales and networks."""

import dataclasses
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import torch
from torch import Tensor

from deepres.data.cifar10 import ImageSet
from deepres.data.folder import UNKNOWN
from deepres.data.images import BadImage
from deepres.data.loading import Images, ViewedImages, in_parts, load
from deepres.data.views import VIEWS
from deepres.errors import UserError, unknown_name, whole_number
from deepres.execution import Execution
from deepres.models.classifier import Classifier, check_labels, check_outputs

VIEWS_AT_ONCE, WINDOWS_AT_ONCE = 200, 256


@dataclass(frozen=True)
class Scores:
    """What one network, or an ensemble, thinks of each image."""

    names: tuple[str, ...]
    labels: Tensor
    """(N,) int64; -1 where the class is not known."""
    probabilities: Tensor
    """(N, classes) float32."""

    @property
    def known(self) -> bool:
        """Whether the class of any image is known."""
        return bool((self.labels >= 0).any())

    def error_pct(self, top: int = 1) -> float:
        """Return the share of images whose class is not among the ``top`` likeliest, in per cent.

        Images of unknown class do not count; NaN: there are no others.

        Raises:
            UserError: ``top`` is below 1, or no whole number.
        """
        top = whole_number(top, "top", 1)
        known = self.labels >= 0
        best = self.probabilities[known].topk(min(top, self.probabilities.shape[1])).indices
        missed = (best != self.labels[known, None]).all(1)
        return 100 * float(missed.double().mean())

    def confusion(self) -> Tensor:
        """Return how many images of each class (row) were taken for each (column), int64."""
        known, classes = self.labels >= 0, self.probabilities.shape[1]
        cells = self.labels[known] * classes + self.probabilities[known].argmax(1)
        return torch.bincount(cells, minlength=classes**2).view(classes, classes)

    def class_errors_pct(self) -> Tensor:
        """Return the error on each class's images (classes,) in per cent; NaN: it has none."""
        confusion = self.confusion().double()
        return 100 * (1 - confusion.diag() / confusion.sum(1))

    def in_order(self, places: Sequence[int]) -> "Scores":
        """Return the same with what is class ``places[i]`` here as class i."""
        order = torch.tensor(places)
        labels = torch.where(self.labels < 0, self.labels, order.argsort()[self.labels])
        return Scores(self.names, labels, self.probabilities[:, order])


@torch.inference_mode()
def class_scores(
    classifier: Classifier,
    images: Images,
    views: str,
    execution: Execution,
    *,
    skip_bad: bool = False,
) -> Scores:
    """Return the scores of all images, averaged over their views (§3.4).

    Args:
        classifier: in evaluation mode, on the execution's device.
        images: of any sizes.
        views: ``1-crop``, ``10-crop`` or ``multi-scale``.
        execution: which processes decode, and which share the images; each gets all scores.
        skip_bad: leave images out that cannot be decoded, instead of stopping there.

    Raises:
        BadImage: an image cannot be decoded, and such are not to be skipped, or there is no other.
        UserError: there are no such views, a label is none of the classifier's, or its answer is no
            finite number.
    """
    if views not in [*VIEWS]:  # a list can be no key
        raise unknown_name("views", views, VIEWS)
    device, world = execution.device, execution.world
    labels, classes = torch.as_tensor(images.labels), len(classifier.classes)
    check_labels(labels[labels != UNKNOWN], classes)
    size = 1 if views == "multi-scale" else VIEWS_AT_ONCE // (10 if views == "10-crop" else 1)
    parts = in_parts(range(world.rank, len(images), world.size), size)
    viewed = ViewedImages(images, parts, VIEWS[views], classifier.crop, classifier.short_side)
    window = window_side(classifier, device)
    probabilities = torch.zeros(len(images), classes)
    scored = torch.zeros(len(images), dtype=torch.int64)
    done = 0
    if isinstance(images, ImageSet):  # in memory: no process needs to decode them
        execution = dataclasses.replace(execution, workers=execution.workers or 0)
    with (
        execution.progress("evaluate", len(images)) as bar,
        closing(load(viewed, range(len(parts)), execution)) as stream,
    ):
        for indices, pixels, bad in stream:
            if bad and not skip_bad:
                raise BadImage(f"{bad[0]}; mend it, or leave such out: --bad-images skip")
            if len(indices):
                of_views = [view_scores(classifier, same.to(device), window) for same in pixels]
                means = torch.cat(of_views, dim=1).mean(1).cpu()
                check_outputs(means)
                probabilities[indices] = means
                scored[indices] = 1
            done += (len(indices) + len(bad)) * world.size
            bar.update(min(done, len(images)))
    world.sum(probabilities)
    kept = world.sum(scored).nonzero()[:, 0]
    if not len(kept):
        raise BadImage(f"none of the {len(images)} images can be decoded")
    names = images.names  # once: CIFAR-10's are made when they are asked for
    return Scores(
        names=tuple(names[i] for i in kept.tolist()),
        labels=labels[kept],
        probabilities=probabilities[kept],
    )


def window_side(classifier: Classifier, device: torch.device) -> int:
    """Return the side of the last feature map that a crop of the training size gives, e.g. 7."""
    blank = torch.zeros(1, 3, classifier.crop, classifier.crop, dtype=torch.uint8, device=device)
    return classifier.network.feature_map(classifier.prepare(blank)).shape[-1]


def view_scores(classifier: Classifier, views: Tensor, window: int) -> Tensor:
    """Return the softmax scores (B, V, classes) of ``views`` (B, V, H, W, 3) uint8.

    Views that are larger than the training crop are tested fully convolutionally: the layers from
    the global pooling on see every window of the feature map that is as large as a crop's map,
    and the scores are averaged over the windows.
    """
    images = views.flatten(0, 1).permute(0, 3, 1, 2)  # (B·V, 3, H, W)
    maps = classifier.network.feature_map(classifier.prepare(images))  # (B·V, C, h, w)
    windows = maps.unfold(2, window, 1).unfold(3, window, 1)  # (B·V, C, rows, columns, 7, 7)
    windows = windows.permute(2, 0, 3, 1, 4, 5)  # (rows, B·V, columns, C, 7, 7), a view
    rows_at_once = max(1, WINDOWS_AT_ONCE // windows[0, :, :, 0, 0, 0].numel())
    scores = [
        classifier.network.head(part.flatten(0, 2)).float().softmax(1).unflatten(0, part.shape[:3])
        for part in windows.split(rows_at_once)
    ]  # of (some rows, B·V, columns, classes)
    of_views: Tensor = torch.cat(scores).mean((0, 2)).unflatten(0, views.shape[:2])
    return of_views


def average(members: Sequence[Scores]) -> Scores:
    """Return the scores of an ensemble: the mean of its members' (Table 5).

    Raises:
        UserError: they are not of the same images or classes.
    """
    first = members[0]
    for other in members[1:]:
        same = other.names == first.names and torch.equal(other.labels, first.labels)
        if not same or other.probabilities.shape != first.probabilities.shape:
            raise UserError("an ensemble's networks must be tested on the same images and classes")
    mean = torch.stack([member.probabilities for member in members]).mean(0)
    return Scores(first.names, first.labels, mean)
