"""The classification network that both halves of localization begin from (appendix C)."""

from pathlib import Path

from deepres.data.detection.localization import LocalizationData
from deepres.errors import UserError
from deepres.models import Classifier
from deepres.models.weights import load_classifier
from deepres.training.begun_from import origin


def check_given(weights: Path | None) -> Path:
    """Return the weights that a run begins from.

    Raises:
        UserError: there are none.
    """
    if weights is None:
        raise UserError(
            "a localization network starts from one that was trained to classify: give its run's "
            "folder or .safetensors file by --weights"
        )
    return weights


def initial_classifier(
    weights: Path | None, model: str, data: LocalizationData
) -> tuple[Classifier, dict[str, str]]:
    """Load the classification network that a run begins from.

    Args:
        weights: its run's folder or .safetensors file.
        model: what network it must be.
        data: whose classes it must know.

    Returns:
        The network, and what recipe.json says of where it is from.

    Raises:
        UserError: there is none, or it is another.
    """
    weights = check_given(weights)
    classifier = given_classifier(weights, model)
    check_classes(classifier.classes, data, weights)
    return classifier, origin(weights)


def given_classifier(weights: Path, model: str) -> Classifier:
    """Load the classification network in ``weights``.

    Raises:
        UserError: there is none, or it is another than ``model``.
    """
    classifier = load_classifier(weights)
    if (name := classifier.network.architecture["name"]) != model:
        raise UserError(f"{weights} is of {name}, not of {model}")
    return classifier


def check_classes(known: tuple[str, ...], data: LocalizationData, weights: Path) -> None:
    """Make sure that the network in ``weights`` knows the classes of the data.

    Raises:
        UserError: it knows others.
    """
    if known != data.classes:
        raise UserError(
            f"{weights} tells other classes apart than those of {data.location}; give weights "
            "that were trained on the same folder's classes, or that folder by --data"
        )
