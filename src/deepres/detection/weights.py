"""Detectors in files: safetensors, with all inside that builds the detector again."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from deepres.detection.faster_rcnn import Detector, create_detector
from deepres.errors import UserError
from deepres.models import create_model, load_model
from deepres.models.weights import (
    DETECTOR,
    INPUT_MEAN,
    INPUT_STD,
    check_fit,
    read_weights,
    take_preparation,
    weights_file,
    write_weights,
)
from deepres.recipes import DetectionRecipe
from deepres.recipes.detector import DetectorSettings
from deepres.runtime import initial_weights_of

OF_CLASSES = ("roi_heads.box_predictor.", "roi_heads.mask_predictor.mask_fcn_logits.")
"""The layers of a detector that are its classes' own: their scores, boxes and masks."""
OF_PROPOSALS = ("anchor_sizes", "anchor_ratios", "rpn_channels")
"""The settings by which the RPN's layers are shaped, and that their weights are for."""
COUNTERS = "num_batches_tracked"
"""What BN counts while it is trained, and has not where it is frozen; nothing depends on it."""


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
    tensors, meta = read_weights(weights)
    if DETECTOR in meta:
        return _from_detector(_restored(tensors, meta, weights), recipe, classes, weights, seed)
    classifier = load_model(weights)
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
            f"{file} holds a detector whose proposals are of other anchors than the recipe's; "
            f"to start from it, add {' '.join(mends)}"
        )
    with initial_weights_of(seed):
        network = create_model(**source.architecture)
        detector = Detector(network, source.mean, source.std, classes, recipe.detector)
    own = detector.state_dict()
    kept = {
        name: tensor
        for name, tensor in source.state_dict().items()
        if name in own and not name.startswith(OF_CLASSES)
    }
    detector.load_state_dict({**own, **kept})
    return Beginning(detector, "detector", _modules(detector, without=tuple(kept)))


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
    tensors = (name for name in detector.state_dict() if not name.endswith(COUNTERS))
    return tuple(
        dict.fromkeys(name.rpartition(".")[0] for name in tensors if not name.startswith(without))
    )


def save_detector(path: Path, detector: Detector, meta: dict[str, Any]) -> None:
    """Write a detector's tensors and, in the file's metadata, what is needed to use them.

    Args:
        path: a .safetensors file, written atomically.
        detector: what was trained.
        meta: what else to note about it, anything that JSON can hold.
    """
    described = {
        DETECTOR: {
            "architecture": detector.architecture,
            "settings": dataclasses.asdict(detector.settings),
            "classes": detector.classes,
        },
        **meta,
    }
    preparation = {INPUT_MEAN: detector.mean, INPUT_STD: detector.std}
    write_weights(path, {**detector.state_dict(), **preparation}, described)


def load_detector(path: str | Path, device: str | torch.device = "cpu") -> Detector:
    """Load a detector, in evaluation mode.

    Args:
        path: the folder of a detector's run, or a .safetensors file that ``save_detector`` wrote.
        device: where to put it.

    Raises:
        UserError: there are no weights, they are no detector's, or they do not fit it.
    """
    file = weights_file(Path(path))
    tensors, meta = read_weights(file)
    if DETECTOR not in meta:
        raise UserError(
            f"{file} holds no detector of deepres; give a run of deepres detect train, "
            "or train one on these weights"
        )
    detector = _restored(tensors, meta, file)
    detector.eval().to(device)
    return detector


def _restored(tensors: dict[str, Tensor], meta: dict[str, Any], file: Path) -> Detector:
    """Build the detector of a file's tensors and notes."""
    described = meta[DETECTOR]
    mean, std = take_preparation(tensors, file)
    settings = DetectorSettings.from_dict(described["settings"])
    try:
        with torch.device("meta"):
            network = create_model(**described["architecture"])
    except TypeError as error:
        raise UserError(f"{file} was written by another version of deepres: {error}") from error
    detector = Detector(network, mean, std, described["classes"], settings)
    check_fit(detector.state_dict(), tensors, file)
    detector.load_state_dict(tensors, assign=True)
    return detector
