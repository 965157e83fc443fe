"""The paper's networks."""

from deepres.models.classifier import Classifier
from deepres.models.create import build_network, list_models
from deepres.models.stages import Intermediates, StagedNetwork
from deepres.models.weights import load_classifier, save_weights

__all__ = [
    "Classifier",
    "Intermediates",
    "StagedNetwork",
    "build_network",
    "list_models",
    "load_classifier",
    "save_weights",
]
