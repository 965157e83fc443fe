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
    classifier = load_classifier(weights)
    if (name := classifier.network.architecture["name"]) != model:
        raise UserError(f"{weights} is of {name}, not of {model}")
    if classifier.classes != data.classes:
        raise UserError(
            f"{weights} tells other classes apart than those of {data.location}; give weights "
            "that were trained on the same folder's classes"
        )
    return classifier, origin(weights)
