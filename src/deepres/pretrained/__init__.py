"""Networks with weights by name: ours, the authors', torchvision's, the Hugging Face hub's."""

from deepres.pretrained.finding import SOURCES, find_weights, weights_for
from deepres.pretrained.loading import check_network, create_model, load_model

__all__ = [
    "SOURCES",
    "check_network",
    "create_model",
    "find_weights",
    "load_model",
    "weights_for",
]
