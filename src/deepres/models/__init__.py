"""The paper's networks."""

from deepres.models.classifier import Classifier
from deepres.models.create import create_model, list_models
from deepres.models.stages import Intermediates, StagedNetwork
from deepres.models.weights import load_model, save_weights

__all__ = [
    "Classifier",
    "Intermediates",
    "StagedNetwork",
    "create_model",
    "list_models",
    "load_model",
    "save_weights",
]
