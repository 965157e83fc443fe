"""What a detector's training begins with: a classifier's weights, another detector's, or none."""

from pathlib import Path
from typing import Any, NamedTuple

from deepres.detection.faster_rcnn import Detector, create_detector
from deepres.detection.weights import restored
from deepres.errors import UserError
from deepres.models import build_network, load_classifier
from deepres.models.weight_checks import COUNTER
from deepres.models.weights import open_weights
from deepres.recipes import DetectionRecipe
from deepres.runtime import initial_weights_of

OF_CLASSES = ("roi_heads.box_predictor.", "roi_heads.mask_predictor.mask_fcn_logits.")
"""The layers of a detector that are its classes' own: their scores, boxes and masks."""
OF_PROPOSALS = ("anchor_sizes", "anchor_ratios", "rpn_channels")
"""The settings by which the RPN's layers are shaped, and that their weights are for."""


class Beginning(NamedTuple):
    """A detector before its first step, and what it began with."""

    detector: Detector
    source: str | None
    """What its weights are of, "classifier" or "detector"; None: all are random."""
    new: tuple[str, ...]
    """The modules whose weights were drawn by the seed."""


def initial_detector(
    recipe: DetectionRecipe, classes: tuple[str, ...], weights: Path | None, seed: int
) -> Beginning:
    """Build the recipe's detector; what is new has the initial weights of ``seed``.

    Args:
        recipe: says which network, and all numbers.
        classes: what is to be found.
        weights: of a classifier, which gives the backbone; or of a detector, which gives all but
            the layers of its classes; None: there are none.
        seed: of the draws.

    Raises:
        UserError: the weights are of another network than the recipe's, or of a detector with
            other anchors.
    """
    if weights is None:
        with initial_weights_of(seed):
            return Beginning(create_detector(recipe.model, classes, recipe.detector), None, ())
    opened = open_weights(weights, "classifier", "detector")
    if opened.kind == "detector":
        return _from_detector(restored(opened), recipe, classes, weights, seed)
    classifier = load_classifier(weights)
    _check_network(classifier.network.architecture["name"], recipe, weights)
    with initial_weights_of(seed):
        detector = create_detector(classifier, classes, recipe.detector)
    given = ("backbone.", "roi_heads.box_head.")
    return Beginning(detector, "classifier", _modules(detector, without=given))


def _from_detector(
    source: Detector, recipe: DetectionRecipe, classes: tuple[str, ...], file: Path, seed: int
) -> Beginning:
    """Build the recipe's detector on another; its BN statistics and its input's stay, too."""
    _check_network(source.architecture["name"], recipe, file)
    if mends := [
        f"--set {name}={_as_set(getattr(source.settings, name))}"
        for name in OF_PROPOSALS
        if getattr(source.settings, name) != getattr(recipe.detector, name)
    ]:
        raise UserError(
            f"{file} holds a detector whose proposals are made otherwise than the recipe's; "
            f"to start from it, add {' '.join(mends)}"
        )
    with initial_weights_of(seed):
        network = build_network(**source.architecture)
        detector = Detector(network, source.mean, source.std, classes, recipe.detector)
    own = detector.state_dict()
    kept = {
        name: tensor
        for name, tensor in source.state_dict().items()
        if name in own and not name.startswith(OF_CLASSES)
    }
    detector.load_state_dict({**own, **kept})
    return Beginning(detector, "detector", _modules(detector, without=tuple(kept)))


def left_unscaled(recipe: DetectionRecipe) -> str:
    """Say which sizes stayed those of the paper's scale, and what fits the recipe's; or nothing."""
    own, papers = recipe.detector, recipe.paper().detector
    share = own.short_side / papers.short_side
    fitting: dict[str, Any] = {
        "anchor_sizes": tuple(max(1, round(side * share)) for side in papers.anchor_sizes),
        "proposal_min_size": f"{papers.proposal_min_size * share:g}",
    }
    stayed = [name for name in fitting if getattr(own, name) == getattr(papers, name)]
    if share == 1 or not stayed:
        return ""
    settings = " ".join(f"--set {name}={_as_set(fitting[name])}" for name in stayed)
    return (
        f"{' and '.join(stayed)}: still as for short_side={papers.short_side}; in proportion to "
        f"short_side={own.short_side} would be {settings}"
    )


def _check_network(name: str, recipe: DetectionRecipe, file: Path) -> None:
    if name != recipe.model:
        raise UserError(
            f"{file} holds {name}, but the recipe is for {recipe.model}; give that "
            f"network's weights, or name {name}"
        )


def _as_set(value: Any) -> str:
    """Return a setting as --set takes it."""
    return ",".join(f"{each:g}" for each in value) if isinstance(value, tuple) else str(value)


def _modules(detector: Detector, without: tuple[str, ...]) -> tuple[str, ...]:
    """Return the modules of a detector's tensors, but for those that begin so, in order."""
    tensors = (name for name in detector.state_dict() if not name.endswith(COUNTER))
    return tuple(
        dict.fromkeys(name.rpartition(".")[0] for name in tensors if not name.startswith(without))
    )
